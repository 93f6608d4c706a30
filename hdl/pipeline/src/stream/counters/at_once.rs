//! Every set with a memory and an adder of its own, for an event a clock.
//!
//! The rows of what became of a copy are pairs of registers, put in at read-out: the packet's own reason may have a hit
//! in the same clock.

use super::{Counting, Event, FIRST_SET, Question, SET_LATENCY, Sample, latency};
use crate::stream::walk::{Counted, Given, Walk};
use crate::stream::{record, response};
use seqnic_gen::{GenError, Module, Sig, Stream, clog2};
use seqnic_spec::counters::{COUNTER_ROW, CounterSet};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;

pub fn build<'m>(
    m: &'m Module,
    g: &Geometry,
    events: &Stream<'m>,
    question: Question<'m>,
) -> Result<Counting<'m>, Vec<GenError>> {
    let Question { ask, row, .. } = question;
    events.accept(!ask);
    let take = events.fire().named("take");
    let event = Event::new(events, take);
    let beside: Vec<_> = event
        .beside()
        .into_iter()
        .map(|(reason, hit, length)| (reason, counts(m, reason, hit, length)))
        .collect();
    let response = event.response(m, g)?;
    let sample = Sample {
        hit: response.get("hit"),
        row: response.get("row"),
        took: response.get("took"),
    };

    let mut walk = Walk::new(m, question.start, None);
    let asked_set = question.set.delay(SET_LATENCY);
    let mut answers = vec![];
    let mut time_answer = None;
    let mut given = vec![];
    for set in CounterSet::ALL {
        let count = event.count(set, &sample);
        let counted = Counted {
            set,
            rows: set.rows(g),
            hit: count.hit,
            row: count.row,
            adds: count.adds,
            length: count.length,
            // It is told of an event later, and so of a question.
            delay: match set {
                CounterSet::AttachmentTime => response::latency(g),
                _ => 0,
            },
            cfg_row: row,
            ask,
        };
        let (mut answer, mut of_set) = walk.set(counted)?;
        if set == CounterSet::Reason {
            let bits = clog2(set.rows(g)).max(1);
            for (reason, counts) in beside.iter().copied() {
                let asked = row.trunc(bits).is(reason as u128).delay(SET_LATENCY);
                answer = asked.mux(counts, answer);
                // As they were when the phase turned, two clocks behind the event.
                let kept = m.reg_no_reset(&format!("{}_before", reason.name()), counts.width());
                kept.set_when(walk.turn.as_valid().delay(2), counts);
                let is_row = of_set.row.is(reason as u128);
                of_set.count = is_row.mux(kept.q(), of_set.count);
            }
            of_set = Given {
                valid: of_set.valid.as_valid().reg(),
                row: of_set.row.reg(),
                count: of_set.count.reg(),
                ..of_set
            };
        }
        let asked = asked_set.is(set as u128 - FIRST_SET);
        match set {
            CounterSet::AttachmentTime => {
                time_answer = Some(answer.when(asked.delay(response::latency(g))));
            }
            _ => answers.push((asked, answer)),
        }
        given.push(of_set);
    }
    let answer = m
        .select_onehot(&answers)
        .delay(latency(g) - 1 - SET_LATENCY);
    let answer = m.or(&[answer, time_answer.unwrap_or(m.lit(answer.width(), 0))]);
    let starved = walk.starved();
    Ok(Counting {
        walk,
        given,
        answer,
        taken: take,
        hold: ask | starved,
    })
}

/// A row of set `reason` in registers: counts each event with `hit`.
fn counts<'m>(m: &'m Module, reason: Reason, hit: Sig<'m>, length: Sig<'m>) -> Sig<'m> {
    let name = reason.name();
    let hit = hit.named(&format!("{name}_hit")).as_valid().reg();
    let length = length.reg();
    let packets = m.reg(&format!("{name}_packets"), 64, 0);
    let bytes = m.reg(&format!("{name}_bytes"), 64, 0);
    packets.set(packets.q() + hit.zext(64));
    bytes.set(bytes.q() + length.when(hit).zext(64));
    let fields = [("packets", packets.q()), ("bytes", bytes.q())];
    m.pack(&record(&COUNTER_ROW), &fields)
}
