//! Where VTune cannot be used: says so, and how it could be.

use super::Method;

/// There is no collector; the error says why.
pub(super) fn start() -> Result<(), String> {
    Err(if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        "this build has no VTune agent; build it with the feature `vtune` of wasmprof-agents".into()
    } else {
        "VTune is supported on Linux on x86-64 only; try another agent".into()
    })
}

/// Never called, as [`start`] fails.
pub(super) fn load(_: &Method<'_>) {}

/// Never called, as [`start`] fails.
pub(super) fn unload(_: &Method<'_>) {}

/// Never called, as [`start`] fails.
pub(super) fn shutdown() {}
