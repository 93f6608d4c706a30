//! Buffer: the beats of frames until their edits are known, read once for each copy.
//!
//! A ring of beats. Reading may follow writing beat by beat (cut-through), so the reader must know
//! whether a beat is its frame's last without waiting for the beat: the queue `ends` holds place,
//! byte count and error of the last beat of each completely written frame. While its head is
//! absent, the frame's end is not written yet, and no beat that is there is the last one. For
//! this a beat counts as written (`visible`) only when its end could be seen at the head of the
//! queue: two clocks after the write, as that is the queue's latency.
//!
//! As the byte count of the last beat is known before it is read, so is whether added VLAN tags
//! push bytes into one more beat; that clock (`extra`) is left free here, and nothing behind is
//! ever stalled.
//!
//! The beats of a frame are free again when its last copy has read them.

use super::{EDIT_SLOTS, beat, data_bits, record, slot};
use seqnic_gen::{Circuit, GenError, Module, RamSpec, Record, Stream, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;

/// Beats that may still come after `room` has gone: arbiter, registers, and some to spare.
pub const MARGIN: u32 = 8;

/// Clocks from a slot to its data.
pub const READ_LATENCY: u32 = 2;

/// Takes `valid`, `beat` (never stalled; the arbiter minds `room`), and `edit_valid`, `edit` in the
/// frames' order into a queue of [`EDIT_SLOTS`] (the sequencer minds `edit_taken`). Gives
/// `slot_valid`, [`slot`] with `edit_now` ([`EDIT`], with every slot of the copy), and [`READ_LATENCY`]
/// clocks later `data`. `hold` leaves a clock without a slot. `frame_done` is set with the last
/// slot of a frame's last copy.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("buffer");
    m.doc(
        "Ring of beats. Reads each frame once for each copy, cut-through; frees it with its last copy.\n\
         Slots come at `slot`, their data two clocks later.",
    );
    let valid = m.input("valid", 1);
    let beat = m.input_record("beat", &beat(g), None);
    let edit_valid = m.input("edit_valid", 1);
    let edit = m.input_record("edit", &record(&EDIT), None);
    let hold = m.input("hold", 1);

    // Beat numbers: the address, and one bit above it to tell full from empty.
    let rows = g.buffer_beats;
    let bits = clog2(rows);
    let one = m.lit(bits + 1, 1);
    let written = m.reg("written", bits + 1, 0);
    let read_at = m.reg("read_at", bits + 1, 0);
    let start = m.reg("start", bits + 1, 0); // of the frame that is read
    let freed = m.reg("freed", bits + 1, 0);

    // Write side.
    written.set(written.q() + valid.zext(bits + 1));
    let visible = m.reg("visible", bits + 1, 0);
    visible.set(written.q());
    let ring = m.ram(
        "ring",
        RamSpec::new(rows, data_bits(g)).latency(READ_LATENCY),
    );
    ring.write(valid, written.trunc(bits), beat.field("data"));
    let end = Record::new(
        "end",
        [
            ("place", bits),
            ("count", beat.field("count").width()),
            ("error", 1),
        ],
    );
    let arriving = Stream::new(
        "end_in",
        (valid & beat.field("last")).named("frame_written"),
        m.pack(
            &end,
            &[
                ("place", written.trunc(bits)),
                ("count", beat.field("count")),
                ("error", beat.field("error")),
            ],
        ),
    );
    // A frame has at least one beat, so there is never an end too many.
    m.assert("end_has_a_slot", !arriving.valid | arriving.ready());
    let (ends, _) = arriving.fifo("ends", rows);
    let used = (written.q() - freed.q()).named("used");
    m.assert("ring_not_overrun", used.le(used.lit(rows.into())));
    let room = m.reg("room_q", 1, 0);
    room.set(used.le(used.lit(u128::from(rows - MARGIN))));

    // Edits.
    let edits = Stream::new("edit_in", edit_valid, edit);
    m.assert("edit_has_a_slot", !edit_valid | edits.ready());
    let (edits, _) = edits.queue("edits", EDIT_SLOTS, |edit| edit);
    let last_copy = edits.field("last");

    // Read side.
    let extra_due = m.reg("extra_due", 1, 0);
    let fresh = m.reg("fresh", 1, 1); // the next slot is a copy's first
    let beat_there = read_at.ne(visible.q()).named("beat_there");
    let go = (edits.valid & beat_there & !extra_due.q() & !hold).named("go");
    let at_end = (ends.valid & ends.field("place").eq(read_at.trunc(bits))).named("at_end");
    let extra = (extra_due.q() & !hold).named("extra");

    // Bytes pushed over the end of the last beat, if tags make the frame longer.
    let (tags_in, tags_out) = (edits.field("tags_in"), edits.field("tags_out"));
    let longer = (edits.field("l2_valid") & tags_out.gt(tags_in)).named("longer");
    let added = (tags_out - tags_in).cat(m.lit(2, 0));
    let wide = end.field("count").map_or(1, |f| f.width) + 4;
    let bytes = ends.field("count").zext(wide) + added.zext(wide);
    let grows = (longer & bytes.gt(bytes.lit(g.bus_bytes.into()))).named("grows");

    let ending = (go & at_end).named("copy_read");
    let finish = ((ending & !grows) | extra).named("finish");
    extra_due.set(extra_due.mux(hold, ending & grows));
    fresh.set_when(go | extra, finish);
    edits.accept(finish);
    ends.accept(ending & last_copy);
    let next = read_at.q() + one;
    read_at.set_when(go, (at_end & !last_copy).mux(start.q(), next));
    start.set_when(ending & last_copy, next);
    freed.set_when(go & last_copy, next);

    // The head of `ends` has gone when the extra slot comes.
    let held_count = m.reg_no_reset("held_count", ends.field("count").width());
    held_count.set_when(ending, ends.field("count"));
    let held_error = m.reg_no_reset("held_error", 1);
    held_error.set_when(ending, ends.field("error"));

    let out = m.pack(
        &slot(g),
        &[
            ("first", fresh.q()),
            ("last", at_end & !extra_due.q()),
            ("extra", extra_due.q()),
            ("final", finish),
            ("count", extra_due.mux(held_count.q(), ends.field("count"))),
            ("error", extra_due.mux(held_error.q(), ends.field("error"))),
        ],
    );
    m.output("slot_valid", go | extra);
    m.output("slot", out);
    m.output("edit_now", edits.data);
    m.output("data", ring.read(read_at.trunc(bits)));
    m.output("edit_taken", finish.as_valid().reg());
    m.output("frame_done", (finish & last_copy).as_valid().reg());
    m.output("room", room.q());
    m.cover("cut_through", go & !ends.valid);
    m.cover("copy_reads_again", ending & !last_copy);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{
        BUSES, Beat, beat_bits, beats, built, length, packed, small, unpacked,
    };
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};
    use seqnic_spec::wire::WINDOW_BYTES;
    use std::collections::VecDeque;

    struct Copy {
        tag: u64,
        last: bool,
        l2: bool,
        tags_in: u64,
        tags_out: u64,
    }

    fn edit_bits(copy: &Copy) -> Bits {
        packed(
            &record(&EDIT),
            &[
                ("tag", copy.tag.into()),
                ("last", copy.last.into()),
                ("l2_valid", copy.l2.into()),
                ("tags_in", copy.tags_in.into()),
                ("tags_out", copy.tags_out.into()),
            ],
        )
    }

    /// What comes out, as the editor sees it: slot, edit's tag, data two clocks later.
    struct Reader {
        slots: VecDeque<Option<(Bits, u64)>>,
        open: Vec<u8>,
        fresh: bool,
        found: Vec<(u64, Vec<u8>, bool, bool)>,
    }

    impl Reader {
        fn new() -> Reader {
            Reader {
                slots: vec![None; 2].into(),
                open: vec![],
                fresh: true,
                found: vec![],
            }
        }

        fn look(&mut self, sim: &mut Sim, g: &Geometry) {
            let now = (sim.get("slot_valid") == 1).then(|| {
                let edit = sim.get_bits("edit_now");
                (
                    sim.get_bits("slot"),
                    unpacked(&record(&EDIT), &edit, "tag").low_u64(),
                )
            });
            self.slots.push_back(now);
            let Some((slot, tag)) = self.slots.pop_front().flatten() else {
                return;
            };
            let layout = super::slot(g);
            let flag = |name: &str| !unpacked(&layout, &slot, name).is_zero();
            let count = unpacked(&layout, &slot, "count").low_u64() as usize;
            assert_eq!(flag("first"), self.fresh);
            assert!(!(flag("extra") && flag("last")));
            let bytes = sim.get_bits("data").to_bytes_le();
            if flag("last") {
                self.open.extend_from_slice(&bytes[..count]);
            } else if !flag("extra") {
                self.open.extend_from_slice(&bytes);
            }
            self.fresh = flag("final");
            if self.fresh {
                let frame = std::mem::take(&mut self.open);
                assert_eq!((frame.len() - 1) % g.bus_bytes as usize + 1, count);
                self.found.push((tag, frame, flag("extra"), flag("error")));
            }
        }
    }

    fn drive_beat(sim: &mut Sim, g: &Geometry, beat: Option<&Beat>) {
        sim.set("valid", u64::from(beat.is_some()));
        if let Some(beat) = beat {
            sim.set_bits("beat", &beat_bits(g, beat));
        }
    }

    #[test]
    fn copies_are_the_frame_and_extra_clocks_come_where_tags_overflow() {
        for bus in BUSES {
            let g = small(bus);
            let mut sim = Sim::new(&built(build(&g)));
            let mut random = Random::new(bus.into());
            sim.reset();
            let (mut waiting, mut edits) = (VecDeque::new(), VecDeque::new());
            let (mut expected, mut frames_left) = (vec![], 0u64);
            for tag in 0..60u64 {
                let size = length(&mut random, 60, 9216);
                let frame = random.bytes(size);
                let error = random.one_in(5);
                let all = beats(&g, &frame, error);
                let copies = random.pick(&[1, 1, 1, 2, 3]);
                // The edits come with the window, that is with this beat at the earliest.
                let window = all.len().min((WINDOW_BYTES / bus) as usize) - 1;
                let mut list = vec![];
                for n in 0..copies {
                    let copy = Copy {
                        tag: tag << 8 | n,
                        last: n + 1 == copies,
                        l2: !random.one_in(4),
                        tags_in: random.below(3),
                        tags_out: random.below(3),
                    };
                    let added = if copy.l2 {
                        4 * copy.tags_out.saturating_sub(copy.tags_in)
                    } else {
                        0
                    };
                    let rest = (size - 1) as u64 % u64::from(bus) + 1;
                    let grows = rest + added > bus.into();
                    expected.push((copy.tag, frame.clone(), grows, error));
                    list.push(copy);
                }
                frames_left += 1;
                for (i, beat) in all.into_iter().enumerate() {
                    let now = if i == window {
                        std::mem::take(&mut list)
                    } else {
                        vec![]
                    };
                    waiting.push_back((beat, now));
                }
            }
            let mut reader = Reader::new();
            let (mut slots_used, mut slow, mut late) = (0, 1, 1);
            let mut room_gone = 0;
            while reader.found.len() < expected.len() {
                if random.one_in(300) {
                    (slow, late) = (random.pick(&[1, 1, 3]), random.pick(&[1, 2, 400]));
                }
                let room = sim.get("room") == 1;
                room_gone += u32::from(!room);
                let beat = match room && random.one_in(slow) {
                    true => waiting.pop_front(),
                    false => None,
                };
                drive_beat(&mut sim, &g, beat.as_ref().map(|b| &b.0));
                edits.extend(beat.into_iter().flat_map(|b| b.1));
                let send = slots_used < EDIT_SLOTS && !edits.is_empty() && random.one_in(late);
                sim.set("edit_valid", send.into());
                if send {
                    let copy = edits.pop_front().unwrap();
                    sim.set_bits("edit", &edit_bits(&copy));
                    slots_used += 1;
                }
                sim.set("hold", random.one_in(10).into());
                reader.look(&mut sim, &g);
                sim.step();
                slots_used -= sim.get("edit_taken") as u32;
                frames_left -= sim.get("frame_done");
                assert!(sim.cycle() < 1_000_000, "stuck");
            }
            sim.step();
            frames_left -= sim.get("frame_done");
            assert!(reader.found == expected);
            assert_eq!(frames_left, 0);
            assert_eq!(sim.get("written"), sim.get("freed"));
            assert!(room_gone > 0, "the ring was never full");
            assert!(sim.covered("cut_through").unwrap() > 0);
            assert!(sim.covered("copy_reads_again").unwrap() > 0);
        }
    }

    #[test]
    fn short_frames_pass_at_one_a_clock() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        let mut random = Random::new(9);
        sim.reset();
        let mut reader = Reader::new();
        for n in 0..206u64 {
            let beat = &beats(&g, &random.bytes(60), false)[0];
            drive_beat(&mut sim, &g, (n < 200).then_some(beat));
            sim.set("edit_valid", u64::from(n < 200));
            let copy = Copy {
                tag: n,
                last: true,
                l2: true,
                tags_in: 1,
                tags_out: 2,
            };
            sim.set_bits("edit", &edit_bits(&copy));
            reader.look(&mut sim, &g);
            sim.step();
        }
        assert_eq!(reader.found.len(), 200);
    }
}
