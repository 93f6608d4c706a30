//! The way of the common packet: IPv4 or IPv6 with TCP or UDP, at most one VLAN tag, to a service that asks no
//! rules and no meter.
//!
//! Most of what [`crate::parse`] and [`crate::verdict`] do for a packet answers "and if it were something
//! else?". Here that is asked once ([`frame`]), and what then is left is a few lookups, in rows made
//! for it when the tables are loaded ([`rows`]). Whatever is not common, at any stage, leaves this way without
//! having changed anything and takes the general one from its start; what takes it is decided, edited and
//! counted as there. The tests run both ways beside each other, and the oracle against this one.
//!
//! Stages go over the whole batch, and each asks for the memory the next one reads.

pub(crate) mod frame;
pub(crate) mod rows;
mod write;

use crate::batch::{Arrival, BATCH};
use crate::bytes::{be16, bytes};
use crate::counters::CounterArrays;
use crate::index::Query;
use crate::keys::{Address, InterfaceKey, Key, PortKey, Position, SourceKey, StepKey};
use crate::memory::prefetch;
use crate::tables::{KnownBits, Tables};
use crate::verdict::Verdict;
use frame::{Ip, Shape};
use rows::{Go, Hop, PackedStep};
use seqnic_image::names::Direction;
use seqnic_spec::reason::Reason;
use seqnic_spec::wire::MAX_FRAME_BYTES;

pub(crate) use write::{fold, write};

/// What is kept of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Fast {
    lanes: [Lane; BATCH],
    /// From where packets came, the first ones in use.
    sources: [Source; BATCH],
    used: usize,
}

impl Default for Fast {
    fn default() -> Fast {
        Fast {
            lanes: [Lane::default(); BATCH],
            sources: [Source::default(); BATCH],
            used: 0,
        }
    }
}

/// What packets share that have the same bytes in front of their IP header and came in on one port: where they
/// came from. Packets of a batch often do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    port: u8,
    /// The bytes, up to 14; then a tag and the EtherType behind it, in frames that have one.
    bytes: (u64, u64),
    tag: u32,
    pub shape: Shape,
    /// What comes so is common, as far as that can be seen here.
    common: bool,
    trust: bool,
    /// There are steps for its position: they are asked.
    steps: bool,
    position: Position,
    pub interface: u16,
    pub sender: Option<u16>,
    /// Common packets that came, their bytes, and when the last did.
    pub packets: u64,
    pub bytes_in: u64,
    pub last: u64,
}

impl Default for Source {
    fn default() -> Source {
        Source {
            port: 0,
            bytes: (0, 0),
            tag: 0,
            shape: Shape::default(),
            common: false,
            trust: false,
            steps: false,
            position: Position::Unknown,
            interface: 0,
            sender: None,
            packets: 0,
            bytes_in: 0,
            last: 0,
        }
    }
}

/// A packet on this way: what is read of it, and what was decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    /// The question that is under way.
    query: Query<u64>,
    pub ip: Ip,
    /// It is still on this way.
    common: bool,
    /// Question 0 had no address to ask: question 1 is asked.
    second: bool,
    pub shape: Shape,
    /// Place in the sources.
    source: u8,
    pub priority: u8,
    pub direction: Direction,
    pub class: u32,
    /// What is known of the destination.
    dst: KnownBits,
    step: PackedStep,
    /// Of the first copy.
    pub hop: Hop,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane {
            query: Query::default(),
            ip: Ip::default(),
            common: false,
            second: false,
            shape: Shape::default(),
            source: 0,
            priority: 0,
            direction: Direction::Forward,
            class: 0,
            dst: KnownBits::default(),
            step: PackedStep::default(),
            hop: Hop::default(),
        }
    }
}

impl Lane {
    #[inline(always)]
    pub fn copies(&self) -> u8 {
        self.step.copies()
    }

    /// Row of `action` of the first copy.
    #[inline(always)]
    pub fn action(&self) -> u32 {
        self.step.action()
    }

