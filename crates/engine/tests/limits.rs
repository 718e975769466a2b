//! What is shared, and what is limited: threads, memories with and without a
//! guard, code without relocations.

use wasmprof_engine::*;

/// Every load and store, with offsets of all magnitudes.
const MEMORY: &str = r#"(module
    (memory (export "m") 1 2)
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "far") (param i32) (result i32) (i32.load offset=0x80000000 (local.get 0)))
    (func (export "farthest") (param i32) (result i64) (i64.load offset=0xffffffff (local.get 0)))
    (func (export "store") (param i32 i64) (i64.store offset=8 (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "size") (result i32) (memory.size)))"#;

#[test]
fn memories_are_bounded_with_and_without_a_guard() -> Result<(), Error> {
    for guarded in [true, false] {
        for strategy in [Strategy::Optimized, Strategy::Fast] {
            let config = Config::new().guarded_memories(guarded).strategy(strategy);
            let engine = Engine::new(config)?;
            let module = Module::new(&engine, MEMORY)?;
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let out_of_bounds = |error: Error| error.trap().map(|trap| trap.code);
            let expected = Some(TrapCode::MemoryOutOfBounds);

            let load = instance.get_typed_func::<i32, i32>(&mut store, "load")?;
            assert_eq!(load.call(&mut store, 65532)?, 0);
            for index in [65533, 65536, i32::MIN, -1, -4] {
                let result = load.call(&mut store, index);
                assert_eq!(result.map_err(out_of_bounds), Err(expected), "{index}");
            }
            let far = instance.get_typed_func::<i32, i32>(&mut store, "far")?;
            let farthest = instance.get_typed_func::<i32, i64>(&mut store, "farthest")?;
            for index in [0, 1, i32::MIN, i32::MAX, -1] {
                assert_eq!(far.call(&mut store, index).map_err(out_of_bounds), Err(expected));
                assert_eq!(farthest.call(&mut store, index).map_err(out_of_bounds), Err(expected));
            }
            let write = instance.get_typed_func::<(i32, i64), ()>(&mut store, "store")?;
            assert_eq!(write.call(&mut store, (65521, 1)).map_err(out_of_bounds), Err(expected));
            write.call(&mut store, (65520, -1))?;

            let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow")?;
            assert_eq!(grow.call(&mut store, 2)?, -1);
            assert_eq!(grow.call(&mut store, -1)?, -1);
            assert_eq!(grow.call(&mut store, 1)?, 1);
            assert_eq!(load.call(&mut store, 65535 - 3)?, -1);
            assert_eq!(load.call(&mut store, 131068)?, 0);
            assert_eq!(load.call(&mut store, 131069).map_err(out_of_bounds), Err(expected));
            let memory = instance.get_memory(&mut store, "m").expect("exported");
            assert_eq!(memory.data_size(&store), 131072);
            assert!(memory.grow(&mut store, 1).is_err());
        }
    }
    Ok(())
}

