//! Vectors at the border between the host and compiled code: arguments in
//! registers and on the stack, results one by one and by address, globals.

use wasmprof_engine::*;

/// Both strategies, with and without what the processor has beyond the base.
fn engines() -> impl Iterator<Item = Engine> {
    let ways = [Strategy::Optimized, Strategy::Fast].map(|strategy| {
        [true, false].map(|native| Config::new().strategy(strategy).native_features(native))
    });
    ways.into_iter().flatten().map(|config| Engine::new(config).expect("an engine"))
}

fn vector(lane: i32) -> V128 {
    V128::from([lane, lane + 1, lane + 2, lane + 3])
}

/// What `$f` gets in [`MANY`], in the order of its parameters.
type Many =
    (i32, V128, f32, V128, i64, V128, f64, V128, V128, i32, i64, i32, V128, V128, V128, V128);

/// Five integers and eleven floats and vectors: one of the integers and three of
/// the vectors find no register, with a gap on the stack between them.
const MANY: &str = r#"(module
    (type $many (func
        (param i32 v128 f32 v128 i64 v128 f64 v128 v128 i32 i64 i32 v128 v128 v128 v128)
        (result v128)))
    (import "" "f" (func $f (type $many)))
    (table (export "t") 2 2 funcref)
    (elem (i32.const 0) $f)
    (func (export "call") (type $many)
        local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6
        local.get 7 local.get 8 local.get 9 local.get 10 local.get 11 local.get 12 local.get 13
        local.get 14 local.get 15
        call $f)
    (func (export "indirect") (type $many)
        local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6
        local.get 7 local.get 8 local.get 9 local.get 10 local.get 11 local.get 12 local.get 13
        local.get 14 local.get 15
        i32.const 0 call_indirect (type $many))
    (func (export "tail") (type $many)
        local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6
        local.get 7 local.get 8 local.get 9 local.get 10 local.get 11 local.get 12 local.get 13
        local.get 14 local.get 15
        i32.const 1 return_call_indirect (type $many)))"#;

fn many() -> Many {
    (
        -1,
        vector(100),
        1.5,
        vector(200),
        i64::MIN,
        vector(300),
        -2.5,
        vector(400),
        vector(500),
        77,
        i64::MAX,
        i32::MAX,
        vector(600),
        vector(700),
        vector(800),
        vector(900),
    )
}

