//! The records handed from stage to stage inside the pipeline.

use crate::layout::{Layout, field};
use crate::reason::REASON_BITS;
use crate::tables::{tag_kind, width};

/// Kinds of transport header, as the editor needs them.
pub mod l4 {
    /// No checksum of ours and no ports: other protocols, later fragments.
    pub const NONE: u32 = 0;
    pub const TCP: u32 = 1;
    pub const UDP: u32 = 2;
    pub const SCTP: u32 = 3;
    pub const ICMPV6: u32 = 4;
}

/// Result of the header path, one a packet, waiting for the editor.
pub const VERDICT: Layout = Layout {
    name: "verdict",
    doc: "What the tables decided, and what the editor must know of the packet",
    fields: &[
        field(
            "tag",
            64,
            "the packet's tuser at its port: when it arrived, ns",
        ),
        field("port", width::PORT, "port of arrival"),
        field(
            "epoch",
            1,
            "version of the tables that holds for this packet",
        ),
        field(
            "reason",
            REASON_BITS,
            "0: directed; otherwise the one copy goes to the host unedited",
        ),
        field("interface_valid", 1, "the interface of arrival is known"),
        field("interface", width::INTERFACE, "interface of arrival"),
        field("sender_valid", 1, "the sender is a known attachment"),
        field("sender", width::ATTACHMENT, "its attachment number"),
        field(
            "class_valid",
            1,
            "class found, and reason is 0, wrong_sender or denied (or policed, later)",
        ),
        field("class", width::CLASS, "class number"),
        field("direction", 1, "0 forward, 1 return"),
        field("action", width::ACTION, "first row in `action`"),
        field(
            "copies",
            width::COPIES,
            "rows there, at least 1 when directed",
        ),
        field(
            "rule_valid",
            1,
            "a rule, or the default of a rule set, decided it",
        ),
        field("rule", width::RULE, "number that counts under"),
        field(
            "neighbour_valid",
            1,
            "the destination address is a neighbour's",
        ),
        field("neighbour", width::ATTACHMENT, "its attachment"),
        field("priority", width::PRIORITY, "of all its copies"),
        field(
            "meter",
            width::METER,
            "row in `meter`, 0 unless the packet starts its way and its class has one",
        ),
        field(
            "l3",
            8,
            "bytes of the frame in front of the IP header, at most 132",
        ),
        field("v6", 1, "IPv6"),
        field("ip_length", 17, "bytes of the IP packet by its own header"),
        field("protocol", 8, "IP protocol, behind extension headers"),
        field("l4", 3, "kind of transport header (`l4`)"),
        field(
            "l4_offset",
            7,
            "bytes from the start of the IP header to the transport header",
        ),
        field(
            "udp_no_checksum",
            1,
            "UDP over IPv4 with checksum 0: stays 0 (RFC 768)",
        ),
        field("src", 128, "source address as it arrived"),
        field("dst", 128, "destination address as it arrived"),
        field("sport", 16, "source port as it arrived"),
        field("dport", 16, "destination port as it arrived"),
        field(
            "traffic_class",
            8,
            "IPv4 TOS or IPv6 traffic class as it arrived",
        ),
        field(
            "ip_checksum",
            16,
            "IPv4 header checksum as it arrived, 0 for IPv6",
        ),
        field(
            "l4_checksum",
            16,
            "checksum of TCP, UDP or ICMPv6 as it arrived, else 0",
        ),
        field("opening", 1, "TCP with SYN and without ACK"),
        field("answering", 1, "TCP with SYN and ACK, or with RST"),
    ],
};

