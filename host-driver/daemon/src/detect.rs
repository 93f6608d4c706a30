//! How a server takes packets for a service address: found out by connections it is offered.
//!
//! Three questions, through the port it is on: a SYN to the service address, sent to the server's MAC; a SYN to its own
//! address; and ARP (neighbour solicitation in IPv6) for the service address. Who answers the first takes packets for it
//! without translation: in alias mode if it answers the third, else in loopback mode. Who answers the second only is
//! reached by NAT. A refusal (RST) is an answer: the address is taken, the port is not open.

use etherparse::{EtherType, PacketBuilder};
use seqnic_card::{FromHost, Way};
use seqnic_compiler::definition::{Definition, Interface, Place};
use seqnic_model::parse::Headers;
use seqnic_spec::wire;
use std::net::{IpAddr, Ipv6Addr};

/// Source ports of the two SYNs.
const SERVICE_PORT: u16 = 0xDFF0;
const OWN_PORT: u16 = 0xDFF1;

/// What was asked of a server, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    pub mac: [u8; 6],
    /// The engine's address the questions come from.
    pub from: IpAddr,
    pub address: IpAddr,
    pub own: Option<IpAddr>,
    pub port: u16,
    /// A SYN to the service address, to its own address, and who has the service address.
    pub answers: [Option<&'static str>; 3],
}

impl Detection {
    /// Takes a packet that came to the host; whether it is an answer.
    pub fn take(&mut self, frame: &[u8], h: &Headers) -> bool {
        if frame.get(6..12) != Some(&self.mac[..]) {
            return false;
        }
        let which = match (h.ethertype, self.address) {
            (wire::ETHERTYPE_ARP, IpAddr::V4(address)) => {
                let at = 14 + 4 * usize::from(h.tags);
                let (operation, sender) = (frame.get(at + 6..at + 8), frame.get(at + 14..at + 18));
                let reply = operation == Some(&[0, 2]) && sender == Some(&address.octets());
                reply.then_some((2, "answers ARP for it"))
            }
            (_, IpAddr::V6(address)) if h.protocol == wire::PROTO_ICMPV6 && h.icmp_type == 136 => {
                let target = frame.get(usize::from(h.l4) + 8..usize::from(h.l4) + 24);
                (target == Some(&address.octets()))
                    .then_some((2, "answers neighbour solicitations for it"))
            }
            _ if h.is_ip() && h.protocol == wire::PROTO_TCP && h.sport == self.port => {
                let flags = frame.get(usize::from(h.l4) + 13).copied().unwrap_or(0);
                let what = match (flags & 0x12 == 0x12, flags & 0x04 != 0) {
                    (true, _) => "takes the connection",
                    (_, true) => "refuses it: the port is closed",
                    _ => return false,
                };
                match h.dport {
                    SERVICE_PORT => Some((0, what)),
                    OWN_PORT => Some((1, what)),
                    _ => None,
                }
            }
            _ => None,
        };
        let Some((at, what)) = which else {
            return false;
        };
        self.answers[at] = Some(what);
        true
    }

