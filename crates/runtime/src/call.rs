//! Entering compiled code, and leaving it in disorder: traps, errors, panics.
//!
//! An entry goes through a stub that stores in the store context where to
//! resume. Whoever raises an error leaves it in the store, and resumes there:
//! compiled frames and the shims of host functions have nothing to drop.
//! Stacks are walked here, by frame pointer, in ordinary code.

use crate::code::{CodePlace, place_at};
use crate::error::resource;
use crate::host_error::error_of;
use crate::store::{Pending, StoreOpaque};
use crate::sys::{arch, stack};
use crate::vm::{FuncRef, StoreContext, Value};
use crate::{Backtrace, BoxError, Error, Trap};
use std::cell::Cell;
use wasmprof_image::{Pc, TrapCode};

/// What is left of the stack for host functions and for what handles a trap.
const HOST_STACK: usize = 128 * 1024;

thread_local! {
    /// The store whose compiled code was entered last on this thread, if it
    /// has not been left.
    static CURRENT: Cell<*mut StoreContext> = const { Cell::new(std::ptr::null_mut()) };
}

/// The store whose compiled code is running on this thread, or null. Safe in a
/// signal handler.
pub(crate) fn current() -> *mut StoreContext {
    CURRENT.get()
}

/// `(code, vmctx, store context, values) -> raised`: see the compiler's stubs.
type Entry = unsafe extern "C" fn(usize, usize, *mut StoreContext, *mut Value) -> u32;

/// Calls a function whose arguments are in `values`, where its results are left.
///
/// # Errors
///
/// The trap or the error by which the function was left. A panic of a host
/// function goes on from here.
///
/// # Safety
///
/// `entry` must be the entry stub for the type of the function, which belongs
/// to `store`, and `values` must have room for its arguments and its results.
pub(crate) unsafe fn enter(
    store: *mut StoreOpaque,
    entry: usize,
    function: FuncRef,
    values: *mut Value,
) -> Result<(), Error> {
    stack::ensure_signal_stack().map_err(|error| resource("a signal stack".to_owned(), error))?;
    let context = store.cast::<StoreContext>();
    // SAFETY: the store context is the first field of the store, which is
    // alive, and nothing else uses it while its compiled code is not running.
    // The stub is what the caller says.
    let raised = unsafe {
        let outer = *context;
        (*context).outer = if outer.handler_pc == 0 { std::ptr::null() } else { &raw const outer };
        (*context).exit_sp = 0;
        if CURRENT.get() != context {
            (*context).stack_limit = stack_limit((*store).max_wasm_stack());
        }
        let previous = CURRENT.replace(context);
        let entry: Entry = std::mem::transmute(entry);
        let raised = entry(function.code, function.vmctx, context, values);
        CURRENT.set(previous);
        *context = outer;
        raised != 0
    };
    if !raised {
        return Ok(());
    }
    // SAFETY: the store is alive, and compiled code has been left.
    match unsafe { (*store).pending.take() } {
        Some(Pending::Error(error)) => Err(error),
        Some(Pending::Panic(payload)) => std::panic::resume_unwind(payload),
        None => unreachable!("an error was raised without being left in the store"),
    }
}

/// The lowest stack address for compiled code that is entered now.
fn stack_limit(max_wasm_stack: usize) -> usize {
    let wanted = arch::stack_pointer().saturating_sub(max_wasm_stack);
    wanted.max(stack::lowest_address() + HOST_STACK)
}

/// Where the signal handler has a trapping thread continue.
pub(crate) fn landing_address() -> usize {
    landing as *const () as usize
}

/// Runs on the stack of the compiled code, as if the instruction at `pc` had
/// called it.
unsafe extern "C" fn landing(pc: usize, fp: usize, code: u32, store: *mut StoreContext) -> ! {
    let code = TrapCode::from_byte(code as u8).unwrap_or(TrapCode::Unreachable);
    // SAFETY: the handler has checked that this is compiled code of `store`, so
    // `fp` is its frame pointer and the entry is below it.
    unsafe {
        leave_trap(store, code, Some((pc, fp)));
        arch::resume(store)
    }
}

/// Raises a trap out of a function of the runtime.
///
/// # Safety
///
/// Compiled code of `store` must have called the function, recording its exit,
/// and no frame since then may have anything left to drop.
pub(crate) unsafe fn raise_trap(store: *mut StoreContext, code: TrapCode) -> ! {
    // SAFETY: by the contract.
    unsafe {
        leave_trap(store, code, None);
        arch::resume(store)
    }
}

/// How a host function failed.
pub(crate) enum Failure {
    Error(BoxError),
    Panic(Box<dyn std::any::Any + Send>),
}

/// Raises the failure of a host function.
///
/// # Safety
///
/// As [`raise_trap`].
#[cold]
pub(crate) unsafe fn raise(store: *mut StoreContext, failure: Failure) -> ! {
    // SAFETY: by the contract.
    unsafe {
        leave_failure(store, failure);
        arch::resume(store)
    }
}

/// Leaves a trap in the store; everything that needs dropping is gone when
/// this returns.
#[inline(never)]
unsafe fn leave_trap(store: *mut StoreContext, code: TrapCode, at: Option<(usize, usize)>) {
    // SAFETY: the callers' contract.
    unsafe {
        let trap = Trap { code, backtrace: backtrace(store, at) };
        (*store.cast::<StoreOpaque>()).pending = Some(Pending::Error(Error::Trap(trap)));
    }
}

#[inline(never)]
unsafe fn leave_failure(store: *mut StoreContext, failure: Failure) {
    // SAFETY: the callers' contract.
    unsafe {
        let pending = match failure {
            Failure::Panic(payload) => Pending::Panic(payload),
            Failure::Error(error) => Pending::Error(error_of(error, || backtrace(store, None))),
        };
        (*store.cast::<StoreOpaque>()).pending = Some(pending);
    }
}

/// The compiled functions that are running, from the frame `at` (program
/// counter and frame pointer), or else from the last call of the host.
///
/// # Safety
///
/// `at` must be a frame of compiled code of this thread; without it, the exit
/// recorded in the store must be current.
unsafe fn backtrace(store: *const StoreContext, at: Option<(usize, usize)>) -> Backtrace {
    let mut places = Vec::new();
    // SAFETY: the exits in the store and in what its entries have saved are of
    // frames that are waiting for their calls to return.
    unsafe {
        if let Some((pc, fp)) = at {
            walk(Pc(pc), fp, &mut places);
        }
        let mut context = if at.is_some() { (*store).outer } else { store };
        while !context.is_null() && (*context).exit_sp != 0 {
            let pc = arch::return_address_below((*context).exit_sp);
            walk(Pc(pc - 1), (*context).exit_fp, &mut places);
            context = (*context).outer;
        }
    }
    Backtrace::new(places)
}

/// Collects places from the frame with pointer `fp` up to the first frame that
/// is not compiled code.
unsafe fn walk(mut pc: Pc, mut fp: usize, places: &mut Vec<CodePlace>) {
    while let Some(place) = place_at(pc) {
        places.push(place);
        // SAFETY: compiled code keeps frame pointers.
        let (caller_fp, return_address) = unsafe { arch::caller_frame(fp) };
        // The instruction before: a call may be the last one of its function.
        (pc, fp) = (Pc(return_address - 1), caller_fp);
    }
}
