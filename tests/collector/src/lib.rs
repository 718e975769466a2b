//! A stand-in for VTune's collector: it writes down what it is told, and tests read it.
//!
//! It has two halves. As a dynamic library it is what `INTEL_JIT_PROFILER64`
//! names: it appends each event to the file named by [`LOG_VARIABLE`]. As a
//! crate it tells tests where that library is and reads the file back:
//!
//! ```no_run
//! # fn test(wasmprof: &str) -> std::io::Result<()> {
//! let log = std::path::Path::new("events.tsv");
//! let status = std::process::Command::new(wasmprof)
//!     .args(["run", "--jit-profile=vtune", "app.wasm"])
//!     .env(wasmprof_collector::LIBRARY_VARIABLE, wasmprof_collector::library()?)
//!     .env(wasmprof_collector::LOG_VARIABLE, log)
//!     .status()?;
//! let events = wasmprof_collector::read_log(log)?;
//! # Ok(()) }
//! ```
//!
//! It judges nothing: what the events should be is for the tests to say. The
//! structures are declared here anew, so that the agent's are checked against
//! something other than themselves.

mod entry;
mod log;

pub use entry::{Initialize, NotifyEvent};
pub use log::{Event, LIBRARY_VARIABLE, LOG_VARIABLE, library, read_log};
