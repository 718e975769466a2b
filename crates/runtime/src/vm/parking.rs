//! Threads that wait at addresses of a memory until others notify them.
//!
//! A thread that waits is put into the queue of its address and sleeps; who
//! notifies takes threads out of the queue, the first come first. All of that
//! happens under one lock, as does leaving the queue for another reason: no
//! notification is lost, and none is given to a thread that has gone. What is
//! compared before a wait is read under the same lock.
//!
//! Addresses are checked elsewhere; here they are numbers that are equal or not.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use wasmprof_image::TrapCode;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// Another thread has notified this one.
    Ok = 0,
    /// The value at the address was not the one expected.
    Mismatch = 1,
    /// The time was up.
    TimedOut = 2,
}

/// What a thread that waits asks from time to time: whether to go on.
pub(crate) struct Interrupt<'a> {
    /// How often, if ever.
    pub(crate) every: Option<Duration>,
    /// An error ends the wait.
    pub(crate) ask: &'a mut dyn FnMut() -> Result<(), TrapCode>,
}

/// The threads that wait at the addresses of one memory.
#[derive(Debug, Default)]
pub(crate) struct ParkingLot {
    queues: Mutex<HashMap<u64, Queue>>,
}

type Queue = VecDeque<Arc<Parked>>;
type Queues<'a> = MutexGuard<'a, HashMap<u64, Queue>>;

/// A thread that waits. It is in its queue unless it has been notified.
#[derive(Debug, Default)]
struct Parked {
    wake: Condvar,
    /// Changed and read only under the lock.
    notified: AtomicBool,
}

impl Parked {
    fn is_notified(&self) -> bool {
        self.notified.load(Ordering::Relaxed)
    }
}

impl ParkingLot {
    /// Waits at `address` if `matches` says so, until it is notified, `timeout`
    /// has passed (`None` is never), or `interrupt` ends it.
    ///
    /// # Errors
    ///
    /// What `interrupt` returned.
    pub(crate) fn wait(
        &self,
        address: u64,
        matches: impl FnOnce() -> bool,
        timeout: Option<Duration>,
        interrupt: Interrupt<'_>,
    ) -> Result<WaitResult, TrapCode> {
        // A time beyond all that the clock can say never comes.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut queues = self.lock();
        if !matches() {
            return Ok(WaitResult::Mismatch);
        }
        let me = Arc::new(Parked::default());
        queues.entry(address).or_default().push_back(me.clone());
        let mut next_ask = interrupt.every.and_then(|every| Instant::now().checked_add(every));
        loop {
            queues = sleep(&me, queues, [end, next_ask].into_iter().flatten().min());
            // A thread may also wake for no reason.
            if me.is_notified() {
                return Ok(WaitResult::Ok);
            }
            let now = Instant::now();
            if end.is_some_and(|end| end <= now) {
                leave(&mut queues, address, &me);
                return Ok(WaitResult::TimedOut);
            }
            if next_ask.is_some_and(|next| next <= now) {
                // Whoever is asked may take its time: others must be able to
                // wait and to notify, this thread too.
                drop(queues);
                let answer = (interrupt.ask)();
                queues = self.lock();
                if me.is_notified() {
                    return Ok(WaitResult::Ok);
                }
                if let Err(code) = answer {
                    leave(&mut queues, address, &me);
                    return Err(code);
                }
                next_ask = interrupt.every.and_then(|every| Instant::now().checked_add(every));
            }
        }
    }

    /// Wakes `count` threads that wait at `address`, or all there are if they
    /// are fewer. Returns how many.
    pub(crate) fn notify(&self, address: u64, count: u32) -> u32 {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&address) else { return 0 };
        let count = queue.len().min(count as usize);
        for parked in queue.drain(..count) {
            parked.notified.store(true, Ordering::Relaxed);
            parked.wake.notify_one();
        }
        if queue.is_empty() {
            queues.remove(&address);
        }
        count as u32
    }

    /// What a panicking thread was doing to the queues is finished or not begun.
    fn lock(&self) -> Queues<'_> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sleeps until woken, or until some time.