#[expect(clippy::too_many_arguments)]
fn check_many(
    a: i32,
    b: V128,
    c: f32,
    d: V128,
    e: i64,
    f: V128,
    g: f64,
    h: V128,
    i: V128,
    j: i32,
    k: i64,
    l: i32,
    m: V128,
    n: V128,
    o: V128,
    p: V128,
) -> V128 {
    let halves = |(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p): Many| {
        ((a, b, c, d, e, f, g, h), (i, j, k, l, m, n, o, p))
    };
    let found = (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
    assert_eq!(halves(found), halves(many()));
    V128::from([1.0f32, 2.0, 3.0, 4.0])
}

/// The same as [`check_many`] for a function whose type Rust does not know.
fn check_many_values(params: &[Val]) -> Val {
    let v = |at: usize| params[at].v128().expect("a vector");
    let i = |at: usize| params[at].i32().expect("an i32");
    let l = |at: usize| params[at].i64().expect("an i64");
    let (f, d) = (params[2].f32().expect("an f32"), params[6].f64().expect("an f64"));
    check_many(
        i(0),
        v(1),
        f,
        v(3),
        l(4),
        v(5),
        d,
        v(7),
        v(8),
        i(9),
        l(10),
        i(11),
        v(12),
        v(13),
        v(14),
        v(15),
    )
    .into()
}

#[test]
fn many_arguments_with_others_between() -> Result<(), Error> {
    for engine in engines() {
        let module = Module::new(&engine, MANY)?;
        for dynamic in [false, true] {
            let mut store = Store::new(&engine, ());
            let f = if dynamic {
                let ExternType::Func(ty) = module.imports().next().expect("an import").ty().clone()
                else {
                    panic!("a function is imported")
                };
                Func::new(&mut store, ty, |_, params, results| {
                    results[0] = check_many_values(params);
                    Ok(())
                })?
            } else {
                Func::wrap(&mut store, check_many)?
            };
            let instance = Instance::new(&mut store, &module, &[f.into()])?;
            // Another reference: one that no import has been made from.
            let other = Func::wrap(&mut store, check_many)?;
            instance.get_table(&mut store, "t").expect("exported").set(
                &mut store,
                1,
                other.into(),
            )?;
            let expected = V128::from([1.0f32, 2.0, 3.0, 4.0]);
            for name in ["call", "indirect", "tail"] {
                let call = instance.get_typed_func::<Many, V128>(&mut store, name)?;
                assert_eq!(call.call(&mut store, many())?, expected, "{name}, {dynamic}");
            }
            assert_eq!(f.typed::<Many, V128>(&store)?.call(&mut store, many())?, expected);
        }
    }
    Ok(())
}

#[test]
fn results_one_by_one_and_by_address() -> Result<(), Error> {
    const WAT: &str = r#"(module
        (import "" "none" (func $none (param v128)))
        (import "" "one" (func $one (result v128)))
        (import "" "result" (func $result (param v128 i32) (result v128)))
        (import "" "pair" (func $pair (param v128 v128) (result v128 v128)))
        (import "" "mixed" (func $mixed (result i32 v128 f64 v128 i64)))
        (func (export "run") (param v128) (result i32 v128 f64 v128 i64 v128 v128)
            (call $none (f32x4.neg (local.get 0)))
            (call $mixed)
            (call $pair (call $one) (call $result (local.get 0) (i32.const 3)))
            (call $result (i32x4.add) (i32.const -1))
            (v128.not (local.get 0))))"#;
    for engine in engines() {
        let module = Module::new(&engine, WAT)?;
        for dynamic in [false, true] {
            let mut linker = Linker::<Vec<V128>>::new(&engine);
            let mut store = Store::new(&engine, Vec::new());
            if dynamic {
                use ValType::{F64, I32, I64, V128};
                linker.func_new(
                    "",
                    "none",
                    FuncType::new([V128], []),
                    |mut caller, params, _| {
                        caller.data_mut().push(params[0].v128().expect("a vector"));
                        Ok(())
                    },
                )?;
                linker.func_new("", "one", FuncType::new([], [V128]), |_, _, results| {
                    // Zero is what is there if nothing is said.
                    assert_eq!(results[0].v128(), Some(0.into()));
                    results[0] = vector(10).into();
                    Ok(())
                })?;
                let ty = FuncType::new([V128, I32], [V128]);
                linker.func_new("", "result", ty, |_, params, results| {
                    let lanes = <[i32; 4]>::from(params[0].v128().expect("a vector"));
                    let factor = params[1].i32().expect("an i32");
                    results[0] = wasmprof_engine::V128::from(lanes.map(|x| x * factor)).into();
                    Ok(())
                })?;
                let ty = FuncType::new([V128, V128], [V128, V128]);
                linker.func_new("", "pair", ty, |_, params, results| {
                    results.copy_from_slice(&[params[1], params[0]]);
                    Ok(())
                })?;
                let ty = FuncType::new([], [I32, V128, F64, V128, I64]);
                linker.func_new("", "mixed", ty, |_, _, results| {
                    let values = [
                        Val::I32(-5),
                        vector(20).into(),
                        0.5.into(),
                        vector(30).into(),
                        Val::I64(-6),
                    ];
                    results.copy_from_slice(&values);
                    Ok(())
                })?;
            } else {
                linker.func_wrap(
                    "",
                    "none",
                    |mut caller: Caller<'_, Vec<V128>>, vector: V128| {
                        caller.data_mut().push(vector);
                    },
                )?;
                linker.func_wrap("", "one", || vector(10))?;
                linker.func_wrap(
                    "",
                    "result",
                    |vector: V128, factor: i32| -> Result<V128, Error> {
                        Ok(V128::from(<[i32; 4]>::from(vector).map(|lane| lane * factor)))
                    },
                )?;
                linker.func_wrap("", "pair", |a: V128, b: V128| (b, a))?;
                linker.func_wrap("", "mixed", || (-5i32, vector(20), 0.5f64, vector(30), -6i64))?;
            }
            let instance = linker.instantiate(&mut store, &module)?;
            type Results = (i32, V128, f64, V128, i64, V128, V128);
            let run = instance.get_typed_func::<V128, Results>(&mut store, "run")?;
            // 3 times [1 2 3 4], and [10 11 12 13], added and negated.
            let sum = V128::from([-13, -17, -21, -25]);
            let expected =
                (-5, vector(20), 0.5, vector(30), -6, sum, V128::from(!u128::from(vector(1))));
            assert_eq!(run.call(&mut store, vector(1))?, expected, "{dynamic}");
            let signs = V128::from([0x8000_0001u32, 0x8000_0002, 0x8000_0003, 0x8000_0004]);
            assert_eq!(store.data(), &[signs]);
            // The same call with values in slices.
            let mut results = vec![Val::I32(0); 7];
            run.func().call(&mut store, &[vector(1).into()], &mut results)?;
            assert_eq!(
                (results[1].v128(), results[3].v128()),
                (Some(vector(20)), Some(vector(30)))
            );
            assert_eq!(results[5].v128(), Some(sum));
            assert_eq!(results[6].v128(), Some(expected.6));
        }
    }
    Ok(())
}

