//! Places of rules: which bits of a packet find them, and where they stand.
//!
//! A packet asks one row of every bank. Which bits of its key say which row is the *mask* of the
//! bank, chosen here for each group of rules (a row of `acl`). A rule may stand in a bank if it has one value
//! under the bank's mask: then every packet it holds asks its row. So a rule is stored once,
//! whatever is open in it; what is to be found is a set of masks under which no row gets more
//! rules than it has slots. Masks are taken greedily, each time the one under which most of the
//! rules that are left find a place; what is left in the end gets one by moving others, as in
//! cuckoo hashing (see [`super::place`]), or stands in one of the few rows that every packet asks. Grouping rules by which bits they say is tuple space search
//! (Srinivasan, Suri and Varghese, SIGCOMM 1999); merging such groups to fewer masks is as in
//! TupleMerge (Daly et al., IEEE/ACM Transactions on Networking 2019), with the number of masks given.

use super::masks::candidates;
use crate::lower::model::RuleRow;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::hash::rule_row;
use seqnic_spec::rules::{Columns, Mask, RuleKey};
use seqnic_spec::tables::RULE_SLOTS;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

mod attempts;
mod moves;
mod repair;

const FREE: u32 = u32::MAX;
const SLOTS: usize = RULE_SLOTS as usize;
/// Rows a search for room looks at before it gives up: in the end, and while masks are still chosen.
const SEARCH: usize = 20_000;
const QUICK_SEARCH: usize = 400;

/// Sizes of table `rule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banks {
    pub banks: u32,
    /// Rows of a bank, a power of two.
    pub rows: u32,
    /// Rows behind those of the banks that every packet asks, no more than a bank has.
    pub always: u32,
}

impl Banks {
    pub fn of(g: &Geometry) -> Banks {
        Banks {
            banks: g.rule_banks,
            rows: g.rule_rows,
            always: g.rule_always,
        }
    }

    fn all_rows(&self) -> usize {
        (self.banks * self.rows + self.always) as usize
    }
}

/// Where a rule stands. One with long prefixes takes both slots, and says 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// Row of the table: bank * rows + row; behind them those that are always compared.
    pub row: u32,
    pub slot: u32,
}

/// Where all rules stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Of each group, by bank.
    pub masks: Vec<Vec<Mask>>,
    /// Of each group's rules.
    pub cells: Vec<Vec<Cell>>,
}

/// A group has rules without a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlace {
    /// Place in the list of groups.
    pub group: usize,
    /// Rules of the group.
    pub rules: usize,
    /// Which of them were left over in the attempt that left fewest.
    pub without: Vec<usize>,
}

/// Whether prefixes of a rule reach behind the first 32 bits of an IPv6 address.
pub fn is_long(rule: &RuleRow) -> bool {
    rule.v6 && rule.client.1.max(rule.server.1) > 32
}

/// The mask under which a rule says every bit.
pub fn shape(rule: &RuleRow) -> Mask {
    let common = |(first, last): (u16, u16)| (first ^ last).leading_zeros() as u8 / 4;
    Mask {
        client: rule.client.1 / 4,
        server: rule.server.1 / 4,
        client_port: common(rule.client_port),
        port: common(rule.port),
        protocol: rule.protocol.is_some(),
        arrival: rule.arrival.is_some(),
    }
}

/// The key of the packets a rule holds, in the bits of its [`shape`].
pub fn key(rule: &RuleRow) -> RuleKey {
    RuleKey {
        salt: rule.salt,
        v6: rule.v6,
        client: rule.client.0,
        server: rule.server.0,
        client_port: rule.client_port.0,
        port: rule.port.0,
        protocol: rule.protocol.unwrap_or(0),
        arrival: rule.arrival.unwrap_or(0) as u16,
    }
}

/// Whether a rule of shape `shape` has one value under `mask`.
pub fn covers(shape: &Mask, mask: &Mask) -> bool {
    mask.client <= shape.client
        && mask.server <= shape.server
        && mask.client_port <= shape.client_port
        && mask.port <= shape.port
        && mask.protocol <= shape.protocol
        && mask.arrival <= shape.arrival
}

/// Places the rules of every group.
///
/// # Errors
/// [`NoPlace`]: more rules without bits in common than there are slots for, or more rules than the table takes.
pub fn lay_out(banks: Banks, groups: &[&[RuleRow]]) -> Result<Layout, NoPlace> {
    let mut placer = Placer::new(banks, groups);
    for group in 0..groups.len() {
        placer.place(group)?;
    }
    let cells = groups.iter().enumerate().map(|(group, rules)| {
        let mut cells = vec![Cell { row: 0, slot: 0 }; rules.len()];
        for item in &placer.items[placer.first[group]..placer.first[group + 1]] {
            cells[item.rule as usize] = Cell {
                row: item.at / RULE_SLOTS,
                slot: item.at % RULE_SLOTS,
            };
        }
        cells
    });
    Ok(Layout {
        cells: cells.collect(),
        masks: placer.masks.into_iter().map(whole).collect(),
    })
}

