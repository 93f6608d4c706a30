//! A comparer that finds nothing is worth nothing: engines that differ on purpose.

use seqnic_compiler::definition::Definition;
use seqnic_engine::Engine;
use seqnic_oracle::Oracle;
use seqnic_random::tree::Node;
use seqnic_random::{Difference, Frame, compare, definition, packets, shrink};

/// An oracle beside one whose definition was tampered with.
fn pair(yaml: &str, tamper: fn(&mut Definition)) -> Option<Vec<Box<dyn Engine>>> {
    let definition = seqnic_compiler::read(yaml).ok()?;
    let mut tampered = definition.clone();
    tamper(&mut tampered);
    Some(vec![
        Box::new(Oracle::new(&definition)),
        Box::new(Oracle::new(&tampered)),
    ])
}

fn found(node: &Node, frames: &[Frame], tamper: fn(&mut Definition)) -> Option<Difference> {
    compare(&mut pair(&node.yaml(), tamper)?, frames).expect("oracles take every frame")
}

/// The first random definition on which the tampering shows, with its frames.
fn first(tamper: fn(&mut Definition)) -> (Node, Vec<Frame>, Difference) {
    (0..50)
        .find_map(|seed| {
            let node = definition(seed);
            let read = seqnic_compiler::read(&node.yaml()).ok()?;
            let frames = packets(&read, seed, 60);
            let difference = found(&node, &frames, tamper)?;
            Some((node, frames, difference))
        })
        .expect("50 definitions with 60 packets each show it")
}

#[test]
fn an_edit_that_is_not_made_is_found_and_made_small() {
    let tamper = |d: &mut Definition| d.services.iter_mut().for_each(|s| s.dscp = None);
    let (node, frames, difference) = first(tamper);
    assert!(
        matches!(difference, Difference::Frame { .. }),
        "{difference}"
    );
    let (lines, count) = (node.yaml().lines().count(), frames.len());
    let (node, frames) = shrink(node, frames, |n, f| found(n, f, tamper).is_some());
    assert!(count > 1);
    assert_eq!(frames.len(), 1, "one frame shows it");
    let yaml = node.yaml();
    assert!(yaml.contains("dscp"), "{yaml}");
    // Not counted by its parts: of a service keyed by client not even the sequence is needed.
    let read = seqnic_compiler::read(&yaml).expect("what the compiler refuses does not differ");
    assert_eq!(read.services.len(), 1, "{yaml}");
    assert!(yaml.lines().count() < lines, "{yaml}");
}

#[test]
fn a_count_under_another_name_is_found() {
    let tamper = |d: &mut Definition| d.interfaces.iter_mut().for_each(|i| i.name.push('x'));
    let (_, _, difference) = first(tamper);
    assert!(
        matches!(difference, Difference::Counter { .. }),
        "{difference}"
    );
    assert!(
        difference.to_string().contains("0 packets, 0 bytes"),
        "{difference}"
    );
}

#[test]
fn another_way_is_found() {
    let tamper = |d: &mut Definition| {
        for service in &mut d.services {
            service.sequence.reverse();
        }
    };
    first(tamper);
}
