//! Faults that are not of compiled code, handlers of others before and after
//! ours, and threads with small signal stacks.
//!
//! Each scene takes down or changes its process, so it runs in one of its own:
//! this test binary again, told by a variable which scene to play.

use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
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

/// Plays a scene that must end well.
#[track_caller]
fn play_well(scene: &str, test: &str) {
    let output = play(scene, test);
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("1 passed"), "the scene was not played: {stdout}");
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
        assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
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

/// A page of somebody else's, which may not be written until a handler has seen
/// the fault.
static PAGE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// How often a handler of somebody else's has repaired it.
static REPAIRS: AtomicUsize = AtomicUsize::new(0);
/// The action that was there before somebody else's.
static mut BEFORE: MaybeUninit<libc::sigaction> = MaybeUninit::uninit();

const PAGE_BYTES: usize = 4096;

/// Another runtime's handler, as it should be: it sees to faults of its own, and
/// hands all others to whoever was there before.
extern "C" fn repair(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let page = PAGE.load(Ordering::Relaxed);
    // SAFETY: the system passes the information; the page is mapped, and who was
    // there before is called as it wants to be.
    unsafe {
        let at = (*info).si_addr() as usize;
        if (page as usize..page as usize + PAGE_BYTES).contains(&at) {
            REPAIRS.fetch_add(1, Ordering::Relaxed);
            libc::mprotect(page.cast(), PAGE_BYTES, libc::PROT_READ | libc::PROT_WRITE);
            return;
        }
        let before = (&raw const BEFORE).cast::<libc::sigaction>().read();
        if before.sa_flags & libc::SA_SIGINFO == 0 {
            // There was nobody.
            libc::_exit(78);
        }
        let before: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            std::mem::transmute(before.sa_sigaction);
        before(signal, info, context);
    }
}

fn install_repair(flags: libc::c_int) {
    // SAFETY: the handler does only what a handler may; the mapping is new.
    unsafe {
        let page = libc::mmap(
            null_mut(),
            PAGE_BYTES,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        PAGE.store(page.cast(), Ordering::Relaxed);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = repair as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        let before = (&raw mut BEFORE).cast();
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, before), 0);
    }
}

/// Writes to the page, which faults and is repaired.
fn write_to_page() {
    let page = PAGE.load(Ordering::Relaxed);
    let repairs = REPAIRS.load(Ordering::Relaxed);
    // SAFETY: the page is mapped, and made accessible by the handler.
    unsafe {
        page.write_volatile(1);
        assert_eq!(libc::mprotect(page.cast(), PAGE_BYTES, libc::PROT_NONE), 0);
    }
    assert_eq!(REPAIRS.load(Ordering::Relaxed), repairs + 1);
}

#[test]
fn a_runtime_that_was_there_before_works_on() {
    if is_scene("before") {
        install_repair(libc::SA_ONSTACK);
        for _ in 0..100 {
            write_to_page();
            trap_once();
        }
        return;
    }
    play_well("before", "a_runtime_that_was_there_before_works_on");
}

#[test]
fn a_runtime_that_comes_after_works_beside() {
    for flags in [libc::SA_ONSTACK, libc::SA_ONSTACK | libc::SA_NODEFER] {
        let scene = format!("after {flags}");
        if is_scene(&scene) {
            trap_once();
            install_repair(flags);
            for _ in 0..100 {
                trap_once();
                write_to_page();
            }
            return;
        }
        if std::env::var_os(SCENE).is_none() {
            play_well(&scene, "a_runtime_that_comes_after_works_beside");
        }
    }
}

/// Engines come and go while others trap, each on its own threads.
#[test]
fn two_embedders_trap_beside_each_other() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..50 {
                    trap_once();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// The signals that were blocked when somebody else's handler ran.
static BLOCKED: [AtomicUsize; 3] = [const { AtomicUsize::new(9) }; 3];
const ASKED: [libc::c_int; 3] = [libc::SIGSEGV, libc::SIGUSR1, libc::SIGPROF];

extern "C" fn note_blocked(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let page = PAGE.load(Ordering::Relaxed);
    // SAFETY: reads the mask and repairs the page, which a handler may.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        for (signal, blocked) in ASKED.into_iter().zip(&BLOCKED) {
            blocked.store(libc::sigismember(&mask, signal) as usize, Ordering::Relaxed);
        }
        libc::mprotect(page.cast(), PAGE_BYTES, libc::PROT_READ | libc::PROT_WRITE);
    }
}

