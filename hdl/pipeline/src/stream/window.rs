//! Window: the first 192 bytes of each frame, for the header path.
//!
//! A header has them in three parts. On a narrow bus they are collected and given out together. Where a part is a
//! beat of the bus, the header path takes them as they come, each a clock behind the one before, and the first
//! is on its way before it is known whether the others follow at once: if one does not, that header turns out to be
//! none, and goes on its way again, from what was kept, with the beat that completes it.

use super::{beat, data_bits};
use crate::header::{PART_BYTES, PARTS, comes_in_parts, parts};
use seqnic_gen::{Circuit, GenError, Module, Sig, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::width;
use seqnic_spec::wire::WINDOW_BYTES;

/// Beats from the arbiter in; `part0`, `part1`, `part2`, each as much behind the first as
/// [`crate::header::part_stage`] says, zero past the end of the frame; with the first `header_port` and `header_tag`, with the last
/// `header_valid`, `length` (bytes in the window) and `more` (the frame is longer). One header a clock where frames have one beat.
///
/// Where headers are some clocks apart there is no `part2`: instead every beat of the window is given out as it comes, with `kept_write`,
/// `kept_row` (the beat's number, above it which of two halves of a memory the frame has) and `kept_data`, and `header_half` says with
/// the header which half its frame has.
///
/// Without [`comes_in_parts`] that is one clock after the beat that fills the window or ends the frame. With
/// `clocks_per_header` a header waits until it is so far behind the last one, which is before the
/// arbiter lets the next frame begin. In parts it is with the frame's first beat, if the others of the window
/// follow without a pause, else with the one that completes it.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("window");
    m.doc(
        "Collects the first 192 bytes of each frame; gives them out when they are complete or the\n\
         frame has ended, zero past its end.",
    );
    let valid = m.input("valid", 1);
    let beat = m.input_record("beat", &beat(g), None);
    let first = m.input("first", 1);
    let inputs = Inputs {
        valid,
        data: beat.field("data"),
        count: beat.field("count"),
        last: beat.field("last"),
        first,
        port: m.input("port", width::PORT),
        tag: m.input("tag", 64),
    };
    match comes_in_parts(g) {
        true => in_parts(&m, inputs),
        false => together(&m, g, inputs),
    }
    m.finish()
}

struct Inputs<'m> {
    valid: Sig<'m>,
    data: Sig<'m>,
    count: Sig<'m>,
    last: Sig<'m>,
    first: Sig<'m>,
    port: Sig<'m>,
    tag: Sig<'m>,
}

