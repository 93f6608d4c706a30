//! How packets of a service look on each part of their way.

use crate::definition::{Element, Ports, Protocol, Service};
use std::net::IpAddr;

/// What packets look like between two devices that change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// What became of each of the service's addresses, in their order.
    pub addresses: Vec<IpAddr>,
    pub ports: Ports,
}

/// The stages of a service, in forward order; at least one.
pub(super) fn stages(service: &Service) -> Vec<Stage> {
    let mut now = Stage {
        addresses: service.addresses.clone(),
        ports: service.ports.clone(),
    };
    let mut all = Vec::with_capacity(1);
    for element in &service.sequence {
        let Element::Device {
            then: Some(then), ..
        } = element
        else {
            continue;
        };
        let mut next = now.clone();
        for address in &mut next.addresses {
            // An address of a family that `then` does not name stays.
            let same_family = |a: &&IpAddr| a.is_ipv4() == address.is_ipv4();
            if let Some(new) = then.addresses.iter().find(same_family) {
                *address = *new;
            }
        }
        if let Some(ports) = &then.ports {
            next.ports = ports.clone();
        }
        all.push(std::mem::replace(&mut now, next));
    }
    all.push(now);
    all
}

/// What a device's own port is more than the stage's first, modulo 2^16.
pub(super) fn shift(ports: &Ports, port: Option<u16>) -> u16 {
    match (ports, port) {
        (Ports::Ranges(ranges), Some(port)) => ranges
            .first()
            .map_or(0, |(first, _)| port.wrapping_sub(*first)),
        _ => 0,
    }
}

/// The ranges of `ports` as they are `shift` higher; `None` if one of them would go round.
pub(super) fn shifted(ports: &Ports, shift: u16) -> Option<Ports> {
    let Ports::Ranges(ranges) = ports else {
        return Some(Ports::Any);
    };
    ranges
        .iter()
        .map(|(first, last)| {
            let moved = (first.wrapping_add(shift), last.wrapping_add(shift));
            (moved.0 <= moved.1).then_some(moved)
        })
        .collect::<Option<Vec<_>>>()
        .map(Ports::Ranges)
}

/// `tcp/80`, `tcp/21,1025-1125`, `udp/any`, `any/any`, `icmp`, `proto47`.
pub(super) fn label(protocol: Protocol, ports: &Ports) -> String {
    let name = match protocol {
        Protocol::Icmp => return "icmp".to_owned(),
        Protocol::Any => "any",
        Protocol::Number(6) => "tcp",
        Protocol::Number(17) => "udp",
        Protocol::Number(132) => "sctp",
        Protocol::Number(n) => return format!("proto{n}"),
    };
    let Ports::Ranges(ranges) = ports else {
        return format!("{name}/any");
    };
    let mut text = format!("{name}/");
    for (i, (first, last)) in ranges.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        text += &match first == last {
            true => format!("{comma}{first}"),
            false => format!("{comma}{first}-{last}"),
        };
    }
    text
}
