//! The engine's interfaces as network devices of this host.
//!
//! Each interface of the definition is a TAP device with its MAC and addresses. What the card gives to the
//! host for the engine itself goes in there without its VLAN tags, what the kernel sends comes out of
//! there and leaves by the interface's port with its tags. So the kernel answers ARP, neighbour discovery
//! and ping for the engine's addresses, and any program of the host (routing, DHCP, keepalived) can
//! use them.

pub mod netlink;

use crate::lock;
use crate::pair::Own;
use netlink::Netlink;
use seqnic_card::software::port;
use seqnic_card::{Card, FromHost, Way};
use seqnic_compiler::definition::{Definition, Interface};
use seqnic_spec::wire::{MAX_FRAME_BYTES, TPID_C, TPID_S};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};

/// MTU where the definition says none.
const MTU: u16 = 1500;
/// Longest name of a network device.
const NAME: usize = 15;
/// How long the reader waits before it looks for new devices, ms.
const WAIT_MS: i32 = 200;

/// One interface of the engine.
struct Tap {
    name: String,
    index: u32,
    file: File,
    port: u8,
    vlan: Vec<u16>,
    /// What the device was made from: another one is made if that changes.
    made_of: (String, [u8; 6], Vec<(std::net::IpAddr, u8)>, u16),
}

/// All of them.
pub struct Taps {
    prefix: String,
    /// Which addresses of an interface are this host's.
    own: Own,
    /// By number of the interface.
    taps: Mutex<BTreeMap<u16, Arc<Tap>>>,
}

/// What could not be done for an interface, for the log.
pub struct Trouble {
    pub interface: String,
    pub what: String,
}

impl Taps {
    pub fn new(prefix: &str, own: Own) -> Taps {
        Taps {
            prefix: prefix.to_string(),
            own,
            taps: Mutex::default(),
        }
    }

    /// Makes the devices of a definition, and removes those it does not have. What fails is told, the
    /// others are made.
    pub fn follow(&self, definition: &Definition) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let mut taps = lock(&self.taps);
        let mut kept = BTreeMap::new();
        for (number, interface) in definition.interfaces.iter().enumerate() {
            let number = number as u16;
            let made_of = made_of(interface, &self.own);
            let same = taps.remove(&number).filter(|tap| {
                tap.made_of == made_of && tap.port == interface.port && tap.vlan == interface.vlan.0
            });
            let tap = match same {
                Some(tap) => Ok(tap),
                None => make(&self.name(&interface.name), interface, made_of).map(Arc::new),
            };
            match tap {
                Ok(tap) => {
                    kept.insert(number, tap);
                }
                Err(e) => troubles.push(Trouble {
                    interface: interface.name.clone(),
                    what: e.to_string(),
                }),
            }
        }
        // A device lives as long as its file is open.
        *taps = kept;
        troubles
    }

    fn name(&self, interface: &str) -> String {
        device(&self.prefix, interface)
    }

    /// Names of the devices, by number of the interface.
    pub fn names(&self) -> BTreeMap<u16, String> {
        let taps = lock(&self.taps);
        taps.iter().map(|(n, tap)| (*n, tap.name.clone())).collect()
    }

    /// Index of the device of an interface.
    pub fn index(&self, interface: u16) -> Option<u32> {
        lock(&self.taps).get(&interface).map(|tap| tap.index)
    }

    /// Number of the interface whose device has an index.
    pub fn interface(&self, index: u32) -> Option<u16> {
        let taps = lock(&self.taps);
        taps.iter()
            .find(|(_, tap)| tap.index == index)
            .map(|(n, _)| *n)
    }

    /// Gives the kernel a frame that arrived on an interface. `false`: there is no device.
    pub fn deliver(&self, interface: u16, frame: &[u8]) -> bool {
        let tap = lock(&self.taps).get(&interface).cloned();
        let Some(tap) = tap else {
            return false;
        };
        (&tap.file).write(&untagged(frame)).is_ok()
    }

    /// Sends what the kernel sends, until `stop` says so.
    pub fn run(&self, card: &dyn Card, stop: impl Fn() -> bool) {
        let mut frame = vec![0; MAX_FRAME_BYTES as usize];
        while !stop() {
            let taps: Vec<Arc<Tap>> = lock(&self.taps).values().cloned().collect();
            let mut polled: Vec<libc::pollfd> = (taps.iter())
                .map(|tap| libc::pollfd {
                    fd: tap.file.as_raw_fd(),
                    events: libc::POLLIN,
                    revents: 0,
                })
                .collect();
            // SAFETY: pointer and count are those of `polled`.
            unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, WAIT_MS) };
            let mut frames = Vec::new();
            for tap in &taps {
                while let Ok(bytes) = (&tap.file).read(&mut frame) {
                    frames.push(FromHost {
                        way: Way::Out,
                        port: tap.port,
                        frame: tagged(&frame[..bytes], &tap.vlan),
                    });
                    if frames.len() >= 256 {
                        break;
                    }
                }
            }
            frames.retain(|f| f.frame.len() >= 14);
            // What the card has no room for is lost as on any full link; a card that is gone says so
            // where tables are written.
            let _lost = card.send(&frames);
        }
    }
}

