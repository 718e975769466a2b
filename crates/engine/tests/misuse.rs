//! Every misuse of the interface is an error or a panic that its documentation
//! names. What the compiler of Rust refuses is in the runtime's
//! `does_not_compile`.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmprof_engine::*;

const MEMORY: MemoryType = MemoryType::new(1, Some(2));
const TABLE: TableType = TableType::new(RefType::FUNCREF, 1, Some(2));
const GLOBAL: GlobalType = GlobalType { content: ValType::FUNCREF, mutable: true };

fn engine() -> Engine {
    Engine::new(Config::new()).expect("an engine")
}

/// A store, and one of everything in it.
struct Things {
    engine: Engine,
    store: Store<u32>,
    instance: Instance,
    func: Func,
    typed: TypedFunc<i32, i32>,
    memory: Memory,
    table: Table,
    global: Global,
    reference: ExternRef,
    tag: Tag,
    exception: Exception,
    thrown: ExnRef,
}

impl Things {
    fn new(engine: &Engine) -> Things {
        let wat = r#"(module
            (func $f (export "f") (param i32) (result i32) (local.get 0))
            (func (export "calls") (param i32) (result i32) (call $f (local.get 0)))
            (func (export "takes") (param funcref externref))
            (func (export "traps") (unreachable))
            (memory (export "m") 1)
            (table (export "t") 1 funcref)
            (global (export "g") i32 (i32.const 5)))"#;
        let module = Module::new(engine, wat).expect("valid");
        let mut store = Store::new(engine, 0);
        let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
        let func = instance.get_func(&mut store, "f").expect("exported");
        let tag = Tag::new(&mut store, &FuncType::new([ValType::FUNCREF], []));
        let exception = Exception::new(&mut store, tag, [func.into()]).expect("its values");
        Things {
            tag,
            thrown: ExnRef::new(&mut store, exception.clone()).expect("room"),
            exception,
            engine: engine.clone(),
            instance,
            func,
            typed: func.typed(&store).expect("its type"),
            memory: Memory::new(&mut store, MEMORY).expect("a memory"),
            table: Table::new(&mut store, TABLE, Val::FuncRef(None)).expect("a table"),
            global: Global::new(&mut store, GLOBAL, Val::FuncRef(None)).expect("a global"),
            reference: ExternRef::new(&mut store, 7u32),
            store,
        }
    }

    /// All of its own, so that nothing below fails for another reason.
    fn work(&mut self) {
        let Things { store, .. } = self;
        assert_eq!(self.typed.call(&mut *store, 3).expect("no trap"), 3);
        self.table.set(&mut *store, 0, self.func.into()).expect("an element");
        self.global.set(&mut *store, self.func.into()).expect("its type");
        self.memory.write(&mut *store, 0, b"x").expect("a byte");
        let traps = self.instance.get_typed_func::<(), ()>(&mut *store, "traps");
        let error = traps.expect("exported").call(&mut *store, ()).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code, TrapCode::Unreachable);
    }
}

/// Asserts that a misuse panics and says why.
#[track_caller]
fn another_store(misuse: impl FnOnce()) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(misuse)) else {
        panic!("something of another store was taken");
    };
    let said = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    assert!(said.contains("belongs to another store"), "{said}");
}

/// A test for each line: what is used is of one store, `theirs`, and `ours` is
/// another one of the same engine and the same type.
macro_rules! things_of_another_store {
    ($($name:ident: |$theirs:ident, $ours:ident| $misuse:expr;)*) => {$(
        #[test]
        fn $name() {
            let engine = engine();
            let mut others = Things::new(&engine);
            let mut mine = Things::new(&engine);
            {
                let ($theirs, $ours) = (&mut others, &mut mine);
                another_store(|| {
                    let _ = $misuse;
                });
            }
            // Neither has come to harm.
            others.work();
            mine.work();
        }
    )*};
}

