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
//! # A short tour
//!
//! Who knows wasmtime knows the words. An [`Engine`] is made from a [`Config`],
//! compiles [`Module`]s, and is shared by all threads. A [`Store`] has everything
//! that programs have while they run, and data of the embedder's; it is used by
//! one thread at a time and ends with all that is in it. [`Instance`], [`Func`],
//! [`Memory`], [`Table`] and [`Global`] are handles to what is in a store, which
//! is passed wherever they are used: a handle used with another store panics.
//!
//! **Functions of the host** are closures. [`Linker::func_wrap`] and
//! [`Func::wrap`] take their types from Rust, and compiled code calls them
//! directly. Before its parameters a closure may take a [`Caller`], through which
//! it gets at the store's data and at the memory of whoever calls.
//!
//! **Errors** are one type, [`Error`]. A program that fails has a [`Trap`] with a
//! [`Backtrace`], or what a host function returned, which
//! [`Error::downcast_ref`] gives back by its type. Panics of host functions go on
//! where the program was called.
//!
//! **Limits.** [`Store::limiter`] says how much memory a program may have,
//! [`Config::max_wasm_stack`] how much stack, and
//! [`Store::set_epoch_deadline`] for how long it may run.
//!
//! **Profilers** see the functions of a module by their names when the agents in
//! [`agents`] are put into the [`Config`]. Nothing else needs to be done, and
//! without them nothing is written.
//!
//! **Programs** that want files, clocks and arguments get them from [`wasi`].
//!
//! The folder `examples` of the repository has two whole embedders, a host of
//! plugins and one that profiles them.
//!
//! # Cargo features
//!
//! All are on by default.
//!
//! - `anyhow`: host functions may return `anyhow::Error`, of which nothing is
//!   lost.
//! - `profiling`: the agents.
//! - `wat`: modules may be given as text.

#![deny(unsafe_code)]

mod config;
mod engine;

pub use config::Config;
pub use wasmprof_compile::Strategy;
pub use wasmprof_image::{AgentError, LoadedImage, ProfilingAgent};
pub use wasmprof_runtime::{
    AsContext, AsContextMut, Backtrace, BoxError, Caller, Engine, Error, Exception, ExnRef,
    ExportType, Extern, ExternRef, ExternType, Frame, Func, FuncType, Global, GlobalType, HeapType,
    HostResult, ImportType, IndexType, Instance, IntoFunc, LimitError, LinkError, Linker, Memory,
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
