//! `compare`.

use crate::{definition, image, inputs, json, refused, seqnic, stdout};
use tempfile::TempDir;

#[test]
fn engines_that_agree_are_code_0() {
    let mut command = seqnic();
    command
        .args([
            "compare",
            "--engines",
            "image,oracle",
            &definition("fig05-nat"),
        ])
        .args(inputs("fig05-nat"));
    assert_eq!(
        stdout(&command.assert().success()),
        "image, oracle agree on 4 packets\n"
    );
    let found = json(&command.arg("--json").assert().success());
    assert_eq!(found["equal"], true);
    assert_eq!(found["packets"], 4);
    assert_eq!(found["difference"], serde_json::Value::Null);
}

#[test]
fn engines_must_be_two_that_can_read_the_tables() {
    let dir = TempDir::new().unwrap();
    let tables = image(&dir, "fig05-nat");
    let compare = |engines: &str| {
        let mut command = seqnic();
        command
            .args(["compare", "--engines", engines, &tables])
            .args(inputs("fig05-nat"));
        command.assert()
    };
    refused(compare("image"), 2, "--engines needs two engines or more");
    refused(compare("image,image"), 2, "--engines names an engine twice");
    refused(
        compare("image,oracle"),
        2,
        "the oracle reads a definition, not an image",
    );
}

/// Builds the simulator the first time, which takes minutes.
#[test]
fn all_three_engines_are_compared_unless_told_otherwise() {
    let mut command = seqnic();
    command
        .args(["compare", "--quiet", &definition("fig07")])
        .args(inputs("fig07"));
    let words = stdout(&command.assert().success());
    assert_eq!(words, "oracle, image, rtl agree on 7 packets\n");
}
