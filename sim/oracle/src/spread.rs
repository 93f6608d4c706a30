//! Pools: whose client a packet is. `docs/semantics.md` section 4 and section 6, "Pools".

use seqnic_compiler::definition::{Definition, Device, Pool, Role, State};
use std::net::IpAddr;

/// CRC-32C, bit by bit (RFC 3720 appendix B.4).
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        for bit in 0..8 {
            let feedback = (crc ^ u32::from(byte >> bit)) & 1;
            crc = (crc >> 1) ^ (feedback * 0x82f6_3b78);
        }
    }
    !crc
}

/// The bucket of a client.
fn bucket(pool: &Pool, client: IpAddr) -> u64 {
    let (number, family) = match client {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 0),
        IpAddr::V6(address) => (u128::from(address), 1),
    };
    // Twice the address takes 129 bits.
    let mut bytes = (number << 1 | family).to_le_bytes().to_vec();
    bytes.push((number >> 127) as u8);
    u64::from(crc(&bytes)) % (1 << pool.bits)
}

fn score(name: &str, bucket: u64, number: u64) -> u64 {
    let state = (u64::from(crc(name.as_bytes())) << 32) + (bucket << 16) + number;
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
        z = (z ^ (z >> shift)).wrapping_mul(factor);
    }
    z ^ (z >> 31)
}

/// The member that has a client: the one with the greatest score that is up.
pub fn member<'a>(
    definition: &'a Definition,
    role: &Role,
    pool: &Pool,
    client: IpAddr,
) -> &'a Device {
    let bucket = bucket(pool, client);
    let mut found: Option<(u64, &Device)> = None;
    for (id, weight) in role.all().zip(&pool.weights) {
        let device = &definition.devices[id];
        for number in 0..u64::from(*weight) {
            let score = score(&device.name, bucket, number);
            if device.state == State::Up && found.is_none_or(|(best, _)| score > best) {
                found = Some((score, device));
            }
        }
    }
    found.map_or(&definition.devices[role.device], |(_, device)| device)
}
