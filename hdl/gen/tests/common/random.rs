//! Random modules: expressions, registers, memories, children, stages.
#![allow(dead_code)]

use seqnic_gen::{Bits, Circuit, Collision, Module, RamSpec, RamStyle, Record, Sig, mux};

/// Xorshift: the same tests on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Mostly small widths, sometimes over one or several limbs.
    pub fn width(&mut self) -> u32 {
        match self.below(10) {
            0 | 1 => 1,
            2..=5 => 1 + self.below(12) as u32,
            6 | 7 => 20 + self.below(30) as u32,
            8 => 60 + self.below(10) as u32,
            _ => 65 + self.below(140) as u32,
        }
    }

    /// Random bits, with all zeros and all ones more often than by chance.
    pub fn bits(&mut self, width: u32) -> Bits {
        match self.below(8) {
            0 => Bits::zero(width),
            1 => Bits::ones(width),
            2 => Bits::new(width, 1),
            _ => {
                let words: Vec<u64> = (0..width.div_ceil(64)).map(|_| self.next()).collect();
                Bits::from_limbs(width, &words)
            }
        }
    }
}

fn fit<'m>(rng: &mut Rng, sig: Sig<'m>, width: u32) -> Sig<'m> {
    match sig.width() {
        own if own < width => sig.zext(width),
        own => sig.slice(rng.below(u64::from(own - width) + 1) as u32, width),
    }
}

/// A module of about `size` random operations; may place one of `children`.
pub fn module(name: &str, seed: u64, size: u32, children: &[Circuit]) -> Circuit {
    let mut rng = Rng::new(seed);
    let r = &mut rng;
    let m = Module::new(name);
    let staged = r.chance(60);
    let mut pool = vec![];
    for i in 0..2 + r.below(4) {
        let (name, width) = (format!("in{i}"), r.width());
        pool.push(if staged && r.chance(80) {
            m.input_at(&name, width, r.below(3) as u32)
        } else {
            m.input(&name, width)
        });
    }
    if staged {
        pool.push(m.input_valid("valid", 0));
    }
    let regs: Vec<_> = (0..r.below(4))
        .map(|i| {
            let width = r.width();
            let reset = r.bits(width);
            match r.chance(80) {
                true => m.reg_bits(&format!("state{i}"), &reset),
                false => m.reg_no_reset(&format!("state{i}"), width),
            }
        })
        .collect();
    pool.extend(regs.iter().map(|r| r.q()));
    if r.chance(60) {
        ram(&m, r, &mut pool, "mem");
    }
    for i in 0..size {
        if let (true, false) = (r.chance(3), children.is_empty()) {
            let child = &children[r.below(children.len() as u64) as usize];
            place(&m, r, &mut pool, child, &format!("u{i}"));
            continue;
        }
        let mut sig = operation(&m, r, &pool);
        if sig.width() > 400 {
            sig = sig.trunc(90);
        }
        if r.chance(25) {
            // Few different names, so that clashes happen.
            sig = sig.named(&format!("t{}", r.below(12)));
        }
        pool.push(sig);
    }
    for reg in regs {
        // Inverted: yosys finds no driver for a bit which is only ever set to itself.
        let next = {
            let s = r.pick(&pool);
            !fit(r, s, reg.width())
        };
        match r.chance(50) {
            true => reg.set(next),
            // Not always zero: yosys finds no driver for a register which is never set.
            false => {
                let en = r.pick(&pool);
                reg.set_when(fit(r, en, 1) | pool[0].bit(0), next)
            }
        }
    }
    let recent = &pool[pool.len().saturating_sub(12)..];
    for i in 0..5 {
        let sig = r.pick(recent);
        match sig.stage() {
            Some(stage) if r.chance(50) => {
                m.output_at(&format!("out{i}"), sig, stage + r.below(4) as u32)
            }
            _ => m.output(&format!("out{i}"), sig),
        }
    }
    m.finish().unwrap_or_else(|e| panic!("seed {seed}: {e:#?}"))
}

