//! How much the programs of a store may have: the trait that is asked, and
//! limits that suit most. Asking is left to `limiter`.

use crate::Error;
use std::fmt;

/// How many instances, memories and tables a store may have if nothing is said.
const DEFAULT_COUNT: usize = 10_000;

/// How many bytes exceptions may take if nothing else is said.
pub(crate) const DEFAULT_EXCEPTION_BYTES: usize = 256 << 20;

/// Decides what the programs of a store may have; see
/// [`Store::limiter`](crate::Store::limiter).
///
/// It is asked when an instance is made, by [`Memory::new`](crate::Memory::new)
/// and [`Table::new`](crate::Table::new), and when a memory or table is to grow,
/// by an instruction or by the embedder. What the embedder's own data takes, and
/// what is kept about things besides, is not counted.
///
/// A method that panics inside of a call has its panic go on at the call.
pub trait ResourceLimiter: Send {
    /// Whether a memory of `current` bytes may have `desired` bytes. A memory
    /// that is made has none before. `maximum` is what the memory's own type
    /// allows; it is asked even about more than that.
    ///
    /// If not, `memory.grow` gives -1, unless
    /// [`trap_on_grow_failure`](ResourceLimiter::trap_on_grow_failure) says
    /// otherwise; what the embedder does is an [`Error::Limit`].
    ///
    /// # Errors
    ///
    /// An error ends the program, with a backtrace.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Error>;

    /// Is told that a memory could not grow although it was allowed to: beyond
    /// its own maximum, or because the system gave no more.
    ///
    /// # Errors
    ///
    /// An error ends the program, with a backtrace.
    fn memory_grow_failed(&mut self, error: &Error) -> Result<(), Error> {
        let _ = error;
        Ok(())
    }

    /// Whether a table of `current` elements may have `desired` elements; as
    /// [`memory_growing`](ResourceLimiter::memory_growing) for everything else.
    ///
    /// # Errors
    ///
    /// An error ends the program, with a backtrace.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool, Error>;

    /// Is told that a table could not grow although it was allowed to.
    ///
    /// # Errors
    ///
    /// An error ends the program, with a backtrace.
    fn table_grow_failed(&mut self, error: &Error) -> Result<(), Error> {
        let _ = error;
        Ok(())
    }

