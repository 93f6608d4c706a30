//! Evaluating a module, with its children and memories, clock by clock.

mod exec;
mod flatten;

use std::collections::HashMap;

use crate::bits::{Bits, limbs_for};
use crate::circuit::Circuit;
use crate::node::PropKind;
pub(crate) use flatten::constant;

use exec::{Instr, MemState, RegState};

/// Where a signal's value lies; found once by [`Sim::handle`], then used without looking up its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    offset: usize,
    width: u32,
    kind: HandleKind,
}

impl Handle {
    /// Width in bits.
    pub fn width(&self) -> u32 {
        self.width
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandleKind {
    Input,
    State,
    Comb,
}

/// A mistake in using the evaluator, or a property which failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// No such signal or memory.
    #[error("`{design}` has no {what} `{name}`; near: {near}")]
    Unknown {
        /// The design.
        design: String,
        /// signal or memory.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// Names which are like it.
        near: String,
    },
    /// Only inputs of the top can be set.
    #[error("`{0}` is not an input")]
    NotInput(String),
    /// Only registers can be poked.
    #[error("`{0}` is not a register")]
    NotRegister(String),
    /// The value needs more bits.
    #[error("{value} does not fit in `{name}` ({width} bits)")]
    TooWide {
        /// Signal or memory.
        name: String,
        /// Its width.
        width: u32,
        /// The value.
        value: Bits,
    },
    /// No such row.
    #[error("memory `{name}` has {rows} rows, not row {row}")]
    NoRow {
        /// The memory.
        name: String,
        /// Its rows.
        rows: u32,
        /// The row asked for.
        row: u32,
    },
    /// A register took another value in a clock in which it should rest ([`crate::Reg::rests_unless`]).
    #[error("`{name}` changes in clock {cycle}, in which it should rest")]
    Restless {
        /// The register, with the path of instances.
        name: String,
        /// Clocks since the evaluator was made.
        cycle: u64,
    },
    /// An assertion or assumption did not hold.
    #[error("{kind:?} `{name}` fails in clock {cycle}")]
    Property {
        /// Assert or assume.
        kind: PropKind,
        /// Its name, with the path of instances.
        name: String,
        /// Clocks since the evaluator was made.
        cycle: u64,
    },
}

/// The evaluator of one design. Registers start at their reset values (others at zero), memories at zero.
///
/// Signals are found by their Verilog names, those of children as `instance.signal`. The methods which
/// take names panic on a wrong one with a list of similar names, as an assertion of the test they are
/// used in; `try_` variants and [`Sim::handle`] return a [`SimError`] instead.
pub struct Sim {
    design: String,
    vals: Vec<u64>,
    next: Vec<u64>,
    program: Vec<Instr>,
    regs: Vec<RegState>,
    mems: Vec<MemState>,
    props: Vec<PropState>,
    signals: HashMap<String, Handle>,
    mem_names: HashMap<String, usize>,
    reset: bool,
    dirty: bool,
    cycle: u64,
}

struct PropState {
    kind: PropKind,
    name: String,
    offset: usize,
    uses_rst: bool,
    hits: u64,
}

impl Sim {
    /// Makes the evaluator; all inputs are zero, reset is off.
    pub fn new(circuit: &Circuit) -> Self {
        flatten::build(circuit)
    }

    /// Finds a signal by name.
    ///
    /// # Errors
    /// [`SimError::Unknown`].
    pub fn handle(&self, name: &str) -> Result<Handle, SimError> {
        self.signals
            .get(name)
            .copied()
            .ok_or_else(|| self.unknown("signal", name, self.signals.keys()))
    }

    fn unknown<'a>(
        &self,
        what: &'static str,
        name: &str,
        all: impl Iterator<Item = &'a String>,
    ) -> SimError {
        let last = name.rsplit('.').next().unwrap_or(name);
        let mut near: Vec<&str> = all
            .map(String::as_str)
            .filter(|n| n.contains(last) || last.contains(*n))
            .collect();
        near.sort_unstable();
        near.truncate(12);
        SimError::Unknown {
            design: self.design.clone(),
            what,
            name: name.into(),
            near: near.join(", "),
        }
    }

