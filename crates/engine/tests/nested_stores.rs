//! Stores inside of each other on one thread: a host function of one runs
//! another, five deep. However the innermost ends, each level sees that, passes
//! it on or not, and can be used afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmprof_engine::*;

const LEVELS: usize = 5;

/// How the innermost level ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Returns,
    Unreachable,
    /// A fault, where memories are guarded.
    OutOfBounds,
    DividesByZero,
    Exhausts,
    Throws,
    HostFails,
    HostThrows,
    Panics,
}

const ENDS: [End; 9] = [
    End::Returns,
    End::Unreachable,
    End::OutOfBounds,
    End::DividesByZero,
    End::Exhausts,
    End::Throws,
    End::HostFails,
    End::HostThrows,
    End::Panics,
];

/// What the levels in between do with what does not return.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// They return it as their error, and panics go on.
    PassOn,
    /// They make a number of it.
    Swallow,
    /// They do something of the same kind themselves.
    Renew,
    /// They pass on, in a text.
    Describe,
}

#[derive(Debug)]
struct Failure(usize);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failure {}", self.0)
    }
}

impl std::error::Error for Failure {}

/// Counts what is alive of it.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const WAT: &str = r#"(module
    (import "" "down" (func $down (param i32) (result i32)))
    (tag $e (export "e") (param i32 f64))
    (memory 1)
    (global $after (mut i32) (i32.const 0))
    (func $endless (export "endless") (call $endless) (call $endless))
    ;; Values live across the call.
    (func $run (export "run") (param $n i32) (param $x f64) (result f64)
        (local $y f64)
        (local.set $y (f64.mul (local.get $x) (f64.const 2)))
        (i32.store (i32.const 16) (local.get $n))
        (f64.add (f64.convert_i32_s (call $down (local.get $n))) (local.get $y))
        (f64.add (f64.convert_i32_s (i32.load (i32.const 16))))
        (global.set $after (i32.add (global.get $after) (i32.const 1))))
    ;; Exceptions and nothing else are caught.
    (func (export "run, catching") (param $n i32) (param $x f64) (result f64)
        (block $all (result exnref)
            (block $mine (result i32 f64)
                (try_table (catch $e $mine) (catch_all_ref $all)
                    (return (call $run (local.get $n) (local.get $x))))
                (unreachable))
            (local.set $x)
            (return (f64.add (f64.convert_i32_s) (local.get $x))))
        (throw_ref))
    (func (export "after") (result i32) (global.get $after))
    (func (export "unreachable") (unreachable))
    (func (export "out of bounds") (drop (i32.load (i32.const 0x7fffffff))))
    (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
    (func (export "throw") (throw $e (i32.const 40) (f64.const 2))))"#;

/// A level: a store with an instance of its own.
struct Level {
    store: Store<()>,
    instance: Instance,
}

fn level(
    engine: &Engine,
    module: &Module,
    depth: usize,
    how: (End, Manner),
    count: &Arc<AtomicUsize>,
) -> Level {
    let mut store = Store::new(engine, ());
    let (engine, module_, count_) = (engine.clone(), module.clone(), count.clone());
    let kept = Counted::new(count);
    let down = Func::wrap(&mut store, move |caller: Caller<'_, ()>, n: i32| {
        let _kept = &kept;
        let _guard = Counted::new(&count_);
        descend(caller, (&engine, &module_), depth, how, n, &count_)
    });
    let down = down.expect("a function");
    let instance = Instance::new(&mut store, module, &[down.into()]).expect("linked");
    Level { store, instance }
}

/// What the host function of a level does.
fn descend(
    mut caller: Caller<'_, ()>,
    (engine, module): (&Engine, &Module),
    depth: usize,
    how: (End, Manner),
    n: i32,
    count: &Arc<AtomicUsize>,
) -> Result<i32, Error> {
    let (end, manner) = how;
    if depth == 1 {
        return perform(&mut caller, end, depth).map(|()| n);
    }
    let mut below = level(engine, module, depth - 1, how, count);
    let run = below.instance.get_typed_func::<(i32, f64), f64>(&mut below.store, "run")?;
    let result = catch_unwind(AssertUnwindSafe(|| run.call(&mut below.store, (n + 1, 0.5))));
    // The store below goes on whatever has happened.
    let after = below.instance.get_typed_func::<(), i32>(&mut below.store, "after")?;
    let returned = matches!(result, Ok(Ok(_)));
    assert_eq!(after.call(&mut below.store, ())?, i32::from(returned));
    match (manner, result) {
        (_, Ok(Ok(value))) => Ok(value as i32),
        (Manner::PassOn, Ok(Err(error))) => {
            // An exception is of the store below, whose tags mean nothing here.
            match error {
                Error::Exception(_) => perform(&mut caller, End::Throws, depth).map(|()| 0),
                error => Err(error),
            }
        }
        (Manner::PassOn, Err(panic)) => std::panic::resume_unwind(panic),
        (Manner::Swallow, _) => Ok(-1),
        (Manner::Renew, _) => perform(&mut caller, end, depth).map(|()| 0),
        (Manner::Describe, Ok(Err(error))) => Err(Error::new(error.to_string())),
        (Manner::Describe, Err(_)) => Err(Error::new("a panic")),
    }
}

