//! What a simulator need not work out in every clock.
//!
//! Registers that take a value under the same condition, an enable or what [`crate::Sig::needed_if`] and
//! [`crate::Reg::rests_unless`] say, are a group, and memories written under it belong there. What feeds one group and nothing else is worked
//! out in the group's block, behind the condition: a simulator passes it by in all other clocks. For hardware the same would
//! be clock enables, which are not free; its text has none of it.

use super::{Printer, constant, operands};
use crate::circuit::Data;
use crate::node::{Collision, Id, Op};
use std::collections::HashMap;

pub(super) struct Group {
    /// One bit: the clocks in which there is something to do.
    unless: Id,
    registers: Vec<Id>,
    memories: Vec<usize>,
    /// Lines of what is worked out here, as they are printed.
    pub declared: Vec<String>,
    pub body: Vec<String>,
}

/// Whom a value feeds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feeds {
    Nothing,
    Group(usize),
    Others,
}

pub(super) struct Rests {
    pub groups: Vec<Group>,
    feeds: Vec<Feeds>,
}

impl Rests {
    pub fn of(data: &Data) -> Rests {
        let mut groups: Vec<Group> = vec![];
        let mut known: HashMap<Id, usize> = HashMap::new();
        let mut group = |unless: Id| -> usize {
            *known.entry(unless).or_insert_with(|| {
                groups.push(Group {
                    unless,
                    registers: vec![],
                    memories: vec![],
                    declared: vec![],
                    body: vec![],
                });
                groups.len() - 1
            })
        };
        let mut feeds = vec![Feeds::Nothing; data.nodes.len()];
        let mut members = vec![];
        for (i, node) in data.nodes.iter().enumerate() {
            match &node.op {
                Op::Reg { next, en, .. } => {
                    let unless = node.rest.map(|rest| rest.unless).or(*en);
                    let to = unless.map_or(Feeds::Others, |unless| Feeds::Group(group(unless)));
                    next.iter().for_each(|id| add(&mut feeds, *id, to));
                    let more = en.filter(|en| unless != Some(*en));
                    more.iter().for_each(|id| add(&mut feeds, *id, to));
                    unless
                        .iter()
                        .for_each(|id| add(&mut feeds, *id, Feeds::Others));
                    if let Feeds::Group(to) = to {
                        members.push((to, i as Id));
                    }
                }
                Op::MemRead { .. } => {
                    let all = node.op.all();
                    all.iter()
                        .for_each(|id| add(&mut feeds, *id, Feeds::Others));
                }
                _ => {}
            }
        }
        let mut written = vec![];
        for (index, mem) in data.mems.iter().enumerate() {
            let Some((enable, at, value)) = mem.write else {
                continue;
            };
            let both =
                |op: &Op| matches!(op, Op::MemRead { mem, port_b: true, .. } if *mem == index);
            let apart = mem.collision == Collision::Old && !data.nodes.iter().any(|n| both(&n.op));
            let to = match apart {
                true => Feeds::Group(group(enable)),
                false => Feeds::Others,
            };
            [at, value]
                .into_iter()
                .for_each(|id| add(&mut feeds, id, to));
            add(&mut feeds, enable, Feeds::Others);
            if let Feeds::Group(to) = to {
                written.push((to, index));
            }
        }
        let outputs = data.outputs.iter().map(|(_, id)| *id);
        let inputs = data.insts.iter().flat_map(|i| i.inputs.iter().copied());
        for id in outputs.chain(inputs).chain(data.kept.iter().copied()) {
            add(&mut feeds, id, Feeds::Others);
        }
        // Users come behind what they use.
        for (i, node) in data.nodes.iter().enumerate().rev() {
            let to = feeds[i];
            let used = operands(node, true);
            used.iter().for_each(|id| add(&mut feeds, *id, to));
        }
        members
            .iter()
            .for_each(|(to, id)| groups[*to].registers.push(*id));
        written
            .iter()
            .for_each(|(to, index)| groups[*to].memories.push(*index));
        let mut rests = Rests { groups, feeds };
        rests.drop_idle(data);
        rests
    }

