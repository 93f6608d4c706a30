//! What a definition becomes: namespaces, cables, programs.

use crate::LabError;
use seqnic_compiler::definition::{
    Attachments, Definition, Element, KeyedBy, Mode, Place, Ports, Protocol, Tracking,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One end of a cable: a network device of a namespace, on a port of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// Name of the device in its namespace.
    pub device: String,
    pub port: u8,
    pub mac: String,
    /// MAC of the engine's interface there: where everything is sent.
    pub engine: String,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a namespace does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A router; clients are behind it if it is a gateway.
    Router { clients: bool },
    /// Forwards between two sides: new connections from the first only.
    Firewall,
    /// Forwards; changes one port to another on the way of requests.
    Pass { translate: Option<(u16, u16)> },
    /// Writes down what it gets.
    Copies,
    /// Answers on these addresses and ports.
    Server {
        on_loopback: Vec<IpAddr>,
        on_device: Vec<IpAddr>,
        ports: BTreeSet<u16>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub cables: Vec<Cable>,
    pub work: Work,
}

/// The whole lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub nodes: Vec<Node>,
    /// Ports of the engine in use.
    pub ports: BTreeSet<u8>,
    pub geometry: String,
    /// Addresses of services keyed by destination: what clients ask.
    pub services: BTreeSet<IpAddr>,
}

fn not_shown(what: String) -> LabError {
    LabError::NotShown(what)
}

impl Plan {
    /// Plans the lab of a definition.
    ///
    /// # Errors
    /// What of the definition the lab cannot show.
    pub fn of(d: &Definition) -> Result<Plan, LabError> {
        for i in &d.interfaces {
            if !i.vlan.0.is_empty() || matches!(i.tracking, Tracking::Tag(_)) {
                let what =
                    "VLANs and tags are not shown: this kernel's own devices may not have them";
                return Err(not_shown(format!("interface `{}`: {what}", i.name)));
            }
        }
        if let Some(s) = d.services.iter().find(|s| s.keyed_by == KeyedBy::Client) {
            return Err(not_shown(format!(
                "service `{}` is keyed by client",
                s.name
            )));
        }
        let cable = |device: &str, place: &Place, addresses: &[IpAddr]| {
            let interface = &d.interfaces[place.interface];
            Cable {
                device: device.to_string(),
                port: interface.port,
                mac: place.mac.to_string(),
                engine: interface.mac.to_string(),
                addresses: addresses.to_vec(),
            }
        };
        let mut nodes = Vec::new();
        for (number, host) in d.hosts.iter().enumerate() {
            let gateway = d.interfaces.iter().any(|i| i.gateway == Some(number));
            nodes.push(Node {
                name: host.name.clone(),
                cables: vec![cable("eth0", &host.place, &host.addresses)],
                work: Work::Router { clients: gateway },
            });
        }
        for (number, device) in d.devices.iter().enumerate() {
            let (cables, two) = match &device.attachments {
                Attachments::One(place) => (vec![cable("eth0", place, &device.addresses)], false),
                Attachments::Two { outside, inside } => {
                    let outside = cable("outside", outside, &[]);
                    (
                        vec![outside, cable("inside", inside, &device.addresses)],
                        true,
                    )
                }
                Attachments::Via(_) => {
                    return Err(not_shown(format!(
                        "device `{}` is not attached",
                        device.name
                    )));
                }
            };
            let work = match () {
                () if device.promiscuous => Work::Copies,
                () if device.mode.is_some() => server(d, number, device.mode),
                () if two || device.function == "firewall" => Work::Firewall,
                () => Work::Pass {
                    translate: translation(d, number),
                },
            };
            nodes.push(Node {
                name: device.name.clone(),
                cables,
                work,
            });
        }
        Ok(Plan {
            ports: d.interfaces.iter().map(|i| i.port).collect(),
            geometry: d.geometry.name.to_string(),
            services: d
                .services
                .iter()
                .flat_map(|s| s.addresses.iter().copied())
                .collect(),
            nodes,
        })
    }
}

fn first(ports: &Ports) -> Option<u16> {
    match ports {
        Ports::Any => None,
        Ports::Ranges(ranges) => ranges.first().map(|r| r.0),
    }
}

/// The port a device changes, to what: of the first service in which it does.
fn translation(d: &Definition, device: usize) -> Option<(u16, u16)> {
    for service in &d.services {
        let mut port = first(&service.ports)?;
        for element in &service.sequence {
            let Element::Device { role, then, .. } = element else {
                continue;
            };
            let next = then.as_ref().and_then(|t| t.ports.as_ref()).and_then(first);
            if let Some(next) = next {
                if role.device == device || role.alternates.contains(&device) {
                    return Some((port, next));
                }
                port = next;
            }
        }
    }
    None
}

/// What a server answers on: the addresses and ports packets have when they reach it.
fn server(d: &Definition, device: usize, mode: Option<Mode>) -> Work {
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in &d.services {
        let mut port = first(&service.ports);
        let mut own: Vec<IpAddr> = service.addresses.clone();
        for element in &service.sequence {
            let Element::Device {
                role,
                then,
                port: seen,
                ..
            } = element
            else {
                continue;
            };
            if role.device == device || role.alternates.contains(&device) {
                if matches!(service.protocol, Protocol::Number(6) | Protocol::Any) {
                    ports.insert(seen.or(port).unwrap_or(80));
                }
                addresses.extend(own.iter().copied());
            }
            if let Some(then) = then {
                port = then.ports.as_ref().and_then(first).or(port);
                if !then.addresses.is_empty() {
                    own.clone_from(&then.addresses);
                }
            }
        }
    }
    let addresses: Vec<IpAddr> = addresses.into_iter().collect();
    let (on_loopback, on_device) = match mode {
        Some(Mode::Loopback) => (addresses, Vec::new()),
        Some(Mode::Alias) => (Vec::new(), addresses),
        _ => (Vec::new(), Vec::new()),
    };
    Work::Server {
        on_loopback,
        on_device,
        ports,
    }
}
