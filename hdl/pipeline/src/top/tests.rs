//! The core around a header path that decides by bytes of the frame, so that every way through the
//! streams is taken; and the real one with empty tables.

use super::*;
use crate::stream::testbench::{AxiFrame, AxiJoiner, Sink, Source, built, length, small};
use crate::tables::config_reads_apart;
use crate::testing::{self, Random};
use seqnic_gen::{Bits, Record, Sim};
use seqnic_spec::counters::CounterSet;
use seqnic_spec::layout::Layout;
use seqnic_spec::reason::{REASON_BITS, Reason};
use seqnic_spec::stage::{EDIT, HOST_META, PORT_META, VERDICT};
use seqnic_spec::tables::Table;
use seqnic_spec::wire::MAX_FRAME_BYTES;
use std::collections::{BTreeMap, BTreeSet};

/// Frames shorter than this are the stub's runts; above it has its bytes to decide by.
const DECIDED: usize = 32;

/// A record with the given fields, zero in all others.
fn record_of<'m>(m: &'m Module, layout: &Layout, given: &[(&str, Sig<'m>)]) -> Sig<'m> {
    let fields: Vec<_> = layout
        .fields
        .iter()
        .map(|f| {
            let found = given.iter().find(|g| g.0 == f.name);
            (f.name, found.map_or_else(|| m.lit(f.width, 0), |g| g.1))
        })
        .collect();
    m.pack(&Record::from(layout), &fields)
}

/// Config ports of a stub: answers the row number it was asked for, if the table is `table`.
fn stub_config(m: &Module, table: u128) {
    m.input("cfg_write", 1);
    let read = m.input("cfg_read", 1);
    let mine = read & m.input("cfg_table", TABLE_BITS).is(table);
    let row = m.input("cfg_row", ROW_BITS).when(mine);
    m.input("cfg_wdata", MAX_ROW_BITS);
    m.output(
        "cfg_rdata",
        row.zext(MAX_ROW_BITS).delay(CONFIG_READ_CLOCKS),
    );
}

/// Reads its verdict from bytes 12 to 19 of the frame; see [`Decision`].
fn stub_path(g: &Geometry) -> Circuit {
    let m = Module::new("stub_path");
    let stage = |n: u32| header::part_stage(g, n);
    let valid = m.input_valid("in_valid", stage(2));
    let bits = header::PART_BYTES * 8;
    let part = m.input_at("in_part0", bits, 0);
    m.input_at("in_part1", bits, stage(1));
    m.input_at("in_part2", bits, stage(2));
    let length = m.input_at("in_length", 8, stage(2));
    m.input_at("in_more", 1, stage(2));
    let (port, tag) = (m.input_at("in_port", 4, 0), m.input_at("in_tag", 64, 0));
    m.input_at("in_epoch", 1, 0);
    stub_config(&m, 3);
    let byte = |i: u32| part.slice(i * 8, 8);
    let long = length.ge(m.lit(8, DECIDED as u128));
    let reason = long.mux(
        byte(12).trunc(REASON_BITS),
        m.lit(REASON_BITS, Reason::Runt as u128),
    );
    let verdict = record_of(
        &m,
        &VERDICT,
        &[
            ("tag", tag),
            ("port", port),
            ("reason", reason),
            ("copies", byte(13).trunc(4)),
            ("action", byte(14).zext(22)),
            (
                "l3",
                m.lit(8, 14) + byte(15).trunc(2).cat(m.lit(2, 0)).zext(8),
            ),
            ("interface_valid", byte(16).bit(0)),
            ("sender_valid", byte(16).bit(1)),
            ("direction", byte(16).bit(2)),
            ("opening", byte(16).bit(3)),
            ("answering", byte(16).bit(4)),
            ("interface", byte(17).trunc(4).zext(10)),
            ("sender", byte(18).trunc(4).zext(16)),
            ("class", byte(19).trunc(5).zext(20)),
        ],
    );
    m.output_at("out_valid", valid, 7);
    m.output_at("out_verdict", verdict, 7);
    built(m.finish())
}

fn stub_prepare(g: &Geometry) -> Circuit {
    let m = Module::new("stub_prepare");
    let valid = m.input_valid("in_valid", 0);
    let verdict = m.input_record("in_verdict", &Record::from(&VERDICT), Some(0));
    let number = m.input_at("in_number", 4, 0);
    stub_config(&m, 10);
    let field = |name: &str| verdict.field(name);
    let exception = field("reason").any();
    let action = field("action") + number.zext(22);
    let out = exception.mux(m.lit(4, g.host_port().into()), action.trunc(1).zext(4));
    let tags = action.slice(1, 2);
    let tags_out = tags.is(3).mux(tags.lit(0), tags);
    let prefix = m.lit(7, 14) + tags_out.cat(m.lit(2, 0)).zext(7);
    let mut fields = vec![
        ("first", !number.any()),
        (
            "last",
            exception | (number + number.lit(1)).ge(field("copies")),
        ),
        ("in_port", field("port")),
        ("out_port", out),
        ("action", action),
        ("out_attachment", number.zext(16)),
        // None whose times are measured: these depend on the order of frames, which ports make.
        ("comes_from", m.lit(16, 0xffff)),
        ("out_interface", out.zext(10)),
        ("l2_valid", !exception),
        ("tags_out", tags_out),
        ("strip", field("l3").when(!exception)),
        ("prefix", prefix.when(!exception)),
        ("vid0", action.trunc(12)),
        ("vid1", number.zext(12)),
        ("dst_mac", field("tag").trunc(48)),
        ("src_mac", action.zext(48)),
    ];
    let same = [
        "tag",
        "reason",
        "interface_valid",
        "interface",
        "sender_valid",
        "sender",
        "class",
        "direction",
        "opening",
        "answering",
    ];
    fields.extend(same.map(|name| (name, field(name))));
    let edit = record_of(&m, &EDIT, &fields);
    m.output_at("out_valid", valid, 3);
    m.output_at("out_void", m.lit(1, 0), 3);
    m.output_at("out_edit", edit, 3);
    m.output_at("out_strip", field("l3"), 3);
    m.output_at("out_prefix", prefix, 3);
    built(m.finish())
}

fn stubs(g: &Geometry) -> Parts {
    Parts {
        path: stub_path(g),
        prepare: stub_prepare(g),
    }
}

/// What the stubs make of a frame.
struct Decision {
    reason: u64,
    copies: u64,
    action: u64,
    tags_in: usize,
    flags: u8,
    interface: u64,
    sender: u64,
    class: u64,
}

impl Decision {
    fn of(frame: &[u8]) -> Decision {
        let b = |i: usize| frame.get(i).copied().unwrap_or(0);
        let short = frame.len() < DECIDED;
        let reason = if short {
            Reason::Runt as u64
        } else {
            u64::from(b(12) & 0x3f)
        };
        Decision {
            reason,
            copies: if reason == 0 {
                u64::from(b(13) & 15)
            } else {
                1
            },
            action: b(14).into(),
            tags_in: usize::from(b(15) & 3),
            flags: b(16),
            interface: u64::from(b(17) & 15),
            sender: u64::from(b(18) & 15),
            class: u64::from(b(19) & 31),
        }
    }

    /// Output and bytes of copy `n`.
    fn copy(&self, g: &Geometry, frame: &[u8], tag: u64, n: u64) -> (u32, Vec<u8>) {
        if self.reason != 0 {
            return (g.host_port(), frame.to_vec());
        }
        let action = self.action + n;
        let mut out = tag.to_be_bytes()[2..].to_vec();
        out.extend(&action.to_be_bytes()[2..]);
        let vid =
            |tpid: u16, vid: u64| [tpid.to_be_bytes(), (vid as u16 & 0xfff).to_be_bytes()].concat();
        match action >> 1 & 3 {
            1 => out.extend(vid(0x8100, action)),
            2 => out.extend([vid(0x88a8, action), vid(0x8100, n)].concat()),
            _ => {}
        }
        out.extend([8, 0]);
        out.extend(&frame[14 + 4 * self.tags_in..]);
        (action as u32 & 1, out)
    }
}

/// A frame for the stubs: mostly directed, tags within it.
fn random_frame(random: &mut Random, from: u32, to: u32) -> Vec<u8> {
    let n = length(random, from, to);
    let mut frame = random.bytes(n);
    if n >= DECIDED {
        frame[12] = random.pick(&[0, 0, 0, 0, 5, 21]);
        frame[13] = random.pick(&[1, 1, 1, 1, 2, 3, 15]);
        frame[14] %= 48;
        frame[15] = random.below(3) as u8;
    }
    frame
}

/// The core with frames at all its inputs and somebody at all its outputs.
struct Bench {
    g: Geometry,
    sim: Sim,
    random: Random,
    sources: Vec<Source>,
    sinks: Vec<(Sink, AxiJoiner)>,
    /// Sent frames by tag: input, port it counts as arrived on, bytes.
    sent: BTreeMap<u64, (usize, u64, Vec<u8>)>,
    /// Received frames by output, in order.
    received: Vec<Vec<AxiFrame>>,
    next_tag: u64,
}

impl Bench {
    fn new(g: &Geometry, parts: &Parts, seed: u64) -> Bench {
        let mut sim = Sim::new(&built(core(g, parts)));
        let names = ["p0", "p1", "host"];
        let sources = names
            .map(|n| Source::axi(&sim, &format!("s_axis_{n}_")))
            .into();
        let sinks = names
            .map(|n| {
                (
                    Sink::axi(&sim, &format!("m_axis_{n}_")),
                    AxiJoiner::default(),
                )
            })
            .into();
        sim.reset();
        Bench {
            g: g.clone(),
            sim,
            random: Random::new(seed),
            sources,
            sinks,
            sent: BTreeMap::new(),
            received: vec![vec![]; 3],
            next_tag: 0,
        }
    }

    /// Queues a frame at an input; one of the host is as if from a port at random.
    fn push(&mut self, input: usize, frame: Vec<u8>) {
        let tag = self.next_tag;
        self.next_tag += 1;
        let port = if input == 2 {
            self.random.below(2)
        } else {
            input as u64
        };
        let user = Bits::new(68, u128::from(port) << 64 | u128::from(tag));
        let user = user.resize(if input == 2 { 68 } else { 64 });
        self.sources[input].push_frame(&self.g, &frame, &user);
        self.sent.insert(tag, (input, port, frame));
    }

    fn clock(&mut self) {
        let (sim, random) = (&mut self.sim, &mut self.random);
        self.sources.iter_mut().for_each(|s| s.drive(sim, random));
        self.sinks.iter_mut().for_each(|s| s.0.drive(sim, random));
        self.sources.iter_mut().for_each(|s| {
            s.settle(sim);
        });
        for ((sink, joiner), received) in self.sinks.iter_mut().zip(&mut self.received) {
            if let Some(word) = sink.settle(sim) {
                received.extend(joiner.take(&word));
            }
        }
        sim.step();
    }

    fn idle(&mut self) -> bool {
        self.sources.iter().all(Source::is_empty) && self.sim.get("busy") == 0
    }

    fn drain(&mut self, patience: u64) {
        let until = self.sim.cycle() + patience;
        while !self.idle() {
            self.clock();
            assert!(self.sim.cycle() < until, "stuck");
        }
    }

    fn read(&mut self, set: CounterSet, row: u64) -> (u64, u64) {
        self.sim.set("cfg_read", 1);
        self.sim.set("cfg_table", set as u64);
        self.sim.set("cfg_row", row);
        self.clock();
        self.sim.set("cfg_read", 0);
        for _ in 1..config_clocks(&self.g) {
            assert_eq!(self.sim.get("cfg_rvalid"), 0);
            self.clock();
        }
        assert_eq!(self.sim.get("cfg_rvalid"), 1);
        let row = self.sim.get_bits("cfg_rdata");
        self.clock();
        (row.slice(0, 64).low_u64(), row.slice(64, 64).low_u64())
    }

    /// Every frame that came out is one that should, in order; every counter is right. Gives the
    /// number of dropped copies.
    fn check(&mut self) -> u64 {
        let mut counts: BTreeMap<(CounterSet, u64), (u64, u64)> = BTreeMap::new();
        let mut add = |set, row, bytes: usize| {
            let count = counts.entry((set, row)).or_default();
            *count = (count.0 + 1, count.1 + bytes as u64);
        };
        // (tag, copy) -> output, bytes, cut off, decision.
        let mut copies = BTreeMap::new();
        let mut senders = BTreeSet::new();
        for (tag, (_, port, frame)) in &self.sent {
            let cut = frame.len() > MAX_FRAME_BYTES as usize;
            let frame = &frame[..frame.len().min(MAX_FRAME_BYTES as usize)];
            let d = Decision::of(frame);
            let on = |bit: u8| d.flags >> bit & 1 == 1;
            if cut {
                add(CounterSet::Reason, Reason::Oversize as u64, frame.len());
            } else {
                add(CounterSet::Reason, d.reason, frame.len());
                if on(0) {
                    add(CounterSet::InterfaceIn, d.interface, frame.len());
                    if on(1) {
                        add(CounterSet::AttachmentIn, d.sender, frame.len());
                        senders.insert((d.sender, *tag));
                        if on(4) && d.reason == 0 {
                            add(CounterSet::AttachmentAnswer, d.sender, 0);
                        }
                    }
                }
                if d.reason == 0 {
                    add(
                        CounterSet::Class,
                        d.class * 2 + u64::from(on(2)),
                        frame.len(),
                    );
                }
            }
            for n in 0..d.copies {
                let (out, bytes) = d.copy(&self.g, frame, *tag, n);
                let opens = on(3);
                let copy = (out, bytes, cut, d.reason, *port, d.action + n, opens);
                copies.insert((*tag, n), copy);
            }
        }
        let mut orders = BTreeMap::new();
        for (out, frames) in self.received.iter().enumerate() {
            let host = out as u32 == self.g.host_port();
            let layout = Record::from(if host { &HOST_META } else { &PORT_META });
            let mut seen = BTreeSet::new();
            for f in frames {
                let field = |name: &str| {
                    let at = layout.field(name).unwrap();
                    f.user.slice(at.offset, at.width).low_u64()
                };
                let tag = field("tag");
                // The copy of this tag with these bytes that did not come yet.
                let found = copies
                    .range((tag, 0)..(tag + 1, 0))
                    .find(|(key, c)| c.0 == out as u32 && c.1 == f.bytes && !seen.contains(*key));
                let Some((key, (_, bytes, cut, reason, port, action, opens))) = found else {
                    panic!("output {out}: frame {tag} is none that should come");
                };
                assert_eq!(f.error, *cut);
                seen.insert(*key);
                if host {
                    assert_eq!((field("reason"), field("port")), (*reason, *port));
                } else {
                    assert_eq!(field("interface"), out as u64);
                }
                // Frames of one input, and copies of one frame, keep their order.
                let last = orders.entry((out, self.sent[&tag].0)).or_insert(*key);
                assert!(*last <= *key, "order");
                *last = *key;
                if *reason == 0 && !cut {
                    add(CounterSet::Action, *action, bytes.len());
                    add(CounterSet::AttachmentOut, key.1, bytes.len());
                    if *opens {
                        add(CounterSet::AttachmentSyn, key.1, 0);
                    }
                    add(CounterSet::InterfaceOut, out as u64, bytes.len());
                }
            }
            copies.retain(|key, _| !seen.contains(key));
        }
        let dropped: Vec<_> = copies.values().filter(|c| !c.2).collect();
        for c in &dropped {
            add(CounterSet::Reason, Reason::OutputFull as u64, c.1.len());
        }
        let dropped = dropped.len() as u64;
        for set in CounterSet::ALL {
            for row in 0..u64::from(set.rows(&self.g)) {
                let expected = counts.remove(&(set, row)).unwrap_or_default();
                let found = self.read(set, row);
                if set == CounterSet::AttachmentSeen {
                    // The last is one of them.
                    let never = senders.range((row, 0)..(row + 1, 0)).next().is_none();
                    assert!(found == (0, 0) && never || senders.contains(&(row, found.0)));
                    continue;
                }
                assert_eq!(found, expected, "{} row {row}", set.name());
            }
        }
        assert!(counts.is_empty(), "rows that are not there: {counts:?}");
        dropped
    }
}

#[test]
fn every_frame_becomes_its_copies_and_every_counter_is_right() {
    let (mut dropped, mut cut) = (0, 0);
    let shapes = [(8, 1), (16, 2), (32, 1), (64, 4)];
    for (seed, (bus, queues)) in shapes.into_iter().enumerate() {
        let g = Geometry {
            queues,
            ..small(bus)
        };
        let mut bench = Bench::new(&g, &stubs(&g), seed as u64 + 1);
        for n in 0..160 {
            let input = bench.random.below(3) as usize;
            let (from, to) = match n % 8 {
                0 => (MAX_FRAME_BYTES + 1, MAX_FRAME_BYTES + 300),
                _ => (1, MAX_FRAME_BYTES),
            };
            let frame = random_frame(&mut bench.random, from, to);
            bench.push(input, frame);
        }
        // At first nobody takes anything, until queues are full.
        bench.sinks.iter_mut().for_each(|s| s.0.busy = 100);
        let half = bench.sources.iter().map(Source::len).sum::<usize>() / 2;
        while bench.sources.iter().any(|s| !s.is_empty()) {
            let left = bench.sources.iter().map(Source::len).sum::<usize>();
            if left < half && bench.random.one_in(1000) {
                for source in &mut bench.sources {
                    source.idle = bench.random.pick(&[0, 10, 90]);
                }
                for (sink, _) in &mut bench.sinks {
                    sink.busy = bench.random.pick(&[0, 50, 100]);
                }
            }
            bench.clock();
            assert!(bench.sim.cycle() < 1_000_000, "stuck");
        }
        bench.sinks.iter_mut().for_each(|s| s.0.busy = 0);
        bench.drain(100_000);
        dropped += bench.check();
        cut += bench.received.iter().flatten().filter(|f| f.error).count();
    }
    assert!(dropped > 0, "no output was ever full");
    assert!(cut > 0, "no frame was cut off");
}

#[test]
fn busy_covers_all_that_is_inside() {
    let g = small(16);
    let mut bench = Bench::new(&g, &stubs(&g), 7);
    for _ in 0..60 {
        let input = bench.random.below(3) as usize;
        let frame = random_frame(&mut bench.random, 1, 300);
        bench.push(input, frame);
        // A frame at a time, or two close together.
        if bench.random.one_in(2) {
            bench.drain(5000);
            let copies: u64 = bench.sent.values().map(|s| Decision::of(&s.2).copies).sum();
            assert_eq!(
                bench.received.iter().map(Vec::len).sum::<usize>() as u64,
                copies
            );
            // Nothing of it comes later.
            let clocks = bench.random.below(40);
            (0..clocks).for_each(|_| bench.clock());
            assert!(bench.idle());
            assert_eq!(
                bench.received.iter().map(Vec::len).sum::<usize>() as u64,
                copies
            );
        }
    }
    bench.drain(5000);
    assert_eq!(bench.check(), 0);
}

/// One-beat frames at all inputs, to both ports by turns: `reads` counters are read meanwhile.
fn full_load(reads: u64) -> u64 {
    const FRAMES: u64 = 3000;
    let g = small(64);
    let mut bench = Bench::new(&g, &stubs(&g), 11);
    for n in 0..FRAMES {
        let mut frame = bench.random.bytes(60);
        (frame[12], frame[13], frame[14], frame[15]) = (0, 1, (n / 3 % 2) as u8, 0);
        bench.push((n % 3) as usize, frame);
    }
    let mut asked = 0;
    while !bench.idle() {
        // In bursts that are longer than any queue.
        let ask = asked < reads && bench.sim.cycle() % 400 > 200;
        asked += u64::from(ask);
        bench.sim.set("cfg_read", ask.into());
        bench.sim.set("cfg_table", CounterSet::Class as u64);
        bench.clock();
        assert!(bench.sim.cycle() < 20_000, "stuck");
    }
    assert_eq!(asked, reads);
    let clocks = bench.sim.cycle();
    assert_eq!(bench.check(), 0);
    clocks - FRAMES
}

#[test]
fn short_frames_pass_at_one_a_clock() {
    let g = small(64);
    let latency = u64::from(Latency::of(&g, &stubs(&g)).whole);
    let more = full_load(0);
    // The card is busy until the last event is counted.
    let counted = u64::from(counters::latency(&g));
    assert!(
        more <= latency + counted + 3,
        "{more} clocks more than frames"
    );
    // Each read-out costs a clock, and no event is lost.
    let more = full_load(600);
    assert!(more <= 600 + latency + 60, "{more} clocks more than frames");
}

#[test]
fn latency_is_what_is_published() {
    for g in [small(8), small(64)] {
        let stub = stubs(&g);
        let real = Parts::of(&g).unwrap();
        for (parts, reason) in [(stub, 5), (real, Reason::NoInterface as u64)] {
            let lengths = match header::comes_in_parts(&g) {
                true => vec![60, 64, 65, 128, 129, 192, 193, 700],
                false => vec![64],
            };
            for length in lengths {
                let mut bench = Bench::new(&g, &parts, 1);
                let mut frame = vec![0; length];
                frame[12] = 5;
                frame[18] = reason as u8;
                let beats = u64::from(g.beats(frame.len() as u32));
                bench.push(0, frame);
                let start = bench.sim.cycle();
                while bench.sim.get("m_axis_host_tvalid") == 0 {
                    bench.clock();
                    assert!(bench.sim.cycle() < 200, "stuck");
                }
                let counted_from = match header::comes_in_parts(&g) {
                    true => start,
                    false => start + beats - 1,
                };
                assert_eq!(
                    bench.sim.cycle() - counted_from,
                    u64::from(Latency::of(&g, &parts).whole),
                    "bus {}, {length} bytes",
                    g.bus_bytes
                );
            }
        }
    }
}

/// Through the real header path: without tables everything is `no_interface` (or worse), and what is
/// written to a table is read back.
#[test]
fn rows_are_read_back_in_order_while_frames_pass() {
    read_back(&small(64), 1);
}

#[test]
fn rows_are_read_back_word_by_word_where_headers_are_apart() {
    let g = Geometry {
        ports: 2,
        ..testing::TURNS
    };
    read_back(&g, config_reads_apart(&g) as usize);
}

/// With reads as many clocks `apart`.
fn read_back(g: &Geometry, apart: usize) {
    let mut bench = Bench::new(g, &Parts::of(g).unwrap(), 3);
    for n in 0..60 {
        // Too short for Ethernet, or without an interface; the latter's reason counts in the model
        // of the stub too.
        let mut frame = random_frame(&mut bench.random, 60, 600);
        frame[12..14].copy_from_slice(&[Reason::NoInterface as u8, 0]);
        bench.push(n % 3, frame);
    }
    let mut written = vec![];
    let registers = [Table::Seed, Table::Epoch, Table::Queue];
    for table in Table::ALL.into_iter().filter(|t| !registers.contains(t)) {
        for row in [0, 1, g.rows(table) - 1] {
            // No valid bits, so that no frame finds anything.
            let mut value = bench.random.row(g.row_bits(table));
            if g.hash(table).is_some() {
                value = seqnic_spec::layout::Row::zero(g.row_bits(table));
                value.set(
                    g.row_bits(table) - 20,
                    20,
                    u128::from(bench.random.below(1 << 20)),
                );
            }
            bench.sim.set("cfg_write", 1);
            bench.sim.set("cfg_table", table as u64);
            bench.sim.set("cfg_row", row.into());
            bench.sim.set_bits("cfg_wdata", &testing::bits(&value));
            bench.clock();
            written.push((table, row, value));
        }
    }
    bench.sim.set("cfg_write", 0);
    let mut found = vec![];
    for clock in 0..written.len() * apart + config_clocks(g) as usize {
        let next = written.get(clock / apart).filter(|_| clock % apart == 0);
        bench.sim.set("cfg_read", next.is_some().into());
        if let Some((table, row, _)) = next {
            bench.sim.set("cfg_table", *table as u64);
            bench.sim.set("cfg_row", (*row).into());
        }
        bench.clock();
        if bench.sim.get("cfg_rvalid") == 1 {
            found.push(bench.sim.get_bits("cfg_rdata"));
        }
    }
    assert_eq!(found.len(), written.len());
    for ((table, row, value), found) in written.iter().zip(found) {
        let value = testing::bits(value).resize(found.width());
        assert_eq!(found, value, "{} row {row}", table.name());
    }
    bench.drain(20_000);
    for frame in bench.received.iter().flatten() {
        let tag = frame.user.slice(0, 64).low_u64();
        assert_eq!(frame.bytes, bench.sent[&tag].2);
    }
    assert_eq!(
        bench.received.iter().map(Vec::len).collect::<Vec<_>>(),
        [0, 0, 60]
    );
    assert_eq!(
        bench.read(CounterSet::Reason, Reason::NoInterface as u64).0,
        60
    );
}
