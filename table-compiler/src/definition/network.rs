//! Interfaces, hosts and devices.

use super::fields::Fields;
use super::findings::{Findings, Names};
use super::tree::{At, Node};
use super::{
    Attachments, Device, Host, HostId, Interface, Mac, Mode, Place, State, TagBases, Tracking, Vlan,
};
use super::{tags, values};
use crate::diagnostic::Span;
use seqnic_spec::wire::MAX_FRAME_BYTES;

/// A thing that was read. If `broken`, an error about it was reported, parts of `value` are
/// placeholders, and nothing that depends on it is checked.
#[derive(Debug)]
pub(crate) struct Draft<T> {
    pub value: T,
    pub broken: bool,
}

/// What is said about a device beyond [`Device`], for messages and defaults.
#[derive(Debug)]
pub(crate) struct DeviceNotes {
    pub promiscuous: Option<At<bool>>,
    pub mode: Option<Span>,
    pub state: Option<Span>,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    pub interfaces: Vec<Draft<Interface>>,
    pub hosts: Vec<Draft<Host>>,
    pub devices: Vec<Draft<Device>>,
    pub notes: Vec<DeviceNotes>,
    pub interface_names: Names,
    pub host_names: Names,
    pub device_names: Names,
    /// Gateway of each interface, by interface.
    gateways: Vec<Option<At<String>>>,
    /// A gateway was named that is not known.
    pub unknown_gateway: bool,
    /// MACs that are to be learned.
    unknown_macs: std::cell::Cell<u32>,
}

const PLACE_KEYS: [&str; 4] = ["interface", "mac", "vlan", "address"];

/// MTUs: what every IPv4 link takes (RFC 791 section 3.2), and the longest frame without its Ethernet
/// header.
const MTU: std::ops::RangeInclusive<u64> = 68..=MAX_FRAME_BYTES as u64 - 14;

/// Port of an interface that was not read.
const NO_PORT: u8 = u8::MAX;

impl Network {
    /// Reads the three sections; `ports` is how many the card has.
    pub fn read(f: &mut Findings, top: &Fields, geometry: Option<(&str, u32)>) -> Network {
        let mut network = Network::default();
        if let Some(node) = top.need(
            f,
            "interfaces",
            "interfaces: {i0: {port: 0, mac: 02:01:00:00:00:01}}",
        ) {
            let like = "i0: { port: 0, mac: 02:01:00:00:00:01 }";
            for (name, node) in f.map(node, format_args!("`interfaces`"), like) {
                network.interface(f, name, node, geometry);
            }
        }
        // Names first: devices and hosts may name hosts that stand below them.
        let hosts = top.get("hosts").map_or_else(Vec::new, |node| {
            let like = "router: { interface: i0, mac: 02:05:00:00:00:05 }";
            f.map(node, format_args!("`hosts`"), like)
        });
        let devices = top.get("devices").map_or_else(Vec::new, |node| {
            let like =
                "ids: { function: ids, attachment: { interface: i1, mac: 02:09:00:00:00:09 } }";
            f.map(node, format_args!("`devices`"), like)
        });
        for (name, _) in &hosts {
            network.host_names.insert(name);
        }
        for (name, _) in &devices {
            network.device_names.insert(name);
        }
        for (name, node) in hosts {
            network.host(f, name, node);
        }
        for (name, node) in devices {
            network.device(f, name, node);
        }
        network.link_gateways(f);
        network
    }

