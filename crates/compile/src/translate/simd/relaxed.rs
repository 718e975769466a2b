//! Operators whose results may differ between processors, within limits: what
//! the target does in the fewest instructions.
//!
//! Where it has nothing faster, they do what the operators do that they relax.
//! So do minimum and maximum where NaNs are canonical, for the fast ones pass
//! NaNs on.

use super::{Translator, UnaryIns};
use crate::isa::{self, is_x86};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use wasmparser::Operator;

impl Translator<'_> {
    pub(super) fn relaxed_operator(&mut self, op: &Operator<'_>) -> bool {
        use types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
        match *op {
            Operator::I8x16RelaxedSwizzle => self.relaxed_swizzle(),
            Operator::I32x4RelaxedTruncF32x4S => self.vector_unary(
                F32X4,
                if is_x86(self.env.isa) {
                    |ins, a| ins.x86_cvtt2dq(I32X4, a)
                } else {
                    |ins, a| ins.fcvt_to_sint_sat(I32X4, a)
                },
            ),
            Operator::I32x4RelaxedTruncF64x2SZero => self.truncate_f64x2(if is_x86(self.env.isa) {
                |ins, a| ins.x86_cvtt2dq(I64X2, a)
            } else {
                |ins, a| ins.fcvt_to_sint_sat(I64X2, a)
            }),
            Operator::F32x4RelaxedMadd => self.multiply_add(F32X4),
            Operator::F64x2RelaxedMadd => self.multiply_add(F64X2),
            Operator::F32x4RelaxedNmadd => self.negative_multiply_add(F32X4),
            Operator::F64x2RelaxedNmadd => self.negative_multiply_add(F64X2),
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
                if self.env.isa.has_x86_pmulhrsw_lowering() {
                    |ins, a, b| ins.x86_pmulhrsw(a, b)
                } else {
                    |ins, a, b| ins.sqmul_round_sat(a, b)
                },
            ),
            Operator::I16x8RelaxedDotI8x16I7x16S => {
                let (a, b) = self.pop2_as(I8X16);
                let value = self.relaxed_dot(a, b);
                self.push(value);
            }
            Operator::I32x4RelaxedDotI8x16I7x16AddS => {
                let sum = self.pop_as(I32X4);
                let (a, b) = self.pop2_as(I8X16);
                let products = if isa::sums_byte_products(self.env.isa) {
                    self.sums_of_four(a, b)
                } else {
                    let sums_of_two = self.relaxed_dot(a, b);
                    self.widened_sum(sums_of_two)
                };
                let value = self.ins().iadd(products, sum);
                self.push(value);
            }
            // The others are translated as those that are not relaxed.
            _ => return false,
        }
        true
    }

    /// A position that is too large gives zero, or counts modulo 16.
    fn relaxed_swizzle(&mut self) {
        let (vector, lanes) = self.pop2_as(types::I8X16);
        let value = if self.env.isa.has_x86_pshufb_lowering() {
            self.ins().x86_pshufb(vector, lanes)
        } else {
            self.swizzle(vector, lanes)
        };
        self.push(value);
    }

    /// `a * b + c`, rounded once or twice.
    fn multiply_add(&mut self, ty: Type) {
        let (a, b, c) = self.pop3_as(ty);
        let value = if self.env.isa.has_native_fma() {
            self.ins().fma(a, b, c)
        } else {
            let product = self.ins().fmul(a, b);
            self.ins().fadd(product, c)
        };
        self.push(value);
    }

    /// `-(a * b) + c`, likewise.
    fn negative_multiply_add(&mut self, ty: Type) {
        let (a, b, c) = self.pop3_as(ty);
        let value = if self.env.isa.has_native_fma() {
            let negative = self.ins().fneg(a);
            self.ins().fma(negative, b, c)
        } else {
            let product = self.ins().fmul(a, b);
            self.ins().fsub(c, product)
        };
        self.push(value);
    }

    /// Lanes by a mask that has only ones or only zeros in each; what others
    /// give is open, within limits.
    fn lane_select(&mut self, ty: Type) {
        let mask = self.pop_as(ty);
        if self.env.isa.has_blendv_lowering(ty) {
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
        if is_x86(self.env.isa) && !self.env.canonicalize_nans {
            self.pseudo_minimum(ty);
        } else {
            self.vector_binary(ty, |ins, a, b| ins.fmin(a, b));
        }
    }

    /// See [`relaxed_minimum`](Self::relaxed_minimum).
    fn relaxed_maximum(&mut self, ty: Type) {
        if is_x86(self.env.isa) && !self.env.canonicalize_nans {
            self.pseudo_maximum(ty);
        } else {
            self.vector_binary(ty, |ins, a, b| ins.fmax(a, b));
        }
    }

    /// Sums of two neighbouring products as 16-bit lanes. Where a byte of `b`
    /// has its highest bit set, it may count as signed or not.
    fn relaxed_dot(&mut self, a: Value, b: Value) -> Value {
        if self.env.isa.has_x86_pmaddubsw_lowering() {
            return self.ins().x86_pmaddubsw(a, b);
        }
        let widen: [UnaryIns; 2] = [|ins, a| ins.swiden_low(a), |ins, a| ins.swiden_high(a)];
        let [low, high] = widen.map(|widen| self.widened_product(a, b, widen));
        self.ins().iadd_pairwise(low, high)
    }

    /// Sums of two neighbouring lanes, twice as wide.
    fn widened_sum(&mut self, vector: Value) -> Value {
        let low = self.ins().swiden_low(vector);
        let high = self.ins().swiden_high(vector);
        self.ins().iadd_pairwise(low, high)
    }

    /// Sums of four neighbouring products of a signed and an unsigned byte, in
    /// the pattern of the instruction for them.
    fn sums_of_four(&mut self, a: Value, b: Value) -> Value {
        let halves: [(UnaryIns, UnaryIns); 2] = [
            (|ins, a| ins.swiden_low(a), |ins, b| ins.uwiden_low(b)),
            (|ins, a| ins.swiden_high(a), |ins, b| ins.uwiden_high(b)),
        ];
        let [low, high] = halves.map(|(signed, unsigned)| {
            let (a, b) = (signed(self.ins(), a), unsigned(self.ins(), b));
            let products = self.ins().imul(a, b);
            self.widened_sum(products)
        });
        self.ins().iadd_pairwise(low, high)
    }
}
