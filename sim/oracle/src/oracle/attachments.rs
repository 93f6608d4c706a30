//! Who is where, and what is sent to them carries: `docs/semantics.md` sections 3 and 4.

use super::{Attachment, Oracle};
use crate::encapsulate::Outgoing;
use crate::road::Mark;
use crate::{tag, walk};
use seqnic_compiler::definition::{Attachments, Device, Place, Role, Side, State, Tag};
use seqnic_spec::reason::Reason;
use std::net::IpAddr;

impl Oracle {
    pub(super) fn attach_device(&mut self, device: &Device, alone: bool) {
        let name = |side| device.attachment_name(side);
        let absent = (device.state == State::Failed && alone).then_some(Reason::Unavailable);
        match &device.attachments {
            Attachments::One(place) => {
                self.attach(
                    &name(Side::Outside),
                    place,
                    place,
                    &device.addresses,
                    absent,
                );
            }
            Attachments::Two { outside, inside } => {
                self.attach(
                    &name(Side::Outside),
                    outside,
                    inside,
                    &device.addresses,
                    absent,
                );
                self.attach(&name(Side::Inside), inside, outside, &[], None);
            }
            // It has no segment or MAC of its own: its packets come from the host.
            Attachments::Via(_) => {}
        }
    }

    /// Two that share a MAC on a segment are told apart by nobody: the first has the name.
    pub(super) fn attach(
        &mut self,
        name: &str,
        place: &Place,
        back: &Place,
        addresses: &[IpAddr],
        absent: Option<Reason>,
    ) {
        let segment = walk::segment_of(&self.definition, place);
        self.segments.entry(segment).or_insert(place.interface);
        self.senders
            .entry((segment, place.mac.0))
            .or_insert_with(|| name.to_string());
        for address in addresses {
            self.neighbours.entry(*address).or_insert(Attachment {
                name: name.to_string(),
                place: place.clone(),
                back: back.clone(),
                tag: None,
                absent: absent.or(unresolved(place)),
            });
        }
    }

    /// What steps to a role are called by: its primary.
    pub(super) fn role_name(&self, role: &Role, side: Side) -> String {
        self.definition.devices[role.device].attachment_name(side)
    }

    /// Where packets of a client for a role go now, under the name of its primary, or the member's of a pool.
    pub(super) fn towards(
        &self,
        role: &Role,
        side: Side,
        mark: Mark,
        client: IpAddr,
    ) -> Attachment {
        let active = walk::chosen(&self.definition, role, client);
        let named = match role.pool {
            Some(_) => active,
            None => &self.definition.devices[role.device],
        };
        Attachment {
            name: named.attachment_name(side),
            place: walk::place(&self.definition, active, side).clone(),
            back: walk::place(&self.definition, active, side.other()).clone(),
            tag: self.outgoing(active, side, mark),
            absent: match (walk::somebody(&self.definition, role), role.open) {
                (true, _) => unresolved(walk::place(&self.definition, active, side)),
                (false, false) => Some(Reason::Unavailable),
                (false, true) => Some(Reason::Skipped),
            },
        }
    }

    /// The tag a device gets, by the side it is sent to.
    pub(super) fn outgoing(&self, device: &Device, side: Side, mark: Mark) -> Option<Outgoing> {
        let tag = tag::of(&self.definition, mark, device, side).filter(|t| *t != Tag::Dscp)?;
        let place = walk::place(&self.definition, device, side);
        let interface = &self.definition.interfaces[place.interface];
        let pairs = interface.tunnels.iter().filter_map(|own| {
            let theirs = match device.tunnel {
                Some(end) => Some(end).filter(|end| end.is_ipv4() == own.is_ipv4()),
                None => device.address_like(*own),
            };
            theirs.map(|theirs| (*own, theirs))
        });
        Some(Outgoing {
            tag,
            number: mark.number,
            bases: interface.tag_bases,
            ends: tag.is_tunnel().then(|| pairs.into_iter().next()).flatten(),
        })
    }

    pub(super) fn host(&self, host: usize) -> Attachment {
        let host = &self.definition.hosts[host];
        Attachment {
            name: host.name.clone(),
            place: host.place.clone(),
            back: host.place.clone(),
            tag: None,
            absent: unresolved(&host.place),
        }
    }
}

fn unresolved(place: &Place) -> Option<Reason> {
    (!place.mac.is_known()).then_some(Reason::Unresolved)
}
