//! The software datapath: packets in batches, stage by stage.
//!
//! One packet alone waits for memory at every table. A batch goes through each stage together: what a stage
//! asks for one packet arrives while the stage is at the others. The common packets go a short way
//! ([`crate::fast`]), all others through the stages of [`crate::verdict`]: the functions are those
//! [`decide`](crate::verdict::decide) calls in the same order for one packet; only the turns are
//! different, and packets do not know of each other. Then all are counted and sent in order of arrival.
//! Nothing allocates.

use crate::counters::{CounterArrays, Left};
use crate::edit;
use crate::fast::rows::hop;
use crate::fast::{self, Fast, Lane, Source};
use crate::parse::{Headers, opens, parse_into};
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

/// Where a copy leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    pub port: u8,
    pub interface: u16,
    /// Which queue it goes to.
    pub priority: u8,
}

/// Where a datapath's packets go: transmit rings and the host's queue, or a test.
pub trait Outputs {
    /// Room for a copy of packet `packet` (its place in the batch), `bytes` long. `None`: its output
    /// has no room, the copy is dropped whole and counted as `output_full`.
    fn room(&mut self, packet: usize, exit: Exit, bytes: usize) -> Option<&mut [u8]>;

    /// Packet `packet` belongs to the host, as it came.
    fn host(&mut self, packet: usize, verdict: &Verdict);
}

/// What is kept of the packets of a batch. Made once, used for every batch.
#[derive(Debug, Clone)]
pub struct Stages {
    fast: Fast,
    headers: [Headers; BATCH],
    walks: [Walk; BATCH],
    shortcut: bool,
    shortened: u64,
}

impl Default for Stages {
    fn default() -> Stages {
        Stages {
            fast: Fast::default(),
            headers: [Headers::default(); BATCH],
            walks: [Walk::default(); BATCH],
            shortcut: true,
            shortened: 0,
        }
    }
}

/// Places of the bits that are set, rising.
struct Bits(u32);

impl Iterator for Bits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let at = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        // BATCH is a power of two: what is masked is in every array.
        (at < 32).then_some(at as usize & (BATCH - 1))
    }
}

/// What is the same for all packets of a batch.
struct Run<'a, O> {
    tables: &'a Tables,
    counters: &'a mut CounterArrays,
    rates: &'a mut Rates,
    outputs: &'a mut O,
}

impl Stages {
    /// Stages in which every packet goes the general way: what the short one is compared with.
    pub fn general() -> Stages {
        Stages {
            shortcut: false,
            ..Stages::default()
        }
    }

    /// Packets that went the short way so far.
    pub fn shortened(&self) -> u64 {
        self.shortened
    }

    /// Runs packets through the tables, counts them and hands on what becomes of them, in order of
    /// arrival. Any number; [`BATCH`] go together.
    pub fn run<O: Outputs>(
        &mut self,
        tables: &Tables,
        counters: &mut CounterArrays,
        rates: &mut Rates,
        arrivals: &[Arrival],
        outputs: &mut O,
    ) {
        let mut run = Run {
            tables,
            counters,
            rates,
            outputs,
        };
        for (number, batch) in arrivals.chunks(BATCH).enumerate() {
            let all = u32::MAX >> (BATCH - batch.len());
            let common = match self.shortcut {
                true => self.fast.decide(tables, run.counters, batch),
                false => 0,
            };
            let rest = all & !common;
            if rest != 0 {
                self.decide(&mut run, batch, rest);
            }
            self.shortened += u64::from(common.count_ones());
            self.send(&mut run, batch, number * BATCH, common);
        }
    }

    /// The stages of [`verdict::decide_in_time`], each for all packets of `of`.
    fn decide<O>(&mut self, run: &mut Run<O>, batch: &[Arrival], of: u32) {
        let (tables, Stages { headers, walks, .. }) = (run.tables, self);
        let mut memo = Memo::default();
        for at in Bits(of) {
            let (h, walk, arrival) = (&mut headers[at], &mut walks[at], &batch[at]);
            parse_into(arrival.frame, tables.decap(arrival.port), h);
            walk.start();
            verdict::arrive(tables, arrival.port, h, &mut memo, walk, &mut ());
        }
        for at in Bits(of) {
            verdict::destination(tables, &headers[at], &mut walks[at]);
        }
        for at in Bits(of) {
            verdict::source(tables, &headers[at], &mut walks[at]);
        }
        for at in Bits(of) {
            verdict::class(tables, &headers[at], &mut walks[at], &mut ());
        }
        for at in Bits(of) {
            verdict::step(tables, &headers[at], &mut walks[at], &mut ());
        }
        for at in Bits(of) {
            verdict::acl(tables, &headers[at], &mut walks[at], &mut ());
        }
        for at in Bits(of) {
            let time = batch[at].time;
            verdict::police(tables, run.rates, time, &headers[at], &mut walks[at]);
        }
        for at in Bits(of) {
            let verdict = walks[at].verdict();
            run.counters.expect(&verdict);
            edit::expect(tables, &verdict);
        }
    }

