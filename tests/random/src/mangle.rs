//! Frames that are broken, or that are no service's.

use crate::frame::fix_ipv4_checksum;
use crate::rng::Random;

/// Where IP starts in a frame made by [`crate::frame`].
fn l3(frame: &[u8]) -> usize {
    let mut at = 12;
    while matches!(
        frame.get(at..at + 2),
        Some([0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00])
    ) {
        at += 4;
    }
    at + 2
}

/// Breaks a frame in one of many ways. An IPv4 header checksum may be made right again after, so
/// that what is broken is met by the checks behind it.
pub fn mangle(r: &mut Random, frame: &mut Vec<u8>) {
    let l3 = l3(frame);
    match r.number(0..=9) {
        0..=2 => {
            for _ in 0..r.number(1..=3) {
                let at = r.number(0..=frame.len().min(110) - 1);
                frame[at] ^= 1 << r.number(0..=7);
            }
        }
        3 => frame.truncate(r.number(1..=frame.len())),
        4 => {
            // Around the end of the headers, where every check is.
            let near = l3 + r.number(0..=70);
            frame.truncate(near.clamp(1, frame.len()));
        }
        5 => length_field(r, frame, l3),
        6 => set(frame, l3, r.u8()),
        7 => {
            // A transport checksum at the edges of ones' complement arithmetic.
            let v6 = frame.get(l3).is_some_and(|b| b >> 4 == 6);
            let l4 = l3 + if v6 { 40 } else { 20 };
            let value = r.weighted(&[(2, 0x00), (2, 0xff)]);
            let at = l4 + r.weighted(&[(2, 6), (2, 16), (1, 2)]);
            set(frame, at, value);
            set(frame, at + 1, value);
        }
        8 => frame.extend(r.bytes(4)),
        _ => {
            // Header fields at random: protocol, TTL, fragment bits, next header.
            let at = l3 + r.weighted(&[(1, 6), (1, 7), (1, 8), (1, 9), (1, 0)]);
            let value = r.weighted(&[
                (2, 0),
                (1, 44),
                (1, 51),
                (1, 58),
                (1, 1),
                (1, 6),
                (1, 17),
                (1, 255),
            ]);
            set(frame, at, value);
        }
    }
    if r.chance(60) {
        fix_ipv4_checksum(frame, l3);
    }
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}

/// IPv4 total length or IPv6 payload length, a little or a lot off.
fn length_field(r: &mut Random, frame: &mut [u8], l3: usize) {
    let v6 = frame.get(l3).is_some_and(|b| b >> 4 == 6);
    let at = l3 + if v6 { 4 } else { 2 };
    let Some(bytes) = frame.get(at..at + 2) else {
        return;
    };
    let old = u16::from_be_bytes([bytes[0], bytes[1]]);
    let new = match r.number(0..=3) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(r.port(1..=40)),
        2 => r.port(0..=48),
        _ => r.u16(),
    };
    frame[at..at + 2].copy_from_slice(&new.to_be_bytes());
}

/// A frame that is no IP packet of a service: ARP, garbage, too many tags.
pub fn foreign(
    r: &mut Random,
    destination: [u8; 6],
    source: [u8; 6],
    tags: &[(u16, u16)],
) -> Vec<u8> {
    let mut frame = Vec::new();
    let kind = r.number(0..=4);
    frame.extend(if kind == 0 { [0xff; 6] } else { destination });
    frame.extend(source);
    for (tpid, tci) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    match kind {
        0 | 1 => {
            frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
            frame.extend(r.bytes(20));
        }
        2 => {
            for tpid in [0x8100_u16, 0x88a8, 0x9100] {
                frame.extend(tpid.to_be_bytes());
                frame.extend([0, 5]);
            }
            frame.extend([0x08, 0x00]);
        }
        3 => {
            let ethertype = r.weighted(&[(1, 0x88cc_u16), (1, 0x8847), (1, 0x05dc), (1, 0x9000)]);
            frame.extend(ethertype.to_be_bytes());
            let payload = r.number(0..=200);
            frame.extend(r.bytes(payload));
        }
        _ => {
            let length = r.number(1..=59);
            frame = r.bytes(length);
        }
    }
    if r.chance(50) {
        while frame.len() < 60 {
            frame.push(0);
        }
    }
    frame
}
