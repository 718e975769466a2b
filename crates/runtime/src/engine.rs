//! What all stores of a program share: types, stubs, agents.

use crate::code::Code;
use crate::error::resource;
use crate::sys::signals;
use crate::{BoxError, Error};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmprof_image::{Agents, CodeImage};
use wasmprof_module::{FuncType, Parsed};

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
    max_wasm_stack: usize,
    guarded_memories: bool,
    agents: Arc<Agents>,
    compiler: Box<dyn Compile>,
    types: Mutex<Types>,
    stubs: Mutex<HashMap<u32, Stubs>>,
    /// How often the epoch was incremented; compiled code reads it.
    epoch: AtomicU64,
}

/// Every function type that a program has met, numbered.
#[derive(Default)]
struct Types {
    ids: HashMap<Arc<FuncType>, u32>,
    types: Vec<Arc<FuncType>>,
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
            max_wasm_stack: config.max_wasm_stack,
            guarded_memories: config.guarded_memories,
            agents: Arc::new(config.agents),
            compiler: config.compiler,
            types: Mutex::default(),
            stubs: Mutex::default(),
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

    /// The number of a type: the same for equal types, and only for those.
    pub(crate) fn type_id(&self, ty: &FuncType) -> u32 {
        let mut types = lock(&self.inner.types);
        if let Some(id) = types.ids.get(ty) {
            return *id;
        }
        let id = types.types.len() as u32;
        let ty = Arc::new(ty.clone());
        types.types.push(ty.clone());
        types.ids.insert(ty, id);
        id
    }

    /// The type with this number.
    pub(crate) fn func_type(&self, id: u32) -> Arc<FuncType> {
        lock(&self.inner.types).types[id as usize].clone()
    }

    /// The stubs for a type, which are made the first time.
    pub(crate) fn stubs(&self, type_id: u32) -> Result<Stubs, Error> {
        if let Some(stubs) = lock(&self.inner.stubs).get(&type_id) {
            return Ok(stubs.clone());
        }
        // Two threads may both make them; the second ones are dropped.
        let ty = self.func_type(type_id);
        let image = self.inner.compiler.compile_stubs(&ty).map_err(Error::Compile)?;
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
