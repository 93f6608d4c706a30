//! Rules in a delta: which slots of table `rule` stay, which go, and where new ones find room.
//!
//! A rule has no key; it stands in one of the rows that the masks of its row of `acl` give, or in one that is
//! always compared, and two rules are the same if all their bits are. Rules that stay are not moved.

use super::error::DeltaError;
use super::loaded::Change;
use super::numbers::Numbers;
use crate::lower::model::{Model, RuleRow};
use crate::place::acl::{WORDS, write};
use crate::place::rules::{Cell, covers, is_long, key, shape};
use seqnic_image::Image;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::hash::rule_row;
use seqnic_spec::rules::{Digests, Mask};
use seqnic_spec::tables::references::Space;
use seqnic_spec::tables::{
    ACL_SLOT, EPOCHS, Epochs, RULE_REST, RULE_SLOT, RULE_SLOTS, Table, rule_kind,
};
use std::collections::{HashMap, HashSet};

use super::bits;

/// The bits of a rule's slot, or of both of a long one, without its epochs, as if it stood in slot 0.
type Content = [u64; WORDS];

/// What differs in table `rule`, in final numbers.
#[derive(Default)]
pub struct Rules {
    /// Slots that go, and whether they are long.
    pub old: Vec<(Cell, bool)>,
    /// Rules that come: rows they may stand in, their bits, whether they are long.
    new: Vec<(Vec<u32>, Content, bool)>,
    /// Numbers rules that go counted under.
    pub numbers: Vec<u32>,
}

/// What stands in a slot.
pub struct Standing {
    pub cell: Cell,
    pub epochs: Epochs,
    pub long: bool,
    content: Content,
}

impl Standing {
    /// A field of `RULE_SLOT`.
    pub fn field(&self, name: &str) -> u32 {
        field(&self.content, 0, name)
    }

    /// The address of `side` behind its first 32 bits, and how many bits of the prefix lie there.
    pub fn rest(&self, side: &str) -> (u128, u32) {
        if !self.long {
            return (0, 0);
        }
        let get = |name: &str| {
            let (lo, width) = RULE_REST.at(name);
            let at = slot_bits() + lo;
            let low = bits::get(&self.content, at, width.min(64));
            let high = match width > 64 {
                true => bits::get(&self.content, at + 64, width - 64),
                false => 0,
            };
            u128::from(high) << 64 | u128::from(low)
        };
        (get(side), get(&format!("{side}_bits")) as u32)
    }
}

fn slot_bits() -> u32 {
    RULE_SLOT.width()
}

fn field(words: &[u64], slot: u32, name: &str) -> u32 {
    let (lo, width) = RULE_SLOT.at(name);
    bits::get(words, slot * slot_bits() + lo, width) as u32
}

/// Every rule of the tables.
pub fn standing(image: &Image) -> impl Iterator<Item = Standing> + '_ {
    let rows = image.table(Table::Rule).used();
    rows.flat_map(|(row, words)| {
        (0..RULE_SLOTS).filter_map(move |slot| {
            let epochs = Epochs::from_bits(field(words, slot, "epochs"));
            if epochs.is_empty() {
                return None;
            }
            let long = slot == 0 && field(words, slot, "kind") == rule_kind::V6_LONG;
            let mut content = [0; WORDS];
            let width = if long { 2 } else { 1 } * slot_bits();
            bits::copy(&mut content, 0, words, slot * slot_bits(), width);
            bits::set(&mut content, 0, EPOCHS, 0);
            Some(Standing {
                cell: Cell { row, slot },
                epochs,
                long,
                content,
            })
        })
    })
}

/// Numbers of rules and sets in use.
pub fn used(image: &Image, space: Space, mut mark: impl FnMut(u32)) {
    for rule in standing(image) {
        match space {
            Space::Rule => mark(field(&rule.content, 0, "rule")),
            Space::Set => mark(field(&rule.content, 0, "set")),
            _ => {}
        }
    }
}

