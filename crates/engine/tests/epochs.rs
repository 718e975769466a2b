//! Interruption by epochs: whatever runs is stopped, by whoever counts, and
//! only where that was asked for.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use wasmprof_engine::*;

/// Programs that never end, each in its own way. All have a function `run`.
const ENDLESS: &[(&str, &str)] = &[
    ("an empty loop", r#"(module (func $run (export "run") (loop (br 0))))"#),
    (
        "a loop with a condition",
        r#"(module (func $run (export "run") (loop (br_if 0 (i32.const 1)))))"#,
    ),
    (
        "a loop with a parameter",
        r#"(module (func $run (export "run")
            (i32.const 0)
            (loop (param i32) (i32.add (i32.const 1)) (br 0))
            (unreachable)))"#,
    ),
    (
        "loops in loops",
        r#"(module (func $run (export "run") (local $i i32)
            (loop $outer
                (local.set $i (i32.const 100))
                (loop $inner
                    (local.set $i (i32.sub (local.get $i) (i32.const 1)))
                    (br_if $inner (local.get $i)))
                (br $outer))))"#,
    ),
    (
        "a loop by a table",
        r#"(module (func $run (export "run") (local $i i32)
            (loop $a (loop $b
                (local.set $i (i32.xor (local.get $i) (i32.const 1)))
                (br_table $a $b (local.get $i))))))"#,
    ),
    (
        "a loop that stores",
        r#"(module (memory 1) (global $g (mut i32) (i32.const 0))
            (func $run (export "run")
                (loop
                    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                    (global.set $g (i32.load (i32.const 0)))
                    (br 0))))"#,
    ),
    ("a tail call of itself", r#"(module (func $run (export "run") (return_call $run)))"#),
    (
        "tail calls of each other",
        r#"(module
            (func $run (export "run") (return_call $other (i32.const 1)))
            (func $other (param i32) (return_call $run)))"#,
    ),
    (
        "a tail call through a table",
        r#"(module (type $t (func)) (table 1 funcref) (elem (i32.const 0) $run)
            (func $run (export "run") (return_call_indirect (type $t) (i32.const 0))))"#,
    ),
    (
        "calls that come back",
        r#"(module
            (func $down (param i32)
                (if (local.get 0)
                    (then
                        (call $down (i32.sub (local.get 0) (i32.const 1)))
                        (call $down (i32.sub (local.get 0) (i32.const 1))))))
            (func $run (export "run") (call $down (i32.const 100))))"#,
    ),
];

fn config(strategy: Strategy) -> Config {
    Config::new().epoch_interruption(true).strategy(strategy)
}

fn engine() -> Engine {
    Engine::new(config(Strategy::Optimized)).expect("an engine")
}

fn code(error: &Error) -> Option<TrapCode> {
    error.trap().map(|trap| trap.code)
}

/// Does what must end on a thread of its own: a program that is not interrupted
/// fails the test rather than keep it waiting.
fn ends<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(run()));
    receiver.recv_timeout(Duration::from_secs(60)).expect("it was not interrupted")
}

#[test]
fn every_program_is_interrupted_from_another_thread() -> Result<(), Error> {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        for guarded in [true, false] {
            let engine = Engine::new(config(strategy).guarded_memories(guarded))?;
            for (what, wat) in ENDLESS {
                let module = Module::new(&engine, wat)?;
                let mut store = Store::new(&engine, ());
                store.set_epoch_deadline(1);
                let instance = Instance::new(&mut store, &module, &[])?;
                let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
                let counting = engine.clone();
                let counter = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(5));
                    counting.increment_epoch();
                });
                let error = ends(move || run.call(&mut store, ()).unwrap_err());
                assert_eq!(code(&error), Some(TrapCode::Interrupt), "{what}, {strategy:?}");
                assert_eq!(error.to_string(), "wasm trap: interrupt");
                assert!(!error.backtrace().expect("a trap").frames().is_empty(), "{what}");
                counter.join().expect("no panic");
            }
        }
    }
    Ok(())
}

/// Code that is not to be interrupted is as it was before there were epochs.
#[test]
fn without_it_there_is_not_one_instruction() -> Result<(), Error> {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let size = |interruptible: bool, wat: &str| -> Result<usize, Error> {
            let config = Config::new().strategy(strategy).epoch_interruption(interruptible);
            let module = Module::new(&Engine::new(config)?, wat)?;
            Ok(module.symbols().iter().map(|symbol| symbol.size as usize).sum())
        };
        // A frame, and a jump to itself: push, mov, jmp.
        let (_, empty_loop) = ENDLESS[0];
        assert!(size(false, empty_loop)? <= 4 + 5, "{strategy:?}");
        assert!(size(true, empty_loop)? > 20, "{strategy:?}");
        for (what, wat) in ENDLESS {
            assert!(size(false, wat)? + 15 < size(true, wat)?, "{what}, {strategy:?}");
        }
    }
    Ok(())
}

