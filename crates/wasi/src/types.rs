//! Types and memory layouts of WASI, under their witx names.
//!
//! The layouts are written field by field with the offsets in the comments. Where `wasi_unstable`
//! lays a record out differently, an [`Edition`] says which one is meant.

use cap_std::fs::{Metadata, MetadataExt};
use rustix::fs::Stat;

use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::rights::Rights;

/// Which of the two import modules a call came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// `wasi_unstable`, also known as preview 0.
    Unstable,
    /// `wasi_snapshot_preview1`.
    Preview1,
}

/// witx `$filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FileType {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<rustix::fs::FileType> for FileType {
    fn from(host: rustix::fs::FileType) -> Self {
        match host {
            rustix::fs::FileType::BlockDevice => Self::BlockDevice,
            rustix::fs::FileType::CharacterDevice => Self::CharacterDevice,
            rustix::fs::FileType::Directory => Self::Directory,
            rustix::fs::FileType::RegularFile => Self::RegularFile,
            rustix::fs::FileType::Socket => Self::SocketStream,
            rustix::fs::FileType::Symlink => Self::SymbolicLink,
            // WASI has no name for a pipe.
            _ => Self::Unknown,
        }
    }
}

/// witx `$fdflags`.
pub(crate) mod fdflags {
    pub(crate) const APPEND: u32 = 1 << 0;
    pub(crate) const DSYNC: u32 = 1 << 1;
    pub(crate) const NONBLOCK: u32 = 1 << 2;
    pub(crate) const RSYNC: u32 = 1 << 3;
    pub(crate) const SYNC: u32 = 1 << 4;
    pub(crate) const ALL: u32 = APPEND | DSYNC | NONBLOCK | RSYNC | SYNC;
}

/// witx `$oflags`.
pub(crate) mod oflags {
    pub(crate) const CREAT: u32 = 1 << 0;
    pub(crate) const DIRECTORY: u32 = 1 << 1;
    pub(crate) const EXCL: u32 = 1 << 2;
    pub(crate) const TRUNC: u32 = 1 << 3;
    pub(crate) const ALL: u32 = CREAT | DIRECTORY | EXCL | TRUNC;
}

/// witx `$fstflags`.
pub(crate) mod fstflags {
    pub(crate) const ATIM: u32 = 1 << 0;
    pub(crate) const ATIM_NOW: u32 = 1 << 1;
    pub(crate) const MTIM: u32 = 1 << 2;
    pub(crate) const MTIM_NOW: u32 = 1 << 3;
    pub(crate) const ALL: u32 = ATIM | ATIM_NOW | MTIM | MTIM_NOW;
}

/// Refuses bits that have no meaning.
pub(crate) fn known_flags(flags: u32, known: u32) -> Result<u32, Errno> {
    if flags & !known == 0 { Ok(flags) } else { Err(Errno::Inval) }
}

/// witx `$lookupflags`: whether a symbolic link at the end of the path is followed.
pub(crate) fn follows_symlinks(flags: u32) -> Result<bool, Errno> {
    known_flags(flags, 1).map(|flags| flags == 1)
}

/// A new value for one timestamp of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewTime {
    Keep,
    Now,
    At(u64),
}

/// Reads witx `$fstflags` with the values they speak of: access time, then modification time.
pub(crate) fn new_times(atim: u64, mtim: u64, flags: u32) -> Result<(NewTime, NewTime), Errno> {
    known_flags(flags, fstflags::ALL)?;
    let time = |value, at: u32, now: u32| match (flags & at != 0, flags & now != 0) {
        (false, false) => Ok(NewTime::Keep),
        (true, false) => Ok(NewTime::At(value)),
        (false, true) => Ok(NewTime::Now),
        (true, true) => Err(Errno::Inval),
    };
    Ok((
        time(atim, fstflags::ATIM, fstflags::ATIM_NOW)?,
        time(mtim, fstflags::MTIM, fstflags::MTIM_NOW)?,
    ))
}

/// witx `$fdstat`, 24 bytes.
pub(crate) struct FdStat {
    pub(crate) filetype: FileType,
    pub(crate) flags: u32,
    pub(crate) rights: Rights,
    pub(crate) inheriting: Rights,
}

impl FdStat {
    pub(crate) fn write(&self, memory: &mut GuestMemory<'_>, address: u32) -> Result<(), Errno> {
        let mut bytes = [0; 24];
        bytes[0] = self.filetype as u8; // fs_filetype
        bytes[2..4].copy_from_slice(&(self.flags as u16).to_le_bytes()); // fs_flags
        bytes[8..16].copy_from_slice(&self.rights.bits().to_le_bytes()); // fs_rights_base
        bytes[16..24].copy_from_slice(&self.inheriting.bits().to_le_bytes()); // fs_rights_inheriting
        memory.write(address, &bytes)
    }
}

