//! Questions and reasons (`docs/semantics.md` sections 2 and 3): what becomes of a packet.

use crate::decap::Taken;
use crate::index::Stored;
use crate::keys::{Address, InterfaceKey, PortKey, Position, SourceKey, StepKey};
use crate::lookup::Query;
use crate::memory::prefetch;
use crate::parse::Headers;
use crate::tables::{Interface, Known, Step, Tables};
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
    /// Class and direction; only when directed or `wrong_sender`.
    pub class: Option<(u32, Direction)>,
    /// Rows of `action`; no copies unless directed.
    pub step: Step,
    /// Attachment of the neighbour that has the destination address; only when directed.
    pub neighbour: Option<u16>,
}

impl Verdict {
    /// Rows of `action`, one a copy; none unless directed.
    #[inline(always)]
    pub fn rows(&self) -> std::ops::Range<u32> {
        self.step.action..self.step.action + u32::from(self.step.copies)
    }

    /// What the host is told of a copy that was too big; the service is none of its names.
    #[inline(always)]
    pub fn too_big(&self) -> Verdict {
        Verdict {
            reason: Reason::TooBig,
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

/// Decides what becomes of a packet that arrived on `port`: the stages one after the other.
pub fn decide<O: Observer>(tables: &Tables, port: u8, h: &Headers, observer: &mut O) -> Verdict {
    let mut walk = Walk::default();
    arrive(tables, port, h, &mut Memo::default(), &mut walk, observer);
    addresses(tables, h, &mut walk, observer);
    class(tables, h, &mut walk, observer);
    step(tables, &mut walk, observer);
    walk.verdict()
}

type KnownBits = <Known as Stored>::Bits;

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
    /// What is known of them, as it is stored: a [`Known`] is several small fields, which the
    /// processor would have to put together again.
    dst: KnownBits,
    src: KnownBits,
    /// The exact port question that was asked ahead of the others: its number, 4 for none.
    ahead: usize,
    port: Query<PortKey>,
    class: Option<(u32, Direction)>,
    row: Query<StepKey>,
    step: Step,
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
            neighbour: Known::load(self.dst).neighbour.filter(|_| directed),
        }
    }

