//! Entering compiled code, and leaving it in disorder: traps, errors, panics,
//! exceptions.
//!
//! An entry goes through a stub that stores in the store context where to
//! resume. Whoever raises an error leaves it in the store, and resumes there:
//! compiled frames and the shims of host functions have nothing to drop. An
//! exception resumes in the compiled frame that catches it instead.
//! Walking stacks is left to `walk`.

use crate::error::resource;
use crate::host_error::error_of;
use crate::store::{Pending, StoreOpaque};
use crate::sys::arch::{self, Handler};
use crate::sys::stack;
use crate::vm::{ExceptionData, FuncRef, StoreContext, Value};
use crate::walk::{backtrace, find_handler};
use crate::{BoxError, Error, Exception, Trap};
use std::cell::Cell;
use std::ptr::NonNull;
use wasmprof_image::TrapCode;

/// What is left of the stack for host functions and for what handles a trap.
const HOST_STACK: usize = 128 * 1024;

/// What entering compiled code needs to know of a thread.
struct Thread {
    /// The store whose compiled code was entered last, if it has not been left.
    current: Cell<*mut StoreContext>,
    /// The lowest stack address for compiled code, whatever a store allows; 0
    /// until the thread has its signal stack.
    lowest: Cell<usize>,
}

thread_local! {
    static THREAD: Thread =
        const { Thread { current: Cell::new(std::ptr::null_mut()), lowest: Cell::new(0) } };
}

/// The store whose compiled code is running on this thread, or null. Safe in a
/// signal handler.
pub(crate) fn current() -> *mut StoreContext {
    THREAD.with(|thread| thread.current.get())
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
    let raised = THREAD.with(|thread| {
        if thread.lowest.get() == 0 {
            prepare(thread)?;
        }
        // SAFETY: by the contract; the thread is prepared.
        Ok::<bool, Error>(unsafe { run(thread, store, entry, function, values) })
    })?;
    if !raised {
        return Ok(());
    }
    // SAFETY: the store is alive, and compiled code has been left.
    Err(unsafe { failure(store) })
}

/// Runs the stub; returns whether something was raised.
///
/// # Safety
///
/// As [`enter`].
#[inline]
unsafe fn run(
    thread: &Thread,
    store: *mut StoreOpaque,
    entry: usize,
    function: FuncRef,
    values: *mut Value,
) -> bool {
    let context = store.cast::<StoreContext>();
    // SAFETY: the store context is the first field of the store, which is
    // alive, and nothing else uses it while its compiled code is not running.
    // The stub is what the caller says.
    unsafe {
        let entry: Entry = std::mem::transmute(entry);
        let previous = thread.current.replace(context);
        let raised = if (*context).handler_sp == 0 {
            (*context).stack_limit = stack_limit(thread, store);
            let raised = entry(function.code, function.vmctx, context, values);
            (*context).handler_sp = 0;
            (*context).exit_sp = 0;
            raised
        } else {
            // A host function called by this store's compiled code enters again.
            let outer = *context;
            (*context).outer = &raw const outer;
            (*context).exit_sp = 0;
            if previous != context {
                (*context).stack_limit = stack_limit(thread, store);
            }
            let raised = entry(function.code, function.vmctx, context, values);
            *context = outer;
            raised
        };
        thread.current.set(previous);
        raised != 0
    }
}

/// Gives the thread a signal stack, and finds out where its stack ends.
#[cold]
fn prepare(thread: &Thread) -> Result<(), Error> {
    stack::ensure_signal_stack().map_err(|error| resource("a signal stack".to_owned(), error))?;
    thread.lowest.set(stack::lowest_address() + HOST_STACK);
    Ok(())
}

/// The lowest stack address for compiled code that is entered now.
fn stack_limit(thread: &Thread, store: *mut StoreOpaque) -> usize {
    // SAFETY: the store is that of the caller, who owns it.
    let most = unsafe { (*store).max_wasm_stack() };
    arch::stack_pointer().saturating_sub(most).max(thread.lowest.get())
}

