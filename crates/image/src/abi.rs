//! Where compiled code and the runtime find each other's data.
//!
//! Compiled code reaches everything through one pointer, its *vmctx*: the
//! memory of an instance. [`VmctxLayout`] computes its offsets from the module,
//! for the compiler, which emits loads and stores, and for the runtime, which
//! fills the memory in. The fixed structures are described by modules of
//! offsets, which the runtime checks against its own types at compile time.
//!
//! All offsets are in bytes; pointers have 8 bytes.
//!
//! ```text
//! vmctx ─► store context      what changes at each entry: stack limit, exit frame, handler;
//!                             and the deadline of the store
//!          builtins           addresses of the runtime's functions
//!          instance           for the runtime alone
//!          function imports   {code, environment, kind}
//!          global imports     address of the value
//!          memories           {base, address of the length}
//!          tables             {base, address of the length}
//!          tags               address of what stands for the tag
//!          globals            the values of the module's own globals
//!          type ids           the number of each function type
//!          function references
//! ```

use wasmprof_module::{IndexType, MemoryType, Module, PAGE_SIZE};

/// Bytes in a pointer.
pub const POINTER_SIZE: u32 = 8;
/// Bytes that hold the value of a global, of any type.
pub const GLOBAL_SIZE: u32 = 16;
/// Bytes that hold an argument or a result at the entry to compiled code.
pub const VALUE_SIZE: u32 = 16;

/// The store context: one for each store, pointed to by each vmctx.
pub mod store_context {
    /// The lowest stack address that compiled code may use.
    pub const STACK_LIMIT: u32 = 0;
    /// Frame pointer of the frame that last called the host.
    pub const EXIT_FP: u32 = 8;
    /// Stack pointer of the frame that last called the host.
    pub const EXIT_SP: u32 = 16;
    /// Stack pointer with which the innermost entry resumes after an error.
    pub const HANDLER_SP: u32 = 24;
    /// Frame pointer with which it resumes.
    pub const HANDLER_FP: u32 = 32;
    /// Address at which it resumes.
    pub const HANDLER_PC: u32 = 40;
    /// Pointer to the engine's counter of epochs, a `u64` that other threads
    /// increment. It never changes. Between it and the handler is a word of the
    /// runtime's own.
    pub const EPOCH_COUNTER: u32 = 56;
    /// The count at which compiled code is interrupted, a `u64`.
    pub const EPOCH_DEADLINE: u32 = 64;
}

/// The fixed head of a vmctx.
pub mod vmctx {
    /// Pointer to the store context.
    pub const STORE_CONTEXT: u32 = 0;
    /// Pointer to the array of builtins.
    pub const BUILTINS: u32 = 8;
    /// Pointer to the instance.
    pub const INSTANCE: u32 = 16;
    /// Bytes before the first array.
    pub const HEAD_SIZE: u32 = 24;
}

/// An imported function.
pub mod function_import {
    /// Address of the code.
    pub const CODE: u32 = 0;
    /// First argument: the callee's vmctx, or the host function's environment.
    pub const ENVIRONMENT: u32 = 8;
    /// How it is called, see [`kind`](super::kind).
    pub const KIND: u32 = 16;
    /// Bytes of one.
    pub const SIZE: u32 = 24;
}

/// How the function behind an import or a reference is called.
pub mod kind {
    /// Compiled code: `tail` convention, `(vmctx, arguments...)`.
    pub const WASM: u32 = 0;
    /// A host function: the system's convention,
    /// `(environment, caller's vmctx, arguments..., [address of results])`.
    pub const HOST: u32 = 1;
}

/// A memory, imported or not.
pub mod memory {
    /// Address of the first byte; never changes.
    pub const BASE: u32 = 0;
    /// Address of the current length in bytes, a `u64`. It never gets smaller,
    /// and that of a shared memory gets larger while compiled code runs.
    pub const LENGTH: u32 = 8;
    /// Bytes of one.
    pub const SIZE: u32 = 16;
}

/// Bytes of inaccessible address space behind what a memory of
/// [`Bounds::Guarded`] may grow to.
///
/// Hardly any access has a larger static offset: those are to statically known
/// addresses of large memories.
pub const GUARD_SIZE: u64 = 32 << 20;

/// How accesses to a memory are kept inside it: what the runtime reserves, and
/// the compiler relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// Every address that an index and a static offset can make is reserved,
    /// and inaccessible beyond the length: no access needs a check.
    Reserved,
    /// [`GUARD_SIZE`] bytes are inaccessible behind what the memory may grow
    /// to: an access that reaches no further than that from an index inside
    /// the memory needs no other check.
    Guarded,
    /// Nothing can be relied on: every access needs an exact check.
    Checked,
}

