//! The `wasmprof` binary: reads the command line and runs a command.
//!
//! What a command does is in `commands`; what the words of the command line
//! mean is in `cli`; only `output` prints.

#![forbid(unsafe_code)]

mod cli;
mod commands;
mod output;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

/// The exit code for a mistake on the command line, as clap has it.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => commands::run::run(args),
        Command::Wast(args) => commands::wast::run(&args),
        Command::Report(args) => commands::report::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            if error.is::<commands::WrongUsage>() { WRONG_USAGE.into() } else { ExitCode::FAILURE }
        }
    }
}
