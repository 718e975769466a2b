//! Calls between instances of a store, and references to their functions.

use wasmprof_engine::{
    Caller, Config, Engine, Error, Extern, Func, FuncType, Global, GlobalType, HeapType, Instance,
    Linker, Module, RefType, Store, Strategy, Table, TableType, TrapCode, TypeId, Val, ValType,
};

fn engines() -> [Engine; 2] {
    [Strategy::Optimized, Strategy::Fast]
        .map(|strategy| Engine::new(Config::new().strategy(strategy)).expect("an engine"))
}

fn trap_of<T: std::fmt::Debug>(result: Result<T, Error>) -> Option<TrapCode> {
    result.expect_err("it traps").trap().map(|trap| trap.code)
}

/// Two instances that call each other a million times by tail calls, directly
/// and through a table and a reference: the stack does not grow. Arguments of
/// which some are on the stack keep their values.
#[test]
fn tail_calls_between_instances_take_no_stack() {
    let other = r#"(module
        (type $f (func (param i32 i64 i64 i64 i64 i64 f64 f32 i64) (result i64)))
        (type $back (func (param i32 i64 i64 i64 i64 i64 f64 f32 i64) (result i64)))
        (table (export "table") 1 funcref)
        (func (export "turn") (param i32 i64 i64 i64 i64 i64 f64 f32 i64) (result i64)
            (return_call_indirect (type $back)
                (local.get 0) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                (local.get 1) (local.get 6) (local.get 7)
                (i64.add (local.get 8) (i64.const 1)) (i32.const 0))))"#;
    let main = r#"(module
        (type $f (func (param i32 i64 i64 i64 i64 i64 f64 f32 i64) (result i64)))
        (import "other" "turn" (func $turn (type $f)))
        (import "other" "table" (table 1 funcref))
        (elem (table 0) (i32.const 0) func $run)
        (elem declare func $turn)
        (func $run (export "run") (type $f)
            (if (i32.eqz (local.get 0))
                (then (return (i64.add (local.get 8)
                    (i64.add (i64.mul (local.get 1) (i64.const 10000))
                    (i64.add (i64.mul (local.get 2) (i64.const 1000))
                        (i64.trunc_f64_s (f64.add (local.get 6) (f64.promote_f32 (local.get 7))))))))))
            (if (i32.and (local.get 0) (i32.const 1))
                (then (return_call $turn (i32.sub (local.get 0) (i32.const 1)) (local.get 1)
                    (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
                    (local.get 7) (local.get 8))))
            (return_call_ref $f (i32.sub (local.get 0) (i32.const 1)) (local.get 1)
                (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
                (local.get 7) (local.get 8) (ref.func $turn))))"#;
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let other = linker.instantiate(&mut store, &Module::new(&engine, other).unwrap()).unwrap();
        linker.instance(&mut store, "other", other).unwrap();
        let main = linker.instantiate(&mut store, &Module::new(&engine, main).unwrap()).unwrap();
        let run = main
            .get_typed_func::<(i32, i64, i64, i64, i64, i64, f64, f32, i64), i64>(&mut store, "run")
            .unwrap();
        let args = (1_000_000, 1, 2, 3, 4, 5, 60.0, 7.0, 0);
        // After a multiple of five turns, the five are in order again.
        assert_eq!(run.call(&mut store, args).unwrap(), 1_000_000 + 10_000 + 2_000 + 67);
        let args = (3, 1, 2, 3, 4, 5, 60.0, 7.0, 0);
        assert_eq!(run.call(&mut store, args).unwrap(), 3 + 40_000 + 5_000 + 67);
    }
}

/// A tail call of a host function is a call and a return, however it is reached.
#[test]
fn tail_calls_of_host_functions() {
    let text = r#"(module
        (type $f (func (param i32 i32) (result i32 i64 f32)))
        (import "host" "f" (func $f (type $f)))
        (table funcref (elem $f))
        (func (export "import") (type $f) (return_call $f (local.get 0) (local.get 1)))
        (func (export "table") (type $f)
            (return_call_indirect (type $f) (local.get 0) (local.get 1) (i32.const 0)))
        (func (export "reference") (type $f)
            (return_call_ref $f (local.get 0) (local.get 1) (ref.func $f))))"#;
    for engine in engines() {
        let mut store = Store::new(&engine, 0);
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("host", "f", |mut caller: Caller<'_, i32>, a: i32, b: i32| {
                *caller.data_mut() += 1;
                // The calling instance is known, whichever way the call came.
                assert!(caller.get_export("import").is_some());
                (a - b, i64::from(a), b as f32)
            })
            .unwrap();
        let module = Module::new(&engine, text).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        for name in ["import", "table", "reference"] {
            let f = instance.get_typed_func::<(i32, i32), (i32, i64, f32)>(&mut store, name);
            assert_eq!(f.unwrap().call(&mut store, (7, 3)).unwrap(), (4, 7, 3.0), "{name}");
        }
        assert_eq!(*store.data(), 3);
    }
}

