//! Address space: reserved, made accessible, mapped from a file, made
//! executable, given back.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;

/// A range of address space that this owns. Nothing in it moves.
#[derive(Debug)]
pub(crate) struct Mmap {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the range is owned like a Box of bytes is; who may access it when is
// for the users of `base` to settle.
unsafe impl Send for Mmap {}
// SAFETY: as above; through a shared reference, pages are made accessible and
// nothing else happens to them without a promise.
unsafe impl Sync for Mmap {}

impl Mmap {
    /// Reserves `len` bytes, rounded up to whole pages, all inaccessible.
    pub(crate) fn reserve(len: usize) -> io::Result<Mmap> {
        Mmap::anonymous(len, libc::PROT_NONE)
    }

    /// Reserves `len` bytes that can be read and written and start as zeros.
    /// They take memory as they are touched.
    pub(crate) fn zeroed(len: usize) -> io::Result<Mmap> {
        Mmap::anonymous(len, libc::PROT_READ | libc::PROT_WRITE)
    }

    fn anonymous(len: usize, protection: libc::c_int) -> io::Result<Mmap> {
        let len = len.max(1).checked_next_multiple_of(page_size());
        let len = len.ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the system's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at null"))?;
        Ok(Mmap { base, len })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes `start..end`, which are rounded out to whole pages, readable and
    /// writable.
    pub(crate) fn make_accessible(&self, start: usize, end: usize) -> io::Result<()> {
        self.protect(start, end, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Makes `start..end`, which are rounded out to whole pages, inaccessible.
    /// What they held stays.
    pub(crate) fn make_inaccessible(&self, start: usize, end: usize) -> io::Result<()> {
        self.protect(start, end, libc::PROT_NONE)
    }

    /// Gives the memory of the first `len` bytes, rounded up to whole pages,
    /// back to the system: they start anew, as zeros or as their file.
    ///
    /// # Safety
    ///
    /// Nobody may be using them.
    pub(crate) unsafe fn discard(&self, len: usize) -> io::Result<()> {
        assert!(round_to_pages(len) <= self.len, "outside the mapping");
        // SAFETY: inside the mapping, which this owns and nobody uses.
        let result =
            unsafe { libc::madvise(self.base().cast(), round_to_pages(len), libc::MADV_DONTNEED) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Makes all of it executable and no longer writable.
    pub(crate) fn make_executable(&mut self) -> io::Result<()> {
        self.protect(0, self.len, libc::PROT_READ | libc::PROT_EXEC)
    }

    fn protect(&self, start: usize, end: usize, protection: libc::c_int) -> io::Result<()> {
        let start = start & !(page_size() - 1);
        let end = round_to_pages(end);
        assert!(start <= end && end <= self.len, "outside the mapping");
        if start == end {
            return Ok(());
        }
        // SAFETY: the range is inside the mapping, which this owns.
        let result =
            unsafe { libc::mprotect(self.base().add(start).cast(), end - start, protection) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Replaces `len` bytes from `start` on, both whole pages, by a private
    /// copy of the first `len` bytes of `file`, copied page by page on the
    /// first write.
    ///
    /// # Safety
    ///
    /// Nobody may be using what is replaced.
    pub(crate) unsafe fn map_file(&self, start: usize, len: usize, file: &File) -> io::Result<()> {
        // SAFETY: the contract is the same.
        unsafe { self.replace(start, len, 0, file.as_raw_fd()) }
    }

    /// Replaces `len` bytes from `start` on, both whole pages, by zeros that
    /// can be read and written.
    ///
    /// # Safety
    ///
    /// Nobody may be using what is replaced.
    pub(crate) unsafe fn map_zeros(&self, start: usize, len: usize) -> io::Result<()> {
        // SAFETY: the contract is the same.
        unsafe { self.replace(start, len, libc::MAP_ANONYMOUS, -1) }
    }

    /// Maps what the flags and the descriptor say in the place of `len` bytes.
    unsafe fn replace(
        &self,
        start: usize,
        len: usize,
        flags: libc::c_int,
        descriptor: libc::c_int,
    ) -> io::Result<()> {
        assert!(start.is_multiple_of(page_size()) && start + round_to_pages(len) <= self.len);
        // SAFETY: replaces pages inside the mapping, which this owns, and the
        // caller says that nobody uses them.
        let mapped = unsafe {
            libc::mmap(
                self.base().add(start).cast(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                // Most of a large image may be a hole that is never written to.
                libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE | flags,
                descriptor,
                0,
            )
        };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for Mmap {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it after its owner.
        unsafe { libc::munmap(self.base().cast(), self.len) };
    }
}

/// How many bytes of address space this process may still map, if that is
/// limited (`ulimit -v`).
pub(crate) fn address_space_left() -> Option<u64> {
    let limit = address_space_limit()?;
    // The first number is the size of the address space in pages.
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    Some(limit.saturating_sub(pages * page_size() as u64))
}

/// How many bytes of address space this process may have, if that is limited.
pub(crate) fn address_space_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills in the structure.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// A file in memory, without a name.
pub(crate) fn memory_file(len: u64) -> io::Result<File> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"wasmprof-data".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and ours.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(len)?;
    Ok(file)
}

/// Bytes in a page of the system.
pub(crate) fn page_size() -> usize {
    // SAFETY: asks for a constant.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// The smallest whole number of pages that `len` bytes fit in, in bytes.
pub(crate) fn round_to_pages(len: usize) -> usize {
    len.next_multiple_of(page_size())
}
