//! What a module may be made from, and what is said of everything else. These
//! tests bring binaries along: they run without the text format, too.

use std::path::PathBuf;
use wasmprof_engine::*;

/// `(module (func (export "f") (result i32) (i32.const 42)))`
const ANSWER: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x07\x05\x01\x01f\0\0\x0a\x06\x01\x04\0\x41\x2a\x0b";

/// A function whose dead code does not validate:
/// `unreachable i64.const 1 i32.eqz drop`
const BAD_BODY: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x05\x01\x01f\0\0\x0a\x09\x01\x07\0\0\x42\x01\x45\x1a\x0b";

const TEXT: &str = "(module)";

fn engine() -> Engine {
    Engine::new(Config::new()).expect("an engine")
}

/// A file that goes away again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, contents: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("wasmprof-{}-{name}", std::process::id()));
        std::fs::write(&path, contents).expect("a file in the folder for temporary ones");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_trusted_binary_runs_unchecked() -> Result<(), Error> {
    let engine = engine();
    // SAFETY: the binary is valid, as the next line shows.
    let module = unsafe { Module::new_unchecked(&engine, ANSWER)? };
    Module::validate(&engine, ANSWER)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let f = instance.get_typed_func::<(), i32>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, ())?, 42);
    Ok(())
}

#[test]
fn bodies_are_not_looked_at_unchecked() {
    let engine = engine();
    for refused in [
        Module::new(&engine, BAD_BODY).map(drop),
        Module::from_binary(&engine, BAD_BODY).map(drop),
        Module::validate(&engine, BAD_BODY),
    ] {
        assert!(refused.unwrap_err().to_string().contains("type mismatch"));
    }
    // SAFETY: it is not: this is a body that does not validate, in a place that
    // the translator of today does not read.
    unsafe { Module::new_unchecked(&engine, BAD_BODY) }.expect("nobody has looked");
}

#[test]
fn sections_are_validated_even_unchecked() {
    // The function has a type that does not exist.
    let wasm = b"\0asm\x01\0\0\0\x03\x02\x01\x07\x0a\x04\x01\x02\0\x0b";
    // SAFETY: it is refused before any body is looked at.
    let error = unsafe { Module::new_unchecked(&engine(), wasm) }.unwrap_err();
    assert!(error.to_string().contains("unknown type"), "{error}");
}

#[test]
fn text_is_named_where_only_binaries_are_taken() {
    let engine = engine();
    for refused in [
        Module::validate(&engine, TEXT.as_bytes()),
        Module::from_binary(&engine, TEXT.as_bytes()).map(drop),
        // SAFETY: it is refused before any body is looked at.
        unsafe { Module::new_unchecked(&engine, TEXT) }.map(drop),
    ] {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("text, and only the binary format is taken"), "{message}");
    }
}

#[test]
fn a_module_of_a_file_is_called_by_its_name() -> Result<(), Error> {
    let file = Scratch::new("answer.wasm", ANSWER);
    let engine = engine();
    let module = Module::from_file(&engine, &file.0)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let f = instance.get_typed_func::<(), i32>(&mut store, "f")?;
    assert_eq!(f.call(&mut store, ())?, 42);
    Ok(())
}

#[test]
fn every_message_about_a_file_has_its_path() {
    let engine = engine();
    let missing = std::env::temp_dir().join("wasmprof-no-such-file.wasm");
    let error = Module::from_file(&engine, &missing).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}: ", missing.display())), "{error}");
    for (name, contents, said) in [
        ("empty.wasm", &b""[..], "the input is empty"),
        ("elf.wasm", b"\x7fELF", "7f 45 4c 46"),
        ("cut.wasm", &ANSWER[..20], "(at byte 0x"),
        ("body.wasm", BAD_BODY, "type mismatch"),
        ("component.wasm", b"\0asm\x0d\0\x01\0", "component"),
    ] {
        let file = Scratch::new(name, contents);
        let error = Module::from_file(&engine, &file.0).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", file.0.display())), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[cfg(feature = "wat")]
#[test]
fn text_is_a_module_like_any_other() -> Result<(), Error> {
    let engine = engine();
    Module::new(&engine, TEXT)?;
    let file = Scratch::new("text.wat", b"(module\n  (func i32.nonsense))");
    let error = Module::from_file(&engine, &file.0).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", file.0.display())), "{error}");
    assert!(error.contains("2:9"), "{error}");
    Ok(())
}

#[cfg(not(feature = "wat"))]
#[test]
fn without_the_text_format_the_message_says_what_to_do() {
    let engine = engine();
    let error = Module::new(&engine, TEXT).unwrap_err().to_string();
    assert_eq!(
        error,
        "this looks like WebAssembly text, which this build cannot read; convert it to a binary, \
         or build with the cargo feature `wat`"
    );
    let file = Scratch::new("text.wat", TEXT.as_bytes());
    let error = Module::from_file(&engine, &file.0).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", file.0.display())), "{error}");
    assert!(error.contains("the cargo feature `wat`"), "{error}");
}
