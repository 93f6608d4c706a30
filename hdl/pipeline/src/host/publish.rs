//! Records into rings: module `host_publish`, the AXI4 write master.
//!
//! One record after the other: its lines go to the ring in bursts, then the header line to its start, and
//! when nothing more is waiting for that ring (or often enough) the status line, after every write
//! before it was answered. So whoever sees the index sees the record. The event for the interrupt comes when the
//! status line was answered.
//!
//! The status lines of the driver's rings go the same way, asked for by [`super::fetch`].

use super::{
    BURST_BITS, ERROR_BITS, RING_BITS, RINGS, config_is_sound, joined, line_address, line_beats,
    line_ends, record_beat, report, ring_config, ring_lines, update,
};
use crate::stream::data_bits;
use seqnic_gen::{Circuit, GenError, Module, Record, Reg, Sig, Stream, clog2, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{
    BURST_BYTES, INDEX_BITS, LONGEST_RECORD, RingError, STATUS, STATUS_EVERY, TO_HOST,
    TO_HOST_RINGS,
};

/// Bursts that may wait for the bus.
const BURSTS: u32 = 8;

/// What it is doing.
mod state {
    pub const BITS: u32 = 3;
    /// Looks for a record, or for a status line to write.
    pub const IDLE: u128 = 0;
    pub const WRITE: u128 = 1;
    pub const DROP: u128 = 2;
    /// Waits for the answers to the record's writes.
    pub const SETTLE: u128 = 3;
    pub const STATUS: u128 = 4;
    /// Waits for the answer to the status line.
    pub const CONFIRM: u128 = 5;
}

/// What is kept of each of the card's rings.
struct Ring<'m> {
    config: Sig<'m>,
    enable: Sig<'m>,
    running: Reg<'m>,
    started: Reg<'m>,
    error: Reg<'m>,
    producer: Reg<'m>,
    consumer: Reg<'m>,
    records: Reg<'m>,
    dropped: Reg<'m>,
    wanted: Reg<'m>,
    room: Sig<'m>,
}

