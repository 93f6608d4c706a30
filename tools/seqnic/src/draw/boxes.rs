//! The boxes of a picture and what is written in them.

use super::way::{Builder, Party, Spot, Who};
use seqnic_compiler::definition::{
    Attachments, DeviceId, Element, HostId, KeyedBy, Mode, Place, Ports, Protocol, ReturnWay, Role,
    Service, State, Then,
};

impl Builder<'_> {
    fn spot(&self, name: Option<&str>, place: &Place) -> Spot {
        let interface = &self.definition.interfaces[place.interface].name;
        let vlans: Vec<String> = place.vlan.0.iter().map(ToString::to_string).collect();
        Spot {
            name: name.map(String::from),
            tab: match vlans.is_empty() {
                true => interface.clone(),
                false => format!("{interface} vlan {}", vlans.join(",")),
            },
            arrows: Vec::new(),
        }
    }

    pub(super) fn anyone(&self) -> Party {
        Party {
            title: "anyone".to_string(),
            lines: Vec::new(),
            class: "host",
            spots: vec![Spot {
                name: None,
                tab: "any interface".to_string(),
                arrows: Vec::new(),
            }],
            who: Who::Anyone,
        }
    }

    pub(super) fn host(&self, id: HostId) -> Party {
        let host = &self.definition.hosts[id];
        let mut lines = Vec::new();
        if self.definition.default_gateway == Some(id) {
            lines.push("default gateway".to_string());
        }
        lines.extend(host.addresses.iter().map(ToString::to_string));
        lines.push(host.place.mac.to_string());
        Party {
            title: host.name.clone(),
            lines,
            class: "host",
            spots: vec![self.spot(None, &host.place)],
            who: Who::Host(id),
        }
    }

    pub(super) fn device(&self, id: DeviceId, copying: bool) -> Party {
        let device = &self.definition.devices[id];
        let mut lines = Vec::new();
        let mode = match device.mode {
            Some(Mode::Loopback) => ", loopback mode",
            Some(Mode::Alias) => ", alias mode",
            Some(Mode::Nat) => ", NAT mode",
            None => "",
        };
        lines.push(format!("{}{mode}", device.function));
        let model = [&device.vendor, &device.model].into_iter().flatten();
        let model: Vec<&str> = model.map(String::as_str).collect();
        if !model.is_empty() {
            lines.push(model.join(" "));
        }
        lines.extend(device.addresses.iter().map(ToString::to_string));
        if device.state == State::Failed {
            lines.push("failed".to_string());
        }
        lines.extend(self.remarks(id));
        let spots = match &device.attachments {
            Attachments::One(place) => vec![self.spot(None, place)],
            Attachments::Two { outside, inside } => vec![
                self.spot(Some("outside"), outside),
                self.spot(Some("inside"), inside),
            ],
            Attachments::Via(host) => {
                let host = &self.definition.hosts[*host];
                lines.push(format!("through {}", host.name));
                vec![self.spot(None, &host.place)]
            }
        };
        Party {
            title: device.name.clone(),
            lines,
            class: match (device.state, copying) {
                (State::Failed, _) => "failed",
                (State::Up, true) => "copying",
                (State::Up, false) => "device",
            },
            spots,
            who: Who::Device(id),
        }
    }

    /// What the sequence says about a device.
    fn remarks(&self, id: DeviceId) -> Vec<String> {
        let mut out = Vec::new();
        let listed = match &self.service.return_way {
            ReturnWay::List(elements) => elements.as_slice(),
            _ => &[],
        };
        let alternates = |role: &Role, out: &mut Vec<String>| {
            let names = role.alternates.iter();
            for name in names.map(|d| &self.definition.devices[*d].name) {
                out.push(format!("alternate: {name}"));
            }
        };
        for element in self.service.sequence.iter().chain(listed) {
            match element {
                Element::Device {
                    role, port, then, ..
                } if role.device == id => {
                    alternates(role, &mut out);
                    out.extend(port.map(|p| format!("sees port {p}")));
                    out.extend(then.as_ref().map(becomes));
                }
                Element::Copy { role, .. } if role.device == id => alternates(role, &mut out),
                _ => {}
            }
        }
        let mut seen = Vec::new();
        out.retain(|line| {
            let new = !seen.contains(line);
            seen.push(line.clone());
            new
        });
        out
    }
}

fn becomes(then: &Then) -> String {
    let mut parts: Vec<String> = then.addresses.iter().map(ToString::to_string).collect();
    if let Some(p) = &then.ports {
        parts.push(format!("port {}", ports(p)));
    }
    format!("then {}", parts.join(", "))
}

fn ports(ports: &Ports) -> String {
    match ports {
        Ports::Any => "any".to_string(),
        Ports::Ranges(ranges) => {
            let ranges = ranges.iter().map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            });
            ranges.collect::<Vec<_>>().join(",")
        }
    }
}

/// Name and key of a service.
pub(super) fn heading(service: &Service) -> String {
    let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
    let protocol = match service.protocol {
        Protocol::Any => "any protocol".to_string(),
        Protocol::Icmp => "icmp".to_string(),
        Protocol::Number(6) => "tcp".to_string(),
        Protocol::Number(17) => "udp".to_string(),
        Protocol::Number(132) => "sctp".to_string(),
        Protocol::Number(n) => format!("protocol {n}"),
    };
    let ports = match (&service.ports, service.protocol) {
        (Ports::Any, _) => String::new(),
        (p, _) => format!(" {}", ports(p)),
    };
    let key = match service.keyed_by {
        KeyedBy::Destination => "",
        KeyedBy::Client => "clients ",
    };
    format!(
        "{}: {key}{} {protocol}{ports}",
        service.name,
        addresses.join(", ")
    )
}
