//! From WebAssembly operators to CLIF, one function at a time.
//!
//! [`function`] reads a body once: each operator goes to the validator first,
//! then to the translator, which relies on it being valid; without a validator,
//! somebody else has vouched for the body. Operators are translated by family,
//! each in its own file; this file has what they share: the operand stack, the
//! locals, and the way to what the function needs from its module.
//!
//! Optimising is left to Cranelift, and choosing what is accepted to
//! [`wasmprof_module::features`].

mod atomic;
mod call;
mod control;
mod env;
mod epoch;
mod exception;
mod memory;
mod numeric;
mod reference;
mod region;
mod simd;

pub(crate) use env::ModuleEnv;

use crate::Error;
use crate::callee::Callee;
use crate::function::clif_trap;
use crate::signature::{self, POINTER, VECTOR, value_type};
use crate::stub;
use control::Frame;
use cranelift_codegen::ir::{
    self, Block, BlockArg, Endianness, Function, GlobalValueData, InstBuilder, InstructionData,
    MemFlagsData, Opcode, SourceLoc, Type, Value, ValueDef, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use exception::Clause;
use std::collections::HashMap;
use wasmparser::{FuncValidator, FunctionBody, Operator, OperatorsReader, WasmModuleResources};
use wasmprof_image::abi::{Builtin, store_context, vmctx};
use wasmprof_image::{LocId, Location, TrapCode, WasmOffset};
use wasmprof_module::{FuncIndex, IndexType, TypeIndex};

/// Validates `body`, if there is a validator, and translates it into `func`,
/// appending to `locations` what the source locations in it stand for.
pub(crate) fn function<R: WasmModuleResources>(
    env: &ModuleEnv<'_>,
    index: FuncIndex,
    body: &FunctionBody<'_>,
    mut validator: Option<&mut FuncValidator<R>>,
    func: &mut Function,
    frontend: &mut FunctionBuilderContext,
    locations: &mut Vec<Location>,
) -> Result<(), Error> {
    let ty = env.module.function_type(index);
    func.signature = signature::wasm(ty);
    func.name = ir::UserFuncName::user(0, index.0);
    // The first location would otherwise become the base that all others are
    // relative to, and the one before it would read as "none".
    func.params.ensure_base_srcloc(SourceLoc::new(0));

    let mut reader = body.get_binary_reader();
    let mut translator = Translator::new(env, index, func, frontend, locations);
    translator.locate(reader.original_position());
    translator.enter();

    for _ in 0..reader.read_var_u32()? {
        let offset = reader.original_position();
        let count = reader.read_var_u32()?;
        let ty = reader.read()?;
        if let Some(validator) = &mut validator {
            validator.define_locals(offset, count, ty)?;
        }
        translator.declare_locals(count, value_type(env.module.val_type(ty)));
    }
    let mut operators = OperatorsReader::new(reader);
    while !operators.eof() {
        let (op, offset) = operators.read_with_offset()?;
        if let Some(validator) = &mut validator {
            validator.op(offset, &op)?;
        }
        translator.locate(offset);
        translator.operator(&op);
    }
    operators.finish()?;
    translator.finish();
    Ok(())
}

/// The state of a function under translation.
struct Translator<'a> {
    env: &'a ModuleEnv<'a>,
    index: FuncIndex,
    builder: FunctionBuilder<'a>,
    /// Operands of the code being translated, bottom first. Vectors have the
    /// lanes that they were made with; see [`canonical`](Self::canonical).
    stack: Vec<Value>,
    /// Enclosing blocks, outermost first.
    control: Vec<Frame>,
    /// What enclosing blocks catch, outermost block first, and of each block
    /// its last clause first: what is last catches first.
    catches: Vec<Clause>,
    /// Whether control can reach the current operator. If not, only the
    /// control stack is kept; the validator knows the rest.
    reachable: bool,
    locals: Vec<Variable>,
    vmctx: Value,
    locations: &'a mut Vec<Location>,
    callees: HashMap<Callee, ir::FuncRef>,
    wasm_signatures: HashMap<TypeIndex, ir::SigRef>,
    host_signatures: HashMap<TypeIndex, ir::SigRef>,
    builtin_signatures: HashMap<Builtin, ir::SigRef>,
}

