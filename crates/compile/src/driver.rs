//! Compiles the functions of a module in parallel, largest first.

use crate::callee::Callee;
use crate::function::{self, CompiledFunction};
use crate::link::Stub;
use crate::translate::{self, ModuleEnv};
use crate::{Compiler, Error, stub};
use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use wasmparser::FuncValidatorAllocations;
use wasmprof_image::Location;
use wasmprof_module::{Body, FuncIndex, Module, Parsed, features};

/// What a thread needs to compile functions, kept from one to the next.
struct Worker {
    context: Context,
    builder: FunctionBuilderContext,
    validator: FuncValidatorAllocations,
    locations: Vec<Location>,
}

impl Worker {
    fn new() -> Self {
        Worker {
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            validator: FuncValidatorAllocations::default(),
            locations: Vec::new(),
        }
    }

    /// Validates `body`, unless it is to be believed, and translates it into
    /// `self.context.func`.
    fn translate(&mut self, env: &ModuleEnv<'_>, body: Body) -> Result<(), Error> {
        self.context.clear();
        self.locations.clear();
        let index = body.index;
        let (body, mut validator) =
            body.open(env.module, features(), std::mem::take(&mut self.validator));
        translate::function(
            env,
            index,
            &body,
            validator.as_mut(),
            &mut self.context.func,
            &mut self.builder,
            &mut self.locations,
        )?;
        if let Some(validator) = validator {
            self.validator = validator.into_allocations();
        }
        Ok(())
    }
}

/// The code of every body, in the order of the bodies.
pub(crate) fn compile(
    compiler: &Compiler,
    module: &Arc<Module>,
    mut bodies: Vec<Body>,
) -> Result<Vec<CompiledFunction>, Error> {
    let isa = &*compiler.isa;
    let env = ModuleEnv::new(module, isa, &compiler.options);
    // One large function started last would leave all other threads idle.
    bodies.sort_by_key(|body| Reverse(body.len()));
    let results: Vec<(FuncIndex, Result<CompiledFunction, Error>)> = bodies
        .into_par_iter()
        .with_max_len(1)
        .map_init(Worker::new, |worker, body| {
            let index = body.index;
            let result = worker.translate(&env, body).and_then(|()| {
                function::compile(isa, &mut worker.context, &worker.locations, Some(index))
            });
            if result.is_err() {
                // A failed translation leaves the builder half-way.
                *worker = Worker::new();
            }
            (index, result)
        })
        .collect();

    let mut slots: Vec<Option<Result<CompiledFunction, Error>>> = Vec::new();
    slots.resize_with(results.len(), || None);
    for (index, result) in results {
        slots[(index.0 - module.imported_functions) as usize] = Some(result);
    }
    // The first error by position, whichever thread met one first.
    slots.into_iter().flatten().collect::<Result<_, _>>().map_err(|error| match error {
        Error::Module(error) => Error::Module(module.explain(error)),
        other => other,
    })
}

/// The stubs that these functions call.
pub(crate) fn stubs(
    compiler: &Compiler,
    module: &Module,
    functions: &[CompiledFunction],
) -> Result<Vec<(Callee, Stub)>, Error> {
    let isa = &*compiler.isa;
    let calls = functions.iter().flat_map(|function| &function.calls);
    let callees = calls.map(|call| call.callee);
    let stubs: BTreeSet<Callee> =
        callees.filter(|callee| !matches!(callee, Callee::Function(_))).collect();
    let compile = |callee| {
        let stub = match callee {
            Callee::Import(index) => Stub {
                name: format!("wasmprof import call: {}", module.function_name(index)),
                code: stub::import_call(isa, module, index)?,
            },
            _ => Stub { name: "wasmprof throw".to_owned(), code: stub::throw(isa)? },
        };
        Ok((callee, stub))
    };
    stubs.into_iter().map(compile).collect()
}

/// The CLIF of one function, before optimisation.
pub(crate) fn clif(compiler: &Compiler, parsed: Parsed, index: FuncIndex) -> Result<String, Error> {
    let Parsed { module, bodies } = parsed;
    let env = ModuleEnv::new(&module, &*compiler.isa, &compiler.options);
    let missing = || Error::Codegen {
        function: Some(index),
        message: "the module has no such function of its own".to_owned(),
    };
    let body = bodies.into_iter().find(|body| body.index == index).ok_or_else(missing)?;
    let mut worker = Worker::new();
    worker.translate(&env, body)?;
    Ok(worker.context.func.display().to_string())
}