#[test]
fn without_it_deadlines_mean_nothing() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let wat = r#"(module (func (export "f") (param i32) (result i32)
        (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0)))
        (local.get 0)))"#;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    engine.increment_epoch();
    assert_eq!(f.call(&mut store, 1000)?, 0);
    Ok(())
}

#[test]
fn a_new_store_is_interrupted_at_once() -> Result<(), Error> {
    let engine = engine();
    let module = Module::new(&engine, r#"(module (func $start) (start $start))"#)?;
    let mut store = Store::new(&engine, ());
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert_eq!(code(&error), Some(TrapCode::Interrupt));
    store.set_epoch_deadline(1);
    Instance::new(&mut store, &module, &[])?;
    engine.increment_epoch();
    assert!(Instance::new(&mut store, &module, &[]).is_err());
    store.set_epoch_deadline(u64::MAX);
    for _ in 0..1000 {
        engine.increment_epoch();
    }
    Instance::new(&mut store, &module, &[])?;
    Ok(())
}

/// Calls `host`, then loops for ever.
const CALLS_AND_LOOPS: &str = r#"(module
    (import "" "host" (func $host))
    (func $loops (export "loops") (loop (br 0)))
    (func $run (export "run") (call $host) (loop (br 0))))"#;

#[test]
fn a_host_function_interrupts_its_caller() -> Result<(), Error> {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine = Engine::new(config(strategy))?;
        let module = Module::new(&engine, CALLS_AND_LOOPS)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("", "host", |caller: Caller<'_, ()>| caller.engine().increment_epoch())?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let instance = linker.instantiate(&mut store, &module)?;
        let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
        let error = ends(move || run.call(&mut store, ()).unwrap_err());
        assert_eq!(code(&error), Some(TrapCode::Interrupt));
    }
    Ok(())
}

/// A program within a program has the same deadline; what a host function sets
/// holds when the call is over, too.
#[test]
fn a_deadline_belongs_to_the_store() -> Result<(), Error> {
    let engine = engine();
    let module = Module::new(&engine, CALLS_AND_LOOPS)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("", "host", |mut caller: Caller<'_, ()>| -> Result<(), Error> {
        let loops = caller.get_export("loops").and_then(Extern::into_func).expect("exported");
        let loops = loops.typed::<(), ()>(&caller)?;
        let mut interrupted = || {
            caller.engine().increment_epoch();
            code(&loops.call(&mut caller, ()).unwrap_err()) == Some(TrapCode::Interrupt)
        };
        assert!(interrupted());
        caller.as_context_mut().set_epoch_deadline(1);
        // This time the deadline is one tick away.
        let counting = caller.engine().clone();
        let counter = std::thread::spawn(move || counting.increment_epoch());
        assert_eq!(code(&loops.call(&mut caller, ()).unwrap_err()), Some(TrapCode::Interrupt));
        counter.join().expect("no panic");
        caller.as_context_mut().set_epoch_deadline(10);
        Err(Error::new("enough"))
    })?;
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(1);
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    let (error, store) = ends(move || (run.call(&mut store, ()).unwrap_err(), store));
    assert_eq!(error.to_string(), "enough");
    let mut store = store;
    for _ in 0..9 {
        engine.increment_epoch();
    }
    // Nine of ten ticks are over: a function still runs.
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.to_string(), "enough");
    Ok(())
}

#[test]
fn a_callback_extends_the_deadline_or_ends_the_program() -> Result<(), Error> {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine = Engine::new(config(strategy))?;
        for (what, wat) in ENDLESS {
            let module = Module::new(&engine, wat)?;
            let mut store = Store::new(&engine, 0u32);
            let mut own = 0;
            store.epoch_deadline_callback(move |mut store| {
                own += 1;
                *store.data_mut() += 1;
                assert_eq!(own, *store.data());
                match own {
                    1000 => Err(Error::new("enough")),
                    _ => Ok(UpdateDeadline::Continue(0)),
                }
            });
            let instance = Instance::new(&mut store, &module, &[])?;
            let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
            let (error, calls) =
                ends(move || (run.call(&mut store, ()).unwrap_err(), store.into_data()));
            assert_eq!((error.to_string().as_str(), calls), ("enough", 1000), "{what}");
            assert!(!error.backtrace().expect("it ran").frames().is_empty(), "{what}");
        }
    }
    Ok(())
}

