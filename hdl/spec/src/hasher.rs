//! [`crate::hash`] as fast as the processor computes it.
//!
//! On x86-64 with SSE 4.2 and PCLMULQDQ digest and bucket are an instruction or two each. Elsewhere
//! the digest comes from the byte table of [`crate::hash`], and the buckets from four tables a way:
//! the carry-less product is linear, so the product of a digest is the XOR of those of its bytes.

use crate::hash;

/// Most ways a hash table has.
pub const MAX_WAYS: usize = 4;

/// A key as words, lowest first; bits above it are zero.
pub type KeyWords = [u64; 3];

/// Products of every byte, at each of its four places, with one seed.
type ByteProducts = [[u32; 256]; 4];

/// What the buckets of one hash table are computed with.
#[derive(Debug, Clone)]
pub struct Hasher {
    /// One for each way, at most [`MAX_WAYS`].
    seeds: Vec<u32>,
    /// Rows of a way.
    rows: u32,
    /// The processor has the instructions.
    instructions: bool,
    /// One for each way; empty with `instructions`.
    products: Vec<ByteProducts>,
}

/// Digests of keys of `bytes` bytes, at most 24.
pub fn digests(keys: &[KeyWords], bytes: usize) -> Vec<u32> {
    let mut digests = vec![0; keys.len()];
    #[cfg(target_arch = "x86_64")]
    if instructions_present() {
        // SAFETY: the processor has what the function is compiled for.
        unsafe { x86::digests(keys, bytes, &mut digests) };
        return digests;
    }
    for (digest, key) in digests.iter_mut().zip(keys) {
        *digest = portable_digest(*key, bytes);
    }
    digests
}

fn portable_digest(words: KeyWords, bytes: usize) -> u32 {
    hash::digest(words.into_iter().flat_map(u64::to_le_bytes).take(bytes))
}

impl Hasher {
    /// For ways of `rows` rows, a power of two, at least 2; one seed a way, at most 4.
    pub fn new(seeds: &[u32], rows: u32) -> Hasher {
        Hasher::with(seeds, rows, instructions_present())
    }

    fn with(seeds: &[u32], rows: u32, instructions: bool) -> Hasher {
        let seeds = seeds[..seeds.len().min(MAX_WAYS)].to_vec();
        let products = if instructions {
            Vec::new()
        } else {
            seeds.iter().map(|seed| products(*seed)).collect()
        };
        Hasher {
            seeds,
            rows: rows.max(2),
            instructions,
            products,
        }
    }

    pub fn seeds(&self) -> &[u32] {
        &self.seeds
    }

    fn shift(&self) -> u32 {
        32 - self.rows.trailing_zeros()
    }

    /// Digest of the first `bytes` bytes of `words` (at most 24), and the bucket in each way.
    #[inline]
    pub fn probe(&self, words: KeyWords, bytes: usize) -> (u32, [u32; MAX_WAYS]) {
        #[cfg(target_arch = "x86_64")]
        if self.instructions {
            // SAFETY: set only if `instructions_present` found what the function is compiled for.
            return unsafe { x86::probe(&self.seeds, self.shift(), words, bytes) };
        }
        let digest = portable_digest(words, bytes);
        (digest, self.portable_buckets(digest))
    }

    fn portable_buckets(&self, digest: u32) -> [u32; MAX_WAYS] {
        let mut buckets = [0; MAX_WAYS];
        for (bucket, products) in buckets.iter_mut().zip(&self.products) {
            let product = products
                .iter()
                .zip(digest.to_le_bytes())
                .fold(0, |sum, (of, byte)| sum ^ of[usize::from(byte)]);
            *bucket = product >> self.shift();
        }
        buckets
    }

    /// Row of each way's bucket for many digests, rows counted over all ways: way * rows + bucket.
    pub fn homes<const WAYS: usize>(&self, digests: &[u32], homes: &mut [[u32; WAYS]]) {
        #[cfg(target_arch = "x86_64")]
        if self.instructions {
            // SAFETY: as above.
            unsafe { x86::homes(&self.seeds, self.rows, digests, homes) };
            return;
        }
        for (home, digest) in homes.iter_mut().zip(digests) {
            let buckets = self.portable_buckets(*digest);
            *home = std::array::from_fn(|way| way as u32 * self.rows + buckets[way]);
        }
    }
}

