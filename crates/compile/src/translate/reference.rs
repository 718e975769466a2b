//! References and tables.
//!
//! A reference is a pointer-sized integer, and null is zero. Tables are arrays
//! of references; growing and bulk operations are left to the runtime.

use super::{Translator, region};
use crate::signature::POINTER;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use wasmparser::Operator;
use wasmprof_image::TrapCode;
use wasmprof_image::abi::{self, Builtin, POINTER_SIZE};
use wasmprof_module::{FuncIndex, IndexType};

impl Translator<'_> {
    pub(super) fn reference_operator(&mut self, op: &Operator<'_>) -> bool {
        match *op {
            Operator::RefNull { .. } => {
                let null = self.ins().iconst(POINTER, 0);
                self.push(null);
            }
            Operator::RefIsNull => {
                let reference = self.pop();
                let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
                let value = self.ins().uextend(types::I32, is_null);
                self.push(value);
            }
            Operator::RefAsNonNull => {
                let reference = self.peek();
                self.trap_if_null(reference, TrapCode::NullReference);
            }
            Operator::RefFunc { function_index } => {
                let slot = self
                    .env
                    .module
                    .escape_slot(FuncIndex(function_index))
                    .expect("validation wants the function declared");
                let offset = self.env.layout.func_ref(slot);
                let vmctx = self.vmctx;
                let reference = self.ins().iadd_imm_u(vmctx, i64::from(offset));
                self.push(reference);
            }
            Operator::TableGet { table } => {
                let index = self.pop();
                let value = self.table_get(table, index, TrapCode::TableOutOfBounds);
                self.push(value);
            }
            Operator::TableSet { table } => {
                let (index, value) = self.pop2();
                let (flags, element) = self.element(table, index, TrapCode::TableOutOfBounds);
                self.ins().store(flags, value, element, 0);
            }
            Operator::TableSize { table } => {
                let length = self.table_length(table);
                let length = self.index_of(self.table_index_type(table), length);
                self.push(length);
            }
            Operator::TableGrow { table } => {
                let (init, delta) = self.pop2();
                let args = [self.i32const(table), self.extend(delta), init];
                let old = self.call_builtin_for(Builtin::TableGrow, &args);
                let old = self.index_of(self.table_index_type(table), old);
                self.push(old);
            }
            Operator::TableFill { table } => {
                let (start, value, len) = self.pop3();
                let args = [self.i32const(table), self.extend(start), value, self.extend(len)];
                self.call_builtin(Builtin::TableFill, &args);
            }
            Operator::TableCopy { dst_table, src_table } => {
                let (dst, src, len) = self.pop3();
                let tables = [self.i32const(dst_table), self.i32const(src_table)];
                self.bulk(Builtin::TableCopy, tables, [dst, src, len]);
            }
            Operator::TableInit { elem_index, table } => {
                let (dst, src, len) = self.pop3();
                let indices = [self.i32const(table), self.i32const(elem_index)];
                self.bulk(Builtin::TableInit, indices, [dst, src, len]);
            }
            Operator::ElemDrop { elem_index } => {
                let segment = self.i32const(elem_index);
                self.call_builtin(Builtin::ElemDrop, &[segment]);
            }
            _ => return false,
        }
        true
    }

    /// The element of a table; traps with `outside` beyond its end.
    pub(super) fn table_get(&mut self, table: u32, index: Value, outside: TrapCode) -> Value {
        let (flags, element) = self.element(table, index, outside);
        self.ins().load(POINTER, flags, element, 0)
    }

    /// The address of an element and the flags to access it with. Beyond the
    /// end the address is null, where the access faults; it is selected rather
    /// than branched to, so that a mispredicted branch reads nothing.
    fn element(&mut self, table: u32, index: Value, outside: TrapCode) -> (MemFlagsData, Value) {
        let index = self.extend(index);
        let length = self.table_length(table);
        let beyond = self.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, length);
        let base = self.load_immutable(POINTER, self.env.layout.table(table) + abi::table::BASE);
        let offset = self.ins().ishl_imm_u(index, i64::from(POINTER_SIZE.trailing_zeros()));
        let element = self.ins().iadd(base, offset);
        let null = self.ins().iconst(POINTER, 0);
        let element = self.ins().select_spectre_guard(beyond, null, element);
        (region::element(self.builder.func, outside), element)
    }

    fn table_index_type(&self, table: u32) -> IndexType {
        self.env.module.tables[table as usize].ty.index
    }

    /// The current length of a table: a constant if it can never grow.
    fn table_length(&mut self, table: u32) -> Value {
        let ty = &self.env.module.tables[table as usize].ty;
        if ty.maximum == Some(ty.minimum) {
            return self.ins().iconst(types::I64, ty.minimum as i64);
        }
        self.length_at(self.env.layout.table(table) + abi::table::LENGTH)
    }
}
