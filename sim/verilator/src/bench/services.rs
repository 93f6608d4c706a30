//! Many services, and packets of each of them at every place of its way.

use crate::bench::BenchError;
use etherparse::PacketBuilder;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::fmt::Write;
use std::ops::RangeInclusive;

/// Bytes of the shortest frame made: Ethernet's shortest without FCS.
pub const SHORTEST: u32 = 60;
/// Bytes of the headers of a TCP segment over IPv6: shorter frames are all IPv4.
const SHORTEST_V6: u32 = 74;
/// Lengths of the random mix, each as likely.
pub const MIX: RangeInclusive<u32> = SHORTEST..=1518;
/// One of so many services has a copy and takes no part in the traffic, where one packet is one frame.
const WITH_COPY: u32 = 8;
/// Priorities of the services, in turn: one for each of four queues, the last is strict.
const PRIORITIES: [u32; 4] = [0, 2, 4, 6];
/// One of so many services has rules: two that do not hold the bench's packets before one that does. Each takes its own
/// rows for them, and a small card has few.
const WITH_RULES: u32 = 3;
const WITH_RULES_SMALL: u32 = 10;
/// Addresses of one of the networks the servers are in.
const NETWORK: u32 = 200;

/// A definition of `services` services: each a firewall with two sides and a server, loopback, alias
/// and NAT mode in turn; half of them in IPv6, one in eight with a copy to an IDS. The devices, one
/// for 40 services (10 to 500), are spread over all ports.
#[derive(Debug, Clone)]
pub struct Services {
    geometry: &'static Geometry,
    services: u32,
    firewalls: u32,
    ids: u32,
    servers: u32,
    /// Services traffic is of, and those of them in IPv4.
    all: Places,
    v4: Places,
}

/// Services by where their packets arrive.
#[derive(Debug, Clone, Default)]
struct Places {
    /// A client's may arrive anywhere.
    clients: Vec<u32>,
    /// By port, and by kind without [`Kind::Client`].
    ports: Vec<[Vec<u32>; 3]>,
}

/// Where on its way a packet enters the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From a client, to the firewall.
    Client,
    /// From the firewall's inside, to the server.
    Inside,
    /// From the server, to the firewall's inside.
    Server,
    /// From the firewall's outside, to the gateway.
    Outside,
}

const KINDS: [Kind; 4] = [Kind::Client, Kind::Inside, Kind::Server, Kind::Outside];

/// One packet to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub port: u32,
    /// Port it must leave through.
    pub to: u32,
    /// Port its copy must leave through, if it has one.
    pub copy: Option<u32>,
    /// Its queue there: order is kept in each.
    pub queue: u32,
    pub frame: Vec<u8>,
}

/// Lengths of frames without FCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// All so many bytes.
    Bytes(u32),
    /// Random, [`MIX`].
    Mix,
}

impl std::str::FromStr for Length {
    type Err = BenchError;
    fn from_str(text: &str) -> Result<Length, BenchError> {
        let bad = || BenchError::Length { text: text.into() };
        match text {
            "mix" => Ok(Length::Mix),
            _ => match text.parse().map_err(|_| bad())? {
                bytes if (SHORTEST..=MAX_FRAME_BYTES).contains(&bytes) => Ok(Length::Bytes(bytes)),
                _ => Err(bad()),
            },
        }
    }
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Length::Bytes(bytes) => write!(f, "{bytes}"),
            Length::Mix => f.write_str("mix"),
        }
    }
}

