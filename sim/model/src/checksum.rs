//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// Ones' complement sum of the 16-bit words of `bytes`; an odd last byte is padded with zero.
#[inline(always)]
pub fn sum(bytes: &[u8]) -> u16 {
    // RFC 1071 section 2 (C): the sum of wider words, folded, is the same.
    let mut words = bytes.chunks_exact(4);
    let mut sum: u64 = words
        .by_ref()
        .map(|w| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]])))
        .sum();
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_be_bytes(last));
    fold(sum)
}

/// End-around carry: 0 only for 0. In steps enough for any sum, as how many are needed is chance and a branch
/// on it costs more.
#[inline(always)]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    // At most 2^33 - 2, then 2^17 + 2^16 - 2, then 2^16 + 1.
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Edits of covered words, collected for RFC 1624 equation 3:
/// `HC' = ~(~HC + sum(~m) + sum(m'))`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Update {
    sum: u64,
    edited: bool,
}

impl Update {
    /// The word `old` becomes `new` (the same or not: it is edited).
    #[inline(always)]
    pub fn word(&mut self, old: u16, new: u16) {
        self.sum += u64::from(!old) + u64::from(new);
        self.edited = true;
    }

    /// The address `old` becomes `new`: 2 words in IPv4, 8 in IPv6.
    #[inline(always)]
    pub fn address(&mut self, v6: bool, old: u128, new: u128) {
        // The sum of 32-bit words, folded, is that of their halves; and neither is 0 alone.
        self.double(old as u32, new as u32);
        if v6 {
            for at in [32, 64, 96] {
                self.double((old >> at) as u32, (new >> at) as u32);
            }
        }
        self.edited = true;
    }

    /// Two words at once, in any order of bytes that all words have (RFC 1071 section 2 (B)).
    #[inline(always)]
    pub fn double_word(&mut self, old: u32, new: u32) {
        self.double(old, new);
        self.edited = true;
    }

    #[inline(always)]
    fn double(&mut self, old: u32, new: u32) {
        self.sum += u64::from(!old) + u64::from(new);
    }

    /// The checksum that stands for `hc` after the edits; `None` if nothing covered was edited,
    /// and the bytes must stay.
    #[inline(always)]
    pub fn apply(self, hc: u16) -> Option<u16> {
        self.edited.then(|| !fold(self.sum + u64::from(!hc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn example_of_rfc_1624_section_4() {
        // There HC = 0xDD2F, m = 0x5555, m' = 0x3285 gives 0x0000, where RFC 1141 gave 0xFFFF.
        let mut update = Update::default();
        update.word(0x5555, 0x3285);
        assert_eq!(update.apply(0xdd2f), Some(0x0000));
    }

    #[test]
    fn nothing_edited_leaves_the_bytes() {
        assert_eq!(Update::default().apply(0xffff), None);
    }

    #[test]
    fn the_same_word_again_is_an_edit_and_the_formula_counts() {
        let mut update = Update::default();
        update.word(0x1234, 0x1234);
        assert_eq!(update.apply(0xffff), Some(0x0000));
        assert_eq!(update.apply(0x0000), Some(0x0000));
        assert_eq!(update.apply(0x4711), Some(0x4711));
    }

    #[test]
    fn end_around_carry_of_any_sum() {
        let slow = |mut sum: u64| {
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            sum as u16
        };
        let edges = [
            0,
            1,
            0xffff,
            0x1_0000,
            0x1_ffff,
            0xffff_ffff,
            0x1_ffff_fffe,
            u64::MAX,
        ];
        for sum in edges.into_iter().chain((0..64).map(|bit| u64::MAX >> bit)) {
            assert_eq!(fold(sum), slow(sum), "{sum:#x}");
        }
    }

    #[test]
    fn odd_lengths_are_padded_behind() {
        assert_eq!(sum(&[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
        assert_eq!(sum(&[0xff, 0xff, 0x00, 0x01]), 0x0001);
        assert_eq!(sum(&[]), 0);
    }

    proptest! {
        /// A right checksum stays right, whatever words change.
        #[test]
        fn incremental_equals_full(
            mut words in prop::collection::vec(any::<u16>(), 1..40),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..10),
        ) {
            let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
            let before = !sum(&bytes(&words));
            let mut update = Update::default();
            for (at, new) in &edits {
                let at = at.index(words.len());
                update.word(words[at], *new);
                words[at] = *new;
            }
            let after = update.apply(before).unwrap();
            let mut all = bytes(&words);
            all.extend(after.to_be_bytes());
            // Ones' complement: 0xffff, or 0 where every word is 0.
            let total = sum(&all);
            prop_assert!(total == 0xffff || (total == 0 && words.iter().all(|w| *w == 0)), "{total:#x}");
        }
    }
}
