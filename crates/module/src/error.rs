//! Why bytes are not a module that can be used, and where in them.

use std::fmt;

/// An offset into the bytes of a WebAssembly binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WasmOffset(pub u32);

impl WasmOffset {
    /// An offset as wasmparser counts it. Binaries of 4 GiB and more are
    /// refused before anything is parsed, so the clamp is never reached.
    pub fn at(offset: u64) -> WasmOffset {
        WasmOffset(u32::try_from(offset).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for WasmOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Why a module was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The binary is malformed or does not validate.
    Invalid {
        /// Where in the binary the problem was found.
        offset: WasmOffset,
        /// What is wrong, in the words of the validator.
        message: String,
    },
    /// The binary needs a proposal that is not supported.
    Unsupported {
        /// Where in the binary it is needed.
        offset: WasmOffset,
        /// The proposal.
        proposal: &'static str,
        /// What is wrong without it, in the words of the validator.
        message: String,
    },
    /// The text format could not be read; the message shows the line.
    Text(String),
    /// The input is text, but this build reads binaries only.
    TextUnsupported,
    /// The input is text where only the binary format is taken.
    BinaryOnly,
    /// The input is neither the binary nor the text format.
    NotWasm {
        /// The first bytes of the input, at most four.
        start: Vec<u8>,
    },
    /// The binary is a component, which cannot be run yet.
    Component,
    /// The binary is larger than offsets can express.
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
}

impl Error {
    pub(crate) fn invalid(offset: u64, message: impl Into<String>) -> Error {
        Error::Invalid { offset: WasmOffset::at(offset), message: message.into() }
    }

    pub(crate) fn not_wasm(input: &[u8]) -> Error {
        Error::NotWasm { start: input.iter().take(4).copied().collect() }
    }

    /// Where in the binary the problem was found, if the place is known.
    pub fn offset(&self) -> Option<WasmOffset> {
        match self {
            Error::Invalid { offset, .. } | Error::Unsupported { offset, .. } => Some(*offset),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { offset, message } => {
                write!(f, "invalid WebAssembly module: {message} (at byte {offset})")
            }
            Error::Unsupported { offset, proposal, message } => write!(
                f,
                "the module needs the proposal \"{proposal}\", which is not supported: {message} \
                 (at byte {offset})"
            ),
            Error::Text(message) => write!(f, "invalid WebAssembly text: {message}"),
            Error::TextUnsupported => f.write_str(
                "this looks like WebAssembly text, which this build cannot read; convert it to \
                 a binary, or build with the cargo feature `wat`",
            ),
            Error::BinaryOnly => f.write_str(
                "this looks like WebAssembly text, and only the binary format is taken here",
            ),
            Error::NotWasm { start } if start.is_empty() => {
                f.write_str("this is not a WebAssembly module: the input is empty")
            }
            Error::NotWasm { start } => {
                f.write_str("this is not a WebAssembly module: it starts with the bytes")?;
                for byte in start {
                    write!(f, " {byte:02x}")?;
                }
                f.write_str(", a binary starts with 00 61 73 6d")
            }
            Error::Component => f.write_str(
                "this is a WebAssembly component; only core modules can be run. A component's \
                 core module can be taken out with `wasm-tools component unbundle`",
            ),
            Error::TooLarge { size } => {
                write!(f, "the module has {size} bytes; the limit is 4 GiB")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Self {
        Error::invalid(error.offset(), error.message())
    }
}
