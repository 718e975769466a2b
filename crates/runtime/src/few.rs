//! Room for a few values that takes no allocation, as arguments and results of
//! functions are mostly few.

/// How many fit without an allocation.
const FEW: usize = 8;

/// Room for any number of values.
pub(crate) struct Room<T> {
    few: [T; FEW],
    many: Vec<T>,
}

impl<T: Copy> Room<T> {
    /// Room whose values start as `value`. It is large, and is to stay where it
    /// is made.
    #[inline(always)]
    pub(crate) fn new(value: T) -> Room<T> {
        Room { few: [value; FEW], many: Vec::new() }
    }

    /// Room for `count` values, to be asked for once.
    #[inline]
    pub(crate) fn of(&mut self, count: usize) -> &mut [T] {
        if count <= FEW {
            return &mut self.few[..count];
        }
        self.many = vec![self.few[0]; count];
        &mut self.many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_for() {
        for count in [0, 1, FEW, FEW + 1, 1000] {
            assert_eq!(*Room::new(7).of(count), vec![7; count]);
        }
    }
}
