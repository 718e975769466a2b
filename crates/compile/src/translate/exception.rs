//! Exceptions: throwing, and calls within blocks that catch.
//!
//! In a block that catches, every call lists its handlers, and the runtime
//! finds them by the address that the call returns to: what is not thrown costs
//! nothing. A clause has one block of code that all calls within share; it
//! takes the exception, unpacks it and branches to the label of the clause.

use super::Translator;
use super::call::Target;
use crate::callee::Callee;
use crate::signature::{POINTER, value_type};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, ExceptionTableData, ExceptionTableItem, ExceptionTag, InstBuilder,
    MemFlagsData, Value,
};
use wasmparser::{Catch, Operator, TryTable};
use wasmprof_image::TrapCode;
use wasmprof_image::abi::{self, Builtin};

/// A call lists so many clauses at most: those of blocks farther out are tried
/// by throwing the exception again, from a place that lists them. Otherwise the
/// calls in deeply nested blocks would list more than anybody can compile.
const LISTED: usize = 64;

/// A clause of an enclosing block.
pub(super) struct Clause {
    kind: ClauseKind,
    /// The code of the clause; its parameter is the exception.
    handler: Block,
    /// Whether a call has it among its handlers.
    used: bool,
}

#[derive(Clone, Copy)]
enum ClauseKind {
    Catch(Catch),
    /// Throws what none of the clauses behind it catches, to those before it.
    Rethrow,
}