/// Beyond 4 GiB a 32-bit address would meet another byte.
#[test]
fn a_memory_with_wide_indices_reaches_beyond_four_gibibytes() -> Result<(), Error> {
    let wat = r#"(module
        (memory (export "m") i64 1)
        (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
        (func (export "load") (param i64) (result i64) (i64.load (local.get 0)))
        (func (export "store") (param i64 i64)
            (i64.store offset=0x100000000 (local.get 0) (local.get 1)))
        (func (export "fill") (param i64 i32 i64)
            (memory.fill (local.get 0) (local.get 1) (local.get 2))))"#;
    for guarded in [true, false] {
        for strategy in [Strategy::Optimized, Strategy::Fast] {
            let engine = Engine::new(Config::new().guarded_memories(guarded).strategy(strategy))?;
            let module = Module::new(&engine, wat)?;
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let grow = instance.get_typed_func::<i64, i64>(&mut store, "grow")?;
            let load = instance.get_typed_func::<i64, i64>(&mut store, "load")?;
            let write = instance.get_typed_func::<(i64, i64), ()>(&mut store, "store")?;
            let fill = instance.get_typed_func::<(i64, i32, i64), ()>(&mut store, "fill")?;
            assert!(write.call(&mut store, (0, 1)).is_err());
            assert_eq!(grow.call(&mut store, 0x1_0001)?, 1);
            write.call(&mut store, (8, 0x1234))?;
            assert_eq!(load.call(&mut store, 0x1_0000_0008)?, 0x1234);
            assert_eq!(load.call(&mut store, 8)?, 0);
            fill.call(&mut store, (0x1_0000_0010, 7, 8))?;
            assert_eq!(load.call(&mut store, 0x1_0000_0010)?, 0x0707_0707_0707_0707);
            let memory = instance.get_memory(&mut store, "m").expect("exported");
            assert_eq!(memory.ty(&store), MemoryType::new(0x1_0002, None).memory64());
            assert_eq!(memory.data_size(&store), 0x1_0002_0000);
            let mut bytes = [0; 2];
            memory.read(&store, 0x1_0000_0008, &mut bytes).expect("inside");
            assert_eq!(bytes, [0x34, 0x12]);
            // Nobody has as much: 64 GiB are reserved.
            assert_eq!(grow.call(&mut store, 1 << 30)?, -1);
            let error = load.call(&mut store, 0x1_0001_fff9).unwrap_err();
            assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::MemoryOutOfBounds));
        }
    }
    Ok(())
}

/// Rounding has no instruction in base x86-64, and must then go through the
/// vmctx: an image never refers to an address outside of itself. The compiler
/// refuses to make one that does, so compiling is the check.
#[test]
fn code_has_no_relocations_with_processor_features_on_and_off() -> Result<(), Error> {
    let wat = r#"(module
        (func (export "ceil") (param f64) (result f64) (f64.ceil (local.get 0)))
        (func (export "floor") (param f32) (result f32) (f32.floor (local.get 0)))
        (func (export "trunc") (param f64) (result f64) (f64.trunc (local.get 0)))
        (func (export "nearest") (param f32) (result f32) (f32.nearest (local.get 0)))
        (func (export "bits") (param i64) (result i64)
            (i64.add (i64.popcnt (local.get 0))
                (i64.add (i64.clz (local.get 0)) (i64.ctz (local.get 0)))))
        (func (export "convert") (param i64) (result f64) (f64.convert_i64_u (local.get 0))))"#;
    for native in [true, false] {
        for strategy in [Strategy::Optimized, Strategy::Fast] {
            let engine = Engine::new(Config::new().native_features(native).strategy(strategy))?;
            let module = Module::new(&engine, wat)?;
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let ceil = instance.get_typed_func::<f64, f64>(&mut store, "ceil")?;
            let floor = instance.get_typed_func::<f32, f32>(&mut store, "floor")?;
            let trunc = instance.get_typed_func::<f64, f64>(&mut store, "trunc")?;
            let nearest = instance.get_typed_func::<f32, f32>(&mut store, "nearest")?;
            let bits = instance.get_typed_func::<u64, i64>(&mut store, "bits")?;
            let convert = instance.get_typed_func::<u64, f64>(&mut store, "convert")?;
            assert_eq!(ceil.call(&mut store, -1.5)?.to_bits(), (-1.0f64).to_bits());
            assert_eq!(ceil.call(&mut store, -0.5)?.to_bits(), (-0.0f64).to_bits());
            assert_eq!(floor.call(&mut store, -1.5)?, -2.0);
            assert_eq!(trunc.call(&mut store, -1.9)?, -1.0);
            assert_eq!(
                (nearest.call(&mut store, 2.5)?, nearest.call(&mut store, 3.5)?),
                (2.0, 4.0)
            );
            assert_eq!(bits.call(&mut store, 0x10)?, 1 + 59 + 4);
            assert_eq!(convert.call(&mut store, u64::MAX)?, 18446744073709551616.0);
        }
    }
    Ok(())
}