impl Bounds {
    /// The bounds of memories of type `ty` where memories have guards, if the
    /// type allows it, or have none.
    pub fn of(ty: &MemoryType, guarded_memories: bool) -> Bounds {
        // The accessible part of a memory ends with a page of the system. That
        // is the end of the memory only if pages of WebAssembly are as large.
        if !guarded_memories || ty.page_size() < PAGE_SIZE {
            return Bounds::Checked;
        }
        match ty.index {
            IndexType::I32 => Bounds::Reserved,
            IndexType::I64 => Bounds::Guarded,
        }
    }
}

/// A table, imported or not.
pub mod table {
    /// Address of the first element; never changes.
    pub const BASE: u32 = 0;
    /// Address of the current number of elements, a `u64`.
    pub const LENGTH: u32 = 8;
    /// Bytes of one.
    pub const SIZE: u32 = 16;
}

/// What a function reference points to.
pub mod func_ref {
    /// Address of the code, which is called as [`kind::WASM`](super::kind::WASM).
    pub const CODE: u32 = 0;
    /// The first argument.
    pub const VMCTX: u32 = 8;
    /// The number of its type, a `u32`.
    pub const TYPE_ID: u32 = 16;
    /// Whether `VMCTX` is a [`host_function`](super::host_function), a `u32`.
    pub const KIND: u32 = 20;
    /// Bytes of one.
    pub const SIZE: u32 = 24;
}

/// An exception, behind an `exnref`.
pub mod exception {
    /// The first of the values that it carries, each of
    /// [`VALUE_SIZE`](super::VALUE_SIZE) bytes.
    pub const VALUES: u32 = 16;
}

/// What takes the place of a vmctx when a host function is called through a
/// reference: the adapter for its type reads it.
pub mod host_function {
    /// Address of the code, which is called as [`kind::HOST`](super::kind::HOST).
    pub const CODE: u32 = 0;
    /// Its first argument.
    pub const ENVIRONMENT: u32 = 8;
    /// Its second argument: the vmctx to take for the caller's.
    pub const CALLER: u32 = 16;
    /// Bytes of one.
    pub const SIZE: u32 = 24;
}

