//! Rows written and read for the host: module `host_commands`.
//!
//! Commands come two lines each from their ring, in order; single ones from the registers' window. One read is
//! under way at most, so its answer needs no name.

use super::{answers::answer, line_beats, line_ends, update};
use crate::stream::data_bits;
use crate::tables::{ROW_BITS, TABLE_BITS};
use seqnic_gen::{Circuit, GenError, Module, Record, Stream, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{COMMAND, LINE_BITS, op};

/// One command of the window, as the registers hold it.
pub fn window() -> Record {
    Record::new("window", [("row", 24), ("table", 8), ("data", LINE_BITS)])
}

mod state {
    pub const BITS: u32 = 3;
    pub const HEAD: u128 = 0;
    pub const DATA: u128 = 1;
    pub const RUN: u128 = 2;
    pub const WAIT: u128 = 3;
    pub const ANSWER: u128 = 4;
}

/// Takes the stream `line` with `clear`, the window (`window_write`, `window_read`, `window`), and `cfg_rvalid`,
/// `cfg_rdata`; gives `cfg_write`, `cfg_read`, `cfg_table`, `cfg_row`, `cfg_wdata`, the stream `answer`
/// ([`answer`]), `consumed`, `bad`, `busy`, `window_busy`, `window_done` (a row was read) with `window_row`.
///
/// # Errors
/// A bus narrower than a command's header.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_commands");
    m.doc("Rows written and read for the host: commands from their ring, and the window.");
    if g.bus_bytes < 16 {
        m.refuse("bus_bytes", g.bus_bytes.into(), "at least 16 with a host");
    }
    let bus = data_bits(g);
    let line = m.stream_in("line", bus);
    let clear = m.input("clear", 1);
    let rvalid = m.input("cfg_rvalid", 1);
    let rdata = m.input("cfg_rdata", LINE_BITS);

    let state = m.reg("state", state::BITS, state::HEAD);
    let now = |s: u128| state.q().is(s);
    let to = |s: u128| m.lit(state::BITS, s);
    let (heading, filling) = (
        now(state::HEAD).named("heading"),
        now(state::DATA).named("filling"),
    );
    line.accept(heading | filling);
    let taken = line.fire().named("taken");
    let gone = (clear & (heading | filling)).named("gone");
    let (first, last) = line_ends(&m, "line_beat", g, taken, gone);

    // The header stands in the line's first beat.
    let header = Record::from(&COMMAND);
    let head = m.reg_no_reset("head", header.width());
    let arrives = line.data.trunc(header.width()).with_record(&header);
    let head_now = (taken & heading & first).named("head_now");
    head.set_when(head_now, arrives);
    let code = arrives.field("op");
    let known = code.is(op::WRITE.into()) | code.is(op::READ.into());
    let bad = (head_now & !known & !clear).named("bad_header");
    m.output("bad", bad);
    let head = head.q().with_record(&header);
    let data = m.reg_no_reset("data", LINE_BITS);
    let shifted = match line_beats(g) {
        1 => line.data,
        _ => line.data.cat(data.q().slice(bus, LINE_BITS - bus)),
    };

    // The window: one command waits here until the port is free.
    let window_in = m.input_record("window", &window(), None);
    let (window_write, window_read) = (m.input("window_write", 1), m.input("window_read", 1));
    let writes = m.reg("window_writes", 1, 0);
    let reads = m.reg("window_reads", 1, 0);
    let mine = m.reg("window_waits", 1, 0);
    let reading = m.reg("reading", 1, 0);
    let window_busy = (writes.q() | reads.q() | mine.q()).named("window_is_busy");
    let free = (!reading.q()).named("free");
    let window_goes = ((writes.q() | reads.q()) & free).named("window_goes");
    let goes = (now(state::RUN) & free & !writes.q() & !reads.q()).named("goes");

    // What there cannot be is written nowhere and reads 0, without asking.
    let row = mux(
        window_goes,
        window_in.field("row").zext(32),
        head.field("row"),
    )
    .named("row");
    let table =
        mux(window_goes, window_in.field("table"), head.field("table")).named("table_number");
    let there = (!row.slice(ROW_BITS, 32 - ROW_BITS).any() & !table.bit(TABLE_BITS)).named("there");
    let is_read =
        mux(window_goes, reads.q(), head.field("op").is(op::READ.into())).named("is_read");
    let any = (window_goes | goes).named("any");
    let read = (any & is_read & there).named("read");
    let nothing = (any & is_read & !there).named("nothing");
    m.output("cfg_write", any & !is_read & there);
    m.output("cfg_read", read);
    m.output("cfg_table", table.trunc(TABLE_BITS));
    m.output("cfg_row", row.trunc(ROW_BITS));
    m.output(
        "cfg_wdata",
        mux(window_goes, window_in.field("data"), data.q()),
    );
    let answered = (rvalid & reading.q()).named("answered");
    update(reading, &[(read, m.lit(1, 1)), (answered, m.lit(1, 0))]);

    let start = |asked| asked & !window_busy;
    update(
        writes,
        &[
            (start(window_write), m.lit(1, 1)),
            (window_goes, m.lit(1, 0)),
        ],
    );
    update(
        reads,
        &[
            (start(window_read & !window_write), m.lit(1, 1)),
            (window_goes, m.lit(1, 0)),
        ],
    );
    let for_window = (answered & mine.q()).named("for_window");
    update(
        mine,
        &[(window_goes & read, m.lit(1, 1)), (for_window, m.lit(1, 0))],
    );
    m.output("window_busy", window_busy);
    m.output("window_done", for_window | (nothing & window_goes));
    m.output("window_row", rdata.when(for_window));

    let for_command = (answered & !mine.q()).named("for_command");
    update(
        data,
        &[
            (taken & filling, shifted),
            (for_command, rdata),
            (nothing & goes, data.lit(0)),
        ],
    );
    let fields = [
        ("table", head.field("table")),
        ("row", head.field("row")),
        ("cookie", head.field("cookie")),
        ("data", data.q()),
    ];
    let out = Stream::new("answer", now(state::ANSWER), m.pack(&answer(), &fields));
    let written = (goes & !is_read).named("written");
    m.output("consumed", written | out.fire());
    update(
        state,
        &[
            (gone | bad, to(state::HEAD)),
            (taken & heading & last, to(state::DATA)),
            (taken & filling & last, to(state::RUN)),
            (written | out.fire(), to(state::HEAD)),
            (nothing & goes, to(state::ANSWER)),
            (read & goes, to(state::WAIT)),
            (for_command, to(state::ANSWER)),
        ],
    );
    m.output("busy", !heading | !first);
    m.output("port_busy", window_busy | reading.q());
    m.stream_out("answer", out);
    m.finish()
}