/// Wide multiplication is another instruction where the processor has less.
#[test]
fn wide_arithmetic_is_exact_with_processor_features_on_and_off() -> Result<(), Error> {
    let wat = r#"(module
        (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
            (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
        (func (export "sub") (param i64 i64 i64 i64) (result i64 i64)
            (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
        (func (export "mul_s") (param i64 i64) (result i64 i64)
            (i64.mul_wide_s (local.get 0) (local.get 1)))
        (func (export "mul_u") (param i64 i64) (result i64 i64)
            (i64.mul_wide_u (local.get 0) (local.get 1))))"#;
    type Wide = (u64, u64);
    let halves = |wide: u128| -> Wide { (wide as u64, (wide >> 64) as u64) };
    let numbers = [0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0x1234_5678_9abc_def0];
    for native in [true, false] {
        for strategy in [Strategy::Optimized, Strategy::Fast] {
            let engine = Engine::new(Config::new().native_features(native).strategy(strategy))?;
            let module = Module::new(&engine, wat)?;
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let mul_s = instance.get_typed_func::<(u64, u64), Wide>(&mut store, "mul_s")?;
            let mul_u = instance.get_typed_func::<(u64, u64), Wide>(&mut store, "mul_u")?;
            let add = instance.get_typed_func::<(u64, u64, u64, u64), Wide>(&mut store, "add")?;
            let sub = instance.get_typed_func::<(u64, u64, u64, u64), Wide>(&mut store, "sub")?;
            for a in numbers {
                for b in numbers {
                    let signed = i128::from(a as i64) * i128::from(b as i64);
                    assert_eq!(mul_s.call(&mut store, (a, b))?, halves(signed as u128));
                    let unsigned = u128::from(a) * u128::from(b);
                    assert_eq!(mul_u.call(&mut store, (a, b))?, halves(unsigned));
                    for (c, d) in [(1, 0), (u64::MAX, u64::MAX), (0, 1 << 63), (a, b), (b, a)] {
                        let wide = |low, high| u128::from(high) << 64 | u128::from(low);
                        let (x, y) = (wide(a, b), wide(c, d));
                        assert_eq!(add.call(&mut store, (a, b, c, d))?, halves(x.wrapping_add(y)));
                        assert_eq!(sub.call(&mut store, (a, b, c, d))?, halves(x.wrapping_sub(y)));
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn one_module_runs_on_sixteen_threads() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(
        &engine,
        r#"(module (memory 1) (data (i32.const 0) "\01\02\03\04")
            (global $g (mut i32) (i32.const 0))
            (func (export "step") (param i32) (result i32)
                (global.set $g (i32.add (global.get $g) (local.get 0)))
                (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (global.get $g)))
                (i32.load (i32.const 0)))
            (func (export "trap") (unreachable)))"#,
    )?;
    let run = |seed: i32| -> Result<i32, Error> {
        let mut last = 0;
        for _ in 0..50 {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let step = instance.get_typed_func::<i32, i32>(&mut store, "step")?;
            for _ in 0..100 {
                last = step.call(&mut store, seed)?;
            }
            let trap = instance.get_typed_func::<(), ()>(&mut store, "trap")?;
            assert!(trap.call(&mut store, ()).is_err());
        }
        Ok(last)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|seed| (seed, scope.spawn(move || run(seed)))).collect();
        for (seed, thread) in threads {
            let expected = 0x04030201 + seed * (100 * 101 / 2);
            assert_eq!(thread.join().expect("no panic").expect("no trap"), expected);
        }
    });
    Ok(())
}

/// The image does not depend on how many threads compiled it.
#[test]
fn compiling_is_deterministic() -> Result<(), Error> {
    let mut wat = String::from("(module (memory 1)");
    for i in 0..300 {
        let body = "(i32.store (local.get 0) (i32.mul (local.get 0) (i32.const 7)))".repeat(i % 17);
        wat.push_str(&format!(
            "(func $f{i} (param i32) {body} (call $f{} (local.get 0)))",
            (i * 7) % 300
        ));
    }
    wat.push(')');
    let text = |threads| -> Result<Vec<u8>, Error> {
        let engine = Engine::new(Config::new().threads(threads))?;
        Ok(Module::new(&engine, &wat)?.text().to_vec())
    };
    let one = text(1)?;
    assert!(one.len() > 10_000);
    assert!(one == text(2)? && one == text(5)?);
    Ok(())
}

/// Large initial contents are shared by all instances and changed by none.
#[test]
fn instances_do_not_see_each_others_writes() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let data = "\\aa".repeat(200_000);
    let module = Module::new(
        &engine,
        format!(
            r#"(module (memory (export "m") 8) (data (i32.const 5000) "{data}")
                (data (i32.const 5001) "\01") (data (i32.const 300000) "\02\03"))"#
        ),
    )?;
    let mut store = Store::new(&engine, ());
    for _ in 0..3 {
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&mut store, "m").expect("exported");
        let bytes = memory.data_mut(&mut store);
        assert_eq!(bytes[4998..5003], [0, 0, 0xaa, 1, 0xaa]);
        assert_eq!(bytes[204_999..205_001], [0xaa, 0]);
        assert_eq!(bytes[299_999..300_003], [0, 2, 3, 0]);
        assert_eq!(bytes.len(), 8 * 65536);
        bytes.fill(7);
    }
    Ok(())
}

#[test]
fn a_backtrace_after_an_unloaded_module_still_has_its_names() -> Result<(), Error> {
    let error = {
        let engine = Engine::new(Config::new())?;
        let module = Module::new(&engine, r#"(module (func $gone (export "f") (unreachable)))"#)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        instance.get_typed_func::<(), ()>(&mut store, "f")?.call(&mut store, ()).unwrap_err()
    };
    assert_eq!(error.backtrace().expect("a trap").frames()[0].function_name(), "gone");
    Ok(())
}

/// Two imports of a module may be one memory: a store through one is seen
/// through the other.
#[test]
fn one_memory_may_be_imported_twice() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(
        &engine,
        r#"(module (import "" "m" (memory $a 1)) (import "" "m" (memory $b 1))
            (func (export "f") (param i32) (result i32)
                (i32.store $a (i32.const 8) (i32.const 1))
                (i32.store $b (i32.const 8) (local.get 0))
                (i32.store $a (i32.const 12) (i32.const 3))
                (i32.add (i32.load $a (i32.const 8)) (i32.load $b (i32.const 12)))))"#,
    )?;
    let mut store = Store::new(&engine, ());
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    let instance = Instance::new(&mut store, &module, &[memory.into(), memory.into()])?;
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, 40)?, 43);
    Ok(())
}

