//! A host of plugins that trusts none of them: functions for the plugin to call,
//! texts in its memory, errors by their type, and limits on what it may have.
//!
//!     cargo run --example plugin

#![allow(clippy::print_stdout)]

use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use wasmprof_engine::{
    Caller, Config, Engine, Error, Extern, Instance, Linker, Memory, Module, Store, StoreLimits,
    StoreLimitsBuilder, TrapCode, TypedFunc,
};

/// How long a tick is, and how many of them a call may take.
const TICK: Duration = Duration::from_millis(10);
const TICKS_PER_CALL: u64 = 20;
/// What a plugin may have, and how deep its calls may be.
const MEMORY_BYTES: usize = 4 * 65_536;
const STACK_BYTES: usize = 64 * 1024;

/// What the host keeps for each plugin. Host functions can reach it.
struct Data {
    settings: Vec<i32>,
    log: Vec<String>,
    limits: StoreLimits,
}

/// Why a host function refuses.
#[derive(Debug, PartialEq)]
pub(crate) struct NoSuchSetting(pub(crate) u32);

impl fmt::Display for NoSuchSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no setting {}", self.0)
    }
}

impl std::error::Error for NoSuchSetting {}

/// The engine of all plugins, and the thread that counts for it.
pub(crate) struct Host {
    engine: Engine,
    linker: Linker<Data>,
    stop: Arc<AtomicBool>,
}

impl Host {
    pub(crate) fn new() -> Result<Host> {
        let config = Config::new().epoch_interruption(true).max_wasm_stack(STACK_BYTES);
        let engine = Engine::new(config)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("host", "log", log)?;
        linker.func_wrap("host", "setting", |caller: Caller<'_, Data>, index: u32| {
            caller.data().settings.get(index as usize).copied().ok_or(NoSuchSetting(index))
        })?;

        let stop = Arc::new(AtomicBool::new(false));
        let (counting, stopped) = (engine.clone(), stop.clone());
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                counting.increment_epoch();
            }
        });
        Ok(Host { engine, linker, stop })
    }

    /// A plugin in a store of its own: what it breaks is its own, too.
    pub(crate) fn load(&self, path: &Path) -> Result<Plugin> {
        let module = Module::from_file(&self.engine, path)?;
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).instances(1).build();
        let data = Data { settings: vec![3], log: Vec::new(), limits };
        let mut store = Store::new(&self.engine, data);
        store.limiter(|data| &mut data.limits);
        // Instantiating may run code of the plugin already.
        store.set_epoch_deadline(TICKS_PER_CALL);
        let instance = self.linker.instantiate(&mut store, &module)?;
        let memory = instance.get_memory(&mut store, "memory").context("no `memory`")?;
        let alloc = instance.get_typed_func(&mut store, "alloc")?;
        Ok(Plugin { store, instance, memory, alloc })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A line of the plugin's for the host's log.
fn log(mut caller: Caller<'_, Data>, at: u32, len: u32) -> Result<()> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let bytes = memory.context("a plugin exports its memory")?.data(&caller);
    let end = at as usize + len as usize;
    let line = bytes.get(at as usize..end).context("the line is not in the plugin's memory")?;
    let line = String::from_utf8_lossy(line).into_owned();
    caller.data_mut().log.push(line);
    Ok(())
}

/// A plugin that is loaded.
pub(crate) struct Plugin {
    store: Store<Data>,
    instance: Instance,
    memory: Memory,
    alloc: TypedFunc<u32, u32>,
}

impl Plugin {
    /// What the plugin's function of this name makes of a text.
    pub(crate) fn transform(&mut self, name: &str, text: &str) -> Result<String> {
        let Plugin { store, instance, memory, alloc } = self;
        store.set_epoch_deadline(TICKS_PER_CALL);
        let function = instance.get_typed_func::<(u32, u32), (u32, u32)>(&mut *store, name)?;
        let at = alloc.call(&mut *store, text.len() as u32)?;
        memory.write(&mut *store, at as usize, text.as_bytes())?;
        let (at, len) = function.call(&mut *store, (at, text.len() as u32))?;
        let bytes = memory.data(&*store).get(at as usize..at as usize + len as usize);
        Ok(str::from_utf8(bytes.context("the text is not in the plugin's memory")?)?.to_owned())
    }

    pub(crate) fn log(&self) -> &[String] {
        &self.store.data().log
    }
}

/// What a host tells its users of a plugin that failed.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let Some(error) = error.downcast_ref::<Error>() else { return format!("{error:#}") };
    if let Some(NoSuchSetting(index)) = error.downcast_ref() {
        return format!("the plugin asked for setting {index}, which there is not");
    }
    match error.trap() {
        Some(trap) if trap.code == TrapCode::Interrupt => "the plugin took too long".to_owned(),
        Some(trap) => format!("the plugin failed: {trap}\n{}", trap.backtrace),
        None => error.to_string(),
    }
}

pub(crate) fn main() -> Result<()> {
    let host = Host::new()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugin.wat");
    let mut plugin = host.load(&path)?;
    println!("shout:  {}", plugin.transform("shout", "hello, plugin")?);
    println!("repeat: {}", plugin.transform("repeat", "again ")?);
    println!("logged: {:?}", plugin.log());

    println!("\nAnd what may go wrong:");
    let large = "x".repeat(MEMORY_BYTES);
    for (function, text) in [("ask", ""), ("stuck", ""), ("shout", &large), ("sing", "")] {
        // A plugin that has failed is in a state that nobody knows: take a new one.
        let mut plugin = host.load(&path)?;
        match plugin.transform(function, text) {
            Ok(text) => println!("{function}: {text}"),
            Err(error) => println!("{function}: {}", explain(&error).trim_end()),
        }
    }
    Ok(())
}
