//! Random rule sets for a random definition, with choices of their own: a seed's network and
//! services are the same with them and without.

use crate::rng::Random;
use crate::tree::{Map, Node, one_or_list, scalar};

/// Rule sets, if the definition of this seed has any.
#[derive(Debug)]
pub struct Acls {
    random: Random,
    counts: Random,
    crowds: Random,
    sets: Vec<String>,
}

const CLIENTS: [&str; 9] = [
    "198.51.100.0/24",
    "198.51.100.0/25",
    "198.51.100.128/26",
    "198.51.100.77",
    "2001:db8:99::/48",
    "2001:db8:99::/112",
    "2001:db8:99::8000/113",
    "10.0.0.0/8",
    "0.0.0.0/0",
];
const SERVERS: [&str; 7] = [
    "10.1.0.0/16",
    "10.1.0.0/28",
    "10.1.0.7",
    "2001:db8:1::/48",
    "2001:db8:1::/124",
    "::/0",
    "203.0.113.0/24",
];

impl Acls {
    pub fn new(seed: u64) -> Acls {
        let mut random = Random::new(seed ^ 0x61_636c);
        let sets = match random.chance(40) {
            true => random.number(1..=3),
            false => 0,
        };
        Acls {
            random,
            counts: Random::new(seed ^ 0x0063_6f75_6e74),
            crowds: Random::new(seed ^ 0x6372_6f77_6473),
            sets: (1..=sets).map(|n| format!("acl{n}")).collect(),
        }
    }

    /// `acls` of the definition.
    pub fn sets(&mut self, hosts: &[String]) -> Option<Node> {
        let mut all = Map::new();
        for name in self.sets.clone() {
            let count = self.random.weighted(&[(10, 0), (60, 4), (25, 12), (5, 60)]);
            let rules = (0..count).map(|_| self.rule(hosts));
            let mut rules: Vec<Node> = rules.collect();
            if self.crowds.chance(12) {
                let count = self.crowds.number(36..=43);
                rules.extend((0..count).map(|_| self.open_rule()));
            }
            all = all.with(&name, Node::List(rules));
        }
        (!self.sets.is_empty()).then(|| all.done())
    }

    fn rule(&mut self, hosts: &[String]) -> Node {
        let r = &mut self.random;
        let v6 = r.chance(40);
        let prefixes = |r: &mut Random, from: &[&'static str], mixed: u32| {
            let count = r.weighted(&[(85, 1), (15, 3)]);
            let mixed = r.chance(mixed);
            let of = from.iter().filter(|p| mixed || p.contains(':') == v6);
            let of: Vec<&str> = of.copied().collect();
            let list = (0..count).filter_map(|_| r.pick(&of).map(scalar));
            one_or_list(list.collect())
        };
        // Client and server of one packet have one IP version.
        let (has_client, has_server) = (r.chance(60), r.chance(25));
        let mixed = if has_client && has_server { 0 } else { 50 };
        let client = has_client.then(|| prefixes(r, &CLIENTS, mixed));
        let server = has_server.then(|| prefixes(r, &SERVERS, mixed));
        // Of a choice of their own: what else a seed has stays as it was.
        let count = client
            .as_ref()
            .filter(|c| distinct(c) && self.counts.chance(30))
            .map(|_| scalar("client"));
        let r = &mut self.random;
        let protocol = r.weighted(&[
            (40, None),
            (35, Some("tcp")),
            (10, Some("udp")),
            (5, Some("icmp")),
            (5, Some("sctp")),
            (5, Some("47")),
        ]);
        let has_ports = matches!(protocol, Some("tcp" | "udp" | "sctp"));
        let ports = |r: &mut Random, percent: u32| {
            (has_ports && r.chance(percent)).then(|| {
                let first = r.weighted(&[(50, 1), (30, 1024), (20, 32768)]);
                let last = r
                    .weighted(&[(40, 65535), (30, 40000), (30, 2000)])
                    .max(first);
                match r.chance(30) {
                    true => scalar(r.port(1..=2100)),
                    false => scalar(format!("{first}-{last}")),
                }
            })
        };
        let (client_port, port) = (ports(r, 25), ports(r, 40));
        let flags = (protocol == Some("tcp") && r.chance(30)).then(|| {
            let flags = ["syn", "syn,!ack", "!rst", "ack", "fin,psh"];
            scalar(r.pick(&flags).copied().unwrap_or("syn"))
        });
        let size = r.chance(15).then(|| {
            let sizes = ["0-80", "60", "100-9216", "0-576"];
            scalar(r.pick(&sizes).copied().unwrap_or("60"))
        });
        let direction = r.chance(15).then(|| {
            let directions = ["forward", "return", "both"];
            scalar(r.pick(&directions).copied().unwrap_or("both"))
        });
        let permit = r.chance(65);
        let route = (permit && r.chance(15))
            .then(|| r.pick(hosts).map(scalar))
            .flatten();
        let action = (route.is_none() || r.chance(50))
            .then(|| scalar(if permit { "permit" } else { "deny" }));
        Map::new()
            .maybe("client", client)
            .maybe("server", server)
            .maybe("protocol", protocol.map(scalar))
            .maybe("client_port", client_port)
            .maybe("port", port)
            .maybe("flags", flags)
            .maybe("size", size)
            .maybe("direction", direction)
            .maybe("action", action)
            .maybe("route", route)
            .maybe("count", count)
            .done()
    }

    /// One of many that say nothing which finds them: the last of those find no place in a bank.
    fn open_rule(&mut self) -> Node {
        let r = &mut self.crowds;
        let first = r.number(40..=700);
        let last = first + r.number(0..=60);
        let direction = r.chance(30).then(|| {
            let directions = ["forward", "return"];
            scalar(r.pick(&directions).copied().unwrap_or("forward"))
        });
        let action = if r.chance(50) { "permit" } else { "deny" };
        Map::new()
            .with("size", scalar(format!("{first}-{last}")))
            .maybe("direction", direction)
            .with("action", scalar(action))
            .done()
    }

    /// Adds `acl` to the services of a definition, or some of them.
    pub fn add_to(&mut self, services: &mut Node, interfaces: &[String]) {
        if self.sets.is_empty() {
            return;
        }
        for at in 0..services.len() {
            let Some(Node::Map(keys)) = services.child_mut(at) else {
                continue;
            };
            let r = &mut self.random;
            if !r.chance(75) {
                continue;
            }
            let count = r.weighted(&[(70, 1), (30, 2)]);
            let uses = (0..count).filter_map(|_| {
                let set = scalar(r.pick(&self.sets)?);
                if r.chance(70) {
                    return Some(set);
                }
                let count = r.number(1..=2);
                let list = (0..count).filter_map(|_| r.pick(interfaces).map(scalar));
                let list = one_or_list(list.collect());
                Some(Map::new().with("set", set).with("interfaces", list).done())
            });
            let uses: Vec<Node> = uses.collect();
            keys.push(("acl".to_string(), one_or_list(uses)));
            if r.chance(70) {
                let default = if r.chance(70) { "permit" } else { "deny" };
                keys.push(("acl_default".to_string(), scalar(default)));
            }
        }
    }
}

/// Whether a list names some clients, none of them twice.
fn distinct(clients: &Node) -> bool {
    let of = |node: &Node| match node {
        Node::Scalar(text) => Some(text.clone()),
        _ => None,
    };
    match clients {
        Node::List(items) => {
            let all: std::collections::BTreeSet<_> = items.iter().map(of).collect();
            !items.is_empty() && all.len() == items.len()
        }
        one => of(one).is_some(),
    }
}
