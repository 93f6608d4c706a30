//! Who is where: segments, senders, attachment slots, neighbours.
//!
//! Every host and every side of a device has a *plain slot* (an attachment number of its own);
//! hosts come first, then devices, `outside` before `inside`. A role with alternates, or an address
//! of the other family, has a slot of its own, so that fail-over is one word for each slot.

use super::model::{AttachmentRow, InterfaceRow, SourceRow};
use super::spread;
use super::tags::Tags;
use crate::definition::{
    Attachments, Definition, Device, DeviceId, HostId, InterfaceId, Party, Place, Pool, Role, Side,
    State, Tracking,
};
use indexmap::IndexMap;
use seqnic_spec::tables::{attachment_state, position, position_kind};
use std::collections::HashMap;
use std::net::IpAddr;

/// Port of the card, outer and inner VLAN ID.
type SegmentKey = (u8, [u16; 2]);

/// A slot other than a plain one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SlotKey {
    plain: u32,
    alternates: Vec<DeviceId>,
    v6: bool,
    open: bool,
    pool: Option<Pool>,
}

/// Everything known of interfaces, hosts and devices.
#[derive(Debug)]
pub(super) struct Attached<'d> {
    pub(super) definition: &'d Definition,
    /// Segments in order; the number is the place plus 1. The value is the interface.
    segments: IndexMap<SegmentKey, InterfaceId>,
    /// Attachment number of each (segment, MAC); the first that has it.
    senders: IndexMap<(u32, u64), u32>,
    /// Plain slot of each device's outside.
    plain: Vec<u32>,
    /// Position of packets from each plain slot.
    positions: Vec<u32>,
    slots: HashMap<SlotKey, u32>,
    /// What tags ask for.
    pub(super) tags: Tags,
    pub rows: Vec<AttachmentRow>,
    pub names: Vec<String>,
    /// What tells slots of one name apart.
    pub roles: Vec<String>,
    /// First slots of pools, and how many they have.
    pub pools: Vec<(u32, u32)>,
}

