//! Clocks counted on the verilated card.
//!
//! All figures but the speed of the simulation are exact counts of clocks, the same on every machine.
//! [`services`] makes many services and packets of them, this module offers those to the card and
//! looks at what comes out when, [`overload`] does so with an output that stalls, [`flood`] with one that a service
//! floods, [`copies`] with more copies than the bus or an output takes, [`pressed`] and [`snapped`] with
//! pauses everywhere and while counters are read.

mod copies;
mod flood;
mod overload;
mod pressed;
pub mod services;

pub use copies::{Copies, copies};
pub use flood::{Flood, Share, flood};
pub use overload::{Overload, overload};
pub use pressed::{Pressed, Snapped, pressed, snapped};

use crate::engine::Rtl;
use crate::error::RtlError;
use crate::sim::{FrameTaken, Sim, USER_BYTES};
use seqnic_spec::tables::OUTPUT_QUEUES;
use seqnic_spec::wire::WINDOW_BYTES;
use serde::Serialize;
use services::{Length, Offer, Services};
use std::time::{Duration, Instant};

/// Clocks without a frame coming out after which the card is called hung.
const PATIENCE: u64 = 100_000;
/// Traffic is the same in every run.
const SEED: u64 = 1;
/// Frames sent one at a time to an idle card.
const ALONE: u32 = 100;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("`{text}` is no frame length: 60 to 9216 bytes without FCS, or `mix`")]
    Length { text: String },
    #[error(
        "{services} services are too few for traffic of every kind at every output: give 2000 or more"
    )]
    TooFew { services: u32 },
    #[error("a frame of {bytes} bytes cannot be made: {what}")]
    Packet { bytes: u32, what: String },
    #[error(
        "frame {frame} left through port {found}, but its way is through port {port}; are the bench's tables loaded?"
    )]
    Astray { frame: u64, port: u32, found: u32 },
    #[error("the card stopped: nothing came out for {clocks} clocks, {waiting} frames wait")]
    Hang { clocks: u64, waiting: u64 },
    #[error("{what}")]
    Stream { what: String },
    #[error(transparent)]
    Rtl(#[from] RtlError),
}

/// Least, median and most of a number of clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub least: u64,
    pub median: u64,
    pub most: u64,
}

impl Spread {
    /// Of at least one value; zeros of none.
    fn of(mut values: Vec<u64>) -> Spread {
        values.sort_unstable();
        let at = |n: usize| values.get(n).copied().unwrap_or(0);
        Spread {
            least: at(0),
            median: at(values.len() / 2),
            most: at(values.len().saturating_sub(1)),
        }
    }
}

/// What one frame length gives, all ports offering frames back to back, no output stalling.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Bytes without FCS, or `mix`.
    pub length: String,
    pub frames: u64,
    /// Beats of all frames: each has its length divided by the bus's width, rounded up.
    pub beats: u64,
    /// Clocks they take by the rule: each its beats; on a card whose headers are some clocks apart two
    /// more, and at least so many.
    pub due: u64,
    /// From the first beat that left to the last, both counted.
    pub clocks: u64,
    /// From the first beat that was taken to the last that left, both counted.
    pub clocks_whole: u64,
    pub clocks_per_packet: f64,
    pub beats_per_packet: f64,
    /// `clocks` is `due` and at most [`gap`] more, however many the frames.
    pub met: bool,
    pub lost: u64,
    /// Frames that left behind a later one of the same input, output and queue.
    pub out_of_order: u64,
    /// Frames that did not leave whole.
    pub damaged: u64,
    /// Clocks from first beat in to first beat out, one frame at a time.
    pub unloaded: Spread,
    /// The same while all ports offer frames: most of it is waiting at the input for its turn.
    pub loaded: Spread,
    /// Clocks the simulation ran a second under full load, harness included: the one figure here that
    /// depends on the machine.
    pub simulated_clocks_a_second: f64,
}

/// Clocks the output may pause once in a run. Where the window is collected, a frame as long as it or longer has its
/// verdict only when it is full, one beat's frame at once. `bus_bytes` is the bus's width.
pub fn gap(bus_bytes: u32) -> u64 {
    u64::from(WINDOW_BYTES / bus_bytes - 1)
}

fn in_time(due: u64, clocks: u64, bus_bytes: u32) -> bool {
    clocks <= due + gap(bus_bytes)
}

/// A frame that left.
struct Left {
    tag: u64,
    port: u32,
    first: u64,
    last: u64,
    whole: bool,
    /// It is the copy for an IDS.
    copy: bool,
}

/// What went in and what came out.
struct Run {
    taken: Vec<FrameTaken>,
    left: Vec<Left>,
    /// Clocks simulated, and how long that took.
    clocks: u64,
    time: Duration,
}

