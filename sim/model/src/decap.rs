//! Tag headers and tunnels on arrival (`docs/semantics.md` section 1, step 2).

use crate::bytes::{be16, be32, byte, bytes, put};
use crate::tables::Decap;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::{accepts, position_kind};
use seqnic_spec::wire;

/// A header that says where in its sequence a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    Mpls,
    /// NSH behind Ethernet.
    Nsh,
    Vxlan,
    /// NSH in VXLAN-GPE.
    Gpe,
    Gre,
}

impl Header {
    /// Its bit in `interface.accepts` and `decap.accepts`.
    #[inline(always)]
    pub fn accepts(self) -> u32 {
        match self {
            Header::Mpls => accepts::MPLS,
            Header::Nsh => accepts::NSH,
            Header::Vxlan => accepts::VXLAN,
            Header::Gpe => accepts::GPE,
            Header::Gre => accepts::GRE,
        }
    }

    /// Kind of the position it gives.
    #[inline(always)]
    pub fn position_kind(self) -> u32 {
        match self {
            Header::Mpls => position_kind::MPLS,
            Header::Nsh | Header::Gpe => position_kind::NSH,
            Header::Vxlan => position_kind::VXLAN,
            Header::Gre => position_kind::GRE,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Header::Mpls => "MPLS",
            Header::Nsh => "NSH",
            Header::Vxlan => "VXLAN",
            Header::Gpe => "NSH in VXLAN-GPE",
            Header::Gre => "GRE",
        }
    }
}

/// The header a frame came with, and its number: label, SI, VNI or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub header: Header,
    pub number: u16,
}

/// What was taken off, and what is behind it.
pub(crate) struct Behind {
    pub taken: Taken,
    /// EtherType of the packet inside.
    pub ethertype: u16,
    /// Bytes from the start of the frame to it.
    pub l3: usize,
}

const LABEL: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;
const VXLAN: usize = 8;
const GRE: usize = 8;
const ETHERNET: usize = 14;

/// Takes off the header of the frame whose Ethernet header and VLAN tags end at `l2`, if `decap`
/// accepts one there.
///
/// # Errors
/// `encapsulation`: it is one of those, and cannot be right.
#[inline(always)]
pub(crate) fn take_off(
    frame: &[u8],
    l2: usize,
    ethertype: u16,
    decap: &Decap,
) -> Result<Option<Behind>, Reason> {
    // Most ports take no headers at all.
    if decap.accepts & HEADERS == 0 {
        return Ok(None);
    }
    // Bytes behind the end of the frame count as 0.
    let mut window = [0; wire::WINDOW_BYTES as usize];
    let length = frame.len().min(window.len());
    put(&mut window, 0, frame.get(..length).unwrap_or_default());
    let Some((header, at)) = recognised(&window, l2, ethertype, decap) else {
        return Ok(None);
    };
    let ip = |t: &u16| matches!(*t, wire::ETHERTYPE_IPV4 | wire::ETHERTYPE_IPV6);
    let last = length.min(wire::MAX_L3 as usize);
    read(&window, header, at)
        .filter(|(_, ethertype, l3)| ip(ethertype) && *l3 <= last)
        .map(|(number, ethertype, l3)| Behind {
            taken: Taken { header, number },
            ethertype,
            l3,
        })
        .map_or(Err(Reason::Encapsulation), |behind| Ok(Some(behind)))
}

const HEADERS: u32 = accepts::MPLS | accepts::NSH | accepts::VXLAN | accepts::GPE | accepts::GRE;

/// Which header the frame has, and where it starts.
fn recognised(frame: &[u8], l2: usize, ethertype: u16, decap: &Decap) -> Option<(Header, usize)> {
    let (header, at) = match ethertype {
        wire::ETHERTYPE_MPLS => (Header::Mpls, l2),
        wire::ETHERTYPE_NSH => (Header::Nsh, l2),
        wire::ETHERTYPE_IPV4 => tunnel(frame, outer_ipv4(frame, l2, decap)?)?,
        wire::ETHERTYPE_IPV6 => tunnel(frame, outer_ipv6(frame, l2, decap)?)?,
        _ => return None,
    };
    (decap.accepts & header.accepts() != 0).then_some((header, at))
}

