//! A copy of a common packet: the new Ethernet header in front, the rest as it came, edits in place.

use super::frame::{IPV4, IPV6, Ip, Shape};
use super::rows::{HEAD, Hop, Rows, Towards, hop};
use crate::bytes::{be16, bytes};
use crate::checksum::Update;
use seqnic_spec::wire;

/// Bytes of the EtherType.
const TYPE: usize = 2;
/// Places of checksums in TCP and UDP, and what is edited of either.
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const TCP: usize = TCP_CHECKSUM + 2;
const UDP: usize = UDP_CHECKSUM + 2;

/// Writes the copy of `frame` to `out`, which is as long as it gets.
#[inline(always)]
pub(crate) fn write(
    rows: &Rows,
    shape: Shape,
    ip: &Ip,
    (hop, to): (&Hop, &Towards),
    frame: &[u8],
    out: &mut [u8],
) {
    // A common packet is longer than the room that is left of the head.
    if let Some(head) = out.first_chunk_mut::<HEAD>() {
        *head = to.head;
    }
    // From the EtherType on.
    let places = (
        out.get_mut(usize::from(to.bytes)..),
        frame.get(shape.l3() - TYPE..),
    );
    let (Some(place), Some(rest)) = places else {
        return;
    };
    copy(rest, place);
    if hop.bits & hop::EDITS == 0 {
        return;
    }
    let edit = Edit { rows, ip, hop, to };
    let tcp = ip.protocol == wire::PROTO_TCP;
    match (shape.v6, tcp) {
        (false, true) => edit.ipv4::<{ TYPE + IPV4 + TCP }>(place, TCP_CHECKSUM),
        (false, false) => edit.ipv4::<{ TYPE + IPV4 + UDP }>(place, UDP_CHECKSUM),
        (true, true) => edit.ipv6::<{ TYPE + IPV6 + TCP }>(place, TCP_CHECKSUM),
        (true, false) => edit.ipv6::<{ TYPE + IPV6 + UDP }>(place, UDP_CHECKSUM),
    }
}

/// Copies bytes of one length. Short frames in two pieces that overlap, which needs no loop.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    const HALF: usize = 32;
    if from.len() != to.len() {
        return;
    }
    if from.len() <= 2 * HALF
        && let (Some(first), Some(last)) = (from.first_chunk::<HALF>(), from.last_chunk::<HALF>())
    {
        let (first, last) = (*first, *last);
        if let Some(to) = to.first_chunk_mut::<HALF>() {
            *to = first;
        }
        if let Some(to) = to.last_chunk_mut::<HALF>() {
            *to = last;
        }
        return;
    }
    to.copy_from_slice(from);
}

/// What is edited: places start at the EtherType.
struct Edit<'a> {
    rows: &'a Rows,
    ip: &'a Ip,
    hop: &'a Hop,
    to: &'a Towards,
}

/// Puts `new` where `at` says. The places are all in the array, and known when this is compiled.
#[inline(always)]
fn put<const N: usize, const ALL: usize>(all: &mut [u8; ALL], at: usize, new: [u8; N]) {
    if let Some(place) = all.get_mut(at..at + N) {
        place.copy_from_slice(&new);
    }
}

