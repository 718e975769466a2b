//! Exceptions: thrown and caught in WebAssembly, through host functions, out of
//! them, and out to the embedder.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmprof_engine::{
    Caller, Config, Engine, Error, Exception, ExnRef, Extern, Func, FuncType, Instance, Linker,
    Module, ResourceLimiter, Store, StoreLimitsBuilder, Strategy, Tag, TrapCode, Val, ValType,
};

/// An engine of each strategy.
fn engines() -> [Engine; 2] {
    [Strategy::Optimized, Strategy::Fast]
        .map(|strategy| Engine::new(Config::new().strategy(strategy)).expect("an engine"))
}

fn i32_tag() -> FuncType {
    FuncType::new([ValType::I32], [])
}

/// The exception that a call ended with.
fn exception<T: std::fmt::Debug>(result: Result<T, Error>) -> Exception {
    match result {
        Err(Error::Exception(exception)) => *exception,
        other => panic!("expected an exception, got {other:?}"),
    }
}

/// A linker and a store in which `host` `tag` is a tag with an `i32`, and
/// `host` `throw` throws it with its argument.
fn throwing_host(engine: &Engine) -> (Store<()>, Linker<()>, Tag) {
    let mut store = Store::new(engine, ());
    let mut linker = Linker::new(engine);
    let tag = Tag::new(&mut store, &i32_tag());
    linker.define(&mut store, "host", "tag", tag).expect("a new name");
    linker
        .func_wrap("host", "throw", move |mut caller: Caller<'_, ()>, value: i32| {
            let exception = Exception::new(&mut caller, tag, [Val::I32(value)])?;
            Err::<(), Error>(exception.into())
        })
        .expect("a new name");
    (store, linker, tag)
}

#[test]
fn what_nothing_catches_reaches_the_embedder() {
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module
                (tag $t (export "t") (param i32 f64 i64))
                (func $throws (throw $t (i32.const 7) (f64.const 2.5) (i64.const -1)))
                (func (export "run") (call $throws)))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        let caught = exception(run.call(&mut store, ()));
        assert_eq!(caught.tag(), instance.get_tag(&mut store, "t").unwrap());
        assert_eq!(caught.values()[0].i32(), Some(7));
        assert_eq!(caught.values()[1].f64(), Some(2.5));
        assert_eq!(caught.values()[2].i64(), Some(-1));
        let names: Vec<String> =
            caught.backtrace().frames().iter().map(|frame| frame.function_name()).collect();
        assert_eq!(names, ["throws", "run"]);
        // The store can be used afterwards.
        assert_eq!(exception(run.call(&mut store, ())).values().len(), 3);
    }
}

/// Cranelift believes that a host function restores some registers. On the way
/// to a handler nothing does, so no value may be in one.
#[test]
fn locals_live_across_a_throwing_host_function_keep_their_values() {
    let sum = |ty: &str| {
        (0..12).fold(format!("({ty}.const 0)"), |sum, i| {
            format!("({ty}.add {sum} (local.get ${ty}{i}))")
        })
    };
    let locals = |ty: &str| (0..12).map(|i| format!("(local ${ty}{i} {ty})")).collect::<String>();
    let set = |ty: &str, convert: &str| {
        (0..12)
            .map(|i| {
                format!(
                    "(local.set ${ty}{i} ({ty}.add ({convert} (local.get $p)) ({ty}.const {i})))"
                )
            })
            .collect::<String>()
    };
    let way = |name: &str, call: &str| {
        format!(
            r#"(func (export "{name}") (param $p i32) (result i64 f64 i32)
                {} {} {} {}
                (block $caught (result i32)
                    (try_table (catch $tag $caught)
                        {call})
                    unreachable)
                (local.set $p)
                {} {} (local.get $p))"#,
            locals("i64"),
            locals("f64"),
            set("i64", "i64.extend_i32_s"),
            set("f64", "f64.convert_i32_s"),
            sum("i64"),
            sum("f64"),
        )
    };
    let text = format!(
        r#"(module
            (import "host" "tag" (tag $tag (param i32)))
            (import "host" "throw" (func $throw (param i32)))
            (type $throws (func (param i32)))
            (table 1 funcref) (elem (i32.const 0) $throw)
            (elem declare func $through $tail)
            (func $through (param i32) (call $throw (local.get 0)))
            (func $tail (param i32) (return_call $throw (local.get 0)))
            {} {} {} {} {} {})"#,
        way("import", "(call $throw (i32.const 42))"),
        way("table", "(call_indirect (type $throws) (i32.const 42) (i32.const 0))"),
        way("reference", "(call_ref $throws (i32.const 42) (ref.func $through))"),
        way("through", "(call $through (i32.const 42))"),
        way("tail", "(call $tail (i32.const 42))"),
        way("thrown", "(throw $tag (i32.const 42))"),
    );
    for engine in engines() {
        let (mut store, linker, _) = throwing_host(&engine);
        let module = Module::new(&engine, &text).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        for name in ["import", "table", "reference", "through", "tail", "thrown"] {
            let f = instance.get_typed_func::<i32, (i64, f64, i32)>(&mut store, name).unwrap();
            for p in [0, -3, 1000] {
                let expected = (12 * i64::from(p) + 66, f64::from(12 * p + 66), 42);
                assert_eq!(f.call(&mut store, p).unwrap(), expected, "{name}");
            }
        }
    }
}