things_of_another_store! {
    a_function_is_not_asked_for_its_type: |theirs, ours| theirs.func.ty(&ours.store);
    a_function_is_not_typed: |theirs, ours| theirs.func.typed::<i32, i32>(&ours.store);
    a_function_is_not_called:
        |theirs, ours| theirs.func.call(&mut ours.store, &[Val::I32(1)], &mut [Val::I32(0)]);
    a_typed_function_is_not_called: |theirs, ours| theirs.typed.call(&mut ours.store, 1);
    an_argument_is_not_passed: |theirs, ours| {
        let takes = ours.instance.get_func(&mut ours.store, "takes").expect("exported");
        takes.call(&mut ours.store, &[theirs.func.into(), Val::ExternRef(None)], &mut [])
    };
    an_argument_of_known_type_is_not_passed: |theirs, ours| {
        let takes = ours.instance.get_typed_func::<(Option<Func>, Option<ExternRef>), ()>(
            &mut ours.store,
            "takes",
        );
        takes.expect("its type").call(&mut ours.store, (Some(theirs.func), None))
    };
    a_reference_is_not_passed: |theirs, ours| {
        let takes = ours.instance.get_func(&mut ours.store, "takes").expect("exported");
        takes.call(&mut ours.store, &[Val::FuncRef(None), theirs.reference.into()], &mut [])
    };
    a_reference_of_known_type_is_not_passed: |theirs, ours| {
        let takes = ours.instance.get_typed_func::<(Option<Func>, Option<ExternRef>), ()>(
            &mut ours.store,
            "takes",
        );
        takes.expect("its type").call(&mut ours.store, (None, Some(theirs.reference)))
    };
    a_reference_is_not_looked_into: |theirs, ours| theirs.reference.data(&ours.store);

    a_tag_is_not_asked_for_its_type: |theirs, ours| theirs.tag.ty(&ours.store);
    an_exception_is_not_made_by_it:
        |theirs, ours| Exception::new(&mut ours.store, theirs.tag, [Val::FuncRef(None)]);
    an_exception_does_not_carry_it:
        |theirs, ours| Exception::new(&mut ours.store, ours.tag, [theirs.func.into()]);
    an_exception_is_not_referred_to:
        |theirs, ours| ExnRef::new(&mut ours.store, theirs.exception.clone());
    an_exception_is_not_asked_for_its_tag: |theirs, ours| theirs.thrown.tag(&ours.store);
    an_exception_is_not_looked_into: |theirs, ours| theirs.thrown.values(&mut ours.store);
    a_tag_is_not_imported: |theirs, ours| {
        let module = importer(&ours.engine, "(tag (param funcref))");
        Instance::new(&mut ours.store, &module, &[theirs.tag.into()])
    };

    a_memory_is_not_asked_for_its_type: |theirs, ours| theirs.memory.ty(&ours.store);
    a_memory_is_not_asked_for_its_size: |theirs, ours| theirs.memory.size(&ours.store);
    a_memory_is_not_asked_for_its_bytes: |theirs, ours| theirs.memory.data_size(&ours.store);
    a_memory_is_not_looked_into: |theirs, ours| theirs.memory.data(&ours.store).len();
    a_memory_is_not_changed: |theirs, ours| theirs.memory.data_mut(&mut ours.store).fill(1);
    a_memory_is_not_changed_beside_data:
        |theirs, ours| theirs.memory.data_and_store_mut(&mut ours.store).0.fill(1);
    a_memory_is_not_read: |theirs, ours| theirs.memory.read(&ours.store, 0, &mut [0]);
    a_memory_is_not_written: |theirs, ours| theirs.memory.write(&mut ours.store, 0, &[0]);
    a_memory_is_not_grown: |theirs, ours| theirs.memory.grow(&mut ours.store, 1);

    a_table_is_not_asked_for_its_type: |theirs, ours| theirs.table.ty(&ours.store);
    a_table_is_not_asked_for_its_size: |theirs, ours| theirs.table.size(&ours.store);
    a_table_is_not_looked_into: |theirs, ours| theirs.table.get(&mut ours.store, 0);
    a_table_is_not_changed:
        |theirs, ours| theirs.table.set(&mut ours.store, 0, Val::FuncRef(None));
    a_table_is_not_grown: |theirs, ours| theirs.table.grow(&mut ours.store, 1, Val::FuncRef(None));
    a_table_is_not_filled:
        |theirs, ours| theirs.table.fill(&mut ours.store, 0, Val::FuncRef(None), 1);
    a_table_is_not_copied_to:
        |theirs, ours| Table::copy(&mut ours.store, theirs.table, 0, ours.table, 0, 1);
    a_table_is_not_copied_from:
        |theirs, ours| Table::copy(&mut ours.store, ours.table, 0, theirs.table, 0, 1);
    a_table_is_not_made_of_it: |theirs, ours| Table::new(&mut ours.store, TABLE, theirs.func.into());
    an_element_is_not_set: |theirs, ours| ours.table.set(&mut ours.store, 0, theirs.func.into());
    a_table_is_not_grown_by_it: |theirs, ours| ours.table.grow(&mut ours.store, 1, theirs.func.into());
    a_table_is_not_filled_with_it:
        |theirs, ours| ours.table.fill(&mut ours.store, 0, theirs.func.into(), 1);

    a_global_is_not_asked_for_its_type: |theirs, ours| theirs.global.ty(&ours.store);
    a_global_is_not_read: |theirs, ours| theirs.global.get(&mut ours.store);
    a_global_is_not_set: |theirs, ours| theirs.global.set(&mut ours.store, Val::FuncRef(None));
    a_global_is_not_made_of_it:
        |theirs, ours| Global::new(&mut ours.store, GLOBAL, theirs.func.into());
    a_global_is_not_set_to_it: |theirs, ours| ours.global.set(&mut ours.store, theirs.func.into());

    an_instance_is_not_asked_for_its_module: |theirs, ours| theirs.instance.module(&ours.store);
    an_instance_is_not_asked_for_an_export:
        |theirs, ours| theirs.instance.get_export(&mut ours.store, "f");
    an_instance_is_not_asked_for_its_exports:
        |theirs, ours| theirs.instance.exports(&mut ours.store);
    an_instance_is_not_asked_for_a_function:
        |theirs, ours| theirs.instance.get_func(&mut ours.store, "f");
    an_instance_is_not_asked_for_a_memory:
        |theirs, ours| theirs.instance.get_memory(&mut ours.store, "m");
    an_instance_is_not_asked_for_a_table:
        |theirs, ours| theirs.instance.get_table(&mut ours.store, "t");
    an_instance_is_not_asked_for_a_global:
        |theirs, ours| theirs.instance.get_global(&mut ours.store, "g");
    an_instance_is_not_asked_for_a_tag:
        |theirs, ours| theirs.instance.get_tag(&mut ours.store, "tag");
    an_instance_is_not_asked_for_a_shared_memory:
        |theirs, ours| theirs.instance.get_shared_memory(&mut ours.store, "m");
    an_instance_is_not_asked_for_a_typed_function:
        |theirs, ours| theirs.instance.get_typed_func::<i32, i32>(&mut ours.store, "f");
    an_instance_is_not_named:
        |theirs, ours| Linker::new(&ours.engine).instance(&mut ours.store, "x", theirs.instance).map(drop);

    a_thing_is_not_asked_for_its_type: |theirs, ours| Extern::from(theirs.func).ty(&ours.store);
    a_thing_is_not_named:
        |theirs, ours| Linker::new(&ours.engine).define(&mut ours.store, "a", "b", theirs.memory).map(drop);
    a_name_of_another_store_is_not_looked_up: |theirs, ours| {
        let mut linker = Linker::new(&ours.engine);
        linker.define(&mut theirs.store, "a", "b", theirs.func).expect("a new name");
        linker.get(&mut ours.store, "a", "b")
    };
    a_name_of_another_store_is_not_linked: |theirs, ours| {
        let mut linker = Linker::new(&ours.engine);
        linker.define(&mut theirs.store, "a", "b", theirs.memory).expect("a new name");
        let module = importer(&ours.engine, "(memory 1)");
        linker.instantiate(&mut ours.store, &module)
    };
    a_function_is_not_imported: |theirs, ours| {
        let module = importer(&ours.engine, "(func (param i32) (result i32))");
        Instance::new(&mut ours.store, &module, &[theirs.func.into()])
    };
    a_memory_is_not_imported: |theirs, ours| {
        let module = importer(&ours.engine, "(memory 1)");
        Instance::new(&mut ours.store, &module, &[theirs.memory.into()])
    };
    a_table_is_not_imported: |theirs, ours| {
        let module = importer(&ours.engine, "(table 1 funcref)");
        Instance::new(&mut ours.store, &module, &[theirs.table.into()])
    };
    a_global_is_not_imported: |theirs, ours| {
        let module = importer(&ours.engine, "(global (mut funcref))");
        Instance::new(&mut ours.store, &module, &[theirs.global.into()])
    };

    a_function_is_not_returned: |theirs, ours| {
        let func = theirs.func;
        Func::wrap(&mut ours.store, move || Some(func))
            .expect("a function")
            .typed::<(), Option<Func>>(&ours.store)
            .expect("its type")
            .call(&mut ours.store, ())
    };
    a_reference_is_not_returned: |theirs, ours| {
        let reference = theirs.reference;
        Func::wrap(&mut ours.store, move || -> Result<_, Error> { Ok(Some(reference)) })
            .expect("a function")
            .typed::<(), Option<ExternRef>>(&ours.store)
            .expect("its type")
            .call(&mut ours.store, ())
    };
    a_function_is_not_returned_among_others: |theirs, ours| {
        let func = theirs.func;
        Func::wrap(&mut ours.store, move || (1, Some(func), 2))
            .expect("a function")
            .typed::<(), (i32, Option<Func>, i32)>(&ours.store)
            .expect("its type")
            .call(&mut ours.store, ())
    };
    a_function_is_not_returned_in_a_slice: |theirs, ours| {
        let value = Val::from(theirs.func);
        let ty = FuncType::new([], [ValType::FUNCREF]);
        let func = Func::new(&mut ours.store, ty, move |_, _, results| {
            results[0] = value;
            Ok(())
        });
        func.expect("a function").call(&mut ours.store, &[], &mut [Val::I32(0)])
    };
    a_host_function_does_not_reach_it: |theirs, ours| {
        let memory = theirs.memory;
        Func::wrap(&mut ours.store, move |caller: Caller<'_, u32>| memory.size(&caller))
            .expect("a function")
            .typed::<(), u64>(&ours.store)
            .expect("its type")
            .call(&mut ours.store, ())
    };
}

/// A module that imports one thing by the name of `a` `b`.
fn importer(engine: &Engine, what: &str) -> Module {
    Module::new(engine, format!(r#"(module (import "a" "b" {what}))"#)).expect("valid")
}

#[test]
fn references_know_their_store() {
    let engine = engine();
    let (theirs, ours) = (Things::new(&engine), Things::new(&engine));
    assert!(Val::from(ours.func).belongs_to(&ours.store));
    assert!(!Val::from(theirs.func).belongs_to(&ours.store));
    assert!(!Val::from(theirs.reference).belongs_to(&ours.store));
    assert!(Val::FuncRef(None).belongs_to(&ours.store) && Val::I32(1).belongs_to(&ours.store));
}

/// An exception of another store cannot be thrown here, not even into a clause
/// for all; it goes out as the error that it is. So does that of a call into
/// another store.
#[test]
fn an_exception_of_another_store_is_not_caught() -> Result<(), Error> {
    let engine = engine();
    let wat = r#"(module
        (import "" "host" (func $host))
        (tag $t (export "t"))
        (func (export "throw") (throw $t))
        (func (export "catch") (result i32)
            (block $caught (try_table (catch_all $caught) (call $host)) (return (i32.const 0)))
            (i32.const 1)))"#;
    let module = Module::new(&engine, wat)?;
    let nothing = Linker::<()>::new(&engine);
    let instantiate = |linker: &Linker<()>| -> Result<_, Error> {
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module)?;
        Ok((store, instance))
    };
    assert!(instantiate(&nothing).is_err(), "there is no host function yet");

    let mut inner_linker = Linker::new(&engine);
    inner_linker.func_wrap("", "host", || {})?;
    let (mut inner, instance) = instantiate(&inner_linker)?;
    let throw = instance.get_typed_func::<(), ()>(&mut inner, "throw")?;
    let kept = throw.call(&mut inner, ()).unwrap_err();
    let kept = kept.downcast_ref::<Exception>().expect("an exception").clone();
    let inner = Mutex::new(inner);
    let calls = AtomicUsize::new(0);

    let mut linker = Linker::new(&engine);
    linker.func_wrap("", "host", move || -> Result<(), Error> {
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => throw.call(&mut *inner.lock().expect("nobody panics"), ()),
            1 => Err(kept.clone().into()),
            _ => Err(Error::new(kept.clone())),
        }
    })?;
    let (mut outer, instance) = instantiate(&linker)?;
    let catch = instance.get_typed_func::<(), i32>(&mut outer, "catch")?;
    for _ in 0..3 {
        let error = catch.call(&mut outer, ()).unwrap_err();
        assert!(matches!(error, Error::Exception(_)), "{error}");
    }
    Ok(())
}

