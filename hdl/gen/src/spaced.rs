//! Pipelines that are asked at most once in several clocks: few held registers instead of many.
//!
//! A pipeline with a value a clock needs a register for each clock a value waits. If values are
//! at least `clocks` apart, a register that takes a value as it comes keeps it for `clocks`
//! clocks, so waiting costs one register for that many, and what waits for much longer a [small memory](crate::waits). [`Circuit::spaced`] makes such a pipeline of
//! any staged one: same ports, same latency, and the input [`SPACED_VALID`], which says when a value
//! is at stage 0.

use std::collections::{HashMap, HashSet};

use crate::check;
use crate::circuit::{Circuit, Data};
use crate::error::GenError;
use crate::module::{Inner, Module, Output};
use crate::node::{Id, Op};
use crate::sig::Sig;
use crate::waits::{self, Hold};

/// Name of the input that says when a value is at stage 0; it is connected by itself.
pub const SPACED_VALID: &str = "spaced_valid";

/// Clocks beyond which nobody asks how long a value is kept: constants are for ever.
const LONG: u32 = 1 << 16;

/// Bits of a choice from which on it is not worth a register of its own: it is one level of logic more in front of what comes behind.
const WIDE_CHOICE: u32 = 32;

/// What was made of a module: the new one, and for each output for how many clocks behind its stage
/// it keeps its value.
type Spaced = (Circuit, Vec<u32>);

/// What was made of the modules of one design, which have one text each.
#[derive(Default)]
struct Known {
    /// By name: for how many clocks each input keeps its value wherever the module stands, and what was made of it.
    made: HashMap<String, (Vec<u32>, Spaced)>,
    /// Modules that stand in places of which one keeps its inputs for less than another: for these no input is taken to
    /// keep anything.
    differ: HashSet<String>,
}

impl Module {
    /// The input [`SPACED_VALID`]: one bit at stage 0, set with each value. For modules which are made
    /// for spaced values; [`Module::instance`] connects it to the parent's.
    #[track_caller]
    pub fn spaced_valid(&self) -> Sig<'_> {
        let known = {
            let inner = self.inner.borrow();
            let named = |id: &&Id| inner.node(**id).name.as_deref() == Some(SPACED_VALID);
            inner.inputs.iter().find(named).copied()
        };
        match known {
            Some(id) => self.sig(id),
            None => self.input_valid(SPACED_VALID, 0),
        }
    }
}

impl Circuit {
    /// The same pipeline for values at least `clocks` apart, with the input [`SPACED_VALID`].
    ///
    /// Outputs mean something in the clocks in which a value is at their stage, and in these alone.
    /// Sequential parts (values without a stage, and valid bits) stay as they are.
    ///
    /// # Errors
    /// None for a circuit the generator has made.
    pub fn spaced(&self, clocks: u32) -> Result<Circuit, Vec<GenError>> {
        if clocks < 2 {
            return Ok(self.clone());
        }
        let mut known = Known::default();
        loop {
            let before = known.differ.len();
            known.made.clear();
            let inputs = vec![0; self.inputs().len()];
            let (made, _) = spaced(self, inputs, clocks, &mut known)?;
            if known.differ.len() == before {
                return Ok(made);
            }
        }
    }
}

/// `inputs`: for how many clocks behind its stage each keeps its value.
fn spaced(
    circuit: &Circuit,
    mut inputs: Vec<u32>,
    clocks: u32,
    known: &mut Known,
) -> Result<Spaced, Vec<GenError>> {
    if known.differ.contains(circuit.name()) {
        inputs.fill(0);
    }
    if let Some((told, made)) = known.made.get(circuit.name()) {
        if told.iter().zip(&inputs).any(|(told, here)| told > here) {
            known.differ.insert(circuit.name().into());
        }
        return Ok(made.clone());
    }
    let data = &circuit.0;
    let ports = data.input_ports.iter().chain(&data.output_ports);
    let made = match ports.into_iter().any(|p| p.stage.is_some()) {
        true => held(data, &inputs, clocks, known)?,
        false => (circuit.clone(), vec![0; data.outputs.len()]),
    };
    let entry = (inputs, made.clone());
    known.made.insert(circuit.name().into(), entry);
    Ok(made)
}

