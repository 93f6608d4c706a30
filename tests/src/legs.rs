//! The flow tables of the figures as captures.
//!
//! `legs.json` in a case lists packets that arrive and what must come out for each. The captures
//! are built from it, whole packets with whole checksums, so no engine has a hand in what is
//! expected of it.

use crate::case::CaseError;
use crate::wrap::{Inner, Tag};
use etherparse::{EtherType, IpDscp, IpNumber, Ipv4Header, Ipv6Header, TcpHeader};
use seqnic_replay::Time;
use seqnic_replay::capture::Writer;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// A packet handed to the engine and everything that must come out for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// What it shows.
    pub words: String,
    pub r#in: Packet,
    /// Empty: the packet goes to the host as it came.
    pub out: Vec<Packet>,
    /// It goes to the host beside what comes out: a copy that is too big.
    #[serde(default)]
    pub host: bool,
    /// Bytes of TCP payload; otherwise another number in each leg.
    #[serde(default)]
    pub payload: Option<usize>,
}

/// Headers of a packet. What is not named is the same in every packet of a leg.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packet {
    pub interface: String,
    pub eth_src: String,
    pub eth_dst: String,
    #[serde(default)]
    pub vlan: Option<u16>,
    /// A VLAN tag in front of the other one.
    #[serde(default)]
    pub outer_vlan: Option<u16>,
    #[serde(default)]
    pub dscp: u8,
    /// What stands in front of the IP header.
    #[serde(default)]
    pub tag: Option<Tag>,
    pub ip_src: IpAddr,
    pub ip_dst: IpAddr,
    pub sport: u16,
    pub dport: u16,
    /// TCP reset.
    #[serde(default)]
    pub reset: bool,
}

/// Bytes of TCP payload, leg after leg: none, odd and even, past one and two bus words, an MTU.
const PAYLOADS: [usize; 9] = [0, 1, 5, 37, 100, 512, 1000, 1399, 1460];

/// 2026-01-01 00:00:00 UTC; legs are a millisecond apart.
const START: i128 = 1_767_225_600_000_000_000;

/// Captures by file name within the case folder.
type Captures = BTreeMap<String, Vec<(Time, Vec<u8>)>>;

/// Writes the captures of the case in `folder` from its `legs.json`.
pub fn build(folder: &Path) -> Result<(), CaseError> {
    for (name, packets) in captures(folder)? {
        let path = folder.join(&name);
        let bytes = pcap(&packets).map_err(|source| CaseError::File {
            path: path.clone(),
            source,
        })?;
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|source| CaseError::File { path, source })?;
    }
    Ok(())
}

/// Whether the captures in `folder` are those of its `legs.json`; the first that is not.
pub fn stale(folder: &Path) -> Result<Option<String>, CaseError> {
    for (name, packets) in captures(folder)? {
        let path = folder.join(&name);
        let expected = pcap(&packets);
        let (Ok(expected), Ok(found)) = (expected, fs::read(&path)) else {
            return Ok(Some(name));
        };
        if expected != found {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn pcap(packets: &[(Time, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new())?;
    for (time, frame) in packets {
        writer.write(*time, frame)?;
    }
    writer.finish()
}

fn captures(folder: &Path) -> Result<Captures, CaseError> {
    let path = folder.join("legs.json");
    let text = fs::read_to_string(&path).map_err(|source| CaseError::File {
        path: path.clone(),
        source,
    })?;
    let legs: Vec<Leg> =
        serde_json::from_str(&text).map_err(|source| CaseError::Json { path, source })?;
    let mut captures = Captures::new();
    for (n, leg) in legs.iter().enumerate() {
        let time = Time::from_nanoseconds(START + n as i128 * 1_000_000).unwrap_or_default();
        let length = leg.payload.unwrap_or(PAYLOADS[n % PAYLOADS.len()]);
        let payload: Vec<u8> = (0..length).map(|i| (i * 7 + n) as u8).collect();
        let mut put = |file: String, frame| captures.entry(file).or_default().push((time, frame));
        let arrived = frame(&leg.r#in, n, &payload);
        if leg.out.is_empty() || leg.host {
            put("out/host.pcap".to_string(), arrived.clone());
        }
        put(format!("in/{}.pcap", leg.r#in.interface), arrived);
        // Copies of one packet on one interface stand by their bytes, as a replay writes them.
        let mut left: Vec<(&str, Vec<u8>)> = leg
            .out
            .iter()
            .map(|p| (p.interface.as_str(), frame(p, n, &payload)))
            .collect();
        left.sort();
        for (interface, frame) in left {
            put(format!("out/{interface}.pcap"), frame);
        }
    }
    Ok(captures)
}

fn mac(text: &str) -> [u8; 6] {
    let mut bytes = text
        .split(':')
        .map(|b| u8::from_str_radix(b, 16).unwrap_or_default());
    std::array::from_fn(|_| bytes.next().unwrap_or_default())
}

/// The frame of a packet of leg `n`: TCP, as long as its payload makes it.
fn frame(packet: &Packet, n: usize, payload: &[u8]) -> Vec<u8> {
    let mut tcp = TcpHeader::new(packet.sport, packet.dport, 0x1000 + n as u32, 0x2000);
    tcp.acknowledgment_number = 0x0100_0000;
    tcp.ack = true;
    tcp.rst = packet.reset;
    let length = tcp.header_len() + payload.len();
    let (mut ethertype, mut bytes) = match (packet.ip_src, packet.ip_dst) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut ip = Ipv4Header {
                dscp: IpDscp::try_new(packet.dscp).unwrap_or_default(),
                total_len: (20 + length) as u16,
                identification: 0x4000 + n as u16,
                time_to_live: 61,
                protocol: IpNumber::TCP,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv4Header::default()
            };
            ip.header_checksum = ip.calc_header_checksum();
            let checksum = tcp.calc_checksum_ipv4(&ip, payload);
            tcp.checksum = checksum.unwrap_or_default();
            (EtherType::IPV4.0, ip.to_bytes().to_vec())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = Ipv6Header {
                traffic_class: packet.dscp << 2,
                payload_length: length as u16,
                next_header: IpNumber::TCP,
                hop_limit: 61,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            tcp.checksum = tcp.calc_checksum_ipv6(&ip, payload).unwrap_or_default();
            (EtherType::IPV6.0, ip.to_bytes().to_vec())
        }
        // A flow table with mixed families: the frame stays without IP, which no case expects.
        _ => (0, Vec::new()),
    };
    bytes.extend(tcp.to_bytes());
    bytes.extend(payload);
    let macs = [mac(&packet.eth_dst), mac(&packet.eth_src)];
    if let Some(tag) = &packet.tag {
        let inner = Inner {
            ethertype,
            macs,
            addresses: (packet.ip_src, packet.ip_dst),
            ports: (packet.sport, packet.dport),
            protocol: IpNumber::TCP.0,
            dscp: packet.dscp,
        };
        (ethertype, bytes) = tag.around(&inner, bytes);
    }
    let mut frame = macs.concat();
    if let Some(vlan) = packet.outer_vlan {
        frame.extend(EtherType::PROVIDER_BRIDGING.0.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    if let Some(vlan) = packet.vlan {
        frame.extend(EtherType::VLAN_TAGGED_FRAME.0.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(bytes);
    frame
}
