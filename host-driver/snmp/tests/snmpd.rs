//! The agent behind net-snmp's snmpd, asked by snmpwalk, its notifications taken by snmptrapd, all on loopback.
//! `make test-ops` runs it: it needs these programs, and the daemon's test root for its TAP devices.

mod common;

use common::{example, failed, parsed};
use seqnic_daemon::api::{Answer, Counters, Request};
use seqnic_daemon::client::Client;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Ends what it started.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

/// snmpd with our agent behind it, and snmptrapd.
struct Bench {
    running: Running,
    folder: tempfile::TempDir,
    port: u16,
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// Folders of the modules that ours imports from, and of ours.
fn modules() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or(format!("{here}/../../target"));
    format!("{target}/ops/mibs:{here}/dist")
}

impl Bench {
    fn start(daemon: &Path) -> Bench {
        Bench::start_with(daemon, &[])
    }

    fn start_with(daemon: &Path, more: &[&str]) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (port, traps) = (free_port(), free_port());
        let master = at("master");
        let agent = format!(
            "agentAddress udp:127.0.0.1:{port}\nrwcommunity public 127.0.0.1\nmaster agentx\n\
             agentXSocket {master}\ntrap2sink 127.0.0.1:{traps} public\n"
        );
        std::fs::write(at("snmpd.conf"), agent).unwrap();
        std::fs::write(at("snmptrapd.conf"), "disableAuthorization yes\n").unwrap();
        let start = |program: &str, args: &[&str]| {
            Command::new(program)
                .args(args)
                .env("MIBDIRS", modules())
                .env("SNMP_PERSISTENT_DIR", folder.path())
                .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|e| panic!("{program}: {e}; tools/setup-ops.sh installs it"))
        };
        let taken = format!("udp:127.0.0.1:{traps}");
        let children = vec![
            start(
                "snmptrapd",
                &[
                    "-f",
                    "-C",
                    "-c",
                    &at("snmptrapd.conf"),
                    "-m",
                    "SEQNIC-MIB",
                    "-OQ",
                    "-Lf",
                    &at("traps"),
                    &taken,
                ],
            ),
            start(
                "snmpd",
                &["-f", "-Lf", &at("snmpd.log"), "-C", "-c", &at("snmpd.conf")],
            ),
            Command::new(env!("CARGO_BIN_EXE_seqnic-snmp"))
                .args([
                    "--poll", "50", "--age", "0", "--master", &master, "--socket",
                ])
                .arg(daemon)
                .args(more)
                .spawn()
                .unwrap(),
        ];
        Bench {
            running: Running(children),
            folder,
            port,
        }
    }

    fn tool(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args([
                "-v2c",
                "-c",
                "public",
                "-m",
                "SEQNIC-MIB",
                "-OQ",
                "-t",
                "10",
            ])
            .arg(format!("udp:127.0.0.1:{}", self.port))
            .args(args)
            .env("MIBDIRS", modules())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// All values, once the agent is there.
    fn walk(&self, program: &str) -> BTreeMap<String, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.tool(program, &["SEQNIC-MIB::seqnicObjects"]);
            let values = parsed(&text);
            if values.contains_key("seqnicCardState.0") {
                return values;
            }
            assert!(Instant::now() < until, "{text}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("snmpd.log")).unwrap_or_default()
    }

    /// Waits until snmptrapd has all of these in one notification.
    fn trap(&self, wanted: &[&str]) {
        let file: PathBuf = self.folder.path().join("traps");
        let until = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if (text.lines()).any(|line| wanted.iter().all(|w| line.contains(w))) {
                return;
            }
            assert!(
                Instant::now() < until,
                "no {wanted:?} in:\n{text}{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What a walk must show of these counters, by the names of the module. Written from the module's text, not with
/// the agent's code.
fn expected(counters: &Counters) -> BTreeMap<String, u64> {
    let mut values = BTreeMap::new();
    let mut put = |object: &str, row: &str, value: u64| {
        *values.entry(format!("seqnic{object}.{row}")).or_insert(0) += value;
    };
    put("SnapshotTime", "0", counters.time);
    for c in &counters.counters {
        let l = |name: &str| format!("\"{}\"", c.labels[name]);
        let both: Option<(String, String)> = match c.kind.as_str() {
            "interface_in" => Some((String::from("InterfaceIn"), l("interface"))),
            "interface_out" => Some((String::from("InterfaceOut"), l("interface"))),
            "attachment_in" => Some((String::from("AttachmentIn"), l("attachment"))),
            "attachment_out" => Some((String::from("AttachmentOut"), l("attachment"))),
            "rule" if c.labels["rule"].len() <= 50 => {
                Some((String::from("Rule"), format!("{}.{}", l("acl"), l("rule"))))
            }
            "service" => {
                let direction = &c.labels["direction"];
                let capital = direction[..1].to_uppercase() + &direction[1..];
                put(
                    &format!("Service{capital}Packets"),
                    &l("service"),
                    c.packets,
                );
                put(&format!("Service{capital}Bytes"), &l("service"), c.bytes);
                let row = format!("{}.{}.{direction}", l("service"), l("look"));
                Some((String::from("Look"), row))
            }
            "attachment_syn" => {
                put("AttachmentOpened", &l("attachment"), c.packets);
                None
            }
            "attachment_answer" => {
                put("AttachmentAnswered", &l("attachment"), c.packets);
                None
            }
            "attachment_seen" => {
                put("AttachmentLastSeen", &l("attachment"), c.packets);
                None
            }
            "attachment_time" => {
                let row = format!("{}.{}", l("attachment"), c.labels["bucket"]);
                put("ResponseCount", &row, c.packets);
                put("ResponseSum", &row, c.bytes);
                None
            }
            _ => None,
        };
        if let Some((object, row)) = both {
            put(&format!("{object}Packets"), &row, c.packets);
            put(&format!("{object}Bytes"), &row, c.bytes);
        }
    }
    values
}

fn compare(walk: &BTreeMap<String, String>, counters: &Counters) -> Result<usize, String> {
    let mut compared = 0;
    for (name, value) in expected(counters) {
        let got = walk.get(&name);
        if got != Some(&value.to_string()) {
            return Err(format!(
                "{name} is {got:?}, the daemon says {value}\n{walk:#?}"
            ));
        }
        compared += 1;
    }
    // Reasons are rows by number, with their names beside them.
    for c in counters.counters.iter().filter(|c| c.kind == "reason") {
        let reason = &c.labels["reason"];
        let row = (walk.iter())
            .filter_map(|(k, v)| Some((k.strip_prefix("seqnicReasonName.")?, v)))
            .find(|(_, v)| v.trim_matches('"') == reason);
        let Some((row, _)) = row else {
            return Err(format!("no reason {reason}\n{walk:#?}"));
        };
        for (object, value) in [("Packets", c.packets), ("Bytes", c.bytes)] {
            let got = walk.get(&format!("seqnicReason{object}.{row}"));
            if got != Some(&value.to_string()) {
                return Err(format!(
                    "{reason} {object} is {got:?}, the daemon says {value}"
                ));
            }
            compared += 1;
        }
    }
    Ok(compared)
}

#[test]
#[ignore = "needs net-snmp: make test-ops"]
fn sixty_four_bits_and_every_notification() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let first = example();
    let said = Arc::new(Mutex::new(Some(first.clone())));
    common::daemon(&socket, &said);
    let bench = Bench::start(&socket);
    for program in ["snmpwalk", "snmpbulkwalk"] {
        let walk = bench.walk(program);
        assert!(compare(&walk, &first.1).unwrap() > 20);
        assert_eq!(walk["seqnicReasonPackets.0"], u64::MAX.to_string());
        assert_eq!(walk["seqnicPortLink.1"], "none");
        assert_eq!(walk["seqnicRowsLeftOut.0"], "1");
        assert_eq!(walk["seqnicRepairs.0"], (1u64 << 40).to_string());
        assert_eq!(walk["seqnicRolesBypassed.0"], "1");
        assert_eq!(walk["seqnicHostPackets.\"arp\".\"kernel\""], "3");
    }
    // Nothing can be set: neither what never may, nor what may if the agent is started so.
    for (object, kind, value) in [
        ("seqnicServices.0", "u", "9"),
        ("seqnicDeviceAdmin.\"firewall\"", "i", "2"),
        ("seqnicUploadOrder.0", "i", "4"),
    ] {
        let set = bench.tool("snmpset", &[&format!("SEQNIC-MIB::{object}"), kind, value]);
        assert!(
            set.contains("not-accessible")
                || set.contains("notWritable")
                || set.contains("not writable"),
            "{set}"
        );
    }

    let (status, counters) = first;
    let say = |status: Option<seqnic_daemon::api::Status>| {
        *said.lock().unwrap() = status.map(|s| (s, counters.clone()));
    };
    say(Some(failed(&status)));
    bench.trap(&[
        "seqnicDeviceFailed",
        "seqnicDeviceState.\"firewall\" = failed",
        "firewall has failed: no answer; fail-over",
    ]);
    bench.trap(&[
        "seqnicServiceUnavailable",
        "seqnicServiceUnavailableRoles.\"W1\" = 1",
    ]);
    let walk = bench.walk("snmpwalk");
    assert_eq!(walk["seqnicDevicesFailed.0"], "1");
    assert_eq!(walk["seqnicFailureState.\"W1\".\"firewall\""], "failed");
    say(Some(status.clone()));
    bench.trap(&[
        "seqnicDeviceRestored",
        "seqnicDeviceState.\"firewall\" = up",
    ]);
    bench.trap(&[
        "seqnicServiceAvailable",
        "seqnicServiceUnavailableRoles.\"W1\" = 0",
    ]);
    let mut other = status.clone();
    other.definition.as_mut().unwrap().generation += 1;
    say(Some(other.clone()));
    bench.trap(&[
        "seqnicDefinitionChanged",
        "seqnicDefinitionName.0 = one",
        "generation 8",
    ]);
    let mut lost = other.clone();
    lost.card_state.here = false;
    lost.card_state.why = Some(String::from("0000:03:00.0 answers no more"));
    say(Some(lost));
    bench.trap(&[
        "seqnicCardLost",
        "seqnicCardState.0 = lost",
        "answers no more",
    ]);
    say(Some(other.clone()));
    bench.trap(&["seqnicCardFound", "seqnicCardState.0 = up"]);
    say(None);
    bench.trap(&["seqnicDaemonLost", "seqnicCardState.0 = unknown"]);
    assert_eq!(bench.walk("snmpwalk").len(), 1);
    say(Some(other));
    bench.trap(&["seqnicDaemonFound", "seqnicCardState.0 = up"]);
}

/// A frame written to a TAP device arrives at the daemon's port.
fn send(device: &str, frame: &[u8]) {
    let name = std::ffi::CString::new(device).unwrap();
    // SAFETY: plain system calls on values that live as long as they take.
    unsafe {
        let index = libc::if_nametoindex(name.as_ptr());
        assert_ne!(index, 0, "{device}");
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
        assert!(socket >= 0);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_ifindex = index as i32;
        let sent = libc::sendto(
            socket,
            frame.as_ptr().cast(),
            frame.len(),
            0,
            std::ptr::from_ref(&to).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        );
        libc::close(socket);
        assert_eq!(sent, frame.len() as isize);
    }
}

/// The daemon, built beside this test.
fn seqnicd() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_BIN_EXE_seqnic-snmp"));
    path.set_file_name("seqnicd");
    assert!(path.exists(), "`make test-ops` builds {}", path.display());
    path
}

#[test]
#[ignore = "needs net-snmp and root: make test-ops"]
fn numbers_are_those_of_the_daemon_and_a_failed_device_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let prefix = format!("sn{}", std::process::id() % 100_000);
    let ports: Vec<String> = (0..4)
        .map(|n| format!("{n}: {{ tap: {prefix}p{n} }}"))
        .collect();
    let config = format!(
        "card: {{ software: {{ ports: {{ {} }} }} }}\nstate: {}\nsocket: {}\nlinux: {{ taps: false }}\n",
        ports.join(", "),
        at("state").display(),
        at("socket").display()
    );
    std::fs::write(at("seqnicd.yaml"), config).unwrap();
    let daemon = Command::new(seqnicd())
        .arg("--config")
        .arg(at("seqnicd.yaml"))
        .spawn();
    let _running = Running(vec![daemon.unwrap()]);
    let until = Instant::now() + PATIENCE;
    let mut client = loop {
        match Client::connect(&at("socket")) {
            Ok(client) => break client,
            Err(e) => assert!(Instant::now() < until, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let text = include_str!("../../../examples/fig07.yaml");
    let apply = Request::Apply {
        name: String::from("fig07.yaml"),
        definition: text.to_string(),
        dry_run: false,
        reload: false,
    };
    client.ask(&apply).unwrap();
    let bench = Bench::start(&at("socket"));
    bench.walk("snmpwalk");

    for n in 0..4 {
        let port = format!("{prefix}p{n}");
        let up = Command::new("ip")
            .args(["link", "set", &port, "up"])
            .status();
        assert!(up.unwrap().success());
    }
    let packet = |from: [u8; 6], to: [u8; 6], length: usize| {
        let mut frame = Vec::new();
        etherparse::PacketBuilder::ethernet2(from, to)
            .ipv4([198, 51, 100, 11], [203, 0, 113, 13], 64)
            .tcp(40_001, 1194, 1, 1024)
            .syn()
            .write(&mut frame, &vec![0; length])
            .unwrap();
        frame
    };
    let mac = |a, b| [2, a, 0, 0, 0, b];
    for n in 0..40 {
        // From the client; and from the firewall's inside, as the next leg.
        send(&format!("{prefix}p0"), &packet(mac(5, 5), mac(1, 1), n));
        send(&format!("{prefix}p2"), &packet(mac(7, 7), mac(3, 3), 2 * n));
    }
    let counters = |client: &mut Client| match client.ask(&Request::Counters).unwrap() {
        Answer::Counters(counters) => counters,
        other => panic!("{other:?}"),
    };
    // Whoever else sends on a new device (the kernel does) may do so between the two: then once more.
    let until = Instant::now() + PATIENCE;
    let compared = loop {
        let before = counters(&mut client);
        let walk = bench.walk("snmpbulkwalk");
        let after = counters(&mut client);
        let quiet = before.counters == after.counters;
        match compare(&walk, &after) {
            Ok(compared) if quiet && compared > 30 => break compared,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    println!("{compared} numbers are equal");
    let device = String::from("firewall");
    client
        .ask(&Request::Fail {
            device: device.clone(),
        })
        .unwrap();
    bench.trap(&[
        "seqnicDeviceFailed",
        "seqnicDeviceState.\"firewall\" = failed",
    ]);
    client.ask(&Request::Restore { device }).unwrap();
    bench.trap(&["seqnicDeviceRestored"]);
    client.ask(&apply).unwrap();
    assert_eq!(bench.running.0.len(), 3);
}

/// Devices and definitions set by snmpset: what the daemon does, and what it refuses.
#[test]
#[ignore = "needs net-snmp: make test-ops"]
fn what_a_manager_sets_holds_or_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = format!(
        "card: software\nstate: {}\nsocket: {}\nlinux: {{ taps: false }}\n",
        at("state").display(),
        at("socket").display()
    );
    std::fs::write(at("seqnicd.yaml"), config).unwrap();
    let daemon = Command::new(seqnicd())
        .arg("--config")
        .arg(at("seqnicd.yaml"))
        .spawn();
    let _running = Running(vec![daemon.unwrap()]);
    let until = Instant::now() + PATIENCE;
    let mut client = loop {
        match Client::connect(&at("socket")) {
            Ok(client) => break client,
            Err(e) => assert!(Instant::now() < until, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let bench = Bench::start_with(&at("socket"), &["--writable"]);
    bench.walk("snmpwalk");
    let object = |name: &str| format!("SEQNIC-MIB::seqnic{name}");
    let set = |values: &[(&str, &str, &str)]| {
        let words: Vec<String> = (values.iter())
            .flat_map(|(name, kind, value)| [object(name), kind.to_string(), value.to_string()])
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        bench.tool("snmpset", &words)
    };
    let get = |name: &str| {
        let said = bench.tool("snmpget", &["-Ov", &object(name)]);
        said.trim().trim_matches('"').to_string()
    };
    // In chunks, one of them twice: a request may come twice.
    let padding = "# Longer than a chunk, so that there are several.\n".repeat(30);
    let text = include_str!("../../../examples/fig07.yaml").to_string() + &padding;
    let upload = |text: &str| {
        let mut offset = 0;
        for chunk in seqnic_snmp::write::chunks(text) {
            for _twice in 0..2 {
                let said = set(&[
                    ("UploadOffset.0", "u", &offset.to_string()),
                    ("UploadChunk.0", "s", chunk),
                ]);
                assert!(!said.contains("Error"), "{said}");
            }
            offset += chunk.len();
        }
        assert_eq!(get("UploadOffset.0"), text.len().to_string());
    };
    let order = |what: &str| {
        let said = set(&[("UploadOrder.0", "i", what)]);
        assert!(!said.contains("Error"), "{said}");
        (get("UploadState.0"), get("UploadResult.0"))
    };
    assert!(text.len() > 2 * 1024, "one chunk shows little");
    upload(&text);
    assert_eq!(order("check").0, "good");
    assert_eq!(get("DefinitionName.0"), "");
    assert_eq!(order("apply").0, "applied");
    let held = |client: &mut Client| match client.ask(&Request::Definition).unwrap() {
        Answer::Definition { text, .. } => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(held(&mut client), text);
    // Down again, part by part.
    let parts: String = (1..=seqnic_snmp::write::chunks(&text).len())
        .map(|n| {
            let said = bench.tool("snmpget", &["-Ova", &object(&format!("TextChunk.{n}"))]);
            let said = said.strip_suffix('\n').unwrap_or(&said);
            said.strip_prefix("STRING: ").unwrap_or(said).to_string()
        })
        .collect();
    assert_eq!(parts, text);

    // One that is wrong changes nothing, and says where.
    let wrong = text.replace("port: 1194", "prot: 1194");
    assert_eq!(order("clear").0, "none");
    upload(&wrong);
    let (state, result) = order("apply");
    assert_eq!(state, "refused");
    assert!(
        result.contains("unknown_key") && result.contains("prot"),
        "{result}"
    );
    assert_eq!(held(&mut client), text);

    // A device is taken out and brought back, on order.
    let state = |client: &mut Client| match client.ask(&Request::Status).unwrap() {
        Answer::Status(status) => {
            let of = |d: &&seqnic_daemon::api::DeviceStatus| d.name == "firewall";
            status.devices.iter().find(of).unwrap().state.clone()
        }
        other => panic!("{other:?}"),
    };
    let admin = "DeviceAdmin.\"firewall\"";
    assert_eq!(get(admin), "inService");
    let said = set(&[(admin, "i", "outOfService")]);
    assert!(!said.contains("Error"), "{said}");
    assert_eq!(
        (state(&mut client).as_str(), get(admin).as_str()),
        ("failed", "outOfService")
    );
    bench.trap(&["seqnicDeviceFailed"]);
    set(&[(admin, "i", "inService")]);
    assert_eq!(state(&mut client), "up");

    // All of a request or nothing of it.
    let refused = |values: &[(&str, &str, &str)], why: &str| {
        let said = set(values);
        assert!(said.contains(why), "{why}: {said}");
    };
    refused(
        &[(admin, "i", "outOfService"), ("Services.0", "u", "9")],
        "not",
    );
    assert_eq!(state(&mut client), "up");
    let nobody = "DeviceAdmin.\"nobody\"";
    refused(&[(nobody, "i", "outOfService")], "noCreation");
    refused(&[("UploadOffset.0", "u", "0")], "inconsistentValue");
    let far = [
        ("UploadOffset.0", "u", "100000"),
        ("UploadChunk.0", "s", "x"),
    ];
    refused(&far, "inconsistentValue");
    refused(
        &[
            (admin, "i", "outOfService"),
            ("UploadOrder.0", "i", "apply"),
        ],
        "inconsistentValue",
    );
    assert_eq!(state(&mut client), "up");
    refused(&[("Services.0", "u", "9")], "not");
}