/// A handler that ours calls finds the signals blocked that it asked for.
#[test]
fn a_handler_from_before_is_called_as_the_system_would() {
    for (flags, expected) in [(0, [1, 1, 0]), (libc::SA_NODEFER, [0, 1, 0])] {
        let scene = format!("blocked {flags}");
        if is_scene(&scene) {
            install_repair(0);
            // SAFETY: the handler does only what a handler may.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = note_blocked as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | flags;
                libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1);
                assert_eq!(libc::sigaction(libc::SIGSEGV, &action, null_mut()), 0);
            }
            trap_once();
            // SAFETY: the handler makes the page accessible.
            unsafe { PAGE.load(Ordering::Relaxed).write_volatile(1) };
            let blocked = BLOCKED.each_ref().map(|blocked| blocked.load(Ordering::Relaxed));
            assert_eq!(blocked, expected);
            trap_once();
            return;
        }
        if std::env::var_os(SCENE).is_none() {
            play_well(&scene, "a_handler_from_before_is_called_as_the_system_would");
        }
    }
}

static SENT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_sent(_: libc::c_int) {
    SENT.fetch_add(1, Ordering::Relaxed);
}

/// Somebody sends the signal that faults arrive by, while compiled code is at
/// an instruction that could fault: that is no trap.
#[test]
fn a_signal_that_was_sent_is_no_trap() {
    if is_scene("sent") {
        // SAFETY: the handler only counts.
        unsafe { libc::signal(libc::SIGSEGV, count_sent as *const () as usize) };
        let engine = Engine::new(Config::new()).expect("an engine");
        // Nearly all of its instructions are loads and divisions.
        let step = "(local.set 0 (i32.div_u (i32.load (local.get 0)) (i32.const 7)))".repeat(20);
        let wat = format!(
            r#"(module (memory 1) (func (export "f") (param i32 i32)
                (loop {step}
                    (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
                    (br_if 0 (local.get 1)))))"#
        );
        let module = Module::new(&engine, wat).expect("valid");
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
        let f = instance.get_typed_func::<(i32, i32), ()>(&mut store, "f").expect("exported");
        // SAFETY: asks for this thread, which outlives the one that sends.
        let target = unsafe { libc::pthread_self() };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while SENT.load(Ordering::Relaxed) < 200 {
                    // SAFETY: the thread waits for this one.
                    unsafe { libc::pthread_kill(target, libc::SIGSEGV) };
                    std::thread::sleep(std::time::Duration::from_micros(100));
                }
            });
            while SENT.load(Ordering::Relaxed) < 200 {
                f.call(&mut store, (0, 10_000)).expect("no trap");
            }
        });
        trap_once();
        return;
    }
    play_well("sent", "a_signal_that_was_sent_is_no_trap");
}

#[test]
fn a_signal_that_was_sent_ends_the_process_without_a_handler() {
    use std::os::unix::process::ExitStatusExt;
    if is_scene("sent, default") {
        // SAFETY: sets the default, and sends what ends this process.
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            trap_once();
            libc::kill(libc::getpid(), libc::SIGSEGV);
        }
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let test = "a_signal_that_was_sent_ends_the_process_without_a_handler";
    let output = play("sent, default", test);
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
}

/// Faults cannot be ignored: they would happen again, for ever.
#[test]
fn a_foreign_fault_is_not_ignored() {
    use std::os::unix::process::ExitStatusExt;
    if is_scene("ignored") {
        // SAFETY: ignores the signal, sends it, and then faults, which is what
        // the scene is about.
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_IGN);
            trap_once();
            libc::kill(libc::getpid(), libc::SIGSEGV);
            trap_once();
            std::ptr::without_provenance::<u8>(8).read_volatile();
        }
        return;
    }
    let output = play("ignored", "a_foreign_fault_is_not_ignored");
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
}
