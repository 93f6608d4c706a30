//! `seqnic bench compile`

use super::{failed, met, right, table};
use crate::cli::BenchCompile;
use crate::command::{print, print_json, write_file};
use crate::failure::Outcome;
use crate::terminal::Meter;
use seqnic_bench::Times;
use seqnic_bench::chart::{Group, bars};
use seqnic_bench::compile::image::{self, Image};
use seqnic_bench::compile::{self, CASES, DPDK_TARGET, LIBCUCKOO_TARGET, Row};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Report {
    tables: Vec<Row>,
    image: Image,
}

pub fn run(args: &BenchCompile) -> Outcome {
    let mut meter = Meter::new(args.quiet);
    let mut say = |line: &str| meter.say(line);
    let mut tables = Vec::new();
    for case in CASES.into_iter().filter(|_| !args.alone) {
        tables.push(compile::run(case, args.rounds, &mut say).map_err(failed)?);
    }
    let image = image::run(args.rounds, &mut say).map_err(failed)?;
    drop(meter);
    if let Some(path) = &args.chart {
        write_file(path, chart(&tables).as_bytes())?;
    }
    match args.json {
        true => print_json(&Report { tables, image }),
        false => print(&words(&tables, &image, args.rounds)),
    }
}

fn time(t: Times) -> String {
    format!("{:.1} / {:.1}", t.best, t.median)
}

fn words(tables: &[Row], image: &Image, rounds: u32) -> String {
    let mut text = String::new();
    if !tables.is_empty() {
        text = format!(
            "Building a hash table: CPU nanoseconds a key, best / median of {rounds} rounds in turns; times of the best.\n\
             Wanted: {DPDK_TARGET} times rte_hash, {LIBCUCKOO_TARGET} times libcuckoo.\n\n{}\n\n",
            builds(tables)
        );
    }
    let mut phases = table(&["phase", "ms, best / median"]);
    for phase in &image.phases {
        phases.add_row([phase.name.to_string(), time(phase.time)]);
    }
    phases.add_row(["whole".to_string(), time(image.whole)]);
    text + &format!(
        "{} services, {} bytes of YAML, to an image of {} bytes for `{}`, one core:\n\n{phases}\n",
        image.services, image.definition_bytes, image.image_bytes, image.geometry
    )
}

fn builds(tables: &[Row]) -> String {
    let mut table = table(&[
        "table",
        "keys",
        "bytes a key",
        "load %",
        "seqnic",
        "digest + place + write",
        "rte_hash",
        "times",
        "libcuckoo",
        "times",
        "",
    ]);
    for r in tables {
        let wanted = r.over_rte_hash >= DPDK_TARGET && r.over_libcuckoo >= LIBCUCKOO_TARGET;
        table.add_row(right([
            format!("{} {}", r.geometry, r.table),
            r.keys.to_string(),
            r.key_bytes.to_string(),
            format!("{:.0}", r.load),
            time(r.seqnic),
            format!("{:.1} + {:.1} + {:.1}", r.digest, r.place, r.write),
            time(r.rte_hash),
            format!("{:.1}", r.over_rte_hash),
            time(r.libcuckoo),
            format!("{:.1}", r.over_libcuckoo),
            met(wanted).to_string(),
        ]));
    }
    table.to_string()
}

fn chart(tables: &[Row]) -> String {
    let groups: Vec<Group> = tables
        .iter()
        .map(|r| Group {
            name: format!("{} keys of {} bytes", r.keys, r.key_bytes),
            values: vec![r.libcuckoo.best, r.rte_hash.best, r.seqnic.best],
        })
        .collect();
    let series = ["libcuckoo", "rte_hash (DPDK)", "seqnic"];
    bars(
        "Building a hash table: CPU time a key",
        "ns",
        &series,
        &groups,
    )
}
