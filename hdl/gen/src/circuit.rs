//! A finished module: checked, free of dead nodes, in topological order, named.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error::{At, ErrorKind, GenError};
use crate::node::{Id, Inst, Mem, Node, Op, Prop, RamStyle};
use crate::record::Record;

/// A port of a finished module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Width in bits.
    pub width: u32,
    /// Pipeline stage, if it has one.
    pub stage: Option<u32>,
    /// The fields, if it is a record.
    pub record: Option<Record>,
    /// Whether it is a valid bit, see [`crate::Sig::as_valid`].
    pub valid: bool,
}

/// A memory of a finished module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Name.
    pub name: String,
    /// Number of rows.
    pub rows: u32,
    /// Bits in a row.
    pub width: u32,
    /// What it asks to be built of.
    pub style: RamStyle,
    /// Whether the port that writes reads too, which takes a true dual-port memory.
    pub dual: bool,
}

/// One Verilog file: one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// `<module>.v`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A finished module with its children: a design. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Circuit(pub(crate) Arc<Data>);

#[derive(Debug)]
pub(crate) struct Data {
    pub name: String,
    pub doc: String,
    pub source: String,
    /// Where the module was begun.
    pub at: &'static std::panic::Location<'static>,
    /// Operands of combinational nodes come before their users.
    pub nodes: Vec<Node>,
    /// Verilog name of each node; constants and inlined nodes have none of their own.
    pub names: Vec<String>,
    pub inputs: Vec<Id>,
    pub outputs: Vec<(String, Id)>,
    pub mems: Vec<Mem>,
    pub insts: Vec<Inst>,
    pub props: Vec<Prop>,
    pub kept: Vec<Id>,
    pub uses_clk: bool,
    pub uses_rst: bool,
    /// For each output the inputs (by index) from which it depends within the same clock.
    pub comb: Vec<Vec<usize>>,
    pub input_ports: Vec<Port>,
    pub output_ports: Vec<Port>,
    pub text: String,
    /// The text for simulators.
    pub simulation: String,
}

impl Circuit {
    /// Name of the module.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Inputs except `clk` and `rst`, in order of declaration.
    pub fn inputs(&self) -> &[Port] {
        &self.0.input_ports
    }

    /// Outputs, in order of declaration.
    pub fn outputs(&self) -> &[Port] {
        &self.0.output_ports
    }

    /// Clocks from the earliest staged input to the latest staged output; `None` if nothing has a stage.
    pub fn latency(&self) -> Option<u32> {
        let first = self.inputs().iter().filter_map(|p| p.stage).min()?;
        let last = self.outputs().iter().filter_map(|p| p.stage).max()?;
        Some(last.saturating_sub(first))
    }

    /// Whether the module has a `clk` port.
    pub fn uses_clk(&self) -> bool {
        self.0.uses_clk
    }

    /// Whether the module has a `rst` port.
    pub fn uses_rst(&self) -> bool {
        self.0.uses_rst
    }

    /// Bits of registers and of memories in this module and below: `(registers, memories)`.
    pub fn state_bits(&self) -> (u64, u64) {
        let data = &self.0;
        let regs = data
            .nodes
            .iter()
            .filter(|n| matches!(n.op, Op::Reg { .. }))
            .map(|n| u64::from(n.width));
        let mems = data
            .mems
            .iter()
            .map(|m| u64::from(m.rows) * u64::from(m.width));
        let own = (regs.sum::<u64>(), mems.sum::<u64>());
        data.insts
            .iter()
            .map(|i| i.child.state_bits())
            .fold(own, |a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// The memories of this module alone.
    pub fn memories(&self) -> Vec<Memory> {
        let reads_by_b = |index: usize| {
            self.0
                .nodes
                .iter()
                .any(|n| matches!(n.op, Op::MemRead { mem, port_b: true, .. } if mem == index))
        };
        let memories = self.0.mems.iter().enumerate().map(|(index, m)| Memory {
            name: m.name.clone(),
            rows: m.rows,
            width: m.width,
            style: m.style,
            dual: reads_by_b(index),
        });
        memories.collect()
    }

    /// The children of this module: name of the instance, and what it is one of.
    pub fn children(&self) -> impl Iterator<Item = (&str, &Circuit)> {
        self.0.insts.iter().map(|i| (i.name.as_str(), &i.child))
    }

    /// The Verilog of this module alone.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Every module of the design once, children before parents.
    pub fn verilog(&self) -> Vec<SourceFile> {
        let mut files = vec![];
        self.collect(&mut HashSet::new(), &mut files, &|data| &data.text);
        files
    }

    /// As [`Circuit::verilog`], in a text that simulators are faster with: the same registers with the same values, but for those
    /// nobody looks at ([`crate::Sig::needed_if`]). What feeds registers with one enable and nothing else is worked out only in
    /// clocks where they take it, and some expressions have another form. Properties are left out.
    pub fn simulation(&self) -> Vec<SourceFile> {
        let mut files = vec![];
        self.collect(&mut HashSet::new(), &mut files, &|data| &data.simulation);
        files
    }

    fn collect(
        &self,
        seen: &mut HashSet<String>,
        files: &mut Vec<SourceFile>,
        text: &dyn Fn(&Data) -> &String,
    ) {
        if seen.insert(self.name().into()) {
            for inst in &self.0.insts {
                inst.child.collect(seen, files, text);
            }
            files.push(SourceFile {
                name: format!("{}.v", self.name()),
                text: text(&self.0).clone(),
            });
        }
    }

    /// Writes every module of the design into `dir`, which is made if it is not there. Files whose
    /// text is right already are left alone, so that their time stamps stay.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_to(&self, dir: &std::path::Path) -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        for file in self.verilog() {
            let path = dir.join(&file.name);
            if std::fs::read_to_string(&path).ok().as_deref() != Some(file.text.as_str()) {
                std::fs::write(path, file.text)?;
            }
        }
        Ok(())
    }

    /// Name -> text of all modules below; reports different modules with one name.
    pub(crate) fn gather(
        &self,
        all: &mut HashMap<String, String>,
        inst: &Inst,
        errors: &mut Vec<GenError>,
        parent: &str,
    ) {
        match all.get(self.name()) {
            Some(text) if *text == self.0.text => {}
            Some(_) => {
                let kind = ErrorKind::ModuleTwice(self.name().into());
                errors.push(GenError {
                    module: parent.into(),
                    at: At(inst.at),
                    kind,
                });
            }
            None => {
                all.insert(self.name().into(), self.0.text.clone());
            }
        }
        for below in &self.0.insts {
            below.child.gather(all, below, errors, parent);
        }
    }
}
