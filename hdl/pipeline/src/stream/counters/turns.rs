//! The sets in two memories, for events that are some clocks apart: the sets that an event counts in have their turn one
//! after the other, through one adder a memory.
//!
//! A round of [`TURNS`] clocks goes on all the time; an event takes one, from its first turn on. A row is hit in one turn
//! of a round alone, and visited half a round from it, so no hit or visit meets another that is not written
//! yet. A read-out stops the round for a clock.

use super::{Count, Counting, Event, FIRST_SET, Question, SET_LATENCY, Sample, latency};
use crate::stream::counter_set::{self, APART, Adds, Hits};
use crate::stream::walk::{Counted, Given, Place, Walk, Way};
use seqnic_gen::{Bits, GenError, Module, Sig, Stream, clog2};
use seqnic_spec::counters::CounterSet;
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;

/// Clocks of a round: events come no closer in the long run.
const TURNS: usize = 8;
/// Clocks between a hit and a visit of a row.
const HALF: usize = TURNS / 2;
const _: () = assert!(HALF >= APART as usize);

/// Events in the queue from which on the buffer is held.
const BACKLOG: u32 = 6;

/// Rounds in a row in which a row cannot be visited before the buffer is held until it is.
const STARVED_ROUNDS: u32 = 8;

/// What has a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Set(CounterSet),
    /// Rows of set `reason` for a copy that is not sent, and for one that is lost.
    Unsent,
    Lost,
    Free,
}

use CounterSet::{
    Action, AttachmentAnswer, AttachmentIn, AttachmentOut, AttachmentSyn, AttachmentTime, Class,
    InterfaceIn, InterfaceOut, Rule,
};

/// The memories, and what has each turn of a round. Few rows are opposite of many, or of what is hit only where they
/// are not, so most visits find their turn free under full load. Samples of times come some clocks behind the
/// first turn.
const MEMORIES: [(&str, [Turn; TURNS]); 2] = [
    (
        "copies",
        [
            Turn::Set(Action),
            Turn::Set(AttachmentOut),
            Turn::Set(InterfaceIn),
            Turn::Set(CounterSet::Reason),
            Turn::Lost,
            Turn::Unsent,
            Turn::Free,
            Turn::Set(InterfaceOut),
        ],
    ),
    (
        "packets",
        [
            Turn::Set(Class),
            Turn::Set(AttachmentIn),
            Turn::Set(AttachmentAnswer),
            Turn::Set(Rule),
            Turn::Free,
            Turn::Free,
            Turn::Set(AttachmentSyn),
            Turn::Set(AttachmentTime),
        ],
    ),
];

/// The sets of a memory, the largest first, so that each begins at a multiple of its rows.
fn places(g: &Geometry, turns: &[Turn]) -> Vec<Place> {
    let mut sets: Vec<CounterSet> = turns.iter().filter_map(|turn| turn.set()).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.rows(g)));
    let mut first = 0;
    let place = sets.into_iter().map(|set| {
        let rows = set.rows(g);
        let place = Place { set, first, rows };
        first += rows;
        place
    });
    place.collect()
}

impl Turn {
    fn set(self) -> Option<CounterSet> {
        match self {
            Turn::Set(set) => Some(set),
            _ => None,
        }
    }

    /// Whether a row of the memory is hit in this turn.
    fn has<'m>(self, row: Sig<'m>, places: &[Place]) -> Sig<'m> {
        let m = row.module();
        let of = |set: CounterSet| {
            let place = places.iter().find(|place| place.set == set);
            place.map_or(m.lit(1, 0), |place| place.has(row))
        };
        let beside = |turn: Turn| {
            let rows = Reason::ALL.iter().filter(|r| turn_of(**r) == Some(turn));
            let code = row.trunc(seqnic_spec::reason::REASON_BITS);
            let each: Vec<Sig> = rows.map(|r| code.is(*r as u128)).collect();
            m.or(&each) & of(CounterSet::Reason)
        };
        match self {
            Turn::Set(CounterSet::Reason) => {
                of(CounterSet::Reason) & !(beside(Turn::Unsent) | beside(Turn::Lost))
            }
            Turn::Set(set) => of(set),
            Turn::Unsent | Turn::Lost => beside(self),
            Turn::Free => m.lit(1, 0),
        }
    }
}

/// The turn of a row of set `reason`, if it is not that of what packets have themselves.
fn turn_of(reason: Reason) -> Option<Turn> {
    match reason {
        Reason::OutputFull | Reason::HostLimited => Some(Turn::Lost),
        of_copy if of_copy.is_of_copy() => Some(Turn::Unsent),
        _ => None,
    }
}

