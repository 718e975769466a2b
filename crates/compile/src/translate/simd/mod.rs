//! Vectors.
//!
//! WebAssembly has one type for them, CLIF one for each kind of lanes. An
//! operand keeps the type that it was made with, and is popped as the type that
//! the operator wants; where the two differ, a bitcast says so, which is no
//! instruction. What of the vectors is passed on has another type, see
//! [`Translator::canonical`].
//!
//! Most operators are an instruction of CLIF, and in tables. What the processor
//! of the base architecture has no instructions for, Cranelift would leave to
//! library functions by their absolute addresses; a builtin does it instead, or
//! other instructions.

use super::Translator;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::Operator;

/// An instruction with one operand.
type UnaryIns = fn(FuncInstBuilder<'_, '_>, Value) -> Value;
/// An instruction with two operands.
type BinaryIns = fn(FuncInstBuilder<'_, '_>, Value, Value) -> Value;

/// How the lower and the upper half of a vector are widened, with signs.
const SIGNED: [UnaryIns; 2] = [|ins, a| ins.swiden_low(a), |ins, a| ins.swiden_high(a)];
/// How they are widened without.
const UNSIGNED: [UnaryIns; 2] = [|ins, a| ins.uwiden_low(a), |ins, a| ins.uwiden_high(a)];

/// Matches operators against a table with rows `kind instruction: operator
/// type of the operands, ...;` for the kinds of [`translate`].
macro_rules! table {
    ($self:ident, $op:ident; $($kind:ident $ins:ident: $($name:ident $ty:ident),+;)*) => {
        match *$op {
            $($(Operator::$name => translate!($kind $self $ins $ty),)+)*
            _ => return false,
        }
    };
}

/// What becomes of an operator in a table.
macro_rules! translate {
    (unary $self:ident $ins:ident $ty:ident) => {
        $self.vector_unary(types::$ty, |ins, a| ins.$ins(a))
    };
    (binary $self:ident $ins:ident $ty:ident) => {
        $self.vector_binary(types::$ty, |ins, a, b| ins.$ins(a, b))
    };
    // A vector and by how much each lane is shifted, modulo its width.
    (shift $self:ident $ins:ident $ty:ident) => {
        $self.vector_shift(types::$ty, |ins, a, b| ins.$ins(a, b))
    };
    // Lanes of ones where the condition holds.
    (compare $self:ident $condition:ident $ty:ident) => {
        $self.vector_binary(types::$ty, |ins, a, b| ins.icmp(IntCC::$condition, a, b))
    };
    (float_compare $self:ident $condition:ident $ty:ident) => {
        $self.vector_binary(types::$ty, |ins, a, b| ins.fcmp(FloatCC::$condition, a, b))
    };
    // From a vector to 0 or 1.
    (test $self:ident $ins:ident $ty:ident) => {
        $self.vector_test(types::$ty, |ins, a| ins.$ins(a))
    };
    // The product of lanes that are widened first.
    (product $self:ident $widen:ident $ty:ident) => {
        $self.vector_product(types::$ty, |ins, a| ins.$widen(a))
    };
}

mod arithmetic;
mod convert;
mod lanes;
mod memory;
mod relaxed;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

impl Translator<'_> {
    pub(super) fn simd_operator(&mut self, op: &Operator<'_>) -> bool {
        self.vector_memory_operator(op)
            || self.lane_operator(op)
            || self.vector_arithmetic_operator(op)
            || self.vector_conversion_operator(op)
            || self.relaxed_operator(op)
    }

    fn pop_as(&mut self, ty: Type) -> Value {
        let value = self.pop();
        self.with_type(value, ty)
    }

    fn pop2_as(&mut self, ty: Type) -> (Value, Value) {
        let b = self.pop_as(ty);
        (self.pop_as(ty), b)
    }

    fn pop3_as(&mut self, ty: Type) -> (Value, Value, Value) {
        let c = self.pop_as(ty);
        let (a, b) = self.pop2_as(ty);
        (a, b, c)
    }

    fn vector_unary(&mut self, ty: Type, ins: UnaryIns) {
        let operand = self.pop_as(ty);
        let value = ins(self.ins(), operand);
        self.push(value);
    }

    fn vector_binary(&mut self, ty: Type, ins: BinaryIns) {
        let (a, b) = self.pop2_as(ty);
        let value = ins(self.ins(), a, b);
        self.push(value);
    }

    fn vector_shift(&mut self, ty: Type, ins: BinaryIns) {
        let count = self.pop();
        let vector = self.pop_as(ty);
        let value = ins(self.ins(), vector, count);
        self.push(value);
    }

    fn vector_test(&mut self, ty: Type, ins: UnaryIns) {
        let vector = self.pop_as(ty);
        let holds = ins(self.ins(), vector);
        let value = self.ins().uextend(types::I32, holds);
        self.push(value);
    }

    fn vector_product(&mut self, ty: Type, widen: UnaryIns) {
        let (a, b) = self.pop2_as(ty);
        let value = self.widened_product(a, b, widen);
        self.push(value);
    }

    fn widened_product(&mut self, a: Value, b: Value, widen: UnaryIns) -> Value {
        let (a, b) = (widen(self.ins(), a), widen(self.ins(), b));
        self.ins().imul(a, b)
    }
}
