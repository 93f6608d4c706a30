use super::*;
use crate::stream::testbench::{
    BUSES, Beat, Leaving, beat_bits, beats, built, leaving, length, packed, small, unpacked,
};
use crate::testing::Random;
use seqnic_gen::{Bits, Sim};
use seqnic_spec::wire::{MAX_PREFIX, WINDOW_BYTES};
use std::collections::{BTreeMap, VecDeque};

/// Clocks from the beat that fills a window to its edit, fewer than the header path takes.
const BEHIND: u64 = 4;

struct Copy {
    tag: u64,
    last: bool,
    strip: usize,
    prefix: usize,
}

fn edit_bits(copy: &Copy) -> Bits {
    packed(
        &record(&EDIT),
        &[
            ("tag", copy.tag.into()),
            ("last", copy.last.into()),
            ("l2_valid", (copy.strip + copy.prefix > 0).into()),
            ("strip", copy.strip as u128),
            ("prefix", copy.prefix as u128),
        ],
    )
}

fn drive_edit(sim: &mut Sim, g: &Geometry, copy: &Copy) {
    sim.set_bits("edit", &edit_bits(copy));
    if g.clocks_per_header == 1 {
        // Without headers of its own, what it would have.
        let none = copy.strip + copy.prefix == 0;
        let or = |value: usize, other: u64| if none { other } else { value as u64 };
        sim.set("edit_strip", or(copy.strip, 78));
        sim.set("edit_prefix", or(copy.prefix, 94));
    }
}

/// A slot, and what it reads: the two beats in their order.
struct Slot {
    word: Bits,
    tag: u64,
    rows: [Vec<u8>; 2],
}

/// What comes out, as the editor sees it.
struct Reader {
    slots: VecDeque<Option<(Bits, u64)>>,
    found: Vec<Slot>,
    copies: usize,
    /// When the last copy began.
    began: Option<u64>,
}

