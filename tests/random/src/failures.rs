//! Devices of a random definition that have failed, and what their elements do then; MACs it leaves to be learned.

use crate::rng::Random;
use crate::tree::{Node, scalar};

/// Adds them to a definition that has none. Their own numbers decide, so the rest of it is what its seed made.
pub fn add(definition: Node, seed: u64) -> Node {
    let r = &mut Random::new(seed ^ 0xbb67_ae85_84ca_a73b);
    let Node::Map(mut top) = definition else {
        return definition;
    };
    // In some definitions much has failed, in most nothing.
    let (failed, open) = (r.weighted(&[(60, 0), (30, 10), (10, 60)]), r.number(0..=60));
    let learned = r.weighted(&[(70, 0), (20, 10), (10, 40)]);
    let networks = networks(&top);
    for (section, node) in &mut top {
        let Node::Map(entries) = node else { continue };
        for (_, node) in entries {
            let Node::Map(entry) = node else { continue };
            match section.as_str() {
                "devices" => {
                    for place in places(entry) {
                        if r.chance(learned) {
                            learn(place, &networks);
                        }
                    }
                    let says = entry.iter().any(|(key, _)| key == "state");
                    if !says && r.chance(failed) {
                        entry.push(("state".into(), scalar("failed")));
                    }
                    if r.chance(open as u32 / 2) {
                        entry.push(("on_failure".into(), policy(r)));
                    }
                }
                "services" => elements(r, entry, open as u32),
                _ => {}
            }
        }
    }
    Node::Map(top)
}

fn elements(r: &mut Random, service: &mut [(String, Node)], open: u32) {
    for (key, node) in service {
        let list = matches!(key.as_str(), "sequence" | "return");
        let (true, Node::List(elements)) = (list, node) else {
            continue;
        };
        let devices = |node: &Node| matches!(node, Node::Map(e) if e[0].0 == "device");
        // What ends there cannot go on.
        let end = (key == "sequence").then(|| elements.iter().rposition(devices));
        for (at, element) in elements.iter_mut().enumerate() {
            if let Node::Map(element) = element
                && end.flatten() != Some(at)
                && (element[0].0 == "copy" || !element.iter().any(|(key, _)| key == "then"))
                && r.chance(open)
            {
                element.push(("on_failure".into(), policy(r)));
            }
        }
    }
}

fn policy(r: &mut Random) -> Node {
    scalar(r.weighted(&[(60, "open"), (15, "bypass"), (25, "closed")]))
}

/// Interfaces with an address of their own, and another one of its network.
fn networks(top: &[(String, Node)]) -> Vec<(String, String)> {
    let interfaces = top.iter().find(|(section, _)| section == "interfaces");
    let Some((_, Node::Map(interfaces))) = interfaces else {
        return Vec::new();
    };
    let near = |(name, node): &(String, Node)| {
        let Node::Map(interface) = node else {
            return None;
        };
        let (_, address) = interface.iter().find(|(key, _)| key == "address")?;
        let Node::Scalar(address) = address else {
            return None;
        };
        let (own, _) = address.split_once('/')?;
        Some((name.clone(), own.strip_suffix(".1")?.to_string() + ".2"))
    };
    interfaces.iter().filter_map(near).collect()
}

/// Where a device is attached.
fn places(device: &mut [(String, Node)]) -> Vec<&mut Vec<(String, Node)>> {
    let mut found = Vec::new();
    for (key, node) in device {
        match (key.as_str(), node) {
            ("attachment", Node::Map(place)) => found.push(place),
            ("attachments", Node::Map(sides)) => {
                for (_, side) in sides {
                    if let Node::Map(place) = side {
                        found.push(place);
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Leaves the MAC of a place to be learned, if its interface has a network.
fn learn(place: &mut Vec<(String, Node)>, networks: &[(String, String)]) {
    let interface = place.iter().find_map(|(key, node)| match node {
        Node::Scalar(name) if key == "interface" => Some(name.clone()),
        _ => None,
    });
    let network = networks
        .iter()
        .find(|(name, _)| Some(name) == interface.as_ref());
    if let Some((_, address)) = network {
        place.retain(|(key, _)| key != "mac");
        place.push(("address".into(), scalar(address)));
    }
}
