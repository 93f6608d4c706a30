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

/// Clocks from an event to its row, to what the row says of it, and to the decision.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    read: u32,
    judge: u32,
    decide: u32,
}

/// An event in every clock leaves no time to read, compare and decide within one.
const EVERY_CLOCK: Clocks = Clocks {
    read: 2,
    judge: 3,
    decide: 4,
};
const APART: Clocks = Clocks {
    read: 1,
    judge: 1,
    decide: 1,
};

const fn clocks(g: &Geometry) -> Clocks {
    if g.clocks_per_header == 1 {
        EVERY_CLOCK
    } else {
        APART
    }
}

/// Clocks from an event to `hit`.
pub const fn latency(g: &Geometry) -> u32 {
    clocks(g).decide + 2
}

/// The most that [`latency`] is.
pub const LATENCY: u32 = EVERY_CLOCK.decide + 2;

fn sample() -> Record {
    Record::new("sample", [("time", 64), ("flow", 16), ("mark", 1)])
}

/// Takes, of one event, `now`; `back`, `back_row`, `back_flow`: a packet came from an attachment; `sent`,
/// `sent_row`, `sent_flow`: a copy was sent, and the attachment it is to come back from. The first counts before
/// the second. Gives `hit`, `row` (attachment * 16 + bucket) and `took` ([`TIME_BITS`]) of a sample that ended,
/// [`latency`] clocks later.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("response");
    m.doc("Times between packets sent to attachments and packets that come back, one sample at a time each.");
    let now = m.input("now", 64);
    let bits = clog2(g.timed);
    let side = |name: &'static str| {
        let valid = m.input(name, 1);
        let number = m.input(&format!("{name}_row"), width::ATTACHMENT);
        let flow = m.input(&format!("{name}_flow"), 16);
        let measured = match bits < width::ATTACHMENT {
            true => !number.shr(bits).any(),
            false => m.lit(1, 1),
        };
        Side {
            name,
            valid: valid & measured,
            row: number.trunc(bits),
            flow,
        }
    };
    let (back, sent) = (side("back"), side("sent"));
    let at = clocks(g);
    let (back_then, sent_then) = (
        back.valid.as_valid().delay(at.decide),
        sent.valid.as_valid().delay(at.decide),
    );

    let layout = sample();
    let take = m.wire("take", 1);
    let free = m.wire("free", 1);
    let new_sample = m.wire("new_sample", layout.width());
    let new_mark = m.wire("new_mark", 1);
    let writes = Writes {
        at,
        // The next event may be one of the next clock.
        close: g.clocks_per_header == 1,
        take: Write {
            valid: take.q().as_valid().reg(),
            comes: sent.row,
            data: new_sample.q().reg(),
        },
        free: Write {
            valid: free.q().as_valid().reg(),
            comes: back.row,
            data: new_mark.q().reg(),
        },
        now,
        sent_flow: sent.flow,
    };

    // Of one that comes back only a sample of its flow.
    let of_back = writes.place(g, &back, Some(back.flow));
    let ends = (back_then & of_back.waits).named("ends");
    free.drive(ends);
    new_mark.drive(of_back.mark);

    let of_sent = writes.place(g, &sent, None);
    let same_row = back.row.eq(sent.row).as_valid().delay(at.decide);
    let just_freed = ends & same_row;
    take.drive(sent_then & (!of_sent.waits | just_freed));
    let taken = of_sent.taken & !just_freed;
    let fields = [
        ("time", now.delay(at.decide)),
        ("flow", sent.flow.delay(at.decide)),
        // Unlike that of `freed`, which is what it was if it is taken.
        ("mark", of_sent.mark ^ !taken),
    ];
    new_sample.drive(m.pack(&layout, &fields));

    // A bucket is the place of the highest bit, of 2^10 and up.
    let time = of_back.age.reg();
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
    let freed_row = back.row.delay(at.decide + 1);
    m.output("hit", writes.free.valid.as_valid().reg());
    m.output("row", freed_row.cat(bucket).reg());
    m.output("took", time.reg());
    m.finish()
}

/// One of the two packets of an event.
struct Side<'m> {
    name: &'static str,
    valid: Sig<'m>,
    row: Sig<'m>,
    flow: Sig<'m>,
}

/// What an event writes, a clock behind its decision.
struct Write<'m> {
    valid: Sig<'m>,
    /// The row as the event comes.
    comes: Sig<'m>,
    data: Sig<'m>,
}

/// What is known of a place.
struct Place<'m> {
    /// It has a sample.
    taken: Sig<'m>,
    /// One that is young enough, and of the flow that is asked for.
    waits: Sig<'m>,
    /// Its mark, also of the last there was.
    mark: Sig<'m>,
    age: Sig<'m>,
}

