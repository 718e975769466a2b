//! Brings a module to life on wasmi, which interprets it.

use crate::guest::{Guest, Item, Outcome, Trap, Type, Value};
use crate::host::{Failed, Host};
use crate::plan::{Import, Plan, Signature};
use crate::random::hash;
use wasmi::{
    AsContext, AsContextMut, Engine, Error, Extern, ExternRef, F32, F64, Func, FuncType, Global,
    Instance, Memory, MemoryType, Module, Mutability, Nullable, Ref, RefType, Store, Table,
    TableType, TrapCode, Val, ValType,
};

impl wasmi::errors::HostError for Failed {}

struct Life {
    store: Store<Host>,
    imports: Vec<Extern>,
    instance: Option<Instance>,
    /// Stands for all references to functions that the host gives.
    function: Func,
}

/// What plain modules are without.
const NOT_HERE: &str = "only plain modules are run by wasmi";

/// # Errors
///
/// If wasmi does not take the module.
pub(crate) fn start(
    engine: &Engine,
    wasm: &[u8],
    plan: &Plan,
) -> Result<(Box<dyn Guest>, Outcome), String> {
    let module = Module::new(engine, wasm).map_err(|error| error.to_string())?;
    let mut store = Store::new(engine, Host::default());
    let nothing = FuncType::new([], []);
    let function = Func::new(&mut store, nothing, |mut caller, _, _| {
        caller.data_mut().answer(u64::MAX, &[], &[]).map(|_| ()).map_err(Error::host)
    });
    let imports = (0..).zip(&plan.imports);
    let imports = imports.map(|(index, import)| supply(&mut store, function, index, import));
    let imports = imports.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    // wasmi wants them by kind.
    let mut sorted = imports.clone();
    sorted.sort_by_key(|import| match import {
        Extern::Func(_) => 0,
        Extern::Table(_) => 1,
        Extern::Memory(_) => 2,
        Extern::Global(_) => 3,
    });
    let (instance, outcome) = match Instance::new(&mut store, &module, &sorted) {
        Ok(instance) => (Some(instance), Outcome::Returned(Vec::new())),
        Err(error) => match trap(&error) {
            Trap::Other(error) => return Err(error),
            trap => (None, Outcome::Trapped(trap)),
        },
    };
    Ok((Box::new(Life { store, imports, instance, function }), outcome))
}

fn supply(
    store: &mut Store<Host>,
    function: Func,
    index: u64,
    import: &Import,
) -> Result<Extern, Error> {
    let narrow = |size: u64| u32::try_from(size).expect("sizes are small");
    Ok(match import {
        Import::Func(signature) => host_func(store, function, index, signature).into(),
        Import::Memory(ty) => {
            let ty = MemoryType::new(narrow(ty.initial), ty.maximum.map(narrow));
            Memory::new(store, ty)?.into()
        }
        Import::Tag(_) => unreachable!("{NOT_HERE}"),
        Import::Table { element, minimum, maximum, .. } => {
            let (element, init) = match element {
                Type::Extern => (RefType::Extern, Ref::Extern(Nullable::Null)),
                _ => (RefType::Func, Ref::Func(Nullable::Null)),
            };
            let ty = TableType::new(element, narrow(*minimum), maximum.map(narrow));
            Table::new(store, ty, init)?.into()
        }
        Import::Global { value, mutable } => {
            let mutability = if *mutable { Mutability::Var } else { Mutability::Const };
            let value = to_val(&mut *store, function, *value);
            Global::new(store, value, mutability).into()
        }
    })
}

fn host_func(store: &mut Store<Host>, function: Func, index: u64, signature: &Signature) -> Func {
    let ty = |types: &[Type]| types.iter().map(|ty| val_type(*ty)).collect::<Vec<_>>();
    let ty = FuncType::new(ty(&signature.params), ty(&signature.results));
    let types = signature.results.clone();
    Func::new(store, ty, move |mut caller, params, results| {
        let params: Vec<Value> = params.iter().map(|val| from_val(&caller, val)).collect();
        let answer = caller.data_mut().answer(index, &params, &types).map_err(Error::host)?;
        for (value, result) in answer.into_iter().zip(results) {
            *result = to_val(&mut caller, function, value);
        }
        Ok(())
    })
}

