//! The road of a service: stations, and the gaps between them. `docs/semantics.md` section 6,
//! "Stages" to "Edits".
//!
//! A road is drawn once, from the clients inwards:
//!
//! ```text
//! World -- gap -- firewall -- gap -- vpn -- gap -- server
//! ```
//!
//! Forward packets cross the gaps to the right, return packets to the left. All packets in a gap
//! look alike, but for the port of the device at either side of it, and copies stand in a gap. So
//! what happens to a packet is said by the gap it is in, and by the side it comes from.

use crate::looks::stage_ports;
use crate::walk::somebody;
use seqnic_compiler::definition::{
    Alerts, Definition, DeviceId, Directions, Element, HostId, KeyedBy, Mode, Ports, ReturnWay,
    Role, Service, Side, Tag,
};
use seqnic_image::names::Direction;

/// What an element is known by, if its packets carry a tag.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// Elements of the sequence count from 1, those of a return list go on behind them.
    pub number: u16,
    /// The element's own word on it.
    pub tracking: Option<Tag>,
    /// The DSCP what is sent to it gets.
    pub dscp: Option<u8>,
}

/// A device at its place in the sequence, with what it means for packets.
#[derive(Debug, Clone, Copy)]
pub struct Stop<'a> {
    pub role: &'a Role,
    /// Side that faces the clients.
    enter: Side,
    /// Stage in the gap on that side.
    pub stage: usize,
    /// What its port is more than the stage's.
    pub shift: u16,
    /// Whether packets look otherwise behind it.
    changes: bool,
    /// It gets packets for its own address, and answers from it.
    nat: bool,
    mark: Mark,
    /// Return packets start at it, at the side forward packets come to.
    end: bool,
}

/// An end of a gap.
#[derive(Debug, Clone, Copy)]
pub enum Station<'a> {
    /// Outside the sequence: where packets enter, and a host (or the default gateway) they leave to.
    World(Option<HostId>),
    Device(Stop<'a>),
}

/// A copy device in a gap.
#[derive(Debug, Clone, Copy)]
pub struct Copy<'a> {
    pub role: &'a Role,
    pub alerts: Alerts,
    pub mark: Mark,
}

/// What lies between two stations.
#[derive(Debug, Clone, Default)]
struct Gap<'a> {
    stage: usize,
    copies: Vec<Copy<'a>>,
}

/// A station as seen from a gap.
#[derive(Debug, Clone, Copy)]
pub enum Face<'a> {
    World(Option<HostId>),
    Device {
        role: &'a Role,
        /// Side that looks into the gap.
        side: Side,
        /// What its port is more than those of other packets in the gap.
        shift: u16,
        nat: bool,
        mark: Mark,
        end: bool,
        /// Its other end on the packet's way: the side packets that go to it will come back from, or
        /// those that come from it were sent to.
        far: Side,
    },
}

impl<'a> Face<'a> {
    /// The device, the side of it that is seen, its far side and its mark.
    pub fn device(&self) -> Option<(&'a Role, Side, Side, Mark)> {
        match *self {
            Face::World(_) => None,
            Face::Device {
                role,
                side,
                far,
                mark,
                ..
            } => Some((role, side, far, mark)),
        }
    }

    /// See [`Face::Device`].
    pub fn shift(&self) -> u16 {
        match self {
            Face::World(_) => 0,
            Face::Device { shift, .. } => *shift,
        }
    }
}

/// A gap as a packet in one direction crosses it.
#[derive(Debug, Clone)]
pub struct Crossing<'a> {
    pub stage: usize,
    pub from: Face<'a>,
    pub to: Face<'a>,
    pub copies: Vec<Copy<'a>>,
}

/// The devices of a service's sequence, in order.
fn stops<'a>(definition: &Definition, service: &'a Service) -> Vec<Stop<'a>> {
    let ports = stage_ports(service);
    let mut stops = Vec::new();
    let mut stage = 0;
    for (element, number) in service.sequence.iter().zip(1..) {
        if let Element::Device {
            role,
            enter,
            port,
            then,
            tracking,
            dscp,
            ..
        } = element
        {
            stops.push(Stop {
                role,
                enter: *enter,
                stage,
                shift: shift(&ports[stage], *port),
                changes: then.is_some(),
                nat: false,
                mark: Mark {
                    number,
                    tracking: *tracking,
                    dscp: *dscp,
                },
                end: false,
            });
            stage += usize::from(then.is_some());
        }
    }
    if service.keyed_by == KeyedBy::Destination
        && let Some(end) = stops.last_mut()
    {
        end.end = true;
        end.nat = definition.devices[end.role.device].mode == Some(Mode::Nat);
    }
    stops
}

fn shift(stage: &Ports, port: Option<u16>) -> u16 {
    match (stage, port) {
        (Ports::Ranges(ranges), Some(port)) => port.wrapping_sub(ranges[0].0),
        _ => 0,
    }
}

/// The end: the last device of a service keyed by destination.
pub fn end<'a>(definition: &Definition, service: &'a Service) -> Option<Stop<'a>> {
    match service.keyed_by {
        KeyedBy::Destination => stops(definition, service).pop(),
        KeyedBy::Client => None,
    }
}