/// An import may be a host function for one instance and compiled code for
/// another of the same module.
#[test]
fn one_module_with_imports_of_both_kinds() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let module = Module::new(
            &engine,
            r#"(module
                (import "" "f" (func $f (param i32) (result i32)))
                (export "f" (func $f))
                (func (export "run") (param i32) (result i32)
                    (i32.mul (call $f (local.get 0)) (i32.const 10))))"#,
        )
        .unwrap();
        let host = Func::wrap(&mut store, |x: i32| x + 1).unwrap();
        let mut f = host;
        let mut expected = 2;
        for _ in 0..4 {
            let instance = Instance::new(&mut store, &module, &[Extern::Func(f)]).unwrap();
            let run = instance.get_func(&mut store, "run").unwrap();
            let typed = run.typed::<i32, i32>(&store).unwrap();
            expected *= 10;
            assert_eq!(typed.call(&mut store, 1).unwrap(), expected);
            // An import that is exported again is the same function.
            let again = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
            assert_eq!(again.call(&mut store, 1).unwrap(), expected / 10);
            f = run;
        }
    }
}

/// Guest, host, guest and so on, in instances of their own; the innermost traps,
/// and each host function may take the trap for an answer.
#[test]
fn nested_entries_end_one_by_one() {
    for engine in engines() {
        let mut store = Store::new(&engine, Vec::new());
        let mut linker: Linker<Vec<i32>> = Linker::new(&engine);
        linker
            .func_wrap("host", "enter", |mut caller: Caller<'_, Vec<i32>>, depth: i32| {
                caller.data_mut().push(depth);
                let run = caller.get_export("run").and_then(Extern::into_func).unwrap();
                let result = run.typed::<i32, i32>(&caller)?.call(&mut caller, depth - 1);
                match result {
                    // Every other one lets the trap go on.
                    Err(error) if depth % 2 == 0 => Err(error),
                    Err(error) => {
                        let frames = error.backtrace().unwrap().frames().len() as i32;
                        Ok(frames)
                    }
                    Ok(value) => Ok(value),
                }
            })
            .unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (import "host" "enter" (func $enter (param i32) (result i32)))
                (func (export "run") (param i32) (result i32)
                    (if (i32.eqz (local.get 0)) (then unreachable))
                    (call $enter (local.get 0))))"#,
        )
        .unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
        // The trap is caught at depth 1, with the frames of depths 0 to 5.
        assert_eq!(run.call(&mut store, 5).unwrap(), 6);
        assert_eq!(*store.data(), [5, 4, 3, 2, 1]);
        assert_eq!(trap_of(run.call(&mut store, 0)), Some(TrapCode::Unreachable));
    }
}

