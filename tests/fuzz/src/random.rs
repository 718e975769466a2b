//! Numbers that look random and are the same for the same seed everywhere.

use std::cell::UnsafeCell;

/// The SplitMix64 generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 7);
        while bytes.len() < len {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// A number that depends on all bits of `x`.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that depends on all bytes, and on how many there are.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut hash = bytes.len() as u64;
    for word in words.iter().chain([&last]) {
        hash =
            (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    mix(hash)
}

/// A copy of a shared memory that no thread uses meanwhile.
#[allow(unsafe_code)]
pub(crate) fn shared_bytes(memory: &[UnsafeCell<u8>]) -> Vec<u8> {
    // SAFETY: everything here that runs a module does it on one thread.
    memory.iter().map(|byte| unsafe { *byte.get() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_see_every_byte_and_the_length() {
        let bytes: Vec<u8> = (0..37).collect();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(hash(&bytes), hash(&other), "byte {at}");
        }
        assert_ne!(hash(&[0; 8]), hash(&[0; 9]));
    }
}
