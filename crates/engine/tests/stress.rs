//! Many threads at once, for a bounded time: some make and drop engines, modules,
//! stores and instances, others run code that traps, throws, grows, is
//! interrupted or fails in the host; each looks after its own results.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wasmprof_engine::*;

/// A module whose functions end in all ways. `nonce` makes its code another.
fn source(nonce: u64) -> String {
    format!(
        r#"(module
        (import "" "host" (func $host (param i32) (result i64)))
        (tag $e (export "e") (param i64 i32))
        (memory (export "memory") 1 40)
        (table $t 4 100 funcref)
        (type $binary (func (param i64 i64) (result i64)))
        (elem (i32.const 0) $add $host)
        (global $nonce i64 (i64.const {nonce}))
        (func $add (type $binary) (i64.add (local.get 0) (local.get 1)))
        (func $deep (param $n i32) (param $how i32) (result i64)
            (if (i32.eqz (local.get $n)) (then (return (call $end (local.get $how)))))
            (i64.add (i64.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $how))))
        (func $end (param $how i32) (result i64)
            (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
                (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8 (local.get $how)))
                (return (global.get $nonce)))
                (unreachable))
                (return (i64.load (i32.const -8))))
                (return (i64.div_s (i64.const 1) (i64.sub (global.get $nonce) (i64.const {nonce})))))
                (throw $e (global.get $nonce) (local.get $how)))
                (return (call_indirect (type $binary) (i64.const 1) (i64.const 2) (i32.const 1))))
                (return (call_indirect (type $binary) (i64.const 1) (i64.const 2) (i32.const 100))))
                (return (call $host (local.get $how))))
                (loop $l (br $l))
                (unreachable))
        (func (export "run") (param $n i32) (param $how i32) (result i64)
            (call $deep (local.get $n) (local.get $how)))
        ;; Thrown and caught within.
        (func (export "catch") (param $n i32) (result i64) (local $sum i64)
            (loop $again
                (block $h (result i64 i32)
                    (try_table (catch $e $h) (drop (call $deep (i32.const 5) (i32.const 4))))
                    (unreachable))
                (drop)
                (local.set $sum (i64.add (local.get $sum)))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $sum))
        (func (export "sum") (param $n i32) (result i64) (local $sum i64)
            (loop $l
                (local.set $sum (call_indirect (type $binary) (local.get $sum) (i64.extend_i32_u (local.get $n)) (i32.const 0)))
                (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.get $sum))
        (func $endless (export "endless") (result i64) (i64.add (call $endless) (call $endless)))
        (func (export "grow") (result i32) (local $at i32)
            (local.set $at (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)))
            (if (i32.lt_s (local.get $at) (i32.const 0)) (then (return (i32.const -1))))
            (i32.store offset=65532 (local.get $at) (i32.const 17))
            (drop (table.grow (ref.func $add) (i32.const 2)))
            (i32.load offset=65532 (local.get $at))))"#
    )
}

#[derive(Debug)]
struct Failure(u64);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failure {}", self.0)
    }
}

impl std::error::Error for Failure {}

/// A number of its own for every thread and round.
type Data = u64;

fn linker(engine: &Engine) -> Linker<Data> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap("", "host", |caller: Caller<'_, Data>, how: i32| -> Result<i64, Failure> {
            match how {
                7 if caller.data().is_multiple_of(3) => panic_any(Failure(*caller.data())),
                7 => Err(Failure(*caller.data())),
                _ => Ok(-5),
            }
        })
        .expect("a new name");
    linker
}

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// Does one thing with an instance and checks what comes of it. Gives what may
/// be held on to.
fn exercise(
    store: &mut Store<Data>,
    instance: &Instance,
    nonce: u64,
    random: &mut Random,
    interruptible: bool,
) -> Option<Error> {
    if interruptible {
        store.set_epoch_deadline(1_000_000);
    }
    let depth = random.below(50) as i32;
    let mine = *store.data();
    let what = random.below(if interruptible { 13 } else { 12 });
    let how = match what {
        12 => 8,
        what => what as i32,
    };
    let run = instance.get_typed_func::<(i32, i32), i64>(&mut *store, "run").expect("exported");
    let trap = |error: Error, code: TrapCode| {
        assert_eq!(error.trap().expect("a trap").code, code, "{error:?}");
        let frames = error.backtrace().expect("it was running").frames().len();
        assert_eq!(frames, depth as usize + 3, "{error:?}");
        Some(error)
    };
    match what {
        0 => {
            let result = run.call(store, (depth, 0)).expect("no trap");
            assert_eq!(result, nonce as i64 + i64::from(depth));
            None
        }
        1 => trap(run.call(store, (depth, how)).unwrap_err(), TrapCode::Unreachable),
        2 => trap(run.call(store, (depth, how)).unwrap_err(), TrapCode::MemoryOutOfBounds),
        3 => trap(run.call(store, (depth, how)).unwrap_err(), TrapCode::IntegerDivideByZero),
        4 => {
            let error = run.call(&mut *store, (depth, how)).unwrap_err();
            let Error::Exception(exception) = &error else { panic!("{error:?}") };
            assert_eq!(exception.tag(), instance.get_tag(store, "e").expect("exported"));
            assert_eq!(exception.values()[0].i64(), Some(nonce as i64));
            assert_eq!(exception.values()[1].i32(), Some(how));
            Some(error)
        }
        5 => trap(run.call(store, (depth, how)).unwrap_err(), TrapCode::IndirectCallTypeMismatch),
        6 => trap(run.call(store, (depth, how)).unwrap_err(), TrapCode::UndefinedElement),
        7 => match catch_unwind(AssertUnwindSafe(|| run.call(&mut *store, (depth, how)))) {
            Ok(result) => {
                assert!(!mine.is_multiple_of(3));
                let error = result.unwrap_err();
                assert_eq!(error.downcast_ref::<Failure>().expect("it is one").0, mine);
                Some(error)
            }
            Err(panic) => {
                assert!(mine.is_multiple_of(3));
                assert_eq!(panic.downcast_ref::<Failure>().expect("it is one").0, mine);
                None
            }
        },
        12 => {
            // It is interrupted when somebody counts: in the loop at the end, or
            // before that is reached.
            store.set_epoch_deadline(1);
            let error = run.call(store, (depth, how)).unwrap_err();
            assert_eq!(error.trap().expect("a trap").code, TrapCode::Interrupt, "{error:?}");
            let frames = error.backtrace().expect("it was running").frames().len();
            assert!((1..=depth as usize + 3).contains(&frames), "{error:?}");
            Some(error)
        }
        8 => {
            let catch =
                instance.get_typed_func::<i32, i64>(&mut *store, "catch").expect("exported");
            assert_eq!(catch.call(store, 100).expect("no trap"), 100 * nonce as i64);
            None
        }
        9 => {
            let sum = instance.get_typed_func::<i32, i64>(&mut *store, "sum").expect("exported");
            assert_eq!(sum.call(store, 1000).expect("no trap"), 500_500);
            None
        }
        10 => {
            let endless = instance.get_typed_func::<(), i64>(&mut *store, "endless");
            let error = endless.expect("exported").call(store, ()).unwrap_err();
            assert_eq!(error.trap().expect("a trap").code, TrapCode::StackOverflow);
            None
        }
        _ => {
            let memory = instance.get_memory(&mut *store, "memory").expect("exported");
            let before = memory.size(&*store);
            let grow = instance.get_typed_func::<(), i32>(&mut *store, "grow").expect("exported");
            let grown = grow.call(&mut *store, ()).expect("no trap");
            let expected = if before < 40 { (17, before + 1) } else { (-1, 40) };
            assert_eq!((grown, memory.size(&*store)), expected);
            None
        }
    }
}

