//! `seqnic legs`

use super::{print, print_json_line};
use crate::book::Book;
use crate::cli::Legs;
use crate::engines;
use crate::failure::{Failure, Outcome};
use crate::load;
use crate::packet::headers::Headers;
use crate::terminal::{Meter, Terminal};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use seqnic_engine::{Host, Output, Sent};
use seqnic_image::Image;
use seqnic_replay::feed::{self, Batch, Feed};
use seqnic_replay::{Input, Merge, Packet};
use serde::Serialize;

/// A packet and what became of it.
#[derive(Debug, Serialize)]
struct Leg {
    /// Number over all inputs.
    packet: u64,
    time: seqnic_replay::Time,
    r#in: Seen,
    out: Vec<Seen>,
}

/// A frame at the edge of the engine.
#[derive(Debug, Serialize)]
struct Seen {
    /// Interface, `host`, or `-`.
    interface: String,
    ethernet: String,
    addresses: String,
    transport: String,
    length: usize,
    /// Who sent it or where it goes, as far as the tables know.
    party: Option<String>,
    /// What the engine did to it, or why it did nothing.
    done: Vec<String>,
}

pub fn run(args: &Legs, terminal: Terminal) -> Outcome {
    let inputs = engines::inputs(&args.inputs)?;
    let tables = load::tables(&args.tables, terminal)?;
    let image = &tables.image;
    let interfaces = &image.names.interfaces;
    let ports = feed::ports(interfaces, inputs.iter().map(|i| i.interface.as_str()))?;
    let mut merge = Merge::open(&inputs, args.inputs.keep_going)?;
    let mut meter = Meter::new(false);
    let mut engine = engines::build(args.engine, &tables, None, &mut meter)?;
    drop(meter);
    let teller = Teller {
        book: Book::new(image),
        image,
        ports: &ports,
        inputs: &inputs,
    };
    let mut feed = Feed::new(engine.as_mut(), interfaces, ports.clone());
    loop {
        let batch = Batch::next(&mut merge)?;
        if batch.is_empty() {
            break;
        }
        let outputs = feed.feed(&batch)?;
        let legs = legs(&teller, &batch, &outputs);
        match args.json {
            true => legs.iter().try_for_each(print_json_line)?,
            false => print(&table(&legs, terminal.output()))?,
        }
    }
    feed.finish().map_err(Failure::from)?;
    for warning in merge.notes().flat_map(|i| i.warnings()) {
        terminal.warn(&warning);
    }
    Ok(())
}

/// The legs of a batch; `outputs` are sorted by packet.
fn legs(teller: &Teller, batch: &Batch, outputs: &[Output]) -> Vec<Leg> {
    let mut rest = outputs;
    let mut legs = Vec::with_capacity(batch.packets().len());
    for packet in batch.packets() {
        let count = rest.iter().take_while(|o| o.id() == packet.id).count();
        let (mine, others) = rest.split_at(count);
        rest = others;
        legs.push(teller.leg(packet, mine));
    }
    legs
}

struct Teller<'a> {
    book: Book,
    image: &'a Image,
    /// Port of each input.
    ports: &'a [u8],
    inputs: &'a [Input],
}

impl Teller<'_> {
    fn leg(&self, packet: &Packet, outputs: &[Output]) -> Leg {
        let before = Headers::of(&packet.frame);
        let mut came = seen(&self.inputs[packet.input].interface, &before);
        if let Some((source, _)) = before.macs {
            let port = self.ports[packet.input];
            let sender = self.book.sender(port, &before.vlans, source);
            came.party = sender.map(String::from);
        }
        let mut out: Vec<Seen> = outputs
            .iter()
            .map(|output| match output {
                Output::Sent(s) => self.sent(s, &before),
                Output::Host(h) => self.host(h),
            })
            .collect();
        if out.is_empty() {
            let why = match packet.undelivered() {
                Some(_) => "no port delivers a frame of this length",
                None => "every copy was dropped at a full output",
            };
            let mut nothing = seen("-", &Headers::default());
            nothing.ethernet = String::new();
            nothing.done = vec![why.to_string()];
            out.push(nothing);
        }
        Leg {
            packet: packet.id,
            time: packet.time,
            r#in: came,
            out,
        }
    }

    fn sent(&self, sent: &Sent, before: &Headers) -> Seen {
        let after = Headers::of(&sent.frame);
        let interface = self.image.names.interfaces.get(sent.interface as usize);
        let name = interface.map_or("?", |i| i.name.as_str());
        let mut seen = seen(name, &after);
        if let (Some(interface), Some((_, destination))) = (interface, after.macs) {
            let receiver = self
                .book
                .receiver(interface.port, &after.vlans, destination);
            seen.party = receiver.map(String::from);
        }
        seen.done = after.edits(before);
        if seen.done.is_empty() {
            let macs = after.macs == before.macs;
            let words = if macs {
                "unchanged"
            } else {
                "only the MACs are changed"
            };
            seen.done.push(words.to_string());
        }
        seen
    }

    fn host(&self, host: &Host) -> Seen {
        let mut seen = seen("host", &Headers::of(&host.frame));
        let mut why = format!("{}: {}", host.reason.name(), host.reason.doc());
        if let Some((service, direction)) = &host.service {
            why.push_str(&format!(" ({service}, {})", direction.name()));
        }
        seen.done = vec![why];
        seen
    }
}

fn seen(interface: &str, headers: &Headers) -> Seen {
    Seen {
        interface: interface.to_string(),
        ethernet: headers.ethernet(),
        addresses: headers.addresses(),
        transport: headers.transport(),
        length: headers.length,
        party: None,
        done: Vec::new(),
    }
}

/// The legs as a table: a row for what came in, and one for each frame that left.
fn table(legs: &[Leg], colour: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    match colour {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table.set_header([
        "packet",
        "",
        "MACs",
        "addresses",
        "protocol, ports",
        "what happened",
    ]);
    for (i, leg) in legs.iter().enumerate() {
        if i > 0 {
            table.add_row([""]);
        }
        let came = match &leg.r#in.party {
            Some(party) => format!("from {party}"),
            None => "from outside the tables".to_string(),
        };
        table.add_row(row(&leg.packet.to_string(), "in", &leg.r#in, came, None));
        for out in &leg.out {
            let done = out.done.join(", ");
            let (words, colour) = match (&out.party, out.interface.as_str()) {
                (Some(party), _) => (format!("to {party}: {done}"), Color::Green),
                (None, "host") => (done, Color::Yellow),
                (None, _) => (done, Color::Red),
            };
            table.add_row(row("", "out", out, words, Some(colour)));
        }
    }
    format!("{table}\n")
}

fn row(packet: &str, way: &str, seen: &Seen, words: String, colour: Option<Color>) -> Vec<Cell> {
    let last = Cell::new(words);
    vec![
        Cell::new(packet),
        Cell::new(format!("{way} {}", seen.interface)),
        Cell::new(&seen.ethernet),
        Cell::new(&seen.addresses),
        Cell::new(&seen.transport),
        match colour {
            Some(colour) => last.fg(colour),
            None => last,
        },
    ]
}