/// What the events before write.
struct Writes<'m> {
    at: Clocks,
    close: bool,
    take: Write<'m>,
    free: Write<'m>,
    /// Of the event that comes.
    now: Sig<'m>,
    sent_flow: Sig<'m>,
}

impl<'m> Writes<'m> {
    /// The place of `side` as an event finds it when it decides; with `flow` only samples of that one wait.
    fn place(&self, g: &Geometry, side: &Side<'m>, flow: Option<Sig<'m>>) -> Place<'m> {
        let name = side.name;
        let layout = sample();
        let spec = RamSpec::of(g.timed, &layout);
        let taken = self.read(&self.take, &format!("taken_{name}"), spec, side.row);
        let spec = RamSpec::new(g.timed, 1);
        let freed = self.read(&self.free, &format!("freed_{name}"), spec, side.row);
        let taken = taken.delay(self.at.judge - self.at.read);
        let freed = freed.delay(self.at.judge - self.at.read);
        let taken = taken.with_record(&layout).named(&format!("old_{name}"));
        let now = self.now.delay(self.at.judge);
        let age = (now - taken.field("time")).named(&format!("age_{name}"));
        let mut fits = !age.shr(TIME_BITS).any();
        if let Some(flow) = flow {
            fits = fits & taken.field("flow").eq(flow.delay(self.at.judge));
        }
        let has = taken.field("mark").ne(freed.named(&format!("mark_{name}")));
        let mut place = Place {
            taken: has,
            waits: has & fits,
            mark: taken.field("mark"),
            age: age.trunc(TIME_BITS),
        };
        if self.close {
            // The event two before has decided when the row is judged, the one before when it is decided.
            place = self.behind(2, self.at.judge, side.row, flow, place).reg();
            place = self.behind(1, self.at.decide, side.row, flow, place);
        }
        place
    }

    /// A place in clock `at` of an event, behind the event `back` before.
    fn behind(
        &self,
        back: u32,
        at: u32,
        row: Sig<'m>,
        flow: Option<Sig<'m>>,
        place: Place<'m>,
    ) -> Place<'m> {
        // All of it but whether there was a write is known before.
        let age = (self.now - self.now.delay(back)).reg();
        let mut fits = (!age.shr(TIME_BITS).any()).as_valid().reg().delay(at - 2);
        if let Some(flow) = flow {
            let same = self.sent_flow.delay(back).eq(flow).as_valid().reg();
            fits = fits & same.delay(at - 1);
        }
        let same = |write: &Write<'m>| write.comes.delay(back).eq(row).as_valid().delay(at);
        let took = self.take.valid & same(&self.take);
        let freed = self.free.valid & same(&self.free);
        let mark = self.take.data.with_record(&sample()).field("mark");
        Place {
            taken: took | (place.taken & !freed),
            waits: took.mux(fits, place.waits & !freed),
            mark: took.mux(mark, place.mark),
            age: took.mux(age.trunc(TIME_BITS).delay(at - 1), place.age),
        }
    }

    /// A memory that has `write`: its row in clock `read` of an event, with what the events before wrote by then and the read
    /// missed.
    fn read(&self, write: &Write<'m>, name: &str, spec: RamSpec, row: Sig<'m>) -> Sig<'m> {
        let (m, read) = (row.module(), self.at.read);
        let memory = m.ram(name, spec.latency(read));
        let written = self.at.decide + 1;
        memory.write(write.valid, write.comes.delay(written), write.data);
        let stored = memory.read(row);
        if !self.close {
            return stored;
        }
        // Which of them are of this row is known as it comes, and the newest but the last is chosen a clock before.
        let first = written - read;
        let same = |back: u32| write.comes.delay(back).eq(row).as_valid();
        let older: Vec<_> = (first + 1..=written)
            .map(|back| {
                let ago = back - first - 1;
                let same = same(back).delay(read - 1);
                (write.valid.delay(ago) & same, write.data.delay(ago))
            })
            .collect();
        let any: Vec<_> = older.iter().map(|o| o.0).collect();
        let any = m.or(&any).as_valid().reg();
        let older = m.priority(&older[..older.len() - 1], older[older.len() - 1].1);
        let last = write.valid & same(first).delay(read);
        last.mux(write.data, any.mux(older.reg(), stored))
    }
}

impl Place<'_> {
    fn reg(self) -> Self {
        Place {
            taken: self.taken.as_valid().reg(),
            waits: self.waits.as_valid().reg(),
            mark: self.mark.reg(),
            age: self.age.reg(),
        }
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
            let mut due = VecDeque::from(vec![None; latency(&g) as usize]);
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
