//! Services as written: every value read, names resolved.

use super::acl::Acls;
use super::element::{RawElement, read_list};
use super::fields::Fields;
use super::findings::{Findings, short};
use super::network::Network;
use super::tree::{At, Kind, Node};
use super::values;
use super::{AclUse, HostId, KeyedBy, Party, Ports, Protocol, Rate, qos};
use crate::diagnostic::Span;
use seqnic_spec::wire;
use std::net::IpAddr;

/// A service before its sequence is checked. `None` where a value was reported.
#[derive(Debug)]
pub(crate) struct RawService {
    pub name: At<String>,
    pub addresses: Option<Vec<At<IpAddr>>>,
    pub protocol: Option<Protocol>,
    pub ports: Option<At<Ports>>,
    pub keyed_by: Option<KeyedBy>,
    pub from: Option<Vec<At<Party>>>,
    pub sequence: Option<At<Vec<RawElement>>>,
    pub return_way: Option<RawReturn>,
    pub exit: Option<At<HostId>>,
    pub clients: Option<At<HostId>>,
    /// `exit` or `clients` was written, known or not.
    pub says_exit: Option<Span>,
    pub says_clients: bool,
    pub dscp: Option<u8>,
    pub priority: u8,
    pub rate: Option<Rate>,
    pub acl: Vec<AclUse>,
    pub acl_default: bool,
}

#[derive(Debug)]
pub(crate) enum RawReturn {
    Mirror,
    Direct,
    List(Vec<RawElement>, Span),
}

const KEYS: [&str; 16] = [
    "address",
    "protocol",
    "port",
    "dynamic_ports",
    "keyed_by",
    "from",
    "sequence",
    "return",
    "exit",
    "clients",
    "dscp",
    "priority",
    "rate",
    "burst",
    "acl",
    "acl_default",
];

/// Reads the service `name`; `None` if it is no mapping.
pub(crate) fn read(
    f: &mut Findings,
    network: &Network,
    acls: &Acls,
    name: At<String>,
    node: &Node,
) -> Option<RawService> {
    f.check_name("service", &name);
    let owner = format!("service `{}`", name.value);
    let fields = Fields::of(f, node, owner, name.span, &KEYS)?;
    let owner = fields.owner.as_str();

    let addresses = fields
        .need(f, "address", "address: 203.0.113.13")
        .and_then(|node| {
            let what = format_args!("`address` of {owner}");
            let (found, sound) = values::addresses(f, node, what);
            sound.then_some(found)
        });
    let (protocol, ports) = protocol_and_ports(f, &fields, addresses.as_deref());
    let keyed_by = match fields.get("keyed_by") {
        None => Some(KeyedBy::Destination),
        Some(node) => {
            let options = [
                ("destination", KeyedBy::Destination),
                ("client", KeyedBy::Client),
            ];
            let what = format_args!("`keyed_by` of {owner}");
            f.choice(node, what, &options).map(|at| at.value)
        }
    };
    let from = fields.get("from").map(|node| {
        let named = values::items(node);
        if named.is_empty() {
            f.error(
                "no_value",
                format!("`from` of {owner} is an empty list, so nobody could enter"),
                node.span,
                "name the hosts and devices that may enter, or remove `from`: then anyone may who is \
                 not in the sequence",
            );
        }
        let parties = named.into_iter().filter_map(|node| {
            let name = f.text(node, format_args!("`from` of {owner}"))?;
            party(f, network, &name, owner)
        });
        parties.collect()
    });
    let sequence = match fields.get("sequence") {
        Some(node) => read_list(f, network, node, "sequence", owner).map(|list| {
            let span = fields.key_span("sequence").unwrap_or(node.span);
            At::new(list, span)
        }),
        None if fields.has("sequence") => None,
        None => Some(At::new(Vec::new(), name.span)),
    };
    let return_way = match fields.get("return") {
        None => Some(RawReturn::Mirror),
        Some(node) if matches!(node.kind, Kind::List(_)) => {
            let span = fields.key_span("return").unwrap_or(node.span);
            read_list(f, network, node, "return", owner).map(|list| RawReturn::List(list, span))
        }
        Some(node) => {
            let options = [("mirror", true), ("direct", false)];
            let what = format_args!("`return` of {owner}");
            f.choice(node, what, &options).map(|at| match at.value {
                true => RawReturn::Mirror,
                false => RawReturn::Direct,
            })
        }
    };
    let mut host = |key: &str| {
        let node = fields.get(key)?;
        let name = f.text(node, format_args!("`{key}` of {owner}"))?;
        let id = network.find_host(f, &name, format_args!("`{key}` of {owner}"))?;
        Some(At::new(id, name.span))
    };
    let (exit, clients) = (host("exit"), host("clients"));
    let dscp = values::dscp(f, &fields);
    let priority = fields.get("priority").and_then(|node| {
        let what = format_args!("`priority` of {owner}");
        qos::priority(f, node, what)
    });
    let rate = qos::rate(f, &fields);
    let (acl, acl_default) = acls.of_service(f, network, &fields);
    Some(RawService {
        addresses,
        protocol,
        ports,
        keyed_by,
        from,
        sequence,
        return_way,
        exit,
        clients,
        says_exit: fields.key_span("exit"),
        says_clients: fields.has("clients"),
        dscp,
        priority: priority.unwrap_or(0),
        rate,
        acl,
        acl_default,
        name,
    })
}

