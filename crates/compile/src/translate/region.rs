//! Regions of memory that do not overlap, so that a store to one does not
//! spoil what was loaded from another.
//!
//! The regions are few and fixed: globals, tables, the store context, and the
//! memories. All imported memories share one, for the same memory may be
//! imported twice; so do the module's own memories behind the first eight.

use crate::function::clif_trap;
use cranelift_codegen::ir::{AliasRegionData, Function, MemFlagsData};
use wasmprof_image::TrapCode;

const GLOBALS: u32 = 0;
const TABLES: u32 = 1;
const CONTEXT: u32 = 2;
const LENGTHS: u32 = 3;
const IMPORTED_MEMORIES: u32 = 4;
const MEMORIES: u32 = 5;
const MEMORIES_APART: u32 = 8;

/// The value of a mutable global.
pub(super) fn global(func: &mut Function) -> MemFlagsData {
    region(func, MemFlagsData::trusted(), GLOBALS, "globals")
}

/// An element of a table; the access traps with `code`.
pub(super) fn element(func: &mut Function, code: TrapCode) -> MemFlagsData {
    let flags = MemFlagsData::new().with_aligned().with_trap_code(Some(clif_trap(code)));
    region(func, flags, TABLES, "tables")
}

/// A field of the store context that changes.
pub(super) fn context(func: &mut Function) -> MemFlagsData {
    region(func, MemFlagsData::trusted(), CONTEXT, "store context")
}

/// The current length of a memory or table.
pub(super) fn length(func: &mut Function) -> MemFlagsData {
    region(func, MemFlagsData::trusted(), LENGTHS, "lengths")
}

/// An access to a linear memory. It traps where it is not mapped, and must
/// never be marked otherwise: stores that are observed by nothing but a
/// trap would be removed.
/// `own` is its position among the module's own memories.
pub(super) fn memory(func: &mut Function, own: Option<u32>) -> MemFlagsData {
    let trap = clif_trap(TrapCode::MemoryOutOfBounds);
    let flags = MemFlagsData::new().with_trap_code(Some(trap));
    let id = own.map_or(IMPORTED_MEMORIES, |own| MEMORIES + own.min(MEMORIES_APART));
    region(func, flags, id, "memory")
}

fn region(func: &mut Function, flags: MemFlagsData, id: u32, name: &'static str) -> MemFlagsData {
    let data = AliasRegionData { user_id: id, description: name.into() };
    let region = func.dfg.alias_regions.insert(data);
    flags.with_alias_region(Some(region))
}
