//! Values at a moment, found by object identifier.

use crate::mib::{OBJECTS_ARC, ROOT, SCALARS, SCALARS_ARC, TABLES};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Longest object identifier (RFC 2578, 3.5).
pub const MOST_NUMBERS: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// At most 255 bytes.
    Text(String),
    Integer(i32),
    Gauge(u32),
    Counter(u64),
    /// Hundredths of a second, modulo 2^32.
    Ticks(u32),
}

/// A part of a row's index.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    Name(&'a str),
    Number(u32),
}

/// Numbers of an index: a name is its length and its bytes.
pub fn index(parts: &[Part]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in parts {
        match part {
            Part::Name(name) => {
                numbers.push(name.len() as u32);
                numbers.extend(name.bytes().map(u32::from));
            }
            Part::Number(number) => numbers.push(*number),
        }
    }
    numbers
}

/// What a request for one instance finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    Cell(&'a Cell),
    NoInstance,
    NoObject,
}

/// All values, of one moment.
#[derive(Debug, Clone)]
pub struct Tree {
    scalars: Vec<Option<Cell>>,
    /// By table; its rows by index, of each the columns behind the index.
    tables: Vec<BTreeMap<Vec<u32>, Vec<Cell>>>,
    /// Rows that do not fit.
    left_out: u32,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            scalars: vec![None; SCALARS.len()],
            tables: vec![BTreeMap::new(); TABLES.len()],
            left_out: 0,
        }
    }
}

/// Identifier of scalar `place`, with its instance.
pub fn scalar(place: usize) -> Vec<u32> {
    let mut oid = ROOT.to_vec();
    oid.extend([OBJECTS_ARC, SCALARS_ARC, place as u32 + 1, 0]);
    oid
}

/// Identifier of column `column` (from 0, index included) of table `table`.
pub fn column(table: usize, column: usize) -> Vec<u32> {
    let mut oid = ROOT.to_vec();
    oid.extend([OBJECTS_ARC, TABLES[table].arc, 1, column as u32 + 1]);
    oid
}

impl Tree {
    pub fn set(&mut self, scalar: usize, cell: Cell) {
        self.scalars[scalar] = Some(cell);
    }

    /// Adds a row, of all columns behind the index. One whose identifier would be too long is left out and counted.
    pub fn row(&mut self, table: usize, parts: &[Part], cells: Vec<Cell>) {
        let shape = &TABLES[table];
        debug_assert_eq!(parts.len(), shape.index, "{}", shape.name);
        debug_assert_eq!(cells.len(), shape.columns.len() - shape.index);
        let most = |part: usize| match shape.columns[part].syntax {
            crate::mib::Syntax::ShortName => crate::mib::SHORT_NAME,
            _ => crate::mib::NAME,
        };
        let fits = parts.iter().enumerate().all(|(n, part)| match part {
            Part::Name(name) => (1..=most(n)).contains(&name.len()),
            Part::Number(_) => true,
        });
        let numbers = index(parts);
        if !fits || column(table, 0).len() + numbers.len() > MOST_NUMBERS {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        self.tables[table].insert(numbers, cells);
    }

    pub fn left_out(&self) -> u32 {
        self.left_out
    }

    /// Cells of a row, if it is there.
    pub fn cells(&self, table: usize, row: &[u32]) -> Option<&[Cell]> {
        self.tables[table].get(row).map(Vec::as_slice)
    }

    pub fn get(&self, oid: &[u32]) -> Found<'_> {
        for (place, cell) in self.scalars.iter().enumerate() {
            let instance = scalar(place);
            if oid == instance {
                return cell.as_ref().map_or(Found::NoInstance, Found::Cell);
            }
            if oid.starts_with(&instance[..instance.len() - 1]) {
                return Found::NoInstance;
            }
        }
        for (t, shape) in TABLES.iter().enumerate() {
            for c in shape.index..shape.columns.len() {
                if let Some(rest) = oid.strip_prefix(column(t, c).as_slice()) {
                    let row = self.tables[t].get(rest);
                    let cell = row.and_then(|cells| cells.get(c - shape.index));
                    return cell.map_or(Found::NoInstance, Found::Cell);
                }
            }
        }
        Found::NoObject
    }

    /// The first instance behind `start` (or at it, with `include`); `None`: there is none.
    pub fn next(&self, start: &[u32], include: bool) -> Option<(Vec<u32>, &Cell)> {
        for (place, cell) in self.scalars.iter().enumerate() {
            let instance = scalar(place);
            let behind = instance.as_slice() > start || include && instance == start;
            if let (true, Some(cell)) = (behind, cell) {
                return Some((instance, cell));
            }
        }
        for (t, shape) in TABLES.iter().enumerate() {
            for c in shape.index..shape.columns.len() {
                let mut oid = column(t, c);
                let from = match start.strip_prefix(oid.as_slice()) {
                    Some(rest) if include => Bound::Included(rest),
                    Some(rest) => Bound::Excluded(rest),
                    None if start < oid.as_slice() => Bound::Unbounded,
                    None => continue,
                };
                let rows = self.tables[t].range::<[u32], _>((from, Bound::Unbounded));
                for (row, cells) in rows {
                    if let Some(cell) = cells.get(c - shape.index) {
                        oid.extend(row);
                        return Some((oid, cell));
                    }
                }
            }
        }
        None
    }
}
