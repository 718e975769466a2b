//! Faults of compiled code become traps.
//!
//! The handler looks the program counter up and, if a trap is known there, has
//! the thread continue in ordinary code on its own stack. It neither allocates
//! nor locks. Any other signal goes on to the handler that was there before.

use super::arch;
use crate::call;
use crate::code;
use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use wasmprof_image::Pc;

/// The signals by which a fault arrives, and the position of each one's
/// previous handler.
const SIGNALS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

static PREVIOUS: OnceLock<Result<[libc::sigaction; 4], i32>> = OnceLock::new();

/// Installs the handler for this process, once.
pub(crate) fn install() -> io::Result<()> {
    match PREVIOUS.get_or_init(install_all) {
        Ok(_) => Ok(()),
        Err(code) => Err(io::Error::from_raw_os_error(*code)),
    }
}

fn install_all() -> Result<[libc::sigaction; 4], i32> {
    let mut previous = [const { MaybeUninit::<libc::sigaction>::zeroed() }; 4];
    // SAFETY: a signal action of zeros is a valid value, which the calls below
    // replace. Until the previous handlers are known, a fault finds none and
    // is taken as the system would.
    let mut previous = previous.each_mut().map(|action| unsafe { action.assume_init_read() });
    for (signal, previous) in SIGNALS.into_iter().zip(&mut previous) {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and
        // does nothing that a handler must not do.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            if libc::sigaction(signal, &action, previous) != 0 {
                return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
            }
        }
    }
    Ok(previous)
}

unsafe extern "C" fn handler(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel passed this context.
    let (pc, _, _) = unsafe { arch::interrupted(context) };
    let store = call::current();
    if !store.is_null()
        && let Some(trap) = code::trap_at(Pc(pc))
    {
        // SAFETY: the pc is in compiled code, which keeps above the stack limit
        // and nothing below its stack pointer; the landing never returns.
        unsafe { arch::redirect(context, call::landing_address(), trap as u8, store) };
        return;
    }
    // SAFETY: the arguments are passed on as they came.
    unsafe { forward(signal, info, context.cast()) };
}

/// Does what would have been done without our handler.
unsafe fn forward(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let previous = SIGNALS.iter().position(|known| *known == signal).and_then(|at| {
        PREVIOUS.get().and_then(|previous| previous.as_ref().ok()).map(|previous| previous[at])
    });
    // SAFETY: the previous action tells how its handler wants to be called.
    unsafe {
        match previous {
            Some(action) if action.sa_sigaction == libc::SIG_IGN => {}
            Some(action) if action.sa_sigaction != libc::SIG_DFL => {
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(
                        libc::c_int,
                        *mut libc::siginfo_t,
                        *mut libc::c_void,
                    ) = std::mem::transmute(action.sa_sigaction);
                    handler(signal, info, context);
                } else {
                    let handler: extern "C" fn(libc::c_int) =
                        std::mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
            _ => {
                // The fault happens again on return, and then as it should.
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &default, std::ptr::null_mut());
            }
        }
    }
}
