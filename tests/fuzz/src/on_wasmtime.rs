//! Brings a module to life on wasmtime.

use crate::guest::{Guest, Item, Outcome, Trap, Type, Value};
use crate::host::{Failed, Host};
use crate::plan::{Import, Plan, Signature};
use crate::random::{hash, shared_bytes};
use wasmtime::{
    AsContextMut, Config, Engine, Error, Extern, ExternRef, Func, FuncType, Global, GlobalType,
    HeapType, Instance, Memory, MemoryType, Module, Mutability, Ref, RefType, Result, SharedMemory,
    Store, Table, TableType, Tag, TagType, ThrownException, Val, ValType,
};

pub(crate) fn engine(engine_nans: bool) -> Engine {
    let mut config = Config::new();
    config
        .cranelift_nan_canonicalization(engine_nans)
        .relaxed_simd_deterministic(true)
        .shared_memory(true)
        .wasm_custom_page_sizes(true)
        .wasm_exceptions(true)
        .wasm_memory64(true)
        .wasm_threads(true)
        .wasm_wide_arithmetic(true);
    Engine::new(&config).expect("an engine for this machine")
}

struct Life {
    store: Store<Host>,
    imports: Vec<Extern>,
    instance: Option<Instance>,
    /// Stands for all references to functions that the host gives.
    function: Func,
}

/// # Errors
///
/// If the module does not compile, or its imports do not fit.
pub(crate) fn start(
    engine: &Engine,
    wasm: &[u8],
    plan: &Plan,
) -> Result<(Box<dyn Guest>, Outcome), String> {
    let text = |error: Error| format!("{error:?}");
    let module = Module::from_binary(engine, wasm).map_err(text)?;
    let mut store = Store::new(engine, Host::default());
    let nothing = FuncType::new(engine, [], []);
    let function = Func::new(&mut store, nothing, |mut caller, _, _| {
        Ok(caller.data_mut().answer(u64::MAX, &[], &[]).map(|_| ())?)
    });
    let imports = (0..).zip(&plan.imports);
    let imports = imports.map(|(index, import)| supply(&mut store, function, index, import));
    let imports = imports.collect::<Result<Vec<_>>>().map_err(text)?;
    let (instance, outcome) = match Instance::new(&mut store, &module, &imports) {
        Ok(instance) => (Some(instance), Outcome::Returned(Vec::new())),
        Err(error) => match failure(&mut store, &error) {
            Outcome::Trapped(Trap::Other(error)) => return Err(error),
            outcome => (None, outcome),
        },
    };
    Ok((Box::new(Life { store, imports, instance, function }), outcome))
}

fn supply(store: &mut Store<Host>, function: Func, index: u64, import: &Import) -> Result<Extern> {
    let narrow = |size: u64| u32::try_from(size).expect("sizes are small");
    Ok(match import {
        Import::Func(signature) => host_func(store, function, index, signature).into(),
        Import::Memory(wanted) => {
            let mut ty = MemoryType::builder();
            ty.memory64(wanted.memory64).shared(wanted.shared);
            ty.min(wanted.initial).max(wanted.maximum);
            ty.page_size_log2(wanted.page_size_log2.unwrap_or(16) as u8);
            let ty = ty.build()?;
            match wanted.shared {
                true => SharedMemory::new(store.engine(), ty)?.into(),
                false => Memory::new(store, ty)?.into(),
            }
        }
        Import::Table { element, table64, minimum, maximum } => {
            let (element, init) = match element {
                Type::Extern => (RefType::EXTERNREF, Ref::Extern(None)),
                Type::Exn => (RefType::new(true, HeapType::Exn), Ref::Exn(None)),
                _ => (RefType::FUNCREF, Ref::Func(None)),
            };
            let ty = match table64 {
                true => TableType::new64(element, *minimum, *maximum),
                false => TableType::new(element, narrow(*minimum), maximum.map(narrow)),
            };
            Table::new(store, ty, init)?.into()
        }
        Import::Tag(signature) => {
            let params = signature.params.iter().map(|ty| val_type(*ty));
            let ty = FuncType::new(store.engine(), params, []);
            Tag::new(store, &TagType::new(ty))?.into()
        }
        Import::Global { value, mutable } => {
            let mutability = if *mutable { Mutability::Var } else { Mutability::Const };
            let ty = GlobalType::new(val_type(type_of(*value)), mutability);
            let value = to_val(&mut *store, function, *value);
            Global::new(store, ty, value)?.into()
        }
    })
}