fn sleep<'a>(me: &Parked, queues: Queues<'a>, until: Option<Instant>) -> Queues<'a> {
    match until {
        None => me.wake.wait(queues).unwrap_or_else(PoisonError::into_inner),
        Some(until) => {
            let left = until.saturating_duration_since(Instant::now());
            me.wake.wait_timeout(queues, left).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

/// Takes a thread that has not been notified out of its queue.
fn leave(queues: &mut Queues<'_>, address: u64, me: &Arc<Parked>) {
    if let Some(queue) = queues.get_mut(&address) {
        queue.retain(|parked| !Arc::ptr_eq(parked, me));
        if queue.is_empty() {
            queues.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, AtomicUsize};
    use std::thread;

    fn never(ask: &mut dyn FnMut() -> Result<(), TrapCode>) -> Interrupt<'_> {
        Interrupt { every: None, ask }
    }

    fn wait(lot: &ParkingLot, address: u64, timeout: Option<Duration>) -> WaitResult {
        lot.wait(address, || true, timeout, never(&mut || Ok(()))).expect("nothing interrupts")
    }

    /// How many threads wait at an address.
    fn waiting(lot: &ParkingLot, address: u64) -> usize {
        lot.lock().get(&address).map_or(0, VecDeque::len)
    }

    fn until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_wait_ends_when_the_time_is_up_and_leaves_nothing_behind() {
        let lot = ParkingLot::default();
        for timeout in [Duration::ZERO, Duration::from_millis(20)] {
            let start = Instant::now();
            assert_eq!(wait(&lot, 8, Some(timeout)), WaitResult::TimedOut);
            assert!(start.elapsed() >= timeout);
            assert!(lot.lock().is_empty());
        }
        assert_eq!(lot.notify(8, u32::MAX), 0);
    }

    #[test]
    fn another_value_is_not_waited_for() {
        let lot = ParkingLot::default();
        let result = lot.wait(8, || false, None, never(&mut || Ok(())));
        assert_eq!(result, Ok(WaitResult::Mismatch));
        assert!(lot.lock().is_empty());
    }

    #[test]
    fn times_that_no_clock_can_say_are_forever() {
        let lot = ParkingLot::default();
        thread::scope(|scope| {
            let waits = scope.spawn(|| wait(&lot, 0, Some(Duration::MAX)));
            until(|| waiting(&lot, 0) == 1);
            assert_eq!(lot.notify(0, 1), 1);
            assert_eq!(waits.join().expect("no panic"), WaitResult::Ok);
        });
    }

    #[test]
    fn who_came_first_is_woken_first_and_other_addresses_sleep_on() {
        let lot = ParkingLot::default();
        let woken = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..5 {
                let (lot, woken) = (&lot, &woken);
                scope.spawn(move || {
                    // Two of them go on together; which is first, nobody says.
                    assert_eq!(wait(lot, 16, None), WaitResult::Ok);
                    woken.lock().expect("no panic").push(number);
                });
                until(|| waiting(lot, 16) == number + 1);
            }
            let other = scope.spawn(|| wait(&lot, 17, None));
            until(|| waiting(&lot, 17) == 1);
            let woken = || woken.lock().expect("no panic").clone();
            for number in 0..3 {
                assert_eq!(lot.notify(16, 1), 1);
                until(|| woken().len() == number + 1);
            }
            assert_eq!(woken(), [0, 1, 2]);
            assert_eq!(lot.notify(16, 0), 0);
            assert_eq!(waiting(&lot, 16), 2);
            assert_eq!(lot.notify(16, u32::MAX), 2);
            assert_eq!(lot.notify(16, u32::MAX), 0);
            assert!(!other.is_finished());
            assert_eq!(lot.notify(17, 7), 1);
        });
        assert!(lot.lock().is_empty());
    }

    #[test]
    fn an_interrupt_is_asked_again_and_again_and_ends_the_wait() {
        let lot = ParkingLot::default();
        let mut asked = 0;
        let mut ask = || {
            asked += 1;
            // The lock is free while it is asked.
            assert_eq!(lot.notify(1, 1), 0);
            if asked < 5 { Ok(()) } else { Err(TrapCode::Unreachable) }
        };
        let interrupt = Interrupt { every: Some(Duration::from_millis(1)), ask: &mut ask };
        assert_eq!(lot.wait(0, || true, None, interrupt), Err(TrapCode::Unreachable));
        assert_eq!(asked, 5);
        assert!(lot.lock().is_empty());
    }

    /// Who is notified while it is asked whether to go on has been notified.
    #[test]
    fn a_notification_comes_before_an_interrupt() {
        let lot = ParkingLot::default();
        let mut ask = || {
            assert_eq!(lot.notify(0, 1), 1);
            Err(TrapCode::Unreachable)
        };
        let interrupt = Interrupt { every: Some(Duration::from_millis(1)), ask: &mut ask };
        assert_eq!(lot.wait(0, || true, None, interrupt), Ok(WaitResult::Ok));
    }

    /// Threads hand a number around, each waiting until it is its turn. One
    /// notification that got lost would stop them all.
    #[test]
    fn no_notification_is_lost() {
        const THREADS: u32 = 4;
        const TURNS: u32 = 20_000;
        let lot = ParkingLot::default();
        let turn = AtomicU32::new(0);
        thread::scope(|scope| {
            for me in 0..THREADS {
                let (lot, turn) = (&lot, &turn);
                scope.spawn(move || {
                    loop {
                        let now = turn.load(Ordering::SeqCst);
                        if now >= TURNS {
                            return;
                        }
                        if now % THREADS == me {
                            turn.store(now + 1, Ordering::SeqCst);
                            lot.notify(0, u32::MAX);
                        } else {
                            let unchanged = || turn.load(Ordering::SeqCst) == now;
                            let _ = lot.wait(0, unchanged, None, never(&mut || Ok(())));
                        }
                    }
                });
            }
        });
        assert_eq!(turn.load(Ordering::SeqCst), TURNS);
        assert!(lot.lock().is_empty());
    }

    /// As many waits end with `Ok` as notifications say that they woke, however
    /// close a notification comes to the end of the time.
    #[test]
    fn notifications_are_counted_right_beside_timeouts() {
        let lot = ParkingLot::default();
        let (woken, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        const THREADS: usize = 4;
        let mut notified = 0;
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (lot, woken, done) = (&lot, &woken, &done);
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let timeout = Duration::from_micros((number as u64 + round) % 60);
                        if wait(lot, round % 2, Some(timeout)) == WaitResult::Ok {
                            woken.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
            let mut address = 0;
            while done.load(Ordering::SeqCst) < THREADS {
                notified += lot.notify(address % 2, 1 + address as u32 % 3) as usize;
                address += 1;
            }
        });
        assert_eq!(woken.load(Ordering::SeqCst), notified);
        assert!(lot.lock().is_empty());
    }
}
