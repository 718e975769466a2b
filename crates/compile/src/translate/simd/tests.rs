//! Every operator on vectors compiles, without a relocation, for processors
//! from the base architecture up. What the code does is for the scripts of the
//! specification to say.

use crate::{Compiler, Options, Strategy, isa};
use cranelift_codegen::isa::lookup_by_name;
use cranelift_codegen::settings::Configurable;
use std::collections::HashSet;
use std::fmt::Write;
use wasmprof_module::Module;

/// Operators by their operands and result: `v` for vectors, `i`, `l`, `f` and
/// `d` for scalars.
const OPERATORS: &[(&str, &str, &str)] = &[
    (
        "v",
        "v",
        "v128.not i8x16.abs i8x16.neg i8x16.popcnt i16x8.abs i16x8.neg i32x4.abs i32x4.neg
        i64x2.abs i64x2.neg f32x4.abs f32x4.neg f32x4.sqrt f64x2.abs f64x2.neg f64x2.sqrt
        f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest
        f64x2.ceil f64x2.floor f64x2.trunc f64x2.nearest
        i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s
        i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u
        i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s
        i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u
        i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s
        i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u
        i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u
        i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u
        i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u
        i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero
        f32x4.convert_i32x4_s f32x4.convert_i32x4_u
        f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u
        f32x4.demote_f64x2_zero f64x2.promote_low_f32x4
        i32x4.relaxed_trunc_f32x4_s i32x4.relaxed_trunc_f32x4_u
        i32x4.relaxed_trunc_f64x2_s_zero i32x4.relaxed_trunc_f64x2_u_zero",
    ),
    (
        "vv",
        "v",
        "v128.and v128.andnot v128.or v128.xor i8x16.swizzle i8x16.shuffle
        i8x16.eq i8x16.ne i8x16.lt_s i8x16.lt_u i8x16.gt_s i8x16.gt_u
        i8x16.le_s i8x16.le_u i8x16.ge_s i8x16.ge_u
        i16x8.eq i16x8.ne i16x8.lt_s i16x8.lt_u i16x8.gt_s i16x8.gt_u
        i16x8.le_s i16x8.le_u i16x8.ge_s i16x8.ge_u
        i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u
        i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u
        i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s
        f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge
        f64x2.eq f64x2.ne f64x2.lt f64x2.gt f64x2.le f64x2.ge
        i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u
        i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u
        i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u i8x16.avgr_u
        i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u
        i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u i16x8.avgr_u
        i16x8.q15mulr_sat_s i16x8.relaxed_q15mulr_s
        i32x4.add i32x4.sub i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u
        i32x4.dot_i16x8_s i64x2.add i64x2.sub i64x2.mul
        i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s
        i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u
        i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s
        i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u
        i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s
        i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u
        f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax
        f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax
        i8x16.relaxed_swizzle f32x4.relaxed_min f32x4.relaxed_max
        f64x2.relaxed_min f64x2.relaxed_max i16x8.relaxed_dot_i8x16_i7x16_s",
    ),
    (
        "vvv",
        "v",
        "v128.bitselect f32x4.relaxed_madd f32x4.relaxed_nmadd
        f64x2.relaxed_madd f64x2.relaxed_nmadd
        i8x16.relaxed_laneselect i16x8.relaxed_laneselect
        i32x4.relaxed_laneselect i64x2.relaxed_laneselect
        i32x4.relaxed_dot_i8x16_i7x16_add_s",
    ),
    (
        "vi",
        "v",
        "i8x16.shl i8x16.shr_s i8x16.shr_u i16x8.shl i16x8.shr_s i16x8.shr_u
        i32x4.shl i32x4.shr_s i32x4.shr_u i64x2.shl i64x2.shr_s i64x2.shr_u
        i8x16.replace_lane i16x8.replace_lane i32x4.replace_lane",
    ),
    (
        "v",
        "i",
        "v128.any_true i8x16.all_true i16x8.all_true i32x4.all_true i64x2.all_true
        i8x16.bitmask i16x8.bitmask i32x4.bitmask i64x2.bitmask
        i8x16.extract_lane_s i8x16.extract_lane_u i16x8.extract_lane_s i16x8.extract_lane_u
        i32x4.extract_lane",
    ),
    ("v", "l", "i64x2.extract_lane"),
    ("v", "f", "f32x4.extract_lane"),
    ("v", "d", "f64x2.extract_lane"),
    ("vl", "v", "i64x2.replace_lane"),
    ("vf", "v", "f32x4.replace_lane"),
    ("vd", "v", "f64x2.replace_lane"),
    ("l", "v", "i64x2.splat"),
    ("f", "v", "f32x4.splat"),
    ("d", "v", "f64x2.splat"),
    (
        "i",
        "v",
        "i8x16.splat i16x8.splat i32x4.splat v128.load
        v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u
        v128.load32x2_s v128.load32x2_u v128.load8_splat v128.load16_splat
        v128.load32_splat v128.load64_splat v128.load32_zero v128.load64_zero",
    ),
    ("iv", "v", "v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane"),
    ("iv", "", "v128.store v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane"),
    ("", "v", "v128.const"),
];

