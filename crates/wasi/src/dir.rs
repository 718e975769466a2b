//! Directory listings: `fd_readdir` and its cookies.
//!
//! A cookie is the host's own position after an entry, and each call seeks to the one it is given.
//! Nothing is kept between calls: a listing survives entries that come and go, and costs no memory.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fs::{RawDir, SeekFrom};

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::rights::Rights;
use crate::types::FileType;

/// The size of witx `$dirent`, which the name follows.
const DIRENT_SIZE: usize = 24;

/// The host's entries are read this many bytes at a time; one entry needs 280 at most, and
/// about three times that on a system that converts its names.
const MOST: usize = 8192;
const LEAST: usize = 1024;

/// One entry as the guest sees it.
struct Entry<'a> {
    /// The cookie of the entry after this one.
    next: u64,
    ino: u64,
    filetype: FileType,
    name: &'a [u8],
}

impl Entry<'_> {
    fn header(&self) -> [u8; DIRENT_SIZE] {
        let mut bytes = [0; DIRENT_SIZE];
        bytes[0..8].copy_from_slice(&self.next.to_le_bytes()); // d_next
        bytes[8..16].copy_from_slice(&self.ino.to_le_bytes()); // d_ino
        bytes[16..20].copy_from_slice(&(self.name.len() as u32).to_le_bytes()); // d_namlen
        bytes[20] = self.filetype as u8; // d_type
        bytes
    }

    /// Puts as much of the entry into the buffer as fits, and gives the rest of the buffer.
    fn put<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let rest = put(buffer, &self.header());
        put(rest, self.name)
    }
}

fn put<'b>(buffer: &'b mut [u8], bytes: &[u8]) -> &'b mut [u8] {
    let count = buffer.len().min(bytes.len());
    let (head, rest) = buffer.split_at_mut(count);
    head.copy_from_slice(&bytes[..count]);
    rest
}

/// The directory above a preopened one is not the guest's to know of.
fn visible_ino(name: &CStr, ino: u64) -> u64 {
    if name == c".." { 0 } else { ino }
}

/// Fills the buffer with entries, cutting the last one off where the buffer ends. A buffer that
/// is not full says that the listing is complete.
pub(crate) fn fd_readdir(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    buffer: u32,
    length: u32,
    cookie: u64,
    used: u32,
) -> Result<(), Errno> {
    memory.range(used, 4)?;
    let mut rest = memory.slice_mut(buffer, length)?;
    let dir = ctx.table.directory(fd, Rights::FD_READDIR)?;
    rustix::fs::seek(dir, SeekFrom::Start(cookie))?;
    let mut host = [MaybeUninit::uninit(); MOST];
    let mut entries = RawDir::new(dir, &mut host[..(length as usize).clamp(LEAST, MOST)]);
    while !rest.is_empty() {
        let Some(entry) = entries.next() else { break };
        let entry = entry?;
        let entry = Entry {
            next: entry.next_entry_cookie(),
            ino: visible_ino(entry.file_name(), entry.ino()),
            filetype: entry.file_type().into(),
            name: entry.file_name().to_bytes(),
        };
        rest = entry.put(rest);
    }
    let left = rest.len() as u32;
    memory.write_u32(used, length - left)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::WasiCtxBuilder;

    /// Lists directory 3 with a buffer of this size, as the C library does: an entry that is cut
    /// off is asked for again from the cookie before it.
    fn list(ctx: &mut WasiCtx, size: u32) -> BTreeMap<String, (u64, u8)> {
        let mut names = BTreeMap::new();
        let mut bytes = vec![0; size as usize + 8];
        let mut memory = GuestMemory::new(&mut bytes);
        let mut cookie = 0;
        loop {
            fd_readdir(ctx, &mut memory, 3, 8, size, cookie, 0).unwrap();
            let used = memory.read_u32(0).unwrap();
            let (mut at, end) = (8, 8 + used);
            while at + 24 <= end {
                let length = memory.read_u32(at + 16).unwrap();
                if at + 24 + length > end {
                    break;
                }
                cookie = memory.read_u64(at).unwrap();
                let name = memory.slice(at + 24, length).unwrap().to_vec();
                let entry = (memory.read_u64(at + 8).unwrap(), memory.read_u8(at + 20).unwrap());
                let known = names.insert(String::from_utf8(name).unwrap(), entry);
                assert!(known.is_none(), "an entry came twice");
                at += 24 + length;
            }
            if used < size {
                return names;
            }
        }
    }

    #[test]
    fn every_entry_comes_once_whatever_the_size_of_the_buffer() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for index in 0..300 {
            std::fs::write(dir.path().join(format!("file number {index}")), "").unwrap();
        }
        std::os::unix::fs::symlink("sub", dir.path().join("link")).unwrap();
        let mut ctx =
            WasiCtxBuilder::new().preopened_dir(dir.path(), "/").unwrap().build().unwrap();
        for size in [40, 64, 100, 4096, 1 << 16] {
            let names = list(&mut ctx, size);
            assert_eq!(names.len(), 304, "with a buffer of {size} bytes");
            assert_eq!(names["sub"].1, FileType::Directory as u8);
            assert_eq!(names["link"].1, FileType::SymbolicLink as u8);
            assert_eq!(names["file number 7"].1, FileType::RegularFile as u8);
            assert_ne!(names["."].0, 0);
            assert_eq!(names[".."].0, 0);
        }
    }

    #[test]
    fn an_entry_is_cut_off_where_the_buffer_ends() {
        let entry = Entry { next: 1, ino: 2, filetype: FileType::Directory, name: b"name" };
        for size in 0..=28 {
            let mut bytes = [0xaa; 32];
            assert!(entry.put(&mut bytes[..size]).is_empty());
            assert!(bytes[size..].iter().all(|byte| *byte == 0xaa));
        }
        let mut bytes = [0xaa; 32];
        assert_eq!(entry.put(&mut bytes).len(), 4);
        assert_eq!(&bytes[16..], b"\x04\0\0\0\x03\0\0\0name\xaa\xaa\xaa\xaa");
    }

    #[test]
    fn a_listing_survives_the_removal_of_what_it_has_listed() {
        let dir = tempfile::tempdir().unwrap();
        for index in 0..100 {
            std::fs::write(dir.path().join(format!("{index}")), "").unwrap();
        }
        let mut ctx =
            WasiCtxBuilder::new().preopened_dir(dir.path(), "/").unwrap().build().unwrap();
        let mut bytes = vec![0; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        let mut cookie = 0;
        loop {
            // Room for one entry of these at a time.
            fd_readdir(&mut ctx, &mut memory, 3, 8, 28, cookie, 0).unwrap();
            if memory.read_u32(0).unwrap() < 24 {
                break;
            }
            cookie = memory.read_u64(8).unwrap();
            let length = memory.read_u32(24).unwrap();
            let name = memory.slice(32, length).unwrap();
            if !name.starts_with(b".") {
                let name = str::from_utf8(name).unwrap();
                std::fs::remove_file(dir.path().join(name)).unwrap();
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_directories_are_listed() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = vec![0; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        assert_eq!(fd_readdir(&mut ctx, &mut memory, 0, 8, 28, 0, 0), Err(Errno::NotDir));
        assert_eq!(fd_readdir(&mut ctx, &mut memory, 3, 8, 28, 0, 0), Err(Errno::BadF));
    }
}
