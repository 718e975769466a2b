//! What can go wrong, and where the program was when it did.

use crate::Exception;
use crate::code::CodePlace;
use crate::{LimitError, host_error};
use std::fmt;
use std::path::PathBuf;
use wasmprof_image::{SymbolKind, TrapCode, WasmOffset};
use wasmprof_module::{ExternType, FuncIndex, FuncType, MemoryType, ValType};

/// An error of any kind, as host functions may return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why something that an embedder asked for was not done.
///
/// It is an error in the sense of the standard library, with which `?` makes an
/// `anyhow::Error` of it.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// // What is wrong with a module, and where.
/// let error = Module::new(&engine, "(module (func (drop)))").unwrap_err();
/// assert!(error.to_string().contains("(at byte 0x17)"), "{error}");
///
/// // What a program ended by: a trap, ...
/// let mut store = Store::new(&engine, ());
/// let wat = r#"(module (import "" "" (func $host))
///     (func (export "trap") (unreachable)) (func (export "fail") (call $host)))"#;
/// let host = Func::wrap(&mut store, || Err::<(), _>(std::fmt::Error))?;
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[host.into()])?;
/// let trap = instance.get_typed_func::<(), ()>(&mut store, "trap")?;
/// let error = trap.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::Unreachable));
///
/// // ... or an error of a host function, by its type.
/// let fail = instance.get_typed_func::<(), ()>(&mut store, "fail")?;
/// let error = fail.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref::<std::fmt::Error>(), Some(&std::fmt::Error));
/// assert_eq!(error.downcast::<std::fmt::Error>()?, std::fmt::Error);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An engine cannot be set up like this; the text says why.
    Config(String),
    /// The bytes are not a module that can be used.
    Module(wasmprof_module::Error),
    /// The module is valid and could still not be compiled.
    Compile(BoxError),
    /// A file could not be read, or what is in it is at fault.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: BoxError,
    },
    /// Imports, exports or arguments do not fit together.
    Link(Box<LinkError>),
    /// The store does not allow so much.
    Limit(LimitError),
    /// The program trapped.
    Trap(Trap),
    /// The program threw an exception that nothing caught.
    Exception(Box<Exception>),
    /// A host function failed.
    Host {
        /// What it returned. For its type, ask [`Error::downcast_ref`], which
        /// knows of the boxes that errors come in.
        error: BoxError,
        /// The WebAssembly functions that were running.
        backtrace: Backtrace,
    },
    /// The system does not give what is needed.
    Resource {
        /// What was asked for.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl Error {
    /// An error for a host function to return; a text is one, too. The backtrace
    /// is filled in when the function returns it. Traps, trap codes and errors
    /// of this type stay what they are.
    pub fn new(error: impl Into<BoxError> + 'static) -> Error {
        host_error::error_of(host_error::boxed(error), Backtrace::default)
    }

    /// The trap, if that is what happened: also if a host function has put
    /// another error around it.
    pub fn trap(&self) -> Option<&Trap> {
        match self {
            Error::Trap(trap) => Some(trap),
            Error::Host { error, .. } => host_error::find(&**error),
            _ => None,
        }
    }

    /// The error of this type that a host function returned, on its own, in an
    /// `anyhow::Error` (with the feature `anyhow`), or as the source of another.
    /// What other errors were made from is found as well: a
    /// [`LinkError`], say, or what the system said.
    ///
    /// When this error has become an `anyhow::Error`, ask that one for an
    /// `Error` first.
    pub fn downcast_ref<E: std::error::Error + Send + Sync + 'static>(&self) -> Option<&E> {
        host_error::find(match self {
            Error::Config(_) => return None,
            Error::Module(error) => error,
            Error::Link(error) => &**error,
            Error::Limit(error) => error,
            Error::Trap(trap) => trap,
            Error::Exception(exception) => &**exception,
            Error::Resource { error, .. } => error,
            Error::Compile(error) | Error::File { error, .. } | Error::Host { error, .. } => {
                &**error
            }
        })
    }

    /// The error of this type that a host function returned, on its own or in
    /// an `anyhow::Error` (with the feature `anyhow`). It takes the place of
    /// this one, whose backtrace is gone then.
    ///
    /// # Errors
    ///
    /// This error again, if it has no such error or only as a source.
    pub fn downcast<E: std::error::Error + Send + Sync + 'static>(self) -> Result<E, Error> {
        match self {
            Error::Host { error, backtrace } => {
                host_error::take(error).map_err(|error| Error::Host { error, backtrace })
            }
            other => Err(other),
        }
    }

    /// The WebAssembly functions that were running, innermost first.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        match self {
            Error::Trap(trap) => Some(&trap.backtrace),
            Error::Exception(exception) => Some(exception.backtrace()),
            Error::Host { backtrace, .. } => Some(backtrace),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config(why) => f.write_str(why),
            Error::Module(error) => error.fmt(f),
            Error::Compile(error) => error.fmt(f),
            Error::File { path, error } => write!(f, "{}: {error}", path.display()),
            Error::Link(error) => error.fmt(f),
            Error::Limit(error) => error.fmt(f),
            Error::Trap(trap) => trap.fmt(f),
            Error::Exception(exception) => exception.fmt(f),
            Error::Host { error, .. } => error.fmt(f),
            Error::Resource { what, error } => write!(f, "cannot get {what}: {error}"),
        }
    }
}

