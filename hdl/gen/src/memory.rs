//! Memories, from few templates which yosys and Vivado are known to map on block RAM and UltraRAM.

use std::cell::Cell;
use std::panic::Location;

use crate::error::ErrorKind;
use crate::module::Module;
use crate::node::{Collision, Id, Mem, Op, RamStyle};
use crate::record::Record;
use crate::select::clog2;
use crate::sig::Sig;

/// Size and kind of a memory.
#[derive(Debug, Clone)]
pub struct RamSpec {
    /// Number of rows, at least one.
    pub rows: u32,
    /// Bits in a row.
    pub width: u32,
    /// Clocks from address to data: 1, or 2 with the output register (about twice the Fmax).
    pub latency: u32,
    /// Which FPGA memory to ask for.
    pub style: RamStyle,
    /// What a read gives which meets a write of the same row.
    pub collision: Collision,
    /// The fields of a row.
    pub record: Option<Record>,
}

impl RamSpec {
    /// A memory with read latency 2 for which the tool chooses the kind.
    pub fn new(rows: u32, width: u32) -> Self {
        RamSpec {
            rows,
            width,
            latency: 2,
            style: RamStyle::Auto,
            collision: Collision::Old,
            record: None,
        }
    }

    /// A memory of records.
    pub fn of(rows: u32, record: &Record) -> Self {
        RamSpec {
            record: Some(record.clone()),
            ..Self::new(rows, record.width())
        }
    }

    /// With this read latency: 1 or 2 clocks.
    pub fn latency(self, latency: u32) -> Self {
        RamSpec { latency, ..self }
    }

    /// With this `ram_style`.
    pub fn style(self, style: RamStyle) -> Self {
        RamSpec { style, ..self }
    }

    /// With this rule for a read which meets a write of the same row.
    pub fn collision(self, collision: Collision) -> Self {
        RamSpec { collision, ..self }
    }

    /// Bits of an address: [`clog2`]`(rows)`, at least one.
    pub fn addr_width(&self) -> u32 {
        clog2(self.rows).max(1)
    }
}

/// A memory: one read port for the pipeline, and one port which writes ([`Ram::write`]) or which
/// reads and writes ([`Ram::config`]). Rows are zero at power-up (also of UltraRAM).
///
/// - A read which meets a write of the same row in the same clock gives what [`Collision`] says: the
///   row's old value unless asked otherwise.
/// - Reading beyond the last row gives zero in the evaluator and is undefined in hardware.
pub struct Ram<'m> {
    m: &'m Module,
    mem: usize,
    spec: RamSpec,
    read: Cell<bool>,
    bad: bool,
}

impl Module {
    /// A memory; use its ports through [`Ram::read`] and [`Ram::write`] or [`Ram::config`].
    #[track_caller]
    pub fn ram(&self, name: &str, spec: RamSpec) -> Ram<'_> {
        let at = Location::caller();
        let errors = self.inner.borrow().errors.len();
        self.check_width(name, spec.width, at);
        let mut inner = self.inner.borrow_mut();
        let mut parameter = |what: &str, value: u32, ok: bool, rule| {
            if !ok {
                let what = format!("{what} of memory `{name}`");
                inner.error(
                    at,
                    ErrorKind::Parameter {
                        what,
                        value: value.into(),
                        rule,
                    },
                );
            }
        };
        parameter(
            "rows",
            spec.rows,
            (1..=1 << 26).contains(&spec.rows),
            "1 to 2^26",
        );
        parameter(
            "latency",
            spec.latency,
            matches!(spec.latency, 1 | 2),
            "1 or 2 clocks",
        );
        if let Some(r) = spec.record.as_ref().filter(|r| r.width() != spec.width) {
            let what = format!("width of memory `{name}` of record `{}`", r.name());
            let rule = "must be the record's width";
            inner.error(
                at,
                ErrorKind::Parameter {
                    what,
                    value: spec.width.into(),
                    rule,
                },
            );
        }
        inner.mems.push(Mem {
            name: name.into(),
            rows: spec.rows,
            width: spec.width,
            style: spec.style,
            collision: spec.collision,
            latency: spec.latency,
            write: None,
            reads: vec![],
            record: spec.record.clone(),
            at,
        });
        let (mem, bad) = (inner.mems.len() - 1, inner.errors.len() > errors);
        Ram {
            m: self,
            mem,
            spec,
            read: Cell::new(false),
            bad,
        }
    }
}

