//! What is wrong is said as `tests/broken-definitions/*.txt` says. `SEQNIC_BLESS=1` writes them anew.

use seqnic_compiler::diagnostic::Diagnostic;
use seqnic_compiler::{compile, read, report::render};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/broken-definitions")
}

fn definitions() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    found.sort();
    found
}

/// Reads and compiles.
fn compiled(text: &str) -> Result<(), Vec<Diagnostic>> {
    compile(&read(text)?).map(|_| ())
}

#[test]
fn broken_definitions_are_explained() {
    let bless = std::env::var_os("SEQNIC_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in definitions() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let errors = match compiled(&text) {
            Err(errors) => errors,
            Ok(()) => {
                wrong.push(format!("{name}: was compiled without an error"));
                continue;
            }
        };
        let report = render(&errors, &name, &text, false);
        let golden = path.with_extension("txt");
        if bless {
            fs::write(&golden, &report).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != report {
            wrong.push(format!("{name}: expected {golden:?}, got\n{report}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One mistake, one error: the number at the beginning of a file's first line says how many.
#[test]
fn one_mistake_gives_one_error() {
    let mut wrong = Vec::new();
    for path in definitions() {
        let text = fs::read_to_string(&path).unwrap();
        let said = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .and_then(|line| line.split_whitespace().next())
            .and_then(|n| n.parse::<usize>().ok());
        let Err(errors) = compiled(&text) else {
            continue;
        };
        let codes: Vec<&str> = errors.iter().map(|e| e.code).collect();
        if codes.len() != said.unwrap_or(1) {
            wrong.push(format!("{}: {codes:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every code in the source is shown by a broken definition or named in `ELSEWHERE`.
#[test]
fn every_code_has_a_broken_definition() {
    /// Tested in `robust.rs`: files that are too large, or no text.
    const ELSEWHERE: [&str; 3] = ["file_too_large", "too_many_values", "not_utf8"];
    let mut shown = BTreeSet::new();
    for path in definitions() {
        if let Err(errors) = compiled(&fs::read_to_string(path).unwrap()) {
            shown.extend(errors.iter().map(|e| e.code.to_owned()));
        }
    }
    let (mut missing, mut known) = (BTreeSet::new(), 0);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/definition");
    for entry in fs::read_dir(source).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for code in codes(&text) {
            known += 1;
            if !shown.contains(&code) && !ELSEWHERE.contains(&code.as_str()) {
                missing.insert(code);
            }
        }
    }
    assert!(known > 90, "only {known} codes found in the source");
    assert!(missing.is_empty(), "no broken definition for {missing:?}");
}

/// Words in quotes that look like a code: snake case with an underscore, not a key.
fn codes(source: &str) -> Vec<String> {
    const KEYS: [&str; 6] = [
        "on_failure",
        "default_gateway",
        "dynamic_ports",
        "keyed_by",
        "acl_default",
        "client_port",
    ];
    let quotes = source.match_indices('"').map(|(n, _)| n + 1);
    quotes
        .filter_map(|start| {
            let rest = &source[start..];
            let word = &rest
                [..rest.find(|c: char| !(c.is_ascii_lowercase() || "_0123456789".contains(c)))?];
            let quoted = rest[word.len()..].starts_with('"');
            (quoted && word.contains('_') && !KEYS.contains(&word)).then(|| word.to_owned())
        })
        .collect()
}
