//! Dispatch: to which output a copy goes, and the event of its end.
//!
//! The output's room is asked once, with the copy's first beat: without it the copy is dropped
//! whole. A full output therefore holds up nothing else.

use super::{edited_beat, ending, meta, record};
use seqnic_gen::{Circuit, GenError, Module, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::{REASON_BITS, Reason};
use seqnic_spec::stage::EVENT;
use seqnic_spec::tables::width;

/// Clocks from an edited beat to its output queue: the egress adds them to what it must have free.
pub const LATENCY: u32 = 1;

/// Takes what [`super::editor`] and [`super::host_limit`] give and `room`, one bit for each queue of each output, the lowest first. Gives `push` (one bit
/// for each output), `out`, `out_meta`; and `event_valid`, `event_data` ([`EVENT`]) for each copy.
///
/// A frame that was cut off counts as `oversize` only: its event names no sender and no output.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("dispatch");
    m.doc(
        "Sends a copy's beats to its output, or drops all of them if it has no room at the first.\n\
         Latency 1 clock.",
    );
    let valid = m.input("valid", 1);
    let beat = m.input_record("beat", &edited_beat(g), None);
    let kept = m.input_record("meta", &meta(), None);
    let end_valid = m.input("end_valid", 1);
    let end = m.input_record("ending", &ending(), None);
    let limited = m.input("limited", 1);
    let rank = m.input("rank", width::PRIORITY);
    let kept = kept.with_field("priority", rank);
    let outputs = g.ports + 1;
    let room = m.input("room", outputs * g.queues);

    let place = m
        .onehot(kept.field("out_port"))
        .trunc(outputs)
        .named("place");
    let starts = (valid & beat.field("first")).named("starts");
    let taken_q = m.reg("taken_q", 1, 0);
    let queue_bits = clog2(g.queues);
    let queue = match queue_bits {
        0 => m.lit(1, 1),
        bits => m.onehot(rank.slice(width::PRIORITY - bits, bits)),
    };
    // A bit for the queue at the place of the output.
    let rooms: Vec<_> = (room.chunks(g.queues).into_iter().rev())
        .map(|rooms| (rooms & queue).any())
        .collect();
    let room = m.concat(&rooms).named("room_there");
    let fits = ((room & place).any() & !limited).named("fits");
    let taken = starts.mux(fits, taken_q.q()).named("taken");
    taken_q.set(taken);

    let error = end.field("error");
    let oversize = m.lit(REASON_BITS, Reason::Oversize as u128);
    // The packet itself is directed then; the host is told what became of this copy.
    let too_big = kept.field("reason").is(Reason::TooBig as u128);
    let own = kept.field("reason").when(!too_big);
    let mut fields = vec![
        ("reason", error.mux(oversize, own)),
        ("too_big", too_big & !error),
        ("interface_valid", kept.field("interface_valid") & !error),
        ("sender_valid", kept.field("sender_valid") & !error),
        ("rule_valid", kept.field("rule_valid") & !error),
        ("sent", taken | limited | error),
        ("limited", limited & !error),
        ("length_in", end.field("length_in")),
        ("length_out", end.field("length_out")),
    ];
    let copied = [
        "first",
        "interface",
        "sender",
        "class",
        "direction",
        "rule",
        "action",
        "out_attachment",
        "out_interface",
        "tag",
        "comes_from",
        "opening",
        "answering",
        "flow_in",
        "flow_out",
    ];
    fields.extend(copied.map(|name| (name, kept.field(name))));
    let event = m.pack(&record(&EVENT), &fields);

    m.output(
        "push",
        (place & (valid & taken).repl(outputs)).as_valid().reg(),
    );
    m.output("out", beat.reg());
    m.output("out_meta", kept.reg());
    m.output("event_valid", end_valid.as_valid().reg());
    m.output("event_data", event.reg());
    m.cover("dropped", starts & !taken & !limited);
    m.cover("host_limited", starts & limited);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, packed, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::Sim;

    #[test]
    fn copies_go_whole_to_outputs_with_room() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        let mut random = Random::new(8);
        sim.reset();
        let mut events = 0;
        for n in 0..2000u64 {
            let beats = 1 + random.below(4);
            // Outputs 0 to 2 are there; an attachment on a port the card does not have is dropped.
            let out = random.below(5);
            let (first, error) = (random.one_in(2), random.one_in(6));
            let reason = random.pick(&[0u64, 0, 9, Reason::TooBig as u64]);
            // The end may come a clock after the last beat.
            let late = random.one_in(3);
            let (mut taken, limited) = (false, random.one_in(5));
            let priority = random.below(8);
            for i in 0..beats + u64::from(late) {
                while random.one_in(3) {
                    sim.set("valid", 0);
                    sim.set("end_valid", 0);
                    sim.set("room", random.below(8));
                    sim.step();
                    assert_eq!((sim.get("push"), sim.get("event_valid")), (0, 0));
                }
                let room = random.below(8);
                if i == 0 {
                    taken = !limited && out < 3 && room >> out & 1 == 1;
                }
                let (valid, end) = (i < beats, i + 1 == beats + u64::from(late));
                sim.set("valid", valid.into());
                sim.set("room", room);
                sim.set("limited", limited.into());
                sim.set("rank", priority);
                sim.set("end_valid", end.into());
                let last = i + 1 == beats;
                let beat = [
                    ("data", u128::from(n)),
                    ("first", (i == 0).into()),
                    ("last", last.into()),
                ];
                sim.set_bits("beat", &packed(&edited_beat(&g), &beat));
                let fields = [
                    ("out_port", out.into()),
                    ("first", first.into()),
                    ("reason", reason.into()),
                    ("interface_valid", 1),
                    ("sender_valid", 1),
                    ("tag", n.into()),
                    ("action", u128::from(n)),
                ];
                sim.set_bits("meta", &packed(&meta(), &fields));
                let ends = [
                    ("error", u128::from(error)),
                    ("length_in", u128::from(n)),
                    ("length_out", u128::from(n + 4)),
                ];
                sim.set_bits("ending", &packed(&ending(), &ends));
                sim.step();
                let push = if valid && taken { 1 << out } else { 0 };
                assert_eq!(sim.get("push"), push);
                if push != 0 {
                    let word = sim.get_bits("out");
                    assert_eq!(unpacked(&edited_beat(&g), &word, "data").low_u64(), n);
                    let kept = sim.get_bits("out_meta");
                    assert_eq!(unpacked(&meta(), &kept, "tag").low_u64(), n);
                    let found = unpacked(&meta(), &kept, "priority").low_u64();
                    assert_eq!(found, priority);
                }
                assert_eq!(sim.get("event_valid"), u64::from(end));
                if end {
                    events += 1;
                    let event = sim.get_bits("event_data");
                    let field = |name: &str| unpacked(&record(&EVENT), &event, name).low_u64();
                    let too_big = reason == Reason::TooBig as u64;
                    let expected = match (error, too_big) {
                        (true, _) => Reason::Oversize as u64,
                        (_, true) => 0,
                        _ => reason,
                    };
                    assert_eq!(field("too_big") == 1, too_big && !error);
                    assert_eq!(field("reason"), expected);
                    assert_eq!(field("sent"), u64::from(taken || limited || error));
                    assert_eq!(field("limited"), u64::from(limited && !error));
                    assert_eq!(field("interface_valid"), u64::from(!error));
                    assert_eq!(field("sender_valid"), u64::from(!error));
                    assert_eq!((field("length_in"), field("length_out")), (n, n + 4));
                    assert_eq!((field("first"), field("action")), (first.into(), n));
                }
            }
        }
        assert_eq!(events, 2000);
        assert!(sim.covered("dropped").unwrap() > 0);
        assert!(sim.covered("host_limited").unwrap() > 0);
    }
}
