//! `wasmprof wast`: being written.
use crate::cli::WastArgs;
pub(crate) fn run(_: &WastArgs) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not yet")
}
