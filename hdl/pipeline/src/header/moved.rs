//! The packet moved to its front, 16 bytes a clock, on cards whose headers are some clocks apart.
//!
//! A packet may begin at any half-word, and all of it moved at once takes two choices of eight for each of its
//! bits. Here one row of the window is chosen in each clock, and what two rows hold of the next 16 bytes. Who needs
//! a few bytes of them keeps them as they pass.

use seqnic_gen::{Module, Sig};
use seqnic_spec::wire::{VIEW_BYTES, WINDOW_BYTES};

use super::bytes::number;

/// Bytes which pass in a clock.
pub const BEAT_BYTES: u32 = 16;
/// Beats of a packet: as many as there are clocks between headers.
pub const BEATS: u32 = 8;
/// The stage of the window, and of the place.
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

pub struct Moved<'m> {
    /// At [`BEAT`] the first 16 bytes, in the [`BEATS`] - 1 clocks behind it the next ones.
    pub beat: Sig<'m>,
    /// At [`HEAD`] the first [`HEAD_BYTES`].
    pub head: Sig<'m>,
    /// The number in the two bytes in front of the packet; where it begins at an odd half-word, something else. One stage
    /// behind the first beat.
    pub ethertype: Sig<'m>,
}

/// Moves the `window` to `place` in half-words, both at [`WINDOW`].
pub fn in_turns<'m>(m: &'m Module, window: Sig<'m>, place: Sig<'m>) -> Moved<'m> {
    let valid = m.spaced_valid();
    let at = |stage: u32| valid.delay(stage).unstaged();
    let kept = |name: &str, stage: u32, value: Sig<'m>| {
        let kept = m.reg_no_reset(name, value.width());
        kept.set_when(at(stage), value.unstaged());
        kept.q()
    };
    let window = kept("window_q", WINDOW, window);
    let row = m.reg_no_reset("row", 4);
    row.set(at(WINDOW).mux(place.slice(3, 4).unstaged(), row.q() + row.q().lit(1)));
    let within = kept("shift_early", WINDOW, place.trunc(3));
    let within = kept("shift", BEAT - 1, within);

    let bits = BEAT_BYTES * 8;
    let filled = |mut rows: Vec<Sig<'m>>, width: u32| {
        rows.resize(16, m.lit(width, 0));
        rows
    };
    let rows = filled(window.chunks(bits), bits);
    let next = m.index(&rows, row.q()).reg().named("next_row");
    let this = next.reg().named("this_row");
    let both = next.cat(this);
    let places: Vec<Sig> = (0..8).map(|i| both.slice(16 * i, bits)).collect();
    let beat = m.index(&places, within).named("moved");

    // In front of a row is the end of the one before.
    let half = |of: Sig<'m>, n: u32| of.slice(16 * n, 16);
    let ends = window.chunks(bits).into_iter().map(|row| half(row, 7));
    let ends = filled([m.lit(16, 0)].into_iter().chain(ends).collect(), 16);
    let end = m.index(&ends, row.q()).reg().reg().named("end_of_row");
    let fronts = [end, half(this, 1), half(this, 3), half(this, 5)];
    let front = kept("front", BEAT, m.index(&fronts, within.slice(1, 2)));

    let head: Vec<Sig> = (0..HEAD_BEATS)
        .map(|n| kept(&format!("head_{n}"), BEAT + n, beat))
        .rev()
        .collect();
    Moved {
        beat: beat.at_stage(BEAT),
        head: m.concat(&head).at_stage(HEAD),
        ethertype: number(front, 0, 2).at_stage(BEAT + 1),
    }
}

const _: () = assert!(
    WINDOW_BYTES / BEAT_BYTES < 16,
    "a row's number has four bits"
);
