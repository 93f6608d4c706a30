//! How a key finds its bucket.
//!
//! `digest = CRC-32C(key)`, `bucket of way w = top bits of (digest * seed_w)` where `*` is the
//! carry-less product modulo x^32. The digest is a fixed XOR network; the seeds are registers
//! chosen by the compiler, so a set of keys that will not place under one choice is placed under
//! another. Both steps are linear over GF(2): two levels of XOR in hardware and no multiplier,
//! one instruction each in software.

/// CRC-32C (Castagnoli) polynomial, reflected.
const POLY: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLY
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// CRC-32C of key bytes (RFC 3720 appendix B.4): the key packed LSB first, zero-padded to whole bytes.
pub fn digest(bytes: impl IntoIterator<Item = u8>) -> u32 {
    !bytes.into_iter().fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ TABLE[((crc ^ byte as u32) & 0xff) as usize]
    })
}

/// Digest of a client's address, whose low bits are its bucket in a pool; IPv4 in the low 32 bits. Of the bytes
/// of [`crate::tables::ADDRESS_KEY`].
pub fn client_digest(v6: bool, address: u128) -> u32 {
    let low = (address << 1 | u128::from(v6)).to_le_bytes();
    digest(low.into_iter().chain([(address >> 127) as u8]))
}

/// Carry-less product of `a` and `b` modulo x^32.
pub fn clmul_low(a: u32, b: u32) -> u32 {
    let mut product = 0;
    for i in 0..32 {
        // All ones where bit i of b is set: no branch on data.
        product ^= (a << i) & ((b >> i) & 1).wrapping_neg();
    }
    product
}

/// Bucket of a digest under `seed` in a way of `rows` rows (a power of two, at least 2).
pub fn bucket(digest: u32, seed: u32, rows: u32) -> u32 {
    debug_assert!(rows.is_power_of_two() && rows >= 2);
    clmul_low(digest, seed) >> (32 - rows.trailing_zeros())
}

/// Row of a rule key's digest in bank `bank` of `rule`, of `rows` rows (a power of two, at least 2):
/// the digest's bits from a place that is another in each bank, which costs no logic.
pub fn rule_row(digest: u32, bank: u32, rows: u32) -> u32 {
    debug_assert!(rows.is_power_of_two() && rows >= 2);
    digest.rotate_left(7 * bank % 32) >> (32 - rows.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_check_value() {
        assert_eq!(digest(*b"123456789"), 0xe306_9283);
    }

    #[test]
    fn clmul_is_linear_and_odd_seeds_are_invertible() {
        assert_eq!(clmul_low(3, 3), 5);
        assert_eq!(clmul_low(0x8000_0001, 2), 2);
        let seed = 0x9e37_79b9;
        let mut seen = std::collections::HashSet::new();
        for x in 0..4096u32 {
            assert_eq!(
                clmul_low(x ^ 77, seed),
                clmul_low(x, seed) ^ clmul_low(77, seed)
            );
            assert!(seen.insert(clmul_low(x, seed)));
        }
    }
}
