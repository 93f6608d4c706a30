//! Snapshots of all counters in the RTL while frames pass: each is what the image engine has counted up to one copy of
//! one packet, and what is counted afterwards is right as well.
//!
//! `SEQNIC_RANDOM_SNAPSHOTS` (definitions) makes a run longer.

use seqnic_engine::{Count, CounterKey, Counters, Engine, FrameIn, Output};
use seqnic_model::ImageEngine;
use seqnic_random::{Frame, definition, packets};
use seqnic_verilated::{Rtl, Snapshot};
use std::collections::BTreeMap;

/// Frames of one run, and those of them that are sent over and over.
const SENT: usize = 1200;

struct Run {
    /// Time of each frame sent, and the image engine's counters behind it.
    after: BTreeMap<u64, Counters>,
    snapshots: Vec<Snapshot>,
    whole: [Counters; 2],
    /// Snapshots that fell between the copies of one packet.
    between: u32,
}

fn run(yaml: &str, frames: &[Frame]) -> Run {
    let definition = seqnic_compiler::read(yaml).unwrap_or_else(|e| panic!("{e:?}"));
    let image = seqnic_compiler::compile(&definition).unwrap_or_else(|e| panic!("{e:?}"));
    let mut rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"))
        .unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let mut model = ImageEngine::load(&image).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let mut made: Vec<Output> = vec![];
    let mut after = BTreeMap::from([(0, Counters::default())]);
    let mut snapshots = vec![];
    for n in 0..SENT {
        let frame = &frames[n % frames.len()];
        let input = FrameIn {
            id: n as u64,
            time: (n as u64 + 1) * 700,
            port: frame.port,
            frame: &frame.bytes,
        };
        model.push(input, &mut vec![]).unwrap();
        after.insert(input.time, model.counters().unwrap());
        rtl.push(input, &mut made).unwrap();
        // Many frames wait at the inputs then, and enter while the rows are walked.
        if n % 300 == 299 {
            rtl.begin_snapshot();
            snapshots.push(rtl.snapshot().unwrap());
        }
    }
    rtl.drain(&mut made).unwrap();
    Run {
        after,
        snapshots,
        whole: [rtl.counters().unwrap(), model.counters().unwrap()],
        between: 0,
    }
}

fn count(counters: &Counters, key: &CounterKey) -> Count {
    counters.0.get(key).copied().unwrap_or_default()
}

impl Run {
    /// Each snapshot lies between what was counted before the newest packet it knows and what was
    /// counted behind it; where that packet has one copy, it is the latter.
    fn check(&mut self, what: &str) {
        assert_eq!(self.whole[0], self.whole[1], "{what}: in the end");
        for snapshot in &self.snapshots {
            assert!(!snapshot.torn, "{what}: torn");
            let before = self.after.range(..snapshot.newest).next_back();
            let (Some((_, before)), Some(behind)) = (before, self.after.get(&snapshot.newest))
            else {
                panic!("{what}: no frame has time {}", snapshot.newest);
            };
            let found = &snapshot.counters;
            let mut partly = false;
            for key in found.0.keys().chain(behind.0.keys()) {
                // As of when the row was read.
                if matches!(key, CounterKey::AttachmentSeen(_)) {
                    continue;
                }
                let [least, is, most] = [before, found, behind].map(|c| count(c, key));
                assert!(
                    (least.packets..=most.packets).contains(&is.packets)
                        && (least.bytes..=most.bytes).contains(&is.bytes),
                    "{what}: {key} is {is:?}, not from {least:?} to {most:?}"
                );
                partly |= is != most;
            }
            let copies = |c: &Counters| -> u64 {
                let out =
                    c.0.iter()
                        .filter(|(k, _)| matches!(k, CounterKey::InterfaceOut(_)));
                out.map(|(_, count)| count.packets).sum()
            };
            assert!(
                !partly || copies(behind) > copies(before) + 1,
                "{what}: a copy is missing"
            );
            self.between += u32::from(partly);
        }
    }
}

#[test]
fn a_snapshot_is_of_one_copy() {
    let wanted: u64 = match std::env::var("SEQNIC_RANDOM_SNAPSHOTS") {
        Ok(text) => text.parse().expect("a number of definitions"),
        Err(_) => 8,
    };
    let (mut done, mut seed, mut taken) = (0, 0, 0);
    while done < wanted {
        seed += 1;
        let yaml = definition(seed).yaml();
        let Ok(read) = seqnic_compiler::read(&yaml) else {
            continue;
        };
        if seqnic_compiler::compile(&read).is_err() {
            continue;
        }
        let frames = packets(&read, seed, 60);
        let mut run = run(&yaml, &frames);
        run.check(&format!("seed {seed}"));
        taken += run.snapshots.len();
        println!("seed {seed}: {} between copies", run.between);
        done += 1;
    }
    assert_eq!(taken as u64, wanted * (SENT as u64 / 300));
}
