//! What host functions fail with, and how it comes back: by its type, as a
//! trap, as a panic; with every destructor on the way run.

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmprof_engine::*;

#[derive(Debug, PartialEq)]
struct Custom(i32);

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custom {}", self.0)
    }
}

impl StdError for Custom {}

/// An error with another one behind it.
#[derive(Debug)]
struct Outer(Custom);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// Calls a host function from a function `f`, and gives what that comes to.
fn failure<T, P, R>(data: T, fail: impl IntoFunc<T, P, R>) -> Error {
    let engine = Engine::new(Config::new()).expect("an engine");
    let wat = r#"(module (import "" "fail" (func $fail)) (func $f (export "f") (call $fail)))"#;
    let module = Module::new(&engine, wat).expect("valid");
    let mut linker = Linker::new(&engine);
    linker.func_wrap("", "fail", fail).expect("a new name");
    let mut store = Store::new(&engine, data);
    let instance = linker.instantiate(&mut store, &module).expect("linked");
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").expect("exported");
    f.call(&mut store, ()).unwrap_err()
}

fn names(error: &Error) -> Vec<String> {
    let frames = error.backtrace().expect("it was running").frames();
    frames.iter().map(|frame| frame.function_name()).collect()
}

#[test]
fn an_error_is_found_by_its_type() {
    let error = failure((), || Err::<(), _>(Custom(3)));
    assert_eq!(error.to_string(), "custom 3");
    assert_eq!(error.downcast_ref(), Some(&Custom(3)));
    assert_eq!(names(&error), ["f"]);
    assert!(error.downcast_ref::<Outer>().is_none());
    let error = error.downcast::<Outer>().unwrap_err();
    assert_eq!(names(&error), ["f"]);
    assert_eq!(error.downcast::<Custom>().expect("it is one"), Custom(3));
}

#[test]
fn an_error_is_found_behind_another() {
    let error = failure((), || Err::<(), _>(Outer(Custom(4))));
    assert_eq!(error.downcast_ref(), Some(&Custom(4)));
    assert!(error.downcast::<Custom>().unwrap_err().downcast_ref::<Outer>().is_some());
}

#[test]
fn boxes_and_texts_are_errors() {
    let boxed = || -> Result<(), Box<dyn StdError + Send + Sync>> { Err(Box::new(Custom(5))) };
    assert_eq!(failure((), boxed).downcast::<Custom>().expect("it is one"), Custom(5));
    assert_eq!(failure((), || Err::<(), _>("in words")).to_string(), "in words");
    assert_eq!(failure((), || Err::<(), _>(format!("{}", 6))).to_string(), "6");
    let io = || -> Result<(), std::io::Error> { Err(std::io::ErrorKind::NotFound.into()) };
    let found = failure((), io).downcast::<std::io::Error>().expect("it is one");
    assert_eq!(found.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn traps_may_be_returned() {
    let code = |error: &Error| error.trap().map(|trap| trap.code);
    let error = failure((), || Err::<(), _>(TrapCode::IntegerOverflow));
    assert_eq!((code(&error), names(&error)), (Some(TrapCode::IntegerOverflow), vec!["f".into()]));
    assert_eq!(error.to_string(), "wasm trap: integer overflow");
    let error = failure((), || Err::<(), _>(Trap::new(TrapCode::Unreachable)));
    assert_eq!((code(&error), names(&error)), (Some(TrapCode::Unreachable), vec!["f".into()]));
    // Errors of ours, too; a backtrace is filled in if there is none.
    for fail in [
        || Error::from(TrapCode::MemoryOutOfBounds),
        || Error::new(TrapCode::MemoryOutOfBounds),
        || Error::new(Error::from(Trap::new(TrapCode::MemoryOutOfBounds))),
    ] {
        let error = failure((), move || Err::<(), _>(fail()));
        assert!(matches!(error, Error::Trap(_)));
        assert_eq!(code(&error), Some(TrapCode::MemoryOutOfBounds));
        assert_eq!(names(&error), ["f"]);
    }
    let error = failure((), || Err::<(), _>(Error::new(Custom(7))));
    assert_eq!((names(&error), error.downcast_ref()), (vec!["f".into()], Some(&Custom(7))));
}

/// Whoever returns the error of an inner call returns its backtrace.
#[test]
fn the_innermost_backtrace_is_kept() {
    let (error, inner) = nested(|result| result.map_err(|error| error.trap().cloned().unwrap()));
    assert_eq!(error.trap().expect("a trap").code, TrapCode::Unreachable);
    assert_eq!(names(&error), inner);
}

/// Host, wasm, host, wasm and a trap; the host in the middle has its way with
/// the error. Also gives the names in the backtrace of the inner call.
fn nested<E: Into<BoxError> + 'static>(
    map: impl Fn(Result<(), Error>) -> Result<(), E> + Send + Sync + 'static,
) -> (Error, Vec<String>) {
    let engine = Engine::new(Config::new()).expect("an engine");
    let wat = r#"(module
        (import "" "again" (func $again))
        (func $inner (export "inner") (unreachable))
        (func $outer (export "outer") (call $again)))"#;
    let module = Module::new(&engine, wat).expect("valid");
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("", "again", move |mut caller: Caller<'_, ()>| {
            let inner = caller.get_export("inner").and_then(Extern::into_func).expect("exported");
            let inner = inner.typed::<(), ()>(&caller).expect("its type");
            map(inner.call(&mut caller, ()))
        })
        .expect("a new name");
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).expect("linked");
    let outer = instance.get_typed_func::<(), ()>(&mut store, "outer").expect("exported");
    let error = outer.call(&mut store, ()).unwrap_err();
    (error, vec!["inner".into(), "outer".into()])
}

