//! Host functions: Rust closures that compiled code calls directly.
//!
//! A closure is wrapped without a shim in machine code: [`IntoFunc`] makes a
//! function in the system's calling convention whose signature is that of the
//! WebAssembly function, behind the closure's address and the caller's vmctx.
//! The compiler of this crate inlines the closure into it. On success it just
//! returns; an error or a panic is raised when everything in it is dropped.
//!
//! This is the host's way in the code of `(call $add (local.get 0) (local.get 1))`
//! with `$add` imported, vmctx in `rdi` and the arguments in `esi` and `edx`:
//!
//! ```text
//! mov  %rdi,%r8
//! mov  0x28(%rdi),%rax     the kind of the import: is it a host function?
//! cmp  $0x1,%rax
//! jne  elsewhere           if not, another instance's function is called
//! mov  %rdx,%rcx           the arguments move up behind the vmctx
//! mov  %rsi,%rdi
//! mov  0x20(%r8),%rax      the closure, for what it captures
//! mov  0x18(%r8),%r9       the address of the function below
//! mov  %rbp,%rsi           where compiled code is left, for backtraces
//! mov  (%r8),%rdx
//! mov  %rsi,0x8(%rdx)
//! mov  %rsp,%rsi
//! mov  %rsi,0x10(%rdx)
//! mov  %r8,%rsi
//! mov  %rdi,%rdx
//! mov  %rax,%rdi
//! call *%r9
//! ```
//!
//! And this is all of the function that the call reaches, as long as it does not
//! fail, for a closure that takes the caller, may fail, and reads the store's
//! data: `a.checked_add(b).ok_or_else(...)? ^ *caller.data()`.
//!
//! ```text
//! <wasmprof_runtime::host::IntoFunc<...>>::into_host_func::code:
//! push %rbx
//! sub  $0x40,%rsp          room for what can go wrong
//! add  %ecx,%edx           the closure begins
//! jo   failed
//! mov  (%rsi),%rax         from the vmctx to the store
//! xor  0x208(%rax),%edx    the store's data; the closure ends
//! mov  %edx,%eax
//! add  $0x40,%rsp
//! pop  %rbx
//! ret
//! ```
//!
//! Both are of a release build, optimised, on x86-64. That there is one call on
//! the host's way and no code between the two is tested, in `zero_shims` of the
//! engine's tests.

use crate::call::{self, Failure};
use crate::few::Room;
use crate::host_error::boxed;
use crate::store::StoreOpaque;
use crate::typed::WasmTy;
use crate::vm::{Value, VmctxHead};
use crate::{BoxError, Caller, Error, ExternRef, Func, V128, Val};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wasmprof_module::{FuncType, TypeId, ValType};

/// A host function that belongs to no store yet.
pub struct HostFunc {
    pub(crate) ty: TypeId,
    /// The function that compiled code calls; for one that takes an array it is
    /// the stub for its type, and not known here.
    pub(crate) code: Option<usize>,
    /// The first argument of that function.
    pub(crate) environment: usize,
    _closure: Box<dyn Any + Send + Sync>,
}

impl HostFunc {
    fn wrapped<F: Send + Sync + 'static>(ty: FuncType, code: usize, closure: F) -> HostFunc {
        let closure = Box::new(closure);
        let environment = (&raw const *closure) as usize;
        let ty = TypeId::of(&ty);
        HostFunc { ty, code: Some(code), environment, _closure: closure }
    }

    /// A function of any type that takes and leaves values in slices.
    pub(crate) fn dynamic<T: 'static>(
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error>
        + Send
        + Sync
        + 'static,
    ) -> HostFunc {
        let function: DynamicFn = Box::new(move |vmctx, params, results| {
            // SAFETY: called by `dynamic` with the vmctx of the caller; its
            // store has a `T`, for only then could the function be linked.
            function(unsafe { Caller::new(vmctx) }, params, results)
        });
        let ty = TypeId::of(&ty);
        let closure = Box::new(Dynamic { call: dynamic, ty: ty.func_type(), function });
        let environment = (&raw const *closure) as usize;
        HostFunc { ty, code: None, environment, _closure: closure }
    }
}

impl fmt::Debug for HostFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostFunc").field("ty", &self.ty).finish_non_exhaustive()
    }
}

