//! Tables filled up: beside the rows that packets ask for, rows that none asks for, placed as all others are.
//!
//! A lookup compares keys and numbers of rows, so it cannot tell who put a row there. Keys are made such that no packet of
//! a bench has them: VLAN tags in two layers, MACs, addresses, scopes and classes that its definition does not use. Rules are of
//! a set no class asks.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::place::Unplaced;
use seqnic_compiler::place::rows::{self, ValueWords};
use seqnic_image::Image;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::hasher::KeyWords;
use seqnic_spec::layout::{Layout, Row};
use seqnic_spec::tables::{
    ADDRESS_KEY, HashSlot, INTERFACE_KEY, Kind, PORT_KEY, RULE_SLOT, RULE_SLOTS, SOURCE_KEY,
    STEP_KEY, Table, rule_kind, width,
};
use std::collections::HashSet;

/// A set no definition of a bench has.
const NO_SET: u128 = (1 << width::SET) - 1;

/// How full a table is: slots of keys or rules, rows of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Filled {
    pub table: &'static str,
    pub used: u64,
    pub capacity: u64,
}

impl Filled {
    pub fn percent(&self) -> f64 {
        self.used as f64 * 100.0 / self.capacity.max(1) as f64
    }
}

/// Fills every table of which a packet asks rows by key or number to at least `percent`; what is in the image stays. `seed`,
/// `epoch`, `decap`, `host_limit`, `dscp` and `queue` have a row for everything there is anyway.
///
/// # Errors
/// [`Unplaced`] if the keys of a hash table find no places.
pub fn fill(image: &mut Image, percent: u32, seed: u64) -> Result<Vec<Filled>, Unplaced> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut filled = vec![];
    for table in Table::ALL {
        let (used, capacity) = match (table, table.kind()) {
            (
                Table::Seed
                | Table::Epoch
                | Table::Decap
                | Table::HostLimit
                | Table::Dscp
                | Table::Queue,
                _,
            ) => continue,
            (_, Kind::Hash { .. }) => hash(image, table, percent, &mut random)?,
            (_, Kind::Rules { .. }) => rules(image, percent, &mut random),
            (_, Kind::Direct { .. } | Kind::Slots { .. }) => {
                direct(image, table, percent, &mut random)
            }
        };
        filled.push(Filled {
            table: table.name(),
            used,
            capacity,
        });
    }
    Ok(filled)
}

fn wanted(capacity: u64, percent: u32) -> u64 {
    (capacity * u64::from(percent)).div_ceil(100)
}

fn words<const N: usize>(row: &Row) -> [u64; N] {
    let mut words = [0; N];
    for (to, from) in words.iter_mut().zip(row.words()) {
        *to = *from;
    }
    words
}

fn anything(random: &mut ChaCha8Rng, width: u32) -> Row {
    let words: Vec<u64> = (0..width.div_ceil(64)).map(|_| random.random()).collect();
    Row::from_words(width, &words)
}

fn hash(
    image: &mut Image,
    table: Table,
    percent: u32,
    random: &mut ChaCha8Rng,
) -> Result<(u64, u64), Unplaced> {
    let g = image.geometry;
    let (Some(size), Some((key, value))) = (g.hash(table), table.hash()) else {
        return Ok((0, 0));
    };
    let slot = HashSlot { key, value };
    let (mut keys, mut values): (Vec<KeyWords>, Vec<ValueWords>) = (vec![], vec![]);
    let rows = image.table(table);
    for number in 0..rows.rows() {
        let row = rows.row(number);
        for (key, value) in (0..size.slots).filter_map(|s| slot.read(&row, s, 0)) {
            keys.push(words(&key));
            values.push(words(&value));
        }
    }
    let mut known: HashSet<KeyWords> = keys.iter().copied().collect();
    let capacity = u64::from(size.capacity());
    while (keys.len() as u64) < wanted(capacity, percent) {
        let key = words(&unasked(g, table, key, random));
        if known.insert(key) {
            keys.push(key);
            values.push(words(&anything(random, value.width())));
        }
    }
    let built = rows::build(g, table, &keys, &values, random.random())?;
    image.table_mut(table).words = built.words;
    for (way, seed) in (0..).zip(&built.seeds) {
        let row = table as u32 * 4 + way;
        image
            .table_mut(Table::Seed)
            .put_words(row, &[u64::from(*seed)]);
    }
    Ok((keys.len() as u64, capacity))
}

/// A key no packet of a bench asks for.
fn unasked(g: &Geometry, table: Table, layout: &Layout, random: &mut ChaCha8Rng) -> Row {
    let mut key = anything(random, layout.width());
    let mut put = |layout: &Layout, name: &str, value: u128| key.set_field(layout, 0, name, value);
    match table {
        Table::Interface => {
            put(
                &INTERFACE_KEY,
                "port",
                random.random_range(0..g.ports).into(),
            );
            put(&INTERFACE_KEY, "vid0", random.random_range(1..4095));
            put(&INTERFACE_KEY, "vid1", random.random_range(1..4095));
        }
        // Locally administered, as the bench's are, but for the second bit from above.
        Table::Source => put(
            &SOURCE_KEY,
            "mac",
            0x4200_0000_0000 | random.random_range(0..1 << 40),
        ),
        Table::Address => match random.random() {
            true => {
                put(&ADDRESS_KEY, "v6", 1);
                let low: u64 = random.random();
                put(
                    &ADDRESS_KEY,
                    "address",
                    0x2002 << 112 | u128::from(low) << 32,
                );
            }
            false => {
                put(&ADDRESS_KEY, "v6", 0);
                let low = random.random_range(0..1 << 24);
                put(&ADDRESS_KEY, "address", 100 << 24 | low);
            }
        },
        Table::Step => put(
            &STEP_KEY,
            "class",
            random.random_range(1 << (width::CLASS - 1)..1 << width::CLASS),
        ),
        _ => put(
            &PORT_KEY,
            "scope",
            random.random_range(1 << (width::SCOPE - 1)..1 << width::SCOPE),
        ),
    }
    key
}

