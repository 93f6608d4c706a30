//! From the tables that are loaded to a new definition, word by word, while packets pass.
//!
//! [`delta`] gives the words, in order; [`Delta::orders`] puts the places between them where the card
//! has to be waited for. `docs/live-change.md` says why the order is right. In short: a packet
//! keeps the *epoch* it entered with, so everything the new definition needs is written for
//! the epoch that does not hold yet, one word (table `epoch`) flips, and when no packet of the
//! old epoch is inside any more (a *drain*) what was old is taken away. Cut off before the flip,
//! the tables mean the old definition, behind it the new one; the same list backwards
//! ([`Delta::reversed`]) leads back from any place, and [`settle`] ends a change whose list is lost.
//!
//! * `numbers`: which loaded number each thing of the new definition is;
//! * `loaded`: the loaded tables, asked and changed word by word, with the hash seeds kept;
//! * `rules`: table `rule`, whose slots have no keys;
//! * `plan`: what differs, in which order;
//! * `names`: the names behind the numbers;
//! * [`words`]: what changes, in words for people.
//!
//! # A new table
//!
//! Nothing here names a table. A new one says in `seqnic_spec::tables::references` what its fields
//! refer to and, if its rows have numbers, how a number lives on ([`Life`]). Hash tables need no
//! more. A direct table whose rows are reached by a number in another record is [`Life::Row`]: a row
//! with another content takes another number, and whoever refers to it is rewritten with it. The
//! lowering puts its rows into the model, `place::pack` into records, as for a full image.
//!
//! [`Life`]: seqnic_spec::tables::references::Life
//! [`Life::Row`]: seqnic_spec::tables::references::Life::Row

mod bits;
mod error;
mod loaded;
mod names;
mod numbers;
mod plan;
mod rules;
pub mod words;

pub use error::{ApplyError, DeltaError};

use crate::definition::Definition;
use crate::lower;
use crate::lower::model::{Model, RuleGroup};
use crate::place::pack::{Key, ModelRows, Value};
use loaded::{Change, hashed, store};
use seqnic_image::{Image, Names};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::{Epochs, Table};

/// One row of one memory, written in one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub table: Table,
    pub row: u32,
    /// What the row is before, lowest word first.
    pub was: Vec<u64>,
    pub now: Vec<u64>,
}

/// A key of a hash table that comes, goes or gets another value; packed as in the table, lowest
/// word first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    pub table: Table,
    pub key: [u64; 3],
    pub was: Option<[u64; 2]>,
    pub now: Option<[u64; 2]>,
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order<'a> {
    Write(&'a Word),
    /// Read row 1 of table `epoch` until it is 0: no packet of the other epoch is inside. Traffic
    /// goes on. `Geometry::drain_clocks` is how long it takes at most while no sender pauses
    /// inside a frame.
    Drain,
}

/// The way from loaded tables to a new definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub geometry: &'static Geometry,
    /// In the order they are written.
    pub words: Vec<Word>,
    /// What the words of hash tables are for.
    pub keys: Vec<KeyChange>,
    /// Generation and names of the tables before, and after.
    pub was: (u64, Names),
    pub now: (u64, Names),
}

/// The words that lead from `old` to `definition`. Hash seeds and all numbers of what does not change
/// stay.
///
/// # Errors
/// The definition is refused, is for another geometry, or does not fit beside the old one; `old` is
/// in the middle of a delta.
pub fn delta(old: &Image, definition: &Definition) -> Result<Delta, DeltaError> {
    if old.geometry != definition.geometry {
        return Err(DeltaError::Geometry {
            old: old.geometry.name,
            new: definition.geometry.name,
        });
    }
    let model = lower::lower(definition).map_err(DeltaError::Definition)?;
    match delta_of(old, definition, &model, &model.rules) {
        // Under masks of their own the rules may have room.
        Err(DeltaError::NoPlace {
            table: Table::Rule, ..
        }) => delta_of(old, definition, &model, &[]),
        result => result,
    }
}

/// With `groups` of rules that keep the masks they are found by.
fn delta_of(
    old: &Image,
    definition: &Definition,
    model: &Model,
    groups: &[RuleGroup],
) -> Result<Delta, DeltaError> {
    let mut new = ModelRows::of(model, definition.geometry);
    let hashed = hashed(old);
    let numbers = numbers::number(old, &hashed, &mut new, model, groups)?;
    let rules = rules::Rules::of(old, model, &numbers)?;
    let (words, keys) = plan::plan(old, &hashed, &new, &numbers, rules)?;
    let names = names::names(&old.names, &model.names, &numbers);
    Ok(Delta {
        geometry: old.geometry,
        words,
        keys,
        was: (old.generation, old.names.clone()),
        now: (definition.generation, names),
    })
}

