//! The next hop of a packet: across the gap it is in, as `docs/semantics.md` section 6 has it under
//! "Alerts", "Who may enter" and "Alternates".

use crate::looks::Look;
use crate::road::{Copy, Crossing, Face, Mark, crossings, towards};
use crate::spread;
use crate::tag::{self, Received};
use seqnic_compiler::definition::{
    Alerts, Attachments, Definition, Device, DeviceId, Element, KeyedBy, Party, Place, ReturnWay,
    Role, Service, Side, State, Tag, Tracking,
};
use seqnic_image::names::Direction;
use std::collections::HashSet;
use std::net::IpAddr;

/// What happens to a packet: where it goes, and who gets copies.
#[derive(Debug)]
pub struct Hop<'a> {
    /// Sending device of the sequence and its side; `None` is a client.
    pub from: Option<(&'a Role, Side)>,
    /// The packet starts its way: it enters, or comes from the end.
    pub first: bool,
    /// Whether what came carries a DSCP of ours.
    pub dscp_is_ours: bool,
    pub to: Face<'a>,
    pub copies: Vec<Copy<'a>>,
    /// Taken off the service's port, for packet and copies.
    pub shift: u16,
    /// Whether the source becomes the address of the stage, of packet and copies.
    pub restore: bool,
}

/// Who sent a packet, as far as the engine tells senders apart where it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    pub tracking: Tracking,
    /// Port and VLAN IDs of arrival.
    pub segment: Segment,
    pub mac: [u8; 6],
    /// Tag of the packet, of a kind that is looked for where it arrived.
    pub tag: Option<Received>,
}

/// Port of the card and VLAN IDs, 0 where there is no tag.
pub type Segment = (u8, [u16; 2]);

/// Segment of a VLAN on a port.
pub fn segment(port: u8, vlan: &[u16]) -> Segment {
    let vid = |i| vlan.get(i).copied().unwrap_or(0);
    (port, [vid(0), vid(1)])
}

/// Segment of a place.
pub fn segment_of(definition: &Definition, place: &Place) -> Segment {
    segment(definition.interfaces[place.interface].port, &place.vlan.0)
}

/// Primary and alternates of a role.
pub fn devices<'a>(definition: &'a Definition, role: &'a Role) -> impl Iterator<Item = &'a Device> {
    ids(role).map(|d| &definition.devices[d])
}

fn ids(role: &Role) -> impl Iterator<Item = DeviceId> {
    std::iter::once(role.device).chain(role.alternates.iter().copied())
}

/// Whether any device of a role is left.
pub fn somebody(definition: &Definition, role: &Role) -> bool {
    devices(definition, role).any(|d| d.state == State::Up)
}

/// The device packets of a client go to.
pub fn chosen<'a>(definition: &'a Definition, role: &'a Role, client: IpAddr) -> &'a Device {
    match &role.pool {
        Some(pool) => spread::member(definition, role, pool, client),
        None => active(definition, role),
    }
}

/// The device packets for a role go to: the primary, or the first alternate that is not failed.
pub fn active<'a>(definition: &'a Definition, role: &'a Role) -> &'a Device {
    devices(definition, role)
        .find(|d| d.state == State::Up)
        .unwrap_or(&definition.devices[role.device])
}

/// Where a device is on one side.
pub fn place<'a>(definition: &'a Definition, device: &'a Device, side: Side) -> &'a Place {
    match (&device.attachments, side) {
        (Attachments::One(place), _) => place,
        (Attachments::Two { outside, .. }, Side::Outside) => outside,
        (Attachments::Two { inside, .. }, Side::Inside) => inside,
        (Attachments::Via(host), _) => &definition.hosts[*host].place,
    }
}

