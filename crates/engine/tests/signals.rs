//! Faults that are not of compiled code, and threads with small signal stacks.
//!
//! Each scene takes down or changes its process, so it runs in one of its own:
//! this test binary again, told by a variable which scene to play.

use std::process::Command;
use wasmprof_engine::*;

const SCENE: &str = "WASMPROF_TEST_SCENE";

fn play(scene: &str, test: &str) -> std::process::Output {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture"])
        .env(SCENE, scene)
        .output()
        .expect("this binary runs")
}

fn is_scene(scene: &str) -> bool {
    std::env::var(SCENE).is_ok_and(|wanted| wanted == scene)
}

/// Runs a function that traps on an access out of bounds.
fn trap_once() {
    let engine = Engine::new(Config::new()).expect("an engine");
    let wat = r#"(module (memory 1) (func (export "f") (result i32) (i32.load (i32.const -4))))"#;
    let module = Module::new(&engine, wat).expect("valid");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
    let f = instance.get_typed_func::<(), i32>(&mut store, "f").expect("exported");
    let error = f.call(&mut store, ()).unwrap_err();
    assert_eq!(error.trap().expect("a trap").code, TrapCode::MemoryOutOfBounds);
}

extern "C" fn earlier_handler(_: libc::c_int) {
    // SAFETY: writes a constant and leaves, both allowed in a handler.
    unsafe {
        libc::write(2, b"earlier handler\n".as_ptr().cast(), 16);
        libc::_exit(77);
    }
}

#[test]
fn a_foreign_fault_reaches_the_handler_that_was_there_before() {
    if is_scene("foreign") {
        // SAFETY: the handler does only what a handler may.
        unsafe { libc::signal(libc::SIGSEGV, earlier_handler as *const () as usize) };
        trap_once();
        // SAFETY: it is not: this is the fault that the scene is about.
        unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
        return;
    }
    let test = "a_foreign_fault_reaches_the_handler_that_was_there_before";
    let output = play("foreign", test);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("earlier handler"));
}

#[test]
fn a_foreign_fault_without_a_handler_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    if is_scene("default") {
        // SAFETY: sets the default.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        trap_once();
        // SAFETY: as above.
        unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
        return;
    }
    let output = play("default", "a_foreign_fault_without_a_handler_ends_the_process");
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
}

/// What a thread of another language may come with: the smallest signal stack
/// that the system allows, which our handler does not use.
#[test]
fn traps_survive_a_small_signal_stack() {
    let thread = std::thread::spawn(|| {
        let mut small = vec![0u8; libc::MINSIGSTKSZ.max(8192)];
        let stack =
            libc::stack_t { ss_sp: small.as_mut_ptr().cast(), ss_flags: 0, ss_size: small.len() };
        // SAFETY: the memory outlives the thread's use of it: it is replaced
        // by the engine's own signal stack below.
        assert_eq!(unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) }, 0);
        for _ in 0..100 {
            trap_once();
        }
        drop(small);
    });
    thread.join().expect("no panic");
}

/// Each thread has its own signal stack, and gives it back.
#[test]
fn traps_on_many_threads_at_once() {
    for _ in 0..4 {
        let threads: Vec<_> = (0..16).map(|_| std::thread::spawn(trap_once)).collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
    }
}
