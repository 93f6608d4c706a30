//! How big a build of the card is. Sizes are data: the generator, the compiler and the models
//! take them from here, the layouts stay the same.

use crate::tables::{
    Kind, MAX_ROW_BITS, OUTPUT_QUEUES, PRIORITIES, RANGE_SLOTS, RULE_SLOTS, Table, width,
};
use serde::Serialize;
use std::fmt;

/// Rows of `host_limit`: every reason has one.
const HOST_LIMITS: u32 = 32;
/// Rows that are always compared, at most.
const MAX_RULE_ALWAYS: u32 = 64;
const _: () = assert!(crate::reason::Reason::ALL.len() <= HOST_LIMITS as usize);

/// Size of one hash table: `ways` memories of `rows` rows with `slots` slots each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct HashSize {
    /// 2 to 4.
    pub ways: u32,
    /// Slots in a row of one way.
    pub slots: u32,
    /// Rows of one way, a power of two.
    pub rows: u32,
}

impl HashSize {
    /// Keys the table has slots for.
    pub const fn capacity(&self) -> u32 {
        self.ways * self.slots * self.rows
    }
}

/// Sizes of one build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Geometry {
    pub name: &'static str,
    pub doc: &'static str,
    /// Bytes of the stream bus, a power of two.
    pub bus_bytes: u32,
    /// Headers enter the tables, and copies are ordered, at most once in so many clocks: 1, or 8 where
    /// memories are few and one is asked in turns. A short frame then takes as many clocks.
    pub clocks_per_header: u32,
    /// Ethernet ports; the host port comes on top and has the number after the last.
    pub ports: u32,
    pub interface: HashSize,
    pub source: HashSize,
    pub address: HashSize,
    pub port_dst_server: HashSize,
    pub port_dst_client: HashSize,
    pub port_src_server: HashSize,
    pub port_src_client: HashSize,
    pub step: HashSize,
    pub range_rows: u32,
    pub class_rows: u32,
    pub action_rows: u32,
    /// Attachment numbers; the table has a row for each epoch.
    pub attachment_rows: u32,
    pub rewrite_rows: u32,
    pub encap_rows: u32,
    pub meter_rows: u32,
    /// Ways the rules of a scope may be found.
    pub acl_rows: u32,
    /// Memories of `rule`, all read at once; at most 25.
    pub rule_banks: u32,
    /// Rows of each, with two rules or one long one.
    pub rule_rows: u32,
    /// Rows of `rule` behind those of the banks, held in registers: compared for every packet that has rules, whatever
    /// its key. A geometry without has the digest it had before there were any.
    #[serde(skip_serializing_if = "is_none")]
    pub rule_always: u32,
    /// Numbers rules count under.
    pub rules: u32,
    /// Interfaces that have counters.
    pub interfaces: u32,
    /// Attachments, from number 0 on, whose packets' times are measured.
    pub timed: u32,
    /// Beats of the payload buffer: at least two of the longest frame.
    pub buffer_beats: u32,
    /// Headers that may wait between the tables and the editor.
    pub header_slots: u32,
    /// Queues of each output, a power of two up to 8.
    pub queues: u32,
    /// Beats of each of them, a power of two: more than the longest frame, which must fit for a frame to be taken.
    pub egress_beats: u32,
}

fn is_none(rows: &u32) -> bool {
    *rows == 0
}

const fn hash(ways: u32, slots: u32, rows: u32) -> HashSize {
    HashSize { ways, slots, rows }
}

/// Data-centre card with UltraRAM: 512-bit bus, 64K services and more.
pub const ALVEO: Geometry = Geometry {
    name: "alveo",
    doc: "512-bit bus, 8 ports, tables in block and ultra RAM (AMD Alveo U55C class)",
    bus_bytes: 64,
    clocks_per_header: 1,
    ports: 8,
    interface: hash(3, 2, 512),
    source: hash(3, 2, 4096),
    address: hash(3, 2, 16384),
    port_dst_server: hash(3, 2, 16384),
    port_dst_client: hash(3, 2, 4096),
    port_src_server: hash(3, 2, 32768),
    port_src_client: hash(3, 2, 4096),
    step: hash(4, 3, 32768),
    range_rows: 8192,
    class_rows: 131072,
    action_rows: 262144,
    attachment_rows: 16384,
    rewrite_rows: 65536,
    encap_rows: 1024,
    meter_rows: 16384,
    acl_rows: 32,
    rule_banks: 20,
    rule_rows: 2048,
    rule_always: 8,
    rules: 65536,
    interfaces: 512,
    timed: 1024,
    buffer_beats: 1024,
    header_slots: 64,
    queues: 4,
    // A frame goes in while the longest fits: one of 9,216 bytes behind another, of which 38 beats have left.
    egress_beats: 256,
};

