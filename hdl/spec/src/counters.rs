//! Counter sets: each row counts packets and bytes, 64 bits each.
//!
//! All sets can be read as of one event, while events go on ([`SNAPSHOT_ITEM`]).
//!
//! All sets are fed by one event a copy, at the end of the frame (see [`crate::stage::EVENT`]):
//! what belongs to the packet that came in is counted with its first copy, what belongs to a
//! frame that went out with each copy.

use crate::geometry::Geometry;
use crate::layout::{Layout, field};
use crate::tables::width;
use serde::Serialize;

pub const COUNTER_ROW: Layout = Layout {
    name: "counter_row",
    doc: "One counter",
    fields: &[
        field("packets", 64, "packets"),
        field("bytes", 64, "bytes of the frame without FCS"),
    ],
};

/// Number on the configuration port behind the sets': the snapshot. Writing row 0 starts one (nothing happens
/// while one runs); reading row 0 gives [`SNAPSHOT_STATUS`], reading row 1 takes an item
/// ([`SNAPSHOT_TAKEN`]).
pub const SNAPSHOT: u8 = 127;

const ITEM_FIELDS: [crate::layout::Field; 5] = [
    field(
        "set",
        7,
        "number of the counter set; of the last item, that of the snapshot",
    ),
    field(
        "row",
        width::ACTION,
        "row; of the last item 1: torn, the taker was too slow and rows are missing",
    ),
    field(
        "packets",
        64,
        "packets; of the last item the arrival of the newest packet counted, ns",
    ),
    field(
        "bytes",
        64,
        "bytes; of the last item how many items came before it",
    ),
    field("last", 1, "nothing comes behind it"),
];

/// One row of a snapshot. A row whose count was zero is left out, every other comes once, in no order that
/// means anything.
pub const SNAPSHOT_ITEM: Layout = Layout {
    name: "snapshot_item",
    doc: "What one row counted when the snapshot was begun",
    fields: &ITEM_FIELDS,
};

pub const SNAPSHOT_TAKEN: Layout = Layout {
    name: "snapshot_taken",
    doc: "An item of the snapshot, if one waits",
    fields: &[
        ITEM_FIELDS[0],
        ITEM_FIELDS[1],
        ITEM_FIELDS[2],
        ITEM_FIELDS[3],
        ITEM_FIELDS[4],
        field("valid", 1, "1: this is an item, and it is taken"),
    ],
};

pub const SNAPSHOT_STATUS: Layout = Layout {
    name: "snapshot_status",
    doc: "How far the snapshot is",
    fields: &[
        field("running", 1, "begun, and its last item does not wait yet"),
        field("torn", 1, "a row of the newest snapshot is missing"),
        field("count", 32, "snapshots ended since reset"),
    ],
};

/// Buckets of a row of `attachment_time`.
pub const TIME_BUCKETS: u32 = 16;
/// The times of the lowest bucket are below 2^11 ns, those of each other bucket up to twice as long.
pub const TIME_LOWEST_BITS: u32 = 11;
/// Bits of a time that is counted, ns: a packet that has not come back for as long is waited for no more.
pub const TIME_BITS: u32 = 30;

/// A set of counters. The number follows the tables' on the configuration port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CounterSet {
    /// By reason code: every packet that came in once, plus copies dropped at an output.
    Reason = 64,
    /// By interface number: frames that arrived on a defined interface.
    InterfaceIn = 65,
    /// By interface number: frames sent.
    InterfaceOut = 66,
    /// By attachment number: frames whose sender is that attachment.
    AttachmentIn = 67,
    /// By attachment number: frames sent to it.
    AttachmentOut = 68,
    /// By class * 2 + direction: directed packets, bytes as they arrived.
    Class = 69,
    /// By action row: copies sent, bytes as they left.
    Action = 70,
    /// By attachment number: packets sent to it that open a TCP connection. No bytes.
    AttachmentSyn = 71,
    /// By attachment number: packets from it that answer one, or refuse. No bytes.
    AttachmentAnswer = 72,
    /// By attachment number * 16 + bucket: times until packets sent came back from it; bytes is their sum in ns.
    AttachmentTime = 73,
    /// By attachment number: arrival of the last packet from it, ns, as packets. No count: the newest.
    AttachmentSeen = 74,
    /// By rule number: first packets it decided, bytes as they arrived.
    Rule = 75,
}

impl CounterSet {
    pub const ALL: [CounterSet; 12] = [
        CounterSet::Reason,
        CounterSet::InterfaceIn,
        CounterSet::InterfaceOut,
        CounterSet::AttachmentIn,
        CounterSet::AttachmentOut,
        CounterSet::Class,
        CounterSet::Action,
        CounterSet::AttachmentSyn,
        CounterSet::AttachmentAnswer,
        CounterSet::AttachmentTime,
        CounterSet::AttachmentSeen,
        CounterSet::Rule,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            CounterSet::Reason => "reason",
            CounterSet::InterfaceIn => "interface_in",
            CounterSet::InterfaceOut => "interface_out",
            CounterSet::AttachmentIn => "attachment_in",
            CounterSet::AttachmentOut => "attachment_out",
            CounterSet::Class => "class",
            CounterSet::Action => "action",
            CounterSet::AttachmentSyn => "attachment_syn",
            CounterSet::AttachmentAnswer => "attachment_answer",
            CounterSet::AttachmentTime => "attachment_time",
            CounterSet::AttachmentSeen => "attachment_seen",
            CounterSet::Rule => "rule",
        }
    }

    /// Rows of the set in a geometry.
    pub fn rows(self, g: &Geometry) -> u32 {
        match self {
            CounterSet::Reason => 1 << crate::reason::REASON_BITS,
            CounterSet::InterfaceIn | CounterSet::InterfaceOut => g.interfaces,
            CounterSet::AttachmentIn
            | CounterSet::AttachmentOut
            | CounterSet::AttachmentSyn
            | CounterSet::AttachmentAnswer
            | CounterSet::AttachmentSeen => g.attachment_rows,
            CounterSet::AttachmentTime => g.timed * TIME_BUCKETS,
            CounterSet::Class => g.class_rows * 2,
            CounterSet::Action => g.action_rows,
            CounterSet::Rule => g.rules,
        }
    }
}

/// Bucket of a time in ns (below 2^[`TIME_BITS`]).
pub const fn time_bucket(ns: u64) -> u32 {
    let bits = u64::BITS - ns.leading_zeros();
    let bucket = bits.saturating_sub(TIME_LOWEST_BITS);
    if bucket < TIME_BUCKETS {
        bucket
    } else {
        TIME_BUCKETS - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_double() {
        assert_eq!((time_bucket(0), time_bucket(2047)), (0, 0));
        for b in 1..TIME_BUCKETS - 1 {
            let from = 1 << (b + TIME_LOWEST_BITS - 1);
            assert_eq!((time_bucket(from), time_bucket(2 * from - 1)), (b, b));
        }
        assert_eq!((time_bucket(1 << 25), time_bucket((1 << 30) - 1)), (15, 15));
    }

    #[test]
    fn sets_have_numbers_of_their_own_in_a_row() {
        for (at, set) in CounterSet::ALL.into_iter().enumerate() {
            assert_eq!(set as usize, CounterSet::ALL[0] as usize + at);
            assert!((set as u8) < SNAPSHOT);
        }
    }
}