/// Banks without a mask of their own have one of the others: rules that are added later find places there.
fn whole(masks: Vec<Option<Mask>>) -> Vec<Mask> {
    let chosen: Vec<Mask> = masks.iter().copied().flatten().collect();
    let again = |bank: usize| chosen.get(bank % chosen.len().max(1)).copied();
    let masks = masks.into_iter().enumerate();
    let masks = masks.map(|(bank, mask)| mask.or(again(bank)).unwrap_or_default());
    masks.collect()
}

/// A rule on its way to a place.
struct Item {
    shape: Mask,
    group: u32,
    /// Place in its group.
    rule: u32,
    long: bool,
    /// Slot counted over the table, or [`FREE`].
    at: u32,
}

/// Rules of one shape that stand together in a list.
struct Run {
    shape: Mask,
    /// Places in the list.
    at: Range<usize>,
}

struct Placer {
    banks: Banks,
    /// Those of a group by shape, long ones before: one in a row leaves no room there for a long one.
    items: Vec<Item>,
    /// Digests of their keys.
    columns: Columns,
    /// First item of each group, and one more.
    first: Vec<usize>,
    /// Of each group, by bank; banks may be left over.
    masks: Vec<Vec<Option<Mask>>>,
    /// Item in each slot, or [`FREE`].
    slots: Vec<u32>,
    /// Slots in use of each row, and of each bank.
    full: Vec<u8>,
    used: Vec<u32>,
    /// Whether rules may stand in rows that are always compared, of which there are few.
    always: bool,
    /// Of the bank in hand: what is counted while a mask is tried, and the digests under it.
    tried: Vec<u8>,
    sums: Vec<u32>,
    /// Of each row, the search that saw it last, and the item that would move there.
    seen: Vec<u32>,
    via: Vec<u32>,
    search: u32,
    /// Steps that may still be tried for the group in hand.
    steps: usize,
}

/// How many rules a mask covers.
fn covered(mask: &Mask, runs: &[Run]) -> usize {
    let covered = runs.iter().filter(|run| covers(&run.shape, mask));
    covered.map(|run| run.at.len()).sum()
}

impl Placer {
    fn new(banks: Banks, groups: &[&[RuleRow]]) -> Placer {
        let mut items = Vec::with_capacity(groups.iter().map(|g| g.len()).sum());
        let mut first = vec![0];
        for (group, rules) in groups.iter().enumerate() {
            items.extend(rules.iter().enumerate().map(|(number, rule)| Item {
                shape: shape(rule),
                group: group as u32,
                rule: number as u32,
                long: is_long(rule),
                at: FREE,
            }));
            let of = &mut items[first[group]..];
            of.sort_by_key(|item| (Reverse(item.long), item.shape));
            first.push(items.len());
        }
        let rule = |item: &Item| key(&groups[item.group as usize][item.rule as usize]);
        Placer {
            columns: Columns::of(&items.iter().map(rule).collect::<Vec<_>>()),
            items,
            first,
            masks: Vec::new(),
            slots: vec![FREE; banks.all_rows() * SLOTS],
            full: vec![0; banks.all_rows()],
            sums: Vec::new(),
            // Rows that are always compared count as one bank more.
            used: vec![0; banks.banks as usize + 1],
            always: false,
            tried: vec![0; banks.rows as usize],
            seen: vec![0; banks.all_rows()],
            via: vec![FREE; banks.all_rows()],
            search: 0,
            steps: 0,
            banks,
        }
    }

