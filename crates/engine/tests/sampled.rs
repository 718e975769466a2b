//! Traps under a sampler: a timer interrupts every thread ten thousand times a
//! second, on its alternate stack, while programs trap at every depth. No
//! backtrace may have a frame too many or too few, and nothing may crash,
//! whatever stack signals arrive on.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmprof_engine::*;

/// Microseconds between two samples of a thread.
const PERIOD: i64 = 100;
/// Stack that the handler uses itself, beside the 3 KiB and more that the kernel
/// stores there.
const HANDLER_BYTES: usize = 2048;

static SAMPLES: AtomicUsize = AtomicUsize::new(0);
static ON_ALTERNATE_STACK: AtomicUsize = AtomicUsize::new(0);

extern "C" fn sample(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let mut bytes = [0u8; HANDLER_BYTES];
    for at in (0..HANDLER_BYTES).step_by(64) {
        // SAFETY: inside the array; a volatile store is not optimised away.
        unsafe { bytes.as_mut_ptr().add(at).write_volatile(1) };
    }
    // SAFETY: reads the setting, which a handler may.
    let on_alternate = unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &mut stack) == 0
            && stack.ss_flags & libc::SS_ONSTACK != 0
    };
    SAMPLES.fetch_add(1, Ordering::Relaxed);
    ON_ALTERNATE_STACK.fetch_add(usize::from(on_alternate), Ordering::Relaxed);
}

fn install_handler() {
    // SAFETY: the handler does only what a handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = sample as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        assert_eq!(libc::sigaction(libc::SIGPROF, &action, std::ptr::null_mut()), 0);
    }
}

/// A timer of the current thread that sends it `SIGPROF`, until it is dropped.
struct Timer(libc::timer_t);

impl Timer {
    fn start() -> Timer {
        // SAFETY: the structures are filled in as the calls want them.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_signo = libc::SIGPROF;
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer: libc::timer_t = std::mem::zeroed();
            let created = libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer);
            assert_eq!(created, 0, "a timer");
            let period = libc::timespec { tv_sec: 0, tv_nsec: PERIOD * 1000 };
            let every = libc::itimerspec { it_interval: period, it_value: period };
            assert_eq!(libc::timer_settime(timer, 0, &every, std::ptr::null_mut()), 0);
            Timer(timer)
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the timer is this thread's and was not deleted.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Recurses `$depth` times, then traps as `$way` says.
const WAT: &str = r#"(module (memory 1)
    (func $trap (param $way i32) (result i32)
        (if (i32.eq (local.get $way) (i32.const 0)) (then (unreachable)))
        (if (i32.eq (local.get $way) (i32.const 1))
            (then (return (i32.load (i32.const 0x7fffffff)))))
        (if (i32.eq (local.get $way) (i32.const 2))
            (then (return (i32.div_u (i32.const 1) (i32.sub (local.get $way) (i32.const 2))))))
        (i32.trunc_f64_s (f64.const nan)))
    (func $down (export "down") (param $depth i32) (param $way i32) (result i32)
        (if (i32.eqz (local.get $depth)) (then (return (call $trap (local.get $way)))))
        (i32.add
            (call $down (i32.sub (local.get $depth) (i32.const 1)) (local.get $way))
            (i32.const 1)))
    (func $forever (export "forever") (result i32) (i32.add (call $forever) (i32.const 1))))"#;

const WAYS: [TrapCode; 4] = [
    TrapCode::Unreachable,
    TrapCode::MemoryOutOfBounds,
    TrapCode::IntegerDivideByZero,
    TrapCode::InvalidConversionToInteger,
];

/// Traps many times at many depths, and checks every backtrace.
fn trap_at_every_depth(strategy: Strategy) {
    let engine = Engine::new(Config::new().strategy(strategy)).expect("an engine");
    let module = Module::new(&engine, WAT).expect("valid");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
    let down = instance.get_typed_func::<(i32, i32), i32>(&mut store, "down").expect("exported");
    let forever = instance.get_typed_func::<(), i32>(&mut store, "forever").expect("exported");
    for round in 0..1500i32 {
        let (depth, way) = (round * 37 % 1000, round % 4);
        let error = down.call(&mut store, (depth, way)).unwrap_err();
        let trap = error.trap().expect("a trap");
        assert_eq!(trap.code, WAYS[way as usize]);
        let names = trap.backtrace.frames().iter().map(|frame| frame.function_index().0);
        let expected = std::iter::once(0).chain((0..=depth).map(|_| 1));
        assert!(names.eq(expected), "{depth}: {}", trap.backtrace);
        if round % 300 == 0 {
            let error = forever.call(&mut store, ()).unwrap_err();
            let trap = error.trap().expect("a trap");
            assert_eq!(trap.code, TrapCode::StackOverflow);
            assert!(trap.backtrace.frames().iter().all(|frame| frame.function_index().0 == 2));
        }
    }
}

/// Has signals of this thread arrive on a stack of `size` bytes, instead of the
/// one that the engine gives a thread at its first call.
fn with_signal_stack(size: usize, run: impl FnOnce()) {
    trap_once();
    let mut memory = vec![0u8; size];
    let mut before = Cell::new(libc::stack_t {
        ss_sp: std::ptr::null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    });
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: size };
    // SAFETY: the memory outlives its use: the stack from before is put back.
    assert_eq!(unsafe { libc::sigaltstack(&stack, before.get_mut()) }, 0);
    run();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::sigaltstack(before.get_mut(), std::ptr::null_mut()) }, 0);
    drop(memory);
}

fn trap_once() {
    let engine = Engine::new(Config::new()).expect("an engine");
    let module = Module::new(&engine, WAT).expect("valid");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
    let down = instance.get_typed_func::<(i32, i32), i32>(&mut store, "down").expect("exported");
    assert!(down.call(&mut store, (3, 1)).is_err());
}

#[test]
fn traps_survive_ten_thousand_samples_a_second() {
    install_handler();
    // SAFETY: asks for a constant.
    let smallest = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    // What threads usually come with, if the processor's registers fit into it.
    let usual = 8192.max(smallest + HANDLER_BYTES + 2048);
    let threads: Vec<_> = [None, Some(usual), Some(1 << 20)]
        .into_iter()
        .flat_map(|size| [(size, Strategy::Optimized), (size, Strategy::Fast)])
        .map(|(size, strategy)| {
            std::thread::spawn(move || {
                let run = || {
                    let _timer = Timer::start();
                    trap_at_every_depth(strategy);
                };
                match size {
                    None => run(),
                    Some(size) => with_signal_stack(size, run),
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let samples = SAMPLES.load(Ordering::Relaxed);
    assert!(samples > 100, "only {samples} samples");
    // The first one or two of a thread may come before its first call.
    assert!(ON_ALTERNATE_STACK.load(Ordering::Relaxed) + 100 > samples);
}
