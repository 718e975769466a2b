//! The one set of WebAssembly features that validation and translation share.
//!
//! What validates under it compiles; nothing else decides what is accepted.

use wasmparser::WasmFeatures;

/// WebAssembly 3.0 without garbage collection, and what is listed here besides.
pub const fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
        .union(WasmFeatures::SIGN_EXTENSION)
        .union(WasmFeatures::REFERENCE_TYPES)
        .union(WasmFeatures::MULTI_VALUE)
        .union(WasmFeatures::BULK_MEMORY)
        .union(WasmFeatures::FLOATS)
        .union(WasmFeatures::GC_TYPES)
        .union(WasmFeatures::SIMD)
        .union(WasmFeatures::RELAXED_SIMD)
        .union(WasmFeatures::TAIL_CALL)
        .union(WasmFeatures::MULTI_MEMORY)
        .union(WasmFeatures::EXTENDED_CONST)
        .union(WasmFeatures::FUNCTION_REFERENCES)
        .union(WasmFeatures::EXCEPTIONS)
        .union(WasmFeatures::MEMORY64)
        .union(WasmFeatures::CUSTOM_PAGE_SIZES)
        .union(WasmFeatures::THREADS)
        .union(WasmFeatures::WIDE_ARITHMETIC)
}
