//! Constants, arithmetic, comparisons and conversions.
//!
//! CLIF has nearly all of them with the meaning of WebAssembly, traps included:
//! shift counts wrap, `srem` of the minimum by -1 is 0, `fmin` takes care of
//! NaNs and signs of zero.

use super::Translator;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::Operator;
use wasmprof_image::abi::Builtin;

/// Matches operators against a table of `Names: instruction`, for operators
/// with one operand, one operand and a result type, or two operands.
macro_rules! table {
    ($self:ident, $op:ident;
        unary { $($($unary:ident)|+ : $unary_ins:ident,)* }
        convert { $($($convert:ident)|+ : $convert_ins:ident $convert_ty:ident,)* }
        binary { $($($binary:ident)|+ : $binary_ins:ident,)* }
        compare { $($($compare:ident)|+ : $cond:ident,)* }
        float_compare { $($($float_compare:ident)|+ : $float_cond:ident,)* }
    ) => {
        match *$op {
            $($(Operator::$unary)|+ => $self.unary(|ins, a| ins.$unary_ins(a)),)*
            $($(Operator::$convert)|+ =>
                $self.unary(|ins, a| ins.$convert_ins(types::$convert_ty, a)),)*
            $($(Operator::$binary)|+ => $self.binary(|ins, a, b| ins.$binary_ins(a, b)),)*
            $($(Operator::$compare)|+ =>
                $self.compare(|ins, a, b| ins.icmp(IntCC::$cond, a, b)),)*
            $($(Operator::$float_compare)|+ =>
                $self.compare(|ins, a, b| ins.fcmp(FloatCC::$float_cond, a, b)),)*
            _ => return false,
        }
    };
}

/// An instruction that rounds to an integral float.
pub(super) type RoundIns = fn(FuncInstBuilder<'_, '_>, Value) -> Value;

