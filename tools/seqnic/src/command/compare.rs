//! `seqnic compare`

use super::{plural, print, print_json};
use crate::cli::{Compare, EngineName};
use crate::engines;
use crate::failure::{Failure, Outcome};
use crate::load;
use crate::packet::headers::Headers;
use crate::terminal::{Meter, Terminal};
use seqnic_engine::{Count, CounterKey, Counters, Output};
use seqnic_image::names::InterfaceName;
use seqnic_replay::counters::Undelivered;
use seqnic_replay::feed::{self, Batch, Feed};
use seqnic_replay::run::count_undelivered;
use seqnic_replay::{Input, Merge, Packet, Progress};
use seqnic_spec::reason::Reason;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Counters shown that differ; more are only counted.
const MAX_COUNTERS: usize = 20;

#[derive(Debug, Serialize)]
struct Report {
    engines: Vec<&'static str>,
    packets: u64,
    undelivered: Undelivered,
    equal: bool,
    difference: Option<Difference>,
}

/// The first difference between the first engine and another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    Packet {
        id: u64,
        time: seqnic_replay::Time,
        file: String,
        input: String,
        /// Number within the file.
        packet: u64,
        frame: String,
        /// What became of it, by engine.
        outcomes: [Outcomes; 2],
    },
    Counters {
        engines: [&'static str; 2],
        differing: usize,
        counters: Vec<CounterDifference>,
    },
}

