//! One slot of a hash table's row.

use super::EPOCHS;
use crate::layout::{Layout, Row};

/// The epochs a slot holds in, a bit each; a slot that holds in none is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epochs(u8);

impl Epochs {
    pub const NONE: Epochs = Epochs(0);
    /// Both: how every slot is while nothing changes.
    pub const BOTH: Epochs = Epochs(3);

    /// One epoch alone.
    pub const fn only(epoch: u32) -> Epochs {
        Epochs(1 << (epoch % EPOCHS))
    }

    pub const fn from_bits(bits: u32) -> Epochs {
        Epochs(bits as u8 & 3)
    }

    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    pub const fn holds(self, epoch: u32) -> bool {
        self.0 >> (epoch % EPOCHS) & 1 == 1
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Reads and writes the slots of a hash table's row: a bit for each epoch, then the key, then the
/// value.
#[derive(Debug, Clone, Copy)]
pub struct HashSlot {
    pub key: &'static Layout,
    pub value: &'static Layout,
}

impl HashSlot {
    pub const fn bits(self) -> u32 {
        EPOCHS + self.key.width() + self.value.width()
    }

    /// Epochs slot `slot` of `row` holds in.
    pub fn epochs(self, row: &Row, slot: u32) -> Epochs {
        Epochs::from_bits(row.get(slot * self.bits(), EPOCHS) as u32)
    }

    /// The key and value in slot `slot` of `row`, or `None` if nothing holds there in `epoch`.
    pub fn read(self, row: &Row, slot: u32, epoch: u32) -> Option<(Row, Row)> {
        let base = slot * self.bits() + EPOCHS;
        self.epochs(row, slot).holds(epoch).then(|| {
            (
                copy_bits(row, base, self.key.width()),
                copy_bits(row, base + self.key.width(), self.value.width()),
            )
        })
    }

    /// Puts key and value into slot `slot` of `row`, for both epochs.
    pub fn write(self, row: &mut Row, slot: u32, key: &Row, value: &Row) {
        self.write_for(row, slot, Epochs::BOTH, key, value);
    }

    /// Puts key and value into slot `slot` of `row`, for `epochs`.
    pub fn write_for(self, row: &mut Row, slot: u32, epochs: Epochs, key: &Row, value: &Row) {
        let base = slot * self.bits();
        row.set(base, EPOCHS, epochs.bits().into());
        paste_bits(row, base + EPOCHS, key);
        paste_bits(row, base + EPOCHS + self.key.width(), value);
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

    const SLOT: HashSlot = HashSlot {
        key: &STEP_KEY,
        value: &STEP_VALUE,
    };

    #[test]
    fn slots_do_not_touch_each_other() {
        let mut row = Row::zero(SLOT.bits() * 2);
        let ones = |l: &Layout| Row::from_words(l.width(), &[u64::MAX, u64::MAX, u64::MAX]);
        SLOT.write(&mut row, 0, &ones(&STEP_KEY), &ones(&STEP_VALUE));
        assert!(SLOT.read(&row, 1, 0).is_none());
        let key = Row::from_words(STEP_KEY.width(), &[7]);
        let value = Row::from_words(STEP_VALUE.width(), &[9]);
        SLOT.write(&mut row, 1, &key, &value);
        assert_eq!(SLOT.read(&row, 1, 0), Some((key, value)));
        assert_eq!(
            SLOT.read(&row, 0, 1),
            Some((ones(&STEP_KEY), ones(&STEP_VALUE)))
        );
    }

    #[test]
    fn a_slot_holds_in_its_epochs_only() {
        let key = Row::from_words(STEP_KEY.width(), &[7]);
        let value = Row::from_words(STEP_VALUE.width(), &[9]);
        for epoch in 0..EPOCHS {
            let mut row = Row::zero(SLOT.bits());
            SLOT.write_for(&mut row, 0, Epochs::only(epoch), &key, &value);
            assert!(SLOT.read(&row, 0, epoch).is_some());
            assert!(SLOT.read(&row, 0, 1 - epoch).is_none());
            assert_eq!(SLOT.epochs(&row, 0), Epochs::only(epoch));
        }
    }
}
