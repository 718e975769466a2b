//! Paths: the calls that name a file below a directory.
//!
//! cap-std keeps every path below its directory; here the guest's flags and rights are turned into
//! cap-std's terms. Opening is in `open.rs`, calls on open files are in `file.rs`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use cap_fs_ext::{DirExt, SystemTimeSpec};
use cap_std::time::SystemTime;

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::rights::Rights;
use crate::types::{self, Edition, FileStat, NewTime};

/// The host takes no longer paths; refusing them here keeps copies of them small.
const PATH_MAX: u32 = 4096;

/// A path that the guest passes: bytes without a NUL. They are passed on as they are, so that
/// names that are not UTF-8, which a listing shows, can be used.
pub(crate) fn path<'a>(
    memory: &'a GuestMemory<'_>,
    address: u32,
    length: u32,
) -> Result<&'a Path, Errno> {
    let bytes = memory.slice(address, length)?;
    if bytes.contains(&0) {
        return Err(Errno::Inval);
    }
    if length >= PATH_MAX {
        return Err(Errno::NameTooLong);
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

pub(crate) fn path_create_directory(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    address: u32,
    length: u32,
) -> Result<(), Errno> {
    let path = path(memory, address, length)?;
    Ok(ctx.table.directory(fd, Rights::PATH_CREATE_DIRECTORY)?.create_dir(path)?)
}

pub(crate) fn path_remove_directory(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    address: u32,
    length: u32,
) -> Result<(), Errno> {
    let path = path(memory, address, length)?;
    Ok(ctx.table.directory(fd, Rights::PATH_REMOVE_DIRECTORY)?.remove_dir(path)?)
}

pub(crate) fn path_unlink_file(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    address: u32,
    length: u32,
) -> Result<(), Errno> {
    let path = path(memory, address, length)?;
    Ok(ctx.table.directory(fd, Rights::PATH_UNLINK_FILE)?.remove_file(path)?)
}

pub(crate) fn path_filestat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (fd, flags, address, length): (u32, u32, u32, u32),
    stat: u32,
    edition: Edition,
) -> Result<(), Errno> {
    let path = path(memory, address, length)?;
    let dir = ctx.table.directory(fd, Rights::PATH_FILESTAT_GET)?;
    let metadata = match types::follows_symlinks(flags)? {
        true => dir.metadata(path)?,
        false => dir.symlink_metadata(path)?,
    };
    FileStat::from_metadata(&metadata).write(memory, stat, edition)
}

pub(crate) fn path_filestat_set_times(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (fd, flags, address, length): (u32, u32, u32, u32),
    (atim, mtim, fst_flags): (u64, u64, u32),
) -> Result<(), Errno> {
    let path = path(memory, address, length)?;
    let (atim, mtim) = types::new_times(atim, mtim, fst_flags)?;
    let (atim, mtim) = (time_spec(atim)?, time_spec(mtim)?);
    let dir = ctx.table.directory(fd, Rights::PATH_FILESTAT_SET_TIMES)?;
    match types::follows_symlinks(flags)? {
        true => dir.set_times(path, atim, mtim)?,
        false => dir.set_symlink_times(path, atim, mtim)?,
    }
    Ok(())
}

fn time_spec(time: NewTime) -> Result<Option<SystemTimeSpec>, Errno> {
    Ok(match time {
        NewTime::Keep => None,
        NewTime::Now => Some(SystemTimeSpec::SymbolicNow),
        NewTime::At(nanos) => {
            let epoch = SystemTime::from_std(std::time::UNIX_EPOCH);
            let time = epoch.checked_add(Duration::from_nanos(nanos)).ok_or(Errno::Overflow)?;
            Some(SystemTimeSpec::Absolute(time))
        }
    })
}

/// Links a file, never what a symbolic link at the end of the path leads to.
pub(crate) fn path_link(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (old_fd, old_flags, old_address, old_length): (u32, u32, u32, u32),
    (new_fd, new_address, new_length): (u32, u32, u32),
) -> Result<(), Errno> {
    let old = path(memory, old_address, old_length)?;
    let new = path(memory, new_address, new_length)?;
    let old_dir = ctx.table.directory(old_fd, Rights::PATH_LINK_SOURCE)?;
    let new_dir = ctx.table.directory(new_fd, Rights::PATH_LINK_TARGET)?;
    if types::follows_symlinks(old_flags)? {
        return Err(Errno::Inval);
    }
    Ok(old_dir.hard_link(old, new_dir, new)?)
}

