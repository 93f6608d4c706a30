//! Live change in the RTL: words are written while frames pass back to back, cut off anywhere,
//! rolled back and continued; each frame is treated by the old definition or the new one.
//!
//! `SEQNIC_DELTA_RTL` is the number of pairs of definitions, `SEQNIC_DELTA_SEED` the first.

mod common;

use common::{Outcome, Outcomes, number, outcomes, words};
use seqnic_compiler::delta::{Delta, Order, delta};
use seqnic_compiler::{compile, read};
use seqnic_engine::{Engine, FrameIn, Output};
use seqnic_image::Image;
use seqnic_image::names::Names;
use seqnic_random::{Frame, definition, forgetful, mutate, packets};
use seqnic_verilated::{Pressure, Rtl};
use std::collections::BTreeMap;

/// Frames that wait at the inputs at least, so that one enters in every clock.
const WAITING: u64 = 6;

struct Traffic<'a> {
    rtl: Rtl,
    names: &'a Names,
    frames: &'a [Frame],
    /// What the old and the new definition make of each frame.
    expected: [&'a Outcomes; 2],
    /// Frame of each id; ids are in the order in which frames enter.
    sent: Vec<usize>,
    out: Vec<Output>,
    random: u64,
    writes: u64,
}

impl Traffic<'_> {
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) % n
    }

    /// Fills the inputs up.
    fn feed(&mut self) {
        while self.rtl.sim().waiting() < WAITING {
            let at = self.below(self.frames.len() as u64) as usize;
            let frame = FrameIn {
                id: self.sent.len() as u64,
                time: self.sent.len() as u64,
                port: self.frames[at].port,
                frame: &self.frames[at].bytes,
            };
            self.sent.push(at);
            self.rtl
                .push(frame, &mut self.out)
                .expect("the card takes frames");
        }
    }

    fn pass(&mut self, clocks: u64) {
        for _ in 0..clocks.div_ceil(4) {
            self.feed();
            self.rtl.sim().run(clocks.min(4));
        }
    }

    /// Follows some orders of a delta.
    fn follow(&mut self, orders: &[Order]) {
        for order in orders {
            self.feed();
            match order {
                Order::Write(word) => {
                    self.rtl.write(word.table, word.row, &word.now);
                    self.writes += 1;
                }
                Order::Drain => {
                    let mut polls = 0;
                    while self.rtl.draining().expect("the card answers") {
                        self.feed();
                        polls += 1;
                        assert!(polls < 10_000, "never drained");
                    }
                }
            }
            // Most writes follow each other in the next clock.
            if self.below(3) == 0 {
                let clocks = self.below(30);
                self.pass(clocks);
            }
        }
    }

    /// Lets everything out and says which of the two definitions each frame since `first` met;
    /// `None` where both do the same.
    fn met(&mut self, first: usize, what: &str) -> Vec<Option<usize>> {
        self.rtl.drain(&mut self.out).expect("the card drains");
        let mut found: BTreeMap<u64, Outcome> = BTreeMap::new();
        for output in self.out.drain(..) {
            let text = words(self.names, &output);
            found.entry(output.id()).or_default().push(text);
        }
        let mut met = Vec::new();
        for id in first..self.sent.len() {
            let frame = self.sent[id];
            let mut outcome = found.remove(&(id as u64)).unwrap_or_default();
            outcome.sort();
            let of = self.expected.map(|e| e[frame] == outcome);
            met.push(match of {
                [true, true] => None,
                [true, false] => Some(0),
                [false, true] => Some(1),
                [false, false] => panic!(
                    "{what}: frame {id} is neither old nor new\nfound {outcome:#?}\nold {:#?}\nnew {:#?}",
                    self.expected[0][frame], self.expected[1][frame]
                ),
            });
        }
        assert!(found.is_empty(), "{what}: frames nobody sent");
        met
    }
}

struct Pair {
    old: Image,
    new: Image,
    delta: Delta,
    frames: Vec<Frame>,
}

