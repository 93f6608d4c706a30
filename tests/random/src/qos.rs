//! Priorities, rates and limits of a random definition.

use crate::rng::Random;
use crate::tree::{Map, Node, scalar};

/// Reasons the host is sent packets for that random packets have, but for `policed`.
const REASONS: [&str; 15] = [
    "arp",
    "not_mine",
    "no_interface",
    "wrong_sender",
    "no_service",
    "no_port",
    "nd",
    "icmp_error",
    "multicast",
    "ttl",
    "too_big",
    "unavailable",
    "unresolved",
    "skipped",
    "ipv4_checksum",
];

/// Adds them to a definition that has none. Their own numbers decide, so the rest of it is what its seed made.
pub fn add(definition: Node, seed: u64) -> Node {
    let r = &mut Random::new(seed ^ 0x6a09_e667_f3bc_c908);
    let Node::Map(mut top) = definition else {
        return definition;
    };
    for (section, node) in &mut top {
        let Node::Map(entries) = node else { continue };
        for (_, node) in entries {
            let Node::Map(entry) = node else { continue };
            match section.as_str() {
                "interfaces" if r.chance(25) => entry.push(("trust".into(), scalar("true"))),
                "services" => service(r, entry),
                _ => {}
            }
        }
    }
    top.extend(whole(r).map(|qos| ("qos".to_string(), qos)));
    Node::Map(top)
}

fn service(r: &mut Random, entry: &mut Vec<(String, Node)>) {
    if r.chance(30) {
        entry.push(("priority".into(), scalar(r.number(0..=7))));
    }
    if r.chance(35) {
        entry.push(("rate".into(), rate(r)));
        if r.chance(70) {
            entry.push(("burst".into(), scalar(format!("{} B", r.port(1..=4000)))));
        }
    }
    for (key, node) in entry {
        let list = matches!(key.as_str(), "sequence" | "return");
        if let (true, Node::List(elements)) = (list, node) {
            for element in elements {
                if let Node::Map(element) = element
                    && r.chance(15)
                {
                    element.push(("dscp".into(), scalar(r.number(0..=63))));
                }
            }
        }
    }
}

/// From one packet in many seconds to more than a card takes.
pub fn rate(r: &mut Random) -> Node {
    let unit = r.weighted(&[(50, "kbit/s"), (30, "Mbit/s"), (20, "Gbit/s")]);
    let least = if unit == "kbit/s" { 8 } else { 1 };
    scalar(format!("{} {unit}", r.port(least..=300)))
}

fn whole(r: &mut Random) -> Option<Node> {
    if r.chance(50) {
        return None;
    }
    let mut dscp = Map::new();
    for n in 0..64 {
        if r.chance(20) {
            dscp = dscp.with(&n.to_string(), scalar(r.number(0..=7)));
        }
    }
    let mut queues = Map::new();
    for n in 0..8 {
        let share = match r.chance(30) {
            true => scalar("strict"),
            false => scalar(r.port(1..=255)),
        };
        if r.chance(60) {
            queues = queues.with(&n.to_string(), share);
        }
    }
    let mut host = Map::new();
    for reason in REASONS {
        if r.chance(25) {
            let limit = limit(r);
            host = host.with(reason, limit);
        }
    }
    if r.chance(60) {
        host = host.with("policed", limit(r));
    }
    let section = |map: Map| Some(map.done()).filter(|node| !node.is_empty());
    let qos = Map::new()
        .maybe("dscp", section(dscp))
        .maybe("queues", section(queues))
        .maybe("host", section(host));
    section(qos)
}

fn limit(r: &mut Random) -> Node {
    let rate = match r.number(0..=9) {
        0 => Some(scalar("none")),
        1 => Some(scalar("all")),
        2..=7 => {
            let most = r.weighted(&[(40, 10), (30, 1000), (30, 60_000)]);
            Some(scalar(r.port(1..=most)))
        }
        _ => None,
    };
    let limited = matches!(&rate, Some(Node::Scalar(text)) if text.parse::<u32>().is_ok());
    Map::new()
        .maybe(
            "burst",
            (limited && r.chance(50)).then(|| scalar(r.port(1..=6))),
        )
        .maybe("rate", rate)
        .maybe("priority", r.chance(40).then(|| scalar(r.number(0..=7))))
        .done()
}

/// The definition without what remembers packets: what becomes of one depends on itself alone.
pub fn forgetful(mut definition: Node) -> Node {
    let Node::Map(top) = &mut definition else {
        return definition;
    };
    top.retain(|(key, _)| key != "qos");
    for (section, node) in top {
        if let (true, Node::Map(services)) = (section == "services", node) {
            for (_, service) in services {
                if let Node::Map(entry) = service {
                    entry.retain(|(key, _)| key != "rate" && key != "burst");
                }
            }
        }
    }
    definition
}
