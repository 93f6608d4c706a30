//! A host for the card in the evaluator: memory behind the AXI4 master, a driver at the registers, frames at the
//! ports. It checks the rules of AXI as it goes.

use super::*;
use crate::stream::testbench::{built, small};
use crate::testing::{Random, bits};
use seqnic_gen::{Bits, Sim};
use seqnic_spec::counters::SNAPSHOT_ITEM;
use seqnic_spec::host::registers as map;
use seqnic_spec::host::rings::{
    COMMAND, LINE_BYTES, META_AT, ROW_META, STATUS, TO_HOST, TRANSMIT, ahead, lines, op, read,
    write,
};
use seqnic_spec::layout::Row;
use seqnic_spec::stage::HOST_META;
use std::collections::VecDeque;

/// Answers on AXI.
pub const OKAY: u64 = 0;
pub const SLVERR: u64 = 2;
/// Where the host's memory is.
pub const MEMORY: u64 = 0x1_2340_0000;
pub const MEMORY_BYTES: usize = 2 << 20;
/// The card's time at the first clock, ns; each clock takes 4.
pub const EPOCH: u64 = 0xffff_f000;
/// Bytes of the memory each ring gets in [`Bench::start`], and where status lines are.
const RING_BYTES: u64 = 0x4_0000;
const STATUS_AT: u64 = MEMORY + 0x1f_0000;

/// A record the card published.
pub struct Record {
    pub kind: u64,
    pub sequence: u32,
    pub payload: Vec<u8>,
    header: Vec<u8>,
}

impl Record {
    pub fn meta(&self, name: &str) -> u64 {
        read(&self.header, &HOST_META, META_AT, name)
    }
    pub fn item(&self, name: &str) -> u64 {
        read(&self.header, &SNAPSHOT_ITEM, META_AT, name)
    }
    pub fn row(&self, name: &str) -> u64 {
        read(&self.header, &ROW_META, META_AT, name)
    }
}

pub struct Status {
    pub index: u32,
    pub records: u32,
    pub error: u32,
}

/// The driver's side of a ring.
#[derive(Clone, Copy, Default)]
struct Side {
    base: u64,
    log2: u32,
    index: u32,
}

struct Burst {
    address: u64,
    left: u32,
    id: u64,
}

pub struct Bench {
    pub g: Geometry,
    sim: Sim,
    random: Random,
    /// Percent of clocks in which the bus stalls.
    pub stalls: u64,
    clock: u64,
    pub memory: Vec<u8>,
    pub interrupts: Vec<u32>,
    /// Frames that left, by port.
    pub sent: Vec<Vec<Vec<u8>>>,
    leaving: Vec<Vec<u8>>,
    arriving: Vec<VecDeque<(Vec<u8>, bool)>>,
    /// Beats and addresses that moved on the AXI4 master.
    pub transfers: u64,
    writes: VecDeque<Burst>,
    data: VecDeque<(Bits, bool)>,
    answers: VecDeque<(u64, u64)>,
    reads: [VecDeque<Burst>; 2],
    shown: Option<(usize, Bits, u64, bool)>,
    held: [Option<Bits>; 3],
    sides: [Side; RINGS as usize],
}

impl Bench {
    /// Which ports have a link from now on.
    pub fn link(&mut self, up: u64) {
        self.sim.set("link", up);
    }

    pub fn new(bus: u32, seed: u64) -> Bench {
        let g = small(bus);
        let core = built(core(&g, &Parts::of(&g).unwrap()));
        let mut sim = Sim::new(&built(card(&g, &core)));
        sim.reset();
        let ports = g.ports as usize;
        let mut b = Bench {
            g,
            sim,
            random: Random::new(seed),
            stalls: 20,
            clock: 0,
            memory: vec![0; MEMORY_BYTES],
            interrupts: vec![],
            sent: vec![vec![]; ports],
            leaving: vec![vec![]; ports],
            arriving: vec![VecDeque::new(); ports],
            transfers: 0,
            writes: VecDeque::new(),
            data: VecDeque::new(),
            answers: VecDeque::new(),
            reads: [VecDeque::new(), VecDeque::new()],
            shown: None,
            held: [None, None, None],
            sides: Default::default(),
        };
        b.run(8);
        b
    }

    pub fn now(&self) -> u64 {
        EPOCH + 4 * self.clock
    }

    fn inside(&mut self, address: u64, bytes: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(address.checked_sub(MEMORY)?).ok()?;
        self.memory.get_mut(at..at + bytes)
    }

