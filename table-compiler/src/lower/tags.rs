//! Tags: who sends with which, where they come back, and the rows of `interface`, `decap` and `encap`
//! for it. `docs/semantics.md` section 6, "Tags".

use super::attached::Attached;
use super::model::{DecapRow, EncapRow, InterfaceRow};
use super::way::{From, Mark};
use crate::definition::tags::tag_on;
use crate::definition::{DeviceId, InterfaceId, MdType, Role, Side, Tag};
use indexmap::IndexSet;
use seqnic_spec::tables::{accepts, position, position_kind, tag_kind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What tags ask of rows that many services share.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// Tags read on an interface.
    accepts: BTreeMap<InterfaceId, u32>,
    /// Segments, and VLAN IDs of tags on them.
    vids: BTreeSet<(u32, u16)>,
    /// Slots packets are sent to with a tag: who is there now.
    slots: BTreeMap<u32, Tagged>,
}

#[derive(Debug, Clone, Copy)]
struct Tagged {
    device: DeviceId,
    side: Side,
    tunnel: bool,
}

const HEADERS: u32 = accepts::MPLS | accepts::NSH | accepts::VXLAN | accepts::GPE | accepts::GRE;

/// Bit of a tag in `accepts`.
fn accepted(tag: Tag) -> u32 {
    match tag {
        Tag::Dscp => accepts::DSCP,
        Tag::Vlan => accepts::VLAN,
        Tag::Mpls => accepts::MPLS,
        Tag::Nsh(_) => accepts::NSH,
        Tag::Vxlan => accepts::VXLAN,
        Tag::Gpe(_) => accepts::GPE,
        Tag::Gre => accepts::GRE,
    }
}

/// Number of a header in `action.tag_kind`.
fn kind(tag: Tag) -> u32 {
    match tag {
        Tag::Dscp => tag_kind::NONE,
        Tag::Vlan => tag_kind::VLAN,
        Tag::Mpls => tag_kind::MPLS,
        Tag::Nsh(MdType::One) => tag_kind::NSH1,
        Tag::Nsh(MdType::Two) => tag_kind::NSH2,
        Tag::Vxlan => tag_kind::VXLAN,
        Tag::Gpe(MdType::One) => tag_kind::GPE1,
        Tag::Gpe(MdType::Two) => tag_kind::GPE2,
        Tag::Gre => tag_kind::GRE,
    }
}

/// DSCP of pool 2 (RFC 2474 section 6) that says `number`.
fn dscp(number: u32) -> u8 {
    (number << 2) as u8 | 3
}

