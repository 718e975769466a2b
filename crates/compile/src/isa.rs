//! The target and its settings: what a strategy means to Cranelift.

use crate::{Error, Options};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable, SetError};

/// Whether the code or the compiler is to be fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Optimise: the code runs fastest.
    #[default]
    Optimized,
    /// Compile in about half the time, to code that runs about half as fast.
    Fast,
}

/// The target for this machine.
pub(crate) fn for_host(options: &Options) -> Result<OwnedTargetIsa, Error> {
    let flags = flags(options).map_err(|error| Error::Target(error.to_string()))?;
    cranelift_native::builder_with_options(options.native_features)
        .map_err(|why| Error::Target(why.to_owned()))?
        .finish(flags)
        .map_err(|error| Error::Target(error.to_string()))
}

pub(crate) fn flags(options: &Options) -> Result<settings::Flags, SetError> {
    let mut flags = settings::builder();
    let (opt_level, regalloc) = match options.strategy {
        Strategy::Optimized => ("speed", "backtracking"),
        Strategy::Fast => ("none", "single_pass"),
    };
    flags.set("opt_level", opt_level)?;
    flags.set("regalloc_algorithm", regalloc)?;
    // Traps, samplers and `perf --call-graph fp` walk frames by frame pointer.
    flags.set("preserve_frame_pointers", "true")?;
    flags.set("unwind_info", "true")?;
    // Prologues compare the stack pointer with an explicit limit.
    flags.set("enable_probestack", "false")?;
    flags.set("enable_multi_ret_implicit_sret", "true")?;
    flags.set("enable_verifier", if options.verify { "true" } else { "false" })?;
    let nans = if options.canonicalize_nans { "true" } else { "false" };
    flags.set("enable_nan_canonicalization", nans)?;
    Ok(settings::Flags::new(flags))
}

/// Whether an atomic store is better done by an exchange whose result is not
/// used. Cranelift's store for x86 ends with an `mfence`, which takes four times
/// as long as an `xchg`; all other targets have an instruction for it.
pub(crate) fn stores_by_exchange(isa: &dyn TargetIsa) -> bool {
    isa.name() == "x64"
}

/// Whether rounding a float is an instruction of the target. Where it is not,
/// Cranelift would call a library function by its absolute address, which an
/// image must not contain: the translator calls a builtin instead.
pub(crate) fn rounds_floats(isa: &dyn TargetIsa) -> bool {
    let flags = isa.isa_flags();
    match flags.iter().find(|flag| flag.name == "has_sse41") {
        Some(flag) => flag.as_bool() == Some(true),
        // Not x86: all other targets have the instructions.
        None => true,
    }
}

/// Whether any shuffle of bytes is instructions of the target; as for rounding,
/// a builtin does it where it is not.
pub(crate) fn shuffles_bytes(isa: &dyn TargetIsa) -> bool {
    !is_x86(isa) || isa.has_x86_pshufb_lowering()
}

/// Whether one instruction of the target adds up four products of a signed and
/// an unsigned byte. Without it, the pattern that it has in CLIF is slow code.
pub(crate) fn sums_byte_products(isa: &dyn TargetIsa) -> bool {
    let flags = isa.isa_flags();
    let has = |name| flags.iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
    has("has_avx") && has("has_avx_vnni") || has("has_avx512vl") && has("has_avx512vnni")
}

/// Whether the target has the instructions that CLIF names after x86.
pub(crate) fn is_x86(isa: &dyn TargetIsa) -> bool {
    isa.name() == "x64"
}