    fn interface(
        &mut self,
        f: &mut Findings,
        name: At<String>,
        node: &Node,
        geometry: Option<(&str, u32)>,
    ) {
        let before = f.count();
        f.check_name("interface", &name);
        self.interface_names.insert(&name);
        let mut value = Interface {
            name: name.value.clone(),
            port: NO_PORT,
            vlan: Vlan::default(),
            mac: Mac([0; 6]),
            addresses: Vec::new(),
            gateway: None,
            promiscuous: false,
            tracking: Tracking::default(),
            tunnels: Vec::new(),
            tag_bases: TagBases::default(),
            mtu: None,
            trust: false,
            attached: None,
            span: name.span,
        };
        let mut gateway = None;
        let keys = [
            "port",
            "mac",
            "vlan",
            "address",
            "netmask",
            "gateway",
            "promiscuous",
            "tracking",
            "tunnel",
            "tags",
            "mtu",
            "trust",
            "attached",
        ];
        let owner = format!("interface `{}`", name.value);
        if let Some(fields) = Fields::of(f, node, owner, name.span, &keys) {
            let owner = fields.owner.as_str();
            if let Some(node) = fields.need(f, "port", "port: 0") {
                let what = format_args!("`port` of {owner}");
                let last = geometry.map_or(14, |(_, ports)| u64::from(ports.saturating_sub(1)));
                if let Some(port) = f.number(node, what, 0..=last, "no_such_port") {
                    value.port = port.value as u8;
                }
            }
            if let Some(node) = fields.need(f, "mac", "mac: 02:01:00:00:00:01")
                && let Some(mac) = values::mac(f, node, format_args!("`mac` of {owner}"))
            {
                value.mac = mac.value;
            }
            if let Some(node) = fields.get("vlan")
                && let Some(vlan) = values::vlan(f, node, format_args!("`vlan` of {owner}"))
            {
                value.vlan = vlan.value;
            }
            value.addresses =
                values::interface_addresses(f, fields.get("address"), fields.get("netmask"), owner)
                    .into_iter()
                    .map(|a| a.value)
                    .collect();
            if let Some(node) = fields.get("gateway") {
                gateway = f
                    .text(node, format_args!("`gateway` of {owner}"))
                    .map(|at| At::new(at.value.to_owned(), at.span));
            }
            if let Some(node) = fields.get("promiscuous")
                && let Some(at) = f.boolean(node, format_args!("`promiscuous` of {owner}"))
            {
                value.promiscuous = at.value;
            }
            if let Some(node) = fields.get("tracking") {
                let mut options = vec![
                    ("source-mac", Tracking::SourceMac),
                    ("segment", Tracking::Segment),
                    ("mac", Tracking::SourceMac),
                    ("interface", Tracking::Segment),
                ];
                let tags = tags::TAGS.iter();
                options.extend(tags.map(|(name, tag)| (*name, Tracking::Tag(*tag))));
                let what = format_args!("`tracking` of {owner}");
                if let Some(at) = f.choice(node, what, &options) {
                    value.tracking = at.value;
                }
            }
            if let Some(node) = fields.get("tunnel") {
                value.tunnels = tags::tunnels(f, node, owner);
            }
            if let Some(node) = fields.get("tags")
                && let Some(bases) = tags::bases(f, node, owner)
            {
                value.tag_bases = bases;
            }
            if let Some(node) = fields.get("mtu") {
                let what = format_args!("`mtu` of {owner}");
                value.mtu = f
                    .number(node, what, MTU, "mtu_range")
                    .map(|at| at.value as u16);
            }
            if let Some(node) = fields.get("trust")
                && let Some(at) = f.boolean(node, format_args!("`trust` of {owner}"))
            {
                value.trust = at.value;
            }
            value.attached = optional_text(f, &fields, "attached");
        }
        let broken = f.count() != before;
        self.interfaces.push(Draft { value, broken });
        self.gateways.push(gateway);
    }

    fn host(&mut self, f: &mut Findings, name: At<String>, node: &Node) {
        let before = f.count();
        f.check_name("host", &name);
        if let Some(device) = self.device_names.span(&name.value) {
            f.push(
                crate::diagnostic::Diagnostic::new(
                    "name_of_two",
                    format!("`{}` is a host and a device", name.value),
                    name.span,
                    "counters and messages name both by their name alone: rename one of them",
                )
                .also(device, "the device"),
            );
        }
        let owner = format!("host `{}`", name.value);
        let keys = ["interface", "mac", "vlan", "address"];
        let mut addresses = Vec::new();
        let mut place = None;
        if let Some(fields) = Fields::of(f, node, owner, name.span, &keys) {
            place = self.place(f, &fields);
            addresses = own_addresses(f, &fields);
            if let Some(place) = &place {
                self.learnable(f, place, &addresses, &fields.owner);
            }
        }
        let broken = place.is_none() || f.count() != before;
        let value = Host {
            name: name.value,
            place: place.unwrap_or_else(|| nowhere(name.span)),
            addresses,
            span: name.span,
        };
        self.hosts.push(Draft { value, broken });
    }

