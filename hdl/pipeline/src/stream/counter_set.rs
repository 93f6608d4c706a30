//! One set of counters: a memory of rows that count packets and bytes, 64 bits each.
//!
//! Read, add, write, one hit a clock. A hit on a row whose last hits are not written yet takes
//! the sum from them, so counts are exact however close together the hits on a row are. A row is
//! read out through the same way, as a hit that adds nothing.

use seqnic_gen::{Circuit, GenError, Module, RamSpec, RamStyle, Sig, clog2};
use seqnic_spec::counters::COUNTER_ROW;

use super::{LENGTH_BITS, record};

/// Clocks from `row` to `answer`, the same for every size.
pub const LATENCY: u32 = 4;

/// A set from this size on is asked to be UltraRAM.
const ULTRA_BITS: u32 = 1 << 21;
/// Rows up to which a memory is read in two clocks (see `tables`).
const SHALLOW_ROWS: u32 = 32768;

/// Takes `hit`, `row`, `length` (bytes); without a hit the row's count is
/// `answer` ([`COUNTER_ROW`]), [`LATENCY`] clocks later.
///
/// # Errors
/// A number of rows that no memory has.
pub fn build(rows: u32) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("counter_set_{rows}"));
    m.doc("Packets and bytes for each row, exact at one hit a clock. Asking a row takes a clock like a hit.");
    let bits = clog2(rows).max(1);
    let hit = m.input("hit", 1).as_valid();
    let row = m.input("row", bits);
    let length = m.input("length", LENGTH_BITS);

    let layout = record(&COUNTER_ROW);
    let style = match rows.saturating_mul(layout.width()) >= ULTRA_BITS {
        true => RamStyle::Ultra,
        false => RamStyle::Auto,
    };
    let memory = m.ram("counts", RamSpec::of(rows, &layout).latency(2).style(style));
    // Deep memories are cascades of blocks; the tools move the additional register into them.
    let clocks = if rows > SHALLOW_ROWS { 3 } else { 2 };
    let stored = memory.read(row).delay(clocks - 2);
    let (hit_then, row_then) = (hit.delay(clocks), row.delay(clocks));
    let length_then = length.delay(clocks);

    let value = m.reg_no_reset("value", layout.width());
    let (written, row_written) = (hit_then.reg(), row_then.reg());
    memory.write(written, row_written, value.q());

    // The newest value of the row: of the last hits, which the memory did not know when the row
    // was read.
    let behind = |n: u32| -> (Sig<'_>, Sig<'_>) {
        let same = written.delay(n) & row_written.delay(n).eq(row_then);
        (same.named(&format!("same_{n}")), value.delay(n))
    };
    let recent: Vec<_> = (0..=clocks).map(behind).collect();
    let base = m.priority(&recent, stored);
    let base = base.with_record(&layout).named("base");
    let sum = m.pack(
        &layout,
        &[
            (
                "packets",
                base.field("packets") + base.field("packets").lit(1),
            ),
            ("bytes", base.field("bytes") + length_then.zext(64)),
        ],
    );
    value.set(hit_then.mux(sum, base));
    m.output(
        "answer",
        value.delay(LATENCY - 1 - clocks).with_record(&layout),
    );
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::built;
    use crate::testing::Random;
    use seqnic_gen::Sim;

    fn answer(sim: &mut Sim) -> (u64, u64) {
        let bits = sim.get_bits("answer");
        (bits.slice(0, 64).low_u64(), bits.slice(64, 64).low_u64())
    }

    /// Against a plain array: every answer, at every distance of hits on one row.
    #[test]
    fn counts_are_exact_on_hot_rows_and_in_deep_memories() {
        for (rows, hot) in [(64, 64), (64, 3), (64, 1), (SHALLOW_ROWS * 2, 4)] {
            let mut sim = Sim::new(&built(build(rows)));
            let mut random = Random::new(u64::from(rows + hot));
            sim.reset();
            let mut model = vec![(0u64, 0u64); rows as usize];
            let mut due = std::collections::VecDeque::from(vec![None; LATENCY as usize]);
            for _ in 0..20_000 {
                let row = random.below(hot.into()) * u64::from(rows / hot);
                let (hit, length) = (!random.one_in(4), random.below(9217));
                sim.set("hit", hit.into());
                sim.set("row", row);
                sim.set("length", length);
                let model = &mut model[row as usize];
                due.push_back((!hit).then_some(*model));
                if hit {
                    *model = (model.0 + 1, model.1 + length);
                }
                if let Some(expected) = due.pop_front().unwrap() {
                    assert_eq!(
                        answer(&mut sim),
                        expected,
                        "{rows} rows, clock {}",
                        sim.cycle()
                    );
                }
                sim.step();
            }
        }
    }

    #[test]
    fn carries_reach_the_highest_bit() {
        let mut sim = Sim::new(&built(build(64)));
        sim.reset();
        sim.poke("counts", 5, &seqnic_gen::Bits::ones(128));
        sim.set("hit", 1);
        sim.set("row", 5);
        sim.set("length", 1);
        sim.step();
        sim.set("hit", 0);
        sim.step_n(LATENCY);
        assert_eq!(answer(&mut sim), (0, 0));
    }
}
