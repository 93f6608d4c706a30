//! One slot of a hash table's row.

use crate::layout::{Layout, Row};

/// Reads and writes the slots of a hash table's row: bit 0 valid, then the key, then the value.
#[derive(Debug, Clone, Copy)]
pub struct HashSlot {
    pub key: &'static Layout,
    pub value: &'static Layout,
}

impl HashSlot {
    pub const fn bits(self) -> u32 {
        1 + self.key.width() + self.value.width()
    }

    /// The key and value in slot `slot` of `row`, or `None` if the slot is empty.
    pub fn read(self, row: &Row, slot: u32) -> Option<(Row, Row)> {
        let base = slot * self.bits();
        (row.get(base, 1) == 1).then(|| {
            (
                copy_bits(row, base + 1, self.key.width()),
                copy_bits(row, base + 1 + self.key.width(), self.value.width()),
            )
        })
    }

    /// Puts key and value into slot `slot` of `row`.
    pub fn write(self, row: &mut Row, slot: u32, key: &Row, value: &Row) {
        let base = slot * self.bits();
        row.set(base, 1, 1);
        paste_bits(row, base + 1, key);
        paste_bits(row, base + 1 + self.key.width(), value);
    }
}

fn copy_bits(row: &Row, lo: u32, width: u32) -> Row {
    let mut out = Row::zero(width);
    let mut at = 0;
    while at < width {
        let n = (width - at).min(64);
        out.set(at, n, row.get(lo + at, n));
        at += n;
    }
    out
}

fn paste_bits(row: &mut Row, lo: u32, from: &Row) {
    let mut at = 0;
    while at < from.width() {
        let n = (from.width() - at).min(64);
        row.set(lo + at, n, from.get(at, n));
        at += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{STEP_KEY, STEP_VALUE};

    #[test]
    fn slots_do_not_touch_each_other() {
        let slot = HashSlot {
            key: &STEP_KEY,
            value: &STEP_VALUE,
        };
        let mut row = Row::zero(slot.bits() * 2);
        let ones = |l: &Layout| Row::from_words(l.width(), &[u64::MAX, u64::MAX, u64::MAX]);
        slot.write(&mut row, 0, &ones(&STEP_KEY), &ones(&STEP_VALUE));
        assert!(slot.read(&row, 1).is_none());
        let (key, value) = (Row::from_words(39, &[7]), Row::from_words(26, &[9]));
        slot.write(&mut row, 1, &key, &value);
        assert_eq!(slot.read(&row, 1), Some((key, value)));
        assert_eq!(
            slot.read(&row, 0),
            Some((ones(&STEP_KEY), ones(&STEP_VALUE)))
        );
    }
}
