//! Random definitions: valid by construction as far as that is easy; the compiler refuses the rest.

use crate::acl::Acls;
use crate::failures;
use crate::qos;
use crate::rng::Random;
use crate::service::services;
use crate::tree::{Map, Node, one_or_list, scalar};

/// What stands on the network of a random definition.
#[derive(Debug, Default)]
pub struct Network {
    pub interfaces: Vec<Interface>,
    pub hosts: Vec<String>,
    /// Devices packets pass.
    pub passed: Vec<Device>,
    /// Devices that get copies.
    pub copied: Vec<Device>,
    /// End servers.
    pub ends: Vec<Device>,
    /// Servers that have a service already.
    pub nat_ends_used: Vec<String>,
    /// Places of devices.
    places: Vec<Map>,
    macs: u16,
    addresses: u16,
    tags: Tags,
}

/// Tags of a definition, by the names they have there.
#[derive(Debug, Default)]
pub struct Tags {
    /// Of every interface that says none of its own.
    everywhere: Option<&'static str>,
    /// In percent: interfaces with a tag of their own, and elements.
    interfaces: u32,
    elements: u32,
    /// Interfaces and devices have ends of tunnels.
    tunnels: bool,
}

const TAGS: [&str; 9] = [
    "dscp",
    "vlan",
    "mpls",
    "nsh",
    "nsh-md2",
    "vxlan",
    "vxlan-gpe",
    "vxlan-gpe-md2",
    "gre",
];

impl Tags {
    /// None, one for all, or a mixture.
    fn of(r: &mut Random) -> Tags {
        let (everywhere, interfaces, elements) = r.weighted(&[
            (45, (0, 0, 0)),
            (20, (90, 0, 15)),
            (25, (0, 5, 75)),
            (10, (50, 5, 40)),
        ]);
        Tags {
            everywhere: r.chance(everywhere).then(|| Tags::pick(r)),
            interfaces,
            elements,
            tunnels: everywhere + interfaces + elements > 0,
        }
    }

    fn pick(r: &mut Random) -> &'static str {
        r.pick(&TAGS).copied().unwrap_or(TAGS[0])
    }

    /// `tracking` of an element.
    pub fn element(&self, r: &mut Random) -> Option<Node> {
        r.chance(self.elements).then(|| scalar(Tags::pick(r)))
    }
}

/// The engine's or a device's end of tunnels: of one family or both.
fn ends(r: &mut Random, both: u32, v4: String, v6: String) -> Node {
    match r.chance(both) {
        true => one_or_list(vec![scalar(v4), scalar(v6)]),
        false => scalar(if r.chance(60) { v4 } else { v6 }),
    }
}

/// Where the numbers of tags begin, or some of them.
fn bases(r: &mut Random) -> Node {
    let mut some = |last: u16| r.chance(60).then(|| scalar(r.port(15..=last)));
    Map::new()
        .with("vlan", scalar(4000))
        .maybe("mpls", some(65500))
        .maybe("spi", some(65535))
        .maybe("vni", some(65500))
        .maybe("gre", some(65500))
        .done()
}

#[derive(Debug)]
pub struct Interface {
    pub name: String,
    /// Port and VLAN tags of each segment on it, its own first.
    pub vlans: Vec<Vec<u16>>,
    port: usize,
    node: Map,
}

/// A device with the one that may stand in for it.
#[derive(Debug, Clone)]
pub struct Device {
    pub name: String,
    pub alternate: Option<String>,
    /// Other members of its pool, with what they weigh.
    pub members: Vec<(String, u16)>,
    pub two_sides: bool,
    /// An end server in NAT mode.
    pub nat: bool,
    /// Reached through a host.
    pub via: bool,
    /// Whether it has addresses of (IPv4, IPv6).
    pub families: (bool, bool),
    nodes: Vec<(String, Node)>,
}

