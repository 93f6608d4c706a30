//! The daemon itself, as it is started: no ports, no devices of the host, no rights needed.

use seqnic_daemon::api::{Answer, Request, Status};
use seqnic_daemon::client::{Client, ClientError};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

fn start_in(folder: &Path) -> Child {
    let config = folder.join("seqnicd.yaml");
    let text = format!(
        "card: {{ software: {{ geometry: alveo }} }}\nstate: {0}/state\nsocket: {0}/socket\nlinux: {{ taps: false }}\n",
        folder.display()
    );
    std::fs::write(&config, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_seqnicd"))
        .arg("--config")
        .arg(&config)
        .spawn()
        .unwrap()
}

impl Daemon {
    fn start() -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let child = start_in(folder.path());
        Daemon { child, folder }
    }

    fn client(&self) -> Client {
        let socket = self.folder.path().join("socket");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match Client::connect(&socket) {
                Ok(client) => return client,
                Err(e) if Instant::now() > until => panic!("{e}"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn status(&self) -> Status {
        match self.client().ask(&Request::Status).unwrap() {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn apply(definition: &str) -> Request {
    Request::Apply {
        name: String::from("fig07.yaml"),
        definition: definition.to_string(),
        dry_run: false,
        reload: false,
    }
}

#[test]
fn what_was_applied_survives_kill_9() {
    let mut daemon = Daemon::start();
    assert!(daemon.status().definition.is_none());
    let text = std::fs::read_to_string("../../examples/fig07.yaml").unwrap();
    daemon.client().ask(&apply(&text)).unwrap();
    let more = text.replace("port: 1194", "port: 1195");
    daemon.client().ask(&apply(&more)).unwrap();
    let device = String::from("ids");
    daemon.client().ask(&Request::Fail { device }).unwrap();
    let before = daemon.status();
    assert_eq!(before.definition.as_ref().unwrap().services, 1);
    // SIGKILL.
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    daemon.child = start_in(daemon.folder.path());
    let after = daemon.status();
    let digest = |s: &Status| s.definition.as_ref().unwrap().digest.clone();
    assert_eq!(digest(&after), digest(&before));
    let ids = after.devices.iter().find(|d| d.name == "ids").unwrap();
    assert_eq!(ids.state, "failed");
    match daemon.client().ask(&Request::Definition).unwrap() {
        Answer::Definition { text, .. } => assert_eq!(text, more),
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_say_where_and_change_nothing() {
    let daemon = Daemon::start();
    let text = std::fs::read_to_string("../../examples/fig07.yaml").unwrap();
    daemon.client().ask(&apply(&text)).unwrap();
    let before = daemon.status().definition.unwrap().digest;
    let wrong = text.replace("port: 1194", "prot: 1194");
    let Err(ClientError::Refused(refusal)) = daemon.client().ask(&apply(&wrong)) else {
        panic!("it was taken");
    };
    assert_eq!(refusal.code, "refused");
    assert!(refusal.findings.unwrap().contains("fig07.yaml:"));
    let device = String::from("nobody");
    assert!(daemon.client().ask(&Request::Restore { device }).is_err());
    assert_eq!(daemon.status().definition.unwrap().digest, before);
    let mut client = daemon.client();
    let Answer::Counters(counters) = client.ask(&Request::Counters).unwrap() else {
        panic!("no counters");
    };
    assert_eq!(counters.counters, []);
}
