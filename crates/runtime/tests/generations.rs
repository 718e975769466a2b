//! The list of code is read without locks: `loom` tries all ways in which its
//! readers and writers may meet.

/// What the module under test takes its atomics from.
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use loom::thread::yield_now;
}

#[path = "../src/generations.rs"]
mod generations;

use atomic::{AtomicUsize, Ordering};
use generations::Generations;
use loom::cell::UnsafeCell;
use loom::sync::Arc;

/// Three snapshots, of which the first is current, then the second, then the
/// third. `loom` fails if one is written to while it is read.
struct Shared {
    generations: Generations,
    current: AtomicUsize,
    snapshots: [UnsafeCell<u32>; 3],
}

impl Shared {
    fn new() -> Shared {
        Shared {
            generations: Generations {
                ended: AtomicUsize::new(0),
                readers: [AtomicUsize::new(0), AtomicUsize::new(0)],
            },
            current: AtomicUsize::new(0),
            snapshots: [UnsafeCell::new(1), UnsafeCell::new(1), UnsafeCell::new(1)],
        }
    }

    /// Reads the current snapshot, which must be alive.
    fn read(&self) {
        let _reading = self.generations.enter();
        let current = self.current.load(Ordering::SeqCst);
        // SAFETY: `loom` checks that nobody writes to it.
        self.snapshots[current].with(|snapshot| assert_eq!(unsafe { *snapshot }, 1));
    }

    /// Makes the next snapshot current, and does away with the one before.
    fn replace(&self) {
        let old = self.current.load(Ordering::SeqCst);
        self.current.store(old + 1, Ordering::SeqCst);
        self.generations.end();
        // SAFETY: `loom` checks that nobody reads it.
        self.snapshots[old].with_mut(|snapshot| unsafe { *snapshot = 0 });
    }
}

#[test]
fn nothing_is_done_away_with_while_it_is_read() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Arc::new(Shared::new());
        let readers = [(); 2].map(|()| {
            let shared = shared.clone();
            loom::thread::spawn(move || shared.read())
        });
        shared.replace();
        shared.replace();
        for reader in readers {
            reader.join().expect("it does not panic");
        }
    });
}