/// A host function that fails has its vectors dropped, and the next call finds
/// everything in its place.
#[test]
fn errors_leave_nothing_behind() -> Result<(), Error> {
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module (import "" "f" (func $f (param v128) (result v128)))
                (func (export "run") (param v128 v128) (result v128)
                    (i32x4.add (call $f (local.get 0)) (local.get 1))))"#,
        )?;
        let mut store = Store::new(&engine, ());
        let f =
            Func::wrap(
                &mut store,
                |vector: V128| {
                    if vector == V128::from(0) { Err("zero") } else { Ok(vector) }
                },
            )?;
        let instance = Instance::new(&mut store, &module, &[f.into()])?;
        let run = instance.get_typed_func::<(V128, V128), V128>(&mut store, "run")?;
        for _ in 0..3 {
            let error = run.call(&mut store, (0.into(), vector(1))).unwrap_err();
            assert!(error.to_string().contains("zero"), "{error}");
            let sum = V128::from([3, 5, 7, 9]);
            assert_eq!(run.call(&mut store, (vector(1), vector(2)))?, sum);
        }
    }
    Ok(())
}

#[test]
fn types_are_checked() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(
        &engine,
        r#"(module (func (export "f") (param v128) (result v128) local.get 0))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    assert!(instance.get_typed_func::<i64, V128>(&mut store, "f").is_err());
    assert!(instance.get_typed_func::<V128, f64>(&mut store, "f").is_err());
    let f = instance.get_func(&mut store, "f").expect("exported");
    assert!(f.call(&mut store, &[Val::I64(1)], &mut [Val::I32(0)]).is_err());
    let mut results = [Val::I32(0)];
    f.call(&mut store, &[Val::V128(u128::MAX)], &mut results)?;
    assert_eq!(results[0].v128(), Some(V128::from(u128::MAX)));
    assert_eq!((results[0].ty(), results[0].i64()), (ValType::V128, None));
    assert_eq!(Val::default_for(ValType::V128).v128(), Some(V128::default()));
    Ok(())
}

