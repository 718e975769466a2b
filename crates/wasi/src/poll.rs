//! Waiting: `poll_oneoff` for clocks and for descriptors that become ready.
//!
//! The subscriptions are read from guest memory as often as they are needed and never copied; what
//! is allocated is an entry for each open descriptor that the host has to watch.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::ClockId;

use crate::clock::{clock, now};
use crate::ctx::WasiCtx;
use crate::descriptor::{Descriptor, Handle, Table};
use crate::errno::Errno;
use crate::event::{Event, EventType, Request, Subscription};
use crate::memory::{GuestMemory, element};
use crate::rights::Rights;
use crate::types::{Edition, FileType};

/// The subscriptions of a call, in guest memory.
#[derive(Clone, Copy)]
struct Subscriptions {
    address: u32,
    count: u32,
    edition: Edition,
}

impl Subscriptions {
    fn get(&self, memory: &GuestMemory<'_>, index: u32) -> Result<Subscription, Errno> {
        let address = element(self.address, index, Subscription::size(self.edition))?;
        Subscription::read(memory, address, self.edition)
    }
}

/// When a clock subscription is due: a clock, and its time.
struct Deadline {
    clock: ClockId,
    time: u64,
}

/// The clocks that can be waited for, as they stood when the call began.
struct Start {
    realtime: u64,
    monotonic: u64,
}

impl Start {
    fn deadline(
        &self,
        id: u32,
        timeout: u64,
        absolute: Result<bool, Errno>,
    ) -> Result<Deadline, Errno> {
        let (clock, start) = match clock(id)? {
            clock @ ClockId::Realtime => (clock, self.realtime),
            clock @ ClockId::Monotonic => (clock, self.monotonic),
            // Nothing wakes a caller when a processor has worked so long.
            _ => return Err(Errno::NotSup),
        };
        let time = if absolute? { timeout } else { start.saturating_add(timeout) };
        Ok(Deadline { clock, time })
    }
}

/// What is to be done for a subscription to a descriptor.
enum Interest<'a> {
    /// The host is asked.
    Watch(BorrowedFd<'a>, PollFlags),
    /// It never has to wait. The number of bytes is what is left to read.
    Ready(u64),
}

fn interest(table: &Table, fd: u32, write: bool) -> Result<Interest<'_>, Errno> {
    let descriptor = table.get(fd)?;
    let right = if write { Rights::FD_WRITE } else { Rights::FD_READ };
    descriptor.need_content(right)?;
    descriptor.need(Rights::POLL_FD_READWRITE)?;
    Ok(match (&descriptor.handle, descriptor.handle.host()) {
        (Handle::Source { bytes, position }, _) => Interest::Ready((bytes.len() - position) as u64),
        (_, Some(host)) if descriptor.filetype != FileType::RegularFile => {
            Interest::Watch(host, if write { PollFlags::OUT } else { PollFlags::IN })
        }
        _ => Interest::Ready(if write { 0 } else { rest_of_file(descriptor) }),
    })
}

fn rest_of_file(descriptor: &Descriptor) -> u64 {
    let rest = |fd: BorrowedFd<'_>| {
        let size = rustix::fs::fstat(fd).ok()?.st_size as u64;
        Some(size.saturating_sub(rustix::fs::tell(fd).ok()?))
    };
    descriptor.handle.host().and_then(rest).unwrap_or(0)
}

/// The descriptors that the host watches, once in each direction.
#[derive(Default)]
struct Watched<'a> {
    fds: Vec<PollFd<'a>>,
    /// What each of `fds` is watched for.
    keys: Vec<(RawFd, PollFlags)>,
}

