//! Guest memory: typed, checked, little-endian access to the bytes of one linear memory.
//!
//! Every pointer and length that a guest passes goes through [`GuestMemory::range`]; what lies
//! outside the memory is `EFAULT`. Finding the memory of a caller is left to `linker.rs`.

use std::ops::Range;

use crate::errno::Errno;

/// The linear memory of the calling instance, for the time of one call.
pub(crate) struct GuestMemory<'a> {
    bytes: &'a mut [u8],
}

impl<'a> GuestMemory<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes }
    }

    /// Checks `length` bytes at `address`, and gives their place in [`Self::bytes`].
    pub(crate) fn range(&self, address: u32, length: u32) -> Result<Range<usize>, Errno> {
        let start = address as usize;
        let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
        if end > self.bytes.len() { Err(Errno::Fault) } else { Ok(start..end) }
    }

    /// Checks `count` records of `size` bytes each at `address`.
    pub(crate) fn check_array(&self, address: u32, count: u32, size: u32) -> Result<(), Errno> {
        let length = count.checked_mul(size).ok_or(Errno::Fault)?;
        self.range(address, length).map(drop)
    }

    pub(crate) fn slice(&self, address: u32, length: u32) -> Result<&[u8], Errno> {
        let range = self.range(address, length)?;
        Ok(&self.bytes[range])
    }

    pub(crate) fn slice_mut(&mut self, address: u32, length: u32) -> Result<&mut [u8], Errno> {
        let range = self.range(address, length)?;
        Ok(&mut self.bytes[range])
    }

    /// All of it, for ranges that [`Self::range`] has checked.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// All of it, for ranges that [`Self::range`] has checked.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    fn read<const N: usize>(&self, address: u32) -> Result<[u8; N], Errno> {
        let start = address as usize;
        let tail = self.bytes.get(start..).ok_or(Errno::Fault)?;
        tail.first_chunk::<N>().copied().ok_or(Errno::Fault)
    }

    pub(crate) fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
        let start = address as usize;
        let end = start.checked_add(bytes.len()).ok_or(Errno::Fault)?;
        self.bytes.get_mut(start..end).ok_or(Errno::Fault)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn read_u8(&self, address: u32) -> Result<u8, Errno> {
        self.read(address).map(u8::from_le_bytes)
    }

    pub(crate) fn read_u16(&self, address: u32) -> Result<u16, Errno> {
        self.read(address).map(u16::from_le_bytes)
    }

    pub(crate) fn read_u32(&self, address: u32) -> Result<u32, Errno> {
        self.read(address).map(u32::from_le_bytes)
    }

    pub(crate) fn read_u64(&self, address: u32) -> Result<u64, Errno> {
        self.read(address).map(u64::from_le_bytes)
    }

    pub(crate) fn write_u32(&mut self, address: u32, value: u32) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, address: u32, value: u64) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }
}

/// The address of record `index` of an array, or `EFAULT` beyond 32 bits.
pub(crate) fn element(address: u32, index: u32, size: u32) -> Result<u32, Errno> {
    index.checked_mul(size).and_then(|offset| address.checked_add(offset)).ok_or(Errno::Fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_little_endian_and_need_no_alignment() {
        let mut bytes = [0; 16];
        let mut memory = GuestMemory::new(&mut bytes);
        memory.write_u32(1, 0x0403_0201).unwrap();
        memory.write_u64(5, 0x0c0b_0a09_0807_0605).unwrap();
        assert_eq!(memory.slice(1, 12).unwrap(), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(memory.read_u8(2), Ok(2));
        assert_eq!(memory.read_u16(1), Ok(0x0201));
        assert_eq!(memory.read_u32(1), Ok(0x0403_0201));
        assert_eq!(memory.read_u64(5), Ok(0x0c0b_0a09_0807_0605));
    }

    #[test]
    fn the_last_byte_is_inside_and_the_next_is_not() {
        let mut bytes = [0; 8];
        let mut memory = GuestMemory::new(&mut bytes);
        assert_eq!(memory.write_u32(4, 1), Ok(()));
        assert_eq!(memory.write_u32(5, 1), Err(Errno::Fault));
        assert_eq!(memory.read_u64(0), Ok(1 << 32));
        assert_eq!(memory.read_u64(1), Err(Errno::Fault));
        assert_eq!(memory.slice(8, 0), Ok(&[][..]));
        assert_eq!(memory.slice(9, 0), Err(Errno::Fault));
        assert_eq!(memory.slice_mut(u32::MAX, u32::MAX).map(drop), Err(Errno::Fault));
        assert_eq!(memory.read_u32(u32::MAX), Err(Errno::Fault));
        assert_eq!(memory.check_array(0, 1 << 30, 48), Err(Errno::Fault));
    }
}
