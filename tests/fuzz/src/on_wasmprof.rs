//! Brings a module to life on wasmprof.

use crate::case::Setup;
use crate::guest::{Guest, Item, Outcome, Trap, Type, Value};
use crate::host::{Failed, Host};
use crate::plan::{Import, Plan, Signature};
use crate::random::{hash, shared_bytes};
use wasmprof_engine::{
    AsContextMut, Caller, Config, Engine, Error, Extern, ExternRef, Func, FuncType, Global,
    GlobalType, HeapType, IndexType, Instance, Memory, MemoryType, Module, RefType, SharedMemory,
    Store, Strategy, Table, TableType, Tag, TrapCode, Val, ValType,
};

pub(crate) fn engine(setup: Setup, strategy: Strategy) -> Engine {
    let config = Config::new()
        .strategy(strategy)
        .threads(1)
        .canonicalize_nans(setup.engine_nans)
        // What is fastest on a processor is not the same in all engines.
        .relaxed_simd_deterministic(true)
        .guarded_memories(setup.guarded_memories)
        .native_features(setup.native_features);
    Engine::new(config).expect("an engine for this machine")
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
    let module = Module::from_binary(engine, wasm).map_err(|error| error.to_string())?;
    let mut store = Store::new(engine, Host::default());
    let function = Func::new(&mut store, FuncType::new([], []), |mut caller, _, _| {
        caller.data_mut().answer(u64::MAX, &[], &[]).map(|_| ()).map_err(failed)
    });
    let function = function.map_err(|error| error.to_string())?;
    let imports = (0..).zip(&plan.imports);
    let imports = imports.map(|(index, import)| supply(&mut store, function, index, import));
    let imports = imports.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let (instance, outcome) = match Instance::new(&mut store, &module, &imports) {
        Ok(instance) => (Some(instance), Outcome::Returned(Vec::new())),
        Err(error @ (Error::Trap(_) | Error::Host { .. } | Error::Exception(_))) => {
            (None, failure(&store, &error))
        }
        Err(error) => return Err(error.to_string()),
    };
    Ok((Box::new(Life { store, imports, instance, function }), outcome))
}

fn failed(error: Failed) -> Error {
    Error::Host { error: Box::new(error), backtrace: Default::default() }
}

fn supply(
    store: &mut Store<Host>,
    function: Func,
    index: u64,
    import: &Import,
) -> Result<Extern, Error> {
    Ok(match import {
        Import::Func(signature) => host_func(store, function, index, signature)?.into(),
        Import::Memory(wanted) => {
            let index = if wanted.memory64 { IndexType::I64 } else { IndexType::I32 };
            let ty = MemoryType {
                minimum: wanted.initial,
                maximum: wanted.maximum,
                index,
                shared: wanted.shared,
                page_size_log2: wanted.page_size_log2.unwrap_or(16) as u8,
            };
            match wanted.shared {
                true => SharedMemory::new(store.engine(), ty)?.into(),
                false => Memory::new(store, ty)?.into(),
            }
        }
        Import::Tag(signature) => {
            let params = signature.params.iter().map(|ty| val_type(*ty));
            Tag::new(store, &FuncType::new(params, [])).into()
        }
        Import::Table { element, table64, minimum, maximum } => {
            let ValType::Ref(element) = val_type(*element) else {
                unreachable!("tables are of references")
            };
            let ty = TableType::new(element, *minimum, *maximum);
            let ty = if *table64 { ty.table64() } else { ty };
            Table::new(store, ty, Val::null(element))?.into()
        }
        Import::Global { value, mutable } => {
            let value = to_val(store, function, *value);
            let ty = GlobalType { content: value.ty(), mutable: *mutable };
            Global::new(store, ty, value)?.into()
        }
    })
}

/// A function of some types that compiled code calls without a stub between, of
/// all others one that takes slices.
fn host_func(
    store: &mut Store<Host>,
    function: Func,
    index: u64,
    signature: &Signature,
) -> Result<Func, Error> {
    let types = signature.results.clone();
    let answer = move |mut caller: Caller<'_, Host>, params: &[Value]| {
        caller.data_mut().answer(index, params, &types)
    };
    use Type::{F32, F64, I32, I64};
    match (&*signature.params, &*signature.results) {
        ([], []) => {
            Func::wrap(store, move |caller: Caller<'_, Host>| answer(caller, &[]).map(|_| ()))
        }
        ([I32], [I32]) => Func::wrap(store, move |caller: Caller<'_, Host>, a: i32| {
            answer(caller, &[Value::I32(a)]).map(|values| values[0].bits() as i32)
        }),
        ([], [F64]) => Func::wrap(store, move |caller: Caller<'_, Host>| {
            answer(caller, &[]).map(|values| f64::from_bits(values[0].bits()))
        }),
        ([F32], []) => Func::wrap(store, move |caller: Caller<'_, Host>, a: f32| {
            answer(caller, &[Value::F32(a.to_bits())]).map(|_| ())
        }),
        ([], [I64, I32]) => Func::wrap(store, move |caller: Caller<'_, Host>| {
            answer(caller, &[]).map(|values| (values[0].bits() as i64, values[1].bits() as i32))
        }),
        (params, results) => {
            let ty = |types: &[Type]| types.iter().map(|ty| val_type(*ty)).collect::<Vec<_>>();
            let ty = FuncType::new(ty(params), ty(results));
            let types = signature.results.clone();
            Func::new(store, ty, move |mut caller: Caller<'_, Host>, params, results| {
                let params: Vec<Value> = params.iter().map(|val| from_val(&caller, val)).collect();
                let answer = caller.data_mut().answer(index, &params, &types).map_err(failed)?;
                for (value, result) in answer.into_iter().zip(results) {
                    *result = to_val(&mut caller, function, value);
                }
                Ok(())
            })
        }
    }
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
                Outcome::Returned(places.iter().map(|val| from_val(&self.store, val)).collect())
            }
            Err(error) => failure(&self.store, &error),
        }
    }

    fn refuel(&mut self, export: &str, fuel: i32) {
        let instance = self.instance.expect("it was started");
        let global = instance.get_global(&mut self.store, export).expect("it is exported");
        global.set(&mut self.store, Val::I32(fuel)).expect("it is a mutable i32");
    }

    fn items(&mut self) -> Vec<(String, Item)> {
        let imports =
            (0..).zip(&self.imports).map(|(i, item)| (format!("import {i}"), item.clone()));
        let mut all: Vec<_> = imports.collect();
        if let Some(instance) = self.instance {
            all.extend(instance.exports(&mut self.store));
        }
        let items = all.into_iter().filter_map(|(name, item)| Some((name, self.item(item)?)));
        items.collect()
    }

    fn host(&self) -> &Host {
        self.store.data()
    }
}

