//! The functions of the runtime that compiled code calls, and the array by
//! which it finds them.
//!
//! Each takes the caller's vmctx first if it may trap or change the instance.
//! Nothing here keeps anything that needs dropping across a trap.

use super::{ExceptionData, InstanceData, Interrupt, VmctxHead, WaitResult, wait_timeout};
use crate::V128;
use crate::store::StoreOpaque;
use crate::sys::arch::{self, Vector};
use crate::{call, epoch, limiter};
use std::ptr::NonNull;
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
unsafe fn finish<T: Copy>(vmctx: *mut VmctxHead, result: Result<T, TrapCode>) -> T {
    match result {
        Ok(value) => value,
        // SAFETY: by the contract, the entry below is waiting, and the frames
        // above it are compiled code and a builtin with nothing to drop.
        Err(code) => unsafe { call::raise_trap((*vmctx).store, code) },
    }
}

/// Waits, and returns how it ended. Where programs can be interrupted, a wait
/// can be, too.
///
/// # Safety
///
/// As [`finish`].
unsafe fn wait(
    vmctx: *mut VmctxHead,
    wait: impl FnOnce(Interrupt<'_>) -> Result<WaitResult, TrapCode>,
) -> u32 {
    // SAFETY: by the contract.
    unsafe {
        let store = (*vmctx).store;
        let mut failure = None;
        let mut ask = || match epoch::check(store) {
            Ok(()) => Ok(()),
            Err(why) => {
                failure = Some(why);
                Err(TrapCode::Interrupt)
            }
        };
        let result = wait(Interrupt { every: epoch::how_often(store), ask: &mut ask });
        match failure {
            Some(failure) => call::raise(store, failure),
            None => finish(vmctx, result) as u32,
        }
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
    fn memory_notify(vmctx, memory: u32, index: u64, offset: u64, count: u32) -> u32 {
        finish(vmctx, instance(vmctx).memory(memory).notify(index, offset, count))
    }
    fn memory_wait32(
        vmctx, memory: u32, index: u64, offset: u64, expected: u32, timeout: i64
    ) -> u32 {
        let (memory, timeout) = (instance(vmctx).memory(memory), wait_timeout(timeout));
        wait(vmctx, |interrupt| memory.wait32([index, offset], expected, timeout, interrupt))
    }
    fn memory_wait64(
        vmctx, memory: u32, index: u64, offset: u64, expected: u64, timeout: i64
    ) -> u32 {
        let (memory, timeout) = (instance(vmctx).memory(memory), wait_timeout(timeout));
        wait(vmctx, |interrupt| memory.wait64([index, offset], expected, timeout, interrupt))
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
    fn exception_new(vmctx, tag: u32) -> u64 {
        let tag = instance(vmctx).tags[tag as usize];
        let store = (*vmctx).store.cast::<StoreOpaque>();
        let exception = (*store).new_exception(tag);
        finish(vmctx, exception.map(|exception| exception.as_ptr() as u64))
    }
    fn throw(vmctx, exception: u64) {
        let exception = exception as *mut ExceptionData;
        let exception = NonNull::new(exception).expect("compiled code has tested it for null");
        call::throw((*vmctx).store, exception)
    }
    fn epoch_deadline(vmctx) {
        epoch::deadline_reached(vmctx)
    }
}

/// What arithmetic makes; a NaN is made quiet, which the methods of Rust leave
/// open.
fn quiet_f32(value: f32) -> f32 {
    if value.is_nan() { f32::from_bits(value.to_bits() | 1 << 22) } else { value }
}

fn quiet_f64(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(value.to_bits() | 1 << 51) } else { value }
}

macro_rules! rounding {
    ($($name:ident $ty:ident $method:ident $quiet:ident;)*) => {
        $(
            extern "C" fn $name(value: $ty) -> $ty {
                $quiet(value.$method())
            }
        )*
    };
}

rounding! {
    f32_ceil f32 ceil quiet_f32;
    f32_floor f32 floor quiet_f32;
    f32_trunc f32 trunc quiet_f32;
    f32_nearest f32 round_ties_even quiet_f32;
    f64_ceil f64 ceil quiet_f64;
    f64_floor f64 floor quiet_f64;
    f64_trunc f64 trunc quiet_f64;
    f64_nearest f64 round_ties_even quiet_f64;
}

fn to_lanes<L: From<V128>>(vector: Vector) -> L {
    V128::from(arch::bits_of_vector(vector)).into()
}

fn from_lanes(lanes: impl Into<V128>) -> Vector {
    arch::vector_from_bits(lanes.into().into())
}

macro_rules! vector_rounding {
    ($($name:ident $lanes:ty, $of_lane:ident;)*) => {
        $(
            #[expect(improper_ctypes_definitions, reason = "see `Vector`")]
            extern "C" fn $name(vector: Vector) -> Vector {
                from_lanes(to_lanes::<$lanes>(vector).map(|lane| $of_lane(lane)))
            }
        )*
    };
}

vector_rounding! {
    f32x4_ceil [f32; 4], f32_ceil;
    f32x4_floor [f32; 4], f32_floor;
    f32x4_trunc [f32; 4], f32_trunc;
    f32x4_nearest [f32; 4], f32_nearest;
    f64x2_ceil [f64; 2], f64_ceil;
    f64x2_floor [f64; 2], f64_floor;
    f64x2_trunc [f64; 2], f64_trunc;
    f64x2_nearest [f64; 2], f64_nearest;
}

macro_rules! vector_fma {
    ($($name:ident $lanes:ty, $quiet:ident;)*) => {
        $(
            #[expect(improper_ctypes_definitions, reason = "see `Vector`")]
            extern "C" fn $name(a: Vector, b: Vector, c: Vector) -> Vector {
                let [a, b, c] = [a, b, c].map(to_lanes::<$lanes>);
                let lanes: $lanes =
                    std::array::from_fn(|lane| $quiet(a[lane].mul_add(b[lane], c[lane])));
                from_lanes(lanes)
            }
        )*
    };
}

vector_fma! {
    f32x4_fma [f32; 4], quiet_f32;
    f64x2_fma [f64; 2], quiet_f64;
}

#[expect(improper_ctypes_definitions, reason = "see `Vector`")]
extern "C" fn i8x16_shuffle(a: Vector, b: Vector, positions: Vector) -> Vector {
    let bytes: [[u8; 16]; 2] = [to_lanes(a), to_lanes(b)];
    let bytes = bytes.as_flattened();
    let positions: [u8; 16] = to_lanes(positions);
    from_lanes(positions.map(|position| bytes[usize::from(position) % 32]))
}

fn address(builtin: Builtin) -> *const () {
    match builtin {
        Builtin::MemoryGrow => memory_grow as *const (),
        Builtin::MemoryFill => memory_fill as *const (),
        Builtin::MemoryCopy => memory_copy as *const (),
        Builtin::MemoryInit => memory_init as *const (),
        Builtin::MemoryNotify => memory_notify as *const (),
        Builtin::MemoryWait32 => memory_wait32 as *const (),
        Builtin::MemoryWait64 => memory_wait64 as *const (),
        Builtin::DataDrop => data_drop as *const (),
        Builtin::TableGrow => table_grow as *const (),
        Builtin::TableFill => table_fill as *const (),
        Builtin::TableCopy => table_copy as *const (),
        Builtin::TableInit => table_init as *const (),
        Builtin::ElemDrop => elem_drop as *const (),
        Builtin::ExceptionNew => exception_new as *const (),
        Builtin::Throw => throw as *const (),
        Builtin::EpochDeadline => epoch_deadline as *const (),
        Builtin::F32Ceil => f32_ceil as *const (),
        Builtin::F32Floor => f32_floor as *const (),
        Builtin::F32Trunc => f32_trunc as *const (),
        Builtin::F32Nearest => f32_nearest as *const (),
        Builtin::F64Ceil => f64_ceil as *const (),
        Builtin::F64Floor => f64_floor as *const (),
        Builtin::F64Trunc => f64_trunc as *const (),
        Builtin::F64Nearest => f64_nearest as *const (),
        Builtin::F32x4Ceil => f32x4_ceil as *const (),
        Builtin::F32x4Floor => f32x4_floor as *const (),
        Builtin::F32x4Trunc => f32x4_trunc as *const (),
        Builtin::F32x4Nearest => f32x4_nearest as *const (),
        Builtin::F64x2Ceil => f64x2_ceil as *const (),
        Builtin::F64x2Floor => f64x2_floor as *const (),
        Builtin::F64x2Trunc => f64x2_trunc as *const (),
        Builtin::F64x2Nearest => f64x2_nearest as *const (),
        Builtin::I8x16Shuffle => i8x16_shuffle as *const (),
        Builtin::F32x4Fma => f32x4_fma as *const (),
        Builtin::F64x2Fma => f64x2_fma as *const (),
    }
}

/// The addresses in the order of [`Builtin::ALL`].
pub(crate) static BUILTINS: std::sync::LazyLock<Vec<usize>> = std::sync::LazyLock::new(|| {
    Builtin::ALL.iter().map(|builtin| address(*builtin) as usize).collect()
});