/// Offers all frames, and runs until nothing is inside. Tags are places in `offers`.
fn run(sim: &mut Sim, offers: &[Offer]) -> Result<Run, BenchError> {
    sim.record(true);
    for (tag, offer) in (0u64..).zip(offers) {
        let mut user = [0; USER_BYTES];
        user[..8].copy_from_slice(&tag.to_le_bytes());
        sim.push(offer.port, &user, &offer.frame);
    }
    let (clock, start) = (sim.clock(), Instant::now());
    let done = sim.drain(PATIENCE);
    let (clocks, time) = (sim.clock() - clock, start.elapsed());
    let taken = sim.taken(offers.len());
    sim.record(false);
    let mut left = Vec::with_capacity(offers.len());
    while let Some(one) = sim.pop(|frame| {
        let mut tag = [0; 8];
        tag.copy_from_slice(&frame.user[..8]);
        let tag = u64::from_le_bytes(tag);
        let offer = offers.get(tag as usize);
        let offer = offer.ok_or_else(|| BenchError::Stream {
            what: format!("a frame left with tag {tag}, which none came with"),
        })?;
        // Nothing else has a tag: an IDS is on a VLAN.
        let copy = frame.bytes.get(12..14) == Some(&[0x81, 0x00]);
        let due = if copy { offer.copy } else { Some(offer.to) };
        if due != Some(frame.port) {
            return Err(BenchError::Astray {
                frame: tag,
                port: due.unwrap_or(offer.to),
                found: frame.port,
            });
        }
        let whole = match copy {
            true => same_payload(
                &offer.frame,
                &[&frame.bytes[..12], &frame.bytes[16..]].concat(),
            ),
            false => same_payload(&offer.frame, frame.bytes),
        };
        Ok(Left {
            tag,
            port: frame.port,
            first: frame.first_clock,
            last: frame.last_clock,
            whole,
            copy,
        })
    }) {
        left.push(one?);
    }
    match (sim.fault(), done) {
        (Some(what), _) => Err(BenchError::Stream { what }),
        (None, true) => Ok(Run {
            taken,
            left,
            clocks,
            time,
        }),
        (None, false) => Err(BenchError::Hang {
            clocks: PATIENCE,
            waiting: sim.waiting(),
        }),
    }
}

/// Headers are edited, what is behind them is not; no packet of the bench gains or loses a tag.
fn same_payload(before: &[u8], after: &[u8]) -> bool {
    let headers = if before.get(12) == Some(&0x08) {
        54
    } else {
        74
    };
    before.len() == after.len() && before.get(headers..) == after.get(headers..)
}

impl Run {
    fn lost(&self, offers: &[Offer]) -> u64 {
        let mut seen = vec![false; offers.len()];
        let own = self.left.iter().filter(|l| !l.copy);
        own.for_each(|l| seen[l.tag as usize] = true);
        seen.iter().filter(|s| !**s).count() as u64
    }

    fn damaged(&self) -> u64 {
        self.left.iter().filter(|l| !l.whole).count() as u64
    }

    /// Frames behind a later one of the same input, output and queue there. A frame that left twice is one.
    fn out_of_order(&self, offers: &[Offer], ports: u32) -> u64 {
        let mut latest = vec![None; (ports * ports * OUTPUT_QUEUES) as usize];
        let mut count = 0;
        for l in &self.left {
            let offer = &offers[l.tag as usize];
            let way = (offer.port * ports + l.port) * OUTPUT_QUEUES + offer.queue;
            let pair = &mut latest[way as usize];
            count += u64::from(pair.is_some_and(|latest| latest >= l.tag));
            *pair = (*pair).max(Some(l.tag));
        }
        count
    }

    /// Clocks from first beat in to first beat out of every frame that left.
    fn latencies(&self, offers: &[Offer]) -> Vec<u64> {
        let mut came = vec![0; offers.len()];
        self.taken
            .iter()
            .for_each(|t| came[t.tag as usize] = t.first_clock);
        let clocks = |l: &Left| l.first - came[l.tag as usize];
        self.left.iter().map(clocks).collect()
    }
}

