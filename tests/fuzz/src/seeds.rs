//! Checks many seeds on several threads. Which ones, and what to say about it,
//! is left to the caller.

use crate::{Case, Checker, Counts, Mismatch};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens while seeds are checked.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A seed is about to be checked: if the process dies, this one did it.
    Begin(u64),
    /// A seed showed a difference.
    Differs(u64, &'a Mismatch),
    /// A seed is done; this is what has happened so far.
    Done(u64, &'a Counts),
}

/// Checks all `seeds` and returns what happened and what differed. `tell` is
/// called from all threads.
pub fn run(
    seeds: Range<u64>,
    threads: usize,
    tell: impl Fn(Progress<'_>) + Sync,
) -> (Counts, Vec<(u64, Mismatch)>) {
    let next = AtomicU64::new(seeds.start);
    let checker = Checker::new();
    let results = Mutex::new((Counts::default(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            tell(Progress::Begin(seed));
            let mut counts = Counts::default();
            let result = checker.check(&Case::from_seed(seed), &mut counts);
            let mut results = results.lock().expect("nothing panics with the lock held");
            results.0.add(&counts);
            if let Err(mismatch) = result {
                tell(Progress::Differs(seed, &mismatch));
                results.1.push((seed, mismatch));
            }
            tell(Progress::Done(seed, &results.0));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    results.into_inner().expect("nothing panics with the lock held")
}
