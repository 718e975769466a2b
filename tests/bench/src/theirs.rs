//! wasmtime 48 with Cranelift and its default settings, save that it compiles on one thread.

use anyhow::Context;
use wasmtime::{Linker, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use crate::clock::Instant;
use crate::engine::{Engine, Finished, Guest, Marks};

/// wasmtime.
pub(crate) struct Wasmtime(wasmtime::Engine);

impl Engine for Wasmtime {
    type Module = wasmtime::Module;

    fn new() -> anyhow::Result<Self> {
        let mut config = wasmtime::Config::new();
        config.parallel_compilation(false);
        Ok(Wasmtime(wasmtime::Engine::new(&config)?))
    }

    fn compile(&self, bytes: &[u8]) -> anyhow::Result<wasmtime::Module> {
        Ok(wasmtime::Module::new(&self.0, bytes)?)
    }

    fn run(&self, module: &wasmtime::Module, guest: &Guest) -> anyhow::Result<Finished> {
        let mut linker = Linker::<WasiP1Ctx>::new(&self.0);
        wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |context| context)?;
        let marks = Marks::default();
        let (start, end) = (marks.clone(), marks.clone());
        linker.func_wrap("bench", "start", move || start.start())?;
        linker.func_wrap("bench", "end", move || end.end())?;

        let mut builder = WasiCtxBuilder::new();
        builder.inherit_stdio().args(&guest.args).envs(&guest.env);
        builder.allow_blocking_current_thread(true);
        for (host, name) in &guest.dirs {
            builder.preopened_dir(host, name, FsPerms::ReadWrite)?;
        }
        let mut store = Store::new(&self.0, builder.build_p1());
        let instance = linker.instantiate(&mut store, module)?;
        let entry = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        let before = Instant::now();
        let result = entry.call(&mut store, ());
        let all = before.elapsed();
        let code = match result {
            Ok(()) => 0,
            Err(error) => error.downcast_ref::<I32Exit>().context(format!("{error:?}"))?.0,
        };
        Ok(Finished { code, span: marks.span().unwrap_or(all) })
    }
}
