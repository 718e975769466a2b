//! What VTune's collector is told, by a stand-in for it, each time in a process of its own.

#![cfg(all(feature = "vtune", target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{image, loaded};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmprof_agents::{VTune, from_names, vtune};
use wasmprof_collector::{Event, LIBRARY_VARIABLE, LOG_VARIABLE};
use wasmprof_image::ProfilingAgent;

/// Says which scene the process is to play.
const SCENE_VARIABLE: &str = "WASMPROF_TEST_SCENE";

const FIRST: usize = 0x7f00_0000_0000;
const SECOND: usize = 0x7f00_0010_0000;

/// Played by the other tests, in processes of their own.
#[test]
#[ignore = "a part of the other tests"]
fn scene() {
    let Ok(scene) = std::env::var(SCENE_VARIABLE) else { return };
    let first = image("first.wasm", ["main", "a\tb\n\0c", "", "same", "same"]);
    let second = image("second.wasm", ["main"]);
    match &*scene {
        "two agents" => {
            let (mut one, mut other) = (VTune::new().unwrap(), VTune::new().unwrap());
            one.loaded(loaded(&first, FIRST)).unwrap();
            other.loaded(loaded(&second, SECOND)).unwrap();
            one.unloaded(loaded(&first, FIRST)).unwrap();
            one.unloaded(loaded(&first, FIRST)).unwrap();
            drop(one);
            other.loaded(loaded(&first, FIRST)).unwrap();
        }
        "nothing loaded" => {
            let mut agents = from_names("auto").unwrap();
            assert_eq!(agents.iter().map(|agent| agent.name()).collect::<Vec<_>>(), ["vtune"]);
            agents[0].unloaded(loaded(&first, FIRST)).unwrap();
        }
        "no collector" => {
            assert!(!vtune::collector_is_present());
            let error = VTune::new().unwrap_err().to_string();
            assert!(error.contains("INTEL_JIT_PROFILER64 is not set; run under VTune"), "{error}");
            let agents = from_names("auto").unwrap();
            assert_eq!(agents.iter().map(|agent| agent.name()).collect::<Vec<_>>(), ["perfmap"]);
            let failed = from_names("vtune").unwrap()[0].loaded(loaded(&first, FIRST));
            assert_eq!(failed.unwrap_err().to_string(), error);
        }
        "bad collector" => {
            assert!(vtune::collector_is_present());
            let library = std::env::var(LIBRARY_VARIABLE).unwrap();
            let error = VTune::new().unwrap_err().to_string();
            assert!(error.contains(&library) && error.contains("cannot be loaded"), "{error}");
            let agents = from_names("auto").unwrap();
            let names = agents.iter().map(|agent| agent.name()).collect::<Vec<_>>();
            assert_eq!(names, ["vtune", "perfmap"]);
        }
        other => panic!("there is no scene {other:?}"),
    }
}

/// Plays a scene with this collector, and gives what it was told.
fn play(scene: &str, collector: Option<&Path>) -> Vec<Event> {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{scene}.tsv"));
    let _ = std::fs::remove_file(&log);
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "scene", "--ignored", "--nocapture"])
        .env(SCENE_VARIABLE, scene)
        .env(LOG_VARIABLE, &log)
        .env_remove("INTEL_LIBITTNOTIFY64")
        .env_remove(LIBRARY_VARIABLE)
        .envs(collector.map(|library| (LIBRARY_VARIABLE, library)));
    let output = process.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    if log.exists() { wasmprof_collector::read_log(&log).unwrap() } else { Vec::new() }
}

fn library() -> PathBuf {
    wasmprof_collector::library().unwrap()
}

/// An event without what differs from run to run, the id.
fn outline(event: &Event) -> String {
    match event {
        Event::Load { name, module, address, size, .. } => {
            format!("load {module} {name} {address:x} {size}")
        }
        Event::Unload { .. } => "unload".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn methods_come_and_go() {
    let events = play("two agents", Some(&library()));
    let load_first = [
        "load first.wasm main 7f0000000000 24",
        "load first.wasm a?b??c 7f0000000020 24",
        "load first.wasm <unnamed> 7f0000000040 24",
        "load first.wasm same 7f0000000060 24",
        "load first.wasm same 7f0000000080 24",
    ];
    let mut expected = vec!["Initialize"];
    expected.extend(load_first);
    expected.push("load second.wasm main 7f0000100000 24");
    expected.extend(["unload"; 5]);
    expected.extend(load_first);
    expected.push("Shutdown");
    assert_eq!(events.iter().map(outline).collect::<Vec<_>>(), expected);

    let ids: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Load { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    assert!(ids.iter().all(|id| *id >= 1000), "{ids:?}");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    let unloaded: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Unload { id } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(unloaded, ids[..5]);
}

#[test]
fn a_collector_that_was_told_nothing_is_not_shut_down() {
    assert_eq!(play("nothing loaded", Some(&library())), [Event::Initialize]);
}

#[test]
fn a_missing_collector_is_explained() {
    assert_eq!(play("no collector", None), []);
    assert_eq!(play("no collector", Some(Path::new(""))), []);
}

#[test]
fn a_library_that_is_no_collector_is_explained() {
    assert_eq!(play("bad collector", Some(Path::new("/nonexistent/collector.so"))), []);
    assert_eq!(play("bad collector", Some(Path::new("/dev/null"))), []);
}
