//! Opening: `path_open`, from the guest's flags and rights to an open descriptor.
//!
//! What rights a descriptor gets for its type is in `descriptor.rs`; the other calls on paths are
//! in `path.rs`.

use std::path::Path;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::ctx::WasiCtx;
use crate::descriptor::Descriptor;
use crate::errno::Errno;
use crate::file::host_flags;
use crate::memory::GuestMemory;
use crate::path::path;
use crate::rights::Rights;
use crate::types::{self, FileType, oflags};

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
        let write = self.rights.contains(Rights::FD_WRITE);
        let read = self.rights.contains(Rights::FD_READ) || !write;
        let directory = match has(oflags::DIRECTORY) {
            true if has(oflags::CREAT | oflags::EXCL | oflags::TRUNC) => return Err(Errno::Inval),
            true => OFlags::DIRECTORY,
            false => OFlags::empty(),
        };
        let mut options = OpenOptions::new();
        options.follow(if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No });
        options.custom_flags((self.flags | directory).bits() as i32);
        options.read(read).write(write || has(oflags::TRUNC)).truncate(has(oflags::TRUNC));
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
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file;
    use crate::fixture::{Guest, READ, WRITE};
    use crate::path::path_unlink_file;
    use crate::types::fdflags;

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
        assert_eq!(guest.open("sub", oflags::DIRECTORY, !WRITE, 0), Ok(5));
        assert_eq!(guest.open("sub", 0, WRITE, 0), Err(Errno::IsDir));
        assert_eq!(guest.open("sub", oflags::DIRECTORY, READ | WRITE, 0), Err(Errno::IsDir));
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
}
