//! Handles to functions, of WebAssembly and of the host.

use crate::call;
use crate::few::Room;
use crate::host::{HostFunc, IntoFunc};
use crate::store::{StoreId, StoreOpaque};
use crate::typed::{TypedFunc, WasmParams, WasmResults};
use crate::vm::{FuncRef, HostFunction, Value, VmctxHead};
use crate::{AsContext, AsContextMut, Caller, Error, LinkError, Val};
use std::ptr::NonNull;
use std::sync::Arc;
use wasmprof_image::abi::kind;
use wasmprof_module::{FuncType, TypeId};

/// A function of a store.
///
/// All methods panic if they are given another store.
#[derive(Clone, Copy, Debug)]
pub struct Func {
    store: StoreId,
    reference: NonNull<FuncRef>,
}

// SAFETY: a handle is used only together with its store, whose borrow says who
// may access what it points to.
unsafe impl Send for Func {}
// SAFETY: as above.
unsafe impl Sync for Func {}

impl Func {
    pub(crate) fn of(store: &StoreOpaque, reference: NonNull<FuncRef>) -> Func {
        Func { store: store.id, reference }
    }

    /// A function that calls a closure, with the types of its parameters and
    /// results. See [`IntoFunc`] for what a closure may take and return.
    ///
    /// # Errors
    ///
    /// If the stubs for its type cannot be made.
    pub fn wrap<T, P, R>(
        mut store: impl AsContextMut<Data = T>,
        closure: impl IntoFunc<T, P, R>,
    ) -> Result<Func, Error> {
        Func::from_host(store.as_context_mut().opaque(), closure.into_host_func(), None)
    }

    /// A function of any type. The closure gets the arguments, and a slice of
    /// zeros and nulls for the results.
    ///
    /// # Errors
    ///
    /// If the stubs for its type cannot be made.
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        closure: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<Func, Error> {
        let host = Arc::new(HostFunc::dynamic(ty, closure));
        Func::from_host(store.as_context_mut().opaque(), host, None)
    }

    /// A reference to a host function; `caller` is the instance on whose behalf
    /// it is called, if there is one.
    pub(crate) fn from_host(
        store: &mut StoreOpaque,
        host: Arc<HostFunc>,
        caller: Option<*mut VmctxHead>,
    ) -> Result<Func, Error> {
        let type_id = host.ty;
        let caller = caller.unwrap_or_else(|| store.no_instance());
        let stubs = store.engine.stubs(type_id)?;
        let code = stubs.host_adapter;
        let function = HostFunction {
            code: host.code.unwrap_or(stubs.dynamic_host),
            environment: host.environment,
            caller,
        };
        store.host_funcs.push(host);
        let function = store.host_functions.add(function);
        let reference = store.func_refs.add(FuncRef {
            code,
            vmctx: function.as_ptr() as usize,
            type_id,
            kind: kind::HOST,
        });
        Ok(Func::of(store, reference))
    }

    pub(crate) fn type_id(&self, store: &StoreOpaque) -> TypeId {
        self.func_ref(store).type_id
    }

    pub(crate) fn store_id(&self) -> StoreId {
        self.store
    }

    pub(crate) fn to_bits(self, store: &StoreOpaque) -> u64 {
        store.check(self.store);
        self.reference.as_ptr() as u64
    }

    /// The function that a reference points to; `None` is null.
    ///
    /// # Safety
    ///
    /// `bits` must be a reference that compiled code of `store` has.
    pub(crate) unsafe fn from_bits(store: &StoreOpaque, bits: u64) -> Option<Func> {
        Some(Func::of(store, NonNull::new(bits as *mut FuncRef)?))
    }

    #[inline]
    pub(crate) fn func_ref(&self, store: &StoreOpaque) -> FuncRef {
        store.check(self.store);
        // SAFETY: the store owns it.
        unsafe { *self.reference.as_ptr() }
    }

    /// The type.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let store = &store.as_context().inner.opaque;
        self.type_id(store).func_type().clone()
    }

    /// The function with its type known to Rust, which makes calls cheap.
    ///
    /// # Errors
    ///
    /// If it has another type.
    pub fn typed<P: WasmParams, R: WasmResults>(
        &self,
        store: impl AsContext,
    ) -> Result<TypedFunc<P, R>, Error> {
        let store = &store.as_context().inner.opaque;
        let type_id = self.type_id(store);
        let found = type_id.func_type();
        let wanted = TypedFunc::<P, R>::wasm_type();
        if *found != wanted {
            return Err(LinkError::FunctionType { found: found.clone(), wanted }.into());
        }
        Ok(TypedFunc::new(*self, store.engine.stubs(type_id)?.entry))
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// If the arguments do not fit, it traps, or a host function that it calls
    /// fails.
    ///
    /// # Panics
    ///
    /// A panic of a host function goes on here.
    pub fn call(
        &self,
        mut store: impl AsContextMut,
        params: &[Val],
        results: &mut [Val],
    ) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let function = self.func_ref(store);
        let ty = function.type_id.func_type();
        if ty.params().len() != params.len() || ty.results().len() != results.len() {
            return Err(LinkError::Arity {
                ty: ty.clone(),
                arguments: params.len(),
                results: results.len(),
            }
            .into());
        }
        let mut room = Room::new(Value::default());
        let values = room.of(params.len().max(results.len()));
        for ((param, ty), value) in params.iter().zip(ty.params()).zip(&mut *values) {
            param.put(store, *ty, "an argument", value)?;
        }
        let entry = store.engine.stubs(function.type_id)?.entry;
        // SAFETY: the store is borrowed mutably, the stub is the one for the
        // type of the function, and there is room for arguments and results.
        unsafe { call::enter(store, entry, function, values.as_mut_ptr())? };
        for ((result, ty), value) in results.iter_mut().zip(ty.results()).zip(&*values) {
            // SAFETY: compiled code of this store has left it.
            unsafe { result.get(store, *ty, value) };
        }
        Ok(())
    }
}
