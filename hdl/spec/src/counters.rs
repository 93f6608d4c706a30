//! Counter sets: each row counts packets and bytes, 64 bits each.
//!
//! All sets are fed by one event a copy, at the end of the frame (see [`crate::stage::EVENT`]):
//! what belongs to the packet that came in is counted with its first copy, what belongs to a
//! frame that went out with each copy.

use crate::geometry::Geometry;
use crate::layout::{Layout, field};
use serde::Serialize;

pub const COUNTER_ROW: Layout = Layout {
    name: "counter_row",
    doc: "One counter",
    fields: &[
        field("packets", 64, "packets"),
        field("bytes", 64, "bytes of the frame without FCS"),
    ],
};

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
}

impl CounterSet {
    pub const ALL: [CounterSet; 7] = [
        CounterSet::Reason,
        CounterSet::InterfaceIn,
        CounterSet::InterfaceOut,
        CounterSet::AttachmentIn,
        CounterSet::AttachmentOut,
        CounterSet::Class,
        CounterSet::Action,
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
        }
    }

    /// Rows of the set in a geometry.
    pub fn rows(self, g: &Geometry) -> u32 {
        match self {
            CounterSet::Reason => 1 << crate::reason::REASON_BITS,
            CounterSet::InterfaceIn | CounterSet::InterfaceOut => g.interfaces,
            CounterSet::AttachmentIn | CounterSet::AttachmentOut => g.attachment_rows,
            CounterSet::Class => g.class_rows * 2,
            CounterSet::Action => g.action_rows,
        }
    }
}
