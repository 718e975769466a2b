//! Shared memories: threads with stores of their own that work on one memory.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wasmprof_engine::*;

fn engines() -> impl Iterator<Item = Engine> {
    let strategies = [Strategy::Optimized, Strategy::Fast];
    strategies.into_iter().flat_map(|strategy| {
        [true, false].into_iter().map(move |guarded| {
            let config = Config::new().strategy(strategy).guarded_memories(guarded);
            Engine::new(config).expect("an engine")
        })
    })
}

/// An instance whose only import is this memory, in a store of its own.
fn instance(module: &Module, memory: &SharedMemory) -> (Store<()>, Instance) {
    let mut store = Store::new(module.engine(), ());
    let imports = vec![Extern::from(memory.clone()); module.imports().len()];
    let instance = Instance::new(&mut store, module, &imports).expect("the memory fits");
    (store, instance)
}

/// A value of the memory, as the host sees it.
fn value(memory: &SharedMemory, at: usize) -> &AtomicU32 {
    let cells = &memory.data()[at..at + 4];
    // SAFETY: four bytes inside the memory, aligned as the tests choose `at`.
    unsafe { AtomicU32::from_ptr(cells[0].get().cast()) }
}

fn trap_code<T>(result: Result<T, Error>) -> Option<TrapCode> {
    result.err().and_then(|error| Some(error.trap()?.code))
}

#[test]
fn threads_count_together() -> Result<(), Error> {
    const TIMES: u32 = 100_000;
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module (import "" "m" (memory 1 1 shared))
                (func (export "count") (param i32)
                    (loop $l
                        (drop (i32.atomic.rmw.add (i32.const 16) (i32.const 1)))
                        (drop (i64.atomic.rmw8.add_u (i32.const 24) (i64.const 3)))
                        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#,
        )?;
        let memory = SharedMemory::new(&engine, MemoryType::new(1, Some(1)).shared())?;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (mut store, instance) = instance(&module, &memory);
                    let count = instance.get_typed_func::<u32, ()>(&mut store, "count");
                    count.expect("exported").call(&mut store, TIMES).expect("no trap");
                });
            }
        });
        assert_eq!(value(&memory, 16).load(Ordering::SeqCst), 2 * TIMES);
        assert_eq!(value(&memory, 24).load(Ordering::SeqCst), 2 * TIMES * 3 % 256);
    }
    Ok(())
}

/// Two threads take turns, each waiting until the other has written its number.
#[test]
fn threads_hand_over_by_wait_and_notify() -> Result<(), Error> {
    const TURNS: u32 = 2_000;
    for engine in engines() {
        let module = Module::new(
            &engine,
            r#"(module (import "" "m" (memory 1 1 shared))
                ;; Turns $me, $me + 2, $me + 4 and so on are this thread's.
                (func (export "play") (param $me i32) (param $turns i32)
                    (local $turn i32)
                    (loop $next
                        (local.set $turn (i32.atomic.load (i32.const 0)))
                        (if (i32.ge_u (local.get $turn) (local.get $turns)) (then (return)))
                        (if (i32.eq (i32.and (local.get $turn) (i32.const 1)) (local.get $me))
                            (then
                                ;; A plain access is ordered by the atomic ones.
                                (i32.store (i32.const 8)
                                    (i32.add (i32.load (i32.const 8)) (local.get $turn)))
                                (i32.atomic.store (i32.const 0)
                                    (i32.add (local.get $turn) (i32.const 1)))
                                (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))
                            (else
                                (drop (memory.atomic.wait32
                                    (i32.const 0) (local.get $turn) (i64.const -1)))))
                        (br $next))))"#,
        )?;
        let memory = SharedMemory::new(&engine, MemoryType::new(1, Some(1)).shared())?;
        thread::scope(|scope| {
            for me in 0..2 {
                let (module, memory) = (&module, &memory);
                scope.spawn(move || {
                    let (mut store, instance) = instance(module, memory);
                    let play = instance.get_typed_func::<(u32, u32), ()>(&mut store, "play");
                    play.expect("exported").call(&mut store, (me, TURNS)).expect("no trap");
                });
            }
        });
        assert_eq!(value(&memory, 0).load(Ordering::SeqCst), TURNS);
        assert_eq!(value(&memory, 8).load(Ordering::SeqCst), TURNS * (TURNS - 1) / 2);
    }
    Ok(())
}

