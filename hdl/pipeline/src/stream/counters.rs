//! Counters: every [`CounterSet`], fed by one event a copy.
//!
//! Events and read-outs share the memories' ports: a read-out takes a clock in which the events
//! wait in a queue, and `hold` makes the buffer leave a clock free for it. So counting is exact
//! and read-outs answer after a fixed time, at full load too.
//!
//! A copy dropped at its output counts in row `output_full` of set `reason`, one that is too big in
//! `too_big`, while the same event may count the packet's own reason; no packet has one of these as its
//! own, so those rows are pairs of registers, put in at read-out.

use super::{counter_set, record};
use crate::tables::{ROW_BITS, TABLE_BITS};
use seqnic_gen::{Circuit, GenError, Module, Sig, Stream, clog2};
use seqnic_spec::counters::{COUNTER_ROW, CounterSet};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::Reason;
use seqnic_spec::stage::EVENT;

/// Clocks from `cfg_read` to `cfg_rdata`.
pub const LATENCY: u32 = counter_set::LATENCY + 2;

/// Events that may wait: those on their way from the buffer when `hold` begins, and some to spare.
pub const EVENT_SLOTS: u32 = 32;

/// Counter sets follow the tables' numbers: the highest bit of the number says it is one.
const FIRST_SET: u128 = 1 << (TABLE_BITS - 1);

