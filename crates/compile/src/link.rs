//! Puts functions side by side and resolves the calls between them.

use crate::Error;
use crate::function::CompiledFunction;
use cranelift_codegen::TextSectionBuilder;
use cranelift_codegen::isa::TargetIsa;
use cranelift_control::ControlPlane;
use std::sync::Arc;
use wasmprof_image::{CodeImage, CodeOffset, LocationTable, Symbol, SymbolKind, TrapTable};
use wasmprof_module::{FuncIndex, Module};

/// The image of a module, from the code of each of its own functions in order.
pub(crate) fn module_image(
    isa: &dyn TargetIsa,
    module: Arc<Module>,
    functions: Vec<CompiledFunction>,
    name: &str,
) -> Result<CodeImage, Error> {
    let first = module.imported_functions;
    let mut linker = Linker::new(isa, functions.len(), first);
    for (index, function) in (first..).map(FuncIndex).zip(functions) {
        linker.append(SymbolKind::Function(index), function)?;
    }
    Ok(linker.finish(name.to_owned(), Some(module)))
}

/// An image of stubs with their names.
pub(crate) fn stub_image(
    isa: &dyn TargetIsa,
    name: String,
    stubs: impl IntoIterator<Item = (String, CompiledFunction)>,
) -> Result<CodeImage, Error> {
    let mut linker = Linker::new(isa, 0, 0);
    for (name, stub) in stubs {
        linker.append(SymbolKind::Stub(name.into()), stub)?;
    }
    Ok(linker.finish(name, None))
}

struct Linker {
    text: Box<dyn TextSectionBuilder>,
    /// The index of the function with label 0.
    first: u32,
    symbols: Vec<Symbol>,
    traps: TrapTable,
    locations: LocationTable,
}

impl Linker {
    fn new(isa: &dyn TargetIsa, functions: usize, first: u32) -> Self {
        Linker {
            text: isa.text_section_builder(functions),
            first,
            symbols: Vec::with_capacity(functions),
            traps: TrapTable::default(),
            locations: LocationTable::default(),
        }
    }

    fn append(&mut self, kind: SymbolKind, function: CompiledFunction) -> Result<(), Error> {
        let labeled = matches!(kind, SymbolKind::Function(_));
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
            let label = (call.callee.0 - self.first) as usize;
            if !self.text.resolve_reloc(at, call.kind, call.addend, label) {
                return Err(failed(&format!("the code has a relocation {:?}", call.kind)));
            }
        }
        for (offset, code) in &function.traps {
            self.traps.push(place(*offset), *code);
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
            locations: self.locations,
        }
    }
}
