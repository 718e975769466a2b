//! The modules to measure with: the kernels of the fixtures, and those of the corpora
//! that the environment names. How they are measured is in `questions.rs`.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// A module and what it is given.
#[derive(Debug)]
pub(crate) struct Case {
    /// The name in tables.
    pub(crate) name: String,
    /// The module.
    pub(crate) module: PathBuf,
    /// The folder it runs in.
    pub(crate) folder: PathBuf,
    /// Its arguments, without its name.
    pub(crate) args: Vec<String>,
    /// Its environment, as NAME=VALUE.
    pub(crate) env: Vec<String>,
    /// Its folders, as HOST::GUEST.
    pub(crate) dirs: Vec<String>,
    /// What it must print to standard output and standard error, where that is known.
    pub(crate) expected: [Option<Vec<u8>>; 2],
    /// The source that also builds natively.
    pub(crate) native: Option<PathBuf>,
    /// Whether it is only compiled, never run.
    pub(crate) compile_only: bool,
}

const KERNELS: [&str; 13] = [
    "blend",
    "calls",
    "chase",
    "expr",
    "hash",
    "json",
    "matmul",
    "nbody",
    "recursion",
    "shapes",
    "sieve",
    "sort",
    "strings",
];

/// Of the sightglass suite, those that are plain programs and print the same each time.
const SIGHTGLASS: [&str; 29] = [
    "shootout/shootout-ackermann.wasm",
    "shootout/shootout-base64.wasm",
    "shootout/shootout-ctype.wasm",
    "shootout/shootout-ed25519.wasm",
    "shootout/shootout-fib2.wasm",
    "shootout/shootout-gimli.wasm",
    "shootout/shootout-heapsort.wasm",
    "shootout/shootout-keccak.wasm",
    "shootout/shootout-matrix.wasm",
    "shootout/shootout-memmove.wasm",
    "shootout/shootout-minicsv.wasm",
    "shootout/shootout-nestedloop.wasm",
    "shootout/shootout-random.wasm",
    "shootout/shootout-ratelimit.wasm",
    "shootout/shootout-seqhash.wasm",
    "shootout/shootout-sieve.wasm",
    "shootout/shootout-switch.wasm",
    "shootout/shootout-xblabla20.wasm",
    "shootout/shootout-xchacha20.wasm",
    "blake3-scalar/benchmark.wasm",
    "blake3-simd/benchmark.wasm",
    "bz2/benchmark.wasm",
    "gcc-loops/benchmark.wasm",
    "pulldown-cmark/benchmark.wasm",
    "quicksort/benchmark.wasm",
    "regex/benchmark.wasm",
    "richards/benchmark.wasm",
    "rust-json/benchmark.wasm",
    "sqlite3/sqlite3.wasm",
];

/// Of the same suite, more that use vectors; their names end so.
const VECTORS: [&str; 8] = [
    "intgemm-simd/benchmark.wasm",
    "meshoptimizer/benchmark.wasm",
    "libsodium/libsodium-aead_aegis256.wasm",
    "libsodium/libsodium-hash3.wasm",
    "libsodium/libsodium-pwhash_argon2id.wasm",
    "libsodium/libsodium-scalarmult.wasm",
    "libsodium/libsodium-sign.wasm",
    "libsodium/libsodium-xchacha20.wasm",
];

/// Enough work for a second or so.
const PYTHON: &str = "
def primes(n):
    found = []
    for i in range(2, n):
        if all(i % p for p in found if p * p <= i):
            found.append(i)
    return found
words = {}
for p in primes(30000):
    words.setdefault(str(p)[-2:], []).append(p)
print(sum(len(w) * int(k) for k, w in sorted(words.items())))
";

/// The folder of the fixtures.
pub(crate) fn fixtures() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate is in a folder").join("fixtures")
}

/// All cases there are here whose name contains `filter`.
pub(crate) fn all(filter: &str) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for name in KERNELS {
        let module = fixtures().join("wasm").join(name).with_extension("wasm");
        let mut case = Case::new(name, module);
        let sources = [format!("c/{name}.c"), format!("rust/{name}.rs")];
        case.native = sources.iter().map(|path| fixtures().join(path)).find(|path| path.exists());
        cases.push(case);
    }
    if let Some(root) = folder_named_by("WASMPROF_SIGHTGLASS")? {
        for path in SIGHTGLASS {
            cases.push(sightglass(&root, path));
        }
        for path in VECTORS {
            let mut case = sightglass(&root, path);
            if !case.name.ends_with("-simd") {
                case.name.push_str("-simd");
            }
            cases.push(case);
        }
    }
    if let Some(root) = folder_named_by("WASMPROF_CORPUS")? {
        let python = root.join("python311");
        let mut case = Case::new("python311", python.join("bin/python3.11.wasm"));
        case.dirs.push(format!("{}::/", python.display()));
        case.env.push("PYTHONHOME=/".to_string());
        case.args = vec!["-c".to_string(), PYTHON.to_string()];
        cases.push(case);
        let mut case = Case::new("python312", root.join("python312/python-3.12.0.wasm"));
        case.args = vec!["-c".to_string(), PYTHON.to_string()];
        cases.push(case);
        let mut case = Case::new("yosys", root.join("yosys/gen/yosys.core.wasm"));
        case.compile_only = true;
        cases.push(case);
    }
    cases.retain(|case| case.name.contains(filter) && case.module.exists());
    Ok(cases)
}

impl Case {
    fn new(name: &str, module: PathBuf) -> Case {
        Case {
            name: name.to_string(),
            folder: module.parent().map(Path::to_path_buf).unwrap_or_default(),
            module,
            args: Vec::new(),
            env: Vec::new(),
            dirs: Vec::new(),
            expected: [None, None],
            native: None,
            compile_only: false,
        }
    }
}

/// A module of sightglass runs in its folder, may use that, and what it prints is written
/// down beside it.
fn sightglass(root: &Path, path: &str) -> Case {
    let benchmarks = root.join("benchmarks");
    let module = if benchmarks.is_dir() { benchmarks.join(path) } else { root.join(path) };
    let name = match path.split_once('/') {
        Some((folder, "benchmark.wasm")) => folder,
        Some((_, file)) => file.trim_end_matches(".wasm"),
        None => path,
    };
    let mut case = Case::new(name, module);
    case.dirs.push(".::.".to_string());
    for (index, stream) in ["stdout", "stderr"].into_iter().enumerate() {
        let file = case.module.with_extension(format!("{stream}.expected"));
        case.expected[index] = std::fs::read(file).ok();
    }
    case
}

fn folder_named_by(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let path =
        path.canonicalize().with_context(|| format!("{variable} names {}", path.display()))?;
    Ok(Some(path))
}
