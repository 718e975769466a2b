//! The linker: one table of all WASI calls, with their types and the functions that answer them.
//!
//! Both import modules get every name. What a call does is in the modules that the table names.

use wasmprof_runtime::{Caller, Error, Extern, Linker, Memory};

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::error::{Exit, MissingMemory};
use crate::memory::GuestMemory;
use crate::types::Edition;
use crate::{args, clock, dir, file, io, open, path, poll, preopen, random};

/// Defines the WASI calls in a linker, under `wasi_snapshot_preview1` and under the older
/// `wasi_unstable`. `get` finds the context in the data of a store.
///
/// # Errors
///
/// If one of the names is taken.
///
/// # Examples
///
/// ```
/// use wasmprof_engine::wasi::{self, Exit, WasiCtx, WasiCtxBuilder};
/// use wasmprof_engine::{Config, Engine, Linker, Module, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::new(Config::new())?;
/// let module = Module::new(&engine, r#"(module
///     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
///     (func (export "_start") (call $exit (i32.const 3))))"#)?;
///
/// let mut linker = Linker::new(&engine);
/// wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
/// let mut store = Store::new(&engine, WasiCtxBuilder::new().arg("guest").build()?);
/// let instance = linker.instantiate(&mut store, &module)?;
/// let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
/// let error = start.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&Exit(3)));
/// # Ok(())
/// # }
/// ```
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    add_edition(linker, get, "wasi_snapshot_preview1", Edition::Preview1)?;
    add_edition(linker, get, "wasi_unstable", Edition::Unstable)
}

/// Answers a call that works on the caller's memory.
#[inline]
fn answer<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut WasiCtx,
    call: impl FnOnce(&mut WasiCtx, &mut GuestMemory<'_>) -> Result<(), Errno>,
) -> Result<u32, MissingMemory> {
    let (bytes, data) = caller_memory(caller)?.data_and_store_mut(caller);
    Ok(Errno::code(call(get(data), &mut GuestMemory::new(bytes))))
}

/// The memory that a call works on: what the caller exports as `memory`.
#[inline]
fn caller_memory<T: 'static>(caller: &mut Caller<'_, T>) -> Result<Memory, MissingMemory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        Some(Extern::SharedMemory(_)) => Err(MissingMemory::Shared),
        _ => Err(MissingMemory::NotExported),
    }
}

/// Defines a row for each call: its name, its parameters, and the function that answers it with
/// the arguments that it gets behind the context and the memory.
macro_rules! calls {
    ($linker:ident, $module:ident, $get:ident; $(
        $name:ident($($arg:ident: $ty:ty),*) => $answer:path [$($value:expr),*];
    )*) => {$(
        $linker.func_wrap(
            $module,
            stringify!($name),
            move |mut caller: Caller<'_, T>, $($arg: $ty),*| {
                answer(&mut caller, $get, |ctx, memory| $answer(ctx, memory $(, $value)*))
            },
        )?;
    )*};
}

/// Defines calls that are not implemented: they return `ENOSYS`, and the context remembers them.
macro_rules! unimplemented_calls {
    ($linker:ident, $module:ident, $get:ident; $( $name:ident($($ty:ty),*); )*) => {$(
        $linker.func_wrap(
            $module,
            stringify!($name),
            move |mut caller: Caller<'_, T>, $(_: $ty),*| {
                $get(caller.data_mut()).unimplemented.insert(stringify!($name));
                Errno::code(Err(Errno::NoSys))
            },
        )?;
    )*};
}

