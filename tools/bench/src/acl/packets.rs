//! Packets that rules hold, or nearly.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::definition::{Ports, Prefix, Rule};
use seqnic_spec::wire::{PROTO_ICMP, PROTO_ICMPV6};
use std::net::IpAddr;

/// What a rule is asked about. Addresses begin at the highest bit, also those of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub v6: bool,
    pub client: u128,
    pub server: u128,
    pub client_port: u16,
    pub port: u16,
    pub protocol: u8,
}

/// An address such that both IP versions begin at the highest bit.
pub fn from_the_top(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// Number of a rule's protocol, `None` for every one.
pub fn protocol(rule: &Rule, v6: bool) -> Option<u8> {
    let any = if v6 {
        IpAddr::from([0u8; 16])
    } else {
        IpAddr::from([0u8; 4])
    };
    rule.protocol.number(any)
}

/// `count` packets, each near a random rule: its open bits are random, and now and then one more is turned, so
/// that an earlier rule, a later one or none holds it.
pub fn near(rules: &[Rule], v6: bool, count: usize, seed: u64) -> Vec<Packet> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let all = if v6 { u128::MAX } else { u128::MAX << 96 };
    let packet = |_| {
        let rule = &rules[random.random_range(0..rules.len())];
        let mut address = |prefixes: &[Prefix]| {
            let (value, bits) = prefixes
                .first()
                .map_or((0, 0), |p| (from_the_top(p.address), p.bits));
            let open = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            let any = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
            let turned = match random.random_ratio(1, 8) {
                true => 1 << random.random_range(96..128),
                false => 0,
            };
            ((value | any & open) ^ turned) & all
        };
        let (client, server) = (address(&rule.client), address(&rule.server));
        let mut port = |ports: &Ports| match ports {
            Ports::Any => random.random(),
            Ports::Ranges(ranges) => {
                let (first, last) = ranges[random.random_range(0..ranges.len())];
                random.random_range(first..=last)
            }
        };
        let (client_port, port) = (port(&rule.client_port), port(&rule.port));
        let protocol = protocol(rule, v6).unwrap_or_else(|| {
            let others = [6, 17, 47, if v6 { PROTO_ICMPV6 } else { PROTO_ICMP }];
            others[random.random_range(0..others.len())]
        });
        Packet {
            v6,
            client,
            server,
            client_port,
            port,
            protocol,
        }
    };
    (0..count).map(packet).collect()
}

#[cfg(test)]
impl Packet {
    /// Whether a rule holds it, read from the rule alone.
    pub fn meets(&self, rule: &Rule) -> bool {
        let within = |prefixes: &[Prefix], address: u128| {
            let one = |p: &Prefix| {
                let open = 128 - u32::from(p.bits);
                (from_the_top(p.address) ^ address)
                    .checked_shr(open)
                    .unwrap_or(0)
                    == 0
            };
            prefixes.is_empty() || prefixes.iter().any(one)
        };
        let ports = |ports: &Ports, port: u16| match ports {
            Ports::Any => true,
            Ports::Ranges(ranges) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&port)),
        };
        within(&rule.client, self.client)
            && within(&rule.server, self.server)
            && protocol(rule, self.v6).is_none_or(|p| p == self.protocol)
            && ports(&rule.client_port, self.client_port)
            && ports(&rule.port, self.port)
    }
}
