//! Registers of BAR 0: 32 bits each, little-endian, whole words only.
//!
//! Reads have no side effect but for [`TIME_LOW`]. A write to a register that cannot be written does nothing.

use super::rings::{INDEX_BITS, Ring, VECTORS};
use crate::layout::{Field, field};
use crate::reason::REASON_BITS;
use serde::Serialize;

/// What the driver may do with a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Never changes while the card runs.
    Constant,
    /// The card changes it.
    Read,
    /// The driver changes it; reads back what was written.
    ReadWrite,
    /// Reads 0.
    Write,
    /// Reads; writing a 1 clears that bit.
    ClearOnOne,
}

/// A register, or `count` of them `stride` bytes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Register {
    pub name: &'static str,
    /// Bytes from the start of BAR 0.
    pub offset: u32,
    pub access: Access,
    pub count: u32,
    pub stride: u32,
    pub doc: &'static str,
    /// Lowest bit first; what is left of 32 bits is 0.
    pub fields: &'static [Field],
}

impl Register {
    const fn new(
        name: &'static str,
        offset: u32,
        access: Access,
        doc: &'static str,
        fields: &'static [Field],
    ) -> Register {
        Register {
            name,
            offset,
            access,
            count: 1,
            stride: 4,
            doc,
            fields,
        }
    }

    const fn many(self, count: u32, stride: u32) -> Register {
        Register {
            count,
            stride,
            ..self
        }
    }

    /// Offset of the `i`-th.
    pub const fn at(&self, i: u32) -> u32 {
        self.offset + i * self.stride
    }

    /// Lowest bit and width of a field.
    ///
    /// # Panics
    /// If there is no such field: names are written by us, never by input.
    #[track_caller]
    pub fn field(&self, name: &str) -> (u32, u32) {
        let mut at = 0;
        for f in self.fields {
            if f.name == name {
                return (at, f.width);
            }
            at += f.width;
        }
        panic!("register `{}` has no field `{name}`", self.name)
    }

    /// A field of the register's value; panics like [`Register::field`].
    #[track_caller]
    pub fn get(&self, value: u32, name: &str) -> u32 {
        let (lo, width) = self.field(name);
        ((u64::from(value) >> lo) & ((1 << width) - 1)) as u32
    }

    /// `value` with a field replaced; what does not fit the field is cut off.
    #[track_caller]
    pub fn with(&self, value: u32, name: &str, to: u32) -> u32 {
        let (lo, width) = self.field(name);
        let mask = (((1u64 << width) - 1) << lo) as u32;
        (value & !mask) | ((u64::from(to) << lo) as u32 & mask)
    }
}

/// Value of [`MAGIC`]: "SEQN".
pub const MAGIC_VALUE: u32 = u32::from_le_bytes(*b"SEQN");
/// Rings, and so registers of each kind.
pub const RINGS: u32 = Ring::ALL.len() as u32;
/// Bytes from one ring's registers to the next one's.
pub const RING_STRIDE: u32 = 0x40;

use Access::{ClearOnOne, Constant, Read, ReadWrite, Write};

