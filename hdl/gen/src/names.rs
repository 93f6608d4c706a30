//! Verilog names: refusing bad ones, and giving every node one name of its own.

use std::collections::{HashMap, HashSet};
use std::panic::Location;

use crate::circuit::Data;
use crate::error::{At, ErrorKind, GenError};
use crate::module::Inner;
use crate::node::{Id, Op};

/// Keywords of Verilog-2005 and SystemVerilog-2017, and words which VHDL users of the files trip over.
const RESERVED: &str = "accept_on alias always always_comb always_ff always_latch and assert assign assume \
automatic before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle \
checker class clocking cmos config const constraint context continue cover covergroup coverpoint cross \
deassign default defparam design disable dist do edge else end endcase endchecker endclass endclocking \
endconfig endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram \
endproperty endspecify endsequence endtable endtask enum event eventually expect export extends extern \
final first_match for force foreach forever fork forkjoin function generate genvar global highz0 highz1 \
if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside \
instance int integer interconnect interface intersect join join_any join_none large let liblist library \
local localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime \
nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive \
priority program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent \
pure rand randc randcase randsequence rcmos real realtime ref reg reject_on release repeat restrict return \
rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence \
shortint shortreal showcancelled signed small soft solve specify specparam static string strong strong0 \
strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time \
timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique \
unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order wand weak \
weak0 weak1 while wildcard wire with within wor xnor xor";

fn why_bad(name: &str, port: bool) -> Option<&'static str> {
    let mut chars = name.chars();
    let first = chars.next();
    if !first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
        Some("it must begin with a letter or _")
    } else if !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Some("only ASCII letters, digits and _ are allowed")
    } else if RESERVED.split_ascii_whitespace().any(|w| w == name) {
        Some("it is a reserved word of Verilog or SystemVerilog")
    } else if port && matches!(name, "clk" | "rst") {
        Some("the generator makes the ports clk and rst itself")
    } else {
        None
    }
}

/// Names of the module, ports, signals, memories, instances, properties.
pub(crate) fn check_names(inner: &Inner, errors: &mut Vec<GenError>) {
    let mut add = |at: &'static Location<'static>, kind| {
        let error = GenError {
            module: inner.name.clone(),
            at: At(at),
            kind,
        };
        if !errors.contains(&error) {
            errors.push(error);
        }
    };
    let mut all: Vec<(&str, &'static Location<'static>, bool)> =
        vec![(&inner.name, inner.at, false)];
    all.extend(
        inner
            .nodes
            .iter()
            .filter_map(|n| Some((n.name.as_deref()?, n.at, n.op == Op::Input))),
    );
    all.extend(inner.outputs.iter().map(|o| (o.name.as_str(), o.at, true)));
    all.extend(inner.mems.iter().map(|m| (m.name.as_str(), m.at, false)));
    all.extend(inner.insts.iter().map(|i| (i.name.as_str(), i.at, false)));
    all.extend(inner.props.iter().map(|p| (p.name.as_str(), p.at, false)));
    for (name, at, port) in all {
        if let Some(why) = why_bad(name, port) {
            add(
                at,
                ErrorKind::BadName {
                    name: name.into(),
                    why,
                },
            );
        }
    }
    let inputs = inner
        .inputs
        .iter()
        .filter_map(|id| Some((inner.node(*id).name.as_deref()?, inner.node(*id).at)));
    let ports = inputs.chain(inner.outputs.iter().map(|o| (o.name.as_str(), o.at)));
    let mut twice = |what, list: Vec<(&str, &'static Location<'static>)>| {
        let mut seen = HashSet::new();
        for (name, at) in list {
            if !seen.insert(name) {
                add(
                    at,
                    ErrorKind::NameTwice {
                        what,
                        name: name.into(),
                    },
                );
            }
        }
    };
    twice("port", ports.collect());
    twice(
        "memory",
        inner.mems.iter().map(|m| (m.name.as_str(), m.at)).collect(),
    );
    twice(
        "instance",
        inner
            .insts
            .iter()
            .map(|i| (i.name.as_str(), i.at))
            .collect(),
    );
    twice(
        "property",
        inner
            .props
            .iter()
            .map(|p| (p.name.as_str(), p.at))
            .collect(),
    );
}

