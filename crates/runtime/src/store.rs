//! The store: everything that a program has at run time, and the ways to it.
//!
//! What compiled code and handles point to is allocated one by one and stays
//! where it is until the store is dropped.

use crate::epoch::{self, CallBack};
use crate::host::HostFunc;
use crate::instance::Extern;
use crate::limiter::{FindLimiter, LimiterOf};
use crate::vm::{
    Epoch, ExceptionData, Exceptions, FuncRef, HostFunction, InstanceData, LinearMemory,
    StoreContext, TableStorage, TagData, Value, Vmctx, VmctxHead, is_exception,
};
use crate::{Engine, Error, LinkError, SharedMemory, walk};
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmprof_image::TrapCode;
use wasmprof_module::ValType;

/// Values of one type, each at an address that it keeps.
pub(crate) struct Arena<T> {
    items: Vec<NonNull<T>>,
}

impl<T> Arena<T> {
    fn new() -> Self {
        Arena { items: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn add(&mut self, item: impl Into<Box<T>>) -> NonNull<T> {
        let item = NonNull::from(Box::leak(item.into()));
        self.items.push(item);
        item
    }
}

impl<T> Arena<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        // SAFETY: what is in the list is alive.
        self.items.iter().map(|item| unsafe { item.as_ref() })
    }
}

impl<T> Drop for Arena<T> {
    fn drop(&mut self) {
        for item in self.items.drain(..) {
            // SAFETY: it came from a Box, and goes only here.
            drop(unsafe { Box::from_raw(item.as_ptr()) });
        }
    }
}

/// Which store something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoreId(u64);

/// How compiled code was left.
pub(crate) enum Pending {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

/// A store without the embedder's data. The context comes first: a pointer to
/// it is a pointer to the store.
#[repr(C)]
pub struct StoreOpaque {
    context: StoreContext,
    pub(crate) epoch: Epoch,
    /// What is done when the deadline is reached; `None` is a trap.
    pub(crate) on_epoch: Option<CallBack>,
    /// Who decides how much there may be; `None` is nobody.
    pub(crate) limiter: Option<LimiterOf>,
    pub(crate) id: StoreId,
    pub(crate) engine: Engine,
    pub(crate) pending: Option<Pending>,
    /// Stands for the caller's instance where there is none.
    no_instance: Option<Vmctx>,
    pub(crate) instances: Arena<InstanceData>,
    pub(crate) memories: Arena<LinearMemory>,
    /// By what instances point to.
    pub(crate) shared_memories: HashMap<NonNull<LinearMemory>, SharedMemory>,
    pub(crate) tables: Arena<TableStorage>,
    pub(crate) globals: Arena<Value>,
    pub(crate) tags: Arena<TagData>,
    exceptions: Exceptions,
    /// Those that the embedder has had a reference to.
    pub(crate) referenced_exceptions: HashSet<NonNull<ExceptionData>>,
    pub(crate) func_refs: Arena<FuncRef>,
    pub(crate) host_functions: Arena<HostFunction>,
    /// Kept because compiled code has pointers into them.
    pub(crate) host_funcs: Vec<Arc<HostFunc>>,
    pub(crate) externrefs: Vec<Arc<dyn Any + Send + Sync>>,
}

impl StoreOpaque {
    pub(crate) fn max_wasm_stack(&self) -> usize {
        self.engine.max_wasm_stack()
    }

    pub(crate) fn context(&mut self) -> *mut StoreContext {
        (&raw mut *self).cast()
    }

    /// The vmctx to pass to host functions that no instance calls.
    pub(crate) fn no_instance(&mut self) -> *mut VmctxHead {
        let head = VmctxHead {
            store: self.context(),
            builtins: std::ptr::null(),
            instance: std::ptr::null_mut(),
        };
        self.no_instance.get_or_insert_with(|| Vmctx::new(0, head)).head()
    }