impl Translator<'_> {
    pub(super) fn exception_operator(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::Throw { tag_index } => {
                let ty = self.env.module.tags[tag_index as usize].func_type();
                let values = self.popn(ty.params().len());
                let tag = self.i32const(tag_index);
                let exception = self.call_builtin_for(Builtin::ExceptionNew, &[tag]);
                for (at, value) in values.into_iter().enumerate() {
                    let flags = MemFlagsData::trusted();
                    self.ins().store(flags, value, exception, value_offset(at));
                }
                self.throw(exception);
            }
            Operator::ThrowRef => {
                let exception = self.pop();
                self.trap_if_null(exception, TrapCode::NullReference);
                self.throw(exception);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn trap_if_null(&mut self, reference: Value, code: TrapCode) {
        let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.trap_if(is_null, code);
    }

    fn throw(&mut self, exception: Value) {
        let callee = self.callee(Callee::Throw);
        let args = [self.vmctx, exception];
        self.emit_call(Target::Direct(callee), &args);
        self.trap(TrapCode::Unreachable);
    }

    /// Enters a block that catches: its clauses come before those of the
    /// blocks around it.
    pub(super) fn start_catching(&mut self, table: &TryTable) {
        for catch in table.catches.iter().rev() {
            let is_rethrow = |clause: &Clause| matches!(clause.kind, ClauseKind::Rethrow);
            let listed = self.catches.iter().rev().position(is_rethrow);
            if listed.unwrap_or(self.catches.len()) >= LISTED {
                self.push_clause(ClauseKind::Rethrow);
            }
            self.push_clause(ClauseKind::Catch(*catch));
        }
    }

    fn push_clause(&mut self, kind: ClauseKind) {
        let handler = self.builder.create_block();
        self.builder.append_block_param(handler, POINTER);
        self.builder.set_cold_block(handler);
        self.catches.push(Clause { kind, handler, used: false });
    }

    /// Ends a block that catches, which has been taken off the control stack:
    /// makes the code of the clauses behind the first `outer`. The operands
    /// above `height` are gone afterwards.
    pub(super) fn finish_catching(&mut self, outer: usize, height: usize) {
        while self.catches.len() > outer {
            let Some(Clause { kind, handler, used }) = self.catches.pop() else { break };
            self.builder.seal_block(handler);
            if !used {
                continue;
            }
            self.builder.switch_to_block(handler);
            self.stack.truncate(height);
            let exception = self.builder.block_params(handler)[0];
            let ClauseKind::Catch(catch) = kind else {
                self.throw(exception);
                continue;
            };
            let label = match catch {
                Catch::One { tag, label } => {
                    self.push_payload(tag, exception);
                    label
                }
                Catch::OneRef { tag, label } => {
                    self.push_payload(tag, exception);
                    self.push(exception);
                    label
                }
                Catch::All { label } => label,
                Catch::AllRef { label } => {
                    self.push(exception);
                    label
                }
            };
            let (target, args) = self.branch(label);
            self.ins().jump(target, &args);
        }
        self.stack.truncate(height);
    }

    fn push_payload(&mut self, tag: u32, exception: Value) {
        let ty = self.env.module.tags[tag as usize].func_type();
        let flags = MemFlagsData::trusted().with_readonly();
        for (at, param) in ty.params().iter().enumerate() {
            let ty = value_type(*param);
            let value = self.ins().load(ty, flags, exception, value_offset(at));
            self.push(value);
        }
    }

    /// Calls compiled code with the clauses of all enclosing blocks.
    pub(super) fn emit_try_call(&mut self, target: Target, args: &[Value]) -> Vec<Value> {
        let signature = match target {
            Target::Direct(callee) => self.builder.func.dfg.ext_funcs[callee].signature,
            Target::Indirect(signature, _) => signature,
        };
        let returned = self.builder.create_block();
        let results = self.builder.func.dfg.signatures[signature].returns.clone();
        for result in &results {
            self.builder.append_block_param(returned, result.value_type);
        }
        // What a tag means depends on the instance: the runtime wants its vmctx.
        let mut items = vec![ExceptionTableItem::Context(self.vmctx)];
        let pool = &mut self.builder.func.dfg.value_lists;
        for clause in self.catches.iter_mut().rev() {
            clause.used = true;
            let handler = BlockCall::new(clause.handler, [BlockArg::TryCallExn(0)], pool);
            match clause.kind {
                ClauseKind::Catch(Catch::One { tag, .. } | Catch::OneRef { tag, .. }) => {
                    items.push(ExceptionTableItem::Tag(
                        ExceptionTag::with_number(tag).expect("tags are fewer than 2^32 - 1"),
                        handler,
                    ));
                }
                ClauseKind::Catch(Catch::All { .. } | Catch::AllRef { .. })
                | ClauseKind::Rethrow => {
                    items.push(ExceptionTableItem::Default(handler));
                    // Nothing gets past this one.
                    break;
                }
            }
        }
        let normal = (0..results.len() as u32).map(BlockArg::TryCallRet);
        let normal = BlockCall::new(returned, normal, pool);
        let table = ExceptionTableData::new(signature, normal, items);
        let table = self.builder.func.dfg.exception_tables.push(table);
        match target {
            Target::Direct(callee) => self.ins().try_call(callee, args, table),
            Target::Indirect(_, code) => self.ins().try_call_indirect(code, args, table),
        };
        self.continue_in(returned);
        self.builder.block_params(returned).to_vec()
    }

    /// Branches by `depth` if the reference on the stack is null, and keeps it
    /// if not.
    pub(super) fn br_on_null(&mut self, depth: u32) {
        let reference = self.pop();
        let (target, args) = self.branch(depth);
        let next = self.builder.create_block();
        let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.ins().brif(is_null, target, &args, next, &[]);
        self.continue_in(next);
        self.push(reference);
    }

    /// Branches by `depth` with the reference on the stack if it is not null.
    pub(super) fn br_on_non_null(&mut self, depth: u32) {
        let reference = self.peek();
        let (target, args) = self.branch(depth);
        let next = self.builder.create_block();
        let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.ins().brif(is_null, next, &[], target, &args);
        self.continue_in(next);
        self.pop();
    }
}

/// Where a value is in an exception.
fn value_offset(at: usize) -> i32 {
    (abi::exception::VALUES + at as u32 * abi::VALUE_SIZE) as i32
}