    /// Takes the next packet. What only a stage reads that was asked by the one before is left as
    /// it is.
    #[inline(always)]
    pub fn start(&mut self) {
        self.reason = None;
        self.interface = None;
        self.sender = None;
        self.dst = KnownBits::default();
        self.class = None;
        self.step = Step::default();
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
    walk.source = tables.address.ask(h.source());
    Ok(())
}

/// Second stage: what is known of both addresses.
#[inline(always)]
pub fn addresses<O: Observer>(tables: &Tables, h: &Headers, walk: &mut Walk, _: &mut O) {
    if walk.reason.is_none() {
        let found = both_addresses(tables, h, walk);
        walk.end(found);
    }
}

#[inline(always)]
fn both_addresses(tables: &Tables, h: &Headers, walk: &mut Walk) -> Result<(), Reason> {
    walk.dst = tables.address.bits(&walk.destination).unwrap_or_default();
    walk.src = tables.address.bits(&walk.source).unwrap_or_default();
    let (dst, src) = (Known::load(walk.dst), Known::load(walk.src));
    // The first exact question there will be: later ones are asked when it had no answer.
    let (number, known, port) = match dst.scope {
        0 => (1, &src, h.sport),
        _ => (0, &dst, h.dport),
    };
    walk.ahead = Table::PORTS.len();
    if !h.later_fragment
        && let Some(key) = port_key(h, known, port)
    {
        walk.ahead = number;
        walk.port = tables.ports[number].ask(key);
    }
    Ok(())
}

/// Third stage: class and direction, and the reasons of packets that have none.
#[inline(always)]
pub fn class<O: Observer>(tables: &Tables, h: &Headers, walk: &mut Walk, observer: &mut O) {
    if walk.reason.is_none() {
        let found = class_of(tables, h, walk, observer);
        walk.end(found);
    }
}

#[inline(always)]
fn class_of<O: Observer>(
    tables: &Tables,
    h: &Headers,
    walk: &mut Walk,
    observer: &mut O,
) -> Result<(), Reason> {
    let (dst, src) = (Known::load(walk.dst), Known::load(walk.src));
    let class = classify(tables, h, &dst, &src, walk, observer);
    let scoped = dst.scope != 0 || src.scope != 0;
    if dhcp_ports(h) && class.is_none() && (dst.local || !scoped) {
        return Err(Reason::Dhcp);
    }
    if h.ttl == 0 {
        return Err(Reason::Ttl);
    }
    let Some((class, direction)) = class else {
        return Err(match (dst.local, scoped) {
            (true, _) => Reason::Local,
            (false, true) if h.later_fragment => Reason::Fragment,
            (false, true) => Reason::NoPort,
            (false, false) => Reason::NoService,
        });
    };
    walk.class = Some((class, direction));
    let key = StepKey {
        class,
        direction,
        position: walk.position,
    };
    observer.asked(Asked::Step(key));
    walk.row = tables.step.ask(key);
    prefetch(&tables.class, class as usize);
    Ok(())
}

/// Last stage: the step of this sender, or the entry.
#[inline(always)]
pub fn step<O: Observer>(tables: &Tables, walk: &mut Walk, observer: &mut O) {
    if walk.reason.is_none() {
        let found = step_of(tables, walk, observer);
        walk.end(found);
    }
}

#[inline(always)]
fn step_of<O: Observer>(tables: &Tables, walk: &mut Walk, observer: &mut O) -> Result<(), Reason> {
    let Some((class, direction)) = walk.class else {
        return Ok(());
    };
    let step = match tables.step.answer(&walk.row) {
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
    prefetch(&tables.action, step.action as usize);
    Ok(())
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

/// A port question: the address whose scope it is asked in, the port (`None` in later fragments),
/// and what the answer says of the direction.
#[derive(Clone, Copy)]
struct PortQuestion<'a> {
    known: &'a Known,
    port: Option<u16>,
    direction: Direction,
}

/// The four port questions, strongest first.
#[inline(always)]
fn questions<'a>(h: &Headers, dst: &'a Known, src: &'a Known) -> [PortQuestion<'a>; 4] {
    use Direction::{Forward, Return};
    [
        (dst, h.dport, Forward),
        (src, h.sport, Return),
        (dst, h.sport, Return),
        (src, h.dport, Forward),
    ]
    .map(|(known, port, direction)| PortQuestion {
        known,
        port: (!h.later_fragment).then_some(port),
        direction,
    })
}

/// Key of an exact question; `None` for an address without a scope.
#[inline(always)]
fn port_key(h: &Headers, known: &Known, port: u16) -> Option<PortKey> {
    (known.scope != 0).then_some(PortKey {
        scope: known.scope,
        protocol: h.protocol,
        port,
    })
}

/// Asks them until one has an answer.
#[inline(always)]
fn classify<O: Observer>(
    tables: &Tables,
    h: &Headers,
    dst: &Known,
    src: &Known,
    walk: &Walk,
    observer: &mut O,
) -> Option<(u32, Direction)> {
    let mut found = None;
    let questions = questions(h, dst, src);
    for (question, asked) in questions.into_iter().enumerate() {
        let table = Table::PORTS[question];
        if found.is_some() {
            observer.skipped(table, "a stronger question has the answer");
            continue;
        }
        if asked.known.scope == 0 {
            observer.skipped(table, "the address has no scope");
            continue;
        }
        found = exact(tables, question, asked, h, walk, observer)
            .or_else(|| range(tables, question, asked, h.protocol, observer))
            .map(|class| (class, asked.direction));
    }
    found
}

#[inline(always)]
fn exact<O: Observer>(
    tables: &Tables,
    question: usize,
    asked: PortQuestion,
    h: &Headers,
    walk: &Walk,
    observer: &mut O,
) -> Option<u32> {
    let Some(port) = asked.port else {
        observer.skipped(Table::PORTS[question], "a later fragment has no ports");
        return None;
    };
    let key = port_key(h, asked.known, port)?;
    observer.asked(Asked::Port(question, key));
    match walk.ahead == question {
        true => tables.ports[question].answer(&walk.port),
        false => tables.ports[question].get(key),
    }
}

#[inline(always)]
fn range<O: Observer>(
    tables: &Tables,
    question: usize,
    asked: PortQuestion,
    protocol: u8,
    observer: &mut O,
) -> Option<u32> {
    let (row, port) = (asked.known.range?, asked.port);
    observer.asked(Asked::Range {
        question,
        row,
        protocol,
        port,
    });
    let mut slots = tables.range(row).iter();
    // Of several that hold the lowest slot wins.
    slots
        .find(|slot| slot.holds(question, protocol, port))
        .map(|slot| slot.class)
}
