//! Editor: puts a copy's new headers in front of its packet and overlays what is edited in it.
//!
//! Four clocks behind the slot, two of them the memory's:
//! 2. the two beats of the frame that were read become a beat of the packet (from byte `strip` on);
//! 3. the [`patch`] is laid over it, and it moves up by `prefix` modulo the beat, the upper bytes of the
//!    one before in front of it; the [`prefix`] is laid over the bytes that are not the packet's.
//!
//! A slot is a beat that leaves: nothing waits, and nothing is left over.

use super::{
    LENGTH_BITS, count_bits, data_bits, edited_beat, ending, meta, patch, prefix, record, slot,
};
use seqnic_gen::{Circuit, GenError, Module, Sig, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::EDIT;

/// Clocks from the slot that completes a beat to the edited beat.
pub const LATENCY: u32 = 4;

const _: () = assert!(patch::LATENCY + 1 == LATENCY && prefix::LATENCY + 1 == LATENCY);

/// Takes `slot_valid`, [`slot`] and `edit` ([`EDIT`]), and two clocks later the rows `even` and `odd`. Gives
/// `valid`, `out` ([`edited_beat`]) with `out_meta` ([`meta`]), and with the last beat of each copy
/// `end_valid` and `ending` ([`ending`]). A clock before each beat `soon`, `soon_first` and `soon_port`: it comes, is the copy's
/// first, and for which output.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("editor");
    m.doc(
        "Puts new headers in front of a copy's packet and overlays the edits. One beat a clock, never\n\
         stalls.",
    );
    let slot_valid = m.input("slot_valid", 1).as_valid();
    let slot_in = m.input_record("slot", &slot(g), None);
    let edit = m.input_record("edit", &record(&EDIT), None);
    let even = m.input("even", data_bits(g));
    let odd = m.input("odd", data_bits(g));

    let patch = m
        .instance("patcher", &patch::build(g)?, &[("edit", edit)])
        .get("patch");
    let prefix = m
        .instance("prefixer", &prefix::build(g)?, &[("edit", edit)])
        .get("prefix");
    let kept = meta();
    let fields: Vec<_> = kept
        .fields()
        .iter()
        .map(|f| (f.name.as_str(), edit.field(&f.name)))
        .collect();
    let kept_in = m.pack(&kept, &fields);

    // Clock 2: the bytes of the packet, in a beat of their own.
    let beat_bits = clog2(g.bus_bytes);
    let halves = |name: &str| edit.field(name).slice(1, beat_bits - 1);
    let in_slot = slot_in.delay(2).named("in_slot");
    let offset = halves("strip").named("offset").delay(2);
    let swap = in_slot.field("odd");
    let low = swap.mux(odd, even).when(in_slot.field("low")).named("low");
    let high = swap
        .mux(even, odd)
        .when(in_slot.field("high"))
        .named("high");
    let of_packet = shifted(high.cat(low), offset, g);
    let read = of_packet.named("of_packet").reg();

    // Clock 3: edits, the new place, and what is in front.
    let valid = slot_valid.delay(3).named("slot_valid_3");
    let now = slot_in.delay(3).named("slot_3");
    let moved = halves("prefix").named("moved").delay(3);
    let (is_packet, starts, first) = (now.field("packet"), now.field("starts"), now.field("first"));
    let step = (valid & is_packet).named("packet_step");
    let overlay = advancing(
        &m,
        "patch_data",
        patch.field("data"),
        data_bits(g),
        starts,
        step,
    );
    let nibbles = advancing(
        &m,
        "patch_mask",
        patch.field("mask"),
        g.bus_bytes * 2,
        starts,
        step,
    );
    let edited = ((read & !masked(nibbles, 4)) | overlay).named("edited");
    let before = m.reg_no_reset("beat_before", data_bits(g));
    before.set_when(step, edited);
    let placed = shifted_up(edited.cat(before.q()), moved, g).named("placed");

    let heads = advancing(&m, "prefix_left", prefix, data_bits(g), first, valid);
    let bytes_in_front: Vec<_> = (0..g.bus_bytes)
        .map(|byte| moved.gt(moved.lit(u128::from(byte / 2))) & starts | !is_packet)
        .rev()
        .collect();
    let in_front = m.concat(&bytes_in_front).named("in_front");
    let in_front = masked(in_front, 8);
    let out_data = (placed & !in_front) | (heads & in_front);

    // Where the frame ends now.
    let sent = m.reg_no_reset("bytes_before", LENGTH_BITS);
    let last = now.field("last");
    let sent_before = first.mux(sent.lit(0), sent.q()).named("sent_before");
    sent.set_when(valid, sent_before + m.lit(LENGTH_BITS, g.bus_bytes.into()));
    let count = last.mux(now.field("count"), m.lit(count_bits(g), g.bus_bytes.into()));
    let error = last & now.field("error");
    let out = m.pack(
        &edited_beat(g),
        &[
            ("data", out_data),
            ("count", count),
            ("first", first),
            ("last", last),
            ("error", error),
        ],
    );
    let change = edit.field("strip").zext(LENGTH_BITS) - edit.field("prefix").zext(LENGTH_BITS);
    let change = change.named("length_change").delay(3);
    let length_out = (sent_before + now.field("count").zext(LENGTH_BITS)).named("length_out");
    let end = m.pack(
        &ending(),
        &[
            ("error", error),
            ("length_in", length_out + change),
            ("length_out", length_out),
        ],
    );
    m.output("soon", valid);
    m.output("soon_first", first);
    let out_port = edit.field("out_port").named("out_port");
    m.output("soon_port", out_port.delay(LATENCY - 1));
    m.output("valid", valid.as_valid().reg());
    m.output("out", out.reg());
    m.output(
        "out_meta",
        kept_in.named("kept").delay(4).with_record(&kept),
    );
    m.output("end_valid", (valid & last).as_valid().reg());
    m.output("ending", end.reg());
    m.cover("prefix_alone", valid & !is_packet);
    m.finish()
}