#[test]
fn globals_have_all_their_bits() -> Result<(), Error> {
    const WAT: &str = r#"(module
        (import "" "constant" (global $constant v128))
        (import "" "narrow" (global $narrow (mut i32)))
        (import "" "mutable" (global $mutable (mut v128)))
        (global $before (mut i32) (i32.const 1))
        (global $own (export "own") (mut v128) (v128.const i32x4 1 2 3 4))
        (global $copy (export "copy") v128 (global.get $constant))
        (global $known (export "known") v128 (v128.const i64x2 -1 5))
        (global (export "after") (mut i64) (i64.const 7))
        (func (export "swap")
            (global.get $mutable)
            (global.set $mutable (i32x4.add (global.get $own) (global.get $constant)))
            (global.set $own)
            (global.set $narrow (i32.add (global.get $narrow) (global.get $before))))
        (func (export "sum") (result v128) (i64x2.add (global.get $known) (global.get $copy))))"#;
    for engine in engines() {
        let module = Module::new(&engine, WAT)?;
        let mut store = Store::new(&engine, ());
        let global = |store: &mut Store<()>, value: Val, mutable| {
            Global::new(store, GlobalType { content: value.ty(), mutable }, value)
        };
        let constant = global(&mut store, vector(10).into(), false)?;
        let narrow = global(&mut store, Val::I32(-2), true)?;
        let mutable = global(&mut store, vector(100).into(), true)?;
        let imports = [constant.into(), narrow.into(), mutable.into()];
        let instance = Instance::new(&mut store, &module, &imports)?;
        let get = |store: &mut Store<()>, name| {
            instance.get_global(&mut *store, name).expect("exported").get(store)
        };
        assert_eq!(get(&mut store, "own").v128(), Some(vector(1)));
        assert_eq!(get(&mut store, "copy").v128(), Some(vector(10)));
        assert_eq!(get(&mut store, "known").v128(), Some(V128::from([-1i64, 5])));

        let swap = instance.get_typed_func::<(), ()>(&mut store, "swap")?;
        swap.call(&mut store, ())?;
        assert_eq!(get(&mut store, "own").v128(), Some(vector(100)));
        assert_eq!(mutable.get(&mut store).v128(), Some(V128::from([11, 13, 15, 17])));
        assert_eq!(narrow.get(&mut store).i32(), Some(-1));
        assert_eq!(get(&mut store, "after").i64(), Some(7));

        let own = instance.get_global(&mut store, "own").expect("exported");
        own.set(&mut store, Val::V128(u128::MAX))?;
        swap.call(&mut store, ())?;
        assert_eq!(mutable.get(&mut store).v128(), Some(vector(9)));
        assert!(own.set(&mut store, Val::I64(0)).is_err());
        assert!(constant.set(&mut store, vector(1).into()).is_err());

        let of_constants = instance.get_typed_func::<(), V128>(&mut store, "sum")?;
        let sum = <[u64; 2]>::from(vector(10));
        assert_eq!(of_constants.call(&mut store, ())?, V128::from([sum[0] - 1, sum[1] + 5]));
    }
    Ok(())
}

