//! Arbiter: frames of all inputs one after the other.
//!
//! Round robin by frames: who was served last is asked last. The only place where something is
//! made to wait: a beat passes only if the payload buffer has room, a frame only if the header
//! path has a slot for it, so nothing behind needs a `ready`.
//!
//! Who is served is chosen a clock before it is, of those that will have a word then: hundreds of bits are chosen by it and
//! wait for it, so it comes from registers.

use super::{beat, cleared, kept, tagged_beat};
use crate::header::comes_in_parts;
use seqnic_gen::{Bits, Circuit, GenError, Module, Sig, clog2};
use seqnic_spec::geometry::Geometry;

/// Streams of tagged beats `in0` to `in<ports>` (the host's last), each with `in<n>_coming` and `in<n>_behind`: a word
/// comes with the next clock, or waits behind the one that is offered. Gives what comes through, one clock later: `valid`, `beat`, and with the first beat of a frame `first`, `port`, `tag`.
/// Bytes of `beat` past its count are zero; clearing them is logic behind its register, and done before where the header path begins
/// there ([`comes_in_parts`]).
///
/// `room`: the buffer takes beats. `credit_return`: a verdict has left the header path; there are
/// `header_slots` credits, the last of which is never given. Frames begin at least
/// `clocks_per_header` clocks apart.
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("arbiter");
    m.doc(
        "Round robin by frames over all inputs. A beat passes only with `room`, a frame only with a\n\
         header credit. Full rate, latency 1 clock.",
    );
    let inputs = g.ports + 1;
    let words: Vec<_> = (0..inputs)
        .map(|i| Input {
            valid: m.input(&format!("in{i}_valid"), 1),
            more: m.input(&format!("in{i}_coming"), 1) | m.input(&format!("in{i}_behind"), 1),
            word: m.input_record(&format!("in{i}_data"), &tagged_beat(g), None),
        })
        .collect();
    let room = m.input("room", 1);
    let credit_return = m.input("credit_return", 1);

    let slots = u128::from(g.header_slots);
    let credits = m.reg("credits", clog2(g.header_slots + 1), slots);
    let open_frame = m.reg("open_frame", 1, 0); // a frame has begun and not ended
    // Who is served, or was last; and the inputs behind that one.
    let grant = m.reg_bits("grant", &Bits::new(inputs, 1 << (inputs - 1)));
    let after = m.reg("after", inputs, 0);

    let requests = each(&words, |input| input.valid).named("requests");
    let served = (grant.q() & requests).any().named("served");
    // Whether a frame may begin is known a clock before: two credits then are one now.
    let may_start = m.reg("may_start", 1, 1);
    let open = (room & (open_frame.q() | may_start.q())).named("open");
    let fire = (open & served).named("fire");
    let lasts = each(&words, |input| input.word.field("last"));
    let ends = (open & (grant.q() & requests & lasts).any()).named("ends");

    // Who has a word with the next clock; of the one that is served it is asked only if this one goes.
    let more = each(&words, |input| input.more);
    let soon = (more | (requests & !grant.q())).named("soon");
    let later = (soon & after.q()).named("later");
    let behind_later = behind_any(later);
    let behind = later.any().mux(behind_later, behind_any(soon));
    let behind = behind.named("behind");
    let idle = !(open_frame.q() | served);
    let chooses = ((ends | idle) & soon.any()).named("chooses");
    grant.set_when(chooses, behind.slice(1, inputs) & !behind.trunc(inputs));
    after.set_when(chooses, behind.trunc(inputs));

    let choices: Vec<_> = words
        .iter()
        .enumerate()
        .map(|(i, input)| (grant.bit(i as u32), input.word))
        .collect();
    let word = m.select_onehot(&choices).named("word");

    let starts = (fire & !open_frame.q()).named("starts");
    open_frame.set_when(fire, !ends);
    credits.set(credits.q() - starts.zext(credits.width()) + credit_return.zext(credits.width()));
    let credit_left = credits.ge(credits.lit(2));
    let apart = g.clocks_per_header;
    may_start.set(match apart {
        1 => credit_left,
        _ => {
            let gap = m.reg("gap", clog2(apart), 0);
            let fewer = gap.q() - gap.any().zext(gap.width());
            gap.set(starts.mux(gap.lit(u128::from(apart) - 2), fewer));
            credit_left & !gap.any() & !starts
        }
    });
    m.assert("credit_for_every_frame", !starts | credits.any());
    m.assert("credits_in_range", credits.le(credits.lit(slots)));

    for i in 0..inputs {
        m.output(&format!("in{i}_ready"), grant.bit(i) & open);
    }
    let record = beat(g);
    let fields: Vec<_> = record
        .fields()
        .iter()
        .map(|f| (f.name.as_str(), word.field(&f.name)))
        .collect();
    m.output("valid", fire.as_valid().reg());
    let passed = m.pack(&record, &fields).reg();
    // Only a frame's last beat has anything to clear.
    let data = match comes_in_parts(g) {
        true => passed.field("data"),
        false => cleared(
            passed.field("data"),
            kept(passed.field("count"), g.bus_bytes),
        ),
    };
    m.output("beat", passed.with_field("data", data));
    m.output("first", (!open_frame.q()).reg());
    m.output("port", word.field("port").reg());
    m.output("tag", word.field("tag").reg());
    m.output("busy", open_frame.q());
    m.finish()
}

