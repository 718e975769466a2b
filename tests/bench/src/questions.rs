//! The questions that the benchmark answers, each with a table. Every measurement is a
//! process of its own; the rounds are interleaved, and the engine that goes first changes
//! with each; what is reported are medians of the ratios within a round.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;

use crate::cases::{Case, fixtures};
use crate::child::{Task, Which};
use crate::passes::Figure;
use crate::process::{Scratch, Usage, run};
use crate::table::{Ratio, Table, mean_cell, median};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Question {
    /// Compile time on one thread, and the peak memory of it.
    Compile,
    /// Run time of what was compiled beforehand.
    Run,
    /// From the start to the end of a process that runs a hello module.
    Startup,
    /// Calls between WebAssembly and the host, exceptions, and making instances.
    Calls,
    /// Distance to native code.
    Native,
}

/// What is the same for all questions.
pub(crate) struct Bench {
    /// How many rounds.
    pub(crate) rounds: usize,
    /// Only what has this in its name.
    pub(crate) filter: String,
    /// Where temporary files go.
    pub(crate) scratch: Scratch,
    /// Prints what goes on to standard error.
    pub(crate) verbose: bool,
    /// Something could not be measured.
    pub(crate) failed: Cell<bool>,
}

/// The figures of a case, one of each engine for each round.
#[derive(Default)]
struct Figures {
    cpu: [Vec<f64>; 2],
    wall: [Vec<f64>; 2],
    peak: [Vec<f64>; 2],
    native: Vec<f64>,
}

/// What starts a process of ours, and of theirs.
type Commands<'a> = [&'a dyn Fn() -> Command; 2];

const BOTH: [Which; 2] = [Which::Ours, Which::Theirs];

impl Bench {
    /// Answers the question.
    pub(crate) fn answer(&self, question: Question, cases: &[Case]) -> anyhow::Result<Vec<Table>> {
        match question {
            Question::Compile => self.compile(cases),
            Question::Run => self.run(cases),
            Question::Startup => self.startup(),
            Question::Calls => self.calls(),
            Question::Native => self.native(cases),
        }
    }

    fn compile(&self, cases: &[Case]) -> anyhow::Result<Vec<Table>> {
        let head = ["module", "wasmprof s", "wasmtime s", "CPU ratio", "min..max", "wall ratio"];
        let mut time = Table::new("Compile time, one thread", head);
        let head = ["module", "wasmprof MB", "wasmtime MB", "ratio", "min..max"];
        let mut memory = Table::new("Peak memory of compiling", head);
        let (mut time_ratios, mut wall_ratios, mut memory_ratios) = (vec![], vec![], vec![]);
        for (index, case) in cases.iter().enumerate() {
            let Some(Figures { cpu, wall, peak, .. }) =
                self.attempt(case, Task::Compile, index, None)
            else {
                continue;
            };
            let cpu_ratio = Ratio::of(&cpu[0], &cpu[1]);
            let wall_ratio = Ratio::of(&wall[0], &wall[1]);
            let peak_ratio = Ratio::of(&peak[0], &peak[1]);
            time_ratios.push(cpu_ratio.middle);
            wall_ratios.push(wall_ratio.middle);
            memory_ratios.push(peak_ratio.middle);
            time.row([
                case.name.clone(),
                format!("{:.4}", median(&cpu[0])),
                format!("{:.4}", median(&cpu[1])),
                cpu_ratio.cell(),
                cpu_ratio.range(),
                wall_ratio.cell(),
            ]);
            memory.row([
                case.name.clone(),
                format!("{:.1}", median(&peak[0])),
                format!("{:.1}", median(&peak[1])),
                peak_ratio.cell(),
                peak_ratio.range(),
            ]);
            self.progress("compile", &case.name, cpu_ratio);
        }
        time.row([
            "geometric mean".to_string(),
            String::new(),
            String::new(),
            mean_cell(&time_ratios),
            String::new(),
            mean_cell(&wall_ratios),
        ]);
        time.note(
            "Seconds are CPU time; ratios are wasmprof over wasmtime, below 1 wasmprof is better.",
        );
        memory.row([
            "geometric mean".to_string(),
            String::new(),
            String::new(),
            mean_cell(&memory_ratios),
            String::new(),
        ]);
        memory.note("The largest resident set of a process that reads and compiles the module, on one thread.");
        Ok(vec![time, memory])
    }

