//! A lab for one test, and what all of them do in it.

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
pub struct Up(
    pub Lab,
    #[expect(dead_code, reason = "lives as long as the lab")] tempfile::TempDir,
);

impl Drop for Up {
    fn drop(&mut self) {
        down::down(&self.0);
    }
}

impl Up {
    /// Asks an engine: 0, or of two 1.
    pub fn ask_of(&self, engine: usize, request: &Request) -> Answer {
        let socket = self.0.sockets().nth(engine).unwrap();
        Client::connect(&socket).unwrap().ask(request).unwrap()
    }

    pub fn ask(&self, request: &Request) -> Answer {
        self.ask_of(0, request)
    }

    pub fn counters_of(&self, engine: usize) -> Counters {
        match self.ask_of(engine, &Request::Counters) {
            Answer::Counters(counters) => counters,
            other => panic!("{other:?}"),
        }
    }

    pub fn counters(&self) -> Counters {
        self.counters_of(0)
    }

    pub fn status_of(&self, engine: usize) -> Status {
        match self.ask_of(engine, &Request::Status) {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub fn status(&self) -> Status {
        self.status_of(0)
    }

    /// Waits until an engine says of the other what is wanted.
    pub fn peer(&self, engine: usize, state: &str) -> Status {
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
    pub fn kill(&self, node: &str, program: &str) {
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

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.folder.join(name)
    }
}

/// The daemon, built beside this test.
pub fn seqnicd() -> PathBuf {
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

pub fn start(name: &str, text: &str, file: &LabFile, config: &str) -> Option<Up> {
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
pub fn example(name: &str, file: &str) -> Option<Up> {
    let path = Path::new("../../examples").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    start(name, &text, &read_beside(&path).unwrap(), "")
}

/// All that its lab file asks is answered, and every hop's own count is the engine's.
pub fn checked(name: &str, file: &str) -> Option<Up> {
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

pub fn packets(counters: &Counters, kind: &str, name: &str) -> u64 {
    let of = counters.counters.iter().filter(|c| c.kind == kind);
    of.filter(|c| c.labels.values().any(|v| v == name))
        .map(|c| c.packets)
        .sum()
}

/// Waits until counters stand still: what is under way has arrived.
pub fn settled(up: &Up) -> Counters {
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

pub fn curl(up: &Up, url: &str) -> String {
    let args = ["curl", "--silent", "--show-error", "--max-time", "20", url];
    up.0.exec("client", &args).unwrap()
}

/// A download of 16 MB that takes 4 s, once its first megabyte is there.
pub fn download(up: &Up, url: &str) -> (Child, PathBuf) {
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

pub fn complete(up: &Up, big: &Path) {
    let got = std::fs::read(big).unwrap();
    let was = std::fs::read(up.file("server.nginx/www/big")).unwrap();
    assert_eq!(got.len(), was.len());
    assert!(got == was, "the download differs");
}
