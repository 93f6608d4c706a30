//! Services, packets of them, and what becomes of these, for both sides of the comparison.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::definition::{Definition, Ports};
use seqnic_compiler::diagnostic::Diagnostic;
use std::fmt::Write;
use std::net::Ipv4Addr;

/// Packets of the trace; the peer has the same number.
pub const TRACE: usize = 1 << 20;
/// Bytes of a frame: Ethernet's shortest without FCS.
pub const FRAME: usize = 60;

/// Most addresses: the way back gives each its own as source, and there are numbers for so many.
const ADDRESSES: u32 = 1 << 16;
const SERVICE_NET: u32 = 0x0a00_0000;
const SERVER_NET: u32 = 0xac10_0000;
const CLIENT_NET: u32 = 0xc612_0000;
const FIRST_PORT: u32 = 1024;
const ETHERNET: usize = 14;
const TCP: u8 = 6;

/// MACs of the engine's interfaces, of the router the clients are behind and of server `n`.
const IN_MAC: [u8; 6] = [2, 1, 0, 0, 0, 0];
const OUT_MAC: [u8; 6] = [2, 1, 0, 0, 0, 1];
const ROUTER_MAC: [u8; 6] = [2, 2, 0, 0, 0, 0];

fn server_mac(n: u32) -> [u8; 6] {
    let [a, b, c, d] = n.to_be_bytes();
    [2, 6, a, b, c, d]
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|b| format!("{b:02x}")).join(":")
}

/// TCP services with destination NAT to one of up to 1,000 servers.
#[derive(Debug, Clone, Copy)]
pub struct Services {
    pub count: u32,
    /// They share so many addresses, by port.
    pub addresses: u32,
    pub servers: u32,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    pub address: u32,
    pub port: u16,
    pub server: u32,
}

impl Services {
    pub fn new(count: u32) -> Services {
        let ports = count.div_ceil(ADDRESSES);
        let addresses = count.div_ceil(ports);
        Services {
            count,
            addresses,
            servers: (addresses / 40).clamp(1, 1000),
        }
    }

    /// Service `n`. On a server, the port tells services apart.
    pub fn service(&self, n: u32) -> Service {
        let (nth, address) = (n / self.addresses, n % self.addresses);
        let of_server = self.addresses.div_ceil(self.servers);
        let port = FIRST_PORT + nth * of_server + address / self.servers;
        Service {
            address: SERVICE_NET + address,
            port: port as u16,
            server: address % self.servers,
        }
    }

    fn server_address(server: u32) -> u32 {
        SERVER_NET + 1 + server
    }

    /// The definition. A file of a million services is longer than files may be, so one service of each
    /// server is read and the others are made like it.
    ///
    /// # Errors
    /// What is wrong with those that are read.
    pub fn definition(&self) -> Result<Definition, Vec<Diagnostic>> {
        let mut definition = seqnic_compiler::read(&self.yaml())?;
        for n in self.servers..self.count {
            let s = self.service(n);
            let mut service = definition.services[s.server as usize].clone();
            service.name = format!("s{n}");
            service.addresses = vec![Ipv4Addr::from(s.address).into()];
            service.ports = Ports::Ranges(vec![(s.port, s.port)]);
            definition.services.push(service);
        }
        Ok(definition)
    }

    /// Interfaces, servers and the first service of each of them, as a file would hold it.
    fn yaml(&self) -> String {
        // Writing to a String cannot fail.
        let mut y = format!(
            "seqnic: 1\nname: bench\ngeometry: soft\ninterfaces:\n  \
             i0: {{ port: 0, mac: \"{}\", gateway: router }}\n  \
             i1: {{ port: 1, mac: \"{}\" }}\n\
             hosts:\n  router: {{ interface: i0, mac: \"{}\" }}\ndevices:\n",
            text(IN_MAC),
            text(OUT_MAC),
            text(ROUTER_MAC),
        );
        for n in 0..self.servers {
            let _ = writeln!(
                y,
                "  srv{n}: {{ function: server, mode: nat, address: {}, attachment: {{ interface: i1, mac: \"{}\" }} }}",
                Ipv4Addr::from(Self::server_address(n)),
                text(server_mac(n)),
            );
        }
        y.push_str("services:\n");
        for n in 0..self.servers {
            let s = self.service(n);
            let _ = writeln!(
                y,
                "  s{n}: {{ address: {}, protocol: tcp, port: {}, sequence: [srv{}] }}",
                Ipv4Addr::from(s.address),
                s.port,
                s.server,
            );
        }
        y
    }

