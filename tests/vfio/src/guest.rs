//! seqnicd on a card, asked by seqnic, with the outside of the card watched: what must hold, one line each.

use crate::Outcome;
use crate::interrupts;
use crate::outside::{Ask, Control, Told, service};
use seqnic_daemon::api::{Counters, Status};
use seqnic_transport::Address;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Programs and folders of a session.
pub struct Place {
    /// Of the card.
    pub address: Address,
    /// Folder for configuration, journal and socket.
    pub folder: PathBuf,
    /// Where `seqnicd` and `seqnic` are.
    pub programs: PathBuf,
    /// Longest time the card may do nothing, and how often counters are read, ms: a simulation is slow.
    pub timeout_ms: u64,
    pub interval_ms: u64,
    /// How long anything may take to happen.
    pub patience: Duration,
}

struct Session {
    place: Place,
    outside: Control,
    daemon: Option<Child>,
}

type Check = fn(&mut Session) -> Outcome<String>;

const CHECKS: [(&str, Check); 11] = [
    ("seqnicd starts", Session::starts),
    ("a definition is applied", Session::applied),
    ("exceptions both ways", Session::exceptions),
    ("interrupts", Session::interrupts),
    ("counters add up", Session::counters),
    ("a device failed by order, and restored", Session::failed),
    ("seqnicd killed and started again", Session::killed),
    ("the card reset by others", Session::reset),
    ("the card's power fails", Session::power),
    ("seqnicd ends", Session::ends),
    ("the card is let go", Session::let_go),
];

/// The first so many must hold for the others to mean anything.
const NEEDED: usize = 2;

/// Checks everything; whether all of it holds. Lines begin with PASS or FAIL.
///
/// # Errors
/// There is no line to the outside.
pub fn run(place: Place, control: &Path, say: &mut dyn FnMut(&str)) -> Outcome<bool> {
    let mut session = Session {
        outside: Control::open(control)?,
        place,
        daemon: None,
    };
    let started = Instant::now();
    let mut good = true;
    for (number, (what, check)) in CHECKS.into_iter().enumerate() {
        let at = |s: &Instant| format!("{:.1} s", s.elapsed().as_secs_f64());
        match check(&mut session) {
            Ok(how) => say(&format!("PASS {what}: {how} ({})", at(&started))),
            Err(why) => {
                good = false;
                say(&format!("FAIL {what}: {why} ({})", at(&started)));
                for line in session.log() {
                    say(&format!("     {line}"));
                }
                if number < NEEDED {
                    break;
                }
            }
        }
    }
    Ok(good)
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _gone = daemon.kill();
            let _gone = daemon.wait();
        }
    }
}

impl Session {
    fn path(&self, name: &str) -> PathBuf {
        self.place.folder.join(name)
    }

