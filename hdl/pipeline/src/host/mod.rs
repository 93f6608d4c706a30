//! The host's side of the card: registers, rings, interrupts around [`crate::top`].
//!
//! What they mean is said in [`seqnic_spec::host`]. One file, one Verilog module, one set of tests each:
//!
//! | unit | what it does |
//! | --- | --- |
//! | [`registers`] | AXI4-Lite slave: BAR 0 |
//! | [`packets`] | frames for the host become records, with their ring by reason |
//! | [`answers`] | rows that were read and items of a snapshot become records |
//! | [`publish`] | records into rings, status lines: AXI4 write master |
//! | [`fetch`] | lines of a driver's ring: AXI4 read master |
//! | [`commands`] | lines of `commands` become rows written and read; the window, too |
//! | [`transmit`] | lines of `transmit` become frames, stored whole before they leave |
//! | [`joiner`] | frames of the pipeline and of the host, out of one port |
//! | [`interrupts`] | which vector is sent when |
//! | [`card`] | all of it: module `seqnic_card` |
//!
//! Inside a record every line is whole: bytes behind the payload are there, with any value.

pub mod answers;
pub mod card;
pub mod commands;
pub mod fetch;
pub mod interrupts;
pub mod joiner;
pub mod packets;
pub mod publish;
pub mod registers;
pub mod transmit;

use crate::stream::data_bits;
use seqnic_gen::{Module, Record, Reg, Sig, Stream, clog2, mux};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::rings::{INDEX_BITS, LINE_BYTES, Ring, SIZE_LOG2};

/// Bits of a ring's number.
pub const RING_BITS: u32 = 3;
/// Bits of `log2` of a ring's lines.
pub const LOG2_BITS: u32 = 5;
/// Bits of a ring's error code.
pub const ERROR_BITS: u32 = 3;
/// Rings.
pub const RINGS: u32 = Ring::ALL.len() as u32;
/// Bits of the number of beats in a burst, less one.
pub const BURST_BITS: u32 = 8;

/// Beats of a line.
pub fn line_beats(g: &Geometry) -> u32 {
    LINE_BYTES / g.bus_bytes
}

/// What the driver says of a ring's memory.
pub fn ring_config() -> Record {
    Record::new(
        "ring_config",
        [("base", 64), ("status", 64), ("log2", LOG2_BITS)],
    )
}

/// One beat of a record on its way into a ring: payload first, then the header line.
pub fn record_beat(g: &Geometry) -> Record {
    Record::new(
        "record_beat",
        [
            ("data", data_bits(g)),
            ("ring", RING_BITS),
            // Of the header line.
            ("header", 1),
            // Last beat of the payload's last line.
            ("close", 1),
            // Last beat of the header line: the end of the record.
            ("last", 1),
        ],
    )
}

/// What a driver's ring says in its status line.
pub fn report() -> Record {
    Record::new(
        "report",
        [
            ("index", INDEX_BITS),
            ("records", 32),
            ("dropped", 32),
            ("error", ERROR_BITS),
        ],
    )
}

/// Whether a ring can be started with what the driver says.
fn config_is_sound<'m>(config: Sig<'m>) -> Sig<'m> {
    let m = config.module();
    let log2 = config.field("log2");
    let sized = log2.ge(log2.lit((*SIZE_LOG2.start()).into()))
        & log2.le(log2.lit((*SIZE_LOG2.end()).into()));
    m.and(&[
        !config.field("base").trunc(12).any(),
        !config.field("status").trunc(6).any(),
        sized,
    ])
}

/// Lines of a ring, as an index.
fn ring_lines(config: Sig<'_>) -> Sig<'_> {
    let m = config.module();
    m.lit(INDEX_BITS, 1).shl_by(config.field("log2"))
}

/// Address of the line with that index.
fn line_address<'m>(base: Sig<'m>, lines: Sig<'m>, index: Sig<'m>) -> Sig<'m> {
    let m = base.module();
    let place = index & (lines - lines.lit(1));
    base + place.cat(m.lit(6, 0)).zext(64)
}

/// Lets a register change to the value of the first condition that holds.
#[track_caller]
fn update<'m>(reg: Reg<'m>, changes: &[(Sig<'m>, Sig<'m>)]) {
    let m: &'m Module = reg.q().module();
    reg.set(m.priority(changes, reg.q()));
}

/// Counts the beats of lines: whether the beat that moves with `fire` is a line's first, and its last.
/// `clear` starts a new line.
fn line_ends<'m>(
    m: &'m Module,
    name: &str,
    g: &Geometry,
    fire: Sig<'m>,
    clear: Sig<'m>,
) -> (Sig<'m>, Sig<'m>) {
    match line_beats(g) {
        1 => (m.lit(1, 1), m.lit(1, 1)),
        beats => {
            let at = m.reg(name, clog2(beats), 0);
            update(at, &[(clear, at.lit(0)), (fire, at.q() + at.lit(1))]);
            (!at.any(), at.all())
        }
    }
}

/// The beat of a line that moves, counted as [`line_ends`] counts them.
fn beat_of_line<'m>(
    m: &'m Module,
    name: &str,
    g: &Geometry,
    line: Sig<'m>,
    fire: Sig<'m>,
) -> (Sig<'m>, Sig<'m>) {
    match line_beats(g) {
        1 => (line, m.lit(1, 1)),
        beats => {
            let at = m.reg(name, clog2(beats), 0);
            at.set_when(fire, at.q() + at.lit(1));
            (m.index(&line.chunks(data_bits(g)), at.q()), at.all())
        }
    }
}

/// One-bit values side by side, the first lowest.
fn joined<'m>(m: &'m Module, bits: &[Sig<'m>]) -> Sig<'m> {
    let reversed: Vec<Sig> = bits.iter().rev().copied().collect();
    m.concat(&reversed)
}

/// Frames (or records) of two streams, whole, by turns. `last` says which word ends one. `offered`: a word that
/// was offered stays; otherwise only what was begun does, and a stream may take back its first word.
fn by_turns<'m>(
    m: &'m Module,
    name: &str,
    a: Stream<'m>,
    b: Stream<'m>,
    offered: bool,
    last: impl Fn(Sig<'m>) -> Sig<'m>,
) -> Stream<'m> {
    let reg = |what: &str| m.reg(&format!("{name}_{what}"), 1, 0);
    // `held`: the choice must not change.
    let (held, owner) = (reg("held"), reg("owner"));
    let choice = mux(held.q(), owner.q(), b.valid & (!a.valid | !owner.q()))
        .named(&format!("{name}_choice"));
    let record = a.data.record();
    let data = mux(choice, b.data, a.data);
    let data = match record {
        Some(record) => data.with_record(&record),
        None => data,
    };
    let out = Stream::new(name, mux(choice, b.valid, a.valid), data);
    a.accept(out.ready() & !choice);
    b.accept(out.ready() & choice);
    let moves = match offered {
        true => out.valid,
        false => out.fire(),
    };
    held.set_when(moves, !(out.fire() & last(out.data)));
    owner.set_when(moves, choice);
    out
}
