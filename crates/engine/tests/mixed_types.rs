//! Functions with up to sixteen parameters and results of mixed types, in both
//! directions and by every kind of call: each value arrives where it belongs,
//! and every kind of error that a closure may return comes out as what it was.

// Without arguments, a tuple of them is a unit.
#![allow(clippy::unused_unit)]

use std::cell::Cell;
use std::fmt::{self, Debug};
use std::io;
use wasmprof_engine::*;

/// A type that functions may take, with values to try it with.
trait Sample: WasmTy + Copy + FromVal {
    const WAT: &'static str;
    fn sample(store: &mut Store<u32>, n: u32) -> Self;
    /// What tells one sample from another.
    fn number(self, store: &mut Store<u32>) -> u64;
    fn val(self) -> Val;
}

macro_rules! plain {
    ($($ty:ty, $wat:literal, |$n:ident| $sample:expr, |$value:ident| $number:expr, $val:expr;)*) => {$(
        impl Sample for $ty {
            const WAT: &'static str = $wat;
            fn sample(_: &mut Store<u32>, $n: u32) -> Self { $sample }
            fn number(self, _: &mut Store<u32>) -> u64 { let $value = self; $number }
            fn val(self) -> Val { let $value = self; $val }
        }
    )*};
}

plain! {
    i32, "i32", |n| -1_000_000 - n as i32, |x| (-1_000_000 - x) as u64, Val::from(x);
    u32, "i32", |n| 0x8000_0000 + n, |x| u64::from(x - 0x8000_0000), Val::from(x as i32);
    i64, "i64", |n| i64::MIN + i64::from(n), |x| (x - i64::MIN) as u64, Val::from(x);
    u64, "i64", |n| u64::MAX - u64::from(n), |x| u64::MAX - x, Val::from(x as i64);
    // Signalling NaNs must pass as they are, too.
    f32, "f32", |n| f32::from_bits(0xffa0_0000 + n), |x| u64::from(x.to_bits() - 0xffa0_0000), Val::from(x);
    f64, "f64", |n| f64::from_bits(0x7ff4_0000_0000_0000 + u64::from(n)), |x| x.to_bits() - 0x7ff4_0000_0000_0000, Val::from(x);
    V128, "v128", |n| V128::from([!0, n, 7, !n]), |x| {
        let [a, n, b, not] = <[u32; 4]>::from(x);
        assert_eq!((a, b, not), (!0, 7, !n));
        n.into()
    }, Val::from(x);
}

impl Sample for Option<Func> {
    const WAT: &'static str = "funcref";
    fn sample(store: &mut Store<u32>, n: u32) -> Self {
        (!n.is_multiple_of(3)).then(|| Func::wrap(store, move || n).expect("a function"))
    }
    fn number(self, store: &mut Store<u32>) -> u64 {
        let Some(func) = self else { return u64::MAX };
        let func = func.typed::<(), u32>(&*store).expect("of this type");
        func.call(store, ()).expect("no trap").into()
    }
    fn val(self) -> Val {
        Val::FuncRef(self)
    }
}

impl Sample for Option<ExternRef> {
    const WAT: &'static str = "externref";
    fn sample(store: &mut Store<u32>, n: u32) -> Self {
        (!n.is_multiple_of(4)).then(|| ExternRef::new(store, n))
    }
    fn number(self, store: &mut Store<u32>) -> u64 {
        let Some(value) = self else { return u64::MAX };
        (*value.data(store).downcast_ref::<u32>().expect("a number")).into()
    }
    fn val(self) -> Val {
        Val::ExternRef(self)
    }
}

/// An error of the embedder's own.
#[derive(Debug)]
struct Own(u32);

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "own {}", self.0)
    }
}

impl std::error::Error for Own {}

thread_local! {
    /// Whether closures fail.
    static FAIL: Cell<bool> = const { Cell::new(false) };
}

fn succeed_or<T, E>(value: T, error: impl FnOnce() -> E) -> Result<T, E> {
    if FAIL.get() { Err(error()) } else { Ok(value) }
}

/// The ways in which compiled code calls the function `h`.
const EXPORTS: [&str; 10] =
    ["direct", "tail", "ref", "tail ref", "indirect", "tail indirect", "try", "again", "wasm", "h"];

