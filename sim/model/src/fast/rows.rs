//! Rows as the common packet needs them, made of the decoded tables when these are loaded. They say nothing the
//! tables do not, only in fewer bytes: an entry, its first copy and its class's priority in half a cache line.

use crate::memory;
use crate::tables::{Action, Attachment, Class, PortEdit, Step, Tables};

/// One copy: a row of `action`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    pub attachment: u16,
    /// Row in `rewrite`.
    pub rewrite: u16,
    /// What is added to the port.
    pub add: u16,
    pub dscp: u8,
    /// Which of them hold, and what else.
    pub bits: u8,
}

/// [`Hop::bits`].
pub(crate) mod hop {
    pub const ROUTE: u8 = 1;
    pub const NAT: u8 = 2;
    pub const REWRITE: u8 = 4;
    pub const SOURCE_PORT: u8 = 8;
    pub const DESTINATION_PORT: u8 = 16;
    pub const DSCP: u8 = 32;
    /// It leaves with a tag, or goes to a pool: [`crate::edit`] makes it.
    pub const GENERAL: u8 = 64;
    /// It edits something behind the Ethernet header.
    pub const EDITS: u8 = NAT | REWRITE | SOURCE_PORT | DESTINATION_PORT | DSCP;
}

impl Hop {
    pub fn of(action: &Action) -> Hop {
        let (ports, add) = match action.port {
            None => (0, 0),
            Some(PortEdit::Source(add)) => (hop::SOURCE_PORT, add),
            Some(PortEdit::Destination(add)) => (hop::DESTINATION_PORT, add),
        };
        let bit = |holds, bit| if holds { bit } else { 0 };
        Hop {
            attachment: action.attachment,
            rewrite: action.rewrite.unwrap_or_default(),
            add,
            dscp: action.dscp.unwrap_or_default(),
            bits: ports
                | bit(action.route, hop::ROUTE)
                | bit(action.nat, hop::NAT)
                | bit(action.rewrite.is_some(), hop::REWRITE)
                | bit(action.dscp.is_some(), hop::DSCP)
                | bit(action.tag.is_some() || action.buckets != 0, hop::GENERAL),
        }
    }
}

/// A [`Step`] in a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PackedStep(u32);

impl PackedStep {
    const ACTION: u32 = seqnic_spec::tables::width::ACTION;
    const COPIES: u32 = seqnic_spec::tables::width::COPIES;

    #[inline(always)]
    pub fn of(step: Step) -> PackedStep {
        const { assert!(PackedStep::ACTION + PackedStep::COPIES < 32) };
        let first = u32::from(step.first) << (Self::ACTION + Self::COPIES);
        PackedStep(step.action | u32::from(step.copies) << Self::ACTION | first)
    }

    #[inline(always)]
    pub fn action(self) -> u32 {
        self.0 & ((1 << Self::ACTION) - 1)
    }

    #[inline(always)]
    pub fn copies(self) -> u8 {
        (self.0 >> Self::ACTION & ((1 << Self::COPIES) - 1)) as u8
    }

    #[inline(always)]
    pub fn first(self) -> bool {
        self.0 >> (Self::ACTION + Self::COPIES) & 1 == 1
    }

    pub fn unpack(self) -> Step {
        Step {
            action: self.action(),
            copies: self.copies(),
            first: self.first(),
        }
    }
}

/// A step with its first copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Go {
    pub step: PackedStep,
    pub hop: Hop,
}

/// A row of `class`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(32))]
pub(crate) struct Entry {
    /// By direction.
    pub go: [Go; 2],
    pub priority: u8,
    /// First packets ask rules or a meter: they are not common.
    pub asks: bool,
}

const _: () = assert!(size_of::<Entry>() == 32);

/// A row of `attachment`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(crate) struct Towards {
    /// MACs and VLAN tags of copies, up to their EtherType; zeros behind.
    pub head: [u8; HEAD],
    /// IPv4 in the last four.
    pub address: [u8; 16],
    /// Longest IP packet to it.
    pub mtu: u32,
    pub interface: u16,
    pub comes_from: u16,
    /// Attachment that what is sent to it counts as.
    pub counts: u16,
    pub port: u8,
    /// Bytes of `head`.
    pub bytes: u8,
}

/// MACs and two tags, rounded up.
pub(crate) const HEAD: usize = 24;

impl Towards {
    pub fn of(row: &Attachment) -> Towards {
        let mut head = [0; HEAD];
        let tags = ([row.vid0, row.vid1], row.tags.into());
        let bytes = crate::edit::write_ethernet(row, tags, &mut head);
        Towards {
            head,
            address: row.address.value.to_be_bytes(),
            // No packet is short enough for who is not there.
            mtu: match (row.absent, row.mtu) {
                (Some(_), _) => 0,
                (None, 0) => u32::MAX,
                (None, mtu) => mtu.into(),
            },
            interface: row.interface,
            comes_from: row.comes_from,
            counts: row.counts,
            port: row.port,
            bytes: bytes as u8,
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub entries: Vec<Entry>,
    pub hops: Vec<Hop>,
    pub towards: Vec<Towards>,
    /// Rows of `rewrite`, IPv4 in the last four bytes.
    pub rewrites: Vec<[u8; 16]>,
}

impl Rows {
    pub fn of(tables: &Tables) -> Rows {
        let hops = memory::collect(tables.action.iter().map(Hop::of));
        let go = |step: Step| Go {
            step: PackedStep::of(step),
            hop: hops.get(step.action as usize).copied().unwrap_or_default(),
        };
        let entry = |class: &Class| Entry {
            go: class.entries.map(go),
            priority: class.priority,
            asks: class.set != 0 || class.meter != 0,
        };
        Rows {
            entries: memory::collect(tables.class.iter().map(entry)),
            towards: memory::collect(tables.attachment.iter().map(Towards::of)),
            rewrites: memory::collect(tables.rewrite.iter().map(|a| a.value.to_be_bytes())),
            hops,
        }
    }

    /// Rows there are not say nothing, as in [`Tables`].
    #[inline(always)]
    pub fn hop(&self, action: u32) -> Hop {
        self.hops.get(action as usize).copied().unwrap_or_default()
    }
}
