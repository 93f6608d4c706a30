//! The tables that are loaded, asked as the card asks them, and changed word by word.

use super::bits::{self, Field};
use super::error::DeltaError;
use super::{Key, Value, Word};
use indexmap::IndexSet;
use seqnic_image::Image;
use seqnic_spec::geometry::HashSize;
use seqnic_spec::hasher::Hasher;
use seqnic_spec::tables::{EPOCHS, Epochs, Table};
use std::collections::{HashMap, VecDeque};

/// How one hash table is laid out and asked.
pub struct Hashed {
    pub table: Table,
    pub size: HashSize,
    pub key_bits: u32,
    pub value_bits: u32,
    pub key_fields: Vec<Field>,
    pub value_fields: Vec<Field>,
    hasher: Hasher,
    words_per_row: usize,
}

/// A slot: row of the table and slot of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    pub row: u32,
    pub slot: u32,
}

impl Hashed {
    pub fn of(image: &Image, table: Table) -> Option<Hashed> {
        let (key, value) = table.hash()?;
        let size = image.geometry.hash(table)?;
        let seeds: Vec<u32> = (0..size.ways).map(|way| image.seed(table, way)).collect();
        Some(Hashed {
            table,
            size,
            key_bits: key.width(),
            value_bits: value.width(),
            key_fields: Field::of(key),
            value_fields: Field::of(value),
            hasher: Hasher::new(&seeds, size.rows),
            words_per_row: image.table(table).words_per_row(),
        })
    }

    fn slot_bits(&self) -> u32 {
        EPOCHS + self.key_bits + self.value_bits
    }

    fn base(&self, slot: u32) -> u32 {
        slot * self.slot_bits()
    }

    /// Lowest bit of the key in a row, of the value.
    pub fn key_at(&self, slot: u32) -> u32 {
        self.base(slot) + EPOCHS
    }

    pub fn value_at(&self, slot: u32) -> u32 {
        self.key_at(slot) + self.key_bits
    }

    pub fn epochs(&self, row: &[u64], slot: u32) -> Epochs {
        Epochs::from_bits(bits::get(row, self.base(slot), EPOCHS) as u32)
    }

    pub fn set_epochs(&self, row: &mut [u64], slot: u32, epochs: Epochs) {
        bits::set(row, self.base(slot), EPOCHS, epochs.bits().into());
    }

    pub fn clear(&self, row: &mut [u64], slot: u32) {
        let mut at = self.base(slot);
        let end = at + self.slot_bits();
        while at < end {
            let take = (end - at).min(64);
            bits::set(row, at, take, 0);
            at += take;
        }
    }

    pub fn key(&self, row: &[u64], slot: u32) -> Key {
        let mut key = Key::default();
        bits::copy(&mut key, 0, row, self.key_at(slot), self.key_bits);
        key
    }

    pub fn value(&self, row: &[u64], slot: u32) -> Value {
        let mut value = Value::default();
        bits::copy(&mut value, 0, row, self.value_at(slot), self.value_bits);
        value
    }

    /// Rows a key may stand in, a way each.
    pub fn homes(&self, key: &Key) -> impl Iterator<Item = u32> + 'static {
        let (ways, rows) = (self.size.ways, self.size.rows);
        let (_, buckets) = self.hasher.probe(*key, self.key_bits.div_ceil(8) as usize);
        let ways = (0..ways).zip(buckets);
        ways.map(move |(way, bucket)| way * rows + bucket)
    }

    /// The slot that has `key` and holds in `epoch`; a second one is an unfinished move.
    pub fn find(&self, image: &Image, epoch: u32, key: &Key) -> Result<Option<Cell>, DeltaError> {
        let rows = image.table(self.table);
        let mut found = None;
        for row in self.homes(key) {
            let Some(words) = rows.words(row) else {
                continue;
            };
            for slot in 0..self.size.slots {
                let here = self.epochs(words, slot).holds(epoch)
                    && bits::same(words, self.key_at(slot), key, 0, self.key_bits);
                if here && found.replace(Cell { row, slot }).is_some() {
                    let table = self.table;
                    return Err(DeltaError::Unfinished { table, row });
                }
            }
        }
        Ok(found)
    }
}

/// Every hash table of an image, by table number.
pub fn hashed(image: &Image) -> Vec<Option<Hashed>> {
    let tables = Table::ALL.into_iter();
    tables.map(|table| Hashed::of(image, table)).collect()
}

/// Tables being changed: what was written, in order.
pub struct Change {
    pub image: Image,
    pub words: Vec<Word>,
    /// Rows changed in `image` whose words are not yet in `words`, with what they were.
    pending: HashMap<(Table, u32), Vec<u64>>,
    order: Vec<(Table, u32)>,
    /// Rows of hash tables and of rules that were written.
    pub touched: IndexSet<(Table, u32)>,
}

impl Change {
    pub fn new(image: Image) -> Change {
        Change {
            image,
            words: Vec::new(),
            pending: HashMap::new(),
            order: Vec::new(),
            touched: IndexSet::new(),
        }
    }

    /// Words of a row; rows that are not stored are zero.
    pub fn row(&self, table: Table, row: u32) -> Vec<u64> {
        let rows = self.image.table(table);
        let zero = || vec![0; rows.words_per_row()];
        rows.words(row).map_or_else(zero, <[u64]>::to_vec)
    }

