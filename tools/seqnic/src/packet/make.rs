//! Packets described on the command line.

use etherparse::{
    EtherType, Ethernet2Header, IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder,
    SingleVlanHeader, TcpHeader, VlanId, VlanPcp,
};
use seqnic_compiler::definition::Mac;
use seqnic_spec::wire;
use std::net::{IpAddr, SocketAddr};

/// TTL of made packets.
const TTL: u8 = 64;

/// What a made packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Tcp(SocketAddr, SocketAddr),
    Udp(SocketAddr, SocketAddr),
    Icmp(IpAddr, IpAddr),
}

/// Ethernet header of a made packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub source: Mac,
    pub destination: Mac,
    /// Outer first, at most two.
    pub vlans: Vec<u16>,
}

/// Why text describes no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    #[error("`{text}` is not {form}")]
    Form { text: String, form: &'static str },
    #[error("`{text}` mixes IPv4 and IPv6")]
    Families { text: String },
    #[error("`{text}` is no MAC address like 02:03:00:00:00:03")]
    Mac { text: String },
    #[error("`{text}` are no VLANs: one or two numbers from 1 to 4094 like 10 or 10,20, or `none`")]
    Vlan { text: String },
    #[error("`{text}` has an odd number of hexadecimal digits")]
    HexOdd { text: String },
    #[error("`{character}` in the frame is no hexadecimal digit")]
    Hex { character: char },
    #[error("the packet cannot be built: {what}")]
    Build { what: String },
}

fn pair<T: std::str::FromStr>(text: &str, form: &'static str) -> Result<(T, T), MakeError> {
    let parse = |part: &str| part.trim().parse().ok();
    text.split_once('>')
        .and_then(|(a, b)| Some((parse(a)?, parse(b)?)))
        .ok_or_else(|| MakeError::Form {
            text: text.to_string(),
            form,
        })
}

fn one_family(text: &str, a: IpAddr, b: IpAddr) -> Result<(), MakeError> {
    if a.is_ipv4() == b.is_ipv4() {
        return Ok(());
    }
    Err(MakeError::Families {
        text: text.to_string(),
    })
}

fn sockets(text: &str) -> Result<(SocketAddr, SocketAddr), MakeError> {
    let form = "SRC:PORT>DST:PORT like 198.51.100.11:40001>203.0.113.13:80 or [2001:db8::11]:40001>[2001:db8::13]:80";
    let (a, b): (SocketAddr, SocketAddr) = pair(text, form)?;
    one_family(text, a.ip(), b.ip())?;
    Ok((a, b))
}

impl Flow {
    pub fn tcp(text: &str) -> Result<Flow, MakeError> {
        sockets(text).map(|(a, b)| Flow::Tcp(a, b))
    }

    pub fn udp(text: &str) -> Result<Flow, MakeError> {
        sockets(text).map(|(a, b)| Flow::Udp(a, b))
    }

    pub fn icmp(text: &str) -> Result<Flow, MakeError> {
        let form = "SRC>DST like 198.51.100.11>203.0.113.13 or 2001:db8::11>2001:db8::13";
        let (a, b) = pair(text, form)?;
        one_family(text, a, b)?;
        Ok(Flow::Icmp(a, b))
    }

    fn addresses(self) -> (IpAddr, IpAddr) {
        match self {
            Flow::Tcp(a, b) | Flow::Udp(a, b) => (a.ip(), b.ip()),
            Flow::Icmp(a, b) => (a, b),
        }
    }
}

/// A MAC address written with colons or dashes.
pub fn mac(text: &str) -> Result<Mac, MakeError> {
    let bad = || MakeError::Mac {
        text: text.to_string(),
    };
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
    }
    match parts.next() {
        None => Ok(Mac(bytes)),
        Some(_) => Err(bad()),
    }
}

/// VLAN IDs, outer first; `none` is untagged.
pub fn vlans(text: &str) -> Result<Vec<u16>, MakeError> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let ids: Option<Vec<u16>> = text
        .split(',')
        .map(|id| id.trim().parse().ok().filter(|id| (1..4095).contains(id)))
        .collect();
    ids.filter(|ids| ids.len() <= wire::MAX_VLAN_TAGS as usize)
        .ok_or_else(|| MakeError::Vlan {
            text: text.to_string(),
        })
}

/// Bytes in hexadecimal; blanks and colons between digits mean nothing.
pub fn hex(text: &str) -> Result<Vec<u8>, MakeError> {
    let mut digits = Vec::new();
    for character in text.chars() {
        if character.is_whitespace() || character == ':' {
            continue;
        }
        let digit = character.to_digit(16).ok_or(MakeError::Hex { character })?;
        digits.push(digit as u8);
    }
    if !digits.len().is_multiple_of(2) {
        return Err(MakeError::HexOdd {
            text: text.to_string(),
        });
    }
    Ok(digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
}

/// The frame of a flow's packet: a SYN, an empty datagram, an echo request. No padding.
pub fn frame(link: &Link, flow: Flow) -> Result<Vec<u8>, MakeError> {
    let failed = |what: &dyn std::fmt::Display| MakeError::Build {
        what: what.to_string(),
    };
    let (source, destination) = flow.addresses();
    let (ip, ether_type) = match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            // Length, protocol and checksum are set by the builder.
            let header = Ipv4Header::new(0, TTL, IpNumber::TCP, s.octets(), d.octets())
                .map_err(|e| failed(&e))?;
            let header = IpHeaders::Ipv4(header, Default::default());
            (header, EtherType::IPV4)
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let header = Ipv6Header {
                hop_limit: TTL,
                source: s.octets(),
                destination: d.octets(),
                ..Ipv6Header::default()
            };
            let header = IpHeaders::Ipv6(header, Default::default());
            (header, EtherType::IPV6)
        }
        _ => return Err(failed(&"addresses of two families")),
    };
    let mut bytes = ethernet(link, ether_type).map_err(|e| failed(&e))?;
    let v4 = source.is_ipv4();
    let builder = PacketBuilder::ip(ip);
    match flow {
        Flow::Tcp(s, d) => {
            let mut header = TcpHeader::new(s.port(), d.port(), 1, u16::MAX);
            header.syn = true;
            builder.tcp_header(header).write(&mut bytes, &[])
        }
        Flow::Udp(s, d) => builder.udp(s.port(), d.port()).write(&mut bytes, &[]),
        Flow::Icmp(..) if v4 => builder.icmpv4_echo_request(1, 1).write(&mut bytes, &[]),
        Flow::Icmp(..) => builder.icmpv6_echo_request(1, 1).write(&mut bytes, &[]),
    }
    .map_err(|e| failed(&e))?;
    Ok(bytes)
}

