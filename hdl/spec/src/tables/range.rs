//! Table `range`. Port ranges of a scope.

use super::width;
use crate::layout::{Layout, field};

/// Range slots in one row of `range`.
pub const RANGE_SLOTS: u32 = 8;

pub const RANGE_SLOT: Layout = Layout {
    name: "range_slot",
    doc: "One range of a scope; of several that match the lowest slot wins",
    fields: &[
        field("valid", 1, "1: in use"),
        field(
            "role",
            2,
            "question it answers: 0 port_dst_server, 1 port_src_server, 2 port_dst_client, 3 port_src_client",
        ),
        field("any_protocol", 1, "1: every IP protocol"),
        field("protocol", 8, "IP protocol number"),
        field("first", 16, "first port"),
        field(
            "last",
            16,
            "last port; 0 to 65535 is every port, also when the port is unknown (later fragments)",
        ),
        field("class", width::CLASS, "class number"),
    ],
};
