//! Which member of a pool has a bucket: `docs/semantics.md` section 6, "Pools".

use crate::definition::{Definition, DeviceId, Pool, Role, State};
use seqnic_spec::hash::digest;

/// The member of `role` that has `bucket`: of those that are up, or with all of them failed the first.
pub(super) fn member(definition: &Definition, role: &Role, pool: &Pool, bucket: u32) -> DeviceId {
    let up = role.all().zip(&pool.weights);
    let up = up.filter(|(id, _)| definition.devices[*id].state == State::Up);
    let scores = up.map(|(id, weight)| (id, score(&definition.devices[id].name, bucket, *weight)));
    let mut best: Option<(DeviceId, u64)> = None;
    for (id, score) in scores {
        if best.is_none_or(|(_, most)| score > most) {
            best = Some((id, score));
        }
    }
    best.map_or(role.device, |(id, _)| id)
}

fn score(name: &str, bucket: u32, weight: u8) -> u64 {
    let own = u64::from(digest(name.bytes())) << 32 | u64::from(bucket) << 16;
    let each = (0..u64::from(weight)).map(|i| mix(own | i));
    each.max().unwrap_or(0)
}

/// Output function of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
