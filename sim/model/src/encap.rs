//! Tags a copy leaves with, and the headers they stand in (`docs/semantics.md` section 4, "Tags").

use crate::bytes::put;
use crate::checksum;
use crate::edit::Plan;
use crate::parse::Headers;
use crate::tables::Encap;
use seqnic_spec::tables::tag_kind;
use seqnic_spec::wire;

/// How a tag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    Vlan,
    Mpls,
    /// NSH behind Ethernet.
    Nsh(MdType),
    Vxlan,
    /// NSH in VXLAN-GPE.
    Gpe(MdType),
    Gre,
}

/// Metadata type of a network service header (RFC 8300 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MdType {
    /// 16 bytes of context, all zero.
    One,
    /// No metadata.
    Two,
}

impl MdType {
    /// Bytes of the header.
    fn bytes(self) -> usize {
        match self {
            MdType::One => wire::nsh::MD1_BYTES as usize,
            MdType::Two => wire::nsh::BYTES as usize,
        }
    }
}

impl TagKind {
    /// The kind with number `number` in `action.tag_kind`; `None` for `NONE` and beyond.
    pub fn from_number(number: u32) -> Option<TagKind> {
        Some(match number {
            tag_kind::VLAN => TagKind::Vlan,
            tag_kind::MPLS => TagKind::Mpls,
            tag_kind::NSH1 => TagKind::Nsh(MdType::One),
            tag_kind::NSH2 => TagKind::Nsh(MdType::Two),
            tag_kind::VXLAN => TagKind::Vxlan,
            tag_kind::GPE1 => TagKind::Gpe(MdType::One),
            tag_kind::GPE2 => TagKind::Gpe(MdType::Two),
            tag_kind::GRE => TagKind::Gre,
            _ => return None,
        })
    }

    /// Whether there is an outer IP header.
    pub fn is_tunnel(self) -> bool {
        matches!(self, TagKind::Vxlan | TagKind::Gpe(_) | TagKind::Gre)
    }
}

const ETHERNET: usize = 14;
const LABEL: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const VXLAN: usize = 8;
const GRE: usize = 8;

/// The tag of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    pub kind: TagKind,
    pub number: u8,
    pub row: Encap,
}

impl Encap {
    /// Ones' complement sum of the outer IPv4 header's words that are the same for every packet.
    pub fn sum(&self) -> u16 {
        if self.v6 {
            return 0;
        }
        checksum::sum(&self.ipv4(0, 0))
    }

    /// Outer IPv4 header of `length` bytes with what is behind it; without protocol and checksum.
    fn ipv4(&self, traffic_class: u8, length: u16) -> [u8; IPV4] {
        let mut header = [0; IPV4];
        header[0] = 0x45;
        header[1] = traffic_class;
        put(&mut header, 2, &length.to_be_bytes());
        put(&mut header, 6, &DONT_FRAGMENT.to_be_bytes());
        header[8] = wire::TUNNEL_TTL;
        put(&mut header, 12, &(self.src as u32).to_be_bytes());
        put(&mut header, 16, &(self.dst as u32).to_be_bytes());
        header
    }
}

const DONT_FRAGMENT: u16 = 0x4000;

impl Tag {
    /// VLAN ID, if it is a VLAN tag.
    pub fn vid(&self) -> Option<u16> {
        let vid = self.row.vlan.wrapping_add(self.number.into()) & 0xfff;
        (self.kind == TagKind::Vlan).then_some(vid)
    }

    /// MPLS label: 20 bits.
    pub fn label(&self) -> u32 {
        (self.row.mpls + u32::from(self.number)) & 0xf_ffff
    }

    /// VXLAN network identifier: 24 bits.
    pub fn vni(&self) -> u32 {
        (self.row.vni + u32::from(self.number)) & 0xff_ffff
    }

    /// GRE key.
    pub fn key(&self) -> u32 {
        self.row.gre.wrapping_add(self.number.into())
    }

    /// Service index of NSH.
    pub fn si(&self) -> u8 {
        0u8.wrapping_sub(self.number)
    }

    fn outer_ip(&self) -> usize {
        if self.row.v6 { IPV6 } else { IPV4 }
    }

    /// Bytes between the Ethernet header with its VLAN tags and the IP header of the packet: what the
    /// tag adds to the size that an MTU limits.
    pub fn bytes(&self) -> usize {
        match self.kind {
            TagKind::Vlan => 0,
            TagKind::Mpls => LABEL,
            TagKind::Nsh(md) => md.bytes(),
            TagKind::Vxlan => self.outer_ip() + UDP + VXLAN + ETHERNET,
            TagKind::Gpe(md) => self.outer_ip() + UDP + VXLAN + md.bytes(),
            TagKind::Gre => self.outer_ip() + GRE,
        }
    }