    /// How many instances the store may have; one that could not be started
    /// counts, too.
    fn instances(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many tables the store may have.
    fn tables(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many memories the store may have.
    fn memories(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many bytes the exceptions that a program keeps may take altogether.
    /// Throwing one more is the trap
    /// [`ExceptionsExhausted`](crate::TrapCode::ExceptionsExhausted). Fewer than
    /// a million bytes are not counted exactly.
    fn exception_bytes(&self) -> usize {
        DEFAULT_EXCEPTION_BYTES
    }

    /// Whether `memory.grow` and `table.grow` trap where they would give -1,
    /// with [`MemoryGrowthFailed`](crate::TrapCode::MemoryGrowthFailed) and
    /// [`TableGrowthFailed`](crate::TrapCode::TableGrowthFailed). The
    /// specification wants them to give -1; to find out which function wanted so
    /// much, the backtrace of a trap is better.
    fn trap_on_grow_failure(&self) -> bool {
        false
    }

    /// The most bytes that a memory may have, if there is such a number. It is
    /// only for what errors say.
    fn memory_limit(&self) -> Option<usize> {
        None
    }

    /// The most elements that a table may have, if there is such a number. It is
    /// only for what errors say.
    fn table_limit(&self) -> Option<usize> {
        None
    }
}

/// Limits by number. Made by [`StoreLimitsBuilder`], kept in the data of a
/// store, and given to it by [`Store::limiter`](crate::Store::limiter).
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    tables: usize,
    memories: usize,
    exception_bytes: usize,
    trap_on_grow_failure: bool,
}

impl Default for StoreLimits {
    fn default() -> Self {
        StoreLimits {
            memory_size: None,
            table_elements: None,
            instances: DEFAULT_COUNT,
            tables: DEFAULT_COUNT,
            memories: DEFAULT_COUNT,
            exception_bytes: DEFAULT_EXCEPTION_BYTES,
            trap_on_grow_failure: false,
        }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> Result<bool, Error> {
        Ok(self.memory_size.is_none_or(|limit| desired <= limit))
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, Error> {
        Ok(self.table_elements.is_none_or(|limit| desired <= limit))
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }

    fn exception_bytes(&self) -> usize {
        self.exception_bytes
    }

    fn trap_on_grow_failure(&self) -> bool {
        self.trap_on_grow_failure
    }

    fn memory_limit(&self) -> Option<usize> {
        self.memory_size
    }

    fn table_limit(&self) -> Option<usize> {
        self.table_elements
    }
}

/// Makes [`StoreLimits`].
///
/// ```
/// use wasmprof_engine::*;
///
/// let limits = StoreLimitsBuilder::new().memory_size(1 << 20).instances(1).build();
/// let engine = Engine::new(Config::new())?;
/// let mut store = Store::new(&engine, limits);
/// store.limiter(|limits| limits);
///
/// let large = Module::new(&engine, "(module (memory 17))")?;
/// let error = Instance::new(&mut store, &large, &[]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "a memory of 1114112 bytes is more than the 1048576 that the store allows"
/// );
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// No limit but for 10,000 instances, tables and memories each.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// How many bytes each memory may have.
    pub fn memory_size(mut self, bytes: usize) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }

    /// How many elements each table may have.
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.0.table_elements = Some(elements);
        self
    }

    /// How many instances the store may have.
    pub fn instances(mut self, instances: usize) -> Self {
        self.0.instances = instances;
        self
    }

    /// How many tables the store may have.
    pub fn tables(mut self, tables: usize) -> Self {
        self.0.tables = tables;
        self
    }

    /// How many bytes the exceptions that a program keeps may take.
    pub fn exception_bytes(mut self, bytes: usize) -> Self {
        self.0.exception_bytes = bytes;
        self
    }

    /// How many memories the store may have.
    pub fn memories(mut self, memories: usize) -> Self {
        self.0.memories = memories;
        self
    }

    /// Whether growth that fails is a trap; see
    /// [`ResourceLimiter::trap_on_grow_failure`].
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

/// What a store does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitError {
    /// A memory of so many bytes.
    MemorySize {
        /// How many were asked for.
        requested: usize,
        /// How many each memory may have, if there is such a number.
        limit: Option<usize>,
    },
    /// A table of so many elements.
    TableElements {
        /// How many were asked for.
        requested: usize,
        /// How many each table may have, if there is such a number.
        limit: Option<usize>,
    },
    /// So many instances.
    Instances {
        /// How many there would be.
        requested: usize,
        /// How many the store may have.
        limit: usize,
    },
    /// So many memories.
    Memories {
        /// How many there would be.
        requested: usize,
        /// How many the store may have.
        limit: usize,
    },
    /// So many tables.
    Tables {
        /// How many there would be.
        requested: usize,
        /// How many the store may have.
        limit: usize,
    },
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |f: &mut fmt::Formatter<'_>, what, requested, unit, limit: Option<usize>| {
            write!(f, "a {what} of {requested} {unit} is more than ")?;
            match limit {
                Some(limit) => write!(f, "the {limit} that the store allows"),
                None => f.write_str("the store allows"),
            }
        };
        let count = |f: &mut fmt::Formatter<'_>, what, requested, limit| {
            write!(f, "{requested} {what} are more than the {limit} that the store allows")
        };
        match *self {
            LimitError::MemorySize { requested, limit } => {
                size(f, "memory", requested, "bytes", limit)
            }
            LimitError::TableElements { requested, limit } => {
                size(f, "table", requested, "elements", limit)
            }
            LimitError::Instances { requested, limit } => count(f, "instances", requested, limit),
            LimitError::Memories { requested, limit } => count(f, "memories", requested, limit),
            LimitError::Tables { requested, limit } => count(f, "tables", requested, limit),
        }
    }
}

impl std::error::Error for LimitError {}
