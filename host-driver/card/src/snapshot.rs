//! All counters at one moment.

use seqnic_engine::{Count, Counters};
use seqnic_image::names::Names;
use seqnic_spec::counters::CounterSet;
use std::collections::BTreeMap;

/// Counters that are not zero, by set and row, since the card was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The card's time of the cut, ns.
    pub time: u64,
    pub rows: BTreeMap<(u8, u32), Count>,
}

impl Snapshot {
    pub fn get(&self, set: CounterSet, row: u32) -> Count {
        self.rows
            .get(&(set as u8, row))
            .copied()
            .unwrap_or_default()
    }

    /// Rows of one set, in order.
    pub fn set(&self, set: CounterSet) -> impl Iterator<Item = (u32, Count)> + '_ {
        let number = set as u8;
        (self.rows.range((number, 0)..=(number, u32::MAX))).map(|((_, row), count)| (*row, *count))
    }

    /// By name. Rows no name stands for (numbers that were retired and never named again) are left out.
    pub fn named(&self, names: &Names) -> Counters {
        let mut counters = Counters::default();
        for set in CounterSet::ALL {
            for (row, count) in self.set(set) {
                let _known = counters.add_row(names, set, row, count);
            }
        }
        counters
    }
}
