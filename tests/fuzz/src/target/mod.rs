//! What is fuzzed, one file each. A target panics (or takes for ever) where something is wrong.

mod card;
mod definition;
mod delta;
mod driver;
mod frames;
mod image;
mod journal;

/// Something that takes any bytes.
pub struct Target {
    pub name: &'static str,
    /// First inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Whether the input is worth keeping.
    pub run: fn(&[u8]) -> bool,
}

pub const ALL: [Target; 7] = [
    definition::TARGET,
    image::TARGET,
    frames::TARGET,
    card::TARGET,
    driver::TARGET,
    journal::TARGET,
    delta::TARGET,
];

/// An input read from its start.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    pub fn word(&mut self) -> Option<u32> {
        Some(u32::from(self.short()?) | u32::from(self.short()?) << 16)
    }

    /// As many bytes, or what is left.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (these, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        these
    }
}
