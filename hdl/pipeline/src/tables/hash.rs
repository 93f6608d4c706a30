//! Exact-match lookup in one hash table.
//!
//! Bucket and row are those of [`seqnic_spec::hash`] and [`seqnic_spec::tables::HashSlot`].

use seqnic_gen::math::{clmul_top, crc32c};
use seqnic_gen::{Circuit, GenError, Module, Record, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{EPOCHS, Table};

use super::{Config, READ_CLOCKS, answer, memory, read_clocks, turns};

/// Clocks from `key` to `hit` and `value`: digest, bucket, memory, compare; or those of [`turns`].
pub fn clocks(g: &Geometry, table: Table) -> u32 {
    match g.clocks_per_header {
        1 => read_clocks(g, table) + 3,
        _ => turns::clocks(g, table, 0),
    }
}

/// The lookup of a hash table: module `table_<name>`.
///
/// | port | bits | stage | |
/// | --- | --- | --- | --- |
/// | `key` | record of the table's key | 0 | about two levels of logic may come before it |
/// | `epoch` | 1 | 0 | version of the tables that holds for the packet that asks |
/// | `hit` | 1 | [`clocks`] | the key is in the table |
/// | `value` | record of the table's value | [`clocks`] | zero without a hit; the choice of the slot lies behind the last register |
///
/// and the configuration bus, which here also writes the seeds (rows `table * 4 + way` of `seed`).
/// Where headers are some clocks apart it is that of [`turns`], with `spaced_valid`.
///
/// # Errors
/// A table which is no hash table, a size out of range.
pub fn hash_table(table: Table, g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    if g.clocks_per_header > 1 {
        return turns::hash_table(table, g, &[""]);
    }
    let m = Module::new(&format!("table_{}", table.name()));
    let (Some(size), Some((key_layout, value_layout))) = (g.hash(table), table.hash()) else {
        m.refuse(
            &format!("table `{}`", table.name()),
            table as u64,
            "must be a hash table",
        );
        return m.finish();
    };
    m.doc(&format!(
        "Hash table `{}`: {}\n{} ways of {} rows with {} slots of (epochs, key, value).",
        table.name(),
        table.question(),
        size.ways,
        size.rows,
        size.slots
    ));
    let (key_record, value_record) = (Record::from(key_layout), Record::from(value_layout));
    let (key_bits, value_bits) = (key_record.width(), value_record.width());
    let row_bits = g.row_bits(table);
    let key = m.input_record("key", &key_record, Some(0));
    let epoch = m.input_at("epoch", 1, 0);
    let config = Config::inputs(&m, g, row_bits);

    let digest = crc32c(key).named("digest").reg();
    let bucket_bits = size.rows.trailing_zeros();
    let key_at_compare = key.delay(2 + read_clocks(g, table)).named("key_at_compare");
    let epoch_at_compare = epoch
        .delay(2 + read_clocks(g, table))
        .named("epoch_at_compare");
    let mut choices: Vec<(Sig, Sig)> = vec![];
    let (mut rdata, mut asked) = (vec![], vec![]);
    for way in 0..size.ways {
        let number = table as u32 * 4 + way;
        let seed = m.reg(&format!("seed{way}"), 32, 0);
        let my_seed = config
            .row_is(Table::Seed, number)
            .named(&format!("seed{way}_here"));
        let seed_written = config.write & my_seed;
        seed.set_when(seed_written, config.wdata.trunc(32));
        // The same bits in the order in which the product takes them: synthesis merges the two.
        let mirrored = m.reg(&format!("seed{way}_mirrored"), 32, 0);
        mirrored.set_when(seed_written, m.concat(&config.wdata.trunc(32).bits()));
        let seed_read = (config.read & my_seed).as_valid().delay(READ_CLOCKS);
        rdata.push(seed.q().when(seed_read).zext(row_bits));

        let bucket = clmul_top(digest, mirrored.q(), bucket_bits).named(&format!("bucket{way}"));
        let ram = m.ram(&format!("way{way}"), memory(g, table));
        let row = ram.read(bucket.reg()).delay(read_clocks(g, table) - 2);
        for slot in 0..size.slots {
            let base = slot * (EPOCHS + key_bits + value_bits);
            let same = row.slice(base + EPOCHS, key_bits).eq(key_at_compare);
            let holds = mux(epoch_at_compare, row.bit(base + 1), row.bit(base));
            let hit = (holds & same).reg().named(&format!("hit{way}_{slot}"));
            let value = row
                .slice(base + EPOCHS + key_bits, value_bits)
                .named(&format!("value{way}_{slot}"));
            choices.push((hit, value.reg()));
        }

        let port = config.memory(table, way, size.rows);
        rdata.push(port.answer(port.config(&ram)));
        asked.extend([seed_read, port.asked()]);
    }
    let hits: Vec<Sig> = choices.iter().map(|c| c.0).collect();
    m.output("hit", m.or(&hits));
    m.output(
        "value",
        m.select_onehot(&choices).with_record(&value_record),
    );
    m.output("cfg_rdata", answer(m.or(&rdata), &asked));
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use seqnic_gen::{Bits, SPACED_VALID, Sim};
    use seqnic_spec::geometry;
    use seqnic_spec::hash as reference;
    use seqnic_spec::layout::Row;
    use seqnic_spec::tables::{Epochs, HashSlot};
    use std::collections::{HashMap, VecDeque};

    /// The rows of a table which holds as many random keys as found a free slot, and those keys.
    struct Filled {
        seeds: Vec<u32>,
        rows: HashMap<u32, Row>,
        keys: Vec<(Row, Row, Epochs)>,
    }

    fn fill(random: &mut Random, table: Table, g: &Geometry) -> Filled {
        let size = g.hash(table).unwrap();
        let (key, value) = table.hash().unwrap();
        let slot = HashSlot { key, value };
        let seeds: Vec<u32> = (0..size.ways).map(|_| random.word() as u32 | 1).collect();
        let mut out = Filled {
            seeds,
            rows: HashMap::new(),
            keys: vec![],
        };
        for _ in 0..size.capacity().min(1000) {
            let (k, v) = (random.row(key.width()), random.row(value.width()));
            let digest = reference::digest(k.bytes());
            let place = (0..size.ways)
                .map(|w| {
                    w * size.rows + reference::bucket(digest, out.seeds[w as usize], size.rows)
                })
                .flat_map(|row| (0..size.slots).rev().map(move |s| (row, s)))
                .find(|(row, s)| {
                    out.rows
                        .get(row)
                        .is_none_or(|r| slot.epochs(r, *s).is_empty())
                });
            if let Some((number, s)) = place {
                let row = out
                    .rows
                    .entry(number)
                    .or_insert_with(|| Row::zero(g.row_bits(table)));
                let epochs = Epochs::from_bits(1 + random.below(3) as u32);
                slot.write_for(row, s, epochs, &k, &v);
                out.keys.push((k, v, epochs));
            }
        }
        out
    }

    fn load(sim: &mut Sim, table: Table, filled: &Filled) {
        for (way, seed) in filled.seeds.iter().enumerate() {
            let seed = Row::from_words(32, &[u64::from(*seed)]);
            write_row(sim, Table::Seed, table as u32 * 4 + way as u32, &seed);
        }
        for (number, row) in &filled.rows {
            write_row(sim, table, *number, row);
        }
    }

    #[test]
    fn finds_every_key_and_no_other_at_one_a_clock() {
        for (table, g) in [
            (Table::Interface, &SMALL),
            (Table::Address, &SMALL),
            (Table::PortDstClient, &SMALL),
            (Table::Step, &SMALL),
            (Table::Step, &DEEP),
            (Table::Interface, &TURNS),
            (Table::Address, &TURNS),
            (Table::Step, &TURNS),
        ] {
            let mut random = Random::new(table as u64 + 1);
            let filled = fill(&mut random, table, g);
            let mut sim = Sim::new(&hash_table(table, g).unwrap());
            load(&mut sim, table, &filled);
            assert!(filled.keys.len() > 20);
            let (key, _) = table.hash().unwrap();
            let wait = u64::from(clocks(g, table));
            let mut asked: VecDeque<(u64, Option<Row>)> = VecDeque::new();
            let (mut next, mut answers) = (sim.cycle(), 0);
            while answers < 400 {
                let now = sim.cycle();
                let asks = now >= next;
                // Keys which are there, keys which differ in one bit, and any others.
                let (k, v, epochs) = &filled.keys[random.below(filled.keys.len() as u64) as usize];
                let epoch = random.below(2);
                let holds = epochs.holds(epoch as u32);
                let mut question = (k.clone(), holds.then(|| v.clone()));
                if random.one_in(3) {
                    let bit = random.below(key.width().into()) as u32;
                    question.0.set(bit, 1, question.0.get(bit, 1) ^ 1);
                    question.1 = filled
                        .keys
                        .iter()
                        .find(|(k, _, e)| *k == question.0 && e.holds(epoch as u32))
                        .map(|(_, v, _)| v.clone());
                }
                sim.set_bits("key", &bits(&question.0));
                sim.set("epoch", epoch);
                if g.clocks_per_header > 1 {
                    sim.set(SPACED_VALID, asks.into());
                }
                if asks {
                    asked.push_back((now + wait, question.1));
                    next = now + u64::from(g.clocks_per_header);
                    if g.clocks_per_header > 1 && random.one_in(3) {
                        next += random.below(5);
                    }
                }
                if asked.front().is_some_and(|a| a.0 == now) {
                    let value = asked.pop_front().and_then(|a| a.1);
                    assert_eq!(sim.get("hit"), u64::from(value.is_some()));
                    let got = row(&sim.get_bits("value"));
                    assert_eq!(
                        got,
                        value.clone().unwrap_or(Row::zero(got.width())),
                        "{table:?}"
                    );
                    answers += 1;
                }
                sim.step();
            }
        }
    }

    #[test]
    fn rows_and_seeds_are_read_back() {
        let table = Table::Source;
        let mut random = Random::new(5);
        let filled = fill(&mut random, table, &SMALL);
        let mut sim = Sim::new(&hash_table(table, &SMALL).unwrap());
        load(&mut sim, table, &filled);
        for number in 0..SMALL.rows(table) {
            let expected = filled.rows.get(&number).cloned();
            let expected = expected.unwrap_or(Row::zero(SMALL.row_bits(table)));
            assert_eq!(read_row(&mut sim, &SMALL, table, number), expected);
        }
        for (way, seed) in filled.seeds.iter().enumerate() {
            let number = table as u32 * 4 + way as u32;
            assert_eq!(
                read_row(&mut sim, &SMALL, Table::Seed, number).get(0, 32),
                u128::from(*seed)
            );
        }
        // Rows past the end, and the same row numbers of other tables, are not ours.
        assert!(read_row(&mut sim, &SMALL, table, SMALL.rows(table)).is_zero());
        assert!(read_row(&mut sim, &SMALL, Table::Address, 0).is_zero());
        assert!(read_row(&mut sim, &SMALL, Table::Seed, 0).is_zero());
        write_row(
            &mut sim,
            table,
            SMALL.rows(table),
            &Row::from_words(SMALL.row_bits(table), &[u64::MAX; 3]),
        );
        write_row(
            &mut sim,
            Table::Address,
            0,
            &Row::from_words(SMALL.row_bits(table), &[u64::MAX; 3]),
        );
        for number in 0..SMALL.rows(table) {
            let expected = filled
                .rows
                .get(&number)
                .map_or(Bits::zero(SMALL.row_bits(table)), bits);
            assert_eq!(
                sim.peek(&format!("way{}", number / 8), number % 8),
                expected
            );
        }
    }

    #[test]
    fn a_lookup_beside_a_write_gets_the_old_row_or_the_new() {
        let table = Table::Source;
        let filled = fill(&mut Random::new(6), table, &SMALL);
        let mut sim = Sim::new(&hash_table(table, &SMALL).unwrap());
        load(&mut sim, table, &filled);
        let (number, full) = filled.rows.iter().next().unwrap();
        let (key, value, epoch) = {
            let (k, v) = table.hash().unwrap();
            let slot = HashSlot { key: k, value: v };
            (0..2)
                .find_map(|s| (0..2).find_map(|e| slot.read(full, s, e).map(|(k, v)| (k, v, e))))
                .unwrap()
        };
        sim.set_bits("key", &bits(&key));
        sim.set("epoch", epoch.into());
        sim.step_n(10);
        let empty = Row::zero(full.width());
        let mut seen = vec![];
        for clock in 0..20 {
            match clock {
                0 => config_write(&mut sim, table, *number, &empty),
                5 => config_write(&mut sim, table, *number, full),
                _ => config_idle(&mut sim),
            }
            seen.push(sim.get("hit"));
            let expected = if sim.get("hit") == 1 {
                value.clone()
            } else {
                Row::zero(value.width())
            };
            assert_eq!(row(&sim.get_bits("value")), expected);
            sim.step();
        }
        assert_eq!(seen.iter().filter(|h| **h == 0).count(), 5, "{seen:?}");
    }

    #[test]
    fn sizes_of_every_geometry_are_built_and_direct_tables_refused() {
        for g in geometry::ALL {
            for table in Table::ALL {
                let circuit = hash_table(table, g);
                match table.hash() {
                    Some(_) => assert_eq!(circuit.unwrap().latency(), Some(clocks(g, table))),
                    None => assert!(
                        circuit.unwrap_err()[0]
                            .to_string()
                            .contains("must be a hash table")
                    ),
                }
            }
        }
    }
}
