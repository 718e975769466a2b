//! What all engines have in common: values, how calls end, what is left over.

use crate::host::Host;
use crate::random::mix;
use std::fmt;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    I32,
    I64,
    F32,
    F64,
    V128,
    Func,
    Extern,
    Exn,
}

/// A value; floats are bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    /// Whether there is one: functions of two engines cannot be compared.
    Func(bool),
    /// The number that the host gave, or null.
    Extern(Option<u32>),
    /// Whether there is one.
    Exn(bool),
}

impl Value {
    pub(crate) fn bits(self) -> u64 {
        match self {
            Value::I32(x) => u64::from(x as u32),
            Value::I64(x) => x as u64,
            Value::F32(x) => u64::from(x),
            Value::F64(x) => x,
            Value::V128(x) => x as u64 ^ mix((x >> 64) as u64),
            Value::Func(x) | Value::Exn(x) => u64::from(x),
            Value::Extern(x) => x.map_or(u64::MAX, u64::from),
        }
    }
}

/// Why a call did not return, as far as all engines tell it apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Trap {
    /// `unreachable`, or the end of the fuel.
    Unreachable,
    /// An access outside a memory.
    Memory,
    /// An access outside a table, or a call of an element outside.
    Table,
    /// A use of a null reference.
    Null,
    /// A call of a function of another type.
    Signature,
    /// The result of an integer operation does not fit.
    IntegerOverflow,
    /// A division by zero.
    DivisionByZero,
    /// A float without an integer value was converted.
    BadConversion,
    /// An atomic access at an address that is not a multiple of its size.
    Unaligned,
    /// A wait on a memory that is not shared.
    WaitOnUnshared,
    /// Calls are nested too deeply: where that is, is each engine's affair.
    Stack,
    /// The host function failed.
    Host,
    /// Something that should not be.
    Other(String),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Returned(Vec<Value>),
    Trapped(Trap),
    /// An exception that nothing caught, with its values.
    Threw(Vec<Value>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Returned(values) => write!(f, "returned {values:x?}"),
            Outcome::Trapped(trap) => write!(f, "trapped: {trap:?}"),
            Outcome::Threw(values) => write!(f, "threw {values:x?}"),
        }
    }
}

/// What is in something that was imported or exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Memory { pages: u64, hash: u64 },
    Table(Vec<Value>),
    Global(Value),
}

/// A module brought to life by an engine.
pub(crate) trait Guest {
    /// Calls an exported function.
    fn call(&mut self, export: &str, arguments: &[Value], results: &[Type]) -> Outcome;

    /// Sets the exported global that bounds how long it runs.
    fn refuel(&mut self, export: &str, fuel: i32);

    /// What is in everything imported, in order, and if there is an instance
    /// in everything exported. Functions are left out.
    fn items(&mut self) -> Vec<(String, Item)>;

    /// What the host functions saw.
    fn host(&self) -> &Host;
}