    /// Leaves out groups that are nothing but enables.
    fn drop_idle(&mut self, data: &Data) {
        let own = |i: usize| match (&data.nodes[i].op, self.feeds[i]) {
            (Op::Input | Op::Reg { .. } | Op::MemRead { .. } | Op::InstOut { .. }, _) => None,
            (_, Feeds::Group(to)) => Some(to),
            _ => None,
        };
        let mut busy: Vec<bool> = vec![false; self.groups.len()];
        (0..data.nodes.len())
            .filter_map(own)
            .for_each(|to| busy[to] = true);
        for (group, busy) in self.groups.iter().zip(&mut busy) {
            let rests = |id: &Id| data.nodes[*id as usize].rest.is_some();
            *busy |= group.registers.iter().any(rests);
        }
        let mut place = vec![None; self.groups.len()];
        let mut kept = vec![];
        for (old, group) in std::mem::take(&mut self.groups).into_iter().enumerate() {
            if busy[old] {
                place[old] = Some(kept.len());
                kept.push(group);
            }
        }
        self.groups = kept;
        for feeds in &mut self.feeds {
            if let Feeds::Group(to) = *feeds {
                *feeds = place[to].map_or(Feeds::Others, Feeds::Group);
            }
        }
    }

    /// The group in whose block a value is worked out.
    pub fn of_node(&mut self, id: Id) -> Option<&mut Group> {
        match self.feeds[id as usize] {
            Feeds::Group(to) => self.groups.get_mut(to),
            _ => None,
        }
    }

    /// Whether nothing but properties looks at a value, which simulators are not told of.
    pub fn unused(&self, id: Id) -> bool {
        self.feeds[id as usize] == Feeds::Nothing
    }

    /// Whether a register is assigned in a group's block.
    pub fn holds(&self, register: Id) -> bool {
        self.groups.iter().any(|g| g.registers.contains(&register))
    }

    /// Whether a memory is written in a group's block.
    pub fn writes(&self, memory: usize) -> bool {
        self.groups.iter().any(|g| g.memories.contains(&memory))
    }
}

fn add(feeds: &mut [Feeds], id: Id, to: Feeds) {
    let feeds = &mut feeds[id as usize];
    *feeds = match (*feeds, to) {
        (Feeds::Nothing, to) => to,
        (old, to) if old == to || to == Feeds::Nothing => old,
        _ => Feeds::Others,
    };
}

impl Printer<'_> {
    /// A block for each group.
    pub(super) fn resting(&mut self) {
        let Some(rests) = self.rests.take() else {
            return;
        };
        let data = self.data;
        for (number, group) in rests.groups.iter().enumerate() {
            let mut lines = group.declared.clone();
            lines.extend(group.body.iter().cloned());
            let mut resets = vec![];
            for id in &group.registers {
                let name = self.name(*id);
                let Op::Reg {
                    next: Some(next),
                    en,
                    reset,
                } = &data.nodes[*id as usize].op
                else {
                    continue;
                };
                let more = en.filter(|en| *en != group.unless);
                let when = more.map_or(String::new(), |en| format!("if ({}) ", self.expr(en)));
                lines.push(format!("            {when}{name} <= {};", self.expr(*next)));
                resets.extend(
                    reset
                        .as_ref()
                        .map(|v| format!("            {name} <= {};", constant(v))),
                );
            }
            for index in &group.memories {
                let mem = &data.mems[*index];
                if let Some((_, at, value)) = mem.write {
                    let (at, value) = (self.operand(at), self.expr(value));
                    lines.push(format!("            {}[{at}] <= {value};", mem.name));
                }
            }
            line!(self, "\n    always @(posedge clk) begin");
            let unless = self.expr(group.unless).to_string();
            line!(self, "        if ({unless}) begin : _rests_{number}");
            line!(self, "{}\n        end", lines.join("\n"));
            if !resets.is_empty() {
                line!(
                    self,
                    "        if (rst) begin\n{}\n        end",
                    resets.join("\n")
                );
            }
            line!(self, "    end");
        }
        self.rests = Some(rests);
    }
}
