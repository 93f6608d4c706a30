//! Egress: one output queue and its AXI4-Stream. With several queues it is [`super::egress_queues`].
//!
//! Says `room` when the longest frame fits: beats and sideband have a queue each, the sideband with
//! one place for each 64 bytes. A frame may leave while it still comes in (cut-through).

use super::{LONGEST_OUT, count_bits, data_bits, dispatch, edited_beat, kept, meta, record};
use seqnic_gen::{Circuit, GenError, Module, Record, Sig, Stream};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::{HOST_META, PORT_META};

/// What is on the other side of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// An Ethernet port: `tuser` is [`PORT_META`].
    Port,
    /// The host: `tuser` is [`HOST_META`].
    Host,
}

/// Frames a queue has places for: one for each 64 bytes, the shortest frames of Ethernet.
pub fn frames(g: &Geometry) -> u32 {
    (u64::from(g.egress_beats) * u64::from(g.bus_bytes) / 64).clamp(4, 1 << 16) as u32
}

/// The sideband of a copy at its output, but for the error bit above it, which is the beats'.
pub(super) fn user<'m>(m: &'m Module, side: Side, sideband: Sig<'m>) -> Sig<'m> {
    let user = match side {
        Side::Port => record(&PORT_META),
        Side::Host => record(&HOST_META),
    };
    let from = |field: &str| match field {
        "port" => "in_port".to_string(),
        "interface" if side == Side::Port => "out_interface".to_string(),
        other => other.to_string(),
    };
    let error_at = user.fields().iter().position(|f| f.name == "error");
    let parts: Vec<_> = user
        .fields()
        .iter()
        .filter(|f| f.name != "error")
        .rev()
        .map(|f| sideband.field(&from(&f.name)))
        .collect();
    debug_assert_eq!(
        error_at,
        Some(user.fields().len() - 1),
        "the error bit is the highest"
    );
    m.concat(&parts)
}

