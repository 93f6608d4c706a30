//! The resolved model: every row of every table, before it has a place in one.

use crate::definition::TagBases;
use crate::place::rules::Layout;
use seqnic_image::Names;
use seqnic_image::names::Direction;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A row of `interface`: what arrives on a port with these VLAN IDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceRow {
    pub port: u8,
    /// Outer and inner VLAN ID, 0 where there is no tag.
    pub vids: [u16; 2],
    pub interface: u32,
    pub segment: u32,
    /// The engine's MAC here, first byte on the wire highest.
    pub mac: u64,
    pub promiscuous: bool,
    pub tracked_by_segment: bool,
    /// `seqnic_spec::tables::accepts`.
    pub accepts: u32,
    /// The DSCP says the priority.
    pub trust: bool,
}

/// A row of `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRow {
    pub segment: u32,
    pub mac: u64,
    pub attachment: u32,
}

/// A row of `attachment`; its number is its place in [`Model::attachments`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentRow {
    /// `seqnic_spec::tables::attachment_state`.
    pub state: u32,
    pub port: u8,
    pub interface: u32,
    /// VLAN tags on frames to it: 0, 1 or 2.
    pub tags: u8,
    pub vids: [u16; 2],
    pub dst_mac: u64,
    pub src_mac: u64,
    /// Its own address, for NAT mode.
    pub address: Option<IpAddr>,
    /// Longest IP packet to it, 0 for no limit.
    pub mtu: u16,
    /// Row in [`Model::encaps`]; 0 where nothing is sent with a tag.
    pub encap: u32,
    /// Attachment from which what is sent to it comes back.
    pub comes_from: u32,
    /// Attachment that what is sent to it counts as.
    pub counts: u32,
}

/// A row of `decap`; its number is that of the port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecapRow {
    /// `seqnic_spec::tables::accepts`.
    pub accepts: u32,
    /// Ends of tunnels by family.
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
}

/// A row of `encap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncapRow {
    /// Ends of the tunnel, the engine's first.
    pub ends: Option<(IpAddr, IpAddr)>,
    pub bases: TagBases,
}

/// A row of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRow {
    pub address: IpAddr,
    /// Scope of its port questions, 0 for none.
    pub scope: u32,
    /// Row in [`Model::ranges`].
    pub range: Option<u32>,
    /// Attachment of the neighbour with that address.
    pub neighbour: Option<u32>,
    pub local: bool,
    /// Row in `acl`, 0 for none, and whether the scope is part of the keys.
    pub acl: u32,
    pub salted: bool,
}

/// A row of one of the four port tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRow {
    pub scope: u32,
    pub protocol: u8,
    pub port: u16,
    pub class: u32,
}

/// One slot of a row of `range`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeSlot {
    /// The question it answers: its place in `Table::PORTS`.
    pub role: u8,
    /// `None`: every protocol.
    pub protocol: Option<u8>,
    pub first: u16,
    pub last: u16,
    pub class: u32,
}

/// Rows in `action`: the first and how many; 0 rows bar the sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions {
    pub first: u32,
    pub copies: u32,
}

/// A row of `class`: where packets enter, by direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassRow {
    pub entry: [Actions; 2],
    pub priority: u8,
    /// Row in [`Model::meters`], 0 for none.
    pub meter: u32,
    pub set: SetRow,
}

/// A row of `meter`; times in units of 2^-16 ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeterRow {
    /// Time a byte takes.
    pub cost: u64,
    pub tolerance: u64,
}

/// A row of `host_limit`; its number is the reason's code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostLimitRow {
    pub limited: bool,
    pub closed: bool,
    pub priority: u8,
    /// Time a packet takes.
    pub cost: u64,
    pub tolerance: u64,
}

/// A row of `queue`; its number is port * 8 + queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueRow {
    pub strict: bool,
    pub weight: u8,
}

/// What first packets of a class are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetRow {
    /// Number of the rule set, 0 for none.
    pub set: u32,
    /// Whether a packet no rule holds is permitted.
    pub permit: bool,
    /// Number that one counts under.
    pub rule: u32,
}

/// A rule as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRow {
    /// Scope that is part of its key, or 0.
    pub salt: u32,
    pub v6: bool,
    /// Prefixes with their bits, from the highest bit of 128 in IPv4, too.
    pub client: (u128, u8),
    pub server: (u128, u8),
    pub protocol: Option<u8>,
    /// Ranges of ports; 0 to 65535 is every packet.
    pub client_port: (u16, u16),
    pub port: (u16, u16),
    /// Value and mask of TCP flags.
    pub flags: (u8, u8),
    pub size: Option<(u16, u16)>,
    pub forward: bool,
    pub back: bool,
    pub arrival: Option<u32>,
    pub set: u32,
    pub order: u32,
    pub rule: u32,
    pub permit: bool,
}

/// Rules that are asked the same way: of one row of `acl`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleGroup {
    pub rules: Vec<RuleRow>,
    /// Numbers of the rule sets they are of.
    pub sets: Vec<u32>,
}

/// A row of `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRow {
    pub class: u32,
    pub direction: Direction,
    /// Kind and value, as `seqnic_spec::tables::position` makes it.
    pub position: u32,
    pub actions: Actions,
    /// An entry, or where the return way starts.
    pub first: bool,
}

/// A row of `action`: one copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActionRow {
    pub attachment: u32,
    /// Bits of the bucket that is added to it.
    pub pool: u32,
    pub route: bool,
    pub nat: bool,
    /// Row in [`Model::rewrites`].
    pub rewrite: Option<u32>,
    /// 0 none, 1 source port, 2 destination port.
    pub port_field: u8,
    /// Added to that port modulo 2^16.
    pub port_add: u16,
    pub dscp: Option<u8>,
    /// `seqnic_spec::tables::tag_kind`.
    pub tag_kind: u32,
    /// Number of the tag.
    pub tag: u32,
}

/// Every row a definition asks for. Direct tables are indexed by row number, hash tables are lists
/// of distinct keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub interfaces: Vec<InterfaceRow>,
    pub sources: Vec<SourceRow>,
    pub addresses: Vec<AddressRow>,
    /// By place in `Table::PORTS`.
    pub ports: [Vec<PortRow>; 4],
    /// Slots of each row, lowest first, at most `RANGE_SLOTS`.
    pub ranges: Vec<Vec<RangeSlot>>,
    /// Row 0 is unused.
    pub classes: Vec<ClassRow>,
    pub steps: Vec<StepRow>,
    /// Row 0 is unused.
    pub actions: Vec<ActionRow>,
    pub attachments: Vec<AttachmentRow>,
    /// Attachments side by side that are buckets of a pool: the first, and how many.
    pub pools: Vec<(u32, u32)>,
    pub rewrites: Vec<IpAddr>,
    /// By port.
    pub decaps: Vec<DecapRow>,
    /// Row 0 is unused.
    pub encaps: Vec<Option<EncapRow>>,
    /// Row 0 is unused.
    pub meters: Vec<MeterRow>,
    /// By reason.
    pub host_limits: Vec<HostLimitRow>,
    /// Priority by DSCP.
    pub dscp: Vec<u8>,
    /// By port and queue; empty where outputs have one queue.
    pub queues: Vec<QueueRow>,
    /// Of each row of `acl`, from row 1.
    pub rules: Vec<RuleGroup>,
    /// Where they stand.
    pub layout: Layout,
    /// Attachment by number of the rule; rule 0 is unused.
    pub policies: Vec<Option<u32>>,
    /// Scopes in use; they are numbered from 1.
    pub scopes: u32,
    pub names: Names,
}
