//! Handles to globals.

use crate::store::{StoreId, StoreOpaque};
use crate::vm::Value;
use crate::{AsContext, AsContextMut, Error, LinkError, Val};
use std::ptr::NonNull;
use wasmprof_module::GlobalType;

/// A global of a store.
///
/// All methods panic if they are given another store, or something of one.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module
///     (import "host" "limit" (global i32))
///     (global (export "copy") (mut i32) (global.get 0)))"#;
/// let mut store = Store::new(&engine, ());
/// let ty = GlobalType { content: ValType::I32, mutable: false };
/// let limit = Global::new(&mut store, ty, Val::I32(99))?;
/// let module = Module::new(&engine, wat)?;
/// let instance = Instance::new(&mut store, &module, &[limit.into()])?;
///
/// let copy = instance.get_global(&mut store, "copy").unwrap();
/// assert_eq!(copy.get(&mut store).i32(), Some(99));
/// copy.set(&mut store, Val::I32(5))?;
/// assert!(limit.set(&mut store, Val::I32(5)).is_err(), "it is constant");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Global {
    store: StoreId,
    value: NonNull<Value>,
    ty: GlobalType,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for Global {}
// SAFETY: as above.
unsafe impl Sync for Global {}

impl Global {
    pub(crate) fn of(store: &StoreOpaque, value: NonNull<Value>, ty: GlobalType) -> Global {
        Global { store: store.id, value, ty }
    }

    /// A new global.
    ///
    /// # Errors
    ///
    /// If the value has another type.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let value = value.to_value(store, ty.content, "a global")?;
        let value = store.globals.add(value);
        Ok(Global::of(store, value, ty))
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        self.declared_type(&store.as_context().inner.opaque)
    }

    /// Where the value is; panics if that is in another store.
    pub(crate) fn place(&self, store: &StoreOpaque) -> NonNull<Value> {
        store.check(self.store);
        self.value
    }

    pub(crate) fn declared_type(&self, store: &StoreOpaque) -> GlobalType {
        store.check(self.store);
        self.ty
    }

    /// Its value.
    pub fn get(&self, mut store: impl AsContextMut) -> Val {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        // SAFETY: the store owns the value, and compiled code of it wrote it.
        unsafe { Val::from_value(store, self.ty.content, self.value.as_ref()) }
    }

    /// Sets its value.
    ///
    /// # Errors
    ///
    /// If it is constant, or the value has another type.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store);
        if !self.ty.mutable {
            return Err(LinkError::ImmutableGlobal.into());
        }
        let value = value.to_value(store, self.ty.content, "a global")?;
        // SAFETY: the store owns it and is borrowed mutably.
        unsafe { *self.value.as_ptr() = value };
        Ok(())
    }
}
