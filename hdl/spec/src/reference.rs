//! `spec.json` and the table reference in `docs/`: generated, never typed.

use crate::counters::{
    COUNTER_ROW, CounterSet, SNAPSHOT, SNAPSHOT_ITEM, SNAPSHOT_STATUS, SNAPSHOT_TAKEN,
};
use crate::geometry;
use crate::layout::Layout;
use crate::reason::Reason;
use crate::stage;
use crate::tables::{Kind, Table};
use crate::{SPEC_VERSION, hash};
use serde_json::{Value, json};
use std::fmt::Write;

/// The whole specification as JSON.
pub fn spec_json() -> Value {
    let tables: Vec<Value> = Table::ALL
        .iter()
        .map(|t| json!({"number": *t as u8, "name": t.name(), "question": t.question(), "layout": t.kind()}))
        .collect();
    let counters: Vec<Value> = CounterSet::ALL
        .iter()
        .map(|c| json!({"number": *c as u8, "name": c.name(), "row": COUNTER_ROW}))
        .collect();
    let reasons: Vec<Value> = Reason::ALL
        .iter()
        .map(|r| json!({"code": *r as u8, "name": r.name(), "doc": r.doc()}))
        .collect();
    json!({
        "spec_version": SPEC_VERSION,
        "tables": tables,
        "counters": counters,
        "snapshot": {"number": SNAPSHOT, "item": SNAPSHOT_ITEM, "taken": SNAPSHOT_TAKEN, "status": SNAPSHOT_STATUS},
        "reasons": reasons,
        "records": [stage::VERDICT, stage::EDIT, stage::PORT_META, stage::HOST_META, stage::EVENT],
        "geometries": geometry::KNOWN,
        "host": crate::host::reference::host_json(),
    })
}

/// CRC-32C of [`spec_json`] without geometries and the host's side: two builds with equal digests read each other's rows.
pub fn spec_digest() -> u32 {
    let mut spec = spec_json();
    if let Some(map) = spec.as_object_mut() {
        map.remove("geometries");
        map.remove("host");
    }
    hash::digest(spec.to_string().into_bytes())
}

fn record(out: &mut String, layout: &Layout, title: &str) {
    let _ = writeln!(
        out,
        "**{title}** `{}`, {} bits: {}.\n",
        layout.name,
        layout.width(),
        layout.doc
    );
    let _ = writeln!(out, "| bits | field | meaning |\n| --- | --- | --- |");
    let mut at = 0;
    for f in layout.fields {
        let bits = if f.width == 1 {
            format!("{at}")
        } else {
            format!("{}:{at}", at + f.width - 1)
        };
        let _ = writeln!(out, "| {bits} | `{}` | {} |", f.name, f.doc);
        at += f.width;
    }
    out.push('\n');
}

/// The reference as Markdown.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Tables, records and reasons\n\nGenerated from `hdl/spec` by `seqnic spec --markdown`; do not edit.\n\n## Tables, in packet order\n\n",
    );
    for t in Table::ALL {
        let _ = writeln!(
            out,
            "### {} (number {})\n\n*{}*\n",
            t.name(),
            t as u8,
            t.question()
        );
        match t.kind() {
            Kind::Hash { key, value } => {
                let _ = writeln!(
                    out,
                    "Hash table; a slot is a bit for each of the two epochs it holds in, the key, the value.\n"
                );
                record(&mut out, key, "Key");
                record(&mut out, value, "Value");
            }
            Kind::Direct { row } => record(&mut out, row, "Row"),
            Kind::Slots { slot } => record(&mut out, slot, "Slot (several a row)"),
            Kind::Rules { slot, rest } => {
                record(&mut out, slot, "Slot (two a row)");
                record(&mut out, rest, "Rest");
                let always = geometry::KNOWN.map(|g| format!("{} on {}", g.rule_always, g.name));
                let _ = writeln!(
                    out,
                    "The last rows, behind those of the banks, are compared for every packet, whatever its key: {}.\n",
                    always.join(", ")
                );
            }
        }
        let _ = writeln!(
            out,
            "| geometry | rows | bits a row | keys |\n| --- | --- | --- | --- |"
        );
        for g in geometry::KNOWN {
            let keys = g
                .hash(t)
                .map_or(String::from("-"), |h| h.capacity().to_string());
            let _ = writeln!(
                out,
                "| {} | {} | {} | {keys} |",
                g.name,
                g.rows(t),
                g.row_bits(t)
            );
        }
        out.push('\n');
    }
    out.push_str("## Counters\n\n| number | set |\n| --- | --- |\n");
    for c in CounterSet::ALL {
        let _ = writeln!(out, "| {} | `{}` |", c as u8, c.name());
    }
    out.push('\n');
    record(&mut out, &COUNTER_ROW, "Row");
    let _ = writeln!(
        out,
        "Number {SNAPSHOT} is the snapshot of all sets: writing row 0 begins one, row 0 is its status, reading row 1\ntakes an item.\n"
    );
    record(&mut out, &SNAPSHOT_STATUS, "Row 0");
    record(&mut out, &SNAPSHOT_TAKEN, "Row 1");
    out.push_str("## Reasons\n\nThe lowest code that holds is the packet's reason.\n\n| code | name | meaning |\n| --- | --- | --- |\n");
    for r in Reason::ALL {
        let _ = writeln!(out, "| {} | `{}` | {} |", *r as u8, r.name(), r.doc());
    }
    out.push_str("\n## Records between stages\n\n");
    for layout in [
        &stage::VERDICT,
        &stage::EDIT,
        &stage::HOST_META,
        &stage::EVENT,
    ] {
        record(&mut out, layout, "Record");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_names_every_table_and_reason() {
        let text = markdown();
        for t in Table::ALL {
            assert!(text.contains(&format!("### {} ", t.name())));
        }
        for r in Reason::ALL {
            assert!(text.contains(&format!("`{}`", r.name())));
        }
        assert_eq!(spec_digest(), spec_digest());
    }
}
