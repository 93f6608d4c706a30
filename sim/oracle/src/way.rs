//! The way of a service's packets: `docs/semantics.md` section 6, "Stages" to "Edits".
//!
//! A way is written as legs. A leg says who sends a packet and how it looks then, which copies
//! are made, and where it goes.

use crate::looks::stage_ports;
use seqnic_compiler::definition::{
    Alerts, Definition, Directions, Element, HostId, KeyedBy, Mode, Ports, ReturnWay, Role,
    Service, Side,
};
use seqnic_image::names::Direction;

/// A device of a sequence, with what it means for the packets.
#[derive(Debug, Clone, Copy)]
pub struct Stop<'a> {
    pub role: &'a Role,
    /// Side forward packets enter by.
    pub enter: Side,
    /// Stage of the packets that reach it forward.
    pub stage: usize,
    /// What its port is more than the stage's.
    pub shift: u16,
    /// Whether packets look otherwise behind it.
    pub changes: bool,
}

/// A copy element.
#[derive(Debug, Clone, Copy)]
pub struct Copy<'a> {
    pub role: &'a Role,
    pub alerts: Alerts,
}

/// Who sends the packet of a leg.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// It enters the sequence.
    Entry,
    /// A device of the sequence, by this side.
    Device { role: &'a Role, side: Side },
}

/// Where the packet of a leg goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    Device {
        role: &'a Role,
        side: Side,
        /// Its port less the stage's.
        shift: u16,
        /// It gets packets for its own address.
        nat: bool,
    },
    /// Out of the sequence to a host, or by the default gateway.
    Out(Option<HostId>),
}

/// One leg of a way.
#[derive(Debug, Clone)]
pub struct Leg<'a> {
    pub from: Origin<'a>,
    pub stage: usize,
    /// Port of the sender's packets less the stage's.
    pub shift: u16,
    /// The sender is a NAT mode end: its packets get the service address as source.
    pub restore: bool,
    pub copies: Vec<Copy<'a>>,
    pub to: Target<'a>,
}

/// The devices of a service's sequence, in order.
pub fn stops(service: &Service) -> impl Iterator<Item = Stop<'_>> {
    sequence_stops(service).into_iter().flatten()
}

/// One entry an element: its device, `None` for copies.
fn sequence_stops(service: &Service) -> Vec<Option<Stop<'_>>> {
    let ports = stage_ports(service);
    let mut stage = 0;
    let mut all = Vec::new();
    for element in &service.sequence {
        let Element::Device {
            role,
            enter,
            port,
            then,
            ..
        } = element
        else {
            all.push(None);
            continue;
        };
        all.push(Some(Stop {
            role,
            enter: *enter,
            stage,
            shift: shift(&ports[stage], *port),
            changes: then.is_some(),
        }));
        stage += usize::from(then.is_some());
    }
    all
}

fn shift(stage: &Ports, port: Option<u16>) -> u16 {
    match (stage, port) {
        (Ports::Ranges(ranges), Some(port)) => port.wrapping_sub(ranges[0].0),
        _ => 0,
    }
}

/// The end: the last device of a service keyed by destination.
pub fn end(service: &Service) -> Option<Stop<'_>> {
    match service.keyed_by {
        KeyedBy::Destination => stops(service).last(),
        KeyedBy::Client => None,
    }
}

/// The legs of a service in a direction.
pub fn way<'a>(
    definition: &'a Definition,
    service: &'a Service,
    direction: Direction,
) -> Vec<Leg<'a>> {
    match direction {
        Direction::Forward => forward(definition, service),
        Direction::Return => returning(definition, service),
    }
}

fn forward<'a>(definition: &'a Definition, service: &'a Service) -> Vec<Leg<'a>> {
    let end = end(service);
    let mut legs = Legs::start(Origin::Entry, 0, 0, false);
    let stops = sequence_stops(service);
    let devices = stops.iter().flatten().count();
    let mut passed = 0;
    for (element, stop) in service.sequence.iter().zip(&stops) {
        let Some(stop) = stop else {
            legs.copy(element, Directions::Return);
            continue;
        };
        passed += 1;
        let is_end = end.is_some() && passed == devices;
        legs.to(Target::Device {
            role: stop.role,
            side: stop.enter,
            shift: stop.shift,
            nat: is_end && definition.devices[stop.role.device].mode == Some(Mode::Nat),
        });
        if is_end {
            return legs.done;
        }
        legs.from = Origin::Device {
            role: stop.role,
            side: stop.enter.other(),
        };
        // What a device with `then` sends has its new look; any other sends what it got.
        legs.stage = stop.stage + usize::from(stop.changes);
        legs.shift = if stop.changes { 0 } else { stop.shift };
    }
    legs.to(Target::Out(service.exit));
    legs.done
}

