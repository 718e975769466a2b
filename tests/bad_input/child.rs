//! Runs the binary under limits of time and memory, and looks at how it ends.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No input of these tests is worth more than this.
const MEMORY_LIMIT_KIB: i64 = 1_500 * 1024;
const TIME_LIMIT: Duration = Duration::from_secs(180);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A folder for one test, with the files that it runs.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).expect("a temporary file can be written");
        path
    }

    /// Runs `wasmprof run` with these arguments in this folder.
    // It is waited for by `wait`, which also tells how much memory it took.
    #[allow(clippy::zombie_processes)]
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let out = tempfile::tempfile().expect("a temporary file can be made");
        let err = tempfile::tempfile().expect("a temporary file can be made");
        let child = Command::new(env!("CARGO_BIN_EXE_wasmprof"))
            .arg("run")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file can be opened twice"))
            .stderr(err.try_clone().expect("a file can be opened twice"))
            .spawn()
            .expect("the binary starts");
        let (code, peak) = wait(child.id() as i32, arguments);
        assert!(peak < MEMORY_LIMIT_KIB, "{arguments:?} took {peak} KiB of memory");
        Ended { code, stdout: text(out), stderr: text(err) }
    }

    /// Runs it and expects that it says what is wrong, and properly so.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        self.ends(1, arguments)
    }

    /// The same if it is the command line that is wrong.
    #[track_caller]
    pub(crate) fn misused(&self, arguments: &[&str]) -> String {
        self.ends(2, arguments)
    }

    #[track_caller]
    fn ends(&self, expected: i32, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        let Ended { code, stdout, stderr } = &ended;
        assert_eq!(*code, Some(expected), "{arguments:?}: {ended:?}");
        assert_eq!(stdout, "", "{arguments:?} wrote to stdout");
        assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
        assert!(!stderr.trim_end().contains("\n\n"), "more than one paragraph: {stderr}");
        assert!(stderr.len() < 2_000, "{} bytes of error: {stderr:.2000}", stderr.len());
        ended.stderr
    }

    /// Runs the function `f` of a valid module by both strategies and expects
    /// that it prints `results`.
    #[track_caller]
    pub(crate) fn runs(&self, file: &str, arguments: &[&str], results: &str) {
        for strategy in ["optimized", "fast"] {
            self.runs_by(strategy, file, arguments, results);
        }
    }

    /// The same by one strategy.
    #[track_caller]
    pub(crate) fn runs_by(&self, strategy: &str, file: &str, arguments: &[&str], results: &str) {
        let all = ["--strategy", strategy, "--invoke", "f", file];
        let ended = self.run(&[&all, arguments].concat());
        let start: String = ended.stderr.chars().take(2_000).collect();
        assert_eq!(ended.code, Some(0), "{file}, {strategy}: {start}");
        assert!(ended.stdout == results, "{file}, {strategy}: {:.200}", ended.stdout);
    }
}

fn text(mut file: File) -> String {
    file.rewind().expect("a file can be read from its start");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a child: its exit code, and the most memory it had at once.
#[track_caller]
fn wait(pid: i32, arguments: &[&str]) -> (Option<i32>, i64) {
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: an all-zero `rusage` is one.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `status` and `usage` are places for what the call writes, and
        // the child has not been waited for: nobody else knows it.
        let done = unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage) };
        if done == pid {
            let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
            return (code, usage.ru_maxrss);
        }
        assert_eq!(done, 0, "the child can be waited for");
        if start.elapsed() > TIME_LIMIT {
            // SAFETY: the child is ours and has not been waited for, so the
            // number is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            panic!("{arguments:?} took more than {TIME_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
