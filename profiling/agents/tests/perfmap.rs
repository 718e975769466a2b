//! The perf map, read back as `perf` reads it, and what may be in its place.

mod common;

use common::{image, loaded};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use wasmprof_agents::PerfMap;
use wasmprof_image::{AgentError, ProfilingAgent};

/// A new, empty directory, and the path of the map in it.
fn directory(test: &str) -> (PathBuf, PathBuf) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("perfmap").join(test);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let map = directory.join(format!("perf-{}.map", std::process::id()));
    (directory, map)
}

/// Start, size and name of each line; fails if a line is not one.
fn parse(text: &str) -> Vec<(usize, usize, String)> {
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| {
            let mut fields = line.splitn(3, ' ');
            let mut number = || usize::from_str_radix(fields.next().unwrap(), 16).expect(line);
            let (start, size) = (number(), number());
            let name = fields.next().expect(line);
            assert!(name.len() >= 3, "perf ignores {line:?}");
            assert!(!name.contains(char::is_control), "{line:?}");
            (start, size, name.trim_end().to_owned())
        })
        .collect()
}

#[test]
fn every_byte_is_under_one_name() {
    let (directory, map) = directory("every_byte");
    let (first, second) = (image("first", ["f", "go", "main"]), image("second", ["f"; 200]));
    let mut agent = PerfMap::in_directory(&directory);
    assert!(!map.exists(), "the map is created before there is something to write");

    agent.loaded(loaded(&first, 0x7f00_0000_0000)).unwrap();
    let entries = parse(&fs::read_to_string(&map).unwrap());
    assert_eq!(
        entries,
        [
            (0x7f00_0000_0000, 32, "f".into()),
            (0x7f00_0000_0020, 32, "go".into()),
            (0x7f00_0000_0040, 4096 - 64, "main".into()),
        ]
    );

    agent.loaded(loaded(&second, 0x7f00_0001_0000)).unwrap();
    let text = fs::read_to_string(&map).unwrap();
    agent.unloaded(loaded(&first, 0x7f00_0000_0000)).unwrap();
    assert_eq!(fs::read_to_string(&map).unwrap(), text, "a map has no unload");
    assert_eq!(parse(&text)[..3], entries);
    let mut end = 0x7f00_0001_0000;
    for (start, size, _) in &parse(&text)[3..] {
        assert_eq!(*start, end);
        end += size;
    }
    assert_eq!(end, 0x7f00_0001_0000 + 8192);
    assert_eq!(fs::metadata(&map).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn hostile_names_make_a_good_map() {
    let (directory, map) = directory("hostile_names");
    let long = "λ".repeat(1 << 19);
    let names = ["", "a\nb", "1000 10 fake\n2000 10 fake", "\r\0\u{1b}[2J", &long, "same", "same"];
    let image = image("hostile\n", names);
    PerfMap::in_directory(&directory).loaded(loaded(&image, 0x1000)).unwrap();

    let text = fs::read_to_string(&map).unwrap();
    let entries = parse(&text);
    assert!(text.len() < 8192, "the long name was not cut");
    let names: Vec<&str> = entries.iter().map(|(_, _, name)| &**name).collect();
    assert_eq!(names[..4], ["<unnamed>", "a?b", "1000 10 fake?2000 10 fake", "???[2J"]);
    assert!(names[4].starts_with("λλλ") && names[4].ends_with("λ..."));
    assert_eq!(names[5..], ["same", "same"]);
    assert_eq!(entries.iter().map(|(_, size, _)| size).sum::<usize>(), 4096);
}

#[test]
fn an_image_without_code_adds_nothing() {
    let (directory, map) = directory("no_code");
    PerfMap::in_directory(&directory).loaded(loaded(&image("empty", []), 0x1000)).unwrap();
    assert_eq!(fs::read_to_string(map).unwrap(), "");
}

#[test]
fn all_agents_of_a_process_write_one_map() {
    let (directory, map) = directory("one_map");
    let image = image("module", ["run"]);
    let mut agents = [PerfMap::in_directory(&directory), PerfMap::in_directory(&directory)];
    agents[0].loaded(loaded(&image, 0x1000)).unwrap();
    agents[1].loaded(loaded(&image, 0x2000)).unwrap();
    drop(agents);
    PerfMap::in_directory(&directory).loaded(loaded(&image, 0x3000)).unwrap();
    let starts: Vec<usize> =
        parse(&fs::read_to_string(map).unwrap()).iter().map(|entry| entry.0).collect();
    assert_eq!(starts, [0x1000, 0x2000, 0x3000]);
}

/// What the agent says when it cannot write in `directory`.
fn failure(directory: &Path) -> String {
    let image = image("module", ["run"]);
    let error = PerfMap::in_directory(directory).loaded(loaded(&image, 0x1000)).unwrap_err();
    assert!(matches!(&error, AgentError::File { path, .. } if path.starts_with(directory)));
    error.to_string()
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let (directory, map) = directory("symbolic_link");
    let target = directory.join("target");
    fs::write(&target, "precious").unwrap();
    symlink(&target, &map).unwrap();
    assert!(failure(&directory).contains("there is a symbolic link"));
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(fs::symlink_metadata(&map).unwrap().is_symlink());

    fs::remove_file(&target).unwrap();
    assert!(failure(&directory).contains("there is a symbolic link"));
    assert!(!target.exists(), "a dangling link was followed");
}

#[test]
fn a_stale_map_of_our_own_is_replaced() {
    let (directory, map) = directory("stale");
    let other_name = directory.join("other_name");
    fs::write(&other_name, "stale").unwrap();
    fs::set_permissions(&other_name, fs::Permissions::from_mode(0o666)).unwrap();
    fs::hard_link(&other_name, &map).unwrap();
    let image = image("module", ["run"]);
    PerfMap::in_directory(&directory).loaded(loaded(&image, 0x1000)).unwrap();
    assert_eq!(fs::read_to_string(&map).unwrap(), "1000 1000 run\n");
    assert_eq!(fs::metadata(&map).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&other_name).unwrap(), "stale", "the old file was written to");
}

#[test]
fn what_is_not_a_file_stays() {
    let (parent, map) = directory("not_a_file");
    fs::create_dir(&map).unwrap();
    assert!(failure(&parent).contains("not a file"));
    assert!(map.is_dir());

    fs::remove_dir(&map).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&map).unwrap());
    assert!(failure(&parent).contains("not a file"));
    assert!(fs::symlink_metadata(&map).unwrap().file_type().is_socket());
}

