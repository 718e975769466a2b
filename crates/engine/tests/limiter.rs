//! What the programs of a store may have: asked before things are made and
//! before they grow, whoever makes or grows them.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use wasmprof_engine::*;

const PAGE: usize = 65_536;
const FUNCTION_TABLE: TableType = TableType::new(RefType::FUNCREF, 1, None);

/// One page and one element, which can grow.
const GROWS: &str = r#"(module
    (memory (export "m") 1 8) (table (export "t") 1 8 funcref)
    (func $memory (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
    (func $table (export "table") (param i32) (result i32)
        (table.grow (ref.null func) (local.get 0))))"#;

/// The functions of [`GROWS`] in a store with these limits.
struct Grows {
    engine: Engine,
    store: Store<StoreLimits>,
    instance: Instance,
    memory: TypedFunc<i32, i32>,
    table: TypedFunc<i32, i32>,
}

impl Grows {
    fn new(strategy: Strategy, limits: StoreLimitsBuilder) -> Result<Grows, Error> {
        let engine = Engine::new(Config::new().strategy(strategy))?;
        let module = Module::new(&engine, GROWS)?;
        let mut store = Store::new(&engine, limits.build());
        store.limiter(|limits| limits);
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_typed_func(&mut store, "memory")?;
        let table = instance.get_typed_func(&mut store, "table")?;
        Ok(Grows { engine, store, instance, memory, table })
    }
}

fn limit(error: Error) -> LimitError {
    match error {
        Error::Limit(error) => error,
        other => panic!("this is another error: {other}"),
    }
}

#[test]
fn growth_stops_at_the_limit() -> Result<(), Error> {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let limits = StoreLimitsBuilder::new().memory_size(3 * PAGE).table_elements(4);
        let Grows { mut store, instance, memory, table, .. } = Grows::new(strategy, limits)?;
        assert_eq!(memory.call(&mut store, 3)?, -1);
        assert_eq!(memory.call(&mut store, -1)?, -1);
        assert_eq!(memory.call(&mut store, 1)?, 1);
        assert_eq!(memory.call(&mut store, 1)?, 2);
        assert_eq!(memory.call(&mut store, 0)?, 3);
        assert_eq!(memory.call(&mut store, 1)?, -1);
        assert_eq!(table.call(&mut store, 4)?, -1);
        assert_eq!(table.call(&mut store, 3)?, 1);
        assert_eq!(table.call(&mut store, 1)?, -1);

        // The embedder has the same limits, and hears of the numbers.
        let handle = instance.get_memory(&mut store, "m").expect("exported");
        let error = handle.grow(&mut store, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a memory of 262144 bytes is more than the 196608 that the store allows"
        );
        let limits = LimitError::MemorySize { requested: 4 * PAGE, limit: Some(3 * PAGE) };
        assert_eq!(error.downcast_ref(), Some(&limits));
        assert_eq!(handle.size(&store), 3);
        let handle = instance.get_table(&mut store, "t").expect("exported");
        let error = limit(handle.grow(&mut store, 2, Val::FuncRef(None)).unwrap_err());
        assert_eq!(error, LimitError::TableElements { requested: 6, limit: Some(4) });
        assert_eq!(handle.size(&store), 4);
    }
    Ok(())
}

#[test]
fn growth_that_fails_is_a_trap_if_wanted() -> Result<(), Error> {
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let limits = StoreLimitsBuilder::new().memory_size(2 * PAGE).trap_on_grow_failure(true);
        let Grows { mut store, instance, memory, table, .. } = Grows::new(strategy, limits)?;
        assert_eq!(memory.call(&mut store, 1)?, 1);
        // The limit, and what is beyond any.
        for pages in [1, -1] {
            let error = memory.call(&mut store, pages).unwrap_err();
            let trap = error.trap().expect("a trap");
            assert_eq!(trap.code, TrapCode::MemoryGrowthFailed);
            assert_eq!(trap.backtrace.frames()[0].function_name(), "memory");
            assert_eq!(error.to_string(), "wasm trap: memory growth failed");
        }
        // There is no limit but the table's own maximum.
        assert_eq!(table.call(&mut store, 7)?, 1);
        let error = table.call(&mut store, 1).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code, TrapCode::TableGrowthFailed);
        assert_eq!(error.to_string(), "wasm trap: table growth failed");
        // What the embedder does is an error that says more.
        let handle = instance.get_memory(&mut store, "m").expect("exported");
        limit(handle.grow(&mut store, 1).unwrap_err());
        assert_eq!(memory.call(&mut store, 0)?, 2);
    }
    Ok(())
}