/// Names used so far; a clash gets the suffix `_2`, `_3`, ... in order of creation.
struct Names {
    used: HashSet<String>,
    next: HashMap<String, u32>,
}

impl Names {
    fn take(&mut self, wanted: &str) -> String {
        if self.used.insert(wanted.into()) {
            return wanted.into();
        }
        let n = self.next.entry(wanted.into()).or_insert(2);
        loop {
            let name = format!("{wanted}_{n}");
            *n += 1;
            if self.used.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Gives every node its name. `old` is each node's number in the builder: the order of creation,
/// so that suffixes do not depend on what uses what.
pub(crate) fn assign(data: &mut Data, old: &[Id]) {
    let mut names = Names {
        used: HashSet::new(),
        next: HashMap::new(),
    };
    for fixed in ["clk", "rst", "_unused", &data.name] {
        names.used.insert(fixed.into());
    }
    let mut result: Vec<Option<String>> = vec![None; data.nodes.len()];
    for port in data.input_ports.iter().chain(&data.output_ports) {
        names.used.insert(port.name.clone());
    }
    for (port, id) in data.input_ports.iter().zip(&data.inputs) {
        result[*id as usize] = Some(port.name.clone());
    }
    // An output port is the node itself where the node has no other name.
    for (port, id) in &data.outputs {
        let node = &data.nodes[*id as usize];
        let slot = &mut result[*id as usize];
        let instance = matches!(node.op, Op::InstOut { .. });
        let free = instance || node.name.as_ref().is_none_or(|n| n == port);
        if slot.is_none() && free && !matches!(node.op, Op::Const(_)) {
            *slot = Some(port.clone());
        }
    }
    for mem in &mut data.mems {
        mem.name = names.take(&mem.name);
    }
    for inst in &mut data.insts {
        inst.name = names.take(&inst.name);
    }
    for prop in &mut data.props {
        prop.name = names.take(&prop.name);
    }
    let mut by_age: Vec<usize> = (0..data.nodes.len()).collect();
    by_age.sort_by_key(|i| old[*i]);
    for i in by_age.iter().copied() {
        if let (None, Some(name)) = (&result[i], &data.nodes[i].name) {
            result[i] = Some(names.take(name));
        }
    }
    // Delay registers are named after what they delay, other nodes after their operation.
    for i in by_age {
        if result[i].is_some() {
            continue;
        }
        let node = &data.nodes[i];
        let wanted = match node.delay_of {
            Some((root, by)) => {
                let base = result[root as usize]
                    .clone()
                    .unwrap_or_else(|| data.nodes[root as usize].op.word().into());
                match node.stage {
                    Some(stage) => format!("{base}_s{stage}"),
                    None => format!("{base}_d{by}"),
                }
            }
            None => match node.op {
                Op::Slice(src, lo) => slice_name(data, &result, src, lo, node.width),
                _ => format!("{}_{i}", node.op.word()),
            },
        };
        result[i] = Some(names.take(&wanted));
    }
    data.names = result.into_iter().map(Option::unwrap_or_default).collect();
}

/// `flow_vid` for a field, else `flow_7_0`.
fn slice_name(data: &Data, names: &[Option<String>], src: Id, lo: u32, width: u32) -> String {
    let node = &data.nodes[src as usize];
    let base = names[src as usize]
        .clone()
        .unwrap_or_else(|| node.op.word().into());
    let fields = node.record.as_ref().map_or(&[][..], |r| r.fields());
    match fields.iter().find(|f| f.offset == lo && f.width == width) {
        Some(f) => format!("{base}_{}", f.name),
        None => format!("{base}_{}_{lo}", lo + width - 1),
    }
}
