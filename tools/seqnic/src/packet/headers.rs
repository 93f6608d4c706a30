//! Headers of a frame in words, and the difference between two.

use etherparse::{
    IpNumber, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice,
};
use seqnic_compiler::definition::Mac;
use seqnic_spec::wire;
use std::net::IpAddr;

/// What people look at in a frame. Anything that cannot be read is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// Source and destination.
    pub macs: Option<(Mac, Mac)>,
    /// Outer first.
    pub vlans: Vec<u16>,
    pub ether_type: Option<u16>,
    /// Source and destination.
    pub addresses: Option<(IpAddr, IpAddr)>,
    pub dscp: Option<u8>,
    pub ttl: Option<u8>,
    /// Transport protocol, behind extension headers.
    pub protocol: Option<u8>,
    pub fragment: bool,
    /// Source and destination.
    pub ports: Option<(u16, u16)>,
    pub length: usize,
}

impl Headers {
    pub fn of(frame: &[u8]) -> Headers {
        let mut h = Headers {
            length: frame.len(),
            ..Headers::default()
        };
        let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
            return h;
        };
        if let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link {
            h.macs = Some((Mac(ethernet.source()), Mac(ethernet.destination())));
            h.ether_type = Some(ethernet.ether_type().0);
        }
        for extension in &packet.link_exts {
            if let LaxLinkExtSlice::Vlan(tag) = extension {
                h.vlans.push(tag.vlan_identifier().value());
                h.ether_type = Some(tag.ether_type().0);
            }
        }
        match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                h.addresses = Some((
                    header.source_addr().into(),
                    header.destination_addr().into(),
                ));
                h.dscp = Some(header.dcp().value());
                h.ttl = Some(header.ttl());
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                h.addresses = Some((
                    header.source_addr().into(),
                    header.destination_addr().into(),
                ));
                h.dscp = Some(header.traffic_class() >> 2);
                h.ttl = Some(header.hop_limit());
            }
            _ => {}
        }
        if let Some(payload) = packet.ip_payload() {
            h.protocol = Some(payload.ip_number.0);
            h.fragment = payload.fragmented;
            // etherparse has no SCTP; its ports stand where those of TCP and UDP do.
            if let ([a, b, c, d, ..], IpNumber::SCTP, false) =
                (payload.payload, payload.ip_number, payload.fragmented)
            {
                h.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
            }
        }
        match &packet.transport {
            Some(TransportSlice::Tcp(t)) => {
                h.ports = Some((t.source_port(), t.destination_port()));
            }
            Some(TransportSlice::Udp(t)) => {
                h.ports = Some((t.source_port(), t.destination_port()));
            }
            _ => {}
        }
        h
    }

    /// `source > destination`, with VLANs.
    pub fn ethernet(&self) -> String {
        let Some((source, destination)) = self.macs else {
            return format!("{} bytes, no Ethernet header", self.length);
        };
        match self.vlans.is_empty() {
            true => format!("{source} > {destination}"),
            false => format!("{source} > {destination} vlan {}", vlans(&self.vlans)),
        }
    }

    /// `source > destination`, or what it is instead of IP.
    pub fn addresses(&self) -> String {
        match (self.addresses, self.ether_type) {
            (Some((s, d)), _) => format!("{s} > {d}"),
            (None, Some(wire::ETHERTYPE_ARP)) => "ARP".to_string(),
            (None, Some(wire::ETHERTYPE_IPV4)) => "IPv4, not readable".to_string(),
            (None, Some(wire::ETHERTYPE_IPV6)) => "IPv6, not readable".to_string(),
            (None, Some(other)) => format!("EtherType {other:#06x}"),
            (None, None) => String::new(),
        }
    }

    /// Protocol and ports.
    pub fn transport(&self) -> String {
        let Some(protocol) = self.protocol else {
            return String::new();
        };
        let name = match protocol {
            wire::PROTO_TCP => "tcp".to_string(),
            wire::PROTO_UDP => "udp".to_string(),
            wire::PROTO_SCTP => "sctp".to_string(),
            wire::PROTO_ICMP => "icmp".to_string(),
            wire::PROTO_ICMPV6 => "icmpv6".to_string(),
            other => format!("protocol {other}"),
        };
        match (self.ports, self.fragment) {
            (Some((s, d)), false) => format!("{name} {s} > {d}"),
            (Some((s, d)), true) => format!("{name} {s} > {d}, fragment"),
            (None, true) => format!("{name}, fragment"),
            (None, false) => name,
        }
    }

    /// What has changed from `before` to `self`, a phrase each. MACs are left out: they change on every
    /// leg. Checksums follow the rest.
    pub fn edits(&self, before: &Headers) -> Vec<String> {
        let mut out = Vec::new();
        let mut change = |what: &str, old: Option<String>, new: Option<String>| {
            if let (Some(old), Some(new)) = (old, new)
                && old != new
            {
                out.push(format!("{what} {old} -> {new}"));
            }
        };
        let text = |a: Option<&dyn ToString>| a.map(ToString::to_string);
        let source = |h: &Headers| h.addresses.map(|a| a.0.to_string());
        let destination = |h: &Headers| h.addresses.map(|a| a.1.to_string());
        change("VLAN", Some(vlans(&before.vlans)), Some(vlans(&self.vlans)));
        change("source address", source(before), source(self));
        change(
            "destination address",
            destination(before),
            destination(self),
        );
        let source = |h: &Headers| h.ports.map(|p| p.0.to_string());
        let destination = |h: &Headers| h.ports.map(|p| p.1.to_string());
        change("source port", source(before), source(self));
        change("destination port", destination(before), destination(self));
        let dscp = |h: &Headers| h.dscp.map(|d| d.to_string());
        change("DSCP", dscp(before), dscp(self));
        let ttl = |h: &Headers| h.ttl.map(|t| t.to_string());
        change("TTL", ttl(before), ttl(self));
        let expected = before.length + 4 * self.vlans.len() - 4 * before.vlans.len();
        if self.length != expected {
            change(
                "length",
                text(Some(&before.length)),
                text(Some(&self.length)),
            );
        }
        out
    }
}

