//! One function from CLIF to machine code, with what is known about the bytes.

use crate::Error;
use crate::callee::Callee;
use cranelift_codegen::binemit::{Addend, Reloc};
use cranelift_codegen::ir::{self, ExternalName};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{
    Context, ExceptionContextLoc, FinalizedMachCallSite, FinalizedMachExceptionHandler,
    FinalizedRelocTarget,
};
use cranelift_control::ControlPlane;
use wasmprof_image::{Catch, CodeOffset, LocId, Location, TrapCode};
use wasmprof_module::FuncIndex;

/// The code of one function before it has a place. Offsets count from its start.
pub(crate) struct CompiledFunction {
    pub(crate) code: Box<[u8]>,
    pub(crate) align: u32,
    pub(crate) calls: Box<[Call]>,
    pub(crate) traps: Box<[(CodeOffset, TrapCode)]>,
    pub(crate) handlers: Box<[Handlers]>,
    pub(crate) locations: Box<[(CodeOffset, Option<Location>)]>,
}

/// A call that catches exceptions.
pub(crate) struct Handlers {
    pub(crate) returns_to: CodeOffset,
    pub(crate) frame_size: u32,
    pub(crate) catches: Box<[Catch]>,
}

/// A place in the code that refers to another function of the image.
pub(crate) struct Call {
    pub(crate) offset: CodeOffset,
    pub(crate) callee: Callee,
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
            callee: Callee::named(&context.func.params.user_named_funcs()[*name]),
            kind: reloc.kind,
            addend: reloc.addend,
        });
    }

    let mut traps: Vec<_> =
        buffer.traps().iter().map(|trap| (CodeOffset(trap.offset), trap_code(trap.code))).collect();
    traps.sort_by_key(|(offset, _)| *offset);

    // The entry stub says itself where it goes on, and catches no exceptions.
    let sites = buffer.call_sites().filter(|_| index.is_some());
    let handling = sites.filter(|site| !site.exception_handlers.is_empty());
    let mut handlers = handling.map(handlers).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    handlers.sort_by_key(|call| call.returns_to);

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
        handlers: handlers.into(),
        locations: ranges.into(),
    })
}

/// What a call with handlers catches.
fn handlers(call: FinalizedMachCallSite<'_>) -> Result<Handlers, String> {
    let mut vmctx = 0;
    let mut catches = Vec::with_capacity(call.exception_handlers.len());
    for item in call.exception_handlers {
        match item {
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::SPOffset(at)) => {
                vmctx = *at;
            }
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::GPR(_)) => {
                // No register is preserved by a call with handlers.
                return Err("a call with handlers keeps its vmctx in a register".to_owned());
            }
            FinalizedMachExceptionHandler::Tag(tag, handler) => {
                catches.push(Catch {
                    tag: Some(tag.as_u32()),
                    vmctx,
                    handler: CodeOffset(*handler),
                });
            }
            FinalizedMachExceptionHandler::Default(handler) => {
                catches.push(Catch { tag: None, vmctx, handler: CodeOffset(*handler) });
            }
        }
    }
    let frame_size = call.frame_offset.ok_or("a call with handlers has a frame of unknown size")?;
    let returns_to = CodeOffset(call.ret_addr);
    Ok(Handlers { returns_to, frame_size, catches: catches.into() })
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
