//! From the sections of a binary to a [`Module`].
//!
//! Each payload goes to the validator first and is read afterwards, so the
//! reading code may rely on what validation guarantees.

use crate::module::{
    Body, CustomSection, DataSegment, ElementItems, ElementSegment, Export, ExportKind, Global,
    Import, Module, Parsed, SegmentMode, Table,
};
use crate::{
    ConstExpr, Error, ExternType, FuncIndex, FuncType, GlobalType, HeapType, MemoryType, RefType,
    TableType, TypeIndex, ValType, features,
};
use std::ops::Range;
use std::sync::OnceLock;
use wasmparser::{DataKind, ElementKind, ExternalKind, Parser, Payload, TypeRef};
use wasmparser::{ValidPayload, Validator};

/// Parses a binary; see [`Module::parse`] and, for whether the bodies are to be
/// validated, [`Module::parse_unchecked`].
pub(crate) fn module(wasm: Vec<u8>, check_bodies: bool) -> Result<Parsed, Error> {
    if u32::try_from(wasm.len()).is_err() {
        return Err(Error::TooLarge { size: wasm.len() });
    }
    if Parser::is_component(&wasm) {
        return Err(Error::Component);
    }
    let mut module = Module {
        wasm: Vec::new(),
        types: Vec::new(),
        imports: Vec::new(),
        functions: Vec::new(),
        imported_functions: 0,
        tables: Vec::new(),
        imported_tables: 0,
        memories: Vec::new(),
        imported_memories: 0,
        globals: Vec::new(),
        imported_globals: 0,
        exports: Vec::new(),
        start: None,
        elements: Vec::new(),
        data: Vec::new(),
        escaping: Vec::new(),
        custom: Vec::new(),
        names: OnceLock::new(),
    };
    let mut bodies = Vec::new();
    let mut validator = Validator::new_with_features(features());
    let mut parser = Parser::new(0);
    parser.set_features(features());
    for payload in parser.parse_all(&wasm) {
        let payload = payload?;
        if let ValidPayload::Func(validator, body) = validator.payload(&payload)? {
            let index = FuncIndex(module.imported_functions + bodies.len() as u32);
            let validator = check_bodies.then_some(validator);
            bodies.push(Body { index, range: usize_range(body.range()), validator });
        }
        section(&mut module, payload)?;
    }
    module.escaping.sort_unstable();
    module.escaping.dedup();
    module.wasm = wasm;
    Ok(Parsed { module, bodies })
}

fn section(module: &mut Module, payload: Payload<'_>) -> Result<(), Error> {
    match payload {
        Payload::TypeSection(reader) => {
            for group in reader {
                for ty in group?.into_types() {
                    module.types.push(func_type(ty.unwrap_func()));
                }
            }
        }
        Payload::ImportSection(reader) => {
            for import in reader.into_imports() {
                add_import(module, import?)?;
            }
        }
        Payload::FunctionSection(reader) => {
            for ty in reader {
                module.functions.push(TypeIndex(ty?));
            }
        }
        Payload::TableSection(reader) => {
            for table in reader {
                module.tables.push(Table { ty: table_type(&table?.ty) });
            }
        }
        Payload::MemorySection(reader) => {
            for memory in reader {
                module.memories.push(memory_type(&memory?));
            }
        }
        Payload::GlobalSection(reader) => {
            for global in reader {
                let global = global?;
                let init = ConstExpr::read(&global.init_expr)?;
                escape(module, init);
                module.globals.push(Global { ty: global_type(&global.ty), init: Some(init) });
            }
        }
        Payload::ExportSection(reader) => {
            for export in reader {
                let export = export?;
                let kind = match export.kind {
                    ExternalKind::Func => {
                        module.escaping.push(FuncIndex(export.index));
                        ExportKind::Func(FuncIndex(export.index))
                    }
                    ExternalKind::Table => ExportKind::Table(export.index),
                    ExternalKind::Memory => ExportKind::Memory(export.index),
                    ExternalKind::Global => ExportKind::Global(export.index),
                    other => unreachable!("{other:?} is not in our features"),
                };
                module.exports.push(Export { name: export.name.into(), kind });
            }
        }
        Payload::StartSection { func, .. } => {
            module.start = Some(FuncIndex(func));
            module.escaping.push(FuncIndex(func));
        }
        Payload::ElementSection(reader) => {
            for element in reader {
                add_element(module, element?)?;
            }
        }
        Payload::DataSection(reader) => {
            for data in reader {
                let data = data?;
                let mode = match &data.kind {
                    DataKind::Passive => SegmentMode::Passive,
                    DataKind::Active { memory_index, offset_expr } => SegmentMode::Active {
                        target: *memory_index,
                        offset: ConstExpr::read(offset_expr)?,
                    },
                };
                let end = data.range.end as usize;
                module.data.push(DataSegment { mode, range: end - data.data.len()..end });
            }
        }
        Payload::CustomSection(reader) => {
            let start = reader.data_offset() as usize;
            module.custom.push(CustomSection {
                name: reader.name().into(),
                range: start..start + reader.data().len(),
            });
        }
        _ => {}
    }
    Ok(())
}

