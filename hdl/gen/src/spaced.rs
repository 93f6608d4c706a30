//! Pipelines that are asked at most once in several clocks: few held registers instead of many.
//!
//! A pipeline with a value a clock needs a register for each clock a value waits. If values are
//! at least `clocks` apart, a register that takes a value as it comes keeps it for `clocks`
//! clocks, so waiting costs one register for that many. [`Circuit::spaced`] makes such a pipeline of
//! any staged one: same ports, same latency, and the input [`SPACED_VALID`], which says when a value
//! is at stage 0.

use std::collections::HashMap;

use crate::check;
use crate::circuit::{Circuit, Data};
use crate::error::GenError;
use crate::module::{Inner, Module, Output};
use crate::node::{Id, Node, Op};
use crate::sig::Sig;

/// Name of the input that says when a value is at stage 0; it is connected by itself.
pub const SPACED_VALID: &str = "spaced_valid";

/// What was made of a module: the new one, and for each output for how many clocks behind its stage
/// it keeps its value.
type Spaced = (Circuit, Vec<u32>);

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
        match clocks {
            0 | 1 => Ok(self.clone()),
            _ => Ok(spaced(self, clocks, &mut HashMap::new())?.0),
        }
    }
}

fn spaced(
    circuit: &Circuit,
    clocks: u32,
    known: &mut HashMap<String, Spaced>,
) -> Result<Spaced, Vec<GenError>> {
    if let Some(done) = known.get(circuit.name()) {
        return Ok(done.clone());
    }
    let data = &circuit.0;
    let ports = data.input_ports.iter().chain(&data.output_ports);
    let done = match ports.into_iter().any(|p| p.stage.is_some()) {
        true => held(data, clocks, known)?,
        false => (circuit.clone(), vec![0; data.outputs.len()]),
    };
    known.insert(circuit.name().into(), done.clone());
    Ok(done)
}

/// A staged module, rebuilt.
fn held(
    data: &Data,
    clocks: u32,
    known: &mut HashMap<String, Spaced>,
) -> Result<Spaced, Vec<GenError>> {
    let mut inner = reopened(data);
    let valid = valid_input(&mut inner);
    let mut extra = vec![];
    for index in 0..inner.insts.len() {
        extra.push(respace(&mut inner, index, valid, clocks, known)?);
    }
    let mut holding = Holding {
        nodes: &data.nodes,
        extra: &extra,
        clocks,
        until: HashMap::new(),
    };
    let mut changes = vec![];
    for id in 0..data.nodes.len() as Id {
        if let Some((next, stage)) = holding.delay_register(id) {
            changes.push((id, next, stage, holding.still_there(next, stage)));
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
    for (id, next, stage, there) in changes {
        let op = match there {
            true => Op::Wire(Some(next)),
            false => {
                let at = inner.node(id).at;
                let en = Some(inner.delay_to(valid, stage - 1, at));
                let next = Some(next);
                let reset = None;
                Op::Reg { next, en, reset }
            }
        };
        let node = &mut inner.nodes[id as usize];
        (node.op, node.rest) = (op, None);
    }
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

/// Puts the spaced child in the place of an instance's child, and says for how many clocks behind its
/// stage each output keeps its value.
fn respace(
    inner: &mut Inner,
    index: usize,
    valid: Id,
    clocks: u32,
    known: &mut HashMap<String, Spaced>,
) -> Result<Vec<u32>, Vec<GenError>> {
    let inst = &inner.insts[index];
    let stages = inst.child.outputs().iter().zip(&inst.outputs);
    let base = stages
        .filter_map(|(port, id)| Some(inner.node(*id).stage? - port.stage?))
        .next();
    let Some(base) = base else {
        return Ok(vec![0; inst.outputs.len()]);
    };
    let (child, extra) = spaced(&inst.child.clone(), clocks, known)?;
    let at = inst.at;
    let more = child.inputs().len() > inst.inputs.len();
    if more {
        let valid = inner.delay_to(valid, base, at);
        inner.insts[index].inputs.push(valid);
    }
    inner.insts[index].child = child;
    Ok(extra)
}

/// Until which stage of its value a wire keeps it.
struct Holding<'a> {
    nodes: &'a [Node],
    extra: &'a [Vec<u32>],
    clocks: u32,
    until: HashMap<Id, u32>,
}

impl Holding<'_> {
    /// What a register of the pipeline takes, and the register's stage; `None` for other nodes.
    fn delay_register(&self, id: Id) -> Option<(Id, u32)> {
        let node = &self.nodes[id as usize];
        match (&node.op, node.stage) {
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
    fn still_there(&mut self, next: Id, stage: u32) -> bool {
        self.nodes[next as usize].stage == Some(stage - 1) && self.until(next) >= stage
    }

    /// The last stage at which the node's wire has its value.
    fn until(&mut self, id: Id) -> u32 {
        if let Some(until) = self.until.get(&id) {
            return *until;
        }
        let node = &self.nodes[id as usize];
        let own = node.stage.unwrap_or(0);
        let until = match &node.op {
            Op::Const(_) => u32::MAX,
            Op::Reg { .. } => match self.delay_register(id) {
                Some((next, stage)) if self.still_there(next, stage) => self.until(next),
                Some((_, stage)) => stage - 1 + self.clocks,
                None => own,
            },
            Op::Slice(of, _) | Op::Repl(_, of) | Op::Wire(Some(of)) => self.of_part(*of, own),
            Op::Concat(parts) => {
                let parts = parts.iter().map(|part| self.of_part(*part, own));
                parts.min().unwrap_or(own)
            }
            Op::InstOut { inst, port } => own + self.extra[*inst][*port],
            _ => own,
        };
        self.until.insert(id, until);
        until
    }

    /// Of a value another one at stage `own` is wired from.
    fn of_part(&mut self, part: Id, own: u32) -> u32 {
        let node = &self.nodes[part as usize];
        match node.op {
            Op::Const(_) => u32::MAX,
            _ if node.stage == Some(own) => self.until(part),
            _ => own,
        }
    }
}
