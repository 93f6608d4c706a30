//! One engine between its devices.

use crate::up::{Up, checked, complete, curl, download, packets, settled, start};
use seqnic_daemon::api::Request;
use seqnic_lab::check::check;
use seqnic_lab::file::LabFile;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn figure_5_every_mode_of_a_server() {
    checked("sqt5", "fig05.yaml");
}

#[test]
fn figure_7_with_a_tunnel_and_suricata() {
    let Some(up) = checked("sqt7v", "fig07.yaml") else {
        return;
    };
    let file = |name: &str| std::fs::read_to_string(up.file(name)).unwrap();
    let eve = file("ids.suricata/eve.json");
    assert!(
        eve.contains("\"url\":\"/\""),
        "the IDS sees what the VPN reveals: {eve}"
    );
    let access = file("server.nginx/access.log");
    assert!(
        access.starts_with("10.77.0.2 "),
        "the client's address in the tunnel: {access}"
    );
    let encrypted = up.0.exec(
        "vpn",
        &["nft", "list", "counter", "inet", "seqnic", "encrypted"],
    );
    assert!(!encrypted.unwrap().contains("packets 0 "));
}

#[test]
fn figure_8_a_port_of_the_servers_own() {
    let Some(up) = checked("sqt8", "fig08.yaml") else {
        return;
    };
    let eve = std::fs::read_to_string(up.file("ids.suricata/eve.json")).unwrap();
    assert!(
        eve.contains("\"dest_port\":20,") && !eve.contains("2020"),
        "{eve}"
    );
}

#[test]
fn figure_12_a_proxy_behind_a_firewall_that_hides_it() {
    let Some(up) = checked("sqt12", "fig12.yaml") else {
        return;
    };
    let access = std::fs::read_to_string(up.file("H1.nginx/access.log")).unwrap();
    assert!(access.starts_with("203.0.113.15 "), "{access}");
}

#[test]
fn figure_14_customers_share_a_database() {
    let Some(up) = checked("sqt14", "fig14.yaml") else {
        return;
    };
    // Both customers' services go over to the other database together.
    up.ask(&Request::Fail {
        device: String::from("db1471"),
    });
    for address in ["203.0.113.17", "203.0.113.19"] {
        let question = [
            "psql",
            "-h",
            address,
            "-p",
            "1521",
            "-U",
            "postgres",
            "-Atc",
            "show cluster_name",
        ];
        assert_eq!(up.0.exec("app1474", &question).unwrap(), "db1472\n");
    }
}

#[test]
fn figure_7_hop_by_hop() {
    let text = std::fs::read_to_string("../../examples/fig07.yaml").unwrap();
    let file = "programs:
  vpn: { translate: [] }
  ids: { tcpdump: [] }
";
    let file = seqnic_lab::file::parse(file, Path::new("inline")).unwrap();
    let Some(up) = start("sqt7", &text, &file, "linux: { taps: false }") else {
        return;
    };
    let answer = curl(&up, "http://203.0.113.13:1194/");
    assert_eq!(answer, "this is server\n");
    let counters = settled(&up);
    // Every device's own log shows it.
    let access = std::fs::read_to_string(up.file("server.nginx/access.log")).unwrap();
    assert!(access.contains("GET / HTTP/1.1\" 200"), "{access}");
    let firewall = up.0.exec("firewall", &["nft", "list", "counters"]).unwrap();
    let vpn = up.0.exec("vpn", &["nft", "list", "counters"]).unwrap();
    let passed = |text: &str, name: &str| -> u64 {
        let at = text.split(&format!("counter {name} {{")).nth(1).unwrap();
        let number = at.split_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    };
    let ids = up.0.exec(
        "ids",
        &[
            "tcpdump",
            "-n",
            "-r",
            &up.file("ids.pcap").display().to_string(),
        ],
    );
    let ids = ids.unwrap();
    // And the numbers add up, hop by hop.
    let sent = |name: &str| packets(&counters, "attachment_out", name);
    let came = |name: &str| packets(&counters, "attachment_in", name);
    let (requests, answers) = (sent("firewall.outside"), sent("firewall.inside"));
    assert!(requests >= 5 && answers >= 4, "{counters:?}");
    assert_eq!(passed(&firewall, "requests"), requests);
    assert_eq!(passed(&firewall, "answers"), answers);
    assert_eq!(came("firewall.inside"), requests);
    assert_eq!(came("firewall.outside"), answers);
    assert_eq!(sent("vpn"), requests + answers);
    assert_eq!(passed(&vpn, "passed"), requests + answers);
    assert_eq!(came("vpn"), requests + answers);
    assert_eq!(sent("server"), requests);
    assert_eq!(came("server"), answers);
    assert_eq!(sent("router"), answers);
    assert_eq!(sent("ids"), requests + answers);
    assert_eq!(
        ids.lines()
            .filter(|l| l.contains("203.0.113.13.80"))
            .count() as u64,
        requests + answers
    );
    assert_eq!(
        ids.lines()
            .filter(|l| l.contains("203.0.113.13.1194"))
            .count(),
        0,
        "it sees what the VPN reveals"
    );
}