#[test]
fn a_callback_may_panic_and_is_there_the_next_time() -> Result<(), Error> {
    let engine = engine();
    let mut store = Store::new(&engine, 0);
    store.epoch_deadline_callback(|mut store| {
        *store.data_mut() += 1;
        panic_any(*store.data())
    });
    let instance = Instance::new(&mut store, &Module::new(&engine, ENDLESS[0].1)?, &[])?;
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    for count in 1..4 {
        let payload =
            catch_unwind(AssertUnwindSafe(|| run.call(&mut store, ()))).expect_err("it panics");
        assert_eq!(payload.downcast_ref(), Some(&count));
    }
    store.epoch_deadline_trap();
    assert_eq!(code(&run.call(&mut store, ()).unwrap_err()), Some(TrapCode::Interrupt));
    Ok(())
}

/// The callback is given once: a program that it runs itself traps.
#[test]
fn a_program_within_a_callback_traps() -> Result<(), Error> {
    let engine = engine();
    let mut store = Store::new(&engine, None::<TypedFunc<(), ()>>);
    store.epoch_deadline_callback(|mut store| {
        let run = store.data().expect("it is known");
        let error = run.call(&mut store, ()).unwrap_err();
        assert_eq!(code(&error), Some(TrapCode::Interrupt));
        Err(Error::new("both are over"))
    });
    let instance = Instance::new(&mut store, &Module::new(&engine, ENDLESS[0].1)?, &[])?;
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    *store.data_mut() = Some(run);
    let error = ends(move || run.call(&mut store, ()).unwrap_err());
    assert_eq!(error.to_string(), "both are over");
    Ok(())
}

static COUNTED: OnceLock<Engine> = OnceLock::new();
static HANDLED: AtomicBool = AtomicBool::new(false);

extern "C" fn count(_: libc::c_int) {
    if let Some(engine) = COUNTED.get() {
        engine.increment_epoch();
    }
    HANDLED.store(true, Ordering::Relaxed);
}

/// The usual watchdog: a timer whose signal handler counts.
#[test]
fn a_signal_handler_may_count() -> Result<(), Error> {
    let engine = COUNTED.get_or_init(engine);
    // SAFETY: the handler only increments, and the alarm is in this process.
    unsafe {
        let handler = count as extern "C" fn(libc::c_int);
        assert_ne!(libc::signal(libc::SIGALRM, handler as usize), libc::SIG_ERR);
        let in_a_moment = libc::timeval { tv_sec: 0, tv_usec: 5000 };
        let once = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: once, it_value: in_a_moment };
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(1);
    let instance = Instance::new(&mut store, &Module::new(engine, ENDLESS[0].1)?, &[])?;
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    let error = ends(move || run.call(&mut store, ()).unwrap_err());
    assert_eq!(code(&error), Some(TrapCode::Interrupt));
    assert!(HANDLED.load(Ordering::Relaxed));
    Ok(())
}

/// A program that waits for a notification that never comes can be interrupted,
/// too, and a callback may have it wait on.
#[test]
fn waits_are_interrupted() {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine =
            Engine::new(Config::new().strategy(strategy).epoch_interruption(true)).unwrap();
        let wat = r#"(module
            (memory 1 1 shared)
            (func (export "wait") (result i32)
                (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))"#;
        let module = Module::new(&engine, wat).unwrap();
        let mut store = Store::new(&engine, 0);
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let wait = instance.get_typed_func::<(), i32>(&mut store, "wait").unwrap();
        let ticking = engine.clone();
        let (stop, stopped) = mpsc::channel::<()>();
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(1)).is_err() {
                ticking.increment_epoch();
            }
        });
        let error = wait.call(&mut store, ()).unwrap_err();
        assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::Interrupt));
        assert_eq!(error.backtrace().unwrap().frames().len(), 1);

        store.epoch_deadline_callback(|mut store| {
            *store.data_mut() += 1;
            match *store.data() {
                3 => Err(Error::new("waited long enough")),
                4 => panic!("a panic while waiting"),
                _ => Ok(UpdateDeadline::Continue(1)),
            }
        });
        store.set_epoch_deadline(1);
        let error = wait.call(&mut store, ()).unwrap_err();
        assert_eq!(error.to_string(), "waited long enough");
        let again = AssertUnwindSafe(|| wait.call(&mut store, ()));
        assert!(catch_unwind(again).is_err());
        stop.send(()).unwrap();
        ticker.join().unwrap();
    }
}
