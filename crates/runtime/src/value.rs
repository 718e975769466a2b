//! Values as the embedder sees them.

use crate::store::StoreOpaque;
use crate::vm::Value;
use crate::{AsContext, Error, ExnRef, ExternRef, Func, LinkError, V128};
use wasmprof_module::{HeapType, RefType, ValType};

/// A value of WebAssembly. Floats are kept as bits.
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
        if !self.fits(store, ty) {
            return Err(LinkError::ValueType { wanted: ty, what: what.to_owned() }.into());
        }
        Ok(match self {
            Val::I32(value) => Value::from_word(u64::from(value as u32)),
            Val::I64(value) => Value::from_word(value as u64),
            Val::F32(bits) => Value::from_word(u64::from(bits)),
            Val::F64(bits) => Value::from_word(bits),
            Val::V128(bits) => Value::from_bits(bits),
            Val::FuncRef(func) => Value::from_word(func.map_or(0, |it| it.to_bits(store))),
            Val::ExternRef(some) => Value::from_word(some.map_or(0, |it| it.to_bits(store))),
            Val::ExnRef(some) => Value::from_word(some.map_or(0, |it| it.to_bits(store))),
        })
    }

    /// The value of type `ty` that compiled code knows as `value`.
    ///
    /// # Safety
    ///
    /// It must come from compiled code of `store`.
    pub(crate) unsafe fn from_value(store: &mut StoreOpaque, ty: ValType, value: Value) -> Val {
        let bits = value.bits();
        match ty {
            ValType::I32 => Val::I32(bits as i32),
            ValType::I64 => Val::I64(bits as i64),
            ValType::F32 => Val::F32(bits as u32),
            ValType::F64 => Val::F64(bits as u64),
            ValType::V128 => Val::V128(bits),
            // SAFETY: by the contract.
            ValType::Ref(ty) => unsafe { Val::reference(store, ty, bits as u64) },
        }
    }

    /// The reference with these bits; see [`from_value`](Val::from_value).
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
