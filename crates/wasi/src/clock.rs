//! Clocks: their time and their resolution.
//!
//! Waiting for a clock is in `poll.rs`.

use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::types::timestamp;

/// witx `$clockid`.
pub(crate) fn clock(id: u32) -> Result<ClockId, Errno> {
    match id {
        0 => Ok(ClockId::Realtime),
        1 => Ok(ClockId::Monotonic),
        2 => Ok(ClockId::ProcessCPUTime),
        3 => Ok(ClockId::ThreadCPUTime),
        _ => Err(Errno::Inval),
    }
}

/// The time of a clock, in nanoseconds.
pub(crate) fn now(clock: ClockId) -> u64 {
    nanoseconds(clock_gettime(clock))
}

fn nanoseconds(time: Timespec) -> u64 {
    timestamp(time.tv_sec, time.tv_nsec)
}

pub(crate) fn clock_res_get(
    _: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    id: u32,
    resolution: u32,
) -> Result<(), Errno> {
    let value = nanoseconds(clock_getres(clock(id)?));
    memory.write_u64(resolution, value.max(1))
}

/// The precision that the guest asks for is not needed: every clock is read as exactly as it can.
pub(crate) fn clock_time_get(
    _: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    id: u32,
    _precision: u64,
    time: u32,
) -> Result<(), Errno> {
    memory.write_u64(time, now(clock(id)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WasiCtxBuilder;

    #[test]
    fn the_four_clocks_run() {
        let mut ctx = WasiCtxBuilder::new().build().unwrap();
        let mut bytes = [0; 16];
        let mut memory = GuestMemory::new(&mut bytes);
        for id in 0..4 {
            clock_res_get(&mut ctx, &mut memory, id, 0).unwrap();
            assert!((1..=1_000_000_000).contains(&memory.read_u64(0).unwrap()));
            clock_time_get(&mut ctx, &mut memory, id, 0, 0).unwrap();
            clock_time_get(&mut ctx, &mut memory, id, 0, 8).unwrap();
            let (first, second) = (memory.read_u64(0).unwrap(), memory.read_u64(8).unwrap());
            assert!(0 < first && first <= second, "clock {id}: {first}, {second}");
        }
        assert_eq!(clock_time_get(&mut ctx, &mut memory, 4, 0, 0), Err(Errno::Inval));
        assert_eq!(clock_res_get(&mut ctx, &mut memory, 4, 0), Err(Errno::Inval));
        assert_eq!(clock_time_get(&mut ctx, &mut memory, 0, 0, 9), Err(Errno::Fault));
    }
}
