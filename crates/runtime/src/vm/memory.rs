//! A linear memory: reserved address space of which the front is accessible.
//!
//! A memory never moves. With a guard, the reservation holds every address that
//! a 32-bit index and a 32-bit offset can make, so compiled code checks
//! nothing. Without one, it holds what the memory may grow to, or as much of it
//! as can be had: growing further fails, as WebAssembly lets it.

use crate::sys::mmap::{Mmap, address_space_left, memory_file, page_size};
use crate::{Error, error::resource};
use std::fs::File;
use std::os::unix::fs::FileExt;
use wasmprof_module::{MemoryType, PAGE_SIZE};

/// 2^32 for the index, as much again for the offset, and the widest access.
const GUARDED_RESERVATION: u64 = (1 << 33) + PAGE_SIZE;
/// The most pages that a 32-bit memory has.
const MAX_PAGES: u64 = 1 << 16;

/// A linear memory. Its address is fixed: compiled code has pointers into it.
#[derive(Debug)]
pub(crate) struct LinearMemory {
    /// Bytes accessible; compiled code reads it.
    length: u64,
    map: Mmap,
    /// Pages at most.
    limit: u64,
    ty: MemoryType,
}

impl LinearMemory {
    pub(crate) fn new(ty: MemoryType, guarded: bool) -> Result<LinearMemory, Error> {
        let failed = |error| resource(format!("a memory of {} pages", ty.minimum), error);
        let maximum = ty.maximum.unwrap_or(MAX_PAGES).min(MAX_PAGES);
        let (mut map, limit) = if guarded {
            (Mmap::reserve(GUARDED_RESERVATION as usize).map_err(failed)?, maximum)
        } else {
            reserve_pages(ty.minimum, maximum).map_err(failed)?
        };
        let length = ty.minimum * PAGE_SIZE;
        map.make_accessible(0, length as usize).map_err(failed)?;
        Ok(LinearMemory { length, map, limit, ty })
    }

    pub(crate) fn ty(&self) -> MemoryType {
        MemoryType { minimum: self.pages(), maximum: self.ty.maximum }
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.map.base()
    }

    /// Where compiled code finds the length.
    pub(crate) fn length_address(&self) -> *const u64 {
        &raw const self.length
    }

    pub(crate) fn pages(&self) -> u64 {
        self.length / PAGE_SIZE
    }

    /// The pages before growing, or `None` if it cannot grow so far.
    pub(crate) fn grow(&mut self, delta: u64) -> Option<u64> {
        let old = self.pages();
        let new = old.checked_add(delta).filter(|new| *new <= self.limit)?;
        let end = new * PAGE_SIZE;
        self.map.make_accessible(self.length as usize, end as usize).ok()?;
        self.length = end;
        Some(old)
    }

    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: the front of the mapping is accessible and initialised.
        unsafe { std::slice::from_raw_parts(self.base(), self.length as usize) }
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the memory is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.base(), self.length as usize) }
    }

    /// Starts the memory from an image, which must fit.
    pub(crate) fn map_image(&mut self, image: &MemoryImage) -> Result<(), Error> {
        self.map
            .map_file(image.start as usize, image.len as usize, &image.file)
            .map_err(|error| resource("the initial contents of a memory".to_owned(), error))
    }
}

/// Reserves `maximum` pages; where address space is limited, an eighth of what
/// is left at most, so that there is always some for the next memory.
fn reserve_pages(minimum: u64, maximum: u64) -> std::io::Result<(Mmap, u64)> {
    let share = address_space_left().map_or(maximum, |left| left / 8 / PAGE_SIZE);
    let pages = maximum.min(share).max(minimum);
    Ok((Mmap::reserve((pages * PAGE_SIZE) as usize)?, pages))
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
    pub(crate) fn new(segments: &[(u64, &[u8])]) -> std::io::Result<MemoryImage> {
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
    address_space_left().is_none_or(|left| left / GUARDED_RESERVATION >= GOOD_NUMBER)
        && Mmap::reserve(2 * GUARDED_RESERVATION as usize).is_ok()
}
