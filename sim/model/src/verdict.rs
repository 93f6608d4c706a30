//! Questions and reasons (`docs/semantics.md` sections 2 and 3): what becomes of a packet.

mod class;

use class::{class_of, port_key};

use crate::acl;
use crate::decap::Taken;
use crate::index::Stored;
use crate::keys::{Address, InterfaceKey, PortKey, Position, SourceKey, StepKey};
use crate::lookup::Query;
use crate::memory::prefetch;
use crate::parse::Headers;
use crate::rate::Rates;
use crate::tables::{Interface, Known, KnownBits, Step, Tables};
use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::{Table, accepts, position_kind};
use seqnic_spec::wire;

/// What the tables decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// [`Reason::Directed`]: the copies of `step` are made; otherwise the host gets the packet.
    pub reason: Reason,
    /// Interface of arrival, when it is known.
    pub interface: Option<u16>,
    /// Attachment of the sender, when it and the interface are known.
    pub sender: Option<u16>,
    /// Class and direction; only when directed, `wrong_sender` or `denied`.
    pub class: Option<(u32, Direction)>,
    /// Rows of `action`; no copies unless directed.
    pub step: Step,
    /// Attachment of the neighbour that has the destination address; only when directed.
    pub neighbour: Option<u16>,
    /// Of its copies; means nothing unless directed.
    pub priority: u8,
    /// Number of the rule, or default of a rule set, that decided; of first packets that are asked.
    pub rule: Option<u16>,
}

impl Verdict {
    /// Rows of `action`, one a copy; none unless directed.
    #[inline(always)]
    pub fn rows(&self) -> std::ops::Range<u32> {
        self.step.action..self.step.action + u32::from(self.step.copies)
    }

    /// What the host is told of a copy that was not sent; the service is none of its names.
    #[inline(always)]
    pub fn unsent(&self, reason: Reason) -> Verdict {
        Verdict {
            reason,
            class: None,
            ..*self
        }
    }
}

/// Which address a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Destination,
    Source,
}

/// A question as it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Interface(InterfaceKey),
    Source(SourceKey),
    Address(End, Address),
    /// Question number: place in [`Table::PORTS`].
    Port(usize, PortKey),
    /// The row asked for question `question`; `port` is `None` in later fragments.
    Range {
        question: usize,
        row: u16,
        protocol: u8,
        port: Option<u16>,
    },
    Step(StepKey),
    Class(u32, Direction),
    /// The rules, and what they said.
    Rules(acl::Asked, acl::Decision),
}

