//! What the elements of a service mean together.

use super::element::{RawAlerts, RawElement, RawKind, RawRole, RawThen};
use super::findings::Findings;
use super::network::Network;
use super::overlap::Look;
use super::service::{RawReturn, RawService, has_ports};
use super::tree::At;
use super::values::in_words;
use super::{
    Alerts, Attachments, DeviceId, Directions, Element, KeyedBy, Mode, Ports, Protocol, ReturnWay,
    Role, Service, Side, State, Then,
};
use crate::diagnostic::{Diagnostic, Span};
use seqnic_spec::wire;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Copies one step makes besides the packet itself.
const MAX_COPIES: usize = wire::MAX_COPIES as usize - 1;

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
        undone: Vec::new(),
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
    let return_way = check.return_way(elements.as_deref());
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
        span: raw.name.span,
    })
}

struct Check<'a> {
    f: &'a mut Findings,
    network: &'a Network,
    raw: &'a RawService,
    service: &'a str,
    /// Index in the sequence of the end of a service keyed by destination.
    end: Option<usize>,
    /// Devices with `then`, in the order of the sequence.
    undone: Vec<DeviceId>,
}

impl<'a> Check<'a> {
    fn name(&self, device: DeviceId) -> &'a str {
        self.network.device_names.name(device)
    }

    /// The device, unless an error about it was reported.
    fn device(&self, id: DeviceId) -> Option<&'a super::Device> {
        let draft = self.network.devices.get(id)?;
        (!draft.broken).then_some(&draft.value)
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
        let (mode, name, at) = (device.mode, device.name.clone(), device.span);
        if mode.is_none() {
            let also = "add `mode` here";
            self.f.push(
                Diagnostic::new(
                    "end_without_mode",
                    format!("{} ends at `{name}`, which has no `mode`", self.service),
                    span,
                    "say at the device how it takes packets: `mode: loopback` (any destination), `alias` \
                     (has the service address too) or `nat` (only its own address)",
                )
                .also(at, also),
            );
        }
    }

    /// Checks of devices and alternates; the elements, if all of them are known.
    fn elements(&mut self, list: &[RawElement], returning: bool) -> Option<Vec<Element>> {
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
        self.role(role, raw.span);
        let made = Role {
            device: role.device,
            alternates: role.alternates.iter().map(|a| a.value).collect(),
        };
        match &raw.kind {
            RawKind::Unknown => None,
            RawKind::Device { enter, port, then } => {
                for id in role.all() {
                    self.passed(id, raw.span, is_end);
                }
                if let (Some(enter), Some(device)) = (enter, self.device(role.device))
                    && !matches!(device.attachments, Attachments::Two { .. })
                {
                    let name = device.name.clone();
                    self.f.error(
                        "enter_without_sides",
                        format!("`enter` is said of `{name}`, which has one attachment"),
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
                    span: raw.span,
                })
            }
        }
    }

    /// Alternates stand in for their primary, so they are like it.
    fn role(&mut self, role: &RawRole, span: Span) {
        let primary = self.name(role.device).to_owned();
        let mut seen: HashMap<DeviceId, Span> = HashMap::new();
        for alternate in &role.alternates {
            let name = self.name(alternate.value).to_owned();
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
                let (a, b) = (a.span, b.span);
                self.f.push(
                    Diagnostic::new(
                        "unlike_alternate",
                        format!("`{name}` cannot stand in for `{primary}`: their {what} differs"),
                        alternate.span,
                        "an alternate takes over the very place of its device: make the two alike, or \
                         name another device",
                    )
                    .also(a, "the device")
                    .also(b, "its alternate"),
                );
            }
        }
        let mut all = role.all().map(|id| self.device(id));
        let failed = all.all(|device| device.is_some_and(|d| d.state == State::Failed));
        if failed {
            let state = self.network.notes.get(role.device).and_then(|n| n.state);
            let mut diagnostic = Diagnostic::new(
                "failed_without_alternate",
                format!(
                    "`{primary}` is failed, and {}",
                    if role.alternates.is_empty() {
                        "has no alternate here".to_owned()
                    } else {
                        "so are all its alternates".to_owned()
                    }
                ),
                span,
                "add `alternate: <device>` with a device that is up, or take it out of the sequence",
            );
            if let Some(state) = state {
                diagnostic = diagnostic.also(state, "failed");
            }
            self.f.push(diagnostic);
        }
    }

    /// A device that packets pass or end at.
    fn passed(&mut self, id: DeviceId, span: Span, is_end: bool) {
        let Some(device) = self.device(id) else {
            return;
        };
        let (name, promiscuous, nat) = (
            device.name.clone(),
            device.promiscuous,
            device.mode == Some(Mode::Nat),
        );
        let notes = self.network.notes.get(id);
        if promiscuous && let Some(said) = notes.and_then(|n| n.promiscuous) {
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
        let (name, at) = (device.name.clone(), device.span);
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
                .also(at, "the device"),
            );
        }
        let said = self.network.notes.get(id).and_then(|n| n.promiscuous);
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
            let name = self.name(to.value).to_owned();
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

    /// Copies that are never made, and too many of them in one step.
    fn copies(&mut self, list: &[RawElement], returning: bool) {
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
                    _ => together = 0,
                }
            }
        }
    }

    /// Looks of the packets along the sequence: `then` and `port`.
    fn stages(&mut self, list: &[RawElement], looks: &mut Vec<Look>) {
        let (Some(addresses), Some(protocol), Some(ports), Some(keyed_by)) = (
            &self.raw.addresses,
            self.raw.protocol,
            &self.raw.ports,
            self.raw.keyed_by,
        ) else {
            return;
        };
        let mut now = Stage {
            addresses: addresses.iter().map(|a| a.value).collect(),
            ports: ports.value.clone(),
        };
        let look = |stage: &Stage, number, span| Look {
            service: self.raw.name.value.clone(),
            keyed_by,
            protocol,
            addresses: stage.addresses.clone(),
            ports: stage.ports.clone(),
            stage: number,
            span,
        };
        let mut found = vec![look(&now, 0, self.look_span())];
        let mut number = 0;
        let mut sound = true;
        for (n, element) in list.iter().enumerate() {
            let is_end = self.end == Some(n);
            sound &= !element.broken && element.role.is_some();
            let RawKind::Device { port, then, .. } = &element.kind else {
                continue;
            };
            let nat = element
                .role
                .iter()
                .flat_map(RawRole::all)
                .any(|id| self.device(id).is_none_or(|d| d.mode == Some(Mode::Nat)));
            if is_end {
                for id in element.role.iter().flat_map(RawRole::all) {
                    self.nat_address(id, &now, element.span);
                }
            }
            if let Some(port) = port
                && let Some(ports) = self.translated(protocol, &now, port)
                && !(is_end && nat)
            {
                let seen = Stage {
                    addresses: now.addresses.clone(),
                    ports,
                };
                found.push(look(&seen, number, port.span));
            }
            let Some(then) = then else { continue };
            if is_end {
                self.f.error(
                    "then_at_end",
                    format!("`then` stands at the end of {}", self.service),
                    then.span,
                    "nothing comes after the end: remove `then`; for another port at the server write `port`",
                );
                continue;
            }
            match self.after(protocol, &now, then) {
                Some(next) => {
                    number += 1;
                    now = next;
                    found.push(look(&now, number, then.span));
                    self.undone.extend(element.role.as_ref().map(|r| r.device));
                }
                None => sound = false,
            }
        }
        if sound {
            looks.extend(found);
        }
    }

    fn look_span(&self) -> Span {
        let has_ports = self.raw.protocol.is_some_and(has_ports);
        match &self.raw.ports {
            Some(ports) if has_ports => ports.span,
            _ => self.raw.name.span,
        }
    }

    fn nat_address(&mut self, id: DeviceId, stage: &Stage, span: Span) {
        let Some(device) = self.device(id) else {
            return;
        };
        if device.mode != Some(Mode::Nat) {
            return;
        }
        let missing = stage
            .addresses
            .iter()
            .copied()
            .find(|a| device.address_like(*a).is_none());
        if let Some(address) = missing {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let (name, at) = (device.name.clone(), device.span);
            self.f.push(
                Diagnostic::new(
                    "nat_without_address",
                    format!(
                        "{} ends at `{name}` in NAT mode, which has no {family} address for `{address}`",
                        self.service
                    ),
                    span,
                    format!("add the server's own {family} address: `address` at the device"),
                )
                .also(at, "the device"),
            );
        }
    }

    /// Ports as a device with `port` sees them; `None` if that is nothing else or was reported.
    fn translated(&mut self, protocol: Protocol, now: &Stage, port: &At<u16>) -> Option<Ports> {
        let tcp_or_udp =
            matches!(protocol, Protocol::Number(n) if n == wire::PROTO_TCP || n == wire::PROTO_UDP);
        if !tcp_or_udp {
            let sctp = protocol == Protocol::Number(wire::PROTO_SCTP);
            self.f.error(
                "port_translation_protocol",
                format!(
                    "{} translates a port of a protocol other than TCP and UDP",
                    self.service
                ),
                port.span,
                if sctp {
                    "SCTP's CRC-32C covers the ports and the whole packet, which the engine does not \
                     recompute: let the device take the service's own port and remove `port`"
                } else {
                    "remove `port`: only TCP and UDP ports are translated"
                },
            );
            return None;
        }
        let (first, last) = match &now.ports {
            Ports::Ranges(ranges) if ranges.len() == 1 => ranges[0],
            ports => {
                let help = "a translation moves one port or range: split the service, one for each range, \
                            or remove `port`";
                self.f.error(
                    "port_translation_ranges",
                    format!(
                        "{} translates ports, but its packets there have ports {}",
                        self.service,
                        in_words(ports)
                    ),
                    port.span,
                    help,
                );
                return None;
            }
        };
        let Some(end) = port.value.checked_add(last - first) else {
            self.f.error(
                "port_translation_range",
                format!(
                    "{} moves ports {first}-{last} to {} and beyond 65535",
                    self.service, port.value
                ),
                port.span,
                format!("write a port up to {}", u16::MAX - (last - first)),
            );
            return None;
        };
        (port.value != first).then(|| Ports::Ranges(vec![(port.value, end)]))
    }

    /// Look of the packets after `then`.
    fn after(&mut self, protocol: Protocol, now: &Stage, then: &At<RawThen>) -> Option<Stage> {
        let mut next = now.clone();
        if let Some(ports) = &then.value.ports {
            if !has_ports(protocol) {
                self.f.error(
                    "ports_without_protocol",
                    format!(
                        "`then` changes ports, but the protocol of {} has none",
                        self.service
                    ),
                    ports.span,
                    "remove `port` from `then`",
                );
                return None;
            }
            next.ports = ports.value.clone();
        }
        for address in &then.value.addresses {
            let v4 = address.value.is_ipv4();
            if !now.addresses.iter().any(|a| a.is_ipv4() == v4) {
                let family = if v4 { "IPv4" } else { "IPv6" };
                self.f.error(
                    "then_family",
                    format!("{} has no {family} address that could become `{}`", self.service, address.value),
                    address.span,
                    "an address becomes one of the same family: remove this one, or add the family to \
                     the service",
                );
                return None;
            }
            next.addresses.retain(|a| a.is_ipv4() != v4);
            next.addresses.push(address.value);
        }
        if next.ports == now.ports {
            let unchanged = now.addresses.iter().find(|a| next.addresses.contains(a));
            if let Some(address) = unchanged {
                let (message, help) = if then.value.addresses.is_empty() {
                    (
                        format!("`then` of {} changes nothing", self.service),
                        "say what packets look like after the device: `then: { port: 80 }` or \
                         `then: { address: 203.0.113.15 }`; or remove it",
                    )
                } else {
                    (
                        format!(
                            "`then` of {} leaves packets of `{address}` as they are",
                            self.service
                        ),
                        "name another address of each family the service has, so that packets before and \
                         after the device can be told apart",
                    )
                };
                self.f
                    .error("then_changes_nothing", message, then.span, help);
                return None;
            }
        }
        Some(next)
    }

    fn return_way(&mut self, sequence: Option<&[Element]>) -> Option<ReturnWay> {
        let (list, span) = match self.raw.return_way.as_ref()? {
            RawReturn::Mirror => return Some(ReturnWay::Mirror),
            RawReturn::Direct => return Some(ReturnWay::Direct),
            RawReturn::List(list, span) => (list, *span),
        };
        self.copies(list, true);
        let end = self.end.and_then(|end| {
            let element = self.raw.sequence.as_ref()?.value.get(end)?;
            Some((
                element.role.as_ref()?.all().collect::<HashSet<_>>(),
                element.span,
            ))
        });
        let mut seen: HashMap<DeviceId, Span> = HashMap::new();
        let mut undone = Vec::new();
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
            let name = self.name(role.device).to_owned();
            if let Some((ends, at)) = &end
                && role.all().any(|id| ends.contains(&id))
            {
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
                    .also(*at, "the end"),
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
            if self.undone.contains(&role.device) {
                undone.push(role.device);
            }
        }
        let expected = self.undone.iter().rev().take(undone.len());
        if !expected.eq(undone.iter()) {
            let names: Vec<String> = self
                .undone
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
        }
        let mut made = self.elements(list, true)?;
        for element in &mut made {
            self.inherit(element, list, sequence?);
        }
        Some(ReturnWay::List(made))
    }

    /// An element of the return list that stands in the sequence too is the same there, so far as
    /// it says nothing else.
    fn inherit(&self, element: &mut Element, list: &[RawElement], sequence: &[Element]) {
        let Element::Device {
            role,
            enter,
            port,
            then,
            span,
        } = element
        else {
            return;
        };
        let written = list.iter().find(|raw| raw.span == *span);
        let Some(RawKind::Device {
            enter: says_enter,
            port: says_port,
            ..
        }) = written.map(|raw| &raw.kind)
        else {
            return;
        };
        for forward in sequence {
            let Element::Device {
                role: there,
                enter: side,
                port: seen,
                then: change,
                ..
            } = forward
            else {
                continue;
            };
            if there.device != role.device {
                continue;
            }
            if says_enter.is_none() {
                *enter = *side;
            }
            if says_port.is_none() {
                *port = *seen;
            }
            if role.alternates.is_empty() {
                role.alternates.clone_from(&there.alternates);
            }
            then.clone_from(change);
            return;
        }
    }

    /// `from`, `exit`, `clients`.
    fn parties(&mut self) {
        if self.raw.keyed_by == Some(KeyedBy::Destination)
            && let Some(span) = self.raw.says_exit
        {
            self.f.error(
                "exit_without_client_key",
                format!(
                    "{} has `exit`, but its packets end at its last device",
                    self.service
                ),
                span,
                "remove `exit`; `clients` says where return packets leave; a service of packets that go \
                 on is `keyed_by: client`",
            );
        }
        let Some(from) = &self.raw.from else { return };
        let Some(sequence) = &self.raw.sequence else {
            return;
        };
        let returning: &[RawElement] = match &self.raw.return_way {
            Some(RawReturn::List(list, _)) => list,
            _ => &[],
        };
        let end = self.end;
        let inner: HashMap<DeviceId, Span> = sequence
            .value
            .iter()
            .enumerate()
            .filter(|(n, _)| Some(*n) != end)
            .map(|(_, e)| e)
            .chain(returning)
            .flat_map(|e| e.role.iter().flat_map(RawRole::all).map(|id| (id, e.span)))
            .collect();
        for party in from {
            let super::Party::Device(id) = party.value else {
                continue;
            };
            if let Some(there) = inner.get(&id) {
                let name = self.name(id).to_owned();
                self.f.push(
                    Diagnostic::new(
                        "from_inside",
                        format!("`from` of {} names `{name}`, which packets pass", self.service),
                        party.span,
                        "what a device of the sequence sends is on its way already, it cannot enter \
                         again: remove it from `from`",
                    )
                    .also(*there, "in the sequence"),
                );
            }
        }
    }

    /// Two devices of one direction that send from the same place.
    fn places(&mut self) {
        let Some(sequence) = &self.raw.sequence else {
            return;
        };
        let list = match &self.raw.return_way {
            Some(RawReturn::List(list, _)) => Some(list),
            _ => None,
        };
        let mut reported: HashSet<(DeviceId, DeviceId)> = HashSet::new();
        for way in std::iter::once(&sequence.value).chain(list) {
            let mut taken: HashMap<_, DeviceId> = HashMap::new();
            for element in way {
                for id in element.role.iter().flat_map(RawRole::all) {
                    let Some(device) = self.device(id) else {
                        continue;
                    };
                    for place in places_of(&device.attachments) {
                        let key = (place.interface, &place.vlan, place.mac);
                        let other = *taken.entry(key).or_insert(id);
                        if other == id || !reported.insert((other.min(id), other.max(id))) {
                            continue;
                        }
                        let (name, span) = (device.name.clone(), place.span);
                        let first = self.name(other).to_owned();
                        let at = self.network.devices.get(other).map(|d| d.value.span);
                        let diagnostic = Diagnostic::new(
                            "same_place",
                            format!(
                                "`{name}` and `{first}` of {} have one MAC address in one segment",
                                self.service
                            ),
                            span,
                            "packets are told by who sent them: correct the MAC address, or attach one of \
                             the two to another VLAN or interface",
                        );
                        self.f.push(match at {
                            Some(at) => diagnostic.also(at, "the other device"),
                            None => diagnostic,
                        });
                    }
                }
            }
        }
    }
}

/// Addresses and ports of packets on a part of the way.
#[derive(Debug, Clone)]
struct Stage {
    addresses: Vec<IpAddr>,
    ports: Ports,
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
