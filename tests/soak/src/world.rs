//! What is around the card: a client, two firewalls of which one stands in for the other, an IDS, a server. It sends, forwards,
//! answers, and keeps books of every frame.

use crate::ports::{Beside, Ports};
use etherparse::PacketBuilder;
use seqnic_daemon::clock::Clock;
use seqnic_pci::Direct;
use seqnic_softcard::SoftCard;
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::reason::Reason;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the card is to do. `port` is the service's.
pub fn definition(port: u16) -> String {
    format!(
        "seqnic: 1
geometry: edge
interfaces:
  i0: {{ port: 0, mac: 02:01:00:00:00:01, address: 192.0.2.1/24, gateway: router }}
  i1: {{ port: 1, mac: 02:02:00:00:00:02 }}
  i2: {{ port: 2, mac: 02:03:00:00:00:03 }}
  i3: {{ port: 3, mac: 02:04:00:00:00:04 }}
hosts:
  router: {{ interface: i0, mac: 02:05:00:00:00:05, address: 192.0.2.254 }}
devices:
  fw1:
    function: firewall
    attachments: {{ outside: {{ interface: i1, mac: 02:06:00:00:00:01 }}, inside: {{ interface: i2, mac: 02:07:00:00:00:01 }} }}
  fw2:
    function: firewall
    attachments: {{ outside: {{ interface: i1, mac: 02:06:00:00:00:02 }}, inside: {{ interface: i2, mac: 02:07:00:00:00:02 }} }}
  ids: {{ function: ids, attachment: {{ interface: i3, mac: 02:09:00:00:00:09 }} }}
  server: {{ function: server, attachment: {{ interface: i3, mac: 02:0a:00:00:00:0a }}, mode: loopback, address: 10.0.0.12 }}
services:
  web: {{ address: 203.0.113.13, protocol: udp, port: {SERVICE}, sequence: [{{ device: fw1, alternate: fw2 }}, {{ copy: ids }}, server] }}
  other: {{ address: 203.0.113.14, protocol: udp, port: {port}, sequence: [fw2, server] }}
"
    )
}

/// Port of the service that has traffic.
const SERVICE: u16 = 53;
/// The firewalls.
pub const FIREWALLS: [&str; 2] = ["fw1", "fw2"];

/// How both firewalls are probed, for the daemon's configuration.
pub fn probes(every_ms: u64, timeout_ms: u64, probes: u32) -> String {
    let heartbeat = |last: u8| {
        format!(
            "fw{last}: {{ heartbeat: {{ from: 10.1.0.{last}, to: 10.2.0.{last}, port: 7, routed: true }}, every_ms: {every_ms} }}"
        )
    };
    format!(
        "health: {{ interval_ms: 100, probe_timeout_ms: {timeout_ms}, probes: {probes}, devices: {{ {}, {} }} }}\n",
        heartbeat(1),
        heartbeat(2)
    )
}

pub type Mac = [u8; 6];
pub const ROUTER: Mac = [2, 5, 0, 0, 0, 5];
const IDS: Mac = [2, 9, 0, 0, 0, 9];
const SERVER: Mac = [2, 10, 0, 0, 0, 10];
/// The engine's, by port.
pub const ENGINE: [Mac; 4] = [
    [2, 1, 0, 0, 0, 1],
    [2, 2, 0, 0, 0, 2],
    [2, 3, 0, 0, 0, 3],
    [2, 4, 0, 0, 0, 4],
];
/// What a client's payload begins with.
const MARK: &[u8; 8] = b"soakload";
/// How often clients send.
const TURN: Duration = Duration::from_millis(1);

/// Everything that was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Frames the clients sent, and that came back to them.
    pub sent: u64,
    pub returned: u64,
    /// Copies at the IDS.
    pub copies: u64,
    /// Clients' frames that passed each firewall, once each way.
    pub through: [u64; 2],
    /// Clients' frames that reached a firewall that was dead.
    pub dead: u64,
    /// Clients' frames that left to nobody: none, unless tables are wrong.
    pub stray: u64,
    /// Frames that arrived at the card's ports: clients' at any hop, and all others (heartbeats).
    pub arrived: u64,
    pub others: u64,
    /// Clients' frames that left the card's ports.
    pub left: u64,
    /// What the card counted, over all its lives: by reason, and copies by interface.
    pub reasons: BTreeMap<&'static str, u64>,
    pub out: u64,
}

