//! `seqnic replay`

use super::{plural, print, print_json};
use crate::cli::Replay;
use crate::engines;
use crate::failure::Outcome;
use crate::load;
use crate::terminal::{Meter, Terminal};
use seqnic_replay::{Options, Summary};

pub fn run(args: &Replay, terminal: Terminal) -> Outcome {
    let inputs = engines::inputs(&args.inputs)?;
    let tables = load::tables(&args.tables, terminal)?;
    let interfaces = &tables.image.names.interfaces;
    // Building the simulator may take minutes: what can be refused before is.
    let options = Options {
        force: args.force,
        keep_going: args.inputs.keep_going,
    };
    engines::check(args.engine, &tables, args.wave.as_deref())?;
    seqnic_replay::check(interfaces, &inputs, &args.out, options)?;
    let mut meter = Meter::new(args.quiet);
    let mut engine = engines::build(args.engine, &tables, args.wave.as_deref(), &mut meter)?;
    let summary = seqnic_replay::run(
        engine.as_mut(),
        interfaces,
        &inputs,
        &args.out,
        options,
        &mut |progress| meter.at(progress),
    );
    drop(meter);
    let summary = summary?;
    for warning in summary.inputs.iter().flat_map(|i| i.warnings()) {
        terminal.warn(&warning);
    }
    if args.json {
        return print_json(&summary);
    }
    if args.quiet {
        return Ok(());
    }
    print(&format!(
        "{}result in {}\n",
        words(&summary),
        args.out.display()
    ))
}

fn words(summary: &Summary) -> String {
    let mut text = format!(
        "{} through {}: {} directed ({} sent), {} to the host\n",
        plural(summary.packets, "packet"),
        summary.engine,
        summary.directed,
        plural(summary.sent, "frame"),
        summary.host,
    );
    for (reason, count) in &summary.exceptions {
        text.push_str(&format!("  {reason:<16} {count}\n"));
    }
    let undelivered = summary.undelivered;
    for (what, count) in [
        ("empty", undelivered.empty),
        ("oversize", undelivered.oversize),
    ] {
        if count > 0 {
            text.push_str(&format!("  not delivered, {what}: {count}\n"));
        }
    }
    text
}
