//! Widths, positions and the records of every table: keys, values and rows.

use crate::layout::{Layout, field};

/// Widths of the numbers that name things, in bits.
pub mod width {
    pub const PORT: u32 = 4;
    pub const VID: u32 = 12;
    pub const INTERFACE: u32 = 10;
    pub const SEGMENT: u32 = 12;
    pub const ATTACHMENT: u32 = 16;
    pub const SCOPE: u32 = 20;
    pub const RANGE: u32 = 16;
    pub const CLASS: u32 = 20;
    pub const ACTION: u32 = 22;
    pub const COPIES: u32 = 4;
    pub const POSITION: u32 = 20;
    pub const REWRITE: u32 = 16;
    pub const METER: u32 = 16;
    pub const PRIORITY: u32 = 3;
    pub const ENCAP: u32 = 12;
    pub const TAG: u32 = 8;
    pub const MTU: u32 = 14;
    /// Bits of a bucket, written.
    pub const POOL: u32 = 4;
    /// Bits of a bucket at most.
    pub const BUCKET: u32 = 10;
    /// Number of a rule set.
    pub const SET: u32 = 12;
    pub const RULE: u32 = 16;
    pub const ACL: u32 = 5;
}

/// Versions of the tables that can be told apart at one time.
pub const EPOCHS: u32 = 2;
/// Range slots in one row of `range`.
pub const RANGE_SLOTS: u32 = 8;
/// Priorities, 0 the lowest.
pub const PRIORITIES: u32 = 1 << width::PRIORITY;
/// Rows of `queue` an output has: queues at most.
pub const OUTPUT_QUEUES: u32 = 8;
/// Rules in one row of `rule`: two, or one with long IPv6 prefixes.
pub const RULE_SLOTS: u32 = 2;
/// Widest row of any table in bits: the width of the configuration port.
pub const MAX_ROW_BITS: u32 = 512;

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

/// Tags the engine reads on arrival: bits of `interface.accepts` and `decap.accepts`.
pub mod accepts {
    pub const BITS: u32 = 7;
    pub const DSCP: u32 = 1 << 0;
    pub const VLAN: u32 = 1 << 1;
    pub const MPLS: u32 = 1 << 2;
    /// NSH behind Ethernet, EtherType 0x894F.
    pub const NSH: u32 = 1 << 3;
    pub const VXLAN: u32 = 1 << 4;
    /// VXLAN-GPE with NSH in it.
    pub const GPE: u32 = 1 << 5;
    pub const GRE: u32 = 1 << 6;
}

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

/// A position: who sent the packet, as the `step` table asks it.
pub const fn position(kind: u32, value: u32) -> u32 {
    kind << 16 | value
}

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

pub const SOURCE_KEY: Layout = Layout {
    name: "source_key",
    doc: "Who sent a packet",
    fields: &[
        field("segment", width::SEGMENT, "segment of arrival"),
        field("mac", 48, "source MAC"),
    ],
};
pub const SOURCE_VALUE: Layout = Layout {
    name: "source_value",
    doc: "The attachment with that MAC on that segment",
    fields: &[field("attachment", width::ATTACHMENT, "attachment number")],
};

pub const ADDRESS_KEY: Layout = Layout {
    name: "address_key",
    doc: "An IP address, asked for destination and for source",
    fields: &[
        field("v6", 1, "1: IPv6"),
        field(
            "address",
            128,
            "the address as a number; IPv4 in the low 32 bits",
        ),
    ],
};
pub const ADDRESS_VALUE: Layout = Layout {
    name: "address_value",
    doc: "What the engine knows of an address",
    fields: &[
        field(
            "scope",
            width::SCOPE,
            "scope of its port questions, 0 when it is no service address",
        ),
        field("range_valid", 1, "1: the scope has a row in `range`"),
        field("range", width::RANGE, "row in `range`"),
        field(
            "neighbour_valid",
            1,
            "1: a host or device the engine reaches directly",
        ),
        field("neighbour", width::ATTACHMENT, "its attachment"),
        field("local", 1, "1: an address of the engine itself"),
        field(
            "acl",
            width::ACL,
            "row in `acl` for first packets of this scope, 0: no rules",
        ),
        field("salted", 1, "1: the scope is part of the key of its rules"),
    ],
};

