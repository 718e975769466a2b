//! Vectors of scripts: what lanes match, and how they are shown.

use super::value::{
    f32_digits, f32_pattern, f64_digits, f64_pattern, join, matches_f32, matches_f64,
};
use wasmprof_engine::V128;
use wast::core::{V128Pattern, WastRetCore};

/// Whether each lane is as wanted.
pub(super) fn matches(found: u128, wanted: &V128Pattern) -> bool {
    let found = V128::from(found);
    match wanted {
        V128Pattern::I8x16(wanted) => found == V128::from(*wanted),
        V128Pattern::I16x8(wanted) => found == V128::from(*wanted),
        V128Pattern::I32x4(wanted) => found == V128::from(*wanted),
        V128Pattern::I64x2(wanted) => found == V128::from(*wanted),
        V128Pattern::F32x4(wanted) => {
            let lanes = <[u32; 4]>::from(found);
            lanes.iter().zip(wanted).all(|(found, wanted)| matches_f32(*found, wanted))
        }
        V128Pattern::F64x2(wanted) => {
            let lanes = <[u64; 2]>::from(found);
            lanes.iter().zip(wanted).all(|(found, wanted)| matches_f64(*found, wanted))
        }
    }
}

/// A vector in the text format.
pub(super) fn show(bits: u128) -> String {
    let lanes = <[u32; 4]>::from(V128::from(bits));
    constant("i32x4", lanes.map(|lane| format!("{lane:#010x}")))
}

/// A vector in the text format, with the lanes of what was expected instead.
pub(super) fn show_like(bits: u128, expected: &WastRetCore<'_>) -> String {
    let vector = V128::from(bits);
    let pattern = match expected {
        WastRetCore::Either(cases) if !cases.is_empty() => return show_like(bits, &cases[0]),
        WastRetCore::V128(pattern) => pattern,
        _ => return show(bits),
    };
    match pattern {
        V128Pattern::I8x16(_) => constant("i8x16", <[i8; 16]>::from(vector)),
        V128Pattern::I16x8(_) => constant("i16x8", <[i16; 8]>::from(vector)),
        V128Pattern::I32x4(_) => constant("i32x4", <[i32; 4]>::from(vector)),
        V128Pattern::I64x2(_) => constant("i64x2", <[i64; 2]>::from(vector)),
        V128Pattern::F32x4(_) => constant("f32x4", <[u32; 4]>::from(vector).map(f32_digits)),
        V128Pattern::F64x2(_) => constant("f64x2", <[u64; 2]>::from(vector).map(f64_digits)),
    }
}

/// What a script expects, much as it has it.
pub(super) fn show_pattern(pattern: &V128Pattern) -> String {
    match pattern {
        V128Pattern::I8x16(lanes) => constant("i8x16", lanes),
        V128Pattern::I16x8(lanes) => constant("i16x8", lanes),
        V128Pattern::I32x4(lanes) => constant("i32x4", lanes),
        V128Pattern::I64x2(lanes) => constant("i64x2", lanes),
        V128Pattern::F32x4(lanes) => constant("f32x4", lanes.iter().map(f32_pattern)),
        V128Pattern::F64x2(lanes) => constant("f64x2", lanes.iter().map(f64_pattern)),
    }
}

fn constant(shape: &str, lanes: impl IntoIterator<Item: ToString>) -> String {
    let lanes = join(lanes.into_iter().map(|lane| lane.to_string()));
    format!("(v128.const {shape} {lanes})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wast::core::NanPattern;
    use wast::token::{F32, F64};

    fn bits(lanes: impl Into<V128>) -> u128 {
        lanes.into().into()
    }

    #[test]
    fn lanes_match_one_by_one() {
        let one = || NanPattern::Value(F32 { bits: 1.0f32.to_bits() });
        let canonical = || NanPattern::<F32>::CanonicalNan;
        let wanted = V128Pattern::F32x4([one(), canonical(), NanPattern::ArithmeticNan, one()]);
        let good = [1.0f32.to_bits(), 0xffc0_0000, 0x7fc0_0001, 1.0f32.to_bits()];
        assert!(matches(bits(good), &wanted));
        for (lane, wrong) in [(0, 0), (1, 0x7fc0_0001), (2, 0x7fa0_0000), (3, 0x8000_0000)] {
            let mut bad = good;
            bad[lane] = wrong;
            assert!(!matches(bits(bad), &wanted), "lane {lane}");
        }
        let zero = || NanPattern::Value(F64 { bits: 0 });
        let wanted = V128Pattern::F64x2([zero(), NanPattern::CanonicalNan]);
        assert!(matches(bits([0, 0x7ff8_0000_0000_0000u64]), &wanted));
        assert!(!matches(bits([0, 0x7ff8_0000_0000_0001u64]), &wanted));
        assert!(!matches(bits([-0.0, f64::NAN]), &wanted));
        assert!(matches(bits([1i64, -1]), &V128Pattern::I64x2([1, -1])));
        assert!(matches(bits([1i64, -1]), &V128Pattern::I32x4([1, 0, -1, -1])));
        assert!(!matches(bits([1i64, -1]), &V128Pattern::I32x4([1, 0, -1, 0])));
    }

    #[test]
    fn results_are_shown_with_the_lanes_that_were_expected() {
        let vector = bits([1.5f32, -0.0, f32::NAN, f32::INFINITY]);
        assert_eq!(show(vector), "(v128.const i32x4 0x3fc00000 0x80000000 0x7fc00000 0x7f800000)");
        let expected = || {
            WastRetCore::V128(V128Pattern::F32x4(std::array::from_fn(|_| NanPattern::CanonicalNan)))
        };
        let shown = "(v128.const f32x4 1.5 -0.0 nan:0x400000 inf)";
        assert_eq!(show_like(vector, &expected()), shown);
        assert_eq!(show_like(vector, &WastRetCore::Either(vec![expected()])), shown);
        assert_eq!(show_like(vector, &WastRetCore::I32(0)), show(vector));
        let bytes = WastRetCore::V128(V128Pattern::I8x16([0; 16]));
        assert_eq!(show_like(255, &bytes), "(v128.const i8x16 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0)");
        let pattern = V128Pattern::F64x2([NanPattern::ArithmeticNan, NanPattern::CanonicalNan]);
        assert_eq!(show_pattern(&pattern), "(v128.const f64x2 nan:arithmetic nan:canonical)");
    }
}
