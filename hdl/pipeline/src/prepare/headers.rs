//! Headers in front of a copy, and what they say: lengths, numbers, the outer checksum.

use super::sums::{SUM, folded};
use crate::header::bytes::{ETHERNET_BYTES, IPV4_BYTES, IPV6_BYTES};
use seqnic_gen::{Sig, mux};
use seqnic_spec::tables::{tag_kind, width};
use seqnic_spec::wire::{PROTO_GRE, PROTO_UDP, nsh};

/// The tag of a copy, and what its headers say.
pub struct Tagged<'m> {
    /// Row of `encap`.
    pub row: Sig<'m>,
    /// Kind of the headers behind the VLAN tags: no `VLAN`.
    pub kind: Sig<'m>,
    pub tags_out: Sig<'m>,
    pub vids: [Sig<'m>; 2],
    pub number: Sig<'m>,
    pub si: Sig<'m>,
    /// Bytes in front of the packet's IP header.
    pub prefix: Sig<'m>,
    /// Bytes behind the outer IP header, 17 bits.
    pub behind_ip: Sig<'m>,
    pub outer_length: Sig<'m>,
    pub too_big: Sig<'m>,
    udp: Sig<'m>,
}

/// Headers without an outer IP header, or behind it, in bytes.
const BEHIND: [(u32, u32); 7] = [
    (tag_kind::MPLS, 4),
    (tag_kind::NSH1, nsh::MD1_BYTES),
    (tag_kind::NSH2, nsh::BYTES),
    (tag_kind::VXLAN, 8 + 8 + ETHERNET_BYTES),
    (tag_kind::GPE1, 8 + 8 + nsh::MD1_BYTES),
    (tag_kind::GPE2, 8 + 8 + nsh::BYTES),
    (tag_kind::GRE, 8),
];

impl<'m> Tagged<'m> {
    pub fn of(
        action: Sig<'m>,
        to: Sig<'m>,
        row: Sig<'m>,
        ip_length: Sig<'m>,
        directed: Sig<'m>,
        policy: Sig<'m>,
    ) -> Tagged<'m> {
        let m = action.module();
        let asked = action.field("tag_kind").when(directed & !policy);
        let vlan = asked.is(tag_kind::VLAN.into());
        let kind = asked.when(!vlan).reg().named("header_kind");
        let is = |number: u32| kind.is(number.into());
        let tunnel = kind.ge(kind.lit(tag_kind::VXLAN.into()));
        let behind: Vec<_> = BEHIND
            .iter()
            .map(|(kind, bytes)| (is(*kind), m.lit(7, (*bytes).into())))
            .collect();
        let behind = m.select_onehot(&behind).named("bytes_behind").reg();
        // Of an outer IP header of either family, or of none.
        let behind_ip = (ip_length + behind.zext(17)).named("behind_ip").reg();
        let with = |bytes: u32| behind_ip + m.lit(17, bytes.into());
        let mtu = to.field("mtu").zext(17);
        let over = |bytes: u32| (with(bytes).gt(mtu) & mtu.any()).reg();
        let (over_none, over_v4, over_v6) = (over(0), over(IPV4_BYTES), over(IPV6_BYTES));
        let v6 = row.field("v6");
        let outer_over = mux(v6, over_v6, over_v4);
        let too_big = mux(tunnel, outer_over, over_none) & directed;

        let own = to.field("tags");
        let tags_out = (own + (vlan & !own.bit(1)).zext(2)).reg();
        let tag = action.field("tag");
        let vid = row.field("vlan") + tag.zext(width::VID);
        let at = |place: u128| vlan & own.is(place);
        let vids = [
            mux(at(0), vid, to.field("vid0")),
            mux(at(1), vid, to.field("vid1")),
        ];
        let bases = [
            (is(tag_kind::MPLS), row.field("mpls").zext(32)),
            (is(tag_kind::GRE), row.field("gre")),
        ];
        let vni = row.field("vni").zext(32).when(tunnel & !is(tag_kind::GRE));
        let base = m.select_onehot(&bases) | vni;
        let outer = mux(v6, m.lit(7, IPV6_BYTES.into()), m.lit(7, IPV4_BYTES.into()));
        // Ethernet header, tags and the headers behind, a clock before the family is known.
        let ethernet = m.lit(7, ETHERNET_BYTES.into()) + tags_out.cat(m.lit(2, 0)).zext(7);
        let fixed = (ethernet + behind).reg();
        let length_v4 = with(IPV4_BYTES).trunc(16).reg();
        Tagged {
            row,
            kind,
            tags_out,
            vids,
            number: base + tag.zext(32),
            si: m.lit(8, 0) - tag,
            prefix: fixed + outer.when(tunnel),
            behind_ip,
            outer_length: mux(v6, behind_ip.trunc(16), length_v4),
            too_big,
            udp: !is(tag_kind::GRE),
        }
    }

    /// Checksum of an outer IPv4 header (RFC 791): what every packet has the same is in the row.
    pub fn checksum(&self, class: Sig<'m>) -> Sig<'m> {
        let m = class.module();
        let length = self.behind_ip + m.lit(17, IPV4_BYTES.into());
        let protocol = mux(
            self.udp,
            m.lit(8, PROTO_UDP.into()),
            m.lit(8, PROTO_GRE.into()),
        );
        let known = class.zext(9) + protocol.zext(9);
        let start = (length.trunc(16).zext(17) + known.zext(17)).reg();
        let sum = start.zext(SUM) + self.row.field("sum").zext(SUM);
        folded(sum.named("outer_sum").reg())
    }
}
