//! Bytes of a copy beat by beat, where copies are some clocks apart and an edit stands still for all beats of its copy:
//! what is put into a beat is chosen as the beat leaves, and nothing is put together that a shift register would have
//! to keep.
//!
//! An edit is there from the clock before its copy's first slot to the one behind its last. So what depends on the edit
//! alone has a register of its own, which may be read up to two clocks behind each slot ([`Sig::reg`] of the edit).

use seqnic_gen::{Module, Sig};
use seqnic_spec::geometry::Geometry;

/// Bits of a place in half-words from a copy's or a packet's first byte: every byte that is made or edited is nearer.
const PLACE_BITS: u32 = 7;

/// Half-words of a beat.
pub fn lanes(g: &Geometry) -> u32 {
    g.bus_bytes / 2
}

/// Number of the beat of a slot: 0 where `first`, counted with `step`; the highest there is stays, as nothing is put there.
pub fn number<'m>(m: &'m Module, g: &Geometry, first: Sig<'m>, step: Sig<'m>) -> Sig<'m> {
    let next = m.reg_no_reset("next_number", PLACE_BITS - lanes(g).trailing_zeros());
    let here = first.mux(next.lit(0), next.q()).named("number");
    next.set_when(step, here + (!here.all()).zext(here.width()));
    here
}

/// For each half-word of the beat with that number, a clock later: is it at `place` (where `valid`)?
pub fn at<'m>(
    name: &str,
    g: &Geometry,
    number: Sig<'m>,
    place: Sig<'m>,
    valid: Sig<'m>,
) -> Sig<'m> {
    let m = number.module();
    let bits = lanes(g).trailing_zeros();
    let here = valid & place.shr(bits).trunc(number.width()).eq(number);
    let within = place.trunc(bits);
    let each: Vec<_> = (0..lanes(g))
        .rev()
        .map(|lane| here & within.is(lane.into()))
        .collect();
    m.concat(&each).named(name).reg()
}

/// What stands at half-word `place` of a copy, of several kinds the one that is (bytes, byte 0 lowest), in the
/// beat with that number, two clocks later. Places are odd: a header behind an EtherType.
pub fn placed<'m>(
    name: &str,
    g: &Geometry,
    number: Sig<'m>,
    place: Sig<'m>,
    kinds: &[(Sig<'m>, Sig<'m>)],
) -> Sig<'m> {
    let m = number.module();
    let lanes = lanes(g);
    let bits = lanes.trailing_zeros();
    let longest = kinds.iter().map(|(_, bytes)| bytes.width() / 16).max();
    let parts = longest.unwrap_or(0).div_ceil(lanes);
    // Half-word r of part q is in this beat or the one behind, as what is in front of it has room.
    let (base, within) = (
        place.slice(bits, place.width() - bits),
        place.trunc(bits).named(&format!("{name}_within")),
    );
    let behind: Vec<_> = (0..=parts)
        .map(|q| (base.zext(number.width()) + number.lit(q.into())).eq(number))
        .collect();
    let gathered: Vec<_> = (0..lanes)
        .map(|lane| {
            let carried = match lane {
                0 => m.lit(1, 0),
                _ => within.ge(within.lit(u128::from(lanes - lane))),
            };
            let each: Vec<_> = (0..parts)
                .map(|part| {
                    let here = carried.mux(behind[part as usize + 1], behind[part as usize]);
                    half(m, kinds, part * lanes + lane).when(here.reg())
                })
                .collect();
            m.or(&each)
        })
        .collect();
    let gathered: Vec<_> = gathered.into_iter().rev().collect();
    let gathered = m.concat(&gathered).named(&format!("{name}_gathered")).reg();
    // By an odd number of half-words.
    let turned: Vec<_> = (0..lanes / 2)
        .map(|by| rotated(gathered, (2 * by + 1) * 16))
        .collect();
    m.index(&turned, within.slice(1, bits - 1))
}

/// A half-word of the kind that is.
fn half<'m>(m: &'m Module, kinds: &[(Sig<'m>, Sig<'m>)], number: u32) -> Sig<'m> {
    let of = kinds
        .iter()
        .filter(|(_, bytes)| (number + 1) * 16 <= bytes.width());
    let each: Vec<_> = of
        .map(|(is, bytes)| bytes.slice(number * 16, 16).when(*is))
        .collect();
    match each.is_empty() {
        true => m.lit(16, 0),
        false => m.or(&each),
    }
}

/// Moved up by so many bits, what leaves at the top comes in below.
fn rotated(word: Sig<'_>, by: u32) -> Sig<'_> {
    let rest = word.width() - by;
    word.trunc(rest).cat(word.slice(rest, by))
}
