//! Rule sets as written, and which of them a service asks.

use super::fields::Fields;
use super::findings::{Findings, Names, short};
use super::network::Network;
use super::service::{has_ports, protocol};
use super::tree::{At, Kind, Node};
use super::values;
use super::{Acl, AclUse, Directions, Ports, Prefix, Protocol, Rule};
use seqnic_spec::wire::{MAX_FRAME_BYTES, PROTO_TCP};
use std::net::IpAddr;

const KEYS: [&str; 12] = [
    "name",
    "client",
    "server",
    "protocol",
    "client_port",
    "port",
    "flags",
    "size",
    "direction",
    "action",
    "route",
    "count",
];

/// TCP flags by name, lowest bit first (RFC 9293 section 3.1).
const FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

/// What a rule may not be called: counters call the default of a service so.
pub const DEFAULT: &str = "default";

/// Stands in the name of a rule of one client, between the name of the rule it is of and the client. No name has it.
pub const CLIENT_MARK: char = '@';

/// The rule sets of a definition.
#[derive(Debug, Default)]
pub(crate) struct Acls {
    pub list: Vec<Acl>,
    names: Names,
}

impl Acls {
    /// Reads `acls` of the top.
    pub fn read(f: &mut Findings, network: &Network, top: &Fields) -> Acls {
        let mut acls = Acls::default();
        let Some(node) = top.get("acls") else {
            return acls;
        };
        let like = "office: [{ client: 198.51.100.0/24, action: permit }]";
        for (name, node) in f.map(node, format_args!("`acls`"), like) {
            f.check_name("rule set", &name);
            let owner = format!("rule set `{}`", name.value);
            let mut rules: Vec<Rule> = Vec::new();
            for (place, node) in values::items(node).into_iter().enumerate() {
                rules.extend(rule(f, network, node, place + 1, &owner));
            }
            twice(f, &rules, &owner);
            acls.names.insert(&name);
            acls.list.push(Acl {
                name: name.value,
                rules,
                span: name.span,
            });
        }
        acls
    }

    /// Reads `acl` and `acl_default` of a service: what it asks, and whether it permits the rest.
    pub fn of_service(
        &self,
        f: &mut Findings,
        network: &Network,
        fields: &Fields,
    ) -> (Vec<AclUse>, bool) {
        let owner = fields.owner.as_str();
        let uses = match fields.get("acl") {
            None => Vec::new(),
            Some(node) => {
                let items = values::items(node);
                if items.is_empty() {
                    f.error(
                        "no_value",
                        format!("`acl` of {owner} is an empty list"),
                        node.span,
                        "name the rule sets to be asked, or remove `acl`: then every packet is permitted",
                    );
                }
                let uses = items.into_iter();
                uses.filter_map(|n| self.one(f, network, n, owner))
                    .collect()
            }
        };
        let default = fields.get("acl_default").and_then(|node| {
            if !fields.has("acl") {
                f.error(
                    "default_without_acl",
                    format!("{owner} has `acl_default`, but no `acl`"),
                    node.span,
                    "name the rule sets to be asked first with `acl`, or remove `acl_default`",
                );
            }
            let what = format_args!("`acl_default` of {owner}");
            f.choice(node, what, &ACTIONS)
        });
        (uses, default.is_some_and(|at| at.value))
    }

    fn one(&self, f: &mut Findings, network: &Network, node: &Node, owner: &str) -> Option<AclUse> {
        let Kind::Map(_) = node.kind else {
            let name = f.text(node, format_args!("`acl` of {owner}"))?;
            let acl = self.find(f, &name, owner)?;
            return Some(AclUse {
                acl,
                interfaces: None,
            });
        };
        let about = format!("`acl` of {owner}");
        let fields = Fields::of(f, node, about, node.span, &["set", "interfaces"])?;
        let set = fields.need(f, "set", "set: office")?;
        let name = f.text(set, format_args!("`set` in {}", fields.owner))?;
        let acl = self.find(f, &name, owner)?;
        let interfaces = match fields.get("interfaces") {
            None => None,
            Some(node) => {
                let mut found = Vec::new();
                for node in values::items(node) {
                    let what = format_args!("`interfaces` in `acl` of {owner}");
                    let name = f.text(node, what)?;
                    found.push(f.resolve(
                        "interface",
                        "interfaces",
                        &network.interface_names,
                        &name,
                        what,
                    )?);
                }
                if found.is_empty() {
                    f.error(
                        "no_value",
                        format!("`interfaces` in `acl` of {owner} is an empty list"),
                        node.span,
                        "name the interfaces packets arrive on, or remove the key: then it is asked on all",
                    );
                }
                found.sort_unstable();
                found.dedup();
                Some(found)
            }
        };
        Some(AclUse { acl, interfaces })
    }

    fn find(&self, f: &mut Findings, name: &At<&str>, owner: &str) -> Option<usize> {
        let found = self.names.get(name.value);
        if found.is_none() {
            let help = f.instead(name.value, self.names.iter(), "define it under `acls:`");
            f.error(
                "unknown_acl",
                format!(
                    "`acl` of {owner} names rule set `{}`, which is not defined",
                    short(name.value)
                ),
                name.span,
                help,
            );
        }
        found
    }
}