    /// Chooses masks for the banks of `order`, until all of `left` have a place; what is left over.
    ///
    /// When few are left they get places by moving others as well: a bank for each kind of rule that is left
    /// over would use up the banks that rules need which say little.
    fn choose(&mut self, order: &mut VecDeque<u32>, mut left: Vec<u32>, few: usize) -> Vec<u32> {
        let few = left.len() / few;
        // Rules that were first may stand in banks that are chosen already.
        let chosen = self.masks.last().cloned().unwrap_or_default();
        for (bank, mask) in chosen.iter().enumerate() {
            if let Some(mask) = mask {
                left.retain(|item| !self.put_into(bank as u32, mask, *item));
            }
        }
        let mut runs = self.runs(&left);
        let candidates = candidates(runs.iter().map(|run| (run.shape, run.at.len())));
        // What a mask is worth only falls, so one that was worth less than another is now need not be
        // counted again; nor is one worth more than the rules it covers.
        let mut worth: Vec<usize> = candidates.iter().map(|m| covered(m, &runs)).collect();
        while !left.is_empty()
            && let Some(bank) = order.pop_front()
        {
            let mut least = 0;
            let mut counted = vec![false; candidates.len()];
            let best = loop {
                let most = (0..candidates.len()).max_by_key(|c| (worth[*c], usize::MAX - *c));
                let Some(most) = most else { return left };
                if counted[most] {
                    break most;
                }
                (worth[most], counted[most]) =
                    self.worth(bank, &candidates[most], &left, &runs, least);
                if counted[most] {
                    least = least.max(worth[most]);
                }
            };
            let mask = candidates[best];
            if let Some(masks) = self.masks.last_mut() {
                masks[bank as usize] = Some(mask);
            }
            left.retain(|item| !self.put_into(bank, &mask, *item));
            if left.len() <= few {
                self.move_for(&mut left, QUICK_SEARCH, usize::MAX);
            }
            runs = self.runs(&left);
        }
        left
    }

    fn row(&self, bank: u32, mask: &Mask, item: usize) -> usize {
        let row = rule_row(self.columns.under(item, mask), bank, self.banks.rows);
        (bank * self.banks.rows + row) as usize
    }

    fn shape_of(&self, item: &u32) -> &Mask {
        &self.items[*item as usize].shape
    }

    /// Where those of one shape stand in `left`.
    fn runs(&self, left: &[u32]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for chunk in left.chunk_by(|a, b| self.shape_of(a) == self.shape_of(b)) {
            let from = runs.last().map_or(0, |run| run.at.end);
            runs.push(Run {
                shape: *self.shape_of(&chunk[0]),
                at: from..from + chunk.len(),
            });
        }
        runs
    }

    /// How many of `left` would find a place in `bank` under `mask`; or, with `false`, how many at most, if that is
    /// less than `least`.
    fn worth(
        &mut self,
        bank: u32,
        mask: &Mask,
        left: &[u32],
        runs: &[Run],
        least: usize,
    ) -> (usize, bool) {
        let mut rest = covered(mask, runs);
        let rows = self.banks.rows;
        let base = (bank * rows) as usize;
        self.tried
            .copy_from_slice(&self.full[base..base + rows as usize]);
        let mut found = 0;
        for run in runs.iter().filter(|run| covers(&run.shape, mask)) {
            let items = &left[run.at.clone()];
            let ends = (items.iter().min(), items.iter().max());
            let (Some(from), Some(to)) = ends else {
                continue;
            };
            let (from, to) = (*from as usize, *to as usize + 1);
            self.columns.range_under(from..to, mask, &mut self.sums);
            for item in items {
                let at = *item as usize;
                let row = rule_row(self.sums[at - from], bank, rows) as usize;
                let needs = 1 + u8::from(self.items[at].long);
                if self.tried[row] + needs <= SLOTS as u8 {
                    self.tried[row] += needs;
                    found += 1;
                }
            }
            rest -= items.len();
            if found + rest < least {
                return (found + rest, false);
            }
        }
        (found, true)
    }

    /// Puts an item into a bank if its row has room.
    fn put_into(&mut self, bank: u32, mask: &Mask, number: u32) -> bool {
        let item = &self.items[number as usize];
        if !covers(&item.shape, mask) {
            return false;
        }
        let row = self.row(bank, mask, number as usize);
        match self.free(row, item.long) {
            None => false,
            Some(slot) => {
                self.set(row, slot, number);
                true
            }
        }
    }

    fn free(&self, row: usize, long: bool) -> Option<usize> {
        let slots = &self.slots[row * SLOTS..][..SLOTS];
        match long {
            true => slots.iter().all(|s| *s == FREE).then_some(0),
            false => slots.iter().position(|s| *s == FREE),
        }
    }

    fn set(&mut self, row: usize, slot: usize, number: u32) {
        let item = &mut self.items[number as usize];
        let at = row * SLOTS + slot;
        item.at = at as u32;
        let slots = if item.long { SLOTS } else { 1 };
        self.slots[at..at + slots].fill(number);
        self.full[row] += slots as u8;
        self.used[row / self.banks.rows as usize] += slots as u32;
    }

    /// Takes an item out of its place.
    fn take(&mut self, number: u32) {
        let item = &mut self.items[number as usize];
        let at = item.at as usize;
        let slots = if item.long { SLOTS } else { 1 };
        item.at = FREE;
        self.slots[at..at + slots].fill(FREE);
        self.full[at / SLOTS] -= slots as u8;
        self.used[at / SLOTS / self.banks.rows as usize] -= slots as u32;
    }
}
