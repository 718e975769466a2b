//! Paths: the calls that name a file below a directory.
//!
//! cap-std keeps every path below its directory; here the guest's flags and rights are turned into
//! cap-std's terms. Calls on open files are in `file.rs`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, SystemTimeSpec};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use cap_std::time::SystemTime;
use rustix::fs::OFlags;

use crate::ctx::WasiCtx;
use crate::descriptor::Descriptor;
use crate::errno::Errno;
use crate::file::host_flags;
use crate::memory::GuestMemory;
use crate::rights::Rights;
use crate::types::{self, Edition, FileStat, FileType, NewTime, oflags};

/// The host takes no longer paths; refusing them here keeps copies of them small.
const PATH_MAX: u32 = 4096;

/// A path that the guest passes: bytes without a NUL. They are passed on as they are, so that
/// names that are not UTF-8, which a listing shows, can be used.
fn path<'a>(memory: &'a GuestMemory<'_>, address: u32, length: u32) -> Result<&'a Path, Errno> {
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

pub(crate) fn path_open(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (fd, dirflags, address, length): (u32, u32, u32, u32),
    (oflags, rights, inheriting, fdflags): (u32, u64, u64, u32),
    opened: u32,
) -> Result<(), Errno> {
    memory.range(opened, 4)?;
    let path = path(memory, address, length)?;
    let follow = types::follows_symlinks(dirflags)?;
    types::known_flags(oflags, oflags::ALL)?;
    let mut needed = Rights::PATH_OPEN;
    if oflags & oflags::CREAT != 0 {
        needed = needed | Rights::PATH_CREATE_FILE;
    }
    if oflags & oflags::TRUNC != 0 {
        needed = needed | Rights::PATH_FILESTAT_SET_SIZE;
    }
    let dir = ctx.table.directory(fd, needed)?;
    let passed_on = ctx.table.get(fd)?.inheriting;
    let (rights, inheriting) = (Rights::from_guest(rights), Rights::from_guest(inheriting));
    let content = rights.and(Rights::FD_READ | Rights::FD_WRITE);
    if !passed_on.contains(content) {
        return Err(Errno::NotCapable);
    }
    let mut rights = rights.and(passed_on);
    if !rights.contains(Rights::FD_WRITE) {
        // These change the content too. Some guests ask for them when they open for reading.
        rights = rights.without(Rights::FD_ALLOCATE | Rights::FD_FILESTAT_SET_SIZE);
    }
    let request = Request { path, follow, oflags, rights, flags: host_flags(fdflags)? };
    let file = request.open(dir)?.into_std();
    let descriptor = Descriptor::opened(file, rights, inheriting.and(passed_on))?;
    if descriptor.filetype == FileType::Directory && oflags & oflags::CREAT != 0 {
        return Err(Errno::IsDir);
    }
    let new = ctx.table.insert(descriptor)?;
    memory.write_u32(opened, new)
}

/// What `path_open` is to open, and how.
struct Request<'a> {
    path: &'a Path,
    follow: bool,
    oflags: u32,
    rights: Rights,
    flags: OFlags,
}

