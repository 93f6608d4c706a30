//! What a definition and its lab file become: namespaces, cables, programs.

use crate::LabError;
use crate::file::{Check, LabFile, Programs};
use crate::programs::Program;
use seqnic_compiler::definition::{
    Attachments, Definition, Device, Element, Host, KeyedBy, Mode, Place, Ports, Protocol, Service,
    Side, Tracking,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod another;
mod engines;

pub use another::{Also, Choice};
pub use engines::{Engine, LINK, link};

/// The client behind a gateway, where the lab file says nothing.
const CLIENT: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 11)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 0x11)),
];

/// One end of a cable: a network device of a namespace, on a port of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cable {
    /// Name of the device in its namespace.
    pub device: String,
    /// What the engine's counters call this end.
    pub attachment: String,
    pub port: u8,
    pub mac: String,
    /// MAC of the engine's interface there: where everything is sent.
    pub engine: String,
    /// Addresses two engines share there, in place of the MAC.
    pub gateway: Vec<IpAddr>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
}

/// How packets pass a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Network devices: where new connections come in, and where they go on.
    pub enter: String,
    pub leave: String,
    /// Addresses of its services keyed by destination: they lie where packets leave.
    pub servers: BTreeSet<IpAddr>,
    /// Addresses of its services keyed by client: they lie where packets enter.
    pub clients: BTreeSet<IpAddr>,
    /// What the device makes of clients' addresses.
    pub source: Vec<IpAddr>,
    /// A port it changes, to what.
    pub port: Option<(u16, u16)>,
    /// UDP is what its services speak.
    pub udp: bool,
    /// Another device may stand in for it, or it for another: connections come that were opened elsewhere.
    pub pool: bool,
}

/// What a namespace is in the definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A router.
    Host,
    /// Packets pass it.
    Pass(Pass),
    /// It gets copies.
    Copies,
    /// The end of services, with their addresses where its mode wants them.
    End {
        on_loopback: Vec<IpAddr>,
        on_device: Vec<IpAddr>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// What the definition calls it.
    pub function: String,
    pub cables: Vec<Cable>,
    /// The host it is behind, in place of cables to the engine; then its addresses.
    pub behind: Option<(String, Vec<IpAddr>)>,
    pub role: Role,
    /// With the ports each serves.
    pub programs: BTreeMap<Program, BTreeSet<u16>>,
    /// VPN devices it has a tunnel to.
    pub tunnels: Vec<String>,
    /// What a load balancer in it spreads connections over: the machines behind it, or if there are none the services.
    #[serde(default)]
    pub spreads_over: Vec<Choice>,
    /// The other engine, where there is one that this node is attached to as well.
    #[serde(default)]
    pub also: Option<Also>,
}

/// The whole lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub nodes: Vec<Node>,
    /// Ports of the engine in use.
    pub ports: BTreeSet<u8>,
    pub geometry: String,
    /// Addresses of services: what hosts send to the engine.
    pub services: BTreeSet<IpAddr>,
    /// Nodes that only the other engine has, and what hosts among them send there.
    pub others: BTreeSet<String>,
    pub others_services: BTreeSet<IpAddr>,
    pub check: Vec<Check>,
    pub engines: Vec<Engine>,
    /// They share addresses (VRRP).
    pub pair: bool,
    /// Kea gives addresses.
    pub kea: bool,
}

impl Node {
    /// Packets of it pass the engine without anybody's asking.
    pub fn asks_all_the_time(&self) -> bool {
        self.behind.is_some() && self.programs.contains_key(&Program::Haproxy)
    }
}

impl Cable {
    /// Next hop of what leaves here.
    pub fn hop(&self, v6: bool) -> String {
        let shared = self.gateway.iter().find(|a| a.is_ipv6() == v6);
        match (shared, v6) {
            (Some(address), _) => address.to_string(),
            (None, false) => String::from(crate::net::NEXT_HOP),
            (None, true) => String::from(crate::net::NEXT_HOP_V6),
        }
    }
}

fn not_shown(what: String) -> LabError {
    LabError::NotShown(what)
}

