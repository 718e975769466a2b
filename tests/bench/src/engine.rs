//! What an engine must be able to do to be measured, in words of the benchmark's own.
//! The two engines are in `ours.rs` and `theirs.rs`; the measuring is in `child.rs`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::clock::{Instant, Span};

/// What a WASI program is given.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    /// The arguments, the program's name first.
    pub(crate) args: Vec<String>,
    /// The environment.
    pub(crate) env: Vec<(String, String)>,
    /// Folders of the host, and the names under which the program sees them.
    pub(crate) dirs: Vec<(PathBuf, String)>,
}

/// How a program ended, and how long it took.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code.
    pub(crate) code: i32,
    /// From `bench.start` to `bench.end` where the module calls them, else all of `_start`.
    pub(crate) span: Span,
}

/// An engine under measurement.
pub(crate) trait Engine: Sized {
    /// A compiled module.
    type Module;

    /// An engine that compiles on one thread, with its default settings otherwise.
    fn new() -> anyhow::Result<Self>;

    /// Compiles a module; nothing of it may be left for later.
    fn compile(&self, bytes: &[u8]) -> anyhow::Result<Self::Module>;

    /// Instantiates the module and calls `_start`.
    fn run(&self, module: &Self::Module, guest: &Guest) -> anyhow::Result<Finished>;
}

/// The times at which a module called `bench.start` and `bench.end`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(Arc<Mutex<(Option<Instant>, Option<Span>)>>);

impl Marks {
    /// `bench.start` was called.
    pub(crate) fn start(&self) {
        self.0.lock().expect("no thread panics holding the marks").0 = Some(Instant::now());
    }

    /// `bench.end` was called.
    pub(crate) fn end(&self) {
        let mut marks = self.0.lock().expect("no thread panics holding the marks");
        marks.1 = marks.0.map(Instant::elapsed);
    }

    /// The time between the two, when both were called.
    pub(crate) fn span(&self) -> Option<Span> {
        self.0.lock().expect("no thread panics holding the marks").1
    }
}
