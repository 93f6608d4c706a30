//! What is printed behind the expressions: clocked blocks, memories, properties, the linter's leftovers.

use super::{Printer, constant};
use crate::bits::Bits;
use crate::node::{Collision, Id, Mem, Op, PropKind};

impl Printer<'_> {
    /// All registers: one block for those without reset, one for those with.
    pub(super) fn registers(&mut self) {
        let (mut plain, mut resets, mut nexts) = (vec![], vec![], vec![]);
        for (i, node) in self.data.nodes.iter().enumerate() {
            let Op::Reg {
                next: Some(next),
                en,
                reset,
            } = &node.op
            else {
                continue;
            };
            if self.rests.as_ref().is_some_and(|r| r.holds(i as Id)) {
                continue;
            }
            let name = &self.data.names[i];
            let assign = format!("{name} <= {};", self.expr(*next));
            let assign = match en {
                Some(en) => format!("if ({}) {assign}", self.expr(*en)),
                None => assign,
            };
            match reset {
                Some(value) => {
                    resets.push(format!("            {name} <= {};", constant(value)));
                    nexts.push(format!("            {assign}"));
                }
                None => plain.push(format!("        {assign}")),
            }
        }
        if !plain.is_empty() {
            line!(
                self,
                "\n    always @(posedge clk) begin\n{}\n    end",
                plain.join("\n")
            );
        }
        if !resets.is_empty() {
            let (resets, nexts) = (resets.join("\n"), nexts.join("\n"));
            line!(
                self,
                "\n    always @(posedge clk) begin\n        if (rst) begin\n{resets}"
            );
            line!(
                self,
                "        end else begin\n{nexts}\n        end\n    end"
            );
        }
    }

    /// Name of the variable that counts the rows of a memory, which is none of another thing in the module.
    fn counter_of(&self, mem: &Mem) -> String {
        let data = self.data;
        let ports = data.input_ports.iter().chain(&data.output_ports);
        let taken: Vec<&str> = (ports.map(|port| port.name.as_str()))
            .chain(data.names.iter().map(String::as_str))
            .chain(data.mems.iter().map(|mem| mem.name.as_str()))
            .chain(data.insts.iter().map(|inst| inst.name.as_str()))
            .collect();
        let mut name = format!("{}_row", mem.name);
        while taken.contains(&name.as_str()) {
            name.push('_');
        }
        name
    }

    /// One block for each port, in the form which yosys and Vivado take for block RAM and UltraRAM.
    pub(super) fn memory(&mut self, index: usize, mem: &Mem) {
        let data = self.data;
        let name = &mem.name;
        let write = mem.write.map(|(e, a, d)| {
            let (enable, addr) = (self.operand(e), self.operand(a));
            (
                enable.to_string(),
                addr.to_string(),
                self.expr(d).to_string(),
                format!("{name}[{addr}] <= {};", self.expr(d)),
            )
        });
        let mut port_b = None;
        for (i, node) in data.nodes.iter().enumerate() {
            let Op::MemRead {
                mem: of,
                addr,
                en,
                port_b: is_b,
            } = &node.op
            else {
                continue;
            };
            if *of != index {
                continue;
            }
            let read = format!("{} <= {name}[{}];", data.names[i], self.expr(*addr));
            if *is_b {
                port_b = Some(match en {
                    Some(en) => format!("if ({}) {read}", self.expr(*en)),
                    None => read,
                });
                continue;
            }
            let forward = match (mem.collision, &write) {
                (Collision::Old, _) | (_, None) => None,
                (Collision::New, Some((.., data, _))) => Some(data.clone()),
                (Collision::Undefined, _) => Some(format!("{{{}{{1'bx}}}}", mem.width)),
            };
            let mut body = vec![read];
            if let (Some(value), Some((enable, at, ..))) = (forward, &write) {
                let (q, addr) = (&data.names[i], self.operand(*addr));
                body.push(format!("if ({enable} && {addr} == {at}) {q} <= {value};"));
            }
            let body = match (en, body.len()) {
                (Some(en), 1) => format!("        if ({}) {}", self.expr(*en), body[0]),
                (Some(en), _) => {
                    format!(
                        "        if ({}) begin\n            {}\n        end",
                        self.expr(*en),
                        body.join("\n            ")
                    )
                }
                (None, _) => format!("        {}", body.join("\n        ")),
            };
            line!(self, "\n    always @(posedge clk) begin\n{body}\n    end");
        }
        let Some((enable, .., assign)) = write else {
            return;
        };
        if self.rests.as_ref().is_some_and(|r| r.writes(index)) {
            return;
        }
        line!(
            self,
            "\n    always @(posedge clk) begin\n        if ({enable}) {assign}"
        );
        if let Some(read) = port_b {
            line!(self, "        else {read}");
        }
        line!(self, "    end");
    }

    pub(super) fn properties(&mut self) {
        if self.data.props.is_empty() {
            return;
        }
        let (open, close, indent) = match (self.data.uses_clk, self.data.uses_rst) {
            (true, true) => (
                "    always @(posedge clk) begin\n        if (!rst) begin",
                "        end\n    end",
                12,
            ),
            (true, false) => ("    always @(posedge clk) begin", "    end", 8),
            (false, _) => ("    always @* begin", "    end", 8),
        };
        line!(self, "\n`ifdef FORMAL\n{open}");
        for prop in &self.data.props {
            let word = match prop.kind {
                PropKind::Assert => "assert",
                PropKind::Assume => "assume",
                PropKind::Cover => "cover",
            };
            line!(
                self,
                "{:indent$}{}: {word} ({});",
                "",
                prop.name,
                self.expr(prop.cond)
            );
        }
        line!(self, "{close}\n`endif");
    }

    /// What nothing reads, told to the linter in one place.
    pub(super) fn unused(&mut self) {
        let data = self.data;
        let mut used: Vec<Bits> = data.nodes.iter().map(|n| Bits::zero(n.width)).collect();
        let whole = |used: &mut Vec<Bits>, id: Id| {
            used[id as usize] = Bits::ones(data.nodes[id as usize].width)
        };
        for node in &data.nodes {
            match &node.op {
                Op::Slice(a, lo) => used[*a as usize].set_slice(*lo, &Bits::ones(node.width)),
                op => op.all().into_iter().for_each(|id| whole(&mut used, id)),
            }
        }
        let writes = data
            .mems
            .iter()
            .flat_map(|m| m.write)
            .flat_map(|(e, a, d)| [e, a, d]);
        let ports = data.insts.iter().flat_map(|i| i.inputs.iter().copied());
        for id in writes.chain(ports).chain(data.outputs.iter().map(|o| o.1)) {
            whole(&mut used, id);
        }
        let mut names: Vec<String> = vec![];
        for (i, mask) in used.iter().enumerate() {
            if self.inline[i].is_none() && *mask != Bits::ones(mask.width()) {
                names.push(data.names[i].clone());
            }
        }
        // Without FORMAL nothing reads what only properties read.
        let props: Vec<String> = data
            .props
            .iter()
            .map(|p| self.expr(p.cond).to_string())
            .collect();
        for name in props {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if !names.is_empty() {
            line!(self, "\n    // Bits which nothing reads.");
            line!(self, "    wire _unused = &{{1'b0, {}}};", names.join(", "));
        }
    }

    /// Simulations start from the same zeros as the evaluator; hardware needs only its reset.
    pub(super) fn initial(&mut self) {
        let data = self.data;
        let mut block = vec![];
        for (i, node) in data.nodes.iter().enumerate() {
            match &node.op {
                Op::Reg {
                    reset: Some(value), ..
                } => block.push((i, constant(value))),
                Op::Reg { .. } | Op::MemRead { .. } => {
                    block.push((i, format!("{}'d0", node.width)))
                }
                _ => {}
            }
        }
        if !block.is_empty() {
            line!(self, "\n`ifndef SYNTHESIS\n    initial begin");
            for (i, value) in block {
                line!(self, "        {} = {value};", data.names[i]);
            }
            line!(self, "    end\n`endif");
        }
        for mem in &data.mems {
            // Memories of FPGAs are zero when the device is configured, whether it is said or not. To say it costs: tools unroll
            // the loop, Yosys in time with the square of the rows (26 s for 16,384, 87 s for 32,768), and for UltraRAM they refuse it.
            let (index, name, rows) = (self.counter_of(mem), &mem.name, mem.rows);
            line!(
                self,
                "\n`ifndef SYNTHESIS\n    integer {index};\n    initial begin"
            );
            line!(
                self,
                "        for ({index} = 0; {index} < {rows}; {index} = {index} + 1) {name}[{index}] = {}'d0;",
                mem.width
            );
            line!(self, "    end\n`endif");
        }
    }
}
