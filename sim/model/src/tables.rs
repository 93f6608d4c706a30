//! An image decoded into native arrays, every number in it known to be in range.

use crate::acl::{Masks, Rule};
use crate::check;
use crate::decode::{
    action, address, attachment, below, class, decap, decoded, direct, encap, entry, hash,
    host_limit, interface, known, masks, meter, number, policy, ranges, rules, step,
};
use crate::encap::TagKind;
use crate::error::LoadError;
use crate::fast::rows::{Rows, Towards};
use crate::index::{Stored, as_it_is};
use crate::keys::{Address, InterfaceKey, PortKey, Position, SourceKey, StepKey};
use crate::lookup::HashTable;
use seqnic_image::Image;
use seqnic_image::names::Direction;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;
use seqnic_spec::rules::Mask;
use seqnic_spec::tables::{
    CLASS_ROW, DSCP_ROW, PORT_VALUE, RANGE_SLOTS, REWRITE_ROW, RULE_SLOTS, SOURCE_VALUE, STEP_KEY,
    Table, width,
};

/// Answer of `interface`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interface {
    pub interface: u16,
    pub segment: u16,
    pub mac: u64,
    pub promiscuous: bool,
    /// Position of what arrives here is its segment, not its sender.
    pub by_segment: bool,
    /// Tags read here (`seqnic_spec::tables::accepts`).
    pub accepts: u32,
    /// The DSCP says the priority.
    pub trust: bool,
}

/// Answer of `address`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// 0: no service address.
    pub scope: u32,
    /// Row in `range`.
    pub range: Option<u16>,
    /// Attachment of the neighbour that has the address.
    pub neighbour: Option<u16>,
    pub local: bool,
    /// Row in `acl`, 0 for none.
    pub acl: u8,
    /// The scope is part of the key of its rules.
    pub salted: bool,
}

/// One slot of a `range` row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    pub valid: bool,
    /// Number of the port question it answers: place in [`Table::PORTS`].
    pub role: u8,
    /// `None`: every protocol.
    pub protocol: Option<u8>,
    pub first: u16,
    pub last: u16,
    pub class: u32,
}

impl Range {
    /// Whether it answers question `role`; `port` is `None` in later fragments.
    #[inline]
    pub fn holds(&self, role: usize, protocol: u8, port: Option<u16>) -> bool {
        self.valid
            && usize::from(self.role) == role
            && self.protocol.is_none_or(|p| p == protocol)
            && match port {
                Some(port) => (self.first..=self.last).contains(&port),
                None => (self.first, self.last) == (0, u16::MAX),
            }
    }
}

/// A row of `range`.
pub type RangeRow = [Range; RANGE_SLOTS as usize];

/// The copies a packet becomes: rows `action` to `action + copies - 1`; none bars the sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    pub action: u32,
    pub copies: u8,
    /// An entry, or where the return way starts: ACL and meter are asked.
    pub first: bool,
}

/// A row of `class`: what happens to packets that enter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Class {
    pub entries: [Step; 2],
    pub priority: u8,
    /// Row in `meter`, 0 for none.
    pub meter: u16,
    /// Rule set of first packets, 0 for none.
    pub set: u16,
    /// What happens to one no rule holds, and the number it counts under.
    pub permit: bool,
    pub rule: u16,
}

/// A row of `meter`; times in 2^-16 ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Time a byte takes.
    pub cost: u64,
    pub tolerance: u64,
}

/// A row of `host_limit`; times in 2^-16 ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostLimit {
    pub limited: bool,
    pub closed: bool,
    pub priority: u8,
    /// Time a packet takes.
    pub cost: u64,
    pub tolerance: u64,
}

impl Class {
    #[inline(always)]
    pub fn entry(&self, direction: Direction) -> Step {
        self.entries[usize::from(direction == Direction::Return)]
    }
}

/// A port and what is added to it modulo 2^16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortEdit {
    Source(u16),
    Destination(u16),
}

/// A row of `action`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Action {
    pub attachment: u16,
    /// Mask of the bits of the client's digest that are added to it.
    pub buckets: u16,
    pub route: bool,
    pub nat: bool,
    /// Row in `rewrite`.
    pub rewrite: Option<u16>,
    pub port: Option<PortEdit>,
    pub dscp: Option<u8>,
    /// Kind of the tag it leaves with, and the tag's number.
    pub tag: Option<(TagKind, u8)>,
}