    /// All signal names, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.signals.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Clocks since the evaluator was made.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Sets an input.
    ///
    /// # Errors
    /// Unknown name, not an input, or a value which does not fit.
    pub fn try_set(&mut self, name: &str, value: &Bits) -> Result<(), SimError> {
        if name == "rst" {
            self.set_reset(!value.is_zero());
            return Ok(());
        }
        let handle = self.handle(name)?;
        if handle.kind != HandleKind::Input {
            return Err(SimError::NotInput(name.into()));
        }
        self.put(handle, name, value)
    }

    fn put(&mut self, handle: Handle, name: &str, value: &Bits) -> Result<(), SimError> {
        let fitted = value.resize(handle.width);
        let surplus = fitted.resize(value.width()) != *value;
        if surplus {
            let value = value.clone();
            return Err(SimError::TooWide {
                name: name.into(),
                width: handle.width,
                value,
            });
        }
        let n = limbs_for(handle.width);
        self.vals[handle.offset..handle.offset + n].copy_from_slice(fitted.limbs());
        self.dirty = true;
        Ok(())
    }

    /// Sets an input from a `u64`.
    ///
    /// # Panics
    /// Unknown name, not an input, or a value which does not fit.
    #[track_caller]
    pub fn set(&mut self, name: &str, value: u64) {
        self.set_bits(name, &Bits::new(64, value.into()));
    }

    /// Sets an input of any width; missing upper bits are zero.
    ///
    /// # Panics
    /// As [`Sim::set`].
    #[track_caller]
    pub fn set_bits(&mut self, name: &str, value: &Bits) {
        if let Err(error) = self.try_set(name, value) {
            panic!("{error}");
        }
    }

    /// Sets an input through its handle; surplus bits are cut.
    pub fn write(&mut self, handle: Handle, value: &Bits) {
        debug_assert_eq!(handle.kind, HandleKind::Input);
        let n = limbs_for(handle.width);
        self.vals[handle.offset..handle.offset + n]
            .copy_from_slice(value.resize(handle.width).limbs());
        self.dirty = true;
    }

    /// Reads a signal through its handle.
    pub fn read(&mut self, handle: Handle) -> Bits {
        if handle.kind == HandleKind::Comb {
            self.settle();
        }
        Bits::from_limbs(
            handle.width,
            &self.vals[handle.offset..handle.offset + limbs_for(handle.width)],
        )
    }

    /// The value of any signal in this clock.
    ///
    /// # Errors
    /// Unknown name.
    pub fn try_get(&mut self, name: &str) -> Result<Bits, SimError> {
        let handle = self.handle(name)?;
        Ok(self.read(handle))
    }

    /// The value of any signal in this clock.
    ///
    /// # Panics
    /// Unknown name.
    #[track_caller]
    pub fn get_bits(&mut self, name: &str) -> Bits {
        match self.try_get(name) {
            Ok(bits) => bits,
            Err(error) => panic!("{error}"),
        }
    }

    /// The value of a signal as `u64`.
    ///
    /// # Panics
    /// Unknown name, or a value of 2^64 or more.
    #[track_caller]
    pub fn get(&mut self, name: &str) -> u64 {
        let bits = self.get_bits(name);
        match bits.to_u64() {
            Some(value) => value,
            None => panic!("`{name}` is {bits}, more than 64 bits; use get_bits"),
        }
    }

    /// Switches the synchronous reset on or off.
    pub fn set_reset(&mut self, on: bool) {
        self.reset = on;
    }

    /// One clock with reset on.
    pub fn reset(&mut self) {
        self.reset = true;
        self.step();
        self.reset = false;
    }

    /// One clock.
    ///
    /// # Errors
    /// The first assertion or assumption which does not hold; the clock has happened nevertheless.
    pub fn try_step(&mut self) -> Result<(), SimError> {
        self.settle();
        let failed = self.check();
        self.clock();
        self.cycle += 1;
        self.dirty = true;
        failed.map_or(Ok(()), Err)
    }

    /// One clock.
    ///
    /// # Panics
    /// An assertion or assumption does not hold.
    #[track_caller]
    pub fn step(&mut self) {
        if let Err(error) = self.try_step() {
            panic!("{}: {error}", self.design);
        }
    }

    /// `n` clocks with the same inputs.
    ///
    /// # Panics
    /// As [`Sim::step`].
    #[track_caller]
    pub fn step_n(&mut self, n: u32) {
        (0..n).for_each(|_| self.step());
    }

