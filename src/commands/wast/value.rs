//! The values of scripts: arguments, and what results are to match. The lanes
//! of vectors are left to `vector`.

use super::vector;
use std::fmt::Write;
use wasmprof_engine::{ExternRef, Store, Val};
use wast::core::{AbstractHeapType, HeapType, NanPattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// An argument as a value of the store. References to the host are to numbers.
pub(super) fn argument(store: &mut Store<()>, arg: &WastArg<'_>) -> Result<Val, String> {
    let WastArg::Core(arg) = arg else { return Err(unsupported("a value of components")) };
    Ok(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes())),
        WastArgCore::RefNull(heap) => match kind(heap) {
            Some(Kind::Func) => Val::FuncRef(None),
            Some(Kind::Extern) => Val::ExternRef(None),
            Some(Kind::Exn) => Val::ExnRef(None),
            None => return Err(unsupported("a reference of this type")),
        },
        WastArgCore::RefExtern(number) | WastArgCore::RefHost(number) => {
            Val::ExternRef(Some(ExternRef::new(store, *number)))
        }
    })
}

fn unsupported(what: &str) -> String {
    format!("unsupported: {what}")
}

/// The references that this engine has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Func,
    Extern,
    Exn,
}

fn kind(heap: &HeapType<'_>) -> Option<Kind> {
    match heap {
        HeapType::Abstract { shared: false, ty } => match ty {
            AbstractHeapType::Func | AbstractHeapType::NoFunc => Some(Kind::Func),
            AbstractHeapType::Extern | AbstractHeapType::NoExtern => Some(Kind::Extern),
            AbstractHeapType::Exn | AbstractHeapType::NoExn => Some(Kind::Exn),
            _ => None,
        },
        // Without garbage collection, all types that are defined are functions'.
        HeapType::Concrete(_) => Some(Kind::Func),
        _ => None,
    }
}

/// Whether results are what a script expects, number by number.
pub(super) fn all_match(store: &Store<()>, results: &[Val], expected: &[WastRet<'_>]) -> bool {
    results.len() == expected.len()
        && results.iter().zip(expected).all(|(result, expected)| match expected {
            WastRet::Core(expected) => matches(store, result, expected),
            _ => false,
        })
}

fn matches(store: &Store<()>, result: &Val, expected: &WastRetCore<'_>) -> bool {
    match (expected, result) {
        (WastRetCore::Either(cases), _) => cases.iter().any(|case| matches(store, result, case)),
        (WastRetCore::I32(wanted), Val::I32(found)) => wanted == found,
        (WastRetCore::I64(wanted), Val::I64(found)) => wanted == found,
        (WastRetCore::F32(wanted), Val::F32(found)) => matches_f32(*found, wanted),
        (WastRetCore::F64(wanted), Val::F64(found)) => matches_f64(*found, wanted),
        (WastRetCore::V128(wanted), Val::V128(found)) => vector::matches(*found, wanted),
        (
            WastRetCore::RefNull(None),
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None),
        ) => true,
        (WastRetCore::RefNull(Some(heap)), Val::ExnRef(None)) => kind(heap) == Some(Kind::Exn),
        (WastRetCore::RefNull(Some(heap)), Val::FuncRef(None)) => kind(heap) == Some(Kind::Func),
        (WastRetCore::RefNull(Some(heap)), Val::ExternRef(None)) => {
            kind(heap) == Some(Kind::Extern)
        }
        (WastRetCore::RefFunc(None), Val::FuncRef(Some(_))) => true,
        (WastRetCore::RefExtern(None), Val::ExternRef(Some(_))) => true,
        (
            WastRetCore::RefExtern(Some(wanted)) | WastRetCore::RefHost(wanted),
            Val::ExternRef(Some(found)),
        ) => host_number(store, found) == Some(*wanted),
        _ => false,
    }
}

pub(super) fn matches_f32(found: u32, wanted: &NanPattern<F32>) -> bool {
    match wanted {
        NanPattern::CanonicalNan => FloatFormat::F32.is_canonical(u64::from(found)),
        NanPattern::ArithmeticNan => FloatFormat::F32.is_arithmetic(u64::from(found)),
        NanPattern::Value(wanted) => wanted.bits == found,
    }
}

pub(super) fn matches_f64(found: u64, wanted: &NanPattern<F64>) -> bool {
    match wanted {
        NanPattern::CanonicalNan => FloatFormat::F64.is_canonical(found),
        NanPattern::ArithmeticNan => FloatFormat::F64.is_arithmetic(found),
        NanPattern::Value(wanted) => wanted.bits == found,
    }
}

