//! The one set of WebAssembly features that validation and translation share.
//!
//! What validates under it compiles; nothing else decides what is accepted.

use wasmparser::WasmFeatures;

/// WebAssembly 2.0 without SIMD, and these proposals: tail calls, multiple
/// memories, 64-bit memories and tables, custom page sizes, threads, wide
/// arithmetic.
pub const fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
        .union(WasmFeatures::SIGN_EXTENSION)
        .union(WasmFeatures::REFERENCE_TYPES)
        .union(WasmFeatures::MULTI_VALUE)
        .union(WasmFeatures::BULK_MEMORY)
        .union(WasmFeatures::FLOATS)
        .union(WasmFeatures::GC_TYPES)
        .union(WasmFeatures::TAIL_CALL)
        .union(WasmFeatures::MULTI_MEMORY)
        .union(WasmFeatures::MEMORY64)
        .union(WasmFeatures::CUSTOM_PAGE_SIZES)
        .union(WasmFeatures::THREADS)
        .union(WasmFeatures::WIDE_ARITHMETIC)
}
