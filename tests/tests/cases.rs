//! Every case on the engines that need no hardware model.

use seqnic_engine::Engine;
use seqnic_model::ImageEngine;
use seqnic_oracle::Oracle;
use seqnic_tests::{Case, legs};

fn all() -> Vec<Case> {
    let cases = Case::all(&Case::root()).unwrap_or_else(|e| panic!("{e}"));
    assert!(cases.len() >= 68, "only {} cases were found", cases.len());
    cases
}

/// Every case must pass; all that do not are named at once.
fn pass(load: impl Fn(&Case) -> Box<dyn Engine>) {
    let failures: Vec<String> = all()
        .iter()
        .filter_map(|case| case.check(load(case).as_mut()).err())
        .map(|e| e.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn captures_are_those_of_the_flow_tables() {
    for case in all() {
        if case.folder.join("legs.json").is_file() {
            let stale = legs::stale(&case.folder).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(stale, None, "case {}: run `cases build`", case.name);
        }
    }
}

#[test]
fn oracle() {
    pass(|case| Box::new(Oracle::new(&case.definition)));
}

#[test]
fn image() {
    pass(|case| {
        let image = seqnic_compiler::compile(&case.definition)
            .unwrap_or_else(|e| panic!("case {}: {}", case.name, e[0].message));
        Box::new(ImageEngine::load(&image).unwrap_or_else(|e| panic!("case {}: {e}", case.name)))
    });
}

/// A runner that lets everything pass would be worse than none.
#[test]
fn a_wrong_expectation_is_found() {
    let root = Case::root();
    let [asked, other] = ["fig05-nat", "fig05-loopback"]
        .map(|name| Case::load(&root.join(name)).unwrap_or_else(|e| panic!("{e}")));
    let error = asked
        .check(&mut Oracle::new(&other.definition))
        .expect_err("a loopback server does what a NAT server must");
    assert!(error.to_string().contains("fig05-nat"), "{error}");
}

/// So would one that reads no priorities, reasons and rules.
#[test]
fn a_wrong_word_of_the_flow_table_is_found() {
    let wrong = |case: &str, from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        copy(&Case::root().join(case), folder.path());
        let legs = folder.path().join("legs.json");
        let text = std::fs::read_to_string(&legs).unwrap_or_else(|e| panic!("{e}"));
        assert!(text.contains(from), "{case}: {from}");
        std::fs::write(&legs, text.replacen(from, to, 1)).unwrap_or_else(|e| panic!("{e}"));
        let case = Case::load(folder.path()).unwrap_or_else(|e| panic!("{e}"));
        let error = case.check(&mut Oracle::new(&case.definition));
        error.expect_err("a wrong word passes").to_string()
    };
    let error = wrong("qos-dscp", "\"priority\": 7", "\"priority\": 6");
    assert!(error.contains("priority 7"), "{error}");
    let error = wrong(
        "acl-service",
        "\"reason\": \"denied\"",
        "\"reason\": \"ttl\"",
    );
    assert!(error.contains("reason denied"), "{error}");
    let error = wrong("acl-interface", "public/web", "edge/telnet");
    assert!(error.contains("rule edge/telnet"), "{error}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let entries = std::fs::read_dir(from).unwrap_or_else(|e| panic!("{e}"));
    for entry in entries.flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => {
                std::fs::create_dir(&to).unwrap_or_else(|e| panic!("{e}"));
                copy(&entry.path(), &to);
            }
            false => {
                std::fs::copy(entry.path(), &to).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
}
