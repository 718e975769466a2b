//! The measuring processes. Each measures one thing of one engine, and writes one line
//! of figures to the file that its parent (`questions.rs`) names; what the measured
//! program prints goes where the parent put it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::clock::Instant;
use crate::engine::{Engine, Guest};
use crate::ours::Wasmprof;
use crate::theirs::Wasmtime;

/// Loops around an imported function, and the same around one of the module's own, which
/// calls itself under a condition that is never met, so that no engine inlines it.
pub(crate) const HOST_CALLS: &str = r#"
(module
  (import "host" "add" (func $host (param i32 i32) (result i32)))
  (import "host" "plain_add" (func $plain (param i32 i32) (result i32)))
  (func $own (param i32 i32) (result i32)
    (if (i32.eq (local.get 1) (i32.const -1))
      (then (return (call $own (local.get 1) (i32.const 0)))))
    (i32.add (local.get 0) (local.get 1)))
  (func (export "own") (param $count i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (call $own (local.get $sum) (local.get $count)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $sum))
  (func (export "plain") (param $count i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (call $plain (local.get $sum) (local.get $count)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $sum))
  (func (export "caller") (param $count i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (call $host (local.get $sum) (local.get $count)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $sum)))
"#;

const HOST_CALL_COUNT: u32 = 100_000_000;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// wasmprof.
    Ours,
    /// wasmtime.
    Theirs,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Task {
    /// Compile the module: its figures are CPU and wall seconds.
    Compile,
    /// Compile the module, then run it: CPU and wall seconds of running.
    Run,
    /// The loops of `HOST_CALLS`: nanoseconds a turn for `own`, `plain` and `caller`.
    HostCalls,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().expect("no task is hidden").get_name())
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().expect("no engine is hidden").get_name())
    }
}

/// The arguments of a measuring process.
#[derive(Debug, Args)]
pub(crate) struct Child {
    which: Which,
    task: Task,
    /// Where the line of figures goes
    #[arg(long)]
    figures: Option<PathBuf>,
    /// A folder the program may use, as HOST::GUEST
    #[arg(long)]
    dir: Vec<String>,
    /// A variable of the program's environment, as NAME=VALUE
    #[arg(long)]
    env: Vec<String>,
    module: Option<PathBuf>,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Child {
    /// Measures; returns the exit code of the measured program.
    pub(crate) fn run(&self) -> anyhow::Result<i32> {
        match self.which {
            Which::Ours => self.measure::<Wasmprof>(),
            Which::Theirs => self.measure::<Wasmtime>(),
        }
    }

    fn measure<E: Engine>(&self) -> anyhow::Result<i32> {
        if self.task == Task::HostCalls {
            let engine = E::new()?;
            let module = engine.compile(&wat::parse_str(HOST_CALLS)?)?;
            let mut figures = Vec::new();
            for name in ["own", "plain", "caller"] {
                let span = engine.host_calls(&module, name, HOST_CALL_COUNT)?;
                figures.push(span.cpu * 1e9 / f64::from(HOST_CALL_COUNT));
            }
            self.write(&figures)?;
            return Ok(0);
        }
        let path = self.module.as_ref().context("this task needs a module")?;
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let before = Instant::now();
        let engine = E::new()?;
        let module = engine.compile(&bytes)?;
        let compiling = before.elapsed();
        if self.task == Task::Compile {
            self.write(&[compiling.cpu, compiling.wall])?;
            return Ok(0);
        }
        let finished = engine.run(&module, &self.guest()?)?;
        self.write(&[finished.span.cpu, finished.span.wall])?;
        Ok(finished.code)
    }

    fn guest(&self) -> anyhow::Result<Guest> {
        let name = self.module.as_ref().and_then(|path| path.file_name()).unwrap_or_default();
        let mut guest =
            Guest { args: vec![name.to_string_lossy().into_owned()], ..Guest::default() };
        guest.args.extend(self.args.iter().cloned());
        for dir in &self.dir {
            let Some((host, name)) = dir.split_once("::") else { bail!("--dir takes HOST::GUEST") };
            guest.dirs.push((PathBuf::from(host), name.to_string()));
        }
        for variable in &self.env {
            let Some((name, value)) = variable.split_once('=') else {
                bail!("--env takes NAME=VALUE")
            };
            guest.env.push((name.to_string(), value.to_string()));
        }
        Ok(guest)
    }

    fn write(&self, figures: &[f64]) -> anyhow::Result<()> {
        let Some(path) = &self.figures else { return Ok(()) };
        let line = figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
        std::fs::write(path, line + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}
