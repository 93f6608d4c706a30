//! The copies of a directed packet: rows read for them, and old and new values.

use super::words::{self, Words};
use super::{CopyWords, EditWords, Questions, question};
use crate::edit::{Plan, plans};
use crate::keys::Address;
use crate::parse::Headers;
use crate::tables::{Action, PortEdit, Tables};
use crate::verdict::Verdict;
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;

/// Every copy in words; the rows read for them are added to `questions`.
pub fn explain(
    tables: &Tables,
    words: Words,
    h: &Headers,
    verdict: &Verdict,
    frame: &[u8],
    questions: &mut Questions,
) -> Vec<CopyWords> {
    plans(tables, h, verdict)
        .map(|plan| {
            let action = tables.action(plan.action);
            rows(tables, words, &plan, &action, questions);
            let mut bytes = vec![0; plan.length(h)];
            // Buffer and headers fit by construction; a copy that could not be written would
            // only lose its checksums here.
            let sent = plan.write(h, frame, &mut bytes).unwrap_or_default();
            CopyWords {
                action: plan.action,
                attachment: words.attachment(plan.to.counts),
                routed: plan.routed,
                interface: words.interface(plan.to.interface),
                port: plan.to.port,
                length: sent,
                unsent: plan.unsent(h).map(Reason::name),
                edits: edits(h, &plan, frame, &bytes),
            }
        })
        .collect()
}

fn rows(tables: &Tables, words: Words, plan: &Plan, action: &Action, questions: &mut Questions) {
    let row = |n: u32| Some(format!("row {n}"));
    let answer = action_words(words, action);
    questions.push(question(Table::Action, row(plan.action), answer));
    let to = &plan.to;
    let mtu = match to.mtu {
        0 => String::new(),
        mtu => format!(", MTU {mtu}"),
    };
    let answer = format!(
        "{}: port {}, {}, VLAN {}, MAC {}{mtu}",
        words.attachment(to.counts),
        to.port,
        words.interface(to.interface),
        words::vlan(to.tags, to.vid0, to.vid1),
        words::mac(to.dst_mac)
    );
    let asked = row(tables.attachment_row(plan.attachment));
    questions.push(question(Table::Attachment, asked, answer));
    if let Some(tag) = &plan.tag {
        let row = row(to.encap.into());
        let bases = format!(
            "VLAN {}, label {}, VNI {}, key {}, service path {}",
            tag.row.vlan, tag.row.mpls, tag.row.vni, tag.row.gre, tag.row.spi
        );
        let answer = match tag.kind.is_tunnel() {
            true => format!("{bases}; {}", words::ends(&tag.row)),
            false => bases,
        };
        questions.push(question(Table::Encap, row, answer));
    }
    if let Some(rewrite) = action.rewrite {
        let answer = words::address(tables.rewrite(rewrite));
        questions.push(question(Table::Rewrite, row(rewrite.into()), answer));
    }
}

fn action_words(words: Words, action: &Action) -> String {
    let mut parts = vec![format!("to {}", words.attachment(action.attachment))];
    if action.route {
        parts.push("or the destination address's neighbour".to_string());
    }
    if action.nat {
        parts.push("destination address becomes the attachment's".to_string());
    }
    if let Some(row) = action.rewrite {
        parts.push(format!("source address becomes row {row} of `rewrite`"));
    }
    match action.port {
        Some(PortEdit::Source(add)) => parts.push(format!("source port plus {add}")),
        Some(PortEdit::Destination(add)) => parts.push(format!("destination port plus {add}")),
        None => {}
    }
    parts.extend(action.dscp.map(|dscp| format!("DSCP {dscp}")));
    parts.extend(action.tag.map(|(_, number)| format!("tag {number}")));
    parts.join(", ")
}

fn edits(h: &Headers, plan: &Plan, before: &[u8], after: &[u8]) -> Vec<EditWords> {
    let mut edits = Vec::new();
    let mut add = |field, old: String, new: String| edits.push(EditWords { field, old, new });
    let to = &plan.to;
    add(
        "destination MAC",
        words::mac(h.dst_mac),
        words::mac(to.dst_mac),
    );
    add("source MAC", words::mac(h.src_mac), words::mac(to.src_mac));
    let ([vid0, vid1], tags) = plan.vlan();
    if h.tags > 0 || tags > 0 {
        let old = words::vlan(h.tags, h.vid0, h.vid1);
        add("VLAN", old, words::vlan(tags as u8, vid0, vid1));
    }
    if h.taken.is_some() || plan.tag.is_some() {
        let none = || "none".to_string();
        let old = h.taken.map_or_else(none, words::taken);
        add("tag", old, plan.tag.as_ref().map_or_else(none, words::tag));
    }
    let address = |value| words::address(Address { v6: h.v6, value });
    if let Some(new) = plan.src {
        add("source address", address(h.src), address(new));
    }
    if let Some(new) = plan.dst {
        add("destination address", address(h.dst), address(new));
    }
    if let Some(new) = plan.sport {
        add("source port", h.sport.to_string(), new.to_string());
    }
    if let Some(new) = plan.dport {
        add("destination port", h.dport.to_string(), new.to_string());
    }
    if let Some(new) = plan.dscp {
        add("DSCP", (h.traffic_class >> 2).to_string(), new.to_string());
    }
    let header = (!h.v6).then_some(("IPv4 header checksum", h.l3() + 10));
    let transport = h.l4_checksum().map(|at| ("transport checksum", at));
    for (field, at) in header.into_iter().chain(transport) {
        // Where it is in the copy: behind what stands in front of its IP header.
        let now = at - h.l3() + after.len() + h.l3() - before.len();
        let (old, new) = (before.get(at..at + 2), after.get(now..now + 2));
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            let hex = |b: &[u8]| format!("0x{:02x}{:02x}", b[0], b[1]);
            add(field, hex(old), hex(new));
        }
    }
    edits
}
