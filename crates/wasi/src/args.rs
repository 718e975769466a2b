//! Arguments and environment: the strings a guest is started with, and the calls that copy them.
//!
//! They are put into the form the guest wants once, when the context is built.

use std::ffi::{OsStr, OsString};

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::error::Error;
use crate::memory::{GuestMemory, element};

/// NUL-terminated strings, one after the other.
pub(crate) struct Strings {
    bytes: Vec<u8>,
    /// Where each string begins in `bytes`.
    starts: Vec<u32>,
}

impl Strings {
    pub(crate) fn args(args: &[OsString]) -> Result<Self, Error> {
        let mut strings = Self { bytes: Vec::new(), starts: Vec::new() };
        for arg in args {
            strings.push(&[without_nul(arg)?])?;
        }
        Ok(strings)
    }

    pub(crate) fn environ(variables: &[(OsString, OsString)]) -> Result<Self, Error> {
        let mut strings = Self { bytes: Vec::new(), starts: Vec::new() };
        for (name, value) in variables {
            let text = without_nul(name)?;
            if text.is_empty() || text.contains(&b'=') {
                return Err(Error::VariableName { name: name.to_string_lossy().into_owned() });
            }
            strings.push(&[text, b"=", without_nul(value)?])?;
        }
        Ok(strings)
    }

    fn push(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let start = u32::try_from(self.bytes.len()).map_err(|_| Error::TooLarge)?;
        self.starts.push(start);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        // Checked for the last string too: `sizes` reports this number.
        u32::try_from(self.bytes.len()).map(drop).map_err(|_| Error::TooLarge)
    }

    /// Writes the strings to `buffer`, and to `pointers` where each of them begins.
    fn get(&self, memory: &mut GuestMemory<'_>, pointers: u32, buffer: u32) -> Result<(), Errno> {
        memory.write(buffer, &self.bytes)?;
        for (index, start) in self.starts.iter().enumerate() {
            let pointer = element(pointers, index as u32, 4)?;
            memory.write_u32(pointer, buffer.checked_add(*start).ok_or(Errno::Fault)?)?;
        }
        Ok(())
    }

    fn sizes(&self, memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Result<(), Errno> {
        memory.write_u32(count, self.starts.len() as u32)?;
        memory.write_u32(size, self.bytes.len() as u32)
    }
}

/// The bytes of a string that a guest can be given.
pub(crate) fn without_nul(text: &OsStr) -> Result<&[u8], Error> {
    let bytes = text.as_encoded_bytes();
    if bytes.contains(&0) {
        return Err(Error::Nul { text: text.to_string_lossy().into_owned() });
    }
    Ok(bytes)
}

pub(crate) fn args_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    pointers: u32,
    buffer: u32,
) -> Result<(), Errno> {
    ctx.args.get(memory, pointers, buffer)
}

pub(crate) fn args_sizes_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    count: u32,
    size: u32,
) -> Result<(), Errno> {
    ctx.args.sizes(memory, count, size)
}

pub(crate) fn environ_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    pointers: u32,
    buffer: u32,
) -> Result<(), Errno> {
    ctx.environ.get(memory, pointers, buffer)
}

pub(crate) fn environ_sizes_get(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    count: u32,
    size: u32,
) -> Result<(), Errno> {
    ctx.environ.sizes(memory, count, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WasiCtxBuilder;

    #[test]
    fn strings_lie_one_after_the_other() {
        let mut ctx = WasiCtxBuilder::new()
            .args(["prog", "", "x"])
            .env("A", "1")
            .env("A", "2")
            .build()
            .unwrap();
        let mut bytes = [0xff; 64];
        let mut memory = GuestMemory::new(&mut bytes);
        args_sizes_get(&mut ctx, &mut memory, 0, 4).unwrap();
        assert_eq!((memory.read_u32(0), memory.read_u32(4)), (Ok(3), Ok(8)));
        args_get(&mut ctx, &mut memory, 0, 20).unwrap();
        assert_eq!([0, 4, 8].map(|at| memory.read_u32(at).unwrap()), [20, 25, 26]);
        assert_eq!(memory.slice(20, 9).unwrap(), b"prog\0\0x\0\xff");
        environ_sizes_get(&mut ctx, &mut memory, 0, 4).unwrap();
        assert_eq!((memory.read_u32(0), memory.read_u32(4)), (Ok(1), Ok(4)));
        environ_get(&mut ctx, &mut memory, 0, 60).unwrap();
        assert_eq!(memory.slice(60, 4).unwrap(), b"A=2\0");
        assert_eq!(environ_get(&mut ctx, &mut memory, 0, 61), Err(Errno::Fault));
        assert_eq!(environ_get(&mut ctx, &mut memory, 61, 0), Err(Errno::Fault));
    }
}
