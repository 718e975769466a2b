//! Functions whose type is known to the compiler of Rust.

use crate::call;
use crate::host::each_arity;
use crate::store::StoreOpaque;
use crate::sys::arch::{self, Vector};
use crate::vm::Value;
use crate::{AsContextMut, Error, ExternRef, Func, V128};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use wasmprof_module::{FuncType, HeapType, RefType, ValType};

/// Types of Rust that stand for types of WebAssembly.
///
/// | Rust | WebAssembly |
/// |---|---|
/// | `i32`, `u32` | `i32` |
/// | `i64`, `u64` | `i64` |
/// | `f32`, `f64` | `f32`, `f64` |
/// | [`V128`] | `v128` |
/// | `Option<`[`Func`]`>`, `Option<`[`ExternRef`]`>` | `funcref`, `externref` |
/// | [`Func`], [`ExternRef`] | `(ref func)`, `(ref extern)` |
///
/// # Safety
///
/// `Abi` must be what compiled code passes for a value of type `TYPE`.
pub unsafe trait WasmTy: Sized {
    /// What is passed.
    type Abi: Copy;
    /// The type of WebAssembly.
    const TYPE: ValType;

    /// The value that compiled code of `store` has passed.
    #[doc(hidden)]
    unsafe fn from_abi(store: *const StoreOpaque, abi: Self::Abi) -> Self;
    /// What to pass to compiled code of `store`.
    #[doc(hidden)]
    unsafe fn into_abi(self, store: *const StoreOpaque) -> Self::Abi;
    /// As bits, narrow values in the low ones.
    #[doc(hidden)]
    fn to_bits(abi: Self::Abi) -> u128;
    /// From such bits.
    #[doc(hidden)]
    fn from_bits(bits: u128) -> Self::Abi;
}

macro_rules! number {
    ($($ty:ident $wasm:ident |$value:ident| $to:expr, |$bits:ident| $from:expr;)*) => {$(
        // SAFETY: a number is passed as it is.
        unsafe impl WasmTy for $ty {
            type Abi = $ty;
            const TYPE: ValType = ValType::$wasm;

            #[inline]
            unsafe fn from_abi(_: *const StoreOpaque, abi: $ty) -> $ty {
                abi
            }
            #[inline]
            unsafe fn into_abi(self, _: *const StoreOpaque) -> $ty {
                self
            }
            #[inline]
            fn to_bits($value: $ty) -> u128 {
                $to
            }
            #[inline]
            fn from_bits($bits: u128) -> $ty {
                $from
            }
        }
    )*};
}

number! {
    i32 I32 |value| u128::from(value as u32), |bits| bits as i32;
    u32 I32 |value| u128::from(value), |bits| bits as u32;
    i64 I64 |value| u128::from(value as u64), |bits| bits as i64;
    u64 I64 |value| u128::from(value), |bits| bits as u64;
    f32 F32 |value| u128::from(value.to_bits()), |bits| f32::from_bits(bits as u32);
    f64 F64 |value| u128::from(value.to_bits()), |bits| f64::from_bits(bits as u64);
}

// SAFETY: a vector is passed in a vector register, or where the convention puts
// one that finds no register.
unsafe impl WasmTy for V128 {
    type Abi = Vector;
    const TYPE: ValType = ValType::V128;

    #[inline]
    unsafe fn from_abi(_: *const StoreOpaque, abi: Vector) -> V128 {
        arch::bits_of_vector(abi).into()
    }
    #[inline]
    unsafe fn into_abi(self, _: *const StoreOpaque) -> Vector {
        arch::vector_from_bits(self.into())
    }
    #[inline]
    fn to_bits(abi: Vector) -> u128 {
        arch::bits_of_vector(abi)
    }
    #[inline]
    fn from_bits(bits: u128) -> Vector {
        arch::vector_from_bits(bits)
    }
}

// SAFETY: a reference is passed as a pointer, and null as zero.
unsafe impl WasmTy for Option<Func> {
    type Abi = u64;
    const TYPE: ValType = ValType::FUNCREF;