fn module(engine: &Engine, types: &[&str]) -> Module {
    let list = types.join(" ");
    let args: String = (0..types.len()).map(|n| format!("(local.get {n})")).collect();
    let wat = format!(
        r#"(module
            (type $t (func (param {list}) (result {list})))
            (import "" "h" (func $h (type $t)))
            (export "h" (func $h))
            (table $table funcref (elem $h $wasm))
            (func $wasm (export "wasm") (type $t) {args})
            (func (export "direct") (type $t) (call $h {args}))
            (func (export "tail") (type $t) (return_call $h {args}))
            (func (export "ref") (type $t) (call_ref $t {args} (ref.func $h)))
            (func (export "tail ref") (type $t) (return_call_ref $t {args} (ref.func $h)))
            (func (export "indirect") (type $t)
                (call_indirect $table (type $t) {args} (i32.const 0)))
            (func (export "tail indirect") (type $t)
                (return_call_indirect $table (type $t) {args} (i32.const 0)))
            (func (export "try") (type $t)
                (block $caught
                    {args}
                    (try_table (type $t) (catch_all $caught) (call $h))
                    (return))
                (unreachable))
            (func (export "again") (type $t) {args} (call $h) (call $h) (call $wasm) (call $h)))"#
    );
    Module::new(engine, wat).expect("valid")
}

/// What all failures are checked for.
type Check = fn(&Error) -> bool;

fn is_own(error: &Error) -> bool {
    error.downcast_ref::<Own>().is_some_and(|own| own.0 == 5)
}