fn products(seed: u32) -> ByteProducts {
    std::array::from_fn(|place| {
        std::array::from_fn(|byte| hash::clmul_low((byte as u32) << (8 * place), seed))
    })
}

#[cfg(target_arch = "x86_64")]
fn instructions_present() -> bool {
    is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("pclmulqdq")
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions_present() -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{KeyWords, MAX_WAYS};
    use std::arch::x86_64::{
        _mm_clmulepi64_si128, _mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64,
        _mm_cvtsi32_si128, _mm_cvtsi128_si32,
    };

    #[target_feature(enable = "sse4.2,pclmulqdq")]
    pub fn probe(
        seeds: &[u32],
        shift: u32,
        words: KeyWords,
        bytes: usize,
    ) -> (u32, [u32; MAX_WAYS]) {
        let digest = digest(words, bytes);
        let mut buckets = [0; MAX_WAYS];
        for (bucket, seed) in buckets.iter_mut().zip(seeds) {
            *bucket = product(digest, *seed) >> shift;
        }
        (digest, buckets)
    }

    #[target_feature(enable = "sse4.2,pclmulqdq")]
    pub fn digests(keys: &[KeyWords], bytes: usize, digests: &mut [u32]) {
        for (of, key) in digests.iter_mut().zip(keys) {
            *of = digest(*key, bytes);
        }
    }

    #[target_feature(enable = "sse4.2,pclmulqdq")]
    pub fn homes<const WAYS: usize>(
        seeds: &[u32],
        rows: u32,
        digests: &[u32],
        homes: &mut [[u32; WAYS]],
    ) {
        let shift = 32 - rows.trailing_zeros();
        let mut all = [0; WAYS];
        for (of, seed) in all.iter_mut().zip(seeds) {
            *of = *seed;
        }
        for (home, digest) in homes.iter_mut().zip(digests) {
            for (way, (home, seed)) in home.iter_mut().zip(all).enumerate() {
                *home = way as u32 * rows + (product(*digest, seed) >> shift);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    fn product(digest: u32, seed: u32) -> u32 {
        let product = _mm_clmulepi64_si128::<0>(
            _mm_cvtsi32_si128(digest as i32),
            _mm_cvtsi32_si128(seed as i32),
        );
        _mm_cvtsi128_si32(product) as u32
    }

    #[inline]
    #[target_feature(enable = "sse4.2")]
    fn digest(words: KeyWords, bytes: usize) -> u32 {
        let mut crc = u32::MAX;
        let mut left = bytes;
        for mut word in words {
            if left >= 8 {
                crc = _mm_crc32_u64(u64::from(crc), word) as u32;
                left -= 8;
                continue;
            }
            if left & 4 != 0 {
                crc = _mm_crc32_u32(crc, word as u32);
                word >>= 32;
            }
            if left & 2 != 0 {
                crc = _mm_crc32_u16(crc, word as u16);
                word >>= 16;
            }
            if left & 1 != 0 {
                crc = _mm_crc32_u8(crc, word as u8);
            }
            break;
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every way to compute agrees with the definition, for every key length there is.
        #[test]
        fn agrees_with_the_definition(
            words in any::<[u64; 3]>(),
            bytes in 1usize..=24,
            seeds in prop::collection::vec(any::<u32>(), 3),
            bits in 1u32..=20,
        ) {
            let rows = 1 << bits;
            let digest = portable_digest(words, bytes);
            prop_assert_eq!(digests(&[words], bytes), [digest]);
            for instructions in [false, instructions_present()] {
                let hasher = Hasher::with(&seeds, rows, instructions);
                let (found, buckets) = hasher.probe(words, bytes);
                prop_assert_eq!(found, digest);
                let mut homes = [[0; 3]];
                hasher.homes(&[digest], &mut homes);
                for (way, seed) in seeds.iter().enumerate() {
                    let bucket = hash::bucket(digest, *seed, rows);
                    prop_assert_eq!(buckets[way], bucket);
                    prop_assert_eq!(homes[0][way], way as u32 * rows + bucket);
                }
            }
        }
    }
}
