//! A build without the feature `profiling` runs everything, and explains itself
//! when it is asked for a profile.
#![cfg(not(feature = "profiling"))]

mod support;

use support::{fixture, run};

#[test]
fn programs_run() {
    let ran = run([fixture("wasm/hello.wasm")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "hello, world\n"));
}

#[test]
fn a_profile_is_answered_with_how_to_get_one() {
    let ran = run(["--jit-profile".into(), fixture("wasm/hello.wasm").into_os_string()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("cargo feature `profiling`"), "{ran:?}");
}

#[cfg(not(feature = "wat"))]
#[test]
fn text_is_refused_by_name() {
    let ran = run([fixture("wat/math.wat")]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("cargo feature `wat`"), "{ran:?}");
}