/// What is left of a store that is gone is like something of another one.
#[test]
fn handles_outlive_their_store_and_are_of_no_use() {
    let engine = engine();
    let Things { store, typed, memory, reference, .. } = Things::new(&engine);
    drop(store);
    let mut ours = Things::new(&engine);
    another_store(|| drop(typed.call(&mut ours.store, 1)));
    another_store(|| drop(memory.grow(&mut ours.store, 1)));
    another_store(|| drop(reference.data(&ours.store)));
    let Things { store, typed, .. } = Things::new(&engine);
    assert_eq!(store.into_data(), 0);
    another_store(|| drop(typed.call(&mut ours.store, 1)));
    ours.work();
}

// Things of another engine.

#[test]
fn a_module_of_another_engine_is_not_instantiated() {
    let module = importer(&engine(), "(func)");
    let mut ours = Things::new(&engine());
    let error = Instance::new(&mut ours.store, &module, &[]).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(LinkError::OtherEngine)), "{error}");
    ours.work();
}

#[test]
fn a_linker_of_another_engine_does_not_instantiate() {
    let mut ours = Things::new(&engine());
    let mut linker = Linker::new(&engine());
    linker.func_wrap("a", "b", || {}).expect("a new name");
    let module = importer(&ours.engine, "(func)");
    let error = linker.instantiate(&mut ours.store, &module).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(LinkError::OtherEnginesLinker)), "{error}");
    ours.work();
}

