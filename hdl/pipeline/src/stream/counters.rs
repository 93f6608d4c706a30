//! Counters: every [`CounterSet`], fed by one event a copy.
//!
//! Events and read-outs share the memories' ports: a read-out takes a clock in which the events
//! wait in a queue, and `hold` makes the buffer leave a clock free for it. So counting is exact
//! and read-outs answer after a fixed time, at full load too.
//!
//! A snapshot is a walk through all sets at once ([`super::walk`], [`counter_set`]), each row visited in a clock in which its set
//! counts nothing. Where a set counts in every clock, `hold` makes one free now and then. What is given out goes
//! through a small queue of each set into one stream; if the taker is slow the walk waits, and nothing else does: rows that
//! must be given out then find their queue full at worst, and the snapshot says that it is torn.
//!
//! A copy dropped at its output counts in row `output_full` of set `reason`, one that is not sent in
//! `too_big`, `unavailable` and so on, one the host takes no more of in `host_limited`, while the same event may count the packet's own reason;
//! no packet has one of these as its own, so those rows are pairs of registers, put in at read-out.

use super::walk::{Counted, Walk};
use super::{LENGTH_BITS, counter_set, record, response};
use crate::tables::{ROW_BITS, TABLE_BITS};
use counter_set::Adds;
use seqnic_gen::{Circuit, GenError, Module, Sig, Stream, clog2};
use seqnic_spec::counters::{COUNTER_ROW, CounterSet, SNAPSHOT, SNAPSHOT_TAKEN, TIME_BITS};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::EVENT;

/// Clocks from a question to the answer of most sets.
const SET_LATENCY: u32 = counter_set::LATENCY + 1;
/// Clocks from `cfg_read` to `cfg_rdata`.
pub const LATENCY: u32 = SET_LATENCY + response::LATENCY + 1;

/// Events that may wait: those on their way from the buffer when `hold` begins, and some to spare.
pub const EVENT_SLOTS: u32 = 32;

/// Counter sets follow the tables' numbers: the highest bit of the number says it is one.
const FIRST_SET: u128 = 1 << (TABLE_BITS - 1);

