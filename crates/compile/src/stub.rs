//! The stubs between the calling conventions, three for each type.
//!
//! Entry: the host calls compiled code. It follows the system's convention,
//! `(code, vmctx, store context, values) -> raised`, takes the arguments from
//! the array of values and puts the results there. It stores where errors are
//! to resume: raising one restores the stack and frame pointers and jumps to
//! the handler, which returns 1. Cranelift takes every register for clobbered
//! there, so the stub itself saves those that its caller wants kept.
//!
//! Host adapter: compiled code calls a host function through a reference. It
//! follows the convention of compiled code, and what stands in place of the
//! vmctx is an [`abi::host_function`].
//!
//! Dynamic host function: code of a host function that takes its arguments as
//! an array. It follows the convention of host functions; its environment
//! starts with the address of `(environment, caller's vmctx, values)`, which
//! finds the arguments in the array and leaves the results there.

use crate::Error;
use crate::function::{self, CompiledFunction};
use crate::signature::{self, POINTER, value_type};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, ExceptionTableData, ExceptionTableItem, InstBuilder, MemFlagsData,
    Signature, StackSlotData, StackSlotKind, Type, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use wasmprof_image::abi::{self, host_function, store_context, vmctx};
use wasmprof_module::{FuncType, ValType};

/// The stub by which the host enters functions of type `ty`.
pub(crate) fn entry(isa: &dyn TargetIsa, ty: &FuncType) -> Result<CompiledFunction, Error> {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([AbiParam::new(POINTER); 4]);
    signature.returns.push(AbiParam::new(types::I32));
    build(isa, signature, |builder, params| {
        let [code, vmctx, context, values] = params[..] else { unreachable!("four parameters") };
        let flags = MemFlagsData::trusted();
        let mut args = vec![vmctx];
        for (slot, param) in ty.params().iter().enumerate() {
            let offset = value_offset(slot);
            args.push(builder.ins().load(value_type(*param), flags, values, offset));
        }
        let fp = builder.ins().get_frame_pointer(POINTER);
        builder.ins().store(flags, fp, context, store_context::HANDLER_FP as i32);
        let sp = builder.ins().get_stack_pointer(POINTER);
        builder.ins().store(flags, sp, context, store_context::HANDLER_SP as i32);

        // The address of the handler belongs to the block of the call.
        let calling = builder.create_block();
        let returned = builder.create_block();
        let raised = builder.create_block();
        builder.ins().jump(calling, &[]);
        builder.seal_block(calling);
        builder.switch_to_block(calling);
        let pc = builder.ins().get_exception_handler_address(POINTER, calling, 0);
        builder.ins().store(flags, pc, context, store_context::HANDLER_PC as i32);
        let callee = builder.import_signature(signature::wasm(ty));
        let returns = (0..ty.results().len() as u32).map(BlockArg::TryCallRet);
        let pool = &mut builder.func.dfg.value_lists;
        let normal = ir::BlockCall::new(returned, returns, pool);
        let handler = ExceptionTableItem::Default(ir::BlockCall::new(raised, [], pool));
        let table = ExceptionTableData::new(callee, normal, [handler]);
        let table = builder.func.dfg.exception_tables.push(table);
        builder.ins().try_call_indirect(code, &args, table);
        builder.seal_block(returned);
        builder.seal_block(raised);

        builder.switch_to_block(returned);
        for result in ty.results() {
            builder.append_block_param(returned, value_type(*result));
        }
        for slot in 0..ty.results().len() {
            let result = builder.block_params(returned)[slot];
            builder.ins().store(flags, result, values, value_offset(slot));
        }
        let ok = builder.ins().iconst(types::I32, 0);
        builder.ins().return_(&[ok]);

        builder.switch_to_block(raised);
        let error = builder.ins().iconst(types::I32, 1);
        builder.ins().return_(&[error]);
    })
}

/// The stub by which host functions of type `ty` are reached through references.
pub(crate) fn host_adapter(isa: &dyn TargetIsa, ty: &FuncType) -> Result<CompiledFunction, Error> {
    build(isa, signature::wasm(ty), |builder, params| {
        let (host, args) = (params[0], &params[1..]);
        let flags = MemFlagsData::trusted().with_readonly();
        let code = builder.ins().load(POINTER, flags, host, host_function::CODE as i32);
        let environment =
            builder.ins().load(POINTER, flags, host, host_function::ENVIRONMENT as i32);
        let caller = builder.ins().load(POINTER, flags, host, host_function::CALLER as i32);
        let signature = builder.import_signature(signature::host(isa, ty));
        let results = call_host(builder, ty, signature, [code, environment, caller], args);
        builder.ins().return_(&results);
    })
}

