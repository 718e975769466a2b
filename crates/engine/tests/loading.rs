//! Loading and unloading code while other threads look code up.

use std::thread;
use std::time::{Duration, Instant};
use wasmprof_engine::{Config, Engine, Error, Instance, Module, Store, TrapCode};

/// Throwing walks the stack, and looks up the code of each frame. With many
/// threads that do nothing else, one of them is always about it: who loads code
/// must not wait until none is.
#[test]
fn threads_that_throw_do_not_hold_up_loading() -> Result<(), Error> {
    const THREADS: usize = 24;
    let engine = Engine::new(Config::new().epoch_interruption(true))?;
    let module = Module::new(
        &engine,
        r#"(module (tag $t)
            (func $deep (param i32)
                (if (local.get 0)
                    (then (call $deep (i32.sub (local.get 0) (i32.const 1))) (return)))
                (throw $t))
            (func (export "run")
                (loop $again
                    (block $caught (try_table (catch_all $caught) (call $deep (i32.const 20))))
                    (br $again))))"#,
    )?;
    thread::scope(|scope| {
        let throw = || {
            let mut store = Store::new(&engine, ());
            store.set_epoch_deadline(1);
            let instance = Instance::new(&mut store, &module, &[])?;
            let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
            let error = run.call(&mut store, ()).expect_err("it is interrupted");
            assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::Interrupt));
            Ok::<(), Error>(())
        };
        let throwing: Vec<_> = (0..THREADS).map(|_| scope.spawn(throw)).collect();
        thread::sleep(Duration::from_millis(200));
        // Each loads one module and unloads it.
        let loading = scope
            .spawn(|| (0..5).try_for_each(|_| Module::new(&engine, "(module (func))").map(drop)));
        let start = Instant::now();
        while !loading.is_finished() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(5));
        }
        let finished = loading.is_finished();
        engine.increment_epoch();
        for thread in throwing {
            thread.join().expect("no panic")?;
        }
        loading.join().expect("no panic")?;
        assert!(finished, "loading waits until nobody throws");
        Ok(())
    })
}