/// Every access of 16 bytes or less at the end of a memory, with a guard behind
/// it and without.
#[test]
fn accesses_are_bounded() -> Result<(), Error> {
    const ACCESSES: &[(&str, u32)] = &[
        ("(drop (v128.load (local.get 0)))", 16),
        ("(v128.store (local.get 0) (local.get 1))", 16),
        ("(drop (v128.load8x8_s (local.get 0)))", 8),
        ("(drop (v128.load16x4_u (local.get 0)))", 8),
        ("(drop (v128.load32x2_s (local.get 0)))", 8),
        ("(drop (v128.load8_splat (local.get 0)))", 1),
        ("(drop (v128.load16_splat (local.get 0)))", 2),
        ("(drop (v128.load32_splat (local.get 0)))", 4),
        ("(drop (v128.load64_splat (local.get 0)))", 8),
        ("(drop (v128.load32_zero (local.get 0)))", 4),
        ("(drop (v128.load64_zero (local.get 0)))", 8),
        ("(drop (v128.load8_lane 15 (local.get 0) (local.get 1)))", 1),
        ("(drop (v128.load16_lane 7 (local.get 0) (local.get 1)))", 2),
        ("(drop (v128.load32_lane 3 (local.get 0) (local.get 1)))", 4),
        ("(drop (v128.load64_lane 1 (local.get 0) (local.get 1)))", 8),
        ("(v128.store8_lane 15 (local.get 0) (local.get 1))", 1),
        ("(v128.store16_lane 7 (local.get 0) (local.get 1))", 2),
        ("(v128.store32_lane 3 (local.get 0) (local.get 1))", 4),
        ("(v128.store64_lane 1 (local.get 0) (local.get 1))", 8),
        // Operands of instructions that could read 16 bytes where fewer are meant.
        ("(drop (i16x8.extract_lane_s 0 (v128.load8x8_s (local.get 0))))", 8),
        ("(drop (f64x2.promote_low_f32x4 (v128.load64_zero (local.get 0))))", 8),
        ("(global.set 0 (f32x4.add (v128.load32_zero (local.get 0)) (local.get 1)))", 4),
        ("(global.set 0 (f64x2.splat (f64.load (local.get 0))))", 8),
        ("(global.set 0 (i32x4.add (v128.load (local.get 0)) (local.get 1)))", 16),
    ];
    let mut wat = String::from("(module (memory 1) (global (mut v128) (v128.const i64x2 0 0))");
    for (access, _) in ACCESSES {
        wat.push_str(&format!("(func (export \"{access}\") (param i32 v128) {access})"));
    }
    wat.push(')');
    for guarded in [true, false] {
        for (strategy, native) in [
            (Strategy::Optimized, true),
            (Strategy::Optimized, false),
            (Strategy::Fast, true),
            (Strategy::Fast, false),
        ] {
            let config = Config::new().strategy(strategy).native_features(native);
            let engine = Engine::new(config.guarded_memories(guarded))?;
            let module = Module::new(&engine, &wat)?;
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            for (name, size) in ACCESSES {
                let access = instance.get_typed_func::<(u32, V128), ()>(&mut store, name)?;
                for index in [0, 1, 65536 - size] {
                    access.call(&mut store, (index, vector(1)))?;
                }
                for index in [65536 - size + 1, 65535 + 1, u32::MAX - 15, u32::MAX] {
                    let code = match access.call(&mut store, (index, vector(1))) {
                        Err(error) => error.trap().map(|trap| trap.code),
                        Ok(()) => None,
                    };
                    assert_eq!(code, Some(TrapCode::MemoryOutOfBounds), "{name} at {index}");
                }
            }
        }
    }
    Ok(())
}