    /// Attachment of the neighbour that has the destination address.
    #[inline(always)]
    pub fn neighbour(&self) -> Option<u16> {
        self.dst.neighbour()
    }

    /// The decision as the general way says it.
    pub fn verdict(&self, source: &Source) -> Verdict {
        Verdict {
            reason: Reason::Directed,
            interface: Some(source.interface),
            sender: source.sender,
            class: Some((self.class, self.direction)),
            step: self.step.unpack(),
            neighbour: self.neighbour(),
            priority: self.priority,
            rule: None,
        }
    }
}

enum End {
    Source,
    Destination,
}

impl Fast {
    /// A packet that took this way, and from where it came.
    #[inline(always)]
    pub fn packet(&mut self, at: usize) -> (&Lane, &mut Source) {
        let lane = &self.lanes[at & (BATCH - 1)];
        (
            lane,
            &mut self.sources[usize::from(lane.source) & (BATCH - 1)],
        )
    }

    /// All sources of the batch.
    pub fn sources(&self) -> &[Source] {
        self.sources.get(..self.used).unwrap_or_default()
    }

    /// Decides what is common in `batch`. Gives a bit for every packet that is.
    pub fn decide(&mut self, tables: &Tables, counters: &CounterArrays, batch: &[Arrival]) -> u32 {
        const { assert!(BATCH <= 32 && BATCH.is_power_of_two()) };
        self.used = arrivals(tables, batch, &mut self.lanes, &mut self.sources);
        destinations(tables, batch, &mut self.lanes);
        sources(tables, batch, &mut self.lanes);
        classes(
            tables,
            counters,
            batch.len(),
            &mut self.lanes,
            &self.sources,
        );
        steps(
            tables,
            counters,
            batch.len(),
            &mut self.lanes,
            &self.sources,
        )
    }
}

// Each stage is a function of its own: the loops are short, and what they read of the tables' places stays in
// registers.

/// First stage. Gives the number of sources.
#[inline(never)]
fn arrivals(
    tables: &Tables,
    batch: &[Arrival],
    lanes: &mut [Lane; BATCH],
    sources: &mut [Source; BATCH],
) -> usize {
    let mut used = 0;
    for (lane, arrival) in lanes.iter_mut().zip(batch) {
        lane.common = arrive(tables, arrival, sources, &mut used, lane).is_some();
    }
    used
}

/// Second stage.
#[inline(never)]
fn destinations(tables: &Tables, batch: &[Arrival], lanes: &mut [Lane; BATCH]) {
    for (lane, arrival) in lanes.iter_mut().zip(batch) {
        if lane.common {
            lane.second = !destination(tables, arrival, lane);
        }
    }
}

/// Third stage.
#[inline(never)]
fn sources(tables: &Tables, batch: &[Arrival], lanes: &mut [Lane; BATCH]) {
    for (lane, arrival) in lanes.iter_mut().zip(batch) {
        if lane.common & lane.second {
            lane.common = source(tables, arrival, lane).is_some();
        }
    }
}

/// Fourth stage.
#[inline(never)]
fn classes(
    tables: &Tables,
    counters: &CounterArrays,
    count: usize,
    lanes: &mut [Lane; BATCH],
    sources: &[Source; BATCH],
) {
    for lane in lanes.iter_mut().take(count) {
        if lane.common {
            let source = &sources[usize::from(lane.source) & (BATCH - 1)];
            if class(tables, counters, source, lane).is_none() {
                lane.common = false;
            }
        }
    }
}

/// Last stage. Gives a bit for every packet that is common.
#[inline(never)]
fn steps(
    tables: &Tables,
    counters: &CounterArrays,
    count: usize,
    lanes: &mut [Lane; BATCH],
    sources: &[Source; BATCH],
) -> u32 {
    let mut common = 0;
    for (at, lane) in lanes.iter_mut().take(count).enumerate() {
        if lane.common {
            let source = &sources[usize::from(lane.source) & (BATCH - 1)];
            if step(tables, counters, source, lane).is_some() {
                common |= 1 << at;
            }
        }
    }
    common
}

