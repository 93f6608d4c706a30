//! What each stage takes.

use crate::modules::Mapped;
use crate::target::{Cells, Target};
use crate::timing::stage_of;
use seqnic_gen::Circuit;
use std::collections::BTreeMap;

/// One kind of stage: `count` of them, each of `one`.
#[derive(Debug, Clone, Default)]
pub struct Stage {
    pub all: Cells,
    /// Blocks its memories take when cut into equal tiles: halves of block RAM, UltraRAM.
    pub tiles: (u64, u64),
}

/// Cells of every stage of `top`.
pub fn count(target: &Target, mapped: &Mapped, top: &str) -> BTreeMap<String, Stage> {
    let mut stages = BTreeMap::new();
    if let Some(circuit) = mapped.circuits.get(top) {
        walk(target, mapped, circuit, "", &mut stages);
    }
    stages
}

fn walk(
    target: &Target,
    mapped: &Mapped,
    circuit: &Circuit,
    path: &str,
    stages: &mut BTreeMap<String, Stage>,
) {
    let stage = stages.entry(stage_of(path)).or_default();
    // What is mapped as a part of its stage has no netlist of its own.
    if let Some(netlist) = mapped.netlists.get(circuit.name()) {
        for cell in netlist.cells.values() {
            stage.all = stage.all + target.cost(&cell.kind);
        }
    }
    for memory in circuit.memories() {
        let (bram, uram) = target.tiles(&memory);
        stage.tiles.0 += bram;
        stage.tiles.1 += uram;
    }
    for (name, child) in circuit.children() {
        let below = match path.is_empty() {
            true => name.to_string(),
            false => format!("{path}.{name}"),
        };
        walk(target, mapped, child, &below, stages);
    }
}

/// Stages in the order packets meet them, and those that are the same joined.
pub fn order(stages: &BTreeMap<String, Stage>) -> Vec<String> {
    const ORDER: [&str; 14] = [
        "ingress",
        "arbiter",
        "window",
        "header_",
        "sequencer",
        "prepare",
        "buffer",
        "editor",
        "dispatch",
        "egress_p",
        "egress_host",
        "counters",
        "core",
        "",
    ];
    let path: Vec<&str> = seqnic_pipeline::header::path::ORDER
        .iter()
        .map(|p| p.0)
        .collect();
    let mut names: Vec<String> = stages.keys().cloned().collect();
    names.sort_by_key(|name| {
        let place = ORDER
            .iter()
            .position(|o| name.starts_with(o))
            .unwrap_or(ORDER.len());
        let within = path.iter().position(|p| p == name).unwrap_or(path.len());
        (place, within, name.clone())
    });
    names
}
