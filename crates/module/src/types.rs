//! The types of WebAssembly, and the index spaces that name things in a module.

use crate::{PAGE_SIZE, TypeId};
use std::fmt;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The index as a position in a slice.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// A function of a module: imports come first.
    FuncIndex
}
index! {
    /// A function type of a module.
    TypeIndex
}

/// What a reference may point to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeapType {
    /// Any function.
    Func,
    /// A function of this type.
    Concrete(TypeId),
    /// Any value of the host.
    Extern,
    /// Any exception.
    Exn,
    /// No exception: only the null reference has this type.
    NoExn,
}

impl HeapType {
    /// Whether everything that this points to, `other` may point to
    /// (specification, "Matching", heap types).
    pub fn matches(self, other: HeapType) -> bool {
        self == other
            || matches!(
                (self, other),
                (HeapType::Concrete(_), HeapType::Func) | (HeapType::NoExn, HeapType::Exn)
            )
    }
}

/// A reference type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    /// Whether the null reference belongs to the type.
    pub nullable: bool,
    /// What the reference may point to.
    pub heap: HeapType,
}

impl RefType {
    /// `funcref`
    pub const FUNCREF: RefType = RefType { nullable: true, heap: HeapType::Func };
    /// `externref`
    pub const EXTERNREF: RefType = RefType { nullable: true, heap: HeapType::Extern };
    /// `exnref`
    pub const EXNREF: RefType = RefType { nullable: true, heap: HeapType::Exn };

    /// Whether every reference of this type is one of `other`.
    pub fn matches(self, other: RefType) -> bool {
        (other.nullable || !self.nullable) && self.heap.matches(other.heap)
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
    /// A 128-bit vector.
    V128,
    /// A reference.
    Ref(RefType),
}

impl ValType {
    /// `funcref`
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// `externref`
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);
    /// `exnref`
    pub const EXNREF: ValType = ValType::Ref(RefType::EXNREF);

    /// Whether every value of this type is one of `other`.
    pub fn matches(self, other: ValType) -> bool {
        match (self, other) {
            (ValType::Ref(this), ValType::Ref(other)) => this.matches(other),
            _ => self == other,
        }
    }
}

impl fmt::Display for HeapType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeapType::Func => f.write_str("func"),
            HeapType::Extern => f.write_str("extern"),
            HeapType::Exn => f.write_str("exn"),
            HeapType::NoExn => f.write_str("noexn"),
            HeapType::Concrete(id) => write!(f, "${id}"),
        }
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nullable, self.heap) {
            (true, HeapType::Func) => f.write_str("funcref"),
            (true, HeapType::Extern) => f.write_str("externref"),
            (true, HeapType::Exn) => f.write_str("exnref"),
            (true, HeapType::NoExn) => f.write_str("nullexnref"),
            (true, heap) => write!(f, "(ref null {heap})"),
            (false, heap) => write!(f, "(ref {heap})"),
        }
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValType::I32 => f.write_str("i32"),
            ValType::I64 => f.write_str("i64"),
            ValType::F32 => f.write_str("f32"),
            ValType::F64 => f.write_str("f64"),
            ValType::V128 => f.write_str("v128"),
            ValType::Ref(reference) => reference.fmt(f),
        }
    }
}

/// The type of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FuncType {
    params: Box<[ValType]>,
    results: Box<[ValType]>,
}

impl FuncType {
    /// A type from its parameters and results.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        FuncType { params: params.into_iter().collect(), results: results.into_iter().collect() }
    }

    /// The types of the parameters.
    pub fn params(&self) -> &[ValType] {
        &self.params
    }

    /// The types of the results.
    pub fn results(&self) -> &[ValType] {
        &self.results
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, types: &[ValType]| {
            f.write_str("[")?;
            for (i, ty) in types.iter().enumerate() {
                if i > 0 {
                    f.write_str(" ")?;
                }
                ty.fmt(f)?;
            }
            f.write_str("]")
        };
        list(f, &self.params)?;
        f.write_str(" -> ")?;
        list(f, &self.results)
    }
}