#[test]
fn what_is_made_is_limited() -> Result<(), Error> {
    let limits = StoreLimitsBuilder::new().memory_size(2 * PAGE).table_elements(3);
    let Grows { engine, mut store, .. } = Grows::new(Strategy::Optimized, limits)?;
    let ty = |minimum| MemoryType::new(minimum, None);
    Memory::new(&mut store, ty(2))?;
    let error = limit(Memory::new(&mut store, ty(3)).unwrap_err());
    let too_large = LimitError::MemorySize { requested: 3 * PAGE, limit: Some(2 * PAGE) };
    assert_eq!(error, too_large);
    let module = Module::new(&engine, "(module (memory 3))")?;
    assert_eq!(limit(Instance::new(&mut store, &module, &[]).unwrap_err()), too_large);

    let ty = |minimum| TableType { minimum, ..FUNCTION_TABLE };
    Table::new(&mut store, ty(3), Val::FuncRef(None))?;
    let error = limit(Table::new(&mut store, ty(4), Val::FuncRef(None)).unwrap_err());
    assert_eq!(error, LimitError::TableElements { requested: 4, limit: Some(3) });
    assert_eq!(error.to_string(), "a table of 4 elements is more than the 3 that the store allows");
    let module = Module::new(&engine, "(module (table 4 funcref))")?;
    assert_eq!(limit(Linker::new(&engine).instantiate(&mut store, &module).unwrap_err()), error);
    Ok(())
}

#[test]
fn instances_memories_and_tables_are_counted() -> Result<(), Error> {
    let limits = StoreLimitsBuilder::new().instances(3).memories(3).tables(2);
    let Grows { engine, mut store, .. } = Grows::new(Strategy::Optimized, limits)?;
    let ty = MemoryType::new(1, None);
    let memory = Memory::new(&mut store, ty)?;
    // Two memories more, where there is room for one.
    let module = Module::new(&engine, "(module (memory 1) (memory 1))")?;
    let error = limit(Instance::new(&mut store, &module, &[]).unwrap_err());
    assert_eq!(error, LimitError::Memories { requested: 4, limit: 3 });
    assert_eq!(error.to_string(), "4 memories are more than the 3 that the store allows");

    Table::new(&mut store, FUNCTION_TABLE, Val::FuncRef(None))?;
    let error = limit(Table::new(&mut store, FUNCTION_TABLE, Val::FuncRef(None)).unwrap_err());
    assert_eq!(error, LimitError::Tables { requested: 3, limit: 2 });

    // What is imported is there already.
    let module = Module::new(&engine, r#"(module (import "" "" (memory 1)))"#)?;
    for _ in 0..2 {
        Instance::new(&mut store, &module, &[memory.into()])?;
    }
    let error = limit(Instance::new(&mut store, &module, &[memory.into()]).unwrap_err());
    assert_eq!(error, LimitError::Instances { requested: 4, limit: 3 });
    Ok(())
}

#[test]
fn without_a_limiter_only_the_types_are_limits() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, GROWS)?, &[])?;
    let memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    assert_eq!(memory.call(&mut store, 7)?, 1);
    assert_eq!(memory.call(&mut store, 1)?, -1);
    Ok(())
}

/// Writes down what it is asked and told, and does as it is bidden.
#[derive(Default)]
struct Notes {
    notes: Vec<String>,
    answer: Answer,
    answer_to_failure: Option<&'static str>,
}

#[derive(Clone, Copy, Default)]
enum Answer {
    #[default]
    Yes,
    No,
    Error,
    Panic,
}

impl Notes {
    fn answer(&mut self, what: &str, sizes: (usize, usize, Option<usize>)) -> Result<bool, Error> {
        self.notes.push(format!("{what} {sizes:?}"));
        match self.answer {
            Answer::Yes => Ok(true),
            Answer::No => Ok(false),
            Answer::Error => Err(Error::new(std::io::Error::other("the limiter's own"))),
            Answer::Panic => panic_any(7u8),
        }
    }