/// Takes `event_valid`, `event_data` ([`EVENT`]); `cfg_write`, `cfg_read`, `cfg_table`, `cfg_row`: a read answers
/// [`LATENCY`] clocks later with `cfg_rdata` ([`COUNTER_ROW`], or a row of the snapshot). Gives `hold` for the
/// buffer and `busy`, and the stream `snapshot` ([`seqnic_spec::counters::SNAPSHOT_ITEM`]).
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
    let (events, waiting) = arriving.fifo("events", EVENT_SLOTS);
    events.accept(!ask);
    let take = events.fire().named("take");
    let e = |name: &str| events.field(name);

    let packet = (take & e("first")).named("packet");
    let directed = (!e("reason").any()).named("directed");
    let copy = (take & directed & e("sent") & !e("instead").any()).named("copy");
    let known = packet & e("interface_valid");
    let from = (known & e("sender_valid")).named("from_attachment");
    let (length_in, length_out) = (e("length_in"), e("length_out"));
    let class_row = e("class").cat(e("direction"));

    // What became of a copy, counted beside its packet's reason.
    let full = beside(&m, Reason::OutputFull, take & !e("sent"), length_out);
    let of_copy = Reason::ALL.iter().filter(|r| r.is_of_copy()).map(|r| {
        let hit = take & e("instead").is(*r as u128);
        (*r, beside(&m, *r, hit, length_in))
    });
    let mut counted_beside: Vec<_> = of_copy.collect();
    let limited = beside(&m, Reason::HostLimited, take & e("limited"), length_in);
    counted_beside.extend([(Reason::OutputFull, full), (Reason::HostLimited, limited)]);

    let response = {
        let inputs = [
            ("now", e("tag")),
            ("back", from & directed),
            ("back_row", e("sender")),
            ("back_flow", e("flow_in")),
            ("sent", copy),
            ("sent_row", e("comes_from")),
            ("sent_flow", e("flow_out")),
        ];
        m.instance("response", &response::build(g)?, &inputs)
    };

    let start = cfg_write & cfg_table.is(SNAPSHOT.into()) & !cfg_row.any();
    let mut walk = Walk::new(&m, start.named("start"));
    let asked_table = cfg_table.trunc(TABLE_BITS - 1).delay(SET_LATENCY);
    let mut answers = vec![];
    let mut time_answer = None;
    let mut sets = vec![];
    for set in CounterSet::ALL {
        let bytes = |length| (Adds::Both(LENGTH_BITS), Some(length));
        let (hit, row, (adds, length)) = match set {
            CounterSet::Reason => (packet, e("reason"), bytes(length_in)),
            CounterSet::InterfaceIn => (known, e("interface"), bytes(length_in)),
            CounterSet::InterfaceOut => (copy, e("out_interface"), bytes(length_out)),
            CounterSet::AttachmentIn => (from, e("sender"), bytes(length_in)),
            CounterSet::AttachmentOut => (copy, e("out_attachment"), bytes(length_out)),
            CounterSet::Class => (packet & directed, class_row, bytes(length_in)),
            CounterSet::Action => (copy, e("action"), bytes(length_out)),
            CounterSet::AttachmentSyn => {
                let hit = copy & e("opening");
                (hit, e("out_attachment"), (Adds::Packets, None))
            }
            CounterSet::AttachmentAnswer => {
                let hit = from & directed & e("answering");
                (hit, e("sender"), (Adds::Packets, None))
            }
            CounterSet::AttachmentTime => {
                let time = Some(response.get("took"));
                (
                    response.get("hit"),
                    response.get("row"),
                    (Adds::Both(TIME_BITS), time),
                )
            }
            CounterSet::AttachmentSeen => (from, e("sender"), (Adds::Packets, Some(e("tag")))),
            CounterSet::Rule => (packet & e("rule_valid"), e("rule"), bytes(length_in)),
        };
        let counted = Counted {
            set,
            rows: set.rows(g),
            hit: hit.named(&format!("{}_hit", set.name())),
            row,
            adds,
            length,
            // It is told of an event later, and so of a question.
            delay: match set {
                CounterSet::AttachmentTime => response::LATENCY,
                _ => 0,
            },
            cfg_row,
            ask,
        };
        let (mut answer, mut given) = walk.set(counted)?;
        if set == CounterSet::Reason {
            let bits = clog2(set.rows(g)).max(1);
            for (reason, counts) in counted_beside.iter().copied() {
                let asked = cfg_row.trunc(bits).is(reason as u128).delay(SET_LATENCY);
                answer = asked.mux(counts, answer);
                // As they were when the phase turned, two clocks behind the event.
                let kept = m.reg_no_reset(&format!("{}_before", reason.name()), counts.width());
                kept.set_when(walk.turn.as_valid().delay(2), counts);
                let is_row = given.row.is(reason as u128);
                given.count = is_row.mux(kept.q(), given.count);
            }
        }
        let asked = asked_table.is(set as u128 - FIRST_SET);
        match set {
            CounterSet::AttachmentTime => {
                time_answer = Some(answer.when(asked.delay(response::LATENCY)));
            }
            _ => answers.push((asked, answer)),
        }
        sets.push((set, given));
    }
    let newest = m.reg("newest", 64, 0);
    newest.set_when(take, e("tag"));
    let taken_now = (ask & cfg_table.is(SNAPSHOT.into()) & cfg_row.is(1)).named("item_asked");
    let (told, starved) = walk.join(sets, newest.q(), taken_now);

    // Zero unless asked, so the answers of tables and counters are joined by `or`.
    let asked = ask.as_valid().delay(LATENCY - 1);
    let answer = m.select_onehot(&answers).delay(response::LATENCY);
    let answer = m.or(&[answer, time_answer.unwrap_or(m.lit(answer.width(), 0))]);
    let answer = answer.when(asked);
    let width = record(&SNAPSHOT_TAKEN).width();
    let status_asked = ask & cfg_table.is(SNAPSHOT.into()) & !cfg_row.any();
    let rows = [
        answer.zext(width),
        late(told.status.zext(width).when(status_asked)),
        late(told.item.zext(width).when(taken_now)),
    ];
    let working: Vec<_> = (0..=LATENCY).map(|n| take.as_valid().delay(n)).collect();
    m.output("cfg_rdata", m.or(&rows).reg());
    m.output("hold", (ask | starved).as_valid().reg());
    m.output("busy", waiting.any() | m.or(&working));
    m.finish()
}

