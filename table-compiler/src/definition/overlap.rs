//! Packets must say which service they belong to: no two looks share an address, a key and a port.

use super::findings::Findings;
use super::values::in_words;
use super::{KeyedBy, Ports, Protocol};
use crate::diagnostic::{Diagnostic, Span};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// How packets look on a part of their way.
#[derive(Debug)]
pub(crate) struct Look {
    pub service: String,
    pub keyed_by: KeyedBy,
    pub protocol: Protocol,
    pub addresses: Vec<IpAddr>,
    pub ports: Ports,
    /// Devices with `then` before it.
    pub stage: usize,
    pub span: Span,
}

/// Reports looks that one packet could have. Ports beside `any` port and a protocol beside every
/// protocol are no overlap: the narrower one holds.
pub(crate) fn check(f: &mut Findings, looks: &[Look]) {
    let mut groups: HashMap<(IpAddr, bool, Option<u8>), Vec<usize>> = HashMap::new();
    let mut order = Vec::new();
    for (n, look) in looks.iter().enumerate() {
        for address in &look.addresses {
            let client = look.keyed_by == KeyedBy::Client;
            let key = (*address, client, look.protocol.number(*address));
            let group = groups.entry(key).or_default();
            if group.is_empty() {
                order.push(key);
            }
            group.push(n);
        }
    }
    let mut reported = HashSet::new();
    for key in order {
        let group = &groups[&key];
        let any: Vec<usize> = group
            .iter()
            .copied()
            .filter(|n| looks[*n].ports == Ports::Any)
            .collect();
        for pair in any.windows(2) {
            report(f, looks, (pair[0], pair[1]), key.0, &mut reported);
        }
        let mut ranges: Vec<(u16, u16, usize)> = Vec::new();
        for n in group {
            if let Ports::Ranges(all) = &looks[*n].ports {
                ranges.extend(all.iter().map(|(first, last)| (*first, *last, *n)));
            }
        }
        ranges.sort_unstable();
        let mut widest: Option<(u16, usize)> = None;
        for (first, last, n) in ranges {
            if let Some((end, other)) = widest
                && first <= end
            {
                report(f, looks, (other, n), key.0, &mut reported);
            }
            if widest.is_none_or(|(end, _)| last > end) {
                widest = Some((last, n));
            }
        }
    }
}

fn report(
    f: &mut Findings,
    looks: &[Look],
    (a, b): (usize, usize),
    address: IpAddr,
    reported: &mut HashSet<(usize, usize)>,
) {
    let (a, b) = (a.min(b), a.max(b));
    let (first, second) = (&looks[a], &looks[b]);
    let one_service = first.service == second.service;
    // The same device port twice in one stage is the same look.
    let same = one_service && first.stage == second.stage && first.ports == second.ports;
    if same || !reported.insert((a, b)) {
        return;
    }
    let ports = |look: &Look| match &look.ports {
        Ports::Any => String::new(),
        ports => format!(" port {}", in_words(ports)),
    };
    let (message, help) = if one_service {
        (
            format!(
                "packets of service `{}` for `{address}`{} have on a later part of their way{} again",
                first.service,
                ports(first),
                ports(second),
            ),
            "a packet must show how far it came: let the device change to a port (or address) that the \
             service does not have yet",
        )
    } else {
        (
            format!(
                "services `{}` and `{}` both take `{address}`{}",
                first.service,
                second.service,
                match &second.ports {
                    Ports::Any => ", every port".to_owned(),
                    _ => ports(second),
                }
            ),
            "give one of them another address or other ports; only `port: any` may stand beside \
             services with ports of their own, and gets the rest",
        )
    };
    f.push(
        Diagnostic::new("overlapping_ports", message, second.span, help)
            .also(first.span, format!("service `{}`", first.service)),
    );
}
