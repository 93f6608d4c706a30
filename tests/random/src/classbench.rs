//! Rule sets with the shapes of ClassBench's seeds: access lists (`acl`), firewalls (`fw`) and
//! IP chains (`ipc`).
//!
//! D. E. Taylor and J. S. Turner, "ClassBench: A Packet Classification Benchmark" (IEEE/ACM Transactions on
//! Networking 2007), describe sets by the shares of protocols, of pairs of port classes (section 3.3) and of
//! pairs of prefix lengths, and by how prefixes nest. The shares of `acl` are those of seed `acl1`, rounded;
//! those of `fw` and `ipc` are ours after the paper's description of such sets, not copied from
//! a seed. Prefixes are taken again or lengthened, so that they nest and repeat.

use crate::rng::Random;
use seqnic_compiler::definition::{Directions, Ports, Prefix, Protocol, Rule};
use seqnic_compiler::diagnostic::Span;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which kind of set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Acl,
    Fw,
    Ipc,
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::Acl, Shape::Fw, Shape::Ipc];

    pub const fn name(self) -> &'static str {
        match self {
            Shape::Acl => "acl",
            Shape::Fw => "fw",
            Shape::Ipc => "ipc",
        }
    }
}

/// Classes of ports: wildcard, 1024 to 65535, 1 to 1023, some range, one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Wc,
    Hi,
    Lo,
    Ar,
    Em,
}
use Class::{Ar, Em, Hi, Lo, Wc};

type Share<T> = (u32, T);
/// Classes of the client's port and of the other.
type Pairs = &'static [Share<(Class, Class)>];

struct Numbers {
    /// Protocol (`None` is every one) with its pairs of port classes.
    protocols: &'static [Share<(Option<u8>, Pairs)>],
    /// Lengths of client's and server's prefix.
    lengths: &'static [Share<(u8, u8)>],
    /// Percent of prefixes that are taken again.
    again: u32,
}

const ACL: Numbers = Numbers {
    protocols: &[
        (85, (None, &[(1, (Wc, Wc))])),
        (31, (Some(1), &[(1, (Wc, Wc))])),
        (
            873,
            (
                Some(6),
                &[(216, (Wc, Wc)), (131, (Wc, Ar)), (653, (Wc, Em))],
            ),
        ),
        (11, (Some(17), &[(125, (Wc, Ar)), (875, (Wc, Em))])),
    ],
    lengths: &[
        (5, (23, 28)),
        (14, (30, 22)),
        (7, (31, 22)),
        (42, (32, 22)),
        (3, (23, 31)),
        (28, (23, 32)),
        (12, (32, 30)),
        (26, (31, 32)),
        (17, (32, 31)),
        (800, (32, 32)),
        (46, (24, 32)),
    ],
    again: 70,
};

const FW: Numbers = Numbers {
    protocols: &[
        (90, (None, &[(1, (Wc, Wc))])),
        (40, (Some(1), &[(1, (Wc, Wc))])),
        (
            620,
            (
                Some(6),
                &[
                    (130, (Wc, Wc)),
                    (50, (Wc, Hi)),
                    (50, (Hi, Wc)),
                    (20, (Hi, Hi)),
                    (20, (Wc, Lo)),
                    (60, (Wc, Ar)),
                    (20, (Ar, Wc)),
                    (430, (Wc, Em)),
                    (90, (Em, Wc)),
                    (90, (Hi, Em)),
                    (20, (Em, Hi)),
                    (20, (Em, Em)),
                ],
            ),
        ),
        (
            230,
            (
                Some(17),
                &[
                    (150, (Wc, Wc)),
                    (50, (Wc, Ar)),
                    (500, (Wc, Em)),
                    (200, (Em, Wc)),
                    (100, (Em, Em)),
                ],
            ),
        ),
        (20, (Some(47), &[(1, (Wc, Wc))])),
    ],
    lengths: &[
        (15, (0, 0)),
        (190, (0, 32)),
        (60, (0, 24)),
        (20, (0, 16)),
        (140, (32, 0)),
        (50, (24, 0)),
        (20, (16, 0)),
        (200, (32, 32)),
        (100, (24, 32)),
        (80, (32, 24)),
        (60, (16, 32)),
        (30, (8, 32)),
        (35, (24, 24)),
    ],
    again: 50,
};

