//! Atomic operators: accesses of memory that threads see in one order, and
//! waiting for each other.
//!
//! Accesses are single instructions of Cranelift, for all types and widths, and
//! none of them is a library call on any target. Version 0.135.8 takes each for
//! an instruction with side effects (`inst_predicates`), so none is moved, and
//! for a fence (`has_memory_fence_semantics` in `alias_analysis`): no plain load
//! is answered from before it and no plain store before it is taken for dead, in
//! any region. The most that can happen is that a load or store right behind an
//! equal one goes, as if no other thread had come between, which may be. What
//! fences mean for lengths of memories is said at [`Translator::length_at`].
//! Waiting and notifying are left to the runtime; calls of it are fences, too.

use super::Translator;
use super::memory::memory_of;
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, Type, Value, types};
use wasmparser::{MemArg, Operator};
use wasmprof_image::TrapCode;
use wasmprof_image::abi::Builtin;

/// Matches operators against a table of `Names: type in memory, type of the
/// value`.
macro_rules! table {
    ($self:ident, $op:ident;
        load { $($load:ident: $load_mem:ident $load_ty:ident,)* }
        store { $($($store:ident)|+: $store_mem:ident,)* }
        rmw { $($rmw_op:ident { $($($rmw:ident)|+: $rmw_mem:ident,)* })* }
        cmpxchg { $($($cas:ident)|+: $cas_mem:ident,)* }
    ) => {
        match *$op {
            $(Operator::$load { memarg } =>
                $self.atomic_load(memarg, types::$load_mem, types::$load_ty),)*
            $($(Operator::$store { memarg })|+ =>
                $self.atomic_store(memarg, types::$store_mem),)*
            $($($(Operator::$rmw { memarg })|+ =>
                $self.atomic_rmw(memarg, types::$rmw_mem, AtomicRmwOp::$rmw_op),)*)*
            $($(Operator::$cas { memarg })|+ =>
                $self.atomic_cas(memarg, types::$cas_mem),)*
            _ => return false,
        }
    };
}

