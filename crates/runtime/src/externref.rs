//! References to values of the host.

use crate::store::{StoreId, StoreOpaque};
use crate::{AsContext, AsContextMut};
use std::any::Any;
use std::sync::Arc;

/// A value of the host that WebAssembly can hold but not look into.
///
/// The value lives as long as the store.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module
///     (global $kept (mut externref) (ref.null extern))
///     (func (export "keep") (param externref) (global.set $kept (local.get 0)))
///     (func (export "kept") (result externref) (global.get $kept)))"#;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
/// let keep = instance.get_typed_func::<Option<ExternRef>, ()>(&mut store, "keep")?;
/// let kept = instance.get_typed_func::<(), Option<ExternRef>>(&mut store, "kept")?;
///
/// let handle = ExternRef::new(&mut store, String::from("a connection"));
/// keep.call(&mut store, Some(handle))?;
/// let handle = kept.call(&mut store, ())?.expect("not null");
/// let value = handle.data(&store);
/// assert_eq!(value.downcast_ref::<String>().unwrap(), "a connection");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternRef {
    store: StoreId,
    /// The position among the store's references, plus one: zero is null.
    handle: u64,
}

impl ExternRef {
    /// Puts a value into the store, where it stays.
    pub fn new(mut store: impl AsContextMut, value: impl Any + Send + Sync + 'static) -> ExternRef {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.externrefs.push(Arc::new(value));
        ExternRef { store: store.id, handle: store.externrefs.len() as u64 }
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// If the reference belongs to another store.
    pub fn data(&self, store: &impl AsContext) -> Arc<dyn Any + Send + Sync> {
        let store = &store.as_context().inner.opaque;
        store.check(self.store);
        store.externrefs[self.handle as usize - 1].clone()
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn to_bits(self, store: &StoreOpaque) -> u64 {
        store.check(self.store);
        self.handle
    }

    pub(crate) fn from_bits(store: &StoreOpaque, bits: u64) -> Option<ExternRef> {
        (bits != 0).then_some(ExternRef { store: store.id, handle: bits })
    }
}