    /// Writes EtherType and headers of the copy `plan` to `head` from `at` on, where its VLAN tags end.
    pub(crate) fn write(&self, plan: &Plan, h: &Headers, head: &mut [u8], at: usize) {
        let mut to = Writer { head, at };
        let next = if h.v6 {
            wire::nsh::IPV6
        } else {
            wire::nsh::IPV4
        };
        match self.kind {
            TagKind::Vlan => to.put(h.ethertype.to_be_bytes()),
            TagKind::Mpls => {
                to.put(wire::ETHERTYPE_MPLS.to_be_bytes());
                // Traffic class 0, bottom of stack.
                let entry = self.label() << 12 | 1 << 8 | u32::from(wire::TUNNEL_TTL);
                to.put(entry.to_be_bytes());
            }
            TagKind::Nsh(md) => {
                to.put(wire::ETHERTYPE_NSH.to_be_bytes());
                self.nsh(md, next, &mut to);
            }
            TagKind::Vxlan => {
                self.udp(wire::VXLAN_PORT, plan, h, &mut to);
                to.put((u32::from(wire::VXLAN_FLAGS) << 24).to_be_bytes());
                to.put((self.vni() << 8).to_be_bytes());
                to.put(mac(plan.to.dst_mac));
                to.put(mac(plan.to.src_mac));
                to.put(h.ethertype.to_be_bytes());
            }
            TagKind::Gpe(md) => {
                self.udp(wire::GPE_PORT, plan, h, &mut to);
                let flags = u32::from(wire::GPE_FLAGS) << 24 | u32::from(wire::GPE_NSH);
                to.put(flags.to_be_bytes());
                to.put((self.vni() << 8).to_be_bytes());
                self.nsh(md, next, &mut to);
            }
            TagKind::Gre => {
                self.ip(wire::PROTO_GRE, plan, h, &mut to);
                to.put(wire::GRE_KEYED.to_be_bytes());
                to.put(h.ethertype.to_be_bytes());
                to.put(self.key().to_be_bytes());
            }
        }
    }

    /// EtherType and outer IP header.
    fn ip(&self, protocol: u8, plan: &Plan, h: &Headers, to: &mut Writer) {
        let class = plan.traffic_class(h);
        // Modulo 2^16: the header of a long frame may promise more than comes.
        let behind = (h.ip_length as usize + self.bytes() - self.outer_ip()) as u16;
        if self.row.v6 {
            to.put(wire::ETHERTYPE_IPV6.to_be_bytes());
            to.put((6 << 28 | u32::from(class) << 20).to_be_bytes());
            to.put(behind.to_be_bytes());
            to.put([protocol, wire::TUNNEL_TTL]);
            to.put(self.row.src.to_be_bytes());
            to.put(self.row.dst.to_be_bytes());
            return;
        }
        to.put(wire::ETHERTYPE_IPV4.to_be_bytes());
        let mut header = self.row.ipv4(class, behind.wrapping_add(IPV4 as u16));
        header[9] = protocol;
        let sum = !checksum::sum(&header);
        put(&mut header, 10, &sum.to_be_bytes());
        to.put(header);
    }

    /// Outer IP and UDP header. No checksum: RFC 7348 section 5, RFC 6935 for IPv6.
    fn udp(&self, port: u16, plan: &Plan, h: &Headers, to: &mut Writer) {
        self.ip(wire::PROTO_UDP, plan, h, to);
        let length = (h.ip_length as usize + self.bytes() - self.outer_ip()) as u16;
        to.put((0xc000 | plan.fold(h) & 0x3fff).to_be_bytes());
        to.put(port.to_be_bytes());
        to.put(length.to_be_bytes());
        to.put([0, 0]);
    }

    /// RFC 8300 section 2.2.
    fn nsh(&self, md: MdType, next: u8, to: &mut Writer) {
        let words = md.bytes() as u16 / 4;
        let number = match md {
            MdType::One => 1,
            MdType::Two => 2,
        };
        to.put((u16::from(wire::NSH_TTL) << 6 | words).to_be_bytes());
        to.put([number, next]);
        to.put((self.row.spi << 8 | u32::from(self.si())).to_be_bytes());
        if md == MdType::One {
            to.put([0; 16]);
        }
    }
}

impl Plan {
    /// Exclusive or of the words that tell the flow of the copy: addresses and ports as they leave, and
    /// the protocol.
    pub fn fold(&self, h: &Headers) -> u16 {
        fold(
            self.src.unwrap_or(h.src) ^ self.dst.unwrap_or(h.dst),
            self.sport.unwrap_or(h.sport) ^ self.dport.unwrap_or(h.dport),
            h.protocol,
        )
    }
}

impl Headers {
    /// The same of the packet as it came.
    pub fn fold(&self) -> u16 {
        fold(self.src ^ self.dst, self.sport ^ self.dport, self.protocol)
    }
}

#[inline(always)]
fn fold(addresses: u128, ports: u16, protocol: u8) -> u16 {
    let wide = (addresses >> 64 ^ addresses) as u64;
    let words = wide >> 32 ^ wide;
    let word = (words >> 16 ^ words) as u16;
    word ^ ports ^ u16::from(protocol)
}

fn mac(value: u64) -> [u8; 6] {
    let [_, _, mac @ ..] = value.to_be_bytes();
    mac
}

/// Headers being written one behind the other.
struct Writer<'a> {
    head: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        put(self.head, self.at, &bytes);
        self.at += N;
    }
}
