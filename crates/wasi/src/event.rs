//! Events: the records of `poll_oneoff`, under their witx names.
//!
//! The waiting is in `poll.rs`.

use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::types::{Edition, known_flags};

/// witx `$eventtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EventType {
    Clock = 0,
    FdRead = 1,
    FdWrite = 2,
}

/// witx `$subscription_u`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// witx `$subscription_clock`. The guest's allowance for inexactness is not needed.
    Clock { id: u32, timeout: u64, absolute: Result<bool, Errno> },
    /// witx `$subscription_fd_readwrite`.
    Ready { fd: u32, write: bool },
}

/// witx `$subscription`: 48 bytes, and 56 in `wasi_unstable`, whose clock has an identifier first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) userdata: u64,
    pub(crate) request: Request,
}

impl Subscription {
    pub(crate) fn size(edition: Edition) -> u32 {
        match edition {
            Edition::Preview1 => 48,
            Edition::Unstable => 56,
        }
    }

    /// Reads the record at `address`, all of which has been checked to be in the memory.
    pub(crate) fn read(
        memory: &GuestMemory<'_>,
        address: u32,
        edition: Edition,
    ) -> Result<Self, Errno> {
        let clock = match edition {
            Edition::Preview1 => address + 16,
            Edition::Unstable => address + 24,
        };
        let request = match memory.read_u8(address + 8)? {
            0 => Request::Clock {
                id: memory.read_u32(clock)?,
                timeout: memory.read_u64(clock + 8)?,
                // clock + 16: precision
                absolute: known_flags(memory.read_u16(clock + 24)?.into(), 1).map(|f| f == 1),
            },
            tag @ (1 | 2) => Request::Ready { fd: memory.read_u32(address + 16)?, write: tag == 2 },
            _ => return Err(Errno::Inval),
        };
        Ok(Self { userdata: memory.read_u64(address)?, request })
    }
}

/// witx `$event`, 32 bytes in both editions.
pub(crate) struct Event {
    pub(crate) userdata: u64,
    pub(crate) outcome: Result<(), Errno>,
    pub(crate) kind: EventType,
    /// How many bytes can be read or written, where that is known.
    pub(crate) nbytes: u64,
    pub(crate) hangup: bool,
}

impl Event {
    pub(crate) const SIZE: u32 = 32;

    pub(crate) fn write(&self, memory: &mut GuestMemory<'_>, address: u32) -> Result<(), Errno> {
        let mut bytes = [0; Self::SIZE as usize];
        bytes[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        bytes[8..10].copy_from_slice(&(Errno::code(self.outcome) as u16).to_le_bytes());
        bytes[10] = self.kind as u8;
        bytes[16..24].copy_from_slice(&self.nbytes.to_le_bytes()); // fd_readwrite.nbytes
        bytes[24] = u8::from(self.hangup); // fd_readwrite.flags
        memory.write(address, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_subscription_has_its_two_layouts() {
        for (edition, clock) in [(Edition::Preview1, 16), (Edition::Unstable, 24)] {
            let mut bytes = [0; 56];
            let mut memory = GuestMemory::new(&mut bytes);
            memory.write_u64(0, 77).unwrap();
            memory.write_u32(clock, 1).unwrap();
            memory.write_u64(clock + 8, 1_000).unwrap();
            memory.write_u32(clock + 24, 1).unwrap();
            let read = Subscription::read(&memory, 0, edition).unwrap();
            let request = Request::Clock { id: 1, timeout: 1_000, absolute: Ok(true) };
            assert_eq!(read, Subscription { userdata: 77, request });
        }
    }
}
