//! Descriptors: one open file, directory or stream of a guest, and the table of all of them.
//!
//! Here is how a descriptor is read and written. The calls on open files are in `file.rs`, those
//! on paths below a directory in `path.rs`.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use rustix::io::retry_on_intr;

use crate::errno::Errno;
use crate::rights::Rights;
use crate::stdio::{Input, Output};
use crate::types::FileType;

/// What a descriptor stands for.
pub(crate) enum Handle {
    /// A stream of this process, which stays open when the guest closes it.
    Standard(BorrowedFd<'static>),
    /// An open file, pipe or device.
    File(File),
    /// A directory. The name is the guest's, and only a preopened directory has one.
    Directory { dir: Dir, preopened: Option<Box<[u8]>> },
    /// Bytes of the embedder to read.
    Source { bytes: Box<[u8]>, position: usize },
    /// A buffer of the embedder to write to, or nothing.
    Sink(Option<Arc<Mutex<Vec<u8>>>>),
}

/// An open descriptor.
pub(crate) struct Descriptor {
    pub(crate) handle: Handle,
    pub(crate) filetype: FileType,
    /// What may be done with it.
    pub(crate) rights: Rights,
    /// What descriptors that are opened through it may have.
    pub(crate) inheriting: Rights,
}

impl Descriptor {
    /// Descriptor 0.
    pub(crate) fn input(input: Input) -> Self {
        let handle = match input {
            Input::Inherit => Handle::Standard(rustix::stdio::stdin()),
            Input::Null => Handle::Source { bytes: Box::default(), position: 0 },
            Input::File(file) => Handle::File(file),
            Input::Bytes(bytes) => Handle::Source { bytes: bytes.into(), position: 0 },
        };
        Self::stream(handle, Rights::ALL.without(Rights::FD_WRITE))
    }

    /// Descriptor 1 or 2; `inherited` is this process's own.
    pub(crate) fn output(output: Output, inherited: BorrowedFd<'static>) -> Self {
        let handle = match output {
            Output::Inherit => Handle::Standard(inherited),
            Output::Null => Handle::Sink(None),
            Output::File(file) => Handle::File(file),
            Output::Buffer(buffer) => Handle::Sink(Some(buffer)),
        };
        Self::stream(handle, Rights::ALL.without(Rights::FD_READ))
    }

    fn stream(handle: Handle, rights: Rights) -> Self {
        // A closed stream is a descriptor too: its calls fail with the host's `EBADF`.
        let (filetype, seekable) =
            handle.host().and_then(|fd| classify(fd).ok()).unwrap_or((FileType::Unknown, false));
        let rights = rights.and(Rights::applicable(filetype, seekable));
        Self { handle, filetype, rights, inheriting: Rights::NONE }
    }

    /// A directory that the guest finds open, under its own name for it.
    pub(crate) fn preopened(dir: Dir, name: Box<[u8]>) -> Self {
        Self {
            handle: Handle::Directory { dir, preopened: Some(name) },
            filetype: FileType::Directory,
            rights: Rights::DIRECTORY,
            inheriting: Rights::ALL,
        }
    }

    /// What `path_open` has opened, with no more than the rights that were asked for.
    pub(crate) fn opened(file: File, rights: Rights, inheriting: Rights) -> Result<Self, Errno> {
        let (filetype, seekable) = classify(file.as_fd())?;
        let rights = rights.and(Rights::applicable(filetype, seekable));
        if filetype == FileType::Directory {
            let handle = Handle::Directory { dir: Dir::from_std_file(file), preopened: None };
            Ok(Self { handle, filetype, rights, inheriting })
        } else {
            Ok(Self { handle: Handle::File(file), filetype, rights, inheriting: Rights::NONE })
        }
    }

    /// Checks that these rights are there.
    pub(crate) fn need(&self, rights: Rights) -> Result<(), Errno> {
        if self.rights.contains(rights) { Ok(()) } else { Err(Errno::NotCapable) }
    }

    /// Checks that this is no directory, and that these rights are there.
    pub(crate) fn need_content(&self, rights: Rights) -> Result<(), Errno> {
        match self.handle {
            Handle::Directory { .. } if rights == Rights::FD_READ => Err(Errno::IsDir),
            Handle::Directory { .. } => Err(Errno::BadF),
            _ => self.need(rights),
        }
    }

    /// As [`Self::need_content`], for a call that only a file with positions can answer.
    pub(crate) fn need_position(&self, rights: Rights) -> Result<(), Errno> {
        match (self.need_content(rights), self.filetype) {
            (Err(Errno::NotCapable), FileType::RegularFile | FileType::BlockDevice) => {
                Err(Errno::NotCapable)
            }
            (Err(Errno::NotCapable), _) => Err(Errno::SPipe),
            (result, _) => result,
        }
    }

