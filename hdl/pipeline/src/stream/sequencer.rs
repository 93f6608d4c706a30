//! Sequencer: a verdict becomes one order for `prepare` per copy.

use super::{edit_slots, less, record};
use seqnic_gen::{Circuit, GenError, Module, Stream, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::VERDICT;
use seqnic_spec::tables::width;

/// Takes `verdict_valid`, `verdict` into a queue of `header_slots` (the arbiter's credits keep it
/// from overflowing) and gives `copy_valid`, `copy_verdict` and `copy_number`, one a clock (or in
/// `clocks_per_header` clocks), as long as there is a slot for the edit. `edit_taken`: the editor has taken an edit from its
/// queue; `edit_void`: a copy has become none.
/// `credit_return`: a verdict has left, and in the same clock `left_epoch`, its epoch.
///
/// A verdict with copies 0 (exceptions, which go to the host) is one copy, as one with 1.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("sequencer");
    m.doc("Queue of verdicts; orders their copies from `prepare` one by one, as edit slots allow.");
    let verdict_valid = m.input("verdict_valid", 1);
    let verdict = m.input_record("verdict", &record(&VERDICT), None);
    let edit_taken = m.input("edit_taken", 1);
    let edit_void = m.input("edit_void", 1);

    let arriving = Stream::new("arriving", verdict_valid, verdict);
    m.assert("verdict_has_a_slot", !verdict_valid | arriving.ready());
    // A queue that passes words in one clock has registers for two more: only where it matters.
    let (queue, _) = match g.clocks_per_header {
        1 => arriving.queue("verdicts", g.header_slots, |verdict| verdict),
        _ => arriving.fifo("verdicts", g.header_slots),
    };

    let slots = u128::from(edit_slots(g));
    let credits = m.reg("credits", clog2(edit_slots(g) + 1), slots);
    let number = m.reg("number", width::COPIES, 0);
    let copies = queue.field("copies");
    let exception = queue.field("reason").any();
    let following = m.reg("following", width::COPIES, 1);
    // copies 0 and 1 both end with number 0.
    let last = (exception | !less(following.q(), copies)).named("last");
    let apart = g.clocks_per_header;
    let gap = (apart > 1).then(|| m.reg("gap", clog2(apart), 0));
    let early = gap.map_or(m.lit(1, 0), |gap| gap.any());
    let go = (queue.valid & credits.any() & !early).named("go");
    if let Some(gap) = gap {
        let fewer = gap.q() - gap.any().zext(gap.width());
        gap.set(go.mux(gap.lit(u128::from(apart) - 1), fewer));
    }
    let done = (go & last).named("done");
    number.set_when(go, last.mux(number.lit(0), following.q()));
    let one = following.lit(1);
    following.set_when(go, last.mux(one, following.q() + one));
    m.assert("following_is_next", following.eq(number.q() + one));
    let width = credits.width();
    let back = edit_taken.zext(width) + edit_void.zext(width);
    credits.set(credits.q() - go.zext(width) + back);
    m.assert("credits_in_range", credits.le(credits.lit(slots)));
    // Where there is a gap, the queue moves in it.
    let leaves = match gap {
        Some(_) => done.as_valid().reg().named("leaves"),
        None => done,
    };
    queue.accept(leaves);

    // The queue's output register is the one in front of `prepare`.
    m.output("copy_valid", go);
    m.output("copy_verdict", queue.data);
    m.output("copy_number", number.q());
    m.output("credit_return", leaves.as_valid().reg());
    m.output("left_epoch", queue.field("epoch").reg());
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, packed, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::Sim;
    use seqnic_spec::wire::MAX_COPIES;

    #[test]
    fn every_copy_is_ordered_once_within_the_slots() {
        for apart in [1, 8] {
            ordered_once(&Geometry {
                clocks_per_header: apart,
                ..small(64)
            });
        }
    }

    fn ordered_once(g: &Geometry) {
        let mut ordered = None;
        let mut sim = Sim::new(&built(build(g)));
        let mut random = Random::new(1);
        sim.reset();
        let layout = record(&VERDICT);
        let (mut expected, mut found) = (vec![], vec![]);
        let (mut queued, mut edits, mut tag, mut left) = (0u32, 0u32, 0u64, 0u64);
        while sim.cycle() < 5000 {
            let rate = 1 + sim.cycle() / 1000;
            let send = sim.cycle() < 4500 && queued < g.header_slots && random.one_in(rate);
            sim.set("verdict_valid", send.into());
            if send {
                let reason = random.pick(&[0u64, 0, 0, 13]);
                let copies = match reason {
                    0 => random.pick(&[1, 1, 2, u64::from(MAX_COPIES)]),
                    // An exception is one copy whatever stands in `copies`.
                    _ => random.pick(&[0, 0, 5]),
                };
                let fields = [
                    ("tag", tag.into()),
                    ("reason", reason.into()),
                    ("copies", copies.into()),
                    ("epoch", (tag >> 1 & 1).into()),
                ];
                sim.set_bits("verdict", &packed(&layout, &fields));
                let n = if reason == 0 { copies } else { 1 };
                expected.extend((0..n).map(|i| (tag, i)));
                tag += 1;
                queued += 1;
            }
            let taken = edits > 0 && random.one_in(1 + sim.cycle() / 900 % 3);
            sim.set("edit_taken", taken.into());
            edits -= u32::from(taken);
            sim.step();
            queued -= sim.get("credit_return") as u32;
            if sim.get("credit_return") == 1 {
                assert_eq!(sim.get("left_epoch"), left >> 1 & 1, "verdict {left}");
                left += 1;
            }
            if sim.get("copy_valid") == 1 {
                edits += 1;
                assert!(edits <= edit_slots(g));
                let apart = u64::from(g.clocks_per_header);
                assert!(ordered.is_none_or(|o| o + apart <= sim.cycle()));
                ordered = Some(sim.cycle());
                let verdict = sim.get_bits("copy_verdict");
                let tag = unpacked(&layout, &verdict, "tag").low_u64();
                found.push((tag, sim.get("copy_number")));
            }
        }
        while found.len() < expected.len() {
            sim.set("verdict_valid", 0);
            sim.set("edit_taken", u64::from(edits > 0));
            edits = edits.saturating_sub(1);
            sim.step();
            if sim.get("copy_valid") == 1 {
                edits += 1;
                let verdict = sim.get_bits("copy_verdict");
                found.push((
                    unpacked(&layout, &verdict, "tag").low_u64(),
                    sim.get("copy_number"),
                ));
            }
            assert!(sim.cycle() < 40_000, "stuck");
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn one_copy_verdicts_pass_at_one_a_clock() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let one = packed(&record(&VERDICT), &[("copies", 1)]);
        let mut found = 0;
        for n in 0..204 {
            sim.set("verdict_valid", u64::from(n < 200));
            sim.set_bits("verdict", &one);
            let taken = sim.get("copy_valid");
            sim.set("edit_taken", taken);
            sim.step();
            found += sim.get("copy_valid");
        }
        assert_eq!(found, 200);
    }
}