#[test]
fn what_was_asked_for_and_refused_is_found_by_its_type() {
    let engine = Engine::new(Config::new()).expect("an engine");
    let module = Module::new(&engine, r#"(module (import "a" "b" (func)))"#).expect("valid");
    let mut store = Store::new(&engine, ());
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    let link = error.downcast_ref::<LinkError>();
    assert!(matches!(link, Some(LinkError::ImportCount { wanted: 1, given: 0 })));
    let error = Module::from_file(&engine, "no/such/file").unwrap_err();
    let io = error.downcast_ref::<std::io::Error>().expect("the system said so");
    assert_eq!(io.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn an_error_is_an_error_for_anyhow_and_for_boxes() {
    fn takes<E: StdError + Send + Sync + 'static>() {}
    takes::<Error>();
    takes::<Trap>();
    takes::<TrapCode>();
    takes::<MemoryAccessError>();
    fn question_mark() -> anyhow::Result<()> {
        Err(failure((), || Err::<(), _>(Custom(8))))?;
        Ok(())
    }
    let error = question_mark().unwrap_err();
    let ours = error.downcast_ref::<Error>().expect("an error of ours");
    assert_eq!(ours.downcast_ref(), Some(&Custom(8)));
    assert_eq!(names(ours), ["f"]);
    assert_eq!(format!("{error:#}"), "custom 8");
    fn boxed() -> Result<(), Box<dyn StdError + Send + Sync>> {
        Err(failure((), || Err::<(), _>(Custom(9))))?;
        Ok(())
    }
    assert!(boxed().unwrap_err().downcast_ref::<Error>().is_some());
}

#[cfg(feature = "anyhow")]
mod with_anyhow {
    use super::*;
    use anyhow::{Context, anyhow, bail};

    #[test]
    fn an_error_in_anyhow_is_found_by_its_type() {
        let fail = || -> anyhow::Result<()> { bail!(Custom(1)) };
        let error = failure((), fail);
        assert_eq!(error.to_string(), "custom 1");
        assert_eq!((names(&error), error.downcast_ref()), (vec!["f".into()], Some(&Custom(1))));
        assert_eq!(error.downcast::<Custom>().expect("it is one"), Custom(1));
        let error = failure((), fail).downcast::<Outer>().unwrap_err();
        assert_eq!(error.downcast::<Custom>().expect("it still is one"), Custom(1));
        // As the source of an error in it, too.
        let error = failure((), || -> anyhow::Result<()> { Err(Outer(Custom(2)))? });
        assert_eq!(error.downcast_ref(), Some(&Custom(2)));
    }

    #[test]
    fn contexts_are_kept() {
        let fail = || -> anyhow::Result<()> {
            Err(Outer(Custom(2))).context("while failing").context(Custom(3))
        };
        let error = failure((), fail);
        let (mut chain, mut next) = (Vec::new(), Some(&error as &dyn StdError));
        while let Some(error) = next {
            chain.push(error.to_string());
            next = error.source();
        }
        assert_eq!(chain, ["custom 3", "while failing", "outer", "custom 2"]);
        assert_eq!(error.downcast_ref(), Some(&Custom(3)));
        assert!(error.downcast_ref::<Outer>().is_some());
        assert!(error.downcast::<Outer>().is_ok());
        let error = failure((), || -> anyhow::Result<()> { Err(anyhow!("in words")) });
        assert_eq!(error.to_string(), "in words");
    }

    #[test]
    fn traps_in_anyhow_are_traps() {
        for fail in [
            || -> anyhow::Result<()> { bail!(TrapCode::Unreachable) },
            || -> anyhow::Result<()> { bail!(Trap::new(TrapCode::Unreachable)) },
            || -> anyhow::Result<()> { bail!(Error::from(TrapCode::Unreachable)) },
        ] {
            let error = failure((), fail);
            assert!(matches!(&error, Error::Trap(trap) if trap.code == TrapCode::Unreachable));
            assert_eq!(names(&error), ["f"]);
        }
    }

    /// An error of an inner call goes through `anyhow` as it was, and with a
    /// context it still is a trap.
    #[test]
    fn errors_of_inner_calls_go_through_anyhow() {
        let (error, inner) = nested(|result| -> anyhow::Result<()> { Ok(result?) });
        assert!(matches!(error, Error::Trap(_)));
        assert_eq!(names(&error), inner);
        let (error, _) = nested(|result| result.context("in the middle"));
        assert_eq!(error.to_string(), "in the middle");
        let trap = error.trap().expect("a trap below the context");
        assert_eq!((trap.code, trap.backtrace.frames().len()), (TrapCode::Unreachable, 2));
        assert!(error.downcast_ref::<Error>().is_some());
    }

    #[test]
    fn functions_of_any_type_take_errors_of_any_kind() -> Result<(), Error> {
        fn fails() -> anyhow::Result<()> {
            bail!(Custom(1))
        }
        let engine = Engine::new(Config::new())?;
        let mut store = Store::new(&engine, ());
        let func = Func::new(&mut store, FuncType::new([], []), |_, _, _| Ok(fails()?))?;
        let error = func.call(&mut store, &[], &mut []).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Custom(1)));
        let memory_type = MemoryType::new(1, None);
        let memory = Memory::new(&mut store, memory_type)?;
        let func = Func::new(&mut store, FuncType::new([], []), move |caller, _, _| {
            Ok(memory.read(&caller, 65_536, &mut [0])?)
        })?;
        let error = func.call(&mut store, &[], &mut []).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&MemoryAccessError));
        Ok(())
    }
}

