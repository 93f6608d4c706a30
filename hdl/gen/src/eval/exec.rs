//! The evaluator's inner loop: a list of instructions over one array of 64-bit limbs.
//!
//! Every value keeps the unused bits of its top limb zero.

use super::Sim;
use crate::bits::{Bits, limbs_for, top_mask};

/// What an instruction does; a `1` at the end: all operands fit in one limb.
#[derive(Debug, Clone, Copy)]
pub(super) enum Code {
    Not,
    And1,
    And,
    Or1,
    Or,
    Xor1,
    Xor,
    Add1,
    Add,
    Sub1,
    Sub,
    Eq,
    Ne,
    Lt,
    Le,
    Shl,
    Shr,
    /// `b` is the lowest bit.
    Slice,
    Clear,
    /// Ors `a` into `dst` at bit `b`.
    Insert,
    /// Every bit is bit 0 of `a`.
    Fill,
    /// `c` ? `a` : `b`.
    Mux,
    RedOr,
    RedAnd,
    RedXor,
    Index,
    /// Row `a` of memory `b`.
    Row,
}

/// `dst`, `a`, `b`, `c` are offsets of limbs (`b` of `Slice` and `Insert`: a bit number).
#[derive(Debug, Clone, Copy)]
pub(super) struct Instr {
    pub code: Code,
    pub dst: usize,
    pub a: usize,
    pub b: usize,
    pub c: usize,
    /// Width of the result.
    pub width: u32,
    /// Width of `a`.
    pub aw: u32,
}

/// A register, or a memory's read register (then `data` is the address).
pub(super) struct RegState {
    pub dst: usize,
    pub limbs: usize,
    pub next: usize,
    pub data: usize,
    pub enable: Option<usize>,
    pub reset: Option<Bits>,
    /// The memory, and for port B its write enable, which holds the register.
    pub mem: Option<(usize, Option<usize>)>,
    /// Where the bit is without which it rests, and whether it keeps its value then.
    pub rest: Option<(usize, bool)>,
    pub width: u32,
}

pub(super) struct MemState {
    pub rows: u32,
    pub width: u32,
    pub rows_data: Vec<u64>,
    /// Port A reads what is written in the same clock.
    pub forward: bool,
    /// enable, address, data
    pub write: Option<(usize, usize, usize)>,
}

impl MemState {
    /// The row `instr` asks for; zero beyond the last.
    fn look(&self, v: &mut [u64], instr: &Instr) {
        let (row, limbs) = (v[instr.a], limbs_for(self.width));
        let to = &mut v[instr.dst..instr.dst + limbs];
        match row < u64::from(self.rows) {
            true => to.copy_from_slice(&self.rows_data[row as usize * limbs..][..limbs]),
            false => to.fill(0),
        }
    }
}

impl Sim {
    /// Computes all combinational values if an input or the state changed.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.dirty) {
            for instr in &self.program {
                match instr.code {
                    Code::Row => self.mems[instr.b].look(&mut self.vals, instr),
                    _ => run(&mut self.vals, instr),
                }
            }
        }
    }

    /// The clock edge: all new values first, then all at once; memories are read before written.
    pub(super) fn clock(&mut self) {
        for reg in &self.regs {
            let next = &mut self.next[reg.next..reg.next + reg.limbs];
            let held = reg.enable.is_some_and(|e| self.vals[e] & 1 == 0);
            let writes = matches!(reg.mem, Some((_, Some(write))) if self.vals[write] & 1 == 1);
            match (&reg.reset, reg.mem) {
                (Some(value), _) if self.reset => next.copy_from_slice(value.limbs()),
                _ if held || writes => {
                    next.copy_from_slice(&self.vals[reg.dst..reg.dst + reg.limbs])
                }
                (_, Some((mem, _))) => {
                    let mem = &self.mems[mem];
                    let row = self.vals[reg.data];
                    let written = mem.write.filter(|(e, a, _)| {
                        mem.forward && self.vals[*e] & 1 == 1 && self.vals[*a] == row
                    });
                    if let Some((_, _, data)) = written {
                        next.copy_from_slice(&self.vals[data..data + reg.limbs]);
                        continue;
                    }
                    match row < u64::from(mem.rows) {
                        true => {
                            let at = row as usize * reg.limbs;
                            next.copy_from_slice(&mem.rows_data[at..at + reg.limbs]);
                        }
                        false => next.fill(0),
                    }
                }
                _ => next.copy_from_slice(&self.vals[reg.data..reg.data + reg.limbs]),
            }
            // What a simulator need not work out is made wrong here, so that a test fails if somebody looks at it.
            let wrong = matches!(reg.rest, Some((unless, false)) if self.vals[unless] & 1 == 0);
            if wrong && !(self.reset && reg.reset.is_some()) {
                next.iter_mut().for_each(|limb| *limb = !*limb);
                next[reg.limbs - 1] &= top_mask(reg.width);
            }
        }
        for mem in &mut self.mems {
            let Some((enable, addr, data)) = mem.write else {
                continue;
            };
            let row = self.vals[addr];
            if self.vals[enable] & 1 == 1 && row < u64::from(mem.rows) {
                let (n, at) = (limbs_for(mem.width), row as usize * limbs_for(mem.width));
                mem.rows_data[at..at + n].copy_from_slice(&self.vals[data..data + n]);
            }
        }
        for reg in &self.regs {
            self.vals[reg.dst..reg.dst + reg.limbs]
                .copy_from_slice(&self.next[reg.next..reg.next + reg.limbs]);
        }
    }
}