fn add_edition<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut WasiCtx + Copy + Send + Sync + 'static,
    module: &str,
    edition: Edition,
) -> Result<(), Error> {
    calls! { linker, module, get;
        args_get(argv: u32, buf: u32) => args::args_get[argv, buf];
        args_sizes_get(count: u32, size: u32) => args::args_sizes_get[count, size];
        environ_get(environ: u32, buf: u32) => args::environ_get[environ, buf];
        environ_sizes_get(count: u32, size: u32) => args::environ_sizes_get[count, size];
        clock_res_get(id: u32, resolution: u32) => clock::clock_res_get[id, resolution];
        clock_time_get(id: u32, precision: u64, time: u32)
            => clock::clock_time_get[id, precision, time];
        fd_advise(fd: u32, offset: u64, len: u64, advice: u32)
            => file::fd_advise[fd, offset, len, advice];
        fd_allocate(fd: u32, offset: u64, len: u64) => file::fd_allocate[fd, offset, len];
        fd_close(fd: u32) => file::fd_close[fd];
        fd_datasync(fd: u32) => file::fd_datasync[fd];
        fd_fdstat_get(fd: u32, stat: u32) => file::fd_fdstat_get[fd, stat];
        fd_fdstat_set_flags(fd: u32, flags: u32) => file::fd_fdstat_set_flags[fd, flags];
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64)
            => file::fd_fdstat_set_rights[fd, base, inheriting];
        fd_filestat_get(fd: u32, stat: u32) => file::fd_filestat_get[fd, stat, edition];
        fd_filestat_set_size(fd: u32, size: u64) => file::fd_filestat_set_size[fd, size];
        fd_filestat_set_times(fd: u32, atim: u64, mtim: u64, flags: u32)
            => file::fd_filestat_set_times[fd, atim, mtim, flags];
        fd_pread(fd: u32, iovs: u32, count: u32, offset: u64, nread: u32)
            => io::fd_pread[fd, iovs, count, offset, nread];
        fd_prestat_get(fd: u32, prestat: u32) => preopen::fd_prestat_get[fd, prestat];
        fd_prestat_dir_name(fd: u32, path: u32, len: u32)
            => preopen::fd_prestat_dir_name[fd, path, len];
        fd_pwrite(fd: u32, iovs: u32, count: u32, offset: u64, nwritten: u32)
            => io::fd_pwrite[fd, iovs, count, offset, nwritten];
        fd_read(fd: u32, iovs: u32, count: u32, nread: u32)
            => io::fd_read[fd, iovs, count, nread];
        fd_readdir(fd: u32, buf: u32, len: u32, cookie: u64, used: u32)
            => dir::fd_readdir[fd, buf, len, cookie, used];
        fd_renumber(from: u32, to: u32) => file::fd_renumber[from, to];
        fd_seek(fd: u32, offset: i64, whence: u32, position: u32)
            => file::fd_seek[fd, offset, whence, position, edition];
        fd_sync(fd: u32) => file::fd_sync[fd];
        fd_tell(fd: u32, position: u32) => file::fd_tell[fd, position];
        fd_write(fd: u32, iovs: u32, count: u32, nwritten: u32)
            => io::fd_write[fd, iovs, count, nwritten];
        path_create_directory(fd: u32, path: u32, len: u32)
            => path::path_create_directory[fd, path, len];
        path_filestat_get(fd: u32, flags: u32, path: u32, len: u32, stat: u32)
            => path::path_filestat_get[(fd, flags, path, len), stat, edition];
        path_filestat_set_times(
            fd: u32, flags: u32, path: u32, len: u32, atim: u64, mtim: u64, fst_flags: u32
        ) => path::path_filestat_set_times[(fd, flags, path, len), (atim, mtim, fst_flags)];
        path_link(
            old_fd: u32, old_flags: u32, old_path: u32, old_len: u32,
            new_fd: u32, new_path: u32, new_len: u32
        ) => path::path_link[(old_fd, old_flags, old_path, old_len), (new_fd, new_path, new_len)];
        path_open(
            fd: u32, dirflags: u32, path: u32, len: u32,
            oflags: u32, base: u64, inheriting: u64, fdflags: u32, opened: u32
        ) => open::path_open[(fd, dirflags, path, len), (oflags, base, inheriting, fdflags), opened];
        path_readlink(fd: u32, path: u32, len: u32, buf: u32, buf_len: u32, used: u32)
            => path::path_readlink[(fd, path, len), (buf, buf_len), used];
        path_remove_directory(fd: u32, path: u32, len: u32)
            => path::path_remove_directory[fd, path, len];
        path_rename(
            old_fd: u32, old_path: u32, old_len: u32, new_fd: u32, new_path: u32, new_len: u32
        ) => path::path_rename[(old_fd, old_path, old_len), (new_fd, new_path, new_len)];
        path_symlink(old_path: u32, old_len: u32, fd: u32, new_path: u32, new_len: u32)
            => path::path_symlink[(old_path, old_len), (fd, new_path, new_len)];
        path_unlink_file(fd: u32, path: u32, len: u32) => path::path_unlink_file[fd, path, len];
        poll_oneoff(subscriptions: u32, events: u32, count: u32, stored: u32)
            => poll::poll_oneoff[(subscriptions, events, count, stored), edition];
        random_get(buf: u32, len: u32) => random::random_get[buf, len];
    }

    unimplemented_calls! { linker, module, get;
        proc_raise(u32);
        sock_accept(u32, u32, u32);
        sock_recv(u32, u32, u32, u32, u32, u32);
        sock_send(u32, u32, u32, u32, u32);
        sock_shutdown(u32, u32);
    }

    linker.func_wrap(module, "proc_exit", |code: i32| -> Result<(), Exit> { Err(Exit(code)) })?;
    linker.func_wrap(module, "sched_yield", || -> u32 {
        std::thread::yield_now();
        Errno::code(Ok(()))
    })?;
    Ok(())
}
