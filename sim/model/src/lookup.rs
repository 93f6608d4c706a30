//! Hash tables as arrays: packed keys in one, decoded values in the other, same index. Packets ask
//! the [`Index`] made of them.

use crate::error::{LoadError, Place};
use crate::index::{self, Index, Stored};
use crate::keys::{Key, Packed};
use seqnic_image::TableRows;
use seqnic_spec::geometry::HashSize;
use seqnic_spec::hasher::{Hasher, MAX_WAYS};
use seqnic_spec::layout::Row;
use seqnic_spec::tables::{HashSlot, Table};

/// One hash table. A slot's index is `(way * rows + bucket) * slots + slot`.
#[derive(Debug, Clone)]
pub struct HashTable<K: Key, V: Stored> {
    table: Table,
    size: HashSize,
    hasher: Hasher,
    keys: Vec<K::Packed>,
    values: Vec<V>,
    /// Every key above with its value; those of one word apart from the others.
    short: Index<u64, V>,
    long: Index<K::Packed, V>,
}

/// A key asked for and not yet answered.
pub type Query<K> = Asked<<K as Key>::Packed>;

/// See [`Query`].
#[derive(Debug, Clone, Copy)]
pub enum Asked<P> {
    Short(index::Query<u64>),
    Long(index::Query<P>),
}

impl<P> Default for Asked<P> {
    fn default() -> Asked<P> {
        Asked::Short(index::Query::default())
    }
}

/// How a key was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub digest: u32,
    /// Bucket in each way; ways the table does not have are 0.
    pub buckets: [u32; MAX_WAYS],
    pub hit: Option<Hit>,
}

/// The slot a key was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub way: u32,
    /// Row of the table: way * rows of a way + bucket.
    pub row: u32,
    pub slot: u32,
}

/// A used slot of an image: where it is, its key and its value.
pub struct UsedSlot<'a> {
    pub place: Place,
    pub key: &'a Row,
    pub value: &'a Row,
}

impl<K: Key, V: Stored + PartialEq> HashTable<K, V> {
    /// Decodes the rows of a hash table (already known to fit the geometry) that hold in an epoch. `decode` gives the
    /// value of a used slot, or says what is wrong with it.
    ///
    /// # Errors
    /// What `decode` says; an even seed; a key outside its bucket, or twice with two values.
    pub fn load(
        rows: &TableRows,
        size: HashSize,
        seeds: &[u32],
        (slot, epoch): (HashSlot, u32),
        mut decode: impl FnMut(UsedSlot) -> Result<V, LoadError>,
    ) -> Result<HashTable<K, V>, LoadError> {
        let count = size.capacity() as usize;
        let mut table = HashTable {
            table: rows.table,
            size,
            hasher: Hasher::new(seeds, size.rows),
            keys: vec![K::Packed::EMPTY; count],
            values: vec![V::default(); count],
            short: Index::new(0),
            long: Index::new(0),
        };
        let mut used = 0;
        for (row, words) in rows.used() {
            let row_bits = Row::from_words(rows.row_bits, words);
            for number in 0..size.slots {
                let Some((key, value)) = slot.read(&row_bits, number, epoch) else {
                    continue;
                };
                let place = Place {
                    table: rows.table,
                    row,
                    slot: Some(number),
                };
                let decoded = decode(UsedSlot {
                    place,
                    key: &key,
                    value: &value,
                })?;
                table.put(place, K::Packed::from_words(key.words()), decoded)?;
                used += 1;
            }
        }
        if used > 0 {
            table.check_seeds()?;
        }
        table.fill_index();
        Ok(table)
    }

    fn put(&mut self, place: Place, key: K::Packed, value: V) -> Result<(), LoadError> {
        let (way, bucket) = (place.row / self.size.rows, place.row % self.size.rows);
        let (digest, buckets) = self.hasher.probe(key.words(), K::BYTES);
        let expected = buckets.get(way as usize).copied().unwrap_or_default();
        if bucket != expected {
            return Err(LoadError::Misplaced {
                place,
                way,
                digest,
                seed: self.seed(way),
                bucket,
                expected,
            });
        }
        // Two slots with one key and one value are what a move leaves for a moment.
        if let Some(hit) = self.find(key).hit
            && self.values[self.index(hit)] != value
        {
            return Err(LoadError::Twice {
                place,
                other: hit.row,
            });
        }
        let at = self.index(Hit {
            way,
            row: place.row,
            slot: place.slot.unwrap_or_default(),
        });
        self.keys[at] = key.used();
        self.values[at] = value;
        Ok(())
    }