/// The number that a reference of a script stands for.
fn host_number(store: &Store<()>, reference: &ExternRef) -> Option<u32> {
    reference.data(&store).downcast_ref().copied()
}

/// How a floating-point format keeps NaNs.
#[derive(Clone, Copy)]
struct FloatFormat {
    sign: u64,
    /// What an infinity is, without the sign.
    exponent: u64,
    /// The highest bit of the payload.
    quiet: u64,
}

impl FloatFormat {
    const F32: Self = FloatFormat { sign: 1 << 31, exponent: 0xff << 23, quiet: 1 << 22 };
    const F64: Self = FloatFormat { sign: 1 << 63, exponent: 0x7ff << 52, quiet: 1 << 51 };

    /// Only the highest bit of the payload is set.
    fn is_canonical(self, bits: u64) -> bool {
        bits & !self.sign == self.exponent | self.quiet
    }

    /// The highest bit of the payload is set, and others may be.
    fn is_arithmetic(self, bits: u64) -> bool {
        let wanted = self.exponent | self.quiet;
        bits & wanted == wanted
    }

    /// The number in the text format; `number` is its text if it is no NaN.
    fn show(self, bits: u64, number: String) -> String {
        let payload = bits & (self.quiet | (self.quiet - 1));
        if bits & self.exponent != self.exponent || payload == 0 {
            return number;
        }
        let sign = if bits & self.sign == 0 { "" } else { "-" };
        format!("{sign}nan:{payload:#x}")
    }
}

pub(super) fn f32_digits(bits: u32) -> String {
    let number = format!("{:?}", f32::from_bits(bits));
    FloatFormat::F32.show(u64::from(bits), number)
}

pub(super) fn f64_digits(bits: u64) -> String {
    let number = format!("{:?}", f64::from_bits(bits));
    FloatFormat::F64.show(bits, number)
}

fn show_f32(bits: u32) -> String {
    format!("(f32.const {})", f32_digits(bits))
}

fn show_f64(bits: u64) -> String {
    format!("(f64.const {})", f64_digits(bits))
}