impl Translator<'_> {
    pub(super) fn numeric_operator(&mut self, op: &Operator<'_>) -> bool {
        self.constant(op)
            || self.rounding(op)
            || self.narrowing(op)
            || self.wide(op)
            || self.regular(op)
    }

    fn constant(&mut self, op: &Operator<'_>) -> bool {
        let value = match *op {
            Operator::I32Const { value } => self.ins().iconst(types::I32, i64::from(value)),
            Operator::I64Const { value } => self.ins().iconst(types::I64, value),
            Operator::F32Const { value } => self.ins().f32const(Ieee32::with_bits(value.bits())),
            Operator::F64Const { value } => self.ins().f64const(Ieee64::with_bits(value.bits())),
            _ => return false,
        };
        self.push(value);
        true
    }

    /// Rounding to an integral float: an instruction, or a builtin.
    fn rounding(&mut self, op: &Operator<'_>) -> bool {
        let (ins, builtin): (RoundIns, Builtin) = match op {
            Operator::F32Ceil => (|ins, a| ins.ceil(a), Builtin::F32Ceil),
            Operator::F32Floor => (|ins, a| ins.floor(a), Builtin::F32Floor),
            Operator::F32Trunc => (|ins, a| ins.trunc(a), Builtin::F32Trunc),
            Operator::F32Nearest => (|ins, a| ins.nearest(a), Builtin::F32Nearest),
            Operator::F64Ceil => (|ins, a| ins.ceil(a), Builtin::F64Ceil),
            Operator::F64Floor => (|ins, a| ins.floor(a), Builtin::F64Floor),
            Operator::F64Trunc => (|ins, a| ins.trunc(a), Builtin::F64Trunc),
            Operator::F64Nearest => (|ins, a| ins.nearest(a), Builtin::F64Nearest),
            _ => return false,
        };
        let operand = self.pop();
        let value = self.round(ins, builtin, operand);
        self.push(value);
        true
    }

    /// A float or a vector of floats rounded by an instruction, or by a builtin
    /// where there is none.
    pub(super) fn round(&mut self, ins: RoundIns, builtin: Builtin, operand: Value) -> Value {
        if self.env.rounds_floats {
            return ins(self.ins(), operand);
        }
        let ty = self.builder.func.dfg.value_type(operand);
        self.call_arithmetic(builtin, ty, &[operand])
    }

    /// Arithmetic of floats of type `ty` that a builtin does.
    pub(super) fn call_arithmetic(&mut self, builtin: Builtin, ty: Type, args: &[Value]) -> Value {
        let value = self.call_builtin_for(builtin, args);
        let value = self.with_type(value, ty);
        // Cranelift makes the NaNs of arithmetic canonical, not those of
        // calls. Adding -0 changes nothing else.
        if self.env.canonicalize_nans { self.add_minus_zero(value) } else { value }
    }

    fn add_minus_zero(&mut self, value: Value) -> Value {
        let ty = self.builder.func.dfg.value_type(value);
        let mut zero = match ty.lane_type() {
            types::F32 => self.ins().f32const(-0.0),
            _ => self.ins().f64const(-0.0),
        };
        if ty.is_vector() {
            zero = self.ins().splat(ty, zero);
        }
        self.ins().fadd(value, zero)
    }

    /// Operators that go through a narrower integer, and tests for zero.
    fn narrowing(&mut self, op: &Operator<'_>) -> bool {
        match op {
            Operator::I32Eqz | Operator::I64Eqz => self.unary_wide(|this, a| {
                let is_zero = this.ins().icmp_imm_u(IntCC::Equal, a, 0);
                this.ins().uextend(types::I32, is_zero)
            }),
            Operator::I32Extend8S => self.sign_extend(types::I8, types::I32),
            Operator::I32Extend16S => self.sign_extend(types::I16, types::I32),
            Operator::I64Extend8S => self.sign_extend(types::I8, types::I64),
            Operator::I64Extend16S => self.sign_extend(types::I16, types::I64),
            Operator::I64Extend32S => self.sign_extend(types::I32, types::I64),
            Operator::I32ReinterpretF32 => self.reinterpret(types::I32),
            Operator::I64ReinterpretF64 => self.reinterpret(types::I64),
            Operator::F32ReinterpretI32 => self.reinterpret(types::F32),
            Operator::F64ReinterpretI64 => self.reinterpret(types::F64),
            _ => return false,
        }
        true
    }

    /// Operators on integers of 128 bits, each in two halves, the lower first.
    fn wide(&mut self, op: &Operator<'_>) -> bool {
        type Binary = fn(FuncInstBuilder<'_, '_>, Value, Value) -> Value;
        type Extend = fn(FuncInstBuilder<'_, '_>, Value) -> Value;
        let sum = |this: &mut Self, ins: Binary| {
            let b = this.pop_wide();
            let a = this.pop_wide();
            ins(this.ins(), a, b)
        };
        let product = |this: &mut Self, extend: Extend| {
            let (a, b) = this.pop2();
            let (a, b) = (extend(this.ins(), a), extend(this.ins(), b));
            this.ins().imul(a, b)
        };
        let value = match op {
            Operator::I64Add128 => sum(self, |ins, a, b| ins.iadd(a, b)),
            Operator::I64Sub128 => sum(self, |ins, a, b| ins.isub(a, b)),
            Operator::I64MulWideS => product(self, |ins, a| ins.sextend(types::I128, a)),
            Operator::I64MulWideU => product(self, |ins, a| ins.uextend(types::I128, a)),
            _ => return false,
        };
        let (low, high) = self.ins().isplit(value);
        self.push(low);
        self.push(high);
        true
    }

    fn pop_wide(&mut self) -> Value {
        let (low, high) = self.pop2();
        self.ins().iconcat(low, high)
    }

    fn regular(&mut self, op: &Operator<'_>) -> bool {
        table! { self, op;
            unary {
                I32Clz | I64Clz: clz,
                I32Ctz | I64Ctz: ctz,
                I32Popcnt | I64Popcnt: popcnt,
                F32Abs | F64Abs: fabs,
                F32Neg | F64Neg: fneg,
                F32Sqrt | F64Sqrt: sqrt,
            }
            convert {
                I32WrapI64: ireduce I32,
                I64ExtendI32S: sextend I64,
                I64ExtendI32U: uextend I64,
                I32TruncF32S | I32TruncF64S: fcvt_to_sint I32,
                I32TruncF32U | I32TruncF64U: fcvt_to_uint I32,
                I64TruncF32S | I64TruncF64S: fcvt_to_sint I64,
                I64TruncF32U | I64TruncF64U: fcvt_to_uint I64,
                I32TruncSatF32S | I32TruncSatF64S: fcvt_to_sint_sat I32,
                I32TruncSatF32U | I32TruncSatF64U: fcvt_to_uint_sat I32,
                I64TruncSatF32S | I64TruncSatF64S: fcvt_to_sint_sat I64,
                I64TruncSatF32U | I64TruncSatF64U: fcvt_to_uint_sat I64,
                F32ConvertI32S | F32ConvertI64S: fcvt_from_sint F32,
                F32ConvertI32U | F32ConvertI64U: fcvt_from_uint F32,
                F64ConvertI32S | F64ConvertI64S: fcvt_from_sint F64,
                F64ConvertI32U | F64ConvertI64U: fcvt_from_uint F64,
                F32DemoteF64: fdemote F32,
                F64PromoteF32: fpromote F64,
            }
            binary {
                I32Add | I64Add: iadd,
                I32Sub | I64Sub: isub,
                I32Mul | I64Mul: imul,
                I32DivS | I64DivS: sdiv,
                I32DivU | I64DivU: udiv,
                I32RemS | I64RemS: srem,
                I32RemU | I64RemU: urem,
                I32And | I64And: band,
                I32Or | I64Or: bor,
                I32Xor | I64Xor: bxor,
                I32Shl | I64Shl: ishl,
                I32ShrS | I64ShrS: sshr,
                I32ShrU | I64ShrU: ushr,
                I32Rotl | I64Rotl: rotl,
                I32Rotr | I64Rotr: rotr,
                F32Add | F64Add: fadd,
                F32Sub | F64Sub: fsub,
                F32Mul | F64Mul: fmul,
                F32Div | F64Div: fdiv,
                F32Min | F64Min: fmin,
                F32Max | F64Max: fmax,
                F32Copysign | F64Copysign: fcopysign,
            }
            compare {
                I32Eq | I64Eq: Equal,
                I32Ne | I64Ne: NotEqual,
                I32LtS | I64LtS: SignedLessThan,
                I32LtU | I64LtU: UnsignedLessThan,
                I32GtS | I64GtS: SignedGreaterThan,
                I32GtU | I64GtU: UnsignedGreaterThan,
                I32LeS | I64LeS: SignedLessThanOrEqual,
                I32LeU | I64LeU: UnsignedLessThanOrEqual,
                I32GeS | I64GeS: SignedGreaterThanOrEqual,
                I32GeU | I64GeU: UnsignedGreaterThanOrEqual,
            }
            float_compare {
                F32Eq | F64Eq: Equal,
                F32Ne | F64Ne: NotEqual,
                F32Lt | F64Lt: LessThan,
                F32Gt | F64Gt: GreaterThan,
                F32Le | F64Le: LessThanOrEqual,
                F32Ge | F64Ge: GreaterThanOrEqual,
            }
        }
        true
    }

    fn unary(&mut self, ins: impl FnOnce(FuncInstBuilder<'_, '_>, Value) -> Value) {
        let operand = self.pop();
        let value = ins(self.ins(), operand);
        self.push(value);
    }

    fn unary_wide(&mut self, build: impl FnOnce(&mut Self, Value) -> Value) {
        let operand = self.pop();
        let value = build(self, operand);
        self.push(value);
    }

    fn binary(&mut self, ins: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let (a, b) = self.pop2();
        let value = ins(self.ins(), a, b);
        self.push(value);
    }

    fn compare(&mut self, ins: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let (a, b) = self.pop2();
        let holds = ins(self.ins(), a, b);
        let value = self.ins().uextend(types::I32, holds);
        self.push(value);
    }

    fn sign_extend(&mut self, narrow: Type, wide: Type) {
        self.unary_wide(|this, a| {
            let low = this.ins().ireduce(narrow, a);
            this.ins().sextend(wide, low)
        });
    }

    fn reinterpret(&mut self, ty: Type) {
        self.unary(|ins, a| ins.bitcast(ty, MemFlagsData::new(), a));
    }
}