impl Guest for Life {
    fn call(&mut self, export: &str, arguments: &[Value], results: &[Type]) -> Outcome {
        let instance = self.instance.expect("it was started");
        let func = instance.get_func(&self.store, export).expect("it is exported");
        let function = self.function;
        let params: Vec<Val> =
            arguments.iter().map(|value| to_val(&mut self.store, function, *value)).collect();
        let mut places: Vec<Val> =
            results.iter().map(|ty| Val::default_for_ty(val_type(*ty))).collect();
        match func.call(&mut self.store, &params, &mut places) {
            Ok(()) => {
                Outcome::Returned(places.iter().map(|val| from_val(&self.store, val)).collect())
            }
            Err(error) => Outcome::Trapped(trap(&error)),
        }
    }

    fn refuel(&mut self, export: &str, fuel: i32) {
        let instance = self.instance.expect("it was started");
        let global = instance.get_global(&self.store, export).expect("it is exported");
        global.set(&mut self.store, Val::I32(fuel)).expect("it is a mutable i32");
    }

    fn items(&mut self) -> Vec<(String, Item)> {
        let imports = (0..).zip(&self.imports);
        let imports = imports.map(|(i, item)| (format!("import {i}"), *item));
        let mut all: Vec<_> = imports.collect();
        if let Some(instance) = self.instance {
            let exports = instance.exports(&self.store);
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
            Extern::Func(_) => return None,
            Extern::Memory(memory) => {
                let pages = memory.size(&self.store);
                Item::Memory { pages, hash: hash(memory.data(&self.store)) }
            }
            Extern::Table(table) => {
                let elements = (0..table.size(&self.store)).map(|index| {
                    let element = table.get(&self.store, index).expect("it is in the table");
                    let element = match element {
                        Ref::Func(func) => Val::FuncRef(func),
                        Ref::Extern(reference) => Val::ExternRef(reference),
                    };
                    from_val(&self.store, &element)
                });
                Item::Table(elements.collect())
            }
            Extern::Global(global) => Item::Global(from_val(&self.store, &global.get(&self.store))),
        })
    }
}

fn val_type(ty: Type) -> ValType {
    match ty {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
        Type::F32 => ValType::F32,
        Type::F64 => ValType::F64,
        Type::Func => ValType::FuncRef,
        Type::Extern => ValType::ExternRef,
        Type::V128 | Type::Exn => unreachable!("{NOT_HERE}"),
    }
}

fn to_val(mut store: impl AsContextMut, function: Func, value: Value) -> Val {
    match value {
        Value::I32(x) => Val::I32(x),
        Value::I64(x) => Val::I64(x),
        Value::F32(x) => Val::F32(F32::from_bits(x)),
        Value::F64(x) => Val::F64(F64::from_bits(x)),
        Value::Func(true) => Val::FuncRef(Nullable::Val(function)),
        Value::Func(false) => Val::FuncRef(Nullable::Null),
        Value::Extern(Some(number)) => {
            Val::ExternRef(Nullable::Val(ExternRef::new(&mut store, number)))
        }
        Value::Extern(None) => Val::ExternRef(Nullable::Null),
        Value::V128(_) | Value::Exn(_) => unreachable!("{NOT_HERE}"),
    }
}

fn from_val(store: &impl AsContext, val: &Val) -> Value {
    match val {
        Val::I32(x) => Value::I32(*x),
        Val::I64(x) => Value::I64(*x),
        Val::F32(x) => Value::F32(x.to_bits()),
        Val::F64(x) => Value::F64(x.to_bits()),
        Val::V128(_) => unreachable!("vectors are not in our features"),
        Val::FuncRef(func) => Value::Func(!func.is_null()),
        Val::ExternRef(Nullable::Null) => Value::Extern(None),
        Val::ExternRef(Nullable::Val(reference)) => {
            let data = reference.data(store.as_context());
            Value::Extern(Some(*data.downcast_ref().expect("all references are to numbers")))
        }
    }
}

fn trap(error: &Error) -> Trap {
    if error.downcast_ref::<Failed>().is_some() {
        return Trap::Host;
    }
    match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Trap::Unreachable,
        Some(TrapCode::MemoryOutOfBounds) => Trap::Memory,
        Some(TrapCode::TableOutOfBounds) => Trap::Table,
        Some(TrapCode::IndirectCallToNull) => Trap::Null,
        Some(TrapCode::BadSignature) => Trap::Signature,
        Some(TrapCode::IntegerOverflow) => Trap::IntegerOverflow,
        Some(TrapCode::IntegerDivisionByZero) => Trap::DivisionByZero,
        Some(TrapCode::BadConversionToInteger) => Trap::BadConversion,
        Some(TrapCode::StackOverflow) => Trap::Stack,
        _ => Trap::Other(format!("{error:?}")),
    }
}
