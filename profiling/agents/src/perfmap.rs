//! The perf map: a text file from which `perf` takes names for code without a file.
//!
//! The format is the one of `tools/perf/Documentation/jit-interface.txt` in
//! Linux: a line `START SIZE name` for each piece of code, with the numbers in
//! hexadecimal without `0x`, and the name reaching to the end of the line. It
//! has no lines of source code, no code bytes and no time. So a map cannot say
//! that code has gone: names of an image that was unloaded stay, as the samples
//! taken in it need them, and where another image is mapped at the same
//! addresses later, `perf` may show either name.

use crate::private_file;
use crate::text::one_line;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wasmprof_image::{AgentError, LoadedImage, ProfilingAgent};

/// `perf` ignores a line whose name has fewer bytes.
const SHORTEST_NAME: usize = 3;

/// The maps that this process writes. `perf` reads one for each process, so all
/// agents append to the same, and it stays open when one of them is dropped.
static MAPS: Mutex<BTreeMap<PathBuf, Map>> = Mutex::new(BTreeMap::new());

/// Writes `/tmp/perf-PID.map`.
///
/// The file is created when the first image is loaded. Every executable byte is
/// under exactly one name; padding belongs to what is before it.
#[derive(Debug)]
pub struct PerfMap {
    directory: PathBuf,
}

impl PerfMap {
    /// The agent's name on the command line.
    pub const NAME: &str = "perfmap";

    /// An agent that writes where `perf` looks.
    pub fn new() -> PerfMap {
        PerfMap::in_directory("/tmp")
    }

    /// An agent that writes to another directory. `perf` does not look there.
    pub fn in_directory(directory: impl Into<PathBuf>) -> PerfMap {
        PerfMap { directory: directory.into() }
    }
}

impl Default for PerfMap {
    fn default() -> PerfMap {
        PerfMap::new()
    }
}

impl ProfilingAgent for PerfMap {
    fn name(&self) -> &'static str {
        PerfMap::NAME
    }

    fn loaded(&mut self, image: LoadedImage<'_>) -> Result<(), AgentError> {
        // The pid is asked for each time: after a fork it is another one.
        let path = self.directory.join(format!("perf-{}.map", std::process::id()));
        append(&path, lines(image).as_bytes()).map_err(|error| AgentError::File { path, error })
    }

    fn unloaded(&mut self, _: LoadedImage<'_>) -> Result<(), AgentError> {
        Ok(())
    }
}

/// The lines for an image.
fn lines(LoadedImage { image, base, len }: LoadedImage<'_>) -> String {
    let mut lines = String::new();
    for (start, size, symbol) in image.cover(len).filter(|(_, size, _)| *size > 0) {
        let name = image.symbol_name(symbol);
        let name = one_line(&name);
        let start = base.0 + start.index();
        // Blanks behind a short name are the least that make `perf` keep it.
        let width = if name.len() < SHORTEST_NAME { SHORTEST_NAME } else { 0 };
        let _ = writeln!(lines, "{start:x} {size:x} {name:width$}");
    }
    lines
}

/// A map that is being written.
#[derive(Debug)]
struct Map {
    file: File,
    len: u64,
}

/// Appends whole lines to the map at `path`, which is created if need be.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    // Nothing below panics between a write and the count of what was written.
    let mut maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
    let map = match maps.entry(path.to_owned()) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(Map { file: private_file::create(path)?, len: 0 }),
    };
    if let Err(error) = map.file.write_all(lines) {
        // Half a line would be a wrong one.
        let _ = map.file.set_len(map.len);
        return Err(error);
    }
    map.len += lines.len() as u64;
    Ok(())
}
