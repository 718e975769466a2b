//! Host functions are called without a shim: what `Func::wrap` says of the
//! machine code is so.

#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::process::Command;
use std::sync::{Arc, Mutex};
use wasmprof_engine::*;

const WAT: &str = r#"(module
    (type $binary (func (param i32 i32) (result i32)))
    (import "host" "add" (func $add (type $binary)))
    (import "host" "array" (func $array (type $binary)))
    (table funcref (elem $add))
    (func (export "call") (type $binary) (call $add (local.get 0) (local.get 1)))
    (func (export "indirectly") (type $binary)
        (call_indirect (type $binary) (local.get 0) (local.get 1) (i32.const 0)))
    (func (export "by array") (type $binary) (call $array (local.get 0) (local.get 1))))"#;

/// The instructions of a function by address, as objdump prints them.
fn disassembly(module: &Module, function: usize) -> BTreeMap<u64, String> {
    let symbol = &module.symbols()[function];
    let code = &module.text()[symbol.range().start.index()..symbol.range().end.index()];
    let file = std::env::temp_dir().join(format!("wasmprof-zero-shims-{}", std::process::id()));
    std::fs::write(&file, code).expect("a file in the folder for temporary ones");
    let output = Command::new("objdump")
        .args(["-D", "-b", "binary", "-m", "i386:x86-64", "--no-show-raw-insn"])
        .arg(&file)
        .output();
    let _ = std::fs::remove_file(&file);
    let output = output.expect("objdump runs");
    let text = String::from_utf8(output.stdout).expect("objdump prints text");
    let instruction = |line: &str| {
        let (address, instruction) = line.trim_start().split_once(":\t")?;
        let words: Vec<&str> = instruction.split_whitespace().collect();
        Some((u64::from_str_radix(address, 16).ok()?, words.join(" ")))
    };
    text.lines().filter_map(instruction).collect()
}

/// The instructions on each way through code without loops that returns.
fn ways(code: &BTreeMap<u64, String>) -> Vec<Vec<&str>> {
    let mut done = Vec::new();
    let mut open = vec![(0, Vec::new())];
    while let Some((at, mut way)) = open.pop() {
        let text = code.get(&at).unwrap_or_else(|| panic!("no instruction at {at:#x}: {code:?}"));
        let next = code.range(at + 1..).next().map(|(next, _)| *next);
        way.push(&**text);
        let (word, operand) = text.split_once(' ').unwrap_or((text, ""));
        let target = || {
            u64::from_str_radix(operand.trim_start_matches("0x"), 16).expect("a jump to an address")
        };
        match word {
            "ret" => done.push(way),
            "ud2" => {}
            "jmp" => open.push((target(), way)),
            _ if word.starts_with('j') => {
                open.push((target(), way.clone()));
                open.push((next.expect("code goes on"), way));
            }
            _ => open.push((next.expect("code goes on"), way)),
        }
    }
    done
}

/// A call of an import has two ways, for compiled code and for the host, each
/// with one indirect call. On that of the host there are but moves before it.
#[test]
fn a_call_of_the_host_is_one_call() {
    let tool = Command::new("objdump").arg("--version").output();
    if tool.is_err() {
        let required = std::env::var_os("WASMPROF_REQUIRE_TOOLS").is_some_and(|v| v == "1");
        assert!(!required, "objdump is missing; scripts/setup installs it");
        eprintln!("LEFT OUT: objdump is not installed; scripts/setup installs it");
        return;
    }
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        let engine = Engine::new(Config::new().strategy(strategy)).expect("an engine");
        let module = Module::new(&engine, WAT).expect("valid");
        let code = disassembly(&module, 0);
        let ways = ways(&code);
        assert_eq!(ways.len(), 2, "{strategy:?}: {code:?}");
        for way in &ways {
            let calls: Vec<_> = way.iter().filter(|text| text.starts_with("call")).collect();
            assert!(matches!(calls[..], [call] if call.contains('*')), "{strategy:?}: {way:?}");
        }
        // The host's way is the one that says where compiled code was left.
        let leaves = |text: &&str| text.starts_with("mov %r") && text.contains(",0x10(%r");
        let [host] = ways.iter().filter(|way| way.iter().any(leaves)).collect::<Vec<_>>()[..]
        else {
            panic!("one of two ways is the host's: {ways:?}");
        };
        let decision =
            host.iter().rposition(|text| text.starts_with('j') && !text.starts_with("jmp"));
        let before = &host[decision.expect("the kind of the import is looked at") + 1..];
        let call = before.iter().position(|text| text.starts_with("call")).expect("a call");
        for text in &before[..call] {
            assert!(text.starts_with("mov") || text.starts_with("jmp"), "{strategy:?}: {before:?}");
        }
    }
}

