//! Who is on the engine's networks: MACs that the definition leaves to be learned, and strangers.
//!
//! The kernel resolves addresses for the engine's interfaces as for its own (ARP, neighbour discovery): it is told that
//! an address is used, and what it finds out is read from its neighbour table. Strangers are told by the card, which
//! gives the host their packets without a sender.

use crate::api::{Discovered, NeighbourStatus};
use crate::linux::netlink::Neighbour;
use seqnic_compiler::definition::{Attachments, Definition, Mac, Place, Side};
use seqnic_model::parse::Headers;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Strangers that are kept: the newest.
const STRANGERS: usize = 256;

/// An attachment whose MAC is learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub attachment: String,
    /// Number of its interface.
    pub interface: u16,
    /// What it is asked by, the first that the kernel finds.
    pub addresses: Vec<IpAddr>,
}

fn wanted_at(name: String, place: &Place, own: &[IpAddr]) -> Option<Wanted> {
    let by = place.address.into_iter().chain(own.iter().copied());
    place.learned.then(|| Wanted {
        attachment: name,
        interface: place.interface as u16,
        addresses: by.collect(),
    })
}

/// All of a definition.
pub fn wanted(definition: &Definition) -> Vec<Wanted> {
    let hosts = definition.hosts.iter();
    let hosts = hosts.filter_map(|h| wanted_at(h.name.clone(), &h.place, &h.addresses));
    let devices = definition.devices.iter().flat_map(|d| {
        let sides: Vec<(Side, &Place, &[IpAddr])> = match &d.attachments {
            Attachments::One(place) => vec![(Side::Outside, place, &d.addresses)],
            Attachments::Two { outside, inside } => vec![
                (Side::Outside, outside, &d.addresses),
                (Side::Inside, inside, &[]),
            ],
            Attachments::Via(_) => Vec::new(),
        };
        let at = |(side, place, own)| wanted_at(d.attachment_name(side), place, own);
        sides.into_iter().filter_map(at).collect::<Vec<_>>()
    });
    hosts.chain(devices).collect()
}

/// Puts learned MACs, by attachment, where the definition leaves them to be learned.
pub fn put(definition: &mut Definition, macs: &BTreeMap<String, String>) {
    let known = |name: &str| macs.get(name).and_then(|text| parse(text));
    for host in &mut definition.hosts {
        if let (true, Some(mac)) = (host.place.learned, known(&host.name)) {
            host.place.mac = mac;
        }
    }
    for device in &mut definition.devices {
        let names = [Side::Outside, Side::Inside].map(|side| device.attachment_name(side));
        let places: Vec<&mut Place> = match &mut device.attachments {
            Attachments::One(place) => vec![place],
            Attachments::Two { outside, inside } => vec![outside, inside],
            Attachments::Via(_) => Vec::new(),
        };
        for (place, name) in places.into_iter().zip(&names) {
            if let (true, Some(mac)) = (place.learned, known(name)) {
                place.mac = mac;
            }
        }
    }
}

fn parse(text: &str) -> Option<Mac> {
    let bytes: Option<Vec<u8>> = (text.split(':'))
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    let mac = Mac(bytes?.try_into().ok()?);
    mac.is_known().then_some(mac)
}

/// What the kernel's table says of those that are wanted: `interface` gives the number of the interface whose device has
/// an index.
pub fn states(
    wanted: &[Wanted],
    table: &[Neighbour],
    interface: impl Fn(u32) -> Option<u16>,
) -> Vec<NeighbourStatus> {
    let of = |w: &Wanted| {
        let here = |n: &&Neighbour| interface(n.index) == Some(w.interface);
        let found = |address: &IpAddr| table.iter().filter(here).find(|n| n.address == *address);
        let mut all = w.addresses.iter().filter_map(found);
        // One with a MAC tells more than one without.
        let best = (all.clone().find(|n| n.mac.is_some())).or_else(|| all.next());
        NeighbourStatus {
            attachment: w.attachment.clone(),
            addresses: w.addresses.clone(),
            mac: best.and_then(|n| n.mac).map(|mac| Mac(mac).to_string()),
            state: best.map_or("none", |n| n.state).to_string(),
        }
    };
    wanted.iter().map(of).collect()
}

/// Who sends and is in no definition.
#[derive(Debug, Default)]
pub struct Strangers(BTreeMap<(u16, [u8; 6]), Stranger>);

#[derive(Debug, Default)]
struct Stranger {
    addresses: Vec<IpAddr>,
    packets: u64,
    first: u64,
    last: u64,
}

/// The address that the sender of a frame says it has: of ARP (RFC 826), or of an IP packet from the network itself.
pub fn sender_address(
    frame: &[u8],
    h: &Headers,
    definition: &Definition,
    interface: u16,
) -> Option<IpAddr> {
    let own = &definition.interfaces.get(usize::from(interface))?.addresses;
    let address = if h.ethertype == 0x0806 {
        let at = 14 + 4 * usize::from(h.tags) + 14;
        let bytes: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
        IpAddr::from(Ipv4Addr::from(bytes))
    } else if h.is_ip() && h.v6 {
        IpAddr::from(h.src.to_be_bytes())
    } else if h.is_ip() {
        IpAddr::from((h.src as u32).to_be_bytes())
    } else {
        return None;
    };
    let near = own.iter().any(|(network, bits)| {
        let of = |address| {
            let bits = *bits;
            seqnic_compiler::definition::Prefix { address, bits }.first()
        };
        network.is_ipv4() == address.is_ipv4() && of(*network) == of(address)
    });
    (near && !address.is_unspecified()).then_some(address)
}

impl Strangers {
    /// A frame came from somebody no definition has. `now` is in seconds; `true`: it is new.
    pub fn saw(&mut self, interface: u16, mac: [u8; 6], address: Option<IpAddr>, now: u64) -> bool {
        let new = !self.0.contains_key(&(interface, mac));
        if new && self.0.len() >= STRANGERS {
            let oldest = self.0.iter().min_by_key(|(_, s)| s.last).map(|(k, _)| *k);
            oldest.map(|key| self.0.remove(&key));
        }
        let stranger = self.0.entry((interface, mac)).or_default();
        if new {
            stranger.first = now;
        }
        (stranger.last, stranger.packets) = (now, stranger.packets + 1);
        if let Some(address) = address
            && !stranger.addresses.contains(&address)
            && stranger.addresses.len() < 8
        {
            stranger.addresses.push(address);
        }
        new
    }

    /// Forgets those a definition has now.
    pub fn follow(&mut self, definition: &Definition) {
        let mut known: Vec<(u16, [u8; 6])> = Vec::new();
        let mut add = |place: &Place| known.push((place.interface as u16, place.mac.0));
        definition.hosts.iter().for_each(|h| add(&h.place));
        for device in &definition.devices {
            match &device.attachments {
                Attachments::One(place) => add(place),
                Attachments::Two { outside, inside } => {
                    [outside, inside].into_iter().for_each(&mut add)
                }
                Attachments::Via(_) => {}
            }
        }
        self.0.retain(|key, _| !known.contains(key));
    }

    pub fn list(&self, name: impl Fn(u16) -> Option<String>) -> Vec<Discovered> {
        let one = |((interface, mac), s): (&(u16, [u8; 6]), &Stranger)| {
            Some(Discovered {
                interface: name(*interface)?,
                mac: Mac(*mac).to_string(),
                addresses: s.addresses.clone(),
                packets: s.packets,
                first: s.first,
                last: s.last,
            })
        };
        self.0.iter().filter_map(one).collect()
    }
}
