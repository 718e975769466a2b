//! Handles to linear memories.

use crate::store::{StoreId, StoreInner, StoreOpaque};
use crate::vm::LinearMemory;
use crate::{AsContext, AsContextMut, Error, LinkError, MemoryAccessError, StoreMut, StoreRef};
use std::ptr::NonNull;
use wasmprof_module::{ExternType, MemoryType};

/// The most pages that a memory with 32-bit addresses has.
const MAX_PAGES: u64 = 1 << 16;

/// A linear memory of a store.
///
/// All methods panic if they are given another store.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module
///     (memory (export "memory") 1 3)
///     (data (i32.const 8) "hello, world"))"#;
/// let mut store = Store::new(&engine, 0);
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
/// let memory = instance.get_memory(&mut store, "memory").unwrap();
///
/// // In place, for as long as nothing runs ...
/// assert_eq!(&memory.data(&store)[8..13], b"hello");
/// memory.data_mut(&mut store)[8] = b'j';
/// // ... or copied, with a check of the range.
/// let mut buffer = [0; 5];
/// memory.read(&store, 8, &mut buffer)?;
/// assert_eq!(&buffer, b"jello");
/// assert!(memory.write(&mut store, 65_536, b"too far").is_err());
///
/// // Both what the program and what the embedder has, at once.
/// let (bytes, count) = memory.data_and_store_mut(&mut store);
/// *count = bytes.iter().filter(|byte| **byte != 0).count();
/// assert_eq!(*store.data(), 12);
///
/// assert_eq!(memory.grow(&mut store, 2)?, 1);
/// assert_eq!(memory.size(&store), 3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    store: StoreId,
    storage: NonNull<LinearMemory>,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    pub(crate) fn of(store: &StoreOpaque, storage: NonNull<LinearMemory>) -> Memory {
        Memory { store: store.id, storage }
    }

    pub(crate) fn current_type(&self, store: &StoreOpaque) -> MemoryType {
        // SAFETY: the store keeps it and is borrowed as long.
        unsafe { self.storage(store).as_ref() }.ty()
    }

    /// What the handle stands for; panics if that is in another store.
    pub(crate) fn storage(&self, store: &StoreOpaque) -> NonNull<LinearMemory> {
        store.check(self.store);
        self.storage
    }

    /// A new memory.
    ///
    /// # Errors
    ///
    /// If the memory is larger than any may be, its maximum is below its
    /// minimum, the store's limiter does not allow it, or the system does not
    /// give the address space.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        if ty.minimum > ty.maximum.unwrap_or(u64::MAX).min(MAX_PAGES) {
            return Err(LinkError::ImpossibleSize { ty: ExternType::Memory(ty) }.into());
        }
        store.allow_memory(ty)?;
        let memory = LinearMemory::new(ty, store.engine.guarded_memories())?;
        let storage = store.memories.add(memory);
        Ok(Memory::of(store, storage))
    }

    fn get<'a, T>(&self, store: &'a StoreInner<T>) -> &'a LinearMemory {
        store.opaque.check(self.store);
        // SAFETY: the store owns it and is borrowed as long.
        unsafe { self.storage.as_ref() }
    }

    fn get_mut<'a, T>(&self, store: &'a mut StoreInner<T>) -> &'a mut LinearMemory {
        store.opaque.check(self.store);
        // SAFETY: the store owns it and is borrowed mutably as long.
        unsafe { &mut *self.storage.as_ptr() }
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    /// Its type; the minimum is the current size.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        self.current_type(&store.as_context().inner.opaque)
    }

    /// The size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.get(store.as_context().inner).pages()
    }

    /// The size in bytes.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        self.get(store.as_context().inner).data().len()
    }

    /// The contents.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreRef<'a, T>>) -> &'a [u8] {
        self.get(store.into().inner).data()
    }

    /// The contents.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreMut<'a, T>>) -> &'a mut [u8] {
        self.get_mut(store.into().inner).data_mut()
    }

    /// The contents, and the embedder's data beside them.
    pub fn data_and_store_mut<'a, T: 'a>(
        &self,
        store: impl Into<StoreMut<'a, T>>,
    ) -> (&'a mut [u8], &'a mut T) {
        let inner = store.into().inner;
        inner.opaque.check(self.store);
        // SAFETY: the memory is not part of `data`, and both are borrowed from
        // a store that is borrowed mutably as long.
        let memory = unsafe { &mut *self.storage.as_ptr() };
        (memory.data_mut(), &mut inner.data)
    }

    /// Copies `buffer.len()` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// If they are not all inside the memory.
    pub fn read(
        &self,
        store: impl AsContext,
        offset: usize,
        buffer: &mut [u8],
    ) -> Result<(), MemoryAccessError> {
        let store = store.as_context();
        let data = self.get(store.inner).data();
        let end = offset.checked_add(buffer.len()).ok_or(MemoryAccessError)?;
        buffer.copy_from_slice(data.get(offset..end).ok_or(MemoryAccessError)?);
        Ok(())
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Errors
    ///
    /// If there is no room for all of them; then nothing is written.
    pub fn write(
        &self,
        mut store: impl AsContextMut,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), MemoryAccessError> {
        let store = store.as_context_mut();
        let data = self.get_mut(store.inner).data_mut();
        let end = offset.checked_add(bytes.len()).ok_or(MemoryAccessError)?;
        data.get_mut(offset..end).ok_or(MemoryAccessError)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Grows by `pages` and returns the size before.
    ///
    /// # Errors
    ///
    /// If it cannot grow so far, or the store's limiter does not allow it.
    pub fn grow(&self, mut store: impl AsContextMut, pages: u64) -> Result<u64, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let storage = self.storage(store);
        store.grow_memory(storage, pages)
    }
}
