//! Wall time and the CPU time of this process, read together. Times of other processes
//! are in `process.rs`.

use std::time::Duration;

/// A moment: both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant {
    wall: std::time::Instant,
    cpu: Duration,
}

/// The time between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Span {
    /// Seconds on the clock on the wall.
    pub(crate) wall: f64,
    /// Seconds of CPU, user and system, of all threads of the process.
    pub(crate) cpu: f64,
}

impl Instant {
    /// The present moment.
    pub(crate) fn now() -> Instant {
        Instant { cpu: cpu_time(), wall: std::time::Instant::now() }
    }

    /// The time since.
    pub(crate) fn elapsed(self) -> Span {
        let wall = self.wall.elapsed();
        Span { wall: wall.as_secs_f64(), cpu: (cpu_time() - self.cpu).as_secs_f64() }
    }
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the result, which is all the call touches.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "every Linux has a clock of the process's CPU time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