    fn start(&mut self) -> Outcome {
        let folder = self.place.folder.display();
        let Place {
            address,
            timeout_ms,
            interval_ms,
            ..
        } = &self.place;
        let text = format!(
            "card: {{ address: \"{address}\", timeout_ms: {timeout_ms}, scrub: 500 }}\nstate: {folder}/state\nsocket: {folder}/socket\nhealth: {{ interval_ms: {interval_ms} }}\n"
        );
        std::fs::write(self.path("seqnicd.yaml"), text)?;
        let daemon = Command::new(self.place.programs.join("seqnicd"))
            .arg("--config")
            .arg(self.path("seqnicd.yaml"))
            .spawn()?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Asks seqnic; what it says on standard output.
    fn seqnic(&self, arguments: &[&str]) -> Outcome<String> {
        let done = Command::new(self.place.programs.join("seqnic"))
            .args(arguments)
            .arg("--socket")
            .arg(self.path("socket"))
            .output()?;
        match done.status.success() {
            true => Ok(String::from_utf8(done.stdout)?),
            false => {
                let said = String::from_utf8_lossy(&done.stderr);
                Err(format!("seqnic {arguments:?}: {said}").into())
            }
        }
    }

    fn status(&self) -> Outcome<Status> {
        Ok(serde_json::from_str(&self.seqnic(&["status", "--json"])?)?)
    }

    fn log(&self) -> Vec<String> {
        let newest = |s: Status| s.log.into_iter().rev().take(8).map(|l| l.text).collect();
        self.status().map(newest).unwrap_or_default()
    }

    /// The status as soon as it is as asked.
    fn until(&mut self, what: &str, holds: impl Fn(&Status) -> bool) -> Outcome<Status> {
        let end = Instant::now() + self.place.patience;
        loop {
            let ended = self.daemon.as_mut().map(Child::try_wait).transpose()?;
            if let Some(status) = ended.flatten() {
                return Err(format!("seqnicd ended: {status}").into());
            }
            let status = self.status();
            match status {
                Ok(status) if holds(&status) => return Ok(status),
                Ok(_) if Instant::now() < end => {}
                Ok(status) => {
                    let patience = self.place.patience;
                    return Err(format!("{what}: not within {patience:?}; {:?}", status.log).into());
                }
                Err(_) if Instant::now() < end => {}
                Err(e) => return Err(format!("{what}: {e}").into()),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// As [`Session::until`], of a line the daemon's log has once more than before.
    fn says(&mut self, line: &str, before: usize) -> Outcome<Status> {
        self.until(line, |s| said(s, line) > before)
    }

    /// What the outside says once it is as asked.
    fn outside(&mut self, what: &str, holds: impl Fn(&Told) -> bool) -> Outcome<Told> {
        let end = Instant::now() + self.place.patience;
        loop {
            let told = self.outside.ask(Ask::Tell)?;
            if holds(&told) {
                return Ok(told);
            }
            if Instant::now() > end {
                let patience = self.place.patience;
                return Err(format!("{what}: not within {patience:?}; outside: {told:?}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until so many frames more of clients came back, which they do only if the card directs them.
    fn passes(&mut self, frames: u64) -> Outcome<u64> {
        let before = self.outside.ask(Ask::Tell)?.returned;
        let told = self.outside("clients' frames pass", |t| t.returned >= before + frames)?;
        Ok(told.returned - before)
    }

    /// Traffic goes on around what is done; afterwards, whether a frame was lost.
    fn under_traffic(
        &mut self,
        what: impl FnOnce(&mut Session) -> Outcome<String>,
    ) -> Outcome<String> {
        let before = self.outside.at_rest()?;
        self.outside.ask(Ask::Traffic { on: true })?;
        let done = what(self);
        let after = self.outside.at_rest()?;
        let (sent, back) = (after.sent - before.sent, after.returned - before.returned);
        let done = done?;
        must(after.stray == 0, || format!("strays: {}", after.stray))?;
        match sent == back && sent > 0 {
            true => Ok(format!("{done}; of {sent} frames meanwhile none was lost")),
            false => Err(format!("{done}; of {sent} frames meanwhile {back} came back").into()),
        }
    }

    fn starts(&mut self) -> Outcome<String> {
        self.start()?;
        let status = self.until("it has the card", |s| s.card_state.here)?;
        let confined = status.log.iter().find(|l| l.text.contains("confined"));
        let confined = confined.map_or("", |l| &l.text);
        must(status.geometry == "edge", || {
            format!("its geometry is {}", status.geometry)
        })?;
        Ok(format!("{}, {confined}", status.card))
    }

    fn applied(&mut self) -> Outcome<String> {
        let file = self.path("service.yaml");
        std::fs::write(&file, service())?;
        self.seqnic(&["apply", &file.to_string_lossy()])?;
        let status = self.status()?;
        let services = status.definition.map_or(0, |d| d.services);
        must(services == 2 && status.taps.len() == 4, || {
            format!("services: {services}, TAP devices: {:?}", status.taps)
        })?;
        Ok(format!("{services} services, 4 TAP devices"))
    }

    fn exceptions(&mut self) -> Outcome<String> {
        // The kernel's own first: it asks for the MAC. In IPv6 it looks for a second whether somebody has its address.
        for target in crate::router::targets() {
            self.pings(&target)?;
        }
        self.outside.ask(Ask::Router { on: true })?;
        let told = self.outside("ARP, solicitations and pings are answered", |t| {
            let r = &t.router;
            [r.arps, r.advertised, r.pongs, r.pongs6]
                .iter()
                .all(|n| *n >= 3)
        })?;
        let r = self.outside.ask(Ask::Router { on: false })?.router;
        must(r.wrong.is_empty(), || {
            format!("wrong answers: {:?}", r.wrong)
        })?;
        must(r.pinged >= 2 && r.wanted >= 2, || {
            format!("the kernel's pings: {}, questions: {}", r.pinged, r.wanted)
        })?;
        let of = told.router;
        Ok(format!(
            "the kernel answered {} ARP requests, {} solicitations, {} and {} pings, and asked {} times and pinged {} times itself",
            of.arps, of.advertised, of.pongs, of.pongs6, of.wanted, of.pinged
        ))
    }

    fn pings(&self, target: &str) -> Outcome {
        let end = Instant::now() + self.place.patience;
        loop {
            let ping = Command::new("ping")
                .args(["-c", "1", "-W", "10", target])
                .output()?;
            if ping.status.success() {
                return Ok(());
            }
            must(Instant::now() < end, || {
                format!("ping {target}: {}", String::from_utf8_lossy(&ping.stdout))
            })?;
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn interrupts(&mut self) -> Outcome<String> {
        if !matches!(self.place.address, Address::Pci(_)) {
            return Ok(String::from("not the kernel's: no PCI address"));
        }
        let before = interrupts().unwrap_or(0);
        let asked = self.outside.ask(Ask::Router { on: true })?.router.asked;
        self.outside("it asks", |t| t.router.asked >= asked + 5)?;
        self.outside.ask(Ask::Router { on: false })?;
        let fired = interrupts().unwrap_or(0) - before;
        must(fired > 0, || {
            String::from("no MSI-X interrupt came while packets did: the daemon polls")
        })?;
        Ok(format!("{fired} by MSI-X while the router asked 5 times"))
    }

    fn counters(&mut self) -> Outcome<String> {
        self.outside.ask(Ask::Traffic { on: true })?;
        self.passes(200)?;
        let told = self.outside.at_rest()?;
        let counters: Counters = serde_json::from_str(&self.seqnic(&["counters", "--json"])?)?;
        let of = |kind: &str, value: &str| -> u64 {
            let all = counters.counters.iter().filter(|c| c.kind == kind);
            let all = all.filter(|c| value.is_empty() || c.labels.values().any(|l| l == value));
            all.map(|c| c.packets).sum()
        };
        for (what, counted, seen) in [
            ("arrived, by reason", of("reason", ""), told.arrived),
            ("left, by interface", of("interface_out", ""), told.left),
            (
                "sent to the server",
                of("attachment_out", "server"),
                told.sent,
            ),
            (
                "sent by the server",
                of("attachment_in", "server"),
                told.returned,
            ),
            (
                "copies for the IDS",
                of("attachment_out", "ids"),
                told.copies,
            ),
        ] {
            must(counted == seen && seen > 0, || {
                format!("{what}: {counted} counted, {seen} seen outside")
            })?;
        }
        Ok(format!(
            "{} frames arrived, {} were directed and left {} times, counted as seen outside",
            told.arrived,
            of("reason", "directed"),
            told.left
        ))
    }

    fn failed(&mut self) -> Outcome<String> {
        self.under_traffic(|s| {
            s.passes(20)?;
            s.seqnic(&["failed", "fw1"])?;
            let before = s.outside.ask(Ask::Tell)?.through;
            s.passes(20)?;
            let after = s.outside.ask(Ask::Tell)?.through;
            let stood_in = after[1] - before[1];
            must(stood_in > 0, || String::from("its alternate gets nothing"))?;
            s.seqnic(&["restore", "fw1"])?;
            s.passes(20)?;
            Ok(format!("{stood_in} frames went to its alternate"))
        })
    }

    fn killed(&mut self) -> Outcome<String> {
        self.under_traffic(|s| {
            s.passes(20)?;
            let mut daemon = s.daemon.take().ok_or("seqnicd does not run")?;
            daemon.kill()?;
            daemon.wait()?;
            let alone = s.passes(100)?;
            let since = Instant::now();
            s.start()?;
            s.says("has the tables of the journal, nothing written", 0)?;
            let took = since.elapsed().as_secs_f64();
            s.passes(20)?;
            Ok(format!(
                "{alone} frames passed without it, and it found its tables in {took:.1} s"
            ))
        })
    }

    fn reset(&mut self) -> Outcome<String> {
        self.under_traffic(|s| {
            s.passes(20)?;
            let back = "the card is there: has the tables of the journal, nothing written";
            let before = said(&s.status()?, back);
            match &s.place.address {
                Address::Pci(function) => {
                    let at = format!("/sys/bus/pci/devices/{function}/reset");
                    std::fs::write(at, "1")?;
                }
                Address::Unix(_) => drop(s.outside.ask(Ask::Reset)?),
            }
            let since = Instant::now();
            s.says(back, before)?;
            s.passes(20)?;
            let took = since.elapsed().as_secs_f64();
            Ok(format!(
                "noticed, opened anew and at work after {took:.1} s"
            ))
        })
    }

    fn power(&mut self) -> Outcome<String> {
        let line = "the card is there: all tables loaded from the journal";
        let before = said(&self.status()?, line);
        let since = Instant::now();
        self.outside.ask(Ask::Restart)?;
        self.says(line, before)?;
        let took = since.elapsed().as_secs_f64();
        self.under_traffic(|s| {
            s.passes(20)?;
            Ok(format!("an empty card was loaded again after {took:.1} s"))
        })
    }

    fn ends(&mut self) -> Outcome<String> {
        self.under_traffic(|s| {
            let mut daemon = s.daemon.take().ok_or("seqnicd does not run")?;
            let id = daemon.id().to_string();
            must(Command::new("kill").arg(&id).status()?.success(), || {
                String::from("it cannot be told to end")
            })?;
            let status = daemon.wait()?;
            must(status.success(), || format!("it ended with {status}"))?;
            must(!s.path("socket").exists(), || {
                String::from("its socket is still there")
            })?;
            must(!Path::new("/sys/class/net/sq-i0").exists(), || {
                String::from("its network devices are still there")
            })?;
            let alone = s.passes(20)?;
            Ok(format!("by SIGTERM; {alone} frames passed after that"))
        })
    }

    fn let_go(&mut self) -> Outcome<String> {
        let Address::Pci(function) = &self.place.address else {
            return Ok(String::from("not the kernel's: no PCI address"));
        };
        let name = function.to_string();
        std::fs::write("/sys/bus/pci/drivers/vfio-pci/unbind", &name)?;
        self.under_traffic(|s| {
            Ok(format!(
                "by vfio-pci; {} frames passed after that",
                s.passes(20)?
            ))
        })
    }
}

fn said(status: &Status, line: &str) -> usize {
    status.log.iter().filter(|l| l.text.contains(line)).count()
}

fn must(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(why().into()),
    }
}
