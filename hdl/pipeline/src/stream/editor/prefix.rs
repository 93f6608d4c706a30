//! Prefix: all bytes of a copy in front of its IP header, put together from its EDIT.
//!
//! ```text
//! MACs (12) | VLAN tags (0, 4, 8) | EtherType (2) | outer IP (0, 20, 40) | header behind it (0 to 40)
//! ```
//!
//! Built from behind in three clocks: the last header by its kind; in front of it the outer IP header
//! and the EtherType; then MACs and VLAN tags. Or, where copies are some clocks apart, beat by beat: each of the
//! headers is moved to its place in the beat that leaves, where the others are zero.

use super::beats;
use crate::stream::record;
use seqnic_gen::{Circuit, GenError, Module, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;
use seqnic_spec::tables::tag_kind;
use seqnic_spec::wire::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_MPLS, ETHERTYPE_NSH, GPE_FLAGS, GPE_NSH, GPE_PORT,
    GRE_KEYED, MAX_PREFIX, MAX_VLAN_TAGS, NSH_TTL, PROTO_GRE, PROTO_UDP, TPID_C, TPID_S,
    TUNNEL_TTL, VXLAN_FLAGS, VXLAN_PORT, nsh,
};

/// Clocks from the edit to its prefix.
pub const LATENCY: u32 = 3;

/// Bytes of the longest header behind an outer IP header: UDP, VXLAN-GPE, NSH.
const LAST_BYTES: u32 = 8 + 8 + nsh::MD1_BYTES;
const IPV4_BYTES: u32 = 20;
const IPV6_BYTES: u32 = 40;
/// DF set, offset 0 (RFC 791 section 3.1).
const DONT_FRAGMENT: u16 = 0x4000;

/// `edit` ([`EDIT`]) in, `prefix` ([`MAX_PREFIX`] bytes, byte 0 lowest) out, [`LATENCY`] clocks later.
/// What stands behind `edit.prefix` bytes means nothing.
///
/// # Errors
/// None.
pub fn at_once() -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("prefix");
    m.doc("All bytes in front of the IP header of a copy. Latency 3 clocks.");
    let edit = m.input_record("edit", &record(&EDIT), None);
    let headers = Headers::new(&m, edit);

    // Clock 0: the last header.
    let lasts = headers
        .lasts()
        .map(|(is, header)| (is, header.zext(LAST_BYTES * 8)));
    let last = m.select_onehot(&lasts).named("last_header").reg();

    let tunnel = headers.tunnel();
    let outer_v6 = edit.field("outer_v6");
    let by_v4 = (tunnel & !outer_v6).named("by_v4").reg();
    let by_v6 = (tunnel & outer_v6).named("by_v6").reg();
    let plain = (!tunnel).named("plain").reg();
    let (v4_header, v6_header) = headers.outer();
    let outer = outer_v6
        .mux(v6_header, v4_header.zext(IPV6_BYTES * 8))
        .named("outer_ip")
        .reg();
    let ethertype = headers.ethertype(tunnel).named("ethertype").reg();

    // Clock 1: outer IP header and EtherType in front of it.
    const BODY: u32 = IPV6_BYTES + LAST_BYTES;
    let behind = |ip: u32| last.cat(outer.trunc(ip * 8)).zext(BODY * 8);
    let bodies = [
        (plain, last.zext(BODY * 8)),
        (by_v4, behind(IPV4_BYTES)),
        (by_v6, behind(IPV6_BYTES)),
    ];
    let body = m.select_onehot(&bodies).named("headers").reg();
    let body = body.cat(ethertype.named("ethertype_1").reg());

    // Clock 2: MACs and VLAN tags in front of all.
    let tags = edit.field("tags_out");
    let start = headers.start(tags).named("start").delay(2);
    let count = |n: u32| tags.is(n.into()).named(&format!("tags_{n}")).delay(2);
    let choices: Vec<_> = (0..=MAX_VLAN_TAGS)
        .map(|n| {
            let front = start.trunc((12 + 4 * n) * 8);
            let all = body.cat(front);
            let all = match all.width() > MAX_PREFIX * 8 {
                true => all.trunc(MAX_PREFIX * 8),
                false => all.zext(MAX_PREFIX * 8),
            };
            (count(n), all)
        })
        .collect();
    m.output("prefix", m.select_onehot(&choices).named("all").reg());
    m.finish()
}