// Wrong types, numbers and places.

/// Why `error` says that things do not fit together.
#[track_caller]
fn link_error(result: Result<impl Sized, Error>) -> LinkError {
    match result.err().expect("this is misuse") {
        Error::Link(error) => *error,
        other => panic!("this is another error: {other}"),
    }
}

#[test]
fn a_function_is_not_called_with_wrong_values() {
    let mut ours = Things::new(&engine());
    let (func, store) = (ours.func, &mut ours.store);
    for (params, results) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        let (params, mut results) = (vec![Val::I32(1); params], vec![Val::I32(0); results]);
        let error = link_error(func.call(&mut *store, &params, &mut results));
        assert!(matches!(error, LinkError::Arity { .. }), "{error}");
    }
    let error = link_error(func.call(&mut *store, &[Val::I64(1)], &mut [Val::I32(0)]));
    assert!(matches!(error, LinkError::ValueType { wanted: ValType::I32, .. }), "{error}");
    ours.work();
}

#[test]
fn a_function_is_not_taken_for_one_of_another_type() {
    let mut ours = Things::new(&engine());
    let (func, instance, store) = (ours.func, ours.instance, &mut ours.store);
    let errors = [
        link_error(func.typed::<(), i32>(&*store)),
        link_error(func.typed::<i32, ()>(&*store)),
        link_error(func.typed::<i64, i32>(&*store)),
        link_error(func.typed::<i32, f32>(&*store)),
        link_error(func.typed::<(i32, i32), i32>(&*store)),
        link_error(instance.get_typed_func::<(), ()>(&mut *store, "f")),
    ];
    for error in errors {
        assert!(matches!(error, LinkError::FunctionType { .. }), "{error}");
    }
    for name in ["m", "nothing"] {
        let error = link_error(instance.get_typed_func::<(), ()>(&mut *store, name));
        assert!(matches!(error, LinkError::NoExport { .. }), "{error}");
    }
    assert!(instance.get_func(&mut *store, "m").is_none());
    assert!(instance.get_memory(&mut *store, "f").is_none());
    ours.work();
}

