//! Definitions that are right are read.

use seqnic_compiler::read;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every definition of the test cases and examples.
fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join("tests/cases")).unwrap() {
        let path = entry.unwrap().path().join("definition.yaml");
        if path.exists() {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_case_is_read() {
    let all = all();
    assert!(all.len() >= 34);
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(errors) = read(&text) {
            panic!("{}: {errors:#?}", path.display());
        }
    }
}
