//! Which number of the loaded tables each number of a freshly lowered model is.
//!
//! Numbers of what did not change stay, so counters keep their meaning. How something is known
//! again is data: [`Space::life`]. What is new takes numbers that were never given out, as long as
//! there are any, so that old counts are not taken for new ones.

mod free;

use super::bits::Field;
use super::error::DeltaError;
use super::loaded::Hashed;
use super::rules;
use crate::lower::model::{Model, RuleGroup};
use crate::place::pack::ModelRows;
use seqnic_image::names::RuleName;
use seqnic_image::{Image, Names, TableRows};
use seqnic_spec::layout::Layout;
use seqnic_spec::rules::Mask;
use seqnic_spec::tables::references::{Life, Space};
use seqnic_spec::tables::{Kind, RANGE_SLOTS, Table};
use std::collections::{HashMap, HashSet};

pub const NONE: u32 = u32::MAX;

/// Fresh number -> number in the loaded tables, by space. Runs stand under their first row.
#[derive(Debug, Default)]
pub struct Numbers {
    map: Vec<Vec<u32>>,
    /// Fresh first row and rows of every run that is referred to.
    pub runs: Vec<(u32, u32)>,
    /// Loaded masks that groups of rules keep, by group.
    pub masks: HashMap<usize, Vec<Mask>>,
}

impl Numbers {
    pub fn get(&self, space: Space, fresh: u32) -> Option<u32> {
        let number = self.map[space as usize].get(fresh as usize).copied();
        number.filter(|n| *n != NONE)
    }

    fn set(&mut self, space: Space, fresh: u32, number: u32) {
        let map = &mut self.map[space as usize];
        if map.len() <= fresh as usize {
            map.resize(fresh as usize + 1, NONE);
        }
        map[fresh as usize] = number;
    }

    /// Fresh numbers with theirs.
    pub fn of(&self, space: Space) -> impl Iterator<Item = (u32, u32)> + '_ {
        let map = self.map[space as usize].iter().enumerate();
        map.filter(|(_, n)| **n != NONE)
            .map(|(fresh, n)| (fresh as u32, *n))
    }

    /// Puts final numbers into a record that starts at bit `base`; `false` if one has none yet.
    pub fn renumber(&self, fields: &[Field], words: &mut [u64], base: u32) -> bool {
        renumber(&self.map, fields, words, base)
    }
}

/// Records of a row of a direct table: layout, and lowest bit of each.
pub fn records(table: Table) -> Option<(&'static Layout, Vec<u32>)> {
    match table.kind() {
        Kind::Hash { .. } | Kind::Rules { .. } => None,
        Kind::Direct { row } => Some((row, vec![0])),
        Kind::Slots { slot } => {
            let bases = (0..RANGE_SLOTS).map(|n| n * slot.width());
            Some((slot, bases.collect()))
        }
    }
}

/// Numbers of a space there are at most.
pub fn limit(image: &Image, space: Space) -> u32 {
    let room = match (space.table(), space) {
        (Some(table), _) => image.geometry.numbers(table),
        (None, Space::Interface) => image.geometry.interfaces,
        (None, _) => u32::MAX,
    };
    room.min(1 << space.bits())
}

/// Matches a model's rows with the loaded tables and gives new numbers to what is new. The rows
/// of `new` have final numbers afterwards.
pub fn number(
    old: &Image,
    hashed: &[Option<Hashed>],
    new: &mut ModelRows,
    model: &Model,
    groups: &[RuleGroup],
) -> Result<Numbers, DeltaError> {
    let mut this = Matching {
        groups,
        pools: &model.pools,
        old,
        hashed,
        new,
        names: &model.names,
        numbers: Numbers {
            map: vec![Vec::new(); Space::ALL.len()],
            runs: Vec::new(),
            masks: HashMap::new(),
        },
        free: HashMap::new(),
    };
    this.classes();
    this.rule_names();
    for space in Space::ALL {
        this.renumber_rows(space, false)?;
        match space.life() {
            Life::Name | Life::Versions => this.named(space)?,
            Life::Key { table, .. } => this.keyed(space, table)?,
            Life::Row | Life::Own => this.rows(space)?,
            Life::Fixed => this.fixed(space),
            Life::Run => this.runs(space)?,
            Life::NameAndRow => this.named_rows(space)?,
        }
        // Only now rows of the space can refer to others of it: to those known by name.
        this.renumber_rows(space, true)?;
    }
    this.renumber_keys()?;
    Ok(this.numbers)
}

