//! Ingress: one AXI4-Stream input.
//!
//! `tkeep` becomes a count; the arbiter clears the bytes outside of it, once for all inputs. Where the header path begins right
//! behind that ([`comes_in_parts`]) they are cleared here already, of each input.
//! The *guard* cuts a frame off at [`MAX_FRAME_BYTES`]: its beat there becomes the last one, with
//! `error`, and the rest is thrown away. The longest frame is a whole number of beats on every
//! bus, so counting beats is enough. A cut frame goes its way like any other, as its first beats
//! may have left the card when its end is seen; the error bit at its end makes the MAC spoil it,
//! and it is counted as `oversize` and as nothing else.
//!
//! A frame whose `tkeep` breaks the rules (a hole, or a beat in its middle that is not full) goes the same way: its bytes are
//! not those its sender meant. A last beat without bytes is right and adds none.

use super::{cleared, count_bits, tagged_beat};
use crate::header::comes_in_parts;
use seqnic_gen::{Bits, Circuit, GenError, Module, Stream, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::width;
use seqnic_spec::wire::MAX_FRAME_BYTES;

/// AXI4-Stream in (`s_tdata`, `s_tkeep`, `s_tvalid`, `s_tready`, `s_tlast`, `s_tuser` = 64-bit
/// tag), `s_port` = port of arrival (both count with the first beat), stream of tagged beats `out` behind a register slice.
/// `out_coming`, `out_behind`: a word comes to that, or waits in it behind the one that is out.
/// `oversize` is set for a clock when a frame is cut off; `busy` while a frame is inside.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("ingress");
    m.doc(
        "One AXI4-Stream input: tkeep becomes a count, frames longer than 9,216 bytes are cut off there\n\
         with `error` in their last beat, as have those whose tkeep breaks the rules. Full rate, latency 1 clock.",
    );
    let bytes = g.bus_bytes;
    let data = m.input("s_tdata", bytes * 8);
    let keep = m.input("s_tkeep", bytes);
    let valid = m.input("s_tvalid", 1);
    let last = m.input("s_tlast", 1);
    let tag = m.input("s_tuser", 64);
    let port = m.input("s_port", width::PORT);

    let holes = (keep.slice(1, bytes - 1) & !keep.trunc(bytes - 1)).any();
    let torn_here = (holes | (!last & !keep.all())).named("torn_here");

    // Bytes are kept from the lowest up: bit i of their number is the parity of every 2^i-th `tkeep`. With the highest
    // byte the beat is full, whatever holes there are: no count is more than that.
    let full = keep.msb();
    let places: Vec<_> = (0..count_bits(g) - 1)
        .rev()
        .map(|i| keep.parity_of(&every(bytes, i)) & !full)
        .collect();
    let count = full.cat(m.concat(&places)).named("count");

    let longest = g.beats(MAX_FRAME_BYTES);
    let beats = m.reg("beats", clog2(longest).max(1), 0);
    let discard = m.reg("discard", 1, 0);
    let at_limit = beats.is(u128::from(longest) - 1).named("at_limit");
    let cut = (at_limit & !last).named("cut");
    let end = (last | at_limit).named("frame_end");

    let torn = m.reg("torn", 1, 0);
    let spoilt = (cut | torn.q() | torn_here).named("spoilt");

    let record = tagged_beat(g);
    let data = match comes_in_parts(g) {
        true => cleared(data, keep),
        false => data,
    };
    let fields = [
        ("data", data),
        ("count", count),
        ("last", end),
        // Meaningful with the last beat.
        ("error", spoilt),
        ("tag", tag),
        ("port", port),
    ];
    let word = m.pack(&record, &fields);
    let guarded = Stream::new("guarded", valid & !discard.q(), word);
    let ready = (discard.q() | guarded.ready()).named("ready");
    let fire = guarded.fire().named("fire");
    beats.set_when(fire, end.mux(beats.lit(0), beats.q() + beats.lit(1)));
    discard.set(discard.mux(!(valid & last), fire & cut));
    torn.set_when(fire, !end & (torn.q() | torn_here));
    let oversize = m.reg("oversize_q", 1, 0);
    oversize.set(fire & cut);

    m.output("out_coming", guarded.valid);
    m.output("out_behind", !guarded.ready());
    let slice = guarded.register_slice("slice");
    m.output("s_tready", ready);
    m.output("oversize", oversize.q());
    m.output("busy", slice.valid | beats.any() | discard.q());
    m.stream_out("out", slice);
    m.finish()
}

