//! ICMP errors about packets of services (RFC 792, RFC 4443).
//!
//! An error carries the start of the packet it is about. Whoever sent that packet is where an answer to it
//! would go, so the tables are asked as if the error were that answer: addresses and ports of the
//! packet inside, turned round, from where the error came. The error then takes the copies and edits of the
//! answer; where those translate an address or port, the packet inside is translated too, so that its
//! sender knows it again.

use super::words::{Covered, get};
use super::{Deed, Known};
use seqnic_card::{FromHost, ToHost, Way};
use seqnic_model::edit;
use seqnic_model::parse::Headers;
use seqnic_model::verdict::decide;
use seqnic_spec::reason::Reason;
use seqnic_spec::wire;

/// Bytes of an ICMP error in front of the packet inside.
const ICMP: usize = 8;
const IPV4: usize = 20;
const IPV6: usize = 40;

/// Start of a packet inside an error.
struct Inside {
    /// From the start of the outer IP header.
    at: usize,
    v6: bool,
    protocol: u8,
    src: u128,
    dst: u128,
    later_fragment: bool,
    /// Of the transport header, from the start of the outer IP header.
    l4: usize,
}

/// Reads the packet inside; `ip` starts with the outer IP header.
fn inside(ip: &[u8], at: usize, v6: bool) -> Option<Inside> {
    let header = ip.get(at..)?;
    let address = |from: usize, bytes: usize| -> Option<u128> {
        let bytes = header.get(from..from + bytes)?;
        Some(bytes.iter().fold(0, |v, b| v << 8 | u128::from(*b)))
    };
    let version = header.first()? >> 4;
    if v6 {
        return (version == 6).then_some(Inside {
            at,
            v6,
            // Extension headers are not walked: packets of services with ports have none here, and others
            // are found by address.
            protocol: *header.get(6)?,
            src: address(8, 16)?,
            dst: address(24, 16)?,
            later_fragment: false,
            l4: at + IPV6,
        });
    }
    let length = usize::from(header.first()? & 0xF) * 4;
    (version == 4 && length >= IPV4).then_some(Inside {
        at,
        v6,
        protocol: *header.get(9)?,
        src: address(12, 4)?,
        dst: address(16, 4)?,
        later_fragment: get(header, 6) & 0x1FFF != 0,
        l4: at + length,
    })
}

/// Sends an ICMP error after the packet it is about.
pub fn direct(known: &Known, packet: &ToHost, h: &Headers) -> Deed {
    let ip = packet.frame.get(h.l3()..).unwrap_or(&[]);
    let icmp = usize::from(h.l4) - h.l3().min(usize::from(h.l4));
    let Some(inner) = inside(ip, icmp + ICMP, h.v6) else {
        return Deed::Dropped("error_about_nothing");
    };
    let ports = wire::has_ports(inner.protocol) && !inner.later_fragment;
    let port = |at: usize| if ports { get(ip, at) } else { 0 };
    let (sport, dport) = (port(inner.l4), port(inner.l4 + 2));
    let answer = Headers {
        fault: None,
        src: inner.dst,
        dst: inner.src,
        protocol: inner.protocol,
        sport: dport,
        dport: sport,
        later_fragment: inner.later_fragment,
        icmp_type: 0,
        ..*h
    };
    let verdict = decide(known.tables, packet.port, &answer, &mut ());
    if verdict.reason != Reason::Directed {
        return Deed::Dropped("error_about_nothing");
    }
    let Some(mut plan) = edit::plan(known.tables, &answer, &verdict, 0) else {
        return Deed::Dropped("error_about_nothing");
    };
    let translated = plan;
    // A router between here and there speaks for itself.
    if h.src != inner.dst {
        plan.src = None;
    }
    (plan.sport, plan.dport) = (None, None);
    let mut out = vec![0; plan.length(h)];
    if plan.unsent(h).is_some() || plan.write(h, &packet.frame, &mut out).is_err() {
        return Deed::Dropped("error_too_long");
    }
    let at = out.len() - ip.len();
    let mut covered = Covered {
        bytes: &mut out[at..],
        over: icmp + 2,
    };
    let (width, src, dst) = match inner.v6 {
        true => (16, inner.at + 8, inner.at + 24),
        false => (4, inner.at + 12, inner.at + 16),
    };
    let mut sums = Vec::new();
    if !inner.v6 {
        sums.push(inner.at + 10);
    }
    let transport = match (
        inner.later_fragment,
        wire::pseudo_checksum_offset(inner.protocol),
    ) {
        (false, Some(offset)) => Some(inner.l4 + offset as usize),
        _ => None,
    };
    sums.extend(transport);
    // Turned round: the answer's destination is the sender of the packet inside.
    for (value, place) in [(translated.dst, src), (translated.src, dst)] {
        let Some(value) = value else { continue };
        for word in 0..width / 2 {
            let now = (value >> (8 * width - 16 - 16 * word)) as u16;
            covered.put(place + 2 * word, now, &sums);
        }
    }
    let transport: Vec<usize> = transport.into_iter().collect();
    for (value, place) in [
        (translated.dport, inner.l4),
        (translated.sport, inner.l4 + 2),
    ] {
        if let (Some(value), true) = (value, ports) {
            covered.put(place, value, &transport);
        }
    }
    Deed::Sent(vec![FromHost {
        way: Way::Out,
        port: plan.to.port,
        frame: out,
    }])
}
