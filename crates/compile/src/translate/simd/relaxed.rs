//! Operators whose results may differ between processors, within limits: what
//! the target does in the fewest instructions.
//!
//! Where it has nothing faster, or results shall be deterministic, they do what
//! the operators do that they relax. So do minimum and maximum where NaNs are
//! canonical, for the fast ones pass NaNs on.

use super::{SIGNED, Translator, UNSIGNED, UnaryIns};
use crate::isa::{self, is_x86};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use wasmparser::Operator;
use wasmprof_image::abi::Builtin;

impl Translator<'_> {
    pub(super) fn relaxed_operator(&mut self, op: &Operator<'_>) -> bool {
        use types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
        let (isa, relaxes) = (self.env.isa, self.env.relaxes);
        match *op {
            Operator::I8x16RelaxedSwizzle => self.relaxed_swizzle(),
            Operator::I32x4RelaxedTruncF32x4S => self.vector_unary(
                F32X4,
                if relaxes && is_x86(isa) {
                    |ins, a| ins.x86_cvtt2dq(I32X4, a)
                } else {
                    |ins, a| ins.fcvt_to_sint_sat(I32X4, a)
                },
            ),
            Operator::I32x4RelaxedTruncF64x2SZero => {
                self.truncate_f64x2(if relaxes && is_x86(isa) {
                    |ins, a| ins.x86_cvtt2dq(I64X2, a)
                } else {
                    |ins, a| ins.fcvt_to_sint_sat(I64X2, a)
                });
            }
            Operator::F32x4RelaxedMadd => self.multiply_add(F32X4, Builtin::F32x4Fma),
            Operator::F64x2RelaxedMadd => self.multiply_add(F64X2, Builtin::F64x2Fma),
            Operator::F32x4RelaxedNmadd => self.negative_multiply_add(F32X4, Builtin::F32x4Fma),
            Operator::F64x2RelaxedNmadd => self.negative_multiply_add(F64X2, Builtin::F64x2Fma),
            Operator::I8x16RelaxedLaneselect => self.lane_select(I8X16),
            Operator::I16x8RelaxedLaneselect => self.lane_select(I16X8),
            Operator::I32x4RelaxedLaneselect => self.lane_select(I32X4),
            Operator::I64x2RelaxedLaneselect => self.lane_select(I64X2),
            Operator::F32x4RelaxedMin => self.relaxed_minimum(F32X4),
            Operator::F64x2RelaxedMin => self.relaxed_minimum(F64X2),
            Operator::F32x4RelaxedMax => self.relaxed_maximum(F32X4),
            Operator::F64x2RelaxedMax => self.relaxed_maximum(F64X2),
            Operator::I16x8RelaxedQ15mulrS => self.vector_binary(
                I16X8,
                if relaxes && isa.has_x86_pmulhrsw_lowering() {
                    |ins, a, b| ins.x86_pmulhrsw(a, b)
                } else {
                    |ins, a, b| ins.sqmul_round_sat(a, b)
                },
            ),
            Operator::I16x8RelaxedDotI8x16I7x16S => self.dot(),
            Operator::I32x4RelaxedDotI8x16I7x16AddS => self.dot_add(),
            // The others are translated as those that are not relaxed.
            _ => return false,
        }
        true
    }

    /// A position that is too large gives zero, or counts modulo 16.
    fn relaxed_swizzle(&mut self) {
        let (vector, lanes) = self.pop2_as(types::I8X16);
        let value = if self.env.relaxes && self.env.isa.has_x86_pshufb_lowering() {
            self.ins().x86_pshufb(vector, lanes)
        } else {
            self.swizzle(vector, lanes)
        };
        self.push(value);
    }

    /// `a * b + c`, rounded once or twice; once is deterministic.
    fn multiply_add(&mut self, ty: Type, fused: Builtin) {
        let (a, b, c) = self.pop3_as(ty);
        let value = if self.env.isa.has_native_fma() {
            self.ins().fma(a, b, c)
        } else if self.env.relaxes {
            let product = self.ins().fmul(a, b);
            self.ins().fadd(product, c)
        } else {
            self.call_arithmetic(fused, ty, &[a, b, c])
        };
        self.push(value);
    }

    /// `-(a * b) + c`, likewise.
    fn negative_multiply_add(&mut self, ty: Type, fused: Builtin) {
        let (a, b, c) = self.pop3_as(ty);
        let value = if self.env.isa.has_native_fma() {
            let negative = self.ins().fneg(a);
            self.ins().fma(negative, b, c)
        } else if self.env.relaxes {
            let product = self.ins().fmul(a, b);
            self.ins().fsub(c, product)
        } else {
            let negative = self.ins().fneg(a);
            self.call_arithmetic(fused, ty, &[negative, b, c])
        };
        self.push(value);
    }

    /// Lanes by a mask that has only ones or only zeros in each; what others
    /// give is open, within limits.
    fn lane_select(&mut self, ty: Type) {
        let mask = self.pop_as(ty);
        if self.env.relaxes && self.env.isa.has_blendv_lowering(ty) {
            let (a, b) = self.pop2_as(ty);
            let value = self.ins().blendv(mask, a, b);
            self.push(value);
        } else {
            self.bitselect(mask);
        }
    }

    /// NaNs and zeros of both signs give either operand, or what they give to
    /// the minimum that is not relaxed.
    fn relaxed_minimum(&mut self, ty: Type) {
        if self.picks_operands() {
            self.pseudo_minimum(ty);
        } else {
            self.vector_binary(ty, |ins, a, b| ins.fmin(a, b));
        }
    }

    /// See [`relaxed_minimum`](Self::relaxed_minimum).
    fn relaxed_maximum(&mut self, ty: Type) {
        if self.picks_operands() {
            self.pseudo_maximum(ty);
        } else {
            self.vector_binary(ty, |ins, a, b| ins.fmax(a, b));
        }
    }

    fn picks_operands(&self) -> bool {
        self.env.relaxes && is_x86(self.env.isa) && !self.env.canonicalize_nans
    }

    /// Sums of two neighbouring products of bytes. Where a byte of the second
    /// operand has its highest bit set, it may count as signed or not.
    fn dot(&mut self) {
        let (a, b) = self.pop2_as(types::I8X16);
        let value = if self.env.relaxes && self.env.isa.has_x86_pmaddubsw_lowering() {
            self.ins().x86_pmaddubsw(a, b)
        } else {
            let [low, high] = SIGNED.map(|widen| self.widened_product(a, b, widen));
            self.ins().iadd_pairwise(low, high)
        };
        self.push(value);
    }

    /// Sums of four neighbouring products, added to a vector. Sums of two may be
    /// limited to 16 bits on the way.
    fn dot_add(&mut self) {
        let sum = self.pop_as(types::I32X4);
        let (a, b) = self.pop2_as(types::I8X16);
        let products = if self.env.relaxes && isa::sums_byte_products(self.env.isa) {
            self.sums_of_four(a, b, UNSIGNED)
        } else if self.env.relaxes && self.env.isa.has_x86_pmaddubsw_lowering() {
            let sums_of_two = self.ins().x86_pmaddubsw(a, b);
            self.widened_sum(sums_of_two)
        } else {
            self.sums_of_four(a, b, SIGNED)
        };
        let value = self.ins().iadd(products, sum);
        self.push(value);
    }

    /// Sums of four neighbouring products of a signed byte and one that is
    /// widened by `widen`. For unsigned ones there is an instruction, which has
    /// this pattern.
    fn sums_of_four(&mut self, a: Value, b: Value, widen: [UnaryIns; 2]) -> Value {
        let [low, high] = [0, 1].map(|half| {
            let (a, b) = (SIGNED[half](self.ins(), a), widen[half](self.ins(), b));
            let products = self.ins().imul(a, b);
            self.widened_sum(products)
        });
        self.ins().iadd_pairwise(low, high)
    }

    /// Sums of two neighbouring lanes, twice as wide.
    fn widened_sum(&mut self, vector: Value) -> Value {
        let low = self.ins().swiden_low(vector);
        let high = self.ins().swiden_high(vector);
        self.ins().iadd_pairwise(low, high)
    }
}