impl<'a> Translator<'a> {
    fn new(
        env: &'a ModuleEnv<'a>,
        index: FuncIndex,
        func: &'a mut Function,
        frontend: &'a mut FunctionBuilderContext,
        locations: &'a mut Vec<Location>,
    ) -> Self {
        let mut builder = FunctionBuilder::new(func, frontend);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let vmctx = builder.block_params(entry)[0];
        Translator {
            env,
            index,
            builder,
            stack: Vec::new(),
            control: Vec::new(),
            catches: Vec::new(),
            reachable: true,
            locals: Vec::new(),
            vmctx,
            locations,
            callees: HashMap::new(),
            wasm_signatures: HashMap::new(),
            host_signatures: HashMap::new(),
            builtin_signatures: HashMap::new(),
        }
    }

    /// Sets up parameters, stack limit and the block of the body.
    fn enter(&mut self) {
        self.set_stack_limit();
        let ty = self.env.module.function_type(self.index);
        let entry = self.builder.current_block().expect("the entry block is current");
        for (i, param) in ty.params().iter().enumerate() {
            let value = self.builder.block_params(entry)[1 + i];
            let local = self.builder.declare_var(value_type(*param));
            self.builder.def_var(local, value);
            self.locals.push(local);
        }
        self.push_body(ty.results());
        self.check_epoch();
    }

    /// Has the prologue compare the stack pointer with the store's limit.
    fn set_stack_limit(&mut self) {
        let pointer_to_context = self.immutable();
        let limit = region::context(self.builder.func);
        let func = &mut *self.builder.func;
        let vmctx = func.create_global_value(GlobalValueData::VMContext);
        let context_flags = func.dfg.mem_flags.insert_unchecked(pointer_to_context);
        let limit_flags = func.dfg.mem_flags.insert_unchecked(limit);
        let context = func.create_global_value(GlobalValueData::Load {
            base: vmctx,
            offset: (vmctx::STORE_CONTEXT as i32).into(),
            global_type: POINTER,
            flags: context_flags,
        });
        let limit = func.create_global_value(GlobalValueData::Load {
            base: context,
            offset: (store_context::STACK_LIMIT as i32).into(),
            global_type: POINTER,
            flags: limit_flags,
        });
        func.stack_limit = Some(limit);
    }

    fn declare_locals(&mut self, count: u32, ty: Type) {
        if count == 0 {
            return;
        }
        let zero = self.zero(ty);
        for _ in 0..count {
            let local = self.builder.declare_var(ty);
            self.builder.def_var(local, zero);
            self.locals.push(local);
        }
    }

    /// Says where what follows comes from.
    fn locate(&mut self, offset: u64) {
        if self.reachable {
            let id = LocId(self.locations.len() as u32);
            self.locations.push(Location { wasm: WasmOffset::at(offset) });
            self.builder.set_srcloc(SourceLoc::new(id.0));
        }
    }

    fn finish(self) {
        debug_assert!(self.control.is_empty() && self.stack.is_empty());
        debug_assert!(self.catches.is_empty());
        self.builder.finalize(self.env.isa.frontend_config());
    }

    fn operator(&mut self, op: &Operator<'_>) {
        let known = if self.reachable {
            self.control_operator(op)
                || self.variable_operator(op)
                || self.numeric_operator(op)
                || self.memory_operator(op)
                || self.atomic_operator(op)
                || self.call_operator(op)
                || self.reference_operator(op)
                || self.exception_operator(op)
                || self.simd_operator(op)
        } else {
            self.unreachable_operator(op);
            true
        };
        // What validates compiles: a feature is turned on for the validator
        // only together with its operators here.
        assert!(known, "{op:?} has validated but is not translated");
    }

