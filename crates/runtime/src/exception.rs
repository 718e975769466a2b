//! Exceptions as the embedder sees them: thrown ones, and references.

use crate::store::{StoreId, StoreOpaque};
use crate::vm::ExceptionData;
use crate::{AsContext, AsContextMut, Backtrace, Error, LinkError, Tag, Val};
use std::fmt;
use std::ptr::NonNull;
use wasmprof_image::TrapCode;
use wasmprof_module::FuncType;

/// An exception that nothing in WebAssembly has caught, or that a host
/// function throws by returning it as its error. In another store than its own
/// nothing catches it: there it ends the program, as errors do.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module
///     (import "host" "failed" (tag $failed (param i32)))
///     (import "host" "open" (func $open (param i32)))
///     ;; The code that the host failed with, or 0.
///     (func (export "try") (param i32) (result i32)
///         (block $caught (result i32)
///             (try_table (catch $failed $caught) (call $open (local.get 0)))
///             (i32.const 0)))
///     (func (export "fail") (param i32) (throw $failed (local.get 0))))"#;
/// let module = Module::new(&engine, wat)?;
/// let mut store = Store::new(&engine, ());
/// let failed = Tag::new(&mut store, &FuncType::new([ValType::I32], []));
/// // A host function throws ...
/// let open = Func::wrap(&mut store, move |caller: Caller<'_, ()>, number: i32| match number {
///     0 => Ok(()),
///     _ => Err(Error::from(Exception::new(caller, failed, [Val::I32(number)])?)),
/// })?;
/// let instance = Instance::new(&mut store, &module, &[failed.into(), open.into()])?;
/// let attempt = instance.get_typed_func::<i32, i32>(&mut store, "try")?;
/// assert_eq!((attempt.call(&mut store, 0)?, attempt.call(&mut store, 7)?), (0, 7));
///
/// // ... and what nobody catches is an error.
/// let fail = instance.get_typed_func::<i32, ()>(&mut store, "fail")?;
/// let error = fail.call(&mut store, 5).unwrap_err();
/// let exception = error.downcast_ref::<Exception>().unwrap();
/// assert_eq!((exception.tag(), exception.values()[0].i32()), (failed, Some(5)));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exception {
    tag: Tag,
    ty: FuncType,
    values: Vec<Val>,
    pub(crate) backtrace: Backtrace,
}

impl Exception {
    /// An exception for a host function to return, with a tag and the values
    /// that it carries.
    ///
    /// # Errors
    ///
    /// If the values are not those that the tag wants.
    ///
    /// # Panics
    ///
    /// If the tag or a value belongs to another store.
    pub fn new(
        mut store: impl AsContextMut,
        tag: Tag,
        values: impl Into<Vec<Val>>,
    ) -> Result<Exception, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let values = values.into();
        let ty = tag.type_id(store).func_type();
        if values.len() != ty.params().len() {
            let (arguments, results) = (values.len(), 0);
            return Err(LinkError::Arity { ty: ty.clone(), arguments, results }.into());
        }
        for (value, ty) in values.iter().zip(ty.params()) {
            value.to_value(store, *ty, "a value of an exception")?;
        }
        Ok(Exception { tag, ty: ty.clone(), values, backtrace: Backtrace::default() })
    }

    /// What an exception in memory is to the embedder.
    ///
    /// # Safety
    ///
    /// It must be alive and belong to `store`.
    pub(crate) unsafe fn caught(
        store: &mut StoreOpaque,
        exception: NonNull<ExceptionData>,
        backtrace: Backtrace,
    ) -> Exception {
        // SAFETY: by the contract.
        let (tag, values) = unsafe {
            let tag = Tag::of(store, exception.as_ref().tag);
            let ty = tag.type_id(store).func_type();
            let values = ExceptionData::values(exception).iter().zip(ty.params());
            (tag, values.map(|(value, ty)| Val::from_value(store, *ty, value)).collect())
        };
        let ty = tag.type_id(store).func_type().clone();
        Exception { tag, ty, values, backtrace }
    }

    /// Puts it into memory, to be thrown.
    ///
    /// # Errors
    ///
    /// If the store has as many as it may have.
    pub(crate) fn into_data(
        self,
        store: &mut StoreOpaque,
    ) -> Result<NonNull<ExceptionData>, TrapCode> {
        let exception = store.new_exception(self.tag.data(store))?;
        // SAFETY: it is new, and nothing else knows of it.
        let places = unsafe { ExceptionData::values(exception) };
        for ((place, value), ty) in places.iter_mut().zip(self.values).zip(self.ty.params()) {
            let value = value.to_value(store, *ty, "a value of an exception");
            *place = value.expect("the values have been checked against the tag");
        }
        Ok(exception)
    }

    /// The tag.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The values that it carries.
    pub fn values(&self) -> &[Val] {
        &self.values
    }

    /// The WebAssembly functions that were running when it was thrown the last
    /// time, innermost first.
    pub fn backtrace(&self) -> &Backtrace {
        &self.backtrace
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uncaught exception with a tag of type {}", self.ty)
    }
}

impl std::error::Error for Exception {}

/// A reference to an exception.
///
/// An exception that the embedder has had a reference to lives as long as the
/// store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExnRef {
    store: StoreId,
    data: NonNull<ExceptionData>,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for ExnRef {}
// SAFETY: as above.
unsafe impl Sync for ExnRef {}

impl ExnRef {
    /// Puts an exception into the store.
    ///
    /// # Errors
    ///
    /// If the store has as many as it may have.
    ///
    /// # Panics
    ///
    /// If the exception belongs to another store.
    pub fn new(mut store: impl AsContextMut, exception: Exception) -> Result<ExnRef, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let data = exception.into_data(store)?;
        Ok(ExnRef::of(store, data))
    }

    fn of(store: &mut StoreOpaque, data: NonNull<ExceptionData>) -> ExnRef {
        store.referenced_exceptions.insert(data);
        ExnRef { store: store.id, data }
    }

    /// The tag of the exception.
    ///
    /// # Panics
    ///
    /// If the reference belongs to another store.
    pub fn tag(&self, store: impl AsContext) -> Tag {
        let store = &store.as_context().inner.opaque;
        store.check(self.store);
        // SAFETY: the store keeps what handles refer to.
        Tag::of(store, unsafe { self.data.as_ref() }.tag)
    }

    /// The values that the exception carries.
    ///
    /// # Panics
    ///
    /// If the reference belongs to another store.
    pub fn values(&self, mut store: impl AsContextMut) -> Vec<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        // SAFETY: the store keeps what handles refer to.
        unsafe { Exception::caught(store, self.data, Backtrace::default()) }.values
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn to_bits(self, store: &StoreOpaque) -> u64 {
        store.check(self.store);
        self.data.as_ptr() as u64
    }

    /// The exception that a reference points to; `None` is null.
    ///
    /// # Safety
    ///
    /// `bits` must be a reference that compiled code of `store` has.
    pub(crate) unsafe fn from_bits(store: &mut StoreOpaque, bits: u64) -> Option<ExnRef> {
        Some(ExnRef::of(store, NonNull::new(bits as *mut ExceptionData)?))
    }
}