    /// Changes a row. Its word is written with the next [`Change::flush`], together with what else
    /// changes in it until then.
    pub fn put(&mut self, table: Table, row: u32, words: Vec<u64>) {
        let was = self.row(table, row);
        if was == words {
            return;
        }
        if table.hash().is_some() || table == Table::Rule {
            self.touched.insert((table, row));
        }
        let order = &mut self.order;
        self.pending.entry((table, row)).or_insert_with(|| {
            order.push((table, row));
            was
        });
        store(&mut self.image, table, row, &words);
    }

    /// Writes the words of all rows that have changed.
    pub fn flush(&mut self) {
        for (table, row) in std::mem::take(&mut self.order) {
            let now = self.row(table, row);
            let Some(was) = self.pending.remove(&(table, row)) else {
                continue;
            };
            if was != now {
                self.words.push(Word {
                    table,
                    row,
                    was,
                    now,
                });
            }
        }
    }

    /// Puts a key that no slot has, moving others where it has no room; `false` if there is no
    /// placement under these seeds.
    pub fn insert(&mut self, h: &Hashed, key: &Key, value: &Value, epochs: Epochs) -> bool {
        let homes: Vec<u32> = h.homes(key).collect();
        let target = homes
            .iter()
            .find_map(|row| Some((*row, self.free(h, *row)?)));
        let cell = match target {
            Some((row, slot)) => Cell { row, slot },
            None => match self.make_room(h, &homes) {
                Some(cell) => cell,
                None => return false,
            },
        };
        let mut words = self.row(h.table, cell.row);
        h.clear(&mut words, cell.slot);
        h.set_epochs(&mut words, cell.slot, epochs);
        bits::copy(&mut words, h.key_at(cell.slot), key, 0, h.key_bits);
        bits::copy(&mut words, h.value_at(cell.slot), value, 0, h.value_bits);
        self.put(h.table, cell.row, words);
        true
    }

    fn free(&self, h: &Hashed, row: u32) -> Option<u32> {
        let words = self.image.table(h.table).words(row).unwrap_or(&[]);
        (0..h.size.slots).find(|slot| h.epochs(words, *slot).is_empty())
    }

    /// The shortest chain of moves that frees a slot in one of `homes`. Every key is copied to its
    /// new place before its old one is written: the copy and the original stand in two ways, which
    /// a lookup reads in one clock, so it finds one of them at any time.
    fn make_room(&mut self, h: &Hashed, homes: &[u32]) -> Option<Cell> {
        // Row, and the slot of an earlier row whose key would move here.
        let mut seen: HashMap<u32, Option<Cell>> = homes.iter().map(|r| (*r, None)).collect();
        let mut queue: VecDeque<u32> = homes.iter().copied().collect();
        while let Some(row) = queue.pop_front() {
            for slot in 0..h.size.slots {
                let words = self.image.table(h.table).words(row).unwrap_or(&[]);
                let key = h.key(words, slot);
                let others: Vec<u32> = h.homes(&key).filter(|r| *r != row).collect();
                for other in others {
                    if seen.contains_key(&other) {
                        continue;
                    }
                    seen.insert(other, Some(Cell { row, slot }));
                    if let Some(free) = self.free(h, other) {
                        return Some(self.move_chain(
                            h,
                            &seen,
                            Cell {
                                row: other,
                                slot: free,
                            },
                        ));
                    }
                    queue.push_back(other);
                }
            }
        }
        None
    }

    /// Moves keys one after the other, from the free slot backwards; the slot that is given up last.
    fn move_chain(&mut self, h: &Hashed, seen: &HashMap<u32, Option<Cell>>, free: Cell) -> Cell {
        self.flush();
        let mut to = free;
        while let Some(Some(from)) = seen.get(&to.row).copied() {
            let source = self.row(h.table, from.row);
            let mut words = self.row(h.table, to.row);
            let bits = h.slot_bits();
            bits::copy(&mut words, to.slot * bits, &source, from.slot * bits, bits);
            self.put(h.table, to.row, words);
            self.flush();
            to = from;
        }
        to
    }
}

/// Puts words in a row, growing the table as needed.
pub fn store(image: &mut Image, table: Table, row: u32, words: &[u64]) {
    let rows = image.table_mut(table);
    let n = rows.words_per_row();
    let at = row as usize * n;
    if rows.words.len() < at + n {
        rows.words.resize(at + n, 0);
    }
    rows.words[at..at + n].copy_from_slice(words);
}

impl Hashed {
    /// Every slot in use, with its row's words.
    pub fn cells<'a>(&'a self, image: &'a Image) -> impl Iterator<Item = (Cell, &'a [u64])> + 'a {
        let rows = &image.table(self.table).words;
        let rows = rows.chunks_exact(self.words_per_row).enumerate();
        let of_row = move |(row, words): (usize, &'a [u64])| {
            let cells = (0..self.size.slots).map(move |slot| Cell {
                row: row as u32,
                slot,
            });
            cells
                .filter(move |c| !self.epochs(words, c.slot).is_empty())
                .map(move |c| (c, words))
        };
        rows.flat_map(of_row)
    }
}