thread_local! {
    /// Whether a destructor of [`Counted`] is to panic.
    static PANIC_IN_DROP: Cell<bool> = const { Cell::new(false) };
}

/// Counts its destructors.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if PANIC_IN_DROP.take() {
            panic_any("in a destructor");
        }
    }
}

/// How the innermost of [`levels`] is left.
type Leave = fn() -> Result<(), BoxError>;

/// Enters wasm five times, each from a host function of the one before with
/// something to drop, then leaves as `leave` does; afterwards the store works.
/// Gives the outcome, and how many destructors have run.
fn levels(leave: Leave) -> (std::thread::Result<Result<(), Error>>, usize) {
    let engine = Engine::new(Config::new()).expect("an engine");
    let wat = r#"(module
        (import "" "again" (func $again (param i32)))
        (func (export "level") (param i32) (call $again (local.get 0)))
        (func (export "fine") (param i32) (result i32) (local.get 0)))"#;
    let module = Module::new(&engine, wat).expect("valid");
    let mut linker = Linker::new(&engine);
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = drops.clone();
    linker
        .func_wrap("", "again", move |mut caller: Caller<'_, ()>, level: i32| {
            let _dropped = [Counted(counted.clone()), Counted(counted.clone())];
            if level == 0 {
                return leave();
            }
            let again = caller.get_export("level").and_then(Extern::into_func).expect("exported");
            let again = again.typed::<i32, ()>(&caller).expect("its type");
            Ok(again.call(&mut caller, level - 1)?)
        })
        .expect("a new name");
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).expect("linked");
    let level = instance.get_typed_func::<i32, ()>(&mut store, "level").expect("exported");
    let outcome = catch_unwind(AssertUnwindSafe(|| level.call(&mut store, 4)));
    let fine = instance.get_typed_func::<i32, i32>(&mut store, "fine").expect("exported");
    assert_eq!(fine.call(&mut store, 5).expect("the store still works"), 5);
    (outcome, drops.load(Ordering::Relaxed))
}

