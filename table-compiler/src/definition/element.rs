//! The elements of a sequence or of a return list, as written.

use super::fields::Fields;
use super::findings::Findings;
use super::network::Network;
use super::tags::TAGS;
use super::tree::{At, Kind, Node};
use super::values;
use super::{DeviceId, Directions, Pool, Ports, Side, Tag};
use crate::diagnostic::Span;
use seqnic_spec::tables::width;
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
    /// `on_failure`: whether the sequence goes on without it.
    pub open: Option<At<bool>>,
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
    pub pool: Option<Pool>,
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

const DEVICE_KEYS: [&str; 9] = [
    "device",
    "on_failure",
    "alternate",
    "buckets",
    "enter",
    "port",
    "then",
    "tracking",
    "dscp",
];
const COPY_KEYS: [&str; 8] = [
    "copy",
    "alternate",
    "buckets",
    "on_failure",
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
        open: None,
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
                    pool: None,
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
    element.open = values::on_failure(f, &fields);
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
    element.open = values::on_failure(f, &fields);
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
    let node = fields.get(key)?;
    if let Kind::List(members) = &node.kind {
        *span = node.span;
        return pool(f, network, fields, key, members);
    }
    if let Some(buckets) = fields.key_span("buckets") {
        f.error(
            "buckets_without_pool",
            format!("{what} has `buckets`, but is no pool"),
            buckets,
            format!(
                "list the devices that share the work: `{key}: [fw1, fw2]`, or remove `buckets`"
            ),
        );
    }
    let name = f.text(node, format_args!("`{key}` of {what}"));
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
        pool: None,
    })
}

/// Members of a pool at most, and what one may weigh.
const MEMBERS: usize = 64;
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=16;
const BUCKET_BITS: u32 = 8;

/// A list of devices at `key`, each for clients of its own.
fn pool(
    f: &mut Findings,
    network: &Network,
    fields: &Fields,
    key: &str,
    members: &[std::rc::Rc<Node>],
) -> Option<RawRole> {
    let what = fields.owner.as_str();
    let at = fields.get(key)?.span;
    if let Some(alternate) = fields.key_span("alternate") {
        f.error(
            "pool_with_alternate",
            format!("{what} is a pool and has an `alternate`"),
            alternate,
            "members of a pool stand in for each other: make it one of them, or remove it",
        );
    }
    if !(2..=MEMBERS).contains(&members.len()) {
        f.error(
            "pool_size",
            format!("{what} is a pool of {}", members.len()),
            at,
            format!("a pool has 2 to {MEMBERS} devices; a single one is written without brackets"),
        );
        return None;
    }
    let mut bits = BUCKET_BITS;
    if let Some(node) = fields.get("buckets") {
        let most = 1 << width::BUCKET;
        let number = f.number(
            node,
            format_args!("`buckets` of {what}"),
            2..=most,
            "bucket_range",
        )?;
        if !number.value.is_power_of_two() {
            f.error(
                "buckets_no_power",
                format!(
                    "`buckets` of {what} is {}, not a power of two",
                    number.value
                ),
                node.span,
                format!(
                    "write {} or {}",
                    number.value.next_power_of_two() / 2,
                    number.value.next_power_of_two()
                ),
            );
            return None;
        }
        bits = number.value.trailing_zeros();
    }
    let (mut devices, mut weights) = (Vec::new(), Vec::new());
    for node in members {
        let of = format_args!("a member of {what}");
        let owned = |at: At<&str>| At::new(at.value.to_owned(), at.span);
        let (name, weight) = match &node.kind {
            Kind::Map(_) => {
                let member = Fields::of(f, node, of.to_string(), node.span, &["device", "weight"])?;
                let weight = match member.get("weight") {
                    Some(node) => {
                        let what = format_args!("`weight` in {what}");
                        f.number(node, what, WEIGHTS, "weight_range")?.value as u8
                    }
                    None => 1,
                };
                let name = member.need(f, "device", "device: fw1")?;
                (owned(f.text(name, of)?), weight)
            }
            _ => (owned(f.text(node, of)?), 1),
        };
        let id = device(
            f,
            network,
            &At::new(name.value.as_str(), name.span),
            format_args!("{what}"),
        );
        devices.extend(id.map(|id| At::new(id, name.span)));
        weights.push(weight);
    }
    (devices.len() == members.len()).then(|| RawRole {
        device: devices[0].value,
        alternates: devices[1..].to_vec(),
        pool: Some(Pool { bits, weights }),
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