impl<'m> Ram<'m> {
    /// What the memory was asked to be.
    pub fn spec(&self) -> &RamSpec {
        &self.spec
    }

    /// Bits of an address.
    pub fn addr_width(&self) -> u32 {
        self.spec.addr_width()
    }

    fn name(&self) -> String {
        self.m.inner.borrow().mems[self.mem].name.clone()
    }

    /// Checks width of each `(what, signal, width)`, joins their stages.
    fn port(
        &self,
        args: &[(&str, Sig<'m>, u32)],
        at: &'static Location<'static>,
    ) -> Option<(Vec<Id>, Option<u32>)> {
        let sigs: Vec<_> = args.iter().map(|a| a.1).collect();
        if self.bad || !self.m.usable(at, &sigs) {
            return None;
        }
        let name = self.name();
        let mut ok = true;
        for (what, sig, width) in args {
            ok &= sig.expect_width(|| format!("{what} of memory `{name}`"), *width, at);
        }
        let mut ids: Vec<Id> = sigs.iter().map(|s| s.id).collect();
        let stage = self.m.inner.borrow_mut().join(&mut ids, at);
        ok.then_some((ids, stage))
    }

    fn read_node(
        &self,
        op: Op,
        stage: Option<u32>,
        at: &'static Location<'static>,
        suffix: &str,
    ) -> Sig<'m> {
        let name = self.name();
        let first = self.m.push(op, self.spec.width, stage.map(|s| s + 1), at);
        self.m.inner.borrow_mut().mems[self.mem]
            .reads
            .push(first.id);
        let first = match &self.spec.record {
            Some(record) => first.with_record(record),
            None => first,
        };
        let first = first.named(&format!("{name}_{suffix}"));
        first.delay(self.spec.latency - 1)
    }

    /// The row at `addr`, [`RamSpec::latency`] clocks (and stages) later.
    #[track_caller]
    pub fn read(&self, addr: Sig<'m>) -> Sig<'m> {
        self.read_at(addr, None, Location::caller())
    }

    /// As [`Ram::read`], only where the one-bit `enable` is set; otherwise the last row stays.
    ///
    /// The output register of latency 2 is not held: it follows one clock later.
    #[track_caller]
    pub fn read_when(&self, enable: Sig<'m>, addr: Sig<'m>) -> Sig<'m> {
        self.read_at(addr, Some(enable), Location::caller())
    }

    /// The row at `addr`, in the same clock and stage: look-up tables alone can do it ([`RamStyle::Distributed`], latency 1). What is
    /// written comes a clock behind.
    #[track_caller]
    pub fn look(&self, addr: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        let name = self.name();
        if self.spec.style != RamStyle::Distributed || self.spec.latency != 1 {
            let what = format!("look at memory `{name}`");
            let rule = "must be a memory of look-up tables, of latency 1";
            let value = self.spec.latency.into();
            let kind = ErrorKind::Parameter { what, value, rule };
            return self.m.fail(at, self.spec.width, kind);
        }
        if self.read.replace(true) {
            let kind = ErrorKind::SetTwice(format!("{name} read port"));
            return self.m.fail(at, self.spec.width, kind);
        }
        let Some((ids, stage)) = self.port(&[("read address", addr, self.addr_width())], at) else {
            return self.m.poison(at, self.spec.width);
        };
        let (mem, addr) = (self.mem, ids[0]);
        let row = self
            .m
            .push(Op::MemLook { mem, addr }, self.spec.width, stage, at);
        self.m.inner.borrow_mut().mems[mem].reads.push(row.id);
        let row = match &self.spec.record {
            Some(record) => row.with_record(record),
            None => row,
        };
        row.named(&format!("{name}_look"))
    }

    fn read_at(
        &self,
        addr: Sig<'m>,
        enable: Option<Sig<'m>>,
        at: &'static Location<'static>,
    ) -> Sig<'m> {
        if self.read.replace(true) {
            let name = format!("{} read port", self.name());
            return self.m.fail(at, self.spec.width, ErrorKind::SetTwice(name));
        }
        let mut args = vec![("read address", addr, self.addr_width())];
        args.extend(enable.map(|e| ("read enable", e, 1)));
        let Some((ids, stage)) = self.port(&args, at) else {
            return self.m.poison(at, self.spec.width);
        };
        let op = Op::MemRead {
            mem: self.mem,
            addr: ids[0],
            en: ids.get(1).copied(),
            port_b: false,
        };
        self.read_node(op, stage, at, "q")
    }

