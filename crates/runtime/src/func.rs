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

/// A function of a store, of WebAssembly or of the host.
///
/// All methods panic if they are given another store.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let mut store = Store::new(&engine, ());
/// let double = Func::wrap(&mut store, |x: i32| x * 2)?;
///
/// // Types are known to Rust, and calls are cheap ...
/// let typed = double.typed::<i32, i32>(&store)?;
/// assert_eq!(typed.call(&mut store, 21)?, 42);
///
/// // ... or they are known to the program only when it runs.
/// assert_eq!(double.ty(&store), FuncType::new([ValType::I32], [ValType::I32]));
/// let mut results = [Val::I32(0)];
/// double.call(&mut store, &[Val::I32(21)], &mut results)?;
/// assert_eq!(results[0].i32(), Some(42));
/// # Ok::<(), Error>(())
/// ```
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
    /// results.
    ///
    /// The closure takes up to sixteen parameters of the types that are a
    /// [`WasmTy`](crate::WasmTy), and before them a [`Caller`] if it wants one.
    /// It returns nothing, one of those types, a tuple of up to sixteen, or a
    /// `Result` with any of these and an error. What becomes of errors:
    ///
    /// - One that is or can become a `Box<dyn Error + Send + Sync>` ends the
    ///   program, and [`Error::downcast_ref`] finds it again where the function
    ///   was called from the outside. `anyhow::Error` and texts are among them.
    /// - A [`TrapCode`](crate::TrapCode), a [`Trap`](crate::Trap) or an [`Error`]
    ///   of a call further in goes on as what it is.
    /// - A panic goes on, too, at the call from the outside. Before that, every
    ///   destructor is run of all that lies between.
    ///
    /// # The machine code
    ///
    /// A program calls the closure itself. There is no function of the runtime
    /// between them, no array of arguments, and no result to check; a profiler
    /// shows the Rust symbol of the closure right below the function that calls
    /// it. For a closure `|a: i32, b: i32| a.wrapping_add(b)`, the way of a call
    /// is this, in an optimised build on x86-64:
    ///
    /// ```text
    /// ; compiled code: load the closure and its code, store where it is left,
    /// ; move the arguments, call
    /// mov  %rdx,%rcx
    /// mov  %rsi,%rdi
    /// mov  0x20(%r8),%rax
    /// mov  0x18(%r8),%r9
    /// mov  %rbp,%rsi
    /// mov  (%r8),%rdx
    /// mov  %rsi,0x8(%rdx)
    /// mov  %rsp,%rsi
    /// mov  %rsi,0x10(%rdx)
    /// mov  %r8,%rsi
    /// mov  %rdi,%rdx
    /// mov  %rax,%rdi
    /// call *%r9
    ///
    /// ; into_host_func::code, the closure inlined
    /// lea  (%rdx,%rcx,1),%eax
    /// ret
    /// ```
    ///
    /// A call through a table goes through a small adapter as well, one for each
    /// type, since whoever calls through a table knows nothing of the callee.
    ///
    /// # Errors
    ///
    /// If the stubs for its type cannot be made.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fmt;
    /// use wasmprof_engine::*;
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct TooOften(u32);
    ///
    /// impl fmt::Display for TooOften {
    ///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    ///         write!(f, "called {} times", self.0)
    ///     }
    /// }
    ///
    /// impl std::error::Error for TooOften {}
    ///
    /// let engine = Engine::new(Config::new())?;
    /// let mut store = Store::new(&engine, 0);
    /// let split = Func::wrap(
    ///     &mut store,
    ///     |mut caller: Caller<'_, u32>, x: i64| -> Result<(i32, i32), TooOften> {
    ///         *caller.data_mut() += 1;
    ///         match *caller.data() {
    ///             1 => Ok(((x >> 32) as i32, x as i32)),
    ///             calls => Err(TooOften(calls)),
    ///         }
    ///     },
    /// )?;
    /// let split = split.typed::<i64, (i32, i32)>(&store)?;
    /// assert_eq!(split.call(&mut store, 7 << 32 | 5)?, (7, 5));
    /// let error = split.call(&mut store, 0).unwrap_err();
    /// assert_eq!(error.downcast_ref(), Some(&TooOften(2)));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn wrap<T, P, R>(
        mut store: impl AsContextMut<Data = T>,
        closure: impl IntoFunc<T, P, R>,
    ) -> Result<Func, Error> {
        Func::from_host(store.as_context_mut().opaque(), closure.into_host_func(), None)
    }

    /// A function of any type, which need not be known to Rust. The closure gets
    /// the arguments, and a slice of zeros and nulls for the results. What it
    /// fails with is an [`Error`]; [`Error::new`] makes one of any other.
    ///
    /// # Errors
    ///
    /// If the stubs for its type cannot be made. A result of another type is an
    /// error of the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use wasmprof_engine::*;
    ///
    /// let engine = Engine::new(Config::new())?;
    /// let mut store = Store::new(&engine, ());
    /// let ty = FuncType::new([ValType::F64, ValType::F64], [ValType::F64]);
    /// let hypotenuse = Func::new(&mut store, ty, |_caller, params, results| {
    ///     let [Some(a), Some(b)] = [params[0].f64(), params[1].f64()] else {
    ///         return Err(Error::new("two numbers are wanted"));
    ///     };
    ///     results[0] = a.hypot(b).into();
    ///     Ok(())
    /// })?;
    /// let hypotenuse = hypotenuse.typed::<(f64, f64), f64>(&store)?;
    /// assert_eq!(hypotenuse.call(&mut store, (3.0, 4.0))?, 5.0);
    /// # Ok::<(), Error>(())
    /// ```
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
    /// If an argument belongs to another store. A panic of a host function goes
    /// on here.
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
