//! A parsed module: everything that its sections say, but for the code.

use crate::{
    ConstExpr, Error, ExternType, FuncIndex, FuncType, GlobalType, MemoryType, Names, RefType,
    TableType, TypeId, TypeIndex, ValType, demangle, parse,
};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;
use wasmparser::{BinaryReader, FuncToValidate, FuncValidatorAllocations, FunctionBody};
use wasmparser::{ValidatorResources, WasmFeatures};

/// A module whose sections have been validated. See [`Parsed`] for the code.
#[derive(Debug)]
pub struct Module {
    pub(crate) wasm: Vec<u8>,
    /// Function types, in the order of the type section.
    pub types: Vec<TypeId>,
    /// Imports, in the order of the import section.
    pub imports: Vec<Import>,
    /// The type of each function, imported ones first.
    pub functions: Vec<TypeIndex>,
    /// How many of the functions are imported.
    pub imported_functions: u32,
    /// Tables, imported ones first.
    pub tables: Vec<Table>,
    /// How many of the tables are imported.
    pub imported_tables: u32,
    /// Memories, imported ones first.
    pub memories: Vec<MemoryType>,
    /// How many of the memories are imported.
    pub imported_memories: u32,
    /// Globals, imported ones first.
    pub globals: Vec<Global>,
    /// How many of the globals are imported.
    pub imported_globals: u32,
    /// The type of each tag, imported ones first. Its parameters are the
    /// values that an exception with the tag carries.
    pub tags: Vec<TypeId>,
    /// How many of the tags are imported.
    pub imported_tags: u32,
    /// Exports, in the order of the export section.
    pub exports: Vec<Export>,
    /// The function that instantiation calls.
    pub start: Option<FuncIndex>,
    /// Element segments.
    pub elements: Vec<ElementSegment>,
    /// Data segments.
    pub data: Vec<DataSegment>,
    /// Functions to which a reference can be made, ascending: exported ones
    /// and those named by `ref.func` or an element segment.
    pub escaping: Vec<FuncIndex>,
    /// Custom sections: DWARF, names and whatever else.
    pub custom: Vec<CustomSection>,
    pub(crate) names: OnceLock<Names>,
}

/// Something a module needs from outside.
#[derive(Clone, Debug)]
pub struct Import {
    /// The module part of the name.
    pub module: Box<str>,
    /// The field part of the name.
    pub name: Box<str>,
    /// What it has to be.
    pub ty: ExternType,
}

/// A table of a module.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its type.
    pub ty: TableType,
    /// What its elements are at the start, if not null.
    pub init: Option<ConstExpr>,
}

/// A global of a module.
#[derive(Clone, Debug)]
pub struct Global {
    /// Its type.
    pub ty: GlobalType,
    /// Its first value; `None` for an import.
    pub init: Option<ConstExpr>,
}

/// Something a module offers.
#[derive(Clone, Debug)]
pub struct Export {
    /// Its name.
    pub name: Box<str>,
    /// What it is, with its index.
    pub kind: ExportKind,
}

/// What is exported, with the index in its index space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// A function.
    Func(FuncIndex),
    /// A table.
    Table(u32),
    /// A memory.
    Memory(u32),
    /// A global.
    Global(u32),
    /// A tag.
    Tag(u32),
}

/// When a segment is copied.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentMode {
    /// At instantiation, into the memory or table with this index.
    Active {
        /// Index of the memory or table.
        target: u32,
        /// Where in it.
        offset: ConstExpr,
    },
    /// When an instruction says so.
    Passive,
    /// Never: it only declares references.
    Declared,
}

/// An element segment.
#[derive(Clone, Debug)]
pub struct ElementSegment {
    /// When it is copied.
    pub mode: SegmentMode,
    /// The type of the elements.
    pub ty: RefType,
    /// The elements.
    pub items: ElementItems,
}

/// The elements of a segment, in the more compact of two forms.
#[derive(Clone, Debug)]
pub enum ElementItems {
    /// References to functions.
    Functions(Vec<FuncIndex>),
    /// Constant expressions.
    Expressions(Vec<ConstExpr>),
}