fn host_func(store: &mut Store<Host>, function: Func, index: u64, signature: &Signature) -> Func {
    let ty = |types: &[Type]| types.iter().map(|ty| val_type(*ty)).collect::<Vec<_>>();
    let ty = FuncType::new(store.engine(), ty(&signature.params), ty(&signature.results));
    let types = signature.results.clone();
    Func::new(store, ty, move |mut caller, params, results| {
        let params: Vec<Value> = params.iter().map(|val| from_val(&mut caller, val)).collect();
        let answer = caller.data_mut().answer(index, &params, &types)?;
        for (value, result) in answer.into_iter().zip(results) {
            *result = to_val(&mut caller, function, value);
        }
        Ok(())
    })
}

impl Guest for Life {
    fn call(&mut self, export: &str, arguments: &[Value], results: &[Type]) -> Outcome {
        let instance = self.instance.expect("it was started");
        let func = instance.get_func(&mut self.store, export).expect("it is exported");
        let function = self.function;
        let params: Vec<Val> =
            arguments.iter().map(|value| to_val(&mut self.store, function, *value)).collect();
        let mut places = vec![Val::I32(0); results.len()];
        match func.call(&mut self.store, &params, &mut places) {
            Ok(()) => {
                Outcome::Returned(places.iter().map(|val| from_val(&mut self.store, val)).collect())
            }
            Err(error) => failure(&mut self.store, &error),
        }
    }

    fn refuel(&mut self, export: &str, fuel: i32) {
        let instance = self.instance.expect("it was started");
        let global = instance.get_global(&mut self.store, export).expect("it is exported");
        global.set(&mut self.store, Val::I32(fuel)).expect("it is a mutable i32");
    }

    fn items(&mut self) -> Vec<(String, Item)> {
        let imports = (0..).zip(&self.imports);
        let imports = imports.map(|(i, item)| (format!("import {i}"), item.clone()));
        let mut all: Vec<_> = imports.collect();
        if let Some(instance) = self.instance {
            let exports = instance.exports(&mut self.store);
            all.extend(exports.map(|export| (export.name().to_owned(), export.into_extern())));
        }
        let items = all.into_iter();
        items.filter_map(|(name, item)| Some((name, self.item(item)?))).collect()
    }

    fn host(&self) -> &Host {
        self.store.data()
    }
}

impl Life {
    fn item(&mut self, item: Extern) -> Option<Item> {
        Some(match item {
            Extern::Memory(memory) => {
                let pages = memory.size(&self.store);
                Item::Memory { pages, hash: hash(memory.data(&self.store)) }
            }
            Extern::SharedMemory(memory) => {
                Item::Memory { pages: memory.size(), hash: hash(&shared_bytes(memory.data())) }
            }
            Extern::Table(table) => {
                let size = table.size(&self.store);
                let elements = (0..size).map(|index| {
                    let element = table.get(&mut self.store, index).expect("it is in the table");
                    let element = match element {
                        Ref::Func(func) => Val::FuncRef(func),
                        Ref::Extern(reference) => Val::ExternRef(reference),
                        Ref::Exn(reference) => Val::ExnRef(reference),
                        other => unreachable!("{other:?} is not in our features"),
                    };
                    from_val(&mut self.store, &element)
                });
                Item::Table(elements.collect())
            }
            Extern::Global(global) => {
                let value = global.get(&mut self.store);
                Item::Global(from_val(&mut self.store, &value))
            }
            _ => return None,
        })
    }
}

