//! Runs compiled WebAssembly.
//!
//! From outside in: [`Store`] owns everything that a program has at run time,
//! [`Linker`] and [`Instance`] bring modules to life in it, and [`Func`],
//! [`Memory`], [`Table`] and [`Global`] are handles to what is in there; a
//! [`SharedMemory`] may be in several stores at once. Below them, `vm` has what
//! compiled code touches directly, `code` maps images and finds them again by
//! address, and `sys` is the operating system and the processor.
//!
//! Code comes here as a [`CodeImage`](wasmprof_image::CodeImage), from the
//! compiler that an [`Engine`] is set up with. Making one is left to others, as
//! is choosing profiling agents.

/// What `generations` is built on; its test puts `loom` in the place of this.
mod atomic {
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use std::thread::yield_now;
}
mod call;
mod code;
#[cfg(doctest)]
mod does_not_compile;
mod engine;
mod epoch;
mod error;
mod exception;
mod externref;
mod few;
mod func;
mod generations;
mod global;
mod host;
mod host_error;
mod instance;
mod limiter;
mod limits;
mod linker;
mod memory;
mod module;
mod shared_memory;
mod source;
mod store;
mod sys;
mod table;
mod tag;
mod typed;
mod v128;
mod value;
mod vm;
mod walk;

pub use engine::{Compile, Engine, EngineConfig, RuntimeConfig};
pub use epoch::UpdateDeadline;
pub use error::{Backtrace, BoxError, Error, Frame, LinkError, MemoryAccessError, Trap};
pub use exception::{Exception, ExnRef};
pub use externref::ExternRef;
pub use func::Func;
pub use global::Global;
pub use host::{HostFunc, HostResult, IntoFunc};
pub use instance::{Extern, Instance};
pub use limits::{LimitError, ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use linker::Linker;
pub use memory::Memory;
pub use module::{ExportType, ImportType, Module};
pub use shared_memory::SharedMemory;
pub use store::{AsContext, AsContextMut, Caller, Store, StoreMut, StoreRef};
pub use table::Table;
pub use tag::Tag;
pub use typed::{TypedFunc, WasmParams, WasmResults, WasmTy};
pub use v128::V128;
pub use value::Val;
pub use vm::WaitResult;
pub use wasmprof_image::TrapCode;
pub use wasmprof_module::{
    ExternType, FuncType, GlobalType, HeapType, IndexType, MemoryType, RefType, TableType, TypeId,
    ValType,
};

/// Whether this process may reserve the address space that guarded memories
/// take; a limit on address space can forbid it.
pub fn can_reserve_guards() -> bool {
    vm::can_reserve_guards()
}
