//! The walk of a snapshot, part of [`super::counters`]: every row of every memory, all memories at once.
//!
//! It begins with the turn of the phase. After a reset the phase bits in the rows say nothing: the first snapshot has a
//! walk in the phase that holds before it, of which nothing is given out.

use super::counter_set::{self, Adds};
use super::{record, response, seen};
use crate::tables::ROW_BITS;
use seqnic_gen::{GenError, Module, Reg, Sig, Stream, Wire, clog2};
use seqnic_spec::counters::{COUNTER_ROW, CounterSet, SNAPSHOT, SNAPSHOT_ITEM, SNAPSHOT_STATUS};

/// Rows that may wait in the queue of a set.
const ITEM_SLOTS: u32 = 16;
/// With more in any queue the walk waits; the other slots are for visits on their way and for rows that cannot wait.
const ITEM_ROOM: u32 = 2;
/// Clocks in which a row cannot be visited after which one is made free.
const STARVED: u32 = 8;
/// Clocks from the turn of the phase to the first visit, and from the last visit to the end: until then all that was
/// begun has come out.
const SETTLE: u32 = 15;

const _: () = assert!(ITEM_ROOM + counter_set::ITEM_LATENCY + 4 < ITEM_SLOTS);
const _: () = assert!(SETTLE > response::LATENCY + 2 && SETTLE > counter_set::ITEM_LATENCY + 6);

/// One set in a clock.
pub struct Counted<'m> {
    pub set: CounterSet,
    pub rows: u32,
    pub hit: Sig<'m>,
    pub row: Sig<'m>,
    pub adds: Adds,
    /// What is added to `bytes`; of `attachment_seen` the time.
    pub length: Option<Sig<'m>>,
    /// Clocks by which hits, rows and lengths are later than what the others have of the same event.
    pub delay: u32,
    /// The configuration port asks for this row of one of the sets.
    pub ask: Sig<'m>,
    pub cfg_row: Sig<'m>,
}

/// A row that is given out.
pub struct Given<'m> {
    pub name: &'static str,
    /// The sets in the memory it is of, and where they begin: at a multiple of their rows.
    pub sets: Vec<Place>,
    pub valid: Sig<'m>,
    pub row: Sig<'m>,
    pub count: Sig<'m>,
}

/// Where in a memory a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub set: CounterSet,
    pub first: u32,
    pub rows: u32,
}

impl Place {
    /// Whether a row of the memory is of this set.
    pub fn has<'m>(&self, row: Sig<'m>) -> Sig<'m> {
        let bits = clog2(self.rows);
        match bits < row.width() {
            true => row.shr(bits).is(u128::from(self.first >> bits)),
            false => row.lit(1).bit(0),
        }
    }
}

/// The way of the walk through one memory.
pub struct Way<'m> {
    /// The row that is next.
    pub row: Sig<'m>,
    /// It is to be visited.
    pub wants: Sig<'m>,
    at: Reg<'m>,
}

/// What the walk tells the configuration port.
pub struct Told<'m> {
    pub status: Sig<'m>,
    /// [`SNAPSHOT_ITEM`] and above it whether there is one.
    pub item: Sig<'m>,
}

pub struct Walk<'m> {
    m: &'m Module,
    phase: Reg<'m>,
    /// The phase turns with the next clock.
    pub turn: Sig<'m>,
    /// Every row is to be visited once more.
    restart: Sig<'m>,
    visiting: Sig<'m>,
    silent: Reg<'m>,
    running: Reg<'m>,
    room: Reg<'m>,
    done: Wire<'m>,
    /// The last item has gone into the stream.
    ended: Wire<'m>,
    /// Every row was visited, and what was given out has come out.
    over: Sig<'m>,
    blocked: Vec<Sig<'m>>,
    finished: Vec<Sig<'m>>,
    /// A snapshot is to begin as soon as the phase may turn.
    begun: Option<Sig<'m>>,
}

