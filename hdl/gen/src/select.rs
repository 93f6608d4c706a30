//! Choosing among values: multiplexers, one-hot and priority selection, indexing.

use std::panic::Location;

use crate::error::ErrorKind;
use crate::module::Module;
use crate::node::{Op, Red};
use crate::sig::Sig;

/// `yes` where the one-bit `cond` is set, else `no`; both have the same width.
#[track_caller]
pub fn mux<'m>(cond: Sig<'m>, yes: Sig<'m>, no: Sig<'m>) -> Sig<'m> {
    cond.mux(yes, no)
}

impl<'m> Sig<'m> {
    /// `yes` where this one-bit value is set, else `no`; both have the same width.
    #[track_caller]
    pub fn mux(self, yes: Sig<'m>, no: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        let usable = self.m.usable(at, &[self, yes, no]);
        if !usable
            || !self.expect_width(|| "condition of mux".into(), 1, at)
            || !self.m.same_width("mux", yes, no, at)
        {
            return self.m.poison(at, yes.width());
        }
        if let Some(bits) = self.constant() {
            return if bits.is_zero() { no } else { yes };
        }
        let record = yes.record().filter(|r| no.record().as_ref() == Some(r));
        let out = self.m.op(at, yes.width(), &[self, yes, no], |ids| {
            Op::Mux(ids[0], ids[1], ids[2])
        });
        match record {
            Some(record) => out.with_record(&record),
            None => out,
        }
    }

    /// The value where `cond` (one bit) is set, else zero.
    #[track_caller]
    pub fn when(self, cond: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        match self.m.usable(at, &[self, cond])
            && cond.expect_width(|| "condition of when".into(), 1, at)
        {
            true => cond.repl(self.width()) & self,
            false => self.m.poison(at, self.width()),
        }
    }

    /// Position of the lowest set bit, in `clog2(width)` bits; zero if none is set.
    #[track_caller]
    pub fn lowest_set(self) -> Sig<'m> {
        let bits = self.bits();
        let width = clog2(bits.len() as u32).max(1);
        let choices: Vec<_> = bits
            .iter()
            .enumerate()
            .map(|(i, b)| (*b, self.m.lit(width, i as u128)))
            .collect();
        self.m.priority(&choices, self.m.lit(width, 0))
    }
}

/// Bits needed to count `n` different values: 0 for 1, 3 for 8, 4 for 9.
pub fn clog2(n: u32) -> u32 {
    match n {
        0 | 1 => 0,
        _ => (n - 1).ilog2() + 1,
    }
}

