//! What imported functions do, the same in every engine: they note how they
//! were called, and answer with values that depend on all of it.

use crate::guest::{Type, Value};
use crate::random::mix;
use std::fmt;

/// The error of a host function.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host function fails now and then")
    }
}

impl std::error::Error for Failed {}

/// What the imported functions have seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) calls: u64,
    pub(crate) seen: u64,
}

impl Host {
    /// The answer of the imported function `index`.
    pub(crate) fn answer(
        &mut self,
        index: u64,
        arguments: &[Value],
        results: &[Type],
    ) -> Result<Vec<Value>, Failed> {
        self.calls += 1;
        self.seen = mix(self.seen ^ index);
        for argument in arguments {
            self.seen = mix(self.seen.rotate_left(1) ^ argument.bits());
        }
        if self.seen.is_multiple_of(17) {
            return Err(Failed);
        }
        let place = |(at, ty): (usize, &Type)| value(*ty, mix(self.seen ^ at as u64));
        Ok(results.iter().enumerate().map(place).collect())
    }
}

/// Some value of a type: often one at the edge of what is special.
pub(crate) fn value(ty: Type, random: u64) -> Value {
    const EDGES: [u64; 12] = [
        0,
        1,
        u64::MAX,
        1 << 31,
        1 << 63,
        (1 << 31) - 1,
        65_536,
        0x3f80_0000_3f80_0000,
        0x7f80_0000_7f80_0000,
        0x7ff0_0000_0000_0000,
        0x4340_0000_4f00_0000,
        0x43e0_0000_cf00_0000,
    ];
    let bits = match random % 4 {
        0 | 1 => EDGES[(random >> 8) as usize % EDGES.len()],
        2 => random >> 40,
        _ => mix(random),
    };
    match ty {
        Type::I32 => Value::I32(bits as i32),
        Type::I64 => Value::I64(bits as i64),
        // Not a NaN with odd bits: the module is not asked to make it a plain one.
        Type::F32 => Value::F32(f32::from_bits(bits as u32).max(f32::NEG_INFINITY).to_bits()),
        Type::F64 => Value::F64(f64::from_bits(bits).max(f64::NEG_INFINITY).to_bits()),
        Type::Func => Value::Func(bits & 1 != 0),
        Type::Extern => Value::Extern((bits & 1 != 0).then_some(bits as u32)),
        Type::Exn => Value::Exn(false),
        // No lane of any width is a NaN.
        Type::V128 => {
            let lane = |at: u32| {
                let bits = if random & 4 == 0 { bits } else { mix(bits ^ u64::from(at)) };
                let lane = f32::from_bits((bits >> (32 * (at % 2))) as u32);
                u128::from(lane.max(f32::NEG_INFINITY).to_bits()) << (32 * at)
            };
            Value::V128((0..4).map(lane).sum())
        }
    }
}
