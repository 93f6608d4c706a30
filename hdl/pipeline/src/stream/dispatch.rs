//! Dispatch: to which output a copy goes, and the event of its end.
//!
//! The output's room is asked once, for the copy's first beat: without it the copy is dropped
//! whole. A full output therefore holds up nothing else. That is decided beside the editor's last clock, so
//! it takes none of its own.

use super::{ending, meta, record};
use seqnic_gen::{Circuit, GenError, Module, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::reason::{REASON_BITS, Reason};
use seqnic_spec::stage::EVENT;
use seqnic_spec::tables::width;

/// Clocks from the decision about a copy to its first beat at its output's queue: the egress adds them to what
/// it must have free.
pub const DECIDED_BEFORE: u32 = 1;

/// Takes what [`super::editor`] and [`super::host_limit`] give and `room`, one bit for each queue of each output, the lowest first.
/// A clock before the beat `soon`, `soon_first`, `soon_port` and `rank`; with it `limited` (only copies for the host
/// are), `meta`, `end_valid` and `ending`. Gives with the beat `push` (one bit for each output) and `out_meta`; a
/// clock later `event_valid`, `event_data` ([`EVENT`]) for each copy.
///
/// A frame that was cut off counts as `oversize` only: its event names no sender and no output.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("dispatch");
    m.doc(
        "Sends a copy's beats to its output, or drops all of them if it has no room for the first.\n\
         Decides a clock before the beat.",
    );
    let soon = m.input("soon", 1);
    let first = m.input("soon_first", 1);
    let port = m.input("soon_port", width::PORT);
    let rank = m.input("rank", width::PRIORITY);
    let limited = m.input("limited", 1);
    let kept = m.input_record("meta", &meta(), None);
    let end_valid = m.input("end_valid", 1);
    let end = m.input_record("ending", &ending(), None);
    let outputs = g.ports + 1;
    let room = m.input("room", outputs * g.queues);
    let kept = kept.with_field("priority", rank.reg());

    let place = m.onehot(port).trunc(outputs).named("place");
    let starts = (soon & first).named("starts");
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
    let fits = (room & place).any().named("fits");
    let decided = starts.mux(fits, taken_q.q()).named("decided");
    taken_q.set(decided);
    let goes = (place & (soon & decided).repl(outputs)).as_valid().reg();
    let goes = goes.named("goes");
    let host = g.host_port();
    let to_host = (goes.bit(host) & !limited).named("to_host");
    let taken = taken_q.q();

    let error = end.field("error");
    let oversize = m.lit(REASON_BITS, Reason::Oversize as u128);
    // The packet itself is directed then; the host is told what became of this copy.
    let reason = kept.field("reason");
    let of_copy = Reason::ALL.iter().filter(|r| r.is_of_copy());
    let of_copy: Vec<_> = of_copy.map(|r| reason.is(*r as u128)).collect();
    let of_copy = m.or(&of_copy).named("of_copy");
    let own = reason.when(!of_copy);
    let mut fields = vec![
        ("reason", error.mux(oversize, own)),
        ("instead", reason.when(of_copy & !error)),
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

    m.output("push", to_host.cat(goes.trunc(host)));
    m.output("out_meta", kept);
    m.output("event_valid", end_valid.as_valid().reg());
    m.output("event_data", event.reg());
    m.cover("dropped", end_valid & !taken & !limited);
    m.cover("host_limited", end_valid & limited);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, packed, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};

    /// What is with a beat: everything but the decision, which is a clock before.
    struct With {
        meta: Bits,
        ending: Bits,
        end: bool,
        limited: bool,
        tag: u64,
        priority: u64,
        expected: Option<[u64; 9]>,
        push: u64,
    }

    #[test]
    fn copies_go_whole_to_outputs_with_room() {
        let g = small(64);
        let host = u64::from(g.host_port());
        let mut sim = Sim::new(&built(build(&g)));
        let mut random = Random::new(8);
        sim.reset();
        let mut events = 0;
        let mut before: Option<With> = None;
        for n in 0..2000u64 {
            let beats = 1 + random.below(4);
            // Outputs 0 to 2 are there; an attachment on a port the card does not have is dropped.
            let out = random.below(5);
            let (first, error) = (random.one_in(2), random.one_in(6));
            let reason =
                random.pick(&[0u64, 0, 9, Reason::TooBig as u64, Reason::Unresolved as u64]);
            let (mut fits, limited) = (false, out == host && random.one_in(5));
            let priority = random.below(8);
            for i in 0..beats {
                while random.one_in(3) {
                    sim.set("soon", 0);
                    sim.set("room", random.below(8));
                    clock(&mut sim, before.take(), &mut events);
                }
                let room = random.below(8);
                if i == 0 {
                    fits = out < 3 && room >> out & 1 == 1;
                }
                let taken = fits && !limited;
                sim.set("soon", 1);
                sim.set("soon_first", u64::from(i == 0));
                sim.set("soon_port", out);
                sim.set("rank", priority);
                sim.set("room", room);
                clock(&mut sim, before.take(), &mut events);
                let fields = [
                    ("out_port", out.into()),
                    ("first", first.into()),
                    ("reason", reason.into()),
                    ("interface_valid", 1),
                    ("sender_valid", 1),
                    ("tag", n.into()),
                    ("action", u128::from(n)),
                ];
                let ends = [
                    ("error", u128::from(error)),
                    ("length_in", u128::from(n)),
                    ("length_out", u128::from(n + 4)),
                ];
                let of_copy = [Reason::TooBig as u64, Reason::Unresolved as u64].contains(&reason);
                let expected = [
                    if of_copy && !error { reason } else { 0 },
                    match (error, of_copy) {
                        (true, _) => Reason::Oversize as u64,
                        (_, true) => 0,
                        _ => reason,
                    },
                    u64::from(taken || limited || error),
                    u64::from(limited && !error),
                    u64::from(!error),
                    n,
                    n + 4,
                    first.into(),
                    n,
                ];
                before = Some(With {
                    meta: packed(&meta(), &fields),
                    ending: packed(&ending(), &ends),
                    end: i + 1 == beats,
                    limited,
                    tag: n,
                    priority,
                    expected: (i + 1 == beats).then_some(expected),
                    push: if taken { 1 << out } else { 0 },
                });
            }
        }
        sim.set("soon", 0);
        clock(&mut sim, before.take(), &mut events);
        assert_eq!(events, 2000);
        assert!(sim.covered("dropped").unwrap() > 0);
        assert!(sim.covered("host_limited").unwrap() > 0);
    }

    /// Gives what is with the beat of the clock before and looks at what is done with it.
    fn clock(sim: &mut Sim, with: Option<With>, events: &mut u32) {
        sim.set("end_valid", u64::from(with.as_ref().is_some_and(|w| w.end)));
        if let Some(with) = &with {
            sim.set_bits("meta", &with.meta);
            sim.set_bits("ending", &with.ending);
            sim.set("limited", with.limited.into());
        }
        assert_eq!(sim.get("push"), with.as_ref().map_or(0, |w| w.push));
        if let Some(with) = with.as_ref().filter(|w| w.push != 0) {
            let kept = sim.get_bits("out_meta");
            let field = |name: &str| unpacked(&meta(), &kept, name).low_u64();
            assert_eq!((field("tag"), field("priority")), (with.tag, with.priority));
        }
        sim.step();
        let expected = with.and_then(|w| w.expected);
        assert_eq!(sim.get("event_valid"), u64::from(expected.is_some()));
        let Some(expected) = expected else { return };
        *events += 1;
        let event = sim.get_bits("event_data");
        let names = [
            "instead",
            "reason",
            "sent",
            "limited",
            "interface_valid",
            "length_in",
            "length_out",
            "first",
            "action",
        ];
        let found = names.map(|name| unpacked(&record(&EVENT), &event, name).low_u64());
        assert_eq!(found, expected, "{names:?}");
        let sender = unpacked(&record(&EVENT), &event, "sender_valid").low_u64();
        assert_eq!(sender, expected[4]);
    }
}
