//! The storage of a table: an array of references that never moves.

use crate::error::resource;
use crate::sys::mmap::{address_space_left, round_to_pages};
use crate::sys::reservation::Reservation;
use crate::{Error, LinkError};
use wasmprof_image::abi::POINTER_SIZE;
use wasmprof_module::{MAX_TABLE_ELEMENTS, TableType};

const ELEMENT_SIZE: u64 = POINTER_SIZE as u64;
/// Tables with fewer elements take what address space they want.
const LARGE: u64 = 8192;

/// A table. Its address is fixed: compiled code has pointers into it.
///
/// Room for all elements that it may ever have is reserved at once; what is not
/// touched takes no memory. A null reference is zero.
#[derive(Debug)]
pub(crate) struct TableStorage {
    /// Elements now; compiled code reads it.
    length: u64,
    map: Reservation,
    limit: u64,
    ty: TableType,
}

impl TableStorage {
    pub(crate) fn new(ty: TableType) -> Result<TableStorage, Error> {
        if ty.minimum > MAX_TABLE_ELEMENTS {
            return Err(LinkError::TableTooLarge { elements: ty.minimum }.into());
        }
        let maximum = ty.maximum.unwrap_or(MAX_TABLE_ELEMENTS).min(MAX_TABLE_ELEMENTS);
        // As for memories, but tables are small, and this costs them a question
        // to the system only if they may become large.
        let share = match maximum {
            0..LARGE => maximum,
            _ => address_space_left().map_or(maximum, |left| left / 64 / ELEMENT_SIZE),
        };
        let limit = maximum.min(share).max(ty.minimum);
        let map = Reservation::new(bytes(limit), bytes(ty.minimum))
            .map_err(|error| resource(format!("a table of {} elements", ty.minimum), error))?;
        Ok(TableStorage { length: ty.minimum, map, limit, ty })
    }

    pub(crate) fn ty(&self) -> TableType {
        TableType { minimum: self.length, ..self.ty }
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.map.base()
    }

    /// Where compiled code finds the length.
    pub(crate) fn length_address(&self) -> *const u64 {
        &raw const self.length
    }

    pub(crate) fn elements(&self) -> &[u64] {
        // SAFETY: the elements up to the length are accessible, and started as
        // zeros; the mapping is page-aligned.
        unsafe { std::slice::from_raw_parts(self.base().cast(), self.length as usize) }
    }

    pub(crate) fn elements_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and the table is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.base().cast(), self.length as usize) }
    }

    /// The elements before growing, or `None` if it cannot grow so far.
    pub(crate) fn grow(&mut self, delta: u64, init: u64) -> Option<u64> {
        let old = self.length;
        let new = old.checked_add(delta).filter(|new| *new <= self.limit)?;
        self.map.extend(bytes(new)).ok()?;
        self.length = new;
        self.elements_mut()[old as usize..].fill(init);
        Some(old)
    }
}

/// Whole pages for so many elements, in bytes.
fn bytes(elements: u64) -> usize {
    round_to_pages((elements * ELEMENT_SIZE) as usize)
}
