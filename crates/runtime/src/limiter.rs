//! Asking the limiter of a store, before things are made and before they grow.
//!
//! Memories and tables know nothing of it: their handles, the instructions that
//! grow them and linking come here first.

use crate::host::settle_or_end;
use crate::limits::DEFAULT_EXCEPTION_BYTES;
use crate::store::{Store, StoreInner, StoreOpaque};
use crate::vm::{LinearMemory, TableStorage, VmctxHead};
use crate::{AsContextMut, BoxError, Error, LimitError, LinkError, ResourceLimiter, TrapCode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use wasmprof_module::{MemoryType, TableType};

/// Finds the limiter in the data of a store.
pub(crate) type FindLimiter<T> = Box<dyn (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync>;

/// [`limiter_of`] for the type of a store's data.
pub(crate) type LimiterOf = unsafe fn(*mut StoreOpaque) -> NonNull<dyn ResourceLimiter>;

impl<T> Store<T> {
    /// Has a limiter in the store's data decide how much the programs in it may
    /// have, from now on. What they have already is not asked about.
    ///
    /// # Examples
    ///
    /// ```
    /// use wasmprof_engine::*;
    ///
    /// struct Data {
    ///     limits: StoreLimits,
    ///     // and whatever else host functions need
    /// }
    ///
    /// let engine = Engine::new(Config::new())?;
    /// let limits = StoreLimitsBuilder::new().memory_size(10 * 65_536).build();
    /// let mut store = Store::new(&engine, Data { limits });
    /// store.limiter(|data| &mut data.limits);
    ///
    /// let wat = r#"(module
    ///     (memory 1)
    ///     (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    /// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
    /// let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow")?;
    /// assert_eq!(grow.call(&mut store, 9)?, 1);
    /// assert_eq!(grow.call(&mut store, 1)?, -1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn limiter(
        &mut self,
        find: impl (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync + 'static,
    ) {
        let inner = self.as_context_mut().inner;
        inner.hooks.limiter = Some(Box::new(find));
        inner.opaque.limiter = Some(limiter_of::<T>);
    }
}

/// The limiter of a store.
///
/// # Safety
///
/// The store must have data of type `T` and a limiter, and nothing else may use
/// it for as long as the limiter is used.
unsafe fn limiter_of<T>(store: *mut StoreOpaque) -> NonNull<dyn ResourceLimiter> {
    // SAFETY: by the contract.
    let inner = unsafe { &mut *store.cast::<StoreInner<T>>() };
    let find = inner.hooks.limiter.as_mut().expect("it was set together with this function");
    let limiter: *mut (dyn ResourceLimiter + '_) = find(&mut inner.data);
    // SAFETY: only the lifetime changes; the caller answers for it.
    unsafe {
        NonNull::new_unchecked(std::mem::transmute::<
            *mut (dyn ResourceLimiter + '_),
            *mut (dyn ResourceLimiter + 'static),
        >(limiter))
    }
}

/// What came of growing something.
enum Growth {
    /// It has grown; its size before.
    Done(u64),
    /// It could not, or must not; for the embedder, why.
    Refused(Error),
    /// The limiter wants the program to end.
    Failed(Error),
}

impl StoreOpaque {
    fn with_limiter<R>(&mut self, ask: impl FnOnce(&mut dyn ResourceLimiter) -> R) -> Option<R> {
        let limiter_of = self.limiter?;
        // SAFETY: the store is borrowed mutably for as long, and it is the
        // function for its type of data.
        Some(ask(unsafe { limiter_of(self).as_mut() }))
    }

    /// Whether there may be one instance more.
    pub(crate) fn allow_instance(&mut self) -> Result<(), Error> {
        let requested = self.instances.len() + 1;
        let limit = self.with_limiter(|limiter| limiter.instances()).unwrap_or(usize::MAX);
        if requested > limit {
            return Err(LimitError::Instances { requested, limit }.into());
        }
        Ok(())
    }

    /// How many bytes the exceptions of the store may take.
    pub(crate) fn exception_limit(&mut self) -> usize {
        let limit = self.with_limiter(|limiter| limiter.exception_bytes());
        limit.unwrap_or(DEFAULT_EXCEPTION_BYTES)
    }

    /// Whether there may be one memory more, of this type.
    pub(crate) fn allow_memory(&mut self, ty: MemoryType) -> Result<(), Error> {
        let requested = self.memories.len() + self.shared_memories.len() + 1;
        let size = bytes(&ty, ty.minimum);
        let most = ty.maximum.map(|pages| bytes(&ty, pages));
        let ask = |limiter: &mut dyn ResourceLimiter| {
            let limit = limiter.memories();
            if requested > limit {
                return Err(LimitError::Memories { requested, limit }.into());
            }
            if !limiter.memory_growing(0, size, most)? {
                let limit = limiter.memory_limit();
                return Err(LimitError::MemorySize { requested: size, limit }.into());
            }
            Ok(())
        };
        self.with_limiter(ask).unwrap_or(Ok(()))
    }

    /// Whether there may be one table more, of this type.
    pub(crate) fn allow_table(&mut self, ty: TableType) -> Result<(), Error> {
        let requested = self.tables.len() + 1;
        let size = elements(ty.minimum);
        let ask = |limiter: &mut dyn ResourceLimiter| {
            let limit = limiter.tables();
            if requested > limit {
                return Err(LimitError::Tables { requested, limit }.into());
            }
            if !limiter.table_growing(0, size, ty.maximum.map(elements))? {
                let limit = limiter.table_limit();
                return Err(LimitError::TableElements { requested: size, limit }.into());
            }
            Ok(())
        };
        self.with_limiter(ask).unwrap_or(Ok(()))
    }

    /// Grows a memory of this store for the embedder; the pages before.
    pub(crate) fn grow_memory(
        &mut self,
        memory: NonNull<LinearMemory>,
        pages: u64,
    ) -> Result<u64, Error> {
        self.try_grow_memory(memory, pages).for_embedder()
    }

    /// Grows a table of this store for the embedder; the elements before.
    pub(crate) fn grow_table(
        &mut self,
        table: NonNull<TableStorage>,
        count: u64,
        init: u64,
    ) -> Result<u64, Error> {
        self.try_grow_table(table, count, init).for_embedder()
    }

    fn try_grow_memory(&mut self, memory: NonNull<LinearMemory>, pages: u64) -> Growth {
        // SAFETY: the store keeps its memories. Other threads may have this one,
        // too, if it is shared.
        let memory = unsafe { memory.as_ref() };
        let (ty, from) = (memory.ty(), memory.pages());
        let [current, desired] = [from, from.saturating_add(pages)].map(|it| bytes(&ty, it));
        let most = ty.maximum.map(|pages| bytes(&ty, pages));
        let asked = self.with_limiter(|limiter| {
            let allowed = limiter.memory_growing(current, desired, most)?;
            Ok((allowed, limiter.memory_limit()))
        });
        match asked {
            Some(Err(error)) => return Growth::Failed(error),
            Some(Ok((false, limit))) => {
                return Growth::Refused(
                    LimitError::MemorySize { requested: desired, limit }.into(),
                );
            }
            Some(Ok((true, _))) | None => {}
        }
        if let Some(before) = memory.grow(pages) {
            return Growth::Done(before);
        }
        let error = LinkError::CannotGrow { from, by: pages }.into();
        match self.with_limiter(|limiter| limiter.memory_grow_failed(&error)) {
            Some(Err(error)) => Growth::Failed(error),
            _ => Growth::Refused(error),
        }
    }

    fn try_grow_table(
        &mut self,
        mut table: NonNull<TableStorage>,
        count: u64,
        init: u64,
    ) -> Growth {
        // SAFETY: the store keeps its tables and is borrowed mutably.
        let table = unsafe { table.as_mut() };
        let TableType { minimum: from, maximum, .. } = table.ty();
        let desired = elements(from.saturating_add(count));
        let asked = self.with_limiter(|limiter| {
            let allowed = limiter.table_growing(elements(from), desired, maximum.map(elements))?;
            Ok((allowed, limiter.table_limit()))
        });
        match asked {
            Some(Err(error)) => return Growth::Failed(error),
            Some(Ok((false, limit))) => {
                let error = LimitError::TableElements { requested: desired, limit };
                return Growth::Refused(error.into());
            }
            Some(Ok((true, _))) | None => {}
        }
        if let Some(before) = table.grow(count, init) {
            return Growth::Done(before);
        }
        let error = LinkError::CannotGrow { from, by: count }.into();
        match self.with_limiter(|limiter| limiter.table_grow_failed(&error)) {
            Some(Err(error)) => Growth::Failed(error),
            _ => Growth::Refused(error),
        }
    }

    /// What an instruction gives; `code` is the trap for a growth that failed
    /// if the limiter wants one.
    fn for_program(&mut self, growth: Growth, code: TrapCode) -> Result<u64, BoxError> {
        match growth {
            Growth::Done(before) => Ok(before),
            Growth::Failed(error) => Err(error.into()),
            Growth::Refused(_) => {
                match self.with_limiter(|limiter| limiter.trap_on_grow_failure()) {
                    Some(true) => Err(code.into()),
                    _ => Ok(FAILED),
                }
            }
        }
    }
}

impl Growth {
    fn for_embedder(self) -> Result<u64, Error> {
        match self {
            Growth::Done(before) => Ok(before),
            Growth::Refused(error) | Growth::Failed(error) => Err(error),
        }
    }
}

/// A size after a failed growth, as the instruction gives it.
const FAILED: u64 = u64::MAX;

/// `memory.grow`: the pages before, or -1.
///
/// # Safety
///
/// `vmctx` must be the one that compiled code passes, which has recorded its
/// exit, and the memory must be of its store.
pub(crate) unsafe fn memory_grow(
    vmctx: *mut VmctxHead,
    memory: NonNull<LinearMemory>,
    pages: u64,
) -> u64 {
    let grow = || {
        // SAFETY: compiled code runs for a store that is borrowed mutably by
        // whoever entered it, and is waiting for this call.
        let store = unsafe { &mut *(*vmctx).store.cast::<StoreOpaque>() };
        let growth = store.try_grow_memory(memory, pages);
        store.for_program(growth, TrapCode::MemoryGrowthFailed)
    };
    // SAFETY: by the contract; nothing is left to drop.
    unsafe { settle_or_end(vmctx, catch_unwind(AssertUnwindSafe(grow))) }
}

/// `table.grow`: the elements before, or -1.
///
/// # Safety
///
/// As [`memory_grow`], for a table and a reference of the store.
pub(crate) unsafe fn table_grow(
    vmctx: *mut VmctxHead,
    table: NonNull<TableStorage>,
    count: u64,
    init: u64,
) -> u64 {
    let grow = || {
        // SAFETY: as above.
        let store = unsafe { &mut *(*vmctx).store.cast::<StoreOpaque>() };
        let growth = store.try_grow_table(table, count, init);
        store.for_program(growth, TrapCode::TableGrowthFailed)
    };
    // SAFETY: by the contract; nothing is left to drop.
    unsafe { settle_or_end(vmctx, catch_unwind(AssertUnwindSafe(grow))) }
}

/// A size of a memory for its limiter.
fn bytes(ty: &MemoryType, pages: u64) -> usize {
    usize::try_from(pages.saturating_mul(ty.page_size())).unwrap_or(usize::MAX)
}

/// A size of a table for its limiter.
fn elements(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
