//! Prefix: all bytes of a copy in front of its IP header, put together from its EDIT.
//!
//! ```text
//! MACs (12) | VLAN tags (0, 4, 8) | EtherType (2) | outer IP (0, 20, 40) | header behind it (0 to 40)
//! ```
//!
//! Built from behind in three clocks: the last header by its kind; in front of it the outer IP header
//! and the EtherType; then MACs and VLAN tags.

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
pub fn build(_: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("prefix");
    m.doc("All bytes in front of the IP header of a copy. Latency 3 clocks.");
    let edit = m.input_record("edit", &record(&EDIT), None);
    let kind = edit.field("tag_kind");
    let is = |kinds: &[u32]| -> Sig {
        let any: Vec<_> = kinds.iter().map(|k| kind.is((*k).into())).collect();
        m.or(&any)
    };
    let v6 = edit.field("v6");
    let inner_type = v6.mux(
        m.lit(16, ETHERTYPE_IPV6.into()),
        m.lit(16, ETHERTYPE_IPV4.into()),
    );

    // Clock 0: the last header.
    let byte = |value: u8| m.lit(8, value.into());
    let half = |value: u16| m.lit(16, value.into());
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
        v6.mux(byte(nsh::IPV6), byte(nsh::IPV4)),
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
    vxlan.extend([edit.field("dst_mac"), edit.field("src_mac"), inner_type]);
    let mut gpe = udp(GPE_PORT).to_vec();
    gpe.extend([byte(GPE_FLAGS), m.lit(16, 0), byte(GPE_NSH), vni, byte(0)]);
    let gpe = service.cat(bytes(&gpe));
    let gre = bytes(&[half(GRE_KEYED), inner_type, edit.field("number")]);
    let lasts = [
        (is(&[tag_kind::MPLS]), mpls),
        (is(&[tag_kind::NSH1, tag_kind::NSH2]), service),
        (is(&[tag_kind::VXLAN]), bytes(&vxlan)),
        (is(&[tag_kind::GPE1, tag_kind::GPE2]), gpe),
        (is(&[tag_kind::GRE]), gre),
    ]
    .map(|(is, header)| (is, header.zext(LAST_BYTES * 8)));
    let last = m.select_onehot(&lasts).named("last_header").reg();

    let tunnel = kind.ge(kind.lit(tag_kind::VXLAN.into()));
    let outer_v6 = edit.field("outer_v6");
    let by_v4 = (tunnel & !outer_v6).named("by_v4").reg();
    let by_v6 = (tunnel & outer_v6).named("by_v6").reg();
    let plain = (!tunnel).named("plain").reg();
    let protocol = is(&[tag_kind::GRE])
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
    let outer = outer_v6
        .mux(v6_header, v4_header.zext(IPV6_BYTES * 8))
        .named("outer_ip")
        .reg();
    let outer_type = outer_v6.mux(half(ETHERTYPE_IPV6), half(ETHERTYPE_IPV4));
    let types = [
        (is(&[tag_kind::NONE]), inner_type),
        (is(&[tag_kind::MPLS]), half(ETHERTYPE_MPLS)),
        (is(&[tag_kind::NSH1, tag_kind::NSH2]), half(ETHERTYPE_NSH)),
        (tunnel, outer_type),
    ];
    let ethertype = bytes(&[m.select_onehot(&types)]).named("ethertype").reg();

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
    let two = tags.bit(1);
    let outer_tpid = two.mux(half(TPID_S), half(TPID_C));
    let vid = |name: &str| edit.field(name).zext(16);
    let vlan = bytes(&[outer_tpid, vid("vid0"), half(TPID_C), vid("vid1")]);
    let macs = bytes(&[edit.field("dst_mac"), edit.field("src_mac")]);
    let start = vlan.cat(macs).named("start").delay(2);
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

/// Numbers one behind the other as they stand on the wire: the highest byte of the first is byte 0.
#[track_caller]
fn bytes<'m>(numbers: &[Sig<'m>]) -> Sig<'m> {
    let m = numbers[0].module();
    let wire = m.concat(numbers);
    let parts: Vec<_> = wire.chunks(8);
    m.concat(&parts)
}
