//! The layers: which crate may depend on which, on what from outside, and which
//! are free of `unsafe`. The reasons are in ARCHITECTURE.md.
//!
//! Reads only as much of a manifest as this needs: the names of dependencies
//! and whether they are optional.

use crate::File;

struct Layer {
    package: &'static str,
    folder: &'static str,
    /// Crates of ours that it may depend on.
    ours: &'static [&'static str],
    /// Those of them that must be optional, so that a build without profiling
    /// is one without profilers.
    optional: &'static [&'static str],
    /// Crates of others that it may depend on.
    others: &'static [&'static str],
    unsafe_code: Unsafe,
}

#[derive(PartialEq)]
enum Unsafe {
    Forbidden,
    Needed,
}
use Unsafe::{Forbidden, Needed};

const LAYERS: &[Layer] = &[
    Layer {
        package: "wasmprof-module",
        folder: "crates/module",
        ours: &[],
        optional: &[],
        others: &["addr2line", "cpp_demangle", "gimli", "rustc-demangle", "wasmparser", "wat"],
        unsafe_code: Forbidden,
    },
    Layer {
        package: "wasmprof-image",
        folder: "crates/image",
        ours: &["wasmprof-module"],
        optional: &[],
        others: &["gimli", "object"],
        unsafe_code: Forbidden,
    },
    Layer {
        package: "wasmprof-compile",
        folder: "crates/compile",
        ours: &["wasmprof-image", "wasmprof-module"],
        optional: &[],
        others: &[
            "cranelift-codegen",
            "cranelift-control",
            "cranelift-frontend",
            "cranelift-native",
            "rayon",
            "regalloc2",
            "wasmparser",
        ],
        unsafe_code: Forbidden,
    },
    Layer {
        package: "wasmprof-runtime",
        folder: "crates/runtime",
        ours: &["wasmprof-image", "wasmprof-module"],
        optional: &[],
        others: &["anyhow", "libc", "rustix"],
        unsafe_code: Needed,
    },
    Layer {
        package: "wasmprof-wasi",
        folder: "crates/wasi",
        ours: &["wasmprof-runtime"],
        optional: &[],
        others: &["cap-fs-ext", "cap-std", "getrandom", "rustix"],
        unsafe_code: Forbidden,
    },
    Layer {
        package: "wasmprof-agents",
        folder: "profiling/agents",
        ours: &["wasmprof-image"],
        optional: &[],
        others: &["ittapi-sys", "libc", "rustix"],
        unsafe_code: Needed,
    },
    Layer {
        package: "wasmprof-sampler",
        folder: "profiling/sampler",
        ours: &["wasmprof-image", "wasmprof-runtime"],
        optional: &[],
        others: &["libc", "perf-event-open-sys"],
        unsafe_code: Needed,
    },
    Layer {
        package: "wasmprof-report",
        folder: "profiling/report",
        ours: &["wasmprof-image", "wasmprof-module"],
        optional: &[],
        others: &["prost", "wasmprinter"],
        unsafe_code: Forbidden,
    },
    Layer {
        package: "wasmprof-engine",
        folder: "crates/engine",
        ours: &[
            "wasmprof-agents",
            "wasmprof-compile",
            "wasmprof-image",
            "wasmprof-module",
            "wasmprof-report",
            "wasmprof-runtime",
            "wasmprof-sampler",
            "wasmprof-wasi",
        ],
        optional: &["wasmprof-agents", "wasmprof-report", "wasmprof-sampler"],
        others: &["rayon"],
        unsafe_code: Needed,
    },
    Layer {
        package: "wasmprof-cli",
        folder: "",
        ours: &[
            "wasmprof-agents",
            "wasmprof-compile",
            "wasmprof-engine",
            "wasmprof-image",
            "wasmprof-module",
            "wasmprof-report",
            "wasmprof-sampler",
        ],
        optional: &["wasmprof-agents", "wasmprof-report", "wasmprof-sampler"],
        others: &["anyhow", "clap", "indicatif", "signal-hook", "wast"],
        unsafe_code: Forbidden,
    },
];

const FORBID: &str = "#![forbid(unsafe_code)]";

/// Whether all crates keep to [`LAYERS`]. Those under `tests/` may depend on
/// anything; nothing may depend on them.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let Some(folder) = file.name.strip_suffix("Cargo.toml") else { continue };
        let folder = folder.trim_end_matches('/');
        if file.is_in(&["tests"]) {
            continue;
        }
        let Some(layer) = LAYERS.iter().find(|layer| layer.folder == folder) else {
            violations.push(format!("{}:1: the crate has no place in the layers", file.name));
            continue;
        };
        manifest(file, layer, &mut violations);
        let root = |name: &str| {
            let name = format!("{folder}/src/{name}.rs").trim_start_matches('/').to_owned();
            files.iter().find(|file| file.name == name)
        };
        let Some(root) = root("lib").or_else(|| root("main")) else {
            violations.push(format!("{}:1: the crate has no root", file.name));
            continue;
        };
        let forbids = root.lines().any(|(_, line)| line == FORBID);
        if forbids != (layer.unsafe_code == Forbidden) {
            let should = if forbids { "is not expected to" } else { "should" };
            violations.push(format!("{}:1: {} {should} say {FORBID}", root.name, layer.package));
        }
    }
    violations
}

