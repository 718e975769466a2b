//! The calls of a whole guest: that all of them link, what they return, and that no argument makes
//! them do anything but return.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::guest::{CALLS, Guest, instantiate};
use wasmprof_engine::wasi::{Exit, Input, MissingMemory, Output, WasiCtxBuilder};

const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const NOSYS: i32 = 52;

const EDITIONS: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// What a test gives its guest, and what the guest has written to its standard output.
fn captured() -> (WasiCtxBuilder, Arc<Mutex<Vec<u8>>>) {
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(Output::Buffer(buffer.clone()));
    (builder, buffer)
}

#[test]
fn every_call_links_with_the_type_of_the_specification() {
    for edition in EDITIONS {
        let mut guest = Guest::importing(edition, &mut WasiCtxBuilder::new());
        assert_eq!(guest.call("sched_yield", &[]), 0);
        assert_eq!(guest.call("fd_close", &[7]), BADF);
    }
    assert_eq!(CALLS.len(), 45);
}

#[test]
fn a_program_reads_its_input_and_writes_it_out() {
    // Copies the input through a buffer of 5 bytes until a read gives nothing, and exits with 7.
    let program = r#"(module
        (import "wasi_snapshot_preview1" "fd_read"
            (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\05\00\00\00")
        (func (export "_start")
            (loop $again
                (i32.store (i32.const 4) (i32.const 5))
                (br_if 1 (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                (i32.store (i32.const 4) (i32.load (i32.const 8)))
                (br_if 1 (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
                (br_if $again (i32.load (i32.const 8))))
            (call $exit (i32.const 7))))"#;
    let (mut builder, output) = captured();
    builder.stdin(Input::Bytes(b"hello, wasm world".to_vec()));
    let (mut store, instance) = instantiate(program, &mut builder).unwrap();
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap();
    let error = start.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Exit(7)));
    assert_eq!(*output.lock().unwrap(), b"hello, wasm world");
}

#[test]
fn exit_codes_are_the_guests() {
    for code in [0, 1, 134, -1, i32::MIN] {
        let error = Guest::new(&mut WasiCtxBuilder::new()).exit(code);
        assert_eq!(error.downcast_ref(), Some(&Exit(code)));
        assert_eq!(error.to_string(), format!("the guest exited with code {code}"));
    }
}

#[test]
fn a_guest_without_a_memory_is_told_so() {
    let program = r#"(module
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (func (export "run") (result i32) (call $close (i32.const 0))))"#;
    let (mut store, instance) = instantiate(program, &mut WasiCtxBuilder::new()).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&MissingMemory::NotExported));
    assert!(error.to_string().contains("export its memory under the name `memory`"));
}

/// Slices of what other threads may change would be unsound.
#[test]
fn a_guest_with_a_shared_memory_is_told_so() {
    let program = r#"(module
        (import "wasi_snapshot_preview1" "random_get"
            (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1 1 shared)
        (func (export "run") (result i32) (call $random (i32.const 0) (i32.const 8))))"#;
    let (mut store, instance) = instantiate(program, &mut WasiCtxBuilder::new()).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&MissingMemory::Shared));
    assert!(error.to_string().contains("cannot work on a shared memory yet"));
    assert!(instance.get_memory(&mut store, "memory").is_none());
}

#[test]
fn arguments_and_environment_arrive() {
    let mut builder = WasiCtxBuilder::new();
    builder.arg("program").args(["--flag", "ä"]).env("HOME", "/").env("EMPTY", "");
    let mut guest = Guest::new(&mut builder);
    assert_eq!(guest.call("args_sizes_get", &[0, 4]), 0);
    assert_eq!((guest.read_u32(0), guest.read_u32(4)), (3, 18));
    assert_eq!(guest.call("args_get", &[16, 64]), 0);
    assert_eq!(guest.read(64, 18), "program\0--flag\0ä\0".as_bytes());
    assert_eq!([16, 20, 24].map(|at| guest.read_u32(at)), [64, 72, 79]);
    assert_eq!(guest.call("environ_sizes_get", &[0, 4]), 0);
    assert_eq!((guest.read_u32(0), guest.read_u32(4)), (2, 14));
    assert_eq!(guest.call("environ_get", &[16, 64]), 0);
    assert_eq!(guest.read(64, 14), b"HOME=/\0EMPTY=\0");
    assert_eq!(guest.call("args_get", &[16, 65_530]), FAULT);
    assert_eq!(guest.call("args_sizes_get", &[65_533, 0]), FAULT);
}

#[test]
fn the_four_clocks_run() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    for id in 0..4 {
        assert_eq!(guest.call("clock_res_get", &[id, 0]), 0);
        assert!(guest.read_u64(0) > 0);
        assert_eq!(guest.call("clock_time_get", &[id, 1000, 0]), 0);
        assert_eq!(guest.call("clock_time_get", &[id, 0, 8]), 0);
        assert!(0 < guest.read_u64(0) && guest.read_u64(0) <= guest.read_u64(8), "clock {id}");
    }
    assert_eq!(guest.call("clock_time_get", &[4, 0, 0]), INVAL);
    assert_eq!(guest.call("clock_time_get", &[0, 0, 65_529]), FAULT);
}