impl Life {
    fn item(&mut self, item: Extern) -> Option<Item> {
        Some(match item {
            Extern::Func(_) | Extern::Tag(_) => return None,
            Extern::SharedMemory(memory) => {
                Item::Memory { pages: memory.size(), hash: hash(&shared_bytes(memory.data())) }
            }
            Extern::Memory(memory) => {
                let pages = memory.size(&self.store);
                Item::Memory { pages, hash: hash(memory.data(&self.store)) }
            }
            Extern::Table(table) => {
                let size = table.size(&self.store);
                let elements: Vec<Val> = (0..size)
                    .map(|index| table.get(&mut self.store, index).expect("it is in the table"))
                    .collect();
                Item::Table(elements.iter().map(|val| from_val(&self.store, val)).collect())
            }
            Extern::Global(global) => {
                let value = global.get(&mut self.store);
                Item::Global(from_val(&self.store, &value))
            }
        })
    }
}

fn val_type(ty: Type) -> ValType {
    match ty {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
        Type::F32 => ValType::F32,
        Type::F64 => ValType::F64,
        Type::Func => ValType::Ref(RefType { nullable: true, heap: HeapType::Func }),
        Type::Extern => ValType::Ref(RefType { nullable: true, heap: HeapType::Extern }),
        Type::V128 => ValType::V128,
        Type::Exn => ValType::EXNREF,
    }
}

fn to_val(store: &mut impl AsContextMut, function: Func, value: Value) -> Val {
    match value {
        Value::I32(x) => Val::I32(x),
        Value::I64(x) => Val::I64(x),
        Value::F32(x) => Val::F32(x),
        Value::F64(x) => Val::F64(x),
        Value::V128(x) => Val::V128(x),
        Value::Exn(_) => Val::ExnRef(None),
        Value::Func(some) => Val::FuncRef(some.then_some(function)),
        Value::Extern(number) => Val::ExternRef(number.map(|number| ExternRef::new(store, number))),
    }
}

fn from_val(store: &impl wasmprof_engine::AsContext, val: &Val) -> Value {
    match val {
        Val::I32(x) => Value::I32(*x),
        Val::I64(x) => Value::I64(*x),
        Val::F32(x) => Value::F32(*x),
        Val::F64(x) => Value::F64(*x),
        Val::V128(x) => Value::V128(*x),
        Val::ExnRef(exception) => Value::Exn(exception.is_some()),
        Val::FuncRef(func) => Value::Func(func.is_some()),
        Val::ExternRef(reference) => Value::Extern(reference.map(|reference| {
            *reference.data(store).downcast_ref().expect("all references are to numbers")
        })),
    }
}

/// How a call ended that failed.
fn failure(store: &Store<Host>, error: &Error) -> Outcome {
    match error {
        Error::Exception(exception) => {
            Outcome::Threw(exception.values().iter().map(|val| from_val(store, val)).collect())
        }
        _ => Outcome::Trapped(trap(error)),
    }
}

fn trap(error: &Error) -> Trap {
    if error.downcast_ref::<Failed>().is_some() {
        return Trap::Host;
    }
    match error.trap().map(|trap| trap.code) {
        Some(TrapCode::Unreachable) => Trap::Unreachable,
        Some(TrapCode::MemoryOutOfBounds) => Trap::Memory,
        Some(TrapCode::TableOutOfBounds | TrapCode::UndefinedElement) => Trap::Table,
        Some(
            TrapCode::UninitializedElement
            | TrapCode::NullReference
            | TrapCode::NullFunctionReference,
        ) => Trap::Null,
        Some(TrapCode::IndirectCallTypeMismatch) => Trap::Signature,
        Some(TrapCode::IntegerOverflow) => Trap::IntegerOverflow,
        Some(TrapCode::IntegerDivideByZero) => Trap::DivisionByZero,
        Some(TrapCode::InvalidConversionToInteger) => Trap::BadConversion,
        Some(TrapCode::StackOverflow) => Trap::Stack,
        Some(TrapCode::UnalignedAtomic) => Trap::Unaligned,
        Some(TrapCode::ExpectedSharedMemory) => Trap::WaitOnUnshared,
        _ => Trap::Other(error.to_string()),
    }
}
