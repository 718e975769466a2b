//! The only place that prints: results on stdout, talk on stderr.

#![allow(clippy::print_stderr)]

use std::io::{self, IsTerminal, Write};

/// Writes a result.
///
/// # Errors
///
/// If it cannot be written; a closed pipe is for the caller to pass over, see
/// [`is_closed_pipe`].
pub(crate) fn result(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Says what went wrong.
pub(crate) fn error(error: &anyhow::Error) {
    let mark = paint("error", "1;31");
    eprintln!("{mark}: {error:#}");
}

/// Says what a user should know although it stops nothing.
pub(crate) fn warning(text: &str) {
    let mark = paint("warning", "1;33");
    eprintln!("wasmprof: {mark}: {text}");
}

/// Says something beside the result.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Whether somebody who read our output has gone, which is no failure.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn paint(text: &str, colour: &str) -> String {
    if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
