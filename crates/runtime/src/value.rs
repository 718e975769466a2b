//! Values as the embedder sees them.

use crate::store::StoreOpaque;
use crate::vm::Value;
use crate::{AsContext, Error, ExnRef, ExternRef, Func, LinkError, V128};
use wasmprof_module::{HeapType, RefType, ValType};

/// A value of WebAssembly. Floats are kept as bits.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let values = [Val::from(7), Val::from(7i64), Val::from(0.5f32), Val::from(0.5)];
/// assert_eq!(values.map(|value| value.ty()).map(|ty| ty.to_string()), ["i32", "i64", "f32", "f64"]);
/// assert_eq!(values[0].i32(), Some(7));
/// assert_eq!(values[0].i64(), None);
/// assert_eq!(values[3].f64(), Some(0.5));
/// assert_eq!(Val::default_for(ValType::F32).f32(), Some(0.0));
/// assert!(matches!(Val::default_for(ValType::FUNCREF), Val::FuncRef(None)));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Val {
    /// `i32`
    I32(i32),
    /// `i64`
    I64(i64),
    /// `f32`, as bits
    F32(u32),
    /// `f64`, as bits
    F64(u64),
    /// `v128`, the first lane in the low bits; see [`V128`]
    V128(u128),
    /// A reference to a function; `None` is null.
    FuncRef(Option<Func>),
    /// A reference to something of the host's; `None` is null.
    ExternRef(Option<ExternRef>),
    /// A reference to an exception; `None` is null.
    ExnRef(Option<ExnRef>),
}

impl Val {
    /// The null reference of a type.
    pub fn null(ty: RefType) -> Val {
        match ty.heap {
            HeapType::Extern => Val::ExternRef(None),
            HeapType::Exn | HeapType::NoExn => Val::ExnRef(None),
            _ => Val::FuncRef(None),
        }
    }