#[test]
fn a_host_function_does_not_return_wrong_values() {
    let mut ours = Things::new(&engine());
    let ty = FuncType::new([], [ValType::I32]);
    let func = Func::new(&mut ours.store, ty, |_, _, results| {
        results[0] = Val::F32(0);
        Ok(())
    });
    let error = func.expect("a function").call(&mut ours.store, &[], &mut [Val::I32(0)]);
    let error = link_error(error);
    assert!(matches!(error, LinkError::ValueType { wanted: ValType::I32, .. }), "{error}");
    ours.work();
}

#[test]
fn imports_do_not_fit_by_number_name_or_type() {
    let mut ours = Things::new(&engine());
    let module = importer(&ours.engine, "(func)");
    for imports in [&[][..], &[ours.func.into(), ours.func.into()]] {
        let error = link_error(Instance::new(&mut ours.store, &module, imports));
        assert!(matches!(error, LinkError::ImportCount { wanted: 1, .. }), "{error}");
    }
    let things: [Extern; 4] =
        [ours.func.into(), ours.memory.into(), ours.table.into(), ours.global.into()];
    for thing in things {
        let error = link_error(Instance::new(&mut ours.store, &module, &[thing]));
        assert!(matches!(error, LinkError::ImportType { .. }), "{error}");
    }
    let linker = Linker::new(&ours.engine);
    let error = link_error(linker.instantiate(&mut ours.store, &module));
    assert!(matches!(error, LinkError::MissingImport { .. }), "{error}");
    ours.work();
}

