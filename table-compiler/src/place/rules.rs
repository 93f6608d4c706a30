//! Places of rules: which bits of a packet find them, and where they stand.
//!
//! A packet asks one row of every bank. Which bits of its key say which row is the *mask* of the
//! bank, chosen here for each group of rules (a row of `acl`). A rule may stand in a bank if it has one value
//! under the bank's mask: then every packet it holds asks its row. So a rule is stored once,
//! whatever is open in it; what is to be found is a set of masks under which no row gets more
//! rules than it has slots. Masks are taken greedily, each time the one under which most of the
//! rules that are left find a place; what is left in the end gets one by moving others, as in
//! cuckoo hashing (see [`super::place`]). Grouping rules by which bits they say is tuple space search
//! (Srinivasan, Suri and Varghese, SIGCOMM 1999); merging such groups to fewer masks is as in
//! TupleMerge (Daly et al., IEEE/ACM Transactions on Networking 2019), with the number of masks given.

use crate::lower::model::RuleRow;
use seqnic_spec::hash::rule_row;
use seqnic_spec::rules::{Digests, Mask, RuleKey};
use seqnic_spec::tables::RULE_SLOTS;
use std::collections::{HashMap, HashSet, VecDeque};

const FREE: u32 = u32::MAX;
const SLOTS: usize = RULE_SLOTS as usize;
/// Masks that are tried, at most.
const CANDIDATES: usize = 160;
/// Rows a search for room looks at before it gives up.
const SEARCH: usize = 20_000;
/// Times masks are chosen for a group.
const ATTEMPTS: usize = 5;

/// Sizes of table `rule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banks {
    pub banks: u32,
    /// Rows of a bank, a power of two.
    pub rows: u32,
}

/// Where a rule stands. One with long prefixes takes both slots, and says 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// Row of the table: bank * rows + row.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace {
    /// Place in the list of groups.
    pub group: usize,
    pub rules: usize,
    pub placed: usize,
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
    let cell = |item: &Item| Cell {
        row: item.at / RULE_SLOTS,
        slot: item.at % RULE_SLOTS,
    };
    let mut items = placer.items.iter();
    let cells = groups.iter().map(|rules| {
        let of = items.by_ref().take(rules.len());
        of.map(cell).collect()
    });
    Ok(Layout {
        cells: cells.collect(),
        masks: placer.masks,
    })
}

/// A rule on its way to a place.
struct Item {
    shape: Mask,
    digests: Digests,
    group: u32,
    long: bool,
    /// Slot counted over the table, or [`FREE`].
    at: u32,
}

struct Placer {
    banks: Banks,
    items: Vec<Item>,
    /// First item of each group, and one more.
    first: Vec<usize>,
    masks: Vec<Vec<Mask>>,
    /// Item in each slot, or [`FREE`].
    slots: Vec<u32>,
    /// Slots in use of each bank.
    used: Vec<u32>,
    /// Of the bank in hand: what is counted while a mask is tried.
    tried: Vec<u8>,
}

impl Placer {
    fn new(banks: Banks, groups: &[&[RuleRow]]) -> Placer {
        let mut items = Vec::with_capacity(groups.iter().map(|g| g.len()).sum());
        let mut first = vec![0];
        for (group, rules) in groups.iter().enumerate() {
            items.extend(rules.iter().map(|rule| Item {
                shape: shape(rule),
                digests: Digests::of(&key(rule)),
                group: group as u32,
                long: is_long(rule),
                at: FREE,
            }));
            first.push(items.len());
        }
        Placer {
            items,
            first,
            masks: Vec::new(),
            slots: vec![FREE; (banks.banks * banks.rows) as usize * SLOTS],
            used: vec![0; banks.banks as usize],
            tried: vec![0; banks.rows as usize],
            banks,
        }
    }

    /// Places a group. Rules that are left over when others took what they could have had get the
    /// first choice of masks in another attempt.
    fn place(&mut self, group: usize) -> Result<(), NoPlace> {
        let all: Vec<u32> = (self.first[group] as u32..self.first[group + 1] as u32).collect();
        let mut first: Vec<u32> = Vec::new();
        let mut placed = 0;
        for _ in 0..ATTEMPTS {
            let without = self.attempt(&all, &first);
            if without.is_empty() {
                return Ok(());
            }
            placed = placed.max(all.len() - without.len());
            for item in &all {
                if self.items[*item as usize].at != FREE {
                    self.take(*item);
                }
            }
            self.masks.pop();
            // With them all that say as little: they would be left over next.
            let shapes: HashSet<Mask> = without
                .iter()
                .map(|i| self.items[*i as usize].shape)
                .collect();
            let alike = |i: &u32| {
                let shape = &self.items[*i as usize].shape;
                shapes.contains(shape) || shapes.iter().any(|s| covers(s, shape))
            };
            let known: HashSet<u32> = first.iter().copied().collect();
            first.extend(all.iter().filter(|i| !known.contains(i) && alike(i)));
        }
        Err(NoPlace {
            group,
            rules: all.len(),
            placed,
        })
    }

