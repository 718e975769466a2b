//! Walks of the stack: backtraces, the search for a handler, and a look at every
//! word of it.
//!
//! Compiled code keeps frame pointers, and records in the store where it leaves
//! for the host; each entry saves what the one outside it had recorded. Raising
//! anything is left to `call`.

use crate::Backtrace;
use crate::code::{Catches, CodePlace, Handlers, place_at};
use crate::sys::arch::{self, Handler};
use crate::vm::{ExceptionData, StoreContext, VmctxHead};
use std::ptr::NonNull;
use wasmprof_image::Pc;

/// The compiled functions that are running, from the frame `at` (program
/// counter and frame pointer), or else from the last call of the host.
///
/// # Safety
///
/// `at` must be a frame of compiled code of this thread; without it, the exit
/// recorded in the store must be current.
pub(crate) unsafe fn backtrace(
    store: *const StoreContext,
    at: Option<(usize, usize)>,
) -> Backtrace {
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

/// The handler of the innermost call that catches an exception, among the
/// compiled frames since the innermost entry.
///
/// # Safety
///
/// The exit recorded in the store must be current, and the exception alive.
pub(crate) unsafe fn find_handler(
    store: *const StoreContext,
    exception: NonNull<ExceptionData>,
) -> Option<Handler> {
    // SAFETY: the exit is recorded, and compiled code keeps frame pointers. The
    // frames are waiting for their calls to return.
    unsafe {
        let mut return_address = arch::return_address_below((*store).exit_sp);
        let mut fp = (*store).exit_fp;
        let mut handlers = Handlers::new();
        loop {
            if let Some(Catches { frame_size, catches, base }) = handlers.of(Pc(return_address))? {
                let sp = fp - frame_size as usize;
                let catch = catches.iter().find(|catch| {
                    let vmctx = *((sp + catch.vmctx as usize) as *const *mut VmctxHead);
                    catch.tag.is_none_or(|tag| {
                        (*(*vmctx).instance).tags[tag as usize] == exception.as_ref().tag
                    })
                });
                if let Some(catch) = catch {
                    return Some(Handler { sp, fp, pc: base + catch.handler.index() });
                }
            }
            (fp, return_address) = arch::caller_frame(fp);
        }
    }
}

/// Calls `visit` with each word of the stack between here and the outermost
/// entry of a store, and with the registers that calls preserve: whatever
/// compiled code works with is among them.
///
/// # Safety
///
/// The entries of the store, if there are any, must be on this thread's stack.
#[inline(never)]
pub(crate) unsafe fn each_word_since_entry(store: &StoreContext, mut visit: impl FnMut(usize)) {
    let registers = std::hint::black_box(arch::preserved_registers());
    registers.into_iter().for_each(&mut visit);
    let mut top = store.handler_sp;
    let mut entry = store.outer;
    // SAFETY: what an entry has saved is alive until it returns.
    while let Some(saved) = unsafe { entry.as_ref() } {
        top = saved.handler_sp;
        entry = saved.outer;
    }
    let mut at = arch::stack_pointer() & !7;
    while at < top {
        // SAFETY: the stack between the stack pointer and a live frame is
        // readable, whatever its words mean.
        visit(unsafe { (at as *const usize).read_volatile() });
        at += 8;
    }
}
