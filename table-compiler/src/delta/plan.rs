//! What differs between the loaded tables and the new rows, in an order in which every packet
//! meets one of the two definitions.
//!
//! 1. *Build*, seen by no packet: new rows under new numbers; rows with versions, and slots of hash
//!    tables, for the epoch that comes. Slots that go, or get another value, are marked as holding
//!    in the present epoch only. Keys that are in the way move first, with the copy written
//!    before the original is given up.
//! 2. *Flip*: one word.
//! 3. *Retire*, behind a drain, seen by no packet: old slots and rows are cleared, new slots hold
//!    in both epochs, rows with versions are the same in both. Rows of the card's own
//!    numbers that have one version are written first: they take effect by themselves.
//!
//! One case is shorter: if a single row with versions differs and nothing else (nothing it refers to is
//! new either), its word is written as it is, for the present epoch, and then for the other. That is the
//! fail-over of a device.

use super::bits::Field;
use super::error::DeltaError;
use super::loaded::{Cell, Change, Hashed};
use super::numbers::{Numbers, records, same_row};
use super::rules::{self, Rules};
use super::{Key, KeyChange, Value, Word};
use crate::place::pack::ModelRows;
use indexmap::IndexMap;
use seqnic_image::Image;
use seqnic_spec::tables::references::{Life, Space};
use seqnic_spec::tables::{EPOCHS, Epochs, Table};
use std::cmp::Reverse;
use std::collections::HashSet;

/// Words of one row.
type Words = Vec<u64>;

/// What differs, in final numbers.
#[derive(Default)]
struct Difference {
    /// Slots that go, or get another value.
    old: Vec<(Table, Cell)>,
    /// Keys that come, or have another value.
    new: Vec<(Table, Key, Value)>,
    /// Rows nothing has yet: table, row, words.
    rows: Vec<(Table, u32, Words)>,
    /// Numbers whose rows with versions change: table, number, words.
    versions: Vec<(Table, u32, Words)>,
    /// Rows of the card's own numbers: table, row, words.
    fixed: Vec<(Table, u32, Words)>,
    /// Rules.
    rules: Rules,
    /// Rows nothing refers to any more.
    gone: Vec<(Table, u32)>,
}

/// The words, and the keys they are for.
pub fn plan(
    old: &Image,
    hashed: &[Option<Hashed>],
    new: &ModelRows,
    numbers: &Numbers,
    rules: Rules,
) -> Result<(Vec<Word>, Vec<KeyChange>), DeltaError> {
    let difference = Difference::of(old, hashed, new, numbers, rules)?;
    let keys = difference.key_changes(old, hashed);
    let words = words(&difference, old, hashed)?;
    Ok((words, keys))
}

fn words(
    difference: &Difference,
    old: &Image,
    hashed: &[Option<Hashed>],
) -> Result<Vec<Word>, DeltaError> {
    let mut change = Change::new(old.clone());
    let epoch = old.epoch();
    if difference.is_one_row() {
        for (table, number, words) in &difference.versions {
            for epoch in [epoch, 1 - epoch] {
                let row = number * table.versions() + epoch;
                change.put(*table, row, words.clone());
                change.flush();
            }
        }
        return Ok(change.words);
    }
    if difference.is_nothing() {
        return Ok(Vec::new());
    }
    build(difference, &mut change, hashed, epoch)?;
    change.flush();
    change.put(Table::Epoch, 0, vec![u64::from(1 - epoch)]);
    change.flush();
    retire(difference, &mut change, hashed, 1 - epoch);
    change.flush();
    Ok(change.words)
}

/// At rest the rows of a number are the same in both epochs.
fn same_versions(old: &Image) -> Result<(), DeltaError> {
    for table in Table::ALL.into_iter().filter(|t| t.versions() > 1) {
        let rows = old.table(table);
        let numbers = rows.used().map(|(row, _)| row / table.versions());
        for row in numbers.map(|n| n * table.versions()) {
            let all = row + 1..row + table.versions();
            if let Some(row) = all.into_iter().find(|r| !same_row(rows, row, rows, *r)) {
                return Err(DeltaError::Unfinished { table, row });
            }
        }
    }
    Ok(())
}

