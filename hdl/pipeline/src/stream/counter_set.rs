//! One set of counters: a memory of rows that count packets and bytes, 64 bits each.
//!
//! Read, add, write, one hit a clock. A hit on a row whose last hits are not written yet takes
//! the sum from them, so counts are exact however close together the hits on a row are; where those of a
//! row are known to be [`APART`] or more it is left out ([`Hits`]). A row is read out through the same way, as a hit
//! that adds nothing.
//!
//! A snapshot begins when `phase` turns: it is of what was counted before. A walk visits every row in clocks
//! without a hit, and says what it counted before; until then the row keeps what it counted since, in the bits
//! which its memory has to spare. When these are full the row is given out before the walk comes, and the walk finds
//! in the row's own phase bit that it was. So a snapshot needs no second memory, and nothing waits for it.

mod memory;

use seqnic_gen::{Circuit, GenError, Module, RamStyle, Record, Sig, clog2};
use seqnic_spec::counters::COUNTER_ROW;

use super::record;
use memory::Memory;

/// Clocks from `row` to `answer`, the same for every size.
pub const LATENCY: u32 = 4;
/// Clocks from `visit` to `item_valid`.
pub const ITEM_LATENCY: u32 = 5;

/// Rows up to which a set is built of LUTs: a block RAM as wide has eight times as many.
const LUT_ROWS: u32 = 64;
/// A set from this size on is asked to be UltraRAM.
const ULTRA_BITS: u32 = 1 << 21;
/// Rows up to which a memory is read in two clocks (see `tables`).
const SHALLOW_ROWS: u32 = 32768;

/// Bits of `packets` in a row with bytes. At one packet a clock of 2 ns they are full after 18 years, as are the 64
/// of `bytes` on the widest bus; the six bits are those that make room for a snapshot.
const PACKET_BITS: u32 = 58;
/// Bits of what a row has counted since the snapshot began.
const SINCE_PACKETS: u32 = 6;
const SINCE_BYTES: u32 = 15;
/// Rows are given out early at different counts, by their lowest bits: else traffic that hits many rows in turn
/// would have them all given out at once.
const SPREAD_BITS: u32 = 5;

/// Clocks between hits and visits of one row from which on the memory has what the one before wrote.
pub const APART: u32 = 4;

/// How close together hits and visits of one row come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hits {
    EveryClock,
    /// [`APART`] clocks or more. Those of different rows still come in every clock.
    Apart,
}

/// What a set counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adds {
    Packets,
    /// Packets, and a number of so many bits: bytes, or ns.
    Both(u32),
}

impl Adds {
    /// What a memory for both can add.
    pub fn wider(self, other: Adds) -> Adds {
        match (self, other) {
            (Adds::Both(a), Adds::Both(b)) => Adds::Both(a.max(b)),
            (Adds::Packets, other) => other,
            (this, Adds::Packets) => this,
        }
    }
}

/// A row as the memory has it.
fn stored_row(adds: Adds) -> Record {
    let since_packets = ("since_packets", SINCE_PACKETS);
    match adds {
        Adds::Packets => Record::new(
            "stored_packets",
            [("packets", 64), ("phase", 1), since_packets],
        ),
        Adds::Both(_) => Record::new(
            "stored_counts",
            [
                ("packets", PACKET_BITS),
                ("bytes", 64),
                ("phase", 1),
                since_packets,
                ("since_bytes", SINCE_BYTES),
            ],
        ),
    }
}

