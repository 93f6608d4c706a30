//! A real capture (curl and ping over veth, `tests/real-capture/make.sh`) through all three engines, as it
//! is and with mangled packets mixed in.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seqnic_engine::{Counters, Engine, FrameIn, Output};
use seqnic_model::ImageEngine;
use seqnic_oracle::Oracle;
use seqnic_replay::capture::Reader;
use seqnic_verilated::Rtl;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("real-capture")
}

/// Both directions by time: (port, frame).
fn capture() -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    for (port, name) in [(0, "clients.pcap"), (1, "server.pcap")] {
        let mut reader = Reader::open(&folder().join(name)).unwrap_or_else(|e| panic!("{e}"));
        while let Some(record) = reader.next_record().unwrap_or_else(|e| panic!("{e}")) {
            all.push((record.time, port, record.frame));
        }
    }
    all.sort_by_key(|(time, port, _)| (*time, *port));
    all.into_iter()
        .map(|(_, port, frame)| (port, frame))
        .collect()
}

fn engines() -> Vec<Box<dyn Engine>> {
    let path = folder().join("definition.yaml");
    let text = std::fs::read_to_string(&path).expect("the definition is there");
    let definition = seqnic_compiler::read(&text).unwrap_or_else(|e| panic!("{}", e[0].message));
    let image =
        seqnic_compiler::compile(&definition).unwrap_or_else(|e| panic!("{}", e[0].message));
    let rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"));
    vec![
        Box::new(Oracle::new(&definition)),
        Box::new(ImageEngine::load(&image).unwrap_or_else(|e| panic!("{e}"))),
        Box::new(rtl.unwrap_or_else(|e| panic!("{e}"))),
    ]
}

fn run(engine: &mut dyn Engine, frames: &[(u8, Vec<u8>)]) -> (Vec<Output>, Counters) {
    let mut out = Vec::new();
    for (id, (port, frame)) in frames.iter().enumerate() {
        let frame = FrameIn {
            id: id as u64,
            time: id as u64,
            port: *port,
            frame,
        };
        engine
            .push(frame, &mut out)
            .unwrap_or_else(|e| panic!("{e}"));
    }
    engine.drain(&mut out).unwrap_or_else(|e| panic!("{e}"));
    out.sort();
    let counters = engine.counters().unwrap_or_else(|e| panic!("{e}"));
    (out, counters)
}

/// The engine stands in the middle of the wire and changes nothing: what was TCP to the server's port 80
/// or ping, and its answers, leaves on the other side byte for byte.
#[test]
fn what_passed_the_wire_passes_the_engines() {
    let frames = capture();
    for mut engine in engines() {
        let (out, _) = run(engine.as_mut(), &frames);
        assert_eq!(out.len(), frames.len(), "{}", engine.name());
        let mut passed = 0;
        for output in out {
            let Output::Sent(sent) = output else { continue };
            let (port, frame) = &frames[sent.id as usize];
            assert_eq!(
                sent.interface,
                u32::from(1 - port),
                "{} packet {}",
                engine.name(),
                sent.id
            );
            assert_eq!(&sent.frame, frame, "{} packet {}", engine.name(), sent.id);
            passed += 1;
        }
        assert!(
            passed > 150,
            "{}: only {passed} of {} passed",
            engine.name(),
            frames.len()
        );
    }
}

/// Between the real packets: the same with bytes changed, cut off, or made longer.
#[test]
fn mangled_packets_stop_no_engine_and_all_agree() {
    let mut random = ChaCha8Rng::seed_from_u64(22);
    let mut frames = Vec::new();
    for (port, frame) in capture() {
        for _ in 0..12 {
            let mut bent = frame.clone();
            match random.random_range(0..4) {
                0 => bent.truncate(random.random_range(1..=frame.len())),
                1 => bent.resize(frame.len() + random.random_range(1..200), 0xa5),
                _ => {
                    // Near the front, where headers are.
                    for _ in 0..random.random_range(1..6) {
                        let at = random.random_range(0..bent.len().min(90));
                        bent[at] = random.random();
                    }
                }
            }
            frames.push((port, bent));
        }
        frames.push((port, frame));
    }
    let mut results = engines().into_iter().map(|mut e| {
        let result = run(e.as_mut(), &frames);
        (e.name(), result)
    });
    let (first, expected) = results.next().expect("three engines");
    for (name, found) in results {
        for (a, b) in expected.0.iter().zip(&found.0) {
            assert_eq!(a, b, "{first} and {name}");
        }
        assert_eq!(expected.0.len(), found.0.len(), "{first} and {name}");
        assert_eq!(expected.1, found.1, "{first} and {name}");
    }
}