const IPC: Numbers = Numbers {
    protocols: &[
        (130, (None, &[(1, (Wc, Wc))])),
        (50, (Some(1), &[(1, (Wc, Wc))])),
        (
            550,
            (
                Some(6),
                &[
                    (280, (Wc, Wc)),
                    (330, (Wc, Em)),
                    (90, (Em, Wc)),
                    (40, (Ar, Wc)),
                    (60, (Wc, Ar)),
                    (50, (Hi, Em)),
                    (30, (Lo, Hi)),
                    (20, (Hi, Hi)),
                    (100, (Em, Em)),
                ],
            ),
        ),
        (
            260,
            (
                Some(17),
                &[
                    (300, (Wc, Wc)),
                    (450, (Wc, Em)),
                    (100, (Em, Wc)),
                    (150, (Em, Em)),
                ],
            ),
        ),
        (10, (Some(50), &[(1, (Wc, Wc))])),
    ],
    lengths: &[
        (5, (0, 0)),
        (40, (0, 32)),
        (40, (32, 0)),
        (30, (0, 20)),
        (30, (20, 0)),
        (330, (32, 32)),
        (120, (24, 32)),
        (120, (32, 24)),
        (70, (16, 32)),
        (60, (32, 16)),
        (50, (24, 24)),
        (35, (19, 27)),
        (35, (27, 19)),
        (35, (28, 32)),
    ],
    again: 55,
};

/// Prefixes of one side, as they are made.
struct Side {
    again: u32,
    /// By length.
    known: Vec<Vec<u128>>,
    v6: bool,
}

impl Side {
    fn longest(&self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }

    fn prefix(&mut self, random: &mut Random, bits: u32) -> u128 {
        let known = &self.known[bits as usize];
        if bits == 0 {
            return 0;
        }
        if !known.is_empty() && random.chance(self.again) {
            return *random.pick(known).unwrap_or(&0);
        }
        // Longer than one that is known, where there is one.
        let shorter = (4..bits).filter(|b| !self.known[*b as usize].is_empty());
        let shorter: Vec<u32> = shorter.collect();
        let longest = self.longest();
        let bytes = random.bytes(16);
        let fresh = bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b));
        let mut address = fresh >> (128 - longest);
        if random.chance(60)
            && let Some(length) = random.pick(&shorter).copied()
            && let Some(of) = random.pick(&self.known[length as usize])
        {
            let rest = (1u128 << (longest - length)) - 1;
            address = of | (address & rest);
        }
        let cut = longest - bits;
        let address = address >> cut << cut;
        self.known[bits as usize].push(address);
        address
    }
}

fn ports(random: &mut Random, class: Class) -> Ports {
    const SERVICES: [u16; 20] = [
        20, 21, 22, 23, 25, 53, 80, 110, 123, 135, 139, 143, 161, 389, 443, 445, 1433, 1521, 3389,
        8080,
    ];
    let one = |first, last| Ports::Ranges(vec![(first, last)]);
    match class {
        Wc => Ports::Any,
        Hi => one(1024, 65535),
        Lo => one(1, 1023),
        Em => {
            let port = match random.chance(33) {
                true => random.port(1..=65535),
                false => *random.pick(&SERVICES).unwrap_or(&80),
            };
            one(port, port)
        }
        Ar => {
            let first = random.port(1..=60000);
            one(first, first + random.port(1..=600))
        }
    }
}

/// `count` different rules of a shape, of one IP version. With IPv6 prefixes are four times as long, as in
/// ClassBench-ng's first approach.
pub fn rules(shape: Shape, count: usize, v6: bool, seed: u64) -> Vec<Rule> {
    let numbers = match shape {
        Shape::Acl => &ACL,
        Shape::Fw => &FW,
        Shape::Ipc => &IPC,
    };
    let mut random = Random::new(seed);
    let side = || Side {
        again: numbers.again,
        known: vec![Vec::new(); 129],
        v6,
    };
    let (mut client, mut server) = (side(), side());
    let mut seen = HashSet::new();
    let mut rules = Vec::with_capacity(count);
    while rules.len() < count {
        let (protocol, pairs) = random.weighted(numbers.protocols);
        let (client_port, port) = random.weighted(pairs);
        let (c, s) = random.weighted(numbers.lengths);
        let scale = if v6 { 4 } else { 1 };
        let mut prefix = |side: &mut Side, bits: u8| {
            let bits = u32::from(bits) * scale;
            let value = side.prefix(&mut random, bits);
            match bits {
                0 => Vec::new(),
                _ => vec![Prefix {
                    address: match v6 {
                        false => IpAddr::V4(Ipv4Addr::from(value as u32)),
                        true => IpAddr::V6(Ipv6Addr::from(value)),
                    },
                    bits: bits as u8,
                }],
            }
        };
        let (client, server) = (prefix(&mut client, c), prefix(&mut server, s));
        let (client_port, port) = (ports(&mut random, client_port), ports(&mut random, port));
        let of = (client, server, protocol, client_port, port);
        if !seen.insert(of.clone()) {
            continue;
        }
        let (client, server, protocol, client_port, port) = of;
        let protocol = match protocol {
            None => Protocol::Any,
            Some(1) => Protocol::Icmp,
            Some(n) => Protocol::Number(n),
        };
        rules.push(Rule {
            name: (rules.len() + 1).to_string(),
            client,
            server,
            protocol,
            client_port,
            port,
            flags: None,
            size: None,
            direction: Directions::Both,
            permit: random.chance(50),
            route: None,
            span: Span { offset: 0, len: 0 },
        });
    }
    rules
}
