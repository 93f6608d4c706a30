//! From frame to headers: `docs/semantics.md` section 1, rule by rule.

use seqnic_spec::reason::Reason;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a frame the engine sees before it decides.
const WINDOW: usize = 192;

/// Where the engine's view of a packet whose IP header starts at `l3` ends.
fn view(l3: usize) -> usize {
    WINDOW.min(l3 + 114)
}

/// What the Ethernet header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ethernet {
    pub destination: [u8; 6],
    pub source: [u8; 6],
    /// VLAN IDs of the tags taken off, outermost first; 0 where there is none.
    pub vids: [u16; 2],
    /// EtherType behind the tags.
    pub ethertype: u16,
    /// Where the header behind the tags starts.
    pub l3: usize,
}

impl Ethernet {
    pub fn is_group(&self) -> bool {
        self.destination[0] & 1 == 1
    }
}

/// What the IP and transport headers say, of a packet whose headers are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// A fragment whose offset is not 0: it has no transport header.
    pub later_fragment: bool,
    /// Where the transport header starts; means nothing for a later fragment.
    pub l4: usize,
    /// Ports of TCP, UDP and SCTP, else 0.
    pub source_port: u16,
    pub destination_port: u16,
    /// ICMP type, of protocols 1 and 58.
    pub icmp_type: Option<u8>,
}

fn word(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn mac(frame: &[u8], at: usize) -> [u8; 6] {
    std::array::from_fn(|i| frame[at + i])
}

/// Bytes of the IP packet at `l3`, by its own header.
pub fn ip_length(frame: &[u8], l3: usize) -> usize {
    match frame[l3] >> 4 {
        4 => word(frame, l3 + 2).into(),
        _ => 40 + usize::from(word(frame, l3 + 4)),
    }
}

/// Rule 1.
pub fn ethernet(frame: &[u8]) -> Result<Ethernet, Reason> {
    let mut tags = 0;
    let mut vids = [0; 2];
    loop {
        let l3 = 14 + 4 * tags;
        if frame.len() < l3 {
            return Err(Reason::Runt);
        }
        let ethertype = word(frame, l3 - 2);
        if !matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
            return Ok(Ethernet {
                destination: mac(frame, 0),
                source: mac(frame, 6),
                vids,
                ethertype,
                l3,
            });
        }
        if tags == 2 {
            return Err(Reason::VlanDepth);
        }
        // The tag control information follows the TPID; the frame may end before it.
        if frame.len() < l3 + 4 {
            return Err(Reason::Runt);
        }
        vids[tags] = word(frame, l3) & 0x0fff;
        tags += 1;
    }
}

/// Rules 2 and 4 for IPv4.
pub fn ipv4(frame: &[u8], l3: usize) -> Result<Ip, Reason> {
    let len = frame.len();
    if len < l3 + 20 || frame[l3] >> 4 != 4 {
        return Err(Reason::Ipv4Header);
    }
    let header = usize::from(frame[l3] & 15) * 4;
    let total = usize::from(word(frame, l3 + 2));
    if header < 20 || l3 + header > len || total < header || (len <= WINDOW && l3 + total > len) {
        return Err(Reason::Ipv4Header);
    }
    let sum: u32 = (0..header)
        .step_by(2)
        .map(|i| u32::from(word(frame, l3 + i)))
        .sum();
    if crate::edit::fold(sum) != 0xffff {
        return Err(Reason::Ipv4Checksum);
    }
    let address = |at: usize| {
        let bytes: [u8; 4] = std::array::from_fn(|i| frame[at + i]);
        IpAddr::V4(Ipv4Addr::from(bytes))
    };
    let ip = Ip {
        source: address(l3 + 12),
        destination: address(l3 + 16),
        protocol: frame[l3 + 9],
        ttl: frame[l3 + 8],
        later_fragment: word(frame, l3 + 6) & 0x1fff != 0,
        l4: l3 + header,
        source_port: 0,
        destination_port: 0,
        icmp_type: None,
    };
    transport(frame, ip, l3 + total, view(l3))
}

/// Rules 3 and 4 for IPv6.
pub fn ipv6(frame: &[u8], l3: usize) -> Result<Ip, Reason> {
    let len = frame.len();
    if len < l3 + 40 || frame[l3] >> 4 != 6 {
        return Err(Reason::Ipv6Header);
    }
    let end = l3 + 40 + usize::from(word(frame, l3 + 4));
    if len <= WINDOW && end > len {
        return Err(Reason::Ipv6Header);
    }
    let mut next = frame[l3 + 6];
    let mut pos = l3 + 40;
    let mut walked = 0;
    let mut later_fragment = false;
    while matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
        if walked == 4 || pos + 8 > view(l3) {
            return Err(Reason::TooDeep);
        }
        if pos + 8 > len.min(end) {
            return Err(Reason::Ipv6Header);
        }
        let length = usize::from(frame[pos + 1]);
        let bytes = match next {
            44 => 8,
            51 => (length + 2) * 4,
            _ => (length + 1) * 8,
        };
        later_fragment = next == 44 && word(frame, pos + 2) & 0xfff8 != 0;
        next = frame[pos];
        pos += bytes;
        walked += 1;
        if later_fragment {
            break;
        }
    }
    let address = |at: usize| {
        let bytes: [u8; 16] = std::array::from_fn(|i| frame[at + i]);
        IpAddr::V6(Ipv6Addr::from(bytes))
    };
    let ip = Ip {
        source: address(l3 + 8),
        destination: address(l3 + 24),
        protocol: next,
        ttl: frame[l3 + 7],
        later_fragment,
        l4: pos,
        source_port: 0,
        destination_port: 0,
        icmp_type: None,
    };
    transport(frame, ip, end, view(l3))
}

/// Rule 4. `end` is where the IP packet ends by its own length field, `view` where the engine's does.
fn transport(frame: &[u8], mut ip: Ip, end: usize, view: usize) -> Result<Ip, Reason> {
    if ip.later_fragment {
        return Ok(ip);
    }
    let min = match ip.protocol {
        6 => 20,
        17 => 8,
        132 => 12,
        1 | 58 => 4,
        _ => 0,
    };
    if ip.l4 + min > view {
        return Err(Reason::TooDeep);
    }
    if ip.l4 + min > frame.len().min(end) {
        return Err(Reason::L4Header);
    }
    match ip.protocol {
        6 | 17 | 132 => {
            ip.source_port = word(frame, ip.l4);
            ip.destination_port = word(frame, ip.l4 + 2);
        }
        1 | 58 => ip.icmp_type = Some(frame[ip.l4]),
        _ => {}
    }
    Ok(ip)
}
