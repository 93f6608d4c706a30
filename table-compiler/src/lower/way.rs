//! The way of a service's packets as hops: who sends a packet and how it looks then, which copies
//! are made, where it goes. `docs/semantics.md` section 6, "Stages" to "Return".

use super::look::{Stage, shift};
use crate::definition::{
    Alerts, Definition, DeviceId, Directions, Element, HostId, KeyedBy, Mode, Ports, ReturnWay,
    Role, Service, Side, State, Tag,
};
use crate::diagnostic::{Diagnostic, Span};
use seqnic_image::names::Direction;

/// What the tag of an element needs: its number, and the tag it asks for itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// From 1, through `sequence` and a `return` list.
    pub number: u32,
    pub own: Option<Tag>,
    /// The DSCP it asks for.
    pub dscp: Option<u8>,
}

/// A device of the forward sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop<'d> {
    pub role: &'d Role,
    pub enter: Side,
    pub mark: Mark,
    /// Stage of the packets that reach it forward.
    pub stage: usize,
    /// What its own port is more than that stage's.
    pub shift: u16,
    /// Whether packets look otherwise behind it.
    changes: bool,
    pub span: Span,
}

/// A copy on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copy<'d> {
    pub role: &'d Role,
    pub mark: Mark,
    pub alerts: Alerts,
    pub span: Span,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum From<'d> {
    Entry,
    Device {
        role: &'d Role,
        side: Side,
        /// The side its packets went in by.
        entered: Side,
        mark: Mark,
        /// The service ends there.
        is_end: bool,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum To<'d> {
    Device {
        role: &'d Role,
        side: Side,
        /// The side its packets come out of.
        leaves: Side,
        mark: Mark,
        /// What its own port is more than the stage's.
        shift: u16,
        /// It gets packets for its own address.
        nat: bool,
    },
    /// Out of the sequence: to a host, or by the default gateway.
    Out(Option<HostId>),
}

impl To<'_> {
    pub fn is_device(&self, id: DeviceId) -> bool {
        matches!(self, To::Device { role, .. } if role.device == id)
    }
}

/// One hop.
#[derive(Debug, Clone)]
pub(super) struct Hop<'d> {
    pub from: From<'d>,
    /// Place of the sender in the definition.
    pub span: Span,
    /// Look of the packet as it arrives.
    pub stage: usize,
    pub shift: u16,
    /// The sender is a NAT mode end: its packets get the address of their stage as source.
    pub restore: bool,
    pub copies: Vec<Copy<'d>>,
    pub to: To<'d>,
}

/// Both ways of a service.
#[derive(Debug)]
pub(super) struct Ways<'d> {
    pub stops: Vec<Stop<'d>>,
    pub end: Option<Stop<'d>>,
    /// Whether the end is a NAT mode server.
    pub nat: bool,
    /// Hops by direction.
    pub hops: [Vec<Hop<'d>>; 2],
}

impl<'d> Ways<'d> {
    pub fn of(
        definition: &'d Definition,
        service: &'d Service,
        stages: &[Stage],
        findings: &mut Vec<Diagnostic>,
    ) -> Ways<'d> {
        let by_element = stops(service, stages);
        let end_at = match service.keyed_by {
            KeyedBy::Destination => by_element.iter().rposition(Option::is_some),
            KeyedBy::Client => None,
        };
        if service.keyed_by == KeyedBy::Destination && end_at.is_none() {
            findings.push(Diagnostic::new(
                "no_end",
                format!("service `{}` has no device in its sequence", service.name),
                service.span,
                "end the sequence with the server that answers, or key the service by client",
            ));
        }
        let end = end_at.and_then(|at| by_element[at]);
        let nat = end.is_some_and(|e| is_nat(definition, e.role.device));
        // What stands behind the end is reached in neither direction.
        let length = end_at.map_or(service.sequence.len(), |at| at + 1);
        let elements: Vec<_> = service.sequence[..length].iter().zip(&by_element).collect();

        let mut forward = Walk::new(From::Entry, service.span, 0, 0, false);
        for (at, (element, stop)) in elements.iter().enumerate() {
            match stop {
                None => forward.copy(element, at, Direction::Forward),
                Some(stop) if Some(at) == end_at => forward.towards_end(stop, nat),
                Some(stop) if passed_by(definition, stop.role) => {
                    forward.pass_by(stop, stop.enter.other());
                }
                Some(stop) => forward.through(stop),
            }
        }
        if end.is_none() {
            forward.to(To::Out(service.exit));
        }