    /// Locals, globals, and what only moves values about.
    fn variable_operator(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::LocalGet { local_index } => {
                let value = self.builder.use_var(self.locals[local_index as usize]);
                self.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.local_set(local_index, value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.peek();
                self.local_set(local_index, value);
            }
            Operator::GlobalGet { global_index } => {
                let value = self.global_get(global_index);
                self.push(value);
            }
            Operator::GlobalSet { global_index } => {
                let value = self.pop();
                self.global_set(global_index, value);
            }
            Operator::Drop => {
                self.pop();
            }
            Operator::Select | Operator::TypedSelect { .. } => {
                let condition = self.pop();
                let (a, b) = self.pop2();
                let (a, b) = (self.canonical(a), self.canonical(b));
                let value = self.ins().select(condition, a, b);
                self.push(value);
            }
            Operator::Nop => {}
            _ => return false,
        }
        true
    }

    // The operand stack.

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Value {
        self.stack.pop().expect("validation has checked the operand stack")
    }

    /// The two topmost operands, the lower one first.
    fn pop2(&mut self) -> (Value, Value) {
        let b = self.pop();
        (self.pop(), b)
    }

    /// The three topmost operands, the lowest one first.
    fn pop3(&mut self) -> (Value, Value, Value) {
        let c = self.pop();
        let (a, b) = self.pop2();
        (a, b, c)
    }

    /// The topmost operands, lowest first, as they are passed on.
    fn popn(&mut self, count: usize) -> Vec<Value> {
        let mut values = self.stack.split_off(self.stack.len() - count);
        for value in &mut values {
            *value = self.canonical(*value);
        }
        values
    }

    fn peek(&self) -> Value {
        *self.stack.last().expect("validation has checked the operand stack")
    }

    /// A value as it is passed on: to a block, a local, a function, a store, or
    /// by a select. All vectors have one type there, for what comes next does
    /// not know what lanes they had.
    fn canonical(&mut self, value: Value) -> Value {
        let is_vector = self.builder.func.dfg.value_type(value).is_vector();
        if is_vector { self.with_type(value, VECTOR) } else { value }
    }