#[test]
fn a_host_function_passes_on_what_it_does_not_catch() {
    struct CountsDrops(Arc<AtomicUsize>);
    impl Drop for CountsDrops {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for engine in engines() {
        let (mut store, mut linker, _) = throwing_host(&engine);
        let drops = Arc::new(AtomicUsize::new(0));
        let counter = drops.clone();
        linker
            .func_wrap("host", "call_back", move |mut caller: Caller<'_, ()>, depth: i32| {
                let _guard = CountsDrops(counter.clone());
                let back = caller.get_export("back").and_then(Extern::into_func).unwrap();
                back.typed::<i32, i32>(&caller)?.call(&mut caller, depth)
            })
            .unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (import "host" "tag" (tag $tag (param i32)))
                (import "host" "throw" (func $throw (param i32)))
                (import "host" "call_back" (func $call_back (param i32) (result i32)))
                (func $back (export "back") (param $depth i32) (result i32)
                    (if (result i32) (i32.eqz (local.get $depth))
                        (then (call $throw (i32.const 5)) (i32.const 0))
                        (else (call $call_back (i32.sub (local.get $depth) (i32.const 1))))))
                (func (export "catches") (param $depth i32) (result i32)
                    (block $caught (result i32)
                        (try_table (result i32) (catch $tag $caught)
                            (call $back (local.get $depth))))))"#,
        )
        .unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let catches = instance.get_typed_func::<i32, i32>(&mut store, "catches").unwrap();
        assert_eq!(catches.call(&mut store, 6).unwrap(), 5);
        assert_eq!(drops.load(Ordering::Relaxed), 6);
        let back = instance.get_typed_func::<i32, i32>(&mut store, "back").unwrap();
        let uncaught = exception(back.call(&mut store, 3));
        assert_eq!(uncaught.values()[0].i32(), Some(5));
        assert_eq!(drops.load(Ordering::Relaxed), 9);
    }
}

#[test]
fn traps_and_errors_and_panics_are_not_caught() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("host", "fails", || Err::<(), _>(std::io::Error::other("broken")))
            .unwrap();
        linker.func_wrap("host", "panics", || -> () { panic!("a panic of the host") }).unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (import "host" "fails" (func $fails))
                (import "host" "panics" (func $panics))
                (func $deep (call $deep))
                (func (export "trap") (block $all (try_table (catch_all $all) unreachable)))
                (func (export "overflow") (block $all (try_table (catch_all $all) (call $deep))))
                (func (export "fails") (block $all (try_table (catch_all $all) (call $fails))))
                (func (export "panics") (block $all (try_table (catch_all $all) (call $panics)))))"#,
        )
        .unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let mut call = |name: &str| {
            let f = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
            f.call(&mut store, ())
        };
        let trap = |result: Result<(), Error>| result.unwrap_err().trap().map(|trap| trap.code);
        assert_eq!(trap(call("trap")), Some(TrapCode::Unreachable));
        assert_eq!(trap(call("overflow")), Some(TrapCode::StackOverflow));
        assert!(call("fails").unwrap_err().downcast_ref::<std::io::Error>().is_some());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call("panics")));
        let payload = panicked.expect_err("the panic goes on");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a panic of the host"));
    }
}

#[test]
fn tags_are_told_apart_by_instance_and_shared_by_import() {
    for engine in engines() {
        let defines = Module::new(
            &engine,
            r#"(module
                (tag $t (export "t") (param i32))
                (func (export "throw") (throw $t (i32.const 1))))"#,
        )
        .unwrap();
        let catches = Module::new(
            &engine,
            r#"(module
                (import "a" "t" (tag $a (param i32)))
                (import "b" "t" (tag $b (param i32)))
                (import "a" "throw" (func $throw_a))
                (import "b" "throw" (func $throw_b))
                (func (export "run") (param $b i32) (result i32)
                    (block $is_a (result i32)
                        (block $is_b (result i32)
                            (try_table (catch $a $is_a) (catch $b $is_b)
                                (if (local.get $b) (then (call $throw_b)) (else (call $throw_a))))
                            (return (i32.const 0)))
                        (return (i32.add (i32.const 20))))
                    (i32.add (i32.const 10))))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        for name in ["a", "b"] {
            let instance = linker.instantiate(&mut store, &defines).unwrap();
            linker.instance(&mut store, name, instance).unwrap();
        }
        let instance = linker.instantiate(&mut store, &catches).unwrap();
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, 0).unwrap(), 11);
        assert_eq!(run.call(&mut store, 1).unwrap(), 21);

        // The same tag twice: the first clause counts.
        let mut linker = Linker::new(&engine);
        let a = Instance::new(&mut store, &defines, &[]).unwrap();
        linker.instance(&mut store, "a", a).unwrap();
        linker.instance(&mut store, "b", a).unwrap();
        let instance = linker.instantiate(&mut store, &catches).unwrap();
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, 1).unwrap(), 11);
    }
}

