//! Puts functions side by side and resolves the calls between them.

use crate::Error;
use crate::callee::Callee;
use crate::function::{Call, CompiledFunction};
use cranelift_codegen::TextSectionBuilder;
use cranelift_codegen::isa::TargetIsa;
use cranelift_control::ControlPlane;
use std::sync::Arc;
use wasmprof_image::{
    Catch, CodeImage, CodeOffset, HandlerTable, LocationTable, Symbol, SymbolKind, TrapTable,
};
use wasmprof_module::{FuncIndex, Module};

/// A stub for an image.
pub(crate) struct Stub {
    pub(crate) name: String,
    pub(crate) code: CompiledFunction,
}

/// The image of a module, from the code of each of its own functions in order,
/// and of the stubs that they call.
pub(crate) fn module_image(
    isa: &dyn TargetIsa,
    module: Arc<Module>,
    functions: Vec<CompiledFunction>,
    stubs: Vec<(Callee, Stub)>,
    name: &str,
) -> Result<CodeImage, Error> {
    let first = module.imported_functions;
    let labels = Labels {
        first,
        functions: functions.len(),
        stubs: stubs.iter().map(|(callee, _)| *callee).collect(),
    };
    let mut linker = Linker::new(isa, labels);
    for (index, function) in (first..).map(FuncIndex).zip(functions) {
        linker.append(SymbolKind::Function(index), true, function)?;
    }
    for (_, stub) in stubs {
        linker.append(SymbolKind::Stub(stub.name.into()), true, stub.code)?;
    }
    Ok(linker.finish(name.to_owned(), Some(module)))
}

/// An image of stubs with their names.
pub(crate) fn stub_image(
    isa: &dyn TargetIsa,
    name: String,
    stubs: impl IntoIterator<Item = Stub>,
) -> Result<CodeImage, Error> {
    let mut linker = Linker::new(isa, Labels::default());
    for stub in stubs {
        linker.append(SymbolKind::Stub(stub.name.into()), false, stub.code)?;
    }
    Ok(linker.finish(name, None))
}

/// The labels of what can be called: the functions first, then the stubs.
#[derive(Default)]
struct Labels {
    /// The index of the first function.
    first: u32,
    functions: usize,
    stubs: Vec<Callee>,
}

impl Labels {
    fn count(&self) -> usize {
        self.functions + self.stubs.len()
    }

    fn get(&self, callee: Callee) -> Option<usize> {
        match callee {
            Callee::Function(index) => Some((index.0 - self.first) as usize),
            stub => self.stubs.iter().position(|it| *it == stub).map(|at| self.functions + at),
        }
    }
}

struct Linker {
    text: Box<dyn TextSectionBuilder>,
    labels: Labels,
    symbols: Vec<Symbol>,
    traps: TrapTable,
    handlers: HandlerTable,
    locations: LocationTable,
}

impl Linker {
    fn new(isa: &dyn TargetIsa, labels: Labels) -> Self {
        Linker {
            text: isa.text_section_builder(labels.count()),
            symbols: Vec::with_capacity(labels.count()),
            labels,
            traps: TrapTable::default(),
            handlers: HandlerTable::default(),
            locations: LocationTable::default(),
        }
    }

    /// Adds code, which is called by the next label if it is `labeled`.
    fn append(
        &mut self,
        kind: SymbolKind,
        labeled: bool,
        function: CompiledFunction,
    ) -> Result<(), Error> {
        let index = if let SymbolKind::Function(index) = kind { Some(index) } else { None };
        let failed =
            |message: &str| Error::Codegen { function: index, message: message.to_owned() };
        let start =
            self.text.append(labeled, &function.code, function.align, &mut ControlPlane::default());
        let end = start + function.code.len() as u64;
        // Offsets have 32 bits, and calls reach 2 GiB.
        if i32::try_from(end).is_err() {
            return Err(failed("the code of the module exceeds 2 GiB"));
        }
        let start = start as u32;
        let place = |offset: CodeOffset| CodeOffset(start + offset.0);
        for call in &function.calls {
            let at = u64::from(place(call.offset).0);
            let label = self.labels.get(call.callee);
            let resolved = label
                .is_some_and(|label| self.text.resolve_reloc(at, call.kind, call.addend, label));
            if !resolved {
                let Call { kind, callee, .. } = call;
                return Err(failed(&format!("the code has a relocation {kind:?} to {callee:?}")));
            }
        }
        for (offset, code) in &function.traps {
            self.traps.push(place(*offset), *code);
        }
        for call in &function.handlers {
            let catches = call.catches.iter();
            let catches = catches.map(|it| Catch { handler: place(it.handler), ..*it });
            self.handlers.push(place(call.returns_to), call.frame_size, catches);
        }
        for (offset, location) in &function.locations {
            self.locations.push(place(*offset), *location);
        }
        // What follows up to the next function is padding.
        self.locations.push(CodeOffset(end as u32), None);
        self.symbols.push(Symbol {
            start: CodeOffset(start),
            size: function.code.len() as u32,
            kind,
        });
        Ok(())
    }

    fn finish(mut self, name: String, module: Option<Arc<Module>>) -> CodeImage {
        CodeImage {
            name,
            module,
            text: self.text.finish(&mut ControlPlane::default()),
            symbols: self.symbols,
            traps: self.traps,
            handlers: self.handlers,
            locations: self.locations,
        }
    }
}