#[test]
fn a_file_of_another_user_stays() {
    let (directory, map) = directory("another_user");
    fs::write(&map, "theirs").unwrap();
    let ours = fs::metadata(&map).unwrap().uid();
    // Only the superuser can give a file away; for others there is nothing to test.
    if ours != 0 || std::os::unix::fs::chown(&map, Some(ours + 1), None).is_err() {
        return;
    }
    assert!(failure(&directory).contains("there is a file of user 1;"));
    assert_eq!(fs::read_to_string(&map).unwrap(), "theirs");
}

#[test]
fn directories_that_cannot_be_written_to_are_an_error() {
    let (parent, _) = directory("cannot_write");
    failure(&parent.join("missing"));
    fs::write(parent.join("file"), "").unwrap();
    failure(&parent.join("file"));
    // Nobody, not even the superuser, can create files here.
    failure(Path::new("/proc/self"));
}

/// Set in the process of the next test.
const LIMITED_VARIABLE: &str = "WASMPROF_TEST_FILES_ARE_LIMITED";

/// Played by the next test, in a process whose files cannot grow beyond a limit.
#[test]
#[ignore = "a part of another test"]
fn limited_process() {
    if std::env::var_os(LIMITED_VARIABLE).is_none() {
        return;
    }
    let (directory, map) = directory("limited");
    let mut agent = PerfMap::in_directory(&directory);
    agent.loaded(loaded(&image("small", ["run"]), 0x1000)).unwrap();
    agent.loaded(loaded(&image("large", ["long"; 2000]), 0x10_0000)).unwrap_err();
    assert_eq!(fs::read_to_string(&map).unwrap(), "1000 1000 run\n");
    PerfMap::in_directory(&directory).loaded(loaded(&image("small", ["go"]), 0x2000)).unwrap();
    assert_eq!(fs::read_to_string(&map).unwrap(), "1000 1000 run\n2000 1000 go \n");
}

#[test]
fn a_write_that_fails_leaves_whole_lines() {
    // A limit of the file size acts as a full disk does. The shell's unit is 512
    // or 1024 bytes.
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ && ulimit -f 4 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "limited_process", "--ignored", "--nocapture"])
        .env(LIMITED_VARIABLE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
