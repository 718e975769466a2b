//! The processor: jumping to a handler, where frames keep what, and what a
//! vector is.

use crate::vm::StoreContext;

/// What the system's calling convention passes in a vector register, and
/// compiled code takes for a vector. Rust warns of it in `extern "C"` functions
/// as of any type without a layout in memory to rely on; passing it relies on
/// the convention alone.
#[cfg(target_arch = "x86_64")]
pub(crate) type Vector = std::arch::x86_64::__m128i;

/// The vector with these bits, the first lane in the low ones.
#[inline]
pub(crate) fn vector_from_bits(bits: u128) -> Vector {
    // SAFETY: both have 16 bytes, in the same order, and any bits are valid.
    unsafe { std::mem::transmute(bits) }
}

/// The bits of a vector.
#[inline]
pub(crate) fn bits_of_vector(vector: Vector) -> u128 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(vector) }
}

/// Where a frame of compiled code goes on when something is raised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    pub(crate) sp: usize,
    pub(crate) fp: usize,
    pub(crate) pc: usize,
}

/// Resumes at a handler with the first word of the payload. All frames of
/// compiled code and of the host above its frame are gone, without any
/// destructor.
///
/// # Safety
///
/// The handler must be one of a call that has not returned, made from a frame
/// below on this stack, and no frame above that may have anything left to drop.
pub(crate) unsafe fn resume(handler: Handler, payload: usize) -> ! {
    // SAFETY: by the contract. Code at a handler takes no register but these
    // for preserved, and finds the payload in rax and rdx.
    unsafe {
        std::arch::asm!(
            "mov rsp, rcx",
            "mov rbp, rsi",
            "xor edx, edx",
            "jmp rdi",
            in("rax") payload,
            in("rcx") handler.sp,
            in("rsi") handler.fp,
            in("rdi") handler.pc,
            options(noreturn),
        )
    }
}

/// The registers that a call preserves.
#[inline(always)]
pub(crate) fn preserved_registers() -> [usize; 6] {
    let mut registers = [0; 6];
    // SAFETY: writes the registers to the array.
    unsafe {
        std::arch::asm!(
            "mov [{to}], rbx",
            "mov [{to} + 8], rbp",
            "mov [{to} + 16], r12",
            "mov [{to} + 24], r13",
            "mov [{to} + 32], r14",
            "mov [{to} + 40], r15",
            to = in(reg) registers.as_mut_ptr(),
            options(nostack, preserves_flags),
        )
    };
    registers
}

/// The stack pointer, near enough.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: reads a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags))
    };
    sp
}

/// Where the frame that called with this stack pointer resumes: the call has
/// pushed its return address right below.
///
/// # Safety
///
/// `sp` must be the stack pointer of a frame of this thread at a call that has
/// not returned.
pub(crate) unsafe fn return_address_below(sp: usize) -> usize {
    // SAFETY: by the contract, the word there is the return address.
    unsafe { *((sp - 8) as *const usize) }
}

/// The caller's frame pointer and the return address into it.
///
/// # Safety
///
/// `fp` must be the frame pointer of a live frame that keeps one.
pub(crate) unsafe fn caller_frame(fp: usize) -> (usize, usize) {
    // SAFETY: a frame starts with the saved frame pointer, and the return
    // address is right above it.
    unsafe { (*(fp as *const usize), *((fp + 8) as *const usize)) }
}

/// Program counter, stack pointer and frame pointer where a signal arrived.
///
/// # Safety
///
/// `context` must be what the system passed to the signal handler.
pub(crate) unsafe fn interrupted(context: *const libc::ucontext_t) -> (usize, usize, usize) {
    // SAFETY: by the contract.
    let registers = unsafe { &(*context).uc_mcontext.gregs };
    let register = |index: libc::c_int| registers[index as usize] as usize;
    (register(libc::REG_RIP), register(libc::REG_RSP), register(libc::REG_RBP))
}

/// Has the interrupted code continue with a call of
/// `landing(pc, fp, code, context)`, as if made by the interrupted instruction.
///
/// # Safety
///
/// `context` must be what the system passed to the signal handler, and the
/// interrupted code must have room on its stack, and nothing of value below
/// its stack pointer but for 256 bytes.
pub(crate) unsafe fn redirect(
    context: *mut libc::ucontext_t,
    landing: usize,
    code: u8,
    store: *mut StoreContext,
) {
    // SAFETY: by the contract; the word written is below the stack pointer.
    unsafe {
        let (pc, sp, fp) = interrupted(context);
        let sp = ((sp - 256) & !15) - 8;
        *(sp as *mut usize) = pc;
        let registers = &mut (*context).uc_mcontext.gregs;
        let mut set = |index: libc::c_int, value: usize| registers[index as usize] = value as i64;
        set(libc::REG_RSP, sp);
        set(libc::REG_RIP, landing);
        set(libc::REG_RDI, pc);
        set(libc::REG_RSI, fp);
        set(libc::REG_RDX, usize::from(code));
        set(libc::REG_RCX, store as usize);
    }
}