    fn device(&mut self, f: &mut Findings, name: At<String>, node: &Node) {
        let before = f.count();
        f.check_name("device", &name);
        let mut value = Device {
            name: name.value.clone(),
            function: String::new(),
            vendor: None,
            model: None,
            attachments: Attachments::One(nowhere(name.span)),
            mode: None,
            addresses: Vec::new(),
            tunnel: None,
            promiscuous: false,
            state: State::Up,
            open: false,
            span: name.span,
        };
        let mut notes = DeviceNotes {
            promiscuous: None,
            mode: None,
            state: None,
        };
        let keys = [
            "function",
            "vendor",
            "model",
            "attachments",
            "attachment",
            "via",
            "mode",
            "address",
            "tunnel",
            "promiscuous",
            "state",
            "on_failure",
        ];
        let owner = format!("device `{}`", name.value);
        let mut broken = true;
        if let Some(fields) = Fields::of(f, node, owner, name.span, &keys) {
            let owner = fields.owner.as_str();
            if let Some(node) = fields.need(f, "function", "function: firewall")
                && let Some(at) = f.text(node, format_args!("`function` of {owner}"))
            {
                value.function = at.value.to_owned();
            }
            value.vendor = optional_text(f, &fields, "vendor");
            value.model = optional_text(f, &fields, "model");
            let attachments = self.attachments(f, &fields);
            broken = attachments.is_none();
            if let Some(attachments) = attachments {
                value.attachments = attachments;
            }
            if let Some(node) = fields.get("mode") {
                let options = [
                    ("loopback", Mode::Loopback),
                    ("alias", Mode::Alias),
                    ("nat", Mode::Nat),
                ];
                notes.mode = Some(node.span);
                let mode = f.choice(node, format_args!("`mode` of {owner}"), &options);
                value.mode = mode.map(|at| at.value);
            }
            value.addresses = own_addresses(f, &fields);
            match &value.attachments {
                Attachments::One(place) if !broken => {
                    self.learnable(f, place, &value.addresses, owner);
                }
                Attachments::Two { outside, inside } => {
                    self.learnable(f, outside, &value.addresses, owner);
                    self.learnable(f, inside, &[], &format!("the inside of {owner}"));
                }
                _ => {}
            }
            if let Some(node) = fields.get("tunnel") {
                value.tunnel = tags::tunnel(f, node, owner);
            }
            if let Some(node) = fields.get("promiscuous") {
                notes.promiscuous = f.boolean(node, format_args!("`promiscuous` of {owner}"));
            }
            if let Some(node) = fields.get("state") {
                let options = [("up", State::Up), ("failed", State::Failed)];
                notes.state = Some(node.span);
                if let Some(at) = f.choice(node, format_args!("`state` of {owner}"), &options) {
                    value.state = at.value;
                }
            }
            if let Some(at) = values::on_failure(f, &fields) {
                value.open = at.value;
            }
            if let Some(via) = fields.get("via")
                && f.count() == before
            {
                via_needs_nat(f, &value, via.span, owner);
            }
        }
        broken |= f.count() != before;
        self.devices.push(Draft { value, broken });
        self.notes.push(notes);
    }

