//! The daemon's journal: `applied.json` and `next.json` of any bytes, beside tables that are right.
//!
//! An input is one of the two files; where it says so, its rows and its definition go on through what the daemon does with
//! them.

use super::Target;
use crate::cases;
use seqnic_compiler::delta::{delta, settle};
use seqnic_daemon::journal::{Journal, Record, RowOnDisk};
use seqnic_model::ImageEngine;
use seqnic_spec::tables::Table;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

pub const TARGET: Target = Target {
    name: "journal",
    seeds,
    run,
};

/// File of tables every journal has.
const TABLES: &str = "tables-0.img";

fn record(case: &cases::Case, rows: Vec<RowOnDisk>) -> Vec<u8> {
    let record = Record {
        name: "fuzz".to_string(),
        text: case.text.clone(),
        failed: ["fw".to_string()].into(),
        macs: [("fw.inside".to_string(), "02:00:00:00:00:01".to_string())].into(),
        tables: TABLES.to_string(),
        rows,
    };
    serde_json::to_vec(&record).expect("a record is JSON")
}

fn seeds() -> Vec<Vec<u8>> {
    let row = |table: Table, row| RowOnDisk {
        table: table.name().to_string(),
        row,
        words: vec![1, 2, 3],
    };
    let mut seeds: Vec<_> = cases::all().iter().map(|c| record(c, vec![])).collect();
    for table in Table::ALL {
        seeds.push(record(&cases::all()[0], vec![row(table, 0), row(table, 7)]));
    }
    seeds
}

/// A folder of this process, in memory where there is such a place; with the tables in it.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let shared = PathBuf::from("/dev/shm");
        let above = if shared.is_dir() {
            shared
        } else {
            std::env::temp_dir()
        };
        let folder = above.join(format!("seqnic-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the journal");
        let image = seqnic_image::write(&cases::all()[0].image);
        fs::write(folder.join(TABLES), image).expect("the journal's tables");
        folder
    })
}

fn run(input: &[u8]) -> bool {
    let folder = folder();
    for name in ["applied.json", "next.json"] {
        fs::write(folder.join(name), input).expect("the journal's record");
    }
    let journal = Journal::open(folder).expect("the folder is there");
    let next = journal.next();
    let Ok(Some((record, image))) = journal.applied() else {
        return true;
    };
    assert!(
        matches!(next, Ok(Some(_))),
        "one of two equal records is read"
    );
    // Tables with any rows in them are what a card has after a fault.
    let mut settled = image.clone();
    settle(&image)
        .apply(&mut settled)
        .expect("settling starts from what is there");
    if ImageEngine::load(&settled).is_err() {
        return true;
    }
    if let Ok(definition) = seqnic_compiler::read(&record.text)
        && let Ok(delta) = delta(&settled, &definition)
    {
        delta
            .apply(&mut settled)
            .expect("the delta starts from what is there");
    }
    true
}
