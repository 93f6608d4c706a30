//! `seqnic bench`

mod acl;
mod compile;
mod driver;
mod placement;
mod soft;

use super::{print, print_json};
use crate::cli::{Bench, BenchRtl, BenchWhat};
use crate::failure::{Failure, Outcome};
use crate::terminal::Meter;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use seqnic_bench::full::{self, Filled};
use seqnic_spec::geometry;
use seqnic_spec::tables::Table as Rows;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use seqnic_verilated::Rtl;
use seqnic_verilated::bench::services::{self, Length, Services};
use seqnic_verilated::bench::{
    self, BenchError, Copies, Flood, Load, Overload, Pressed, Snapped, Spread,
};
use serde::Serialize;

/// Services of a small card, whose tables have no room for more.
const SMALL: u32 = 150;
/// Services of the others.
const MANY: u32 = 20_000;
/// Length of the frames of which there are too many.
const OVERLOAD: Length = Length::Bytes(512);
/// So many of them that the output's queue overflows, whatever `--frames` says.
const OVERLOAD_FRAMES: u32 = 4000;
/// Frames of a flood, of each output and each kind of it.
const FLOOD_FRAMES: u32 = 2000;
/// Frames with copies.
const COPIES_FRAMES: u32 = 2000;
/// Where the rows tables are filled up with start.
const FILL_SEED: u64 = 1;
/// Lengths with pauses, and while counters are read.
const PRESSED: [Length; 3] = [Length::Bytes(60), Length::Bytes(1518), Length::Mix];
/// At least so many frames while counters are read: the walk through the rows goes on while they pass.
const SNAPPED_FRAMES: u32 = 8000;

#[derive(Debug, Serialize)]
struct Report {
    geometry: &'static str,
    bus_bytes: u32,
    clocks_per_header: u32,
    ports: u32,
    services: u32,
    devices: u32,
    /// Rows of the table of steps the services need.
    step_rows: usize,
    /// How full the tables are.
    filled: Vec<Filled>,
    loads: Vec<Load>,
    /// Of every length, if asked.
    every: Vec<Load>,
    overload: Overload,
    flood: Vec<Flood>,
    copies: Vec<Copies>,
    pressed: Vec<Pressed>,
    snapped: Vec<Snapped>,
}

pub fn run(args: &Bench) -> Outcome {
    match &args.what {
        BenchWhat::Rtl(args) => rtl(args),
        BenchWhat::Soft(args) => soft::run(args),
        BenchWhat::Driver(args) => driver::run(args),
        BenchWhat::Compile(args) => compile::run(args),
        BenchWhat::Acl(args) => acl::run(args),
        BenchWhat::Placement(args) => placement::run(args),
    }
}

fn rtl_failed(error: BenchError) -> Failure {
    match error {
        BenchError::TooFew { .. } | BenchError::Length { .. } => Failure::usage(error),
        _ => Failure::failed(error),
    }
}

fn failed(error: seqnic_bench::BenchError) -> Failure {
    Failure::failed(error)
}

/// A row of figures.
fn right<const N: usize>(cells: [String; N]) -> [Cell; N] {
    cells.map(|c| Cell::new(c).set_alignment(CellAlignment::Right))
}