impl Translator<'_> {
    pub(super) fn atomic_operator(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::AtomicFence { .. } => {
                self.ins().fence();
                true
            }
            Operator::MemoryAtomicNotify { memarg } => {
                let (index, count) = self.pop2();
                let [memory, index, offset] = self.place(memarg, index);
                let args = [memory, index, offset, count];
                let woken = self.call_builtin_for(Builtin::MemoryNotify, &args);
                self.push(woken);
                true
            }
            Operator::MemoryAtomicWait32 { memarg } => self.wait(Builtin::MemoryWait32, memarg),
            Operator::MemoryAtomicWait64 { memarg } => self.wait(Builtin::MemoryWait64, memarg),
            _ => self.atomic_access(op),
        }
    }

    fn atomic_access(&mut self, op: &Operator<'_>) -> bool {
        table! { self, op;
            load {
                I32AtomicLoad: I32 I32,
                I32AtomicLoad8U: I8 I32,
                I32AtomicLoad16U: I16 I32,
                I64AtomicLoad: I64 I64,
                I64AtomicLoad8U: I8 I64,
                I64AtomicLoad16U: I16 I64,
                I64AtomicLoad32U: I32 I64,
            }
            store {
                I32AtomicStore8 | I64AtomicStore8: I8,
                I32AtomicStore16 | I64AtomicStore16: I16,
                I32AtomicStore | I64AtomicStore32: I32,
                I64AtomicStore: I64,
            }
            rmw {
                Add {
                    I32AtomicRmw8AddU | I64AtomicRmw8AddU: I8,
                    I32AtomicRmw16AddU | I64AtomicRmw16AddU: I16,
                    I32AtomicRmwAdd | I64AtomicRmw32AddU: I32,
                    I64AtomicRmwAdd: I64,
                }
                Sub {
                    I32AtomicRmw8SubU | I64AtomicRmw8SubU: I8,
                    I32AtomicRmw16SubU | I64AtomicRmw16SubU: I16,
                    I32AtomicRmwSub | I64AtomicRmw32SubU: I32,
                    I64AtomicRmwSub: I64,
                }
                And {
                    I32AtomicRmw8AndU | I64AtomicRmw8AndU: I8,
                    I32AtomicRmw16AndU | I64AtomicRmw16AndU: I16,
                    I32AtomicRmwAnd | I64AtomicRmw32AndU: I32,
                    I64AtomicRmwAnd: I64,
                }
                Or {
                    I32AtomicRmw8OrU | I64AtomicRmw8OrU: I8,
                    I32AtomicRmw16OrU | I64AtomicRmw16OrU: I16,
                    I32AtomicRmwOr | I64AtomicRmw32OrU: I32,
                    I64AtomicRmwOr: I64,
                }
                Xor {
                    I32AtomicRmw8XorU | I64AtomicRmw8XorU: I8,
                    I32AtomicRmw16XorU | I64AtomicRmw16XorU: I16,
                    I32AtomicRmwXor | I64AtomicRmw32XorU: I32,
                    I64AtomicRmwXor: I64,
                }
                Xchg {
                    I32AtomicRmw8XchgU | I64AtomicRmw8XchgU: I8,
                    I32AtomicRmw16XchgU | I64AtomicRmw16XchgU: I16,
                    I32AtomicRmwXchg | I64AtomicRmw32XchgU: I32,
                    I64AtomicRmwXchg: I64,
                }
            }
            cmpxchg {
                I32AtomicRmw8CmpxchgU | I64AtomicRmw8CmpxchgU: I8,
                I32AtomicRmw16CmpxchgU | I64AtomicRmw16CmpxchgU: I16,
                I32AtomicRmwCmpxchg | I64AtomicRmw32CmpxchgU: I32,
                I64AtomicRmwCmpxchg: I64,
            }
        }
        true
    }

    fn atomic_load(&mut self, memarg: MemArg, memory_ty: Type, ty: Type) {
        let index = self.pop();
        let pointer = self.atomic_address(memarg, index, memory_ty);
        let flags = self.memory_flags(memarg);
        let value = self.ins().atomic_load(memory_ty, flags, pointer);
        let value = self.widen(value, ty);
        self.push(value);
    }

    fn atomic_store(&mut self, memarg: MemArg, memory_ty: Type) {
        let (index, value) = self.pop2();
        let pointer = self.atomic_address(memarg, index, memory_ty);
        let flags = self.memory_flags(memarg);
        let value = self.narrow(value, memory_ty);
        if self.env.stores_by_exchange {
            self.ins().atomic_rmw(memory_ty, flags, AtomicRmwOp::Xchg, pointer, value);
        } else {
            self.ins().atomic_store(flags, value, pointer);
        }
    }

    fn atomic_rmw(&mut self, memarg: MemArg, memory_ty: Type, op: AtomicRmwOp) {
        let (index, operand) = self.pop2();
        let ty = self.builder.func.dfg.value_type(operand);
        let pointer = self.atomic_address(memarg, index, memory_ty);
        let flags = self.memory_flags(memarg);
        let operand = self.narrow(operand, memory_ty);
        let old = self.ins().atomic_rmw(memory_ty, flags, op, pointer, operand);
        let old = self.widen(old, ty);
        self.push(old);
    }

    fn atomic_cas(&mut self, memarg: MemArg, memory_ty: Type) {
        let (index, expected, replacement) = self.pop3();
        let ty = self.builder.func.dfg.value_type(expected);
        let pointer = self.atomic_address(memarg, index, memory_ty);
        let flags = self.memory_flags(memarg);
        let expected = self.narrow(expected, memory_ty);
        let replacement = self.narrow(replacement, memory_ty);
        let old = self.ins().atomic_cas(flags, pointer, expected, replacement);
        let old = self.widen(old, ty);
        self.push(old);
    }

    fn wait(&mut self, builtin: Builtin, memarg: MemArg) -> bool {
        let (index, expected, timeout) = self.pop3();
        let [memory, index, offset] = self.place(memarg, index);
        let args = [memory, index, offset, expected, timeout];
        let result = self.call_builtin_for(builtin, &args);
        self.push(result);
        true
    }

    /// Memory, index and static offset as the runtime wants them: it checks
    /// their sum.
    fn place(&mut self, memarg: MemArg, index: Value) -> [Value; 3] {
        let memory = self.i32const(memory_of(memarg));
        let index = self.extend(index);
        let offset = self.ins().iconst(types::I64, memarg.offset as i64);
        [memory, index, offset]
    }

    /// The address of an atomic access to a value of type `ty`. One that is not
    /// a multiple of its size traps here, before one that is out of bounds does.
    fn atomic_address(&mut self, memarg: MemArg, index: Value, ty: Type) -> Value {
        let size = ty.bytes();
        if size > 1 {
            let mask = i64::from(size) - 1;
            let low = (memarg.offset & mask as u64) as i64;
            let index_ty = self.builder.func.dfg.value_type(index);
            // Only the low bits count, whether the sum wraps or not.
            let sum = match low {
                0 => index,
                low => {
                    let low = self.ins().iconst(index_ty, low);
                    self.ins().iadd(index, low)
                }
            };
            let rest = self.ins().band_imm_u(sum, mask);
            self.trap_if(rest, TrapCode::UnalignedAtomic);
        }
        let (pointer, offset) = self.address(memarg, index, size);
        self.add_constant(pointer, offset as u64)
    }

    fn narrow(&mut self, value: Value, ty: Type) -> Value {
        if self.builder.func.dfg.value_type(value) == ty {
            return value;
        }
        self.ins().ireduce(ty, value)
    }

    fn widen(&mut self, value: Value, ty: Type) -> Value {
        if self.builder.func.dfg.value_type(value) == ty {
            return value;
        }
        self.ins().uextend(ty, value)
    }
}
