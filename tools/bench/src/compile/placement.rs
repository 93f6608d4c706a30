//! Placement at the load that is promised: how often keys find their places at the first choice of
//! hash seeds, at a later one, or at none.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_compiler::place::place;
use seqnic_spec::geometry::{self, HashSize};
use seqnic_spec::tables::Table;
use serde::Serialize;

/// One size of table, with the tables that have it.
#[derive(Debug, Clone, Serialize)]
pub struct Shape {
    pub tables: Vec<String>,
    pub ways: u32,
    pub slots: u32,
    pub rows: u32,
    /// Keys placed in each run.
    pub keys: u32,
    pub runs: u32,
    /// Runs placed at the first choice of seeds.
    pub first: u32,
    /// Most choices one run took.
    pub most_attempts: u32,
    pub failed: u32,
}

/// Every size of table there is.
pub fn shapes() -> Vec<(HashSize, Vec<String>)> {
    let mut shapes: Vec<(HashSize, Vec<String>)> = Vec::new();
    for geometry in geometry::KNOWN {
        for table in Table::ALL {
            let Some(size) = geometry.hash(table) else {
                continue;
            };
            let name = format!("{} {}", geometry.name, table.name());
            match shapes.iter_mut().find(|(known, _)| *known == size) {
                Some((_, names)) => names.push(name),
                None => shapes.push((size, vec![name])),
            }
        }
    }
    shapes.sort_by_key(|(size, _)| (size.capacity(), size.ways, size.slots));
    shapes
}

/// Places `percent` of a table's slots in random keys, once for each seed from 0.
///
/// A key is its digest: 32 random bits, as the CRC of a random key is.
pub fn run(size: HashSize, tables: Vec<String>, percent: u32, seeds: u32) -> Shape {
    let keys = (u64::from(size.capacity()) * u64::from(percent) / 100) as u32;
    let mut shape = Shape {
        tables,
        ways: size.ways,
        slots: size.slots,
        rows: size.rows,
        keys,
        runs: seeds,
        first: 0,
        most_attempts: 0,
        failed: 0,
    };
    for seed in 0..u64::from(seeds) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let digests: Vec<u32> = (0..keys).map(|_| random.next_u32()).collect();
        match place(&digests, size, seed) {
            Ok(placed) => {
                shape.first += u32::from(placed.attempts == 1);
                shape.most_attempts = shape.most_attempts.max(placed.attempts);
            }
            Err(unplaced) => {
                shape.failed += 1;
                shape.most_attempts = shape.most_attempts.max(unplaced.attempts);
            }
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All tables but the largest, a few seeds; `seqnic bench placement` runs a thousand of all.
    #[test]
    fn every_shape_of_every_geometry_takes_97_percent() {
        for (size, tables) in shapes() {
            if size.capacity() > 30_000 {
                continue;
            }
            let shape = run(size, tables, 97, 20);
            assert_eq!(shape.failed, 0, "{shape:?}");
        }
    }

    #[test]
    fn a_table_that_is_too_full_fails_and_is_counted() {
        let size = HashSize {
            ways: 2,
            slots: 1,
            rows: 64,
        };
        let shape = run(size, Vec::new(), 97, 2);
        assert_eq!((shape.failed, shape.first, shape.runs), (2, 0, 2));
    }
}