impl Device {
    /// It, or its pool, in an element.
    pub fn named(&self) -> Node {
        if self.members.is_empty() {
            return scalar(&self.name);
        }
        let first = [scalar(&self.name)].into_iter();
        let others = self.members.iter().map(|(name, weight)| match weight {
            1 => scalar(name),
            weight => Map::new()
                .with("device", scalar(name))
                .with("weight", scalar(weight))
                .done(),
        });
        Node::List(first.chain(others).collect())
    }

    /// The number of buckets of its pool: few, so that there are many pools.
    pub fn buckets(&self) -> Option<Node> {
        let most = self.members.iter().map(|(_, weight)| *weight).max()?;
        Some(scalar(4 << (most % 4)))
    }
}

/// A definition for `seed`. The same seed gives the same definition.
pub fn definition(seed: u64) -> Node {
    let r = &mut Random::new(seed);
    let mut network = Network {
        tags: Tags::of(r),
        ..Network::default()
    };
    network.add_interfaces(r);
    let hosts = network.add_hosts(r);
    network.add_devices(r);
    let mut services = services(r, &mut network);
    let mut acls = Acls::new(seed);
    let names: Vec<String> = network.interfaces.iter().map(|i| i.name.clone()).collect();
    let sets = acls.sets(&network.hosts);
    acls.add_to(&mut services, &names);

    let mut interfaces = Map::new();
    for interface in std::mem::take(&mut network.interfaces) {
        interfaces = interfaces.with(&interface.name, interface.node.done());
    }
    let mut devices = Map::new();
    let all = [&network.passed, &network.copied, &network.ends];
    for (name, node) in all.into_iter().flatten().flat_map(|d| &d.nodes) {
        devices = devices.with(name, node.clone());
    }
    let node = Map::new()
        .with("seqnic", scalar(1))
        .with("name", scalar(format!("random-{seed}")))
        .with("default_gateway", scalar("router"))
        .with("interfaces", interfaces.done())
        .with("hosts", hosts)
        .with("devices", devices.done())
        .with("services", services)
        .maybe("acls", sets)
        .done();
    failures::add(qos::add(node, seed), seed)
}

/// A tag list as the file has it.
fn vlan(tags: &[u16]) -> Node {
    match tags {
        [] => scalar("none"),
        tags => one_or_list(tags.iter().map(scalar).collect()),
    }
}

impl Network {
    fn add_interfaces(&mut self, r: &mut Random) {
        let count = r.number(1..=8);
        for n in 0..count {
            // A port may carry several interfaces, each with VLANs of its own.
            let port = if r.chance(20) {
                r.number(0..=n.min(7))
            } else {
                n
            };
            let own = self.free_vlan(r, port);
            let mac = self.mac();
            let address = r
                .chance(50)
                .then(|| scalar(format!("192.0.{n}.1/{}", r.number(8..=30))));
            let node = Map::new()
                .with("port", scalar(port))
                .with("mac", mac)
                .maybe("address", address)
                .maybe("vlan", (!own.is_empty()).then(|| vlan(&own)))
                .maybe("promiscuous", r.chance(10).then(|| scalar("true")))
                .maybe("tracking", self.tracking(r));
            let node = self.tunnel_of(r, port, node);
            self.interfaces.push(Interface {
                name: format!("i{n}"),
                vlans: vec![own],
                port,
                node,
            });
        }
    }

    fn tracking(&self, r: &mut Random) -> Option<Node> {
        if r.chance(7) {
            return Some(scalar("segment"));
        }
        match r.chance(self.tags.interfaces) {
            true => Some(scalar(Tags::pick(r))),
            false => self.tags.everywhere.map(scalar),
        }
    }

    /// Tunnel ends, bases and MTU of an interface.
    fn tunnel_of(&self, r: &mut Random, port: usize, node: Map) -> Map {
        let mtu = (self.tags.tunnels && r.chance(20)).then(|| scalar(r.port(68..=1600)));
        let node = node.maybe("mtu", mtu);
        if !self.tags.tunnels {
            return node;
        }
        let (v4, v6) = (format!("10.9.{port}.1"), format!("2001:db8:9:{port}::1"));
        node.with("tunnel", ends(r, 96, v4, v6))
            .maybe("tags", r.chance(15).then(|| bases(r)))
    }