/// What is known when it is asked for comes as late as what a set answers.
fn late(answer: Sig<'_>) -> Sig<'_> {
    answer.as_valid().delay(LATENCY - 1)
}

/// A row of set `reason` in registers: counts each event with `hit`.
fn beside<'m>(m: &'m Module, reason: Reason, hit: Sig<'m>, length: Sig<'m>) -> Sig<'m> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, packed, small};
    use crate::testing::Random;
    use seqnic_gen::Sim;
    use seqnic_spec::counters::{SNAPSHOT_ITEM, SNAPSHOT_STATUS, TIME_BUCKETS, time_bucket};
    use std::collections::{BTreeMap, VecDeque};

    /// What has been counted, and what is waited for (docs/semantics.md section 5).
    #[derive(Default)]
    struct Model {
        rows: BTreeMap<(u8, u64), (u64, u64)>,
        waiting: BTreeMap<u64, (u64, u64)>,
        now: u64,
    }

    impl Model {
        fn add(&mut self, set: CounterSet, row: u64, length: u64) {
            let count = self.rows.entry((set as u8, row)).or_default();
            *count = (count.0 + 1, count.1 + length);
        }

        fn young(&self, since: u64) -> bool {
            self.now - since < 1 << TIME_BITS
        }
    }

    /// An event at random, and what it counts.
    fn event(g: &Geometry, random: &mut Random, hot: u64, model: &mut Model) -> seqnic_gen::Bits {
        let reason = random.pick(&[0u64, 0, 0, 5, 21, 23]);
        let first = random.one_in(2);
        let sent = !random.one_in(4);
        let of_copy = [Reason::TooBig, Reason::Unavailable, Reason::Skipped];
        let unsent = reason == 0 && random.one_in(5);
        let limited = (reason != 0 || unsent) && random.one_in(3);
        let sent = sent || limited;
        let (interface_valid, sender_valid) = (!random.one_in(4), random.one_in(2));
        let (interface, sender) = (random.below(hot), random.below(hot));
        let (class, direction) = (random.below(hot), random.below(2));
        let (action, attachment) = (random.below(hot), random.below(hot));
        let (out_interface, comes_from) = (random.below(hot), random.below(hot));
        let (length_in, length_out) = (random.below(9217), random.below(9225));
        let instead = of_copy[length_in as usize % of_copy.len()] as u64;
        let (opening, answering) = (random.one_in(2), random.one_in(3));
        let (flow_in, flow_out) = (random.below(2), random.below(2));
        let digits = random.below(29);
        model.now += 1 + random.below(1 << digits);
        let timed = |row: u64| row < u64::from(g.timed);
        if first {
            model.add(CounterSet::Reason, reason, length_in);
            if interface_valid {
                model.add(CounterSet::InterfaceIn, interface, length_in);
                if sender_valid {
                    model.add(CounterSet::AttachmentIn, sender, length_in);
                    let seen = (CounterSet::AttachmentSeen as u8, sender);
                    model.rows.insert(seen, (model.now, 0));
                    if reason == 0 && answering {
                        model.add(CounterSet::AttachmentAnswer, sender, 0);
                    }
                    if reason == 0
                        && let Some((since, flow)) = model.waiting.get(&sender).copied()
                        && flow == flow_in
                        && model.young(since)
                    {
                        model.waiting.remove(&sender);
                        let time = model.now - since;
                        let row = sender * u64::from(TIME_BUCKETS) + u64::from(time_bucket(time));
                        model.add(CounterSet::AttachmentTime, row, time);
                    }
                }
            }
            if reason == 0 {
                model.add(CounterSet::Class, class * 2 + direction, length_in);
            }
        }
        if unsent {
            model.add(CounterSet::Reason, instead, length_in);
        }
        if limited {
            model.add(CounterSet::Reason, Reason::HostLimited as u64, length_in);
        }
        if !sent {
            let row = Reason::OutputFull as u64;
            model.add(CounterSet::Reason, row, length_out);
        } else if reason == 0 && !unsent {
            model.add(CounterSet::Action, action, length_out);
            model.add(CounterSet::AttachmentOut, attachment, length_out);
            model.add(CounterSet::InterfaceOut, out_interface, length_out);
            if opening {
                model.add(CounterSet::AttachmentSyn, attachment, 0);
            }
            let waits = model.waiting.get(&comes_from);
            if timed(comes_from) && waits.is_none_or(|(since, _)| !model.young(*since)) {
                model.waiting.insert(comes_from, (model.now, flow_out));
            }
        }
        packed(
            &record(&EVENT),
            &[
                ("first", first.into()),
                ("reason", reason.into()),
                ("interface_valid", interface_valid.into()),
                ("interface", interface.into()),
                ("sender_valid", sender_valid.into()),
                ("sender", sender.into()),
                ("class", class.into()),
                ("direction", direction.into()),
                ("length_in", length_in.into()),
                ("sent", sent.into()),
                ("instead", if unsent { instead.into() } else { 0 }),
                ("limited", limited.into()),
                ("action", action.into()),
                ("out_attachment", attachment.into()),
                ("out_interface", out_interface.into()),
                ("length_out", length_out.into()),
                ("tag", model.now.into()),
                ("comes_from", comes_from.into()),
                ("opening", opening.into()),
                ("answering", answering.into()),
                ("flow_in", flow_in.into()),
                ("flow_out", flow_out.into()),
            ],
        )
    }

    /// Reads every row of every set, one a clock, and compares.
    fn read_out(sim: &mut Sim, g: &Geometry, model: &Model) {
        sim.set("event_valid", 0);
        let mut due = VecDeque::from(vec![None; LATENCY as usize]);
        let all = CounterSet::ALL
            .iter()
            .flat_map(|s| (0..u64::from(s.rows(g))).map(|row| Some((*s as u8, row))));
        for asked in all.chain(vec![None; LATENCY as usize]) {
            sim.set("cfg_read", asked.is_some().into());
            let (set, row) = asked.unwrap_or((31, 0));
            sim.set("cfg_table", set.into());
            sim.set("cfg_row", row);
            due.push_back(asked);
            let found = sim.get_bits("cfg_rdata");
            match due.pop_front().unwrap() {
                None => assert!(found.is_zero()),
                Some(key) => {
                    let (packets, bytes) =
                        (found.slice(0, 64).low_u64(), found.slice(64, 64).low_u64());
                    let expected = model.rows.get(&key).copied().unwrap_or_default();
                    assert_eq!((packets, bytes), expected, "set {} row {}", key.0, key.1);
                }
            }
            sim.step();
        }
        sim.set("cfg_read", 0);
    }

    #[test]
    fn every_event_counts_what_it_says() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(2);
        let mut model = Model::default();
        for hot in [1, 2, 16] {
            for _ in 0..3000 {
                let valid = !random.one_in(5);
                sim.set("event_valid", valid.into());
                if valid {
                    let bits = event(&g, &mut random, hot, &mut model);
                    sim.set_bits("event_data", &bits);
                }
                sim.step();
            }
            sim.set("event_valid", 0);
            sim.step_n(12);
            assert_eq!(sim.get("busy"), 0);
            read_out(&mut sim, &g, &model);
        }
        let times = (CounterSet::AttachmentTime as u8, 0)..(CounterSet::AttachmentSeen as u8, 0);
        assert!(model.rows.range(times).count() > 30);
    }

    /// Events at one a clock except where `hold` asked for a gap, some clocks earlier.
    struct Traffic {
        gaps: VecDeque<bool>,
        /// Of a hundred clocks, those without an event anyway.
        idle: u64,
    }

    impl Traffic {
        /// Clocks from `hold` to the gap, more than from the real buffer.
        const WAY: usize = 12;

        fn new(idle: u64) -> Traffic {
            let gaps = VecDeque::from(vec![false; Self::WAY]);
            Traffic { gaps, idle }
        }

        fn drive(
            &mut self,
            sim: &mut Sim,
            g: &Geometry,
            random: &mut Random,
            model: &mut Model,
            hot: u64,
        ) {
            self.gaps.push_back(sim.get("hold") == 1);
            let gap = self.gaps.pop_front().unwrap_or_default();
            let valid = !gap && random.below(100) >= self.idle;
            sim.set("event_valid", valid.into());
            if valid {
                sim.set_bits("event_data", &event(g, random, hot, model));
            }
        }
    }

    #[test]
    fn reading_at_full_load_loses_nothing_and_answers_in_time() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(4);
        let mut model = Model::default();
        let mut traffic = Traffic::new(0);
        let mut due = VecDeque::from(vec![false; LATENCY as usize]);
        for n in 0..20_000 {
            traffic.drive(&mut sim, &g, &mut random, &mut model, 2);
            // Single reads, and bursts longer than the way and the queue.
            let ask = if n % 2000 >= 1800 {
                true
            } else {
                random.one_in(3)
            };
            sim.set("cfg_read", ask.into());
            sim.set("cfg_table", CounterSet::Reason as u64);
            sim.set("cfg_row", 0);
            due.push_back(ask);
            if due.pop_front().unwrap() {
                // At least what was counted long ago: the row of directed packets is hot.
                assert!(n < 100 || !sim.get_bits("cfg_rdata").is_zero());
            }
            sim.step();
        }
        sim.set("cfg_read", 0);
        sim.set("event_valid", 0);
        sim.step_n(50);
        assert_eq!(sim.get("busy"), 0);
        read_out(&mut sim, &g, &model);
    }

    /// Snapshots at full load, one after the other, each compared with what the events before the cut add up to.
    /// Which event the cut is behind, the last item says by its time.
    #[test]
    fn a_snapshot_is_what_was_counted_before_one_event() {
        let g = small(64);
        let layout = record(&SNAPSHOT_ITEM);
        for (idle, ready, hot) in [
            (0, 100, 2),
            (0, 40, 16),
            (60, 100, 16),
            (0, 100, 1),
            (95, 5, 8),
        ] {
            let mut sim = Sim::new(&built(build(&g)));
            sim.reset();
            let mut random = Random::new(idle + ready + hot);
            let mut model = Model::default();
            let mut traffic = Traffic::new(idle);
            let mut done = 0;
            let mut gaps = 0;
            while done < 6 {
                // What was counted when, from the begin on: the cut is soon behind it.
                let mut at = BTreeMap::new();
                let (mut begun, mut found) = (false, BTreeMap::new());
                let clocks = 40_000;
                let wait = random.below(300);
                for clock in 0..clocks {
                    traffic.drive(&mut sim, &g, &mut random, &mut model, hot);
                    gaps += sim.get("hold");
                    let begin = clock == wait;
                    begun |= begin;
                    sim.set("cfg_write", begin.into());
                    sim.set("cfg_table", SNAPSHOT.into());
                    sim.set("cfg_row", 0);
                    // The first is preceded by a walk of its own.
                    if clock + 5 >= wait && (done == 0 || clock < wait + 50) {
                        at.insert(model.now, model.rows.clone());
                    }
                    let take = random.below(100) < ready;
                    sim.set("snapshot_ready", take.into());
                    let item = sim.get_bits("snapshot_data");
                    let given = sim.get("snapshot_valid") == 1 && take;
                    sim.step();
                    if !given {
                        assert!(clock + 1 < clocks, "the snapshot does not end");
                        continue;
                    }
                    let field = |name: &str| {
                        crate::stream::testbench::unpacked(&layout, &item, name).low_u64()
                    };
                    let counts = (field("packets"), field("bytes"));
                    if field("last") == 0 {
                        assert!(begun);
                        let key = (field("set") as u8, field("row"));
                        assert_eq!(found.insert(key, counts), None, "{key:?} twice");
                        continue;
                    }
                    assert_eq!((field("set"), field("row")), (SNAPSHOT.into(), 0), "torn");
                    assert_eq!(counts.1, found.len() as u64);
                    let expected = at
                        .get(&counts.0)
                        .unwrap_or_else(|| panic!("no event at {}", counts.0));
                    // Arrivals of last packets are those of the time they are read.
                    let seen = CounterSet::AttachmentSeen as u8;
                    for (key, time) in expected.range((seen, 0)..(seen + 1, 0)) {
                        assert!(found.get(key).is_some_and(|found| found >= time));
                    }
                    found.retain(|key, _| key.0 != seen);
                    let before = expected.range(..(seen, 0)).map(|(k, v)| (*k, *v));
                    assert_eq!(
                        found,
                        before.collect::<BTreeMap<_, _>>(),
                        "{idle} {ready} {hot}"
                    );
                    done += 1;
                    break;
                }
            }
            // Full load makes a clock free now and then, and only then.
            assert_eq!(gaps > 0, idle == 0, "{gaps} gaps with {idle} idle");
            sim.set("event_valid", 0);
            sim.step_n(50);
            read_out(&mut sim, &g, &model);
        }
    }

    /// Nobody takes what is given out: counting goes on, the snapshot is torn at worst, and the next is whole.
    #[test]
    fn a_taker_that_stops_stops_nothing() {
        let g = small(64);
        let layout = record(&SNAPSHOT_ITEM);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(9);
        let mut model = Model::default();
        let mut traffic = Traffic::new(10);
        let mut tears = vec![];
        for stopped in [8000, 0] {
            for clock in 0..40_000 {
                traffic.drive(&mut sim, &g, &mut random, &mut model, 16);
                sim.set("cfg_write", u64::from(clock == 5));
                sim.set("cfg_table", SNAPSHOT.into());
                sim.set("cfg_row", 0);
                sim.set("snapshot_ready", u64::from(clock >= stopped));
                let taken = sim.get("snapshot_valid") == 1 && clock >= stopped;
                let item = sim.get_bits("snapshot_data");
                sim.step();
                let field =
                    |name: &str| crate::stream::testbench::unpacked(&layout, &item, name).low_u64();
                if taken && field("last") == 1 {
                    tears.push(field("row"));
                    break;
                }
            }
        }
        assert_eq!(tears, [1, 0]);
        sim.set("event_valid", 0);
        sim.step_n(50);
        read_out(&mut sim, &g, &model);
    }

    /// Over the configuration port alone, and after a reset in the middle of a walk.
    #[test]
    fn items_are_taken_over_the_configuration_port() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(3);
        let mut model = Model::default();
        let mut traffic = Traffic::new(30);
        for clock in 0..3000 {
            traffic.drive(&mut sim, &g, &mut random, &mut model, 16);
            sim.set("cfg_write", u64::from(clock == 1000));
            sim.set("cfg_table", SNAPSHOT.into());
            sim.set("cfg_row", 0);
            sim.step();
        }
        sim.set("event_valid", 0);
        sim.step_n(50);
        let read = |sim: &mut Sim, row: u64| {
            sim.set("cfg_table", SNAPSHOT.into());
            sim.set("cfg_row", row);
            sim.set("cfg_read", 1);
            sim.step();
            sim.set("cfg_read", 0);
            sim.step_n(LATENCY - 1);
            let answer = sim.get_bits("cfg_rdata");
            sim.step();
            answer
        };
        let status = record(&SNAPSHOT_STATUS);
        let bit = |answer: &seqnic_gen::Bits, name: &str| {
            crate::stream::testbench::unpacked(&status, answer, name).low_u64()
        };
        // The reset has nothing to do with the counts, but with the walk.
        assert_eq!(bit(&read(&mut sim, 0), "running"), 1);
        sim.reset();
        for reason in [
            Reason::OutputFull,
            Reason::TooBig,
            Reason::Unavailable,
            Reason::Skipped,
            Reason::HostLimited,
        ] {
            model
                .rows
                .remove(&(CounterSet::Reason as u8, reason as u64));
        }
        sim.set("cfg_write", 1);
        sim.set("cfg_table", SNAPSHOT.into());
        sim.set("cfg_row", 0);
        sim.step();
        sim.set("cfg_write", 0);
        let taken = record(&SNAPSHOT_TAKEN);
        let mut found = BTreeMap::new();
        for _ in 0..20_000 {
            let item = read(&mut sim, 1);
            let field =
                |name: &str| crate::stream::testbench::unpacked(&taken, &item, name).low_u64();
            if field("valid") == 0 {
                continue;
            }
            if field("last") == 1 {
                break;
            }
            let key = (field("set") as u8, field("row"));
            found.insert(key, (field("packets"), field("bytes")));
        }
        assert_eq!(found, model.rows);
        let ended = read(&mut sim, 0);
        let told = ["running", "torn", "count"].map(|name| bit(&ended, name));
        assert_eq!(told, [0, 0, 1]);
    }
}