    /// The write port of a simple dual-port memory: writes `data` to row `addr` where `enable` is set.
    #[track_caller]
    pub fn write(&self, enable: Sig<'m>, addr: Sig<'m>, data: Sig<'m>) {
        self.write_at(enable, addr, data, Location::caller());
    }

    fn write_at(
        &self,
        enable: Sig<'m>,
        addr: Sig<'m>,
        data: Sig<'m>,
        at: &'static Location<'static>,
    ) -> Option<(Vec<Id>, Option<u32>)> {
        let width = self.spec.width;
        let args = [
            ("write enable", enable, 1),
            ("write address", addr, self.addr_width()),
            ("write data", data, width),
        ];
        let port = self.port(&args, at);
        let name = self.name();
        let mut inner = self.m.inner.borrow_mut();
        let Some((ids, _)) = &port else {
            // Already reported; only the missing write must not be reported too.
            inner.mems[self.mem]
                .write
                .get_or_insert((enable.id, addr.id, data.id));
            return None;
        };
        if inner.mems[self.mem]
            .write
            .replace((ids[0], ids[1], ids[2]))
            .is_some()
        {
            inner.error(at, ErrorKind::SetTwice(format!("{name} write port")));
        }
        port
    }

    /// Port B of a true dual-port memory, for configuration: where `write` is set, writes `data` to row
    /// `addr`, else reads row `addr`. The result, [`RamSpec::latency`] clocks later, keeps its value
    /// while rows are written ("no change", the only mode which block RAM and UltraRAM share).
    #[track_caller]
    pub fn config(&self, write: Sig<'m>, addr: Sig<'m>, data: Sig<'m>) -> Sig<'m> {
        let at = Location::caller();
        let Some((ids, stage)) = self.write_at(write, addr, data, at) else {
            return self.m.poison(at, self.spec.width);
        };
        let op = Op::MemRead {
            mem: self.mem,
            addr: ids[1],
            en: None,
            port_b: true,
        };
        self.read_node(op, stage, at, "cfg_q")
    }

    /// As [`Ram::config`], but reads only where the one-bit `read` is set and `write` is not; both registers of
    /// latency 2 keep the last row otherwise, so that a memory nobody asks costs a simulation nothing. All inputs
    /// are without stage.
    #[track_caller]
    pub fn config_when(
        &self,
        write: Sig<'m>,
        read: Sig<'m>,
        addr: Sig<'m>,
        data: Sig<'m>,
    ) -> Sig<'m> {
        let mut row = self.config_held(write, read, addr, data);
        let (name, mut read) = (self.name(), read);
        for n in 1..self.spec.latency {
            read = read.reg();
            let next = self
                .m
                .reg_no_reset(&format!("{name}_cfg_q{n}"), self.spec.width);
            next.set_when(read, row);
            row = next.q();
        }
        row
    }

    /// As [`Ram::config_when`], a clock after `read` whatever the latency: the row is the memory's own register, which
    /// keeps it until the next read.
    #[track_caller]
    pub fn config_held(
        &self,
        write: Sig<'m>,
        read: Sig<'m>,
        addr: Sig<'m>,
        data: Sig<'m>,
    ) -> Sig<'m> {
        let at = Location::caller();
        let Some((ids, stage)) = self.write_at(write, addr, data, at) else {
            return self.m.poison(at, self.spec.width);
        };
        let name = self.name();
        if !self.m.usable(at, &[read])
            || !read.expect_width(|| format!("read enable of memory `{name}`"), 1, at)
        {
            return self.m.poison(at, self.spec.width);
        }
        let op = Op::MemRead {
            mem: self.mem,
            addr: ids[1],
            en: Some(read.id),
            port_b: true,
        };
        let first = self.m.push(op, self.spec.width, stage.map(|s| s + 1), at);
        self.m.inner.borrow_mut().mems[self.mem]
            .reads
            .push(first.id);
        first.named(&format!("{name}_cfg_q"))
    }
}
