//! A bounded number of random modules behave alike on all engines.

#![allow(clippy::print_stderr)]

use std::str::FromStr;
use wasmprof_fuzz::{Trap, run};

fn setting<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn engines_agree() {
    let seeds: u64 = setting("WASMPROF_FUZZ_SEEDS", 1_000);
    let start: u64 = setting("WASMPROF_FUZZ_START", 0);
    let (counts, mismatches) = run(start..start + seeds, 2, |_| {});
    for (seed, mismatch) in &mismatches {
        eprintln!(
            "seed {seed}: {mismatch}\n  to repeat it:\n    WASMPROF_FUZZ_START={seed} \
             WASMPROF_FUZZ_SEEDS=1 cargo test -p wasmprof-fuzz --test seeds\n  to look at it:\n    \
             cargo run -p wasmprof-fuzz --bin fuzz-many -- --write {seed} seed.wasm\n"
        );
    }
    assert!(mismatches.is_empty(), "{} of {seeds} seeds differ, see above", mismatches.len());
    if seeds >= 100 {
        assert!(counts.modules == seeds, "too few modules: {counts}");
        assert!(counts.with_wasmi > counts.modules / 20, "too little compared: {counts}");
        assert!(counts.with_all_proposals > counts.modules / 2, "too few proposals: {counts}");
        assert!(counts.returned > counts.calls / 10, "too few calls return: {counts}");
        assert!(counts.host_calls > 0 && counts.traps.contains_key(&Trap::Memory), "{counts}");
    }
}