pub const MAGIC: Register = Register::new(
    "magic",
    0x000,
    Constant,
    "Which card this is: \"SEQN\"",
    &[field("magic", 32, "0x4e514553")],
);
pub const SPEC_VERSION: Register = Register::new(
    "spec_version",
    0x004,
    Constant,
    "Version of the layouts (`seqnic_spec::SPEC_VERSION`)",
    &[field("version", 32, "version")],
);
pub const SPEC_DIGEST: Register = Register::new(
    "spec_digest",
    0x008,
    Constant,
    "Digest of tables, records, counters, reasons: that of images",
    &[field("digest", 32, "CRC-32C")],
);
pub const HOST_DIGEST: Register = Register::new(
    "host_digest",
    0x00c,
    Constant,
    "Digest of registers and rings",
    &[field("digest", 32, "CRC-32C")],
);
pub const GEOMETRY_DIGEST: Register = Register::new(
    "geometry_digest",
    0x010,
    Constant,
    "Digest of the geometry: that of images",
    &[field("digest", 32, "CRC-32C")],
);
pub const SHAPE: Register = Register::new(
    "shape",
    0x014,
    Constant,
    "Numbers of the geometry; rows are in `table_size`",
    &[
        field("ports", 8, "Ethernet ports"),
        field("bus_bytes", 8, "bytes of the stream bus and of the DMA's"),
        field("rings", 8, "rings"),
        field("vectors", 8, "interrupt vectors"),
    ],
);
pub const GEOMETRY_NAME: Register = Register::new(
    "geometry_name",
    0x020,
    Constant,
    "Name of the geometry, ASCII, first letter lowest, padded with 0",
    &[field("letters", 32, "four letters")],
)
.many(4, 4);
pub const SOURCE_SHA: Register = Register::new(
    "source_sha",
    0x030,
    Constant,
    "SHA-1 of the commit the card was built from, first byte lowest; 0: not said",
    &[field("bytes", 32, "four bytes")],
)
.many(5, 4);
pub const SCRATCH: Register = Register::new(
    "scratch",
    0x044,
    ReadWrite,
    "For the driver to see that registers answer; survives its reset",
    &[field("value", 32, "any")],
);
pub const HEARTBEAT: Register = Register::new(
    "heartbeat",
    0x048,
    Read,
    "Clocks since the card was started: stands still where its clock does",
    &[field("clocks", 32, "modulo 2^32")],
);
pub const TIME_LOW: Register = Register::new(
    "time_low",
    0x050,
    Read,
    "The card's time; reading it holds `time_high` until the next read",
    &[field("low", 32, "ns, low half")],
);
pub const TIME_HIGH: Register = Register::new(
    "time_high",
    0x054,
    Read,
    "High half of the time `time_low` was read from",
    &[field("high", 32, "ns, high half")],
);
pub const CONTROL: Register = Register::new(
    "control",
    0x060,
    Write,
    "Reset of the host's side: all rings stop, vectors are disarmed and masked, errors forgotten. As a function level reset",
    &[field("reset", 1, "1: reset")],
);
pub const CARD_STATE: Register = Register::new(
    "card_state",
    0x064,
    Read,
    "What is going on",
    &[
        field(
            "resetting",
            1,
            "a reset is going on: a ring still waits for a transfer",
        ),
        field("core_busy", 1, "a frame is inside of the pipeline"),
    ],
);
pub const PENDING: Register = Register::new(
    "pending",
    0x068,
    Read,
    "Vectors with something pending, armed or not; for drivers without interrupts",
    &[field("vectors", VECTORS, "a bit a vector")],
);
pub const ENABLE: Register = Register::new(
    "enable",
    0x06c,
    ReadWrite,
    "Vectors that may fire; 0 after a reset. One that was held back fires when it may",
    &[field("vectors", VECTORS, "a bit a vector")],
);
pub const ERRORS: Register = Register::new(
    "errors",
    0x070,
    ClearOnOne,
    "Rings that were stopped with an error since the bit was cleared; the error vector fires when one is set",
    &[field("rings", RINGS, "a bit a ring")],
);
pub const LINK: Register = Register::new(
    "link",
    0x074,
    Read,
    "Which ports have a link; one that is not connected has none",
    &[field("up", 16, "a bit a port")],
);
pub const LINK_CHANGED: Register = Register::new(
    "link_changed",
    0x078,
    ClearOnOne,
    "Ports whose link has changed since the bit was cleared; the error vector fires when one is set",
    &[field("ports", 16, "a bit a port")],
);

pub const WINDOW_ADDRESS: Register = Register::new(
    "window_address",
    0x100,
    ReadWrite,
    "Row for the next command of the window",
    &[
        field("row", 24, "row"),
        field("table", 8, "table or counter set"),
    ],
);
pub const WINDOW_COMMAND: Register = Register::new(
    "window_command",
    0x104,
    Write,
    "Writes `window_data` to the row in one clock, or reads the row to there; one written while another is going on is lost",
    &[field("op", 2, "1 write, 2 read")],
);
pub const WINDOW_STATE: Register = Register::new(
    "window_state",
    0x108,
    Read,
    "0 when the command is done",
    &[field("busy", 1, "going on")],
);
pub const WINDOW_DATA: Register = Register::new(
    "window_data",
    0x140,
    ReadWrite,
    "The row, lowest bits first",
    &[field("bits", 32, "32 bits of the row")],
)
.many(16, 4);

pub const QUEUE_OF_REASON: Register = Register::new(
    "queue_of_reason",
    0x200,
    Write,
    "Ring of packets to the host with that reason; not touched by a reset, 0 at power-up",
    &[field("ring", 2, "0 to 3")],
)
.many(1 << REASON_BITS, 4);
pub const TABLE_SIZE: Register = Register::new(
    "table_size",
    0x400,
    Constant,
    "Size of the table or counter set of that number; 0: there is none",
    &[field("rows", 22, "rows"), field("bits", 10, "bits a row")],
)
.many(128, 4);