macro_rules! arities {
    ($($name:ident: $($arg:ident $ty:ty),*;)*) => {$(
        #[test]
        fn $name() {
            type Values = ($($ty,)*);
            let types: &[&str] = &[$(<$ty as Sample>::WAT),*];
            for config in [
                Config::new(),
                Config::new().strategy(Strategy::Fast).native_features(false),
            ] {
                let engine = Engine::new(config).expect("an engine");
                let module = module(&engine, types);
                let mut store = Store::new(&engine, 0u32);

                let own: Check = is_own;
                let unreachable: Check =
                    |error| error.trap().is_some_and(|trap| trap.code == TrapCode::Unreachable);
                let not_found: Check = |error| {
                    let error = error.downcast_ref::<io::Error>();
                    error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
                };
                // Each with what it fails with, and how often it counts itself.
                let functions = [
                    (Func::wrap(&mut store, |$($arg: $ty),*| ($($arg,)*)), None, 0),
                    (Func::wrap(&mut store, |mut caller: Caller<'_, u32>, $($arg: $ty),*| {
                        *caller.data_mut() += 1;
                        ($($arg,)*)
                    }), None, 1),
                    (Func::wrap(&mut store, |$($arg: $ty),*| {
                        succeed_or(($($arg,)*), || Trap::new(TrapCode::Unreachable))
                    }), Some(unreachable), 0),
                    (Func::wrap(&mut store, |mut caller: Caller<'_, u32>, $($arg: $ty),*| {
                        *caller.data_mut() += 1;
                        succeed_or(($($arg,)*), || TrapCode::Unreachable)
                    }), Some(unreachable), 1),
                    (Func::wrap(&mut store, |$($arg: $ty),*| {
                        succeed_or(($($arg,)*), || Error::new(Own(5)))
                    }), Some(own), 0),
                    (Func::wrap(&mut store, |$($arg: $ty),*| {
                        succeed_or(($($arg,)*), || Own(5))
                    }), Some(own), 0),
                    #[cfg(feature = "anyhow")]
                    (Func::wrap(&mut store, |mut caller: Caller<'_, u32>, $($arg: $ty),*| {
                        *caller.data_mut() += 1;
                        succeed_or(($($arg,)*), || anyhow::Error::new(Own(5)).context("around"))
                    }), Some(own), 1),
                    (Func::wrap(&mut store, |$($arg: $ty),*| {
                        succeed_or(($($arg,)*), || BoxError::from(Own(5)))
                    }), Some(own), 0),
                    (Func::wrap(&mut store, |$($arg: $ty),*| {
                        succeed_or(($($arg,)*), || io::Error::from(io::ErrorKind::NotFound))
                    }), Some(not_found), 0),
                    (Func::new(
                        &mut store,
                        FuncType::new(
                            [$(<$ty as WasmTy>::TYPE),*],
                            [$(<$ty as WasmTy>::TYPE),*],
                        ),
                        |mut caller: Caller<'_, u32>, args: &[Val], results: &mut [Val]| {
                            *caller.data_mut() += 1;
                            results.copy_from_slice(args);
                            succeed_or((), || Error::new(Own(5)))
                        },
                    ), Some(own), 1),
                ];
                let mut numbers = 1..;
                $(let $arg: $ty = Sample::sample(&mut store, numbers.next().expect("endless"));)*
                numbers.next();
                let expected: Vec<u64> = vec![$($arg.number(&mut store)),*];

                for (at, (function, fails_with, counts)) in functions.into_iter().enumerate() {
                    let function = function.expect("a function");
                    let imports = [function.into()];
                    let instance = Instance::new(&mut store, &module, &imports).expect("linked");
                    for export in EXPORTS {
                        let typed = instance
                            .get_typed_func::<Values, Values>(&mut store, export)
                            .expect("of this type");
                        for fail in [false, true, false] {
                            FAIL.set(fail);
                            *store.data_mut() = 0;
                            let result = typed.call(&mut store, ($($arg,)*));
                            FAIL.set(false);
                            let calls = match export {
                                "wasm" => 0,
                                "again" if !fail || fails_with.is_none() => 3,
                                _ => 1,
                            };
                            assert_eq!(*store.data(), calls * counts, "{at} {export}");
                            match (result, fails_with) {
                                (Err(error), Some(check)) if fail && export != "wasm" => {
                                    assert!(check(&error), "{at} {export}: {error:?}");
                                }
                                (Ok(values), _) => {
                                    assert!(!fail || fails_with.is_none() || export == "wasm");
                                    let ($($arg,)*) = values;
                                    let numbers: Vec<u64> = vec![$($arg.number(&mut store)),*];
                                    assert_eq!(numbers, expected, "{at} {export}");
                                }
                                (Err(error), _) => panic!("{at} {export}: {error:?}"),
                            }
                        }
                        // The same without types.
                        let func = instance.get_func(&mut store, export).expect("exported");
                        let args: Vec<Val> = vec![$($arg.val()),*];
                        let mut results = vec![Val::I32(0); args.len()];
                        func.call(&mut store, &args, &mut results).expect("no trap");
                        let mut results = results.into_iter().fuse();
                        let numbers: Vec<u64> = vec![$(
                            same::<$ty>(results.next().expect("a result")).number(&mut store)
                        ),*];
                        assert_eq!(numbers, expected, "{at} {export}");
                        let _ = results.next();
                    }
                }
            }
        }
    )*};
}

/// A value of a type that Rust knows, from one whose type it does not.
fn same<T: FromVal>(value: Val) -> T {
    T::from_val(value)
}

trait FromVal {
    fn from_val(value: Val) -> Self;
}

macro_rules! from_val {
    ($($ty:ty, $pattern:pat => $result:expr;)*) => {$(
        impl FromVal for $ty {
            fn from_val(value: Val) -> $ty {
                match value {
                    $pattern => $result,
                    other => panic!("a value of another type: {other:?}"),
                }
            }
        }
    )*};
}

from_val! {
    i32, Val::I32(x) => x;
    u32, Val::I32(x) => x as u32;
    i64, Val::I64(x) => x;
    u64, Val::I64(x) => x as u64;
    f32, Val::F32(x) => f32::from_bits(x);
    f64, Val::F64(x) => f64::from_bits(x);
    V128, Val::V128(x) => x.into();
    Option<Func>, Val::FuncRef(x) => x;
    Option<ExternRef>, Val::ExternRef(x) => x;
}

type F = Option<Func>;
type E = Option<ExternRef>;

