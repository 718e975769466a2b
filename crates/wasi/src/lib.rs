//! WASI preview1 on capability-based files.
//!
//! A [`WasiCtx`] has what one guest may use, and [`add_to_linker`] defines the calls by which it
//! uses it, under `wasi_snapshot_preview1` and the older `wasi_unstable`. Files are opened through
//! cap-std only: no path of a guest leads out of the directories it was given.
//!
//! How a call goes: `linker` finds the caller's memory and the context and hands both to the
//! function named after the call, in `args`, `clock`, `dir`, `file`, `io`, `open`, `path`, `poll`,
//! `preopen` or `random`. `memory` checks every address, `types` knows every layout, `descriptor` has the open
//! files, and what fails is an `errno` for the guest. Only an [`Exit`] or a [`MissingMemory`]
//! leaves the guest as an error.
//!
//! Sockets are not implemented: their calls return `ENOSYS`, and
//! [`WasiCtx::unimplemented_calls`] tells which of them a guest has made.

#![forbid(unsafe_code)]

mod args;
mod clock;
mod ctx;
mod descriptor;
mod dir;
mod errno;
mod error;
mod event;
mod file;
#[cfg(test)]
mod fixture;
mod io;
mod linker;
mod memory;
mod open;
mod path;
mod poll;
mod preopen;
mod random;
mod rights;
mod stdio;
mod types;

pub use ctx::{WasiCtx, WasiCtxBuilder};
pub use error::{Error, Exit, MissingMemory};
pub use linker::add_to_linker;
pub use stdio::{Input, Output};