impl<'a> Watched<'a> {
    fn add(&mut self, fd: BorrowedFd<'a>, flags: PollFlags) {
        let key = (fd.as_raw_fd(), flags);
        if !self.keys.contains(&key) {
            self.keys.push(key);
            self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
    }

    /// What the host has seen of a descriptor that was added with these flags.
    fn seen(&self, fd: BorrowedFd<'_>, flags: PollFlags) -> PollFlags {
        let index = self.keys.iter().position(|key| *key == (fd.as_raw_fd(), flags));
        index.map_or(PollFlags::empty(), |index| self.fds[index].revents())
    }
}

pub(crate) fn poll_oneoff(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    (address, events, count, stored): (u32, u32, u32, u32),
    edition: Edition,
) -> Result<(), Errno> {
    if count == 0 {
        return Err(Errno::Inval);
    }
    memory.check_array(address, count, Subscription::size(edition))?;
    memory.check_array(events, count, Event::SIZE)?;
    memory.range(stored, 4)?;
    let subscriptions = Subscriptions { address, count, edition };
    let start = Start { realtime: now(ClockId::Realtime), monotonic: now(ClockId::Monotonic) };
    loop {
        // Asked for anew each time: what the host has seen is kept with what it watches.
        let (mut watched, timeout) = survey(&ctx.table, memory, subscriptions, &start)?;
        match poll(&mut watched.fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let happened = report(&ctx.table, memory, subscriptions, &start, &watched, events)?;
        if happened > 0 {
            return memory.write_u32(stored, happened);
        }
    }
}

/// Finds what the host has to watch, and for how long: not at all when an event is already there.
fn survey<'a>(
    table: &'a Table,
    memory: &GuestMemory<'_>,
    subscriptions: Subscriptions,
    start: &Start,
) -> Result<(Watched<'a>, Option<Timespec>), Errno> {
    let mut watched = Watched::default();
    let mut wait: Option<u64> = None;
    for index in 0..subscriptions.count {
        let left = match subscriptions.get(memory, index)?.request {
            Request::Clock { id, timeout, absolute } => {
                match start.deadline(id, timeout, absolute) {
                    Ok(deadline) => deadline.time.saturating_sub(now(deadline.clock)),
                    Err(_) => 0,
                }
            }
            Request::Ready { fd, write } => match interest(table, fd, write) {
                Ok(Interest::Watch(fd, flags)) => {
                    watched.add(fd, flags);
                    continue;
                }
                Ok(Interest::Ready(_)) | Err(_) => 0,
            },
        };
        wait = Some(wait.map_or(left, |wait| wait.min(left)));
    }
    let timeout = wait.map(|nanos| Timespec {
        tv_sec: (nanos / 1_000_000_000) as i64,
        tv_nsec: (nanos % 1_000_000_000) as _,
    });
    Ok((watched, timeout))
}

/// Writes an event for each subscription that has something to say, and counts them.
fn report(
    table: &Table,
    memory: &mut GuestMemory<'_>,
    subscriptions: Subscriptions,
    start: &Start,
    watched: &Watched<'_>,
    events: u32,
) -> Result<u32, Errno> {
    let mut happened = 0;
    for index in 0..subscriptions.count {
        let Subscription { userdata, request } = subscriptions.get(memory, index)?;
        let event = match request {
            Request::Clock { id, timeout, absolute } => {
                let outcome = match start.deadline(id, timeout, absolute) {
                    Ok(deadline) if now(deadline.clock) < deadline.time => continue,
                    result => result.map(drop),
                };
                Event { userdata, outcome, kind: EventType::Clock, nbytes: 0, hangup: false }
            }
            Request::Ready { fd, write } => {
                let kind = if write { EventType::FdWrite } else { EventType::FdRead };
                let (outcome, nbytes, hangup) = match interest(table, fd, write) {
                    Ok(Interest::Ready(nbytes)) => (Ok(()), nbytes, false),
                    Ok(Interest::Watch(fd, flags)) => {
                        let seen = watched.seen(fd, flags);
                        let ended = seen & (PollFlags::HUP | PollFlags::ERR);
                        if seen.contains(PollFlags::NVAL) {
                            (Err(Errno::BadF), 0, false)
                        } else if seen.intersects(flags) || !ended.is_empty() {
                            let waiting = if write { 0 } else { waiting(fd) };
                            (Ok(()), waiting, !ended.is_empty())
                        } else {
                            continue;
                        }
                    }
                    Err(errno) => (Err(errno), 0, false),
                };
                Event { userdata, outcome, kind, nbytes, hangup }
            }
        };
        event.write(memory, element(events, happened, Event::SIZE)?)?;
        happened += 1;
    }
    Ok(happened)
}

/// How many bytes a stream holds ready, where the host can tell.
fn waiting(fd: BorrowedFd<'_>) -> u64 {
    rustix::io::ioctl_fionread(fd).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{Input, WasiCtxBuilder};

    /// Writes clock subscription `index` at address 0.
    fn clock_subscription(
        memory: &mut GuestMemory<'_>,
        index: u32,
        id: u32,
        nanos: u64,
        flags: u32,
    ) {
        let at = index * 48;
        memory.write_u64(at, 100 + u64::from(index)).unwrap();
        memory.write_u32(at + 8, 0).unwrap();
        memory.write_u32(at + 16, id).unwrap();
        memory.write_u64(at + 24, nanos).unwrap();
        memory.write_u32(at + 40, flags).unwrap();
    }

    fn ready_subscription(memory: &mut GuestMemory<'_>, index: u32, fd: u32, write: bool) {
        let at = index * 48;
        memory.write_u64(at, 100 + u64::from(index)).unwrap();
        memory.write_u32(at + 8, if write { 2 } else { 1 }).unwrap();
        memory.write_u32(at + 16, fd).unwrap();
    }

    /// Polls, and gives user data, errno, type and number of bytes of each event.
    fn events(
        ctx: &mut WasiCtx,
        memory: &mut GuestMemory<'_>,
        count: u32,
    ) -> Vec<(u64, u16, u8, u64)> {
        poll_oneoff(ctx, memory, (0, 512, count, 1000), Edition::Preview1).unwrap();
        let field = |index: u32| {
            let at = 512 + index * 32;
            (
                memory.read_u64(at).unwrap(),
                memory.read_u16(at + 8).unwrap(),
                memory.read_u8(at + 10).unwrap(),
                memory.read_u64(at + 16).unwrap(),
            )
        };
        (0..memory.read_u32(1000).unwrap()).map(field).collect()
    }

    #[test]
    fn the_earlier_clock_is_waited_for() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = vec![0; 1024];
        let mut memory = GuestMemory::new(&mut bytes);
        clock_subscription(&mut memory, 0, 1, 60_000_000_000, 0);
        clock_subscription(&mut memory, 1, 0, 20_000_000, 0);
        let start = Instant::now();
        assert_eq!(events(&mut ctx, &mut memory, 2), [(101, 0, 0, 0)]);
        assert!((20..10_000).contains(&start.elapsed().as_millis()));

        let soon = now(ClockId::Monotonic) + 10_000_000;
        clock_subscription(&mut memory, 0, 1, soon, 1);
        assert_eq!(events(&mut ctx, &mut memory, 1), [(100, 0, 0, 0)]);
        assert!(now(ClockId::Monotonic) >= soon);
    }

