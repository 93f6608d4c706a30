//! Tags and tunnels on arrival: `docs/semantics.md` section 1, step 2, and who accepts what by
//! section 6, "Tags".

use crate::parse::Ethernet;
use crate::road::{Mark, crossings};
use crate::walk::{self, Segment};
use seqnic_compiler::definition::{
    Attachments, Definition, Device, InterfaceId, Place, Side, Tag, Tracking,
};
use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// A tag as it stands in a packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Received {
    Dscp(u16),
    Vlan(u16),
    Mpls(u16),
    /// Service index.
    Nsh(u16),
    Vxlan(u16),
    Gre(u16),
}

/// A header that is taken off, as interfaces and ports accept it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Header {
    Dscp,
    Vlan,
    Mpls,
    Nsh,
    Vxlan,
    Gpe,
    Gre,
}

fn header(tag: Tag) -> Header {
    match tag {
        Tag::Dscp => Header::Dscp,
        Tag::Vlan => Header::Vlan,
        Tag::Mpls => Header::Mpls,
        Tag::Nsh(_) => Header::Nsh,
        Tag::Vxlan => Header::Vxlan,
        Tag::Gpe(_) => Header::Gpe,
        Tag::Gre => Header::Gre,
    }
}

/// The tag by which packets of an element from `side` of `device` are known, if it is by one.
pub fn of(definition: &Definition, mark: Mark, device: &Device, side: Side) -> Option<Tag> {
    // What is reached through a host has no tags.
    if matches!(device.attachments, Attachments::Via(_)) {
        return None;
    }
    let place = walk::place(definition, device, side);
    match (
        mark.tracking,
        definition.interfaces[place.interface].tracking,
    ) {
        (Some(tag), _) | (None, Tracking::Tag(tag)) => Some(tag),
        _ => None,
    }
}

/// How that tag looks in what comes back from a device that packets are sent to at `sent`: it leaves the
/// number as it was.
pub fn expected(definition: &Definition, tag: Tag, number: u16, sent: &Place) -> Received {
    let bases = &definition.interfaces[sent.interface].tag_bases;
    match tag {
        Tag::Dscp => Received::Dscp(number << 2 | 3),
        Tag::Vlan => Received::Vlan(bases.vlan + number),
        Tag::Mpls => Received::Mpls(bases.mpls + number),
        // The device counts the service index down (RFC 8300 section 4.3).
        Tag::Nsh(_) | Tag::Gpe(_) => Received::Nsh(255 - number),
        Tag::Vxlan => Received::Vxlan(bases.vni + number),
        Tag::Gre => Received::Gre(bases.gre + number),
    }
}

/// Which tags are looked for, and where.
#[derive(Debug, Default)]
pub struct Accepted {
    interfaces: HashSet<(InterfaceId, Header)>,
    ports: HashSet<(u8, Header)>,
    /// Ends of tunnels of each port.
    tunnels: HashSet<(u8, IpAddr)>,
    /// Segments as they look with a VLAN tag in use, and without it.
    pub tagged: HashMap<Segment, Segment>,
}

impl Accepted {
    pub fn of(definition: &Definition) -> Accepted {
        let mut this = Accepted::default();
        for service in &definition.services {
            for direction in [Direction::Forward, Direction::Return] {
                for crossing in crossings(definition, service, direction) {
                    let copies = crossing
                        .copies
                        .iter()
                        .map(|c| (c.role, Side::Outside, Side::Outside, c.mark));
                    let from = crossing.from.device();
                    for (role, side, far, mark) in from.into_iter().chain(copies) {
                        for device in walk::devices(definition, role) {
                            this.leaves(definition, mark, device, (far, side));
                        }
                    }
                }
            }
        }
        for interface in &definition.interfaces {
            let ends = interface.tunnels.iter().map(|a| (interface.port, *a));
            this.tunnels.extend(ends);
        }
        this
    }

    /// What is sent to `far` of a device comes back from `side` of it.
    fn leaves(
        &mut self,
        definition: &Definition,
        mark: Mark,
        device: &Device,
        (far, side): (Side, Side),
    ) {
        let Some(tag) = of(definition, mark, device, side) else {
            return;
        };
        let place = walk::place(definition, device, side);
        let port = definition.interfaces[place.interface].port;
        self.interfaces.insert((place.interface, header(tag)));
        self.ports.insert((port, header(tag)));
        let sent = walk::place(definition, device, far);
        if let Received::Vlan(vid) = expected(definition, tag, mark.number, sent) {
            let mut vlan = place.vlan.0.clone();
            vlan.push(vid);
            let plain = walk::segment_of(definition, place);
            self.tagged.insert(walk::segment(port, &vlan), plain);
        }
    }

    pub fn at(&self, interface: InterfaceId, header: Header) -> bool {
        self.interfaces.contains(&(interface, header))
    }
}

/// What was taken off, and the packet behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Off {
    pub header: Header,
    pub tag: Received,
    /// EtherType and place of the IP header behind it.
    ethertype: u16,
    l3: usize,
}

