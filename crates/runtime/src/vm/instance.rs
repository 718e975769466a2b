//! An instance as compiled code sees it: its vmctx, and what the builtins need.

use super::{
    FuncRef, FunctionImport, LinearMemory, StoreContext, TableStorage, TagData, Value, VmctxHead,
};
use crate::module::Module;
use std::alloc::Layout;
use std::ptr::NonNull;
use wasmprof_image::TrapCode;
use wasmprof_image::abi::{VmctxLayout, memory, table};
use wasmprof_module::{ConstExpr, ConstOp, ElementItem, ElementSegment, FuncIndex};

/// The memory that a vmctx pointer points to.
#[derive(Debug)]
pub(crate) struct Vmctx {
    base: NonNull<u8>,
    layout: Layout,
}

impl Vmctx {
    /// A zeroed vmctx of `size` bytes, head included.
    pub(crate) fn new(size: u32, head: VmctxHead) -> Vmctx {
        let size = (size as usize).max(size_of::<VmctxHead>());
        let layout = Layout::from_size_align(size, 16).expect("a vmctx has less than 2 GiB");
        // SAFETY: the layout has a size that is not zero.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else { std::alloc::handle_alloc_error(layout) };
        let vmctx = Vmctx { base, layout };
        vmctx.write(0, head);
        vmctx
    }

    pub(crate) fn head(&self) -> *mut VmctxHead {
        self.base.as_ptr().cast()
    }

    /// The address of what is at `offset`.
    pub(crate) fn at<T>(&self, offset: u32) -> *mut T {
        assert!(offset as usize + size_of::<T>() <= self.layout.size(), "outside the vmctx");
        // SAFETY: inside the allocation.
        unsafe { self.base.as_ptr().add(offset as usize).cast() }
    }

    pub(crate) fn write<T: Copy>(&self, offset: u32, value: T) {
        // SAFETY: `at` has checked the bounds, and the layout aligns all that
        // is stored here; compiled code does not run while this is called.
        unsafe { self.at::<T>(offset).write(value) }
    }
}

impl Drop for Vmctx {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// An instance. Its address is fixed; the vmctx points back to it.
#[derive(Debug)]
pub(crate) struct InstanceData {
    pub(crate) module: Module,
    pub(crate) vmctx: Vmctx,
    /// Imported ones first; owned by the store.
    pub(crate) memories: Box<[NonNull<LinearMemory>]>,
    /// Imported ones first; owned by the store.
    pub(crate) tables: Box<[NonNull<TableStorage>]>,
    /// Imported ones first; owned by the store.
    pub(crate) tags: Box<[NonNull<TagData>]>,
    dropped_elements: Box<[bool]>,
    dropped_data: Box<[bool]>,
}

impl InstanceData {
    /// An instance whose vmctx has its head, and nothing else yet.
    pub(crate) fn new(
        module: Module,
        store: *mut StoreContext,
        memories: Box<[NonNull<LinearMemory>]>,
        tables: Box<[NonNull<TableStorage>]>,
        tags: Box<[NonNull<TagData>]>,
    ) -> Box<InstanceData> {
        let wasm = module.wasm();
        let dropped_elements = vec![false; wasm.elements.len()].into();
        let dropped_data = vec![false; wasm.data.len()].into();
        let head =
            VmctxHead { store, builtins: super::BUILTINS.as_ptr(), instance: std::ptr::null_mut() };
        let vmctx = Vmctx::new(module.layout().size(), head);
        let mut instance = Box::new(InstanceData {
            module,
            vmctx,
            memories,
            tables,
            tags,
            dropped_elements,
            dropped_data,
        });
        let back = &raw mut *instance;
        instance.vmctx.write(0, VmctxHead { instance: back, ..head });
        instance.write_places();
        instance
    }

    fn layout(&self) -> &VmctxLayout {
        self.module.layout()
    }

