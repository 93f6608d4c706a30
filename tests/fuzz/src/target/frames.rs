//! Frames of any bytes on the image engine beside the oracle: parser, edits, exceptions, counters.
//!
//! An input is the number of a case, the port, and the frame.

use super::{Input, Target};
use crate::cases::{self, Case};
use seqnic_engine::Engine;
use seqnic_model::ImageEngine;
use seqnic_oracle::Oracle;
use seqnic_random::{Frame, compare};

pub const TARGET: Target = Target {
    name: "frames",
    seeds,
    run,
};

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (n, case) in (0..).zip(cases::all()) {
        for frame in &case.frames {
            let mut seed: Vec<u8> = vec![n, frame.port];
            seed.extend(&frame.bytes);
            seeds.push(seed);
        }
    }
    seeds
}

fn run(input: &[u8]) -> bool {
    let mut input = Input(input);
    let (Some(case), Some(port)) = (input.byte(), input.byte()) else {
        return false;
    };
    let cases = cases::all();
    let case: &Case = &cases[usize::from(case) % cases.len()];
    let bytes = input.bytes(9216).to_vec();
    if bytes.is_empty() {
        return false;
    }
    let frame = Frame {
        port: port % case.definition.geometry.ports as u8,
        bytes,
    };
    let model = ImageEngine::load(&case.image).expect("tables of a case");
    let oracle = Oracle::new(&case.definition);
    let mut pair: Vec<Box<dyn Engine>> = vec![Box::new(oracle), Box::new(model)];
    let frames = [frame];
    if let Some(difference) = compare(&mut pair, &frames).expect("engines take every frame") {
        panic!(
            "{difference}\n--- definition\n{}\nport {}: {:02x?}",
            case.text, frames[0].port, frames[0].bytes
        );
    }
    true
}
