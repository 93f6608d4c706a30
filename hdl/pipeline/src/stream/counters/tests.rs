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

/// An event in every clock, and events some clocks apart.
fn geometries() -> [Geometry; 2] {
    let apart = Geometry {
        clocks_per_header: 8,
        ..small(64)
    };
    [small(64), apart]
}

/// Clocks in which all that waits is counted.
const QUIET: u32 = 200;

/// Reads every row of every set, one a clock, and compares.
fn read_out(sim: &mut Sim, g: &Geometry, model: &Model) {
    sim.set("event_valid", 0);
    let mut due = VecDeque::from(vec![None; latency(g) as usize]);
    let all = CounterSet::ALL
        .iter()
        .flat_map(|s| (0..u64::from(s.rows(g))).map(|row| Some((*s as u8, row))));
    for asked in all.chain(vec![None; latency(g) as usize]) {
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
    for g in geometries() {
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(2);
        let mut model = Model::default();
        let mut traffic = Traffic::new(&g, 20);
        for hot in [1, 2, 16] {
            for _ in 0..3000 * g.clocks_per_header {
                traffic.drive(&mut sim, &g, &mut random, &mut model, hot);
                sim.step();
            }
            sim.set("event_valid", 0);
            sim.step_n(QUIET);
            assert_eq!(sim.get("busy"), 0);
            read_out(&mut sim, &g, &model);
        }
        let times = (CounterSet::AttachmentTime as u8, 0)..(CounterSet::AttachmentSeen as u8, 0);
        let times = model.rows.range(times).count();
        assert!(times > 20, "{times} rows, {} clocks", g.clocks_per_header);
    }
}

/// Events as close together as they come, except where `hold` asked for a gap some clocks earlier.
struct Traffic {
    gaps: VecDeque<bool>,
    /// Of a hundred clocks in which an event may come, those without one.
    idle: u64,
    /// Copies that are ordered and have not left, and clocks to the next.
    orders: (u32, u32),
    /// Clocks since the last event.
    since: u32,
}

impl Traffic {
    /// Clocks from `hold` to the gap, more than from the real buffer.
    const WAY: usize = 12;

    /// Copies that wait behind a long one at most, and clocks of the shortest.
    const ORDERS: u32 = 16;
    const SHORTEST: u32 = 4;

    fn new(g: &Geometry, idle: u64) -> Traffic {
        let gaps = VecDeque::from(vec![false; Self::WAY]);
        Traffic {
            gaps,
            idle,
            orders: (1, g.clocks_per_header),
            since: 0,
        }
    }

    /// Whether an event may come in this clock.
    fn may(&mut self, g: &Geometry, gap: bool, random: &mut Random) -> bool {
        let (waiting, next) = &mut self.orders;
        self.since += 1;
        *next -= 1;
        if *next == 0 {
            *next = g.clocks_per_header;
            *waiting = (*waiting + 1).min(Self::ORDERS);
        }
        let apart = g.clocks_per_header == 1 || self.since >= Self::SHORTEST;
        let may = !gap && *waiting > 0 && apart && random.below(100) >= self.idle;
        if may {
            *waiting -= 1;
            self.since = 0;
        }
        may
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
        let valid = self.may(g, gap, random);
        sim.set("event_valid", valid.into());
        if valid {
            sim.set_bits("event_data", &event(g, random, hot, model));
        }
    }
}

#[test]
fn reading_at_full_load_loses_nothing_and_answers_in_time() {
    for g in geometries() {
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(4);
        let mut model = Model::default();
        let mut traffic = Traffic::new(&g, 0);
        let mut due = VecDeque::from(vec![false; latency(&g) as usize]);
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
        sim.step_n(QUIET);
        assert_eq!(sim.get("busy"), 0);
        read_out(&mut sim, &g, &model);
    }
}

/// Snapshots at full load, one after the other, each compared with what the events before the cut add up to.
/// Which event the cut is behind, the last item says by its time.
#[test]
fn a_snapshot_is_what_was_counted_before_one_event() {
    for g in geometries() {
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
            let mut traffic = Traffic::new(&g, idle);
            let mut done = 0;
            let mut gaps = 0;
            while done < 6 {
                // What was counted when, from the begin on: the cut is soon behind it.
                let mut at = BTreeMap::new();
                let (mut begun, mut found) = (false, BTreeMap::new());
                let clocks = 40_000;
                let wait = u64::from(QUIET) + random.below(300);
                for clock in 0..clocks {
                    traffic.drive(&mut sim, &g, &mut random, &mut model, hot);
                    gaps += sim.get("hold");
                    let begin = clock == wait;
                    begun |= begin;
                    sim.set("cfg_write", begin.into());
                    // Where sets have their turns, a question stops all of them.
                    let ask = g.clocks_per_header > 1 && !begin && random.one_in(20);
                    let table = match ask {
                        true => CounterSet::ALL[0] as u64 + random.below(12),
                        false => SNAPSHOT.into(),
                    };
                    sim.set("cfg_read", ask.into());
                    sim.set("cfg_table", table);
                    sim.set("cfg_row", if ask { random.below(hot) } else { 0 });
                    // The first is preceded by a walk of its own.
                    if done == 0 || clock < wait + 50 {
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
            let (full, asked) = (idle == 0, g.clocks_per_header > 1);
            assert_eq!(gaps > 0, full || asked, "{gaps} gaps with {idle} idle");
            sim.set("event_valid", 0);
            sim.step_n(QUIET);
            read_out(&mut sim, &g, &model);
        }
    }
}

/// Nobody takes what is given out: counting goes on, the snapshot is torn at worst, and the next is whole.
#[test]
fn a_taker_that_stops_stops_nothing() {
    for g in geometries() {
        let layout = record(&SNAPSHOT_ITEM);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(9);
        let mut model = Model::default();
        let mut traffic = Traffic::new(&g, 10);
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
        sim.step_n(QUIET);
        read_out(&mut sim, &g, &model);
    }
}

/// Over the configuration port alone, and after a reset in the middle of a walk.
#[test]
fn items_are_taken_over_the_configuration_port() {
    for g in geometries() {
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(3);
        let mut model = Model::default();
        let mut traffic = Traffic::new(&g, 30);
        for clock in 0..3000 {
            traffic.drive(&mut sim, &g, &mut random, &mut model, 16);
            sim.set("cfg_write", u64::from(clock == 1000));
            sim.set("cfg_table", SNAPSHOT.into());
            sim.set("cfg_row", 0);
            sim.step();
        }
        sim.set("event_valid", 0);
        sim.step_n(QUIET);
        let read = |sim: &mut Sim, row: u64| {
            sim.set("cfg_table", SNAPSHOT.into());
            sim.set("cfg_row", row);
            sim.set("cfg_read", 1);
            sim.step();
            sim.set("cfg_read", 0);
            sim.step_n(latency(&g) - 1);
            let answer = sim.get_bits("cfg_rdata");
            sim.step();
            answer
        };
        let status = record(&SNAPSHOT_STATUS);
        let bit = |answer: &seqnic_gen::Bits, name: &str| {
            crate::stream::testbench::unpacked(&status, answer, name).low_u64()
        };
        // The reset has nothing to do with counts in memories, but with the walk.
        assert_eq!(bit(&read(&mut sim, 0), "running"), 1);
        sim.reset();
        let in_registers =
            |r: &&Reason| r.is_of_copy() || matches!(r, Reason::OutputFull | Reason::HostLimited);
        for reason in Reason::ALL.iter().filter(in_registers) {
            if g.clocks_per_header == 1 {
                let row = (CounterSet::Reason as u8, *reason as u64);
                model.rows.remove(&row);
            }
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
