//! Expressions that a simulator is given in another form than synthesis.
//!
//! Sums over GF(2) of what the bits of a value contribute are trees of gates in hardware; one word operation a bit is what they
//! take in a simulation, and a tenth of it if every four bits look up what they contribute together.

use super::rests::Rests;
use super::{Printer, constant, range};
use crate::bits::Bits;
use crate::circuit::Data;
use crate::node::{Bin, Id, Op};
use std::collections::HashMap;

/// Bits that look up what they contribute together.
const TOGETHER: usize = 4;

/// For every such sum the tables of its pieces; equal ones are there once.
#[derive(Default)]
pub(super) struct Tables {
    /// Columns of each table.
    all: Vec<Vec<Bits>>,
    of_node: HashMap<Id, Vec<usize>>,
}

impl Tables {
    pub fn of(data: &Data, rests: &Rests) -> Tables {
        let mut tables = Tables::default();
        let mut known: HashMap<Vec<String>, usize> = HashMap::new();
        for (i, node) in data.nodes.iter().enumerate() {
            let Some(linear) = node.linear.as_ref().filter(|_| !rests.unused(i as Id)) else {
                continue;
            };
            let pieces = linear.columns.chunks(TOGETHER).map(|columns| {
                let key = columns.iter().map(ToString::to_string).collect();
                *known.entry(key).or_insert_with(|| {
                    tables.all.push(columns.to_vec());
                    tables.all.len() - 1
                })
            });
            let pieces = pieces.collect();
            tables.of_node.insert(i as Id, pieces);
        }
        tables
    }
}

impl Printer<'_> {
    /// The tables, and what is in them.
    pub(super) fn tables(&mut self) {
        if self.tables.all.is_empty() {
            return;
        }
        line!(self, "    integer _row;");
        let tables = std::mem::take(&mut self.tables);
        for (number, columns) in tables.all.iter().enumerate() {
            let width = columns[0].width();
            let rows = 1 << columns.len();
            line!(
                self,
                "    reg {}_sums_{number} [0:{}];",
                range(width),
                rows - 1
            );
            let each = columns.iter().enumerate();
            let each = each.map(|(n, c)| format!("({{{width}{{_row[{n}]}}}} & {})", constant(c)));
            let sum = each.collect::<Vec<_>>().join(" ^ ");
            let count = format!("_row = 0; _row < {rows}; _row = _row + 1");
            line!(
                self,
                "    initial for ({count}) _sums_{number}[_row] = {sum};"
            );
        }
        self.tables = tables;
    }

    /// The expression of a node, if simulators are given another one.
    pub(super) fn simulated(&self, id: Id) -> Option<String> {
        self.rests.as_ref()?;
        let node = &self.data.nodes[id as usize];
        if let (Some(linear), Some(pieces)) = (&node.linear, self.tables.of_node.get(&id)) {
            let (name, bits) = (self.name(linear.of), linear.columns.len());
            let piece = |(n, table): (usize, &usize)| {
                let (low, high) = (n * TOGETHER, ((n + 1) * TOGETHER).min(bits) - 1);
                format!("_sums_{table}[{name}[{high}:{low}]]")
            };
            let pieces: Vec<String> = pieces.iter().enumerate().map(piece).collect();
            return Some(pieces.join(" ^ "));
        }
        let Op::Concat(parts) = &node.op else {
            return None;
        };
        if parts.len() > 1 && parts.iter().all(|part| *part == parts[0]) {
            return Some(format!("{{{}{{{}}}}}", parts.len(), self.expr(parts[0])));
        }
        self.decoder(parts)
    }

    /// A number as one bit of many: parts that compare one value with numbers that follow each other, under one condition or
    /// none, are a shift.
    fn decoder(&self, parts: &[Id]) -> Option<String> {
        const WORTH: usize = 8;
        let compared = |id: Id| match self.data.nodes[id as usize].op {
            Op::Bin(Bin::Eq, value, number) => match &self.data.nodes[number as usize].op {
                Op::Const(bits) => Some((value, bits.to_u64()?)),
                _ => None,
            },
            _ => None,
        };
        let part = |id: Id| match self.data.nodes[id as usize].op {
            Op::Bin(Bin::And, when, same) => Some((Some(when), compared(same)?)),
            _ => Some((None, compared(id)?)),
        };
        let (when, (value, first)) = part(*parts.last()?)?;
        let follows = |(n, id): (u64, &Id)| part(*id) == Some((when, (value, first + n)));
        if parts.len() < WORTH || first != 0 || !(0..).zip(parts.iter().rev()).all(follows) {
            return None;
        }
        let rest = parts.len() - 1;
        let bit = when.map_or("1'd1".into(), |when| self.expr(when).to_string());
        Some(format!("{{{rest}'d0, {bit}}} << {}", self.operand(value)))
    }
}