/// Each part as it comes.
fn in_parts<'m>(m: &'m Module, i: Inputs<'m>) {
    // Beats of the frame before this one, 3 once the window is full.
    let next = m.reg("next", 2, 0);
    let more = next.q() + (!next.all()).zext(2);
    next.set_when(i.valid, i.first.mux(next.lit(1), more));
    let starts = (i.valid & i.first).named("starts");
    let follows = (i.valid & !i.first).named("follows");
    let second = (follows & next.is(1)).named("second");
    let third = (follows & next.is(2)).named("third");
    let complete = ((second & i.last) | third).named("complete");

    // What was sent with the first beat: does it still come without a pause, has it all of the frame?
    let (sent_1, ended_1) = (starts.as_valid().reg(), i.last.reg());
    let going_1 = (sent_1 & (ended_1 | second)).named("going_1");
    let (sent_2, ended_2) = (going_1.as_valid().reg(), (ended_1 | i.last).reg());
    let going_2 = (sent_2 & (ended_2 | third)).named("going_2");
    let stops = (sent_1 & !going_1) | (sent_2 & !going_2);
    let missed = m.reg("missed", 1, 0); // the frame's header must be sent again
    missed.set((missed.q() | stops) & !complete);
    let again = (missed.q() & complete).named("again");
    let again_1 = again.as_valid().reg().named("again_1");
    let again_2 = again_1.as_valid().reg().named("again_2");
    m.assert("one_header_at_a_time", !(going_2 & again_2));

    // What is kept of the frame, for that.
    let kept = |name: &str, when: Sig<'m>, value: Sig<'m>| {
        let kept = m.reg_no_reset(name, value.width());
        kept.set_when(when, value);
        kept.q()
    };
    let kept_0 = kept("kept_0", starts, i.data);
    let kept_1 = kept("kept_1", second, i.data);
    let kept_2 = kept("kept_2", third, i.data);
    let has_2 = kept("has_2", again, third);
    let either =
        |other: Sig<'m>, name: &str, now: Sig<'m>| missed.q().mux(kept(name, starts, other), now);
    // While a frame's header is missed, no other frame has its first beat here.
    m.output("part0", missed.q().mux(kept_0, i.data));
    // If neither the frame has ended nor the next beat of it is here, the header turns out to be none.
    m.output("part1", again_1.mux(kept_1, i.data.when(!ended_1)));
    let part2 = again_2.mux(kept_2.when(has_2), i.data.when(!ended_2));
    m.output("part2", part2);
    m.output("header_port", either(i.port, "port_q", i.port));
    m.output("header_tag", either(i.tag, "tag_q", i.tag));

    // Every beat but the last of a frame is full.
    let length = |before: u128| i.count.zext(8) + m.lit(8, before * u128::from(PART_BYTES));
    let length_1 = second.mux(length(1), length(0).reg());
    let length_2 = (third & !ended_2).mux(length(2), length_1.reg());
    let whole = kept("length_q", again, third.mux(length(2), length(1)));
    m.output("length", again_2.mux(whole, length_2));
    let longer = kept("more_q", again, !i.last);
    m.output("more", again_2.mux(longer, third & !ended_2 & !i.last));
    m.output("header_valid", going_2 | again_2);
    m.cover("sent_again", again_2);
}

