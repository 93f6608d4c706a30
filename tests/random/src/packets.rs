//! Random packets for a definition: what its devices and clients would send, and near misses.

use crate::frame::Parts;
use crate::mangle::{foreign, mangle};
use crate::rng::Random;
use crate::wrap::Wrap;
use seqnic_compiler::definition::{
    Attachments, Definition, Device, DeviceId, Element, KeyedBy, MdType, Party, Place, Ports,
    ReturnWay, Role, Service, Tag, Tracking,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TAGS: [Tag; 9] = [
    Tag::Dscp,
    Tag::Vlan,
    Tag::Mpls,
    Tag::Nsh(MdType::One),
    Tag::Nsh(MdType::Two),
    Tag::Vxlan,
    Tag::Gpe(MdType::One),
    Tag::Gpe(MdType::Two),
    Tag::Gre,
];

/// A frame for a port of the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub port: u8,
    pub bytes: Vec<u8>,
}

/// `count` frames for `seed`. The same seed and definition give the same frames.
pub fn packets(definition: &Definition, seed: u64, count: usize) -> Vec<Frame> {
    let mut r = Random::new(seed ^ 0x9e37_79b9_7f4a_7c15);
    let cast = Cast::of(definition);
    (0..count).map(|_| cast.frame(&mut r)).collect()
}

/// A device of a sequence and the look of packets around it.
struct Stop<'a> {
    role: &'a Role,
    /// Stages of packets before and behind it on the forward way.
    before: usize,
    behind: usize,
    /// Its own port, instead of the stage's first.
    port: Option<u16>,
}

/// Address (one of each family) and ports of a stage.
struct Stage {
    addresses: Vec<IpAddr>,
    ports: Ports,
}

struct Script<'a> {
    service: &'a Service,
    stages: Vec<Stage>,
    stops: Vec<Stop<'a>>,
    /// Everyone the service names.
    places: Vec<&'a Place>,
    marks: Vec<Mark<'a>>,
}

/// An element as tags know it: its number, and the tag it asks for itself.
struct Mark<'a> {
    role: &'a Role,
    number: u32,
    own: Option<Tag>,
    is_end: bool,
}

/// Everyone in a definition.
struct Cast<'a> {
    definition: &'a Definition,
    scripts: Vec<Script<'a>>,
    places: Vec<&'a Place>,
    addresses: Vec<IpAddr>,
}

fn places<'a>(definition: &'a Definition, device: &'a Device) -> Vec<&'a Place> {
    match &device.attachments {
        Attachments::One(place) => vec![place],
        Attachments::Two { outside, inside } => vec![outside, inside],
        Attachments::Via(host) => vec![&definition.hosts[*host].place],
    }
}

fn ids(role: &Role) -> impl Iterator<Item = DeviceId> {
    std::iter::once(role.device).chain(role.alternates.iter().copied())
}

impl<'a> Script<'a> {
    fn of(definition: &'a Definition, service: &'a Service) -> Script<'a> {
        let mut stages = vec![Stage {
            addresses: service.addresses.clone(),
            ports: service.ports.clone(),
        }];
        let mut stops = Vec::new();
        let list = match &service.return_way {
            ReturnWay::List(list) => list.as_slice(),
            _ => &[],
        };
        let mut named = Vec::new();
        let elements = service.sequence.iter().chain(list).enumerate();
        let marks = elements.map(|(at, element)| {
            let (Element::Device { role, tracking, .. } | Element::Copy { role, tracking, .. }) =
                element;
            Mark {
                role,
                number: at as u32 + 1,
                own: *tracking,
                is_end: service.keyed_by == KeyedBy::Destination
                    && at + 1 == service.sequence.len(),
            }
        });
        let marks = marks.collect();
        for element in service.sequence.iter().chain(list) {
            match element {
                Element::Copy { role, .. } => named.extend(ids(role)),
                Element::Device {
                    role, port, then, ..
                } => {
                    named.extend(ids(role));
                    let before = stages.len() - 1;
                    if let Some(then) = then {
                        let last = &stages[before];
                        let mut addresses = then.addresses.clone();
                        for old in &last.addresses {
                            if !addresses.iter().any(|a| a.is_ipv4() == old.is_ipv4()) {
                                addresses.push(*old);
                            }
                        }
                        let ports = then.ports.clone().unwrap_or(last.ports.clone());
                        stages.push(Stage { addresses, ports });
                    }
                    stops.push(Stop {
                        role,
                        before,
                        behind: stages.len() - 1,
                        port: *port,
                    });
                }
            }
        }
        let mut all: Vec<&Place> = named
            .iter()
            .flat_map(|id| places(definition, &definition.devices[*id]))
            .collect();
        for party in service.from.iter().flatten() {
            match party {
                Party::Host(host) => all.push(&definition.hosts[*host].place),
                Party::Device(id) => all.extend(places(definition, &definition.devices[*id])),
            }
        }
        Script {
            service,
            stages,
            stops,
            places: all,
            marks,
        }
    }
}

