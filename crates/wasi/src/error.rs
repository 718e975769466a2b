//! Errors for the host: what building a context can fail with, and what ends a guest from within a
//! call.
//!
//! What a call tells the guest itself is an `Errno`, in `errno.rs`.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a [`WasiCtx`](crate::WasiCtx) could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An argument, an environment variable or the guest's name for a directory holds a NUL byte.
    /// The guest receives these as NUL-terminated strings.
    Nul {
        /// The text, with the NUL.
        text: String,
    },
    /// The name of an environment variable is empty or holds a `=`.
    VariableName {
        /// The name.
        name: String,
    },
    /// The arguments or the environment do not fit the 32-bit sizes of the interface.
    TooLarge,
    /// A directory could not be opened for the guest.
    Preopen {
        /// The directory on the host.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul { text } => {
                write!(f, "{text:?} cannot be given to the guest: it holds a NUL")
            }
            Self::VariableName { name } => {
                write!(f, "{name:?} cannot be the name of an environment variable")
            }
            Self::TooLarge => f.write_str("the arguments or the environment are larger than 4 GiB"),
            Self::Preopen { path, source } => {
                write!(f, "cannot open the directory `{}` for the guest: {source}", path.display())
            }
        }
    }
}

// The text has that of the cause in it: there is no source to print besides.
impl std::error::Error for Error {}

/// The guest called `proc_exit`: the error by which the call unwinds out of the guest, with the
/// guest's exit code. It is not a failure, whatever the code; the embedder finds it in the error
/// of the call that was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub i32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest exited with code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// A WASI call came from an instance without a memory that the call can work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingMemory {
    /// It does not export a memory under the name `memory`.
    NotExported,
    /// What it exports under the name `memory` is a shared memory. Calls would have to reckon with
    /// other threads that change what they read, which they do not do yet.
    Shared,
}

impl fmt::Display for MissingMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MissingMemory::NotExported => {
                "a WASI call needs the caller to export its memory under the name `memory`"
            }
            MissingMemory::Shared => {
                "a WASI call cannot work on a shared memory yet, and the caller's `memory` is one"
            }
        })
    }
}

impl std::error::Error for MissingMemory {}