macro_rules! builtins {
    ($($(#[$doc:meta])* $name:ident($($param:ident)*) $(-> $result:ident)?;)*) => {
        /// A function of the runtime that compiled code calls.
        ///
        /// All follow the system's calling convention. An index is an `i32`; a
        /// position, length or reference is an `i64`. Those that take a vmctx
        /// may trap, or look at the stack.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Builtin {
            $($(#[$doc])* $name,)*
        }

        impl Builtin {
            /// All builtins, in the order of their slots.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$name,)*];

            /// The parameters and the result.
            pub fn signature(self) -> (&'static [BuiltinType], Option<BuiltinType>) {
                match self {
                    $(Builtin::$name => (
                        &[$(BuiltinType::$param,)*],
                        None $(.or(Some(BuiltinType::$result)))?,
                    ),)*
                }
            }

            /// Where its address is in the array of builtins.
            pub fn offset(self) -> u32 {
                self as u32 * POINTER_SIZE
            }
        }
    };
}

/// The type of a parameter or result of a [`Builtin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltinType {
    /// The caller's vmctx.
    Vmctx,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `v128`
    V128,
}

builtins! {
    /// `memory.grow`: memory, pages; the old size, or -1.
    MemoryGrow(Vmctx I32 I64) -> I64;
    /// `memory.fill`: memory, start, value, length.
    MemoryFill(Vmctx I32 I64 I32 I64);
    /// `memory.copy`: destination memory, source memory, destination, source, length.
    MemoryCopy(Vmctx I32 I32 I64 I64 I64);
    /// `memory.init`: memory, segment, destination, source, length.
    MemoryInit(Vmctx I32 I32 I64 I64 I64);
    /// `memory.atomic.notify`: memory, index, static offset, how many threads
    /// at most; how many were woken.
    MemoryNotify(Vmctx I32 I64 I64 I32) -> I32;
    /// `memory.atomic.wait32`: memory, index, static offset, expected value,
    /// timeout in nanoseconds; how it ended.
    MemoryWait32(Vmctx I32 I64 I64 I32 I64) -> I32;
    /// `memory.atomic.wait64`, likewise.
    MemoryWait64(Vmctx I32 I64 I64 I64 I64) -> I32;
    /// `data.drop`: segment.
    DataDrop(Vmctx I32);
    /// `table.grow`: table, elements, first value; the old size, or -1.
    TableGrow(Vmctx I32 I64 I64) -> I64;
    /// `table.fill`: table, start, value, length.
    TableFill(Vmctx I32 I64 I64 I64);
    /// `table.copy`: destination table, source table, destination, source, length.
    TableCopy(Vmctx I32 I32 I64 I64 I64);
    /// `table.init`: table, segment, destination, source, length.
    TableInit(Vmctx I32 I32 I64 I64 I64);
    /// `elem.drop`: segment.
    ElemDrop(Vmctx I32);
    /// Makes an exception: tag; its address. The values are left to the caller.
    ExceptionNew(Vmctx I32) -> I64;
    /// Throws an exception. Does not return.
    Throw(Vmctx I64);
    /// The deadline of the store is reached; returns if the program may go on.
    EpochDeadline(Vmctx);
    /// `f32.ceil`, where the processor has no instruction for it.
    F32Ceil(F32) -> F32;
    /// `f32.floor`, likewise.
    F32Floor(F32) -> F32;
    /// `f32.trunc`, likewise.
    F32Trunc(F32) -> F32;
    /// `f32.nearest`, likewise.
    F32Nearest(F32) -> F32;
    /// `f64.ceil`, likewise.
    F64Ceil(F64) -> F64;
    /// `f64.floor`, likewise.
    F64Floor(F64) -> F64;
    /// `f64.trunc`, likewise.
    F64Trunc(F64) -> F64;
    /// `f64.nearest`, likewise.
    F64Nearest(F64) -> F64;
    /// `f32x4.ceil`, likewise.
    F32x4Ceil(V128) -> V128;
    /// `f32x4.floor`, likewise.
    F32x4Floor(V128) -> V128;
    /// `f32x4.trunc`, likewise.
    F32x4Trunc(V128) -> V128;
    /// `f32x4.nearest`, likewise.
    F32x4Nearest(V128) -> V128;
    /// `f64x2.ceil`, likewise.
    F64x2Ceil(V128) -> V128;
    /// `f64x2.floor`, likewise.
    F64x2Floor(V128) -> V128;
    /// `f64x2.trunc`, likewise.
    F64x2Trunc(V128) -> V128;
    /// `f64x2.nearest`, likewise.
    F64x2Nearest(V128) -> V128;
    /// `i8x16.shuffle`, likewise: two vectors, and for each byte of the result
    /// its position in both, below 32.
    I8x16Shuffle(V128 V128 V128) -> V128;
    /// `f32x4.relaxed_madd` rounded once, likewise.
    F32x4Fma(V128 V128 V128) -> V128;
    /// `f64x2.relaxed_madd` rounded once, likewise.
    F64x2Fma(V128 V128 V128) -> V128;
}

/// Offsets into the vmctx of the instances of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmctxLayout {
    imported_globals: u32,
    global_imports: u32,
    memories: u32,
    tables: u32,
    tags: u32,
    globals: u32,
    type_ids: u32,
    func_refs: u32,
    size: u32,
}

impl VmctxLayout {
    /// The layout for a module.
    pub fn new(module: &Module) -> VmctxLayout {
        let mut size = vmctx::HEAD_SIZE;
        let mut array = |count: usize, element: u32, align: u32| {
            let start = size.next_multiple_of(align);
            size = start + count as u32 * element;
            start
        };
        let functions = array(module.imported_functions as usize, function_import::SIZE, 8);
        debug_assert_eq!(functions, vmctx::HEAD_SIZE);
        let global_imports = array(module.imported_globals as usize, POINTER_SIZE, 8);
        let memories = array(module.memories.len(), memory::SIZE, 8);
        let tables = array(module.tables.len(), table::SIZE, 8);
        let tags = array(module.tags.len(), POINTER_SIZE, 8);
        let own_globals = module.globals.len() - module.imported_globals as usize;
        let globals = array(own_globals, GLOBAL_SIZE, 16);
        let type_ids = array(module.types.len(), 4, 4);
        let func_refs = array(module.escaping.len(), func_ref::SIZE, 8);
        VmctxLayout {
            imported_globals: module.imported_globals,
            global_imports,
            memories,
            tables,
            tags,
            globals,
            type_ids,
            func_refs,
            size,
        }
    }

    /// Bytes in the whole vmctx.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The [`function_import`] with this index.
    pub fn function_import(&self, index: u32) -> u32 {
        vmctx::HEAD_SIZE + index * function_import::SIZE
    }

    /// The pointer to the imported global with this index.
    pub fn global_import(&self, index: u32) -> u32 {
        debug_assert!(index < self.imported_globals);
        self.global_imports + index * POINTER_SIZE
    }

    /// The [`memory`] with this index.
    pub fn memory(&self, index: u32) -> u32 {
        self.memories + index * memory::SIZE
    }

    /// The [`table`] with this index.
    pub fn table(&self, index: u32) -> u32 {
        self.tables + index * table::SIZE
    }

    /// The pointer to what stands for the tag with this index.
    pub fn tag(&self, index: u32) -> u32 {
        self.tags + index * POINTER_SIZE
    }

    /// The value of the module's own global with this index, which counts the
    /// imported ones too.
    pub fn global(&self, index: u32) -> u32 {
        debug_assert!(index >= self.imported_globals);
        self.globals + (index - self.imported_globals) * GLOBAL_SIZE
    }

    /// The number of the function type with this index.
    pub fn type_id(&self, index: u32) -> u32 {
        self.type_ids + index * 4
    }

    /// The [`func_ref`] in this slot; see [`Module::escape_slot`].
    pub fn func_ref(&self, slot: u32) -> u32 {
        self.func_refs + slot * func_ref::SIZE
    }
}
