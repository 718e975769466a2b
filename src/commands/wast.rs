//! `wasmprof wast`: run scripts of the specification's test suite.
//!
//! `script` reads files, `runner` does what their directives say and `thread`
//! has others do it at the same time, `value` and `vector` have the values of
//! scripts and what results match, and `spectest` is the module that scripts
//! import from. Here it is put together and counted.

mod runner;
mod script;
mod spectest;
mod thread;
mod value;
mod vector;

use crate::cli::WastArgs;
use crate::output;
use anyhow::Result;
use runner::{Runner, Verdict};
use script::Location;
use std::path::Path;
use std::process::ExitCode;
use wasmprof_engine::{Config, Engine};

/// Runs the scripts and says for each whether it passed.
pub(crate) fn run(args: &WastArgs) -> Result<ExitCode> {
    let mut config = Config::new()
        .strategy(args.strategy.into())
        .native_features(!args.no_native_features)
        .on_warning(output::warning);
    if args.check_bounds {
        config = config.guarded_memories(false);
    }
    let engine = Engine::new(config)?;
    let mut total = Tally::default();
    let mut unusable = 0;
    for file in &args.files {
        let path = file.display();
        match run_file(&engine, file) {
            Ok(tally) => {
                let verdict = if tally.failed == 0 { "PASS" } else { "FAIL" };
                output::result(&format!("{verdict} {path}: {tally}\n"))?;
                total.passed += tally.passed;
                total.failed += tally.failed;
            }
            Err(error) => {
                unusable += 1;
                output::error(&error);
                output::result(&format!("FAIL {path}: not run\n"))?;
            }
        }
    }
    let files = args.files.len();
    let not_run = if unusable == 0 { String::new() } else { format!(", {unusable} not run") };
    output::result(&format!("total of {files} files: {total}{not_run}\n"))?;
    let good = total.failed == 0 && unusable == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many assertions held. What else a script does counts only if it fails.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a script in a store of its own, to its end, whatever fails.
fn run_file(engine: &Engine, path: &Path) -> Result<Tally> {
    let text = script::read(path)?;
    let buffer = script::lex(&text).map_err(|error| script::located(error, path, &text))?;
    let directives = script::parse(&buffer).map_err(|error| script::located(error, path, &text))?;
    let mut tally = Tally::default();
    let mut report = |Verdict { span, counts, result }: Verdict| match result {
        Ok(()) => tally.passed += usize::from(counts),
        Err(failure) => {
            tally.failed += 1;
            output::note(&format!("{}: {failure}", Location::new(path, &text, span)));
        }
    };
    std::thread::scope(|scope| -> Result<()> {
        Runner::new(engine, scope)?.run(directives, &mut report);
        Ok(())
    })?;
    Ok(tally)
}
