//! The words of the command line. What they mean is for `commands` to say.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Run WebAssembly, and let profilers see it.
#[derive(Debug, Parser)]
#[command(name = "wasmprof", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  wasmprof run app.wasm                                        just run it
  perf record -g wasmprof run --jit-profile=perfmap app.wasm   then perf report
  vtune -collect hotspots -- wasmprof run --jit-profile app.wasm
  wasmprof wast tests/*.wast                                   run spec scripts";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a module
    Run(RunArgs),
    /// Run scripts of the WebAssembly specification's test suite
    Wast(WastArgs),
    /// Make a picture of a profile
    Report(ReportArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  wasmprof run app.wasm --an-option-of-the-program file.txt
  wasmprof run --dir . --env LANG=C app.wasm
  wasmprof run --dir data::/var/data app.wasm
  wasmprof run --invoke fib math.wat 30
  wasmprof run --preload env=lib.wasm app.wasm
  perf record -g wasmprof run --jit-profile=perfmap app.wasm

Exit codes: the program's own; 134 if it trapped; 1 if it could not be run;
2 if the command line is wrong.";

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Call this exported function instead of the program's start, and print
    /// its results
    #[arg(long, value_name = "FUNCTION")]
    pub(crate) invoke: Option<String>,

    /// Let the program use a directory, under the same or another name
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    pub(crate) dirs: Vec<String>,

    /// Set an environment variable of the program
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) envs: Vec<String>,

    /// Instantiate another module first and offer its exports under a name
    #[arg(long = "preload", value_name = "NAME=FILE")]
    pub(crate) preloads: Vec<String>,

    /// Whether the code or the compiler is to be fast
    #[arg(long, value_enum, default_value = "optimized")]
    pub(crate) strategy: StrategyName,

    /// Tell profilers about the code: a list of agents, or alone, the one
    /// that is wanted here (VTune under its collector, else a perf map)
    #[arg(
        long,
        value_name = "AGENT,...",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto",
        long_help = jit_profile_help()
    )]
    pub(crate) jit_profile: Option<String>,

    /// How much stack the program may use, in bytes, or with a K, M or G
    /// behind
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = size)]
    pub(crate) max_stack: usize,

    /// The module, in the binary or the text format, and arguments for the
    /// program or the function. Options behind the module are the program's
    // One list: only then do words with a hyphen right behind the module
    // belong to the program.
    #[arg(value_names = ["MODULE", "ARGS"], required = true, trailing_var_arg = true, num_args = 1..)]
    module_and_args: Vec<OsString>,
}

impl RunArgs {
    /// The module.
    pub(crate) fn module(&self) -> &Path {
        Path::new(&self.module_and_args[0])
    }

    /// Arguments for the program, or for the function.
    pub(crate) fn args(&self) -> &[OsString] {
        &self.module_and_args[1..]
    }
}

/// How code is made.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StrategyName {
    /// Optimise: the code runs fastest
    Optimized,
    /// Compile in about half the time, to slower code
    Fast,
}

const WAST_EXAMPLES: &str = "\
Examples:
  wasmprof wast i32.wast
  wasmprof wast --strategy fast suite/*.wast

Exit codes: 0 if everything passed, 1 if anything failed.";

#[derive(Debug, Args)]
#[command(after_help = WAST_EXAMPLES)]
pub(crate) struct WastArgs {
    /// Whether the code or the compiler is to be fast
    #[arg(long, value_enum, default_value = "optimized")]
    pub(crate) strategy: StrategyName,

    /// Make code for any x86-64 processor, without the instructions that this
    /// one has beyond them
    #[arg(long)]
    pub(crate) no_native_features: bool,

    /// Check the bounds of each access to a memory, instead of relying on guards
    /// behind the memories
    #[arg(long)]
    pub(crate) check_bounds: bool,

    /// The scripts
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  perf record -g wasmprof run --jit-profile=perfmap app.wasm
  perf script > samples.txt
  wasmprof report --perf-script samples.txt -o flame.svg";

#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArgs {
    /// What `perf script` printed; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) perf_script: PathBuf,

    /// The flame graph to write
    #[arg(short, long, value_name = "FILE.svg")]
    pub(crate) output: PathBuf,

    /// What to write above the picture
    #[arg(long, default_value = "Flame graph")]
    pub(crate) title: String,
}

#[cfg(feature = "profiling")]
fn jit_profile_help() -> String {
    format!(
        "Tell profilers about the code. Takes a list of agents:\n\n{}\n\nWithout a list it means \
         `auto`",
        wasmprof_engine::agents::help().trim_end()
    )
}

#[cfg(not(feature = "profiling"))]
fn jit_profile_help() -> String {
    "Tell profilers about the code. This build cannot: build with the cargo feature `profiling`"
        .to_owned()
}

/// A number of bytes such as `8M`.
fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = match text.to_ascii_uppercase().as_bytes() {
        [.., b'K'] => (&text[..text.len() - 1], 1 << 10),
        [.., b'M'] => (&text[..text.len() - 1], 1 << 20),
        [.., b'G'] => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: usize = number.trim().parse().map_err(|_| "not a number of bytes".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    fn run_args(words: &[&str]) -> RunArgs {
        match Cli::try_parse_from(words).expect("a correct command line").command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bare_jit_profile_leaves_the_module_alone() {
        let args = run_args(&["wasmprof", "run", "--jit-profile", "app.wasm"]);
        assert_eq!(args.jit_profile.as_deref(), Some("auto"));
        assert_eq!(args.module(), "app.wasm");
        let args = run_args(&["wasmprof", "run", "--jit-profile=perfmap,vtune", "app.wasm"]);
        assert_eq!(args.jit_profile.as_deref(), Some("perfmap,vtune"));
    }

    #[test]
    fn what_follows_the_module_belongs_to_the_program() {
        let words = ["wasmprof", "run", "app.wasm", "--dir", "x", "--", "--help"];
        let args = run_args(&words);
        assert_eq!(args.args(), ["--dir", "x", "--", "--help"]);
        assert!(args.dirs.is_empty());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("8M"), Ok(8 << 20));
        assert_eq!(size("512k"), Ok(512 << 10));
        assert_eq!(size("77"), Ok(77));
        assert!(size("many").is_err());
        assert!(size("99999999999G").is_err());
    }
}