/// Every gap of a service as packets in `direction` cross it, in the order they meet them.
pub fn crossings<'a>(
    definition: &Definition,
    service: &'a Service,
    direction: Direction,
) -> Vec<Crossing<'a>> {
    let (stations, gaps) = match (direction, &service.return_way) {
        (Direction::Forward, _) | (_, ReturnWay::Mirror) => whole(definition, service, direction),
        (_, ReturnWay::Direct) => listed(definition, service, &[]),
        (_, ReturnWay::List(elements)) => listed(definition, service, elements),
    };
    let pairs = stations.windows(2).zip(gaps);
    let mut crossings: Vec<_> = pairs
        .map(|(pair, gap)| {
            let (outer, inner) = (face(pair[0], false), face(pair[1], true));
            let (from, to) = match direction {
                Direction::Forward => (outer, inner),
                Direction::Return => (inner, outer),
            };
            Crossing {
                stage: gap.stage,
                from,
                to,
                copies: gap.copies,
            }
        })
        .collect();
    // Roads are laid from the clients inwards.
    if direction == Direction::Return {
        crossings.reverse();
    }
    // Who is not there and is done without is passed by, the last first.
    for at in (1..crossings.len()).rev() {
        let goes_on = match crossings[at - 1].to {
            Face::Device { role, end, .. } => role.open && !end && !somebody(definition, role),
            Face::World(_) => false,
        };
        if goes_on {
            let next = crossings[at].clone();
            crossings[at - 1].to = next.to;
            crossings[at - 1].copies.extend(next.copies);
        }
    }
    crossings
}

/// How a station looks from the gap in front of it (towards the clients) or behind it.
fn face(station: Station, in_front: bool) -> Face {
    match station {
        Station::World(host) => Face::World(host),
        Station::Device(stop) => Face::Device {
            role: stop.role,
            mark: stop.mark,
            end: stop.end,
            far: if in_front && !stop.end {
                stop.enter.other()
            } else {
                stop.enter
            },
            side: if in_front {
                stop.enter
            } else {
                stop.enter.other()
            },
            // Behind a device that changes packets its own port means nothing.
            shift: if !in_front && stop.changes {
                0
            } else {
                stop.shift
            },
            nat: in_front && stop.nat,
        },
    }
}

type Road<'a> = (Vec<Station<'a>>, Vec<Gap<'a>>);

/// The road of the sequence, with the copies that are made in `direction`.
fn whole<'a>(definition: &Definition, service: &'a Service, direction: Direction) -> Road<'a> {
    let mut stops = stops(definition, service).into_iter();
    let mut stations = vec![Station::World(service.clients)];
    let mut gaps = vec![Gap::default()];
    for (element, number) in service.sequence.iter().zip(1..) {
        match element {
            Element::Copy { .. } => {
                if let Some(gap) = gaps.last_mut() {
                    gap.copies.extend(copy(element, number, direction));
                }
            }
            Element::Device { .. } => {
                let Some(stop) = stops.next() else { break };
                stations.push(Station::Device(stop));
                gaps.push(Gap {
                    stage: stop.stage + usize::from(stop.changes),
                    copies: Vec::new(),
                });
            }
        }
    }
    // Return packets meet the copies of a gap backwards too.
    if direction == Direction::Return {
        gaps.iter_mut().for_each(|gap| gap.copies.reverse());
    }
    // Behind the end there is nothing; the last gap of other services leads out.
    if service.keyed_by == KeyedBy::Client {
        stations.push(Station::World(service.exit));
    }
    (stations, gaps)
}

/// The road of a return list, which is written from the end outwards. `direct` is an empty one.
fn listed<'a>(definition: &Definition, service: &'a Service, elements: &'a [Element]) -> Road<'a> {
    let ports = stage_ports(service);
    let passed = stops(definition, service);
    let (innermost, mut stage) = match end(definition, service) {
        Some(end) => (Station::Device(end), end.stage),
        None => (Station::World(service.exit), ports.len() - 1),
    };
    let mut stations = vec![innermost];
    let mut gaps = vec![Gap {
        stage,
        copies: Vec::new(),
    }];
    let behind = service.sequence.len() as u16 + 1;
    for (element, number) in elements.iter().zip(behind..) {
        let Element::Device {
            role,
            enter,
            port,
            tracking,
            dscp,
            ..
        } = element
        else {
            if let Some(gap) = gaps.last_mut() {
                gap.copies.extend(copy(element, number, Direction::Return));
            }
            continue;
        };
        let changes = passed
            .iter()
            .any(|p| p.changes && p.role.device == role.device && p.stage + 1 == stage);
        stage -= usize::from(changes);
        stations.push(Station::Device(Stop {
            role,
            enter: *enter,
            stage,
            shift: shift(&ports[stage], *port),
            changes,
            nat: false,
            mark: Mark {
                number,
                tracking: *tracking,
                dscp: *dscp,
            },
            end: false,
        }));
        gaps.push(Gap {
            stage,
            copies: Vec::new(),
        });
    }
    stations.push(Station::World(service.clients));
    stations.reverse();
    gaps.reverse();
    (stations, gaps)
}

fn copy(element: &Element, number: u16, direction: Direction) -> Option<Copy<'_>> {
    match element {
        Element::Copy {
            role,
            alerts,
            directions,
            tracking,
            dscp,
            ..
        } => {
            let made = match directions {
                Directions::Both => true,
                Directions::Forward => direction == Direction::Forward,
                Directions::Return => direction == Direction::Return,
            };
            made.then_some(Copy {
                role,
                alerts: *alerts,
                mark: Mark {
                    number,
                    tracking: *tracking,
                    dscp: *dscp,
                },
            })
        }
        Element::Device { .. } => None,
    }
}

/// The way to a device, in the direction of the crossings.
pub fn towards<'a>(crossings: &[Crossing<'a>], device: DeviceId) -> Option<Face<'a>> {
    crossings
        .iter()
        .map(|c| c.to)
        .find(|to| matches!(to, Face::Device { role, .. } if role.device == device))
}