    fn fill_index(&mut self) {
        let used = || {
            self.keys
                .iter()
                .zip(&self.values)
                .filter(|(k, _)| **k != K::Packed::EMPTY)
        };
        // The mark is no part of a key.
        let plain = |key: &K::Packed| K::Packed::from_words(&key.words());
        let short = used()
            .filter(|(key, _)| K::short(plain(key)).is_some())
            .count();
        let mut index = (Index::new(short), Index::new(used().count() - short));
        for (key, value) in used() {
            match K::short(plain(key)) {
                Some(short) => index.0.insert(short, *value),
                None => index.1.insert(plain(key), *value),
            }
        }
        (self.short, self.long) = index;
    }

    fn check_seeds(&self) -> Result<(), LoadError> {
        match self.hasher.seeds().iter().position(|seed| seed % 2 == 0) {
            None => Ok(()),
            Some(way) => Err(LoadError::Field {
                place: Place {
                    table: Table::Seed,
                    row: seed_row(self.table, way as u32),
                    slot: None,
                },
                field: "seed",
                value: u128::from(self.seed(way as u32)),
                must: "odd".to_string(),
            }),
        }
    }

    fn seed(&self, way: u32) -> u32 {
        let seeds = self.hasher.seeds();
        seeds.get(way as usize).copied().unwrap_or_default()
    }

    fn index(&self, hit: Hit) -> usize {
        hit.row as usize * self.size.slots as usize + hit.slot as usize
    }

    /// Asks for the memory the answer is in. An empty table is not read at all.
    #[inline(always)]
    pub fn ask(&self, key: K) -> Query<K> {
        let key = key.pack();
        match K::short(key) {
            Some(short) => Asked::Short(self.short.ask(short)),
            None => Asked::Long(self.long.ask(key)),
        }
    }

    /// The value of the key asked for.
    #[inline(always)]
    pub fn answer(&self, query: &Query<K>) -> Option<V> {
        self.bits(query).map(V::load)
    }

    /// The value of the key asked for, as it is stored.
    #[inline(always)]
    pub fn bits(&self, query: &Query<K>) -> Option<V::Bits> {
        match query {
            Asked::Short(query) => self.short.answer(query),
            Asked::Long(query) => self.long.answer(query),
        }
    }

    /// Keys that have a short form: all of a table whose keys are words.
    #[inline(always)]
    pub(crate) fn short(&self) -> &Index<u64, V> {
        &self.short
    }

    /// The value of `key`.
    #[inline(always)]
    pub fn get(&self, key: K) -> Option<V> {
        self.answer(&self.ask(key))
    }

    /// How hardware looks for `key`: every bucket of it.
    pub fn probe(&self, key: K) -> Probe {
        self.find(key.pack())
    }

    #[inline]
    fn find(&self, key: K::Packed) -> Probe {
        let (digest, buckets) = self.hasher.probe(key.words(), K::BYTES);
        let wanted = key.used();
        let slots = self.size.slots as usize;
        let mut hit = None;
        for (way, bucket) in buckets.iter().take(self.size.ways as usize).enumerate() {
            let row = way as u32 * self.size.rows + bucket;
            let at = row as usize * slots;
            let found = self
                .keys
                .get(at..at + slots)
                .and_then(|keys| keys.iter().position(|k| *k == wanted));
            if let Some(slot) = found {
                hit = Some(Hit {
                    way: way as u32,
                    row,
                    slot: slot as u32,
                });
                break;
            }
        }
        Probe {
            digest,
            buckets,
            hit,
        }
    }

    pub fn table(&self) -> Table {
        self.table
    }

    pub fn size(&self) -> HashSize {
        self.size
    }

    pub fn seeds(&self) -> &[u32] {
        self.hasher.seeds()
    }

    /// Every value with its place.
    pub fn values(&self) -> impl Iterator<Item = (Place, &V)> {
        self.entries().map(|(place, _, value)| (place, value))
    }

    /// Every key's bits and value with their place.
    pub fn entries(&self) -> impl Iterator<Item = (Place, [u64; 3], &V)> {
        let slots = self.size.slots as usize;
        let used = self.keys.iter().zip(&self.values).enumerate();
        used.filter(|(_, (key, _))| **key != K::Packed::EMPTY)
            .map(move |(at, (key, value))| {
                let place = Place {
                    table: self.table,
                    row: (at / slots) as u32,
                    slot: Some((at % slots) as u32),
                };
                (place, key.words(), value)
            })
    }
}

/// Row of `seed` that holds the seed of way `way` of `table`.
pub fn seed_row(table: Table, way: u32) -> u32 {
    table as u32 * 4 + way
}
