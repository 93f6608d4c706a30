//! Scheduler: which queue of an output is served next (`docs/semantics.md` section 8).
//!
//! Strict queues first, the highest first. The others share by deficit round robin (Shreedhar and
//! Varghese 1996), charged as bytes leave: a frame's length is not known when it starts. A queue of them is
//! served while its balance is above 0; when none that waits has one, all are topped up, and the choice of
//! that clock is by what they have then, so that the output does not idle for it.

use seqnic_gen::{Circuit, GenError, Module, Sig, mux};
use seqnic_spec::tables::QUEUE_ROW;

use super::record;

/// Bits of a balance, two's complement: what is topped up at most, less the longest frame and some beats
/// whose charge is on its way.
const BALANCE_BITS: u32 = 18;
/// A weight is worth so many bytes a round: 2^8.
const QUANTUM_BITS: u32 = 8;
/// Bits of the bytes charged in one clock.
pub const CHARGE_BITS: u32 = 7;

/// Takes `rows` ([`QUEUE_ROW`] of each queue, the lowest first), `waits` (one bit for each queue: it has a beat to give that is a frame's
/// first), `charge` and `bytes` (the queue of the beat that leaves, one bit, and its bytes). Gives `pick`, at most one
/// bit, for this clock.
///
/// # Errors
/// None for 2 to 8 queues.
pub fn build(queues: u32) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("scheduler_{queues}"));
    m.doc(
        "Which queue is served next: strict ones first, the others in proportion to their weights.",
    );
    let row = record(&QUEUE_ROW);
    let rows = m.input("rows", row.width() * queues);
    let waits = m.input("waits", queues);
    let charge = m.input("charge", queues);
    let bytes = m.input("bytes", CHARGE_BITS);

    let rows: Vec<Sig> = rows
        .chunks(row.width())
        .into_iter()
        .map(|r| r.with_record(&row))
        .collect();
    fn from(bits: Vec<Sig<'_>>) -> Vec<Sig<'_>> {
        bits.into_iter().rev().collect()
    }
    let strict = m.concat(&from(rows.iter().map(|r| r.field("strict")).collect()));
    let sharing = (waits & !strict).named("sharing");
    // Taking the lowest bit away leaves nothing.
    let alone = (!(sharing & (sharing - sharing.lit(1))).any()).named("alone");
    let charged = (charge & !strict)
        .when((sharing & !charge).any())
        .named("charged");

    let topped_up = m.wire("topped_up", 1);
    let (mut above, mut above_then) = (vec![], vec![]);
    for (n, row) in (0..).zip(&rows) {
        let weight = row.field("weight");
        let weight = mux(weight.any(), weight, weight.lit(1));
        let quantum = weight
            .cat(m.lit(QUANTUM_BITS, 0))
            .zext(BALANCE_BITS)
            .named(&format!("quantum_{n}"));
        let balance = m.reg(&format!("balance_{n}"), BALANCE_BITS, 0);
        let paid = bytes.when(charged.bit(n)).zext(BALANCE_BITS);
        let more = quantum.when(topped_up.q());
        let sum = (balance.q() + more - paid).named(&format!("sum_{n}"));
        // One that does not wait keeps what it owes, not what it could have had.
        let kept = sharing.bit(n) | sum.msb();
        let next = sum.when(kept).named(&format!("next_{n}"));
        balance.set(next);
        let now = m.reg(&format!("above_{n}"), 1, 0);
        now.set(positive(next));
        // A quantum is more than nothing.
        let then = m.reg(&format!("above_then_{n}"), 1, 1);
        then.set(positive(next + quantum));
        above.push(now.q());
        above_then.push(then.q());
    }
    let above = (m.concat(&from(above)) & sharing).named("above");
    let above_then = (m.concat(&from(above_then)) & sharing).named("above_then");
    let none = (!above.any()).named("none_above");
    topped_up.drive(none);

    // One that waits alone is served whatever its balance.
    let open = mux(none, above_then, above) | sharing.when(alone);
    let first = (waits & strict).named("first");
    let choice = mux(first.any(), first, open).named("choice");
    m.output("pick", highest(choice));
    m.finish()
}

