//! How an engine compiles and runs, and who watches.

use std::fmt;
use wasmprof_compile::{Options, Strategy};
use wasmprof_image::{AgentError, ProfilingAgent};

/// How much stack compiled code may use if nothing else is said. Threads of
/// Rust have four times as much.
const DEFAULT_MAX_WASM_STACK: usize = 512 * 1024;

type OnWarning = Box<dyn Fn(&str) + Send + Sync>;

/// What an [`Engine`](crate::Engine) is made from.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use wasmprof_engine::{Config, Engine, Error, Strategy};
///
/// let warnings = Arc::new(Mutex::new(Vec::new()));
/// let heard = warnings.clone();
/// let config = Config::new()
///     .strategy(Strategy::Fast)
///     .max_wasm_stack(1 << 20)
///     .epoch_interruption(true)
///     .on_warning(move |warning| heard.lock().unwrap().push(warning.to_owned()));
/// let engine = Engine::new(config)?;
/// assert!(warnings.lock().unwrap().is_empty());
/// # Ok::<(), Error>(())
/// ```
pub struct Config {
    pub(crate) options: Options,
    pub(crate) max_wasm_stack: usize,
    pub(crate) guarded_memories: Option<bool>,
    pub(crate) threads: usize,
    pub(crate) agents: Vec<Box<dyn ProfilingAgent>>,
    pub(crate) on_warning: OnWarning,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            options: Options::default(),
            max_wasm_stack: DEFAULT_MAX_WASM_STACK,
            guarded_memories: None,
            threads: 0,
            agents: Vec::new(),
            on_warning: Box::new(|_| {}),
        }
    }
}

impl Config {
    /// Optimised code, no agents.
    pub fn new() -> Config {
        Config::default()
    }

    /// Whether the code or the compiler is to be fast.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.options.strategy = strategy;
        self
    }

    /// How much stack WebAssembly may use, in bytes, 512 KiB if nothing is said;
    /// beyond, it traps with [`StackOverflow`](crate::TrapCode::StackOverflow).
    /// It counts from the outermost call into a store, with the host functions
    /// in between.
    ///
    /// What the thread's own stack has, less 128 KiB for host functions, is a
    /// limit too, so that any large number means "all there is". On a thread
    /// with less, every function that calls another one traps. 0 is an error of
    /// [`Engine::new`](crate::Engine::new).
    pub fn max_wasm_stack(mut self, bytes: usize) -> Self {
        self.max_wasm_stack = bytes;
        self
    }

    /// Gives every NaN that arithmetic makes the same bits, at some cost.
    pub fn canonicalize_nans(mut self, canonicalize: bool) -> Self {
        self.options.canonicalize_nans = canonicalize;
        self
    }

    /// Has relaxed operators give the same results on every processor, those
    /// that the specification calls deterministic, rather than what is fastest
    /// on this one.
    pub fn relaxed_simd_deterministic(mut self, deterministic: bool) -> Self {
        self.options.relaxed_simd_deterministic = deterministic;
        self
    }

    /// Whether memories with pages of 64 KiB reserve more address space than
    /// they use, so that accesses need no checks (8 GiB for one with 32-bit
    /// indices), or only a small one (what it may grow to, 64 GiB at most, for
    /// one with 64-bit indices). If nothing is said, they do where the system
    /// allows it.
    pub fn guarded_memories(mut self, guarded: bool) -> Self {
        self.guarded_memories = Some(guarded);
        self
    }

    /// Whether programs can be interrupted: compiled code then looks, at the
    /// entry of each function and at the head of each loop, whether the epoch of
    /// the engine has reached the deadline of the store. If not, which is what
    /// happens if nothing is said, code has no instruction for it.
    ///
    /// See [`Engine::increment_epoch`](crate::Engine::increment_epoch) and
    /// [`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline): a store
    /// whose deadline nobody sets is interrupted at once. What the host does,
    /// and one instruction that moves much memory, end before programs are
    /// interrupted.
    pub fn epoch_interruption(mut self, interruptible: bool) -> Self {
        self.options.epoch_interruption = interruptible;
        self
    }

    /// Whether code may use what the processor of this machine has beyond the
    /// base architecture.
    pub fn native_features(mut self, native: bool) -> Self {
        self.options.native_features = native;
        self
    }

    /// How many threads compile a module; 0 is one for each core.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Tells these profilers of all code. May be called several times.
    ///
    /// ```no_run
    /// # #[cfg(feature = "profiling")] {
    /// use wasmprof_engine::{Config, Engine, agents};
    ///
    /// // Now `perf record` and `perf report` know the functions of modules: their
    /// // names are in `/tmp/perf-PID.map`.
    /// let perf = agents::from_names("perfmap")?;
    /// let engine = Engine::new(Config::new().agents(perf))?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn agents(mut self, agents: impl IntoIterator<Item = Box<dyn ProfilingAgent>>) -> Self {
        self.agents.extend(agents);
        self
    }

    /// Calls `warn` with what a user should know and that stops nothing: an
    /// agent that cannot write its file, a damaged name section.
    pub fn on_warning(mut self, warn: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_warning = Box::new(warn);
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("options", &self.options)
            .field("max_wasm_stack", &self.max_wasm_stack)
            .field("agents", &self.agents)
            .finish_non_exhaustive()
    }
}

/// The warning for an agent that failed.
pub(crate) fn agent_warning(name: &str, error: &AgentError) -> String {
    format!("the profiling agent `{name}` has stopped: {error}; the program runs on without it")
}
