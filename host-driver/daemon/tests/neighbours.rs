//! MACs that a definition leaves out, learned from kernels on the other side, in network namespaces. Needs root and
//! `ip`; says so and passes where there are none.

use seqnic_daemon::api::{Answer, Request, Status};
use seqnic_daemon::client::Client;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// The engine's namespace, the router's and the server's; gone with it.
struct Spaces {
    names: [String; 3],
    daemon: Option<Child>,
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output();
    output.is_ok_and(|o| o.status.success())
}

fn must(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Drop for Spaces {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _gone = daemon.kill();
            let _gone = daemon.wait();
        }
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

impl Spaces {
    /// `None`: this host gives none.
    fn new() -> Option<Spaces> {
        let names = ["e", "r", "s"].map(|n| format!("sqn{n}{}", std::process::id()));
        let spaces = Spaces {
            names,
            daemon: None,
        };
        let [engine, router, server] = &spaces.names;
        if !ip(&format!("netns add {engine}")) {
            return None;
        }
        must(&format!("netns add {router}"));
        must(&format!("netns add {server}"));
        for (port, space, address, mac) in [
            ("p0", router, "192.0.2.254/24", "02:0a:00:00:00:01"),
            ("p1", server, "10.1.0.6/24", "02:0a:00:00:00:02"),
        ] {
            must(&format!(
                "-n {space} link add d0 address {mac} type veth peer name {port} netns {engine}"
            ));
            must(&format!("-n {space} addr add {address} dev d0"));
            must(&format!("-n {space} link set d0 up"));
            must(&format!("-n {engine} link set {port} up"));
        }
        must(&format!("-n {server} link set lo up"));
        must(&format!("-n {server} addr add 203.0.113.13/32 dev lo"));
        must(&format!("-n {server} route add default via 10.1.0.1"));
        must(&format!(
            "-n {router} route add 203.0.113.0/24 via 192.0.2.1"
        ));
        Some(spaces)
    }

    fn start(&mut self, folder: &Path) {
        let config = folder.join("seqnicd.yaml");
        let at = folder.display();
        let ports = "0: { interface: p0 }, 1: { interface: p1 }";
        let text = format!(
            "card: {{ software: {{ geometry: edge, ports: {{ {ports} }} }} }}\nstate: {at}/state\nsocket: {at}/socket\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("ip")
            .args(["netns", "exec", &self.names[0]])
            .arg(env!("CARGO_BIN_EXE_seqnicd"))
            .arg("--config")
            .arg(&config)
            .spawn();
        self.daemon = Some(child.unwrap());
    }

    /// A shell command in a namespace; whether it went well.
    fn run(&self, space: usize, command: &str) -> bool {
        let mut run = Command::new("ip");
        let run = run.args([
            "netns",
            "exec",
            &self.names[space],
            "timeout",
            "5",
            "bash",
            "-c",
            command,
        ]);
        run.output().is_ok_and(|o| o.status.success())
    }
}

const DEFINITION: &str = "seqnic: 1
geometry: edge
interfaces:
  i0: { port: 0, mac: 02:01:00:00:00:01, address: 192.0.2.1/24, gateway: router }
  i1: { port: 1, mac: 02:02:00:00:00:02, address: 10.1.0.1/24 }
hosts:
  router: { interface: i0, address: 192.0.2.254 }
devices:
  server: { function: server, attachment: { interface: i1 }, mode: loopback, address: 10.1.0.6 }
services:
  web: { address: 203.0.113.13, port: 80, sequence: [server] }
";

fn status(client: &mut Client) -> Status {
    match client.ask(&Request::Status).unwrap() {
        Answer::Status(status) => *status,
        other => panic!("{other:?}"),
    }
}

/// Waits until the status is as asked.
fn until(client: &mut Client, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let now = status(client);
        if holds(&now) {
            return now;
        }
        assert!(Instant::now() < end, "{what}: {now:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn mac_of(status: &Status, attachment: &str) -> Option<String> {
    let found = status
        .neighbours
        .iter()
        .find(|n| n.attachment == attachment);
    found.and_then(|n| n.mac.clone())
}

#[test]
fn macs_are_learned_and_followed_and_strangers_noticed() {
    let Some(mut spaces) = Spaces::new() else {
        eprintln!("not tested: needs root and network namespaces");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    spaces.start(folder.path());
    let socket = folder.path().join("socket");
    let end = Instant::now() + Duration::from_secs(60);
    let mut client = loop {
        match Client::connect(&socket) {
            Ok(client) => break client,
            Err(e) => assert!(Instant::now() < end, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let apply = Request::Apply {
        name: String::from("learned.yaml"),
        definition: String::from(DEFINITION),
        dry_run: false,
        reload: false,
    };
    client.ask(&apply).unwrap();
    let told = until(&mut client, "both are learned", |s| {
        ["router", "server"].iter().all(|a| mac_of(s, a).is_some())
    });
    assert_eq!(mac_of(&told, "router").unwrap(), "02:0a:00:00:00:01");
    assert_eq!(mac_of(&told, "server").unwrap(), "02:0a:00:00:00:02");
    until(&mut client, "it is in the tables", |s| {
        s.log
            .iter()
            .any(|l| l.text.contains("server has 02:0a:00:00:00:02"))
    });

    // A connection through the engine: the server refuses it, so the way there and back is right.
    let refused = "exec 3<>/dev/tcp/203.0.113.13/80 2>&1; true";
    let end = Instant::now() + Duration::from_secs(60);
    let arrived = |client: &mut Client| match client.ask(&Request::Counters).unwrap() {
        Answer::Counters(c) => (c.counters.iter())
            .filter(|c| c.kind == "attachment_in" && c.labels.values().any(|l| l == "server"))
            .any(|c| c.packets > 0),
        other => panic!("{other:?}"),
    };
    while !arrived(&mut client) {
        assert!(
            Instant::now() < end,
            "nothing passes: {:#?}",
            status(&mut client)
        );
        spaces.run(1, refused);
    }

    // Its mode: it has an address on lo, so it takes packets for it and answers ARP, unless told not to.
    must(&format!(
        "-n {} addr add 198.51.100.7/32 dev lo",
        spaces.names[2]
    ));
    let mut detect = |address: &str| {
        let request = Request::Detect {
            device: String::from("server"),
            address: address.parse().unwrap(),
            port: 8080,
        };
        match client.ask(&request).unwrap() {
            Answer::Detected(found) => found.mode,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(detect("198.51.100.7").as_deref(), Some("alias"));
    assert!(spaces.run(2, "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore"));
    assert_eq!(detect("198.51.100.7").as_deref(), Some("loopback"));
    assert_eq!(detect("198.51.100.8").as_deref(), Some("nat"));
    assert!(spaces.run(2, "echo 0 > /proc/sys/net/ipv4/conf/all/arp_ignore"));

    // Another box under the same address.
    let server = spaces.names[2].clone();
    must(&format!("-n {server} link set d0 down"));
    must(&format!(
        "-n {server} link set d0 address 02:0a:00:00:00:99"
    ));
    must(&format!("-n {server} link set d0 up"));
    must(&format!("-n {server} route replace default via 10.1.0.1"));
    let end = Instant::now() + Duration::from_secs(60);
    while mac_of(&status(&mut client), "server").as_deref() != Some("02:0a:00:00:00:99") {
        assert!(Instant::now() < end, "{:#?}", status(&mut client));
        // It asks who the engine is, and says who it is itself.
        spaces.run(2, "ip neigh flush all; echo > /dev/udp/10.1.0.1/9");
        std::thread::sleep(Duration::from_millis(200));
    }
    until(&mut client, "the new one is in the tables", |s| {
        s.log
            .iter()
            .any(|l| l.text.contains("server has 02:0a:00:00:00:99"))
    });

    // Somebody no definition has.
    must(&format!(
        "-n {server} link add link d0 name m0 address 02:0a:00:00:00:77 type macvlan mode bridge"
    ));
    must(&format!("-n {server} addr add 10.1.0.77/25 dev m0"));
    must(&format!("-n {server} link set m0 up"));
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let now = status(&mut client);
        let found = now.discovered.iter().find(|d| d.mac == "02:0a:00:00:00:77");
        if let Some(found) = found
            && found.addresses.contains(&"10.1.0.77".parse().unwrap())
        {
            assert_eq!(found.interface, "i1");
            break;
        }
        assert!(Instant::now() < end, "{now:#?}");
        spaces.run(2, "ip neigh flush all; echo > /dev/udp/10.1.0.1/9");
        std::thread::sleep(Duration::from_millis(200));
    }
}
