//! The examples do what they say.

#[path = "../examples/plugin.rs"]
mod plugin;
#[path = "../examples/profiled_plugin.rs"]
mod profiled_plugin;

use plugin::{Host, NoSuchSetting, Plugin, explain};
use std::path::Path;
use wasmprof_engine::{Error, TrapCode};

fn load() -> (Host, Plugin) {
    let host = Host::new().expect("a host");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plugin.wat");
    let plugin = host.load(&path).expect("a plugin");
    (host, plugin)
}

#[test]
fn the_examples_run_to_their_end() {
    plugin::main().expect("the host of plugins");
    profiled_plugin::main().expect("the host of a plugin that is profiled");
}

#[test]
fn a_plugin_transforms_texts() {
    let (_host, mut plugin) = load();
    assert_eq!(plugin.transform("shout", "hello, Plugin").expect("a text"), "HELLO, PLUGIN");
    assert_eq!(plugin.transform("repeat", "ab").expect("a text"), "ababab");
    assert_eq!(plugin.log(), ["hello, Plugin"]);
    // More than a page: its memory grows.
    let long = "x".repeat(100_000);
    assert_eq!(plugin.transform("shout", &long).expect("a text").len(), 100_000);
}

#[test]
fn a_plugin_that_goes_wrong_is_explained() {
    let (_host, mut plugin) = load();
    let error = plugin.transform("ask", "").unwrap_err();
    let ours = error.downcast_ref::<Error>().expect("an error of the engine");
    assert_eq!(ours.downcast_ref(), Some(&NoSuchSetting(99)));
    assert_eq!(explain(&error), "the plugin asked for setting 99, which there is not");

    let error = plugin.transform("stuck", "").unwrap_err();
    assert_eq!(explain(&error), "the plugin took too long");

    let error = plugin.transform("shout", &"x".repeat(1 << 20)).unwrap_err();
    let trap = error.downcast_ref::<Error>().and_then(Error::trap).expect("a trap");
    assert_eq!(trap.code, TrapCode::Unreachable);
    assert!(explain(&error).contains("plugin!alloc"), "{}", explain(&error));

    let error = plugin.transform("sing", "").unwrap_err();
    assert_eq!(explain(&error), "the module exports no function named `sing`");
}

#[test]
fn a_profiled_plugin_leaves_its_names_for_perf() {
    assert_eq!(profiled_plugin::run("perfmap", 1000).expect("a result"), 178);
    let map = std::fs::read_to_string(profiled_plugin::map_of_names()).expect("a map of names");
    for name in ["collatz_steps", "longest_below", "wasmprof entry: [i64] -> [i64]"] {
        assert!(map.lines().any(|line| line.ends_with(name)), "{name} is not in\n{map}");
    }
    std::fs::remove_file(profiled_plugin::map_of_names()).expect("it is there");
    assert_eq!(profiled_plugin::run("none", 1000).expect("a result"), 178);
    let error = profiled_plugin::run("gprof", 1000).unwrap_err();
    assert!(format!("{error:#}").contains("gprof"), "{error:#}");
}
