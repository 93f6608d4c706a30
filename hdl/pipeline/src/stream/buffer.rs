//! Buffer: the beats of frames until their edits are known, read once for each copy.
//!
//! A ring of beats. Reading may follow writing beat by beat (cut-through), so the reader must know
//! whether a beat is its frame's last without waiting for the beat: the queue `ends` holds place,
//! byte count and error of the last beat of each completely written frame. While its head is
//! absent, the frame's end is not written yet, and no beat that is there is the last one. For
//! this a beat counts as written (`visible`) only when its end could be seen at the head of the
//! queue: two clocks after the write, as that is the queue's latency.
//!
//! What leaves of a copy are `prefix` bytes made by the editor and, behind them, the frame from byte
//! `strip` on. A slot is one beat that leaves. Those of the prefix alone read nothing; each other takes
//! up to a beat's bytes of the packet, which stand in two beats of the frame: the ring is two banks, for
//! even and for odd beats, and both are read at once. So a copy takes as many clocks as it has beats,
//! and nothing behind is ever stalled.
//!
//! Bytes of the packet move up by `prefix` modulo the beat, so a beat has the upper ones of the read
//! before, too; the last slot may need no new ones.
//!
//! The beats of a frame are free again when its last copy has read them.
//!
//! What a slot is compared with is worked out before: an end's neighbours as it is written, what a
//! copy's last slot may hold as its edit comes. Where headers are some clocks apart there
//! are two clocks between copies for it, and edits wait in registers, not in a queue ([`places`]). Where they are not, an
//! edit that comes is told where its frame begins, and which is the next copy's is known a clock before its first slot
//! ([`ahead`]), so that the registers have where it reads.

mod ahead;
mod places;

pub use places::PLACES;

