//! A module made from bytes, and the choices about how it is run.

use crate::fuel;
use crate::random::{Random, mix};
use crate::rewrite::rewrite;
use arbitrary::Unstructured;
use wasmparser::{Validator, WasmFeatures};

/// How many calls and turns of loops one call into the module may take.
pub(crate) const FUEL: u32 = 1_000;

/// How the engines are set up, the same for all of them where it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Whether memories of wasmprof are followed by a guard.
    pub guarded_memories: bool,
    /// Whether wasmprof uses all that the processor has.
    pub native_features: bool,
    /// Whether the compilers give all NaNs the same bits. If not, the module
    /// does it.
    pub engine_nans: bool,
}

impl Setup {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Setup> {
        (0..8).map(Setup::from_bits)
    }

    fn from_bits(bits: u8) -> Setup {
        Setup {
            guarded_memories: bits & 1 != 0,
            native_features: bits & 2 != 0,
            engine_nans: bits & 4 != 0,
        }
    }
}

/// Which proposals a module is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposals {
    /// All that we have and `wasm-smith` can make.
    All,
    /// All, with calls by way of typed references.
    Typed,
    /// What wasmi has, too: WebAssembly 2.0 without vectors, with tail calls
    /// and several memories.
    Plain,
}

/// A module and the choices about how it is run.
#[derive(Debug)]
pub struct Case {
    /// How the engines are set up.
    pub setup: Setup,
    /// Which proposals the module was made with.
    pub proposals: Proposals,
    /// The module, a valid binary.
    pub wasm: Vec<u8>,
    /// Where arguments come from.
    pub(crate) arguments: u64,
}

impl Case {
    /// The case with this number.
    ///
    /// # Panics
    ///
    /// If the module is not valid: that is a mistake in the settings here.
    pub fn from_seed(seed: u64) -> Case {
        let mut random = Random(mix(seed));
        loop {
            // Long input makes large modules; most bugs show in small ones.
            let len = match random.below(10) {
                0..3 => 500 + random.below(1_500),
                3..7 => 1_500 + random.below(6_000),
                _ => 5_000 + random.below(30_000),
            };
            // Some bytes ask for more than they suffice for.
            if let Some(case) = Case::from_bytes(&random.bytes(len as usize)) {
                return case;
            }
        }
    }

    /// The case that these bytes stand for; `None` if they are too few.
    ///
    /// # Panics
    ///
    /// As [`from_seed`](Case::from_seed).
    pub fn from_bytes(bytes: &[u8]) -> Option<Case> {
        let mut input = Unstructured::new(bytes);
        let mut setup = Setup::from_bits(input.arbitrary().ok()?);
        let proposals = match input.int_in_range(0..=7).ok()? {
            0..=4 => Proposals::All,
            5 => Proposals::Typed,
            _ => Proposals::Plain,
        };
        // wasmi leaves NaNs as they are.
        setup.engine_nans &= proposals != Proposals::Plain;
        let config = config(setup, proposals, &mut input).ok()?;
        let arguments = input.arbitrary().ok()?;
        let mut module = wasm_smith::Module::new(config, &mut input).ok()?;
        let global = module.ensure_termination(FUEL).ok()?;
        let typed = proposals == Proposals::Typed;
        let wasm = rewrite(&module.to_bytes(), typed).expect("what was made parses");
        let wasm = fuel::export(&wasm, global).expect("what was made parses");
        if let Err(error) =
            Validator::new_with_features(wasmprof_module::features()).validate_all(&wasm)
        {
            panic!("a module was made that is outside our features: {error}");
        }
        Some(Case { setup, proposals, wasm, arguments })
    }
}