/// The text of an error has that of its causes in it, so only the source of
/// what stands for itself is given: whoever prints the chain says nothing twice.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Host { error, .. } | Error::Compile(error) | Error::File { error, .. } => {
                error.source()
            }
            _ => None,
        }
    }
}

impl From<wasmprof_module::Error> for Error {
    fn from(error: wasmprof_module::Error) -> Self {
        Error::Module(error)
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        Error::Link(Box::new(error))
    }
}

impl From<LimitError> for Error {
    fn from(error: LimitError) -> Self {
        Error::Limit(error)
    }
}

impl From<Trap> for Error {
    fn from(trap: Trap) -> Self {
        Error::Trap(trap)
    }
}

impl From<Exception> for Error {
    fn from(exception: Exception) -> Self {
        Error::Exception(Box::new(exception))
    }
}

impl From<TrapCode> for Error {
    fn from(code: TrapCode) -> Self {
        Error::Trap(Trap::new(code))
    }
}

impl From<MemoryAccessError> for Error {
    fn from(error: MemoryAccessError) -> Self {
        Error::new(error)
    }
}

impl From<BoxError> for Error {
    fn from(error: BoxError) -> Self {
        Error::new(error)
    }
}

/// With its contexts and its backtrace; see [`Error::new`].
#[cfg(feature = "anyhow")]
impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Error::new(error)
    }
}

/// The system did not give `what`.
pub(crate) fn resource(what: String, error: std::io::Error) -> Error {
    Error::Resource { what, error }
}

