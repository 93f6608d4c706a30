//! Counters: every [`CounterSet`], fed by one event a copy.
//!
//! Events and read-outs share the memories' ports: a read-out takes a clock in which the events
//! wait in a queue, and `hold` makes the buffer leave a clock free for it. So counting is exact
//! and read-outs answer after a fixed time, at full load too.
//!
//! Where an event may come in every clock each set has a memory and an adder of its own ([`at_once`]); where they are
//! some clocks apart the sets lie behind each other in few memories and have their turn one after the other ([`turns`]).
//! What an event counts where is the same for both: [`Event::count`].
//!
//! A snapshot is a walk through all memories at once ([`super::walk`], [`counter_set`]), each row visited in a clock in
//! which its memory counts nothing. Where there is no such clock, `hold` makes one free now and then. What is given out
//! goes through a small queue of each memory into one stream; if the taker is slow the walk waits, and nothing else
//! does: rows that must be given out then find their queue full at worst, and the snapshot says that it is torn.
//!
//! A copy dropped at its output counts in row `output_full` of set `reason`, one that is not sent in
//! `too_big`, `unavailable` and so on, one the host takes no more of in `host_limited`, while the same event may count
//! the packet's own reason; no packet has one of these as its own.

mod at_once;
mod turns;

use super::counter_set::Adds;
use super::walk::{Given, Walk};
use super::{LENGTH_BITS, counter_set, record, response};
use crate::tables::{ROW_BITS, TABLE_BITS};
use seqnic_gen::{Circuit, GenError, Instance, Module, Sig, Stream};
use seqnic_spec::counters::{CounterSet, SNAPSHOT, SNAPSHOT_TAKEN, TIME_BITS};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::EVENT;

/// Clocks from a question to the answer of most sets.
const SET_LATENCY: u32 = counter_set::LATENCY + 1;
/// Clocks from `cfg_read` to `cfg_rdata`.
pub const fn latency(g: &Geometry) -> u32 {
    SET_LATENCY + response::latency(g) + 1
}

/// Events that may wait: those on their way from the buffer when `hold` begins, and some to spare.
fn event_slots(g: &Geometry) -> u32 {
    if g.clocks_per_header == 1 { 32 } else { 16 }
}

/// Counter sets follow the tables' numbers: the highest bit of the number says it is one.
const FIRST_SET: u128 = 1 << (TABLE_BITS - 1);

/// Takes `event_valid`, `event_data` ([`EVENT`]); `cfg_write`, `cfg_read`, `cfg_table`, `cfg_row`: a read answers
/// [`latency`] clocks later with `cfg_rdata` ([`seqnic_spec::counters::COUNTER_ROW`], or a row of the snapshot). Gives
/// `hold` for the buffer and `busy`, and the stream `snapshot` ([`seqnic_spec::counters::SNAPSHOT_ITEM`]).
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("counters");
    m.doc("All counter sets. A read-out delays the events by a clock and asks for one without a slot.");
    let event_valid = m.input("event_valid", 1);
    let event = m.input_record("event_data", &record(&EVENT), None);
    let cfg_write = m.input("cfg_write", 1);
    let cfg_read = m.input("cfg_read", 1);
    let cfg_table = m.input("cfg_table", TABLE_BITS);
    let cfg_row = m.input("cfg_row", ROW_BITS);

    let ask = (cfg_read & cfg_table.msb()).named("ask");
    let arriving = Stream::new("event_in", event_valid, event);
    m.assert("event_has_a_slot", !event_valid | arriving.ready());
    let (events, waiting) = arriving.fifo("events", event_slots(g));
    let start = cfg_write & cfg_table.is(SNAPSHOT.into()) & !cfg_row.any();
    let question = Question {
        ask,
        set: cfg_table.trunc(TABLE_BITS - 1),
        row: cfg_row,
        start: start.named("start"),
    };
    let counting = match g.clocks_per_header {
        1 => at_once::build(&m, g, &events, question)?,
        _ => turns::build(&m, g, &events, waiting, question)?,
    };
    let newest = m.reg("newest", 64, 0);
    newest.set_when(counting.taken, events.field("tag"));

    // What is known when it is asked for is asked for as late as what a set answers.
    let of_snapshot = ask & cfg_table.is(SNAPSHOT.into());
    let status_asked = later(g, of_snapshot & !cfg_row.any());
    let item_asked = later(g, (of_snapshot & cfg_row.is(1)).named("item_asked"));
    let told = counting.walk.join(counting.given, newest.q(), item_asked);

    // Zero unless asked, so the answers of tables and counters are joined by `or`.
    let answer = counting.answer.when(later(g, ask));
    let width = record(&SNAPSHOT_TAKEN).width();
    let rows = [
        answer.zext(width),
        told.status.zext(width).when(status_asked),
        told.item.zext(width).when(item_asked),
    ];
    let taken = counting.taken.as_valid();
    let working: Vec<_> = (0..=latency(g)).map(|n| taken.delay(n)).collect();
    m.output("cfg_rdata", m.or(&rows).reg());
    m.output("hold", counting.hold.as_valid().reg());
    m.output("busy", waiting.any() | m.or(&working));
    m.finish()
}

/// As late as what the sets answer.
fn later<'m>(g: &Geometry, asked: Sig<'m>) -> Sig<'m> {
    asked.as_valid().delay(latency(g) - 1)
}