fn ethernet(
    link: &Link,
    inner: EtherType,
) -> Result<Vec<u8>, etherparse::err::ValueTooBigError<u16>> {
    let tag = |outermost: bool| match (outermost, link.vlans.len()) {
        (true, 2) => EtherType(wire::TPID_S),
        _ => EtherType(wire::TPID_C),
    };
    let first = if link.vlans.is_empty() {
        inner
    } else {
        tag(true)
    };
    let header = Ethernet2Header {
        source: link.source.0,
        destination: link.destination.0,
        ether_type: first,
    };
    let mut bytes = header.to_bytes().to_vec();
    for (i, id) in link.vlans.iter().enumerate() {
        let last = i + 1 == link.vlans.len();
        let header = SingleVlanHeader {
            pcp: VlanPcp::ZERO,
            drop_eligible_indicator: false,
            vlan_id: VlanId::try_new(*id)?,
            ether_type: if last { inner } else { tag(false) },
        };
        bytes.extend(header.to_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::headers::Headers;

    fn link(vlans: &[u16]) -> Link {
        Link {
            source: Mac([2, 3, 0, 0, 0, 3]),
            destination: Mac([2, 1, 0, 0, 0, 1]),
            vlans: vlans.to_vec(),
        }
    }

    #[test]
    fn flows_become_frames() {
        let flow = Flow::tcp("198.51.100.11:40001>203.0.113.13:80").unwrap();
        let bytes = frame(&link(&[]), flow).unwrap();
        assert_eq!(bytes.len(), 14 + 20 + 20);
        assert_eq!(bytes[..14], [2, 1, 0, 0, 0, 1, 2, 3, 0, 0, 0, 3, 8, 0]);
        let h = Headers::of(&bytes);
        assert_eq!(h.addresses(), "198.51.100.11 > 203.0.113.13");
        assert_eq!(h.transport(), "tcp 40001 > 80");

        let flow = Flow::udp("[2001:db8::b]:5 > [2001:db8::d]:53").unwrap();
        let bytes = frame(&link(&[10, 20]), flow).unwrap();
        assert_eq!(
            bytes[12..22],
            [0x88, 0xa8, 0, 10, 0x81, 0, 0, 20, 0x86, 0xdd]
        );
        let h = Headers::of(&bytes);
        assert_eq!(
            h.ethernet(),
            "02:03:00:00:00:03 > 02:01:00:00:00:01 vlan 10,20"
        );
        assert_eq!(h.transport(), "udp 5 > 53");

        for text in ["192.0.2.1>192.0.2.2", "2001:db8::1>2001:db8::2"] {
            let bytes = frame(&link(&[7]), Flow::icmp(text).unwrap()).unwrap();
            assert_eq!(bytes[12..16], [0x81, 0, 0, 7]);
            assert!(Headers::of(&bytes).transport().starts_with("icmp"));
        }
    }

    #[test]
    fn bad_text_is_named() {
        let error = Flow::tcp("1.2.3.4>5.6.7.8:80").unwrap_err().to_string();
        assert!(error.starts_with("`1.2.3.4>5.6.7.8:80` is not SRC:PORT>DST:PORT like"));
        let error = Flow::udp("1.2.3.4:1>[::1]:80").unwrap_err().to_string();
        assert_eq!(error, "`1.2.3.4:1>[::1]:80` mixes IPv4 and IPv6");
        assert!(Flow::icmp("1.2.3.4").is_err());
        for text in [
            "02:03:00:00:00",
            "02:03:00:00:00:03:04",
            "2:3:0:0:0:3",
            "02:03:00:00:00:0g",
            "",
        ] {
            assert!(mac(text).is_err(), "{text}");
        }
        assert_eq!(mac("02-03-00-00-00-FF").unwrap().0, [2, 3, 0, 0, 0, 255]);
        for text in ["0", "4095", "1,2,3", "x", ""] {
            assert!(vlans(text).is_err(), "{text}");
        }
        assert_eq!(vlans("none").unwrap(), [0u16; 0]);
        assert_eq!(vlans("10, 20").unwrap(), [10, 20]);
        assert_eq!(hex("02 0a:FF\n").unwrap(), [2, 10, 255]);
        assert_eq!(
            hex("123").unwrap_err().to_string(),
            "`123` has an odd number of hexadecimal digits"
        );
        assert_eq!(hex("12é4").unwrap_err(), MakeError::Hex { character: 'é' });
    }
}
