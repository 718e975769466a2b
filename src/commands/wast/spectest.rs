//! The module `spectest` that the suite's scripts import from.

use super::value;
use crate::output;
use wasmprof_engine::{
    Error, FuncType, Global, GlobalType, Linker, Memory, MemoryType, RefType, SharedMemory, Store,
    Table, TableType, Val, ValType,
};

const NAME: &str = "spectest";

/// The functions by their parameters; each prints what it gets.
const PRINTERS: [(&str, &[ValType]); 7] = [
    ("print", &[]),
    ("print_i32", &[ValType::I32]),
    ("print_i64", &[ValType::I64]),
    ("print_f32", &[ValType::F32]),
    ("print_f64", &[ValType::F64]),
    ("print_i32_f32", &[ValType::I32, ValType::F32]),
    ("print_f64_f64", &[ValType::F64, ValType::F64]),
];

/// Defines the module.
pub(super) fn define(linker: &mut Linker<()>, store: &mut Store<()>) -> Result<(), Error> {
    for (name, params) in PRINTERS {
        let ty = FuncType::new(params.iter().copied(), []);
        linker.func_new(NAME, name, ty, move |_, values, _| {
            let values: String =
                values.iter().map(|value| format!(" {}", value::show(value))).collect();
            output::note(&format!("{name}:{values}"));
            Ok(())
        })?;
    }
    for (name, value) in [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::from(666.6f32)),
        ("global_f64", Val::from(666.6f64)),
    ] {
        let ty = GlobalType { content: value.ty(), mutable: false };
        let global = Global::new(&mut *store, ty, value)?;
        linker.define(&mut *store, NAME, name, global)?;
    }
    let ty = TableType::new(RefType::FUNCREF, 10, Some(20));
    for (name, ty) in [("table", ty), ("table64", ty.table64())] {
        let table = Table::new(&mut *store, ty, Val::FuncRef(None))?;
        linker.define(&mut *store, NAME, name, table)?;
    }
    let ty = MemoryType::new(1, Some(2));
    let memory = Memory::new(&mut *store, ty)?;
    linker.define(&mut *store, NAME, "memory", memory)?;
    let memory = SharedMemory::new(linker.engine(), ty.shared())?;
    linker.define(&mut *store, NAME, "shared_memory", memory)?;
    Ok(())
}
