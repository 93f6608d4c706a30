//! The elements of a sequence or of a return list, as written.

use super::fields::Fields;
use super::findings::Findings;
use super::network::Network;
use super::tags::TAGS;
use super::tree::{At, Kind, Node};
use super::values;
use super::{DeviceId, Directions, Ports, Side, Tag};
use crate::diagnostic::Span;
use std::net::IpAddr;

/// An element whose names are resolved, and nothing else.
#[derive(Debug)]
pub(crate) struct RawElement {
    /// The device's name.
    pub span: Span,
    /// `None`: its name is not known, or its alternates are not.
    pub role: Option<RawRole>,
    pub kind: RawKind,
    pub tracking: Option<Tag>,
    pub dscp: Option<u8>,
    /// A value of it was reported.
    pub broken: bool,
}

impl RawElement {
    /// The device that stands in it first.
    pub fn first(&self) -> Option<DeviceId> {
        self.role.as_ref().map(|role| role.device)
    }
}

#[derive(Debug)]
pub(crate) struct RawRole {
    pub device: DeviceId,
    pub alternates: Vec<At<DeviceId>>,
}

impl RawRole {
    /// The device and its alternates.
    pub fn all(&self) -> impl Iterator<Item = DeviceId> + '_ {
        std::iter::once(self.device).chain(self.alternates.iter().map(|a| a.value))
    }
}