/// Ends like this, in the instance that calls.
fn perform(caller: &mut Caller<'_, ()>, end: End, depth: usize) -> Result<(), Error> {
    let mut call = |name: &str| {
        let func = caller.get_export(name).and_then(Extern::into_func).expect("exported");
        let args: &[Val] = if name == "divide" { &[Val::I32(0)] } else { &[] };
        let mut results = vec![Val::I32(0); args.len()];
        func.call(&mut *caller, args, &mut results)
    };
    match end {
        End::Returns => Ok(()),
        End::Unreachable => call("unreachable"),
        End::OutOfBounds => call("out of bounds"),
        End::DividesByZero => call("divide"),
        End::Exhausts => call("endless"),
        End::Throws => call("throw"),
        End::HostFails => Err(Error::new(Failure(depth))),
        End::HostThrows => {
            let tag = caller.get_export("e").and_then(Extern::into_tag).expect("exported");
            Err(Exception::new(&mut *caller, tag, [Val::from(40), Val::from(2.0)])?.into())
        }
        End::Panics => panic_any(Failure(depth)),
    }
}

/// Whether a panic or an error is what `end` has to come to.
fn fits(end: End, outcome: &std::thread::Result<Result<f64, Error>>, depth: usize) -> bool {
    let code = |code| matches!(outcome, Ok(Err(Error::Trap(trap))) if trap.code == code);
    match end {
        End::Returns => false,
        End::Unreachable => code(TrapCode::Unreachable),
        End::OutOfBounds => code(TrapCode::MemoryOutOfBounds),
        End::DividesByZero => code(TrapCode::IntegerDivideByZero),
        End::Exhausts => code(TrapCode::StackOverflow),
        End::Throws | End::HostThrows => match outcome {
            Ok(Err(Error::Exception(exception))) => {
                let values = exception.values();
                (values[0].i32(), values[1].f64()) == (Some(40), Some(2.0))
            }
            _ => false,
        },
        End::HostFails => match outcome {
            Ok(Err(error)) => error.downcast_ref::<Failure>().is_some_and(|it| it.0 == depth),
            _ => false,
        },
        End::Panics => match outcome {
            Err(panic) => panic.downcast_ref::<Failure>().is_some_and(|it| it.0 == depth),
            _ => false,
        },
    }
}

fn configs() -> Vec<Config> {
    vec![
        Config::new(),
        Config::new().strategy(Strategy::Fast).max_wasm_stack(64 << 10),
        Config::new().guarded_memories(false),
    ]
}

#[test]
fn five_stores_end_in_every_way() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Those that are meant say nothing.
        if !info.payload().is::<Failure>() {
            usual(info);
        }
    }));
    for config in configs() {
        let engine = Engine::new(config).expect("an engine");
        let module = Module::new(&engine, WAT).expect("valid");
        for end in ENDS {
            for manner in [Manner::PassOn, Manner::Swallow, Manner::Renew, Manner::Describe] {
                let count = Arc::new(AtomicUsize::new(0));
                let mut top = level(&engine, &module, LEVELS, (end, manner), &count);
                for catching in [false, true, false] {
                    let name = if catching { "run, catching" } else { "run" };
                    let run = top.instance.get_typed_func::<(i32, f64), f64>(&mut top.store, name);
                    let run = run.expect("exported");
                    let outcome =
                        catch_unwind(AssertUnwindSafe(|| run.call(&mut top.store, (1, 0.25))));
                    assert_eq!(count.load(Ordering::Relaxed), 1, "{end:?} {manner:?}: not dropped");
                    let throws = matches!(end, End::Throws | End::HostThrows);
                    let label = format!("{end:?} {manner:?} {catching}: {outcome:?}");
                    match manner {
                        _ if end == End::Returns => {
                            // Each level adds the number it was given, and a half twice.
                            let expected = f64::from(5 + 5 + 4 + 3 + 2 + 1) + 4.0 + 0.5;
                            assert_eq!(outcome.expect(&label).expect(&label), expected, "{label}");
                        }
                        Manner::Swallow => {
                            assert_eq!(outcome.expect(&label).expect(&label), 12.5, "{label}");
                        }
                        Manner::PassOn | Manner::Renew if throws && catching => {
                            assert_eq!(outcome.expect(&label).expect(&label), 42.0, "{label}");
                        }
                        Manner::PassOn => assert!(fits(end, &outcome, 1), "{label}"),
                        Manner::Renew => assert!(fits(end, &outcome, LEVELS), "{label}"),
                        Manner::Describe => {
                            let error = outcome.expect(&label).unwrap_err();
                            assert!(error.trap().is_none(), "{label}");
                        }
                    }
                }
                drop(top);
                assert_eq!(count.load(Ordering::Relaxed), 0, "{end:?} {manner:?}: kept");
            }
        }
    }
}

