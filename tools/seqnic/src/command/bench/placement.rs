//! `seqnic bench placement`

use super::{right, table};
use crate::cli::BenchPlacement;
use crate::command::{print, print_json};
use crate::failure::{Failure, Outcome};
use crate::terminal::Meter;
use seqnic_bench::compile::placement::{self, Shape};

pub fn run(args: &BenchPlacement) -> Outcome {
    let mut meter = Meter::new(args.quiet);
    let mut shapes = Vec::new();
    for (size, tables) in placement::shapes() {
        if size.capacity() > args.largest {
            continue;
        }
        let slots = size.capacity();
        meter.say(&format!("{slots} slots: {} runs", args.seeds));
        shapes.push(placement::run(size, tables, args.load, args.seeds));
    }
    drop(meter);
    match args.json {
        true => print_json(&shapes)?,
        false => print(&words(&shapes, args.load))?,
    }
    match shapes.iter().any(|shape| shape.failed > 0) {
        true => Err(Failure::Found),
        false => Ok(()),
    }
}

fn words(shapes: &[Shape], load: u32) -> String {
    let mut table = table(&[
        "tables",
        "ways x slots x rows",
        "keys",
        "runs",
        "at the first seeds",
        "most choices of seeds",
        "failed",
    ]);
    for s in shapes {
        table.add_row(right([
            s.tables.join(", "),
            format!("{} x {} x {}", s.ways, s.slots, s.rows),
            s.keys.to_string(),
            s.runs.to_string(),
            s.first.to_string(),
            s.most_attempts.to_string(),
            s.failed.to_string(),
        ]));
    }
    format!("Random keys in {load} % of the slots, placed anew for each seed:\n\n{table}\n")
}
