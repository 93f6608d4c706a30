//! Pipeline stages: delay registers, alignment, and stepping out of the stage rules on purpose.

use std::panic::Location;

use crate::bits::Bits;
use crate::error::ErrorKind;
use crate::module::{Inner, Module};
use crate::node::{Id, Op, Rest};
use crate::sig::Sig;

impl Inner {
    /// The value one clock later. There is one chain of delay registers for each value.
    pub fn delay_one(&mut self, id: Id, at: &'static Location<'static>) -> Id {
        if let Some(d) = self.delays.get(&id) {
            return *d;
        }
        let n = self.node(id).clone();
        if n.name.is_none()
            && !n.valid
            && let Some(op) = self.delayed_wiring(&n.op, at)
        {
            let key = match op {
                Op::Slice(whole, lo) if n.record.is_none() => Some((whole, lo, n.width)),
                _ => None,
            };
            let known = key.and_then(|key| self.slices.get(&key).copied());
            let d = known.unwrap_or_else(|| self.push(op, n.width, n.stage.map(|s| s + 1), at));
            if let Some(key) = key {
                self.slices.insert(key, d);
            } else {
                self.nodes[d as usize].record = n.record;
            }
            self.delays.insert(id, d);
            return d;
        }
        // A value which got its name at the end of a chain starts a chain of its own.
        let (root, by) = match n.delay_of {
            Some((root, by)) if n.name.is_none() => (root, by),
            _ => (id, 0),
        };
        let reset = n.valid.then(|| Bits::zero(n.width));
        let op = Op::Reg {
            next: Some(id),
            en: None,
            reset,
        };
        let d = self.push(op, n.width, n.stage.map(|s| s + 1), at);
        let node = &mut self.nodes[d as usize];
        (node.record, node.valid, node.delay_of) = (n.record, n.valid, Some((root, by + 1)));
        self.delays.insert(id, d);
        d
    }

    /// Slices, copies and zero-extensions are only wires: delaying what they are made of shares its
    /// registers, and needs none for constants. Synthesis drops the bits which nobody reads.
    /// A concatenation of several values is one register for each clock instead of many.
    fn delayed_wiring(&mut self, op: &Op, at: &'static Location<'static>) -> Option<Op> {
        let is_const = |i: &Inner, id: Id| matches!(i.node(id).op, Op::Const(_));
        match op {
            Op::Slice(src, lo) => Some(Op::Slice(self.delay_one(*src, at), *lo)),
            Op::Repl(n, a) => Some(Op::Repl(*n, self.delay_one(*a, at))),
            Op::Concat(parts) if parts.iter().filter(|p| !is_const(self, **p)).count() == 1 => {
                let parts = parts.iter().map(|p| {
                    if is_const(self, *p) {
                        *p
                    } else {
                        self.delay_one(*p, at)
                    }
                });
                Some(Op::Concat(parts.collect()))
            }
            _ => None,
        }
    }

    /// The value at `stage`, which is not before its own; stage-less values stay as they are.
    pub fn delay_to(&mut self, mut id: Id, stage: u32, at: &'static Location<'static>) -> Id {
        while self.node(id).stage.is_some_and(|s| s < stage) {
            id = self.delay_one(id, at);
        }
        id
    }

    /// Brings all values to the latest stage among them and returns it.
    pub fn join(&mut self, ids: &mut [Id], at: &'static Location<'static>) -> Option<u32> {
        let stage = ids.iter().filter_map(|id| self.node(*id).stage).max()?;
        for id in ids {
            *id = self.delay_to(*id, stage, at);
        }
        Some(stage)
    }
}

