//! Placement: which slot of which bucket every key of a hash table stands in.
//!
//! Bucketised cuckoo hashing (Pagh and Rodler 2004; buckets: Dietzfelbinger and Weidling 2007). A key
//! may stand in one bucket of each way; when all of them are full, a breadth-first search over
//! buckets finds the shortest chain of moves to a free slot. The search visits every bucket that
//! can be reached, so if it finds nothing there is no placement of these keys under these seeds,
//! and the next seeds are tried.

pub(crate) mod acl;
mod masks;
pub(crate) mod pack;
pub mod rows;
pub mod rules;

use seqnic_spec::geometry::HashSize;
use seqnic_spec::hasher::Hasher;

/// Choices of seeds before a set of keys is given up.
pub const ATTEMPTS: u32 = 64;

/// In [`Placement::slots`]: no key.
pub const FREE: u32 = u32::MAX;

/// Where every key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Seed of each way, odd.
    pub seeds: Vec<u32>,
    /// Place of each key: `(way * rows + bucket) * slots + slot`.
    pub cells: Vec<u32>,
    /// The other way round: key in each place, or [`FREE`].
    pub slots: Vec<u32>,
    /// Choices of seeds it took.
    pub attempts: u32,
}

/// Keys that found no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("of {keys} keys at most {placed} could be placed with {attempts} choices of hash seeds")]
pub struct Unplaced {
    pub keys: usize,
    /// Keys placed by the best choice of seeds.
    pub placed: usize,
    pub attempts: u32,
}

/// Places keys with these digests (`seqnic_spec::hash::digest` of distinct keys) in a table of
/// `size`. The same digests, size and `seed` give the same placement.
///
/// # Errors
/// [`Unplaced`] if no choice of seeds places all keys: more keys than the table has slots, a load
/// above what cuckoo hashing reaches (97 % is sure with three ways of two slots), or more keys
/// of one digest than a bucket of each way holds.
pub fn place(digests: &[u32], size: HashSize, seed: u64) -> Result<Placement, Unplaced> {
    match size.ways {
        2 => place_in::<2>(digests, size, seed),
        3 => place_in::<3>(digests, size, seed),
        // `Geometry::check`: 2 to 4 ways.
        _ => place_in::<4>(digests, size, seed),
    }
}

fn place_in<const WAYS: usize>(
    digests: &[u32],
    size: HashSize,
    seed: u64,
) -> Result<Placement, Unplaced> {
    let mut random = SplitMix(seed);
    let mut best = 0;
    if digests.len() > size.capacity() as usize {
        return Err(Unplaced {
            keys: digests.len(),
            placed: size.capacity() as usize,
            attempts: 0,
        });
    }
    let mut table = Cuckoo::<WAYS>::new(digests, size);
    for attempt in 1..=ATTEMPTS {
        let seeds = std::array::from_fn(|_| random.odd());
        table.choose(&seeds);
        let placed = table.insert_all();
        if placed == digests.len() {
            return Ok(Placement {
                seeds: seeds.to_vec(),
                cells: table.cells,
                slots: table.slots,
                attempts: attempt,
            });
        }
        best = best.max(placed);
    }
    Err(Unplaced {
        keys: digests.len(),
        placed: best,
        attempts: ATTEMPTS,
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014): a fixed sequence for a seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn odd(&mut self) -> u32 {
        (self.next() >> 32) as u32 | 1
    }
}

/// Keys whose buckets are computed together.
const TOGETHER: usize = 64;

struct Cuckoo<'a, const WAYS: usize> {
    size: HashSize,
    /// Of each key. Its buckets are computed when they are needed: that takes less than to read them.
    digests: &'a [u32],
    hasher: Hasher,
    /// Slots in use of each bucket: small enough to stay near the processor, and all an insertion
    /// looks at until buckets are full.
    used: Vec<u8>,
    /// Key in each slot, or [`FREE`]; the used slots of a bucket come first.
    slots: Vec<u32>,
    /// Slot of each key that was inserted.
    cells: Vec<u32>,
    /// Search that saw a bucket last.
    seen: Vec<u32>,
    search: u32,
    /// Buckets in the order they are searched.
    queue: Vec<Visit>,
}

#[derive(Clone, Copy)]
struct Visit {
    bucket: u32,
    /// Place in the queue of the bucket whose key would move here.
    parent: u32,
    /// Slot there.
    slot: u32,
}

