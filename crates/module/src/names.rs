//! Names of functions, and of the module, from the `name` section.
//!
//! The section describes a program and never decides what it does: damage in it
//! costs the names behind the damage and is kept as a warning. Names come as
//! their author wrote them, by way of [`demangle`]. What a file format cannot
//! express (newlines, NULs) is for the writer of that format to deal with.
//!
//! Format: WebAssembly core specification, appendix A.4.1, "Name Section".

use crate::{FuncIndex, leb::Reader};
use std::borrow::Cow;

/// Longer names are kept as they are: demangling them costs more than it tells.
const DEMANGLE_AT_MOST: usize = 4096;

/// The names that a module's `name` section gives.
#[derive(Clone, Debug, Default)]
pub struct Names {
    module: Option<String>,
    /// Sorted by index, without duplicates.
    functions: Vec<(FuncIndex, Box<str>)>,
    warning: Option<String>,
}

impl Names {
    /// Reads the contents of a `name` section.
    pub(crate) fn read(section: &[u8]) -> Names {
        let mut names = Names::default();
        if names.read_subsections(section).is_none() {
            names.warning = Some(format!(
                "the name section is damaged; {} function names were read before the damage",
                names.functions.len()
            ));
        }
        // The first name of a function counts, wherever it stands.
        names.functions.sort_by_key(|(index, _)| *index);
        names.functions.dedup_by_key(|(index, _)| *index);
        names
    }

    fn read_subsections(&mut self, section: &[u8]) -> Option<()> {
        let mut reader = Reader::new(section);
        while !reader.is_empty() {
            let id = reader.byte()?;
            let mut content = Reader::new(reader.string()?);
            match id {
                0 => self.module = Some(lossy(content.string()?).into_owned()),
                1 => {
                    for _ in 0..content.u32()? {
                        let index = FuncIndex(content.u32()?);
                        let name = lossy(content.string()?);
                        self.functions.push((index, name.into()));
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    /// The name of the module.
    pub fn module(&self) -> Option<&str> {
        self.module.as_deref().filter(|name| !name.is_empty())
    }

    /// The name of a function as it stands in the section, possibly mangled.
    pub fn function(&self, index: FuncIndex) -> Option<&str> {
        let at = self.functions.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(&*self.functions[at].1).filter(|name| !name.is_empty())
    }

    /// What was wrong with the section, for people.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A symbol as its author wrote it, if it is a mangled Rust or C++ name.
///
/// Rust's hash at the end is left out: it tells people nothing.
pub fn demangle(symbol: &str) -> Cow<'_, str> {
    if symbol.len() > DEMANGLE_AT_MOST {
        return Cow::Borrowed(symbol);
    }
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        return Cow::Owned(format!("{rust:#}"));
    }
    if symbol.starts_with("_Z") {
        let options = cpp_demangle::DemangleOptions::default().recursion_limit(64);
        if let Some(name) = cpp_demangle::Symbol::new(symbol)
            .ok()
            .and_then(|parsed| parsed.demangle_with_options(&options).ok())
        {
            return Cow::Owned(name);
        }
    }
    Cow::Borrowed(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled() {
        assert_eq!(demangle("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(demangle("_ZN3Foo3barEi"), "Foo::bar(int)");
        assert_eq!(demangle("main"), "main");
        let long = format!("_Z{}", "1a".repeat(10_000));
        assert_eq!(demangle(&long), long.as_str());
    }

    #[test]
    fn damage_costs_only_what_is_behind_it() {
        // Subsection 1 with two functions, the second of which is cut off.
        let section = [1, 7, 2, 0, 1, b'a', 1, 200, 1];
        let names = Names::read(&section);
        assert_eq!(names.function(FuncIndex(0)), Some("a"));
        assert_eq!(names.function(FuncIndex(1)), None);
        assert!(names.warning().is_some_and(|w| w.contains("1 function names")));
    }

    #[test]
    fn names_that_are_not_utf8_are_kept() {
        let names = Names::read(&[1, 5, 1, 3, 2, 0xff, b'x']);
        assert_eq!(names.function(FuncIndex(3)), Some("\u{fffd}x"));
        assert!(names.warning().is_none());
    }
}
