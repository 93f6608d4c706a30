//! The return way, and copies on both ways.

use super::element::{RawElement, RawKind, RawRole};
use super::overlap::Look;
use super::sequence::Check;
use super::service::RawReturn;
use super::tree::At;
use super::{DeviceId, Directions, Element, ReturnWay};
use crate::diagnostic::{Diagnostic, Span};
use seqnic_spec::wire;
use std::collections::HashMap;

/// Copies one step makes besides the packet itself.
const MAX_COPIES: usize = wire::MAX_COPIES as usize - 1;

impl Check<'_> {
    pub fn return_way(
        &mut self,
        sequence: Option<&[Element]>,
        looks: &mut Vec<Look>,
    ) -> Option<ReturnWay> {
        let (list, span) = match self.raw.return_way.as_ref()? {
            RawReturn::Mirror => return Some(ReturnWay::Mirror),
            RawReturn::Direct => return Some(ReturnWay::Direct),
            RawReturn::List(list, span) => (list, *span),
        };
        self.copies(list, true);
        self.listed_devices(list);
        self.return_stages(list, span, looks);
        let mut made = self.elements(list, true)?;
        for (element, raw) in made.iter_mut().zip(list) {
            inherit(element, raw, sequence?);
        }
        Some(ReturnWay::List(made))
    }

    /// The devices of a return list: not the end, none twice, without changes of their own.
    fn listed_devices(&mut self, list: &[RawElement]) {
        let raw = self.raw;
        let end = self
            .end
            .and_then(|end| raw.sequence.as_ref()?.value.get(end));
        let mut seen: HashMap<DeviceId, Span> = HashMap::new();
        for element in list {
            let RawKind::Device { then, .. } = &element.kind else {
                continue;
            };
            if let Some(then) = then {
                self.f.error(
                    "then_in_return",
                    format!("`then` stands in the `return` list of {}", self.service),
                    then.span,
                    "say it in `sequence`: on the return way the same device undoes the change",
                );
            }
            let Some(role) = &element.role else { continue };
            let name = self.name(role.device);
            let ends = |end: &&RawElement| {
                let mut ends = end.role.iter().flat_map(RawRole::all);
                ends.any(|id| role.all().any(|listed| listed == id))
            };
            if let Some(end) = end.filter(ends) {
                self.f.push(
                    Diagnostic::new(
                        "end_in_return",
                        format!(
                            "`{name}` is the end of {} and stands in its `return` list",
                            self.service
                        ),
                        element.span,
                        "the return way starts at the end: list what packets pass after it",
                    )
                    .also(end.span, "the end"),
                );
            } else if let Some(first) = seen.insert(role.device, element.span) {
                self.f.push(
                    Diagnostic::new(
                        "return_twice",
                        format!(
                            "`{name}` stands twice in the `return` list of {}",
                            self.service
                        ),
                        element.span,
                        "when it sends a packet the second time, nothing tells it from the first: remove one",
                    )
                    .also(first, "first here"),
                );
            }
        }
    }

    /// Looks along the return list: changes are undone last first, ports can be translated.
    fn return_stages(&mut self, list: &[RawElement], span: Span, looks: &mut Vec<Look>) {
        let Some(mut stage) = self.stages.len().checked_sub(1) else {
            return;
        };
        let Some(protocol) = self.raw.protocol else {
            return;
        };
        for element in list {
            let (RawKind::Device { port, .. }, Some(role)) = (&element.kind, &element.role) else {
                continue;
            };
            let before = stage.saturating_sub(1);
            if self.changes[before..stage].contains(&role.device) {
                stage = before;
            } else if self.changes[..before].contains(&role.device) {
                let names: Vec<String> = self
                    .changes
                    .iter()
                    .rev()
                    .map(|id| format!("`{}`", self.name(*id)))
                    .collect();
                self.f.error(
                    "return_order",
                    format!(
                        "the `return` list of {} passes devices with `then` in another order",
                        self.service
                    ),
                    span,
                    format!(
                        "changes are undone last first: list {} in this order",
                        names.join(", ")
                    ),
                );
                return;
            }
            // A port said in the sequence holds here too; there it was checked for its own stage.
            let inherited = self
                .translations
                .iter()
                .find(|(id, there, _)| *id == role.device && *there != stage)
                .map(|(_, _, port)| At::new(*port, element.span));
            let Some(port) = port.or(inherited) else {
                continue;
            };
            let now = self.stages[stage].clone();
            if let Some(seen) = self.translated(protocol, &now, &port) {
                looks.extend(self.look(&seen, stage, port.span));
            }
        }
    }

    /// Whether the sequence may go on without an element.
    fn may_open(&self, element: &RawElement) -> bool {
        let device = element.first().and_then(|id| self.device(id));
        let open = element.open.map(|at| at.value);
        open.unwrap_or(device.is_some_and(|d| d.open))
    }

    /// Copies that are never made, and too many of them in one step.
    pub fn copies(&mut self, list: &[RawElement], returning: bool) {
        let mirrored = matches!(self.raw.return_way, Some(RawReturn::Mirror) | None);
        let (ways, never): (&[Directions], _) = match (returning, mirrored) {
            (true, _) => (&[Directions::Return], Some(Directions::Forward)),
            (false, true) => (&[Directions::Forward, Directions::Return], None),
            (false, false) => (&[Directions::Forward], Some(Directions::Return)),
        };
        for element in list {
            if let RawKind::Copy {
                directions: Some(at),
                ..
            } = &element.kind
                && Some(at.value) == never
            {
                let (says, help) = if returning {
                    (
                        "forward packets in the list of the return way",
                        "remove `directions`, or put the copy into `sequence`",
                    )
                } else {
                    (
                        "return packets, which do not come back through the sequence",
                        "put the copy into the `return` list, or remove `return`",
                    )
                };
                self.f.error(
                    "copy_never_made",
                    format!("{} copies {says}", self.service),
                    at.span,
                    help,
                );
            }
        }
        for way in ways {
            let mut together = 0;
            for element in list {
                match &element.kind {
                    RawKind::Copy { directions, .. } => {
                        let directions = directions.map_or(Directions::Both, |at| at.value);
                        if directions == Directions::Both || directions == *way {
                            together += 1;
                        }
                        if together == MAX_COPIES + 1 {
                            self.f.error(
                                "too_many_copies",
                                format!("{} makes more than {MAX_COPIES} copies here", self.service),
                                element.span,
                                "a step sends a packet and at most 14 copies of it: mirror in a switch, or \
                                 copy at different places of the sequence",
                            );
                            return;
                        }
                    }
                    // Without a device the copies on both sides of it are made at once.
                    RawKind::Device { .. } if self.may_open(element) => {}
                    _ => together = 0,
                }
            }
        }
    }
}

/// An element of the return list that stands in the sequence too is the same there, so far as it says
/// nothing else.
fn inherit(element: &mut Element, raw: &RawElement, sequence: &[Element]) {
    let Element::Device {
        role,
        enter,
        port,
        then,
        tracking,
        dscp,
        ..
    } = element
    else {
        return;
    };
    let RawKind::Device {
        enter: says_enter,
        port: says_port,
        ..
    } = &raw.kind
    else {
        return;
    };
    let same = sequence.iter().find_map(|forward| match forward {
        Element::Device {
            role: there,
            enter,
            port,
            then,
            tracking,
            dscp,
            ..
        } if there.device == role.device => Some((there, *enter, *port, then, (*tracking, *dscp))),
        _ => None,
    });
    let Some((there, side, seen, change, (tag, marked))) = same else {
        return;
    };
    if says_enter.is_none() {
        *enter = side;
    }
    if says_port.is_none() {
        *port = seen;
    }
    if raw.open.is_none() {
        role.open = there.open;
    }
    *tracking = tracking.or(tag);
    *dscp = dscp.or(marked);
    if role.alternates.is_empty() {
        role.alternates.clone_from(&there.alternates);
        role.pool.clone_from(&there.pool);
    }
    then.clone_from(change);
}
