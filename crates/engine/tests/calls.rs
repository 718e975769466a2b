//! Calls between the host and compiled code, in both directions and nested, and
//! every way of leaving them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmprof_engine::*;

fn setup(wat: &str) -> Result<(Store<u32>, Linker<u32>, Module), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(&engine, wat)?;
    Ok((Store::new(&engine, 0), Linker::new(&engine), module))
}

#[test]
fn arguments_and_results_of_all_types() -> Result<(), Error> {
    let (mut store, linker, module) = setup(
        r#"(module (func (export "f") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
            local.get 3 local.get 2 local.get 1 local.get 0))"#,
    )?;
    let instance = linker.instantiate(&mut store, &module)?;
    let f =
        instance.get_typed_func::<(i32, i64, f32, f64), (f64, f32, i64, i32)>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, (-1, i64::MIN, 1.5, -2.5))?, (-2.5, 1.5, i64::MIN, -1));
    let mut results = [Val::I32(0); 4];
    let params = [Val::I32(7), Val::I64(8), 1.0f32.into(), 2.0f64.into()];
    f.func().call(&mut store, &params, &mut results)?;
    assert_eq!((results[0].f64(), results[3].i32()), (Some(2.0), Some(7)));
    Ok(())
}

#[test]
fn host_functions_with_many_arguments_and_results() -> Result<(), Error> {
    let (mut store, mut linker, module) = setup(
        r#"(module
            (import "" "f" (func $f (param i32 i32 i32 i32 i32 i32 i32 i32 f64 f32) (result i64 f64 i32)))
            (func (export "run") (result i64 f64 i32)
                (call $f (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
                    (i32.const 6) (i32.const 7) (i32.const 8) (f64.const 9) (f32.const 10))))"#,
    )?;
    linker.func_wrap(
        "",
        "f",
        |mut caller: Caller<'_, u32>,
         a: i32,
         b: i32,
         c: i32,
         d: i32,
         e: i32,
         f: i32,
         g: i32,
         h: i32,
         i: f64,
         j: f32| {
            *caller.data_mut() += 1;
            (i64::from(a + 10 * b + 100 * c + d), i + f64::from(j), e * f * g * h)
        },
    )?;
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<(), (i64, f64, i32)>(&mut store, "run")?;
    assert_eq!(run.call(&mut store, ())?, (325, 19.0, 1680));
    assert_eq!(*store.data(), 1);
    Ok(())
}

#[test]
fn traps_have_a_code_and_a_backtrace() -> Result<(), Error> {
    let (mut store, linker, module) = setup(
        r#"(module (memory 1)
            (func $inner (param i32) (result i32) (i32.load (local.get 0)))
            (func $middle (param i32) (result i32) (i32.add (call $inner (local.get 0)) (i32.const 1)))
            (func (export "outer") (param i32) (result i32) (i32.add (call $middle (local.get 0)) (i32.const 1))))"#,
    )?;
    let instance = linker.instantiate(&mut store, &module)?;
    let outer = instance.get_typed_func::<i32, i32>(&mut store, "outer")?;
    assert_eq!(outer.call(&mut store, 65532)?, 2);
    let error = outer.call(&mut store, 65533).unwrap_err();
    let trap = error.trap().expect("a trap");
    assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
    let names: Vec<_> = trap.backtrace.frames().iter().map(|f| f.function_name()).collect();
    assert_eq!(names, ["inner", "middle", "outer"]);
    assert!(trap.backtrace.frames().iter().all(|frame| frame.wasm_offset().is_some()));
    // The instance is as usable as before.
    assert_eq!(outer.call(&mut store, 0)?, 2);
    Ok(())
}

#[test]
fn a_stack_overflow_is_a_trap() -> Result<(), Error> {
    let (mut store, linker, module) = setup(
        r#"(module (func $f (export "f") (param i32) (result i32)
            (i32.add (call $f (i32.add (local.get 0) (i32.const 1))) (i32.const 1))))"#,
    )?;
    let instance = linker.instantiate(&mut store, &module)?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    for _ in 0..3 {
        let error = f.call(&mut store, 0).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code, TrapCode::StackOverflow);
        assert!(error.backtrace().unwrap().frames().len() > 1000);
        assert!(error.backtrace().unwrap().to_string().contains("frames more"));
    }
    Ok(())
}

