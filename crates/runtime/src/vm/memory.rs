//! A linear memory: reserved address space of which the front is accessible.
//!
//! A memory never moves, and never gets smaller. How much is reserved behind
//! the accessible part follows from [`Bounds`]; where address space is limited,
//! it is as much of what the memory may grow to as can be had: growing further
//! fails, as WebAssembly lets it.
//!
//! A memory is used through shared references only, for several threads may
//! have one: its bytes are reached by pointer, and its length is atomic. What
//! threads do when they wait for each other is left to `parking`.

use super::parking::ParkingLot;
use crate::sys::mmap::{Mmap, address_space_left, memory_file, page_size};
use crate::sys::reservation::Reservation;
use crate::{Error, LinkError, error::resource};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use wasmprof_image::abi::{Bounds, GUARD_SIZE};
use wasmprof_module::{IndexType, MemoryType, PAGE_SIZE};

/// 2^32 for the index, as much again for the offset, and the widest access.
const ALL_ADDRESSES: u64 = (1 << 33) + PAGE_SIZE;
/// What is reserved for a memory with 64-bit indices that may grow further, in
/// bytes. Address space has room for some thousands of these.
const MOST_RESERVED: u64 = 64 << 30;

/// A linear memory. Its address is fixed: compiled code has pointers into it.
#[derive(Debug)]
pub(crate) struct LinearMemory {
    /// Bytes accessible; compiled code reads it.
    length: AtomicU64,
    map: Reservation,
    /// Pages at most.
    limit: u64,
    ty: MemoryType,
    /// Held while growing.
    growing: Mutex<()>,
    /// Threads that wait at addresses in it.
    pub(crate) parked: ParkingLot,
}

impl LinearMemory {
    pub(crate) fn new(ty: MemoryType, guarded: bool) -> Result<LinearMemory, Error> {
        ty.validate().map_err(|why| LinkError::MemoryType { ty, why })?;
        let failed = |error| resource(format!("a memory of {} pages", ty.minimum), error);
        let length = ty.minimum_bytes().ok_or_else(|| failed(io::ErrorKind::OutOfMemory.into()))?;
        let most = ty.maximum.unwrap_or(u64::MAX).min(ty.max_pages());
        let (bytes, limit) = match Bounds::of(&ty, guarded) {
            Bounds::Reserved => (Some(ALL_ADDRESSES), most),
            Bounds::Guarded => room(&ty, most, GUARD_SIZE),
            Bounds::Checked => room(&ty, most, 0),
        };
        let bytes = bytes.ok_or_else(|| failed(io::ErrorKind::OutOfMemory.into()))?;
        let map = Reservation::new(bytes as usize, length as usize).map_err(failed)?;
        Ok(LinearMemory {
            length: AtomicU64::new(length),
            map,
            limit,
            ty,
            growing: Mutex::default(),
            parked: ParkingLot::default(),
        })
    }

    /// Its type; the minimum is the current size.
    pub(crate) fn ty(&self) -> MemoryType {
        MemoryType { minimum: self.pages(), ..self.ty }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.ty.shared
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.map.base()
    }

    /// Where compiled code finds the length.
    pub(crate) fn length_address(&self) -> *const u64 {
        self.length.as_ptr()
    }

    /// Bytes accessible. Those that were once stay so.
    pub(crate) fn len(&self) -> u64 {
        self.length.load(Ordering::SeqCst)
    }

    pub(crate) fn pages(&self) -> u64 {
        self.len() >> self.ty.page_size_log2
    }

    /// The address of `len` bytes from `start` on, if they are all inside.
    pub(crate) fn range(&self, start: u64, len: u64) -> Option<*mut u8> {
        let inside = start.checked_add(len)? <= self.len();
        inside.then(|| self.base().wrapping_add(start as usize))
    }

    /// The pages before growing, or `None` if it cannot grow so far.
    ///
    /// The new pages are accessible before the new length can be seen.
    pub(crate) fn grow(&self, delta: u64) -> Option<u64> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let start = self.len();
        let old = start >> self.ty.page_size_log2;
        let new = old.checked_add(delta).filter(|new| *new <= self.limit)?;
        let end = new << self.ty.page_size_log2;
        self.map.extend(end as usize).ok()?;
        self.length.store(end, Ordering::SeqCst);
        Some(old)
    }

    /// Starts the memory from an image, which must fit.
    ///
    /// # Safety
    ///
    /// The memory must be new: nobody else may use it yet.
    pub(crate) unsafe fn map_image(&self, image: &MemoryImage) -> Result<(), Error> {
        // SAFETY: the caller says that nobody has pointers to its bytes.
        unsafe { self.map.map_file(image.start as usize, image.len as usize, &image.file) }
            .map_err(|error| resource("the initial contents of a memory".to_owned(), error))
    }
}

/// Bytes to reserve for growing to `most` pages, with `guard` bytes behind it,
/// if that is a number; and how many pages it is for: where address space is
/// limited, an eighth of what is left at most, so that there is always some for
/// the next memory.
fn room(ty: &MemoryType, most: u64, guard: u64) -> (Option<u64>, u64) {
    let most = match ty.index {
        IndexType::I32 => most,
        IndexType::I64 => most.min(MOST_RESERVED / ty.page_size()),
    };
    let share = address_space_left().map_or(most, |left| left / 8 / ty.page_size());
    let limit = most.min(share).max(ty.minimum);
    // The minimum may be anything; all else is far below 2^64 bytes.
    (limit.checked_mul(ty.page_size()).and_then(|bytes| bytes.checked_add(guard)), limit)
}

