//! Real programs through the software engine: the figures of `examples`, and devices that die under a
//! download. Needs root, namespaces and the programs; says so and passes where there are none.

use seqnic_compiler::definition::Definition;
use seqnic_daemon::api::{Answer, Counters, Request, Status};
use seqnic_daemon::client::Client;
use seqnic_lab::check::check;
use seqnic_lab::file::{LabFile, read_beside};
use seqnic_lab::up::{Options, up};
use seqnic_lab::{Lab, LabError, down};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
    /// Asks an engine: 0, or of two 1.
    fn ask_of(&self, engine: usize, request: &Request) -> Answer {
        let socket = self.0.sockets().nth(engine).unwrap();
        Client::connect(&socket).unwrap().ask(request).unwrap()
    }

    fn ask(&self, request: &Request) -> Answer {
        self.ask_of(0, request)
    }

    fn counters_of(&self, engine: usize) -> Counters {
        match self.ask_of(engine, &Request::Counters) {
            Answer::Counters(counters) => counters,
            other => panic!("{other:?}"),
        }
    }

    fn counters(&self) -> Counters {
        self.counters_of(0)
    }

    fn status_of(&self, engine: usize) -> Status {
        match self.ask_of(engine, &Request::Status) {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    fn status(&self) -> Status {
        self.status_of(0)
    }

    /// Waits until an engine says of the other what is wanted.
    fn peer(&self, engine: usize, state: &str) -> Status {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let status = self.status_of(engine);
            if status.peer.as_ref().is_some_and(|p| p.state == state) {
                return status;
            }
            assert!(Instant::now() < until, "{:?}", status.peer);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends a program of a namespace by SIGKILL.
    fn kill(&self, node: &str, program: &str) {
        let space = self.0.space(node);
        let pids = Command::new("ip")
            .args(["netns", "pids", &space])
            .output()
            .unwrap();
        let pids = String::from_utf8(pids.stdout).unwrap();
        let mut killed = 0;
        for pid in pids.lines() {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == program {
                let done = Command::new("kill").args(["-KILL", pid]).status().unwrap();
                assert!(done.success());
                killed += 1;
            }
        }
        assert!(killed > 0, "{program} does not run in {node}");
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

fn start(name: &str, text: &str, file: &LabFile, config: &str) -> Option<Up> {
    let definition: Definition = seqnic_compiler::read(text).unwrap();
    let another = seqnic_lab::file::another(file, Path::new("../../examples/x"));
    let another = another.map(|path| std::fs::read_to_string(path).unwrap());
    let read = |text: &String| seqnic_compiler::read(text).unwrap();
    let other: Option<Definition> = another.as_ref().map(read);
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        name,
        folder: folder.path(),
        seqnicd: &seqnicd(),
        card: None,
        file,
        another: other.as_ref(),
        config,
    };
    let lab = match up(&definition, &options) {
        Err(LabError::Missing(missing)) => {
            eprintln!("not tested: a lab needs {}", missing.join(", "));
            return None;
        }
        lab => lab.unwrap(),
    };
    let up = Up(lab, folder);
    for (number, socket) in up.0.sockets().enumerate() {
        let text = another.as_deref().filter(|_| number == 1).unwrap_or(text);
        let request = Request::Apply {
            name: name.to_string(),
            definition: text.to_string(),
            dry_run: false,
            reload: false,
        };
        Client::connect(&socket).unwrap().ask(&request).unwrap();
    }
    up.0.wait().unwrap();
    Some(up)
}

/// An example with its lab file.
fn example(name: &str, file: &str) -> Option<Up> {
    let path = Path::new("../../examples").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    start(name, &text, &read_beside(&path).unwrap(), "")
}

/// All that its lab file asks is answered, and every hop's own count is the engine's.
fn checked(name: &str, file: &str) -> Option<Up> {
    let up = example(name, file)?;
    let report = check(&up.0).unwrap();
    assert!(report.passes(), "{report:#?}");
    assert!(!report.asked.is_empty());
    // Every device's own log shows packets; of those that stand by there are none.
    for (node, program, log) in &report.logs {
        let of_it = |a: &str| a.split(['.', ' ']).next() == Some(node);
        let passed = report.hops.iter().any(|h| of_it(&h.attachment));
        assert!(
            !log.is_empty() || !passed,
            "{node}: {program:?} saw nothing"
        );
    }
    Some(up)
}

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

/// A download of 16 MB that takes 4 s, once its first megabyte is there.
fn download(up: &Up, url: &str) -> (Child, PathBuf) {
    let big = up.file("big");
    let child = Command::new("ip")
        .args(["netns", "exec", &up.0.space("client")])
        .args([
            "curl",
            "--silent",
            "--limit-rate",
            "4M",
            "--max-time",
            "60",
            "-o",
        ])
        .arg(&big)
        .arg(url)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while std::fs::metadata(&big).map(|m| m.len()).unwrap_or(0) < 1 << 20 {
        assert!(Instant::now() < until, "the download does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, big)
}

fn complete(up: &Up, big: &Path) {
    let got = std::fs::read(big).unwrap();
    let was = std::fs::read(up.file("server.nginx/www/big")).unwrap();
    assert_eq!(got.len(), was.len());
    assert!(got == was, "the download differs");
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