fn rtl(args: &BenchRtl) -> Outcome {
    let geometry = geometry::by_name(&args.geometry)
        .ok_or_else(|| Failure::usage(format!("no geometry `{}`", args.geometry)))?;
    let small = geometry.name == geometry::EDGE.name;
    let count = args.services.unwrap_or(if small { SMALL } else { MANY });
    let mut meter = Meter::new(args.quiet);
    meter.say(&format!("compiling {count} services"));
    let services = Services::new(geometry, count);
    let refused = |found: Vec<seqnic_compiler::diagnostic::Diagnostic>| {
        let why = found.first().map_or("", |d| d.message.as_str());
        Failure::usage(format!(
            "--services {count} on geometry `{}`: {why}; ask for fewer",
            geometry.name
        ))
    };
    let definition = seqnic_compiler::read(&services.yaml()).map_err(refused)?;
    let mut image = seqnic_compiler::compile(&definition).map_err(refused)?;
    let step_rows = image.table(Rows::Step).used().count();
    let filled = match args.fill {
        0 => vec![],
        percent => {
            meter.say(&format!("filling tables to {percent} %"));
            full::fill(&mut image, percent, FILL_SEED).map_err(Failure::failed)?
        }
    };
    meter.say("loading tables");
    let mut rtl = Rtl::load(&image, None, &mut |line| meter.say(line)).map_err(Failure::failed)?;
    let mut loads = Vec::new();
    for length in &args.lengths {
        meter.say(&format!("length {length}: {} frames", args.frames));
        loads.push(bench::load(&mut rtl, &services, *length, args.frames).map_err(rtl_failed)?);
    }
    let mut every = Vec::new();
    if let Some(frames) = args.every_length {
        for bytes in services::SHORTEST..=MAX_FRAME_BYTES {
            if bytes % 64 == 0 {
                meter.say(&format!("every length: {bytes} bytes"));
            }
            let load = bench::load(&mut rtl, &services, Length::Bytes(bytes), frames);
            every.push(load.map_err(rtl_failed)?);
        }
    }
    meter.say("outputs are flooded in turn");
    let flood = bench::flood(&mut rtl, &services, FLOOD_FRAMES).map_err(rtl_failed)?;
    meter.say("copies");
    let copies = [false, true]
        .map(|slow| bench::copies(&mut rtl, &services, COPIES_FRAMES, slow).map_err(rtl_failed));
    let copies = copies.into_iter().collect::<Result<_, _>>()?;
    meter.say("one output stalls");
    let overload = bench::overload(&mut rtl, &services, OVERLOAD, OVERLOAD_FRAMES);
    let (mut pressed, mut snapped) = (vec![], vec![]);
    for length in PRESSED {
        meter.say(&format!("length {length}: inputs pause, outputs stall"));
        let found = bench::pressed(&mut rtl, &services, length, args.frames);
        pressed.push(found.map_err(rtl_failed)?);
        meter.say(&format!("length {length}: counters are read"));
        let frames = args.frames.max(SNAPPED_FRAMES);
        let found = bench::snapped(&mut rtl, &services, length, frames);
        snapped.push(found.map_err(rtl_failed)?);
    }
    drop(meter);
    let report = Report {
        geometry: geometry.name,
        bus_bytes: geometry.bus_bytes,
        clocks_per_header: geometry.clocks_per_header,
        ports: geometry.ports,
        services: count,
        devices: services.devices(),
        step_rows,
        filled,
        loads,
        every,
        flood,
        copies,
        overload: overload.map_err(rtl_failed)?,
        pressed,
        snapped,
    };
    match args.json {
        true => print_json(&report),
        false => print(&words(&report)),
    }
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn words(report: &Report) -> String {
    let gap = bench::gap(report.bus_bytes);
    let o = &report.overload;
    let each = o.offered + o.others;
    format!(
        "geometry {}: {} ports, bus of {} bytes; {} services, {} devices, {} rows of steps of theirs\n\n\
         {}\
         All ports offer frames back to back, forward and return. Clocks from the first beat that left\n\
         to the last; the rule is one beat a clock{}, {gap} more at most in the whole run.\n\
         Latency in clocks, first beat in to first beat out: least / median / most.\n\n\
         {}\n\n\
         {}\
         {each} frames of {} bytes from all ports, three of four to port {}, which is not ready in {} % of clocks:\n\n\
         {}\n\n\
         Inputs pause and outputs stall, each in so many of a hundred clocks at random:\n\n\
         {}\n\n\
         A snapshot of all counters, begun as all ports offer frames back to back:\n\n\
         {}\n\n\
         {}\
         Every frame leaves with a copy, all ports back to back; then all copies for one output that is not ready in so\n\
         many clocks:\n\n\
         {}\n",
        report.geometry,
        report.ports,
        report.bus_bytes,
        report.services,
        report.devices,
        report.step_rows,
        filled(&report.filled),
        match report.clocks_per_header {
            1 => String::new(),
            least => format!(", two more a frame and {least} at least"),
        },
        loads(&report.loads),
        every(&report.every),
        OVERLOAD,
        o.port,
        o.stalled_percent,
        overload(o),
        pressed(&report.pressed),
        snapped(&report.snapped),
        floods(&report.flood),
        copies(&report.copies),
    )
}

fn filled(all: &[Filled]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let one = |f: &Filled| format!("{} {:.1}", f.table, f.percent());
    let all: Vec<String> = all.iter().map(one).collect();
    let lines: Vec<String> = all.chunks(8).map(|line| line.join(", ")).collect();
    format!(
        "Tables filled to so many percent:\n{}.\n\n",
        lines.join(",\n")
    )
}

fn every(all: &[Load]) -> String {
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return String::new();
    };
    let right = |l: &&Load| l.met && l.out_of_order + l.damaged == 0;
    let wrong: Vec<Load> = all.iter().filter(|l| !right(l)).cloned().collect();
    let least = all.iter().map(|l| l.unloaded.least).min().unwrap_or(0);
    let most = all.iter().map(|l| l.unloaded.most).max().unwrap_or(0);
    let text = format!(
        "Every length from {} to {}, {} frames of each: of {} lengths {} as the rule says, nothing lost, in order, whole;\n\
         latency of a frame alone {least} to {most} clocks.\n\n",
        first.length,
        last.length,
        first.frames,
        all.len(),
        all.len() - wrong.len(),
    );
    match wrong.is_empty() {
        true => text,
        false => format!("{text}{}\n\n", loads(&wrong)),
    }
}

