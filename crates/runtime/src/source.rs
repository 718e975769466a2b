//! Modules from bytes, text and files. Making code of them is left to the
//! compiler that the engine was set up with.

use crate::{Engine, Error, Module};
use std::borrow::Cow;
use std::path::Path;
use wasmprof_module::{Module as WasmModule, Parsed, text};

/// What a module is called that has neither a name nor a file.
const UNNAMED: &str = "wasm";

impl Module {
    /// Compiles a module in the binary format, or in the text format if the
    /// feature `wat` is on.
    ///
    /// # Errors
    ///
    /// If the module is malformed or invalid, with the byte offset or the line;
    /// or if it exceeds a limit of the code generator.
    pub fn new(engine: &Engine, wasm: impl AsRef<[u8]>) -> Result<Module, Error> {
        Module::compile(engine, text::to_binary(wasm.as_ref())?.into_owned(), UNNAMED)
    }

    /// Compiles a module in the binary format without validating the bodies of
    /// its functions, which takes a little less time. Everything outside of them
    /// is validated all the same.
    ///
    /// # Errors
    ///
    /// If the input is not a binary, is malformed or invalid outside of the
    /// bodies, or exceeds a limit of the code generator. Text is not taken: what
    /// a converter has made of it, nobody can have validated before.
    ///
    /// # Safety
    ///
    /// The binary must be valid: [`validate`](Module::validate) must accept it.
    /// It may have been validated earlier, or be what a trusted compiler made.
    /// Compiling and running anything else is undefined behaviour, for the
    /// sandbox is made of what validation guarantees.
    pub unsafe fn new_unchecked(engine: &Engine, wasm: impl AsRef<[u8]>) -> Result<Module, Error> {
        let binary = text::binary_only(wasm.as_ref())?;
        let parsed = WasmModule::parse_unchecked(binary)?;
        // SAFETY: the caller vouches for the bodies.
        unsafe { Module::compile_and_load(engine, parsed, UNNAMED) }
    }

    /// Compiles what is in a file, as [`new`](Module::new) does. In backtraces
    /// and profiles the module is called by the name of the file.
    ///
    /// # Errors
    ///
    /// As [`new`](Module::new), and if the file cannot be read; all with the
    /// path.
    pub fn from_file(engine: &Engine, path: impl AsRef<Path>) -> Result<Module, Error> {
        let path = path.as_ref();
        let in_file = |error| Error::File { path: path.to_owned(), error };
        let bytes = std::fs::read(path).map_err(|error| in_file(error.into()))?;
        let binary = match text::to_binary(&bytes) {
            Ok(Cow::Borrowed(_)) => bytes,
            Ok(Cow::Owned(binary)) => binary,
            Err(error) => return Err(in_file(error.into())),
        };
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        Module::compile(engine, binary, &name).map_err(|error| in_file(error.into()))
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    ///
    /// As [`new`](Module::new), and if the input is text.
    pub fn from_binary(engine: &Engine, wasm: &[u8]) -> Result<Module, Error> {
        Module::compile(engine, text::binary_only(wasm)?.to_vec(), UNNAMED)
    }

    fn compile(engine: &Engine, wasm: Vec<u8>, name: &str) -> Result<Module, Error> {
        let parsed = WasmModule::parse(wasm)?;
        // SAFETY: the bodies bring their validators.
        unsafe { Module::compile_and_load(engine, parsed, name) }
    }

    /// The whole way from bodies to a module that can be instantiated.
    ///
    /// # Safety
    ///
    /// The bodies must be valid, or bring their validators.
    unsafe fn compile_and_load(
        engine: &Engine,
        parsed: Parsed,
        name: &str,
    ) -> Result<Module, Error> {
        let image = engine.compiler().compile_module(parsed, name)?;
        // SAFETY: the engine's own compiler made the image, from bodies that are
        // valid by the contract.
        unsafe { Module::load(engine, image) }
    }

    /// Checks a module in the binary format without compiling it.
    ///
    /// # Errors
    ///
    /// If the module is malformed or invalid, with the byte offset; and if the
    /// input is text, which could be valid only when it has been converted.
    pub fn validate(_: &Engine, wasm: &[u8]) -> Result<(), Error> {
        Ok(WasmModule::validate(text::binary_only(wasm)?)?)
    }
}
