//! A module that is compiled and mapped, ready for instances.

use crate::code::Code;
use crate::error::resource;
use crate::vm::MemoryImage;
use crate::{Engine, Error};
use std::sync::{Arc, OnceLock};
use wasmprof_image::abi::VmctxLayout;
use wasmprof_image::{CodeImage, Symbol};
use wasmprof_module::{
    ConstExpr, ConstOp, ExportKind, ExternType, FuncIndex, Module as WasmModule, SegmentMode,
};

/// Initial contents below this size are copied: that is faster than mapping.
const COPY_BELOW: usize = 64 * 1024;

/// A compiled module. Cloning gives a handle to the same one, and any number of
/// stores of its engine can have instances of it, on any threads.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let module = Module::new(&engine, r#"(module $counter
///     (import "host" "tick" (func (param i64)))
///     (memory (export "memory") 1))"#)?;
/// assert_eq!(module.name(), Some("counter"));
/// let import = module.imports().next().unwrap();
/// assert_eq!((import.module(), import.name()), ("host", "tick"));
/// assert_eq!(import.ty().to_string(), "function [i64] -> []");
/// assert_eq!(module.exports().next().unwrap().name(), "memory");
///
/// let error = Module::new(&engine, "(module (func (result i32)))").unwrap_err();
/// assert!(error.to_string().contains("type mismatch"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Module {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    wasm: Arc<WasmModule>,
    layout: VmctxLayout,
    exports: NameIndex,
    memory_images: OnceLock<Option<Box<[Option<MemoryImage>]>>>,
    code: Arc<Code>,
}

impl Module {
    /// Maps the image of a module.
    ///
    /// # Errors
    ///
    /// If the system does not give executable memory, or the image is not that
    /// of a module.
    ///
    /// # Safety
    ///
    /// The image must be as the compiler made it, with the options that the
    /// engine was set up for, from bodies that are valid: its code will run, and
    /// nothing here checks it.
    pub(crate) unsafe fn load(engine: &Engine, image: CodeImage) -> Result<Module, Error> {
        let Some(wasm) = image.module.clone() else {
            return Err(Error::Compile("the code image has no module".into()));
        };
        let code = Code::load(image, engine.agents())
            .map_err(|error| resource("executable memory".to_owned(), error))?;
        let exports = NameIndex::new(wasm.exports.iter().map(|export| &*export.name));
        let inner = Inner {
            engine: engine.clone(),
            layout: VmctxLayout::new(&wasm),
            exports,
            memory_images: OnceLock::new(),
            wasm,
            code,
        };
        Ok(Module { inner: Arc::new(inner) })
    }

    /// The name that the module gives itself.
    pub fn name(&self) -> Option<&str> {
        self.wasm().names().module()
    }

