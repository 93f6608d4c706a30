//! Registers, and the order the card does its work in.

use crate::datapath::{Datapath, OutOfPort};
use crate::ring::Ring;
use crate::rings::{self, Answer};
use seqnic_pci::{Card, Host};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::host::pci::BAR_REGISTERS_BYTES;
use seqnic_spec::host::reference::host_digest;
use seqnic_spec::host::registers::{self as reg, Access, Register};
use seqnic_spec::host::rings::{ERROR_VECTOR, PACKET_RINGS, Ring as Number, RingError, VECTORS};
use seqnic_spec::layout::Row;
use seqnic_spec::reason::REASON_BITS;
use seqnic_spec::{SPEC_VERSION, reference};
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Instant;

/// Clocks a ns of the clock that `heartbeat` counts.
const NS_PER_CLOCK: u64 = 4;
const WINDOW_WORDS: usize = reg::WINDOW_DATA.count as usize;

/// The card.
#[derive(Debug)]
pub struct SoftCard {
    pub datapath: Datapath,
    digests: [u32; 3],
    rings: Vec<Ring>,
    answers: VecDeque<Answer>,
    queues: [u32; 1 << REASON_BITS],
    scratch: u32,
    enable: u32,
    errors: u32,
    /// A bit a port: its link is up; it has changed since the driver said it knows.
    link: u32,
    link_changed: u32,
    /// Whether a vector was fired for that.
    link_told: bool,
    time_high: u32,
    window_address: u32,
    window: [u32; WINDOW_WORDS],
    started: Instant,
    newest: u64,
}

