//! All parts together.

mod packets;
mod report;
mod tending;
mod watching;

use crate::api::{
    Answer, Changed, Detected, FailOver, LogLine, NeighbourStatus, Refusal, Request, Response,
};
use crate::config::{CardConfig, Config, HealthConfig};
use crate::core::{ApplyError, Core, Found, Holding, Outcome};
use crate::detect::{self, Detection};
use crate::health::{Health, Settings};
use crate::linux::Taps;
use crate::neighbours::Strangers;
use crate::pair::PeerStatus;
use crate::provisioner::Logons;
use crate::{lock, priority, watch};
use seqnic_card::Presence;
use seqnic_model::Tables;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines of the log that `status` shows.
const LOG: usize = 100;
/// Answers and errors the daemon sends a second, by reason.
const A_SECOND: u32 = 1000;
/// How often a server is asked for its mode, and how long it has to answer each time.
const DETECT_TRIES: u32 = 3;
const DETECT_WAIT: Duration = Duration::from_millis(400);
/// How long a thread waits before it looks whether the daemon ends.
const LOOK: Duration = Duration::from_millis(200);

/// How long the threads of health sleep at least.
const SHORTEST: Duration = Duration::from_micros(200);
/// Rows that are looked at in one go.
const SCRUB_ROWS: u32 = 256;

/// The tables packets of the host are judged by.
struct Judge {
    holding: Holding,
    tables: Tables,
}

pub struct Daemon {
    core: Core,
    config: Config,
    /// When it began, by the core's clock.
    started: Duration,
    stop: AtomicBool,
    /// That there is no real-time priority was said.
    slow: AtomicBool,
    taps: Taps,
    judge: Mutex<Option<Arc<Judge>>>,
    health: Mutex<Health>,
    /// Something in `health` has changed: another probe may be due now.
    stirred: Condvar,
    /// Probes that wait, by device.
    probes: Mutex<BTreeMap<String, u64>>,
    deeds: Mutex<BTreeMap<(String, String), u64>>,
    /// Rows that were mended.
    repairs: AtomicU64,
    /// The newest fail-overs, oldest first.
    fail_overs: Mutex<VecDeque<FailOver>>,
    neighbours: Mutex<Vec<NeighbourStatus>>,
    strangers: Mutex<Strangers>,
    /// A server that is being asked for its mode.
    detecting: Mutex<Option<Detection>>,
    log: Mutex<VecDeque<LogLine>>,
    /// How the other engine of a pair compares.
    peer: Mutex<Option<PeerStatus>>,
    /// Who came over TLS.
    logons: Logons,
}

impl Daemon {
    /// Joins a card that holds what it should ([`Core::start`]) with the rest.
    pub fn new(core: Core, config: Config, found: Found) -> Arc<Daemon> {
        let health = Health::new(settings(&config.health));
        let daemon = Arc::new(Daemon {
            taps: Taps::new(&config.linux.prefix, config.pair.own()),
            peer: Mutex::default(),
            started: core.clock().now(),
            core,
            config,
            stop: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            judge: Mutex::default(),
            health: Mutex::new(health),
            stirred: Condvar::new(),
            repairs: AtomicU64::new(0),
            fail_overs: Mutex::default(),
            probes: Mutex::default(),
            deeds: Mutex::default(),
            neighbours: Mutex::default(),
            strangers: Mutex::default(),
            detecting: Mutex::default(),
            log: Mutex::default(),
            logons: Logons::default(),
        });
        let identity = daemon.core.card().identity();
        daemon.note(format!(
            "{}, geometry {}: {}",
            identity.name,
            identity.geometry.name,
            found.words(),
        ));
        if let Presence::Away(away) = daemon.core.card().presence() {
            daemon.note(format!("{}; tried again until it is there", away.why));
        }
        daemon.follow();
        daemon
    }

