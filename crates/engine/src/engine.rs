//! From a configuration to an engine: a compiler and a runtime that fit
//! together.

use crate::config::{Config, agent_warning};
use std::sync::Arc;
use wasmprof_compile::Compiler;
use wasmprof_image::{Agents, CodeImage};
use wasmprof_module::{FuncType, Parsed};
use wasmprof_runtime::{BoxError, Compile, EngineConfig, Error, RuntimeConfig};

type OnWarning = Arc<dyn Fn(&str) + Send + Sync>;

impl EngineConfig for Config {
    fn into_runtime(self) -> Result<RuntimeConfig, Error> {
        let guarded = self.guarded_memories.unwrap_or_else(wasmprof_runtime::can_reserve_guards);
        let mut options = self.options;
        options.guarded_memories = guarded;
        let epoch_interruption = options.epoch_interruption;
        let pool = match self.threads {
            0 => None,
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(pool.map_err(|error| Error::Compile(error.into()))?)
            }
        };
        let on_warning: OnWarning = Arc::from(self.on_warning);
        let warn = on_warning.clone();
        let compiler = ThreadedCompiler {
            compiler: Compiler::new(options).map_err(compile_error)?,
            pool,
            on_warning,
            watched: !self.agents.is_empty(),
        };
        Ok(RuntimeConfig {
            max_wasm_stack: self.max_wasm_stack,
            guarded_memories: guarded,
            epoch_interruption,
            agents: Agents::new(self.agents, move |name, error| warn(&agent_warning(name, error))),
            compiler: Box::new(compiler),
        })
    }
}

/// The compiler with the threads that it works on.
struct ThreadedCompiler {
    compiler: Compiler,
    /// `None`: the threads of the process's pool.
    pool: Option<rayon::ThreadPool>,
    on_warning: OnWarning,
    watched: bool,
}

// SAFETY: the compiler makes what the interface of compiled code asks for, and
// has been told of the engine's memories.
#[allow(unsafe_code)]
unsafe impl Compile for ThreadedCompiler {
    fn compile_module(&self, parsed: Parsed, name: &str) -> Result<CodeImage, Error> {
        let compile = || self.compiler.compile(parsed, name);
        let image = match &self.pool {
            Some(pool) => pool.install(compile),
            None => compile(),
        };
        let image = image.map_err(compile_error)?;
        if let Some(module) = image.module.as_ref().filter(|_| self.watched)
            && let Some(warning) = module.names().warning()
        {
            (self.on_warning)(&format!("{name}: {warning}"));
        }
        Ok(image)
    }

    fn compile_stubs(&self, ty: &FuncType) -> Result<CodeImage, BoxError> {
        self.compiler.compile_stubs(ty).map_err(Into::into)
    }
}

/// An invalid body is found while compiling, and is still an invalid module.
fn compile_error(error: wasmprof_compile::Error) -> Error {
    match error {
        wasmprof_compile::Error::Module(error) => Error::Module(error),
        other => Error::Compile(other.into()),
    }
}
