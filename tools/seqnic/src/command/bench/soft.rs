//! `seqnic bench soft`

use super::{failed, met, right, table};
use crate::cli::BenchSoft;
use crate::command::{print, print_json, write_file};
use crate::failure::Outcome;
use crate::terminal::Meter;
use seqnic_bench::chart::{Group, bars};
use seqnic_bench::soft::{self, Row};

pub fn run(args: &BenchSoft) -> Outcome {
    let mut meter = Meter::new(args.quiet);
    let mut rows = Vec::new();
    for services in &args.services {
        let row = soft::run(*services, args.rounds, &mut |line| meter.say(line));
        rows.push(row.map_err(failed)?);
    }
    drop(meter);
    if let Some(path) = &args.chart {
        write_file(path, chart(&rows).as_bytes())?;
    }
    match args.json {
        true => print_json(&rows),
        false => print(&words(&rows, args.rounds)),
    }
}

fn words(rows: &[Row], rounds: u32) -> String {
    let mut table = table(&[
        "services",
        "addresses",
        "XDP",
        "of it receiving",
        "seqnic",
        "of it receiving",
        "ratio",
        "ratio without receiving",
        "wanted",
        "",
    ]);
    for r in rows {
        let time = |t: seqnic_bench::Times| format!("{:.1} / {:.1}", t.best, t.median);
        table.add_row(right([
            r.services.to_string(),
            r.addresses.to_string(),
            time(r.xdp),
            time(r.xdp_receive),
            time(r.soft),
            time(r.soft_receive),
            format!("{:.2}", r.ratio),
            format!("{:.2}", r.ratio_net),
            r.target.map_or(String::new(), |t| format!("{t:.2}")),
            r.target.map_or("", |t| met(r.ratio_net <= t)).to_string(),
        ]));
    }
    format!(
        "CPU nanoseconds a packet, best / median of {rounds} rounds in turns; ratios of the best.\n\
         `receiving` is the making of the next packet, and for XDP the test run around it.\n\n{table}\n"
    )
}

fn chart(rows: &[Row]) -> String {
    let groups: Vec<Group> = rows
        .iter()
        .map(|r| Group {
            name: format!("{} services", r.services),
            values: vec![r.xdp.best, r.soft.best],
        })
        .collect();
    bars(
        "Match, DNAT, rewrite: CPU time a packet",
        "ns",
        &["XDP (BPF test run)", "seqnic, software engine"],
        &groups,
    )
}