    fn burst(&self, address: u64, len: u64, id: u64) -> Burst {
        let bytes = (len + 1) * u64::from(self.g.bus_bytes);
        assert_eq!(address % u64::from(LINE_BYTES), 0);
        assert_eq!(
            address / 4096,
            (address + bytes - 1) / 4096,
            "a burst crosses 4 KiB"
        );
        assert!(len < 256);
        Burst {
            address,
            left: len as u32 + 1,
            id,
        }
    }

    /// What is offered stays until it is taken.
    fn stays(&mut self, channel: usize, valid: bool, taken: bool, word: Bits) {
        if let Some(before) = &self.held[channel] {
            assert!(
                valid && *before == word,
                "channel {channel} took back what it offered"
            );
        }
        self.held[channel] = (valid && !taken).then_some(word);
    }

    /// One clock.
    pub fn step(&mut self) {
        let bus = self.g.bus_bytes as usize;
        let now = self.now();
        let stalls = self.stalls;
        let random = &mut self.random;
        let mut may = || random.below(100) >= stalls;
        let (aw, w, ar, b, irq) = (may(), may(), may(), may(), may());
        let mut inputs = vec![
            ("m_axi_awready", aw),
            ("m_axi_wready", w),
            ("m_axi_arready", ar),
            ("irq_ready", irq),
        ];
        let port_ready: Vec<bool> = (0..self.g.ports).map(|_| may()).collect();
        let show = may();
        let b_valid = b && !self.answers.is_empty();
        inputs.push(("m_axi_bvalid", b_valid));
        for (name, value) in inputs {
            self.sim.set(name, value.into());
        }
        let (resp, id) = self.answers.front().copied().unwrap_or_default();
        self.sim.set("m_axi_bresp", resp);
        self.sim.set("m_axi_bid", id);
        self.sim.set("now", now);
        // Read data: of either ID, beats of one burst may be mixed with the other's.
        if self.shown.is_none() && show {
            let which = (self.random.below(2)) as usize;
            let which = if self.reads[which].is_empty() {
                1 - which
            } else {
                which
            };
            if let Some(burst) = self.reads[which].front_mut() {
                let (address, last) = (burst.address, burst.left == 1);
                burst.address += bus as u64;
                burst.left -= 1;
                if last {
                    self.reads[which].pop_front();
                }
                let word = self.inside(address, bus).map(|m| Bits::from_bytes_le(m));
                let resp = if word.is_some() { 0 } else { 2 };
                let word = word.unwrap_or(Bits::zero(8 * bus as u32));
                self.shown = Some((which, word, resp, last));
            }
        }
        self.sim.set("m_axi_rvalid", self.shown.is_some().into());
        if let Some((id, word, resp, last)) = &self.shown {
            self.sim.set("m_axi_rid", *id as u64);
            self.sim.set_bits("m_axi_rdata", word);
            self.sim.set("m_axi_rresp", *resp);
            self.sim.set("m_axi_rlast", (*last).into());
        }
        for (p, ready) in port_ready.iter().enumerate() {
            self.sim
                .set(&format!("m_axis_p{p}_tready"), (*ready).into());
            let valid = !self.arriving[p].is_empty();
            self.sim.set(&format!("s_axis_p{p}_tvalid"), valid.into());
            if let Some((beat, last)) = self.arriving[p].front() {
                let mut data = beat.clone();
                data.resize(bus, 0);
                self.sim
                    .set_bits(&format!("s_axis_p{p}_tdata"), &Bits::from_bytes_le(&data));
                let keep = Bits::ones(beat.len() as u32).resize(bus as u32);
                self.sim.set_bits(&format!("s_axis_p{p}_tkeep"), &keep);
                self.sim.set(&format!("s_axis_p{p}_tlast"), (*last).into());
            }
        }

        // What moves in this clock.
        let get = |sim: &mut Sim, name: &str| sim.get(name);
        let valid = get(&mut self.sim, "m_axi_awvalid") == 1;
        let word = self.sim.get_bits("m_axi_awaddr").resize(64);
        let len = get(&mut self.sim, "m_axi_awlen");
        self.stays(
            0,
            valid,
            valid && aw,
            Bits::from_limbs(128, &[word.low_u64(), len]),
        );
        if valid && aw {
            self.transfers += 1;
            let burst = self.burst(word.low_u64(), len, 0);
            self.writes.push_back(burst);
        }
        let valid = get(&mut self.sim, "m_axi_wvalid") == 1;
        let word = self.sim.get_bits("m_axi_wdata");
        let last = get(&mut self.sim, "m_axi_wlast") == 1;
        self.stays(1, valid, valid && w, word.clone());
        if valid && w {
            self.transfers += 1;
            assert!(self.sim.get_bits("m_axi_wstrb") == Bits::ones(bus as u32));
            self.data.push_back((word, last));
        }
        let valid = get(&mut self.sim, "m_axi_arvalid") == 1;
        let address = get(&mut self.sim, "m_axi_araddr");
        let (len, id) = (
            get(&mut self.sim, "m_axi_arlen"),
            get(&mut self.sim, "m_axi_arid"),
        );
        self.stays(
            2,
            valid,
            valid && ar,
            Bits::from_limbs(192, &[address, len, id]),
        );
        if valid && ar {
            self.transfers += 1;
            let burst = self.burst(address, len, id);
            self.reads[id as usize].push_back(burst);
        }
        if b_valid && get(&mut self.sim, "m_axi_bready") == 1 {
            self.answers.pop_front();
        }
        if self.shown.is_some() && get(&mut self.sim, "m_axi_rready") == 1 {
            self.shown = None;
        }
        if irq && get(&mut self.sim, "irq_valid") == 1 {
            let vector = get(&mut self.sim, "irq_vector") as u32;
            self.interrupts.push(vector);
        }
        for (p, ready) in port_ready.iter().enumerate() {
            if *ready && get(&mut self.sim, &format!("m_axis_p{p}_tvalid")) == 1 {
                let data = self.sim.get_bits(&format!("m_axis_p{p}_tdata"));
                let keep = self.sim.get_bits(&format!("m_axis_p{p}_tkeep"));
                let n = (0..bus as u32)
                    .take_while(|i| keep.slice(*i, 1).low_u64() == 1)
                    .count();
                for i in 0..n {
                    self.leaving[p].push(data.slice(8 * i as u32, 8).low_u64() as u8);
                }
                if get(&mut self.sim, &format!("m_axis_p{p}_tlast")) == 1 {
                    let frame = std::mem::take(&mut self.leaving[p]);
                    self.sent[p].push(frame);
                }
            }
            if !self.arriving[p].is_empty()
                && get(&mut self.sim, &format!("s_axis_p{p}_tready")) == 1
            {
                self.arriving[p].pop_front();
            }
        }
        self.sim.step();
        self.clock += 1;
        self.absorb();
    }

