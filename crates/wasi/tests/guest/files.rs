//! Files of a whole guest: finding its directories, using files in them, and not getting out.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use crate::guest::Guest;
use tempfile::TempDir;
use wasmprof_engine::wasi::WasiCtxBuilder;

const BADF: i32 = 8;
const NOENT: i32 = 44;
const PERM: i32 = 63;

const FOLLOW: i64 = 1;
const CREAT: i64 = 1;
const ALL_RIGHTS: i64 = -1;

/// Paths go to address 0, buffers to 1024, and what calls return to 60000.
const BUFFER: usize = 1024;
const OUT: usize = 60_000;

/// A guest that sees the directory `root` as `/data`, and beside it a file that is not for it.
fn guest(edition: &str) -> (Guest, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(dir.path().join("root"), "/data").unwrap();
    (Guest::importing(edition, &mut builder), dir)
}

fn open(guest: &mut Guest, path: &str, oflags: i64) -> Result<i64, i32> {
    guest.write(0, path.as_bytes());
    let length = path.len() as i64;
    let args = [3, FOLLOW, 0, length, oflags, ALL_RIGHTS, ALL_RIGHTS, 0, OUT as i64];
    match guest.call("path_open", &args) {
        0 => Ok(guest.read_u32(OUT).into()),
        errno => Err(errno),
    }
}

/// A list of one buffer, for reading or writing.
fn buffer(guest: &mut Guest, length: u32) -> i64 {
    guest.write_u32(OUT + 100, BUFFER as u32);
    guest.write_u32(OUT + 104, length);
    (OUT + 100) as i64
}

#[test]
fn a_guest_finds_its_directories() {
    let (mut guest, _dir) = guest("wasi_snapshot_preview1");
    assert_eq!(guest.call("fd_prestat_get", &[3, OUT as i64]), 0);
    assert_eq!((guest.read_u32(OUT), guest.read_u32(OUT + 4)), (0, 5));
    assert_eq!(guest.call("fd_prestat_dir_name", &[3, 0, 5]), 0);
    assert_eq!(guest.read(0, 6), b"/data\0");
    assert_eq!(guest.call("fd_prestat_get", &[4, OUT as i64]), BADF);
}

#[test]
fn a_file_is_written_sought_and_read() {
    for edition in ["wasi_snapshot_preview1", "wasi_unstable"] {
        let (mut guest, dir) = guest(edition);
        let fd = open(&mut guest, "file", CREAT).unwrap();
        guest.write(BUFFER, b"0123456789");
        let list = buffer(&mut guest, 10);
        assert_eq!(guest.call("fd_write", &[fd, list, 1, OUT as i64]), 0);
        assert_eq!(fs::read_to_string(dir.path().join("root/file")).unwrap(), "0123456789");

        // From the end: 2, and 1 in the older edition.
        let end = if edition == "wasi_unstable" { 1 } else { 2 };
        assert_eq!(guest.call("fd_seek", &[fd, -3, end, OUT as i64]), 0);
        assert_eq!(guest.read_u64(OUT), 7);
        let list = buffer(&mut guest, 100);
        assert_eq!(guest.call("fd_read", &[fd, list, 1, OUT as i64]), 0);
        assert_eq!(guest.read_u32(OUT), 3);
        assert_eq!(guest.read(BUFFER, 4), b"7893");
        assert_eq!(guest.call("fd_pread", &[fd, list, 1, 5, OUT as i64]), 0);
        assert_eq!(guest.read(BUFFER, guest.read_u32(OUT) as usize), b"56789");
        assert_eq!(guest.call("fd_tell", &[fd, OUT as i64]), 0);
        assert_eq!(guest.read_u64(OUT), 10);

        // The size is at 32 behind a 64-bit number of links, and at 24 behind a 32-bit one.
        let size = if edition == "wasi_unstable" { 24 } else { 32 };
        assert_eq!(guest.call("fd_filestat_get", &[fd, BUFFER as i64]), 0);
        assert_eq!(guest.read_u64(BUFFER + size), 10);
        assert_eq!(guest.call("fd_close", &[fd]), 0);
        assert_eq!(guest.call("fd_close", &[fd]), BADF);
    }
}

#[test]
fn there_is_no_way_out() {
    let (mut guest, dir) = guest("wasi_snapshot_preview1");
    let root = dir.path().join("root");
    let secret = dir.path().join("secret");
    fs::create_dir(root.join("sub")).unwrap();
    symlink("../secret", root.join("up")).unwrap();
    symlink(&secret, root.join("absolute")).unwrap();
    symlink("..", root.join("sub/dots")).unwrap();
    symlink("../..", root.join("sub/out")).unwrap();
    for path in [
        "../secret",
        "./sub/../../secret",
        "up",
        "absolute",
        secret.to_str().unwrap(),
        "/etc/passwd",
        "/data",
        "sub/dots/../secret",
        "sub/out/secret",
        "..",
        "sub/..//..",
    ] {
        assert_eq!(open(&mut guest, path, 0), Err(PERM), "{path}");
        assert_eq!(open(&mut guest, path, CREAT), Err(PERM), "{path}");
    }
    assert_eq!(open(&mut guest, "sub/dots/secret", 0), Err(NOENT));
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
}

#[test]
fn a_listing_is_whole_whatever_the_buffer() {
    let (mut guest, dir) = guest("wasi_snapshot_preview1");
    let mut expected = BTreeSet::from([".".to_owned(), "..".to_owned()]);
    for index in 0..50 {
        let name = "n".repeat(index + 1);
        fs::write(dir.path().join("root").join(&name), "").unwrap();
        expected.insert(name);
    }
    for size in [80, 100, 256, 4096] {
        let (mut names, mut cookie) = (BTreeSet::new(), 0);
        loop {
            let args = [3, BUFFER as i64, size, cookie, OUT as i64];
            assert_eq!(guest.call("fd_readdir", &args), 0);
            let used = guest.read_u32(OUT) as usize;
            let (mut at, end) = (BUFFER, BUFFER + used);
            while at + 24 <= end {
                let length = guest.read_u32(at + 16) as usize;
                if at + 24 + length > end {
                    break;
                }
                cookie = guest.read_u64(at) as i64;
                names.insert(String::from_utf8(guest.read(at + 24, length)).unwrap());
                at += 24 + length;
            }
            if used < size as usize {
                break;
            }
        }
        assert_eq!(names, expected, "with a buffer of {size} bytes");
    }
}
