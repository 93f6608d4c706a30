//! Questions and reasons (`docs/semantics.md` sections 2 and 3): what becomes of a packet.

use crate::keys::{Address, InterfaceKey, PortKey, Position, SourceKey, StepKey};
use crate::parse::Headers;
use crate::tables::{Known, Step, Tables};
use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
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

/// Decides what becomes of a packet that arrived on `port`.
#[inline]
pub fn decide<O: Observer>(tables: &Tables, port: u8, h: &Headers, observer: &mut O) -> Verdict {
    let mut verdict = Verdict {
        reason: Reason::Directed,
        interface: None,
        sender: None,
        class: None,
        step: Step::default(),
        neighbour: None,
    };
    if let Err(reason) = judge(tables, port, h, observer, &mut verdict) {
        verdict.reason = reason;
    }
    verdict
}

/// The conditions in the order of their codes; the first that holds is the error.
fn judge<O: Observer>(
    tables: &Tables,
    port: u8,
    h: &Headers,
    observer: &mut O,
    verdict: &mut Verdict,
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
    let interface = *tables.interface.get(key).ok_or(Reason::NoInterface)?;
    verdict.interface = Some(interface.interface);
    let key = SourceKey {
        segment: interface.segment,
        mac: h.src_mac,
    };
    observer.asked(Asked::Source(key));
    verdict.sender = tables.source.get(key).copied();

    if !h.to_group() && h.dst_mac != interface.mac && !interface.promiscuous {
        return Err(Reason::NotMine);
    }
    if h.ethertype == wire::ETHERTYPE_ARP {
        return Err(Reason::Arp);
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
    let dst = lookup(tables, h.destination());
    observer.asked(Asked::Address(End::Source, h.source()));
    let src = lookup(tables, h.source());
    let class = classify(tables, h, &dst, &src, observer);
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

    verdict.class = Some((class, direction));
    let position = match verdict.sender {
        _ if interface.by_segment => Position::Segment(interface.segment),
        Some(sender) => Position::Attachment(sender),
        None => Position::Unknown,
    };
    let key = StepKey {
        class,
        direction,
        position,
    };
    observer.asked(Asked::Step(key));
    let step = match tables.step.get(key) {
        Some(step) => {
            observer.skipped(Table::Class, "`step` has a row for this sender");
            *step
        }
        None => {
            observer.asked(Asked::Class(class, direction));
            tables.class(class).entry(direction)
        }
    };
    if step.copies == 0 {
        return Err(Reason::WrongSender);
    }
    verdict.step = step;
    verdict.neighbour = dst.neighbour;
    Ok(())
}

fn lookup(tables: &Tables, address: Address) -> Known {
    tables.address.get(address).copied().unwrap_or_default()
}

/// Neighbour discovery and ICMP errors.
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

/// The four port questions, strongest first.
fn classify<O: Observer>(
    tables: &Tables,
    h: &Headers,
    dst: &Known,
    src: &Known,
    observer: &mut O,
) -> Option<(u32, Direction)> {
    use Direction::{Forward, Return};
    let questions = [
        (dst, h.dport, Forward),
        (src, h.sport, Return),
        (dst, h.sport, Return),
        (src, h.dport, Forward),
    ];
    let mut found = None;
    for (question, (known, port, direction)) in questions.into_iter().enumerate() {
        let table = Table::PORTS[question];
        if found.is_some() {
            observer.skipped(table, "a stronger question has the answer");
            continue;
        }
        if known.scope == 0 {
            observer.skipped(table, "the address has no scope");
            continue;
        }
        let port = (!h.later_fragment).then_some(port);
        found = exact(tables, question, known, h.protocol, port, observer)
            .or_else(|| range(tables, question, known, h.protocol, port, observer))
            .map(|class| (class, direction));
    }
    found
}

fn exact<O: Observer>(
    tables: &Tables,
    question: usize,
    known: &Known,
    protocol: u8,
    port: Option<u16>,
    observer: &mut O,
) -> Option<u32> {
    let Some(port) = port else {
        observer.skipped(Table::PORTS[question], "a later fragment has no ports");
        return None;
    };
    let key = PortKey {
        scope: known.scope,
        protocol,
        port,
    };
    observer.asked(Asked::Port(question, key));
    tables.ports[question].get(key).copied()
}

fn range<O: Observer>(
    tables: &Tables,
    question: usize,
    known: &Known,
    protocol: u8,
    port: Option<u16>,
    observer: &mut O,
) -> Option<u32> {
    let row = known.range?;
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