/// Rounding makes NaNs canonical too, also where it is not an instruction.
#[test]
fn nans_of_rounding_are_canonical_if_wanted() -> Result<(), Error> {
    for op in ["ceil", "floor", "trunc", "nearest"] {
        for (native, strategy) in [
            (true, Strategy::Optimized),
            (false, Strategy::Optimized),
            (true, Strategy::Fast),
            (false, Strategy::Fast),
        ] {
            let config = Config::new().canonicalize_nans(true).native_features(native);
            let engine = Engine::new(config.strategy(strategy))?;
            let module = Module::new(
                &engine,
                format!(
                    r#"(module
                    (func (export "f") (param i64) (result i64)
                        (i64.reinterpret_f64 (f64.{op} (f64.reinterpret_i64 (local.get 0)))))
                    (func (export "g") (param i32) (result i32)
                        (i32.reinterpret_f32 (f32.{op} (f32.reinterpret_i32 (local.get 0))))))"#
                ),
            )?;
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            let f = instance.get_typed_func::<i64, i64>(&mut store, "f")?;
            let g = instance.get_typed_func::<i32, i32>(&mut store, "g")?;
            for bits in [-1, 0x7ff0_0000_0000_0001, 0x7ff8_dead_beef_0000] {
                assert_eq!(f.call(&mut store, bits)?, 0x7ff8_0000_0000_0000, "f64.{op} {bits:x}");
            }
            for bits in [-1, 0x7f80_0001, 0x7fc0_dead_u32 as i32] {
                assert_eq!(g.call(&mut store, bits)?, 0x7fc0_0000, "f32.{op} {bits:x}");
            }
            // Zeros keep their signs.
            for bits in [0, i64::MIN] {
                assert_eq!(f.call(&mut store, bits)?, bits);
            }
        }
    }
    Ok(())
}
