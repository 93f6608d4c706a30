//! Rules in registers, beside those of the banks.

use super::*;
use crate::testing::*;
use seqnic_gen::{Bits, Circuit, Module, Sig, Sim};
use seqnic_spec::geometry::{self, Geometry};
use seqnic_spec::layout::Row;

const TABLE: Table = Table::Rule;

/// A rule that holds every packet of `set` in the epochs of `epochs`, put into a slot of a row.
fn open_rule(row: &mut Row, slot: u32, epochs: u64, set: u64, order: u64, rule: u64) {
    for (name, value) in [
        ("epochs", epochs),
        ("kind", rule_kind::ANY.into()),
        ("any_protocol", 1),
        ("client_port_last", 65535),
        ("port_last", 65535),
        ("size_last", 0x3fff),
        ("forward", 1),
        ("back", 1),
        ("any_arrival", 1),
        ("set", set),
        ("order", order),
        ("rule", rule),
        ("permit", rule % 2),
    ] {
        let base = slot * RULE_SLOT.width();
        row.set_field(&RULE_SLOT, base, name, value.into());
    }
}

/// A packet of `set`, whatever else it is; it asks rows of the banks at random.
fn packet(random: &mut Random, set: u64, epoch: u64) -> Vec<(&'static str, Bits)> {
    let mut inputs: Vec<(&'static str, Bits)> = PACKET
        .iter()
        .map(|(name, width)| {
            let value = u128::from(random.word()) << 64 | u128::from(random.word());
            let value = match *name {
                "set" => set.into(),
                "epoch" => epoch.into(),
                _ => value >> (128 - width),
            };
            (*name, Bits::new(*width, value))
        })
        .collect();
    for name in ["index0", "index1", "index2", "index3"] {
        inputs.push((name, Bits::new(3, random.below(8).into())));
    }
    inputs
}

/// What `inputs` get, one a clock: hit, rule, permit.
fn answers(sim: &mut Sim, inputs: &[Vec<(&'static str, Bits)>]) -> Vec<(u64, u64, u64)> {
    let circuit = rules(&SMALL).unwrap();
    let found = stream(&circuit, sim, inputs);
    let get = |of: &std::collections::HashMap<String, Bits>, name: &str| of[name].low_u64();
    let of = found.iter();
    of.map(|f| (get(f, "hit"), get(f, "rule"), get(f, "permit")))
        .collect()
}

#[test]
fn rules_behind_the_banks_hold_whatever_rows_a_packet_asks() {
    let mut random = Random::new(11);
    let mut sim = Sim::new(&rules(&SMALL).unwrap());
    sim.reset();
    // Of each set a rule in every row behind the banks, and in every row of one bank; a set there has none of is 9.
    let (first, width) = (SMALL.rule_banked(), SMALL.row_bits(TABLE));
    let mut known: Vec<(u64, u64, u64, u64)> = vec![];
    let mut place = |rows: &[u32], slot: u32, epochs: u64, set: u64, order: u64| {
        let rule = known.len() as u64 + 1;
        known.push((epochs, set, order, rule));
        for number in rows {
            let mut row = read_row(&mut sim, &SMALL, TABLE, *number);
            open_rule(&mut row, slot, epochs, set, order, rule);
            write_row(&mut sim, TABLE, *number, &row);
        }
    };
    place(&[first], 0, 3, 1, 40);
    place(&[first], 1, 1, 2, 30);
    place(&[first + 1], 0, 2, 1, 20);
    place(&[first + 1], 1, 3, 3, 7);
    place(&[first + 2], 0, 3, 2, 50);
    place(&[first + 2], 1, 1, 1, 60);
    let bank: Vec<u32> = (2 * SMALL.rule_rows..3 * SMALL.rule_rows).collect();
    place(&bank, 0, 1, 1, 10);
    place(&bank, 1, 3, 3, 8);
    assert_eq!(width, 2 * RULE_SLOT.width());
    let asked: Vec<(u64, u64)> = (0..300)
        .map(|_| (random.pick(&[0, 1, 1, 2, 2, 3, 9]), random.below(2)))
        .collect();
    let inputs: Vec<_> = (asked.iter())
        .map(|(set, epoch)| packet(&mut random, *set, *epoch))
        .collect();
    let mut decided = std::collections::BTreeSet::new();
    for ((set, epoch), got) in asked.iter().zip(answers(&mut sim, &inputs)) {
        let holds = known
            .iter()
            .filter(|k| k.1 == *set && k.0 >> epoch & 1 == 1);
        let wanted = holds.min_by_key(|k| k.2).map_or((0, 0, 0), |k| {
            decided.insert(k.3);
            (1, k.3, k.3 % 2)
        });
        assert_eq!(got, wanted, "set {set}, epoch {epoch}");
    }
    assert_eq!(decided, [2, 3, 4, 5, 7].into());
}

/// The rules, asked for row 0 of the banks, one after the other.
fn asked_in_turns(g: &Geometry) -> Circuit {
    let m = Module::new("asked");
    let child = rules(g).unwrap();
    let valid = m.spaced_valid();
    let turn = m.reg("turn", 3, 0);
    turn.set(
        valid
            .unstaged()
            .mux(turn.q().lit(0), turn.q() + turn.q().lit(1)),
    );
    let bank = turn.q().slice(1, 2);
    let index = bank.cat(m.lit(g.rule_rows.trailing_zeros(), 0));
    let ports: Vec<(&str, Sig)> = (child.inputs().iter())
        .filter(|port| port.name != seqnic_gen::SPACED_VALID)
        .map(|port| {
            let sig = match (port.name.as_str(), port.stage) {
                ("index", _) => index,
                (name, Some(stage)) => m.input_at(name, port.width, stage),
                (name, None) => m.input(name, port.width),
            };
            (port.name.as_str(), sig)
        })
        .collect();
    let lookup = m.instance("lookup", &child, &ports);
    for port in child.outputs() {
        m.output(&port.name, lookup.get(&port.name));
    }
    m.finish().unwrap()
}

/// Each slot of the banks has its turn with the packet that asks, whatever the packets before and behind it are.
#[test]
fn packets_behind_each_other_are_compared_with_their_own_rules_in_turns() {
    let g = &TURNS;
    let circuit = asked_in_turns(g).spaced(g.clocks_per_header).unwrap();
    let mut sim = Sim::new(&circuit);
    let mut random = Random::new(14);
    sim.reset();
    // A slot holds packets of one set, in every row of its bank: sets of one slot, of the first and last, of two neighbours.
    let sets = [1, 2, 3, 4, 4, 5, 6, 2];
    for (slot, set) in sets.iter().enumerate() {
        let (bank, rule, order) = (slot as u32 / 2, slot as u64 + 1, random.below(100));
        for n in 0..g.rule_rows {
            let number = bank * g.rule_rows + n;
            let mut row = read_row(&mut sim, g, TABLE, number);
            open_rule(&mut row, slot as u32 % 2, 3, *set, 8 * order + rule, rule);
            write_row(&mut sim, TABLE, number, &row);
        }
    }
    let orders: Vec<u128> = (0..8u32)
        .map(|slot| {
            let row = read_row(&mut sim, g, TABLE, slot / 2 * g.rule_rows);
            row.field(&RULE_SLOT, slot % 2 * RULE_SLOT.width(), "order")
        })
        .collect();
    let asked: Vec<u64> = (0..400).map(|_| random.below(8)).collect();
    let inputs: Vec<_> = (asked.iter())
        .map(|set| {
            let mut inputs = packet(&mut random, *set, 0);
            inputs.retain(|(name, _)| !name.starts_with("index"));
            inputs
        })
        .collect();
    let found = spaced_stream(&circuit, &mut sim, 8, &inputs, &|_, _| {});
    for (set, found) in asked.iter().zip(found) {
        let of_set = (0..8usize).filter(|slot| sets[*slot] == *set);
        let wanted = of_set.min_by_key(|slot| orders[*slot]);
        let hit = found["hit"].low_u64() == 1;
        let got = hit.then(|| found["rule"].low_u64() as usize - 1);
        assert_eq!(got, wanted, "set {set}");
    }
}

#[test]
fn a_long_rule_behind_the_banks_takes_its_row() {
    let mut sim = Sim::new(&rules(&SMALL).unwrap());
    let mut random = Random::new(12);
    let address: u128 = 0x2001_0db8_0001_0002_0003_0004_0005_0006;
    let mut row = Row::zero(SMALL.row_bits(TABLE));
    open_rule(&mut row, 0, 3, 5, 0, 33);
    for (name, value) in [
        ("kind", rule_kind::V6_LONG.into()),
        ("client", address >> 96),
        ("client_bits", 32),
    ] {
        row.set_field(&RULE_SLOT, 0, name, value);
    }
    let base = RULE_SLOT.width();
    row.set_field(&RULE_REST, base, "client", address & ((1 << 96) - 1));
    row.set_field(&RULE_REST, base, "client_bits", 96);
    write_row(&mut sim, TABLE, SMALL.rule_banked() + 1, &row);
    let from = |random: &mut Random, v6: u128, client: u128| {
        let mut inputs = packet(random, 5, 0);
        inputs.retain(|(name, _)| !["v6", "client"].contains(name));
        inputs.extend([("v6", Bits::new(1, v6)), ("client", Bits::new(128, client))]);
        inputs
    };
    let mut inputs = vec![from(&mut random, 1, address), from(&mut random, 0, address)];
    inputs.extend((0..128).map(|bit| from(&mut random, 1, address ^ 1 << bit)));
    let found = answers(&mut sim, &inputs);
    assert_eq!(found[0], (1, 33, 1));
    assert!(found[1..].iter().all(|f| *f == (0, 0, 0)), "{found:?}");
}

#[test]
fn rows_are_read_back_in_the_order_of_reads_and_writes() {
    let mut random = Random::new(13);
    let mut sim = Sim::new(&rules(&SMALL).unwrap());
    let rows: Vec<Row> = (0..SMALL.rows(TABLE))
        .map(|_| random.row(SMALL.row_bits(TABLE)))
        .collect();
    for (number, row) in (0..).zip(&rows) {
        write_row(&mut sim, TABLE, number, row);
    }
    // Past the last row, and of other tables: nobody's.
    let last = SMALL.rows(TABLE);
    for (table, number) in [(TABLE, last), (TABLE, last + 1), (Table::Step, last - 1)] {
        write_row(&mut sim, table, number, &rows[0]);
        assert!(read_row(&mut sim, &SMALL, table, number).is_zero());
    }
    for (number, row) in (0..).zip(&rows) {
        assert_eq!(read_row(&mut sim, &SMALL, TABLE, number), *row, "{number}");
    }
    // Read, write, read, one a clock: what was before the write, and what it wrote.
    let (number, other) = (last - 1, random.row(SMALL.row_bits(TABLE)));
    let mut seen = vec![];
    for clock in 0..12 {
        match clock {
            0 | 2 => {
                config_idle(&mut sim);
                sim.set("cfg_read", 1);
                sim.set("cfg_table", TABLE as u64);
                sim.set("cfg_row", number.into());
            }
            1 => config_write(&mut sim, TABLE, number, &other),
            _ => config_idle(&mut sim),
        }
        let answer = sim.get_bits("cfg_rdata");
        if !answer.is_zero() {
            seen.push((clock, row(&answer)));
        }
        sim.step();
    }
    let reads = crate::tables::CONFIG_READ_CLOCKS;
    let wanted = [(reads, rows[number as usize].clone()), (reads + 2, other)];
    assert_eq!(seen, wanted);
}

#[test]
fn every_geometry_is_built() {
    for g in geometry::ALL {
        assert_eq!(rules(g).unwrap().latency(), Some(clocks(g)));
    }
    for rule_always in [0, 1, 2, 8] {
        let g = Geometry {
            rule_always,
            ..SMALL
        };
        assert_eq!(rules(&g).unwrap().latency(), Some(clocks(&SMALL)));
    }
}

/// Of every length, with a difference at every bit, and with some.
#[test]
fn prefixes_by_bytes_are_prefixes() {
    let m = Module::new("prefixes");
    let (address, value, bits) = (
        m.input("address", 96),
        m.input("value", 96),
        m.input("bits", 7),
    );
    m.output("plain", prefix(address, value, bits));
    m.output("by_bytes", prefix_by_bytes(address, value, bits));
    let mut sim = Sim::new(&m.finish().unwrap());
    let mut random = Random::new(17);
    for bits in 0..128 {
        sim.set("bits", bits);
        for at in 0..=96 + 20 {
            let address = u128::from(random.word()) << 64 | u128::from(random.word());
            let differ = match at {
                0..96 => 1 << at,
                96 => 0,
                // The longer the prefix the lower.
                _ => u128::from(random.word() & random.word()) << 32 >> bits.min(96),
            };
            let all = u128::MAX >> 32;
            for (name, value) in [("address", address), ("value", address ^ differ)] {
                sim.set_bits(name, &Bits::new(96, value & all));
            }
            let same = bits == 0 || (differ & all) >> (96 - bits.min(96)) == 0;
            assert_eq!(sim.get("plain"), u64::from(same), "{bits} {differ:x}");
            assert_eq!(sim.get("by_bytes"), u64::from(same), "{bits} {differ:x}");
        }
    }
}