    /// A new exception, whose values are zero.
    ///
    /// # Errors
    ///
    /// If the store has as many as it may have, and all are referred to.
    pub(crate) fn new_exception(
        &mut self,
        tag: NonNull<TagData>,
    ) -> Result<NonNull<ExceptionData>, TrapCode> {
        if self.exceptions.is_full() {
            let limit = self.exception_limit();
            self.free_exceptions(limit);
            if self.exceptions.bytes() >= limit {
                return Err(TrapCode::ExceptionsExhausted);
            }
        }
        Ok(self.exceptions.add(tag))
    }

    /// Frees the exceptions that nothing refers to any more.
    #[inline(never)]
    fn free_exceptions(&mut self, limit: usize) {
        let mut roots: Vec<usize> = Vec::new();
        roots.extend(self.referenced_exceptions.iter().map(|it| it.as_ptr() as usize));
        // Globals of the embedder's have no types here: all are looked at.
        roots.extend(self.globals.iter().map(|value| value.word() as usize));
        for instance in self.instances.iter() {
            let wasm = instance.module.wasm();
            for (index, global) in (0..).zip(&wasm.globals) {
                if is_exception(global.ty.content) {
                    // SAFETY: the place of a global of a live instance.
                    roots.push(unsafe { *instance.global(index).cast::<usize>() });
                }
            }
        }
        for table in self.tables.iter() {
            if is_exception(ValType::Ref(table.ty().element)) {
                roots.extend(table.elements().iter().map(|bits| *bits as usize));
            }
        }
        // SAFETY: the entries of this store are on this thread's stack, and all
        // that its compiled code works with is above this frame.
        unsafe {
            walk::each_word_since_entry(&self.context, |word| roots.push(word));
            self.exceptions.collect(roots, limit);
        }
    }

    /// Keeps a shared memory for as long as the store lives, and returns what
    /// instances may point to.
    pub(crate) fn keep_shared(
        &mut self,
        memory: SharedMemory,
    ) -> Result<NonNull<LinearMemory>, Error> {
        // Whether there is a guard, which code relies on, is for engines to say.
        if !Engine::same(memory.engine(), &self.engine) {
            return Err(LinkError::SharedMemoryOfOtherEngine.into());
        }
        let storage = memory.storage();
        self.shared_memories.entry(storage).or_insert(memory);
        Ok(storage)
    }

    /// The handle to a shared memory that the store keeps.
    pub(crate) fn shared_memory(&self, storage: NonNull<LinearMemory>) -> SharedMemory {
        self.shared_memories[&storage].clone()
    }