/// Takes `hit`, `row`, and `length` where that is counted; without a hit the row's count is
/// `answer` ([`COUNTER_ROW`]), [`LATENCY`] clocks later.
///
/// `phase` comes with every hit. `visit`, not together with a hit, gives `row` out if it was not since the phase turned;
/// a hit may give its row out too. What is given out is `item_valid`, `item_row`, `item`
/// ([`COUNTER_ROW`], as before the phase turned), at least one clock apart for each row.
///
/// # Errors
/// A number of rows that no memory has.
pub fn build(rows: u32, adds: Adds, hits: Hits) -> Result<Circuit, Vec<GenError>> {
    let kind = match adds {
        Adds::Packets => "_packets".to_string(),
        Adds::Both(super::LENGTH_BITS) => String::new(),
        Adds::Both(bits) => format!("_{bits}"),
    };
    let apart = match hits {
        Hits::EveryClock => "",
        Hits::Apart => "_apart",
    };
    let m = Module::new(&format!("counter_set{kind}_{rows}{apart}"));
    m.doc(
        "Packets and bytes for each row, exact at one hit a clock. Asking a row takes a clock like a hit, as does\n\
         visiting it for a snapshot.",
    );
    let bits = clog2(rows).max(1);
    let hit = m.input("hit", 1).as_valid();
    let visit = m.input("visit", 1).as_valid();
    let phase = m.input("phase", 1);
    let row = m.input("row", bits);
    m.assert("visits_without_a_hit", !(hit & visit));

    let layout = stored_row(adds);
    let style = match (rows, rows.saturating_mul(layout.width()) >= ULTRA_BITS) {
        (..=LUT_ROWS, _) => RamStyle::Distributed,
        (_, true) => RamStyle::Ultra,
        _ => RamStyle::Auto,
    };
    let memory = Memory::new(&m, rows, &layout, style);
    // Deep memories are cascades of blocks; the tools move the additional register into them.
    let clocks = if rows > SHALLOW_ROWS { 3 } else { 2 };
    if hits == Hits::Apart && clocks + 2 > APART {
        m.refuse("rows of a memory", rows.into(), "written too late");
        return m.finish();
    }
    let stored = memory.read(row, clocks);
    let (hit_then, visit_then) = (hit.delay(clocks), visit.delay(clocks));
    let (row_then, phase_then) = (row.delay(clocks), phase.delay(clocks));

    let value = m.reg_no_reset("value", layout.width());
    let (written, row_written) = ((hit_then | visit_then).as_valid().reg(), row_then.reg());
    memory.write(written, row_written, value.q());

    // The newest value of the row: of the last hits, which the memory did not know when the row
    // was read. Which of them are of this row is known as it comes, and the newest but the last is chosen a clock before.
    let used = (hit | visit).as_valid();
    let same = |back: u32| {
        let same = used.delay(back) & row.delay(back).eq(row);
        same.named(&format!("same_{back}")).as_valid()
    };
    let base = match hits {
        Hits::EveryClock => {
            let older: Vec<_> = (2..=clocks + 1)
                .map(|back| (same(back).delay(clocks - 1), value.delay(back - 2)))
                .collect();
            let any: Vec<_> = older.iter().map(|o| o.0).collect();
            let any = m.or(&any).named("has_older").as_valid().reg();
            let older = m.priority(&older[..older.len() - 1], older[older.len() - 1].1);
            let older = any.mux(older.named("older").reg(), stored);
            same(1).delay(clocks).mux(value.q(), older)
        }
        Hits::Apart => stored,
    };
    let base = base.with_record(&layout).named("base");
    let of = |name: &str| base.field(name);

    let waits = of("phase").ne(phase_then).named("waits");
    let mut full = of("since_packets").ge(limit_of(row_then));
    let more_packets = of("since_packets") + m.lit(SINCE_PACKETS, 1);
    let plus_one = of("packets") + hit_then.zext(of("packets").width());
    let mut fields = vec![("packets", plus_one)];
    let mut since = vec![("since_packets", more_packets)];
    if let Adds::Both(length_bits) = adds {
        let length = m.input("length", length_bits).when(hit);
        let length_then = length.delay(clocks);
        let short = match length_bits < SINCE_BYTES {
            true => length_then.zext(SINCE_BYTES),
            false => length_then.trunc(SINCE_BYTES),
        };
        let more_bytes = of("since_bytes") + short;
        // How far the length alone is above the limit, less one: with what there is, it is not negative if that is more.
        let wide = length_bits.max(SINCE_BYTES) + 2;
        let limit = limit_of(row).cat(m.lit(SINCE_BYTES - 1 - SPREAD_BITS, 0));
        let above = (length.zext(wide) + !limit.zext(wide)).named("above");
        let above = of("since_bytes").zext(wide) + above.delay(clocks);
        full = full | !above.msb();
        fields.push(("bytes", of("bytes") + length_then.zext(64)));
        since.push(("since_bytes", more_bytes));
    }
    let keeps = (waits & hit_then & !full).named("keeps");
    let gives = ((hit_then & waits & full) | (visit_then & waits)).named("gives");
    fields.push(("phase", keeps.mux(of("phase"), phase_then)));
    fields.extend(since.iter().map(|(name, more)| (*name, more.when(keeps))));
    value.set(m.pack(&layout, &fields));

    // As it was when the phase turned.
    let given = base.reg();
    let given = given.with_record(&layout);
    let before = |name: &str, since: &str| {
        given.field(name) - given.field(since).zext(given.field(name).width())
    };
    let packets = before("packets", "since_packets").zext(64);
    let has_bytes = adds != Adds::Packets;
    let bytes = has_bytes.then(|| before("bytes", "since_bytes"));
    let item = counts(packets, bytes).reg();
    m.output("item_valid", gives.as_valid().delay(ITEM_LATENCY - clocks));
    m.output("item_row", row_then.delay(ITEM_LATENCY - clocks));
    m.output("item", item.delay(ITEM_LATENCY - clocks - 2));

    let answer = value.delay(LATENCY - 1 - clocks).with_record(&layout);
    let answer_bytes = has_bytes.then(|| answer.field("bytes"));
    m.output(
        "answer",
        counts(answer.field("packets").zext(64), answer_bytes),
    );
    m.finish()
}

