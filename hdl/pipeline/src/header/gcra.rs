//! The rate algorithm of meters and of the limits to the host (`docs/semantics.md` section 8): GCRA
//! as virtual scheduling (ITU-T I.371 annex A), exact, one packet a clock.
//!
//! The state of a row is the time at which its next packet is due. Read, compare, write: a packet of
//! a row whose last packets are not written yet takes the state from them, as counters do; packets that are far enough
//! apart need none of it. Where they are so far apart that a product is worked out step by step, one adder does it.

use seqnic_gen::{Circuit, GenError, Module, RamSpec, RamStyle, Sig, clog2};
use seqnic_spec::tables::time;

/// What a packet is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Its bytes: `cost` is that of one.
    Bytes,
    /// `cost`, whatever its length.
    Packets,
}

/// Clocks in which the memory of states is read.
const READ_CLOCKS: u32 = 2;
/// Levels of the tree that adds the partial products.
const PRODUCT_CLOCKS: u32 = 4;
/// Bits of a product's second factor that are worked off in a clock, where it is one clock after the other.
const DIGIT: u32 = 2;
/// Clocks between packets from which on that is done.
const STEPWISE: u32 = time::BYTES_BITS.div_ceil(DIGIT) + 1;
/// Rows up to which the states are in LUTs, and from which they are in UltraRAM.
const LUT_ROWS: u32 = 32;
const ULTRA_ROWS: u32 = 4096;

impl Charge {
    /// Clocks to what a packet is charged.
    const fn product_clocks(self) -> u32 {
        match self {
            Charge::Bytes => PRODUCT_CLOCKS,
            Charge::Packets => 0,
        }
    }

    /// Clocks to the decision.
    const fn decision(self) -> u32 {
        match self.product_clocks() + 1 {
            clocks if clocks < READ_CLOCKS => READ_CLOCKS,
            clocks => clocks,
        }
    }

    /// Clocks from the inputs to `conforms`.
    pub const fn latency(self) -> u32 {
        self.decision() + 1
    }

    pub const fn cost_bits(self) -> u32 {
        match self {
            Charge::Bytes => time::METER_COST_BITS,
            Charge::Packets => time::HOST_COST_BITS,
        }
    }
}

/// `gcra_bytes_<rows>` or `gcra_packets_<rows>`: takes `asked` (a packet, not only a look), `row`, `arrived` (64, ns), `cost`,
/// `tolerance` and, charged by bytes, `bytes` (14); gives `conforms` [`Charge::latency`] clocks later. What is not
/// asked leaves the states as they are. Packets come at least `apart` clocks after each other.
///
/// # Errors
/// A number of rows that no memory has.
pub fn build(rows: u32, charge: Charge, apart: u32) -> Result<Circuit, Vec<GenError>> {
    let what = match charge {
        Charge::Bytes => "bytes",
        Charge::Packets => "packets",
    };
    let spaced = match apart {
        1 => String::new(),
        _ => format!("_apart{apart}"),
    };
    let m = Module::new(&format!("gcra_{what}_{rows}{spaced}"));
    m.doc("Rates by virtual scheduling: a packet conforms if it comes no earlier than due less the tolerance.");
    let bits = clog2(rows).max(1);
    let asked = m.input("asked", 1).as_valid();
    let row = m.input("row", bits);
    let arrived = m.input("arrived", 64);
    let cost = m.input("cost", charge.cost_bits());
    let tolerance = m.input("tolerance", time::TOLERANCE_BITS);

    let style = match rows {
        ..=LUT_ROWS => RamStyle::Distributed,
        ULTRA_ROWS.. => RamStyle::Ultra,
        _ => RamStyle::Auto,
    };
    let spec = RamSpec::new(rows, time::BITS)
        .latency(READ_CLOCKS)
        .style(style);
    let (product_clocks, decision) = (charge.product_clocks(), charge.decision());
    let product = match charge {
        Charge::Bytes => {
            let bytes = m.input("bytes", time::BYTES_BITS);
            if apart >= STEPWISE {
                let asked = Asked {
                    asked,
                    row,
                    arrived,
                    cost,
                    bytes,
                    tolerance,
                };
                stepwise(&m, spec, asked);
                return m.finish();
            }
            product(cost, bytes)
        }
        Charge::Packets => cost,
    };
    let product = product.zext(time::BITS);
    let now = arrived.cat(m.lit(time::FRACTION_BITS, 0)).named("now");
    let latest = (now + tolerance.zext(time::BITS)).reg().delay(decision - 1);
    let from_now = (now.delay(product_clocks) + product).reg();
    let from_now = from_now.delay(decision - product_clocks - 1);
    let (latest, from_now) = (latest.named("latest"), from_now.named("from_now"));
    let charged = product.delay(decision - product_clocks).named("charged");
    let (asked_then, row_then) = (asked.delay(decision), row.delay(decision));

    let memory = m.ram("due_times", spec);
    let stored = memory.read(row.delay(decision - READ_CLOCKS));
    let value = m.reg_no_reset("value", time::BITS);
    let (written, row_written) = (asked_then.reg(), row_then.reg());
    memory.write(written, row_written, value.q());

    // The newest state of the row: of the last packets, which the memory did not know when it was read.
    // That it is the same row is found a clock before.
    let row_soon = row.delay(decision - 1);
    // Of all but the last of them the newest is chosen then, too.
    let same = |n: u32| {
        let same = asked_then.delay(n) & row_then.delay(n).eq(row_soon);
        same.named(&format!("same_{n}"))
    };
    let last = apart - 1;
    let older: Vec<_> = (last + 1..=READ_CLOCKS)
        .map(|n| (same(n), value.delay(n - 1)))
        .collect();
    let mut due = stored;
    if let Some((oldest, others)) = older.split_last() {
        let any: Vec<_> = older.iter().map(|o| o.0).collect();
        let older = m.priority(others, oldest.1).named("older").reg();
        due = m.or(&any).named("has_older").reg().mux(older, stored);
    }
    if last <= READ_CLOCKS {
        due = same(last).reg().mux(value.delay(last), due);
    }
    let due = due.named("due");
    let conforms = due.le(latest).named("in_time");
    let late = due.lt(now.delay(decision)).named("late");
    let next = late.mux(from_now, due + charged);
    value.set(conforms.mux(next, due));
    m.output("conforms", conforms.reg());
    m.finish()
}

