//! Reading and writing: the calls that move bytes between a descriptor and guest memory.
//!
//! The guest's list of buffers is taken a few at a time, so that nothing is allocated whatever its
//! length, and the host reads and writes guest memory itself. How a descriptor does that is in
//! `descriptor.rs`.

use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;

use crate::ctx::WasiCtx;
use crate::descriptor::{Descriptor, Handle};
use crate::errno::Errno;
use crate::memory::{GuestMemory, element};
use crate::rights::Rights;
use crate::types::FileType;

/// How many buffers go to the host at once. The C library uses two.
const PIECE: usize = 8;

/// witx `$iovec` and `$ciovec`: an address and a length.
const IOVEC_SIZE: u32 = 8;

/// A guest's list of buffers, which is taken piece by piece.
struct Buffers {
    address: u32,
    count: u32,
    next: u32,
}

/// Some buffers of the list, checked to lie in the memory; unused places are empty.
struct Piece {
    ranges: [Range<usize>; PIECE],
    /// The sum of the lengths.
    size: u64,
}

impl Buffers {
    fn new(memory: &GuestMemory<'_>, address: u32, count: u32) -> Result<Self, Errno> {
        memory.check_array(address, count, IOVEC_SIZE)?;
        Ok(Self { address, count, next: 0 })
    }

    fn take(&mut self, memory: &GuestMemory<'_>) -> Result<Option<Piece>, Errno> {
        if self.next == self.count {
            return Ok(None);
        }
        let mut piece = Piece { ranges: [const { 0..0 }; PIECE], size: 0 };
        for range in &mut piece.ranges {
            if self.next == self.count {
                break;
            }
            let iovec = element(self.address, self.next, IOVEC_SIZE)?;
            *range = memory.range(memory.read_u32(iovec)?, memory.read_u32(iovec + 4)?)?;
            piece.size += range.len() as u64;
            self.next += 1;
        }
        Ok(Some(piece))
    }
}