    /// Panics if something belongs to another store: using it here could reach
    /// memory that is gone.
    #[inline]
    #[track_caller]
    pub(crate) fn check(&self, id: StoreId) {
        assert!(self.id == id, "this belongs to another store");
    }
}

/// A store with the embedder's data behind what the runtime needs.
#[repr(C)]
pub(crate) struct StoreInner<T> {
    pub(crate) opaque: StoreOpaque,
    pub(crate) data: T,
    pub(crate) hooks: Hooks<T>,
}

/// Closures of the embedder's that are called while programs run.
pub(crate) struct Hooks<T> {
    pub(crate) epoch: Option<epoch::Callback<T>>,
    pub(crate) limiter: Option<FindLimiter<T>>,
}

// The deadline follows the context.
const _: () = assert!(offset_of!(StoreOpaque, epoch) == size_of::<StoreContext>());

/// Everything that a program has at run time, and data of the embedder's that
/// its host functions can reach.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// #[derive(Default)]
/// struct Session {
///     lines: Vec<String>,
/// }
///
/// let engine = Engine::new(Config::new())?;
/// let mut store = Store::new(&engine, Session::default());
/// let log = Func::wrap(&mut store, |mut caller: Caller<'_, Session>, number: i32| {
///     caller.data_mut().lines.push(format!("the program says {number}"));
/// })?;
/// let wat = r#"(module (import "" "" (func $log (param i32)))
///     (func $start (call $log (i32.const 7))) (start $start))"#;
/// Instance::new(&mut store, &Module::new(&engine, wat)?, &[log.into()])?;
/// assert_eq!(store.into_data().lines, ["the program says 7"]);
/// # Ok::<(), Error>(())
/// ```
///
/// A store can move to another thread between calls. What its handles stand for
/// goes with it: a handle used with another store, or after its own is gone,
/// panics.
pub struct Store<T> {
    inner: NonNull<StoreInner<T>>,
    owns: PhantomData<StoreInner<T>>,
    /// Host functions in the store rely on exactly this type of data.
    exact: PhantomData<fn(T) -> T>,
}

// SAFETY: a store owns what it points to. Closures and references of the host
// in it are Send and Sync, and compiled code runs only while the store is
// borrowed mutably.
unsafe impl<T: Send> Send for Store<T> {}
// SAFETY: a shared reference to a store only reads.
unsafe impl<T: Sync> Sync for Store<T> {}

impl<T> Store<T> {
    /// An empty store.
    pub fn new(engine: &Engine, data: T) -> Store<T> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let opaque = StoreOpaque {
            context: StoreContext::new(),
            epoch: Epoch { counter: engine.epoch_address(), deadline: 0 },
            on_epoch: None,
            limiter: None,
            id: StoreId(NEXT.fetch_add(1, Ordering::Relaxed)),
            engine: engine.clone(),
            pending: None,
            no_instance: None,
            instances: Arena::new(),
            memories: Arena::new(),
            shared_memories: HashMap::new(),
            tables: Arena::new(),
            globals: Arena::new(),
            tags: Arena::new(),
            exceptions: Exceptions::new(),
            referenced_exceptions: HashSet::new(),
            func_refs: Arena::new(),
            host_functions: Arena::new(),
            host_funcs: Vec::new(),
            externrefs: Vec::new(),
        };
        let hooks = Hooks { epoch: None, limiter: None };
        let inner = NonNull::from(Box::leak(Box::new(StoreInner { opaque, data, hooks })));
        Store { inner, owns: PhantomData, exact: PhantomData }
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.as_context().inner.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.as_context_mut().inner.data
    }

    /// Ends the store and gives the data back.
    pub fn into_data(self) -> T {
        let inner = self.inner;
        std::mem::forget(self);
        // SAFETY: it came from a Box, and the store that owned it is gone.
        let inner = unsafe { Box::from_raw(inner.as_ptr()) };
        inner.data
    }

    /// The engine that the store was made for.
    pub fn engine(&self) -> &Engine {
        &self.as_context().inner.opaque.engine
    }
}

impl<T> Drop for Store<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a Box, and goes only here or in `into_data`.
        drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
    }
}

impl<T: fmt::Debug> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("data", self.data()).finish_non_exhaustive()
    }
}

/// A shared borrow of a store.
pub struct StoreRef<'a, T> {
    pub(crate) inner: &'a StoreInner<T>,
}

/// A mutable borrow of a store.
pub struct StoreMut<'a, T> {
    pub(crate) inner: &'a mut StoreInner<T>,
}

impl<'a, T> StoreRef<'a, T> {
    /// The embedder's data.
    pub fn data(&self) -> &'a T {
        &self.inner.data
    }
}

impl<T> StoreMut<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.inner.data
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.data
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        &self.inner.opaque.engine
    }

    pub(crate) fn opaque(&mut self) -> &mut StoreOpaque {
        &mut self.inner.opaque
    }
}

/// Whatever gives shared access to a store.
pub trait AsContext {
    /// The embedder's data in it.
    type Data;

    /// The store.
    fn as_context(&self) -> StoreRef<'_, Self::Data>;
}

/// Whatever gives mutable access to a store.
pub trait AsContextMut: AsContext {
    /// The store.
    fn as_context_mut(&mut self) -> StoreMut<'_, Self::Data>;
}

impl<T> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreRef<'_, T> {
        // SAFETY: the store owns it, and is borrowed as long.
        StoreRef { inner: unsafe { self.inner.as_ref() } }
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreMut<'_, T> {
        // SAFETY: the store owns it, and is borrowed mutably as long.
        StoreMut { inner: unsafe { self.inner.as_mut() } }
    }
}

impl<T> AsContext for StoreRef<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreRef<'_, T> {
        StoreRef { inner: self.inner }
    }
}