/// The type of the indices into a memory or a table ("address type" in the
/// specification).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IndexType {
    /// 32 bits.
    #[default]
    I32,
    /// 64 bits, of the memory64 proposal.
    I64,
}

impl IndexType {
    /// The type of a value that is an index.
    pub const fn val_type(self) -> ValType {
        match self {
            IndexType::I32 => ValType::I32,
            IndexType::I64 => ValType::I64,
        }
    }

    /// The index that a value of [`val_type`](IndexType::val_type) with these
    /// bits is.
    pub const fn index(self, bits: u64) -> u64 {
        match self {
            IndexType::I32 => bits & 0xffff_ffff,
            IndexType::I64 => bits,
        }
    }
}

/// The type of a memory; sizes are in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    /// Pages at the start.
    pub minimum: u64,
    /// Pages at most, if the module says so.
    pub maximum: Option<u64>,
    /// The type of its indices.
    pub index: IndexType,
    /// Whether several threads may use it at once. Then it has a maximum.
    pub shared: bool,
    /// How large a page is, as a power of two: 16 (64 KiB) or 0 (one byte).
    pub page_size_log2: u8,
}

impl MemoryType {
    /// A memory with 32-bit indices and pages of 64 KiB that is not shared.
    pub const fn new(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType {
            minimum,
            maximum,
            index: IndexType::I32,
            shared: false,
            page_size_log2: PAGE_SIZE.trailing_zeros() as u8,
        }
    }

    /// The same with 64-bit indices.
    pub const fn memory64(mut self) -> MemoryType {
        self.index = IndexType::I64;
        self
    }

    /// The same, shared between threads.
    pub const fn shared(mut self) -> MemoryType {
        self.shared = true;
        self
    }

    /// The same with pages of `1 << log2` bytes. WebAssembly has pages of one
    /// byte (0) and of 64 KiB (16).
    pub const fn page_size_log2(mut self, log2: u8) -> MemoryType {
        self.page_size_log2 = log2;
        self
    }

    /// Bytes in a page of a type that is valid.
    pub const fn page_size(&self) -> u64 {
        1 << (self.page_size_log2 % 64)
    }

    /// The most pages that any memory with such indices and pages has. With
    /// pages of one byte, the size of a memory is itself an index: it stays
    /// below 2^32 or 2^64.
    pub const fn max_pages(&self) -> u64 {
        match (self.index, self.page_size()) {
            (IndexType::I32, 1) => u32::MAX as u64,
            (IndexType::I32, size) => (1 << 32) / size,
            (IndexType::I64, 1) => u64::MAX,
            (IndexType::I64, size) => u64::MAX / size + 1,
        }
    }

    /// Bytes at the start; `None` if they are 2^64.
    pub fn minimum_bytes(&self) -> Option<u64> {
        self.minimum.checked_mul(self.page_size())
    }

    /// Whether a memory of this type may be: what validation asks of the
    /// memories of a module.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn validate(&self) -> Result<(), &'static str> {
        if !matches!(self.page_size_log2, 0 | 16) {
            return Err("pages have 1 or 65536 bytes");
        }
        if self.minimum > self.max_pages() || self.maximum > Some(self.max_pages()) {
            return Err("it has more bytes than its indices can reach");
        }
        if self.maximum.is_some_and(|maximum| maximum < self.minimum) {
            return Err("the minimum is above the maximum");
        }
        if self.shared && self.maximum.is_none() {
            return Err("a shared memory must have a maximum");
        }
        Ok(())
    }
}

/// The type of a table; sizes are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    /// The type of the elements.
    pub element: RefType,
    /// Elements at the start.
    pub minimum: u64,
    /// Elements at most, if the module says so.
    pub maximum: Option<u64>,
    /// The type of its indices.
    pub index: IndexType,
}

impl TableType {
    /// A table with 32-bit indices.
    pub const fn new(element: RefType, minimum: u64, maximum: Option<u64>) -> TableType {
        TableType { element, minimum, maximum, index: IndexType::I32 }
    }