impl Edit<'_> {
    #[inline(always)]
    fn holds(&self, bit: u8) -> bool {
        self.hop.bits & bit != 0
    }

    #[inline(always)]
    fn rewrite(&self) -> [u8; 16] {
        let row = self.rows.rewrites.get(usize::from(self.hop.rewrite));
        row.copied().unwrap_or_default()
    }

    /// TOS or traffic class as it leaves.
    #[inline(always)]
    fn class(&self) -> u8 {
        self.hop.dscp << 2 | self.ip.traffic_class & 3
    }

    #[inline(always)]
    fn ipv4<const ALL: usize>(&self, place: &mut [u8], checksum: usize) {
        const CHECKSUM: usize = TYPE + 10;
        let Some(all) = place.first_chunk_mut::<ALL>() else {
            return;
        };
        let mut header = Update::default();
        let mut address = |all: &mut [u8; ALL], at, new: [u8; 16]| {
            let (old, new) = (bytes::<4>(all, at), bytes::<4>(&new, 12));
            header.double_word(u32::from_ne_bytes(old), u32::from_ne_bytes(new));
            put(all, at, new);
        };
        if self.holds(hop::REWRITE) {
            address(all, TYPE + 12, self.rewrite());
        }
        if self.holds(hop::NAT) {
            address(all, TYPE + 16, self.to.address);
        }
        let transport = header;
        if self.holds(hop::DSCP) {
            let (old, new) = (bytes::<2>(all, TYPE), [0x45, self.class()]);
            header.word(u16::from_ne_bytes(old), u16::from_ne_bytes(new));
            put(all, TYPE, new);
        }
        if let Some(sum) = header.apply(u16::from_ne_bytes(bytes(all, CHECKSUM))) {
            put(all, CHECKSUM, sum.to_ne_bytes());
        }
        self.transport(all, TYPE + IPV4, TYPE + IPV4 + checksum, transport);
    }

    #[inline(always)]
    fn ipv6<const ALL: usize>(&self, place: &mut [u8], checksum: usize) {
        let Some(all) = place.first_chunk_mut::<ALL>() else {
            return;
        };
        let mut transport = Update::default();
        let mut address = |all: &mut [u8; ALL], at, new: [u8; 16]| {
            for word in [0, 4, 8, 12] {
                let (old, new) = (bytes::<4>(all, at + word), bytes::<4>(&new, word));
                transport.double_word(u32::from_ne_bytes(old), u32::from_ne_bytes(new));
            }
            put(all, at, new);
        };
        if self.holds(hop::REWRITE) {
            address(all, TYPE + 8, self.rewrite());
        }
        if self.holds(hop::NAT) {
            address(all, TYPE + 24, self.to.address);
        }
        if self.holds(hop::DSCP) {
            let new = be16(all, TYPE) & 0xf00f | u16::from(self.class()) << 4;
            put(all, TYPE, new.to_be_bytes());
        }
        self.transport(all, TYPE + IPV6, TYPE + IPV6 + checksum, transport);
    }

    /// Ports, and the checksum at `at`, as [`crate::edit`] says.
    #[inline(always)]
    fn transport<const ALL: usize>(
        &self,
        all: &mut [u8; ALL],
        l4: usize,
        at: usize,
        mut update: Update,
    ) {
        if self.holds(hop::SOURCE_PORT | hop::DESTINATION_PORT) {
            let (old, place) = match self.holds(hop::SOURCE_PORT) {
                true => (self.ip.sport, l4),
                false => (self.ip.dport, l4 + 2),
            };
            let new = old.wrapping_add(self.hop.add).to_be_bytes();
            update.word(
                u16::from_ne_bytes(old.to_be_bytes()),
                u16::from_ne_bytes(new),
            );
            put(all, place, new);
        }
        let udp = self.ip.protocol == wire::PROTO_UDP;
        let old = u16::from_ne_bytes(bytes(all, at));
        // Only of IPv4: a packet of IPv6 has a longer array.
        if udp && ALL == TYPE + IPV4 + UDP && old == 0 {
            return;
        }
        let Some(new) = update.apply(old) else {
            return;
        };
        let new = if udp && new == 0 { 0xffff } else { new };
        put(all, at, new.to_ne_bytes());
    }
}

/// Flow of the IP packet `ip` as it came or as it leaves: [`crate::edit::Plan::fold`].
#[inline(never)]
pub(crate) fn fold(shape: Shape, protocol: u8, ip: &[u8]) -> u16 {
    let addresses = if shape.v6 { 8..40 } else { 12..20 };
    let words = addresses.step_by(2).chain([shape.ip(), shape.ip() + 2]);
    words.fold(protocol.into(), |fold, at| fold ^ be16(ip, at))
}
