//! Interruption by epochs: the deadlines of stores, and what happens when one
//! is reached.
//!
//! An engine counts; compiled code compares the count with the deadline of its
//! store at the entry of each function and at the head of each loop, and calls
//! [`deadline_reached`]. Who counts, and how often, is left to the embedder.

use crate::call::Failure;
use crate::host::settle_or_end;
use crate::store::{Store, StoreInner, StoreMut, StoreOpaque};
use crate::vm::{StoreContext, VmctxHead};
use crate::{BoxError, Error};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use wasmprof_image::TrapCode;

/// How often a program that waits looks at the epoch.
const WAIT_SLICE: Duration = Duration::from_millis(10);

/// How a program goes on whose store has reached its deadline; see
/// [`Store::epoch_deadline_callback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateDeadline {
    /// It runs on, with a deadline so many ticks from now.
    Continue(u64),
}

/// What is called when a deadline is reached.
pub(crate) type Callback<T> =
    Box<dyn FnMut(StoreMut<'_, T>) -> Result<UpdateDeadline, Error> + Send + Sync>;

/// [`call_back`] for the type of a store's data.
pub(crate) type CallBack = unsafe fn(*mut StoreOpaque) -> Result<(), Error>;

impl<T> Store<T> {
    /// Lets programs in this store run until the engine's epoch has been
    /// incremented `ticks` times from now on. It matters only if the engine is
    /// configured for interruption by epochs.
    ///
    /// A new store has a deadline of 0 ticks, so that a program in it is stopped
    /// at once: whoever interrupts programs has to say when. For a store whose
    /// programs may run forever, `u64::MAX` ticks never pass.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasmprof_engine::*;
    ///
    /// let engine = Engine::new(Config::new().epoch_interruption(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "f") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// store.set_epoch_deadline(2);
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// let forever = instance.get_typed_func::<(), ()>(&mut store, "f")?;
    ///
    /// // Somebody counts: here a tick is a millisecond.
    /// let counting = engine.clone();
    /// std::thread::spawn(move || {
    ///     loop {
    ///         std::thread::sleep(Duration::from_millis(1));
    ///         counting.increment_epoch();
    ///     }
    /// });
    /// let error = forever.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.trap().unwrap().code, TrapCode::Interrupt);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_epoch_deadline(&mut self, ticks: u64) {
        crate::AsContextMut::as_context_mut(self).set_epoch_deadline(ticks);
    }

    /// Has programs trap with [`TrapCode::Interrupt`] when the deadline is
    /// reached. A new store does.
    pub fn epoch_deadline_trap(&mut self) {
        crate::AsContextMut::as_context_mut(self).epoch_deadline_trap();
    }

    /// Calls `callback` on the thread of the program when the deadline is
    /// reached. It says how long the program may run on, or by which error it is
    /// stopped, which no program catches, not even if it is an exception; a panic
    /// goes on at the call into the store.
    ///
    /// Programs that it runs in this store itself are not given another
    /// callback when they reach the deadline: they trap.
    ///
    /// # Examples
    ///
    /// ```
    /// use wasmprof_engine::*;
    ///
    /// let engine = Engine::new(Config::new().epoch_interruption(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "f") (loop (br 0))))"#)?;
    /// // The deadlines that were reached.
    /// let mut store = Store::new(&engine, 0);
    /// let instance = Instance::new(&mut store, &module, &[])?;
    /// store.epoch_deadline_callback(|mut store| {
    ///     *store.data_mut() += 1;
    ///     match *store.data() {
    ///         1..10 => Ok(UpdateDeadline::Continue(0)),
    ///         _ => Err(Error::new("this takes too long")),
    ///     }
    /// });
    /// let forever = instance.get_typed_func::<(), ()>(&mut store, "f")?;
    /// let error = forever.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.to_string(), "this takes too long");
    /// assert_eq!(*store.data(), 10);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn epoch_deadline_callback(
        &mut self,
        callback: impl FnMut(StoreMut<'_, T>) -> Result<UpdateDeadline, Error> + Send + Sync + 'static,
    ) {
        let inner = crate::AsContextMut::as_context_mut(self).inner;
        inner.hooks.epoch = Some(Box::new(callback));
        inner.opaque.on_epoch = Some(call_back::<T>);
    }
}

