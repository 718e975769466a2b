//! Waiting at an address of a memory, and notifying who waits there: what of
//! the atomic operators is not an instruction.
//!
//! Addresses and values are checked here. The queues are in `parking`.

use super::LinearMemory;
use super::parking::{Interrupt, WaitResult};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use wasmprof_image::TrapCode;

impl LinearMemory {
    /// `memory.atomic.notify`: how many threads were woken.
    ///
    /// # Errors
    ///
    /// If the address is not a multiple of 4, or outside.
    pub(crate) fn notify(&self, index: u64, offset: u64, count: u32) -> Result<u32, TrapCode> {
        let (address, _) = self.atomic_place(index, offset, 4)?;
        Ok(self.parked.notify(address, count))
    }

    /// `memory.atomic.wait32`.
    ///
    /// # Errors
    ///
    /// If the address is not a multiple of 4, or outside; if the memory is not
    /// shared; and what `interrupt` ends the wait with.
    pub(crate) fn wait32(
        &self,
        [index, offset]: [u64; 2],
        expected: u32,
        timeout: Option<Duration>,
        interrupt: Interrupt<'_>,
    ) -> Result<WaitResult, TrapCode> {
        let (address, place) = self.atomic_place(index, offset, 4)?;
        // SAFETY: it is inside the memory, which is not unmapped meanwhile, and
        // aligned. All that other threads do there is to bytes that nobody has
        // a reference to.
        let value = unsafe { AtomicU32::from_ptr(place.cast()) };
        let matches = || u32::from_le(value.load(Ordering::SeqCst)) == expected;
        self.check_shared()?;
        self.parked.wait(address, matches, timeout, interrupt)
    }

    /// `memory.atomic.wait64`.
    ///
    /// # Errors
    ///
    /// As [`wait32`](Self::wait32), with a multiple of 8.
    pub(crate) fn wait64(
        &self,
        [index, offset]: [u64; 2],
        expected: u64,
        timeout: Option<Duration>,
        interrupt: Interrupt<'_>,
    ) -> Result<WaitResult, TrapCode> {
        let (address, place) = self.atomic_place(index, offset, 8)?;
        // SAFETY: as above.
        let value = unsafe { AtomicU64::from_ptr(place.cast()) };
        let matches = || u64::from_le(value.load(Ordering::SeqCst)) == expected;
        self.check_shared()?;
        self.parked.wait(address, matches, timeout, interrupt)
    }

    /// The effective address of an atomic access of `size` bytes, and where in
    /// this process it is.
    fn atomic_place(&self, index: u64, offset: u64, size: u64) -> Result<(u64, *mut u8), TrapCode> {
        // In this order, as compiled code has it.
        if !index.wrapping_add(offset).is_multiple_of(size) {
            return Err(TrapCode::UnalignedAtomic);
        }
        let address = index.checked_add(offset).ok_or(TrapCode::MemoryOutOfBounds)?;
        let place = self.range(address, size).ok_or(TrapCode::MemoryOutOfBounds)?;
        Ok((address, place))
    }

    /// Nobody could wake a thread that waits at an address of its own memory.
    fn check_shared(&self) -> Result<(), TrapCode> {
        if self.is_shared() { Ok(()) } else { Err(TrapCode::ExpectedSharedMemory) }
    }
}

/// How long a wait of WebAssembly lasts: a negative number is forever.
pub(crate) fn wait_timeout(nanoseconds: i64) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}
