//! The list of nodes behind the handles: what a module is made of while it is built.

use std::panic::Location;

use crate::bits::Bits;
use crate::record::Record;

/// Index of a node in its module.
pub(crate) type Id = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bin {
    And,
    Or,
    Xor,
    Add,
    Sub,
    Eq,
    Ne,
    Lt,
    Le,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Red {
    Or,
    And,
    Xor,
}

/// What a node computes. Every operand has exactly the width the operation needs, so that
/// Verilog's context-dependent widths can never change a meaning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Input,
    Const(Bits),
    /// Result of an erroneous operation; the module cannot be finished.
    Poison,
    /// A forward declaration, or another name or stage for the same value.
    Wire(Option<Id>),
    Not(Id),
    /// Both operands have the same width.
    Bin(Bin, Id, Id),
    /// Logical shift by a signal; `left`, value, amount.
    Shift(bool, Id, Id),
    /// The node's width many bits from this position.
    Slice(Id, u32),
    /// Most significant first.
    Concat(Vec<Id>),
    Repl(u32, Id),
    Mux(Id, Id, Id),
    Reduce(Red, Id),
    /// Element `1` of the vector `0`, whose width is the node's width times 2^(index width).
    Index(Id, Id),
    Reg {
        next: Option<Id>,
        en: Option<Id>,
        reset: Option<Bits>,
    },
    /// Registered read of a memory. Port B keeps its old value while it writes.
    MemRead {
        mem: usize,
        addr: Id,
        en: Option<Id>,
        port_b: bool,
    },
    /// The row of a memory in look-up tables, in the same clock.
    MemLook {
        mem: usize,
        addr: Id,
    },
    InstOut {
        inst: usize,
        port: usize,
    },
}

impl Op {
    /// Operands through which a change is seen within the same clock.
    pub(crate) fn comb(&self) -> Vec<Id> {
        match self {
            Op::Reg { .. } | Op::MemRead { .. } => vec![],
            other => other.all(),
        }
    }

    /// All operands.
    pub(crate) fn all(&self) -> Vec<Id> {
        match self {
            Op::Input | Op::Const(_) | Op::Poison | Op::InstOut { .. } => vec![],
            Op::Wire(a) => a.iter().copied().collect(),
            Op::Not(a)
            | Op::Slice(a, _)
            | Op::Repl(_, a)
            | Op::Reduce(_, a)
            | Op::MemLook { addr: a, .. } => vec![*a],
            Op::Bin(_, a, b) | Op::Shift(_, a, b) | Op::Index(a, b) => vec![*a, *b],
            Op::Concat(v) => v.clone(),
            Op::Mux(a, b, c) => vec![*a, *b, *c],
            Op::Reg { next, en, .. } => next.iter().chain(en).copied().collect(),
            Op::MemRead { addr, en, .. } => [*addr].iter().chain(en).copied().collect(),
        }
    }

    /// Replaces every operand.
    pub(crate) fn remap(&mut self, map: &impl Fn(Id) -> Id) {
        match self {
            Op::Input | Op::Const(_) | Op::Poison | Op::InstOut { .. } => {}
            Op::Wire(a) => a.iter_mut().for_each(|a| *a = map(*a)),
            Op::Not(a)
            | Op::Slice(a, _)
            | Op::Repl(_, a)
            | Op::Reduce(_, a)
            | Op::MemLook { addr: a, .. } => *a = map(*a),
            Op::Bin(_, a, b) | Op::Shift(_, a, b) | Op::Index(a, b) => {
                *a = map(*a);
                *b = map(*b);
            }
            Op::Concat(v) => v.iter_mut().for_each(|a| *a = map(*a)),
            Op::Mux(a, b, c) => [a, b, c].into_iter().for_each(|x| *x = map(*x)),
            Op::Reg { next, en, .. } => next.iter_mut().chain(en).for_each(|x| *x = map(*x)),
            Op::MemRead { addr, en, .. } => {
                *addr = map(*addr);
                en.iter_mut().for_each(|x| *x = map(*x));
            }
        }
    }

