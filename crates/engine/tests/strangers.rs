//! Things of another store or another engine: refused, for using them would
//! reach memory that may be gone or read one engine's numbers as another's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmprof_engine::*;

fn engine() -> Engine {
    Engine::new(Config::new()).expect("an engine")
}

/// A module that imports one thing, which it also exports.
fn importing(engine: &Engine, import: &str) -> Module {
    Module::new(engine, format!(r#"(module (import "" "" {import}))"#)).expect("valid")
}

#[test]
fn a_module_of_another_engine_is_refused() {
    let module = Module::new(&engine(), "(module)").expect("valid");
    let other = engine();
    let mut store = Store::new(&other, ());
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert!(error.to_string().contains("another engine"), "{error}");
    let error = Linker::new(&other).instantiate(&mut store, &module).unwrap_err();
    assert!(error.to_string().contains("another engine"), "{error}");
}

#[test]
fn imports_of_another_store_are_refused() {
    let engine = engine();
    let mut theirs = Store::new(&engine, ());
    let memory_type = MemoryType::new(1, None);
    let table_type = TableType::new(RefType::FUNCREF, 1, None);
    let global_type = GlobalType { content: ValType::I32, mutable: false };
    let items: [(&str, Extern); 4] = [
        ("(memory 1)", Memory::new(&mut theirs, memory_type).expect("a memory").into()),
        ("(func)", Func::wrap(&mut theirs, || {}).expect("a function").into()),
        (
            "(table 1 funcref)",
            Table::new(&mut theirs, table_type, Val::FuncRef(None)).expect("a table").into(),
        ),
        (
            "(global i32)",
            Global::new(&mut theirs, global_type, Val::I32(1)).expect("a global").into(),
        ),
    ];
    for (import, item) in items {
        let (module, items) = (importing(&engine, import), [item]);
        Instance::new(&mut theirs, &module, &items).expect("its own store takes it");
        let mut ours = Store::new(&engine, ());
        let link = AssertUnwindSafe(|| Instance::new(&mut ours, &module, &items).is_ok());
        assert!(catch_unwind(link).is_err(), "{import} of another store was taken");
    }
}