    /// Tells compiled code where memories and tables are.
    fn write_places(&self) {
        for (index, pointer) in (0..).zip(&self.memories) {
            // SAFETY: the store keeps its memories.
            let storage = unsafe { pointer.as_ref() };
            let place = self.layout().memory(index);
            self.vmctx.write(place + memory::BASE, storage.base());
            self.vmctx.write(place + memory::LENGTH, storage.length_address());
        }
        for (index, pointer) in (0..).zip(&self.tables) {
            // SAFETY: the store keeps its tables.
            let storage = unsafe { pointer.as_ref() };
            let place = self.layout().table(index);
            self.vmctx.write(place + table::BASE, storage.base());
            self.vmctx.write(place + table::LENGTH, storage.length_address());
        }
        for (index, pointer) in (0..).zip(&self.tags) {
            self.vmctx.write(self.layout().tag(index), pointer.as_ptr());
        }
    }

    pub(crate) fn set_import(&self, index: u32, import: FunctionImport) {
        self.vmctx.write(self.layout().function_import(index), import);
    }

    /// The reference to a function that can be referenced, by its slot.
    pub(crate) fn func_ref(&self, slot: u32) -> NonNull<FuncRef> {
        let at = self.vmctx.at::<FuncRef>(self.layout().func_ref(slot));
        NonNull::new(at).expect("inside an allocation")
    }

    /// The address of the value of a global, imported or not.
    pub(crate) fn global(&self, index: u32) -> *mut Value {
        if index < self.module.wasm().imported_globals {
            // SAFETY: linking has stored the pointer there.
            unsafe { *self.vmctx.at::<*mut Value>(self.layout().global_import(index)) }
        } else {
            self.vmctx.at(self.layout().global(index))
        }
    }

    /// The reference to a function that can be referenced, as bits.
    fn reference_to(&self, index: FuncIndex) -> u64 {
        let slot = self.module.wasm().escape_slot(index);
        self.func_ref(slot.expect("a referenced function has a slot")).as_ptr() as u64
    }

    /// The value of a constant expression.
    pub(crate) fn evaluate(&self, expr: &ConstExpr) -> Value {
        if let ConstExpr::One(op) = expr {
            return self.constant(*op);
        }
        let mut stack: Vec<Value> = Vec::new();
        for op in expr.ops() {
            let mut pop = || stack.pop().expect("validation has checked the operands").word();
            let value = match op {
                ConstOp::I32Add | ConstOp::I32Sub | ConstOp::I32Mul => {
                    let (b, a) = (pop() as u32, pop() as u32);
                    Value::from_word(u64::from(match op {
                        ConstOp::I32Add => a.wrapping_add(b),
                        ConstOp::I32Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    }))
                }
                ConstOp::I64Add | ConstOp::I64Sub | ConstOp::I64Mul => {
                    let (b, a) = (pop(), pop());
                    Value::from_word(match op {
                        ConstOp::I64Add => a.wrapping_add(b),
                        ConstOp::I64Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    })
                }
                _ => self.constant(*op),
            };
            stack.push(value);
        }
        stack.pop().expect("validation has checked the operands")
    }

    /// The value of an operator without operands.
    fn constant(&self, op: ConstOp) -> Value {
        Value::from_word(match op {
            ConstOp::I32(value) => u64::from(value as u32),
            ConstOp::I64(value) => value as u64,
            ConstOp::F32(bits) => u64::from(bits),
            ConstOp::F64(bits) => bits,
            ConstOp::V128(bits) => return Value::from_bits(bits),
            // SAFETY: a global has room for any value, and starts with its bits.
            ConstOp::Global(index) => return unsafe { *self.global(index) },
            ConstOp::RefNull => 0,
            ConstOp::RefFunc(index) => self.reference_to(index),
            other => unreachable!("{other:?} has operands"),
        })
    }

    /// A memory, which other threads may have too if it is shared.
    pub(crate) fn memory(&self, index: u32) -> &LinearMemory {
        // SAFETY: the store keeps its memories.
        unsafe { self.memories[index as usize].as_ref() }
    }

    pub(crate) fn table(&mut self, index: u32) -> &mut TableStorage {
        // SAFETY: the store keeps its tables, and whoever has the instance
        // mutably has the store.
        unsafe { self.tables[index as usize].as_mut() }
    }

    // The bytes of a memory are reached by pointer: there is no reference to
    // them while compiled code runs or a segment is copied. Other threads may
    // use those of a shared memory at the same time. What they and this one see
    // then are bytes of the one and of the other, in any mixture, which is what
    // WebAssembly says; the copying functions read and write each byte in the
    // given range and nothing else, whatever is in it.

