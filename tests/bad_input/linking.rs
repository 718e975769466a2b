//! Files that are not there or are no modules, and modules that do not fit.

use crate::child::Folder;

const ADDS_ONE: &str = r#"(module (func (export "one") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 1))) (global (export "g") i32 (i32.const 5))
    (memory (export "small") 1 2))"#;

#[test]
fn what_is_no_file_is_named() {
    let folder = Folder::new();
    let missing = folder.refused(&["missing.wasm"]);
    assert!(missing.contains("missing.wasm") && missing.contains("No such file"), "{missing}");
    std::fs::create_dir(folder.path("folder.wasm")).unwrap();
    let directory = folder.refused(&["folder.wasm"]);
    assert!(directory.contains("folder.wasm") && directory.contains("directory"), "{directory}");
}

#[test]
fn what_is_no_module_is_named() {
    let folder = Folder::new();
    folder.write("empty.wasm", "");
    assert!(folder.refused(&["empty.wasm"]).contains("empty"));
    folder.write("elf.wasm", b"\x7fELF\x02\x01\x01\0");
    assert!(folder.refused(&["elf.wasm"]).contains("7f 45 4c 46"));
    folder.write("component.wasm", b"\0asm\x0d\0\x01\0");
    assert!(folder.refused(&["component.wasm"]).contains("component"));
    folder.write("version.wasm", b"\0asm\x02\0\0\0");
    assert!(folder.refused(&["version.wasm"]).contains("version"));
    folder.write("text.wat", "(module\n  (func (export \"f\")\n    i32.bogus))\n");
    let text = folder.refused(&["text.wat"]);
    assert!(text.contains("i32.bogus") && text.contains("3:"), "{text}");
    folder.write("invalid.wat", "(module (func (result i32) (i64.const 1)))");
    assert!(folder.refused(&["invalid.wat"]).contains("at byte 0x"));
}

#[test]
fn what_is_not_in_our_features_is_refused_with_its_place() {
    let folder = Folder::new();
    let modules = [
        "(module (global (shared i32) (i32.const 0)))",
        "(module (type (struct)))",
        "(module (memory 1 (pagesize 4096)))",
    ];
    for (number, module) in modules.iter().enumerate() {
        let file = format!("{number}.wat");
        folder.write(&file, module);
        let error = folder.refused(&[&file]);
        assert!(error.contains("at byte 0x"), "{module}: {error}");
    }
}

#[test]
fn imports_that_are_missing_or_do_not_fit_are_named() {
    let folder = Folder::new();
    folder.write("lib.wat", ADDS_ONE);
    let imports = [
        r#"(import "lib" "one" (func (param i64) (result i32)))"#,
        r#"(import "lib" "one" (func (param i32)))"#,
        r#"(import "lib" "one" (global i32))"#,
        r#"(import "lib" "g" (global i64))"#,
        r#"(import "lib" "g" (global (mut i32)))"#,
        r#"(import "lib" "small" (memory 2))"#,
        r#"(import "lib" "small" (memory 1 1))"#,
        r#"(import "lib" "small" (table 1 funcref))"#,
        r#"(import "lib" "other" (func))"#,
        r#"(import "elsewhere" "x" (func))"#,
        r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i64)))"#,
    ];
    for import in imports {
        let module = format!("(module {import} (func (export \"_start\")))");
        folder.write("app.wat", module);
        let error = folder.refused(&["--preload", "lib=lib.wat", "app.wat"]);
        let name = import.split('"').nth(3).unwrap_or_default();
        assert!(error.contains(name), "{import}: {error}");
    }
    let good = r#"(module (import "lib" "one" (func $one (param i32) (result i32)))
        (import "lib" "g" (global $g i32)) (import "lib" "small" (memory 1 3))
        (func (export "f") (result i32) (call $one (global.get $g))))"#;
    folder.write("good.wat", good);
    let ended = folder.run(&["--preload", "lib=lib.wat", "--invoke", "f", "good.wat"]);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "6\n"), "{}", ended.stderr);
}

#[test]
fn wrong_arguments_are_named() {
    let folder = Folder::new();
    folder.write("lib.wat", ADDS_ONE);
    assert!(folder.refused(&["lib.wat"]).contains("_start"));
    let suggestion = folder.refused(&["--invoke", "on", "lib.wat", "1"]);
    assert!(suggestion.contains("did you mean `one`"), "{suggestion}");
    assert!(folder.refused(&["--invoke", "g", "lib.wat"]).contains("not a function"));
    assert!(folder.refused(&["--invoke", "one", "lib.wat"]).contains("0 arguments"));
    assert!(folder.refused(&["--invoke", "one", "lib.wat", "x"]).contains("`x`"));
    assert!(folder.refused(&["--invoke", "one", "lib.wat", "1e3"]).contains("`1e3`"));
    assert!(folder.misused(&["--preload", "lib", "lib.wat"]).contains("NAME=FILE"));
    assert!(folder.refused(&["--preload", "x=missing.wat", "lib.wat"]).contains("missing.wat"));
    assert!(folder.misused(&["--env", "X", "lib.wat"]).contains("NAME=VALUE"));
    assert!(folder.refused(&["--dir", "nowhere", "lib.wat"]).contains("nowhere"));
}

/// What is wrong with a module shows before anything of it runs; what goes
/// wrong while it runs is a trap and has the exit code of one.
#[test]
fn segments_outside_are_traps() {
    let folder = Folder::new();
    for item in [
        "(memory 1) (data (i32.const 65536) \"x\")",
        "(memory 1) (data (i32.const -1) \"x\")",
        "(memory 0) (data (i32.const 1) \"\")",
        "(table 1 funcref) (elem (i32.const 1) $f)",
        "(table 0 funcref) (elem (i32.const -1) funcref)",
    ] {
        folder.write("app.wat", format!("(module {item} (func $f (export \"_start\")))"));
        let ended = folder.run(&["app.wat"]);
        assert_eq!(ended.code, Some(134), "{item}: {ended:?}");
        assert!(ended.stderr.contains("out of bounds"), "{item}: {ended:?}");
    }
}
