//! Open files: the calls on one descriptor, other than reading, writing and listing.
//!
//! Those are in `io.rs` and `dir.rs`; opening files is in `path.rs`.

use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;

use rustix::fs::{Advice, FallocateFlags, OFlags, SeekFrom, Timespec, Timestamps};
use rustix::io::retry_on_intr;

use crate::ctx::WasiCtx;
use crate::descriptor::Handle;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::rights::Rights;
use crate::types::{self, Edition, FdStat, FileStat, NewTime, fdflags};

/// witx `$fdflags` as flags of the host. The host's are the same in both directions, except that
/// its full synchronization includes that of the data.
const FLAGS: [(u32, OFlags); 5] = [
    (fdflags::APPEND, OFlags::APPEND),
    (fdflags::DSYNC, OFlags::DSYNC),
    (fdflags::NONBLOCK, OFlags::NONBLOCK),
    (fdflags::RSYNC, OFlags::RSYNC),
    (fdflags::SYNC, OFlags::SYNC),
];

/// The host's flags for witx `$fdflags`.
pub(crate) fn host_flags(flags: u32) -> Result<OFlags, Errno> {
    types::known_flags(flags, fdflags::ALL)?;
    Ok(FLAGS
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(OFlags::empty(), |set, (_, host)| set | *host))
}

fn guest_flags(host: OFlags) -> u32 {
    FLAGS.iter().filter(|(_, flag)| host.contains(*flag)).fold(0, |set, (flag, _)| set | flag)
}

/// The host's descriptor of a file whose content is meant; a directory has none, and streams of
/// the embedder refuse what follows.
fn content(ctx: &WasiCtx, fd: u32, rights: Rights) -> Result<BorrowedFd<'_>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.need_content(rights)?;
    descriptor.handle.host().ok_or(Errno::Inval)
}

/// The host's descriptor of a file that has positions.
fn positioned(ctx: &WasiCtx, fd: u32, rights: Rights) -> Result<BorrowedFd<'_>, Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.need_position(rights)?;
    descriptor.handle.host().ok_or(Errno::SPipe)
}

pub(crate) fn fd_advise(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
    offset: u64,
    length: u64,
    advice: u32,
) -> Result<(), Errno> {
    let advice = match advice {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return Err(Errno::Inval),
    };
    let fd = positioned(ctx, fd, Rights::FD_ADVISE)?;
    Ok(rustix::fs::fadvise(fd, offset, NonZeroU64::new(length), advice)?)
}

pub(crate) fn fd_allocate(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
    offset: u64,
    length: u64,
) -> Result<(), Errno> {
    let fd = positioned(ctx, fd, Rights::FD_ALLOCATE)?;
    Ok(retry_on_intr(|| rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, length))?)
}

pub(crate) fn fd_close(ctx: &mut WasiCtx, _: &mut GuestMemory<'_>, fd: u32) -> Result<(), Errno> {
    ctx.table.remove(fd).map(drop)
}

pub(crate) fn fd_renumber(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    from: u32,
    to: u32,
) -> Result<(), Errno> {
    ctx.table.renumber(from, to)
}

pub(crate) fn fd_sync(ctx: &mut WasiCtx, _: &mut GuestMemory<'_>, fd: u32) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.need(Rights::FD_SYNC)?;
    match descriptor.handle.host() {
        Some(fd) => Ok(retry_on_intr(|| rustix::fs::fsync(fd))?),
        None => Ok(()),
    }
}

pub(crate) fn fd_datasync(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.need(Rights::FD_DATASYNC)?;
    match descriptor.handle.host() {
        Some(fd) => Ok(retry_on_intr(|| rustix::fs::fdatasync(fd))?),
        None => Ok(()),
    }
}

pub(crate) fn fd_fdstat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    stat: u32,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    let flags = match descriptor.handle.host() {
        Some(fd) => guest_flags(rustix::fs::fcntl_getfl(fd)?),
        None => 0,
    };
    let stat_value = FdStat {
        filetype: descriptor.filetype,
        flags,
        rights: descriptor.rights,
        inheriting: descriptor.inheriting,
    };
    stat_value.write(memory, stat)
}

/// Appending and not waiting can be changed; how writes are synchronized is settled by opening.
/// The flags of this process's own streams are shared with other processes and are left alone.
pub(crate) fn fd_fdstat_set_flags(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
    flags: u32,
) -> Result<(), Errno> {
    let wanted = host_flags(flags)?;
    let descriptor = ctx.table.get(fd)?;
    descriptor.need(Rights::FD_FDSTAT_SET_FLAGS)?;
    let Some(host) = descriptor.handle.host() else {
        return if flags == 0 { Ok(()) } else { Err(Errno::NotSup) };
    };
    let known = FLAGS.iter().fold(OFlags::empty(), |set, (_, flag)| set | *flag);
    let current = rustix::fs::fcntl_getfl(host)?;
    let changed = (current ^ wanted) & known;
    let changeable = match descriptor.handle {
        Handle::Standard(_) => OFlags::empty(),
        _ => OFlags::APPEND | OFlags::NONBLOCK,
    };
    if !changeable.contains(changed) {
        return Err(Errno::NotSup);
    }
    Ok(rustix::fs::fcntl_setfl(host, current ^ changed)?)
}

/// Rights can be given up and never gained.
pub(crate) fn fd_fdstat_set_rights(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
    rights: u64,
    inheriting: u64,
) -> Result<(), Errno> {
    let (rights, inheriting) = (Rights::from_guest(rights), Rights::from_guest(inheriting));
    let descriptor = ctx.table.get_mut(fd)?;
    if !descriptor.rights.contains(rights) || !descriptor.inheriting.contains(inheriting) {
        return Err(Errno::NotCapable);
    }
    descriptor.rights = rights;
    descriptor.inheriting = inheriting;
    Ok(())
}