/// Host, wasm, host, wasm, and a trap at the innermost.
#[test]
fn a_trap_unwinds_nested_entries_one_by_one() -> Result<(), Error> {
    let (mut store, mut linker, module) = setup(
        r#"(module
            (import "" "again" (func $again (param i32)))
            (func $level (export "level") (param i32)
                (if (i32.eqz (local.get 0)) (then (unreachable)))
                (call $again (i32.sub (local.get 0) (i32.const 1)))))"#,
    )?;
    struct CountsDrops(Arc<AtomicUsize>);
    impl Drop for CountsDrops {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = drops.clone();
    linker.func_wrap("", "again", move |mut caller: Caller<'_, u32>, level: i32| {
        let _drop_me = CountsDrops(counted.clone());
        *caller.data_mut() += 1;
        let func = caller.get_export("level").and_then(Extern::into_func).expect("exported");
        func.typed::<i32, ()>(&caller)?.call(&mut caller, level)
    })?;
    let instance = linker.instantiate(&mut store, &module)?;
    let level = instance.get_typed_func::<i32, ()>(&mut store, "level")?;
    let error = level.call(&mut store, 5).unwrap_err();
    assert_eq!(error.trap().expect("a trap").code, TrapCode::Unreachable);
    assert_eq!((*store.data(), drops.load(Ordering::Relaxed)), (5, 5));
    assert_eq!(error.backtrace().unwrap().frames().len(), 6);
    Ok(())
}

/// A store whose code is called while that of another one is running, and the
/// first one again inside of that: each keeps its own entries.
#[test]
fn stores_are_entered_inside_of_each_other() -> Result<(), Error> {
    const GUEST: &str = r#"(module
        (import "" "other" (func $other (param i32) (result i32)))
        (func (export "run") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (unreachable)))
            (i32.add (call $other (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))))"#;
    /// Both stores run the guest; what one calls enters the other.
    type Data = Option<Box<Store<()>>>;
    let engine = Engine::new(Config::new())?;
    let module = Module::new(&engine, GUEST)?;

    let mut inner_linker = Linker::<()>::new(&engine);
    inner_linker.func_wrap("", "other", |mut caller: Caller<'_, ()>, depth: i32| {
        match depth {
            // The same store once more.
            1.. => {
                let run = caller.get_export("run").and_then(Extern::into_func).expect("exported");
                run.typed::<i32, i32>(&caller)?.call(&mut caller, depth)
            }
            _ => Ok(100),
        }
    })?;
    let mut inner = Box::new(Store::new(&engine, ()));
    let instance = inner_linker.instantiate(&mut *inner, &module)?;
    let run_inner = instance.get_typed_func::<i32, i32>(&mut *inner, "run")?;

    let mut linker = Linker::<Data>::new(&engine);
    linker.func_wrap("", "other", move |mut caller: Caller<'_, Data>, depth: i32| {
        let mut inner = caller.data_mut().take().expect("it is nobody else's");
        let value = run_inner.call(&mut *inner, depth);
        // A trap of the inner store is none of the outer one.
        let trapped = run_inner.call(&mut *inner, 0).unwrap_err();
        assert_eq!(trapped.backtrace().expect("it has one").frames().len(), 1);
        *caller.data_mut() = Some(inner);
        value
    })?;
    let mut store = Store::new(&engine, Some(inner));
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
    for _ in 0..3 {
        assert_eq!(run.call(&mut store, 4)?, 103 + 1);
        let error = run.call(&mut store, 1).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code, TrapCode::Unreachable);
        assert_eq!(error.backtrace().expect("it has one").frames().len(), 1);
        let error = run.call(&mut store, 0).unwrap_err();
        assert_eq!(error.backtrace().expect("it has one").frames().len(), 1);
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Custom(i32);

impl std::fmt::Display for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "custom {}", self.0)
    }
}

impl std::error::Error for Custom {}

#[test]
fn an_error_of_the_host_comes_back_by_its_type() -> Result<(), Error> {
    let (mut store, mut linker, module) = setup(
        r#"(module (import "" "fail" (func $fail (param i32) (result i32)))
            (func $f (export "f") (param i32) (result i32) (call $fail (local.get 0))))"#,
    )?;
    linker.func_wrap("", "fail", |x: i32| if x < 0 { Err(Custom(x)) } else { Ok(x + 1) })?;
    let instance = linker.instantiate(&mut store, &module)?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, 1)?, 2);
    let error = f.call(&mut store, -3).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Custom(-3)));
    assert_eq!(error.backtrace().unwrap().frames()[0].function_name(), "f");
    assert_eq!(f.call(&mut store, 5)?, 6);
    Ok(())
}

