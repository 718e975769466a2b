//! Calls: of the module's own functions, of imports, and through references.
//!
//! An import may turn out to be a host function or another instance's compiled
//! function when it is linked; a call of it has a path for each. Where
//! exceptions are caught, the two paths are in a stub instead, see
//! [`stub`](crate::stub).

use super::Translator;
use crate::callee::Callee;
use crate::function::clif_trap;
use crate::signature::{self, POINTER, value_type};
use crate::stub::{self, Import};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, SigRef, Signature, Value, types,
};
use wasmparser::Operator;
use wasmprof_image::TrapCode;
use wasmprof_image::abi::func_ref;
use wasmprof_module::{FuncIndex, FuncType, HeapType, TypeIndex};

/// What is called, in the convention of compiled code.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Direct(FuncRef),
    Indirect(SigRef, Value),
}

impl Translator<'_> {
    pub(super) fn call_operator(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::Call { function_index } => {
                let index = FuncIndex(function_index);
                let args = self.call_args(self.env.module.functions[index.index()]);
                let results = if !self.env.module.is_imported(index) {
                    let callee = self.callee(Callee::Function(index));
                    self.emit_call(Target::Direct(callee), &args)
                } else if self.catches.is_empty() {
                    self.call_import(index, args)
                } else {
                    let callee = self.callee(Callee::Import(index));
                    self.emit_call(Target::Direct(callee), &args)
                };
                self.stack.extend(results);
            }
            Operator::CallIndirect { type_index, table_index } => {
                let (target, args) = self.table_callee(TypeIndex(type_index), table_index);
                let results = self.emit_call(target, &args);
                self.stack.extend(results);
            }
            Operator::CallRef { type_index } => {
                let (target, args) = self.reference_callee(TypeIndex(type_index));
                let results = self.emit_call(target, &args);
                self.stack.extend(results);
            }
            Operator::ReturnCall { function_index } => {
                let index = FuncIndex(function_index);
                let args = self.call_args(self.env.module.functions[index.index()]);
                if self.env.module.is_imported(index) {
                    self.return_call_import(index, args);
                } else {
                    let callee = self.callee(Callee::Function(index));
                    self.return_call(Target::Direct(callee), &args);
                }
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                let (target, args) = self.table_callee(TypeIndex(type_index), table_index);
                self.return_call(target, &args);
            }
            Operator::ReturnCallRef { type_index } => {
                let (target, args) = self.reference_callee(TypeIndex(type_index));
                self.return_call(target, &args);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn record_exit(&mut self) {
        let vmctx = self.vmctx;
        stub::record_exit(&mut self.builder, vmctx);
    }

    fn func_type(&self, ty: TypeIndex) -> &'static FuncType {
        self.env.module.types[ty.index()].func_type()
    }

    /// The arguments on the stack behind the caller's own vmctx, which is the
    /// callee's too unless it is replaced.
    fn call_args(&mut self, ty: TypeIndex) -> Vec<Value> {
        let count = self.func_type(ty).params().len();
        let mut args = Vec::with_capacity(1 + count);
        args.push(self.vmctx);
        args.extend(self.popn(count));
        args
    }

    /// Calls compiled code, catching what the enclosing blocks catch.
    pub(super) fn emit_call(&mut self, target: Target, args: &[Value]) -> Vec<Value> {
        if !self.catches.is_empty() {
            return self.emit_try_call(target, args);
        }
        let call = match target {
            Target::Direct(callee) => self.ins().call(callee, args),
            Target::Indirect(signature, code) => self.ins().call_indirect(signature, code, args),
        };
        self.builder.inst_results(call).to_vec()
    }

    fn return_call(&mut self, target: Target, args: &[Value]) {
        match target {
            Target::Direct(callee) => self.ins().return_call(callee, args),
            Target::Indirect(signature, code) => {
                self.ins().return_call_indirect(signature, code, args)
            }
        };
        self.reachable = false;
    }

    /// A function or stub of the same image.
    pub(super) fn callee(&mut self, callee: Callee) -> FuncRef {
        if let Some(function) = self.callees.get(&callee) {
            return *function;
        }
        let signature = match callee {
            Callee::Function(index) | Callee::Import(index) => {
                self.wasm_signature(self.env.module.functions[index.index()])
            }
            Callee::Throw => self.import_signature(signature::throw()),
        };
        let name = self.builder.func.declare_imported_user_function(callee.name());
        let function = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.callees.insert(callee, function);
        function
    }

    fn import_signature(&mut self, signature: Signature) -> SigRef {
        self.builder.import_signature(signature)
    }

    fn wasm_signature(&mut self, ty: TypeIndex) -> SigRef {
        if let Some(signature) = self.wasm_signatures.get(&ty) {
            return *signature;
        }
        let signature = signature::wasm(self.func_type(ty));
        let signature = self.builder.import_signature(signature);
        self.wasm_signatures.insert(ty, signature);
        signature
    }

    fn host_signature(&mut self, ty: TypeIndex) -> SigRef {
        if let Some(signature) = self.host_signatures.get(&ty) {
            return *signature;
        }
        let signature = signature::host(self.env.isa, self.func_type(ty));
        let signature = self.builder.import_signature(signature);
        self.host_signatures.insert(ty, signature);
        signature
    }

    /// Calls an import, with `args` as made by `call_args`.
    fn call_import(&mut self, index: FuncIndex, mut args: Vec<Value>) -> Vec<Value> {
        let ty = self.env.module.functions[index.index()];
        let import = self.import(index);
        let is_host = import.is_host(&mut self.builder);
        let host = self.builder.create_block();
        let wasm = self.builder.create_block();
        self.builder.set_cold_block(wasm);
        let done = self.builder.create_block();
        for result in self.func_type(ty).results() {
            self.builder.append_block_param(done, value_type(*result));
        }
        self.ins().brif(is_host, host, &[], wasm, &[]);

        self.continue_in(host);
        let values = self.call_host(ty, import, &args[1..]);
        let values = self.block_args(&values);
        self.ins().jump(done, &values);

        self.continue_in(wasm);
        let [code, environment] = import.callee(&mut self.builder);
        args[0] = environment;
        let signature = self.wasm_signature(ty);
        let values = self.emit_call(Target::Indirect(signature, code), &args);
        let values = self.block_args(&values);
        self.ins().jump(done, &values);

        self.continue_in(done);
        self.builder.block_params(done).to_vec()
    }

    /// A tail call of an import. Compiled code replaces the caller's frame; a
    /// host function, which has another convention, is called and returned from.
    fn return_call_import(&mut self, index: FuncIndex, mut args: Vec<Value>) {
        let ty = self.env.module.functions[index.index()];
        let import = self.import(index);
        let is_host = import.is_host(&mut self.builder);
        let host = self.builder.create_block();
        let wasm = self.builder.create_block();
        self.builder.set_cold_block(wasm);
        self.ins().brif(is_host, host, &[], wasm, &[]);

        self.continue_in(host);
        let values = self.call_host(ty, import, &args[1..]);
        self.ins().return_(&values);

        self.continue_in(wasm);
        let [code, environment] = import.callee(&mut self.builder);
        args[0] = environment;
        let signature = self.wasm_signature(ty);
        self.return_call(Target::Indirect(signature, code), &args);
    }

    fn call_host(&mut self, ty: TypeIndex, import: Import, args: &[Value]) -> Vec<Value> {
        let signature = self.host_signature(ty);
        let [code, environment] = import.callee(&mut self.builder);
        let callee = [code, environment, self.vmctx];
        let ty = self.func_type(ty);
        stub::call_host(&mut self.builder, ty, signature, callee, args)
    }

    fn import(&self, index: FuncIndex) -> Import {
        Import::new(self.vmctx, self.env.layout.function_import(index.0))
    }

    /// What is called through a table, and its arguments. A function of
    /// another type traps, and a null reference where its type would be read.
    fn table_callee(&mut self, ty: TypeIndex, table: u32) -> (Target, Vec<Value>) {
        let index = self.pop();
        let args = self.call_args(ty);
        let reference = self.table_get(table, index, TrapCode::UndefinedElement);
        let id = self.env.module.types[ty.index()];
        let element = self.env.module.tables[table as usize].ty.element;
        // Elements of just this type need no look at their type.
        if element.heap != HeapType::Concrete(id) {
            let null = clif_trap(TrapCode::UninitializedElement);
            let flags =
                MemFlagsData::new().with_aligned().with_readonly().with_trap_code(Some(null));
            let found = self.ins().load(types::I32, flags, reference, func_ref::TYPE_ID as i32);
            let expected = self.load_immutable(types::I32, self.env.layout.type_id(ty.0));
            let other = self.ins().icmp(IntCC::NotEqual, found, expected);
            self.trap_if(other, TrapCode::IndirectCallTypeMismatch);
        }
        self.through(reference, TrapCode::UninitializedElement, ty, args)
    }

    /// What is called through the reference on the stack, and its arguments.
    fn reference_callee(&mut self, ty: TypeIndex) -> (Target, Vec<Value>) {
        let reference = self.pop();
        let args = self.call_args(ty);
        self.through(reference, TrapCode::NullFunctionReference, ty, args)
    }

    /// The function behind a reference; traps with `null` where there is none.
    fn through(
        &mut self,
        reference: Value,
        null: TrapCode,
        ty: TypeIndex,
        mut args: Vec<Value>,
    ) -> (Target, Vec<Value>) {
        // Null faults here: its first page is never mapped.
        let faulting = MemFlagsData::new().with_aligned().with_readonly();
        let faulting = faulting.with_trap_code(Some(clif_trap(null)));
        let code = self.ins().load(POINTER, faulting, reference, func_ref::CODE as i32);
        let flags = MemFlagsData::trusted().with_readonly();
        args[0] = self.ins().load(POINTER, flags, reference, func_ref::VMCTX as i32);
        (Target::Indirect(self.wasm_signature(ty), code), args)
    }
}
