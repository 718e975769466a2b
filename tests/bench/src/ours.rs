//! wasmprof with its default settings, save that it compiles on one thread.

use anyhow::Context;
use wasmprof_engine::wasi::{self, Exit, WasiCtx, WasiCtxBuilder};
use wasmprof_engine::{Config, Linker, Module, Store};

use crate::clock::Instant;
use crate::engine::{Engine, Finished, Guest, Marks};

/// wasmprof.
pub(crate) struct Wasmprof(wasmprof_engine::Engine);

impl Engine for Wasmprof {
    type Module = Module;

    fn new() -> anyhow::Result<Self> {
        Ok(Wasmprof(wasmprof_engine::Engine::new(Config::new().threads(1))?))
    }

    fn compile(&self, bytes: &[u8]) -> anyhow::Result<Module> {
        Ok(Module::from_binary(&self.0, bytes)?)
    }

    fn run(&self, module: &Module, guest: &Guest) -> anyhow::Result<Finished> {
        let mut linker = Linker::<WasiCtx>::new(&self.0);
        wasi::add_to_linker(&mut linker, |context| context)?;
        let marks = Marks::default();
        let (start, end) = (marks.clone(), marks.clone());
        linker.func_wrap("bench", "start", move || start.start())?;
        linker.func_wrap("bench", "end", move || end.end())?;

        let mut builder = WasiCtxBuilder::new();
        builder.inherit_stdio().args(&guest.args);
        for (key, value) in &guest.env {
            builder.env(key, value);
        }
        for (host, name) in &guest.dirs {
            builder.preopened_dir(host, name)?;
        }
        let mut store = Store::new(&self.0, builder.build()?);
        let instance = linker.instantiate(&mut store, module)?;
        let entry = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        let before = Instant::now();
        let result = entry.call(&mut store, ());
        let all = before.elapsed();
        let code = match result {
            Ok(()) => 0,
            Err(error) => error.downcast_ref::<Exit>().context(error.to_string())?.0,
        };
        Ok(Finished { code, span: marks.span().unwrap_or(all) })
    }
}
