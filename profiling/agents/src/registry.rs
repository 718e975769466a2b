//! The agents by their names: what a command line can ask for.
//!
//! A new agent is a file of its own and a row in [`AGENTS`]; help and errors
//! follow from the table. Which names a user gave is for the caller to know.

use crate::failed::Failed;
use crate::{PerfMap, VTune, vtune};
use std::fmt;
use wasmprof_image::{AgentError, ProfilingAgent};

/// An agent that can be asked for.
struct Row {
    name: &'static str,
    help: &'static str,
    start: fn() -> Result<Box<dyn ProfilingAgent>, AgentError>,
}

/// All agents.
static AGENTS: &[Row] = &[
    Row {
        name: PerfMap::NAME,
        help: "write /tmp/perf-PID.map, for perf",
        start: || Ok(Box::new(PerfMap::new())),
    },
    Row {
        name: VTune::NAME,
        help: "tell Intel VTune, if it started this process",
        start: || Ok(Box::new(VTune::new()?)),
    },
];

/// The name that stands for no agent.
const NONE: &str = "none";
/// The name that stands for the agent that fits.
const AUTO: &str = "auto";

/// The choices that are not agents.
static OTHER_CHOICES: &[(&str, &str)] =
    &[(AUTO, "vtune if VTune started this process, else perfmap"), (NONE, "tell no profiler")];

/// Every choice with its help.
fn choices() -> impl Iterator<Item = (&'static str, &'static str)> {
    OTHER_CHOICES.iter().copied().chain(AGENTS.iter().map(|row| (row.name, row.help)))
}

/// One line for each choice, for the help of a command line.
pub fn help() -> String {
    let width = choices().map(|(name, _)| name.len()).max().unwrap_or(0);
    choices().map(|(name, help)| format!("{name:width$}  {help}\n")).collect()
}

/// The agents for a list of names between commas.
///
/// `auto` is VTune's agent if the environment says that VTune started this
/// process, else the perf map; if VTune's agent then cannot start, it is both
/// that failure and the perf map. `none` is an empty list and stands alone.
/// A name that is given twice counts once.
///
/// An agent that cannot start is no error here: it is put on the list, and its
/// first call fails with the reason, so that it is reported like other failures.
///
/// # Errors
///
/// If the list is empty, has an unknown name, or has `none` beside others.
pub fn from_names(list: &str) -> Result<Vec<Box<dyn ProfilingAgent>>, NamesError> {
    let names: Vec<&str> = list.split(',').map(str::trim).collect();
    if let Some(unknown) = names.iter().find(|name| choices().all(|(known, _)| known != **name)) {
        return Err(NamesError(match unknown.is_empty() {
            true => Mistake::Empty,
            false => Mistake::Unknown((*unknown).to_owned()),
        }));
    }
    if names.contains(&NONE) {
        return match names.iter().all(|name| *name == NONE) {
            true => Ok(Vec::new()),
            false => Err(NamesError(Mistake::NoneBesideOthers)),
        };
    }
    let mut agents: Vec<Box<dyn ProfilingAgent>> = Vec::new();
    for name in names {
        match name {
            AUTO if vtune::collector_is_present() => {
                if !start(VTune::NAME, &mut agents) {
                    start(PerfMap::NAME, &mut agents);
                }
            }
            AUTO => _ = start(PerfMap::NAME, &mut agents),
            name => _ = start(name, &mut agents),
        }
    }
    Ok(agents)
}

/// Puts an agent on the list, if it is not on it yet; whether it could be started.
fn start(name: &str, agents: &mut Vec<Box<dyn ProfilingAgent>>) -> bool {
    if agents.iter().any(|agent| agent.name() == name) {
        return true;
    }
    let Some(row) = AGENTS.iter().find(|row| row.name == name) else { return false };
    match (row.start)() {
        Ok(agent) => {
            agents.push(agent);
            true
        }
        Err(error) => {
            agents.push(Box::new(Failed::new(row.name, error)));
            false
        }
    }
}

/// A list of names that cannot be meant.
#[derive(Debug)]
pub struct NamesError(Mistake);

#[derive(Debug)]
enum Mistake {
    Empty,
    Unknown(String),
    NoneBesideOthers,
}

impl std::error::Error for NamesError {}

impl fmt::Display for NamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Mistake::NoneBesideOthers => {
                return f.write_str("the profiling agent `none` cannot be combined with others");
            }
            Mistake::Empty => f.write_str("the name of a profiling agent is missing")?,
            Mistake::Unknown(name) => {
                write!(f, "there is no profiling agent {name:?}")?;
                if let Some(near) = nearest(name) {
                    write!(f, "; did you mean `{near}`?")?;
                }
            }
        }
        let names: Vec<&str> = choices().map(|(name, _)| name).collect();
        write!(f, " (known: {})", names.join(", "))
    }
}

/// The choice that is nearest to `name`, if at least half of it is right.
fn nearest(name: &str) -> Option<&'static str> {
    // Whatever is much longer is near to nothing, and slow to compare.
    let name: Vec<char> = name.chars().take(32).flat_map(char::to_lowercase).collect();
    choices()
        .map(|(known, _)| (distance(&name, known), known))
        .filter(|(distance, known)| 2 * distance <= name.len().max(known.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many characters must be inserted, removed or exchanged.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, b) in b.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, a) in a.iter().enumerate() {
            let exchanged = diagonal + usize::from(*a != b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        from_names(list).expect(list).iter().map(|agent| agent.name()).collect()
    }

    fn error(list: &str) -> String {
        from_names(list).expect_err(list).to_string()
    }

    #[test]
    fn lists_are_read() {
        assert_eq!(names("perfmap"), ["perfmap"]);
        assert_eq!(names("perfmap, vtune,perfmap"), ["perfmap", "vtune"]);
        assert_eq!(names("none"), [""; 0]);
        assert_eq!(names("none,none"), [""; 0]);
    }

    #[test]
    fn mistakes_are_explained() {
        let known = "(known: auto, none, perfmap, vtune)";
        assert_eq!(error(""), format!("the name of a profiling agent is missing {known}"));
        assert_eq!(error("perfmap,"), error(""));
        assert_eq!(error("elf"), format!("there is no profiling agent \"elf\" {known}"));
        assert_eq!(
            error("vtune,perf"),
            format!("there is no profiling agent \"perf\"; did you mean `perfmap`? {known}")
        );
        assert!(error("none,perfmap").contains("cannot be combined"));
        assert!(error(&"x".repeat(1 << 20)).contains(known));
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        for (typed, meant) in [
            ("Vtune", "vtune"),
            ("vtun", "vtune"),
            ("perf-map", "perfmap"),
            ("prefmap", "perfmap"),
            ("non", "none"),
            ("automatic", ""),
            ("gdb", ""),
        ] {
            assert_eq!(nearest(typed).unwrap_or_default(), meant, "{typed}");
        }
    }

    #[test]
    fn help_has_a_line_for_each_choice() {
        let help = help();
        assert_eq!(help.lines().count(), choices().count());
        assert!(help.starts_with("auto     vtune if "), "{help}");
    }
}
