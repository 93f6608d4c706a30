//! The router at port 0: who asks the engine's addresses for their MACs and pings them, and answers when it is asked.

use etherparse::{Icmpv6Type, PacketBuilder};
use seqnic_daemon::exceptions::words::checksum;
use seqnic_soak::ports::Beside;
use seqnic_soak::world::{ENGINE, ROUTER};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The engine's addresses on that interface, and the router's.
pub const OWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 254)];
pub const OWN6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe),
];
/// The router's addresses, for whoever pings it.
pub fn targets() -> [String; 2] {
    [OWN[1].to_string(), OWN6[1].to_string()]
}

/// How often it asks.
const PAUSE: Duration = Duration::from_millis(100);
/// Of its pings.
const IDENTITY: u16 = 0x5e9c;
const PAYLOAD: &[u8; 40] = b"from a port of the card and back to it..";

/// What it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Times it asked: each time for both addresses, and with a ping to both.
    pub asked: u64,
    /// Right answers: ARP, neighbour solicitation, ping in IPv4 and in IPv6.
    pub arps: u64,
    pub advertised: u64,
    pub pongs: u64,
    pub pongs6: u64,
    /// Questions for its own MAC, and pings of its addresses, all of which it answered.
    pub wanted: u64,
    pub pinged: u64,
    /// Answers that are not right.
    pub wrong: Vec<String>,
}

/// The router.
#[derive(Debug, Default)]
pub struct Router {
    seen: Arc<Mutex<Seen>>,
    asks: Arc<Mutex<bool>>,
    next: Duration,
}

/// To be asked while it is at work.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    seen: Arc<Mutex<Seen>>,
    asks: Arc<Mutex<bool>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Whether it asks, again and again.
    pub fn ask(&self, on: bool) {
        *lock(&self.asks) = on;
    }
}

impl Router {
    pub fn watched(&self) -> Watched {
        Watched {
            seen: self.seen.clone(),
            asks: self.asks.clone(),
        }
    }

