//! Rows that were read, and items of a counter snapshot, become records: module `host_answers`.
//!
//! Both wait until their ring has room (or does not run: then they are dropped there).

use super::{RING_BITS, beat_of_line, record_beat, update};
use seqnic_gen::{Circuit, GenError, Module, Record, Stream, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{LINE_BITS, LINE_BYTES, META_AT, Ring, kind};

/// A row that was read, from [`super::commands`].
pub fn answer() -> Record {
    Record::new(
        "answer",
        [
            ("table", 8),
            ("row", 32),
            ("cookie", 32),
            ("data", LINE_BITS),
        ],
    )
}

mod state {
    pub const BITS: u32 = 2;
    pub const IDLE: u128 = 0;
    pub const DATA: u128 = 1;
    pub const HEADER: u128 = 2;
}

/// Takes the streams `answer` ([`answer`]) and `item` (of `item_bits`), and `room`; gives the stream `record`
/// ([`record_beat`]) and `waits` (for room, nothing else).
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry, item_bits: u32) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_answers");
    m.doc("Rows that were read and items of a counter snapshot become records.");
    let answer_in = m
        .stream_in("answer", answer().width())
        .map(|d| d.with_record(&answer()));
    let item = m.stream_in("item", item_bits);
    let room = m.input("room", 1);

    let state = m.reg("state", state::BITS, state::IDLE);
    let now = |s: u128| state.q().is(s);
    let to = |s: u128| m.lit(state::BITS, s);
    let is_item = m.reg("is_item", 1, 0);
    let idle = now(state::IDLE).named("idle");
    let rows_first = (idle & room & answer_in.valid).named("start_row");
    let start_item = (idle & room & !answer_in.valid & item.valid).named("start_item");
    update(
        is_item,
        &[(rows_first, m.lit(1, 0)), (start_item, m.lit(1, 1))],
    );

    let heading = now(state::HEADER).named("heading");
    let giving = now(state::DATA).named("giving");
    let moved = m.wire("moved", 1);
    let row_meta = m.concat(&[
        answer_in.field("cookie"),
        answer_in.field("row"),
        m.lit(24, 0),
        answer_in.field("table"),
    ]);
    let rest = LINE_BITS - META_AT;
    let meta = mux(is_item.q(), item.data.zext(rest), row_meta.zext(rest));
    // Sequence, length, lines, kind.
    let start = |length: u32, lines: u32, kind: u32| {
        m.lit(
            META_AT,
            u128::from(length) << 16 | u128::from(lines) << 8 | u128::from(kind),
        )
    };
    let start = mux(
        is_item.q(),
        start(0, 0, kind::COUNTER),
        start(LINE_BYTES, 1, kind::ROW),
    );
    let line = mux(heading, meta.cat(start), answer_in.field("data"));
    let (data, last) = beat_of_line(&m, "beat", g, line, moved.q());
    let out = Stream::new(
        "record",
        giving | heading,
        m.pack(
            &record_beat(g),
            &[
                ("data", data),
                ("ring", m.lit(RING_BITS, Ring::Answers as u128)),
                ("header", heading),
                ("close", giving & last),
                ("last", heading & last),
            ],
        ),
    );
    moved.drive(out.fire());
    let done = (moved.q() & heading & last).named("done");
    update(
        state,
        &[
            (rows_first, to(state::DATA)),
            (start_item, to(state::HEADER)),
            (moved.q() & giving & last, to(state::HEADER)),
            (done, to(state::IDLE)),
        ],
    );
    answer_in.accept(done & !is_item.q());
    item.accept(done & is_item.q());
    m.stream_out("record", out);
    m.output("idle", idle & !answer_in.valid & !item.valid);
    m.output("waits", idle & !room & (answer_in.valid | item.valid));
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{Sink, Source, built, packed, small, unpacked};
    use crate::testing::Random;
    use seqnic_gen::{Bits, Sim};

    /// Rows and items come out as records, each kind in its order, and none begins while there is no room.
    #[test]
    fn rows_and_items_become_records_while_there_is_room() {
        const ITEM: u32 = 158;
        for bus in [16, 64] {
            let g = small(bus);
            let mut sim = Sim::new(&built(build(&g, ITEM)));
            sim.reset();
            let mut random = Random::new(bus.into());
            let mut rows = Source::new(&sim, &["answer_data"], "answer_valid", "answer_ready");
            let mut items = Source::new(&sim, &["item_data"], "item_valid", "item_ready");
            let mut sink = Sink::new(&sim, &["record_data"], "record_valid", "record_ready");
            sink.busy = 30;
            let mut expected = (vec![], vec![]);
            for n in 0..100 {
                let row = packed(
                    &answer(),
                    &[
                        ("table", n & 0x7f),
                        ("row", n * 3),
                        ("cookie", n + 7),
                        ("data", n << 64 | 5),
                    ],
                );
                let item = Bits::from_limbs(ITEM, &[random.word(), random.word(), random.word()]);
                rows.push(vec![row.clone()]);
                items.push(vec![item.clone()]);
                expected.0.push(row);
                expected.1.push(item);
            }
            let beat = record_beat(&g);
            let mut found = (vec![], vec![]);
            let (mut payload, mut header) = (vec![], vec![]);
            let mut inside = false;
            for clock in 0.. {
                let room = !random.one_in(3);
                sim.set("room", room.into());
                rows.drive(&mut sim, &mut random);
                items.drive(&mut sim, &mut random);
                sink.drive(&mut sim, &mut random);
                rows.settle(&mut sim);
                items.settle(&mut sim);
                if let Some(word) = sink.settle(&mut sim) {
                    inside = true;
                    let field = |name| unpacked(&beat, &word[0], name);
                    assert_eq!(field("ring").low_u64(), Ring::Answers as u64);
                    match field("header").low_u64() {
                        0 => payload.push(field("data")),
                        _ => header.push(field("data")),
                    }
                    if field("last").low_u64() == 1 {
                        inside = false;
                        let join = |beats: &[Bits]| {
                            let mut line = Bits::zero(LINE_BITS);
                            for (i, beat) in beats.iter().enumerate() {
                                line.set_slice(i as u32 * bus * 8, beat);
                            }
                            line
                        };
                        let line = join(&header);
                        match line.slice(0, 8).low_u64() as u32 {
                            kind::ROW => {
                                assert_eq!(line.slice(8, 24).low_u64(), 64 << 8 | 1);
                                let meta = |at| u128::from(line.slice(META_AT + at, 32).low_u64());
                                let data = join(&payload);
                                let mut row = packed(
                                    &answer(),
                                    &[("table", meta(0)), ("row", meta(32)), ("cookie", meta(64))],
                                );
                                row.set_slice(72, &data);
                                found.0.push(row);
                            }
                            kind::COUNTER => {
                                assert!(payload.is_empty());
                                assert_eq!(line.slice(8, 24).low_u64(), 0);
                                found.1.push(line.slice(META_AT, ITEM));
                            }
                            other => panic!("kind {other}"),
                        }
                        (payload, header) = (vec![], vec![]);
                    }
                }
                sim.step();
                if found.0.len() + found.1.len() == 200 {
                    break;
                }
                assert!(clock < 20_000, "stuck");
            }
            assert!(!inside);
            assert!(found == expected);
        }
    }
}