fn vlans(ids: &[u16]) -> String {
    if ids.is_empty() {
        return "none".to_string();
    }
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::make::{Flow, Link, frame};

    fn made(vlans: &[u16], flow: &str) -> Vec<u8> {
        let link = Link {
            source: Mac([2, 0, 0, 0, 0, 1]),
            destination: Mac([2, 0, 0, 0, 0, 2]),
            vlans: vlans.to_vec(),
        };
        frame(&link, Flow::tcp(flow).unwrap()).unwrap()
    }

    #[test]
    fn edits_are_named() {
        let before = made(&[], "192.0.2.1:1>192.0.2.2:2");
        let mut after = made(&[10], "192.0.2.1:1>192.0.2.9:80");
        after[12 + 4 + 2 + 1] = 46 << 2;
        let edits = Headers::of(&after).edits(&Headers::of(&before));
        assert_eq!(
            edits,
            [
                "VLAN none -> 10",
                "destination address 192.0.2.2 -> 192.0.2.9",
                "destination port 2 -> 80",
                "DSCP 0 -> 46",
            ]
        );
        assert_eq!(Headers::of(&before).edits(&Headers::of(&before)), [""; 0]);
        let mut longer = before.clone();
        longer.push(0);
        assert_eq!(
            Headers::of(&longer).edits(&Headers::of(&before)),
            ["length 54 -> 55"]
        );
    }

    #[test]
    fn what_is_not_readable_is_said() {
        let frame = made(&[], "192.0.2.1:1>192.0.2.2:2");
        for length in 0..frame.len() {
            let h = Headers::of(&frame[..length]);
            let _ = (h.ethernet(), h.addresses(), h.transport());
        }
        assert_eq!(
            Headers::of(&frame[..5]).ethernet(),
            "5 bytes, no Ethernet header"
        );
        assert_eq!(Headers::of(&frame[..20]).addresses(), "IPv4, not readable");
        let mut arp = frame;
        arp[12..14].copy_from_slice(&[8, 6]);
        assert_eq!(Headers::of(&arp).addresses(), "ARP");
    }

    #[test]
    fn sctp_ports_are_read() {
        let mut frame = made(&[], "192.0.2.1:7>192.0.2.2:9");
        frame[23] = wire::PROTO_SCTP;
        assert_eq!(Headers::of(&frame).transport(), "sctp 7 > 9");
    }
}
