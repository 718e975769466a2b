//! One function from CLIF to machine code, with what is known about the bytes.

use crate::Error;
use cranelift_codegen::binemit::{Addend, Reloc};
use cranelift_codegen::ir::{self, ExternalName};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{Context, FinalizedRelocTarget};
use cranelift_control::ControlPlane;
use wasmprof_image::{CodeOffset, LocId, Location, TrapCode};
use wasmprof_module::FuncIndex;

/// The code of one function before it has a place. Offsets count from its start.
pub(crate) struct CompiledFunction {
    pub(crate) code: Box<[u8]>,
    pub(crate) align: u32,
    pub(crate) calls: Box<[Call]>,
    pub(crate) traps: Box<[(CodeOffset, TrapCode)]>,
    pub(crate) locations: Box<[(CodeOffset, Option<Location>)]>,
}

/// A place in the code that refers to another function of the module.
pub(crate) struct Call {
    pub(crate) offset: CodeOffset,
    pub(crate) callee: FuncIndex,
    pub(crate) kind: Reloc,
    pub(crate) addend: Addend,
}

/// Optimises `context.func` and makes code of it. `locations` is what each
/// [`LocId`] in the function stands for; `index` is for the error message.
pub(crate) fn compile(
    isa: &dyn TargetIsa,
    context: &mut Context,
    locations: &[Location],
    index: Option<FuncIndex>,
) -> Result<CompiledFunction, Error> {
    let failed = |message: String| Error::Codegen { function: index, message };
    context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|error| failed(format!("{:?}", error.inner)))?;
    let Some(compiled) = context.take_compiled_code() else {
        return Err(failed("no code was made".to_owned()));
    };
    let buffer = &compiled.buffer;

    let mut calls = Vec::with_capacity(buffer.relocs().len());
    for reloc in buffer.relocs() {
        let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = &reloc.target else {
            return Err(failed(format!(
                "the code refers to {:?}, outside the image",
                reloc.target
            )));
        };
        calls.push(Call {
            offset: CodeOffset(reloc.offset),
            callee: FuncIndex(context.func.params.user_named_funcs()[*name].index),
            kind: reloc.kind,
            addend: reloc.addend,
        });
    }

    let mut traps: Vec<_> =
        buffer.traps().iter().map(|trap| (CodeOffset(trap.offset), trap_code(trap.code))).collect();
    traps.sort_by_key(|(offset, _)| *offset);

    let code = compiled.code_buffer();
    let mut ranges = Vec::new();
    let mut end = 0;
    for range in buffer.get_srclocs_sorted() {
        if range.start > end {
            ranges.push((CodeOffset(end), None));
        }
        let location = (!range.loc.is_default())
            .then(|| locations.get(LocId(range.loc.bits()).0 as usize).copied())
            .flatten();
        ranges.push((CodeOffset(range.start), location));
        end = range.end;
    }
    if (end as usize) < code.len() {
        ranges.push((CodeOffset(end), None));
    }

    Ok(CompiledFunction {
        code: code.into(),
        align: buffer.alignment.max(isa.function_alignment().preferred),
        calls: calls.into(),
        traps: traps.into(),
        locations: ranges.into(),
    })
}

/// The CLIF trap code for one of ours.
pub(crate) const fn clif_trap(code: TrapCode) -> ir::TrapCode {
    ir::TrapCode::unwrap_user(code as u8)
}

/// Our trap code for one in compiled code: ours, or one that Cranelift's
/// instructions bring with them.
fn trap_code(code: ir::TrapCode) -> TrapCode {
    match code {
        ir::TrapCode::STACK_OVERFLOW => TrapCode::StackOverflow,
        ir::TrapCode::INTEGER_OVERFLOW => TrapCode::IntegerOverflow,
        ir::TrapCode::HEAP_OUT_OF_BOUNDS => TrapCode::MemoryOutOfBounds,
        ir::TrapCode::INTEGER_DIVISION_BY_ZERO => TrapCode::IntegerDivideByZero,
        ir::TrapCode::BAD_CONVERSION_TO_INTEGER => TrapCode::InvalidConversionToInteger,
        ours => match TrapCode::from_byte(ours.as_raw().get()) {
            Some(code) => code,
            None => unreachable!("only trap codes of ours are put into code, not {ours}"),
        },
    }
}