/// The first `bits` of `new` with `starts`, then the next with each `enable`.
fn advancing<'m>(
    m: &'m Module,
    name: &str,
    new: Sig<'m>,
    bits: u32,
    starts: Sig<'m>,
    enable: Sig<'m>,
) -> Sig<'m> {
    let left = m.reg_no_reset(name, new.width());
    let here = starts.mux(new, left.q());
    left.set_when(enable, here.shr(bits));
    match bits <= here.width() {
        true => here.trunc(bits),
        false => here.zext(bits),
    }
}

/// Each bit `times` over.
fn masked<'m>(bits: Sig<'m>, times: u32) -> Sig<'m> {
    let wide: Vec<_> = bits
        .bits()
        .into_iter()
        .rev()
        .map(|b| b.repl(times))
        .collect();
    bits.module().concat(&wide)
}

/// One beat of two, from half-word `from` of the lower on.
fn shifted<'m>(pair: Sig<'m>, from: Sig<'m>, g: &Geometry) -> Sig<'m> {
    let choices: Vec<_> = (0..g.bus_bytes / 2)
        .map(|half| pair.slice(half * 16, data_bits(g)))
        .collect();
    pair.module().index(&choices, from)
}

/// The higher beat of two, moved up by `by` half-words, the upper ones of the lower beat behind it.
fn shifted_up<'m>(pair: Sig<'m>, by: Sig<'m>, g: &Geometry) -> Sig<'m> {
    let choices: Vec<_> = (0..g.bus_bytes / 2)
        .map(|half| pair.slice(data_bits(g) - half * 16, data_bits(g)))
        .collect();
    pair.module().index(&choices, by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{
        BUSES, Joiner, built, leaving, length, packed, small, unpacked,
    };
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};
    use seqnic_spec::tables::tag_kind;
    use std::collections::BTreeMap;

    /// The edit of one copy: field names and values of EDIT.
    type Edit = BTreeMap<&'static str, u128>;

    fn get(edit: &Edit, name: &str) -> u128 {
        edit.get(name).copied().unwrap_or(0)
    }

    /// The headers in front of the packet.
    fn prefix_of(edit: &Edit) -> Vec<u8> {
        let number = |name: &str, n: usize| get(edit, name).to_be_bytes()[16 - n..].to_vec();
        let on = |name: &str| get(edit, name) == 1;
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
        let inner = if on("v6") { [0x86, 0xdd] } else { [0x08, 0x00] };
        let kind = get(edit, "tag_kind");
        let ip = |protocol: u8, out: &mut Vec<u8>| {
            let class = get(edit, "traffic_class") as u8;
            if on("outer_v6") {
                out.extend([0x86, 0xdd, 0x60 | class >> 4, class << 4, 0, 0]);
                out.extend(number("outer_length", 2));
                out.extend([protocol, 64]);
                out.extend(number("outer_src", 16));
                out.extend(number("outer_dst", 16));
                return;
            }
            out.extend([0x08, 0x00, 0x45, class]);
            out.extend(number("outer_length", 2));
            out.extend([0, 0, 0x40, 0, 64, protocol]);
            out.extend(number("outer_checksum", 2));
            out.extend(number("outer_src", 4));
            out.extend(number("outer_dst", 4));
        };
        let udp = |port: u16, out: &mut Vec<u8>| {
            ip(17, out);
            out.extend(number("udp_source", 2));
            out.extend(port.to_be_bytes());
            out.extend(number("udp_length", 2));
            out.extend([0, 0]);
        };
        let service = |md: u8, out: &mut Vec<u8>| {
            let (words, zeros) = if md == 1 { (6, 16) } else { (2, 0) };
            out.extend([0x0f, 0xc0 | words, md, if on("v6") { 2 } else { 1 }]);
            out.extend(number("spi", 3));
            out.extend(number("si", 1));
            out.extend(vec![0; zeros]);
        };
        match kind as u32 {
            tag_kind::NONE => out.extend(inner),
            tag_kind::MPLS => {
                out.extend([0x88, 0x47]);
                let label = (get(edit, "number") as u32) << 12 | 0x140;
                out.extend(label.to_be_bytes());
            }
            tag_kind::NSH1 | tag_kind::NSH2 => {
                out.extend([0x89, 0x4f]);
                service((kind - 2) as u8, &mut out);
            }
            tag_kind::VXLAN => {
                udp(4789, &mut out);
                out.extend([8, 0, 0, 0]);
                out.extend(number("number", 3));
                out.push(0);
                out.extend(number("dst_mac", 6));
                out.extend(number("src_mac", 6));
                out.extend(inner);
            }
            tag_kind::GPE1 | tag_kind::GPE2 => {
                udp(4790, &mut out);
                out.extend([0x0c, 0, 0, 4]);
                out.extend(number("number", 3));
                out.push(0);
                service((kind - 5) as u8, &mut out);
            }
            _ => {
                ip(47, &mut out);
                out.extend([0x20, 0]);
                out.extend(inner);
                out.extend(number("number", 4));
            }
        }
        out
    }

    /// What EDIT means, byte by byte.
    fn plain(frame: &[u8], edit: &Edit) -> Vec<u8> {
        let on = |name: &str| get(edit, name) == 1;
        if !on("l2_valid") {
            return frame.to_vec();
        }
        let number = |name: &str, n: usize| get(edit, name).to_be_bytes()[16 - n..].to_vec();
        let mut out = prefix_of(edit);
        assert_eq!(out.len() as u128, get(edit, "prefix"));
        let l3 = out.len();
        out.extend(&frame[get(edit, "strip") as usize..]);
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
        let kinds = [0, 0, 0, 2, 3, 4, 5, 6, 7, 8];
        edit.insert("tag_kind", random.pick(&kinds));
        edit.insert("outer_v6", random.below(2).into());
        let l3 = match random.one_in(2) {
            true => 14 + 2 * random.below((length as u64 - 34).min(118) / 2 + 1) as usize,
            false => 14,
        };
        edit.insert("strip", l3 as u128);
        // The transport header and all that is edited of it is inside frame and view.
        let (shortest, longest) = (
            if v6 { 40 } else { 20 },
            (length - l3).min(114).saturating_sub(18),
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
            ("outer_src", 128),
            ("outer_dst", 128),
            ("outer_checksum", 16),
            ("outer_length", 16),
            ("udp_length", 16),
            ("udp_source", 16),
            ("number", 32),
            ("spi", 24),
            ("si", 8),
            ("action", 22),
            ("out_port", 4),
            ("sender", 16),
            ("class", 20),
        ];
        for (name, bits) in numbers {
            let value = u128::from(random.word()) << 64 | u128::from(random.word());
            edit.insert(name, value >> (128 - bits));
        }
        // Numbers are only as wide as their headers.
        let bits = match edit["tag_kind"] as u32 {
            tag_kind::MPLS => 20,
            tag_kind::GRE => 32,
            _ => 24,
        };
        let number = edit["number"] & ((1 << bits) - 1);
        edit.insert("number", number);
        let prefix = prefix_of(&edit).len() as u128;
        edit.insert("prefix", prefix);
        edit
    }

    struct Slot {
        word: Bits,
        edit: Bits,
        even: Bits,
        odd: Bits,
    }

    /// What the buffer would give for a copy of a frame which starts with an even or an odd beat.
    fn slots(g: &Geometry, frame: &[u8], error: bool, edit: &Edit, start: usize) -> Vec<Slot> {
        let bus = g.bus_bytes as usize;
        let fields: Vec<_> = edit.iter().map(|(k, v)| (*k, *v)).collect();
        let edit_bits = packed(&record(&EDIT), &fields);
        let (strip, prefix) = (get(edit, "strip") as usize, get(edit, "prefix") as usize);
        let n = frame.len().div_ceil(bus);
        leaving(g, frame.len(), strip, prefix)
            .into_iter()
            .map(|beat| {
                let odd = (start + beat.beat) % 2 == 1;
                let there = |i: usize| beat.packet && i < n;
                let word = packed(
                    &slot(g),
                    &[
                        ("first", beat.first.into()),
                        ("starts", beat.starts.into()),
                        ("packet", beat.packet.into()),
                        ("odd", odd.into()),
                        ("low", there(beat.beat).into()),
                        ("high", there(beat.beat + 1).into()),
                        ("last", beat.last.into()),
                        ("count", beat.count as u128),
                        // Not known before the end.
                        ("error", (if beat.last { error } else { true }).into()),
                    ],
                );
                // Whatever the memory gives where nothing was asked.
                let row = |i: usize| {
                    let mut bytes = match there(i) {
                        true => frame[i * bus..frame.len().min((i + 1) * bus)].to_vec(),
                        false => vec![0xee; bus],
                    };
                    bytes.resize(bus, 0);
                    Bits::from_bytes_le(&bytes)
                };
                let (low, high) = (row(beat.beat), row(beat.beat + 1));
                let (even, odd) = if odd { (high, low) } else { (low, high) };
                Slot {
                    word,
                    edit: edit_bits.clone(),
                    even,
                    odd,
                }
            })
            .collect()
    }

    struct Bench {
        sim: Sim,
        late: std::collections::VecDeque<[Bits; 2]>,
        joiner: Joiner,
        meta: Option<Bits>,
        soon: Option<(u64, u64)>,
        frames: Vec<(Vec<u8>, bool, Bits)>,
        ends: Vec<(bool, u64, u64)>,
        beats: u32,
    }

    impl Bench {
        fn new(g: &Geometry) -> Bench {
            let mut sim = Sim::new(&built(build(g)));
            sim.reset();
            let none = [Bits::zero(data_bits(g)), Bits::zero(data_bits(g))];
            Bench {
                sim,
                late: vec![none.clone(), none].into(),
                joiner: Joiner::default(),
                meta: None,
                soon: None,
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
            let ones = Bits::ones(data_bits(g));
            let rows = slot.map_or([ones.clone(), ones], |s| [s.even.clone(), s.odd.clone()]);
            self.late.push_back(rows);
            let rows = self.late.pop_front().unwrap();
            sim.set_bits("even", &rows[0]);
            sim.set_bits("odd", &rows[1]);
            sim.step();
            if sim.get("valid") == 1 {
                self.beats += 1;
                let (word, meta) = (sim.get_bits("out"), sim.get_bits("out_meta"));
                let known = self.meta.get_or_insert(meta.clone());
                assert_eq!(*known, meta);
                // What was said of it a clock before.
                let first = unpacked(&edited_beat(g), &word, "first").low_u64();
                let port = unpacked(&super::meta(), &meta, "out_port").low_u64();
                assert_eq!(self.soon.take(), Some((first, port)));
                if let Some((frame, error)) = self.joiner.take(g, &edited_beat(g), &word) {
                    self.frames.push((frame, error, meta));
                    self.meta = None;
                }
            }
            assert_eq!(self.soon, None);
            let soon = (sim.get("soon_first"), sim.get("soon_port"));
            self.soon = (sim.get("soon") == 1).then_some(soon);
            if sim.get("end_valid") == 1 {
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
                if get(&edit, "l2_valid") == 0 {
                    edit.insert("strip", 0);
                    edit.insert("prefix", 0);
                }
                let frame = match get(&edit, "l2_valid") {
                    0 if n % 3 == 0 => frame[..1 + random.below(33) as usize].to_vec(),
                    _ => frame,
                };
                let error = random.one_in(9);
                let out = plain(&frame, &edit);
                for slot in slots(&g, &frame, error, &edit, n % 2) {
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
            assert!(bus == 64 || bench.sim.covered("prefix_alone").unwrap() > 0);
        }
    }

    #[test]
    fn one_beat_frames_leave_at_one_a_clock() {
        let g = small(64);
        let mut bench = Bench::new(&g);
        let mut random = Random::new(1);
        let edit: Edit = [
            ("l2_valid", 1),
            ("strip", 50),
            ("tags_out", 1),
            ("prefix", 18),
        ]
        .into();
        for _ in 0..200 {
            let slot = &slots(&g, &random.bytes(92), false, &edit, 0)[0];
            bench.clock(&g, Some(slot));
        }
        (0..LATENCY - 1).for_each(|_| bench.clock(&g, None));
        assert_eq!((bench.frames.len(), bench.beats), (200, 200));
    }
}
