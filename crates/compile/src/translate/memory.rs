//! Linear memory: loads and stores, size and growth, bulk operations.
//!
//! Addresses of accesses are made in [`Translator::address`] and nowhere else,
//! for atomic ones too. Bulk operations and growth are left to the runtime.

use super::{Translator, region};
use crate::signature::POINTER;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::{MemArg, MemArgTarget, Operator};
use wasmprof_image::abi::{self, Bounds, Builtin, GUARD_SIZE};
use wasmprof_module::{IndexType, MemoryType};

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
                let ty = self.memory_type(mem);
                let bytes = self.current_memory_length(mem);
                let pages = match ty.page_size_log2 {
                    0 => bytes,
                    log2 => self.ins().ushr_imm_u(bytes, i64::from(log2)),
                };
                let pages = self.index_of(ty.index, pages);
                self.push(pages);
            }
            Operator::MemoryGrow { mem } => {
                let delta = self.pop();
                let args = [self.i32const(mem), self.extend(delta)];
                let old = self.call_builtin_for(Builtin::MemoryGrow, &args);
                let old = self.index_of(self.memory_type(mem).index, old);
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
    /// [`Bounds`] says what may be relied on. Where something has to be
    /// compared, a null pointer takes the place of one that is out of bounds;
    /// it is selected rather than branched to, so that a mispredicted branch
    /// reads nothing. The static offset is then in the pointer: null and an
    /// offset may be mapped.
    pub(super) fn address(&mut self, memarg: MemArg, index: Value, size: u32) -> (Value, i32) {
        let memory = memory_of(memarg);
        let ty = self.memory_type(memory);
        let Some(reach) = memarg.offset.checked_add(u64::from(size)) else {
            // No memory has 2^64 bytes.
            return (self.ins().iconst(POINTER, 0), 0);
        };
        let base = self.load_immutable(POINTER, self.env.layout.memory(memory) + abi::memory::BASE);
        let index = self.extend(index);
        let outside = match Bounds::of(&ty, self.env.guarded_memories) {
            // Index and static offset are below 2^32, so that their sum, taken
            // in 64 bits, is below 2^33, which is all reserved.
            Bounds::Reserved => {
                let pointer = self.ins().iadd(base, index);
                return match i32::try_from(memarg.offset) {
                    Ok(offset) => (pointer, offset),
                    Err(_) => (self.add_constant(pointer, memarg.offset), 0),
                };
            }
            // What begins inside ends in the guard at the latest.
            Bounds::Guarded if reach <= GUARD_SIZE => {
                let length = self.memory_length(memory);
                self.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, length)
            }
            Bounds::Guarded | Bounds::Checked => self.reaches_outside(memory, &ty, index, reach),
        };
        let pointer = self.ins().iadd(base, index);
        let pointer = self.add_constant(pointer, memarg.offset);
        let null = self.ins().iconst(POINTER, 0);
        (self.ins().select_spectre_guard(outside, null, pointer), 0)
    }

    /// Whether `index + reach` is beyond the end of a memory, as if there were
    /// no limit to how large a number can be.
    fn reaches_outside(&mut self, memory: u32, ty: &MemoryType, index: Value, reach: u64) -> Value {
        let length = self.memory_length(memory);
        if ty.index == IndexType::I32 {
            // The index and the static offset are below 2^32: this cannot wrap.
            let end = self.add_constant(index, reach);
            return self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        }
        // Here the sum could wrap, but not the difference, unless the memory is
        // too short for any index. It never is if it was not at the start.
        let reach_value = self.ins().iconst(types::I64, reach as i64);
        let last = self.ins().isub(length, reach_value);
        let beyond = self.ins().icmp(IntCC::UnsignedGreaterThan, index, last);
        if ty.minimum_bytes().is_none_or(|minimum| reach <= minimum) {
            return beyond;
        }
        let too_short = self.ins().icmp(IntCC::UnsignedLessThan, length, reach_value);
        self.ins().bor(beyond, too_short)
    }

    pub(super) fn add_constant(&mut self, value: Value, constant: u64) -> Value {
        if constant == 0 {
            return value;
        }
        let constant = self.ins().iconst(types::I64, constant as i64);
        self.ins().iadd(value, constant)
    }

    fn memory_type(&self, memory: u32) -> MemoryType {
        self.env.module.memories[memory as usize]
    }

    /// A length in bytes to compare indices with: a constant if the memory can
    /// never grow. See [`length_at`](Self::length_at) for shared memories.
    fn memory_length(&mut self, memory: u32) -> Value {
        let ty = self.memory_type(memory);
        match ty.minimum_bytes() {
            Some(bytes) if ty.maximum == Some(ty.minimum) => {
                self.ins().iconst(types::I64, bytes as i64)
            }
            _ => self.length_at(self.env.layout.memory(memory) + abi::memory::LENGTH),
        }
    }

    /// The current length of a memory in bytes. That of a shared memory is read
    /// as if by an atomic operator, which is how threads order the growth of a
    /// memory among other events.
    fn current_memory_length(&mut self, memory: u32) -> Value {
        if !self.memory_type(memory).shared {
            return self.memory_length(memory);
        }
        let place = self.env.layout.memory(memory) + abi::memory::LENGTH;
        let pointer = self.load_immutable(POINTER, place);
        let flags = region::length(self.builder.func);
        self.ins().atomic_load(types::I64, flags, pointer)
    }

    /// The length to whose address the vmctx has a pointer at `offset`.
    ///
    /// Other threads may let a shared memory grow at any time, and a length
    /// that was loaded before may be taken for the current one: it is too small
    /// then, and never too large. But what another thread has done before an
    /// event that this one has seen must be seen too. Events are atomic
    /// operators and calls, a wait among them, and Cranelift reuses nothing that
    /// was loaded before one: they end what its alias analysis knows about all
    /// regions. The processor keeps loads behind earlier atomic operators, which
    /// are sequentially consistent.
    pub(super) fn length_at(&mut self, offset: u32) -> Value {
        let pointer = self.load_immutable(POINTER, offset);
        let flags = region::length(self.builder.func);
        self.ins().load(types::I64, flags, pointer, 0)
    }
}

pub(super) fn memory_of(memarg: MemArg) -> u32 {
    match memarg.target {
        MemArgTarget::Memory(index) => index,
        MemArgTarget::Array(_) => unreachable!("arrays are not in our features"),
    }
}
