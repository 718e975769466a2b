//! WebAssembly to machine code: translate to CLIF, optimise, emit, link.
//!
//! The whole way of a module is [`Compiler::compile`]. `cranelift-wasm`, which
//! once did the first half of this, ended with Cranelift 0.112; this crate has
//! its own translator.
//!
//! Nothing here maps or runs code, and nothing here knows that profilers exist:
//! the result is a [`CodeImage`].

#![forbid(unsafe_code)]

mod callee;
mod driver;
mod error;
mod function;
mod isa;
mod link;
mod signature;
mod stub;
mod translate;

pub use error::Error;
pub use isa::Strategy;

use cranelift_codegen::isa::OwnedTargetIsa;
use std::sync::Arc;
use wasmprof_image::CodeImage;
use wasmprof_module::{FuncType, Parsed};

/// How to compile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Options {
    /// Whether the code or the compiler is to be fast.
    pub strategy: Strategy,
    /// Give every NaN that arithmetic makes the same bits.
    pub canonicalize_nans: bool,
    /// Have relaxed operators give the same results on every processor.
    pub relaxed_simd_deterministic: bool,
    /// Whether memories with pages of 64 KiB are followed by inaccessible
    /// address space, as [`Bounds`](wasmprof_image::abi::Bounds) says. If not,
    /// accesses are checked one by one.
    pub guarded_memories: bool,
    /// Look at each function entry and loop head whether the store's deadline
    /// is reached.
    pub epoch_interruption: bool,
    /// Use what the processor of this machine has beyond the base architecture.
    pub native_features: bool,
    /// Check the intermediate code for mistakes of the translator.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            strategy: Strategy::Optimized,
            canonicalize_nans: false,
            relaxed_simd_deterministic: false,
            guarded_memories: true,
            epoch_interruption: false,
            native_features: true,
            verify: cfg!(debug_assertions),
        }
    }
}

/// A compiler for one set of options, usable from many threads at once.
pub struct Compiler {
    options: Options,
    isa: OwnedTargetIsa,
}

impl Compiler {
    /// A compiler for this machine.
    ///
    /// # Errors
    ///
    /// If Cranelift has no back end for this machine's processor.
    pub fn new(options: Options) -> Result<Compiler, Error> {
        let isa = isa::for_host(&options)?;
        Ok(Compiler { options, isa })
    }

    /// Compiles a module, on the threads of the current rayon pool, and names
    /// the image. The bodies are validated on the way. The result does not
    /// depend on the number of threads.
    ///
    /// # Errors
    ///
    /// If a function body is invalid, or exceeds a limit of the code generator.
    pub fn compile(&self, parsed: Parsed, name: &str) -> Result<CodeImage, Error> {
        let Parsed { module, bodies } = parsed;
        let module = Arc::new(module);
        let functions = driver::compile(self, &module, bodies)?;
        let stubs = driver::stubs(self, &module, &functions)?;
        link::module_image(&*self.isa, module, functions, stubs, name)
    }

    /// Compiles the stubs for functions of type `ty`: the one by which the host
    /// enters them, the one by which host functions are reached through
    /// references, and the code of host functions that take an array. Three
    /// symbols, in this order.
    ///
    /// # Errors
    ///
    /// If the type exceeds a limit of the code generator.
    pub fn compile_stubs(&self, ty: &FuncType) -> Result<CodeImage, Error> {
        let stub = |name, code| link::Stub { name: format!("wasmprof {name}: {ty}"), code };
        let stubs = [
            stub("entry", stub::entry(&*self.isa, ty)?),
            stub("host call", stub::host_adapter(&*self.isa, ty)?),
            stub("host array", stub::dynamic_host(&*self.isa, ty)?),
        ];
        link::stub_image(&*self.isa, format!("stubs for {ty}"), stubs)
    }

    /// The intermediate code of one function of a module, as text.
    ///
    /// # Errors
    ///
    /// As [`compile`](Compiler::compile).
    pub fn clif(&self, parsed: Parsed, index: wasmprof_module::FuncIndex) -> Result<String, Error> {
        driver::clif(self, parsed, index)
    }
}
