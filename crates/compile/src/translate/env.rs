//! What the functions of a module share while they are translated.

use crate::{Options, isa};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilder;
use wasmprof_image::abi::VmctxLayout;
use wasmprof_module::{ConstExpr, Module};

/// A module and how it is compiled; shared by all threads.
pub(crate) struct ModuleEnv<'a> {
    pub(crate) module: &'a Module,
    pub(crate) isa: &'a dyn TargetIsa,
    pub(crate) layout: VmctxLayout,
    /// No access to a memory with a 32-bit index needs a check.
    pub(crate) guarded_memories: bool,
    /// Rounding a float is an instruction.
    pub(crate) rounds_floats: bool,
    /// NaNs that arithmetic makes have all the same bits.
    pub(crate) canonicalize_nans: bool,
    /// Functions and loops look whether they are to be interrupted.
    pub(crate) epoch_interruption: bool,
}

impl<'a> ModuleEnv<'a> {
    pub(crate) fn new(module: &'a Module, isa: &'a dyn TargetIsa, options: &Options) -> Self {
        ModuleEnv {
            module,
            isa,
            layout: VmctxLayout::new(module),
            guarded_memories: options.guarded_memories,
            rounds_floats: isa::rounds_floats(isa),
            canonicalize_nans: options.canonicalize_nans,
            epoch_interruption: options.epoch_interruption,
        }
    }

    /// The value of a global that is a number known at compile time.
    pub(super) fn constant_global(&self, index: u32) -> Option<Constant> {
        let global = &self.module.globals[index as usize];
        match global.init? {
            _ if global.ty.mutable => None,
            ConstExpr::I32(value) => Some(Constant::I32(value)),
            ConstExpr::I64(value) => Some(Constant::I64(value)),
            _ => None,
        }
    }
}

/// An integer known at compile time.
pub(super) enum Constant {
    I32(i32),
    I64(i64),
}

impl Constant {
    pub(super) fn build(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        match *self {
            Constant::I32(value) => builder.ins().iconst(types::I32, i64::from(value)),
            Constant::I64(value) => builder.ins().iconst(types::I64, value),
        }
    }
}
