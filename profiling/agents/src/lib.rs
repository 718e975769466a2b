//! How profilers that others wrote learn of our machine code: one file for each agent.
//!
//! An agent gets a [`LoadedImage`](wasmprof_image::LoadedImage) and tells its
//! profiler what is where. It does not compile, map or run code, and it never
//! prints: failures are returned to whoever set up the list, see
//! [`Agents`](wasmprof_image::Agents). Agents are asked for by name, see
//! [`from_names`].

mod failed;
mod perfmap;
mod private_file;
mod registry;
mod text;
pub mod vtune;

pub use perfmap::PerfMap;
pub use registry::{NamesError, from_names, help};
pub use vtune::VTune;
