//! Which vector is sent when: module `host_interrupts`.
//!
//! A vector fires once when it is armed, enabled and has something pending, as soon as enough is pending or the
//! oldest is old enough. What was published before the doorbell that arms fires at once.

use super::{RING_BITS, RINGS, joined, update};
use seqnic_gen::{Circuit, GenError, Module, Sig, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{ERROR_VECTOR, INDEX_BITS, Ring, VECTORS};

/// Bits of `records` of an event.
pub const RECORDS_BITS: u32 = 5;
const TIME_BITS: u32 = 24;
const COUNT_BITS: u32 = 8;

/// Takes `now` (ns), `clear` (all is disarmed), `enable` (a bit a vector), `time_<r>`, `count_<r>`, the doorbell with
/// `doorbell_arm`, the event of [`super::publish`], `running` (a bit a ring: what does not run has nothing
/// pending), `errors` (pending) and `error_event` (one more).
///
/// Gives `irq_valid`, `irq_vector` (to `irq_ready`), `pending` (a bit a vector), `timing` (a vector will fire by
/// time alone).
///
/// # Errors
/// None.
pub fn build(_: &Geometry) -> Result<Circuit, Vec<GenError>> {
    let m = Module::new("host_interrupts");
    m.doc("Interrupt vectors: armed by doorbells, moderated by count and time.");
    let now = m.input("now", 64).trunc(TIME_BITS + 8);
    let clear = m.input("clear", 1);
    let enable = m.input("enable", VECTORS);
    let running = m.input("running", RINGS);
    let rung = m.input("doorbell_valid", 1);
    let rung_ring = m.input("doorbell_ring", RING_BITS);
    let rung_index = m.input("doorbell_index", INDEX_BITS);
    let rung_arm = m.input("doorbell_arm", 1);
    let event = m.input("event_valid", 1);
    let event_ring = m.input("event_ring", RING_BITS);
    let event_index = m.input("event_index", INDEX_BITS);
    let event_records = m.input("event_records", RECORDS_BITS);

    let sending = m.reg("sending", 1, 0);
    let vector = m.reg_no_reset("vector", RING_BITS);
    let sent = (sending.q() & m.input("irq_ready", 1)).named("sent");
    let free = (!sending.q()).named("free");
    let (mut fires, mut pendings, mut timing, mut chosen) = (vec![], vec![], vec![], vec![]);
    for ring in Ring::ALL {
        let r = ring as u32;
        let name = |what: &str| format!("{what}_{r}");
        let bit = |what: &str| m.reg(&name(what), 1, 0);
        let runs = running.bit(r);
        let seen = m.reg(&name("seen"), INDEX_BITS, 0);
        let told = m.reg(&name("told"), INDEX_BITS, 0);
        let (armed, at_once) = (bit("armed"), bit("at_once"));
        let counted = m.reg(&name("counted"), COUNT_BITS, 0);
        let since = m.reg_no_reset(&name("since"), now.width());
        let time = m.input(&name("time"), TIME_BITS);
        let count = m.input(&name("count"), COUNT_BITS);

        let happens = (event & event_ring.is(r.into())).named(&name("happens"));
        let rings = (rung & rung_ring.is(r.into()) & runs).named(&name("rings"));
        update(told, &[(!runs, told.lit(0)), (happens, event_index)]);
        let told_now = mux(happens, event_index, told.q());
        update(seen, &[(!runs, seen.lit(0)), (rings, rung_index)]);
        // A driver's ring is pending when all was consumed; that is told once and not waited with.
        let pending = match ring.to_host() {
            true => told.q().ne(seen.q()),
            false => told.q().eq(seen.q()),
        };
        let pending = (pending & runs).named(&name("pending"));
        let early = match ring.to_host() {
            true => told_now.ne(rung_index),
            false => m.lit(1, 1),
        };
        update(at_once, &[(!runs, m.lit(1, 0)), (rings, early)]);
        let sum = counted.q().add_carry(event_records.zext(COUNT_BITS));
        let sum = mux(
            sum.msb(),
            counted.lit((1 << COUNT_BITS) - 1),
            sum.trunc(COUNT_BITS),
        );
        update(counted, &[(!runs | rings, counted.lit(0)), (happens, sum)]);
        // The first record behind the doorbell starts the clock.
        since.set_when(happens & !counted.any(), now);
        let old = (now - since.q()).ge(time.zext(now.width()));
        let many = count.any() & counted.q().ge(count);
        let ripe = (at_once.q() | many | (counted.any() & old)).named(&name("ripe"));
        let may = (armed.q() & enable.bit(r) & pending).named(&name("may"));
        let fire = (may & ripe).named(&name("fire"));
        let choose = m.wire(&name("choose"), 1);
        chosen.push(choose);
        update(
            armed,
            &[
                (clear | !runs, m.lit(1, 0)),
                (rings & rung_arm, m.lit(1, 1)),
                (choose.q(), m.lit(1, 0)),
            ],
        );
        fires.push(fire);
        pendings.push(pending);
        timing.push(may & !ripe);
    }

    // Errors need no doorbell: each new one fires.
    let errors = m.input("errors", 1);
    let fresh = m.reg("fresh_error", 1, 0);
    let choose = m.wire("choose_error", 1);
    update(
        fresh,
        &[
            (m.input("error_event", 1), m.lit(1, 1)),
            (clear | choose.q() | !errors, m.lit(1, 0)),
        ],
    );
    fires.push((fresh.q() & errors & enable.bit(ERROR_VECTOR)).named("fire_error"));
    chosen.push(choose);
    pendings.push(errors);

    let all = joined(&m, &fires).named("fires");
    let pick = all.lowest_set().named("pick");
    let goes = (free & all.any()).named("goes");
    for (i, choose) in chosen.iter().enumerate() {
        choose.drive(goes & pick.is(i as u128));
    }
    update(sending, &[(goes, m.lit(1, 1)), (sent, m.lit(1, 0))]);
    vector.set_when(goes, pick);
    m.output("irq_valid", sending.q());
    m.output("irq_vector", vector.q());
    m.output("pending", joined(&m, &pendings));
    let timing: Vec<Sig> = timing;
    m.output("timing", m.or(&timing) | sending.q() | all.any());
    m.finish()
}
