//! The card in memory under a driver that does anything: registers, ring memory, doorbells, frames, resets.
//!
//! An input is a list of steps ([`Step`]), each a byte and what it needs.

use super::{Input, Target};
use crate::cases;
use seqnic_pci::{Card, Function};
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::host::pci::BAR_REGISTERS;
use seqnic_spec::host::registers as reg;
use seqnic_spec::host::rings::{COMMAND, Ring, TRANSMIT, mode};
use seqnic_spec::layout::Row;
use seqnic_transport::{Memory, Pages};
use std::sync::Arc;

pub const TARGET: Target = Target {
    name: "card",
    seeds,
    run,
};

/// Where memory is mapped: the rings one behind the other, then their status lines; nothing around it.
const BASE: u64 = 0x10_0000;
const LOG2: u32 = 9;
const RING_BYTES: u64 = 64 << LOG2;
const STATUS: u64 = BASE + RING_BYTES * Ring::ALL.len() as u64;
const BYTES: usize = (STATUS - BASE) as usize + 4096;

/// Pieces of work the card may need for what one step set off: 512 lines are 512 records at most, for each ring.
const PATIENCE: usize = 20_000;

/// A step, and the bytes behind it: register (a byte each for which and for which of them) and value; place of a line in
/// memory (16 bits) and its first bytes (length, bytes); ring and index; port, length (16 bits), frame; nothing; a raw
/// offset and value.
mod step {
    pub const WRITE: u8 = 0;
    pub const READ: u8 = 1;
    pub const MEMORY: u8 = 2;
    pub const DOORBELL: u8 = 3;
    pub const ARRIVE: u8 = 4;
    pub const RESET: u8 = 5;
    pub const RAW: u8 = 6;
    pub const LINK: u8 = 7;
    pub const STEPS: u8 = 8;
}

fn line(ring: Ring, n: u64) -> [u8; 2] {
    let at = ring as u64 * (RING_BYTES / 64) + n;
    (at as u16).to_le_bytes()
}

fn memory(seed: &mut Vec<u8>, at: [u8; 2], bytes: &[u8]) {
    seed.push(step::MEMORY);
    seed.extend(at);
    seed.push(bytes.len() as u8);
    seed.extend(bytes);
}