    /// A device's end of tunnels; without one its own addresses are.
    fn device_tunnel(&mut self, r: &mut Random) -> Option<Node> {
        if !self.tags.tunnels || r.chance(3) {
            return None;
        }
        self.macs += 1;
        let n = self.macs;
        let v4 = format!("10.8.{}.{}", n / 250, n % 250 + 1);
        Some(ends(r, 0, v4, format!("2001:db8:8::{n:x}")))
    }

    /// Tags of elements.
    pub fn element_tag(&self, r: &mut Random) -> Option<Node> {
        self.tags.element(r)
    }

    /// Tags no segment of the port has yet.
    fn free_vlan(&self, r: &mut Random, port: usize) -> Vec<u16> {
        loop {
            let tags = r.weighted(&[(55, 0), (35, 1), (10, 2)]);
            let highest = if r.chance(80) { 8 } else { 4094 };
            let vlan: Vec<u16> = (0..tags).map(|_| r.port(1..=highest)).collect();
            let taken = self
                .interfaces
                .iter()
                .any(|i| i.port == port && i.vlans.contains(&vlan));
            if !taken {
                return vlan;
            }
        }
    }

    fn mac(&mut self) -> Node {
        self.macs += 1;
        let [high, low] = self.macs.to_be_bytes();
        scalar(format!("02:00:5e:00:{high:02x}:{low:02x}"))
    }

    /// An address nobody has, of a family.
    pub fn address(&mut self, v4: bool) -> Node {
        self.addresses += 1;
        let n = self.addresses;
        scalar(match v4 {
            true => format!("10.1.{}.{}", n / 250, n % 250 + 1),
            false => format!("2001:db8:1::{n:x}"),
        })
    }

    /// Addresses of a random choice of families, at least one, and which.
    fn own_addresses(&mut self, r: &mut Random) -> (Node, (bool, bool)) {
        let families = r.weighted(&[(45, (true, false)), (15, (false, true)), (40, (true, true))]);
        let mut all = Vec::new();
        if families.0 {
            all.push(self.address(true));
        }
        if families.1 {
            all.push(self.address(false));
        }
        (one_or_list(all), families)
    }

    /// A place on a random interface, often on its own segment.
    fn place(&mut self, r: &mut Random) -> Map {
        let mac = self.mac();
        let at = r.number(0..=self.interfaces.len() - 1);
        let place = Map::new()
            .with("interface", scalar(&self.interfaces[at].name))
            .with("mac", mac);
        if r.chance(75) {
            return place;
        }
        let known = self.interfaces[at].vlans.clone();
        let tags = match r.pick(&known) {
            Some(tags) if r.chance(50) => tags.clone(),
            _ => {
                let tags = self.free_vlan(r, self.interfaces[at].port);
                self.interfaces[at].vlans.push(tags.clone());
                tags
            }
        };
        place.with("vlan", vlan(&tags))
    }

    /// A place of a device; with tags sometimes that of another one, as behind one router.
    fn device_place(&mut self, r: &mut Random) -> Map {
        if self.tags.tunnels
            && r.chance(3)
            && let Some(place) = r.pick(&self.places)
        {
            return place.clone();
        }
        let place = self.place(r);
        self.places.push(place.clone());
        place
    }

    fn add_hosts(&mut self, r: &mut Random) -> Node {
        let mut hosts = Map::new();
        for n in 0..=r.number(0..=3) {
            let name = match n {
                0 => "router".to_string(),
                n => format!("host{n}"),
            };
            let address = r.chance(70).then(|| self.own_addresses(r).0);
            let place = self.place(r).maybe("address", address);
            hosts = hosts.with(&name, place.done());
            self.hosts.push(name);
        }
        hosts.done()
    }

    fn add_devices(&mut self, r: &mut Random) {
        for n in 0..r.number(0..=5) {
            let two = r.chance(60);
            let device = self.device(r, &format!("pass{n}"), "firewall", two);
            self.passed.push(device);
        }
        for n in 0..r.number(0..=2) {
            let device = self.device(r, &format!("ids{n}"), "ids", false);
            self.copied.push(device);
        }
        for n in 0..r.number(2..=8) {
            let device = self.end(r, n);
            self.ends.push(device);
        }
    }