impl Rules {
    /// Compares the rules of the loaded tables with those of the model.
    pub fn of(old: &Image, model: &Model, numbers: &Numbers) -> Result<Rules, DeltaError> {
        let mut this = Rules::default();
        let mut known: HashMap<Content, Vec<Standing>> = HashMap::new();
        for rule in standing(old) {
            if rule.epochs != Epochs::BOTH {
                return Err(DeltaError::Unfinished {
                    table: Table::Rule,
                    row: rule.cell.row,
                });
            }
            known.entry(rule.content).or_default().push(rule);
        }
        let groups = model.rules.iter().zip(&model.layout.masks).enumerate();
        let groups = groups.map(|(at, (g, masks))| (g, numbers.masks.get(&at).unwrap_or(masks)));
        for (rule, masks) in groups.flat_map(|(g, masks)| g.rules.iter().map(move |r| (r, masks))) {
            let rule = renumbered(rule, numbers)?;
            let rows = rows(&rule, masks, old.geometry);
            let mut content = [0; WORDS];
            write(&mut content, Cell { row: 0, slot: 0 }, &rule, Epochs::NONE);
            let same = known.get_mut(&content).and_then(|standing| {
                let place = standing.iter().position(|s| rows.contains(&s.cell.row))?;
                Some(standing.swap_remove(place))
            });
            if same.is_none() {
                this.new.push((rows, content, is_long(&rule)));
            }
        }
        let gone = known.into_values().flatten();
        for rule in gone {
            this.numbers.push(field(&rule.content, 0, "rule"));
            this.old.push((rule.cell, rule.long));
        }
        this.old.sort_unstable_by_key(|(cell, _)| *cell);
        Ok(this)
    }

    pub fn len(&self) -> usize {
        self.old.len() + self.new.len()
    }

    /// Marks what goes as holding in the present epoch only, and writes what comes for the other.
    pub fn build(&self, change: &mut Change, epoch: u32) -> Result<(), DeltaError> {
        for (cell, _) in &self.old {
            let mut words = change.row(Table::Rule, cell.row);
            set_epochs(&mut words, cell.slot, Epochs::only(epoch));
            change.put(Table::Rule, cell.row, words);
        }
        let mut without = 0;
        for (rows, content, long) in &self.new {
            let free = rows.iter().find_map(|row| {
                let words = change.row(Table::Rule, *row);
                Some((*row, free(&words, *long)?))
            });
            let Some((row, slot)) = free else {
                without += 1;
                continue;
            };
            let mut words = change.row(Table::Rule, row);
            let width = if *long { 2 } else { 1 } * slot_bits();
            bits::copy(&mut words, slot * slot_bits(), content, 0, width);
            set_epochs(&mut words, slot, Epochs::only(1 - epoch));
            change.put(Table::Rule, row, words);
        }
        match without {
            0 => Ok(()),
            keys => Err(DeltaError::NoPlace {
                table: Table::Rule,
                keys,
                used: standing(&change.image).map(|s| 1 + u32::from(s.long)).sum(),
                places: change.image.geometry.rows(Table::Rule) * RULE_SLOTS,
            }),
        }
    }
}

/// Clears the rules that do not hold in `epoch`, the others hold in both; of a row's words.
pub fn settled(words: &mut [u64], epoch: u32) {
    let long = field(words, 0, "kind") == rule_kind::V6_LONG && field(words, 0, "epochs") != 0;
    for slot in 0..RULE_SLOTS {
        match Epochs::from_bits(field(words, slot, "epochs")) {
            Epochs::NONE => {}
            epochs if epochs.holds(epoch) => set_epochs(words, slot, Epochs::BOTH),
            _ => clear(words, slot, if long { RULE_SLOTS } else { 1 }),
        }
    }
}

