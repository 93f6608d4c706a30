//! Live change: whatever a delta leads from and to, and wherever it is cut off, every packet is
//! treated by the old definition or by the new one.
//!
//! `SEQNIC_DELTA_PAIRS` makes a run longer, `SEQNIC_DELTA_SEED` starts it elsewhere.

mod common;

use common::{Outcomes, outcomes};
use seqnic_compiler::delta::{Delta, DeltaError, Order, delta, settle};
use seqnic_compiler::{compile, definition::Definition, read};
use seqnic_image::Image;
use seqnic_random::{Frame, definition, mutate, packets};
use seqnic_spec::tables::Table;

/// Two definitions, and frames that mean something to them.
struct Pair {
    old: Image,
    new: Definition,
    frames: Vec<Frame>,
    yaml: [String; 2],
}

impl Pair {
    fn of(seed: u64, count: usize) -> Option<Pair> {
        let base = definition(seed);
        let yaml = [
            mutate(&base, seed * 2).yaml(),
            mutate(&base, seed * 2 + 1).yaml(),
        ];
        let definitions = [read(&yaml[0]).ok()?, read(&yaml[1]).ok()?];
        let mut frames = packets(&definitions[0], seed, count);
        frames.extend(packets(&definitions[1], seed, count));
        let [old, new] = definitions;
        Some(Pair {
            old: compile(&old).ok()?,
            new: compile(&new).ok().map(|_| new)?,
            frames,
            yaml,
        })
    }

    fn delta(&self) -> Delta {
        let [old, new] = &self.yaml;
        delta(&self.old, &self.new).unwrap_or_else(|e| panic!("{e}\n{old}\n{new}"))
    }
}

fn flip_at(delta: &Delta) -> usize {
    let flip = delta.words.iter().position(|w| w.table == Table::Epoch);
    // A single row is its own flip.
    flip.map_or(0, |at| at)
}

/// Each frame's outcome is the expected one.
fn same(found: &Outcomes, expected: &Outcomes, what: &str, pair: &Pair) {
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(
            found, expected,
            "{what}, frame {at} on port {}: {:02x?}\n--- old\n{}\n--- new\n{}",
            pair.frames[at].port, pair.frames[at].bytes, pair.yaml[0], pair.yaml[1]
        );
    }
}

#[test]
fn a_delta_cut_off_at_any_word_leaves_one_of_two_definitions() {
    let pairs = common::number("SEQNIC_DELTA_PAIRS", 60);
    let first = common::number("SEQNIC_DELTA_SEED", 0);
    let (mut seen, mut words, mut cuts, mut differing, mut one_word) = (0, 0, 0, 0, 0);
    let mut taken_off = 0;
    // The compiler refuses about half of the pairs; of many more the generator would be no good.
    let tries = 4 * pairs;
    for seed in first..first + tries {
        let Some(pair) = Pair::of(seed, 40) else {
            continue;
        };
        let delta = pair.delta();
        let before = outcomes(&pair.old, &pair.frames);
        let fresh = compile(&pair.new).expect("compiled before");
        let after = outcomes(&fresh, &pair.frames);
        differing += u64::from(before != after);

        taken_off += u64::from(delta.words.iter().any(|w| w.table == Table::Decap));

        let mut whole = pair.old.clone();
        delta.apply(&mut whole).unwrap();
        same(&outcomes(&whole, &pair.frames), &after, "all of it", &pair);
        let file = seqnic_image::write(&whole);
        assert_eq!(
            seqnic_image::read(&file).as_ref(),
            Ok(&whole),
            "seed {seed}"
        );

        let flip = flip_at(&delta);
        let step = delta.words.len().div_ceil(12).max(1);
        let offset = seed as usize % step;
        let around = [flip, flip + 1].into_iter().filter(|_| !delta.is_empty());
        let at = (offset..=delta.words.len()).step_by(step).chain(around);
        for at in at {
            let mut cut = pair.old.clone();
            delta.apply_part(&mut cut, 0..at).unwrap();
            let expected = if at > flip { &after } else { &before };
            let what = format!("seed {seed}, cut at {at} of {}", delta.words.len());
            same(&outcomes(&cut, &pair.frames), expected, &what, &pair);

            let mut on = cut.clone();
            delta.apply_part(&mut on, at..delta.words.len()).unwrap();
            assert_eq!(on.tables, whole.tables, "{what}: continued");
            let mut back = cut.clone();
            let all = delta.words.len();
            delta
                .reversed()
                .apply_part(&mut back, all - at..all)
                .unwrap();
            back.names = pair.old.names.clone();
            assert!(meaning_equal(&back, &pair.old), "{what}: rolled back");

            let mut settled = cut.clone();
            settle(&cut).apply(&mut settled).unwrap();
            let found = outcomes(&settled, &pair.frames);
            same(&found, expected, &what, &pair);
            assert!(settle(&settled).is_empty(), "{what}: settled twice");
            cuts += 1;
        }
        words += delta.words.len();
        one_word += usize::from(!delta.is_empty() && flip == 0);
        seen += 1;
        if seen == pairs {
            break;
        }
    }
    println!(
        "{seen} pairs, {differing} with packets that differ, {one_word} of one row, {words} words, {cuts} cuts; {taken_off} change what a port takes off"
    );
    assert!(taken_off * 20 > seen, "{taken_off} of {seen}");
    assert!(
        seen == pairs && differing * 2 > seen,
        "{seen} pairs of {tries} tries, {pairs} wanted; {differing} differ"
    );
}