/// What happens to a packet of `look` in `direction` from `sender`; `None` is `wrong_sender`.
pub fn next<'a>(
    definition: &Definition,
    service: &'a Service,
    look: &Look,
    direction: Direction,
    sender: Sender,
) -> Option<Hop<'a>> {
    let crossings = crossings(definition, service, direction);
    // From `side` of a device of the role that gets its packets at `far`.
    let sent_by = |role: &Role, (far, side): (Side, Side), mark: Mark, end: bool| {
        devices(definition, role).any(|device| {
            let sent = place(definition, device, far);
            let place = place(definition, device, side);
            let tag = tag::of(definition, mark, device, side);
            match (sender.tag, tag) {
                (Some(found), Some(tag)) => {
                    found == tag::expected(definition, tag, mark.number, sent)
                }
                (Some(_), None) => false,
                // Without its tag only the end is known.
                (None, Some(_)) => end && is_sender(definition, place, sender),
                (None, None) => is_sender(definition, place, sender),
            }
        })
    };
    let by_dscp =
        |role: &Role, side: Side, mark: Mark| leaves_by_dscp(definition, role, side, mark);
    let here = crossings.iter().filter(|c| c.stage == look.stage);

    let mut entry = None;
    for gap in here.clone().filter(|c| c.from.shift() == look.shift) {
        match gap.from {
            Face::World(_) => entry = Some(gap),
            // A device of the sequence sends its packet on.
            Face::Device {
                role,
                side,
                nat,
                mark,
                end,
                far,
                ..
            } if sent_by(role, (far, side), mark, end) => {
                let hop = across(gap, Some((role, side)), nat);
                return Some(Hop {
                    first: end,
                    dscp_is_ours: by_dscp(role, side, mark),
                    ..hop
                });
            }
            Face::Device { .. } => {}
        }
    }
    // A copy device sends an alert: it looks as the copy did, which has no device's port.
    for gap in here.filter(|_| look.shift == 0) {
        for copy in &gap.copies {
            let to = match copy.alerts {
                Alerts::Next => Some(gap.to),
                Alerts::None => None,
                Alerts::To(device) => towards(&crossings, device),
            };
            if let Some(to) = to
                && sent_by(copy.role, (Side::Outside, Side::Outside), copy.mark, false)
            {
                return Some(Hop {
                    from: Some((copy.role, Side::Outside)),
                    first: false,
                    dscp_is_ours: by_dscp(copy.role, Side::Outside, copy.mark),
                    to,
                    copies: Vec::new(),
                    shift: 0,
                    restore: false,
                });
            }
        }
    }
    // Anyone else enters, but nothing with a tag.
    let gap = entry.filter(|_| sender.tag.is_none())?;
    may_enter(definition, service, direction, sender).then(|| across(gap, None, false))
}

fn across<'a>(gap: &Crossing<'a>, from: Option<(&'a Role, Side)>, restore: bool) -> Hop<'a> {
    Hop {
        from,
        first: from.is_none(),
        dscp_is_ours: false,
        to: gap.to,
        copies: gap.copies.clone(),
        shift: gap.from.shift(),
        restore,
    }
}

/// Whether packets of a role's active device from `side` are known by their DSCP.
pub fn leaves_by_dscp(definition: &Definition, role: &Role, side: Side, mark: Mark) -> bool {
    let device = active(definition, role);
    tag::of(definition, mark, device, side) == Some(Tag::Dscp)
}

/// Whether what arrives from `sender` comes from a place, as its segment is tracked.
fn is_sender(definition: &Definition, place: &Place, sender: Sender) -> bool {
    let same_segment = segment_of(definition, place) == sender.segment;
    same_segment
        && (sender.tracking == Tracking::Segment
            || (place.mac.is_known() && place.mac.0 == sender.mac))
}

fn sides(device: &Device) -> &'static [Side] {
    match device.attachments {
        Attachments::Two { .. } => &[Side::Outside, Side::Inside],
        _ => &[Side::Outside],
    }
}

fn may_enter(
    definition: &Definition,
    service: &Service,
    direction: Direction,
    sender: Sender,
) -> bool {
    let is_device = |id: DeviceId| {
        let device = &definition.devices[id];
        sides(device)
            .iter()
            .any(|s| is_sender(definition, place(definition, device, *s), sender))
    };
    if sender.tracking != Tracking::Segment && barred(service).into_iter().any(is_device) {
        return false;
    }
    // The return way of a service keyed by client is entered by anyone.
    let named = match direction {
        Direction::Forward => service.from.as_ref(),
        Direction::Return => None,
    };
    named.is_none_or(|parties| {
        parties.iter().any(|party| match party {
            Party::Host(host) => is_sender(definition, &definition.hosts[*host].place, sender),
            Party::Device(id) => is_device(*id),
        })
    })
}

/// Devices that may not enter: those packets of the service pass or are copied to.
fn barred(service: &Service) -> HashSet<DeviceId> {
    let list = match &service.return_way {
        ReturnWay::List(elements) => elements.as_slice(),
        _ => &[],
    };
    let last = service
        .sequence
        .iter()
        .rposition(|e| matches!(e, Element::Device { .. }));
    let end = last.filter(|_| service.keyed_by == KeyedBy::Destination);
    let sequence = service.sequence.iter().enumerate();
    sequence
        .filter(|(at, _)| Some(*at) != end)
        .map(|(_, element)| element)
        .chain(list)
        .flat_map(|element| match element {
            Element::Device { role, .. } | Element::Copy { role, .. } => ids(role),
        })
        .collect()
}