/// Takes the stream `record` ([`record_beat`]), `enable` (a bit for each of the card's rings), `config_<r>`
/// ([`ring_config`]) of every ring, the doorbell, and of the driver's rings `report_<r>` ([`report`]) with
/// `wants_<r>`.
///
/// Gives AXI4 write channels (`aw_*`, `w_*`, `b_*`), `running`, `busy`, `errors`, `index_<r>`, `dropped_<r>`,
/// `failed_<r>`, `reporting_<r>` and `reported_<r>` (status line of a driver's ring: going on; values taken now),
/// `bus_error_<r>`, `answers_room`, and the event `event_valid`, `event_ring`, `event_index`, `event_records`.
///
/// # Errors
/// A bus narrower than the fields of a status line.
pub fn build(g: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_publish");
    m.doc("Records into rings in host memory, and status lines behind them: AXI4 write master.");
    if g.bus_bytes < 16 {
        m.refuse("bus_bytes", g.bus_bytes.into(), "at least 16 with a host");
    }
    let bus = data_bits(g);
    let beat = record_beat(g);
    let input = m
        .stream_in("record", beat.width())
        .map(|d| d.with_record(&beat));
    let enable = m.input("enable", TO_HOST_RINGS);
    let configs: Vec<Sig> = (0..RINGS)
        .map(|r| m.input_record(&format!("config_{r}"), &ring_config(), None))
        .collect();
    let rung = m.input("doorbell_valid", 1);
    let rung_ring = m.input("doorbell_ring", RING_BITS);
    let rung_index = m.input("doorbell_index", INDEX_BITS);

    let state = m.reg("state", state::BITS, state::IDLE);
    let now = |s: u128| state.q().is(s);
    let idle = now(state::IDLE).named("idle");
    // The ring that is worked for.
    let ring = m.reg("ring", RING_BITS, 0);
    let owed = m.reg("owed", clog2(STATUS_EVERY + 1), 0);

    // Transfers.
    let burst_record = Record::new("burst", [("address", 64), ("beats", BURST_BITS)]);
    let word_record = Record::new("word", [("data", bus), ("last", 1)]);
    let push_word = m.wire("push_word", 1);
    let word = m.wire("word", word_record.width());
    let push_burst = m.wire("push_burst", 1);
    let burst = m.wire("burst", burst_record.width());
    let words_in = Stream::new("words_in", push_word.q(), word.q());
    let bursts_in = Stream::new("bursts_in", push_burst.q(), burst.q());
    let (words, _) = words_in.fifo("words", (2 * BURST_BYTES / g.bus_bytes).max(16));
    let (bursts, _) = bursts_in.fifo("bursts", BURSTS);
    let may_push = (words_in.ready() & bursts_in.ready()).named("may_push");
    m.assert("burst_has_a_place", !push_burst.q() | bursts_in.ready());
    m.assert("word_has_a_place", !push_word.q() | words_in.ready());
    let bursts = bursts.map(|d| d.with_record(&burst_record));
    let words = words.map(|d| d.with_record(&word_record));
    bursts.accept(m.input("aw_ready", 1));
    words.accept(m.input("w_ready", 1));
    m.output("aw_valid", bursts.valid);
    m.output("aw_addr", bursts.field("address"));
    m.output("aw_len", bursts.field("beats"));
    m.output("w_valid", words.valid);
    m.output("w_data", words.field("data"));
    m.output("w_last", words.field("last"));
    m.output("b_ready", m.lit(1, 1));
    let inflight = m.reg("inflight", clog2(BURSTS + 64), 0);
    // An answer to nothing is not counted: a bridge gone mad must not make the count run backwards.
    let answered = (m.input("b_valid", 1) & inflight.any()).named("answered");
    let refused =
        (answered & (m.input("b_resp", 2).any() | m.input("b_id", 1).any())).named("refused");
    let width = inflight.width();
    inflight.set(inflight.q() + push_burst.q().zext(width) - answered.zext(width));
    // As many as the queue holds and a few more: beyond that, bursts wait.
    let calm = inflight
        .q()
        .lt(inflight.lit(u128::from(BURSTS + 32)))
        .named("calm");
    let quiet = (!inflight.any()).named("quiet");
    let bus_error = m.reg("bus_error", 1, 0);

    // A record's beats.
    let header = input.field("header");
    let writing = now(state::WRITE).named("writing");
    let take = (input.valid & writing & may_push & calm).named("take");
    let dropping = now(state::DROP).named("dropping");
    let drop = (input.valid & dropping).named("drop");
    input.accept((writing & may_push & calm) | dropping);
    let done = (take & input.field("last")).named("done");
    let dropped_one = (drop & input.field("last")).named("dropped_one");

    // Status line.
    let telling = (now(state::STATUS) & may_push).named("telling");
    let (line_first, line_last) = line_ends(&m, "line_beat", g, take | telling, m.lit(1, 0));
    let told = (telling & line_last).named("told");
    let confirmed = (now(state::CONFIRM) & quiet).named("confirmed");

    let is_ring = |r: u32| ring.q().is(r.into());
    let rings: Vec<Ring> = (0..TO_HOST_RINGS)
        .map(|r| {
            let reg = |what: &str, width, reset| m.reg(&format!("{what}_{r}"), width, reset);
            let config = configs[r as usize];
            let (producer, consumer) = (
                reg("producer", INDEX_BITS, 0),
                reg("consumer", INDEX_BITS, 0),
            );
            let used = (producer.q() - consumer.q()).named(&format!("used_{r}"));
            let longest = used + used.lit(LONGEST_RECORD.into());
            Ring {
                config,
                enable: enable.bit(r),
                running: reg("running", 1, 0),
                started: reg("started", 1, 0),
                error: reg("error", ERROR_BITS, 0),
                producer,
                consumer,
                records: reg("records", 32, 0),
                dropped: reg("dropped", 32, 0),
                wanted: reg("wanted", 1, 0),
                room: longest.le(ring_lines(config)).named(&format!("room_{r}")),
            }
        })
        .collect();
    // A value of the ring with that number, of the card's rings.
    macro_rules! of {
        ($index:expr, $r:ident => $value:expr) => {{
            let list: Vec<Sig> = rings.iter().map(|$r| $value).collect();
            m.index(&list, $index)
        }};
    }

    // What a driver's ring says, in the clock in which it is asked.
    let reports: Vec<(Sig, Sig)> = (TO_HOST_RINGS..RINGS)
        .map(|r| {
            let says = m.input_record(&format!("report_{r}"), &report(), None);
            (m.input(&format!("wants_{r}"), 1), says)
        })
        .collect();
    let mut says: Vec<Sig> = rings
        .iter()
        .map(|r| {
            m.pack(
                &report(),
                &[
                    ("index", r.producer.q()),
                    ("records", r.records.q()),
                    ("dropped", r.dropped.q()),
                    ("error", r.error.q()),
                ],
            )
        })
        .collect();
    says.extend(reports.iter().map(|r| r.1));
    let says = m
        .index(&says, ring.q())
        .with_record(&report())
        .named("says");

    // What the bus refused is not told: no status line says so.
    let failed =
        (bus_error.q() & quiet & (now(state::SETTLE) | now(state::CONFIRM))).named("failed");
    bus_error.set((bus_error.q() | refused) & !failed);

    // The next thing to do.
    let next_ring = input.field("ring");
    let fits = of!(next_ring, r => r.running.q() & r.room).named("fits");
    let goes_on =
        input.valid & next_ring.eq(ring.q()) & fits & owed.q().lt(owed.lit(STATUS_EVERY.into()));
    let settle_owed = (idle & owed.q().any() & !goes_on).named("settle_owed");
    let free = (idle & !settle_owed).named("free");
    let mut wants: Vec<Sig> = rings.iter().map(|r| r.wanted.q()).collect();
    wants.extend(reports.iter().map(|r| r.0));
    let wants: Vec<Sig> = wants.into_iter().rev().collect();
    let wants = m.concat(&wants);
    // A record that goes on with the same ring goes first; else status lines do.
    let serve = (free & wants.any() & !owed.q().any()).named("serve");
    let start = (free & !serve & input.valid).named("start");
    let start_write = (start & fits).named("start_write");
    update(ring, &[(serve, wants.lowest_set()), (start, next_ring)]);
    let to = |s: u128| m.lit(state::BITS, s);
    update(
        state,
        &[
            (settle_owed | serve, to(state::SETTLE)),
            (start_write, to(state::WRITE)),
            (start, to(state::DROP)),
            (done | dropped_one | confirmed | failed, to(state::IDLE)),
            (now(state::SETTLE) & quiet, to(state::STATUS)),
            (told, to(state::CONFIRM)),
        ],
    );
    update(
        owed,
        &[(done, owed.q() + owed.lit(1)), (told | failed, owed.lit(0))],
    );

    // Bursts of a record: from `burst_line` on, `burst_beats` so far; the beat is of line `line`.
    let line = m.reg_no_reset("line", INDEX_BITS);
    let burst_line = m.reg_no_reset("burst_line", INDEX_BITS);
    let burst_beats = m.reg("burst_beats", BURST_BITS, 0);
    let behind = m.reg_no_reset("behind", INDEX_BITS);
    let producer = of!(ring.q(), r => r.producer.q()).named("producer");
    let next_producer = of!(next_ring, r => r.producer.q());
    let one = m.lit(INDEX_BITS, 1);
    let per_burst = BURST_BYTES / seqnic_spec::host::rings::LINE_BYTES;
    let at_border = line.q().trunc(clog2(per_burst)).all();
    let close = (take & line_last & (at_border | input.field("close") | input.field("last")))
        .named("close");
    let payload_done = (take & input.field("close")).named("payload_done");
    let begin = mux(header, next_producer, next_producer + one);
    update(
        line,
        &[
            (start, begin),
            (payload_done, producer),
            (take & line_last, line.q() + one),
        ],
    );
    update(
        burst_line,
        &[
            (start, begin),
            (payload_done, producer),
            (close, line.q() + one),
        ],
    );
    update(
        behind,
        &[(start, next_producer + one), (payload_done, line.q() + one)],
    );
    update(
        burst_beats,
        &[
            (close | start, burst_beats.lit(0)),
            (take, burst_beats.q() + burst_beats.lit(1)),
        ],
    );
    let config = m
        .index(&configs, ring.q())
        .with_record(&ring_config())
        .named("memory");
    let address = line_address(config.field("base"), ring_lines(config), burst_line.q());
    push_burst.drive(close | told);
    burst.drive(mux(
        close,
        burst_beats.q().cat(address),
        m.lit(BURST_BITS, u128::from(line_beats(g)) - 1)
            .cat(config.field("status")),
    ));

    // The words: the number of the record is put into its header here.
    let count = of!(ring.q(), r => r.records.q() + r.dropped.q());
    let (at, bits) = TO_HOST.at("sequence");
    let data = input.field("data");
    let numbered = m.concat(&[
        data.slice(at + bits, bus - at - bits),
        count,
        data.trunc(at),
    ]);
    let data = mux(header & line_first, numbered, data);
    let fields: Vec<Sig> = STATUS
        .fields
        .iter()
        .rev()
        .map(|f| says.field(f.name).zext(f.width))
        .collect();
    let status = m.concat(&fields).zext(bus).when(line_first);
    push_word.drive(take | telling);
    word.drive(mux(take, close.cat(data), told.cat(status)));

    // Rings start, go on, stop.
    let mut running = vec![];
    let mut busy = vec![];
    for (i, r) in rings.iter().enumerate() {
        let number = i as u32;
        let this = is_ring(number).named(&format!("is_{i}"));
        let working = (this & (!idle | owed.q().any())).named(&format!("working_{i}"));
        let begin = (r.enable & !r.started.q() & !working).named(&format!("begin_{i}"));
        let sound = config_is_sound(r.config).named(&format!("sound_{i}"));
        let rings_here = rung & rung_ring.is(number.into()) & r.running.q();
        let seen = (rung_index - r.consumer.q()).le(r.producer.q() - r.consumer.q());
        let seen = seen.named(&format!("seen_{i}"));
        let wrong = (rings_here & !seen).named(&format!("wrong_{i}"));
        let broken = (this & failed).named(&format!("broken_{i}"));
        let error = |e: RingError| m.lit(ERROR_BITS, e as u128);
        update(r.started, &[(!r.enable, m.lit(1, 0)), (begin, m.lit(1, 1))]);
        update(
            r.running,
            &[(!r.enable | wrong | broken, m.lit(1, 0)), (begin, sound)],
        );
        update(
            r.error,
            &[
                (begin, error(RingError::Config).when(!sound)),
                (broken & !r.error.q().any(), error(RingError::Bus)),
                (wrong, error(RingError::Index)),
            ],
        );
        update(
            r.wanted,
            &[
                (!r.enable | (this & told), m.lit(1, 0)),
                (wrong, m.lit(1, 1)),
            ],
        );
        let finished = done & this;
        update(
            r.producer,
            &[(begin, r.producer.lit(0)), (finished, behind.q())],
        );
        update(
            r.consumer,
            &[(begin, r.consumer.lit(0)), (rings_here & seen, rung_index)],
        );
        update(
            r.records,
            &[
                (begin, r.records.lit(0)),
                (finished, r.records.q() + r.records.lit(1)),
            ],
        );
        update(
            r.dropped,
            &[
                (begin, r.dropped.lit(0)),
                (dropped_one & this, r.dropped.q() + r.dropped.lit(1)),
            ],
        );
        running.push(r.running.q());
        busy.push(r.running.q() | working | r.wanted.q());
        m.output(&format!("failed_{i}"), wrong | broken | (begin & !sound));
        m.output(&format!("error_{i}"), r.error.q());
        m.output(&format!("index_{i}"), r.producer.q());
        m.output(&format!("dropped_{i}"), r.dropped.q());
    }
    m.output("running", joined(&m, &running));
    m.output("busy", joined(&m, &busy));
    let answers = &rings[seqnic_spec::host::rings::Ring::Answers as usize];
    m.output("answers_room", !answers.running.q() | answers.room);
    for r in TO_HOST_RINGS..RINGS {
        m.output(&format!("reporting_{r}"), is_ring(r) & !idle);
        m.output(&format!("reported_{r}"), is_ring(r) & told);
        m.output(&format!("bus_error_{r}"), is_ring(r) & failed);
    }
    m.output(
        "idle",
        idle & quiet & !owed.q().any() & !input.valid & !wants.any(),
    );

    // What the interrupt is told: as the status line said.
    let told_index = m.reg_no_reset("told_index", INDEX_BITS);
    told_index.set_when(told, says.field("index"));
    let told_records = m.reg_no_reset("told_records", owed.width());
    told_records.set_when(told, owed.q());
    m.output("event_valid", confirmed & !failed);
    m.output("event_ring", ring.q());
    m.output("event_index", told_index.q());
    m.output("event_records", told_records.q());
    m.finish()
}
