//! Reading pcap and pcapng, writing pcap.
//!
//! Why not a crate: pcap-parser 0.17 takes `if_tsoffset` for little-endian in big-endian files,
//! refuses every resolution that is a power of two and ignores the snap length of simple packets;
//! pcap-file 2.0 reads pcapng times without their resolution. Times must come through exactly.

mod pcap;
mod pcapng;
mod source;
mod write;

pub use write::Writer;

use crate::error::{CaptureError, Problem};
use crate::time::Time;
use source::Source;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest packet a capture may hold; what Wireshark and libpcap allow for Ethernet. A length
/// beyond it is damage.
pub const MAX_CAPTURED: u32 = 262_144;

/// LINKTYPE_ETHERNET (<https://www.tcpdump.org/linktypes.html>).
const ETHERNET: u16 = 1;

/// A packet as captured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// `None` for a simple packet block, which has no time stamp.
    pub time: Option<Time>,
    /// The time in the file has digits below the nanosecond, which were cut off.
    pub finer: bool,
    /// What was captured, without FCS.
    pub frame: Vec<u8>,
    /// Length on the wire without FCS; more than `frame` if the capture cut it.
    pub wire: u32,
}

impl Record {
    /// A record of the captured bytes `data` of a packet of `wire` bytes that ends in `fcs` bytes
    /// of FCS, of which the capture may have all, some or none.
    fn new(time: Option<Time>, finer: bool, mut data: Vec<u8>, wire: u32, fcs: u32) -> Record {
        // Some writers give the captured length only.
        let wire = wire.max(data.len() as u32).saturating_sub(fcs);
        data.truncate(wire as usize);
        Record {
            time,
            finer,
            frame: data,
            wire,
        }
    }
}

enum Format {
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

/// A capture file, packet after packet.
pub struct Reader {
    path: PathBuf,
    source: Source,
    format: Format,
    packets: u64,
    /// Nothing is read after an error: there is no telling where the next packet starts.
    failed: bool,
}

/// How far a [`Reader`] is, readable while someone else owns it.
#[derive(Debug, Clone, Default)]
pub struct Position(Arc<AtomicU64>);

impl Position {
    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reader {
    /// Opens the capture `path` and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, is no capture, is compressed, or is not of Ethernet.
    pub fn open(path: &Path) -> Result<Reader, CaptureError> {
        let fail = |problem| CaptureError::new(path, 1, 0, problem);
        let file = File::open(path).map_err(|e| fail(Problem::Read(e)))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(fail(Problem::Folder));
        }
        Reader::new(path, Box::new(file))
    }

    /// Reads a capture from `input`; `path` is its name in errors.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn new(path: &Path, input: Box<dyn Read + Send>) -> Result<Reader, CaptureError> {
        let mut source = Source::new(input);
        match header(&mut source) {
            Ok(format) => Ok(Reader {
                path: path.to_path_buf(),
                source,
                format,
                packets: 0,
                failed: false,
            }),
            Err(problem) => Err(CaptureError::new(path, 1, 0, problem)),
        }
    }

    /// The next packet, or `None` at the end of the file and after an error.
    ///
    /// # Errors
    /// The file is damaged, ends within a packet or cannot be read on. The error names file,
    /// packet and byte.
    pub fn next_record(&mut self) -> Result<Option<Record>, CaptureError> {
        if self.failed {
            return Ok(None);
        }
        self.source.mark();
        let record = match &mut self.format {
            Format::Pcap(f) => f.next_record(&mut self.source),
            Format::Pcapng(f) => f.next_record(&mut self.source),
        };
        match record {
            Ok(record) => {
                self.packets += u64::from(record.is_some());
                Ok(record)
            }
            Err(problem) => {
                self.failed = true;
                Err(CaptureError::new(
                    &self.path,
                    self.packets + 1,
                    self.source.marked(),
                    problem,
                ))
            }
        }
    }

    /// Packets read so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn position(&self) -> Position {
        self.source.position()
    }
}

fn header(source: &mut Source) -> Result<Format, Problem> {
    let mut magic = [0; 4];
    match source.fill(&mut magic)? {
        0 => return Err(Problem::Empty),
        4 => {}
        have => {
            return Err(Problem::Ends {
                what: "file header",
                need: 24,
                have: have as u64,
            });
        }
    }
    if let Some(format) = pcap::Pcap::open(magic, source)? {
        return Ok(Format::Pcap(format));
    }
    if u32::from_le_bytes(magic) == pcapng::SECTION_HEADER {
        return Ok(Format::Pcapng(pcapng::Pcapng::open(source)?));
    }
    Err(match magic {
        [0x1f, 0x8b, ..] => Problem::Compressed("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => Problem::Compressed("zstd"),
        [0xfd, b'7', b'z', b'X'] => Problem::Compressed("xz"),
        [b'B', b'Z', b'h', _] => Problem::Compressed("bzip2"),
        [0x04, 0x22, 0x4d, 0x18] => Problem::Compressed("lz4"),
        _ => Problem::NotACapture { magic },
    })
}

/// Accepts Ethernet, refuses everything else by name.
fn ethernet(link_type: u16) -> Result<(), Problem> {
    if link_type == ETHERNET {
        return Ok(());
    }
    let name = match link_type {
        0 => "NULL (BSD loopback)",
        6 => "IEEE802_5 (token ring)",
        9 => "PPP",
        10 => "FDDI",
        50 => "PPP_HDLC",
        51 => "PPP_ETHER",
        101 => "RAW (IP without Ethernet)",
        104 => "C_HDLC",
        105 => "IEEE802_11 (wireless LAN)",
        108 => "LOOP (OpenBSD loopback)",
        113 => "LINUX_SLL (tcpdump -i any)",
        127 => "IEEE802_11_RADIOTAP (wireless LAN)",
        187 | 201 => "BLUETOOTH_HCI_H4",
        189 | 220 => "USB_LINUX",
        228 => "IPV4 (IP without Ethernet)",
        229 => "IPV6 (IP without Ethernet)",
        239 => "NFLOG",
        249 => "USBPCAP",
        253 => "NETLINK",
        274 => "ETHERNET_MPACKET",
        276 => "LINUX_SLL2 (tcpdump -i any)",
        _ => "unknown here",
    };
    Err(Problem::LinkType { link_type, name })
}
