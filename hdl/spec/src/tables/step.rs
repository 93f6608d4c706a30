//! Table `step`. What next, from this sender.

use super::width;
use crate::layout::{Layout, field};

/// Kinds of position, in the upper bits of a position (see [`position`]).
pub mod position_kind {
    /// The sender is no attachment the tables know.
    pub const UNKNOWN: u32 = 0;
    /// An attachment, found by its segment and source MAC (tracking method 4).
    pub const ATTACHMENT: u32 = 1;
    /// The segment of arrival, whoever sent it (tracking method 5).
    pub const SEGMENT: u32 = 2;
    /// The DSCP it carries, of pool 2 (tracking method 1).
    pub const DSCP: u32 = 3;
    /// The innermost VLAN ID (tracking method 3, IEEE 802.1Q).
    pub const VLAN: u32 = 4;
    /// The MPLS label it carries (tracking method 3, RFC 3032).
    pub const MPLS: u32 = 5;
    /// The service index of its network service header (tracking method 3, RFC 8300).
    pub const NSH: u32 = 6;
    /// The VXLAN network identifier of its outer header (tracking method 2, RFC 7348).
    pub const VXLAN: u32 = 7;
    /// The key of its GRE header (tracking method 2, RFC 2890).
    pub const GRE: u32 = 8;
}

/// A position: who sent the packet, as the `step` table asks it.
pub const fn position(kind: u32, value: u32) -> u32 {
    kind << 16 | value
}

pub const STEP_KEY: Layout = Layout {
    name: "step_key",
    doc: "Where in a sequence a packet is",
    fields: &[
        field("class", width::CLASS, "class number"),
        field("direction", 1, "0 forward, 1 return"),
        field(
            "position",
            width::POSITION,
            "who sent it: kind (4 bits) above value (16 bits)",
        ),
    ],
};

pub const STEP_VALUE: Layout = Layout {
    name: "step_value",
    doc: "What happens to the packet there",
    fields: &[
        field("action", width::ACTION, "first row in `action`"),
        field(
            "copies",
            width::COPIES,
            "rows there, one a copy; 0: this sender has no step (wrong_sender), nor may it enter",
        ),
        field(
            "first",
            1,
            "1: the return way starts here: ACL and meter are asked, as they are at an entry",
        ),
    ],
};