#[test]
fn figure_15b_a_firewall_killed_during_a_download() {
    let Some(up) = checked("sqt15", "fig15b.yaml") else {
        return;
    };
    let (mut download, big) = download(&up, "http://203.0.113.13/big");
    assert!(packets(&up.counters(), "attachment_in", "firewall1561.inside") > 0);
    for side in ["outside", "inside"] {
        let down = ["ip", "link", "set", side, "down"];
        up.0.exec("firewall1561", &down).unwrap();
    }
    let ended = download.wait().unwrap();
    let status = up.status();
    let log: Vec<String> = status.log.iter().map(|l| l.text.clone()).collect();
    assert!(ended.success(), "{log:#?}");
    complete(&up, &big);
    let of = |name: &str| status.devices.iter().find(|d| d.name == name).unwrap();
    assert_eq!(of("firewall1561").state, "failed", "{log:#?}");
    assert_eq!(of("firewall1562").state, "up", "{log:#?}");
    let passed =
        up.0.exec("firewall1562", &["nft", "list", "counters"])
            .unwrap();
    assert!(!passed.contains("answers {\n\t\tpackets 0 "), "{passed}");
}

/// Ends a server's nginx; whoever asks the balancer goes on being answered, by those that are left.
fn one_of_three_is_killed(up: &Up, url: &str, victim: &str) {
    let ask = || {
        let asked = ["curl", "-sS", "--max-time", "10", url];
        up.0.exec("client", &asked)
            .unwrap_or_else(|e| format!("{e}"))
    };
    let all: std::collections::BTreeSet<String> = (0..9).map(|_| ask()).collect();
    let names: Vec<&str> = all.iter().map(|a| a.trim()).collect();
    assert_eq!(names.len(), 3, "{all:?}");
    assert!(
        names.contains(&format!("this is {victim}").as_str()),
        "{all:?}"
    );
    up.kill(victim, "nginx");
    let until = Instant::now() + Duration::from_secs(20);
    // The balancer sees it by its own checks; then nobody does without an answer.
    let mut whole = 0;
    while whole < 12 {
        let said = ask();
        whole = match said.starts_with("this is ") && !said.contains(victim) {
            true => whole + 1,
            false => 0,
        };
        assert!(Instant::now() < until, "{said}");
    }
    let (mut download, big) = download(up, &format!("{url}big"));
    assert!(download.wait().unwrap().success());
    assert_eq!(std::fs::metadata(big).unwrap().len(), 16 << 20);
}

#[test]
fn figure_17f_a_load_balancer_as_the_end_server() {
    let Some(up) = checked("sqt17f", "fig17f.yaml") else {
        return;
    };
    one_of_three_is_killed(&up, "http://203.0.113.13/", "server1776");
    // The engine knows the balancer only, and blames nobody.
    let status = up.status();
    assert!(status.devices.iter().all(|d| d.state == "up"), "{status:?}");
    assert!(packets(&up.counters(), "attachment_out", "balancer") > 20);
}

#[test]
fn figure_17g_a_load_balancer_in_front_chooses_among_service_addresses() {
    let Some(up) = checked("sqt17g", "fig17g.yaml") else {
        return;
    };
    let of = |server: &str| packets(&up.counters(), "attachment_out", server);
    one_of_three_is_killed(&up, "http://198.51.100.80/", "server1776");
    // All of it passed the engine: from the router behind which the balancer is, by the firewall, to each server.
    for server in ["server1775", "server1776", "server1777", "firewall.outside"] {
        assert!(of(server) > 4, "{server}");
    }
    assert!(of("server1775") + of("server1777") > 100);
}