/// The thread that waits has compared an index with the length before, in the
/// same function: it must not take that length for the current one.
#[test]
fn growth_is_seen_by_other_threads() -> Result<(), Error> {
    for engine in engines() {
        for wide in [false, true] {
            let (ty, idx) = if wide { ("i64", "i64") } else { ("", "i32") };
            let module = Module::new(
                &engine,
                format!(
                    r#"(module (import "" "m" (memory {ty} 1 3 shared))
                        (func (export "grow") (result {idx})
                            (local $old {idx})
                            (local.set $old (memory.grow ({idx}.const 1)))
                            (i32.atomic.store ({idx}.const 0) (i32.const 1))
                            (drop (memory.atomic.notify ({idx}.const 0) (i32.const 1)))
                            (local.get $old))
                        (func (export "use") (param $at {idx}) (result i32)
                            (i32.store ({idx}.const 4) (i32.load ({idx}.const 8)))
                            (drop (i32.atomic.rmw.add ({idx}.const 12) (i32.const 1)))
                            (drop (memory.atomic.wait32
                                ({idx}.const 0) (i32.const 0) (i64.const -1)))
                            (i32.store (local.get $at) (i32.const 77))
                            (i32.load (local.get $at)))
                        (func (export "spin") (param $at {idx}) (result i32)
                            (i32.store ({idx}.const 4) (i32.load ({idx}.const 8)))
                            (drop (i32.atomic.rmw.add ({idx}.const 12) (i32.const 1)))
                            (loop $l (br_if $l (i32.eqz (i32.atomic.load ({idx}.const 0)))))
                            (i32.load (local.get $at)))
                        (func (export "size") (result {idx}) (memory.size)))"#
                ),
            )?;
            let ty = MemoryType::new(1, Some(3)).shared();
            let ty = if wide { ty.memory64() } else { ty };
            let memory = SharedMemory::new(&engine, ty)?;
            let index = |at: i32| if wide { Val::I64(at.into()) } else { Val::I32(at) };
            thread::scope(|scope| {
                let using = ["use", "spin"].map(|function| {
                    let (module, memory) = (&module, &memory);
                    scope.spawn(move || {
                        let (mut store, instance) = instance(module, memory);
                        let func = instance.get_func(&mut store, function).expect("exported");
                        let mut results = [Val::I32(0)];
                        let at = index(65536 + 4 * i32::from(function == "spin"));
                        func.call(&mut store, &[at], &mut results).expect("no trap");
                        let size = instance.get_func(&mut store, "size").expect("exported");
                        let mut pages = [Val::I32(0)];
                        size.call(&mut store, &[], &mut pages).expect("no trap");
                        let pages = pages[0].i64().or(pages[0].i32().map(i64::from));
                        (results[0].i32(), pages)
                    })
                });
                while value(&memory, 12).load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
                let (mut store, instance) = instance(&module, &memory);
                let grow = instance.get_func(&mut store, "grow").expect("exported");
                let mut old = [Val::I32(0)];
                grow.call(&mut store, &[], &mut old).expect("no trap");
                assert_eq!(old[0].i64().or(old[0].i32().map(i64::from)), Some(1));
                let [waited, spun] = using.map(|thread| thread.join().expect("no panic"));
                assert_eq!(waited, (Some(77), Some(2)));
                assert_eq!(spun, (Some(0), Some(2)));
            });
            assert_eq!((memory.size(), memory.data_size()), (2, 131_072));
            assert_eq!(memory.grow(1)?, 2);
            assert!(memory.grow(1).is_err());
            assert_eq!(memory.ty(), MemoryType { minimum: 3, ..ty });
        }
    }
    Ok(())
}