/// Upper bits of the limit from which a row is given out early: one bit and the spread, so half of what the bits hold, and up
/// to all but one of it.
fn limit_of(row: Sig<'_>) -> Sig<'_> {
    let spread = match row.width() >= SPREAD_BITS {
        true => row.trunc(SPREAD_BITS),
        false => row.zext(SPREAD_BITS),
    };
    row.module().lit(1, 1).cat(spread)
}

/// [`COUNTER_ROW`] of what a set has of it.
fn counts<'m>(packets: Sig<'m>, bytes: Option<Sig<'m>>) -> Sig<'m> {
    let m = packets.module();
    let bytes = bytes.unwrap_or(m.lit(64, 0));
    m.pack(
        &record(&COUNTER_ROW),
        &[("packets", packets), ("bytes", bytes)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::LENGTH_BITS;
    use crate::stream::testbench::built;
    use crate::testing::Random;
    use memory::PART_ROWS;
    use seqnic_gen::{Bits, Sim};
    use std::collections::{BTreeMap, VecDeque};

    const BYTES: Adds = Adds::Both(LENGTH_BITS);

    fn pair(bits: Bits) -> (u64, u64) {
        (bits.slice(0, 64).low_u64(), bits.slice(64, 64).low_u64())
    }

    /// Rows of the last clocks, which are hit and visited again only some clocks later, if they are to be apart.
    struct Apart(VecDeque<Option<u64>>);

    impl Apart {
        fn new() -> Apart {
            Apart(vec![None; APART as usize - 1].into())
        }

        /// Whether the row may be used now.
        fn may(&self, hits: Hits, row: u64) -> bool {
            hits == Hits::EveryClock || !self.0.contains(&Some(row))
        }

        fn used(&mut self, row: Option<u64>) {
            self.0.pop_front();
            self.0.push_back(row);
        }
    }

    /// Against a plain array: every answer, at every distance of hits on one row.
    #[test]
    fn counts_are_exact_on_hot_rows_and_in_deep_memories() {
        const ALWAYS: Hits = Hits::EveryClock;
        for (rows, hot, hits) in [
            (64, 64, ALWAYS),
            (64, 3, ALWAYS),
            (64, 1, ALWAYS),
            (SHALLOW_ROWS * 2, 4, ALWAYS),
            (PART_ROWS * 3, 6, ALWAYS),
            (64, 6, Hits::Apart),
            (96, 3, Hits::Apart),
        ] {
            let mut sim = Sim::new(&built(build(rows, BYTES, hits)));
            let mut random = Random::new(u64::from(rows + hot));
            sim.reset();
            let mut model = vec![(0u64, 0u64); rows as usize];
            let mut due = VecDeque::from(vec![None; LATENCY as usize]);
            let mut last = Apart::new();
            for _ in 0..20_000 {
                let row = random.below(hot.into()) * u64::from(rows / hot);
                let known = last.may(hits, row);
                let (hit, length) = (known && !random.one_in(4), random.below(9217));
                last.used(hit.then_some(row));
                sim.set("hit", hit.into());
                sim.set("row", row);
                sim.set("length", length);
                let model = &mut model[row as usize];
                due.push_back((known && !hit).then_some(*model));
                if hit {
                    *model = (model.0 + 1, model.1 + length);
                }
                if let Some(expected) = due.pop_front().unwrap() {
                    let found = pair(sim.get_bits("answer"));
                    assert_eq!(found, expected, "{rows} rows, clock {}", sim.cycle());
                }
                sim.step();
            }
        }
    }

    /// Snapshots one after the other while rows are hit: each gives every row once, as it was when the
    /// phase turned, and the counts go on.
    #[test]
    fn a_snapshot_is_of_the_clock_in_which_the_phase_turned() {
        let kinds = [BYTES, Adds::Packets, Adds::Both(30)];
        const ALWAYS: Hits = Hits::EveryClock;
        for (rows, hot, adds, hits) in [
            (64, 64, 0, ALWAYS),
            (64, 2, 0, ALWAYS),
            (64, 1, 1, ALWAYS),
            (64, 16, 2, ALWAYS),
            (SHALLOW_ROWS * 2, 40, 0, ALWAYS),
            (PART_ROWS * 4, 32, 0, ALWAYS),
            (64, 64, 0, Hits::Apart),
            (64, 6, 2, Hits::Apart),
        ] {
            let adds = kinds[adds];
            let mut sim = Sim::new(&built(build(rows, adds, hits)));
            let mut random = Random::new(u64::from(rows + hot));
            sim.reset();
            let most = match adds {
                Adds::Both(LENGTH_BITS) => 9217,
                Adds::Both(_) => 1 << 30,
                Adds::Packets => 1,
            };
            // Only rows that can have a count are visited, so that the deep memory is walked in time.
            let row_of = |n: u64| n * u64::from(rows / hot);
            let mut counts = vec![(0u64, 0u64); hot as usize];
            let mut phase = 0;
            let (mut early, mut late) = (0, 0);
            let mut last = Apart::new();
            for round in 0..30u64 {
                let before = counts.clone();
                phase ^= 1;
                let (mut at, mut found) = (0, BTreeMap::new());
                // Some walks are fast, some meet rows that have been full for long.
                let pace = random.pick(&[1, 2, 40]);
                let mut rest = 2 * u64::from(ITEM_LATENCY);
                while rest > 0 {
                    let hit = round != 7 && !random.one_in(3);
                    let visit = !hit && at < u64::from(hot) && random.one_in(pace);
                    let row = if hit { random.below(hot.into()) } else { at };
                    let may = last.may(hits, row);
                    let (hit, visit) = (hit && may, visit && may);
                    last.used((hit || visit).then_some(row));
                    let length = random.below(most);
                    sim.set("hit", hit.into());
                    sim.set("visit", visit.into());
                    sim.set("phase", phase);
                    sim.set("row", row_of(row.min(u64::from(hot) - 1)));
                    if adds != Adds::Packets {
                        sim.set("length", length);
                    }
                    if hit {
                        let count = &mut counts[row as usize];
                        *count = (count.0 + 1, count.1 + length);
                    }
                    at += u64::from(visit);
                    rest -= u64::from(at == u64::from(hot));
                    sim.step();
                    if sim.get("item_valid") == 1 {
                        let row = sim.get("item_row") / u64::from(rows / hot);
                        let again = found.insert(row, pair(sim.get_bits("item")));
                        assert_eq!(again, None, "row {row} twice");
                        if row >= at {
                            early += 1;
                        } else {
                            late += 1;
                        }
                    }
                }
                let expected = (0..).zip(before).collect::<BTreeMap<_, _>>();
                assert_eq!(found, expected, "{rows} rows, {hot} hot, round {round}");
            }
            assert!(late > 20, "{early} {late}");
            if adds != Adds::Packets || hot == 1 {
                assert!(early > 5, "{rows} rows, {hot} hot: {early} {late}");
            }
        }
    }

    #[test]
    fn carries_reach_the_highest_bit() {
        let mut sim = Sim::new(&built(build(64, BYTES, Hits::EveryClock)));
        sim.reset();
        let ones = Bits::ones(PACKET_BITS + 64).resize(stored_row(BYTES).width());
        sim.poke("counts", 5, &ones);
        sim.set("hit", 1);
        sim.set("row", 5);
        sim.set("length", 1);
        sim.step();
        sim.set("hit", 0);
        sim.step_n(LATENCY);
        assert_eq!(pair(sim.get_bits("answer")), (0, 0));
    }
}
