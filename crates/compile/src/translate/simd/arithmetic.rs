//! Arithmetic, comparisons and bits of vectors, lane by lane.

use super::Translator;
use crate::signature::VECTOR;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use wasmparser::Operator;
use wasmprof_image::abi::Builtin;

use super::super::numeric::RoundIns;

impl Translator<'_> {
    pub(super) fn vector_arithmetic_operator(&mut self, op: &Operator<'_>) -> bool {
        self.choosing(op) || self.vector_rounding(op) || self.regular_vector_operator(op)
    }

    fn regular_vector_operator(&mut self, op: &Operator<'_>) -> bool {
        table! { self, op;
            unary ineg: I8x16Neg I8X16, I16x8Neg I16X8, I32x4Neg I32X4, I64x2Neg I64X2;
            unary iabs: I8x16Abs I8X16, I16x8Abs I16X8, I32x4Abs I32X4, I64x2Abs I64X2;
            unary popcnt: I8x16Popcnt I8X16;
            unary bnot: V128Not I8X16;
            unary fneg: F32x4Neg F32X4, F64x2Neg F64X2;
            unary fabs: F32x4Abs F32X4, F64x2Abs F64X2;
            unary sqrt: F32x4Sqrt F32X4, F64x2Sqrt F64X2;

            binary iadd: I8x16Add I8X16, I16x8Add I16X8, I32x4Add I32X4, I64x2Add I64X2;
            binary isub: I8x16Sub I8X16, I16x8Sub I16X8, I32x4Sub I32X4, I64x2Sub I64X2;
            binary imul: I16x8Mul I16X8, I32x4Mul I32X4, I64x2Mul I64X2;
            binary sadd_sat: I8x16AddSatS I8X16, I16x8AddSatS I16X8;
            binary uadd_sat: I8x16AddSatU I8X16, I16x8AddSatU I16X8;
            binary ssub_sat: I8x16SubSatS I8X16, I16x8SubSatS I16X8;
            binary usub_sat: I8x16SubSatU I8X16, I16x8SubSatU I16X8;
            binary smin: I8x16MinS I8X16, I16x8MinS I16X8, I32x4MinS I32X4;
            binary umin: I8x16MinU I8X16, I16x8MinU I16X8, I32x4MinU I32X4;
            binary smax: I8x16MaxS I8X16, I16x8MaxS I16X8, I32x4MaxS I32X4;
            binary umax: I8x16MaxU I8X16, I16x8MaxU I16X8, I32x4MaxU I32X4;
            binary avg_round: I8x16AvgrU I8X16, I16x8AvgrU I16X8;
            binary sqmul_round_sat: I16x8Q15MulrSatS I16X8;
            binary band: V128And I8X16;
            binary band_not: V128AndNot I8X16;
            binary bor: V128Or I8X16;
            binary bxor: V128Xor I8X16;
            binary fadd: F32x4Add F32X4, F64x2Add F64X2;
            binary fsub: F32x4Sub F32X4, F64x2Sub F64X2;
            binary fmul: F32x4Mul F32X4, F64x2Mul F64X2;
            binary fdiv: F32x4Div F32X4, F64x2Div F64X2;
            binary fmin: F32x4Min F32X4, F64x2Min F64X2;
            binary fmax: F32x4Max F32X4, F64x2Max F64X2;

            shift ishl: I8x16Shl I8X16, I16x8Shl I16X8, I32x4Shl I32X4, I64x2Shl I64X2;
            shift sshr: I8x16ShrS I8X16, I16x8ShrS I16X8, I32x4ShrS I32X4, I64x2ShrS I64X2;
            shift ushr: I8x16ShrU I8X16, I16x8ShrU I16X8, I32x4ShrU I32X4, I64x2ShrU I64X2;

            compare Equal: I8x16Eq I8X16, I16x8Eq I16X8, I32x4Eq I32X4, I64x2Eq I64X2;
            compare NotEqual: I8x16Ne I8X16, I16x8Ne I16X8, I32x4Ne I32X4, I64x2Ne I64X2;
            compare SignedLessThan:
                I8x16LtS I8X16, I16x8LtS I16X8, I32x4LtS I32X4, I64x2LtS I64X2;
            compare SignedGreaterThan:
                I8x16GtS I8X16, I16x8GtS I16X8, I32x4GtS I32X4, I64x2GtS I64X2;
            compare SignedLessThanOrEqual:
                I8x16LeS I8X16, I16x8LeS I16X8, I32x4LeS I32X4, I64x2LeS I64X2;
            compare SignedGreaterThanOrEqual:
                I8x16GeS I8X16, I16x8GeS I16X8, I32x4GeS I32X4, I64x2GeS I64X2;
            compare UnsignedLessThan: I8x16LtU I8X16, I16x8LtU I16X8, I32x4LtU I32X4;
            compare UnsignedGreaterThan: I8x16GtU I8X16, I16x8GtU I16X8, I32x4GtU I32X4;
            compare UnsignedLessThanOrEqual: I8x16LeU I8X16, I16x8LeU I16X8, I32x4LeU I32X4;
            compare UnsignedGreaterThanOrEqual: I8x16GeU I8X16, I16x8GeU I16X8, I32x4GeU I32X4;
            float_compare Equal: F32x4Eq F32X4, F64x2Eq F64X2;
            float_compare NotEqual: F32x4Ne F32X4, F64x2Ne F64X2;
            float_compare LessThan: F32x4Lt F32X4, F64x2Lt F64X2;
            float_compare GreaterThan: F32x4Gt F32X4, F64x2Gt F64X2;
            float_compare LessThanOrEqual: F32x4Le F32X4, F64x2Le F64X2;
            float_compare GreaterThanOrEqual: F32x4Ge F32X4, F64x2Ge F64X2;

            test vany_true: V128AnyTrue I8X16;
            test vall_true: I8x16AllTrue I8X16, I16x8AllTrue I16X8, I32x4AllTrue I32X4,
                I64x2AllTrue I64X2;
        }
        true
    }

    /// Operators that take each lane or bit from one of their operands, and
    /// those that collect the sign bits.
    fn choosing(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::F32x4PMin => self.pseudo_minimum(types::F32X4),
            Operator::F64x2PMin => self.pseudo_minimum(types::F64X2),
            Operator::F32x4PMax => self.pseudo_maximum(types::F32X4),
            Operator::F64x2PMax => self.pseudo_maximum(types::F64X2),
            Operator::V128Bitselect => {
                let mask = self.pop();
                self.bitselect(mask);
            }
            Operator::I8x16Bitmask => self.bitmask(types::I8X16),
            Operator::I16x8Bitmask => self.bitmask(types::I16X8),
            Operator::I32x4Bitmask => self.bitmask(types::I32X4),
            Operator::I64x2Bitmask => self.bitmask(types::I64X2),
            _ => return false,
        }
        true
    }

    /// `b < a ? b : a`, which x86 has as an instruction. It passes NaNs on as
    /// they are.
    pub(super) fn pseudo_minimum(&mut self, ty: Type) {
        let (a, b) = self.pop2_as(ty);
        let less = self.ins().fcmp(FloatCC::LessThan, b, a);
        self.choose(ty, less, b, a);
    }

    /// `a < b ? b : a`, likewise.
    pub(super) fn pseudo_maximum(&mut self, ty: Type) {
        let (a, b) = self.pop2_as(ty);
        let less = self.ins().fcmp(FloatCC::LessThan, a, b);
        self.choose(ty, less, b, a);
    }

    fn choose(&mut self, ty: Type, lanes: Value, if_ones: Value, if_zeros: Value) {
        let lanes = self.with_type(lanes, ty);
        let value = self.ins().bitselect(lanes, if_ones, if_zeros);
        self.push(value);
    }

    /// Takes each bit from the upper of two operands where the mask has a zero.
    /// A comparison keeps its type as a mask: the code for whole lanes is better.
    pub(super) fn bitselect(&mut self, mask: Value) {
        let lanes = self.builder.func.dfg.value_type(mask);
        let ty = if lanes.lane_type().is_int() { lanes } else { VECTOR };
        let (a, b) = self.pop2_as(ty);
        self.choose(ty, mask, a, b);
    }

    fn bitmask(&mut self, ty: Type) {
        let vector = self.pop_as(ty);
        let value = self.ins().vhigh_bits(types::I32, vector);
        self.push(value);
    }

    /// Rounding to integral floats: an instruction, or a builtin.
    fn vector_rounding(&mut self, op: &Operator<'_>) -> bool {
        use types::{F32X4, F64X2};
        let (ty, ins, builtin): (Type, RoundIns, Builtin) = match op {
            Operator::F32x4Ceil => (F32X4, |ins, a| ins.ceil(a), Builtin::F32x4Ceil),
            Operator::F32x4Floor => (F32X4, |ins, a| ins.floor(a), Builtin::F32x4Floor),
            Operator::F32x4Trunc => (F32X4, |ins, a| ins.trunc(a), Builtin::F32x4Trunc),
            Operator::F32x4Nearest => (F32X4, |ins, a| ins.nearest(a), Builtin::F32x4Nearest),
            Operator::F64x2Ceil => (F64X2, |ins, a| ins.ceil(a), Builtin::F64x2Ceil),
            Operator::F64x2Floor => (F64X2, |ins, a| ins.floor(a), Builtin::F64x2Floor),
            Operator::F64x2Trunc => (F64X2, |ins, a| ins.trunc(a), Builtin::F64x2Trunc),
            Operator::F64x2Nearest => (F64X2, |ins, a| ins.nearest(a), Builtin::F64x2Nearest),
            _ => return false,
        };
        let operand = self.pop_as(ty);
        let value = self.round(ins, builtin, operand);
        self.push(value);
        true
    }
}
