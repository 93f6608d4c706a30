//! The tables of the pipeline, in the order a packet meets them.
//!
//! A *hash* table is `ways` independent memories of `rows` rows; a row holds `slots` slots of
//! (valid, key, value). A key may stand in any slot of its bucket in any way. A *direct* table is
//! one memory, addressed by row number. The word of every update is one row of one memory,
//! written in one clock, so a packet meets the old row or the new one.

use crate::layout::{Layout, Row, field};
use serde::Serialize;

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
    pub const POSITION: u32 = 18;
    pub const REWRITE: u32 = 16;
}

/// Range slots in one row of `range`.
pub const RANGE_SLOTS: u32 = 8;
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
    /// A tag the packet carries (tracking methods 1 to 3).
    pub const TAG: u32 = 3;
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
            "position of what arrives here: 0 by source MAC, 1 by segment",
        ),
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
            "question it answers: 0 port_dst_server, 1 port_dst_client, 2 port_src_server, 3 port_src_client",
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
            "who sent it: kind (2 bits) above value (16 bits)",
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
    ],
};

pub const ACTION_ROW: Layout = Layout {
    name: "action_row",
    doc: "One copy of a packet: where it goes and what is edited",
    fields: &[
        field("attachment", width::ATTACHMENT, "attachment it goes to"),
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
    ],
};

pub const ATTACHMENT_ROW: Layout = Layout {
    name: "attachment_row",
    doc: "Where a device is now. Fail-over and replacement rewrite this one word",
    fields: &[
        field("valid", 1, "1: in use"),
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

/// Every table, in packet order. The number is its address on the configuration port and in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Table {
    Interface = 0,
    Source = 1,
    Address = 2,
    /// Destination address, destination port: a packet to a service.
    PortDstServer = 3,
    /// Destination address, source port: an answer to a client whose address is the key.
    PortDstClient = 4,
    /// Source address, source port: an answer of a service.
    PortSrcServer = 5,
    /// Source address, destination port: a packet from a client whose address is the key.
    PortSrcClient = 6,
    Range = 7,
    Class = 8,
    Step = 9,
    Action = 10,
    Attachment = 11,
    Rewrite = 12,
    /// Hash seeds.
    Seed = 13,
}

/// How a table is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Hash {
        key: &'static Layout,
        value: &'static Layout,
    },
    Direct {
        row: &'static Layout,
    },
    /// A direct table with [`RANGE_SLOTS`] slots a row.
    Slots {
        slot: &'static Layout,
    },
}

impl Table {
    pub const ALL: [Table; 14] = [
        Table::Interface,
        Table::Source,
        Table::Address,
        Table::PortDstServer,
        Table::PortDstClient,
        Table::PortSrcServer,
        Table::PortSrcClient,
        Table::Range,
        Table::Class,
        Table::Step,
        Table::Action,
        Table::Attachment,
        Table::Rewrite,
        Table::Seed,
    ];
    /// The four port questions, strongest first: destination wins over source, server over client.
    pub const PORTS: [Table; 4] = [
        Table::PortDstServer,
        Table::PortDstClient,
        Table::PortSrcServer,
        Table::PortSrcClient,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Table::Interface => "interface",
            Table::Source => "source",
            Table::Address => "address",
            Table::PortDstServer => "port_dst_server",
            Table::PortDstClient => "port_dst_client",
            Table::PortSrcServer => "port_src_server",
            Table::PortSrcClient => "port_src_client",
            Table::Range => "range",
            Table::Class => "class",
            Table::Step => "step",
            Table::Action => "action",
            Table::Attachment => "attachment",
            Table::Rewrite => "rewrite",
            Table::Seed => "seed",
        }
    }

    /// The question in words.
    pub const fn question(self) -> &'static str {
        match self {
            Table::Interface => "where did it arrive?",
            Table::Source => "who sent it?",
            Table::Address => "which service address? (asked for destination and source)",
            Table::PortDstServer => {
                "destination is a service: is its destination port one of the service's?"
            }
            Table::PortDstClient => {
                "destination is a keyed client: is the source port one of its service's?"
            }
            Table::PortSrcServer => {
                "source is a service or its server: is the source port one of the service's?"
            }
            Table::PortSrcClient => {
                "source is a keyed client: is the destination port one of its service's?"
            }
            Table::Range => "does a port range of the scope hold it?",
            Table::Class => "where do packets enter the sequence?",
            Table::Step => "what next, from this sender?",
            Table::Action => "where does this copy go and what is edited?",
            Table::Attachment => "where is that device now?",
            Table::Rewrite => "which source address does it get?",
            Table::Seed => "which hash?",
        }
    }

    pub const fn kind(self) -> Kind {
        match self {
            Table::Interface => Kind::Hash {
                key: &INTERFACE_KEY,
                value: &INTERFACE_VALUE,
            },
            Table::Source => Kind::Hash {
                key: &SOURCE_KEY,
                value: &SOURCE_VALUE,
            },
            Table::Address => Kind::Hash {
                key: &ADDRESS_KEY,
                value: &ADDRESS_VALUE,
            },
            Table::PortDstServer
            | Table::PortDstClient
            | Table::PortSrcServer
            | Table::PortSrcClient => Kind::Hash {
                key: &PORT_KEY,
                value: &PORT_VALUE,
            },
            Table::Range => Kind::Slots { slot: &RANGE_SLOT },
            Table::Class => Kind::Direct { row: &CLASS_ROW },
            Table::Step => Kind::Hash {
                key: &STEP_KEY,
                value: &STEP_VALUE,
            },
            Table::Action => Kind::Direct { row: &ACTION_ROW },
            Table::Attachment => Kind::Direct {
                row: &ATTACHMENT_ROW,
            },
            Table::Rewrite => Kind::Direct { row: &REWRITE_ROW },
            Table::Seed => Kind::Direct { row: &SEED_ROW },
        }
    }

    pub fn from_number(number: u8) -> Option<Table> {
        Table::ALL.get(number as usize).copied()
    }

    pub fn from_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Key and value layout of a hash table.
    pub const fn hash(self) -> Option<(&'static Layout, &'static Layout)> {
        match self.kind() {
            Kind::Hash { key, value } => Some((key, value)),
            _ => None,
        }
    }

    /// Bits of one slot: valid, key, value in a hash table; the record elsewhere.
    pub const fn slot_bits(self) -> u32 {
        match self.kind() {
            Kind::Hash { key, value } => 1 + key.width() + value.width(),
            Kind::Direct { row } => row.width(),
            Kind::Slots { slot } => slot.width(),
        }
    }
}

