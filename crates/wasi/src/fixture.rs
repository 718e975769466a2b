//! A guest for the unit tests: one directory, and the calls that tests make most.

use std::fs;
use std::path::PathBuf;

use crate::ctx::{WasiCtx, WasiCtxBuilder};
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::open::path_open;
use crate::path::path_filestat_get;
use crate::types::Edition;
use crate::{file, io};

/// A guest with one directory, 3, beside which there is a file `secret` that is not its own.
pub(crate) struct Guest {
    pub(crate) ctx: WasiCtx,
    pub(crate) bytes: Vec<u8>,
    pub(crate) root: PathBuf,
    _dir: tempfile::TempDir,
}

pub(crate) const READ: u64 = 1 << 1;
pub(crate) const WRITE: u64 = 1 << 6;

/// Where the guest's calls leave what they return; paths go to 0 and to 2000.
pub(crate) const OUT: u32 = 6000;

impl Guest {
    pub(crate) fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap())
    }

    pub(crate) fn in_directory(dir: tempfile::TempDir) -> Self {
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("file"), "content").unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let ctx = WasiCtxBuilder::new().preopened_dir(&root, "/").unwrap().build().unwrap();
        Self { ctx, bytes: vec![0; 8192], root, _dir: dir }
    }

    pub(crate) fn call<R>(
        &mut self,
        paths: [&str; 2],
        call: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>, [u32; 2]) -> R,
    ) -> R {
        let mut memory = GuestMemory::new(&mut self.bytes);
        memory.write(0, paths[0].as_bytes()).unwrap();
        memory.write(2000, paths[1].as_bytes()).unwrap();
        call(&mut self.ctx, &mut memory, paths.map(|path| path.len() as u32))
    }

    pub(crate) fn open(
        &mut self,
        path: &str,
        oflags: u32,
        rights: u64,
        fdflags: u32,
    ) -> Result<u32, Errno> {
        self.open_at(3, path, oflags, rights, fdflags)
    }

    pub(crate) fn open_at(
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

    pub(crate) fn write(&mut self, fd: u32, text: &str) -> Result<(), Errno> {
        self.call([text, ""], |ctx, memory, [length, _]| {
            memory.write_u64(4000, u64::from(length) << 32)?;
            io::fd_write(ctx, memory, fd, 4000, 1, OUT)
        })
    }

    pub(crate) fn stat(&mut self, path: &str, flags: u32) -> Result<u8, Errno> {
        self.call([path, ""], |ctx, memory, [length, _]| {
            path_filestat_get(ctx, memory, (3, flags, 0, length), OUT, Edition::Preview1)?;
            memory.read_u8(OUT + 16)
        })
    }

    pub(crate) fn fdstat(&mut self, fd: u32) -> (u8, u16, u64) {
        self.call(["", ""], |ctx, memory, _| {
            file::fd_fdstat_get(ctx, memory, fd, OUT).unwrap();
            let rights = memory.read_u64(OUT + 8).unwrap();
            (memory.read_u8(OUT).unwrap(), memory.read_u16(OUT + 2).unwrap(), rights)
        })
    }
}
