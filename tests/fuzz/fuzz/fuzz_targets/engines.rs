//! Lets libFuzzer choose the bytes that modules are made from. What is checked
//! is in `wasmprof-fuzz`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use wasmprof_fuzz::{Case, Checker, Counts};

static CHECKER: LazyLock<Checker> = LazyLock::new(Checker::new);

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = Case::from_bytes(bytes)
        && let Err(mismatch) = CHECKER.check(&case, &mut Counts::default())
    {
        panic!("{mismatch}");
    }
});