#[derive(Debug, Serialize)]
struct Outcomes {
    engine: &'static str,
    outputs: Vec<OutputWords>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum OutputWords {
    Sent {
        interface: String,
        frame: String,
    },
    Host {
        reason: &'static str,
        port: u8,
        interface: Option<String>,
        attachment: Option<String>,
        service: Option<String>,
        direction: Option<&'static str>,
        frame: String,
    },
}

#[derive(Debug, Serialize)]
struct CounterDifference {
    counter: String,
    values: [Count; 2],
}

pub fn run(args: &Compare, terminal: Terminal) -> Outcome {
    let inputs = engines::inputs(&args.inputs)?;
    let names = distinct(&args.engines)?;
    let tables = load::tables(&args.tables, terminal)?;
    let interfaces = &tables.image.names.interfaces;
    let ports = feed::ports(interfaces, inputs.iter().map(|i| i.interface.as_str()))?;
    for name in &names {
        engines::check(*name, &tables, None)?;
    }
    let mut merge = Merge::open(&inputs, args.inputs.keep_going)?;
    let mut meter = Meter::new(args.quiet);
    let mut built = names
        .iter()
        .map(|name| engines::build(*name, &tables, None, &mut meter))
        .collect::<Result<Vec<_>, _>>()?;
    let feeds = built
        .iter_mut()
        .map(|engine| Feed::new(engine.as_mut(), interfaces, ports.clone()))
        .collect();
    let report = compare(&mut merge, feeds, interfaces, &inputs, &mut |p| meter.at(p));
    drop(meter);
    let report = report?;
    for warning in merge.notes().flat_map(|i| i.warnings()) {
        terminal.warn(&warning);
    }
    match args.json {
        true => print_json(&report)?,
        false => print(&words(&report))?,
    }
    match report.equal {
        true => Ok(()),
        false => Err(Failure::Found),
    }
}

fn distinct(engines: &[EngineName]) -> Result<Vec<EngineName>, Failure> {
    let mut names = Vec::new();
    for name in engines {
        if names.contains(name) {
            return Err(Failure::usage("--engines names an engine twice"));
        }
        names.push(*name);
    }
    if names.len() < 2 {
        return Err(Failure::usage("--engines needs two engines or more"));
    }
    Ok(names)
}

fn compare(
    merge: &mut Merge,
    mut feeds: Vec<Feed>,
    interfaces: &[InterfaceName],
    inputs: &[Input],
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Failure> {
    let mut report = Report {
        engines: feeds.iter().map(Feed::name).collect(),
        packets: 0,
        undelivered: Undelivered::default(),
        equal: true,
        difference: None,
    };
    loop {
        let batch = Batch::next(merge)?;
        if batch.is_empty() {
            break;
        }
        let outputs = feeds
            .iter_mut()
            .map(|f| f.feed(&batch))
            .collect::<Result<Vec<_>, _>>()?;
        let first = (1..outputs.len())
            .filter_map(|other| Some((differing(&outputs[0], &outputs[other])?, other)))
            .min();
        if let Some((id, other)) = first
            && let Some(packet) = batch.packet(id)
        {
            report.packets += id - batch.packets()[0].id + 1;
            report.equal = false;
            let outcomes = [0, other].map(|e| Outcomes {
                engine: report.engines[e],
                outputs: of(&outputs[e], id).map(|o| output(interfaces, o)).collect(),
            });
            report.difference = Some(difference(packet, inputs, outcomes));
            return Ok(report);
        }
        report.packets += batch.packets().len() as u64;
        count_undelivered(&batch, &mut report.undelivered);
        progress(Progress {
            packets: report.packets,
            bytes: merge.bytes_read(),
            total: merge.bytes_total(),
        });
    }
    let counters = feeds
        .into_iter()
        .map(Feed::finish)
        .collect::<Result<Vec<_>, _>>()?;
    for (other, found) in counters.iter().enumerate().skip(1) {
        let differing = counter_differences(&counters[0], found);
        if !differing.is_empty() {
            report.equal = false;
            report.difference = Some(Difference::Counters {
                engines: [report.engines[0], report.engines[other]],
                differing: differing.len(),
                counters: differing.into_iter().take(MAX_COUNTERS).collect(),
            });
            break;
        }
    }
    Ok(report)
}

fn of(outputs: &[Output], id: u64) -> impl Iterator<Item = &Output> {
    outputs.iter().filter(move |o| o.id() == id)
}

/// The first packet that two engines treat differently. Both lists are sorted by packet.
fn differing(a: &[Output], b: &[Output]) -> Option<u64> {
    let at = a.iter().zip(b).position(|(a, b)| a != b);
    let at = at.unwrap_or(a.len().min(b.len()));
    let ids = [a.get(at), b.get(at)].into_iter().flatten().map(Output::id);
    ids.min()
}

fn hex(frame: &[u8]) -> String {
    frame.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn difference(packet: &Packet, inputs: &[Input], outcomes: [Outcomes; 2]) -> Difference {
    let input = &inputs[packet.input];
    Difference::Packet {
        id: packet.id,
        time: packet.time,
        file: input.path.display().to_string(),
        input: input.interface.clone(),
        packet: packet.number,
        frame: hex(&packet.frame),
        outcomes,
    }
}

fn output(interfaces: &[InterfaceName], output: &Output) -> OutputWords {
    let name = |n: u32| {
        let interface = interfaces.get(n as usize);
        interface.map_or_else(|| format!("number {n}"), |i| i.name.clone())
    };
    match output {
        Output::Sent(s) => OutputWords::Sent {
            interface: name(s.interface),
            frame: hex(&s.frame),
        },
        Output::Host(h) => OutputWords::Host {
            reason: h.reason.name(),
            port: h.port,
            interface: h.interface.map(name),
            attachment: h.attachment.clone(),
            service: h.service.as_ref().map(|(s, _)| s.clone()),
            direction: h.service.as_ref().map(|(_, d)| d.name()),
            frame: hex(&h.frame),
        },
    }
}

fn counter_differences(a: &Counters, b: &Counters) -> Vec<CounterDifference> {
    let keys: BTreeSet<&CounterKey> = a.0.keys().chain(b.0.keys()).collect();
    let value = |c: &Counters, key| c.0.get(key).copied().unwrap_or_default();
    keys.into_iter()
        .map(|key| (key, [value(a, key), value(b, key)]))
        .filter(|(_, [a, b])| a != b)
        .map(|(key, values)| CounterDifference {
            counter: key.to_string(),
            values,
        })
        .collect()
}

fn words(report: &Report) -> String {
    let engines = report.engines.join(", ");
    let Some(difference) = &report.difference else {
        return format!("{engines} agree on {}\n", plural(report.packets, "packet"));
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match difference {
        Difference::Packet {
            id,
            time,
            file,
            input,
            packet,
            frame,
            outcomes,
        } => packet_words(
            &mut text,
            &format!("packet {id} ({file} packet {packet}, {time} s, arriving on {input})"),
            frame,
            outcomes,
        ),
        Difference::Counters {
            engines,
            differing,
            counters,
        } => counter_words(&mut text, report.packets, *engines, *differing, counters),
    };
    text
}

fn packet_words(
    text: &mut String,
    packet: &str,
    frame: &str,
    outcomes: &[Outcomes; 2],
) -> std::fmt::Result {
    let [a, b] = outcomes;
    writeln!(text, "{} and {} differ at {packet}", a.engine, b.engine)?;
    writeln!(text, "  in  {}", headers(frame))?;
    writeln!(text, "      {frame}")?;
    for outcome in outcomes {
        writeln!(text, "{}:", outcome.engine)?;
        if outcome.outputs.is_empty() {
            writeln!(
                text,
                "  nothing: every copy dropped ({})",
                Reason::OutputFull.name()
            )?;
        }
        for output in &outcome.outputs {
            match output {
                OutputWords::Sent { interface, frame } => {
                    writeln!(text, "  out {interface}  {}", headers(frame))?;
                    writeln!(text, "      {frame}")?;
                }
                OutputWords::Host {
                    reason,
                    port,
                    interface,
                    attachment,
                    service,
                    direction,
                    frame,
                } => {
                    let or = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".into());
                    writeln!(
                        text,
                        "  host {reason}, port {port}, interface {}, sender {}, service {} {}",
                        or(interface),
                        or(attachment),
                        or(service),
                        direction.unwrap_or_default()
                    )?;
                    writeln!(text, "      {frame}")?;
                }
            }
        }
    }
    Ok(())
}

fn headers(frame: &str) -> String {
    let bytes = crate::packet::make::hex(frame).unwrap_or_default();
    let h = Headers::of(&bytes);
    let parts = [h.ethernet(), h.addresses(), h.transport()];
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    format!("{}, {} bytes", parts.join(", "), bytes.len())
}

fn counter_words(
    text: &mut String,
    packets: u64,
    engines: [&str; 2],
    differing: usize,
    counters: &[CounterDifference],
) -> std::fmt::Result {
    let [a, b] = engines;
    writeln!(
        text,
        "{a} and {b} agree on every frame of {}, but {} not the same",
        plural(packets, "packet"),
        match differing {
            1 => "1 counter is".to_string(),
            n => format!("{n} counters are"),
        }
    )?;
    for difference in counters {
        writeln!(text, "  {}", difference.counter)?;
        for (engine, value) in engines.iter().zip(difference.values) {
            writeln!(
                text,
                "    {engine:<7} {} packets, {} bytes",
                value.packets, value.bytes
            )?;
        }
    }
    if differing > counters.len() {
        writeln!(text, "  and {} more", differing - counters.len())?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
