//! Segments, MAC addresses and IP addresses of everything that is attached, together.

use super::findings::Findings;
use super::network::{Draft, Network};
use super::sequence::places_of;
use super::{Attachments, InterfaceId, Mac, Place, Vlan};
use crate::diagnostic::{Diagnostic, Span};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

fn sound<T>(drafts: &[Draft<T>]) -> impl Iterator<Item = (usize, &T)> {
    drafts
        .iter()
        .enumerate()
        .filter(|(_, d)| !d.broken)
        .map(|(n, d)| (n, &d.value))
}

/// VLANs in words: `no VLAN`, `VLAN 100` or `VLAN 100, 7`.
fn vlan_in_words(vlan: &Vlan) -> String {
    let tags: Vec<String> = vlan.0.iter().map(u16::to_string).collect();
    match tags.len() {
        0 => "no VLAN".to_owned(),
        _ => format!("VLAN {}", tags.join(", ")),
    }
}

pub(crate) fn check(f: &mut Findings, network: &Network) {
    segments(f, network);
    stations(f, network);
    addresses(f, network);
}

/// A segment (port and VLANs) belongs to one interface.
fn segments(f: &mut Findings, network: &Network) {
    let mut owners: HashMap<(u8, &Vlan), (InterfaceId, Span)> = HashMap::new();
    let mut doubtful: HashSet<InterfaceId> = HashSet::new();
    for (id, interface) in sound(&network.interfaces) {
        let segment = (interface.port, &interface.vlan);
        if let Some((other, span)) = owners.get(&segment) {
            f.push(
                Diagnostic::new(
                    "same_segment",
                    format!(
                        "interfaces `{}` and `{}` are both port {} with {}",
                        network.interface_names.name(*other),
                        interface.name,
                        interface.port,
                        vlan_in_words(&interface.vlan)
                    ),
                    interface.span,
                    "a frame must tell which interface it arrived on: give one of them another `port` or \
                     `vlan`",
                )
                .also(*span, "the other interface"),
            );
            doubtful.insert(id);
        } else {
            owners.insert(segment, (id, interface.span));
        }
    }
    for (place, name) in all_places(network) {
        let Some(interface) = network.interfaces.get(place.interface) else {
            continue;
        };
        if interface.broken || doubtful.contains(&place.interface) {
            continue;
        }
        let segment = (interface.value.port, &place.vlan);
        let (owner, span) = *owners
            .entry(segment)
            .or_insert((place.interface, place.span));
        if owner != place.interface {
            let theirs = network.interface_names.name(owner);
            f.push(
                Diagnostic::new(
                    "segment_of_another",
                    format!(
                        "`{name}` is on interface `{}` with {}, but that segment of port {} belongs to \
                         interface `{theirs}`",
                        interface.value.name,
                        vlan_in_words(&place.vlan),
                        interface.value.port,
                    ),
                    place.span,
                    format!("write `interface: {theirs}`, or another `vlan`"),
                )
                .also(span, format!("makes it `{theirs}`'s")),
            );
        }
    }
}

/// Every place with the name of what is there.
fn all_places(network: &Network) -> impl Iterator<Item = (&Place, &str)> {
    let hosts = sound(&network.hosts).map(|(_, h)| (&h.place, h.name.as_str()));
    let devices = sound(&network.devices).flat_map(|(_, d)| {
        places_of(&d.attachments)
            .into_iter()
            .map(|p| (p, d.name.as_str()))
    });
    hosts.chain(devices)
}

