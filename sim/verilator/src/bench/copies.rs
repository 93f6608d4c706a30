//! More copies than the bus carries, and than the output of an IDS takes.

use super::overload::output_full;
use super::services::Services;
use super::{BenchError, SEED, run};
use crate::engine::Rtl;
use serde::Serialize;

/// In how many percent of clocks the output of an IDS stalls.
const STALL: u32 = 90;
const BYTES: u32 = 512;

/// What becomes of frames of services with a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// Output of the copies that stalls, in how many percent of clocks; 0 of none.
    pub stalled_percent: u32,
    pub frames: u64,
    /// Frames that did not leave, and their copies that did not.
    pub lost: u64,
    pub copies_lost: u64,
    /// What the card added to `reason[output_full]` by that.
    pub output_full: u64,
    pub damaged: u64,
    pub out_of_order: u64,
    /// Beats of frames and copies that left, and clocks from the first to the last of them.
    pub beats_out: u64,
    pub clocks: u64,
    /// Of each input the clocks until its last frame was taken: least and most.
    pub inputs: (u64, u64),
    /// No frame was lost, and copies only where their output had no room, whole and counted.
    pub met: bool,
}

/// The output that stalls if `slow`: of port 1 if services have copies there (else: elsewhere) and leave by another port themselves, or
/// the next there is; a small card has few services.
fn stalled(services: &Services, slow: bool) -> Result<u32, BenchError> {
    let ports = services.geometry().ports;
    let mut ports = (0..ports).map(|n| (n + 1) % ports);
    let found = ports.find(|port| services.copied(*port, slow, 1, BYTES).is_ok());
    found.ok_or(BenchError::TooFew {
        services: services.count(),
    })
}

/// Offers `frames` frames back to back, each of which leaves with a copy: together more than twice what the bus carries. `slow`: all
/// copies are for one output that stalls, and the frames for others.
///
/// # Errors
/// [`BenchError`]; what is dropped is a figure and no error.
pub fn copies(
    rtl: &mut Rtl,
    services: &Services,
    frames: u32,
    slow: bool,
) -> Result<Copies, BenchError> {
    let port = stalled(services, slow)?;
    let offers = services.copied(port, slow, frames, BYTES)?;
    let sim = rtl.sim();
    let (ports, bus) = (sim.ports(), u64::from(sim.bus_bytes()));
    let before = output_full(sim)?;
    let percent = if slow { STALL } else { 0 };
    sim.pressure(false, 0, 0, SEED);
    sim.stall(port, percent);
    let found = run(sim, &offers);
    sim.stall(port, 0);
    let found = found?;
    let counted = output_full(sim)? - before;
    let copied = found.left.iter().filter(|l| l.copy).count() as u64;
    let (lost, copies_lost) = (found.lost(&offers), u64::from(frames) - copied);
    // Frame and copy have the same tag: each is in order for itself.
    let mut apart = found;
    let all = std::mem::take(&mut apart.left);
    let (copies, own): (Vec<_>, Vec<_>) = all.into_iter().partition(|l| l.copy);
    let mut sum = (0, 0, 0, u64::MAX, 0);
    for left in [own, copies] {
        apart.left = left;
        sum.0 += apart.out_of_order(&offers, ports);
        sum.1 += apart.damaged();
        for l in &apart.left {
            let tag = if l.copy { 4 } else { 0 };
            sum.2 += (offers[l.tag as usize].frame.len() as u64 + tag).div_ceil(bus);
            sum.3 = sum.3.min(l.first);
            sum.4 = sum.4.max(l.last + 1);
        }
    }
    let (out_of_order, damaged, beats_out, first, end) = sum;
    let start = apart.taken.iter().map(|t| t.first_clock).min().unwrap_or(0);
    let mut last = vec![0; ports as usize];
    for t in &apart.taken {
        let port = offers[t.tag as usize].port as usize;
        last[port] = last[port].max(t.last_clock + 1 - start);
    }
    let used = || last.iter().copied().filter(|clocks| *clocks > 0);
    let inputs = (used().min().unwrap_or(0), used().max().unwrap_or(0));
    Ok(Copies {
        stalled_percent: percent,
        frames: offers.len() as u64,
        lost,
        copies_lost,
        output_full: counted,
        damaged,
        out_of_order,
        beats_out,
        clocks: end.saturating_sub(first),
        inputs,
        met: lost + damaged + out_of_order == 0
            && counted == copies_lost
            && slow == (copies_lost > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::geometry::{ALVEO, EDGE};

    #[test]
    fn every_frame_has_a_copy_and_only_copies_go_to_the_slow_output() {
        // As many services as `seqnic bench rtl` has on each card.
        for (g, count) in [(&ALVEO, 20_000), (&EDGE, 150)] {
            let services = Services::new(g, count);
            for slow in [false, true] {
                let port = stalled(&services, slow).unwrap();
                let offers = services.copied(port, slow, 100, BYTES).unwrap();
                assert_eq!(offers.len(), 100);
                for o in &offers {
                    assert_ne!(o.to, port);
                    assert_eq!(o.copy.unwrap() == port, slow);
                }
            }
        }
    }
}
