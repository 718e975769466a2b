//! WebAssembly modules as data: parsing, validation, types and names.
//!
//! [`Module::parse`] reads a binary once. It checks every section outside the
//! function bodies and leaves each body as a [`Body`], which carries the
//! validator for it: the compiler validates and translates a body in the same
//! pass, on whatever thread it likes. [`Module::validate`] does the same
//! without translating.
//!
//! Nothing here knows machine code. The text format is turned into a binary by
//! [`text`] before anything else looks at it.

#![forbid(unsafe_code)]

mod const_expr;
mod error;
mod features;
mod leb;
mod module;
mod names;
mod parse;
mod proposal;
pub mod text;
mod type_id;
mod type_map;
mod types;

pub use const_expr::{ConstExpr, ConstOp};
pub use error::{Error, WasmOffset};
pub use features::features;
pub use module::{
    Body, CustomSection, DataSegment, ElementItem, ElementItems, ElementSegment, Export,
    ExportKind, Global, Import, Module, Parsed, SegmentMode, Table,
};
pub use names::{Names, demangle};
pub use type_id::TypeId;
pub use type_map::TypeMap;
pub use types::{
    ExternType, FuncIndex, FuncType, GlobalType, HeapType, IndexType, MemoryType, RefType,
    TableType, TypeIndex, ValType,
};

/// Bytes in a page of linear memory, unless its type says otherwise.
pub const PAGE_SIZE: u64 = 65_536;

/// The most elements that a table may ever have; growing past it fails.
///
/// The limit is the one of the WebAssembly JavaScript API, which every engine
/// of browsers follows.
pub const MAX_TABLE_ELEMENTS: u64 = 10_000_000;
