//! Editor: realigns a copy's beats by its tags and overlays what is edited.
//!
//! A copy with `tags_out - tags_in` more tags has its bytes behind the MACs moved by four bytes a
//! tag, -8 to +8; as a beat has 8 bytes or more, a beat that leaves is made of the beat that came
//! (`cur`), the one before (`prev`, when tags are added) and the one behind (`next`, when tags are
//! taken off). The bytes that move over the MACs and the tags are then overlaid by the [`patch`].
//!
//! [`super::buffer`] has left a clock free where the last beat grows into one more (`extra`).
//! Where the last beat's bytes all move into the beat before it, that one is the frame's last and
//! the clock of the last (`void`) passes without a beat.

use super::{LENGTH_BITS, count_bits, data_bits, edited_beat, ending, meta, patch, record, slot};
use seqnic_gen::{Circuit, GenError, Module, Sig};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;

/// Clocks from the slot that completes a beat to the edited beat.
pub const LATENCY: u32 = patch::LATENCY + 2;

/// Takes `slot_valid`, [`slot`] and `edit` ([`EDIT`]), and two clocks later `data`. Gives `valid`,
/// `out` ([`edited_beat`]) with `out_meta` ([`meta`]), and at the end of each copy `end_valid` and
/// `ending` ([`ending`]): with its last beat or a clock later, before the next copy's first beat.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("editor");
    m.doc(
        "Moves the bytes of a copy by the tags it gets or loses and overlays the edits. One beat a\n\
         clock, never stalls.",
    );
    let slot_valid = m.input("slot_valid", 1).as_valid();
    let slot_in = m.input_record("slot", &slot(g), None);
    let edit = m.input_record("edit", &record(&EDIT), None);
    let data = m.input("data", data_bits(g));

    // Clock 2: everything about the slot, with its data.
    let patch = m
        .instance("patcher", &patch::build(g)?, &[("edit", edit)])
        .get("patch");
    let in_valid = slot_valid.delay(2).named("in_valid");
    let in_slot = slot_in.delay(2).named("in_slot");
    let kept = meta();
    let fields: Vec<_> = kept
        .fields()
        .iter()
        .map(|f| (f.name.as_str(), edit.field(&f.name)))
        .collect();
    let in_meta = m.pack(&kept, &fields).delay(2);
    let (l2, tags_in, tags_out) = (
        edit.field("l2_valid"),
        edit.field("tags_in"),
        edit.field("tags_out"),
    );
    let more = |n: u32| {
        (l2 & difference(tags_out, tags_in, n))
            .named(&format!("add_{n}"))
            .delay(2)
    };
    let less = |n: u32| {
        (l2 & difference(tags_in, tags_out, n))
            .named(&format!("remove_{n}"))
            .delay(2)
    };
    let (in_add, in_remove) = (more(2).cat(more(1)), less(2).cat(less(1)));
    let in_data = data.when(!in_slot.field("extra")).named("in_data");

    // The beat to send, and what is around it.
    let cur_valid = m.reg("cur_valid", 1, 0);
    let cur_data = m.reg_no_reset("cur_data", data_bits(g));
    let prev_data = m.reg_no_reset("prev_data", data_bits(g));
    let cur_slot = m.reg_no_reset("cur_slot", in_slot.width());
    let cur_meta = m.reg_no_reset("cur_meta", in_meta.width());
    let cur_add = m.reg_no_reset("cur_add", 2);
    let cur_remove = m.reg_no_reset("cur_remove", 2);
    let before = m.reg_no_reset("bytes_before", LENGTH_BITS); // bytes of the frame before `cur`
    let void = m.reg("void_beat", 1, 0); // the bytes of `cur` have left
    let first = in_slot.field("first");
    cur_data.set_when(in_valid, in_data);
    prev_data.set_when(in_valid, cur_data.q());
    cur_slot.set_when(in_valid, in_slot);
    cur_meta.set_when(in_valid, in_meta);
    cur_add.set_when(in_valid, in_add);
    cur_remove.set_when(in_valid, in_remove);
    let full = m.lit(LENGTH_BITS, g.bus_bytes.into());
    let advanced = first.mux(before.lit(0), before.q() + full);
    before.set_when(in_valid & !in_slot.field("extra"), advanced);

    let cur = cur_slot.q().with_record(&slot(g));
    let is_final = cur.field("final");
    let fire = (cur_valid.q() & (is_final | in_valid)).named("fire");
    cur_valid.set(in_valid | (cur_valid.q() & !fire));

    // Bytes in their new places.
    let next_data = in_data.when(!is_final);
    let around = m
        .concat(&[next_data, cur_data.q(), prev_data.q()])
        .named("around");
    let moved = |by: i64| around.slice((i64::from(data_bits(g)) - by * 32) as u32, data_bits(g));
    let stays = !(cur_add.any() | cur_remove.any());
    let realigned = m
        .select_onehot(&[
            (stays, moved(0)),
            (cur_add.bit(0), moved(1)),
            (cur_add.bit(1), moved(2)),
            (cur_remove.bit(0), moved(-1)),
            (cur_remove.bit(1), moved(-2)),
        ])
        .named("realigned");

    // The patch moves on by a beat with each beat.
    let step = |name: &str, new: &str, bits: u32| {
        let reg = m.reg_no_reset(name, patch.field(new).width());
        reg.set_when(in_valid, first.mux(patch.field(new), reg.shr(bits)));
        match bits <= reg.width() {
            true => reg.trunc(bits),
            false => reg.zext(bits),
        }
    };
    let overlay = step("patch_data", "data", data_bits(g));
    let halves = step("patch_mask", "mask", g.bus_bytes * 2);
    let wide: Vec<_> = halves
        .bits()
        .into_iter()
        .rev()
        .map(|bit| bit.repl(4))
        .collect();
    let mask = m.concat(&wide).named("mask");
    let edited = ((realigned & !mask) | overlay).named("edited");

    // Where the frame ends now.
    let bits = count_bits(g) + 2;
    let bytes = m.lit(bits, g.bus_bytes.into());
    let added = cur_add.q().cat(m.lit(2, 0)).zext(bits).named("added");
    let removed = cur_remove.cat(m.lit(2, 0)).zext(bits).named("removed");
    let cur_count = cur.field("count").zext(bits);
    let next_count = in_slot.field("count").zext(bits);
    let ends_early =
        (!is_final & in_slot.field("last") & next_count.le(removed)).named("ends_early");
    void.set_when(fire, ends_early);
    let changed = cur_count + added - removed;
    let at_final = cur.field("extra").mux(changed - bytes, changed);
    let count = m
        .priority(
            &[
                (ends_early, bytes + next_count - removed),
                (is_final, at_final),
            ],
            bytes,
        )
        .named("count");
    let out_last = (ends_early | is_final).named("out_last");
    let error = out_last & ends_early.mux(in_slot.field("error"), cur.field("error"));

    let out = m.pack(
        &edited_beat(g),
        &[
            ("data", edited),
            ("count", count.trunc(count_bits(g))),
            ("first", cur.field("first")),
            ("last", out_last),
            ("error", error),
        ],
    );
    let length_in = (before.q() + cur.field("count").zext(LENGTH_BITS)).named("length_in");
    let length_out = length_in + added.zext(LENGTH_BITS) - removed.zext(LENGTH_BITS);
    let end = m.pack(
        &ending(),
        &[
            ("error", cur.field("error")),
            ("length_in", length_in),
            ("length_out", length_out),
        ],
    );
    m.output("valid", (fire & !void.q()).as_valid().reg());
    m.output("out", out.reg());
    m.output("out_meta", cur_meta.q().with_record(&kept).reg());
    m.output("end_valid", (fire & is_final).as_valid().reg());
    m.output("ending", end.reg());
    m.cover("one_beat_more", fire & cur.field("extra"));
    m.cover("one_beat_less", fire & ends_early);
    m.finish()
}