    #[test]
    fn what_cannot_be_waited_for_is_an_event_with_an_error() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = vec![0; 1024];
        let mut memory = GuestMemory::new(&mut bytes);
        clock_subscription(&mut memory, 0, 2, 1, 0);
        clock_subscription(&mut memory, 1, 9, 1, 0);
        clock_subscription(&mut memory, 2, 1, u64::MAX, 2);
        ready_subscription(&mut memory, 3, 9, false);
        ready_subscription(&mut memory, 4, 0, true);
        clock_subscription(&mut memory, 5, 1, u64::MAX, 0);
        assert_eq!(
            events(&mut ctx, &mut memory, 6),
            [
                (100, Errno::NotSup as u16, 0, 0),
                (101, Errno::Inval as u16, 0, 0),
                (102, Errno::Inval as u16, 0, 0),
                (103, Errno::BadF as u16, 1, 0),
                (104, Errno::NotCapable as u16, 2, 0),
            ]
        );
        memory.write_u32(8, 3).unwrap();
        let poll =
            |ctx: &mut _, memory: &mut _, call| poll_oneoff(ctx, memory, call, Edition::Preview1);
        assert_eq!(poll(&mut ctx, &mut memory, (0, 512, 1, 1000)), Err(Errno::Inval));
        assert_eq!(poll(&mut ctx, &mut memory, (0, 512, 0, 1000)), Err(Errno::Inval));
        assert_eq!(poll(&mut ctx, &mut memory, (1000, 512, 1, 1000)), Err(Errno::Fault));
        assert_eq!(poll(&mut ctx, &mut memory, (0, 1000, 1, 1000)), Err(Errno::Fault));
        assert_eq!(poll(&mut ctx, &mut memory, (0, 512, u32::MAX, 1000)), Err(Errno::Fault));
    }

    #[test]
    fn a_pipe_is_ready_when_it_has_bytes() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let input = Input::File(File::from(OwnedFd::from(reader)));
        let mut ctx = WasiCtxBuilder::new().stdin(input).build().unwrap();
        let mut bytes = vec![0; 1024];
        let mut memory = GuestMemory::new(&mut bytes);
        ready_subscription(&mut memory, 0, 0, false);
        clock_subscription(&mut memory, 1, 1, 5_000_000, 0);
        assert_eq!(events(&mut ctx, &mut memory, 2), [(101, 0, 0, 0)]);

        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            std::io::Write::write_all(&mut writer, b"abc").unwrap();
            writer
        });
        assert_eq!(events(&mut ctx, &mut memory, 1), [(100, 0, 1, 3)]);
        drop(thread.join().unwrap());
        // Standard output goes nowhere here, and that is always ready.
        ready_subscription(&mut memory, 1, 1, true);
        assert_eq!(events(&mut ctx, &mut memory, 2), [(100, 0, 1, 3), (101, 0, 2, 0)]);
        assert_eq!(memory.read_u8(512 + 24), Ok(1), "the writer has hung up");
    }
}
