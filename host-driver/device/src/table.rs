//! Tables: loaded, verified, changed in order, scrubbed.

use crate::command::{Command, Commands, Pause};
use crate::error::{Error, Result};
use seqnic_card::Repair;
use seqnic_compiler::delta::{Delta, Order, Word};
use seqnic_image::{Image, TableRows};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::layout::Row;
use seqnic_spec::tables::Table;
use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Row of `epoch` that is a state and no memory.
const EPOCH_STATE: u32 = 1;
/// How long a drain may take: by the sizes of the card it is under a millisecond, a simulated one is slower.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Tables of a card, and what was written to them.
pub struct Tables {
    pub commands: Commands,
    pub geometry: &'static Geometry,
    /// What the card is to hold, once it is known.
    wanted: Option<Image>,
    /// Where the scrubber goes on.
    cursor: (usize, u32),
}

impl Tables {
    pub fn new(commands: Commands, geometry: &'static Geometry) -> Tables {
        Tables {
            commands,
            geometry,
            wanted: None,
            cursor: (0, 0),
        }
    }

    fn words(&self, table: Table) -> usize {
        self.geometry.row_bits(table).div_ceil(64) as usize
    }

    fn check_row(&self, table: Table, row: u32) -> Result<()> {
        let rows = self.geometry.rows(table);
        match row < rows {
            true => Ok(()),
            false => Err(Error::NoRow { table, row, rows }),
        }
    }

    /// Rows as they are, `row_bits` rounded up to 64-bit words each.
    pub fn read(&mut self, table: Table, rows: Range<u32>) -> Result<Vec<u64>> {
        if let Some(last) = rows.end.checked_sub(1).filter(|_| !rows.is_empty()) {
            self.check_row(table, last)?;
        }
        let n = self.words(table);
        let mut out = Vec::with_capacity(rows.len() * n);
        let reads = rows.map(|row| Command::Read {
            table: table as u8,
            row,
        });
        self.commands
            .run(reads, |_, _, words| out.extend(&words[..n]))?;
        Ok(out)
    }

    /// Every table as it is, without names; it becomes what the scrubber holds the card to.
    pub fn adopt(&mut self) -> Result<Image> {
        let mut image = Image::empty(self.geometry);
        for table in Table::ALL {
            let words = self.read(table, 0..self.geometry.rows(table))?;
            let rows = image.table_mut(table);
            rows.words = words;
            if table == Table::Epoch {
                forget(rows, EPOCH_STATE);
            }
            trim(rows);
        }
        self.wanted = Some(image.clone());
        Ok(image)
    }

    /// Makes the tables those of an image: what differs is written, and all that was written read back.
    pub fn load(&mut self, image: &Image) -> Result<usize> {
        if image.geometry != self.geometry {
            return Err(Error::Geometry {
                card: self.geometry.name,
                tables: image.geometry.name,
            });
        }
        let found = self.adopt()?;
        // What the image holds is true as soon as it is written, row by row.
        let mut words = Vec::new();
        for table in Table::ALL {
            let (now, then) = (image.table(table), found.table(table));
            for row in 0..now.rows().max(then.rows()) {
                let (now, was) = (now.row(row), then.row(row));
                if now != was && !(table == Table::Epoch && row == EPOCH_STATE) {
                    words.push(Word {
                        table,
                        row,
                        was: was.words().to_vec(),
                        now: now.words().to_vec(),
                    });
                }
            }
        }
        self.write(&words)?;
        self.verify(&words)?;
        Ok(words.len())
    }

    /// Writes rows in this order.
    pub fn write(&mut self, words: &[Word]) -> Result<()> {
        for word in words {
            self.check_row(word.table, word.row)?;
        }
        // Known to be wanted before it is there: a row the card then does not have is one to be repaired.
        if let Some(wanted) = &mut self.wanted {
            for word in words {
                put(wanted.table_mut(word.table), word.row, &word.now);
            }
        }
        let commands = words.iter().map(|word| Command::Write {
            table: word.table as u8,
            row: word.row,
            words: &word.now,
        });
        let done = self.commands.run(commands, |_, _, _| {});
        if done.is_err() {
            // Some may be written: what the card is to hold is what it is found to hold.
            self.wanted = None;
        }
        done
    }

    /// Reads back what was written.
    pub fn verify(&mut self, words: &[Word]) -> Result<()> {
        let mut last: HashMap<(Table, u32), &Word> = HashMap::new();
        for word in words {
            last.insert((word.table, word.row), word);
        }
        let mut words: Vec<&Word> = last.into_values().collect();
        words.sort_by_key(|w| (w.table, w.row));
        let reads = words.iter().map(|word| Command::Read {
            table: word.table as u8,
            row: word.row,
        });
        let mut at = words.iter();
        let mut wrong = None;
        self.commands.run(reads, |_, _, read| {
            if let Some(word) = at.next()
                && read[..word.now.len()] != word.now[..]
                && wrong.is_none()
            {
                wrong = Some(Error::Verify {
                    table: word.table,
                    row: word.row,
                    wrote: word.now.clone(),
                    read: read[..word.now.len()].to_vec(),
                });
            }
        })?;
        wrong.map_or(Ok(()), Err)
    }