/// The same rows; one image may store zero rows behind its last.
fn meaning_equal(a: &Image, b: &Image) -> bool {
    let mut tables = a.tables.iter().zip(&b.tables);
    tables.all(|(a, b)| a.used().eq(b.used()))
}

#[test]
fn deltas_follow_each_other_and_numbers_of_what_stays_stay() {
    for seed in 0..12 {
        let base = definition(seed);
        let mut image: Option<Image> = None;
        let mut frames = Vec::new();
        for step in 0..8 {
            let yaml = mutate(&base, seed * 100 + step).yaml();
            let Ok(new) = read(&yaml) else { continue };
            let Ok(fresh) = compile(&new) else { continue };
            frames.extend(packets(&new, step, 30));
            let Some(old) = image.take() else {
                image = Some(fresh);
                continue;
            };
            let delta = delta(&old, &new).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{yaml}"));
            let mut next = old.clone();
            delta.apply(&mut next).unwrap();
            let (found, expected) = (outcomes(&next, &frames), outcomes(&fresh, &frames));
            assert_eq!(found, expected, "seed {seed} step {step}\n{yaml}");
            // What has a name keeps its number.
            for (number, name) in old.names.attachments.iter().enumerate() {
                assert_eq!(&next.names.attachments[number], name);
            }
            for (number, name) in old.names.interfaces.iter().enumerate() {
                assert_eq!(next.names.interfaces[number].name, name.name);
            }
            // There is nothing left to do.
            let again = seqnic_compiler::delta::delta(&next, &new).unwrap();
            assert!(
                again.is_empty(),
                "seed {seed} step {step}: {:?}",
                again.words
            );
            image = Some(next);
        }
    }
}

#[test]
fn the_same_definition_in_another_order_changes_nothing() {
    for seed in 0..20 {
        let base = definition(seed);
        let Some(old) = read(&base.yaml()).ok().and_then(|d| compile(&d).ok()) else {
            continue;
        };
        let again = delta(&old, &read(&base.yaml()).unwrap()).unwrap();
        assert!(again.is_empty(), "seed {seed}");
    }
}

#[test]
fn unfinished_tables_are_refused_until_they_are_settled() {
    let mut refused = 0;
    for seed in 0..40 {
        let Some(pair) = Pair::of(seed, 10) else {
            continue;
        };
        let change = pair.delta();
        let flip = flip_at(&change);
        if flip == 0 {
            continue;
        }
        let mut cut = pair.old.clone();
        change.apply_part(&mut cut, 0..flip).unwrap();
        let Err(error) = delta(&cut, &pair.new) else {
            panic!("seed {seed}: a delta from the middle of another");
        };
        assert!(matches!(error, DeltaError::Unfinished { .. }), "{error}");
        settle(&cut).apply(&mut cut).unwrap();
        let next = delta(&cut, &pair.new).unwrap();
        next.apply(&mut cut).unwrap();
        let fresh = compile(&pair.new).unwrap();
        let after = outcomes(&fresh, &pair.frames);
        same(
            &outcomes(&cut, &pair.frames),
            &after,
            "settled, then changed",
            &pair,
        );
        refused += 1;
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_drain_stands_behind_every_flip_on_the_way_there_and_back() {
    let pair = (0..).find_map(|seed| Pair::of(seed, 1)).unwrap();
    for delta in [pair.delta(), pair.delta().reversed()] {
        let orders: Vec<Order> = delta.orders().collect();
        let drains = orders.iter().filter(|o| **o == Order::Drain).count();
        assert_eq!(drains, 1);
        for pair in orders.windows(2) {
            if let [Order::Write(word), Order::Drain] = pair {
                assert_eq!(word.table, Table::Epoch);
            }
        }
    }
}
