//! Register slice, FIFO and queue under random backpressure: nothing lost, doubled, reordered or withdrawn.

mod common;

use std::collections::VecDeque;

use common::random::Rng;
use seqnic_gen::{Circuit, Module, RamSpec, Sim, stream};

/// Drives a stream component with the given chances (percent) of offering and taking a word.
/// Returns the number of words which went through.
fn drive(circuit: &Circuit, clocks: u32, offer: u64, take: u64) -> u64 {
    let mut sim = Sim::new(circuit);
    let mut rng = Rng::new(offer * 1000 + take);
    let mut inside: VecDeque<u64> = VecDeque::new();
    let (mut offered, mut moved, mut shown) = (None, 0, None);
    let counts = circuit.outputs().iter().any(|p| p.name == "count");
    sim.reset();
    for clock in 0..clocks {
        if offered.is_none() && rng.chance(offer) {
            offered = Some(rng.next() & 0xff_ffff);
        }
        sim.set("in_valid", offered.is_some().into());
        sim.set("in_data", offered.unwrap_or(0));
        sim.set("out_ready", rng.chance(take).into());
        if counts {
            assert_eq!(sim.get("count"), inside.len() as u64, "clock {clock}");
        }
        let data = sim.get("out_data");
        if let Some(before) = shown {
            assert_eq!(
                (sim.get("out_valid"), data),
                (1, before),
                "an offered word was withdrawn"
            );
        }
        shown = (sim.get("out_valid") == 1).then_some(data);
        if sim.get("out_valid") == 1 && sim.get("out_ready") == 1 {
            assert_eq!(Some(data), inside.pop_front(), "clock {clock}");
            (moved, shown) = (moved + 1, None);
        }
        if sim.get("in_ready") == 1
            && let Some(word) = offered
        {
            inside.push_back(word);
            offered = None;
        }
        sim.step();
    }
    moved
}

#[test]
fn register_slice() {
    let circuit = stream::register_slice(24).expect("no mistakes");
    for (offer, take) in [(100, 100), (50, 50), (100, 30), (30, 100), (10, 90)] {
        let moved = drive(&circuit, 2000, offer, take);
        assert!(
            moved > 2000 * offer.min(take) / 140,
            "{moved} words at {offer}/{take}"
        );
    }
    assert!(drive(&circuit, 1000, 100, 100) >= 998, "full rate");
    common::lint(&circuit);
}

#[test]
fn fifo_of_any_depth() {
    for depth in [2, 3, 4, 5, 16, 37] {
        let circuit = stream::fifo(RamSpec::new(depth, 24)).expect("no mistakes");
        for (offer, take) in [(100, 100), (50, 50), (100, 30), (30, 100), (100, 0)] {
            drive(&circuit, 1000, offer, take);
        }
        if depth > 2 {
            assert!(
                drive(&circuit, 1000, 100, 100) >= 996,
                "full rate at depth {depth}"
            );
        }
        common::lint(&circuit);
    }
    let errors = stream::fifo(RamSpec::new(1, 24)).expect_err("too small");
    assert_eq!(
        errors[0].kind.to_string(),
        "depth of FIFO = 1 is out of range: at least 2"
    );
}

/// A queue with the ports of [`stream::fifo`].
fn queue(depth: u32) -> Circuit {
    let m = Module::new("queue");
    let (out, count) = m.stream_in("in", 24).queue("words", depth, |word| word);
    m.stream_out("out", out);
    m.output("count", count);
    m.finish().expect("no mistakes")
}

#[test]
fn queue_of_any_depth() {
    for depth in [2, 3, 5, 16] {
        let circuit = queue(depth);
        for (offer, take) in [
            (100, 100),
            (50, 50),
            (90, 80),
            (100, 30),
            (30, 100),
            (100, 0),
        ] {
            drive(&circuit, 1000, offer, take);
        }
        assert!(drive(&circuit, 1000, 100, 100) >= 998, "full rate");
        common::lint(&circuit);
    }
}

#[test]
fn a_word_passes_an_empty_queue_in_a_clock_and_a_full_one_holds_two_more_than_its_depth() {
    let mut sim = Sim::new(&queue(5));
    sim.set("in_valid", 1);
    sim.set("in_data", 7);
    sim.step();
    assert_eq!((sim.get("out_valid"), sim.get("out_data")), (1, 7));
    sim.step_n(20);
    assert_eq!((sim.get("count"), sim.get("in_ready")), (7, 0));
}

#[test]
fn a_full_fifo_holds_exactly_its_depth() {
    let mut sim = Sim::new(&stream::fifo(RamSpec::new(5, 8)).expect("no mistakes"));
    sim.set("in_valid", 1);
    sim.step_n(20);
    assert_eq!((sim.get("count"), sim.get("in_ready")), (5, 0));
}
