//! Binaries that were cut off or damaged.

use crate::child::Folder;
use crate::wasm::{self, HEADER};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use wasmprof_engine::{Config, Engine, Error, Module, Strategy};

/// A module that has something in most sections, but no custom ones.
const SMALL: &str = r#"(module
    (type (func (param i32) (result i32)))
    (import "" "f" (func (type 0)))
    (table 2 funcref) (memory 1) (global (mut i32) (i32.const 3))
    (export "f" (func 1)) (start 2)
    (elem (i32.const 0) 1 0)
    (func (type 0) (block (result i32) (call_indirect (type 0) (local.get 0) (i32.const 1))
        (br_if 0 (global.get 0)) (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 1))))
    (func (drop (call 1 (i32.load offset=70000 (i32.const 0)))))
    (data (i32.const 8) "hello") (data "more"))"#;

fn engines() -> [Engine; 2] {
    [Strategy::Optimized, Strategy::Fast].map(|strategy| {
        let config = Config::new().strategy(strategy).threads(1);
        Engine::new(config).expect("an engine for this machine")
    })
}

/// Compiles what may be broken. It is a module or it is refused: that is all
/// that may happen, and both strategies must say the same.
#[track_caller]
fn compile(engines: &[Engine], wasm: &[u8], what: &dyn std::fmt::Display) -> bool {
    let results = engines.iter().map(|engine| {
        let compile = AssertUnwindSafe(|| Module::new(engine, wasm).err());
        match catch_unwind(compile) {
            Ok(None) => None,
            Ok(Some(error @ Error::Module(_))) => Some(error.to_string()),
            Ok(Some(other)) => panic!("{what}: not an error of the module: {other:?}"),
            Err(_) => panic!("{what}: a panic, see above"),
        }
    });
    let results: Vec<_> = results.collect();
    assert!(results.iter().all(|result| *result == results[0]), "{what}: {results:?}");
    results[0].is_none()
}

fn fixtures(largest: usize) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wasm");
    let files = std::fs::read_dir(folder).expect("the fixtures are there");
    let mut fixtures = Vec::new();
    for file in files {
        let path = file.expect("the fixtures can be listed").path();
        let bytes = std::fs::read(&path).expect("a fixture can be read");
        if bytes.len() <= largest {
            fixtures.push((path.display().to_string(), bytes));
        }
    }
    assert!(!fixtures.is_empty(), "no fixture is that small");
    fixtures.sort();
    fixtures
}

fn small() -> Vec<u8> {
    wat::parse_str(SMALL).expect("the text is right")
}

#[test]
fn every_prefix_is_refused_or_a_module() {
    let engines = engines();
    let whole = small();
    assert!(compile(&engines, &whole, &"the whole"));
    let valid: Vec<usize> =
        (0..whole.len()).filter(|len| compile(&engines, &whole[..*len], len)).collect();
    // The header is a module, and so is all up to the end of some sections; but
    // functions need code.
    assert!(valid.contains(&8), "{valid:?}");
    assert!(valid.len() < 8, "{valid:?}");
}

/// A binary that ends too early is refused with the place where it does.
#[test]
fn the_program_refuses_every_prefix() {
    let folder = Folder::new();
    let whole = wasm::one_function(1, 1, 2, &[0x20, 0, 0x20, 0, 0x6a]);
    folder.write("whole.wasm", &whole);
    folder.runs("whole.wasm", &["21"], "42\n");
    for len in 0..whole.len() {
        folder.write("prefix.wasm", &whole[..len]);
        let error = folder.refused(&["--invoke", "f", "prefix.wasm", "21"]);
        if len > 8 && !error.contains("exports no function") {
            assert!(error.contains("at byte 0x"), "{len} bytes: {error}");
        }
    }
}

/// Changes a few bytes, or takes out, repeats or puts in some.
fn damage(bytes: &mut Vec<u8>, random: &mut impl FnMut(usize) -> usize) {
    for _ in 0..1 + random(4) {
        let at = random(bytes.len());
        let to = (at + 1 + random(16)).min(bytes.len());
        match random(7) {
            0 => bytes[at] ^= 1 << random(8),
            1 => bytes[at] = random(256) as u8,
            2 => drop(bytes.drain(at..to)),
            3 => {
                let copy = bytes[at..to].to_vec();
                let place = random(bytes.len());
                bytes.splice(place..place, copy);
            }
            // The largest number, a negative one, a number with too many bytes.
            4 => drop(bytes.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0x0f])),
            5 => bytes[at] = 0x7f,
            _ => drop(bytes.splice(at..at + 1, [0x80, 0x80, 0x80, 0x80, 0x80, 0])),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

#[test]
fn damaged_modules_are_refused_or_modules() {
    let mut sources = fixtures(3_000);
    sources.push(("the small module".to_owned(), small()));
    let engines = engines();
    let mut modules = 0;
    for round in 0..2_000_u64 {
        let (name, source) = &sources[round as usize % sources.len()];
        let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % below
        };
        let mut bytes = source.clone();
        damage(&mut bytes, &mut random);
        modules += u32::from(compile(&engines, &bytes, &format_args!("{name}, round {round}")));
    }
    // If none were valid, the code generators would not have been tried.
    assert!(modules > 20, "only {modules} of the damaged modules are valid");
    assert!(modules < 1_900, "{modules} of the damaged modules are valid: too little damage");
}

#[test]
fn random_bytes_are_refused() {
    let engines = engines();
    let mut state = 0x1234_5678_9abc_def1_u64;
    for round in 0..500 {
        let mut bytes = if round % 2 == 0 { HEADER.to_vec() } else { Vec::new() };
        for _ in 0..1 + round {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Behind a header, small numbers get further: they are sections.
            bytes.push(if round % 4 == 0 { state as u8 % 16 } else { state as u8 });
        }
        compile(&engines, &bytes, &format_args!("round {round}"));
    }
}

/// Counts that promise more than the file has must not be believed.
#[test]
fn counts_are_not_believed() {
    let folder = Folder::new();
    let enormous = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for section in 0..=13 {
        let wasm = wasm::module(&[(section, enormous.to_vec())]);
        folder.write("count.wasm", wasm);
        let error = folder.refused(&["count.wasm"]);
        assert!(error.contains("at byte 0x") || section == 0, "section {section}: {error}");
    }
    let locals = [vec![1], enormous.to_vec(), vec![wasm::I32, wasm::END]].concat();
    let wasm = wasm::module(&[
        (wasm::TYPE, wasm::vector(&[wasm::func_type(0, 0)])),
        (wasm::FUNCTION, wasm::vector(&[wasm::leb(0)])),
        (wasm::CODE, wasm::vector(&[wasm::sized(&locals)])),
    ]);
    folder.write("locals.wasm", wasm);
    assert!(folder.refused(&["locals.wasm"]).contains("at byte 0x"));
}
