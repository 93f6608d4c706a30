//! `explain` and `legs`.

use crate::{case, definition, image, inputs, json, refused, seqnic, stdout, text};
use tempfile::TempDir;

const FLOW: &str = "198.51.100.11:40001>203.0.113.13:1194";

fn explain(args: &[&str]) -> assert_cmd::assert::Assert {
    let file = definition("fig07");
    seqnic()
        .args(["explain", &file, "--in"])
        .args(args)
        .assert()
}

#[test]
fn a_described_packet_is_explained() {
    let words = stdout(&explain(&["i0", "--tcp", FLOW]).success());
    assert!(words.contains("verdict: directed"), "{words}");
    assert!(
        words.contains("02:01:00:00:00:01"),
        "the interface's MAC is taken: {words}"
    );
    let dir = TempDir::new().unwrap();
    let file = image(&dir, "fig07");
    let same = seqnic()
        .args(["explain", &file, "--in", "i0", "--tcp", FLOW])
        .assert()
        .success();
    assert_eq!(stdout(&same), words);
    let found = json(&explain(&["i0", "--tcp", FLOW, "--json"]).success());
    assert_eq!(found["verdict"]["service"], "W1");
    assert_eq!(found["copies"][0]["port"], 1);
}

#[test]
fn every_way_to_name_a_packet() {
    let reason = |args: &[&str]| {
        let found = json(&explain(&[args, &["--json"]].concat()).success());
        found["verdict"]["reason"].as_str().unwrap().to_string()
    };
    assert_eq!(reason(&["i0", "--udp", FLOW]), "no_port");
    assert_eq!(
        reason(&["i0", "--icmp", "198.51.100.11>203.0.113.13"]),
        "no_port"
    );
    assert_eq!(
        reason(&["i0", "--tcp", "[2001:db8::1]:1>[2001:db8::2]:80"]),
        "no_service"
    );
    assert_eq!(
        reason(&["i0", "--tcp", FLOW, "--eth-dst", "02:01:00:00:00:77"]),
        "not_mine"
    );
    assert_eq!(
        reason(&["i0", "--tcp", FLOW, "--vlan", "10"]),
        "no_interface"
    );
    assert_eq!(
        reason(&["i1", "--tcp", FLOW, "--eth-src", "02:06:00:00:00:06"]),
        "wrong_sender"
    );
    assert_eq!(
        reason(&["i0", "--hex", "020100000001 020500000005 0806 0001"]),
        "arp"
    );
    assert_eq!(reason(&["i0", "--hex", "02:01"]), "runt");
    let pcap = text(&case("fig07").join("in/i2.pcap"));
    assert_eq!(
        reason(&["i2", "--pcap", &pcap, "--packet", "2"]),
        "directed"
    );
}

#[test]
fn wrong_packets_are_refused() {
    refused(explain(&["i0"]), 2, "which packet? One of --tcp");
    refused(
        explain(&["i9", "--tcp", FLOW]),
        2,
        "no interface `i9`; there are i0, i1, i2, i3",
    );
    refused(
        explain(&["i0", "--tcp", "1.2.3.4>5.6.7.8"]),
        2,
        "`1.2.3.4>5.6.7.8` is not SRC:PORT>DST:PORT",
    );
    refused(
        explain(&["i0", "--tcp", FLOW, "--udp", FLOW]),
        2,
        "cannot be used with",
    );
    refused(
        explain(&["i0", "--hex", "0z"]),
        2,
        "`z` in the frame is no hexadecimal digit",
    );
    refused(
        explain(&["i0", "--hex", ""]),
        1,
        "the frame has 0 bytes, but a port delivers 1 to 9216",
    );
    refused(
        explain(&["i0", "--tcp", FLOW, "--vlan", "5000"]),
        2,
        "`5000` are no VLANs",
    );
    refused(
        explain(&["i0", "--tcp", FLOW, "--eth-src", "x"]),
        2,
        "`x` is no MAC address",
    );
    let pcap = text(&case("fig07").join("in/i0.pcap"));
    refused(explain(&["i0", "--pcap", &pcap]), 2, "--packet <N>");
    refused(
        explain(&["i0", "--pcap", &pcap, "--packet", "0"]),
        2,
        "0 is not in",
    );
    refused(
        explain(&["i0", "--pcap", &pcap, "--packet", "5"]),
        1,
        "i0.pcap has 1 packet, no packet 5",
    );
    refused(
        explain(&["i0", "--pcap", &definition("fig07"), "--packet", "1"]),
        1,
        "no capture",
    );
}

#[test]
fn legs_tell_what_happened() {
    let legs = |args: &[&str]| {
        let file = definition("fig05-nat");
        let mut command = seqnic();
        command
            .args(["legs", &file])
            .args(inputs("fig05-nat"))
            .args(args);
        stdout(&command.assert().success())
    };
    let table = legs(&[]);
    for words in [
        "from router",
        "to server570: destination address 203.0.113.13 -> 10.0.0.12",
        "to router: source address 10.0.0.12 -> 203.0.113.13",
        "wrong_sender: The service is known",
        "(W1, return)",
        "no_port: ",
    ] {
        assert!(table.contains(words), "{words}\n{table}");
    }
    assert!(!table.contains('\u{1b}'));
    assert!(legs(&["--color", "always"]).contains('\u{1b}'));
    assert_eq!(legs(&["--engine", "oracle"]), table);

    let lines = legs(&["--json"]);
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["in"]["party"], "router");
    assert_eq!(lines[0]["out"][0]["interface"], "i1");
    assert_eq!(lines[3]["out"][0]["interface"], "host");
}

#[test]
fn a_file_that_is_neither_image_nor_definition_is_refused() {
    let dir = TempDir::new().unwrap();
    let good = std::fs::read(image(&dir, "fig07")).unwrap();
    let mut damaged = good.clone();
    damaged[0] ^= 0xff;
    for (name, bytes, is) in [
        ("damaged.img", damaged, "is binary"),
        ("empty.img", Vec::new(), "is empty"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let path = path.display().to_string();
        let assert = seqnic()
            .args(["explain", &path, "--in", "i0", "--tcp", FLOW])
            .assert()
            .code(1);
        let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(said.contains(name) && said.contains(is), "{said}");
        assert!(said.contains("SEQNICIM"), "{said}");
    }
}
