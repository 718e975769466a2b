//! The events as the log has them: one a line, fields between tabs.
//!
//! A line is the event's number in the ITT API and its fields, with `\t`, `\n`
//! and `\\` in names written as two characters. Writing never fails aloud: a
//! collector is a guest in the process that loads it, and a test sees a lost
//! event as a missing line.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The variable that names the library to the program under test.
pub const LIBRARY_VARIABLE: &str = "INTEL_JIT_PROFILER64";
/// The variable that names the file to append events to.
pub const LOG_VARIABLE: &str = "WASMPROF_COLLECTOR_LOG";

/// What the collector was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The library was loaded; not an event of the API, written with number 0.
    Initialize,
    /// A method was loaded (21).
    Load {
        /// The method's number.
        id: u32,
        /// Its name.
        name: String,
        /// The module it belongs to.
        module: String,
        /// Its first byte.
        address: u64,
        /// How many bytes it has.
        size: u32,
    },
    /// A method goes away (14).
    Unload {
        /// The method's number.
        id: u32,
    },
    /// There will be no more events (2).
    Shutdown,
    /// An event that the collector does not know.
    Other {
        /// Its number.
        number: u32,
    },
}

impl Event {
    fn to_line(&self) -> String {
        match self {
            Event::Initialize => "0\n".into(),
            Event::Shutdown => "2\n".into(),
            Event::Unload { id } => format!("14\t{id}\n"),
            Event::Load { id, name, module, address, size } => {
                format!("21\t{id}\t{}\t{}\t{address:#x}\t{size}\n", escape(name), escape(module))
            }
            Event::Other { number } => format!("{number}\n"),
        }
    }

    fn from_line(line: &str) -> Option<Event> {
        let fields: Vec<&str> = line.split('\t').collect();
        Some(match fields[..] {
            ["0"] => Event::Initialize,
            ["2"] => Event::Shutdown,
            ["14", id] => Event::Unload { id: id.parse().ok()? },
            ["21", id, name, module, address, size] => Event::Load {
                id: id.parse().ok()?,
                name: unescape(name),
                module: unescape(module),
                address: u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?,
                size: size.parse().ok()?,
            },
            [number] => Event::Other { number: number.parse().ok()? },
            _ => return None,
        })
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('\t', r"\t").replace('\n', r"\n")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                other => other.unwrap_or('\\'),
            },
            c => c,
        });
    }
    plain
}

/// Appends an event to the log, if there is one.
pub(crate) fn append(event: &Event) {
    let Some(path) = std::env::var_os(LOG_VARIABLE) else { return };
    if let Ok(mut log) = OpenOptions::new().append(true).create(true).open(path) {
        // One write, so that lines of several threads do not mix.
        let _ = log.write_all(event.to_line().as_bytes());
    }
}

/// The events in a log, in their order.
///
/// # Errors
///
/// If the file cannot be read or has a line that the collector did not write.
pub fn read_log(path: &Path) -> io::Result<Vec<Event>> {
    std::fs::read_to_string(path)?
        .lines()
        .map(|line| {
            Event::from_line(line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("not an event: {line:?}"))
            })
        })
        .collect()
}

/// Where cargo has put the dynamic library: beside the test that calls this.
///
/// # Errors
///
/// If it is not there.
pub fn library() -> io::Result<PathBuf> {
    let name = format!(
        "{}wasmprof_collector{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let test = std::env::current_exe()?;
    // Tests are in `deps` themselves; examples and binaries are a directory away.
    test.ancestors()
        .skip(1)
        .take(2)
        .flat_map(|directory| [directory.join(&name), directory.join("deps").join(&name)])
        .find(|path| path.is_file())
        .ok_or_else(|| {
            let message = format!("{name} is not beside {}", test.display());
            io::Error::new(io::ErrorKind::NotFound, message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let load = Event::Load {
            id: 1000,
            name: "a\tb\\n\n\\".into(),
            module: String::new(),
            address: u64::MAX,
            size: 7,
        };
        let other = Event::Other { number: 13 };
        for event in [Event::Initialize, load, Event::Unload { id: 3 }, Event::Shutdown, other] {
            let line = event.to_line();
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert_eq!(Event::from_line(line.trim_end_matches('\n')), Some(event));
        }
        assert_eq!(Event::from_line("21\t1"), None);
    }
}
