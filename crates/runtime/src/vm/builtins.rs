//! The functions of the runtime that compiled code calls, and the array by
//! which it finds them.
//!
//! Each takes the caller's vmctx first if it may trap or change the instance.
//! Nothing here keeps anything that needs dropping across a trap.

use super::{InstanceData, VmctxHead};
use crate::{call, epoch, limiter};
use wasmprof_image::TrapCode;
use wasmprof_image::abi::Builtin;

/// The instance that a builtin is called for.
///
/// # Safety
///
/// `vmctx` must be the one that compiled code passes.
unsafe fn instance<'a>(vmctx: *mut VmctxHead) -> &'a mut InstanceData {
    // SAFETY: compiled code runs for an instance of a store that is borrowed
    // mutably by whoever entered it, and is waiting for this call.
    unsafe { &mut *(*vmctx).instance }
}

/// Returns to compiled code, or raises the trap.
///
/// # Safety
///
/// Must be called last by a builtin that compiled code has called with `vmctx`.
unsafe fn finish(vmctx: *mut VmctxHead, result: Result<(), TrapCode>) {
    if let Err(code) = result {
        // SAFETY: by the contract, the entry below is waiting, and the frames
        // above it are compiled code and a builtin with nothing to drop.
        unsafe { call::raise_trap((*vmctx).store, code) }
    }
}

macro_rules! builtins {
    ($(fn $name:ident($vmctx:ident $(, $param:ident: $ty:ty)*) $(-> $result:ty)? $body:block)*) => {
        $(
            /// See [`Builtin`].
            unsafe extern "C" fn $name($vmctx: *mut VmctxHead $(, $param: $ty)*) $(-> $result)? {
                // SAFETY: compiled code calls this as the signature of the
                // builtin says, with its own vmctx.
                unsafe { $body }
            }
        )*
    };
}

builtins! {
    fn memory_grow(vmctx, memory: u32, delta: u64) -> u64 {
        let memory = instance(vmctx).memories[memory as usize];
        limiter::memory_grow(vmctx, memory, delta)
    }
    fn memory_fill(vmctx, memory: u32, start: u64, value: u32, len: u64) {
        finish(vmctx, instance(vmctx).memory_fill(memory, start, value as u8, len))
    }
    fn memory_copy(vmctx, to: u32, from: u32, dst: u64, src: u64, len: u64) {
        finish(vmctx, instance(vmctx).memory_copy([to, from], dst, src, len))
    }
    fn memory_init(vmctx, memory: u32, segment: u32, dst: u64, src: u64, len: u64) {
        finish(vmctx, instance(vmctx).memory_init(memory, segment, dst, src, len))
    }
    fn data_drop(vmctx, segment: u32) {
        instance(vmctx).data_drop(segment)
    }
    fn table_grow(vmctx, table: u32, delta: u64, init: u64) -> u64 {
        let table = instance(vmctx).tables[table as usize];
        limiter::table_grow(vmctx, table, delta, init)
    }
    fn table_fill(vmctx, table: u32, start: u64, value: u64, len: u64) {
        finish(vmctx, instance(vmctx).table_fill(table, start, value, len))
    }
    fn table_copy(vmctx, to: u32, from: u32, dst: u64, src: u64, len: u64) {
        finish(vmctx, instance(vmctx).table_copy([to, from], dst, src, len))
    }
    fn table_init(vmctx, table: u32, segment: u32, dst: u64, src: u64, len: u64) {
        finish(vmctx, instance(vmctx).table_init(table, segment, dst, src, len))
    }
    fn elem_drop(vmctx, segment: u32) {
        instance(vmctx).elem_drop(segment)
    }
    fn epoch_deadline(vmctx) {
        epoch::deadline_reached(vmctx)
    }
}

macro_rules! rounding {
    ($($name:ident $ty:ident $method:ident;)*) => {
        $(
            extern "C" fn $name(value: $ty) -> $ty {
                value.$method()
            }
        )*
    };
}

rounding! {
    f32_ceil f32 ceil;
    f32_floor f32 floor;
    f32_trunc f32 trunc;
    f32_nearest f32 round_ties_even;
    f64_ceil f64 ceil;
    f64_floor f64 floor;
    f64_trunc f64 trunc;
    f64_nearest f64 round_ties_even;
}

fn address(builtin: Builtin) -> *const () {
    match builtin {
        Builtin::MemoryGrow => memory_grow as *const (),
        Builtin::MemoryFill => memory_fill as *const (),
        Builtin::MemoryCopy => memory_copy as *const (),
        Builtin::MemoryInit => memory_init as *const (),
        Builtin::DataDrop => data_drop as *const (),
        Builtin::TableGrow => table_grow as *const (),
        Builtin::TableFill => table_fill as *const (),
        Builtin::TableCopy => table_copy as *const (),
        Builtin::TableInit => table_init as *const (),
        Builtin::ElemDrop => elem_drop as *const (),
        Builtin::EpochDeadline => epoch_deadline as *const (),
        Builtin::F32Ceil => f32_ceil as *const (),
        Builtin::F32Floor => f32_floor as *const (),
        Builtin::F32Trunc => f32_trunc as *const (),
        Builtin::F32Nearest => f32_nearest as *const (),
        Builtin::F64Ceil => f64_ceil as *const (),
        Builtin::F64Floor => f64_floor as *const (),
        Builtin::F64Trunc => f64_trunc as *const (),
        Builtin::F64Nearest => f64_nearest as *const (),
    }
}

/// The addresses in the order of [`Builtin::ALL`].
pub(crate) static BUILTINS: std::sync::LazyLock<Vec<usize>> = std::sync::LazyLock::new(|| {
    Builtin::ALL.iter().map(|builtin| address(*builtin) as usize).collect()
});