    /// Reads into the buffers, in order, at `at` or at the descriptor's own position.
    pub(crate) fn read(
        &mut self,
        buffers: &mut [IoSliceMut<'_>],
        at: Option<u64>,
    ) -> Result<usize, Errno> {
        let fd = match &mut self.handle {
            Handle::Standard(fd) => *fd,
            Handle::File(file) => File::as_fd(file),
            Handle::Directory { .. } => return Err(Errno::IsDir),
            Handle::Source { bytes, position } => {
                return match at {
                    None => Ok(take(bytes, position, buffers)),
                    Some(_) => Err(Errno::SPipe),
                };
            }
            Handle::Sink(_) => return Err(Errno::BadF),
        };
        Ok(match at {
            None => retry_on_intr(|| rustix::io::readv(fd, buffers))?,
            Some(offset) => retry_on_intr(|| rustix::io::preadv(fd, buffers, offset))?,
        })
    }

    /// Writes the buffers, in order, at `at` or at the descriptor's own position.
    pub(crate) fn write(&self, buffers: &[IoSlice<'_>], at: Option<u64>) -> Result<usize, Errno> {
        let fd = match &self.handle {
            Handle::Standard(fd) => *fd,
            Handle::File(file) => file.as_fd(),
            Handle::Sink(_) if at.is_some() => return Err(Errno::SPipe),
            Handle::Sink(sink) => return Ok(put(sink.as_deref(), buffers)),
            Handle::Directory { .. } | Handle::Source { .. } => return Err(Errno::BadF),
        };
        Ok(match at {
            None => retry_on_intr(|| rustix::io::writev(fd, buffers))?,
            Some(offset) => retry_on_intr(|| rustix::io::pwritev(fd, buffers, offset))?,
        })
    }
}

impl Handle {
    /// The host's descriptor, where there is one.
    pub(crate) fn host(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Standard(fd) => Some(*fd),
            Self::File(file) => Some(file.as_fd()),
            Self::Directory { dir, .. } => Some(dir.as_fd()),
            Self::Source { .. } | Self::Sink(_) => None,
        }
    }
}

/// The type of a file, and whether it has positions.
fn classify(fd: BorrowedFd<'_>) -> Result<(FileType, bool), Errno> {
    let stat = rustix::fs::fstat(fd)?;
    let filetype = rustix::fs::FileType::from_raw_mode(stat.st_mode).into();
    Ok((filetype, rustix::fs::tell(fd).is_ok()))
}

fn take(bytes: &[u8], position: &mut usize, buffers: &mut [IoSliceMut<'_>]) -> usize {
    let start = *position;
    for buffer in buffers {
        let rest = &bytes[*position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        *position += count;
    }
    *position - start
}

fn put(sink: Option<&Mutex<Vec<u8>>>, buffers: &[IoSlice<'_>]) -> usize {
    if let Some(sink) = sink {
        // Bytes are bytes, also when another holder of the buffer has panicked.
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        for buffer in buffers {
            sink.extend_from_slice(buffer);
        }
    }
    buffers.iter().map(|buffer| buffer.len()).sum()
}

/// All descriptors of a guest, by number.
#[derive(Default)]
pub(crate) struct Table {
    slots: Vec<Option<Descriptor>>,
}

impl Table {
    /// A table of the descriptors that a guest finds open, numbered from 0.
    pub(crate) fn new(descriptors: Vec<Descriptor>) -> Self {
        Self { slots: descriptors.into_iter().map(Some).collect() }
    }

    /// Adds a descriptor under the lowest free number.
    pub(crate) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let fd = u32::try_from(index).map_err(|_| Errno::MFile)?;
        match self.slots.get_mut(index) {
            Some(slot) => *slot = Some(descriptor),
            None => self.slots.push(Some(descriptor)),
        }
        Ok(fd)
    }

    pub(crate) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.slots.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::BadF)
    }

    pub(crate) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BadF)
    }

    /// The directory of a descriptor that has the rights.
    pub(crate) fn directory(&self, fd: u32, rights: Rights) -> Result<&Dir, Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.handle {
            Handle::Directory { dir, .. } => descriptor.need(rights).map(|()| dir),
            _ => Err(Errno::NotDir),
        }
    }

    pub(crate) fn remove(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        self.slots.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::BadF)
    }

    /// Moves `from` to `to`, closing what was there. Both must be open.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(from)?;
        self.get(to)?;
        if from != to {
            let moved = self.remove(from)?;
            *self.get_mut(to)? = moved;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink() -> Descriptor {
        Descriptor::output(Output::Null, rustix::stdio::stdout())
    }

    #[test]
    fn the_lowest_free_number_is_taken() {
        let mut table = Table::default();
        assert_eq!([0; 3].map(|_| table.insert(sink()).unwrap()), [0, 1, 2]);
        table.remove(1).unwrap();
        assert_eq!(table.remove(1).err(), Some(Errno::BadF));
        assert_eq!(table.insert(sink()), Ok(1));
        assert_eq!(table.insert(sink()), Ok(3));
    }

    #[test]
    fn renumbering_needs_both_descriptors() {
        let mut table = Table::default();
        for _ in 0..3 {
            table.insert(sink()).unwrap();
        }
        assert_eq!(table.renumber(0, 7), Err(Errno::BadF));
        assert_eq!(table.renumber(7, 0), Err(Errno::BadF));
        assert_eq!(table.renumber(1, 1), Ok(()));
        assert_eq!(table.renumber(2, 0), Ok(()));
        assert!(table.get(2).is_err());
        assert!(table.get(0).is_ok());
    }

    #[test]
    fn a_source_is_read_to_its_end() {
        let mut source = Descriptor::input(Input::Bytes(b"abcde".to_vec()));
        let (mut first, mut second) = ([0; 2], [0; 2]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(source.read(&mut buffers, None), Ok(4));
        assert_eq!(source.read(&mut buffers, None), Ok(1));
        assert_eq!(source.read(&mut buffers, None), Ok(0));
        assert_eq!((&first, &second), (b"eb", b"cd"));
        assert_eq!(source.write(&[], None), Err(Errno::BadF));
    }
}