    /// The mode, if the answers say one.
    pub fn mode(&self) -> Option<&'static str> {
        match self.answers.map(|a| a.is_some()) {
            [true, _, true] => Some("alias"),
            [true, _, false] => Some("loopback"),
            [false, true, _] => Some("nat"),
            [false, false, _] => None,
        }
    }

    /// The questions, as frames of the place the server is at.
    pub fn questions(&self, definition: &Definition, place: &Place) -> Vec<FromHost> {
        let interface = &definition.interfaces[place.interface];
        let to_service = self.syn(interface, self.address, SERVICE_PORT);
        let to_own = self.own.and_then(|own| self.syn(interface, own, OWN_PORT));
        let frames = [to_service, to_own, self.who_has(interface)];
        let out = |frame: Vec<u8>| FromHost {
            way: Way::Out,
            port: interface.port,
            frame: crate::linux::tagged(&frame, &place.vlan.0),
        };
        frames.into_iter().flatten().map(out).collect()
    }

    fn syn(&self, interface: &Interface, to: IpAddr, sport: u16) -> Option<Vec<u8>> {
        let ethernet = PacketBuilder::ethernet2(interface.mac.0, self.mac);
        let sequence = u32::from(sport) << 8;
        let mut frame = Vec::new();
        let written = match (self.from, to) {
            (IpAddr::V4(a), IpAddr::V4(b)) => ethernet
                .ipv4(a.octets(), b.octets(), 64)
                .tcp(sport, self.port, sequence, 1024)
                .syn()
                .write(&mut frame, &[]),
            (IpAddr::V6(a), IpAddr::V6(b)) => ethernet
                .ipv6(a.octets(), b.octets(), 64)
                .tcp(sport, self.port, sequence, 1024)
                .syn()
                .write(&mut frame, &[]),
            _ => return None,
        };
        written.ok().map(|()| frame)
    }

    /// ARP request (RFC 826) or neighbour solicitation (RFC 4861 section 4.3) for the service address.
    fn who_has(&self, interface: &Interface) -> Option<Vec<u8>> {
        let own = interface.mac.0;
        match (self.from, self.address) {
            (IpAddr::V4(from), IpAddr::V4(address)) => {
                let mut frame = vec![0xff; 6];
                frame.extend(own);
                frame.extend(EtherType::ARP.0.to_be_bytes());
                frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
                frame.extend(own);
                frame.extend(from.octets());
                frame.extend([0; 6]);
                frame.extend(address.octets());
                Some(frame)
            }
            (IpAddr::V6(from), IpAddr::V6(address)) => {
                let target = address.octets();
                let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
                group[13..].copy_from_slice(&target[13..]);
                let mut to = [0x33, 0x33, 0, 0, 0, 0];
                to[2..].copy_from_slice(&group[12..]);
                let mut body = vec![0; 4];
                body.extend(target);
                // Source link-layer address.
                body.extend([1, 1]);
                body.extend(own);
                let kind = etherparse::Icmpv6Type::Unknown {
                    type_u8: 135,
                    code_u8: 0,
                    bytes5to8: [0; 4],
                };
                let mut frame = Vec::new();
                let packet = PacketBuilder::ethernet2(own, to).ipv6(from.octets(), group, 255);
                packet.icmpv6(kind).write(&mut frame, &body[4..]).ok()?;
                Some(frame)
            }
            _ => None,
        }
    }
}

/// What is to be asked of a device: `Err` says why it cannot be.
///
/// # Errors
/// In words: no such device, not attached, no address to ask from, or a service has the address.
pub fn plan(
    definition: &Definition,
    device: &str,
    address: IpAddr,
    port: u16,
) -> Result<(Detection, Place), String> {
    let found = definition.devices.iter().find(|d| d.name == device);
    let device = found.ok_or_else(|| format!("the definition has no device `{device}`"))?;
    let place = match &device.attachments {
        seqnic_compiler::definition::Attachments::One(place) => place,
        _ => {
            return Err(format!(
                "`{}` is no server with one attachment",
                device.name
            ));
        }
    };
    if !place.mac.is_known() {
        return Err(format!("the MAC of `{}` is not learned yet", device.name));
    }
    let own = device.address_like(address);
    for service in &definition.services {
        let taken = |a: &IpAddr| *a == address || Some(*a) == own;
        if service.addresses.iter().any(taken) {
            return Err(format!(
                "service `{}` has that address: answers from it would take the service's way. Ask with an address the server has and no service",
                service.name
            ));
        }
    }
    let interface = &definition.interfaces[place.interface];
    let from = interface.addresses.iter().map(|(a, _)| *a);
    let mut from = from.filter(|a| a.is_ipv4() == address.is_ipv4());
    let from = from.next().ok_or_else(|| {
        format!(
            "interface `{}` has no address of that family to ask from",
            interface.name
        )
    })?;
    let detection = Detection {
        mac: place.mac.0,
        from,
        address,
        own,
        port,
        answers: [None; 3],
    };
    Ok((detection, place.clone()))
}