pub(crate) fn fd_filestat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    stat: u32,
    edition: Edition,
) -> Result<(), Errno> {
    let descriptor = ctx.table.get(fd)?;
    descriptor.need(Rights::FD_FILESTAT_GET)?;
    let value = match descriptor.handle.host() {
        Some(fd) => FileStat::from_stat(&rustix::fs::fstat(fd)?),
        None => FileStat::stream(),
    };
    value.write(memory, stat, edition)
}

pub(crate) fn fd_filestat_set_size(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
    size: u64,
) -> Result<(), Errno> {
    let fd = content(ctx, fd, Rights::FD_FILESTAT_SET_SIZE)?;
    Ok(retry_on_intr(|| rustix::fs::ftruncate(fd, size))?)
}

pub(crate) fn fd_filestat_set_times(
    ctx: &mut WasiCtx,
    _: &mut GuestMemory<'_>,
    fd: u32,
    atim: u64,
    mtim: u64,
    flags: u32,
) -> Result<(), Errno> {
    let (atim, mtim) = types::new_times(atim, mtim, flags)?;
    let descriptor = ctx.table.get(fd)?;
    descriptor.need(Rights::FD_FILESTAT_SET_TIMES)?;
    let host = descriptor.handle.host().ok_or(Errno::Inval)?;
    let times = Timestamps { last_access: host_time(atim), last_modification: host_time(mtim) };
    Ok(rustix::fs::futimens(host, &times)?)
}

fn host_time(time: NewTime) -> Timespec {
    match time {
        NewTime::Keep => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        NewTime::Now => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        NewTime::At(nanos) => Timespec {
            // Both fit: 64 bits of nanoseconds are less than 2^35 seconds.
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as _,
        },
    }
}

pub(crate) fn fd_seek(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    position: u32,
    edition: Edition,
) -> Result<(), Errno> {
    // witx `$whence` numbers its cases differently in the two editions.
    let target = match (edition, whence) {
        (Edition::Preview1, 0) | (Edition::Unstable, 2) => {
            SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?)
        }
        (Edition::Preview1, 1) | (Edition::Unstable, 0) => SeekFrom::Current(offset),
        (Edition::Preview1, 2) | (Edition::Unstable, 1) => SeekFrom::End(offset),
        _ => return Err(Errno::Inval),
    };
    let right = match target {
        SeekFrom::Current(0) => Rights::FD_TELL,
        _ => Rights::FD_SEEK,
    };
    memory.range(position, 8)?;
    let value = rustix::fs::seek(positioned(ctx, fd, right)?, target)?;
    memory.write_u64(position, value)
}

pub(crate) fn fd_tell(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    position: u32,
) -> Result<(), Errno> {
    let value = rustix::fs::tell(positioned(ctx, fd, Rights::FD_TELL)?)?;
    memory.write_u64(position, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Guest, OUT};

    #[test]
    fn positions_sizes_and_whence() {
        let mut guest = Guest::new();
        let fd = guest.open("file", 0, u64::MAX, 0).unwrap();
        guest.call(["", ""], |ctx, memory, _| {
            let mut seek = |offset, whence, edition| {
                fd_seek(ctx, memory, fd, offset, whence, OUT, edition)?;
                memory.read_u64(OUT)
            };
            assert_eq!(seek(2, 0, Edition::Preview1), Ok(2));
            assert_eq!(seek(1, 1, Edition::Preview1), Ok(3));
            assert_eq!(seek(-1, 2, Edition::Preview1), Ok(6));
            assert_eq!(seek(2, 2, Edition::Unstable), Ok(2));
            assert_eq!(seek(1, 0, Edition::Unstable), Ok(3));
            assert_eq!(seek(-1, 1, Edition::Unstable), Ok(6));
            assert_eq!(seek(-9, 1, Edition::Preview1), Err(Errno::Inval));
            assert_eq!(seek(-1, 0, Edition::Preview1), Err(Errno::Inval));
            assert_eq!(seek(0, 3, Edition::Preview1), Err(Errno::Inval));
            fd_tell(ctx, memory, fd, OUT).unwrap();
            assert_eq!(memory.read_u64(OUT), Ok(6));
            assert_eq!(fd_tell(ctx, memory, 3, OUT), Err(Errno::BadF));
            assert_eq!(fd_tell(ctx, memory, 0, OUT), Err(Errno::SPipe));
            fd_allocate(ctx, memory, fd, 0, 100).unwrap();
            fd_filestat_set_size(ctx, memory, fd, 90).unwrap();
            fd_advise(ctx, memory, fd, 0, 0, 3).unwrap();
            assert_eq!(fd_advise(ctx, memory, fd, 0, 0, 6), Err(Errno::Inval));
            fd_sync(ctx, memory, fd).unwrap();
            fd_datasync(ctx, memory, fd).unwrap();
            fd_filestat_get(ctx, memory, fd, OUT, Edition::Preview1).unwrap();
            assert_eq!(memory.read_u64(OUT + 32), Ok(90));
            let flags = fdflags::APPEND | fdflags::NONBLOCK;
            fd_fdstat_set_flags(ctx, memory, fd, flags).unwrap();
            let sync = fd_fdstat_set_flags(ctx, memory, fd, fdflags::SYNC);
            assert_eq!(sync, Err(Errno::NotSup));
        });
        assert_eq!(guest.fdstat(fd).1, 5);
    }
}