    /// Counts covers and finds the first property which fails, with the values before the clock edge.
    fn check(&mut self) -> Option<SimError> {
        let mut failed = None;
        for p in &mut self.props {
            let holds = self.vals[p.offset] & 1 == 1;
            if self.reset && p.uses_rst {
                continue;
            }
            match p.kind {
                PropKind::Cover => p.hits += u64::from(holds),
                kind if !holds && failed.is_none() => {
                    failed = Some(SimError::Property {
                        kind,
                        name: p.name.clone(),
                        cycle: self.cycle,
                    });
                }
                _ => {}
            }
        }
        failed.or_else(|| self.restless())
    }

    /// A register that is said to keep its value in this clock, and takes another one.
    fn restless(&self) -> Option<SimError> {
        let changes = |reg: &&RegState| {
            let rests = matches!(reg.rest, Some((unless, true)) if self.vals[unless] & 1 == 0);
            let resets = self.reset && reg.reset.is_some();
            let held = reg.enable.is_some_and(|e| self.vals[e] & 1 == 0);
            let value = |at: usize| &self.vals[at..at + reg.limbs];
            rests && !resets && !held && value(reg.dst) != value(reg.data)
        };
        let reg = self.regs.iter().find(changes)?;
        let same = |handle: &Handle| handle.kind == HandleKind::State && handle.offset == reg.dst;
        let names = self.signals.iter().filter(|(_, handle)| same(handle));
        let name = names.map(|(name, _)| name).min();
        Some(SimError::Restless {
            name: name.cloned().unwrap_or_default(),
            cycle: self.cycle,
        })
    }

    /// In how many clocks the cover of this name was reached; `None` if there is no such cover.
    pub fn covered(&self, name: &str) -> Option<u64> {
        self.props
            .iter()
            .find(|p| p.kind == PropKind::Cover && p.name == name)
            .map(|p| p.hits)
    }

    fn mem(&self, name: &str, row: u32) -> Result<usize, SimError> {
        let index = self.mem_names.get(name).copied();
        let index = index.ok_or_else(|| self.unknown("memory", name, self.mem_names.keys()))?;
        let rows = self.mems[index].rows;
        match row < rows {
            true => Ok(index),
            false => Err(SimError::NoRow {
                name: name.into(),
                rows,
                row,
            }),
        }
    }

    /// A row of a memory.
    ///
    /// # Errors
    /// Unknown memory or row.
    pub fn try_peek(&self, name: &str, row: u32) -> Result<Bits, SimError> {
        let mem = &self.mems[self.mem(name, row)?];
        let at = row as usize * limbs_for(mem.width);
        Ok(Bits::from_limbs(
            mem.width,
            &mem.rows_data[at..at + limbs_for(mem.width)],
        ))
    }

    /// Overwrites a row of a memory; missing upper bits are zero.
    ///
    /// # Errors
    /// Unknown memory or row, or a value which does not fit.
    pub fn try_poke(&mut self, name: &str, row: u32, value: &Bits) -> Result<(), SimError> {
        let index = self.mem(name, row)?;
        let mem = &mut self.mems[index];
        if value.resize(mem.width).resize(value.width()) != *value {
            return Err(SimError::TooWide {
                name: name.into(),
                width: mem.width,
                value: value.clone(),
            });
        }
        let (n, at) = (limbs_for(mem.width), row as usize * limbs_for(mem.width));
        mem.rows_data[at..at + n].copy_from_slice(value.resize(mem.width).limbs());
        Ok(())
    }

    /// A row of a memory.
    ///
    /// # Panics
    /// Unknown memory or row.
    #[track_caller]
    pub fn peek(&self, name: &str, row: u32) -> Bits {
        match self.try_peek(name, row) {
            Ok(bits) => bits,
            Err(error) => panic!("{error}"),
        }
    }

    /// Overwrites a row of a memory.
    ///
    /// # Panics
    /// Unknown memory or row, or a value which does not fit.
    #[track_caller]
    pub fn poke(&mut self, name: &str, row: u32, value: &Bits) {
        if let Err(error) = self.try_poke(name, row, value) {
            panic!("{error}");
        }
    }

    /// Overwrites a register, to start a test from a state (or to inject a fault).
    ///
    /// # Errors
    /// Unknown name, not a register, or a value which does not fit.
    pub fn poke_reg(&mut self, name: &str, value: &Bits) -> Result<(), SimError> {
        let handle = self.handle(name)?;
        match handle.kind {
            HandleKind::State => self.put(handle, name, value),
            _ => Err(SimError::NotRegister(name.into())),
        }
    }
}