/// witx `$filestat`: 64 bytes, and 56 in `wasi_unstable`, where `$linkcount` is 32 bits wide.
pub(crate) struct FileStat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) filetype: FileType,
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) atim: u64,
    pub(crate) mtim: u64,
    pub(crate) ctim: u64,
}

impl FileStat {
    /// What is known of a stream that is not a file of the host.
    pub(crate) fn stream() -> Self {
        Self {
            dev: 0,
            ino: 0,
            filetype: FileType::Unknown,
            nlink: 1,
            size: 0,
            atim: 0,
            mtim: 0,
            ctim: 0,
        }
    }

    // The width of the number of links differs between architectures.
    #[allow(clippy::unnecessary_cast)]
    pub(crate) fn from_stat(stat: &Stat) -> Self {
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            filetype: rustix::fs::FileType::from_raw_mode(stat.st_mode).into(),
            nlink: stat.st_nlink as u64,
            size: stat.st_size as u64,
            atim: timestamp(stat.st_atime, stat.st_atime_nsec as i64),
            mtim: timestamp(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctim: timestamp(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    pub(crate) fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            filetype: rustix::fs::FileType::from_raw_mode(metadata.mode()).into(),
            nlink: metadata.nlink(),
            size: metadata.len(),
            atim: timestamp(metadata.atime(), metadata.atime_nsec()),
            mtim: timestamp(metadata.mtime(), metadata.mtime_nsec()),
            ctim: timestamp(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(crate) fn write(
        &self,
        memory: &mut GuestMemory<'_>,
        address: u32,
        edition: Edition,
    ) -> Result<(), Errno> {
        let mut bytes = [0; 64];
        bytes[0..8].copy_from_slice(&self.dev.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ino.to_le_bytes());
        bytes[16] = self.filetype as u8;
        let rest = match edition {
            Edition::Preview1 => {
                bytes[24..32].copy_from_slice(&self.nlink.to_le_bytes());
                32
            }
            Edition::Unstable => {
                let nlink = u32::try_from(self.nlink).unwrap_or(u32::MAX);
                bytes[20..24].copy_from_slice(&nlink.to_le_bytes());
                24
            }
        };
        for (index, value) in [self.size, self.atim, self.mtim, self.ctim].into_iter().enumerate() {
            let at = rest + index * 8;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        memory.write(address, &bytes[..rest + 32])
    }
}

/// witx `$timestamp`: nanoseconds since 1970; earlier times become 0.
pub(crate) fn timestamp(seconds: i64, nanoseconds: i64) -> u64 {
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    u64::try_from(nanos.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filestat_has_its_two_layouts() {
        let stat = FileStat {
            dev: 1,
            ino: 2,
            filetype: FileType::RegularFile,
            nlink: 3,
            size: 5,
            atim: 6,
            mtim: 7,
            ctim: 8,
        };
        let mut bytes = [0xaa; 80];
        let mut memory = GuestMemory::new(&mut bytes);
        stat.write(&mut memory, 0, Edition::Preview1).unwrap();
        let fields = [0, 8, 24, 32, 40, 48, 56].map(|at| memory.read_u64(at).unwrap());
        assert_eq!(fields, [1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(memory.read_u64(16), Ok(4));
        assert_eq!(memory.read_u8(64), Ok(0xaa));

        let mut bytes = [0xaa; 80];
        let mut memory = GuestMemory::new(&mut bytes);
        stat.write(&mut memory, 0, Edition::Unstable).unwrap();
        let fields = [0, 8, 24, 32, 40, 48].map(|at| memory.read_u64(at).unwrap());
        assert_eq!(fields, [1, 2, 5, 6, 7, 8]);
        assert_eq!(memory.read_u32(16), Ok(4));
        assert_eq!(memory.read_u32(20), Ok(3));
        assert_eq!(memory.read_u8(56), Ok(0xaa));
    }

    #[test]
    fn a_time_is_kept_set_or_now_but_not_both() {
        assert_eq!(new_times(5, 6, 0), Ok((NewTime::Keep, NewTime::Keep)));
        assert_eq!(new_times(5, 6, fstflags::ATIM), Ok((NewTime::At(5), NewTime::Keep)));
        assert_eq!(new_times(5, 6, fstflags::MTIM_NOW), Ok((NewTime::Keep, NewTime::Now)));
        assert_eq!(new_times(5, 6, fstflags::MTIM | fstflags::MTIM_NOW), Err(Errno::Inval));
        assert_eq!(new_times(5, 6, 1 << 4), Err(Errno::Inval));
    }

    #[test]
    fn timestamps_do_not_wrap() {
        assert_eq!(timestamp(1, 5), 1_000_000_005);
        assert_eq!(timestamp(-1, 5), 0);
        assert_eq!(timestamp(i64::MAX, 0), u64::MAX);
    }
}