pub const PORT_KEY: Layout = Layout {
    name: "port_key",
    doc: "A service port within a scope",
    fields: &[
        field("scope", width::SCOPE, "scope of the address"),
        field("protocol", 8, "IP protocol number"),
        field("port", 16, "port; 0 for protocols without ports"),
    ],
};
pub const PORT_VALUE: Layout = Layout {
    name: "port_value",
    doc: "The class of the packet",
    fields: &[field("class", width::CLASS, "class number")],
};

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

pub const CLASS_ROW: Layout = Layout {
    name: "class_row",
    doc: "Where packets enter the sequence of a class: the step of senders that are not of the sequence",
    fields: &[
        field(
            "forward_action",
            width::ACTION,
            "first row in `action` for a packet entering forward",
        ),
        field(
            "forward_copies",
            width::COPIES,
            "rows there; 0: nobody enters forward",
        ),
        field(
            "return_action",
            width::ACTION,
            "first row in `action` for a packet entering on the return way",
        ),
        field(
            "return_copies",
            width::COPIES,
            "rows there; 0: nobody enters on the return way",
        ),
        field(
            "priority",
            width::PRIORITY,
            "priority where the DSCP is not trusted, 7 the highest",
        ),
        field("meter", width::METER, "row in `meter`, 0: not metered"),
        field(
            "set",
            width::SET,
            "rule set of its first packets, 0: none is asked",
        ),
        field(
            "permit",
            1,
            "1: a first packet that no rule holds is permitted",
        ),
        field("rule", width::RULE, "number such packets count under"),
    ],
};

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

pub const SEED_ROW: Layout = Layout {
    name: "seed_row",
    doc: "Hash seed of one way; row = table number * 4 + way",
    fields: &[field("seed", 32, "odd")],
};

pub const EPOCH_ROW: Layout = Layout {
    name: "epoch_row",
    doc: "Row 0: the epoch of packets that enter the tables now. Row 1, only read: 1 while a packet of the other epoch is inside",
    fields: &[field("epoch", 1, "0 or 1")],
};

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

/// Time of meters and limits, as [`METER_ROW`] and [`HOST_LIMIT_ROW`] have it and their states are kept in.
pub mod time {
    /// Units of a nanosecond: 2^16.
    pub const FRACTION_BITS: u32 = 16;
    /// Bits of a time since the start: nanoseconds (64) and their fraction.
    pub const BITS: u32 = 64 + FRACTION_BITS;
    /// Bits of the bytes that one packet is charged for at most.
    pub const BYTES_BITS: u32 = 14;
    pub const METER_COST_BITS: u32 = 36;
    pub const HOST_COST_BITS: u32 = 47;
    pub const TOLERANCE_BITS: u32 = 56;
}

pub const METER_ROW: Layout = Layout {
    name: "meter_row",
    doc: "Rate of a service, all its looks together; times in 2^-16 ns. Its state is no part of the row",
    fields: &[
        field("cost", time::METER_COST_BITS, "time a byte takes"),
        field(
            "tolerance",
            time::TOLERANCE_BITS,
            "time packets may come early: that of a burst",
        ),
    ],
};

pub const HOST_LIMIT_ROW: Layout = Layout {
    name: "host_limit_row",
    doc: "What the host gets of packets with a reason; row = reason code; times in 2^-16 ns",
    fields: &[
        field("limited", 1, "1: by rate"),
        field("closed", 1, "1: nothing"),
        field(
            "priority",
            width::PRIORITY,
            "priority on the way to the host",
        ),
        field("cost", time::HOST_COST_BITS, "time a packet takes"),
        field(
            "tolerance",
            time::TOLERANCE_BITS,
            "time packets may come early: that of a burst",
        ),
    ],
};

pub const DSCP_ROW: Layout = Layout {
    name: "dscp_row",
    doc: "Priority of what comes with a DSCP on a trusted interface; row = DSCP * 2 + epoch",
    fields: &[field("priority", width::PRIORITY, "7 the highest")],
};

pub const QUEUE_ROW: Layout = Layout {
    name: "queue_row",
    doc: "How a queue of an output is served; row = port * 8 + queue, queues of higher priorities have higher numbers",
    fields: &[
        field("strict", 1, "1: before all below it"),
        field("weight", 8, "share among the others, 0 is 1"),
    ],
};

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

