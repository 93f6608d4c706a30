//! Rule sets with the shapes of ClassBench: what is found in the rows a packet reads is what the first
//! match in the list is, each rule stands once, and the sizes that are promised find places.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::lower::acl::rows;
use seqnic_compiler::lower::model::RuleRow;
use seqnic_compiler::place::rules::{Banks, Cell, Layout, lay_out};
use seqnic_random::classbench::{Shape, rules};
use seqnic_spec::geometry::ALVEO;
use seqnic_spec::hash::rule_row;
use seqnic_spec::rules::{Digests, RuleKey};
use std::collections::{HashMap, HashSet};

const BANKS: Banks = Banks {
    banks: ALVEO.rule_banks,
    rows: ALVEO.rule_rows,
    always: ALVEO.rule_always,
};

/// The rows of one IP version.
fn set(shape: Shape, count: usize, v6: bool, seed: u64) -> Vec<RuleRow> {
    let mut rows = rows(&rules(shape, count, v6, seed));
    rows.retain(|row| row.v6 == v6);
    rows
}

fn laid_out(shape: Shape, count: usize, v6: bool, seed: u64) -> (Vec<RuleRow>, Layout) {
    let rows = set(shape, count, v6, seed);
    let layout = lay_out(BANKS, &[&rows])
        .unwrap_or_else(|e| panic!("{} {count}, IPv6 {v6}, seed {seed}: {e:?}", shape.name()));
    (rows, layout)
}

/// Whether a rule holds a packet with this key, read from its fields alone.
fn holds(rule: &RuleRow, key: &RuleKey) -> bool {
    let within = |(prefix, bits): (u128, u8), address: u128| {
        bits == 0 || (prefix ^ address) >> (128 - u32::from(bits)) == 0
    };
    rule.v6 == key.v6
        && within(rule.client, key.client)
        && within(rule.server, key.server)
        && rule.protocol.is_none_or(|p| p == key.protocol)
        && (rule.client_port.0..=rule.client_port.1).contains(&key.client_port)
        && (rule.port.0..=rule.port.1).contains(&key.port)
}

/// A packet some rule holds, or nearly: its open bits are random, and now and then one more is turned.
fn packet(rule: &RuleRow, random: &mut ChaCha8Rng) -> RuleKey {
    let mut address = |(prefix, bits): (u128, u8)| {
        let open = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
        let turned = if random.random_ratio(1, 8) {
            1 << random.random_range(96..128)
        } else {
            0
        };
        let any = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        (prefix | any & open) ^ turned
    };
    let (client, server) = (address(rule.client), address(rule.server));
    RuleKey {
        salt: 0,
        v6: rule.v6,
        client,
        server,
        client_port: random.random_range(rule.client_port.0..=rule.client_port.1),
        port: random.random_range(rule.port.0..=rule.port.1),
        protocol: rule.protocol.unwrap_or_else(|| random.random()),
        arrival: 0,
    }
}

/// The first rule in the list that holds, and the first of those in the rows the packet reads.
fn compared(rules: &[RuleRow], layout: &Layout, packets: u32, seed: u64) -> u32 {
    let mut by_row: HashMap<u32, Vec<&RuleRow>> = HashMap::new();
    for (rule, cell) in rules.iter().zip(&layout.cells[0]) {
        by_row.entry(cell.row).or_default().push(rule);
    }
    let always: Vec<&RuleRow> = (BANKS.banks * BANKS.rows..)
        .map_while(|row| by_row.get(&row))
        .flatten()
        .copied()
        .collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut hits = 0;
    for _ in 0..packets {
        let near = &rules[random.random_range(0..rules.len())];
        let key = packet(near, &mut random);
        let first = |rule: &&&RuleRow| holds(rule, &key);
        let expected = rules
            .iter()
            .filter(|r| holds(r, &key))
            .map(|r| r.order)
            .min();
        let digests = Digests::of(&key);
        let asked = (0..).zip(&layout.masks[0]).flat_map(|(bank, mask)| {
            let row = bank * BANKS.rows + rule_row(digests.under(mask), bank, BANKS.rows);
            by_row.get(&row).into_iter().flatten()
        });
        let found = (asked.chain(&always).filter(first)).map(|r| r.order).min();
        assert_eq!(found, expected, "{key:?}");
        hits += u32::from(found.is_some());
    }
    hits
}

#[test]
fn the_rows_of_a_packet_hold_the_first_match() {
    for shape in Shape::ALL {
        for (count, packets) in [(1_000, 2_000), (10_000, 400)] {
            let (rules, layout) = laid_out(shape, count, false, 1);
            let hits = compared(&rules, &layout, packets, 7);
            assert!(hits * 2 > packets, "{}: {hits} hits", shape.name());
        }
        let (rules, layout) = laid_out(shape, 1_000, true, 1);
        assert!(compared(&rules, &layout, 1_000, 9) > 500);
    }
}

/// Of `fw` sets of this size one in four found no places before there were rows that are always compared.
#[test]
fn ten_thousand_rules_of_ipv6_find_places() {
    for seed in 1..=4 {
        let (rules, layout) = laid_out(Shape::Fw, 10_000, true, seed);
        let behind = |cell: &&Cell| cell.row >= BANKS.banks * BANKS.rows;
        let always = layout.cells[0].iter().filter(behind).count();
        println!("fw 10000 IPv6, seed {seed}: {always} always compared");
        assert!(compared(&rules, &layout, 200, seed) > 100);
    }
}

/// Every rule has a place of its own: nothing is stored twice, and nothing is written over.
#[test]
fn every_rule_stands_once() {
    for shape in Shape::ALL {
        for seed in 1..=2 {
            let (rules, layout) = laid_out(shape, 10_000, false, seed);
            let places: HashSet<_> = layout.cells[0].iter().collect();
            assert_eq!(places.len(), rules.len(), "{}", shape.name());
        }
    }
}