/// All arithmetic makes canonical NaNs where that is wanted, also where it is
/// not one instruction, and whatever a relaxed operator may do otherwise.
#[test]
fn nans_are_canonical_if_wanted() -> Result<(), Error> {
    const UNARY: &[&str] = &["ceil", "floor", "trunc", "nearest", "sqrt"];
    const BINARY: &[&str] =
        &["add", "sub", "mul", "div", "min", "max", "relaxed_min", "relaxed_max"];
    const TERNARY: &[&str] = &["relaxed_madd", "relaxed_nmadd"];
    let mut wat = String::from("(module");
    let mut names = Vec::new();
    let operands = ["(local.get 0)", "(local.get 1)", "(local.get 2)"];
    let mut operator = |name: String, count: usize| {
        let operands = operands[..count].concat();
        wat.push_str(&format!(
            "(func (export \"{name}\") (param v128 v128 v128) (result v128) ({name} {operands}))"
        ));
        names.push((name, count));
    };
    for shape in ["f32x4", "f64x2"] {
        for (list, count) in [(UNARY, 1), (BINARY, 2), (TERNARY, 3)] {
            for name in list {
                operator(format!("{shape}.{name}"), count);
            }
        }
    }
    operator("f32x4.demote_f64x2_zero".to_owned(), 1);
    operator("f64x2.promote_low_f32x4".to_owned(), 1);
    wat.push(')');

    // One lane has a number, so that it is told apart; the others have NaNs,
    // quiet and not, of both signs, with payloads.
    let narrow = V128::from([0xffff_ffffu32, 0x7f80_0001, 0xffc0_dead, 1.0f32.to_bits()]);
    let wide = [
        V128::from([0xffff_ffff_ffff_ffffu64, 0x7ff0_0000_0000_0001]),
        V128::from([0x7ff8_dead_beef_0000u64, 1.0f64.to_bits()]),
    ];
    let number = |name: &str| match name {
        "f32x4" => V128::from([1.0f32; 4]),
        _ => V128::from([1.0f64; 2]),
    };
    for (strategy, native) in [
        (Strategy::Optimized, true),
        (Strategy::Optimized, false),
        (Strategy::Fast, true),
        (Strategy::Fast, false),
    ] {
        let config = Config::new().canonicalize_nans(true).native_features(native);
        let engine = Engine::new(config.strategy(strategy))?;
        let module = Module::new(&engine, &wat)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        for (name, count) in &names {
            let (shape, operation) = name.split_once('.').expect("a shape");
            let f = instance.get_typed_func::<(V128, V128, V128), V128>(&mut store, name)?;
            let from_narrow = shape == "f32x4" && operation != "demote_f64x2_zero"
                || operation == "promote_low_f32x4";
            let inputs: &[V128] = if from_narrow { &[narrow] } else { &wide };
            let plain = number(if from_narrow { "f32x4" } else { "f64x2" });
            for input in inputs {
                // The NaNs in each operand in turn.
                for at in 0..*count {
                    let mut operands = [plain; 3];
                    operands[at] = *input;
                    let [a, b, c] = operands;
                    let result = f.call(&mut store, (a, b, c))?;
                    let context = format!("{name} of {operands:?}: {result:?}");
                    let mut nans = 0;
                    if shape == "f32x4" {
                        for lane in <[f32; 4]>::from(result).into_iter().filter(|x| x.is_nan()) {
                            assert_eq!(lane.to_bits(), 0x7fc0_0000, "{context}");
                            nans += 1;
                        }
                    } else {
                        for lane in <[f64; 2]>::from(result).into_iter().filter(|x| x.is_nan()) {
                            assert_eq!(lane.to_bits(), 0x7ff8_0000_0000_0000, "{context}");
                            nans += 1;
                        }
                    }
                    assert!(nans > 0, "{context}");
                }
            }
        }
    }
    Ok(())
}