    /// Zero or null, even for a type to which null does not belong.
    pub fn default_for(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(0),
            ValType::Ref(ty) => Val::null(ty),
        }
    }

    /// The type; for a reference, the widest that it has.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::V128(_) => ValType::V128,
            Val::FuncRef(_) => ValType::FUNCREF,
            Val::ExternRef(_) => ValType::EXTERNREF,
            Val::ExnRef(_) => ValType::EXNREF,
        }
    }

    /// Whether it is a value of the type `ty`.
    fn fits(self, store: &StoreOpaque, ty: ValType) -> bool {
        let ValType::Ref(ty) = ty else { return self.ty() == ty };
        match (self, ty.heap) {
            (Val::FuncRef(None), HeapType::Func | HeapType::Concrete(_))
            | (Val::ExternRef(None), HeapType::Extern)
            | (Val::ExnRef(None), HeapType::Exn | HeapType::NoExn) => ty.nullable,
            (Val::FuncRef(Some(_)), HeapType::Func)
            | (Val::ExternRef(Some(_)), HeapType::Extern)
            | (Val::ExnRef(Some(_)), HeapType::Exn) => true,
            (Val::FuncRef(Some(func)), HeapType::Concrete(id)) => func.type_id(store) == id,
            _ => false,
        }
    }

    /// What compiled code knows the value by, if it has the type `ty`.
    pub(crate) fn to_value(
        self,
        store: &StoreOpaque,
        ty: ValType,
        what: &str,
    ) -> Result<Value, Error> {
        let mut value = Value::default();
        self.put(store, ty, what, &mut value)?;
        Ok(value)
    }

    /// Puts what compiled code knows the value by to a place, if it has the
    /// type `ty`.
    ///
    /// Values are read and written in their own width here, never copied as a
    /// whole: what has just been written in parts is slow to read as one.
    #[inline]
    pub(crate) fn put(
        &self,
        store: &StoreOpaque,
        ty: ValType,
        what: &str,
        place: &mut Value,
    ) -> Result<(), Error> {
        match (self, ty) {
            (Val::I32(value), ValType::I32) => *place = Value::from_word(u64::from(*value as u32)),
            (Val::I64(value), ValType::I64) => *place = Value::from_word(*value as u64),
            (Val::F32(bits), ValType::F32) => *place = Value::from_word(u64::from(*bits)),
            (Val::F64(bits), ValType::F64) => *place = Value::from_word(*bits),
            (Val::V128(bits), ValType::V128) => *place = Value::from_bits(*bits),
            _ => return self.put_reference(store, ty, what, place),
        }
        Ok(())
    }

    #[inline(never)]
    fn put_reference(
        self,
        store: &StoreOpaque,
        ty: ValType,
        what: &str,
        place: &mut Value,
    ) -> Result<(), Error> {
        if !self.fits(store, ty) {
            return Err(LinkError::ValueType { wanted: ty, what: what.to_owned() }.into());
        }
        *place = Value::from_word(match self {
            Val::FuncRef(func) => func.map_or(0, |it| it.to_bits(store)),
            Val::ExternRef(some) => some.map_or(0, |it| it.to_bits(store)),
            Val::ExnRef(some) => some.map_or(0, |it| it.to_bits(store)),
            number => unreachable!("{number:?} has no type but its own"),
        });
        Ok(())
    }

    /// The value of type `ty` that compiled code knows as `value`.
    ///
    /// # Safety
    ///
    /// It must come from compiled code of `store`.
    pub(crate) unsafe fn from_value(store: &mut StoreOpaque, ty: ValType, value: &Value) -> Val {
        let mut val = Val::I32(0);
        // SAFETY: by the contract.
        unsafe { val.get(store, ty, value) };
        val
    }

    /// Becomes the value of type `ty` that compiled code knows as `value`; see
    /// [`put`](Val::put).
    ///
    /// # Safety
    ///
    /// It must come from compiled code of `store`.
    #[inline]
    pub(crate) unsafe fn get(&mut self, store: &mut StoreOpaque, ty: ValType, value: &Value) {
        match ty {
            ValType::I32 => *self = Val::I32(value.half_word() as i32),
            ValType::I64 => *self = Val::I64(value.word() as i64),
            ValType::F32 => *self = Val::F32(value.half_word()),
            ValType::F64 => *self = Val::F64(value.word()),
            ValType::V128 => *self = Val::V128(value.bits()),
            // SAFETY: by the contract.
            ValType::Ref(ty) => *self = unsafe { Val::reference(store, ty, value.word()) },
        }
    }

    /// The reference with these bits; see [`from_value`](Val::from_value).
    #[inline(never)]
    pub(crate) unsafe fn reference(store: &mut StoreOpaque, ty: RefType, bits: u64) -> Val {
        match ty.heap {
            HeapType::Extern => Val::ExternRef(ExternRef::from_bits(store, bits)),
            HeapType::Exn | HeapType::NoExn => {
                // SAFETY: by the contract.
                Val::ExnRef(unsafe { ExnRef::from_bits(store, bits) })
            }
            // SAFETY: by the contract.
            _ => Val::FuncRef(unsafe { Func::from_bits(store, bits) }),
        }
    }

    /// The integer, if it is an `i32`.
    pub fn i32(&self) -> Option<i32> {
        if let Val::I32(value) = self { Some(*value) } else { None }
    }

    /// The integer, if it is an `i64`.
    pub fn i64(&self) -> Option<i64> {
        if let Val::I64(value) = self { Some(*value) } else { None }
    }

    /// The number, if it is an `f32`.
    pub fn f32(&self) -> Option<f32> {
        if let Val::F32(bits) = self { Some(f32::from_bits(*bits)) } else { None }
    }

    /// The number, if it is an `f64`.
    pub fn f64(&self) -> Option<f64> {
        if let Val::F64(bits) = self { Some(f64::from_bits(*bits)) } else { None }
    }

    /// The vector, if it is a `v128`.
    pub fn v128(&self) -> Option<V128> {
        if let Val::V128(bits) = self { Some(V128::from(*bits)) } else { None }
    }

    /// Whether a reference belongs to the store, or is none.
    pub fn belongs_to(&self, store: impl AsContext) -> bool {
        let id = store.as_context().inner.opaque.id;
        match self {
            Val::FuncRef(Some(func)) => func.store_id() == id,
            Val::ExternRef(Some(reference)) => reference.store_id() == id,
            Val::ExnRef(Some(reference)) => reference.store_id() == id,
            _ => true,
        }
    }
}

impl From<i32> for Val {
    fn from(value: i32) -> Val {
        Val::I32(value)
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Val {
        Val::I64(value)
    }
}

impl From<f32> for Val {
    fn from(value: f32) -> Val {
        Val::F32(value.to_bits())
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Val {
        Val::F64(value.to_bits())
    }
}

impl From<V128> for Val {
    fn from(value: V128) -> Val {
        Val::V128(value.into())
    }
}

impl From<Func> for Val {
    fn from(func: Func) -> Val {
        Val::FuncRef(Some(func))
    }
}

impl From<ExnRef> for Val {
    fn from(reference: ExnRef) -> Val {
        Val::ExnRef(Some(reference))
    }
}

impl From<ExternRef> for Val {
    fn from(reference: ExternRef) -> Val {
        Val::ExternRef(Some(reference))
    }
}