    /// The bits of a vector as another type of vectors: the value itself, or
    /// the one that its bits were taken from, or a bitcast.
    fn with_type(&mut self, value: Value, ty: Type) -> Value {
        let dfg = &self.builder.func.dfg;
        if dfg.value_type(value) == ty {
            return value;
        }
        if let ValueDef::Result(inst, _) = dfg.value_def(value)
            && let InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. } =
                dfg.insts[inst]
            && dfg.value_type(arg) == ty
        {
            return arg;
        }
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.ins().bitcast(ty, flags, value)
    }

    /// Values as arguments of a block.
    fn block_args(&mut self, values: &[Value]) -> Vec<BlockArg> {
        values.iter().map(|value| BlockArg::Value(self.canonical(*value))).collect()
    }

    /// The operands from `height` up as arguments of a block. They stay on the
    /// stack, and in this form, for the next target of a branch.
    fn operands_above(&mut self, height: usize) -> Vec<BlockArg> {
        for at in height..self.stack.len() {
            self.stack[at] = self.canonical(self.stack[at]);
        }
        self.stack[height..].iter().copied().map(BlockArg::Value).collect()
    }

    // Building code.

    fn ins(&mut self) -> cranelift_frontend::FuncInstBuilder<'_, 'a> {
        self.builder.ins()
    }

    fn zero(&mut self, ty: Type) -> Value {
        match ty {
            types::F32 => self.ins().f32const(0.0),
            types::F64 => self.ins().f64const(0.0),
            _ if ty.is_vector() => self.vector_const(ty, 0),
            _ => self.ins().iconst(ty, 0),
        }
    }

    /// A constant vector; its first lane is in the low bits.
    fn vector_const(&mut self, ty: Type, value: u128) -> Value {
        env::vector(&mut self.builder, ty, value)
    }

    fn i32const(&mut self, value: u32) -> Value {
        self.ins().iconst(types::I32, i64::from(value as i32))
    }

    /// An index, length or position of WebAssembly, which has 32 or 64 bits, in
    /// 64 bits.
    fn extend(&mut self, value: Value) -> Value {
        match self.builder.func.dfg.value_type(value) {
            types::I64 => value,
            _ => self.ins().uextend(types::I64, value),
        }
    }

    /// A number of 64 bits as an index. The runtime's "failed" becomes -1.
    fn index_of(&mut self, ty: IndexType, value: Value) -> Value {
        match ty {
            IndexType::I32 => self.ins().ireduce(types::I32, value),
            IndexType::I64 => value,
        }
    }

    fn trap(&mut self, code: TrapCode) {
        self.ins().trap(clif_trap(code));
        self.reachable = false;
    }

    fn trap_if(&mut self, condition: Value, code: TrapCode) {
        self.ins().trapnz(condition, clif_trap(code));
    }

    /// Ends the current block; what follows goes to `block`, which no further
    /// branch will reach.
    fn continue_in(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    fn local_set(&mut self, index: u32, value: Value) {
        let value = self.canonical(value);
        self.builder.def_var(self.locals[index as usize], value);
    }

    // What belongs to the instance.

    /// Flags for loads of what never changes while an instance lives.
    fn immutable(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_readonly().with_can_move()
    }

    /// Loads something of the vmctx that never changes while the instance lives.
    fn load_immutable(&mut self, ty: Type, offset: u32) -> Value {
        let (flags, vmctx) = (self.immutable(), self.vmctx);
        self.ins().load(ty, flags, vmctx, offset as i32)
    }

    /// Where a global is, relative to which pointer.
    fn global_place(&mut self, index: u32) -> (Value, i32) {
        let layout = &self.env.layout;
        if index < self.env.module.imported_globals {
            let offset = layout.global_import(index);
            (self.load_immutable(POINTER, offset), 0)
        } else {
            (self.vmctx, layout.global(index) as i32)
        }
    }

    fn global_get(&mut self, index: u32) -> Value {
        let global = &self.env.module.globals[index as usize];
        if let Some(value) = self.env.constant_global(index) {
            return value.build(&mut self.builder);
        }
        let ty = value_type(global.ty.content);
        let (base, offset) = self.global_place(index);
        let flags =
            if global.ty.mutable { region::global(self.builder.func) } else { self.immutable() };
        self.ins().load(ty, flags, base, offset)
    }

    fn global_set(&mut self, index: u32, value: Value) {
        let (base, offset) = self.global_place(index);
        let value = self.canonical(value);
        let flags = region::global(self.builder.func);
        self.ins().store(flags, value, base, offset);
    }

    /// Calls a function of the runtime.
    fn call_builtin(&mut self, builtin: Builtin, args: &[Value]) -> Option<Value> {
        let isa = self.env.isa;
        let (params, _) = builtin.signature();
        let mut all = Vec::with_capacity(params.len());
        if params.len() > args.len() {
            self.record_exit();
            all.push(self.vmctx);
        }
        for arg in args {
            all.push(self.canonical(*arg));
        }
        let builder = &mut self.builder;
        let signature = *self
            .builtin_signatures
            .entry(builtin)
            .or_insert_with(|| builder.import_signature(signature::builtin(isa, builtin)));
        let code = stub::load_builtin(&mut self.builder, self.vmctx, builtin);
        let call = self.ins().call_indirect(signature, code, &all);
        self.builder.inst_results(call).first().copied()
    }

    /// As [`call_builtin`](Self::call_builtin), for one that returns a value.
    fn call_builtin_for(&mut self, builtin: Builtin, args: &[Value]) -> Value {
        self.call_builtin(builtin, args).expect("the builtin returns a value")
    }
}
