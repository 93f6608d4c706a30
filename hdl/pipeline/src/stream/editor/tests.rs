mod meaning;

use super::*;
use crate::stream::testbench::{BUSES, Joiner, built, leaving, length, packed, small, unpacked};
use crate::testing::Random;
use meaning::{Edit, get, plain, random_edit};
use seqnic_gen::{Bits, Sim};

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

    /// Where copies are some clocks apart: the edit of the last one stays a clock, that of the next is there a clock before it.
    fn apart(&mut self, g: &Geometry, next: &Slot, more: u64) {
        if g.clocks_per_header == 1 {
            return;
        }
        self.clock(g, None);
        for _ in 0..more {
            self.sim
                .set_bits("edit", &Bits::ones(record(&EDIT).width()));
            self.clock(g, None);
        }
        self.sim.set_bits("edit", &next.edit);
        self.clock(g, None);
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
    let shapes = BUSES.into_iter().flat_map(|bus| [(bus, 1), (bus, 8)]);
    for (bus, clocks_per_header) in shapes {
        let g = Geometry {
            clocks_per_header,
            ..small(bus)
        };
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
            let slots = slots(&g, &frame, error, &edit, n % 2);
            bench.apart(&g, &slots[0], random.below(3));
            for slot in slots {
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
                "bus {bus}, {clocks_per_header} clocks a header, frame {i}:\n{:02x?}\nexpected\n{:02x?}",
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