fn made_of(
    interface: &Interface,
    own: &Own,
) -> (String, [u8; 6], Vec<(std::net::IpAddr, u8)>, u16) {
    (
        interface.name.clone(),
        interface.mac.0,
        own.addresses(&interface.name, &interface.addresses)
            .to_vec(),
        interface.mtu.unwrap_or(MTU),
    )
}

fn make(
    name: &str,
    interface: &Interface,
    made_of: (String, [u8; 6], Vec<(std::net::IpAddr, u8)>, u16),
) -> io::Result<Tap> {
    let file = port::tap(name)?;
    let index = port::configure(name, &made_of.1, made_of.3)?;
    let netlink = Netlink::open()?;
    for (address, prefix) in &made_of.2 {
        netlink.add_address(index, *address, *prefix)?;
    }
    Ok(Tap {
        name: name.to_string(),
        index,
        file,
        port: interface.port,
        vlan: interface.vlan.0.clone(),
        made_of,
    })
}

/// Name of an interface's network device.
pub fn device(prefix: &str, interface: &str) -> String {
    let name: String = (prefix.chars().chain(interface.chars()))
        .map(|c| if matches!(c, ':' | '/') { '-' } else { c })
        .collect();
    name.chars().take(NAME).collect()
}

const MACS: usize = 12;

/// A frame without its VLAN tags.
pub fn untagged(frame: &[u8]) -> Vec<u8> {
    let mut at = MACS;
    while let Some([a, b]) = frame.get(at..at + 2)
        && matches!((a, b), (0x81, 0x00) | (0x88, 0xA8) | (0x91, 0x00))
    {
        at += 4;
    }
    let mut out = frame[..MACS.min(frame.len())].to_vec();
    out.extend(frame.get(at..).unwrap_or(&[]));
    out
}

/// A frame with VLAN tags, outermost first, as the card puts them on.
pub fn tagged(frame: &[u8], vlan: &[u16]) -> Vec<u8> {
    let (macs, rest) = frame.split_at(MACS.min(frame.len()));
    let mut out = macs.to_vec();
    for (at, vid) in vlan.iter().enumerate() {
        let outer = at + 1 < vlan.len();
        out.extend((if outer { TPID_S } else { TPID_C }).to_be_bytes());
        out.extend(vid.to_be_bytes());
    }
    out.extend(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{tagged, untagged};

    #[test]
    fn tags_come_off_as_they_were_put_on() {
        let frame: Vec<u8> = (0..60).collect();
        for vlan in [vec![], vec![100], vec![10, 4000]] {
            let on = tagged(&frame, &vlan);
            assert_eq!(on.len(), frame.len() + 4 * vlan.len());
            assert_eq!(untagged(&on), frame);
        }
        assert_eq!(
            tagged(&frame, &[10, 20])[12..20],
            [0x88, 0xA8, 0, 10, 0x81, 0, 0, 20]
        );
        assert_eq!(untagged(&frame[..5]), frame[..5]);
        assert_eq!(untagged(&[0; 13]), [0; 13]);
    }
}