#[test]
fn what_is_not_implemented_is_listed() {
    for edition in EDITIONS {
        let mut guest = Guest::importing(edition, &mut WasiCtxBuilder::new());
        assert_eq!(guest.store.data().unimplemented_calls().count(), 0);
        assert_eq!(guest.call("sock_shutdown", &[0, 0]), NOSYS);
        assert_eq!(guest.call("proc_raise", &[0]), NOSYS);
        assert_eq!(guest.call("sock_shutdown", &[0, 0]), NOSYS);
        let calls: Vec<_> = guest.store.data().unimplemented_calls().collect();
        assert_eq!(calls, ["proc_raise", "sock_shutdown"]);
    }
}

#[test]
fn standard_streams_describe_themselves() {
    let (mut builder, _) = captured();
    let mut guest = Guest::new(builder.inherit_stdio());
    for fd in 0..3 {
        assert_eq!(guest.call("fd_fdstat_get", &[fd, 0]), 0);
        assert_eq!(guest.call("fd_prestat_get", &[fd, 0]), BADF);
    }
    assert_eq!(guest.call("fd_fdstat_get", &[3, 0]), BADF);
    // Closing a stream of this process is for the guest only.
    assert_eq!(guest.call("fd_close", &[2]), 0);
    assert_eq!(guest.call("fd_close", &[2]), BADF);
    assert!(rustix::fs::fstat(rustix::stdio::stderr()).is_ok());
}

#[test]
fn sleeping_takes_its_time_in_both_editions() {
    // The clock of the older edition has an identifier before it.
    for (edition, clock) in [(EDITIONS[0], 16), (EDITIONS[1], 24)] {
        let mut guest = Guest::importing(edition, &mut WasiCtxBuilder::new());
        guest.write(0, &42_u64.to_le_bytes());
        guest.write_u32(clock, 1);
        guest.write(clock + 8, &30_000_000_u64.to_le_bytes());
        let start = Instant::now();
        assert_eq!(guest.call("poll_oneoff", &[0, 100, 1, 200]), 0);
        assert!(start.elapsed().as_millis() >= 30);
        assert_eq!((guest.read_u32(200), guest.read_u64(100), guest.read_u32(108)), (1, 42, 0));
    }
}

#[test]
fn addresses_outside_of_the_memory_are_efault() {
    let mut guest = Guest::new(&mut WasiCtxBuilder::new());
    let end = 65_536;
    for (name, args) in [
        ("fd_write", vec![1, end, 1, 0]),
        ("fd_write", vec![1, 0, 1, end]),
        ("fd_write", vec![1, -8, 1, 0]),
        ("fd_write", vec![1, 0, -1, 0]),
        ("fd_read", vec![0, end - 4, 1, 0]),
        ("fd_fdstat_get", vec![0, end - 23]),
        ("fd_filestat_get", vec![0, -1]),
        ("random_get", vec![0, end + 1]),
        ("random_get", vec![1, -1]),
        ("environ_sizes_get", vec![0, end]),
        ("poll_oneoff", vec![0, end - 31, 1, 0]),
        ("path_create_directory", vec![3, end, 1]),
    ] {
        assert_eq!(guest.call(name, &args), FAULT, "{name}{args:?}");
    }
    // A buffer that ends outside is as bad as a list that does.
    guest.write_u32(0, 65_530);
    guest.write_u32(4, 7);
    assert_eq!(guest.call("fd_write", &[1, 0, 1, 100]), FAULT);
    guest.write_u32(4, 6);
    assert_eq!(guest.call("fd_write", &[1, 0, 1, 100]), 0);
}

#[test]
fn whatever_the_arguments_a_call_returns() {
    let dir = tempfile::tempdir().unwrap();
    // Numbers of a simple generator: the same in each run.
    let mut state = 1_u64;
    let mut next = |choices: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % choices
    };
    let extremes: [i64; 12] = [0, 1, 2, 3, 4, 8, 64, 4096, 65_535, 65_536, i32::MAX as i64, -1];
    for edition in EDITIONS {
        let mut builder = WasiCtxBuilder::new();
        builder.arg("x").preopened_dir(dir.path(), "/").unwrap();
        let mut guest = Guest::importing(edition, &mut builder);
        // Bytes that are small addresses, lengths and names at once.
        let bytes: Vec<u8> = (0..65_536_u32).map(|at| if at % 4 == 0 { b'a' } else { 0 }).collect();
        guest.write(0, &bytes);
        for _ in 0..200 {
            for (name, params) in CALLS {
                // A guest may well sleep for very long, or fill a disk; a test may not.
                if ["poll_oneoff", "fd_allocate", "fd_filestat_set_size", "fd_pwrite"]
                    .contains(name)
                {
                    continue;
                }
                let args: Vec<_> = params.chars().map(|_| extremes[next(12) as usize]).collect();
                let errno = guest.call(name, &args);
                assert!((0..=76).contains(&errno), "{name}{args:?} returned {errno}");
            }
        }
    }
}
