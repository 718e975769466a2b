//! How sources are kept: each begins with what it is for, libraries do not
//! print, and nothing names a folder of somebody's machine.

use crate::File;

/// Where Rust sources are. Programs that are only compiled to be run are
/// sources, too.
const SOURCES: &[&str] = &["crates", "examples", "profiling", "src", "tests"];

/// Rust files that do not begin with `//!`.
pub(crate) fn without_a_header(files: &[File]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.name.ends_with(".rs") && file.is_in(SOURCES));
    let bad = rust.filter(|file| !file.bytes.starts_with(b"//! "));
    bad.map(|file| format!("{}:1: should begin with `//!` and its job", file.name)).collect()
}

/// What a library leaves to the program that uses it.
const PRINTING: &[&str] = &[
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "process::exit",
    "process::abort",
    "dbg!",
    "todo!",
    "unimplemented!",
];

/// Lines of libraries that print, exit or are unfinished. Comments may.
pub(crate) fn printing(files: &[File]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let library = file.is_in(&["crates", "profiling"]) && file.name.contains("/src/");
        if !library || !file.name.ends_with(".rs") {
            continue;
        }
        for (line, text) in file.lines() {
            let code = text.split("//").next().unwrap_or(text);
            for word in PRINTING.iter().filter(|word| has_word(code, word)) {
                violations.push(format!("{}:{line}: a library should not {word}", file.name));
            }
        }
    }
    violations
}

/// Whether `word` is in `code` and not the end of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

/// Folders that exist on one machine only. Written in two parts, so that this
/// file does not name them.
const HOMES: &[&str] = &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Places in files, text or not, that name a folder of somebody's machine.
pub(crate) fn home_paths(files: &[File]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        for (line, text) in (1..).zip(file.bytes.split(|byte| *byte == b'\n')) {
            for home in HOMES {
                if text.windows(home.len()).any(|window| window == home.as_bytes()) {
                    violations.push(format!("{}:{line}: names {home}", file.name));
                }
            }
        }
    }
    violations
}

mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        let files = [
            File::new("crates/x/src/good.rs", "//! A job.\n"),
            File::new("crates/x/src/bad.rs", "use std::fs;\n//! Too late.\n"),
            File::new("tests/x/empty.rs", ""),
            File::new("scripts/other.rs", ""),
        ];
        let violations = without_a_header(&files);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].starts_with("crates/x/src/bad.rs:1:"), "{violations:?}");
    }

    #[test]
    fn printing_is_found_where_libraries_are() {
        let bad = "//! println! in a comment\nfn f() {\n    eprintln!(\"x\"); // dbg!\n    \
                   std::process::exit(1)\n}\nmy_println!()\n";
        let files = [
            File::new("crates/x/src/lib.rs", bad),
            File::new("crates/x/tests/t.rs", bad),
            File::new("src/output.rs", bad),
        ];
        let violations = printing(&files);
        assert_eq!(
            violations,
            [
                "crates/x/src/lib.rs:3: a library should not eprintln!",
                "crates/x/src/lib.rs:4: a library should not process::exit",
            ]
        );
    }

    #[test]
    fn homes_are_found_in_text_and_in_binaries() {
        let mut binary = File::new("tests/fixtures/x.wasm", "");
        binary.bytes = [b"\0asm\xff", HOMES[0].as_bytes(), b"me"].concat();
        let text = File::new("README.md", &format!("good\nsee {}me/x\n", HOMES[1]));
        let violations = home_paths(&[binary, text]);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[1].starts_with("README.md:2:"), "{violations:?}");
    }
}
