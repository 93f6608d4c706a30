//! Keys of the hash tables, packed as the layouts of `hdl/spec` say. Places are taken from the
//! layouts when this is compiled, so no offset is typed here.

use seqnic_image::names::Direction;
use seqnic_spec::layout::Layout;
use seqnic_spec::tables::{
    ADDRESS_KEY, INTERFACE_KEY, PORT_KEY, SOURCE_KEY, STEP_KEY, position, position_kind,
};

pub use crate::parse::Address;

/// Packed keys as they stand in memory: the key's bits, and the top bit set in a used slot.
pub trait Packed: Copy + Default + PartialEq {
    const EMPTY: Self;
    /// Marks a key: no used slot is equal to [`Packed::EMPTY`].
    fn used(self) -> Self;
    /// From the words of a row, lowest first, not marked.
    fn from_words(words: &[u64]) -> Self;
    /// The key's bits, without the mark.
    fn words(self) -> [u64; 3];
}

const USED: u64 = 1 << 63;

impl Packed for u64 {
    const EMPTY: u64 = 0;

    #[inline(always)]
    fn used(self) -> u64 {
        self | USED
    }

    #[inline(always)]
    fn from_words(words: &[u64]) -> u64 {
        words.first().copied().unwrap_or_default()
    }

    #[inline(always)]
    fn words(self) -> [u64; 3] {
        [self & !USED, 0, 0]
    }
}

impl Packed for [u64; 3] {
    const EMPTY: [u64; 3] = [0; 3];

    #[inline(always)]
    fn used(self) -> [u64; 3] {
        [self[0], self[1], self[2] | USED]
    }

    #[inline(always)]
    fn from_words(words: &[u64]) -> [u64; 3] {
        std::array::from_fn(|i| words.get(i).copied().unwrap_or_default())
    }

    #[inline(always)]
    fn words(self) -> [u64; 3] {
        [self[0], self[1], self[2] & !USED]
    }
}

/// A key of a hash table.
pub trait Key: Copy {
    type Packed: Packed;
    const LAYOUT: &'static Layout;
    /// Bytes the digest is taken over.
    const BYTES: usize = Self::LAYOUT.width().div_ceil(8) as usize;

    /// The key in one word, if the software keeps it apart from longer ones. Two keys of which both
    /// have a short form are equal if those are; the top bit is 0.
    fn short(packed: Self::Packed) -> Option<u64>;

    /// Bits as in the layout, not marked. Fields wider than theirs in the layout are the caller's
    /// mistake and are cut.
    fn pack(self) -> Self::Packed;
}