fn config(
    setup: Setup,
    proposals: Proposals,
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<wasm_smith::Config> {
    let memories = input.int_in_range(0..=3)?;
    let on =
        |feature| proposals != Proposals::Plain && wasmprof_module::features().contains(feature);
    Ok(wasm_smith::Config {
        bulk_memory_enabled: true,
        multi_value_enabled: true,
        reference_types_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        tail_call_enabled: true,

        acquire_release_atomics_enabled: false,
        compact_imports_enabled: false,
        custom_descriptors_enabled: false,
        custom_page_sizes_enabled: on(WasmFeatures::CUSTOM_PAGE_SIZES),
        exceptions_enabled: on(WasmFeatures::EXCEPTIONS),
        extended_const_enabled: on(WasmFeatures::EXTENDED_CONST),
        gc_enabled: false,
        memory64_enabled: on(WasmFeatures::MEMORY64),
        multibyte_array_access_enabled: false,
        relaxed_simd_enabled: on(WasmFeatures::RELAXED_SIMD),
        shared_everything_threads_enabled: false,
        simd_enabled: on(WasmFeatures::SIMD),
        threads_enabled: on(WasmFeatures::THREADS),
        wide_arithmetic_enabled: on(WasmFeatures::WIDE_ARITHMETIC),

        canonicalize_nans: !setup.engine_nans,
        // A call that traps early shows little of what comes before it; where
        // none may, values go a long way.
        disallow_traps: input.ratio(2, 3)?,
        export_everything: true,
        min_funcs: input.int_in_range(1..=10)?,
        max_funcs: 20,
        max_instructions: *input.choose(&[20, 100, 400, 1500])?,
        min_imports: input.int_in_range(0..=5)?,
        max_imports: 8,
        min_types: input.int_in_range(1..=10)?,
        max_types: 20,
        max_type_size: 200,
        min_globals: 2,
        max_globals: 10,
        max_exports: 100,
        max_values: input.int_in_range(1..=12)?,
        max_data_segments: 6,
        min_element_segments: input.int_in_range(0..=3)?,
        max_element_segments: 6,
        max_elements: 12,
        max_memories: memories.max(1),
        min_memories: memories.min(1) as u32,
        max_memory32_bytes: 1 << 20,
        max_memory64_bytes: 1 << 20,
        max_tags: 6,
        memory_max_size_required: true,
        min_tables: 1,
        max_tables: input.int_in_range(1..=4)?,
        max_table_elements: 200,
        table_max_size_required: true,
        // Some modules with many accesses outside memory, most with few.
        memory_offset_choices: if input.ratio(1, 8)? {
            wasm_smith::MemoryOffsetChoices(10, 10, 10)
        } else {
            wasm_smith::MemoryOffsetChoices(90, 9, 1)
        },
        ..wasm_smith::Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_module() {
        for seed in 0..20 {
            let (one, other) = (Case::from_seed(seed), Case::from_seed(seed));
            assert_eq!((one.setup, one.wasm), (other.setup, other.wasm));
        }
    }

    #[test]
    fn modules_use_what_we_support() {
        let mut seen = std::collections::BTreeSet::new();
        let mut memories = 0;
        for case in (0..2_000).map(Case::from_seed) {
            for payload in wasmparser::Parser::new(0).parse_all(&case.wasm) {
                match payload.unwrap() {
                    wasmparser::Payload::MemorySection(reader) => {
                        memories = memories.max(reader.count());
                    }
                    wasmparser::Payload::CodeSectionEntry(body) => {
                        for operator in body.get_operators_reader().unwrap() {
                            let name = format!("{:?}", operator.unwrap());
                            seen.insert(name.split([' ', '{']).next().unwrap_or("").to_owned());
                        }
                    }
                    _ => {}
                }
            }
        }
        assert!(memories > 1);
        for wanted in [
            "CallRef",
            "ReturnCall",
            "ReturnCallIndirect",
            "ReturnCallRef",
            "TableGrow",
            "MemoryCopy",
            "RefFunc",
            "BrTable",
            "TryTable",
            "Throw",
            "ThrowRef",
            "I32x4Add",
            "F64x2RelaxedMadd",
            "I64AtomicRmwAdd",
            "MemoryAtomicWait32",
            "I64MulWideU",
        ] {
            assert!(seen.contains(wanted), "{wanted} never made, only {seen:?}");
        }
        assert!(seen.len() > 400, "only {} instructions are made: {seen:?}", seen.len());
    }
}