/// A row of `attachment`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attachment {
    pub valid: bool,
    /// Why what is sent to it is not sent, if it is not there.
    pub absent: Option<Reason>,
    pub port: u8,
    pub interface: u16,
    /// VLAN tags on frames to it, 0 to 2.
    pub tags: u8,
    pub vid0: u16,
    pub vid1: u16,
    pub dst_mac: u64,
    pub src_mac: u64,
    pub address: Address,
    /// Longest IP packet to it, 0 for no limit.
    pub mtu: u16,
    /// Row in `encap`.
    pub encap: u16,
    /// Attachment from which what is sent to it comes back.
    pub comes_from: u16,
    /// Attachment that what is sent to it counts as.
    pub counts: u16,
}

/// A row of `decap`: what a port takes off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decap {
    /// `seqnic_spec::tables::accepts`.
    pub accepts: u32,
    /// Destination addresses of outer headers.
    pub v4: Option<u32>,
    pub v6: Option<u128>,
}

/// A row of `encap`: tunnel addresses, and what is added to the number of a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encap {
    /// Family of the outer header.
    pub v6: bool,
    pub src: u128,
    pub dst: u128,
    pub vlan: u16,
    pub mpls: u32,
    pub vni: u32,
    pub gre: u32,
    /// Service path identifier of NSH.
    pub spi: u32,
}

as_it_is! { Interface Step }

/// A [`Known`] as it is stored: one word, of which packets mostly need one field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownBits(u64);

impl KnownBits {
    #[inline(always)]
    pub fn scope(self) -> u32 {
        (self.0 & ((1 << SCOPE_BITS) - 1)) as u32
    }

    #[inline(always)]
    pub fn neighbour(self) -> Option<u16> {
        self.number(SCOPE_BITS + 17)
    }

    #[inline(always)]
    fn number(self, at: u32) -> Option<u16> {
        (self.0 >> (at + 16) & 1 == 1).then_some((self.0 >> at) as u16)
    }
}

impl Stored for Known {
    type Bits = KnownBits;

    fn store(self) -> KnownBits {
        let number = |n: Option<u16>| n.map_or(0, |n| u64::from(n) | 1 << 16);
        KnownBits(
            u64::from(self.scope)
                | number(self.range) << SCOPE_BITS
                | number(self.neighbour) << (SCOPE_BITS + 17)
                | u64::from(self.local) << (SCOPE_BITS + 34)
                | u64::from(self.acl) << (SCOPE_BITS + 35)
                | u64::from(self.salted) << 63,
        )
    }

    #[inline(always)]
    fn load(bits: KnownBits) -> Known {
        Known {
            scope: bits.scope(),
            range: bits.number(SCOPE_BITS),
            neighbour: bits.neighbour(),
            local: bits.0 >> (SCOPE_BITS + 34) & 1 == 1,
            acl: (bits.0 >> (SCOPE_BITS + 35) & ((1 << width::ACL) - 1)) as u8,
            salted: bits.0 >> 63 == 1,
        }
    }
}

/// Bits of a scope where an answer is one word: what the rest of it leaves.
const SCOPE_BITS: u32 = 64 - 17 - 17 - 1 - width::ACL - 1;
const _: () = assert!(width::SCOPE <= SCOPE_BITS);

