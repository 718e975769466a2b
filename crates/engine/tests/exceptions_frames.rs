//! Exceptions and the frames of compiled code: references that nothing but
//! frames has, of which the collector must find each, and frames whose
//! arguments are on the stack.

use wasmprof_engine::*;

fn engines() -> [Engine; 2] {
    [Strategy::Optimized, Strategy::Fast]
        .map(|strategy| Engine::new(Config::new().strategy(strategy)).expect("an engine"))
}

/// In locals across nested entries, in arguments on the stack before and after a
/// tail call, in what another exception carries, and on the way through host
/// functions.
#[test]
fn what_frames_alone_refer_to_is_kept() {
    for engine in engines() {
        let module = Module::new(&engine, r#"(module
            (import "host" "nest" (func $nest (param i32)))
            (import "host" "many" (func $many (param i64 i64 i64 i64 i64 i64 i64 i64 i64 exnref exnref) (result exnref i64 exnref)))
            (tag $t (param i32))
            (tag $v (param exnref v128 exnref i64))
            (func $make (param i32) (result exnref) (local $x exnref)
                (block $caught (result i32 exnref)
                    (try_table (catch_ref $t $caught) (throw $t (local.get 0)))
                    unreachable)
                (local.set $x) drop (local.get $x))
            (func $value (export "value") (param exnref) (result i32)
                (block $t (result i32)
                    (try_table (catch $t $t) (throw_ref (local.get 0)))
                    unreachable))
            (func $garbage (export "garbage") (param $n i32)
                (loop $l
                    (drop (call $make (i32.const -1)))
                    (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
            ;; Most arguments are on the stack, of a frame that the entry has called.
            (func $tail (param i64 i64 i64 i64 i64 i64 i64 i64 i64 exnref exnref exnref exnref) (result i32)
                (call $garbage (i32.const 700))
                (i32.add (i32.add (call $value (local.get 9)) (call $value (local.get 10)))
                         (i32.add (call $value (local.get 11)) (call $value (local.get 12)))))
            (func $tailer (export "tailer") (result i32)
                (return_call $tail (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                     (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                     (call $make (i32.const 1)) (call $make (i32.const 10)) (call $make (i32.const 100)) (call $make (i32.const 1000))))
            (func (export "nested") (param $depth i32) (result i32) (local $a exnref) (local $b exnref)
                (local.set $a (call $make (local.get $depth)))
                (local.set $b (call $make (i32.const 1)))
                (call $garbage (i32.const 600))
                (call $nest (local.get $depth))
                (call $garbage (i32.const 600))
                (i32.add (call $value (local.get $a)) (call $value (local.get $b))))
            (func (export "nested_try") (param $depth i32) (result i32) (local $a exnref) (local $b exnref)
                (local.set $a (call $make (local.get $depth)))
                (local.set $b (call $make (i32.const 1)))
                (block $h
                    (try_table (catch_all $h)
                        (call $nest (local.get $depth))
                        (call $garbage (i32.const 600))
                        (throw $t (i32.const 5))))
                (call $garbage (i32.const 600))
                (i32.add (call $value (local.get $a)) (call $value (local.get $b))))
            ;; What an exception carries, when it alone is kept.
            (func (export "payload") (result i32) (local $e exnref) (local $i i32) (local $x exnref) (local $y exnref)
                (block $c (result exnref v128 exnref i64 exnref)
                    (try_table (catch_ref $v $c)
                        (throw $v (call $make (i32.const 3)) (v128.const i64x2 1 2) (call $make (i32.const 4)) (i64.const 5)))
                    unreachable)
                (local.set $e) drop drop drop drop
                (call $garbage (i32.const 3000))
                (block $c (result exnref v128 exnref i64)
                    (try_table (catch $v $c) (throw_ref (local.get $e)))
                    unreachable)
                (i32.wrap_i64) (local.set $i)
                (local.set $y) (drop) (local.set $x)
                (local.set $e (ref.null exn))
                (call $garbage (i32.const 3000))
                (i32.add (local.get $i) (i32.add (call $value (local.get $x)) (call $value (local.get $y)))))
            (func (export "host_many") (result i32) (local $a exnref) (local $b exnref)
                (call $many (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                     (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                     (call $make (i32.const 1)) (call $make (i32.const 10)))
                (local.set $b) drop (local.set $a)
                (call $garbage (i32.const 3000))
                (i32.add (call $value (local.get $a)) (call $value (local.get $b))))
            (func (export "host_many_try") (result i32) (local $a exnref) (local $b exnref)
                (block $h (result exnref i64 exnref)
                (try_table (result exnref i64 exnref)
                (call $many (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                     (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)
                     (call $make (i32.const 1)) (call $make (i32.const 10)))))
                (local.set $b) drop (local.set $a)
                (call $garbage (i32.const 3000))
                (i32.add (call $value (local.get $a)) (call $value (local.get $b)))))"#).unwrap();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap(
                "host",
                "nest",
                |mut caller: Caller<'_, ()>, depth: i32| -> Result<(), Error> {
                    if depth > 0 {
                        for name in ["nested", "nested_try"] {
                            let f = caller.get_export(name).unwrap().into_func().unwrap();
                            let f = f.typed::<i32, i32>(&caller)?;
                            assert_eq!(f.call(&mut caller, depth - 1)?, depth);
                        }
                    }
                    Ok(())
                },
            )
            .unwrap();
        let exn = ValType::EXNREF;
        let ty =
            FuncType::new([vec![ValType::I64; 9], vec![exn; 2]].concat(), [exn, ValType::I64, exn]);
        linker
            .func_new("host", "many", ty, |mut caller: Caller<'_, ()>, params, results| {
                let f = caller.get_export("garbage").unwrap().into_func().unwrap();
                f.typed::<i32, ()>(&caller)?.call(&mut caller, 2000)?;
                results[0] = params[10];
                results[1] = Val::I64(1);
                results[2] = params[9];
                Ok(())
            })
            .unwrap();
        let i = linker.instantiate(&mut store, &module).unwrap();
        for (name, want) in
            [("tailer", 1111), ("payload", 12), ("host_many", 11), ("host_many_try", 11)]
        {
            let f = i.get_typed_func::<(), i32>(&mut store, name).unwrap();
            for _ in 0..20 {
                assert_eq!(f.call(&mut store, ()).unwrap(), want, "{name}");
            }
        }
        for name in ["nested", "nested_try"] {
            let f = i.get_typed_func::<i32, i32>(&mut store, name).unwrap();
            assert_eq!(f.call(&mut store, 5).unwrap(), 6);
        }
    }
}

/// Callees take their arguments off the stack, unless they throw; tail calls
/// change how many there are. The frame that catches is whole in any case.
#[test]
fn arguments_on_the_stack_are_gone_after_an_exception() {
    for engine in engines() {
        let module = Module::new(&engine, r#"(module
            (tag $t (param i32 v128 i64))
            (type $small (func (param i32) (result i32)))
            (type $big (func (param i32 i64 i64 i64 i64 i64 i64 i64 i64 v128 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 i64 i64) (result i32)))
            (table funcref (elem $big $small))
            (func $thrower (param i32) (result i32)
                (throw $t (local.get 0) (v128.const i32x4 1 2 3 4) (i64.const 9)))
            (func $small (type $small)
                (return_call $big (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)
                    (v128.const i32x4 5 6 7 8) (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5) (f64.const 6) (f64.const 7) (f64.const 8) (f64.const 9) (f64.const 10) (i64.const 11) (i64.const 12)))
            (func $big (type $big)
                (if (result i32) (i32.and (local.get 0) (i32.const 1))
                    (then (return_call $thrower (local.get 0)))
                    (else (call $thrower (i32.wrap_i64 (i64.add (local.get 21) (i64.extend_i32_u (local.get 0))))))))
            (func $shrink (type $big) (return_call $small (local.get 0)))
            (func (export "run") (param $n i32) (result i64)
                (local $i i32) (local $sum i64) (local $v v128) (local $d f64) (local $c i32)
                (local.set $d (f64.const 0.5)) (local.set $v (v128.const i32x4 1 1 1 1))
                (loop $l
                    (block $h (result i32 v128 i64)
                        (try_table (result i32) (catch $t $h)
                            (if (result i32) (i32.rem_u (local.get $i) (i32.const 3))
                              (then (call $small (local.get $i)))
                              (else
                                (if (result i32) (i32.and (local.get $i) (i32.const 4))
                                  (then (call_indirect (type $big) (local.get $i) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)
                    (v128.const i32x4 5 6 7 8) (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5) (f64.const 6) (f64.const 7) (f64.const 8) (f64.const 9) (f64.const 10) (i64.const 11) (i64.const 12) (i32.const 0)))
                                  (else (call $shrink (local.get $i) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8)
                    (v128.const i32x4 5 6 7 8) (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5) (f64.const 6) (f64.const 7) (f64.const 8) (f64.const 9) (f64.const 10) (i64.const 11) (i64.const 12)))))))
                        unreachable)
                    (local.set $sum (i64.add (local.get $sum)))
                    (local.set $v (i32x4.add (local.get $v)))
                    (local.set $c (i32.add (local.get $c)))
                    (local.set $d (f64.add (local.get $d) (f64.const 1)))
                    (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
                (i64.add (i64.mul (local.get $sum) (i64.const 1000000))
                  (i64.add (i64.extend_i32_u (local.get $c))
                   (i64.add (i64.extend_i32_u (i32x4.extract_lane 3 (local.get $v))) (i64.trunc_f64_s (local.get $d)))))))"#).unwrap();
        let mut store = Store::new(&engine, ());
        let i = Instance::new(&mut store, &module, &[]).unwrap();
        let run = i.get_typed_func::<u32, i64>(&mut store, "run").unwrap();
        let n = 100_000u32;
        let c = (0..n).map(|i| if i % 2 == 1 { i } else { i + 12 }).fold(0u32, u32::wrapping_add);
        let want =
            i64::from(n) * 9 * 1_000_000 + i64::from(c) + i64::from(1 + 4 * n) + i64::from(n);
        assert_eq!(run.call(&mut store, n).unwrap(), want);
    }
}