/// Rows behind the last that is used.
fn direct(image: &mut Image, table: Table, percent: u32, random: &mut ChaCha8Rng) -> (u64, u64) {
    let capacity = u64::from(image.geometry.rows(table));
    let rows = image.table_mut(table);
    // A row of zeros in front of others has a meaning as well.
    let mut used = u64::from(rows.rows());
    for row in rows.rows()..capacity as u32 {
        if used >= wanted(capacity, percent) {
            break;
        }
        rows.put(row, &anything(random, rows.row_bits));
        used += 1;
    }
    (used, capacity)
}

fn rules(image: &mut Image, percent: u32, random: &mut ChaCha8Rng) -> (u64, u64) {
    let count = image.geometry.rows(Table::Rule);
    let capacity = u64::from(count * RULE_SLOTS);
    let rows = image.table_mut(Table::Rule);
    let width = RULE_SLOT.width();
    let of = |row: &Row, slot: u32, name: &str| row.field(&RULE_SLOT, slot * width, name);
    let mut used = 0;
    for number in 0..count {
        let mut row = rows.row(number);
        let long = of(&row, 0, "kind") == u128::from(rule_kind::V6_LONG);
        for slot in 0..RULE_SLOTS {
            let taken = of(&row, slot, "epochs") != 0 || (slot > 0 && long);
            // Spread over all rows: each bank is filled as much as the others.
            let due = wanted(u64::from(number * RULE_SLOTS + slot + 1), percent);
            if !taken && used < due {
                let rule = anything(random, width);
                (0..width).step_by(64).for_each(|at| {
                    let n = (width - at).min(64);
                    row.set(slot * width + at, n, rule.get(at, n));
                });
                for (name, value) in [
                    ("epochs", 3),
                    ("kind", u128::from(rule_kind::ANY)),
                    ("set", NO_SET),
                ] {
                    row.set_field(&RULE_SLOT, slot * width, name, value);
                }
                rows.put(number, &row);
            }
            used += u64::from(taken || used < due);
        }
    }
    (used, capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::geometry::EDGE;

    const DEFINITION: &str = r#"
seqnic: 1
geometry: edge
interfaces:
  i0: { port: 0, mac: "02:01:00:00:00:01", gateway: router }
  i1: { port: 1, mac: "02:01:00:00:00:02" }
hosts:
  router: { interface: i0, mac: "02:05:00:00:00:05" }
devices:
  web: { function: server, mode: loopback, address: 10.0.0.12, attachment: { interface: i1, mac: "02:09:00:00:00:09" } }
acls:
  guard: [{ client: 198.51.100.0/24, action: permit }]
services:
  w: { address: 203.0.113.13, protocol: tcp, port: 80, acl: guard, sequence: [web] }
"#;

    #[test]
    fn every_table_is_as_full_as_asked_and_keeps_what_it_had() {
        let definition = seqnic_compiler::read(DEFINITION).unwrap();
        let before = seqnic_compiler::compile(&definition).unwrap();
        let mut image = before.clone();
        let filled = fill(&mut image, 95, 1).unwrap();
        assert_eq!(filled.len(), Table::ALL.len() - 6);
        for f in &filled {
            assert!(f.percent() >= 95.0 && f.used <= f.capacity, "{f:?}");
        }
        for table in Table::ALL {
            assert!(image.table(table).rows() <= EDGE.rows(table), "{table:?}");
            let Some((key, value)) = table.hash() else {
                if table != Table::Seed {
                    // Rows of other tables stay; rules may get a neighbour in their row.
                    for (number, row) in before.table(table).used() {
                        let now = image.table(table).words(number).unwrap();
                        assert!(row.iter().zip(now).all(|(a, b)| a & b == *a), "{table:?}");
                    }
                }
                continue;
            };
            let slot = HashSlot { key, value };
            let all = |image: &Image| -> HashSet<(Vec<u64>, Vec<u64>)> {
                let rows = image.table(table);
                let slots =
                    (0..rows.rows()).flat_map(|n| (0..EDGE.slots(table)).map(move |s| (n, s)));
                let pairs = slots.filter_map(|(n, s)| slot.read(&rows.row(n), s, 0));
                pairs
                    .map(|(k, v)| (k.words().to_vec(), v.words().to_vec()))
                    .collect()
            };
            let now = all(&image);
            assert!(all(&before).is_subset(&now), "{table:?}");
            let capacity = EDGE.hash(table).unwrap().capacity() as usize;
            assert!(now.len() * 100 >= capacity * 95, "{table:?}");
        }
    }
}