impl<const WAYS: usize> Cuckoo<'_, WAYS> {
    fn new(digests: &[u32], size: HashSize) -> Cuckoo<'_, WAYS> {
        let buckets = (size.ways * size.rows) as usize;
        Cuckoo {
            size,
            digests,
            hasher: Hasher::new(&[], size.rows),
            used: vec![0; buckets],
            slots: vec![FREE; size.capacity() as usize],
            cells: vec![FREE; digests.len()],
            seen: Vec::new(),
            search: 0,
            queue: Vec::new(),
        }
    }

    /// Empties the table and takes other seeds.
    fn choose(&mut self, seeds: &[u32; WAYS]) {
        if self.used.iter().any(|used| *used > 0) {
            self.slots.fill(FREE);
            self.used.fill(0);
        }
        self.hasher = Hasher::new(seeds, self.size.rows);
    }

    /// Inserts keys until one has no place; how many have one.
    fn insert_all(&mut self) -> usize {
        let mut homes = [[0; WAYS]; TOGETHER];
        for (number, digests) in self.digests.chunks(TOGETHER).enumerate() {
            self.hasher.homes(digests, &mut homes);
            for (at, homes) in homes.iter().enumerate().take(digests.len()) {
                let key = number * TOGETHER + at;
                if !self.insert(key, *homes) {
                    return key;
                }
            }
        }
        self.digests.len()
    }

    /// Bucket of a key in each way, counted over all ways.
    fn homes(&self, key: u32) -> [u32; WAYS] {
        let mut homes = [[0; WAYS]];
        self.hasher
            .homes(&self.digests[key as usize..][..1], &mut homes);
        homes[0]
    }

    #[inline(always)]
    fn set(&mut self, bucket: u32, slot: u32, key: u32) {
        let cell = bucket * self.size.slots + slot;
        self.slots[cell as usize] = key;
        self.cells[key as usize] = cell;
    }

    #[inline(always)]
    fn insert(&mut self, key: usize, homes: [u32; WAYS]) -> bool {
        // The emptiest of its buckets keeps searches short until the table is nearly full. The number
        // of the bucket is below 2^31, so one comparison of both finds it.
        let emptiest = homes
            .map(|bucket| u64::from(self.used[bucket as usize]) << 32 | u64::from(bucket))
            .into_iter()
            .fold(u64::MAX, u64::min);
        let (used, bucket) = ((emptiest >> 32) as u32, emptiest as u32);
        if used < self.size.slots {
            self.used[bucket as usize] += 1;
            self.set(bucket, used, key as u32);
            return true;
        }
        self.make_room(key as u32, homes)
    }

    /// Moves keys so that `key` has a place; `false` if no moves give it one.
    fn make_room(&mut self, key: u32, homes: [u32; WAYS]) -> bool {
        self.seen.resize(self.used.len(), 0);
        self.search += 1;
        self.queue.clear();
        for bucket in homes {
            self.visit(bucket, FREE, 0);
        }
        let mut at = 0;
        while at < self.queue.len() {
            let bucket = self.queue[at].bucket;
            for slot in 0..self.size.slots {
                let moved = self.slots[(bucket * self.size.slots + slot) as usize];
                for other in self.homes(moved) {
                    if self.seen[other as usize] == self.search {
                        continue;
                    }
                    let used = u32::from(self.used[other as usize]);
                    if used < self.size.slots {
                        self.used[other as usize] += 1;
                        self.move_chain(other, used, at as u32, slot, key);
                        return true;
                    }
                    self.visit(other, at as u32, slot);
                }
            }
            at += 1;
        }
        false
    }

    fn visit(&mut self, bucket: u32, parent: u32, slot: u32) {
        self.seen[bucket as usize] = self.search;
        self.queue.push(Visit {
            bucket,
            parent,
            slot,
        });
    }

    /// Moves every key on the way one bucket on, from the free slot backwards, then puts `key`.
    fn move_chain(&mut self, bucket: u32, slot: u32, from: u32, from_slot: u32, key: u32) {
        let (mut to, mut to_slot) = (bucket, slot);
        let (mut from, mut from_slot) = (from, from_slot);
        loop {
            let visit = self.queue[from as usize];
            let moved = self.slots[(visit.bucket * self.size.slots + from_slot) as usize];
            self.set(to, to_slot, moved);
            (to, to_slot) = (visit.bucket, from_slot);
            if visit.parent == FREE {
                self.set(to, to_slot, key);
                return;
            }
            (from, from_slot) = (visit.parent, visit.slot);
        }
    }
}