impl Difference {
    fn of(
        old: &Image,
        hashed: &[Option<Hashed>],
        new: &ModelRows,
        numbers: &Numbers,
        rules: Rules,
    ) -> Result<Difference, DeltaError> {
        let mut this = Difference {
            rules,
            ..Difference::default()
        };
        for h in hashed.iter().flatten() {
            this.keys(old, h, new)?;
        }
        same_versions(old)?;
        for space in Space::ALL {
            this.rows_of(old, new, numbers, space);
        }
        this.release(old, hashed, numbers);
        // What is referred to is written before what refers to it, and taken away behind it.
        this.rows
            .sort_by_key(|(table, row, _)| (Reverse(*table), *row));
        this.gone.sort_unstable();
        Ok(this)
    }

    fn key_changes(&self, old: &Image, hashed: &[Option<Hashed>]) -> Vec<KeyChange> {
        let mut changes: IndexMap<(Table, Key), KeyChange> = IndexMap::new();
        let nothing = |table, key| KeyChange {
            table,
            key,
            was: None,
            now: None,
        };
        for (table, cell) in &self.old {
            let words = old.table(*table).words(cell.row);
            if let (Some(h), Some(words)) = (&hashed[*table as usize], words) {
                let key = h.key(words, cell.slot);
                let change = changes.entry((*table, key));
                change.or_insert_with(|| nothing(*table, key)).was =
                    Some(h.value(words, cell.slot));
            }
        }
        for (table, key, value) in &self.new {
            let change = changes.entry((*table, *key));
            change.or_insert_with(|| nothing(*table, *key)).now = Some(*value);
        }
        changes.into_values().collect()
    }

    fn is_nothing(&self) -> bool {
        let keys = self.old.len() + self.new.len() + self.rules.len();
        keys + self.versions.len() + self.fixed.len() == 0
    }

    fn is_one_row(&self) -> bool {
        let keys = self.old.len() + self.new.len() + self.rules.len();
        keys + self.fixed.len() + self.rows.len() == 0 && self.versions.len() == 1
    }

    /// Compares the keys of a hash table.
    fn keys(&mut self, old: &Image, h: &Hashed, new: &ModelRows) -> Result<(), DeltaError> {
        let rows = old.table(h.table);
        let slots = h.size.slots;
        let mut stays = vec![false; (rows.rows() * slots) as usize];
        let entries = new.keyed[h.table as usize].as_ref();
        for (key, value) in entries.iter().flat_map(|e| e.keys.iter().zip(&e.values)) {
            let cell = h.find(old, old.epoch(), key)?;
            let found = cell.and_then(|c| Some((c, rows.words(c.row)?)));
            match found {
                Some((cell, words)) if h.value(words, cell.slot) == *value => {
                    stays[(cell.row * slots + cell.slot) as usize] = true;
                }
                _ => self.new.push((h.table, *key, *value)),
            }
        }
        for (cell, words) in h.cells(old) {
            if h.epochs(words, cell.slot) != Epochs::BOTH {
                let (table, row) = (h.table, cell.row);
                return Err(DeltaError::Unfinished { table, row });
            }
            if !stays[(cell.row * slots + cell.slot) as usize] {
                self.old.push((h.table, cell));
            }
        }
        Ok(())
    }

