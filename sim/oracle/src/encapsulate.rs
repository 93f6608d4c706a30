//! What stands in front of the IP packet of a copy: `docs/semantics.md` section 4, "Tags".

use crate::edit::{Link, fold};
use seqnic_compiler::definition::{MdType, Tag, TagBases};
use std::net::IpAddr;

/// A tag a copy leaves with.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    pub tag: Tag,
    /// Number of the element it goes to.
    pub number: u16,
    pub bases: TagBases,
    /// The engine's and the device's end, of a tunnel.
    pub ends: Option<(IpAddr, IpAddr)>,
}

/// The packet inside, as it leaves.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    pub v4: bool,
    /// Bytes of the IP packet by its own header.
    pub length: usize,
    pub traffic_class: u8,
    /// Exclusive or of addresses, ports and protocol.
    pub fold: u16,
}

impl Inside {
    fn ethertype(&self) -> u16 {
        if self.v4 { 0x0800 } else { 0x86dd }
    }
}

impl Outgoing {
    /// What counts towards the MTU of what the tag adds.
    pub fn adds(&self) -> usize {
        let outer = match self.ends {
            Some((IpAddr::V4(_), _)) => 20,
            Some((IpAddr::V6(_), _)) => 40,
            None => 0,
        };
        outer
            + match self.tag {
                Tag::Dscp | Tag::Vlan => 0,
                Tag::Mpls => 4,
                Tag::Nsh(md) => nsh_bytes(md),
                Tag::Vxlan => 8 + 8 + 14,
                Tag::Gpe(md) => 8 + 8 + nsh_bytes(md),
                Tag::Gre => 8,
            }
    }
}

fn nsh_bytes(md: MdType) -> usize {
    match md {
        MdType::One => 24,
        MdType::Two => 8,
    }
}

/// Everything in front of the IP header of a copy.
pub fn in_front(link: &Link, tag: Option<Outgoing>, inside: Inside) -> Vec<u8> {
    let vlan_tag = tag.filter(|t| t.tag == Tag::Vlan);
    let mut vids = link.vlan.0.clone();
    vids.extend(vlan_tag.map(|t| t.bases.vlan + t.number));

    let mut out = Vec::new();
    out.extend(link.destination.0);
    out.extend(link.source.0);
    for (i, vid) in vids.iter().enumerate() {
        let innermost = i + 1 == vids.len();
        let tpid: u16 = if innermost { 0x8100 } else { 0x88a8 };
        out.extend(tpid.to_be_bytes());
        out.extend(vid.to_be_bytes());
    }
    let Some(tag) = tag else {
        out.extend(inside.ethertype().to_be_bytes());
        return out;
    };
    let behind = match tag.tag {
        Tag::Dscp | Tag::Vlan => {
            out.extend(inside.ethertype().to_be_bytes());
            return out;
        }
        Tag::Mpls => {
            out.extend(0x8847_u16.to_be_bytes());
            let label = u32::from(tag.bases.mpls + tag.number);
            out.extend((label << 12 | 1 << 8 | 64).to_be_bytes());
            return out;
        }
        Tag::Nsh(md) => {
            out.extend(0x894f_u16.to_be_bytes());
            out.extend(nsh(&tag, md, inside));
            return out;
        }
        Tag::Vxlan => {
            let mut inner = vxlan(0x08, 0, &tag);
            inner.extend(link.destination.0);
            inner.extend(link.source.0);
            inner.extend(inside.ethertype().to_be_bytes());
            udp(4789, inner, inside)
        }
        Tag::Gpe(md) => {
            let mut inner = vxlan(0x0c, 4, &tag);
            inner.extend(nsh(&tag, md, inside));
            udp(4790, inner, inside)
        }
        Tag::Gre => {
            let mut gre = vec![0x20, 0x00];
            gre.extend(inside.ethertype().to_be_bytes());
            gre.extend(u32::from(tag.bases.gre + tag.number).to_be_bytes());
            gre
        }
    };
    if let Some((from, to)) = tag.ends {
        let ethertype: u16 = if from.is_ipv4() { 0x0800 } else { 0x86dd };
        out.extend(ethertype.to_be_bytes());
        let protocol = if tag.tag == Tag::Gre { 47 } else { 17 };
        out.extend(outer(from, to, protocol, behind.len(), inside));
    }
    out.extend(behind);
    out
}

/// RFC 8300 sections 2.2 to 2.5.
fn nsh(tag: &Outgoing, md: MdType, inside: Inside) -> Vec<u8> {
    let words = nsh_bytes(md) as u32 / 4;
    let kind = match md {
        MdType::One => 1,
        MdType::Two => 2,
    };
    let next = if inside.v4 { 1 } else { 2 };
    let base: u32 = 63 << 22 | words << 16 | kind << 8 | next;
    let index = 256 - u32::from(tag.number);
    let path = tag.bases.spi << 8 | index;
    let mut out = base.to_be_bytes().to_vec();
    out.extend(path.to_be_bytes());
    out.resize(nsh_bytes(md), 0);
    out
}

fn vxlan(flags: u8, next: u8, tag: &Outgoing) -> Vec<u8> {
    let mut out = vec![flags, 0, 0, next];
    let vni = u32::from(tag.bases.vni + tag.number);
    out.extend((vni << 8).to_be_bytes());
    out
}

/// A UDP header in front of `inner` and the packet. Without a checksum (RFC 6935, 7348).
fn udp(to: u16, inner: Vec<u8>, inside: Inside) -> Vec<u8> {
    let from = 0xc000 | inside.fold & 0x3fff;
    let length = (8 + inner.len() + inside.length) as u16;
    let mut out = Vec::new();
    for word in [from, to, length, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(inner);
    out
}

/// The outer IP header in front of `behind` bytes of headers and the packet.
fn outer(from: IpAddr, to: IpAddr, protocol: u8, behind: usize, inside: Inside) -> Vec<u8> {
    let carried = behind + inside.length;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut out = vec![0x45, inside.traffic_class];
            out.extend(((20 + carried) as u16).to_be_bytes());
            out.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend(from.octets());
            out.extend(to.octets());
            let words = out
                .chunks(2)
                .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
            let checksum = !fold(words.sum());
            out[10..12].copy_from_slice(&checksum.to_be_bytes());
            out
        }
        (from, to) => {
            let first = 6 << 28 | u32::from(inside.traffic_class) << 20;
            let mut out = first.to_be_bytes().to_vec();
            out.extend((carried as u16).to_be_bytes());
            out.extend([protocol, 64]);
            for end in [from, to] {
                if let IpAddr::V6(end) = end {
                    out.extend(end.octets());
                }
            }
            out
        }
    }
}