impl<'a> Cast<'a> {
    fn of(definition: &'a Definition) -> Cast<'a> {
        let hosts = definition.hosts.iter();
        let mut all: Vec<&Place> = hosts.clone().map(|h| &h.place).collect();
        let mut addresses: Vec<IpAddr> = hosts.flat_map(|h| h.addresses.clone()).collect();
        for device in &definition.devices {
            all.extend(places(definition, device));
            addresses.extend(&device.addresses);
        }
        for interface in &definition.interfaces {
            addresses.extend(interface.addresses.iter().map(|(a, _)| *a));
        }
        for service in &definition.services {
            addresses.extend(&service.addresses);
        }
        Cast {
            definition,
            scripts: definition
                .services
                .iter()
                .map(|s| Script::of(definition, s))
                .collect(),
            places: all,
            addresses,
        }
    }

    fn frame(&self, r: &mut Random) -> Frame {
        let (parts, port) = self.parts(r);
        let mut bytes = match r.chance(5) {
            true => foreign(r, parts.destination_mac, parts.source_mac, &parts.tags),
            false => parts.frame(),
        };
        if r.chance(12) {
            mangle(r, &mut bytes);
        }
        if parts.wrap.is_some() && r.chance(15) {
            // In the header in front of the packet, or near it.
            let last = (bytes.len() - 1).min(110);
            let at = r.number(12..=last.max(12)).min(bytes.len() - 1);
            bytes[at] = r.u8();
        }
        bytes.truncate(9216);
        Frame { port, bytes }
    }

    fn parts(&self, r: &mut Random) -> (Parts, u8) {
        let mut parts = blank(r);
        let script = r.pick(&self.scripts);
        let mut place = self.aim(r, script, &mut parts);
        if r.chance(4) {
            place = r.pick(&self.places).copied();
        }
        let mut port = self.arrive(r, place, &mut parts);
        if let (Some(script), Some(place)) = (script, place) {
            self.tag(r, script, place, &mut parts);
        }
        if r.chance(1) {
            port = r.number(0..=7) as u8;
        }
        self.variety(r, &mut parts);
        (parts, port)
    }

    /// A packet of a service, and who sends it.
    fn aim(
        &self,
        r: &mut Random,
        script: Option<&Script<'a>>,
        parts: &mut Parts,
    ) -> Option<&'a Place> {
        let Some(script) = script else {
            return r.pick(&self.places).copied();
        };
        let forward = r.chance(50);
        // Mostly a device of the sequence with the look of what it would send; else an entry or
        // any look from anyone.
        let stop = (r.chance(65)).then(|| r.pick(&script.stops)).flatten();
        let (mut stage, mut own_port, mut place) = match stop {
            Some(stop) => {
                let all: Vec<DeviceId> = ids(stop.role).collect();
                let device = r.pick(&all).map(|id| &self.definition.devices[*id]);
                let own = device
                    .map(|d| places(self.definition, d))
                    .unwrap_or_default();
                let changed = stop.before != stop.behind;
                match forward {
                    true => {
                        let port = stop.port.filter(|_| !changed);
                        (stop.behind, port, r.pick(&own).copied())
                    }
                    false => (stop.before, stop.port, r.pick(&own).copied()),
                }
            }
            None => {
                let stage = match (forward, script.service.keyed_by) {
                    (false, KeyedBy::Client) => script.stages.len() - 1,
                    _ => 0,
                };
                let from = match r.chance(50) {
                    true => r.pick(&script.places).copied(),
                    false => self.definition.hosts.first().map(|h| &h.place),
                };
                (stage, None, from)
            }
        };
        if r.chance(8) {
            stage = r.number(0..=script.stages.len() - 1);
            own_port = None;
            place = r.pick(&script.places).copied();
        }
        let stage = &script.stages[stage];
        let service_port = service_port(r, &stage.ports, own_port);
        let service = r.pick(&stage.addresses).copied();
        let service = service.unwrap_or(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)));
        let v4 = service.is_ipv4();
        let mut answer = service;
        // A NAT mode server answers from its own address.
        if let Some(stop) = stop
            && !forward
            && r.chance(60)
        {
            let all: Vec<DeviceId> = ids(stop.role).collect();
            let own = r
                .pick(&all)
                .and_then(|id| self.definition.devices[*id].address_like(service));
            answer = own.unwrap_or(service);
        }
        let remote = self.remote(r, v4);
        parts.protocol = match script.service.protocol.number(service) {
            Some(number) => number,
            None => r.weighted(&[(3, 6), (2, 17), (1, 1), (1, 47), (1, 58), (1, 132)]),
        };
        if r.chance(3) {
            parts.protocol = r.weighted(&[(1, 6), (1, 17), (1, 132), (1, 1), (1, 58), (1, 89)]);
        }
        let client_port = r.port(1024..=65535);
        let by_client = script.service.keyed_by == KeyedBy::Client;
        // The key stands as destination of what goes to it.
        (parts.source, parts.destination) = match forward != by_client {
            true => (remote, answer),
            false => (answer, remote),
        };
        if forward && by_client {
            parts.source = service;
        }
        (parts.source_port, parts.destination_port) = match forward {
            true => (client_port, service_port),
            false => (service_port, client_port),
        };
        if forward && !by_client {
            parts.destination = service;
        }
        place
    }

    /// The tag a device's packets come back with, or another one.
    fn tag(&self, r: &mut Random, script: &Script, place: &Place, parts: &mut Parts) {
        let is_here = |id: DeviceId| {
            let device = &self.definition.devices[id];
            places(self.definition, device)
                .iter()
                .any(|p| std::ptr::eq(*p, place))
        };
        let marks: Vec<&Mark> = script.marks.iter().collect();
        let here = marks.iter().filter(|m| ids(m.role).any(is_here)).copied();
        let here: Vec<&Mark> = here.collect();
        let Some(mark) = r.pick(&here) else { return };
        let Some(id) = ids(mark.role).find(|id| is_here(*id)) else {
            return;
        };
        let device = &self.definition.devices[id];
        // Where it was sent to: the other side, if it has two.
        let all = places(self.definition, device);
        let other = all
            .iter()
            .find(|p| !std::ptr::eq(**p, place) && !mark.is_end);
        let entered = other.copied().unwrap_or(place);
        let interface = &self.definition.interfaces[entered.interface];
        let usual = mark.own.or(match interface.tracking {
            Tracking::Tag(tag) => Some(tag),
            _ => None,
        });
        let tag = match r.number(0..=99) {
            0..=9 => None,
            10..=14 => r.pick(&TAGS).copied(),
            _ => usual,
        };
        let Some(tag) = tag else { return };
        let number = match r.number(0..=99) {
            0..=5 => r.pick(&marks).map_or(1, |m| m.number),
            6..=8 => r.number(0..=255) as u32,
            _ => mark.number,
        };
        let bases = &interface.tag_bases;
        let number = match tag {
            Tag::Dscp => {
                parts.tos = parts.tos & 3 | (number << 4 | 12) as u8;
                return;
            }
            Tag::Vlan => {
                let vid = bases.vlan + number as u16;
                parts.tags.push((0x8100, r.u16() & 0xf000 | vid & 0xfff));
                return;
            }
            Tag::Mpls => u32::from(bases.mpls) + number,
            Tag::Vxlan => u32::from(bases.vni) + number,
            Tag::Gre => u32::from(bases.gre) + number,
            Tag::Nsh(_) | Tag::Gpe(_) => 255 - number.min(255),
        };
        let tunnels = &self.definition.interfaces[place.interface].tunnels;
        let own = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
        let mut to = r.pick(tunnels).copied().unwrap_or(own);
        if r.chance(3) {
            to = r.pick(&self.addresses).copied().unwrap_or(to);
        }
        let from = match to {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 8, 0, 1)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 8, 0, 0, 0, 0, 1)),
        };
        parts.wrap = Some(Wrap {
            tag,
            number: if r.chance(2) { r.u16().into() } else { number },
            other: r.u16().into(),
            ends: (from, to),
            ethernet: r.chance(20),
            context: r.weighted(&[(70, 0), (20, 2), (5, 12), (5, 27)]),
        });
    }

    fn remote(&self, r: &mut Random, v4: bool) -> IpAddr {
        let known: Vec<IpAddr> = self
            .addresses
            .iter()
            .copied()
            .filter(|a| a.is_ipv4() == v4)
            .collect();
        let random = match v4 {
            true => IpAddr::V4(Ipv4Addr::new(198, 51, 100, r.u8())),
            false => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 99, 0, 0, 0, 0, r.u16())),
        };
        match r.chance(20) {
            true => r.pick(&known).copied().unwrap_or(random),
            false => random,
        }
    }

    /// Ethernet header of what arrives from a place; the card's port.
    fn arrive(&self, r: &mut Random, place: Option<&Place>, parts: &mut Parts) -> u8 {
        let Some(place) = place else { return 0 };
        let interface = &self.definition.interfaces[place.interface];
        parts.source_mac = place.mac.0;
        parts.destination_mac = interface.mac.0;
        let mut vids = place.vlan.0.clone();
        if vids.is_empty() && r.chance(4) {
            // A priority tag.
            vids.push(0);
        }
        let outer = vids.len() == 2;
        parts.tags = vids
            .iter()
            .enumerate()
            .map(|(i, vid)| {
                let usual = if outer && i == 0 { 0x88a8 } else { 0x8100 };
                let tpid = r.weighted(&[(90, usual), (5, 0x9100), (5, 0x88a8)]);
                let bits = if r.chance(20) { r.u16() & 0xf000 } else { 0 };
                (tpid, bits | vid)
            })
            .collect();
        match r.number(0..=99) {
            0..=2 => parts.source_mac[5] ^= 1 << r.number(0..=7),
            3..=4 => parts.destination_mac[5] ^= 0x80,
            5..=6 => parts.destination_mac = [0xff; 6],
            7 => parts.destination_mac[0] |= 1,
            8 => parts.tags.push((0x8100, r.port(0..=9))),
            9 => {
                parts.tags.pop();
            }
            _ => {}
        }
        interface.port
    }

    /// Everything about a packet that is not who and where.
    fn variety(&self, r: &mut Random, parts: &mut Parts) {
        let size = r.weighted(&[(60, 40), (30, 200), (8, 1500), (2, 9100)]);
        let size = r.number(0..=size);
        parts.payload = r.bytes(size);
        if r.chance(5) {
            // Every 16-bit word at an edge of ones' complement arithmetic.
            let byte = if r.chance(50) { 0x00 } else { 0xff };
            parts.payload.fill(byte);
        }
        if r.chance(10) {
            parts.options = r.bytes(4 * r.clone().number(1..=10));
        }
        if r.chance(12) {
            for _ in 0..r.number(1..=5) {
                let extension = extension(r);
                parts.extensions.push(extension);
            }
        }
        if r.chance(8) {
            let offset = if r.chance(60) { r.port(1..=8191) } else { 0 };
            parts.fragment = Some((offset, r.chance(70)));
        }
        if r.chance(2) {
            parts.ttl = 0;
        }
        if r.chance(3) {
            self.dhcp(r, parts);
        }
        if matches!(parts.protocol, 1 | 58) && r.chance(50) {
            parts.icmp_type = r.weighted(&[
                (1, 0),
                (1, 1),
                (1, 2),
                (2, 3),
                (1, 4),
                (1, 5),
                (1, 11),
                (1, 12),
                (1, 13),
                (1, 132),
                (1, 133),
                (1, 135),
                (1, 137),
                (1, 138),
                (1, 255),
            ]);
        }
        parts.trailer = if r.chance(15) { r.number(1..=30) } else { 0 };
    }

    fn dhcp(&self, r: &mut Random, parts: &mut Parts) {
        let ports = match parts.destination.is_ipv4() {
            true => [67, 68],
            false => [546, 547],
        };
        parts.protocol = 17;
        parts.source_port = r.pick(&ports).copied().unwrap_or(67);
        parts.destination_port = r.pick(&ports).copied().unwrap_or(68);
        match r.number(0..=3) {
            0 => parts.destination_mac = [0xff; 6],
            1 => {
                let v4 = parts.destination.is_ipv4();
                parts.destination = self.remote(r, v4);
            }
            _ => {}
        }
    }
}

