//! Registers and memories by stage as the generator counts them: seconds, where mapping takes minutes.
//! Logic is not among them, and registers nobody needs still are.

use crate::target::Target;
use crate::timing::stage_of;
use seqnic_gen::Circuit;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Bits of registers, halves of block RAM and UltraRAM (by tiles).
type Sizes = [u64; 3];

/// A table of all stages of `top`.
pub fn table(target: &Target, top: &Circuit) -> String {
    let mut stages: BTreeMap<String, Sizes> = BTreeMap::new();
    walk(target, top, "", &mut stages);
    let mut text = format!(
        "| stage | FF | {} | URAM |\n| --- | ---: | ---: | ---: |\n",
        target.bram
    );
    let mut all = Sizes::default();
    for (stage, sizes) in &stages {
        let _ = line(&mut text, stage, sizes);
        all.iter_mut().zip(sizes).for_each(|(a, s)| *a += s);
    }
    let _ = line(&mut text, "all", &all);
    text
}

fn line(text: &mut String, stage: &str, [ff, bram, uram]: &Sizes) -> std::fmt::Result {
    writeln!(
        text,
        "| `{stage}` | {ff} | {} | {uram} |",
        *bram as f64 / 2.0
    )
}

fn walk(target: &Target, module: &Circuit, path: &str, stages: &mut BTreeMap<String, Sizes>) {
    let below: u64 = module.children().map(|(_, c)| c.state_bits().0).sum();
    let stage = stages.entry(stage_of(path)).or_default();
    stage[0] += module.state_bits().0 - below;
    for memory in module.memories() {
        let (bram, uram) = target.tiles(&memory);
        stage[1] += bram;
        stage[2] += uram;
    }
    for (name, child) in module.children() {
        let path = match path.is_empty() {
            true => name.to_string(),
            false => format!("{path}.{name}"),
        };
        walk(target, child, &path, stages);
    }
}
