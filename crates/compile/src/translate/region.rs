//! Regions of memory that do not overlap, so that a store to one does not
//! spoil what was loaded from another.
//!
//! The regions are few and fixed: globals, tables, the store context, and the
//! memories, of which those behind the first eight share one.

use crate::function::clif_trap;
use cranelift_codegen::ir::{AliasRegionData, Function, MemFlagsData};
use wasmprof_image::TrapCode;

const GLOBALS: u32 = 0;
const TABLES: u32 = 1;
const CONTEXT: u32 = 2;
const LENGTHS: u32 = 3;
const MEMORIES: u32 = 4;
const MEMORIES_APART: u32 = 8;

/// Makes the memory flags of accesses, each with its region.
#[derive(Default)]
pub(super) struct Regions;

impl Regions {
    /// The value of a mutable global.
    pub(super) fn global(&self, func: &mut Function) -> MemFlagsData {
        region(func, MemFlagsData::trusted(), GLOBALS, "globals")
    }

    /// An element of a table; the access traps with `code`.
    pub(super) fn element(&self, func: &mut Function, code: TrapCode) -> MemFlagsData {
        let flags = MemFlagsData::new().with_aligned().with_trap_code(Some(clif_trap(code)));
        region(func, flags, TABLES, "tables")
    }

    /// A field of the store context that changes.
    pub(super) fn context(&self, func: &mut Function) -> MemFlagsData {
        region(func, MemFlagsData::trusted(), CONTEXT, "store context")
    }

    /// The current length of a memory or table.
    pub(super) fn length(&self, func: &mut Function) -> MemFlagsData {
        region(func, MemFlagsData::trusted(), LENGTHS, "lengths")
    }

    /// An access to a linear memory. It traps where it is not mapped, and must
    /// never be marked otherwise: stores that are observed by nothing but a
    /// trap would be removed.
    pub(super) fn memory(&self, func: &mut Function, index: u32) -> MemFlagsData {
        let trap = clif_trap(TrapCode::MemoryOutOfBounds);
        let flags = MemFlagsData::new().with_trap_code(Some(trap));
        region(func, flags, MEMORIES + index.min(MEMORIES_APART), "memory")
    }
}

fn region(func: &mut Function, flags: MemFlagsData, id: u32, name: &'static str) -> MemFlagsData {
    let data = AliasRegionData { user_id: id, description: name.into() };
    let region = func.dfg.alias_regions.insert(data);
    flags.with_alias_region(Some(region))
}
