//! Times between packets sent to an attachment and packets that come back: one sample at a time for
//! each row (docs/semantics.md section 5).
//!
//! An event may take a place and free another. So there are two memories, each with a port that writes: `taken` is
//! written by packets that leave, `freed` by packets that come in, and a place is free while their marks are
//! equal. Each is there twice, because both kinds of packet read both.

use seqnic_gen::{Circuit, GenError, Module, RamSpec, Record, Sig, clog2};
use seqnic_spec::counters::{TIME_BITS, TIME_BUCKETS, TIME_LOWEST_BITS};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::width;

/// Clocks from an event to `hit`.
pub const LATENCY: u32 = 3;

/// Clocks from a row's number to the row.
const READ: u32 = 1;

fn sample() -> Record {
    Record::new("sample", [("time", 64), ("flow", 16), ("mark", 1)])
}

/// Takes, of one event, `now`; `back`, `back_row`, `back_flow`: a packet came from an attachment; `sent`,
/// `sent_row`, `sent_flow`: a copy was sent, and the attachment it is to come back from. The first counts before
/// the second. Gives `hit`, `row` (attachment * 16 + bucket) and `took` ([`TIME_BITS`]) of a sample that ended,
/// [`LATENCY`] clocks later.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("response");
    m.doc("Times between packets sent to attachments and packets that come back, one sample at a time each.");
    let now = m.input("now", 64).delay(READ);
    let bits = clog2(g.timed);
    let side = |name: &str| {
        let valid = m.input(name, 1);
        let number = m.input(&format!("{name}_row"), width::ATTACHMENT);
        let flow = m.input(&format!("{name}_flow"), 16);
        let measured = match bits < width::ATTACHMENT {
            true => !number.shr(bits).any(),
            false => m.lit(1, 1),
        };
        (valid & measured, number.trunc(bits), flow)
    };
    let (back, back_row, back_flow) = side("back");
    let (sent, sent_row, sent_flow) = side("sent");
    let (back_then, sent_then) = (back.as_valid().delay(READ), sent.as_valid().delay(READ));
    let rows_then = [back_row.delay(READ), sent_row.delay(READ)];

    let layout = sample();
    let take = m.wire("take", 1);
    let free = m.wire("free", 1);
    let new_sample = m.wire("new_sample", layout.width());
    let new_mark = m.wire("new_mark", 1);
    let take_q = take.q().as_valid().reg();
    let free_q = free.q().as_valid().reg();
    let (sample_q, mark_q) = (new_sample.q().reg(), new_mark.q().reg());
    let (took_row, freed_row) = (rows_then[1].reg(), rows_then[0].reg());

    // What is read misses the writes of the events just before, where they are that close.
    let close = g.clocks_per_header == 1;
    let takes = Write {
        close,
        valid: take_q,
        comes: sent_row,
        row: took_row,
        data: sample_q,
    };
    let frees = Write {
        close,
        valid: free_q,
        comes: back_row,
        row: freed_row,
        data: mark_q,
    };
    let old = |name: &str, row| {
        let spec = RamSpec::of(g.timed, &layout);
        let taken = takes.read(&format!("taken_{name}"), spec, row);
        let spec = RamSpec::new(g.timed, 1);
        let freed = frees.read(&format!("freed_{name}"), spec, row);
        let taken = taken.with_record(&layout).named(&format!("old_{name}"));
        let age = (now - taken.field("time")).named(&format!("age_{name}"));
        let young = !age.shr(TIME_BITS).any();
        (taken, freed.named(&format!("mark_{name}")), age, young)
    };
    let (taken, freed, age, young) = old("back", back_row);
    let waits = taken.field("mark").ne(freed);
    let same_flow = taken.field("flow").eq(back_flow.delay(READ));
    let ends = (back_then & waits & young & same_flow).named("ends");
    free.drive(ends);
    new_mark.drive(taken.field("mark"));

    let (taken, freed, _, young) = old("sent", sent_row);
    let just_freed = ends & rows_then[0].eq(rows_then[1]);
    let mark = just_freed.mux(taken.field("mark"), freed);
    let waits = taken.field("mark").ne(mark) & young;
    take.drive(sent_then & !waits);
    let fields = [
        ("time", now),
        ("flow", sent_flow.delay(READ)),
        ("mark", !mark),
    ];
    new_sample.drive(m.pack(&layout, &fields));

    // A bucket is the place of the highest bit, of 2^10 and up.
    let time = age.trunc(TIME_BITS).reg();
    let highest = TIME_LOWEST_BITS + TIME_BUCKETS - 2;
    let mut bucket = m.lit(4, 0);
    for b in 1..TIME_BUCKETS {
        let at = TIME_LOWEST_BITS + b - 1;
        let reached = match at == highest {
            true => time.shr(at).any(),
            false => time.bit(at),
        };
        bucket = reached.mux(m.lit(4, b.into()), bucket);
    }
    m.output("hit", free_q.as_valid().reg());
    m.output("row", freed_row.cat(bucket).reg());
    m.output("took", time.reg());
    m.finish()
}