#[test]
fn a_name_is_not_defined_twice() {
    let mut ours = Things::new(&engine());
    let mut linker = Linker::new(&ours.engine);
    linker.func_wrap("a", "b", || {}).expect("a new name");
    linker.func_wrap("c", "f", || {}).expect("a new name");
    let nothing = FuncType::new([], []);
    for error in [
        link_error(linker.func_wrap("a", "b", || {}).map(drop)),
        link_error(linker.func_new("a", "b", nothing, |_, _, _| Ok(())).map(drop)),
        link_error(linker.define(&mut ours.store, "a", "b", ours.memory).map(drop)),
        link_error(linker.instance(&mut ours.store, "c", ours.instance).map(drop)),
        link_error(linker.alias_module("a", "a").map(drop)),
    ] {
        assert!(matches!(error, LinkError::AlreadyDefined { .. }), "{error}");
    }
    ours.work();
}

#[test]
fn a_memory_has_a_possible_size_and_stays_within_it() {
    let mut ours = Things::new(&engine());
    let (memory, store) = (ours.memory, &mut ours.store);
    for (minimum, maximum) in
        [(2, Some(1)), (65_537, None), (1 << 48, None), ((1 << 48) + 1, None), (u64::MAX, None)]
    {
        let error = link_error(Memory::new(&mut *store, MemoryType::new(minimum, maximum)));
        assert!(matches!(error, LinkError::MemoryType { .. }), "{error}");
    }
    for pages in [2, 65_536, 1 << 48, u64::MAX] {
        let error = link_error(memory.grow(&mut *store, pages));
        assert!(matches!(error, LinkError::CannotGrow { from: 1, .. }), "{error}");
    }
    for at in [65_536, usize::MAX] {
        assert_eq!(memory.read(&*store, at, &mut [0]), Err(MemoryAccessError));
        assert_eq!(memory.write(&mut *store, at, &[0]), Err(MemoryAccessError));
    }
    assert_eq!(memory.read(&*store, 65_535, &mut [0, 0]), Err(MemoryAccessError));
    assert_eq!(memory.write(&mut *store, 65_535, &[1, 1]), Err(MemoryAccessError));
    assert_eq!(memory.data(&*store)[65_535], 0, "nothing is written by halves");
    ours.work();
}

#[test]
fn a_table_has_a_possible_size_and_stays_within_it() {
    let mut ours = Things::new(&engine());
    let (table, store) = (ours.table, &mut ours.store);
    let null = Val::FuncRef(None);
    for (minimum, maximum) in [(2, Some(1)), (10_000_001, None), (u64::MAX, None)] {
        let ty = TableType { minimum, maximum, ..TABLE };
        let error = link_error(Table::new(&mut *store, ty, null));
        assert!(matches!(error, LinkError::ImpossibleSize { .. }), "{error}");
    }
    for elements in [2, 10_000_000, u64::MAX] {
        let error = link_error(table.grow(&mut *store, elements, null));
        assert!(matches!(error, LinkError::CannotGrow { from: 1, .. }), "{error}");
    }
    for index in [1, 1 << 32, u64::MAX] {
        assert!(table.get(&mut *store, index).is_none());
        for error in [
            link_error(table.set(&mut *store, index, null)),
            link_error(table.fill(&mut *store, index, null, 1)),
            link_error(table.fill(&mut *store, 0, null, index.saturating_add(1))),
            link_error(Table::copy(&mut *store, table, index, table, 0, 1)),
            link_error(Table::copy(&mut *store, table, 0, table, index, 1)),
            link_error(Table::copy(&mut *store, table, 0, table, 1, index)),
        ] {
            assert!(matches!(error, LinkError::NoElement { .. }), "{error}");
        }
    }
    ours.work();
}