/// All tables of an image.
#[derive(Debug, Clone)]
pub struct Tables {
    pub geometry: &'static Geometry,
    /// The version of the tables that holds; nothing of the other is decoded.
    pub epoch: u32,
    pub interface: HashTable<InterfaceKey, Interface>,
    /// Attachment of the sender.
    pub source: HashTable<SourceKey, u16>,
    pub address: HashTable<Address, Known>,
    /// Class, by question in the order of [`Table::PORTS`].
    pub ports: [HashTable<PortKey, u32>; 4],
    pub range: Vec<RangeRow>,
    pub class: Vec<Class>,
    pub step: HashTable<StepKey, Step>,
    /// A bit for every position: whether any class has a step for it. Most packets enter, from
    /// senders that have none.
    positions: Vec<u64>,
    pub action: Vec<Action>,
    /// Changed by [`Tables::set_attachment`] only.
    pub(crate) attachment: Vec<Attachment>,
    pub rewrite: Vec<Address>,
    /// By port.
    pub decap: Vec<Decap>,
    pub encap: Vec<Encap>,
    pub meter: Vec<Meter>,
    /// By reason.
    pub host_limit: Vec<HostLimit>,
    /// Priority by DSCP.
    pub dscp: Vec<u8>,
    /// By row; by bank.
    pub acl: Vec<Masks>,
    /// Slots of each row.
    pub rule: Vec<[Rule; RULE_SLOTS as usize]>,
    /// Those of `rule` that are always compared: the rows behind the banks.
    pub always: Vec<Rule>,
    /// Attachment by number of the rule.
    pub policy: Vec<Option<u16>>,
    /// What of them the common packet needs.
    pub(crate) fast: Rows,
}

impl Tables {
    /// Decodes and checks an image.
    ///
    /// # Errors
    /// [`LoadError`] says which table, row and field contradicts the geometry or another table.
    pub fn load(image: &Image) -> Result<Tables, LoadError> {
        let g = image.geometry;
        g.check()?;
        check::shape(image)?;
        let epoch = image.epoch();
        let ports = |question: usize| {
            hash(image, Table::PORTS[question], |r| {
                below(r, &PORT_VALUE, "class", g.class_rows)
            })
        };
        let mut tables = Tables {
            geometry: g,
            epoch,
            interface: hash(image, Table::Interface, |r| interface(r, g))?,
            source: hash(image, Table::Source, |r| {
                let n = below(r, &SOURCE_VALUE, "attachment", g.attachment_rows)?;
                Ok(n as u16)
            })?,
            address: hash(image, Table::Address, |r| known(r, g))?,
            ports: [ports(0)?, ports(1)?, ports(2)?, ports(3)?],
            range: ranges(image.table(Table::Range), g)?,
            class: direct(image.table(Table::Class), epoch, |r| {
                Ok(Class {
                    entries: [
                        entry(r, &CLASS_ROW, "forward_action", "forward_copies", g)?,
                        entry(r, &CLASS_ROW, "return_action", "return_copies", g)?,
                    ],
                    priority: number(r, &CLASS_ROW, "priority") as u8,
                    meter: below(r, &CLASS_ROW, "meter", g.meter_rows)? as u16,
                    ..class(r, g)?
                })
            })?,
            step: hash(image, Table::Step, |r| step(r, g))?,
            positions: vec![0; 1 << (width::POSITION - 6)],
            action: direct(image.table(Table::Action), epoch, |r| action(r, g))?,
            attachment: direct(image.table(Table::Attachment), epoch, |r| attachment(r, g))?,
            rewrite: direct(image.table(Table::Rewrite), epoch, |r| {
                address(r, &REWRITE_ROW)
            })?,
            decap: direct(image.table(Table::Decap), epoch, decap)?,
            encap: direct(image.table(Table::Encap), epoch, encap)?,
            meter: direct(image.table(Table::Meter), epoch, meter)?,
            host_limit: direct(image.table(Table::HostLimit), epoch, host_limit)?,
            dscp: direct(image.table(Table::Dscp), epoch, |r| {
                Ok(number(r, &DSCP_ROW, "priority") as u8)
            })?,
            acl: direct(image.table(Table::Acl), epoch, |r| masks(r, g))?,
            rule: direct(image.table(Table::Rule), epoch, |r| rules(r, epoch, g))?,
            always: Vec::new(),
            policy: direct(image.table(Table::Policy), epoch, |r| policy(r, g))?,
            fast: Rows::default(),
        };
        let (at, bits) = STEP_KEY.at("position");
        for (_, key, _) in tables.step.entries() {
            let position = key[0] >> at & ((1 << bits) - 1);
            tables.positions[(position / 64) as usize] |= 1 << (position % 64);
        }
        let always = tables.rule.iter().skip(g.rule_banked() as usize).flatten();
        tables.always = always.filter(|rule| rule.valid).copied().collect();
        check::references(&tables)?;
        check::families(&tables)?;
        tables.fast = Rows::of(&tables);
        Ok(tables)
    }

