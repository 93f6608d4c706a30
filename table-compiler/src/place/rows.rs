//! Rows of a hash table from its keys and values.

use super::{Unplaced, place};
use seqnic_spec::geometry::{Geometry, HashSize};
use seqnic_spec::hasher::{KeyWords, digests};
use seqnic_spec::tables::{EPOCHS, Epochs, Table};
use std::time::{Duration, Instant};

/// A value as words, lowest first; bits above it are zero.
pub type ValueWords = [u64; 2];

/// A hash table as it stands in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Row after row, up to the last that is not zero.
    pub words: Vec<u64>,
    /// Seed of each way.
    pub seeds: Vec<u32>,
    /// Choices of seeds it took.
    pub attempts: u32,
    pub times: Times,
}

/// How long the parts of a build took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    pub digest: Duration,
    pub place: Duration,
    pub write: Duration,
}

/// Builds `table`, a hash table of `geometry`, from distinct keys and their values, valid in both epochs.
///
/// # Errors
/// [`Unplaced`] as [`place`]; a table that is none of hashes has room for no key.
pub fn build(
    geometry: &Geometry,
    table: Table,
    keys: &[KeyWords],
    values: &[ValueWords],
    seed: u64,
) -> Result<Built, Unplaced> {
    let (Some(size), Some((key, _))) = (geometry.hash(table), table.hash()) else {
        return Err(Unplaced {
            keys: keys.len(),
            placed: 0,
            attempts: 0,
        });
    };
    let start = Instant::now();
    let digests = digests(keys, key.width().div_ceil(8) as usize);
    let digested = Instant::now();
    let placement = place(&digests, size, seed)?;
    let placed = Instant::now();
    let slot = Slot {
        bits: table.slot_bits(),
        key: EPOCHS,
        value: EPOCHS + key.width(),
    };
    let words_per_row = geometry.row_bits(table).div_ceil(64) as usize;
    let words = write(&placement.cells, size, words_per_row, slot, keys, values);
    Ok(Built {
        words,
        seeds: placement.seeds,
        attempts: placement.attempts,
        times: Times {
            digest: digested - start,
            place: placed - digested,
            write: placed.elapsed(),
        },
    })
}

/// Where in a slot its parts start, in bits.
#[derive(Clone, Copy)]
struct Slot {
    bits: u32,
    key: u32,
    value: u32,
}

fn write(
    cells: &[u32],
    size: HashSize,
    words_per_row: usize,
    slot: Slot,
    keys: &[KeyWords],
    values: &[ValueWords],
) -> Vec<u64> {
    let last = cells.iter().max().map_or(0, |c| c / size.slots + 1);
    let mut rows = vec![0; last as usize * words_per_row];
    let epochs = [u64::from(Epochs::BOTH.bits())];
    for ((cell, key), value) in cells.iter().zip(keys).zip(values) {
        let at = (cell / size.slots) as usize * words_per_row;
        let row = &mut rows[at..at + words_per_row];
        let base = cell % size.slots * slot.bits;
        or(row, base, &epochs);
        or(row, base + slot.key, key);
        or(row, base + slot.value, value);
    }
    rows
}

/// Ors the words `from` into `row` from bit `at` up. What lies above the row is zero.
#[inline(always)]
fn or<const N: usize>(row: &mut [u64], at: u32, from: &[u64; N]) {
    let (first, by) = ((at / 64) as usize, at % 64);
    let mut carry = 0;
    for (n, word) in from.iter().enumerate() {
        if let Some(to) = row.get_mut(first + n) {
            *to |= word << by | carry;
        }
        // Two steps, as a shift by 64 is none.
        carry = word >> 1 >> (63 - by);
    }
    if let Some(to) = row.get_mut(first + N) {
        *to |= carry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::geometry::ALVEO;
    use seqnic_spec::layout::Row;
    use seqnic_spec::tables::HashSlot;

    #[test]
    fn every_key_and_value_fits_its_words() {
        for (key, value) in Table::ALL.into_iter().filter_map(Table::hash) {
            assert!(
                key.width() <= 64 * 3 && value.width() <= 64 * 2,
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn what_is_built_is_read() {
        for table in Table::ALL.into_iter().filter(|t| t.hash().is_some()) {
            let Some((key, value)) = table.hash() else {
                continue;
            };
            let word = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let row = |n: u64, width| Row::from_words(width, &[word(n), word(n + 1), word(n + 2)]);
            let all: Vec<(Row, Row)> = (0..200)
                .map(|n| (row(3 * n, key.width()), row(7 * n + 1, value.width())))
                .collect();
            let keys: Vec<KeyWords> = all.iter().map(|(k, _)| words(k)).collect();
            let values: Vec<ValueWords> = all.iter().map(|(_, v)| words(v)).collect();
            let built = build(&ALVEO, table, &keys, &values, 1).unwrap();
            let bits = ALVEO.row_bits(table);
            let slot = HashSlot { key, value };
            let mut found = Vec::new();
            for words in built.words.chunks(bits.div_ceil(64) as usize) {
                let row = Row::from_words(bits, words);
                for number in 0..ALVEO.hash(table).unwrap().slots {
                    for epoch in 0..2 {
                        found.extend(slot.read(&row, number, epoch));
                    }
                }
            }
            found.sort();
            let mut expected: Vec<_> = all.iter().chain(&all).cloned().collect();
            expected.sort();
            assert_eq!(found, expected, "{}", table.name());
        }
    }

    fn words<const N: usize>(row: &Row) -> [u64; N] {
        std::array::from_fn(|i| row.words().get(i).copied().unwrap_or(0))
    }
}