impl Books {
    fn directed(&self) -> u64 {
        self.reasons
            .get(Reason::Directed.name())
            .copied()
            .unwrap_or(0)
    }

    /// Clients' frames the card did not direct.
    pub fn dropped(&self) -> u64 {
        self.reasons.values().sum::<u64>() - self.directed() - self.others
    }

    /// What does not add up.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, a: u64, b: u64| {
            if a != b {
                wrong.push(format!("{what}: {a} and {b}"));
            }
        };
        same(
            "frames that arrived, and those the card counted by reason",
            self.arrived,
            self.reasons.values().sum(),
        );
        same(
            "frames that left, and those the card counted by interface",
            self.left,
            self.out,
        );
        same("strays", self.stray, 0);
        let ended = self.returned + self.dead + self.dropped();
        same(
            "frames sent, and those returned, lost at a dead firewall or dropped by reason",
            self.sent,
            ended,
        );
        wrong
    }
}

struct Frames {
    books: Books,
    alive: [bool; 2],
    /// When something passed each firewall last.
    passed: [Option<Duration>; 2],
    /// When a client's frame passed it first since one of them died or came back.
    first: [Option<Duration>; 2],
    next: u64,
    /// When the clients send next.
    due: Duration,
    /// The router's own frames, if it has any.
    router: Option<Box<dyn Beside>>,
}

/// The card and what is around it.
pub struct World<C = SoftCard> {
    pub card: Arc<Direct<C>>,
    clock: Clock,
    frames: Mutex<Frames>,
    stop: AtomicBool,
    quiet: AtomicBool,
    /// Frames of clients a turn, of one ms.
    pub rate: AtomicU64,
}

impl<C: Ports> World<C> {
    /// Around a card, with the time that the card and the host have.
    pub fn around(
        card: Arc<Direct<C>>,
        clock: Clock,
        router: Option<Box<dyn Beside>>,
    ) -> Arc<World<C>> {
        Arc::new(World {
            card,
            clock,
            frames: Mutex::new(Frames {
                books: Books::default(),
                alive: [true; 2],
                passed: [None; 2],
                first: [None; 2],
                next: 0,
                due: Duration::ZERO,
                router,
            }),
            stop: AtomicBool::new(false),
            quiet: AtomicBool::new(true),
            rate: AtomicU64::new(1),
        })
    }

    fn frames(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clients send, or do not.
    pub fn traffic(&self, on: bool) {
        self.quiet.store(!on, Ordering::SeqCst);
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Moves frames until it is stopped; in a thread of its own.
    pub fn run(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            self.turn();
            std::thread::sleep(TURN);
        }
    }

    /// What is due: new frames, and everything that follows from those that are there.
    fn turn(&self) {
        let now = self.clock.now();
        let mut frames = self.frames();
        let mut function = self.card.lock();
        let new = match self.quiet.load(Ordering::SeqCst) || now < frames.due {
            true => 0,
            false => self.rate.load(Ordering::Relaxed),
        };
        if new > 0 {
            frames.due = now + TURN;
        }
        let own = frames.router.as_mut().map(|r| r.due(now));
        for frame in own.unwrap_or_default() {
            frames.arrive(&mut function.card, 0, &frame);
        }
        for _ in 0..new {
            frames.next += 1;
            frames.books.sent += 1;
            let frame = request(frames.next);
            frames.arrive(&mut function.card, 0, &frame);
        }
        loop {
            while function.work() {}
            let sent = function.card.sent();
            if sent.is_empty() {
                return;
            }
            let now = self.clock.now();
            for (port, frame) in sent {
                for (port, frame) in frames.left(port, frame, now) {
                    frames.arrive(&mut function.card, port, &frame);
                }
            }
        }
    }

    /// A firewall dies, or lives again.
    pub fn set_alive(&self, firewall: usize, alive: bool) {
        let mut frames = self.frames();
        frames.alive[firewall] = alive;
        frames.first = [None; 2];
    }

    /// When a client's frame passed a firewall first since one of them died or came back.
    pub fn first(&self, firewall: usize) -> Option<Duration> {
        self.frames().first[firewall]
    }

    /// When something passed a firewall last.
    pub fn passed(&self, firewall: usize) -> Option<Duration> {
        self.frames().passed[firewall]
    }

    /// The world's own part of the books: what the card has counted is not in it.
    pub fn seen(&self) -> Books {
        self.frames().books.clone()
    }
}

impl World {
    pub fn new() -> Arc<World> {
        let card = Direct::new("memory", SoftCard::new(&EDGE));
        World::around(Arc::new(card), Clock::default(), None)
    }

