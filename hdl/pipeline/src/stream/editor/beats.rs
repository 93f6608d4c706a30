//! Bytes of a copy beat by beat, where copies are some clocks apart and an edit stands still for all beats of its copy:
//! what is put into a beat is chosen as the beat leaves, and nothing is put together that a shift register would have
//! to keep.
//!
//! An edit is there from the clock before its copy's first slot to the one behind its last. So what depends on the edit
//! alone has a register of its own, which may be read up to two clocks behind each slot ([`Sig::reg`] of the edit).

use seqnic_gen::{Module, Sig};
use seqnic_spec::geometry::Geometry;

/// Half-words of a beat.
pub fn lanes(g: &Geometry) -> u32 {
    g.bus_bytes / 2
}

/// The slots of a copy, or those of them with bytes of the packet: in which clock one is, and whether it is the first.
#[derive(Clone, Copy)]
pub struct Slots<'m> {
    pub step: Sig<'m>,
    pub first: Sig<'m>,
}

impl<'m> Slots<'m> {
    /// Which beats these slots are, a bit each: in the first slot the bits are those of `beats`, and move down by one
    /// with each. A register that moves takes no counter to be compared.
    fn left(&self, name: &str, beats: Sig<'m>) -> Sig<'m> {
        let left = beats.module().reg_no_reset(name, beats.width());
        let here = self.first.mux(beats, left.q());
        left.set_when(self.step, here.shr(1));
        here
    }

    /// Whether it is beat `n`, a clock later.
    pub fn is(&self, name: &str, n: u32) -> Sig<'m> {
        let beats = self.first.module().lit(n + 1, 1 << n);
        let here = self.left(&format!("{name}_{n}_left"), beats).bit(0);
        here.named(&format!("{name}_{n}")).reg()
    }

    /// For each half-word of the beat, a clock later: is it at `place` (where `valid`)?
    pub fn at(&self, name: &str, g: &Geometry, place: Sig<'m>, valid: Sig<'m>) -> Sig<'m> {
        let m = place.module();
        let bits = lanes(g).trailing_zeros();
        let beats = m.onehot(place.slice(bits, place.width() - bits));
        let beats = beats.named(&format!("{name}_beat")).reg();
        let within = m.onehot(place.trunc(bits)).when(valid);
        let within = within.named(&format!("{name}_within")).reg();
        let here = self.left(&format!("{name}_left"), beats).bit(0);
        (within & here.repl(lanes(g))).named(name).reg()
    }

    /// What stands at half-word `place` of a copy, of several kinds the one that is (bytes, byte 0 lowest), two clocks
    /// later. Places are odd: a header behind an EtherType.
    pub fn placed(
        &self,
        name: &str,
        g: &Geometry,
        place: Sig<'m>,
        kinds: &[(Sig<'m>, Sig<'m>)],
    ) -> Sig<'m> {
        let m = place.module();
        let lanes = lanes(g);
        let bits = lanes.trailing_zeros();
        let longest = kinds.iter().map(|(_, bytes)| bytes.width() / 16).max();
        let parts = longest.unwrap_or(0).div_ceil(lanes);
        // Half-word r of part q is in this beat or the one behind, as what is in front of it has room.
        let beats = m.onehot(place.slice(bits, place.width() - bits));
        let beats = beats.zext(beats.width() + parts).shl(parts).reg();
        let left = self.left(&format!("{name}_left"), beats);
        let within = place.trunc(bits).named(&format!("{name}_within")).reg();
        let gathered: Vec<_> = (0..lanes)
            .rev()
            .map(|lane| {
                let carried = match lane {
                    0 => m.lit(1, 0),
                    _ => within.ge(within.lit(u128::from(lanes - lane))),
                };
                let each: Vec<_> = (0..parts)
                    .map(|part| {
                        let here = carried.mux(left.bit(parts - part - 1), left.bit(parts - part));
                        half(m, kinds, part * lanes + lane).when(here.reg())
                    })
                    .collect();
                m.or(&each)
            })
            .collect();
        let gathered = m.concat(&gathered).named(&format!("{name}_gathered")).reg();
        // By an odd number of half-words.
        let turned: Vec<_> = (0..lanes / 2)
            .map(|by| rotated(gathered, (2 * by + 1) * 16))
            .collect();
        m.index(&turned, within.slice(1, bits - 1))
    }
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
