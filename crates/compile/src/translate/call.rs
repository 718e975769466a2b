//! Calls: of the module's own functions, of imports, and through tables.
//!
//! An import may turn out to be a host function or another instance's compiled
//! function when it is linked; a call of it has a path for each.

use super::Translator;
use crate::function::clif_trap;
use crate::signature::{self, POINTER, value_type};
use crate::stub;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, ExtFuncData, ExternalName, FuncRef, InstBuilder, MemFlagsData, SigRef, UserExternalName,
    Value, types,
};
use wasmparser::Operator;
use wasmprof_image::TrapCode;
use wasmprof_image::abi::{func_ref, function_import, kind};
use wasmprof_module::{FuncIndex, FuncType, TypeIndex};

impl Translator<'_> {
    pub(super) fn call_operator(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::Call { function_index } => {
                let index = FuncIndex(function_index);
                let args = self.call_args(self.env.module.functions[index.index()]);
                if self.env.module.is_imported(index) {
                    self.call_import(index, args);
                } else {
                    let callee = self.function_ref(index);
                    let call = self.ins().call(callee, &args);
                    self.push_results(call);
                }
            }
            Operator::CallIndirect { type_index, table_index } => {
                let ty = TypeIndex(type_index);
                let (signature, code, args) = self.indirect_callee(ty, table_index);
                let call = self.ins().call_indirect(signature, code, &args);
                self.push_results(call);
            }
            Operator::ReturnCall { function_index } => {
                let index = FuncIndex(function_index);
                let args = self.call_args(self.env.module.functions[index.index()]);
                if self.env.module.is_imported(index) {
                    self.return_call_import(index, args);
                } else {
                    let callee = self.function_ref(index);
                    self.ins().return_call(callee, &args);
                }
                self.reachable = false;
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                let ty = TypeIndex(type_index);
                let (signature, code, args) = self.indirect_callee(ty, table_index);
                self.ins().return_call_indirect(signature, code, &args);
                self.reachable = false;
            }
            _ => return false,
        }
        true
    }

    pub(super) fn record_exit(&mut self) {
        let vmctx = self.vmctx;
        stub::record_exit(&mut self.builder, vmctx);
    }

    fn func_type(&self, ty: TypeIndex) -> &FuncType {
        &self.env.module.types[ty.index()]
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

    fn push_results(&mut self, call: ir::Inst) {
        self.stack.extend_from_slice(self.builder.inst_results(call));
    }

    fn function_ref(&mut self, index: FuncIndex) -> FuncRef {
        if let Some(function) = self.functions.get(&index) {
            return *function;
        }
        let signature = self.wasm_signature(self.env.module.functions[index.index()]);
        let name = UserExternalName { namespace: 0, index: index.0 };
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let function = self.builder.import_function(ExtFuncData {
            name,
            signature,
            colocated: true,
            patchable: false,
        });
        self.functions.insert(index, function);
        function
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
    fn call_import(&mut self, index: FuncIndex, mut args: Vec<Value>) {
        let ty = self.env.module.functions[index.index()];
        let results = self.func_type(ty).results().to_vec();
        let [code, environment, is_host] = self.import(index);
        let host = self.builder.create_block();
        let wasm = self.builder.create_block();
        let done = self.builder.create_block();
        for result in &results {
            self.builder.append_block_param(done, value_type(*result));
        }
        self.ins().brif(is_host, host, &[], wasm, &[]);

        self.continue_in(host);
        let values = self.call_host(ty, code, environment, &args[1..]);
        let values = self.block_args(&values);
        self.ins().jump(done, &values);

        self.continue_in(wasm);
        args[0] = environment;
        let signature = self.wasm_signature(ty);
        let call = self.ins().call_indirect(signature, code, &args);
        let values = self.builder.inst_results(call).to_vec();
        let values = self.block_args(&values);
        self.ins().jump(done, &values);

        self.continue_in(done);
        self.stack.extend_from_slice(self.builder.block_params(done));
    }

    /// A tail call of an import. Compiled code replaces the caller's frame; a
    /// host function, which has another convention, is called and returned from.
    fn return_call_import(&mut self, index: FuncIndex, mut args: Vec<Value>) {
        let ty = self.env.module.functions[index.index()];
        let [code, environment, is_host] = self.import(index);
        let host = self.builder.create_block();
        let wasm = self.builder.create_block();
        self.ins().brif(is_host, host, &[], wasm, &[]);

        self.continue_in(host);
        let values = self.call_host(ty, code, environment, &args[1..]);
        self.ins().return_(&values);

        self.continue_in(wasm);
        args[0] = environment;
        let signature = self.wasm_signature(ty);
        self.ins().return_call_indirect(signature, code, &args);
    }

    fn call_host(
        &mut self,
        ty: TypeIndex,
        code: Value,
        environment: Value,
        args: &[Value],
    ) -> Vec<Value> {
        let signature = self.host_signature(ty);
        let callee = [code, environment, self.vmctx];
        let ty = &self.env.module.types[ty.index()];
        stub::call_host(&mut self.builder, ty, signature, callee, args)
    }

    /// Code, environment, and whether it is a host function.
    fn import(&mut self, index: FuncIndex) -> [Value; 3] {
        let import = self.env.layout.function_import(index.0);
        let code = self.load_immutable(POINTER, import + function_import::CODE);
        let environment = self.load_immutable(POINTER, import + function_import::ENVIRONMENT);
        let kind = self.load_immutable(types::I64, import + function_import::KIND);
        let is_host = self.ins().icmp_imm_u(IntCC::Equal, kind, i64::from(kind::HOST));
        [code, environment, is_host]
    }

    /// Signature, code and arguments of a call through a table.
    fn indirect_callee(&mut self, ty: TypeIndex, table: u32) -> (SigRef, Value, Vec<Value>) {
        let index = self.pop();
        let mut args = self.call_args(ty);
        let reference = self.table_get(table, index, TrapCode::UndefinedElement);
        // Null faults here: its first page is never mapped.
        let null = clif_trap(TrapCode::UninitializedElement);
        let flags = MemFlagsData::new().with_aligned().with_readonly().with_trap_code(Some(null));
        let found = self.ins().load(types::I32, flags, reference, func_ref::TYPE_ID as i32);
        let expected = self.load_immutable(types::I32, self.env.layout.type_id(ty.0));
        let other = self.ins().icmp(IntCC::NotEqual, found, expected);
        self.trap_if(other, TrapCode::IndirectCallTypeMismatch);
        let flags = MemFlagsData::trusted().with_readonly();
        let code = self.ins().load(POINTER, flags, reference, func_ref::CODE as i32);
        args[0] = self.ins().load(POINTER, flags, reference, func_ref::VMCTX as i32);
        (self.wasm_signature(ty), code, args)
    }
}
