//! The edits of one copy (`docs/semantics.md` section 4).

use seqnic_gen::math::crc32c;
use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::{REASON_BITS, Reason};
use seqnic_spec::stage::{EDIT, VERDICT, l4};
use seqnic_spec::tables::{MAX_ROW_BITS, Table, attachment_state, tag_kind, width};
use seqnic_spec::wire::{
    PROTO_GRE, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, nsh, pseudo_checksum_offset,
};

use super::bytes::{ETHERNET_BYTES, IPV4_BYTES, IPV6_BYTES, bundle};
use super::meter;
use crate::tables::{Config, direct, join_rdata};

/// Fields of the edit which are those of the verdict.
const CARRIED: [&str; 13] = [
    "tag",
    "interface_valid",
    "interface",
    "sender_valid",
    "sender",
    "class",
    "direction",
    "priority",
    "rule_valid",
    "rule",
    "v6",
    "opening",
    "answering",
];

/// Bits of a sum of 16-bit words: of 8, and of all that are added to a checksum (at most 37).
const ADDRESS_SUM: u32 = 19;
const SUM: u32 = 22;

/// Works out one copy a clock: module `header_prepare`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `in_valid`, `in_verdict` | 1, record `verdict` | 0 | |
/// | `in_number` | 4 | 0 | number of the copy, from 0 |
/// | `out_void` | 1 | [`Circuit::latency`] | instead of `out_valid`: a copy of a policed packet, which is none |
/// | `out_valid`, `out_edit` | 1, record `edit` | [`Circuit::latency`] | in the same order; two carry chains behind the last register, meant for a queue |
/// | `cfg_write`, `cfg_read`, `cfg_table`, `cfg_row`, `cfg_wdata`, `cfg_rdata` | 1, 1, 5, 22, 512, 512 | | see [`crate::tables`] |
///
/// # Errors
/// Sizes out of range.
pub fn prepare(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("header_prepare");
    m.doc("Edits of one copy: where it goes, new addresses, ports and checksums.");
    let valid = m.input_valid("in_valid", 0);
    let verdict = m.input_record("in_verdict", &Record::from(&VERDICT), Some(0));
    let number = m.input_at("in_number", width::COPIES, 0);
    let config = Config::inputs(&m, MAX_ROW_BITS);
    // What is used late has registers of its own, not those of the whole verdict.
    let carried = CARRIED.map(|name| (name, verdict.field(name)));
    let carried = bundle("carried", &carried);
    let late = |name: &'static str| verdict.field(name).named(&format!("old_{name}"));
    let exception = verdict.field("reason").any().named("exception");
    let row = verdict.field("action") + number.zext(width::ACTION);
    let tables = Lookup { m: &m, g, config };
    // The meter is asked with the first copy, and answers for all of them.
    let starts = valid & !number.any();
    let metered = starts & !exception & verdict.field("meter").any();
    let mut ports = vec![
        ("starts", starts),
        ("asked", metered),
        ("row", verdict.field("meter")),
        ("bytes", verdict.field("ip_length")),
        ("arrived", verdict.field("tag")),
    ];
    ports.extend(config.connect(g.row_bits(Table::Meter)));
    let meter = m.instance("meter", &meter::meter(g)?, &ports);
    let policed = meter.get("policed");
    let actions = tables.place(Table::Action, row)?;
    let action = actions.get("row");
    // Both ways of a client's packets fall into one bucket.
    let client = mux(
        verdict.field("direction"),
        verdict.field("dst"),
        verdict.field("src"),
    );
    let digest = crc32c(client.named("client").cat(verdict.field("v6")));
    let client = digest.trunc(width::BUCKET).reg().named("client_digest");
    let bits = action.field("pool");
    let bucket: Vec<_> = (0..width::BUCKET)
        .rev()
        .map(|bit| client.bit(bit) & bits.gt(bits.lit(bit.into())))
        .collect();
    let bucket = m.concat(&bucket).named("bucket").zext(width::ATTACHMENT);
    let routed = action.field("route") & late("neighbour_valid");
    let own = action.field("attachment") + bucket;
    let attachment = mux(routed, late("neighbour"), own);
    // A rule's next hop, for the packet and not its copies.
    let policies = tables.place(Table::Policy, verdict.field("rule"))?;
    let own = late("rule_valid") & !number.any();
    let policy = (policies.get("row").field("valid") & own).named("policy");
    let next_hop = policies.get("row").field("attachment");
    let attachment = mux(policy, next_hop, attachment);
    // Of the two rows of an attachment the one of the packet's epoch.
    let attachment_row = attachment.cat(late("epoch"));
    let attachments = tables.place(Table::Attachment, attachment_row)?;
    let rewrites = tables.place(Table::Rewrite, action.field("rewrite"))?;
    let to = attachments.get("row");
    let encaps = tables.place(Table::Encap, to.field("encap"))?;
    let (new_dst, new_src) = (to.field("address"), rewrites.get("row").field("address"));

    let directed = !exception;
    let v6 = late("v6");
    wire!(nat = action.field("nat") & directed & !policy);
    wire!(rewrite = action.field("rewrite_valid") & directed);
    wire!(dscp_valid = action.field("dscp_valid") & directed);
    let kind = late("l4");
    let is = |number: u32| kind.is(number.into());
    let (tcp, udp, icmpv6) = (is(l4::TCP), is(l4::UDP), is(l4::ICMPV6));
    // A difference of 0 is no edit: the checksum's bytes stay as they are.
    let differs = directed & (tcp | udp | is(l4::SCTP)) & action.field("port_add").any();
    let port_field = action.field("port_field").when(differs);
    let (edit_sport, edit_dport) = (port_field.is(1), port_field.is(2));
    let old_port = mux(edit_sport, late("sport"), late("dport"));
    wire!(new_port = (old_port + action.field("port_add")).reg());
    let old_class = late("traffic_class");
    let new_class = action.field("dscp").cat(old_class.trunc(2));

    // RFC 1624 equation 3, in exact integers: what can be added before the new addresses come.
    let old_src = address_sum(!verdict.field("src"), v6).reg();
    let old_dst = address_sum(!verdict.field("dst"), v6).reg();
    let old_addresses = old_src.when(rewrite).zext(SUM) + old_dst.when(nat).zext(SUM);
    wire!(addresses = old_addresses.reg());
    let class_change = changed(old_class.zext(16), new_class.zext(16))
        .when(dscp_valid)
        .reg();
    let port_change = changed(old_port.reg(), new_port).when((edit_sport | edit_dport).reg());
    let start = |checksum| (!late(checksum)).zext(SUM);
    wire!(ip_start = (start("ip_checksum") + addresses + class_change.zext(SUM)).reg());
    wire!(l4_start = (start("l4_checksum") + addresses + port_change.zext(SUM)).reg());
    let dst_sum = address_sum(new_dst, v6).when(nat).reg();
    let src_sum = address_sum(new_src, v6).when(rewrite).reg();
    let added = dst_sum.zext(SUM) + src_sum.zext(SUM);
    wire!(ip_sum = (ip_start + added).reg());
    wire!(l4_sum = (l4_start + added).reg());
    let (ip_checksum, l4_checksum) = (folded(ip_sum), folded(l4_sum));
    // RFC 768: what comes out as 0 is sent as all ones.
    let l4_checksum = mux(
        udp & !l4_checksum.any(),
        l4_checksum.lit(0xffff),
        l4_checksum,
    );

    let tagged = Tagged::of(
        action,
        to,
        encaps.get("row"),
        late("ip_length"),
        directed,
        policy,
    );
    let old_fold = fold(verdict.field("src"))
        .reg()
        .cat(fold(verdict.field("dst")).reg());
    let addresses_fold = mux(rewrite, fold(new_src), old_fold.slice(16, 16)).reg()
        ^ mux(nat, fold(new_dst), old_fold.slice(0, 16)).reg();
    let other_port = mux(edit_sport, late("dport"), late("sport"));
    let edited_port = mux((edit_sport | edit_dport).reg(), new_port, old_port.reg());
    let ports_fold = (edited_port ^ other_port.reg()) ^ late("protocol").zext(16).reg();
    let flow = addresses_fold ^ ports_fold.reg();
    let flow = flow.named("flow_out");
    let old_addresses_fold = (old_fold.slice(16, 16) ^ old_fold.slice(0, 16)).reg();
    let old_ports_fold = late("sport") ^ late("dport") ^ late("protocol").zext(16);
    let flow_in = (old_addresses_fold ^ old_ports_fold.reg()).named("flow_in");
    let source_port = m.lit(2, 3).cat(flow.trunc(14)).named("udp_source");
    let class_sent = mux(dscp_valid, new_class, old_class);
    let outer_checksum = tagged.checksum(class_sent);
    let too_big = tagged.too_big;
    // What is not there has no MTU.
    let absent: Vec<_> = [
        attachment_state::UNAVAILABLE,
        attachment_state::UNRESOLVED,
        attachment_state::SKIPPED,
    ]
    .into_iter()
    .filter_map(|state| {
        let reason = attachment_state::reason(state)? as u128;
        let there = to.field("state").is(state.into()) & directed;
        Some((there.reg(), m.lit(REASON_BITS, reason)))
    })
    .collect();
    let is_absent = m.or(&absent.iter().map(|(is, _)| *is).collect::<Vec<_>>());
    let unsent = (too_big | is_absent).named("unsent");
    let here = directed & !unsent & !policed;

    let address_edit = nat | rewrite;
    let has_checksum = tcp | icmpv6 | (udp & !late("udp_no_checksum"));
    let place = |protocol: u8| m.lit(5, pseudo_checksum_offset(protocol).unwrap_or(0).into());
    let places = [
        (tcp, place(PROTO_TCP)),
        (udp, place(PROTO_UDP)),
        (icmpv6, place(PROTO_ICMPV6)),
    ];
    let host = m.lit(width::PORT, g.host_port().into());
    let last = exception | (number + number.lit(1)).ge(verdict.field("copies"));
    let mut fields: Vec<(&str, Sig)> = CARRIED
        .iter()
        .map(|name| (*name, carried.field(name)))
        .collect();
    fields.extend([
        ("first", !number.any()),
        ("last", last | policed),
        ("in_port", late("port")),
        (
            "reason",
            m.priority(
                &[
                    (policed, m.lit(REASON_BITS, Reason::Policed as u128)),
                    (is_absent, m.select_onehot(&absent)),
                    (too_big, m.lit(REASON_BITS, Reason::TooBig as u128)),
                ],
                late("reason"),
            ),
        ),
        ("class_valid", late("class_valid") & (!unsent | policed)),
        ("out_port", mux(here, to.field("port"), host)),
        ("action", row.when(directed)),
        ("out_attachment", to.field("counts").when(directed)),
        ("out_interface", to.field("interface").when(directed)),
        ("comes_from", to.field("comes_from")),
        ("flow_in", flow_in),
        ("flow_out", flow),
        ("l2_valid", here),
        ("strip", late("l3").when(here)),
        ("prefix", tagged.prefix.when(here)),
        ("tags_out", tagged.tags_out),
        ("vid0", tagged.vids[0]),
        ("vid1", tagged.vids[1]),
        ("tag_kind", tagged.kind),
        ("outer_v6", tagged.row.field("v6")),
        ("outer_src", tagged.row.field("src")),
        ("outer_dst", tagged.row.field("dst")),
        ("outer_checksum", outer_checksum),
        ("outer_length", tagged.outer_length),
        ("udp_length", tagged.behind_ip.trunc(16)),
        ("udp_source", source_port),
        ("number", tagged.number),
        ("spi", tagged.row.field("spi")),
        ("si", tagged.si),
        ("dst_mac", to.field("dst_mac")),
        ("src_mac", to.field("src_mac")),
        ("src_valid", rewrite),
        ("src", new_src),
        ("dst_valid", nat),
        ("dst", new_dst),
        ("traffic_class_valid", dscp_valid),
        ("traffic_class", class_sent),
        ("ip_checksum_valid", !v6 & (address_edit | dscp_valid)),
        ("ip_checksum", ip_checksum),
        ("sport_valid", edit_sport),
        ("dport_valid", edit_dport),
        ("new_port", new_port),
        ("l4_offset", late("l4_offset")),
        (
            "l4_checksum_valid",
            has_checksum & (address_edit | edit_sport | edit_dport),
        ),
        ("l4_checksum_at", m.select_onehot(&places)),
        ("l4_checksum", l4_checksum),
    ]);
    let edit = m.pack(&Record::from(&EDIT), &fields);
    let leaves = edit.stage().unwrap_or(0);
    let void = (policed & number.any()).named("voided").to_stage(leaves);
    let valid = valid.to_stage(leaves);
    m.output("out_valid", valid & !void);
    m.output("out_void", valid & void);
    m.output("out_edit", edit);
    let rdata =
        [actions, policies, attachments, rewrites, encaps, meter].map(|t| t.get("cfg_rdata"));
    m.output("cfg_rdata", join_rdata(&m, &rdata, MAX_ROW_BITS));
    m.finish()
}