/// Sees what [`decide`] asks. `()` sees nothing and costs nothing.
pub trait Observer {
    fn asked(&mut self, asked: Asked);
    /// `table` was not asked (for question `question` of the port tables), and why.
    fn skipped(&mut self, table: Table, why: &'static str);
}

impl Observer for () {
    #[inline]
    fn asked(&mut self, _: Asked) {}
    #[inline]
    fn skipped(&mut self, _: Table, _: &'static str) {}
}

/// Decides what becomes of a packet that arrived on `port`: the stages one after the other, but for
/// the meter, which knows of other packets.
pub fn decide<O: Observer>(tables: &Tables, port: u8, h: &Headers, observer: &mut O) -> Verdict {
    walk(tables, port, h, observer).verdict()
}

/// As [`decide`], with the meter: `time` is when the packet arrived, ns.
pub fn decide_in_time(
    tables: &Tables,
    rates: &mut Rates,
    port: u8,
    time: u64,
    h: &Headers,
) -> Verdict {
    let mut walk = walk(tables, port, h, &mut ());
    police(tables, rates, time, h, &mut walk);
    walk.verdict()
}

fn walk<O: Observer>(tables: &Tables, port: u8, h: &Headers, observer: &mut O) -> Walk {
    let mut walk = Walk::default();
    walk.start();
    arrive(tables, port, h, &mut Memo::default(), &mut walk, observer);
    destination(tables, h, &mut walk);
    source(tables, h, &mut walk);
    class(tables, h, &mut walk, observer);
    step(tables, h, &mut walk, observer);
    acl(tables, h, &mut walk, observer);
    walk
}

/// A packet between two stages of [`decide`]. Each stage reads the answers to what the one before
/// it asked and asks for the next, so a batch can go through a stage together while the memory is
/// on its way ([`crate::batch`]). A stage does nothing to a packet whose reason is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Walk {
    /// `None` while undecided; the end of the last stage makes it [`Reason::Directed`].
    reason: Option<Reason>,
    interface: Option<u16>,
    sender: Option<u16>,
    /// Position of the sender, as `step` asks it.
    position: Position,
    destination: Query<Address>,
    source: Query<Address>,
    source_asked: bool,
    /// What is known of them, as it is stored: a [`Known`] is several small fields, which the
    /// processor would have to put together again.
    dst: KnownBits,
    src: KnownBits,
    /// The exact port question that was asked ahead of the others: its number, 4 for none.
    ahead: usize,
    port: Query<PortKey>,
    class: Option<(u32, Direction)>,
    /// The class was found by the source address.
    by_source: bool,
    /// `None`: no sender in this position has a step in any class.
    row: Option<Query<StepKey>>,
    step: Step,
    /// The interface trusts the packet's DSCP.
    trust: bool,
    priority: u8,
    /// Row in `meter`.
    meter: u16,
    rule: Option<u16>,
}

impl Walk {
    /// What was decided; `wrong_sender` and directed packets have a class.
    #[inline(always)]
    pub fn verdict(&self) -> Verdict {
        let reason = self.reason.unwrap_or(Reason::Directed);
        let directed = reason == Reason::Directed;
        Verdict {
            reason,
            interface: self.interface,
            sender: self.sender,
            class: self.class,
            step: self.step,
            rule: self.rule,
            neighbour: match directed {
                true => Known::load(self.dst).neighbour,
                false => None,
            },
            priority: self.priority,
        }
    }

    /// Takes the next packet. What only a stage reads that was asked by the one before is left as
    /// it is.
    #[inline(always)]
    pub fn start(&mut self) {
        self.reason = None;
        self.interface = None;
        self.sender = None;
        self.source_asked = false;
        self.ahead = Table::PORTS.len();
        self.class = None;
        self.step = Step::default();
        self.priority = 0;
        self.rule = None;
    }

    /// Asks an exact port question before its turn.
    #[inline(always)]
    fn ask_ahead(&mut self, tables: &Tables, question: usize, key: PortKey) {
        self.ahead = question;
        self.port = tables.ports[question].ask(key);
    }

    /// What is known of the source address; many packets are decided without.
    #[inline(always)]
    fn src(&self, tables: &Tables, h: &Headers) -> Known {
        match self.source_asked {
            true => Known::load(self.src),
            false => tables.address.get(h.source()).unwrap_or_default(),
        }
    }

    /// Keeps the reason a stage found.
    #[inline(always)]
    fn end(&mut self, stage: Result<(), Reason>) {
        if let Err(reason) = stage {
            self.reason = Some(reason);
        }
    }
}

/// Where the last packet arrived and from whom: packets of one batch often share both, and the
/// answer to the same question is the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memo {
    interface: Option<(InterfaceKey, Option<Interface>)>,
    source: Option<(SourceKey, Option<u16>)>,
}

/// First stage: interface and sender, and the reasons that need no more.
#[inline(always)]
pub fn arrive<O: Observer>(
    tables: &Tables,
    port: u8,
    h: &Headers,
    memo: &mut Memo,
    walk: &mut Walk,
    observer: &mut O,
) {
    if walk.reason.is_none() {
        let found = arrival(tables, port, h, memo, walk, observer);
        walk.end(found);
    }
}

