//! From a hierarchy of circuits to one flat program for the evaluator.

use std::collections::HashMap;

use super::exec::{self, Code, Instr, MemState, RegState};
use super::{Handle, HandleKind, PropState, Sim};
use crate::bits::{Bits, limbs_for};
use crate::circuit::Circuit;
use crate::node::{Bin, Collision, Id, Op, PropKind, Red, Rest};

/// The value of an operation on constants; its operands are numbers in `values`.
pub(crate) fn constant(op: &Op, width: u32, values: &[Bits]) -> Bits {
    let mut vals = vec![];
    let offsets: Vec<usize> = values
        .iter()
        .map(|v| {
            vals.extend_from_slice(v.limbs());
            vals.len() - v.limbs().len()
        })
        .collect();
    let dst = vals.len();
    vals.resize(dst + limbs_for(width), 0);
    let mut program = vec![];
    emit(
        &mut program,
        op,
        width,
        dst,
        &|id| offsets[id as usize],
        &|id| values[id as usize].width(),
    );
    program.iter().for_each(|instr| exec::run(&mut vals, instr));
    Bits::from_limbs(width, &vals[dst..])
}

struct FlatMem {
    name: String,
    rows: u32,
    width: u32,
    forward: bool,
    write: Option<(Id, Id, Id)>,
}

struct Flat {
    nodes: Vec<(Op, u32)>,
    /// When registers rest.
    rests: HashMap<Id, Rest>,
    names: HashMap<String, Id>,
    mems: Vec<FlatMem>,
    props: Vec<(PropKind, String, Id, bool)>,
}

/// Builds the evaluator of a design.
pub(super) fn build(circuit: &Circuit) -> Sim {
    let mut flat = Flat {
        nodes: vec![],
        rests: HashMap::new(),
        names: HashMap::new(),
        mems: vec![],
        props: vec![],
    };
    flat.place(circuit, "");
    flat.compile(circuit)
}

impl Flat {
    /// Copies one module and everything below; returns the number of its first node.
    fn place(&mut self, circuit: &Circuit, prefix: &str) -> Id {
        let data = &circuit.0;
        let base = self.nodes.len() as Id;
        let first_mem = self.mems.len();
        for (node, name) in data.nodes.iter().zip(&data.names) {
            self.names
                .insert(format!("{prefix}{name}"), self.nodes.len() as Id);
            let mut op = node.op.clone();
            op.remap(&|id| id + base);
            if let Op::MemRead { mem, .. } | Op::MemLook { mem, .. } = &mut op {
                *mem += first_mem;
            }
            if let Some(rest) = node.rest {
                let unless = rest.unless + base;
                let rest = Rest { unless, ..rest };
                self.rests.insert(self.nodes.len() as Id, rest);
            }
            self.nodes.push((op, node.width));
        }
        for (name, id) in &data.outputs {
            self.names.insert(format!("{prefix}{name}"), id + base);
        }
        for mem in &data.mems {
            let write = mem.write.map(|(e, a, d)| (e + base, a + base, d + base));
            let (name, forward) = (
                format!("{prefix}{}", mem.name),
                mem.collision == Collision::New,
            );
            self.mems.push(FlatMem {
                name,
                rows: mem.rows,
                width: mem.width,
                forward,
                write,
            });
        }
        for prop in &data.props {
            self.props.push((
                prop.kind,
                format!("{prefix}{}", prop.name),
                prop.cond + base,
                data.uses_rst,
            ));
        }
        for inst in &data.insts {
            let child = self.place(&inst.child, &format!("{prefix}{}.", inst.name));
            for (inside, outside) in inst.child.0.inputs.iter().zip(&inst.inputs) {
                self.nodes[(child + inside) as usize].0 = Op::Wire(Some(outside + base));
            }
            for ((_, inside), outside) in inst.child.0.outputs.iter().zip(&inst.outputs) {
                self.nodes[(base + outside) as usize].0 = Op::Wire(Some(child + inside));
            }
        }
        base
    }