/// What an event writes, a clock behind its decision.
struct Write<'m> {
    /// The next event may be one of the next clock.
    close: bool,
    valid: Sig<'m>,
    /// The row as the event comes.
    comes: Sig<'m>,
    row: Sig<'m>,
    data: Sig<'m>,
}

impl<'m> Write<'m> {
    /// A memory that has these writes: its row, with those of the events just before, which the read missed.
    fn read(&self, name: &str, spec: RamSpec, row: Sig<'m>) -> Sig<'m> {
        let m = row.module();
        let memory = m.ram(name, spec.latency(READ));
        memory.write(self.valid, self.row, self.data);
        if !self.close {
            return memory.read(row);
        }
        let newest: Vec<_> = (0..=READ)
            .map(|n| {
                // Known as the row comes.
                let same = self.comes.delay(n + 1).eq(row).as_valid().delay(READ);
                (self.valid.delay(n) & same, self.data.delay(n))
            })
            .collect();
        m.priority(&newest, memory.read(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, small};
    use crate::testing::Random;
    use seqnic_gen::Sim;
    use seqnic_spec::counters::time_bucket;
    use std::collections::VecDeque;

    /// Against a plain reading of the rule, at one event a clock and some clocks apart, on few rows and flows.
    #[test]
    fn samples_begin_and_end_as_they_should() {
        for apart in [1, 8] {
            let g = Geometry {
                clocks_per_header: apart,
                ..small(64)
            };
            let mut sim = Sim::new(&built(build(&g)));
            let mut random = Random::new(5);
            sim.reset();
            let mut model: Vec<Option<(u64, u64)>> = vec![None; g.timed as usize];
            let mut due = VecDeque::from(vec![None; LATENCY as usize]);
            let (mut now, mut ended, mut old) = (1u64, 0, 0);
            for clock in 0..40_000u64 {
                let rows = random.pick(&[1, 2, 12]);
                let digits = random.below(28);
                now += 1 + random.below(1 << digits);
                if random.one_in(1000) {
                    now += 1 << 31;
                }
                let event = clock % u64::from(g.clocks_per_header) == 0;
                let back = event && !random.one_in(3);
                let sent = event && !random.one_in(3);
                let (from, to) = (random.below(rows), random.below(rows));
                let (flow_in, flow_out) = (random.below(2), random.below(2));
                for (name, value) in [
                    ("now", now),
                    ("back", back.into()),
                    ("back_row", from),
                    ("back_flow", flow_in),
                    ("sent", sent.into()),
                    ("sent_row", to),
                    ("sent_flow", flow_out),
                ] {
                    sim.set(name, value);
                }
                let mut end = None;
                if let Some(place) = model.get_mut(from as usize).filter(|_| back)
                    && let Some((since, flow)) = *place
                    && now - since < 1 << TIME_BITS
                    && flow == flow_in
                {
                    *place = None;
                    end = Some((from, now - since));
                    ended += 1;
                }
                if let Some(place) = model.get_mut(to as usize).filter(|_| sent) {
                    let gone = place.is_some_and(|(since, _)| now - since >= 1 << TIME_BITS);
                    old += u32::from(gone);
                    if place.is_none() || gone {
                        *place = Some((now, flow_out));
                    }
                }
                due.push_back(end);
                let expected = due.pop_front().unwrap();
                let found = (sim.get("hit") == 1).then(|| (sim.get("row"), sim.get("took")));
                let expected = expected.map(|(row, time): (u64, u64)| {
                    (
                        row * u64::from(TIME_BUCKETS) + u64::from(time_bucket(time)),
                        time,
                    )
                });
                assert_eq!(found, expected, "clock {clock}");
                sim.step();
            }
            let least = if apart == 1 { 5000 } else { 500 };
            assert!(ended > least && old > 5, "{ended} {old}");
        }
    }
}
