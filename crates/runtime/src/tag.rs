//! Handles to tags, by which exceptions are told apart.

use crate::store::{StoreId, StoreOpaque};
use crate::vm::TagData;
use crate::{AsContext, AsContextMut};
use std::ptr::NonNull;
use wasmprof_module::{FuncType, TypeId};

/// A tag of a store. Exceptions with it carry values of the types of its
/// parameters; only a clause with the same tag, or one for all, catches them. See
/// [`Exception`](crate::Exception) for an example.
///
/// All methods panic if they are given another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    store: StoreId,
    data: NonNull<TagData>,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for Tag {}
// SAFETY: as above.
unsafe impl Sync for Tag {}

impl Tag {
    pub(crate) fn of(store: &StoreOpaque, data: NonNull<TagData>) -> Tag {
        Tag { store: store.id, data }
    }

    /// A new tag, different from all others.
    ///
    /// # Panics
    ///
    /// If the type has results: exceptions have none.
    pub fn new(mut store: impl AsContextMut, ty: &FuncType) -> Tag {
        assert!(ty.results().is_empty(), "the type of a tag has no results");
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let data = store.tags.add(TagData { ty: TypeId::of(ty) });
        Tag::of(store, data)
    }

    /// The type, whose parameters are the types of the values.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        self.type_id(&store.as_context().inner.opaque).func_type().clone()
    }

    /// What the handle stands for; panics if that is in another store.
    pub(crate) fn data(&self, store: &StoreOpaque) -> NonNull<TagData> {
        store.check(self.store);
        self.data
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn type_id(&self, store: &StoreOpaque) -> TypeId {
        // SAFETY: the store keeps its tags and is borrowed.
        unsafe { self.data(store).as_ref() }.ty
    }
}