        let mut back = match end {
            Some(e) => Walk::new(
                From::Device {
                    role: e.role,
                    side: e.enter,
                    entered: e.enter,
                    mark: e.mark,
                    is_end: true,
                },
                e.span,
                e.stage,
                e.shift,
                nat,
            ),
            None => Walk::new(From::Entry, service.span, stages.len() - 1, 0, false),
        };
        match &service.return_way {
            ReturnWay::Mirror => {
                let before_end = end_at.unwrap_or(elements.len());
                let before_end = elements[..before_end].iter().enumerate();
                for (at, (element, stop)) in before_end.rev() {
                    match stop {
                        None => back.copy(element, at, Direction::Return),
                        Some(stop) if passed_by(definition, stop.role) => {
                            back.pass_by(stop, stop.enter);
                        }
                        Some(stop) => back.back_through(stop),
                    }
                }
            }
            ReturnWay::Direct => {}
            ReturnWay::List(list) => {
                let all: Vec<Stop> = by_element.iter().flatten().copied().collect();
                for (at, element) in list.iter().enumerate() {
                    let at = service.sequence.len() + at;
                    match listed(element, at, &all, stages, back.stage) {
                        None => back.copy(element, at, Direction::Return),
                        Some(stop) if passed_by(definition, stop.role) => {
                            back.pass_by(&stop, stop.enter);
                        }
                        Some(stop) => back.back_through(&stop),
                    }
                }
            }
        }
        back.to(To::Out(service.clients));

        Ways {
            stops: by_element.into_iter().flatten().collect(),
            end,
            nat,
            hops: [forward.hops, back.hops],
        }
    }

    /// Roles that may not enter: those the packets pass or are copied to, but not the end.
    pub fn barred(&self, service: &'d Service) -> impl Iterator<Item = &'d Role> {
        let end = service
            .sequence
            .iter()
            .rposition(|e| matches!(e, Element::Device { .. }))
            .filter(|_| self.end.is_some());
        let list: &[Element] = match &service.return_way {
            ReturnWay::List(list) => list,
            _ => &[],
        };
        let passed = service.sequence.iter().enumerate();
        let passed = passed.filter(move |(at, _)| Some(*at) != end);
        passed.map(|(_, e)| e).chain(list).map(|e| match e {
            Element::Device { role, .. } | Element::Copy { role, .. } => role,
        })
    }
}

pub(super) fn is_nat(definition: &Definition, id: DeviceId) -> bool {
    definition.devices[id].mode == Some(Mode::Nat)
}

/// Whether packets go on without a role: all its devices have failed.
fn passed_by(definition: &Definition, role: &Role) -> bool {
    role.open && (role.all()).all(|id| definition.devices[id].state == State::Failed)
}

/// One entry an element of the sequence: its device, `None` for copies.
fn stops<'d>(service: &'d Service, stages: &[Stage]) -> Vec<Option<Stop<'d>>> {
    let mut stage = 0;
    service
        .sequence
        .iter()
        .enumerate()
        .map(|(at, element)| {
            let Element::Device {
                role,
                enter,
                port,
                then,
                span,
                tracking,
                dscp,
            } = element
            else {
                return None;
            };
            let stop = Stop {
                role,
                enter: *enter,
                mark: mark(at, *tracking, *dscp),
                stage,
                shift: shift(&stages[stage].ports, *port),
                changes: then.is_some(),
                span: *span,
            };
            stage += usize::from(then.is_some());
            Some(stop)
        })
        .collect()
}

/// Of the element at place `at` of `sequence` and `return` list together.
fn mark(at: usize, own: Option<Tag>, dscp: Option<u8>) -> Mark {
    Mark {
        number: at as u32 + 1,
        own,
        dscp,
    }
}

/// A device of a return list, met in `stage`. One that changes that look forward undoes it here.
fn listed<'d>(
    element: &'d Element,
    at: usize,
    forward: &[Stop],
    stages: &[Stage],
    stage: usize,
) -> Option<Stop<'d>> {
    let Element::Device {
        role,
        enter,
        port,
        span,
        tracking,
        dscp,
        ..
    } = element
    else {
        return None;
    };
    let undone = forward
        .iter()
        .find(|s| s.changes && s.stage + 1 == stage && s.role.device == role.device);
    let before = undone.map_or(stage, |s| s.stage);
    Some(Stop {
        role,
        enter: *enter,
        mark: mark(at, *tracking, *dscp),
        stage: before,
        shift: shift(&stages[before].ports, *port),
        changes: undone.is_some(),
        span: *span,
    })
}