    /// The peer's table: `struct service_key` and `struct service_value` of every service.
    pub fn records(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.count as usize * 32);
        for n in 0..self.count {
            let s = self.service(n);
            all.extend(s.address.to_be_bytes());
            all.extend(s.port.to_be_bytes());
            all.extend([TCP, 0]);
            all.extend(Self::server_address(s.server).to_be_bytes());
            all.extend(s.port.to_be_bytes());
            all.extend(server_mac(s.server));
            all.extend(OUT_MAC);
            all.extend((s.server as u16).to_ne_bytes());
            all.extend(n.to_ne_bytes());
        }
        all
    }

    /// Packets of services chosen at random, each as likely, from clients chosen at random.
    pub fn trace(&self) -> Vec<Arrival> {
        let mut random = ChaCha8Rng::seed_from_u64(self.count.into());
        (0..TRACE)
            .map(|_| {
                let s = self.service(random.random_range(0..self.count));
                let client = CLIENT_NET + random.random_range(0..1 << 17);
                Arrival::new(client, s.address, random.random(), s.port)
            })
            .collect()
    }
}

/// What differs between two packets of the trace, as on the wire: `struct arrival`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    addresses: [u8; 8],
    ports: [u8; 4],
    ip_checksum: [u8; 2],
    tcp_checksum: [u8; 2],
}

impl Arrival {
    fn new(source: u32, destination: u32, source_port: u16, destination_port: u16) -> Arrival {
        let join = |a: u32, b: u32| {
            let mut both = [0; 8];
            both[..4].copy_from_slice(&a.to_be_bytes());
            both[4..].copy_from_slice(&b.to_be_bytes());
            both
        };
        let mut arrival = Arrival {
            addresses: join(source, destination),
            ports: (u32::from(source_port) << 16 | u32::from(destination_port)).to_be_bytes(),
            ip_checksum: [0; 2],
            tcp_checksum: [0; 2],
        };
        // Both checksums over the whole frame, once.
        let mut frame = frame();
        arrival.write(&mut frame);
        let ip = &frame[ETHERNET..];
        let length = u16::from_be_bytes([ip[2], ip[3]]) as usize;
        arrival.ip_checksum = checksum(&[&ip[..20]]);
        let pseudo = [0, TCP, 0, (length - 20) as u8];
        arrival.tcp_checksum = checksum(&[&ip[12..20], &pseudo, &ip[20..length]]);
        arrival
    }

    /// Makes `frame` this packet.
    #[inline(always)]
    pub fn write(&self, frame: &mut [u8; FRAME]) {
        frame[26..34].copy_from_slice(&self.addresses);
        frame[24..26].copy_from_slice(&self.ip_checksum);
        frame[34..38].copy_from_slice(&self.ports);
        frame[50..52].copy_from_slice(&self.tcp_checksum);
    }

    pub fn bytes(&self) -> [u8; 16] {
        let mut all = [0; 16];
        all[..8].copy_from_slice(&self.addresses);
        all[8..12].copy_from_slice(&self.ports);
        all[12..14].copy_from_slice(&self.ip_checksum);
        all[14..].copy_from_slice(&self.tcp_checksum);
        all
    }
}

/// The frame all packets are made of: a TCP segment with ACK and six bytes, checksums 0.
pub fn frame() -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&IN_MAC);
    frame[6..12].copy_from_slice(&ROUTER_MAC);
    frame[12..14].copy_from_slice(&[8, 0]);
    let ip = &mut frame[ETHERNET..];
    ip[..12].copy_from_slice(&[
        0x45,
        0,
        0,
        (FRAME - ETHERNET) as u8,
        0,
        1,
        0x40,
        0,
        64,
        TCP,
        0,
        0,
    ]);
    ip[32..36].copy_from_slice(&[0x50, 0x10, 0x10, 0]);
    frame
}

fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn services_and_what_servers_see_are_distinct() {
        for count in [1, 10, 1000, 65_536, 65_537, 1_000_000] {
            let services = Services::new(count);
            let mut outside = HashSet::new();
            let mut inside = HashSet::new();
            for n in 0..count {
                let s = services.service(n);
                assert!(outside.insert((s.address, s.port)), "{count}: service {n}");
                assert!(inside.insert((s.server, s.port)), "{count}: service {n}");
                assert!(s.server < services.servers);
            }
        }
    }
}