    /// Short word for the names of unnamed nodes.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Op::Input => "input",
            Op::Const(_) => "const",
            Op::Poison => "poison",
            Op::Wire(_) => "wire",
            Op::Not(_) => "not",
            Op::Bin(op, ..) => match op {
                Bin::And => "and",
                Bin::Or => "or",
                Bin::Xor => "xor",
                Bin::Add => "sum",
                Bin::Sub => "diff",
                Bin::Eq => "eq",
                Bin::Ne => "ne",
                Bin::Lt => "lt",
                Bin::Le => "le",
            },
            Op::Shift(..) => "shifted",
            Op::Slice(..) => "slice",
            Op::Concat(_) => "cat",
            Op::Repl(..) => "repl",
            Op::Mux(..) => "mux",
            Op::Reduce(..) => "red",
            Op::Index(..) => "elem",
            Op::Reg { .. } => "q",
            Op::MemRead { .. } | Op::MemLook { .. } => "row",
            Op::InstOut { .. } => "out",
        }
    }
}

/// In which clocks a register need not be worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// One bit: it has to be in the clocks where this is set.
    pub unless: Id,
    /// In the others it keeps its value; else what it takes there is looked at by nobody.
    pub keeps: bool,
}

/// A value that is the sum (exclusive or) of the columns of those bits of another that are set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linear {
    pub of: Id,
    pub columns: Vec<Bits>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub op: Op,
    pub width: u32,
    pub stage: Option<u32>,
    pub name: Option<String>,
    pub record: Option<Record>,
    /// Delay registers of this value are reset to zero.
    pub valid: bool,
    /// For a delay register: the value delayed and by how many clocks.
    pub delay_of: Option<(Id, u32)>,
    /// For a register: when it has work to do.
    pub rest: Option<Rest>,
    /// For a sum over GF(2): of what, and what each bit of that contributes.
    pub linear: Option<Linear>,
    pub at: &'static Location<'static>,
}

/// Which FPGA memory a RAM asks for; printed as the `ram_style` attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RamStyle {
    /// The tool decides.
    #[default]
    Auto,
    /// Block RAM (ECP5 DP16KD, Xilinx RAMB36).
    Block,
    /// UltraRAM.
    Ultra,
    /// LUT RAM.
    Distributed,
}

/// What port A reads from a row which port B writes in the same clock. It is a question of cost:
/// block RAM of most FPGAs leaves it undefined, so tools build what the text promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Collision {
    /// The row before the write. UltraRAM and Xilinx block RAM in their read-first mode can do it;
    /// yosys builds it for ECP5 from a second copy of the memory and bypass registers.
    #[default]
    Old,
    /// The row after the write: a comparator and a row of bypass registers on every FPGA.
    New,
    /// Nobody looks at such a row (a FIFO): free. `x` in Verilog, the old row in the evaluator.
    Undefined,
}

#[derive(Debug, Clone)]
pub(crate) struct Mem {
    pub name: String,
    pub rows: u32,
    pub width: u32,
    pub style: RamStyle,
    pub collision: Collision,
    /// Clocks to the row.
    pub latency: u32,
    /// write enable, address, data
    pub write: Option<(Id, Id, Id)>,
    pub reads: Vec<Id>,
    pub record: Option<Record>,
    pub at: &'static Location<'static>,
}

#[derive(Debug, Clone)]
pub(crate) struct Inst {
    pub name: String,
    pub child: crate::circuit::Circuit,
    /// By the child's input order.
    pub inputs: Vec<Id>,
    pub outputs: Vec<Id>,
    pub at: &'static Location<'static>,
}

/// What a property claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropKind {
    /// Must hold in every clock without reset.
    Assert,
    /// The environment promises that it holds.
    Assume,
    /// Should be reachable.
    Cover,
}

#[derive(Debug, Clone)]
pub(crate) struct Prop {
    pub kind: PropKind,
    pub name: String,
    pub cond: Id,
    pub at: &'static Location<'static>,
}
