//! Feeds [`crate::health`]: reads counters, sends probes, knows their answers, carries its orders out.

use crate::config::{Heartbeat, ProbeConfig};
use etherparse::PacketBuilder;
use seqnic_card::{FromHost, Snapshot, Way};
use seqnic_compiler::definition::{Attachments, Definition, Device, Place, Side};
use seqnic_spec::counters::{CounterSet, TIME_BUCKETS};
use seqnic_spec::wire;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::health::{Traffic, Watched};
use seqnic_compiler::definition::{Element, ReturnWay, State};
use seqnic_image::Names;

/// First source port of probes; the low bits say which probe.
pub const PROBE_PORTS: u16 = 0xE000;
const PROBE_MASK: u16 = 0x1FFF;
const UDP_HEADER: usize = 8;

/// Where a device is: each side's place.
fn places(device: &Device) -> Option<(&Place, &Place)> {
    match &device.attachments {
        Attachments::One(place) => Some((place, place)),
        Attachments::Two { outside, inside } => Some((outside, inside)),
        Attachments::Via(_) => None,
    }
}

/// What is watched of each device, and whether it is failed already.
pub fn watched(
    definition: &Definition,
    probes: &BTreeMap<String, ProbeConfig>,
) -> BTreeMap<String, (Watched, bool)> {
    let mut returning = vec![false; definition.devices.len()];
    for service in &definition.services {
        let back: &[Element] = match &service.return_way {
            ReturnWay::List(elements) => elements,
            _ => &[],
        };
        for element in service.sequence.iter().chain(back) {
            if let Element::Device { role, .. } = element {
                for device in std::iter::once(&role.device).chain(&role.alternates) {
                    returning[*device] = true;
                }
            }
        }
    }
    let devices = definition.devices.iter().zip(returning);
    devices
        .map(|(device, returns)| {
            let config = probes.get(&device.name);
            let watched = Watched {
                returns,
                probed: config.is_some_and(|c| {
                    places(device).is_some() && (c.tcp.is_some() || c.heartbeat.is_some())
                }),
                every: config
                    .and_then(|c| c.every_ms)
                    .map(std::time::Duration::from_millis),
                negative: config
                    .and_then(|c| c.heartbeat.as_ref())
                    .is_some_and(|h| h.blocked_port.is_some()),
            };
            (
                device.name.clone(),
                (watched, device.state == State::Failed),
            )
        })
        .collect()
}

/// Devices with a side behind a port.
pub fn behind(definition: &Definition, port: u8) -> Vec<String> {
    let here = |place: &Place| definition.interfaces[place.interface].port == port;
    let devices = definition.devices.iter();
    devices
        .filter(|d| places(d).is_some_and(|(outside, inside)| here(outside) || here(inside)))
        .map(|d| d.name.clone())
        .collect()
}

/// Packets to and from each device, its sides together.
pub fn traffic(
    snapshot: &Snapshot,
    names: &Names,
    definition: &Definition,
) -> BTreeMap<String, Traffic> {
    let mut by_name: BTreeMap<&str, Traffic> = BTreeMap::new();
    for (row, name) in names.attachments.iter().enumerate() {
        let traffic = by_name.entry(name).or_default();
        traffic.sent += snapshot.get(CounterSet::AttachmentOut, row as u32).packets;
        traffic.returned += snapshot.get(CounterSet::AttachmentIn, row as u32).packets;
        traffic.opened += snapshot.get(CounterSet::AttachmentSyn, row as u32).packets;
        traffic.answered += snapshot
            .get(CounterSet::AttachmentAnswer, row as u32)
            .packets;
        for bucket in 0..TIME_BUCKETS {
            let row = row as u32 * TIME_BUCKETS + bucket;
            let time = snapshot.get(CounterSet::AttachmentTime, row);
            traffic.times += time.packets;
            traffic.time_sum += time.bytes;
        }
    }
    let devices = definition.devices.iter();
    devices
        .map(|device| {
            let mut sum = Traffic::default();
            let sides = [Side::Outside, Side::Inside].map(|s| device.attachment_name(s));
            let two = sides[0] != sides[1];
            for name in sides.iter().take(1 + usize::from(two)) {
                if let Some(t) = by_name.get(name.as_str()) {
                    sum.sent += t.sent;
                    sum.returned += t.returned;
                    sum.opened += t.opened;
                    sum.answered += t.answered;
                    sum.times += t.times;
                    sum.time_sum += t.time_sum;
                }
            }
            (device.name.clone(), sum)
        })
        .collect()
}

