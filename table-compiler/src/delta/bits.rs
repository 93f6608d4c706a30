//! Fields of records as they stand in words, at any bit.

use seqnic_spec::layout::Layout;
use seqnic_spec::tables::references::{self, Space};

/// `width` bits from bit `lo`, at most 64. Words past the end are zero.
pub fn get(words: &[u64], lo: u32, width: u32) -> u64 {
    if width == 0 {
        return 0;
    }
    let word = |i: u32| words.get(i as usize).copied().unwrap_or(0);
    let (at, shift) = (lo / 64, lo % 64);
    let low = word(at) >> shift;
    let high = match shift + width > 64 {
        true => word(at + 1) << (64 - shift),
        false => 0,
    };
    (low | high) & (u64::MAX >> (64 - width))
}

/// Puts `width` bits at bit `lo`, at most 64.
pub fn set(words: &mut [u64], lo: u32, width: u32, value: u64) {
    if width == 0 {
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let (at, shift) = ((lo / 64) as usize, lo % 64);
    words[at] = words[at] & !(mask << shift) | (value & mask) << shift;
    if shift + width > 64 {
        let below = 64 - shift;
        words[at + 1] = words[at + 1] & !(mask >> below) | (value & mask) >> below;
    }
}

/// Copies `width` bits.
pub fn copy(to: &mut [u64], to_lo: u32, from: &[u64], from_lo: u32, width: u32) {
    let mut done = 0;
    while done < width {
        let take = (width - done).min(64);
        set(to, to_lo + done, take, get(from, from_lo + done, take));
        done += take;
    }
}

/// Whether `width` bits are the same.
pub fn same(a: &[u64], a_lo: u32, b: &[u64], b_lo: u32, width: u32) -> bool {
    (0..width.div_ceil(64)).all(|n| {
        let take = (width - n * 64).min(64);
        get(a, a_lo + n * 64, take) == get(b, b_lo + n * 64, take)
    })
}

/// A reference of a layout, looked up once.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub space: Space,
    lo: u32,
    bits: u32,
    /// Lowest bit, width and value; width 0: always.
    when: (u32, u32, u64),
    count: Option<(u32, u32)>,
}

impl Field {
    /// The references of a layout.
    pub fn of(layout: &Layout) -> Vec<Field> {
        let field = |r: &references::Reference| Field {
            space: r.space,
            lo: layout.offset(r.field),
            bits: r.bits,
            when: (
                layout.offset(r.when.field) + r.when.bits.0,
                r.when.bits.1,
                r.when.is.into(),
            ),
            count: r.count.map(|c| layout.at(c)),
        };
        references::references(layout).iter().map(field).collect()
    }

    /// Number and how many are meant from there, if the field refers to something in the record
    /// that starts at bit `base`.
    pub fn read(&self, words: &[u64], base: u32) -> Option<(u32, u32)> {
        let (lo, width, is) = self.when;
        if get(words, base + lo, width) != is {
            return None;
        }
        let count = self
            .count
            .map_or(1, |(lo, width)| get(words, base + lo, width) as u32);
        let number = get(words, base + self.lo, self.bits) as u32;
        (count > 0 && number >= self.space.first()).then_some((number, count))
    }

    /// Puts another number.
    pub fn write(&self, words: &mut [u64], base: u32, number: u32) {
        set(words, base + self.lo, self.bits, number.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_put_across_words_and_nothing_else_is_touched() {
        for lo in [0, 1, 37, 63, 64, 100] {
            for width in [1, 7, 28, 63, 64] {
                let mut words = [0xaaaa_5555_f0f0_0f0f; 4];
                let before = words;
                let value = 0x1234_5678_9abc_def1 & (u64::MAX >> (64 - width));
                set(&mut words, lo, width, value);
                assert_eq!(get(&words, lo, width), value, "{lo} {width}");
                let end = lo + width;
                assert!(same(&words, 0, &before, 0, lo));
                assert!(same(&words, end, &before, end, 256 - end));
                let mut copied = [0; 4];
                copy(&mut copied, 3, &words, lo, width);
                assert_eq!(get(&copied, 3, width), value);
            }
        }
        assert_eq!(get(&[1], 64, 8), 0);
    }
}
