//! Creates files in directories that other users may write to, like `/tmp`.
//!
//! Profilers look for files under names that anyone can guess, so whatever is
//! found there is not trusted: it is never opened, written to or followed.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Creates a file to append to, that only its owner can read.
///
/// What a process left behind that had our pid before us is replaced, if it is
/// an ordinary file of our own user.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match create_new(path) {
        Err(Errno::EXIST) => {
            remove_stale(path)?;
            Ok(create_new(path)?)
        }
        result => Ok(result?),
    }
}

/// Creates the file, or fails if anything has that name, even a dangling link.
fn create_new(path: &Path) -> rustix::io::Result<File> {
    let how = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let access = OFlags::WRONLY | OFlags::APPEND;
    rustix::fs::open(path, how | access, Mode::RUSR | Mode::WUSR).map(File::from)
}

/// Removes an ordinary file of our own user.
///
/// Someone may exchange the file between the look and the removal. Nothing of
/// value is lost then: a removal takes away a name in this directory and follows
/// no link, and in a sticky directory others can exchange only what is theirs.
/// The file that is created next is new in any case, or creating it fails.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    if found.is_symlink() {
        return refuse("there is a symbolic link, which is not followed; remove it".into());
    }
    if !found.is_file() {
        return refuse("there is something that is not a file; remove it".into());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse(format!("there is a file of user {}; have it removed", found.uid()));
    }
    fs::remove_file(path)
}
