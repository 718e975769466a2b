//! Handles to tables.

use crate::store::{StoreId, StoreOpaque};
use crate::vm::TableStorage;
use crate::{AsContext, AsContextMut, Error, LinkError, Val};
use std::ptr::NonNull;
use wasmprof_module::{TableType, ValType};

/// A table of a store.
///
/// All methods panic if they are given another store.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    store: StoreId,
    storage: NonNull<TableStorage>,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    pub(crate) fn of(store: &StoreOpaque, storage: NonNull<TableStorage>) -> Table {
        Table { store: store.id, storage }
    }

    pub(crate) fn current_type(&self, store: &StoreOpaque) -> TableType {
        // SAFETY: the store keeps it and is borrowed as long.
        unsafe { self.storage(store).as_ref() }.ty()
    }

    /// What the handle stands for; panics if that is in another store.
    pub(crate) fn storage(&self, store: &StoreOpaque) -> NonNull<TableStorage> {
        store.check(self.store);
        self.storage
    }

    /// A new table whose elements are all `init`.
    ///
    /// # Errors
    ///
    /// If `init` has another type, or the table is too large.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Table, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let init =
            init.to_value(store, ValType::Ref(ty.element), "the elements of a table")?.word();
        let mut table = TableStorage::new(ty)?;
        table.elements_mut().fill(init);
        let storage = store.tables.add(table);
        Ok(Table::of(store, storage))
    }

    fn get_ref<'a>(&self, store: &'a StoreOpaque) -> &'a TableStorage {
        store.check(self.store);
        // SAFETY: the store owns it and is borrowed as long.
        unsafe { self.storage.as_ref() }
    }

    fn get_mut<'a>(&self, store: &'a mut StoreOpaque) -> &'a mut TableStorage {
        store.check(self.store);
        // SAFETY: the store owns it and is borrowed mutably as long.
        unsafe { &mut *self.storage.as_ptr() }
    }

    /// Its type; the minimum is the current size.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        self.current_type(&store.as_context().inner.opaque)
    }

    /// The number of elements.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.get_ref(&store.as_context().inner.opaque).elements().len() as u64
    }

    /// The element at `index`, if there is one.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Option<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let table = self.get_ref(store);
        let element = table.ty().element;
        let bits = *table.elements().get(usize::try_from(index).ok()?)?;
        // SAFETY: what is in a table of this store belongs to it.
        Some(unsafe { Val::reference(store, element, bits) })
    }

    /// Sets the element at `index`.
    ///
    /// # Errors
    ///
    /// If there is no such element, or the value has another type.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Val) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let element = ValType::Ref(self.get_ref(store).ty().element);
        let bits = value.to_value(store, element, "an element of a table")?.word();
        let elements = self.get_mut(store).elements_mut();
        let place = usize::try_from(index).ok().and_then(|index| elements.get_mut(index));
        *place.ok_or(LinkError::NoElement { index })? = bits;
        Ok(())
    }

    /// Grows by `elements`, each `init`, and returns the size before.
    ///
    /// # Errors
    ///
    /// If it cannot grow so far, or `init` has another type.
    pub fn grow(
        &self,
        mut store: impl AsContextMut,
        elements: u64,
        init: Val,
    ) -> Result<u64, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let ty = self.get_ref(store).ty();
        let init =
            init.to_value(store, ValType::Ref(ty.element), "the elements of a table")?.word();
        self.get_mut(store)
            .grow(elements, init)
            .ok_or_else(|| LinkError::CannotGrow { from: ty.minimum, by: elements }.into())
    }
}
