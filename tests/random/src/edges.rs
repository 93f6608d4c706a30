//! Frames at the edges of ones' complement arithmetic, which chance meets once in 65,536 times.

use crate::compare::Observed;
use crate::packets::Frame;
use seqnic_engine::Output;

/// Where the checksum of a TCP or UDP packet without extension headers stands.
fn checksum_at(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    while matches!(
        frame.get(at..at + 2)?,
        [0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00]
    ) {
        at += 4;
    }
    let l3 = at + 2;
    let (protocol, l4) = match frame.get(at..l3)? {
        [0x08, 0x00] => (
            frame.get(l3 + 9)?,
            l3 + usize::from(frame.get(l3)? & 15) * 4,
        ),
        [0x86, 0xdd] => (frame.get(l3 + 6)?, l3 + 40),
        _ => return None,
    };
    let at = match protocol {
        6 => l4 + 16,
        17 => l4 + 6,
        _ => return None,
    };
    (at + 2 <= frame.len()).then_some(at)
}

fn word(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

/// Ones' complement sum.
fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

/// For each frame whose transport checksum an engine changed: the frame with the checksums that
/// the same change takes to 0x0000 and beside it, and with those that are at an edge as they
/// arrive.
pub fn edges(frames: &[Frame], observed: &Observed) -> Vec<Frame> {
    let mut found = Vec::new();
    for (id, frame) in (0_u64..).zip(frames) {
        let sent = observed.outputs.get(&id).into_iter().flatten();
        let sent = sent.filter_map(|output| match output {
            Output::Sent(sent) => Some(&sent.frame),
            Output::Host(_) => None,
        });
        for out in sent {
            let (Some(before), Some(after)) = (checksum_at(&frame.bytes), checksum_at(out)) else {
                continue;
            };
            let (old, new) = (word(&frame.bytes, before), word(out, after));
            if old == new {
                continue;
            }
            // RFC 1624 equation 3: ~new = ~old + change.
            let change = add(!new, old);
            for checksum in [change, change.wrapping_add(1), 0, 0xffff] {
                let mut bytes = frame.bytes.clone();
                bytes[before..before + 2].copy_from_slice(&checksum.to_be_bytes());
                found.push(Frame {
                    port: frame.port,
                    bytes,
                });
            }
        }
    }
    found
}
