//! Window: the first 192 bytes of each frame, for the header path.

use super::{beat, data_bits, record};
use seqnic_gen::{Circuit, GenError, Module, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::stage::HEADER;
use seqnic_spec::wire::WINDOW_BYTES;

/// Beats from the arbiter in; `header_valid` and `header` ([`HEADER`]) out, one clock after the
/// beat that fills the window or ends the frame. One header a clock where frames have one beat; with
/// `clocks_per_header` a header waits until it is so far behind the last one, which is before the
/// arbiter lets the next frame begin.
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
    let port = m.input("port", seqnic_spec::tables::width::PORT);
    let tag = m.input("tag", 64);

    let beats = WINDOW_BYTES / g.bus_bytes;
    let bits = clog2(beats + 1);
    let next = m.reg("next", bits, 0); // place of the next beat; `beats` once the window is full
    let at = first.mux(next.lit(0), next.q()).named("at");
    let collecting = at.ne(at.lit(beats.into())).named("collecting");
    next.set_when(valid & collecting, at + at.lit(1));

    let starts = (valid & first).named("starts");
    let chunks: Vec<_> = (0..beats)
        .map(|k| {
            let chunk = m.reg_no_reset(&format!("chunk_{k}"), data_bits(g));
            let here = valid & at.is(k.into());
            match k {
                0 => chunk.set_when(here, beat.field("data")),
                _ => chunk.set_when(here | starts, beat.field("data").when(!first)),
            }
            chunk.q()
        })
        .collect();
    let port_q = m.reg_no_reset("port_q", port.width());
    port_q.set_when(starts, port);
    let tag_q = m.reg_no_reset("tag_q", 64);
    tag_q.set_when(starts, tag);

    let last = beat.field("last");
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
    let length = before.zext(8) + beat.field("count").zext(8);

    let length_q = m.reg_no_reset("length_q", 8);
    length_q.set_when(complete, length);
    let more_q = m.reg_no_reset("more_q", 1);
    more_q.set_when(complete, !last);

    let window: Vec<_> = chunks.into_iter().rev().collect();
    let header = m.pack(
        &record(&HEADER),
        &[
            ("window", m.concat(&window)),
            ("length", length_q.q()),
            ("more", more_q.q()),
            ("port", port_q.q()),
            ("tag", tag_q.q()),
        ],
    );
    m.output("header_valid", emit.as_valid().reg());
    m.output("header", header);
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{BUSES, beat_bits, beats, built, length, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::Sim;

    #[test]
    fn headers_are_the_first_bytes_of_each_frame() {
        for (bus, apart) in BUSES.into_iter().flat_map(|bus| [(bus, 1), (bus, 8)]) {
            let g = Geometry {
                clocks_per_header: apart,
                ..small(bus)
            };
            let mut sim = Sim::new(&built(build(&g)));
            let mut random = Random::new(bus.into());
            sim.reset();
            let (mut expected, mut found) = (vec![], Found::default());
            let mut begun = 0;
            for tag in 0..150u64 {
                let n = match tag % 3 {
                    0 => length(&mut random, 1, 9216),
                    1 => 184 + random.below(20) as usize,
                    _ => 1 + random.below(192) as usize,
                };
                let frame = random.bytes(n);
                let port = random.below(3);
                let mut window = frame[..n.min(192)].to_vec();
                window.resize(192, 0);
                expected.push((window, n.min(192) as u64, n > 192, port, tag));
                let gaps = random.one_in(2);
                while sim.cycle() < begun + u64::from(apart) {
                    sim.set("valid", 0);
                    sim.step();
                    collect(&mut sim, &mut found);
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
                        sim.step();
                        collect(&mut sim, &mut found);
                    };
                    while gaps && random.one_in(3) {
                        clock(false);
                    }
                    clock(true);
                }
            }
            for _ in 0..apart {
                sim.set("valid", 0);
                sim.step();
                collect(&mut sim, &mut found);
            }
            assert!(found.headers == expected);
            let apart = u64::from(apart);
            assert!(found.clocks.windows(2).all(|c| c[0] + apart <= c[1]));
        }
    }

    /// Window, length, `more`, port and tag of each header, and when it came.
    #[derive(Default)]
    struct Found {
        headers: Vec<(Vec<u8>, u64, bool, u64, u64)>,
        clocks: Vec<u64>,
    }

    fn collect(sim: &mut Sim, found: &mut Found) {
        if sim.get("header_valid") == 0 {
            return;
        }
        let header = sim.get_bits("header");
        let field = |name: &str| unpacked(&record(&HEADER), &header, name);
        found.clocks.push(sim.cycle());
        found.headers.push((
            field("window").to_bytes_le(),
            field("length").low_u64(),
            !field("more").is_zero(),
            field("port").low_u64(),
            field("tag").low_u64(),
        ));
    }
}