    fn failed(&mut self, error: &Error) -> Result<(), Error> {
        self.notes.push(error.to_string());
        self.answer_to_failure.map_or(Ok(()), |text| Err(Error::new(text)))
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

impl ResourceLimiter for Notes {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Error> {
        self.answer("memory", (current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, error: &Error) -> Result<(), Error> {
        self.failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Error> {
        self.answer("table", (current, desired, maximum))
    }

    fn table_grow_failed(&mut self, error: &Error) -> Result<(), Error> {
        self.failed(error)
    }
}

#[test]
fn a_limiter_of_ones_own_is_asked_about_everything() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let mut store = Store::new(&engine, Notes::default());
    store.limiter(|notes| notes);
    let instance = Instance::new(&mut store, &Module::new(&engine, GROWS)?, &[])?;
    let created = ["table (0, 1, Some(8))", "memory (0, 65536, Some(524288))"];
    assert_eq!(store.data_mut().take(), created);
    let memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    let table = instance.get_typed_func::<i32, i32>(&mut store, "table")?;

    assert_eq!(memory.call(&mut store, 2)?, 1);
    assert_eq!(store.data_mut().take(), ["memory (65536, 196608, Some(524288))"]);
    assert_eq!(memory.call(&mut store, 6)?, -1);
    let too_far = ["memory (196608, 589824, Some(524288))", "cannot grow from 3 by 6"];
    assert_eq!(store.data_mut().take(), too_far);
    assert_eq!(table.call(&mut store, 1)?, 1);
    assert_eq!(table.call(&mut store, 7)?, -1);
    let too_far = ["table (1, 2, Some(8))", "table (2, 9, Some(8))", "cannot grow from 2 by 7"];
    assert_eq!(store.data_mut().take(), too_far);

    store.data_mut().answer = Answer::No;
    assert_eq!((memory.call(&mut store, 1)?, table.call(&mut store, 1)?), (-1, -1));
    let ty = MemoryType::new(1, None);
    let error = Memory::new(&mut store, ty).unwrap_err();
    assert_eq!(error.to_string(), "a memory of 65536 bytes is more than the store allows");

    store.data_mut().answer = Answer::Error;
    for grow in [memory, table] {
        let error = grow.call(&mut store, 1).unwrap_err();
        assert_eq!(error.to_string(), "the limiter's own");
        assert!(error.downcast_ref::<std::io::Error>().is_some());
        assert_eq!(error.backtrace().expect("it ran").frames().len(), 1);
    }
    assert_eq!(Memory::new(&mut store, ty).unwrap_err().to_string(), "the limiter's own");

    store.data_mut().answer = Answer::Yes;
    store.data_mut().answer_to_failure = Some("that was too much");
    for grow in [memory, table] {
        let error = grow.call(&mut store, 100).unwrap_err();
        assert_eq!(error.to_string(), "that was too much");
    }

    store.data_mut().answer = Answer::Panic;
    for grow in [memory, table] {
        let call = catch_unwind(AssertUnwindSafe(|| grow.call(&mut store, 1)));
        assert_eq!(call.expect_err("it panics").downcast_ref::<u8>(), Some(&7));
    }
    store.data_mut().answer = Answer::Yes;
    assert_eq!((memory.call(&mut store, 1)?, table.call(&mut store, 1)?), (3, 2));
    Ok(())
}

/// What a store has before it gets its limiter is not asked about; a limiter
/// can be another part of the data later.
#[test]
fn a_limiter_may_be_given_and_changed_later() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let small = StoreLimitsBuilder::new().memory_size(PAGE).build();
    let large = StoreLimitsBuilder::new().memory_size(3 * PAGE).build();
    let mut store = Store::new(&engine, (small, large));
    let instance = Instance::new(&mut store, &Module::new(&engine, GROWS)?, &[])?;
    let memory = instance.get_typed_func::<i32, i32>(&mut store, "memory")?;
    assert_eq!(memory.call(&mut store, 1)?, 1);
    store.limiter(|limits| &mut limits.0);
    assert_eq!(memory.call(&mut store, 1)?, -1);
    store.limiter(|limits| &mut limits.1);
    assert_eq!(memory.call(&mut store, 1)?, 2);
    Ok(())
}