    /// The same with 64-bit indices.
    pub const fn table64(mut self) -> TableType {
        self.index = IndexType::I64;
        self
    }
}

/// The type of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    /// The type of the value.
    pub content: ValType,
    /// Whether it may be set.
    pub mutable: bool,
}

/// The type of something imported or exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// A tag of exceptions, with the types of the values that they carry.
    Tag(FuncType),
}

/// The limits of a memory or table.
struct Limits(u64, Option<u64>);

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Limits(minimum, Some(maximum)) => write!(f, "{minimum} to {maximum}"),
            Limits(minimum, None) => write!(f, "{minimum} or more"),
        }
    }
}

impl IndexType {
    /// The word before "memory" or "table"; the usual one has none.
    fn prefix(self) -> &'static str {
        match self {
            IndexType::I32 => "",
            IndexType::I64 => "64-bit ",
        }
    }
}

impl fmt::Display for MemoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = if self.shared { "shared " } else { "" };
        let limits = Limits(self.minimum, self.maximum);
        write!(f, "{shared}{}memory of {limits} pages", self.index.prefix())?;
        match self.page_size() {
            PAGE_SIZE => Ok(()),
            1 => f.write_str(" of one byte"),
            size => write!(f, " of {size} bytes"),
        }
    }
}

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = Limits(self.minimum, self.maximum);
        write!(f, "{}table of {} with {limits} elements", self.index.prefix(), self.element)
    }
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => write!(f, "function {ty}"),
            ExternType::Tag(ty) => write!(f, "tag {ty}"),
            ExternType::Table(ty) => ty.fmt(f),
            ExternType::Memory(ty) => ty.fmt(f),
            ExternType::Global(ty) => {
                write!(
                    f,
                    "{} global {}",
                    if ty.mutable { "mutable" } else { "constant" },
                    ty.content
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart_in_words() {
        let words = |ty: MemoryType| ExternType::Memory(ty).to_string();
        assert_eq!(words(MemoryType::new(1, Some(2))), "memory of 1 to 2 pages");
        assert_eq!(
            words(MemoryType::new(1, Some(2)).shared().memory64().page_size_log2(0)),
            "shared 64-bit memory of 1 to 2 pages of one byte"
        );
        let table = TableType::new(RefType::FUNCREF, 3, None).table64();
        assert_eq!(
            ExternType::Table(table).to_string(),
            "64-bit table of funcref with 3 or more elements"
        );
    }

    #[test]
    fn memories_are_as_large_as_their_indices_reach() {
        let memory = |minimum| MemoryType::new(minimum, None);
        for (ty, most) in [
            (memory(0), 1 << 16),
            (memory(0).memory64(), 1 << 48),
            (memory(0).page_size_log2(0), (1 << 32) - 1),
            (memory(0).page_size_log2(0).memory64(), u64::MAX),
        ] {
            assert_eq!(ty.max_pages(), most);
            let with = |minimum, maximum| MemoryType { minimum, maximum, ..ty }.validate();
            assert_eq!(with(most, Some(most)), Ok(()));
            if let Some(more) = most.checked_add(1) {
                assert!(with(more, None).is_err() && with(0, Some(more)).is_err());
            }
            assert!(with(2, Some(1)).is_err());
        }
        assert!(memory(1).shared().validate().is_err());
        assert!(memory(1).page_size_log2(12).validate().is_err());
        assert!(memory(1).page_size_log2(255).validate().is_err());
    }

    #[test]
    fn sizes_in_bytes_do_not_wrap() {
        let ty = MemoryType::new(1 << 48, None).memory64();
        assert_eq!(ty.minimum_bytes(), None);
        assert_eq!(MemoryType { minimum: (1 << 48) - 1, ..ty }.minimum_bytes(), Some(!0xffff));
        assert_eq!(ty.page_size_log2(0).minimum_bytes(), Some(1 << 48));
    }

    #[test]
    fn narrow_indices_have_no_high_bits() {
        assert_eq!(IndexType::I32.index(u64::MAX), u64::from(u32::MAX));
        assert_eq!(IndexType::I64.index(u64::MAX), u64::MAX);
    }
}
