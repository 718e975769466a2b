//! The stubs between the calling conventions: three for each type, and two that
//! an image has for itself where it catches and throws exceptions.
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
//!
//! Import call: calls an import, whatever it is, in the convention of compiled
//! code. A call that catches exceptions must follow that convention, for which
//! Cranelift takes every register for clobbered on the way to a handler; of the
//! system's convention it believes that the callee has restored some.
//!
//! Throw: calls the runtime in the convention of compiled code, for the same
//! reason.

use crate::Error;
use crate::function::{self, CompiledFunction};
use crate::signature::{self, POINTER, value_type};
use cranelift_codegen::Context;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, ExceptionTableData, ExceptionTableItem, InstBuilder, MemFlagsData,
    Signature, StackSlotData, StackSlotKind, Type, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use wasmprof_image::TrapCode;
use wasmprof_image::abi::{
    self, Builtin, VmctxLayout, function_import, host_function, kind, store_context, vmctx,
};
use wasmprof_module::{FuncIndex, FuncType, Module, ValType};

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

/// The stub that calls the import `index`.
pub(crate) fn import_call(
    isa: &dyn TargetIsa,
    module: &Module,
    index: FuncIndex,
) -> Result<CompiledFunction, Error> {
    let ty = module.function_type(index);
    let import = VmctxLayout::new(module).function_import(index.0);
    build(isa, signature::wasm(ty), |builder, mut params| {
        let caller = params[0];
        let import = Import::new(caller, import);
        let is_host = import.is_host(builder);
        let host = builder.create_block();
        let wasm = builder.create_block();
        builder.set_cold_block(wasm);
        builder.ins().brif(is_host, host, &[], wasm, &[]);

        builder.seal_block(host);
        builder.switch_to_block(host);
        let signature = builder.import_signature(signature::host(isa, ty));
        let [code, environment] = import.callee(builder);
        let callee = [code, environment, caller];
        let results = call_host(builder, ty, signature, callee, &params[1..]);
        builder.ins().return_(&results);

        builder.seal_block(wasm);
        builder.switch_to_block(wasm);
        let [code, environment] = import.callee(builder);
        params[0] = environment;
        let signature = builder.import_signature(signature::wasm(ty));
        builder.ins().return_call_indirect(signature, code, &params);
    })
}

/// An imported function, in the vmctx of the function that calls it.
///
/// What is known of it is loaded where it is used and not once before, though
/// it never changes: a load costs less than a register that is taken for long.
#[derive(Clone, Copy)]
pub(crate) struct Import {
    vmctx: Value,
    offset: u32,
}

impl Import {
    /// The import at an offset of a vmctx.
    pub(crate) fn new(vmctx: Value, offset: u32) -> Import {
        Import { vmctx, offset }
    }

    /// Whether it is a host function.
    pub(crate) fn is_host(self, builder: &mut FunctionBuilder<'_>) -> Value {
        let kind = self.load(builder, types::I64, function_import::KIND);
        builder.ins().icmp_imm_u(IntCC::Equal, kind, i64::from(kind::HOST))
    }

    /// The code and the environment.
    pub(crate) fn callee(self, builder: &mut FunctionBuilder<'_>) -> [Value; 2] {
        let environment = self.load(builder, POINTER, function_import::ENVIRONMENT);
        [self.load(builder, POINTER, function_import::CODE), environment]
    }

    fn load(self, builder: &mut FunctionBuilder<'_>, ty: Type, field: u32) -> Value {
        let flags = MemFlagsData::trusted().with_readonly();
        builder.ins().load(ty, flags, self.vmctx, (self.offset + field) as i32)
    }
}

/// The stub that throws, `(vmctx, exception)`.
pub(crate) fn throw(isa: &dyn TargetIsa) -> Result<CompiledFunction, Error> {
    build(isa, signature::throw(), |builder, params| {
        let [vmctx, exception] = params[..] else { unreachable!("two parameters") };
        record_exit(builder, vmctx);
        let signature = builder.import_signature(signature::builtin(isa, Builtin::Throw));
        let code = load_builtin(builder, vmctx, Builtin::Throw);
        builder.ins().call_indirect(signature, code, &[vmctx, exception]);
        // It does not return.
        builder.ins().trap(function::clif_trap(TrapCode::Unreachable));
    })
}

/// The address of a builtin.
pub(crate) fn load_builtin(
    builder: &mut FunctionBuilder<'_>,
    vmctx: Value,
    builtin: Builtin,
) -> Value {
    let flags = MemFlagsData::trusted().with_readonly().with_can_move();
    let array = builder.ins().load(POINTER, flags, vmctx, vmctx::BUILTINS as i32);
    builder.ins().load(POINTER, flags, array, builtin.offset() as i32)
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
