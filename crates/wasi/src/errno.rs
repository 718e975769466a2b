//! Error numbers: witx `$errno`, and the way from the host's errors to them.
//!
//! A call returns one of these to the guest. What stops the guest instead (a missing memory, an
//! exit) is in `error.rs`.

use std::io;

/// Declares [`Errno`] and the table of host errors from one list, so that they cannot drift apart.
macro_rules! errnos {
    ($( $name:ident = $code:literal $(<- $($host:ident)|+)?, )*) => {
        /// An error number as the guest sees it (witx `$errno`). Success is the number 0 and is
        /// not among them: calls return `Result<(), Errno>`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub(crate) enum Errno { $( $name = $code, )* }

        /// Which host error is which guest error.
        const HOST: &[(rustix::io::Errno, Errno)] =
            &[$( $( $( (rustix::io::Errno::$host, Errno::$name), )+ )? )*];
    };
}

errnos! {
    TooBig = 1 <- TOOBIG,
    Acces = 2 <- ACCESS,
    AddrInUse = 3 <- ADDRINUSE,
    AddrNotAvail = 4 <- ADDRNOTAVAIL,
    AfNoSupport = 5 <- AFNOSUPPORT,
    Again = 6 <- AGAIN,
    Already = 7 <- ALREADY,
    BadF = 8 <- BADF,
    BadMsg = 9 <- BADMSG,
    Busy = 10 <- BUSY,
    Canceled = 11 <- CANCELED,
    Child = 12 <- CHILD,
    ConnAborted = 13 <- CONNABORTED,
    ConnRefused = 14 <- CONNREFUSED,
    ConnReset = 15 <- CONNRESET,
    Deadlk = 16 <- DEADLK,
    DestAddrReq = 17 <- DESTADDRREQ,
    Dom = 18 <- DOM,
    DQuot = 19 <- DQUOT,
    Exist = 20 <- EXIST,
    Fault = 21 <- FAULT,
    FBig = 22 <- FBIG,
    HostUnreach = 23 <- HOSTUNREACH,
    IdRm = 24 <- IDRM,
    IlSeq = 25 <- ILSEQ,
    InProgress = 26 <- INPROGRESS,
    Intr = 27 <- INTR,
    Inval = 28 <- INVAL,
    Io = 29 <- IO,
    IsConn = 30 <- ISCONN,
    IsDir = 31 <- ISDIR,
    Loop = 32 <- LOOP,
    MFile = 33 <- MFILE,
    MLink = 34 <- MLINK,
    MsgSize = 35 <- MSGSIZE,
    Multihop = 36 <- MULTIHOP,
    NameTooLong = 37 <- NAMETOOLONG,
    NetDown = 38 <- NETDOWN,
    NetReset = 39 <- NETRESET,
    NetUnreach = 40 <- NETUNREACH,
    NFile = 41 <- NFILE,
    NoBufs = 42 <- NOBUFS,
    NoDev = 43 <- NODEV,
    NoEnt = 44 <- NOENT,
    NoExec = 45 <- NOEXEC,
    NoLck = 46 <- NOLCK,
    NoLink = 47 <- NOLINK,
    NoMem = 48 <- NOMEM,
    NoMsg = 49 <- NOMSG,
    NoProtoOpt = 50 <- NOPROTOOPT,
    NoSpc = 51 <- NOSPC,
    NoSys = 52 <- NOSYS,
    NotConn = 53 <- NOTCONN,
    NotDir = 54 <- NOTDIR,
    NotEmpty = 55 <- NOTEMPTY,
    NotRecoverable = 56 <- NOTRECOVERABLE,
    NotSock = 57 <- NOTSOCK,
    NotSup = 58 <- NOTSUP | OPNOTSUPP,
    NotTy = 59 <- NOTTY,
    NxIo = 60 <- NXIO,
    Overflow = 61 <- OVERFLOW,
    OwnerDead = 62 <- OWNERDEAD,
    Perm = 63 <- PERM,
    Pipe = 64 <- PIPE,
    Proto = 65 <- PROTO,
    ProtoNoSupport = 66 <- PROTONOSUPPORT,
    Prototype = 67 <- PROTOTYPE,
    Range = 68 <- RANGE,
    RoFs = 69 <- ROFS,
    SPipe = 70 <- SPIPE,
    Srch = 71 <- SRCH,
    Stale = 72 <- STALE,
    TimedOut = 73 <- TIMEDOUT,
    TxtBsy = 74 <- TXTBSY,
    XDev = 75 <- XDEV,
    NotCapable = 76,
}

impl Errno {
    /// The number a call returns for its outcome.
    pub(crate) fn code(result: Result<(), Self>) -> u32 {
        match result {
            Ok(()) => 0,
            Err(errno) => u32::from(errno as u16),
        }
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(host: rustix::io::Errno) -> Self {
        // What the guest has no name for is an input/output error to it.
        HOST.iter().find(|(number, _)| *number == host).map_or(Self::Io, |(_, errno)| *errno)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        if let Some(number) = error.raw_os_error() {
            return rustix::io::Errno::from_raw_os_error(number).into();
        }
        match error.kind() {
            io::ErrorKind::NotFound => Self::NoEnt,
            // cap-std reports a path that would leave its directory so.
            io::ErrorKind::PermissionDenied => Self::Perm,
            io::ErrorKind::AlreadyExists => Self::Exist,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Inval,
            io::ErrorKind::WouldBlock => Self::Again,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::Interrupted => Self::Intr,
            io::ErrorKind::BrokenPipe => Self::Pipe,
            io::ErrorKind::Unsupported => Self::NotSup,
            io::ErrorKind::OutOfMemory => Self::NoMem,
            io::ErrorKind::IsADirectory => Self::IsDir,
            io::ErrorKind::NotADirectory => Self::NotDir,
            io::ErrorKind::DirectoryNotEmpty => Self::NotEmpty,
            _ => Self::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_witx() {
        assert_eq!(Errno::code(Ok(())), 0);
        for (errno, number) in [
            (Errno::TooBig, 1),
            (Errno::BadF, 8),
            (Errno::Fault, 21),
            (Errno::Inval, 28),
            (Errno::NoEnt, 44),
            (Errno::NoSys, 52),
            (Errno::Pipe, 64),
            (Errno::NotCapable, 76),
        ] {
            assert_eq!(Errno::code(Err(errno)), number);
        }
    }

    #[test]
    fn host_errors_keep_their_meaning() {
        let host = |number: rustix::io::Errno| Errno::from(io::Error::from(number));
        assert_eq!(host(rustix::io::Errno::NOENT), Errno::NoEnt);
        assert_eq!(host(rustix::io::Errno::PIPE), Errno::Pipe);
        assert_eq!(host(rustix::io::Errno::OPNOTSUPP), Errno::NotSup);
        assert_eq!(host(rustix::io::Errno::from_raw_os_error(4000)), Errno::Io);
        assert_eq!(Errno::from(io::Error::new(io::ErrorKind::PermissionDenied, "x")), Errno::Perm);
        assert_eq!(Errno::from(io::Error::other("x")), Errno::Io);
    }

    #[test]
    fn no_host_error_has_two_meanings() {
        for (host, errno) in HOST {
            assert_eq!(Errno::from(*host), *errno);
        }
    }
}
