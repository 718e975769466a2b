//! Linear memory: loads and stores, size and growth, bulk operations.
//!
//! Addresses of accesses are made in [`Translator::address`] and nowhere else.
//! Bulk operations and growth are left to the runtime.

use super::{Translator, region};
use crate::signature::POINTER;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::{MemArg, MemArgTarget, Operator};
use wasmprof_image::abi::{self, Builtin};
use wasmprof_module::PAGE_SIZE;

/// How a load widens what it reads.
type LoadIns = fn(FuncInstBuilder<'_, '_>, MemFlagsData, Value, i32) -> Value;
/// How a store narrows what it writes.
type StoreIns = fn(FuncInstBuilder<'_, '_>, MemFlagsData, Value, Value, i32);

impl Translator<'_> {
    pub(super) fn memory_operator(&mut self, op: &Operator<'_>) -> bool {
        use types::{F32, F64, I32, I64};
        match *op {
            Operator::I32Load { memarg } => self.load(memarg, 4, |i, f, p, o| i.load(I32, f, p, o)),
            Operator::I64Load { memarg } => self.load(memarg, 8, |i, f, p, o| i.load(I64, f, p, o)),
            Operator::F32Load { memarg } => self.load(memarg, 4, |i, f, p, o| i.load(F32, f, p, o)),
            Operator::F64Load { memarg } => self.load(memarg, 8, |i, f, p, o| i.load(F64, f, p, o)),
            Operator::I32Load8S { memarg } => {
                self.load(memarg, 1, |i, f, p, o| i.sload8(I32, f, p, o))
            }
            Operator::I32Load8U { memarg } => {
                self.load(memarg, 1, |i, f, p, o| i.uload8(I32, f, p, o))
            }
            Operator::I32Load16S { memarg } => {
                self.load(memarg, 2, |i, f, p, o| i.sload16(I32, f, p, o))
            }
            Operator::I32Load16U { memarg } => {
                self.load(memarg, 2, |i, f, p, o| i.uload16(I32, f, p, o))
            }
            Operator::I64Load8S { memarg } => {
                self.load(memarg, 1, |i, f, p, o| i.sload8(I64, f, p, o))
            }
            Operator::I64Load8U { memarg } => {
                self.load(memarg, 1, |i, f, p, o| i.uload8(I64, f, p, o))
            }
            Operator::I64Load16S { memarg } => {
                self.load(memarg, 2, |i, f, p, o| i.sload16(I64, f, p, o))
            }
            Operator::I64Load16U { memarg } => {
                self.load(memarg, 2, |i, f, p, o| i.uload16(I64, f, p, o))
            }
            Operator::I64Load32S { memarg } => {
                self.load(memarg, 4, |i, f, p, o| i.sload32(f, p, o))
            }
            Operator::I64Load32U { memarg } => {
                self.load(memarg, 4, |i, f, p, o| i.uload32(f, p, o))
            }
            Operator::I32Store { memarg } | Operator::F32Store { memarg } => {
                self.store(memarg, 4, |i, f, x, p, o| _ = i.store(f, x, p, o))
            }
            Operator::I64Store { memarg } | Operator::F64Store { memarg } => {
                self.store(memarg, 8, |i, f, x, p, o| _ = i.store(f, x, p, o))
            }
            Operator::I32Store8 { memarg } | Operator::I64Store8 { memarg } => {
                self.store(memarg, 1, |i, f, x, p, o| _ = i.istore8(f, x, p, o))
            }
            Operator::I32Store16 { memarg } | Operator::I64Store16 { memarg } => {
                self.store(memarg, 2, |i, f, x, p, o| _ = i.istore16(f, x, p, o))
            }
            Operator::I64Store32 { memarg } => {
                self.store(memarg, 4, |i, f, x, p, o| _ = i.istore32(f, x, p, o))
            }
            Operator::MemorySize { mem } => {
                let bytes = self.memory_length(mem);
                let pages = self.ins().ushr_imm_u(bytes, i64::from(PAGE_SIZE.trailing_zeros()));
                let pages = self.ins().ireduce(I32, pages);
                self.push(pages);
            }
            Operator::MemoryGrow { mem } => {
                let delta = self.pop();
                let args = [self.i32const(mem), self.extend(delta)];
                let old = self.call_builtin_for(Builtin::MemoryGrow, &args);
                let old = self.ins().ireduce(I32, old);
                self.push(old);
            }
            Operator::MemoryFill { mem } => {
                let (start, value, len) = self.pop3();
                let args = [self.i32const(mem), self.extend(start), value, self.extend(len)];
                self.call_builtin(Builtin::MemoryFill, &args);
            }
            Operator::MemoryCopy { dst_mem, src_mem } => {
                let (dst, src, len) = self.pop3();
                let memories = [self.i32const(dst_mem), self.i32const(src_mem)];
                self.bulk(Builtin::MemoryCopy, memories, [dst, src, len]);
            }
            Operator::MemoryInit { mem, data_index } => {
                let (dst, src, len) = self.pop3();
                let indices = [self.i32const(mem), self.i32const(data_index)];
                self.bulk(Builtin::MemoryInit, indices, [dst, src, len]);
            }
            Operator::DataDrop { data_index } => {
                let segment = self.i32const(data_index);
                self.call_builtin(Builtin::DataDrop, &[segment]);
            }
            _ => return false,
        }
        true
    }

    /// Calls a builtin with two indices, and destination, source and length.
    pub(super) fn bulk(&mut self, builtin: Builtin, indices: [Value; 2], range: [Value; 3]) {
        let [a, b] = indices;
        let [dst, src, len] = range.map(|value| self.extend(value));
        self.call_builtin(builtin, &[a, b, dst, src, len]);
    }

    pub(super) fn load(&mut self, memarg: MemArg, size: u32, ins: LoadIns) {
        let index = self.pop();
        let (pointer, offset) = self.address(memarg, index, size);
        let flags = self.memory_flags(memarg);
        let value = ins(self.ins(), flags, pointer, offset);
        self.push(value);
    }

    pub(super) fn store(&mut self, memarg: MemArg, size: u32, ins: StoreIns) {
        let (index, value) = self.pop2();
        let value = self.canonical(value);
        let (pointer, offset) = self.address(memarg, index, size);
        let flags = self.memory_flags(memarg);
        ins(self.ins(), flags, value, pointer, offset);
    }

    pub(super) fn memory_flags(&mut self, memarg: MemArg) -> MemFlagsData {
        let own = memory_of(memarg).checked_sub(self.env.module.imported_memories);
        region::memory(self.builder.func, own)
    }

    /// A pointer and an offset from it for an access of `size` bytes. If the
    /// access is out of bounds, it faults there, and the access must carry the
    /// trap code for that.
    ///
    /// Index and static offset are below 2^32, so that their sum, taken in 64
    /// bits, is below 2^33 and never wraps. A guarded memory reserves all of
    /// that. Without a guard, the sum is compared with the length, and a null
    /// pointer takes the place of one that is out of bounds; it is selected
    /// rather than branched to, so that a mispredicted branch reads nothing.
    pub(super) fn address(&mut self, memarg: MemArg, index: Value, size: u32) -> (Value, i32) {
        let memory = memory_of(memarg);
        let place = self.env.layout.memory(memory);
        let base = self.load_immutable(POINTER, place + abi::memory::BASE);
        let index = self.extend(index);
        if self.env.guarded_memories {
            let pointer = self.ins().iadd(base, index);
            return match i32::try_from(memarg.offset) {
                Ok(offset) => (pointer, offset),
                Err(_) => (self.add_constant(pointer, memarg.offset), 0),
            };
        }
        let length = self.memory_length(memory);
        let end = self.add_constant(index, memarg.offset + u64::from(size));
        let outside = self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        let pointer = self.ins().iadd(base, index);
        let pointer = self.add_constant(pointer, memarg.offset);
        let null = self.ins().iconst(POINTER, 0);
        (self.ins().select_spectre_guard(outside, null, pointer), 0)
    }

    fn add_constant(&mut self, value: Value, constant: u64) -> Value {
        if constant == 0 {
            return value;
        }
        let constant = self.ins().iconst(types::I64, constant as i64);
        self.ins().iadd(value, constant)
    }

    /// The current length of a memory in bytes.
    fn memory_length(&mut self, memory: u32) -> Value {
        self.length_at(self.env.layout.memory(memory) + abi::memory::LENGTH)
    }

    /// The length to whose address the vmctx has a pointer at `offset`.
    pub(super) fn length_at(&mut self, offset: u32) -> Value {
        let pointer = self.load_immutable(POINTER, offset);
        let flags = region::length(self.builder.func);
        self.ins().load(types::I64, flags, pointer, 0)
    }
}

fn memory_of(memarg: MemArg) -> u32 {
    match memarg.target {
        MemArgTarget::Memory(index) => index,
        MemArgTarget::Array(_) => unreachable!("arrays are not in our features"),
    }
}