#[test]
fn a_panic_of_the_host_goes_on_at_the_entry() -> Result<(), Error> {
    let (mut store, mut linker, module) =
        setup(r#"(module (import "" "panic" (func $panic)) (func (export "f") (call $panic)))"#)?;
    linker.func_wrap("", "panic", || -> () { std::panic::panic_any(42u8) })?;
    let instance = linker.instantiate(&mut store, &module)?;
    let f = instance.get_typed_func::<(), ()>(&mut store, "f")?;
    let call = std::panic::AssertUnwindSafe(|| f.call(&mut store, ()));
    let payload = std::panic::catch_unwind(call).unwrap_err();
    assert_eq!(payload.downcast_ref::<u8>(), Some(&42));
    Ok(())
}

#[test]
fn functions_of_any_type_take_slices() -> Result<(), Error> {
    let (mut store, mut linker, module) = setup(
        r#"(module (import "" "swap" (func $swap (param i32 f64) (result f64 i32)))
            (import "" "one" (func $one (param i64) (result i64)))
            (func (export "f") (result f64 i32) (call $swap (i32.const 3) (f64.const 4)))
            (func (export "g") (result i64) (call $one (i64.const -1))))"#,
    )?;
    let ty = FuncType::new([ValType::I32, ValType::F64], [ValType::F64, ValType::I32]);
    linker.func_new("", "swap", ty, |_, params, results| {
        results.copy_from_slice(&[params[1], params[0]]);
        Ok(())
    })?;
    linker.func_new(
        "",
        "one",
        FuncType::new([ValType::I64], [ValType::I64]),
        |_, params, results| {
            results[0] = Val::I64(params[0].i64().unwrap_or(0) - 1);
            Ok(())
        },
    )?;
    let instance = linker.instantiate(&mut store, &module)?;
    let f = instance.get_typed_func::<(), (f64, i32)>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, ())?, (4.0, 3));
    let g = instance.get_typed_func::<(), i64>(&mut store, "g")?;
    assert_eq!(g.call(&mut store, ())?, -2);
    Ok(())
}

#[test]
fn host_functions_are_called_through_references() -> Result<(), Error> {
    let (mut store, mut linker, module) = setup(
        r#"(module
            (type $t (func (param i32) (result i32)))
            (import "" "f" (func $f (type $t)))
            (table (export "t") 3 funcref)
            (elem (i32.const 0) $f $g)
            (func $g (type $t) (i32.mul (local.get 0) (i32.const 3)))
            (func (export "call") (param i32 i32) (result i32)
                (call_indirect (type $t) (local.get 0) (local.get 1)))
            (func (export "tail") (param i32 i32) (result i32)
                (return_call_indirect (type $t) (local.get 0) (local.get 1))))"#,
    )?;
    linker.func_wrap("", "f", |mut caller: Caller<'_, u32>, x: i32| {
        assert!(caller.get_export("t").is_some());
        x * 2
    })?;
    let instance = linker.instantiate(&mut store, &module)?;
    let other = Func::wrap(&mut store, |mut caller: Caller<'_, u32>, x: i32| {
        assert!(caller.get_export("t").is_none());
        x * 5
    })?;
    instance.get_table(&mut store, "t").unwrap().set(&mut store, 2, other.into())?;
    for name in ["call", "tail"] {
        let call = instance.get_typed_func::<(i32, i32), i32>(&mut store, name)?;
        assert_eq!(call.call(&mut store, (7, 0))?, 14);
        assert_eq!(call.call(&mut store, (7, 1))?, 21);
        assert_eq!(call.call(&mut store, (7, 2))?, 35);
        let error = call.call(&mut store, (7, 3)).unwrap_err();
        assert_eq!(error.trap().unwrap().code, TrapCode::UndefinedElement);
    }
    // A host function called by the host, through the same reference.
    assert_eq!(other.typed::<i32, i32>(&store)?.call(&mut store, 2)?, 10);
    Ok(())
}

#[test]
fn an_import_may_be_another_instances_function() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let first = Module::new(
        &engine,
        r#"(module (global $g (mut i32) (i32.const 100))
            (func (export "next") (param i32) (result i32)
                (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (i32.add (global.get $g) (local.get 0))))"#,
    )?;
    let second = Module::new(
        &engine,
        r#"(module (import "first" "next" (func $next (param i32) (result i32)))
            (func (export "call") (result i32)
                (i32.add (call $next (i32.const 1)) (i32.const 1000)))
            (func (export "tail") (result i32) (return_call $next (i32.const 2))))"#,
    )?;
    let (mut store, mut linker) = (Store::new(&engine, ()), Linker::new(&engine));
    let first = linker.instantiate(&mut store, &first)?;
    linker.instance(&mut store, "first", first)?;
    let second = linker.instantiate(&mut store, &second)?;
    let call = second.get_typed_func::<(), i32>(&mut store, "call")?;
    let tail = second.get_typed_func::<(), i32>(&mut store, "tail")?;
    assert_eq!(call.call(&mut store, ())?, 1102);
    assert_eq!(tail.call(&mut store, ())?, 104);
    Ok(())
}
