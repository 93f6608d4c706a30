//! Who may enter a service, where its packets leave, and who is told from whom on the way.

use super::element::{RawElement, RawRole};
use super::sequence::{Check, places_of};
use super::service::RawReturn;
use super::tags::tag_on;
use super::{DeviceId, KeyedBy, Party};
use crate::diagnostic::{Diagnostic, Span};
use std::collections::{HashMap, HashSet};

impl Check<'_> {
    /// `from`, `exit`, `clients`.
    pub fn parties(&mut self) {
        if self.raw.keyed_by == Some(KeyedBy::Destination)
            && let Some(span) = self.raw.says_exit
        {
            self.f.error(
                "exit_without_client_key",
                format!(
                    "{} has `exit`, but its packets end at its last device",
                    self.service
                ),
                span,
                "remove `exit`; `clients` says where return packets leave; a service of packets that go \
                 on is `keyed_by: client`",
            );
        }
        let Some(from) = &self.raw.from else { return };
        let Some(sequence) = &self.raw.sequence else {
            return;
        };
        let returning: &[RawElement] = match &self.raw.return_way {
            Some(RawReturn::List(list, _)) => list,
            _ => &[],
        };
        let end = self.end;
        let inner: HashMap<DeviceId, Span> = sequence
            .value
            .iter()
            .enumerate()
            .filter(|(n, _)| Some(*n) != end)
            .map(|(_, e)| e)
            .chain(returning)
            .flat_map(|e| e.role.iter().flat_map(RawRole::all).map(|id| (id, e.span)))
            .collect();
        for party in from {
            let Party::Device(id) = party.value else {
                continue;
            };
            if let Some(there) = inner.get(&id) {
                let name = self.name(id);
                self.f.push(
                    Diagnostic::new(
                        "from_inside",
                        format!("`from` of {} names `{name}`, which packets pass", self.service),
                        party.span,
                        "what a device of the sequence sends is on its way already, it cannot enter \
                         again: remove it from `from`",
                    )
                    .also(*there, "in the sequence"),
                );
            }
        }
    }

    /// Two devices of one direction that send from the same place, and that no tag tells apart.
    pub fn places(&mut self) {
        let Some(sequence) = &self.raw.sequence else {
            return;
        };
        let list = match &self.raw.return_way {
            Some(RawReturn::List(list, _)) => Some(list),
            _ => None,
        };
        let mut reported: HashSet<(DeviceId, DeviceId)> = HashSet::new();
        for way in std::iter::once(&sequence.value).chain(list) {
            let mut taken: HashMap<_, DeviceId> = HashMap::new();
            for (at, element) in way.iter().enumerate() {
                // The end may answer without its tag.
                let listed = !std::ptr::eq(way, &sequence.value);
                let is_end = !listed && Some(at) == self.end;
                // What a return list does not say, it has from the sequence.
                let like = |e: &&RawElement| listed && e.first() == element.first();
                let same = sequence.value.iter().find(like);
                let said = element.tracking.or(same.and_then(|e| e.tracking));
                for id in element.role.iter().flat_map(RawRole::all) {
                    let Some(device) = self.device(id) else {
                        continue;
                    };
                    for place in places_of(&device.attachments) {
                        let interface = self.network.interfaces.get(place.interface);
                        let tag = interface.and_then(|i| tag_on(said, &i.value));
                        if tag.is_some() && !is_end {
                            continue;
                        }
                        let key = (place.interface, &place.vlan, place.mac);
                        let other = *taken.entry(key).or_insert(id);
                        if other == id || !reported.insert((other.min(id), other.max(id))) {
                            continue;
                        }
                        let (name, span) = (&device.name, place.span);
                        let first = self.name(other);
                        let at = self.network.devices.get(other).map(|d| d.value.span);
                        let diagnostic = Diagnostic::new(
                            "same_place",
                            format!(
                                "`{name}` and `{first}` of {} have one MAC address in one segment",
                                self.service
                            ),
                            span,
                            "packets are told by who sent them: correct the MAC address, attach one of the two to \
                             another VLAN or interface, or track one by a tag (`tracking`)",
                        );
                        self.f.push(match at {
                            Some(at) => diagnostic.also(at, "the other device"),
                            None => diagnostic,
                        });
                    }
                }
            }
        }
    }
}
