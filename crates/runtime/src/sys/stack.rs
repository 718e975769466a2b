//! The stack of a thread: where it ends, and one beside it for signals.

use super::arch;
use super::mmap::{Mmap, page_size};
use std::cell::Cell;
use std::io;

/// What a signal handler needs beyond the frame that the kernel makes.
const HANDLER_ROOM: usize = 32 * 1024;
/// What is taken for left of a stack whose end the system does not tell: that
/// of the main thread without `/proc`, which usually has 8 MiB.
const UNKNOWN_STACK: usize = 1024 * 1024;
/// A signal stack is never smaller than this.
const SMALLEST_SIGNAL_STACK: usize = 64 * 1024;

thread_local! {
    static LOWEST: Cell<usize> = const { Cell::new(0) };
    static SIGNAL_STACK: Cell<bool> = const { Cell::new(false) };
    static OWNED: OwnedSignalStack = const { OwnedSignalStack(Cell::new(None)) };
}

/// The lowest address of the current thread's stack.
pub(crate) fn lowest_address() -> usize {
    let known = LOWEST.get();
    if known != 0 {
        return known;
    }
    let guess = || arch::stack_pointer().saturating_sub(UNKNOWN_STACK);
    let lowest = query_lowest().unwrap_or_else(guess);
    LOWEST.set(lowest);
    lowest
}

fn query_lowest() -> Option<usize> {
    // SAFETY: the attributes are initialised by the first call, read by the
    // second and destroyed by the third.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let (mut base, mut size) = (std::ptr::null_mut(), 0);
        let result = libc::pthread_attr_getstack(&attributes, &mut base, &mut size);
        libc::pthread_attr_destroy(&mut attributes);
        (result == 0).then_some(base as usize)
    }
}

/// Gives the current thread a signal stack of ours, once.
///
/// A signal that arrives while the host has used up its stack must find room;
/// the stack that a thread comes with may be as small as 8 KiB.
///
/// A thread that is ending, and has given its signal stack back, gets no other
/// one: nobody would unmap that. Nor does it need one for compiled code, which
/// stops far enough from the end of the stack.
pub(crate) fn ensure_signal_stack() -> io::Result<()> {
    if SIGNAL_STACK.get() {
        return Ok(());
    }
    first_on_this_thread()
}

#[cold]
fn first_on_this_thread() -> io::Result<()> {
    OWNED.try_with(install_signal_stack).unwrap_or(Ok(()))
}

fn install_signal_stack(owned: &OwnedSignalStack) -> io::Result<()> {
    // SAFETY: asks for a constant that the kernel has passed to the process.
    let minimum = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let size = SMALLEST_SIGNAL_STACK.max(minimum + HANDLER_ROOM);
    let guard = page_size();
    let memory = Mmap::reserve(guard + size)?;
    let end = memory.len();
    memory.make_accessible(guard, end)?;
    let stack = libc::stack_t {
        // SAFETY: inside the mapping.
        ss_sp: unsafe { memory.base().add(guard) }.cast(),
        ss_flags: 0,
        ss_size: end - guard,
    };
    // SAFETY: the memory stays mapped until the thread ends or the stack is
    // replaced, see the destructor.
    if unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    owned.0.set(Some(memory));
    SIGNAL_STACK.set(true);
    Ok(())
}

struct OwnedSignalStack(Cell<Option<Mmap>>);

impl Drop for OwnedSignalStack {
    fn drop(&mut self) {
        let Some(memory) = self.0.take() else { return };
        SIGNAL_STACK.set(false);
        // SAFETY: the current setting is read, and turned off if it is ours, so
        // that no signal is delivered to memory that is no longer mapped.
        unsafe {
            let mut current: libc::stack_t = std::mem::zeroed();
            if libc::sigaltstack(std::ptr::null(), &mut current) != 0 {
                std::mem::forget(memory);
                return;
            }
            let range = memory.base() as usize..memory.base() as usize + memory.len();
            if range.contains(&(current.ss_sp as usize)) {
                current.ss_flags = libc::SS_DISABLE;
                libc::sigaltstack(&current, std::ptr::null_mut());
            }
        }
    }
}
