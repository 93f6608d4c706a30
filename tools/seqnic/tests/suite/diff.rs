//! `diff`: what a new definition changes, and the words that lead there.

use crate::{definition, image, json, seqnic, stderr, stdout, text};
use std::fs;
use tempfile::TempDir;

/// Figure 7 without its copies, from another address.
fn changed(dir: &TempDir) -> String {
    let old = fs::read_to_string(definition("fig07")).unwrap();
    let copies = old.lines().filter(|l| l.contains("- copy: ids")).count();
    assert!(copies > 0, "figure 7 has a copy");
    let new: Vec<&str> = old.lines().filter(|l| !l.contains("- copy: ids")).collect();
    let path = dir.path().join("new.yaml");
    fs::write(
        &path,
        new.join("\n").replace("203.0.113.13", "203.0.113.14"),
    )
    .unwrap();
    text(&path)
}

#[test]
fn the_same_is_the_same() {
    let dir = TempDir::new().unwrap();
    for old in [definition("fig07"), image(&dir, "fig07")] {
        let assert = seqnic()
            .args(["diff", &old, &definition("fig07")])
            .assert()
            .code(0);
        assert_eq!(stdout(&assert), "the tables are the same\n");
    }
    let (old, new) = (definition("fig07"), definition("fig07"));
    let assert = seqnic()
        .args(["diff", "--json", &old, &new])
        .assert()
        .code(0);
    assert_eq!(json(&assert)["same"], true);
}

#[test]
fn a_change_is_said_in_words_and_its_words_lead_there() {
    let dir = TempDir::new().unwrap();
    let (old, new) = (image(&dir, "fig07"), changed(&dir));
    let [list, next] = ["delta.json", "next.img"].map(|n| text(&dir.path().join(n)));
    let args = ["diff", &old, &new, "--delta", &list, "--image", &next];
    let assert = seqnic().args(args).assert().code(1);
    let said = stdout(&assert);
    for part in [
        "service W1 changes",
        "before  203.0.113.13 tcp/1194",
        "after   203.0.113.14 tcp/1194",
        " + ids",
        "words are written: ",
    ] {
        assert!(said.contains(part), "`{part}` in\n{said}");
    }

    let list: serde_json::Value = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    let orders = list["orders"].as_array().unwrap();
    let drains = orders.iter().position(|o| o["drain"].is_object()).unwrap();
    assert_eq!(orders[drains - 1]["write"]["table"], "epoch");
    assert_eq!(orders[drains - 1]["write"]["now"], "0x1");
    assert_eq!(
        list["before"].as_array().unwrap().len(),
        list["after"].as_array().unwrap().len()
    );

    // From where it leads to there is nothing left to do, and the tables run.
    seqnic().args(["diff", &next, &new]).assert().code(0);
    let packet = [
        "--in",
        "i0",
        "--tcp",
        "198.51.100.11:40001>203.0.113.14:1194",
    ];
    let assert = seqnic()
        .args(["explain", &next])
        .args(packet)
        .assert()
        .code(0);
    assert!(
        stdout(&assert).contains("firewall.outside"),
        "{}",
        stdout(&assert)
    );
    // And back again.
    let assert = seqnic()
        .args(["diff", &next, &definition("fig07"), "--json"])
        .assert()
        .code(1);
    let found = json(&assert);
    assert_eq!(found["services_changed"][0]["after"]["name"], "W1");
    assert!(found["words"]["step"].as_u64().unwrap() > 0);
}

#[test]
fn a_failed_device_is_taken_over() {
    let args = [
        "diff",
        &definition("fig15c-before"),
        &definition("fig15c-after"),
        "--words",
    ];
    let assert = seqnic().args(args).assert().code(1);
    let said = stdout(&assert);
    for part in [
        "firewall1561.outside (role IPv4 firewall1562): packets go to firewall1562.outside now",
        "5 words are written: attachment 4, epoch 1",
        "wait until row 1 of epoch reads 0",
    ] {
        assert!(said.contains(part), "`{part}` in\n{said}");
    }
    assert!(!said.contains("service"), "no service changes:\n{said}");
}

#[test]
fn trouble_is_not_a_difference() {
    let dir = TempDir::new().unwrap();
    let good = definition("fig07");
    let bad = text(&dir.path().join("bad.yaml"));
    fs::write(
        &bad,
        fs::read_to_string(&good)
            .unwrap()
            .replace("- copy: ids", "- copy: idz"),
    )
    .unwrap();
    let assert = seqnic().args(["diff", &good, &bad]).assert().code(2);
    assert!(stderr(&assert).contains("idz"), "{}", stderr(&assert));
    seqnic()
        .args(["diff", "missing.img", &good])
        .assert()
        .code(2);
    seqnic().args(["diff", &good]).assert().code(2);
    let edge = text(&dir.path().join("edge.yaml"));
    let text =
        fs::read_to_string(&good)
            .unwrap()
            .replacen("seqnic: 1", "seqnic: 1\ngeometry: edge", 1);
    fs::write(&edge, text).unwrap();
    let assert = seqnic().args(["diff", &good, &edge]).assert().code(2);
    assert!(
        stderr(&assert).contains("load it whole"),
        "{}",
        stderr(&assert)
    );
}
