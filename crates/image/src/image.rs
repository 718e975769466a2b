//! The code image: machine code and everything that is known about it.

use crate::{CodeOffset, HandlerTable, LocationTable, Symbol, SymbolKind, TrapTable};
use std::borrow::Cow;
use std::sync::Arc;
use wasmprof_module::Module;

/// Machine code that can be mapped at any address, with its metadata.
///
/// The text has no relocations left: what code needs from outside it finds
/// through its vmctx (see [`abi`](crate::abi)), so the bytes here are the bytes
/// that run. Symbols are sorted and do not overlap; what lies between them is
/// padding and is never executed.
#[derive(Clone, Debug)]
pub struct CodeImage {
    /// What people call it: the module's name or file, or what the stubs are for.
    pub name: String,
    /// The module that was compiled; `None` if there are only stubs.
    pub module: Option<Arc<Module>>,
    /// The machine code.
    pub text: Vec<u8>,
    /// Functions, trampolines and stubs, sorted by start.
    pub symbols: Vec<Symbol>,
    /// The instructions that may trap.
    pub traps: TrapTable,
    /// The calls that catch exceptions.
    pub handlers: HandlerTable,
    /// Where in the module the code came from.
    pub locations: LocationTable,
}

impl CodeImage {
    /// The symbol whose code contains `offset`.
    pub fn symbol_at(&self, offset: CodeOffset) -> Option<&Symbol> {
        let after = self.symbols.partition_point(|symbol| symbol.start <= offset);
        let symbol = &self.symbols[after.checked_sub(1)?];
        symbol.range().contains(&offset).then_some(symbol)
    }

    /// What to call a symbol; see [`Module::function_name`].
    pub fn symbol_name<'a>(&'a self, symbol: &'a Symbol) -> Cow<'a, str> {
        match (&symbol.kind, &self.module) {
            (SymbolKind::Stub(name), _) => Cow::Borrowed(name),
            (SymbolKind::Function(index), Some(module)) => module.function_name(*index),
            (SymbolKind::Function(index), None) => {
                Cow::Owned(format!("wasm-function[{}]", index.0))
            }
        }
    }

    /// Every byte of a mapping of `mapped` bytes under exactly one symbol:
    /// each symbol with its start and the bytes to the next one, so that the
    /// padding behind a symbol belongs to it.
    pub fn cover(&self, mapped: usize) -> impl Iterator<Item = (CodeOffset, usize, &Symbol)> {
        self.symbols.iter().enumerate().map(move |(i, symbol)| {
            let start = if i == 0 { 0 } else { symbol.start.index() };
            let end = self.symbols.get(i + 1).map_or(mapped, |next| next.start.index());
            (CodeOffset(start as u32), end - start, symbol)
        })
    }
}