/// The tag of a copy, and what its headers say.
struct Tagged<'m> {
    /// Row of `encap`.
    row: Sig<'m>,
    /// Kind of the headers behind the VLAN tags: no `VLAN`.
    kind: Sig<'m>,
    tags_out: Sig<'m>,
    vids: [Sig<'m>; 2],
    number: Sig<'m>,
    si: Sig<'m>,
    /// Bytes in front of the packet's IP header.
    prefix: Sig<'m>,
    /// Bytes behind the outer IP header, 17 bits.
    behind_ip: Sig<'m>,
    outer_length: Sig<'m>,
    too_big: Sig<'m>,
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
    fn of(
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
    fn checksum(&self, class: Sig<'m>) -> Sig<'m> {
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

/// Exclusive or of the words of an address.
fn fold(address: Sig<'_>) -> Sig<'_> {
    address.module().xor(&address.chunks(16))
}

/// Places direct tables.
struct Lookup<'m, 'g> {
    m: &'m Module,
    g: &'g Geometry,
    config: Config<'m>,
}

impl<'m> Lookup<'m, '_> {
    fn place(
        &self,
        table: Table,
        number: Sig<'m>,
    ) -> Result<seqnic_gen::Instance<'m>, Vec<GenError>> {
        let index = number.trunc(direct::index_bits(self.g, table));
        let mut ports = vec![("index", index)];
        ports.extend(self.config.connect(self.g.row_bits(table)));
        let child = direct::direct_table(table, self.g)?;
        Ok(self.m.instance(table.name(), &child, &ports))
    }
}

/// Sum of the words of an address, or of its complement: 8 in IPv6, the low 2 in IPv4.
fn address_sum<'m>(address: Sig<'m>, v6: Sig<'m>) -> Sig<'m> {
    let m = address.module();
    let high = address.slice(32, 96).when(v6);
    let words = [address.trunc(32).chunks(16), high.chunks(16)].concat();
    let terms: Vec<_> = words.iter().map(|w| w.zext(ADDRESS_SUM)).collect();
    tree(&terms).unwrap_or(m.lit(ADDRESS_SUM, 0))
}

/// Sum of all terms, of one width, as a balanced tree.
fn tree<'m>(terms: &[Sig<'m>]) -> Option<Sig<'m>> {
    match terms {
        [] => None,
        [one] => Some(*one),
        _ => {
            let (a, b) = terms.split_at(terms.len() / 2);
            Some(tree(a)? + tree(b)?)
        }
    }
}

