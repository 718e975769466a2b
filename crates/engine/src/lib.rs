//! Embed wasmprof: compile WebAssembly, link it, run it, and let profilers see it.
//!
//! ```
//! # #[cfg(not(feature = "wat"))] fn main() {}
//! use wasmprof_engine::{Config, Engine, Linker, Module, Store};
//!
//! # #[cfg(feature = "wat")] fn main() -> Result<(), wasmprof_engine::Error> {
//! let engine = Engine::new(Config::new())?;
//! let module = Module::new(&engine, r#"(module
//!     (import "host" "double" (func $double (param i32) (result i32)))
//!     (func (export "run") (param i32) (result i32)
//!         (i32.add (call $double (local.get 0)) (i32.const 1))))"#)?;
//!
//! let mut linker = Linker::new(&engine);
//! linker.func_wrap("host", "double", |x: i32| x * 2)?;
//! let mut store = Store::new(&engine, ());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
//! assert_eq!(run.call(&mut store, 20)?, 41);
//! # Ok(())
//! # }
//! ```
//!
//! [`Config`] chooses how code is compiled and which profiling agents are told
//! of it; everything that runs is in [`wasmprof_runtime`], whose items are here
//! too; programs get their files and arguments from [`wasi`].

#![deny(unsafe_code)]

mod config;
mod engine;

pub use config::Config;
pub use wasmprof_compile::Strategy;
pub use wasmprof_image::{AgentError, LoadedImage, ProfilingAgent};
/// Why something was not done.
pub use wasmprof_runtime::Error;
pub use wasmprof_runtime::{
    AsContext, AsContextMut, Backtrace, BoxError, Caller, Engine, Exception, ExnRef, ExportType,
    Extern, ExternRef, ExternType, Frame, Func, FuncType, Global, GlobalType, HeapType, HostResult,
    ImportType, IndexType, Instance, IntoFunc, LimitError, LinkError, Linker, Memory,
    MemoryAccessError, MemoryType, Module, RefType, ResourceLimiter, SharedMemory, Store,
    StoreLimits, StoreLimitsBuilder, StoreMut, StoreRef, Table, TableType, Tag, Trap, TrapCode,
    TypeId, TypedFunc, UpdateDeadline, V128, Val, ValType, WaitResult, WasmParams, WasmResults,
    WasmTy,
};

/// Profiling agents to choose from.
#[cfg(feature = "profiling")]
pub use wasmprof_agents as agents;
/// WASI preview1: arguments, environment, clocks and files for programs.
pub use wasmprof_wasi as wasi;