/// Ends a change that was cut off and whose list is lost: what does not hold in the present epoch is
/// taken away, what holds in it holds in both. Before the flip that is the way back, behind it
/// the way on. Rows that nothing refers to any more stay where they are. Drain before the first word.
pub fn settle(image: &Image) -> Delta {
    let epoch = image.epoch();
    let mut change = Change::new(image.clone());
    for h in hashed(image).iter().flatten() {
        let mut seen = std::collections::HashSet::new();
        let mut rows: Vec<(u32, Vec<u64>)> = Vec::new();
        for (cell, words) in h.cells(image) {
            let holds = h.epochs(words, cell.slot).holds(epoch);
            // A key that stands twice was being moved.
            let kept = holds && seen.insert(h.key(words, cell.slot));
            let same = kept && h.epochs(words, cell.slot) == Epochs::BOTH;
            if same {
                continue;
            }
            if rows.last().is_none_or(|(row, _)| *row != cell.row) {
                rows.push((cell.row, words.to_vec()));
            }
            if let Some((_, row)) = rows.last_mut() {
                match kept {
                    true => h.set_epochs(row, cell.slot, Epochs::BOTH),
                    false => h.clear(row, cell.slot),
                }
            }
        }
        for (row, words) in rows {
            change.put(h.table, row, words);
        }
    }
    for row in rules::unsettled(image) {
        let mut words = change.row(Table::Rule, row);
        rules::settled(&mut words, epoch);
        change.put(Table::Rule, row, words);
    }
    for table in Table::ALL.into_iter().filter(|t| t.versions() > 1) {
        for number in 0..image.table(table).rows().div_ceil(table.versions()) {
            let now = change.row(table, image.row_of(table, number));
            for version in 0..table.versions() {
                change.put(table, number * table.versions() + version, now.clone());
            }
        }
    }
    change.flush();
    let names = (image.generation, image.names.clone());
    Delta {
        geometry: image.geometry,
        words: change.words,
        keys: Vec::new(),
        was: names.clone(),
        now: names,
    }
}

impl Delta {
    /// Whether the tables stay as they are.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Words and drains in order.
    pub fn orders(&self) -> impl Iterator<Item = Order<'_>> {
        self.words.iter().flat_map(|word| {
            let drain = (word.table == Table::Epoch).then_some(Order::Drain);
            std::iter::once(Order::Write(word)).chain(drain)
        })
    }

    /// The way back. After the first `n` words of this delta, the last `n` of the reversed one lead
    /// back.
    pub fn reversed(&self) -> Delta {
        let back = |word: &Word| Word {
            was: word.now.clone(),
            now: word.was.clone(),
            ..word.clone()
        };
        let turned = |key: &KeyChange| KeyChange {
            was: key.now,
            now: key.was,
            ..*key
        };
        Delta {
            geometry: self.geometry,
            words: self.words.iter().rev().map(back).collect(),
            keys: self.keys.iter().map(turned).collect(),
            was: self.now.clone(),
            now: self.was.clone(),
        }
    }

    /// Writes all words to an image: the tables, names and generation of the new definition.
    ///
    /// # Errors
    /// A row is not what the delta starts from; the image is then as it was.
    pub fn apply(&self, image: &mut Image) -> Result<(), ApplyError> {
        self.apply_part(image, 0..self.words.len())?;
        (image.generation, image.names) = self.now.clone();
        Ok(())
    }

    /// Writes some of the words, as if the delta had been cut off there. The names become those
    /// of the new definition, which name everything that counts or is reported on the way.
    ///
    /// # Errors
    /// As for [`Delta::apply`].
    pub fn apply_part(
        &self,
        image: &mut Image,
        part: std::ops::Range<usize>,
    ) -> Result<(), ApplyError> {
        if image.geometry != self.geometry {
            return Err(ApplyError::Geometry {
                delta: self.geometry.name,
                tables: image.geometry.name,
            });
        }
        let words = self.words.get(part).unwrap_or(&[]);
        for (n, word) in words.iter().enumerate() {
            let rows = image.table(word.table);
            let found = rows.row(word.row);
            if found.words() != word.was {
                for word in words[..n].iter().rev() {
                    store(image, word.table, word.row, &word.was);
                }
                return Err(ApplyError::OtherRow {
                    table: word.table,
                    row: word.row,
                });
            }
            store(image, word.table, word.row, &word.now);
        }
        image.names = self.now.1.clone();
        Ok(())
    }
}