    fn run(&self, cases: &[Case]) -> anyhow::Result<Vec<Table>> {
        let head = ["program", "wasmprof s", "wasmtime s", "CPU ratio", "min..max", "wall ratio"];
        let mut table = Table::new("Run time, compiled beforehand", head);
        let (mut cpu_ratios, mut wall_ratios) = (vec![], vec![]);
        for (index, case) in cases.iter().filter(|case| !case.compile_only).enumerate() {
            let Some(Figures { cpu, wall, .. }) = self.attempt(case, Task::Run, index, None) else {
                continue;
            };
            let cpu_ratio = Ratio::of(&cpu[0], &cpu[1]);
            let wall_ratio = Ratio::of(&wall[0], &wall[1]);
            cpu_ratios.push(cpu_ratio.middle);
            wall_ratios.push(wall_ratio.middle);
            table.row([
                case.name.clone(),
                format!("{:.4}", median(&cpu[0])),
                format!("{:.4}", median(&cpu[1])),
                cpu_ratio.cell(),
                cpu_ratio.range(),
                wall_ratio.cell(),
            ]);
            self.progress("run", &case.name, cpu_ratio);
        }
        table.row([
            "geometric mean".to_string(),
            String::new(),
            String::new(),
            mean_cell(&cpu_ratios),
            String::new(),
            mean_cell(&wall_ratios),
        ]);
        table.note(
            "Seconds are CPU time from bench.start to bench.end where the module calls them, else of \
             _start. Ratios are wasmprof over wasmtime. Both printed the same in every round.",
        );
        Ok(vec![table])
    }

    /// Measures the case in all rounds. A case that fails is reported and left out, so
    /// that the others are measured still.
    #[allow(clippy::print_stderr, reason = "it is a program that reports its failures")]
    fn attempt(
        &self,
        case: &Case,
        task: Task,
        turn: usize,
        native: Option<&Path>,
    ) -> Option<Figures> {
        match self.measure(case, task, turn, native) {
            Ok(figures) => Some(figures),
            Err(error) => {
                eprintln!("wasmprof-bench: {error:#}");
                self.failed.set(true);
                None
            }
        }
    }

    fn measure(
        &self,
        case: &Case,
        task: Task,
        turn: usize,
        native: Option<&Path>,
    ) -> anyhow::Result<Figures> {
        let mut all = Figures::default();
        for round in 0..self.rounds {
            let mut printed = Vec::new();
            if let Some(binary) = native {
                let usage = run(&mut Command::new(binary), &self.scratch)?;
                all.native.push(usage.cpu);
                printed.push(usage);
            }
            for which in order(round + turn) {
                let (figures, usage) = self.child(which, task, case)?;
                all.cpu[which as usize].push(figures[0]);
                all.wall[which as usize].push(figures[1]);
                all.peak[which as usize].push(usage.peak);
                printed.push(usage);
            }
            if task == Task::Run {
                compare(case, &printed)?;
            }
        }
        Ok(all)
    }

