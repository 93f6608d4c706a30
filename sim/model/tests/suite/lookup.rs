//! Hash tables against the functions of `seqnic_spec::hash`.

use crate::images::*;
use proptest::prelude::*;
use seqnic_model::Tables;
use seqnic_model::keys::{Address, Key, Packed, PortKey};
use seqnic_spec::geometry::EDGE;
use seqnic_spec::hash;
use seqnic_spec::tables::{ADDRESS_KEY, Table};

fn address_fields(a: &Address) -> [(&'static str, u128); 2] {
    [("v6", u128::from(a.v6)), ("address", a.value)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every key put in is found with its value where the definition says; no other is.
    #[test]
    fn finds_what_was_put_and_nothing_else(
        keys in prop::collection::hash_set((any::<bool>(), any::<u128>()), 1..200),
        others in prop::collection::vec((any::<bool>(), any::<u128>()), 50),
    ) {
        let mut image = empty();
        let cut = |(v6, value): (bool, u128)| Address {
            v6,
            value: if v6 { value } else { value & u128::from(u32::MAX) },
        };
        let keys: std::collections::HashSet<Address> = keys.into_iter().map(cut).collect();
        let mut put = Vec::new();
        for (scope, address) in keys.iter().enumerate() {
            let value = [("scope", scope as u128)];
            let place = put_hash(&mut image, Table::Address, &address_fields(address), &value);
            put.push((*address, scope as u32, place));
        }
        let tables = Tables::load(&image).unwrap();
        for (address, scope, (row, slot)) in put {
            prop_assert_eq!(tables.address.get(address).map(|k| k.scope), Some(scope));
            let probe = tables.address.probe(address);
            let bytes = record(&ADDRESS_KEY, &address_fields(&address));
            prop_assert_eq!(probe.digest, hash::digest(bytes.bytes()));
            for (way, seed) in tables.address.seeds().iter().enumerate() {
                let bucket = hash::bucket(probe.digest, *seed, EDGE.address.rows);
                prop_assert_eq!(probe.buckets[way], bucket);
            }
            let hit = probe.hit.unwrap();
            prop_assert_eq!((hit.row, hit.slot), (row, slot));
        }
        for address in others.into_iter().map(cut).filter(|a| !keys.contains(a)) {
            prop_assert_eq!(tables.address.get(address), None);
        }
    }
}

#[test]
fn an_empty_slot_is_no_key_of_zeroes() {
    let tables = Tables::load(&sample()).unwrap();
    let zero = PortKey {
        scope: 0,
        protocol: 0,
        port: 0,
    };
    assert!(zero.pack() == u64::EMPTY);
    assert_eq!(tables.ports[0].get(zero), None);
    let key = Address {
        v6: false,
        value: 0,
    };
    assert_eq!(tables.address.get(key), None);
}

#[test]
fn a_table_filled_to_capacity_finds_every_key() {
    // Keys are tried until every slot is taken.
    let mut image = empty();
    let size = EDGE.interface;
    let mut full = Vec::new();
    'keys: for key in 0u32.. {
        let (port, vid0, vid1) = (key % 4, key / 4 % 4096, key / 16384);
        let fields = [
            ("port", u128::from(port)),
            ("vid0", u128::from(vid0)),
            ("vid1", u128::from(vid1)),
        ];
        let value = [("interface", u128::from(key % 64)), ("segment", 7)];
        let packed = record(&seqnic_spec::tables::INTERFACE_KEY, &fields);
        let digest = hash::digest(packed.bytes());
        let table = image.table(Table::Interface);
        let seeds = |way: u32| image.table(Table::Seed).row(way).get(0, 32) as u32;
        let room = (0..size.ways).any(|way| {
            let row = way * size.rows + hash::bucket(digest, seeds(way), size.rows);
            let row = table.row(row);
            let slot = row.width() / size.slots;
            (0..size.slots).any(|s| row.get(s * slot, 1) == 0)
        });
        if room {
            put_hash(&mut image, Table::Interface, &fields, &value);
            full.push((port, vid0, vid1, key % 64));
            if full.len() as u32 == size.capacity() {
                break 'keys;
            }
        }
    }
    let tables = Tables::load(&image).unwrap();
    for (port, vid0, vid1, interface) in full {
        let key = seqnic_model::keys::InterfaceKey {
            port: port as u8,
            vid0: vid0 as u16,
            vid1: vid1 as u16,
        };
        let found = tables.interface.get(key).map(|i| u32::from(i.interface));
        assert_eq!(found, Some(interface));
    }
}
