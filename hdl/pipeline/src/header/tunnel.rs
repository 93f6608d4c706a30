//! Tag headers and tunnels on arrival (`docs/semantics.md` section 1, step 2).

use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{ADDRESS_KEY, DECAP_ROW, accepts};
use seqnic_spec::wire::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, GPE_FLAGS, GPE_NSH, GPE_PORT, GRE_KEYED, MAX_L3, PROTO_GRE,
    PROTO_UDP, VXLAN_FLAGS, VXLAN_PORT, WINDOW_BYTES, nsh,
};

use super::bytes::{
    ETHERNET_BYTES, IPV4_BYTES, IPV6_BYTES, L2_BYTES, L3_BYTES, L3_LENGTH_BITS, L3_WORDS,
    PLACE_BITS, number, smaller,
};
use super::ethernet::NEAR_BYTES;
use super::{PARTS, moved, part_stage};

/// Kinds of headers which are taken off, in the order of the bits of port `taken`.
pub const KINDS: [u32; 5] = [
    accepts::MPLS,
    accepts::NSH,
    accepts::VXLAN,
    accepts::GPE,
    accepts::GRE,
];

const UDP_BYTES: u32 = 8;
const VXLAN_BYTES: u32 = 8;
const GRE_BYTES: u32 = 8;
const LABEL_BYTES: u32 = 4;
/// Bits of a place in half-words; everything that can be right is within [`MAX_L3`] bytes.
const HALF_BITS: u32 = 7;

