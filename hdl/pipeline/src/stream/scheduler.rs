//! Scheduler: which queue of an output is served next (`docs/semantics.md` section 8).
//!
//! Strict queues first, the highest first. The others share by deficit round robin (Shreedhar and
//! Varghese 1996), charged as bytes leave: a frame's length is not known when it starts. A queue of them is
//! served while its balance is above 0; when none that waits has one, all are topped up, and the choice of
//! that clock is by what they have then, so that the output does not idle for it.
//!
//! The choice is made a clock ahead, for each case of what may happen in between, so that it comes from a register: whether
//! a frame ends is known late in a clock.

use seqnic_gen::{Circuit, GenError, Module, Sig, mux};
use seqnic_spec::tables::QUEUE_ROW;

use super::record;

/// Bits of a balance, two's complement: what two of the greatest quanta need, [`DEEP_BIT`] needs less.
const BALANCE_BITS: u32 = 18;
/// A weight is worth so many bytes a round: 2^8.
const QUANTUM_BITS: u32 = 8;
/// Bits of what a beat has less than the 64 bytes of the widest.
pub const LACKS_BITS: u32 = 6;
/// Who owes more than 2^14 bytes, which is more than the longest frame, is charged nothing. One that waits alone each time
/// its frame starts, and not while it leaves, would owe more and more.
const DEEP_BIT: u32 = 14;

/// Takes `rows` ([`QUEUE_ROW`] of each queue, the lowest first), `waits` and `several` (one bit for each queue: it has a
/// beat to give, more than one), `free` (a beat is taken in this clock if there is one), `ended` (that is a frame's first, of the
/// queue `pick`; else it is of `current`), `charge` and `lacks` (the queue of the beat that leaves, one bit, and how many bytes it has less than 64).
///
/// Gives `pick`, at most one bit, from a register: who is served if a frame may start in this clock. It has
/// a beat then. What came in the clock before does not count yet.
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
    let several = m.input("several", queues);
    let free = m.input("free", 1);
    let ended = m.input("ended", 1);
    let current = m.input("current", queues);
    let charge = m.input("charge", queues);
    let lacks = m.input("lacks", LACKS_BITS);

    let rows: Vec<Sig> = rows
        .chunks(row.width())
        .into_iter()
        .map(|r| r.with_record(&row))
        .collect();
    let strict = m.concat(&high_first(
        rows.iter().map(|r| r.field("strict")).collect(),
    ));
    let sharing = (waits & !strict).named("sharing");
    // A quantum less the bytes of the beat, 64 at most; of the quanta it is one less.
    let less = m.reg_no_reset("less", LACKS_BITS);
    less.set(lacks);
    let less = (!m.lit(QUANTUM_BITS - LACKS_BITS, 0)).cat(less.q());

    let topped_up = m.wire("topped_up", 1);
    // Else nothing here moves: nobody waits, and what is owed is paid. For simulators.
    let awake = m.wire("awake", 1);
    let (mut pending, mut charges) = (vec![waits.any(), charge.any()], vec![]);
    let (mut above, mut above_then) = (vec![], vec![]);
    for (n, row) in (0..).zip(&rows) {
        let weight = row.field("weight");
        let bits = weight.width();
        let (quanta, but_one) = (
            m.reg(&format!("quanta_{n}"), bits, 1),
            m.reg(&format!("quanta_but_one_{n}"), bits, 0),
        );
        quanta.set(weight | (!weight.any()).zext(bits));
        but_one.set(weight - weight.any().zext(bits));

        // The balance less 1: its sign says whether there is anything above 0.
        let all = (1 << BALANCE_BITS) - 1;
        let balance = m.reg(&format!("balance_{n}"), BALANCE_BITS, all);
        let owed = balance.q();
        let deep = owed.msb() & !owed.slice(DEEP_BIT, BALANCE_BITS - DEEP_BIT).all();
        // Who waits alone pays nothing.
        let others = (0..queues).filter(|q| *q != n).map(|q| sharing.bit(q));
        let others = m.or(&others.collect::<Vec<_>>());
        let charged = m.reg(&format!("charged_{n}"), 1, 0);
        charged.set(charge.bit(n) & (others & !strict.bit(n) & !deep));
        charged.rests_unless(awake.q());
        let charged = charged.q();

        let low = less.when(charged);
        let high = BALANCE_BITS - QUANTUM_BITS;
        let one = mux(charged, but_one.q(), quanta.q()).named(&format!("quantum_{n}"));
        let two = one.cat(charged);
        let none = charged.repl(high);
        // Whether all are topped up is known later than what there is in each case.
        let [unchanged, with_one, with_two] =
            [none, one.zext(high), two.zext(high)].map(|quanta| owed + quanta.cat(low));
        let sum = mux(topped_up.q(), with_one, unchanged).named(&format!("sum_{n}"));
        // What it would be with one quantum more, so that the sign of that is a register's too.
        let then = mux(topped_up.q(), with_two, with_one).named(&format!("then_{n}"));
        // One that does not wait keeps what it owes, not what it could have had.
        let lost = !sharing.bit(n) & !sum.msb();
        balance.set(sum | lost.repl(BALANCE_BITS));
        let now = m.reg(&format!("above_{n}"), 1, 0);
        now.set(sharing.bit(n) & !sum.msb());
        let later = m.reg(&format!("above_then_{n}"), 1, 1);
        later.set(!strict.bit(n) & !then.msb());
        balance.rests_unless(awake.q());
        now.rests_unless(awake.q());
        later.rests_unless(awake.q());
        pending.push(!owed.all() | now.q() | (later.q().eq(strict.bit(n))));
        charges.push(charged);
        above.push(now.q());
        above_then.push(later.q());
    }
    let above = m.concat(&high_first(above)).named("above");
    let above_then = m.concat(&high_first(above_then)).named("above_then");
    topped_up.drive(!(above & waits).any());

    let choose = |waits| choice(waits, strict, above, above_then);
    let pick = m.reg("pick", queues, 0);
    let [new, same] = [pick.q(), current].map(|gives| choose(waits & !(gives & !several)));
    pick.set(mux(free, mux(ended, new, same), choose(waits)));
    pick.rests_unless(awake.q());
    pending.extend([pick.any(), m.or(&charges)]);
    awake.drive(m.or(&pending));
    m.output("pick", pick.q());
    m.finish()
}