fn add_import(module: &mut Module, import: wasmparser::Import<'_>) -> Result<(), Error> {
    let ty = match import.ty {
        TypeRef::Func(ty) => {
            module.functions.push(TypeIndex(ty));
            module.imported_functions += 1;
            ExternType::Func(module.types[ty as usize].clone())
        }
        TypeRef::Table(ty) => {
            let ty = table_type(&ty);
            module.tables.push(Table { ty });
            module.imported_tables += 1;
            ExternType::Table(ty)
        }
        TypeRef::Memory(ty) => {
            let ty = memory_type(&ty);
            module.memories.push(ty);
            module.imported_memories += 1;
            ExternType::Memory(ty)
        }
        TypeRef::Global(ty) => {
            let ty = global_type(&ty);
            module.globals.push(Global { ty, init: None });
            module.imported_globals += 1;
            ExternType::Global(ty)
        }
        other => unreachable!("{other:?} is not in our features"),
    };
    module.imports.push(Import { module: import.module.into(), name: import.name.into(), ty });
    Ok(())
}

fn add_element(module: &mut Module, element: wasmparser::Element<'_>) -> Result<(), Error> {
    let mode = match &element.kind {
        ElementKind::Passive => SegmentMode::Passive,
        ElementKind::Declared => SegmentMode::Declared,
        ElementKind::Active { table_index, offset_expr } => SegmentMode::Active {
            target: table_index.unwrap_or(0),
            offset: ConstExpr::read(offset_expr)?,
        },
    };
    let (ty, items) = match element.items {
        wasmparser::ElementItems::Functions(reader) => {
            let mut items = Vec::with_capacity(reader.count() as usize);
            for index in reader {
                items.push(FuncIndex(index?));
            }
            module.escaping.extend(&items);
            (RefType::FUNCREF, ElementItems::Functions(items))
        }
        wasmparser::ElementItems::Expressions(ty, reader) => {
            let mut items = Vec::new();
            for expr in reader {
                let expr = ConstExpr::read(&expr?)?;
                escape(module, expr);
                items.push(expr);
            }
            (ref_type(ty), ElementItems::Expressions(items))
        }
    };
    module.elements.push(ElementSegment { mode, ty, items });
    Ok(())
}

/// A function that a constant expression refers to can be called from anywhere.
fn escape(module: &mut Module, expr: ConstExpr) {
    if let ConstExpr::RefFunc(index) = expr {
        module.escaping.push(index);
    }
}

fn usize_range(range: Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

fn func_type(ty: &wasmparser::FuncType) -> FuncType {
    let convert = |types: &[wasmparser::ValType]| -> Vec<ValType> {
        types.iter().map(|ty| ValType::from(*ty)).collect()
    };
    FuncType::new(convert(ty.params()), convert(ty.results()))
}

fn table_type(ty: &wasmparser::TableType) -> TableType {
    TableType { element: ref_type(ty.element_type), minimum: ty.initial, maximum: ty.maximum }
}

fn memory_type(ty: &wasmparser::MemoryType) -> MemoryType {
    MemoryType { minimum: ty.initial, maximum: ty.maximum }
}

fn global_type(ty: &wasmparser::GlobalType) -> GlobalType {
    GlobalType { content: ty.content_type.into(), mutable: ty.mutable }
}

fn ref_type(ty: wasmparser::RefType) -> RefType {
    let heap = if ty.is_extern_ref() { HeapType::Extern } else { HeapType::Func };
    RefType { nullable: ty.is_nullable(), heap }
}

impl From<wasmparser::ValType> for ValType {
    fn from(ty: wasmparser::ValType) -> ValType {
        match ty {
            wasmparser::ValType::I32 => ValType::I32,
            wasmparser::ValType::I64 => ValType::I64,
            wasmparser::ValType::F32 => ValType::F32,
            wasmparser::ValType::F64 => ValType::F64,
            wasmparser::ValType::V128 => ValType::V128,
            wasmparser::ValType::Ref(ty) => ValType::Ref(ref_type(ty)),
        }
    }
}
