//! All parts together.

use crate::api::{
    Answer, CardState, Changed, Counters, DefinitionStatus, Detected, DeviceStatus, FailOver,
    LogLine, NeighbourStatus, PortStatus, Refusal, Request, Response, Status,
};
use crate::config::{CardConfig, Config, HealthConfig};
use crate::core::{ApplyError, Core, Found, Holding, Outcome, bypassed, unavailable};
use crate::detect::{self, Detection};
use crate::exceptions::{Deed, Known, Limit};
use crate::health::{Health, Input, Order, Settings, Verdict};
use crate::journal::digest;
use crate::linux::Taps;
use crate::linux::netlink::Netlink;
use crate::metrics::{self, Gauges};
use crate::neighbours::{self, Strangers};
use crate::pair::{self, PeerStatus};
use crate::{lock, priority, watch};
use seqnic_card::{CardError, Link, Presence, ToHost};
use seqnic_compiler::definition::{Mac, State};
use seqnic_model::Tables;
use seqnic_model::parse::{Headers, parse};
use seqnic_spec::reason::Reason;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

    /// Works out fail-overs before they are needed, whenever the tables have changed.
    fn prepare(&self) {
        let mut prepared = None;
        while !self.stopping() {
            let judge = lock(&self.judge).clone();
            if let Some(judge) = judge
                && prepared != Some(judge.holding.version())
            {
                self.core.prepare();
                // What has come to hold meanwhile is looked at the next time.
                prepared = Some(judge.holding.version());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Compares with the other engine, again and again; a change is noted.
    fn compare_peer(&self) {
        let Some(address) = self.config.pair.peer else {
            return;
        };
        while !self.stopping() {
            let own = pair::told(self.core.holding().as_ref());
            let now = pair::compare(address, &own, pair::ask(address));
            let was = lock(&self.peer).replace(now.clone());
            if was.is_none_or(|was| (was.state, was.what) != (now.state.clone(), now.what.clone()))
            {
                let what = if now.what.is_empty() {
                    String::new()
                } else {
                    format!(": {}", now.what)
                };
                self.note(format!("the other engine ({address}): {}{what}", now.state));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Tells the other engine until the daemon ends.
    pub fn tell_peer(&self, listener: &std::net::TcpListener) {
        while !self.stopping() {
            pair::serve(listener, &pair::told(self.core.holding().as_ref()));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn events(&self) {
        while !self.stopping() {
            match self.core.card().event(LOOK) {
                None => {}
                Some(seqnic_card::Event::Link { port, link }) => {
                    self.note(format!("port {port}: link {}", link_name(link)));
                    self.link(port, link);
                }
                Some(seqnic_card::Event::Reset) => {
                    self.core.part();
                    self.note(String::from("the card was reset; it is opened anew"));
                }
                Some(seqnic_card::Event::Gone { why }) => {
                    self.core.part();
                    self.note(format!("the card is gone: {why}"));
                    if self.core.card().presence() == Presence::Here {
                        // It cannot be opened anew from here.
                        self.stop();
                    }
                }
                Some(seqnic_card::Event::Back) => self.back(),
            }
        }
    }

    /// Devices behind a port whose link went down are suspected at once.
    fn link(&self, port: u8, link: Link) {
        if let Some(holding) = self.core.holding() {
            self.judge_health(Input::Link {
                devices: watch::behind(&holding.definition, port),
                up: link == Link::Up,
            });
        }
    }

    /// The card is there again: its tables become what they should be, if they are not.
    fn back(&self) {
        match self.core.join() {
            Ok(found) => {
                self.note(format!("the card is there: {}", found.words()));
                self.follow();
            }
            Err(e) => {
                let why = format!("it is there and cannot be used: {e}");
                self.note(format!("the card: {why}"));
                self.core.card().give_up(&why);
            }
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

    /// Learns the MACs that the definition leaves out, and follows them.
    fn learn(&self) {
        let mut netlink = None;
        while !self.stopping() {
            std::thread::sleep(LOOK);
            let Some(holding) = self.core.holding() else {
                continue;
            };
            let wanted = neighbours::wanted(&holding.definition);
            if wanted.is_empty() {
                lock(&self.neighbours).clear();
                continue;
            }
            if netlink.is_none() {
                netlink = Netlink::open().ok();
            }
            let table = netlink.as_ref().map(Netlink::neighbours);
            let (Some(socket), Some(Ok(table))) = (&netlink, table) else {
                netlink = None;
                continue;
            };
            let found = neighbours::states(&wanted, &table, |index| self.taps.interface(index));
            // Who is sure is left alone; all others the kernel looks for, or after.
            for (wanted, found) in wanted.iter().zip(&found) {
                let sure = ["reachable", "delay", "probe", "permanent", "incomplete"];
                let index = self.taps.index(wanted.interface);
                if let (false, Some(index)) = (sure.contains(&&*found.state), index) {
                    for address in &wanted.addresses {
                        // It may have no way to an address of a family it has none of.
                        let _unreachable = socket.resolve(index, *address);
                    }
                }
            }
            let macs = found.iter().filter(|n| n.state != "failed");
            let macs: BTreeMap<String, String> = macs
                .filter_map(|n| Some((n.attachment.clone(), n.mac.clone()?)))
                .collect();
            self.learned(&holding, &macs);
            *lock(&self.neighbours) = found;
        }
    }

    fn learned(&self, holding: &Holding, macs: &BTreeMap<String, String>) {
        let known = &holding.record.macs;
        let new = macs
            .iter()
            .filter(|(attachment, mac)| known.get(*attachment) != Some(mac));
        let new: Vec<String> = new
            .map(|(attachment, mac)| format!("{attachment} has {mac}"))
            .collect();
        if new.is_empty() {
            return;
        }
        match self.core.learn(macs) {
            Ok(Some(outcome)) => {
                self.changed(&format!("learned: {}", new.join(", ")), outcome);
            }
            Ok(None) => {}
            Err(e) => {
                self.note(format!(
                    "{} was learned and is refused: {e}",
                    new.join(", ")
                ));
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }

    /// Notes who sent a packet, if nobody has it in a definition.
    fn stranger(&self, judge: &Judge, packet: &ToHost, h: &Headers) {
        let (Some(interface), None) = (packet.interface, packet.sender) else {
            return;
        };
        let Some(mac) = packet.frame.get(6..12).and_then(|m| m.try_into().ok()) else {
            return;
        };
        let definition = &judge.holding.definition;
        let own = definition.interfaces.iter().any(|i| i.mac.0 == mac);
        if own || !Mac(mac).is_known() {
            return;
        }
        let address = neighbours::sender_address(&packet.frame, h, definition, interface);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let new = lock(&self.strangers).saw(interface, mac, address, since.as_secs());
        if new {
            let name = definition.interfaces.get(usize::from(interface));
            let name = name.map_or("?", |i| &i.name);
            let address = address.map(|a| format!(", {a}")).unwrap_or_default();
            self.note(format!("discovered on {name}: {}{address}", Mac(mac)));
        }
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

    fn exceptions(&self) {
        self.hurry();
        let now = Instant::now();
        let mut limits: BTreeMap<Reason, Limit> = BTreeMap::new();
        let mut packets = Vec::new();
        while !self.stopping() {
            packets.clear();
            if let Err(e) = self.core.card().receive(&mut packets, LOOK) {
                self.note(format!("no packets from the card: {e}"));
                std::thread::sleep(LOOK);
                continue;
            }
            let judge = lock(&self.judge).clone();
            for packet in &packets {
                let name = match &judge {
                    None => "no_definition",
                    Some(judge) => {
                        let limit = limits
                            .entry(packet.reason)
                            .or_insert_with(|| Limit::new(A_SECOND, now));
                        self.packet(judge, packet, limit)
                    }
                };
                let key = (packet.reason.name().to_string(), name.to_string());
                *lock(&self.deeds).entry(key).or_default() += 1;
            }
        }
    }

    /// Does what is to be done with a packet; returns what it was.
    fn packet(&self, judge: &Judge, packet: &ToHost, limit: &mut Limit) -> &'static str {
        let known = Known {
            tables: &judge.tables,
            definition: &judge.holding.definition,
        };
        let h = parse(&packet.frame, judge.tables.decap(packet.port));
        self.stranger(judge, packet, &h);
        let detected = lock(&self.detecting)
            .as_mut()
            .is_some_and(|d| d.take(&packet.frame, &h));
        if detected {
            // The kernel knows of no connection and ends it.
            if let Some(interface) = packet.interface {
                self.taps.deliver(interface, &packet.frame);
            }
            return "detect";
        }
        if let Some(seen) = watch::seen(&packet.frame, &h)
            && self.probe_seen(seen)
        {
            // The kernel knows of no connection and ends the handshake with an RST.
            if let (watch::Seen::Handshake { .. }, Some(interface)) = (seen, packet.interface) {
                self.taps.deliver(interface, &packet.frame);
            }
            return "probe";
        }
        let deed = known.deed(packet);
        match &deed {
            Deed::Kernel(interface) => {
                if !self.config.linux.taps || !self.taps.deliver(*interface, &packet.frame) {
                    return "no_device";
                }
            }
            Deed::Sent(frames) => {
                if !limit.allows(Instant::now()) {
                    return "limited";
                }
                if !matches!(self.core.card().send(frames), Ok(n) if n == frames.len()) {
                    return "no_room";
                }
            }
            Deed::Dropped(_) => {}
        }
        deed.name()
    }

    /// Takes the answer of a probe. `false`: it is of none that waits.
    fn probe_seen(&self, seen: watch::Seen) -> bool {
        let probes = lock(&self.probes).clone();
        for (device, number) in probes {
            let Some(config) = self.config.health.devices.get(&device) else {
                continue;
            };
            let input = match seen {
                watch::Seen::Handshake { port } => {
                    if config.tcp.is_none() || watch::PROBE_PORTS | number as u16 & 0x1FFF != port {
                        continue;
                    }
                    Input::Answer {
                        device,
                        probe: number,
                    }
                }
                watch::Seen::Heartbeat { dport, number: of } => {
                    let Some(heartbeat) = &config.heartbeat else {
                        continue;
                    };
                    if of != number {
                        continue;
                    }
                    match heartbeat.blocked_port == Some(dport) {
                        true => Input::Leak { device, probe: of },
                        false => Input::Answer { device, probe: of },
                    }
                }
            };
            self.judge_health(input);
            return true;
        }
        false
    }

    /// Sends probes and judges those that were not answered, when it is time.
    fn watch(&self) {
        self.hurry();
        while !self.stopping() {
            self.judge_health(Input::Tick);
            let health = lock(&self.health);
            let now = self.now();
            let wait = health.due().map_or(LOOK, |due| due.saturating_sub(now));
            let wait = wait.clamp(SHORTEST, LOOK);
            drop(self.stirred.wait_timeout(health, wait));
        }
    }

    /// Reads counters for health, in a thread of its own: a snapshot of a large card takes longer than a probe.
    fn count(&self) {
        let interval = Duration::from_millis(self.config.health.interval_ms);
        let mut next = self.now();
        while !self.stopping() {
            let now = self.now();
            if now >= next {
                next = now + interval;
                if let Some(traffic) = self.traffic() {
                    self.judge_health(Input::Counters(traffic));
                }
            }
            let wait = next.saturating_sub(self.now());
            std::thread::sleep(wait.clamp(SHORTEST, LOOK));
        }
    }

    /// Looks at the tables, round and round, and mends them.
    fn scrub(&self) {
        let CardConfig::At(at) = &self.config.card else {
            return;
        };
        // Few at a time: who writes tables waits that long.
        let rows = at.scrub.min(SCRUB_ROWS);
        let pause = Duration::from_secs(1) * rows / at.scrub;
        while !self.stopping() {
            std::thread::sleep(pause.min(LOOK * 5));
            // What the card is to have must be known: it is while something holds, and nobody changes it.
            if self.core.holding().is_none() {
                continue;
            }
            match self.core.scrub(rows) {
                Ok(repairs) => {
                    for repair in repairs {
                        self.repairs.fetch_add(1, Ordering::Relaxed);
                        self.note(format!(
                            "table {}, row {} was mended: it had {:x?}, not {:x?}",
                            repair.table.name(),
                            repair.row,
                            repair.found,
                            repair.wanted
                        ));
                    }
                }
                Err(CardError::Away { .. }) => {}
                Err(e) => {
                    self.note(format!("tables cannot be looked at: {e}"));
                    std::thread::sleep(LOOK);
                }
            }
        }
    }

    fn traffic(&self) -> Option<BTreeMap<String, crate::health::Traffic>> {
        let holding = self.core.holding()?;
        let snapshot = self.core.card().counters().ok()?;
        let names = &holding.image.names;
        Some(watch::traffic(&snapshot, names, &holding.definition))
    }

    fn judge_health(&self, input: Input) {
        let now = self.now();
        let orders = lock(&self.health).take(input, now);
        self.stirred.notify_all();
        for order in orders {
            match order {
                Order::Probe {
                    device,
                    probe,
                    negative,
                } => self.send_probe(&device, probe, negative),
                Order::Suspect { device, why } => {
                    self.note(format!("{device} is suspected: {why}"))
                }
                Order::Clear { device } => self.note(format!("{device} is cleared: it answers")),
                Order::Slow { device, mean } => {
                    self.note(format!(
                        "{device} is slow: {mean:?} until its packets come back"
                    ));
                }
                Order::Quick { device, mean } => {
                    self.note(format!("{device} is no longer slow: {mean:?}"));
                }
                Order::FailOver { device, why } => {
                    let alive = lock(&self.health).alive(&device);
                    let outcome = self.core.fail(&device);
                    match outcome {
                        Ok(outcome) => {
                            self.failed_over(&device, why, alive, &outcome);
                            self.changed(
                                &format!("{device} has failed: {why}; fail-over"),
                                outcome,
                            );
                            self.note_unavailable();
                        }
                        Err(e) => {
                            self.note(format!("{device} has failed: {why}; no fail-over: {e}"));
                            self.judge_health(Input::Undone { device });
                        }
                    }
                }
            }
        }
    }

    /// Keeps how long a fail-over took, and what of it.
    fn failed_over(&self, device: &str, why: &str, alive: Option<Duration>, outcome: &Outcome) {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let whole = alive.map(|alive| self.now().saturating_sub(alive));
        let repair = outcome.delta + outcome.journal + outcome.took;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut all = lock(&self.fail_overs);
        if all.len() == LOG {
            all.pop_front();
        }
        all.push_back(FailOver {
            time: since.as_secs(),
            device: device.to_string(),
            why: why.to_string(),
            whole_us: whole.map(micros),
            detect_us: whole.map(|w| micros(w.saturating_sub(repair))),
            delta_us: micros(outcome.delta),
            journal_us: micros(outcome.journal),
            words_us: micros(outcome.took),
            words: outcome.words,
        });
    }

    fn note_unavailable(&self) {
        if let Some(holding) = self.core.holding() {
            for (service, device) in unavailable(&holding.definition) {
                self.note(format!(
                    "service {service} is unavailable: nobody stands in for {device}"
                ));
            }
            for (service, device) in bypassed(&holding.definition) {
                self.note(format!("service {service} goes on without {device}"));
            }
        }
    }

    fn send_probe(&self, device: &str, number: u64, negative: bool) {
        let (Some(holding), Some(config)) =
            (self.core.holding(), self.config.health.devices.get(device))
        else {
            return;
        };
        lock(&self.probes).insert(device.to_string(), number);
        let frames = watch::probe(&holding.definition, device, config, number, negative);
        // A probe that is not sent is not answered, and the device is not to blame.
        if frames.is_empty() {
            self.note(format!(
                "{device} cannot be probed: it needs an address, and its interface one of the same family"
            ));
        }
        let sent = self.core.card().send(&frames);
        let unsent = match &sent {
            Ok(count) => *count < frames.len(),
            // That the card is away is said elsewhere.
            Err(CardError::Away { .. }) => true,
            Err(e) => {
                self.note(format!("a probe of {device} was not sent: {e}"));
                true
            }
        };
        if unsent || frames.is_empty() {
            self.judge_health(Input::Unsent {
                device: device.to_string(),
                probe: number,
            });
        }
    }

    fn counters(&self) -> Result<Counters, CardError> {
        let snapshot = self.core.card().counters()?;
        let holding = self.core.holding();
        let names = holding.map(|h| h.image.names.clone()).unwrap_or_default();
        Ok(metrics::counters(&snapshot, &names))
    }

    fn device_states(&self, holding: &Holding) -> Vec<DeviceStatus> {
        let health = lock(&self.health);
        let devices = holding.definition.devices.iter();
        devices
            .map(|d| DeviceStatus {
                name: d.name.clone(),
                function: d.function.clone(),
                response_ns: health.mean(&d.name).map(|m| m.as_nanos() as u64),
                state: String::from(match (d.state, health.verdict(&d.name)) {
                    (State::Failed, _) => "failed",
                    (_, Some(Verdict::Suspected)) => "suspected",
                    _ => "up",
                }),
            })
            .collect()
    }

    pub fn status(&self) -> Status {
        let holding = self.core.holding();
        let card = self.core.card();
        let identity = card.identity();
        let of = |f: &dyn Fn(&Holding) -> DefinitionStatus| holding.as_ref().map(f);
        let name = |number: u16| {
            let interfaces = holding.as_ref().map(|h| &h.definition.interfaces);
            interfaces
                .and_then(|i| i.get(usize::from(number)))
                .map(|i| i.name.clone())
        };
        Status {
            version: String::from(env!("CARGO_PKG_VERSION")),
            card: identity.name,
            card_state: card_state(card.presence()),
            geometry: identity.geometry.name.to_string(),
            uptime: (self.now() - self.started).as_secs(),
            definition: of(&|h| DefinitionStatus {
                name: h.definition.name.clone(),
                file: h.record.name.clone(),
                generation: h.definition.generation,
                digest: digest(&h.image),
                text_digest: pair::digest(&h.record.text),
                services: h.definition.services.len(),
            }),
            ports: (0..identity.geometry.ports as u8)
                .map(|port| PortStatus {
                    port,
                    link: link_name(card.link(port)).to_string(),
                })
                .collect(),
            devices: holding
                .as_ref()
                .map(|h| self.device_states(h))
                .unwrap_or_default(),
            unavailable: holding
                .as_ref()
                .map(|h| unavailable(&h.definition))
                .unwrap_or_default(),
            bypassed: holding
                .as_ref()
                .map(|h| bypassed(&h.definition))
                .unwrap_or_default(),
            neighbours: lock(&self.neighbours).clone(),
            discovered: lock(&self.strangers).list(name),
            taps: (self.taps.names().into_iter())
                .filter_map(|(number, tap)| Some((name(number)?, tap)))
                .collect(),
            repairs: self.repairs.load(Ordering::Relaxed),
            fail_overs: lock(&self.fail_overs).iter().cloned().collect(),
            exceptions: (lock(&self.deeds).iter())
                .map(|((reason, deed), n)| (format!("{reason} {deed}"), *n))
                .collect(),
            log: lock(&self.log).iter().cloned().collect(),
            peer: lock(&self.peer).clone(),
        }
    }

    /// What Prometheus gets.
    ///
    /// # Errors
    /// The card fails.
    pub fn prometheus(&self) -> Result<String, CardError> {
        let status = self.status();
        // A card that is away has no counters to show, and that it is away is what matters then.
        let counters = match status.card_state.here {
            true => self.counters()?,
            false => Counters::default(),
        };
        let mut gone: BTreeMap<String, u64> = BTreeMap::new();
        for (service, _) in &status.unavailable {
            *gone.entry(service.clone()).or_default() += 1;
        }
        let mut done_without: BTreeMap<String, u64> = BTreeMap::new();
        for (service, _) in &status.bypassed {
            *done_without.entry(service.clone()).or_default() += 1;
        }
        let gauges = Gauges {
            card: status.card_state.here,
            repairs: status.repairs,
            defined: status.definition.is_some(),
            version: status.version,
            suspected: (status.devices.iter())
                .map(|d| (d.name.clone(), d.state == "suspected"))
                .collect(),
            devices: (status.devices.into_iter())
                .map(|d| (d.name, d.state != "failed"))
                .collect(),
            unavailable: gone,
            bypassed: done_without,
            links: (status.ports.into_iter())
                .filter(|p| p.link != "none")
                .map(|p| (p.port, p.link == "up"))
                .collect(),
            exceptions: lock(&self.deeds).clone(),
        };
        Ok(metrics::prometheus(&counters, &gauges))
    }

    /// Serves Prometheus until the daemon ends.
    pub fn serve_metrics(&self, server: &tiny_http::Server) {
        while !self.stopping() {
            let Ok(Some(request)) = server.recv_timeout(LOOK) else {
                continue;
            };
            let response = match (request.url(), self.prometheus()) {
                ("/metrics", Ok(text)) => {
                    let kind = b"text/plain; version=0.0.4";
                    let header = tiny_http::Header::from_bytes(&b"Content-Type"[..], &kind[..]);
                    let response = tiny_http::Response::from_string(text);
                    match header {
                        Ok(header) => response.with_header(header),
                        Err(()) => response,
                    }
                }
                ("/metrics", Err(e)) => {
                    tiny_http::Response::from_string(e.to_string()).with_status_code(500)
                }
                _ => tiny_http::Response::from_string("ask for /metrics\n").with_status_code(404),
            };
            // Who asked may be gone.
            let _gone = request.respond(response);
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

fn card_state(presence: Presence) -> CardState {
    let Presence::Away(away) = presence else {
        return CardState {
            here: true,
            ..CardState::default()
        };
    };
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    CardState {
        here: false,
        why: Some(away.why),
        away_ms: millis(away.since.elapsed()),
        tries: away.tries,
        next_ms: millis(away.next.saturating_duration_since(Instant::now())),
        met: away.met,
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

fn link_name(link: Link) -> &'static str {
    match link {
        Link::Up => "up",
        Link::Down => "down",
        Link::None => "none",
    }
}
