//! What compiled code touches directly: the structures that
//! [`abi`](wasmprof_image::abi) describes, and the functions it calls.

mod builtins;
mod context;
mod instance;
mod memory;
mod table;

pub(crate) use builtins::BUILTINS;
pub(crate) use context::{
    Epoch, FuncRef, FunctionImport, HostFunction, StoreContext, Value, VmctxHead,
};
pub(crate) use instance::{InstanceData, Vmctx};
pub(crate) use memory::{LinearMemory, MemoryImage, can_reserve_guards};
pub(crate) use table::TableStorage;