const ACTIONS: [(&str, bool); 2] = [("permit", true), ("deny", false)];

/// Reads one rule; `place` counts from 1. One that counts its clients is as many rules as it names.
fn rule(f: &mut Findings, network: &Network, node: &Node, place: usize, set: &str) -> Vec<Rule> {
    let Some((rule, each)) = whole_rule(f, network, node, place, set) else {
        return Vec::new();
    };
    if !each {
        return vec![rule];
    }
    let one = |client: &Prefix| Rule {
        name: format!("{}{CLIENT_MARK}{client}", rule.name),
        client: vec![*client],
        ..rule.clone()
    };
    rule.client.iter().map(one).collect()
}

/// A rule as it is written, and whether each client it names counts for itself.
fn whole_rule(
    f: &mut Findings,
    network: &Network,
    node: &Node,
    place: usize,
    set: &str,
) -> Option<(Rule, bool)> {
    let owner = format!("rule {place} of {set}");
    let fields = Fields::of(f, node, owner, node.span, &KEYS)?;
    let owner = fields.owner.as_str();
    let before = f.count();
    let name = fields.get("name").and_then(|node| {
        let text = f.text(node, format_args!("`name` of {owner}"))?;
        let name = At::new(text.value.to_owned(), text.span);
        f.check_name("rule", &name);
        if name.value == DEFAULT {
            f.error(
                "reserved_name",
                format!("{owner} is called `{DEFAULT}`"),
                name.span,
                "counters call packets that no rule holds `default`; use another name",
            );
        }
        Some(name.value)
    });
    let prefixes = |f: &mut Findings, key: &str| match fields.get(key) {
        None => Vec::new(),
        Some(node) => prefixes(f, node, format_args!("`{key}` of {owner}")),
    };
    let (client, server) = (prefixes(f, "client"), prefixes(f, "server"));
    families(f, &fields, &client, &server);
    let protocol = match fields.get("protocol") {
        None => Some(Protocol::Any),
        Some(node) => protocol(f, node, owner, None),
    };
    let ports = |f: &mut Findings, key: &str| {
        let node = fields.get(key)?;
        let ports = values::ports(f, node, format_args!("`{key}` of {owner}"))?;
        if protocol.is_some_and(|p| !has_ports(p)) && ports.value != Ports::Any {
            f.error(
                "ports_without_protocol",
                format!("{owner} has `{key}`, but its protocol has no ports"),
                node.span,
                "add `protocol: tcp`, `udp` or `sctp`, or remove the ports",
            );
        }
        Some(ports.value)
    };
    let client_port = ports(f, "client_port").unwrap_or(Ports::Any);
    let port = ports(f, "port").unwrap_or(Ports::Any);
    let flags = fields.get("flags").and_then(|node| {
        if protocol.is_some_and(|p| p != Protocol::Number(PROTO_TCP)) {
            f.error(
                "flags_without_tcp",
                format!("{owner} has `flags`, but is not of TCP"),
                node.span,
                "add `protocol: tcp`, or remove `flags`",
            );
        }
        flags(f, node, owner)
    });
    let size = fields.get("size").and_then(|node| size(f, node, owner));
    let direction = fields.get("direction").and_then(|node| {
        let options = [
            ("both", Directions::Both),
            ("forward", Directions::Forward),
            ("return", Directions::Return),
        ];
        f.choice(node, format_args!("`direction` of {owner}"), &options)
    });
    let route = fields.get("route").and_then(|node| {
        let name = f.text(node, format_args!("`route` of {owner}"))?;
        let host = network.find_host(f, &name, format_args!("`route` of {owner}"))?;
        Some(At::new(host, name.span))
    });
    let action = match fields.get("action") {
        Some(node) => f.choice(node, format_args!("`action` of {owner}"), &ACTIONS),
        None if fields.has("route") => Some(At::new(true, node.span)),
        None => {
            fields.need(f, "action", "action: permit");
            None
        }
    };
    if let (Some(action), Some(route)) = (&action, &route)
        && !action.value
    {
        f.error(
            "route_of_denied",
            format!("{owner} denies packets and says where they go"),
            route.span,
            "write `action: permit`, or remove `route`",
        );
    }
    let each = fields.get("count").and_then(|node| {
        let options = [("rule", false), ("client", true)];
        let each = f.choice(node, format_args!("`count` of {owner}"), &options)?;
        if each.value && client.is_empty() {
            f.error(
                "count_without_client",
                format!("{owner} counts by client, but names none"),
                node.span,
                "name its clients with `client`, or remove `count`: all of its packets count together then",
            );
        }
        if each.value {
            same_client(f, &client, node, owner);
        }
        Some(each.value)
    });
    (f.count() == before).then_some(())?;
    let rule = Rule {
        name: name.unwrap_or_else(|| place.to_string()),
        client,
        server,
        protocol: protocol?,
        client_port,
        port,
        flags,
        size,
        direction: direction.map_or(Directions::Both, |at| at.value),
        permit: action?.value,
        route: route.map(|at| at.value),
        span: node.span,
    };
    Some((rule, each.unwrap_or(false)))
}

