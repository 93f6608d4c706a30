//! The builder of one module: ports, names, errors.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;

use crate::bits::Bits;
use crate::circuit::Circuit;
use crate::error::{At, ErrorKind, GenError, Named};
use crate::node::{Id, Inst, Mem, Node, Op, Prop};
use crate::record::Record;
use crate::sig::Sig;

/// A module being built. Its [`Sig`]s borrow it and are `Copy`.
///
/// Mistakes do not panic: they are collected and [`Module::finish`] returns all of them.
pub struct Module {
    pub(crate) inner: RefCell<Inner>,
}

#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub name: String,
    pub id: Id,
    pub at: &'static Location<'static>,
}

pub(crate) struct Inner {
    pub name: String,
    pub doc: String,
    pub at: &'static Location<'static>,
    pub nodes: Vec<Node>,
    pub inputs: Vec<Id>,
    pub outputs: Vec<Output>,
    pub mems: Vec<Mem>,
    pub insts: Vec<Inst>,
    pub props: Vec<Prop>,
    pub kept: Vec<Id>,
    pub errors: Vec<GenError>,
    pub slices: HashMap<(Id, u32, u32), Id>,
    pub delays: HashMap<Id, Id>,
}

impl Inner {
    pub fn error(&mut self, at: &'static Location<'static>, kind: ErrorKind) {
        let error = GenError {
            module: self.name.clone(),
            at: At(at),
            kind,
        };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub fn push(
        &mut self,
        op: Op,
        width: u32,
        stage: Option<u32>,
        at: &'static Location<'static>,
    ) -> Id {
        let id = self.nodes.len() as Id;
        let (name, record, delay_of) = (None, None, None);
        self.nodes.push(Node {
            op,
            width,
            stage,
            name,
            record,
            valid: false,
            delay_of,
            rest: None,
            linear: None,
            at,
        });
        id
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub fn is_poison(&self, id: Id) -> bool {
        self.node(id).op == Op::Poison
    }

    /// The name of a node, or for an unnamed one what it is and where it came from.
    pub fn describe(&self, id: Id) -> Named {
        let node = self.node(id);
        let name = match (&node.name, &node.op, node.delay_of) {
            (Some(name), ..) => name.clone(),
            (None, _, Some((root, n))) => format!("{} delayed by {n}", self.describe(root).name),
            (None, Op::Slice(src, lo), _) => self.slice_name(*src, *lo, node.width),
            (None, Op::Const(bits), _) => bits.to_string(),
            (None, Op::Wire(Some(src)), _) => self.describe(*src).name,
            (None, op, _) => format!("unnamed {} of {}", op.word(), At(node.at)),
        };
        Named {
            name,
            width: node.width,
        }
    }

    /// `flow.vid` where the slice is a field, else `flow[7:0]`.
    fn slice_name(&self, src: Id, lo: u32, width: u32) -> String {
        let base = self.describe(src).name;
        let fields = self
            .node(src)
            .record
            .as_ref()
            .map_or(&[][..], |r| r.fields());
        match fields.iter().find(|f| f.offset == lo && f.width == width) {
            Some(f) => format!("{base}.{}", f.name),
            None => format!("{base}[{}:{lo}]", lo + width - 1),
        }
    }
}

impl Module {
    /// Starts a module. The name becomes the Verilog module and file name.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let at = Location::caller();
        Module {
            inner: RefCell::new(Inner {
                name: name.into(),
                doc: String::new(),
                at,
                nodes: vec![],
                inputs: vec![],
                outputs: vec![],
                mems: vec![],
                insts: vec![],
                props: vec![],
                kept: vec![],
                errors: vec![],
                slices: HashMap::new(),
                delays: HashMap::new(),
            }),
        }
    }

    /// Text for the head of the Verilog file: what the module does.
    pub fn doc(&self, text: &str) -> &Self {
        self.inner.borrow_mut().doc = text.into();
        self
    }

    /// Name of the module.
    pub fn name(&self) -> String {
        self.inner.borrow().name.clone()
    }

    pub(crate) fn sig(&self, id: Id) -> Sig<'_> {
        Sig { m: self, id }
    }