/// Why imports, exports or arguments do not fit together.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkError {
    /// Nothing was given for an import.
    MissingImport {
        /// Module part of its name.
        module: String,
        /// Field part of its name.
        name: String,
        /// What the module wants.
        wanted: ExternType,
    },
    /// Something of another type was given for an import.
    ImportType {
        /// Module part of its name.
        module: String,
        /// Field part of its name.
        name: String,
        /// What the module wants.
        wanted: ExternType,
        /// What was given.
        given: ExternType,
    },
    /// The number of imports given is not the number wanted.
    ImportCount {
        /// How many the module has.
        wanted: usize,
        /// How many were given.
        given: usize,
    },
    /// The module was made for another engine than the store.
    OtherEngine,
    /// A shared memory was made for another engine than the store.
    SharedMemoryOfOtherEngine,
    /// The linker was made for another engine than the store.
    OtherEnginesLinker,
    /// A name has been defined already.
    AlreadyDefined {
        /// Module part of the name.
        module: String,
        /// Field part of the name.
        name: String,
    },
    /// The instance has no such export.
    NoExport {
        /// The name asked for.
        name: String,
        /// What it was to be.
        wanted: &'static str,
    },
    /// A function has another type than the one it is called with.
    FunctionType {
        /// The type of the function.
        found: FuncType,
        /// The type it is called with.
        wanted: FuncType,
    },
    /// A value has another type than the place it is for.
    ValueType {
        /// The type of the place.
        wanted: ValType,
        /// What the value is for.
        what: String,
    },
    /// The number of arguments or results is wrong.
    Arity {
        /// The type of the function.
        ty: FuncType,
        /// How many arguments were given.
        arguments: usize,
        /// For how many results there is room.
        results: usize,
    },
    /// A global that never changes was to be set.
    ImmutableGlobal,
    /// There can be no memory of this type, or not of this kind.
    MemoryType {
        /// The type.
        ty: MemoryType,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A table would have more elements than any may.
    TableTooLarge {
        /// How many.
        elements: u64,
    },
    /// Nothing can have this type: its least size is above its largest, or
    /// above what any memory or table may have.
    ImpossibleSize {
        /// The type of a memory or table.
        ty: ExternType,
    },
    /// A memory or table cannot grow so far.
    CannotGrow {
        /// The size before.
        from: u64,
        /// By how much.
        by: u64,
    },
    /// An element outside a table was accessed.
    NoElement {
        /// The index.
        index: u64,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::MissingImport { module, name, wanted } => {
                write!(f, "unknown import: the module wants `{module}` `{name}`, a {wanted}")
            }
            LinkError::ImportType { module, name, wanted, given } => write!(
                f,
                "incompatible import type: the module wants `{module}` `{name}` to be a {wanted}, \
                 and a {given} was given"
            ),
            LinkError::ImportCount { wanted, given } => {
                write!(f, "the module has {wanted} imports, and {given} were given")
            }
            LinkError::OtherEngine => f.write_str(
                "the module was compiled for another engine than the one that the store is of",
            ),
            LinkError::SharedMemoryOfOtherEngine => f.write_str(
                "the shared memory was made for another engine than the one that the store is of",
            ),
            LinkError::OtherEnginesLinker => f.write_str(
                "the linker was made for another engine than the one that the store is of",
            ),
            LinkError::AlreadyDefined { module, name } => {
                write!(f, "`{module}` `{name}` is defined twice")
            }
            LinkError::NoExport { name, wanted } => {
                write!(f, "the module exports no {wanted} named `{name}`")
            }
            LinkError::FunctionType { found, wanted } => {
                write!(f, "the function has the type {found}, and was taken for one of {wanted}")
            }
            LinkError::ValueType { wanted, what } => {
                write!(f, "a value of another type than {wanted} was given for {what}")
            }
            LinkError::Arity { ty, arguments, results } => write!(
                f,
                "a function of type {ty} was called with {arguments} arguments and room for \
                 {results} results"
            ),
            LinkError::ImmutableGlobal => f.write_str("the global is constant and cannot be set"),
            LinkError::MemoryType { ty, why } => write!(f, "no {ty} can be made here: {why}"),
            LinkError::TableTooLarge { elements } => {
                write!(f, "a table of {elements} elements is larger than any may be")
            }
            LinkError::ImpossibleSize { ty } => {
                write!(f, "there can be no {ty}: its least size is larger than it may be")
            }
            LinkError::CannotGrow { from, by } => write!(f, "cannot grow from {from} by {by}"),
            LinkError::NoElement { index } => write!(f, "the table has no element {index}"),
        }
    }
}

impl std::error::Error for LinkError {}

/// A range of bytes is not inside a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryAccessError;

impl fmt::Display for MemoryAccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of bounds access of a memory by the host")
    }
}

impl std::error::Error for MemoryAccessError {}

/// A trap: the program did what the specification gives no meaning to, or a host
/// function said that it did.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let mut store = Store::new(&engine, ());
/// let root = Func::wrap(&mut store, |x: f64| {
///     if x < 0.0 { Err(Trap::new(TrapCode::InvalidConversionToInteger)) } else { Ok(x.sqrt()) }
/// })?;
/// let root = root.typed::<f64, f64>(&store)?;
/// assert_eq!(root.call(&mut store, 9.0)?, 3.0);
/// let error = root.call(&mut store, -1.0).unwrap_err();
/// assert_eq!(error.to_string(), "wasm trap: invalid conversion to integer");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trap {
    /// Why.
    pub code: TrapCode,
    /// The WebAssembly functions that were running.
    pub backtrace: Backtrace,
}