/// Small card: an ECP5-85F with 1 to 2.5 Gb/s ports.
pub const EDGE: Geometry = Geometry {
    name: "edge",
    doc: "128-bit bus, 4 ports, tables in block RAM (Lattice ECP5-85F class)",
    bus_bytes: 16,
    clocks_per_header: 8,
    ports: 4,
    interface: hash(4, 1, 256),
    source: hash(4, 1, 256),
    address: hash(4, 1, 256),
    port_dst_server: hash(4, 1, 256),
    port_dst_client: hash(4, 1, 256),
    port_src_server: hash(4, 1, 256),
    port_src_client: hash(4, 1, 256),
    step: hash(4, 1, 512),
    range_rows: 32,
    class_rows: 512,
    action_rows: 2048,
    attachment_rows: 256,
    rewrite_rows: 64,
    encap_rows: 32,
    meter_rows: 32,
    acl_rows: 8,
    rule_banks: 4,
    rule_rows: 16,
    rule_always: 0,
    rules: 256,
    interfaces: 64,
    timed: 16,
    buffer_beats: 2048,
    header_slots: 16,
    queues: 1,
    egress_beats: 1024,
};

/// As `edge`, with so few rows in memories of look-up tables that nextpnr and router2 route it (docs/synth.md).
pub const LITE: Geometry = Geometry {
    name: "lite",
    doc: "as `edge`, with 32 rules and 16 rows of range, encap and meter: routed by open tools",
    range_rows: 16,
    encap_rows: 16,
    meter_rows: 16,
    rule_rows: 4,
    ..EDGE
};

/// Software alone: as many rows as the numbers of the records reach, more than a card has memory for.
/// The streams are those of `alveo`; software has none.
pub const SOFT: Geometry = Geometry {
    name: "soft",
    doc: "no card: tables for the software engine, 1M services",
    ports: 15,
    interface: hash(3, 2, 1024),
    source: hash(3, 2, 32768),
    address: hash(3, 2, 262144),
    port_dst_server: hash(3, 2, 262144),
    port_dst_client: hash(3, 2, 65536),
    port_src_server: hash(3, 2, 524288),
    port_src_client: hash(3, 2, 65536),
    step: hash(3, 2, 1048576),
    range_rows: 65536,
    class_rows: 1 << width::CLASS,
    action_rows: 1 << width::ACTION,
    attachment_rows: 1 << width::ATTACHMENT,
    rewrite_rows: 1 << width::REWRITE,
    encap_rows: 1 << width::ENCAP,
    meter_rows: 1 << width::METER,
    acl_rows: 1 << width::ACL,
    rule_rows: 8192,
    // Those that are empty cost nothing here.
    rule_always: 32,
    rules: 1 << width::RULE,
    interfaces: 1 << width::INTERFACE,
    timed: 1 << width::ATTACHMENT,
    ..ALVEO
};

/// Every geometry whose text is kept in `hdl/generated`: [`LITE`]'s is that of [`EDGE`], with fewer rows, and made when it is wanted.
pub const ALL: [&Geometry; 2] = [&ALVEO, &EDGE];

/// Every geometry images are made for.
pub const KNOWN: [&Geometry; 4] = [&ALVEO, &EDGE, &LITE, &SOFT];

/// The geometry called `name`.
pub fn by_name(name: &str) -> Option<&'static Geometry> {
    KNOWN.into_iter().find(|g| g.name == name)
}

/// A size that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadGeometry {
    pub geometry: &'static str,
    pub parameter: &'static str,
    pub value: u32,
    pub must: &'static str,
}

impl fmt::Display for BadGeometry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "geometry `{}`: {} is {}, but must be {}",
            self.geometry, self.parameter, self.value, self.must
        )
    }
}
impl std::error::Error for BadGeometry {}

impl Geometry {
    /// Size of a hash table, `None` for the others.
    pub fn hash(&self, table: Table) -> Option<HashSize> {
        match table {
            Table::Interface => Some(self.interface),
            Table::Source => Some(self.source),
            Table::Address => Some(self.address),
            Table::PortDstServer => Some(self.port_dst_server),
            Table::PortDstClient => Some(self.port_dst_client),
            Table::PortSrcServer => Some(self.port_src_server),
            Table::PortSrcClient => Some(self.port_src_client),
            Table::Step => Some(self.step),
            _ => None,
        }
    }

