//! The tables of the pipeline, in the order a packet meets them.
//!
//! A *hash* table is `ways` independent memories of `rows` rows; a row holds `slots` slots of
//! (valid, key, value). A key may stand in any slot of its bucket in any way. A *direct* table is
//! one memory, addressed by row number. The word of every update is one row of one memory,
//! written in one clock, so a packet meets the old row or the new one.
//!
//! Many rows change at once by *epochs*: a packet takes the epoch that holds as its header enters
//! the tables, and keeps it. A slot of a hash table says in which epochs it holds; `attachment`, `decap` and
//! `dscp` have a row for each; `epoch` is the one word that flips them all.

mod acl;
mod action;
mod address;
mod attachment;
mod class;
mod decap;
mod dscp;
mod encap;
mod epoch;
mod host_limit;
mod interface;
mod meter;
mod policy;
mod port;
mod queue;
mod range;
pub mod references;
mod rewrite;
mod rule;
mod seed;
mod slot;
mod source;
mod step;
mod values;

pub use acl::*;
pub use action::*;
pub use address::*;
pub use attachment::*;
pub use class::*;
pub use decap::*;
pub use dscp::*;
pub use encap::*;
pub use epoch::*;
pub use host_limit::*;
pub use interface::*;
pub use meter::*;
pub use policy::*;
pub use port::*;
pub use queue::*;
pub use range::*;
pub use rewrite::*;
pub use rule::*;
pub use seed::*;
pub use slot::{Epochs, HashSlot};
pub use source::*;
pub use step::*;
pub use values::*;

use crate::layout::Layout;
use serde::Serialize;

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
    /// Which of two versions of the tables holds.
    Epoch = 14,
    /// Tag headers and tunnels which are taken off, by port.
    Decap = 15,
    /// Tags and tunnels which are put on.
    Encap = 16,
    /// Rates of services.
    Meter = 17,
    /// Rates of exceptions, by reason.
    HostLimit = 18,
    /// Priority by DSCP.
    Dscp = 19,
    /// How the queues of outputs are served.
    Queue = 20,
    /// How the rules of a service's first packets are found.
    Acl = 21,
    /// Rules.
    Rule = 22,
    /// Next hops of rules.
    Policy = 23,
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
    /// A direct table with several slots a row (`Geometry::slots`).
    Slots {
        slot: &'static Layout,
    },
    /// Banks of rows with [`RULE_SLOTS`] rules each, one row of each asked.
    Rules {
        slot: &'static Layout,
        rest: &'static Layout,
    },
}

impl Table {
    pub const ALL: [Table; 24] = [
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
        Table::Epoch,
        Table::Decap,
        Table::Encap,
        Table::Meter,
        Table::HostLimit,
        Table::Dscp,
        Table::Queue,
        Table::Acl,
        Table::Rule,
        Table::Policy,
    ];
    /// The four port questions, strongest first: server wins over client, then destination over
    /// source. So both ways of a connection between a keyed client and a service are the service's.
    pub const PORTS: [Table; 4] = [
        Table::PortDstServer,
        Table::PortSrcServer,
        Table::PortDstClient,
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
            Table::Epoch => "epoch",
            Table::Decap => "decap",
            Table::Encap => "encap",
            Table::Meter => "meter",
            Table::HostLimit => "host_limit",
            Table::Dscp => "dscp",
            Table::Queue => "queue",
            Table::Acl => "acl",
            Table::Rule => "rule",
            Table::Policy => "policy",
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
            Table::Epoch => "which of two versions of the tables?",
            Table::Decap => "which tags and tunnels end here?",
            Table::Encap => "what is in the headers it gets?",
            Table::Meter => "does the service keep its rate?",
            Table::HostLimit => "how many exceptions does the host take?",
            Table::Dscp => "which priority has it?",
            Table::Queue => "how is the queue served?",
            Table::Acl => "what of the packet finds its rules?",
            Table::Rule => "is it allowed?",
            Table::Policy => "where does a permitted packet go instead?",
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
            Table::Epoch => Kind::Direct { row: &EPOCH_ROW },
            Table::Decap => Kind::Direct { row: &DECAP_ROW },
            Table::Encap => Kind::Direct { row: &ENCAP_ROW },
            Table::Meter => Kind::Direct { row: &METER_ROW },
            Table::HostLimit => Kind::Direct {
                row: &HOST_LIMIT_ROW,
            },
            Table::Dscp => Kind::Direct { row: &DSCP_ROW },
            Table::Queue => Kind::Direct { row: &QUEUE_ROW },
            Table::Acl => Kind::Slots { slot: &ACL_SLOT },
            Table::Rule => Kind::Rules {
                slot: &RULE_SLOT,
                rest: &RULE_REST,
            },
            Table::Policy => Kind::Direct { row: &POLICY_ROW },
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

    /// Rows a number has: two, one for each epoch (row = number * 2 + epoch), where the number stays while what it
    /// stands for changes: packets are counted by that of an attachment, ports and DSCPs have theirs from outside.
    pub const fn versions(self) -> u32 {
        match self {
            Table::Attachment | Table::Decap | Table::Dscp => EPOCHS,
            _ => 1,
        }
    }

    /// Bits of one slot: epochs, key, value in a hash table; the record elsewhere.
    pub const fn slot_bits(self) -> u32 {
        match self.kind() {
            Kind::Hash { key, value } => EPOCHS + key.width() + value.width(),
            Kind::Direct { row } => row.width(),
            Kind::Slots { slot } | Kind::Rules { slot, .. } => slot.width(),
        }
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
}
