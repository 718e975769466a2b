//! Exceptions that nothing refers to are freed. Alone in its process, whose
//! memory it measures.

use wasmprof_engine::{Config, Engine, Instance, Module, Store, Strategy};

/// A million exceptions, of which a few are kept in each kind of place: those
/// keep their values, and the memory of the others is used again.
#[test]
fn exceptions_that_nothing_refers_to_are_freed() {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine = Engine::new(Config::new().strategy(strategy)).unwrap();
        let module = Module::new(
            &engine,
            r#"(module
                (tag $t (param i32))
                (tag $nested (param exnref))
                (global $kept (mut exnref) (ref.null exn))
                (table $table 4 exnref)
                (func $make (param i32) (result exnref) (local $x exnref)
                    (block $caught (result i32 exnref)
                        (try_table (catch_ref $t $caught) (throw $t (local.get 0)))
                        unreachable)
                    (local.set $x) drop (local.get $x))
                (func $nest (param exnref) (result exnref) (local $x exnref)
                    (block $caught (result exnref exnref)
                        (try_table (catch_ref $nested $caught) (throw $nested (local.get 0)))
                        unreachable)
                    (local.set $x) drop (local.get $x))
                (func $value (param exnref) (result i32)
                    (block $t (result i32)
                        (block $n (result exnref)
                            (try_table (catch $t $t) (catch $nested $n) (throw_ref (local.get 0)))
                            unreachable)
                        (return (call $value))))
                (func (export "run") (param $rounds i32) (result i32 i32 i32 i32)
                    (local $local exnref) (local $i i32)
                    (global.set $kept (call $make (i32.const 1)))
                    (table.set $table (i32.const 3) (call $make (i32.const 2)))
                    (local.set $local (call $make (i32.const 3)))
                    (table.set $table (i32.const 0) (call $nest (call $nest (call $make (i32.const 4)))))
                    (loop $again
                        (drop (call $make (i32.const -1)))
                        (br_if $again
                            (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                      (local.get $rounds))))
                    (call $value (global.get $kept))
                    (call $value (table.get $table (i32.const 3)))
                    (call $value (local.get $local))
                    (call $value (table.get $table (i32.const 0)))))"#,
        )
        .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<i32, (i32, i32, i32, i32)>(&mut store, "run").unwrap();
        let before = resident_bytes();
        assert_eq!(run.call(&mut store, 1_000_000).unwrap(), (1, 2, 3, 4));
        let grown = resident_bytes().saturating_sub(before);
        // They would take 32 MB if none were freed.
        assert!(grown < 8 << 20, "{grown} bytes more");
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the system tells");
    let pages: usize = statm.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a number");
    pages * 4096
}
