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
        let row = soft::run(*services, args.rounds, args.alone, &mut |line| {
            meter.say(line)
        });
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
        "XDP, same job",
        "XDP, least",
        "of it receiving",
        "seqnic",
        "of it receiving",
        "short way",
        "by the same job",
        "wanted",
        "",
        "by the least",
    ]);
    for r in rows {
        let time = |t: seqnic_bench::Times| format!("{:.1} / {:.1}", t.best, t.median);
        let peer = |of: fn(&soft::Xdp) -> seqnic_bench::Times| {
            r.xdp.as_ref().map_or(String::new(), |x| time(of(x)))
        };
        let ratio = |n: usize| r.ratios().map(|both| both[n]);
        let ratio_of = |n| ratio(n).map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let kept = r.target.zip(ratio(0));
        table.add_row(right([
            r.services.to_string(),
            r.addresses.to_string(),
            peer(|x| x.serve),
            peer(|x| x.dnat),
            peer(|x| x.receive),
            time(r.soft),
            time(r.soft_receive),
            format!("{:.1} %", r.shortened),
            ratio_of(0),
            r.target.map_or(String::new(), |t| format!("{t:.2}")),
            kept.map_or("", |(most, ratio)| met(ratio <= most))
                .to_string(),
            ratio_of(1),
        ]));
    }
    format!(
        "CPU nanoseconds a packet, best / median of {rounds} rounds in turns; ratios of the best, without receiving:\n\
         the making of the next packet, and for XDP the test run around it. The XDP programs check and count\n\
         as the software engine does (same job), or do neither (least).\n\n{table}\n"
    )
}

fn chart(rows: &[Row]) -> String {
    let groups: Vec<Group> = rows
        .iter()
        .map(|r| Group {
            name: format!("{} services", r.services),
            values: r
                .xdp
                .iter()
                .flat_map(|x| [x.serve.best, x.dnat.best])
                .chain([r.soft.best])
                .collect(),
        })
        .collect();
    bars(
        "Match, DNAT, rewrite: CPU time a packet",
        "ns",
        match rows.iter().any(|r| r.xdp.is_some()) {
            true => &[
                "XDP, same job (BPF test run)",
                "XDP, least (BPF test run)",
                "seqnic, software engine",
            ],
            false => &["seqnic, software engine"],
        },
        &groups,
    )
}
