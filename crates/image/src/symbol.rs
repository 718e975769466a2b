//! Named ranges of machine code.

use crate::CodeOffset;
use std::ops::Range;
use wasmprof_module::FuncIndex;

/// A function, trampoline or stub in a code image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Where its code starts.
    pub start: CodeOffset,
    /// How many bytes of code it has, without padding.
    pub size: u32,
    /// What it is.
    pub kind: SymbolKind,
}

/// What the code of a [`Symbol`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// A function of the WebAssembly module.
    Function(FuncIndex),
    /// Code of ours that is in no module, with its name.
    Stub(Box<str>),
}

impl Symbol {
    /// The range of its code.
    pub fn range(&self) -> Range<CodeOffset> {
        self.start..CodeOffset(self.start.0 + self.size)
    }
}
