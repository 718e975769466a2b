//! What the functions of a module share while they are translated.

use crate::signature::VECTOR;
use crate::{Options, isa};
use cranelift_codegen::ir::{ConstantData, InstBuilder, Type, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilder;
use wasmprof_image::abi::VmctxLayout;
use wasmprof_module::{ConstExpr, ConstOp, Module};

/// A module and how it is compiled; shared by all threads.
pub(crate) struct ModuleEnv<'a> {
    pub(crate) module: &'a Module,
    pub(crate) isa: &'a dyn TargetIsa,
    pub(crate) layout: VmctxLayout,
    /// Memories whose type allows it have a guard.
    pub(crate) guarded_memories: bool,
    /// An exchange is the fastest atomic store.
    pub(crate) stores_by_exchange: bool,
    /// Rounding a float is an instruction.
    pub(crate) rounds_floats: bool,
    /// Any shuffle of bytes is instructions.
    pub(crate) shuffles_bytes: bool,
    /// NaNs that arithmetic makes have all the same bits.
    pub(crate) canonicalize_nans: bool,
    /// Relaxed operators may do what is fastest here.
    pub(crate) relaxes: bool,
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
            stores_by_exchange: isa::stores_by_exchange(isa),
            rounds_floats: isa::rounds_floats(isa),
            shuffles_bytes: isa::shuffles_bytes(isa),
            canonicalize_nans: options.canonicalize_nans,
            relaxes: !options.relaxed_simd_deterministic,
            epoch_interruption: options.epoch_interruption,
        }
    }

    /// The value of a global that is a number known at compile time.
    pub(super) fn constant_global(&self, index: u32) -> Option<Constant> {
        let global = &self.module.globals[index as usize];
        match global.init.as_ref()? {
            _ if global.ty.mutable => None,
            ConstExpr::One(ConstOp::I32(value)) => Some(Constant::I32(*value)),
            ConstExpr::One(ConstOp::I64(value)) => Some(Constant::I64(*value)),
            ConstExpr::One(ConstOp::V128(value)) => Some(Constant::V128(*value)),
            _ => None,
        }
    }
}

/// An integer or a vector known at compile time.
pub(super) enum Constant {
    I32(i32),
    I64(i64),
    V128(u128),
}

impl Constant {
    pub(super) fn build(&self, builder: &mut FunctionBuilder<'_>) -> Value {
        match *self {
            Constant::I32(value) => builder.ins().iconst(types::I32, i64::from(value)),
            Constant::I64(value) => builder.ins().iconst(types::I64, value),
            Constant::V128(value) => vector(builder, VECTOR, value),
        }
    }
}

/// A constant vector; its first lane is in the low bits.
pub(super) fn vector(builder: &mut FunctionBuilder<'_>, ty: Type, value: u128) -> Value {
    let data = ConstantData::from(&value.to_le_bytes()[..]);
    let constant = builder.func.dfg.constants.insert(data);
    builder.ins().vconst(ty, constant)
}
