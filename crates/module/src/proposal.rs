//! Which proposal a module needs that is refused for want of it.
//!
//! The validator says what it did not expect, in terms of a feature or not. A
//! person wants to know whether the module is broken or only asks for too much.

use crate::{Error, features};
use wasmparser::{Validator, WasmFeatures};

/// The proposals that are not among our features, as people know them.
const REFUSED: &[(&str, WasmFeatures)] = &[
    ("garbage collection (gc)", WasmFeatures::GC),
    ("stack switching", WasmFeatures::STACK_SWITCHING),
    ("legacy exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
    ("shared-everything threads", WasmFeatures::SHARED_EVERYTHING_THREADS),
    ("memory control", WasmFeatures::MEMORY_CONTROL),
    ("custom descriptors", WasmFeatures::CUSTOM_DESCRIPTORS),
];

/// `error`, by which `wasm` was refused, with the proposal that would make the
/// module valid, or get the validator past the place of the error.
pub(crate) fn explain(wasm: &[u8], error: Error) -> Error {
    let Error::Invalid { offset, message } = error else { return error };
    let all = REFUSED.iter().fold(WasmFeatures::empty(), |all, (_, one)| all.union(*one));
    let past = |more| match Validator::new_with_features(features().union(more)).validate_all(wasm)
    {
        Ok(_) => true,
        Err(error) => error.offset() > u64::from(offset.0),
    };
    if past(all) {
        // Some proposals build on others: stack switching, on gc types.
        let alone = REFUSED.iter().find(|(_, one)| past(*one));
        let with_gc = || REFUSED.iter().find(|(_, one)| past(one.union(WasmFeatures::GC)));
        if let Some((proposal, _)) = alone.or_else(with_gc) {
            return Error::Unsupported { offset, proposal, message };
        }
    }
    Error::Invalid { offset, message }
}

#[cfg(all(test, feature = "wat"))]
mod tests {
    use crate::{Error, Module, text};

    fn refusal(wat: &str) -> Error {
        let wasm = text::to_binary(wat.as_bytes()).expect("the text is well-formed");
        Module::validate(&wasm).expect_err("the module is refused")
    }

    #[test]
    fn a_refusal_names_the_proposal() {
        for (wat, wanted) in [
            ("(module (type (struct)))", "garbage collection"),
            ("(module (rec (type (func)) (type (func))))", "garbage collection"),
            ("(module (func (param anyref)))", "garbage collection"),
            (
                "(module (global i32 (i32.const 1)) (global i32 (global.get 0)))",
                "garbage collection",
            ),
            ("(module (func (drop (ref.i31 (i32.const 1)))))", "garbage collection"),
            ("(module (type $f (func)) (type (cont $f)))", "stack switching"),
            ("(module (func try catch_all end))", "legacy exceptions"),
        ] {
            match refusal(wat) {
                Error::Unsupported { proposal, .. } => {
                    assert!(proposal.starts_with(wanted), "{wat}: {proposal}");
                }
                other => panic!("{wat}: {other}"),
            }
        }
    }

    #[test]
    fn what_no_proposal_makes_valid_is_invalid() {
        for wat in ["(module (func (result i32)))", "(module (func (drop (i32.add))))"] {
            assert!(matches!(refusal(wat), Error::Invalid { .. }), "{wat}");
        }
    }
}