    /// Exactly one of `attachment`, `attachments` and `via`.
    fn attachments(&self, f: &mut Findings, fields: &Fields) -> Option<Attachments> {
        let forms = ["attachment", "attachments", "via"];
        let said: Vec<&str> = forms.into_iter().filter(|k| fields.has(k)).collect();
        let owner = fields.owner.as_str();
        match said[..] {
            [] => {
                f.error(
                    "no_attachment",
                    format!("{owner} is attached nowhere"),
                    fields.span,
                    "add `attachment: { interface: i1, mac: 02:06:00:00:00:06 }`; for a device between \
                     two networks `attachments: { outside: {...}, inside: {...} }`; for a NAT server \
                     behind a router `via: <host>`",
                );
                None
            }
            ["attachment"] => {
                let node = fields.get("attachment")?;
                let owner = format!("`attachment` of {owner}");
                let fields = Fields::of(f, node, owner, node.span, &PLACE_KEYS)?;
                self.place(f, &fields).map(Attachments::One)
            }
            ["attachments"] => {
                let node = fields.get("attachments")?;
                let owner = format!("`attachments` of {owner}");
                let both = Fields::of(f, node, owner, node.span, &["outside", "inside"])?;
                let mut side = |key: &str| {
                    let like = format!("{key}: {{ interface: i1, mac: 02:06:00:00:00:06 }}");
                    let node = both.need(f, key, &like)?;
                    let owner = format!("`{key}` of {}", fields.owner);
                    let fields = Fields::of(f, node, owner, node.span, &PLACE_KEYS)?;
                    self.place(f, &fields)
                };
                let (outside, inside) = (side("outside"), side("inside"));
                Some(Attachments::Two {
                    outside: outside?,
                    inside: inside?,
                })
            }
            ["via"] => {
                let node = fields.get("via")?;
                let name = f.text(node, format_args!("`via` of {owner}"))?;
                let what = format_args!("`via` of {owner}");
                f.resolve("host", "hosts", &self.host_names, &name, what)
                    .map(Attachments::Via)
            }
            _ => {
                let second = fields.key_span(said[1]).unwrap_or(fields.span);
                f.error(
                    "two_attachment_forms",
                    format!("{owner} has `{}` and `{}`", said[0], said[1]),
                    second,
                    "keep one: `attachment` for a device with one attachment, `attachments` for one with \
                     two, `via` for a server that is reached by its address",
                );
                None
            }
        }
    }

    /// `interface`, `mac` and `vlan` of something attached. The VLAN is the interface's unless said.
    fn place(&self, f: &mut Findings, fields: &Fields) -> Option<Place> {
        let owner = fields.owner.as_str();
        let interface = match fields.need(f, "interface", "interface: i0") {
            Some(node) => f
                .text(node, format_args!("`interface` of {owner}"))
                .and_then(|name| {
                    let what = format_args!("`interface` of {owner}");
                    let names = &self.interface_names;
                    f.resolve("interface", "interfaces", names, &name, what)
                }),
            None => None,
        };
        let mac = match fields.get("mac") {
            Some(node) => values::mac(f, node, format_args!("`mac` of {owner}")),
            None => {
                let number = self.unknown_macs.get();
                self.unknown_macs.set(number + 1);
                Some(At::new(Mac::unknown(number), fields.span))
            }
        };
        // A host's are its own.
        let address = match fields.get("address").filter(|_| !owner.starts_with("host")) {
            Some(node) => {
                let what = format_args!("`address` of {owner}");
                let (found, _) = values::addresses(f, node, what);
                found.first().map(|at| at.value)
            }
            None => None,
        };
        let own = match fields.get("vlan") {
            Some(node) => Some(values::vlan(f, node, format_args!("`vlan` of {owner}"))?),
            None => None,
        };
        let (interface, mac) = (interface?, mac?);
        let vlan = match own {
            Some(at) => at.value,
            None => self.interfaces.get(interface)?.value.vlan.clone(),
        };
        Some(Place {
            interface,
            vlan,
            mac: mac.value,
            learned: !mac.value.is_known(),
            address,
            span: mac.span,
        })
    }

