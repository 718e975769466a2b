//! The contract between the compiler, the runtime and the profilers.
//!
//! - [`CodeImage`]: machine code with everything that is known about it. The
//!   compiler makes it, the runtime maps it, profilers read it.
//! - [`ProfilingAgent`]: how a profiler is told of code that comes and goes.
//! - [`abi`]: where compiled code and the runtime find each other's data.
//!
//! Plain data and one trait: nothing here compiles, maps or writes anything.

#![forbid(unsafe_code)]

pub mod abi;
mod address;
mod agent;
mod handler;
mod image;
mod location;
mod symbol;
mod trap;

pub use address::{CodeOffset, Pc};
pub use agent::{AgentError, Agents, LoadedImage, ProfilingAgent};
pub use handler::{Catch, HandlerTable};
pub use image::CodeImage;
pub use location::{LocId, Location, LocationTable};
pub use symbol::{Symbol, SymbolKind};
pub use trap::{TrapCode, TrapTable};
pub use wasmprof_module::WasmOffset;