/// Whether `a` is `b + n`, two bits each.
fn difference<'m>(a: Sig<'m>, b: Sig<'m>, n: u32) -> Sig<'m> {
    a.zext(3).eq(b.zext(3) + b.zext(3).lit(n.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{BUSES, Joiner, built, length, packed, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};
    use std::collections::BTreeMap;

    /// The edit of one copy: field names and values of EDIT.
    type Edit = BTreeMap<&'static str, u128>;

    fn get(edit: &Edit, name: &str) -> u128 {
        edit.get(name).copied().unwrap_or(0)
    }

    /// What EDIT means, byte by byte.
    fn plain(frame: &[u8], edit: &Edit) -> Vec<u8> {
        let on = |name: &str| get(edit, name) == 1;
        if !on("l2_valid") {
            return frame.to_vec();
        }
        let number = |name: &str, n: usize| get(edit, name).to_be_bytes()[16 - n..].to_vec();
        let tags_in = get(edit, "tags_in") as usize;
        let mut out = number("dst_mac", 6);
        out.extend(number("src_mac", 6));
        match get(edit, "tags_out") {
            0 => {}
            1 => {
                out.extend([0x81, 0x00]);
                out.extend(number("vid0", 2));
            }
            _ => {
                out.extend([0x88, 0xa8]);
                out.extend(number("vid0", 2));
                out.extend([0x81, 0x00]);
                out.extend(number("vid1", 2));
            }
        }
        let l3 = out.len() + 2;
        out.extend(&frame[12 + 4 * tags_in..]);
        let mut put = |at: usize, bytes: Vec<u8>| out[at..at + bytes.len()].copy_from_slice(&bytes);
        let (v6, class) = (on("v6"), get(edit, "traffic_class") as u8);
        let (n, src, dst) = if v6 { (16, 8, 24) } else { (4, 12, 16) };
        if on("src_valid") {
            put(l3 + src, number("src", n));
        }
        if on("dst_valid") {
            put(l3 + dst, number("dst", n));
        }
        if on("ip_checksum_valid") && !v6 {
            put(l3 + 10, number("ip_checksum", 2));
        }
        let l4 = l3 + get(edit, "l4_offset") as usize;
        if on("sport_valid") {
            put(l4, number("new_port", 2));
        }
        if on("dport_valid") {
            put(l4 + 2, number("new_port", 2));
        }
        if on("l4_checksum_valid") {
            put(
                l4 + get(edit, "l4_checksum_at") as usize,
                number("l4_checksum", 2),
            );
        }
        if on("traffic_class_valid") {
            match v6 {
                false => out[l3 + 1] = class,
                true => {
                    out[l3] = out[l3] & 0xf0 | class >> 4;
                    out[l3 + 1] = out[l3 + 1] & 0x0f | class << 4;
                }
            }
        }
        out
    }

    /// An edit the tables could give for a frame of `length` bytes.
    fn random_edit(random: &mut Random, length: usize) -> Edit {
        let mut edit = Edit::new();
        let mut flag = |name, one_in| edit.insert(name, random.one_in(one_in).into());
        flag("v6", 2);
        for name in [
            "src_valid",
            "dst_valid",
            "traffic_class_valid",
            "l4_checksum_valid",
        ] {
            flag(name, 2);
        }
        for name in ["last", "first"] {
            flag(name, 2);
        }
        let v6 = get(&edit, "v6") == 1;
        edit.insert("l2_valid", (!random.one_in(8)).into());
        edit.insert("ip_checksum_valid", (!v6 && random.one_in(2)).into());
        edit.insert("tags_out", random.below(3).into());
        let at_most = (length - 34) / 4;
        edit.insert("tags_in", random.below(at_most.min(2) as u64 + 1).into());
        let l3 = 14 + 4 * get(&edit, "tags_in") as usize;
        // The transport header and all that is edited of it is inside frame and window.
        let (shortest, longest) = (
            if v6 { 40 } else { 20 },
            length.min(192).saturating_sub(l3 + 18),
        );
        match longest >= shortest {
            true => {
                let offset =
                    shortest + 4 * random.below((longest - shortest) as u64 / 4 + 1) as usize;
                edit.insert("l4_offset", offset as u128);
                // ICMPv6, with its checksum at 2, has no ports.
                let at = random.pick(&[16, 6, 2]);
                edit.insert("l4_checksum_at", at);
                if at > 2 {
                    edit.insert(random.pick(&["sport_valid", "dport_valid", "tag"]), 1);
                }
            }
            false => {
                edit.insert("l4_checksum_valid", 0);
                if v6 && length < l3 + 40 {
                    edit.insert("v6", 0);
                }
            }
        }
        let numbers = [
            ("tag", 64),
            ("vid0", 12),
            ("vid1", 12),
            ("dst_mac", 48),
            ("src_mac", 48),
            ("src", 128),
            ("dst", 128),
            ("traffic_class", 8),
            ("ip_checksum", 16),
            ("new_port", 16),
            ("l4_checksum", 16),
            ("action", 22),
            ("out_port", 4),
            ("sender", 16),
            ("class", 20),
        ];
        for (name, bits) in numbers {
            let value = u128::from(random.word()) << 64 | u128::from(random.word());
            edit.insert(name, value >> (128 - bits));
        }
        edit
    }

    struct Slot {
        word: Bits,
        edit: Bits,
        data: Bits,
    }

    /// What the buffer would give for a copy.
    fn slots(g: &Geometry, frame: &[u8], error: bool, edit: &Edit) -> Vec<Slot> {
        let bus = g.bus_bytes as usize;
        let fields: Vec<_> = edit.iter().map(|(k, v)| (*k, *v)).collect();
        let edit_bits = packed(&record(&EDIT), &fields);
        let count = (frame.len() - 1) % bus + 1;
        let added = 4 * get(edit, "tags_out").saturating_sub(get(edit, "tags_in")) as usize;
        let grows = get(edit, "l2_valid") == 1 && count + added > bus;
        let n = frame.len().div_ceil(bus);
        (0..n + usize::from(grows))
            .map(|i| {
                let (last, extra) = (i + 1 == n, i == n);
                let word = packed(
                    &slot(g),
                    &[
                        ("first", (i == 0).into()),
                        ("last", last.into()),
                        ("extra", extra.into()),
                        ("final", (extra || last && !grows).into()),
                        // Not known before the end.
                        ("count", if last || extra { count as u128 } else { 0 }),
                        ("error", (if last || extra { error } else { true }).into()),
                    ],
                );
                let mut bytes: Vec<u8> = match extra {
                    // Whatever the memory gives.
                    true => vec![0xee; bus],
                    false => frame[i * bus..frame.len().min((i + 1) * bus)].to_vec(),
                };
                bytes.resize(bus, 0);
                let data = Bits::from_bytes_le(&bytes);
                Slot {
                    word,
                    edit: edit_bits.clone(),
                    data,
                }
            })
            .collect()
    }

    struct Bench {
        sim: Sim,
        late: std::collections::VecDeque<Bits>,
        joiner: Joiner,
        meta: Option<Bits>,
        frames: Vec<(Vec<u8>, bool, Bits)>,
        ends: Vec<(bool, u64, u64)>,
        beats: u32,
    }

    impl Bench {
        fn new(g: &Geometry) -> Bench {
            let mut sim = Sim::new(&built(build(g)));
            sim.reset();
            let none = Bits::zero(data_bits(g));
            Bench {
                sim,
                late: vec![none.clone(), none].into(),
                joiner: Joiner::default(),
                meta: None,
                frames: vec![],
                ends: vec![],
                beats: 0,
            }
        }

        fn clock(&mut self, g: &Geometry, slot: Option<&Slot>) {
            let sim = &mut self.sim;
            sim.set("slot_valid", slot.is_some().into());
            if let Some(slot) = slot {
                sim.set_bits("slot", &slot.word);
                sim.set_bits("edit", &slot.edit);
            }
            let data = slot.map_or(Bits::ones(data_bits(g)), |s| s.data.clone());
            self.late.push_back(data);
            sim.set_bits("data", &self.late.pop_front().unwrap());
            sim.step();
            if sim.get("valid") == 1 {
                self.beats += 1;
                let (word, meta) = (sim.get_bits("out"), sim.get_bits("out_meta"));
                let known = self.meta.get_or_insert(meta.clone());
                assert_eq!(*known, meta);
                if let Some((frame, error)) = self.joiner.take(g, &edited_beat(g), &word) {
                    self.frames.push((frame, error, meta));
                    self.meta = None;
                }
            }
            if sim.get("end_valid") == 1 {
                // With the last beat or behind it, never in front.
                assert_eq!(self.frames.len(), self.ends.len() + 1);
                let end = sim.get_bits("ending");
                let field = |name: &str| unpacked(&ending(), &end, name).low_u64();
                self.ends
                    .push((field("error") == 1, field("length_in"), field("length_out")));
            }
        }
    }

    #[test]
    fn edits_are_what_the_record_says() {
        for bus in BUSES {
            let g = small(bus);
            let mut bench = Bench::new(&g);
            let mut random = Random::new(u64::from(bus) + 1);
            let (mut frames, mut ends, mut metas) = (vec![], vec![], vec![]);
            let mut gaps = 0;
            for n in 0..1500 {
                if n % 50 == 0 {
                    gaps = random.pick(&[0, 0, 30, 70]);
                }
                // At least Ethernet and an IPv4 header; shorter frames go to the host as they are.
                let size = match n % 20 {
                    0 => length(&mut random, 34, 9216),
                    _ => 34 + random.below(200) as usize,
                };
                let frame = random.bytes(size);
                let mut edit = random_edit(&mut random, size);
                if n % 13 == 0 {
                    edit.insert("l2_valid", 0);
                }
                let frame = match get(&edit, "l2_valid") {
                    0 if n % 3 == 0 => frame[..1 + random.below(33) as usize].to_vec(),
                    _ => frame,
                };
                let error = random.one_in(9);
                let out = plain(&frame, &edit);
                for slot in slots(&g, &frame, error, &edit) {
                    while random.below(100) < gaps {
                        bench.clock(&g, None);
                    }
                    bench.clock(&g, Some(&slot));
                }
                ends.push((error, frame.len() as u64, out.len() as u64));
                frames.push((out, error));
                let of_edit: Vec<_> = meta()
                    .fields()
                    .iter()
                    .map(|f| get(&edit, f.name.as_str()))
                    .collect();
                metas.push(of_edit);
            }
            (0..LATENCY).for_each(|_| bench.clock(&g, None));
            assert_eq!(bench.frames.len(), frames.len());
            for (i, (found, expected)) in bench.frames.iter().zip(&frames).enumerate() {
                assert!(
                    (&found.0, found.1) == (&expected.0, expected.1),
                    "bus {bus}, frame {i}:\n{:02x?}\nexpected\n{:02x?}",
                    found.0,
                    expected.0
                );
                for (f, value) in meta().fields().iter().zip(&metas[i]) {
                    assert_eq!(
                        unpacked(&meta(), &found.2, &f.name).low_u128(),
                        *value,
                        "{}",
                        f.name
                    );
                }
            }
            assert_eq!(bench.ends, ends);
            assert!(bench.sim.covered("one_beat_more").unwrap() > 0);
            assert!(bench.sim.covered("one_beat_less").unwrap() > 0);
        }
    }

    #[test]
    fn one_beat_frames_leave_at_one_a_clock() {
        let g = small(64);
        let mut bench = Bench::new(&g);
        let mut random = Random::new(1);
        let edit: Edit = [("l2_valid", 1), ("tags_in", 1), ("tags_out", 1)].into();
        for _ in 0..200 {
            let slot = &slots(&g, &random.bytes(60), false, &edit)[0];
            bench.clock(&g, Some(slot));
        }
        (0..LATENCY - 1).for_each(|_| bench.clock(&g, None));
        assert_eq!((bench.frames.len(), bench.beats), (200, 200));
    }
}
