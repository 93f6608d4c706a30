//! Numbers of the tables in the notation people use.

use crate::acl::Decision;
use crate::decap::{Header, Taken};
use crate::encap::{MdType, Tag, TagKind};
use crate::keys::{Address, InterfaceKey, Key, Packed, Position, StepKey};
use crate::parse::Headers;
use crate::tables::{Decap, Encap, Step};
use seqnic_image::names::Names;
use seqnic_spec::tables::{accepts, position_kind};
use seqnic_spec::wire;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Names for numbers; a number without a name is given as it is.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    pub names: &'a Names,
}

impl Words<'_> {
    pub fn interface(&self, number: u16) -> String {
        match self.names.interfaces.get(usize::from(number)) {
            Some(i) => format!("interface {} ({number})", i.name),
            None => format!("interface {number}"),
        }
    }

    pub fn attachment(&self, number: u16) -> String {
        match self.names.attachments.get(usize::from(number)) {
            Some(name) => format!("{name} (attachment {number})"),
            None => format!("attachment {number}"),
        }
    }

    pub fn service(&self, class: u32) -> Option<String> {
        let class = self.names.classes.get(class as usize)?;
        self.names.services.get(class.service as usize).cloned()
    }

    pub fn label(&self, class: u32) -> Option<String> {
        let class = self.names.classes.get(class as usize)?;
        self.names.labels.get(class.label as usize).cloned()
    }

    pub fn class(&self, class: u32) -> String {
        match (self.service(class), self.label(class)) {
            (Some(service), Some(label)) => format!("service {service} {label} (class {class})"),
            _ => format!("class {class}"),
        }
    }

    pub fn rule(&self, decision: Decision) -> String {
        let name = self.names.rules.get(usize::from(decision.rule));
        let name = match name.and_then(Option::as_ref) {
            Some(name) => format!("rule {} {}", name.acl, name.rule),
            None => "rule".to_string(),
        };
        let permit = if decision.permit { "permits" } else { "denies" };
        format!("{name} (number {}) {permit} it", decision.rule)
    }

    pub fn interface_key(&self, key: InterfaceKey) -> String {
        let vlan = match (key.vid0, key.vid1) {
            (0, 0) => "untagged".to_string(),
            (outer, 0) => format!("VLAN {outer}"),
            (outer, inner) => format!("VLAN {outer}.{inner}"),
        };
        format!("port {}, {vlan}", key.port)
    }

    pub fn step_key(&self, key: StepKey) -> String {
        let position = match key.position {
            Position::Unknown => "an unknown sender".to_string(),
            Position::Attachment(n) => self.attachment(n),
            Position::Segment(n) => format!("segment {n}"),
            Position::Tag(kind, n) => match kind {
                position_kind::DSCP => format!("DSCP {n}"),
                position_kind::VLAN => format!("VLAN tag {n}"),
                position_kind::MPLS => format!("MPLS label {n}"),
                position_kind::NSH => format!("NSH service index {n}"),
                position_kind::VXLAN => format!("VNI {n}"),
                position_kind::GRE => format!("GRE key {n}"),
                _ => format!("tag of kind {kind}, {n}"),
            },
        };
        format!(
            "{}, {}, from {position}",
            self.class(key.class),
            key.direction.name()
        )
    }

    pub fn ethernet(&self, h: &Headers) -> String {
        if h.length < 14 {
            return format!("{} bytes, no Ethernet header", h.length);
        }
        let kind = match h.ethertype {
            wire::ETHERTYPE_IPV4 => "IPv4".to_string(),
            wire::ETHERTYPE_IPV6 => "IPv6".to_string(),
            wire::ETHERTYPE_ARP => "ARP".to_string(),
            other => format!("EtherType {other:#06x}"),
        };
        let vlan = vlan(h.tags, h.vid0, h.vid1);
        let (src, dst) = (mac(h.src_mac), mac(h.dst_mac));
        format!("{src} -> {dst}, VLAN {vlan}, {kind}")
    }

    pub fn ip(&self, h: &Headers) -> String {
        let ttl = if h.v6 { "hop limit" } else { "TTL" };
        let fragment = if h.later_fragment {
            ", a later fragment"
        } else {
            ""
        };
        format!(
            "{} -> {}, {}, {ttl} {}, DSCP {}{fragment}",
            address(h.source()),
            address(h.destination()),
            protocol(h.protocol),
            h.ttl,
            h.traffic_class >> 2
        )
    }

    pub fn transport(&self, h: &Headers) -> String {
        if h.has_ports() {
            format!("port {} -> {}", h.sport, h.dport)
        } else if h.later_fragment {
            "none: a later fragment".to_string()
        } else if matches!(h.protocol, wire::PROTO_ICMP | wire::PROTO_ICMPV6) {
            format!("ICMP type {}", h.icmp_type)
        } else {
            "a protocol without ports".to_string()
        }
    }
}

