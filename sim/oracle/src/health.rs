//! What the counters say of the health of attachments: `docs/semantics.md` section 5.

use crate::parse::Ip;
use seqnic_compiler::definition::{Attachments, Definition, Side};
use std::collections::{HashMap, HashSet};

/// How long a packet is waited for, ns.
const WAITED: u64 = 1 << 30;

/// Packets that were sent and have not come back, one for each attachment.
#[derive(Debug)]
pub struct Waiting {
    /// Attachments whose times are measured.
    measured: HashSet<String>,
    /// When the packet arrived, and its flow.
    sent: HashMap<String, (u64, u16)>,
}

impl Waiting {
    pub fn of(definition: &Definition) -> Waiting {
        let hosts = definition.hosts.iter().map(|h| h.name.clone());
        let devices = definition.devices.iter().flat_map(|device| {
            let sides: &[Side] = match device.attachments {
                Attachments::Two { .. } => &[Side::Outside, Side::Inside],
                _ => &[Side::Outside],
            };
            sides.iter().map(|side| device.attachment_name(*side))
        });
        let measured = hosts.chain(devices);
        Waiting {
            measured: measured.take(definition.geometry.timed as usize).collect(),
            sent: HashMap::new(),
        }
    }

    /// A packet was sent that is to come back from an attachment.
    pub fn sent(&mut self, from: &str, flow: u16, now: u64) {
        let waits = self.sent.get(from);
        if waits.is_none_or(|(since, _)| now - since >= WAITED) && self.measured.contains(from) {
            self.sent.insert(from.to_string(), (now, flow));
        }
    }

    /// A packet came from an attachment: how long ago it was sent, if it is the one that is waited for.
    pub fn came(&mut self, from: &str, flow: u16, now: u64) -> Option<u64> {
        let (since, _) = *self.sent.get(from).filter(|(_, sent)| *sent == flow)?;
        if now - since >= WAITED {
            return None;
        }
        self.sent.remove(from);
        Some(now - since)
    }
}

/// Bucket of a time: the lowest holds all below 2,048 ns, each other as much as all before it, the last what is
/// left.
pub fn bucket(time: u64) -> u32 {
    (0..15).find(|b| time < 2048 << b).unwrap_or(15)
}

/// Whether the packet opens a TCP connection, and whether it answers one that was opened, or refuses.
pub fn opens_answers(frame: &[u8], ip: &Ip) -> (bool, bool) {
    if ip.protocol != 6 || ip.later_fragment {
        return (false, false);
    }
    let flags = frame[ip.l4 + 13];
    let (syn, rst, ack) = (flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
    (syn && !ack, syn && ack || rst)
}
