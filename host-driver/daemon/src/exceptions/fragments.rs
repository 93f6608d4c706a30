//! Later fragments of services that are chosen by port.
//!
//! A later fragment has no ports, and the card did not show its first part, which it directed itself. But
//! the tables say where every packet with these addresses and this protocol would go: if that is one
//! way, whichever service it is of, it is the fragment's. If there are several, nobody knows, and it is
//! dropped: give such a service `port: any`, or keep its packets below the path's MTU.

use super::{Deed, Known};
use seqnic_card::{FromHost, ToHost};
use seqnic_compiler::definition::{Element, Ports, Service};
use seqnic_model::parse::Headers;
use seqnic_model::verdict::decide;
use seqnic_spec::reason::Reason;
use std::collections::BTreeSet;

/// Ports the looks of a service may have: the first of each of its ranges, and what devices make of them.
fn ports(service: &Service, into: &mut BTreeSet<u16>) {
    let mut add = |ports: &Ports| {
        if let Ports::Ranges(ranges) = ports {
            into.extend(ranges.iter().map(|(first, _)| *first));
        }
    };
    add(&service.ports);
    for element in &service.sequence {
        if let Element::Device { port, then, .. } = element {
            if let Some(ports) = then.as_ref().and_then(|t| t.ports.as_ref()) {
                add(ports);
            }
            if let Some(port) = port {
                add(&Ports::Ranges(vec![(*port, *port)]));
            }
        }
    }
}

/// Sends a later fragment after its first part.
pub fn direct(known: &Known, packet: &ToHost, h: &Headers) -> Deed {
    let mut candidates = BTreeSet::new();
    for service in &known.definition.services {
        let like = service.addresses.first();
        let protocol = like.and_then(|a| service.protocol.number(*a));
        if protocol.is_some_and(|p| p == h.protocol) {
            // Addresses may be a device's by now: the tables say whether this service is meant.
            ports(service, &mut candidates);
        }
    }
    let mut ways: BTreeSet<Vec<FrameOut>> = BTreeSet::new();
    for port in candidates {
        // As destination port, and as source port: what is not a service's then asks in vain.
        for (sport, dport) in [(0, port), (port, 0)] {
            let first = Headers {
                later_fragment: false,
                sport,
                dport,
                ..*h
            };
            let verdict = decide(known.tables, packet.port, &first, &mut ());
            if verdict.reason == Reason::Directed {
                let copies = known.copies(&packet.frame, h, &verdict);
                ways.insert(copies.into_iter().map(FrameOut::from).collect());
            }
        }
    }
    match ways.len() {
        0 => Deed::Dropped("fragment_of_nothing"),
        1 => {
            let way = ways.into_iter().next().unwrap_or_default();
            Deed::Sent(way.into_iter().map(FromHost::from).collect())
        }
        _ => Deed::Dropped("fragment_ambiguous"),
    }
}

/// A frame out of a port, in an order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FrameOut(u8, Vec<u8>);

impl From<FromHost> for FrameOut {
    fn from(f: FromHost) -> FrameOut {
        FrameOut(f.port, f.frame)
    }
}

impl From<FrameOut> for FromHost {
    fn from(FrameOut(port, frame): FrameOut) -> FromHost {
        FromHost {
            way: seqnic_card::Way::Out,
            port,
            frame,
        }
    }
}
