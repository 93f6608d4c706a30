//! The packet moved to its front, 16 bytes a clock, on cards whose headers are some clocks apart.
//!
//! A packet may begin at any half-word, and all of it moved at once takes two choices of eight for each of its
//! bits. Here the window is in a memory, of which one row is read in each clock, and two rows hold the next 16 bytes. Who needs
//! a few bytes of them keeps them as they pass.

use seqnic_gen::{Module, RamSpec, RamStyle, Sig, clog2};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::wire::{VIEW_BYTES, WINDOW_BYTES};

use super::bytes::number;

/// Bytes which pass in a clock.
pub const BEAT_BYTES: u32 = 16;
/// Beats of a packet: as many as there are clocks between headers.
pub const BEATS: u32 = 8;
/// The stage of the place.
pub const WINDOW: u32 = 2;
/// The stage at which a packet's first beat passes.
pub const BEAT: u32 = 5;
/// Beats of [`Moved::head`].
const HEAD_BEATS: u32 = 3;
/// Bytes of [`Moved::head`]: an IPv6 header, and more.
pub const HEAD_BYTES: u32 = HEAD_BEATS * BEAT_BYTES;
/// The stage at which they have passed.
pub const HEAD: u32 = BEAT + HEAD_BEATS;

// Of the last beat so much is looked at that it lies in one row.
const _: () = assert!(VIEW_BYTES <= BEAT_BYTES * (BEATS - 1) + 2);

/// Bits of the number of a row of 16 bytes.
const ROW_BITS: u32 = 4;

pub struct Moved<'m> {
    /// At [`BEAT`] the first 16 bytes, in the [`BEATS`] - 1 clocks behind it the next ones.
    pub beat: Sig<'m>,
    /// At [`HEAD`] the first [`HEAD_BYTES`].
    pub head: Sig<'m>,
    /// The number in the two bytes in front of the packet; where it begins at an odd half-word, something else. One stage
    /// behind the first beat.
    pub ethertype: Sig<'m>,
}

/// The beats of a frame's window, which are kept as they come: while one frame's are read, the next one's come into the other
/// half of the memory.
pub struct Kept<'m> {
    write: Sig<'m>,
    row: Sig<'m>,
    data: Sig<'m>,
    /// Which half the frame has, at stage 0.
    half: Sig<'m>,
}

/// The ports of [`Kept`]: their names, bits, and stage.
pub fn ports(g: &Geometry) -> [(&'static str, u32, Option<u32>); 4] {
    [
        ("kept_write", 1, None),
        (
            "kept_row",
            clog2(WINDOW_BYTES.div_ceil(g.bus_bytes)) + 1,
            None,
        ),
        ("kept_data", g.bus_bytes * 8, None),
        ("half", 1, Some(0)),
    ]
}

/// Declares the inputs of a module which has them.
pub fn inputs<'m>(m: &'m Module, g: &Geometry) -> Kept<'m> {
    let [write, row, data, half] = ports(g).map(|(name, bits, stage)| match stage {
        None => m.input(name, bits),
        Some(stage) => m.input_at(name, bits, stage),
    });
    Kept {
        write,
        row,
        data,
        half,
    }
}

impl<'m> Kept<'m> {
    /// Connections to a child that has them too.
    pub fn connect(&self) -> [(&'static str, Sig<'m>); 4] {
        [
            ("kept_write", self.write),
            ("kept_row", self.row),
            ("kept_data", self.data),
            ("half", self.half),
        ]
    }