    #[inline(never)]
    fn send<O: Outputs>(&mut self, run: &mut Run<O>, batch: &[Arrival], first: usize, common: u32) {
        for (at, arrival) in batch.iter().enumerate() {
            let (packet, headers) = (first + at, &mut self.headers[at]);
            if common >> at & 1 == 1 {
                let (lane, source) = self.fast.packet(at);
                source.packets += 1;
                source.bytes_in += arrival.frame.len() as u64;
                source.last = arrival.time;
                run.common(packet, (lane, source), arrival, headers);
            } else {
                run.general(packet, headers, &self.walks[at].verdict(), arrival);
            }
        }
        if common != 0 {
            for source in self.fast.sources() {
                run.counters.source(source);
            }
        }
    }
}

impl<O: Outputs> Run<'_, O> {
    /// Counts and sends a packet that was decided on the short way.
    #[inline(always)]
    fn common(
        &mut self,
        packet: usize,
        (lane, source): (&Lane, &Source),
        arrival: &Arrival,
        headers: &mut Headers,
    ) {
        let Arrival { frame, time, .. } = *arrival;
        let (rows, shape, ip) = (&self.tables.fast, lane.shape, &lane.ip);
        let flow =
            |packet: Option<&[u8]>| fast::fold(shape, ip.protocol, packet.unwrap_or_default());
        let length = frame.len();
        (self.counters).common(lane, source.sender, length, time, || {
            flow(frame.get(shape.l3()..))
        });
        for number in 0..lane.copies() {
            let action = lane.action() + u32::from(number);
            let copy = match number {
                0 => lane.hop,
                _ => rows.hop(action),
            };
            let mut attachment = copy.attachment;
            if copy.bits & hop::ROUTE != 0 {
                attachment = lane.neighbour().unwrap_or(attachment);
            }
            let to = match rows.towards.get(usize::from(attachment)) {
                Some(to) if copy.bits & hop::GENERAL == 0 && ip.length <= to.mtu => to,
                _ => {
                    self.rare_copy(packet, (lane, source), arrival, headers, number);
                    continue;
                }
            };
            let bytes = usize::from(to.bytes) + 2 + length - shape.l3();
            let exit = Exit {
                port: to.port,
                interface: to.interface,
                priority: lane.priority,
            };
            let Some(room) = self.outputs.room(packet, exit, bytes) else {
                self.counters.reason(Reason::OutputFull, bytes);
                continue;
            };
            fast::write(rows, shape, ip, (&copy, to), frame, room);
            let left = Left {
                action,
                attachment: to.counts,
                interface: to.interface,
                comes_from: to.comes_from,
                opens: ip.rare_flags() && opens(ip.tcp_flags),
            };
            (self.counters).left(&left, time, bytes, || {
                flow(room.get(usize::from(to.bytes) + 2..))
            });
        }
    }

    /// Copy `number` of such a packet, as the general way makes it: it leaves with a tag, or is too big.
    #[inline(never)]
    fn rare_copy(
        &mut self,
        packet: usize,
        (lane, source): (&Lane, &Source),
        arrival: &Arrival,
        headers: &mut Headers,
        number: u8,
    ) {
        parse_into(arrival.frame, self.tables.decap(arrival.port), headers);
        self.copy(packet, headers, &lane.verdict(source), arrival, number);
    }

    /// Counts and sends a packet that was decided on the general way.
    #[inline(never)]
    fn general(&mut self, packet: usize, h: &Headers, verdict: &Verdict, arrival: &Arrival) {
        let most = MAX_FRAME_BYTES as usize;
        if h.length > most {
            self.counters.reason(Reason::Oversize, most);
            (self.rates).oversize(self.tables, h, verdict, arrival.time);
            return;
        }
        self.counters.packet(verdict, h, arrival.time);
        if verdict.reason != Reason::Directed {
            self.host(packet, h, verdict, arrival.time);
            return;
        }
        for number in 0..verdict.step.copies {
            self.copy(packet, h, verdict, arrival, number);
        }
    }

    /// Copy `number` of a directed packet.
    #[inline(never)]
    fn copy(
        &mut self,
        packet: usize,
        h: &Headers,
        verdict: &Verdict,
        arrival: &Arrival,
        number: u8,
    ) {
        let Some(plan) = edit::plan(self.tables, h, verdict, number) else {
            return;
        };
        if let Some(reason) = plan.unsent(h) {
            self.counters.reason(reason, h.length);
            self.host(packet, h, &verdict.unsent(reason), arrival.time);
            return;
        }
        let bytes = plan.length(h);
        let exit = Exit {
            port: plan.to.port,
            interface: plan.to.interface,
            priority: plan.priority,
        };
        let Some(room) = self.outputs.room(packet, exit, bytes) else {
            self.counters.reason(Reason::OutputFull, bytes);
            return;
        };
        // The frame is that of the headers, and the room is as long as was asked for.
        if plan.write(h, arrival.frame, room).is_ok() {
            self.counters.copy(&plan, h, arrival.time, bytes);
        }
    }

    fn host(&mut self, packet: usize, h: &Headers, verdict: &Verdict, time: u64) {
        match self.rates.host_takes(self.tables, verdict.reason, time) {
            true => self.outputs.host(packet, verdict),
            false => self.counters.reason(Reason::HostLimited, h.length),
        }
    }
}
