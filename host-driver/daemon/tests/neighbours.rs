//! MACs that a definition leaves out, learned from kernels on the other side, in network namespaces, by ARP and by neighbour
//! discovery. Needs root and `ip`; says so and passes where there are none.

use seqnic_daemon::api::{Answer, Request, Status};
use seqnic_daemon::client::Client;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Addresses of one family.
struct Family {
    /// Of the router and the server, with the length of their networks; the engine's in these networks.
    ends: [&'static str; 2],
    engine: [&'static str; 2],
    bits: u8,
    service: &'static str,
    /// Where services are, as the router's route.
    services: &'static str,
    /// Two the server may be asked for.
    asked: [&'static str; 2],
    /// One more in the server's network.
    stranger: &'static str,
}

const V4: Family = Family {
    ends: ["192.0.2.254", "10.1.0.6"],
    engine: ["192.0.2.1", "10.1.0.1"],
    bits: 24,
    service: "203.0.113.13",
    services: "203.0.113.0/24",
    asked: ["198.51.100.7", "198.51.100.8"],
    stranger: "10.1.0.77",
};
const V6: Family = Family {
    ends: ["2001:db8:1::fe", "2001:db8:2::6"],
    engine: ["2001:db8:1::1", "2001:db8:2::1"],
    bits: 64,
    service: "2001:db8:ff::13",
    services: "2001:db8:ff::/64",
    asked: ["2001:db8:fe::7", "2001:db8:fe::8"],
    stranger: "2001:db8:2::77",
};

impl Family {
    /// As an address stands in a command, and as it is said there that nobody looks whether another one has it.
    fn host(&self, address: &str) -> String {
        match self.six() {
            true => format!("{address}/128 nodad"),
            false => format!("{address}/32"),
        }
    }

    fn net(&self, address: &str) -> String {
        let nodad = if self.six() { " nodad" } else { "" };
        format!("{address}/{}{nodad}", self.bits)
    }

    fn six(&self) -> bool {
        self.bits == 64
    }

    fn definition(&self) -> String {
        let Family {
            ends,
            engine,
            bits,
            service,
            ..
        } = self;
        format!(
            "seqnic: 1
geometry: edge
interfaces:
  i0: {{ port: 0, mac: 02:01:00:00:00:01, address: \"{}/{bits}\", gateway: router }}
  i1: {{ port: 1, mac: 02:02:00:00:00:02, address: \"{}/{bits}\" }}
hosts:
  router: {{ interface: i0, address: \"{}\" }}
devices:
  server: {{ function: server, attachment: {{ interface: i1 }}, mode: loopback, address: \"{}\" }}
services:
  web: {{ address: \"{service}\", port: 80, sequence: [server] }}
",
            engine[0], engine[1], ends[0], ends[1]
        )
    }
}

/// The engine's namespace, the router's and the server's; gone with it.
struct Spaces {
    family: Family,
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
    fn new(family: Family) -> Option<Spaces> {
        let kind = if family.six() { 6 } else { 4 };
        let names = ["e", "r", "s"].map(|n| format!("sqn{n}{kind}{}", std::process::id()));
        let spaces = Spaces {
            family,
            names,
            daemon: None,
        };
        let [engine, router, server] = &spaces.names;
        let family = &spaces.family;
        if !ip(&format!("netns add {engine}")) {
            return None;
        }
        must(&format!("netns add {router}"));
        must(&format!("netns add {server}"));
        for (port, space, address, mac) in [
            ("p0", router, family.ends[0], "02:0a:00:00:00:01"),
            ("p1", server, family.ends[1], "02:0a:00:00:00:02"),
        ] {
            must(&format!(
                "-n {space} link add d0 address {mac} type veth peer name {port} netns {engine}"
            ));
            must(&format!(
                "-n {space} addr add {} dev d0",
                family.net(address)
            ));
            must(&format!("-n {space} link set d0 up"));
            must(&format!("-n {engine} link set {port} up"));
        }
        must(&format!("-n {server} link set lo up"));
        must(&format!(
            "-n {server} addr add {} dev lo",
            family.host(family.service)
        ));
        must(&format!(
            "-n {server} route add default via {}",
            family.engine[1]
        ));
        must(&format!(
            "-n {router} route add {} via {}",
            family.services, family.engine[0]
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
    story(V4);
}

#[test]
fn macs_are_learned_and_followed_and_strangers_noticed_in_ipv6() {
    story(V6);
}

fn story(family: Family) {
    let Some(mut spaces) = Spaces::new(family) else {
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
        definition: spaces.family.definition(),
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
    let refused = format!("exec 3<>/dev/tcp/{}/80 2>&1; true", spaces.family.service);
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
        spaces.run(1, &refused);
    }

    // Its mode. One with an address on lo takes packets for it and answers ARP for it unless told not to; it answers
    // solicitations only for what the device has that is asked.
    let server = spaces.names[2].clone();
    let [asked, nobodys] = spaces.family.asked;
    let (host, six) = (spaces.family.host(asked), spaces.family.six());
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
    must(&format!("-n {server} addr add {host} dev lo"));
    if six {
        assert_eq!(detect(asked).as_deref(), Some("loopback"));
        must(&format!("-n {server} addr del {asked}/128 dev lo"));
        must(&format!("-n {server} addr add {host} dev d0"));
        assert_eq!(detect(asked).as_deref(), Some("alias"));
    } else {
        assert_eq!(detect(asked).as_deref(), Some("alias"));
        assert!(spaces.run(2, "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore"));
        assert_eq!(detect(asked).as_deref(), Some("loopback"));
        assert!(spaces.run(2, "echo 0 > /proc/sys/net/ipv4/conf/all/arp_ignore"));
    }
    assert_eq!(detect(nobodys).as_deref(), Some("nat"));

    // Another box under the same address.
    must(&format!("-n {server} link set d0 down"));
    must(&format!(
        "-n {server} link set d0 address 02:0a:00:00:00:99"
    ));
    must(&format!("-n {server} link set d0 up"));
    // Without its link a device has no IPv6 address any more.
    if six {
        let own = spaces.family.net(spaces.family.ends[1]);
        must(&format!("-n {server} addr replace {own} dev d0"));
    }
    let engine = spaces.family.engine[1];
    must(&format!("-n {server} route replace default via {engine}"));
    let asks = format!("ip neigh flush all; echo > /dev/udp/{engine}/9");
    let end = Instant::now() + Duration::from_secs(60);
    while mac_of(&status(&mut client), "server").as_deref() != Some("02:0a:00:00:00:99") {
        assert!(Instant::now() < end, "{:#?}", status(&mut client));
        // It asks who the engine is, and says who it is itself.
        spaces.run(2, &asks);
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
    // Of a longer prefix, so that it is taken to send from.
    let (stranger, bits) = (spaces.family.stranger, spaces.family.bits + 1);
    let nodad = if six { "nodad" } else { "" };
    must(&format!(
        "-n {server} addr add {stranger}/{bits} dev m0 {nodad}"
    ));
    must(&format!("-n {server} link set m0 up"));
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let now = status(&mut client);
        let found = now.discovered.iter().find(|d| d.mac == "02:0a:00:00:00:77");
        if let Some(found) = found
            && found.addresses.contains(&stranger.parse().unwrap())
        {
            assert_eq!(found.interface, "i1");
            break;
        }
        assert!(Instant::now() < end, "{now:#?}");
        spaces.run(2, &asks);
        std::thread::sleep(Duration::from_millis(200));
    }
}
