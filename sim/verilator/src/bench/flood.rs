//! A flood on one service, and what it leaves others: queues by priority at an output that takes less than comes.

use super::overload::output_full;
use super::services::{Offer, Services};
use super::{BenchError, Left, SEED, run};
use crate::engine::Rtl;
use serde::Serialize;

/// Percent of clocks in which the output is not ready.
const STALL: u32 = 75;
/// Length of all frames: whole beats, so that shares are counted in frames.
const BYTES: u32 = 512;
/// Of a hundred frames so many are of the flood, of a service in another queue that stays within its share, of
/// one in a strict queue; the rest is for other outputs.
const FLOOD: [u32; 3] = [75, 10, 5];
/// Of a hundred frames so many for each queue that shares, and for the strict one.
const SHARED: [u32; 2] = [30, 2];
/// A share may differ from its weight's by so many hundredths: some hundred frames are counted.
const WITHIN: f64 = 3.0;

/// One output, flooded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flood {
    pub port: u32,
    /// Frames of the service that floods, and those of them that did not leave.
    pub flood: u64,
    pub flood_lost: u64,
    /// What the card added to `reason[output_full]` by that.
    pub output_full: u64,
    /// Frames of a service in a queue with more weight, and those that did not leave.
    pub weighted: u64,
    pub weighted_lost: u64,
    /// Most clocks from first beat in to first beat out of one of them.
    pub weighted_latency: u64,
    /// The same of a service in the strict queue.
    pub strict: u64,
    pub strict_lost: u64,
    pub strict_latency: u64,
    /// Most clocks of a frame of the flood that left.
    pub flood_latency: u64,
    /// Frames for other outputs, and those that did not leave.
    pub others: u64,
    pub others_lost: u64,
    pub damaged: u64,
    pub out_of_order: u64,
    /// While all queues but the strict one have more than they may send.
    pub shares: Vec<Share>,
    /// The flood alone lost something, all of it whole and counted, and shares are as their weights.
    pub met: bool,
}

/// What one of the queues that share an output got of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    pub queue: u32,
    pub weight: u32,
    pub offered: u64,
    pub left: u64,
    /// Of what left of these queues.
    pub percent: f64,
    pub due_percent: f64,
}

/// Weight of each queue but the strict one, the highest: without `qos` in the definition the greater of two
/// neighbours' priorities and one (`docs/semantics.md` section 8).
fn weights(queues: u32) -> Vec<u32> {
    let each = seqnic_spec::tables::PRIORITIES / queues;
    (0..queues - 1).map(|queue| (queue + 1) * each).collect()
}

/// Floods each output in turn with `frames` frames.
///
/// # Errors
/// [`BenchError`]; what is dropped is a figure and no error. A card with fewer than four queues an output gives no row.
pub fn flood(rtl: &mut Rtl, services: &Services, frames: u32) -> Result<Vec<Flood>, BenchError> {
    let g = services.geometry();
    if g.queues < 4 {
        return Ok(vec![]);
    }
    (0..g.ports)
        .map(|port| one(rtl, services, port, frames))
        .collect()
}

/// Frames of services in turn, by their parts of a hundred; the rest of `others`.
fn mixed(
    services: &Services,
    parts: &[(u32, u32)],
    others: &[u32],
    frames: u32,
) -> Result<Vec<(usize, Offer)>, BenchError> {
    let ports = services.geometry().ports;
    let mut owed = vec![0; parts.len()];
    (0..frames)
        .map(|n| {
            // Each gets its parts; who is owed most is next.
            let of = owed.iter_mut().zip(parts);
            of.for_each(|(owed, (_, part))| *owed += *part);
            let next = (0..parts.len()).max_by_key(|i| owed[*i]);
            let kind = next.filter(|i| owed[*i] >= 100).unwrap_or(parts.len());
            if let Some(owed) = owed.get_mut(kind) {
                *owed -= 100;
            }
            let service = match parts.get(kind) {
                Some((service, _)) => *service,
                None => others[n as usize % others.len()],
            };
            Ok((kind, services.from_client(service, n % ports, BYTES)?))
        })
        .collect()
}

struct Found {
    kinds: Vec<usize>,
    offered: Vec<u64>,
    lost: Vec<u64>,
    latency: Vec<u64>,
    left: Vec<Left>,
    /// Clocks between which all queues have something: behind a fifth of the frames, and until the last was taken.
    steady: (u64, u64),
    counted: u64,
    damaged: u64,
    out_of_order: u64,
}

