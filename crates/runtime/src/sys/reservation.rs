//! Address space for memories and tables, used again.
//!
//! To reserve address space, and more so to give it back with the page tables
//! in it, takes longer than all else that is done to make an instance. What a
//! memory leaves is cleared and kept, up to a number, for the next one that
//! wants as much. Where address space is limited nothing is kept.

use super::mmap::{Mmap, address_space_limit, page_size, round_to_pages};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// How many are kept. They take address space, page tables, and what is below
/// [`SMALL`] of each.
const KEPT: usize = 32;

/// Up to so many bytes are cleared by hand, and stay in memory: a page that is
/// given back to the system takes longer to get again than to clear.
const SMALL: usize = 64 * 1024;

/// A range of address space whose front can be read and written and starts as
/// zeros; nothing behind it can be accessed. Nothing in it moves.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// Taken out when this is dropped.
    map: ManuallyDrop<Mmap>,
    /// Bytes accessible.
    front: AtomicUsize,
    /// Where a file is mapped.
    file: OnceLock<Range<usize>>,
    /// Whether it was kept before, so that it is likely to be again.
    again: bool,
}

/// A cleared reservation.
struct Kept {
    map: Mmap,
    front: usize,
}

static FREE: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Whether address space was limited when some was last reserved.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// How many there are who may want what is kept.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// Somebody who makes memories. When nobody does any more, nothing is kept.
pub(crate) struct User(());

impl User {
    pub(crate) fn new() -> User {
        USERS.fetch_add(1, Ordering::Relaxed);
        User(())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if USERS.fetch_sub(1, Ordering::Relaxed) == 1 {
            release_all();
        }
    }
}

/// What a panicking thread was doing to it is finished or not begun.
fn free() -> MutexGuard<'static, Vec<Kept>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reservation {
    /// Reserves `len` bytes, rounded up to whole pages, the first `front` of
    /// them accessible.
    pub(crate) fn new(len: usize, front: usize) -> io::Result<Reservation> {
        let (map, accessible, again) = match take(len, front) {
            Some(Kept { map, front }) => (map, front, true),
            None => {
                LIMITED.store(address_space_limit().is_some(), Ordering::Relaxed);
                let reserved = Mmap::reserve(len).or_else(|error| {
                    // What is kept may be what is missing.
                    if release_all() { Mmap::reserve(len) } else { Err(error) }
                });
                (reserved?, 0, false)
            }
        };
        if accessible < front {
            map.make_accessible(accessible, front)?;
        } else {
            let end = round_to_pages(accessible);
            map.make_inaccessible(round_to_pages(front).min(end), end)?;
        }
        let (map, front) = (ManuallyDrop::new(map), AtomicUsize::new(front));
        Ok(Reservation { map, front, file: OnceLock::new(), again })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.map.base()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Makes the first `front` bytes accessible, at least as many as are. One
    /// thread at a time may do this.
    pub(crate) fn extend(&self, front: usize) -> io::Result<()> {
        let accessible = round_to_pages(self.front.load(Ordering::Relaxed));
        if accessible < front {
            self.map.make_accessible(accessible, front)?;
        }
        self.front.fetch_max(front, Ordering::Relaxed);
        Ok(())
    }

    /// Replaces `len` bytes from `start` on, both whole pages of the front, by
    /// a private copy of the first `len` bytes of `file`, copied page by page
    /// on the first write. This can be done once.
    ///
    /// # Safety
    ///
    /// Nobody may be using what is replaced.
    pub(crate) unsafe fn map_file(&self, start: usize, len: usize, file: &File) -> io::Result<()> {
        self.file.set(start..start + len).expect("a file is mapped once");
        // SAFETY: by the contract.
        unsafe { self.map.map_file(start, len, file) }
    }

    /// Clears it; says whether that has been done.
    ///
    /// # Safety
    ///
    /// Nobody may be using it.
    unsafe fn clear(&mut self) -> bool {
        let front = *self.front.get_mut();
        // SAFETY: by the contract, and the front is accessible.
        unsafe {
            if let Some(file) = self.file.get()
                && self.map.map_zeros(file.start, file.len()).is_err()
            {
                return false;
            }
            if front > SMALL || !self.again {
                return self.map.discard(front).is_ok();
            }
            self.base().write_bytes(0, round_to_pages(front));
        }
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let wanted = USERS.load(Ordering::Relaxed) > 0 && !LIMITED.load(Ordering::Relaxed);
        // SAFETY: this is its owner, which goes.
        let cleared = wanted && unsafe { self.clear() };
        // SAFETY: it is not touched again.
        let map = unsafe { ManuallyDrop::take(&mut self.map) };
        if cleared {
            keep(Kept { map, front: *self.front.get_mut() });
        }
    }
}

