//! What the elements of a service mean together.

use super::element::{RawAlerts, RawElement, RawKind, RawRole};
use super::findings::Findings;
use super::network::{DeviceNotes, Network};
use super::overlap::Look;
use super::service::{RawReturn, RawService};
use super::stages::Stage;
use super::tree::At;
use super::{
    Alerts, Attachments, Device, DeviceId, Directions, Element, KeyedBy, Mode, Role, Service, Side,
    Then,
};
use crate::diagnostic::{Diagnostic, Span};
use std::collections::HashMap;

/// Checks `raw` and makes the service of it, `None` if a part of it is not known. Its looks go to
/// `looks`.
pub(crate) fn build(
    f: &mut Findings,
    network: &Network,
    raw: &RawService,
    looks: &mut Vec<Look>,
) -> Option<Service> {
    let service = format!("service `{}`", raw.name.value);
    let mut check = Check {
        f,
        network,
        raw,
        service: &service,
        end: None,
        changes: Vec::new(),
        stages: Vec::new(),
        translations: Vec::new(),
    };
    let sequence = raw.sequence.as_ref();
    if let Some(sequence) = sequence {
        check.find_end(sequence);
        check.copies(&sequence.value, false);
    }
    let elements = sequence.and_then(|s| check.elements(&s.value, false));
    if let Some(sequence) = sequence {
        check.stages(&sequence.value, looks);
    }
    let return_way = check.return_way(elements.as_deref(), looks);
    check.parties();
    check.places();
    Some(Service {
        name: raw.name.value.clone(),
        addresses: raw.addresses.as_ref()?.iter().map(|a| a.value).collect(),
        protocol: raw.protocol?,
        ports: raw.ports.as_ref()?.value.clone(),
        keyed_by: raw.keyed_by?,
        from: raw
            .from
            .as_ref()
            .map(|from| from.iter().map(|p| p.value).collect()),
        sequence: elements?,
        return_way: return_way?,
        exit: raw.exit.map(|at| at.value),
        clients: raw.clients.map(|at| at.value),
        dscp: raw.dscp,
        priority: raw.priority,
        rate: raw.rate,
        acl: raw.acl.clone(),
        acl_default: raw.acl_default,
        span: raw.name.span,
    })
}

/// A service being checked.
pub(crate) struct Check<'a> {
    pub f: &'a mut Findings,
    pub network: &'a Network,
    pub raw: &'a RawService,
    /// "service `name`"
    pub service: &'a str,
    /// Index in the sequence of the end of a service keyed by destination.
    pub end: Option<usize>,
    /// Devices with `then`, in the order of the sequence.
    pub changes: Vec<DeviceId>,
    /// Looks along the sequence, one more than `changes`; none if one of them is not known.
    pub stages: Vec<Stage>,
    /// Devices with `port`, the stage they stand in, and the port.
    pub translations: Vec<(DeviceId, usize, u16)>,
}

