//! `seqnic diff`

use super::{print, print_json, write_file};
use crate::cli::Diff;
use crate::failure::{Failure, Outcome};
use crate::load;
use crate::terminal::Terminal;
use seqnic_compiler::delta::words::{Changes, changes};
use seqnic_compiler::delta::{self, Delta, DeltaError, Order};
use seqnic_image::{Digest, Image};
use seqnic_spec::tables::Table;
use serde::Serialize;
use std::fmt::Write;

/// A row as people and programs read it: the highest bit first.
fn hex(words: &[u64]) -> String {
    let digits: String = words.iter().rev().map(|w| format!("{w:016x}")).collect();
    let text = digits.trim_start_matches('0');
    format!("0x{}", if text.is_empty() { "0" } else { text })
}

/// One order of the list, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Write {
        table: &'static str,
        number: u8,
        row: u32,
        was: String,
        now: String,
    },
    /// Read the row until it is 0.
    Drain {
        table: &'static str,
        number: u8,
        row: u32,
    },
}

/// The ordered delta, as a file has it.
#[derive(Serialize)]
struct List {
    geometry: &'static str,
    generation: [u64; 2],
    /// Digests of the tables before and after, to be compared with what is read from a card.
    before: Vec<TableDigest>,
    after: Vec<TableDigest>,
    /// Clocks a drain takes at most, while no sender pauses inside a frame.
    drain_clocks: u64,
    orders: Vec<Line>,
}

#[derive(Serialize)]
struct TableDigest {
    table: &'static str,
    digest: Digest,
}

#[derive(Serialize)]
struct Json<'a> {
    same: bool,
    generation: [u64; 2],
    #[serde(flatten)]
    changes: &'a Changes,
    #[serde(skip_serializing_if = "Option::is_none")]
    orders: Option<Vec<Line>>,
}

fn lines(delta: &Delta) -> Vec<Line> {
    let line = |order: Order| match order {
        Order::Write(word) => Line::Write {
            table: word.table.name(),
            number: word.table as u8,
            row: word.row,
            was: hex(&word.was),
            now: hex(&word.now),
        },
        Order::Drain => Line::Drain {
            table: Table::Epoch.name(),
            number: Table::Epoch as u8,
            row: 1,
        },
    };
    delta.orders().map(line).collect()
}

fn digests(image: &Image) -> Vec<TableDigest> {
    let tables = Table::ALL.into_iter();
    let digest = |table: Table| TableDigest {
        table: table.name(),
        digest: image.digest(table),
    };
    tables.map(digest).collect()
}

pub fn run(args: &Diff, terminal: Terminal) -> Outcome {
    let old = load::tables(&args.old, terminal)?.image;
    let file = load::read_definition(&args.new).map_err(|e| e.print(terminal))?;
    let delta = match delta::delta(&old, &file.definition) {
        Ok(delta) => delta,
        Err(DeltaError::Definition(diagnostics)) => {
            let findings = load::Findings {
                name: file.name,
                text: file.text,
                diagnostics,
            };
            return Err(findings.print(terminal));
        }
        Err(error) => return Err(Failure::refused(error)),
    };
    let mut new = old.clone();
    delta.apply(&mut new).map_err(Failure::failed)?;
    if let Some(path) = &args.image {
        write_file(path, &seqnic_image::write(&new))?;
    }
    let generation = [delta.was.0, delta.now.0];
    if let Some(path) = &args.delta {
        let list = List {
            geometry: delta.geometry.name,
            generation,
            before: digests(&old),
            after: digests(&new),
            drain_clocks: delta.geometry.drain_clocks(),
            orders: lines(&delta),
        };
        let text = serde_json::to_string_pretty(&list).map_err(Failure::failed)?;
        write_file(path, (text + "\n").as_bytes())?;
    }
    let changes = changes(&old, &new, &delta);
    if args.json {
        print_json(&Json {
            same: delta.is_empty(),
            generation,
            changes: &changes,
            orders: args.words.then(|| lines(&delta)),
        })?;
    } else {
        print(&text(&changes, &delta, args.words))?;
    }
    match delta.is_empty() {
        true => Ok(()),
        false => Err(Failure::Different),
    }
}

fn text(changes: &Changes, delta: &Delta, words: bool) -> String {
    if delta.is_empty() {
        return String::from("the tables are the same\n");
    }
    let mut text = changes.to_string();
    // Writing to a String cannot fail.
    for (n, order) in delta.orders().enumerate().filter(|_| words) {
        let _ = match order {
            Order::Write(w) => {
                let (was, now) = (hex(&w.was), hex(&w.now));
                writeln!(
                    text,
                    "{n:>6} {} row {}: {was} becomes {now}",
                    w.table.name(),
                    w.row
                )
            }
            Order::Drain => writeln!(
                text,
                "{n:>6} wait until row 1 of {} reads 0",
                Table::Epoch.name()
            ),
        };
    }
    text
}