    /// `memory.init`, and an active data segment.
    pub(crate) fn memory_init(
        &mut self,
        memory: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let module = self.module.clone();
        let data = &module.wasm().data[segment as usize];
        let bytes =
            if self.dropped_data[segment as usize] { &[] } else { module.wasm().data_bytes(data) };
        let from = range(src, len, bytes.len()).ok_or(TrapCode::MemoryOutOfBounds)?;
        let bytes = &bytes[from];
        let to = self.memory(memory).range(dst, len).ok_or(TrapCode::MemoryOutOfBounds)?;
        // SAFETY: `to` has room for as many, and the bytes of a module are not
        // in a memory. See above for other threads.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    pub(crate) fn memory_fill(
        &mut self,
        memory: u32,
        start: u64,
        value: u8,
        len: u64,
    ) -> Result<(), TrapCode> {
        let to = self.memory(memory).range(start, len).ok_or(TrapCode::MemoryOutOfBounds)?;
        // SAFETY: the range is in bounds. See above for other threads.
        unsafe { std::ptr::write_bytes(to, value, len as usize) };
        Ok(())
    }

    pub(crate) fn memory_copy(
        &mut self,
        [dst_memory, src_memory]: [u32; 2],
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let from = self.memory(src_memory).range(src, len).ok_or(TrapCode::MemoryOutOfBounds)?;
        let to = self.memory(dst_memory).range(dst, len).ok_or(TrapCode::MemoryOutOfBounds)?;
        // SAFETY: both ranges are in bounds; the memories may be the same, and
        // the ranges may overlap. See above for other threads.
        unsafe { std::ptr::copy(from, to, len as usize) };
        Ok(())
    }

    pub(crate) fn data_drop(&mut self, segment: u32) {
        self.dropped_data[segment as usize] = true;
    }

    /// `table.init`, and an active element segment.
    pub(crate) fn table_init(
        &mut self,
        table: u32,
        segment: u32,
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let module = self.module.clone();
        let ElementSegment { items, .. } = &module.wasm().elements[segment as usize];
        let count = if self.dropped_elements[segment as usize] { 0 } else { items.len() };
        let from = range(src, len, count).ok_or(TrapCode::TableOutOfBounds)?;
        let size = self.table(table).elements().len();
        let to = range(dst, len, size).ok_or(TrapCode::TableOutOfBounds)?;
        for (to, from) in to.zip(from) {
            let reference = match items.get(from) {
                ElementItem::Function(index) => self.reference_to(index),
                ElementItem::Expression(expr) => self.evaluate(expr).word(),
            };
            self.table(table).elements_mut()[to] = reference;
        }
        Ok(())
    }

    pub(crate) fn table_fill(
        &mut self,
        table: u32,
        start: u64,
        value: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let elements = self.table(table).elements_mut();
        let to = range(start, len, elements.len()).ok_or(TrapCode::TableOutOfBounds)?;
        elements[to].fill(value);
        Ok(())
    }

    pub(crate) fn table_copy(
        &mut self,
        [dst_table, src_table]: [u32; 2],
        dst: u64,
        src: u64,
        len: u64,
    ) -> Result<(), TrapCode> {
        let source = self.table(src_table).elements();
        let from = range(src, len, source.len()).ok_or(TrapCode::TableOutOfBounds)?;
        let source = source[from].as_ptr();
        let target = self.table(dst_table).elements_mut();
        let to = range(dst, len, target.len()).ok_or(TrapCode::TableOutOfBounds)?;
        // SAFETY: both ranges are in bounds; the tables may be the same, and
        // the ranges may overlap.
        unsafe { std::ptr::copy(source, target[to].as_mut_ptr(), len as usize) };
        Ok(())
    }

    pub(crate) fn elem_drop(&mut self, segment: u32) {
        self.dropped_elements[segment as usize] = true;
    }
}

/// `start..start + len`, if that is within `size`.
fn range(start: u64, len: u64, size: usize) -> Option<std::ops::Range<usize>> {
    let end = start.checked_add(len).filter(|end| *end <= size as u64)?;
    Some(start as usize..end as usize)
}
