//! A value for each function type, found without a lock. What types are, and
//! their numbers, is in `type_id`.

use crate::TypeId;
use std::fmt;
use std::sync::OnceLock;

/// As many numbers as there can be types: each chunk has room for twice as many
/// as the one before.
const CHUNKS: usize = 32;

/// A value for each function type that has been given one. A value is given
/// once and stays: reading it takes no lock, while others may be added.
pub struct TypeMap<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
}

impl<T> TypeMap<T> {
    /// No values.
    pub const fn new() -> TypeMap<T> {
        TypeMap { chunks: [const { OnceLock::new() }; CHUNKS] }
    }

    /// The value of a type.
    #[inline]
    pub fn get(&self, id: TypeId) -> Option<&T> {
        let (chunk, at) = place(id);
        self.chunks[chunk].get()?[at].get()
    }

    /// Gives a type its value; if it has one, that stays. Returns the one that
    /// it has.
    pub fn insert(&self, id: TypeId, value: T) -> &T {
        let (chunk, at) = place(id);
        let chunk = self.chunks[chunk]
            .get_or_init(|| (0..1_usize << chunk).map(|_| OnceLock::new()).collect());
        chunk[at].get_or_init(|| value)
    }
}

impl<T> Default for TypeMap<T> {
    fn default() -> TypeMap<T> {
        TypeMap::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for TypeMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        f.debug_list()
            .entries(chunks.flat_map(|chunk| chunk.iter().filter_map(OnceLock::get)))
            .finish()
    }
}

/// The chunk of a number, and the place in it.
#[inline]
fn place(id: TypeId) -> (usize, usize) {
    let number = id.number() + 1;
    let chunk = number.ilog2();
    (chunk as usize, (number - (1 << chunk)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FuncType, ValType};

    #[test]
    fn each_type_has_its_own_value_and_keeps_it() {
        let map = TypeMap::new();
        let ids = (0..100).map(|n| TypeId::of(&FuncType::new(vec![ValType::I32; n], [])));
        let ids = ids.collect::<Vec<_>>();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(map.get(*id), None);
            assert_eq!(*map.insert(*id, n), n);
        }
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(*map.insert(*id, 1000), n);
            assert_eq!(map.get(*id), Some(&n));
        }
    }
}