#[derive(Debug)]
pub(crate) enum RawKind {
    Device {
        enter: Option<At<Side>>,
        port: Option<At<u16>>,
        then: Option<At<RawThen>>,
    },
    Copy {
        alerts: RawAlerts,
        directions: Option<At<Directions>>,
    },
    /// Neither, which was reported.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct RawThen {
    pub addresses: Vec<At<IpAddr>>,
    pub ports: Option<At<Ports>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum RawAlerts {
    Next,
    None,
    To(At<DeviceId>),
}

const DEVICE_KEYS: [&str; 7] = [
    "device",
    "alternate",
    "enter",
    "port",
    "then",
    "tracking",
    "dscp",
];
const COPY_KEYS: [&str; 6] = [
    "copy",
    "alternate",
    "alerts",
    "directions",
    "tracking",
    "dscp",
];

/// Reads the list at `node`, `key` of `owner`.
pub(crate) fn read_list(
    f: &mut Findings,
    network: &Network,
    node: &Node,
    key: &str,
    owner: &str,
) -> Option<Vec<RawElement>> {
    let list = match &node.kind {
        Kind::List(list) => list,
        Kind::Null => return Some(Vec::new()),
        _ => {
            f.error(
                "wrong_type",
                format!("`{key}` of {owner} is {}, not a list", node.what()),
                node.span,
                "write `[firewall, server]`, or one `- name` a line",
            );
            return None;
        }
    };
    let elements = list.iter().enumerate().map(|(n, node)| {
        let what = format!("element {} in `{key}` of {owner}", n + 1);
        read_one(f, network, node, what)
    });
    Some(elements.collect())
}

fn read_one(f: &mut Findings, network: &Network, node: &Node, what: String) -> RawElement {
    let before = f.count();
    let mut element = RawElement {
        span: node.span,
        role: None,
        kind: RawKind::Unknown,
        tracking: None,
        dscp: None,
        broken: false,
    };
    match &node.kind {
        Kind::Text(name) => {
            element.kind = RawKind::Device {
                enter: None,
                port: None,
                then: None,
            };
            let name = At::new(name.as_str(), node.span);
            element.role =
                device(f, network, &name, format_args!("{what}")).map(|device| RawRole {
                    device,
                    alternates: Vec::new(),
                });
        }
        Kind::Map(entries) => {
            let has = |key| entries.iter().any(|e| e.key.value == key);
            match (has("device"), has("copy")) {
                (true, true) => f.error(
                    "element_kind",
                    format!("{what} is a device and a copy"),
                    node.span,
                    "write two elements: `device` is passed, `copy` only gets copies",
                ),
                (false, false) => f.error(
                    "element_kind",
                    format!("{what} names no device"),
                    node.span,
                    "write `device: name` for a device that is passed, `copy: name` for one that gets copies",
                ),
                (true, false) => with_device(f, network, node, what, &mut element),
                (false, true) => with_copy(f, network, node, what, &mut element),
            }
        }
        _ => f.error(
            "wrong_type",
            format!("{what} is {}, not a device", node.what()),
            node.span,
            "write a device's name, `device: name` or `copy: name`",
        ),
    }
    element.broken = f.count() != before;
    element
}

fn with_device(
    f: &mut Findings,
    network: &Network,
    node: &Node,
    what: String,
    element: &mut RawElement,
) {
    let Some(fields) = Fields::of(f, node, what, node.span, &DEVICE_KEYS) else {
        return;
    };
    let what = fields.owner.as_str();
    element.role = role(f, network, &fields, "device", &mut element.span);
    element.tracking = tracking(f, &fields);
    element.dscp = values::dscp(f, &fields);
    let enter = fields.get("enter").and_then(|node| {
        let options = [("outside", Side::Outside), ("inside", Side::Inside)];
        f.choice(node, format_args!("`enter` of {what}"), &options)
    });
    let port = fields.get("port").and_then(|node| {
        let what = format_args!("`port` of {what}");
        f.number(node, what, 1..=65535, "port_number_range")
            .map(|at| At::new(at.value as u16, at.span))
    });
    let then = fields.get("then").and_then(|node| {
        let owner = format!("`then` of {what}");
        let then = Fields::of(f, node, owner, node.span, &["address", "port"])?;
        let mut addresses = Vec::new();
        if let Some(node) = then.get("address") {
            let what = format_args!("`address` in {}", then.owner);
            addresses = values::addresses(f, node, what).0;
            values::one_of_each_family(f, &addresses, what);
        }
        let ports = match then.get("port") {
            Some(node) => Some(values::ports(
                f,
                node,
                format_args!("`port` in {}", then.owner),
            )?),
            None => None,
        };
        let span = fields.key_span("then").unwrap_or(node.span);
        Some(At::new(RawThen { addresses, ports }, span))
    });
    element.kind = RawKind::Device { enter, port, then };
}

fn with_copy(
    f: &mut Findings,
    network: &Network,
    node: &Node,
    what: String,
    element: &mut RawElement,
) {
    let Some(fields) = Fields::of(f, node, what, node.span, &COPY_KEYS) else {
        return;
    };
    let what = fields.owner.as_str();
    element.role = role(f, network, &fields, "copy", &mut element.span);
    element.tracking = tracking(f, &fields);
    element.dscp = values::dscp(f, &fields);
    let alerts = match fields.get("alerts") {
        None => RawAlerts::Next,
        Some(node) => match f.text(node, format_args!("`alerts` of {what}")) {
            Some(at) if at.value == "next" => RawAlerts::Next,
            Some(at) if at.value == "none" => RawAlerts::None,
            Some(at) => device(f, network, &at, format_args!("`alerts` of {what}"))
                .map_or(RawAlerts::Next, |id| RawAlerts::To(At::new(id, at.span))),
            None => RawAlerts::Next,
        },
    };
    let directions = fields.get("directions").and_then(|node| {
        let options = [
            ("both", Directions::Both),
            ("forward", Directions::Forward),
            ("return", Directions::Return),
        ];
        f.choice(node, format_args!("`directions` of {what}"), &options)
    });
    element.kind = RawKind::Copy { alerts, directions };
}

/// The tag that an element's packets are known by, whatever the interface says.
fn tracking(f: &mut Findings, fields: &Fields) -> Option<Tag> {
    let what = format_args!("`tracking` of {}", fields.owner);
    let found = f.choice(fields.get("tracking")?, what, &TAGS);
    found.map(|at| at.value)
}

/// The device at `key` with its alternates; `span` becomes the device's name.
fn role(
    f: &mut Findings,
    network: &Network,
    fields: &Fields,
    key: &str,
    span: &mut Span,
) -> Option<RawRole> {
    let what = fields.owner.as_str();
    let name = f.text(fields.get(key)?, format_args!("`{key}` of {what}"));
    if let Some(name) = &name {
        *span = name.span;
    }
    let primary = name.and_then(|name| device(f, network, &name, format_args!("{what}")));
    let mut alternates = Vec::new();
    let mut known = true;
    for node in fields.get("alternate").map_or_else(Vec::new, values::items) {
        let found = f
            .text(node, format_args!("`alternate` of {what}"))
            .and_then(|name| {
                let id = device(f, network, &name, format_args!("`alternate` of {what}"))?;
                Some(At::new(id, name.span))
            });
        known &= found.is_some();
        alternates.extend(found);
    }
    known.then_some(RawRole {
        device: primary?,
        alternates,
    })
}

fn device(
    f: &mut Findings,
    network: &Network,
    name: &At<&str>,
    what: std::fmt::Arguments,
) -> Option<DeviceId> {
    let known = network.device_names.get(name.value);
    if known.is_none() && network.host_names.get(name.value).is_some() {
        f.error(
            "unknown_device",
            format!("{what} names `{}`, which is a host", name.value),
            name.span,
            "only devices stand in a sequence: define it under `devices:`, or use `from`, `exit` or \
             `clients` for hosts",
        );
        return None;
    }
    f.resolve("device", "devices", &network.device_names, name, what)
}