    /// Chooses masks and places `all`, those of `first` before the others; which found no place.
    fn attempt(&mut self, all: &[u32], first: &[u32]) -> Vec<u32> {
        let mut masks = vec![None; self.banks.banks as usize];
        // The emptiest banks first, so that groups do not crowd in the same.
        let mut order: Vec<u32> = (0..self.banks.banks).collect();
        order.sort_by_key(|b| self.used[*b as usize]);
        let mut order = VecDeque::from(order);
        let mut chosen: Vec<Mask> = Vec::new();
        let mut left = first.to_vec();
        self.choose(&mut masks, &mut order, &mut left, &mut chosen);
        left = all
            .iter()
            .copied()
            .filter(|i| self.items[*i as usize].at == FREE)
            .collect();
        self.choose(&mut masks, &mut order, &mut left, &mut chosen);
        // Other rules may be added to a group: in banks that are left they find masks that suit it.
        let again = |bank: usize| chosen.get(bank % chosen.len().max(1)).copied();
        let masks = masks.into_iter().enumerate();
        let masks = masks.map(|(bank, mask)| mask.or(again(bank)).unwrap_or_default());
        self.masks.push(masks.collect());
        left.retain(|item| !self.make_room(*item));
        left
    }

    /// Chooses masks for the banks of `order`, until all of `left` have a place; what is left stays there.
    fn choose(
        &mut self,
        masks: &mut [Option<Mask>],
        order: &mut VecDeque<u32>,
        left: &mut Vec<u32>,
        chosen: &mut Vec<Mask>,
    ) {
        // Rules that were first may stand in banks that are chosen already.
        for (bank, mask) in masks.iter().enumerate() {
            if let Some(mask) = mask {
                left.retain(|item| !self.put_into(bank as u32, mask, *item));
            }
        }
        let candidates = candidates(left.iter().map(|i| self.items[*i as usize].shape));
        // What a mask is worth only falls, so one that was worth less than another is now need not be
        // counted again.
        let mut worth: Vec<usize> = vec![usize::MAX; candidates.len()];
        while !left.is_empty()
            && let Some(bank) = order.pop_front()
        {
            let best = loop {
                let most = (0..candidates.len()).max_by_key(|c| (worth[*c], usize::MAX - *c));
                let Some(most) = most else { return };
                let was =
                    std::mem::replace(&mut worth[most], self.worth(bank, &candidates[most], left));
                let now = worth[most];
                if now >= was || (0..candidates.len()).all(|c| c == most || worth[c] <= now) {
                    break most;
                }
            };
            let mask = candidates[best];
            masks[bank as usize] = Some(mask);
            chosen.push(mask);
            left.retain(|item| !self.put_into(bank, &mask, *item));
        }
    }

    fn row(&self, bank: u32, mask: &Mask, item: &Item) -> usize {
        let row = rule_row(item.digests.under(mask), bank, self.banks.rows);
        (bank * self.banks.rows + row) as usize
    }

    /// How many of `left` would find a place in `bank` under `mask`.
    fn worth(&mut self, bank: u32, mask: &Mask, left: &[u32]) -> usize {
        let base = (bank * self.banks.rows) as usize;
        for (row, tried) in self.tried.iter_mut().enumerate() {
            let slots = &self.slots[(base + row) * SLOTS..][..SLOTS];
            *tried = slots.iter().filter(|s| **s != FREE).count() as u8;
        }
        let mut found = 0;
        for item in left {
            let item = &self.items[*item as usize];
            if !covers(&item.shape, mask) {
                continue;
            }
            let row = rule_row(item.digests.under(mask), bank, self.banks.rows);
            let (tried, needs) = (&mut self.tried[row as usize], 1 + u8::from(item.long));
            if *tried + needs <= SLOTS as u8 {
                *tried += needs;
                found += 1;
            }
        }
        found
    }

    /// Puts an item into a bank if its row has room.
    fn put_into(&mut self, bank: u32, mask: &Mask, number: u32) -> bool {
        let item = &self.items[number as usize];
        if !covers(&item.shape, mask) {
            return false;
        }
        let row = self.row(bank, mask, item);
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
        self.used[row / self.banks.rows as usize] += slots as u32;
    }

    /// Takes an item out of its place.
    fn take(&mut self, number: u32) {
        let item = &mut self.items[number as usize];
        let at = item.at as usize;
        let slots = if item.long { SLOTS } else { 1 };
        item.at = FREE;
        self.slots[at..at + slots].fill(FREE);
        self.used[at / SLOTS / self.banks.rows as usize] -= slots as u32;
    }

