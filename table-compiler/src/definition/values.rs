//! Values of the definition: MAC and IP addresses, VLANs, ports.

use super::fields::Fields;
use super::findings::{Findings, short};
use super::tree::{At, Kind, Node};
use super::{Mac, Ports, Vlan};
use crate::diagnostic::{Diagnostic, Span};
use std::fmt::Arguments;
use std::net::{IpAddr, Ipv4Addr};

/// The items of a list, or the one value.
pub(crate) fn items(node: &Node) -> Vec<&Node> {
    match &node.kind {
        Kind::List(items) => items.iter().map(AsRef::as_ref).collect(),
        _ => vec![node],
    }
}

/// `on_failure` of a device or an element: whether the sequence goes on without it.
pub(crate) fn on_failure(f: &mut Findings, fields: &Fields) -> Option<At<bool>> {
    let what = format_args!("`on_failure` of {}", fields.owner);
    let options = [("closed", false), ("open", true), ("bypass", true)];
    f.choice(fields.get("on_failure")?, what, &options)
}

/// `dscp` of a service or an element.
pub(crate) fn dscp(f: &mut Findings, fields: &Fields) -> Option<u8> {
    let what = format_args!("`dscp` of {}", fields.owner);
    let found = f.number(fields.get("dscp")?, what, 0..=63, "dscp_range");
    found.map(|at| at.value as u8)
}

/// A unicast MAC address.
pub(crate) fn mac(f: &mut Findings, node: &Node, what: Arguments) -> Option<At<Mac>> {
    let text = f.text(node, what)?;
    let parts: Vec<&str> = text.value.split([':', '-']).collect();
    let bytes: Option<Vec<u8>> = parts
        .iter()
        .map(|p| match p.len() {
            2 if p.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(p, 16).ok(),
            _ => None,
        })
        .collect();
    let Some(Ok(bytes)) = bytes.map(<[u8; 6]>::try_from) else {
        f.error(
            "bad_mac",
            format!("{what} is `{}`, not a MAC address", short(text.value)),
            text.span,
            "write six bytes in hexadecimal, two digits each, like `02:01:00:00:00:01`",
        );
        return None;
    };
    if bytes == [0; 6] {
        f.error(
            "zero_mac",
            format!("{what} is all zero"),
            text.span,
            "write the MAC address of its network interface",
        );
        return None;
    }
    if bytes[0] & 1 == 1 {
        f.error(
            "multicast_mac",
            format!("{what} is `{}`, a group address", text.value),
            text.span,
            "the first byte of a station's own MAC address is even: look it up again on the system",
        );
        return None;
    }
    Some(At::new(Mac(bytes), text.span))
}

/// VLAN tags: a number, two numbers, or `none`.
pub(crate) fn vlan(f: &mut Findings, node: &Node, what: Arguments) -> Option<At<Vlan>> {
    if let Kind::Text(text) = &node.kind
        && text == "none"
    {
        return Some(At::new(Vlan(Vec::new()), node.span));
    }
    let all = items(node);
    if all.len() > 2 {
        f.error(
            "vlan_depth",
            format!("{what} has {} tags", all.len()),
            node.span,
            "at most two tags are read: write `[outer, inner]`",
        );
        return None;
    }
    let mut tags = Vec::new();
    for item in &all {
        tags.push(f.number(item, what, 1..=4094, "vlan_range")?.value as u16);
    }
    Some(At::new(Vlan(tags), node.span))
}

/// Why packets cannot have `address` as that of one station, if so.
fn not_unicast(address: IpAddr) -> Option<&'static str> {
    let mapped = match address {
        IpAddr::V6(a) => a.to_ipv4_mapped().is_some(),
        IpAddr::V4(_) => false,
    };
    match address {
        a if a.is_unspecified() => Some("the unspecified address"),
        a if a.is_multicast() => Some("a multicast address"),
        a if a.is_loopback() => Some("a loopback address, which never is on the wire"),
        IpAddr::V4(a) if a.is_broadcast() => Some("the broadcast address"),
        _ if mapped => Some("an IPv4 address written as IPv6, which never is on the wire"),
        _ => None,
    }
}

fn parse_address(f: &mut Findings, text: &At<&str>, what: Arguments) -> Option<IpAddr> {
    let Ok(address) = text.value.parse::<IpAddr>() else {
        let help = if text.value.contains('/') {
            "write the address alone, without prefix length"
        } else {
            "write an IPv4 address like `203.0.113.13`, or an IPv6 address like `2001:db8::13`"
        };
        f.error(
            "bad_address",
            format!("{what} is `{}`, not an IP address", short(text.value)),
            text.span,
            help,
        );
        return None;
    };
    if let Some(why) = not_unicast(address) {
        f.error(
            "not_unicast",
            format!("{what} is `{address}`, {why}"),
            text.span,
            "write the unicast address that packets carry",
        );
        return None;
    }
    Some(address)
}