/// Sixteen threads make instances of one module, call them, let a memory grow
/// that all of them have, and end, over and over.
#[test]
fn sixteen_threads_use_one_module_and_one_memory() -> Result<(), Error> {
    const THREADS: u32 = 16;
    const ROUNDS: u32 = 40;
    let data = "\\77".repeat(100_000);
    for engine in engines() {
        let module = Module::new(
            &engine,
            format!(
                r#"(module
                    (import "" "m" (memory $m 1 64 shared))
                    (memory $own 2 2 shared)
                    (data (memory $own) (i32.const 16) "{data}")
                    (table 1 funcref) (elem (i32.const 0) $bump)
                    (func $bump (param i32) (result i32)
                        (i32.atomic.rmw.add $m (local.get 0) (i32.const 1)))
                    (func (export "round") (param $n i32) (result i32)
                        (local $i i32)
                        (loop $l
                            (drop (call_indirect (param i32) (result i32)
                                (i32.const 0) (i32.const 0)))
                            (i32.store8 $own (i32.const 20) (local.get $i))
                            (br_if $l (i32.lt_u
                                (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                                (local.get $n))))
                        (drop (memory.grow $m (i32.const 1)))
                        (drop (memory.atomic.wait32 $m
                            (i32.const 4) (i32.const 0) (i64.const 100000)))
                        (drop (memory.atomic.notify $m (i32.const 4) (i32.const 2)))
                        (i32.add (i32.load8_u $own (i32.const 21))
                            (i32.load8_u $own (i32.const 20))))
                    (func (export "outside") (i32.store $m (i32.const -4) (i32.const 0))))"#
            ),
        )?;
        let memory = SharedMemory::new(&engine, MemoryType::new(1, Some(64)).shared())?;
        thread::scope(|scope| {
            for seed in 1..=THREADS {
                let (module, memory) = (&module, &memory);
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        let (mut store, instance) = instance(module, memory);
                        let round = instance.get_typed_func::<u32, u32>(&mut store, "round");
                        let round = round.expect("exported");
                        let sum = round.call(&mut store, seed).expect("no trap");
                        assert_eq!(sum, 0x77 + seed - 1);
                        let outside = instance.get_typed_func::<(), ()>(&mut store, "outside");
                        let result = outside.expect("exported").call(&mut store, ());
                        assert_eq!(trap_code(result), Some(TrapCode::MemoryOutOfBounds));
                    }
                });
            }
        });
        let expected = ROUNDS * THREADS * (THREADS + 1) / 2;
        assert_eq!(value(&memory, 0).load(Ordering::SeqCst), expected);
        assert_eq!(memory.size(), 64);
    }
    Ok(())
}

#[test]
fn the_host_waits_and_notifies_too() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(
        &engine,
        r#"(module (import "" "m" (memory 1 1 shared))
            (func (export "wait") (param i64) (result i32)
                (memory.atomic.wait64 offset=8 (i32.const 0) (i64.const 5) (local.get 0)))
            (func (export "notify") (result i32)
                (memory.atomic.notify (i32.const 16) (i32.const -1))))"#,
    )?;
    let memory = SharedMemory::new(&engine, MemoryType::new(1, Some(1)).shared())?;
    let (mut store, instance) = instance(&module, &memory);
    let wait = instance.get_typed_func::<i64, i32>(&mut store, "wait")?;
    let notify = instance.get_typed_func::<(), i32>(&mut store, "notify")?;
    assert_eq!(wait.call(&mut store, -1)?, 1);
    value(&memory, 8).store(5, Ordering::SeqCst);
    assert_eq!(wait.call(&mut store, 0)?, 2);
    let start = Instant::now();
    assert_eq!(wait.call(&mut store, 20_000_000)?, 2);
    assert!(start.elapsed() >= Duration::from_millis(20));
    thread::scope(|scope| {
        let host = scope.spawn(|| {
            while memory.atomic_notify(8, 1).expect("an address") == 0 {
                thread::yield_now();
            }
            memory.atomic_wait32(16, 0, None).expect("an address")
        });
        assert_eq!(wait.call(&mut store, -1).expect("no trap"), 0);
        while notify.call(&mut store, ()).expect("no trap") == 0 {
            thread::yield_now();
        }
        assert_eq!(host.join().expect("no panic"), WaitResult::Ok);
    });

    let short = Some(Duration::from_millis(1));
    assert_eq!(memory.atomic_wait32(8, 5, short).ok(), Some(WaitResult::TimedOut));
    assert_eq!(memory.atomic_wait64(8, 6, None).ok(), Some(WaitResult::Mismatch));
    let code = |result: Result<WaitResult, Trap>| result.err().map(|trap| trap.code);
    assert_eq!(code(memory.atomic_wait32(2, 0, None)), Some(TrapCode::UnalignedAtomic));
    assert_eq!(code(memory.atomic_wait64(4, 0, None)), Some(TrapCode::UnalignedAtomic));
    assert_eq!(code(memory.atomic_wait32(65536, 0, None)), Some(TrapCode::MemoryOutOfBounds));
    assert!(memory.atomic_notify(1 << 63, 1).is_err());
    Ok(())
}

