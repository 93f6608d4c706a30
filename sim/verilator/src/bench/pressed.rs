//! Surroundings that are not ideal: inputs that pause and outputs that stall in clocks at random; and counters that are
//! read while the card is full.

use super::services::{Length, Services};
use super::{BenchError, SEED, run};
use crate::engine::Rtl;
use seqnic_engine::CounterKey;
use seqnic_spec::reason::Reason;
use serde::Serialize;

/// Percent of clocks in which an input pauses, and in which an output is not ready. Outputs take more than comes for
/// them on average, so nothing may be lost.
const PAUSES: u32 = 30;
const STALLS: u32 = 30;

/// What becomes of frames when all inputs pause and all outputs stall at random.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pressed {
    pub length: String,
    pub paused_percent: u32,
    pub stalled_percent: u32,
    pub frames: u64,
    pub lost: u64,
    pub out_of_order: u64,
    pub damaged: u64,
    /// From the first beat that was taken to the last that left, both counted.
    pub clocks: u64,
    /// Nothing was lost, late or damaged.
    pub met: bool,
}

/// Offers `frames` frames of this length while inputs pause and outputs stall.
///
/// # Errors
/// [`BenchError`]; what goes wrong is a figure and no error.
pub fn pressed(
    rtl: &mut Rtl,
    services: &Services,
    length: Length,
    frames: u32,
) -> Result<Pressed, BenchError> {
    let sim = rtl.sim();
    let ports = sim.ports();
    let offers = services.offers(length, frames, SEED)?;
    sim.pressure(false, PAUSES, STALLS, SEED);
    let found = run(sim, &offers);
    sim.pressure(false, 0, 0, SEED);
    let found = found?;
    let (lost, damaged) = (found.lost(&offers), found.damaged());
    let out_of_order = found.out_of_order(&offers, ports);
    let came = found.taken.iter().map(|t| t.first_clock).min().unwrap_or(0);
    let end = found.left.iter().map(|l| l.last + 1).max().unwrap_or(0);
    Ok(Pressed {
        length: length.to_string(),
        paused_percent: PAUSES,
        stalled_percent: STALLS,
        frames: offers.len() as u64,
        lost,
        out_of_order,
        damaged,
        clocks: end - came,
        met: lost + out_of_order + damaged == 0,
    })
}

/// A snapshot of all counters that was taken while all ports offered frames back to back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapped {
    pub length: String,
    pub frames: u64,
    /// Clocks the frames took by the rule, and with the snapshot.
    pub due: u64,
    pub clocks: u64,
    pub lost: u64,
    /// Packets directed before the snapshot was begun, and how many of them it has.
    pub before: u64,
    pub directed: u64,
    /// Counters it has.
    pub counters: u64,
    pub torn: bool,
}

/// Begins a snapshot as all ports begin to offer frames, and takes its rows as they come.
///
/// # Errors
/// [`BenchError`].
pub fn snapped(
    rtl: &mut Rtl,
    services: &Services,
    length: Length,
    frames: u32,
) -> Result<Snapped, BenchError> {
    let bus = u64::from(rtl.sim().bus_bytes());
    let offers = services.offers(length, frames, SEED)?;
    let failed = |error: seqnic_engine::EngineError| BenchError::Stream {
        what: error.to_string(),
    };
    let directed = |counters: &seqnic_engine::Counters| {
        let key = CounterKey::Reason(Reason::Directed);
        counters.0.get(&key).map_or(0, |count| count.packets)
    };
    rtl.sim().pressure(false, 0, 0, SEED);
    // The first one has a walk more; this is one of many.
    rtl.begin_snapshot();
    let before = rtl.snapshot().map_err(failed)?;
    // Those counted before the cut are all of the first part, and none of the second.
    let (early, late) = offers.split_at(offers.len() / 8);
    let first = run(rtl.sim(), early)?;
    rtl.begin_snapshot();
    let full = run(rtl.sim(), late)?;
    let snapshot = rtl.snapshot().map_err(failed)?;
    let came = full.left.iter().map(|l| l.first).min().unwrap_or(0);
    let end = full.left.iter().map(|l| l.last + 1).max().unwrap_or(0);
    let apart = u64::from(services.geometry().clocks_per_header);
    let due = late
        .iter()
        .map(|o| (o.frame.len() as u64).div_ceil(bus).max(apart));
    Ok(Snapped {
        length: length.to_string(),
        frames: late.len() as u64,
        due: due.sum(),
        clocks: end - came,
        lost: first.lost(early) + full.lost(late),
        before: early.len() as u64,
        directed: directed(&snapshot.counters) - directed(&before.counters),
        counters: snapshot.counters.0.len() as u64,
        torn: snapshot.torn,
    })
}
