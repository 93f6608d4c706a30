//! Operations on values. Operands of different stages are brought together by delay registers.

use std::ops::{Add, BitAnd, BitOr, BitXor, Not, Sub};
use std::panic::Location;

use crate::bits::Bits;
use crate::error::ErrorKind;
use crate::module::Module;
use crate::node::{Bin, Id, Op, Red};
use crate::record::Record;
use crate::sig::Sig;

type Loc = &'static Location<'static>;

/// The result of an operation which needs no hardware.
enum Trivial<'m> {
    Same(Sig<'m>),
    Zero,
    Ones,
}

impl Module {
    /// Joins the operands' stages and adds the node which `op` makes of them.
    pub(crate) fn op<'m>(
        &'m self,
        at: Loc,
        width: u32,
        args: &[Sig<'m>],
        op: impl FnOnce(&[Id]) -> Op,
    ) -> Sig<'m> {
        if !self.usable(at, args) {
            return self.poison(at, width);
        }
        let constants: Option<Vec<Bits>> = args.iter().map(|s| s.constant()).collect();
        if let Some(values) = constants {
            let operands: Vec<Id> = (0..values.len() as Id).collect();
            let value = crate::eval::constant(&op(&operands), width, &values);
            return self.push(Op::Const(value), width, None, at);
        }
        let mut ids: Vec<Id> = args.iter().map(|s| s.id).collect();
        let mut inner = self.inner.borrow_mut();
        let stage = inner.join(&mut ids, at);
        let id = inner.push(op(&ids), width, stage, at);
        self.sig(id)
    }

    /// Records an error unless both have the same width.
    pub(crate) fn same_width(&self, op: &'static str, a: Sig<'_>, b: Sig<'_>, at: Loc) -> bool {
        if !self.usable(at, &[a, b]) {
            return false;
        }
        let same = a.width() == b.width();
        if !same {
            let mut inner = self.inner.borrow_mut();
            let (a, b) = (inner.describe(a.id), inner.describe(b.id));
            inner.error(at, ErrorKind::WidthMismatch { op, a, b });
        }
        same
    }

    /// All values side by side, the most significant first, as in Verilog's `{a, b}`.
    #[track_caller]
    pub fn concat<'m>(&'m self, parts: &[Sig<'m>]) -> Sig<'m> {
        self.concat_at(parts, Location::caller())
    }

    pub(crate) fn concat_at<'m>(&'m self, parts: &[Sig<'m>], at: Loc) -> Sig<'m> {
        let width = parts.iter().map(|p| p.width()).sum();
        match parts {
            [] => self.fail(at, 1, ErrorKind::Empty("concat")),
            [one] => *one,
            _ => self.op(at, width, parts, |ids| Op::Concat(ids.to_vec())),
        }
    }

    /// A record from all of its fields, given by name in any order.
    #[track_caller]
    pub fn pack<'m>(&'m self, record: &Record, fields: &[(&str, Sig<'m>)]) -> Sig<'m> {
        let at = Location::caller();
        let wrong = |field: &str, problem| {
            let kind = ErrorKind::RecordField {
                record: record.name().into(),
                field: field.into(),
                problem,
            };
            self.inner.borrow_mut().error(at, kind);
        };
        let mut ok = true;
        for (i, (name, _)) in fields.iter().enumerate() {
            if record.field(name).is_none() {
                wrong(name, "unknown");
                ok = false;
            } else if fields[..i].iter().any(|(n, _)| n == name) {
                wrong(name, "given twice");
                ok = false;
            }
        }
        let mut parts = vec![];
        for f in record.fields().iter().rev() {
            match fields.iter().find(|(n, _)| *n == f.name) {
                Some((_, sig)) => {
                    ok &= self.usable(at, &[*sig])
                        && sig.expect_width(
                            || format!("field `{}` of record `{}`", f.name, record.name()),
                            f.width,
                            at,
                        );
                    parts.push(*sig);
                }
                None => {
                    wrong(&f.name, "missing");
                    ok = false;
                }
            }
        }
        match ok {
            true => self
                .concat_at(&parts, at)
                .alias_if_recorded(at)
                .with_record(record),
            false => self.poison(at, record.width()),
        }
    }
}

impl<'m> Sig<'m> {
    /// A record of one field would put its layout on the field itself; an alias keeps them apart.
    fn alias_if_recorded(self, at: Loc) -> Sig<'m> {
        let fresh = self.with(|i| {
            matches!(i.node(self.id).op, Op::Concat(_)) && i.node(self.id).name.is_none()
        });
        if fresh {
            self
        } else {
            self.alias(self.stage(), at)
        }
    }

    fn unary(self, at: Loc, width: u32, op: impl FnOnce(Id) -> Op) -> Sig<'m> {
        self.m.op(at, width, &[self], |ids| op(ids[0]))
    }

    fn binary(self, name: &'static str, op: Bin, rhs: Sig<'m>, at: Loc) -> Sig<'m> {
        let width = match op {
            Bin::Eq | Bin::Ne | Bin::Lt | Bin::Le => 1,
            _ => self.width(),
        };
        if !self.m.same_width(name, self, rhs, at) {
            return self.m.poison(at, width);
        }
        match self.trivial(op, rhs) {
            Some(Trivial::Same(sig)) => sig,
            Some(Trivial::Zero) => self.m.lit(width, 0),
            Some(Trivial::Ones) => self.m.lit_bits(&Bits::ones(width)),
            None => self
                .m
                .op(at, width, &[self, rhs], |ids| Op::Bin(op, ids[0], ids[1])),
        }
    }

    /// What an operation with all zeros or all ones comes to: linters warn of some of these.
    fn trivial(self, op: Bin, rhs: Sig<'m>) -> Option<Trivial<'m>> {
        let (a, b) = (self.constant(), rhs.constant());
        let zero = |v: &Option<Bits>| v.as_ref().is_some_and(Bits::is_zero);
        let ones = |v: &Option<Bits>| v.as_ref().is_some_and(|v| *v == Bits::ones(v.width()));
        match op {
            Bin::And | Bin::Or if self.id == rhs.id => Some(Trivial::Same(self)),
            Bin::Xor | Bin::Sub | Bin::Ne | Bin::Lt if self.id == rhs.id => Some(Trivial::Zero),
            Bin::Eq | Bin::Le if self.id == rhs.id => Some(Trivial::Ones),
            Bin::And if zero(&a) || zero(&b) => Some(Trivial::Zero),
            Bin::And if ones(&a) => Some(Trivial::Same(rhs)),
            Bin::And if ones(&b) => Some(Trivial::Same(self)),
            Bin::Or if ones(&a) || ones(&b) => Some(Trivial::Ones),
            Bin::Or | Bin::Xor | Bin::Add if zero(&a) => Some(Trivial::Same(rhs)),
            Bin::Or | Bin::Xor | Bin::Add | Bin::Sub if zero(&b) => Some(Trivial::Same(self)),
            Bin::Lt if zero(&b) || ones(&a) => Some(Trivial::Zero),
            Bin::Le if zero(&a) || ones(&b) => Some(Trivial::Ones),
            _ => None,
        }
    }

    /// A constant with the width of this value; an error if it does not fit.
    #[track_caller]
    pub fn lit(self, value: u128) -> Sig<'m> {
        self.m.lit(self.width(), value)
    }

    /// Equal. Both have the same width; the result has one bit.
    #[track_caller]
    pub fn eq(self, rhs: Sig<'m>) -> Sig<'m> {
        self.binary("eq", Bin::Eq, rhs, Location::caller())
    }

    /// Not equal.
    #[track_caller]
    pub fn ne(self, rhs: Sig<'m>) -> Sig<'m> {
        self.binary("ne", Bin::Ne, rhs, Location::caller())
    }

    /// Unsigned less than.
    #[track_caller]
    pub fn lt(self, rhs: Sig<'m>) -> Sig<'m> {
        self.binary("lt", Bin::Lt, rhs, Location::caller())
    }

    /// Unsigned less or equal.
    #[track_caller]
    pub fn le(self, rhs: Sig<'m>) -> Sig<'m> {
        self.binary("le", Bin::Le, rhs, Location::caller())
    }

    /// Unsigned greater than.
    #[track_caller]
    pub fn gt(self, rhs: Sig<'m>) -> Sig<'m> {
        rhs.lt(self)
    }

    /// Unsigned greater or equal.
    #[track_caller]
    pub fn ge(self, rhs: Sig<'m>) -> Sig<'m> {
        rhs.le(self)
    }

    /// Equal to a constant, which must fit in the value's width.
    #[track_caller]
    pub fn is(self, value: u128) -> Sig<'m> {
        self.eq(self.lit(value))
    }

    /// Sum with its carry: one bit wider than the operands.
    #[track_caller]
    pub fn add_carry(self, rhs: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        let width = self.width() + 1;
        match self.m.same_width("add_carry", self, rhs, at) {
            true => self
                .zext(width)
                .binary("add_carry", Bin::Add, rhs.zext(width), at),
            false => self.m.poison(at, width),
        }
    }

    /// Logical shift left by a constant; zeros enter, the width stays.
    #[expect(
        clippy::should_implement_trait,
        reason = "`a << 3` beside `a + b` would hide that the amount is a number"
    )]
    #[track_caller]
    pub fn shl(self, by: u32) -> Sig<'m> {
        let at = Location::caller();
        let w = self.width();
        match by {
            0 => self,
            _ if !self.m.usable(at, &[self]) => self.m.poison(at, w),
            _ if by >= w => self.m.lit(w, 0),
            _ => self
                .m
                .concat_at(&[self.cut(0, w - by, at), self.m.lit(by, 0)], at),
        }
    }

    /// Logical shift right by a constant; zeros enter, the width stays.
    #[expect(
        clippy::should_implement_trait,
        reason = "`a << 3` beside `a + b` would hide that the amount is a number"
    )]
    #[track_caller]
    pub fn shr(self, by: u32) -> Sig<'m> {
        let at = Location::caller();
        let w = self.width();
        match by {
            0 => self,
            _ if !self.m.usable(at, &[self]) => self.m.poison(at, w),
            _ if by >= w => self.m.lit(w, 0),
            _ => self.cut(by, w - by, at).zext(w),
        }
    }

    fn shift(self, left: bool, by: Sig<'m>, at: Loc) -> Sig<'m> {
        // Simulators disagree in speed and warnings, not in meaning, beyond 32 bits; nobody needs them.
        if by.width() > 32 {
            let kind = ErrorKind::Parameter {
                what: format!("width of shift amount {by:?}"),
                value: by.width().into(),
                rule: "at most 32 bits",
            };
            return self.m.fail(at, self.width(), kind);
        }
        if let (Some(bits), true) = (by.constant(), self.m.usable(at, &[self, by])) {
            let by = bits.low_u64() as u32;
            return if left { self.shl(by) } else { self.shr(by) };
        }
        self.m.op(at, self.width(), &[self, by], |ids| {
            Op::Shift(left, ids[0], ids[1])
        })
    }

    /// Logical shift left by a value; an amount of the width or more gives zero.
    #[track_caller]
    pub fn shl_by(self, by: Sig<'m>) -> Sig<'m> {
        self.shift(true, by, Location::caller())
    }

    /// Logical shift right by a value; an amount of the width or more gives zero.
    #[track_caller]
    pub fn shr_by(self, by: Sig<'m>) -> Sig<'m> {
        self.shift(false, by, Location::caller())
    }

    /// Zero-extended to `width` bits, which is not less than the value's.
    #[track_caller]
    pub fn zext(self, width: u32) -> Sig<'m> {
        let at = Location::caller();
        let own = self.width();
        match width {
            _ if !self.m.usable(at, &[self]) => self.m.poison(at, width),
            w if w == own => self,
            w if w > own => self.m.concat_at(&[self.m.lit(w - own, 0), self], at),
            _ => {
                let sig = self.with(|i| i.describe(self.id));
                self.m.fail(
                    at,
                    width,
                    ErrorKind::WidthExpected {
                        what: "zext: at most".into(),
                        sig,
                        expected: width,
                    },
                )
            }
        }
    }

    /// The low `width` bits.
    #[track_caller]
    pub fn trunc(self, width: u32) -> Sig<'m> {
        self.slice(0, width)
    }

    /// This value above `low`: `{self, low}`.
    #[track_caller]
    pub fn cat(self, low: Sig<'m>) -> Sig<'m> {
        self.m.concat_at(&[self, low], Location::caller())
    }

    /// The value `times` times side by side.
    #[track_caller]
    pub fn repl(self, times: u32) -> Sig<'m> {
        let at = Location::caller();
        let width = self.width().saturating_mul(times);
        self.m.check_width("repl", width, at);
        match times {
            1 => self,
            _ => self.unary(at, width.max(1), |a| Op::Repl(times, a)),
        }
    }

    fn reduce(self, op: Red, at: Loc) -> Sig<'m> {
        if self.width() == 1 {
            return self;
        }
        self.unary(at, 1, |a| Op::Reduce(op, a))
    }

    /// Whether any bit is set.
    #[track_caller]
    pub fn any(self) -> Sig<'m> {
        self.reduce(Red::Or, Location::caller())
    }

    /// Whether all bits are set.
    #[track_caller]
    pub fn all(self) -> Sig<'m> {
        self.reduce(Red::And, Location::caller())
    }

    /// Whether an odd number of bits is set.
    #[track_caller]
    pub fn parity(self) -> Sig<'m> {
        self.reduce(Red::Xor, Location::caller())
    }

    /// Parity of the bits which `mask` selects; the mask has the value's width.
    #[track_caller]
    pub fn parity_of(self, mask: &Bits) -> Sig<'m> {
        (self & self.m.lit_bits(mask)).parity()
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:expr) => {
        impl<'m> $trait for Sig<'m> {
            type Output = Sig<'m>;
            #[track_caller]
            fn $method(self, rhs: Sig<'m>) -> Sig<'m> {
                self.binary(stringify!($method), $op, rhs, Location::caller())
            }
        }
    };
}

operator!(BitAnd, bitand, Bin::And);
operator!(BitOr, bitor, Bin::Or);
operator!(BitXor, bitxor, Bin::Xor);
operator!(Add, add, Bin::Add);
operator!(Sub, sub, Bin::Sub);

impl<'m> Not for Sig<'m> {
    type Output = Sig<'m>;
    #[track_caller]
    fn not(self) -> Sig<'m> {
        self.unary(Location::caller(), self.width(), Op::Not)
    }
}