/// First stage: the frame, and where it came from; asks what is known of the destination. `known` is how many
/// sources are known, the last of them that of the last packet.
#[inline(always)]
fn arrive(
    tables: &Tables,
    arrival: &Arrival,
    sources: &mut [Source; BATCH],
    known: &mut usize,
    lane: &mut Lane,
) -> Option<()> {
    let frame = arrival.frame;
    let head = frame.first_chunk::<{ frame::ETHERNET + frame::TAG }>()?;
    let front = (
        u64::from_ne_bytes(bytes(head, 0)),
        u64::from_ne_bytes(bytes(head, 6)),
    );
    let tag = u32::from_ne_bytes(bytes(head, 14));
    let same = |source: &Source| {
        source.port == arrival.port
            && source.bytes == front
            && (!source.shape.tagged || source.tag == tag)
    };
    let last = known.wrapping_sub(1) & (BATCH - 1);
    let at = match *known > 0 && same(&sources[last]) {
        true => last,
        false => {
            let at = *known & (BATCH - 1);
            sources[at] = Source {
                bytes: front,
                tag,
                ..arrived(tables, arrival.port, head)
            };
            *known += 1;
            at
        }
    };
    let source = &sources[at];
    if !source.common | (frame.len() > MAX_FRAME_BYTES as usize) {
        return None;
    }
    lane.ip = frame::ip(source.shape, frame)?;
    lane.shape = source.shape;
    lane.source = at as u8;
    lane.query = ask(tables, source.shape, frame, End::Destination);
    Some(())
}

/// Who sends with `head`, and where it arrives.
#[inline(never)]
fn arrived(tables: &Tables, port: u8, head: &[u8; frame::ETHERNET + frame::TAG]) -> Source {
    let source = Source {
        port,
        ..Source::default()
    };
    // What may be a tunnel's end needs to be looked at closer.
    if u32::from(port) >= tables.geometry.ports || tables.decap(port).accepts != 0 {
        return source;
    }
    let Some(shape) = Shape::of(be16(head, 12), be16(head, 16)) else {
        // Its tag is not looked at: nothing with this EtherType is common, or something else may stand behind it.
        let tagged = Shape::of(be16(head, 12), seqnic_spec::wire::ETHERTYPE_IPV4);
        let shape = tagged.unwrap_or_default();
        return Source { shape, ..source };
    };
    let source = Source { shape, ..source };
    let key = InterfaceKey {
        port,
        vid0: if shape.tagged {
            be16(head, 14) & 0x0fff
        } else {
            0
        },
        vid1: 0,
    };
    let Some(interface) = tables.interface.get(key) else {
        return source;
    };
    let mac = |at| u64::from_be_bytes(bytes(head, at)) >> 16;
    let (dst, src) = (mac(0), mac(6));
    let sender = tables.source.get(SourceKey {
        segment: interface.segment,
        mac: src,
    });
    let position = match sender {
        _ if interface.by_segment => Position::Segment(interface.segment),
        Some(sender) => Position::Attachment(sender),
        None => Position::Unknown,
    };
    // Tags are positions, and group addresses have reasons of their own.
    let mine = dst == interface.mac || interface.promiscuous;
    let to_group = dst >> 40 & 1 == 1;
    Source {
        common: interface.accepts == 0 && mine && !to_group,
        trust: interface.trust,
        steps: tables.has_steps(position),
        position,
        interface: interface.interface,
        sender,
        ..source
    }
}

/// An address of a common frame.
#[inline(always)]
fn address(shape: Shape, frame: &[u8], end: End) -> Address {
    let at = match (shape.v6, end) {
        (false, End::Source) => 12,
        (false, End::Destination) => 16,
        (true, End::Source) => 8,
        (true, End::Destination) => 24,
    };
    let at = shape.l3() + at;
    let value = match shape.v6 {
        false => u32::from_be_bytes(bytes(frame, at)).into(),
        true => u128::from_be_bytes(bytes(frame, at)),
    };
    Address {
        v6: shape.v6,
        value,
    }
}