/// One stream in.
struct Input<'m> {
    valid: Sig<'m>,
    /// With the next clock there is a word behind the one that is offered, or one if none is.
    more: Sig<'m>,
    word: Sig<'m>,
}

/// A bit of each.
fn each<'m>(inputs: &[Input<'m>], bit: impl Fn(&Input<'m>) -> Sig<'m>) -> Sig<'m> {
    let bits: Vec<_> = inputs.iter().rev().map(bit).collect();
    inputs[0].valid.module().concat(&bits)
}

/// For each bit, and the place above the highest, whether one below it is set.
fn behind_any(x: Sig<'_>) -> Sig<'_> {
    let m = x.module();
    let places: Vec<_> = (0..=x.width())
        .rev()
        .map(|i| match i {
            0 => m.lit(1, 0),
            _ => x.trunc(i).any(),
        })
        .collect();
    m.concat(&places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{Beat, Joiner, Source, beat_bits, beats, built, small};
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};

    /// The tag's lowest four bits are the port too. Bytes past the count are what the bus had there, or cleared before.
    fn word(g: &Geometry, b: &Beat, tag: u64) -> Vec<Bits> {
        let mut bits = beat_bits(g, b).resize(tagged_beat(g).width());
        let past = if comes_in_parts(g) { 0 } else { 0xa5 };
        let rest = vec![past; g.bus_bytes as usize - b.data.len()];
        if !rest.is_empty() {
            bits.set_slice(b.data.len() as u32 * 8, &Bits::from_bytes_le(&rest));
        }
        bits.set_slice(
            beat(g).width(),
            &Bits::new(68, u128::from(tag & 15) << 64 | u128::from(tag)),
        );
        vec![bits]
    }

    /// The arbiter behind a register slice for each input, as that of an ingress.
    fn behind_slices(g: &Geometry) -> Circuit {
        let m = Module::new("arbiter_behind_slices");
        let arbiter = built(build(g));
        let mut ports = vec![];
        let mut slices = vec![];
        for i in 0..=g.ports {
            let name = |s: &str| format!("in{i}_{s}");
            let stream = m.stream_in(&format!("in{i}"), tagged_beat(g).width());
            let slice = stream.register_slice(&format!("slice{i}"));
            ports.extend([
                (name("valid"), slice.valid),
                (name("coming"), stream.valid),
                (name("behind"), !stream.ready()),
                (name("data"), slice.data),
            ]);
            slices.push(slice);
        }
        ports.extend(["room", "credit_return"].map(|name| (name.into(), m.input(name, 1))));
        let ports: Vec<(&str, Sig)> = ports.iter().map(|(n, s)| (n.as_str(), *s)).collect();
        let inner = m.instance("arbiter", &arbiter, &ports);
        for (i, slice) in slices.iter().enumerate() {
            slice.accept(inner.get(&format!("in{i}_ready")));
        }
        for name in ["valid", "beat", "first", "port", "tag", "busy"] {
            m.output(name, inner.get(name));
        }
        built(m.finish())
    }

    fn sources(sim: &Sim) -> Vec<Source> {
        (0..3)
            .map(|i| {
                let name = |s: &str| format!("in{i}_{s}");
                Source::new(sim, &[&name("data")], &name("valid"), &name("ready"))
            })
            .collect()
    }

    #[test]
    fn frames_stay_whole_in_order_and_within_credit_and_room() {
        for (bus, apart) in [(16, 1), (16, 8), (64, 1)] {
            stay_whole(&Geometry {
                clocks_per_header: apart,
                ..small(bus)
            });
        }
    }

    fn stay_whole(g: &Geometry) {
        let mut began = None;
        let mut sim = Sim::new(&behind_slices(g));
        let mut random = Random::new(3);
        let mut inputs = sources(&sim);
        sim.reset();
        let mut expected = vec![vec![]; 3];
        for (i, source) in inputs.iter_mut().enumerate() {
            for n in 0..60u64 {
                let size = 1 + random.below(100) as usize;
                let frame = random.bytes(size);
                let tag = n << 8 | i as u64;
                for b in beats(g, &frame, n % 7 == 0) {
                    source.push(word(g, &b, tag));
                }
                expected[i].push((frame, n % 7 == 0, tag));
            }
        }
        let (mut joiner, mut found) = (Joiner::default(), vec![vec![]; 3]);
        let (mut outside, mut open) = (0u64, None);
        let mut room_before = true;
        while found.iter().map(Vec::len).sum::<usize>() < 180 {
            if random.one_in(50) {
                inputs.iter_mut().for_each(|s| s.idle = random.below(100));
            }
            let room = !random.one_in(3);
            let back = outside > 0 && random.one_in(8);
            sim.set("room", room.into());
            sim.set("credit_return", back.into());
            inputs
                .iter_mut()
                .for_each(|s| s.drive(&mut sim, &mut random));
            inputs.iter_mut().for_each(|s| {
                s.settle(&mut sim);
            });
            if sim.get("valid") == 1 {
                assert!(room_before);
                if sim.get("first") == 1 {
                    assert!(open.is_none());
                    let apart = u64::from(g.clocks_per_header);
                    assert!(began.is_none_or(|b| b + apart <= sim.cycle()));
                    began = Some(sim.cycle());
                    open = Some((sim.get("port") as usize, sim.get("tag")));
                    outside += 1;
                    assert!(outside <= g.header_slots.into());
                }
                let value = sim.get_bits("beat");
                if let Some((frame, error)) = joiner.take(g, &beat(g), &value) {
                    let (port, tag) = open.take().unwrap();
                    found[port].push((frame, error, tag));
                }
            }
            outside -= u64::from(back);
            room_before = room;
            sim.step();
            assert!(sim.cycle() < 100_000, "stuck");
        }
        assert!(found == expected);
    }

    #[test]
    fn busy_inputs_take_turns_without_a_gap() {
        let g = small(64);
        let mut sim = Sim::new(&behind_slices(&g));
        let mut random = Random::new(5);
        let mut inputs = sources(&sim);
        sim.reset();
        for (i, source) in (0u64..).zip(&mut inputs) {
            for _ in 0..100 {
                for b in beats(&g, &random.bytes(60), false) {
                    source.push(word(&g, &b, i));
                }
            }
        }
        sim.set("room", 1);
        let mut ports = vec![];
        for _ in 0..302 {
            // The header path takes each at once.
            let back = sim.get("valid");
            sim.set("credit_return", back);
            inputs
                .iter_mut()
                .for_each(|s| s.drive(&mut sim, &mut random));
            inputs.iter_mut().for_each(|s| {
                s.settle(&mut sim);
            });
            if back == 1 {
                ports.push(sim.get("port"));
            }
            sim.step();
        }
        assert_eq!(ports.len(), 300);
        assert!(
            ports
                .windows(3)
                .all(|w| w[0] != w[1] && w[1] != w[2] && w[0] != w[2]),
            "{ports:?}"
        );
    }

    #[test]
    fn without_credit_nothing_starts_but_what_started_goes_on() {
        let g = small(64);
        let mut sim = Sim::new(&behind_slices(&g));
        let mut random = Random::new(6);
        let mut inputs = sources(&sim);
        sim.reset();
        sim.set("room", 1);
        for n in 0..40 {
            for b in beats(&g, &random.bytes(200), false) {
                inputs[1].push(word(&g, &b, n));
            }
        }
        let (mut starts, mut total) = (0, 0);
        for _ in 0..400 {
            inputs[1].drive(&mut sim, &mut random);
            inputs[1].settle(&mut sim);
            starts += sim.get("valid") & sim.get("first");
            total += sim.get("valid");
            sim.step();
        }
        assert_eq!(
            (starts, total),
            (
                u64::from(g.header_slots) - 1,
                (u64::from(g.header_slots) - 1) * 4
            )
        );
    }
}