fn header(layout: &'static seqnic_spec::layout::Layout, fields: &[(&str, u64)]) -> Vec<u8> {
    let mut row = Row::zero(layout.width());
    for (name, value) in fields {
        let (lo, width) = layout.at(name);
        row.set(lo, width, u128::from(*value));
    }
    row.words().iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn doorbell(seed: &mut Vec<u8>, ring: Ring, index: u32) {
    seed.extend([step::DOORBELL, ring as u8]);
    seed.extend(index.to_le_bytes());
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in cases::all().iter().step_by(5) {
        let mut seed = Vec::new();
        for frame in case.frames.iter().take(3) {
            seed.extend([step::ARRIVE, frame.port]);
            seed.extend((frame.bytes.len() as u16).to_le_bytes());
            seed.extend(&frame.bytes);
        }
        doorbell(&mut seed, Ring::Packets0, 0x8000_0002);
        seeds.push(seed);
    }
    for way in [mode::OUT, mode::IN] {
        let mut seed = Vec::new();
        let says = [("length", 60), ("mode", u64::from(way)), ("port", 1)];
        memory(
            &mut seed,
            line(Ring::Transmit, 0),
            &header(&TRANSMIT, &says),
        );
        memory(&mut seed, line(Ring::Transmit, 1), &[0x5a; 60]);
        doorbell(&mut seed, Ring::Transmit, 0x8000_0002);
        seeds.push(seed);
    }
    for (op, table) in [(1, 4), (2, 4), (1, 127), (2, 64)] {
        let mut seed = Vec::new();
        let says = [("op", op), ("table", table), ("row", 3), ("cookie", 9)];
        memory(&mut seed, line(Ring::Commands, 0), &header(&COMMAND, &says));
        memory(&mut seed, line(Ring::Commands, 1), &[1; 64]);
        doorbell(&mut seed, Ring::Commands, 2);
        doorbell(&mut seed, Ring::Answers, 0x8000_0000);
        seeds.push(seed);
    }
    for n in 0..reg::ALL.len() as u8 {
        let mut seed = vec![step::WRITE, n, 0];
        seed.extend(1u32.to_le_bytes());
        seed.extend([step::READ, n, 0, step::RESET, step::LINK, 1, 0]);
        seeds.push(seed);
    }
    seeds
}

struct Rig {
    function: Function<SoftCard>,
    memory: Arc<Memory>,
}

impl Rig {
    fn new() -> Rig {
        let memory = Memory::new(BYTES, Pages::Small).expect("memory for the card");
        let mut rig = Rig {
            function: Function::new(SoftCard::new(&EDGE)),
            memory: Arc::new(memory),
        };
        rig.function
            .host
            .map(BASE, rig.memory.clone())
            .expect("nothing is mapped yet");
        for ring in Ring::ALL.map(|r| r as u32) {
            let base = BASE + RING_BYTES * u64::from(ring);
            let status = STATUS + 64 * u64::from(ring);
            rig.write(reg::RING_BASE_LOW.at(ring), base as u32);
            rig.write(reg::RING_STATUS_LOW.at(ring), status as u32);
            rig.write(reg::RING_SIZE.at(ring), LOG2);
            rig.write(reg::RING_CONTROL.at(ring), 1);
        }
        rig.write(reg::ENABLE.at(0), 0xff);
        rig
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.function
            .bar_write(BAR_REGISTERS, offset.into(), &value.to_le_bytes());
    }

    fn read(&mut self, offset: u32) {
        self.function
            .bar_read(BAR_REGISTERS, offset.into(), &mut [0; 4]);
    }

    fn work(&mut self) {
        let mut left = PATIENCE;
        while self.function.work() {
            left -= 1;
            assert!(left > 0, "the card never has enough");
        }
    }

    /// One step; `None`: the input is at its end.
    fn step(&mut self, input: &mut Input) -> Option<()> {
        let register = |input: &mut Input| {
            let register = reg::ALL[usize::from(input.byte()?) % reg::ALL.len()];
            let i = u32::from(input.byte()?) % register.count;
            Some(register.at(i))
        };
        match input.byte()? % step::STEPS {
            step::WRITE => {
                let offset = register(input)?;
                self.write(offset, input.word()?);
            }
            step::READ => {
                let offset = register(input)?;
                self.read(offset);
            }
            step::MEMORY => {
                let at = usize::from(input.short()?) * 64 % BYTES;
                let length = usize::from(input.byte()?);
                let bytes = input.bytes(length.min(BYTES - at));
                self.memory.write(at, bytes);
            }
            step::DOORBELL => {
                let ring = u32::from(input.byte()?) % Ring::ALL.len() as u32;
                self.write(reg::DOORBELL.at(ring), input.word()?);
            }
            step::ARRIVE => {
                let port = input.byte()? % EDGE.ports as u8;
                let length = usize::from(input.short()?) % 9217;
                let frame = input.bytes(length);
                if !frame.is_empty() {
                    self.function.card.arrive(port, frame);
                }
            }
            step::RESET => self.function.reset(),
            step::RAW => {
                let offset = input.short()?.into();
                self.write(offset, input.word()?);
                self.read(offset);
            }
            _ => {
                let port = input.byte()? % EDGE.ports as u8;
                self.function.card.set_link(port, input.byte()? & 1 == 1);
            }
        }
        Some(())
    }
}

fn run(input: &[u8]) -> bool {
    let mut rig = Rig::new();
    let mut input = Input(input);
    while rig.step(&mut input).is_some() {
        rig.work();
    }
    // Whatever was done to it, a reset brings it back.
    rig.function.reset();
    rig.work();
    let state = rig
        .function
        .card
        .read32(reg::CARD_STATE.at(0), &mut rig.function.host);
    assert_eq!(state & 1, 0, "the reset does not end");
    rig.memory.clear(0, BYTES);
    rig.work();
    let mut after = vec![0; BYTES];
    rig.memory.read(0, &mut after);
    assert!(
        after.iter().all(|b| *b == 0),
        "memory is written behind a reset"
    );
    true
}
