//! `check`, `compile`, `inspect`, `draw`: definitions and images.

use crate::{definition, image, json, refused, seqnic, stderr, stdout, text};
use std::fs;
use tempfile::TempDir;

/// Figure 7 with a device name misspelt, and a bad MAC.
fn broken(dir: &TempDir) -> String {
    let good = fs::read_to_string(definition("fig07")).unwrap();
    let bad = good
        .replace("- copy: ids", "- copy: idz")
        .replace("mac: 02:05:00:00:00:05", "mac: 02:05:00:00:00");
    let path = dir.path().join("broken.yaml");
    fs::write(&path, bad).unwrap();
    text(&path)
}

#[test]
fn a_good_definition_is_good() {
    let file = definition("fig07");
    let assert = seqnic().args(["check", &file]).assert().success();
    assert_eq!(
        stdout(&assert),
        format!("{file}: good: 1 service, 4 devices, 1 host, 4 interfaces\n")
    );
    let assert = seqnic().args(["check", "--json", &file]).assert().success();
    assert_eq!(json(&assert)["ok"], true);
    assert_eq!(json(&assert)["devices"], 4);
}

#[test]
fn all_errors_come_at_once_with_their_places() {
    let dir = TempDir::new().unwrap();
    let file = broken(&dir);
    let assert = seqnic().args(["check", &file]).assert().code(1);
    let errors = stderr(&assert);
    assert!(
        errors.contains("idz") && errors.contains("02:05:00:00:00"),
        "{errors}"
    );
    assert!(errors.contains("broken.yaml:"), "{errors}");
    assert!(
        !errors.contains('\u{1b}'),
        "no colours where there is no terminal"
    );
    let assert = seqnic()
        .args(["check", "--color", "always", &file])
        .assert()
        .code(1);
    assert!(stderr(&assert).contains('\u{1b}'));

    let assert = seqnic().args(["check", "--json", &file]).assert().code(1);
    let found = json(&assert);
    assert_eq!(found["ok"], false);
    let diagnostics = found["diagnostics"].as_array().unwrap();
    assert!(diagnostics.len() >= 2, "{found}");
    assert!(diagnostics[0]["places"][0]["line"].as_u64().unwrap() > 1);
    assert_eq!(stderr(&assert), "");
}

#[test]
fn compile_refuses_what_check_refuses_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let file = broken(&dir);
    let out = dir.path().join("x.img");
    let assert = seqnic()
        .args(["compile", &file, "-o"])
        .arg(&out)
        .assert()
        .code(1);
    assert!(stderr(&assert).contains("idz"));
    assert!(!out.exists());
    refused(
        seqnic().args(["check", "no/such.yaml"]).assert(),
        1,
        "cannot read no/such.yaml: ",
    );
    let nowhere = "no/such/folder/x.img";
    let assert = seqnic()
        .args(["compile", &definition("fig07"), "-o", nowhere])
        .assert();
    refused(assert, 3, "cannot write no/such/folder/x.img: ");
}

#[test]
fn compiling_is_reproducible_and_seeded() {
    let dir = TempDir::new().unwrap();
    let compile = |name: &str, more: &[&str]| {
        let out = dir.path().join(name);
        let mut command = seqnic();
        command
            .args(["compile", "--json", &definition("fig07"), "-o"])
            .arg(&out)
            .args(more);
        let found = json(&command.assert().success());
        let bytes = fs::read(&out).unwrap();
        assert_eq!(found["bytes"], bytes.len());
        bytes
    };
    let first = compile("a.img", &[]);
    assert_eq!(first, compile("b.img", &[]));
    assert_ne!(first, compile("c.img", &["--seed", "9"]));
    // Replaced in place, with the permissions of any new file.
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(first, compile("c.img", &[]));
    fs::write(dir.path().join("plain"), "").unwrap();
    let mode = |name| {
        fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("c.img"), mode("plain"));
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 4, "no temporary file is left");
}

