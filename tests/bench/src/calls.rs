//! What it costs to cross between WebAssembly and the host, in probes that both engines
//! answer: the same guest, and the same text of Rust compiled against either crate. How
//! often and in which order they run is in `passes.rs`.

use crate::child::Which;

/// The guest of the calls: loops that take a count, and functions to call.
const CALLS: &str = r#"
(module
  (type $two (func (param i32 i32) (result i32)))
  (type $loop (func (param i32) (result i32)))
  (import "host" "none" (func $none))
  (import "host" "two" (func $two (type $two)))
  (import "host" "caller" (func $caller (type $two)))
  (import "host" "result" (func $result (type $two)))
  (import "host" "pair" (func $pair (param i32 i32) (result i32 i32)))
  (import "host" "four" (func $four (param i32 i32) (result i32 i64 i32 i64)))
  (import "host" "memory" (func $memory (type $two)))
  (import "host" "dynamic" (func $dynamic (type $two)))
  (memory (export "memory") 1)
  (table (export "table") 2 2 funcref)
  (elem (i32.const 0) func $two $own)
  (global $slot (export "slot") (mut i32) (i32.const 0))

  ;; Under a condition that is never met it calls itself, so that nobody inlines it.
  (func $own (type $two)
    (if (i32.eq (local.get 1) (i32.const -1))
      (then (return (call $own (local.get 1) (i32.const 0)))))
    (i32.add (local.get 0) (local.get 1)))

  (func (export "loop") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "own") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (call $own (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "indirect") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum
        (call_indirect (type $two) (local.get $sum) (local.get 0) (global.get $slot)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "none") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (local.get 0)))
      (call $none)
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "two") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (call $two (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "caller") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (call $caller (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "result") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (call $result (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "pair") (type $loop) (local $sum i32)
    (loop $next
      (call $pair (local.get $sum) (local.get 0))
      (local.set $sum (i32.xor))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "four") (type $loop) (local $sum i32)
    (loop $next
      (call $four (local.get $sum) (local.get 0))
      (i32.wrap_i64)
      (local.set $sum (i32.xor))
      (i32.wrap_i64)
      (local.set $sum (i32.xor (i32.xor) (local.get $sum)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "memory_of_caller") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (call $memory (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "dynamic") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (call $dynamic (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))

  (func (export "call_none"))
  (func (export "call_one") (result i32) (global.get $slot))
  (func (export "call_two") (type $two) (i32.add (local.get 0) (local.get 1)))
  (func (export "call_four") (param i32 i32) (result i32 i64 i32 i64)
    (local.get 0) (i64.extend_i32_u (local.get 1))
    (local.get 1) (i64.extend_i32_u (local.get 0))))
"#;

/// The guest of the exceptions.
const THROWS: &str = r#"
(module
  (type $loop (func (param i32) (result i32)))
  (tag $tag (param i32))
  (func (export "loop") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (local.get 0)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "here") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum
        (i32.add
          (block $caught (result i32)
            (try_table (catch $tag $caught) (throw $tag (local.get 0)))
            (unreachable))
          (local.get $sum)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func $deep (param $depth i32) (param $value i32)
    (if (i32.eqz (local.get $depth)) (then (throw $tag (local.get $value))))
    (call $deep (i32.sub (local.get $depth) (i32.const 1)) (local.get $value)))
  (func (export "far") (type $loop) (local $sum i32)
    (loop $next
      (local.set $sum
        (i32.add
          (block $caught (result i32)
            (try_table (catch $tag $caught) (call $deep (i32.const 9) (local.get 0)))
            (unreachable))
          (local.get $sum)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum)))
"#;

const EMPTY: &str = "(module)";

/// As compilers lay a small program out: the stack, then the data, and a table.
const PROGRAM: &str = r#"
(module
  (memory (export "memory") 17)
  (data (i32.const 1048576) "some words that are there at the start, and a number: 1729")
  (data (i32.const 1056000) "and some more of them on another page")
  (table 16 16 funcref)
  (elem (i32.const 1) func $a $b $c)
  (global $stack (mut i32) (i32.const 1048576))
  (func $a (export "a") (param i32) (result i32) (i32.load (local.get 0)))
  (func $b (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func $c (param i32) (result i32) (global.get $stack)))
"#;

/// A module with a megabyte of data.
fn with_data() -> String {
    let data = "some words of data ".repeat(1 << 16);
    format!(
        r#"(module (memory 32) (data (i32.const 1000) "{}")
            (func (export "a") (param i32) (result i32) (i32.load (local.get 0))))"#,
        &data[..1 << 20]
    )
}

/// A module with `count` functions to import.
fn importing(count: u32) -> String {
    let import =
        |n| format!("(import \"host\" \"function_{n}\" (func (param i32 i32) (result i32)))");
    format!("(module {})", (0..count).map(import).collect::<String>())
}

/// How many functions the module with imports has.
const IMPORTS: u32 = 20;

/// What is subtracted from the time of a probe, the name of another one.
type Base = Option<&'static str>;

/// One thing to be done many times.
pub(crate) struct Probe {
    /// What is measured; the same for both engines.
    pub(crate) name: &'static str,
    /// The probe whose time for a turn is not counted.
    pub(crate) base: Base,
    run: Box<dyn FnMut(u32) -> anyhow::Result<()>>,
}

impl Probe {
    fn new(
        name: &'static str,
        base: Base,
        run: impl FnMut(u32) -> anyhow::Result<()> + 'static,
    ) -> Probe {
        Probe { name, base, run: Box::new(run) }
    }

    /// Does it so many times.
    pub(crate) fn run(&mut self, count: u32) -> anyhow::Result<()> {
        (self.run)(count)
    }
}

/// The loop of the guest.
pub(crate) const GUEST_LOOP: &str = "empty loop in WebAssembly";
/// The loop of the host.
pub(crate) const HOST_LOOP: &str = "empty loop in Rust";

/// The probes of an engine, the same ones in the same order for both.
pub(crate) fn probes(which: Which) -> anyhow::Result<Vec<Probe>> {
    match which {
        Which::Ours => ours::probes(),
        Which::Theirs => theirs::probes(),
    }
}

/// The probes, for the crate and the few functions by which the two differ that are in
/// scope where this is used.
macro_rules! define_probes {
    () => {
        use super::{
            Base, CALLS, EMPTY, GUEST_LOOP, HOST_LOOP, IMPORTS, PROGRAM, Probe, THROWS, importing,
            with_data,
        };
        use std::cell::RefCell;
        use std::hint::black_box;
        use std::rc::Rc;

        pub(super) fn probes() -> anyhow::Result<Vec<Probe>> {
            let engine = engine()?;
            let mut probes = Vec::new();
            calls(&engine, &mut probes)?;
            throws(&engine, &mut probes)?;
            instances(&engine, &mut probes)?;
            Ok(probes)
        }

        /// A loop of the guest's.
        fn guest(
            store: &Rc<RefCell<Store<u32>>>,
            instance: &Instance,
            name: &'static str,
            base: Base,
            export: &str,
        ) -> anyhow::Result<Probe> {
            let entry = instance.get_typed_func::<u32, u32>(&mut *store.borrow_mut(), export)?;
            let store = store.clone();
            Ok(Probe::new(name, base, move |count| {
                black_box(entry.call(&mut *store.borrow_mut(), count)?);
                Ok(())
            }))
        }

        fn calls(engine: &Engine, probes: &mut Vec<Probe>) -> anyhow::Result<()> {
            let module = Module::new(engine, wat::parse_str(CALLS)?)?;
            let mut linker = Linker::<u32>::new(engine);
            linker.func_wrap("host", "none", || {})?;
            linker.func_wrap("host", "two", |a: i32, b: i32| -> i32 { a.wrapping_add(b) })?;
            linker.func_wrap(
                "host",
                "caller",
                |mut caller: Caller<'_, u32>, a: i32, b: i32| -> i32 {
                    let data = caller.data_mut();
                    *data = data.wrapping_add(1);
                    a.wrapping_add(b)
                },
            )?;
            linker.func_wrap("host", "result", |a: i32, b: i32| -> Result<i32, Error> {
                if b == -1 { Err(error("no such number")) } else { Ok(a.wrapping_add(b)) }
            })?;
            linker.func_wrap("host", "pair", |a: i32, b: i32| -> (i32, i32) {
                (b, a.wrapping_add(b))
            })?;
            linker.func_wrap("host", "four", |a: i32, b: i32| -> (i32, i64, i32, i64) {
                (b, i64::from(a), a.wrapping_add(b), i64::from(b))
            })?;
            linker.func_wrap(
                "host",
                "memory",
                |mut caller: Caller<'_, u32>, a: i32, b: i32| -> Result<i32, Error> {
                    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                        return Err(error("the caller has no memory"));
                    };
                    match memory.write(&mut caller, 64, &b.to_le_bytes()) {
                        Ok(()) => Ok(a.wrapping_add(b)),
                        Err(_) => Err(error("outside of the memory")),
                    }
                },
            )?;
            let ty = function_type(engine);
            linker.func_new("host", "dynamic", ty, |_caller, params, results| {
                let (Val::I32(a), Val::I32(b)) = (&params[0], &params[1]) else {
                    return Err(error("not the arguments of the type"));
                };
                results[0] = Val::I32(a.wrapping_add(*b));
                Ok(())
            })?;
            let mut store = Store::new(engine, 0);
            let instance = linker.instantiate(&mut store, &module)?;
            let slot = instance.get_global(&mut store, "slot").expect("the guest exports it");
            let store = Rc::new(RefCell::new(store));

            let none: Base = None;
            let net: Base = Some(GUEST_LOOP);
            for (name, base, export) in [
                (GUEST_LOOP, none, "loop"),
                ("WebAssembly to WebAssembly", net, "own"),
                ("to the host, () -> ()", net, "none"),
                ("to the host, (i32 i32) -> i32", net, "two"),
                ("to the host, with Caller", net, "caller"),
                ("to the host, with Result", net, "result"),
                ("to the host, 2 results", net, "pair"),
                ("to the host, 4 results", net, "four"),
                ("to the host, writing to memory", net, "memory_of_caller"),
                ("to the host, Func::new", net, "dynamic"),
                ("to the host by a table", net, "indirect"),
            ] {
                probes.push(guest(&store, &instance, name, base, export)?);
            }
            let own = instance.get_typed_func::<u32, u32>(&mut *store.borrow_mut(), "indirect")?;
            let shared = store.clone();
            probes.push(Probe::new("WebAssembly to itself by a table", net, move |count| {
                let mut store = shared.borrow_mut();
                slot.set(&mut *store, Val::I32(1))?;
                black_box(own.call(&mut *store, count)?);
                slot.set(&mut *store, Val::I32(0))?;
                Ok(())
            }));

            probes.push(Probe::new(HOST_LOOP, None, |count| {
                for turn in 0..count {
                    black_box(turn);
                }
                Ok(())
            }));
            macro_rules! typed {
                ($name:literal, $export:literal, $params:ty, $results:ty, |$turn:ident| $args:expr) => {
                    let function = instance.get_typed_func::<$params, $results>(
                        &mut *store.borrow_mut(),
                        $export,
                    )?;
                    let shared = store.clone();
                    probes.push(Probe::new($name, Some(HOST_LOOP), move |count| {
                        let mut store = shared.borrow_mut();
                        for $turn in 0..count {
                            black_box(function.call(&mut *store, $args)?);
                        }
                        Ok(())
                    }));
                };
            }
            typed!("TypedFunc, () -> ()", "call_none", (), (), |_turn| ());
            typed!("TypedFunc, () -> i32", "call_one", (), u32, |_turn| ());
            typed!("TypedFunc, (i32 i32) -> i32", "call_two", (u32, u32), u32, |turn| (turn, 7));
            typed!(
                "TypedFunc, 4 results",
                "call_four",
                (u32, u32),
                (u32, u64, u32, u64),
                |turn| (turn, 7)
            );
            let function = instance
                .get_func(&mut *store.borrow_mut(), "call_two")
                .expect("the guest exports it");
            probes.push(Probe::new("Func, (i32 i32) -> i32", Some(HOST_LOOP), move |count| {
                let mut store = store.borrow_mut();
                for turn in 0..count {
                    let params = [Val::I32(turn as i32), Val::I32(7)];
                    let mut results = [Val::I32(0)];
                    function.call(&mut *store, &params, &mut results)?;
                    black_box(&results);
                }
                Ok(())
            }));
            Ok(())
        }

        fn throws(engine: &Engine, probes: &mut Vec<Probe>) -> anyhow::Result<()> {
            let module = Module::new(engine, wat::parse_str(THROWS)?)?;
            let mut store = Store::new(engine, 0);
            let instance = Instance::new(&mut store, &module, &[])?;
            let store = Rc::new(RefCell::new(store));
            for (name, export) in
                [("throw and catch in one function", "here"), ("throw across 10 frames", "far")]
            {
                probes.push(guest(&store, &instance, name, Some(GUEST_LOOP), export)?);
            }
            Ok(())
        }

        fn instances(engine: &Engine, probes: &mut Vec<Probe>) -> anyhow::Result<()> {
            for (name, text) in [
                ("store and instance, empty module", EMPTY),
                ("store and instance, memory and table", PROGRAM),
                ("store and instance, 1 MB of data", &with_data()),
            ] {
                let module = Module::new(engine, wat::parse_str(text)?)?;
                let engine = engine.clone();
                probes.push(Probe::new(name, None, move |count| {
                    for _ in 0..count {
                        let mut store = Store::new(&engine, 0);
                        black_box(Instance::new(&mut store, &module, &[])?);
                    }
                    Ok(())
                }));
            }
            // The same with a call that touches the memory.
            for (name, text, address) in [
                ("memory and table, and a call that loads", PROGRAM, 1 << 20),
                ("1 MB of data, and a call that loads", &with_data(), 1000),
            ] {
                let module = Module::new(engine, wat::parse_str(text)?)?;
                let engine = engine.clone();
                probes.push(Probe::new(name, None, move |count| {
                    for _ in 0..count {
                        let mut store = Store::new(&engine, 0);
                        let instance = Instance::new(&mut store, &module, &[])?;
                        let function = instance.get_typed_func::<u32, u32>(&mut store, "a")?;
                        black_box(function.call(&mut store, address)?);
                    }
                    Ok(())
                }));
            }

            let module = Module::new(engine, wat::parse_str(importing(IMPORTS))?)?;
            let mut linker = Linker::<u32>::new(engine);
            for n in 0..IMPORTS {
                let name = format!("function_{n}");
                linker.func_wrap("host", &name, move |a: u32, b: u32| -> u32 {
                    a.wrapping_add(b).wrapping_mul(n)
                })?;
            }
            let engine = engine.clone();
            probes.push(Probe::new("store and instance, 20 imports", None, move |count| {
                for _ in 0..count {
                    let mut store = Store::new(&engine, 0);
                    black_box(linker.instantiate(&mut store, &module)?);
                }
                Ok(())
            }));
            Ok(())
        }
    };
}

mod ours {
    use wasmprof_engine::{
        Caller, Config, Engine, Error, Extern, FuncType, Instance, Linker, Module, Store, Val,
        ValType,
    };

    fn engine() -> anyhow::Result<Engine> {
        Ok(Engine::new(Config::new())?)
    }

    fn function_type(_: &Engine) -> FuncType {
        FuncType::new([ValType::I32, ValType::I32], [ValType::I32])
    }

    fn error(message: &str) -> Error {
        Error::Host { error: message.into(), backtrace: Default::default() }
    }

    define_probes!();
}

mod theirs {
    use wasmtime::{
        Caller, Config, Engine, Error, Extern, FuncType, Instance, Linker, Module, Store, Val,
        ValType,
    };

    fn engine() -> anyhow::Result<Engine> {
        let mut config = Config::new();
        config.wasm_exceptions(true);
        Ok(Engine::new(&config)?)
    }

    fn function_type(engine: &Engine) -> FuncType {
        FuncType::new(engine, [ValType::I32, ValType::I32], [ValType::I32])
    }

    fn error(message: &str) -> Error {
        Error::msg(message.to_string())
    }

    define_probes!();
}
