//! State: registers and wires which are declared first and assigned later.

use std::ops::Deref;
use std::panic::Location;

use crate::bits::Bits;
use crate::error::ErrorKind;
use crate::module::Module;
use crate::node::{Op, PropKind};
use crate::sig::Sig;

/// A register with a reset value whose next value is assigned later. Reads as a stage-less [`Sig`].
#[derive(Clone, Copy, Debug)]
pub struct Reg<'m>(Sig<'m>);

/// A wire which is declared first and driven later, for handshakes which run backwards.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'m>(Sig<'m>);

impl<'m> Deref for Reg<'m> {
    type Target = Sig<'m>;
    fn deref(&self) -> &Sig<'m> {
        &self.0
    }
}

impl<'m> Deref for Wire<'m> {
    type Target = Sig<'m>;
    fn deref(&self) -> &Sig<'m> {
        &self.0
    }
}

impl<'m> Reg<'m> {
    /// The register's present value.
    pub fn q(self) -> Sig<'m> {
        self.0
    }

    /// The value to take at every clock.
    #[track_caller]
    pub fn set(self, next: Sig<'m>) {
        self.assign(next, None, Location::caller());
    }

    /// The value to take at a clock where the one-bit `enable` is set.
    #[track_caller]
    pub fn set_when(self, enable: Sig<'m>, next: Sig<'m>) {
        self.assign(next, Some(enable), Location::caller());
    }

    /// Claims that the register keeps its value in every clock in which the one-bit `cond` is clear, so that simulators need
    /// not work out what it takes. Hardware does not know of it; the evaluator checks it.
    #[track_caller]
    pub fn rests_unless(self, cond: Sig<'m>) {
        self.0.rests(cond, true, Location::caller());
    }

    fn assign(self, value: Sig<'m>, enable: Option<Sig<'m>>, at: &'static Location<'static>) {
        let m = self.0.m;
        let width = self.0.width();
        let args: Vec<_> = [value].into_iter().chain(enable).collect();
        let name = m.inner.borrow().describe(self.0.id).name;
        if !m.usable(at, &args)
            || !value.expect_width(|| format!("next value of `{name}`"), width, at)
            || !enable.is_none_or(|e| e.expect_width(|| format!("enable of `{name}`"), 1, at))
        {
            // The mistake is on record; the register must not be reported as unassigned too.
            m.inner.borrow_mut().nodes[self.0.id as usize].op = Op::Poison;
            return;
        }
        let mut ids: Vec<_> = args.iter().map(|s| s.id).collect();
        let mut inner = m.inner.borrow_mut();
        inner.join(&mut ids, at);
        let twice = match &mut inner.nodes[self.0.id as usize].op {
            Op::Reg { next, en, .. } if next.is_none() => {
                *next = Some(ids[0]);
                *en = ids.get(1).copied();
                false
            }
            Op::Poison => false,
            _ => true,
        };
        if twice {
            inner.error(at, ErrorKind::SetTwice(name));
        }
    }
}

impl<'m> Wire<'m> {
    /// The wire's value.
    pub fn q(self) -> Sig<'m> {
        self.0
    }

    /// Drives the wire. A staged value needs [`Sig::unstaged`] first: the wire was read without a stage.
    #[track_caller]
    pub fn drive(self, value: Sig<'m>) {
        let at = Location::caller();
        let m = self.0.m;
        let name = m.inner.borrow().describe(self.0.id).name;
        if !m.usable(at, &[value])
            || !value.expect_width(|| format!("driver of `{name}`"), self.0.width(), at)
        {
            m.inner.borrow_mut().nodes[self.0.id as usize].op = Op::Poison;
            return;
        }
        let mut inner = m.inner.borrow_mut();
        if let Some(stage) = inner.node(value.id).stage {
            let sig = inner.describe(value.id);
            inner.error(
                at,
                ErrorKind::StageDropped {
                    sig,
                    stage,
                    what: format!("wire `{name}`"),
                },
            );
        }
        match inner.node(self.0.id).op {
            Op::Wire(None) => inner.nodes[self.0.id as usize].op = Op::Wire(Some(value.id)),
            Op::Poison => {}
            _ => inner.error(at, ErrorKind::SetTwice(name)),
        }
    }
}

impl Module {
    /// A register of `width` bits which `rst` sets to `reset`. Assign it with [`Reg::set`].
    #[track_caller]
    pub fn reg(&self, name: &str, width: u32, reset: u128) -> Reg<'_> {
        let at = Location::caller();
        if !Bits::fits(width, reset) {
            self.inner.borrow_mut().error(
                at,
                ErrorKind::ConstTooWide {
                    value: reset,
                    width,
                },
            );
        }
        self.reg_bits(name, &Bits::new(width, reset))
    }

    /// A register with a reset value of any width.
    #[track_caller]
    pub fn reg_bits(&self, name: &str, reset: &Bits) -> Reg<'_> {
        self.new_reg(name, reset.width(), Some(reset.clone()), Location::caller())
    }

    /// A register which reset does not touch, for data next to a valid bit.
    #[track_caller]
    pub fn reg_no_reset(&self, name: &str, width: u32) -> Reg<'_> {
        self.new_reg(name, width, None, Location::caller())
    }

    fn new_reg(
        &self,
        name: &str,
        width: u32,
        reset: Option<Bits>,
        at: &'static Location<'static>,
    ) -> Reg<'_> {
        self.check_width(name, width, at);
        let sig = self.push(
            Op::Reg {
                next: None,
                en: None,
                reset,
            },
            width.max(1),
            None,
            at,
        );
        Reg(sig.named(name))
    }

    /// A wire to be driven later with [`Wire::drive`].
    #[track_caller]
    pub fn wire(&self, name: &str, width: u32) -> Wire<'_> {
        let at = Location::caller();
        self.check_width(name, width, at);
        Wire(
            self.push(Op::Wire(None), width.max(1), None, at)
                .named(name),
        )
    }

    #[track_caller]
    fn prop(&self, kind: PropKind, name: &str, cond: Sig<'_>) {
        let at = Location::caller();
        if self.usable(at, &[cond]) && cond.expect_width(|| format!("property `{name}`"), 1, at) {
            let prop = crate::node::Prop {
                kind,
                name: name.into(),
                cond: cond.id,
                at,
            };
            self.inner.borrow_mut().props.push(prop);
        }
    }

    /// Claims that the one-bit `cond` is set at every clock edge (without reset).
    ///
    /// Checked by the evaluator, by `verilator -DFORMAL --assert`, and by formal tools.
    #[track_caller]
    pub fn assert(&self, name: &str, cond: Sig<'_>) {
        self.prop(PropKind::Assert, name, cond);
    }

    /// Claims that the environment keeps the one-bit `cond` set. Simulations check it as an assertion.
    #[track_caller]
    pub fn assume(&self, name: &str, cond: Sig<'_>) {
        self.prop(PropKind::Assume, name, cond);
    }

    /// Asks whether the one-bit `cond` can become set; the evaluator counts how often it was.
    #[track_caller]
    pub fn cover(&self, name: &str, cond: Sig<'_>) {
        self.prop(PropKind::Cover, name, cond);
    }
}
