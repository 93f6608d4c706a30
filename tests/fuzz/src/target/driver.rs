//! The driver on a card that lies: ring memory and registers of any bytes while it is in use.
//!
//! An input is a list of steps: lies in memory (place of a line, length, bytes), in registers, and calls of the driver.

use super::{Input, Target};
use crate::cases;
use seqnic_compiler::delta::Word;
use seqnic_device::{Device, Options};
use seqnic_faults::{Fault, Faulty};
use seqnic_pci::Direct;
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::host::pci::BAR_REGISTERS;
use seqnic_spec::host::registers as reg;
use seqnic_spec::tables::Table;
use std::sync::Arc;
use std::time::Duration;

pub const TARGET: Target = Target {
    name: "driver",
    seeds,
    run,
};

/// A card that hangs is noticed after so long; an input may have several of them.
const TIMEOUT: Duration = Duration::from_millis(2);

/// A step, by its first byte.
mod step {
    pub const ARRIVE: u8 = 0;
    pub const MEMORY: u8 = 1;
    pub const REGISTER: u8 = 2;
    pub const RECEIVE: u8 = 3;
    pub const SEND: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const SNAPSHOT: u8 = 7;
    pub const CHECK: u8 = 8;
    pub const FAULT: u8 = 9;
    pub const STEPS: u8 = 10;
}

fn seeds() -> Vec<Vec<u8>> {
    let frame = &cases::all()[0].frames[0].bytes;
    let mut arrive = vec![step::ARRIVE, 1, frame.len() as u8];
    arrive.extend(frame.iter().take(usize::from(frame.len() as u8)));
    let lie = |line: u16, bytes: &[u8]| {
        let mut seed = arrive.clone();
        seed.push(step::MEMORY);
        seed.extend(line.to_le_bytes());
        seed.push(bytes.len() as u8);
        seed.extend(bytes);
        seed.push(step::RECEIVE);
        seed
    };
    let mut seeds = vec![[arrive.as_slice(), &[step::RECEIVE, step::CHECK]].concat()];
    // Status lines stand behind the rings, or in front: either is among these.
    for line in (0..8).chain((1..9).map(|ring| ring * 512)) {
        seeds.push(lie(line, &[1, 2, 60, 0, 0, 0, 0, 0]));
        seeds.push(lie(line, &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]));
    }
    for call in [step::SNAPSHOT, step::CHECK] {
        seeds.push(vec![call]);
    }
    seeds.push(vec![
        step::SEND,
        0,
        1,
        60,
        step::READ,
        3,
        0,
        4,
        step::WRITE,
        3,
        0,
        0,
    ]);
    for fault in 0..8 {
        seeds.push(vec![step::FAULT, fault, 3, step::CHECK, step::SNAPSHOT]);
    }
    for n in 0..reg::ALL.len() as u8 {
        seeds.push(vec![
            step::REGISTER,
            n,
            0,
            0xff,
            0xff,
            0,
            0,
            step::CHECK,
            step::RECEIVE,
        ]);
    }
    seeds
}

fn fault(which: u8, after: u8) -> (u64, Fault) {
    let fault = match which % 7 {
        0 => Fault::Gone,
        1 => Fault::Lost,
        2 => Fault::Silent,
        3 => Fault::Frozen,
        4 => Fault::Deaf,
        5 => Fault::Flipped(u32::from(after)),
        _ => Fault::NoReset,
    };
    (after.into(), fault)
}

struct Rig {
    card: Arc<Direct<SoftCard>>,
    faulty: Arc<Faulty>,
    device: Device,
}

impl Rig {
    /// One step; `None`: the input is at its end. That a call fails is right, on such a card.
    fn step(&mut self, input: &mut Input) -> Option<()> {
        match input.byte()? % step::STEPS {
            step::ARRIVE => {
                let port = input.byte()? % EDGE.ports as u8;
                let length = input.byte()?;
                let frame = input.bytes(length.into());
                let mut function = self.card.lock();
                if !frame.is_empty() {
                    function.card.arrive(port, frame);
                }
                while function.work() {}
            }
            step::MEMORY => {
                let line = usize::from(input.short()?);
                let length = input.byte()?;
                let bytes = input.bytes(length.into());
                // All lent memory as one.
                let mut at = line * 64;
                for (_, memory) in self.faulty.memory() {
                    if at + bytes.len() <= memory.length() {
                        memory.write(at, bytes);
                        break;
                    }
                    at = at.saturating_sub(memory.length());
                }
            }
            step::REGISTER => {
                let register = reg::ALL[usize::from(input.byte()?) % reg::ALL.len()];
                let i = u32::from(input.byte()?) % register.count;
                let value = input.word()?;
                self.faulty
                    .set_register(BAR_REGISTERS, register.at(i).into(), value);
            }
            step::RECEIVE => {
                let mut bytes = 0;
                let _said = self
                    .device
                    .receive(64, |packet| bytes += packet.frame.len());
            }
            step::SEND => {
                let way = match input.byte()? & 1 {
                    0 => seqnic_device::Way::Out,
                    _ => seqnic_device::Way::In,
                };
                let (port, length) = (input.byte()?, usize::from(input.byte()?));
                let frame = vec![0x5a; length];
                let _said = self.device.send([(way, port, frame.as_slice())]);
                let _said = self.device.nudge();
            }
            step::READ => {
                let table = Table::ALL[usize::from(input.byte()?) % Table::ALL.len()];
                let first = u32::from(input.byte()?);
                let rows = first..first + u32::from(input.byte()?) % 32;
                let _said = self.device.read(table, rows);
            }
            step::WRITE => {
                let table = Table::ALL[usize::from(input.byte()?) % Table::ALL.len()];
                let word = Word {
                    table,
                    row: input.short()?.into(),
                    was: vec![],
                    now: vec![1; EDGE.row_bits(table).div_ceil(64) as usize],
                };
                let _said = self.device.write(&[word]);
            }
            step::SNAPSHOT => {
                let _said = self.device.snapshot();
            }
            step::CHECK => {
                let _said = self.device.check();
                let _said = self.device.time();
                let _said = self.device.link_change();
            }
            _ => {
                let (after, fault) = fault(input.byte()?, input.byte()?);
                self.faulty.set_after(after, fault);
            }
        }
        Some(())
    }
}

fn run(input: &[u8]) -> bool {
    let card = Arc::new(Direct::new("memory", SoftCard::new(&EDGE)));
    let faulty = Arc::new(Faulty::new(card.clone()));
    let options = Options {
        ring_log2: [9; 7],
        timeout: TIMEOUT,
        ..Options::default()
    };
    let device = Device::open(faulty.clone(), options).expect("nothing is broken yet");
    let mut rig = Rig {
        card,
        faulty,
        device,
    };
    let mut input = Input(input);
    let mut steps = 0;
    while steps < 24 && rig.step(&mut input).is_some() {
        steps += 1;
    }
    drop(rig);
    true
}
