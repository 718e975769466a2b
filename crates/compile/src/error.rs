//! Why a module could not be compiled.

use std::fmt;
use wasmprof_module::FuncIndex;

/// Why compilation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A function body is not valid WebAssembly.
    Module(wasmprof_module::Error),
    /// This machine is not one that code can be made for.
    Target(String),
    /// The code generator gave up on a function.
    Codegen {
        /// The function; `None` for a stub.
        function: Option<FuncIndex>,
        /// What the code generator said.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Module(error) => error.fmt(f),
            Error::Target(why) => write!(f, "cannot make code for this machine: {why}"),
            Error::Codegen { function: Some(FuncIndex(index)), message } => {
                write!(f, "cannot compile function {index}: {message}")
            }
            Error::Codegen { function: None, message } => {
                write!(f, "cannot compile a stub: {message}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<wasmprof_module::Error> for Error {
    fn from(error: wasmprof_module::Error) -> Self {
        Error::Module(error)
    }
}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Self {
        Error::Module(error.into())
    }
}