impl<'m> Sig<'m> {
    /// The value one clock later: a register. Moves a staged value to its next stage.
    #[track_caller]
    pub fn reg(self) -> Sig<'m> {
        self.delay(1)
    }

    /// Says of a register that nobody looks at what it takes in a clock where the one-bit `cond` is clear. Simulators leave
    /// the old value there; hardware does not know of it, and the evaluator makes the value wrong. `cond` belongs to the
    /// register's input: it is wanted a stage before the register's.
    #[track_caller]
    pub fn needed_if(self, cond: Sig<'m>) -> Sig<'m> {
        self.rests(cond, false, Location::caller());
        self
    }

    pub(crate) fn rests(self, cond: Sig<'m>, keeps: bool, at: &'static Location<'static>) {
        let name = || format!("condition of {self:?}");
        if !self.m.usable(at, &[self, cond]) || !cond.expect_width(name, 1, at) {
            return;
        }
        self.edit(|i| {
            let (own, register) = (i.node(cond.id).stage, i.node(self.id));
            let rule = match (&register.op, register.stage) {
                (Op::Reg { .. }, Some(stage)) if own.is_some_and(|own| own < stage) => {
                    let unless = i.delay_to(cond.id, stage - 1, at);
                    i.nodes[self.id as usize].rest = Some(Rest { unless, keeps });
                    return;
                }
                (Op::Reg { .. }, None) if own.is_none() => {
                    let unless = cond.id;
                    i.nodes[self.id as usize].rest = Some(Rest { unless, keeps });
                    return;
                }
                (Op::Reg { .. }, _) => "must be before the register's",
                _ => "must be of a register",
            };
            let what = format!("stage of when `{}` rests", i.describe(self.id).name);
            let value = own.unwrap_or(0).into();
            i.error(at, ErrorKind::Parameter { what, value, rule });
        });
    }

    /// The value `clocks` later.
    #[track_caller]
    pub fn delay(self, clocks: u32) -> Sig<'m> {
        let at = Location::caller();
        if !self.m.usable(at, &[self]) {
            return self;
        }
        let id = self.edit(|i| (0..clocks).fold(self.id, |id, _| i.delay_one(id, at)));
        self.m.sig(id)
    }

    /// The value at `stage`, through delay registers. A constant or other stage-less value stays as it is.
    #[track_caller]
    pub fn to_stage(self, stage: u32) -> Sig<'m> {
        let at = Location::caller();
        match self.stage() {
            Some(own) if own > stage => {
                let sig = self.with(|i| i.describe(self.id));
                self.m.fail(
                    at,
                    self.width(),
                    ErrorKind::TooLate {
                        sig,
                        stage: own,
                        demanded: stage,
                    },
                )
            }
            _ => self.m.sig(self.edit(|i| i.delay_to(self.id, stage, at))),
        }
    }

    /// The same wire, from now on regarded as a value of `stage`. No hardware: you say that you know.
    ///
    /// For state read in a pipeline, e.g. a counter which is sampled at stage 3.
    #[track_caller]
    pub fn at_stage(self, stage: u32) -> Sig<'m> {
        self.alias(Some(stage), Location::caller())
    }

    /// The same wire, from now on regarded as valid at any stage. No hardware: you say that you know.
    #[track_caller]
    pub fn unstaged(self) -> Sig<'m> {
        match self.stage() {
            Some(_) => self.alias(None, Location::caller()),
            None => self,
        }
    }

    /// Marks a valid bit (or other control): its delay registers are reset to zero.
    ///
    /// Data needs no reset. Results of operations are not marked by themselves. Go on with the value
    /// returned: it has delay registers of its own where this one is a slice of something.
    #[track_caller]
    pub fn as_valid(self) -> Sig<'m> {
        // Wiring shares the registers of what it is made of; the alias gets some of its own.
        if self.with(|i| {
            matches!(
                i.node(self.id).op,
                Op::Slice(..) | Op::Repl(..) | Op::Concat(_)
            ) && i.node(self.id).name.is_none()
        }) {
            return self.alias(self.stage(), Location::caller()).as_valid();
        }
        self.edit(|i| {
            let mut id = self.id;
            i.nodes[id as usize].valid = true;
            while let Some(next) = i.delays.get(&id).copied() {
                let node = &mut i.nodes[next as usize];
                node.valid = true;
                if let Op::Reg { reset, .. } = &mut node.op {
                    *reset = Some(Bits::zero(node.width));
                }
                id = next;
            }
        });
        self
    }
}

impl Module {
    /// A register: the same as [`Sig::reg`].
    #[track_caller]
    pub fn pipe<'m>(&'m self, sig: Sig<'m>) -> Sig<'m> {
        sig.reg()
    }

    /// All values at the latest stage among them.
    #[track_caller]
    pub fn align<'m>(&'m self, sigs: &[Sig<'m>]) -> Vec<Sig<'m>> {
        let at = Location::caller();
        if !self.usable(at, sigs) {
            return sigs.to_vec();
        }
        let mut ids: Vec<Id> = sigs.iter().map(|s| s.id).collect();
        self.inner.borrow_mut().join(&mut ids, at);
        ids.into_iter().map(|id| self.sig(id)).collect()
    }
}
