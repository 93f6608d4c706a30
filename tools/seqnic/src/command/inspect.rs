//! `seqnic inspect`

use super::{print, print_json};
use crate::cli::Inspect;
use crate::failure::{Failure, Outcome};
use crate::load;
use crate::rows::{self, Entry};
use crate::terminal::Terminal;
use seqnic_image::inspect::TableSummary;
use seqnic_image::{Image, Inspect as Summary};
use seqnic_spec::tables::Table;
use serde::Serialize;
use std::fmt::Write;

/// One table with what was asked for.
#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    summary: TableSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<Entry>>,
}

#[derive(Serialize)]
struct Everything {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<Entries>>,
}

#[derive(Serialize)]
struct Entries {
    table: &'static str,
    entries: Vec<Entry>,
}

pub fn run(args: &Inspect, terminal: Terminal) -> Outcome {
    let table = args.table.as_deref().map(table).transpose()?;
    let image = load::tables(&args.tables, terminal)?.image;
    let summary = seqnic_image::inspect(&image);
    match table {
        Some(table) => one(&image, summary, table, args),
        None => everything(&image, summary, args),
    }
}

fn table(name: &str) -> Result<Table, Failure> {
    Table::from_name(name).ok_or_else(|| {
        let known = Table::ALL.map(Table::name).join(", ");
        Failure::usage(format!("no table `{name}`; there are {known}"))
    })
}

fn one(image: &Image, summary: Summary, table: Table, args: &Inspect) -> Outcome {
    let entries = args.rows.then(|| rows::entries(image, table));
    let of_table = summary.tables.into_iter().find(|t| t.name == table.name());
    let summary = of_table.ok_or_else(|| {
        Failure::failed(format!(
            "the image has no summary of table `{}`",
            table.name()
        ))
    })?;
    if args.json {
        return print_json(&One { summary, entries });
    }
    let mut text = format!(
        "{}: {}\n  {} of {} rows in use, {} bits a row, digest {}\n",
        summary.name,
        table.question(),
        summary.rows_used,
        summary.rows,
        summary.row_bits,
        summary.digest,
    );
    // Writing to a String cannot fail.
    if let Some(keys) = &summary.keys {
        let _ = writeln!(
            text,
            "  {} of {} keys ({:.1} %), at most {} of {} slots of a bucket",
            keys.used,
            keys.capacity,
            keys.load * 100.0,
            keys.fullest_bucket,
            keys.bucket_slots
        );
    }
    text.push_str(&lines(entries.as_deref().unwrap_or_default()));
    print(&text)
}

fn everything(image: &Image, summary: Summary, args: &Inspect) -> Outcome {
    let entries = args.rows.then(|| {
        let all = Table::ALL.into_iter().map(|table| Entries {
            table: table.name(),
            entries: rows::entries(image, table),
        });
        all.collect::<Vec<_>>()
    });
    if args.json {
        return print_json(&Everything { summary, entries });
    }
    let mut text = summary.to_string();
    for table in entries.iter().flatten().filter(|t| !t.entries.is_empty()) {
        let _ = writeln!(text, "\n{}", table.table);
        text.push_str(&lines(&table.entries));
    }
    print(&text)
}

fn lines(entries: &[Entry]) -> String {
    entries.iter().fold(String::new(), |mut text, entry| {
        let _ = writeln!(text, "  {entry}");
        text
    })
}
