//! How functions are called: signatures of compiled code, host functions and
//! builtins.

use cranelift_codegen::ir::{AbiParam, ArgumentPurpose, Signature, Type, types};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use wasmprof_image::abi::{Builtin, BuiltinType};
use wasmprof_module::{FuncType, ValType};

/// The type of addresses.
pub(crate) const POINTER: Type = types::I64;

/// The type of vectors where it is not known what lanes they have.
pub(crate) const VECTOR: Type = types::I8X16;

/// The type that values of a WebAssembly type have in compiled code.
pub(crate) fn value_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => VECTOR,
        ValType::Ref(_) => POINTER,
    }
}

/// Compiled functions: `(vmctx, arguments...) -> results`.
pub(crate) fn wasm(ty: &FuncType) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::special(POINTER, ArgumentPurpose::VMContext));
    signature.params.extend(abi_params(ty.params()));
    signature.returns.extend(abi_params(ty.results()));
    signature
}

/// The stub that throws: `(vmctx, exception)`.
pub(crate) fn throw() -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::special(POINTER, ArgumentPurpose::VMContext));
    signature.params.push(AbiParam::new(POINTER));
    signature
}

/// Host functions: `(environment, caller's vmctx, arguments...)`, then the
/// address of the results if there are two or more. One result is returned.
pub(crate) fn host(isa: &dyn TargetIsa, ty: &FuncType) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([AbiParam::new(POINTER), AbiParam::new(POINTER)]);
    signature.params.extend(abi_params(ty.params()));
    match ty.results() {
        [] => {}
        [result] => signature.returns.push(AbiParam::new(value_type(*result))),
        _ => signature.params.push(AbiParam::new(POINTER)),
    }
    signature
}

/// Functions of the runtime.
pub(crate) fn builtin(isa: &dyn TargetIsa, builtin: Builtin) -> Signature {
    let ty = |ty| {
        AbiParam::new(match ty {
            BuiltinType::Vmctx => POINTER,
            BuiltinType::I32 => types::I32,
            BuiltinType::I64 => types::I64,
            BuiltinType::F32 => types::F32,
            BuiltinType::F64 => types::F64,
            BuiltinType::V128 => VECTOR,
        })
    };
    let (params, result) = builtin.signature();
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend(params.iter().copied().map(ty));
    signature.returns.extend(result.map(ty));
    signature
}

fn abi_params(types: &[ValType]) -> impl Iterator<Item = AbiParam> + '_ {
    types.iter().map(|ty| AbiParam::new(value_type(*ty)))
}