    /// Compares the rows of a space.
    fn rows_of(&mut self, old: &Image, new: &ModelRows, numbers: &Numbers, space: Space) {
        let Some(table) = space.table() else { return };
        let (was, now) = (old.table(table), new.direct.table(table));
        let n = now.words_per_row();
        let words = |row| now.words(row).map_or_else(|| vec![0; n], <[u64]>::to_vec);
        match space.life() {
            Life::Versions => {
                let mut live = HashSet::new();
                for (fresh, number) in numbers.of(space) {
                    live.insert(number);
                    // Both versions of a fresh row are the same.
                    let words = words(fresh * table.versions());
                    if was.row(old.row_of(table, number)).words() != words {
                        self.versions.push((table, number, words));
                    }
                }
                for (row, _) in was.used() {
                    let number = row / table.versions();
                    if !live.contains(&number) {
                        self.gone.push((table, row));
                    }
                }
            }
            Life::Fixed if table.versions() > 1 => {
                let rows = was.rows().max(now.rows());
                for number in 0..rows.div_ceil(table.versions()) {
                    let words = words(number * table.versions());
                    if was.row(old.row_of(table, number)).words() != words {
                        self.versions.push((table, number, words));
                    }
                }
            }
            Life::Fixed => {
                for number in 0..was.rows().max(now.rows()) {
                    let words = words(number);
                    if was.row(number).words() != words {
                        self.fixed.push((table, number, words));
                    }
                }
            }
            Life::Run => {
                for (fresh, count) in &numbers.runs {
                    let Some(first) = numbers.get(space, *fresh) else {
                        continue;
                    };
                    for n in 0..*count {
                        self.row(old, table, first + n, words(fresh + n));
                    }
                }
            }
            _ => {
                for (fresh, number) in numbers.of(space) {
                    self.row(old, table, number, words(fresh));
                }
            }
        }
    }

    fn row(&mut self, old: &Image, table: Table, row: u32, words: Words) {
        if old.table(table).row(row).words() != words {
            self.rows.push((table, row, words));
        }
    }

    /// Rows that were reached by what goes, and that nothing of the new definition has.
    fn release(&mut self, old: &Image, hashed: &[Option<Hashed>], numbers: &Numbers) {
        let mut live: Vec<HashSet<u32>> = vec![HashSet::new(); Space::ALL.len()];
        for space in Space::ALL {
            let of = &mut live[space as usize];
            of.extend(numbers.of(space).map(|(_, number)| number));
        }
        let mut seen: HashSet<(Space, u32)> = HashSet::new();
        let mut waiting: Vec<(Space, u32, u32)> = Vec::new();
        for (table, cell) in &self.old {
            let (Some(h), Some(words)) =
                (&hashed[*table as usize], old.table(*table).words(cell.row))
            else {
                continue;
            };
            let keys = h.key_fields.iter().map(|f| (f, h.key_at(cell.slot)));
            let values = h.value_fields.iter().map(|f| (f, h.value_at(cell.slot)));
            waiting.extend(keys.chain(values).filter_map(|(field, base)| {
                let (first, count) = field.read(words, base)?;
                Some((field.space, first, count))
            }));
        }
        // What rows with versions referred to.
        let changed = self.versions.iter().map(|(table, number, _)| {
            let row = old.row_of(*table, *number);
            (*table, row)
        });
        for (table, row) in changed.chain(self.gone.iter().copied()) {
            let (Some((layout, bases)), Some(words)) =
                (records(table), old.table(table).words(row))
            else {
                continue;
            };
            let fields = Field::of(layout);
            let of = |base: &u32| {
                let of = fields
                    .iter()
                    .filter_map(|f| Some((f, f.read(words, *base)?)));
                of.map(|(f, (first, count))| (f.space, first, count))
                    .collect::<Vec<_>>()
            };
            waiting.extend(bases.iter().flat_map(of));
        }
        let of_rules = self.rules.numbers.iter();
        waiting.extend(of_rules.map(|number| (Space::Rule, *number, 1)));
        while let Some((space, first, count)) = waiting.pop() {
            let Some(table) = space.table() else { continue };
            // Rows with versions are known by name: `rows_of` has them.
            if space.life() == Life::Versions
                || live[space as usize].contains(&first)
                || !seen.insert((space, first))
            {
                continue;
            }
            let Some((layout, bases)) = records(table) else {
                continue;
            };
            let fields = Field::of(layout);
            for row in first..first + count {
                let Some(words) = old.table(table).words(row) else {
                    continue;
                };
                if words.iter().any(|w| *w != 0) {
                    self.gone.push((table, row));
                }
                for base in &bases {
                    waiting.extend(fields.iter().filter_map(|field| {
                        let (first, count) = field.read(words, *base)?;
                        Some((field.space, first, count))
                    }));
                }
            }
        }
    }
}

