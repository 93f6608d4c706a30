//! How packets of a service look on each part of their way, and which service a packet belongs
//! to: `docs/semantics.md` sections 2 and 6.

use crate::parse::Ip;
use crate::{road, walk};
use seqnic_compiler::definition::{
    Definition, Device, Element, KeyedBy, Mode, Ports, Protocol, Service, Then,
};
use seqnic_image::names::Direction;
use std::collections::HashMap;
use std::net::IpAddr;

/// Protocol and ports of a service's packets on a part of their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Index into the definition's services.
    pub service: usize,
    /// Devices with `then` that are behind the packet on the forward way.
    pub stage: usize,
    /// What a device with `port` sees more than the stage's ports, modulo 2^16.
    pub shift: u16,
    /// The service (or client) address in this stage.
    pub address: IpAddr,
    pub protocol: Protocol,
    pub ports: Ports,
    /// Found by a NAT mode end's own address, which answers as source only.
    pub answer: bool,
}

impl Look {
    /// `tcp/80`, `tcp/21,1025-1125`, `udp/any`, `any/any`, `icmp`, `proto47`.
    pub fn label(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Any => "any".to_string(),
            Protocol::Icmp => return "icmp".to_string(),
            Protocol::Number(6) => "tcp".to_string(),
            Protocol::Number(17) => "udp".to_string(),
            Protocol::Number(132) => "sctp".to_string(),
            Protocol::Number(n) => return format!("proto{n}"),
        };
        let ports = match &self.ports {
            Ports::Any => "any".to_string(),
            Ports::Ranges(ranges) => ranges
                .iter()
                .map(|(first, last)| match first == last {
                    true => first.to_string(),
                    false => format!("{first}-{last}"),
                })
                .collect::<Vec<_>>()
                .join(","),
        };
        format!("{protocol}/{ports}")
    }

    /// Whether a packet with this port, where the service's port belongs, has this look. A later
    /// fragment has no port, so only looks with every port can be its.
    fn holds(&self, ip: &Ip, port: u16) -> bool {
        let protocol = self.protocol.number(self.address);
        let in_ports = match &self.ports {
            Ports::Any => true,
            Ports::Ranges(ranges) => {
                !ip.later_fragment && ranges.iter().any(|(a, b)| (*a..=*b).contains(&port))
            }
        };
        protocol.is_none_or(|p| p == ip.protocol) && in_ports
    }

    /// Less is more specific: named ports, then a protocol's every port, then everything.
    fn specificity(&self) -> u8 {
        match (self.protocol, &self.ports) {
            (Protocol::Any, _) => 2,
            (_, Ports::Any) => 1,
            _ => 0,
        }
    }
}

/// A packet's look and the direction it goes.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    pub look: &'a Look,
    pub direction: Direction,
}

/// Every look of every service, by the addresses it is found by.
#[derive(Debug)]
pub struct Looks {
    by_address: HashMap<IpAddr, Vec<(KeyedBy, Look)>>,
}

impl Looks {
    pub fn of(definition: &Definition) -> Looks {
        let mut looks = Looks {
            by_address: HashMap::new(),
        };
        for (number, service) in definition.services.iter().enumerate() {
            for address in &service.addresses {
                looks.add_service(definition, number, service, *address);
            }
        }
        looks
    }