struct Matching<'a> {
    /// Groups of rules that keep the masks they have been found by, if those do.
    groups: &'a [RuleGroup],
    /// Attachments that stand side by side.
    pools: &'a [(u32, u32)],
    old: &'a Image,
    hashed: &'a [Option<Hashed>],
    new: &'a mut ModelRows,
    names: &'a Names,
    numbers: Numbers,
    free: HashMap<Space, free::Free>,
}

fn broken(what: impl Into<String>) -> DeltaError {
    DeltaError::Broken { what: what.into() }
}

impl Matching<'_> {
    fn number_in_old<'n>(
        names: impl Iterator<Item = (&'n str, &'n str)>,
    ) -> HashMap<(&'n str, &'n str), u32> {
        names
            .enumerate()
            .map(|(n, name)| (name, n as u32))
            .collect()
    }

    fn named(&mut self, space: Space) -> Result<(), DeltaError> {
        fn pairs(names: &Names, space: Space) -> Vec<(&str, &str)> {
            match space {
                Space::Interface => names.interfaces.iter().map(|i| (&*i.name, "")).collect(),
                Space::Set => names.sets.iter().map(|set| (&**set, "")).collect(),
                _ => {
                    let roles = names.roles.iter().map(String::as_str);
                    let names = names.attachments.iter().map(String::as_str);
                    names.zip(roles).collect()
                }
            }
        }
        let old = self.old;
        let known = Self::number_in_old(pairs(&old.names, space).into_iter());
        let mut unknown = Vec::new();
        let fresh = pairs(self.names, space).into_iter().enumerate();
        for (fresh, name) in fresh.skip(space.first() as usize) {
            match known.get(&name) {
                Some(number) => self.numbers.set(space, fresh as u32, *number),
                None => unknown.push(fresh as u32),
            }
        }
        if space == Space::Attachment {
            self.pools(&mut unknown)?;
        }
        self.give_each(space, unknown)
    }

    /// Buckets of a pool stay side by side: all of them are known again, or all get new numbers.
    fn pools(&mut self, unknown: &mut Vec<u32>) -> Result<(), DeltaError> {
        let space = Space::Attachment;
        for (first, count) in self.pools.iter().copied() {
            let start = self.numbers.get(space, first);
            let known = start.is_some_and(|start| {
                (0..count).all(|n| self.numbers.get(space, first + n) == Some(start + n))
            });
            if known {
                continue;
            }
            let buckets = first..first + count;
            unknown.retain(|n| !buckets.contains(n));
            let start = self.give(space, count)?;
            for (n, bucket) in buckets.enumerate() {
                self.numbers.set(space, bucket, start + n as u32);
            }
        }
        Ok(())
    }

    /// Classes by name, for a start: whose row differs takes another number later.
    fn classes(&mut self) {
        let service = |names: &Names, n: u32| names.services.get(n as usize).cloned();
        let mut services: HashMap<String, u32> = HashMap::new();
        for (n, name) in self.names.services.iter().enumerate() {
            services.insert(name.clone(), n as u32);
        }
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        for (number, class) in self.old.names.classes.iter().enumerate().skip(1) {
            let name = service(&self.old.names, class.service);
            let fresh = name.and_then(|n| services.get(&n));
            if let (Some(service), true) = (fresh, class.place != NONE) {
                known.insert((*service, class.place), number as u32);
            }
        }
        for (fresh, class) in self.names.classes.iter().enumerate().skip(1) {
            let number = known.get(&(class.service, class.place));
            let number = number.copied().unwrap_or(NONE);
            self.numbers.set(Space::Class, fresh as u32, number);
        }
    }

    /// Rules by name, for a start: whose next hop differs takes another number later.
    fn rule_names(&mut self) {
        fn name<'n>(names: &'n Names, rule: &'n RuleName) -> (&'n str, &'n str, &'n str) {
            let set = names.sets.get(rule.set as usize).map_or("", |s| s);
            (&rule.acl, &rule.rule, set)
        }
        let old = &self.old.names;
        let rules = old.rules.iter().enumerate();
        let known: HashMap<_, u32> = rules
            .filter_map(|(n, rule)| Some((name(old, rule.as_ref()?), n as u32)))
            .collect();
        for (fresh, rule) in self.names.rules.iter().enumerate() {
            let Some(rule) = rule else { continue };
            let number = known.get(&name(self.names, rule)).copied();
            let number = number.unwrap_or(NONE);
            self.numbers.set(Space::Rule, fresh as u32, number);
        }
    }

    /// Segments and scopes: what the old table gave the same key.
    fn keyed(&mut self, space: Space, table: Table) -> Result<(), DeltaError> {
        let (Some(hashed), Some(entries)) = (
            &self.hashed[table as usize],
            &self.new.keyed[table as usize],
        ) else {
            return Err(broken(format!("table `{}` is no hash table", table.name())));
        };
        let Some(field) = hashed.value_fields.iter().find(|f| f.space == space) else {
            return Err(broken(format!("nothing gives out numbers of {space:?}")));
        };
        let mut unknown = Vec::new();
        let mut found = Vec::new();
        for (key, value) in entries.keys.iter().zip(&entries.values) {
            let Some((fresh, _)) = field.read(value, 0) else {
                continue;
            };
            let cell = hashed.find(self.old, self.old.epoch(), key)?;
            let number = cell.and_then(|c| {
                let words = self.old.table(table).words(c.row)?;
                Some(field.read(words, hashed.value_at(c.slot))?.0)
            });
            match number {
                Some(number) => found.push((fresh, number)),
                None => unknown.push(fresh),
            }
        }
        for (fresh, number) in found {
            self.numbers.set(space, fresh, number);
        }
        self.give_each(space, unknown)
    }

    /// Numbers of the card's own.
    fn fixed(&mut self, space: Space) {
        let rows = |t| self.new.direct.table(t).rows().div_ceil(t.versions());
        (0..space.table().map_or(0, rows)).for_each(|n| self.numbers.set(space, n, n));
    }

    /// Rows that are known by their content alone: the one that who refers to it referred to before,
    /// if it is the same, or any that is.
    fn rows(&mut self, space: Space) -> Result<(), DeltaError> {
        let Some(table) = space.table() else {
            return Ok(());
        };
        if space == Space::Acl {
            self.keep_masks()?;
        }
        let old = self.old.table(table);
        let mut found: HashMap<u32, u32> = HashMap::new();
        let (own, mut claimed) = (space.life() == Life::Own, HashSet::new());
        self.referrers(space, |new, now, was| {
            let (Some((fresh, _)), Some((number, _))) = (now, was) else {
                return;
            };
            // Below the first number nothing is meant.
            let meant = fresh >= space.first() && number >= space.first();
            let open = !own || (!found.contains_key(&fresh) && claimed.insert(number));
            if meant && open && same_row(new.table(table), fresh, old, number) {
                found.entry(fresh).or_insert(number);
            }
        })?;
        let new = self.new.direct.table(table);
        let mut by_content: Option<HashMap<&[u64], u32>> = None;
        let mut unknown = Vec::new();
        for fresh in space.first()..new.rows() {
            let Some(content) = new.words(fresh) else {
                continue;
            };
            let number = found.get(&fresh).copied().or_else(|| {
                if own {
                    return None;
                }
                let known = by_content.get_or_insert_with(|| {
                    let rows = old.used().map(|(row, words)| (words, row));
                    rows.collect()
                });
                known.get(content).copied()
            });
            match number {
                Some(number) => self.numbers.set(space, fresh, number),
                None => unknown.push(fresh),
            }
        }
        self.give_each(space, unknown)
    }

    /// Gives groups of rules the loaded masks of their scopes, if every rule can be found by those: then what
    /// does not change stays where it stands.
    fn keep_masks(&mut self) -> Result<(), DeltaError> {
        let mut was: HashMap<u32, u32> = HashMap::new();
        self.referrers(Space::Acl, |_, now, before| {
            if let (Some((fresh, _)), Some((number, _))) = (now, before) {
                was.entry(fresh).or_insert(number);
            }
        })?;
        for (at, group) in self.groups.iter().enumerate() {
            let fresh = at as u32 + Space::Acl.first();
            let Some(number) = was.get(&fresh) else {
                continue;
            };
            let Some(words) = self.old.table(Table::Acl).words(*number) else {
                continue;
            };
            let masks = rules::masks(words, self.old.geometry);
            if rules::found_by(&group.rules, &masks, self.old.geometry) {
                super::loaded::store(&mut self.new.direct, Table::Acl, fresh, words);
                self.numbers.masks.insert(at, masks);
            }
        }
        Ok(())
    }

    /// Runs of rows: those that whoever refers to them referred to before, if they are the same.
    fn runs(&mut self, space: Space) -> Result<(), DeltaError> {
        let Some(table) = space.table() else {
            return Ok(());
        };
        let mut claimed = HashSet::new();
        let mut seen = HashSet::new();
        let mut matches: HashMap<u32, u32> = HashMap::new();
        let old_rows = self.old.table(table);
        let mut found = Vec::new();
        self.referrers(space, |new, run, was| {
            let Some((fresh, count)) = run else { return };
            if seen.insert(fresh) {
                found.push((fresh, count));
            }
            let Some((number, of)) = was else { return };
            // A run that several refer to keeps the number that the first of them had.
            let open = !matches.contains_key(&fresh) && !claimed.contains(&number);
            let new_rows = new.table(table);
            let equal = || (0..count).all(|n| same_row(new_rows, fresh + n, old_rows, number + n));
            if open && of == count && equal() {
                claimed.insert(number);
                matches.insert(fresh, number);
            }
        })?;
        self.numbers.runs.extend(found);
        for (fresh, number) in matches {
            self.numbers.set(space, fresh, number);
        }
        let runs = self.numbers.runs.clone();
        for (fresh, count) in runs {
            if self.numbers.get(space, fresh).is_none() {
                let number = self.give(space, count)?;
                self.numbers.set(space, fresh, number);
            }
        }
        Ok(())
    }

    /// Everything of the new rows that refers to a space, with what the same thing refers to in the
    /// loaded tables: `with` gets the new direct tables, both numbers and how many are meant.
    fn referrers(
        &self,
        space: Space,
        mut with: impl FnMut(&Image, Option<(u32, u32)>, Option<(u32, u32)>),
    ) -> Result<(), DeltaError> {
        let direct = &self.new.direct;
        for table in Table::ALL {
            let keyed = self.hashed[table as usize].as_ref();
            if let (Some(h), Some(entries)) = (keyed, &self.new.keyed[table as usize]) {
                let fields: Vec<&Field> =
                    h.value_fields.iter().filter(|f| f.space == space).collect();
                if fields.is_empty() {
                    continue;
                }
                for (key, value) in entries.keys.iter().zip(&entries.values) {
                    let mut key = *key;
                    // Of a class that is new nothing was there before.
                    let known = renumber(&self.numbers.map, &h.key_fields, &mut key, 0);
                    let cell = match known {
                        true => h.find(self.old, self.old.epoch(), &key)?,
                        false => None,
                    };
                    let words = cell.and_then(|c| self.old.table(table).words(c.row));
                    for field in &fields {
                        let was = cell.zip(words);
                        let was = was.and_then(|(c, w)| field.read(w, h.value_at(c.slot)));
                        with(direct, field.read(value, 0), was);
                    }
                }
            }
            let Some((layout, bases)) = records(table) else {
                continue;
            };
            let fields = Field::of(layout);
            let fields: Vec<&Field> = fields.iter().filter(|f| f.space == space).collect();
            let of = Space::ALL.into_iter().find(|s| s.table() == Some(table));
            let (Some(of), false) = (of, fields.is_empty()) else {
                continue;
            };
            let (old, new) = (self.old.table(table), direct.table(table));
            for fresh in 0..new.rows() {
                let number = self.numbers.get(of, fresh);
                let was = number.and_then(|n| old.words(n));
                for (field, base) in fields
                    .iter()
                    .flat_map(|f| bases.iter().map(move |b| (f, b)))
                {
                    let now = new.words(fresh).and_then(|w| field.read(w, *base));
                    with(direct, now, was.and_then(|w| field.read(w, *base)));
                }
            }
        }
        Ok(())
    }

    /// Known by name, as long as the row is the same.
    fn named_rows(&mut self, space: Space) -> Result<(), DeltaError> {
        let Some(table) = space.table() else {
            return Ok(());
        };
        let (old, new) = (self.old.table(table), self.new.direct.table(table));
        let unknown: Vec<u32> = (space.first()..new.rows())
            .filter(|fresh| {
                let number = self.numbers.get(space, *fresh);
                number.is_none_or(|n| !same_row(new, *fresh, old, n))
            })
            .collect();
        for fresh in &unknown {
            self.numbers.set(space, *fresh, NONE);
        }
        self.give_each(space, unknown)
    }

    /// Final numbers in the rows of a space's table: those of the space itself, or all others.
    fn renumber_rows(&mut self, space: Space, own: bool) -> Result<(), DeltaError> {
        let Some(table) = space.table() else {
            return Ok(());
        };
        let Some((layout, bases)) = records(table) else {
            return Ok(());
        };
        let mut fields = Field::of(layout);
        fields.retain(|field| (field.space == space) == own);
        let rows = self.new.direct.table_mut(table);
        let n = rows.words_per_row();
        for (row, words) in rows.words.chunks_exact_mut(n).enumerate() {
            for base in &bases {
                if !self.numbers.renumber(&fields, words, *base) {
                    return Err(broken(format!(
                        "row {row} of new table `{}` refers to nothing",
                        table.name()
                    )));
                }
            }
        }
        Ok(())
    }

    fn renumber_keys(&mut self) -> Result<(), DeltaError> {
        for table in Table::ALL {
            let hashed = &self.hashed[table as usize];
            let (Some(h), Some(entries)) = (hashed, &mut self.new.keyed[table as usize]) else {
                continue;
            };
            for (key, value) in entries.keys.iter_mut().zip(&mut entries.values) {
                let numbers = &self.numbers;
                if !numbers.renumber(&h.key_fields, key, 0)
                    || !numbers.renumber(&h.value_fields, value, 0)
                {
                    return Err(broken(format!(
                        "a key of new table `{}` refers to nothing",
                        table.name()
                    )));
                }
            }
        }
        Ok(())
    }
}

fn renumber(map: &[Vec<u32>], fields: &[Field], words: &mut [u64], base: u32) -> bool {
    fields.iter().all(|field| match field.read(words, base) {
        None => true,
        Some((fresh, _)) => {
            let number = map[field.space as usize].get(fresh as usize);
            match number.filter(|n| **n != NONE) {
                None => false,
                Some(number) => {
                    field.write(words, base, *number);
                    true
                }
            }
        }
    })
}

/// Whether two rows are the same; a row that is not stored is zero. Of rows with versions the first
/// is meant.
pub fn same_row(a: &TableRows, row_a: u32, b: &TableRows, row_b: u32) -> bool {
    let zero = |w: Option<&[u64]>| w.is_none_or(|w| w.iter().all(|w| *w == 0));
    match (a.words(row_a), b.words(row_b)) {
        (Some(a), Some(b)) => a == b,
        (a, b) => zero(a) && zero(b),
    }
}