    /// Rows of the whole table; in a hash table row = way * rows of a way + bucket.
    pub fn rows(&self, table: Table) -> u32 {
        match table {
            Table::Range => self.range_rows,
            Table::Class => self.class_rows,
            Table::Action => self.action_rows,
            Table::Attachment => self.attachment_rows * Table::Attachment.versions(),
            Table::Rewrite => self.rewrite_rows,
            Table::Seed => Table::ALL.len() as u32 * 4,
            Table::Epoch => 2,
            Table::Decap => (self.ports + 1).next_power_of_two() * Table::Decap.versions(),
            Table::Encap => self.encap_rows,
            Table::Meter => self.meter_rows,
            Table::HostLimit => HOST_LIMITS,
            Table::Dscp => 64 * Table::Dscp.versions(),
            Table::Queue => OUTPUT_QUEUES << width::PORT,
            Table::Acl => self.acl_rows,
            Table::Rule => self.rule_banked() + self.rule_always,
            Table::Policy => self.rules,
            _ => self.hash(table).map_or(0, |h| h.ways * h.rows),
        }
    }

    /// Rows of `rule` in its banks; those that are always compared are behind them.
    pub fn rule_banked(&self) -> u32 {
        self.rule_banks * self.rule_rows
    }

    /// Numbers a direct table's rows have: as many as rows, but for tables with versions.
    pub fn numbers(&self, table: Table) -> u32 {
        self.rows(table) / table.versions()
    }

    /// Slots of a row.
    pub fn slots(&self, table: Table) -> u32 {
        match table.kind() {
            Kind::Hash { .. } => self.hash(table).map_or(0, |h| h.slots),
            Kind::Direct { .. } => 1,
            Kind::Rules { .. } => RULE_SLOTS,
            Kind::Slots { .. } if table == Table::Acl => self.rule_banks,
            Kind::Slots { .. } => RANGE_SLOTS,
        }
    }

    /// Bits of one row.
    pub fn row_bits(&self, table: Table) -> u32 {
        match table.kind() {
            Kind::Hash { .. } => table.slot_bits() * self.hash(table).map_or(0, |h| h.slots),
            Kind::Direct { row } => row.width(),
            Kind::Slots { slot } | Kind::Rules { slot, .. } => slot.width() * self.slots(table),
        }
    }

    /// Queue of a priority.
    pub fn queue(&self, priority: u32) -> u32 {
        priority * self.queues / PRIORITIES
    }

    /// Number of the host port.
    pub fn host_port(&self) -> u32 {
        self.ports
    }

    /// Clocks after a flip of `epoch` in which the last packet of the other epoch leaves, at most,
    /// while no sender pauses inside a frame: all frames the buffer holds, with the most copies
    /// each, one beat a clock and one clock between copies, at most a copy in [`Self::clocks_per_header`];
    /// and the way through the tables.
    pub fn drain_clocks(&self) -> u64 {
        const THROUGH: u64 = 128;
        let copies = u64::from(crate::wire::MAX_COPIES);
        let longest = self.beats(crate::wire::MAX_FRAME_BYTES + 8);
        copies * u64::from(self.buffer_beats + longest + self.header_slots * self.clocks_per_header)
            + THROUGH
    }

    /// Beats of a frame of `bytes`.
    pub fn beats(&self, bytes: u32) -> u32 {
        bytes.div_ceil(self.bus_bytes)
    }

    /// CRC-32C of name and sizes: what image, card and driver compare.
    pub fn digest(&self) -> u32 {
        let mut sizes = serde_json::json!(self);
        if let Some(map) = sizes.as_object_mut() {
            map.remove("doc");
        }
        crate::hash::digest(sizes.to_string().into_bytes())
    }