/// Results in the text format; vectors with the lanes of what was expected.
pub(super) fn show_all(store: &Store<()>, values: &[Val], expected: &[WastRet<'_>]) -> String {
    join(values.iter().enumerate().map(|(at, value)| match (value, expected.get(at)) {
        (Val::ExternRef(Some(reference)), _) => match host_number(store, reference) {
            Some(number) => format!("(ref.extern {number})"),
            None => "(ref.extern)".to_owned(),
        },
        (Val::V128(bits), Some(WastRet::Core(expected))) => vector::show_like(*bits, expected),
        (other, _) => show(other),
    }))
}

/// A value in the text format; what a reference points to is not told.
pub(super) fn show(value: &Val) -> String {
    match value {
        Val::I32(value) => format!("(i32.const {value})"),
        Val::I64(value) => format!("(i64.const {value})"),
        Val::F32(bits) => show_f32(*bits),
        Val::F64(bits) => show_f64(*bits),
        Val::V128(bits) => vector::show(*bits),
        Val::FuncRef(None) => "(ref.null func)".to_owned(),
        Val::ExternRef(None) => "(ref.null extern)".to_owned(),
        Val::ExnRef(None) => "(ref.null exn)".to_owned(),
        Val::ExnRef(Some(_)) => "(ref.exn)".to_owned(),
        Val::FuncRef(Some(_)) => "(ref.func)".to_owned(),
        Val::ExternRef(Some(_)) => "(ref.extern)".to_owned(),
    }
}

/// What a script expects, much as it has it.
pub(super) fn show_expected(expected: &[WastRet<'_>]) -> String {
    join(expected.iter().map(|expected| match expected {
        WastRet::Core(expected) => show_pattern(expected),
        _ => "a value of components".to_owned(),
    }))
}

fn show_pattern(expected: &WastRetCore<'_>) -> String {
    match expected {
        WastRetCore::I32(value) => show(&Val::I32(*value)),
        WastRetCore::I64(value) => show(&Val::I64(*value)),
        WastRetCore::F32(pattern) => format!("(f32.const {})", f32_pattern(pattern)),
        WastRetCore::F64(pattern) => format!("(f64.const {})", f64_pattern(pattern)),
        WastRetCore::V128(pattern) => vector::show_pattern(pattern),
        WastRetCore::RefNull(heap) => match heap.as_ref().and_then(kind) {
            Some(Kind::Func) => "(ref.null func)".to_owned(),
            Some(Kind::Extern) => "(ref.null extern)".to_owned(),
            Some(Kind::Exn) => "(ref.null exn)".to_owned(),
            None => "(ref.null)".to_owned(),
        },
        WastRetCore::RefExtern(Some(number)) => format!("(ref.extern {number})"),
        WastRetCore::RefExtern(None) => "(ref.extern)".to_owned(),
        WastRetCore::RefHost(number) => format!("(ref.host {number})"),
        WastRetCore::RefFunc(None) => "(ref.func)".to_owned(),
        WastRetCore::Either(cases) => {
            format!("(either {})", join(cases.iter().map(show_pattern)))
        }
        other => format!("{other:?}, which is unsupported"),
    }
}

pub(super) fn f32_pattern(pattern: &NanPattern<F32>) -> String {
    match pattern {
        NanPattern::CanonicalNan => "nan:canonical".to_owned(),
        NanPattern::ArithmeticNan => "nan:arithmetic".to_owned(),
        NanPattern::Value(F32 { bits }) => f32_digits(*bits),
    }
}

pub(super) fn f64_pattern(pattern: &NanPattern<F64>) -> String {
    match pattern {
        NanPattern::CanonicalNan => "nan:canonical".to_owned(),
        NanPattern::ArithmeticNan => "nan:arithmetic".to_owned(),
        NanPattern::Value(F64 { bits }) => f64_digits(*bits),
    }
}

pub(super) fn join(items: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(' ');
        }
        let _ = write!(text, "{item}");
    }
    if text.is_empty() { "no values".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmprof_engine::{Config, Engine};

    fn is(result: Val, expected: WastRetCore<'_>) -> bool {
        let engine = Engine::new(Config::new()).expect("an engine");
        matches(&Store::new(&engine, ()), &result, &expected)
    }

    #[test]
    fn nans_match_by_their_payload() {
        let canonical = || WastRetCore::F32(NanPattern::CanonicalNan);
        let arithmetic = || WastRetCore::F32(NanPattern::ArithmeticNan);
        for (bits, is_canonical, is_arithmetic) in [
            (0x7fc0_0000, true, true),
            (0xffc0_0000, true, true),
            (0x7fc0_0001, false, true),
            (0xffff_ffff, false, true),
            (0x7fa0_0000, false, false),
            (0x7f80_0000, false, false),
            (0x3f80_0000, false, false),
        ] {
            assert_eq!(is(Val::F32(bits), canonical()), is_canonical, "{bits:#x}");
            assert_eq!(is(Val::F32(bits), arithmetic()), is_arithmetic, "{bits:#x}");
        }
        let wide = FloatFormat::F64;
        assert!(wide.is_canonical(0xfff8_0000_0000_0000));
        assert!(!wide.is_canonical(0x7ff8_0000_0000_0001));
        assert!(wide.is_arithmetic(0x7ff8_0000_0000_0001));
        assert!(!wide.is_arithmetic(0x7ff4_0000_0000_0000));
    }

    #[test]
    fn floats_match_by_bits() {
        let wanted = || WastRetCore::F32(NanPattern::Value(F32 { bits: 0 }));
        assert!(is(Val::from(0.0f32), wanted()));
        assert!(!is(Val::from(-0.0f32), wanted()));
        assert!(!is(Val::from(0.0f64), wanted()));
    }

    #[test]
    fn nulls_match_their_type() {
        let null = |ty| WastRetCore::RefNull(Some(HeapType::Abstract { shared: false, ty }));
        assert!(is(Val::FuncRef(None), WastRetCore::RefNull(None)));
        assert!(is(Val::FuncRef(None), null(AbstractHeapType::Func)));
        assert!(!is(Val::FuncRef(None), null(AbstractHeapType::Extern)));
        assert!(!is(Val::FuncRef(None), WastRetCore::RefFunc(None)));
    }

    #[test]
    fn one_of_several_is_enough() {
        let either = |cases| WastRetCore::Either(cases);
        assert!(is(Val::I32(2), either(vec![WastRetCore::I32(1), WastRetCore::I32(2)])));
        assert!(!is(Val::I32(3), either(vec![WastRetCore::I32(1), WastRetCore::I32(2)])));
        assert!(!is(Val::I32(3), either(vec![])));
    }

    #[test]
    fn floats_are_shown_so_that_they_can_be_told_apart() {
        assert_eq!(show(&Val::from(-0.0f32)), "(f32.const -0.0)");
        assert_eq!(show(&Val::F32(0x7fc0_0000)), "(f32.const nan:0x400000)");
        assert_eq!(show(&Val::F64(0xfff0_0000_0000_0001)), "(f64.const -nan:0x1)");
        assert_eq!(show(&Val::from(f64::NEG_INFINITY)), "(f64.const -inf)");
    }
}