/// Hops being written, with the sender of the next.
struct Walk<'d> {
    hops: Vec<Hop<'d>>,
    from: From<'d>,
    span: Span,
    stage: usize,
    shift: u16,
    restore: bool,
    copies: Vec<Copy<'d>>,
    /// Devices passed by since: as senders, with how many copies stand in front of them.
    passed: Vec<(Hop<'d>, usize)>,
}

impl<'d> Walk<'d> {
    fn new(from: From<'d>, span: Span, stage: usize, shift: u16, restore: bool) -> Walk<'d> {
        Walk {
            hops: Vec::new(),
            from,
            span,
            stage,
            shift,
            restore,
            copies: Vec::new(),
            passed: Vec::new(),
        }
    }

    fn copy(&mut self, element: &'d Element, at: usize, direction: Direction) {
        let Element::Copy {
            role,
            alerts,
            directions,
            span,
            tracking,
            dscp,
        } = element
        else {
            return;
        };
        let made = match direction {
            Direction::Forward => *directions != Directions::Return,
            Direction::Return => *directions != Directions::Forward,
        };
        if made {
            self.copies.push(Copy {
                role,
                mark: mark(at, *tracking, *dscp),
                alerts: *alerts,
                span: *span,
            });
        }
    }

    fn to(&mut self, to: To<'d>) {
        for (hop, copies) in std::mem::take(&mut self.passed) {
            let copies = self.copies[copies..].to_vec();
            self.hops.push(Hop { copies, to, ..hop });
        }
        self.hops.push(Hop {
            from: self.from,
            span: self.span,
            stage: self.stage,
            shift: self.shift,
            restore: std::mem::take(&mut self.restore),
            copies: std::mem::take(&mut self.copies),
            to,
        });
    }

    /// What a device still sends that packets do not go to any more goes on as ever, from `side`.
    fn pass_by(&mut self, stop: &Stop<'d>, side: Side) {
        let hop = Hop {
            from: sender(stop, side),
            span: stop.span,
            stage: stop.stage,
            shift: stop.shift,
            restore: false,
            copies: Vec::new(),
            to: To::Out(None),
        };
        self.passed.push((hop, self.copies.len()));
    }

    /// The end sends from the side it takes packets on.
    fn towards_end(&mut self, stop: &Stop<'d>, nat: bool) {
        self.to(To::Device {
            role: stop.role,
            side: stop.enter,
            leaves: stop.enter,
            mark: stop.mark,
            shift: stop.shift,
            nat,
        });
    }

    fn through(&mut self, stop: &Stop<'d>) {
        self.to(To::Device {
            role: stop.role,
            side: stop.enter,
            leaves: stop.enter.other(),
            mark: stop.mark,
            shift: stop.shift,
            nat: false,
        });
        self.sent_by(stop, stop.enter.other());
        // What a device with `then` sends has the next look, in which its own port means nothing.
        self.stage = stop.stage + usize::from(stop.changes);
        self.shift = if stop.changes { 0 } else { stop.shift };
    }

    fn back_through(&mut self, stop: &Stop<'d>) {
        self.to(To::Device {
            role: stop.role,
            side: stop.enter.other(),
            leaves: stop.enter,
            mark: stop.mark,
            shift: if stop.changes { 0 } else { stop.shift },
            nat: false,
        });
        self.sent_by(stop, stop.enter);
        self.stage = stop.stage;
        self.shift = stop.shift;
    }

    fn sent_by(&mut self, stop: &Stop<'d>, side: Side) {
        self.from = sender(stop, side);
        self.span = stop.span;
    }
}

/// A device that packets pass, sending from `side`.
fn sender<'d>(stop: &Stop<'d>, side: Side) -> From<'d> {
    From::Device {
        role: stop.role,
        side,
        entered: side.other(),
        mark: stop.mark,
        is_end: false,
    }
}

/// Whether every variant of a service keeps its ports below 65536, one range each.
pub(super) fn check_variants(
    service: &Service,
    stages: &[Stage],
    shifts: impl Iterator<Item = (usize, u16, Span)>,
    findings: &mut Vec<Diagnostic>,
) {
    for (stage, shift, span) in shifts.filter(|(_, shift, _)| *shift != 0) {
        let ports = &stages[stage].ports;
        let single = matches!(ports, Ports::Ranges(r) if r.len() == 1);
        if single && super::look::shifted(ports, shift).is_some() {
            continue;
        }
        findings.push(Diagnostic::new(
            "untranslatable_ports",
            format!(
                "service `{}`: its ports cannot be moved to start at this device's `port`",
                service.name
            ),
            span,
            "`port` needs one range of ports in front of the device, ending at 65535 or below",
        ));
    }
}
