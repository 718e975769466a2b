//! Numbers for function types: equal types have equal numbers.
//!
//! Types are numbered for the whole process, so that modules, engines and
//! stores agree about them and comparing two is comparing numbers. Without
//! recursion groups, which belong to the GC proposal, a type names only types
//! before it, and is equal to another if it is written alike and the types it
//! names are equal (specification, "Type Equivalence"). A number is never given
//! back: a program has few types, and whoever has a number may use it for ever.

use crate::{FuncType, TypeMap};
use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

/// The number of a function type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct TypeId(u32);

/// The numbers of the function types that the process has met.
static IDS: LazyLock<RwLock<HashMap<&'static FuncType, TypeId>>> = LazyLock::new(RwLock::default);

/// The types.
static TYPES: TypeMap<&'static FuncType> = TypeMap::new();

impl TypeId {
    /// The number of a type.
    pub fn of(ty: &FuncType) -> TypeId {
        if let Some(id) = IDS.read().unwrap_or_else(PoisonError::into_inner).get(ty) {
            return *id;
        }
        let mut ids = IDS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = ids.get(ty) {
            return *id;
        }
        let id = TypeId(ids.len() as u32);
        let ty: &'static FuncType = Box::leak(Box::new(ty.clone()));
        TYPES.insert(id, ty);
        ids.insert(ty, id);
        id
    }

    /// The type.
    pub fn func_type(self) -> &'static FuncType {
        TYPES.get(self).expect("a type is listed before its number is given out")
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeapType, RefType, ValType};

    #[test]
    fn equal_types_have_equal_numbers() {
        let plain = FuncType::new([ValType::I32], [ValType::F64]);
        let id = TypeId::of(&plain);
        assert_eq!(TypeId::of(&plain.clone()), id);
        assert_eq!(*id.func_type(), plain);
        assert_ne!(TypeId::of(&FuncType::new([ValType::F64], [ValType::I32])), id);

        let reference = ValType::Ref(RefType { nullable: true, heap: HeapType::Concrete(id) });
        let naming = FuncType::new([reference], []);
        assert_eq!(TypeId::of(&naming), TypeId::of(&naming.clone()));
        assert_ne!(TypeId::of(&naming), id);
    }
}
