//! A guest for tests: a module that imports every WASI call and exports it under the same name, so
//! that a test makes the calls itself and sees what they do to the guest's memory.

use wasmprof_engine::wasi::{self, WasiCtx, WasiCtxBuilder};
use wasmprof_engine::{Config, Engine, Error, Instance, Linker, Memory, Module, Store, Val};

/// Every WASI call with its parameters, `i` for 32 bits and `I` for 64. This repeats the
/// specification, not the linker: a module that imports all of it links only if they agree.
pub(crate) const CALLS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// `proc_exit` is the 46th; it alone returns nothing.
fn proxy(import_module: &str) -> String {
    let mut imports = format!(
        "(import \"{import_module}\" \"proc_exit\" (func $proc_exit (param i32)))\n\
         (export \"proc_exit\" (func $proc_exit))\n"
    );
    let mut functions = String::new();
    for (name, params) in CALLS {
        let types: String =
            params.chars().map(|param| if param == 'i' { " i32" } else { " i64" }).collect();
        let gets: String = (0..params.len()).map(|index| format!(" (local.get {index})")).collect();
        imports += &format!(
            "(import \"{import_module}\" \"{name}\" (func ${name} (param{types}) (result i32)))\n"
        );
        functions += &format!(
            "(func (export \"{name}\") (param{types}) (result i32) (call ${name}{gets}))\n"
        );
    }
    format!("(module {imports} (memory (export \"memory\") 1) {functions})")
}

/// An instance of such a module, with the context of its calls.
pub(crate) struct Guest {
    pub(crate) store: Store<WasiCtx>,
    instance: Instance,
    memory: Memory,
}

/// A store and an instance of a module in the text format.
pub(crate) fn instantiate(
    wat: &str,
    builder: &mut WasiCtxBuilder,
) -> Result<(Store<WasiCtx>, Instance), Error> {
    let engine = Engine::new(Config::new())?;
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
    let ctx = builder.build().expect("what a test gives its guest can be given");
    let mut store = Store::new(&engine, ctx);
    let module = Module::new(&engine, wat)?;
    let instance = linker.instantiate(&mut store, &module)?;
    Ok((store, instance))
}

impl Guest {
    pub(crate) fn new(builder: &mut WasiCtxBuilder) -> Self {
        Self::importing("wasi_snapshot_preview1", builder)
    }

    pub(crate) fn importing(import_module: &str, builder: &mut WasiCtxBuilder) -> Self {
        let (mut store, instance) = instantiate(&proxy(import_module), builder).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Self { store, instance, memory }
    }

    /// Makes a call, and gives the number it returns.
    pub(crate) fn call(&mut self, name: &str, args: &[i64]) -> i32 {
        let (_, params) = CALLS.iter().find(|(known, _)| *known == name).expect("a known call");
        assert_eq!(params.len(), args.len(), "{name}");
        let args: Vec<Val> = params
            .chars()
            .zip(args)
            .map(|(param, arg)| if param == 'i' { Val::I32(*arg as i32) } else { Val::I64(*arg) })
            .collect();
        let mut results = [Val::I32(-1)];
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        func.call(&mut self.store, &args, &mut results).unwrap();
        match results[0] {
            Val::I32(errno) => errno,
            _ => unreachable!("the call returns a number"),
        }
    }

    /// Calls `proc_exit`, which does not return.
    pub(crate) fn exit(&mut self, code: i32) -> Error {
        let exit = self.instance.get_typed_func::<i32, ()>(&mut self.store, "proc_exit").unwrap();
        exit.call(&mut self.store, code).unwrap_err()
    }

    pub(crate) fn write(&mut self, address: usize, bytes: &[u8]) {
        self.memory.write(&mut self.store, address, bytes).unwrap();
    }

    pub(crate) fn read(&self, address: usize, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.read(&self.store, address, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn write_u32(&mut self, address: usize, value: u32) {
        self.write(address, &value.to_le_bytes());
    }

    pub(crate) fn read_u32(&self, address: usize) -> u32 {
        u32::from_le_bytes(self.read(address, 4).try_into().unwrap())
    }

    pub(crate) fn read_u64(&self, address: usize) -> u64 {
        u64::from_le_bytes(self.read(address, 8).try_into().unwrap())
    }
}
