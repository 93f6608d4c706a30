//! `replay`.

use crate::{case, definition, image, inputs, json, refused, seqnic, stderr, stdout, text};
use assert_cmd::Command;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn replay(tables: &str, name: &str, out: &Path) -> Command {
    let mut command = seqnic();
    command
        .args(["replay", tables])
        .args(inputs(name))
        .arg("--out")
        .arg(out);
    command
}

#[test]
fn a_case_gives_what_it_must_on_both_software_engines() {
    let dir = TempDir::new().unwrap();
    for engine in ["image", "oracle"] {
        let out = dir.path().join(engine);
        let mut command = replay(&definition("fig05-nat"), "fig05-nat", &out);
        let words = stdout(&command.args(["--engine", engine]).assert().success());
        assert!(
            words.starts_with(&format!(
                "4 packets through {engine}: 2 directed (2 frames sent), 2 to the host\n"
            )),
            "{words}"
        );
        assert!(words.contains("wrong_sender     1"), "{words}");
    }
    for name in [
        "i0.pcap",
        "i1.pcap",
        "host.pcap",
        "exceptions.jsonl",
        "counters.json",
    ] {
        let read = |engine| fs::read(dir.path().join(engine).join(name)).unwrap();
        assert_eq!(read("image"), read("oracle"), "{name}");
    }
    let expected = fs::read(case("fig05-nat").join("counters.json")).unwrap();
    assert_eq!(
        fs::read(dir.path().join("image/counters.json")).unwrap(),
        expected
    );
    let exceptions = fs::read_to_string(dir.path().join("image/exceptions.jsonl")).unwrap();
    let first: serde_json::Value =
        serde_json::from_str(exceptions.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], 3);
    assert_eq!(first["reason"], "wrong_sender");
    assert_eq!(first["input"], "i1");
    assert_eq!(first["packet"], 2);
}

#[test]
fn the_summary_can_be_json_or_nothing() {
    let dir = TempDir::new().unwrap();
    let mut command = replay(&definition("fig05-nat"), "fig05-nat", &dir.path().join("a"));
    let found = json(&command.arg("--json").assert().success());
    assert_eq!(found["packets"], 4);
    assert_eq!(found["exceptions"]["no_port"], 1);
    assert_eq!(found["inputs"][0]["interface"], "i0");
    let mut command = replay(&definition("fig05-nat"), "fig05-nat", &dir.path().join("b"));
    command
        .arg("--quiet")
        .assert()
        .success()
        .stdout("")
        .stderr("");
}

#[test]
fn results_are_not_overwritten_unless_forced() {
    let dir = TempDir::new().unwrap();
    let tables = image(&dir, "fig05-nat");
    let out = dir.path().join("out");
    replay(&tables, "fig05-nat", &out).assert().success();
    let message = "out is not empty; name a new folder or have it replaced (--force)";
    refused(replay(&tables, "fig05-nat", &out).assert(), 2, message);
    replay(&tables, "fig05-nat", &out)
        .arg("--force")
        .assert()
        .success();
}

#[test]
fn engines_get_what_they_can_read() {
    let dir = TempDir::new().unwrap();
    let tables = image(&dir, "fig05-nat");
    let out = dir.path().join("out");
    let mut command = replay(&tables, "fig05-nat", &out);
    refused(
        command.args(["--engine", "oracle"]).assert(),
        2,
        "the oracle reads a definition, not an image",
    );
    let mut command = replay(&tables, "fig05-nat", &out);
    refused(
        command.args(["--wave", "x.vcd"]).assert(),
        2,
        "--wave needs --engine rtl",
    );
    let mut command = replay(&tables, "fig05-nat", &out);
    refused(
        command.args(["--engine", "fpga"]).assert(),
        2,
        "possible values: rtl, image, oracle",
    );
    let mut command = replay(&tables, "fig05-nat", &out);
    let assert = command
        .args(["--engine", "rtl", "--wave", "x.txt"])
        .assert();
    refused(assert, 2, "must end in .vcd or .fst");
    assert!(!out.exists());
}

#[test]
fn wrong_inputs_are_refused() {
    let dir = TempDir::new().unwrap();
    let file = definition("fig05-nat");
    let good = case("fig05-nat").join("in/i0.pcap");
    let out = dir.path().join("out");
    let run = |input: &str| {
        let mut command = seqnic();
        command
            .args(["replay", &file, "--in", input, "--out"])
            .arg(&out);
        command.assert()
    };
    refused(
        run("i0"),
        2,
        "--in i0: INTERFACE=FILE is wanted, like --in i0=clients.pcap",
    );
    refused(run("=x.pcap"), 2, "INTERFACE=FILE is wanted");
    refused(
        run(&format!("eth0={}", text(&good))),
        2,
        "no interface `eth0`; there are i0, i1",
    );
    refused(run("i0=no/such.pcap"), 1, "no/such.pcap: cannot read: ");
    refused(run(&format!("i0={file}")), 1, "no capture: starts with");

    // Cut in the last packet.
    let bytes = fs::read(case("fig05-nat").join("in/i0.pcap")).unwrap();
    let cut = dir.path().join("cut.pcap");
    fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let input = format!("i0={}", text(&cut));
    let assert = run(&input).code(1);
    let errors = stderr(&assert);
    assert!(errors.contains("cut.pcap: packet 2 at byte "), "{errors}");
    assert!(
        errors.contains("1 packet was read before it (--keep-going uses them)"),
        "{errors}"
    );
    assert!(!out.exists(), "nothing is left of what was not finished");
    let mut command = seqnic();
    command
        .args(["replay", &file, "--keep-going", "--in", &input, "--out"])
        .arg(&out);
    let assert = command.assert().success();
    assert!(stdout(&assert).starts_with("1 packet through image"));
    let errors = stderr(&assert);
    assert!(
        errors.contains("seqnic: warning: ") && errors.contains("was not replayed"),
        "{errors}"
    );
}
