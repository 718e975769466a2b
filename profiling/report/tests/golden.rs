//! Compares the folded stacks and the flame graph of a recorded `perf script` output with
//! the files in `tests/golden`. `BLESS=1` writes them anew; look at the SVG before that is
//! committed.

#![forbid(unsafe_code)]

use std::path::Path;

use wasmprof_report::{flamegraph, perf_script};

fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("the golden file can be written");
        return;
    }
    let wanted = std::fs::read_to_string(&path).expect("the golden file can be read");
    assert!(found == wanted, "{name} is not as in {}; BLESS=1 writes it anew", path.display());
}

#[test]
fn recorded_run() {
    let script = include_str!("data/perf-script.txt");
    let stacks = perf_script::collapse(script);
    check("stacks.folded", &stacks.folded());
    check("flamegraph.svg", &flamegraph::render(&stacks, "shapes.wasm"));
}
