//! Frames for the host become records: module `host_packets`.
//!
//! The frame's bytes come first, as they come out of the pipeline; the header line follows, when length and
//! end are known. The ring is chosen by the reason, from a small memory the driver writes.

use super::{RING_BITS, beat_of_line, line_ends, record_beat, update};
use crate::stream::{count_bits, data_bits, record};
use seqnic_gen::{Circuit, GenError, Module, Stream, clog2, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{LINE_BITS, META_AT, TO_HOST, kind};
use seqnic_spec::reason::REASON_BITS;
use seqnic_spec::stage::HOST_META;

/// Bits of the number of a ring of packets.
pub const QUEUE_BITS: u32 = 2;

mod state {
    pub const BITS: u32 = 2;
    pub const LOOK: u128 = 0;
    pub const BODY: u128 = 1;
    /// The rest of the frame's last line.
    pub const PAD: u128 = 2;
    pub const HEADER: u128 = 3;
}

/// Takes AXI4-Stream `s_*` with HOST_META and `queue_write`, `queue_reason`, `queue_ring`; gives the stream
/// `record` ([`record_beat`]).
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_packets");
    m.doc(
        "Frames for the host become records: the payload, padded to lines, then the header line.",
    );
    let bus = data_bits(g);
    let frame_data = m.input("s_tdata", bus);
    let keep = m.input("s_tkeep", g.bus_bytes);
    let frame = Stream::new("s", m.input("s_tvalid", 1), frame_data);
    m.output("s_tready", frame.ready());
    let frame_last = m.input("s_tlast", 1);
    let user = m.input_record("s_tuser", &record(&HOST_META), None);

    let state = m.reg("state", state::BITS, state::LOOK);
    let now = |s: u128| state.q().is(s);
    let to = |s: u128| m.lit(state::BITS, s);

    // Ring by reason.
    let write = m.input("queue_write", 1);
    let write_reason = m.input("queue_reason", REASON_BITS);
    let write_ring = m.input("queue_ring", QUEUE_BITS);
    let rings: Vec<_> = (0..1u32 << REASON_BITS)
        .map(|reason| {
            let ring = m.reg(&format!("ring_of_{reason}"), QUEUE_BITS, 0);
            ring.set_when(write & write_reason.is(reason.into()), write_ring);
            ring.q()
        })
        .collect();
    let ring = m.reg("ring", QUEUE_BITS, 0);
    let start = (now(state::LOOK) & frame.valid).named("start");
    ring.set_when(start, m.index(&rings, user.field("reason")));

    // Length, lines and sideband.
    let body = now(state::BODY).named("body");
    let taken = frame.fire().named("taken");
    let ended = (taken & frame_last).named("ended");
    let count = mux(
        keep.all(),
        m.lit(count_bits(g), g.bus_bytes.into()),
        (!keep).lowest_set().zext(count_bits(g)),
    );
    let length = m.reg_no_reset("length", 16);
    update(
        length,
        &[(start, length.lit(0)), (taken, length.q() + count.zext(16))],
    );
    let lines = m.reg_no_reset("lines", 8);
    let meta = m.reg_no_reset("meta", HOST_META.width());
    meta.set_when(taken, user);

    let heading = now(state::HEADER).named("heading");
    let padding = now(state::PAD).named("padding");
    let moved = m.wire("moved", 1);
    let (_, line_last) = line_ends(&m, "line_beat", g, moved.q() & !heading, m.lit(1, 0));
    let line_done = (moved.q() & !heading & line_last).named("line_done");
    update(
        lines,
        &[(start, lines.lit(0)), (line_done, lines.q() + lines.lit(1))],
    );
    let (kind_at, kind_bits) = TO_HOST.at("kind");
    debug_assert_eq!(kind_at, 0);
    let line = m.concat(&[
        meta.q().zext(LINE_BITS - META_AT),
        m.lit(32, 0),
        length.q(),
        lines.q(),
        m.lit(kind_bits, kind::PACKET.into()),
    ]);
    let (header, header_last) = beat_of_line(&m, "header_beat", g, line, moved.q() & heading);

    let beat = record_beat(g);
    let close = (line_last & ((body & frame_last) | padding)).named("close");
    let word = m.pack(
        &beat,
        &[
            ("data", mux(heading, header, frame_data.when(body))),
            ("ring", ring.q().zext(RING_BITS)),
            ("header", heading),
            ("close", close),
            ("last", heading & header_last),
        ],
    );
    let out = Stream::new("record", (body & frame.valid) | padding | heading, word);
    frame.accept(out.ready() & body);
    moved.drive(out.fire());
    update(
        state,
        &[
            (start, to(state::BODY)),
            (moved.q() & close, to(state::HEADER)),
            (ended, to(state::PAD)),
            (moved.q() & heading & header_last, to(state::LOOK)),
        ],
    );
    debug_assert_eq!(clog2(256), lines.width());
    m.stream_out("record", out);
    m.output("idle", now(state::LOOK) & !frame.valid);
    m.finish()
}