impl<'m> Walk<'m> {
    /// `start`: a snapshot is to begin, if none runs. `may_turn`: the clocks in which the phase may turn, if not all.
    pub fn new(m: &'m Module, start: Sig<'m>, may_turn: Option<Sig<'m>>) -> Walk<'m> {
        let phase = m.reg("phase", 1, 0);
        let running = m.reg("running", 1, 0);
        let silent = m.reg("silent", 1, 0);
        let unknown = m.reg("phases_unknown", 1, 1);
        let settle = m.reg("settle", clog2(SETTLE + 1), 0);
        let done = m.wire("all_done", 1);
        let ended = m.wire("snapshot_ended", 1);

        let mut begin = start & !running.q();
        let begun = may_turn.map(|may| {
            let waits = m.reg("start_waits", 1, 0);
            let wanted = begin | waits.q();
            waits.set(wanted & !may);
            begin = wanted & may;
            waits.q()
        });
        let begin = begin.named("begins");
        let settled = (!settle.any()).named("settled");
        let visiting = m.reg("visiting", 1, 0);
        let over = (running.q() & done.q() & settled & !visiting.q()).named("walk_over");
        // Rows are known to be in the phase that holds.
        let mut known = over & silent.q();
        if let Some(may) = may_turn {
            known = known & may;
        }
        let known = known.named("phases_known");
        let turn = ((begin & !unknown.q()) | known).named("turn");
        let restart = (begin | known).named("restart");
        phase.set_when(turn, !phase.q());
        running.set_when(begin | ended.q(), begin);
        silent.set_when(restart, begin & unknown.q());
        unknown.set_when(known, m.lit(1, 0));
        // While rows are visited it stays at its start, from the last visit on it runs down.
        let all_visited = (visiting.q() & done.q()).named("all_visited");
        let left = settle.q() - settled.mux(m.lit(settle.width(), 0), m.lit(settle.width(), 1));
        let full = m.lit(settle.width(), SETTLE.into());
        settle.set((restart | all_visited).mux(full, left));
        let first = (running.q() & settled & !visiting.q() & !done.q()).named("first_visit");
        visiting.set((visiting.q() | first) & !all_visited & !restart);
        Walk {
            m,
            phase,
            turn,
            restart,
            visiting: visiting.q(),
            silent,
            running,
            room: m.reg("item_room", 1, 0),
            done,
            ended,
            over,
            blocked: vec![],
            finished: vec![],
            begun,
        }
    }

    /// The phase of what is counted in this clock.
    pub fn phase(&self) -> Sig<'m> {
        self.phase.q()
    }

