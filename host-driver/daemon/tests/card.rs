//! The daemon as it is started, on a card in memory that is served over vfio-user: the way to a real card but for the
//! kernel.

use seqnic_daemon::api::{Answer, Request, Status};
use seqnic_daemon::client::{Client, ClientError};
use seqnic_pci::Function;
use seqnic_pci::server::Served;
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::tables::Table;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A card with what its memory has, while it is served or not.
type Memory = Arc<Mutex<Function<SoftCard>>>;

fn memory() -> Memory {
    Arc::new(Mutex::new(Function::new(SoftCard::new(&EDGE))))
}

struct Rig {
    folder: tempfile::TempDir,
    daemon: Child,
}

fn start(folder: &Path) -> Child {
    let config = folder.join("seqnicd.yaml");
    let text = format!(
        "card: {{ address: unix:{0}/card.sock, scrub: 200000 }}\nstate: {0}/state\nsocket: {0}/socket\nlinux: {{ taps: false }}\n",
        folder.display()
    );
    std::fs::write(&config, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_seqnicd"))
        .arg("--config")
        .arg(&config)
        .spawn()
        .unwrap()
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Rig {
    /// The daemon is started before the card is there, or behind it.
    fn start() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let daemon = start(folder.path());
        Rig { folder, daemon }
    }

    /// Serves the card, and waits until the daemon has it: it may have looked before the card was there, and says the same
    /// of its definition then.
    fn serve(&self, memory: &Memory) -> Served<SoftCard> {
        let socket = self.folder.path().join("card.sock");
        let served = Served::new(&socket, memory.clone()).unwrap();
        until("the daemon has the card", || {
            self.status().card_state.here.then_some(())
        });
        served
    }

    fn ask(&self, request: &Request) -> Result<Answer, ClientError> {
        let socket = self.folder.path().join("socket");
        let mut client = until("the daemon listens", || Client::connect(&socket).ok());
        client.ask(request)
    }

    fn status(&self) -> Status {
        match self.ask(&Request::Status).unwrap() {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// The status once something is said in the log.
    fn says(&self, text: &str) -> Status {
        until(text, || {
            let status = self.status();
            let said = status.log.iter().any(|l| l.text.contains(text));
            said.then_some(status)
        })
    }

    fn apply(&self) {
        self.ask(&apply()).unwrap();
    }

    fn restart(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        self.daemon = start(self.folder.path());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _gone = self.daemon.kill();
        let _gone = self.daemon.wait();
    }
}

fn definition() -> String {
    let text = include_str!("../../../examples/fig07.yaml");
    let text = text.replacen("seqnic: 1\n", "seqnic: 1\ngeometry: edge\n", 1);
    // An address of its own, to answer from.
    text.replacen(
        "gateway: router }",
        "gateway: router, address: 192.0.2.1/24 }",
        1,
    )
}

fn apply() -> Request {
    Request::Apply {
        name: String::from("fig07.yaml"),
        definition: definition(),
        dry_run: false,
        reload: false,
    }
}

/// A TCP packet of a client to the service, as it arrives on port 0 and leaves on port 1 to the firewall.
fn packet(ttl: u8) -> Vec<u8> {
    let to = etherparse::PacketBuilder::ethernet2([2, 5, 0, 0, 0, 5], [2, 1, 0, 0, 0, 1])
        .ipv4([198, 51, 100, 11], [203, 0, 113, 13], ttl)
        .tcp(40001, 1194, 1, 1024)
        .syn();
    let mut frame = Vec::new();
    to.write(&mut frame, &[0; 20]).unwrap();
    frame
}

/// Sends packets through the card; how many came out behind the tables.
fn directed(served: &Served<SoftCard>, packets: usize) -> usize {
    let sent = || {
        let sent = served.shared().with(|f| f.card.sent());
        sent.into_iter().filter(|o| o.port == 1).count()
    };
    sent();
    for _ in 0..packets {
        (served.shared()).with(|f| f.card.arrive(0, &packet(64)));
    }
    let mut count = 0;
    let end = Instant::now() + Duration::from_secs(20);
    while count < packets && Instant::now() < end {
        count += sent();
        std::thread::sleep(Duration::from_millis(2));
        if served.shared().with(|f| !f.work()) {
            count += sent();
            break;
        }
    }
    count
}

#[test]
fn a_restart_of_the_daemon_leaves_the_card_at_work() {
    let memory = memory();
    let mut rig = Rig::start();
    let served = rig.serve(&memory);
    let status = rig.status();
    assert!(
        status.card_state.here && status.card.starts_with("unix:"),
        "{status:?}"
    );
    rig.apply();
    assert_eq!(directed(&served, 10), 10);
    // SIGKILL: nobody tells the card.
    rig.daemon.kill().unwrap();
    rig.daemon.wait().unwrap();
    assert_eq!(directed(&served, 10), 10);
    rig.restart();
    let status = rig.says("has the tables of the journal, nothing written");
    assert_eq!(status.definition.unwrap().services, 1);
    assert_eq!(directed(&served, 10), 10);
}

#[test]
fn a_card_that_disappears_is_waited_for_and_gets_its_tables_again() {
    let rig = Rig::start();
    // It is not there yet.
    let status = rig.status();
    assert!(!status.card_state.here && !status.card_state.met);
    let Err(ClientError::Refused(refusal)) = rig.ask(&apply()) else {
        panic!("it was applied to no card");
    };
    assert!(refusal.message.contains("the card is away"), "{refusal:?}");
    let served = rig.serve(&memory());
    rig.says("the card is there: no definition yet");
    rig.apply();
    let digest = |s: &Status| s.definition.as_ref().unwrap().digest.clone();
    let before = digest(&rig.status());
    // Its process ends.
    drop(served);
    let status = until("the card is away", || {
        Some(rig.status()).filter(|s| !s.card_state.here)
    });
    assert!(status.card_state.why.unwrap().contains("unix:"));
    assert!(rig.ask(&Request::Counters).is_err());
    let status = until("it is tried again", || {
        Some(rig.status()).filter(|s| s.card_state.tries >= 2)
    });
    assert_eq!(digest(&status), before);
    // Another one, with empty tables.
    let served = rig.serve(&memory());
    rig.says("the card is there: all tables loaded from the journal");
    assert_eq!(digest(&rig.status()), before);
    assert_eq!(directed(&served, 10), 10);
    // A change is possible again.
    let device = String::from("ids");
    rig.ask(&Request::Fail { device }).unwrap();
}

#[test]
fn a_card_that_is_reset_by_others_keeps_its_tables_and_is_opened_anew() {
    let rig = Rig::start();
    let served = rig.serve(&memory());
    rig.apply();
    served.shared().with(Function::reset);
    rig.says("the card was reset");
    rig.says("the card is there: has the tables of the journal, nothing written");
    assert_eq!(directed(&served, 5), 5);
}

#[test]
fn what_the_card_gives_to_the_host_is_answered_out_of_its_ports() {
    let rig = Rig::start();
    let served = rig.serve(&memory());
    rig.apply();
    served.shared().with(|f| {
        f.card.sent();
        f.card.arrive(0, &packet(0))
    });
    // Time exceeded (RFC 792), to who sent it, out of the port it came from.
    let answer = until("the answer leaves", || {
        let sent = served.shared().with(|f| f.card.sent());
        sent.into_iter().find(|o| o.port == 0).map(|o| o.frame)
    });
    assert_eq!(answer[..6], [2, 5, 0, 0, 0, 5]);
    assert_eq!((answer[23], answer[34], answer[35]), (1, 11, 0));
    let status = until("it is counted", || {
        Some(rig.status()).filter(|s| s.exceptions.contains_key("ttl sent"))
    });
    assert_eq!(status.exceptions["ttl sent"], 1);
}

#[test]
fn a_flipped_bit_is_found_mended_and_reported() {
    let rig = Rig::start();
    let served = rig.serve(&memory());
    rig.apply();
    // The address of the service, as it stands somewhere in its table.
    let table = Table::Address as u8;
    let rows = EDGE.rows(Table::Address);
    let (row, was) = served.shared().with(|f| {
        let used = (0..rows).find(|r| !f.card.datapath.read(table, *r).is_zero());
        let row = used.unwrap();
        let was = f.card.datapath.read(table, row).words().to_vec();
        let mut flipped = was.clone();
        flipped[0] ^= 1 << 5;
        f.card.datapath.write(table, row, &flipped);
        (row, was)
    });
    let status = rig.says(&format!("table address, row {row} was mended"));
    assert_eq!(status.repairs, 1);
    let now = served
        .shared()
        .with(|f| f.card.datapath.read(table, row).words().to_vec());
    assert_eq!(now, was);
    assert_eq!(directed(&served, 5), 5);
}

#[test]
fn a_link_that_goes_down_is_shown_and_devices_behind_it_are_suspected() {
    let rig = Rig::start();
    let served = rig.serve(&memory());
    rig.apply();
    let link = |status: &Status, port: usize| status.ports[port].link.clone();
    let state = |status: &Status, name: &str| {
        let device = status.devices.iter().find(|d| d.name == name);
        device.unwrap().state.clone()
    };
    let status = rig.status();
    assert_eq!(link(&status, 3), "up");
    assert_eq!(state(&status, "server"), "up");
    served.shared().with(|f| f.card.set_link(3, false));
    let status = rig.says("server is suspected: the link of its port is down");
    assert_eq!(link(&status, 3), "down");
    assert_eq!(state(&status, "server"), "suspected");
    assert_eq!(state(&status, "firewall"), "up");
    served.shared().with(|f| f.card.set_link(3, true));
    let status = rig.says("server is cleared");
    assert_eq!(link(&status, 3), "up");
    assert_eq!(state(&status, "server"), "up");
}