/// One address or a list of them, none twice. Broken ones are reported and left out: then `.1` is
/// false.
pub(crate) fn addresses(f: &mut Findings, node: &Node, what: Arguments) -> (Vec<At<IpAddr>>, bool) {
    let before = f.count();
    let mut found: Vec<At<IpAddr>> = Vec::new();
    let all = items(node);
    if all.is_empty() {
        f.error(
            "no_value",
            format!("{what} is an empty list"),
            node.span,
            "write at least one address, or remove the key",
        );
    }
    for item in all {
        let Some(text) = f.text(item, what) else {
            continue;
        };
        let Some(address) = parse_address(f, &text, what) else {
            continue;
        };
        if let Some(first) = found.iter().find(|a| a.value == address) {
            f.push(
                Diagnostic::new(
                    "address_twice",
                    format!("{what} has `{address}` twice"),
                    text.span,
                    "remove one of them",
                )
                .also(first.span, "first here"),
            );
            continue;
        }
        found.push(At::new(address, text.span));
    }
    (found, f.count() == before)
}

/// At most one address of each family.
pub(crate) fn one_of_each_family(f: &mut Findings, addresses: &[At<IpAddr>], what: Arguments) {
    for (n, address) in addresses.iter().enumerate() {
        let first = addresses[..n]
            .iter()
            .find(|a| a.value.is_ipv4() == address.value.is_ipv4());
        if let Some(first) = first {
            f.push(
                Diagnostic::new(
                    "two_addresses",
                    format!("{what} has two addresses of one family"),
                    address.span,
                    "write at most one IPv4 and one IPv6 address",
                )
                .also(first.span, "the other"),
            );
        }
    }
}

/// Prefix length of a netmask.
fn netmask(f: &mut Findings, node: &Node, what: Arguments) -> Option<u8> {
    let text = f.text(node, what)?;
    let mask = text.value.parse::<Ipv4Addr>().ok().map(u32::from);
    match mask {
        Some(mask) if mask.leading_ones() + mask.trailing_zeros() == 32 => {
            Some(mask.leading_ones() as u8)
        }
        _ => {
            f.error(
                "bad_netmask",
                format!("{what} is `{}`, not a netmask", short(text.value)),
                text.span,
                "write one like `255.255.255.0`, or the prefix length behind the address: `192.0.2.1/24`",
            );
            None
        }
    }
}

/// The addresses of an interface with their prefix lengths: `address/length`, or one IPv4 address
/// with a netmask of its own.
pub(crate) fn interface_addresses(
    f: &mut Findings,
    node: Option<&Node>,
    mask: Option<&Node>,
    owner: &str,
) -> Vec<At<(IpAddr, u8)>> {
    let mut found: Vec<At<(IpAddr, u8)>> = Vec::new();
    let Some(node) = node else {
        if let Some(mask) = mask {
            f.error(
                "netmask_without_address",
                format!("`netmask` of {owner} stands without `address`"),
                mask.span,
                "add `address`, or remove `netmask`",
            );
        }
        return found;
    };
    let what = format!("`address` of {owner}");
    let all = items(node);
    if let Some(mask) = mask
        && (all.len() > 1
            || matches!(&all[..], [one] if matches!(&one.kind, Kind::Text(t) if t.contains('/'))))
    {
        f.error(
            "two_prefixes",
            format!("{owner} has `netmask` besides prefix lengths or a list"),
            mask.span,
            "write the prefix length behind each address, like `192.0.2.1/24`, and remove `netmask`",
        );
        return found;
    }
    for item in all {
        let Some(text) = f.text(item, format_args!("{what}")) else {
            continue;
        };
        let (address, length) = match text.value.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.value, None),
        };
        let Some(address) = parse_address(f, &At::new(address, text.span), format_args!("{what}"))
        else {
            continue;
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match (length, mask) {
            (Some(length), _) => f
                .number_of(
                    &At::new(length, text.span),
                    format_args!("the prefix length in {what}"),
                    0..=longest,
                    "prefix_range",
                )
                .map(|n| n.value as u8),
            (None, Some(mask)) if address.is_ipv4() => {
                netmask(f, mask, format_args!("`netmask` of {owner}"))
            }
            _ => {
                f.error(
                    "missing_prefix",
                    format!("{what} is `{address}`, without a prefix length"),
                    text.span,
                    format!(
                        "write `{address}/{}` or how long the network's prefix is",
                        if address.is_ipv4() { 24 } else { 64 }
                    ),
                );
                None
            }
        };
        let Some(length) = length else { continue };
        if let Some(why) = not_a_station(address, length) {
            f.error(
                "not_a_station",
                format!("{what} is `{address}/{length}`, {why}"),
                text.span,
                "write the engine's own address in that network",
            );
            continue;
        }
        found.push(At::new((address, length), text.span));
    }
    found
}