#[test]
fn images_are_told_by_their_content() {
    let dir = TempDir::new().unwrap();
    let path = image(&dir, "fig07");
    let disguised = text(&dir.path().join("looks-like.yaml"));
    fs::copy(&path, &disguised).unwrap();
    let assert = seqnic().args(["inspect", &disguised]).assert().success();
    assert!(stdout(&assert).contains("geometry alveo"));
    let wanted = "is a table image, but a definition is wanted here";
    refused(seqnic().args(["check", &disguised]).assert(), 1, wanted);
    let out = text(&dir.path().join("x.svg"));
    refused(
        seqnic().args(["draw", &disguised, "-o", &out]).assert(),
        1,
        wanted,
    );

    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    refused(
        seqnic().args(["inspect", &path]).assert(),
        1,
        &format!("{path}: "),
    );
}

#[test]
fn inspect_shows_tables_and_rows() {
    let dir = TempDir::new().unwrap();
    let path = image(&dir, "fig07");
    let rows = stdout(
        &seqnic()
            .args(["inspect", &path, "--table", "step", "--rows"])
            .assert()
            .success(),
    );
    assert!(
        rows.contains("class=1 (W1 tcp/1194) direction=0 position=65538 (firewall.inside)"),
        "{rows}"
    );
    let rows = stdout(
        &seqnic()
            .args(["inspect", &path, "--rows"])
            .assert()
            .success(),
    );
    assert!(rows.contains("address=203.0.113.13") && rows.contains("dst_mac=02:0a:00:00:00:0a"));
    let found = json(
        &seqnic()
            .args(["inspect", &path, "--table", "address", "--rows", "--json"])
            .assert()
            .success(),
    );
    assert_eq!(found["name"], "address");
    assert_eq!(found["entries"].as_array().unwrap().len(), 2);
    let found = json(
        &seqnic()
            .args(["inspect", &path, "--json"])
            .assert()
            .success(),
    );
    assert!(found.get("entries").is_none());
    assert_eq!(found["names"]["services"], 1);
    // A definition is compiled first.
    let summary = stdout(
        &seqnic()
            .args(["inspect", &definition("fig07")])
            .assert()
            .success(),
    );
    assert!(summary.contains("port_dst_server"));
    let assert = seqnic()
        .args(["inspect", &path, "--table", "steps"])
        .assert();
    refused(
        assert,
        2,
        "no table `steps`; there are interface, source, address",
    );
}

#[test]
fn draw_writes_svg() {
    let dir = TempDir::new().unwrap();
    let out = text(&dir.path().join("x.svg"));
    let file = definition("fig12");
    seqnic()
        .args(["draw", &file, "-o", &out])
        .assert()
        .success()
        .stdout("");
    let all = fs::read_to_string(&out).unwrap();
    roxmltree::Document::parse(&all).unwrap();
    assert!(all.contains("W1: ") && all.contains("PROXY: "));
    // Who has the address a service is keyed by is its client.
    assert!(
        all.contains("1 from proxy1251; 2 to firewall1261.inside"),
        "{all}"
    );
    seqnic()
        .args(["draw", &file, "--service", "W1", "-o", &out])
        .assert()
        .success();
    assert!(!fs::read_to_string(&out).unwrap().contains("PROXY: "));
    let assert = seqnic()
        .args(["draw", &file, "--service", "W9", "-o", &out])
        .assert();
    refused(assert, 2, "no service `W9`; there are W1, PROXY");
}

/// A device gives bytes for ever: no more are read than a definition may have.
#[test]
fn a_file_without_end_is_refused() {
    let assert = seqnic().args(["check", "/dev/zero"]).assert().code(1);
    let errors = stderr(&assert);
    assert!(errors.contains("more than 67108864 bytes"), "{errors}");
    assert!(errors.len() < 2000, "{} bytes", errors.len());
    let assert = seqnic().args(["inspect", "/dev/zero"]).assert().code(1);
    assert!(stderr(&assert).contains("is binary"));
}
