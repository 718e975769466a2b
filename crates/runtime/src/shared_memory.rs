//! Handles to shared memories.
//!
//! A shared memory is of an engine and not of a store: any number of stores, on
//! as many threads, may have it at once. That is why there are no slices of its
//! contents as for [`Memory`](crate::Memory), and why handles own it.

use crate::vm::{Interrupt, LinearMemory, WaitResult};
use crate::{Engine, Error, LinkError, Trap};
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use wasmprof_module::MemoryType;

/// A linear memory that several threads may use at once. Cloning gives a handle
/// to the same one.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let module = Module::new(&engine, r#"(module
///     (import "" "" (memory 1 1 shared))
///     (func (export "count") (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 1)))))"#)?;
/// let memory = SharedMemory::new(&engine, MemoryType::new(1, Some(1)).shared())?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             // A store for each thread, and one memory in all of them.
///             let mut store = Store::new(&engine, ());
///             let instance = Instance::new(&mut store, &module, &[memory.clone().into()])?;
///             instance.get_typed_func::<(), ()>(&mut store, "count")?.call(&mut store, ())
///         });
///     }
/// });
/// // SAFETY: four bytes inside the memory, aligned, and accessed atomically.
/// let count = unsafe { AtomicU32::from_ptr(memory.data()[8].get().cast()) };
/// assert_eq!(count.load(Ordering::SeqCst), 4);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    memory: LinearMemory,
}

impl SharedMemory {
    /// A new memory for stores of `engine`.
    ///
    /// # Errors
    ///
    /// If the type is not that of a shared memory, or the system does not give
    /// the address space.
    pub fn new(engine: &Engine, ty: MemoryType) -> Result<SharedMemory, Error> {
        if !ty.shared {
            return Err(LinkError::MemoryType { ty, why: "it is not shared" }.into());
        }
        let memory = LinearMemory::new(ty, engine.guarded_memories())?;
        Ok(SharedMemory { inner: Arc::new(Inner { engine: engine.clone(), memory }) })
    }

    /// The engine that it was made for.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// What stores point to; handles keep it.
    pub(crate) fn storage(&self) -> NonNull<LinearMemory> {
        NonNull::from(&self.inner.memory)
    }

    /// Its type; the minimum is the current size.
    pub fn ty(&self) -> MemoryType {
        self.inner.memory.ty()
    }

    /// The size in pages.
    pub fn size(&self) -> u64 {
        self.inner.memory.pages()
    }

    /// The size in bytes. It may be larger a moment later, and is never smaller.
    pub fn data_size(&self) -> usize {
        self.inner.memory.len() as usize
    }

    /// The contents. Other threads may change them at any time, so bytes are to
    /// be accessed atomically, for example by
    /// [`AtomicU8::from_ptr`](std::sync::atomic::AtomicU8::from_ptr).
    pub fn data(&self) -> &[UnsafeCell<u8>] {
        let memory = &self.inner.memory;
        // SAFETY: the front of the mapping is accessible, initialised, and stays
        // so while there is a handle; the cells say that it changes.
        unsafe { std::slice::from_raw_parts(memory.base().cast(), memory.len() as usize) }
    }

    /// Grows by `pages` and returns the size before.
    ///
    /// # Errors
    ///
    /// If it cannot grow so far.
    pub fn grow(&self, pages: u64) -> Result<u64, Error> {
        let from = self.size();
        self.inner
            .memory
            .grow(pages)
            .ok_or_else(|| LinkError::CannotGrow { from, by: pages }.into())
    }

    /// Wakes `count` threads that wait at `address`, or all there are if they
    /// are fewer, as `memory.atomic.notify` does. Returns how many.
    ///
    /// # Errors
    ///
    /// If the address is not a multiple of 4, or outside the memory.
    pub fn atomic_notify(&self, address: u64, count: u32) -> Result<u32, Trap> {
        self.inner.memory.notify(address, 0, count).map_err(Trap::new)
    }

    /// Waits at `address`, if the value there is `expected`, until another
    /// thread notifies this one or the time is up, as `memory.atomic.wait32`
    /// does. No timeout is forever.
    ///
    /// # Errors
    ///
    /// If the address is not a multiple of 4, or outside the memory.
    pub fn atomic_wait32(
        &self,
        address: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let interrupt = Interrupt { every: None, ask: &mut || Ok(()) };
        self.inner.memory.wait32([address, 0], expected, timeout, interrupt).map_err(Trap::new)
    }

    /// As [`atomic_wait32`](SharedMemory::atomic_wait32), for a value of 64
    /// bits.
    ///
    /// # Errors
    ///
    /// If the address is not a multiple of 8, or outside the memory.
    pub fn atomic_wait64(
        &self,
        address: u64,
        expected: u64,
        timeout: Option<Duration>,
    ) -> Result<WaitResult, Trap> {
        let interrupt = Interrupt { every: None, ask: &mut || Ok(()) };
        self.inner.memory.wait64([address, 0], expected, timeout, interrupt).map_err(Trap::new)
    }

    /// Whether this is a handle to the same memory.
    pub fn same(a: &SharedMemory, b: &SharedMemory) -> bool {
        Arc::ptr_eq(&a.inner, &b.inner)
    }
}
