//! Random changes of a definition, as an operator would make them.

use crate::qos;
use crate::rng::Random;
use crate::tree::{Node, scalar};

/// `definition` with a few changes. The same seed gives the same changes; the compiler may refuse
/// what comes of them.
pub fn mutate(definition: &Node, seed: u64) -> Node {
    let mut r = Random::new(seed ^ 0xa5a5_5a5a_0f0f_f0f0);
    let mut node = definition.clone();
    for _ in 0..r.weighted(&[(40, 1), (30, 2), (20, 4), (10, 8)]) {
        change(&mut r, &mut node, definition);
    }
    node
}

fn change(r: &mut Random, node: &mut Node, original: &Node) {
    match r.number(0..=15) {
        0 | 1 => remove_one(r, section(node, "services")),
        2 => {
            // One that an earlier change took away.
            let services = entries(section(node, "services"));
            let mut original = original.clone();
            let all = entries(section(&mut original, "services")).clone();
            let gone = |s: &&(String, Node)| !services.iter().any(|(name, _)| *name == s.0);
            let gone: Vec<&(String, Node)> = all.iter().filter(gone).collect();
            if let Some(service) = r.pick(&gone) {
                services.push((*service).clone());
            }
        }
        3 => shuffle(r, section(node, "services")),
        4 => shuffle(r, section(node, "devices")),
        5 => shuffle(r, section(node, "hosts")),
        6 | 7 => {
            if let Some(service) = one(r, section(node, "services")) {
                sequence(r, service);
            }
        }
        8 => {
            if let Some(service) = one(r, section(node, "services")) {
                let (key, value) = match r.number(0..=3) {
                    0 => ("priority", scalar(r.number(0..=7))),
                    1 => ("rate", qos::rate(r)),
                    _ => ("dscp", scalar(r.number(0..=63))),
                };
                set(service, key, r.chance(70).then_some(value));
                if get(service, "rate").is_none() {
                    set(service, "burst", None);
                }
            }
        }
        9 => {
            if let Some(service) = one(r, section(node, "services"))
                && get(service, "port").is_some()
            {
                let port = scalar(r.port(1..=2000));
                set(service, "port", Some(port));
            }
        }
        10 | 11 => {
            if let Some(device) = one(r, section(node, "devices")) {
                let failed = get(device, "state").is_some();
                set(device, "state", (!failed).then(|| scalar("failed")));
            }
        }
        12 | 13 => {
            if let Some(device) = one(r, section(node, "devices")) {
                replace(r, device);
            }
        }
        14 => {
            if let Some(host) = one(r, section(node, "hosts")) {
                set(host, "mac", Some(mac(r)));
            }
        }
        _ => {
            if let Some(interface) = one(r, section(node, "interfaces")) {
                match r.number(0..=2) {
                    0 => set(interface, "mac", Some(mac(r))),
                    1 => {
                        let on = get(interface, "promiscuous").is_some();
                        set(interface, "promiscuous", (!on).then(|| scalar("true")));
                    }
                    _ => {
                        let on = get(interface, "tracking").is_some();
                        set(interface, "tracking", (!on).then(|| scalar("segment")));
                    }
                }
            }
        }
    }
}

/// Another element in front, one less, or the other way round.
fn sequence(r: &mut Random, service: &mut Node) {
    let Some(Node::List(elements)) = get(service, "sequence") else {
        return;
    };
    let passed = elements.len().saturating_sub(1);
    match r.number(0..=2) {
        0 if passed > 0 => {
            elements.remove(r.number(0..=passed - 1));
        }
        1 => elements[..passed].reverse(),
        _ => set(service, "return", r.chance(50).then(|| scalar("direct"))),
    }
}

/// The device is another box: other MACs, perhaps elsewhere.
fn replace(r: &mut Random, device: &mut Node) {
    let Node::Map(entries) = device else { return };
    for (key, node) in entries {
        match (key.as_str(), node) {
            ("attachment", place) => set(place, "mac", Some(mac(r))),
            ("attachments", Node::Map(sides)) => {
                for (_, place) in sides {
                    set(place, "mac", Some(mac(r)));
                    if r.chance(20) {
                        set(place, "vlan", Some(scalar(r.number(1..=8))));
                    }
                }
            }
            _ => {}
        }
    }
}

fn mac(r: &mut Random) -> Node {
    scalar(format!("02:00:5e:01:{:02x}:{:02x}", r.u8(), r.u8()))
}

/// A part of the file; one that is missing is added.
fn section<'n>(node: &'n mut Node, name: &str) -> &'n mut Node {
    let parts = entries(node);
    let at = parts.iter().position(|(key, _)| key == name);
    let at = at.unwrap_or_else(|| {
        parts.push((name.to_string(), Node::Map(Vec::new())));
        parts.len() - 1
    });
    &mut parts[at].1
}

fn entries(node: &mut Node) -> &mut Vec<(String, Node)> {
    if !matches!(node, Node::Map(_)) {
        *node = Node::Map(Vec::new());
    }
    match node {
        Node::Map(entries) => entries,
        _ => unreachable!("it was made a mapping"),
    }
}

fn one<'n>(r: &mut Random, node: &'n mut Node) -> Option<&'n mut Node> {
    let entries = entries(node);
    if entries.is_empty() {
        return None;
    }
    let at = r.number(0..=entries.len() - 1);
    Some(&mut entries[at].1)
}

fn remove_one(r: &mut Random, node: &mut Node) {
    let entries = entries(node);
    if !entries.is_empty() {
        entries.remove(r.number(0..=entries.len() - 1));
    }
}

fn shuffle(r: &mut Random, node: &mut Node) {
    let entries = entries(node);
    *entries = r.shuffled(std::mem::take(entries));
}

fn get<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let found = entries(node).iter_mut().find(|(k, _)| k == key);
    found.map(|(_, node)| node)
}

fn set(node: &mut Node, key: &str, value: Option<Node>) {
    let entries = entries(node);
    entries.retain(|(k, _)| k != key);
    if let Some(value) = value {
        entries.push((key.to_string(), value));
    }
}