/// Moves the pieces one after the other with `step`, which gets the number of bytes moved so far,
/// until one is moved in part or `once` says that one is enough. An error after the first byte is
/// left for the next call to find.
fn transfer(
    memory: &mut GuestMemory<'_>,
    mut buffers: Buffers,
    once: bool,
    mut step: impl FnMut(&mut GuestMemory<'_>, &Piece, u64) -> Result<usize, Errno>,
) -> Result<u32, Errno> {
    let mut done = 0;
    loop {
        let moved = match buffers.take(memory) {
            Ok(None) => return Ok(done),
            Ok(Some(piece)) if piece.size == 0 => continue,
            Ok(Some(piece)) if piece.size > u64::from(u32::MAX - done) => Err(Errno::Inval),
            Ok(Some(piece)) => {
                step(memory, &piece, done.into()).map(|count| (count, count as u64 == piece.size))
            }
            Err(errno) => Err(errno),
        };
        match moved {
            Ok((count, whole)) => {
                done += count as u32;
                if once || !whole {
                    return Ok(done);
                }
            }
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => return Ok(done),
        }
    }
}

/// The offset of the byte after `done` others, for a call that has one.
fn position(at: Option<u64>, done: u64) -> Result<Option<u64>, Errno> {
    at.map(|at| at.checked_add(done).ok_or(Errno::Inval)).transpose()
}

fn read(
    memory: &mut GuestMemory<'_>,
    descriptor: &mut Descriptor,
    buffers: Buffers,
    at: Option<u64>,
) -> Result<u32, Errno> {
    // A second read of a stream could wait, when there is already something to return.
    let once = match descriptor.handle {
        Handle::Source { .. } => false,
        _ => descriptor.filetype != FileType::RegularFile,
    };
    transfer(memory, buffers, once, |memory, piece, done| {
        let at = position(at, done)?;
        match memory.bytes_mut().get_disjoint_mut(piece.ranges.clone()) {
            Ok(slices) => descriptor.read(&mut slices.map(IoSliceMut::new), at),
            // The buffers overlap. A read may be short: only the first is filled.
            Err(_) => {
                let first = piece.ranges.iter().find(|range| !range.is_empty()).cloned();
                let slice = &mut memory.bytes_mut()[first.unwrap_or(0..0)];
                descriptor.read(&mut [IoSliceMut::new(slice)], at)
            }
        }
    })
}

fn write(
    memory: &mut GuestMemory<'_>,
    descriptor: &Descriptor,
    buffers: Buffers,
    at: Option<u64>,
) -> Result<u32, Errno> {
    transfer(memory, buffers, false, |memory, piece, done| {
        let slices =
            piece.ranges.each_ref().map(|range| IoSlice::new(&memory.bytes()[range.clone()]));
        descriptor.write(&slices, position(at, done)?)
    })
}

pub(crate) fn fd_read(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    nread: u32,
) -> Result<(), Errno> {
    memory.range(nread, 4)?;
    let descriptor = ctx.table.get_mut(fd)?;
    descriptor.need_content(Rights::FD_READ)?;
    let buffers = Buffers::new(memory, iovs, count)?;
    let done = read(memory, descriptor, buffers, None)?;
    memory.write_u32(nread, done)
}

pub(crate) fn fd_pread(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    offset: u64,
    nread: u32,
) -> Result<(), Errno> {
    memory.range(nread, 4)?;
    let descriptor = ctx.table.get_mut(fd)?;
    descriptor.need_content(Rights::FD_READ)?;
    descriptor.need_position(Rights::FD_SEEK)?;
    let buffers = Buffers::new(memory, iovs, count)?;
    let done = read(memory, descriptor, buffers, Some(offset))?;
    memory.write_u32(nread, done)
}

pub(crate) fn fd_write(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    nwritten: u32,
) -> Result<(), Errno> {
    memory.range(nwritten, 4)?;
    let descriptor = ctx.table.get(fd)?;
    descriptor.need_content(Rights::FD_WRITE)?;
    let buffers = Buffers::new(memory, iovs, count)?;
    let done = write(memory, descriptor, buffers, None)?;
    memory.write_u32(nwritten, done)
}

pub(crate) fn fd_pwrite(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    offset: u64,
    nwritten: u32,
) -> Result<(), Errno> {
    memory.range(nwritten, 4)?;
    let descriptor = ctx.table.get(fd)?;
    descriptor.need_content(Rights::FD_WRITE)?;
    descriptor.need_position(Rights::FD_SEEK)?;
    let buffers = Buffers::new(memory, iovs, count)?;
    let done = write(memory, descriptor, buffers, Some(offset))?;
    memory.write_u32(nwritten, done)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::{Input, Output, WasiCtxBuilder};

    /// Writes a list of buffers to address 0.
    fn list(memory: &mut GuestMemory<'_>, buffers: &[(u32, u32)]) {
        for (index, (address, length)) in buffers.iter().enumerate() {
            memory.write_u32(index as u32 * 8, *address).unwrap();
            memory.write_u32(index as u32 * 8 + 4, *length).unwrap();
        }
    }

    #[test]
    fn more_buffers_than_one_piece_are_written_in_order() {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let mut ctx = WasiCtxBuilder::new().stdout(Output::Buffer(buffer.clone())).build().unwrap();
        let mut bytes = vec![0; 512];
        let mut memory = GuestMemory::new(&mut bytes);
        memory.write(400, b"0123456789abcdefghij").unwrap();
        let buffers: Vec<_> = (0..20).map(|index| (400 + index, 1)).collect();
        list(&mut memory, &buffers);
        fd_write(&mut ctx, &mut memory, 1, 0, 20, 500).unwrap();
        assert_eq!(memory.read_u32(500), Ok(20));
        assert_eq!(*buffer.lock().unwrap(), b"0123456789abcdefghij");
    }

    #[test]
    fn a_bad_pointer_moves_nothing() {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let mut ctx = WasiCtxBuilder::new().stdout(Output::Buffer(buffer.clone())).build().unwrap();
        let mut bytes = vec![0; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        list(&mut memory, &[(32, 8), (60, 8)]);
        let mut write =
            |fd, iovs, count, nwritten| fd_write(&mut ctx, &mut memory, fd, iovs, count, nwritten);
        assert_eq!(write(1, 0, 2, 48), Err(Errno::Fault));
        assert_eq!(write(1, 0, 1, 61), Err(Errno::Fault));
        assert_eq!(write(1, 60, 1, 48), Err(Errno::Fault));
        assert_eq!(write(1, 0, u32::MAX, 48), Err(Errno::Fault));
        assert_eq!(write(0, 0, 1, 48), Err(Errno::NotCapable));
        assert_eq!(write(9, 0, 1, 48), Err(Errno::BadF));
        assert!(buffer.lock().unwrap().is_empty());
    }

    #[test]
    fn a_file_fills_every_buffer_and_overlapping_ones_in_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("digits");
        std::fs::write(&path, b"0123456789abcdef").unwrap();
        let file = File::open(&path).unwrap();
        let mut ctx = WasiCtxBuilder::new().stdin(Input::File(file)).build().unwrap();
        let mut bytes = vec![0; 256];
        let mut memory = GuestMemory::new(&mut bytes);
        let buffers: Vec<_> = (0..12).map(|index| (200 + index, 1)).collect();
        list(&mut memory, &buffers);
        fd_read(&mut ctx, &mut memory, 0, 0, 12, 240).unwrap();
        assert_eq!(memory.read_u32(240), Ok(12));
        assert_eq!(memory.slice(200, 13).unwrap(), b"0123456789ab\0");

        list(&mut memory, &[(200, 4), (202, 4)]);
        fd_pread(&mut ctx, &mut memory, 0, 0, 2, 10, 240).unwrap();
        assert_eq!(memory.read_u32(240), Ok(4));
        assert_eq!(memory.slice(200, 4).unwrap(), b"abcd");
    }

    #[test]
    fn a_closed_pipe_is_epipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Output::File(File::from(std::os::fd::OwnedFd::from(writer)));
        let mut ctx = WasiCtxBuilder::new().stdout(output).build().unwrap();
        let mut bytes = vec![0; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        list(&mut memory, &[(32, 8)]);
        assert_eq!(fd_write(&mut ctx, &mut memory, 1, 0, 1, 48), Err(Errno::Pipe));
        assert_eq!(fd_pwrite(&mut ctx, &mut memory, 1, 0, 1, 0, 48), Err(Errno::SPipe));
    }

    #[test]
    fn a_pipe_is_not_waited_for_when_something_was_read() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"01234567").unwrap();
        let input = Input::File(File::from(std::os::fd::OwnedFd::from(reader)));
        let mut ctx = WasiCtxBuilder::new().stdin(input).build().unwrap();
        let mut bytes = vec![0; 256];
        let mut memory = GuestMemory::new(&mut bytes);
        let buffers: Vec<_> = (0..12).map(|index| (200 + index, 1)).collect();
        list(&mut memory, &buffers);
        fd_read(&mut ctx, &mut memory, 0, 0, 12, 240).unwrap();
        assert_eq!(memory.read_u32(240), Ok(8));
    }
}
