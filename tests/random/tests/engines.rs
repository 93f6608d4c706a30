//! The engines against each other on random definitions and packets: oracle and image engine on
//! many, the RTL with both on some (it is some thousand times slower to start).
//!
//! `SEQNIC_RANDOM_DEFINITIONS`, `SEQNIC_RANDOM_RTL` (definitions for the RTL) and
//! `SEQNIC_RANDOM_PACKETS` make a run longer, `SEQNIC_RANDOM_SEED` starts it elsewhere. What is found is made small and written to a folder, to become a case.

use seqnic_compiler::definition::Definition;
use seqnic_engine::Engine;
use seqnic_model::{BatchEngine, ImageEngine};
use seqnic_oracle::Oracle;
use seqnic_random::tree::Node;
use seqnic_random::{Case, Frame, compare, definition, edges, observe, packets, returns, shrink};
use seqnic_spec::reason::Reason;
use seqnic_spec::tables::Table;
use seqnic_verilated::{Pressure, Rtl};
use std::collections::BTreeMap;
use std::path::Path;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, not a number")),
        Err(_) => otherwise,
    }
}

/// Engines with a definition loaded; the code of the first error of one that is refused.
type Load = fn(&str) -> Result<Vec<Box<dyn Engine>>, &'static str>;

fn with_rtl(yaml: &str) -> Result<Vec<Box<dyn Engine>>, &'static str> {
    let definition = seqnic_compiler::read(yaml).map_err(|e| e[0].code)?;
    let image = seqnic_compiler::compile(&definition).map_err(|e| e[0].code)?;
    let mut rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"))
        .unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    // Every other definition under pressure: it changes when things happen, never what.
    if yaml.len() % 2 == 1 {
        rtl.press(Pressure {
            ordered: true,
            idle_in: 25,
            stall_out: 25,
            seed: yaml.len() as u64,
        });
    }
    let mut all = engines(yaml)?;
    all.push(Box::new(rtl));
    Ok(all)
}

/// Oracle, image engine, and the image engine in batches.
fn engines(yaml: &str) -> Result<Vec<Box<dyn Engine>>, &'static str> {
    let definition = seqnic_compiler::read(yaml).map_err(|e| e[0].code)?;
    let image = seqnic_compiler::compile(&definition).map_err(|e| e[0].code)?;
    let model = ImageEngine::load(&image).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let batch = BatchEngine::load(&image).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    Ok(vec![
        Box::new(Oracle::new(&definition)),
        Box::new(model),
        Box::new(batch),
    ])
}

fn differs(load: Load, yaml: &str, frames: &[Frame]) -> bool {
    load(yaml).is_ok_and(|mut engines| {
        compare(&mut engines, frames).is_ok_and(|difference| difference.is_some())
    })
}

/// Makes a difference small, keeps it, and fails.
fn report(load: Load, seed: u64, node: Node, frames: Vec<Frame>) -> ! {
    let (node, frames) = shrink(node, frames, |node, frames| {
        differs(load, &node.yaml(), frames)
    });
    let yaml = node.yaml();
    let difference = load(&yaml)
        .ok()
        .and_then(|mut engines| compare(&mut engines, &frames).ok().flatten())
        .map_or("it is gone when looked at again".to_string(), |d| {
            d.to_string()
        });
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("found-{seed}"));
    let case = Case {
        definition: yaml.clone(),
        frames,
        note: format!("seed {seed}\n\n{difference}"),
    };
    case.save(&folder).unwrap_or_else(|e| panic!("{e}"));
    panic!(
        "seed {seed}: engines differ; kept in {}\n{difference}\n{yaml}",
        folder.display()
    );
}

#[test]
fn image_and_oracle_agree() {
    agree(engines, number("SEQNIC_RANDOM_DEFINITIONS", 300));
}

#[test]
fn rtl_image_and_oracle_agree() {
    agree(with_rtl, number("SEQNIC_RANDOM_RTL", 60));
}

/// Whether rules stand behind the banks.
fn always_compared(definition: &Definition) -> bool {
    let image = seqnic_compiler::compile(definition).expect("it was compiled before");
    let first = image.geometry.rule_banked();
    let mut rows = image.table(Table::Rule).used();
    rows.any(|(row, words)| row >= first && words.iter().any(|w| *w != 0))
}

