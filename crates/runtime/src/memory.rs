//! Handles to linear memories that belong to a store, and so to one thread at a
//! time. Shared ones are left to `shared_memory`.

use crate::store::{StoreId, StoreInner, StoreOpaque};
use crate::vm::LinearMemory;
use crate::{AsContext, AsContextMut, Error, LinkError, MemoryAccessError, StoreMut, StoreRef};
use std::ptr::NonNull;
use wasmprof_module::MemoryType;

/// A linear memory of a store. It is never a shared one; see
/// [`SharedMemory`](crate::SharedMemory).
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
    /// A handle to a memory that is not shared, which the store owns.
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
    /// If the type is that of a shared memory or of none that there can be, the
    /// store's limiter does not allow it, or the system does not give the
    /// address space.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        if ty.shared {
            let why = "a shared memory belongs to no store; there is `SharedMemory` for it";
            return Err(LinkError::MemoryType { ty, why }.into());
        }
        ty.validate().map_err(|why| LinkError::MemoryType { ty, why })?;
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

    /// The contents, to change them.
    fn bytes_mut<'a, T>(&self, store: &'a mut StoreInner<T>) -> &'a mut [u8] {
        let memory = self.get(store);
        // SAFETY: the front of the mapping is accessible and initialised. The
        // memory is not shared, so only its store has it, which is borrowed
        // mutably as long.
        unsafe { std::slice::from_raw_parts_mut(memory.base(), memory.len() as usize) }
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
        self.get(store.as_context().inner).len() as usize
    }

    /// The contents.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreRef<'a, T>>) -> &'a [u8] {
        let memory = self.get(store.into().inner);
        // SAFETY: the front of the mapping is accessible and initialised. The
        // memory is not shared, so only its store has it, which is borrowed as
        // long.
        unsafe { std::slice::from_raw_parts(memory.base(), memory.len() as usize) }
    }

    /// The contents.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreMut<'a, T>>) -> &'a mut [u8] {
        self.bytes_mut(store.into().inner)
    }

    /// The contents, and the embedder's data beside them.
    pub fn data_and_store_mut<'a, T: 'a>(
        &self,
        store: impl Into<StoreMut<'a, T>>,
    ) -> (&'a mut [u8], &'a mut T) {
        let inner = store.into().inner;
        let bytes: *mut [u8] = self.bytes_mut(inner);
        // SAFETY: the bytes are not part of `data`, and both are borrowed from
        // a store that is borrowed mutably as long.
        (unsafe { &mut *bytes }, &mut inner.data)
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
        let data = self.data(&store);
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
        let data = self.data_mut(store.as_context_mut());
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