fn mac(kind: u8, n: u32) -> [u8; 6] {
    let n = n.to_be_bytes();
    [2, kind, n[0], n[1], n[2], n[3]]
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

impl Services {
    /// Services for a card of this geometry; whether its tables have room for them, the compiler says.
    pub fn new(geometry: &'static Geometry, services: u32) -> Services {
        let devices = (services / 40).clamp(10, 500);
        let (firewalls, ids) = (devices * 3 / 10, devices / 10);
        let mut new = Services {
            geometry,
            services,
            firewalls,
            ids,
            servers: devices - firewalls - ids,
            all: Places::default(),
            v4: Places::default(),
        };
        new.all = new.places(|_| true);
        new.v4 = new.places(|service| new.is_v4(service));
        new
    }

    /// Places of the services traffic is of.
    fn places(&self, wanted: impl Fn(u32) -> bool) -> Places {
        let plain = (0..self.services).filter(|s| s % WITH_COPY != 0 && wanted(*s));
        let clients: Vec<u32> = plain.collect();
        let mut ports: Vec<[Vec<u32>; 3]> = vec![Default::default(); self.geometry.ports as usize];
        for service in &clients {
            for (slot, kind) in KINDS[1..].iter().enumerate() {
                ports[self.ways(*service, *kind).0 as usize][slot].push(*service);
            }
        }
        Places { clients, ports }
    }

    /// Of the card.
    pub fn geometry(&self) -> &'static Geometry {
        self.geometry
    }

    /// How many they are.
    pub fn count(&self) -> u32 {
        self.services
    }

    /// The devices of the definition.
    pub fn devices(&self) -> u32 {
        self.firewalls + self.ids + self.servers
    }

    /// The family changes from round to round of the servers: all devices have services of both.
    fn is_v4(&self, service: u32) -> bool {
        (service / self.servers).is_multiple_of(2)
    }

    fn outside(&self, service: u32) -> u32 {
        service % self.firewalls % self.geometry.ports
    }

    fn inside(&self, service: u32) -> u32 {
        (service % self.firewalls + 1) % self.geometry.ports
    }

    fn server(&self, service: u32) -> u32 {
        service % self.servers % self.geometry.ports
    }

    /// Ports a packet arrives at and leaves through; a client's may arrive at any.
    fn ways(&self, service: u32, kind: Kind) -> (u32, u32) {
        match kind {
            Kind::Client => (0, self.outside(service)),
            Kind::Inside => (self.inside(service), self.server(service)),
            Kind::Server => (self.server(service), self.inside(service)),
            Kind::Outside => (self.outside(service), 0),
        }
    }

    /// The port of a NAT mode server by which it tells its services apart.
    fn nat_port(&self, service: u32) -> Option<u16> {
        (service % self.servers % 3 == 2).then(|| 2000 + (service / self.servers) as u16)
    }

    /// Queue of a service's packets at every output.
    pub fn queue(&self, service: u32) -> u32 {
        self.geometry.queue(priority(service))
    }

    /// Port of a service's copies, if it has some.
    fn copy(&self, service: u32) -> Option<u32> {
        let ids = service / WITH_COPY % self.ids;
        (service.is_multiple_of(WITH_COPY)).then(|| ids % self.geometry.ports)
    }

    fn service_port(service: u32) -> u16 {
        80 + (service % 7) as u16
    }

    /// The definition, as a file would hold it.
    pub fn yaml(&self) -> String {
        // Writing to a String cannot fail.
        let g = self.geometry;
        let mut y = format!(
            "seqnic: 1\nname: bench\ngeometry: {}\ninterfaces:\n",
            g.name
        );
        for i in 0..g.ports {
            let gateway = if i == 0 { ", gateway: router" } else { "" };
            let _ = writeln!(
                y,
                "  i{i}: {{ port: {i}, mac: \"{}\"{gateway} }}",
                text(mac(1, i))
            );
        }
        let router = text(mac(2, 0));
        let _ = writeln!(
            y,
            "hosts:\n  router: {{ interface: i0, mac: \"{router}\" }}\ndevices:"
        );
        for n in 0..self.firewalls {
            let _ = writeln!(
                y,
                "  fw{n}: {{ function: firewall, attachments: {{ outside: {{ interface: i{}, mac: \"{}\" }}, inside: {{ interface: i{}, mac: \"{}\" }} }} }}",
                n % g.ports,
                text(mac(3, n)),
                (n + 1) % g.ports,
                text(mac(4, n))
            );
        }
        for n in 0..self.ids {
            let _ = writeln!(
                y,
                "  ids{n}: {{ function: ids, promiscuous: true, attachment: {{ interface: i{}, vlan: {}, mac: \"{}\" }} }}",
                n % g.ports,
                100 + n,
                text(mac(5, n))
            );
        }
        for n in 0..self.servers {
            let mode = ["loopback", "alias", "nat"][n as usize % 3];
            let _ = writeln!(
                y,
                "  srv{n}: {{ function: server, mode: {mode}, address: [192.168.{}.{}, \"2001:db8:f::{n:x}\"], attachment: {{ interface: i{}, mac: \"{}\" }} }}",
                n / NETWORK,
                n % NETWORK + 1,
                n % g.ports,
                text(mac(6, n))
            );
        }
        y.push_str(
            "acls:\n  guard:\n    - { name: bogons, client: [203.0.113.0/24, \"2001:db8:dead::/48\"], action: deny }\n    \
             - { name: tiny, protocol: tcp, size: 0-39, action: deny }\n    - { name: web, protocol: tcp, port: 80-99, action: permit }\n",
        );
        y.push_str("services:\n");
        for i in 0..self.services {
            let copy = match i % WITH_COPY {
                0 => format!("{{ copy: ids{} }}, ", i / WITH_COPY % self.ids),
                _ => String::new(),
            };
            let port = self
                .nat_port(i)
                .map_or(String::new(), |p| format!(", port: {p}"));
            let address = match self.is_v4(i) {
                true => std::net::Ipv4Addr::from(address_v4(i)).to_string(),
                false => format!("\"{}\"", std::net::Ipv6Addr::from(address_v6(i))),
            };
            let every = match g.rules < 1024 {
                true => WITH_RULES_SMALL,
                false => WITH_RULES,
            };
            let acl = match i % every {
                0 => ", acl: guard, acl_default: permit",
                _ => "",
            };
            let _ = writeln!(
                y,
                "  s{i}: {{ address: {address}, protocol: tcp, port: {}, priority: {}{acl}, sequence: [fw{}, {copy}{{ device: srv{}{port} }}] }}",
                Services::service_port(i),
                priority(i),
                i % self.firewalls,
                i % self.servers
            );
        }
        y
    }

    /// Packets of all kinds and ports in turn, the services at random; the same for the same seed.
    pub fn offers(&self, length: Length, count: u32, seed: u64) -> Result<Vec<Offer>, BenchError> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let one = |n: u32| {
            let bytes = match length {
                Length::Bytes(bytes) => bytes,
                Length::Mix => random.random_range(MIX),
            };
            let ports = self.geometry.ports;
            let port = n % ports;
            let v4 = bytes < SHORTEST_V6;
            let places = if v4 { &self.v4 } else { &self.all };
            // Kinds rotate against ports, so that every port has all kinds.
            let slot = (n + n / ports) as usize % KINDS.len();
            let known = match slot.checked_sub(1) {
                Some(slot) => places.ports[port as usize][slot].choose(&mut random),
                None => None,
            };
            let (service, kind) = match (known, places.clients.choose(&mut random)) {
                (Some(service), _) => (*service, KINDS[slot]),
                (None, Some(service)) => (*service, Kind::Client),
                (None, None) => {
                    return Err(BenchError::TooFew {
                        services: self.services,
                    });
                }
            };
            self.offer(service, kind, port, bytes)
        };
        (0..count).map(one).collect()
    }

    fn offer(&self, service: u32, kind: Kind, port: u32, bytes: u32) -> Result<Offer, BenchError> {
        Ok(Offer {
            port,
            to: self.ways(service, kind).1,
            copy: self.copy(service),
            queue: self.queue(service),
            frame: self.frame(service, kind, port, bytes)?,
        })
    }

    /// A packet from a client of `service`, which may arrive at any port.
    pub fn from_client(&self, service: u32, port: u32, bytes: u32) -> Result<Offer, BenchError> {
        self.offer(service, Kind::Client, port, bytes)
    }

    /// A service without copies whose clients' packets leave through `port` in `queue`; of several the `n`th.
    pub fn leaving(&self, port: u32, queue: u32, n: usize) -> Option<u32> {
        let mut of = (0..self.services).filter(|s| {
            !s.is_multiple_of(WITH_COPY) && self.outside(*s) == port && self.queue(*s) == queue
        });
        of.nth(n)
    }

    /// `count` packets that leave with a copy, from as many ports as there are such, in turn: not through `port`, but their
    /// copies if `there`.
    pub fn copied(
        &self,
        port: u32,
        there: bool,
        count: u32,
        bytes: u32,
    ) -> Result<Vec<Offer>, BenchError> {
        let mut arriving: Vec<Vec<u32>> = vec![vec![]; self.geometry.ports as usize];
        for service in 0..self.services {
            let copied = self
                .copy(service)
                .is_some_and(|copy| (copy == port) == there);
            let (from, to) = self.ways(service, Kind::Inside);
            if copied && to != port {
                arriving[from as usize].push(service);
            }
        }
        arriving.retain(|services| !services.is_empty());
        if arriving.is_empty() {
            return Err(BenchError::TooFew {
                services: self.services,
            });
        }
        let offer = |n: usize| {
            let of = &arriving[n % arriving.len()];
            let service = of[n / arriving.len() % of.len()];
            self.offer(service, Kind::Inside, self.inside(service), bytes)
        };
        (0..count as usize).map(offer).collect()
    }

    fn frame(
        &self,
        service: u32,
        kind: Kind,
        port: u32,
        bytes: u32,
    ) -> Result<Vec<u8>, BenchError> {
        let source = match kind {
            Kind::Client => mac(7, service),
            Kind::Inside => mac(4, service % self.firewalls),
            Kind::Server => mac(6, service % self.servers),
            Kind::Outside => mac(3, service % self.firewalls),
        };
        let forward = matches!(kind, Kind::Client | Kind::Inside);
        let client = 40_000 + (service % 20_000) as u16;
        // A NAT mode server answers from its own address and port.
        let nat = self.nat_port(service).filter(|_| kind == Kind::Server);
        let here = nat.unwrap_or(Services::service_port(service));
        let ports = if forward {
            (client, here)
        } else {
            (here, client)
        };
        let link = PacketBuilder::ethernet2(source, mac(1, port));
        let n = service % self.servers;
        let (packet, headers) = if self.is_v4(service) {
            let own = [192, 168, (n / NETWORK) as u8, (n % NETWORK + 1) as u8];
            let here = if nat.is_some() {
                own
            } else {
                address_v4(service)
            };
            let there = [198, 51, 100, (service % 254 + 1) as u8];
            let (from, to) = if forward {
                (there, here)
            } else {
                (here, there)
            };
            (link.ipv4(from, to, 64), 54)
        } else {
            let own = v6([0x2001, 0xdb8, 0xf, 0, 0, 0, 0, n as u16]);
            let here = if nat.is_some() {
                own
            } else {
                address_v6(service)
            };
            let there = v6([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, (service % 254 + 1) as u16]);
            let (from, to) = if forward {
                (there, here)
            } else {
                (here, there)
            };
            (link.ipv6(from, to, 64), SHORTEST_V6)
        };
        // What arrives is compared with what left: bytes that differ from place to place and packet to packet.
        let payload: Vec<u8> = (0..bytes - headers)
            .map(|i| (i.wrapping_mul(31) ^ service.wrapping_mul(7)) as u8)
            .collect();
        let mut frame = Vec::with_capacity(bytes as usize);
        packet
            .tcp(ports.0, ports.1, 1, 1024)
            .write(&mut frame, &payload)
            .map_err(|e| BenchError::Packet {
                bytes,
                what: e.to_string(),
            })?;
        Ok(frame)
    }
}

fn priority(service: u32) -> u32 {
    PRIORITIES[(service / 3 % PRIORITIES.len() as u32) as usize]
}

fn address_v4(service: u32) -> [u8; 4] {
    let n = service.to_be_bytes();
    [10, n[1], n[2], n[3]]
}

fn address_v6(service: u32) -> [u8; 16] {
    v6([
        0x2001,
        0xdb8,
        0x5,
        (service / 100) as u16,
        0,
        0,
        (service >> 16) as u16,
        service as u16,
    ])
}

fn v6(groups: [u16; 8]) -> [u8; 16] {
    std::net::Ipv6Addr::from(groups).octets()
}