type DynamicFn = Box<dyn Fn(*mut VmctxHead, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync>;

/// What the stub for functions that take an array finds in its environment.
#[repr(C)]
struct Dynamic {
    call: unsafe extern "C" fn(*const Dynamic, *mut VmctxHead, *mut Value),
    ty: &'static FuncType,
    function: DynamicFn,
}

/// Calls the closure with the arguments in `values`, where the results go.
unsafe extern "C" fn dynamic(
    environment: *const Dynamic,
    vmctx: *mut VmctxHead,
    values: *mut Value,
) {
    let run = || {
        // SAFETY: the stub passes its environment, the caller's vmctx, and an
        // array with the arguments and room for the results. The store is not
        // borrowed while the closure has its `Caller`.
        unsafe {
            let Dynamic { ty, function, .. } = &*environment;
            let store: *mut StoreOpaque = (*vmctx).store.cast();
            let mut room = Room::new(Val::I32(0));
            let params = room.of(ty.params().len());
            for (at, (param, ty)) in params.iter_mut().zip(ty.params()).enumerate() {
                param.get(&mut *store, *ty, &*values.add(at));
            }
            let mut room = Room::new(Val::I32(0));
            let results = room.of(ty.results().len());
            for (result, ty) in results.iter_mut().zip(ty.results()) {
                *result = Val::default_for(*ty);
            }
            function(vmctx, params, results)?;
            for (at, (result, ty)) in results.iter().zip(ty.results()).enumerate() {
                result.put(&*store, *ty, "a result", &mut *values.add(at))?;
            }
        }
        Ok(())
    };
    // SAFETY: called by compiled code; nothing is left to drop.
    unsafe { settle(vmctx, catch_unwind(AssertUnwindSafe(run))) }
}

/// The value of a host function that has returned; what it failed with is
/// raised.
///
/// # Safety
///
/// Must be called by a host function, or a builtin, that compiled code has
/// called with `vmctx`, with nothing in it left to drop.
#[inline]
pub(crate) unsafe fn settle<R>(
    vmctx: *mut VmctxHead,
    outcome: std::thread::Result<Result<R, BoxError>>,
) -> R {
    // SAFETY: by the contract.
    unsafe { settle_as(Failure::Error, vmctx, outcome) }
}

/// As [`settle`], for what is asked about a program, and does not throw into it.
///
/// # Safety
///
/// As [`settle`].
#[inline]
pub(crate) unsafe fn settle_or_end<R>(
    vmctx: *mut VmctxHead,
    outcome: std::thread::Result<Result<R, BoxError>>,
) -> R {
    // SAFETY: by the contract.
    unsafe { settle_as(Failure::End, vmctx, outcome) }
}

#[inline]
unsafe fn settle_as<R>(
    failure: fn(BoxError) -> Failure,
    vmctx: *mut VmctxHead,
    outcome: std::thread::Result<Result<R, BoxError>>,
) -> R {
    let failure = match outcome {
        Ok(Ok(value)) => return value,
        Ok(Err(error)) => failure(error),
        Err(payload) => Failure::Panic(payload),
    };
    // SAFETY: by the contract; the failure is moved into the store.
    unsafe { call::raise((*vmctx).store, failure) }
}

/// What a host function may return: nothing, a value, a tuple of values, or a
/// `Result` with one of them.
///
/// # Safety
///
/// `Return` and `Out` must be the return type, and the type of the last
/// parameter, of functions in the system's calling convention with results of
/// these `types`: no results or one are returned, more go to the address in the
/// last parameter.
pub unsafe trait HostResult {
    /// The value that is returned.
    type Return;
    /// The address for two and more results; a type without size for less.
    type Out: Copy;

    /// The types of the results.
    fn types() -> Vec<ValType>;

    /// Whether it is a success; its values, with the store that they are for.
    ///
    /// # Safety
    ///
    /// Must be called with what compiled code has passed.
    #[doc(hidden)]
    unsafe fn finish(self, vmctx: *mut VmctxHead, out: Self::Out)
    -> Result<Self::Return, BoxError>;
}

// SAFETY: no results.
unsafe impl HostResult for () {
    type Return = ();
    type Out = ();

    fn types() -> Vec<ValType> {
        Vec::new()
    }

    #[inline]
    unsafe fn finish(self, _: *mut VmctxHead, (): ()) -> Result<(), BoxError> {
        Ok(())
    }
}

// SAFETY: as the result on success; an error does not return.
unsafe impl<R: HostResult, E: Into<BoxError> + 'static> HostResult for Result<R, E> {
    type Return = R::Return;
    type Out = R::Out;

    fn types() -> Vec<ValType> {
        R::types()
    }

    #[inline]
    unsafe fn finish(self, vmctx: *mut VmctxHead, out: R::Out) -> Result<R::Return, BoxError> {
        match self {
            // SAFETY: by the contract.
            Ok(value) => unsafe { value.finish(vmctx, out) },
            Err(error) => Err(boxed(error)),
        }
    }
}

macro_rules! single_result {
    ($($ty:ty)*) => {$(
        // SAFETY: one result is returned.
        unsafe impl HostResult for $ty {
            type Return = <$ty as WasmTy>::Abi;
            type Out = ();

            fn types() -> Vec<ValType> {
                vec![<$ty as WasmTy>::TYPE]
            }

            #[inline]
            unsafe fn finish(self, vmctx: *mut VmctxHead, (): ()) -> Result<Self::Return, BoxError> {
                // SAFETY: by the contract, the vmctx is that of the caller.
                Ok(unsafe { self.into_abi((*vmctx).store.cast()) })
            }
        }
    )*};
}

single_result!(i32 u32 i64 u64 f32 f64 V128 Func Option<Func> ExternRef Option<ExternRef>);

// SAFETY: one result is returned.
unsafe impl<A: WasmTy> HostResult for (A,) {
    type Return = A::Abi;
    type Out = ();

    fn types() -> Vec<ValType> {
        vec![A::TYPE]
    }

