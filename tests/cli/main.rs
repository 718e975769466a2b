//! The binary as a user runs it: programs, options, mistakes.

#[path = "../support/mod.rs"]
mod support;

use std::io::Write;
use std::process::Stdio;
use support::{Ran, fixture, folder, ran, run, wasmprof};

fn program(name: &str) -> std::ffi::OsString {
    fixture("wasm").join(name).with_extension("wasm").into()
}

#[test]
fn a_program_runs_with_both_strategies() {
    for strategy in ["optimized", "fast"] {
        let ran = run(["--strategy".into(), strategy.into(), program("hello")]);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (Some(0), "hello, world\n", "")
        );
    }
}

#[test]
fn text_is_a_module_too() {
    let ran = run(["--invoke", "add"].map(Into::into).into_iter().chain([
        fixture("wat/math.wat").into_os_string(),
        "40".into(),
        "2".into(),
    ]));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "42\n"));
}

#[test]
fn words_behind_the_module_are_the_programs() {
    let ran = run([
        "--env".into(),
        "COLOUR=blue".into(),
        program("args_env"),
        "--env".into(),
        "--".into(),
        "-x".into(),
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in ["arg 0: args_env.wasm\n", "arg 1: --env\n", "arg 2: --\n", "arg 3: -x\n"] {
        assert!(ran.stdout.contains(line), "{ran:?}");
    }
    assert!(ran.stdout.contains("COLOUR=blue"), "{ran:?}");
}

#[test]
fn the_exit_code_is_the_programs() {
    assert_eq!(run([program("exit_code")]).code, Some(3));
}

#[test]
fn a_trap_has_its_exit_code_and_a_backtrace() {
    let ran = run([program("trap")]);
    assert_eq!(ran.code, Some(134));
    assert_eq!(ran.stdout, "before the trap\n");
    assert!(ran.stderr.contains("wasm trap: unreachable"), "{ran:?}");
    let at = |name: &str| ran.stderr.find(name).unwrap_or_else(|| panic!("{name}: {ran:?}"));
    assert!(
        at("trap!c") < at("trap!b") && at("trap!b") < at("trap!a") && at("trap!a") < at("main")
    );
}

#[test]
fn running_out_of_stack_is_a_trap_and_the_limit_an_option() {
    let deep = run([program("deep_recursion")]);
    assert_eq!(deep.code, Some(134));
    assert!(deep.stderr.contains("call stack exhausted"), "{deep:?}");
    let frames = |ran: &Ran| -> u64 {
        let line =
            ran.stderr.lines().find(|line| line.contains("frames more")).expect("many frames");
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
    };
    let deeper = run(["--max-stack".into(), "32M".into(), program("deep_recursion")]);
    assert!(frames(&deeper) > 3 * frames(&deep));
}

#[test]
fn standard_input_is_read() {
    let mut command = wasmprof();
    command.arg("run").arg(program("stdin"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    child.stdin.take().expect("piped").write_all(b"one\ntwo\nthree\n").expect("written");
    let ran: Ran = child.wait_with_output().expect("ended").into();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains('3'), "{ran:?}");
}

#[test]
fn files_are_there_below_a_directory_only() {
    let folder = folder("cli-files");
    let dir = format!("{}::/data", folder.display());
    let words = ["--dir".into(), dir.into(), program("files"), "/data".into()];
    let ran = run(words);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains("FAILED"), "{ran:?}");
    let without = run([program("files"), "/data".into()]);
    assert_eq!(without.code, Some(1), "{without:?}");
}

#[test]
fn an_error_says_everything_once() {
    let ran = run(["--dir".into(), "nowhere".into(), program("hello")]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stderr.matches("No such file").count(), 1, "{ran:?}");
    let ran = run(["nowhere.wasm"]);
    assert_eq!(ran.stderr.matches("No such file").count(), 1, "{ran:?}");
}

#[test]
fn modules_are_preloaded() {
    let math = format!("math={}", fixture("wat/math.wat").display());
    let imports = fixture("wat/imports.wat").into_os_string();
    let ran = run(["--preload".into(), math.into(), imports.clone()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = run([imports]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--preload math=FILE"), "{ran:?}");
}

#[test]
fn unknown_names_are_met_with_the_nearest_known_one() {
    let math = fixture("wat/math.wat").into_os_string();
    let ran = run(["--invoke".into(), "ad".into(), math.clone(), "1".into(), "2".into()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("did you mean `add`?"), "{ran:?}");
    let ran = run([math]);
    assert!(ran.stderr.contains("--invoke add"), "{ran:?}");
    let ran = run(["--startegy=fast".into(), program("hello")]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--strategy"), "{ran:?}");
    let ran = support::ran(wasmprof().arg("repor"));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("'report'"), "{ran:?}");
}

#[test]
fn arguments_of_a_function_are_checked() {
    let math = fixture("wat/math.wat").into_os_string();
    let call = |args: &[&str]| {
        let words = ["--invoke", "add"].map(Into::into).into_iter().chain([math.clone()]);
        run(words.chain(args.iter().map(Into::into)))
    };
    assert!(call(&["1"]).stderr.contains("[i32 i32] -> [i32]"));
    assert!(call(&["1", "x"]).stderr.contains("`x` is not a value of type i32"));
    assert_eq!(call(&["-1", "0xffffffff"]).stdout, "-2\n");
}

#[test]
fn vectors_are_taken_and_printed_in_hexadecimal() {
    let vectors = fixture("wat/vectors.wat").into_os_string();
    let call = |arg: &str| run(["--invoke".into(), "next".into(), vectors.clone(), arg.into()]);
    let next = "0x0000000400000003000000020000ffff\n";
    assert_eq!(call("0x0000000300000002000000010000FFFE").stdout, next);
    assert_eq!(call("0xff").stdout, "0x00000001000000010000000100000100\n");
    let refused = call("255");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("`255` is not a value of type v128: expected 0x"),
        "{refused:?}"
    );
}

/// Where address space is limited, accesses are checked instead of guarded,
/// and each memory leaves some for the next.
#[test]
fn programs_run_under_a_limit_on_address_space() {
    let scripts = ["indirect_calls", "multi_memory", "segments", "table_grow"];
    for kilobytes in [2_000_000, 5_000_000, 9_000_000, 40_000_000] {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -v {kilobytes}; exec \"$@\"")).arg("sh");
        shell.arg(wasmprof().get_program()).arg("wast");
        for script in scripts {
            let folder = fixture("../wast/scripts");
            shell.arg(folder.join(script).with_extension("wast"));
        }
        let ran = ran(&mut shell);
        assert_eq!(ran.code, Some(0), "{kilobytes}: {ran:?}");
    }
}

#[test]
fn help_has_examples() {
    let help = ran(wasmprof().args(["run", "--help"]));
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("Examples:") && help.stdout.contains("--jit-profile"), "{help:?}");
}

/// A program whose reader goes away ends as it would anywhere.
#[test]
fn a_closed_pipe_is_no_failure_of_ours() {
    let mut command = wasmprof();
    command.args(["run", "--invoke", "add"]).arg(fixture("wat/math.wat")).args(["1", "2"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    drop(child.stdout.take());
    let ran: Ran = child.wait_with_output().expect("ended").into();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}
