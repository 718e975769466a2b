//! `wasmprof report`: a flame graph of what `perf script` printed.

use crate::cli::ReportArgs;
use anyhow::Result;
use std::process::ExitCode;

/// Writes the picture.
#[cfg(feature = "profiling")]
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode> {
    use anyhow::{Context, bail};
    use std::io::Read;

    let mut bytes = Vec::new();
    let read = if args.perf_script.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(&args.perf_script).map(|contents| bytes = contents)
    };
    read.with_context(|| format!("cannot read {}", args.perf_script.display()))?;
    // Symbols may be named by bytes that are not text.
    let text = String::from_utf8_lossy(&bytes);
    let stacks = wasmprof_report::perf_script::collapse(&text);
    if stacks.total() == 0 {
        bail!(
            "{} has no samples: it should be what `perf script` prints",
            args.perf_script.display()
        );
    }
    let svg = wasmprof_report::flamegraph::render(&stacks, &args.title);
    std::fs::write(&args.output, svg)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Says that this build has no reports.
#[cfg(not(feature = "profiling"))]
pub(crate) fn run(_: &ReportArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no reports: build with the cargo feature `profiling`")
}