    /// Writes whose address and data are both here reach the memory, and are answered.
    fn absorb(&mut self) {
        let bus = self.g.bus_bytes as usize;
        while let (Some(burst), Some(_)) = (self.writes.front_mut(), self.data.front()) {
            let (address, last, id) = (burst.address, burst.left == 1, burst.id);
            burst.address += bus as u64;
            burst.left -= 1;
            let Some((word, says_last)) = self.data.pop_front() else {
                return;
            };
            assert_eq!(last, says_last, "wlast is not at the burst's end");
            let bytes: Vec<u8> = (0..bus as u32)
                .map(|i| word.slice(8 * i, 8).low_u64() as u8)
                .collect();
            let known = match self.inside(address, bus) {
                Some(memory) => {
                    memory.copy_from_slice(&bytes);
                    true
                }
                None => false,
            };
            if last {
                self.writes.pop_front();
                self.answers.push_back((if known { 0 } else { 2 }, id));
            }
        }
    }

    pub fn run(&mut self, clocks: u32) {
        for _ in 0..clocks {
            self.step();
        }
    }

    /// Runs until nothing is going on.
    pub fn idle(&mut self) {
        let mut calm = 0;
        for n in 0.. {
            self.step();
            let quiet = self.sim.get("busy") == 0 && self.arriving.iter().all(VecDeque::is_empty);
            calm = if quiet { calm + 1 } else { 0 };
            if calm > 3 {
                return;
            }
            assert!(n < 400_000, "busy for ever");
        }
    }

    /// A write of some bytes; how it was answered.
    pub fn write_strobed(&mut self, offset: u32, value: u32, strobes: u64) -> u64 {
        self.sim.set("s_axil_awvalid", 1);
        self.sim.set("s_axil_awaddr", offset.into());
        self.sim.set("s_axil_wvalid", 1);
        self.sim.set("s_axil_wdata", value.into());
        self.sim.set("s_axil_wstrb", strobes);
        self.sim.set("s_axil_bready", 1);
        while self.sim.get("s_axil_awready") == 0 {
            self.step();
        }
        self.step();
        self.sim.set("s_axil_awvalid", 0);
        self.sim.set("s_axil_wvalid", 0);
        while self.sim.get("s_axil_bvalid") == 0 {
            self.step();
        }
        let response = self.sim.get("s_axil_bresp");
        self.step();
        response
    }

