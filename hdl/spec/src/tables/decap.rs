//! Table `decap`. Which tags and tunnels end at a port.

use super::accepts;
use crate::layout::{Layout, field};

pub const DECAP_ROW: Layout = Layout {
    name: "decap_row",
    doc: "Tag headers and tunnels a port takes off; row = port * 2 + epoch",
    fields: &[
        field("accepts", accepts::BITS, "what is recognised (`accepts`)"),
        field("v4_valid", 1, "1: tunnels over IPv4 end here"),
        field("v4", 32, "outer destination address of those"),
        field("v6_valid", 1, "1: tunnels over IPv6 end here"),
        field("v6", 128, "outer destination address of those"),
    ],
};