#[inline(always)]
fn arrival<O: Observer>(
    tables: &Tables,
    port: u8,
    h: &Headers,
    memo: &mut Memo,
    walk: &mut Walk,
    observer: &mut O,
) -> Result<(), Reason> {
    if let Some(reason @ (Reason::Runt | Reason::VlanDepth)) = h.fault {
        return Err(reason);
    }
    // A port no key has room for has no interface.
    if u32::from(port) >= tables.geometry.ports {
        return Err(Reason::NoInterface);
    }
    let key = InterfaceKey {
        port,
        vid0: h.vid0,
        vid1: h.vid1,
    };
    observer.asked(Asked::Interface(key));
    let found = match memo.interface {
        Some((last, found)) if last == key => found,
        _ => tables.interface.get(key),
    };
    memo.interface = Some((key, found));
    let interface = found.ok_or(Reason::NoInterface)?;
    walk.interface = Some(interface.interface);
    walk.trust = interface.trust;
    let key = SourceKey {
        segment: interface.segment,
        mac: h.src_mac,
    };
    observer.asked(Asked::Source(key));
    walk.sender = match memo.source {
        Some((last, found)) if last == key => found,
        _ => tables.source.get(key),
    };
    memo.source = Some((key, walk.sender));
    walk.position = match walk.sender {
        _ if let Some((kind, number)) = tag(h, &interface) => Position::Tag(kind, number),
        _ if interface.by_segment => Position::Segment(interface.segment),
        Some(sender) => Position::Attachment(sender),
        None => Position::Unknown,
    };

    if !h.to_group() && h.dst_mac != interface.mac && !interface.promiscuous {
        return Err(Reason::NotMine);
    }
    if h.ethertype == wire::ETHERTYPE_ARP {
        return Err(Reason::Arp);
    }
    let refused = |taken: Taken| interface.accepts & taken.header.accepts() == 0;
    if h.fault == Some(Reason::Encapsulation) || h.taken.is_some_and(refused) {
        return Err(Reason::Encapsulation);
    }
    if !h.is_ip() {
        return Err(Reason::NotIp);
    }
    if let Some(reason) = h.fault {
        return Err(reason);
    }
    icmp(h)?;
    if h.to_group() {
        // No question can change it: of the reasons left only these two are for group frames.
        return Err(if dhcp_ports(h) {
            Reason::Dhcp
        } else {
            Reason::Multicast
        });
    }
    observer.asked(Asked::Address(End::Destination, h.destination()));
    walk.destination = tables.address.ask(h.destination());
    observer.asked(Asked::Address(End::Source, h.source()));
    Ok(())
}

/// Second stage: what is known of the destination. If it has a scope, the strongest port question is
/// asked; otherwise the source has to be known.
#[inline(always)]
pub fn destination(tables: &Tables, h: &Headers, walk: &mut Walk) {
    if walk.reason.is_some() {
        return;
    }
    walk.dst = tables.address.bits(&walk.destination).unwrap_or_default();
    match port_key(h, &Known::load(walk.dst), h.dport) {
        Some(key) if !h.later_fragment => walk.ask_ahead(tables, 0, key),
        _ => {
            walk.source_asked = true;
            walk.source = tables.address.ask(h.source());
        }
    }
}

/// Third stage: what is known of the source, if it was asked, and its strongest port question.
#[inline(always)]
pub fn source(tables: &Tables, h: &Headers, walk: &mut Walk) {
    if walk.reason.is_some() || !walk.source_asked {
        return;
    }
    walk.src = tables.address.bits(&walk.source).unwrap_or_default();
    if let Some(key) = port_key(h, &Known::load(walk.src), h.sport)
        && !h.later_fragment
    {
        walk.ask_ahead(tables, 1, key);
    }
}

/// Fourth stage: class and direction, and the reasons of packets that have none.
#[inline(always)]
pub fn class<O: Observer>(tables: &Tables, h: &Headers, walk: &mut Walk, observer: &mut O) {
    if walk.reason.is_none() {
        let found = class_of(tables, h, walk, observer);
        walk.end(found);
    }
}

/// Fifth stage: the step of this sender, or the entry.
#[inline(always)]
pub fn step<O: Observer>(tables: &Tables, h: &Headers, walk: &mut Walk, observer: &mut O) {
    if walk.reason.is_none() {
        let found = step_of(tables, h, walk, observer);
        walk.end(found);
    }
}

/// Last stage: what starts its way keeps the rate of its service.
#[inline(always)]
pub fn police(tables: &Tables, rates: &mut Rates, time: u64, h: &Headers, walk: &mut Walk) {
    let metered = walk.reason.is_none() && walk.step.first && walk.meter != 0;
    if metered && !rates.keeps(tables, walk.meter, h, time) {
        walk.reason = Some(Reason::Policed);
        walk.step = Step::default();
    }
}