#[test]
fn the_embedder_can_make_hold_and_throw_references() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let tag = Tag::new(&mut store, &i32_tag());
        let made = Exception::new(&mut store, tag, [Val::I32(9)]).unwrap();
        let reference = ExnRef::new(&mut store, made).unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (func (export "throw") (param exnref) (throw_ref (local.get 0)))
                (func (export "same") (param exnref) (result exnref) (local.get 0)))"#,
        )
        .unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let throw = instance.get_func(&mut store, "throw").unwrap();
        let caught = exception(throw.call(&mut store, &[reference.into()], &mut []));
        assert_eq!(caught.tag(), tag);
        assert_eq!(caught.values()[0].i32(), Some(9));

        let same = instance.get_func(&mut store, "same").unwrap();
        let mut results = [Val::I32(0)];
        same.call(&mut store, &[reference.into()], &mut results).unwrap();
        let Val::ExnRef(Some(back)) = results[0] else { panic!("{results:?}") };
        assert_eq!(back.tag(&store), tag);
        assert_eq!(back.values(&mut store)[0].i32(), Some(9));

        let null = throw.call(&mut store, &[Val::ExnRef(None)], &mut []).unwrap_err();
        assert_eq!(null.trap().map(|trap| trap.code), Some(TrapCode::NullReference));
        // Values must be those of the tag.
        assert!(Exception::new(&mut store, tag, [Val::I64(9)]).is_err());
        assert!(Exception::new(&mut store, tag, []).is_err());
    }
}

#[test]
fn a_dynamic_host_function_throws_into_a_block_that_catches() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let tag = Tag::new(&mut store, &i32_tag());
        let ty = FuncType::new([ValType::I32], [ValType::I32]);
        let host = Func::new(&mut store, ty, move |mut caller, params, results| {
            match params[0].i32() {
                Some(0) => results[0] = Val::I32(100),
                _ => return Err(Exception::new(&mut caller, tag, [params[0]])?.into()),
            }
            Ok(())
        })
        .unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (import "" "tag" (tag $tag (param i32)))
                (import "" "host" (func $host (param i32) (result i32)))
                (func (export "run") (param i32) (result i32)
                    (block $caught (result i32)
                        (try_table (result i32) (catch $tag $caught) (call $host (local.get 0))))))"#,
        )
        .unwrap();
        let imports = [Extern::Tag(tag), Extern::Func(host)];
        let instance = Instance::new(&mut store, &module, &imports).unwrap();
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
        assert_eq!(run.call(&mut store, 0).unwrap(), 100);
        assert_eq!(run.call(&mut store, 3).unwrap(), 3);
    }
}

/// A program cannot catch what ends it: the callback of an epoch and a limiter
/// are no host functions that it calls.
#[test]
fn what_ends_a_program_is_not_caught() {
    struct Refusing(Option<Exception>);
    impl ResourceLimiter for Refusing {
        fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool, Error> {
            self.0.clone().map_or(Ok(true), |exception| Err(exception.into()))
        }
        fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool, Error> {
            self.0.clone().map_or(Ok(true), |exception| Err(exception.into()))
        }
    }

    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine = Engine::new(Config::new().strategy(strategy).epoch_interruption(true));
        let engine = engine.expect("an engine");
        let module = Module::new(
            &engine,
            r#"(module
                (memory 1) (table 1 funcref)
                (func $loops (loop (br 0)))
                (func $grows (drop (memory.grow (i32.const 1))))
                (func $grows_table (drop (table.grow (ref.null func) (i32.const 1))))
                (func (export "loops") (block $all (try_table (catch_all $all) (call $loops))))
                (func (export "grows") (block $all (try_table (catch_all $all) (call $grows))))
                (func (export "grows_table")
                    (block $all (try_table (catch_all $all) (call $grows_table)))))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, Refusing(None));
        store.limiter(|refusing| refusing);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let tag = Tag::new(&mut store, &i32_tag());
        let thrown = Exception::new(&mut store, tag, [Val::I32(7)]).unwrap();
        store.data_mut().0 = Some(thrown.clone());
        store.epoch_deadline_callback(move |_| Err(thrown.clone().into()));
        for (name, deadline) in [("loops", 0), ("grows", 1), ("grows_table", 1)] {
            store.set_epoch_deadline(deadline);
            let run = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
            let ended = exception(run.call(&mut store, ()));
            assert_eq!(ended.values()[0].i32(), Some(7), "{name}");
        }
    }
}