impl Trap {
    /// A trap for a host function to return; the backtrace is filled in then.
    pub fn new(code: TrapCode) -> Trap {
        Trap { code, backtrace: Backtrace::default() }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wasm trap: {}", self.code)
    }
}

impl std::error::Error for Trap {}

/// The WebAssembly functions that were running, innermost first. Functions that
/// have been left by a tail call are not among them, nor are host functions.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module $example
///     (func $inner (unreachable))
///     (func $outer (export "run") (call $inner)))"#;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
/// let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
/// let error = run.call(&mut store, ()).unwrap_err();
///
/// let backtrace = error.backtrace().unwrap();
/// let names: Vec<String> = backtrace.frames().iter().map(|frame| frame.function_name()).collect();
/// assert_eq!(names, ["inner", "outer"]);
/// // The offsets are those of the binary, as other tools count them.
/// assert_eq!(backtrace.frames()[0].wasm_offset().unwrap().to_string(), "0x21");
/// // For people, all at once.
/// assert!(backtrace.to_string().contains("0:     0x21 - wasm!inner"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Backtrace {
    frames: Vec<Frame>,
}

/// A WebAssembly function that was running; see [`Backtrace`]. It is good for as
/// long as it is kept, also when its module is gone.
#[derive(Clone, Debug)]
pub struct Frame {
    place: CodePlace,
    index: FuncIndex,
}

impl Backtrace {
    /// From places in code, innermost first. Stubs are left out.
    pub(crate) fn new(places: impl IntoIterator<Item = CodePlace>) -> Backtrace {
        let frame = |place: CodePlace| {
            let symbol = place.code.image().symbol_at(place.offset)?;
            match symbol.kind {
                SymbolKind::Function(index) => Some(Frame { index, place }),
                SymbolKind::Stub(_) => None,
            }
        };
        Backtrace { frames: places.into_iter().filter_map(frame).collect() }
    }

    /// The functions, innermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }
}

impl Frame {
    /// The name of the function.
    pub fn function_name(&self) -> String {
        match self.place.code.image().symbol_at(self.place.offset) {
            Some(symbol) => self.place.code.image().symbol_name(symbol).into_owned(),
            None => String::new(),
        }
    }

    /// The index of the function in its module.
    pub fn function_index(&self) -> FuncIndex {
        self.index
    }

    /// What the module is called.
    pub fn module_name(&self) -> &str {
        &self.place.code.image().name
    }

    /// The instruction, as an offset into the binary of the module. For a
    /// function that had only begun, it is the first one.
    pub fn wasm_offset(&self) -> Option<WasmOffset> {
        let CodePlace { code, offset } = &self.place;
        let range = code.image().symbol_at(*offset)?.range();
        let next = |offset| code.image().locations.get_or_next(offset, range.end);
        // Where the check of the stack goes when it fails may be behind all else.
        Some(next(*offset).or_else(|| next(range.start))?.wasm)
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a recursion that was too deep, the ends tell enough.
        const ENDS: usize = 20;
        let shown = |i: usize| i < ENDS || i + ENDS >= self.frames.len();
        for (i, frame) in self.frames.iter().enumerate() {
            if i == ENDS && !shown(i) {
                writeln!(f, "  ... {} frames more", self.frames.len() - 2 * ENDS)?;
            }
            if !shown(i) {
                continue;
            }
            write!(f, "  {i:>3}: ")?;
            match frame.wasm_offset() {
                Some(offset) => write!(f, "{offset:>8}", offset = offset.to_string())?,
                None => f.write_str("       ?")?,
            }
            writeln!(f, " - {}!{}", frame.module_name(), frame.function_name())?;
        }
        Ok(())
    }
}
