//! Frames from the host: module `host_transmit`.
//!
//! A frame is stored whole before its first beat leaves: host memory may pause in the middle of it, a port and
//! the pipeline must not. One that its port does not take within [`PATIENCE`] clocks is dropped, so that a port
//! without link holds up nobody for long. (So `tvalid` may be taken back in front of the first beat; [`super::joiner`]
//! does not mind.)

use super::{fetch::LINES_BITS, line_ends, update};
use crate::stream::{count_bits, data_bits, kept};
use seqnic_gen::{Circuit, GenError, Module, Record, Sig, Stream, clog2, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{LINE_BYTES, TRANSMIT, mode};
use seqnic_spec::tables::width;
use seqnic_spec::wire::MAX_FRAME_BYTES;

/// Clocks a frame waits for its port.
pub const PATIENCE: u32 = 1 << 16;
/// Frames that may wait.
const FRAMES: u32 = 64;
/// Shortest frame: an Ethernet header.
const SHORTEST: u128 = 14;

mod state {
    pub const BITS: u32 = 2;
    pub const HEAD: u128 = 0;
    pub const BODY: u128 = 1;
    /// Rest of the last line.
    pub const PAD: u128 = 2;
    /// The ring was stopped inside of a frame: what is stored of it gets an end.
    pub const ABORT: u128 = 3;
}

/// Takes the stream `line` with `clear`; gives `consumed`, `consumed_lines`, `bad`, `drops`, `busy`, AXI4-Stream
/// for the pipeline (`in_*`, with `in_port`) and for each port (`p<i>_*`), `stored` (a frame waits).
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_transmit");
    m.doc("Frames from the host: stored whole, then out of a port or into the pipeline.");
    let bus = data_bits(g);
    let line = m.stream_in("line", bus);
    let clear = m.input("clear", 1);

    let state = m.reg("state", state::BITS, state::HEAD);
    let now = |s: u128| state.q().is(s);
    let to = |s: u128| m.lit(state::BITS, s);
    let (heading, body, padding) = (
        now(state::HEAD).named("heading"),
        now(state::BODY).named("body"),
        now(state::PAD).named("padding"),
    );
    let aborting = now(state::ABORT).named("aborting");

    // Storage: beats, and what becomes of each frame.
    let stored_beat = Record::new(
        "stored",
        [("data", bus), ("count", count_bits(g)), ("last", 1)],
    );
    let order = Record::new("order", [("mode", 1), ("port", width::PORT), ("drop", 1)]);
    let beats = (2 * g.beats(MAX_FRAME_BYTES)).next_power_of_two();
    let push_beat = m.wire("push_beat", 1);
    let new_beat = m.wire("new_beat", stored_beat.width());
    let push_order = m.wire("push_order", 1);
    let new_order = m.wire("new_order", order.width());
    let beats_in = Stream::new("beats_in", push_beat.q(), new_beat.q());
    let orders_in = Stream::new("orders_in", push_order.q(), new_order.q());
    let (stored, _) = beats_in.fifo("beats", beats);
    let (orders, waiting) = orders_in.fifo("orders", FRAMES);
    let stored = stored.map(|d| d.with_record(&stored_beat));
    let orders = orders.map(|d| d.with_record(&order));
    let place = (beats_in.ready() & orders_in.ready()).named("place");
    m.assert("order_has_a_place", !push_order.q() | orders_in.ready());

    // The header.
    line.accept(heading | padding | (body & place));
    let taken = line.fire().named("taken");
    let inside = m.wire("in_record", 1);
    let gone = (clear & inside.q()).named("gone");
    let (first, last) = line_ends(&m, "line_beat", g, taken, gone);
    inside.drive(!heading | !first);
    let header = Record::from(&TRANSMIT);
    let arrives = line.data.trunc(header.width()).with_record(&header);
    let head_now = (taken & heading & first).named("head_now");
    let says = arrives.field("length");
    let possible = says.any() & says.le(says.lit(MAX_FRAME_BYTES.into()));
    let bad = (head_now & !possible & !clear).named("bad_header");
    m.output("bad", bad);
    let unknown = m.or(&[
        says.lt(says.lit(SHORTEST)),
        arrives.field("mode").gt(m.lit(8, mode::IN.into())),
        arrives.field("port").ge(m.lit(8, g.ports.into())),
    ]);
    let what = m.reg_no_reset("what", order.width());
    let asked = m.pack(
        &order,
        &[
            ("mode", arrives.field("mode").bit(0)),
            ("port", arrives.field("port").trunc(width::PORT)),
            ("drop", unknown),
        ],
    );
    what.set_when(head_now, asked);
    let what = what.q().with_record(&order);

    // Beats of the frame.
    let left = m.reg_no_reset("left", 16);
    let ends = left.q().le(left.lit(g.bus_bytes.into())).named("ends");
    update(
        left,
        &[
            (head_now, says),
            (taken & body, left.q() - left.lit(g.bus_bytes.into())),
        ],
    );
    let lines = m.reg_no_reset("lines", LINES_BITS);
    update(
        lines,
        &[
            (head_now, lines.lit(1)),
            (taken & last & !heading, lines.q() + lines.lit(1)),
        ],
    );
    let frame_done = (taken & body & ends).named("frame_done");
    let record_done = (taken & last & ((body & ends) | padding)).named("record_done");
    let abort = (gone & body).named("abort");
    let aborted = (aborting & place).named("aborted");
    push_beat.drive((taken & body) | aborted);
    let full = m.lit(count_bits(g), g.bus_bytes.into());
    let count = mux(ends, left.q().trunc(count_bits(g)), full);
    new_beat.drive(m.pack(
        &stored_beat,
        &[
            ("data", line.data),
            ("count", count),
            ("last", ends | aborting),
        ],
    ));
    push_order.drive(frame_done | aborted);
    new_order.drive(mux(aborting, what.with_field("drop", m.lit(1, 1)), what));
    m.output("consumed", record_done);
    m.output("consumed_lines", lines.q() + lines.lit(1));
    update(
        state,
        &[
            (abort, to(state::ABORT)),
            (gone | aborted | bad, to(state::HEAD)),
            (taken & heading & last, to(state::BODY)),
            (record_done, to(state::HEAD)),
            (frame_done, to(state::PAD)),
        ],
    );
    m.output("busy", inside.q());
    const { assert!(1 + MAX_FRAME_BYTES / LINE_BYTES < 1 << LINES_BITS) };

    // What leaves: the oldest frame, when all of it is there.
    let begun = m.reg("begun", 1, 0);
    let waited = m.reg("waited", clog2(PATIENCE), 0);
    let lost = m.reg("lost", 1, 0);
    let throws = (orders.field("drop") | lost.q()).named("throws");
    let valid = (orders.valid & stored.valid & !throws).named("out_valid");
    let enters = (valid & orders.field("mode").is(mode::IN.into())).named("enters");
    let leaves = (valid & orders.field("mode").is(mode::OUT.into())).named("leaves");
    let in_ready = m.input("in_tready", 1);
    let keep = kept(stored.field("count"), g.bus_bytes);
    let beat = |name: &str, valid: Sig| {
        m.output(&format!("{name}_tdata"), stored.field("data"));
        m.output(&format!("{name}_tkeep"), keep);
        m.output(&format!("{name}_tlast"), stored.field("last"));
        m.output(&format!("{name}_tvalid"), valid);
    };
    beat("in", enters);
    m.output("in_port", orders.field("port"));
    let mut taken_by = vec![enters & in_ready];
    for p in 0..g.ports {
        let mine = (leaves & orders.field("port").is(p.into())).named(&format!("leaves_{p}"));
        taken_by.push(mine & m.input(&format!("p{p}_tready"), 1));
        beat(&format!("p{p}"), mine);
    }
    let goes = m.or(&taken_by).named("goes");
    let thrown = (orders.valid & stored.valid & throws).named("thrown");
    stored.accept(goes | thrown);
    let over = (stored.fire() & stored.field("last")).named("over");
    orders.accept(over);
    update(begun, &[(over, m.lit(1, 0)), (goes, m.lit(1, 1))]);
    // Once its first beat was taken a frame goes on to its end, however long that takes.
    let impatient = (leaves & !begun.q() & waited.q().all() & !goes).named("impatient");
    update(
        waited,
        &[
            (goes | over | impatient, waited.lit(0)),
            (leaves & !begun.q(), waited.q() + waited.lit(1)),
        ],
    );
    update(lost, &[(over, m.lit(1, 0)), (impatient, m.lit(1, 1))]);
    let drops = m.reg("drops", 32, 0);
    let dropped = (over & throws).named("dropped");
    update(
        drops,
        &[
            (m.input("restart", 1), drops.lit(0)),
            (dropped, drops.q() + drops.lit(1)),
        ],
    );
    m.output("drops", drops.q());
    m.output("stored", waiting.any());
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::testbench::{built, small};
    use seqnic_gen::{Bits, Sim};
    use seqnic_spec::host::rings::{lines, write};

    /// Offers the lines of a frame's record, as many clocks as that takes.
    fn offer(
        sim: &mut Sim,
        bus: usize,
        way: u32,
        port: u32,
        frame: &[u8],
        clocks: &mut dyn FnMut(&mut Sim),
    ) {
        let mut record = vec![0; 64 * (1 + lines(frame.len() as u32)) as usize];
        for (name, value) in [
            ("length", frame.len() as u32),
            ("mode", way),
            ("port", port),
        ] {
            write(&mut record, &TRANSMIT, 0, name, value.into());
        }
        record[64..64 + frame.len()].copy_from_slice(frame);
        for beat in record.chunks(bus) {
            sim.set("line_valid", 1);
            sim.set_bits("line_data", &Bits::from_bytes_le(beat));
            while sim.get("line_ready") == 0 {
                clocks(sim);
            }
            clocks(sim);
        }
        sim.set("line_valid", 0);
    }

    #[test]
    fn a_port_that_takes_nothing_loses_its_frame_and_holds_up_no_other() {
        let g = small(16);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        sim.set("p1_tready", 1);
        let (mut first, mut taken, mut clock) = (None, 0, 0);
        let mut step = |sim: &mut Sim| {
            clock += 1;
            if sim.get("p1_tvalid") == 1 {
                first.get_or_insert(clock);
                taken += 1;
            }
            assert_eq!(sim.get("in_tvalid"), 0);
            sim.step();
        };
        offer(&mut sim, 16, mode::OUT, 0, &[1; 100], &mut step);
        offer(&mut sim, 16, mode::OUT, 1, &[2; 40], &mut step);
        for _ in 0..PATIENCE + 200 {
            step(&mut sim);
        }
        assert_eq!(taken, 3, "beats of the other port's frame");
        assert!(first.unwrap() > PATIENCE);
        assert_eq!(sim.get("drops"), 1);
        assert_eq!(sim.get("stored"), 0);
    }

    #[test]
    fn nothing_of_a_frame_leaves_before_all_of_it_is_there() {
        let g = small(16);
        let mut sim = Sim::new(&built(build(&g)));
        sim.reset();
        sim.set("in_tready", 1);
        sim.set("p0_tready", 1);
        // A beat every 50 clocks: once the frame begins to leave it does so without a pause.
        let mut leaving = vec![];
        let mut step = |sim: &mut Sim| {
            for _ in 0..50 {
                leaving.push(sim.get("p0_tvalid") + sim.get("in_tvalid"));
                let (valid, ready) = (sim.get("line_valid"), sim.get("line_ready"));
                sim.step();
                if valid == 1 && ready == 1 {
                    sim.set("line_valid", 0);
                }
            }
            sim.set("line_valid", 1);
        };
        offer(&mut sim, 16, mode::OUT, 0, &[3; 1000], &mut step);
        sim.set("line_valid", 0);
        step(&mut sim);
        let beats: u64 = leaving.iter().sum();
        assert_eq!(beats, 63);
        let from = leaving.iter().position(|v| *v == 1).unwrap();
        assert!(
            leaving[from..from + 63].iter().all(|v| *v == 1),
            "no pause inside"
        );
    }
}
