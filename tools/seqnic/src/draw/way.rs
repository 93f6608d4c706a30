//! What a picture shows: who takes part in a service, and the numbered legs of its packets
//! (`docs/semantics.md` section 6).

use super::boxes::heading;
use seqnic_compiler::definition::{
    Definition, DeviceId, Directions, Element, HostId, KeyedBy, Party as Named, ReturnWay, Role,
    Service, Side,
};
use std::net::IpAddr;

/// Kind of an arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Forward,
    Return,
    ForwardCopy,
    ReturnCopy,
}

impl Kind {
    pub fn is_return(self) -> bool {
        matches!(self, Kind::Return | Kind::ReturnCopy)
    }

    fn copy(self) -> Kind {
        match self.is_return() {
            true => Kind::ReturnCopy,
            false => Kind::ForwardCopy,
        }
    }
}

/// A leg between a party and the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrow {
    pub kind: Kind,
    pub to_engine: bool,
    /// Its number; copies have a letter after that of the packet.
    pub label: String,
}

/// An attachment of a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// `outside` or `inside`, where there are two.
    pub name: Option<String>,
    /// Interface and VLAN.
    pub tab: String,
    pub arrows: Vec<Arrow>,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub title: String,
    pub lines: Vec<String>,
    /// Class of the box in the picture.
    pub class: &'static str,
    pub spots: Vec<Spot>,
    pub(super) who: Who,
}

/// Everything in a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub heading: String,
    pub above: Vec<Party>,
    pub below: Vec<Party>,
    /// The legs in words, in order.
    legs: Vec<String>,
}

impl Picture {
    pub fn story(&self) -> String {
        format!("{}: {}.", self.heading, self.legs.join("; "))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Anyone: there is no gateway to name.
    Anyone,
    Host(HostId),
    Device(DeviceId),
}

/// Where a box stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// Packets pass it.
    Above,
    /// It is outside the sequence.
    Below,
    /// It gets copies; below too.
    Copying,
}

/// A party and which of its attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    who: Who,
    side: Side,
}

impl End {
    fn host(definition: &Definition, named: Option<HostId>) -> End {
        let host = named.or(definition.default_gateway);
        End {
            who: host.map_or(Who::Anyone, Who::Host),
            side: Side::Outside,
        }
    }

    /// Those outside the sequence whose packets enter and who get what comes back: parties named with
    /// `from`, neighbours that have the address a service is keyed by, or whoever is behind the
    /// gateway.
    fn clients(definition: &Definition, service: &Service) -> Vec<End> {
        let mut parties: Vec<Who> = Vec::new();
        if let Some(from) = &service.from {
            parties.extend(from.iter().map(|party| match party {
                Named::Host(h) => Who::Host(*h),
                Named::Device(d) => Who::Device(*d),
            }));
        } else if service.keyed_by == KeyedBy::Client && service.clients.is_none() {
            let has = |own: &[IpAddr]| own.iter().any(|a| service.addresses.contains(a));
            let hosts = definition.hosts.iter().enumerate();
            let devices = definition.devices.iter().enumerate();
            parties.extend(
                hosts
                    .filter(|(_, h)| has(&h.addresses))
                    .map(|(i, _)| Who::Host(i)),
            );
            parties.extend(
                devices
                    .filter(|(_, d)| has(&d.addresses))
                    .map(|(i, _)| Who::Device(i)),
            );
        }
        if parties.is_empty() {
            return vec![End::host(definition, service.clients)];
        }
        let side = Side::Outside;
        parties.into_iter().map(|who| End { who, side }).collect()
    }

    fn device(role: &Role, side: Side) -> End {
        End {
            who: Who::Device(role.device),
            side,
        }
    }
}

/// A packet from one to another; several can be at the ends of a sequence.
struct Hop<'a> {
    from: Vec<End>,
    to: Vec<End>,
    copies: Vec<&'a Role>,
}

/// Hops being collected.
struct Hops<'a> {
    done: Vec<Hop<'a>>,
    from: Vec<End>,
    copies: Vec<&'a Role>,
}

impl<'a> Hops<'a> {
    fn new(from: Vec<End>) -> Hops<'a> {
        Hops {
            done: Vec::new(),
            from,
            copies: Vec::new(),
        }
    }

    fn to(&mut self, to: Vec<End>) {
        self.done.push(Hop {
            from: self.from.clone(),
            to,
            copies: std::mem::take(&mut self.copies),
        });
    }

    /// Adds an element that packets enter by `into` and leave by the other side.
    fn pass(&mut self, element: &'a Element, not: Directions, into: impl Fn(Side) -> Side) {
        match element {
            Element::Copy {
                role, directions, ..
            } => {
                if *directions != not {
                    self.copies.push(role);
                }
            }
            Element::Device { role, enter, .. } => {
                let side = into(*enter);
                self.to(vec![End::device(role, side)]);
                self.from = vec![End::device(role, side.other())];
            }
        }
    }
}

/// Place of the end in the sequence of a service keyed by destination.
fn end_of(service: &Service) -> Option<(usize, &Role, Side)> {
    if service.keyed_by == KeyedBy::Client {
        return None;
    }
    let devices = service.sequence.iter().enumerate().rev();
    devices
        .filter_map(|(at, e)| match e {
            Element::Device { role, enter, .. } => Some((at, role, *enter)),
            Element::Copy { .. } => None,
        })
        .next()
}