#[test]
fn references_have_the_types_of_their_functions() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let module = Module::new(
            &engine,
            r#"(module
                (type $unary (func (param i32) (result i32)))
                (table $typed (export "typed") 2 (ref null $unary))
                (table $filled 3 (ref $unary) (ref.func $double))
                (global $double (export "double") (ref $unary) (ref.func $double))
                (func $double (type $unary) (i32.mul (local.get 0) (i32.const 2)))
                (func (export "table") (param i32 i32) (result i32)
                    (call_indirect $typed (type $unary) (local.get 1) (local.get 0)))
                (func (export "filled") (param i32 i32) (result i32)
                    (call_indirect $filled (type $unary) (local.get 1) (local.get 0)))
                (func (export "reference") (param (ref null $unary) i32) (result i32)
                    (call_ref $unary (local.get 1) (local.get 0)))
                (func (export "or_zero") (param (ref null $unary) i32) (result i32)
                    (block $null
                        (return (call_ref $unary (local.get 1) (br_on_null $null (local.get 0)))))
                    (i32.const 0))
                (func (export "checked") (param (ref null $unary)) (result (ref $unary))
                    (ref.as_non_null (local.get 0))))"#,
        )
        .unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let unary = TypeId::of(&FuncType::new([ValType::I32], [ValType::I32]));
        let nullable = RefType { nullable: true, heap: HeapType::Concrete(unary) };
        let not_null = RefType { nullable: false, ..nullable };

        let triple = Func::wrap(&mut store, |x: i32| 3 * x).unwrap();
        let other = Func::wrap(&mut store, |x: i64| x).unwrap();
        let typed = instance.get_table(&mut store, "typed").unwrap();
        assert_eq!(typed.ty(&store).element, nullable);
        assert!(typed.set(&mut store, 0, other.into()).is_err());
        typed.set(&mut store, 0, triple.into()).unwrap();

        let table = instance.get_typed_func::<(i32, i32), i32>(&mut store, "table").unwrap();
        assert_eq!(table.call(&mut store, (0, 5)).unwrap(), 15);
        assert_eq!(trap_of(table.call(&mut store, (1, 5))), Some(TrapCode::UninitializedElement));
        assert_eq!(trap_of(table.call(&mut store, (2, 5))), Some(TrapCode::UndefinedElement));
        let filled = instance.get_typed_func::<(i32, i32), i32>(&mut store, "filled").unwrap();
        assert_eq!(filled.call(&mut store, (2, 5)).unwrap(), 10);

        let mut call = |name: &str, args: &[Val]| {
            let mut results = [Val::I32(0)];
            let func = instance.get_func(&mut store, name).unwrap();
            func.call(&mut store, args, &mut results).map(|()| results[0])
        };
        let null = Val::FuncRef(None);
        let five = Val::I32(5);
        assert_eq!(call("reference", &[triple.into(), five]).unwrap().i32(), Some(15));
        let null_call = call("reference", &[null, five]);
        assert_eq!(trap_of(null_call), Some(TrapCode::NullFunctionReference));
        // A function of another type is refused before anything runs.
        assert!(matches!(call("reference", &[other.into(), five]), Err(Error::Link(_))));
        assert_eq!(call("or_zero", &[triple.into(), five]).unwrap().i32(), Some(15));
        assert_eq!(call("or_zero", &[null, five]).unwrap().i32(), Some(0));
        assert_eq!(trap_of(call("checked", &[null])), Some(TrapCode::NullReference));
        assert!(matches!(call("checked", &[triple.into()]).unwrap(), Val::FuncRef(Some(_))));

        let ty = GlobalType { content: ValType::Ref(not_null), mutable: true };
        assert!(Global::new(&mut store, ty, null).is_err());
        let global = Global::new(&mut store, ty, triple.into()).unwrap();
        assert!(global.set(&mut store, null).is_err());
        let ty = TableType::new(not_null, 1, None);
        assert!(Table::new(&mut store, ty, null).is_err());
        let table = Table::new(&mut store, ty, triple.into()).unwrap();
        assert!(table.grow(&mut store, 1, null).is_err());
        assert_eq!(table.size(&store), 1);
    }
}

/// Equal types are equal across modules, and others are not, wherever they are
/// compared: at imports, in tables, by calls.
#[test]
fn types_are_compared_across_modules() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let defines = Module::new(
            &engine,
            r#"(module
                (type $i (func (param i32)))
                (type $takes (func (param (ref null $i))))
                (func (export "f") (type $takes))
                (func (export "g") (type $i))
                (table (export "t") 1 (ref null $takes)))"#,
        )
        .unwrap();
        let instance = linker.instantiate(&mut store, &defines).unwrap();
        linker.instance(&mut store, "m", instance).unwrap();
        let mut fits = |text: &str| {
            let module = Module::new(&engine, text).unwrap();
            linker.instantiate(&mut store, &module).map(drop)
        };
        fits(
            r#"(module
                (type $other (func (param f32)))
                (type $same (func (param i32)))
                (type $takes (func (param (ref null $same))))
                (import "m" "f" (func (type $takes)))
                (import "m" "t" (table 1 (ref null $takes))))"#,
        )
        .unwrap();
        for other in [
            r#"(module (type $i (func (param f32))) (type $takes (func (param (ref null $i))))
                (import "m" "f" (func (type $takes))))"#,
            r#"(module (type $i (func (param i32))) (type $takes (func (param (ref $i))))
                (import "m" "f" (func (type $takes))))"#,
            r#"(module (type $i (func (param i32)))
                (import "m" "t" (table 1 (ref null $i))))"#,
            r#"(module (import "m" "t" (table 1 funcref)))"#,
        ] {
            assert!(matches!(fits(other), Err(Error::Link(_))), "{other}");
        }
    }
}

/// Initial contents of 64 KiB and more are mapped from a file, most of which may
/// be a hole: larger than what the system has, it takes no more than its bytes.
#[test]
fn initial_contents_may_be_far_apart() {
    for engine in engines() {
        let (pages, last) = (1_u64 << 24, (1_u64 << 40) - 8);
        let many = "x".repeat(70_000);
        let module = format!(
            r#"(module
                (memory i64 {pages})
                (data (i64.const 0) "{many}")
                (data (i64.const {last}) "abcdefgh")
                (func (export "last") (result i64) (i64.load (i64.const {last}))))"#
        );
        let module = Module::new(&engine, module).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let last = instance.get_typed_func::<(), u64>(&mut store, "last").unwrap();
        assert_eq!(last.call(&mut store, ()).unwrap().to_le_bytes(), *b"abcdefgh");
    }
}