#[test]
fn elements_and_globals_have_their_type() {
    let mut ours = Things::new(&engine());
    let (table, global, store) = (ours.table, ours.global, &mut ours.store);
    let other = Val::ExternRef(None);
    let ty = GlobalType { content: ValType::I32, mutable: false };
    let constant = Global::new(&mut *store, ty, Val::I32(1)).expect("its type");
    let extern_table = TableType { element: RefType::EXTERNREF, ..TABLE };
    let externs = Table::new(&mut *store, extern_table, other).expect("its type");
    for error in [
        link_error(Table::new(&mut *store, TABLE, other)),
        link_error(table.set(&mut *store, 0, other)),
        link_error(table.set(&mut *store, 0, Val::I32(1))),
        link_error(table.grow(&mut *store, 1, other)),
        link_error(table.fill(&mut *store, 0, other, 1)),
        link_error(Table::copy(&mut *store, table, 0, externs, 0, 1)),
        link_error(Global::new(&mut *store, GLOBAL, other)),
        link_error(global.set(&mut *store, other)),
    ] {
        assert!(matches!(error, LinkError::ValueType { .. }), "{error}");
    }
    let error = link_error(constant.set(&mut *store, Val::I32(2)));
    assert!(matches!(error, LinkError::ImmutableGlobal), "{error}");
    ours.work();
}

#[test]
fn a_stack_has_some_bytes() {
    let error = Engine::new(Config::new().max_wasm_stack(0)).unwrap_err();
    assert!(error.to_string().contains("max_wasm_stack"), "{error}");
    // More than there is: the thread's stack is the limit.
    let wat = r#"(module
        (func $deep (export "deep") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
                (else (i32.const 0)))))"#;
    for (bytes, some, too_many) in [(usize::MAX, 1000, 100_000_000), (1, 0, 1), (4096, 1, 1000)] {
        let engine = Engine::new(Config::new().max_wasm_stack(bytes)).expect("an engine");
        let module = Module::new(&engine, wat).expect("valid");
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
        let deep = instance.get_typed_func::<i32, i32>(&mut store, "deep").expect("exported");
        if some > 0 {
            assert_eq!(deep.call(&mut store, some).expect("there is room"), some);
        }
        let error = deep.call(&mut store, too_many).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code, TrapCode::StackOverflow);
    }
}

/// A thread whose whole stack is less than what is kept for host functions.
#[test]
fn a_thread_with_little_stack_traps() {
    let thread = std::thread::Builder::new().stack_size(96 * 1024).spawn(|| {
        let mut ours = Things::new(&engine());
        let calls = ours.instance.get_typed_func::<i32, i32>(&mut ours.store, "calls");
        let error = calls.expect("exported").call(&mut ours.store, 1).unwrap_err();
        assert_eq!(error.trap().expect("a trap").code, TrapCode::StackOverflow);
    });
    thread.expect("a thread").join().expect("no panic");
}

// Stores within stores, within threads, within themselves.

#[test]
fn a_function_may_be_called_within_itself() -> Result<(), Error> {
    let engine = engine();
    let mut store = Store::new(&engine, None::<Func>);
    let func = Func::wrap(&mut store, |mut caller: Caller<'_, Option<Func>>, n: i32| {
        let again = caller.data().expect("it is known");
        if n == 0 { Ok(0) } else { again.typed::<i32, i32>(&caller)?.call(&mut caller, n - 1) }
    })?;
    *store.data_mut() = Some(func);
    assert_eq!(func.typed::<i32, i32>(&store)?.call(&mut store, 50)?, 0);
    Ok(())
}

