//! Where the software looks keys up: buckets of a cache line or a few, mostly half empty, so nearly
//! every answer lies in the first.
//!
//! Keys of an image stand in one of several buckets because hardware reads them all at once.
//! Software pays for every line it reads. When an image is loaded every key is checked to stand in
//! a bucket the hash says, so the rows of a hash table mean a map from keys to values and nothing
//! more: this is that map. [`crate::lookup::HashTable::probe`] looks as hardware does; tests
//! compare the two.
//!
//! All keys of a bucket are compared, whichever is the one: where a packet's key stands is chance,
//! and a wrongly predicted branch costs more than four comparisons.

use crate::keys::Packed;
use crate::memory::prefetch;

/// Odd multipliers without a pattern (those of SplitMix64 and its mixers).
const MIX: [u64; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0xff51_afd7_ed55_8ccd,
];

/// Spreads keys over the buckets; the upper bits are the good ones. Who sends packets cannot add
/// keys, so this need not withstand chosen ones.
#[inline(always)]
fn spread(words: [u64; 3]) -> u64 {
    let sum = (words.iter().zip(MIX)).fold(0, |sum: u64, (word, by)| {
        sum.rotate_left(29) ^ word.wrapping_mul(by)
    });
    (sum ^ sum >> 32).wrapping_mul(MIX[3])
}

/// Keys in a bucket. There are as many buckets as keys or more, so of random keys one in 270 meets
/// a full one.
const SLOTS: usize = 4;

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Bucket<P, B> {
    /// Marked used, the first ones; then [`Packed::EMPTY`].
    keys: [P; SLOTS],
    values: [B; SLOTS],
}

/// A value as it stands in an index: small, so that a bucket is a line.
pub trait Stored: Copy + Default {
    type Bits: Copy + Default + std::fmt::Debug;
    fn store(self) -> Self::Bits;
    fn load(bits: Self::Bits) -> Self;
}

/// Values that stand there as they are.
macro_rules! as_it_is {
    ($($value:ty)+) => {
        $(impl $crate::index::Stored for $value {
            type Bits = $value;
            #[inline(always)]
            fn store(self) -> $value {
                self
            }
            #[inline(always)]
            fn load(bits: $value) -> $value {
                bits
            }
        })+
    };
}
pub(crate) use as_it_is;

as_it_is! { u8 u16 u32 u64 }

/// A map from packed keys to values. Keys can be added, not removed.
#[derive(Debug, Clone)]
pub struct Index<P, V: Stored> {
    /// A power of two of them, or none.
    buckets: Vec<Bucket<P, V::Bits>>,
    /// 64 less the bits of a bucket's number.
    shift: u32,
}

/// A key on its way to its answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<P> {
    /// Marked used.
    key: P,
    /// Bucket where the search starts.
    at: usize,
}

impl<P: Packed, V: Stored> Index<P, V> {
    /// Empty, with room for `keys` keys.
    pub fn new(keys: usize) -> Index<P, V> {
        let buckets = match keys {
            0 => 0,
            _ => keys.next_power_of_two().max(2),
        };
        let bucket = Bucket {
            keys: [P::EMPTY; SLOTS],
            values: [V::Bits::default(); SLOTS],
        };
        Index {
            buckets: crate::memory::table(bucket, buckets),
            shift: 64 - buckets.max(2).trailing_zeros(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Adds a key, or gives it another value. Room for every key was asked for in [`Index::new`].
    pub fn insert(&mut self, key: P, value: V) {
        let Query { key, at } = self.query(key);
        let mask = self.buckets.len().wrapping_sub(1);
        for step in 0..self.buckets.len() {
            let bucket = &mut self.buckets[(at + step) & mask];
            for (k, v) in bucket.keys.iter_mut().zip(&mut bucket.values) {
                if *k == P::EMPTY || *k == key {
                    (*k, *v) = (key, value.store());
                    return;
                }
            }
        }
    }

    #[inline(always)]
    fn query(&self, key: P) -> Query<P> {
        Query {
            key: key.used(),
            at: (spread(key.words()) >> self.shift) as usize,
        }
    }

    /// Asks for the memory that holds the answer.
    #[inline(always)]
    pub fn ask(&self, key: P) -> Query<P> {
        let query = self.query(key);
        prefetch(&self.buckets, query.at);
        query
    }

    /// The value of the key asked for, as it is stored.
    #[inline(always)]
    pub fn answer(&self, query: &Query<P>) -> Option<V::Bits> {
        let mut at = query.at;
        for _ in 0..self.buckets.len() {
            let bucket = self.buckets.get(at)?;
            let mut found = 0u32;
            for (slot, key) in bucket.keys.iter().enumerate() {
                found |= u32::from(*key == query.key) << slot;
            }
            if found != 0 {
                return bucket.values.get(found.trailing_zeros() as usize).copied();
            }
            if bucket.keys[SLOTS - 1] == P::EMPTY {
                return None;
            }
            at = (at + 1) & (self.buckets.len() - 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// A map, also when many keys share few buckets.
        #[test]
        fn is_a_map(
            pairs in prop::collection::vec((0u64..400, any::<u8>()), 0..300),
            room in 0usize..300,
        ) {
            let mut map = HashMap::new();
            let mut index = Index::new(pairs.len().max(room) / 4);
            for (key, value) in pairs {
                if map.len() < index.buckets.len() * SLOTS || map.contains_key(&key) {
                    map.insert(key, value);
                    index.insert(key, value);
                }
            }
            for key in 0..400 {
                prop_assert_eq!(index.answer(&index.ask(key)), map.get(&key).copied(), "key {}", key);
            }
        }
    }

    #[test]
    fn a_full_index_answers_and_ends() {
        let mut index = Index::new(8);
        for key in 0..32u64 {
            index.insert(key, key);
        }
        for key in 0..32 {
            assert_eq!(index.answer(&index.ask(key)), Some(key));
        }
        assert_eq!(index.answer(&index.ask(32)), None);
        assert_eq!(Index::<u64, u64>::new(0).answer(&Query::default()), None);
    }
}
