//! Two engines: they share what comes, or one takes over from the other.

use crate::up::{Up, checked, complete, download, example, packets, start};
use seqnic_daemon::api::{Request, Status};
use seqnic_lab::file::read_beside;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn figure_15_an_engine_killed_during_a_download() {
    let Some(up) = checked("sqt2e", "fig15.yaml") else {
        return;
    };
    // Both have one definition, and both say so.
    let (one, two) = (up.peer(0, "equal"), up.peer(1, "equal"));
    let digest = |s: &Status| s.definition.as_ref().unwrap().text_digest.clone();
    assert_eq!(digest(&one), digest(&two));
    assert_eq!(packets(&up.counters_of(1), "attachment_out", "server"), 0);
    let (mut download, big) = download(&up, "http://203.0.113.13/big");
    up.kill("engine1", "seqnicd");
    let ended = download.wait().unwrap();
    assert!(ended.success());
    complete(&up, &big);
    assert!(packets(&up.counters_of(1), "attachment_out", "server") > 100);
    up.peer(1, "silent");
}

/// Two engines share addresses of both families as one, or IPv6 ones alone; the first dies under an IPv6 download.
fn killed_under_ipv6(up: &Up) {
    let (one, two) = (up.peer(0, "equal"), up.peer(1, "equal"));
    let digest = |s: &Status| s.definition.as_ref().unwrap().text_digest.clone();
    assert_eq!(digest(&one), digest(&two));
    assert_eq!(packets(&up.counters_of(1), "attachment_out", "server"), 0);
    // Both hands of the engine answer for the shared address, one at a time: nobody else's MAC is known there.
    let (mut download, big) = download(up, "http://[2001:db8:113::13]/big");
    up.kill("engine1", "seqnicd");
    let ended = download.wait().unwrap();
    assert!(ended.success());
    complete(up, &big);
    assert!(packets(&up.counters_of(1), "attachment_out", "server") > 100);
    let shared = ["ip", "-6", "addr", "show", "dev", "sq-i3"];
    let has = up.0.exec("engine2", &shared).unwrap();
    assert!(has.contains("fd00:3::1/64"), "{has}");
    up.peer(1, "silent");
}

#[test]
fn figure_15_an_engine_killed_during_an_ipv6_download() {
    if let Some(up) = checked("sqt6e", "fig15-v6.yaml") {
        killed_under_ipv6(&up);
    }
}

#[test]
fn an_engine_with_both_families_killed_during_an_ipv6_download() {
    let path = Path::new("../../examples/fig15-v6.yaml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (six, four) in [
        ("2001:db8:2::1/64", "192.0.2.1/24"),
        ("fd00:1::1/64", "10.1.0.1/24"),
        ("fd00:2::1/64", "10.2.0.1/24"),
        ("fd00:3::1/64", "10.3.0.1/24"),
    ] {
        let both = format!("address: [{four}, \"{six}\"]");
        text = text.replace(&format!("address: \"{six}\""), &both);
    }
    assert_eq!(text.matches("address: [").count(), 4);
    let Some(up) = start("sqt46", &text, &read_beside(path).unwrap(), "") else {
        return;
    };
    killed_under_ipv6(&up);
}