    /// ARP (RFC 826) to the engine: 1 asks, 2 answers.
    fn arp(operation: u8) -> Vec<u8> {
        let (to, target) = match operation {
            1 => ([0xff; 6], [0; 6]),
            _ => (ENGINE[0], ENGINE[0]),
        };
        let mut frame = [&to[..], &ROUTER, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
        frame.extend([&ROUTER[..], &OWN[1].octets(), &target, &OWN[0].octets()].concat());
        frame
    }

    /// Neighbour solicitation or advertisement (RFC 4861 sections 4.3 and 4.4).
    fn neighbour(kind: u8) -> Vec<u8> {
        let (mac, to, target, flags) = match kind {
            135 => {
                let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
                group[13..].copy_from_slice(&OWN6[0].octets()[13..]);
                let mac = [0x33, 0x33, group[12], group[13], group[14], group[15]];
                (mac, group, OWN6[0], 0)
            }
            // Solicited, and to override what was known.
            _ => (ENGINE[0], OWN6[0].octets(), OWN6[1], 0x60),
        };
        let icmp = Icmpv6Type::Unknown {
            type_u8: kind,
            code_u8: 0,
            bytes5to8: [flags, 0, 0, 0],
        };
        let own = if kind == 135 { 1 } else { 2 };
        let body = [&target.octets()[..], &[own, 1], &ROUTER].concat();
        let packet = PacketBuilder::ethernet2(ROUTER, mac).ipv6(OWN6[1].octets(), to, 255);
        written(|out| packet.icmpv6(icmp).write(out, &body))
    }

    fn ping(number: u16) -> [Vec<u8>; 2] {
        let to = || PacketBuilder::ethernet2(ROUTER, ENGINE[0]);
        let four = to().ipv4(OWN[1].octets(), OWN[0].octets(), 64);
        let six = to().ipv6(OWN6[1].octets(), OWN6[0].octets(), 64);
        [
            written(|out| {
                four.icmpv4_echo_request(IDENTITY, number)
                    .write(out, PAYLOAD)
            }),
            written(|out| {
                six.icmpv6_echo_request(IDENTITY, number)
                    .write(out, PAYLOAD)
            }),
        ]
    }

    fn arped(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        let (Some(operation), Some(sender)) = (frame.get(21), frame.get(22..32)) else {
            return Vec::new();
        };
        let mut seen = lock(&self.seen);
        match operation {
            1 if frame.get(38..42) == Some(&OWN[1].octets()) => {
                seen.wanted += 1;
                return vec![Router::arp(2)];
            }
            2 if sender == [&ENGINE[0][..], &OWN[0].octets()].concat() => seen.arps += 1,
            2 => seen.wrong.push(format!("ARP says {sender:02x?}")),
            // Announcements of the engine's own.
            _ => {}
        }
        Vec::new()
    }

    /// ICMP and ICMPv6: `at` is where it stands, `sum` what else its checksum covers.
    fn icmp(&self, frame: &[u8], at: usize, end: usize, sum: u32) -> Vec<Vec<u8>> {
        let v6 = at == 54;
        let Some(message) = frame.get(at..end).filter(|m| m.len() >= 8) else {
            return Vec::new();
        };
        let mut seen = lock(&self.seen);
        if checksum(message, sum) != 0 {
            seen.wrong.push(format!("a checksum of {message:02x?}"));
            return Vec::new();
        }
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        match (message[0], v6) {
            (0, false) | (129, true) if word(4) == IDENTITY && message[8..] == PAYLOAD[..] => {
                *(if v6 {
                    &mut seen.pongs6
                } else {
                    &mut seen.pongs
                }) += 1;
            }
            (0, false) | (129, true) => seen.wrong.push(format!("a pong of {message:02x?}")),
            (8, false) | (128, true) => {
                seen.pinged += 1;
                let back = PacketBuilder::ethernet2(ROUTER, ENGINE[0]);
                let (id, number, body) = (word(4), word(6), &message[8..]);
                return vec![match v6 {
                    false => {
                        let back = back.ipv4(OWN[1].octets(), OWN[0].octets(), 64);
                        written(|out| back.icmpv4_echo_reply(id, number).write(out, body))
                    }
                    true => {
                        let back = back.ipv6(OWN6[1].octets(), OWN6[0].octets(), 64);
                        written(|out| back.icmpv6_echo_reply(id, number).write(out, body))
                    }
                }];
            }
            (135, true) if message.get(8..24) == Some(&OWN6[1].octets()) => {
                seen.wanted += 1;
                return vec![Router::neighbour(136)];
            }
            // An answer to the router, not what the kernel says of itself.
            (136, true) if frame[..6] == ROUTER => {
                let right = [&OWN6[0].octets()[..], &[2, 1], &ENGINE[0]].concat();
                match message.get(8..32) == Some(&right[..]) {
                    true => seen.advertised += 1,
                    false => seen.wrong.push(format!("a neighbour says {message:02x?}")),
                }
            }
            _ => {}
        }
        Vec::new()
    }
}

fn written<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut frame = Vec::new();
    // Writing to a Vec cannot fail.
    let _never = write(&mut frame);
    frame
}

impl Beside for Router {
    fn due(&mut self, now: Duration) -> Vec<Vec<u8>> {
        if !*lock(&self.asks) || now < self.next {
            return Vec::new();
        }
        self.next = now + PAUSE;
        let mut seen = lock(&self.seen);
        seen.asked += 1;
        let [four, six] = Router::ping(seen.asked as u16);
        vec![Router::arp(1), Router::neighbour(135), four, six]
    }

    fn got(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let Some(body) = frame.get(14..) else {
            return Vec::new();
        };
        match (frame[12], frame[13]) {
            (8, 6) => self.arped(frame),
            (8, 0) if body.first() == Some(&0x45) && body.get(9) == Some(&1) => {
                let length = usize::from(u16::from_be_bytes([body[2], body[3]]));
                self.icmp(frame, 34, 14 + length, 0)
            }
            (0x86, 0xdd) if body.get(6) == Some(&58) && body.len() >= 40 => {
                let length = u16::from_be_bytes([body[4], body[5]]);
                // The pseudo header (RFC 8200 section 8.1).
                let addresses = !checksum(&body[8..40], 0);
                let sum = u32::from(addresses) + u32::from(length) + 58;
                self.icmp(frame, 54, 54 + usize::from(length), sum)
            }
            _ => Vec::new(),
        }
    }
}