/// Takes one of `len` bytes out of those that are kept, best one with as many
/// accessible as are wanted.
fn take(len: usize, front: usize) -> Option<Kept> {
    let len = len.max(1).checked_next_multiple_of(page_size())?;
    let mut free = free();
    let fits = |kept: &Kept| kept.map.len() == len;
    let same = free.iter().rposition(|kept| fits(kept) && kept.front == front);
    let at = same.or_else(|| free.iter().rposition(fits))?;
    Some(free.remove(at))
}

/// Keeps one, in the place of the oldest if there are enough.
fn keep(kept: Kept) {
    let mut free = free();
    let oldest = (free.len() == KEPT).then(|| free.remove(0));
    free.push(kept);
    drop(free);
    // It is unmapped while nobody waits.
    drop(oldest);
}

/// Gives all that is kept back to the system; says whether that was anything.
fn release_all() -> bool {
    let all = std::mem::take(&mut *free());
    !all.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mmap::memory_file;
    use std::os::unix::fs::FileExt;

    /// A size that only this test uses, so that it gets back what it gave.
    fn size(n: usize) -> usize {
        (1 << 30) + n * page_size()
    }

    fn bytes(reservation: &mut Reservation) -> &mut [u8] {
        let front = *reservation.front.get_mut();
        // SAFETY: the front is accessible, and borrowed as long.
        unsafe { std::slice::from_raw_parts_mut(reservation.base(), front) }
    }

    /// Whether the byte at an offset can be read: the system is asked to.
    fn readable(reservation: &Reservation, offset: usize) -> bool {
        let file = memory_file(1).expect("a file in memory");
        // SAFETY: the system reads it, or says that it cannot.
        let written = unsafe {
            let at = reservation.base().wrapping_add(offset).cast();
            libc::write(std::os::fd::AsRawFd::as_raw_fd(&file), at, 1)
        };
        written == 1
    }

    #[test]
    fn what_is_used_again_is_zero_and_no_larger_than_asked_for() {
        let _user = User::new();
        let len = size(1);
        for front in [page_size(), 3 * SMALL, SMALL, 0, 5 * SMALL, page_size(), page_size(), 100] {
            let mut reservation = Reservation::new(len, front).expect("address space");
            assert!(bytes(&mut reservation).iter().all(|byte| *byte == 0));
            assert_eq!(bytes(&mut reservation).len(), front);
            assert!(front == 0 || readable(&reservation, front - 1));
            assert!(!readable(&reservation, round_to_pages(front)));
            bytes(&mut reservation).fill(0xff);
            reservation.extend(front + SMALL).expect("memory");
            assert!(bytes(&mut reservation)[front..].iter().all(|byte| *byte == 0));
            assert!(!readable(&reservation, round_to_pages(front + SMALL)));
            bytes(&mut reservation).fill(0xff);
        }
    }

    #[test]
    fn a_file_is_gone_when_it_is_used_again() {
        let _user = User::new();
        let (len, page) = (size(2), page_size());
        let file = memory_file(page as u64).expect("a file in memory");
        file.write_all_at(&[7; 100], 0).expect("it has room");
        for _ in 0..3 {
            let mut reservation = Reservation::new(len, 4 * page).expect("address space");
            assert!(bytes(&mut reservation).iter().all(|byte| *byte == 0));
            // SAFETY: nobody uses it yet.
            unsafe { reservation.map_file(2 * page, page, &file) }.expect("it is mapped");
            assert_eq!(bytes(&mut reservation)[2 * page..][..101], [&[7; 100][..], &[0]].concat());
            bytes(&mut reservation).fill(0xff);
        }
        let mut unchanged = [0; 100];
        file.read_exact_at(&mut unchanged, 0).expect("it is there");
        assert_eq!(unchanged, [7; 100]);
    }

    #[test]
    fn what_cannot_be_reserved_is_an_error() {
        for len in [usize::MAX, 1 << 60] {
            assert!(Reservation::new(len, 0).is_err());
        }
    }
}
