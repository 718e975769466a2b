//! Constant expressions: initial values of globals, offsets of segments.

use crate::{Error, FuncIndex};
use wasmparser::Operator;

/// A constant expression that has been validated.
///
/// All but a few have one operator; those are kept without an allocation.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstExpr {
    /// One operator.
    One(ConstOp),
    /// Several, to be evaluated in order on a stack.
    Several(Box<[ConstOp]>),
}

/// An operator of a constant expression.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConstOp {
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
    /// `i32.add`
    I32Add,
    /// `i32.sub`
    I32Sub,
    /// `i32.mul`
    I32Mul,
    /// `i64.add`
    I64Add,
    /// `i64.sub`
    I64Sub,
    /// `i64.mul`
    I64Mul,
}

impl ConstExpr {
    /// Reads an expression that the validator has accepted.
    pub(crate) fn read(expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, Error> {
        let mut reader = expr.get_operators_reader();
        let first = ConstOp::read(&mut reader)?;
        let mut ops = Vec::new();
        while !reader.is_end_then_eof() {
            if ops.is_empty() {
                ops.push(first);
            }
            ops.push(ConstOp::read(&mut reader)?);
        }
        Ok(if ops.is_empty() { ConstExpr::One(first) } else { ConstExpr::Several(ops.into()) })
    }

    /// The operators, in the order of evaluation.
    pub fn ops(&self) -> &[ConstOp] {
        match self {
            ConstExpr::One(op) => std::slice::from_ref(op),
            ConstExpr::Several(ops) => ops,
        }
    }

    /// The functions that the expression refers to.
    pub fn functions(&self) -> impl Iterator<Item = FuncIndex> + '_ {
        self.ops().iter().filter_map(|op| match op {
            ConstOp::RefFunc(index) => Some(*index),
            _ => None,
        })
    }
}

impl ConstOp {
    fn read(reader: &mut wasmparser::OperatorsReader<'_>) -> Result<ConstOp, Error> {
        let offset = reader.original_position();
        Ok(match reader.read()? {
            Operator::I32Const { value } => ConstOp::I32(value),
            Operator::I64Const { value } => ConstOp::I64(value),
            Operator::F32Const { value } => ConstOp::F32(value.bits()),
            Operator::F64Const { value } => ConstOp::F64(value.bits()),
            Operator::V128Const { value } => ConstOp::V128(value.into()),
            Operator::GlobalGet { global_index } => ConstOp::Global(global_index),
            Operator::RefNull { .. } => ConstOp::RefNull,
            Operator::RefFunc { function_index } => ConstOp::RefFunc(FuncIndex(function_index)),
            Operator::I32Add => ConstOp::I32Add,
            Operator::I32Sub => ConstOp::I32Sub,
            Operator::I32Mul => ConstOp::I32Mul,
            Operator::I64Add => ConstOp::I64Add,
            Operator::I64Sub => ConstOp::I64Sub,
            Operator::I64Mul => ConstOp::I64Mul,
            other => {
                return Err(Error::invalid(
                    offset,
                    format!("{other:?} is not allowed in a constant expression"),
                ));
            }
        })
    }
}
