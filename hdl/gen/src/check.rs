//! From the builder's list of nodes to a [`Circuit`]: liveness, order and loops.

use std::collections::HashMap;
use std::sync::Arc;

use crate::circuit::{Circuit, Data, Port};
use crate::error::{At, ErrorKind, GenError};
use crate::module::Inner;
use crate::names;
use crate::node::{Id, Node, Op};
use crate::print;

/// Checks the whole and builds the circuit; see [`crate::Module::finish`].
pub(crate) fn finish(inner: &Inner) -> Result<Circuit, Vec<GenError>> {
    let mut errors = inner.errors.clone();
    names::check_names(inner, &mut errors);
    if inner.outputs.is_empty() && inner.props.is_empty() && inner.errors.is_empty() {
        errors.push(GenError {
            module: inner.name.clone(),
            at: At(inner.at),
            kind: ErrorKind::Empty("outputs"),
        });
    }
    let live = live_nodes(inner, false);
    check_assigned(inner, &live, &mut errors);
    let mut modules = HashMap::new();
    for inst in &inner.insts {
        inst.child
            .gather(&mut modules, inst, &mut errors, &inner.name);
    }
    if modules.contains_key(&inner.name) {
        let kind = ErrorKind::ModuleTwice(inner.name.clone());
        errors.push(GenError {
            module: inner.name.clone(),
            at: At(inner.at),
            kind,
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let sorted = |live: &[bool]| {
        sort(inner, live).map_err(|(id, names)| {
            vec![GenError {
                module: inner.name.clone(),
                at: At(inner.node(id).at),
                kind: ErrorKind::Loop(names),
            }]
        })
    };
    let hardware = compact(inner, &sorted(&live)?, false);
    // What says when registers rest is no hardware: the text for synthesis is made without it.
    let hinted = |n: &Node| n.rest.is_some() || n.linear.is_some();
    let mut data = match inner.nodes.iter().any(hinted) {
        false => hardware,
        true => Data {
            text: hardware.text,
            ..compact(inner, &sorted(&live_nodes(inner, true))?, true)
        },
    };
    data.simulation = print::simulation(&data);
    Ok(Circuit(Arc::new(data)))
}

/// Marks what an output, a property, an instance or a live memory needs; `simulated`: what the text for simulators needs besides.
fn live_nodes(inner: &Inner, simulated: bool) -> Vec<bool> {
    let mut live = vec![false; inner.nodes.len()];
    let mut mem_live = vec![false; inner.mems.len()];
    let mut todo: Vec<Id> = inner.outputs.iter().map(|o| o.id).collect();
    todo.extend(inner.props.iter().map(|p| p.cond));
    todo.extend(
        inner
            .insts
            .iter()
            .flat_map(|i| i.inputs.iter().chain(&i.outputs)),
    );
    todo.extend(&inner.kept);
    todo.extend(&inner.inputs);
    while let Some(id) = todo.pop() {
        if std::mem::replace(&mut live[id as usize], true) {
            continue;
        }
        let op = &inner.node(id).op;
        todo.extend(op.all());
        let rest = inner.node(id).rest.filter(|_| simulated);
        todo.extend(rest.map(|rest| rest.unless));
        let linear = inner.node(id).linear.iter().filter(|_| simulated);
        todo.extend(linear.map(|linear| linear.of));
        if let Op::MemRead { mem, .. } | Op::MemLook { mem, .. } = op
            && !std::mem::replace(&mut mem_live[*mem], true)
        {
            let memory = &inner.mems[*mem];
            todo.extend(memory.write.iter().flat_map(|(e, a, d)| [*e, *a, *d]));
        }
    }
    live
}

/// Wires, registers and memories must be assigned.
fn check_assigned(inner: &Inner, live: &[bool], errors: &mut Vec<GenError>) {
    let mut never = |name: String, at| {
        errors.push(GenError {
            module: inner.name.clone(),
            at: At(at),
            kind: ErrorKind::NeverSet(name),
        });
    };
    for (id, node) in inner.nodes.iter().enumerate().filter(|(id, _)| live[*id]) {
        if matches!(node.op, Op::Wire(None) | Op::Reg { next: None, .. }) {
            never(inner.describe(id as Id).name, node.at);
        }
    }
    for mem in inner.mems.iter().filter(|m| m.write.is_none()) {
        never(format!("{} write port", mem.name), mem.at);
    }
}

/// Operands which are needed within the same clock, through children too.
fn comb_operands(inner: &Inner, id: Id) -> Vec<Id> {
    match &inner.node(id).op {
        Op::InstOut { inst, port } => {
            let inst = &inner.insts[*inst];
            inst.child.0.comb[*port]
                .iter()
                .map(|i| inst.inputs[*i])
                .collect()
        }
        op => op.comb(),
    }
}

/// Live nodes with operands first; or a node on a combinational loop and the loop's names.
fn sort(inner: &Inner, live: &[bool]) -> Result<Vec<Id>, (Id, Vec<String>)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut mark = vec![Mark::New; inner.nodes.len()];
    let mut order = vec![];
    for start in (0..inner.nodes.len() as Id).filter(|id| live[*id as usize]) {
        // The operands still to visit of every node on the path; an explicit stack, as chains are long.
        let mut path: Vec<(Id, Vec<Id>)> = vec![];
        if mark[start as usize] == Mark::New {
            mark[start as usize] = Mark::Open;
            path.push((start, reversed(comb_operands(inner, start))));
        }
        while let Some((id, rest)) = path.last_mut() {
            let id = *id;
            let Some(next) = rest.pop() else {
                mark[id as usize] = Mark::Done;
                order.push(id);
                path.pop();
                continue;
            };
            match mark[next as usize] {
                Mark::Done => {}
                Mark::New => {
                    mark[next as usize] = Mark::Open;
                    path.push((next, reversed(comb_operands(inner, next))));
                }
                Mark::Open => {
                    let from = path.iter().position(|(id, _)| *id == next).unwrap_or(0);
                    return Err((
                        next,
                        loop_names(inner, path[from..].iter().map(|p| p.0).collect()),
                    ));
                }
            }
        }
    }
    Ok(order)
}

fn reversed(mut ids: Vec<Id>) -> Vec<Id> {
    ids.reverse();
    ids
}

/// The path goes from users to operands; the reader wants data flow and prefers given names.
fn loop_names(inner: &Inner, mut path: Vec<Id>) -> Vec<String> {
    path.reverse();
    let named: Vec<Id> = path
        .iter()
        .copied()
        .filter(|id| inner.node(*id).name.is_some())
        .collect();
    let shown = if named.is_empty() { path } else { named };
    let mut names: Vec<String> = shown.iter().map(|id| inner.describe(*id).name).collect();
    if let Some(first) = names.first().cloned() {
        names.push(first);
    }
    names
}

/// Renumbers the live nodes, leaves out aliases without a name, collects ports and names.
fn compact(inner: &Inner, order: &[Id], simulated: bool) -> Data {
    let mut map: Vec<Id> = vec![Id::MAX; inner.nodes.len()];
    let mut nodes = vec![];
    let mut old = vec![];
    // Inputs first and in their order, whatever uses them first.
    let inputs_first = inner
        .inputs
        .iter()
        .chain(order.iter().filter(|id| inner.node(**id).op != Op::Input));
    for id in inputs_first {
        let node = inner.node(*id);
        if let (Op::Wire(Some(src)), None) = (&node.op, &node.name) {
            map[*id as usize] = map[*src as usize];
            continue;
        }
        map[*id as usize] = nodes.len() as Id;
        nodes.push(node.clone());
        old.push(*id);
    }
    let to = |id: Id| map[id as usize];
    for node in &mut nodes {
        node.op.remap(&to);
        node.rest = node.rest.filter(|_| simulated);
        node.linear = node.linear.take().filter(|_| simulated);
        if let Some(rest) = &mut node.rest {
            rest.unless = to(rest.unless);
        }
        if let Some(linear) = &mut node.linear {
            linear.of = to(linear.of);
        }
        // The root is an operand of the chain's first register, unless a memory took that one's place.
        node.delay_of = node.delay_of.map(|(root, by)| (to(root), by));
        node.delay_of = node.delay_of.filter(|(root, _)| *root != Id::MAX);
    }
    let alive = |m: &crate::node::Mem| m.reads.iter().any(|id| to(*id) != Id::MAX);
    let mut mem_map = HashMap::new();
    let mut mems = vec![];
    for (index, mem) in inner.mems.iter().enumerate().filter(|(_, m)| alive(m)) {
        mem_map.insert(index, mems.len());
        let mut mem = mem.clone();
        mem.write = mem.write.map(|(e, a, d)| (to(e), to(a), to(d)));
        mem.reads = mem
            .reads
            .iter()
            .map(|id| to(*id))
            .filter(|id| *id != Id::MAX)
            .collect();
        mems.push(mem);
    }
    for node in &mut nodes {
        if let Op::MemRead { mem, .. } | Op::MemLook { mem, .. } = &mut node.op {
            *mem = mem_map[mem];
        }
    }
    let mut insts = inner.insts.clone();
    for inst in &mut insts {
        inst.inputs
            .iter_mut()
            .chain(&mut inst.outputs)
            .for_each(|id| *id = to(*id));
    }
    let mut props = inner.props.clone();
    props.iter_mut().for_each(|p| p.cond = to(p.cond));
    let inputs: Vec<Id> = inner.inputs.iter().map(|id| to(*id)).collect();
    let outputs: Vec<(String, Id)> = inner
        .outputs
        .iter()
        .map(|o| (o.name.clone(), to(o.id)))
        .collect();
    let input_ports = inputs
        .iter()
        .map(|id| port_of(&nodes[*id as usize], None))
        .collect();
    // The stage an output was declared with may live on an alias, so it is read from the old node.
    let output_ports = inner
        .outputs
        .iter()
        .map(|o| port_of(inner.node(o.id), Some(o.name.clone())))
        .collect();
    let uses_clk = !mems.is_empty()
        || nodes.iter().any(|n| matches!(n.op, Op::Reg { .. }))
        || insts.iter().any(|i| i.child.uses_clk());
    let uses_rst = nodes
        .iter()
        .any(|n| matches!(n.op, Op::Reg { reset: Some(_), .. }))
        || insts.iter().any(|i| i.child.uses_rst());
    let comb = comb_inputs(&nodes, &insts, &inputs, &outputs);
    let mut data = Data {
        name: inner.name.clone(),
        doc: inner.doc.clone(),
        source: inner.at.file().replace('\\', "/"),
        at: inner.at,
        names: vec![],
        nodes,
        inputs,
        outputs,
        mems,
        insts,
        props,
        kept: inner.kept.iter().map(|id| to(*id)).collect(),
        uses_clk,
        uses_rst,
        comb,
        input_ports,
        output_ports,
        text: String::new(),
        simulation: String::new(),
    };
    names::assign(&mut data, &old);
    data.text = print::module(&data);
    data
}

fn port_of(node: &crate::node::Node, name: Option<String>) -> Port {
    Port {
        name: name.or(node.name.clone()).unwrap_or_default(),
        width: node.width,
        stage: node.stage,
        record: node.record.clone(),
        valid: node.valid,
    }
}

/// For each output the inputs it depends on without a clock between, as sets of bits.
fn comb_inputs(
    nodes: &[crate::node::Node],
    insts: &[crate::node::Inst],
    inputs: &[Id],
    outputs: &[(String, Id)],
) -> Vec<Vec<usize>> {
    let limbs = inputs.len().div_ceil(64);
    let mut sets = vec![vec![0u64; limbs]; nodes.len()];
    for (i, id) in inputs.iter().enumerate() {
        sets[*id as usize][i / 64] |= 1 << (i % 64);
    }
    for id in 0..nodes.len() {
        let operands = match &nodes[id].op {
            Op::InstOut { inst, port } => {
                let inst = &insts[*inst];
                inst.child.0.comb[*port]
                    .iter()
                    .map(|i| inst.inputs[*i])
                    .collect()
            }
            op => op.comb(),
        };
        let mut set = std::mem::take(&mut sets[id]);
        for from in operands {
            set.iter_mut()
                .zip(&sets[from as usize])
                .for_each(|(a, b)| *a |= b);
        }
        sets[id] = set;
    }
    outputs
        .iter()
        .map(|(_, id)| {
            (0..inputs.len())
                .filter(|i| sets[*id as usize][i / 64] >> (i % 64) & 1 == 1)
                .collect()
        })
        .collect()
}
