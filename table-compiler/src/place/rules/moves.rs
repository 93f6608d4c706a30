//! Room for a rule where others stand: they move on, as in cuckoo hashing.

use super::{FREE, Placer, SLOTS, covers};
use std::collections::VecDeque;

/// Rules in a row that find no room, after which no more are tried.
const GIVE_UP: usize = 16;

impl Placer {
    /// Moves others for rules of `left`; what finds no room stays there. If many of one shape find none, no more of it
    /// are tried, and nothing any more if as many as `most` of all shapes found none.
    pub(super) fn move_for(&mut self, left: &mut Vec<u32>, search: usize, most: usize) {
        let (mut failed, mut of, mut over) = (0, None, 0);
        left.retain(|item| {
            let shape = Some(self.items[*item as usize].shape);
            if shape != of {
                (failed, of) = (0, shape);
            }
            let found = failed < GIVE_UP && over < most && self.make_room(*item, search);
            failed = if found { 0 } else { failed + 1 };
            over += usize::from(!found);
            !found
        });
    }

    /// Rows an item may stand in.
    fn rows_of(&self, number: u32) -> impl Iterator<Item = usize> + '_ {
        let item = &self.items[number as usize];
        let masks = self.masks[item.group as usize].iter().enumerate();
        let masks = masks.filter_map(|(bank, mask)| Some((bank, mask.as_ref()?)));
        let masks = masks.filter(|(_, mask)| covers(&item.shape, mask));
        let always = match self.always {
            true => self.always_rows(),
            false => 0..0,
        };
        masks
            .map(move |(bank, mask)| self.row(bank as u32, mask, number as usize))
            .chain(always)
    }

    /// Notes that `item` would move to `row`; `false` if this search saw the row before.
    fn see(&mut self, row: usize, item: u32) -> bool {
        if self.seen[row] == self.search {
            return false;
        }
        self.seen[row] = self.search;
        self.via[row] = item;
        true
    }

    /// Moves items such that `number` has a place; `false` if no moves were found that give it one.
    /// Items move one by one to a row with room, the shortest chain of them; `search` rows are looked at.
    fn make_room(&mut self, number: u32, search: usize) -> bool {
        let long = self.items[number as usize].long;
        self.search += 1;
        let mut queue = VecDeque::new();
        let rows: Vec<usize> = self.rows_of(number).collect();
        for row in rows {
            if self.see(row, FREE) {
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
            if looked > search {
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
                    if !self.see(other, *occupant) {
                        continue;
                    }
                    if self.free(other, needs).is_some() && self.chain(other, number) {
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
    fn chain(&mut self, row: usize, number: u32) -> bool {
        let mut moves = Vec::new();
        let mut at = row;
        while self.via[at] != FREE {
            let item = self.via[at];
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
