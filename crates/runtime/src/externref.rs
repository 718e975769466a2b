//! References to values of the host.

use crate::store::{StoreId, StoreOpaque};
use crate::{AsContext, AsContextMut};
use std::any::Any;
use std::sync::Arc;

/// A value of the host that WebAssembly can hold but not look into.
///
/// The value lives as long as the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternRef {
    store: StoreId,
    /// The position among the store's references, plus one: zero is null.
    handle: u64,
}

impl ExternRef {
    /// Puts a value into the store.
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
