//! The rows of a set. Those of a large one are in several memories, each with output registers of its own: which of them
//! answers is chosen a clock later.

use seqnic_gen::{Module, Ram, RamSpec, RamStyle, Record, Sig};

/// Rows of one memory at most.
pub const PART_ROWS: u32 = 65536;

pub struct Memory<'m> {
    parts: Vec<Ram<'m>>,
}

impl<'m> Memory<'m> {
    pub fn new(m: &'m Module, rows: u32, layout: &Record, style: RamStyle) -> Memory<'m> {
        let part =
            |name: &str, rows| m.ram(name, RamSpec::of(rows, layout).latency(2).style(style));
        let parts = match rows.div_ceil(PART_ROWS) {
            1 => vec![part("counts", rows)],
            count => (0..count)
                .map(|n| {
                    let rows = (rows - n * PART_ROWS).min(PART_ROWS);
                    part(&format!("counts_{n}"), rows)
                })
                .collect(),
        };
        Memory { parts }
    }

    /// Of which part a row is, where there are several, and its place there.
    fn place(&self, n: usize, row: Sig<'m>) -> Option<(Sig<'m>, Sig<'m>)> {
        let bits = PART_ROWS.trailing_zeros();
        (self.parts.len() > 1).then(|| {
            let here = row.shr(bits).is(n as u128);
            (here, row.trunc(self.parts[n].addr_width()))
        })
    }

    /// The row, `clocks` later.
    pub fn read(&self, row: Sig<'m>, clocks: u32) -> Sig<'m> {
        let each: Vec<_> = (self.parts.iter().enumerate())
            .map(|(n, part)| match self.place(n, row) {
                None => (row.lit(1), part.read(row)),
                Some((here, place)) => (here.delay(2), part.read(place)),
            })
            .collect();
        match &each[..] {
            [one] => one.1.delay(clocks - 2),
            _ => row.module().select_onehot(&each).delay(clocks - 2),
        }
    }

    pub fn write(&self, enable: Sig<'m>, row: Sig<'m>, value: Sig<'m>) {
        for (n, part) in self.parts.iter().enumerate() {
            match self.place(n, row) {
                None => part.write(enable, row, value),
                Some((here, place)) => part.write(enable & here, place, value),
            }
        }
    }
}