/// Rows of table `rule` in which a rule holds in one epoch only.
pub fn unsettled(image: &Image) -> Vec<u32> {
    let rows: HashSet<u32> = standing(image)
        .filter(|s| s.epochs != Epochs::BOTH)
        .map(|s| s.cell.row)
        .collect();
    let mut rows: Vec<u32> = rows.into_iter().collect();
    rows.sort_unstable();
    rows
}

fn clear(words: &mut [u64], slot: u32, slots: u32) {
    let end = (slot + slots).min(RULE_SLOTS) * slot_bits();
    let mut at = slot * slot_bits();
    while at < end {
        let take = (end - at).min(64);
        bits::set(words, at, take, 0);
        at += take;
    }
}

fn set_epochs(words: &mut [u64], slot: u32, epochs: Epochs) {
    bits::set(words, slot * slot_bits(), EPOCHS, epochs.bits().into());
}

/// The first free slot of a row; a long rule needs both.
fn free(words: &[u64], long: bool) -> Option<u32> {
    let empty = |slot: u32| field(words, slot, "epochs") == 0;
    let other_is_long = !empty(0) && field(words, 0, "kind") == rule_kind::V6_LONG;
    match (long, other_is_long) {
        (_, true) => None,
        (true, _) => (empty(0) && empty(1)).then_some(0),
        (false, _) => (0..RULE_SLOTS).find(|slot| empty(*slot)),
    }
}

/// A rule with final numbers.
fn renumbered(rule: &RuleRow, numbers: &Numbers) -> Result<RuleRow, DeltaError> {
    let of = |space: Space, fresh: u32| {
        numbers.get(space, fresh).ok_or_else(|| DeltaError::Broken {
            what: format!("a new rule refers to no {}", space.name()),
        })
    };
    Ok(RuleRow {
        salt: match rule.salt {
            0 => 0,
            scope => of(Space::Scope, scope)?,
        },
        arrival: match rule.arrival {
            None => None,
            Some(interface) => Some(of(Space::Interface, interface)?),
        },
        set: of(Space::Set, rule.set)?,
        rule: of(Space::Rule, rule.rule)?,
        ..*rule
    })
}

/// Rows of the table a rule may stand in; those that are always compared last, as there are few.
fn rows(rule: &RuleRow, masks: &[Mask], g: &Geometry) -> Vec<u32> {
    let (shape, digests) = (shape(rule), Digests::of(&key(rule)));
    let banks = (0..).zip(masks).filter(|(_, mask)| covers(&shape, mask));
    let row = |(bank, mask): (u32, &Mask)| {
        bank * g.rule_rows + rule_row(digests.under(mask), bank, g.rule_rows)
    };
    banks
        .map(row)
        .chain(g.rule_banked()..g.rows(Table::Rule))
        .collect()
}

/// The masks of a row of `acl`.
pub fn masks(words: &[u64], g: &Geometry) -> Vec<Mask> {
    let of = |bank: u32| {
        let get = |name| {
            let (lo, width) = ACL_SLOT.at(name);
            bits::get(words, bank * ACL_SLOT.width() + lo, width) as u8
        };
        Mask {
            client: get("client"),
            server: get("server"),
            client_port: get("client_port"),
            port: get("port"),
            protocol: get("protocol") == 1,
            arrival: get("arrival") == 1,
        }
    };
    (0..g.rule_banks).map(of).collect()
}

/// Whether every rule can stand in a bank, but for as many as may be in rows that are always compared.
pub fn found_by(rules: &[RuleRow], masks: &[Mask], g: &Geometry) -> bool {
    let in_a_bank = |rule: &&RuleRow| {
        let shape = shape(rule);
        masks.iter().any(|mask| covers(&shape, mask))
    };
    let others = rules.iter().filter(|rule| !in_a_bank(rule));
    let places: u32 = others.map(|rule| 1 + u32::from(is_long(rule))).sum();
    places <= g.rule_always * RULE_SLOTS
}