    /// The node which drives this one through wires and ports.
    fn source(&self, mut id: Id) -> Id {
        while let (Op::Wire(Some(from)), _) = &self.nodes[id as usize] {
            id = *from;
        }
        id
    }

    fn compile(mut self, circuit: &Circuit) -> Sim {
        let sources: Vec<Id> = (0..self.nodes.len() as Id)
            .map(|id| self.source(id))
            .collect();
        let to = |id: Id| sources[id as usize];
        self.nodes.iter_mut().for_each(|(op, _)| op.remap(&to));
        let mut offsets = vec![0; self.nodes.len()];
        let mut size = 0;
        for (id, (op, width)) in self.nodes.iter().enumerate() {
            if !matches!(op, Op::Wire(_)) {
                offsets[id] = size;
                size += limbs_for(*width);
            }
        }
        let at = |id: Id| offsets[to(id) as usize];
        let mut vals = vec![0; size];
        let (mut regs, mut next_size) = (vec![], 0);
        for (id, (op, width)) in self.nodes.iter().enumerate() {
            let (dst, limbs) = (offsets[id], limbs_for(*width));
            let mut load = |bits: &Bits| vals[dst..dst + limbs].copy_from_slice(bits.limbs());
            let mut state = |data, enable: Option<Id>, reset: Option<Bits>, mem| {
                let enable = enable.map(at);
                regs.push(RegState {
                    dst,
                    limbs,
                    next: next_size,
                    data,
                    enable,
                    reset,
                    mem,
                    rest: (self.rests.get(&(id as Id))).map(|rest| (at(rest.unless), rest.keeps)),
                    width: *width,
                });
                next_size += limbs;
            };
            match op {
                Op::Const(bits) => load(bits),
                Op::Reg {
                    next: Some(next),
                    en,
                    reset,
                } => {
                    if let Some(bits) = reset {
                        load(bits);
                    }
                    state(at(*next), *en, reset.clone(), None);
                }
                Op::MemRead {
                    mem,
                    addr,
                    en,
                    port_b,
                } => {
                    // Port B reads only while it does not write.
                    let write = self.mems[*mem]
                        .write
                        .filter(|_| *port_b)
                        .map(|(e, ..)| at(e));
                    state(at(*addr), *en, None, Some((*mem, write)));
                }
                _ => {}
            }
        }
        let mut program = vec![];
        for id in self.order() {
            let (op, width) = &self.nodes[id as usize];
            emit(&mut program, op, *width, offsets[id as usize], &at, &|id| {
                self.nodes[to(id) as usize].1
            });
        }
        let kind = |id: Id| match self.nodes[to(id) as usize].0 {
            Op::Input => HandleKind::Input,
            Op::Reg { .. } | Op::MemRead { .. } | Op::Const(_) => HandleKind::State,
            _ => HandleKind::Comb,
        };
        let handle = |id: Id| Handle {
            offset: at(id),
            width: self.nodes[to(id) as usize].1,
            kind: kind(id),
        };
        let mem_state = |mem: &FlatMem| MemState {
            rows: mem.rows,
            width: mem.width,
            rows_data: vec![0; mem.rows as usize * limbs_for(mem.width)],
            forward: mem.forward,
            write: mem.write.map(|(e, a, d)| (at(e), at(a), at(d))),
        };
        Sim {
            design: circuit.name().into(),
            vals,
            next: vec![0; next_size],
            program,
            regs,
            mems: self.mems.iter().map(mem_state).collect(),
            props: self
                .props
                .iter()
                .map(|(kind, name, id, uses_rst)| {
                    let (name, offset) = (name.clone(), at(*id));
                    PropState {
                        kind: *kind,
                        name,
                        offset,
                        uses_rst: *uses_rst,
                        hits: 0,
                    }
                })
                .collect(),
            signals: self
                .names
                .iter()
                .map(|(name, id)| (name.clone(), handle(*id)))
                .collect(),
            mem_names: self
                .mems
                .iter()
                .enumerate()
                .map(|(i, m)| (m.name.clone(), i))
                .collect(),
            reset: false,
            dirty: true,
            cycle: 0,
        }
    }

