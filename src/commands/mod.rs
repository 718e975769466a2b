//! What each command does, one file for each.

pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod wast;

use crate::cli::StrategyName;
use wasmprof_engine::Strategy;

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Strategy {
        match name {
            StrategyName::Optimized => Strategy::Optimized,
            StrategyName::Fast => Strategy::Fast,
        }
    }
}

/// A mistake on the command line that clap does not find.
#[derive(Debug)]
pub(crate) struct WrongUsage(pub(crate) String);

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// ` (did you mean ...?)` with the known name nearest to `name`, or nothing if
/// none is near.
fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = |known: &&str| {
        let longest = name.chars().count().max(known.chars().count());
        distance(name, known) <= 1 + longest / 3
    };
    match known.into_iter().filter(near).min_by_key(|known| distance(name, known)) {
        Some(known) => format!(" (did you mean `{known}`?)"),
        None => String::new(),
    }
}

/// How many letters must be inserted, deleted or replaced to get from `a` to
/// `b` (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(suggestion("fibb", ["main", "fib"]), " (did you mean `fib`?)");
        assert_eq!(suggestion("fib", ["something_else"]), "");
    }
}
