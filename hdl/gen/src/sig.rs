//! The handle of a value: names, records, slices, and moving between stages.

use std::panic::Location;

use crate::bits::Bits;
use crate::error::ErrorKind;
use crate::module::{Inner, Module};
use crate::node::{Id, Op};
use crate::record::Record;

/// A value in a [`Module`]: an exact width, maybe a name, a [`Record`] and a pipeline stage.
///
/// Cheap to copy. Deliberately has no `PartialEq`: [`Sig::eq`] builds a comparator.
#[derive(Clone, Copy)]
pub struct Sig<'m> {
    pub(crate) m: &'m Module,
    pub(crate) id: Id,
}

impl std::fmt::Debug for Sig<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.m.inner.borrow().describe(self.id))
    }
}

impl<'m> Sig<'m> {
    /// The module this value belongs to.
    pub fn module(&self) -> &'m Module {
        self.m
    }

    /// Width in bits.
    pub fn width(&self) -> u32 {
        self.m.inner.borrow().node(self.id).width
    }

    /// Pipeline stage: clocks after the module's stage 0. `None`: valid at any stage.
    pub fn stage(&self) -> Option<u32> {
        self.m.inner.borrow().node(self.id).stage
    }

    /// The record layout, if there is one.
    pub fn record(&self) -> Option<Record> {
        self.m.inner.borrow().node(self.id).record.clone()
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&Inner) -> T) -> T {
        f(&self.m.inner.borrow())
    }

    /// The value, if it is a constant. Constants which choose are applied at once: linters warn of the rest.
    pub(crate) fn constant(&self) -> Option<Bits> {
        self.with(|i| match &i.node(self.id).op {
            Op::Const(bits) => Some(bits.clone()),
            _ => None,
        })
    }

    pub(crate) fn edit<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.m.inner.borrow_mut())
    }

    /// Another node for the same value, without hardware.
    pub(crate) fn alias(self, stage: Option<u32>, at: &'static Location<'static>) -> Sig<'m> {
        self.edit(|i| {
            let (width, record, valid) = {
                let n = i.node(self.id);
                (n.width, n.record.clone(), n.valid)
            };
            let id = i.push(Op::Wire(Some(self.id)), width, stage, at);
            let node = &mut i.nodes[id as usize];
            (node.record, node.valid) = (record, valid);
            self.m.sig(id)
        })
    }

    /// Gives the value a name in the Verilog and for the evaluator. A second name makes a second wire.
    #[track_caller]
    pub fn named(self, name: &str) -> Sig<'m> {
        let at = Location::caller();
        let free = self.with(|i| {
            let n = i.node(self.id);
            n.name.is_none() && n.op != Op::Poison
        });
        let sig = if free {
            self
        } else {
            self.alias(self.stage(), at)
        };
        sig.edit(|i| i.nodes[sig.id as usize].name = Some(name.into()));
        sig
    }

    /// Keeps the value in the Verilog and the evaluator even if nothing uses it.
    pub fn keep(self) -> Sig<'m> {
        self.edit(|i| i.kept.push(self.id));
        self
    }

    /// Says which fields the bits are. The record must have exactly the value's width.
    #[track_caller]
    pub fn with_record(self, record: &Record) -> Sig<'m> {
        let at = Location::caller();
        if !self.m.usable(at, &[self]) {
            return self;
        }
        if let Some((field, problem)) = record.bad_field() {
            let kind = ErrorKind::RecordField {
                record: record.name().into(),
                field: field.into(),
                problem,
            };
            return self.m.fail(at, record.width(), kind);
        }
        if record.width() != self.width() {
            let sig = self.with(|i| i.describe(self.id));
            let what = format!("record `{}`", record.name());
            return self.m.fail(
                at,
                record.width(),
                ErrorKind::WidthExpected {
                    what,
                    sig,
                    expected: record.width(),
                },
            );
        }
        let sig = if self.record().is_none() {
            self
        } else {
            self.alias(self.stage(), at)
        };
        sig.edit(|i| i.nodes[sig.id as usize].record = Some(record.clone()));
        sig
    }

    /// The bits of one field of the value's record.
    #[track_caller]
    pub fn field(self, name: &str) -> Sig<'m> {
        let at = Location::caller();
        if !self.m.usable(at, &[self]) {
            return self.m.poison(at, 1);
        }
        let record = self.record();
        match record.as_ref().and_then(|r| r.field(name)) {
            Some(f) => self.cut(f.offset, f.width, at),
            None => {
                let sig = self.with(|i| i.describe(self.id));
                let known = record.map_or("no record".into(), |r| r.names());
                self.m.fail(
                    at,
                    1,
                    ErrorKind::NoField {
                        sig,
                        field: name.into(),
                        known,
                    },
                )
            }
        }
    }

    /// The same record with one field replaced.
    #[track_caller]
    pub fn with_field(self, name: &str, value: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        let old = self.field(name);
        if !self.m.usable(at, &[self, old, value]) {
            return self.m.poison(at, self.width());
        }
        let Some(record) = self.record() else {
            return self.m.poison(at, self.width());
        };
        let Some(f) = record.field(name) else {
            return self.m.poison(at, self.width());
        };
        if !value.expect_width(
            || format!("field `{name}` of record `{}`", record.name()),
            f.width,
            at,
        ) {
            return self.m.poison(at, self.width());
        }
        let mut parts = vec![];
        let end = f.offset + f.width;
        if end < self.width() {
            parts.push(self.cut(end, self.width() - end, at));
        }
        parts.push(value);
        if f.offset > 0 {
            parts.push(self.cut(0, f.offset, at));
        }
        self.m.concat_at(&parts, at).with_record(&record)
    }

    /// Records an error unless the value has `expected` bits.
    pub(crate) fn expect_width(
        self,
        what: impl FnOnce() -> String,
        expected: u32,
        at: &'static Location<'static>,
    ) -> bool {
        let ok = self.width() == expected;
        if !ok {
            let sig = self.with(|i| i.describe(self.id));
            self.edit(|i| {
                i.error(
                    at,
                    ErrorKind::WidthExpected {
                        what: what(),
                        sig,
                        expected,
                    },
                )
            });
        }
        ok
    }

    /// `width` bits from bit `lo`.
    #[track_caller]
    pub fn slice(self, lo: u32, width: u32) -> Sig<'m> {
        let at = Location::caller();
        match self.m.usable(at, &[self]) {
            true => self.cut(lo, width, at),
            false => self.m.poison(at, width),
        }
    }

    pub(crate) fn cut(self, lo: u32, width: u32, at: &'static Location<'static>) -> Sig<'m> {
        let whole = self.width();
        if width == 0 || lo.checked_add(width).is_none_or(|end| end > whole) {
            let sig = self.with(|i| i.describe(self.id));
            return self
                .m
                .fail(at, width, ErrorKind::SliceOutside { sig, lo, width });
        }
        if width == whole {
            return self;
        }
        self.edit(|i| {
            // A constant is cut now; a slice of an unnamed slice is one slice.
            let (mut src, mut from) = (self.id, lo);
            match &i.node(src).op {
                Op::Const(bits) if i.node(src).name.is_none() => {
                    let op = Op::Const(bits.slice(lo, width));
                    return self.m.sig(i.push(op, width, None, at));
                }
                Op::Slice(base, base_lo) if i.node(src).name.is_none() => {
                    (src, from) = (*base, base_lo + lo)
                }
                _ => {}
            }
            if let Some(id) = i.slices.get(&(src, from, width)) {
                return self.m.sig(*id);
            }
            let stage = i.node(self.id).stage;
            let id = i.push(Op::Slice(src, from), width, stage, at);
            i.slices.insert((src, from, width), id);
            self.m.sig(id)
        })
    }

    /// Bit `i`.
    #[track_caller]
    pub fn bit(self, i: u32) -> Sig<'m> {
        self.slice(i, 1)
    }

    /// The most significant bit.
    #[track_caller]
    pub fn msb(self) -> Sig<'m> {
        self.slice(self.width() - 1, 1)
    }

    /// All bits as one-bit values, lowest first.
    #[track_caller]
    pub fn bits(self) -> Vec<Sig<'m>> {
        let at = Location::caller();
        match self.m.usable(at, &[self]) {
            true => (0..self.width()).map(|i| self.cut(i, 1, at)).collect(),
            false => vec![self.m.poison(at, 1); self.width() as usize],
        }
    }

    /// The value cut into pieces of `width` bits, lowest first; `width` must divide the value's width.
    #[track_caller]
    pub fn chunks(self, width: u32) -> Vec<Sig<'m>> {
        let at = Location::caller();
        if width == 0 || !self.width().is_multiple_of(width) {
            let (what, value) = (format!("chunk width of {self:?}"), u64::from(width));
            let kind = ErrorKind::Parameter {
                what,
                value,
                rule: "must divide the value's width",
            };
            return vec![self.m.fail(at, width, kind)];
        }
        (0..self.width() / width)
            .map(|i| self.slice(i * width, width))
            .collect()
    }
}