#[inline(always)]
fn step_of<O: Observer>(
    tables: &Tables,
    h: &Headers,
    walk: &mut Walk,
    observer: &mut O,
) -> Result<(), Reason> {
    let Some((class, direction)) = walk.class else {
        return Ok(());
    };
    let row = walk.row.as_ref();
    let step = match row.and_then(|row| tables.step.answer(row)) {
        Some(step) => {
            observer.skipped(Table::Class, "`step` has a row for this sender");
            step
        }
        None if matches!(walk.position, Position::Tag(..)) => {
            observer.skipped(Table::Class, "with a tag nobody enters");
            Step::default()
        }
        None => {
            observer.asked(Asked::Class(class, direction));
            tables.class(class).entry(direction)
        }
    };
    if step.copies == 0 {
        return Err(Reason::WrongSender);
    }
    walk.step = step;
    let row = tables.class(class);
    walk.meter = row.meter;
    walk.priority = match walk.trust {
        true => tables.dscp(h.traffic_class >> 2),
        false => row.priority,
    };
    prefetch(&tables.action, step.action as usize);
    Ok(())
}

/// Last stage: the rules, of first packets.
#[inline(always)]
pub fn acl<O: Observer>(tables: &Tables, h: &Headers, walk: &mut Walk, observer: &mut O) {
    let Some((class, direction)) = walk.class.filter(|_| walk.reason.is_none()) else {
        return;
    };
    let (row, interface) = (tables.class(class), walk.interface.unwrap_or(0));
    let why = match (row.set, walk.step.first) {
        (0, _) => "the service has no rules",
        (_, false) => "its way began earlier",
        _ => "",
    };
    if !why.is_empty() {
        for table in [Table::Acl, Table::Rule] {
            observer.skipped(table, why);
        }
        return;
    }
    let known = match walk.by_source {
        true => walk.src(tables, h),
        false => Known::load(walk.dst),
    };
    let Some((asked, decision)) = acl::decide(tables, &row, &known, h, direction, interface) else {
        return;
    };
    observer.asked(Asked::Rules(asked, decision));
    walk.rule = Some(decision.rule);
    if !decision.permit {
        walk.step = Step::default();
        walk.reason = Some(Reason::Denied);
    }
}

/// The tag a packet carries, as kind of position and number: a header that was taken off, a VLAN ID,
/// or a DSCP of pool 2 (RFC 2474 section 6).
#[inline(always)]
fn tag(h: &Headers, interface: &Interface) -> Option<(u32, u16)> {
    if interface.accepts == 0 {
        return None;
    }
    let accepted = |bit| interface.accepts & bit != 0;
    if let Some(taken) = h.taken {
        return Some((taken.header.position_kind(), taken.number));
    }
    let vid = if h.vid1 != 0 { h.vid1 } else { h.vid0 };
    if accepted(accepts::VLAN) && vid != 0 {
        return Some((position_kind::VLAN, vid));
    }
    let dscp = h.traffic_class >> 2;
    (accepted(accepts::DSCP) && dscp & 3 == 3).then_some((position_kind::DSCP, dscp.into()))
}

/// Neighbour discovery and ICMP errors.
#[inline(always)]
fn icmp(h: &Headers) -> Result<(), Reason> {
    if h.later_fragment {
        return Ok(());
    }
    match (h.v6, h.protocol) {
        (true, wire::PROTO_ICMPV6) if wire::ICMPV6_ND.contains(&h.icmp_type) => {
            Err(Reason::NeighbourDiscovery)
        }
        (true, wire::PROTO_ICMPV6) if wire::ICMPV6_ERRORS.contains(&h.icmp_type) => {
            Err(Reason::IcmpError)
        }
        (false, wire::PROTO_ICMP) if wire::ICMP_ERRORS.contains(&h.icmp_type) => {
            Err(Reason::IcmpError)
        }
        _ => Ok(()),
    }
}

#[inline(always)]
fn dhcp_ports(h: &Headers) -> bool {
    let ports = if h.v6 {
        wire::DHCPV6_PORTS
    } else {
        wire::DHCP_PORTS
    };
    h.protocol == wire::PROTO_UDP
        && !h.later_fragment
        && ports.contains(&h.sport)
        && ports.contains(&h.dport)
}