struct Asked<'m> {
    asked: Sig<'m>,
    row: Sig<'m>,
    arrived: Sig<'m>,
    cost: Sig<'m>,
    bytes: Sig<'m>,
    tolerance: Sig<'m>,
}

/// Of packets charged by bytes, [`STEPWISE`] clocks apart or more: what a packet is charged is not known before its decision but
/// is when the state is written, and that is in time for the next packet's read.
fn stepwise<'m>(m: &'m Module, spec: RamSpec, packet: Asked<'m>) {
    let asked = packet.asked;
    let kept = |name: &str, value: Sig<'m>| {
        let kept = m.reg_no_reset(name, value.width());
        kept.set_when(asked, value);
        kept.q()
    };
    let fraction = m.lit(time::FRACTION_BITS, 0);
    let row = kept("row_kept", packet.row);
    let now = kept("arrived_kept", packet.arrived).cat(fraction);
    let tolerance = packet.tolerance.zext(time::BITS);
    let latest = kept("latest", packet.arrived.cat(fraction) + tolerance);

    // The lowest digit of `bytes` first: what is below it in the sum is final.
    let width = packet.cost.width() + DIGIT;
    let once = kept("cost_kept", packet.cost).zext(width);
    let cost = packet.cost.zext(width);
    let thrice = kept("cost_thrice", cost.shl(1) + cost);
    let rest = m.reg_no_reset("bytes_left", time::BYTES_BITS);
    rest.set(asked.mux(packet.bytes, rest.shr(DIGIT)));
    let digit = rest.trunc(DIGIT);
    let added = m.index(&[m.lit(width, 0), once, once.shl(1), thrice], digit);
    let high = m.reg_no_reset("product_high", width - DIGIT);
    let sum = (high.zext(width) + added).named("product_sum");
    high.set(sum.slice(DIGIT, width - DIGIT).when(!asked));
    let low = m.reg_no_reset("product_low", time::BYTES_BITS);
    low.set(
        sum.trunc(DIGIT)
            .cat(low.slice(DIGIT, time::BYTES_BITS - DIGIT)),
    );
    let product = high.q().cat(low.q()).named("product");

    let memory = m.ram("due_times", spec);
    let due = memory.read(row).named("due");
    let conforms = due.le(latest).named("in_time").reg();
    let late = due.lt(now).named("late").reg();
    let value = (late.mux(now, due) + product.zext(time::BITS)).named("value");
    let written = (asked.delay(STEPWISE) & conforms).as_valid().reg();
    memory.write(written, row.reg(), value.reg());
    m.output("conforms", conforms);
}

// The row is read with what the packet before it wrote, and is so when the decision is made.
const _: () = assert!(Charge::Bytes.decision() >= 2 + READ_CLOCKS);
const _: () = assert!(DIGIT == 2, "four products are chosen from");