/// A staged module, rebuilt.
fn held(
    data: &Data,
    inputs: &[u32],
    clocks: u32,
    known: &mut Known,
) -> Result<Spaced, Vec<GenError>> {
    let mut inner = reopened(data);
    let valid = valid_input(&mut inner);
    let mut holding = Holding {
        data,
        inputs,
        children: vec![None; data.insts.len()],
        asked: vec![false; data.insts.len()],
        known,
        errors: vec![],
        clocks,
        until: HashMap::new(),
    };
    for index in 0..data.insts.len() {
        holding.child(index);
    }
    let mut changes = vec![];
    for id in 0..data.nodes.len() as Id {
        if let Some((next, stage)) = holding.delay_register(id) {
            changes.push((id, next, stage, holding.still_there(id, next, stage)));
        }
    }
    let outputs = data.outputs.iter().zip(&data.output_ports);
    let kept = outputs
        .map(|((_, id), port)| match port.stage {
            Some(stage) if data.nodes[*id as usize].stage == Some(stage) => {
                holding.until(*id).saturating_sub(stage)
            }
            _ => 0,
        })
        .collect();
    if !holding.errors.is_empty() {
        return Err(holding.errors);
    }
    for (index, child) in holding.children.into_iter().enumerate() {
        child
            .into_iter()
            .for_each(|(child, _)| put(&mut inner, index, child, valid));
    }
    let mut holds = vec![];
    for (id, next, stage, there) in changes {
        let op = match inner.node(id).op.clone() {
            _ if there => Op::Wire(Some(next)),
            // A memory keeps what it has read by itself.
            Op::MemRead {
                mem, addr, port_b, ..
            } => {
                let at = inner.node(id).at;
                let en = Some(inner.delay_to(valid, stage - 1, at));
                Op::MemRead {
                    mem,
                    addr,
                    en,
                    port_b,
                }
            }
            _ => {
                let at = inner.node(id).at;
                let en = Some(inner.delay_to(valid, stage - 1, at));
                holds.push(Hold { id, next, stage });
                let next = Some(next);
                let reset = None;
                Op::Reg { next, en, reset }
            }
        };
        let node = &mut inner.nodes[id as usize];
        (node.op, node.rest) = (op, None);
    }
    waits::shorten(&mut inner, valid, clocks, &holds);
    Ok((check::finish(&inner)?, kept))
}

/// The builder's state of a finished module, without the errors it had none of.
fn reopened(data: &Data) -> Inner {
    let mut inner = Inner {
        name: data.name.clone(),
        doc: data.doc.clone(),
        at: data.at,
        nodes: data.nodes.clone(),
        inputs: data.inputs.clone(),
        outputs: vec![],
        mems: data.mems.clone(),
        insts: data.insts.clone(),
        props: data.props.clone(),
        kept: data.kept.clone(),
        errors: vec![],
        slices: HashMap::new(),
        delays: HashMap::new(),
    };
    for ((name, id), port) in data.outputs.iter().zip(&data.output_ports) {
        // The stage of an output may have been that of an alias, and aliases are gone.
        let node = inner.node(*id);
        let (mut id, at) = (*id, node.at);
        if node.stage != port.stage || node.valid != port.valid || node.record != port.record {
            id = inner.push(Op::Wire(Some(id)), port.width, port.stage, at);
            let alias = &mut inner.nodes[id as usize];
            (alias.record, alias.valid) = (port.record.clone(), port.valid);
        }
        let name = name.clone();
        inner.outputs.push(Output { name, id, at });
    }
    inner
}

fn valid_input(inner: &mut Inner) -> Id {
    let named = |id: &Id| inner.node(*id).name.as_deref() == Some(SPACED_VALID);
    if let Some(id) = inner.inputs.iter().copied().find(named) {
        return id;
    }
    let id = inner.push(Op::Input, 1, Some(0), inner.at);
    let node = &mut inner.nodes[id as usize];
    (node.name, node.valid) = (Some(SPACED_VALID.into()), true);
    inner.inputs.push(id);
    id
}

/// The stage of an instance's stage 0; `None` where no output has a stage.
fn base(data: &Data, index: usize) -> Option<u32> {
    let inst = &data.insts[index];
    let stages = inst.child.outputs().iter().zip(&inst.outputs);
    stages
        .filter_map(|(port, id)| Some(data.nodes[*id as usize].stage? - port.stage?))
        .next()
}

/// Puts the spaced child in the place of an instance's child.
fn put(inner: &mut Inner, index: usize, child: Circuit, valid: Id) {
    let inst = &inner.insts[index];
    let at = inst.at;
    if child.inputs().len() > inst.inputs.len() {
        let stages = inst.child.outputs().iter().zip(&inst.outputs);
        let base = stages
            .filter_map(|(port, id)| Some(inner.node(*id).stage? - port.stage?))
            .next();
        let valid = inner.delay_to(valid, base.unwrap_or(0), at);
        inner.insts[index].inputs.push(valid);
    }
    inner.insts[index].child = child;
}