/// A packet of nobody.
fn blank(r: &mut Random) -> Parts {
    Parts {
        destination_mac: [2, 0, 0, 0, 0, 1],
        source_mac: [2, 0, 0, 0, 0, 2],
        tags: Vec::new(),
        source: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        destination: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        protocol: 6,
        source_port: r.u16(),
        destination_port: r.u16(),
        icmp_type: 8,
        tcp_flags: r.weighted(&[
            (5, 0x10),
            (2, 0x02),
            (1, 0x04),
            (2, 0x12),
            (1, 0x11),
            (1, 0x18),
        ]),
        ttl: r.port(1..=255) as u8,
        tos: if r.chance(30) { r.u8() } else { 0 },
        options: Vec::new(),
        extensions: Vec::new(),
        fragment: None,
        payload: Vec::new(),
        wrap: None,
        trailer: 0,
    }
}

/// An IPv6 extension header with sound lengths, its first byte still to be set.
fn extension(r: &mut Random) -> (u8, Vec<u8>) {
    let kind = r.weighted(&[
        (3, 0),
        (2, 43),
        (3, 60),
        (1, 135),
        (1, 139),
        (1, 140),
        (2, 51),
        (1, 44),
    ]);
    let units = r.weighted(&[(70, 0_u8), (20, 1), (10, 3)]);
    let (length, bytes) = match kind {
        44 => (0, 8),
        // RFC 4302: units of 4 bytes, less 2; a multiple of 8 bytes in IPv6.
        51 => (units * 2 + 2, usize::from(units) * 8 + 16),
        _ => (units, usize::from(units) * 8 + 8),
    };
    let mut header = vec![0; bytes];
    header[1] = length;
    (kind, header)
}

/// A port of the stage as the sender has it, now and then one beside them.
fn service_port(r: &mut Random, ports: &Ports, own: Option<u16>) -> u16 {
    let Ports::Ranges(ranges) = ports else {
        return r.u16();
    };
    let first = ranges.first().map_or(0, |(first, _)| *first);
    let shift = own.map_or(0, |own| own.wrapping_sub(first));
    let Some((low, high)) = r.pick(ranges).copied() else {
        return r.u16();
    };
    let port = match r.number(0..=19) {
        0 => low.wrapping_sub(1),
        1 => high.wrapping_add(1),
        2..=6 => low,
        7..=10 => high,
        _ => r.port(low..=high),
    };
    if r.chance(5) {
        return port;
    }
    port.wrapping_add(shift)
}