    #[inline]
    unsafe fn finish(self, vmctx: *mut VmctxHead, (): ()) -> Result<A::Abi, BoxError> {
        // SAFETY: by the contract, the vmctx is that of the caller.
        Ok(unsafe { self.0.into_abi((*vmctx).store.cast()) })
    }
}

macro_rules! tuple_results {
    ($($name:ident)*) => {
        // SAFETY: two and more results go to the address.
        unsafe impl<$($name: WasmTy),*> HostResult for ($($name,)*) {
            type Return = ();
            type Out = *mut Value;

            fn types() -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }

            #[inline]
            #[allow(non_snake_case)]
            unsafe fn finish(self, vmctx: *mut VmctxHead, out: *mut Value) -> Result<(), BoxError> {
                let ($($name,)*) = self;
                let mut at = out;
                // SAFETY: the caller has room for all results at `out`.
                unsafe {
                    let store = (*vmctx).store.cast();
                    $(
                        *at = Value::from_bits($name::to_bits($name.into_abi(store)));
                        at = at.add(1);
                    )*
                }
                let _ = at;
                Ok(())
            }
        }
    };
}

/// Closures that can become host functions: with 0 to 16 parameters, with or
/// without a [`Caller`] before them.
///
/// # Safety
///
/// The host function must be one for stores whose data is a `T`, and must keep
/// to the convention that compiled code calls it by.
pub unsafe trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    /// The host function.
    #[doc(hidden)]
    fn into_host_func(self) -> Arc<HostFunc>;
}

macro_rules! into_func {
    ($($name:ident)*) => {
        // SAFETY: the closure sees nothing of the store's data, and the function
        // below is the convention.
        unsafe impl<T, F, $($name,)* R> IntoFunc<T, ($($name,)*), R> for F
        where
            F: Fn($($name),*) -> R + Send + Sync + 'static,
            $($name: WasmTy,)*
            R: HostResult,
        {
            fn into_host_func(self) -> Arc<HostFunc> {
                #[allow(non_snake_case)]
                unsafe extern "C" fn code<F, $($name,)* R>(
                    closure: *const F,
                    vmctx: *mut VmctxHead,
                    $($name: $name::Abi,)*
                    out: R::Out,
                ) -> R::Return
                where
                    F: Fn($($name),*) -> R,
                    $($name: WasmTy,)*
                    R: HostResult,
                {
                    // SAFETY: compiled code calls this as its type says, with
                    // the environment that it was linked with, and nothing is
                    // left to drop when the outcome is settled.
                    unsafe {
                        settle(vmctx, catch_unwind(AssertUnwindSafe(|| {
                            let closure = &*closure;
                            $(let $name = $name::from_abi((*vmctx).store.cast(), $name);)*
                            closure($($name),*).finish(vmctx, out)
                        })))
                    }
                }
                let ty = FuncType::new([$($name::TYPE),*], R::types());
                let code = code::<F, $($name,)* R> as *const () as usize;
                Arc::new(HostFunc::wrapped(ty, code, self))
            }
        }

        // SAFETY: the closure takes the data for a `T`, and the function below is
        // the convention.
        unsafe impl<T: 'static, F, $($name,)* R> IntoFunc<T, (Caller<'_, T>, $($name,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
            $($name: WasmTy,)*
            R: HostResult,
        {
            fn into_host_func(self) -> Arc<HostFunc> {
                #[allow(non_snake_case)]
                unsafe extern "C" fn code<T, F, $($name,)* R>(
                    closure: *const F,
                    vmctx: *mut VmctxHead,
                    $($name: $name::Abi,)*
                    out: R::Out,
                ) -> R::Return
                where
                    F: Fn(Caller<'_, T>, $($name),*) -> R,
                    $($name: WasmTy,)*
                    R: HostResult,
                {
                    // SAFETY: as above; the store of the caller has a `T`, for
                    // only then could the function be linked.
                    unsafe {
                        settle(vmctx, catch_unwind(AssertUnwindSafe(|| {
                            let closure = &*closure;
                            $(let $name = $name::from_abi((*vmctx).store.cast(), $name);)*
                            closure(Caller::new(vmctx), $($name),*).finish(vmctx, out)
                        })))
                    }
                }
                let ty = FuncType::new([$($name::TYPE),*], R::types());
                let code = code::<T, F, $($name,)* R> as *const () as usize;
                Arc::new(HostFunc::wrapped(ty, code, self))
            }
        }
    };
}

/// Calls a macro with each prefix of a list of names, from `$from` names on.
macro_rules! each_arity {
    ($macro:ident) => {
        $macro!();
        $macro!(A1);
        each_arity!(two_and_more $macro);
    };
    (two_and_more $macro:ident) => {
        $macro!(A1 A2);
        $macro!(A1 A2 A3);
        $macro!(A1 A2 A3 A4);
        $macro!(A1 A2 A3 A4 A5);
        $macro!(A1 A2 A3 A4 A5 A6);
        $macro!(A1 A2 A3 A4 A5 A6 A7);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15);
        $macro!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16);
    };
}
pub(crate) use each_arity;

each_arity!(into_func);
each_arity!(two_and_more tuple_results);