fn manifest(file: &File, layer: &Layer, violations: &mut Vec<String>) {
    let mut say = |line, what: String| {
        violations.push(format!("{}:{line}: {what}", file.name));
    };
    let package = layer.package;
    let mut named = false;
    for (line, section, entry) in entries(file) {
        if section == "package" {
            named |= entry.split_once('=').is_some_and(|(key, value)| {
                key.trim() == "name" && value.trim().trim_matches('"') == package
            });
        }
        let Some(dependency) = dependency(&section, entry) else { continue };
        if dependency.starts_with("wasmprof") {
            if !layer.ours.contains(&dependency) {
                say(line, format!("{package} may not depend on {dependency}"));
            } else if layer.optional.contains(&dependency) && !entry.contains("optional = true") {
                say(line, format!("{package} may depend on {dependency} only as an option"));
            }
        } else if !layer.others.contains(&dependency) {
            say(line, format!("{package} may not depend on {dependency}, which is not ours"));
        }
    }
    if !named {
        say(1, format!("the package in this folder should be {package}"));
    }
}

/// The entries of a manifest, each with its line and the section it is in. A
/// section that is a dependency of its own comes as an entry, too.
fn entries(file: &File) -> Vec<(usize, String, &str)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for (line, text) in file.lines() {
        if let Some(header) = text.strip_prefix('[') {
            let header = header.trim_start_matches('[');
            section = header.split(']').next().unwrap_or(header).to_owned();
            entries.push((line, section.clone(), ""));
        } else if text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '"') {
            entries.push((line, section.clone(), text));
        }
    }
    entries
}

/// The name of the dependency that an entry of a section declares, unless only
/// tests have it.
fn dependency<'a>(section: &'a str, entry: &'a str) -> Option<&'a str> {
    const KINDS: [&str; 2] = ["dependencies", "build-dependencies"];
    // `[target.'cfg(unix)'.dependencies]` or plain `[dependencies]`.
    let section = match section.strip_prefix("target.") {
        Some(target) => {
            let from = KINDS.iter().filter_map(|kind| Some(target.find(&format!(".{kind}"))? + 1));
            &target[from.min()?..]
        }
        None => section,
    };
    match section.split_once('.') {
        // `[dependencies.name]`
        Some((kind, name)) => (KINDS.contains(&kind) && entry.is_empty()).then_some(name),
        None if KINDS.contains(&section) && !entry.is_empty() => {
            let name = entry.split(['=', '.', ' ']).next()?;
            Some(name.trim_matches('"'))
        }
        None => None,
    }
}

mod tests {
    use super::*;

    fn image(manifest: &str, root: &str) -> Vec<String> {
        check(&[
            File::new("crates/image/Cargo.toml", manifest),
            File::new("crates/image/src/lib.rs", root),
        ])
    }

    #[test]
    fn what_is_allowed_passes() {
        let manifest = "[package]\nname = \"wasmprof-image\"\n\n[dependencies]\n\
                        wasmprof-module = { workspace = true }\nobject.workspace = true\n\n\
                        [dev-dependencies]\nwasmprof-engine = { workspace = true }\nanyhow = \"1\"\n";
        assert_eq!(image(manifest, "//! Job.\n#![forbid(unsafe_code)]\n"), [""; 0]);
    }

    #[test]
    fn every_wrong_edge_is_named() {
        let manifest = "[package]\nname = \"wasmprof-image\"\n[dependencies]\n\
                        wasmprof-compile = { workspace = true }\nanyhow.workspace = true\n\
                        [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
                        [build-dependencies.cc]\nversion = \"1\"\n\
                        [target.'cfg(unix)'.dependencies.rustix]\nversion = \"1\"\n";
        let violations = image(manifest, "//! Job.\n#![forbid(unsafe_code)]\n");
        let expected = [
            "4: wasmprof-image may not depend on wasmprof-compile",
            "5: wasmprof-image may not depend on anyhow, which is not ours",
            "7: wasmprof-image may not depend on libc, which is not ours",
            "8: wasmprof-image may not depend on cc, which is not ours",
            "10: wasmprof-image may not depend on rustix, which is not ours",
        ];
        assert_eq!(violations, expected.map(|text| format!("crates/image/Cargo.toml:{text}")));
    }

    #[test]
    fn unsafe_code_and_strangers_are_noticed() {
        let violations = image("[package]\nname = \"other\"\n", "//! Job.\n");
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].contains("should be wasmprof-image"), "{violations:?}");
        assert!(violations[1].starts_with("crates/image/src/lib.rs:1:"), "{violations:?}");
        let stranger = check(&[File::new("crates/stranger/Cargo.toml", "[package]\n")]);
        assert_eq!(stranger.len(), 1);
    }

    #[test]
    fn profilers_are_optional() {
        let violations = |optional: &str| {
            let manifest = format!(
                "[package]\nname = \"wasmprof-cli\"\n[dependencies]\n\
                 wasmprof-report = {{ workspace = true{optional} }}\n"
            );
            let main = File::new("src/main.rs", "#![forbid(unsafe_code)]\n");
            check(&[File::new("Cargo.toml", &manifest), main])
        };
        assert_eq!(violations(", optional = true"), [""; 0]);
        assert_eq!(violations("").len(), 1);
    }
}
