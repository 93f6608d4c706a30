//! Help, completions, manual, specification.

use crate::{refused, seqnic, stdout};
use tempfile::TempDir;

const COMMANDS: [&str; 12] = [
    "check",
    "compile",
    "inspect",
    "explain",
    "replay",
    "compare",
    "legs",
    "draw",
    "bench",
    "spec",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_with_examples_and_exit_codes() {
    for command in COMMANDS {
        let help = stdout(&seqnic().args([command, "--help"]).assert().success());
        assert!(help.contains("Examples:\n  seqnic "), "{help}");
        assert!(
            help.contains("Exit codes:\n  0  all is well\n  1  a finding"),
            "{help}"
        );
    }
    let help = stdout(&seqnic().arg("--help").assert().success());
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
    }
}

#[test]
fn wrong_command_lines_are_code_2() {
    refused(seqnic().assert(), 2, "Usage: seqnic");
    refused(
        seqnic().arg("frobnicate").assert(),
        2,
        "unrecognized subcommand 'frobnicate'",
    );
    refused(
        seqnic().arg("spec").assert(),
        2,
        "--json|--markdown|--registers",
    );
    refused(
        seqnic().args(["replay", "x"]).assert(),
        2,
        "--in <INTERFACE=FILE>",
    );
    refused(
        seqnic().args(["check", "x", "--color", "pink"]).assert(),
        2,
        "possible values: auto, always, never",
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&seqnic().args(["completions", shell]).assert().success());
        assert!(
            script.contains("replay") && script.contains("keep-going"),
            "{shell}"
        );
    }
    refused(
        seqnic().args(["completions", "csh"]).assert(),
        2,
        "possible values: bash",
    );
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let page = stdout(&seqnic().arg("man").assert().success());
    assert!(page.contains(".TH seqnic 1"));
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("man1");
    seqnic().args(["man", "--out"]).arg(&out).assert().success();
    for command in COMMANDS {
        assert!(
            out.join(format!("seqnic-{command}.1")).is_file(),
            "{command}"
        );
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(
        seqnic().args(["man", "--out"]).arg(&file).assert(),
        3,
        "cannot write",
    );
}

#[test]
fn the_specification_is_printed_both_ways() {
    let json = crate::json(&seqnic().args(["spec", "--json"]).assert().success());
    assert_eq!(json["tables"][0]["name"], "interface");
    let text = stdout(&seqnic().args(["spec", "--markdown"]).assert().success());
    assert!(text.starts_with("# Tables, records and reasons"));
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let pipe = std::process::Command::new("sh")
        .args(["-c", "\"$0\" spec --json | head -c 1"])
        .arg(assert_cmd::cargo::cargo_bin("seqnic"))
        .output()
        .unwrap();
    assert!(pipe.status.success());
    assert_eq!(pipe.stderr, b"");
}