use super::{beat, count_bits, data_bits, edit_slots, less, record, slot};
use seqnic_gen::{Bits, Circuit, GenError, Module, RamSpec, Record, Reg, Sig, Stream, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;

/// Beats that may still come after `room` has gone: arbiter, registers, and some to spare.
pub const MARGIN: u32 = 8;

/// Bits of the number of beats a prefix fills.
const PREFIX_BEAT_BITS: u32 = 4;

/// Clocks from a slot to its data.
pub const READ_LATENCY: u32 = 2;

/// Takes `valid`, `beat` (never stalled; the arbiter minds `room`), and `edit_valid`, `edit` in the
/// frames' order into a queue of [`edit_slots`] (the sequencer minds `edit_taken`; where headers are some clocks apart, the
/// edit that comes last stays on its wires until there is a place for it; where they are not, `edit_strip` and `edit_prefix` are
/// those of an edit with `l2_valid`, there before it is known whether it has that). Gives
/// `slot_valid`, [`slot`] with `edit_now` ([`EDIT`], with every slot of the copy), and [`READ_LATENCY`]
/// clocks later the rows `even` and `odd`. `hold` leaves a clock without a slot. `frame_done` is set with the last
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
    let spaced = g.clocks_per_header > 1;
    let freed = m.reg("freed", bits + 1, 0);

    // Write side.
    written.set(written.q() + valid.zext(bits + 1));
    // As late as the ends.
    let seen = match spaced {
        true => written.q(),
        false => {
            let seen = m.reg("seen", bits + 1, 0);
            seen.set(written.q());
            seen.q()
        }
    };
    let visible = m.reg("visible", bits + 1, 0);
    visible.set(seen);
    let visible_less = m.reg_bits("visible_less", &Bits::ones(bits + 1));
    visible_less.set(seen - one);
    let banks = ["even", "odd"].map(|bank| {
        let spec = RamSpec::new(rows / 2, data_bits(g)).latency(READ_LATENCY);
        m.ram(&format!("ring_{bank}"), spec)
    });
    let place = written.slice(1, bits - 1);
    banks[0].write(valid & !written.bit(0), place, beat.field("data"));
    banks[1].write(valid & written.bit(0), place, beat.field("data"));
    let end = Record::new(
        "end",
        [
            ("place", bits),
            ("before", bits),
            ("behind", bits + 1),
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
                ("before", (written.q() - one).trunc(bits)),
                ("behind", written.q() + one),
                ("count", beat.field("count")),
                ("error", beat.field("error")),
            ],
        ),
    );
    // There is never an end too many: see `frames_inside`.
    m.assert("end_has_a_slot", !arriving.valid | arriving.ready());
    let (mut ends, _) = arriving.fifo("ends", frames_inside(g));
    if !spaced {
        // What is taken is known so late in the clock that the queue is told with the next.
        ends = ends.register_slice("end_at_head");
    }
    let used = (written.q() - freed.q()).named("used");
    m.assert("ring_not_overrun", used.le(used.lit(rows.into())));
    let room = m.reg("room_q", 1, 0);
    room.set(used.le(used.lit(u128::from(rows - MARGIN))));

    // Edits.
    let edits = Stream::new("edit_in", edit_valid, edit);
    m.assert("edit_has_a_slot", !edit_valid | edits.ready());
    let beat_bits = clog2(g.bus_bytes);
    let wide = end.field("count").map_or(1, |f| f.width) + 2;
    let full = m.lit(wide, g.bus_bytes.into());
    let edit_record = record(&EDIT);
    // `apart`: bytes of the packet stand in two beats of the frame.
    let (edits, most, apart, copies) = match spaced {
        true => {
            let edits = places::behind_each_other(&m, edits);
            let most = m.reg_no_reset("most", wide);
            let (strip, prefix) = (edits.field("strip"), edits.field("prefix"));
            most.set(most_bytes(strip, prefix, full, beat_bits));
            let start = m.reg("start", bits + 1, 0);
            let armed = m.reg("armed", 1, 0);
            let apart = edits.field("strip").trunc(beat_bits).any();
            (edits, most.q(), apart, Copies::Apart { start, armed })
        }
        false => {
            let mut fields: Vec<(&str, u32)> =
                EDIT.fields.iter().map(|f| (f.name, f.width)).collect();
            fields.extend([("most", wide), ("first_at", bits + 1), ("apart", 1)]);
            let known = Record::new("edit_and_place", fields);
            let start = frame_starts(&m, g, valid, beat.field("last"), written.q());
            m.assert("start_is_there", !edit_valid | start.valid);
            start.accept(edit_valid & edit.field("last"));
            // Whether the packet gets other headers is known last.
            let here = edit.field("l2_valid");
            let raw = |name: &str| {
                let width = edit.field(name).width();
                m.input(&format!("edit_{name}"), width)
            };
            let (strip, prefix) = (raw("strip"), raw("prefix"));
            m.assert("strip_is_that", edit.field("strip").eq(strip.when(here)));
            m.assert("prefix_is_that", edit.field("prefix").eq(prefix.when(here)));
            let most = here.mux(most_bytes(strip, prefix, full, beat_bits), full);
            let skipped = start.data + strip.shr(beat_bits).zext(bits + 1);
            let first_at = here.mux(skipped, start.data);
            let front = in_front_of(prefix, beat_bits).when(here);
            let apart = here & strip.trunc(beat_bits).any();
            let edits = edits.map(|edit| {
                let word = apart.cat(first_at).cat(most).cat(edit);
                word.with_record(&known)
            });
            let queue = ahead::queue(&m, edits, edit_slots(g));
            let (most, apart) = (queue.head.field("most"), queue.head.field("apart"));
            let copies = Copies::AtOnce {
                arriving: [front, first_at],
                waiting: queue.waiting,
                advance: queue.advance,
                passing: queue.passing,
            };
            (queue.head, most, apart, copies)
        }
    };
    let edit_now = edits
        .data
        .trunc(edit_record.width())
        .with_record(&edit_record);
    let last_copy = edits.field("last");

    // Read side: `at` is the lower of the two beats, `offset` its first byte that is read.
    let fresh = m.reg("fresh", 1, 1); // the next slot is a copy's first
    let in_front = m.reg_no_reset("in_front", PREFIX_BEAT_BITS); // slots without bytes of the packet
    let started = m.reg_no_reset("started", 1);
    let (strip, prefix) = (edits.field("strip"), edits.field("prefix"));
    let offset = strip.trunc(beat_bits).named("offset");
    let moved = prefix.trunc(beat_bits).named("moved");
    let (front, at) = (in_front.q(), read_at.q());
    let packet = (!front.any()).named("packet");
    let next = (at + one).named("next");
    let written_at = at.ne(visible.q());
    let written_next = at.ne(visible_less.q());
    let there = ends.valid | apart.mux(written_next, written_at);
    let ready = match &copies {
        Copies::Apart { armed, .. } => armed.q(),
        Copies::AtOnce { .. } => edits.valid,
    };
    let go = (ready & (there | !packet) & !hold).named("go");

    // An edit comes long behind its window, so where a copy starts is written; from there on one beat
    // more is needed with each slot.
    let needed = apart.mux(next, at).named("needed");
    let ahead = (visible.q() - needed).named("ahead");
    let written_there = ahead.any() & ahead.le(ahead.lit(rows.into()));
    m.assert(
        "reads_what_is_written",
        !(go & packet & !ends.valid) | written_there,
    );

    // The frame's end against the bytes that leave with this slot.
    let [ended, at_end, next_end] = [
        ("ended", "behind"),
        ("at_end", "place"),
        ("next_end", "before"),
    ]
    .map(|(name, of_end)| {
        (ends.valid & ends.field(of_end).trunc(bits).eq(at.trunc(bits))).named(name)
    });
    let count = ends.field("count").zext(wide);
    // No more than a beat is in the last, and less than two beats leave, so one comparison says both.
    let more_than_a_beat = most.slice(beat_bits, 1);
    let in_part = !count.bit(beat_bits) & !less(most.trunc(beat_bits), count.trunc(beat_bits));
    let fits = at_end & (more_than_a_beat | in_part);
    let next_fits = next_end & more_than_a_beat & in_part;
    // Each of these says that the end is there, so `there` need not be asked.
    let may = match spaced {
        true => go & packet,
        false => ready & packet & !hold,
    };
    let finish = (may & (ended | fits | next_fits)).named("finish");
    if !spaced {
        m.assert("what_finishes_goes", !finish | go);
    }
    let last_count = (count + moved.zext(wide) - offset.zext(wide) + full.when(next_end)
        - full.when(ended))
    .named("last_count");

    fresh.set_when(go, finish);
    let left = front - (!packet).zext(PREFIX_BEAT_BITS);
    started.set_when(go, packet);
    let done = (finish & last_copy).named("frame_read");
    let behind = ends.field("behind");
    // The registers take what the first slot of the next copy begins with.
    let step = [left, packet.mux(next, at)];
    let (moves, [next_front, next_at]) = match copies {
        Copies::AtOnce {
            arriving,
            waiting,
            advance,
            passing,
        } => {
            edits.accept(finish);
            ends.accept(done);
            let front = in_front_of(waiting.field("prefix"), beat_bits);
            let waiting = [front, waiting.field("first_at")];
            // Without a next copy it does not matter what they have.
            let next = |n: usize| {
                let other = advance.mux(waiting[n], step[n]);
                (advance & passing).mux(arriving[n], other)
            };
            (go | !edits.valid, [next(0), next(1)])
        }
        Copies::Apart { start, armed } => {
            let finished = finish.as_valid().reg();
            edits.accept(finished);
            ends.accept(done.as_valid().reg());
            armed.set(edits.valid & !finish & !finished);
            start.set_when(done, behind);
            let first_at = start.q() + skipped(edit_now, beat_bits).zext(bits + 1);
            let first = [in_front_of(prefix, beat_bits), first_at];
            let begins = !armed.q();
            (go | begins, [0, 1].map(|n| begins.mux(first[n], step[n])))
        }
    };
    in_front.set_when(moves, next_front);
    read_at.set_when(moves, next_at);
    freed.set_when(go & packet & last_copy, finish.mux(behind, next));

    let out = m.pack(
        &slot(g),
        &[
            ("first", fresh.q()),
            ("starts", packet & (fresh.q() | !started.q())),
            ("packet", packet),
            ("odd", at.bit(0)),
            ("low", !ended),
            ("high", !(ended | at_end)),
            ("last", finish),
            ("count", last_count.trunc(count_bits(g))),
            ("error", ends.field("error")),
        ],
    );
    m.output("slot_valid", go);
    m.output("slot", out);
    m.output("edit_now", edit_now);
    m.output("even", banks[0].read(next.slice(1, bits - 1)));
    m.output("odd", banks[1].read(at.slice(1, bits - 1)));
    let taken_behind = if spaced { 2 } else { 1 };
    m.output("edit_taken", finish.as_valid().delay(taken_behind));
    m.output("frame_done", done.as_valid().reg());
    m.output("room", room.q());
    m.cover("cut_through", go & !ends.valid);
    m.cover("copy_reads_again", finish & !last_copy);
    m.cover("beat_of_the_read_before", finish & ended);
    m.finish()
}

