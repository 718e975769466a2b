//! What tests of the binary share: running it, finding fixtures and tools.

#![allow(dead_code, clippy::print_stderr)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The binary under test.
pub(crate) fn wasmprof() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wasmprof"))
}

/// A file below `tests/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// An empty folder for a test with this name.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder for the test");
    path
}

/// A run of a program, with what it printed as text.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")).into()
}

/// Runs `wasmprof run` with these words.
pub(crate) fn run<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Ran {
    ran(wasmprof().arg("run").args(words))
}

/// Whether a tool that a test needs is here. Where tools are required, a
/// missing one fails the test; elsewhere the test says that it is left out.
pub(crate) fn tool(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()));
    if !found {
        let required = std::env::var_os("WASMPROF_REQUIRE_TOOLS").is_some_and(|v| v == "1");
        assert!(!required, "{name} is missing; scripts/setup installs it");
        eprintln!("LEFT OUT: {name} is not installed; scripts/setup installs it");
    }
    found
}