    #[inline]
    unsafe fn from_abi(store: *const StoreOpaque, abi: u64) -> Self {
        // SAFETY: by the contract.
        unsafe { Func::from_bits(&*store, abi) }
    }
    #[inline]
    unsafe fn into_abi(self, store: *const StoreOpaque) -> u64 {
        // SAFETY: by the contract.
        self.map_or(0, |func| func.to_bits(unsafe { &*store }))
    }
    #[inline]
    fn to_bits(abi: u64) -> u128 {
        u128::from(abi)
    }
    #[inline]
    fn from_bits(bits: u128) -> u64 {
        bits as u64
    }
}

// SAFETY: as for functions, with a handle in place of the pointer.
unsafe impl WasmTy for Option<ExternRef> {
    type Abi = u64;
    const TYPE: ValType = ValType::EXTERNREF;

    #[inline]
    unsafe fn from_abi(store: *const StoreOpaque, abi: u64) -> Self {
        // SAFETY: by the contract.
        ExternRef::from_bits(unsafe { &*store }, abi)
    }
    #[inline]
    unsafe fn into_abi(self, store: *const StoreOpaque) -> u64 {
        // SAFETY: by the contract.
        self.map_or(0, |reference| reference.to_bits(unsafe { &*store }))
    }
    #[inline]
    fn to_bits(abi: u64) -> u128 {
        u128::from(abi)
    }
    #[inline]
    fn from_bits(bits: u128) -> u64 {
        bits as u64
    }
}

macro_rules! non_null {
    ($($ty:ty: $heap:ident;)*) => {$(
        // SAFETY: as for references that may be null; compiled code passes no
        // null for a type that has none.
        unsafe impl WasmTy for $ty {
            type Abi = u64;
            const TYPE: ValType =
                ValType::Ref(RefType { nullable: false, heap: HeapType::$heap });

            #[inline]
            unsafe fn from_abi(store: *const StoreOpaque, abi: u64) -> Self {
                // SAFETY: by the contract.
                let reference = unsafe { Option::<$ty>::from_abi(store, abi) };
                reference.expect("a type without null")
            }
            #[inline]
            unsafe fn into_abi(self, store: *const StoreOpaque) -> u64 {
                // SAFETY: by the contract.
                unsafe { Some(self).into_abi(store) }
            }
            #[inline]
            fn to_bits(abi: u64) -> u128 {
                Option::<$ty>::to_bits(abi)
            }
            #[inline]
            fn from_bits(bits: u128) -> u64 {
                Option::<$ty>::from_bits(bits)
            }
        }
    )*};
}

non_null! {
    Func: Func;
    ExternRef: Extern;
}

/// Parameters of a [`TypedFunc`]: nothing, a value, or a tuple of values.
///
/// # Safety
///
/// `store_values` must write as many values as there are `types`.
pub unsafe trait WasmParams {
    /// The types of the values.
    fn types() -> Vec<ValType>;
    /// How many there are.
    #[doc(hidden)]
    const COUNT: usize;
    /// Writes them to an array for compiled code of `store`.
    #[doc(hidden)]
    unsafe fn store_values(self, store: *const StoreOpaque, values: *mut Value);
}

/// Results of a [`TypedFunc`]: nothing, a value, or a tuple of values.
///
/// # Safety
///
/// `load_values` must read no more values than there are `types`.
pub unsafe trait WasmResults: WasmParams {
    /// Reads them from an array that compiled code of `store` has written.
    #[doc(hidden)]
    unsafe fn load_values(store: *const StoreOpaque, values: *const Value) -> Self;
}

macro_rules! single_value {
    ($($ty:ty)*) => {$(
        // SAFETY: one value.
        unsafe impl WasmParams for $ty {
            const COUNT: usize = 1;

            fn types() -> Vec<ValType> {
                vec![<$ty as WasmTy>::TYPE]
            }
            #[inline]
            unsafe fn store_values(self, store: *const StoreOpaque, values: *mut Value) {
                // SAFETY: by the contract.
                unsafe { <($ty,)>::store_values((self,), store, values) }
            }
        }
        // SAFETY: one value.
        unsafe impl WasmResults for $ty {
            #[inline]
            unsafe fn load_values(store: *const StoreOpaque, values: *const Value) -> Self {
                // SAFETY: by the contract.
                unsafe { <($ty,)>::load_values(store, values).0 }
            }
        }
    )*};
}

