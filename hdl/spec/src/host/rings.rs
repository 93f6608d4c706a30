//! Rings: records in host memory, and the line by which the card says how far it is.

use crate::layout::{Layout, field};
use serde::Serialize;

/// Bytes of a line: what everything in a ring is a multiple of.
pub const LINE_BYTES: u32 = 64;
/// Bits of a line.
pub const LINE_BITS: u32 = LINE_BYTES * 8;
/// Bits of an index, in lines.
pub const INDEX_BITS: u32 = 24;
/// log2 of the lines of the smallest and the largest ring.
pub const SIZE_LOG2: std::ops::RangeInclusive<u32> = 9..=20;
/// A ring starts at a multiple of this.
pub const BASE_ALIGN: u64 = 4096;
/// The card's bursts end at multiples of this (so none crosses 4 KiB).
pub const BURST_BYTES: u32 = 256;
/// Lines of the longest record: the longest frame and its header.
pub const LONGEST_RECORD: u32 = 1 + crate::wire::MAX_FRAME_BYTES.div_ceil(LINE_BYTES);
/// Records after which the card writes the status line at the latest while more are waiting.
pub const STATUS_EVERY: u32 = 16;

/// A ring, by its number, which is also its interrupt vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Ring {
    Packets0 = 0,
    Packets1 = 1,
    Packets2 = 2,
    Packets3 = 3,
    Answers = 4,
    Transmit = 5,
    Commands = 6,
}

/// Rings of packets to the host: numbers 0 to 3.
pub const PACKET_RINGS: u32 = 4;
/// Rings the card produces in: they have the lowest numbers.
pub const TO_HOST_RINGS: u32 = 5;
/// The vector of errors and of links that change, behind those of the rings.
pub const ERROR_VECTOR: u32 = 7;
/// Interrupt vectors.
pub const VECTORS: u32 = 8;

impl Ring {
    pub const ALL: [Ring; 7] = [
        Ring::Packets0,
        Ring::Packets1,
        Ring::Packets2,
        Ring::Packets3,
        Ring::Answers,
        Ring::Transmit,
        Ring::Commands,
    ];
    pub const PACKETS: [Ring; PACKET_RINGS as usize] = [
        Ring::Packets0,
        Ring::Packets1,
        Ring::Packets2,
        Ring::Packets3,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Ring::Packets0 => "packets0",
            Ring::Packets1 => "packets1",
            Ring::Packets2 => "packets2",
            Ring::Packets3 => "packets3",
            Ring::Answers => "answers",
            Ring::Transmit => "transmit",
            Ring::Commands => "commands",
        }
    }

    /// Whether the card produces in it.
    pub const fn to_host(self) -> bool {
        (self as u32) < TO_HOST_RINGS
    }
}

/// Why a ring was stopped by the card ([`super::registers::RING_STATE`], [`STATUS`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RingError {
    None = 0,
    /// A transfer was answered with an error.
    Bus = 1,
    /// The doorbell's index is more than the ring's lines ahead, or behind what was said before.
    Index = 2,
    /// A header that cannot be.
    Record = 3,
    /// Base, status address or size cannot be.
    Config = 4,
}

impl RingError {
    pub const ALL: [RingError; 5] = [
        RingError::None,
        RingError::Bus,
        RingError::Index,
        RingError::Record,
        RingError::Config,
    ];
    pub fn from_code(code: u32) -> Option<RingError> {
        RingError::ALL.get(code as usize).copied()
    }
}

/// What the card writes to a ring's status address. Little-endian, as everything.
pub const STATUS: Layout = Layout {
    name: "status",
    doc: "How far the card is, one line; written whole",
    fields: &[
        field(
            "index",
            32,
            "the card's index: what is in front of it is there (card's rings) or done with (driver's)",
        ),
        field(
            "records",
            32,
            "records published or consumed since the ring was started",
        ),
        field(
            "dropped",
            32,
            "packets dropped by the ring since it was started",
        ),
        field(
            "error",
            32,
            "why the ring was stopped (`ring_error`), else 0; written once more when it is, but not where it was the bus: then `ring_state` alone says so",
        ),
    ],
};

/// Values of `kind` in [`TO_HOST`].
pub mod kind {
    /// A packet: its frame is the payload, HOST_META stands at [`super::META_AT`].
    pub const PACKET: u32 = 1;
    /// A row that was read: the payload is one line with it, [`super::ROW_META`] stands at [`super::META_AT`].
    pub const ROW: u32 = 2;
    /// An item of a counter snapshot: no payload, SNAPSHOT_ITEM stands at [`super::META_AT`]. A snapshot is begun by
    /// writing row 0 of table [`crate::counters::SNAPSHOT`]; its items come until the last.
    pub const COUNTER: u32 = 3;
}

/// Where the metadata starts in a header line to the host, in bits.
pub const META_AT: u32 = 64;

/// First 64 bits of each header line to the host; the rest is metadata by kind.
pub const TO_HOST: Layout = Layout {
    name: "to_host",
    doc: "Start of a header line to the host",
    fields: &[
        field("kind", 8, "what it is (`kind`): 1 packet, 2 row, 3 counter"),
        field("lines", 8, "lines of payload behind this one"),
        field(
            "length",
            16,
            "bytes of the payload; those behind it in its last line are not said",
        ),
        field(
            "sequence",
            32,
            "number of the record in its ring, those dropped counted too: a gap is what was dropped",
        ),
    ],
};

