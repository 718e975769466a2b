//! From machine code back to WebAssembly instructions.

use crate::{CodeOffset, WasmOffset};

/// A location of a function under compilation: an index into its list of
/// [`Location`]s. This is what travels through the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocId(pub u32);

/// What a [`LocId`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The instruction, as an offset into the WebAssembly binary.
    pub wasm: WasmOffset,
}

/// Which instruction each range of machine code came from.
///
/// A range reaches to the start of the next one.
#[derive(Clone, Debug, Default)]
pub struct LocationTable {
    starts: Vec<CodeOffset>,
    locations: Vec<Option<Location>>,
}

impl LocationTable {
    /// Starts a range. Offsets must come in ascending order; a range that
    /// continues the one before is merged with it.
    pub fn push(&mut self, start: CodeOffset, location: Option<Location>) {
        if self.locations.last().copied() == Some(location) {
            return;
        }
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.locations.pop();
            return self.push(start, location);
        }
        debug_assert!(self.starts.last().is_none_or(|last| *last < start));
        self.starts.push(start);
        self.locations.push(location);
    }

    /// The instruction that the code at `offset` came from, if known.
    pub fn get(&self, offset: CodeOffset) -> Option<Location> {
        let after = self.starts.partition_point(|start| *start <= offset);
        *self.locations.get(after.checked_sub(1)?)?
    }

    /// The instruction at `offset`, or else the first one known behind it and
    /// before `end`: code at the start of a function belongs to none.
    pub fn get_or_next(&self, offset: CodeOffset, end: CodeOffset) -> Option<Location> {
        let after = self.starts.partition_point(|start| *start <= offset);
        let from = after.saturating_sub(1);
        let ranges = self.starts[from..].iter().zip(&self.locations[from..]);
        ranges.take_while(|(start, _)| **start < end).find_map(|(_, location)| *location)
    }

    /// The ranges by their starts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (CodeOffset, Option<Location>)> + '_ {
        self.starts.iter().copied().zip(self.locations.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_are_found() {
        let at = |n| Some(Location { wasm: WasmOffset(n) });
        let mut table = LocationTable::default();
        for (start, location) in [(0, None), (4, at(1)), (6, at(1)), (8, at(2)), (8, at(3))] {
            table.push(CodeOffset(start), location);
        }
        let found = |n| table.get(CodeOffset(n));
        assert_eq!([found(3), found(4), found(7)], [None, at(1), at(1)]);
        assert_eq!([found(8), found(999)], [at(3), at(3)]);
        let next = |n, end| table.get_or_next(CodeOffset(n), CodeOffset(end));
        assert_eq!([next(0, 4), next(0, 5), next(5, 9)], [None, at(1), at(1)]);
        assert_eq!(table.iter().count(), 3);
    }
}
