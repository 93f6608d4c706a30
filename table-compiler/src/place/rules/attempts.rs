//! Choosing masks for a group again, in another way, when rules are left over.

use super::{FREE, NoPlace, Placer, SEARCH, SLOTS, covers, repair};
use seqnic_spec::rules::Mask;
use std::collections::{HashSet, VecDeque};
use std::ops::Range;

/// Steps that are tried behind that, at most.
const STEPS: usize = 100;
/// Times masks are chosen for a group: of how many rules at most one may be left for room to be sought while masks
/// are still chosen. The first time none: that is quick, and enough for most sets.
const ATTEMPTS: [usize; 6] = [usize::MAX, 8, 4, 3, 2, 1];
/// For each slot that is always compared, rules that are left over at most for such slots to be filled ahead.
const NEAR: usize = 4;

/// Bits that find a rule, about.
fn says(shape: &Mask) -> u32 {
    let nibbles = [shape.client, shape.server, shape.client_port, shape.port];
    let nibbles: u32 = nibbles.iter().map(|n| u32::from(*n)).sum();
    4 * nibbles + 8 * u32::from(shape.protocol) + 10 * u32::from(shape.arrival)
}

impl Placer {
    /// Places a group: as it comes, which is quick and enough for most sets; then with those that say least in rows that are
    /// always compared, so that no banks are theirs; then without that. Rules that are left over when others took what
    /// they could have had get the first choice of masks in another attempt.
    pub(super) fn place(&mut self, group: usize) -> Result<(), NoPlace> {
        let all: Vec<u32> = (self.first[group] as u32..self.first[group + 1] as u32).collect();
        let mut fewest: Option<Vec<u32>> = None;
        // Those that get the first choice, by whether some are put ahead.
        let mut first: [Vec<u32>; 2] = Default::default();
        let (once, again) = ATTEMPTS.split_at(1);
        for (attempts, ahead) in [(once, false), (&ATTEMPTS[..], true), (again, false)] {
            let over = fewest.as_ref().map_or(0, Vec::len);
            if ahead && over > NEAR * SLOTS * self.banks.always as usize {
                continue;
            }
            self.steps = STEPS;
            let first = &mut first[usize::from(ahead)];
            for few in attempts {
                match (ahead, first.is_empty()) {
                    (true, true) => self.put_ahead(&all),
                    (true, false) => self.put_ahead(first),
                    (false, _) => {}
                }
                let (without, crowd) = self.attempt(&all, first, *few);
                if without.is_empty() {
                    return Ok(());
                }
                if fewest.as_ref().is_none_or(|f| without.len() < f.len()) {
                    fewest = Some(without);
                }
                self.clear(&all);
                self.add_alike(&all, &crowd, first);
            }
        }
        let place = |item: &u32| self.items[*item as usize].rule as usize;
        let mut without: Vec<usize> = fewest.iter().flatten().map(place).collect();
        without.sort_unstable();
        Err(NoPlace {
            group,
            rules: all.len(),
            without,
        })
    }

    /// Takes back what an attempt did.
    fn clear(&mut self, all: &[u32]) {
        for item in all {
            if self.items[*item as usize].at != FREE {
                self.take(*item);
            }
        }
        self.masks.pop();
    }

    /// Adds those that were left over to `first`, with all that say as little: they would be left over next.
    fn add_alike(&self, all: &[u32], crowd: &[u32], first: &mut Vec<u32>) {
        let shapes: HashSet<Mask> = crowd.iter().map(|i| *self.shape_of(i)).collect();
        let alike = |i: &u32| {
            let shape = self.shape_of(i);
            shapes.contains(shape) || shapes.iter().any(|s| covers(s, shape))
        };
        let known: HashSet<u32> = first.iter().copied().collect();
        first.extend(all.iter().filter(|i| !known.contains(i) && alike(i)));
    }

    /// Puts those of `first` that say least into rows that are always compared, as long as there is room.
    fn put_ahead(&mut self, first: &[u32]) {
        let mut least = first.to_vec();
        least.sort_by_key(|item| says(self.shape_of(item)));
        let mut rows = self.always_rows();
        for item in least {
            let long = self.items[item as usize].long;
            while let Some(row) = rows.clone().next() {
                if let Some(slot) = self.free(row, long) {
                    self.set(row, slot, item);
                    break;
                }
                rows.next();
            }
        }
    }

    pub(super) fn always_rows(&self) -> Range<usize> {
        (self.banks.banks * self.banks.rows) as usize..self.banks.all_rows()
    }

    /// Chooses masks and places `all`, those of `first` before the others; which found no place, and which none in a bank.
    fn attempt(&mut self, all: &[u32], first: &[u32], few: usize) -> (Vec<u32>, Vec<u32>) {
        self.masks.push(vec![None; self.banks.banks as usize]);
        // The emptiest banks first, so that groups do not crowd in the same.
        let mut order: Vec<u32> = (0..self.banks.banks).collect();
        order.sort_by_key(|b| self.used[*b as usize]);
        let mut order = VecDeque::from(order);
        let first = self.waiting(first);
        self.choose(&mut order, first, few);
        let left = self.waiting(all);
        let mut left = self.choose(&mut order, left, few);
        self.move_for(&mut left, SEARCH, usize::MAX);
        if left.len() <= repair::FEW {
            left = self.repair(all, left);
        }
        let crowd = left.clone();
        if left.len() <= repair::FEW {
            self.always = true;
            self.move_for(&mut left, SEARCH, usize::MAX);
            self.always = false;
        }
        (left, crowd)
    }

    /// Those of `items` that have no place yet.
    fn waiting(&self, items: &[u32]) -> Vec<u32> {
        let items = items.iter().copied();
        items
            .filter(|i| self.items[*i as usize].at == FREE)
            .collect()
    }
}