/// What was raised, taken out of the store; a panic goes on.
///
/// # Safety
///
/// The store must be alive, and something must have been raised.
#[cold]
unsafe fn failure(store: *mut StoreOpaque) -> Error {
    // SAFETY: by the contract.
    match unsafe { (*store).pending.take() } {
        Some(Pending::Error(error)) => error,
        Some(Pending::Panic(payload)) => std::panic::resume_unwind(payload),
        None => unreachable!("an error was raised without being left in the store"),
    }
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
        resume_entry(store)
    }
}

/// Resumes the innermost entry, which finds in the store why.
///
/// # Safety
///
/// The entry must be below on this stack, and no frame above it may have
/// anything left to drop.
unsafe fn resume_entry(store: *const StoreContext) -> ! {
    // SAFETY: the entry stub has stored its handler and has not returned, by
    // the contract.
    unsafe {
        let StoreContext { handler_sp: sp, handler_fp: fp, handler_pc: pc, .. } = *store;
        arch::resume(Handler { sp, fp, pc }, 0)
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
        resume_entry(store)
    }
}

/// How a host function failed, or what else of the embedder's was called.
pub(crate) enum Failure {
    /// An error; an exception is thrown where the function was called.
    Error(BoxError),
    /// What the program ends with, even if it is an exception: it comes where
    /// nothing in WebAssembly throws.
    End(BoxError),
    Panic(Box<dyn std::any::Any + Send>),
}

/// Raises a failure.
///
/// # Safety
///
/// As [`raise_trap`].
#[cold]
pub(crate) unsafe fn raise(store: *mut StoreContext, failure: Failure) -> ! {
    // SAFETY: by the contract.
    unsafe {
        match leave_failure(store, failure) {
            Some(exception) => throw(store, exception),
            None => resume_entry(store),
        }
    }
}

/// Throws an exception: goes on at the innermost call that catches it, or else
/// leaves the innermost entry with it as an error.
///
/// # Safety
///
/// As [`raise_trap`]; the exception must be alive and belong to the store.
pub(crate) unsafe fn throw(store: *mut StoreContext, exception: NonNull<ExceptionData>) -> ! {
    // SAFETY: by the contract.
    unsafe {
        if let Some(handler) = find_handler(store, exception) {
            arch::resume(handler, exception.as_ptr() as usize);
        }
        leave_exception(store, exception);
        resume_entry(store)
    }
}

/// Leaves an exception that nothing catches in the store.
#[inline(never)]
unsafe fn leave_exception(store: *mut StoreContext, exception: NonNull<ExceptionData>) {
    // SAFETY: the callers' contract.
    unsafe {
        let backtrace = backtrace(store, None);
        let store = &mut *store.cast::<StoreOpaque>();
        let exception = Exception::caught(store, exception, backtrace);
        store.pending = Some(Pending::Error(exception.into()));
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

/// Leaves a failure in the store, or returns the exception to throw. One of
/// another store, which nothing here could catch, is an error like any other.
#[inline(never)]
unsafe fn leave_failure(
    store: *mut StoreContext,
    failure: Failure,
) -> Option<NonNull<ExceptionData>> {
    // SAFETY: the callers' contract.
    unsafe {
        let pending = match failure {
            Failure::Panic(payload) => Pending::Panic(payload),
            Failure::End(error) => Pending::Error(error_of(error, || backtrace(store, None))),
            Failure::Error(error) => match error_of(error, || backtrace(store, None)) {
                Error::Exception(exception)
                    if exception.tag().store_id() == (*store.cast::<StoreOpaque>()).id =>
                {
                    match exception.into_data(&mut *store.cast::<StoreOpaque>()) {
                        Ok(exception) => return Some(exception),
                        Err(code) => {
                            let backtrace = backtrace(store, None);
                            Pending::Error(Error::Trap(Trap { code, backtrace }))
                        }
                    }
                }
                error => Pending::Error(error),
            },
        };
        (*store.cast::<StoreOpaque>()).pending = Some(pending);
    }
    None
}
