//! The printed text of a small module, whole: readable, and without accidental changes.
//!
//! `UPDATE_GOLDEN=1 cargo test -p seqnic-gen --test golden` writes the file anew.

mod common;

use std::path::Path;

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
