//! The operating system and the processor: the only place to edit for another.
//!
//! Linux on x86-64 is what has been built and tested.

pub(crate) mod arch;
pub(crate) mod mmap;
pub(crate) mod reservation;
pub(crate) mod signals;
pub(crate) mod stack;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("wasmprof runs on Linux on x86-64; a port starts in crates/runtime/src/sys");
