//! Constant expressions: initial values of globals, offsets of segments.

use crate::{Error, FuncIndex};
use wasmparser::Operator;

/// A constant expression that has been validated.
///
/// WebAssembly 2.0 allows exactly one instruction before the `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConstExpr {
    /// `i32.const`
    I32(i32),
    /// `i64.const`
    I64(i64),
    /// `f32.const`, as bits
    F32(u32),
    /// `f64.const`, as bits
    F64(u64),
    /// `v128.const`, the first lane in the low bits
    V128(u128),
    /// `global.get` of the global with this index
    Global(u32),
    /// `ref.null` of any type
    RefNull,
    /// `ref.func`
    RefFunc(FuncIndex),
}

impl ConstExpr {
    /// Reads an expression that the validator has accepted.
    pub(crate) fn read(expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, Error> {
        let mut reader = expr.get_operators_reader();
        let offset = reader.original_position();
        let value = match reader.read()? {
            Operator::I32Const { value } => ConstExpr::I32(value),
            Operator::I64Const { value } => ConstExpr::I64(value),
            Operator::F32Const { value } => ConstExpr::F32(value.bits()),
            Operator::F64Const { value } => ConstExpr::F64(value.bits()),
            Operator::V128Const { value } => ConstExpr::V128(value.into()),
            Operator::GlobalGet { global_index } => ConstExpr::Global(global_index),
            Operator::RefNull { .. } => ConstExpr::RefNull,
            Operator::RefFunc { function_index } => ConstExpr::RefFunc(FuncIndex(function_index)),
            other => {
                return Err(Error::invalid(
                    offset,
                    format!("{other:?} is not allowed in a constant expression"),
                ));
            }
        };
        Ok(value)
    }
}