fn party(f: &mut Findings, network: &Network, name: &At<&str>, owner: &str) -> Option<At<Party>> {
    let host = network.host_names.get(name.value).map(Party::Host);
    let device = network.device_names.get(name.value).map(Party::Device);
    if let Some(party) = host.or(device) {
        return Some(At::new(party, name.span));
    }
    let names: Vec<&str> = network
        .host_names
        .iter()
        .chain(network.device_names.iter())
        .collect();
    let otherwise = "define it under `hosts:` or `devices:`";
    let help = f.instead(name.value, names.into_iter(), otherwise);
    f.error(
        "unknown_host",
        format!(
            "`from` of {owner} names `{}`, which is neither a host nor a device",
            short(name.value)
        ),
        name.span,
        help,
    );
    None
}

/// Protocol and ports. `None` for both if one of them was reported.
fn protocol_and_ports(
    f: &mut Findings,
    fields: &Fields,
    addresses: Option<&[At<IpAddr>]>,
) -> (Option<Protocol>, Option<At<Ports>>) {
    let owner = fields.owner.as_str();
    let before = f.count();
    let port = fields.get("port");
    let protocol = match fields.get("protocol") {
        Some(node) => protocol(f, node, owner, addresses),
        None if fields.has("port") => Some(Protocol::Number(wire::PROTO_TCP)),
        None if fields.has("protocol") => None,
        None => {
            f.error(
                "missing_key",
                format!("{owner} has neither `port` nor `protocol`"),
                fields.span,
                "add `port: 80` for TCP, or `protocol` with `udp`, `icmp`, `any`, ...",
            );
            None
        }
    };
    let own = port.and_then(|node| values::ports(f, node, format_args!("`port` of {owner}")));
    let dynamic = fields.get("dynamic_ports").and_then(|node| {
        let what = format_args!("`dynamic_ports` of {owner}");
        Some(At::new(values::ranges(f, node, what)?, node.span))
    });
    let Some(protocol) = protocol else {
        return (None, None);
    };
    if f.count() != before {
        return (Some(protocol), None);
    }
    if !has_ports(protocol) {
        let specific = own.filter(|p| p.value != Ports::Any).map(|p| p.span);
        if let Some(span) = specific.or(dynamic.map(|d| d.span)) {
            f.error(
                "ports_without_protocol",
                format!("{owner} has ports, but its protocol has none"),
                span,
                "remove the ports, or write `protocol: tcp`, `udp` or `sctp`",
            );
            return (Some(protocol), None);
        }
        return (Some(protocol), Some(At::new(Ports::Any, fields.span)));
    }
    let Some(own) = own else {
        if !fields.has("port") {
            f.error(
                "missing_key",
                format!("{owner} has no `port`"),
                fields.span,
                "add it, for example `port: 80`, `port: 8000-8010`, or `port: any`",
            );
        }
        return (Some(protocol), None);
    };
    let Some(dynamic) = dynamic else {
        return (Some(protocol), Some(own));
    };
    let Ports::Ranges(ranges) = own.value else {
        f.error(
            "any_and_dynamic",
            format!("{owner} has every port, and dynamic ports besides"),
            dynamic.span,
            "remove `dynamic_ports`",
        );
        return (Some(protocol), None);
    };
    let all = ranges
        .into_iter()
        .map(|range| At::new(range, own.span))
        .chain(dynamic.value)
        .collect();
    let joined = values::disjoint(f, all, format_args!("{owner}"));
    let ports = joined.map(|ranges| At::new(Ports::Ranges(ranges), own.span));
    (Some(protocol), ports)
}

pub(crate) fn has_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Number(n) if wire::has_ports(n))
}

/// A protocol by name or number. ICMP's two numbers are one protocol here, that of the family.
pub(crate) fn protocol(
    f: &mut Findings,
    node: &Node,
    owner: &str,
    addresses: Option<&[At<IpAddr>]>,
) -> Option<Protocol> {
    let what = format_args!("`protocol` of {owner}");
    let text = f.text(node, what)?;
    let named = match text.value {
        "tcp" => Some(Protocol::Number(wire::PROTO_TCP)),
        "udp" => Some(Protocol::Number(wire::PROTO_UDP)),
        "sctp" => Some(Protocol::Number(wire::PROTO_SCTP)),
        "icmp" => Some(Protocol::Icmp),
        "any" => Some(Protocol::Any),
        _ => None,
    };
    if named.is_some() {
        return named;
    }
    if text.value.is_empty() || !text.value.bytes().all(|b| b.is_ascii_digit()) {
        let names = ["tcp", "udp", "sctp", "icmp", "any"];
        let help = match f.closest(text.value, names.into_iter()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "write `tcp`, `udp`, `sctp`, `icmp`, `any` or the protocol's number, like `47` for GRE"
                .to_owned(),
        };
        f.error(
            "unknown_protocol",
            format!(
                "`protocol` of {owner} is `{}`, which is not known",
                short(text.value)
            ),
            text.span,
            help,
        );
        return None;
    }
    let number = f.number_of(&text, what, 0..=255, "protocol_range")?.value as u8;
    if number != wire::PROTO_ICMP && number != wire::PROTO_ICMPV6 {
        return Some(Protocol::Number(number));
    }
    let v4 = number == wire::PROTO_ICMP;
    let other = addresses.and_then(|a| a.iter().find(|a| a.value.is_ipv4() != v4));
    match other {
        None => Some(Protocol::Icmp),
        Some(address) => {
            f.error(
                "icmp_family",
                format!(
                    "`protocol` of {owner} is {number}, which is not ICMP for `{}`",
                    address.value
                ),
                text.span,
                "write `icmp`: it is protocol 1 for IPv4 and 58 for IPv6 addresses",
            );
            None
        }
    }
}