impl<T> StoreMut<'_, T> {
    /// As [`Store::set_epoch_deadline`]; a host function may set the deadline of
    /// the program that calls it.
    pub fn set_epoch_deadline(&mut self, ticks: u64) {
        self.inner.opaque.set_epoch_deadline(ticks);
    }

    /// As [`Store::epoch_deadline_trap`].
    pub fn epoch_deadline_trap(&mut self) {
        self.inner.opaque.on_epoch = None;
    }
}

impl StoreOpaque {
    fn set_epoch_deadline(&mut self, ticks: u64) {
        self.epoch.deadline = self.engine.epoch().saturating_add(ticks);
    }
}

/// What compiled code calls when the deadline is reached: returns to have it go
/// on.
///
/// # Safety
///
/// `vmctx` must be the one that compiled code passes, which has recorded its
/// exit.
pub(crate) unsafe fn deadline_reached(vmctx: *mut VmctxHead) {
    // SAFETY: compiled code runs for a store that is borrowed mutably by
    // whoever entered it, and is waiting for this call. Nothing is left to drop.
    unsafe {
        let store = (*vmctx).store.cast::<StoreOpaque>();
        settle_or_end(vmctx, catch_unwind(AssertUnwindSafe(|| reached(store))))
    }
}

/// How often a program that waits asks whether it may go on, if ever.
///
/// # Safety
///
/// The store must be alive.
pub(crate) unsafe fn how_often(store: *const StoreContext) -> Option<Duration> {
    // SAFETY: by the contract; the store context is the start of the store.
    let store = unsafe { &*store.cast::<StoreOpaque>() };
    store.engine.epoch_interruption().then_some(WAIT_SLICE)
}

/// Whether a program that waits may go on: if not, why.
///
/// # Safety
///
/// Compiled code must run for the store, and wait for this call.
pub(crate) unsafe fn check(store: *mut StoreContext) -> Result<(), Failure> {
    let store = store.cast::<StoreOpaque>();
    // SAFETY: by the contract, the store is borrowed mutably by whoever entered
    // compiled code.
    let outcome = unsafe {
        if (*store).engine.epoch() < (*store).epoch.deadline {
            return Ok(());
        }
        catch_unwind(AssertUnwindSafe(|| reached(store)))
    };
    match outcome {
        Ok(answer) => answer.map_err(Failure::End),
        Err(payload) => Err(Failure::Panic(payload)),
    }
}

/// Asks whoever is to be asked when the deadline is reached.
///
/// # Safety
///
/// Nothing else may use the store.
unsafe fn reached(store: *mut StoreOpaque) -> Result<(), BoxError> {
    // SAFETY: by the contract.
    unsafe {
        match (*store).on_epoch {
            Some(call_back) => Ok(call_back(store)?),
            None => Err(TrapCode::Interrupt.into()),
        }
    }
}

/// Asks the callback of a store, and sets the deadline that it wants.
///
/// # Safety
///
/// The store must have data of type `T`, and nothing else may use it.
unsafe fn call_back<T>(store: *mut StoreOpaque) -> Result<(), Error> {
    // SAFETY: by the contract.
    let inner = unsafe { &mut *store.cast::<StoreInner<T>>() };
    // It is not there while it runs.
    let mut callback = inner.hooks.epoch.take().ok_or(TrapCode::Interrupt)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| callback(StoreMut { inner: &mut *inner })));
    inner.hooks.epoch = Some(callback);
    match outcome {
        Ok(Ok(UpdateDeadline::Continue(ticks))) => {
            inner.opaque.set_epoch_deadline(ticks);
            Ok(())
        }
        Ok(Err(error)) => Err(error),
        Err(payload) => resume_unwind(payload),
    }
}