/// Bits as they are joined: the highest first.
pub(super) fn high_first(bits: Vec<Sig<'_>>) -> Vec<Sig<'_>> {
    bits.into_iter().rev().collect()
}

/// Who is served among those that wait.
fn choice<'m>(waits: Sig<'m>, strict: Sig<'m>, above: Sig<'m>, above_then: Sig<'m>) -> Sig<'m> {
    let (first, sharing) = (waits & strict, waits & !strict);
    let now = above & waits;
    let then = highest(above_then & waits).when(!now.any());
    // One that waits alone is served whatever its balance.
    let alone = highest(sharing).eq(sharing);
    let open = highest(now) | then | sharing.when(alone);
    highest(first) | open.when(!first.any())
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
    use std::collections::VecDeque;

    /// An output that sends frames of the queue that is picked, each beat charged a clock later.
    struct Output {
        sim: Sim,
        /// Lengths of the frames that wait, by queue.
        frames: Vec<VecDeque<u64>>,
        /// Beats to go of the frame in hand, its queue, and bytes of its last beat.
        open: Option<(u64, usize, u64)>,
        charge: (u64, u64),
        sent: Vec<u64>,
        /// Queues that waited in the clock before.
        waited: u64,
        /// Clocks in which somebody waited who could have been chosen, and nothing was sent.
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
                frames: vec![VecDeque::new(); rows.len()],
                open: None,
                charge: (0, 0),
                sent: vec![0; rows.len()],
                waited: 0,
                idle: 0,
            }
        }

        /// Queues that have more than `beats` beats.
        fn with_more_than(&self, beats: u64) -> u64 {
            let has = |queue: usize| -> u64 {
                let open = self.open.map_or(0, |(left, of, _)| match of == queue {
                    true => left,
                    false => 0,
                });
                let frames = self.frames[queue].iter();
                open + frames.map(|length| length.div_ceil(64)).sum::<u64>()
            };
            (0..self.frames.len())
                .map(|queue| u64::from(has(queue) > beats) << queue)
                .sum()
        }

        /// A clock in which a beat may leave or not; the queue that begins a frame.
        fn clock(&mut self, free: bool) -> Option<usize> {
            let (charge, bytes) = self.charge;
            let waits = self.with_more_than(0);
            self.sim.set("waits", waits);
            self.sim.set("several", self.with_more_than(1));
            self.sim.set("free", free.into());
            self.sim.set("ended", self.open.is_none().into());
            self.sim
                .set("current", self.open.map_or(1, |(_, of, _)| 1 << of));
            self.sim.set("charge", charge);
            self.sim.set("lacks", 64 - bytes.max(1));
            let pick = self.sim.get("pick");
            assert!(
                pick.count_ones() <= 1 && pick & !waits == 0,
                "{pick:b} of {waits:b}"
            );
            let mut begun = None;
            if self.open.is_none() && free && pick != 0 {
                let queue = pick.trailing_zeros() as usize;
                let length = self.frames[queue].pop_front().unwrap();
                self.open = Some((length.div_ceil(64), queue, (length - 1) % 64 + 1));
                begun = Some(queue);
            }
            self.charge = (0, 0);
            match self.open.filter(|_| free) {
                None => self.idle += u64::from(free && waits & self.waited != 0),
                Some((beats, queue, last)) => {
                    let bytes = if beats == 1 { last } else { 64 };
                    self.sent[queue] += bytes;
                    self.charge = (1 << queue, bytes);
                    self.open = (beats > 1).then_some((beats - 1, queue, last));
                }
            }
            self.waited = waits;
            self.sim.step();
            begun
        }

        /// A clock in which each of these queues has frames, of so many bytes.
        fn full(&mut self, queues: &[usize], mut length: impl FnMut(usize) -> u64) {
            for queue in queues {
                while self.frames[*queue].len() < 2 {
                    self.frames[*queue].push_back(length(*queue));
                }
            }
            self.clock(true);
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
        let lengths: [fn(usize, &mut Random) -> u64; 4] = [
            |_, _| 60,
            |queue, _| if queue < 2 { 9216 } else { 60 },
            |queue, _| if queue < 2 { 60 } else { 9216 },
            |_, random| 60 + random.below(9157),
        ];
        for (n, length) in lengths.into_iter().enumerate() {
            let mut random = Random::new(n as u64);
            let mut output = Output::new(&rows);
            for _ in 0..400_000 {
                output.full(&[0, 1, 2, 3], |queue| length(queue, &mut random));
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

    /// As many bytes as definitions may ask for a round.
    #[test]
    fn the_greatest_weights_share_as_they_say() {
        for weights in [[255, 255, 128, 200], [4, 255, 127, 130]] {
            let mut random = Random::new(3);
            let mut output = Output::new(&weights.map(|w| (0, w)));
            for _ in 0..400_000 {
                output.full(&[0, 1, 2, 3], |_| 60 + random.below(1455));
            }
            let found = unevenness(&output.sent, &weights);
            assert!(found < 1.05, "{weights:?}: {:?}, {found}", output.sent);
        }
    }

    #[test]
    fn a_strict_queue_waits_for_one_frame_only_and_the_others_share_the_rest() {
        let mut output = Output::new(&[(0, 3), (0, 1), (1, 0), (1, 9)]);
        let mut random = Random::new(5);
        let (mut since, mut high) = (0u64, [0u64; 2]);
        for _ in 0..200_000 {
            for queue in [0, 1] {
                while output.frames[queue].len() < 2 {
                    output.frames[queue].push_back(600);
                }
            }
            // Strict ones have a frame now and then.
            for queue in [2, 3] {
                if output.frames[queue].is_empty() && random.one_in(19) {
                    output.frames[queue].push_back(600);
                }
            }
            since += u64::from(!output.frames[3].is_empty());
            let waited = output.waited;
            match output.clock(true) {
                Some(3) => {
                    assert!(since <= 11, "{since}");
                    since = 0;
                    high[1] += 1;
                }
                begun => {
                    assert!(begun.is_none() || waited & 0b1000 == 0 || since <= 1);
                    high[0] += u64::from(begun == Some(2));
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
        output.frames[0].push_back(60);
        output.frames[1].push_back(9216);
        for _ in 0..200 {
            output.clock(true);
        }
        assert_eq!(output.sent, [60, 9216]);
        output.idle = 0;
        (0..200).for_each(|_| output.full(&[1], |_| 60));
        assert_eq!(output.idle, 0);
        assert!(output.sent[1] >= 9216 + 199 * 60);
        // What it saved while alone is nothing: the other is not behind it.
        output.sent = vec![0; 2];
        (0..4000).for_each(|_| output.full(&[0, 1], |_| 60));
        assert!(unevenness(&output.sent, &[1, 1]) < 1.1, "{:?}", output.sent);
    }

    /// The other's frame always comes when a long one has just begun, which began alone and is charged.
    #[test]
    fn a_debt_has_an_end() {
        let mut output = Output::new(&[(0, 1), (0, 1)]);
        let (mut long, mut since) = (0, 0);
        while long < 200 {
            while output.frames[0].len() < 2 {
                output.frames[0].push_back(9216);
            }
            if output.clock(true) == Some(0) {
                assert!(
                    output.frames[1].is_empty(),
                    "{long}: the other waits for two"
                );
                output.frames[1].push_back(60);
                (long, since) = (long + 1, 0);
            }
            since += 1;
            assert!(since < 300, "{long}: nobody is served");
        }
    }

    /// One-beat frames leave in every clock, however few wait in which queue, and the last of one and the first of another
    /// behind each other; with pauses too.
    #[test]
    fn no_clock_is_lost_while_somebody_waits() {
        for (rows, pauses) in [
            ([(0, 1), (0, 1), (0, 1), (0, 1)], false),
            ([(0, 1), (0, 4), (1, 0), (1, 0)], false),
            ([(0, 2), (0, 1), (0, 9), (1, 0)], true),
            // Three of these quanta are more than a balance holds.
            ([(0, 255), (0, 255), (0, 200), (0, 1)], false),
        ] {
            let mut random = Random::new(7);
            let mut output = Output::new(&rows);
            let mut begun = 0;
            for clock in 0..50_000 {
                let inside: usize = output.frames.iter().map(VecDeque::len).sum();
                // As many as leave, and a few that wait.
                if inside < 3 || (clock % 500 > 400 && inside < 40) {
                    let queue = random.below(4) as usize;
                    output.frames[queue].push_back(60);
                }
                let free = !pauses || !random.one_in(3);
                begun += u64::from(output.clock(free).is_some());
            }
            assert_eq!(output.idle, 0);
            assert!(begun > if pauses { 30_000 } else { 49_000 }, "{begun}");
        }
    }
}
