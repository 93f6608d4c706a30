//! How packets look along a sequence: `then` and `port`.

use super::element::{RawElement, RawKind, RawRole, RawThen};
use super::overlap::Look;
use super::sequence::Check;
use super::service::has_ports;
use super::tree::At;
use super::values::in_words;
use super::{DeviceId, Mode, Ports, Protocol};
use crate::diagnostic::{Diagnostic, Span};
use seqnic_spec::wire;
use std::net::IpAddr;

/// Addresses and ports of packets on a part of the way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    pub addresses: Vec<IpAddr>,
    pub ports: Ports,
}

impl Check<'_> {
    /// Looks of the packets along the sequence; they go to `looks` if all of them are known.
    pub fn stages(&mut self, list: &[RawElement], looks: &mut Vec<Look>) {
        let raw = self.raw;
        let (Some(addresses), Some(protocol), Some(ports)) =
            (&raw.addresses, raw.protocol, &raw.ports)
        else {
            return;
        };
        let mut now = Stage {
            addresses: addresses.iter().map(|a| a.value).collect(),
            ports: ports.value.clone(),
        };
        let mut stages = vec![now.clone()];
        let mut found: Vec<_> = self.look(&now, 0, self.look_span()).into_iter().collect();
        let mut sound = true;
        for (n, element) in list.iter().enumerate() {
            let is_end = self.end == Some(n);
            sound &= !element.broken && element.role.is_some();
            let RawKind::Device { port, then, .. } = &element.kind else {
                continue;
            };
            if is_end {
                for id in element.role.iter().flat_map(RawRole::all) {
                    self.nat_address(id, &now, element.span);
                }
            }
            let number = stages.len() - 1;
            if let Some(port) = port {
                let device = element.role.as_ref().map(|r| r.device);
                self.translations
                    .extend(device.map(|id| (id, number, port.value)));
                // A server in NAT mode answers from an address of its own.
                let own = is_end && element.role.as_ref().is_none_or(|r| self.may_be_nat(r));
                if let Some(seen) = self.translated(protocol, &now, port)
                    && !own
                {
                    found.extend(self.look(&seen, number, port.span));
                }
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
                    now = next;
                    found.extend(self.look(&now, number + 1, then.span));
                    stages.push(now.clone());
                    self.changes.extend(element.role.as_ref().map(|r| r.device));
                }
                None => sound = false,
            }
        }
        if sound {
            looks.extend(found);
            self.stages = stages;
        }
    }

    /// The look of packets in `stage`, unless how they are keyed is not known.
    pub fn look(&self, stage: &Stage, number: usize, span: Span) -> Option<Look> {
        Some(Look {
            service: self.raw.name.value.clone(),
            keyed_by: self.raw.keyed_by?,
            protocol: self.raw.protocol?,
            addresses: stage.addresses.clone(),
            ports: stage.ports.clone(),
            stage: number,
            span,
        })
    }

    /// Whether one of them is in NAT mode, or may be for all that is known.
    fn may_be_nat(&self, role: &RawRole) -> bool {
        role.all()
            .any(|id| self.device(id).is_none_or(|d| d.mode == Some(Mode::Nat)))
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
            let name = &device.name;
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
                .also(device.span, "the device"),
            );
        }
    }

    /// Packets as a device with `port` sees them; `None` if that is nothing else or was reported.
    pub fn translated(&mut self, protocol: Protocol, now: &Stage, port: &At<u16>) -> Option<Stage> {
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
        (port.value != first).then(|| Stage {
            addresses: now.addresses.clone(),
            ports: Ports::Ranges(vec![(port.value, end)]),
        })
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
}
