//! Vectors with lanes of another width or kind: widening and narrowing, floats
//! and integers, and sums and products that are wider than what they are of.

use super::{SIGNED, Translator, UNSIGNED, UnaryIns};
use cranelift_codegen::ir::{InstBuilder, Type, types};
use wasmparser::Operator;

impl Translator<'_> {
    pub(super) fn vector_conversion_operator(&mut self, op: &Operator<'_>) -> bool {
        self.widening_sum(op) || self.between_floats_and_integers(op) || self.resizing(op)
    }

    fn resizing(&mut self, op: &Operator<'_>) -> bool {
        table! { self, op;
            unary swiden_low: I16x8ExtendLowI8x16S I8X16, I32x4ExtendLowI16x8S I16X8,
                I64x2ExtendLowI32x4S I32X4;
            unary swiden_high: I16x8ExtendHighI8x16S I8X16, I32x4ExtendHighI16x8S I16X8,
                I64x2ExtendHighI32x4S I32X4;
            unary uwiden_low: I16x8ExtendLowI8x16U I8X16, I32x4ExtendLowI16x8U I16X8,
                I64x2ExtendLowI32x4U I32X4;
            unary uwiden_high: I16x8ExtendHighI8x16U I8X16, I32x4ExtendHighI16x8U I16X8,
                I64x2ExtendHighI32x4U I32X4;
            unary fvpromote_low: F64x2PromoteLowF32x4 F32X4;
            unary fvdemote: F32x4DemoteF64x2Zero F64X2;

            binary snarrow: I8x16NarrowI16x8S I16X8, I16x8NarrowI32x4S I32X4;
            binary unarrow: I8x16NarrowI16x8U I16X8, I16x8NarrowI32x4U I32X4;

            product swiden_low: I16x8ExtMulLowI8x16S I8X16, I32x4ExtMulLowI16x8S I16X8,
                I64x2ExtMulLowI32x4S I32X4;
            product swiden_high: I16x8ExtMulHighI8x16S I8X16, I32x4ExtMulHighI16x8S I16X8,
                I64x2ExtMulHighI32x4S I32X4;
            product uwiden_low: I16x8ExtMulLowI8x16U I8X16, I32x4ExtMulLowI16x8U I16X8,
                I64x2ExtMulLowI32x4U I32X4;
            product uwiden_high: I16x8ExtMulHighI8x16U I8X16, I32x4ExtMulHighI16x8U I16X8,
                I64x2ExtMulHighI32x4U I32X4;
        }
        true
    }

    /// Sums of neighbours. Cranelift has instructions for these patterns.
    fn widening_sum(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::I16x8ExtAddPairwiseI8x16S => self.pairwise_sum(types::I8X16, SIGNED),
            Operator::I16x8ExtAddPairwiseI8x16U => self.pairwise_sum(types::I8X16, UNSIGNED),
            Operator::I32x4ExtAddPairwiseI16x8S => self.pairwise_sum(types::I16X8, SIGNED),
            Operator::I32x4ExtAddPairwiseI16x8U => self.pairwise_sum(types::I16X8, UNSIGNED),
            Operator::I32x4DotI16x8S => {
                let (a, b) = self.pop2_as(types::I16X8);
                let [low, high] = SIGNED.map(|widen| self.widened_product(a, b, widen));
                let value = self.ins().iadd_pairwise(low, high);
                self.push(value);
            }
            _ => return false,
        }
        true
    }

    fn pairwise_sum(&mut self, ty: Type, widen: [UnaryIns; 2]) {
        let vector = self.pop_as(ty);
        let [low, high] = widen.map(|widen| widen(self.ins(), vector));
        let value = self.ins().iadd_pairwise(low, high);
        self.push(value);
    }

    fn between_floats_and_integers(&mut self, op: &Operator<'_>) -> bool {
        use types::{F32X4, F64X2, I32X4, I64X2};
        match *op {
            Operator::F32x4ConvertI32x4S => {
                self.vector_unary(I32X4, |ins, a| ins.fcvt_from_sint(F32X4, a));
            }
            Operator::F32x4ConvertI32x4U => {
                self.vector_unary(I32X4, |ins, a| ins.fcvt_from_uint(F32X4, a));
            }
            Operator::F64x2ConvertLowI32x4S => {
                let vector = self.pop_as(I32X4);
                let wide = self.ins().swiden_low(vector);
                let value = self.ins().fcvt_from_sint(F64X2, wide);
                self.push(value);
            }
            Operator::F64x2ConvertLowI32x4U => {
                let vector = self.pop_as(I32X4);
                let wide = self.ins().uwiden_low(vector);
                let value = self.ins().fcvt_from_uint(F64X2, wide);
                self.push(value);
            }
            Operator::I32x4TruncSatF32x4S => {
                self.vector_unary(F32X4, |ins, a| ins.fcvt_to_sint_sat(I32X4, a));
            }
            Operator::I32x4TruncSatF32x4U | Operator::I32x4RelaxedTruncF32x4U => {
                self.vector_unary(F32X4, |ins, a| ins.fcvt_to_uint_sat(I32X4, a));
            }
            Operator::I32x4TruncSatF64x2SZero => {
                self.truncate_f64x2(|ins, a| ins.fcvt_to_sint_sat(I64X2, a));
            }
            Operator::I32x4TruncSatF64x2UZero | Operator::I32x4RelaxedTruncF64x2UZero => {
                self.truncate_f64x2_unsigned();
            }
            _ => return false,
        }
        true
    }

    /// Two floats to the two low lanes, the others being zero; `ins` makes wide
    /// integers of them. Cranelift knows the pattern, not its parts.
    pub(super) fn truncate_f64x2(&mut self, ins: UnaryIns) {
        let vector = self.pop_as(types::F64X2);
        let wide = ins(self.ins(), vector);
        let zero = self.zero(types::I64X2);
        let value = self.ins().snarrow(wide, zero);
        self.push(value);
    }

    /// As [`truncate_f64x2`](Self::truncate_f64x2) and without sign. The pattern
    /// for that rounds; where rounding is no instruction, each lane goes alone.
    fn truncate_f64x2_unsigned(&mut self) {
        let vector = self.pop_as(types::F64X2);
        let value = if self.env.rounds_floats {
            let wide = self.ins().fcvt_to_uint_sat(types::I64X2, vector);
            let zero = self.zero(types::I64X2);
            self.ins().uunarrow(wide, zero)
        } else {
            let mut value = self.zero(types::I32X4);
            for lane in 0..2 {
                let float = self.ins().extractlane(vector, lane);
                let integer = self.ins().fcvt_to_uint_sat(types::I32, float);
                value = self.ins().insertlane(value, integer, lane);
            }
            value
        };
        self.push(value);
    }
}