fn type_of(value: Value) -> Type {
    match value {
        Value::I32(_) => Type::I32,
        Value::I64(_) => Type::I64,
        Value::F32(_) => Type::F32,
        Value::F64(_) => Type::F64,
        Value::Func(_) => Type::Func,
        Value::Extern(_) => Type::Extern,
        Value::V128(_) => Type::V128,
        Value::Exn(_) => Type::Exn,
    }
}

fn val_type(ty: Type) -> ValType {
    match ty {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
        Type::F32 => ValType::F32,
        Type::F64 => ValType::F64,
        Type::Func => ValType::FUNCREF,
        Type::Extern => ValType::EXTERNREF,
        Type::V128 => ValType::V128,
        Type::Exn => ValType::EXNREF,
    }
}

fn to_val(mut store: impl AsContextMut, function: Func, value: Value) -> Val {
    match value {
        Value::I32(x) => Val::I32(x),
        Value::I64(x) => Val::I64(x),
        Value::F32(x) => Val::F32(x),
        Value::F64(x) => Val::F64(x),
        Value::V128(x) => Val::V128(x.into()),
        Value::Exn(_) => Val::ExnRef(None),
        Value::Func(some) => Val::FuncRef(some.then_some(function)),
        Value::Extern(number) => Val::ExternRef(number.map(|number| {
            ExternRef::new(&mut store, number).expect("there is room for a reference")
        })),
    }
}

fn from_val(store: &mut impl AsContextMut, val: &Val) -> Value {
    match val {
        Val::I32(x) => Value::I32(*x),
        Val::I64(x) => Value::I64(*x),
        Val::F32(x) => Value::F32(*x),
        Val::F64(x) => Value::F64(*x),
        Val::V128(x) => Value::V128(x.as_u128()),
        Val::ExnRef(exception) => Value::Exn(exception.is_some()),
        Val::FuncRef(func) => Value::Func(func.is_some()),
        Val::ExternRef(reference) => Value::Extern(reference.map(|reference| {
            let data = reference.data(store.as_context()).expect("the reference is in scope");
            *data.and_then(|data| data.downcast_ref()).expect("all references are to numbers")
        })),
        other => unreachable!("{other:?} is not in our features"),
    }
}

/// How a call ended that failed.
fn failure(store: &mut Store<Host>, error: &Error) -> Outcome {
    if error.downcast_ref::<ThrownException>().is_none() {
        return Outcome::Trapped(trap(error));
    }
    let exception = store.take_pending_exception().expect("one was thrown");
    let fields = exception.fields(&mut *store).expect("it is alive");
    let fields: Vec<Val> = fields.collect();
    Outcome::Threw(fields.iter().map(|val| from_val(&mut *store, val)).collect())
}

fn trap(error: &Error) -> Trap {
    if error.downcast_ref::<Failed>().is_some() {
        return Trap::Host;
    }
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::UnreachableCodeReached) => Trap::Unreachable,
        Some(wasmtime::Trap::MemoryOutOfBounds) => Trap::Memory,
        Some(wasmtime::Trap::TableOutOfBounds) => Trap::Table,
        Some(wasmtime::Trap::IndirectCallToNull | wasmtime::Trap::NullReference) => Trap::Null,
        Some(wasmtime::Trap::HeapMisaligned) => Trap::Unaligned,
        Some(wasmtime::Trap::AtomicWaitNonSharedMemory) => Trap::WaitOnUnshared,
        Some(wasmtime::Trap::BadSignature) => Trap::Signature,
        Some(wasmtime::Trap::IntegerOverflow) => Trap::IntegerOverflow,
        Some(wasmtime::Trap::IntegerDivisionByZero) => Trap::DivisionByZero,
        Some(wasmtime::Trap::BadConversionToInteger) => Trap::BadConversion,
        Some(wasmtime::Trap::StackOverflow) => Trap::Stack,
        _ => Trap::Other(format!("{error:?}")),
    }
}