    /// The lowest or highest `bits` of 16 bytes of the frame whose half is `half`, of those that are chosen by `row` in the
    /// same clock.
    fn memory(&self, name: &str, low: bool, bits: u32, half: Sig<'m>, row: Sig<'m>) -> Sig<'m> {
        let m = self.data.module();
        let parts: Vec<Sig> = (self.data.chunks(BEAT_BYTES * 8).into_iter())
            .map(|beat| beat.slice(if low { 0 } else { BEAT_BYTES * 8 - bits }, bits))
            .rev()
            .collect();
        let data = m.concat(&parts);
        let within = clog2(data.width() / bits);
        let rows = 1 << self.row.width();
        let spec = RamSpec::new(rows, data.width())
            .latency(1)
            .style(RamStyle::Distributed);
        let memory = m.ram(name, spec);
        memory.write(self.write, self.row, data);
        let place = row.slice(within, self.row.width() - 1);
        let beat = memory.look(half.cat(place));
        match within {
            0 => beat,
            _ => m.index(&beat.chunks(bits), row.trunc(within)),
        }
    }
}

/// Moves the window that is `kept` to `place` in half-words, at [`WINDOW`]; `length` are the bytes of the frame in it, at stage 0.
pub fn in_turns<'m>(m: &'m Module, of: &Kept<'m>, length: Sig<'m>, place: Sig<'m>) -> Moved<'m> {
    let valid = m.spaced_valid();
    let at = |stage: u32| valid.delay(stage).unstaged();
    let kept = |name: &str, stage: u32, value: Sig<'m>| {
        let kept = m.reg_no_reset(name, value.width());
        kept.set_when(at(stage), value.to_stage(stage).unstaged());
        kept.q()
    };
    let half = kept("half_q", WINDOW, of.half);
    // Rows that hold bytes of the frame; in the others may be those of one before.
    let last = (length + length.lit(u128::from(BEAT_BYTES) - 1)).shr(BEAT_BYTES.ilog2());
    let count = kept("rows", WINDOW, last.trunc(ROW_BITS));
    let row = m.reg_no_reset("row", ROW_BITS);
    let first = place.slice(3, ROW_BITS).unstaged();
    row.set(at(WINDOW).mux(first, row.q() + row.q().lit(1)));
    let within = kept("shift_early", WINDOW, place.trunc(3));
    let within = kept("shift", BEAT - 1, within.at_stage(BEAT - 1));

    let bits = BEAT_BYTES * 8;
    let cleared = |name: &str, unless: Sig<'m>, value: Sig<'m>| {
        // Cleared by the register's own input, without a look-up table.
        let cleared = m.reg_no_reset(name, value.width());
        cleared.set(unless.mux(value, value.lit(0)));
        cleared.q()
    };
    let here = row.q().lt(count).named("row_is_here");
    let next = of.memory("kept", true, bits, half, row.q());
    let next = cleared("next_row", here, next);
    let this = next.reg().named("this_row");
    let both = next.cat(this);
    let places: Vec<Sig> = (0..8).map(|i| both.slice(16 * i, bits)).collect();
    let beat = m.index(&places, within).named("moved");

    // In front of a row is the end of the one before.
    let half_word = |of: Sig<'m>, n: u32| of.slice(16 * n, 16);
    let before = (row.q() - row.q().lit(1)).named("row_before");
    let end = of.memory("kept_ends", false, 16, half, before);
    let end = cleared("next_end", before.lt(count), end);
    let end = end.reg().named("end_of_row");
    let fronts = [
        end,
        half_word(this, 1),
        half_word(this, 3),
        half_word(this, 5),
    ];
    let front = kept(
        "front",
        BEAT,
        m.index(&fronts, within.slice(1, 2)).at_stage(BEAT),
    );

    let head: Vec<Sig> = (0..HEAD_BEATS)
        .map(|n| kept(&format!("head_{n}"), BEAT + n, beat.at_stage(BEAT + n)))
        .rev()
        .collect();
    Moved {
        beat: beat.at_stage(BEAT),
        head: m.concat(&head).at_stage(HEAD),
        ethertype: number(front, 0, 2).at_stage(BEAT + 1),
    }
}

const _: () = assert!(
    WINDOW_BYTES / BEAT_BYTES < 1 << ROW_BITS,
    "a number for each row, and one behind the last"
);