/// Metadata of a row that was read.
pub const ROW_META: Layout = Layout {
    name: "row_meta",
    doc: "Which row this is",
    fields: &[
        field("table", 8, "table or counter set"),
        field("reserved", 24, "0"),
        field("row", 32, "row"),
        field("cookie", 32, "the command's"),
    ],
};

/// Values of `mode` in [`TRANSMIT`].
pub mod mode {
    /// Out of the port, as it is, between the frames of the pipeline.
    pub const OUT: u32 = 0;
    /// Into the pipeline as if it had arrived on the port, now.
    pub const IN: u32 = 1;
}

/// Header line of a packet from the host; the frame follows from the next line on.
pub const TRANSMIT: Layout = Layout {
    name: "transmit",
    doc: "Header line of a packet from the host",
    fields: &[
        field("length", 16, "bytes of the frame without FCS, 14 to 9216"),
        field(
            "mode",
            8,
            "0: out of `port` unedited; 1: into the pipeline as if it had arrived there",
        ),
        field("port", 8, "Ethernet port"),
    ],
};

/// Values of `op` in [`COMMAND`].
pub mod op {
    /// Write the row in the next line.
    pub const WRITE: u32 = 1;
    /// Read the row; the next line is not looked at.
    pub const READ: u32 = 2;
}

/// Header line of a command; each is two lines, the second is the row.
pub const COMMAND: Layout = Layout {
    name: "command",
    doc: "Header line of a command",
    fields: &[
        field("op", 8, "1 write, 2 read"),
        field("table", 8, "table or counter set"),
        field("reserved", 16, "0"),
        field(
            "row",
            32,
            "row; in a hash table way * rows of a way + bucket",
        ),
        field("cookie", 32, "comes back in the answer"),
    ],
};
/// Lines of a command.
pub const COMMAND_LINES: u32 = 2;

/// Every record of this file.
pub const RECORDS: [&Layout; 5] = [&STATUS, &TO_HOST, &ROW_META, &TRANSMIT, &COMMAND];

/// Payload lines of `bytes`.
pub const fn lines(bytes: u32) -> u32 {
    bytes.div_ceil(LINE_BYTES)
}

/// Lines from index `from` to index `to`.
pub const fn ahead(from: u32, to: u32) -> u32 {
    to.wrapping_sub(from) & ((1 << INDEX_BITS) - 1)
}

// Metadata fits behind the start of a header line.
const _: () = assert!(META_AT + crate::stage::HOST_META.width() <= LINE_BITS);
const _: () = assert!(META_AT + crate::counters::SNAPSHOT_ITEM.width() <= LINE_BITS);
const _: () = assert!(LONGEST_RECORD + 1 < 1 << *SIZE_LOG2.start());
const _: () = assert!(*SIZE_LOG2.end() < INDEX_BITS);

/// A record's field as it stands in a line.
pub fn read(line: &[u8], layout: &Layout, base: u32, name: &str) -> u64 {
    let (lo, width) = layout.at(name);
    let lo = base + lo;
    let mut value = 0u128;
    for i in 0..(lo % 8 + width).div_ceil(8).min(16) {
        let byte = line.get((lo / 8 + i) as usize).copied().unwrap_or(0);
        value |= u128::from(byte) << (8 * i);
    }
    let mask = if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    };
    (value >> (lo % 8)) as u64 & mask
}

/// Ors a record's field into a line that was zero there.
pub fn write(line: &mut [u8], layout: &Layout, base: u32, name: &str, value: u64) {
    let (lo, width) = layout.at(name);
    let lo = base + lo;
    let mask = if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    };
    let bits = u128::from(value & mask) << (lo % 8);
    for i in 0..(lo % 8 + width).div_ceil(8) {
        if let Some(byte) = line.get_mut((lo / 8 + i) as usize) {
            *byte |= (bits >> (8 * i)) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::HOST_META;

    #[test]
    fn fields_come_back_from_a_line() {
        let mut line = [0u8; 64];
        write(&mut line, &TO_HOST, 0, "kind", 1);
        write(&mut line, &TO_HOST, 0, "sequence", 0xfedc_ba98);
        write(&mut line, &HOST_META, META_AT, "tag", u64::MAX - 5);
        write(&mut line, &HOST_META, META_AT, "sender", 0x155);
        write(&mut line, &HOST_META, META_AT, "class", 0x1_2345);
        assert_eq!(read(&line, &TO_HOST, 0, "kind"), 1);
        assert_eq!(read(&line, &TO_HOST, 0, "length"), 0);
        assert_eq!(read(&line, &TO_HOST, 0, "sequence"), 0xfedc_ba98);
        assert_eq!(read(&line, &HOST_META, META_AT, "tag"), u64::MAX - 5);
        assert_eq!(read(&line, &HOST_META, META_AT, "sender"), 0x155);
        assert_eq!(read(&line, &HOST_META, META_AT, "class"), 0x1_2345);
        assert_eq!(read(&line, &HOST_META, META_AT, "port"), 0);
    }

    #[test]
    fn indexes_run_on() {
        assert_eq!(ahead((1 << 24) - 2, 3), 5);
        assert_eq!(lines(64), 1);
        assert_eq!(lines(65), 2);
        assert_eq!(LONGEST_RECORD, 145);
    }
}