    pub(crate) fn push(
        &self,
        op: Op,
        width: u32,
        stage: Option<u32>,
        at: &'static Location<'static>,
    ) -> Sig<'_> {
        let id = self.inner.borrow_mut().push(op, width, stage, at);
        self.sig(id)
    }

    /// Records a mistake and gives a signal with which building can go on.
    pub(crate) fn fail(
        &self,
        at: &'static Location<'static>,
        width: u32,
        kind: ErrorKind,
    ) -> Sig<'_> {
        self.inner.borrow_mut().error(at, kind);
        self.poison(at, width)
    }

    pub(crate) fn poison(&self, at: &'static Location<'static>, width: u32) -> Sig<'_> {
        self.push(Op::Poison, width.max(1), None, at)
    }

    /// Whether all signals belong to this module and none is the result of an earlier mistake.
    pub(crate) fn usable(&self, at: &'static Location<'static>, sigs: &[Sig<'_>]) -> bool {
        for s in sigs {
            if !std::ptr::eq(self, s.m) {
                let sig = s.m.inner.borrow().describe(s.id);
                let other = s.m.name();
                self.inner
                    .borrow_mut()
                    .error(at, ErrorKind::Foreign { sig, other });
                return false;
            }
        }
        let inner = self.inner.borrow();
        sigs.iter().all(|s| !inner.is_poison(s.id))
    }

    fn new_input(
        &self,
        name: &str,
        width: u32,
        stage: Option<u32>,
        at: &'static Location<'static>,
    ) -> Sig<'_> {
        self.check_width(name, width, at);
        let sig = self.push(Op::Input, width.max(1), stage, at);
        let mut inner = self.inner.borrow_mut();
        inner.nodes[sig.id as usize].name = Some(name.into());
        inner.inputs.push(sig.id);
        sig
    }

    pub(crate) fn check_width(&self, name: &str, width: u32, at: &'static Location<'static>) {
        const LIMIT: u32 = 1 << 20;
        if width == 0 || width > LIMIT {
            let (what, value) = (format!("width of `{name}`"), u64::from(width));
            self.inner.borrow_mut().error(
                at,
                ErrorKind::Parameter {
                    what,
                    value,
                    rule: "1 bit to 2^20 bits",
                },
            );
        }
    }

    /// An input without stage: configuration, stream handshakes, anything sequential.
    #[track_caller]
    pub fn input(&self, name: &str, width: u32) -> Sig<'_> {
        self.new_input(name, width, None, Location::caller())
    }

    /// An input which belongs to pipeline stage `stage`.
    #[track_caller]
    pub fn input_at(&self, name: &str, width: u32, stage: u32) -> Sig<'_> {
        self.new_input(name, width, Some(stage), Location::caller())
    }

    /// A one-bit input at `stage` whose delay registers are reset, see [`Sig::as_valid`].
    #[track_caller]
    pub fn input_valid(&self, name: &str, stage: u32) -> Sig<'_> {
        self.new_input(name, 1, Some(stage), Location::caller())
            .as_valid()
    }

    /// An input which is a record; at a stage or stage-less.
    #[track_caller]
    pub fn input_record(&self, name: &str, record: &Record, stage: Option<u32>) -> Sig<'_> {
        self.new_input(name, record.width(), stage, Location::caller())
            .with_record(record)
    }

    /// An output at whatever stage the value has (or none).
    #[track_caller]
    pub fn output(&self, name: &str, sig: Sig<'_>) {
        let at = Location::caller();
        if self.usable(at, &[sig]) {
            let output = Output {
                name: name.into(),
                id: sig.id,
                at,
            };
            self.inner.borrow_mut().outputs.push(output);
        }
    }

    /// An output demanded at `stage`: delayed up to it; an error if the value exists only later.
    #[track_caller]
    pub fn output_at(&self, name: &str, sig: Sig<'_>, stage: u32) {
        self.output(name, sig.to_stage(stage));
    }

    /// A constant of `width` bits; an error if `value` does not fit.
    #[track_caller]
    pub fn lit(&self, width: u32, value: u128) -> Sig<'_> {
        let at = Location::caller();
        self.check_width("constant", width, at);
        match Bits::fits(width, value) {
            true => self.push(Op::Const(Bits::new(width, value)), width.max(1), None, at),
            false => self.fail(at, width, ErrorKind::ConstTooWide { value, width }),
        }
    }

    /// A constant of any width, from [`Bits`] (see [`Bits::from_limbs`], [`Bits::from_bytes_le`]).
    #[track_caller]
    pub fn lit_bits(&self, value: &Bits) -> Sig<'_> {
        self.check_width("constant", value.width(), Location::caller());
        self.push(
            Op::Const(value.clone()),
            value.width().max(1),
            None,
            Location::caller(),
        )
    }

    /// Refuses a parameter with which the module cannot be built: [`Module::finish`] then fails with
    /// [`ErrorKind::Parameter`]. `rule` says what the parameter must satisfy.
    #[track_caller]
    pub fn refuse(&self, what: &str, value: u64, rule: &'static str) {
        let kind = ErrorKind::Parameter {
            what: what.into(),
            value,
            rule,
        };
        self.inner.borrow_mut().error(Location::caller(), kind);
    }

    /// Checks the module, drops what nothing uses, and makes it ready to print, evaluate and instantiate.
    ///
    /// # Errors
    /// Everything that was found wrong since [`Module::new`], and combinational loops, missing
    /// assignments and name clashes, which only the whole shows.
    pub fn finish(&self) -> Result<Circuit, Vec<GenError>> {
        crate::check::finish(&self.inner.borrow())
    }
}
