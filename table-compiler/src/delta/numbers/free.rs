//! Numbers that nothing has: first those that were never given out.

use super::super::bits::Field;
use super::super::error::DeltaError;
use super::super::loaded::Hashed;
use super::super::rules;
use super::{Matching, limit, records};
use seqnic_image::Image;
use seqnic_spec::tables::Table;
use seqnic_spec::tables::references::{Life, Space};

/// Numbers that can be given out.
pub(super) struct Free {
    next: u32,
    limit: u32,
    /// Once the fresh ones are used up: the numbers in use.
    used: Option<Vec<bool>>,
    given: usize,
}

/// The numbers of a space that anything in the tables has or refers to.
pub(super) fn used(image: &Image, hashed: &[Option<Hashed>], space: Space) -> Vec<bool> {
    let mut used: Vec<bool> = Vec::new();
    let mut mark = |run: Option<(u32, u32)>| {
        let Some((first, count)) = run else { return };
        let end = (first + count) as usize;
        if used.len() < end {
            used.resize(end, false);
        }
        used[first as usize..end].fill(true);
    };
    let of_space = |fields: &[Field]| -> Vec<Field> {
        let of = fields.iter().filter(|f| f.space == space);
        of.copied().collect()
    };
    rules::used(image, space, |number| mark(Some((number, 1))));
    for table in Table::ALL {
        let rows = image.table(table);
        if let Some(h) = &hashed[table as usize] {
            let (keys, values) = (of_space(&h.key_fields), of_space(&h.value_fields));
            if keys.is_empty() && values.is_empty() {
                continue;
            }
            for (cell, words) in h.cells(image) {
                keys.iter()
                    .for_each(|f| mark(f.read(words, h.key_at(cell.slot))));
                values
                    .iter()
                    .for_each(|f| mark(f.read(words, h.value_at(cell.slot))));
            }
            continue;
        }
        let own = space.table() == Some(table);
        let Some((layout, bases)) = records(table) else {
            continue;
        };
        let fields = of_space(&Field::of(layout));
        if !own && fields.is_empty() {
            continue;
        }
        for (row, words) in rows.used() {
            if own {
                mark(Some((row / table.versions(), 1)));
            }
            for base in &bases {
                fields.iter().for_each(|f| mark(f.read(words, *base)));
            }
        }
    }
    used
}

impl Matching<'_> {
    pub(super) fn give_each(&mut self, space: Space, fresh: Vec<u32>) -> Result<(), DeltaError> {
        for fresh in fresh {
            // Several keys may have been given one number.
            if self.numbers.get(space, fresh).is_none() {
                let number = self.give(space, 1)?;
                self.numbers.set(space, fresh, number);
            }
        }
        Ok(())
    }

    /// The first of `count` numbers side by side that nothing has.
    pub(super) fn give(&mut self, space: Space, count: u32) -> Result<u32, DeltaError> {
        let mut free = match self.free.remove(&space) {
            Some(free) => free,
            None => Free {
                next: self.never_given(space),
                limit: limit(self.old, space),
                used: None,
                given: 0,
            },
        };
        let fresh = free.next;
        let mut found = (fresh + count <= free.limit).then_some(fresh);
        if found.is_some() {
            free.next += count;
        } else {
            if free.used.is_none() {
                let mut used = used(self.old, self.hashed, space);
                used.resize(free.limit as usize, false);
                // What stays, and what this delta has given out already.
                let given = self.numbers.of(space).map(|(_, n)| n);
                let last = free.next.min(free.limit);
                for n in given.chain(self.never_given(space)..last) {
                    used[n as usize] = true;
                }
                free.used = Some(used);
            }
            if let Some(used) = &mut free.used {
                let wanted = count as usize;
                let first = space.first() as usize;
                let mut run = 0;
                for n in first..used.len() {
                    run = if used[n] { 0 } else { run + 1 };
                    if run == wanted {
                        let start = n + 1 - wanted;
                        used[start..=n].fill(true);
                        found = Some(start as u32);
                        break;
                    }
                }
            }
        }
        free.given += 1;
        let Some(number) = found else {
            let left = free.used.iter().flatten().filter(|u| !**u).count();
            return Err(DeltaError::NoRoom {
                space: space.name(),
                needed: free.given,
                free: left + free.given - 1,
            });
        };
        self.free.insert(space, free);
        Ok(number)
    }

    /// The lowest number above all that were ever given out.
    pub(super) fn never_given(&self, space: Space) -> u32 {
        let names = &self.old.names;
        let named = match space {
            Space::Interface => names.interfaces.len(),
            Space::Attachment => names.attachments.len(),
            Space::Class => names.classes.len(),
            Space::Action => names.actions.len(),
            Space::Set => names.sets.len(),
            Space::Rule => names.rules.len(),
            _ => 0,
        } as u32;
        let rows = space.table().map_or(0, |table| {
            self.old.table(table).rows().div_ceil(table.versions())
        });
        let keyed = match space.life() {
            Life::Key { .. } => {
                let used = used(self.old, self.hashed, space);
                used.iter().rposition(|u| *u).map_or(0, |n| n as u32 + 1)
            }
            _ => 0,
        };
        named.max(rows).max(keyed).max(space.first())
    }
}