/// Takes off what the port accepts: module `header_tunnel`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `near`, `far` | 8 * 106, 8 * 72 | 0, with the window's last part | behind Ethernet header and VLAN tags, zero past the end |
/// | `length` | 8 | with the last part | bytes of the frame in the window |
/// | `tags` | 2 | 0 | VLAN tags |
/// | `v4`, `v6`, `mpls`, `nsh` | 1 | 0 | what the EtherType behind the tags is |
/// | `decap` | record `decap_row` | 0 | of the port |
/// | `taken` | 5 | 2 | which of [`KINDS`] was recognised |
/// | `number` | 16 | 2 | label, SI, VNI or key |
/// | `offset` | 8 | 2 | bytes from the start of the frame to the IP header |
/// | `inner_v4`, `inner_v6` | 1 | 4 | what the packet is |
/// | `bad` | 1 | 4 | reason `encapsulation` |
/// | `l3` | 8 * 114 | 4 | the window from the IP header on |
/// | `available` | 8 | 4 | bytes of the frame there |
/// | `view` | 7 | 4 | words there which may be read |
/// | `dst_key`, `src_key` | record | 4 | questions to table `address` |
///
/// Where headers are some clocks apart, it is moved [in turns](super::moved): instead of `far` come the ports of
/// [`moved::ports`], and
/// `inner_v4`, `inner_v6` and `bad` are at 7, the keys at 9; instead of `l3` there is
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `beat` | 8 * 16 | [`moved::BEAT`] | the packet's first bytes, in the clocks behind it the next ones |
/// | `head` | 8 * 48 | [`moved::HEAD`] | its first bytes |
///
/// # Errors
/// None for a geometry that passes its check.
pub fn tunnel(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_tunnel");
    m.doc("Tag headers and tunnels: what is taken off, and the packet behind it.");
    // Everything here is a clock behind the window.
    let whole = part_stage(g, PARTS - 1).saturating_sub(1);
    let near = m.input_at("near", NEAR_BYTES * 8, 0);
    let turns = g.clocks_per_header > 1;
    let far = (!turns).then(|| m.input_at("far", (L2_BYTES - NEAR_BYTES) * 8, whole));
    let whole_packet = far.map(|far| far.cat(near));
    let length = m.input_at("length", L3_LENGTH_BITS, whole);
    let tags = m.input_at("tags", 2, 0);
    let [v4, v6, mpls, nsh] = ["v4", "v6", "mpls", "nsh"].map(|name| m.input_at(name, 1, 0));
    let decap = m.input_record("decap", &Record::from(&DECAP_ROW), Some(0));

    let found = Found::of(near, [v4, v6, mpls, nsh], decap);
    let Behind {
        number,
        half,
        wrong,
        known_v4,
        known_v6,
        late,
    } = found.behind(near);
    let taken = m.concat(&found.kinds().into_iter().rev().collect::<Vec<_>>());
    wire!(some = taken.any());
    let taken = taken.reg();
    // Half-words from the start of the frame.
    let l2 = m.lit(HALF_BITS + 1, (ETHERNET_BYTES / 2).into())
        + tags.cat(m.lit(1, 0)).zext(HALF_BITS + 1);
    wire!(place = half.zext(HALF_BITS + 1) + l2);
    let last = smaller(length, length.lit(MAX_L3.into())).shr(1);
    let last = last.trunc(HALF_BITS + 1).named("last_place").reg();
    // Without a header the place is right: at most 22 bytes, and a frame that ends there is a runt.
    wire!(far = place.gt(last).reg());

    let (packet, ethertype) = match whole_packet {
        Some(whole) => at_once(whole, half),
        None => {
            let moved = moved::in_turns(&m, &moved::inputs(&m, g), length, place);
            m.output("beat", moved.beat);
            (moved.head, moved.ethertype)
        }
    };
    let some = some.reg().reg();
    wire!(
        inner_v4 = mux(
            some,
            known_v4 | (late & ethertype.is(ETHERTYPE_IPV4.into())),
            v4
        )
    );
    wire!(
        inner_v6 = mux(
            some,
            known_v6 | (late & ethertype.is(ETHERTYPE_IPV6.into())),
            v6
        )
    );
    let neither = !(inner_v4 | inner_v6);
    let bad = (wrong | far | neither) & taken.any();

    m.output("taken", taken);
    m.output("number", number);
    m.output("offset", place.trunc(HALF_BITS).cat(m.lit(1, 0)));
    m.output("inner_v4", inner_v4.reg());
    m.output("inner_v6", inner_v6.reg());
    m.output("bad", bad.reg());
    if !turns {
        m.output("l3", packet.reg());
    }
    let available = length - place.trunc(HALF_BITS).cat(m.lit(1, 0));
    m.output("available", available.reg().reg());
    let words = (m.lit(HALF_BITS, (WINDOW_BYTES / 2).into()) - place.trunc(HALF_BITS)).shr(1);
    let words = words.trunc(PLACE_BITS).named("words").reg();
    let view = smaller(words, words.lit(L3_WORDS.into())).reg();
    m.output("view", view);
    // The bytes are put in the order of a number only once, behind the choice of the family.
    let address_key = |v6_at: u32, v4_at: u32| {
        let short = packet.slice(v4_at * 8, 32).cat(m.lit(96, 0));
        let long = packet.slice(v6_at * 8, 128);
        let address = super::bytes::number(mux(inner_v6, long, short), 0, 16);
        m.pack(
            &Record::from(&ADDRESS_KEY),
            &[("v6", inner_v6), ("address", address)],
        )
        .reg()
    };
    m.output("dst_key", address_key(24, 16));
    m.output("src_key", address_key(8, 12));
    if turns {
        m.output("head", packet);
    }
    m.finish()
}

/// The packet, a register and a choice behind `half`, and the EtherType right in front of it, a register behind it.
fn at_once<'m>(packet: Sig<'m>, half: Sig<'m>) -> (Sig<'m>, Sig<'m>) {
    let m = half.module();
    // The packet moves by 16 bytes a step, then by 2.
    let coarse: Vec<Sig> = (0..8)
        .map(|i| bytes(packet, 16 * i, L3_BYTES + 14))
        .collect();
    let coarse = m.index(&coarse, half.slice(3, 3)).reg().named("coarse");
    let fine: Vec<Sig> = (0..8).map(|i| bytes(coarse, 2 * i, L3_BYTES)).collect();
    wire!(l3 = m.index(&fine, half.trunc(3)));

    // Of Ethernet in NSH, the EtherType stands right in front of the packet.
    let words: Vec<Sig> = (0..32).map(|i| bytes(packet, 4 * i, 2)).collect();
    let ethertype = super::bytes::number(m.index(&words, half.slice(1, 5)), 0, 2);
    (l3, ethertype.reg().named("ethertype"))
}

