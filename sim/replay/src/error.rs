//! What can go wrong, with the place.

use seqnic_engine::EngineError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A capture that cannot be read, or not on from here.
#[derive(Debug)]
pub struct CaptureError {
    pub path: PathBuf,
    /// Number of the packet that could not be read, from 1.
    pub packet: u64,
    /// Offset of its record or block in the file.
    pub offset: u64,
    pub problem: Problem,
}

impl CaptureError {
    pub(crate) fn new(path: &Path, packet: u64, offset: u64, problem: Problem) -> CaptureError {
        CaptureError {
            path: path.to_path_buf(),
            packet,
            offset,
            problem,
        }
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (path, read) = (self.path.display(), self.packet - 1);
        if self.offset == 0 {
            return write!(f, "{path}: {}", self.problem);
        }
        write!(
            f,
            "{path}: packet {} at byte {}: {}; {read} packet{} read before it",
            self.packet,
            self.offset,
            self.problem,
            if read == 1 { " was" } else { "s were" },
        )
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Read(e) => Some(e),
            _ => None,
        }
    }
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot read: {0}")]
    Read(io::Error),
    #[error("is a folder; name a capture file")]
    Folder,
    #[error("the file is empty; a capture without packets still has a header")]
    Empty,
    #[error(
        "no capture: starts with {:02x} {:02x} {:02x} {:02x}; pcap and pcapng are read",
        magic[0], magic[1], magic[2], magic[3]
    )]
    NotACapture { magic: [u8; 4] },
    #[error("compressed with {0}; unpack it first")]
    Compressed(&'static str),
    #[error("{0} is not read; rewrite it with `editcap -F nsecpcap`")]
    Format(String),
    #[error("link type {link_type}, {name}; only Ethernet (1) is read")]
    LinkType { link_type: u16, name: &'static str },
    #[error("the file ends inside a {what}: {need} bytes expected, {have} there")]
    Ends {
        what: &'static str,
        need: u64,
        have: u64,
    },
    #[error("a length of {bytes} bytes is beyond what a capture may hold")]
    TooLong { bytes: u32 },
    #[error("a fraction of {fraction} / {resolution} s is a second or more")]
    Fraction { fraction: u32, resolution: u32 },
    #[error("a {what} ends before its fields do")]
    Overrun { what: &'static str },
    #[error("a block length of {length} is no multiple of 4 of at least 12")]
    BlockLength { length: u32 },
    #[error("a block of {first} bytes says {last} at its end")]
    Lengths { first: u32, last: u32 },
    #[error("a packet of interface {number}, but the section describes {known} so far")]
    NoInterface { number: u32, known: usize },
    #[error("a time of {nanoseconds} ns since 1970 is not in 1970 to 2106, which a pcap can say")]
    Time { nanoseconds: i128 },
}

/// A replay that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error("no interface `{name}`; there are {known}")]
    UnknownInterface { name: String, known: String },
    #[error(
        "interface `{name}` cannot name a file: its name must not be empty or `host`, start with a dot or have a `/`"
    )]
    UnusableName { name: String },
    #[error("{} is not empty; name a new folder or have it replaced (--force)", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{} is not a folder", path.display())]
    NotAFolder { path: PathBuf },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("packet {id}: {error}")]
    Engine { id: u64, error: EngineError },
    #[error("reading the counters: {error}")]
    Counters { error: EngineError },
    #[error(
        "the {engine} engine gave something for packet {id}, which it was not given or was done with"
    )]
    Stray { engine: &'static str, id: u64 },
    #[error(
        "the {engine} engine sent something for interface number {interface} (packet {id}), but there are {interfaces} interfaces"
    )]
    NoSuchInterface {
        engine: &'static str,
        id: u64,
        interface: u32,
        interfaces: usize,
    },
    #[error(
        "the {engine} engine changed the order: packet {later} came out before packet {earlier}, both from port {port} to {to}"
    )]
    Reordered {
        engine: &'static str,
        port: u8,
        to: String,
        earlier: u64,
        later: u64,
    },
    #[error(
        "the {engine} engine lost packets: nothing came out for {silent}, but it counted {dropped} dropped"
    )]
    Vanished {
        engine: &'static str,
        silent: u64,
        dropped: u64,
    },
}

impl ReplayError {
    /// Whether an engine is at fault and not what it was given.
    pub fn is_engine(&self) -> bool {
        matches!(
            self,
            ReplayError::Engine { .. }
                | ReplayError::Counters { .. }
                | ReplayError::Stray { .. }
                | ReplayError::NoSuchInterface { .. }
                | ReplayError::Reordered { .. }
                | ReplayError::Vanished { .. }
        )
    }
}
