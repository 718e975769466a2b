//! The context: all that the WASI calls of one guest share, and the builder that makes it.
//!
//! What the calls do with it is in the modules named after their subjects.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;

use crate::args::Strings;
use crate::descriptor::{Descriptor, Table};
use crate::error::Error;
use crate::stdio::{Input, Output};

/// The state of WASI for one guest: its arguments and environment, and its open descriptors.
/// Built by [`WasiCtxBuilder`], and kept in the data of the guest's store.
pub struct WasiCtx {
    pub(crate) args: Strings,
    pub(crate) environ: Strings,
    pub(crate) table: Table,
    pub(crate) unimplemented: BTreeSet<&'static str>,
}

impl WasiCtx {
    /// The names of the calls that the guest has made and that wasmprof does not implement, in
    /// alphabetical order. Each such call has returned `ENOSYS`.
    pub fn unimplemented_calls(&self) -> impl Iterator<Item = &'static str> {
        self.unimplemented.iter().copied()
    }
}

/// Says what a guest may use, and builds a [`WasiCtx`] of it.
///
/// A guest gets nothing that is not named here: no arguments, no environment, no directory, and
/// standard streams that are empty.
#[derive(Debug, Default)]
pub struct WasiCtxBuilder {
    args: Vec<OsString>,
    environ: Vec<(OsString, OsString)>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    preopens: Vec<(Dir, OsString)>,
}

impl WasiCtxBuilder {
    /// A builder for a guest that may use nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an argument. The first one is the name of the program.
    pub fn arg(&mut self, arg: impl Into<OsString>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments, as [`Self::arg`] does.
    pub fn args<A: Into<OsString>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. The last value of a name counts.
    pub fn env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.environ.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.environ.push((name, value)),
        }
        self
    }

    /// Gives the guest this process's own standard streams.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.stdin(Input::Inherit).stdout(Output::Inherit).stderr(Output::Inherit)
    }

    /// What the guest reads from its standard input.
    pub fn stdin(&mut self, input: Input) -> &mut Self {
        self.stdin = input;
        self
    }

    /// Where the guest's standard output goes.
    pub fn stdout(&mut self, output: Output) -> &mut Self {
        self.stdout = output;
        self
    }

    /// Where the guest's standard error goes.
    pub fn stderr(&mut self, output: Output) -> &mut Self {
        self.stderr = output;
        self
    }

    /// Lets the guest use all that is below the directory `host_path`, which it sees as
    /// `guest_path`. No path of the guest, by `..`, by symbolic links or otherwise, leads out of
    /// the directory.
    pub fn preopened_dir(
        &mut self,
        host_path: impl AsRef<Path>,
        guest_path: impl Into<OsString>,
    ) -> Result<&mut Self, Error> {
        let path = host_path.as_ref();
        let dir = open_directory(path)
            .map_err(|source| Error::Preopen { path: path.to_owned(), source })?;
        self.preopens.push((dir, guest_path.into()));
        Ok(self)
    }

    /// Builds the context, and leaves the builder as new.
    pub fn build(&mut self) -> Result<WasiCtx, Error> {
        let Self { args, environ, stdin, stdout, stderr, preopens } = std::mem::take(self);
        let mut table = vec![
            Descriptor::input(stdin),
            Descriptor::output(stdout, rustix::stdio::stdout()),
            Descriptor::output(stderr, rustix::stdio::stderr()),
        ];
        for (dir, name) in preopens {
            let name = crate::args::without_nul(&name)?;
            table.push(Descriptor::preopened(dir, name.into()));
        }
        Ok(WasiCtx {
            args: Strings::args(&args)?,
            environ: Strings::environ(&environ)?,
            table: Table::new(table),
            unimplemented: BTreeSet::new(),
        })
    }
}

fn open_directory(path: &Path) -> io::Result<Dir> {
    // Opened for reading, so that its entries can be listed through the same descriptor.
    let file = File::open(path)?;
    if !file.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Dir::from_std_file(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_refused_when_building() {
        let nul = |builder: &mut WasiCtxBuilder| {
            assert!(matches!(builder.build().err(), Some(Error::Nul { .. })));
        };
        nul(WasiCtxBuilder::new().arg("a\0b"));
        nul(WasiCtxBuilder::new().env("A", "\0"));
        nul(WasiCtxBuilder::new().env("\0", "a"));
        nul(WasiCtxBuilder::new().preopened_dir("/", "/\0").unwrap());
    }

    #[test]
    fn variable_names_are_names() {
        for name in ["", "A=B"] {
            let error = WasiCtxBuilder::new().env(name, "x").build().err();
            assert!(matches!(error, Some(Error::VariableName { .. })));
        }
    }

    #[test]
    fn a_directory_that_is_none_is_named_in_the_error() {
        let error = WasiCtxBuilder::new().preopened_dir("/dev/null", "/").err().unwrap();
        assert_eq!(
            error.to_string(),
            "cannot open the directory `/dev/null` for the guest: not a directory"
        );
    }

    #[test]
    fn a_context_can_be_moved_to_another_thread() {
        fn check<T: Send + Sync>() {}
        check::<WasiCtx>();
    }
}