    /// The imports, in order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        self.wasm().imports.iter().map(|import| ImportType { import })
    }

    /// The exports, in order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        let wasm = self.wasm();
        wasm.exports
            .iter()
            .map(|export| ExportType { name: &export.name, ty: wasm.export_type(export.kind) })
    }

    /// The machine code.
    pub fn text(&self) -> &[u8] {
        self.inner.code.text()
    }

    /// How many functions the module has of its own.
    pub fn functions(&self) -> usize {
        self.wasm().functions.len() - self.wasm().imported_functions as usize
    }

    /// The functions of the module in the order of their code, and behind them
    /// the stubs that they call.
    pub fn symbols(&self) -> &[Symbol] {
        &self.inner.code.image().symbols
    }

    /// The engine that the module was made for.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn wasm(&self) -> &WasmModule {
        &self.inner.wasm
    }

    pub(crate) fn layout(&self) -> &VmctxLayout {
        &self.inner.layout
    }

    /// The address of the code of one of the module's own functions.
    pub(crate) fn function_address(&self, index: FuncIndex) -> usize {
        let own = (index.0 - self.wasm().imported_functions) as usize;
        self.inner.code.address(self.symbols()[own].start)
    }

    pub(crate) fn export(&self, name: &str) -> Option<ExportKind> {
        let exports = &self.wasm().exports;
        let at = self.inner.exports.find(name, |at| &exports[at].name)?;
        Some(exports[at].kind)
    }

    /// Images for the module's own memories, if they can take the place of all
    /// active data segments.
    pub(crate) fn memory_images(&self) -> Option<&[Option<MemoryImage>]> {
        self.inner.memory_images.get_or_init(|| self.make_memory_images()).as_deref()
    }

    fn make_memory_images(&self) -> Option<Box<[Option<MemoryImage>]>> {
        let wasm = self.wasm();
        let imported = wasm.imported_memories as usize;
        let mut memories: Vec<Vec<(u64, &[u8])>> = vec![Vec::new(); wasm.memories.len() - imported];
        let mut total = 0;
        for segment in &wasm.data {
            let SegmentMode::Active { target, offset } = &segment.mode else { continue };
            let bytes = wasm.data_bytes(segment);
            // Any other segment may be out of bounds, or is not ours to place.
            let at = match offset {
                ConstExpr::One(ConstOp::I32(at)) => u64::from(*at as u32),
                ConstExpr::One(ConstOp::I64(at)) => *at as u64,
                _ => return None,
            };
            let own = (*target as usize).checked_sub(imported)?;
            let size = wasm.memories[*target as usize].minimum_bytes()?;
            if at.checked_add(bytes.len() as u64)? > size {
                return None;
            }
            total += bytes.len();
            memories[own].push((at, bytes));
        }
        if total < COPY_BELOW {
            return None;
        }
        let image = |segments: Vec<(u64, &[u8])>| match segments.is_empty() {
            true => Ok(None),
            false => MemoryImage::new(&segments).map(Some),
        };
        // Without a file in memory, segments are copied.
        memories.into_iter().map(image).collect::<Result<_, _>>().ok()
    }
}

/// Positions in a list of names, sorted by name.
///
/// With each is the start of its name, as a number that is ordered as the bytes
/// are: mostly that is all of a name that a search compares.
#[derive(Debug)]
struct NameIndex(Box<[(u64, u32)]>);

impl NameIndex {
    fn new<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> NameIndex {
        let names: Vec<&str> = names.collect();
        let mut index: Box<[_]> = (0..).zip(&names).map(|(at, name)| (start(name), at)).collect();
        index.sort_by_key(|(_, at)| names[*at as usize]);
        NameIndex(index)
    }

    /// The position of a name, which `name_at` gives for any.
    fn find<'a>(&self, name: &str, name_at: impl Fn(usize) -> &'a str) -> Option<usize> {
        let wanted = start(name);
        let compare = |(start, at): &(u64, u32)| {
            start.cmp(&wanted).then_with(|| name_at(*at as usize).cmp(name))
        };
        let found = self.0.binary_search_by(compare).ok()?;
        Some(self.0[found].1 as usize)
    }
}

/// The first eight bytes of a name, and zeros if it has less.
fn start(name: &str) -> u64 {
    let bytes = name.as_bytes();
    match bytes.first_chunk() {
        Some(start) => u64::from_be_bytes(*start),
        None => bytes.iter().rev().fold(0, |start, byte| start >> 8 | u64::from(*byte) << 56),
    }
}

/// An import of a module.
#[derive(Clone, Copy, Debug)]
pub struct ImportType<'a> {
    import: &'a wasmprof_module::Import,
}

impl<'a> ImportType<'a> {
    /// The module part of its name.
    pub fn module(&self) -> &'a str {
        &self.import.module
    }

    /// The field part of its name.
    pub fn name(&self) -> &'a str {
        &self.import.name
    }

    /// What it has to be.
    pub fn ty(&self) -> &'a ExternType {
        &self.import.ty
    }
}

/// An export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'a> {
    name: &'a str,
    ty: ExternType,
}

impl<'a> ExportType<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What it is.
    pub fn ty(&self) -> &ExternType {
        &self.ty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_they_start_with() {
        let names =
            ["memory", "", "a", "a\0", "memory_1", "memory_12", "memory_11", "é", "mem", "\0"];
        let index = NameIndex::new(names.iter().copied());
        for (at, name) in names.iter().enumerate() {
            assert_eq!(index.find(name, |at| names[at]), Some(at), "{name:?}");
        }
        for name in ["memory_", "memory_13", "b", "a\0\0", "m", "\u{e8}"] {
            assert_eq!(index.find(name, |at| names[at]), None, "{name:?}");
        }
    }
}