fn build(
    difference: &Difference,
    change: &mut Change,
    hashed: &[Option<Hashed>],
    epoch: u32,
) -> Result<(), DeltaError> {
    for (table, number, words) in &difference.versions {
        let rows = (0..EPOCHS).map(|epoch| number * table.versions() + epoch);
        // A number that nothing had yet can have both at once. The card's own numbers are all in use: zero says something.
        let free = !is_fixed(*table)
            && rows
                .clone()
                .all(|row| change.row(*table, row).iter().all(|w| *w == 0));
        let coming = number * table.versions() + (1 - epoch);
        for row in rows.filter(|row| free || *row == coming) {
            change.put(*table, row, words.clone());
        }
    }
    for (table, row, words) in &difference.rows {
        change.put(*table, *row, words.clone());
    }
    for (table, cell) in &difference.old {
        if let Some(h) = &hashed[*table as usize] {
            let mut words = change.row(*table, cell.row);
            h.set_epochs(&mut words, cell.slot, Epochs::only(epoch));
            change.put(*table, cell.row, words);
        }
    }
    difference.rules.build(change, epoch)?;
    let mut missing: Vec<(Table, usize)> = Vec::new();
    for (table, key, value) in &difference.new {
        let Some(h) = &hashed[*table as usize] else {
            continue;
        };
        match missing.iter_mut().find(|(of, _)| of == table) {
            Some((_, keys)) => *keys += 1,
            None if change.insert(h, key, value, Epochs::only(1 - epoch)) => {}
            None => missing.push((*table, 1)),
        }
    }
    let Some((table, keys)) = missing.first().copied() else {
        return Ok(());
    };
    let h = hashed[table as usize].as_ref();
    Err(DeltaError::NoPlace {
        table,
        keys,
        used: h.map_or(0, |h| h.cells(&change.image).count() as u32),
        places: h.map_or(0, |h| h.size.capacity()),
    })
}

fn is_fixed(table: Table) -> bool {
    let of = |space: &Space| space.table() == Some(table);
    Space::ALL
        .into_iter()
        .find(of)
        .is_some_and(|space| space.life() == Life::Fixed)
}

fn retire(difference: &Difference, change: &mut Change, hashed: &[Option<Hashed>], epoch: u32) {
    for (table, row) in std::mem::take(&mut change.touched) {
        let mut words = change.row(table, row);
        let Some(h) = &hashed[table as usize] else {
            rules::settled(&mut words, epoch);
            change.put(table, row, words);
            continue;
        };
        for slot in 0..h.size.slots {
            match h.epochs(&words, slot) {
                Epochs::BOTH | Epochs::NONE => {}
                epochs if epochs.holds(epoch) => h.set_epochs(&mut words, slot, Epochs::BOTH),
                _ => h.clear(&mut words, slot),
            }
        }
        change.put(table, row, words);
    }
    for (table, row, words) in &difference.fixed {
        change.put(*table, *row, words.clone());
    }
    for (table, number, words) in &difference.versions {
        for version in 0..EPOCHS {
            change.put(*table, number * table.versions() + version, words.clone());
        }
    }
    for (table, row) in &difference.gone {
        let zero = vec![0; change.row(*table, *row).len()];
        change.put(*table, *row, zero);
    }
}