/// Counts of one client would be one count under two rules.
fn same_client(f: &mut Findings, client: &[Prefix], node: &Node, owner: &str) {
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = client.iter().find(|c| !seen.insert(**c)) {
        f.error(
            "client_twice",
            format!("{owner} counts by client and names `{twice}` twice"),
            node.span,
            "name each client once",
        );
    }
}

/// Two rules of one name would be counted as one.
fn twice(f: &mut Findings, rules: &[Rule], owner: &str) {
    let mut names = std::collections::HashMap::new();
    for rule in rules {
        if let Some(first) = names.insert(rule.name.as_str(), rule.span) {
            f.push(
                crate::diagnostic::Diagnostic::new(
                    "rule_twice",
                    format!("{owner} has two rules called `{}`", rule.name),
                    rule.span,
                    "counters know a rule by its name, or its place where it has none: give one of them another `name`",
                )
                .also(first, "the other"),
            );
        }
    }
}

/// `address` or `address/length`, or a list of them.
fn prefixes(f: &mut Findings, node: &Node, what: std::fmt::Arguments) -> Vec<Prefix> {
    let mut found = Vec::new();
    for item in values::items(node) {
        let Some(text) = f.text(item, what) else {
            continue;
        };
        let (address, length) = match text.value.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.value, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            f.error(
                "bad_prefix",
                format!("{what} is `{}`, not a prefix", short(text.value)),
                text.span,
                "write an address with a prefix length, like `198.51.100.0/24` or `2001:db8::/32`",
            );
            continue;
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match length {
            None => longest,
            Some(length) => {
                let what = format_args!("the prefix length in {what}");
                let text = At::new(length, text.span);
                match f.number_of(&text, what, 0..=longest, "prefix_range") {
                    Some(bits) => bits.value,
                    None => continue,
                }
            }
        };
        let prefix = Prefix {
            address,
            bits: bits as u8,
        };
        if prefix.first() != address {
            f.error(
                "prefix_bits",
                format!(
                    "{what} is `{}`, which has bits behind its length",
                    text.value
                ),
                text.span,
                format!("did you mean `{}/{bits}`?", prefix.first()),
            );
            continue;
        }
        found.push(prefix);
    }
    found
}

/// Client and server of one packet have one IP version.
fn families(f: &mut Findings, fields: &Fields, client: &[Prefix], server: &[Prefix]) {
    let meet = client.is_empty()
        || server.is_empty()
        || client.iter().any(|c| {
            server
                .iter()
                .any(|s| s.address.is_ipv4() == c.address.is_ipv4())
        });
    if !meet {
        f.error(
            "no_family",
            format!(
                "{} has no IP version its `client` and its `server` share",
                fields.owner
            ),
            fields.get("server").map_or(fields.span, |n| n.span),
            "write prefixes of one IP version in both",
        );
    }
}

/// `syn`, `syn,!ack`: flags that are set, and with `!` those that are not.
fn flags(f: &mut Findings, node: &Node, owner: &str) -> Option<(u8, u8)> {
    let text = f.text(node, format_args!("`flags` of {owner}"))?;
    let (mut value, mut mask) = (0, 0);
    for part in text.value.split(',') {
        let part = part.trim();
        let name = part.strip_prefix('!').unwrap_or(part);
        let Some(bit) = FLAGS.iter().position(|flag| *flag == name) else {
            f.error(
                "bad_flags",
                format!(
                    "`flags` of {owner} has `{}`, which is no TCP flag",
                    short(part)
                ),
                text.span,
                "write flags that must be set, with `!` those that must not, like `syn,!ack`",
            );
            return None;
        };
        if mask >> bit & 1 == 1 {
            f.error(
                "flag_twice",
                format!("`flags` of {owner} has `{name}` twice"),
                text.span,
                "say each flag once",
            );
            return None;
        }
        mask |= 1 << bit;
        value |= u8::from(part == name) << bit;
    }
    Some((value, mask))
}

/// `64`, `0-1280`: bytes of the IP packet.
fn size(f: &mut Findings, node: &Node, owner: &str) -> Option<(u16, u16)> {
    let text = f.text(node, format_args!("`size` of {owner}"))?;
    let (first, last) = text
        .value
        .split_once('-')
        .unwrap_or((text.value, text.value));
    let mut bound = |part: &str| {
        let part = At::new(part.trim(), text.span);
        let what = format_args!("`size` of {owner}");
        let bytes = f.number_of(&part, what, 0..=MAX_FRAME_BYTES.into(), "size_range")?;
        Some(bytes.value as u16)
    };
    let (first, last) = (bound(first)?, bound(last)?);
    if first > last {
        f.error(
            "reversed_range",
            format!(
                "`size` of {owner} is `{}`, which ends before it begins",
                text.value
            ),
            text.span,
            format!("did you mean `{last}-{first}`?"),
        );
        return None;
    }
    Some((first, last))
}