    pub fn write(&mut self, offset: u32, value: u32) {
        assert_eq!(self.write_strobed(offset, value, 0xf), OKAY);
    }

    pub fn read(&mut self, offset: u32) -> u32 {
        let (value, response) = self.read_answered(offset);
        assert_eq!(response, OKAY);
        value
    }

    /// A read, and how it was answered.
    pub fn read_answered(&mut self, offset: u32) -> (u32, u64) {
        self.sim.set("s_axil_arvalid", 1);
        self.sim.set("s_axil_araddr", offset.into());
        self.sim.set("s_axil_rready", 1);
        while self.sim.get("s_axil_arready") == 0 {
            self.step();
        }
        self.step();
        self.sim.set("s_axil_arvalid", 0);
        while self.sim.get("s_axil_rvalid") == 0 {
            self.step();
        }
        let value = self.sim.get("s_axil_rdata") as u32;
        let response = self.sim.get("s_axil_rresp");
        self.step();
        (value, response)
    }

    pub fn window(&mut self, table: u32, row: u32, code: u32, value: &Row) -> Row {
        let wide = bits(value).resize(512);
        let address = map::WINDOW_ADDRESS.with(0, "row", row);
        self.write(
            map::WINDOW_ADDRESS.offset,
            map::WINDOW_ADDRESS.with(address, "table", table),
        );
        if code == op::WRITE {
            for i in 0..16 {
                self.write(
                    map::WINDOW_DATA.at(i),
                    wide.slice(32 * i, 32).low_u64() as u32,
                );
            }
        }
        self.write(map::WINDOW_COMMAND.offset, code);
        while self.read(map::WINDOW_STATE.offset) != 0 {}
        let words: Vec<u64> = (0..8)
            .map(|i| {
                let low = u64::from(self.read(map::WINDOW_DATA.at(2 * i)));
                low | u64::from(self.read(map::WINDOW_DATA.at(2 * i + 1))) << 32
            })
            .collect();
        let width = if table == seqnic_spec::tables::Table::Action as u32 && row < 64 {
            self.g.row_bits(seqnic_spec::tables::Table::Action)
        } else if value.width() == 512 && row == 3 {
            self.g.row_bits(seqnic_spec::tables::Table::Rewrite)
        } else {
            512
        };
        Row::from_words(width, &words)
    }

    fn status_at(ring: Ring) -> u64 {
        STATUS_AT + 64 * ring as u64
    }

    pub fn status(&mut self, ring: Ring) -> Status {
        let line = self.inside(Bench::status_at(ring), 64).unwrap();
        let field = |name| read(line, &STATUS, 0, name) as u32;
        Status {
            index: field("index"),
            records: field("records"),
            error: field("error"),
        }
    }

    pub fn start(&mut self, ring: Ring, log2: u32) {
        self.start_at(
            ring,
            MEMORY + RING_BYTES * ring as u64,
            Bench::status_at(ring),
            log2,
        );
    }

    pub fn start_at(&mut self, ring: Ring, base: u64, status: u64, log2: u32) {
        let r = ring as u32;
        if let Some(line) = self.inside(Bench::status_at(ring), 64) {
            line.fill(0);
        }
        self.stop(ring);
        for (register, value) in [
            (&map::RING_BASE_LOW, base as u32),
            (&map::RING_BASE_HIGH, (base >> 32) as u32),
            (&map::RING_STATUS_LOW, status as u32),
            (&map::RING_STATUS_HIGH, (status >> 32) as u32),
            (&map::RING_SIZE, log2),
            (&map::RING_CONTROL, 1),
        ] {
            self.write(register.at(r), value);
        }
        self.sides[r as usize] = Side {
            base,
            log2,
            index: 0,
        };
    }

    pub fn stop(&mut self, ring: Ring) {
        self.write(map::RING_CONTROL.at(ring as u32), 0);
        for n in 0.. {
            let state = self.read(map::RING_STATE.at(ring as u32));
            if map::RING_STATE.get(state, "busy") == 0 {
                break;
            }
            assert!(n < 2000, "the ring does not stop");
        }
    }

    /// Rings are gone, after a reset.
    pub fn forget(&mut self) {
        self.sides = Default::default();
        self.interrupts.clear();
    }

    pub fn doorbell(&mut self, ring: Ring, index: u32, arm: bool) {
        let value = map::DOORBELL.with(0, "index", index);
        self.write(
            map::DOORBELL.at(ring as u32),
            map::DOORBELL.with(value, "arm", arm.into()),
        );
    }