/// All parts at once, when they are complete.
fn together<'m>(m: &'m Module, g: &Geometry, i: Inputs<'m>) {
    let (valid, first) = (i.valid, i.first);
    let beats = WINDOW_BYTES / g.bus_bytes;
    let bits = clog2(beats + 1);
    let next = m.reg("next", bits, 0); // place of the next beat; `beats` once the window is full
    let at = first.mux(next.lit(0), next.q()).named("at");
    let collecting = at.ne(at.lit(beats.into())).named("collecting");
    next.set_when(valid & collecting, at + at.lit(1));

    let starts = (valid & first).named("starts");
    let part_beats = beats / PARTS;
    let chunks: Vec<_> = (0..part_beats * parts(g))
        .map(|k| {
            let chunk = m.reg_no_reset(&format!("chunk_{k}"), data_bits(g));
            let here = valid & at.is(k.into());
            match k {
                0 => chunk.set_when(here, i.data),
                _ => chunk.set_when(here | starts, i.data.when(!first)),
            }
            chunk.q()
        })
        .collect();
    let port_q = m.reg_no_reset("port_q", i.port.width());
    port_q.set_when(starts, i.port);
    let tag_q = m.reg_no_reset("tag_q", 64);
    tag_q.set_when(starts, i.tag);

    let last = i.last;
    let full = at.is(u128::from(beats) - 1);
    let complete = (valid & collecting & (last | full)).named("complete");
    let apart = g.clocks_per_header;
    let emit = match apart {
        1 => complete,
        _ => {
            let gap = m.reg("gap", clog2(apart), 0);
            let waiting = m.reg("waiting", 1, 0);
            m.assert("window_is_given_out", !(starts & waiting.q()));
            let emit = ((complete | waiting.q()) & !gap.any()).named("emit");
            let fewer = gap.q() - gap.any().zext(gap.width());
            gap.set(emit.mux(gap.lit(u128::from(apart) - 1), fewer));
            waiting.set((complete | waiting.q()) & gap.any());
            emit
        }
    };
    // Bytes of the beats before, and of this one.
    let before = at.trunc(clog2(beats)).cat(m.lit(clog2(g.bus_bytes), 0));
    let length = before.zext(8) + i.count.zext(8);

    let length_q = m.reg_no_reset("length_q", 8);
    length_q.set_when(complete, length);
    let more_q = m.reg_no_reset("more_q", 1);
    more_q.set_when(complete, !last);

    if apart > 1 {
        // The other half than the frame before: its rows are read while this one comes.
        let half = m.reg("half", 1, 0);
        let mine = (half.q() ^ starts).named("my_half");
        half.set(mine);
        m.output("kept_write", valid & collecting);
        m.output("kept_row", mine.cat(at.trunc(clog2(beats))));
        m.output("kept_data", i.data);
        m.output("header_half", half.q());
    }
    for (n, part) in chunks.chunks(part_beats as usize).enumerate() {
        let part: Vec<_> = part.iter().copied().rev().collect();
        m.output(&format!("part{n}"), m.concat(&part));
    }
    m.output("length", length_q.q());
    m.output("more", more_q.q());
    m.output("header_port", port_q.q());
    m.output("header_tag", tag_q.q());
    m.output("header_valid", emit.as_valid().reg());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::part_stage;
    use crate::stream::testbench::{BUSES, beat_bits, beats, built, length, small};
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};
    use std::collections::VecDeque;

    #[test]
    fn headers_are_the_first_bytes_of_each_frame() {
        let at_once = BUSES.into_iter().map(|bus| (bus, 1));
        for (bus, apart) in at_once.chain([(8, 8), (16, 8)]) {
            let g = Geometry {
                clocks_per_header: apart,
                ..small(bus)
            };
            let mut sim = Sim::new(&built(build(&g)));
            let mut random = Random::new(bus.into());
            sim.reset();
            let (mut expected, mut found) = (vec![], Found::new(&g));
            let mut begun = 0;
            for tag in 0..600u64 {
                let n = match tag % 3 {
                    0 if tag % 9 == 0 => length(&mut random, 1, 9216),
                    0 => length(&mut random, 1, 300),
                    1 => 184 + random.below(20) as usize,
                    _ => 1 + random.below(192) as usize,
                };
                let frame = random.bytes(n);
                let port = random.below(3);
                let mut window = frame[..n.min(192)].to_vec();
                window.resize(192, 0);
                expected.push((window, n.min(192) as u64, n > 192, port, tag));
                let (gaps, before) = (random.one_in(2), random.one_in(2));
                while sim.cycle() < begun + u64::from(apart) || before && random.one_in(2) {
                    sim.set("valid", 0);
                    sim.set_bits("beat", &Bits::ones(sim.handle("beat").unwrap().width()));
                    found.clock(&mut sim);
                }
                begun = sim.cycle();
                for b in beats(&g, &frame, false) {
                    let mut clock = |valid: bool| {
                        sim.set("valid", valid.into());
                        sim.set("first", b.first.into());
                        sim.set_bits("beat", &beat_bits(&g, &b));
                        // The sideband counts with the first beat only.
                        sim.set("port", if b.first { port } else { 15 });
                        sim.set("tag", if b.first { tag } else { u64::MAX });
                        found.clock(&mut sim);
                    };
                    while gaps && random.one_in(3) {
                        clock(false);
                    }
                    clock(true);
                }
            }
            for _ in 0..apart + 40 {
                sim.set("valid", 0);
                found.clock(&mut sim);
            }
            for header in &mut found.headers {
                header.0.resize(192, 0);
            }
            assert!(found.headers == expected, "bus {bus}, {apart} apart");
            let apart = u64::from(apart);
            assert!(found.clocks.windows(2).all(|c| c[0] + apart <= c[1]));
            if comes_in_parts(&g) {
                assert!(sim.covered("sent_again").unwrap() > 50);
            }
        }
    }

    /// Without pauses a header is complete as early as its beats are.
    #[test]
    fn frames_without_pauses_are_sent_with_their_first_beat() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        let mut random = Random::new(2);
        sim.reset();
        let (mut found, mut firsts) = (Found::new(&g), vec![]);
        for _ in 0..300 {
            let size = 1 + random.below(300) as usize;
            let frame = random.bytes(size);
            firsts.push(sim.cycle());
            for b in beats(&g, &frame, false) {
                sim.set("valid", 1);
                sim.set("first", b.first.into());
                sim.set_bits("beat", &beat_bits(&g, &b));
                found.clock(&mut sim);
            }
        }
        sim.set("valid", 0);
        (0..3).for_each(|_| found.clock(&mut sim));
        assert_eq!(sim.covered("sent_again"), Some(0));
        let expected: Vec<_> = firsts.iter().map(|first| first + 2).collect();
        assert_eq!(found.clocks, expected);
    }

    /// Clocks from a header to the last clock in which its first row may be read (`header::moved`).
    const READ_FROM: u64 = 4;

    /// Window, length, `more`, port and tag of each header, and when it was complete.
    struct Found {
        headers: Vec<(Vec<u8>, u64, bool, u64, u64)>,
        clocks: Vec<u64>,
        stages: Vec<usize>,
        /// Parts, port and tag of this clock and those before, the newest first.
        given: VecDeque<(Vec<Vec<u8>>, u64, u64)>,
        /// The rows kept, where headers are some clocks apart; and of each header given out so far those it asks for, until as many
        /// clocks have passed as they are read in.
        kept: Option<Vec<Vec<u8>>>,
        read: VecDeque<(u64, usize, usize)>,
    }

    impl Found {
        fn new(g: &Geometry) -> Found {
            Found {
                headers: vec![],
                clocks: vec![],
                stages: (0..parts(g)).map(|n| part_stage(g, n) as usize).collect(),
                given: VecDeque::new(),
                kept: (g.clocks_per_header > 1).then(|| {
                    let beats = (WINDOW_BYTES / g.bus_bytes).next_power_of_two();
                    vec![vec![]; 2 * beats as usize]
                }),
                read: VecDeque::new(),
            }
        }

        fn clock(&mut self, sim: &mut Sim) {
            let part = |n: u32| sim.get_bits(&format!("part{n}")).to_bytes_le();
            let parts = (0..self.stages.len() as u32).map(part).collect();
            self.read_kept(sim);
            self.given
                .push_front((parts, sim.get("header_port"), sim.get("header_tag")));
            let last = self.stages[self.stages.len() - 1];
            if sim.get("header_valid") == 1 {
                let mut window = vec![];
                for (n, stage) in self.stages.iter().enumerate() {
                    window.extend(&self.given[last - stage].0[n]);
                }
                let (_, port, tag) = self.given[last];
                if self.kept.is_some() {
                    // Row by row, each a clock later, as the header path does.
                    let half = sim.get("header_half") as usize;
                    self.read.push_back((sim.cycle(), half, self.headers.len()));
                }
                let header = (window, sim.get("length"), sim.get("more") == 1, port, tag);
                self.headers.push(header);
                self.clocks.push(sim.cycle());
            }
            self.given.truncate(4);
            sim.step();
        }

        /// Takes the rows of the frames' third part as late as the header path may read them: each a clock behind the one before, from
        /// [`READ_FROM`] clocks behind the header on.
        fn read_kept(&mut self, sim: &mut Sim) {
            let Some(kept) = &mut self.kept else { return };
            for (since, half, header) in &self.read {
                let row = (sim.cycle() - since).checked_sub(READ_FROM);
                let of_half = kept.len() / 2;
                let Some(row) = row.filter(|row| (*row as usize) < of_half) else {
                    continue;
                };
                let bytes = &kept[half * of_half + row as usize];
                let (window, length, ..) = &mut self.headers[*header];
                let from = row as usize * bytes.len();
                let end = (*length as usize).min(from + bytes.len());
                if from < end {
                    // The first two parts came with the header.
                    let known = window.len().min(end);
                    if from < known {
                        assert_eq!(window[from..known], bytes[..known - from]);
                    }
                    if end > window.len() {
                        let new = window.len() - from;
                        window.extend(&bytes[new..end - from]);
                    }
                }
            }
            while self.read.front().is_some_and(|r| r.0 + 40 < sim.cycle()) {
                self.read.pop_front();
            }
            if sim.get("kept_write") == 1 {
                kept[sim.get("kept_row") as usize] = sim.get_bits("kept_data").to_bytes_le();
            }
        }
    }
}