impl Plan {
    /// Plans the lab of a definition, and of that of another engine beside it (`another` of the lab file).
    ///
    /// # Errors
    /// What of the definitions the lab cannot show, and names of the lab file that neither has.
    pub fn of(
        d: &Definition,
        other: Option<&Definition>,
        file: &LabFile,
    ) -> Result<Plan, LabError> {
        let pair = file.engines.len() == 2;
        let all: Vec<&Definition> = std::iter::once(d).chain(other).collect();
        names(&all, file)?;
        let mut nodes = attached(d, pair, file)?;
        let ours: BTreeSet<String> = nodes.iter().map(|n| n.name.clone()).collect();
        if let Some(other) = other {
            another::join(&mut nodes, attached(other, pair, file)?, other, file)?;
        }
        let others = nodes.iter().map(|n| n.name.clone());
        let others = others.filter(|n| !ours.contains(n)).collect();
        let vpns = |nodes: &[Node]| -> Vec<String> {
            let vpns = (nodes.iter()).filter(|n| n.programs.contains_key(&Program::Openvpn));
            vpns.map(|n| n.name.clone()).collect()
        };
        let vpns = vpns(&nodes);
        for (name, behind) in behind(d, file, &vpns) {
            nodes.push(Node {
                name,
                function: String::from("machine"),
                cables: Vec::new(),
                behind: Some((behind.host, [behind.address, behind.by_another].concat())),
                role: Role::End {
                    on_loopback: Vec::new(),
                    on_device: Vec::new(),
                },
                programs: served(&behind.programs, &BTreeSet::from([80])),
                tunnels: behind.tunnels,
                spreads_over: Vec::new(),
                also: None,
            });
        }
        another::spread(d, other, file, &mut nodes)?;
        let interfaces = all.iter().flat_map(|d| &d.interfaces);
        Ok(Plan {
            ports: interfaces.map(|i| i.port).collect(),
            geometry: d.geometry.name.to_string(),
            services: sent(d),
            others,
            others_services: other.map(sent).unwrap_or_default(),
            check: file.check.clone(),
            engines: engines::engines(d, other.is_some(), file)?,
            pair,
            kea: !file.kea.is_empty(),
            nodes,
        })
    }

    /// IP versions in use, `true` for 6; 4 is always there.
    pub fn families(&self) -> &'static [bool] {
        match (self.services.iter().chain(&self.others_services)).any(IpAddr::is_ipv6) {
            true => &[false, true],
            false => &[false],
        }
    }
}

/// Names of the lab file that the definition does not have.
fn names(all: &[&Definition], file: &LabFile) -> Result<(), LabError> {
    let device = |name: &str| (all.iter()).any(|d| d.devices.iter().any(|x| x.name == name));
    let host = |name: &str| (all.iter()).any(|d| d.hosts.iter().any(|x| x.name == name));
    if let Some(name) = file.programs.keys().find(|name| !device(name)) {
        return Err(not_shown(format!(
            "the lab file has programs for `{name}`, which is no device"
        )));
    }
    for (name, b) in &file.behind {
        if !device(&b.host) && !host(&b.host) {
            return Err(not_shown(format!(
                "the lab file has `{name}` behind `{}`, which is no host or device",
                b.host
            )));
        }
        if device(name) || host(name) {
            return Err(not_shown(format!(
                "`{name}` of the lab file is in the definition"
            )));
        }
        if let Some(vpn) = b.tunnels.iter().find(|t| !device(t)) {
            return Err(not_shown(format!(
                "the lab file has a tunnel to `{vpn}`, which is no device"
            )));
        }
    }
    Ok(())
}

/// The hosts and devices of a definition.
fn attached(d: &Definition, pair: bool, file: &LabFile) -> Result<Vec<Node>, LabError> {
    for i in &d.interfaces {
        if !i.vlan.0.is_empty() || matches!(i.tracking, Tracking::Tag(_)) {
            let what = "VLANs and tags are not shown: this kernel's own devices may not have them";
            return Err(not_shown(format!("interface `{}`: {what}", i.name)));
        }
    }
    let host = |host: &Host| Node {
        name: host.name.clone(),
        function: String::from("host"),
        cables: vec![cable(
            d,
            pair,
            "eth0",
            &host.name,
            &host.place,
            &host.addresses,
        )],
        behind: None,
        role: Role::Host,
        programs: BTreeMap::new(),
        tunnels: Vec::new(),
        spreads_over: Vec::new(),
        also: None,
    };
    let devices = d.devices.iter().enumerate();
    Ok(d.hosts
        .iter()
        .map(host)
        .chain(devices.map(|(number, device)| node(d, file, number, device)))
        .collect())
}