pub fn build<'m>(
    m: &'m Module,
    g: &Geometry,
    events: &Stream<'m>,
    waiting: Sig<'m>,
    question: Question<'m>,
) -> Result<Counting<'m>, Vec<GenError>> {
    // Answers come when they do where samples of times are later than all else.
    let late = latency(g) - 1 - SET_LATENCY;
    let ask = question.ask.as_valid().delay(late).named("asked");
    let asked_row = question.row.delay(late);
    let asked_set = question.set.delay(late);

    let turn = m.reg_bits("turn", &Bits::new(TURNS as u32, 1));
    let now = turn.q();
    let go = (!ask).named("go");
    turn.set_when(go, now.trunc(TURNS as u32 - 1).cat(now.msb()));
    let (first, last) = (go & now.bit(0), go & now.msb());
    let begins = (first & events.valid).named("begins");
    let counting = m.reg("counting", 1, 0);
    counting.set((begins | counting.q()) & !last);
    let present = (begins | counting.q()).named("present");
    let taken = (last & counting.q()).named("taken");
    events.accept(taken);

    let event = Event::new(events, present);
    let begun = Event::new(events, begins);
    let response = begun.response(m, g)?;
    // Until its turn.
    let sample_hit = m.reg("sample_hit", 1, 0);
    let ended = response.get("hit");
    sample_hit.set((ended | sample_hit.q()) & !taken);
    let kept = |name: &str| {
        let value = response.get(name);
        let kept = m.reg_no_reset(&format!("sample_{name}"), value.width());
        kept.set_when(ended, value);
        kept.q()
    };
    let sample = Sample {
        hit: sample_hit.q(),
        row: kept("row"),
        took: kept("took"),
    };

    let mut walk = Walk::new(m, question.start, Some(last));
    let mut memories = vec![];
    for (name, turns) in &MEMORIES {
        let places = places(g, turns);
        let rows = places.iter().map(|place| place.rows).sum();
        memories.push(Memory {
            m,
            name,
            turns,
            rows,
            way: walk.way(name, rows),
            places,
        });
    }
    let mut given = vec![];
    let mut answers = vec![];
    let mut holds = vec![question.ask, waiting.ge(waiting.lit(BACKLOG.into()))];
    for memory in &memories {
        let counts: Vec<_> = (memory.turns.iter())
            .map(|turn| memory.count(*turn, &event, &sample))
            .collect();
        let round = Round { now, go };
        let hit = memory.hit(&round, &counts);
        let (visit, starved) = memory.visit(&round, hit);
        walk.visited(&memory.way, visit);
        holds.push(starved);
        let asked = memory.asked(asked_set, asked_row);
        let row = ask.mux(
            asked.1,
            hit.mux(memory.row(&round, &counts), memory.way.row),
        );
        let adds = counts.iter().flatten().map(|c| c.adds);
        let adds = adds.fold(Adds::Packets, Adds::wider);
        let length = memory.length(&round, &counts, adds);
        let mut inputs = vec![
            ("hit", hit.as_valid().reg()),
            ("visit", visit.as_valid().reg()),
            ("phase", walk.phase().reg()),
            ("row", row.reg()),
        ];
        inputs.extend(length.map(|length| ("length", length.reg())));
        let circuit = counter_set::build(memory.rows, adds, Hits::Apart)?;
        let inst = m.instance(&format!("set_{}", memory.name), &circuit, &inputs);
        answers.push((asked.0.delay(SET_LATENCY), inst.get("answer")));
        given.push(Given {
            name: memory.name,
            sets: memory.places.clone(),
            valid: inst.get("item_valid"),
            row: inst.get("item_row"),
            count: inst.get("item"),
        });
    }

    // It has a port for those who ask, and so no turn.
    let set = CounterSet::AttachmentSeen;
    let count = begun.count(set, &sample);
    let counted = Counted {
        set,
        rows: set.rows(g),
        hit: count.hit,
        row: count.row,
        adds: count.adds,
        length: count.length,
        delay: 0,
        cfg_row: asked_row,
        ask,
    };
    let (answer, of_set) = walk.set(counted)?;
    let asked = asked_set.is(set as u128 - FIRST_SET);
    answers.push((asked.delay(SET_LATENCY), answer));
    given.push(of_set);
    Ok(Counting {
        walk,
        given,
        answer: m.select_onehot(&answers),
        taken,
        hold: m.or(&holds),
    })
}

/// The clock in a round.
struct Round<'m> {
    /// A bit for each turn.
    now: Sig<'m>,
    /// The turn is taken in this clock.
    go: Sig<'m>,
}

impl<'m> Round<'m> {
    fn is(&self, turn: usize) -> Sig<'m> {
        self.now.bit((turn % TURNS) as u32)
    }
}

/// One of the [`MEMORIES`].
struct Memory<'m> {
    m: &'m Module,
    name: &'static str,
    turns: &'static [Turn; TURNS],
    places: Vec<Place>,
    rows: u32,
    way: Way<'m>,
}