impl Module {
    /// As a balanced tree: its depth is the logarithm of the length.
    #[track_caller]
    fn fold<'m>(
        &'m self,
        what: &'static str,
        sigs: &[Sig<'m>],
        f: impl Fn(Sig<'m>, Sig<'m>) -> Sig<'m>,
    ) -> Sig<'m> {
        let mut level = sigs.to_vec();
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|p| if let [a, b] = p { f(*a, *b) } else { p[0] })
                .collect();
        }
        match level.first() {
            Some(sig) => *sig,
            None => self.fail(Location::caller(), 1, ErrorKind::Empty(what)),
        }
    }

    /// Bitwise or of all values, which have one width.
    #[track_caller]
    pub fn or<'m>(&'m self, sigs: &[Sig<'m>]) -> Sig<'m> {
        self.reduce_list("or", sigs, Red::Or, |a, b| a | b)
    }

    /// Bitwise and of all values, which have one width.
    #[track_caller]
    pub fn and<'m>(&'m self, sigs: &[Sig<'m>]) -> Sig<'m> {
        self.reduce_list("and", sigs, Red::And, |a, b| a & b)
    }

    /// Bitwise exclusive or of all values, which have one width.
    #[track_caller]
    pub fn xor<'m>(&'m self, sigs: &[Sig<'m>]) -> Sig<'m> {
        self.reduce_list("xor", sigs, Red::Xor, |a, b| a ^ b)
    }

    /// Many single bits become one reduction, which is one word operation in a simulator.
    #[track_caller]
    fn reduce_list<'m>(
        &'m self,
        what: &'static str,
        sigs: &[Sig<'m>],
        red: Red,
        f: impl Fn(Sig<'m>, Sig<'m>) -> Sig<'m>,
    ) -> Sig<'m> {
        if sigs.len() > 4 && sigs.iter().all(|s| s.width() == 1) {
            let word = self.concat(sigs);
            return match red {
                Red::Or => word.any(),
                Red::And => word.all(),
                Red::Xor => word.parity(),
            };
        }
        self.fold(what, sigs, f)
    }

    /// The value whose select bit is set; the or of them if several are, zero if none is.
    ///
    /// Smaller and faster than [`Module::priority`] where at most one bit can be set.
    #[track_caller]
    pub fn select_onehot<'m>(&'m self, choices: &[(Sig<'m>, Sig<'m>)]) -> Sig<'m> {
        let terms: Vec<_> = choices
            .iter()
            .map(|(cond, value)| value.when(*cond))
            .collect();
        let record = choices.first().and_then(|c| c.1.record());
        let out = self.or(&terms);
        match record.filter(|r| choices.iter().all(|c| c.1.record().as_ref() == Some(r))) {
            // A single choice gives back a fresh `when` node, never the caller's own.
            Some(record) => out.with_record(&record),
            None => out,
        }
    }

    /// The value of the first condition that is set, else `default`.
    #[track_caller]
    pub fn priority<'m>(&'m self, choices: &[(Sig<'m>, Sig<'m>)], default: Sig<'m>) -> Sig<'m> {
        choices
            .iter()
            .rev()
            .fold(default, |no, (cond, yes)| cond.mux(*yes, no))
    }

    /// Element `index` of a list of values of one width; zero beyond its end.
    ///
    /// The index must have exactly [`clog2`]`(elements)` bits (at least one).
    #[track_caller]
    pub fn index<'m>(&'m self, elements: &[Sig<'m>], index: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        let Some(first) = elements.first() else {
            return self.fail(at, 1, ErrorKind::Empty("index"));
        };
        let width = first.width();
        let bits = clog2(elements.len() as u32).max(1);
        let ok = self.usable(at, elements)
            && self.usable(at, &[index])
            && elements
                .iter()
                .all(|e| self.same_width("index", *first, *e, at))
            && index.expect_width(|| format!("index of {} elements", elements.len()), bits, at);
        if !ok {
            return self.poison(at, width);
        }
        if let Some(bits) = index.constant() {
            let zero = self.lit(width, 0);
            return elements
                .get(bits.low_u64() as usize)
                .copied()
                .unwrap_or(zero);
        }
        // A part select needs no multiplication where the element width is a power of two.
        if width.is_power_of_two() && width <= 64 {
            let total = width << bits;
            let mut parts: Vec<_> = elements.iter().rev().copied().collect();
            let used = width * elements.len() as u32;
            if total > used {
                parts.insert(0, self.lit(total - used, 0));
            }
            let vector = self.concat_at(&parts, at);
            return self.op(at, width, &[vector, index], |ids| Op::Index(ids[0], ids[1]));
        }
        let mut level = elements.to_vec();
        for bit in index.bits() {
            let zero = self.lit(width, 0);
            level = level
                .chunks(2)
                .map(|p| bit.mux(p.get(1).copied().unwrap_or(zero), p[0]))
                .collect();
        }
        level[0]
    }

    /// `width` bits of `sig` from bit `lo` (a value); zeros come in from above the end.
    #[track_caller]
    pub fn slice_by<'m>(&'m self, sig: Sig<'m>, lo: Sig<'m>, width: u32) -> Sig<'m> {
        let shifted = sig.shr_by(lo);
        shifted.slice(0, width)
    }

    /// Bit `index` of `sig`; zero beyond its end.
    #[track_caller]
    pub fn bit_by<'m>(&'m self, sig: Sig<'m>, index: Sig<'m>) -> Sig<'m> {
        self.slice_by(sig, index, 1)
    }

    /// `2^width` bits of which the one at `index` is set; `width` is the index's.
    #[track_caller]
    pub fn onehot<'m>(&'m self, index: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        if index.width() > 16 {
            let (what, value) = ("width of a one-hot index".into(), u64::from(index.width()));
            return self.fail(
                at,
                1,
                ErrorKind::Parameter {
                    what,
                    value,
                    rule: "at most 16 bits",
                },
            );
        }
        self.lit_bits(&crate::Bits::new(1 << index.width(), 1))
            .shl_by(index)
    }
}
