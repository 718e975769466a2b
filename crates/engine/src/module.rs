//! Modules from bytes, text and files.

use crate::Engine;
use std::ops::Deref;
use std::path::Path;
use wasmprof_module::{Module as WasmModule, text};
use wasmprof_runtime::Error;

/// A compiled module. Cloning gives a handle to the same one.
///
/// It is also a [`wasmprof_runtime::Module`], wherever one is wanted.
#[derive(Clone, Debug)]
pub struct Module {
    runtime: wasmprof_runtime::Module,
}

impl Module {
    /// Compiles a module in the binary format, or in the text format if the
    /// feature `wat` is on.
    ///
    /// # Errors
    ///
    /// If the module is malformed or invalid, with the byte offset or the line;
    /// or if it exceeds a limit of the code generator.
    pub fn new(engine: &Engine, wasm: impl AsRef<[u8]>) -> Result<Module, Error> {
        Module::from_binary(engine, &text::to_binary(wasm.as_ref())?)
    }

    /// Compiles what is in a file, as [`new`](Module::new) does. A module
    /// without a name is called by the name of its file.
    ///
    /// # Errors
    ///
    /// As [`new`](Module::new), with the path; and if the file cannot be read.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module, Error> {
        let path = path.as_ref();
        let in_file = |error| Error::File { path: path.to_owned(), error };
        let bytes = std::fs::read(path).map_err(|error| in_file(error.into()))?;
        let binary = text::to_binary(&bytes).map_err(|error| in_file(error.into()))?;
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        let module = match binary {
            std::borrow::Cow::Owned(binary) => Module::compile(engine, binary, &name),
            std::borrow::Cow::Borrowed(_) => Module::compile(engine, bytes, &name),
        };
        module.map_err(|error| match error {
            Error::Resource { .. } => error,
            other => in_file(other.into()),
        })
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    ///
    /// As [`new`](Module::new).
    pub fn from_binary(engine: &Engine, wasm: &[u8]) -> Result<Module, Error> {
        Module::compile(engine, wasm.to_vec(), "wasm")
    }

    fn compile(engine: &Engine, wasm: Vec<u8>, name: &str) -> Result<Module, Error> {
        let parsed = WasmModule::parse(wasm)?;
        let image = engine.compile(parsed, name)?;
        let runtime = wasmprof_runtime::Module::load(engine, image)?;
        Ok(Module { runtime })
    }

    /// Checks a module in the binary format without compiling it.
    ///
    /// # Errors
    ///
    /// If the module is malformed or invalid, with the byte offset.
    pub fn validate(_: &Engine, wasm: &[u8]) -> Result<(), Error> {
        Ok(WasmModule::validate(wasm)?)
    }
}

impl Deref for Module {
    type Target = wasmprof_runtime::Module;

    fn deref(&self) -> &wasmprof_runtime::Module {
        &self.runtime
    }
}