impl Off {
    /// The Ethernet header with the packet behind what was taken off.
    pub fn behind(&self, ethernet: &Ethernet) -> Ethernet {
        Ethernet {
            ethertype: self.ethertype,
            l3: self.l3,
            ..ethernet.clone()
        }
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Takes off the tag header or tunnel, if the frame has one the port accepts.
pub fn take_off(
    accepted: &Accepted,
    port: u8,
    frame: &[u8],
    ethernet: &Ethernet,
) -> Result<Option<Off>, Reason> {
    let seen = Seen(&frame[..frame.len().min(192)]);
    let takes = |header| accepted.ports.contains(&(port, header));
    let l2 = ethernet.l3;
    let off = match ethernet.ethertype {
        0x8847 if takes(Header::Mpls) => mpls(seen, l2),
        0x894f if takes(Header::Nsh) => nsh(seen, l2, Header::Nsh),
        IPV4 | IPV6 => {
            let Some((protocol, to, behind)) = outer(seen, ethernet.ethertype, l2) else {
                return Ok(None);
            };
            if !accepted.tunnels.contains(&(port, to)) {
                return Ok(None);
            }
            let udp_port = seen.word(behind + 2);
            match (protocol, udp_port) {
                (17, Some(4789)) if takes(Header::Vxlan) => vxlan(seen, behind + 8),
                (17, Some(4790)) if takes(Header::Gpe) => gpe(seen, behind + 8),
                (47, _) if takes(Header::Gre) => gre(seen, behind),
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    // Behind a longer one there would be no room for every IP header in the window.
    let off = off.filter(|off| off.l3 <= frame.len().min(132));
    off.map(Some).ok_or(Reason::Encapsulation)
}

/// The bytes the engine sees.
#[derive(Clone, Copy)]
struct Seen<'a>(&'a [u8]);

impl Seen<'_> {
    fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn word(self, at: usize) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte(at)?, self.byte(at + 1)?]))
    }

    fn long(self, at: usize) -> Option<u32> {
        Some(u32::from(self.word(at)?) << 16 | u32::from(self.word(at + 2)?))
    }
}

/// Protocol and destination of an outer IP header, and where it ends.
fn outer(seen: Seen, ethertype: u16, at: usize) -> Option<(u8, IpAddr, usize)> {
    if ethertype == IPV4 {
        let fragment = seen.word(at + 6)? & 0x3fff != 0;
        let to: [u8; 4] = seen.0.get(at + 16..at + 20)?.try_into().ok()?;
        let plain = seen.byte(at)? == 0x45 && !fragment;
        plain.then_some((seen.byte(at + 9)?, to.into(), at + 20))
    } else {
        let to: [u8; 16] = seen.0.get(at + 24..at + 40)?.try_into().ok()?;
        let plain = seen.byte(at)? >> 4 == 6;
        plain.then_some((seen.byte(at + 6)?, to.into(), at + 40))
    }
}

/// RFC 3032: one entry, the bottom of the stack.
fn mpls(seen: Seen, at: usize) -> Option<Off> {
    let entry = seen.long(at)?;
    let label = u16::try_from(entry >> 12).ok()?;
    let bottom = entry >> 8 & 1 == 1;
    let ethertype = match seen.byte(at + 4)? >> 4 {
        4 => IPV4,
        6 => IPV6,
        _ => return None,
    };
    bottom.then_some(Off {
        header: Header::Mpls,
        tag: Received::Mpls(label),
        ethertype,
        l3: at + 4,
    })
}

/// RFC 8300 section 2.
fn nsh(seen: Seen, at: usize, header: Header) -> Option<Off> {
    let base = seen.long(at)?;
    let (version, oam) = (base >> 30, base >> 29 & 1);
    let (words, md_type, next) = (base >> 16 & 0x3f, base >> 8 & 0xf, base & 0xff);
    let index = (seen.long(at + 4)? & 0xff) as u16;
    let length_fits = match md_type {
        1 => words == 6,
        2 => words >= 2,
        _ => false,
    };
    if version != 0 || oam != 0 || !length_fits || index == 0 {
        return None;
    }
    let behind = at + 4 * words as usize;
    if behind > seen.0.len() {
        return None;
    }
    let (ethertype, l3) = match next {
        1 => (IPV4, behind),
        2 => (IPV6, behind),
        3 => inner_ethernet(seen, behind)?,
        _ => return None,
    };
    Some(Off {
        header,
        tag: Received::Nsh(index),
        ethertype,
        l3,
    })
}

/// An Ethernet header without tags in front of an IP packet: its EtherType, and where it ends.
fn inner_ethernet(seen: Seen, at: usize) -> Option<(u16, usize)> {
    let ethertype = seen.word(at + 12)?;
    matches!(ethertype, IPV4 | IPV6).then_some((ethertype, at + 14))
}

/// RFC 7348 section 5.
fn vxlan(seen: Seen, at: usize) -> Option<Off> {
    let flags = seen.byte(at)?;
    let vni = u16::try_from(seen.long(at + 4)? >> 8).ok()?;
    let (ethertype, l3) = inner_ethernet(seen, at + 8)?;
    (flags == 0x08).then_some(Off {
        header: Header::Vxlan,
        tag: Received::Vxlan(vni),
        ethertype,
        l3,
    })
}

/// draft-ietf-nvo3-vxlan-gpe section 3, with NSH in it.
fn gpe(seen: Seen, at: usize) -> Option<Off> {
    let carries_nsh = seen.byte(at)? == 0x0c && seen.byte(at + 3)? == 4;
    if !carries_nsh {
        return None;
    }
    nsh(seen, at + 8, Header::Gpe)
}

/// RFC 2890 section 2: a key, and nothing else optional.
fn gre(seen: Seen, at: usize) -> Option<Off> {
    let (flags, ethertype) = (seen.word(at)?, seen.word(at + 2)?);
    let key = u16::try_from(seen.long(at + 4)?).ok()?;
    let ip = matches!(ethertype, IPV4 | IPV6);
    (flags == 0x2000 && ip).then_some(Off {
        header: Header::Gre,
        tag: Received::Gre(key),
        ethertype,
        l3: at + 8,
    })
}