    /// Adds the looks of the packets that enter with `address`.
    fn add_service(
        &mut self,
        definition: &Definition,
        number: usize,
        service: &Service,
        address: IpAddr,
    ) {
        let end = road::end(definition, service);
        // Variants: what the devices on either way see of their own.
        let crossings: Vec<_> = [Direction::Forward, Direction::Return]
            .into_iter()
            .flat_map(|direction| road::crossings(definition, service, direction))
            .collect();
        for (stage, (address, ports)) in stages(service, address).into_iter().enumerate() {
            let look = |shift, answer| Look {
                service: number,
                stage,
                shift,
                address,
                protocol: service.protocol,
                ports: shifted(&ports, shift),
                answer,
            };
            self.add(service.keyed_by, address, look(0, false));
            for crossing in crossings.iter().filter(|c| c.stage == stage) {
                for face in [crossing.from, crossing.to] {
                    self.add(service.keyed_by, address, look(face.shift(), false));
                }
            }
            let Some(end) = end.as_ref().filter(|e| e.stage == stage) else {
                continue;
            };
            for device in walk::devices(definition, end.role) {
                for own in nat_addresses(device, address) {
                    self.add(service.keyed_by, own, look(end.shift, true));
                }
            }
        }
    }

    fn add(&mut self, keyed_by: KeyedBy, address: IpAddr, look: Look) {
        let known = self.by_address.entry(address).or_default();
        // Two addresses of a service may have become one behind a device that changes them.
        if !known.iter().any(|(_, l)| *l == look) {
            known.push((keyed_by, look));
        }
    }

    /// Whether the address is a service's, a client's, or a NAT mode end's of a service.
    pub fn has(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// The four port questions, strongest first.
    pub fn find(&self, ip: &Ip) -> Option<Found<'_>> {
        let (server, client) = (KeyedBy::Destination, KeyedBy::Client);
        let (to, from) = (ip.destination, ip.source);
        let (to_port, from_port) = (ip.destination_port, ip.source_port);
        // The last column: whether a NAT mode end's own address answers.
        [
            (to, server, to_port, Direction::Forward, false),
            (from, server, from_port, Direction::Return, true),
            (to, client, from_port, Direction::Return, false),
            (from, client, to_port, Direction::Forward, false),
        ]
        .into_iter()
        .find_map(|(address, keyed_by, port, direction, answers)| {
            self.by_address
                .get(&address)?
                .iter()
                .filter(|(k, look)| *k == keyed_by && (answers || !look.answer))
                .map(|(_, look)| look)
                .filter(|look| look.holds(ip, port))
                .min_by_key(|look| look.specificity())
                .map(|look| Found { look, direction })
        })
    }
}

/// Address and ports of each stage, for packets that enter with `address`.
fn stages(service: &Service, address: IpAddr) -> Vec<(IpAddr, Ports)> {
    let mut now = (address, service.ports.clone());
    let mut all = vec![now.clone()];
    for element in &service.sequence {
        if let Element::Device {
            then: Some(then), ..
        } = element
        {
            now = after(then, &now);
            all.push(now.clone());
        }
    }
    all
}

/// The look behind a device with `then`. An address of the other family does not change.
fn after(then: &Then, (address, ports): &(IpAddr, Ports)) -> (IpAddr, Ports) {
    let same_family = |a: &&IpAddr| a.is_ipv4() == address.is_ipv4();
    (
        *then.addresses.iter().find(same_family).unwrap_or(address),
        then.ports.as_ref().unwrap_or(ports).clone(),
    )
}

/// Ports of each stage of a service.
pub fn stage_ports(service: &Service) -> Vec<Ports> {
    service
        .addresses
        .first()
        .map(|a| stages(service, *a).into_iter().map(|(_, p)| p).collect())
        .unwrap_or_default()
}

fn shifted(ports: &Ports, shift: u16) -> Ports {
    match ports {
        Ports::Any => Ports::Any,
        Ports::Ranges(ranges) => Ports::Ranges(
            ranges
                .iter()
                .map(|(a, b)| (a.wrapping_add(shift), b.wrapping_add(shift)))
                .collect(),
        ),
    }
}

/// Own addresses a NAT mode device answers from, for a service address of that family.
fn nat_addresses(device: &Device, like: IpAddr) -> impl Iterator<Item = IpAddr> {
    (device.mode == Some(Mode::Nat))
        .then(|| device.address_like(like))
        .flatten()
        .into_iter()
}
