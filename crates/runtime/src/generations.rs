//! Readers of something that is replaced now and then, counted by generation.
//!
//! Whoever replaces it waits for those who read the old one, and not for those
//! who come later: where many threads read, somebody always does. A reader
//! neither locks nor waits, so that a signal handler may be one. One writer at
//! a time is for the users to see to.
//!
//! Atomics come from the module `atomic` beside this one, so that a test can
//! have those of `loom` instead, and try all ways in which threads may meet.

use super::atomic::{AtomicUsize, Ordering, yield_now};

/// The count. Zeros are a valid start.
pub(crate) struct Generations {
    /// How many generations have ended.
    pub(crate) ended: AtomicUsize,
    /// The readers that have come in an even generation, and in an odd one.
    pub(crate) readers: [AtomicUsize; 2],
}

/// Somebody who reads, until it is dropped.
pub(crate) struct Reading<'a> {
    readers: &'a AtomicUsize,
}

impl Generations {
    /// Counts a reader. What it loads from here on is not done away with while
    /// it is counted.
    pub(crate) fn enter(&self) -> Reading<'_> {
        loop {
            let generation = self.ended.load(Ordering::SeqCst);
            let readers = &self.readers[generation % 2];
            readers.fetch_add(1, Ordering::SeqCst);
            // If the generation has ended meanwhile, nobody may be waiting for it.
            if self.ended.load(Ordering::SeqCst) == generation {
                return Reading { readers };
            }
            readers.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Ends a generation, in which something has been replaced, and waits for
    /// its readers: they may have the old one. Those of the generation before
    /// have been waited for when that ended; those of the next load the new one.
    pub(crate) fn end(&self) {
        let ending = self.ended.fetch_add(1, Ordering::SeqCst);
        // An addition reads the latest count, where a load need not: a reader
        // that is not seen here comes after it, and sees that the generation
        // has ended.
        while self.readers[ending % 2].fetch_add(0, Ordering::SeqCst) != 0 {
            yield_now();
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::SeqCst);
    }
}