arities! {
    of_none:;
    of_1: a V128;
    of_1_reference: a F;
    of_2: a f32, b i64;
    of_2_vectors: a V128, b V128;
    of_3: a i32, b V128, c F;
    of_4: a E, b f64, c u32, d V128;
    of_5: a f32, b f64, c f32, d f64, e f32;
    of_6: a i32, b i64, c u32, d u64, e i32, f i64;
    of_7: a i64, b i32, c E, d u64, e F, f i32, g u32;
    of_8: a V128, b V128, c V128, d V128, e V128, f V128, g V128, h V128;
    of_9: a V128, b f32, c V128, d f64, e V128, f f32, g V128, h f64, i V128;
    of_10: a i32, b f32, c i64, d f64, e F, f V128, g E, h u32, i u64, j V128;
    of_11: a f64, b f64, c f64, d f64, e f64, f f64, g f64, h f64, i f64, j f32, k i32;
    of_12: a i32, b i32, c i32, d i32, e i32, f i32, g i32, h f32, i f32, j V128, k E, l F;
    of_13: a F, b F, c F, d F, e F, f F, g F, h E, i E, j E, k E, l E, m E;
    of_14: a V128, b i32, c V128, d i64, e V128, f i32, g V128, h i64, i V128, j i32, k V128, l i64, m V128, n f32;
    of_15: a i32, b i64, c f32, d f64, e V128, f F, g E, h u32, i u64, j i32, k f32, l f64, m V128, n F, o E;
    of_16: a E, b V128, c f32, d i32, e F, f f64, g u64, h V128, i i64, j f32, k u32, l E, m V128, n F, o f64, p i32;
    of_16_vectors: a V128, b V128, c V128, d V128, e V128, f V128, g V128, h V128, i V128, j V128, k V128, l V128, m V128, n V128, o V128, p V128;
}

/// Fewer results than parameters, and more: neither depends on the other.
#[test]
fn parameters_and_results_differ_in_number() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(
        &engine,
        r#"(module
            (import "" "most" (func $most (param f32 v128 i32 f64 i64 f32 v128 i32 f64 i64 f32 v128 i32 f64 i64 f32) (result v128)))
            (import "" "least" (func $least (param v128) (result f32 v128 i32 f64 i64 f32 v128 i32 f64 i64 f32 v128 i32 f64 i64 f32)))
            (func (export "round") (param v128) (result v128)
                (call $most (call $least (call $most (call $least (local.get 0))))))
            (func (export "tail") (param v128) (result v128)
                (return_call $most (call $least (local.get 0)))))"#,
    )?;
    let mut store = Store::new(&engine, ());
    #[allow(clippy::type_complexity)]
    let least = Func::wrap(&mut store, |v: V128| -> Result<_, Own> {
        let n = u128::from(v) as i32;
        Ok((
            n as f32,
            v,
            n + 1,
            f64::from(n + 2),
            i64::from(n + 3),
            (n + 4) as f32,
            v,
            n + 5,
            f64::from(n + 6),
            i64::from(n + 7),
            (n + 8) as f32,
            v,
            n + 9,
            f64::from(n + 10),
            i64::from(n + 11),
            (n + 12) as f32,
        ))
    })?;
    #[allow(clippy::too_many_arguments)]
    fn most(
        a: f32,
        b: V128,
        c: i32,
        d: f64,
        e: i64,
        f: f32,
        g: V128,
        h: i32,
        i: f64,
        j: i64,
        k: f32,
        l: V128,
        m: i32,
        n: f64,
        o: i64,
        p: f32,
    ) -> V128 {
        assert_eq!((b, b), (g, l));
        let first = u128::from(b) as i64;
        assert_eq!(a as i64, first);
        let rest = [
            c as i64, d as i64, e, f as i64, h as i64, i as i64, j, k as i64, m as i64, n as i64,
            o, p as i64,
        ];
        for (at, value) in (1..).zip(rest) {
            assert_eq!(value, first + at);
        }
        V128::from(u128::from(b) + 1)
    }
    let most = Func::wrap(&mut store, most)?;
    let instance = Instance::new(&mut store, &module, &[most.into(), least.into()])?;
    let start = V128::from(7 << 64 | 100);
    let round = instance.get_typed_func::<V128, V128>(&mut store, "round")?;
    assert_eq!(u128::from(round.call(&mut store, start)?), 7 << 64 | 102);
    let tail = instance.get_typed_func::<V128, V128>(&mut store, "tail")?;
    assert_eq!(u128::from(tail.call(&mut store, start)?), 7 << 64 | 101);
    Ok(())
}