    /// A device that is no end, perhaps with an alternate of the same form.
    fn device(&mut self, r: &mut Random, name: &str, function: &str, two_sides: bool) -> Device {
        let (alternate, members) = others(r, name);
        let promiscuous = function == "ids" && r.chance(50);
        let mut nodes = Vec::new();
        for (name, failed) in all(r, name, alternate.as_ref(), &members) {
            let node = Map::new().with("function", scalar(function));
            let node = if two_sides {
                let sides = Map::new()
                    .with("outside", self.device_place(r).done())
                    .with("inside", self.device_place(r).done());
                node.with("attachments", sides.done())
            } else {
                node.with("attachment", self.device_place(r).done())
            };
            let address = (function != "ids" && r.chance(25)).then(|| self.own_addresses(r).0);
            let node = node
                .maybe("address", address)
                .maybe("tunnel", self.device_tunnel(r))
                .maybe("promiscuous", promiscuous.then(|| scalar("true")))
                .maybe("state", failed.then(|| scalar("failed")));
            nodes.push((name, node.done()));
        }
        Device {
            name: name.to_string(),
            alternate,
            members,
            two_sides,
            nat: false,
            via: false,
            families: (true, true),
            nodes,
        }
    }

    fn end(&mut self, r: &mut Random, n: usize) -> Device {
        let name = format!("server{n}");
        let mode = r.weighted(&[(35, "loopback"), (15, "alias"), (50, "nat")]);
        let via = mode == "nat" && r.chance(25);
        let (alternate, members) = others(r, &name);
        let families = r.weighted(&[(40, (true, false)), (15, (false, true)), (45, (true, true))]);
        let mut nodes = Vec::new();
        for (name, failed) in all(r, &name, alternate.as_ref(), &members) {
            let mut addresses = Vec::new();
            if families.0 {
                addresses.push(self.address(true));
            }
            if families.1 {
                addresses.push(self.address(false));
            }
            let node = Map::new()
                .with("function", scalar("server"))
                .with("mode", scalar(mode))
                .with("address", one_or_list(addresses))
                .maybe("tunnel", self.device_tunnel(r));
            let node = if via {
                let host = r.pick(&self.hosts).cloned().unwrap_or_default();
                node.with("via", scalar(host))
            } else {
                node.with("attachment", self.device_place(r).done())
            };
            nodes.push((
                name,
                node.maybe("state", failed.then(|| scalar("failed"))).done(),
            ));
        }
        Device {
            name,
            alternate,
            members,
            two_sides: false,
            nat: mode == "nat",
            via,
            families: if mode == "nat" {
                families
            } else {
                (true, true)
            },
            nodes,
        }
    }
}

/// A device's alternate, or the other members of its pool.
fn others(r: &mut Random, name: &str) -> (Option<String>, Vec<(String, u16)>) {
    match r.weighted(&[(66, 0), (22, 1), (12, 2)]) {
        0 => (None, Vec::new()),
        1 => (Some(format!("{name}b")), Vec::new()),
        _ => {
            let count = r.weighted(&[(60, 1), (30, 2), (10, 3)]);
            let member = |n: usize| format!("{name}{}", ["b", "c", "d"][n]);
            let members = (0..count).map(|n| (member(n), r.weighted(&[(60, 1), (30, 2), (10, 7)])));
            (None, members.collect())
        }
    }
}

/// The device and those beside it, each with whether it has failed.
fn all(
    r: &mut Random,
    name: &str,
    alternate: Option<&String>,
    members: &[(String, u16)],
) -> Vec<(String, bool)> {
    let others = alternate.into_iter().chain(members.iter().map(|m| &m.0));
    let first_failed = (alternate.is_some() || !members.is_empty()) && r.chance(40);
    let mut all = vec![(name.to_string(), first_failed)];
    for other in others {
        let failed = !first_failed && r.chance(15);
        all.push((other.clone(), failed));
    }
    all
}
