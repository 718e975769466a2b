//! Closures of every shape: up to sixteen parameters and results, with and
//! without the caller, infallible or not.

use wasmprof_engine::*;

/// What `f` gives when it calls the closure with 1, 2, 3 and so on.
fn call<R, P, S>(params: usize, results: usize, closure: impl IntoFunc<u64, P, S>) -> (R, u64)
where
    R: WasmResults,
{
    let types = |name: &str, count: usize| format!("({name} {})", "i64 ".repeat(count));
    let args: String = (1..=params).map(|n| format!("(i64.const {n})")).collect();
    let wat = format!(
        r#"(module
            (import "" "h" (func $h {} {}))
            (func (export "f") {} (call $h {args})))"#,
        types("param", params),
        types("result", results),
        types("result", results),
    );
    let engine = Engine::new(Config::new()).expect("an engine");
    let module = Module::new(&engine, wat).expect("valid");
    let mut linker = Linker::new(&engine);
    linker.func_wrap("", "h", closure).expect("a new name");
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module).expect("linked");
    let f = instance.get_typed_func::<(), R>(&mut store, "f").expect("of this type");
    let result = f.call(&mut store, ()).expect("no trap");
    (result, store.into_data())
}

/// A number in which each argument has its place.
fn mix(args: &[i64]) -> i64 {
    args.iter().fold(7, |mixed, arg| mixed * 3 + arg)
}

macro_rules! number {
    ($ignored:ident) => {
        i64
    };
}

macro_rules! arities {
    ($($name:ident: $($arg:ident)*;)*) => {$(
        #[test]
        fn $name() {
            let count = <[&str]>::len(&[$(stringify!($arg)),*]);
            let numbers: Vec<i64> = (1..=count as i64).collect();
            let expected = mix(&numbers);

            let (mixed, calls) = call::<i64, _, _>(count, 1, |$($arg: i64),*| mix(&[$($arg),*]));
            assert_eq!((mixed, calls), (expected, 0));
            let (mixed, calls) = call::<i64, _, _>(
                count,
                1,
                |mut caller: Caller<'_, u64>, $($arg: i64),*| {
                    *caller.data_mut() += 1;
                    mix(&[$($arg),*])
                },
            );
            assert_eq!((mixed, calls), (expected, 1));
            let fallible = |$($arg: i64),*| -> Result<i64, Trap> { Ok(mix(&[$($arg),*])) };
            assert_eq!(call::<i64, _, _>(count, 1, fallible).0, expected);
            let ((), calls) = call::<(), _, _>(
                count,
                0,
                move |mut caller: Caller<'_, u64>, $($arg: i64),*| {
                    *caller.data_mut() = mix(&[$($arg),*]) as u64;
                },
            );
            assert_eq!(calls, expected as u64);

            // The arguments come back as results, in their order.
            let (results, _) =
                call::<($(number!($arg),)*), _, _>(count, count, |$($arg: i64),*| ($($arg,)*));
            let ($($arg,)*) = results;
            assert_eq!(mix(&[$($arg),*]), expected);
            let fallible = |_: Caller<'_, u64>, $($arg: i64),*| -> Result<_, BoxError> {
                Ok(($($arg,)*))
            };
            let (results, _) = call::<($(number!($arg),)*), _, _>(count, count, fallible);
            let ($($arg,)*) = results;
            assert_eq!(mix(&[$($arg),*]), expected);
        }
    )*};
}

arities! {
    no_parameters:;
    one_parameter: a;
    two_parameters: a b;
    three_parameters: a b c;
    four_parameters: a b c d;
    five_parameters: a b c d e;
    six_parameters: a b c d e f;
    seven_parameters: a b c d e f g;
    eight_parameters: a b c d e f g h;
    nine_parameters: a b c d e f g h i;
    ten_parameters: a b c d e f g h i j;
    eleven_parameters: a b c d e f g h i j k;
    twelve_parameters: a b c d e f g h i j k l;
    thirteen_parameters: a b c d e f g h i j k l m;
    fourteen_parameters: a b c d e f g h i j k l m n;
    fifteen_parameters: a b c d e f g h i j k l m n o;
    sixteen_parameters: a b c d e f g h i j k l m n o p;
}

/// A closure that captures, one that does not, and a plain function.
#[test]
fn functions_and_closures_are_wrapped_alike() -> Result<(), Error> {
    fn plain(x: i32) -> i32 {
        x + 1
    }
    let engine = Engine::new(Config::new())?;
    let mut store = Store::new(&engine, ());
    let by = 40;
    let text = String::from("kept");
    for func in [
        Func::wrap(&mut store, plain)?,
        Func::wrap(&mut store, |x: i32| x + 1)?,
        Func::wrap(&mut store, move |x: i32| x + by - 39 + (text.len() as i32 - 4))?,
    ] {
        assert_eq!(func.typed::<i32, i32>(&store)?.call(&mut store, 4)?, 5);
        assert_eq!(func.ty(&store), FuncType::new([ValType::I32], [ValType::I32]));
    }
    Ok(())
}

/// References that are never null need no `Option`, in types that say so.
#[test]
fn references_without_null_are_passed_as_they_are() -> Result<(), Error> {
    let wat = r#"(module
        (import "" "call" (func $call (param (ref func) i32) (result i32)))
        (import "" "pick" (func $pick (param i32) (result (ref func))))
        (import "" "both" (func $both (param (ref extern)) (result (ref extern) (ref func))))
        (elem declare func $triple)
        (func $triple (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
        (func (export "call") (param i32) (result i32)
            (call $call (ref.func $triple) (local.get 0)))
        (func (export "pick") (param i32) (result (ref func)) (call $pick (local.get 0)))
        (func (export "both") (param (ref extern)) (result (ref extern) (ref func))
            (call $both (local.get 0))))"#;
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine = Engine::new(Config::new().strategy(strategy))?;
        let module = Module::new(&engine, wat)?;
        let mut store = Store::new(&engine, ());
        let double = Func::wrap(&mut store, |x: i32| x * 2)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("", "call", |mut caller: Caller<'_, ()>, func: Func, x: i32| {
            func.typed::<i32, i32>(&caller)?.call(&mut caller, x)
        })?;
        linker.func_wrap("", "pick", move |x: i32| -> Result<Func, Trap> {
            if x == 0 { Err(Trap::new(TrapCode::Unreachable)) } else { Ok(double) }
        })?;
        linker.func_wrap("", "both", move |it: ExternRef| (it, double))?;
        let instance = linker.instantiate(&mut store, &module)?;

        let call = instance.get_typed_func::<i32, i32>(&mut store, "call")?;
        assert_eq!(call.call(&mut store, 5)?, 15);
        let pick = instance.get_typed_func::<i32, Func>(&mut store, "pick")?;
        let picked = pick.call(&mut store, 1)?;
        assert_eq!(picked.typed::<i32, i32>(&store)?.call(&mut store, 4)?, 8);
        assert!(pick.call(&mut store, 0).is_err());
        let both = instance.get_typed_func::<ExternRef, (ExternRef, Func)>(&mut store, "both")?;
        let text = ExternRef::new(&mut store, "a text");
        let (text, func) = both.call(&mut store, text)?;
        assert_eq!(text.data(&store).downcast_ref(), Some(&"a text"));
        assert_eq!(func.typed::<i32, i32>(&store)?.call(&mut store, 3)?, 6);
        // They are other types than those with null.
        assert!(instance.get_typed_func::<i32, Option<Func>>(&mut store, "pick").is_err());
    }
    Ok(())
}