/// The code of host functions of type `ty` that take an array.
pub(crate) fn dynamic_host(isa: &dyn TargetIsa, ty: &FuncType) -> Result<CompiledFunction, Error> {
    build(isa, signature::host(isa, ty), |builder, params| {
        let (environment, caller, args) = (params[0], params[1], &params[2..]);
        let flags = MemFlagsData::trusted();
        let count = ty.params().len().max(ty.results().len()).max(1) as u32;
        let array = StackSlotData::new(StackSlotKind::ExplicitSlot, count * abi::VALUE_SIZE, 4);
        let array = builder.create_sized_stack_slot(array);
        let values = builder.ins().stack_addr(POINTER, array, 0);
        for (at, arg) in args.iter().take(ty.params().len()).enumerate() {
            builder.ins().store(flags, *arg, values, value_offset(at));
        }
        let mut signature = Signature::new(isa.default_call_conv());
        signature.params.extend([AbiParam::new(POINTER); 3]);
        let signature = builder.import_signature(signature);
        let code = builder.ins().load(POINTER, flags.with_readonly(), environment, 0);
        builder.ins().call_indirect(signature, code, &[environment, caller, values]);
        let results = load_results(builder, ty.results(), array);
        match args.get(ty.params().len()) {
            None => {
                builder.ins().return_(&results);
            }
            Some(out) => {
                for (at, result) in results.into_iter().enumerate() {
                    builder.ins().store(flags, result, *out, value_offset(at));
                }
                builder.ins().return_(&[]);
            }
        }
    })
}

/// Calls a host function, `[code, environment, caller's vmctx]`, and returns
/// its results.
pub(crate) fn call_host(
    builder: &mut FunctionBuilder<'_>,
    ty: &FuncType,
    signature: ir::SigRef,
    [code, environment, caller]: [Value; 3],
    args: &[Value],
) -> Vec<Value> {
    record_exit(builder, caller);
    let mut all = vec![environment, caller];
    all.extend(args);
    let slot = (ty.results().len() > 1).then(|| {
        let size = ty.results().len() as u32 * abi::VALUE_SIZE;
        builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 4))
    });
    if let Some(slot) = slot {
        all.push(builder.ins().stack_addr(POINTER, slot, 0));
    }
    let call = builder.ins().call_indirect(signature, code, &all);
    match slot {
        None => builder.inst_results(call).to_vec(),
        Some(slot) => load_results(builder, ty.results(), slot),
    }
}

fn load_results(
    builder: &mut FunctionBuilder<'_>,
    results: &[ValType],
    slot: ir::StackSlot,
) -> Vec<Value> {
    let load = |(at, ty): (usize, &ValType)| -> Value {
        let ty: Type = value_type(*ty);
        builder.ins().stack_load(POINTER, ty, slot, value_offset(at))
    };
    results.iter().enumerate().map(load).collect()
}

/// Stores the frame that leaves for the host, for walks of the stack.
pub(crate) fn record_exit(builder: &mut FunctionBuilder<'_>, vmctx: Value) {
    let context = builder.ins().load(
        POINTER,
        MemFlagsData::trusted().with_readonly().with_can_move(),
        vmctx,
        vmctx::STORE_CONTEXT as i32,
    );
    let fp = builder.ins().get_frame_pointer(POINTER);
    let sp = builder.ins().get_stack_pointer(POINTER);
    let flags = MemFlagsData::trusted();
    builder.ins().store(flags, fp, context, store_context::EXIT_FP as i32);
    builder.ins().store(flags, sp, context, store_context::EXIT_SP as i32);
}

/// Where a value is in an array of values.
fn value_offset(slot: usize) -> i32 {
    slot as i32 * abi::VALUE_SIZE as i32
}

fn build(
    isa: &dyn TargetIsa,
    signature: Signature,
    body: impl FnOnce(&mut FunctionBuilder<'_>, Vec<Value>),
) -> Result<CompiledFunction, Error> {
    let mut context = Context::new();
    context.func.signature = signature;
    let mut frontend = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut frontend);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let params = builder.block_params(block).to_vec();
    body(&mut builder, params);
    builder.finalize(isa.frontend_config());
    function::compile(isa, &mut context, &[], None)
}