single_value!(i32 u32 i64 u64 f32 f64 V128 Func Option<Func> ExternRef Option<ExternRef>);

macro_rules! tuple_values {
    ($($name:ident)*) => {
        // SAFETY: as many values as names.
        unsafe impl<$($name: WasmTy),*> WasmParams for ($($name,)*) {
            const COUNT: usize = 0 $(+ { let _ = $name::TYPE; 1 })*;

            fn types() -> Vec<ValType> {
                vec![$($name::TYPE),*]
            }
            #[inline]
            #[allow(non_snake_case, unused_variables, unused_mut, unused_assignments, unused_unsafe)]
            unsafe fn store_values(self, store: *const StoreOpaque, mut values: *mut Value) {
                let ($($name,)*) = self;
                // SAFETY: by the contract, there is room for all.
                unsafe {
                    $(
                        *values = Value::from_bits($name::to_bits($name.into_abi(store)));
                        values = values.add(1);
                    )*
                }
            }
        }
        // SAFETY: as many values as names.
        unsafe impl<$($name: WasmTy),*> WasmResults for ($($name,)*) {
            #[inline]
            #[allow(non_snake_case, unused_variables, unused_mut, unused_assignments, unused_unsafe)]
            #[allow(clippy::unused_unit)]
            unsafe fn load_values(store: *const StoreOpaque, mut values: *const Value) -> Self {
                // SAFETY: by the contract.
                unsafe {
                    $(
                        let $name = $name::from_abi(store, $name::from_bits((*values).bits()));
                        values = values.add(1);
                    )*
                    ($($name,)*)
                }
            }
        }
    };
}

each_arity!(tuple_values);

/// A function whose type Rust knows: calling it costs some nanoseconds, and no
/// more checks than whether the store is its own.
///
/// `P` and `R` are nothing, one of the types that are a [`WasmTy`], or a tuple of
/// up to sixteen.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new())?;
/// let wat = r#"(module (func (export "divide") (param i32 i32) (result i32 i32)
///     (i32.div_s (local.get 0) (local.get 1))
///     (i32.rem_s (local.get 0) (local.get 1))))"#;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &Module::new(&engine, wat)?, &[])?;
/// let divide = instance.get_typed_func::<(i32, i32), (i32, i32)>(&mut store, "divide")?;
/// assert_eq!(divide.call(&mut store, (17, 5))?, (3, 2));
/// assert!(divide.call(&mut store, (1, 0)).is_err());
///
/// // Another type is an error here, rather than at each call.
/// assert!(instance.get_typed_func::<i32, i32>(&mut store, "divide").is_err());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct TypedFunc<P, R> {
    func: Func,
    entry: usize,
    signature: PhantomData<fn(P) -> R>,
}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for TypedFunc<P, R> {}

impl<P: WasmParams, R: WasmResults> TypedFunc<P, R> {
    /// The type of WebAssembly that `P` and `R` stand for.
    pub(crate) fn wasm_type() -> FuncType {
        FuncType::new(P::types(), R::types())
    }

    /// `func`, whose type must be `wasm_type()`, with the entry stub for it.
    pub(crate) fn new(func: Func, entry: usize) -> Self {
        TypedFunc { func, entry, signature: PhantomData }
    }

    /// The function without its type.
    pub fn func(&self) -> Func {
        self.func
    }

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// If it traps, or a host function that it calls fails.
    ///
    /// # Panics
    ///
    /// If the function or an argument belongs to another store. A panic of a
    /// host function goes on here.
    pub fn call(&self, mut store: impl AsContextMut, params: P) -> Result<R, Error> {
        let mut store = store.as_context_mut();
        let store: *mut StoreOpaque = store.opaque();
        // Room for the most values that any of the types has.
        let mut values = [const { MaybeUninit::<Value>::uninit() }; 16];
        const { assert!(P::COUNT <= 16 && R::COUNT <= 16) };
        let values: *mut Value = values.as_mut_ptr().cast();
        // SAFETY: the store is borrowed mutably, the stub is the one for the
        // type, and there is room for all arguments and results. What is read
        // has been written: the results, by the stub.
        unsafe {
            let function = self.func.func_ref(&*store);
            params.store_values(store, values);
            call::enter(store, self.entry, function, values)?;
            Ok(R::load_values(store, values))
        }
    }
}
