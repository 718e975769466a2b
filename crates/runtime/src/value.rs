//! Values as the embedder sees them.

use crate::store::StoreOpaque;
use crate::{AsContext, Error, ExternRef, Func, LinkError};
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
    /// A reference to a function; `None` is null.
    FuncRef(Option<Func>),
    /// A reference to something of the host's; `None` is null.
    ExternRef(Option<ExternRef>),
}

impl Val {
    /// The null reference of a type.
    pub fn null(ty: RefType) -> Val {
        match ty.heap {
            HeapType::Func => Val::FuncRef(None),
            HeapType::Extern => Val::ExternRef(None),
        }
    }

    /// Zero or null.
    pub fn default_for(ty: ValType) -> Val {
        match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => unreachable!("vectors are not in our features"),
            ValType::Ref(ty) => Val::null(ty),
        }
    }

    /// The type.
    pub fn ty(&self) -> ValType {
        match self {
            Val::I32(_) => ValType::I32,
            Val::I64(_) => ValType::I64,
            Val::F32(_) => ValType::F32,
            Val::F64(_) => ValType::F64,
            Val::FuncRef(_) => ValType::FUNCREF,
            Val::ExternRef(_) => ValType::EXTERNREF,
        }
    }

    /// The bits that compiled code knows the value by, if it has the type `ty`.
    pub(crate) fn to_bits(
        self,
        store: &StoreOpaque,
        ty: ValType,
        what: &str,
    ) -> Result<u64, Error> {
        if self.ty() != ty {
            return Err(LinkError::ValueType { wanted: ty, what: what.to_owned() }.into());
        }
        Ok(match self {
            Val::I32(value) => u64::from(value as u32),
            Val::I64(value) => value as u64,
            Val::F32(bits) => u64::from(bits),
            Val::F64(bits) => bits,
            Val::FuncRef(func) => func.map_or(0, |func| func.to_bits(store)),
            Val::ExternRef(reference) => reference.map_or(0, |reference| reference.to_bits(store)),
        })
    }

    /// The value of type `ty` with these bits.
    ///
    /// # Safety
    ///
    /// They must come from compiled code of `store`.
    pub(crate) unsafe fn from_bits(store: &StoreOpaque, ty: ValType, bits: u64) -> Val {
        match ty {
            ValType::I32 => Val::I32(bits as i32),
            ValType::I64 => Val::I64(bits as i64),
            ValType::F32 => Val::F32(bits as u32),
            ValType::F64 => Val::F64(bits),
            ValType::V128 => unreachable!("vectors are not in our features"),
            // SAFETY: by the contract.
            ValType::Ref(ty) => unsafe { Val::reference(store, ty, bits) },
        }
    }

    /// The reference with these bits; see [`from_bits`](Val::from_bits).
    pub(crate) unsafe fn reference(store: &StoreOpaque, ty: RefType, bits: u64) -> Val {
        match ty.heap {
            // SAFETY: by the contract.
            HeapType::Func => Val::FuncRef(unsafe { Func::from_bits(store, bits) }),
            HeapType::Extern => Val::ExternRef(ExternRef::from_bits(store, bits)),
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

    /// Whether a reference belongs to the store, or is none.
    pub fn belongs_to(&self, store: impl AsContext) -> bool {
        let id = store.as_context().inner.opaque.id;
        match self {
            Val::FuncRef(Some(func)) => func.store_id() == id,
            Val::ExternRef(Some(reference)) => reference.store_id() == id,
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

impl From<Func> for Val {
    fn from(func: Func) -> Val {
        Val::FuncRef(Some(func))
    }
}

impl From<ExternRef> for Val {
    fn from(reference: ExternRef) -> Val {
        Val::ExternRef(Some(reference))
    }
}