/// A host function of one store calls into another one, which fails there in
/// every way; then its own store goes on and fails, too.
#[test]
fn a_store_may_fail_within_another() -> Result<(), Error> {
    let engine = engine();
    let wat = r#"(module
        (import "" "inner" (func $inner (param i32) (result i32)))
        (memory 1)
        (func $deep (param i32) (result i32)
            (i32.add (call $deep (local.get 0)) (i32.const 1)))
        (func (export "fail") (param i32) (result i32)
            (if (i32.eq (local.get 0) (i32.const 0)) (then (unreachable)))
            (if (i32.eq (local.get 0) (i32.const 1)) (then (drop (i32.load (i32.const -1)))))
            (if (i32.eq (local.get 0) (i32.const 2))
                (then (drop (i32.div_s (i32.const 1) (i32.const 0)))))
            (if (i32.eq (local.get 0) (i32.const 3)) (then (drop (call $deep (i32.const 0)))))
            (call $inner (local.get 0))))"#;
    let module = Module::new(&engine, wat)?;
    let fails_in_all_ways = |store: &mut Store<Mutex<Vec<Option<TrapCode>>>>,
                             fail: TypedFunc<i32, i32>| {
        let codes = [
            Some(TrapCode::Unreachable),
            Some(TrapCode::MemoryOutOfBounds),
            Some(TrapCode::IntegerDivideByZero),
            Some(TrapCode::StackOverflow),
            None,
        ];
        for (way, code) in (0..).zip(codes) {
            let error = fail.call(&mut *store, way).unwrap_err();
            assert_eq!(error.trap().map(|trap| trap.code), code, "{error}");
        }
    };
    let make = |inner: Box<dyn Fn(i32) -> Result<i32, Error> + Send + Sync>| {
        let mut store = Store::new(&engine, Mutex::new(Vec::new()));
        let inner = Func::wrap(&mut store, inner)?;
        let instance = Instance::new(&mut store, &module, &[inner.into()])?;
        let fail = instance.get_typed_func::<i32, i32>(&mut store, "fail")?;
        Ok::<_, Error>((store, fail))
    };
    let (inner, inner_fail) = make(Box::new(|_| Err(Error::new("the innermost fails"))))?;
    let inner = Mutex::new(inner);
    let calls = AtomicUsize::new(0);
    let (mut outer, fail) = make(Box::new(move |way| {
        let mut inner = inner.lock().expect("nobody has panicked");
        fails_in_all_ways(&mut inner, inner_fail);
        calls.fetch_add(1, Ordering::Relaxed);
        inner_fail.call(&mut *inner, way)
    }))?;
    for _ in 0..3 {
        fails_in_all_ways(&mut outer, fail);
    }
    // The error of the inner store goes out through the outer one.
    let error = fail.call(&mut outer, 4).unwrap_err();
    assert_eq!(error.to_string(), "the innermost fails");
    Ok(())
}

/// Each thread has another stack and another signal stack.
#[test]
fn a_store_may_move_between_calls() {
    let mut ours = Things::new(&engine());
    for _ in 0..8 {
        ours.work();
        ours = std::thread::spawn(move || {
            ours.work();
            ours
        })
        .join()
        .expect("no panic");
    }
}

/// Runs functions in its destructor, when its thread is about to end.
struct RunsAtTheEnd(Things, &'static AtomicUsize);

impl Drop for RunsAtTheEnd {
    fn drop(&mut self) {
        self.0.work();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<RunsAtTheEnd>> = const { RefCell::new(None) };
}

/// A destructor of a thread may come before or behind that of the thread's
/// signal stack, by which of them was used first.
#[test]
fn a_thread_may_run_functions_while_it_ends() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    for used_before in [false, true] {
        let thread = std::thread::spawn(move || {
            let mut things = Things::new(&engine());
            if used_before {
                things.work();
            }
            // The first use is when its destructor is registered.
            AT_THE_END.with(|_| {});
            things.work();
            AT_THE_END.set(Some(RunsAtTheEnd(things, &RUNS)));
        });
        thread.join().expect("no panic");
    }
    assert_eq!(RUNS.load(Ordering::Relaxed), 2);
}

thread_local! {
    static SHARED: RefCell<Option<Things>> = const { RefCell::new(None) };
}

/// A host function gets at its own store by no second way: the call has it.
#[test]
fn a_store_is_not_borrowed_twice() {
    let mut ours = Things::new(&engine());
    let again = Func::wrap(&mut ours.store, || -> i32 {
        SHARED.with_borrow_mut(|things| things.as_mut().map_or(0, |_| 1))
    });
    let again = again.expect("a function").typed::<(), i32>(&ours.store).expect("its type");
    SHARED.set(Some(ours));
    let call = || {
        SHARED.with_borrow_mut(|things| {
            let things = things.as_mut().expect("it is set");
            again.call(&mut things.store, ())
        })
    };
    let payload = catch_unwind(call).expect_err("the cell is borrowed already");
    let said = payload.downcast_ref::<String>().expect("what cells say");
    assert!(said.contains("borrowed"), "{said}");
    SHARED.with_borrow_mut(|things| things.as_mut().expect("it is set").work());
}