/// An exception of one store that a host function of another returns is not one
/// of the other's: its tag and references are of a store that may be gone. It
/// goes to the embedder as it came, past whatever would catch.
#[test]
fn an_exception_of_another_store_is_caught_by_nothing() {
    let engine = Engine::new(Config::new()).expect("an engine");
    let thrower = r#"(module
        (tag $e (export "e") (param i32 funcref))
        (func $f (export "f") (result i32) (i32.const 7))
        (func (export "run") (throw $e (i32.const 1) (ref.func $f))))"#;
    let thrower = Module::new(&engine, thrower).expect("valid");
    let catcher = r#"(module
        (import "" "fail" (func $fail))
        (tag $e (export "e") (param i32 funcref))
        (func (export "by tag")
            (block $h (result i32 funcref) (try_table (catch $e $h) (call $fail)) (return))
            (drop) (drop))
        (func (export "all") (block $h (try_table (catch_all $h) (call $fail))))
        (func (export "none") (call $fail)))"#;
    let catcher = Module::new(&engine, catcher).expect("valid");
    let throw = move |engine: &Engine| -> Result<(), Error> {
        let mut inner = Store::new(engine, ());
        let instance = Instance::new(&mut inner, &thrower, &[])?;
        let error = instance.get_typed_func::<(), ()>(&mut inner, "run")?.call(&mut inner, ());
        assert!(matches!(error, Err(Error::Exception(_))));
        error
    };
    let mut store = Store::new(&engine, ());
    let functions = [
        Func::wrap(&mut store, {
            let (engine, throw) = (engine.clone(), throw.clone());
            move || throw(&engine)
        }),
        Func::wrap(&mut store, {
            let (engine, throw) = (engine.clone(), throw.clone());
            // The exception itself, and not in an error of ours.
            move || match throw(&engine) {
                Err(Error::Exception(exception)) => Err::<(), _>(*exception),
                other => panic!("{other:?}"),
            }
        }),
        Func::new(&mut store, FuncType::new([], []), move |caller, _, _| throw(caller.engine())),
    ];
    for fail in functions {
        let imports = [fail.expect("a function").into()];
        let instance = Instance::new(&mut store, &catcher, &imports).expect("linked");
        for name in ["by tag", "all", "none"] {
            let run = instance.get_typed_func::<(), ()>(&mut store, name).expect("exported");
            match run.call(&mut store, ()) {
                Err(Error::Exception(exception)) => {
                    assert_eq!(exception.values()[0].i32(), Some(1));
                    assert!(!exception.values()[1].belongs_to(&store));
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// What an error tells is kept when everything that it tells of is gone.
#[test]
fn errors_outlive_store_module_and_engine() {
    let mut errors = Vec::new();
    for at in 0..configs().len() {
        for end in [End::Unreachable, End::OutOfBounds, End::Throws, End::HostFails, End::Exhausts]
        {
            let engine = Engine::new(configs().swap_remove(at)).expect("an engine");
            let module = Module::new(&engine, WAT).expect("valid");
            let count = Arc::new(AtomicUsize::new(0));
            let mut top = level(&engine, &module, 1, (end, Manner::PassOn), &count);
            let run = top.instance.get_typed_func::<(i32, f64), f64>(&mut top.store, "run");
            errors.push(run.expect("exported").call(&mut top.store, (1, 0.25)).unwrap_err());
            drop((engine, module, top));
        }
        // Other code comes to where theirs was.
        let engine = Engine::new(Config::new()).expect("an engine");
        let other = r#"(module (func $other (export "f") (unreachable)))"#;
        let module = Module::new(&engine, other).expect("valid");
        let mut store = Store::new(&engine, ());
        Instance::new(&mut store, &module, &[]).expect("linked");
    }
    for error in &errors {
        let backtrace = match error {
            Error::Exception(exception) => exception.backtrace(),
            error => error.backtrace().expect("it was running"),
        };
        let frames = backtrace.frames();
        assert_eq!(frames.last().expect("a frame").function_name(), "run", "{error:?}");
        assert!(frames.iter().all(|frame| frame.function_name() != "other"));
        for frame in frames {
            assert!(frame.wasm_offset().is_some(), "{error} {backtrace}");
        }
        assert!(!format!("{error} {error:?} {backtrace}").is_empty());
    }
    assert_eq!(errors.len(), 15);
}