impl Reader {
    fn new() -> Reader {
        Reader {
            slots: vec![None; 2].into(),
            found: vec![],
            copies: 0,
            began: None,
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
        let first = |bits: &Bits| !unpacked(&slot(g), bits, "first").is_zero();
        if now.as_ref().is_some_and(|(bits, _)| first(bits)) {
            let apart = u64::from(copies_apart(g));
            assert!(self.began.is_none_or(|t| sim.cycle() >= t + apart));
            self.began = Some(sim.cycle());
        }
        self.slots.push_back(now);
        let Some((word, tag)) = self.slots.pop_front().flatten() else {
            return;
        };
        let flag = |name: &str| !unpacked(&slot(g), &word, name).is_zero();
        let mut rows = ["even", "odd"].map(|bank| sim.get_bits(bank).to_bytes_le());
        if flag("odd") {
            rows.reverse();
        }
        for (row, valid) in rows.iter_mut().zip(["low", "high"]) {
            if !flag(valid) {
                row.fill(0);
            }
        }
        self.copies += usize::from(flag("last"));
        self.found.push(Slot { word, tag, rows });
    }
}

/// A copy's frame, and where it starts in it.
struct Sent {
    frame: Vec<u8>,
    error: bool,
    strip: usize,
}

fn compare(g: &Geometry, found: &Slot, expected: &Leaving, tag: u64, sent: &Sent) {
    let frame = &sent.frame;
    let get = |name: &str| unpacked(&slot(g), &found.word, name).low_u64();
    let what = format!("bus {}: {expected:?} of {}", g.bus_bytes, frame.len());
    assert_eq!(found.tag, tag, "{what}");
    let flags = [
        ("first", expected.first),
        ("packet", expected.packet),
        ("starts", expected.starts),
        ("last", expected.last),
    ];
    for (name, value) in flags {
        assert_eq!(get(name) == 1, value, "{name} {what}");
    }
    if expected.last {
        assert_eq!(get("count"), expected.count as u64, "{what}");
        assert_eq!(get("error") == 1, sent.error);
    }
    if expected.packet {
        let bus = g.bus_bytes as usize;
        let mut padded = frame.to_vec();
        padded.resize((expected.beat + 2) * bus + frame.len(), 0);
        for (i, row) in found.rows.iter().enumerate() {
            let from = (expected.beat + i) * bus;
            // A beat that is not needed may not be there yet.
            if i == 0 || !sent.strip.is_multiple_of(bus) || get("last") == 1 {
                assert_eq!(*row, padded[from..from + bus], "row {i} {what}");
            }
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
fn every_beat_of_a_copy_reads_what_it_needs() {
    for (bus, apart) in BUSES.into_iter().flat_map(|bus| [(bus, 1), (bus, 8)]) {
        let g = Geometry {
            clocks_per_header: apart,
            ..small(bus)
        };
        let mut sim = Sim::new(&built(build(&g)));
        let mut random = Random::new(bus.into());
        sim.reset();
        let (mut waiting, mut edits) = (VecDeque::new(), VecDeque::new());
        let (mut expected, mut frames_left) = (vec![], 0u64);
        let (mut sent, mut all_copies) = (BTreeMap::new(), 0);
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
                let l2 = !random.one_in(4);
                let even = |most: u64, random: &mut Random| 2 * random.below(most / 2 + 1) as usize;
                let most = (size as u64 - 20).min(132);
                let copy = Copy {
                    tag: tag << 8 | n,
                    last: n + 1 == copies,
                    strip: if l2 { even(most, &mut random) } else { 0 },
                    prefix: if l2 {
                        even(MAX_PREFIX.into(), &mut random)
                    } else {
                        0
                    },
                };
                let beats = leaving(&g, size, copy.strip, copy.prefix);
                expected.extend(beats.into_iter().map(|b| (copy.tag, b)));
                let (frame, strip) = (frame.clone(), copy.strip);
                sent.insert(
                    copy.tag,
                    Sent {
                        frame,
                        error,
                        strip,
                    },
                );
                all_copies += 1;
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
        let mut ended = 0;
        let mut room_gone = 0;
        while reader.copies < all_copies {
            if random.one_in(300) {
                (slow, late) = (random.pick(&[1, 1, 3]), random.pick(&[1, 2, 400]));
            }
            let room = sim.get("room") == 1;
            room_gone += u32::from(!room);
            let more = ended < u64::from(frames_inside(&g));
            let beat = match room && more && random.one_in(slow) {
                true => waiting.pop_front(),
                false => None,
            };
            drive_beat(&mut sim, &g, beat.as_ref().map(|b| &b.0));
            ended += u64::from(beat.as_ref().is_some_and(|b| b.0.last));
            let due = sim.cycle() + BEHIND;
            edits.extend(beat.into_iter().flat_map(|b| b.1).map(|copy| (due, copy)));
            let is_due = edits.front().is_some_and(|e| e.0 <= sim.cycle());
            let send = slots_used < edit_slots(&g) && is_due && random.one_in(late);
            sim.set("edit_valid", send.into());
            if send {
                let (_, copy) = edits.pop_front().unwrap();
                drive_edit(&mut sim, &g, &copy);
                slots_used += 1;
            }
            sim.set("hold", random.one_in(10).into());
            reader.look(&mut sim, &g);
            sim.step();
            slots_used -= sim.get("edit_taken") as u32;
            frames_left -= sim.get("frame_done");
            ended -= sim.get("frame_done");
            assert!(sim.cycle() < 1_000_000, "stuck");
        }
        sim.step();
        frames_left -= sim.get("frame_done");
        assert_eq!(reader.found.len(), expected.len());
        for (found, (tag, beat)) in reader.found.iter().zip(&expected) {
            compare(&g, found, beat, *tag, &sent[tag]);
        }
        assert_eq!(frames_left, 0);
        assert_eq!(sim.get("written"), sim.get("freed"));
        assert!(room_gone > 0, "the ring was never full");
        assert!(apart == 1 || sim.covered("edit_waits_outside").unwrap() > 0);
        assert!(sim.covered("cut_through").unwrap() > 0);
        assert!(sim.covered("copy_reads_again").unwrap() > 0);
        assert!(sim.covered("beat_of_the_read_before").unwrap() > 0);
    }
}

#[test]
fn short_frames_pass_at_one_a_clock() {
    let g = small(64);
    let mut sim = Sim::new(&built(build(&g)));
    let mut random = Random::new(9);
    sim.reset();
    let mut reader = Reader::new();
    for n in 0..206 + BEHIND {
        let beat = &beats(&g, &random.bytes(60), false)[0];
        drive_beat(&mut sim, &g, (n < 200).then_some(beat));
        sim.set("edit_valid", u64::from((BEHIND..200 + BEHIND).contains(&n)));
        let copy = Copy {
            tag: n.saturating_sub(BEHIND),
            last: true,
            strip: 14,
            prefix: 18,
        };
        drive_edit(&mut sim, &g, &copy);
        reader.look(&mut sim, &g);
        sim.step();
    }
    assert_eq!((reader.found.len(), reader.copies), (200, 200));
}
