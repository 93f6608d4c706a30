//! Masks that rules may be found by (see [`super::rules`]).

use seqnic_spec::rules::Mask;
use std::collections::{HashMap, HashSet};

/// Masks that are tried, at most.
const CANDIDATES: usize = 160;

/// Masks worth trying: the shapes of the rules, each with how many have it, the most frequent first, and those shapes with less.
pub(super) fn candidates(shapes: impl Iterator<Item = (Mask, usize)>) -> Vec<Mask> {
    let mut counts: HashMap<Mask, usize> = HashMap::new();
    for (shape, count) in shapes {
        *counts.entry(shape).or_default() += count;
    }
    let mut shapes: Vec<(Mask, usize)> = counts.into_iter().collect();
    shapes.sort_by_key(|(mask, count)| (std::cmp::Reverse(*count), *mask));
    let mut found: Vec<Mask> = shapes.iter().map(|s| s.0).take(CANDIDATES / 2).collect();
    let less = |m: &Mask| {
        let none = Mask::default();
        let m = *m;
        [
            Mask {
                client_port: 0,
                ..m
            },
            Mask { port: 0, ..m },
            Mask { client: 0, ..m },
            Mask { server: 0, ..m },
            Mask {
                client: m.client / 2,
                ..m
            },
            Mask {
                server: m.server / 2,
                ..m
            },
            Mask {
                client_port: 0,
                port: 0,
                ..m
            },
            Mask {
                client: m.client,
                protocol: m.protocol,
                ..none
            },
            Mask {
                server: m.server,
                protocol: m.protocol,
                ..none
            },
            Mask {
                protocol: false,
                ..m
            },
            Mask {
                arrival: false,
                ..m
            },
        ]
    };
    let mut seen: HashSet<Mask> = found.iter().copied().collect();
    for (shape, _) in &shapes {
        for mask in less(shape) {
            if found.len() < CANDIDATES && seen.insert(mask) {
                found.push(mask);
            }
        }
    }
    if seen.insert(Mask::default()) {
        found.push(Mask::default());
    }
    found
}
