//! Vectors as Rust has them.

use std::fmt;

/// A `v128`: 128 bits, the first lane in the low ones.
///
/// It is made from an array of lanes of any kind, and an array from it:
///
/// ```
/// # use wasmprof_runtime::V128;
/// let vector = V128::from([1.0f32, 2.0, 3.0, 4.0]);
/// assert_eq!(<[f32; 4]>::from(vector)[2], 3.0);
/// assert_eq!(<[u32; 4]>::from(vector)[2], 0x4040_0000);
/// assert_eq!(V128::from([1u8; 16]), V128::from(0x01010101_01010101_01010101_01010101));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct V128(u128);

impl fmt::Debug for V128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V128({:#034x})", self.0)
    }
}

impl From<u128> for V128 {
    fn from(bits: u128) -> V128 {
        V128(bits)
    }
}

impl From<V128> for u128 {
    fn from(vector: V128) -> u128 {
        vector.0
    }
}

macro_rules! lanes {
    ($($ty:ident $count:literal)*) => {$(
        impl From<[$ty; $count]> for V128 {
            #[inline]
            fn from(lanes: [$ty; $count]) -> V128 {
                let mut bytes = [0; 16];
                for (to, lane) in bytes.as_chunks_mut().0.iter_mut().zip(lanes) {
                    *to = lane.to_le_bytes();
                }
                V128(u128::from_le_bytes(bytes))
            }
        }

        impl From<V128> for [$ty; $count] {
            #[inline]
            fn from(vector: V128) -> [$ty; $count] {
                let bytes = vector.0.to_le_bytes();
                let lanes = bytes.as_chunks().0;
                std::array::from_fn(|lane| $ty::from_le_bytes(lanes[lane]))
            }
        }
    )*};
}

lanes!(i8 16 u8 16 i16 8 u16 8 i32 4 u32 4 i64 2 u64 2 f32 4 f64 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_counted_from_the_low_bits() {
        let vector = V128::from(0x0f0e0d0c_0b0a0908_07060504_03020100);
        assert_eq!(<[u8; 16]>::from(vector), std::array::from_fn(|lane| lane as u8));
        assert_eq!(<[u16; 8]>::from(vector)[7], 0x0f0e);
        assert_eq!(<[i32; 4]>::from(vector)[1], 0x07060504);
        assert_eq!(<[u64; 2]>::from(vector), [0x07060504_03020100, 0x0f0e0d0c_0b0a0908]);
        let signed = V128::from([-1i16, 2, -3, 4, -5, 6, -7, i16::MIN]);
        assert_eq!(<[i16; 8]>::from(signed), [-1, 2, -3, 4, -5, 6, -7, i16::MIN]);
        assert_eq!(u128::from(V128::from([1i64, -1])), u128::MAX << 64 | 1);
    }

    #[test]
    fn nans_keep_their_bits() {
        let bits = [0x7fa0_0001u32, 0xffc0_0000, 0x7f80_0001, 0];
        let floats = <[f32; 4]>::from(V128::from(bits));
        assert_eq!(floats.map(f32::to_bits), bits);
        assert_eq!(V128::from(floats), V128::from(bits));
        assert_eq!(
            format!("{:?}", V128::from([1u64, 2])),
            format!("V128({:#034x})", 2u128 << 64 | 1)
        );
    }
}