pub const RING_BASE_LOW: Register = Register::new(
    "ring_base_low",
    0x1000,
    ReadWrite,
    "Address of the ring, a multiple of 4096",
    &[field("address", 32, "low half")],
)
.many(RINGS, RING_STRIDE);
pub const RING_BASE_HIGH: Register = Register::new(
    "ring_base_high",
    0x1004,
    ReadWrite,
    "Its high half",
    &[field("address", 32, "high half")],
)
.many(RINGS, RING_STRIDE);
pub const RING_STATUS_LOW: Register = Register::new(
    "ring_status_low",
    0x1008,
    ReadWrite,
    "Address of the status line, a multiple of 64",
    &[field("address", 32, "low half")],
)
.many(RINGS, RING_STRIDE);
pub const RING_STATUS_HIGH: Register = Register::new(
    "ring_status_high",
    0x100c,
    ReadWrite,
    "Its high half",
    &[field("address", 32, "high half")],
)
.many(RINGS, RING_STRIDE);
pub const RING_SIZE: Register = Register::new(
    "ring_size",
    0x1010,
    ReadWrite,
    "log2 of the ring's lines, 9 to 20",
    &[field("log2", 5, "9: 32 KiB; 20: 64 MiB")],
)
.many(RINGS, RING_STRIDE);
pub const RING_CONTROL: Register = Register::new(
    "ring_control",
    0x1014,
    ReadWrite,
    "Starts and stops the ring. What is above cannot be written while the ring is enabled or busy",
    &[field(
        "enable",
        1,
        "1: runs; set by 0 to 1, indexes and counts are 0 and the error is forgotten",
    )],
)
.many(RINGS, RING_STRIDE);
pub const RING_STATE: Register = Register::new(
    "ring_state",
    0x1018,
    Read,
    "What the ring does",
    &[
        field("running", 1, "enabled and not stopped by an error"),
        field(
            "busy",
            1,
            "a transfer is going on: the memory is still the card's",
        ),
        field("error", 3, "why it was stopped (`ring_error`)"),
    ],
)
.many(RINGS, RING_STRIDE);
pub const RING_INDEX: Register = Register::new(
    "ring_index",
    0x101c,
    Read,
    "The card's index, for debugging: the status line has it too",
    &[field("index", INDEX_BITS, "lines")],
)
.many(RINGS, RING_STRIDE);
pub const RING_DROPPED: Register = Register::new("ring_dropped", 0x1020, Read, "Packets the ring dropped since it was started; of packets to a ring that never ran: since power-up", &[field("packets", 32, "packets")]).many(RINGS, RING_STRIDE);
pub const RING_MODERATION: Register = Register::new(
    "ring_moderation",
    0x1024,
    ReadWrite,
    "When an armed vector of a card's ring fires: as soon as one of the two is reached",
    &[
        field("time", 24, "ns since the oldest pending record; 0: at once"),
        field("count", 8, "pending records; 0: only the time counts"),
    ],
)
.many(RINGS, RING_STRIDE);

pub const DOORBELL: Register = Register::new(
    "doorbell",
    0x2000,
    Write,
    "The driver's index, in a page of its own. Card's ring: up to where the driver has consumed; driver's ring: up to where it has produced",
    &[
        field("index", INDEX_BITS, "lines"),
        field("reserved", 31 - INDEX_BITS, "0"),
        field("arm", 1, "1: the vector may fire once"),
    ],
)
.many(RINGS, 4);

/// Every register, by offset.
pub const ALL: [&Register; 36] = [
    &MAGIC,
    &SPEC_VERSION,
    &SPEC_DIGEST,
    &HOST_DIGEST,
    &GEOMETRY_DIGEST,
    &SHAPE,
    &GEOMETRY_NAME,
    &SOURCE_SHA,
    &SCRATCH,
    &HEARTBEAT,
    &TIME_LOW,
    &TIME_HIGH,
    &CONTROL,
    &CARD_STATE,
    &PENDING,
    &ENABLE,
    &ERRORS,
    &LINK,
    &LINK_CHANGED,
    &WINDOW_ADDRESS,
    &WINDOW_COMMAND,
    &WINDOW_STATE,
    &WINDOW_DATA,
    &QUEUE_OF_REASON,
    &TABLE_SIZE,
    &RING_BASE_LOW,
    &RING_BASE_HIGH,
    &RING_STATUS_LOW,
    &RING_STATUS_HIGH,
    &RING_SIZE,
    &RING_CONTROL,
    &RING_STATE,
    &RING_INDEX,
    &RING_DROPPED,
    &RING_MODERATION,
    &DOORBELL,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pci::BAR_REGISTERS_BYTES;
    use std::collections::BTreeMap;

    #[test]
    fn registers_do_not_overlap_and_fit() {
        let mut taken = BTreeMap::new();
        for r in ALL {
            let bits: u32 = r.fields.iter().map(|f| f.width).sum();
            assert!(bits <= 32, "{}", r.name);
            for i in 0..r.count {
                assert!(r.at(i) % 4 == 0 && r.at(i) < BAR_REGISTERS_BYTES);
                assert_eq!(taken.insert(r.at(i), r.name), None, "{}", r.name);
            }
        }
    }

    #[test]
    fn fields_are_read_and_replaced() {
        let value = DOORBELL.with(0, "index", 0xabcdef) | DOORBELL.with(0, "arm", 1);
        assert_eq!(value, 0x80ab_cdef);
        assert_eq!(DOORBELL.get(value, "index"), 0xabcdef);
        assert_eq!(DOORBELL.get(value, "arm"), 1);
        assert_eq!(SCRATCH.with(7, "value", u32::MAX), u32::MAX);
        assert_eq!(RING_STATE.at(6), 0x1198);
    }
}
