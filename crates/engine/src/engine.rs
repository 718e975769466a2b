//! The engine: a compiler and a runtime set up to fit together.

use crate::config::{Config, agent_warning};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use wasmprof_compile::{Compiler, Options};
use wasmprof_image::{Agents, CodeImage};
use wasmprof_module::{FuncType, Parsed};
use wasmprof_runtime::{BoxError, Error, RuntimeConfig, StubCompiler};

/// Compiles modules and holds what all stores share. Cloning gives a handle to
/// the same one.
///
/// It is also a [`wasmprof_runtime::Engine`], wherever one is wanted.
#[derive(Clone)]
pub struct Engine {
    runtime: wasmprof_runtime::Engine,
    shared: Arc<Shared>,
}

/// What outlives the engine's handles in the runtime.
struct Shared {
    compiler: Arc<Compiler>,
    /// `None`: the threads of the process's pool.
    pool: Option<rayon::ThreadPool>,
    on_warning: Arc<dyn Fn(&str) + Send + Sync>,
    watched: bool,
}

impl Engine {
    /// An engine for this machine.
    ///
    /// # Errors
    ///
    /// If the configuration makes no sense, no code can be made for this
    /// machine, or trap handling or threads cannot be set up.
    pub fn new(config: Config) -> Result<Engine, Error> {
        let guarded = config.guarded_memories.unwrap_or_else(wasmprof_runtime::can_reserve_guards);
        let mut options: Options = config.options;
        options.guarded_memories = guarded;
        let compiler = Compiler::new(options).map_err(compile_error)?;
        let compiler = Arc::new(compiler);
        let on_warning: Arc<dyn Fn(&str) + Send + Sync> = Arc::from(config.on_warning);
        let warn = on_warning.clone();
        let watched = !config.agents.is_empty();
        let runtime = wasmprof_runtime::Engine::new(RuntimeConfig {
            max_wasm_stack: config.max_wasm_stack,
            guarded_memories: guarded,
            agents: Agents::new(config.agents, move |name, error| {
                warn(&agent_warning(name, error));
            }),
            stubs: Box::new(Stubs(compiler.clone())),
        })?;
        let pool = match config.threads {
            0 => None,
            threads => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Some(pool.map_err(|error| Error::Compile(error.into()))?)
            }
        };
        let shared = Arc::new(Shared { compiler, pool, on_warning, watched });
        Ok(Engine { runtime, shared })
    }

    /// Compiles a module on the threads of this engine.
    pub(crate) fn compile(&self, parsed: Parsed, name: &str) -> Result<CodeImage, Error> {
        let compile = || self.shared.compiler.compile(parsed, name);
        let image = match &self.shared.pool {
            Some(pool) => pool.install(compile),
            None => compile(),
        };
        let image = image.map_err(compile_error)?;
        if let Some(module) = image.module.as_ref().filter(|_| self.shared.watched)
            && let Some(warning) = module.names().warning()
        {
            (self.shared.on_warning)(&format!("{name}: {warning}"));
        }
        Ok(image)
    }
}

impl Deref for Engine {
    type Target = wasmprof_runtime::Engine;

    fn deref(&self) -> &wasmprof_runtime::Engine {
        &self.runtime
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

struct Stubs(Arc<Compiler>);

// SAFETY: the compiler's stubs are what the trait asks for.
#[allow(unsafe_code)]
unsafe impl StubCompiler for Stubs {
    fn compile_stubs(&self, ty: &FuncType) -> Result<CodeImage, BoxError> {
        self.0.compile_stubs(ty).map_err(Into::into)
    }
}

/// An invalid body is found while compiling, and is still an invalid module.
fn compile_error(error: wasmprof_compile::Error) -> Error {
    match error {
        wasmprof_compile::Error::Module(error) => Error::Module(error),
        other => Error::Compile(other.into()),
    }
}