    /// Rows an item may stand in.
    fn rows_of(&self, number: u32) -> impl Iterator<Item = usize> + '_ {
        let item = &self.items[number as usize];
        let masks = self.masks[item.group as usize].iter().enumerate();
        let masks = masks.filter(|(_, mask)| covers(&item.shape, mask));
        masks.map(|(bank, mask)| self.row(bank as u32, mask, item))
    }

    /// Moves items such that `number` has a place; `false` if no moves were found that give it one.
    /// Items move one by one to a row with room, the shortest chain of them.
    fn make_room(&mut self, number: u32) -> bool {
        let long = self.items[number as usize].long;
        // Row, and the item that would move there from an earlier row.
        let mut from: HashMap<usize, Option<u32>> = HashMap::new();
        let mut queue = VecDeque::new();
        for row in self.rows_of(number) {
            if from.insert(row, None).is_none() {
                queue.push_back(row);
            }
        }
        let start: Vec<usize> = queue.iter().copied().collect();
        if let Some((row, slot)) = start.iter().find_map(|r| Some((*r, self.free(*r, long)?))) {
            self.set(row, slot, number);
            return true;
        }
        let mut looked = 0;
        while let Some(row) = queue.pop_front() {
            looked += 1;
            if looked > SEARCH {
                break;
            }
            let occupants: Vec<u32> = self.slots[row * SLOTS..][..SLOTS].to_vec();
            // A long item needs both slots of a row: only a row with one item can be cleared by a
            // chain, one with two by moving one of them straight to a row with room.
            for (place, occupant) in occupants.iter().enumerate() {
                if *occupant == FREE || (place > 0 && occupants[0] == *occupant) {
                    continue;
                }
                let needs = self.items[*occupant as usize].long;
                let others: Vec<usize> = self.rows_of(*occupant).collect();
                for other in others {
                    if from.contains_key(&other) {
                        continue;
                    }
                    from.insert(other, Some(*occupant));
                    if self.free(other, needs).is_some() && self.chain(&from, other, number) {
                        return true;
                    }
                    queue.push_back(other);
                }
            }
        }
        false
    }

    /// Moves along a chain that ends at `row`, which has room; undoes it where a long item finds only one
    /// slot free.
    fn chain(&mut self, from: &HashMap<usize, Option<u32>>, row: usize, number: u32) -> bool {
        let mut moves = Vec::new();
        let mut at = row;
        while let Some(Some(item)) = from.get(&at).copied() {
            moves.push((item, self.items[item as usize].at, at));
            at = self.items[item as usize].at as usize / SLOTS;
        }
        let mut done = 0;
        for (item, _, to) in &moves {
            let long = self.items[*item as usize].long;
            self.take(*item);
            let Some(slot) = self.free(*to, long) else {
                let (row, slot) = (
                    moves[done].1 as usize / SLOTS,
                    moves[done].1 as usize % SLOTS,
                );
                self.set(row, slot, *item);
                break;
            };
            self.set(*to, slot, *item);
            done += 1;
        }
        let long = self.items[number as usize].long;
        if done == moves.len()
            && let Some(slot) = self.free(at, long)
        {
            self.set(at, slot, number);
            return true;
        }
        for (item, was, _) in moves[..done].iter().rev() {
            self.take(*item);
            self.set(*was as usize / SLOTS, *was as usize % SLOTS, *item);
        }
        false
    }
}

/// Masks worth trying: the shapes of the rules, the most frequent first, and those shapes with less.
fn candidates(shapes: impl Iterator<Item = Mask>) -> Vec<Mask> {
    let mut counts: HashMap<Mask, usize> = HashMap::new();
    for shape in shapes {
        *counts.entry(shape).or_default() += 1;
    }
    let mut shapes: Vec<(Mask, usize)> = counts.into_iter().collect();
    shapes.sort_by_key(|(mask, count)| (std::cmp::Reverse(*count), *mask));
    let mut found: Vec<Mask> = shapes.iter().map(|s| s.0).take(CANDIDATES / 2).collect();
    let less = |m: &Mask| {
        let none = Mask::default();
        let m = *m;
        [
            Mask {
                client_port: 0,
                ..m
            },
            Mask { port: 0, ..m },
            Mask { client: 0, ..m },
            Mask { server: 0, ..m },
            Mask {
                client: m.client / 2,
                ..m
            },
            Mask {
                server: m.server / 2,
                ..m
            },
            Mask {
                client_port: 0,
                port: 0,
                ..m
            },
            Mask {
                client: m.client,
                protocol: m.protocol,
                ..none
            },
            Mask {
                server: m.server,
                protocol: m.protocol,
                ..none
            },
            Mask {
                protocol: false,
                ..m
            },
            Mask {
                arrival: false,
                ..m
            },
        ]
    };
    let mut seen: HashSet<Mask> = found.iter().copied().collect();
    for (shape, _) in &shapes {
        for mask in less(shape) {
            if found.len() < CANDIDATES && seen.insert(mask) {
                found.push(mask);
            }
        }
    }
    if seen.insert(Mask::default()) {
        found.push(Mask::default());
    }
    found
}