impl ElementItems {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            ElementItems::Functions(items) => items.len(),
            ElementItems::Expressions(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`, which must be below the length.
    pub fn get(&self, index: usize) -> ElementItem<'_> {
        match self {
            ElementItems::Functions(items) => ElementItem::Function(items[index]),
            ElementItems::Expressions(items) => ElementItem::Expression(&items[index]),
        }
    }
}

/// An element of a segment.
#[derive(Clone, Copy, Debug)]
pub enum ElementItem<'a> {
    /// A reference to a function.
    Function(FuncIndex),
    /// The value of a constant expression.
    Expression(&'a ConstExpr),
}

/// A data segment.
#[derive(Clone, Debug)]
pub struct DataSegment {
    /// When it is copied.
    pub mode: SegmentMode,
    pub(crate) range: Range<usize>,
}

/// A custom section, kept as a range of the binary.
#[derive(Clone, Debug)]
pub struct CustomSection {
    /// Its name.
    pub name: Box<str>,
    pub(crate) range: Range<usize>,
}

/// A module together with its function bodies.
pub struct Parsed {
    /// The module.
    pub module: Module,
    /// A body for each function that is not imported, in order.
    pub bodies: Vec<Body>,
}

/// The body of a function. It has not been validated yet, and brings what
/// validates it, unless it is to be believed.
pub struct Body {
    /// Which function it is.
    pub index: FuncIndex,
    pub(crate) range: Range<usize>,
    pub(crate) validator: Option<FuncToValidate<ValidatorResources>>,
}

impl Body {
    /// The size of the body in bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it has no bytes (no valid body has none).
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The bytes to read, and the validator to ask about each instruction unless
    /// the body is to be believed.
    pub fn open<'a>(
        self,
        module: &'a Module,
        features: WasmFeatures,
        allocations: FuncValidatorAllocations,
    ) -> (FunctionBody<'a>, Option<wasmparser::FuncValidator<ValidatorResources>>) {
        let reader = BinaryReader::new_features(
            &module.wasm[self.range.clone()],
            self.range.start as u64,
            features,
        );
        let validator = self.validator.map(|validator| validator.into_validator(allocations));
        (FunctionBody::new(reader), validator)
    }
}

impl Module {
    /// Parses a binary and validates everything but the function bodies.
    ///
    /// # Errors
    ///
    /// If the binary is malformed or invalid, with the byte offset.
    pub fn parse(wasm: impl Into<Vec<u8>>) -> Result<Parsed, Error> {
        parse::module(wasm.into(), true)
    }

    /// As [`parse`](Module::parse), with bodies that nobody will validate: what
    /// is compiled from them is sound only if they are valid.
    ///
    /// # Errors
    ///
    /// As [`parse`](Module::parse).
    pub fn parse_unchecked(wasm: impl Into<Vec<u8>>) -> Result<Parsed, Error> {
        parse::module(wasm.into(), false)
    }

    /// Validates a whole binary.
    ///
    /// # Errors
    ///
    /// If the binary is malformed or invalid, with the byte offset.
    pub fn validate(wasm: &[u8]) -> Result<(), Error> {
        let Parsed { module, bodies } = Module::parse(wasm)?;
        let mut allocations = FuncValidatorAllocations::default();
        for body in bodies {
            let (body, validator) = body.open(&module, crate::features(), allocations);
            let mut validator = validator.expect("the bodies are to be validated");
            validator.validate(&body).map_err(|error| module.explain(error.into()))?;
            allocations = validator.into_allocations();
        }
        Ok(())
    }

    /// The error by which a body of the module was refused, with the proposal
    /// that the module needs, if it is for want of one.
    pub fn explain(&self, error: Error) -> Error {
        crate::proposal::explain(&self.wasm, error)
    }

    /// The binary that the module was parsed from.
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// The type of a function.
    pub fn function_type(&self, index: FuncIndex) -> &'static FuncType {
        self.function_type_id(index).func_type()
    }

    /// The number of the type of a function.
    pub fn function_type_id(&self, index: FuncIndex) -> TypeId {
        self.types[self.functions[index.index()].index()]
    }

    /// A type that an instruction of the module names.
    pub fn val_type(&self, ty: wasmparser::ValType) -> ValType {
        parse::val_type(&self.types, ty)
    }

    /// Whether a function comes from outside.
    pub fn is_imported(&self, index: FuncIndex) -> bool {
        index.0 < self.imported_functions
    }

    /// The imported functions with their names, in the order of their indices.
    pub fn function_imports(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter().filter(|import| matches!(import.ty, ExternType::Func(_)))
    }

    /// The position of `index` among the functions that can be referenced.
    pub fn escape_slot(&self, index: FuncIndex) -> Option<u32> {
        self.escaping.binary_search(&index).ok().map(|slot| slot as u32)
    }

    /// The bytes of a data segment.
    pub fn data_bytes(&self, segment: &DataSegment) -> &[u8] {
        &self.wasm[segment.range.clone()]
    }

    /// The bytes of a custom section.
    pub fn custom_bytes(&self, section: &CustomSection) -> &[u8] {
        &self.wasm[section.range.clone()]
    }

    /// The section with this name (`.debug_info`, say), if there is one.
    ///
    /// This is how the reader of DWARF finds its input.
    pub fn custom_section(&self, name: &str) -> Option<&[u8]> {
        let section = self.custom.iter().find(|section| &*section.name == name)?;
        Some(self.custom_bytes(section))
    }

    /// The names of the module, read when they are first asked for.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| self.custom_section("name").map(Names::read).unwrap_or_default())
    }

    /// What to call a function: its demangled name, else the name under which
    /// it is exported or imported, else `wasm-function[INDEX]`.
    pub fn function_name(&self, index: FuncIndex) -> Cow<'_, str> {
        if let Some(name) = self.names().function(index) {
            return demangle(name);
        }
        let exported = |export: &&Export| export.kind == ExportKind::Func(index);
        if let Some(export) = self.exports.iter().find(exported).filter(|e| !e.name.is_empty()) {
            return demangle(&export.name);
        }
        if let Some(import) = self.function_imports().nth(index.index()) {
            return Cow::Owned(format!("{}.{}", import.module, import.name));
        }
        Cow::Owned(format!("wasm-function[{}]", index.0))
    }

    /// The type of an export.
    pub fn export_type(&self, kind: ExportKind) -> ExternType {
        match kind {
            ExportKind::Func(index) => ExternType::Func(self.function_type(index).clone()),
            ExportKind::Table(index) => ExternType::Table(self.tables[index as usize].ty),
            ExportKind::Memory(index) => ExternType::Memory(self.memories[index as usize]),
            ExportKind::Global(index) => ExternType::Global(self.globals[index as usize].ty),
            ExportKind::Tag(index) => {
                ExternType::Tag(self.tags[index as usize].func_type().clone())
            }
        }
    }
}