/// One beat of the prefix for each slot (`valid`, `first`): `data`, [`LATENCY`] clocks later. See [`beats`] for how long `edit` stays.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn in_turns(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("prefix_beats");
    m.doc("The bytes in front of the IP header of a copy, beat by beat. Latency 3 clocks.");
    let edit = m.input_record("edit", &record(&EDIT), None);
    let (valid, first) = (m.input("valid", 1), m.input("first", 1));
    let slots = beats::Slots { step: valid, first };
    let headers = Headers::new(&m, edit);

    // Of the edit alone: which headers there are and where.
    let tags = edit.field("tags_out");
    let (one, two) = (tags.is(1), tags.is(2));
    let tunnel = headers.tunnel();
    let outer_v6 = edit.field("outer_v6");
    let by_v4 = (tunnel & !outer_v6).named("by_v4").reg();
    let by_v6 = (tunnel & outer_v6).named("by_v6").reg();
    // In half-words, behind MACs, tags and EtherType.
    let body = (m.lit(6, 7) + tags.zext(6).shl(1)).named("body");
    let outer_halves = outer_v6.mux(
        m.lit(6, (IPV6_BYTES / 2).into()),
        m.lit(6, (IPV4_BYTES / 2).into()),
    );
    let behind = (body + outer_halves.when(tunnel)).named("behind");

    let (v4_header, v6_header) = headers.outer();
    let outer = [(by_v4, v4_header), (by_v6, v6_header)];
    let outer = slots.placed("outer", g, body, &outer);
    let lasts = headers.lasts().map(|(is, header)| (is.reg(), header));
    let last = slots.placed("last", g, behind, &lasts);

    // The EtherType stands behind the tags there are.
    let ethertype = headers.ethertype(tunnel).named("ethertype").reg();
    let start = headers.start(tags);
    let tag = |half: u32| start.slice(96 + half * 16, 16);
    let none = (!one & !two).named("untagged");
    let front = m.concat(&[
        ethertype.when(two),
        tag(3).when(two),
        one.mux(ethertype, tag(2).when(two)),
        tag(1).when(!none),
        none.mux(ethertype, tag(0)),
        start.trunc(96),
    ]);
    let front = front.named("front");
    let beat_bits = g.bus_bytes * 8;
    let count = front.width().div_ceil(beat_bits);
    let front = front.zext(count * beat_bits);
    let each: Vec<_> = (0..count)
        .map(|n| {
            let part = front.slice(n * beat_bits, beat_bits);
            part.when(slots.is("front", n))
        })
        .collect();
    let front = m.or(&each).named("front_gathered").reg();
    m.output("data", (front | outer | last).named("beat").reg());
    m.finish()
}

/// The headers an edit can ask for.
struct Headers<'m> {
    m: &'m Module,
    edit: Sig<'m>,
    kind: Sig<'m>,
    v6: Sig<'m>,
    inner_type: Sig<'m>,
}