/// All edits of one copy, worked out before its first beat is read: the editor only overlays bytes.
pub const EDIT: Layout = Layout {
    name: "edit",
    doc: "One copy to be made",
    fields: &[
        field("tag", 64, "the packet's tuser at its port"),
        field("first", 1, "first copy of its packet"),
        field("last", 1, "last copy: its packet leaves the buffer"),
        field("in_port", width::PORT, "port of arrival"),
        field(
            "out_port",
            width::PORT,
            "port it leaves through; the host port for exceptions",
        ),
        field(
            "reason",
            REASON_BITS,
            "the packet's reason; or policed, or that of a copy that is not sent (too_big, unavailable...): then this copy goes to the host",
        ),
        field("interface_valid", 1, "the interface of arrival is known"),
        field("interface", width::INTERFACE, "interface of arrival"),
        field("sender_valid", 1, "the sender is a known attachment"),
        field("sender", width::ATTACHMENT, "its attachment number"),
        field("class_valid", 1, "the class is known"),
        field("class", width::CLASS, "class number"),
        field("direction", 1, "0 forward, 1 return"),
        field(
            "priority",
            width::PRIORITY,
            "of the packet; what goes to the host has that of its reason",
        ),
        field("rule_valid", 1, "a rule decided the packet"),
        field("rule", width::RULE, "its number"),
        field("action", width::ACTION, "action row of this copy"),
        field("out_attachment", width::ATTACHMENT, "attachment it goes to"),
        field(
            "out_interface",
            width::INTERFACE,
            "interface it leaves through",
        ),
        field(
            "comes_from",
            width::ATTACHMENT,
            "attachment from which it is to come back",
        ),
        field("opening", 1, "TCP with SYN and without ACK"),
        field("answering", 1, "TCP with SYN and ACK, or with RST"),
        field("flow_in", 16, "fold of the flow as it arrived"),
        field("flow_out", 16, "fold of the flow as it leaves"),
        field(
            "l2_valid",
            1,
            "1: everything in front of the IP header is replaced; 0 for the host: nothing is edited",
        ),
        field(
            "strip",
            8,
            "bytes taken off the start: all in front of the IP header; 0 for the host",
        ),
        field(
            "prefix",
            7,
            "bytes put in front of the rest: Ethernet header, tags, tunnel, at most 102; 0 for the host",
        ),
        field("tags_out", 2, "VLAN tags to put on"),
        field("vid0", width::VID, "outer VLAN ID"),
        field("vid1", width::VID, "inner VLAN ID"),
        field(
            "tag_kind",
            tag_kind::BITS,
            "tag header or tunnel behind them (`tag_kind`; the VLAN tag is among them)",
        ),
        field("outer_v6", 1, "outer IP header of a tunnel: IPv6"),
        field("outer_src", 128, "its source address"),
        field("outer_dst", 128, "its destination address"),
        field("outer_checksum", 16, "its checksum, of IPv4"),
        field(
            "outer_length",
            16,
            "its total length (IPv4) or payload length (IPv6)",
        ),
        field("udp_length", 16, "length in the UDP header of the tunnel"),
        field("udp_source", 16, "source port in it"),
        field("number", 32, "label (20), VNI (24) or GRE key (32)"),
        field("spi", 24, "service path identifier of NSH"),
        field("si", 8, "service index of NSH"),
        field("dst_mac", 48, "destination MAC"),
        field("src_mac", 48, "source MAC"),
        field("v6", 1, "IPv6: where the fields below stand"),
        field("src_valid", 1, "source address is replaced"),
        field("src", 128, "new source address"),
        field("dst_valid", 1, "destination address is replaced"),
        field("dst", 128, "new destination address"),
        field("traffic_class_valid", 1, "TOS or traffic class is replaced"),
        field(
            "traffic_class",
            8,
            "TOS or traffic class as sent, inside and outside",
        ),
        field("ip_checksum_valid", 1, "IPv4 header checksum is replaced"),
        field("ip_checksum", 16, "new IPv4 header checksum"),
        field("sport_valid", 1, "source port is replaced"),
        field("dport_valid", 1, "destination port is replaced"),
        field(
            "new_port",
            16,
            "the new port; one of the two is replaced at most",
        ),
        field(
            "l4_offset",
            7,
            "bytes from the IP header to the transport header",
        ),
        field("l4_checksum_valid", 1, "the transport checksum is replaced"),
        field(
            "l4_checksum_at",
            5,
            "its place in the transport header, bytes",
        ),
        field("l4_checksum", 16, "new transport checksum"),
    ],
};