    /// Waits until no packet of the epoch that does not hold is inside.
    pub fn drain(&mut self, timeout: Duration) -> Result<()> {
        let since = Instant::now();
        let mut pause = Pause::default();
        loop {
            let state = self.read(Table::Epoch, EPOCH_STATE..EPOCH_STATE + 1)?;
            if state.iter().all(|w| *w == 0) {
                return Ok(());
            }
            if since.elapsed() > timeout {
                return Err(Error::Drain { after: timeout });
            }
            pause.wait();
        }
    }

    /// Writes a delta from word `from` on, drains included, and verifies it.
    pub fn apply(&mut self, delta: &Delta, from: usize) -> Result<()> {
        if delta.geometry != self.geometry {
            return Err(Error::Geometry {
                card: self.geometry.name,
                tables: delta.geometry.name,
            });
        }
        let words = delta.words.len();
        let mut done = 0;
        let mut batch = 0;
        let cut = |done, cause| Error::CutOff {
            done,
            words,
            cause: Box::new(cause),
        };
        for order in delta.orders().chain([Order::Drain]) {
            match order {
                Order::Write(_) => batch += 1,
                Order::Drain => {
                    let part = &delta.words[done.max(from).min(batch)..batch];
                    self.write(part).map_err(|e| cut(done, e))?;
                    self.drain(DRAIN).map_err(|e| cut(batch, e))?;
                    done = batch;
                }
            }
        }
        self.verify(delta.words.get(from..).unwrap_or(&[]))
    }

    /// How many words of a delta the card has: where one that was cut off goes on. The last place that fits, so
    /// that none is written twice.
    pub fn place(&mut self, delta: &Delta) -> Result<usize> {
        let mut rows: Vec<(Table, u32)> = delta.words.iter().map(|w| (w.table, w.row)).collect();
        rows.sort();
        rows.dedup();
        for (table, row) in &rows {
            self.check_row(*table, *row)?;
        }
        let mut found = HashMap::new();
        let reads = rows.iter().map(|(table, row)| Command::Read {
            table: *table as u8,
            row: *row,
        });
        let mut at = rows.iter();
        self.commands.run(reads, |_, _, read| {
            if let Some(key) = at.next() {
                found.insert(*key, *read);
            }
        })?;
        // What each row would be behind the words so far, and how many rows are something else.
        let same = |word: &Word, value: &[u64]| {
            let found = found.get(&(word.table, word.row));
            found.is_some_and(|f| f[..value.len()] == *value)
        };
        let mut first = HashMap::new();
        for word in &delta.words {
            first.entry((word.table, word.row)).or_insert(word);
        }
        let mut fits: HashMap<(Table, u32), bool> = (first.iter())
            .map(|(key, word)| (*key, same(word, &word.was)))
            .collect();
        let mut others = fits.values().filter(|f| !**f).count();
        let mut place = (others == 0).then_some(0);
        for (n, word) in delta.words.iter().enumerate() {
            let now = same(word, &word.now);
            let before = fits.insert((word.table, word.row), now).unwrap_or(false);
            others = others + usize::from(!now) - usize::from(!before);
            if others == 0 {
                place = Some(n + 1);
            }
        }
        place.ok_or(Error::NoPlace)
    }

    /// Looks at the next `rows` rows, round and round, and mends those that are not what was written. Traffic goes
    /// on.
    pub fn scrub(&mut self, rows: u32) -> Result<Vec<Repair>> {
        if self.wanted.is_none() {
            self.adopt()?;
        }
        let mut repairs = Vec::new();
        let mut left = rows;
        let mut turns = 0;
        while left > 0 && turns <= Table::ALL.len() {
            let table = Table::ALL[self.cursor.0 % Table::ALL.len()];
            let all = match table {
                Table::Epoch => EPOCH_STATE,
                _ => self.geometry.rows(table),
            };
            let from = self.cursor.1.min(all);
            let to = all.min(from + left);
            let found = self.read(table, from..to)?;
            let n = self.words(table);
            let Some(wanted) = &self.wanted else { break };
            for (row, found) in (from..to).zip(found.chunks_exact(n)) {
                let want = wanted.table(table).row(row);
                if want.words() != found {
                    repairs.push(Repair {
                        table,
                        row,
                        found: found.to_vec(),
                        wanted: want.words().to_vec(),
                    });
                }
            }
            left -= to - from;
            self.cursor = match to == all {
                true => ((self.cursor.0 + 1) % Table::ALL.len(), 0),
                false => (self.cursor.0, to),
            };
            turns += usize::from(to == all);
        }
        let words: Vec<Word> = (repairs.iter())
            .map(|r| Word {
                table: r.table,
                row: r.row,
                was: r.found.clone(),
                now: r.wanted.clone(),
            })
            .collect();
        self.write(&words)?;
        self.verify(&words)?;
        Ok(repairs)
    }
}

fn put(rows: &mut TableRows, row: u32, words: &[u64]) {
    let value = Row::from_words(rows.row_bits, words);
    if !value.is_zero() || row < rows.rows() {
        rows.put(row, &value);
    }
}

fn forget(rows: &mut TableRows, row: u32) {
    let zero = Row::zero(rows.row_bits);
    if row < rows.rows() {
        rows.put(row, &zero);
    }
}

/// Takes off the zero rows at the end, which an image does not store.
fn trim(rows: &mut TableRows) {
    let n = rows.words_per_row();
    let last = rows.words.iter().rposition(|w| *w != 0);
    rows.words.truncate(last.map_or(0, |at| at / n + 1) * n);
}