impl<'m> Headers<'m> {
    fn new(m: &'m Module, edit: Sig<'m>) -> Headers<'m> {
        let kind = edit.field("tag_kind");
        let v6 = edit.field("v6");
        let inner_type = v6.mux(
            m.lit(16, ETHERTYPE_IPV6.into()),
            m.lit(16, ETHERTYPE_IPV4.into()),
        );
        Headers {
            m,
            edit,
            kind,
            v6,
            inner_type,
        }
    }

    fn is(&self, kinds: &[u32]) -> Sig<'m> {
        let any: Vec<_> = kinds.iter().map(|k| self.kind.is((*k).into())).collect();
        self.m.or(&any)
    }

    fn byte(&self, value: u8) -> Sig<'m> {
        self.m.lit(8, value.into())
    }

    fn half(&self, value: u16) -> Sig<'m> {
        self.m.lit(16, value.into())
    }

    fn tunnel(&self) -> Sig<'m> {
        self.kind.ge(self.kind.lit(tag_kind::VXLAN.into()))
    }

    /// The header in front of the packet, behind an outer IP header if there is one: when it is there, and its bytes.
    fn lasts(&self) -> [(Sig<'m>, Sig<'m>); 5] {
        let (m, edit) = (self.m, self.edit);
        let (byte, half) = (|v| self.byte(v), |v| self.half(v));
        let is = |kinds: &[u32]| self.is(kinds);
        let mpls = bytes(&[
            edit.field("number").trunc(20),
            m.lit(4, 1),
            byte(TUNNEL_TTL),
        ]);
        let md1 = is(&[tag_kind::NSH1, tag_kind::GPE1]);
        let words = |bytes: u32| half(u16::from(NSH_TTL) << 6 | (bytes / 4) as u16);
        let service = bytes(&[
            md1.mux(words(nsh::MD1_BYTES), words(nsh::BYTES)),
            md1.mux(byte(1), byte(2)),
            self.v6.mux(byte(nsh::IPV6), byte(nsh::IPV4)),
            edit.field("spi"),
            edit.field("si"),
        ]);
        let udp = |port: u16| {
            [
                edit.field("udp_source"),
                half(port),
                edit.field("udp_length"),
                half(0),
            ]
        };
        let vni = edit.field("number").trunc(24);
        let mut vxlan = udp(VXLAN_PORT).to_vec();
        vxlan.extend([byte(VXLAN_FLAGS), m.lit(24, 0), vni, byte(0)]);
        vxlan.extend([
            edit.field("dst_mac"),
            edit.field("src_mac"),
            self.inner_type,
        ]);
        let mut gpe = udp(GPE_PORT).to_vec();
        gpe.extend([byte(GPE_FLAGS), m.lit(16, 0), byte(GPE_NSH), vni, byte(0)]);
        let gpe = service.cat(bytes(&gpe));
        let gre = bytes(&[half(GRE_KEYED), self.inner_type, edit.field("number")]);
        [
            (is(&[tag_kind::MPLS]), mpls),
            (is(&[tag_kind::NSH1, tag_kind::NSH2]), service),
            (is(&[tag_kind::VXLAN]), bytes(&vxlan)),
            (is(&[tag_kind::GPE1, tag_kind::GPE2]), gpe),
            (is(&[tag_kind::GRE]), gre),
        ]
    }

    /// The outer IP header of both families.
    fn outer(&self) -> (Sig<'m>, Sig<'m>) {
        let (m, edit) = (self.m, self.edit);
        let (byte, half) = (|v| self.byte(v), |v| self.half(v));
        let protocol = self
            .is(&[tag_kind::GRE])
            .mux(byte(PROTO_GRE), byte(PROTO_UDP))
            .named("protocol");
        let class = edit.field("traffic_class");
        let v4_header = bytes(&[
            byte(0x45),
            class,
            edit.field("outer_length"),
            half(0),
            half(DONT_FRAGMENT),
            byte(TUNNEL_TTL),
            protocol,
            edit.field("outer_checksum"),
            edit.field("outer_src").trunc(32),
            edit.field("outer_dst").trunc(32),
        ]);
        let v6_header = bytes(&[
            m.lit(4, 6),
            class,
            m.lit(20, 0),
            edit.field("outer_length"),
            protocol,
            byte(TUNNEL_TTL),
            edit.field("outer_src"),
            edit.field("outer_dst"),
        ]);
        (v4_header, v6_header)
    }

    /// What the EtherType says comes next.
    fn ethertype(&self, tunnel: Sig<'m>) -> Sig<'m> {
        let half = |v| self.half(v);
        let outer_v6 = self.edit.field("outer_v6");
        let outer_type = outer_v6.mux(half(ETHERTYPE_IPV6), half(ETHERTYPE_IPV4));
        let is = |kinds: &[u32]| self.is(kinds);
        let types = [
            (is(&[tag_kind::NONE]), self.inner_type),
            (is(&[tag_kind::MPLS]), half(ETHERTYPE_MPLS)),
            (is(&[tag_kind::NSH1, tag_kind::NSH2]), half(ETHERTYPE_NSH)),
            (tunnel, outer_type),
        ];
        bytes(&[self.m.select_onehot(&types)])
    }

    /// MACs and as many VLAN tags as there can be.
    fn start(&self, tags: Sig<'m>) -> Sig<'m> {
        let (edit, half) = (self.edit, |v| self.half(v));
        let two = tags.bit(1);
        let outer_tpid = two.mux(half(TPID_S), half(TPID_C));
        let vid = |name: &str| edit.field(name).zext(16);
        let vlan = bytes(&[outer_tpid, vid("vid0"), half(TPID_C), vid("vid1")]);
        let macs = bytes(&[edit.field("dst_mac"), edit.field("src_mac")]);
        vlan.cat(macs)
    }
}

/// Numbers one behind the other as they stand on the wire: the highest byte of the first is byte 0.
#[track_caller]
fn bytes<'m>(numbers: &[Sig<'m>]) -> Sig<'m> {
    let m = numbers[0].module();
    let wire = m.concat(numbers);
    let parts: Vec<_> = wire.chunks(8);
    m.concat(&parts)
}