    /// Combinational nodes, operands first. Loops were refused when the modules were finished.
    fn order(&self) -> Vec<Id> {
        let mut seen = vec![false; self.nodes.len()];
        let mut order = vec![];
        for start in 0..self.nodes.len() as Id {
            let mut path = vec![(start, false)];
            while let Some((id, done)) = path.pop() {
                if done {
                    order.push(id);
                } else if !std::mem::replace(&mut seen[id as usize], true) {
                    path.push((id, true));
                    path.extend(
                        self.nodes[id as usize]
                            .0
                            .comb()
                            .into_iter()
                            .rev()
                            .map(|o| (o, false)),
                    );
                }
            }
        }
        order
    }
}

fn emit(
    program: &mut Vec<Instr>,
    op: &Op,
    width: u32,
    dst: usize,
    at: &impl Fn(Id) -> usize,
    width_of: &impl Fn(Id) -> u32,
) {
    let mut add = |code: Code, a: usize, b: usize, c: usize, aw: u32| {
        program.push(Instr {
            code,
            dst,
            a,
            b,
            c,
            width,
            aw,
        });
    };
    let narrow = |id: Id| width_of(id) <= 64;
    match op {
        Op::Not(a) => add(Code::Not, at(*a), 0, 0, width),
        Op::Bin(bin, a, b) => {
            let one = narrow(*a);
            let code = match (bin, one) {
                (Bin::And, true) => Code::And1,
                (Bin::And, false) => Code::And,
                (Bin::Or, true) => Code::Or1,
                (Bin::Or, false) => Code::Or,
                (Bin::Xor, true) => Code::Xor1,
                (Bin::Xor, false) => Code::Xor,
                (Bin::Add, true) => Code::Add1,
                (Bin::Add, false) => Code::Add,
                (Bin::Sub, true) => Code::Sub1,
                (Bin::Sub, false) => Code::Sub,
                (Bin::Eq, _) => Code::Eq,
                (Bin::Ne, _) => Code::Ne,
                (Bin::Lt, _) => Code::Lt,
                (Bin::Le, _) => Code::Le,
            };
            add(code, at(*a), at(*b), 0, width_of(*a));
        }
        Op::Shift(left, a, by) => add(
            if *left { Code::Shl } else { Code::Shr },
            at(*a),
            at(*by),
            0,
            width,
        ),
        Op::Slice(a, lo) => add(Code::Slice, at(*a), *lo as usize, 0, width_of(*a)),
        Op::Concat(parts) => {
            add(Code::Clear, 0, 0, 0, width);
            let mut lo = 0;
            for part in parts.iter().rev() {
                add(Code::Insert, at(*part), lo as usize, 0, width_of(*part));
                lo += width_of(*part);
            }
        }
        Op::Repl(_, a) if width_of(*a) == 1 => add(Code::Fill, at(*a), 0, 0, 1),
        Op::Repl(times, a) => {
            add(Code::Clear, 0, 0, 0, width);
            for i in 0..*times {
                add(
                    Code::Insert,
                    at(*a),
                    (i * width_of(*a)) as usize,
                    0,
                    width_of(*a),
                );
            }
        }
        Op::Mux(c, a, b) => add(Code::Mux, at(*a), at(*b), at(*c), width),
        Op::Reduce(red, a) => {
            let code = match red {
                Red::Or => Code::RedOr,
                Red::And => Code::RedAnd,
                Red::Xor => Code::RedXor,
            };
            add(code, at(*a), 0, 0, width_of(*a));
        }
        Op::MemLook { mem, addr } => add(Code::Row, at(*addr), *mem, 0, width_of(*addr)),
        Op::Index(a, by) => add(Code::Index, at(*a), at(*by), 0, width_of(*a)),
        Op::Input
        | Op::Const(_)
        | Op::Poison
        | Op::Wire(_)
        | Op::Reg { .. }
        | Op::MemRead { .. }
        | Op::InstOut { .. } => {}
    }
}
