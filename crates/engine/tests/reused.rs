//! What instances leave behind is used by the next ones: they must not see it.

use wasmprof_engine::*;

/// A memory and a table of each kind that is laid out in its own way, with all
/// that guests can change in them.
fn modules() -> Vec<String> {
    let data = "\\aa".repeat(100_000);
    let memories = [
        "(memory (export \"m\") 0 3)",
        "(memory (export \"m\") 1)",
        "(memory (export \"m\") 3 20)",
        "(memory (export \"m\") 40)",
        "(memory (export \"m\") i64 2 8)",
        "(memory (export \"m\") 100 100000 (pagesize 1))",
    ];
    let tables = ["(table (export \"t\") 3 funcref)", "(table (export \"t\") 600 5000 funcref)"];
    let mut modules = Vec::new();
    for memory in memories {
        for table in tables {
            modules.push(format!("(module {memory} {table})"));
        }
    }
    modules.push(format!(
        "(module (memory (export \"m\") 4) (table (export \"t\") 1 9 funcref)
            (data (i32.const 70000) \"{data}\"))"
    ));
    modules
}

/// Makes an instance, looks at everything in it, and leaves nothing as it was.
fn spoil(engine: &Engine, module: &Module) -> Result<(), Error> {
    let mut store = Store::new(engine, ());
    let instance = Instance::new(&mut store, module, &[])?;
    let memory = instance.get_memory(&mut store, "m").expect("exported");
    let table = instance.get_table(&mut store, "t").expect("exported");
    let bytes = memory.data(&store);
    // Of a module with data, all that is not zero is the data.
    let first = bytes.iter().position(|byte| *byte != 0);
    if let Some(first) = first {
        assert_eq!(first, 70_000);
        assert!(bytes[first..][..100_000].iter().all(|byte| *byte == 0xaa));
        assert!(bytes[first + 100_000..].iter().all(|byte| *byte == 0));
    }
    let func = Func::wrap(&mut store, || {})?;
    for round in 0..2 {
        memory.data_mut(&mut store).fill(0xff);
        for at in 0..table.size(&store) {
            let is_null = matches!(table.get(&mut store, at), Some(Val::FuncRef(None)));
            assert_eq!(is_null, round == 0 || at + 4 >= table.size(&store), "{at}");
            table.set(&mut store, at, func.into())?;
        }
        if round == 0 {
            let len = memory.data(&store).len();
            // What is new is zero, too.
            if memory.grow(&mut store, 2).is_ok() {
                assert!(memory.data(&store)[len..].iter().all(|byte| *byte == 0));
            }
            table.grow(&mut store, 4, Val::FuncRef(None))?;
        }
    }
    Ok(())
}

#[test]
fn nothing_is_seen_of_what_was_there_before() -> Result<(), Error> {
    for guarded in [true, false] {
        let engine = Engine::new(Config::new().guarded_memories(guarded))?;
        let modules = modules().into_iter().map(|text| Module::new(&engine, text));
        let modules = modules.collect::<Result<Vec<_>, _>>()?;
        for _ in 0..4 {
            for module in &modules {
                spoil(&engine, module)?;
            }
        }
    }
    Ok(())
}

#[test]
fn threads_take_from_each_other() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let modules = modules().into_iter().map(|text| Module::new(&engine, text));
    let modules = modules.collect::<Result<Vec<_>, _>>()?;
    std::thread::scope(|scope| {
        let run = |start: usize| {
            for module in modules.iter().cycle().skip(start).take(40) {
                spoil(&engine, module).expect("there is room");
            }
        };
        let threads: Vec<_> = (0..8).map(|start| scope.spawn(move || run(start))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
    Ok(())
}

/// An access behind the end of a memory traps, whatever the memory before had
/// there.
#[test]
fn what_was_larger_before_ends_where_it_should() -> Result<(), Error> {
    let engine = Engine::new(Config::new())?;
    let module = |pages: u32| {
        let text = format!(
            r#"(module (memory {pages})
                (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
                (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#
        );
        Module::new(&engine, text)
    };
    let modules = [module(0)?, module(1)?, module(2)?, module(30)?];
    for (turn, at) in [3, 0, 2, 1, 3, 3, 1, 1, 0, 2, 0].into_iter().enumerate() {
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &modules[at], &[])?;
        let load = instance.get_typed_func::<u32, u32>(&mut store, "load")?;
        let grow = instance.get_typed_func::<u32, u32>(&mut store, "grow")?;
        let mut pages = grow.call(&mut store, 0)?;
        for delta in [0, turn as u32 % 3, 1] {
            grow.call(&mut store, delta)?;
            pages += delta;
            if pages > 0 {
                assert_eq!(load.call(&mut store, pages * 65_536 - 1)?, 0);
            }
            let error = load.call(&mut store, pages * 65_536).unwrap_err();
            assert_eq!(error.trap().expect("a trap").code, TrapCode::MemoryOutOfBounds);
        }
    }
    Ok(())
}
