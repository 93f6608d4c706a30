//! The software datapath: packets in batches, stage by stage.
//!
//! One packet alone waits for memory at every table. A batch goes through each stage of
//! [`crate::verdict`] together: what a stage asks for one packet arrives while the stage is at
//! the others. The functions are those [`decide`](crate::verdict::decide) calls in the same order
//! for one packet; only the turns are different, and packets do not know of each other. Nothing
//! allocates.

use crate::counters::CounterArrays;
use crate::edit::{self, Plan};
use crate::parse::{Headers, parse_into};
use crate::rate::Rates;
use crate::tables::Tables;
use crate::verdict::{self, Memo, Verdict, Walk};
use seqnic_spec::reason::Reason;
use seqnic_spec::wire::MAX_FRAME_BYTES;

/// Packets that go through the stages together: enough for their reads to overlap, few enough for
/// what is kept of them to stay in the first-level cache.
pub const BATCH: usize = 32;

/// A frame that came in on a port.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub port: u8,
    /// When it arrived, ns, not falling.
    pub time: u64,
    /// Without FCS.
    pub frame: &'a [u8],
}

/// Where a datapath's packets go: transmit rings and the host's queue, or a test.
pub trait Outputs {
    /// Room for a copy of packet `packet` (its place in the batch), `bytes` long. `None`: its output
    /// has no room, the copy is dropped whole and counted as `output_full`.
    fn room(&mut self, packet: usize, plan: &Plan, bytes: usize) -> Option<&mut [u8]>;

    /// Packet `packet` belongs to the host, as it came.
    fn host(&mut self, packet: usize, verdict: &Verdict);
}

/// What is kept of the packets of a batch. Made once, used for every batch.
#[derive(Debug, Clone)]
pub struct Stages {
    headers: [Headers; BATCH],
    walks: [Walk; BATCH],
}

impl Default for Stages {
    fn default() -> Stages {
        Stages {
            headers: [Headers::default(); BATCH],
            walks: [Walk::default(); BATCH],
        }
    }
}

impl Stages {
    /// Runs packets through the tables, counts them and hands on what becomes of them, in order of
    /// arrival. Any number; [`BATCH`] go together.
    pub fn run(
        &mut self,
        tables: &Tables,
        counters: &mut CounterArrays,
        rates: &mut Rates,
        arrivals: &[Arrival],
        outputs: &mut impl Outputs,
    ) {
        for (number, batch) in arrivals.chunks(BATCH).enumerate() {
            self.decide(tables, counters, rates, batch);
            self.send(tables, counters, rates, batch, number * BATCH, outputs);
        }
    }

    /// The stages of [`verdict::decide_in_time`], each for the whole batch.
    fn decide(
        &mut self,
        tables: &Tables,
        counters: &CounterArrays,
        rates: &mut Rates,
        batch: &[Arrival],
    ) {
        let mut memo = Memo::default();
        for ((h, walk), arrival) in self.headers.iter_mut().zip(&mut self.walks).zip(batch) {
            parse_into(arrival.frame, tables.decap(arrival.port), h);
            walk.start();
            verdict::arrive(tables, arrival.port, h, &mut memo, walk, &mut ());
        }
        let count = batch.len();
        for (h, walk) in self.headers.iter().zip(&mut self.walks).take(count) {
            verdict::destination(tables, h, walk);
        }
        for (h, walk) in self.headers.iter().zip(&mut self.walks).take(count) {
            verdict::source(tables, h, walk);
        }
        for (h, walk) in self.headers.iter().zip(&mut self.walks).take(count) {
            verdict::class(tables, h, walk, &mut ());
        }
        for (h, walk) in self.headers.iter().zip(&mut self.walks).take(count) {
            verdict::step(tables, h, walk, &mut ());
        }
        for (h, walk) in self.headers.iter().zip(&mut self.walks).take(count) {
            verdict::acl(tables, h, walk, &mut ());
        }
        for ((h, walk), arrival) in self.headers.iter().zip(&mut self.walks).zip(batch) {
            verdict::police(tables, rates, arrival.time, h, walk);
        }
        for walk in self.walks.iter().take(count) {
            let verdict = walk.verdict();
            counters.expect(&verdict);
            edit::expect(tables, &verdict);
        }
    }

    #[inline(always)]
    fn send(
        &mut self,
        tables: &Tables,
        counters: &mut CounterArrays,
        rates: &mut Rates,
        batch: &[Arrival],
        first: usize,
        outputs: &mut impl Outputs,
    ) {
        let packets = self.headers.iter().zip(&self.walks).zip(batch);
        for (at, ((h, walk), arrival)) in packets.enumerate() {
            let most = MAX_FRAME_BYTES as usize;
            let verdict = walk.verdict();
            if h.length > most {
                counters.reason(Reason::Oversize, most);
                rates.oversize(tables, h, &verdict, arrival.time);
                continue;
            }
            counters.packet(&verdict, h, arrival.time);
            let mut host =
                |counters: &mut CounterArrays, outputs: &mut _, verdict: &Verdict| match rates
                    .host_takes(tables, verdict.reason, arrival.time)
                {
                    true => Outputs::host(outputs, first + at, verdict),
                    false => counters.reason(Reason::HostLimited, h.length),
                };
            if verdict.reason != Reason::Directed {
                host(counters, outputs, &verdict);
                continue;
            }
            for number in 0..verdict.step.copies {
                let Some(plan) = edit::plan(tables, h, &verdict, number) else {
                    break;
                };
                if plan.too_big(h) {
                    counters.reason(Reason::TooBig, h.length);
                    host(counters, outputs, &verdict.too_big());
                    continue;
                }
                let bytes = plan.length(h);
                let Some(room) = outputs.room(first + at, &plan, bytes) else {
                    counters.reason(Reason::OutputFull, bytes);
                    continue;
                };
                // The frame is that of the headers, and the room is as long as was asked for.
                if plan.write(h, arrival.frame, room).is_ok() {
                    counters.copy(&plan, h, arrival.time, bytes);
                }
            }
        }
    }
}
