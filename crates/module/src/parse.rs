//! From the sections of a binary to a [`Module`].
//!
//! Each payload goes to the validator first and is read afterwards, so the
//! reading code may rely on what validation guarantees.

use crate::module::{
    Body, CustomSection, DataSegment, ElementItems, ElementSegment, Export, ExportKind, Global,
    Import, Module, Parsed, SegmentMode, Table,
};
use crate::{
    ConstExpr, Error, ExternType, FuncIndex, FuncType, GlobalType, HeapType, IndexType, MemoryType,
    PAGE_SIZE, RefType, TableType, TypeId, TypeIndex, ValType, features, proposal,
};
use std::ops::Range;
use std::sync::OnceLock;
use wasmparser::{DataKind, ElementKind, ExternalKind, Parser, Payload, TypeRef};
use wasmparser::{ValidPayload, Validator};

/// Parses a binary; see [`Module::parse`] and, for whether the bodies are to be
/// validated, [`Module::parse_unchecked`].
pub(crate) fn module(wasm: Vec<u8>, check_bodies: bool) -> Result<Parsed, Error> {
    match sections(&wasm, check_bodies) {
        Ok((mut module, bodies)) => {
            module.wasm = wasm;
            Ok(Parsed { module, bodies })
        }
        Err(error) => Err(proposal::explain(&wasm, error)),
    }
}

/// The sections of a binary, and the bodies in it.
fn sections(wasm: &[u8], check_bodies: bool) -> Result<(Module, Vec<Body>), Error> {
    if u32::try_from(wasm.len()).is_err() {
        return Err(Error::TooLarge { size: wasm.len() });
    }
    if Parser::is_component(wasm) {
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
        tags: Vec::new(),
        imported_tags: 0,
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
    for payload in parser.parse_all(wasm) {
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
    Ok((module, bodies))
}

fn section(module: &mut Module, payload: Payload<'_>) -> Result<(), Error> {
    match payload {
        Payload::TypeSection(reader) => {
            for group in reader {
                for ty in group?.into_types() {
                    let ty = func_type(&module.types, ty.unwrap_func());
                    module.types.push(TypeId::of(&ty));
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
                let table = table?;
                let init = match &table.init {
                    wasmparser::TableInit::RefNull => None,
                    wasmparser::TableInit::Expr(expr) => Some(ConstExpr::read(expr)?),
                };
                init.iter().for_each(|init| escape(module, init));
                let ty = table_type(&module.types, &table.ty);
                module.tables.push(Table { ty, init });
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
                escape(module, &init);
                let ty = global_type(&module.types, &global.ty);
                module.globals.push(Global { ty, init: Some(init) });
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
                    ExternalKind::Tag => ExportKind::Tag(export.index),
                    other => unreachable!("{other:?} is not in our features"),
                };
                module.exports.push(Export { name: export.name.into(), kind });
            }
        }
        Payload::TagSection(reader) => {
            for tag in reader {
                module.tags.push(module.types[tag?.func_type_idx as usize]);
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
            ExternType::Func(module.types[ty as usize].func_type().clone())
        }
        TypeRef::Table(ty) => {
            let ty = table_type(&module.types, &ty);
            module.tables.push(Table { ty, init: None });
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
            let ty = global_type(&module.types, &ty);
            module.globals.push(Global { ty, init: None });
            module.imported_globals += 1;
            ExternType::Global(ty)
        }
        TypeRef::Tag(ty) => {
            let ty = module.types[ty.func_type_idx as usize];
            module.tags.push(ty);
            module.imported_tags += 1;
            ExternType::Tag(ty.func_type().clone())
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
                escape(module, &expr);
                items.push(expr);
            }
            (ref_type(&module.types, ty), ElementItems::Expressions(items))
        }
    };
    module.elements.push(ElementSegment { mode, ty, items });
    Ok(())
}

/// A function that a constant expression refers to can be called from anywhere.
fn escape(module: &mut Module, expr: &ConstExpr) {
    module.escaping.extend(expr.functions());
}

fn usize_range(range: Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// The next type of a module that has `types` already.
fn func_type(types: &[TypeId], ty: &wasmparser::FuncType) -> FuncType {
    let convert = |list: &[wasmparser::ValType]| -> Vec<ValType> {
        list.iter().map(|ty| val_type(types, *ty)).collect()
    };
    FuncType::new(convert(ty.params()), convert(ty.results()))
}

fn table_type(types: &[TypeId], ty: &wasmparser::TableType) -> TableType {
    TableType {
        element: ref_type(types, ty.element_type),
        minimum: ty.initial,
        maximum: ty.maximum,
        index: index_type(ty.table64),
    }
}

fn memory_type(ty: &wasmparser::MemoryType) -> MemoryType {
    let default = PAGE_SIZE.trailing_zeros();
    MemoryType {
        minimum: ty.initial,
        maximum: ty.maximum,
        index: index_type(ty.memory64),
        shared: ty.shared,
        page_size_log2: ty.page_size_log2.unwrap_or(default) as u8,
    }
}

fn index_type(wide: bool) -> IndexType {
    if wide { IndexType::I64 } else { IndexType::I32 }
}

fn global_type(types: &[TypeId], ty: &wasmparser::GlobalType) -> GlobalType {
    GlobalType { content: val_type(types, ty.content_type), mutable: ty.mutable }
}

fn ref_type(types: &[TypeId], ty: wasmparser::RefType) -> RefType {
    use wasmparser::{AbstractHeapType, HeapType as Theirs, UnpackedIndex};
    let heap = match ty.heap_type() {
        Theirs::Abstract { shared: false, ty } => match ty {
            AbstractHeapType::Func => HeapType::Func,
            AbstractHeapType::Extern => HeapType::Extern,
            AbstractHeapType::Exn => HeapType::Exn,
            AbstractHeapType::NoExn => HeapType::NoExn,
            other => unreachable!("{other:?} is not in our features"),
        },
        Theirs::Concrete(UnpackedIndex::Module(index)) => HeapType::Concrete(types[index as usize]),
        other => unreachable!("{other:?} is not in our features"),
    };
    RefType { nullable: ty.is_nullable(), heap }
}

/// A type of a module with these `types`, which has been validated.
pub(crate) fn val_type(types: &[TypeId], ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(ty) => ValType::Ref(ref_type(types, ty)),
    }
}
