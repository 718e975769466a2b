//! Why compiled code traps, and at which instructions it may.

use crate::CodeOffset;
use std::fmt;

macro_rules! trap_codes {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $text:literal;)*) => {
        /// Why a WebAssembly program trapped.
        ///
        /// `Display` gives the words of the specification's test suite. The
        /// values are what compiled code and the runtime exchange. A host
        /// function may return one as its error.
        ///
        /// # Examples
        ///
        /// ```
        /// use wasmprof_engine::*;
        ///
        /// let engine = Engine::new(Config::new())?;
        /// let mut store = Store::new(&engine, ());
        /// let check = Func::wrap(&mut store, |index: u32| match index {
        ///     0..10 => Ok(index * 8),
        ///     _ => Err(TrapCode::TableOutOfBounds),
        /// })?;
        /// let check = check.typed::<u32, u32>(&store)?;
        /// assert_eq!(check.call(&mut store, 9)?, 72);
        /// let error = check.call(&mut store, 10).unwrap_err();
        /// assert_eq!(error.trap().map(|trap| trap.code), Some(TrapCode::TableOutOfBounds));
        /// assert_eq!(error.to_string(), "wasm trap: out of bounds table access");
        /// # Ok::<(), Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum TrapCode {
            $($(#[$doc])* $name = $byte,)*
        }

        impl TrapCode {
            /// The code with this value, if there is one.
            pub const fn from_byte(byte: u8) -> Option<TrapCode> {
                match byte {
                    $($byte => Some(TrapCode::$name),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for TrapCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(TrapCode::$name => $text,)*
                })
            }
        }
    };
}

trap_codes! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// An access outside a linear memory.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// An access outside a table.
    TableOutOfBounds = 3, "out of bounds table access";
    /// An indirect call of an element outside the table.
    UndefinedElement = 4, "undefined element";
    /// An indirect call of a null reference.
    UninitializedElement = 5, "uninitialized element";
    /// An indirect call of a function with another type.
    IndirectCallTypeMismatch = 6, "indirect call type mismatch";
    /// The result of an integer operation does not fit.
    IntegerOverflow = 7, "integer overflow";
    /// A division by zero.
    IntegerDivideByZero = 8, "integer divide by zero";
    /// A float without an integer value was converted.
    InvalidConversionToInteger = 9, "invalid conversion to integer";
    /// A null reference was used where a reference to something is wanted.
    NullReference = 11, "null reference";
    /// A null reference was called.
    NullFunctionReference = 12, "null function reference";
    /// Calls are nested too deeply for the stack.
    StackOverflow = 10, "call stack exhausted";
    /// An atomic access of an address that is not a multiple of its size.
    UnalignedAtomic = 13, "unaligned atomic";
    /// A wait at an address of a memory that is not shared.
    ExpectedSharedMemory = 14, "expected shared memory";
    /// The deadline of the store was reached. Not of the specification.
    Interrupt = 32, "interrupt";
    /// A memory could not grow, and its store wants a trap for that. Not of the
    /// specification.
    MemoryGrowthFailed = 33, "memory growth failed";
    /// A table could not grow, likewise.
    TableGrowthFailed = 34, "table growth failed";
    /// The exceptions that a program keeps take more than its store allows. Not
    /// of the specification.
    ExceptionsExhausted = 35, "too many exceptions";
}

impl std::error::Error for TrapCode {}

/// The instructions that may trap, sorted by offset.
///
/// An instruction that is not in the table never traps: a fault there is a bug
/// of this engine, and is passed on as the crash it is.
#[derive(Clone, Debug, Default)]
pub struct TrapTable {
    offsets: Vec<CodeOffset>,
    codes: Vec<TrapCode>,
}

impl TrapTable {
    /// Adds an instruction. Offsets must come in ascending order; a second
    /// entry for the same instruction is ignored.
    pub fn push(&mut self, offset: CodeOffset, code: TrapCode) {
        if let Some(last) = self.offsets.last() {
            debug_assert!(*last <= offset, "trap table is not sorted");
            if *last == offset {
                return;
            }
        }
        self.offsets.push(offset);
        self.codes.push(code);
    }

    /// Why the instruction at `offset` traps, if it is one that may.
    ///
    /// Does not allocate or lock: a signal handler calls it.
    pub fn get(&self, offset: CodeOffset) -> Option<TrapCode> {
        let at = self.offsets.binary_search(&offset).ok()?;
        self.codes.get(at).copied()
    }

    /// How many instructions may trap.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether no instruction traps.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }
}
