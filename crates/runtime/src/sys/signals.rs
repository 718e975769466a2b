//! Faults of compiled code become traps.
//!
//! The handler looks the program counter up and, if a trap is known there, has
//! the thread continue in ordinary code on its own stack. It neither allocates
//! nor locks, and takes little of whatever stack it runs on. Any other signal
//! goes on to the handler that was there before, as if ours were not there.

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
            // A sampler's signal on top of this one would be too much for a
            // signal stack of 8 KiB, which somebody may have put in the place
            // of ours.
            libc::sigfillset(&mut action.sa_mask);
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
    // SAFETY: the kernel passed this context, and this information unless a
    // handler of the older kind has called us and had none. The code is above
    // zero for what the processor found, and not for what somebody sent.
    let ((pc, _, _), fault) =
        unsafe { (arch::interrupted(context), info.as_ref().is_none_or(|info| info.si_code > 0)) };
    // A thread that is in compiled code has used its thread-local variables
    // before; on any other one, a first use here might allocate.
    if fault
        && let Some(trap) = code::trap_at(Pc(pc))
        && let store = call::current()
        && !store.is_null()
    {
        // SAFETY: the pc is in compiled code, which keeps above the stack limit
        // and nothing below its stack pointer; the landing never returns.
        unsafe { arch::redirect(context, call::landing_address(), trap as u8, store) };
        return;
    }
    // SAFETY: the arguments are passed on as they came.
    unsafe { forward(signal, fault, info, context) };
}

/// Does what would have been done without our handler.
unsafe fn forward(
    signal: libc::c_int,
    fault: bool,
    info: *mut libc::siginfo_t,
    context: *mut libc::ucontext_t,
) {
    let previous = SIGNALS.iter().position(|known| *known == signal).and_then(|at| {
        PREVIOUS.get().and_then(|previous| previous.as_ref().ok()).map(|previous| previous[at])
    });
    // SAFETY: the previous action tells how its handler wants to be called.
    unsafe {
        match previous {
            // The system does not let a fault be ignored: it would happen again.
            Some(action) if action.sa_sigaction == libc::SIG_IGN && !fault => {}
            Some(action) if ![libc::SIG_IGN, libc::SIG_DFL].contains(&action.sa_sigaction) => {
                block(signal, &action, &(*context).uc_sigmask);
                if action.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(
                        libc::c_int,
                        *mut libc::siginfo_t,
                        *mut libc::c_void,
                    ) = std::mem::transmute(action.sa_sigaction);
                    handler(signal, info, context.cast());
                } else {
                    let handler: extern "C" fn(libc::c_int) =
                        std::mem::transmute(action.sa_sigaction);
                    handler(signal);
                }
            }
            _ => {
                // The fault happens again on return, and then as it should; what
                // was sent has to be sent again.
                let mut default: libc::sigaction = std::mem::zeroed();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &default, std::ptr::null_mut());
                if !fault {
                    libc::raise(signal);
                }
            }
        }
    }
}

/// Blocks what the system would block for the handler of `action`, which may
/// never return here, instead of all that is blocked for ours. On return, the
/// interrupted code's own mask is restored in any case.
///
/// # Safety
///
/// Must be called in a signal handler.
unsafe fn block(signal: libc::c_int, action: &libc::sigaction, interrupted: &libc::sigset_t) {
    // SAFETY: the sets are initialised, and the calls are allowed in a handler.
    unsafe {
        let mut blocked = *interrupted;
        for other in 1..=libc::SIGRTMAX() {
            if libc::sigismember(&action.sa_mask, other) == 1 {
                libc::sigaddset(&mut blocked, other);
            }
        }
        if action.sa_flags & libc::SA_NODEFER == 0 {
            libc::sigaddset(&mut blocked, signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &blocked, std::ptr::null_mut());
    }
}
