//! `seqnic bench acl`

use super::{failed, met, right, table};
use crate::cli::BenchAcl;
use crate::command::{print, print_json};
use crate::failure::Outcome;
use crate::terminal::Meter;
use seqnic_bench::Times;
use seqnic_bench::acl::{self, Row, TARGET};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Report {
    sets: Vec<Row>,
    /// Sets that were refused, and why.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    shape: &'static str,
    rules: usize,
    v6: bool,
    why: String,
}

pub fn run(args: &BenchAcl) -> Outcome {
    let mut meter = Meter::new(args.quiet);
    let mut say = |line: &str| meter.say(line);
    let sizes: Vec<usize> = args.rules.iter().map(|n| *n as usize).collect();
    let mut report = Report {
        sets: Vec::new(),
        refused: Vec::new(),
    };
    for case in acl::cases(&sizes) {
        match acl::run(case, args.rounds, args.packets as usize, &mut say) {
            Ok(row) => report.sets.push(row),
            Err(seqnic_bench::BenchError::Definition { what, .. }) => {
                report.refused.push(Refused {
                    shape: case.shape.name(),
                    rules: case.rules,
                    v6: case.v6,
                    why: what,
                });
            }
            Err(error) => return Err(failed(error)),
        }
    }
    drop(meter);
    match args.json {
        true => print_json(&report),
        false => print(&words(&report, args)),
    }
}

fn time(t: Times) -> String {
    format!("{:.1} / {:.1}", t.best, t.median)
}

fn family(v6: bool) -> String {
    if v6 { "IPv6" } else { "IPv4" }.to_string()
}

fn words(report: &Report, args: &BenchAcl) -> String {
    let mut table = table(&[
        "set",
        "rules",
        "",
        "seqnic, ms",
        "rte_acl, ms",
        "times",
        "",
        "stored",
        "as prefixes",
        "bytes a rule",
        "of rte_acl",
        "load %",
        "look-up, ns",
        "of rte_acl",
        "held %",
    ]);
    for r in &report.sets {
        table.add_row(right([
            r.shape.to_string(),
            r.rules.to_string(),
            family(r.v6),
            time(r.seqnic.less(r.seqnic_without)),
            time(r.rte_acl),
            format!("{:.1}", r.over_rte_acl),
            met(r.over_rte_acl >= TARGET).to_string(),
            format!("{:.2}", r.replication),
            format!("{:.2}", r.prefix_expansion),
            format!("{:.0}", r.bytes_a_rule),
            format!("{:.0}", r.rte_acl_bytes_a_rule),
            format!("{:.1}", r.load),
            time(r.lookup),
            time(r.rte_acl_lookup),
            format!("{:.0}", r.held as f64 * 100.0 / r.packets.max(1) as f64),
        ]));
    }
    let refused = report.refused.iter().map(|r| {
        format!(
            "refused: {} {} {}: {}\n",
            r.shape,
            r.rules,
            family(r.v6),
            r.why
        )
    });
    format!(
        "Rule sets, from the checked definition to the rows of geometry alveo, and by rte_acl: CPU time, best / median\n\
         of {} rounds in turns; wanted: {TARGET} times. Stored: rows a rule; as prefixes: entries a memory that knows\n\
         no ranges would need. {} packets were answered alike by both.\n\n{table}\n{}",
        args.rounds,
        args.packets,
        refused.collect::<String>()
    )
}