/// Lowest bit of `name` in `layout`; a name the layout does not have stops the compiler.
const fn offset(layout: &Layout, name: &str) -> u32 {
    let mut at = 0;
    let mut i = 0;
    while i < layout.fields.len() {
        if same(layout.fields[i].name.as_bytes(), name.as_bytes()) {
            return at;
        }
        at += layout.fields[i].width;
        i += 1;
    }
    panic!("the layout has no field of that name")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// `value` at the place of field `$name`, cut to the layout's width.
macro_rules! put {
    ($layout:expr, $name:literal, $value:expr) => {{
        const AT: u32 = offset(&$layout, $name);
        u64::from($value) << AT
    }};
}

/// Bits of a packed key of one word.
const fn mask(layout: &Layout) -> u64 {
    assert!(layout.width() < 64, "the top bit marks used slots");
    (1 << layout.width()) - 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceKey {
    pub port: u8,
    pub vid0: u16,
    pub vid1: u16,
}

impl Key for InterfaceKey {
    type Packed = u64;
    const LAYOUT: &'static Layout = &INTERFACE_KEY;

    #[inline(always)]
    fn short(packed: u64) -> Option<u64> {
        Some(packed)
    }

    #[inline(always)]
    fn pack(self) -> u64 {
        const MASK: u64 = mask(&INTERFACE_KEY);
        MASK & (put!(INTERFACE_KEY, "port", self.port)
            | put!(INTERFACE_KEY, "vid0", self.vid0)
            | put!(INTERFACE_KEY, "vid1", self.vid1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceKey {
    pub segment: u16,
    pub mac: u64,
}

impl Key for SourceKey {
    type Packed = u64;
    const LAYOUT: &'static Layout = &SOURCE_KEY;

    #[inline(always)]
    fn short(packed: u64) -> Option<u64> {
        Some(packed)
    }

    #[inline(always)]
    fn pack(self) -> u64 {
        const MASK: u64 = mask(&SOURCE_KEY);
        MASK & (put!(SOURCE_KEY, "segment", self.segment) | put!(SOURCE_KEY, "mac", self.mac))
    }
}

/// Places of the fields of an address key.
const FAMILY: u32 = offset(&ADDRESS_KEY, "v6");
const AT: u32 = offset(&ADDRESS_KEY, "address");

impl Key for Address {
    type Packed = [u64; 3];
    const LAYOUT: &'static Layout = &ADDRESS_KEY;

    /// IPv4 addresses: one word of the three.
    #[inline(always)]
    fn short(packed: [u64; 3]) -> Option<u64> {
        (packed[0] >> FAMILY & 1 == 0).then_some(packed[0] >> AT & u64::from(u32::MAX))
    }

    #[inline(always)]
    fn pack(self) -> [u64; 3] {
        // One bit and 128 in three words: the address starts in the first and ends in the third.
        const { assert!(AT > 0 && AT + 128 < 192 && FAMILY < 64) };
        let low = (self.value << AT) | u128::from(self.v6) << FAMILY;
        let high = (self.value >> (128 - AT)) as u64;
        [low as u64, (low >> 64) as u64, high]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortKey {
    pub scope: u32,
    pub protocol: u8,
    pub port: u16,
}

impl Key for PortKey {
    type Packed = u64;
    const LAYOUT: &'static Layout = &PORT_KEY;

    #[inline(always)]
    fn short(packed: u64) -> Option<u64> {
        Some(packed)
    }

    #[inline(always)]
    fn pack(self) -> u64 {
        const MASK: u64 = mask(&PORT_KEY);
        MASK & (put!(PORT_KEY, "scope", self.scope)
            | put!(PORT_KEY, "protocol", self.protocol)
            | put!(PORT_KEY, "port", self.port))
    }
}

/// Who sent a packet, as `step` asks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Position {
    #[default]
    Unknown,
    Attachment(u16),
    Segment(u16),
    /// A tag the packet carries: kind (`position_kind`) and number as received.
    Tag(u32, u16),
}

impl Position {
    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        match self {
            Position::Unknown => position(position_kind::UNKNOWN, 0),
            Position::Attachment(n) => position(position_kind::ATTACHMENT, u32::from(n)),
            Position::Segment(n) => position(position_kind::SEGMENT, u32::from(n)),
            Position::Tag(kind, n) => position(kind, u32::from(n)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepKey {
    pub class: u32,
    pub direction: Direction,
    pub position: Position,
}

impl Key for StepKey {
    type Packed = u64;
    const LAYOUT: &'static Layout = &STEP_KEY;

    #[inline(always)]
    fn short(packed: u64) -> Option<u64> {
        Some(packed)
    }

    #[inline(always)]
    fn pack(self) -> u64 {
        const MASK: u64 = mask(&STEP_KEY);
        MASK & (put!(STEP_KEY, "class", self.class)
            | put!(STEP_KEY, "direction", self.direction.bit())
            | put!(STEP_KEY, "position", self.position.bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::layout::Row;

    fn same_as_spec<K: Key + std::fmt::Debug>(key: K, fields: &[(&str, u128)]) {
        let mut row = Row::zero(K::LAYOUT.width());
        for (name, value) in fields {
            row.set_field(K::LAYOUT, 0, name, *value);
        }
        let words = key.pack().words();
        assert_eq!(&words[..row.words().len()], row.words(), "{key:?}");
        assert!(key.pack().used() != K::Packed::EMPTY);
        assert!(K::Packed::from_words(row.words()) == key.pack());
    }

    #[test]
    fn keys_stand_as_the_layouts_say() {
        let key = InterfaceKey {
            port: 9,
            vid0: 0xabc,
            vid1: 0x123,
        };
        same_as_spec(key, &[("port", 9), ("vid0", 0xabc), ("vid1", 0x123)]);
        let key = SourceKey {
            segment: 0xfff,
            mac: 0x0123_4567_89ab,
        };
        same_as_spec(key, &[("segment", 0xfff), ("mac", 0x0123_4567_89ab)]);
        for (v6, value) in [
            (true, u128::MAX - 5),
            (false, 0x0a00_0001),
            (true, 1 << 127),
        ] {
            same_as_spec(
                Address { v6, value },
                &[("v6", u128::from(v6)), ("address", value)],
            );
        }
        let key = PortKey {
            scope: 0xf_edcb,
            protocol: 132,
            port: 0xbeef,
        };
        same_as_spec(
            key,
            &[("scope", 0xf_edcb), ("protocol", 132), ("port", 0xbeef)],
        );
        for (position, bits) in [
            (Position::Unknown, 0),
            (Position::Attachment(0x1234), 0x1_1234),
            (Position::Segment(0xfff), 0x2_0fff),
            (Position::Tag(position_kind::GRE, 0xbeef), 0x8_beef),
        ] {
            let key = StepKey {
                class: 0xa_bcde,
                direction: Direction::Return,
                position,
            };
            same_as_spec(
                key,
                &[("class", 0xa_bcde), ("direction", 1), ("position", bits)],
            );
        }
    }
}
