//! The edits of one copy (`docs/semantics.md` section 4).

mod headers;
mod sums;

use headers::Tagged;
use seqnic_gen::math::crc32c;
use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux, wire};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::{REASON_BITS, Reason};
use seqnic_spec::stage::{EDIT, VERDICT, l4};
use seqnic_spec::tables::{MAX_ROW_BITS, Table, attachment_state, width};
use seqnic_spec::wire::{PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, pseudo_checksum_offset};
use sums::{SUM, address_sum, changed, fold, folded, folded_or_ones};

use crate::header::bytes::bundle;
use crate::header::meter;
use crate::tables::{Config, answer_bits, direct, join_rdata};

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

/// Works out one copy a clock: module `header_prepare`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `in_valid`, `in_verdict` | 1, record `verdict` | 0 | |
/// | `in_number` | 4 | 0 | number of the copy, from 0 |
/// | `out_void` | 1 | [`Circuit::latency`] | instead of `out_valid`: a copy of a policed packet, which is none |
/// | `out_valid`, `out_edit` | 1, record `edit` | [`Circuit::latency`] | in the same order; two carry chains behind the last register, meant for a queue |
/// | `out_strip`, `out_prefix` | 8, 7 | with it | those of the edit if it has `l2_valid`; known before that is |
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
    let config = Config::inputs(&m, g, MAX_ROW_BITS);
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
    let attachment_row = match g.clocks_per_header {
        1 => attachment_row,
        _ => attachment_row.reg(),
    };
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
    // RFC 768: what comes out as 0 is sent as all ones.
    let (ip_checksum, l4_checksum) = (folded(ip_sum), folded_or_ones(l4_sum, udp));

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
    // A copy behind its packet's first is as that one.
    let following = number.any().named("follows").to_stage(leaves);
    let void = (meter.get("held") & following).named("voided");
    let valid = valid.to_stage(leaves);
    m.output("out_valid", valid & !void);
    m.output("out_void", valid & void);
    m.output("out_edit", edit);
    m.output("out_strip", late("l3").to_stage(leaves));
    m.output("out_prefix", tagged.prefix.to_stage(leaves));
    let rdata =
        [actions, policies, attachments, rewrites, encaps, meter].map(|t| t.get("cfg_rdata"));
    m.output(
        "cfg_rdata",
        join_rdata(&m, &rdata, answer_bits(g, MAX_ROW_BITS)),
    );
    m.finish()
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

#[cfg(test)]
mod tests;