#[test]
fn one_shared_memory_is_in_many_instances() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = Module::new(
        &engine,
        r#"(module (import "host" "m" (memory $a 1 4 shared)) (import "host" "m" (memory $b 1 4 shared))
            (export "again" (memory $a)) (memory (export "own") 1 1 shared) (memory (export "plain") 1)
            (func (export "set") (param i32 i32) (i32.store $a (local.get 0) (local.get 1)))
            (func (export "get") (param i32) (result i32) (i32.load $b (local.get 0)))
            (func (export "grow") (result i32) (memory.grow $b (i32.const 1))))"#,
    )?;
    let memory = SharedMemory::new(&engine, MemoryType::new(1, Some(2)).shared())?;
    // A linker may offer it to any store.
    let mut linker = Linker::new(&engine);
    linker.define(&mut Store::new(&engine, ()), "host", "m", memory.clone())?;
    let mut stores: Vec<(Store<()>, Instance)> = Vec::new();
    for _ in 0..2 {
        let mut store = Store::new(&engine, ());
        let first = linker.instantiate(&mut store, &module)?;
        let again = first.get_shared_memory(&mut store, "again").expect("exported");
        assert!(SharedMemory::same(&again, &memory));
        let own = first.get_shared_memory(&mut store, "own").expect("exported");
        assert!(!SharedMemory::same(&own, &memory));
        assert!(first.get_memory(&mut store, "again").is_none());
        assert!(first.get_memory(&mut store, "own").is_none());
        assert!(first.get_memory(&mut store, "plain").is_some());
        assert!(first.get_shared_memory(&mut store, "plain").is_none());
        let second = Instance::new(&mut store, &module, &[again.clone().into(), again.into()])?;
        for (at, instance) in [(4, first), (8, second)] {
            let set = instance.get_typed_func::<(i32, i32), ()>(&mut store, "set")?;
            set.call(&mut store, (at, at * 10))?;
        }
        stores.push((store, second));
    }
    for (store, instance) in &mut stores {
        let get = instance.get_typed_func::<i32, i32>(&mut *store, "get")?;
        assert_eq!((get.call(&mut *store, 4)?, get.call(&mut *store, 8)?), (40, 80));
    }
    let (store, instance) = &mut stores[0];
    let grow = instance.get_typed_func::<(), i32>(&mut *store, "grow")?;
    assert_eq!(grow.call(&mut *store, ())?, 1);
    assert_eq!(grow.call(&mut *store, ())?, -1);
    assert_eq!(memory.size(), 2);
    // What stores had, the handle still has.
    drop(stores);
    drop(linker);
    assert_eq!(value(&memory, 8).load(Ordering::SeqCst), 80);
    Ok(())
}

