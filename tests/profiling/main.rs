//! What profilers see of a run: the perf map, perf itself, and a collector of
//! VTune's kind.
#![cfg(feature = "profiling")]
#![allow(clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{fixture, folder, ran, run, tool, wasmprof};
use wasmprof_collector::Event;

/// CPU-bound programs with names of C, of Rust, and none.
const PROGRAMS: [&str; 5] = ["recursion", "sort", "json", "nbody", "calls"];

/// Runs a program with a perf map and returns the entries of the map.
fn perf_map(module: &Path, args: &[&str]) -> Vec<(u64, u64, String)> {
    let mut command = wasmprof();
    command.args(["run", "--jit-profile=perfmap"]).arg(module).args(args);
    let mut child = command.stdout(Stdio::null()).spawn().expect("the binary");
    let path = format!("/tmp/perf-{}.map", child.id());
    assert!(child.wait().expect("ended").success());
    let text = std::fs::read_to_string(&path).expect("a perf map");
    std::fs::remove_file(&path).expect("ours to remove");
    let entry = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let mut hex = || u64::from_str_radix(words.next()?, 16).ok();
        let (start, size) = (hex()?, hex()?);
        Some((start, size, words.next()?.to_owned()))
    };
    text.lines().map(|line| entry(line).unwrap_or_else(|| panic!("{line:?}"))).collect()
}

#[test]
fn the_map_has_every_function_and_leaves_no_byte_out() {
    let mut entries = perf_map(&fixture("wasm/trap.wasm").with_file_name("hello.wasm"), &[]);
    let names: Vec<&str> = entries.iter().map(|(_, _, name)| name.trim_end()).collect();
    for name in ["main", "puts", "_start"] {
        assert!(names.iter().any(|n| n.contains(name)), "{name} in {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("wasmprof entry")), "{names:?}");
    // Images are whole pages, and within one each entry ends where the next starts.
    entries.sort();
    let mut images: BTreeMap<u64, u64> = BTreeMap::new();
    for (start, size, name) in &entries {
        assert!(*size > 0, "{name} is empty");
        match images.values_mut().next_back() {
            Some(end) if *end == *start => *end += size,
            Some(end) => {
                assert!(*end < *start, "{name} overlaps the entry before it");
                assert_eq!(*end % 4096, 0, "a gap before {name}");
                images.insert(*start, start + size);
            }
            None => {
                images.insert(*start, start + size);
            }
        }
    }
    for (start, end) in images {
        assert_eq!((start % 4096, end % 4096), (0, 0));
    }
}

#[test]
fn perf_names_every_sample_in_compiled_code() {
    if !tool("perf") {
        return;
    }
    for program in PROGRAMS {
        let module = fixture("wasm").join(program).with_extension("wasm");
        let samples = recorded(&format!("profiling-{program}"), &module);
        let (mut named, mut unnamed) = (0, Vec::new());
        for line in samples.lines() {
            let compiled = line.contains("/perf-") || line.contains("[JIT]");
            let nowhere = line.contains("//anon") || line.ends_with("([unknown])");
            if nowhere || (compiled && line.contains("[unknown]")) {
                unnamed.push(line);
            } else if compiled {
                named += 1;
            }
        }
        assert!(unnamed.is_empty(), "{program}: {} without a name: {unnamed:?}", unnamed.len());
        assert!(named > 50, "{program}: only {named} samples in compiled code");
        println!("{program}: {named} of {named} samples in compiled code have a name");
    }
}

/// Compiled code calls the wrapped closure itself, so that its Rust symbol is
/// what perf shows for a host function.
#[test]
fn host_functions_are_known_by_their_rust_symbol() {
    if !tool("perf") {
        return;
    }
    let samples = recorded("profiling-host", &fixture("wat/host_calls.wat"));
    let of = |symbol: &str| samples.lines().filter(|line| line.contains(symbol)).count();
    let (host, guest) = (of("into_host_func::code"), of(" ask "));
    assert!(host > 10 && guest > 0, "{host} samples in host functions, {guest} in their caller");
}

/// What `perf script` prints of a recorded run: a line for each sample, with
/// its address, symbol and file.
fn recorded(name: &str, module: &Path) -> String {
    let data = folder(name).join("perf.data");
    let record = ran(Command::new("perf")
        .args(["record", "--quiet", "-F", "997", "-e", "cpu-clock", "-o"])
        .arg(&data)
        .arg("--")
        .arg(wasmprof().get_program())
        .args(["run", "--jit-profile=perfmap"])
        .arg(module));
    assert_eq!(record.code, Some(0), "{record:?}");
    let script =
        ran(Command::new("perf").args(["script", "--force", "-F", "ip,sym,dso", "-i"]).arg(&data));
    assert_eq!(script.code, Some(0), "{script:?}");
    script.stdout
}

#[test]
fn a_collector_receives_each_function_and_one_shutdown() {
    let folder = folder("profiling-vtune");
    for flag in ["--jit-profile=vtune", "--jit-profile"] {
        let log = folder.join(flag);
        let module = fixture("wasm/recursion.wasm");
        let ran = ran(wasmprof()
            .arg("run")
            .arg(flag)
            .arg(&module)
            .env(wasmprof_collector::LIBRARY_VARIABLE, wasmprof_collector::library().unwrap())
            .env(wasmprof_collector::LOG_VARIABLE, &log));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let events = wasmprof_collector::read_log(&log).expect("a log");
        let mut ids = HashSet::new();
        let mut names = HashSet::new();
        for event in &events {
            if let Event::Load { id, name, module, address, size } = event {
                assert!(*id >= 1000 && ids.insert(*id), "{event:?}");
                assert!(*address != 0 && *size != 0, "{event:?}");
                if module == "recursion.wasm" || module == "recursion" {
                    names.insert(name.as_str());
                }
            }
        }
        for name in ["fib", "ackermann", "_start"] {
            assert!(names.contains(name), "{name} in {names:?}");
        }
        let shutdowns = events.iter().filter(|event| **event == Event::Shutdown).count();
        assert_eq!((shutdowns, events.last()), (1, Some(&Event::Shutdown)));
    }
}

#[test]
fn an_agent_that_cannot_start_says_so_once_and_the_program_runs() {
    let ran = ran(wasmprof()
        .args(["run", "--jit-profile=vtune"])
        .arg(fixture("wasm/exit_code.wasm"))
        .env("INTEL_JIT_PROFILER64", "/nowhere/collector.so"));
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.stderr.matches("vtune").count(), 1, "{ran:?}");
}

#[test]
fn unknown_agents_are_a_mistake_on_the_command_line() {
    let ran = run(["--jit-profile=perfmpa".into(), fixture("wasm/hello.wasm").into_os_string()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("perfmap"), "{ran:?}");
}