impl Request<'_> {
    fn open(&self, dir: &Dir) -> Result<cap_std::fs::File, Errno> {
        let has = |flag| self.oflags & flag != 0;
        let mut options = OpenOptions::new();
        options.follow(if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No });
        if has(oflags::DIRECTORY) {
            if has(oflags::CREAT | oflags::EXCL | oflags::TRUNC) {
                return Err(Errno::Inval);
            }
            // Writing is among the rights that a directory does not have.
            options.read(true).custom_flags(self.host_flags(OFlags::DIRECTORY));
            return Ok(dir.open_with(self.path, &options)?);
        }
        let write = self.rights.contains(Rights::FD_WRITE);
        let read = self.rights.contains(Rights::FD_READ) || !write;
        options.read(read).custom_flags(self.host_flags(OFlags::empty()));
        options.write(write || has(oflags::TRUNC)).truncate(has(oflags::TRUNC));
        if !has(oflags::CREAT) {
            return Ok(dir.open_with(self.path, &options)?);
        }
        if has(oflags::EXCL) {
            return Ok(dir.open_with(self.path, options.write(true).create_new(true))?);
        }
        if !write {
            // Creating takes writing, but a file that is there already need not be writable.
            match dir.open_with(self.path, &options).map_err(Errno::from) {
                Err(Errno::NoEnt) => {}
                result => return result,
            }
        }
        Ok(dir.open_with(self.path, options.write(true).create(true))?)
    }

    fn host_flags(&self, more: OFlags) -> i32 {
        (self.flags | more).bits() as i32
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::PathBuf;

    use super::*;
    use crate::types::{fdflags, fstflags};
    use crate::{WasiCtxBuilder, file, io};

    /// A guest with one directory, 3, beside which there is a file `secret` that is not its own.
    struct Guest {
        ctx: WasiCtx,
        bytes: Vec<u8>,
        root: PathBuf,
        _dir: tempfile::TempDir,
    }

    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 6;

    /// Where the guest's calls leave what they return; paths go to 0 and to 2000.
    const OUT: u32 = 6000;

    impl Guest {
        fn new() -> Self {
            Self::in_directory(tempfile::tempdir().unwrap())
        }

        fn in_directory(dir: tempfile::TempDir) -> Self {
            let root = dir.path().join("root");
            fs::create_dir_all(root.join("sub")).unwrap();
            fs::write(root.join("file"), "content").unwrap();
            fs::write(dir.path().join("secret"), "secret").unwrap();
            let ctx = WasiCtxBuilder::new().preopened_dir(&root, "/").unwrap().build().unwrap();
            Self { ctx, bytes: vec![0; 8192], root, _dir: dir }
        }

        fn call<R>(
            &mut self,
            paths: [&str; 2],
            call: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>, [u32; 2]) -> R,
        ) -> R {
            let mut memory = GuestMemory::new(&mut self.bytes);
            memory.write(0, paths[0].as_bytes()).unwrap();
            memory.write(2000, paths[1].as_bytes()).unwrap();
            call(&mut self.ctx, &mut memory, paths.map(|path| path.len() as u32))
        }

        fn open(
            &mut self,
            path: &str,
            oflags: u32,
            rights: u64,
            fdflags: u32,
        ) -> Result<u32, Errno> {
            self.open_at(3, path, oflags, rights, fdflags)
        }

        fn open_at(
            &mut self,
            fd: u32,
            path: &str,
            oflags: u32,
            rights: u64,
            fdflags: u32,
        ) -> Result<u32, Errno> {
            self.call([path, ""], |ctx, memory, [length, _]| {
                let how = (oflags, rights, u64::MAX, fdflags);
                path_open(ctx, memory, (fd, 1, 0, length), how, OUT)?;
                memory.read_u32(OUT)
            })
        }

        fn write(&mut self, fd: u32, text: &str) -> Result<(), Errno> {
            self.call([text, ""], |ctx, memory, [length, _]| {
                memory.write_u64(4000, u64::from(length) << 32)?;
                io::fd_write(ctx, memory, fd, 4000, 1, OUT)
            })
        }

        fn stat(&mut self, path: &str, flags: u32) -> Result<u8, Errno> {
            self.call([path, ""], |ctx, memory, [length, _]| {
                path_filestat_get(ctx, memory, (3, flags, 0, length), OUT, Edition::Preview1)?;
                memory.read_u8(OUT + 16)
            })
        }

        fn fdstat(&mut self, fd: u32) -> (u8, u16, u64) {
            self.call(["", ""], |ctx, memory, _| {
                file::fd_fdstat_get(ctx, memory, fd, OUT).unwrap();
                let rights = memory.read_u64(OUT + 8).unwrap();
                (memory.read_u8(OUT).unwrap(), memory.read_u16(OUT + 2).unwrap(), rights)
            })
        }
    }

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
    fn files_are_created_truncated_and_appended_to() {
        let mut guest = Guest::new();
        let text = |guest: &Guest, name: &str| fs::read_to_string(guest.root.join(name)).unwrap();
        assert_eq!(guest.open("new", 0, READ, 0), Err(Errno::NoEnt));
        assert_eq!(guest.open("", 0, READ, 0), Err(Errno::NoEnt));
        assert_eq!(guest.open("new", oflags::CREAT, READ, 0), Ok(4));
        assert_eq!(guest.write(4, "x"), Err(Errno::NotCapable));
        assert_eq!(guest.open("new", oflags::CREAT | oflags::EXCL, WRITE, 0), Err(Errno::Exist));
        assert_eq!(guest.open("new", 0, WRITE, 0), Ok(5));
        guest.write(5, "one").unwrap();
        assert_eq!(guest.open("new", 0, WRITE, fdflags::APPEND), Ok(6));
        guest.write(6, "two").unwrap();
        assert_eq!(text(&guest, "new"), "onetwo");
        assert_eq!(guest.open("new", oflags::TRUNC, WRITE, fdflags::APPEND), Ok(7));
        guest.write(7, "three").unwrap();
        assert_eq!(text(&guest, "new"), "three");
        assert_eq!(guest.fdstat(7).1, fdflags::APPEND as u16);
        assert_eq!(guest.open("file/", 0, READ, 0), Err(Errno::NotDir));
        assert_eq!(guest.open("file\0", 0, READ, 0), Err(Errno::Inval));
        assert_eq!(guest.open(&"x".repeat(300), 0, READ, 0), Err(Errno::NameTooLong));
        assert_eq!(guest.open("file", 1 << 4, READ, 0), Err(Errno::Inval));
        assert_eq!(guest.open("file", 0, READ, 1 << 5), Err(Errno::Inval));
    }

    #[test]
    fn a_file_that_may_only_be_read_can_be_opened_to_create() {
        // Writing to a running program is refused to every user.
        let program = std::env::current_exe().unwrap();
        let beside = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let mut guest = Guest::in_directory(beside);
        fs::hard_link(&program, guest.root.join("program")).unwrap();
        assert_eq!(guest.open("program", 0, WRITE, 0), Err(Errno::TxtBsy));
        assert_eq!(guest.open("program", oflags::CREAT, READ, 0), Ok(4));
        assert_eq!(guest.open("sub", oflags::CREAT, READ, 0), Err(Errno::IsDir));
    }

    #[test]
    fn directories_have_the_rights_of_directories() {
        let mut guest = Guest::new();
        assert_eq!(guest.open("sub", 0, READ, 0), Ok(4));
        assert_eq!(guest.open("sub", oflags::DIRECTORY, u64::MAX, 0), Ok(5));
        assert_eq!(guest.open("sub", 0, WRITE, 0), Err(Errno::IsDir));
        assert_eq!(guest.open("file", oflags::DIRECTORY, READ, 0), Err(Errno::NotDir));
        assert_eq!(guest.fdstat(4), (FileType::Directory as u8, 0, 0));
        let rights = Rights::DIRECTORY.bits();
        assert_eq!(guest.fdstat(5), (FileType::Directory as u8, 0, rights));
        assert_eq!(guest.fdstat(3), (FileType::Directory as u8, 0, rights));
        assert_eq!(guest.write(5, "x"), Err(Errno::BadF));
        assert_eq!(guest.open_at(4, "x", oflags::CREAT, WRITE, 0), Err(Errno::NotCapable));
        assert_eq!(guest.open_at(5, "x", oflags::CREAT, WRITE, 0), Ok(6));
        assert_eq!(guest.open_at(5, "../file", 0, READ, 0), Err(Errno::Perm));
        assert_eq!(guest.open_at(6, "x", 0, READ, 0), Err(Errno::NotDir));
        assert_eq!(guest.open_at(9, "x", 0, READ, 0), Err(Errno::BadF));
        assert_eq!(guest.fdstat(6), (FileType::RegularFile as u8, 0, WRITE));
    }

    #[test]
    fn rights_that_a_directory_does_not_pass_on_are_not_to_be_had() {
        let mut guest = Guest::new();
        guest.call(["", ""], |ctx, memory, _| {
            let given_up = Rights::FD_WRITE | Rights::PATH_UNLINK_FILE;
            let left = Rights::ALL.without(given_up).bits();
            let base = Rights::DIRECTORY.without(given_up).bits();
            file::fd_fdstat_set_rights(ctx, memory, 3, base, left).unwrap();
            let again = file::fd_fdstat_set_rights(ctx, memory, 3, base, u64::MAX);
            assert_eq!(again, Err(Errno::NotCapable));
        });
        assert_eq!(guest.open("file", 0, WRITE, 0), Err(Errno::NotCapable));
        assert_eq!(guest.open("file", 0, READ, 0), Ok(4));
        let unlinked = guest.call(["file", ""], |ctx, memory, [length, _]| {
            path_unlink_file(ctx, memory, 3, 0, length)
        });
        assert_eq!(unlinked, Err(Errno::NotCapable));
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

    #[test]
    fn positions_sizes_and_whence() {
        let mut guest = Guest::new();
        let fd = guest.open("file", 0, u64::MAX, 0).unwrap();
        guest.call(["", ""], |ctx, memory, _| {
            let mut seek = |offset, whence, edition| {
                file::fd_seek(ctx, memory, fd, offset, whence, OUT, edition)?;
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
            file::fd_tell(ctx, memory, fd, OUT).unwrap();
            assert_eq!(memory.read_u64(OUT), Ok(6));
            assert_eq!(file::fd_tell(ctx, memory, 3, OUT), Err(Errno::BadF));
            assert_eq!(file::fd_tell(ctx, memory, 0, OUT), Err(Errno::SPipe));
            file::fd_allocate(ctx, memory, fd, 0, 100).unwrap();
            file::fd_filestat_set_size(ctx, memory, fd, 90).unwrap();
            file::fd_advise(ctx, memory, fd, 0, 0, 3).unwrap();
            assert_eq!(file::fd_advise(ctx, memory, fd, 0, 0, 6), Err(Errno::Inval));
            file::fd_sync(ctx, memory, fd).unwrap();
            file::fd_datasync(ctx, memory, fd).unwrap();
            file::fd_filestat_get(ctx, memory, fd, OUT, Edition::Preview1).unwrap();
            assert_eq!(memory.read_u64(OUT + 32), Ok(90));
            let flags = fdflags::APPEND | fdflags::NONBLOCK;
            file::fd_fdstat_set_flags(ctx, memory, fd, flags).unwrap();
            let sync = file::fd_fdstat_set_flags(ctx, memory, fd, fdflags::SYNC);
            assert_eq!(sync, Err(Errno::NotSup));
        });
        assert_eq!(guest.fdstat(fd).1, 5);
    }
}
