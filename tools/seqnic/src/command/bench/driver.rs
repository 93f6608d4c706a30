//! `seqnic bench driver`

use super::{failed, met, right, table};
use crate::cli::BenchDriver;
use crate::command::{print, print_json};
use crate::failure::Outcome;
use crate::terminal::Meter;
use seqnic_bench::driver::{self, Row, WANTED};

pub fn run(args: &BenchDriver) -> Outcome {
    let mut meter = Meter::new(args.quiet);
    let mut rows = Vec::new();
    for bytes in &args.lengths {
        meter.say(&format!("{bytes} bytes"));
        rows.push(driver::run(usize::from(*bytes), args.rounds).map_err(failed)?);
    }
    drop(meter);
    match args.json {
        true => print_json(&rows),
        false => print(&words(&rows, args.rounds)),
    }
}

fn words(rows: &[Row], rounds: u32) -> String {
    let mut table = table(&[
        "bytes",
        "from the card",
        "packets",
        "to the card",
        "the copy alone",
        "packets",
        "",
    ]);
    for r in rows {
        let time = |t: seqnic_bench::Times| format!("{:.1} / {:.1}", t.best, t.median);
        table.add_row(right([
            r.bytes.to_string(),
            time(r.receive),
            r.receive_packets.to_string(),
            time(r.send),
            time(r.copy),
            r.send_packets.to_string(),
            met(r.met()).to_string(),
        ]));
    }
    format!(
        "CPU nanoseconds a packet of the driver alone, best / median of {rounds} rounds; wanted are {WANTED} for the best,\n\
         to the card besides the copy. The card is in memory and works outside of what is measured. To the card each frame\n\
         is copied: what memcpy takes for that alone, to memory as large as the ring, stands beside.\n\n{table}\n"
    )
}