/// What comes over the configuration port.
#[derive(Clone, Copy)]
struct Question<'m> {
    /// A row of one of the sets, or something of the snapshot, is asked for.
    ask: Sig<'m>,
    /// Number of the set, less that of the first number there is for one.
    set: Sig<'m>,
    row: Sig<'m>,
    /// A snapshot is to begin.
    start: Sig<'m>,
}

/// All sets, however they are built.
struct Counting<'m> {
    walk: Walk<'m>,
    /// What the memories give out.
    given: Vec<Given<'m>>,
    /// The row asked for, [`latency`] less one clocks later.
    answer: Sig<'m>,
    /// The event at the head of the queue leaves it.
    taken: Sig<'m>,
    hold: Sig<'m>,
}

/// The event at the head of the queue, in the clocks in which it counts.
struct Event<'e, 'm> {
    fields: &'e Stream<'m>,
    present: Sig<'m>,
    packet: Sig<'m>,
    directed: Sig<'m>,
    copy: Sig<'m>,
    known: Sig<'m>,
    from: Sig<'m>,
}

/// What an event counts in a set.
struct Count<'m> {
    hit: Sig<'m>,
    row: Sig<'m>,
    adds: Adds,
    /// What is added to `bytes`; of `attachment_seen` the time.
    length: Option<Sig<'m>>,
}

impl<'e, 'm> Event<'e, 'm> {
    fn new(fields: &'e Stream<'m>, present: Sig<'m>) -> Event<'e, 'm> {
        let e = |name: &str| fields.field(name);
        let packet = (present & e("first")).named("packet");
        let directed = (!e("reason").any()).named("directed");
        let copy = (present & directed & e("sent") & !e("instead").any()).named("copy");
        let known = packet & e("interface_valid");
        let from = (known & e("sender_valid")).named("from_attachment");
        Event {
            fields,
            present,
            packet,
            directed,
            copy,
            known,
            from,
        }
    }

    fn field(&self, name: &str) -> Sig<'m> {
        self.fields.field(name)
    }

    /// Samples of times, of an event that is seen in one clock.
    fn response(&self, m: &'m Module, g: &Geometry) -> Result<Instance<'m>, Vec<GenError>> {
        let inputs = [
            ("now", self.field("tag")),
            ("back", self.from & self.directed),
            ("back_row", self.field("sender")),
            ("back_flow", self.field("flow_in")),
            ("sent", self.copy),
            ("sent_row", self.field("comes_from")),
            ("sent_flow", self.field("flow_out")),
        ];
        Ok(m.instance("response", &response::build(g)?, &inputs))
    }

    /// What it counts in `set`; of times it is `sample`.
    fn count(&self, set: CounterSet, sample: &Sample<'m>) -> Count<'m> {
        let e = |name: &str| self.field(name);
        let bytes = |length: &str| (Adds::Both(LENGTH_BITS), Some(e(length)));
        let (packet, directed, copy, from) = (self.packet, self.directed, self.copy, self.from);
        let (hit, row, (adds, length)) = match set {
            CounterSet::Reason => (packet, e("reason"), bytes("length_in")),
            CounterSet::InterfaceIn => (self.known, e("interface"), bytes("length_in")),
            CounterSet::InterfaceOut => (copy, e("out_interface"), bytes("length_out")),
            CounterSet::AttachmentIn => (from, e("sender"), bytes("length_in")),
            CounterSet::AttachmentOut => (copy, e("out_attachment"), bytes("length_out")),
            CounterSet::Class => {
                let row = e("class").cat(e("direction"));
                (packet & directed, row, bytes("length_in"))
            }
            CounterSet::Action => (copy, e("action"), bytes("length_out")),
            CounterSet::AttachmentSyn => {
                let hit = copy & e("opening");
                (hit, e("out_attachment"), (Adds::Packets, None))
            }
            CounterSet::AttachmentAnswer => {
                let hit = from & directed & e("answering");
                (hit, e("sender"), (Adds::Packets, None))
            }
            CounterSet::AttachmentTime => {
                let time = (Adds::Both(TIME_BITS), Some(sample.took));
                (sample.hit, sample.row, time)
            }
            CounterSet::AttachmentSeen => (from, e("sender"), (Adds::Packets, Some(e("tag")))),
            CounterSet::Rule => (packet & e("rule_valid"), e("rule"), bytes("length_in")),
        };
        let hit = hit.named(&format!("{}_hit", set.name()));
        Count {
            hit,
            row,
            adds,
            length,
        }
    }

    /// What became of a copy, counted beside its packet's reason: the row of set `reason`, whether, and bytes.
    fn beside(&self) -> Vec<(Reason, Sig<'m>, Sig<'m>)> {
        let e = |name: &str| self.field(name);
        let of_copy = Reason::ALL.iter().filter(|r| r.is_of_copy());
        let mut all: Vec<_> = of_copy
            .map(|r| {
                let hit = self.present & e("instead").is(*r as u128);
                (*r, hit, e("length_in"))
            })
            .collect();
        let full = self.present & !e("sent");
        all.push((Reason::OutputFull, full, e("length_out")));
        let limited = self.present & e("limited");
        all.push((Reason::HostLimited, limited, e("length_in")));
        all
    }
}

/// A sample of times that ended.
struct Sample<'m> {
    hit: Sig<'m>,
    row: Sig<'m>,
    took: Sig<'m>,
}

#[cfg(test)]
mod tests;