/// Asks what is known of an address.
#[inline(always)]
fn ask(tables: &Tables, shape: Shape, frame: &[u8], end: End) -> Query<u64> {
    let address = address(shape, frame, end);
    match shape.v6 {
        false => tables.address.short().ask(u64::from(address.value as u32)),
        true => {
            // Asked again when it is there: a longer query would be one more thing to carry.
            tables.address.ask(address);
            Query::default()
        }
    }
}

/// What is known of the address that was asked.
#[inline(always)]
fn answer(tables: &Tables, lane: &Lane, frame: &[u8], end: End) -> KnownBits {
    let bits = match lane.shape.v6 {
        false => tables.address.short().answer(&lane.query),
        true => {
            let query = tables.address.ask(address(lane.shape, frame, end));
            tables.address.bits(&query)
        }
    };
    bits.unwrap_or_default()
}

/// Second stage: asks the port of a service address, question 0; `false`: the destination has no scope,
/// and the source is asked.
#[inline(always)]
fn destination(tables: &Tables, arrival: &Arrival, lane: &mut Lane) -> bool {
    let dst = answer(tables, lane, arrival.frame, End::Destination);
    lane.dst = dst;
    if dst.scope() != 0 {
        lane.direction = Direction::Forward;
        let key = PortKey {
            scope: dst.scope(),
            protocol: lane.ip.protocol,
            port: lane.ip.dport,
        };
        lane.query = tables.ports[0].short().ask(key.pack());
        return true;
    }
    lane.query = ask(tables, lane.shape, arrival.frame, End::Source);
    false
}

/// Third stage, of packets from a service address: question 1.
#[inline(always)]
fn source(tables: &Tables, arrival: &Arrival, lane: &mut Lane) -> Option<()> {
    let src = answer(tables, lane, arrival.frame, End::Source);
    if src.scope() == 0 {
        return None;
    }
    lane.direction = Direction::Return;
    let key = PortKey {
        scope: src.scope(),
        protocol: lane.ip.protocol,
        port: lane.ip.sport,
    };
    lane.query = tables.ports[1].short().ask(key.pack());
    Some(())
}

/// Fourth stage: the class; asks for its row and the step.
#[inline(always)]
fn class(
    tables: &Tables,
    counters: &CounterArrays,
    source: &Source,
    lane: &mut Lane,
) -> Option<()> {
    let question = lane.direction.bit() as usize;
    // Ranges, and weaker questions, are asked the general way.
    let class = tables.ports[question].short().answer(&lane.query)?;
    lane.class = class;
    prefetch(&tables.fast.entries, class as usize);
    counters.expect_class(class, lane.direction);
    if source.steps {
        let key = StepKey {
            class,
            direction: lane.direction,
            position: source.position,
        };
        lane.query = tables.step.short().ask(key.pack());
    }
    Some(())
}

/// Last stage: the step of this sender, or the entry, and where its first copy goes.
#[inline(always)]
fn step(tables: &Tables, counters: &CounterArrays, source: &Source, lane: &mut Lane) -> Option<()> {
    let entry = tables.fast.entries.get(lane.class as usize)?;
    let row = match source.steps {
        true => tables.step.short().answer(&lane.query),
        false => None,
    };
    match row {
        Some(step) => {
            lane.step = PackedStep::of(step);
            lane.hop = tables.fast.hop(step.action);
        }
        None => {
            let Go { step, hop } = entry.go[lane.direction.bit() as usize];
            (lane.step, lane.hop) = (step, hop);
        }
    }
    if (lane.copies() == 0) | (entry.asks && lane.step.first()) {
        return None;
    }
    lane.priority = match source.trust {
        true => tables.dscp(lane.ip.traffic_class >> 2),
        false => entry.priority,
    };
    prefetch(&tables.fast.towards, lane.hop.attachment.into());
    counters.expect_action(lane.action());
    for row in lane.action() + 1..lane.action() + u32::from(lane.copies()) {
        counters.expect_action(row);
        prefetch(&tables.fast.hops, row as usize);
    }
    Some(())
}
