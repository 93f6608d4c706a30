//! What waits longer than a register holds it, in a small memory.
//!
//! Where values come some clocks apart a register holds one for as long; one that waits longer goes from such a register to
//! the next, each as wide as the value. A memory of look-up tables with sixteen rows takes the place of all of them but the
//! last: a row is written where the first would have taken the value, and read where the last does, each in turn.

use std::collections::HashMap;

use crate::bits::Bits;
use crate::module::Inner;
use crate::node::{Bin, Collision, Id, Mem, Op, RamStyle};

/// Rows of such a memory: the smallest there is. More than values wait at a time.
const ROWS: u32 = 16;
/// Bits of a row's number.
const ROW_BITS: u32 = 4;
/// Registers one behind the other, from which on a memory is smaller: it is as large as one and a half.
const LEAST: usize = 3;
/// Bits of a value, from which on numbers of rows are worth their registers.
const LEAST_BITS: u32 = 8;

/// A register that holds what is at `next` from `stage` on.
#[derive(Clone, Copy)]
pub(crate) struct Hold {
    pub id: Id,
    pub next: Id,
    pub stage: u32,
}

/// Puts memories in the place of registers which do nothing but pass on what they hold. `valid` says at stage 0 when a value
/// comes, `clocks` apart at least.
pub(crate) fn shorten(inner: &mut Inner, valid: Id, clocks: u32, holds: &[Hold]) {
    let by_id: HashMap<Id, Hold> = holds.iter().map(|hold| (hold.id, *hold)).collect();
    let users = users(inner);
    // Of each register the one behind it, if that is all it is for.
    let mut behind: HashMap<Id, Hold> = HashMap::new();
    for hold in holds {
        let source = source(inner, hold.next);
        let known = by_id.contains_key(&source);
        let same = inner.node(source).width == inner.node(hold.id).width;
        if known && same && users[source as usize] == 1 {
            behind.insert(source, *hold);
        }
    }
    let follows: Vec<Id> = behind.values().map(|hold| hold.id).collect();
    let mut counters = HashMap::new();
    for first in holds.iter().filter(|hold| !follows.contains(&hold.id)) {
        let mut chain = vec![*first];
        while let Some(next) = behind.get(&chain[chain.len() - 1].id) {
            chain.push(*next);
        }
        let last = chain[chain.len() - 1];
        let waiting = (last.stage - first.stage).div_ceil(clocks) + 1;
        let wide = inner.node(last.id).width >= LEAST_BITS;
        if chain.len() >= LEAST && wide && waiting < ROWS {
            replace(inner, valid, *first, last, &mut counters);
        }
    }
}

/// How often each register is used, wires to it not counted.
fn users(inner: &Inner) -> Vec<u32> {
    let mut users = vec![0; inner.nodes.len()];
    let mut add = |id: Id| users[source(inner, id) as usize] += 1;
    for node in &inner.nodes {
        if !matches!(node.op, Op::Wire(_)) {
            node.op.all().into_iter().for_each(&mut add);
        }
        node.rest.iter().for_each(|rest| add(rest.unless));
        node.linear.iter().for_each(|linear| add(linear.of));
    }
    let outputs = inner.outputs.iter().map(|output| output.id);
    let children = inner.insts.iter().flat_map(|inst| inst.inputs.clone());
    let written = inner.mems.iter().filter_map(|mem| mem.write);
    let others = outputs
        .chain(children)
        .chain(written.flat_map(|(e, a, d)| [e, a, d]))
        .chain(inner.props.iter().map(|prop| prop.cond))
        .chain(inner.kept.iter().copied());
    others.for_each(add);
    users
}

fn source(inner: &Inner, mut id: Id) -> Id {
    while let Op::Wire(Some(from)) = inner.node(id).op {
        id = from;
    }
    id
}

fn replace(inner: &mut Inner, valid: Id, first: Hold, last: Hold, counters: &mut HashMap<u32, Id>) {
    let at = inner.node(last.id).at;
    let mut counted = |inner: &mut Inner, stage: u32| {
        let now = inner.delay_to(valid, stage - 1, at);
        let number = *counters
            .entry(stage)
            .or_insert_with(|| counter(inner, now, stage));
        (now, number)
    };
    let (comes, to) = counted(inner, first.stage);
    let (goes, from) = counted(inner, last.stage);
    let (width, mem) = (inner.node(last.id).width, inner.mems.len());
    let op = Op::MemLook { mem, addr: from };
    let look = inner.push(op, width, None, at);
    let name = match &inner.node(last.id).name {
        Some(name) => format!("{name}_waits"),
        None => format!("waits_{mem}"),
    };
    inner.mems.push(Mem {
        name,
        rows: ROWS,
        width,
        style: RamStyle::Distributed,
        collision: Collision::Old,
        latency: 1,
        write: Some((comes, to, first.next)),
        reads: vec![look],
        record: None,
        at,
    });
    inner.nodes[last.id as usize].op = Op::Reg {
        next: Some(look),
        en: Some(goes),
        reset: None,
    };
}

/// Counts the clocks in which `now` is set, from reset on.
fn counter(inner: &mut Inner, now: Id, stage: u32) -> Id {
    let at = inner.node(now).at;
    let one = inner.push(Op::Const(Bits::new(ROW_BITS, 1)), ROW_BITS, None, at);
    let number = inner.push(Op::Wire(None), ROW_BITS, None, at);
    let more = inner.push(Op::Bin(Bin::Add, number, one), ROW_BITS, None, at);
    let node = &mut inner.nodes[number as usize];
    node.op = Op::Reg {
        next: Some(more),
        en: Some(now),
        reset: Some(Bits::zero(ROW_BITS)),
    };
    node.name = Some(format!("waited_{stage}"));
    number
}