    /// The card's power fails: tables and counters are lost, what it counted is in the books.
    pub fn restart_card(&self) {
        self.turn();
        let mut frames = self.frames();
        let mut function = self.card.lock();
        frames.books.close(&function.card);
        function.reset();
        function.card = SoftCard::new(&EDGE);
    }

    /// The books, with what the card has counted until now. To be asked when nothing moves.
    pub fn books(&self) -> Books {
        let frames = self.frames();
        let mut books = frames.books.clone();
        books.close(&self.card.lock().card);
        books
    }
}

impl Books {
    /// Takes over what a card counted in its life.
    fn close(&mut self, card: &SoftCard) {
        let count = |set: CounterSet, row: u32| {
            let words = card.datapath.read(set as u8, row);
            words.words().first().copied().unwrap_or(0)
        };
        for reason in Reason::ALL {
            let packets = count(CounterSet::Reason, *reason as u32);
            if packets > 0 {
                *self.reasons.entry(reason.name()).or_default() += packets;
            }
        }
        for row in 0..CounterSet::InterfaceOut.rows(&EDGE) {
            self.out += count(CounterSet::InterfaceOut, row);
        }
    }
}

fn marked(frame: &[u8]) -> bool {
    frame.get(42..50) == Some(MARK)
}

impl Frames {
    fn arrive(&mut self, card: &mut impl Ports, port: u8, frame: &[u8]) {
        self.books.arrived += 1;
        self.books.others += u64::from(!marked(frame));
        card.arrive(port, frame);
    }

    /// What becomes of a frame that left a port: what arrives at which one.
    fn left(&mut self, port: u8, mut frame: Vec<u8>, now: Duration) -> Vec<(u8, Vec<u8>)> {
        let Some(to) = frame.get(..6).and_then(|to| Mac::try_from(to).ok()) else {
            return Vec::new();
        };
        let own = marked(&frame);
        self.books.left += u64::from(own);
        match (port, to) {
            (0, _) if !own => {
                let answers = self.router.as_mut().map(|r| r.got(&frame));
                let answers = answers.unwrap_or_default().into_iter();
                return answers.map(|frame| (0, frame)).collect();
            }
            (0, ROUTER) => self.books.returned += 1,
            (3, IDS) => self.books.copies += u64::from(own),
            (3, SERVER) if own => {
                frame[..6].copy_from_slice(&ENGINE[3]);
                frame[6..12].copy_from_slice(&SERVER);
                swap(&mut frame, 26, 30, 4);
                swap(&mut frame, 34, 36, 2);
                return vec![(3, frame)];
            }
            (1 | 2, [2, 6 | 7, 0, 0, 0, number @ 1..=2]) => {
                let firewall = usize::from(number) - 1;
                if !self.alive[firewall] {
                    self.books.dead += u64::from(own);
                    return Vec::new();
                }
                self.passed[firewall] = Some(now);
                if own {
                    self.books.through[firewall] += 1;
                    self.first[firewall].get_or_insert(now);
                }
                let (other, side) = if port == 1 { (2, 7) } else { (1, 6) };
                frame[..6].copy_from_slice(&ENGINE[usize::from(other)]);
                frame[6..12].copy_from_slice(&[2, side, 0, 0, 0, number]);
                return vec![(other, frame)];
            }
            _ => self.books.stray += u64::from(own),
        }
        Vec::new()
    }
}

fn swap(frame: &mut [u8], a: usize, b: usize, bytes: usize) {
    for n in 0..bytes {
        frame.swap(a + n, b + n);
    }
}

fn request(number: u64) -> Vec<u8> {
    let [.., a, b] = number.to_be_bytes();
    let packet = PacketBuilder::ethernet2(ROUTER, ENGINE[0])
        .ipv4([198, 51, 100, a | 1], [203, 0, 113, 13], 64)
        .udp(1024 + u16::from(b), SERVICE);
    let mut payload = MARK.to_vec();
    payload.extend(number.to_be_bytes());
    let mut frame = Vec::with_capacity(packet.size(payload.len()));
    // Writing to a Vec cannot fail.
    let _never = packet.write(&mut frame, &payload);
    frame
}