fn forward<'a>(definition: &Definition, service: &'a Service) -> Vec<Hop<'a>> {
    let end = end_of(service);
    let mut hops = Hops::new(End::clients(definition, service));
    let until = end.map_or(service.sequence.len(), |(at, ..)| at + 1);
    for element in &service.sequence[..until] {
        hops.pass(element, Directions::Return, |enter| enter);
    }
    if end.is_none() {
        hops.to(vec![End::host(definition, service.exit)]);
    }
    hops.done
}

fn returning<'a>(definition: &Definition, service: &'a Service) -> Vec<Hop<'a>> {
    let end = end_of(service);
    let from = match end {
        Some((_, role, side)) => End::device(role, side),
        None => End::host(definition, service.exit),
    };
    let mut hops = Hops::new(vec![from]);
    let back = |enter: Side| enter.other();
    match &service.return_way {
        ReturnWay::Direct => {}
        ReturnWay::Mirror => {
            let until = end.map_or(service.sequence.len(), |(at, ..)| at);
            for element in service.sequence[..until].iter().rev() {
                hops.pass(element, Directions::Forward, back);
            }
        }
        ReturnWay::List(elements) => {
            for element in elements {
                hops.pass(element, Directions::Forward, back);
            }
        }
    }
    hops.to(match service.clients {
        Some(host) => vec![End::host(definition, Some(host))],
        None => End::clients(definition, service),
    });
    hops.done
}

/// Everything to draw of `service`.
pub fn picture(definition: &Definition, service: &Service) -> Picture {
    let mut b = Builder {
        definition,
        service,
        picture: Picture {
            heading: heading(service),
            above: Vec::new(),
            below: Vec::new(),
            legs: Vec::new(),
        },
        number: 0,
    };
    // Clients first, so that they stand at the left.
    for client in End::clients(definition, service) {
        b.party(client.who, Row::Below);
    }
    for element in &service.sequence {
        match element {
            Element::Device { role, .. } => b.party(Who::Device(role.device), Row::Above),
            Element::Copy { role, .. } => b.party(Who::Device(role.device), Row::Copying),
        }
    }
    for (kind, hops) in [
        (Kind::Forward, forward(definition, service)),
        (Kind::Return, returning(definition, service)),
    ] {
        for hop in hops {
            b.hop(kind, &hop);
        }
    }
    b.picture
}

/// A picture being made.
pub(super) struct Builder<'a> {
    pub(super) definition: &'a Definition,
    pub(super) service: &'a Service,
    picture: Picture,
    number: usize,
}

impl Builder<'_> {
    fn hop(&mut self, kind: Kind, hop: &Hop) {
        self.number += 1;
        for from in &hop.from {
            self.arrow(kind, *from, true, self.number.to_string());
        }
        self.number += 1;
        let number = self.number;
        for to in &hop.to {
            self.arrow(kind, *to, false, number.to_string());
        }
        for (i, role) in hop.copies.iter().enumerate() {
            let letter = char::from(b'a' + (i % 26) as u8);
            let to = End::device(role, Side::Outside);
            self.arrow(kind.copy(), to, false, format!("{number}{letter}"));
        }
    }

    fn arrow(&mut self, kind: Kind, end: End, to_engine: bool, label: String) {
        let copying = matches!(kind, Kind::ForwardCopy | Kind::ReturnCopy);
        self.party(end.who, if copying { Row::Copying } else { Row::Below });
        let words = match (to_engine, copying) {
            (true, _) => "from",
            (false, false) => "to",
            (false, true) => "copy to",
        };
        let name = self.name(end);
        self.picture.legs.push(format!("{label} {words} {name}"));
        let rows = [&mut self.picture.above, &mut self.picture.below];
        let party = rows.into_iter().flatten().find(|p| p.who == end.who);
        // A device with one attachment has one spot, whatever the side.
        let side = usize::from(end.side == Side::Inside);
        if let Some(spots) = party.map(|p| &mut p.spots)
            && let Some(last) = spots.len().checked_sub(1)
        {
            spots[side.min(last)].arrows.push(Arrow {
                kind,
                to_engine,
                label,
            });
        }
    }

    fn name(&self, end: End) -> String {
        match end.who {
            Who::Anyone => "anyone".to_string(),
            Who::Host(host) => self.definition.hosts[host].name.clone(),
            Who::Device(device) => self.definition.devices[device].attachment_name(end.side),
        }
    }

    /// Adds a box for `who` if there is none.
    fn party(&mut self, who: Who, row: Row) {
        let rows = [&self.picture.above, &self.picture.below];
        if rows.into_iter().flatten().any(|p| p.who == who) {
            return;
        }
        let party = match who {
            Who::Anyone => self.anyone(),
            Who::Host(host) => self.host(host),
            Who::Device(device) => self.device(device, row == Row::Copying),
        };
        match row {
            Row::Above => self.picture.above.push(party),
            Row::Below | Row::Copying => self.picture.below.push(party),
        }
    }
}