/// Measures one length: `frames` under full load, and up to a hundred of them alone.
///
/// # Errors
/// [`BenchError`]; packets that are lost, late or out of order are figures and no errors.
pub fn load(
    rtl: &mut Rtl,
    services: &Services,
    length: Length,
    frames: u32,
) -> Result<Load, BenchError> {
    let sim = rtl.sim();
    let (ports, bus) = (sim.ports(), sim.bus_bytes());
    let offers = services.offers(length, frames, SEED)?;
    sim.pressure(false, 0, 0, SEED);
    let mut alone = Vec::new();
    for offer in offers.iter().take(ALONE as usize) {
        let offer = std::slice::from_ref(offer);
        alone.extend(run(sim, offer)?.latencies(offer));
    }
    let full = run(sim, &offers)?;
    let beats_of = |o: &Offer| (o.frame.len() as u64).div_ceil(bus.into());
    let beats = offers.iter().map(beats_of).sum();
    let apart = u64::from(services.geometry().clocks_per_header);
    let between = if apart > 1 { 2 } else { 0 };
    let due = offers
        .iter()
        .map(|o| (beats_of(o) + between).max(apart))
        .sum();
    let came = full.taken.iter().map(|t| t.first_clock).min().unwrap_or(0);
    let first = full.left.iter().map(|l| l.first).min().unwrap_or(0);
    let end = full.left.iter().map(|l| l.last + 1).max().unwrap_or(0);
    let (clocks, n) = (end - first, offers.len() as u64);
    let each = |total: u64| total as f64 / n.max(1) as f64;
    let lost = full.lost(&offers);
    Ok(Load {
        length: length.to_string(),
        frames: n,
        beats,
        due,
        clocks,
        clocks_whole: end - came,
        clocks_per_packet: each(clocks),
        beats_per_packet: each(beats),
        met: lost == 0 && in_time(due, clocks, bus),
        lost,
        out_of_order: full.out_of_order(&offers, ports),
        damaged: full.damaged(),
        unloaded: Spread::of(alone),
        loaded: Spread::of(full.latencies(&offers)),
        simulated_clocks_a_second: full.clocks as f64 / full.time.as_secs_f64().max(1e-9),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(ways: &[(u32, u32)]) -> Vec<Offer> {
        let offer = |(port, to): &(u32, u32)| Offer {
            port: *port,
            to: *to,
            copy: None,
            queue: 0,
            frame: vec![0; 60],
        };
        ways.iter().map(offer).collect()
    }

    /// Frames that left: tag, clock of the first beat, whether they were whole.
    fn run_of(offers: &[Offer], left: &[(u64, u64, bool)]) -> Run {
        let tags = 0..offers.len() as u64;
        let taken = tags.map(|tag| FrameTaken {
            tag,
            first_clock: 10 + tag,
            last_clock: 10 + tag,
        });
        let left = left.iter().map(|(tag, first, whole)| Left {
            tag: *tag,
            port: offers[*tag as usize].to,
            first: *first,
            last: *first,
            whole: *whole,
            copy: false,
        });
        Run {
            taken: taken.collect(),
            left: left.collect(),
            clocks: 0,
            time: Duration::ZERO,
        }
    }

    #[test]
    fn what_goes_wrong_is_seen() {
        let offers = offers(&[(0, 1), (0, 1), (1, 1), (0, 2), (0, 1)]);
        // Overtaking is right between inputs, and between outputs.
        let good = run_of(
            &offers,
            &[
                (3, 50, true),
                (2, 51, true),
                (0, 52, true),
                (1, 53, true),
                (4, 54, true),
            ],
        );
        assert_eq!(
            (
                good.lost(&offers),
                good.out_of_order(&offers, 3),
                good.damaged()
            ),
            (0, 0, 0)
        );
        assert_eq!(good.latencies(&offers), [37, 39, 42, 42, 40]);
        let bad = run_of(
            &offers,
            &[(4, 50, true), (0, 51, false), (1, 52, true), (1, 53, true)],
        );
        assert_eq!(
            (
                bad.lost(&offers),
                bad.out_of_order(&offers, 3),
                bad.damaged()
            ),
            (2, 3, 1)
        );
    }

    #[test]
    fn a_payload_that_changed_is_seen() {
        let mut frame = vec![0u8; 80];
        frame[12] = 0x08;
        let mut edited = frame.clone();
        edited[53] = 1;
        assert!(same_payload(&frame, &edited));
        edited[54] = 1;
        assert!(!same_payload(&frame, &edited));
        assert!(!same_payload(&frame, &frame[..79]));
        // IPv6 has a longer header.
        (frame[12], edited[12]) = (0x86, 0x86);
        assert!(same_payload(&frame, &edited));
    }

    #[test]
    fn the_rule_allows_the_window_once() {
        for bus in [64, 16] {
            assert_eq!(gap(bus), u64::from(WINDOW_BYTES / bus) - 1);
            assert!(in_time(1000, 1000 + gap(bus), bus));
            assert!(!in_time(1000, 1001 + gap(bus), bus));
        }
    }

    #[test]
    fn a_spread_is_least_median_most() {
        let spread = |least, median, most| Spread {
            least,
            median,
            most,
        };
        assert_eq!(Spread::of(vec![9, 1, 5]), spread(1, 5, 9));
        assert_eq!(Spread::of(vec![]), spread(0, 0, 0));
    }

    #[test]
    fn lengths_are_bytes_or_a_mix() {
        let length = |text: &str| text.parse::<Length>().ok();
        assert_eq!(length("60"), Some(Length::Bytes(60)));
        assert_eq!(length("9216"), Some(Length::Bytes(9216)));
        assert_eq!(length("mix"), Some(Length::Mix));
        for bad in ["59", "9217", "-1", "", "Mix", "64 "] {
            assert_eq!(length(bad), None, "{bad}");
        }
    }
}