/// Which register stands at an offset, by word.
fn at(offset: u32) -> Option<(&'static Register, u32)> {
    static MAP: OnceLock<Vec<Option<(&'static Register, u32)>>> = OnceLock::new();
    let map = MAP.get_or_init(|| {
        let mut map = vec![None; BAR_REGISTERS_BYTES as usize / 4];
        for register in reg::ALL {
            for i in 0..register.count {
                map[register.at(i) as usize / 4] = Some((register, i));
            }
        }
        map
    });
    map.get(offset as usize / 4).copied().flatten()
}

impl SoftCard {
    /// A card with empty tables, and counters that are 0.
    pub fn new(geometry: &'static Geometry) -> SoftCard {
        SoftCard {
            datapath: Datapath::new(geometry),
            digests: [reference::spec_digest(), host_digest(), geometry.digest()],
            rings: Number::ALL.map(|r| Ring::new(r.to_host())).into(),
            answers: VecDeque::new(),
            queues: [0; 1 << REASON_BITS],
            scratch: 0,
            enable: 0,
            errors: 0,
            link: (1 << geometry.ports) - 1,
            link_changed: 0,
            link_told: true,
            time_high: 0,
            window_address: 0,
            window: [0; WINDOW_WORDS],
            started: Instant::now(),
            newest: 0,
        }
    }

    /// ns since the card was started.
    pub fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// A time of arrival: strictly rising.
    fn stamp(&mut self) -> u64 {
        self.newest = self.now().max(self.newest + 1);
        self.newest
    }

    /// A frame arrives at a port; it is taken with the card's next work.
    pub fn arrive(&mut self, port: u8, frame: &[u8]) {
        let time = self.stamp();
        self.datapath.arrive(port, time, frame);
    }

    /// A port's link comes up or goes down. The driver is told with the card's next work.
    pub fn set_link(&mut self, port: u8, up: bool) {
        let bit = 1 << port;
        let was = self.link;
        self.link = if up { was | bit } else { was & !bit };
        if was != self.link {
            self.link_changed |= bit;
            self.link_told = false;
        }
    }

    /// Frames that left the ports since this was last asked.
    pub fn sent(&mut self) -> Vec<OutOfPort> {
        std::mem::take(&mut self.datapath.out)
    }

    fn geometry(&self) -> &'static Geometry {
        self.datapath.geometry()
    }

    fn constant(&self, name: &str, i: u32) -> u32 {
        let g = self.geometry();
        let letters = |i: u32| {
            let byte = |n: u32| g.name.as_bytes().get((i * 4 + n) as usize).copied();
            u32::from_le_bytes([0, 1, 2, 3].map(|n| byte(n).unwrap_or(0)))
        };
        match name {
            "magic" => reg::MAGIC_VALUE,
            "spec_version" => SPEC_VERSION,
            "spec_digest" => self.digests[0],
            "host_digest" => self.digests[1],
            "geometry_digest" => self.digests[2],
            "shape" => {
                reg::SHAPE.with(0, "ports", g.ports)
                    | reg::SHAPE.with(0, "bus_bytes", g.bus_bytes)
                    | reg::SHAPE.with(0, "rings", reg::RINGS)
                    | reg::SHAPE.with(0, "vectors", VECTORS)
            }
            "geometry_name" => letters(i),
            "table_size" => match self.datapath.size(i as u8) {
                Some((rows, bits)) => {
                    reg::TABLE_SIZE.with(0, "rows", rows) | reg::TABLE_SIZE.with(0, "bits", bits)
                }
                None => 0,
            },
            _ => 0, // the commit is not said
        }
    }

    fn value(&mut self, name: &str, i: u32) -> u32 {
        let ring = &self.rings[(i as usize).min(self.rings.len() - 1)];
        match name {
            "scratch" => self.scratch,
            "heartbeat" => (self.now() / NS_PER_CLOCK) as u32,
            "time_low" => {
                let now = self.now();
                self.time_high = (now >> 32) as u32;
                now as u32
            }
            "time_high" => self.time_high,
            "pending" => (self.rings.iter().enumerate())
                .map(|(n, r)| u32::from(r.pending()) << n)
                .fold(
                    u32::from(self.errors | self.link_changed != 0) << ERROR_VECTOR,
                    |a, b| a | b,
                ),
            "enable" => self.enable,
            "errors" => self.errors,
            "link" => self.link,
            "link_changed" => self.link_changed,
            "window_address" => self.window_address,
            "window_data" => self.window[i as usize],
            "ring_base_low" => ring.base as u32,
            "ring_base_high" => (ring.base >> 32) as u32,
            "ring_status_low" => ring.status as u32,
            "ring_status_high" => (ring.status >> 32) as u32,
            "ring_size" => ring.size,
            "ring_control" => ring.enabled.into(),
            "ring_state" => ring.state(),
            "ring_index" => ring.card,
            "ring_dropped" => ring.dropped,
            "ring_moderation" => ring.moderation,
            _ => 0, // card_state, window_state: nothing is ever going on between two accesses
        }
    }

    fn set(&mut self, name: &str, i: u32, value: u32, host: &mut Host) {
        let ring = &mut self.rings[(i as usize).min(reg::RINGS as usize - 1)];
        let low = |old: u64| old & !0xffff_ffff | u64::from(value);
        let high = |old: u64| old & 0xffff_ffff | u64::from(value) << 32;
        match name {
            "scratch" => self.scratch = value,
            "control" if reg::CONTROL.get(value, "reset") == 1 => self.reset_host_side(),
            "enable" => self.enable = reg::ENABLE.get(value, "vectors"),
            "errors" => self.errors &= !value,
            "link_changed" => self.link_changed &= !value,
            "window_address" => self.window_address = value,
            "window_command" => self.window_command(value),
            "window_data" => self.window[i as usize] = value,
            "queue_of_reason" => {
                self.queues[i as usize] = reg::QUEUE_OF_REASON.get(value, "ring");
            }
            "ring_base_low" => ring.base = low(ring.base),
            "ring_base_high" => ring.base = high(ring.base),
            "ring_status_low" => ring.status = low(ring.status),
            "ring_status_high" => ring.status = high(ring.status),
            "ring_size" => ring.size = reg::RING_SIZE.get(value, "log2"),
            "ring_control" if ring.control(reg::RING_CONTROL.get(value, "enable") == 1) => {
                self.failed(i, RingError::Config, host);
            }
            "ring_moderation" => ring.moderation = value,
            "doorbell" => {
                if let Err(error) = ring.doorbell(value) {
                    self.failed(i, error, host);
                }
            }
            _ => {}
        }
    }

    fn window_command(&mut self, value: u32) {
        let table = reg::WINDOW_ADDRESS.get(self.window_address, "table") as u8;
        let row = reg::WINDOW_ADDRESS.get(self.window_address, "row");
        match reg::WINDOW_COMMAND.get(value, "op") {
            1 => {
                self.datapath.run();
                let words: Vec<u64> = (self.window.chunks_exact(2))
                    .map(|w| u64::from(w[0]) | u64::from(w[1]) << 32)
                    .collect();
                self.datapath.write(table, row, &words);
            }
            2 => {
                let found = self.datapath.read(table, row);
                self.window = words32(&found);
            }
            _ => {}
        }
    }

    fn reset_host_side(&mut self) {
        self.rings.iter_mut().for_each(Ring::reset);
        self.answers.clear();
        self.enable = 0;
        self.errors = 0;
        self.link_changed = 0;
        self.link_told = true;
    }

    fn failed(&mut self, ring: u32, error: RingError, host: &mut Host) {
        self.rings[ring as usize].stop(host, error);
        self.errors |= 1 << ring;
        if self.enable >> ERROR_VECTOR & 1 == 1 {
            host.interrupt(ERROR_VECTOR);
        }
    }

    fn packets(&mut self, host: &mut Host) {
        let now = self.now();
        for packet in std::mem::take(&mut self.datapath.host) {
            let queue = self.queues[packet.verdict.reason as usize] % PACKET_RINGS;
            let ring = &mut self.rings[queue as usize];
            if rings::deliver(ring, host, &packet, now).is_err() {
                self.failed(queue, RingError::Bus, host);
            }
        }
    }

    fn driver_rings(&mut self, host: &mut Host) -> bool {
        let mut more = false;
        let mut newest = self.newest;
        let started = self.started;
        let mut stamp = || {
            newest = (started.elapsed().as_nanos() as u64).max(newest + 1);
            newest
        };
        let number = Number::Transmit as usize;
        let ring = &mut self.rings[number];
        let done = rings::transmit(ring, host, &mut self.datapath, &mut stamp);
        self.newest = newest;
        match done {
            Ok(any) => more |= any,
            Err(stop) => self.failed(number as u32, stop.into(), host),
        }
        let number = Number::Commands as usize;
        let (ring, answers) = (&mut self.rings[number], &mut self.answers);
        match rings::commands(ring, host, &mut self.datapath, answers) {
            Ok(any) => more |= any,
            Err(stop) => self.failed(number as u32, stop.into(), host),
        }
        let now = self.now();
        let number = Number::Answers as usize;
        match rings::answer(&mut self.rings[number], host, &mut self.answers, now) {
            Ok(any) => more |= any,
            Err(_) => self.failed(number as u32, RingError::Bus, host),
        }
        more
    }

    fn say(&mut self, host: &mut Host) {
        if !self.link_told && self.enable >> ERROR_VECTOR & 1 == 1 {
            self.link_told = true;
            host.interrupt(ERROR_VECTOR);
        }
        // Commands last: what they were answered is there when they are said to be done.
        for number in 0..reg::RINGS {
            let ring = &mut self.rings[number as usize];
            if ring.running() && ring.say(host).is_err() {
                self.failed(number, RingError::Bus, host);
            }
        }
        let now = self.now();
        for (number, ring) in (0..).zip(&mut self.rings) {
            if self.enable >> number & 1 == 1 && ring.due(now) {
                ring.armed = false;
                host.interrupt(number);
            }
        }
    }
}

fn words32(row: &Row) -> [u32; WINDOW_WORDS] {
    let mut out = [0; WINDOW_WORDS];
    for (two, word) in out.chunks_exact_mut(2).zip(row.words()) {
        two[0] = *word as u32;
        two[1] = (*word >> 32) as u32;
    }
    out
}

impl Card for SoftCard {
    fn read32(&mut self, offset: u32, _: &mut Host) -> u32 {
        match at(offset) {
            None => 0,
            Some((r, _)) if r.access == Access::Write => 0,
            Some((r, i)) if r.access == Access::Constant => self.constant(r.name, i),
            Some((r, i)) => self.value(r.name, i),
        }
    }

    fn write32(&mut self, offset: u32, value: u32, host: &mut Host) {
        if let Some((r, i)) = at(offset)
            && !matches!(r.access, Access::Constant | Access::Read)
        {
            self.set(r.name, i, value, host);
        }
    }

    fn reset(&mut self, _: &mut Host) {
        self.reset_host_side();
    }

    fn work(&mut self, host: &mut Host) -> bool {
        let more = self.driver_rings(host);
        self.datapath.run();
        self.packets(host);
        self.say(host);
        more
    }
}