/// Protocol and end of an outer IPv4 header.
fn outer_ipv4(frame: &[u8], l2: usize, decap: &Decap) -> Option<(u8, usize)> {
    let end = l2 + IPV4;
    let whole = be16(frame, l2 + 6) & 0x3fff == 0;
    let mine = decap.v4 == Some(be32(frame, l2 + 16));
    (byte(frame, l2) == 0x45 && whole && mine).then(|| (byte(frame, l2 + 9), end))
}

/// Next header and end of an outer IPv6 header.
fn outer_ipv6(frame: &[u8], l2: usize, decap: &Decap) -> Option<(u8, usize)> {
    let end = l2 + IPV6;
    let mine = decap.v6 == Some(u128::from_be_bytes(bytes(frame, l2 + 24)));
    (byte(frame, l2) >> 4 == 6 && mine).then(|| (byte(frame, l2 + 6), end))
}

/// Which header stands behind an outer IP header that ends at `at`, and where it starts itself.
fn tunnel(frame: &[u8], (protocol, at): (u8, usize)) -> Option<(Header, usize)> {
    match protocol {
        wire::PROTO_GRE => Some((Header::Gre, at)),
        wire::PROTO_UDP => match be16(frame, at + 2) {
            wire::VXLAN_PORT => Some((Header::Vxlan, at + UDP)),
            wire::GPE_PORT => Some((Header::Gpe, at + UDP)),
            _ => None,
        },
        _ => None,
    }
}

/// Number of `header` at `at`, EtherType of what is behind it, and where that starts.
fn read(frame: &[u8], header: Header, at: usize) -> Option<(u16, u16, usize)> {
    let (number, (ethertype, l3), right) = match header {
        Header::Mpls => {
            // Label, traffic class, bottom of stack, TTL (RFC 3032 section 2.1).
            let entry = be32(frame, at);
            let ethertype = match byte(frame, at + LABEL) >> 4 {
                4 => wire::ETHERTYPE_IPV4,
                6 => wire::ETHERTYPE_IPV6,
                _ => return None,
            };
            (entry >> 12, (ethertype, at + LABEL), entry >> 8 & 1 == 1)
        }
        Header::Nsh => return nsh(frame, at),
        Header::Vxlan => {
            let right = byte(frame, at) == wire::VXLAN_FLAGS;
            (be32(frame, at + 4) >> 8, ethernet(frame, at + VXLAN), right)
        }
        Header::Gpe => {
            let right = byte(frame, at) == wire::GPE_FLAGS && byte(frame, at + 3) == wire::GPE_NSH;
            return right.then(|| nsh(frame, at + VXLAN))?;
        }
        Header::Gre => {
            let right = be16(frame, at) == wire::GRE_KEYED;
            (be32(frame, at + 4), (be16(frame, at + 2), at + GRE), right)
        }
    };
    right.then_some((u16::try_from(number).ok()?, ethertype, l3))
}

/// A network service header at `at` (RFC 8300 section 2.2).
fn nsh(frame: &[u8], at: usize) -> Option<(u16, u16, usize)> {
    let base = be16(frame, at);
    let words = usize::from(base & 0x3f);
    let (md, next) = (byte(frame, at + 2) & 15, byte(frame, at + 3));
    let si = byte(frame, at + 7);
    let version_and_oam = base >> 13;
    let length = match md {
        1 => words == wire::nsh::MD1_BYTES as usize / 4,
        2 => words >= wire::nsh::BYTES as usize / 4,
        _ => false,
    };
    let behind = at + 4 * words;
    let (ethertype, l3) = match next {
        wire::nsh::IPV4 => (wire::ETHERTYPE_IPV4, behind),
        wire::nsh::IPV6 => (wire::ETHERTYPE_IPV6, behind),
        wire::nsh::ETHERNET => ethernet(frame, behind),
        _ => return None,
    };
    (version_and_oam == 0 && length && si != 0).then_some((si.into(), ethertype, l3))
}

/// EtherType of an Ethernet header without tags at `at`, and its end.
fn ethernet(frame: &[u8], at: usize) -> (u16, usize) {
    (be16(frame, at + 12), at + ETHERNET)
}