/// Large initial contents are mapped into new memories. An imported one has
/// contents that others rely on.
#[test]
fn initial_contents_replace_nothing_of_others() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let data = "\\aa".repeat(150_000);
    let importing = Module::new(
        &engine,
        format!(r#"(module (import "" "m" (memory 4 4 shared)) (data (i32.const 5000) "{data}"))"#),
    )?;
    let own = Module::new(
        &engine,
        format!(r#"(module (memory (export "m") 4 4 shared) (data (i32.const 5000) "{data}"))"#),
    )?;
    let memory = SharedMemory::new(&engine, MemoryType::new(4, Some(4)).shared())?;
    let byte = |memory: &SharedMemory, at: usize| {
        // SAFETY: inside the memory.
        unsafe { AtomicU8::from_ptr(memory.data()[at].get()) }.load(Ordering::SeqCst)
    };
    value(&memory, 4096).store(0x01020304, Ordering::SeqCst);
    instance(&importing, &memory);
    assert_eq!(value(&memory, 4096).load(Ordering::SeqCst), 0x01020304);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &own, &[])?;
    let theirs = instance.get_shared_memory(&mut store, "m").expect("exported");
    for memory in [&memory, &theirs] {
        assert_eq!([4999, 5000, 154_999, 155_000].map(|at| byte(memory, at)), [0, 0xaa, 0xaa, 0]);
    }
    let again = Instance::new(&mut store, &own, &[])?;
    value(&theirs, 8000).store(1, Ordering::SeqCst);
    let other = again.get_shared_memory(&mut store, "m").expect("exported");
    assert_eq!(value(&other, 8000).load(Ordering::SeqCst), 0xaaaa_aaaa);
    Ok(())
}

#[test]
fn memories_of_other_kinds_are_refused() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let plain = MemoryType::new(1, Some(2));
    for ty in [plain, MemoryType::new(1, None).shared(), MemoryType::new(1, Some(0)).shared()] {
        let error = SharedMemory::new(&engine, ty).expect_err("no shared memory");
        assert!(matches!(error, Error::Link(_)), "{error}");
    }
    let mut store = Store::new(&engine, ());
    for ty in [plain.shared(), MemoryType::new(1 << 17, None), plain.page_size_log2(12)] {
        let error = Memory::new(&mut store, ty).expect_err("no memory");
        assert!(error.to_string().starts_with(&format!("no {ty} can be made here: ")), "{error}");
    }
    // More than any system has is not a mistake of the type.
    for ty in [MemoryType::new(1 << 48, None).memory64(), MemoryType::new(1 << 40, None).memory64()]
    {
        let error = Memory::new(&mut store, ty).expect_err("no memory");
        assert!(matches!(error, Error::Resource { .. }), "{error}");
    }

    let mut give = |wanted: &str, ty: MemoryType| -> Result<(), String> {
        let module = Module::new(&engine, format!(r#"(module (import "" "m" ({wanted})))"#));
        let item: Extern = match ty.shared {
            true => SharedMemory::new(&engine, ty).expect("a memory").into(),
            false => Memory::new(&mut store, ty).expect("a memory").into(),
        };
        let instance = Instance::new(&mut store, &module.expect("valid"), &[item]);
        instance.map(drop).map_err(|error| error.to_string())
    };
    let all = [
        ("memory 1 2", plain),
        ("memory 1 2 shared", plain.shared()),
        ("memory i64 1 2", plain.memory64()),
        ("memory 1 2 (pagesize 1)", plain.page_size_log2(0)),
        ("memory i64 1 2 shared (pagesize 1)", plain.memory64().shared().page_size_log2(0)),
    ];
    for (at, (wanted, _)) in all.iter().enumerate() {
        for (other, (_, ty)) in all.iter().enumerate() {
            let result = give(wanted, *ty);
            assert_eq!(result.is_ok(), at == other, "{wanted} of {ty}: {result:?}");
            if let Err(message) = result {
                assert!(message.contains(&format!("a {ty} was given")), "{message}");
            }
        }
    }

    let other = Engine::new(Config::new())?;
    let foreign = SharedMemory::new(&other, plain.shared())?;
    let module = Module::new(&engine, r#"(module (import "" "m" (memory 1 2 shared)))"#)?;
    let error = Instance::new(&mut store, &module, &[foreign.into()]).expect_err("refused");
    assert!(error.to_string().contains("made for another engine"), "{error}");
    Ok(())
}