    fn startup(&self) -> anyhow::Result<Vec<Table>> {
        let head = ["process", "wasmprof ms", "wasmtime ms", "wall ratio", "min..max", "CPU ratio"];
        let mut table =
            Table::new("Start-up: a process that compiles and runs a hello module", head);
        let hello = fixtures().join("wasm/hello.wasm");
        let here = std::env::current_exe()?;
        let child = |which: Which| {
            let mut command = Command::new(&here);
            command.args(["child", &which.to_string(), "run"]).arg(&hello);
            command
        };
        let mut rows: Vec<(&str, Commands<'_>)> = Vec::new();
        let (ours, theirs) = (|| child(Which::Ours), || child(Which::Theirs));
        rows.push(("embedded in the same binary", [&ours, &theirs]));

        let cli = find_wasmprof();
        let ours_cli = || {
            let mut command = Command::new(cli.as_deref().unwrap_or(Path::new("wasmprof")));
            command.arg("run").arg(&hello);
            command
        };
        let wasmtime = find_wasmtime(&self.scratch);
        let theirs_cli = || {
            let mut command = Command::new(wasmtime.as_deref().unwrap_or(Path::new("wasmtime")));
            // Its cache of compiled modules is off unless configured; say so anyway.
            command.args(["run", "-C", "cache=n"]).arg(&hello);
            command
        };
        match (&cli, &wasmtime) {
            (Some(_), Some(_)) => rows.push(("command line, both", [&ours_cli, &theirs_cli])),
            (Some(_), None) => {
                rows.push(("wasmprof's command line, wasmtime embedded", [&ours_cli, &theirs]))
            }
            (None, _) => {
                table.note("No binary `wasmprof` in target/release, nor named by WASMPROF.")
            }
        }
        if wasmtime.is_none() {
            table.note("No command line of wasmtime 48 in PATH, nor named by WASMTIME.");
        }
        for (name, commands) in rows {
            let mut wall = [vec![], vec![]];
            let mut cpu = [vec![], vec![]];
            // Short and noisy, so there are more rounds of it; the first warms up the files.
            for round in 0..=self.rounds * 5 {
                for which in order(round) {
                    let usage = run(&mut commands[which as usize](), &self.scratch)?;
                    if usage.stdout != b"hello, world\n" || usage.code != 0 {
                        bail!("{name}: {which} failed: {}", String::from_utf8_lossy(&usage.stderr));
                    }
                    if round > 0 {
                        wall[which as usize].push(usage.wall * 1e3);
                        cpu[which as usize].push(usage.cpu * 1e3);
                    }
                }
            }
            let ratio = Ratio::of(&wall[0], &wall[1]);
            table.row([
                name.to_string(),
                format!("{:.2}", median(&wall[0])),
                format!("{:.2}", median(&wall[1])),
                ratio.cell(),
                ratio.range(),
                Ratio::of(&cpu[0], &cpu[1]).cell(),
            ]);
            self.progress("start-up", name, ratio);
        }
        table.note("Wall time from the start of the process to its end, nothing cached.");
        Ok(vec![table])
    }

    fn calls(&self) -> anyhow::Result<Vec<Table>> {
        let head =
            ["what", "wasmprof ns", "min..max", "wasmtime ns", "min..max", "ratio", "min..max"];
        let mut table = Table::new("Calls, exceptions and instances", head);
        let mut rounds: Vec<Vec<Figure>> = Vec::new();
        for round in 0..self.rounds {
            let figures = self.scratch.file("figures");
            let _ = std::fs::remove_file(&figures);
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["child", &order(round)[0].to_string(), "calls", "--figures"]);
            command.arg(&figures).args(["--filter", &self.filter]);
            let usage = run(&mut command, &self.scratch)?;
            let Ok(lines) = std::fs::read_to_string(&figures) else {
                bail!("calls failed: {}", String::from_utf8_lossy(&usage.stderr));
            };
            rounds.push(lines.lines().map(Figure::parse).collect::<Result<_, _>>()?);
        }
        let mut spreads = Vec::new();
        for (row, Figure { name, .. }) in rounds[0].iter().enumerate() {
            let of = |which: usize| -> Vec<f64> {
                rounds.iter().map(|round| round[row].net[which]).collect()
            };
            let (ours, theirs) = (of(0), of(1));
            let ratio = Ratio::of(&ours, &theirs);
            table.row([
                name.clone(),
                format!("{:.2}", median(&ours)),
                range(&ours),
                format!("{:.2}", median(&theirs)),
                range(&theirs),
                ratio.cell(),
                ratio.range(),
            ]);
            spreads.extend(rounds.iter().flat_map(|round| round[row].spread));
            self.progress("calls", name, ratio);
        }
        table.note(
            "CPU nanoseconds a turn, less those of the empty loop around it where there is one. \
             Both engines are in one process and take turns; a figure of a process is the median \
             of its passes, and the table has the medians and ranges of all processes.",
        );
        let largest = spreads.iter().copied().fold(1.0, f64::max);
        table.note(format!(
            "The machine: the slowest pass of a probe took {:.0} % more than the fastest one of \
             the same process (median of all probes; {:.0} % at the worst).",
            (median(&spreads) - 1.0) * 100.0,
            (largest - 1.0) * 100.0,
        ));
        Ok(vec![table])
    }

    fn native(&self, cases: &[Case]) -> anyhow::Result<Vec<Table>> {
        let head = [
            "kernel",
            "native s",
            "wasmprof / native",
            "min..max",
            "wasmtime / native",
            "min..max",
        ];
        let mut table = Table::new("Distance to native code", head);
        let (mut ours_ratios, mut theirs_ratios) = (vec![], vec![]);
        let mut compilers = Vec::new();
        for (index, case) in cases.iter().enumerate() {
            let Some(source) = &case.native else { continue };
            let binary = self.scratch.file(&format!("native-{}", case.name));
            let Some(compiler) = build_native(source, &binary)? else { continue };
            if !compilers.contains(&compiler) {
                compilers.push(compiler);
            }
            let Some(Figures { cpu, native, .. }) =
                self.attempt(case, Task::Run, index, Some(&binary))
            else {
                continue;
            };
            let ours = Ratio::of(&cpu[0], &native);
            let theirs = Ratio::of(&cpu[1], &native);
            ours_ratios.push(ours.middle);
            theirs_ratios.push(theirs.middle);
            table.row([
                case.name.clone(),
                format!("{:.4}", median(&native)),
                ours.cell(),
                ours.range(),
                theirs.cell(),
                theirs.range(),
            ]);
            self.progress("native", &case.name, ours);
        }
        table.row([
            "geometric mean".to_string(),
            String::new(),
            mean_cell(&ours_ratios),
            String::new(),
            mean_cell(&theirs_ratios),
            String::new(),
        ]);
        table.note(format!(
            "CPU seconds; the whole process for native code, compiled with {}; _start for WebAssembly.",
            compilers.join(" and ")
        ));
        Ok(vec![table])
    }

