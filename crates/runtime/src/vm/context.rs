//! The fixed structures, checked against the offsets that the compiler uses.

use std::mem::{offset_of, size_of};
use std::sync::atomic::AtomicU64;
use wasmprof_image::abi;
use wasmprof_module::TypeId;

/// What changes at each entry into compiled code; one for each store.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreContext {
    pub(crate) stack_limit: usize,
    pub(crate) exit_fp: usize,
    pub(crate) exit_sp: usize,
    /// 0 while no compiled code of the store has been entered.
    pub(crate) handler_sp: usize,
    pub(crate) handler_fp: usize,
    pub(crate) handler_pc: usize,
    /// What the entry outside the innermost one left here; for the runtime.
    pub(crate) outer: *const StoreContext,
}

impl StoreContext {
    pub(crate) const fn new() -> Self {
        StoreContext {
            stack_limit: 0,
            exit_fp: 0,
            exit_sp: 0,
            handler_sp: 0,
            handler_fp: 0,
            handler_pc: 0,
            outer: std::ptr::null(),
        }
    }
}

/// The deadline of a store; it follows its [`StoreContext`] and, other than
/// that, is not restored when an entry is left.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Epoch {
    /// The counter of the engine, which the store keeps alive.
    pub(crate) counter: *const AtomicU64,
    pub(crate) deadline: u64,
}

/// The head of every vmctx.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct VmctxHead {
    pub(crate) store: *mut StoreContext,
    pub(crate) builtins: *const usize,
    /// Null in the vmctx that stands for "no instance".
    pub(crate) instance: *mut super::InstanceData,
}

/// An imported function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct FunctionImport {
    pub(crate) code: usize,
    pub(crate) environment: usize,
    pub(crate) kind: u64,
}

/// What a function reference points to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct FuncRef {
    pub(crate) code: usize,
    pub(crate) vmctx: usize,
    pub(crate) type_id: TypeId,
    pub(crate) kind: u32,
}

impl FuncRef {
    /// How the function is linked to an import.
    ///
    /// # Safety
    ///
    /// The store of the function must be alive.
    pub(crate) unsafe fn as_import(&self) -> FunctionImport {
        if self.kind == abi::kind::HOST {
            // SAFETY: for this kind, the store keeps a `HostFunction` there.
            let host = unsafe { &*(self.vmctx as *const HostFunction) };
            FunctionImport {
                code: host.code,
                environment: host.environment,
                kind: u64::from(abi::kind::HOST),
            }
        } else {
            FunctionImport {
                code: self.code,
                environment: self.vmctx,
                kind: u64::from(abi::kind::WASM),
            }
        }
    }
}

/// What stands in place of a vmctx behind a reference to a host function.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostFunction {
    pub(crate) code: usize,
    pub(crate) environment: usize,
    pub(crate) caller: *mut VmctxHead,
}

/// An argument or result at the entry to compiled code, or the value of a
/// global. Narrow values are in the low bytes.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Value(u128);

impl Value {
    pub(crate) fn from_bits(bits: u128) -> Value {
        Value(bits)
    }

    pub(crate) fn bits(self) -> u128 {
        self.0
    }

    /// A value that has no more than 64 bits.
    pub(crate) fn from_word(word: u64) -> Value {
        Value(u128::from(word))
    }

    /// The low 64 bits: all of a value that is not a vector.
    pub(crate) fn word(&self) -> u64 {
        // SAFETY: inside the value, in which the low bytes are the first ones.
        unsafe { (&raw const self.0).cast::<u64>().read() }
    }

    /// The low 32 bits. Nothing else is read, for what compiled code has just
    /// written with this width is slow to read with another.
    pub(crate) fn half_word(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (&raw const self.0).cast::<u32>().read() }
    }
}

const _: () = {
    use abi::{func_ref, function_import, host_function, store_context, vmctx};
    assert!(offset_of!(StoreContext, stack_limit) as u32 == store_context::STACK_LIMIT);
    assert!(offset_of!(StoreContext, exit_fp) as u32 == store_context::EXIT_FP);
    assert!(offset_of!(StoreContext, exit_sp) as u32 == store_context::EXIT_SP);
    assert!(offset_of!(StoreContext, handler_sp) as u32 == store_context::HANDLER_SP);
    assert!(offset_of!(StoreContext, handler_fp) as u32 == store_context::HANDLER_FP);
    assert!(offset_of!(StoreContext, handler_pc) as u32 == store_context::HANDLER_PC);
    let epoch = size_of::<StoreContext>();
    assert!((epoch + offset_of!(Epoch, counter)) as u32 == store_context::EPOCH_COUNTER);
    assert!((epoch + offset_of!(Epoch, deadline)) as u32 == store_context::EPOCH_DEADLINE);
    assert!(offset_of!(VmctxHead, store) as u32 == vmctx::STORE_CONTEXT);
    assert!(offset_of!(VmctxHead, builtins) as u32 == vmctx::BUILTINS);
    assert!(offset_of!(VmctxHead, instance) as u32 == vmctx::INSTANCE);
    assert!(size_of::<VmctxHead>() as u32 == vmctx::HEAD_SIZE);
    assert!(offset_of!(FunctionImport, code) as u32 == function_import::CODE);
    assert!(offset_of!(FunctionImport, environment) as u32 == function_import::ENVIRONMENT);
    assert!(offset_of!(FunctionImport, kind) as u32 == function_import::KIND);
    assert!(size_of::<FunctionImport>() as u32 == function_import::SIZE);
    assert!(offset_of!(FuncRef, code) as u32 == func_ref::CODE);
    assert!(offset_of!(FuncRef, vmctx) as u32 == func_ref::VMCTX);
    assert!(offset_of!(FuncRef, type_id) as u32 == func_ref::TYPE_ID);
    assert!(offset_of!(FuncRef, kind) as u32 == func_ref::KIND);
    assert!(size_of::<FuncRef>() as u32 == func_ref::SIZE);
    assert!(offset_of!(HostFunction, code) as u32 == host_function::CODE);
    assert!(offset_of!(HostFunction, environment) as u32 == host_function::ENVIRONMENT);
    assert!(offset_of!(HostFunction, caller) as u32 == host_function::CALLER);
    assert!(size_of::<HostFunction>() as u32 == host_function::SIZE);
    assert!(size_of::<Value>() as u32 == abi::VALUE_SIZE);
    assert!(size_of::<Value>() as u32 == abi::GLOBAL_SIZE);
};
