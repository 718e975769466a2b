//! Checks as many seeds as asked for, and says how it goes. Also writes the
//! module of one seed to a file, to look at it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmprof_fuzz::{Case, Progress, run};

const USAGE: &str = "usage: fuzz-many [--seeds N] [--start N] [--threads N] [--verbose]
       fuzz-many --write SEED FILE

--verbose names each seed before it is checked: if the process dies, the last
ones named did it.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seeds, mut start, mut threads, mut verbose) = (1_000, 0, 2, false);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        let known = match &*argument {
            "--seeds" => number().map(|n| seeds = n),
            "--start" => number().map(|n| start = n),
            "--threads" => number().map(|n| threads = n as usize),
            "--verbose" => {
                verbose = true;
                Some(())
            }
            "--write" => match (number(), arguments.next()) {
                (Some(seed), Some(file)) => return write(seed, &file),
                _ => None,
            },
            _ => None,
        };
        if known.is_none() {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    }

    let done = AtomicU64::new(0);
    let (counts, mismatches) = run(start..start + seeds, threads, |progress| match progress {
        Progress::Begin(seed) if verbose => eprintln!("seed {seed}"),
        Progress::Begin(_) => {}
        Progress::Differs(seed, mismatch) => eprintln!("seed {seed}: {mismatch}"),
        Progress::Done(_, counts) => {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(500) {
                eprintln!("{done} of {seeds} seeds, {} functions called", counts.calls);
            }
        }
    });
    println!("{counts}");
    println!("differences            {}", mismatches.len());
    if mismatches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(seed: u64, file: &str) -> ExitCode {
    let case = Case::from_seed(seed);
    eprintln!("{:?}", case.setup);
    match std::fs::write(file, &case.wasm) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}
