//! What compiled code touches directly: the structures that
//! [`abi`](wasmprof_image::abi) describes, and the functions it calls.

mod atomic;
mod builtins;
mod context;
mod exception;
mod instance;
mod memory;
mod parking;
mod table;

pub(crate) use atomic::wait_timeout;
pub(crate) use builtins::BUILTINS;
pub(crate) use context::{
    Epoch, FuncRef, FunctionImport, HostFunction, StoreContext, Value, VmctxHead,
};
pub(crate) use exception::{ExceptionData, Exceptions, TagData, is_exception};
pub(crate) use instance::{InstanceData, Vmctx};
pub(crate) use memory::{LinearMemory, MemoryImage, can_reserve_guards};
pub(crate) use parking::Interrupt;
pub use parking::WaitResult;
pub(crate) use table::TableStorage;
