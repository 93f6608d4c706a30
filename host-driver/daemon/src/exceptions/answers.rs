//! ICMP errors the engine itself sends: packet too big (RFC 792, RFC 1191, RFC 4443), time exceeded.
//!
//! They go back to who sent the packet here, by MAC and VLAN, with the interface's address as source; if
//! that was a device of the sequence, it passes them on as it does any error.

use super::words::checksum;
use super::{Deed, Known, number};
use seqnic_card::{FromHost, ToHost, Way};
use seqnic_model::edit;
use seqnic_model::parse::Headers;
use seqnic_model::verdict::decide;
use seqnic_spec::reason::Reason;
use seqnic_spec::wire;

/// What is returned of a packet: all that fits what every host takes (RFC 1812 section 4.3.2.3, RFC 4443
/// section 2.4).
const MOST_V4: usize = 576 - 28;
const MOST_V6: usize = 1280 - 48;
const ETHERTYPE: usize = 12;

/// A packet that is too long for the way it has to go.
pub fn too_big(known: &Known, packet: &ToHost, h: &Headers, interface: u16) -> Deed {
    let verdict = decide(known.tables, packet.port, h, &mut ());
    let least = edit::plans(known.tables, h, &verdict)
        .filter(|plan| plan.unsent(h) == Some(Reason::TooBig))
        .map(|plan| {
            let added = plan.tag.map_or(0, |tag| tag.bytes() as u32);
            u32::from(plan.to.mtu).saturating_sub(added)
        })
        .min();
    let Some(mtu) = least else {
        return Deed::Dropped("no_longer_too_big");
    };
    match h.v6 {
        true => error(known, packet, h, interface, (2, 0), mtu),
        false => error(known, packet, h, interface, (3, 4), mtu & 0xFFFF),
    }
}

/// A packet whose time to live is over.
pub fn expired(known: &Known, packet: &ToHost, h: &Headers, interface: u16) -> Deed {
    match h.v6 {
        true => error(known, packet, h, interface, (3, 0), 0),
        false => error(known, packet, h, interface, (11, 0), 0),
    }
}

fn error(
    known: &Known,
    packet: &ToHost,
    h: &Headers,
    interface: u16,
    (kind, code): (u8, u8),
    rest: u32,
) -> Deed {
    // No errors about errors, later fragments, and what was for more than one (RFC 1122 section 3.2.2).
    let icmp = matches!(h.protocol, wire::PROTO_ICMP | wire::PROTO_ICMPV6);
    if h.taken.is_some() || h.to_group() || h.later_fragment || (icmp && h.icmp_type < 8 && !h.v6) {
        return Deed::Dropped("no_error_about_this");
    }
    let own = known.definition.interfaces.get(usize::from(interface));
    let own = own.and_then(|i| i.addresses.iter().find(|(a, _)| a.is_ipv6() == h.v6));
    let Some((own, _)) = own else {
        return Deed::Dropped("no_address_to_answer_from");
    };
    let (_, own) = number(*own);
    let (l2, ip) = packet.frame.split_at(h.l3().min(packet.frame.len()));
    if l2.len() < ETHERTYPE + 2 {
        return Deed::Dropped("no_error_about_this");
    }
    let most = if h.v6 { MOST_V6 } else { MOST_V4 };
    let back = &ip[..ip.len().min(h.ip_length as usize).min(most)];
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(back);
    let (own16, to16) = (own.to_be_bytes(), h.src.to_be_bytes());
    let mut frame = Vec::new();
    frame.extend(&l2[6..12]);
    frame.extend(&l2[..6]);
    frame.extend(&l2[ETHERTYPE..]);
    if h.v6 {
        let sum = own16
            .chunks(2)
            .chain(to16.chunks(2))
            .fold(0u32, |s, w| s + u32::from(u16::from_be_bytes([w[0], w[1]])));
        let sum = sum + message.len() as u32 + u32::from(wire::PROTO_ICMPV6);
        put_checksum(&mut message, sum);
        frame.extend([0x60, 0, 0, 0]);
        frame.extend((message.len() as u16).to_be_bytes());
        frame.extend([wire::PROTO_ICMPV6, 64]);
        frame.extend(own16);
        frame.extend(to16);
    } else {
        put_checksum(&mut message, 0);
        let mut header = vec![0x45, 0xC0];
        header.extend((20 + message.len() as u16).to_be_bytes());
        header.extend([0, 0, 0, 0, 64, wire::PROTO_ICMP, 0, 0]);
        header.extend(&own16[12..]);
        header.extend(&to16[12..]);
        let sum = checksum(&header, 0);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(header);
    }
    frame.extend(message);
    Deed::Sent(vec![FromHost {
        way: Way::Out,
        port: packet.port,
        frame,
    }])
}

/// Puts the checksum of an ICMP message, `sum` being that of the pseudo header.
fn put_checksum(message: &mut [u8], sum: u32) {
    let sum = checksum(message, sum);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}
