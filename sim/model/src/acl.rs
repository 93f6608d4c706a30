//! Is it allowed? (`docs/semantics.md` section 7), as the card finds it: one row of every bank, and those that are always compared.

use crate::parse::Headers;
use crate::tables::{Class, Known, Tables};
use seqnic_image::names::Direction;
use seqnic_spec::hash::rule_row;
use seqnic_spec::rules::{Digests, Mask, RuleKey};

/// Bits of a value that are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefix {
    pub value: u128,
    pub mask: u128,
}

impl Prefix {
    /// The first `bits` bits of `value`.
    pub fn new(value: u128, bits: u32) -> Prefix {
        Prefix {
            value,
            mask: !u128::MAX.checked_shr(bits).unwrap_or(0),
        }
    }

    fn holds(self, address: u128) -> bool {
        (address ^ self.value) & self.mask == 0
    }
}

/// A slot of `rule`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rule {
    /// `None` in an empty slot; else whether it is of IPv6, or of both versions.
    pub valid: bool,
    pub v6: Option<bool>,
    /// Addresses begin at the highest bit, also those of IPv4.
    pub client: Prefix,
    pub server: Prefix,
    pub protocol: Option<u8>,
    pub client_port: (u16, u16),
    pub port: (u16, u16),
    /// Value and mask.
    pub flags: (u8, u8),
    /// `None`: no upper limit.
    pub size: (u16, Option<u16>),
    /// By direction.
    pub directions: [bool; 2],
    pub arrival: Option<u16>,
    pub set: u16,
    pub order: u16,
    pub rule: u16,
    pub permit: bool,
}

/// A first packet, as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub set: u16,
    /// Row of `acl`.
    pub acl: u8,
    pub key: RuleKey,
    pub direction: Direction,
    /// A later fragment: only rules of all ports and without flags hold.
    pub later: bool,
    pub flags: u8,
    pub size: u32,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Number it counts under.
    pub rule: u16,
    pub permit: bool,
}

impl Rule {
    /// Whether it holds the packet.
    pub fn holds(&self, asked: &Asked) -> bool {
        let key = &asked.key;
        let port = |(first, last): (u16, u16), port: u16| match asked.later {
            true => (first, last) == (0, u16::MAX),
            false => (first..=last).contains(&port),
        };
        self.valid
            && self.set == asked.set
            && self.v6.is_none_or(|v6| v6 == key.v6)
            && self.client.holds(key.client)
            && self.server.holds(key.server)
            && self.protocol.is_none_or(|p| p == key.protocol)
            && port(self.client_port, key.client_port)
            && port(self.port, key.port)
            && asked.flags & self.flags.1 == self.flags.0
            && !(asked.later && self.flags.1 != 0)
            && asked.size >= self.size.0.into()
            && self.size.1.is_none_or(|most| asked.size <= most.into())
            && self.directions[asked.direction.bit() as usize]
            && self.arrival.is_none_or(|a| a == key.arrival)
    }
}

/// What the rules say of the first packet of a class; `None` if none are asked. `known` is what
/// is known of the address the class was found by.
pub fn decide(
    tables: &Tables,
    class: &Class,
    known: &Known,
    h: &Headers,
    direction: Direction,
    interface: u16,
) -> Option<(Asked, Decision)> {
    if class.set == 0 {
        return None;
    }
    let from_the_top = |address: u128| if h.v6 { address } else { address << 96 };
    let (src, dst) = (from_the_top(h.src), from_the_top(h.dst));
    let (client, server, client_port, port) = match direction {
        Direction::Forward => (src, dst, h.sport, h.dport),
        Direction::Return => (dst, src, h.dport, h.sport),
    };
    let asked = Asked {
        set: class.set,
        acl: known.acl,
        key: RuleKey {
            salt: if known.salted { known.scope } else { 0 },
            v6: h.v6,
            client,
            server,
            client_port,
            port,
            protocol: h.protocol,
            arrival: interface,
        },
        direction,
        later: h.later_fragment,
        flags: h.tcp_flags,
        size: h.ip_length,
    };
    let default = Decision {
        rule: class.rule,
        permit: class.permit,
    };
    Some((asked, ask(tables, &asked).unwrap_or(default)))
}

/// The rule that decides, if one holds: of those in the rows the packet asks, and of those it need not ask for, the one with the
/// lowest order.
pub fn ask(tables: &Tables, asked: &Asked) -> Option<Decision> {
    let digests = Digests::of(&asked.key);
    let g = tables.geometry;
    let rows = (0..g.rule_banks).map(|bank| {
        let mask = tables.mask(asked.acl, bank);
        bank * g.rule_rows + rule_row(digests.under(&mask), bank, g.rule_rows)
    });
    let rules = rows.flat_map(|row| tables.rules(row));
    let found = rules
        .chain(&tables.always)
        .filter(|rule| rule.holds(asked))
        .min_by_key(|r| r.order)?;
    Some(Decision {
        rule: found.rule,
        permit: found.permit,
    })
}

/// Masks of a row of `acl`, by bank.
pub type Masks = Vec<Mask>;
