//! Table images: what the compiler writes and every engine loads.
//!
//! In memory a table is dense: one run of 64-bit words, `words_per_row` a row. The file form is
//! in [`file`] (magic, versions, geometry, generation, a digest for each table).

pub mod file;
pub mod inspect;
pub mod names;

pub use file::{Digest, ImageError, read, read_for, write};
pub use inspect::{Inspect, inspect};
pub use names::Names;

use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::Row;
use seqnic_spec::tables::Table;

/// The rows of one table, dense from row 0; rows past the end are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    pub table: Table,
    /// Bits of a row.
    pub row_bits: u32,
    /// Row after row, lowest word first.
    pub words: Vec<u64>,
}

impl TableRows {
    pub fn new(geometry: &Geometry, table: Table) -> TableRows {
        TableRows {
            table,
            row_bits: geometry.row_bits(table),
            words: Vec::new(),
        }
    }

    pub fn words_per_row(&self) -> usize {
        self.row_bits.div_ceil(64) as usize
    }

    /// Rows stored; later rows are zero.
    pub fn rows(&self) -> u32 {
        (self.words.len() / self.words_per_row()) as u32
    }

    /// Words of row `row`, or `None` past the stored rows (a zero row).
    pub fn words(&self, row: u32) -> Option<&[u64]> {
        let n = self.words_per_row();
        let at = row as usize * n;
        self.words.get(at..at + n)
    }

    /// Row `row`.
    pub fn row(&self, row: u32) -> Row {
        Row::from_words(self.row_bits, self.words(row).unwrap_or(&[]))
    }

    /// Puts a row of words, growing the table as needed; words that are missing are 0, those that are
    /// too many are dropped.
    pub fn put_words(&mut self, row: u32, words: &[u64]) {
        self.put(row, &Row::from_words(self.row_bits, words));
    }

    /// Puts a row, growing the table as needed.
    pub fn put(&mut self, row: u32, value: &Row) {
        assert_eq!(
            value.width(),
            self.row_bits,
            "row of table `{}`",
            self.table.name()
        );
        let n = self.words_per_row();
        let at = row as usize * n;
        if self.words.len() < at + n {
            self.words.resize(at + n, 0);
        }
        self.words[at..at + n].copy_from_slice(value.words());
    }

    /// Rows that are not zero, with their numbers.
    pub fn used(&self) -> impl Iterator<Item = (u32, &[u64])> {
        self.words
            .chunks_exact(self.words_per_row())
            .enumerate()
            .filter(|(_, w)| w.iter().any(|w| *w != 0))
            .map(|(i, w)| (i as u32, w))
    }
}

/// One complete set of tables for one geometry, with the names behind the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub geometry: &'static Geometry,
    /// Raised by the provisioner with every change it makes.
    pub generation: u64,
    /// Every table, indexed by its number.
    pub tables: Vec<TableRows>,
    pub names: Names,
}

impl Image {
    /// An image with every table empty.
    pub fn empty(geometry: &'static Geometry) -> Image {
        Image {
            geometry,
            generation: 0,
            tables: Table::ALL
                .into_iter()
                .map(|t| TableRows::new(geometry, t))
                .collect(),
            names: Names::default(),
        }
    }

    pub fn table(&self, table: Table) -> &TableRows {
        &self.tables[table as usize]
    }

    pub fn table_mut(&mut self, table: Table) -> &mut TableRows {
        &mut self.tables[table as usize]
    }

    /// Hash seed of a way of a hash table; 0 where there is none.
    pub fn seed(&self, table: Table, way: u32) -> u32 {
        let row = table as u32 * WAYS_PER_TABLE + way;
        let words = self.table(Table::Seed).words(row);
        words.map_or(0, |w| w[0] as u32)
    }

    /// The version of the tables that holds: that of packets which enter now.
    pub fn epoch(&self) -> u32 {
        let words = self.table(Table::Epoch).words(0);
        words.map_or(0, |w| w[0] as u32 & 1)
    }

    /// Row of number `number` of a direct table in the epoch that holds.
    pub fn row_of(&self, table: Table, number: u32) -> u32 {
        match table.versions() {
            1 => number,
            versions => number * versions + self.epoch(),
        }
    }

    /// Digest of a table's rows, the same for equal rows wherever they were read from.
    pub fn digest(&self, table: Table) -> Digest {
        file::table_digest(self.table(table))
    }
}

/// Rows of `seed` a table has.
const WAYS_PER_TABLE: u32 = 4;