/// Frames that may be in the buffer: each has a credit of the arbiter's until the order for its last copy
/// has left the sequencer, and that order a slot for its edit until it is read.
pub fn frames_inside(g: &Geometry) -> u32 {
    (g.header_slots + edit_slots(g)).next_power_of_two()
}

/// Clocks from the first slot of a copy to that of the next, at least: copies may have one.
pub const fn copies_apart(g: &Geometry) -> u32 {
    if g.clocks_per_header == 1 { 1 } else { 3 }
}

/// How edits come to the head.
enum Copies<'m> {
    /// Clocks apart, and so with time for what the registers take.
    Apart {
        /// First beat of the frame that is read.
        start: Reg<'m>,
        /// The registers have what the copy begins with.
        armed: Reg<'m>,
    },
    /// Maybe one in every clock: see [`ahead::Ahead`].
    AtOnce {
        /// What the one that arrives begins with: slots without bytes of the packet, and the first beat it reads.
        arriving: [Sig<'m>; 2],
        waiting: Sig<'m>,
        advance: Sig<'m>,
        passing: Sig<'m>,
    },
}

/// The places of the frames' first beats, for their edits: each stays until its frame's last edit has come.
fn frame_starts<'m>(
    m: &'m Module,
    g: &Geometry,
    valid: Sig<'m>,
    last: Sig<'m>,
    place: Sig<'m>,
) -> Stream<'m> {
    let begins = m.reg("frame_begins", 1, 1);
    begins.set_when(valid, last);
    let start = Stream::new(
        "start_in",
        (valid & begins.q()).named("frame_starts"),
        place,
    );
    m.assert("start_has_a_slot", !start.valid | start.ready());
    // Which edit is the last is known late in the clock.
    let (starts, _) = start.fifo("starts", frames_inside(g));
    starts.register_slice("start_at_head")
}

/// Beats of the frame in front of the first that is read.
fn skipped(edit: Sig<'_>, beat_bits: u32) -> Sig<'_> {
    edit.field("strip").shr(beat_bits)
}

/// Slots in front of the first that has bytes of the packet.
fn in_front_of(prefix: Sig<'_>, beat_bits: u32) -> Sig<'_> {
    prefix.shr(beat_bits).trunc(PREFIX_BEAT_BITS)
}

/// Bytes of the lower beat of a slot that leave with it at most, of `full` in a beat.
fn most_bytes<'m>(strip: Sig<'m>, prefix: Sig<'m>, full: Sig<'m>, beat_bits: u32) -> Sig<'m> {
    let part = |sig: Sig<'m>| sig.trunc(beat_bits).zext(full.width());
    part(strip) + full - part(prefix)
}

#[cfg(test)]
mod tests;