#[test]
fn a_panic_crosses_all_entries_and_runs_every_destructor() {
    let (outcome, drops) = levels(|| panic_any(42u8));
    assert_eq!(outcome.unwrap_err().downcast_ref::<u8>(), Some(&42));
    assert_eq!(drops, 10);
}

#[test]
fn an_error_crosses_all_entries_and_runs_every_destructor() {
    let (outcome, drops) = levels(|| Err(Box::new(Custom(1))));
    let error = outcome.expect("no panic").unwrap_err();
    assert_eq!((error.downcast_ref(), drops), (Some(&Custom(1)), 10));
    assert_eq!(names(&error), ["level"; 5]);
}

/// The first destructor panics, and the others run all the same.
#[test]
fn a_panic_in_a_destructor_takes_the_place_of_an_error() {
    let (outcome, drops) = levels(|| {
        PANIC_IN_DROP.set(true);
        Err(Box::new(Custom(1)))
    });
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"in a destructor"));
    assert_eq!(drops, 10);
}

/// A panic in a destructor that runs because of a panic ends the process, as
/// everywhere in Rust; so it plays in a process of its own.
#[test]
fn a_panic_in_a_destructor_during_a_panic_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const SCENE: &str = "WASMPROF_TEST_DOUBLE_PANIC";
    if std::env::var_os(SCENE).is_some() {
        let _ = levels(|| {
            PANIC_IN_DROP.set(true);
            panic_any(42u8)
        });
        return;
    }
    let test = "a_panic_in_a_destructor_during_a_panic_ends_the_process";
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .env(SCENE, "1")
        .output()
        .expect("this binary runs");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
}

/// A host function may catch the panic of a call that it makes.
#[test]
fn a_panic_may_be_caught_between_two_entries() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let wat = r#"(module
        (import "" "catch" (func $catch (result i32)))
        (import "" "panic" (func $panic))
        (func (export "panics") (call $panic))
        (func (export "f") (result i32) (i32.add (call $catch) (i32.const 1))))"#;
    let module = Module::new(&engine, wat)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("", "panic", || -> () { panic_any(41i32) })?;
    linker.func_wrap("", "catch", |mut caller: Caller<'_, ()>| -> Result<i32, Error> {
        let panics = caller.get_export("panics").and_then(Extern::into_func).expect("exported");
        let panics = panics.typed::<(), ()>(&caller)?;
        let payload = catch_unwind(AssertUnwindSafe(|| panics.call(&mut caller, ()))).unwrap_err();
        Ok(*payload.downcast_ref().expect("a number"))
    })?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    let f = instance.get_typed_func::<(), i32>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, ())?, 42);
    Ok(())
}
