//! What to do with a module: which imports it needs, which functions to call
//! with what. Made once, so that all engines do the same.

use crate::case::Case;
use crate::fuel;
use crate::guest::{Type, Value};
use crate::host::value;
use crate::random::Random;
use wasmparser::{ExternalKind, MemoryType, Parser, Payload, TypeRef};

/// Each function is called this often; of some hundred, each once.
const ROUNDS: usize = 2;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) imports: Vec<Import>,
    pub(crate) calls: Vec<Call>,
}

/// A function type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) params: Vec<Type>,
    pub(crate) results: Vec<Type>,
}

#[derive(Debug)]
pub(crate) enum Import {
    Func(Signature),
    Memory(MemoryType),
    Table { element: Type, table64: bool, minimum: u64, maximum: Option<u64> },
    Tag(Signature),
    Global { value: Value, mutable: bool },
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) export: String,
    pub(crate) arguments: Vec<Value>,
    pub(crate) results: Vec<Type>,
}

impl Plan {
    /// What to do with the module of `case`, which is valid.
    pub(crate) fn new(case: &Case) -> Plan {
        let mut random = Random(case.arguments);
        let mut types: Vec<Signature> = Vec::new();
        let mut functions: Vec<u32> = Vec::new();
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        let expect = "a valid module";
        for payload in Parser::new(0).parse_all(&case.wasm) {
            match payload.expect(expect) {
                Payload::TypeSection(reader) => {
                    for ty in reader.into_iter_err_on_gc_types() {
                        let ty = ty.expect(expect);
                        let all =
                            |types: &[wasmparser::ValType]| types.iter().map(type_of).collect();
                        types.push(Signature {
                            params: all(ty.params()),
                            results: all(ty.results()),
                        });
                    }
                }
                Payload::ImportSection(reader) => {
                    for import in reader.into_imports() {
                        let ty = import.expect(expect).ty;
                        if let TypeRef::Func(index) = ty {
                            functions.push(index);
                        }
                        imports.push(import_of(ty, &types, &mut random));
                    }
                }
                Payload::FunctionSection(reader) => {
                    functions.extend(reader.into_iter().map(|index| index.expect(expect)));
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export.expect(expect);
                        if export.kind == ExternalKind::Func && export.name != fuel::NAME {
                            exports.push((export.name.to_owned(), export.index));
                        }
                    }
                }
                _ => {}
            }
        }
        let mut calls = Vec::new();
        for _ in 0..ROUNDS {
            for (export, index) in &exports {
                let Signature { params, results } = &types[functions[*index as usize] as usize];
                let arguments = params.iter().map(|ty| value(*ty, random.next())).collect();
                calls.push(Call { export: export.clone(), arguments, results: results.clone() });
            }
        }
        Plan { imports, calls }
    }
}

fn import_of(ty: TypeRef, types: &[Signature], random: &mut Random) -> Import {
    match ty {
        TypeRef::Func(index) => Import::Func(types[index as usize].clone()),
        TypeRef::Memory(ty) => Import::Memory(ty),
        TypeRef::Tag(ty) => Import::Tag(types[ty.func_type_idx as usize].clone()),
        TypeRef::Table(ty) => Import::Table {
            element: type_of(&wasmparser::ValType::Ref(ty.element_type)),
            table64: ty.table64,
            minimum: ty.initial,
            maximum: ty.maximum,
        },
        TypeRef::Global(ty) => {
            // Globals are offsets of segments, too: small numbers let them fit.
            let value = match (type_of(&ty.content_type), random.below(4)) {
                (Type::I32, 0..3) => Value::I32(random.below(200) as i32),
                (Type::I64, 0..3) => Value::I64(random.below(200) as i64),
                (ty, _) => value(ty, random.next()),
            };
            Import::Global { value, mutable: ty.mutable }
        }
        other => unreachable!("{other:?} is not in our features"),
    }
}

fn type_of(ty: &wasmparser::ValType) -> Type {
    match ty {
        wasmparser::ValType::I32 => Type::I32,
        wasmparser::ValType::I64 => Type::I64,
        wasmparser::ValType::F32 => Type::F32,
        wasmparser::ValType::F64 => Type::F64,
        wasmparser::ValType::V128 => Type::V128,
        wasmparser::ValType::Ref(ty) if ty.is_extern_ref() => Type::Extern,
        wasmparser::ValType::Ref(ty) if *ty == wasmparser::RefType::EXNREF => Type::Exn,
        wasmparser::ValType::Ref(ty) if ty.is_func_ref() => Type::Func,
        other => unreachable!("{other} is not in our features"),
    }
}