pub(super) fn run(v: &mut [u64], i: &Instr) {
    let (dst, a, b) = (i.dst, i.a, i.b);
    let limbs = limbs_for(i.width);
    let mask = top_mask(i.width);
    match i.code {
        Code::And1 => v[dst] = v[a] & v[b],
        Code::Or1 => v[dst] = v[a] | v[b],
        Code::Xor1 => v[dst] = v[a] ^ v[b],
        Code::Add1 => v[dst] = v[a].wrapping_add(v[b]) & mask,
        Code::Sub1 => v[dst] = v[a].wrapping_sub(v[b]) & mask,
        Code::And => (0..limbs).for_each(|k| v[dst + k] = v[a + k] & v[b + k]),
        Code::Or => (0..limbs).for_each(|k| v[dst + k] = v[a + k] | v[b + k]),
        Code::Xor => (0..limbs).for_each(|k| v[dst + k] = v[a + k] ^ v[b + k]),
        Code::Not => {
            (0..limbs).for_each(|k| v[dst + k] = !v[a + k]);
            v[dst + limbs - 1] &= mask;
        }
        Code::Add => {
            let mut carry = false;
            for k in 0..limbs {
                let (sum, c) = v[a + k].carrying_add(v[b + k], carry);
                (v[dst + k], carry) = (sum, c);
            }
            v[dst + limbs - 1] &= mask;
        }
        Code::Sub => {
            let mut borrow = false;
            for k in 0..limbs {
                let (diff, c) = v[a + k].borrowing_sub(v[b + k], borrow);
                (v[dst + k], borrow) = (diff, c);
            }
            v[dst + limbs - 1] &= mask;
        }
        Code::Eq => v[dst] = u64::from(operands(v, i).0 == operands(v, i).1),
        Code::Ne => v[dst] = u64::from(operands(v, i).0 != operands(v, i).1),
        Code::Lt => v[dst] = u64::from(less(operands(v, i))),
        Code::Le => v[dst] = u64::from(!less((operands(v, i).1, operands(v, i).0))),
        Code::Shl | Code::Shr => {
            let by = v[b];
            if by >= u64::from(i.width) {
                v[dst..dst + limbs].fill(0);
            } else if matches!(i.code, Code::Shr) {
                cut(v, a, limbs, by as u32, i.width - by as u32, dst, limbs);
            } else {
                v[dst..dst + limbs].fill(0);
                insert(v, a, limbs, by as usize, dst, limbs);
                v[dst + limbs - 1] &= mask;
            }
        }
        Code::Slice => cut(v, a, limbs_for(i.aw), b as u32, i.width, dst, limbs),
        Code::Clear => v[dst..dst + limbs].fill(0),
        Code::Insert => insert(v, a, limbs_for(i.aw), b, dst, limbs),
        Code::Fill => {
            let fill = 0u64.wrapping_sub(v[a] & 1);
            v[dst..dst + limbs].fill(fill);
            v[dst + limbs - 1] &= mask;
        }
        Code::Mux => {
            let from = if v[i.c] & 1 == 1 { a } else { b };
            v.copy_within(from..from + limbs, dst);
        }
        Code::RedOr => v[dst] = u64::from(v[a..a + limbs_for(i.aw)].iter().any(|l| *l != 0)),
        Code::RedAnd => {
            let n = limbs_for(i.aw);
            let low = v[a..a + n - 1].iter().all(|l| *l == u64::MAX);
            v[dst] = u64::from(low && v[a + n - 1] == top_mask(i.aw));
        }
        Code::RedXor => {
            v[dst] = u64::from(
                v[a..a + limbs_for(i.aw)]
                    .iter()
                    .fold(0, |x, l| x ^ l)
                    .count_ones()
                    & 1,
            )
        }
        // Of a memory, which `Sim::settle` has.
        Code::Row => {}
        Code::Index => {
            let lo = v[b] as u32 * i.width;
            cut(v, a, limbs_for(i.aw), lo, i.width, dst, limbs);
        }
    }
}

fn operands<'v>(v: &'v [u64], i: &Instr) -> (&'v [u64], &'v [u64]) {
    let n = limbs_for(i.aw);
    (&v[i.a..i.a + n], &v[i.b..i.b + n])
}

fn less((a, b): (&[u64], &[u64])) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// `width` bits from bit `lo` of the value at `a` to the value at `dst`, whose upper limbs become zero.
fn cut(v: &mut [u64], a: usize, a_limbs: usize, lo: u32, width: u32, dst: usize, limbs: usize) {
    let (word, shift) = (lo as usize / 64, lo % 64);
    let wanted = limbs_for(width);
    for k in 0..limbs {
        let at = |n: usize| if n < a_limbs { v[a + n] } else { 0 };
        let mut out = 0;
        if k < wanted {
            out = at(word + k) >> shift;
            if shift > 0 {
                out |= at(word + k + 1) << (64 - shift);
            }
            if k == wanted - 1 {
                out &= top_mask(width);
            }
        }
        v[dst + k] = out;
    }
}

/// Ors the value at `a` into the value at `dst` at bit `lo`; what reaches beyond its limbs is lost.
fn insert(v: &mut [u64], a: usize, a_limbs: usize, lo: usize, dst: usize, limbs: usize) {
    let (word, shift) = (lo / 64, lo % 64);
    for k in 0..a_limbs {
        let from = v[a + k];
        if word + k < limbs {
            v[dst + word + k] |= from << shift;
        }
        if shift > 0 && word + k + 1 < limbs {
            v[dst + word + k + 1] |= from >> (64 - shift);
        }
    }
}
