//! What all stores of a program share: stubs, agents.

use crate::code::Code;
use crate::error::resource;
use crate::sys::reservation::User;
use crate::sys::signals;
use crate::{BoxError, Error};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmprof_image::{Agents, CodeImage};
use wasmprof_module::{FuncType, Parsed, TypeId, TypeMap};

/// Makes the code that an engine runs.
///
/// # Safety
///
/// The code must be what [`abi`](wasmprof_image::abi) describes, for memories
/// and interruption as the engine is set up: it will run, and nothing here
/// checks it.
pub unsafe trait Compile: Send + Sync {
    /// The image of a module, with this name. The bodies are validated on the
    /// way, if they bring their validators.
    ///
    /// # Errors
    ///
    /// If a body is invalid, or exceeds a limit of the code generator.
    fn compile_module(&self, module: Parsed, name: &str) -> Result<CodeImage, Error>;

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
    /// Whether code looks at the epoch; see the compiler's option.
    pub epoch_interruption: bool,
    /// Who is told of code.
    pub agents: Agents,
    /// Who makes the code.
    pub compiler: Box<dyn Compile>,
}

/// What an [`Engine`] can be made from: the `Config` of `wasmprof-engine`.
pub trait EngineConfig {
    /// What it comes to.
    ///
    /// # Errors
    ///
    /// If it makes no sense, or not on this machine.
    fn into_runtime(self) -> Result<RuntimeConfig, Error>;
}

impl EngineConfig for RuntimeConfig {
    fn into_runtime(self) -> Result<RuntimeConfig, Error> {
        Ok(self)
    }
}

/// Compiles modules and holds what all stores share. Cloning gives a handle to
/// the same one.
///
/// A program has one for each way in which it wants modules compiled, which is
/// mostly one. Several do not get in each other's way.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::*;
///
/// let engine = Engine::new(Config::new().strategy(Strategy::Fast))?;
/// let module = Module::new(&engine, r#"(module (func (export "f") (result i32) (i32.const 7)))"#)?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| {
///             let mut store = Store::new(&engine, ());
///             let instance = Instance::new(&mut store, &module, &[])?;
///             let f = instance.get_typed_func::<(), i32>(&mut store, "f")?;
///             assert_eq!(f.call(&mut store, ())?, 7);
///             Ok::<(), Error>(())
///         });
///     }
/// });
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    /// While there is an engine, what memories have left is kept.
    _user: User,
    max_wasm_stack: usize,
    guarded_memories: bool,
    agents: Arc<Agents>,
    epoch_interruption: bool,
    compiler: Box<dyn Compile>,
    stubs: TypeMap<Stubs>,
    /// How often the epoch was incremented; compiled code reads it.
    epoch: AtomicU64,
}

/// Addresses of the stubs for a type, and what keeps them mapped.
pub(crate) struct Stubs {
    pub(crate) entry: usize,
    pub(crate) host_adapter: usize,
    pub(crate) dynamic_host: usize,
    _code: Arc<Code>,
}

impl Engine {
    /// An engine for this machine, from a `Config`. Also sets up trap handling
    /// for the process.
    ///
    /// # Errors
    ///
    /// If the configuration makes no sense, no code can be made for this
    /// machine, or trap handling or threads cannot be set up.
    pub fn new(config: impl EngineConfig) -> Result<Engine, Error> {
        let config = config.into_runtime()?;
        if config.max_wasm_stack == 0 {
            let why = "`max_wasm_stack` is 0 bytes, and every function takes some";
            return Err(Error::Config(why.to_owned()));
        }
        signals::install().map_err(|error| resource("signal handlers".to_owned(), error))?;
        let inner = Inner {
            _user: User::new(),
            max_wasm_stack: config.max_wasm_stack,
            guarded_memories: config.guarded_memories,
            epoch_interruption: config.epoch_interruption,
            agents: Arc::new(config.agents),
            compiler: config.compiler,
            stubs: TypeMap::new(),
            epoch: AtomicU64::new(0),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Whether this is a handle to the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.inner, &b.inner)
    }

    /// Begins the next epoch: programs of stores whose deadline it is are
    /// interrupted. It may be called from any thread and in a signal handler.
    pub fn increment_epoch(&self) {
        self.inner.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether programs are interrupted when a deadline is reached.
    pub(crate) fn epoch_interruption(&self) -> bool {
        self.inner.epoch_interruption
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::Relaxed)
    }

    /// Where compiled code finds the epoch.
    pub(crate) fn epoch_address(&self) -> *const AtomicU64 {
        &raw const self.inner.epoch
    }

    pub(crate) fn max_wasm_stack(&self) -> usize {
        self.inner.max_wasm_stack
    }

    pub(crate) fn guarded_memories(&self) -> bool {
        self.inner.guarded_memories
    }

    pub(crate) fn compiler(&self) -> &dyn Compile {
        &*self.inner.compiler
    }

    pub(crate) fn agents(&self) -> Arc<Agents> {
        self.inner.agents.clone()
    }

    /// The stubs for a type, which are made the first time.
    #[inline]
    pub(crate) fn stubs(&self, type_id: TypeId) -> Result<&Stubs, Error> {
        match self.inner.stubs.get(type_id) {
            Some(stubs) => Ok(stubs),
            None => self.make_stubs(type_id),
        }
    }

    #[cold]
    fn make_stubs(&self, type_id: TypeId) -> Result<&Stubs, Error> {
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
        Ok(self.inner.stubs.insert(type_id, stubs))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