impl<'d> Attached<'d> {
    pub fn of(definition: &'d Definition) -> Attached<'d> {
        let mut this = Attached {
            definition,
            segments: IndexMap::new(),
            senders: IndexMap::new(),
            plain: Vec::with_capacity(definition.devices.len()),
            positions: Vec::new(),
            slots: HashMap::new(),
            tags: Tags::default(),
            rows: Vec::new(),
            names: Vec::new(),
            roles: Vec::new(),
            pools: Vec::new(),
        };
        for (id, i) in definition.interfaces.iter().enumerate() {
            this.segments.entry((i.port, vids(&i.vlan.0))).or_insert(id);
        }
        for host in &definition.hosts {
            this.add_plain(host.name.clone(), &host.place, host.addresses.first());
        }
        let alone = definition.alone();
        for (id, device) in definition.devices.iter().enumerate() {
            this.plain.push(this.rows.len() as u32);
            for side in sides(device) {
                let place = this.place(device, *side);
                let name = device.attachment_name(*side);
                let number = this.rows.len();
                this.add_plain(name, place, device.addresses.first());
                // Where an alternate stands in, a fail-over writes its row and no other.
                if device.state == State::Failed && alone.contains(&id) {
                    this.rows[number].state = attachment_state::UNAVAILABLE;
                }
            }
        }
        // Only now every segment and sender is known.
        for (id, host) in definition.hosts.iter().enumerate() {
            this.rows[id].comes_from = this.sender(&host.place);
        }
        for (id, device) in definition.devices.iter().enumerate() {
            for side in sides(device) {
                let back = this.sender(this.place(device, side.other()));
                let plain = this.plain(id, *side) as usize;
                this.rows[plain].comes_from = back;
            }
        }
        let hosts = definition.hosts.iter().map(|h| &h.place);
        let devices = definition.devices.iter();
        let devices = devices.flat_map(|d| sides(d).iter().map(|s| this.place(d, *s)));
        this.positions = hosts.chain(devices).map(|p| this.position(p)).collect();
        this
    }

    fn add_plain(&mut self, name: String, place: &Place, address: Option<&IpAddr>) {
        let number = self.rows.len() as u32;
        let key = self.segment_key(place);
        self.segments.entry(key).or_insert(place.interface);
        let segment = self.segment(place);
        // A device reached through a host has no MAC of its own there: the host stands first.
        self.senders
            .entry((segment, place.mac.value()))
            .or_insert(number);
        let mut row = self.row(place, address.copied());
        row.counts = number;
        self.rows.push(row);
        self.names.push(name);
        self.roles.push(String::new());
    }

    fn row(&self, place: &Place, address: Option<IpAddr>) -> AttachmentRow {
        let interface = &self.definition.interfaces[place.interface];
        AttachmentRow {
            state: match place.mac.is_known() {
                true => attachment_state::HERE,
                false => attachment_state::UNRESOLVED,
            },
            port: interface.port,
            interface: place.interface as u32,
            tags: place.vlan.0.len() as u8,
            vids: vids(&place.vlan.0),
            dst_mac: match place.mac.is_known() {
                true => place.mac.value(),
                false => 0,
            },
            src_mac: interface.mac.value(),
            address,
            mtu: interface.mtu.unwrap_or(0),
            encap: 0,
            comes_from: 0,
            counts: 0,
        }
    }

    fn segment_key(&self, place: &Place) -> SegmentKey {
        let port = self.definition.interfaces[place.interface].port;
        (port, vids(&place.vlan.0))
    }

    pub(super) fn segment(&self, place: &Place) -> u32 {
        let at = self.segments.get_index_of(&self.segment_key(place));
        at.map_or(0, |at| at as u32 + 1)
    }

    /// Where `device` is on `side`.
    pub fn place(&self, device: &'d Device, side: Side) -> &'d Place {
        match (&device.attachments, side) {
            (Attachments::One(place), _) => place,
            (Attachments::Two { outside, .. }, Side::Outside) => outside,
            (Attachments::Two { inside, .. }, Side::Inside) => inside,
            (Attachments::Via(host), _) => &self.definition.hosts[*host].place,
        }
    }

    /// Number that packets from a place have as sender.
    fn sender(&self, place: &Place) -> u32 {
        let key = (self.segment(place), place.mac.value());
        self.senders.get(&key).copied().unwrap_or(0)
    }

    /// Plain slot of a device's side.
    pub fn plain(&self, id: DeviceId, side: Side) -> u32 {
        let inside = sides(&self.definition.devices[id]).len() > 1 && side == Side::Inside;
        self.plain[id] + u32::from(inside)
    }

    /// Slot of a host.
    pub fn host(&self, id: HostId) -> u32 {
        id as u32
    }

    /// Slot of a role's side, carrying an address of the family of `like` where that matters.
    pub fn slot(&mut self, role: &Role, side: Side, like: Option<IpAddr>) -> u32 {
        let primary = &self.definition.devices[role.device];
        let own = primary.addresses.first().is_some_and(IpAddr::is_ipv6);
        let v6 = like.map_or(own, |a| a.is_ipv6());
        let plain = self.plain(role.device, side);
        if role.alternates.is_empty() && v6 == own && !role.open {
            return plain;
        }
        let key = SlotKey {
            plain,
            alternates: role.alternates.clone(),
            v6,
            open: role.open,
            pool: role.pool.clone(),
        };
        if let Some(number) = self.slots.get(&key) {
            return *number;
        }
        let number = self.rows.len() as u32;
        let says = self.role_name(role, v6);
        if let Some(pool) = &role.pool {
            let buckets = 1 << pool.bits;
            for bucket in 0..buckets {
                let member = spread::member(self.definition, role, pool, bucket);
                let counts = self.plain(member, side);
                let says = format!("bucket {bucket} of {buckets}, {says}");
                self.add_slot(role, (member, side), v6, counts, says);
            }
            self.pools.push((number, buckets));
        } else {
            self.add_slot(role, (self.active(role), side), v6, number, says);
        }
        self.slots.insert(key, number);
        number
    }

    /// A slot of a role, at a device's side.
    fn add_slot(
        &mut self,
        role: &Role,
        (device, side): (DeviceId, Side),
        v6: bool,
        counts: u32,
        says: String,
    ) {
        let device = &self.definition.devices[device];
        let address = device.addresses.iter().find(|a| a.is_ipv6() == v6);
        let mut row = self.row(self.place(device, side), address.copied());
        row.comes_from = self.sender(self.place(device, side.other()));
        row.counts = counts;
        if device.state == State::Failed {
            row.state = match role.open {
                true => attachment_state::SKIPPED,
                false => attachment_state::UNAVAILABLE,
            };
        }
        self.rows.push(row);
        let plain = self.plain(role.device, side);
        self.names.push(self.names[plain as usize].clone());
        self.roles.push(says);
    }

    /// The slots of a role from `slot` on, each with the device it leads to.
    pub fn slot_devices(&self, role: &Role, slot: u32) -> Vec<(u32, DeviceId)> {
        match &role.pool {
            None => vec![(slot, self.active(role))],
            Some(pool) => (0..1 << pool.bits)
                .map(|n| (slot + n, spread::member(self.definition, role, pool, n)))
                .collect(),
        }
    }

    fn role_name(&self, role: &Role, v6: bool) -> String {
        let name = |id: &DeviceId| self.definition.devices[*id].name.as_str();
        let mut others: Vec<String> = role.alternates.iter().map(|a| name(a).to_owned()).collect();
        if let Some(pool) = &role.pool {
            let weights = pool.weights.iter().map(u8::to_string);
            others.push(format!("by {}", weights.collect::<Vec<_>>().join(":")));
        }
        let family = if v6 { "IPv6" } else { "IPv4" };
        let open = if role.open { " open" } else { "" };
        format!("{family} {}{open}", others.join(" "))
    }

    /// The device that stands in the role now: the primary, or its first alternate that is not
    /// failed; with all of them failed the primary.
    pub(super) fn active(&self, role: &Role) -> DeviceId {
        let up = |id: &DeviceId| self.definition.devices[*id].state == State::Up;
        role_devices(role).find(up).unwrap_or(role.device)
    }

    /// Position of packets from a place.
    fn position(&self, place: &Place) -> u32 {
        let key = self.segment_key(place);
        let segment = self.segment(place);
        let interface = self.segments.get(&key).copied().unwrap_or(place.interface);
        match self.definition.interfaces[interface].tracking {
            Tracking::Segment => position(position_kind::SEGMENT, segment),
            Tracking::SourceMac | Tracking::Tag(_) => {
                let sender = self.senders.get(&(segment, place.mac.value()));
                position(position_kind::ATTACHMENT, sender.copied().unwrap_or(0))
            }
        }
    }

    /// Position of packets from a device's side.
    pub fn device_position(&self, id: DeviceId, side: Side) -> u32 {
        self.positions[self.plain(id, side) as usize]
    }

    /// Positions of packets from every attachment of a device.
    pub fn device_positions(&self, id: DeviceId) -> impl Iterator<Item = u32> + '_ {
        let first = self.plain[id] as usize;
        let count = sides(&self.definition.devices[id]).len();
        self.positions[first..first + count].iter().copied()
    }

    /// Positions of packets from a party.
    pub fn party_positions(&self, party: &Party) -> Vec<u32> {
        match party {
            Party::Host(id) => vec![self.positions[self.host(*id) as usize]],
            Party::Device(id) => self.device_positions(*id).collect(),
        }
    }

    pub fn interface_rows(&self) -> Vec<InterfaceRow> {
        let segments = self.segments.iter().enumerate();
        let mut rows: Vec<_> = segments
            .map(|(at, ((port, vids), id))| {
                let interface = &self.definition.interfaces[*id];
                InterfaceRow {
                    port: *port,
                    vids: *vids,
                    interface: *id as u32,
                    segment: at as u32 + 1,
                    mac: interface.mac.value(),
                    promiscuous: interface.promiscuous,
                    tracked_by_segment: interface.tracking == Tracking::Segment,
                    accepts: 0,
                    trust: interface.trust,
                }
            })
            .collect();
        self.accept(&mut rows);
        rows
    }

    pub fn source_rows(&self) -> Vec<SourceRow> {
        // Nobody sends from a MAC that is not known yet.
        let unknown = |mac: u64| mac >> 40 & 1 == 1;
        self.senders
            .iter()
            .filter(|((_, mac), _)| !unknown(*mac))
            .map(|((segment, mac), attachment)| SourceRow {
                segment: *segment,
                mac: *mac,
                attachment: *attachment,
            })
            .collect()
    }

    /// Addresses the engine reaches directly, with their attachment; the first that has one counts.
    pub fn neighbours(&self) -> impl Iterator<Item = (IpAddr, u32)> + '_ {
        let hosts = self.definition.hosts.iter().enumerate();
        let hosts = hosts.flat_map(|(id, h)| h.addresses.iter().map(move |a| (*a, id as u32)));
        let devices = self.definition.devices.iter().zip(&self.plain);
        let attached = devices.filter(|(d, _)| !matches!(d.attachments, Attachments::Via(_)));
        let devices = attached.flat_map(|(d, slot)| d.addresses.iter().map(|a| (*a, *slot)));
        hosts.chain(devices)
    }
}

/// Primary and alternates.
pub(super) fn role_devices(role: &Role) -> impl Iterator<Item = DeviceId> + '_ {
    std::iter::once(role.device).chain(role.alternates.iter().copied())
}

fn sides(device: &Device) -> &'static [Side] {
    match device.attachments {
        Attachments::Two { .. } => &[Side::Outside, Side::Inside],
        Attachments::One(_) | Attachments::Via(_) => &[Side::Outside],
    }
}

fn vids(vlan: &[u16]) -> [u16; 2] {
    let vid = |i: usize| vlan.get(i).copied().unwrap_or(0);
    [vid(0), vid(1)]
}
