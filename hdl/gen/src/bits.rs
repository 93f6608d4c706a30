//! Bit vectors of any width: the values of constants, of reset states and of the evaluator.

use std::fmt;

/// A value of exactly `width` bits, kept in little-endian 64-bit limbs with the unused top bits zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bits {
    width: u32,
    limbs: Vec<u64>,
}

/// Number of 64-bit limbs which `width` bits take (at least one).
pub(crate) fn limbs_for(width: u32) -> usize {
    (width as usize).div_ceil(64).max(1)
}

/// Mask of the valid bits in the top limb of a value of `width` bits.
pub(crate) fn top_mask(width: u32) -> u64 {
    match width % 64 {
        0 if width > 0 => u64::MAX,
        r => (1u64 << r) - 1,
    }
}

impl Bits {
    /// All zeros.
    pub fn zero(width: u32) -> Self {
        Bits {
            width,
            limbs: vec![0; limbs_for(width)],
        }
    }

    /// All ones.
    pub fn ones(width: u32) -> Self {
        Self::from_limbs(width, &vec![u64::MAX; limbs_for(width)])
    }

    /// The low `width` bits of `value`; higher bits are cut. [`Bits::fits`] asks first.
    pub fn new(width: u32, value: u128) -> Self {
        Self::from_limbs(width, &[value as u64, (value >> 64) as u64])
    }

    /// Whether `value` can be written in `width` bits.
    pub fn fits(width: u32, value: u128) -> bool {
        width >= 128 || value >> width == 0
    }

    /// From 64-bit words, least significant first; missing words are zero, surplus bits are cut.
    pub fn from_limbs(width: u32, words: &[u64]) -> Self {
        let mut bits = Self::zero(width);
        for (to, from) in bits.limbs.iter_mut().zip(words) {
            *to = *from;
        }
        if let Some(top) = bits.limbs.last_mut() {
            *top &= top_mask(width);
        }
        bits
    }

    /// From bytes, least significant first: byte 0 becomes bits 7..0. Width is 8 bits a byte.
    pub fn from_bytes_le(bytes: &[u8]) -> Self {
        let mut bits = Self::zero(bytes.len() as u32 * 8);
        for (i, byte) in bytes.iter().enumerate() {
            bits.limbs[i / 8] |= u64::from(*byte) << (8 * (i % 8));
        }
        bits
    }

    /// The bytes, least significant first; the last one is zero-padded at its top.
    pub fn to_bytes_le(&self) -> Vec<u8> {
        let n = (self.width as usize).div_ceil(8);
        (0..n)
            .map(|i| (self.limbs[i / 8] >> (8 * (i % 8))) as u8)
            .collect()
    }

    /// Width in bits.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The 64-bit limbs, least significant first.
    pub fn limbs(&self) -> &[u64] {
        &self.limbs
    }

    /// The low 64 bits.
    pub fn low_u64(&self) -> u64 {
        self.limbs[0]
    }

    /// The low 128 bits.
    pub fn low_u128(&self) -> u128 {
        u128::from(self.limbs[0]) | u128::from(self.limbs.get(1).copied().unwrap_or(0)) << 64
    }

    /// The value, if it is below 2^64.
    pub fn to_u64(&self) -> Option<u64> {
        self.limbs[1..]
            .iter()
            .all(|l| *l == 0)
            .then_some(self.limbs[0])
    }

    /// Bit `i`; bits above the width read as zero.
    pub fn bit(&self, i: u32) -> bool {
        self.limbs
            .get(i as usize / 64)
            .is_some_and(|l| l >> (i % 64) & 1 == 1)
    }

    /// Sets bit `i`; positions above the width are ignored.
    pub fn set_bit(&mut self, i: u32, value: bool) {
        if i < self.width {
            let limb = &mut self.limbs[i as usize / 64];
            *limb = *limb & !(1 << (i % 64)) | u64::from(value) << (i % 64);
        }
    }

    /// Bits `lo .. lo + width`; positions above the width read as zero.
    pub fn slice(&self, lo: u32, width: u32) -> Self {
        let mut out = Self::zero(width);
        copy_bits(&self.limbs, lo, width, &mut out.limbs);
        out
    }

    /// Writes `value` at bit `lo`, as a field of a record.
    pub fn set_slice(&mut self, lo: u32, value: &Bits) {
        for i in 0..value.width {
            self.set_bit(lo + i, value.bit(i));
        }
    }

    /// The same value in `width` bits: zero-extended or cut.
    pub fn resize(&self, width: u32) -> Self {
        Self::from_limbs(width, &self.limbs)
    }

    /// Whether no bit is set.
    pub fn is_zero(&self) -> bool {
        self.limbs.iter().all(|l| *l == 0)
    }

    /// Number of set bits.
    pub fn count_ones(&self) -> u32 {
        self.limbs.iter().map(|l| l.count_ones()).sum()
    }

    /// Hexadecimal digits without prefix or leading zeros.
    pub fn hex(&self) -> String {
        let digits: String = self
            .limbs
            .iter()
            .rev()
            .map(|l| format!("{l:016x}"))
            .collect();
        match digits.trim_start_matches('0') {
            "" => "0".into(),
            trimmed => trimmed.into(),
        }
    }
}

/// Copies `width` bits of `src` starting at bit `lo` to bit 0 of `dst`, clearing the rest of its top limb.
pub(crate) fn copy_bits(src: &[u64], lo: u32, width: u32, dst: &mut [u64]) {
    let (word, shift) = (lo as usize / 64, lo % 64);
    let at = |i: usize| src.get(i).copied().unwrap_or(0);
    for (i, out) in dst.iter_mut().enumerate().take(limbs_for(width)) {
        *out = at(word + i) >> shift;
        if shift > 0 {
            *out |= at(word + i + 1) << (64 - shift);
        }
    }
    dst[limbs_for(width) - 1] &= top_mask(width);
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'h{}", self.width, self.hex())
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cross_limbs() {
        let b = Bits::from_limbs(200, &[0x1111_2222_3333_4444, 0x5555_6666_7777_8888, 9, 0]);
        assert_eq!(b.slice(48, 32).low_u64(), 0x8888_1111);
        assert_eq!(b.slice(128, 72).low_u64(), 9);
        assert_eq!(b.slice(190, 64).low_u64(), 0);
    }

    #[test]
    fn bytes_round_trip() {
        let bytes: Vec<u8> = (1..=19).collect();
        assert_eq!(Bits::from_bytes_le(&bytes).to_bytes_le(), bytes);
        assert_eq!(Bits::new(12, 0xabc).to_bytes_le(), [0xbc, 0x0a]);
    }

    #[test]
    fn surplus_bits_are_cut_and_fits_says_so() {
        assert_eq!(Bits::new(4, 0x1f).low_u64(), 0xf);
        assert!(!Bits::fits(4, 0x1f));
        assert!(Bits::fits(128, u128::MAX));
        assert_eq!(Bits::ones(65).to_string(), "65'h1ffffffffffffffff");
    }
}
