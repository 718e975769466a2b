//! Preopened directories: how a guest finds out what it was given.

use crate::ctx::WasiCtx;
use crate::descriptor::Handle;
use crate::errno::Errno;
use crate::memory::GuestMemory;

pub(crate) fn fd_prestat_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    prestat: u32,
) -> Result<(), Errno> {
    let length = preopened_name(ctx, fd)?.len() as u32;
    // witx `$prestat`: the tag of a directory, and the length of its name.
    memory.write_u32(prestat, 0)?;
    memory.write_u32(prestat.checked_add(4).ok_or(Errno::Fault)?, length)
}

pub(crate) fn fd_prestat_dir_name(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    path: u32,
    length: u32,
) -> Result<(), Errno> {
    let name = preopened_name(ctx, fd)?;
    if name.len() > length as usize {
        return Err(Errno::NameTooLong);
    }
    memory.write(path, name)
}

/// A guest finds its directories by asking from 3 upwards until it is told `EBADF`.
fn preopened_name(ctx: &WasiCtx, fd: u32) -> Result<&[u8], Errno> {
    match &ctx.table.get(fd)?.handle {
        Handle::Directory { preopened: Some(name), .. } => Ok(name),
        _ => Err(Errno::BadF),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Guest, OUT};

    #[test]
    fn only_a_preopened_directory_has_a_name() {
        let mut guest = Guest::new();
        assert_eq!(guest.open("sub", 0, 0, 0), Ok(4));
        guest.call(["", ""], |ctx, memory, _| {
            assert_eq!(fd_prestat_get(ctx, memory, 3, OUT), Ok(()));
            assert_eq!(memory.read_u64(OUT), Ok(1 << 32));
            assert_eq!(fd_prestat_dir_name(ctx, memory, 3, OUT, 0), Err(Errno::NameTooLong));
            assert_eq!(fd_prestat_dir_name(ctx, memory, 3, OUT, 9), Ok(()));
            assert_eq!(memory.read_u8(OUT), Ok(b'/'));
            for fd in [0, 4, 5] {
                assert_eq!(fd_prestat_get(ctx, memory, fd, OUT), Err(Errno::BadF));
            }
        });
    }
}