pub fn mac(value: u64) -> String {
    let [_, _, bytes @ ..] = value.to_be_bytes();
    bytes.map(|b| format!("{b:02x}")).join(":")
}

pub fn address(address: Address) -> String {
    if address.v6 {
        Ipv6Addr::from(address.value).to_string()
    } else {
        Ipv4Addr::from(address.value as u32).to_string()
    }
}

pub fn protocol(number: u8) -> String {
    match number {
        wire::PROTO_TCP => "tcp".to_string(),
        wire::PROTO_UDP => "udp".to_string(),
        wire::PROTO_SCTP => "sctp".to_string(),
        wire::PROTO_ICMP => "icmp".to_string(),
        wire::PROTO_ICMPV6 => "icmpv6".to_string(),
        other => format!("protocol {other}"),
    }
}

/// Names of the tags in `accepts`.
pub fn tags(accepted: u32) -> String {
    let names = [
        (accepts::DSCP, "DSCP"),
        (accepts::VLAN, "VLAN tags"),
        (accepts::MPLS, "MPLS"),
        (accepts::NSH, "NSH"),
        (accepts::VXLAN, "VXLAN"),
        (accepts::GPE, "VXLAN-GPE"),
        (accepts::GRE, "GRE"),
    ];
    let accepted = names.iter().filter(|(bit, _)| accepted & bit != 0);
    let accepted: Vec<&str> = accepted.map(|(_, name)| *name).collect();
    accepted.join(", ")
}

/// What a port takes off.
pub fn decap(row: &Decap) -> String {
    let mut parts = match tags(row.accepts) {
        none if none.is_empty() => vec!["takes nothing off".to_string()],
        tags => vec![format!("accepts {tags}")],
    };
    let v4 = row.v4.map(|a| Ipv4Addr::from(a).to_string());
    let v6 = row.v6.map(|a| Ipv6Addr::from(a).to_string());
    parts.extend((v4.into_iter().chain(v6)).map(|a| format!("tunnels end at {a}")));
    parts.join(", ")
}

/// A header and its number.
pub fn taken(taken: Taken) -> String {
    let number = match taken.header {
        Header::Mpls => "label",
        Header::Nsh | Header::Gpe => "service index",
        Header::Vxlan => "VNI",
        Header::Gre => "key",
    };
    format!("{}, {number} {}", taken.header.name(), taken.number)
}

/// The tag a copy leaves with.
pub fn tag(tag: &Tag) -> String {
    let nsh = |md: MdType| {
        let kind = match md {
            MdType::One => 1,
            MdType::Two => 2,
        };
        let (spi, si) = (tag.row.spi, tag.si());
        format!("NSH, metadata type {kind}, service path {spi}, index {si}")
    };
    let what = match tag.kind {
        TagKind::Vlan => return format!("VLAN {}", tag.vid().unwrap_or_default()),
        TagKind::Mpls => return format!("MPLS label {}", tag.label()),
        TagKind::Nsh(md) => return nsh(md),
        TagKind::Vxlan => format!("VXLAN, VNI {}", tag.vni()),
        TagKind::Gpe(md) => format!("VXLAN-GPE, VNI {}, {}", tag.vni(), nsh(md)),
        TagKind::Gre => format!("GRE, key {}", tag.key()),
    };
    format!("{what}, {}", ends(&tag.row))
}

/// Ends of a tunnel.
pub fn ends(row: &Encap) -> String {
    let end = |value| address(Address { v6: row.v6, value });
    format!("{} -> {}", end(row.src), end(row.dst))
}

pub fn vlan(tags: u8, vid0: u16, vid1: u16) -> String {
    match tags {
        0 => "none".to_string(),
        1 => vid0.to_string(),
        _ => format!("{vid0}.{vid1}"),
    }
}

pub fn step(step: &Step) -> String {
    match step.copies {
        0 => "barred: this sender has no step and may not enter".to_string(),
        1 => format!("1 copy, row {} of `action`", step.action),
        n => format!("{n} copies, from row {} of `action`", step.action),
    }
}

/// The packed key, hexadecimal, highest first.
pub fn bits<K: Key>(key: K) -> String {
    let bytes = key.pack().words().into_iter().flat_map(u64::to_le_bytes);
    let bytes: Vec<u8> = bytes.take(K::BYTES).collect();
    let hex: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
    format!("0x{hex}")
}
