//! The printed text of a small module, whole: readable, and without accidental changes.
//!
//! `UPDATE_GOLDEN=1 cargo test -p seqnic-gen --test golden` writes the file anew.

mod common;

use std::path::Path;

use seqnic_gen::{Module, RamSpec, RamStyle};

#[test]
fn lookup_is_printed_as_before() {
    let circuit = common::lookup().expect("no mistakes");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lookup.v");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, circuit.text()).expect("golden file");
    }
    let golden = std::fs::read_to_string(&path).expect("golden file");
    assert_eq!(
        circuit.text(),
        golden,
        "if this is meant, run with UPDATE_GOLDEN=1"
    );
}

/// A loop over a memory's rows is for simulators: Yosys unrolls it in time with the square of the rows.
#[test]
fn synthesis_is_told_no_initial_contents() {
    let m = Module::new("memories");
    let addr = m.input("addr", 17);
    let (enable, data) = (m.input("enable", 1), m.input("data", 4));
    for (name, style) in [
        ("auto", RamStyle::Auto),
        ("block", RamStyle::Block),
        ("ultra", RamStyle::Ultra),
        ("distributed", RamStyle::Distributed),
    ] {
        let ram = m.ram(name, RamSpec::new(1 << 17, 4).style(style));
        ram.write(enable, addr, data);
        m.output(&format!("from_{name}"), ram.read(addr));
    }
    let memories = m.finish().expect("no mistakes");
    let text = memories.text();
    let (mut simulated, mut loops) = (false, 0);
    for line in text.lines() {
        match line.trim() {
            "`ifndef SYNTHESIS" => simulated = true,
            "`endif" => simulated = false,
            other if other.starts_with("initial") => assert!(simulated, "{text}"),
            other => loops += u32::from(other.starts_with("for (")),
        }
    }
    assert_eq!(loops, 4, "{text}");
}

/// The variable that counts a memory's rows has a name of its own, whatever ports and signals are called.
#[test]
fn what_counts_rows_is_called_as_nothing_else() {
    let m = Module::new("rows");
    let (row, data) = (m.input("kept_row", 4), m.input("data", 8));
    let kept = m.ram("kept", RamSpec::new(16, 8));
    kept.write(m.input("write", 1), row, data);
    m.output("found", kept.read(row));
    let text = m.finish().unwrap().text().to_string();
    assert!(text.contains("integer kept_row_;"), "{text}");
    assert!(!text.contains("integer kept_row;"), "{text}");
}