    /// A MAC that is left out is learned by an address on a network of the interface.
    fn learnable(&self, f: &mut Findings, place: &Place, own: &[std::net::IpAddr], owner: &str) {
        let by: Vec<_> = place
            .address
            .into_iter()
            .chain(own.iter().copied())
            .collect();
        if !place.learned {
            return;
        }
        let Some(interface) = self.interfaces.get(place.interface) else {
            return;
        };
        if by.is_empty() {
            f.error(
                "mac_without_address",
                format!("{owner} has no `mac`, and no address to learn it by"),
                place.span,
                "add `mac: 02:05:00:00:00:05`; or `address`, the one it has on this interface",
            );
            return;
        }
        let networks = || interface.value.addresses.iter();
        let near = |address: &std::net::IpAddr| {
            networks().any(|(own, bits)| {
                let bits = *bits;
                let network = super::Prefix {
                    address: *own,
                    bits,
                };
                let address = super::Prefix {
                    address: *address,
                    bits,
                };
                own.is_ipv4() == address.address.is_ipv4() && network.first() == address.first()
            })
        };
        if !interface.broken && !by.iter().any(near) {
            f.error(
                "mac_out_of_reach",
                format!(
                    "the MAC of {owner} cannot be learned: none of its addresses is in a network of interface `{}`",
                    interface.value.name
                ),
                place.span,
                "add `mac`; or give the interface an address with the length of that network: `address: 192.0.2.1/24`",
            );
        }
    }

    fn link_gateways(&mut self, f: &mut Findings) {
        for (id, gateway) in std::mem::take(&mut self.gateways).into_iter().enumerate() {
            let Some(gateway) = gateway else { continue };
            let name = At::new(gateway.value.as_str(), gateway.span);
            let owner = format!("interface `{}`", self.interface_names.name(id));
            let what = format_args!("`gateway` of {owner}");
            let Some(host) = f.resolve("host", "hosts", &self.host_names, &name, what) else {
                self.unknown_gateway = true;
                continue;
            };
            self.interfaces[id].value.gateway = Some(host);
            let at = &self.hosts[host];
            if !at.broken && at.value.place.interface != id {
                let there = self.interface_names.name(at.value.place.interface);
                f.push(
                    crate::diagnostic::Diagnostic::new(
                        "gateway_elsewhere",
                        format!(
                            "the gateway of {owner} is `{}`, which is on interface `{there}`",
                            gateway.value
                        ),
                        gateway.span,
                        format!("name a host on this interface, or say `gateway` at `{there}`"),
                    )
                    .also(at.value.span, "the host"),
                );
            }
        }
    }

    /// Host called `name`.
    pub fn find_host(
        &self,
        f: &mut Findings,
        name: &At<&str>,
        what: std::fmt::Arguments,
    ) -> Option<HostId> {
        if self.host_names.get(name.value).is_none() && self.device_names.get(name.value).is_some()
        {
            f.error(
                "unknown_host",
                format!("{what} names `{}`, which is a device", name.value),
                name.span,
                "name a host; a router or client that is no device stands under `hosts:`",
            );
            return None;
        }
        f.resolve("host", "hosts", &self.host_names, name, what)
    }
}

fn nowhere(span: Span) -> Place {
    Place {
        interface: 0,
        vlan: Vlan::default(),
        mac: Mac([0; 6]),
        learned: false,
        address: None,
        span,
    }
}

fn optional_text(f: &mut Findings, fields: &Fields, key: &str) -> Option<String> {
    let node = fields.get(key)?;
    let text = f.text(node, format_args!("`{key}` of {}", fields.owner))?;
    Some(text.value.to_owned())
}

/// `address` of a host or device: at most one of each family for a device.
fn own_addresses(f: &mut Findings, fields: &Fields) -> Vec<std::net::IpAddr> {
    let Some(node) = fields.get("address") else {
        return Vec::new();
    };
    let (found, _) = values::addresses(f, node, format_args!("`address` of {}", fields.owner));
    if fields.owner.starts_with("device") {
        let what = format_args!("`address` of {}", fields.owner);
        values::one_of_each_family(f, &found, what);
    }
    found.into_iter().map(|a| a.value).collect()
}

fn via_needs_nat(f: &mut Findings, device: &Device, span: Span, owner: &str) {
    if device.mode != Some(Mode::Nat) {
        f.error(
            "via_without_nat",
            format!("{owner} has `via`, but not `mode: nat`"),
            span,
            "routers send by destination address, so only a server in NAT mode can be reached through \
             one: write `mode: nat`, or attach the device",
        );
    } else if device.addresses.is_empty() {
        f.error(
            "via_without_address",
            format!("{owner} has `via`, but no address to be reached by"),
            span,
            "add `address`, the server's own",
        );
    }
}
