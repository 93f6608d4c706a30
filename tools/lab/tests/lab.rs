//! Real programs through the software engine: `examples/fig07.yaml` and a firewall that dies under a
//! download. Needs root and namespaces; says so and passes where there are none.

use seqnic_compiler::definition::Definition;
use seqnic_daemon::api::{Answer, Counters, Request, Status};
use seqnic_daemon::client::Client;
use seqnic_lab::up::{Options, up};
use seqnic_lab::{Lab, down, missing};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A lab that is taken down whatever happens.
struct Up(
    Lab,
    #[expect(dead_code, reason = "lives as long as the lab")] tempfile::TempDir,
);

impl Drop for Up {
    fn drop(&mut self) {
        down::down(&self.0);
    }
}

impl Up {
    fn ask(&self, request: &Request) -> Answer {
        Client::connect(&self.0.socket())
            .unwrap()
            .ask(request)
            .unwrap()
    }

    fn counters(&self) -> Counters {
        match self.ask(&Request::Counters) {
            Answer::Counters(counters) => counters,
            other => panic!("{other:?}"),
        }
    }

    fn status(&self) -> Status {
        match self.ask(&Request::Status) {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.folder.join(name)
    }
}

/// The daemon, built beside this test.
fn seqnicd() -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let target = target
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("seqnicd");
    if !target.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "-p",
                "seqnic-daemon",
                "--bin",
                "seqnicd",
            ])
            .status();
        assert!(built.unwrap().success());
    }
    target
}

fn start(name: &str, text: &str, config: &str) -> Option<Up> {
    let missing = missing();
    if !missing.is_empty() {
        eprintln!("not tested: a lab needs {}", missing.join(", "));
        return None;
    }
    let definition: Definition = seqnic_compiler::read(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        name,
        folder: folder.path(),
        seqnicd: &seqnicd(),
        card: None,
        config,
    };
    let up = Up(up(&definition, &options).unwrap(), folder);
    up.ask(&Request::Apply {
        name: name.to_string(),
        definition: text.to_string(),
        dry_run: false,
        reload: false,
    });
    Some(up)
}

fn curl(up: &Up, url: &str) -> String {
    let args = ["curl", "--silent", "--show-error", "--max-time", "20", url];
    up.0.exec("client", &args).unwrap()
}

fn packets(counters: &Counters, kind: &str, name: &str) -> u64 {
    let of = counters.counters.iter().filter(|c| c.kind == kind);
    of.filter(|c| c.labels.values().any(|v| v == name))
        .map(|c| c.packets)
        .sum()
}

/// Waits until counters stand still: what is under way has arrived.
fn settled(up: &Up) -> Counters {
    let mut was = up.counters();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = up.counters();
        if now.counters == was.counters {
            return now;
        }
        was = now;
    }
}

#[test]
fn figure_7_with_real_programs() {
    let text = std::fs::read_to_string("../../examples/fig07.yaml").unwrap();
    let Some(up) = start("sqt7", &text, "linux: { taps: false }") else {
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
            // What the switch floods, before it knows a MAC, is no copy.
            "ether dst 02:09:00:00:00:09",
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
    let Some(up) = start("sqtf", WITH_ALTERNATE, config) else {
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
    let big = up.file("big");
    let mut download = Command::new("ip")
        .args([
            "netns",
            "exec",
            &up.0.space("client"),
            "curl",
            "--silent",
            "--limit-rate",
            "4M",
            "--max-time",
            "60",
            "-o",
        ])
        .arg(&big)
        .arg("http://203.0.113.13/big")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while std::fs::metadata(&big).map(|m| m.len()).unwrap_or(0) < 1 << 20 {
        assert!(Instant::now() < until, "the download does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = packets(&up.counters(), "attachment_in", "pass1");
    assert!(before > 0);
    up.0.exec("pass1", &["ip", "link", "set", "eth0", "down"])
        .unwrap();
    let ended = download.wait().unwrap();
    let status = up.status();
    let log: Vec<String> = status.log.iter().map(|l| l.text.clone()).collect();
    assert!(ended.success(), "{log:#?}");
    let got = std::fs::read(&big).unwrap();
    let was = std::fs::read(up.file("server.nginx/www/big")).unwrap();
    assert_eq!(got.len(), was.len());
    assert!(got == was, "the download differs");
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
