//! Where exceptions are caught: the calls with handlers, and what they catch.

use crate::CodeOffset;

/// Something that a call with handlers catches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Catch {
    /// The tag, by its index in the module; `None` for every exception.
    pub tag: Option<u32>,
    /// Where the vmctx of the function is during the call, as an offset from
    /// its stack pointer: what the tag means depends on the instance.
    pub vmctx: u32,
    /// Where the function goes on, with the exception as first payload.
    pub handler: CodeOffset,
}

/// The calls that have handlers, sorted by the address that they return to.
#[derive(Clone, Debug, Default)]
pub struct HandlerTable {
    calls: Vec<HandlingCall>,
    catches: Vec<Catch>,
}

#[derive(Clone, Copy, Debug)]
struct HandlingCall {
    returns_to: CodeOffset,
    frame_size: u32,
    /// The end of its part of the list of catches, which starts where that of
    /// the call before ends.
    end: u32,
}

impl HandlerTable {
    /// Adds a call that returns to `returns_to`, from a frame whose stack
    /// pointer is `frame_size` bytes below its frame pointer. Calls must come
    /// in ascending order.
    pub fn push(
        &mut self,
        returns_to: CodeOffset,
        frame_size: u32,
        catches: impl IntoIterator<Item = Catch>,
    ) {
        debug_assert!(self.calls.last().is_none_or(|last| last.returns_to < returns_to));
        self.catches.extend(catches);
        self.calls.push(HandlingCall { returns_to, frame_size, end: self.catches.len() as u32 });
    }

    /// What the call that returns to this address catches, the first that
    /// fits first, with the size of its frame.
    pub fn get(&self, returns_to: CodeOffset) -> Option<(u32, &[Catch])> {
        let at = self.calls.binary_search_by_key(&returns_to, |call| call.returns_to).ok()?;
        let start = at.checked_sub(1).map_or(0, |before| self.calls[before].end);
        let HandlingCall { frame_size, end, .. } = self.calls[at];
        Some((frame_size, &self.catches[start as usize..end as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_its_own_catches() {
        let catch = |n| Catch { tag: Some(n), vmctx: 8, handler: CodeOffset(100 + n) };
        let mut table = HandlerTable::default();
        table.push(CodeOffset(4), 16, [catch(0), catch(1)]);
        table.push(CodeOffset(9), 32, [catch(2)]);
        assert_eq!(table.get(CodeOffset(4)), Some((16, &[catch(0), catch(1)][..])));
        assert_eq!(table.get(CodeOffset(9)), Some((32, &[catch(2)][..])));
        assert_eq!(table.get(CodeOffset(5)), None);
        assert_eq!(table.get(CodeOffset(10)), None);
    }
}
