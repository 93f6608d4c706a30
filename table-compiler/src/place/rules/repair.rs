//! What is left over when all banks have masks: some get other masks for it.

use super::{FREE, Placer};
use crate::place::masks::candidates;
use seqnic_spec::rules::Mask;
use seqnic_spec::tables::RULE_SLOTS;
use std::collections::HashSet;

/// Rules that are left over at most for banks to be given to them.
pub(super) const FEW: usize = 1000;
/// Banks that are given away in the end, at most.
const REPAIRS: usize = 6;
const STEP_SEARCH: usize = 4_000;

/// What [`Placer::back_to`] goes back to.
#[derive(Clone)]
pub(super) struct State {
    at: Vec<u32>,
    masks: Vec<Option<Mask>>,
    slots: Vec<u32>,
    full: Vec<u8>,
    used: Vec<u32>,
}

impl Placer {
    /// Gives banks to rules that are left over, and others the rules of those banks: what is left over at the end are
    /// mostly rules that say so little that no other bank is of use to them. First the banks that have least of the
    /// group, one after the other, whatever comes of it; then, from the best of that, every step that leaves fewer.
    pub(super) fn repair(&mut self, all: &[u32], left: Vec<u32>) -> Vec<u32> {
        let mut best = (self.state(), left.clone());
        let mut left = left;
        let mut given: HashSet<u32> = HashSet::new();
        for _ in 0..REPAIRS {
            if left.is_empty() {
                return left;
            }
            let stands = self.stands(all);
            let banks = (0..self.banks.banks).filter(|b| !given.contains(b));
            let Some(bank) = banks.min_by_key(|b| stands[*b as usize].len()) else {
                break;
            };
            given.insert(bank);
            let moved = &stands[bank as usize];
            moved.iter().for_each(|item| self.take(*item));
            let mask = self.masks_for(bank, &left, moved)[0];
            left = self.give(bank, mask, &left, moved, usize::MAX);
            if left.len() < best.1.len() {
                best = (self.state(), left.clone());
            }
        }
        self.back_to(best.0);
        self.climb(all, best.1)
    }

    /// Gives one bank after the other another mask, as long as one is found that leaves fewer rules over.
    fn climb(&mut self, all: &[u32], mut left: Vec<u32>) -> Vec<u32> {
        while !left.is_empty() {
            let stands = self.stands(all);
            let mut banks: Vec<u32> = (0..self.banks.banks).collect();
            banks.sort_by_key(|b| stands[*b as usize].len());
            let before = self.state();
            let mut found = None;
            'banks: for bank in banks {
                let moved = &stands[bank as usize];
                moved.iter().for_each(|item| self.take(*item));
                let emptied = self.state();
                for mask in self.masks_for(bank, &left, moved) {
                    if self.steps == 0 {
                        self.back_to(before);
                        return left;
                    }
                    self.steps -= 1;
                    let now = self.give(bank, mask, &left, moved, left.len());
                    if now.len() < left.len() {
                        found = Some(now);
                        break 'banks;
                    }
                    self.back_to(emptied.clone());
                }
                self.back_to(before.clone());
            }
            match found {
                Some(now) => left = now,
                None => break,
            }
        }
        left
    }

    /// Of each bank, those of `all` that stand there.
    fn stands(&self, all: &[u32]) -> Vec<Vec<u32>> {
        let mut stands: Vec<Vec<u32>> = vec![Vec::new(); self.used.len()];
        for item in all {
            let at = self.items[*item as usize].at;
            if at != FREE {
                stands[(at / RULE_SLOTS / self.banks.rows) as usize].push(*item);
            }
        }
        stands
    }

    /// Masks to give a bank: the one most rules of `left` find places under, and the one most of them and of those that
    /// stood there do.
    fn masks_for(&mut self, bank: u32, left: &[u32], stood: &[u32]) -> Vec<Mask> {
        let mut most = |mut pool: Vec<u32>| {
            pool.sort_by_key(|item| self.items[*item as usize].shape);
            let candidates = candidates(left.iter().map(|i| (*self.shape_of(i), 1)));
            let runs = self.runs(&pool);
            let best = candidates.iter().copied();
            let best = best.max_by_key(|mask| (self.worth(bank, mask, &pool, &runs, 0).0, *mask));
            best.unwrap_or_default()
        };
        let alone = most(left.to_vec());
        let both = most([left, stood].concat());
        match alone == both {
            true => vec![alone],
            false => vec![alone, both],
        }
    }

    /// Gives an emptied bank a mask and puts `left` there, those that stood there elsewhere or back; what has no place then. No more
    /// are tried if `most` have none.
    fn give(
        &mut self,
        bank: u32,
        mask: Mask,
        left: &[u32],
        stood: &[u32],
        most: usize,
    ) -> Vec<u32> {
        if let Some(masks) = self.masks.last_mut() {
            masks[bank as usize] = Some(mask);
        }
        let mut left = left.to_vec();
        left.sort_by_key(|item| self.items[*item as usize].shape);
        left.retain(|item| !self.put_into(bank, &mask, *item));
        // The others first: where they go they have more of a choice.
        let mut all = stood.to_vec();
        all.extend(left);
        self.move_for(&mut all, STEP_SEARCH, most);
        all
    }

    /// Where everything stands, to come back to.
    fn state(&self) -> State {
        State {
            at: self.items.iter().map(|item| item.at).collect(),
            masks: self.masks.last().cloned().unwrap_or_default(),
            slots: self.slots.clone(),
            full: self.full.clone(),
            used: self.used.clone(),
        }
    }

    fn back_to(&mut self, state: State) {
        for (item, at) in self.items.iter_mut().zip(state.at) {
            item.at = at;
        }
        if let Some(masks) = self.masks.last_mut() {
            *masks = state.masks;
        }
        (self.slots, self.full, self.used) = (state.slots, state.full, state.used);
    }
}