/// Panics that are meant say nothing.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Failure>() {
                usual(info);
            }
        }));
    });
}

/// Counts epochs until it is dropped.
struct Ticking<'a>(&'a AtomicBool);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn sixteen_threads_use_one_module() {
    quiet();
    for config in [
        Config::new().epoch_interruption(true),
        Config::new().epoch_interruption(true).strategy(Strategy::Fast).guarded_memories(false),
    ] {
        let engine = Engine::new(config).expect("an engine");
        let module = Module::new(&engine, source(11)).expect("valid");
        let linker = linker(&engine);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                    engine.increment_epoch();
                }
            });
            let _ticking = Ticking(&stop);
            let workers: Vec<_> = (0..16u64)
                .map(|id| {
                    let (engine, module, linker) = (&engine, &module, &linker);
                    scope.spawn(move || {
                        let mut random = Random(id);
                        for round in 0..6 {
                            let mut store = Store::new(engine, id * 100 + round);
                            store.set_epoch_deadline(1_000_000);
                            let instance = linker.instantiate(&mut store, module).expect("linked");
                            for _ in 0..40 {
                                exercise(&mut store, &instance, 11, &mut random, true);
                            }
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.join().expect("all was as it should be");
            }
        });
    }
}

#[test]
fn engines_come_and_go_while_others_run() {
    quiet();
    let end = Instant::now() + Duration::from_millis(1500);
    let stays = Engine::new(Config::new()).expect("an engine");
    let module_that_stays = Module::new(&stays, source(3)).expect("valid");
    let rounds = AtomicU64::new(0);
    thread::scope(|scope| {
        // These make and drop everything.
        for id in 0..4u64 {
            let (stays, rounds) = (&stays, &rounds);
            scope.spawn(move || {
                let mut random = Random(id + 77);
                let mut held = Vec::new();
                let mut round = 0;
                while round < 3 || Instant::now() < end {
                    round += 1;
                    let nonce = 1000 * (id + 1) + round;
                    let config = match random.below(3) {
                        0 => Config::new().strategy(Strategy::Fast),
                        1 => Config::new().guarded_memories(false).threads(1),
                        _ => Config::new(),
                    };
                    let new = Engine::new(config).expect("an engine");
                    let engine = if random.below(2) == 0 { stays } else { &new };
                    let module = Module::new(engine, source(nonce)).expect("valid");
                    let linker = linker(engine);
                    let mut stores: Vec<_> = (0..3)
                        .map(|n| {
                            let mut store = Store::new(engine, nonce + n);
                            let instance = linker.instantiate(&mut store, &module).expect("linked");
                            (store, instance)
                        })
                        .collect();
                    // The store keeps the code.
                    drop((module, linker));
                    while let Some((mut store, instance)) = stores.pop() {
                        for _ in 0..10 {
                            held.extend(exercise(&mut store, &instance, nonce, &mut random, false));
                        }
                    }
                    // Some errors stay for much longer than the code.
                    if random.below(4) == 0 {
                        for error in held.drain(..) {
                            let text = format!("{error} {:?}", error.backtrace());
                            assert!(!text.is_empty());
                        }
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // And these run all the time.
        for id in 0..4u64 {
            let (stays, module) = (&stays, &module_that_stays);
            scope.spawn(move || {
                let mut random = Random(id);
                let linker = linker(stays);
                let mut first = true;
                while first || Instant::now() < end {
                    first = false;
                    let mut store = Store::new(stays, id);
                    let instance = linker.instantiate(&mut store, module).expect("linked");
                    for _ in 0..100 {
                        exercise(&mut store, &instance, 3, &mut random, false);
                    }
                }
            });
        }
    });
    assert!(rounds.load(Ordering::Relaxed) >= 12);
}