fn ram<'m>(m: &'m Module, r: &mut Rng, pool: &mut Vec<Sig<'m>>, name: &str) {
    let styles = [
        RamStyle::Auto,
        RamStyle::Block,
        RamStyle::Ultra,
        RamStyle::Distributed,
    ];
    let spec = RamSpec::new(1 << (1 + r.below(3)), r.width())
        .latency(1 + r.below(2) as u32)
        .style(r.pick(&styles));
    // Not `Undefined`: there simulators and the evaluator may differ.
    let spec = spec.collision(if r.chance(50) {
        Collision::New
    } else {
        Collision::Old
    });
    let (addr, width) = (spec.addr_width(), spec.width);
    let mem = m.ram(name, spec);
    let any = |r: &mut Rng, w| {
        let s = r.pick(pool);
        fit(r, s, w)
    };
    let read = any(r, addr);
    let (we, at, data) = (any(r, 1), any(r, addr), any(r, width));
    let row = match r.below(3) {
        0 if mem.spec().style == RamStyle::Distributed && mem.spec().latency == 1 => mem.look(read),
        0 | 1 => mem.read(read),
        _ => {
            let en = any(r, 1);
            mem.read_when(en, read)
        }
    };
    if r.chance(50) {
        mem.write(we, at, data);
    } else if r.chance(50) {
        pool.push(mem.config(we, at, data));
    } else {
        let read = any(r, 1).unstaged();
        pool.push(mem.config_when(we.unstaged(), read, at.unstaged(), data.unstaged()));
    }
    pool.push(row);
}

fn place<'m>(m: &'m Module, r: &mut Rng, pool: &mut Vec<Sig<'m>>, child: &Circuit, name: &str) {
    let inputs: Vec<(&str, Sig<'m>)> = child
        .inputs()
        .iter()
        .map(|p| {
            let s = r.pick(pool);
            let sig = fit(r, s, p.width);
            (
                p.name.as_str(),
                if p.stage.is_none() {
                    sig.unstaged()
                } else {
                    sig
                },
            )
        })
        .collect();
    let inst = m.instance(name, child, &inputs);
    pool.extend(child.outputs().iter().map(|p| inst.get(&p.name)));
}

fn operation<'m>(m: &'m Module, r: &mut Rng, pool: &[Sig<'m>]) -> Sig<'m> {
    let a = r.pick(pool);
    let w = a.width();
    let other = |r: &mut Rng, w: u32| {
        if r.chance(15) {
            let bits = r.bits(w);
            return m.lit_bits(&bits);
        }
        let s = r.pick(pool);
        fit(r, s, w)
    };
    let b = other(r, w);
    match r.below(34) {
        0 => a & b,
        1 => a | b,
        2 => a ^ b,
        3 => !a,
        4 | 5 => a + b,
        6 | 7 => a - b,
        8 => a.add_carry(b),
        9 => a.eq(b),
        10 => a.ne(b),
        11 => a.lt(b),
        12 => a.le(b),
        13 => a.gt(b),
        14 => a.ge(b),
        15 => a.shl(r.below(u64::from(w) + 2) as u32),
        16 => a.shr(r.below(u64::from(w) + 2) as u32),
        17 | 18 => {
            let by = 1 + r.below(9) as u32;
            a.shl_by(other(r, by))
        }
        19 | 20 => {
            let by = 1 + r.below(9) as u32;
            a.shr_by(other(r, by))
        }
        21 => a.cat(b),
        22 => a.repl(1 + r.below(4) as u32),
        23 => mux(other(r, 1), a, b),
        24 => a.any(),
        25 => a.all(),
        26 => a.parity(),
        27 => {
            let n = 2 + r.below(6) as u32;
            let list: Vec<_> = (0..n).map(|_| other(r, w)).collect();
            m.index(&list, other(r, seqnic_gen::clog2(n).max(1)))
        }
        28 => {
            let list: Vec<_> = (0..3).map(|_| (other(r, 1), other(r, w))).collect();
            if r.chance(50) {
                m.select_onehot(&list)
            } else {
                m.priority(&list, b)
            }
        }
        29 => a.reg(),
        30 => {
            let n = 1 + r.below(3) as u32;
            if r.chance(50) {
                a.delay(n)
            } else {
                m.align(&[a, b])[1]
            }
        }
        31 if w >= 3 => {
            let record = Record::new("rec", [("low", 1), ("mid", w - 2), ("top", 1)]);
            let sig = a.with_record(&record);
            let sig = if r.chance(50) {
                sig.with_field("mid", sig.field("mid") ^ b.trunc(w - 2))
            } else {
                sig
            };
            sig.with_field("top", other(r, 1)).reg().field("mid")
        }
        32 if w >= 2 => {
            let lo = r.below(u64::from(w)) as u32;
            a.slice(lo, 1 + r.below(u64::from(w - lo)) as u32)
        }
        33 => a.lowest_set(),
        _ => a.zext(w + r.below(5) as u32),
    }
}
