//! Standard streams: where descriptors 0, 1 and 2 of a guest come from.
//!
//! The reading and writing itself is in `descriptor.rs`.

use std::fs::File;
use std::sync::{Arc, Mutex};

/// What a guest reads from descriptor 0.
#[derive(Debug, Default)]
pub enum Input {
    /// The standard input of this process, unbuffered: bytes that this process has taken into a
    /// buffer of its own are not seen by the guest.
    Inherit,
    /// Nothing: the first read is the end.
    #[default]
    Null,
    /// An open file, pipe or device.
    File(File),
    /// These bytes, and then the end.
    Bytes(Vec<u8>),
}

/// Where a guest writes descriptor 1 or 2.
#[derive(Debug, Default)]
pub enum Output {
    /// The stream of the same number of this process, unbuffered.
    Inherit,
    /// Nowhere: all that is written is dropped.
    #[default]
    Null,
    /// An open file, pipe or device.
    File(File),
    /// The end of this buffer, which the embedder shares. It grows with what the guest writes.
    Buffer(Arc<Mutex<Vec<u8>>>),
}