#[test]
fn figure_15a_two_engines_share_the_load() {
    let Some(up) = checked("sqt2l", "fig15a.yaml") else {
        return;
    };
    up.peer(0, "equal");
    // One has what clients send, the other what the server sends; neither has both.
    let count = |engine, kind, name: &str| packets(&up.counters_of(engine), kind, name);
    assert!(count(0, "attachment_out", "server") >= 4);
    assert_eq!(count(0, "attachment_out", "router"), 0);
    assert!(count(1, "attachment_out", "router") >= 4);
    assert_eq!(count(1, "attachment_out", "server"), 0);
    let (mut busy, _) = download(&up, "http://203.0.113.13/big");
    assert!(busy.wait().unwrap().success());
    let state = |engine: usize| up.status_of(engine).devices[0].state.clone();
    assert_eq!(
        [state(0), state(1)],
        ["up", "up"],
        "no answer comes to the first, and it blames nobody"
    );
    // A server that is gone is noticed by the one that sees it opened to in vain, and by that one only.
    up.0.exec("server", &["ip", "link", "set", "eth0", "down"])
        .unwrap();
    let space = up.0.space("client");
    let asking = [
        "netns",
        "exec",
        &space,
        "curl",
        "--silent",
        "--max-time",
        "8",
        "http://203.0.113.13/",
    ];
    let mut asking = Command::new("ip").args(asking).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while state(0) != "failed" {
        assert!(Instant::now() < until, "{:?}", up.status_of(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(state(1), "up");
    assert!(
        up.status_of(0)
            .unavailable
            .contains(&(String::from("W1"), String::from("server")))
    );
    assert!(!asking.wait().unwrap().success());
}

/// Engines in front of which a balancer chooses: one is killed, whoever asks goes on being answered by the other.
fn an_engine_behind_the_balancer_is_killed(up: &Up, servers: &[&str]) {
    let ask = || {
        let asked = ["curl", "-sS", "--max-time", "10", "http://198.51.100.80/"];
        up.0.exec("client", &asked)
            .unwrap_or_else(|e| format!("{e}"))
    };
    up.kill("engine1", "seqnicd");
    let until = Instant::now() + Duration::from_secs(20);
    let mut named = std::collections::BTreeSet::new();
    let mut whole = 0;
    while whole < 12 {
        let said = ask();
        let said = said.trim();
        whole = match said.strip_prefix("this is ") {
            Some(name) => {
                named.insert(name.to_string());
                whole + 1
            }
            None => 0,
        };
        assert!(Instant::now() < until, "{said}");
    }
    for server in servers {
        assert!(named.contains(*server), "{named:?}");
    }
    let passed = up.counters_of(1);
    for server in servers {
        assert!(packets(&passed, "attachment_out", server) > 4, "{server}");
    }
}

#[test]
fn figure_17i_a_balancer_goes_over_to_the_other_engine() {
    let Some(up) = checked("sqt17i", "fig17i.yaml") else {
        return;
    };
    // The first engine only, but for the balancer's own looks.
    let first = packets(&up.counters(), "service", "W1");
    assert!(first > 0, "{:?}", up.counters());
    an_engine_behind_the_balancer_is_killed(&up, &["server1775", "server1776", "server1777"]);
}

#[test]
fn figure_17j_other_servers_behind_the_other_engine() {
    let Some(up) = checked("sqt17j", "fig17j.yaml") else {
        return;
    };
    let ask = || {
        let asked = ["curl", "-sS", "--max-time", "10", "http://198.51.100.80/"];
        up.0.exec("client", &asked)
            .unwrap_or_else(|e| format!("{e}"))
    };
    // One service has no server by the first engine: the same address by the other has.
    up.kill("server1775", "nginx");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let said: std::collections::BTreeSet<String> = (0..9).map(|_| ask()).collect();
        let names: Vec<&str> = (said.iter())
            .filter_map(|s| s.trim().strip_prefix("this is "))
            .collect();
        if names == ["server1771", "server1776", "server1777"] && said.len() == 3 {
            break;
        }
        assert!(Instant::now() < until, "{said:?}");
    }
    an_engine_behind_the_balancer_is_killed(&up, &["server1771", "server1772", "server1773"]);
}

#[test]
fn a_definition_only_one_engine_has_is_reported() {
    let Some(up) = example("sqt2d", "fig15.yaml") else {
        return;
    };
    up.peer(1, "equal");
    let text = std::fs::read_to_string("../../examples/fig15.yaml").unwrap();
    let request = Request::Apply {
        name: String::from("other"),
        definition: text.replace("port: 80\n", "port: 81\n"),
        dry_run: false,
        reload: false,
    };
    up.ask_of(0, &request);
    let status = up.peer(1, "differs");
    assert!(
        status.log.iter().any(|l| l.text.contains("differs")),
        "{:?}",
        status.log
    );
    up.ask_of(1, &request);
    up.peer(0, "equal");
    up.peer(1, "equal");
}