/// Above 0, in two's complement.
fn positive(of: Sig<'_>) -> Sig<'_> {
    !of.msb() & of.any()
}

/// The highest bit that is set alone, or none.
fn highest(sig: Sig<'_>) -> Sig<'_> {
    let m = sig.module();
    let bits = sig.bits();
    let one = |n: usize| {
        let above = &bits[n + 1..];
        match above {
            [] => bits[n],
            _ => bits[n] & !m.or(above),
        }
    };
    let picked: Vec<_> = (0..bits.len()).rev().map(one).collect();
    m.concat(&picked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::built;
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};

    /// An output that sends frames of the queue that is picked, each beat charged a clock later.
    struct Output {
        sim: Sim,
        /// Beats to go of the frame in hand, its queue, and bytes of its last beat.
        open: Option<(u64, u32, u64)>,
        charge: (u64, u64),
        sent: Vec<u64>,
        /// Clocks in which somebody waited and nothing was sent.
        idle: u64,
    }

    impl Output {
        fn new(rows: &[(u64, u64)]) -> Output {
            let mut sim = Sim::new(&built(build(rows.len() as u32)));
            sim.reset();
            let width = QUEUE_ROW.width();
            let mut bits = Bits::zero(width * rows.len() as u32);
            for (n, (strict, weight)) in (0..).zip(rows) {
                bits.set_slice(
                    n * width,
                    &Bits::new(width, u128::from(weight << 1 | strict)),
                );
            }
            sim.set_bits("rows", &bits);
            Output {
                sim,
                open: None,
                charge: (0, 0),
                sent: vec![0; rows.len()],
                idle: 0,
            }
        }

        /// A clock in which the queues of `waits` have frames of so many bytes; the queue that begins one.
        fn clock(&mut self, waits: u64, length: impl FnOnce(u32) -> u64) -> Option<u32> {
            let (charge, bytes) = self.charge;
            self.sim.set("waits", waits);
            self.sim.set("charge", charge);
            self.sim.set("bytes", bytes);
            let pick = self.sim.get("pick");
            assert!(pick.count_ones() <= 1 && pick & !waits == 0);
            let mut begun = None;
            if self.open.is_none() && pick != 0 {
                let queue = pick.trailing_zeros();
                let length = length(queue);
                self.open = Some((length.div_ceil(64), queue, (length - 1) % 64 + 1));
                begun = Some(queue);
            }
            self.charge = (0, 0);
            match self.open {
                None => self.idle += u64::from(waits != 0),
                Some((beats, queue, last)) => {
                    let bytes = if beats == 1 { last } else { 64 };
                    self.sent[queue as usize] += bytes;
                    self.charge = (1 << queue, bytes);
                    self.open = (beats > 1).then_some((beats - 1, queue, last));
                }
            }
            self.sim.step();
            begun
        }
    }

    /// Bytes a weight, the most against the least.
    fn unevenness(sent: &[u64], weights: &[u64]) -> f64 {
        let each: Vec<f64> = (sent.iter().zip(weights))
            .map(|(sent, weight)| *sent as f64 / *weight as f64)
            .collect();
        let (most, least) = (
            each.iter().copied().fold(0.0, f64::max),
            each.iter().copied().fold(f64::MAX, f64::min),
        );
        most / least
    }

    #[test]
    fn what_is_left_is_shared_by_weight() {
        let weights = [1, 2, 5, 16];
        let rows = weights.map(|w| (0, w));
        // One length for all, long ones for the light, short ones for the light, anything.
        let lengths: [fn(u32, &mut Random) -> u64; 4] = [
            |_, _| 60,
            |queue, _| if queue < 2 { 9216 } else { 60 },
            |queue, _| if queue < 2 { 60 } else { 9216 },
            |_, random| 60 + random.below(9157),
        ];
        for (n, length) in lengths.into_iter().enumerate() {
            let mut random = Random::new(n as u64);
            let mut output = Output::new(&rows);
            for _ in 0..400_000 {
                output.clock(0b1111, |queue| length(queue, &mut random));
            }
            let found = unevenness(&output.sent, &weights);
            assert!(found < 1.05, "case {n}: {:?}, {found}", output.sent);
            // Long debts may cost a clock a round.
            assert!(
                output.idle < if n == 0 { 1 } else { 2000 },
                "case {n}: {}",
                output.idle
            );
        }
    }

    #[test]
    fn a_strict_queue_waits_for_one_frame_only_and_the_others_share_the_rest() {
        let mut output = Output::new(&[(0, 3), (0, 1), (1, 0), (1, 9)]);
        let mut random = Random::new(5);
        let (mut since, mut high) = (0u64, [0u64; 2]);
        for _ in 0..200_000 {
            let waits = 0b0011 | u64::from(since > 0) << 3 | 0b0100;
            if since == 0 && random.one_in(9) {
                since = 1;
            }
            // Queue 2 has a frame now and then.
            let waits = if random.one_in(3) {
                waits
            } else {
                waits & !0b0100
            };
            match output.clock(waits, |_| 600) {
                Some(3) => {
                    assert!(since <= 11, "{since}");
                    since = 0;
                    high[1] += 1;
                }
                begun => {
                    assert!(begun.is_none() || waits & 0b1000 == 0);
                    high[0] += u64::from(begun == Some(2));
                    since += u64::from(since > 0);
                }
            }
        }
        assert!(high.iter().all(|n| *n > 1000), "{high:?}");
        assert!(
            unevenness(&output.sent[..2], &[3, 1]) < 1.05,
            "{:?}",
            output.sent
        );
    }

    #[test]
    fn one_that_waits_alone_is_served_at_once_whatever_it_owes() {
        let mut output = Output::new(&[(0, 1), (0, 1)]);
        // A long frame while the other waits.
        while output.clock(0b11, |_| 9216) != Some(1) {}
        while output.open.is_some() {
            output.clock(0b11, |_| 60);
        }
        for n in 0..200 {
            assert_eq!(output.clock(0b10, |_| 60), Some(1), "clock {n}");
        }
        // What it saved while alone is nothing: the other is not behind it.
        output.sent = vec![0; 2];
        (0..4000).for_each(|_| {
            output.clock(0b11, |_| 60);
        });
        assert!(unevenness(&output.sent, &[1, 1]) < 1.1, "{:?}", output.sent);
    }
}
