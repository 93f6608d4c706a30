//! Every module mapped by yosys, each alone with its children as black boxes, kept by the digest of what
//! goes in: a change of one stage is one module to map.
//!
//! Where the netlists are placed, a stage is mapped as one, with all that is in it but what has blocks of memory: logic is
//! simplified over the borders within it, and every cell still has the name of its stage.

use crate::failure::Failure;
use crate::netlist::{Module, Netlist};
use crate::program::Program;
use crate::target::{Family, Target};
use seqnic_gen::Circuit;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest time for one module.
const SECONDS: u64 = 1800;

/// The modules of a design, mapped.
pub struct Mapped {
    pub netlists: BTreeMap<String, Module>,
    pub circuits: BTreeMap<String, Circuit>,
    /// Where the netlists are, by module.
    pub files: BTreeMap<String, PathBuf>,
}

fn gather(target: &Target, circuit: &Circuit, all: &mut BTreeMap<String, Circuit>) {
    if all.contains_key(circuit.name()) {
        return;
    }
    all.insert(circuit.name().into(), circuit.clone());
    let mut apart = BTreeMap::new();
    parts(target, circuit, &mut BTreeMap::new(), &mut apart);
    for child in apart.into_values() {
        gather(target, child, all);
    }
}

/// What is mapped as one with `circuit`, itself among it, and what in it is mapped apart; by name.
fn parts<'c>(
    target: &Target,
    circuit: &'c Circuit,
    one: &mut BTreeMap<String, &'c Circuit>,
    apart: &mut BTreeMap<String, &'c Circuit>,
) {
    one.insert(circuit.name().into(), circuit);
    let stage = target.family == Family::Ecp5 && !has_stages(circuit);
    for (_, child) in circuit.children() {
        // What is around a block may change its registers so that it is mapped on more of them, or on none.
        let blocks = |memory| target.tiles(&memory).0 > 0;
        if stage && !child.memories().into_iter().any(blocks) {
            parts(target, child, one, apart);
        } else {
            apart.insert(child.name().into(), child);
        }
    }
}

/// Whether stages are in it.
fn has_stages(circuit: &Circuit) -> bool {
    circuit.name() == STAGES || circuit.children().any(|(_, child)| has_stages(child))
}

/// The module whose children are stages, as those of the modules around it are.
const STAGES: &str = "header_path";

/// A module as its parent sees it.
fn black_box(circuit: &Circuit) -> String {
    let mut ports = vec![];
    if circuit.uses_clk() {
        ports.push("    input wire clk".to_string());
    }
    if circuit.uses_rst() {
        ports.push("    input wire rst".to_string());
    }
    for (side, list) in [("input", circuit.inputs()), ("output", circuit.outputs())] {
        for port in list {
            let range = match port.width {
                1 => String::new(),
                width => format!("[{}:0] ", width - 1),
            };
            ports.push(format!("    {side} wire {range}{}", port.name));
        }
    }
    format!(
        "(* blackbox *)\nmodule {} (\n{}\n);\nendmodule\n",
        circuit.name(),
        ports.join(",\n")
    )
}

fn script(target: &Target, top: &str) -> String {
    format!(
        "read_verilog -DSYNTHESIS top.v\nread_verilog -lib children.v\nhierarchy -check -top {top}\n\
         {}\nselect {top}\nwrite_json -selected net.json\n",
        target.synthesis(top)
    )
}

/// Maps every module of `circuit`, or takes it from `cache`. With names in `only`, those are mapped and what is not in the cache
/// is left out.
///
/// # Errors
/// What yosys or the file system says.
pub fn map(
    target: &Target,
    circuit: &Circuit,
    yosys: &Program,
    cache: &Path,
    only: &[String],
    say: &mut dyn FnMut(&str),
) -> Result<Mapped, Failure> {
    fs::create_dir_all(cache).map_err(Failure::file(cache))?;
    let version = yosys.version(cache, "-V")?;
    let mut circuits = BTreeMap::new();
    gather(target, circuit, &mut circuits);
    let (mut netlists, mut files) = (BTreeMap::new(), BTreeMap::new());
    for (name, module) in &circuits {
        let (mut one, mut apart) = (BTreeMap::new(), BTreeMap::new());
        parts(target, module, &mut one, &mut apart);
        let text: String = one.values().map(|part| part.text()).collect();
        let children: String = apart.values().map(|part| black_box(part)).collect();
        let script = script(target, name);
        let mut digest = Sha256::new();
        for part in [&version, &script, &text, &children] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut key = String::new();
        for byte in &digest.finalize()[..8] {
            let _ = write!(key, "{byte:02x}");
        }
        let folder = cache.join(format!("{name}-{key}"));
        let file = folder.join("net.json");
        let done = folder.join("done");
        if !done.exists() && !only.is_empty() && !only.contains(name) {
            continue;
        }
        if !done.exists() {
            say(&format!("yosys: {} {name}", target.geometry.name));
            fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
            let write = |file: &str, text: &str| {
                let path = folder.join(file);
                fs::write(&path, text).map_err(Failure::file(&path))
            };
            write("top.v", &text)?;
            write("children.v", &children)?;
            write("synth.ys", &script)?;
            yosys.run(
                name,
                &folder,
                &["-q", "-s", "synth.ys"],
                SECONDS,
                &mut |_| (),
            )?;
            write("done", "")?;
        }
        let text = fs::read_to_string(&file).map_err(Failure::file(&file))?;
        let mut found: Netlist =
            serde_json::from_str(&text).map_err(|e| Failure::format(&file, e))?;
        let netlist = found
            .modules
            .remove(name)
            .ok_or_else(|| Failure::format(&file, format!("no module `{name}`")))?;
        netlists.insert(name.clone(), netlist);
        files.insert(name.clone(), file);
    }
    Ok(Mapped {
        netlists,
        circuits,
        files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_black_box_has_the_ports_and_nothing_else() {
        let m = seqnic_gen::Module::new("adder");
        let (a, b) = (m.input("a", 8), m.input("b", 8));
        m.output("sum", (a + b).reg());
        m.output("any", a.any());
        let text = black_box(&m.finish().unwrap());
        assert_eq!(
            text,
            "(* blackbox *)\nmodule adder (\n    input wire clk,\n    input wire [7:0] a,\n    \
             input wire [7:0] b,\n    output wire [7:0] sum,\n    output wire any\n);\nendmodule\n"
        );
    }
}