impl<'a> Check<'a> {
    pub fn name(&self, device: DeviceId) -> &'a str {
        self.network.device_names.name(device)
    }

    /// The device, unless an error about it was reported.
    pub fn device(&self, id: DeviceId) -> Option<&'a Device> {
        let draft = self.network.devices.get(id)?;
        (!draft.broken).then_some(&draft.value)
    }

    fn notes(&self, id: DeviceId) -> Option<&'a DeviceNotes> {
        self.network.notes.get(id)
    }

    fn find_end(&mut self, sequence: &At<Vec<RawElement>>) {
        if self.raw.keyed_by != Some(KeyedBy::Destination) {
            return;
        }
        let unknown = sequence
            .value
            .iter()
            .any(|e| matches!(e.kind, RawKind::Unknown));
        let last = sequence
            .value
            .iter()
            .rposition(|e| matches!(e.kind, RawKind::Device { .. }));
        let Some(last) = last else {
            if !unknown {
                self.f.error(
                    "no_end",
                    format!("{} has no device its packets end at", self.service),
                    sequence.span,
                    "end the `sequence` with the server; a service of packets that go on to elsewhere is \
                     `keyed_by: client`",
                );
            }
            return;
        };
        if sequence.value[last + 1..]
            .iter()
            .any(|e| matches!(e.kind, RawKind::Unknown))
        {
            return;
        }
        self.end = Some(last);
        for copy in &sequence.value[last + 1..] {
            self.f.push(
                Diagnostic::new(
                    "copy_after_end",
                    format!("{} copies packets after their end", self.service),
                    copy.span,
                    "put the copy before the last device",
                )
                .also(sequence.value[last].span, "packets end here"),
            );
        }
        let end = &sequence.value[last];
        for id in end.role.iter().flat_map(RawRole::all) {
            self.end_device(id, end.span);
        }
    }

    fn end_device(&mut self, id: DeviceId, span: Span) {
        let Some(device) = self.device(id) else {
            return;
        };
        if device.mode.is_none() {
            self.f.push(
                Diagnostic::new(
                    "end_without_mode",
                    format!(
                        "{} ends at `{}`, which has no `mode`",
                        self.service, device.name
                    ),
                    span,
                    "say at the device how it takes packets: `mode: loopback` (any destination), `alias` \
                     (has the service address too) or `nat` (only its own address)",
                )
                .also(device.span, "add `mode` here"),
            );
        }
    }

    /// Checks of devices and alternates; the elements, if all of them are known.
    pub fn elements(&mut self, list: &[RawElement], returning: bool) -> Option<Vec<Element>> {
        let mut found = Some(Vec::new());
        for (n, raw) in list.iter().enumerate() {
            let is_end = !returning && self.end == Some(n);
            let element = self.element(raw, is_end);
            match (&mut found, element) {
                (Some(found), Some(element)) => found.push(element),
                _ => found = None,
            }
        }
        found
    }

    fn element(&mut self, raw: &RawElement, is_end: bool) -> Option<Element> {
        let role = raw.role.as_ref()?;
        self.alternates(role);
        let made = Role {
            device: role.device,
            alternates: role.alternates.iter().map(|a| a.value).collect(),
            open: self.opens(raw, role, is_end),
            pool: role.pool.clone(),
        };
        match &raw.kind {
            RawKind::Unknown => None,
            RawKind::Device { enter, port, then } => {
                for id in role.all() {
                    self.passed(id, raw.span, is_end);
                }
                self.pooled(role, raw.span);
                if let (Some(enter), Some(device)) = (enter, self.device(role.device))
                    && !matches!(device.attachments, Attachments::Two { .. })
                {
                    self.f.error(
                        "enter_without_sides",
                        format!(
                            "`enter` is said of `{}`, which has one attachment",
                            device.name
                        ),
                        enter.span,
                        "remove `enter`, or give the device `attachments` with `outside` and `inside`",
                    );
                }
                Some(Element::Device {
                    role: made,
                    enter: enter.map_or(Side::Outside, |at| at.value),
                    port: port.map(|at| at.value),
                    then: then.as_ref().map(|then| Then {
                        addresses: then.value.addresses.iter().map(|a| a.value).collect(),
                        ports: then.value.ports.as_ref().map(|p| p.value.clone()),
                    }),
                    tracking: raw.tracking,
                    dscp: raw.dscp,
                    span: raw.span,
                })
            }
            RawKind::Copy { alerts, directions } => {
                for id in role.all() {
                    self.copied(id, raw.span);
                }
                self.alerts(alerts, raw.span);
                let directions = directions.map_or(Directions::Both, |at| at.value);
                Some(Element::Copy {
                    role: made,
                    alerts: match alerts {
                        RawAlerts::Next => Alerts::Next,
                        RawAlerts::None => Alerts::None,
                        RawAlerts::To(at) => Alerts::To(at.value),
                    },
                    directions,
                    tracking: raw.tracking,
                    dscp: raw.dscp,
                    span: raw.span,
                })
            }
        }
    }

    /// Alternates stand in for their primary, so they are like it.
    fn alternates(&mut self, role: &RawRole) {
        let primary = self.name(role.device);
        let mut seen: HashMap<DeviceId, Span> = HashMap::new();
        for alternate in &role.alternates {
            let name = self.name(alternate.value);
            if alternate.value == role.device {
                self.f.error(
                    "alternate_of_itself",
                    format!("`{primary}` is its own alternate"),
                    alternate.span,
                    "name another device",
                );
                continue;
            }
            if let Some(first) = seen.insert(alternate.value, alternate.span) {
                self.f.push(
                    Diagnostic::new(
                        "alternate_twice",
                        format!("`{name}` stands twice among the alternates of `{primary}`"),
                        alternate.span,
                        "remove one of them",
                    )
                    .also(first, "first here"),
                );
                continue;
            }
            let (Some(a), Some(b)) = (self.device(role.device), self.device(alternate.value))
            else {
                continue;
            };
            let differs = if sides(&a.attachments) != sides(&b.attachments) {
                Some("number of attachments")
            } else if a.mode != b.mode {
                Some("mode")
            } else if a.promiscuous != b.promiscuous {
                Some("`promiscuous`")
            } else {
                None
            };
            if let Some(what) = differs {
                self.f.push(
                    Diagnostic::new(
                        "unlike_alternate",
                        format!("`{name}` cannot stand in for `{primary}`: their {what} differs"),
                        alternate.span,
                        "an alternate takes over the very place of its device: make the two alike, or \
                         name another device",
                    )
                    .also(a.span, "the device")
                    .also(b.span, "its alternate"),
                );
            }
        }
    }

    /// A pool knows its packets' clients: they keep their address, as it is or as the pool sees it.
    fn pooled(&mut self, role: &RawRole, span: Span) {
        let changed = |e: &&RawElement| match &e.kind {
            RawKind::Device {
                then: Some(then), ..
            } => !then.value.addresses.is_empty(),
            _ => false,
        };
        let sequence = self.raw.sequence.iter().flat_map(|s| &s.value);
        let here = |e: &&RawElement| e.first() == Some(role.device);
        let mut before = sequence.clone().take_while(|e| !here(e)).filter(changed);
        let mut itself = sequence.filter(here).filter(changed);
        if self.raw.keyed_by == Some(KeyedBy::Client)
            && role.pool.is_some()
            && let Some(changing) = before.next().or_else(|| itself.next())
        {
            let other = changing.span;
            self.f.push(
                Diagnostic::new(
                    "pool_of_one_client",
                    format!(
                        "the clients of {} have one address where this pool stands",
                        self.service
                    ),
                    span,
                    "put the pool in front of the device that changes the address, or name one device",
                )
                .also(other, "the address is changed here"),
            );
        }
    }

    /// Whether the sequence goes on without an element: its own word, or its first device's.
    fn opens(&mut self, raw: &RawElement, role: &RawRole, is_end: bool) -> bool {
        let changes = matches!(&raw.kind, RawKind::Device { then: Some(_), .. });
        let (code, why, help) = match (is_end, changes) {
            (false, false) => {
                let device = self.device(role.device).is_some_and(|d| d.open);
                return raw.open.map_or(device, |at| at.value);
            }
            (true, _) => (
                "open_end",
                "ends there: there is nothing to go on to",
                "remove `on_failure`, or give the server an `alternate`",
            ),
            (_, true) => (
                "open_change",
                "needs what it does to packets (`then`)",
                "remove `on_failure`: behind it packets would not look as the sequence says",
            ),
        };
        if let Some(open) = raw.open.filter(|at| at.value) {
            let name = self.name(role.device);
            self.f.error(
                code,
                format!("{} cannot go on without `{name}`: it {why}", self.service),
                open.span,
                help,
            );
        }
        false
    }

    /// A device that packets pass or end at.
    fn passed(&mut self, id: DeviceId, span: Span, is_end: bool) {
        let Some(device) = self.device(id) else {
            return;
        };
        let name = &device.name;
        let nat = device.mode == Some(Mode::Nat);
        let notes = self.notes(id);
        if device.promiscuous
            && let Some(said) = notes.and_then(|n| n.promiscuous)
        {
            self.f.push(
                Diagnostic::new(
                    "promiscuous_in_sequence",
                    format!(
                        "{} sends its packets to `{name}`, which only gets copies",
                        self.service
                    ),
                    span,
                    format!("write `copy: {name}`, or remove `promiscuous` at the device"),
                )
                .also(said.span, "promiscuous"),
            );
        }
        let end_known = self.end.is_some() || self.raw.keyed_by == Some(KeyedBy::Client);
        if nat && !is_end && end_known {
            let mut diagnostic = Diagnostic::new(
                "nat_not_end",
                format!(
                    "`{name}` is in NAT mode, but {} does not end there",
                    self.service
                ),
                span,
                "a device in NAT mode gets packets for its own address and can only be the end of a \
                 service keyed by destination: put it last, or change its `mode`",
            );
            if let Some(mode) = notes.and_then(|n| n.mode) {
                diagnostic = diagnostic.also(mode, "NAT mode");
            }
            self.f.push(diagnostic);
        }
    }

    /// A device that gets copies.
    fn copied(&mut self, id: DeviceId, span: Span) {
        let Some(device) = self.device(id) else {
            return;
        };
        let name = &device.name;
        let attachments = sides(&device.attachments);
        if attachments != 1 {
            let (why, help) = match attachments {
                2 => (
                    "has two attachments",
                    "a copy goes to one place: give the device one `attachment`, or define a device for \
                     each side",
                ),
                _ => (
                    "is not attached",
                    "copies keep their destination address and cannot be routed: give the device an \
                     `attachment`",
                ),
            };
            self.f.push(
                Diagnostic::new(
                    "copy_needs_one_attachment",
                    format!("{} copies to `{name}`, which {why}", self.service),
                    span,
                    help,
                )
                .also(device.span, "the device"),
            );
        }
        let said = self.notes(id).and_then(|n| n.promiscuous);
        if let Some(said) = said.filter(|said| !said.value) {
            self.f.push(
                Diagnostic::new(
                    "copy_to_addressed",
                    format!(
                        "{} copies to `{name}`, which is not promiscuous",
                        self.service
                    ),
                    span,
                    "copies carry addresses of others: remove `promiscuous: false` at the device, or \
                     take the copy out",
                )
                .also(said.span, "not promiscuous"),
            );
        }
    }

    fn alerts(&mut self, alerts: &RawAlerts, span: Span) {
        let RawAlerts::To(to) = alerts else { return };
        let listed = |list: &[RawElement]| {
            list.iter().any(|e| {
                matches!(e.kind, RawKind::Device { .. })
                    && e.role.as_ref().is_none_or(|r| r.device == to.value)
            })
        };
        let in_sequence = self.raw.sequence.as_ref().is_none_or(|s| listed(&s.value));
        let in_return = match &self.raw.return_way {
            Some(RawReturn::List(list, _)) => listed(list),
            _ => false,
        };
        if !in_sequence && !in_return {
            let name = self.name(to.value);
            self.f.push(
                Diagnostic::new(
                    "alerts_elsewhere",
                    format!(
                        "alerts go to `{name}`, which packets of {} do not pass",
                        self.service
                    ),
                    to.span,
                    "name a device of the sequence, `next` or `none`",
                )
                .also(span, "alerts of this device"),
            );
        }
    }
}

fn sides(attachments: &Attachments) -> usize {
    places_of(attachments).len()
}

/// Where it is attached.
pub(crate) fn places_of(attachments: &Attachments) -> Vec<&super::Place> {
    match attachments {
        Attachments::One(place) => vec![place],
        Attachments::Two { outside, inside } => vec![outside, inside],
        Attachments::Via(_) => Vec::new(),
    }
}