    /// Runs a measuring process, and reads its line of figures.
    fn child(&self, which: Which, task: Task, case: &Case) -> anyhow::Result<(Vec<f64>, Usage)> {
        let figures = self.scratch.file("figures");
        // The figures of the last process must not be taken for those of one that failed.
        let _ = std::fs::remove_file(&figures);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["child", &which.to_string(), &task.to_string(), "--figures"]).arg(&figures);
        command.current_dir(&case.folder);
        for dir in &case.dirs {
            command.args(["--dir", dir]);
        }
        for variable in &case.env {
            command.args(["--env", variable]);
        }
        command.arg(&case.module).args(&case.args);
        let usage = run(&mut command, &self.scratch)?;
        let Ok(line) = std::fs::read_to_string(&figures) else {
            bail!(
                "{}: {task} with {which} failed: {}",
                case.name,
                String::from_utf8_lossy(&usage.stderr)
            );
        };
        let figures = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        Ok((figures, usage))
    }

    #[allow(clippy::print_stderr, reason = "it is a program that reports its progress")]
    fn progress(&self, question: &str, name: &str, ratio: Ratio) {
        if self.verbose {
            eprintln!("{question}: {name}: {} ({})", ratio.cell(), ratio.range());
        }
    }
}

fn range(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    format!("{low:.2}..{:.2}", values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// Who goes first changes with each round.
fn order(round: usize) -> [Which; 2] {
    if round.is_multiple_of(2) { BOTH } else { [BOTH[1], BOTH[0]] }
}

/// All must have printed the same, and what is expected where that is known.
fn compare(case: &Case, runs: &[Usage]) -> anyhow::Result<()> {
    let (first, others) = runs.split_first().context("something was run")?;
    for other in others {
        if first.stdout != other.stdout || first.code != other.code {
            bail!(
                "{}: the outputs differ: {:?} with exit code {}, and {:?} with exit code {}",
                case.name,
                shortened(&first.stdout),
                first.code,
                shortened(&other.stdout),
                other.code
            );
        }
    }
    ensure!(
        first.code == 0,
        "{}: exit code {}: {:?}",
        case.name,
        first.code,
        shortened(&first.stderr)
    );
    for (printed, expected) in [&first.stdout, &first.stderr].into_iter().zip(&case.expected) {
        if let Some(expected) = expected
            && printed != expected
        {
            bail!(
                "{}: {:?} was printed where {:?} is expected",
                case.name,
                shortened(printed),
                shortened(expected)
            );
        }
    }
    Ok(())
}

fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// Builds the source with optimisation; `None` where there is no compiler for it.
fn build_native(source: &Path, binary: &Path) -> anyhow::Result<Option<&'static str>> {
    let rust = source.extension().is_some_and(|extension| extension == "rs");
    let compilers: &[&'static str] = if rust { &["rustc"] } else { &["clang-19", "cc"] };
    for compiler in compilers.iter().copied() {
        let mut command = Command::new(compiler);
        if rust {
            command.args(["--edition", "2024", "-C", "opt-level=2", "-C", "panic=abort", "-o"]);
            command.arg(binary).arg(source);
        } else {
            command.args(["-O2", "-o"]).arg(binary).arg(source).arg("-lm");
        }
        match command.output() {
            Ok(output) if output.status.success() => {
                return Ok(Some(match compiler {
                    "rustc" => "rustc -C opt-level=2",
                    "clang-19" => "clang-19 -O2",
                    _ => "cc -O2",
                }));
            }
            Ok(output) => bail!(
                "{compiler} does not compile {}: {}",
                source.display(),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("cannot start {compiler}")),
        }
    }
    Ok(None)
}

/// The binary `wasmprof`: named by WASMPROF, or beside this one.
fn find_wasmprof() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WASMPROF") {
        return Some(PathBuf::from(path));
    }
    let beside = std::env::current_exe().ok()?.with_file_name("wasmprof");
    beside.exists().then_some(beside)
}

/// The command line of wasmtime, when it is of the version that this is linked to.
fn find_wasmtime(scratch: &Scratch) -> Option<PathBuf> {
    let path =
        std::env::var_os("WASMTIME").map_or_else(|| PathBuf::from("wasmtime"), PathBuf::from);
    let usage = run(Command::new(&path).arg("--version"), scratch).ok()?;
    usage.stdout.starts_with(b"wasmtime 48.").then_some(path)
}