    /// Attachment `number` of an image, in the epoch that holds: for changing one in place.
    ///
    /// # Errors
    /// [`LoadError`] says which field is not in range.
    pub fn attachment_in(image: &Image, number: u32) -> Result<Attachment, LoadError> {
        let row = image.row_of(Table::Attachment, number);
        decoded(image.table(Table::Attachment), row, |r| {
            attachment(r, image.geometry)
        })
    }

    /// Changes attachment `number` in place, if there is one.
    pub fn set_attachment(&mut self, number: usize, row: Attachment) {
        let places = (
            self.attachment.get_mut(number),
            self.fast.towards.get_mut(number),
        );
        if let (Some(place), Some(fast)) = places {
            *fast = Towards::of(&row);
            *place = row;
        }
    }

    /// Whether what is made of the tables ahead of packets says what they say.
    pub fn in_step(&self) -> bool {
        self.fast == Rows::of(self)
    }

    /// Whether `step` has a row with this position.
    #[inline(always)]
    pub fn has_steps(&self, position: Position) -> bool {
        let bits = position.bits();
        let word = self.positions.get((bits / 64) as usize);
        word.is_some_and(|word| word >> (bits % 64) & 1 == 1)
    }

    /// Row `row` of `class`; rows the image does not have are zero, here and below.
    #[inline(always)]
    pub fn class(&self, row: u32) -> Class {
        self.class.get(row as usize).copied().unwrap_or_default()
    }

    #[inline(always)]
    pub fn action(&self, row: u32) -> Action {
        self.action.get(row as usize).copied().unwrap_or_default()
    }

    /// Row of attachment `number` in the epoch that holds.
    pub fn attachment_row(&self, number: u16) -> u32 {
        u32::from(number) * Table::Attachment.versions() + self.epoch
    }

    #[inline(always)]
    pub fn attachment(&self, number: u16) -> Attachment {
        let row = self.attachment.get(usize::from(number));
        row.copied().unwrap_or_default()
    }

    #[inline(always)]
    pub fn rewrite(&self, row: u16) -> Address {
        let row = self.rewrite.get(usize::from(row));
        row.copied().unwrap_or_default()
    }

    /// What `port` takes off: nothing if there is no such port.
    pub fn decap(&self, port: u8) -> &Decap {
        const NOTHING: &Decap = &Decap {
            accepts: 0,
            v4: None,
            v6: None,
        };
        self.decap.get(usize::from(port)).unwrap_or(NOTHING)
    }

    #[inline(always)]
    pub fn meter(&self, row: u16) -> Meter {
        let row = self.meter.get(usize::from(row));
        row.copied().unwrap_or_default()
    }

    /// What the host takes of a reason.
    #[inline(always)]
    pub fn host_limit(&self, reason: Reason) -> HostLimit {
        let row = self.host_limit.get(reason as usize);
        row.copied().unwrap_or_default()
    }

    /// Priority of what comes with a DSCP on a trusted interface.
    #[inline(always)]
    pub fn dscp(&self, dscp: u8) -> u8 {
        let row = self.dscp.get(usize::from(dscp));
        row.copied().unwrap_or_default()
    }

    pub fn encap(&self, row: u16) -> Encap {
        let row = self.encap.get(usize::from(row));
        row.copied().unwrap_or_default()
    }

    /// Mask of a bank; rows the image does not have are zero.
    #[inline]
    pub fn mask(&self, row: u8, bank: u32) -> Mask {
        let masks = self.acl.get(usize::from(row));
        let mask = masks.and_then(|masks| masks.get(bank as usize));
        mask.copied().unwrap_or_default()
    }

    /// Rules of row `row` of `rule`.
    #[inline]
    pub fn rules(&self, row: u32) -> &[Rule] {
        self.rule.get(row as usize).map_or(&[], |r| &r[..])
    }

    /// Next hop of packets that rule `rule` permits.
    #[inline(always)]
    pub fn policy(&self, rule: u16) -> Option<u16> {
        self.policy.get(usize::from(rule)).copied().flatten()
    }

    /// Slots of row `row` of `range`.
    #[inline(always)]
    pub fn range(&self, row: u16) -> &[Range] {
        self.range.get(usize::from(row)).map_or(&[], |r| &r[..])
    }
}