#[test]
fn a_device_gets_its_address_by_dhcp() {
    let text = std::fs::read_to_string("../../examples/fig15.yaml").unwrap();
    let text = text.replace("mode: loopback", "mode: nat");
    let file = "programs:
  server: { nginx: [80], udhcpc: [] }
kea: [i3]
check:
  - { in: client, run: 'curl -sS --max-time 20 http://203.0.113.13/', says: this is server }
";
    let file = seqnic_lab::file::parse(file, Path::new("inline")).unwrap();
    let Some(up) = start("sqtd", &text, &file, "linux: { taps: true }") else {
        return;
    };
    // It says that a lease is obtained before its script gives it the address.
    let mut has = String::new();
    for _ in 0..100 {
        has =
            up.0.exec("server", &["ip", "-4", "addr", "show", "dev", "eth0"])
                .unwrap();
        if has.contains("inet 10.3.0.12/32") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(has.contains("inet 10.3.0.12/32"), "{has}");
    // The server is reached by the address it was given.
    let report = check(&up.0).unwrap();
    assert!(report.passes(), "{report:#?}");
}

const WITH_ALTERNATE: &str = "seqnic: 1
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, address: 192.0.2.1/24, gateway: router }
  i1: { port: 1, mac: 02:02:00:00:00:02, address: 10.1.0.1/24 }
  i2: { port: 2, mac: 02:03:00:00:00:03, address: 10.2.0.1/24 }
hosts:
  router: { interface: i0, mac: 02:05:00:00:00:05, address: 192.0.2.254 }
devices:
  pass1: { function: scanner, attachment: { interface: i1, mac: 02:06:00:00:00:06 }, address: 10.1.0.6 }
  pass2: { function: scanner, attachment: { interface: i1, mac: 02:06:00:00:00:16 }, address: 10.1.0.16 }
  server: { function: server, attachment: { interface: i2, mac: 02:0a:00:00:00:0a }, mode: loopback, address: 10.2.0.12 }
services:
  web: { address: 203.0.113.13, port: 80, sequence: [{ device: pass1, alternate: pass2 }, server] }
";

#[test]
fn a_device_killed_during_a_download_is_replaced_and_the_download_completes() {
    let config = "linux: { taps: true }
health: { interval_ms: 20, silent_intervals: 3, probe_timeout_ms: 100, probes: 2, devices: { pass1: { tcp: 9 } } }";
    let Some(up) = start("sqtf", WITH_ALTERNATE, &LabFile::default(), config) else {
        return;
    };
    // The kernel answers for the engine's own address.
    up.0.exec(
        "router",
        &[
            "ping",
            "-c",
            "1",
            "-W",
            "5",
            "-I",
            "192.0.2.254",
            "192.0.2.1",
        ],
    )
    .map(drop)
    .unwrap_or_else(|e| {
        // The route to the segment is a host's own address only.
        up.0.exec(
            "router",
            &[
                "ip",
                "route",
                "replace",
                "192.0.2.1/32",
                "dev",
                "eth0",
                "src",
                "192.0.2.254",
            ],
        )
        .unwrap();
        let again =
            up.0.exec("router", &["ping", "-c", "1", "-W", "5", "192.0.2.1"]);
        assert!(again.is_ok(), "{e}, then {again:?}");
    });
    let (mut download, big) = download(&up, "http://203.0.113.13/big");
    let before = packets(&up.counters(), "attachment_in", "pass1");
    assert!(before > 0);
    up.0.exec("pass1", &["ip", "link", "set", "eth0", "down"])
        .unwrap();
    let ended = download.wait().unwrap();
    let status = up.status();
    let log: Vec<String> = status.log.iter().map(|l| l.text.clone()).collect();
    assert!(ended.success(), "{log:#?}");
    complete(&up, &big);
    let pass1 = status.devices.iter().find(|d| d.name == "pass1").unwrap();
    assert_eq!(pass1.state, "failed", "{log:#?}");
    assert!(log.iter().any(|l| l.contains("fail-over")), "{log:#?}");
    // It comes back on order only.
    up.0.exec("pass1", &["ip", "link", "set", "eth0", "up"])
        .unwrap();
    up.ask(&Request::Restore {
        device: String::from("pass1"),
    });
    assert!(up.status().devices.iter().all(|d| d.state != "failed"));
}