/// Takes `event_valid`, `event_data` ([`EVENT`]); `cfg_read`, `cfg_table`, `cfg_row` answer [`LATENCY`]
/// clocks later with `cfg_rdata` ([`COUNTER_ROW`]). Gives `hold` for the buffer and `busy`.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("counters");
    m.doc("All counter sets. A read-out delays the events by a clock and asks for one without a slot.");
    let event_valid = m.input("event_valid", 1);
    let event = m.input_record("event_data", &record(&EVENT), None);
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
    let copy = (take & directed & e("sent") & !e("too_big")).named("copy");
    let known = packet & e("interface_valid");
    let (length_in, length_out) = (e("length_in"), e("length_out"));
    let class_row = e("class").cat(e("direction"));

    // What became of a copy, counted beside its packet's reason.
    let full = beside(&m, Reason::OutputFull, take & !e("sent"), length_out);
    let too_big = beside(&m, Reason::TooBig, take & e("too_big"), length_in);

    let asked_table = cfg_table.trunc(TABLE_BITS - 1).delay(LATENCY - 1);
    let mut answers = vec![];
    for set in CounterSet::ALL {
        let (hit, row, length) = match set {
            CounterSet::Reason => (packet, e("reason"), length_in),
            CounterSet::InterfaceIn => (known, e("interface"), length_in),
            CounterSet::InterfaceOut => (copy, e("out_interface"), length_out),
            CounterSet::AttachmentIn => (known & e("sender_valid"), e("sender"), length_in),
            CounterSet::AttachmentOut => (copy, e("out_attachment"), length_out),
            CounterSet::Class => (packet & directed, class_row, length_in),
            CounterSet::Action => (copy, e("action"), length_out),
        };
        let rows = set.rows(g);
        let bits = clog2(rows).max(1);
        let child = counter_set::build(rows)?;
        let name = set.name();
        let hit = hit.named(&format!("{name}_hit")).as_valid().reg();
        let row = ask.mux(cfg_row.trunc(bits), row.trunc(bits)).reg();
        let inst = m.instance(
            &format!("set_{name}"),
            &child,
            &[("hit", hit), ("row", row), ("length", length.reg())],
        );
        let mut answer = inst.get("answer");
        if set == CounterSet::Reason {
            for (reason, counts) in [(Reason::OutputFull, full), (Reason::TooBig, too_big)] {
                let asked = cfg_row.trunc(bits).is(reason as u128).delay(LATENCY - 1);
                answer = asked.mux(counts, answer);
            }
        }
        answers.push((asked_table.is(set as u128 - FIRST_SET), answer));
    }
    // Zero unless asked, so the answers of tables and counters are joined by `or`.
    let asked = ask.as_valid().delay(LATENCY - 1);
    let answer = m.select_onehot(&answers).when(asked);
    let working: Vec<_> = (0..=LATENCY).map(|n| take.as_valid().delay(n)).collect();
    m.output("cfg_rdata", answer.reg());
    m.output("hold", ask.as_valid().reg());
    m.output("busy", waiting.any() | m.or(&working));
    m.finish()
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
    use std::collections::{BTreeMap, VecDeque};

    type Model = BTreeMap<(u8, u64), (u64, u64)>;

    fn add(model: &mut Model, set: CounterSet, row: u64, length: u64) {
        let count = model.entry((set as u8, row)).or_default();
        *count = (count.0 + 1, count.1 + length);
    }

    /// An event at random, and what it counts (docs/semantics.md section 5).
    fn event(random: &mut Random, hot: u64, model: &mut Model) -> seqnic_gen::Bits {
        let reason = random.pick(&[0u64, 0, 0, 5, 21, 23]);
        let first = random.one_in(2);
        let sent = !random.one_in(4);
        let too_big = reason == 0 && random.one_in(5);
        let (interface_valid, sender_valid) = (!random.one_in(4), random.one_in(2));
        let (interface, sender) = (random.below(hot), random.below(hot));
        let (class, direction) = (random.below(hot), random.below(2));
        let (action, attachment) = (random.below(hot), random.below(hot));
        let out_interface = random.below(hot);
        let (length_in, length_out) = (random.below(9217), random.below(9225));
        if first {
            add(model, CounterSet::Reason, reason, length_in);
            if interface_valid {
                add(model, CounterSet::InterfaceIn, interface, length_in);
                if sender_valid {
                    add(model, CounterSet::AttachmentIn, sender, length_in);
                }
            }
            if reason == 0 {
                add(model, CounterSet::Class, class * 2 + direction, length_in);
            }
        }
        if too_big {
            add(model, CounterSet::Reason, Reason::TooBig as u64, length_in);
        }
        if !sent {
            add(
                model,
                CounterSet::Reason,
                Reason::OutputFull as u64,
                length_out,
            );
        } else if reason == 0 && !too_big {
            add(model, CounterSet::Action, action, length_out);
            add(model, CounterSet::AttachmentOut, attachment, length_out);
            add(model, CounterSet::InterfaceOut, out_interface, length_out);
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
                ("too_big", too_big.into()),
                ("action", action.into()),
                ("out_attachment", attachment.into()),
                ("out_interface", out_interface.into()),
                ("length_out", length_out.into()),
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
                    let expected = model.get(&key).copied().unwrap_or_default();
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
        let mut model = Model::new();
        for hot in [1, 2, 16] {
            for _ in 0..3000 {
                let valid = !random.one_in(5);
                sim.set("event_valid", valid.into());
                if valid {
                    let bits = event(&mut random, hot, &mut model);
                    sim.set_bits("event_data", &bits);
                }
                sim.step();
            }
            sim.set("event_valid", 0);
            sim.step_n(12);
            assert_eq!(sim.get("busy"), 0);
            read_out(&mut sim, &g, &model);
        }
    }

    /// Events at one a clock except where `hold` asked for a gap, some clocks earlier.
    #[test]
    fn reading_at_full_load_loses_nothing_and_answers_in_time() {
        const WAY: usize = 12; // clocks from `hold` to the gap, longer than from the real buffer
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        let mut random = Random::new(4);
        let mut model = Model::new();
        let mut gaps = VecDeque::from(vec![false; WAY]);
        let mut due = VecDeque::from(vec![false; LATENCY as usize]);
        for n in 0..20_000 {
            gaps.push_back(sim.get("hold") == 1);
            let valid = !gaps.pop_front().unwrap();
            sim.set("event_valid", valid.into());
            if valid {
                let bits = event(&mut random, 2, &mut model);
                sim.set_bits("event_data", &bits);
            }
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
}