fn pair(seed: u64) -> Option<Pair> {
    let base = definition(seed);
    // What becomes of a packet must not depend on those before it.
    let yaml = [seed * 2, seed * 2 + 1].map(|s| forgetful(mutate(&base, s)).yaml());
    let definitions = [read(&yaml[0]).ok()?, read(&yaml[1]).ok()?];
    let old = compile(&definitions[0]).ok()?;
    let new = compile(&definitions[1]).ok()?;
    let delta = delta(&old, &definitions[1]).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let mut frames = packets(&definitions[0], seed, 80);
    frames.extend(packets(&definitions[1], seed, 80));
    frames.retain(|f| f.bytes.len() <= 1600);
    Some(Pair {
        old,
        new,
        delta,
        frames,
    })
}

#[test]
fn every_frame_meets_the_old_definition_or_the_new_one_while_words_are_written() {
    let first = number("SEQNIC_DELTA_SEED", 0);
    let wanted = number("SEQNIC_DELTA_RTL", 8);
    let (mut pairs, mut sent, mut writes, mut old, mut new) = (0, 0, 0, 0, 0);
    for seed in first.. {
        if pairs == wanted {
            break;
        }
        let Some(Pair {
            old: image,
            new: fresh,
            delta,
            frames,
        }) = pair(seed)
        else {
            continue;
        };
        let expected = [outcomes(&image, &frames), outcomes(&fresh, &frames)];
        if expected[0] == expected[1] {
            continue;
        }
        let mut rtl = Rtl::load(&image, None, &mut |line| eprintln!("{line}"))
            .unwrap_or_else(|e| panic!("{e}"));
        rtl.rename(&delta.now.1);
        rtl.press(Pressure {
            ordered: true,
            idle_in: if seed % 3 == 0 { 20 } else { 0 },
            stall_out: 0,
            seed,
        });
        let mut traffic = Traffic {
            rtl,
            names: &delta.now.1,
            frames: &frames,
            expected: [&expected[0], &expected[1]],
            sent: Vec::new(),
            out: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            writes: 0,
        };
        let back = delta.reversed();
        let all = delta.words.len();
        for round in 0..6 {
            let what = format!("seed {seed} round {round}");
            let start = traffic.sent.len();
            traffic.pass(60);
            // Forth to a random word (in the last round to the end), and with a cut back again.
            let cut = match round {
                5 => all,
                _ => traffic.below(all as u64 + 1) as usize,
            };
            let forth: Vec<Order> = upto(&delta, cut);
            traffic.follow(&forth);
            traffic.pass(60);
            let met = traffic.met(start, &what);
            check_once(&met, &what);
            old += met.iter().filter(|m| **m == Some(0)).count();
            new += met.iter().filter(|m| **m == Some(1)).count();
            if round == 5 {
                break;
            }
            let start = traffic.sent.len();
            let orders: Vec<Order> = back.orders().collect();
            let skip = upto(&back, back.words.len() - cut).len();
            traffic.follow(&orders[skip..]);
            traffic.pass(40);
            let met = traffic.met(start, &format!("{what}, back"));
            let turned: Vec<_> = met.iter().map(|m| m.map(|m| 1 - m)).collect();
            check_once(&turned, &what);
            let last = met.iter().rev().find_map(|m| *m);
            assert_ne!(
                last,
                Some(1),
                "{what}: rolled back, but the new definition is met"
            );
        }
        let start = traffic.sent.len();
        traffic.pass(200);
        let met = traffic.met(start, "at the end");
        assert!(
            met.iter().all(|m| *m != Some(0)),
            "seed {seed}: the old definition after all"
        );
        // Counters go on: what they counted has names, old and new.
        traffic
            .rtl
            .counters()
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        pairs += 1;
        sent += traffic.sent.len();
        writes += traffic.writes;
    }
    println!(
        "{pairs} pairs, {writes} words written among {sent} frames: {old} met the old definition only, {new} the new only"
    );
    assert!(old > 200 && new > 200, "{old} {new}");
}

/// Orders up to the `n`-th word, with the drain behind it if there is one.
fn upto(delta: &Delta, n: usize) -> Vec<Order<'_>> {
    let mut left = n;
    delta
        .orders()
        .take_while(|order| match order {
            Order::Drain => true,
            Order::Write(_) if left == 0 => false,
            Order::Write(_) => {
                left -= 1;
                true
            }
        })
        .collect()
}

/// Old, and from some frame on new.
fn check_once(met: &[Option<usize>], what: &str) {
    let shown: Vec<usize> = met.iter().flatten().copied().collect();
    assert!(shown.is_sorted(), "{what}: old after new: {shown:?}");
}
