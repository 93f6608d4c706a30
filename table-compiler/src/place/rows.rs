//! Rows of a hash table from its keys and values.

use super::{FREE, Unplaced, place};
use seqnic_spec::geometry::{Geometry, HashSize};
use seqnic_spec::hasher::{KeyWords, digests};
use seqnic_spec::layout::Layout;
use seqnic_spec::tables::{EPOCHS, Epochs, MAX_ROW_BITS, Table};
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
    let (Some(size), Some((key, value))) = (geometry.hash(table), table.hash()) else {
        return Err(Unplaced {
            keys: keys.len(),
            placed: 0,
            attempts: 0,
        });
    };
    let words = |layout: &Layout| layout.width().div_ceil(64);
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
    let source = Source {
        slots: &placement.slots,
        keys,
        values,
    };
    let write = match (words(key), words(value)) {
        (1, 1) => Source::write::<1, 1>,
        (2, 1) => Source::write::<2, 1>,
        (3, 1) => Source::write::<3, 1>,
        (1, _) => Source::write::<1, 2>,
        (2, _) => Source::write::<2, 2>,
        _ => Source::write::<3, 2>,
    };
    let words = write(&source, size, words_per_row, slot);
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

/// Words a row is put together in: those of the widest row, and what the last part of it may reach
/// past them (zeros).
const ROW_WORDS: usize = (MAX_ROW_BITS / 64) as usize + 4;
/// Slots ahead of the one that is written whose key and value are asked for.
const AHEAD: usize = 24;

/// What rows are written from.
struct Source<'a> {
    /// Key in each slot of the table, or [`FREE`].
    slots: &'a [u32],
    keys: &'a [KeyWords],
    values: &'a [ValueWords],
}

impl Source<'_> {
    /// Rows in the order they stand in, so that each is written once, in registers; keys and values are
    /// met in the order of their places, which is none, and are fetched ahead. `KEY` and `VALUE` are the
    /// words that keys and values of this table have.
    fn write<const KEY: usize, const VALUE: usize>(
        &self,
        size: HashSize,
        words_per_row: usize,
        slot: Slot,
    ) -> Vec<u64> {
        let used = self.slots.iter().rposition(|key| *key != FREE);
        let slots = used.map_or(0, |last| last + 1);
        let per_row = size.slots as usize;
        let mut rows = Vec::with_capacity(slots.div_ceil(per_row) * words_per_row);
        let epochs = u64::from(Epochs::BOTH.bits());
        for (number, bucket) in self.slots[..slots].chunks(per_row).enumerate() {
            let mut row = [0; ROW_WORDS];
            for (at, key) in bucket.iter().enumerate() {
                self.ask(number * per_row + at + AHEAD);
                if *key == FREE {
                    continue;
                }
                let base = at as u32 * slot.bits;
                or::<1>(&mut row, base, &[epochs]);
                or::<KEY>(&mut row, base + slot.key, &self.keys[*key as usize]);
                or::<VALUE>(&mut row, base + slot.value, &self.values[*key as usize]);
            }
            rows.extend_from_slice(&row[..words_per_row]);
        }
        rows
    }

    /// Has the key and value of a slot brought near; nothing where there is none.
    #[inline(always)]
    fn ask(&self, slot: usize) {
        if let Some(key) = self.slots.get(slot)
            && let (Some(key), Some(value)) =
                (self.keys.get(*key as usize), self.values.get(*key as usize))
        {
            prefetch(key);
            prefetch(value);
        }
    }
}

#[inline(always)]
fn prefetch<T>(of: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it reads nothing, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(of).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = of;
}

/// Ors the first `N` words of `from` into `row` from bit `at` up. `Geometry::check` keeps rows within
/// [`ROW_WORDS`], so that taking the remainder changes no place and only spares a comparison.
#[inline(always)]
fn or<const N: usize>(row: &mut [u64; ROW_WORDS], at: u32, from: &[u64]) {
    let (first, by) = ((at / 64) as usize % (ROW_WORDS - 4), at % 64);
    let mut carry = 0;
    for (n, word) in from.iter().take(N).enumerate() {
        row[first + n] |= word << by | carry;
        // Two steps, as a shift by 64 is none.
        carry = word >> 1 >> (63 - by);
    }
    row[first + N] |= carry;
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