    /// Checks every size against the layouts.
    pub fn check(&self) -> Result<(), BadGeometry> {
        let bad = |parameter, value, must| {
            Err(BadGeometry {
                geometry: self.name,
                parameter,
                value,
                must,
            })
        };
        if !self.bus_bytes.is_power_of_two() || !(8..=64).contains(&self.bus_bytes) {
            return bad("bus_bytes", self.bus_bytes, "8, 16, 32 or 64");
        }
        if !matches!(self.clocks_per_header, 1 | 8) {
            return bad("clocks_per_header", self.clocks_per_header, "1 or 8");
        }
        if self.clocks_per_header > 1 && self.bus_bytes != 16 {
            return bad(
                "bus_bytes",
                self.bus_bytes,
                "16 where headers are some clocks apart, as much of a packet as is looked at in one",
            );
        }
        if self.ports == 0 || self.ports >= 1 << width::PORT {
            return bad(
                "ports",
                self.ports,
                "1 to 15, the host port takes one more number",
            );
        }
        for table in Table::ALL {
            if self.row_bits(table) > MAX_ROW_BITS {
                return bad(table.name(), self.row_bits(table), "at most 512 bits a row");
            }
            let Some(size) = self.hash(table) else {
                continue;
            };
            if !size.rows.is_power_of_two() || size.rows < 2 {
                return bad(
                    table.name(),
                    size.rows,
                    "a power of two of rows, at least 2",
                );
            }
            if !(2..=4).contains(&size.ways) {
                return bad(table.name(), size.ways, "2 to 4 ways");
            }
            if self.clocks_per_header > 1 && (size.ways, size.slots) != (4, 1) {
                return bad(
                    table.name(),
                    size.ways * size.slots,
                    "4 ways of one slot, as they are asked one after the other",
                );
            }
            if size.slots == 0 {
                return bad(table.name(), size.slots, "at least one slot a row");
            }
        }
        for (parameter, value, bits) in [
            ("range_rows", self.range_rows, width::RANGE),
            ("class_rows", self.class_rows, width::CLASS),
            ("action_rows", self.action_rows, width::ACTION),
            ("attachment_rows", self.attachment_rows, width::ATTACHMENT),
            ("rewrite_rows", self.rewrite_rows, width::REWRITE),
            ("encap_rows", self.encap_rows, width::ENCAP),
            ("meter_rows", self.meter_rows, width::METER),
            ("acl_rows", self.acl_rows, width::ACL),
            ("rule_rows", self.rule_rows, 16),
            ("rules", self.rules, width::RULE),
            ("interfaces", self.interfaces, width::INTERFACE),
            ("timed", self.timed, width::ATTACHMENT),
            ("buffer_beats", self.buffer_beats, 31),
            ("header_slots", self.header_slots, 31),
            ("egress_beats", self.egress_beats, 31),
        ] {
            if !value.is_power_of_two() || value < 2 || value > 1 << bits {
                return bad(parameter, value, "a power of two its number can address");
            }
        }
        if self.rule_always > MAX_RULE_ALWAYS.min(self.rule_rows) {
            return bad(
                "rule_always",
                self.rule_always,
                "at most 64, as each is compared by logic of its own, and no more than a bank has",
            );
        }
        if self.clocks_per_header > 1 && self.rule_always > 0 {
            return bad(
                "rule_always",
                self.rule_always,
                "0 where rules are compared one after the other",
            );
        }
        if !self.queues.is_power_of_two() || self.queues > OUTPUT_QUEUES {
            return bad("queues", self.queues, "1, 2, 4 or 8");
        }
        let longest = self.beats(crate::wire::MAX_FRAME_BYTES + crate::wire::MAX_PREFIX - 14);
        if self.buffer_beats < 2 * longest {
            return bad(
                "buffer_beats",
                self.buffer_beats,
                "room for two of the longest frame",
            );
        }
        if self.egress_beats < longest + 2 {
            return bad(
                "egress_beats",
                self.egress_beats,
                "room for the longest frame",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_geometries_are_sound() {
        for g in KNOWN {
            assert_eq!(g.check(), Ok(()));
        }
    }

    #[test]
    fn a_bad_size_is_named() {
        let g = Geometry {
            class_rows: 1000,
            ..ALVEO
        };
        let error = g.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "geometry `alveo`: class_rows is 1000, but must be a power of two its number can address"
        );
    }

    #[test]
    fn rows_that_are_always_compared_are_few_and_of_cards_that_compare_at_once() {
        let refused = |g: &Geometry| g.check().unwrap_err().parameter;
        let most = Geometry {
            rule_always: 64,
            ..ALVEO
        };
        assert_eq!(most.check(), Ok(()));
        for (rule_always, g) in [(65, &ALVEO), (1, &EDGE)] {
            let g = Geometry {
                rule_always,
                ..g.clone()
            };
            assert_eq!(refused(&g), "rule_always");
        }
        assert_eq!(ALVEO.rows(Table::Rule), ALVEO.rule_banked() + 8);
        // Cards without them are known by the digest they have had.
        assert!(!serde_json::json!(EDGE).to_string().contains("always"));
        let none = Geometry {
            rule_always: 0,
            ..ALVEO
        };
        assert_ne!(none.digest(), ALVEO.digest());
    }
}