fn agree(load: Load, definitions: u64) {
    let count = number("SEQNIC_RANDOM_PACKETS", 60) as usize;
    let first = number("SEQNIC_RANDOM_SEED", 0);
    let mut refused: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
    let mut healths: BTreeMap<&str, u64> = BTreeMap::new();
    let mut crowded = 0;
    for seed in first..first + definitions {
        let node = definition(seed);
        let yaml = node.yaml();
        let mut pair = match load(&yaml) {
            Ok(pair) => pair,
            Err(code) => {
                *refused.entry(code).or_default() += 1;
                continue;
            }
        };
        let read = seqnic_compiler::read(&yaml).expect("it was read before");
        crowded += u64::from(always_compared(&read));
        let mut frames = packets(&read, seed, count);
        let first_look =
            observe(&mut Oracle::new(&read), &frames, 0).expect("the oracle takes every frame");
        let back = returns(&read, &frames, &first_look);
        frames.extend(edges(&frames, &first_look));
        frames.extend(back);
        match compare(&mut pair, &frames) {
            Ok(None) => {}
            Ok(Some(_)) => report(load, seed, node, frames),
            Err(error) => panic!("seed {seed}: {error}"),
        }
        let mut oracle = Oracle::new(&read);
        let seen = observe(&mut oracle, &frames, 0).expect("the oracle takes every frame");
        for (key, count) in seen.counters.0 {
            use seqnic_engine::CounterKey;
            let health = match key {
                CounterKey::Reason(reason) => {
                    *reasons.entry(reason).or_default() += count.packets;
                    continue;
                }
                CounterKey::AttachmentSyn(_) => "syn",
                CounterKey::AttachmentAnswer(_) => "answer",
                CounterKey::AttachmentTime(..) => "time",
                _ => continue,
            };
            *healths.entry(health).or_default() += count.packets;
        }
    }
    let refusals: u64 = refused.values().sum();
    let total: u64 = reasons.values().sum();
    println!("{definitions} definitions, {refusals} refused: {refused:?}");
    println!("{total} packets: {reasons:?}, {healths:?}");
    println!("{crowded} definitions with rules that every packet is compared with");
    assert!(crowded > 0 || definitions < 60);
    // More than a third would be suspicious; of few definitions some more may be by chance.
    assert!(
        refusals * 3 < definitions + 15,
        "too many refused: {refused:?}"
    );
    if definitions >= 300 {
        for health in ["syn", "answer", "time"] {
            assert!(
                healths.get(health).is_some_and(|n| *n > definitions / 3),
                "{healths:?}"
            );
        }
        // A run that never meets a reason says nothing about it.
        let never = [Reason::OutputFull, Reason::Oversize];
        let missing: Vec<_> = Reason::ALL
            .iter()
            .filter(|r| !reasons.contains_key(r) && !never.contains(r))
            .collect();
        assert!(missing.is_empty(), "never met: {missing:?}");
        let directed = reasons.get(&Reason::Directed).copied().unwrap_or(0);
        assert!(directed * 4 > total, "only {directed} of {total} directed");
    }
}

/// What was found once stays found.
#[test]
fn kept_cases_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = std::fs::read_dir(&root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    let mut cases = 0;
    for entry in entries {
        let folder = entry.expect("a readable folder").path();
        let case = Case::load(&folder).unwrap_or_else(|e| panic!("{e}"));
        let mut all = with_rtl(&case.definition)
            .unwrap_or_else(|code| panic!("{}: refused, {code}", folder.display()));
        let difference = compare(&mut all, &case.frames).expect("engines take every frame");
        if let Some(difference) = difference {
            panic!("{}: {difference}\n{}", folder.display(), case.note);
        }
        cases += 1;
    }
    assert!(cases > 0, "no cases in {}", root.display());
}

#[test]
fn the_same_seed_gives_the_same() {
    for seed in 0..20 {
        let yaml = definition(seed).yaml();
        assert_eq!(yaml, definition(seed).yaml());
        if let Ok(read) = seqnic_compiler::read(&yaml) {
            assert_eq!(packets(&read, seed, 40), packets(&read, seed, 40));
        }
    }
    assert_ne!(definition(1).yaml(), definition(2).yaml());
}
