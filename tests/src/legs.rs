//! The flow tables of the figures as captures.
//!
//! `legs.json` in a case lists packets that arrive and what must come out for each. The captures
//! are built from it, whole packets with whole checksums, so no engine has a hand in what is
//! expected of it.

use crate::case::CaseError;
use crate::frame::{Payload, frame};
use crate::wrap::Tag;
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
    /// Nothing comes out for it, to the host neither: its rate, or that of its reason, has no room.
    #[serde(default)]
    pub dropped: bool,
    /// Bytes behind the transport header; otherwise another number in each leg.
    #[serde(default)]
    pub payload: Option<usize>,
    /// Microseconds since the leg before.
    #[serde(default = "apart")]
    pub after: u32,
    /// Of everything that comes out for it.
    #[serde(default)]
    pub priority: Option<u8>,
    /// Why it goes to the host.
    #[serde(default)]
    pub reason: Option<String>,
    /// Set and rule that decide, as `set/rule`.
    #[serde(default)]
    pub rule: Option<String>,
}

fn apart() -> u32 {
    1000
}

/// What stands behind the IP header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    #[default]
    Tcp,
    Udp,
    /// Echo request, with `sport` as identifier and `dport` as sequence number.
    Icmp,
}

/// Which part of a fragmented packet a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fragment {
    /// With the transport header.
    First,
    /// Payload alone.
    Later,
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
    /// TCP flags, each by its first letter (`s`: SYN alone), in place of ACK.
    #[serde(default)]
    pub flags: Option<String>,
    #[serde(default)]
    pub protocol: Transport,
    #[serde(default)]
    pub fragment: Option<Fragment>,
}

/// Bytes of payload, leg after leg: none, odd and even, past one and two bus words, an MTU.
const PAYLOADS: [usize; 9] = [0, 1, 5, 37, 100, 512, 1000, 1399, 1460];

/// 2026-01-01 00:00:00 UTC; legs are a millisecond apart, if they do not say otherwise.
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

/// The legs of the case in `folder`.
pub fn read(folder: &Path) -> Result<Vec<Leg>, CaseError> {
    let path = folder.join("legs.json");
    let text = fs::read_to_string(&path).map_err(|source| CaseError::File {
        path: path.clone(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| CaseError::Json { path, source })
}

/// The frame that arrives in leg `n`.
pub fn arrived(leg: &Leg, n: usize) -> Vec<u8> {
    frame(&leg.r#in, n, &payload(leg, n))
}

fn payload(leg: &Leg, n: usize) -> Payload {
    let length = leg.payload.unwrap_or(PAYLOADS[n % PAYLOADS.len()]);
    (0..length).map(|i| (i * 7 + n) as u8).collect()
}

fn captures(folder: &Path) -> Result<Captures, CaseError> {
    let mut captures = Captures::new();
    let mut at = START;
    for (n, leg) in read(folder)?.iter().enumerate() {
        if n > 0 {
            at += i128::from(leg.after) * 1000;
        }
        let time = Time::from_nanoseconds(at).unwrap_or_default();
        let payload = payload(leg, n);
        let mut put = |file: String, frame| captures.entry(file).or_default().push((time, frame));
        let arrived = arrived(leg, n);
        if (leg.out.is_empty() || leg.host) && !leg.dropped {
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