/// Calls list only so many clauses: what is caught farther out is thrown again.
/// Which clause catches must not depend on it.
#[test]
fn the_first_clause_that_fits_catches_among_hundreds() {
    const MANY: usize = 300;
    let tags: String = (0..MANY).map(|i| format!("(tag $t{i} (param i32))")).collect();
    let throws: String = (0..MANY)
        .map(|i| {
            format!("(if (i32.eq (local.get $which) (i32.const {i})) (then (throw $t{i} (local.get $which))))")
        })
        .collect();
    // Each clause adds a thousand times its number to what it has caught.
    let landing = |i: usize, body: &str| {
        format!(
            "(block $b{i} (result i32) {body} (return (i32.const -1)))
             (return (i32.add (i32.const {}))) ",
            i * 1000
        )
    };
    let mut nested = "(call $throws (local.get $which))".to_owned();
    for i in 0..MANY {
        nested = landing(i, &format!("(try_table (catch $t{i} $b{i}) {nested})"));
    }
    // In one block, every other tag is caught twice, and the last clause is for all.
    let clauses: String =
        (0..MANY).map(|i| format!("(catch $t{i} $b{i}) (catch $t{} $b0)", i / 2 * 2)).collect();
    let mut flat = format!(
        "(try_table {clauses} (catch_all $all) (call $throws (local.get $which)))
         (return (i32.const -1))"
    );
    for i in 0..MANY {
        flat = format!(
            "(block $b{i} (result i32) {flat} unreachable)
             (return (i32.add (i32.const {})))",
            i * 1000
        );
    }
    let text = format!(
        "(module {tags}
            (tag $other)
            (func $throws (param $which i32) {throws} (throw $other))
            (func (export \"nested\") (param $which i32) (result i32) {nested})
            (func (export \"flat\") (param $which i32) (result i32)
                (block $all {flat}) (i32.const -2)))"
    );
    for engine in engines() {
        let module = Module::new(&engine, &text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for name in ["nested", "flat"] {
            let f = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
            for which in 0..MANY as i32 {
                assert_eq!(f.call(&mut store, which).unwrap(), 1001 * which, "{name}");
            }
        }
        let f = instance.get_typed_func::<i32, i32>(&mut store, "flat").unwrap();
        assert_eq!(f.call(&mut store, -1).unwrap(), -2);
        let f = instance.get_typed_func::<i32, i32>(&mut store, "nested").unwrap();
        assert_eq!(exception(f.call(&mut store, -1)).values().len(), 0);
    }
}

/// Many calls within many blocks that catch: were each call to list all clauses,
/// this module would take gigabytes to compile.
#[test]
fn many_calls_in_many_blocks_that_catch_are_compiled() {
    const MANY: usize = 1000;
    let tags: String = (0..MANY).map(|i| format!("(tag $t{i})")).collect();
    let clauses: String = (0..MANY).map(|i| format!("(catch $t{i} $out)")).collect();
    let calls = "(call $f)".repeat(MANY);
    let text = format!(
        "(module {tags} (func $f (throw $t{}))
            (func (export \"run\") (block $out (try_table {clauses} {calls}))))",
        MANY - 1
    );
    for engine in engines() {
        let module = Module::new(&engine, &text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        run.call(&mut store, ()).unwrap();
    }
}

/// A program that keeps all its exceptions is stopped, and one that does not is
/// not.
#[test]
fn exceptions_are_limited() {
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module
                (tag $t (param i64 i64 i64 i64 exnref))
                (func $throw (param exnref) (result exnref)
                    (block $caught (result exnref)
                        (try_table (catch_all_ref $caught)
                            (throw $t (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
                                (local.get 0)))
                        unreachable))
                (func (export "run") (param $keep i32) (local $chain exnref) (local $i i32)
                    (loop $again
                        (local.set $chain (call $throw (local.get $chain)))
                        (if (i32.eqz (local.get $keep))
                            (then (local.set $chain (ref.null exn))))
                        (br_if $again
                            (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                      (i32.const 100000))))))"#,
        )
        .unwrap();
        let limits = StoreLimitsBuilder::new().exception_bytes(4 << 20).build();
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<i32, ()>(&mut store, "run").unwrap();
        run.call(&mut store, 0).unwrap();
        for _ in 0..2 {
            let error = run.call(&mut store, 1).unwrap_err();
            assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::ExceptionsExhausted));
        }
    }
}
