//! The verdict: `docs/semantics.md` section 3.

use super::{Arrival, Directed, Oracle, Refused};
use crate::acl::{self, Asked};
use crate::edit;
use crate::parse::{self, Ethernet, Ip};
use crate::rate::Rates;
use crate::tag::{Header, Off, Received};
use crate::walk::{self, Sender};
use seqnic_compiler::definition::Mac;
use seqnic_spec::reason::Reason;
use std::net::IpAddr;

impl Oracle {
    pub(super) fn arrival(&self, port: u8, ethernet: &Ethernet) -> Option<Arrival> {
        let arrived = (port, ethernet.vids);
        // A segment of a definition's own comes before one that a VLAN tag makes.
        let plain = match self.segments.contains_key(&arrived) {
            true => None,
            false => self.accepted.tagged.get(&arrived),
        };
        let segment = plain.copied().unwrap_or(arrived);
        let interface = *self.segments.get(&segment)?;
        Some(Arrival {
            interface,
            vlan_tag: plain.map(|_| ethernet.vids.into_iter().rfind(|v| *v != 0).unwrap_or(0)),
            // What stands for a MAC that is not known is nobody's.
            attachment: (self.senders.get(&(segment, ethernet.source)))
                .filter(|_| Mac(ethernet.source).is_known())
                .cloned(),
            sender: Sender {
                tracking: self.definition.interfaces[interface].tracking,
                segment,
                mac: ethernet.source,
                tag: None,
            },
        })
    }

    /// The reasons in the order of their codes, after those of the Ethernet header.
    pub(super) fn direct(
        &self,
        frame: &[u8],
        ethernet: &Ethernet,
        arrival: &Arrival,
        off: Result<Option<Off>, Reason>,
    ) -> Result<Directed<'_>, Refused> {
        let interface = &self.definition.interfaces[arrival.interface];
        let mine = ethernet.destination == interface.mac.0;
        if !ethernet.is_group() && !mine && !interface.promiscuous {
            return Err(Reason::NotMine.into());
        }
        if ethernet.ethertype == 0x0806 {
            return Err(Reason::Arp.into());
        }
        let off = off?;
        if off.is_some_and(|off| !self.accepted.at(arrival.interface, off.header)) {
            return Err(Reason::Encapsulation.into());
        }
        let ethernet = &off.map_or_else(|| ethernet.clone(), |off| off.behind(ethernet));
        let ip = match ethernet.ethertype {
            0x0800 => parse::ipv4(frame, ethernet.l3)?,
            0x86dd => parse::ipv6(frame, ethernet.l3)?,
            _ => return Err(Reason::NotIp.into()),
        };
        let found = self.looks.find(&ip);
        let scoped = self.looks.has(ip.destination) || self.looks.has(ip.source);
        let local = self.is_local(ip.destination);
        if is_neighbour_discovery(&ip) {
            return Err(Reason::NeighbourDiscovery.into());
        }
        if is_icmp_error(&ip) {
            return Err(Reason::IcmpError.into());
        }
        if is_dhcp(&ip) && (ethernet.is_group() || (found.is_none() && (local || !scoped))) {
            return Err(Reason::Dhcp.into());
        }
        if ethernet.is_group() {
            return Err(Reason::Multicast.into());
        }
        if ip.ttl == 0 {
            return Err(Reason::Ttl.into());
        }
        let Some(found) = found else {
            return Err(match (local, scoped, ip.later_fragment) {
                (true, _, _) => Reason::Local,
                (_, true, true) => Reason::Fragment,
                (_, true, false) => Reason::NoPort,
                _ => Reason::NoService,
            }
            .into());
        };
        let service = &self.definition.services[found.look.service];
        let dscp = u16::from(edit::traffic_class(frame, ethernet.l3) >> 2);
        let by_dscp = self.accepted.at(arrival.interface, Header::Dscp) && dscp & 3 == 3;
        let sender = Sender {
            tag: off
                .map(|off| off.tag)
                .or(arrival.vlan_tag.map(Received::Vlan))
                .or(by_dscp.then_some(Received::Dscp(dscp))),
            ..arrival.sender
        };
        let direction = found.direction;
        let refused = |reason, rule| Refused {
            reason,
            service: Some((service.name.clone(), direction)),
            rule,
        };
        let next = walk::next(&self.definition, service, found.look, direction, sender);
        let hop = next.ok_or_else(|| refused(Reason::WrongSender, None))?;
        let asked = Asked {
            frame,
            l3: ethernet.l3,
            ip: &ip,
            direction,
            interface: arrival.interface,
        };
        let decision = match hop.first {
            true => acl::decide(&self.definition, service, &asked),
            false => None,
        };
        let route = decision.as_ref().and_then(|d| d.route);
        let permit = decision.as_ref().is_none_or(|d| d.permit);
        let rule = decision.map(|d| d.counted);
        if !permit {
            return Err(refused(Reason::Denied, rule));
        }
        Ok(Directed {
            ethernet: ethernet.clone(),
            ip,
            found,
            hop,
            rule,
            route,
        })
    }

    /// What starts its way keeps the rate of its service.
    pub(super) fn police(
        &self,
        rates: &mut Rates,
        directed: &Directed,
        frame: &[u8],
        time: u64,
    ) -> Result<(), Refused> {
        let number = directed.found.look.service;
        let service = &self.definition.services[number];
        let Some(rate) = service.rate.filter(|_| directed.hop.first) else {
            return Ok(());
        };
        let length = parse::ip_length(frame, directed.ethernet.l3);
        match rates.service(number, rate, length, time) {
            true => Ok(()),
            false => Err(Refused {
                reason: Reason::Policed,
                service: Some((service.name.clone(), directed.found.direction)),
                rule: directed.rule.clone(),
            }),
        }
    }

    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        self.definition
            .interfaces
            .iter()
            .flat_map(|i| &i.addresses)
            .any(|(own, _)| *own == address)
    }
}

fn is_neighbour_discovery(ip: &Ip) -> bool {
    ip.destination.is_ipv6() && ip.protocol == 58 && matches!(ip.icmp_type, Some(133..=137))
}

fn is_icmp_error(ip: &Ip) -> bool {
    match (ip.destination, ip.protocol, ip.icmp_type) {
        (IpAddr::V4(_), 1, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (IpAddr::V6(_), 58, Some(kind)) => matches!(kind, 1..=4),
        _ => false,
    }
}

fn is_dhcp(ip: &Ip) -> bool {
    let ports = match ip.destination {
        IpAddr::V4(_) => [67, 68],
        IpAddr::V6(_) => [546, 547],
    };
    ip.protocol == 17
        && !ip.later_fragment
        && ports.contains(&ip.source_port)
        && ports.contains(&ip.destination_port)
}
