//! Real programs through the verilated card: figure 7, and a device that dies under a download. The card is as slow as its
//! simulation, so files are small. Needs root and namespaces; says so and passes where there are none.

use seqnic_daemon::api::{Answer, Counters, Request, Status};
use seqnic_daemon::client::Client;
use seqnic_lab::up::{Options, up};
use seqnic_lab::{Lab, LabError, LabFile, down};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One card at a time: two simulations on two processors leave nothing for the programs.
static ONE: Mutex<()> = Mutex::new(());

struct Up {
    lab: Lab,
    _folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["seqnicd.log", "seqnicd.card.log"] {
                let text = std::fs::read_to_string(self.lab.folder.join(log)).unwrap_or_default();
                eprintln!("{log}:\n{text}");
            }
        }
        down::down(&self.lab);
    }
}

/// A program of ours, built beside this test.
fn program(package: &str, name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "-p", package, "--bin", name])
        .status();
    assert!(built.unwrap().success());
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join(name)
}

impl Up {
    /// The small card with this definition on it.
    fn start(name: &str, text: &str, file: &LabFile, config: &str) -> Option<Up> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let text = text.replacen("seqnic: 1\n", "seqnic: 1\ngeometry: edge\n", 1);
        let definition = seqnic_compiler::read(&text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let card = program("seqnic-sim-device", "seqnic-card");
        let options = Options {
            name,
            folder: folder.path(),
            seqnicd: &program("seqnic-daemon", "seqnicd"),
            card: Some(&card),
            file,
            another: None,
            config,
        };
        let lab = match up(&definition, &options) {
            Err(LabError::Missing(missing)) => {
                eprintln!("not tested: a lab needs {}", missing.join(", "));
                return None;
            }
            lab => lab.unwrap(),
        };
        let up = Up {
            lab,
            _folder: folder,
            _one: one,
        };
        up.ask(&Request::Apply {
            name: name.to_string(),
            definition: text,
            dry_run: false,
            reload: false,
        });
        up.lab.wait().unwrap();
        Some(up)
    }

    fn ask(&self, request: &Request) -> Answer {
        let mut client = Client::connect(&self.lab.socket()).unwrap();
        client.ask(request).unwrap()
    }

    fn counters(&self) -> Counters {
        match self.ask(&Request::Counters) {
            Answer::Counters(counters) => counters,
            other => panic!("{other:?}"),
        }
    }

    /// Once counters stand still: what is under way has arrived.
    fn settled(&self) -> Counters {
        let mut was = self.counters();
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = self.counters();
            if now.counters == was.counters {
                return now;
            }
            was = now;
        }
    }

    fn status(&self) -> Status {
        match self.ask(&Request::Status) {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }
}

fn packets(counters: &Counters, kind: &str, name: &str) -> u64 {
    let of = counters.counters.iter().filter(|c| c.kind == kind);
    of.filter(|c| c.labels.values().any(|v| v == name))
        .map(|c| c.packets)
        .sum()
}

#[test]
fn figure_7_on_the_verilated_card() {
    let text = include_str!("../../../examples/fig07.yaml");
    let config = "linux: { taps: false }\nhealth: { enabled: false }";
    let file = "programs: { vpn: { translate: [] }, ids: { tcpdump: [] } }";
    let file = seqnic_lab::file::parse(file, Path::new("inline")).unwrap();
    let Some(up) = Up::start("sqc7", text, &file, config) else {
        return;
    };
    let status = up.status();
    assert!(
        status.card_state.here && status.card.starts_with("unix:"),
        "{status:?}"
    );
    let url = "http://203.0.113.13:1194/";
    let args = ["curl", "--silent", "--show-error", "--max-time", "60", url];
    assert_eq!(up.lab.exec("client", &args).unwrap(), "this is server\n");
    let counters = up.settled();
    // The numbers add up, hop by hop, and with those of the programs.
    let sent = |name: &str| packets(&counters, "attachment_out", name);
    let came = |name: &str| packets(&counters, "attachment_in", name);
    let (requests, answers) = (sent("firewall.outside"), sent("firewall.inside"));
    assert!(requests >= 5 && answers >= 4, "{counters:?}");
    let firewall = up
        .lab
        .exec("firewall", &["nft", "list", "counters"])
        .unwrap();
    for (name, packets) in [("requests", requests), ("answers", answers)] {
        let line = format!("counter {name} {{\n\t\tpackets {packets} ");
        assert!(firewall.contains(&line), "{line}: {firewall}");
    }
    for (name, want) in [
        ("firewall.inside", requests),
        ("firewall.outside", answers),
        ("vpn", requests + answers),
        ("server", answers),
        ("router", requests),
    ] {
        assert_eq!(came(name), want, "from {name}: {counters:?}");
    }
    for (name, want) in [
        ("vpn", requests + answers),
        ("ids", requests + answers),
        ("server", requests),
        ("router", answers),
    ] {
        assert_eq!(sent(name), want, "to {name}: {counters:?}");
    }
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

/// Bytes of the download.
const FILE: usize = 300_000;

#[test]
fn a_device_killed_during_a_download_is_replaced_on_the_verilated_card() {
    let config = "linux: { taps: false }
health: { interval_ms: 200, silent_intervals: 2, probe_timeout_ms: 1000, probes: 2, devices: { pass1: { tcp: 9 } } }";
    let Some(up) = Up::start("sqcf", WITH_ALTERNATE, &LabFile::default(), config) else {
        return;
    };
    let was: Vec<u8> = (0..FILE as u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    std::fs::write(up.lab.folder.join("server.nginx/www/file"), &was).unwrap();
    let file = up.lab.folder.join("file");
    let mut download = Command::new("ip")
        .args(["netns", "exec", &up.lab.space("client")])
        .args(["curl", "--silent", "--max-time", "120", "--no-buffer", "-o"])
        .arg(&file)
        .arg("http://203.0.113.13/file")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while std::fs::metadata(&file).map_or(0, |m| m.len()) < FILE as u64 / 10 {
        assert!(Instant::now() < until, "the download does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let down = ["ip", "link", "set", "eth0", "down"];
    up.lab.exec("pass1", &down).unwrap();
    assert!(
        (std::fs::metadata(&file).unwrap().len() as usize) < FILE,
        "it was too quick"
    );
    let ended = download.wait().unwrap();
    let status = up.status();
    let log: Vec<String> = status.log.iter().map(|l| l.text.clone()).collect();
    assert!(ended.success(), "{log:#?}");
    assert!(std::fs::read(&file).unwrap() == was, "the download differs");
    let pass1 = status.devices.iter().find(|d| d.name == "pass1").unwrap();
    assert_eq!(pass1.state, "failed", "{log:#?}");
    assert!(log.iter().any(|l| l.contains("fail-over")), "{log:#?}");
}