/// A mask of `bits` with every 2^`log`-th bit: those that end a run of so many.
fn every(bits: u32, log: u32) -> Bits {
    let mut mask = Bits::zero(bits);
    (0..bits)
        .filter(|i| (i + 1).is_multiple_of(1 << log))
        .for_each(|i| mask.set_bit(i, true));
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::data_bits;
    use crate::stream::testbench::{BUSES, Joiner, Sink, Source, built, length, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};

    fn ends(sim: &Sim) -> (Source, Sink) {
        let source = Source::axi(sim, "s_");
        (
            source,
            Sink::new(sim, &["out_data"], "out_valid", "out_ready"),
        )
    }

    #[test]
    fn frames_pass_whole_and_long_ones_are_cut() {
        for bus in BUSES {
            let g = small(bus);
            let mut sim = Sim::new(&built(build(&g)));
            let mut random = Random::new(bus.into());
            let (mut source, mut sink) = ends(&sim);
            sim.reset();
            let mut expected = vec![];
            for tag in 0..40 {
                let n = match tag % 8 {
                    3 => MAX_FRAME_BYTES as usize + 1 + random.below(200) as usize,
                    5 => MAX_FRAME_BYTES as usize,
                    _ => length(&mut random, 1, 9216),
                };
                let frame = random.bytes(n);
                source.push_frame(&g, &frame, &Bits::new(64, tag.into()));
                let cut = n > MAX_FRAME_BYTES as usize;
                let kept = frame[..n.min(MAX_FRAME_BYTES as usize)].to_vec();
                expected.push((kept, cut, tag));
            }
            let cuts = expected.iter().filter(|e| e.1).count() as u64;
            let record = tagged_beat(&g);
            // The arbiter clears what is past the count.
            let counted = |word: &Bits| {
                let bits = unpacked(&record, word, "count").low_u64() as u32 * 8;
                let mut word = word.clone();
                if bits < data_bits(&g) {
                    word.set_slice(bits, &Bits::zero(data_bits(&g) - bits));
                }
                word
            };
            let (mut joiner, mut found, mut oversize, mut open_tag) =
                (Joiner::default(), vec![], 0, None);
            while found.len() < expected.len() {
                if random.one_in(500) {
                    (source.idle, sink.busy) = (random.below(80), random.below(80));
                }
                source.drive(&mut sim, &mut random);
                sink.drive(&mut sim, &mut random);
                source.settle(&mut sim);
                oversize += sim.get("oversize");
                if let Some(word) = sink.settle(&mut sim) {
                    let tag = unpacked(&record, &word[0], "tag").low_u64();
                    if comes_in_parts(&g) {
                        assert_eq!(counted(&word[0]), word[0]);
                    }
                    open_tag.get_or_insert(tag);
                    if let Some((frame, error)) = joiner.take(&g, &record, &counted(&word[0])) {
                        found.push((frame, error, open_tag.take().unwrap()));
                    }
                }
                sim.step();
                assert!(sim.cycle() < 1_000_000, "stuck");
            }
            assert!(found == expected);
            assert_eq!(oversize, cuts);
            sim.set_bits("s_tvalid", &Bits::zero(1));
            sim.step_n(2);
            // The last frame may have been a cut one: its rest is still to be thrown away.
            if source.is_empty() {
                assert_eq!(sim.get("busy"), 0);
            }
        }
    }

    /// Beats with any `tkeep`: one count for what is kept from the lowest byte up, the frame spoilt if that is not all, and
    /// the next frame none the wiser.
    #[test]
    fn a_frame_with_a_broken_tkeep_is_spoilt_and_the_next_is_not() {
        for bus in BUSES {
            let g = small(bus);
            let mut sim = Sim::new(&built(build(&g)));
            let mut random = Random::new(u64::from(bus) + 9);
            sim.reset();
            sim.set("out_ready", 1);
            let record = tagged_beat(&g);
            let lowest = |count: u32| {
                let mut keep = Bits::zero(bus);
                (0..count).for_each(|i| keep.set_bit(i, true));
                keep
            };
            let (mut broken, mut empty) = (0, 0);
            for _ in 0..600 {
                let beats = 1 + random.below(5);
                let rude = random.one_in(2);
                let mut spoilt = false;
                for n in 0..beats {
                    let last = n + 1 == beats;
                    let kept = random.below(u64::from(bus) + 1) as u32;
                    let keep = match (rude && random.one_in(2), last) {
                        (true, _) => Bits::from_bytes_le(&random.bytes(bus as usize / 8)),
                        (false, true) => lowest(kept),
                        (false, false) => lowest(bus),
                    };
                    let ones = (0..bus).take_while(|i| keep.bit(*i)).count() as u32;
                    let right = keep == lowest(ones) && (last || ones == bus);
                    spoilt |= !right;
                    sim.set("s_tvalid", 1);
                    sim.set("s_tlast", last.into());
                    sim.set_bits("s_tkeep", &keep);
                    assert_eq!(sim.get("s_tready"), 1);
                    sim.step();
                    sim.set("s_tvalid", 0);
                    assert_eq!(sim.get("out_valid"), 1);
                    let word = sim.get_bits("out_data");
                    let field = |name| unpacked(&record, &word, name).low_u64();
                    assert!(field("count") <= u64::from(bus));
                    assert_eq!(field("last"), u64::from(last));
                    if right {
                        assert_eq!(field("count"), u64::from(ones));
                    }
                    if last {
                        assert_eq!(field("error"), u64::from(spoilt));
                        empty += u32::from(right && ones == 0);
                    }
                    assert_eq!(sim.get("oversize"), 0);
                }
                broken += u32::from(spoilt);
            }
            assert!(broken > 50 && empty > 3, "{broken} {empty}");
            sim.step();
            assert_eq!(sim.get("busy"), 0);
        }
    }

    #[test]
    fn one_beat_frames_pass_at_one_a_clock() {
        let g = small(64);
        let mut sim = Sim::new(&built(build(&g)));
        let (mut source, mut sink) = ends(&sim);
        let mut random = Random::new(1);
        sim.reset();
        for tag in 0..200 {
            source.push_frame(&g, &random.bytes(60), &Bits::new(64, tag));
        }
        let mut got = 0;
        for _ in 0..201 {
            source.drive(&mut sim, &mut random);
            sink.drive(&mut sim, &mut random);
            source.settle(&mut sim);
            got += u32::from(sink.settle(&mut sim).is_some());
            sim.step();
        }
        assert_eq!(got, 200);
    }
}