    /// Starts the threads of the packets and of health.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn run(self: &Arc<Daemon>) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
        let start = |name: &str, work: fn(&Daemon)| {
            let daemon = Arc::clone(self);
            std::thread::Builder::new()
                .name(name.to_string())
                .spawn(move || work(&daemon))
        };
        let mut threads = vec![start("exceptions", Daemon::exceptions)?];
        if self.config.linux.taps {
            threads.push(start("taps", |d| {
                d.taps.run(&**d.core.card(), || d.stopping());
            })?);
            threads.push(start("neighbours", Daemon::learn)?);
        }
        if self.config.health.enabled {
            threads.push(start("health", Daemon::watch)?);
            threads.push(start("counters", Daemon::count)?);
        }
        if self.config.pair.peer.is_some() {
            threads.push(start("peer", Daemon::compare_peer)?);
        }
        threads.push(start("prepare", Daemon::prepare)?);
        threads.push(start("events", Daemon::events)?);
        if matches!(&self.config.card, CardConfig::At(at) if at.scrub > 0) {
            threads.push(start("scrub", Daemon::scrub)?);
        }
        Ok(threads)
    }

    /// The time health goes by.
    fn now(&self) -> Duration {
        self.core.clock().now()
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether the daemon goes on. Takes every lock of its threads, so it does not return while one of them hangs
    /// with one.
    pub fn alive(&self) -> bool {
        drop(lock(&self.judge));
        drop(lock(&self.health));
        drop(lock(&self.probes));
        drop(lock(&self.deeds));
        let _holding = self.core.holding();
        !self.stopping()
    }

    /// A line for whoever looks.
    pub fn note(&self, text: String) {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        eprintln!("seqnicd: {text}");
        let mut log = lock(&self.log);
        if log.len() == LOG {
            log.pop_front();
        }
        log.push_back(LogLine {
            time: since.as_secs(),
            text,
        });
    }

    pub fn logons(&self) -> &Logons {
        &self.logons
    }

    pub fn may_ask(&self, user: u32) -> bool {
        // SAFETY: cannot fail.
        let own = unsafe { libc::geteuid() };
        user == 0 || user == own || self.config.users.contains(&user)
    }

    /// Answers a request.
    pub fn answer(&self, request: Request) -> Response {
        let done = match request {
            Request::Apply {
                name,
                definition,
                dry_run: true,
                ..
            } => self
                .core
                .dry_run(&name, &definition)
                .map(|o| changed(o, true)),
            Request::Apply {
                name,
                definition,
                reload,
                ..
            } => self
                .core
                .apply(&name, &definition, reload)
                .map(|o| self.changed(&format!("{name} applied"), o)),
            Request::Fail { device } => self
                .core
                .fail(&device)
                .map(|o| self.changed(&format!("{device} failed, by order"), o)),
            Request::Restore { device } => self
                .core
                .restore(&device)
                .map(|o| self.changed(&format!("{device} takes part again, by order"), o)),
            Request::Detect {
                device,
                address,
                port,
            } => return self.detect(&device, address, port),
            Request::Status => Ok(Answer::Status(Box::new(self.status()))),
            Request::Counters => (self.counters().map(Answer::Counters)).map_err(ApplyError::from),
            Request::Definition => self
                .core
                .holding()
                .map(|h| Answer::Definition {
                    name: h.record.name,
                    text: h.record.text,
                })
                .ok_or(ApplyError::Nothing),
        };
        match done {
            Ok(answer) => Response::Ok(answer),
            Err(e) => Response::Error(Box::new(refusal(&e))),
        }
    }

    fn changed(&self, what: &str, outcome: Outcome) -> Answer {
        let how = match outcome.words {
            Some(words) => format!("{words} words"),
            None => String::from("all tables"),
        };
        self.note(format!("{what}: {how} in {:?}", outcome.took));
        self.follow();
        changed(outcome, false)
    }

    /// Everything that follows the definition that holds.
    fn follow(&self) {
        let Some(holding) = self.core.holding() else {
            return;
        };
        let now = self.now();
        let watched = watch::watched(&holding.definition, &self.config.health.devices);
        lock(&self.health).follow(watched, now);
        if self.config.linux.taps {
            for trouble in self.taps.follow(&holding.definition) {
                self.note(format!(
                    "interface {} has no network device: {}",
                    trouble.interface, trouble.what
                ));
            }
        }
        lock(&self.strangers).follow(&holding.definition);
        for name in self.config.pair.own().unknown(&holding.definition) {
            self.note(format!(
                "`pair.interfaces` has {name}, the definition has no such interface"
            ));
        }
        match Tables::load(&holding.image) {
            Ok(tables) => {
                *lock(&self.judge) = Some(Arc::new(Judge { holding, tables }));
            }
            Err(e) => self.note(format!("packets of the host are not judged: {e}")),
        }
    }

    /// Offers a server connections, and waits for what it says.
    fn detect(&self, device: &str, address: IpAddr, port: u16) -> Response {
        let refused = |message: String| {
            Response::Error(Box::new(Refusal {
                code: String::from("refused"),
                message,
                findings: None,
            }))
        };
        let Some(holding) = self.core.holding() else {
            return refused(ApplyError::Nothing.to_string());
        };
        let (detection, place) = match detect::plan(&holding.definition, device, address, port) {
            Ok(plan) => plan,
            Err(why) => return refused(why),
        };
        let questions = detection.questions(&holding.definition, &place);
        let mut one = lock(&self.detecting);
        if one.is_some() {
            return refused(String::from("another detection is under way"));
        }
        *one = Some(detection);
        drop(one);
        // An answer may be lost, and a neighbour may have to be asked for first.
        for _ in 0..DETECT_TRIES {
            let sent = self.core.card().send(&questions);
            if !matches!(sent, Ok(n) if n == questions.len()) {
                self.note(String::from("questions to a server were not all sent"));
            }
            std::thread::sleep(DETECT_WAIT);
        }
        let Some(found) = lock(&self.detecting).take() else {
            return refused(String::from("the detection was given up"));
        };
        let words = |at: usize| found.answers[at].map(str::to_string);
        Response::Ok(Answer::Detected(Detected {
            mode: found.mode().map(str::to_string),
            to_service: words(0),
            to_own: words(1),
            who_has: words(2),
        }))
    }

    /// Real-time priority for the calling thread, if it is wanted and allowed.
    fn hurry(&self) {
        let health = &self.config.health;
        if health.enabled
            && health.realtime
            && let Err(e) = priority::take()
            && !self.slow.swap(true, Ordering::Relaxed)
        {
            self.note(format!(
                "warning: no real-time priority for probes ({e}): on a busy host living devices may count as failed; the limit RLIMIT_RTPRIO is to be 1 or more, or CAP_SYS_NICE is needed; `health.realtime: false` does without"
            ));
        }
    }
}

fn settings(config: &HealthConfig) -> Settings {
    Settings {
        silent_intervals: config.silent_intervals,
        probes: config.probes,
        probe_timeout: Duration::from_millis(config.probe_timeout_ms),
        slow: config.slow_ms.map(Duration::from_millis),
        sees_returns: config.sees_returns,
    }
}

fn changed(outcome: Outcome, dry_run: bool) -> Answer {
    Answer::Changed(Changed {
        words: outcome.words,
        microseconds: u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
        dry_run,
    })
}

fn refusal(error: &ApplyError) -> Refusal {
    let findings = match error {
        ApplyError::Findings {
            name,
            text,
            diagnostics,
        } => Some(seqnic_compiler::report::render(
            diagnostics,
            name,
            text,
            false,
        )),
        _ => None,
    };
    let code = match error {
        ApplyError::Card(_)
        | ApplyError::Journal(_)
        | ApplyError::Torn(_)
        | ApplyError::Lost(_) => "failed",
        _ => "refused",
    };
    Refusal {
        code: code.to_string(),
        message: error.to_string(),
        findings,
    }
}
