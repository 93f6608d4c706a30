//! Random choices, the same for the same seed on every machine.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::RangeInclusive;

/// A seeded source of choices.
#[derive(Debug, Clone)]
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// A number of the range, each as likely.
    pub fn number(&mut self, range: RangeInclusive<usize>) -> usize {
        self.0.random_range(range)
    }

    pub fn u8(&mut self) -> u8 {
        self.0.random()
    }

    pub fn u16(&mut self) -> u16 {
        self.0.random()
    }

    pub fn port(&mut self, range: RangeInclusive<u16>) -> u16 {
        self.0.random_range(range)
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.random()).collect()
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.choose(&mut self.0)
    }

    /// The value of one line, each as likely as its weight.
    pub fn weighted<T: Copy>(&mut self, lines: &[(u32, T)]) -> T {
        let total: u32 = lines.iter().map(|(weight, _)| weight).sum();
        let mut at = self.0.random_range(0..total);
        for (weight, value) in lines {
            if at < *weight {
                return *value;
            }
            at -= weight;
        }
        // `at` is below the sum of the weights, so a line was found.
        lines[lines.len() - 1].1
    }

    /// The items in random order.
    pub fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        use rand::seq::SliceRandom;
        items.shuffle(&mut self.0);
        items
    }
}