/// What a probe sends.
pub fn probe(
    definition: &Definition,
    device: &str,
    config: &ProbeConfig,
    number: u64,
    negative: bool,
) -> Vec<FromHost> {
    let Some(device) = definition.devices.iter().find(|d| d.name == device) else {
        return Vec::new();
    };
    let Some((outside, inside)) = places(device) else {
        return Vec::new();
    };
    let port = PROBE_PORTS | number as u16 & PROBE_MASK;
    let mut frames = Vec::new();
    if let Some(tcp) = config.tcp {
        frames.extend(syn(definition, device, outside, port, tcp));
    }
    if let Some(heartbeat) = &config.heartbeat {
        let to = |destination| {
            heart(
                definition,
                outside,
                inside,
                heartbeat,
                port,
                destination,
                number,
            )
        };
        frames.extend(to(heartbeat.port));
        if negative {
            frames.extend(heartbeat.blocked_port.and_then(to));
        }
    }
    frames
}

fn out(definition: &Definition, place: &Place, frame: &[u8]) -> FromHost {
    FromHost {
        way: Way::Out,
        port: definition.interfaces[place.interface].port,
        frame: crate::linux::tagged(frame, &place.vlan.0),
    }
}

/// The first packet of a handshake, from the engine's address on the device's segment.
fn syn(
    definition: &Definition,
    device: &Device,
    place: &Place,
    sport: u16,
    dport: u16,
) -> Option<FromHost> {
    let interface = &definition.interfaces[place.interface];
    let (from, to) = (interface.addresses.iter()).find_map(|(own, _)| {
        let to = device.address_like(*own)?;
        Some((*own, to))
    })?;
    let ethernet = PacketBuilder::ethernet2(interface.mac.0, place.mac.0);
    // The sequence number says which probe it is, too.
    let sequence = u32::from(sport) << 8;
    let mut frame = Vec::new();
    let written = match (from, to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => ethernet
            .ipv4(a.octets(), b.octets(), 64)
            .tcp(sport, dport, sequence, 1024)
            .syn()
            .write(&mut frame, &[]),
        (IpAddr::V6(a), IpAddr::V6(b)) => ethernet
            .ipv6(a.octets(), b.octets(), 64)
            .tcp(sport, dport, sequence, 1024)
            .syn()
            .write(&mut frame, &[]),
        _ => return None,
    };
    written.ok()?;
    Some(out(definition, place, &frame))
}

/// What stands in a heartbeat, in front of the probe's number.
const MARK: [u8; 8] = *b"seqnic-h";

fn heart(
    definition: &Definition,
    outside: &Place,
    inside: &Place,
    config: &Heartbeat,
    sport: u16,
    dport: u16,
    number: u64,
) -> Option<FromHost> {
    let from = definition.interfaces[outside.interface].mac;
    let to = match config.routed {
        true => outside.mac,
        false => definition.interfaces[inside.interface].mac,
    };
    let ethernet = PacketBuilder::ethernet2(from.0, to.0);
    let mut payload = MARK.to_vec();
    payload.extend(number.to_be_bytes());
    let mut frame = Vec::new();
    let written = match (config.from, config.to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => ethernet
            .ipv4(a.octets(), b.octets(), 64)
            .udp(sport, dport)
            .write(&mut frame, &payload),
        (IpAddr::V6(a), IpAddr::V6(b)) => ethernet
            .ipv6(a.octets(), b.octets(), 64)
            .udp(sport, dport)
            .write(&mut frame, &payload),
        _ => return None,
    };
    written.ok()?;
    Some(out(definition, outside, &frame))
}

/// An answer to a probe, or a heartbeat that came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// SYN and ACK, or RST, to this source port of a probe; the frame to answer it with ends the handshake.
    Handshake { port: u16 },
    /// To this port, of the probe with this number.
    Heartbeat { dport: u16, number: u64 },
}

/// Whether a packet that came to the host is of a probe. `l3` and `l4` are where its headers start.
pub fn seen(frame: &[u8], h: &seqnic_model::parse::Headers) -> Option<Seen> {
    let l4 = frame.get(usize::from(h.l4)..)?;
    match h.protocol {
        wire::PROTO_TCP if h.dport & !PROBE_MASK == PROBE_PORTS => {
            let flags = *l4.get(13)?;
            let answer = flags & 0x12 == 0x12 || flags & 0x04 != 0;
            answer.then_some(Seen::Handshake { port: h.dport })
        }
        wire::PROTO_UDP if h.sport & !PROBE_MASK == PROBE_PORTS => {
            let payload = l4.get(UDP_HEADER..UDP_HEADER + 16)?;
            let number: [u8; 8] = payload[8..].try_into().ok()?;
            (payload[..8] == MARK).then_some(Seen::Heartbeat {
                dport: h.dport,
                number: u64::from_be_bytes(number),
            })
        }
        _ => None,
    }
}
