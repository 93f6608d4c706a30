//! Which rule decides: `docs/semantics.md` section 7, rule by rule.

use crate::parse::Ip;
use seqnic_compiler::definition::{
    DEFAULT_RULE, Definition, Directions, HostId, InterfaceId, Ports, Rule, Service,
};
use seqnic_image::names::Direction;
use std::net::IpAddr;

/// What the rule sets of a service say of a packet.
pub struct Decision {
    pub permit: bool,
    /// Where the packet goes instead.
    pub route: Option<HostId>,
    /// Rule set and rule its counter is called by.
    pub counted: (String, String),
}

/// The first packet of a service as it arrived.
pub struct Asked<'a> {
    pub frame: &'a [u8],
    pub l3: usize,
    pub ip: &'a Ip,
    pub direction: Direction,
    pub interface: InterfaceId,
}

/// `None` if the service asks nothing.
pub fn decide(definition: &Definition, service: &Service, packet: &Asked) -> Option<Decision> {
    if service.acl.is_empty() {
        return None;
    }
    for used in &service.acl {
        let here = |list: &Vec<InterfaceId>| list.contains(&packet.interface);
        if !used.interfaces.as_ref().is_none_or(here) {
            continue;
        }
        let acl = &definition.acls[used.acl];
        if let Some(rule) = acl.rules.iter().find(|rule| packet.meets(rule)) {
            return Some(Decision {
                permit: rule.permit,
                route: rule.route,
                counted: (acl.name.clone(), rule.name.clone()),
            });
        }
    }
    let sets: Vec<&str> = (service.acl.iter())
        .map(|used| definition.acls[used.acl].name.as_str())
        .collect();
    Some(Decision {
        permit: service.acl_default,
        route: None,
        counted: (sets.join("+"), DEFAULT_RULE.to_owned()),
    })
}

impl Asked<'_> {
    fn meets(&self, rule: &Rule) -> bool {
        let ip = self.ip;
        let (client, server, client_port, port) = match self.direction {
            Direction::Forward => (
                ip.source,
                ip.destination,
                ip.source_port,
                ip.destination_port,
            ),
            Direction::Return => (
                ip.destination,
                ip.source,
                ip.destination_port,
                ip.source_port,
            ),
        };
        let direction = match rule.direction {
            Directions::Both => true,
            Directions::Forward => self.direction == Direction::Forward,
            Directions::Return => self.direction == Direction::Return,
        };
        direction
            && (rule.client.is_empty() || rule.client.iter().any(|p| p.holds(client)))
            && (rule.server.is_empty() || rule.server.iter().any(|p| p.holds(server)))
            && (rule.protocol.number(client)).is_none_or(|p| p == ip.protocol)
            && self.port(&rule.client_port, client_port)
            && self.port(&rule.port, port)
            && rule.flags.is_none_or(|(value, mask)| {
                (self.flags()).is_some_and(|flags| flags & mask == value)
            })
            && (rule.size).is_none_or(|(least, most)| {
                (usize::from(least)..=usize::from(most)).contains(&self.length())
            })
    }

    fn port(&self, ports: &Ports, port: u16) -> bool {
        match ports {
            Ports::Any => true,
            Ports::Ranges(ranges) => {
                !self.ip.later_fragment && ranges.iter().any(|(a, b)| (*a..=*b).contains(&port))
            }
        }
    }

    /// Flags of TCP, which a later fragment does not have.
    fn flags(&self) -> Option<u8> {
        let tcp = self.ip.protocol == 6 && !self.ip.later_fragment;
        tcp.then(|| self.frame[self.ip.l4 + 13])
    }

    /// Bytes of the IP packet by its own header.
    fn length(&self) -> usize {
        let word = |at: usize| u16::from_be_bytes([self.frame[at], self.frame[at + 1]]);
        match self.ip.source {
            IpAddr::V4(_) => usize::from(word(self.l3 + 2)),
            IpAddr::V6(_) => 40 + usize::from(word(self.l3 + 4)),
        }
    }
}