pub const ACL_SLOT: Layout = Layout {
    name: "acl_slot",
    doc: "Which bits of a packet's rule key find its row in one bank of `rule`; the IP version and the salt always do",
    fields: &[
        field(
            "client",
            6,
            "of the client's address the first so many times 4 bits",
        ),
        field("server", 6, "of the other address"),
        field(
            "client_port",
            3,
            "of the client's port the first so many times 4 bits",
        ),
        field("port", 3, "of the other port"),
        field("protocol", 1, "1: the IP protocol"),
        field("arrival", 1, "1: the interface of arrival"),
    ],
};

/// The key whose bits choose rows of `rule`, before the masks of `acl`.
pub const RULE_KEY: Layout = Layout {
    name: "rule_key",
    doc: "What of a packet may find its rules",
    fields: &[
        field(
            "salt",
            width::SCOPE,
            "scope of the service's address if that is salted, else 0",
        ),
        field("v6", 1, "1: IPv6"),
        field(
            "client",
            128,
            "the client's address: source forward, destination on the return way; IPv4 in the high 32 bits",
        ),
        field("server", 128, "the other address"),
        field("client_port", 16, "the client's port, 0 without ports"),
        field("port", 16, "the other port"),
        field("protocol", 8, "IP protocol number"),
        field("arrival", width::INTERFACE, "interface of arrival"),
    ],
};

/// Kinds of a slot of `rule`.
pub mod rule_kind {
    /// Packets of either IP version; prefixes are empty.
    pub const ANY: u32 = 0;
    pub const V4: u32 = 1;
    /// Prefixes of at most 32 bits.
    pub const V6: u32 = 2;
    /// The other slot of the row has the rest of the prefixes.
    pub const V6_LONG: u32 = 3;
}

pub const RULE_SLOT: Layout = Layout {
    name: "rule_slot",
    doc: "A rule; row = bank * rows of a bank + what the key gives. Of those of the class's set that hold the lowest order wins",
    fields: &[
        field(
            "epochs",
            EPOCHS,
            "a bit for each epoch it holds in; 0: empty",
        ),
        field(
            "kind",
            2,
            "IP version (`rule_kind`); with 3, in slot 0 only, slot 1 has the rest",
        ),
        field(
            "client",
            32,
            "prefix of the client's address, from the highest bit; IPv6: its first 32 bits",
        ),
        field("client_bits", 6, "bits of it, at most 32"),
        field("server", 32, "prefix of the other address"),
        field("server_bits", 6, "bits of it, at most 32"),
        field("any_protocol", 1, "1: every IP protocol"),
        field("protocol", 8, "IP protocol number"),
        field("client_port_first", 16, "lowest port of the client"),
        field(
            "client_port_last",
            16,
            "highest; 0 to 65535 holds later fragments, too",
        ),
        field("port_first", 16, "lowest other port"),
        field(
            "port_last",
            16,
            "highest; 0 to 65535 holds later fragments, too",
        ),
        field("flags", 8, "TCP flags, those of `flags_mask` only"),
        field("flags_mask", 8, "TCP flags that are compared"),
        field(
            "size_first",
            14,
            "least bytes of the IP packet by its own header",
        ),
        field("size_last", 14, "most bytes; all ones: no limit"),
        field("forward", 1, "1: holds forward"),
        field("back", 1, "1: holds on the return way"),
        field("any_arrival", 1, "1: whatever interface it arrived on"),
        field("arrival", width::INTERFACE, "interface of arrival"),
        field("set", width::SET, "rule set it is of"),
        field("order", 16, "place in its set"),
        field("rule", width::RULE, "number it counts under"),
        field("permit", 1, "1: permits, 0: denies"),
    ],
};

pub const RULE_REST: Layout = Layout {
    name: "rule_rest",
    doc: "Slot 1 of a row whose slot 0 has long IPv6 prefixes",
    fields: &[
        field("epochs", EPOCHS, "0"),
        field(
            "client",
            96,
            "the client's address behind its first 32 bits",
        ),
        field("client_bits", 7, "bits of the prefix that lie there"),
        field("server", 96, "the other address"),
        field("server_bits", 7, "bits of the prefix that lie there"),
    ],
};

pub const POLICY_ROW: Layout = Layout {
    name: "policy_row",
    doc: "Another next hop for packets a rule permits; row = number of the rule",
    fields: &[
        field("valid", 1, "1: the packet goes there, its copies as ever"),
        field("attachment", width::ATTACHMENT, "attachment it goes to"),
    ],
};