/// Until which stage of its value a wire keeps it.
struct Holding<'a> {
    data: &'a Data,
    /// For how many clocks behind its stage each input keeps its value.
    inputs: &'a [u32],
    /// What was made of the instances' children.
    children: Vec<Option<Spaced>>,
    /// Whether that is being asked: an instance may stand in front of itself, with other ports.
    asked: Vec<bool>,
    known: &'a mut Known,
    errors: Vec<GenError>,
    clocks: u32,
    until: HashMap<Id, u32>,
}

impl Holding<'_> {
    /// For how many clocks behind its stage output `port` of an instance keeps its value.
    fn kept(&mut self, index: usize, port: usize) -> u32 {
        self.child(index);
        match &self.children[index] {
            Some((_, kept)) => kept[port],
            None => 0,
        }
    }

    /// Makes the child of an instance, unless that has begun.
    fn child(&mut self, index: usize) {
        if std::mem::replace(&mut self.asked[index], true) || base(self.data, index).is_none() {
            return;
        }
        let data = self.data;
        let inst = &data.insts[index];
        let ports = inst.child.inputs().iter().zip(&inst.inputs);
        let inputs = ports.map(
            |(port, id)| match (port.stage, data.nodes[*id as usize].stage) {
                (Some(_), Some(stage)) => self.until(*id).saturating_sub(stage).min(LONG),
                _ => 0,
            },
        );
        let inputs = inputs.collect();
        match spaced(&inst.child, inputs, self.clocks, self.known) {
            Ok(made) => self.children[index] = Some(made),
            Err(errors) => self.errors.extend(errors),
        }
    }

    /// What a register of the pipeline takes, or the row a memory's has read, and the register's stage; `None` for other
    /// nodes.
    fn delay_register(&self, id: Id) -> Option<(Id, u32)> {
        let node = &self.data.nodes[id as usize];
        match (&node.op, node.stage) {
            // Of latency 2 it is the register behind it that keeps the row: that one is asked for, so that a memory, which is
            // slow, has a clock of its own.
            (
                Op::MemRead {
                    mem,
                    addr,
                    en: None,
                    port_b: false,
                },
                Some(stage),
            ) if stage > 0 && self.data.mems[*mem].latency == 1 => Some((*addr, stage)),
            (
                Op::Reg {
                    next: Some(next),
                    en: None,
                    reset: None,
                },
                Some(stage),
            ) if stage > 0 && !node.valid => Some((*next, stage)),
            _ => None,
        }
    }

    /// Whether what a register at `stage` takes is still on its wire there.
    fn still_there(&mut self, id: Id, next: Id, stage: u32) -> bool {
        let register = matches!(self.data.nodes[id as usize].op, Op::Reg { .. });
        register
            && self.data.nodes[next as usize].stage == Some(stage - 1)
            && self.until(next) >= stage
    }

    /// The last stage at which the node's wire has its value.
    fn until(&mut self, id: Id) -> u32 {
        if let Some(until) = self.until.get(&id) {
            return *until;
        }
        let node = &self.data.nodes[id as usize];
        let own = node.stage.unwrap_or(0);
        let until = match &node.op {
            Op::Const(_) => u32::MAX,
            Op::Reg { .. } | Op::MemRead { .. } => match self.delay_register(id) {
                Some((next, stage)) if self.still_there(id, next, stage) => self.until(next),
                Some((_, stage)) => stage - 1 + self.clocks,
                None => own,
            },
            Op::Slice(of, _) | Op::Repl(_, of) | Op::Wire(Some(of)) => self.of_part(*of, own),
            Op::Concat(parts) => {
                let parts = parts.iter().map(|part| self.of_part(*part, own));
                parts.min().unwrap_or(own)
            }
            // A register behind a choice would hold what those behind which it is made hold already.
            Op::Mux(which, a, b) if node.width >= WIDE_CHOICE => {
                let parts = [which, a, b].map(|part| self.of_part(*part, own));
                parts.into_iter().min().unwrap_or(own)
            }
            Op::InstOut { inst, port } => own + self.kept(*inst, *port),
            Op::Input => {
                let index = self.data.inputs.iter().position(|input| *input == id);
                own + index.map_or(0, |index| self.inputs[index])
            }
            _ => own,
        };
        self.until.insert(id, until);
        until
    }

    /// Of a value another one at stage `own` is wired from.
    fn of_part(&mut self, part: Id, own: u32) -> u32 {
        let node = &self.data.nodes[part as usize];
        match node.op {
            Op::Const(_) => u32::MAX,
            _ if node.stage == Some(own) => self.until(part),
            _ => own,
        }
    }
}
