//! Placement: every key is found where the specification looks for it, up to the load that is
//! promised, whatever the keys are.

use proptest::prelude::*;
use seqnic_compiler::place::{Placement, Unplaced, place};
use seqnic_spec::geometry::HashSize;
use seqnic_spec::hash::{bucket, digest};
use std::collections::HashSet;

fn size(ways: u32, slots: u32, rows: u32) -> HashSize {
    HashSize { ways, slots, rows }
}

fn digests(keys: impl Iterator<Item = u64>) -> Vec<u32> {
    keys.map(|k| digest(k.to_le_bytes())).collect()
}

/// Looks a key up as hardware does: in every slot of its bucket in each way.
fn is_found(placement: &Placement, size: HashSize, digest: u32, cell: u32) -> bool {
    (0..size.ways).any(|way| {
        let row = way * size.rows + bucket(digest, placement.seeds[way as usize], size.rows);
        (0..size.slots).any(|slot| row * size.slots + slot == cell)
    })
}

fn check(digests: &[u32], size: HashSize, seed: u64) -> Placement {
    let placement = place(digests, size, seed).unwrap();
    assert_eq!(placement.seeds.len(), size.ways as usize);
    assert!(placement.seeds.iter().all(|s| s % 2 == 1));
    let cells: HashSet<u32> = placement.cells.iter().copied().collect();
    assert_eq!(cells.len(), digests.len(), "no place is given twice");
    for (digest, cell) in digests.iter().zip(&placement.cells) {
        assert!(is_found(&placement, size, *digest, *cell));
    }
    placement
}

/// Well-mixed keys: no structure a linear hash could meet.
fn random_keys(count: usize, seed: u64) -> impl Iterator<Item = u64> {
    (0..count as u64).map(move |i| {
        let z = (i + 1 + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    })
}

#[test]
fn three_ways_of_two_slots_take_97_percent_of_random_keys() {
    let size = size(3, 2, 4096);
    let keys = size.capacity() as usize * 97 / 100;
    for seed in 0..50 {
        let placement = check(&digests(random_keys(keys, seed)), size, seed);
        assert_eq!(placement.attempts, 1, "seed {seed}");
    }
}

/// The small card's shape: at the limit of what it can hold, so it may take a few choices of seeds.
#[test]
fn four_ways_of_one_slot_take_97_percent_of_random_keys_at_some_choice() {
    for rows in [256, 512] {
        let size = size(4, 1, rows);
        let keys = size.capacity() as usize * 97 / 100;
        let mut attempts = vec![];
        for seed in 0..200 {
            attempts.push(check(&digests(random_keys(keys, seed)), size, seed).attempts);
        }
        attempts.sort_unstable();
        assert!(attempts[100] <= 8, "half of {rows} rows took {attempts:?}");
    }
}

#[test]
fn four_ways_of_three_slots_take_97_percent_of_random_keys() {
    let size = size(4, 3, 4096);
    let keys = size.capacity() as usize * 97 / 100;
    for seed in 0..20 {
        let placement = check(&digests(random_keys(keys, seed)), size, seed);
        assert_eq!(placement.attempts, 1, "seed {seed}");
    }
}

/// Both hash steps are linear, so keys that count up or differ in a few bits are the hard ones.
#[test]
fn three_ways_of_two_slots_take_97_percent_of_keys_with_structure() {
    for rows in [64, 512, 4096] {
        let size = size(3, 2, rows);
        let keys = u64::from(size.capacity()) * 97 / 100;
        let sets: [(&str, Vec<u64>); 6] = [
            ("counting", (0..keys).collect()),
            (
                "from an odd start",
                (0..keys).map(|k| k + 0x1234_5677).collect(),
            ),
            ("every 256th", (0..keys).map(|k| k << 8).collect()),
            ("high bits", (0..keys).map(|k| k << 40).collect()),
            (
                "two fields",
                (0..keys).map(|k| ((k / 100) << 32) | (k % 100)).collect(),
            ),
            ("a field twice", (0..keys).map(|k| k << 24 | k).collect()),
        ];
        for (name, keys) in sets {
            let digests = digests(keys.into_iter());
            for seed in 0..5 {
                let placed = place(&digests, size, seed);
                assert!(
                    placed.is_ok(),
                    "{name}, {rows} rows, seed {seed}: {placed:?}"
                );
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_places() {
    let digests = digests(random_keys(20_000, 3));
    let size = size(3, 2, 4096);
    let one = place(&digests, size, 42).unwrap();
    assert_eq!(one, place(&digests, size, 42).unwrap());
    assert_ne!(one.seeds, place(&digests, size, 43).unwrap().seeds);
}

#[test]
fn every_shape_a_geometry_may_have_works() {
    for (ways, slots, rows) in [(2, 1, 2), (2, 4, 64), (3, 2, 2), (4, 1, 256), (4, 4, 16)] {
        let size = size(ways, slots, rows);
        check(&digests(0..u64::from(size.capacity()) / 3), size, 1);
        check(&[], size, 1);
    }
}

#[test]
fn more_keys_than_places_are_refused_with_numbers() {
    let size = size(3, 2, 16);
    let error = place(&digests(0..97), size, 0).unwrap_err();
    let expected = Unplaced {
        keys: 97,
        placed: 96,
        attempts: 0,
    };
    assert_eq!(error, expected);
}

#[test]
fn keys_of_one_digest_fill_their_buckets_and_no_more() {
    let size = size(3, 2, 64);
    check(&[7; 6], size, 0);
    let error = place(&[7; 7], size, 0).unwrap_err();
    assert_eq!((error.placed, error.attempts), (6, 64));
    assert_eq!(
        error.to_string(),
        "of 7 keys at most 6 could be placed with 64 choices of hash seeds"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_set_of_keys_is_found(
        keys in prop::collection::hash_set(any::<u64>(), 0..1500),
        seed in any::<u64>(),
    ) {
        check(&digests(keys.into_iter()), size(3, 2, 256), seed);
    }

    #[test]
    fn runs_of_keys_are_found(
        start in any::<u64>(),
        stride in prop_oneof![Just(1u64), Just(256), any::<u64>().prop_map(|s| s | 1)],
        count in 1u64..1490,
        seed in any::<u64>(),
    ) {
        let keys = (0..count).map(|k| start.wrapping_add(k.wrapping_mul(stride)));
        check(&digests(keys), size(3, 2, 256), seed);
    }
}
