//! A plugin under a profiler: the host asks for the agent of `perf`, and perf
//! then knows the plugin's functions by their names.
//!
//!     cargo run --release --example profiled_plugin
//!
//! prints where the names are and what to run.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use anyhow::{Context, Result};
use std::path::PathBuf;
use wasmprof_engine::{Config, Engine, Instance, Module, Store, agents};

/// Two functions with different amounts of work.
const PLUGIN: &str = r#"(module $plugin
    ;; Steps of the Collatz sequence from a number to 1.
    (func $collatz_steps (param $n i64) (result i64) (local $steps i64)
        (block $done
            (loop $next
                (br_if $done (i64.le_u (local.get $n) (i64.const 1)))
                (local.set $steps (i64.add (local.get $steps) (i64.const 1)))
                (local.set $n (if (result i64) (i64.eqz (i64.and (local.get $n) (i64.const 1)))
                    (then (i64.shr_u (local.get $n) (i64.const 1)))
                    (else (i64.add (i64.mul (local.get $n) (i64.const 3)) (i64.const 1)))))
                (br $next)))
        (local.get $steps))
    (func $longest_below (export "longest_below") (param $limit i64) (result i64)
        (local $longest i64) (local $steps i64)
        (loop $next
            (local.set $limit (i64.sub (local.get $limit) (i64.const 1)))
            (local.set $steps (call $collatz_steps (local.get $limit)))
            (if (i64.gt_u (local.get $steps) (local.get $longest))
                (then (local.set $longest (local.get $steps))))
            (br_if $next (i64.gt_u (local.get $limit) (i64.const 1))))
        (local.get $longest)))"#;

/// Where the agent of perf leaves the names: where perf looks for them.
pub(crate) fn map_of_names() -> PathBuf {
    PathBuf::from(format!("/tmp/perf-{}.map", std::process::id()))
}

/// Runs the plugin with these agents: `perfmap`, `vtune`, or `auto` for the one
/// that fits.
pub(crate) fn run(names: &str, limit: i64) -> Result<i64> {
    let agents = agents::from_names(names).context("in the choice of profilers")?;
    // An agent that cannot work stops nothing; it says so once.
    let config = Config::new().agents(agents).on_warning(|warning| eprintln!("{warning}"));
    let engine = Engine::new(config)?;
    // From here on nothing is different: each module is told to the agents when it
    // is loaded, before any of it runs.
    let module = Module::new(&engine, PLUGIN)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let longest = instance.get_typed_func::<i64, i64>(&mut store, "longest_below")?;
    Ok(longest.call(&mut store, limit)?)
}

pub(crate) fn main() -> Result<()> {
    let names = std::env::var("JIT_PROFILE").unwrap_or_else(|_| "perfmap".to_owned());
    let steps = run(&names, 3_000_000)?;
    println!("The longest sequence has {steps} steps.");
    let map = map_of_names();
    if map.exists() {
        println!("The names of the plugin's functions are in {}.", map.display());
    }
    println!(
        "To see where the time goes:\n\
         \x20   perf record -g target/release/examples/profiled_plugin\n\
         \x20   perf report\n\
         (with `-e cpu-clock` where the processor's counters are missing), or\n\
         \x20   JIT_PROFILE=vtune vtune -collect hotspots -- target/release/examples/profiled_plugin"
    );
    Ok(())
}