/// Sideband of every frame that leaves through a port.
pub const PORT_META: Layout = Layout {
    name: "port_meta",
    doc: "What a port is told of a frame it sends",
    fields: &[
        field("tag", 64, "the packet's tuser at its port of arrival"),
        field("interface", width::INTERFACE, "interface it leaves through"),
        field("priority", width::PRIORITY, "of the packet, 7 the highest"),
        field(
            "error",
            1,
            "with the last beat: the frame was cut off, the MAC must not send it as good",
        ),
    ],
};

/// In front of every packet to the host, and the sideband of the host's stream.
pub const HOST_META: Layout = Layout {
    name: "host_meta",
    doc: "Why the host gets this packet, and where it came from",
    fields: &[
        field("tag", 64, "the packet's tuser at its port"),
        field("reason", REASON_BITS, "reason code"),
        field("port", width::PORT, "port of arrival"),
        field("interface_valid", 1, "the interface of arrival is known"),
        field("interface", width::INTERFACE, "interface of arrival"),
        field("sender_valid", 1, "the sender is a known attachment"),
        field("sender", width::ATTACHMENT, "its attachment number"),
        field(
            "class_valid",
            1,
            "the service is known (reasons wrong_sender and policed)",
        ),
        field("class", width::CLASS, "class number"),
        field(
            "direction",
            1,
            "0 forward, 1 return; meaningful with class_valid",
        ),
        field("priority", width::PRIORITY, "of the reason, 7 the highest"),
        field(
            "error",
            1,
            "with the last beat: the frame was cut off and is no frame",
        ),
    ],
};

/// One copy has left, or has been dropped at its output: what the counters are fed with.
pub const EVENT: Layout = Layout {
    name: "event",
    doc: "End of one copy",
    fields: &[
        field(
            "first",
            1,
            "first copy of its packet: also count what belongs to the packet",
        ),
        field("reason", REASON_BITS, "the packet's reason"),
        field("interface_valid", 1, "count interface_in"),
        field("interface", width::INTERFACE, "interface of arrival"),
        field("sender_valid", 1, "count attachment_in"),
        field("sender", width::ATTACHMENT, "sender"),
        field("class", width::CLASS, "class, counted when reason is 0"),
        field("direction", 1, "direction"),
        field("rule_valid", 1, "count rule"),
        field("rule", width::RULE, "rule number"),
        field("length_in", 14, "bytes of the frame as it arrived"),
        field(
            "sent",
            1,
            "0: this copy was dropped at its output (output_full)",
        ),
        field(
            "instead",
            REASON_BITS,
            "not 0: the host got the packet in place of this copy: counted with the length in, under this reason",
        ),
        field(
            "limited",
            1,
            "the host takes no more of this reason: dropped, counted with the length in beside the reason",
        ),
        field(
            "action",
            width::ACTION,
            "action row, counted when reason is 0 and the copy was sent",
        ),
        field("out_attachment", width::ATTACHMENT, "attachment it went to"),
        field(
            "out_interface",
            width::INTERFACE,
            "interface it left through",
        ),
        field("length_out", 14, "bytes of the frame as it left"),
        field("tag", 64, "when the frame arrived, ns"),
        field(
            "comes_from",
            width::ATTACHMENT,
            "attachment from which the copy is to come back",
        ),
        field("opening", 1, "TCP with SYN and without ACK"),
        field("answering", 1, "TCP with SYN and ACK, or with RST"),
        field("flow_in", 16, "fold of the flow as it arrived"),
        field("flow_out", 16, "fold of the flow as it left"),
    ],
};
