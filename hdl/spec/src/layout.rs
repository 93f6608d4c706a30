//! Records as lists of named fields, packed least significant bit first.

use serde::Serialize;

/// One field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Field {
    pub name: &'static str,
    /// Width in bits.
    pub width: u32,
    pub doc: &'static str,
}

/// A record: its fields in order, the first at bit 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Layout {
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [Field],
}

/// Shorthand for a [`Field`] in a constant list.
pub const fn field(name: &'static str, width: u32, doc: &'static str) -> Field {
    Field { name, width, doc }
}

impl Layout {
    /// Width of the whole record in bits.
    pub const fn width(&self) -> u32 {
        let mut sum = 0;
        let mut i = 0;
        while i < self.fields.len() {
            sum += self.fields[i].width;
            i += 1;
        }
        sum
    }

    /// Lowest bit and width of `name`, or `None` if the record has no such field.
    pub fn find(&self, name: &str) -> Option<(u32, u32)> {
        let mut at = 0;
        for f in self.fields {
            if f.name == name {
                return Some((at, f.width));
            }
            at += f.width;
        }
        None
    }

    /// Lowest bit and width of `name`.
    ///
    /// # Panics
    /// If the record has no such field: field names are written by us, never by input.
    #[track_caller]
    pub fn at(&self, name: &str) -> (u32, u32) {
        match self.find(name) {
            Some(found) => found,
            None => panic!("record `{}` has no field `{name}`", self.name),
        }
    }

    /// Lowest bit of `name`; panics like [`Layout::at`].
    #[track_caller]
    pub fn offset(&self, name: &str) -> u32 {
        self.at(name).0
    }
}

/// A bit vector of fixed width; bit 0 is bit 0 of the first word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    width: u32,
    words: Vec<u64>,
}

impl Row {
    /// All zeroes, `width` bits.
    pub fn zero(width: u32) -> Row {
        Row {
            width,
            words: vec![0; width.div_ceil(64) as usize],
        }
    }

    /// From 64-bit words, lowest first; missing words are zero, bits above `width` are cleared.
    pub fn from_words(width: u32, words: &[u64]) -> Row {
        let mut row = Row::zero(width);
        for (to, from) in row.words.iter_mut().zip(words) {
            *to = *from;
        }
        let spare = row.words.len() as u32 * 64 - width;
        if spare > 0 && !row.words.is_empty() {
            let last = row.words.len() - 1;
            row.words[last] &= u64::MAX >> spare;
        }
        row
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn is_zero(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// `width` bits from bit `lo`, at most 128.
    #[track_caller]
    pub fn get(&self, lo: u32, width: u32) -> u128 {
        assert!(
            width <= 128 && lo + width <= self.width,
            "bits {lo}+{width} of a {}-bit row",
            self.width
        );
        let mut value = 0u128;
        let mut got = 0;
        while got < width {
            let bit = lo + got;
            let take = (64 - bit % 64).min(width - got);
            let part = (self.words[(bit / 64) as usize] >> (bit % 64)) as u128;
            let mask = (1u128 << take) - 1;
            value |= (part & mask) << got;
            got += take;
        }
        value
    }

    /// Sets `width` bits from bit `lo`; `value` must fit (the compiler checks its numbers first).
    #[track_caller]
    pub fn set(&mut self, lo: u32, width: u32, value: u128) {
        assert!(
            width <= 128 && lo + width <= self.width,
            "bits {lo}+{width} of a {}-bit row",
            self.width
        );
        assert!(
            width == 128 || value >> width == 0,
            "{value:#x} does not fit {width} bits"
        );
        let mut put = 0;
        while put < width {
            let bit = lo + put;
            let take = (64 - bit % 64).min(width - put);
            let mask = (((1u128 << take) - 1) as u64) << (bit % 64);
            let part = ((value >> put) as u64) << (bit % 64);
            let word = &mut self.words[(bit / 64) as usize];
            *word = (*word & !mask) | (part & mask);
            put += take;
        }
    }

    /// The field `name` of `layout`, the record starting at bit `base` of this row.
    #[track_caller]
    pub fn field(&self, layout: &Layout, base: u32, name: &str) -> u128 {
        let (lo, width) = layout.at(name);
        self.get(base + lo, width)
    }

    /// Sets the field `name` of `layout`, the record starting at bit `base` of this row.
    #[track_caller]
    pub fn set_field(&mut self, layout: &Layout, base: u32, name: &str, value: u128) {
        let (lo, width) = layout.at(name);
        assert!(
            width == 128 || value >> width == 0,
            "{value:#x} does not fit field `{name}` ({width} bits) of `{}`",
            layout.name
        );
        self.set(base + lo, width, value);
    }

    /// The row as bytes, lowest first, zero-padded to whole bytes.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        (0..self.width.div_ceil(8)).map(|i| (self.words[(i / 8) as usize] >> (i % 8 * 8)) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Layout = Layout {
        name: "sample",
        doc: "",
        fields: &[field("a", 3, ""), field("b", 128, ""), field("c", 7, "")],
    };

    #[test]
    fn fields_keep_what_is_put_across_words() {
        let mut row = Row::zero(SAMPLE.width());
        let b = 0xdead_beef_0123_4567_89ab_cdef_0f1e_2d3c;
        row.set_field(&SAMPLE, 0, "a", 5);
        row.set_field(&SAMPLE, 0, "b", b);
        row.set_field(&SAMPLE, 0, "c", 0x55);
        assert_eq!(row.field(&SAMPLE, 0, "a"), 5);
        assert_eq!(row.field(&SAMPLE, 0, "b"), b);
        assert_eq!(row.field(&SAMPLE, 0, "c"), 0x55);
        row.set_field(&SAMPLE, 0, "b", 0);
        assert_eq!(row.field(&SAMPLE, 0, "a"), 5);
        assert_eq!(row.field(&SAMPLE, 0, "c"), 0x55);
    }

    #[test]
    fn bytes_are_little_endian_and_padded() {
        let row = Row::from_words(12, &[0xfabc]);
        assert_eq!(row.bytes().collect::<Vec<_>>(), [0xbc, 0x0a]);
    }
}