/// Relaxed operators where processors differ: the same everywhere if wanted,
/// and what the operators give that they relax.
#[test]
fn relaxed_operators_are_deterministic_if_wanted() -> Result<(), Error> {
    const TINY: f32 = 1.0 / (1 << 12) as f32;
    const NAN: u32 = 0x7fc0_0000;
    let cases: Vec<(&str, [V128; 3], V128)> = vec![
        (
            "i8x16.relaxed_swizzle",
            [V128::from([7u8; 16]), V128::from([16u8; 16]), 0.into()],
            V128::from(0),
        ),
        (
            "i32x4.relaxed_trunc_f32x4_s",
            [V128::from([f32::NAN, 3e9, -3e9, 1.5]), 0.into(), 0.into()],
            V128::from([0, i32::MAX, i32::MIN, 1]),
        ),
        (
            "i32x4.relaxed_trunc_f32x4_u",
            [V128::from([f32::NAN, 5e9, -3.0, 3e9]), 0.into(), 0.into()],
            V128::from([0, u32::MAX, 0, 3_000_000_000]),
        ),
        (
            "i32x4.relaxed_trunc_f64x2_s_zero",
            [V128::from([f64::NAN, 3e9]), 0.into(), 0.into()],
            V128::from([0, i32::MAX, 0, 0]),
        ),
        (
            "i32x4.relaxed_trunc_f64x2_u_zero",
            [V128::from([-1.0, 5e9]), 0.into(), 0.into()],
            V128::from([0, u32::MAX, 0, 0]),
        ),
        // Rounded once: the square of the small part is not lost.
        (
            "f32x4.relaxed_madd",
            [
                V128::from([1.0 + TINY; 4]),
                V128::from([1.0 + TINY; 4]),
                V128::from([-1.0 - 2.0 * TINY; 4]),
            ],
            V128::from([TINY * TINY; 4]),
        ),
        (
            "f32x4.relaxed_nmadd",
            [
                V128::from([1.0 + TINY; 4]),
                V128::from([1.0 + TINY; 4]),
                V128::from([1.0 + 2.0 * TINY; 4]),
            ],
            V128::from([-TINY * TINY; 4]),
        ),
        (
            "f64x2.relaxed_madd",
            [
                V128::from([1.0 + f64::EPSILON; 2]),
                V128::from([1.0 + f64::EPSILON; 2]),
                V128::from([-1.0 - 2.0 * f64::EPSILON; 2]),
            ],
            V128::from([f64::EPSILON * f64::EPSILON; 2]),
        ),
        (
            "f64x2.relaxed_nmadd",
            [
                V128::from([1.0 + f64::EPSILON; 2]),
                V128::from([1.0 + f64::EPSILON; 2]),
                V128::from([1.0 + 2.0 * f64::EPSILON; 2]),
            ],
            V128::from([-f64::EPSILON * f64::EPSILON; 2]),
        ),
        (
            "i8x16.relaxed_laneselect",
            [V128::from([0x12u8; 16]), V128::from([0x34u8; 16]), V128::from([0xf0u8; 16])],
            V128::from([0x14u8; 16]),
        ),
        (
            "i64x2.relaxed_laneselect",
            [V128::from([0x12u64; 2]), V128::from([0x34u64; 2]), V128::from([0xf0u64; 2])],
            V128::from([0x14u64; 2]),
        ),
        (
            "f32x4.relaxed_min",
            [
                V128::from([0.0f32, -0.0, f32::NAN, 1.0]),
                V128::from([-0.0f32, 0.0, 1.0, f32::NAN]),
                0.into(),
            ],
            V128::from([1 << 31, 1 << 31, NAN, NAN]),
        ),
        (
            "f32x4.relaxed_max",
            [
                V128::from([0.0f32, -0.0, f32::NAN, 1.0]),
                V128::from([-0.0f32, 0.0, 1.0, f32::NAN]),
                0.into(),
            ],
            V128::from([0, 0, NAN, NAN]),
        ),
        (
            "f64x2.relaxed_min",
            [V128::from([0.0, f64::NAN]), V128::from([-0.0, 1.0]), 0.into()],
            V128::from([1 << 63, 0x7ff8_0000_0000_0000u64]),
        ),
        (
            "i16x8.relaxed_q15mulr_s",
            [V128::from([i16::MIN; 8]), V128::from([i16::MIN; 8]), 0.into()],
            V128::from([i16::MAX; 8]),
        ),
        (
            "i16x8.relaxed_dot_i8x16_i7x16_s",
            [V128::from([-128i8; 16]), V128::from([-127i8; 16]), 0.into()],
            V128::from([2 * 128 * 127i16; 8]),
        ),
        (
            "i32x4.relaxed_dot_i8x16_i7x16_add_s",
            [V128::from([-128i8; 16]), V128::from([-128i8; 16]), V128::from([1; 4])],
            V128::from([4 * 128 * 128 + 1; 4]),
        ),
    ];
    let mut wat = String::from("(module");
    for (name, ..) in &cases {
        let count = match *name {
            name if name.contains("trunc") => 1,
            name if ["madd", "select", "add_s"].iter().any(|part| name.contains(part)) => 3,
            _ => 2,
        };
        let operands: String = (0..count).map(|local| format!("(local.get {local})")).collect();
        wat.push_str(&format!(
            "(func (export \"{name}\") (param v128 v128 v128) (result v128) ({name} {operands}))"
        ));
    }
    wat.push(')');
    for (strategy, native) in [
        (Strategy::Optimized, true),
        (Strategy::Optimized, false),
        (Strategy::Fast, true),
        (Strategy::Fast, false),
    ] {
        let config = Config::new().relaxed_simd_deterministic(true).canonicalize_nans(true);
        let engine = Engine::new(config.native_features(native).strategy(strategy))?;
        let module = Module::new(&engine, &wat)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        for (name, [a, b, c], expected) in &cases {
            let f = instance.get_typed_func::<(V128, V128, V128), V128>(&mut store, name)?;
            assert_eq!(f.call(&mut store, (*a, *b, *c))?, *expected, "{name}, {native}");
        }
    }
    Ok(())
}
