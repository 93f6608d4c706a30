//! Which service, and which way? The four port questions of `docs/semantics.md` section 2.

use super::{Asked, Observer, Walk, dhcp_ports};
use crate::index::Stored;
use crate::keys::{PortKey, StepKey};
use crate::memory::prefetch;
use crate::parse::Headers;
use crate::tables::{Known, Tables};
use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;

#[inline(always)]
pub(super) fn class_of<O: Observer>(
    tables: &Tables,
    h: &Headers,
    walk: &mut Walk,
    observer: &mut O,
) -> Result<(), Reason> {
    let Some((class, direction, question)) = classify(tables, h, walk, observer) else {
        return Err(unclassified(tables, h, walk));
    };
    walk.by_source = question % 2 == 1;
    if h.ttl == 0 {
        return Err(Reason::Ttl);
    }
    walk.class = Some((class, direction));
    let key = StepKey {
        class,
        direction,
        position: walk.position,
    };
    observer.asked(Asked::Step(key));
    walk.row = match tables.has_steps(walk.position) {
        true => Some(tables.step.ask(key)),
        false => None,
    };
    prefetch(&tables.class, class as usize);
    Ok(())
}

/// The reason of a packet without a class.
pub(super) fn unclassified(tables: &Tables, h: &Headers, walk: &Walk) -> Reason {
    let (dst, src) = (Known::load(walk.dst), walk.src(tables, h));
    let scoped = dst.scope != 0 || src.scope != 0;
    if dhcp_ports(h) && (dst.local || !scoped) {
        return Reason::Dhcp;
    }
    if h.ttl == 0 {
        return Reason::Ttl;
    }
    match (dst.local, scoped) {
        (true, _) => Reason::Local,
        (false, true) if h.later_fragment => Reason::Fragment,
        (false, true) => Reason::NoPort,
        (false, false) => Reason::NoService,
    }
}

/// Key of an exact question; `None` for an address without a scope.
#[inline(always)]
pub(super) fn port_key(h: &Headers, known: &Known, port: u16) -> Option<PortKey> {
    (known.scope != 0).then_some(PortKey {
        scope: known.scope,
        protocol: h.protocol,
        port,
    })
}

/// The four port questions, strongest first, until one has an answer.
#[inline(always)]
pub(super) fn classify<O: Observer>(
    tables: &Tables,
    h: &Headers,
    walk: &Walk,
    observer: &mut O,
) -> Option<(u32, Direction, usize)> {
    use Direction::{Forward, Return};
    let dst = Known::load(walk.dst);
    let first = question(tables, 0, (dst, h.dport, Forward), h, walk, observer);
    if let Some((class, direction)) = first {
        for table in &Table::PORTS[1..] {
            observer.skipped(*table, "a stronger question has the answer");
        }
        return Some((class, direction, 0));
    }
    let src = walk.src(tables, h);
    let rest = [
        (src, h.sport, Return),
        (dst, h.sport, Return),
        (src, h.dport, Forward),
    ];
    let mut found = None;
    for (number, asked) in (1..).zip(rest) {
        if found.is_some() {
            observer.skipped(Table::PORTS[number], "a stronger question has the answer");
            continue;
        }
        let answer = question(tables, number, asked, h, walk, observer);
        found = answer.map(|(class, direction)| (class, direction, number));
    }
    found
}

/// One of them: exactly, then in the ranges of the scope.
#[inline(always)]
pub(super) fn question<O: Observer>(
    tables: &Tables,
    number: usize,
    (known, port, direction): (Known, u16, Direction),
    h: &Headers,
    walk: &Walk,
    observer: &mut O,
) -> Option<(u32, Direction)> {
    if known.scope == 0 {
        observer.skipped(Table::PORTS[number], "the address has no scope");
        return None;
    }
    let port = (!h.later_fragment).then_some(port);
    exact(tables, number, &known, port, h, walk, observer)
        .or_else(|| range(tables, number, &known, port, h.protocol, observer))
        .map(|class| (class, direction))
}

#[inline(always)]
pub(super) fn exact<O: Observer>(
    tables: &Tables,
    question: usize,
    known: &Known,
    port: Option<u16>,
    h: &Headers,
    walk: &Walk,
    observer: &mut O,
) -> Option<u32> {
    let Some(port) = port else {
        observer.skipped(Table::PORTS[question], "a later fragment has no ports");
        return None;
    };
    let key = port_key(h, known, port)?;
    observer.asked(Asked::Port(question, key));
    match walk.ahead == question {
        true => tables.ports[question].answer(&walk.port),
        false => tables.ports[question].get(key),
    }
}

#[inline(always)]
pub(super) fn range<O: Observer>(
    tables: &Tables,
    question: usize,
    known: &Known,
    port: Option<u16>,
    protocol: u8,
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