/// Ranges of machine code with their names, as a profiler is told of them.
type Symbols = Arc<Mutex<Vec<(Range<usize>, String)>>>;

#[derive(Debug)]
struct Listener(Symbols);

impl ProfilingAgent for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }

    fn loaded(&mut self, loaded: LoadedImage<'_>) -> Result<(), AgentError> {
        let LoadedImage { image, base, .. } = loaded;
        self.0.lock().expect("nobody panics").extend(image.symbols.iter().map(|symbol| {
            let Range { start, end } = symbol.range();
            let range = base.0 + start.index()..base.0 + end.index();
            (range, image.symbol_name(symbol).into_owned())
        }));
        Ok(())
    }

    fn unloaded(&mut self, _: LoadedImage<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}

unsafe extern "C" {
    // The unwinder that Rust itself is linked with.
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut c_void, *mut c_void) -> i32,
        argument: *mut c_void,
    ) -> i32;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

extern "C" fn note(context: *mut c_void, addresses: *mut c_void) -> i32 {
    // SAFETY: the unwinder passes a frame, and the vector of `callers`.
    unsafe { (*addresses.cast::<Vec<usize>>()).push(_Unwind_GetIP(context)) };
    0
}

/// The return addresses above this function, up to the first frame of compiled
/// code: Rust's unwinder knows nothing of that one's caller.
fn callers() -> Vec<usize> {
    let mut addresses = Vec::new();
    // SAFETY: `note` gets the vector that it expects.
    unsafe { _Unwind_Backtrace(note, (&raw mut addresses).cast()) };
    addresses
}

/// The first frame below the closure that is not of Rust is the calling function
/// itself. Where there is a stub between, this test sees it.
#[test]
fn no_stub_lies_between_compiled_code_and_a_closure() -> Result<(), Error> {
    let symbols = Symbols::default();
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        symbols.lock().expect("nobody panics").clear();
        let agent: Box<dyn ProfilingAgent> = Box::new(Listener(symbols.clone()));
        let engine = Engine::new(Config::new().strategy(strategy).agents([agent]))?;
        let module = Module::new(&engine, WAT)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap(
            "host",
            "add",
            |mut caller: Caller<'_, Vec<usize>>, a: i32, b: i32| -> Result<i32, Trap> {
                *caller.data_mut() = callers();
                a.checked_add(b).ok_or_else(|| Trap::new(TrapCode::IntegerOverflow))
            },
        )?;
        let ty = FuncType::new([ValType::I32; 2], [ValType::I32]);
        linker.func_new("host", "array", ty, |mut caller, params, results| {
            *caller.data_mut() = callers();
            results[0] = params[0];
            Ok(())
        })?;
        let mut store = Store::new(&engine, Vec::new());
        let instance = linker.instantiate(&mut store, &module)?;
        for (name, expected) in [
            ("call", "call"),
            ("indirectly", "wasmprof host call: [i32 i32] -> [i32]"),
            ("by array", "wasmprof host array: [i32 i32] -> [i32]"),
        ] {
            let f = instance.get_typed_func::<(i32, i32), i32>(&mut store, name)?;
            f.call(&mut store, (1, 2))?;
            let symbols = symbols.lock().expect("nobody panics");
            let compiled = store.data().iter().find_map(|address| {
                symbols.iter().find(|(range, _)| range.contains(address)).map(|(_, name)| name)
            });
            assert_eq!(compiled.map(String::as_str), Some(expected), "{strategy:?}");
        }
    }
    Ok(())
}