    /// A way through a memory; [`Walk::visited`] goes on with it.
    pub fn way(&mut self, name: &str, rows: u32) -> Way<'m> {
        let m = self.m;
        let bits = clog2(rows).max(1);
        let at = m.reg(&format!("{name}_at"), bits + 1, 0);
        let done = at.q().is(rows.into()).named(&format!("{name}_done"));
        self.finished.push(done);
        let wants = (self.visiting & self.room.q() & !done).named(&format!("{name}_wants"));
        let row = at.q().trunc(bits);
        Way { row, wants, at }
    }

    /// `visit`: the row is visited in this clock.
    pub fn visited(&self, way: &Way<'m>, visit: Sig<'m>) {
        let (m, at) = (self.m, way.at);
        let bits = at.q().width();
        let next = at.q() + m.lit(bits, 1);
        at.set_when(self.restart | visit, next.when(!self.restart));
    }

    /// Builds a set and walks it: its answer to the configuration port, and what it gives out.
    ///
    /// # Errors
    /// A number of rows that no memory has.
    pub fn set(&mut self, c: Counted<'m>) -> Result<(Sig<'m>, Given<'m>), Vec<GenError>> {
        let m = self.m;
        let name = c.set.name();
        let bits = clog2(c.rows).max(1);
        let way = self.way(name, c.rows);
        let (wants, at) = (way.wants, way.row);
        let place = Place {
            set: c.set,
            first: 0,
            rows: c.rows,
        };
        let sets = vec![place];
        let seen = c.set == CounterSet::AttachmentSeen;
        let ask = c.ask.as_valid().delay(c.delay);
        let visit = match seen {
            true => wants & !ask,
            false => wants & !ask & !c.hit,
        };
        let visit = visit.named(&format!("{name}_visit"));
        self.visited(&way, visit);
        let (hit_q, visit_q) = (c.hit.as_valid().reg(), visit.as_valid().reg());
        let row = c.row.trunc(bits);
        let asked = ask.mux(c.cfg_row.trunc(bits).delay(c.delay), at);
        let instance = format!("set_{name}");
        if seen {
            let time = c.length.unwrap_or(m.lit(64, 0));
            let inputs = [
                ("hit", hit_q),
                ("row", row.reg()),
                ("arrival", time.reg()),
                ("ask_row", asked.reg()),
            ];
            let answer = m
                .instance(&instance, &seen::build(c.rows)?, &inputs)
                .get("answer");
            let clocks = counter_set::LATENCY;
            let given = Given {
                name,
                sets,
                valid: visit_q.delay(clocks),
                row: at.reg().delay(clocks),
                count: answer,
            };
            return Ok((answer, given));
        }
        self.blocked.push(wants & c.hit);
        let phase = self.phase.q().delay(c.delay);
        m.assert(&format!("{name}_asked_without_a_hit"), !(ask & c.hit));
        let row = ask.mux(asked, c.hit.mux(row, at)).reg();
        let mut inputs = vec![
            ("hit", hit_q),
            ("visit", visit_q),
            ("phase", phase.reg()),
            ("row", row),
        ];
        inputs.extend(c.length.map(|length| ("length", length.reg())));
        let inst = m.instance(
            &instance,
            &counter_set::build(c.rows, c.adds, counter_set::Hits::EveryClock)?,
            &inputs,
        );
        let given = Given {
            name,
            sets,
            valid: inst.get("item_valid"),
            row: inst.get("item_row"),
            count: inst.get("item"),
        };
        Ok((inst.get("answer"), given))
    }

    /// Whether a clock is to be made free for one of the sets that [`Walk::set`] has built.
    pub fn starved(&self) -> Sig<'m> {
        let m = self.m;
        let starving = m.reg("starving", clog2(STARVED), 0);
        let blocked = m.or(&self.blocked);
        let starved = (blocked & starving.q().is(u128::from(STARVED) - 1)).named("starved");
        let more = starving.q() + starving.q().lit(1);
        starving.set(more.when(blocked & !starved));
        starved
    }

    /// Joins what the memories give out to the stream `snapshot`. `newest` is the time of the newest event that was
    /// taken; `take`: the configuration port takes an item.
    pub fn join(self, all: Vec<Given<'m>>, newest: Sig<'m>, take: Sig<'m>) -> Told<'m> {
        let m = self.m;
        let layout = record(&SNAPSHOT_ITEM);
        let (mut waiting, mut full, mut lost) = (vec![], vec![], vec![]);
        for given in all {
            let name = given.name;
            let count = given.count.with_record(&record(&COUNTER_ROW));
            let item = given.row.cat(given.count);
            let valid = (given.valid & count.any() & !self.silent.q() & self.running.q())
                .named(&format!("{name}_given"));
            let stream = Stream::new(&format!("{name}_item"), valid, item);
            lost.push((valid & !stream.ready()).named(&format!("{name}_lost")));
            let (queue, queued) = stream.fifo(&format!("{name}_items"), ITEM_SLOTS);
            full.push(queued.gt(m.lit(queued.width(), ITEM_ROOM.into())));
            waiting.push((name, given.sets, queue, queued));
        }
        self.room.set(!m.or(&full));

        // The first queue that has one, chosen a clock before: of the one that is chosen a second word counts. Those behind it
        // wait, but then so does the walk.
        let mut choices = vec![];
        let (mut earlier, mut gives) = (m.lit(1, 0), vec![]);
        let open = m.wire("items_open", 1);
        for (name, sets, queue, queued) in &waiting {
            let chosen = m.reg(&format!("{name}_chosen"), 1, 0);
            let more = !chosen.q() | queued.gt(queued.lit(1));
            let may = (queue.valid & more).named(&format!("{name}_may"));
            chosen.set(may & !earlier);
            earlier = earlier | may;
            let given = chosen.q();
            m.assert(&format!("{name}_chosen_has_one"), !given | queue.valid);
            queue.accept(given & open.q());
            gives.push(given);
            let counts = queue.data.trunc(128);
            let row = queue.data.slice(128, queue.data.width() - 128);
            let (set, row) = named(row, sets);
            let fields = [
                ("set", set),
                ("row", row.zext(ROW_BITS)),
                ("packets", counts.trunc(64)),
                ("bytes", counts.slice(64, 64)),
                ("last", m.lit(1, 0)),
            ];
            choices.push((given, m.pack(&layout, &fields)));
        }
        let any = m.reg("item_given", 1, 0);
        any.set(earlier);
        let any = any.q();
        m.assert("given_if_chosen", any.eq(m.or(&gives)));
        let waits: Vec<_> = waiting.iter().map(|w| w.2.valid).collect();
        let waits = m.or(&waits).named("item_waits");
        let torn = m.reg("torn", 1, 0);
        let items = m.reg("items", 32, 0);
        let as_of = m.reg_no_reset("as_of", 64);
        as_of.set_when(self.turn.as_valid().reg(), newest);
        // Nothing asks for it in the clock in which the last row is visited, or the first.
        let finished = m.and(&self.finished);
        self.done.drive(finished.as_valid().reg());
        // It waits until it is taken, as nothing else comes any more.
        let ended = self.ended.q();
        let last = (self.over & !self.silent.q() & !waits & !ended).named("all_are_given");
        let last = last.as_valid().reg().named("last_item");
        let fields = [
            ("set", m.lit(7, SNAPSHOT.into())),
            ("row", torn.q().zext(ROW_BITS)),
            ("packets", as_of.q()),
            ("bytes", items.q().zext(64)),
            ("last", m.lit(1, 1)),
        ];
        choices.push((last, m.pack(&layout, &fields)));
        let joined = Stream::new("joined", any | last, m.select_onehot(&choices));
        open.drive(joined.ready());
        self.ended.drive(last & joined.ready());
        torn.set_when(self.restart | m.or(&lost), !self.restart);
        let next = items.q() + (any & joined.ready()).zext(32);
        items.set(self.restart.mux(m.lit(32, 0), next));
        let count = m.reg("snapshots", 32, 0);
        count.set(count.q() + (last & joined.ready()).zext(32));

        let out = joined.register_slice("snapshot_out");
        out.accept(m.input("snapshot_ready", 1) | take);
        m.output("snapshot_valid", out.valid);
        m.output("snapshot_data", out.data);

        let running = match self.begun {
            Some(begun) => self.running.q() | begun,
            None => self.running.q(),
        };
        let fields = [
            ("running", running),
            ("torn", torn.q()),
            ("count", count.q()),
        ];
        Told {
            status: m.pack(&record(&SNAPSHOT_STATUS), &fields),
            item: out.valid.cat(out.data),
        }
    }
}

/// Set and row that a row of a memory is.
fn named<'m>(row: Sig<'m>, sets: &[Place]) -> (Sig<'m>, Sig<'m>) {
    let m = row.module();
    let number = |place: &Place| m.lit(7, place.set as u128);
    if let [only] = sets {
        return (number(only), row);
    }
    let each = sets.iter().map(|place| {
        let own = row.trunc(clog2(place.rows)).zext(row.width());
        (place.has(row), number(place).cat(own))
    });
    let found = m.select_onehot(&each.collect::<Vec<_>>());
    (found.slice(row.width(), 7), found.trunc(row.width()))
}
