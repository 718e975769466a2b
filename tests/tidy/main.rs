//! Checks what the compiler does not: which crate may depend on which, and how
//! sources and documents are kept.
//!
//! Each check takes names and texts and returns all violations, so that each is
//! tried on a bad example, too. Finding the files is done here.

mod layers;
mod links;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the project, named from its root with `/`.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl File {
    pub(crate) fn new(name: &str, text: &str) -> File {
        File { name: name.to_owned(), bytes: text.into() }
    }

    /// The lines with their numbers, if it is text.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(std::str::from_utf8(&self.bytes).unwrap_or_default().lines())
    }

    /// Whether it is in one of these folders.
    pub(crate) fn is_in(&self, folders: &[&str]) -> bool {
        folders
            .iter()
            .any(|folder| self.name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the project but what is built or hidden.
fn files() -> Vec<File> {
    const OURS_THOUGH_HIDDEN: [&str; 2] = [".github", ".gitignore"];
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            if name == "target" || name.starts_with('.') && !OURS_THOUGH_HIDDEN.contains(&&*name) {
                continue;
            }
            let path = folder.join(&name);
            let kind = entry.file_type().expect("the kind of a file is known");
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(root().join(&path)).expect("the file can be read");
                files.push(File { name: path.to_string_lossy().replace('\\', "/"), bytes });
            }
        }
    }
    assert!(files.len() > 50, "only {} files were found", files.len());
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

#[track_caller]
fn none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn crates_depend_only_on_what_they_may() {
    none(&layers::check(&files()));
}

#[test]
fn sources_say_what_they_are_for() {
    none(&sources::without_a_header(&files()));
}

#[test]
fn libraries_neither_print_nor_exit() {
    none(&sources::printing(&files()));
}

#[test]
fn no_file_tells_where_it_was_made() {
    none(&sources::home_paths(&files()));
}

#[test]
fn links_between_documents_lead_somewhere() {
    none(&links::check(&files(), |path| root().join(path).exists()));
}