/// `~m + m'` of one word, 17 bits.
fn changed<'m>(old: Sig<'m>, new: Sig<'m>) -> Sig<'m> {
    (!old).add_carry(new)
}

/// The checksum which a sum stands for: end-around carry, complement.
fn folded(sum: Sig<'_>) -> Sig<'_> {
    let once = sum.trunc(16).zext(17) + sum.slice(16, SUM - 16).zext(17);
    // The second carry, if any, cannot make a third: then the low part is small.
    let twice = once.trunc(16) + once.bit(16).zext(16);
    !twice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::images::{Read, load, packed, random_image};
    use crate::header::packets::{World, sum};
    use crate::testing::*;
    use seqnic_gen::{Bits, Sim};
    use seqnic_image::Image;
    use seqnic_model::edit::{Plan, plans};
    use seqnic_model::parse::{Headers, parse};
    use seqnic_model::verdict::{Verdict, decide};
    use seqnic_spec::geometry;
    use seqnic_spec::layout::Row;
    use seqnic_spec::reason::Reason;
    use seqnic_spec::tables::METER_ROW;

    const TABLES: [Table; 5] = [
        Table::Action,
        Table::Policy,
        Table::Attachment,
        Table::Rewrite,
        Table::Encap,
    ];

    #[test]
    fn latency_is_in_budget_for_every_geometry() {
        for g in geometry::ALL {
            let latency = prepare(g).unwrap().latency().unwrap();
            let most = if g.bus_bytes == 64 { 9 } else { 8 };
            assert!(latency <= most, "{}: {latency} clocks", g.name);
        }
    }

    fn at(frame: &[u8], i: usize) -> u128 {
        u128::from(frame[i]) << 8 | u128::from(frame[i + 1])
    }

    fn kind(h: &Headers) -> u32 {
        match (h.later_fragment, h.protocol) {
            (true, _) => l4::NONE,
            (_, 6) => l4::TCP,
            (_, 17) => l4::UDP,
            (_, 132) => l4::SCTP,
            (_, 58) if h.v6 => l4::ICMPV6,
            _ => l4::NONE,
        }
    }

    /// The verdict as the header path would give it.
    fn verdict(frame: &[u8], port: u8, id: u64, h: &Headers, v: &Verdict) -> Bits {
        let mut fields: Vec<(&str, u128)> = vec![
            ("tag", id.into()),
            ("port", port.into()),
            ("reason", v.reason as u128),
            ("interface_valid", v.interface.is_some().into()),
            ("interface", v.interface.unwrap_or(0).into()),
            ("l3", h.l3.into()),
            ("copies", 1),
            // What must not matter to an exception.
            ("action", 33),
            ("l4", l4::TCP.into()),
        ];
        if v.reason == Reason::Directed {
            fields.truncate(6);
            let checksum = h.l4_checksum().map_or(0, |i| at(frame, i));
            fields.extend([
                ("action", u128::from(v.step.action)),
                ("copies", v.step.copies.into()),
                ("rule_valid", v.rule.is_some().into()),
                ("rule", v.rule.unwrap_or(5).into()),
                ("neighbour_valid", v.neighbour.is_some().into()),
                ("neighbour", v.neighbour.unwrap_or(0).into()),
                ("direction", v.class.map_or(0, |(_, d)| d.bit()).into()),
                ("v6", h.v6.into()),
                ("ip_length", h.ip_length.into()),
                ("protocol", h.protocol.into()),
                ("l4", kind(h).into()),
                (
                    "l4_offset",
                    (usize::from(h.l4).max(h.l3()) - h.l3()) as u128,
                ),
                (
                    "udp_no_checksum",
                    (kind(h) == l4::UDP && !h.v6 && checksum == 0).into(),
                ),
                ("src", h.src),
                ("dst", h.dst),
                ("sport", h.sport.into()),
                ("dport", h.dport.into()),
                ("traffic_class", h.traffic_class.into()),
                ("ip_checksum", if h.v6 { 0 } else { at(frame, h.l3() + 10) }),
                ("l4_checksum", checksum),
                ("opening", h.opens().into()),
                ("answering", h.answers().into()),
            ]);
        }
        packed(&VERDICT, &fields)
    }

    /// A packet with its verdict, and every copy the software makes of it.
    struct Case {
        frame: Vec<u8>,
        port: u8,
        h: Headers,
        v: Verdict,
        plans: Vec<Plan>,
    }

    fn case(tables: &seqnic_model::Tables, frame: Vec<u8>, port: u8) -> Case {
        let h = parse(&frame, tables.decap(port));
        let v = decide(tables, port, &h, &mut ());
        let plans = plans(tables, &h, &v).collect();
        Case {
            frame,
            port,
            h,
            v,
            plans,
        }
    }

    /// Asks for every copy of every case, one a clock, and gives the edits.
    fn edits(image: &Image, cases: &[Case]) -> Vec<Vec<Bits>> {
        let circuit = prepare(image.geometry).unwrap();
        let mut sim = Sim::new(&circuit);
        sim.reset();
        load(&mut sim, image, &TABLES);
        let (mut inputs, mut of) = (vec![], vec![]);
        for (id, case) in cases.iter().enumerate() {
            let v = verdict(&case.frame, case.port, id as u64, &case.h, &case.v);
            for number in 0..case.plans.len().max(1) {
                let number = Bits::new(4, number as u128);
                inputs.push(vec![("in_verdict", v.clone()), ("in_number", number)]);
                of.push(id);
            }
        }
        let mut found = vec![vec![]; cases.len()];
        for (got, id) in stream(&circuit, &mut sim, &inputs).iter().zip(of) {
            found[id].push(got["out_edit"].clone());
        }
        found
    }

    fn random_cases(seed: u64, n: usize) -> (Image, Vec<Case>) {
        let mut random = Random::new(seed);
        let world = World::new(&mut random);
        let image = random_image(&mut random, &world, seed.is_multiple_of(4));
        let tables = seqnic_model::Tables::load(&image).unwrap();
        let cases = (0..n).map(|_| case(&tables, world.frame(&mut random), random.below(4) as u8));
        let cases = cases.collect();
        (image, cases)
    }

    #[test]
    fn every_edit_is_that_of_the_image_engine() {
        let (mut directed, mut checksums, mut too_big, mut absent) = (0, 0, 0, 0);
        let mut kinds = std::collections::BTreeMap::new();
        for seed in 1..=12 {
            let (image, cases) = random_cases(seed, 3500);
            for (id, (case, got)) in cases.iter().zip(edits(&image, &cases)).enumerate() {
                for (number, edit) in got.iter().enumerate() {
                    let edit = Read(edit, &EDIT);
                    assert_eq!(edit.get("tag"), id as u128);
                    assert_eq!(edit.get("in_port"), case.port.into());
                    assert_eq!(edit.get("first") == 1, number == 0);
                    assert_eq!(edit.get("last") == 1, number + 1 == got.len());
                    match case.plans.get(number) {
                        Some(plan) => {
                            directed += 1;
                            checksums += u32::from(edit.get("l4_checksum_valid") == 1);
                            match plan.unsent(&case.h) {
                                Some(Reason::TooBig) => too_big += 1,
                                Some(_) => absent += 1,
                                None => {}
                            }
                            *kinds.entry(edit.get("tag_kind")).or_insert(0) += 1;
                            copy(case, plan, &edit);
                        }
                        None => exception(case, &edit),
                    }
                }
            }
        }
        assert!(
            directed > 900 && checksums > 300 && too_big > 100 && absent > 50,
            "{directed} {checksums} {too_big} {absent}"
        );
        assert!(
            kinds.len() == 8 && kinds.values().all(|n| *n > 40),
            "{kinds:?}"
        );
    }

    /// A policed packet has one copy, the host's; which packets are policed says the rule in integers.
    #[test]
    fn policed_packets_become_the_hosts() {
        let (mut seen, mut voided) = ([0; 2], 0);
        for seed in 1..=8 {
            let found = policed_of(seed);
            seen = [seen[0] + found.0, seen[1] + found.1];
            voided += found.2;
        }
        assert!(
            seen.iter().all(|n| *n > 80) && voided > 30,
            "{seen:?} {voided}"
        );
    }

    /// Copies of packets in time, policed packets, and copies of those that are none.
    fn policed_of(seed: u64) -> (u32, u32, u32) {
        let (image, cases) = random_cases(seed, 2000);
        let circuit = prepare(image.geometry).unwrap();
        let leaves = circuit.latency().unwrap() as usize;
        let mut sim = Sim::new(&circuit);
        sim.reset();
        load(&mut sim, &image, &TABLES);
        let rate = |row: u64| (900_000 * row, 90_000_000 * row);
        for row in 1..3 {
            let (cost, tolerance) = rate(row);
            let mut bits = Row::zero(METER_ROW.width());
            bits.set_field(&METER_ROW, 0, "cost", cost.into());
            bits.set_field(&METER_ROW, 0, "tolerance", tolerance.into());
            write_row(&mut sim, Table::Meter, row as u32, &bits);
        }
        let mut random = Random::new(3);
        let (mut due, mut now) = ([0u128; 3], 0);
        // (packet, copy, policed) of each copy, `None` for a clock without.
        let mut asked = vec![];
        for (id, case) in cases.iter().enumerate() {
            now += random.below(2);
            let row = random.below(3);
            let (cost, tolerance) = rate(row);
            let t = u128::from(now) << 16;
            let directed = case.v.reason == Reason::Directed;
            let metered = row > 0 && directed;
            let policed = metered && due[row as usize] > t + u128::from(tolerance);
            if metered && !policed {
                let due = &mut due[row as usize];
                *due = t.max(*due) + u128::from(case.h.ip_length.min(16383)) * u128::from(cost);
            }
            for number in 0..case.plans.len().max(1) {
                while random.one_in(4) {
                    asked.push(None);
                }
                asked.push(Some((id, number, policed, row, now)));
            }
        }
        let (mut seen, mut voided) = ([0; 2], 0);
        asked.resize(asked.len() + leaves, None);
        for clock in 0..asked.len() {
            sim.set("in_valid", asked[clock].is_some().into());
            if let Some((id, number, _, row, now)) = asked[clock] {
                let case = &cases[id];
                let v = verdict(&case.frame, case.port, now, &case.h, &case.v);
                let (at, width) = VERDICT.at("meter");
                let mut v = v;
                v.set_slice(at, &Bits::new(width, row.into()));
                sim.set_bits("in_verdict", &v);
                sim.set("in_number", number as u64);
            }
            let answer = clock.checked_sub(leaves).and_then(|c| asked[c]);
            let out = (sim.get("out_valid"), sim.get("out_void"));
            match answer {
                None => assert_eq!(out, (0, 0)),
                Some((_, 1.., true, ..)) => {
                    assert_eq!(out, (0, 1));
                    voided += 1;
                }
                Some((id, number, policed, ..)) => {
                    assert_eq!(out, (1, 0));
                    let bits = sim.get_bits("out_edit");
                    let (edit, case) = (Read(&bits, &EDIT), &cases[id]);
                    if policed {
                        unedited(&edit);
                        assert_eq!(edit.get("reason"), Reason::Policed as u128);
                        assert_eq!((edit.get("first"), edit.get("last")), (1, 1));
                    } else if let Some(plan) = case.plans.get(number) {
                        copy(case, plan, &edit);
                        seen[0] += 1;
                    }
                    seen[1] += u32::from(policed);
                }
            }
            sim.step();
        }
        (seen[0], seen[1], voided)
    }

    fn exception(case: &Case, edit: &Read) {
        assert_ne!(case.v.reason, Reason::Directed);
        unedited(edit);
        assert_eq!(edit.get("reason"), case.v.reason as u128);
        for bit in [
            "l2",
            "src",
            "dst",
            "traffic_class",
            "ip_checksum",
            "sport",
            "dport",
            "l4_checksum",
        ] {
            assert_eq!(edit.get(&format!("{bit}_valid")), 0, "{bit}");
        }
    }

    fn unedited(edit: &Read) {
        assert_eq!(edit.get("out_port"), SMALL.host_port().into());
        assert_eq!((edit.get("strip"), edit.get("prefix")), (0, 0));
        assert_eq!(edit.get("l2_valid"), 0);
    }

    /// Everything in front of the packet, as the fields say.
    fn headers(case: &Case, plan: &Plan, edit: &Read, out: &[u8]) {
        let (h, get) = (&case.h, |name: &str| edit.get(name));
        let l3 = out.len() - (h.length - h.l3());
        let what = format!("{h:?} {plan:?} {:02x?}", &out[..l3]);
        assert_eq!(
            (get("strip"), get("prefix")),
            (h.l3.into(), l3 as u128),
            "{what}"
        );
        let (vids, tags) = plan.vlan();
        assert_eq!(get("tags_out"), tags as u128, "{what}");
        for (name, vid) in ["vid0", "vid1"].into_iter().zip(vids).take(tags) {
            assert_eq!(get(name), vid.into(), "{what}");
        }
        let Some(tag) = plan.tag.filter(|t| t.vid().is_none()) else {
            assert_eq!(get("tag_kind"), 0);
            return;
        };
        let row = &tag.row;
        let number = |at: usize, bytes: usize| {
            let bytes = &out[at..at + bytes];
            bytes.iter().fold(0u128, |n, b| n << 8 | u128::from(*b))
        };
        let l2 = 14 + 4 * tags;
        let (ip, class) = if row.v6 {
            (40, number(l2, 2) >> 4 & 0xff)
        } else {
            (20, number(l2 + 1, 1))
        };
        let behind = if tag.kind.is_tunnel() { l2 + ip } else { l2 };
        let service = |at: usize| {
            assert_eq!(get("spi"), number(at + 4, 3), "{what}");
            assert_eq!(get("si"), number(at + 7, 1), "{what}");
        };
        match get("tag_kind") as u32 {
            tag_kind::MPLS => {
                assert_eq!(get("number") & 0xf_ffff, number(behind, 3) >> 4, "{what}")
            }
            tag_kind::NSH1 | tag_kind::NSH2 => service(behind),
            tag_kind::GRE => assert_eq!(get("number"), number(behind + 4, 4), "{what}"),
            kind => {
                assert_eq!(get("udp_source"), number(behind, 2), "{what}");
                assert_eq!(get("udp_length"), number(behind + 4, 2), "{what}");
                assert_eq!(get("number") & 0xff_ffff, number(behind + 12, 3), "{what}");
                if kind != tag_kind::VXLAN {
                    service(behind + 16);
                }
            }
        }
        if tag.kind.is_tunnel() {
            assert_eq!(get("outer_v6") == 1, row.v6);
            assert_eq!((get("outer_src"), get("outer_dst")), (row.src, row.dst));
            assert_eq!(get("traffic_class"), class, "{what}");
            let at = if row.v6 { 4 } else { 2 };
            assert_eq!(get("outer_length"), number(l2 + at, 2), "{what}");
            if !row.v6 {
                assert_eq!(get("outer_checksum"), number(l2 + 10, 2), "{what}");
            }
        }
    }

    fn copy(case: &Case, plan: &Plan, edit: &Read) {
        let h = &case.h;
        let what = format!("{:02x?} {h:?} {plan:?}", case.frame);
        let (to, get) = (&plan.to, |name: &str| edit.get(name));
        if let Some(reason) = plan.unsent(h) {
            unedited(edit);
            assert_eq!(get("reason"), reason as u128, "{what}");
            assert_eq!(edit.option("class"), None);
            return;
        }
        assert_eq!(get("reason"), 0, "{what}");
        assert_eq!(get("l2_valid"), 1);
        assert_eq!(get("action"), plan.action.into(), "{what}");
        assert_eq!(get("out_attachment"), to.counts.into(), "{what}");
        assert_eq!(get("out_port"), to.port.into());
        assert_eq!(get("out_interface"), to.interface.into());
        assert_eq!(get("comes_from"), to.comes_from.into());
        assert_eq!(get("flow_in"), h.fold().into(), "{what}");
        assert_eq!(get("flow_out"), plan.fold(h).into(), "{what}");
        assert_eq!(get("opening") == 1, h.opens(), "{what}");
        assert_eq!(get("answering") == 1, h.answers(), "{what}");
        assert_eq!(
            (get("dst_mac"), get("src_mac")),
            (to.dst_mac.into(), to.src_mac.into())
        );
        assert_eq!(
            (edit.option("src"), edit.option("dst")),
            (plan.src, plan.dst),
            "{what}"
        );
        let port = |name: &str| (get(&format!("{name}_valid")) == 1).then(|| get("new_port"));
        assert_eq!(port("sport"), plan.sport.map(u128::from), "{what}");
        assert_eq!(port("dport"), plan.dport.map(u128::from), "{what}");
        let class = plan.dscp.map(|d| u128::from(d << 2 | h.traffic_class & 3));
        assert_eq!(edit.option("traffic_class"), class, "{what}");
        assert_eq!(get("traffic_class"), plan.traffic_class(h).into(), "{what}");

        // The checksums are those in the frame which the software writes.
        let mut out = vec![0; plan.length(h)];
        plan.write(h, &case.frame, &mut out).unwrap();
        headers(case, plan, edit, &out);
        let l3 = out.len() - (h.length - h.l3());
        match edit.option("ip_checksum") {
            Some(new) => assert_eq!(new, at(&out, l3 + 10), "{what}"),
            None if h.v6 => {}
            None => assert_eq!(at(&out, l3 + 10), at(&case.frame, h.l3() + 10), "{what}"),
        }
        let place = h.l4_checksum().map(|i| i - h.l3());
        match edit.option("l4_checksum") {
            Some(new) => {
                let place = place.unwrap();
                assert_eq!(
                    get("l4_offset") + get("l4_checksum_at"),
                    place as u128,
                    "{what}"
                );
                assert_eq!(new, at(&out, l3 + place), "{what}");
            }
            None => {
                if let Some(place) = place {
                    assert_eq!(
                        at(&out, l3 + place),
                        at(&case.frame, h.l3() + place),
                        "{what}"
                    );
                }
            }
        }
    }

    /// The IPv4 header's sum over all its words, with the edit in place, is 0xFFFF: as checksums
    /// were right on arrival, whatever was edited.
    #[test]
    fn a_right_header_checksum_stays_right() {
        let mut edited = 0;
        for seed in 21..=26 {
            let (image, cases) = random_cases(seed, 3500);
            for (case, got) in cases.iter().zip(edits(&image, &cases)) {
                for edit in got {
                    let edit = Read(&edit, &EDIT);
                    let Some(new) = edit.option("ip_checksum") else {
                        continue;
                    };
                    let l3 = case.h.l3();
                    let mut ip = case.frame[l3..l3 + usize::from(case.frame[l3] & 15) * 4].to_vec();
                    let mut put = |at: usize, bytes: usize, value: u128| {
                        ip[at..at + bytes].copy_from_slice(&value.to_be_bytes()[16 - bytes..]);
                    };
                    put(10, 2, new);
                    for (name, place, bytes) in
                        [("traffic_class", 1, 1), ("src", 12, 4), ("dst", 16, 4)]
                    {
                        if let Some(value) = edit.option(name) {
                            put(place, bytes, value);
                        }
                    }
                    assert_eq!(sum(&ip), 0xffff, "{ip:02x?}");
                    edited += 1;
                }
            }
        }
        assert!(edited > 200, "{edited}");
    }

    /// Sums at the edges of the formula, against plain software: all words 0 or 0xFFFF.
    #[test]
    fn corners_of_the_formula() {
        let (image, _) = random_cases(1, 0);
        let circuit = prepare(&SMALL).unwrap();
        let mut sim = Sim::new(&circuit);
        sim.reset();
        load(&mut sim, &image, &TABLES);
        for (old, new, v6) in [
            (u128::MAX, 0, true),
            (0xffff_ffff, 0, false),
            (0, 0, true),
            (0, 0, false),
            (0, u128::MAX, true),
        ] {
            for checksum in [0u128, 1, 0xfffe, 0xffff] {
                let attachment = packed(&seqnic_spec::tables::ATTACHMENT_ROW, &[("address", new)]);
                sim.poke("attachment.rows", 10, &attachment);
                let action = packed(
                    &seqnic_spec::tables::ACTION_ROW,
                    &[("attachment", 5), ("nat", 1)],
                );
                sim.poke("action.rows", 9, &action);
                let fields = [
                    ("action", 9),
                    ("copies", 1),
                    ("v6", u128::from(v6)),
                    ("l4", l4::UDP.into()),
                    ("dst", old),
                    ("ip_checksum", checksum),
                    ("l4_checksum", checksum),
                ];
                sim.set_bits("in_verdict", &packed(&VERDICT, &fields));
                sim.step_n(circuit.latency().unwrap());
                let mut update = seqnic_model::checksum::Update::default();
                update.address(v6, old, new);
                let expected = update.apply(checksum as u16).unwrap();
                let edit = sim.get_bits("out_edit");
                let edit = Read(&edit, &EDIT);
                assert_eq!(edit.option("ip_checksum"), (!v6).then_some(expected.into()));
                let udp = if expected == 0 { 0xffff } else { expected };
                assert_eq!(edit.option("l4_checksum"), Some(udp.into()));
            }
        }
    }
}
