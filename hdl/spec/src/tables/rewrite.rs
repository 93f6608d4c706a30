//! Table `rewrite`. Which source address a packet gets.

use crate::layout::{Layout, field};

pub const REWRITE_ROW: Layout = Layout {
    name: "rewrite_row",
    doc: "An address packets get as source: the service address on the way back from a NAT mode server",
    fields: &[
        field("v6", 1, "1: IPv6"),
        field(
            "address",
            128,
            "the address as a number; IPv4 in the low 32 bits",
        ),
    ],
};