/// How many operators validation knows.
macro_rules! count {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        const COUNT: usize = [$(stringify!($op)),*].len();
    };
}
wasmparser::for_each_visit_simd_operator!(count);

/// What processors have learnt, in order; each has what is above it too.
const LEVELS: &[&[&str]] = &[
    &[],
    &["has_sse3"],
    &["has_ssse3"],
    &["has_sse41"],
    &["has_sse42", "has_popcnt"],
    &["has_avx"],
    &["has_avx2", "has_bmi1", "has_bmi2", "has_lzcnt"],
    &["has_fma"],
    &["has_avx_vnni"],
    &["has_avx512f", "has_avx512vl", "has_avx512dq"],
    &["has_avx512bitalg", "has_avx512vbmi", "has_avx512vnni"],
];

/// What may stand behind the name of an operator: nothing, or each lane.
fn immediates(name: &str) -> Vec<String> {
    let lanes = match name.split_once('.').expect("a shape and an operation") {
        ("v128", "const") => {
            let constants =
                ["i64x2 0 0", "i64x2 -1 -1", "i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"];
            return constants.map(str::to_owned).into();
        }
        (_, "shuffle") => return shuffles(),
        (_, "load8_lane" | "store8_lane") => 16,
        (_, "load16_lane" | "store16_lane") => 8,
        (_, "load32_lane" | "store32_lane") => 4,
        (_, "load64_lane" | "store64_lane") => 2,
        (shape, "extract_lane" | "extract_lane_s" | "extract_lane_u" | "replace_lane") => {
            shape.rsplit_once('x').and_then(|(_, lanes)| lanes.parse().ok()).expect("a shape")
        }
        _ => return vec![String::new()],
    };
    (0..lanes).map(|lane: u8| lane.to_string()).collect()
}

/// Shuffles of which the target has some as single instructions.
fn shuffles() -> Vec<String> {
    let pick: [fn(u8) -> u8; 8] = [
        |lane| lane,
        |_| 0,
        |lane| 31 - lane,
        |lane| lane + 5,
        |lane| lane / 2 + 16 * (lane % 2),
        |lane| ((lane / 4) ^ 1) * 4 + lane % 4,
        |lane| if lane < 8 { lane } else { lane + 16 - 8 },
        |lane| lane * 7 % 32,
    ];
    let words = |pick: fn(u8) -> u8| (0..16).map(|lane| format!("{} ", pick(lane))).collect();
    pick.map(words).into()
}

fn every_operator() -> Vec<u8> {
    let long = |letter| match letter {
        'v' => "v128",
        'i' => "i32",
        'l' => "i64",
        'f' => "f32",
        _ => "f64",
    };
    let mut wat = "(module (memory 1)".to_owned();
    let mut seen = HashSet::new();
    for (params, results, names) in OPERATORS {
        for name in names.split_whitespace() {
            assert!(seen.insert(name), "{name} is there twice");
            for immediate in immediates(name) {
                let types = |letters: &str| letters.chars().map(long).collect::<Vec<_>>().join(" ");
                let gets: String =
                    (0..params.len()).map(|local| format!("(local.get {local})")).collect();
                let (params, results) = (types(params), types(results));
                write!(
                    wat,
                    "(func (param {params}) (result {results}) ({name} {immediate} {gets}))"
                )
                .expect("text");
            }
        }
    }
    assert_eq!(seen.len(), COUNT, "not every operator is there");
    wat.push(')');
    wat::parse_str(wat).expect("a valid text")
}

#[test]
fn every_operator_compiles_for_every_processor() {
    let wasm = every_operator();
    for strategy in [Strategy::Optimized, Strategy::Fast] {
        for strict in [false, true] {
            let options = Options {
                strategy,
                canonicalize_nans: strict,
                relaxed_simd_deterministic: strict,
                verify: true,
                ..Options::default()
            };
            let mut target = lookup_by_name("x86_64").expect("a target");
            for level in LEVELS {
                for feature in *level {
                    target.enable(feature).expect("a feature of the target");
                }
                let flags = isa::flags(&options).expect("the settings");
                let isa = target.finish(flags).expect("a target");
                let compiler = Compiler { options: options.clone(), isa };
                let parsed = Module::parse(wasm.as_slice()).expect("a module");
                let image = compiler.compile(parsed, "operators");
                let image = image.unwrap_or_else(|error| panic!("with {level:?}: {error}"));
                assert!(image.text.len() > 1000);
            }
        }
    }
}