impl<T> AsContext for StoreMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreRef<'_, T> {
        StoreRef { inner: self.inner }
    }
}

impl<T> AsContextMut for StoreMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreMut<'_, T> {
        StoreMut { inner: self.inner }
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreRef<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreMut<'_, T> {
        self.store.as_context_mut()
    }
}

impl<S: AsContext> AsContext for &S {
    type Data = S::Data;

    fn as_context(&self) -> StoreRef<'_, S::Data> {
        S::as_context(self)
    }
}

impl<S: AsContext> AsContext for &mut S {
    type Data = S::Data;

    fn as_context(&self) -> StoreRef<'_, S::Data> {
        S::as_context(self)
    }
}

impl<S: AsContextMut> AsContextMut for &mut S {
    fn as_context_mut(&mut self) -> StoreMut<'_, S::Data> {
        S::as_context_mut(self)
    }
}

impl<'a, S: AsContext> From<&'a S> for StoreRef<'a, S::Data> {
    fn from(store: &'a S) -> Self {
        store.as_context()
    }
}

impl<'a, S: AsContext> From<&'a mut S> for StoreRef<'a, S::Data> {
    fn from(store: &'a mut S) -> Self {
        S::as_context(store)
    }
}

impl<'a, S: AsContextMut> From<&'a mut S> for StoreMut<'a, S::Data> {
    fn from(store: &'a mut S) -> Self {
        store.as_context_mut()
    }
}

/// What a host function gets: the store, and the instance that called it. It is
/// a store in all that takes one.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let mut linker = Linker::new(&engine);
/// // A text in the memory of whoever calls.
/// linker.func_wrap(
///     "host",
///     "say",
///     |mut caller: Caller<'_, String>, at: u32, len: u32| -> Result<(), Error> {
///         let memory = caller.get_export("memory").and_then(Extern::into_memory);
///         let memory = memory.ok_or_else(|| Error::new("the module exports no memory"))?;
///         let mut bytes = vec![0; len as usize];
///         memory.read(&caller, at as usize, &mut bytes)?;
///         let text = String::from_utf8(bytes).map_err(Error::new)?;
///         caller.data_mut().push_str(&text);
///         Ok(())
///     },
/// )?;
/// let wat = r#"(module
///     (import "host" "say" (func $say (param i32 i32)))
///     (memory (export "memory") 1) (data (i32.const 100) "hello")
///     (func (export "run") (param i32) (call $say (i32.const 100) (local.get 0))))"#;
/// let mut store = Store::new(&engine, String::new());
/// let instance = linker.instantiate(&mut store, &Module::new(&engine, wat)?)?;
/// let run = instance.get_typed_func::<u32, ()>(&mut store, "run")?;
/// run.call(&mut store, 5)?;
/// assert_eq!(store.data(), "hello");
/// let error = run.call(&mut store, u32::MAX >> 4).unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&MemoryAccessError));
/// # Ok::<(), Error>(())
/// ```
pub struct Caller<'a, T> {
    store: StoreMut<'a, T>,
    instance: Option<NonNull<InstanceData>>,
}

impl<'a, T> Caller<'a, T> {
    /// The caller with this vmctx.
    ///
    /// # Safety
    ///
    /// `vmctx` must be what compiled code passed to a host function, of a store
    /// whose data is a `T`; nothing else may use the store for as long.
    #[inline]
    pub(crate) unsafe fn new(vmctx: *mut VmctxHead) -> Caller<'a, T> {
        // SAFETY: the store context is the start of the store.
        unsafe {
            let head = *vmctx;
            let inner = &mut *head.store.cast::<StoreInner<T>>();
            Caller { store: StoreMut { inner }, instance: NonNull::new(head.instance) }
        }
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The embedder's data.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// What the calling instance exports under this name. A function that was
    /// put into a table by the host has no calling instance.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        let instance = self.instance?;
        Extern::of_instance(self.store.opaque(), instance, name)
    }

    /// The engine of the store.
    pub fn engine(&self) -> &Engine {
        &self.store.inner.opaque.engine
    }
}