fn floods(all: &[Flood]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut table = table(&[
        "output",
        "flood",
        "lost",
        "output_full",
        "in its share",
        "lost",
        "latency",
        "strict",
        "lost",
        "latency",
        "flood's latency",
        "others lost",
        "shares (due)",
        "rule",
    ]);
    for f in all {
        let shares: Vec<String> = f
            .shares
            .iter()
            .map(|s| format!("{:.1} ({:.1})", s.percent, s.due_percent))
            .collect();
        table.add_row(right([
            f.port.to_string(),
            f.flood.to_string(),
            f.flood_lost.to_string(),
            f.output_full.to_string(),
            f.weighted.to_string(),
            f.weighted_lost.to_string(),
            f.weighted_latency.to_string(),
            f.strict.to_string(),
            f.strict_lost.to_string(),
            f.strict_latency.to_string(),
            f.flood_latency.to_string(),
            f.others_lost.to_string(),
            shares.join(", "),
            met(f.met).to_string(),
        ]));
    }
    format!(
        "An output that is ready in one clock of four, flooded by one service; another within its share, one strict. Latency: the most\n\
         clocks of one of them. Shares of the output in percent while three queues have too much:\n\n{table}\n\n"
    )
}

fn copies(all: &[Copies]) -> String {
    let mut table = table(&[
        "stalls",
        "frames",
        "lost",
        "copies lost",
        "output_full",
        "damaged",
        "out of order",
        "beats out",
        "clocks",
        "inputs done after",
        "rule",
    ]);
    for c in all {
        table.add_row(right([
            c.stalled_percent.to_string(),
            c.frames.to_string(),
            c.lost.to_string(),
            c.copies_lost.to_string(),
            c.output_full.to_string(),
            c.damaged.to_string(),
            c.out_of_order.to_string(),
            c.beats_out.to_string(),
            c.clocks.to_string(),
            format!("{} to {}", c.inputs.0, c.inputs.1),
            met(c.met).to_string(),
        ]));
    }
    table.to_string()
}

fn spread(s: Spread) -> String {
    format!("{} / {} / {}", s.least, s.median, s.most)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}

fn loads(loads: &[Load]) -> String {
    let mut table = table(&[
        "bytes",
        "frames",
        "beats",
        "clocks",
        "beats/packet",
        "clocks/packet",
        "rule",
        "lost",
        "out of order",
        "damaged",
        "latency, unloaded",
        "latency, full load",
        "simulated clocks/s",
    ]);
    for l in loads {
        let cells = [
            l.length.clone(),
            l.frames.to_string(),
            l.beats.to_string(),
            l.clocks.to_string(),
            format!("{:.3}", l.beats_per_packet),
            format!("{:.3}", l.clocks_per_packet),
            met(l.met).to_string(),
            l.lost.to_string(),
            l.out_of_order.to_string(),
            l.damaged.to_string(),
            spread(l.unloaded),
            spread(l.loaded),
            format!("{:.0}", l.simulated_clocks_a_second),
        ];
        table.add_row(cells.map(|c| Cell::new(c).set_alignment(CellAlignment::Right)));
    }
    table.to_string()
}

fn pressed(all: &[Pressed]) -> String {
    let mut table = table(&[
        "bytes",
        "frames",
        "pauses",
        "stalls",
        "clocks",
        "lost",
        "out of order",
        "damaged",
        "rule",
    ]);
    for p in all {
        table.add_row(right([
            p.length.clone(),
            p.frames.to_string(),
            p.paused_percent.to_string(),
            p.stalled_percent.to_string(),
            p.clocks.to_string(),
            p.lost.to_string(),
            p.out_of_order.to_string(),
            p.damaged.to_string(),
            met(p.met).to_string(),
        ]));
    }
    table.to_string()
}

fn snapped(all: &[Snapped]) -> String {
    let mut table = table(&[
        "bytes",
        "frames",
        "clocks by the rule",
        "clocks",
        "lost",
        "directed before",
        "in the snapshot",
        "counters",
        "torn",
    ]);
    for s in all {
        table.add_row(right([
            s.length.clone(),
            s.frames.to_string(),
            s.due.to_string(),
            s.clocks.to_string(),
            s.lost.to_string(),
            s.before.to_string(),
            s.directed.to_string(),
            s.counters.to_string(),
            if s.torn { "yes" } else { "no" }.to_string(),
        ]));
    }
    table.to_string()
}

fn overload(o: &Overload) -> String {
    let mut table = table(&["what", "figure"]);
    let rows = [
        ("offered to that port", o.offered),
        ("dropped there", o.dropped),
        ("counted as output_full", o.output_full),
        ("left, but not whole", o.damaged),
        ("offered to other ports", o.others),
        ("lost there", o.others_lost),
        ("out of order", o.out_of_order),
        ("beats taken in", o.beats_in),
        ("clocks that took", o.clocks_in),
    ];
    for (what, figure) in rows {
        table.add_row([
            Cell::new(what),
            Cell::new(figure).set_alignment(CellAlignment::Right),
        ]);
    }
    table.add_row([
        Cell::new("dropped whole, counted, nobody else lost"),
        Cell::new(met(o.met)),
    ]);
    table.to_string()
}