/// Reads and writes the slots of a hash table's row: bit 0 valid, then the key, then the value.
#[derive(Debug, Clone, Copy)]
pub struct HashSlot {
    pub key: &'static Layout,
    pub value: &'static Layout,
}

impl HashSlot {
    pub const fn bits(self) -> u32 {
        1 + self.key.width() + self.value.width()
    }

    /// The key and value in slot `slot` of `row`, or `None` if the slot is empty.
    pub fn read(self, row: &Row, slot: u32) -> Option<(Row, Row)> {
        let base = slot * self.bits();
        (row.get(base, 1) == 1).then(|| {
            (
                copy_bits(row, base + 1, self.key.width()),
                copy_bits(row, base + 1 + self.key.width(), self.value.width()),
            )
        })
    }

    /// Puts key and value into slot `slot` of `row`.
    pub fn write(self, row: &mut Row, slot: u32, key: &Row, value: &Row) {
        let base = slot * self.bits();
        row.set(base, 1, 1);
        paste_bits(row, base + 1, key);
        paste_bits(row, base + 1 + self.key.width(), value);
    }
}

fn copy_bits(row: &Row, lo: u32, width: u32) -> Row {
    let mut out = Row::zero(width);
    let mut at = 0;
    while at < width {
        let n = (width - at).min(64);
        out.set(at, n, row.get(lo + at, n));
        at += n;
    }
    out
}

fn paste_bits(row: &mut Row, lo: u32, from: &Row) {
    let mut at = 0;
    while at < from.width() {
        let n = (from.width() - at).min(64);
        row.set(lo + at, n, from.get(at, n));
        at += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_packet_order() {
        for (i, table) in Table::ALL.iter().enumerate() {
            assert_eq!(*table as usize, i);
            assert_eq!(Table::from_name(table.name()), Some(*table));
        }
    }

    #[test]
    fn slots_do_not_touch_each_other() {
        let slot = HashSlot {
            key: &STEP_KEY,
            value: &STEP_VALUE,
        };
        let mut row = Row::zero(slot.bits() * 2);
        let ones = |l: &Layout| Row::from_words(l.width(), &[u64::MAX, u64::MAX, u64::MAX]);
        slot.write(&mut row, 0, &ones(&STEP_KEY), &ones(&STEP_VALUE));
        assert!(slot.read(&row, 1).is_none());
        let (key, value) = (Row::from_words(39, &[7]), Row::from_words(26, &[9]));
        slot.write(&mut row, 1, &key, &value);
        assert_eq!(slot.read(&row, 1), Some((key, value)));
        assert_eq!(
            slot.read(&row, 0),
            Some((ones(&STEP_KEY), ones(&STEP_VALUE)))
        );
    }
}