/// `n` bytes from byte `at` on, zero past the end.
fn bytes(sig: Sig<'_>, at: u32, n: u32) -> Sig<'_> {
    let end = (at + n).min(sig.width() / 8);
    match end > at {
        true => sig.slice(at * 8, (end - at) * 8).zext(n * 8),
        false => sig.module().lit(n * 8, 0),
    }
}

/// What was recognised, a clock behind the packet.
struct Found<'m> {
    mpls: Sig<'m>,
    nsh: Sig<'m>,
    /// In IPv4 and in IPv6.
    vxlan: [Sig<'m>; 2],
    gpe: [Sig<'m>; 2],
    gre: [Sig<'m>; 2],
}

/// What is behind it; two clocks behind the packet.
struct Behind<'m> {
    number: Sig<'m>,
    /// Where the packet starts, half-words from the end of the VLAN tags.
    half: Sig<'m>,
    /// A check has failed.
    wrong: Sig<'m>,
    /// What the packet is, unless `late`.
    known_v4: Sig<'m>,
    known_v6: Sig<'m>,
    /// An EtherType in front of it says what it is.
    late: Sig<'m>,
}

impl<'m> Found<'m> {
    fn of(packet: Sig<'m>, [v4, v6, mpls, nsh]: [Sig<'m>; 4], decap: Sig<'m>) -> Found<'m> {
        let m = packet.module();
        let accepted = |bit: u32| decap.field("accepts").bit(bit.trailing_zeros());
        let outer_v4 = [
            v4,
            number(packet, 0, 1).is(0x45),
            !number(packet, 6, 2).trunc(14).any(),
            number(packet, 16, 4).eq(decap.field("v4")),
            decap.field("v4_valid"),
        ];
        let outer_v6 = [
            v6,
            packet.slice(4, 4).is(6),
            number(packet, 24, 16).eq(decap.field("v6")),
            decap.field("v6_valid"),
        ];
        // Registered apart from the compare of the addresses, which is deep.
        let outer = [m.and(&outer_v4).reg(), m.and(&outer_v6).reg()];
        let protocol = [number(packet, 9, 1), number(packet, 6, 1)];
        let udp = |port: u16| {
            [(0, IPV4_BYTES), (1, IPV6_BYTES)].map(|(i, at)| {
                let is =
                    protocol[i].is(PROTO_UDP.into()) & number(packet, at + 2, 2).is(port.into());
                (i, is)
            })
        };
        let in_udp =
            |port: u16, bit: u32| udp(port).map(|(i, is)| (is & accepted(bit)).reg() & outer[i]);
        let gre = [0, 1].map(|i: usize| {
            (protocol[i].is(PROTO_GRE.into()) & accepted(accepts::GRE)).reg() & outer[i]
        });
        Found {
            mpls: (mpls & accepted(accepts::MPLS)).reg(),
            nsh: (nsh & accepted(accepts::NSH)).reg(),
            vxlan: in_udp(VXLAN_PORT, accepts::VXLAN),
            gpe: in_udp(GPE_PORT, accepts::GPE),
            gre,
        }
    }

    /// In the order of [`KINDS`].
    fn kinds(&self) -> [Sig<'m>; 5] {
        let either = |pair: [Sig<'m>; 2]| pair[0] | pair[1];
        [
            self.mpls,
            self.nsh,
            either(self.vxlan),
            either(self.gpe),
            either(self.gre),
        ]
    }

    fn behind(&self, packet: Sig<'m>) -> Behind<'m> {
        let m = packet.module();
        let [mpls, _, vxlan, gpe, gre] = self.kinds();
        let any_nsh = self.nsh | gpe;
        // What stands behind an outer IP header, by its family.
        let behind_ip = |pair: [Sig<'m>; 2], at: u32, bytes: u32| {
            let from = |ip: u32| packet.slice((ip + at) * 8, bytes * 8);
            mux(pair[1], from(IPV6_BYTES), from(IPV4_BYTES))
        };

        let label = number(packet, 0, 3);
        let bottom = packet.slice(16, 1);
        let version = packet.slice(LABEL_BYTES * 8 + 4, 4);
        let mpls_wrong = !bottom | label.slice(20, 4).any();

        let shim = behind_ip(self.vxlan, UDP_BYTES, VXLAN_BYTES);
        let vni = number(shim, 4, 3);
        let vxlan_wrong =
            number(shim, 0, 1).ne(m.lit(8, VXLAN_FLAGS.into())) | vni.slice(16, 8).any();
        let vxlan_type = behind_ip(self.vxlan, UDP_BYTES + VXLAN_BYTES + ETHERNET_BYTES - 2, 2);

        let gpe_shim = behind_ip(self.gpe, UDP_BYTES, VXLAN_BYTES);
        let gpe_wrong = number(gpe_shim, 0, 1).ne(m.lit(8, GPE_FLAGS.into()))
            | number(gpe_shim, 3, 1).ne(m.lit(8, GPE_NSH.into()));

        let key_header = behind_ip(self.gre, 0, GRE_BYTES);
        let gre_wrong = number(key_header, 0, 2).ne(m.lit(16, GRE_KEYED.into()))
            | number(key_header, 4, 2).any();
        let gre_type = number(key_header, 2, 2);

        let in_gpe = behind_ip(self.gpe, UDP_BYTES + VXLAN_BYTES, nsh::BYTES);
        let service = mux(gpe, in_gpe, packet.trunc(nsh::BYTES * 8)).named("service_header");
        let base = number(service, 0, 2);
        let words = base.trunc(6);
        let (md, next, si) = (
            service.slice(16, 4),
            number(service, 3, 1),
            number(service, 7, 1),
        );
        let right_length = (md.is(1) & words.is((nsh::MD1_BYTES / 4).into()))
            | (md.is(2) & words.ge(words.lit((nsh::BYTES / 4).into())));
        let in_ethernet = next.is(nsh::ETHERNET.into());
        let nsh_wrong = base.slice(13, 3).any() | !right_length | !si.any();

        let wrongs = [
            mpls & mpls_wrong,
            any_nsh & nsh_wrong,
            vxlan & vxlan_wrong,
            gpe & gpe_wrong,
            gre & gre_wrong,
        ];
        let numbers = [
            (mpls, label.slice(4, 16)),
            (any_nsh, si.zext(16)),
            (vxlan, vni.trunc(16)),
            (gre, number(key_header, 6, 2)),
        ];
        let ip = |sig: Sig<'m>, value: u16| sig.is(value.into());
        let vxlan_type = number(vxlan_type, 0, 2);
        let inner = |nibble: u128, ethertype: u16, protocol: u8| {
            let any = [
                mpls & version.is(nibble),
                vxlan & ip(vxlan_type, ethertype),
                gre & ip(gre_type, ethertype),
                any_nsh & next.is(protocol.into()),
            ];
            m.or(&any).reg()
        };
        // Where the packet is without the length of an NSH, and that.
        let half = |bytes: u32| m.lit(HALF_BITS, (bytes / 2).into());
        let shims = UDP_BYTES + VXLAN_BYTES;
        let base = m.select_onehot(&[
            (mpls, half(LABEL_BYTES)),
            (self.vxlan[0], half(IPV4_BYTES + shims + ETHERNET_BYTES)),
            (self.vxlan[1], half(IPV6_BYTES + shims + ETHERNET_BYTES)),
            (self.gpe[0], half(IPV4_BYTES + shims)),
            (self.gpe[1], half(IPV6_BYTES + shims)),
            (self.gre[0], half(IPV4_BYTES + GRE_BYTES)),
            (self.gre[1], half(IPV6_BYTES + GRE_BYTES)),
        ]);
        // Anything past 127 half-words is too far wherever the frame ends.
        let service_half = words.cat(m.lit(1, 0)).zext(HALF_BITS + 1)
            + half(ETHERNET_BYTES).when(in_ethernet).zext(HALF_BITS + 1);
        let sum = base.zext(HALF_BITS + 1) + service_half.when(any_nsh);
        Behind {
            number: m.select_onehot(&numbers).reg(),
            half: sum.named("half").reg(),
            wrong: m.or(&wrongs).reg(),
            known_v4: inner(4, ETHERTYPE_IPV4, nsh::IPV4),
            known_v6: inner(6, ETHERTYPE_IPV6, nsh::IPV6),
            late: (any_nsh & in_ethernet).reg(),
        }
    }
}
