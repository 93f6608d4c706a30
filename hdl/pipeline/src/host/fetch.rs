//! The lines of a driver's ring: modules `host_fetch_<ring>`, each with its share of the AXI4 read master.
//!
//! Lines between what was fetched and the driver's index are read as soon as there is a place for them.
//! A record is done when the unit behind says so; then its lines are the driver's again, and the
//! status line is asked for: when nothing is left to do, or often enough.

use super::{
    BURST_BITS, ERROR_BITS, config_is_sound, line_address, line_beats, report, ring_config,
    ring_lines, update,
};
use crate::stream::data_bits;
use seqnic_gen::{Circuit, GenError, Module, Stream, clog2, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{
    BURST_BYTES, INDEX_BITS, LINE_BYTES, Ring, RingError, STATUS_EVERY,
};

/// Bursts the queue has places for: what may be under way at once.
const BURSTS: u32 = 8;
/// Bits of the number of lines of a record.
pub const LINES_BITS: u32 = 8;

/// Takes `enable`, `memory` ([`ring_config`]), `doorbell` with `doorbell_index` (this ring's), AXI4 read channels
/// (`ar_*`, `r_*`), `consumed` with `consumed_lines` (a record is done), `bad` (its header cannot be),
/// `drops` (packets dropped so far), `behind_busy` (the unit behind is inside a record), and from
/// [`super::publish`] `reporting`, `reported`, `bus_error`.
///
/// Gives the stream `line` of beats, `clear` (the unit behind forgets a record it is inside of),
/// `running`, `busy`, `error`, `failed`, `index`, `wants` and `report` ([`report`]).
///
/// # Errors
/// None for a geometry that passes its check.
pub fn build(g: &Geometry, ring: Ring) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new(&format!("host_fetch_{}", ring.name()));
    m.doc("Lines of a ring the driver produces in: AXI4 read master, one ID.");
    let enable = m.input("enable", 1);
    let config = m.input_record("memory", &ring_config(), None);
    let rung = m.input("doorbell", 1);
    let rung_index = m.input("doorbell_index", INDEX_BITS);
    let bad = m.input("bad", 1);
    let bus_failed = m.input("bus_error", 1);

    let running = m.reg("running", 1, 0);
    let started = m.reg("started", 1, 0);
    let error = m.reg("error", ERROR_BITS, 0);
    let index = |name: &str| m.reg(name, INDEX_BITS, 0);
    let (tail, asked, consumer) = (index("tail"), index("asked"), index("consumer"));
    let runs = running.q();

    // Reads: at most to the next multiple of a burst, only what has a place.
    let beats = line_beats(g);
    let per_burst = BURST_BYTES / LINE_BYTES;
    let capacity = BURSTS * per_burst * beats;
    let count_bits = clog2(capacity + 1);
    let reserved = m.reg("reserved", count_bits, 0);
    let waiting = (tail.q() - asked.q()).named("waiting");
    let small = clog2(per_burst + 1);
    let to_border = (m.lit(small, per_burst.into()) - asked.q().trunc(small - 1).zext(small))
        .named("to_border");
    let fewer = waiting.lt(to_border.zext(INDEX_BITS));
    let lines = mux(fewer, waiting.trunc(small), to_border).named("lines");
    let fits = reserved
        .q()
        .le(reserved.lit(u128::from(capacity - per_burst * beats)));
    // The address is worked out in a register of its own; one request at a time waits there.
    let ask_valid = m.reg("ask_valid", 1, 0);
    let address = m.reg_no_reset("address", 64);
    let length = m.reg_no_reset("length", BURST_BITS);
    let ready = m.input("ar_ready", 1);
    let sent = (ask_valid.q() & ready).named("sent");
    let ask = (runs & waiting.any() & fits & !ask_valid.q()).named("ask");
    update(ask_valid, &[(ask, m.lit(1, 1)), (sent, m.lit(1, 0))]);
    address.set_when(
        ask,
        line_address(config.field("base"), ring_lines(config), asked.q()),
    );
    let wide = lines.zext(BURST_BITS);
    let asked_beats = wide.shl(beats.trailing_zeros()).named("asked_beats");
    length.set_when(ask, asked_beats - asked_beats.lit(1));
    m.output("ar_valid", ask_valid.q());
    m.output("ar_addr", address.q());
    m.output("ar_len", length.q());

    // Answers. Those to nothing are not taken in: a bridge gone mad must not fill the queue over.
    let expected = m.reg("expected", count_bits, 0);
    let came = (m.input("r_valid", 1) & expected.any()).named("came");
    m.output("r_ready", m.lit(1, 1));
    // The last beat of all that was asked for ends a burst.
    let torn = expected.q().is(1) & !m.input("r_last", 1);
    let refused = (came & (m.input("r_resp", 2).any() | torn)).named("refused");
    let queue_in = Stream::new("queue_in", came, m.input("r_data", data_bits(g)));
    m.assert("answer_has_a_place", !came | queue_in.ready());
    let (queue, _) = queue_in.fifo("queue", capacity);
    let more = asked_beats
        .zext(count_bits.max(BURST_BITS))
        .trunc(count_bits)
        .when(ask);
    expected.set(expected.q() + more - came.zext(count_bits));
    // While the ring does not run, what comes is thrown away.
    let line = Stream::new("line", queue.valid & runs, queue.data);
    queue.accept(line.ready() | !runs);
    let left = (queue.valid & (line.ready() | !runs)).named("left");
    reserved.set(reserved.q() + more - left.zext(count_bits));
    m.stream_out("line", line);
    m.output("clear", !runs);

    // Records that are done.
    let consumed = (m.input("consumed", 1) & runs).named("consumed_here");
    let consumed_lines = m.input("consumed_lines", LINES_BITS);
    let records = m.reg("records", 32, 0);
    let unreported = m.reg("unreported", clog2(STATUS_EVERY + 1) + 1, 0);
    let reported = m.input("reported", 1);
    let behind = m.input("behind_busy", 1);
    let reporting = m.input("reporting", 1);
    let inside = (ask_valid.q() | reserved.any() | behind | reporting).named("at_work");

    let begin = (enable & !started.q() & !inside).named("starts");
    let sound = config_is_sound(config).named("sound");
    let rings_here = (rung & runs).named("rings_here");
    let ahead = (rung_index - consumer.q()).named("ahead");
    let possible =
        (ahead.le(ring_lines(config)) & ahead.ge(tail.q() - consumer.q())).named("possible");
    let wrong = (rings_here & !possible).named("wrong");
    let broken = ((refused | bus_failed) & runs).named("broken");
    let stops = (wrong | broken | bad).named("stops");
    let code = |e: RingError| m.lit(ERROR_BITS, e as u128);
    update(started, &[(!enable, m.lit(1, 0)), (begin, m.lit(1, 1))]);
    update(running, &[(!enable | stops, m.lit(1, 0)), (begin, sound)]);
    update(
        error,
        &[
            (begin, code(RingError::Config).when(!sound)),
            (!runs, error.q()),
            (broken, code(RingError::Bus)),
            (bad, code(RingError::Record)),
            (wrong, code(RingError::Index)),
        ],
    );
    let zero = m.lit(INDEX_BITS, 0);
    update(tail, &[(begin, zero), (rings_here & possible, rung_index)]);
    update(
        asked,
        &[(begin, zero), (ask, asked.q() + lines.zext(INDEX_BITS))],
    );
    update(
        consumer,
        &[
            (begin, zero),
            (consumed, consumer.q() + consumed_lines.zext(INDEX_BITS)),
        ],
    );
    update(
        records,
        &[
            (begin, records.lit(0)),
            (consumed, records.q() + records.lit(1)),
        ],
    );

    // A status line: for records, or because the ring was stopped (not by the bus: it would fail again).
    let last_word = m.reg("last_word", 1, 0);
    update(
        last_word,
        &[
            (!enable | begin | reported, m.lit(1, 0)),
            ((wrong | bad) & !broken, m.lit(1, 1)),
        ],
    );
    update(
        unreported,
        &[
            (begin | !runs, unreported.lit(0)),
            (reported, consumed.zext(unreported.width())),
            (
                consumed & !unreported.msb(),
                unreported.q() + unreported.lit(1),
            ),
        ],
    );
    let all_done = consumer.q().eq(tail.q());
    let often = unreported.q().ge(unreported.lit(STATUS_EVERY.into()));
    // Only while it runs: a ring that was just stopped is not busy, and must write nothing any more.
    m.output(
        "wants",
        last_word.q() | (runs & unreported.any() & (all_done | often)),
    );
    m.output("restart", begin);
    m.output(
        "active",
        inside | last_word.q() | unreported.any() | (runs & waiting.any()),
    );
    m.output("running", runs);
    m.output("busy", runs | inside | last_word.q());
    m.output("error", error.q());
    m.output("failed", stops | (begin & !sound));
    m.output("index", consumer.q());
    m.output(
        "report",
        m.pack(
            &report(),
            &[
                ("index", consumer.q()),
                ("records", records.q()),
                ("dropped", m.input("drops", 32)),
                ("error", error.q()),
            ],
        ),
    );
    m.finish()
}
