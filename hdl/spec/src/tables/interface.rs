//! Table `interface`. Where a packet arrived: port and VLANs to interface and segment.

use super::{accepts, width};
use crate::layout::{Layout, field};

pub const INTERFACE_KEY: Layout = Layout {
    name: "interface_key",
    doc: "Where a packet arrived",
    fields: &[
        field("port", width::PORT, "port of the card"),
        field(
            "vid0",
            width::VID,
            "outer VLAN ID, 0 when untagged or priority-tagged",
        ),
        field(
            "vid1",
            width::VID,
            "inner VLAN ID, 0 when there is no second tag",
        ),
    ],
};

pub const INTERFACE_VALUE: Layout = Layout {
    name: "interface_value",
    doc: "The interface of that port and VLAN",
    fields: &[
        field(
            "interface",
            width::INTERFACE,
            "interface number, for counters and reports",
        ),
        field(
            "segment",
            width::SEGMENT,
            "number of this port and VLAN: one Ethernet segment",
        ),
        field(
            "mac",
            48,
            "the engine's MAC here; the first byte on the wire is the highest",
        ),
        field("promiscuous", 1, "1: take frames for any MAC"),
        field(
            "tracking",
            1,
            "position of what arrives here without a tag: 0 by source MAC, 1 by segment",
        ),
        field("accepts", accepts::BITS, "tags read here (`accepts`)"),
        field("trust", 1, "1: the packet's DSCP chooses its priority"),
    ],
};