fn cable(
    d: &Definition,
    pair: bool,
    device: &str,
    attachment: &str,
    place: &Place,
    addresses: &[IpAddr],
) -> Cable {
    let interface = &d.interfaces[place.interface];
    Cable {
        device: device.to_string(),
        attachment: attachment.to_string(),
        port: interface.port,
        mac: match place.learned {
            true => made_up(attachment),
            false => place.mac.to_string(),
        },
        engine: interface.mac.to_string(),
        gateway: match pair {
            true => interface.addresses.iter().map(|(a, _)| *a).collect(),
            false => Vec::new(),
        },
        addresses: addresses.to_vec(),
    }
}

/// A MAC for a device whose MAC the daemon is to learn: the same for a name, whenever the lab is made.
fn made_up(attachment: &str) -> String {
    let hash = (attachment.bytes()).fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [a, b, c, d] = hash.to_be_bytes();
    format!("02:7e:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

fn node(d: &Definition, file: &LabFile, number: usize, device: &Device) -> Node {
    let name = &device.name;
    let pair = file.engines.len() == 2;
    let mut behind = None;
    let cables = match &device.attachments {
        Attachments::One(place) => vec![cable(d, pair, "eth0", name, place, &device.addresses)],
        Attachments::Two { outside, inside } => vec![
            cable(d, pair, "outside", &format!("{name}.outside"), outside, &[]),
            cable(
                d,
                pair,
                "inside",
                &format!("{name}.inside"),
                inside,
                &device.addresses,
            ),
        ],
        Attachments::Via(host) => {
            let host: &Host = &d.hosts[*host];
            behind = Some((host.name.clone(), device.addresses.clone()));
            Vec::new()
        }
    };
    let (role, ports) = match () {
        () if device.promiscuous => (Role::Copies, BTreeSet::new()),
        () if device.mode.is_some() => end(d, number, device.mode),
        () => (
            Role::Pass(pass(d, number, cables.len() == 2)),
            BTreeSet::new(),
        ),
    };
    let default = default_programs(device, &role, cables.len() == 2);
    let programs = file.programs.get(name).unwrap_or(&default);
    Node {
        name: name.clone(),
        function: device.function.clone(),
        programs: served(programs, &ports),
        cables,
        behind,
        role,
        tunnels: Vec::new(),
        spreads_over: Vec::new(),
        also: None,
    }
}

fn served(programs: &Programs, all: &BTreeSet<u16>) -> BTreeMap<Program, BTreeSet<u16>> {
    let ports = |named: &Vec<u16>| match named.is_empty() {
        true => all.clone(),
        false => named.iter().copied().collect(),
    };
    programs
        .iter()
        .map(|(p, named)| (*p, ports(named)))
        .collect()
}

/// What runs in a device the lab file does not name.
fn default_programs(device: &Device, role: &Role, two: bool) -> Programs {
    let program = match (role, device.function.as_str()) {
        (Role::Host, _) => return Programs::new(),
        (Role::Copies, "ids") => Program::Suricata,
        (Role::Copies, _) => Program::Tcpdump,
        (Role::End { .. }, "database") => Program::Postgresql,
        (Role::End { .. }, "proxy") => Program::Squid,
        (Role::End { .. }, _) => Program::Nginx,
        (Role::Pass(pass), "vpn") if pass.port.is_some() => Program::Openvpn,
        (Role::Pass(pass), _) if pass.port.is_some() => Program::Translate,
        (Role::Pass(_), function) if two || function == "firewall" => Program::Nftables,
        (Role::Pass(_), _) => Program::Forward,
    };
    Programs::from([(program, Vec::new())])
}

fn behind(
    d: &Definition,
    file: &LabFile,
    vpns: &[String],
) -> BTreeMap<String, crate::file::Behind> {
    if !file.behind.is_empty() {
        return file.behind.clone();
    }
    let gateways: Vec<&Host> = (d.hosts.iter().enumerate())
        .filter(|(n, _)| d.interfaces.iter().any(|i| i.gateway == Some(*n)))
        .map(|(_, h)| h)
        .collect();
    let client = |(number, host): (usize, &&Host)| {
        let mut address = CLIENT.to_vec();
        let mut name = String::from("client");
        if number > 0 {
            name = format!("client{}", number + 1);
            address = vec![IpAddr::V4(Ipv4Addr::new(198, 51, 100, 11 + number as u8))];
        }
        let behind = crate::file::Behind {
            host: host.name.clone(),
            address,
            by_another: Vec::new(),
            programs: Programs::new(),
            tunnels: if number == 0 {
                vpns.to_vec()
            } else {
                Vec::new()
            },
        };
        (name, behind)
    };
    gateways.iter().enumerate().map(client).collect()
}

fn first(ports: &Ports) -> Option<u16> {
    match ports {
        Ports::Any => None,
        Ports::Ranges(ranges) => ranges.first().map(|r| r.0),
    }
}

/// What hosts send to an engine.
fn sent(d: &Definition) -> BTreeSet<IpAddr> {
    (d.services.iter())
        .flat_map(|s| s.addresses.iter().copied())
        .chain(d.services.iter().flat_map(then_addresses))
        .collect()
}

fn then_addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    (service.sequence.iter())
        .filter_map(|e| match e {
            Element::Device { then, .. } => then.as_ref(),
            Element::Copy { .. } => None,
        })
        .flat_map(|t| t.addresses.iter().copied())
}

/// How packets pass a device, of all services it stands in.
fn pass(d: &Definition, device: usize, two: bool) -> Pass {
    let mut pass = Pass {
        enter: String::from(if two { "outside" } else { "eth0" }),
        leave: String::from(if two { "inside" } else { "eth0" }),
        ..Pass::default()
    };
    for service in &d.services {
        let mut port = first(&service.ports);
        for element in &service.sequence {
            let Element::Device {
                role, enter, then, ..
            } = element
            else {
                continue;
            };
            let next = then.as_ref().and_then(|t| t.ports.as_ref()).and_then(first);
            if role.device == device || role.alternates.contains(&device) {
                pass.pool |= !role.alternates.is_empty();
                pass.udp |= service.protocol == Protocol::Number(17);
                if two && *enter == Side::Inside {
                    (pass.enter, pass.leave) = (String::from("inside"), String::from("outside"));
                }
                match service.keyed_by {
                    KeyedBy::Client => {
                        pass.clients.extend(&service.addresses);
                        pass.source
                            .extend(then.iter().flat_map(|t| t.addresses.iter().copied()));
                    }
                    KeyedBy::Destination => pass.servers.extend(&service.addresses),
                }
                if let (None, Some(from), Some(to)) = (pass.port, port, next) {
                    pass.port = Some((from, to));
                }
            }
            port = next.or(port);
        }
    }
    pass
}

/// What a server answers on: the addresses and ports packets have when they reach it.
fn end(d: &Definition, device: usize, mode: Option<Mode>) -> (Role, BTreeSet<u16>) {
    let (mut addresses, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in &d.services {
        let mut port = first(&service.ports);
        let mut own: Vec<IpAddr> = service.addresses.clone();
        for element in &service.sequence {
            let Element::Device {
                role,
                then,
                port: seen,
                ..
            } = element
            else {
                continue;
            };
            if role.device == device || role.alternates.contains(&device) {
                if matches!(service.protocol, Protocol::Number(6) | Protocol::Any) {
                    ports.insert(seen.or(port).unwrap_or(80));
                }
                addresses.extend(own.iter().copied());
            }
            if let Some(then) = then {
                port = then.ports.as_ref().and_then(first).or(port);
                if !then.addresses.is_empty() {
                    own.clone_from(&then.addresses);
                }
            }
        }
    }
    let addresses: Vec<IpAddr> = addresses.into_iter().collect();
    let (on_loopback, on_device) = match mode {
        Some(Mode::Loopback) => (addresses, Vec::new()),
        Some(Mode::Alias) => (Vec::new(), addresses),
        _ => (Vec::new(), Vec::new()),
    };
    let role = Role::End {
        on_loopback,
        on_device,
    };
    (role, ports)
}
