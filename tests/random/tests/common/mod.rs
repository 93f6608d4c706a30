//! What tests of live change share.

#![allow(dead_code)]

use seqnic_engine::{Engine, FrameIn, Output};
use seqnic_image::Image;
use seqnic_image::names::Names;
use seqnic_model::ImageEngine;
use seqnic_random::Frame;

/// What became of a frame, with names instead of numbers: numbers may differ between tables of
/// one meaning.
pub type Outcome = Vec<String>;
pub type Outcomes = Vec<Outcome>;

pub fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, not a number")),
        Err(_) => otherwise,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// An output in words.
pub fn words(names: &Names, output: &Output) -> String {
    let interface = |n: u32| names.interfaces[n as usize].name.as_str();
    match output {
        Output::Sent(s) => {
            let (to, priority) = (interface(s.interface), s.priority);
            format!("{to}, priority {priority}: {}", hex(&s.frame))
        }
        Output::Host(h) => format!(
            "host, {} from port {} {:?} {:?} {:?}: {}",
            h.reason.name(),
            h.port,
            h.interface.map(interface),
            h.attachment,
            h.service,
            hex(&h.frame)
        ),
    }
}

/// What the image engine makes of each frame.
pub fn outcomes(image: &Image, frames: &[Frame]) -> Outcomes {
    let mut engine = ImageEngine::load(image).unwrap_or_else(|e| panic!("{e}"));
    let mut all = Vec::with_capacity(frames.len());
    for (id, frame) in frames.iter().enumerate() {
        let mut out = Vec::new();
        let frame = FrameIn {
            id: id as u64,
            time: id as u64,
            port: frame.port,
            frame: &frame.bytes,
        };
        engine
            .push(frame, &mut out)
            .expect("the engine takes every frame");
        let mut of_frame: Outcome = out.iter().map(|o| words(&image.names, o)).collect();
        of_frame.sort();
        all.push(of_frame);
    }
    all
}
