//! The measuring processes. Each measures one thing of one engine, or all probes of both,
//! and writes lines of figures to the file that its parent (`questions.rs`) names; what
//! the measured program prints goes where the parent put it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::clock::Instant;
use crate::engine::{Engine, Guest};
use crate::ours::Wasmprof;
use crate::passes::{self, Figure};
use crate::theirs::Wasmtime;

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
    /// The probes of `calls.rs` of both engines: a line for each. The one that is named has
    /// the first turn.
    Calls,
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
    /// Where the figures go
    #[arg(long)]
    figures: Option<PathBuf>,
    /// Only the probes whose name contains this
    #[arg(long, default_value = "")]
    filter: String,
    /// How often each probe has its turn
    #[arg(long, default_value_t = 11)]
    passes: u32,
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
        if self.task == Task::Calls {
            let figures = passes::measure(self.which, &self.filter, self.passes)?;
            self.write(&figures.iter().map(Figure::line).collect::<String>())?;
            return Ok(0);
        }
        match self.which {
            Which::Ours => self.measure::<Wasmprof>(),
            Which::Theirs => self.measure::<Wasmtime>(),
        }
    }

    fn measure<E: Engine>(&self) -> anyhow::Result<i32> {
        let path = self.module.as_ref().context("this task needs a module")?;
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let before = Instant::now();
        let engine = E::new()?;
        let module = engine.compile(&bytes)?;
        let compiling = before.elapsed();
        if self.task == Task::Compile {
            self.write(&format!("{} {}\n", compiling.cpu, compiling.wall))?;
            return Ok(0);
        }
        let finished = engine.run(&module, &self.guest()?)?;
        self.write(&format!("{} {}\n", finished.span.cpu, finished.span.wall))?;
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

    fn write(&self, figures: &str) -> anyhow::Result<()> {
        let Some(path) = &self.figures else { return Ok(()) };
        std::fs::write(path, figures).with_context(|| format!("cannot write {}", path.display()))
    }
}
