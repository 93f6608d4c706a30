//! Random services of a random definition.

use crate::definition::{Device, Network};
use crate::rng::Random;
use crate::tree::{Map, Node, one_or_list, scalar};

/// An address that services share, with the ports that are taken.
struct Shared {
    addresses: Vec<Node>,
    families: (bool, bool),
    next_port: u16,
    keyed_by_client: bool,
    /// A service there has every port of every protocol.
    every: Vec<&'static str>,
}

/// One to six services.
pub fn services(r: &mut Random, network: &mut Network) -> Node {
    let mut services = Map::new();
    let mut shared: Vec<Shared> = Vec::new();
    for n in 1..=r.number(1..=6) {
        let service = service(r, network, &mut shared);
        services = services.with(&format!("W{n}"), service);
    }
    services.done()
}

/// Ports as written, their number if it is one run, and whether that is a single port.
struct Chosen {
    port: Option<Node>,
    dynamic: Option<Node>,
    one_range: bool,
}

fn service(r: &mut Random, network: &mut Network, shared: &mut Vec<Shared>) -> Node {
    let by_client = r.chance(20);
    let end = (!by_client).then(|| pick_end(r, network)).flatten();
    let families = end.as_ref().map_or((true, true), |e| e.families);
    let at = address(r, network, shared, by_client, families);
    let protocol = protocol(r, &shared[at]);
    let chosen = ports(r, &mut shared[at], protocol);
    let passed = network.passed.clone();
    let count = r.weighted(&[(25, 0), (35, 1), (25, 2), (15, 3)]);
    let passed: Vec<Device> = r.shuffled(passed).into_iter().take(count).collect();
    let return_way = return_way(r, network, &passed);
    let plan = Plan {
        end: end.as_ref(),
        one_range: chosen.one_range,
        // SCTP's checksum covers its ports, so they are not translated.
        translatable: chosen.one_range && protocol != "sctp",
        families: shared[at].families,
        mirrored: return_way.is_none(),
    };
    let sequence = sequence(r, network, &passed, plan);
    let host = |r: &mut Random, network: &Network| r.pick(&network.hosts).map(scalar);
    let from = (r.chance(20)).then(|| from(r, network));
    let exit = (by_client && r.chance(60))
        .then(|| host(r, network))
        .flatten();
    let clients = r.chance(30).then(|| host(r, network)).flatten();
    Map::new()
        .with("address", one_or_list(shared[at].addresses.clone()))
        .with("protocol", scalar(protocol))
        .maybe("port", chosen.port)
        .maybe("dynamic_ports", chosen.dynamic)
        .maybe("keyed_by", by_client.then(|| scalar("client")))
        .maybe("from", from)
        .with("sequence", Node::List(sequence))
        .maybe("return", return_way)
        .maybe("exit", exit)
        .maybe("clients", clients)
        .maybe("dscp", r.chance(15).then(|| scalar(r.number(0..=63))))
        .done()
}

/// A new address, or one that another service has already.
fn address(
    r: &mut Random,
    network: &mut Network,
    shared: &mut Vec<Shared>,
    keyed_by_client: bool,
    (v4, v6): (bool, bool),
) -> usize {
    let fits = |s: &Shared| {
        s.keyed_by_client == keyed_by_client && (v4 || !s.families.0) && (v6 || !s.families.1)
    };
    let known: Vec<usize> = (0..shared.len()).filter(|i| fits(&shared[*i])).collect();
    if r.chance(30)
        && let Some(at) = r.pick(&known)
    {
        return *at;
    }
    let families = match (v4, v6) {
        (true, true) => r.weighted(&[(45, (true, false)), (20, (false, true)), (35, (true, true))]),
        only => only,
    };
    let mut addresses = Vec::new();
    if families.0 {
        addresses.push(network.address(true));
    }
    if families.1 {
        addresses.push(network.address(false));
    }
    if r.chance(8) {
        addresses.push(network.address(families.0));
    }
    shared.push(Shared {
        addresses,
        families,
        next_port: r.port(1..=2000),
        keyed_by_client,
        every: Vec::new(),
    });
    shared.len() - 1
}

