//! Compares wasmprof with wasmtime, and both with native code: compile time, run time,
//! start-up, memory and calls. It only reads the command line and prints; the
//! questions are in `questions.rs`, the measuring processes in `child.rs`.

mod calls;
mod cases;
mod child;
mod clock;
mod engine;
mod ours;
mod passes;
mod process;
mod questions;
mod table;
mod theirs;

use std::cell::Cell;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::child::Which;
use crate::process::Scratch;
use crate::questions::{Bench, Question};
use crate::table::Style;

/// Compare wasmprof with wasmtime and with native code
///
/// WASMPROF_SIGHTGLASS names a checkout of the sightglass benchmarks and WASMPROF_CORPUS a
/// folder filled by scripts/corpus; the programs in them are measured too. WASMPROF and
/// WASMTIME name command lines to measure the start-up of.
#[derive(Debug, Parser)]
#[command(name = "wasmprof-bench", args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    child: Option<Mode>,
    /// The questions to answer; all, when none is named
    #[arg(value_enum)]
    questions: Vec<Question>,
    /// How many times each engine is measured for each figure
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the modules, and the probes of `calls`, whose name contains this
    #[arg(long, default_value = "")]
    filter: String,
    /// Write the tables as markdown
    #[arg(long)]
    markdown: bool,
    /// Only list the modules there are
    #[arg(long)]
    list: bool,
    /// Do not report progress to standard error
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Measure one thing in this process
    #[command(hide = true)]
    Child(child::Child),
    /// Do one thing of `calls` over and over with one engine, for a profiler to look at
    Dwell {
        /// The engine
        which: Which,
        /// The first probe with this in its name
        probe: String,
        /// For how many seconds
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
}

fn main() -> ExitCode {
    match run(&Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            report(&format!("wasmprof-bench: {error:#}"));
            ExitCode::from(101)
        }
    }
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match &command.child {
        Some(Mode::Child(child)) => return Ok(ExitCode::from(child.run()? as u8)),
        Some(Mode::Dwell { which, probe, seconds }) => {
            let (name, time) = passes::dwell(*which, probe, *seconds)?;
            print(&format!("{which}: {name}: {time:.2} ns a turn"));
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let cases = cases::all(&command.filter)?;
    if command.list {
        for case in &cases {
            print(&case.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let style = if command.markdown { Style::Markdown } else { Style::Plain };
    let bench = Bench {
        rounds: command.rounds as usize,
        filter: command.filter.clone(),
        scratch: Scratch::new()?,
        verbose: !command.quiet,
        failed: Cell::new(false),
    };
    let mut questions = command.questions.clone();
    if questions.is_empty() {
        questions = Question::value_variants().to_vec();
    }
    for question in questions {
        // One question that fails leaves the answers to the others standing.
        match bench.answer(question, &cases) {
            Ok(tables) => tables.iter().for_each(|table| print(&table.render(style))),
            Err(error) => {
                bench.failed.set(true);
                report(&format!("wasmprof-bench: {error:#}"));
            }
        }
    }
    Ok(if bench.failed.get() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[allow(clippy::print_stdout, reason = "its tables go to standard output")]
fn print(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr, reason = "its errors go to standard error")]
fn report(text: &str) {
    eprintln!("{text}");
}