/// Who sent a packet is told by segment and MAC: no host is at the place of another host, of a
/// device or of the engine, and no device has both sides in one place. (Devices may share a place as
/// long as no service uses both.)
fn stations(f: &mut Findings, network: &Network) {
    let mut hosts: HashMap<(InterfaceId, &Vlan, Mac), (&str, Span)> = HashMap::new();
    let duplicate = |f: &mut Findings, name: &str, span: Span, other: &str, at: Span| {
        f.push(
            Diagnostic::new(
                "same_place",
                format!("`{name}` and `{other}` have one MAC address in one segment"),
                span,
                "correct the MAC address of one of them, or keep only one",
            )
            .also(at, format!("`{other}`")),
        );
    };
    for (_, host) in sound(&network.hosts) {
        let place = &host.place;
        let key = (place.interface, &place.vlan, place.mac);
        if let Some((other, at)) = hosts.get(&key) {
            duplicate(f, &host.name, place.span, other, *at);
        } else {
            hosts.insert(key, (&host.name, place.span));
        }
    }
    for (_, device) in sound(&network.devices) {
        for place in places_of(&device.attachments) {
            let key = (place.interface, &place.vlan, place.mac);
            if let Some((other, at)) = hosts.get(&key) {
                duplicate(f, &device.name, place.span, other, *at);
            }
        }
        if let Attachments::Two { outside, inside } = &device.attachments
            && (outside.interface, &outside.vlan, outside.mac)
                == (inside.interface, &inside.vlan, inside.mac)
        {
            f.push(
                Diagnostic::new(
                    "same_place",
                    format!("both sides of `{}` are one place", device.name),
                    inside.span,
                    "nothing would tell its two sides apart: correct the MAC address, VLAN or interface of \
                     one, or use a single `attachment`",
                )
                .also(outside.span, "outside"),
            );
        }
    }
    for (place, name) in all_places(network) {
        let Some(interface) = network.interfaces.get(place.interface) else {
            continue;
        };
        if !interface.broken && interface.value.mac == place.mac {
            f.push(
                Diagnostic::new(
                    "mac_of_engine",
                    format!(
                        "`{name}` has the MAC address of interface `{}` itself",
                        interface.value.name
                    ),
                    place.span,
                    "`mac` of an interface is the engine's; write the system's own here",
                )
                .also(interface.value.span, "the interface"),
            );
        }
    }
}

/// An IP address belongs to one system. The same system may stand there twice, in the same place.
fn addresses(f: &mut Findings, network: &Network) {
    #[derive(PartialEq)]
    enum Where<'a> {
        Engine,
        At(Vec<(InterfaceId, &'a Vlan, Mac)>),
        Via(usize),
    }
    let mut owners: HashMap<IpAddr, (Where, &str, Span)> = HashMap::new();
    let engine = sound(&network.interfaces).flat_map(|(_, i)| {
        i.addresses
            .iter()
            .map(|(a, _)| (*a, (Where::Engine, i.name.as_str(), i.span)))
    });
    let hosts = sound(&network.hosts).flat_map(|(_, h)| {
        h.addresses.iter().map(|a| {
            let at = vec![(h.place.interface, &h.place.vlan, h.place.mac)];
            (*a, (Where::At(at), h.name.as_str(), h.span))
        })
    });
    let devices = sound(&network.devices).flat_map(|(_, d)| {
        d.addresses.iter().map(|a| {
            let at = match &d.attachments {
                Attachments::Via(host) => Where::Via(*host),
                other => Where::At(
                    places_of(other)
                        .into_iter()
                        .map(|p| (p.interface, &p.vlan, p.mac))
                        .collect(),
                ),
            };
            (*a, (at, d.name.as_str(), d.span))
        })
    });
    for (address, at) in engine.chain(hosts).chain(devices) {
        match owners.get(&address) {
            None => {
                owners.insert(address, at);
            }
            Some((there, other, span)) => {
                if *there == at.0 && at.0 != Where::Engine {
                    continue;
                }
                f.push(
                    Diagnostic::new(
                        "address_of_two",
                        format!("`{other}` and `{}` both have the address `{address}`", at.1),
                        at.2,
                        "correct the address of one of them",
                    )
                    .also(*span, format!("`{other}`")),
                );
            }
        }
    }
}