fn protocol(r: &mut Random, shared: &Shared) -> &'static str {
    loop {
        let protocol = r.weighted(&[
            (48, "tcp"),
            (20, "udp"),
            (8, "sctp"),
            (8, "icmp"),
            (6, "any"),
            (5, "47"),
            (5, "50"),
        ]);
        // With every port taken there is no more to give; a clash now and then is the
        // compiler's to refuse.
        if !shared.every.contains(&protocol) || r.chance(5) {
            return protocol;
        }
    }
}

fn ports(r: &mut Random, shared: &mut Shared, protocol: &'static str) -> Chosen {
    let mut chosen = Chosen {
        port: None,
        dynamic: None,
        one_range: false,
    };
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        shared.every.push(protocol);
        return chosen;
    }
    let mut range = |r: &mut Random, longest: u16| {
        let first = shared.next_port + r.port(1..=3);
        let last = first + r.port(0..=longest);
        shared.next_port = last;
        match first == last {
            true => scalar(first),
            false => scalar(format!("{first}-{last}")),
        }
    };
    match r.weighted(&[(55, 0), (18, 1), (15, 2), (12, 3)]) {
        0 => {
            chosen.port = Some(range(r, 0));
            chosen.one_range = true;
        }
        1 => {
            chosen.port = Some(range(r, 100));
            chosen.one_range = true;
        }
        2 => chosen.port = Some(Node::List(vec![range(r, 0), range(r, 20), range(r, 0)])),
        _ if !shared.every.contains(&protocol) => {
            chosen.port = Some(scalar("any"));
            shared.every.push(protocol);
            return chosen;
        }
        _ => chosen.port = Some(range(r, 0)),
    }
    if r.chance(20) {
        chosen.dynamic = Some(range(r, 100));
        chosen.one_range = false;
    }
    chosen
}

/// A server. One in NAT mode mostly serves one service: its answers must say which it is.
fn pick_end(r: &mut Random, network: &mut Network) -> Option<Device> {
    let at = r.number(0..=network.ends.len() - 1);
    let end = network.ends[at].clone();
    if end.nat && network.nat_ends_used.contains(&end.name) && r.chance(90) {
        let others = network.ends.iter().filter(|e| !e.nat);
        let others: Vec<Device> = others.cloned().collect();
        return r.pick(&others).cloned().or(Some(end));
    }
    network.nat_ends_used.push(end.name.clone());
    Some(end)
}

/// What a sequence may have in it.
struct Plan<'a> {
    end: Option<&'a Device>,
    one_range: bool,
    translatable: bool,
    /// Families of the service's addresses.
    families: (bool, bool),
    mirrored: bool,
}

fn sequence(r: &mut Random, network: &mut Network, passed: &[Device], plan: Plan) -> Vec<Node> {
    let mut elements = Vec::new();
    let names: Vec<String> = passed.iter().map(|d| d.name.clone()).collect();
    let mut copied = r.shuffled(network.copied.clone());
    if r.chance(25) {
        // The same device may get copies at several places.
        copied.extend(copied.clone());
    }
    for device in passed {
        copies(
            r,
            network,
            &mut copied,
            &names,
            plan.mirrored,
            &mut elements,
        );
        elements.push(passed_device(r, network, device, &plan));
    }
    copies(
        r,
        network,
        &mut copied,
        &names,
        plan.mirrored,
        &mut elements,
    );
    if let Some(end) = plan.end {
        let port = (plan.translatable && r.chance(25)).then(|| scalar(r.port(3000..=60000)));
        elements.push(
            Map::new()
                .with("device", end.named())
                .maybe("buckets", end.buckets())
                .maybe("alternate", end.alternate.as_ref().map(scalar))
                .maybe("port", port)
                .maybe("tracking", network.element_tag(r).filter(|_| !end.via))
                .done(),
        );
    }
    elements
}