pub(crate) fn path_rename(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (old_fd, old_address, old_length): (u32, u32, u32),
    (new_fd, new_address, new_length): (u32, u32, u32),
) -> Result<(), Errno> {
    let old = path(memory, old_address, old_length)?;
    let new = path(memory, new_address, new_length)?;
    let old_dir = ctx.table.directory(old_fd, Rights::PATH_RENAME_SOURCE)?;
    let new_dir = ctx.table.directory(new_fd, Rights::PATH_RENAME_TARGET)?;
    Ok(old_dir.rename(old, new_dir, new)?)
}

/// The content of a link may not be absolute: other programs of the host would follow it.
pub(crate) fn path_symlink(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (old_address, old_length): (u32, u32),
    (fd, address, length): (u32, u32, u32),
) -> Result<(), Errno> {
    let content = path(memory, old_address, old_length)?;
    let link = path(memory, address, length)?;
    let dir = ctx.table.directory(fd, Rights::PATH_SYMLINK)?;
    Ok(dir.symlink(content, link)?)
}

pub(crate) fn path_readlink(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (fd, address, length): (u32, u32, u32),
    (buffer, buffer_length): (u32, u32),
    used: u32,
) -> Result<(), Errno> {
    memory.range(used, 4)?;
    let path = path(memory, address, length)?;
    // Refuses absolute content, which speaks of the host.
    let content = ctx.table.directory(fd, Rights::PATH_READLINK)?.read_link(path)?;
    let bytes = content.as_os_str().as_bytes();
    let count = bytes.len().min(buffer_length as usize);
    memory.write(buffer, &bytes[..count])?;
    memory.write_u32(used, count as u32)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::file;
    use crate::fixture::{Guest, OUT, READ, WRITE};
    use crate::types::{FileType, fstflags, oflags};

    #[test]
    fn no_path_leads_out() {
        let mut guest = Guest::new();
        let outside = guest.root.parent().unwrap().to_owned();
        symlink("../secret", guest.root.join("up")).unwrap();
        symlink(outside.join("secret"), guest.root.join("absolute")).unwrap();
        symlink("..", guest.root.join("sub/parent")).unwrap();
        let absolute = outside.join("secret");
        for path in [
            "../secret",
            "sub/../../secret",
            "sub/parent/../secret",
            "up",
            "absolute",
            "/etc/passwd",
            "..",
            absolute.to_str().unwrap(),
        ] {
            assert_eq!(guest.open(path, 0, READ, 0), Err(Errno::Perm), "{path}");
            let new = guest.open(path, oflags::CREAT, READ | WRITE, 0);
            assert_eq!(new, Err(Errno::Perm), "{path}");
            assert_eq!(guest.stat(path, 1), Err(Errno::Perm), "{path}");
        }
        // The links themselves are the guest's.
        assert_eq!(guest.stat("up", 0), Ok(FileType::SymbolicLink as u8));
        assert_eq!(guest.stat("sub/parent/file", 1), Ok(FileType::RegularFile as u8));

        for path in ["../x", "/x"] {
            let made = guest.call([path, "file"], |ctx, memory, [length, other]| {
                [
                    path_create_directory(ctx, memory, 3, 0, length),
                    path_unlink_file(ctx, memory, 3, 0, length),
                    path_remove_directory(ctx, memory, 3, 0, length),
                    path_rename(ctx, memory, (3, 2000, other), (3, 0, length)),
                    path_rename(ctx, memory, (3, 0, length), (3, 2000, other)),
                    path_link(ctx, memory, (3, 0, 2000, other), (3, 0, length)),
                    path_link(ctx, memory, (3, 0, 0, length), (3, 2000, other)),
                    path_symlink(ctx, memory, (2000, other), (3, 0, length)),
                    path_filestat_set_times(ctx, memory, (3, 1, 0, length), (0, 0, 2)),
                ]
            });
            assert_eq!(made, [Err(Errno::Perm); 9], "{path}");
        }
        let mut names: Vec<_> =
            fs::read_dir(outside).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
    }

    #[test]
    fn links_may_not_be_absolute_and_those_that_are_stay_unread() {
        let mut guest = Guest::new();
        symlink("/etc/passwd", guest.root.join("absolute")).unwrap();
        let link = |guest: &mut Guest, content: &str, name: &str| {
            guest.call([content, name], |ctx, memory, [content, name]| {
                path_symlink(ctx, memory, (0, content), (3, 2000, name))
            })
        };
        let read = |guest: &mut Guest, name: &str, length: u32| {
            guest.call([name, ""], |ctx, memory, [name, _]| {
                path_readlink(ctx, memory, (3, 0, name), (4000, length), OUT)?;
                let used = memory.read_u32(OUT)?;
                Ok(memory.slice(4000, used)?.to_vec())
            })
        };
        assert_eq!(link(&mut guest, "/etc/passwd", "link"), Err(Errno::Perm));
        assert_eq!(link(&mut guest, "file", "link"), Ok(()));
        assert_eq!(link(&mut guest, "file", "link"), Err(Errno::Exist));
        assert_eq!(read(&mut guest, "link", 100), Ok(b"file".to_vec()));
        assert_eq!(read(&mut guest, "link", 2), Ok(b"fi".to_vec()));
        assert_eq!(read(&mut guest, "file", 100), Err(Errno::Inval));
        assert_eq!(read(&mut guest, "absolute", 100), Err(Errno::Perm));
    }

    #[test]
    fn files_are_renamed_linked_and_removed() {
        let mut guest = Guest::new();
        guest.call(["file", "sub/other"], |ctx, memory, [old, new]| {
            assert_eq!(path_link(ctx, memory, (3, 1, 0, old), (3, 2000, new)), Err(Errno::Inval));
            assert_eq!(path_link(ctx, memory, (3, 0, 0, old), (3, 2000, new)), Ok(()));
            assert_eq!(path_unlink_file(ctx, memory, 3, 0, old), Ok(()));
            assert_eq!(path_unlink_file(ctx, memory, 3, 0, old), Err(Errno::NoEnt));
            assert_eq!(path_rename(ctx, memory, (3, 2000, new), (3, 0, old)), Ok(()));
            assert_eq!(path_rename(ctx, memory, (3, 2000, new), (3, 0, old)), Err(Errno::NoEnt));
            assert_eq!(path_remove_directory(ctx, memory, 3, 0, old), Err(Errno::NotDir));
        });
        guest.call(["sub", "sub/inner"], |ctx, memory, [outer, inner]| {
            assert_eq!(path_create_directory(ctx, memory, 3, 2000, inner), Ok(()));
            assert_eq!(path_create_directory(ctx, memory, 3, 2000, inner), Err(Errno::Exist));
            assert_eq!(path_unlink_file(ctx, memory, 3, 0, outer), Err(Errno::IsDir));
            assert_eq!(path_remove_directory(ctx, memory, 3, 0, outer), Err(Errno::NotEmpty));
            assert_eq!(path_remove_directory(ctx, memory, 3, 2000, inner), Ok(()));
            assert_eq!(path_remove_directory(ctx, memory, 3, 0, outer), Ok(()));
        });
        assert_eq!(fs::read_to_string(guest.root.join("file")).unwrap(), "content");
    }

    #[test]
    fn times_are_set_by_path_and_by_descriptor() {
        let mut guest = Guest::new();
        let fd = guest.open("file", 0, u64::MAX, 0).unwrap();
        let times = |guest: &Guest| {
            let metadata = fs::metadata(guest.root.join("file")).unwrap();
            (metadata.atime_nsec(), metadata.mtime(), metadata.mtime_nsec())
        };
        guest.call(["file", ""], |ctx, memory, [length, _]| {
            let at = (5, 7_000_000_009, fstflags::ATIM | fstflags::MTIM);
            path_filestat_set_times(ctx, memory, (3, 1, 0, length), at).unwrap();
        });
        assert_eq!(times(&guest), (5, 7, 9));
        guest.call(["", ""], |ctx, memory, _| {
            file::fd_filestat_set_times(ctx, memory, fd, 6, 0, fstflags::ATIM).unwrap();
        });
        assert_eq!(times(&guest), (6, 7, 9));
    }
}
