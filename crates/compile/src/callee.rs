//! What the code of a module may call by its place in the same image.

use cranelift_codegen::ir::UserExternalName;
use wasmprof_module::FuncIndex;

/// A function, or a stub of which an image has one when something calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Callee {
    /// One of the module's own functions.
    Function(FuncIndex),
    /// The stub that calls an import from where exceptions are caught.
    Import(FuncIndex),
    /// The stub that throws an exception.
    Throw,
}

impl Callee {
    /// The callee as CLIF names it.
    pub(crate) fn name(self) -> UserExternalName {
        let (namespace, index) = match self {
            Callee::Function(index) => (0, index.0),
            Callee::Import(index) => (1, index.0),
            Callee::Throw => (2, 0),
        };
        UserExternalName { namespace, index }
    }

    /// What a name of CLIF stands for.
    pub(crate) fn named(name: &UserExternalName) -> Callee {
        match name.namespace {
            0 => Callee::Function(FuncIndex(name.index)),
            1 => Callee::Import(FuncIndex(name.index)),
            _ => Callee::Throw,
        }
    }
}