fn passed_device(r: &mut Random, network: &mut Network, device: &Device, plan: &Plan) -> Node {
    let port = (plan.translatable && r.chance(15)).then(|| scalar(r.port(3000..=60000)));
    let then = (plan.one_range && r.chance(20)).then(|| {
        let mut addresses = Vec::new();
        if r.chance(50) {
            // Behind it packets must look otherwise in each family.
            if plan.families.0 {
                addresses.push(network.address(true));
            }
            if plan.families.1 {
                addresses.push(network.address(false));
            }
        }
        let port = (addresses.is_empty() || r.chance(50)).then(|| scalar(r.port(2300..=2900)));
        Map::new()
            .maybe(
                "address",
                (!addresses.is_empty()).then(|| one_or_list(addresses)),
            )
            .maybe("port", port)
            .done()
    });
    let tag = network.element_tag(r);
    if port.is_none()
        && then.is_none()
        && tag.is_none()
        && device.alternate.is_none()
        && device.members.is_empty()
        && r.chance(50)
    {
        return scalar(&device.name);
    }
    Map::new()
        .with("device", device.named())
        .maybe("buckets", device.buckets())
        .maybe("alternate", device.alternate.as_ref().map(scalar))
        .maybe(
            "enter",
            (device.two_sides && r.chance(30)).then(|| scalar("inside")),
        )
        .maybe("port", port)
        .maybe("then", then)
        .maybe("tracking", tag)
        .done()
}

/// Perhaps a copy, sometimes two.
fn copies(
    r: &mut Random,
    network: &Network,
    free: &mut Vec<Device>,
    passed: &[String],
    mirrored: bool,
    elements: &mut Vec<Node>,
) {
    for _ in 0..r.weighted(&[(65, 0), (28, 1), (7, 2)]) {
        let Some(device) = free.pop() else { return };
        let alerts = match r.number(0..=9) {
            0..=4 => None,
            5..=6 => Some("none".to_string()),
            7 => Some("next".to_string()),
            _ => r.pick(passed).cloned(),
        };
        let directions = r.weighted(&[
            (55, None),
            (5, Some("both")),
            (20, Some("forward")),
            (20, Some("return")),
        ]);
        // Without the mirrored way, copies of the return way stand in its own list.
        let directions = directions.filter(|d| mirrored || *d != "return");
        elements.push(
            Map::new()
                .with("copy", device.named())
                .maybe("buckets", device.buckets())
                .maybe("alternate", device.alternate.as_ref().map(scalar))
                .maybe("alerts", alerts.map(scalar))
                .maybe("directions", directions.map(scalar))
                .maybe("tracking", network.element_tag(r))
                .done(),
        );
    }
}

fn from(r: &mut Random, network: &Network) -> Node {
    let servers = network.ends.iter().map(|d| &d.name);
    let all: Vec<&String> = network.hosts.iter().chain(servers).collect();
    let count = r.number(1..=2);
    one_or_list(
        r.shuffled(all)
            .into_iter()
            .take(count)
            .map(scalar)
            .collect(),
    )
}

fn return_way(r: &mut Random, network: &Network, passed: &[Device]) -> Option<Node> {
    match r.weighted(&[(74, 0), (4, 1), (11, 2), (11, 3)]) {
        0 => None,
        1 => Some(scalar("mirror")),
        2 => Some(scalar("direct")),
        _ => {
            let mut all: Vec<Device> = passed.to_vec();
            if r.chance(30) {
                let known = |d: &&Device| passed.iter().any(|p| p.name == d.name);
                let others = network.passed.iter().filter(|d| !known(d));
                let others: Vec<Device> = others.cloned().collect();
                all.extend(r.pick(&others).cloned());
            }
            let mut list: Vec<Node> = Vec::new();
            for device in r.shuffled(all) {
                if r.chance(25) {
                    continue;
                }
                list.push(
                    Map::new()
                        .with("device", device.named())
                        .maybe("buckets", device.buckets())
                        .maybe("alternate", device.alternate.as_ref().map(scalar))
                        .maybe("tracking", network.element_tag(r))
                        .done(),
                );
            }
            if let Some(ids) = network.copied.first()
                && r.chance(30)
            {
                list.push(Map::new().with("copy", scalar(&ids.name)).done());
            }
            (!list.is_empty()).then_some(Node::List(list))
        }
    }
}