impl<'m> Memory<'m> {
    /// What the event counts in a turn; its row is that of the memory.
    fn count(&self, turn: Turn, event: &Event<'_, 'm>, sample: &Sample<'m>) -> Option<Count<'m>> {
        let set = match turn {
            Turn::Set(set) => set,
            Turn::Unsent | Turn::Lost => CounterSet::Reason,
            Turn::Free => return None,
        };
        let mut count = event.count(set, sample);
        if turn == Turn::Unsent || turn == Turn::Lost {
            let beside = event.beside().into_iter();
            let beside: Vec<_> = beside.filter(|b| turn_of(b.0) == Some(turn)).collect();
            let hits: Vec<Sig> = beside.iter().map(|b| b.1).collect();
            let code = |r: Reason| self.m.lit(count.row.width(), r as u128);
            let rows: Vec<_> = beside.iter().map(|b| (b.1, code(b.0))).collect();
            let lengths: Vec<_> = beside.iter().map(|b| (b.1, b.2)).collect();
            count.hit = self.m.or(&hits);
            count.row = self.m.select_onehot(&rows);
            count.length = Some(self.m.select_onehot(&lengths));
        }
        count.row = self.place(set, count.row);
        Some(count)
    }

    /// Row of the memory of a set's row.
    fn place(&self, set: CounterSet, row: Sig<'m>) -> Sig<'m> {
        let bits = clog2(self.rows).max(1);
        let place = self.places.iter().find(|place| place.set == set);
        let (first, own) = place.map_or((0, bits), |place| (place.first, clog2(place.rows)));
        match own < bits {
            true => self
                .m
                .lit(bits - own, u128::from(first >> own))
                .cat(row.trunc(own)),
            false => row.trunc(bits),
        }
    }

    fn hit(&self, round: &Round<'m>, counts: &[Option<Count<'m>>]) -> Sig<'m> {
        let each = counts.iter().enumerate();
        let each = each.filter_map(|(n, c)| Some(round.is(n) & c.as_ref()?.hit));
        (self.m.or(&each.collect::<Vec<_>>()) & round.go).named(&format!("{}_hit", self.name))
    }

    fn row(&self, round: &Round<'m>, counts: &[Option<Count<'m>>]) -> Sig<'m> {
        let each = counts.iter().enumerate();
        let each = each.filter_map(|(n, c)| Some((round.is(n), c.as_ref()?.row)));
        let row = self.m.select_onehot(&each.collect::<Vec<_>>());
        row.named(&format!("{}_row", self.name))
    }

    fn length(
        &self,
        round: &Round<'m>,
        counts: &[Option<Count<'m>>],
        adds: Adds,
    ) -> Option<Sig<'m>> {
        let Adds::Both(bits) = adds else {
            return None;
        };
        let each = counts.iter().enumerate();
        let each = each.filter_map(|(n, c)| Some((round.is(n), c.as_ref()?.length?.zext(bits))));
        Some(self.m.select_onehot(&each.collect::<Vec<_>>()))
    }

    /// Whether the next row is visited, and whether it has waited for long.
    fn visit(&self, round: &Round<'m>, hit: Sig<'m>) -> (Sig<'m>, Sig<'m>) {
        let (m, way) = (self.m, &self.way);
        let name = |what: &str| format!("{}_{what}", self.name);
        let each = self.turns.iter().enumerate();
        let each: Vec<Sig> = each
            .filter(|(_, turn)| **turn != Turn::Free)
            .map(|(n, turn)| round.is(n + HALF) & turn.has(way.row, &self.places))
            .collect();
        let at = way.wants & round.go & m.or(&each);
        let visit = (at & !hit).named(&name("visit"));
        let waited = m.reg(&name("waited"), clog2(STARVED_ROUNDS), 0);
        let starved = waited.q().all().named(&name("starved"));
        let more = waited.q() + (!starved).zext(waited.q().width());
        waited.set_when(at, more.when(hit));
        (visit, starved)
    }

    /// Whether a set of this memory is asked for, and the row.
    fn asked(&self, set: Sig<'m>, row: Sig<'m>) -> (Sig<'m>, Sig<'m>) {
        let each = self.places.iter().map(|place| {
            let asked = set.is(place.set as u128 - FIRST_SET);
            (asked, self.place(place.set, row))
        });
        let each: Vec<_> = each.collect();
        let any: Vec<Sig> = each.iter().map(|e| e.0).collect();
        (self.m.or(&any), self.m.select_onehot(&each))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::geometry::EDGE;
    use std::collections::BTreeSet;

    #[test]
    fn every_set_but_the_arrivals_has_one_turn() {
        let turns = || MEMORIES.iter().flat_map(|m| m.1);
        let sets: BTreeSet<_> = turns().filter_map(Turn::set).collect();
        let mut all = BTreeSet::from(CounterSet::ALL);
        all.remove(&CounterSet::AttachmentSeen);
        assert_eq!(sets, all);
        assert_eq!(turns().filter_map(Turn::set).count(), all.len());
    }

    #[test]
    fn every_set_begins_at_a_multiple_of_its_rows() {
        for (name, turns) in &MEMORIES {
            for place in places(&EDGE, turns) {
                assert!(place.rows.is_power_of_two(), "{place:?}");
                assert_eq!(place.first % place.rows, 0, "{name} {place:?}");
            }
        }
    }
}
