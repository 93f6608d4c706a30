//! Table `action`. Where a copy goes and what is edited.

use super::width;
use crate::layout::{Layout, field};

/// Tags a copy leaves with, in `action.tag_kind`. (The DSCP is set by `action.dscp`.)
pub mod tag_kind {
    pub const BITS: u32 = 4;
    pub const NONE: u32 = 0;
    pub const VLAN: u32 = 1;
    pub const MPLS: u32 = 2;
    /// NSH of metadata type 1 behind Ethernet.
    pub const NSH1: u32 = 3;
    /// NSH of metadata type 2, without metadata, behind Ethernet.
    pub const NSH2: u32 = 4;
    pub const VXLAN: u32 = 5;
    /// NSH of metadata type 1 in VXLAN-GPE.
    pub const GPE1: u32 = 6;
    /// NSH of metadata type 2 in VXLAN-GPE.
    pub const GPE2: u32 = 7;
    pub const GRE: u32 = 8;
}

pub const ACTION_ROW: Layout = Layout {
    name: "action_row",
    doc: "One copy of a packet: where it goes and what is edited",
    fields: &[
        field("attachment", width::ATTACHMENT, "attachment it goes to"),
        field(
            "pool",
            width::POOL,
            "it goes to `attachment` + so many low bits of the digest of the client's address: buckets of a pool",
        ),
        field(
            "route",
            1,
            "1: if the destination address is a neighbour, to that neighbour instead",
        ),
        field(
            "nat",
            1,
            "1: destination address becomes the attachment's address",
        ),
        field(
            "rewrite_valid",
            1,
            "1: source address becomes that of row `rewrite`",
        ),
        field("rewrite", width::REWRITE, "row in `rewrite`"),
        field(
            "port_field",
            2,
            "port edit: 0 none, 1 source port, 2 destination port",
        ),
        field("port_add", 16, "added to that port modulo 2^16"),
        field("dscp_valid", 1, "1: the DSCP is set"),
        field("dscp", 6, "DSCP (RFC 2474)"),
        field(
            "tag_kind",
            tag_kind::BITS,
            "tag the copy leaves with (`tag_kind`)",
        ),
        field(
            "tag",
            width::TAG,
            "its number, added to the base of the attachment's row in `encap`",
        ),
    ],
};