/// `cost * bytes`, [`PRODUCT_CLOCKS`] later: partial products added in a tree, a level a clock.
fn product<'m>(cost: Sig<'m>, bytes: Sig<'m>) -> Sig<'m> {
    let width = cost.width() + bytes.width();
    let wide = cost.zext(width);
    let bits = bytes.bits().into_iter().zip(0..);
    let mut terms: Vec<Sig> = bits.map(|(bit, n)| wide.shl(n).when(bit)).collect();
    for _ in 0..PRODUCT_CLOCKS {
        let pairs = terms.chunks(2);
        terms = pairs
            .map(|pair| {
                pair.iter()
                    .copied()
                    .reduce(|a, b| a + b)
                    .unwrap_or(wide)
                    .reg()
            })
            .collect();
    }
    terms[0].named("product")
}

const _: () = assert!(
    time::BYTES_BITS <= 1 << PRODUCT_CLOCKS,
    "the tree has one root"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::built;
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};
    use std::collections::VecDeque;

    /// Against the rule in integers: every answer, at every distance of packets of one row, also where
    /// times do not rise.
    #[test]
    fn packets_conform_as_the_rule_says() {
        let shapes = [
            (Charge::Bytes, 32, 32, 1),
            (Charge::Bytes, 32, 1, 1),
            (Charge::Bytes, 16384, 3, 1),
            (Charge::Packets, 32, 2, 1),
            (Charge::Packets, 32, 1, 3),
            (Charge::Bytes, 32, 1, 4),
            (Charge::Bytes, 32, 2, 8),
        ];
        for (charge, rows, hot, apart) in shapes {
            let mut sim = Sim::new(&built(build(rows, charge, apart)));
            let mut random = Random::new(u64::from(rows + hot));
            sim.reset();
            let mut due = vec![0u128; rows as usize];
            let mut waiting = VecDeque::from(vec![None; charge.latency() as usize]);
            let (mut now, mut seen) = (0u64, [0; 2]);
            // Costs of a byte or packet about the time between packets, each row its own.
            let cost = |row: u64| match charge {
                Charge::Bytes => 900 + row * 77,
                Charge::Packets => 700_000 + row * 99_999,
            };
            for clock in 0..20_000 * u64::from(apart) {
                now += random.pick(&[1, 1, 2, 30, if clock % 4096 == 0 { 1 << 40 } else { 0 }]);
                let time = now - random.below(8).min(now);
                let row = random.below(hot.into()) * u64::from(rows / hot);
                let (asked, bytes) = (!random.one_in(4), random.below(9217));
                let asked = asked && clock % u64::from(apart) == 0;
                let tolerance = random.pick(&[0, 1 << 20, 1 << 26]);
                sim.set("asked", asked.into());
                sim.set("row", row);
                sim.set("arrived", time);
                sim.set("cost", cost(row));
                sim.set("tolerance", tolerance);
                if charge == Charge::Bytes {
                    sim.set("bytes", bytes);
                }
                let t = u128::from(time) << 16;
                let state = &mut due[row as usize];
                let conforms = *state <= t + u128::from(tolerance);
                waiting.push_back(asked.then_some(conforms));
                if asked && conforms {
                    let units = if charge == Charge::Bytes { bytes } else { 1 };
                    *state = t.max(*state) + u128::from(units * cost(row));
                }
                if let Some(expected) = waiting.pop_front().unwrap() {
                    assert_eq!(sim.get("conforms"), u64::from(expected), "clock {clock}");
                    seen[usize::from(expected)] += 1;
                }
                sim.step();
            }
            assert!(seen.iter().all(|n| *n > 1000), "{seen:?}");
        }
    }

    #[test]
    fn the_largest_cost_and_length_fit() {
        for apart in [1, 8] {
            largest_fit(apart);
        }
    }

    fn largest_fit(apart: u32) {
        let mut sim = Sim::new(&built(build(32, Charge::Bytes, apart)));
        sim.reset();
        let most = (1u64 << time::METER_COST_BITS) - 1;
        let bytes = (1u64 << time::BYTES_BITS) - 1;
        let charged = u128::from(most) * u128::from(bytes);
        // The second packet is in time with a tolerance of what the first was charged, not with one less.
        for (tolerance, expected) in [(charged, 1), (charged - 1, 0)] {
            sim.poke("due_times", 3, &Bits::zero(time::BITS));
            sim.set("row", 3);
            sim.set("arrived", 0);
            sim.set("cost", most);
            sim.set("bytes", bytes);
            sim.set_bits("tolerance", &Bits::new(time::TOLERANCE_BITS, tolerance));
            sim.set("asked", 1);
            sim.step();
            sim.set("asked", u64::from(apart == 1));
            sim.step_n(apart - 1);
            sim.set("asked", 1);
            sim.step();
            sim.set("asked", 0);
            sim.step_n(Charge::Bytes.latency() - 1);
            assert_eq!(sim.get("conforms"), expected);
            sim.step_n(8);
        }
    }
}