/// Takes `push`, `beat` ([`edited_beat`]) and `meta`; gives AXI4-Stream out (`m_tdata`, `m_tkeep`,
/// `m_tvalid`, `m_tready`, `m_tlast`, `m_tuser`), `room` and `busy`.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry, side: Side) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(match side {
        Side::Port => "egress",
        Side::Host => "egress_host",
    });
    m.doc("One output: a queue of beats and one of sidebands, whose output registers are the AXI4-Stream.");
    let push = m.input("push", 1);
    let beat = m.input_record("beat", &edited_beat(g), None);
    let sideband = m.input_record("meta", &meta(), None);
    let out_ready = m.input("m_tready", 1);

    let stored = Record::new(
        "stored",
        [
            ("data", data_bits(g)),
            ("count", count_bits(g)),
            ("last", 1),
            ("error", 1),
        ],
    );
    let fields = ["data", "count", "last", "error"].map(|name| (name, beat.field(name)));
    let beats_in = Stream::new("beat_in", push, m.pack(&stored, &fields));
    m.assert("beat_has_a_slot", !push | beats_in.ready());
    let (beats, beat_count) = beats_in.slow_queue("beats", g.egress_beats);

    let user = user(&m, side, sideband);
    let first = beat.field("first");
    let users_in = Stream::new("user_in", push & first, user);
    m.assert("user_has_a_slot", !(push & first) | users_in.ready());
    let frames = frames(g);
    let (users, user_count) = users_in.slow_queue("users", frames);

    // What may still be on its way from `dispatch` is not in the counts.
    let longest = g.beats(LONGEST_OUT) + dispatch::DECIDED_BEFORE;
    let beats_fit = beat_count.le(beat_count.lit(u128::from(g.egress_beats - longest)));
    let user_fits =
        user_count.le(user_count.lit(u128::from(frames - 1 - dispatch::DECIDED_BEFORE)));
    m.output("room", beats_fit & user_fits);

    // A beat may be there a clock before its sideband.
    let valid = (beats.valid & users.valid).named("valid");
    let taken = (valid & out_ready).named("taken");
    beats.accept(out_ready & users.valid);
    users.accept(taken & beats.field("last"));
    m.output("m_tdata", beats.field("data"));
    // Behind the register: the memory's block is slow enough without it.
    let last = beats.field("last");
    m.output("m_tkeep", kept(beats.field("count"), g.bus_bytes));
    m.output("m_tvalid", valid);
    m.output("m_tlast", last);
    let error = (beats.field("error") & last).named("cut_off");
    m.output("m_tuser", error.cat(users.data));
    m.output("busy", beat_count.any());
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{
        AxiJoiner, BUSES, Sink, beats, built, length, packed, small, unpacked,
    };
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};

    fn drive(sim: &mut Sim, g: &Geometry, beat: &crate::stream::testbench::Beat, kept: &Bits) {
        let mut word = packed(
            &edited_beat(g),
            &[
                ("count", beat.data.len() as u128),
                ("first", beat.first.into()),
                ("last", beat.last.into()),
                ("error", beat.error.into()),
            ],
        );
        word.set_slice(0, &Bits::from_bytes_le(&beat.data));
        sim.set("push", 1);
        sim.set_bits("beat", &word);
        sim.set_bits("meta", kept);
    }

    #[test]
    fn frames_leave_whole_with_their_sideband() {
        for (bus, side) in BUSES
            .iter()
            .flat_map(|b| [(*b, Side::Port), (*b, Side::Host)])
        {
            let g = small(bus);
            let layout = if side == Side::Port {
                &PORT_META
            } else {
                &HOST_META
            };
            let mut sim = Sim::new(&built(build(&g, side)));
            let mut random = Random::new(bus.into());
            sim.reset();
            let mut sink = Sink::axi(&sim, "m_");
            let (mut joiner, mut found, mut expected) = (AxiJoiner::default(), vec![], vec![]);
            let mut refused = 0;
            let mut sending: Vec<_> = vec![];
            let mut kept = Bits::zero(1);
            for tag in 0u64.. {
                if sending.is_empty() && tag < 30_000 {
                    // The rule of `dispatch`: all of a frame, or nothing of it.
                    if sim.get("room") == 1 {
                        let size = length(&mut random, 1, 9224);
                        let frame = random.bytes(size);
                        let error = random.one_in(4);
                        sending = beats(&g, &frame, error);
                        sending.reverse();
                        kept = Bits::from_limbs(
                            meta().width(),
                            &[tag, random.word(), random.word(), random.word()],
                        );
                        expected.push((frame, error, kept.clone()));
                    } else {
                        refused += 1;
                    }
                }
                match sending.pop_if(|_| !random.one_in(5)) {
                    Some(beat) => drive(&mut sim, &g, &beat, &kept),
                    None => sim.set("push", 0),
                }
                if random.one_in(5000) {
                    sink.busy = random.pick(&[0, 50, 95, 100]);
                }
                if tag >= 30_000 {
                    sink.busy = 0;
                }
                sink.drive(&mut sim, &mut random);
                if let Some(word) = sink.settle(&mut sim) {
                    found.extend(joiner.take(&word));
                }
                sim.step();
                if tag >= 30_000 && sim.get("busy") == 0 && sending.is_empty() {
                    break;
                }
                assert!(tag < 60_000, "stuck");
            }
            assert!(refused > 0, "the queue was never full");
            assert_eq!(found.len(), expected.len());
            for (found, (bytes, error, kept)) in found.iter().zip(&expected) {
                assert!(found.bytes == *bytes && found.error == *error);
                for f in record(layout).fields().iter().filter(|f| f.name != "error") {
                    let name = match (f.name.as_str(), side) {
                        ("port", _) => "in_port",
                        ("interface", Side::Port) => "out_interface",
                        (name, _) => name,
                    };
                    let value = found.user.slice(f.offset, f.width);
                    assert_eq!(value, unpacked(&meta(), kept, name), "{}", f.name);
                }
            }
        }
    }

    #[test]
    fn one_beat_frames_leave_at_one_a_clock() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g, Side::Port)));
        let mut random = Random::new(1);
        sim.reset();
        sim.set("m_tready", 1);
        let kept = Bits::zero(meta().width());
        let mut found = 0;
        for n in 0..203 {
            drive(&mut sim, &g, &beats(&g, &random.bytes(60), false)[0], &kept);
            sim.set("push", u64::from(n < 200));
            found += sim.get("m_tvalid");
            sim.step();
        }
        assert_eq!(found, 200);
    }
}