/// Whether an IPv4 address is the network's own or its broadcast address.
fn not_a_station(address: IpAddr, length: u8) -> Option<&'static str> {
    let IpAddr::V4(address) = address else {
        return None;
    };
    if length >= 31 {
        return None;
    }
    let host = u32::MAX >> length;
    match u32::from(address) & host {
        0 => Some("the address of the network itself"),
        h if h == host => Some("the broadcast address of the network"),
        _ => None,
    }
}

/// Ports: a number, `first-last`, a list of those, or `any`. Ranges rise and are disjoint.
pub(crate) fn ports(f: &mut Findings, node: &Node, what: Arguments) -> Option<At<Ports>> {
    if let Kind::Text(text) = &node.kind
        && text == "any"
    {
        return Some(At::new(Ports::Any, node.span));
    }
    let ranges = ranges(f, node, what)?;
    let ranges = disjoint(f, ranges, what)?;
    Some(At::new(Ports::Ranges(ranges), node.span))
}

pub(crate) fn ranges(
    f: &mut Findings,
    node: &Node,
    what: Arguments,
) -> Option<Vec<At<(u16, u16)>>> {
    let all = items(node);
    if all.is_empty() {
        f.error(
            "no_value",
            format!("{what} is an empty list"),
            node.span,
            "write at least one port, `any`, or remove the key",
        );
        return None;
    }
    let found: Vec<Option<At<(u16, u16)>>> = all.iter().map(|item| range(f, item, what)).collect();
    found.into_iter().collect()
}

fn range(f: &mut Findings, node: &Node, what: Arguments) -> Option<At<(u16, u16)>> {
    let text = f.text(node, what)?;
    if text.value == "any" {
        f.error(
            "any_in_list",
            format!("{what} has `any` among ports"),
            text.span,
            "write `port: any` alone for every port, or only the ports",
        );
        return None;
    }
    let (first, last) = text
        .value
        .split_once('-')
        .unwrap_or((text.value, text.value));
    let port = |part: &str| match part.trim() {
        p if !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) => Some(p.parse::<u16>()),
        _ => None,
    };
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        f.error(
            "bad_ports",
            format!("{what} is `{}`, not a port", short(text.value)),
            text.span,
            "write a port like `80`, a range like `8000-8010`, or a list like `[21, 1025-1125]`",
        );
        return None;
    };
    let (Ok(first), Ok(last)) = (first, last) else {
        f.error(
            "port_number_range",
            format!("{what} is `{}`, beyond port 65535", short(text.value)),
            text.span,
            "ports go from 1 to 65535",
        );
        return None;
    };
    if first == 0 {
        f.error(
            "port_zero",
            format!("{what} has port 0"),
            text.span,
            "ports go from 1 to 65535; write `any` for every port",
        );
        return None;
    }
    if first > last {
        f.error(
            "reversed_range",
            format!("{what} is `{}`, which ends before it begins", text.value),
            text.span,
            format!("did you mean `{last}-{first}`?"),
        );
        return None;
    }
    Some(At::new((first, last), text.span))
}

/// Sorts ranges and reports those that overlap.
pub(crate) fn disjoint(
    f: &mut Findings,
    mut ranges: Vec<At<(u16, u16)>>,
    what: Arguments,
) -> Option<Vec<(u16, u16)>> {
    ranges.sort_by_key(|r| r.value);
    for pair in ranges.windows(2) {
        if pair[1].value.0 <= pair[0].value.1 {
            f.push(
                Diagnostic::new(
                    "ports_twice",
                    format!("{what} has port {} twice", pair[1].value.0),
                    pair[1].span,
                    "ports, ranges and dynamic ports of a service may not overlap: shorten one of them",
                )
                .also(pair[0].span, "also here"),
            );
            return None;
        }
    }
    Some(ranges.into_iter().map(|r| r.value).collect())
}

/// Ports in words: `80`, `21,1025-1125` or `any`.
pub(crate) fn in_words(ports: &Ports) -> String {
    match ports {
        Ports::Any => "any".to_owned(),
        Ports::Ranges(ranges) => {
            let ranges: Vec<String> = ranges
                .iter()
                .map(|(first, last)| {
                    if first == last {
                        first.to_string()
                    } else {
                        format!("{first}-{last}")
                    }
                })
                .collect();
            ranges.join(",")
        }
    }
}

/// The empty span at the beginning.
pub(crate) const NOWHERE: Span = Span { offset: 0, len: 0 };