fn returning<'a>(definition: &'a Definition, service: &'a Service) -> Vec<Leg<'a>> {
    let stops = sequence_stops(service);
    let last_stage = stage_ports(service).len() - 1;
    let mut legs = match end(service) {
        Some(end) => Legs::start(
            Origin::Device {
                role: end.role,
                side: end.enter,
            },
            end.stage,
            end.shift,
            definition.devices[end.role.device].mode == Some(Mode::Nat),
        ),
        None => Legs::start(Origin::Entry, last_stage, 0, false),
    };
    match &service.return_way {
        ReturnWay::Mirror => {
            let mut elements: Vec<_> = service.sequence.iter().zip(&stops).collect();
            if end(service).is_some() {
                let at = stops.iter().rposition(Option::is_some).unwrap_or(0);
                elements.truncate(at);
            }
            for (element, stop) in elements.into_iter().rev() {
                match stop {
                    None => legs.copy(element, Directions::Forward),
                    Some(stop) => legs.back_through(stop),
                }
            }
        }
        ReturnWay::Direct => {}
        ReturnWay::List(elements) => {
            for element in elements {
                match element {
                    Element::Copy { .. } => legs.copy(element, Directions::Forward),
                    Element::Device {
                        role, enter, port, ..
                    } => {
                        let stop = listed(service, role, *enter, *port, legs.stage);
                        legs.back_through(&stop);
                    }
                }
            }
        }
    }
    legs.to(Target::Out(service.clients));
    legs.done
}

/// A device of a return list. One that changes packets on the forward way undoes it here.
fn listed<'a>(
    service: &Service,
    role: &'a Role,
    enter: Side,
    port: Option<u16>,
    stage: usize,
) -> Stop<'a> {
    let undoes = |s: &Stop| s.changes && s.stage + 1 == stage && s.role.device == role.device;
    let changes = stops(service).any(|s| undoes(&s));
    let before = stage - usize::from(changes);
    Stop {
        role,
        enter,
        stage: before,
        shift: shift(&stage_ports(service)[before], port),
        changes,
    }
}

/// Legs being written, with the sender of the next.
struct Legs<'a> {
    done: Vec<Leg<'a>>,
    from: Origin<'a>,
    stage: usize,
    shift: u16,
    restore: bool,
    copies: Vec<Copy<'a>>,
}

impl<'a> Legs<'a> {
    fn start(from: Origin<'a>, stage: usize, shift: u16, restore: bool) -> Legs<'a> {
        Legs {
            done: Vec::new(),
            from,
            stage,
            shift,
            restore,
            copies: Vec::new(),
        }
    }

    /// A copy on the way, unless it is made in the other direction only.
    fn copy(&mut self, element: &'a Element, not: Directions) {
        if let Element::Copy {
            role,
            alerts,
            directions,
            ..
        } = element
            && *directions != not
        {
            self.copies.push(Copy {
                role,
                alerts: *alerts,
            });
        }
    }

    fn to(&mut self, to: Target<'a>) {
        self.done.push(Leg {
            from: self.from,
            stage: self.stage,
            shift: self.shift,
            restore: std::mem::take(&mut self.restore),
            copies: std::mem::take(&mut self.copies),
            to,
        });
    }

    /// Return packets enter a device where forward packets leave it. One that changes packets
    /// gets the look behind it, without its port, and sends the look before it.
    fn back_through(&mut self, stop: &Stop<'a>) {
        self.to(Target::Device {
            role: stop.role,
            side: stop.enter.other(),
            shift: if stop.changes { 0 } else { stop.shift },
            nat: false,
        });
        self.from = Origin::Device {
            role: stop.role,
            side: stop.enter,
        };
        self.stage = stop.stage;
        self.shift = stop.shift;
    }
}
