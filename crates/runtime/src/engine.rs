//! What all stores of a program share: stubs, agents.

use crate::code::Code;
use crate::error::resource;
use crate::sys::signals;
use crate::{BoxError, Error};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmprof_image::{Agents, CodeImage};
use wasmprof_module::{FuncType, TypeId};

/// Makes the stubs by which the host and compiled code call each other.
pub trait StubCompiler: Send + Sync {
    /// An image with three symbols for functions of type `ty`: the entry from
    /// the host, the adapter for host functions behind references, and the code
    /// of host functions that take an array.
    ///
    /// # Errors
    ///
    /// If the code generator cannot make them.
    fn compile_stubs(&self, ty: &FuncType) -> Result<CodeImage, BoxError>;
}

/// What an [`Engine`] is made from.
pub struct RuntimeConfig {
    /// How much stack compiled code may use in one entry, in bytes. The stack
    /// of the thread is a limit too.
    pub max_wasm_stack: usize,
    /// Whether code relies on a guard behind each memory; see the compiler's
    /// option of the same name, with which it must agree.
    pub guarded_memories: bool,
    /// Who is told of code.
    pub agents: Agents,
    /// Who makes stubs.
    pub stubs: Box<dyn StubCompiler>,
}

/// What all stores of a program share. Cloning gives a handle to the same one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    max_wasm_stack: usize,
    guarded_memories: bool,
    agents: Arc<Agents>,
    compiler: Box<dyn StubCompiler>,
    stubs: Mutex<HashMap<TypeId, Stubs>>,
}

/// Addresses of the stubs for a type, and what keeps them mapped.
#[derive(Clone)]
pub(crate) struct Stubs {
    pub(crate) entry: usize,
    pub(crate) host_adapter: usize,
    pub(crate) dynamic_host: usize,
    _code: Arc<Code>,
}

impl Engine {
    /// An engine; also sets up trap handling for the process.
    ///
    /// # Errors
    ///
    /// If the signal handlers cannot be installed.
    pub fn new(config: RuntimeConfig) -> Result<Engine, Error> {
        signals::install().map_err(|error| resource("signal handlers".to_owned(), error))?;
        let inner = Inner {
            max_wasm_stack: config.max_wasm_stack,
            guarded_memories: config.guarded_memories,
            agents: Arc::new(config.agents),
            compiler: config.stubs,
            stubs: Mutex::default(),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Whether this is a handle to the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.inner, &b.inner)
    }

    pub(crate) fn max_wasm_stack(&self) -> usize {
        self.inner.max_wasm_stack
    }

    pub(crate) fn guarded_memories(&self) -> bool {
        self.inner.guarded_memories
    }

    pub(crate) fn agents(&self) -> Arc<Agents> {
        self.inner.agents.clone()
    }

    /// The stubs for a type, which are made the first time.
    pub(crate) fn stubs(&self, type_id: TypeId) -> Result<Stubs, Error> {
        if let Some(stubs) = lock(&self.inner.stubs).get(&type_id) {
            return Ok(stubs.clone());
        }
        // Two threads may both make them; the second ones are dropped.
        let image =
            self.inner.compiler.compile_stubs(type_id.func_type()).map_err(Error::Compile)?;
        let starts: Vec<_> = image.symbols.iter().map(|symbol| symbol.start).collect();
        let code = Code::load(image, self.agents())
            .map_err(|error| resource("executable memory".to_owned(), error))?;
        let [entry, host_adapter, dynamic_host] = starts[..] else {
            return Err(Error::Compile("the stub compiler made other stubs".into()));
        };
        let stubs = Stubs {
            entry: code.address(entry),
            host_adapter: code.address(host_adapter),
            dynamic_host: code.address(dynamic_host),
            _code: code,
        };
        Ok(lock(&self.inner.stubs).entry(type_id).or_insert(stubs).clone())
    }
}

/// What a panicking thread was doing to these is finished or not begun.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
