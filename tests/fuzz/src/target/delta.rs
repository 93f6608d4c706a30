//! Deltas from a case's tables to any definition: cut off anywhere they are settled; whole, they mean what the definition
//! means; backwards, they lead back.
//!
//! An input is the number of a case, a place to cut at, and the text of the new definition.

use super::{Input, Target};
use crate::cases;
use seqnic_compiler::delta::{DeltaError, delta, settle};
use seqnic_compiler::{compile, read};
use seqnic_engine::Output;
use seqnic_image::Image;
use seqnic_model::ImageEngine;
use seqnic_random::{Frame, observe, packets};

pub const TARGET: Target = Target {
    name: "delta",
    seeds,
    run,
};

fn seeds() -> Vec<Vec<u8>> {
    let cases = cases::all();
    let mut seeds = Vec::new();
    for n in 0..cases.len() {
        // The definition itself, its neighbour, and one far away.
        for other in [n, (n + 1) % cases.len(), (n + 31) % cases.len()] {
            let mut seed = vec![n as u8, (n * 7) as u8, 0];
            seed.extend(cases[other].text.bytes());
            seeds.push(seed);
        }
    }
    seeds
}

fn run(input: &[u8]) -> bool {
    let mut input = Input(input);
    let (Some(case), Some(cut)) = (input.byte(), input.short()) else {
        return false;
    };
    let cases = cases::all();
    let old = &cases[usize::from(case) % cases.len()].image;
    let Ok(text) = std::str::from_utf8(input.0) else {
        return false;
    };
    let text = cases::on_edge(text);
    let Ok(definition) = read(&text) else {
        return false;
    };
    let Ok(fresh) = compile(&definition) else {
        return false;
    };
    let change = match delta(old, &definition) {
        Ok(change) => change,
        // A small card may not have room for both.
        Err(DeltaError::Definition(errors)) => {
            panic!("compiled, and refused as a change: {}", errors[0].message)
        }
        Err(_) => return true,
    };
    let mut new = old.clone();
    change
        .apply(&mut new)
        .expect("the delta starts from these tables");

    let cut = usize::from(cut) % (change.words.len() + 1);
    let mut part = old.clone();
    change
        .apply_part(&mut part, 0..cut)
        .expect("a part of it does");
    let mut settled = part.clone();
    settle(&part)
        .apply(&mut settled)
        .expect("settling starts from what is there");
    assert!(settle(&settled).is_empty(), "settled twice, cut at {cut}");
    change
        .apply_part(&mut part, cut..change.words.len())
        .expect("it goes on");
    assert!(part.tables == new.tables, "continued at {cut}");
    let mut back = new.clone();
    change.reversed().apply(&mut back).expect("the way back");

    let frames = packets(&definition, u64::from(case), 12);
    let words = |image| outcomes(image, &frames);
    assert_eq!(
        words(&new),
        words(&fresh),
        "changed and compiled tables differ\n{text}"
    );
    assert_eq!(words(&back), words(old), "not the way back");
    true
}

/// What the image engine makes of frames, in words: a delta keeps the numbers of what was there, a compiler counts anew.
fn outcomes(image: &Image, frames: &[Frame]) -> Vec<String> {
    let mut engine = ImageEngine::load(image).expect("tables of the compiler");
    let observed = observe(&mut engine, frames, 0).expect("every frame is taken");
    let interface = |n: u32| image.names.interfaces[n as usize].name.as_str();
    let outputs = observed.outputs.into_values().flatten();
    let mut words: Vec<String> = outputs
        .map(|output| match output {
            Output::Sent(s) => format!(
                "{} {} {} {:02x?}",
                s.id,
                interface(s.interface),
                s.priority,
                s.frame
            ),
            Output::Host(h) => format!(
                "{} {} {} {:?} {:?} {:?} {} {:02x?}",
                h.id,
                h.reason.name(),
                h.port,
                h.interface.map(interface),
                h.attachment,
                h.service,
                h.priority,
                h.frame
            ),
        })
        .collect();
    words.sort();
    words
}