    pub fn arm(&mut self, ring: Ring) {
        self.doorbell(ring, self.sides[ring as usize].index, true);
    }

    pub fn produced(&self, ring: Ring) -> u32 {
        self.sides[ring as usize].index
    }

    fn line_at(&self, ring: Ring, index: u32) -> u64 {
        let side = self.sides[ring as usize];
        side.base + u64::from(index & ((1 << side.log2) - 1)) * 64
    }

    /// All records the card has published since it was asked last.
    pub fn consume(&mut self, ring: Ring) -> Vec<Record> {
        let end = self.status(ring).index;
        let mut at = self.sides[ring as usize].index;
        assert!(ahead(at, end) <= 1 << self.sides[ring as usize].log2);
        let mut records = vec![];
        while at != end {
            let take = |bench: &mut Bench, index| {
                let address = bench.line_at(ring, index);
                bench.inside(address, 64).unwrap().to_vec()
            };
            let header = take(self, at);
            let field = |name| read(&header, &TO_HOST, 0, name);
            let (n, length) = (field("lines") as u32, field("length") as usize);
            assert_eq!(lines(length as u32), n);
            let mut payload: Vec<u8> = (1..=n).flat_map(|i| take(self, at + i)).collect();
            payload.truncate(length);
            records.push(Record {
                kind: field("kind"),
                sequence: field("sequence") as u32,
                payload,
                header,
            });
            at = (at + 1 + n) & ((1 << INDEX_BITS) - 1);
        }
        self.sides[ring as usize].index = at;
        self.doorbell(ring, at, false);
        records
    }

    fn produce(&mut self, ring: Ring, record: &[u8]) {
        let n = (record.len() / 64) as u32;
        let index = self.sides[ring as usize].index;
        for waited in 0.. {
            if ahead(self.status(ring).index, index + n) <= 1 << self.sides[ring as usize].log2 {
                break;
            }
            self.run(20);
            assert!(waited < 5000, "the ring is full for ever");
            if waited > 3000 {
                self.stalls = 0;
            }
        }
        for (i, line) in record.chunks(64).enumerate() {
            let address = self.line_at(ring, index + i as u32);
            self.inside(address, 64).unwrap().copy_from_slice(line);
        }
        let next = (index + n) & ((1 << INDEX_BITS) - 1);
        self.sides[ring as usize].index = next;
        self.doorbell(ring, next, false);
    }

    /// Stops and starts the ring again with its memory, and tells only the first lines of what is there.
    pub fn take_back(&mut self, ring: Ring, index: u32) {
        let side = self.sides[ring as usize];
        self.idle();
        self.sent.iter_mut().for_each(Vec::clear);
        self.start(ring, side.log2);
        self.doorbell(ring, index, false);
    }

    pub fn command(&mut self, code: u32, table: u32, row: u32, cookie: u32, value: &Row) {
        let mut record = vec![0u8; 128];
        for (name, value) in [
            ("op", code),
            ("table", table),
            ("row", row),
            ("cookie", cookie),
        ] {
            write(&mut record, &COMMAND, 0, name, value.into());
        }
        for (to, from) in record[64..].iter_mut().zip(value.bytes()) {
            *to = from;
        }
        self.produce(Ring::Commands, &record);
    }

    pub fn transmit(&mut self, way: u32, port: u32, frame: &[u8]) {
        let mut record = vec![0u8; 64 * (1 + lines(frame.len() as u32)) as usize];
        for (name, value) in [
            ("length", frame.len() as u32),
            ("mode", way),
            ("port", port),
        ] {
            write(&mut record, &TRANSMIT, 0, name, value.into());
        }
        record[64..64 + frame.len()].copy_from_slice(frame);
        self.produce(Ring::Transmit, &record);
    }

    /// Queues a frame at a port.
    pub fn send(&mut self, port: u32, frame: &[u8]) {
        let chunks: Vec<_> = frame.chunks(self.g.bus_bytes as usize).collect();
        for (i, chunk) in chunks.iter().enumerate() {
            self.arriving[port as usize].push_back((chunk.to_vec(), i + 1 == chunks.len()));
        }
    }

    pub fn function_reset(&mut self) {
        self.sim.set("flr", 1);
        self.step();
        self.sim.set("flr", 0);
    }

    /// Something else in the host's memory.
    pub fn scribble(&mut self, random: &mut Random) {
        for _ in 0..20 {
            let at = random.below(MEMORY_BYTES as u64 / 64) as usize * 64;
            let word = random.word() & random.word();
            self.memory[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
    }
}
