//! Placement: which slot of which bucket every key of a hash table stands in.
//!
//! Bucketised cuckoo hashing (Pagh and Rodler 2004; buckets: Dietzfelbinger and Weidling 2007). A key
//! may stand in one bucket of each way; when all of them are full, a breadth-first search over
//! buckets finds the shortest chain of moves to a free slot. The search visits every bucket that
//! can be reached, so if it finds nothing there is no placement of these keys under these seeds,
//! and the next seeds are tried.

pub(crate) mod pack;

use seqnic_spec::geometry::HashSize;
use seqnic_spec::hash::clmul_low;

/// Choices of seeds before a set of keys is given up.
pub const ATTEMPTS: u32 = 64;

/// Most ways of any geometry (`Geometry::check`).
const MAX_WAYS: usize = 4;
const FREE: u32 = u32::MAX;

/// Where every key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Seed of each way, odd.
    pub seeds: Vec<u32>,
    /// Place of each key: `(way * rows + bucket) * slots + slot`.
    pub cells: Vec<u32>,
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
    let mut random = SplitMix(seed);
    let mut best = 0;
    if digests.len() > size.capacity() as usize {
        return Err(Unplaced {
            keys: digests.len(),
            placed: size.capacity() as usize,
            attempts: 0,
        });
    }
    let mut table = Cuckoo::new(digests.len(), size);
    for attempt in 1..=ATTEMPTS {
        let seeds: Vec<u32> = (0..size.ways).map(|_| random.odd()).collect();
        table.choose(digests, &seeds);
        let placed = table.insert_all();
        if placed == digests.len() {
            return Ok(Placement {
                seeds,
                cells: table.cells(),
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

/// The bucket function of one way as four tables of a byte each: the product is linear.
struct Buckets {
    tables: [[u32; 256]; 4],
}

impl Buckets {
    fn new(seed: u32, rows: u32) -> Buckets {
        let shift = 32 - rows.trailing_zeros();
        let mut tables = [[0; 256]; 4];
        for (byte, table) in tables.iter_mut().enumerate() {
            for bit in 0..8 {
                let one = clmul_low(1 << (byte * 8 + bit), seed) >> shift;
                for low in 0..1 << bit {
                    table[1 << bit | low] = one ^ table[low];
                }
            }
        }
        Buckets { tables }
    }

    fn of(&self, digest: u32) -> u32 {
        let [a, b, c, d] = digest.to_le_bytes();
        let t = &self.tables;
        t[0][a as usize] ^ t[1][b as usize] ^ t[2][c as usize] ^ t[3][d as usize]
    }
}

struct Cuckoo {
    size: HashSize,
    /// Bucket of each key in each way, counted over all ways.
    homes: Vec<[u32; MAX_WAYS]>,
    /// Key in each slot, or [`FREE`]; the used slots of a bucket come first.
    slots: Vec<u32>,
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

impl Cuckoo {
    fn new(keys: usize, size: HashSize) -> Cuckoo {
        let buckets = (size.ways * size.rows) as usize;
        Cuckoo {
            size,
            homes: vec![[0; MAX_WAYS]; keys],
            slots: vec![FREE; size.capacity() as usize],
            seen: vec![0; buckets],
            search: 0,
            queue: Vec::new(),
        }
    }

    /// Empties the table and takes other seeds.
    fn choose(&mut self, digests: &[u32], seeds: &[u32]) {
        self.slots.fill(FREE);
        for (way, seed) in seeds.iter().enumerate() {
            let buckets = Buckets::new(*seed, self.size.rows);
            let base = way as u32 * self.size.rows;
            for (home, digest) in self.homes.iter_mut().zip(digests) {
                home[way] = base + buckets.of(*digest);
            }
        }
    }

    /// Inserts keys until one has no place; how many have one.
    fn insert_all(&mut self) -> usize {
        let keys = self.homes.len();
        (0..keys)
            .find(|key| !self.insert(*key as u32))
            .unwrap_or(keys)
    }

    fn bucket(&self, bucket: u32) -> &[u32] {
        let slots = self.size.slots as usize;
        &self.slots[bucket as usize * slots..][..slots]
    }

    fn used(&self, bucket: u32) -> usize {
        self.bucket(bucket).iter().filter(|k| **k != FREE).count()
    }

    fn set(&mut self, bucket: u32, slot: u32, key: u32) {
        self.slots[(bucket * self.size.slots + slot) as usize] = key;
    }

    fn insert(&mut self, key: u32) -> bool {
        let ways = self.size.ways as usize;
        let homes = self.homes[key as usize];
        // The emptiest of its buckets keeps searches short until the table is nearly full.
        let emptiest = homes[..ways].iter().copied().min_by_key(|b| self.used(*b));
        let Some(emptiest) = emptiest else {
            return false;
        };
        let used = self.used(emptiest);
        if used < self.size.slots as usize {
            self.set(emptiest, used as u32, key);
            return true;
        }
        self.search += 1;
        self.queue.clear();
        for bucket in &homes[..ways] {
            self.visit(*bucket, FREE, 0);
        }
        let mut at = 0;
        while at < self.queue.len() {
            let bucket = self.queue[at].bucket;
            for slot in 0..self.size.slots {
                let moved = self.bucket(bucket)[slot as usize];
                let others = self.homes[moved as usize];
                for other in &others[..ways] {
                    if self.seen[*other as usize] == self.search {
                        continue;
                    }
                    let used = self.used(*other);
                    if used < self.size.slots as usize {
                        self.move_chain(*other, used as u32, at as u32, slot, key);
                        return true;
                    }
                    self.visit(*other, at as u32, slot);
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
            let moved = self.bucket(visit.bucket)[from_slot as usize];
            self.set(to, to_slot, moved);
            (to, to_slot) = (visit.bucket, from_slot);
            if visit.parent == FREE {
                self.set(to, to_slot, key);
                return;
            }
            (from, from_slot) = (visit.parent, visit.slot);
        }
    }

    fn cells(&self) -> Vec<u32> {
        let mut cells = vec![0; self.homes.len()];
        for (cell, key) in self.slots.iter().enumerate() {
            if *key != FREE {
                cells[*key as usize] = cell as u32;
            }
        }
        cells
    }
}
