//! The stream path: what carries the bytes of frames while the header path decides about them.
//!
//! In the order a beat takes; one file, one Verilog module, one set of tests each:
//!
//! | stage | what it does |
//! | --- | --- |
//! | [`ingress`] | one AXI4-Stream input: beats counted and masked, frames that are too long cut off |
//! | [`arbiter`] | frames of all inputs one after the other, as long as there is room inside |
//! | [`window`] | the first 192 bytes of each frame, for the header path |
//! | [`buffer`] | the beats, until the edits of the frame are known; each copy reads them again |
//! | [`sequencer`] | a verdict becomes one order for `prepare` per copy |
//! | [`editor`] | puts a copy's new headers in front of its packet and overlays what is edited |
//! | [`host_limit`] | which exceptions the host takes no more of |
//! | [`dispatch`] | to which output, or dropped whole; the event that is counted |
//! | [`egress`], [`egress_queues`] | one output, its queue or queues, and its AXI4-Stream |
//! | [`scheduler`] | which queue of an output is served next |
//! | [`counters`] | the counter sets |
//! | [`counter_set`], [`response`], [`seen`] | one set; samples of times; arrivals of the last packets |
//! | [`walk`] | the snapshot of all sets, a part of [`counters`] |
//!
//! Between the stages there are four internal promises:
//! * Nothing behind the arbiter is ever stalled: it admits a beat only if the buffer has room and
//!   a frame only if the header path has a slot; an output without room drops a frame whole.
//! * Every beat except a frame's last is full; bytes behind the last are zero.
//! * Headers, verdicts and edits come in the order of the frames.
//! * A valid bit is reset, data next to it is not.

pub mod arbiter;
pub mod buffer;
pub mod counter_set;
pub mod counters;
pub mod dispatch;
pub mod editor;
pub mod egress;
pub mod egress_queues;
pub mod host_limit;
pub mod ingress;
pub mod response;
pub mod scheduler;
pub mod seen;
pub mod sequencer;
pub mod walk;
pub mod window;

#[cfg(test)]
pub(crate) mod testbench;

use seqnic_gen::{Bits, Record, Sig, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::Layout;
use seqnic_spec::stage::EDIT;
use seqnic_spec::tables::width;
use seqnic_spec::wire::{MAX_FRAME_BYTES, MAX_PREFIX};

/// Edits that may wait between `prepare` and the editor. Covers the latency of `prepare` and the
/// loop back to the sequencer, so that one-beat frames pass at one a clock; few are on their way where
/// copies are some clocks apart.
pub fn edit_slots(g: &Geometry) -> u32 {
    match g.clocks_per_header {
        1 => 32,
        _ => buffer::PLACES,
    }
}

/// Bits of a frame length in bytes.
pub const LENGTH_BITS: u32 = 14;

/// Bytes of the longest frame that leaves: all headers are put on, only an Ethernet header was there.
pub const LONGEST_OUT: u32 = MAX_FRAME_BYTES + MAX_PREFIX - 14;

/// Bits that hold the number of bytes in a beat, 1 to `bus_bytes`.
pub fn count_bits(g: &Geometry) -> u32 {
    clog2(g.bus_bytes) + 1
}

/// One bit for each of `bytes` bytes: the lowest `count` of them are set.
pub(crate) fn kept(count: Sig<'_>, bytes: u32) -> Sig<'_> {
    let all = count.module().lit_bits(&Bits::ones(bytes));
    !all.shl_by(count)
}

/// The bytes of `data` for which there is a bit in `keep`, zero elsewhere.
pub(crate) fn cleared<'m>(data: Sig<'m>, keep: Sig<'m>) -> Sig<'m> {
    let wide: Vec<_> = (keep.bits().into_iter().rev())
        .map(|bit| bit.repl(8))
        .collect();
    data & data.module().concat(&wide)
}

/// Whether `a` is the smaller, without a carry chain, which of few bits costs more than their two levels.
pub(crate) fn less<'m>(a: Sig<'m>, b: Sig<'m>) -> Sig<'m> {
    match a.width() {
        1 => !a & b,
        width => {
            let low = width / 2;
            let high = |sig: Sig<'m>| sig.slice(low, width - low);
            let same = high(a).eq(high(b));
            less(high(a), high(b)) | (same & less(a.trunc(low), b.trunc(low)))
        }
    }
}

/// Bits of a beat's data.
pub fn data_bits(g: &Geometry) -> u32 {
    g.bus_bytes * 8
}

/// One beat of a frame between [`ingress`] and [`buffer`].
pub fn beat(g: &Geometry) -> Record {
    Record::new(
        "beat",
        [
            ("data", data_bits(g)),
            ("count", count_bits(g)),
            ("last", 1),
            // With the last beat: the frame was cut off here.
            ("error", 1),
        ],
    )
}

/// A beat with the sideband of its frame, between [`ingress`] and [`arbiter`].
pub fn tagged_beat(g: &Geometry) -> Record {
    let fields = [
        ("data", data_bits(g)),
        ("count", count_bits(g)),
        ("last", 1),
        ("error", 1),
        ("tag", 64),
        ("port", width::PORT),
    ];
    Record::new("tagged_beat", fields)
}

/// What the buffer says of one beat of a copy that is to leave, two clocks before its bytes.
pub fn slot(g: &Geometry) -> Record {
    Record::new(
        "slot",
        [
            // First beat of a copy; the copy's EDIT comes with it.
            ("first", 1),
            // First beat with bytes of the packet; none before it has any.
            ("starts", 1),
            // It has bytes of the packet.
            ("packet", 1),
            // The two beats of the frame that are read: is the lower in the odd bank, does it belong to
            // the frame, does the higher.
            ("odd", 1),
            ("low", 1),
            ("high", 1),
            // Last beat of the copy.
            ("last", 1),
            // Bytes of the beat; meaningful with `last`, all others are full.
            ("count", count_bits(g)),
            // The frame was cut off; meaningful with `last`.
            ("error", 1),
        ],
    )
}

/// Fields of EDIT that stay with the copy after its bytes are edited.
const META_FIELDS: [&str; 24] = [
    "tag",
    "first",
    "last",
    "in_port",
    "out_port",
    "reason",
    "interface_valid",
    "interface",
    "sender_valid",
    "sender",
    "class_valid",
    "class",
    "direction",
    "priority",
    "rule_valid",
    "rule",
    "action",
    "out_attachment",
    "out_interface",
    "comes_from",
    "opening",
    "answering",
    "flow_in",
    "flow_out",
];

/// What stays of a copy's EDIT next to its beats, from [`editor`] to [`dispatch`].
pub fn meta() -> Record {
    Record::new("meta", META_FIELDS.map(|name| (name, EDIT.at(name).1)))
}

/// One beat of an edited copy.
pub fn edited_beat(g: &Geometry) -> Record {
    Record::new(
        "edited_beat",
        [
            ("data", data_bits(g)),
            ("count", count_bits(g)),
            ("first", 1),
            ("last", 1),
            // With the last beat: the frame was cut off.
            ("error", 1),
        ],
    )
}

/// End of a copy, before it is known whether its output had room.
pub fn ending() -> Record {
    Record::new(
        "ending",
        [
            ("error", 1),
            ("length_in", LENGTH_BITS),
            ("length_out", LENGTH_BITS),
        ],
    )
}

/// The record of a layout.
pub(crate) fn record(layout: &Layout) -> Record {
    layout.into()
}
