//! Loads and stores of vectors, of their halves widened, and of single lanes.
//!
//! Addresses come from [`Translator::address`], as for scalars.

use super::Translator;
use crate::signature::VECTOR;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use wasmparser::{MemArg, Operator};

impl Translator<'_> {
    pub(super) fn vector_memory_operator(&mut self, op: &Operator<'_>) -> bool {
        use types::{I8X16, I16X8, I32X4, I64X2};
        match *op {
            Operator::V128Load { memarg } => {
                self.load(memarg, 16, |i, f, p, o| i.load(VECTOR, f, p, o));
            }
            Operator::V128Store { memarg } => {
                self.store(memarg, 16, |i, f, x, p, o| _ = i.store(f, x, p, o));
            }
            Operator::V128Load8x8S { memarg } => {
                self.load(memarg, 8, |i, f, p, o| i.sload8x8(f, p, o));
            }
            Operator::V128Load8x8U { memarg } => {
                self.load(memarg, 8, |i, f, p, o| i.uload8x8(f, p, o));
            }
            Operator::V128Load16x4S { memarg } => {
                self.load(memarg, 8, |i, f, p, o| i.sload16x4(f, p, o));
            }
            Operator::V128Load16x4U { memarg } => {
                self.load(memarg, 8, |i, f, p, o| i.uload16x4(f, p, o));
            }
            Operator::V128Load32x2S { memarg } => {
                self.load(memarg, 8, |i, f, p, o| i.sload32x2(f, p, o));
            }
            Operator::V128Load32x2U { memarg } => {
                self.load(memarg, 8, |i, f, p, o| i.uload32x2(f, p, o));
            }
            Operator::V128Load8Splat { memarg } => self.load_splat(memarg, I8X16),
            Operator::V128Load16Splat { memarg } => self.load_splat(memarg, I16X8),
            Operator::V128Load32Splat { memarg } => self.load_splat(memarg, I32X4),
            Operator::V128Load64Splat { memarg } => self.load_splat(memarg, I64X2),
            Operator::V128Load32Zero { memarg } => self.load_zero(memarg, I32X4),
            Operator::V128Load64Zero { memarg } => self.load_zero(memarg, I64X2),
            Operator::V128Load8Lane { memarg, lane } => self.load_lane(memarg, I8X16, lane),
            Operator::V128Load16Lane { memarg, lane } => self.load_lane(memarg, I16X8, lane),
            Operator::V128Load32Lane { memarg, lane } => self.load_lane(memarg, I32X4, lane),
            Operator::V128Load64Lane { memarg, lane } => self.load_lane(memarg, I64X2, lane),
            Operator::V128Store8Lane { memarg, lane } => self.store_lane(memarg, I8X16, lane),
            Operator::V128Store16Lane { memarg, lane } => self.store_lane(memarg, I16X8, lane),
            Operator::V128Store32Lane { memarg, lane } => self.store_lane(memarg, I32X4, lane),
            Operator::V128Store64Lane { memarg, lane } => self.store_lane(memarg, I64X2, lane),
            _ => return false,
        }
        true
    }

    /// One lane of `ty` from the address on the stack.
    fn loaded_lane(&mut self, memarg: MemArg, ty: Type) -> Value {
        let index = self.pop();
        let lane = ty.lane_type();
        let (pointer, offset) = self.address(memarg, index, lane.bytes());
        let flags = self.memory_flags(memarg);
        self.ins().load(lane, flags, pointer, offset)
    }

    /// The same value in all lanes.
    fn load_splat(&mut self, memarg: MemArg, ty: Type) {
        let lane = self.loaded_lane(memarg, ty);
        let value = self.ins().splat(ty, lane);
        self.push(value);
    }

    /// The first lane, and zeros.
    fn load_zero(&mut self, memarg: MemArg, ty: Type) {
        let lane = self.loaded_lane(memarg, ty);
        let value = self.ins().scalar_to_vector(ty, lane);
        self.push(value);
    }

    fn load_lane(&mut self, memarg: MemArg, ty: Type, lane: u8) {
        let vector = self.pop_as(ty);
        let loaded = self.loaded_lane(memarg, ty);
        let value = self.ins().insertlane(vector, loaded, lane);
        self.push(value);
    }

    fn store_lane(&mut self, memarg: MemArg, ty: Type, lane: u8) {
        let vector = self.pop_as(ty);
        let value = self.ins().extractlane(vector, lane);
        self.push(value);
        self.store(memarg, ty.lane_type().bytes(), |i, f, x, p, o| _ = i.store(f, x, p, o));
    }
}
