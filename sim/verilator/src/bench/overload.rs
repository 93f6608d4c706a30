//! More for one output than it takes.

use super::services::{Length, Services};
use super::{BenchError, SEED, run};
use crate::engine::Rtl;
use crate::error::RtlError;
use crate::sim::Sim;
use seqnic_spec::counters::{COUNTER_ROW, CounterSet};
use seqnic_spec::layout::Row;
use seqnic_spec::reason::Reason;
use serde::Serialize;

/// The output that stalls.
const STALLED: u32 = 1;
/// Percent of clocks in which it is not ready.
const STALL: u32 = 75;
/// Every so many frames one goes to another output.
const OTHERS: usize = 4;
/// Clocks a read of the counter may take.
const PATIENCE: u32 = 1_000;

/// What becomes of three quarters of all traffic for one output that takes a quarter of a beat a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overload {
    /// The output that stalls, and in how many percent of clocks.
    pub port: u32,
    pub stalled_percent: u32,
    /// Frames for it, from all ports.
    pub offered: u64,
    /// Those of them that did not leave.
    pub dropped: u64,
    /// What the card added to `reason[output_full]` by that.
    pub output_full: u64,
    /// Frames that left, but not whole.
    pub damaged: u64,
    /// Frames for other outputs, and those of them that did not leave.
    pub others: u64,
    pub others_lost: u64,
    pub out_of_order: u64,
    /// Clocks from the first beat taken to the last beat taken, and the beats taken in them: the
    /// stalled output does not hold up the inputs.
    pub beats_in: u64,
    pub clocks_in: u64,
    /// Frames were dropped, every one of them whole and counted, and nobody else lost anything.
    pub met: bool,
}

/// The counter of copies that were dropped because their queue had no room.
pub(super) fn output_full(sim: &mut Sim) -> Result<u64, BenchError> {
    let row = Reason::OutputFull as u32;
    let set = CounterSet::Reason;
    let found = sim.read(set as u32, &[row], PATIENCE);
    let words = found.first().ok_or(RtlError::NoAnswer {
        set: set.name(),
        row,
        clocks: PATIENCE,
    })?;
    let value = Row::from_words(COUNTER_ROW.width(), words);
    Ok(value.field(&COUNTER_ROW, 0, "packets") as u64)
}

/// All ports offer `frames` frames of this length, three of four of them for one output that stalls.
///
/// # Errors
/// [`BenchError`]; what is dropped is a figure and no error.
pub fn overload(
    rtl: &mut Rtl,
    services: &Services,
    length: Length,
    frames: u32,
) -> Result<Overload, BenchError> {
    let sim = rtl.sim();
    let (ports, bus) = (sim.ports(), u64::from(sim.bus_bytes()));
    let (mut hot, mut cold) = (Vec::new(), Vec::new());
    // Drawn until there are enough for the one output; one seed after the other.
    for seed in SEED..SEED + 64 {
        for offer in services.offers(length, frames, seed)? {
            match offer.to == STALLED {
                true => hot.push(offer),
                false => cold.push(offer),
            }
        }
        if hot.len() >= frames as usize {
            break;
        }
    }
    let (mut hot, mut cold) = (hot.into_iter(), cold.into_iter());
    let next = |n| {
        if n % OTHERS == 0 {
            cold.next()
        } else {
            hot.next()
        }
    };
    let offers: Vec<_> = (0..frames as usize).map_while(next).collect();

    let before = output_full(sim)?;
    sim.pressure(false, 0, 0, SEED);
    sim.stall(STALLED, STALL);
    let run = run(sim, &offers);
    sim.stall(STALLED, 0);
    let (run, counted) = (run?, output_full(sim)? - before);

    let lost = |stalled: bool| {
        let mut missing: Vec<bool> = offers
            .iter()
            .map(|o| (o.to == STALLED) == stalled)
            .collect();
        run.left
            .iter()
            .for_each(|l| missing[l.tag as usize] = false);
        missing.iter().filter(|m| **m).count() as u64
    };
    let (dropped, others_lost) = (lost(true), lost(false));
    let (damaged, out_of_order) = (run.damaged(), run.out_of_order(&offers, ports));
    let offered = offers.iter().filter(|o| o.to == STALLED).count() as u64;
    let first = run.taken.iter().map(|t| t.first_clock).min().unwrap_or(0);
    let end = run
        .taken
        .iter()
        .map(|t| t.last_clock + 1)
        .max()
        .unwrap_or(0);
    Ok(Overload {
        port: STALLED,
        stalled_percent: STALL,
        offered,
        dropped,
        output_full: counted,
        damaged,
        others: offers.len() as u64 - offered,
        others_lost,
        out_of_order,
        beats_in: offers
            .iter()
            .map(|o| (o.frame.len() as u64).div_ceil(bus))
            .sum(),
        clocks_in: end - first,
        met: dropped > 0 && counted == dropped && damaged + others_lost + out_of_order == 0,
    })
}