fn flooded(
    rtl: &mut Rtl,
    port: u32,
    offers: Vec<(usize, Offer)>,
    kinds: usize,
) -> Result<Found, BenchError> {
    let sim = rtl.sim();
    let ports = sim.ports();
    let (of, offers): (Vec<usize>, Vec<Offer>) = offers.into_iter().unzip();
    let before = output_full(sim)?;
    sim.pressure(false, 0, 0, SEED);
    sim.stall(port, STALL);
    let found = run(sim, &offers);
    sim.stall(port, 0);
    let found = found?;
    let counted = output_full(sim)? - before;
    let mut missing = vec![true; offers.len()];
    let mut latency = vec![0; kinds + 1];
    let mut came = vec![0; offers.len()];
    found
        .taken
        .iter()
        .for_each(|t| came[t.tag as usize] = t.first_clock);
    for l in &found.left {
        let n = l.tag as usize;
        missing[n] = false;
        latency[of[n]] = latency[of[n]].max(l.first - came[n]);
    }
    let (mut offered, mut lost) = (vec![0; kinds + 1], vec![0; kinds + 1]);
    for (kind, missing) in of.iter().zip(&missing) {
        offered[*kind] += 1;
        lost[*kind] += u64::from(*missing);
    }
    came.sort_unstable();
    let steady = (came[came.len() / 5], came[came.len() - 1]);
    Ok(Found {
        damaged: found.damaged(),
        out_of_order: found.out_of_order(&offers, ports),
        kinds: of,
        offered,
        lost,
        latency,
        left: found.left,
        steady,
        counted,
    })
}

fn one(rtl: &mut Rtl, services: &Services, port: u32, frames: u32) -> Result<Flood, BenchError> {
    let g = services.geometry();
    let too_few = || BenchError::TooFew {
        services: services.count(),
    };
    let of = |port, queue| services.leaving(port, queue, 0).ok_or_else(too_few);
    let others: Vec<u32> = (0..g.ports)
        .filter(|p| *p != port)
        .map(|p| of(p, 0))
        .collect::<Result<_, _>>()?;
    let (low, strict) = (of(port, 0)?, of(port, g.queues - 1)?);
    let heavy = of(port, g.queues - 2)?;
    let parts = [(low, FLOOD[0]), (heavy, FLOOD[1]), (strict, FLOOD[2])];
    let offers = mixed(services, &parts, &others, frames)?;
    let f = flooded(rtl, port, offers, parts.len())?;

    let weights = weights(g.queues);
    let mut parts = vec![];
    for queue in 0..g.queues - 1 {
        parts.push((of(port, queue)?, SHARED[0]));
    }
    parts.push((strict, SHARED[1]));
    let offers = mixed(services, &parts, &others, frames)?;
    let s = flooded(rtl, port, offers, parts.len())?;
    let mut left = vec![0; parts.len() + 1];
    let steady = |l: &&Left| l.first >= s.steady.0 && l.first <= s.steady.1;
    s.left
        .iter()
        .filter(steady)
        .for_each(|l| left[s.kinds[l.tag as usize]] += 1);
    let (all, weight): (u64, u32) = (left[..weights.len()].iter().sum(), weights.iter().sum());
    let shares: Vec<Share> = (0u32..)
        .zip(&weights)
        .map(|(queue, own)| Share {
            queue,
            weight: *own,
            offered: s.offered[queue as usize],
            left: left[queue as usize],
            percent: left[queue as usize] as f64 * 100.0 / all.max(1) as f64,
            due_percent: f64::from(*own) * 100.0 / f64::from(weight),
        })
        .collect();
    let fair = shares
        .iter()
        .all(|s| (s.percent - s.due_percent).abs() <= WITHIN);
    let wrong = f.lost[1..].iter().sum::<u64>()
        + f.damaged
        + f.out_of_order
        + s.lost[weights.len()..].iter().sum::<u64>()
        + s.damaged
        + s.out_of_order;
    let counted = f.counted == f.lost[0] && s.counted == s.lost.iter().sum::<u64>();
    Ok(Flood {
        port,
        flood: f.offered[0],
        flood_lost: f.lost[0],
        output_full: f.counted,
        weighted: f.offered[1],
        weighted_lost: f.lost[1],
        weighted_latency: f.latency[1],
        strict: f.offered[2],
        strict_lost: f.lost[2],
        strict_latency: f.latency[2],
        flood_latency: f.latency[0],
        others: f.offered[3],
        others_lost: f.lost[3],
        damaged: f.damaged + s.damaged,
        out_of_order: f.out_of_order + s.out_of_order,
        met: f.lost[0] > 0 && counted && wrong == 0 && fair,
        shares,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::geometry::ALVEO;

    #[test]
    fn frames_are_mixed_by_their_parts() {
        let services = Services::new(&ALVEO, 2000);
        let [a, b] = [0, 2].map(|queue| services.leaving(1, queue, 0).unwrap());
        let others = [services.leaving(3, 0, 0).unwrap()];
        let offers = mixed(&services, &[(a, 75), (b, 10)], &others, 1000).unwrap();
        let count = |kind| offers.iter().filter(|o| o.0 == kind).count();
        // One may still be owed at the end.
        for (kind, due) in [(0, 750), (1, 100), (2, 150)] {
            assert!(count(kind).abs_diff(due) <= 2, "{kind}: {}", count(kind));
        }
        assert!(
            offers
                .iter()
                .all(|(kind, o)| { (o.to, o.queue) == [(1, 0), (1, 2), (3, 0)][*kind] })
        );
        assert_eq!(weights(4), [2, 4, 6]);
    }
}
