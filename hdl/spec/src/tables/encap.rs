//! Table `encap`. What is in the headers a packet gets.

use crate::layout::{Layout, field};

pub const ENCAP_ROW: Layout = Layout {
    name: "encap_row",
    doc: "Tags and tunnels towards an attachment: what goes into the headers the engine adds",
    fields: &[
        field("v6", 1, "1: the outer IP header is IPv6"),
        field(
            "src",
            128,
            "outer source address as a number; IPv4 in the low 32 bits",
        ),
        field("dst", 128, "outer destination address"),
        field(
            "sum",
            16,
            "of an outer IPv4 header the ones' complement sum, carries added, of 0x4500, 0x4000 (DF), 0x4000 (TTL 64) and the words of both addresses; 0 for IPv6",
        ),
        field("vlan", 12, "VLAN ID of tag 0"),
        field("mpls", 20, "label of tag 0"),
        field("vni", 24, "VXLAN network identifier of tag 0"),
        field("gre", 32, "GRE key of tag 0"),
        field("spi", 24, "service path identifier of NSH"),
    ],
};
