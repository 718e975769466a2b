//! Vectors made of scalars and other vectors' lanes, and lanes taken out.

use super::Translator;
use crate::signature::VECTOR;
use cranelift_codegen::ir::{ConstantData, InstBuilder, Type, Value, types};
use wasmparser::Operator;
use wasmprof_image::abi::Builtin;

impl Translator<'_> {
    pub(super) fn lane_operator(&mut self, op: &Operator<'_>) -> bool {
        use types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
        match *op {
            Operator::V128Const { value } => {
                let value = self.vector_const(VECTOR, value.into());
                self.push(value);
            }
            Operator::I8x16Splat => self.splat(I8X16),
            Operator::I16x8Splat => self.splat(I16X8),
            Operator::I32x4Splat => self.splat(I32X4),
            Operator::I64x2Splat => self.splat(I64X2),
            Operator::F32x4Splat => self.splat(F32X4),
            Operator::F64x2Splat => self.splat(F64X2),
            Operator::I8x16ExtractLaneS { lane } => self.extract_signed(I8X16, lane),
            Operator::I16x8ExtractLaneS { lane } => self.extract_signed(I16X8, lane),
            Operator::I8x16ExtractLaneU { lane } => self.extract_unsigned(I8X16, lane),
            Operator::I16x8ExtractLaneU { lane } => self.extract_unsigned(I16X8, lane),
            Operator::I32x4ExtractLane { lane } => self.extract(I32X4, lane),
            Operator::I64x2ExtractLane { lane } => self.extract(I64X2, lane),
            Operator::F32x4ExtractLane { lane } => self.extract(F32X4, lane),
            Operator::F64x2ExtractLane { lane } => self.extract(F64X2, lane),
            Operator::I8x16ReplaceLane { lane } => self.replace(I8X16, lane),
            Operator::I16x8ReplaceLane { lane } => self.replace(I16X8, lane),
            Operator::I32x4ReplaceLane { lane } => self.replace(I32X4, lane),
            Operator::I64x2ReplaceLane { lane } => self.replace(I64X2, lane),
            Operator::F32x4ReplaceLane { lane } => self.replace(F32X4, lane),
            Operator::F64x2ReplaceLane { lane } => self.replace(F64X2, lane),
            Operator::I8x16Shuffle { lanes } => {
                let (a, b) = self.pop2_as(I8X16);
                let value = self.shuffle(a, b, lanes);
                self.push(value);
            }
            Operator::I8x16Swizzle => {
                let (vector, lanes) = self.pop2_as(I8X16);
                let value = self.swizzle(vector, lanes);
                self.push(value);
            }
            _ => return false,
        }
        true
    }

    /// Pops a scalar as a lane: narrow ones are in the low bits of an `i32`.
    fn pop_lane(&mut self, ty: Type) -> Value {
        let value = self.pop();
        match ty.lane_type() {
            lane @ (types::I8 | types::I16) => self.ins().ireduce(lane, value),
            _ => value,
        }
    }

    fn splat(&mut self, ty: Type) {
        let lane = self.pop_lane(ty);
        let value = self.ins().splat(ty, lane);
        self.push(value);
    }

    fn extract(&mut self, ty: Type, lane: u8) {
        let vector = self.pop_as(ty);
        let value = self.ins().extractlane(vector, lane);
        self.push(value);
    }

    fn extract_signed(&mut self, ty: Type, lane: u8) {
        let vector = self.pop_as(ty);
        let value = self.ins().extractlane(vector, lane);
        let value = self.ins().sextend(types::I32, value);
        self.push(value);
    }

    fn extract_unsigned(&mut self, ty: Type, lane: u8) {
        let vector = self.pop_as(ty);
        let value = self.ins().extractlane(vector, lane);
        let value = self.ins().uextend(types::I32, value);
        self.push(value);
    }

    fn replace(&mut self, ty: Type, lane: u8) {
        let value = self.pop_lane(ty);
        let vector = self.pop_as(ty);
        let value = self.ins().insertlane(vector, value, lane);
        self.push(value);
    }

    /// Bytes of two vectors, each by its position in both.
    fn shuffle(&mut self, a: Value, b: Value, lanes: [u8; 16]) -> Value {
        if self.env.shuffles_bytes {
            let mask = self.builder.func.dfg.immediates.push(ConstantData::from(&lanes[..]));
            return self.ins().shuffle(a, b, mask);
        }
        let lanes = self.vector_const(types::I8X16, u128::from_le_bytes(lanes));
        self.call_builtin_for(Builtin::I8x16Shuffle, &[a, b, lanes])
    }

    /// Bytes of a vector by their positions; zero for one that is too large.
    pub(super) fn swizzle(&mut self, vector: Value, lanes: Value) -> Value {
        if self.env.shuffles_bytes {
            return self.ins().swizzle(vector, lanes);
        }
        // The position right behind the vector is in a vector of zeros.
        let behind = self.vector_const(types::I8X16, u128::from_le_bytes([16; 16]));
        let lanes = self.ins().umin(lanes, behind);
        let zeros = self.zero(types::I8X16);
        self.call_builtin_for(Builtin::I8x16Shuffle, &[vector, zeros, lanes])
    }
}