/// The first contents of a memory, shared by all instances of a module: they
/// copy a page of it when they first write to it.
#[derive(Debug)]
pub(crate) struct MemoryImage {
    file: File,
    start: u64,
    len: u64,
}

impl MemoryImage {
    /// An image of segments `(address, bytes)`, applied in order.
    pub(crate) fn new(segments: &[(u64, &[u8])]) -> io::Result<MemoryImage> {
        let page = page_size() as u64;
        let first = segments.iter().map(|(at, _)| *at).min().unwrap_or(0);
        let end = segments.iter().map(|(at, bytes)| at + bytes.len() as u64).max().unwrap_or(0);
        let start = first / page * page;
        let len = (end - start).next_multiple_of(page);
        let file = memory_file(len)?;
        for (at, bytes) in segments {
            file.write_all_at(bytes, at - start)?;
        }
        Ok(MemoryImage { file, start, len })
    }
}

/// Whether guarded memories can be reserved, with room for a good number of
/// them if address space is limited.
pub(crate) fn can_reserve_guards() -> bool {
    const GOOD_NUMBER: u64 = 16;
    address_space_left().is_none_or(|left| left / ALL_ADDRESSES >= GOOD_NUMBER)
        && Mmap::reserve(2 * ALL_ADDRESSES as usize).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(ty: MemoryType, guarded: bool) -> LinearMemory {
        LinearMemory::new(ty, guarded).expect("the system gives it")
    }

    #[test]
    fn what_the_compiler_relies_on_is_reserved() {
        let reserved = |ty: MemoryType, guarded| memory(ty, guarded).map.len() as u64;
        let ty = MemoryType::new(1, Some(2));
        assert_eq!(reserved(ty, true), ALL_ADDRESSES);
        assert_eq!(reserved(ty, false), 2 * PAGE_SIZE);
        assert_eq!(reserved(ty.memory64(), true), 2 * PAGE_SIZE + GUARD_SIZE);
        assert_eq!(reserved(ty.memory64(), false), 2 * PAGE_SIZE);
        let open = MemoryType::new(1, None);
        assert_eq!(reserved(open, false), 1 << 32);
        assert_eq!(reserved(open.memory64(), true), MOST_RESERVED + GUARD_SIZE);
        let large = MemoryType::new(MOST_RESERVED / PAGE_SIZE + 1, None).memory64();
        assert_eq!(reserved(large, true), MOST_RESERVED + PAGE_SIZE + GUARD_SIZE);
        let bytes = ty.page_size_log2(0);
        assert_eq!(reserved(bytes, true), page_size() as u64);
        assert_eq!(reserved(open.page_size_log2(0), true), 1 << 32);
    }

    #[test]
    fn growth_ends_at_what_is_reserved() {
        let wide = memory(MemoryType::new(1, None).memory64(), true);
        let most = MOST_RESERVED / PAGE_SIZE;
        for delta in [most, u64::MAX, u64::MAX - 1, 1 << 48] {
            assert_eq!(wide.grow(delta), None, "{delta}");
        }
        assert_eq!(wide.grow(most - 1), Some(1));
        assert_eq!((wide.pages(), wide.len()), (most, MOST_RESERVED));
        assert_eq!(wide.grow(1), None);
        assert_eq!(wide.grow(0), Some(most));
        let bytes = memory(MemoryType::new(5, None).page_size_log2(0), true);
        assert_eq!(bytes.grow(u64::from(u32::MAX) - 4), None);
        assert_eq!(bytes.grow(u64::from(u32::MAX) - 5), Some(5));
        assert_eq!(bytes.ty().minimum, u64::from(u32::MAX));
    }

    #[test]
    fn ranges_are_inside_or_nothing() {
        let memory = memory(MemoryType::new(2, Some(2)).page_size_log2(0), true);
        assert_eq!(memory.range(0, 2), Some(memory.base()));
        assert_eq!(memory.range(2, 0), Some(memory.base().wrapping_add(2)));
        for (start, len) in [(0, 3), (1, 2), (3, 0), (u64::MAX, 1), (u64::MAX, 2), (1, u64::MAX)] {
            assert_eq!(memory.range(start, len), None, "{start} {len}");
        }
    }

    #[test]
    fn growing_threads_get_pages_of_their_own() {
        const THREADS: u64 = 4;
        const PAGES: u64 = 100;
        let ty = MemoryType::new(0, Some(THREADS * PAGES)).shared();
        let memory = memory(ty, false);
        let mut olds = std::thread::scope(|scope| {
            let grow = || (0..PAGES).map(|_| memory.grow(1).expect("room")).collect::<Vec<_>>();
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(grow)).collect();
            let olds = threads.into_iter().flat_map(|thread| thread.join().expect("no panic"));
            olds.collect::<Vec<_>>()
        });
        olds.sort_unstable();
        assert_eq!(olds, (0..THREADS * PAGES).collect::<Vec<_>>());
        assert_eq!(memory.grow(1), None);
    }
}
