//! Table `attachment`. Where a device is now.

use super::width;
use crate::layout::{Layout, field};

/// Whether an attachment is there, in `attachment.state`: what is not there says why as the reason of what is
/// sent to it.
pub mod attachment_state {
    use crate::reason::Reason;

    pub const BITS: u32 = 3;
    pub const HERE: u32 = 0;
    /// The device has failed, and nobody stands in for it.
    pub const UNAVAILABLE: u32 = 1;
    /// Its MAC is not known yet.
    pub const UNRESOLVED: u32 = 2;
    /// It has failed and is done without: copies to it are not made.
    pub const SKIPPED: u32 = 3;

    /// The reason of what is sent there; `None` if it is there.
    pub const fn reason(state: u32) -> Option<Reason> {
        match state {
            UNAVAILABLE => Some(Reason::Unavailable),
            UNRESOLVED => Some(Reason::Unresolved),
            SKIPPED => Some(Reason::Skipped),
            _ => None,
        }
    }
}

pub const ATTACHMENT_ROW: Layout = Layout {
    name: "attachment_row",
    doc: "Where a device is now; row = number * 2 + epoch. Fail-over and replacement rewrite this one word",
    fields: &[
        field("valid", 1, "1: in use"),
        field(
            "state",
            attachment_state::BITS,
            "whether it is there (`attachment_state`)",
        ),
        field(
            "port",
            width::PORT,
            "port of the card it is reached through",
        ),
        field(
            "interface",
            width::INTERFACE,
            "interface number, for counters",
        ),
        field("tags", 2, "VLAN tags on frames to it: 0, 1 or 2"),
        field("vid0", width::VID, "outer VLAN ID"),
        field("vid1", width::VID, "inner VLAN ID"),
        field("dst_mac", 48, "its MAC"),
        field("src_mac", 48, "the engine's MAC towards it"),
        field("v6", 1, "family of `address`"),
        field("address", 128, "its own address, for NAT mode"),
        field(
            "mtu",
            width::MTU,
            "longest IP packet towards it, with all headers the engine adds; 0: no limit",
        ),
        field(
            "encap",
            width::ENCAP,
            "row in `encap` for copies that leave with a tag",
        ),
        field(
            "comes_from",
            width::ATTACHMENT,
            "attachment from which packets sent to it come back: its own, or that of the device's other side",
        ),
        field(
            "counts",
            width::ATTACHMENT,
            "attachment that packets sent to it count as: itself, or of a pool's bucket the member that has it",
        ),
    ],
};
