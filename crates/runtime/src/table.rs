//! Handles to tables.

use crate::store::{StoreId, StoreOpaque};
use crate::vm::TableStorage;
use crate::{AsContext, AsContextMut, Error, LinkError, Val};
use std::ops::Range;
use std::ptr::NonNull;
use wasmprof_module::{ExternType, MAX_TABLE_ELEMENTS, TableType, ValType};

/// A table of a store.
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
///     (table (export "callbacks") 1 10 funcref)
///     (func (export "run") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))"#;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
/// let callbacks = instance.get_table(&mut store, "callbacks").unwrap();
///
/// let answer = Func::wrap(&mut store, || 42)?;
/// let at = callbacks.grow(&mut store, 1, answer.into())?;
/// let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
/// assert_eq!(run.call(&mut store, at as i32)?, 42);
///
/// callbacks.set(&mut store, at, Val::FuncRef(None))?;
/// let error = run.call(&mut store, at as i32).unwrap_err();
/// assert_eq!(error.trap().unwrap().code, TrapCode::UninitializedElement);
/// # Ok::<(), Error>(())
/// ```
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
    /// If `init` has another type, the table is larger than any may be, its
    /// maximum is below its minimum, the store's limiter does not allow it, or
    /// the system does not give the address space.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Val) -> Result<Table, Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let init =
            init.to_value(store, ValType::Ref(ty.element), "the elements of a table")?.word();
        if ty.minimum > ty.maximum.unwrap_or(u64::MAX).min(MAX_TABLE_ELEMENTS) {
            return Err(LinkError::ImpossibleSize { ty: ExternType::Table(ty) }.into());
        }
        store.allow_table(ty)?;
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

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
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

    /// Sets `len` elements from `start` on.
    ///
    /// # Errors
    ///
    /// If they are not all in the table, or the value has another type; then
    /// none is set.
    pub fn fill(
        &self,
        mut store: impl AsContextMut,
        start: u64,
        value: Val,
        len: u64,
    ) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let element = ValType::Ref(self.get_ref(store).ty().element);
        let bits = value.to_value(store, element, "the elements of a table")?.word();
        let elements = self.get_mut(store).elements_mut();
        let range = range(start, len, elements.len())?;
        elements[range].fill(bits);
        Ok(())
    }

    /// Copies `len` elements of `from`, from `from_start` on, to `to_start` in
    /// `to`. The tables may be one, and the ranges may overlap.
    ///
    /// # Errors
    ///
    /// If they are not all in the tables, or the elements of the tables have
    /// different types; then none is copied.
    pub fn copy(
        mut store: impl AsContextMut,
        to: Table,
        to_start: u64,
        from: Table,
        from_start: u64,
        len: u64,
    ) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let wanted = to.get_ref(store).ty().element;
        if from.get_ref(store).ty().element != wanted {
            let what = "the elements of a table".to_owned();
            return Err(LinkError::ValueType { wanted: ValType::Ref(wanted), what }.into());
        }
        let source = from.get_ref(store).elements();
        let source = source[range(from_start, len, source.len())?].to_vec();
        let elements = to.get_mut(store).elements_mut();
        let range = range(to_start, len, elements.len())?;
        elements[range].copy_from_slice(&source);
        Ok(())
    }

    /// Grows by `elements`, each `init`, and returns the size before.
    ///
    /// # Errors
    ///
    /// If it cannot grow so far, the store's limiter does not allow it, or
    /// `init` has another type.
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
        let storage = self.storage(store);
        store.grow_table(storage, elements, init)
    }
}

/// The positions of `len` elements from `start` on, of a table of `size`.
fn range(start: u64, len: u64, size: usize) -> Result<Range<usize>, Error> {
    match start.checked_add(len) {
        Some(end) if end <= size as u64 => Ok(start as usize..end as usize),
        end => {
            Err(LinkError::NoElement { index: end.unwrap_or(u64::MAX).saturating_sub(1) }.into())
        }
    }
}