impl Attached<'_> {
    /// Tag of an element's device on one of its sides.
    fn tag(&self, id: DeviceId, side: Side, mark: Mark) -> Option<Tag> {
        let definition = self.definition;
        let place = definition.devices[id].place(side)?;
        tag_on(mark.own, &definition.interfaces[place.interface])
    }

    /// Kind and number of the header packets have that are sent to the side of a role, whose slot is
    /// `slot`.
    pub fn sent(&mut self, role: &Role, slot: u32, side: Side, mark: Mark) -> (u32, u32) {
        let tag = self.tag(role.device, side, mark);
        let Some(tag) = tag.filter(|t| *t != Tag::Dscp) else {
            return (tag_kind::NONE, 0);
        };
        for (slot, device) in self.slot_devices(role, slot) {
            let there = self.tags.slots.entry(slot).or_insert(Tagged {
                device,
                side,
                tunnel: false,
            });
            there.tunnel |= tag.is_tunnel();
        }
        (kind(tag), mark.number)
    }

    /// DSCP set on packets that go from an element to another, or out.
    pub fn dscp(
        &self,
        from: &From,
        to: Option<(&Role, Side, Mark)>,
        service: Option<u8>,
    ) -> Option<u8> {
        let by_dscp =
            |role: &Role, side, mark| self.tag(role.device, side, mark) == Some(Tag::Dscp);
        if let Some((role, leaves, mark)) = to
            && by_dscp(role, leaves, mark)
        {
            return Some(dscp(mark.number));
        }
        let service = to.and_then(|(_, _, mark)| mark.dscp).or(service);
        match from {
            From::Device {
                role, side, mark, ..
            } if by_dscp(role, *side, *mark) => Some(service.unwrap_or(0)),
            _ => service,
        }
    }

    /// Position of packets that come from a device of an element with their tag; `None` if they have
    /// none. The rows that read it are asked for.
    pub fn returned(
        &mut self,
        id: DeviceId,
        entered: Side,
        leaves: Side,
        mark: Mark,
    ) -> Option<u32> {
        let tag = self.tag(id, leaves, mark)?;
        let device = &self.definition.devices[id];
        let (sent, back) = (device.place(entered)?, device.place(leaves)?);
        let bases = &self.definition.interfaces[sent.interface].tag_bases;
        let number = mark.number;
        let (kind, value) = match tag {
            Tag::Dscp => (position_kind::DSCP, dscp(number).into()),
            Tag::Vlan => (position_kind::VLAN, u32::from(bases.vlan) + number),
            Tag::Mpls => (position_kind::MPLS, u32::from(bases.mpls) + number),
            // The device counts the index down (RFC 8300 section 4.3).
            Tag::Nsh(_) | Tag::Gpe(_) => (position_kind::NSH, 255u32.saturating_sub(number)),
            Tag::Vxlan => (position_kind::VXLAN, u32::from(bases.vni) + number),
            Tag::Gre => (position_kind::GRE, u32::from(bases.gre) + number),
        };
        *self.tags.accepts.entry(back.interface).or_default() |= accepted(tag);
        if tag == Tag::Vlan {
            let segment = self.segment(back);
            self.tags.vids.insert((segment, value as u16));
        }
        Some(position(kind, value))
    }

    /// Adds to rows of segments what is read there, and rows of the segments' tags.
    pub fn accept(&self, rows: &mut Vec<InterfaceRow>) {
        for row in rows.iter_mut() {
            let accepts = self.tags.accepts.get(&(row.interface as usize));
            // A VLAN ID of the segment itself is no tag.
            row.accepts = accepts.copied().unwrap_or(0) & !accepts::VLAN;
        }
        for (segment, vid) in &self.tags.vids {
            let Some(own) = rows.iter().find(|r| r.segment == *segment) else {
                continue;
            };
            let vids = match own.vids {
                [0, _] => [*vid, 0],
                [outer, _] => [outer, *vid],
            };
            let accepts = own.accepts | accepts::VLAN;
            rows.push(InterfaceRow {
                vids,
                accepts,
                ..own.clone()
            });
        }
    }

    /// What each port takes off.
    pub fn decaps(&self) -> Vec<DecapRow> {
        let mut rows: Vec<DecapRow> = Vec::new();
        for (id, interface) in self.definition.interfaces.iter().enumerate() {
            let accepts = self.tags.accepts.get(&id).copied().unwrap_or(0) & HEADERS;
            let at = usize::from(interface.port);
            if (accepts != 0 || !interface.tunnels.is_empty()) && rows.len() <= at {
                rows.resize(at + 1, DecapRow::default());
            }
            let Some(row) = rows.get_mut(at) else {
                continue;
            };
            row.accepts |= accepts;
            for end in &interface.tunnels {
                match end {
                    IpAddr::V4(a) => row.v4 = Some(*a),
                    IpAddr::V6(a) => row.v6 = Some(*a),
                }
            }
        }
        rows
    }

    /// Rows of `encap`, which the slots are told.
    pub fn encaps(&mut self) -> Vec<Option<EncapRow>> {
        // Row 0 is that of slots without one.
        let mut rows = IndexSet::from([None]);
        for (slot, tagged) in &self.tags.slots {
            let device = &self.definition.devices[tagged.device];
            let Some(place) = device.place(tagged.side) else {
                continue;
            };
            let interface = &self.definition.interfaces[place.interface];
            let row = EncapRow {
                ends: device.tunnel_ends(interface).filter(|_| tagged.tunnel),
                bases: interface.tag_bases,
            };
            let number = rows.insert_full(Some(row)).0 as u32;
            if let Some(row) = self.rows.get_mut(*slot as usize) {
                row.encap = number;
            }
        }
        rows.into_iter().collect()
    }
}
