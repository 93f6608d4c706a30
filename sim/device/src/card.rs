//! The card: clocks, time, and frames between the model and the ports.

use crate::error::DeviceError;
use crate::port::Output;
use crate::shim::Shim;
use crate::time::CardTime;
use seqnic_pci::{Card, Host};
use seqnic_pipeline::host::card;
use seqnic_spec::geometry::Geometry;
use seqnic_verilated::{
    RtlError,
    library::{Text, Top, Wave, build_top, port_names},
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const SHIM: &str = include_str!("shim.cpp");

/// Clocks in one piece of work: others wait for the card that long.
const PIECE: u64 = 64;
/// Clocks in which a ring lets go of the host's memory after a reset: the transfers under way.
const LET_GO: u64 = 100_000;

/// Where the card's time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The host's time (ns since 1970), whatever the clocks take: timers and rates are those of the world around, the card
    /// is as slow as the simulation.
    Real,
    /// A clock takes so many ns, from 0 on: the time of a card at that frequency. It stands still while nothing
    /// is going on.
    Clocks,
    /// A time shared with the host around, in which a clock takes so many ns and the simulation takes none.
    Shared(Arc<CardTime>),
}

/// The verilated card.
pub struct SimCard {
    shim: Shim,
    outputs: Vec<Output>,
    clock: Clock,
    clock_ns: u32,
    /// The host's time when the card was started.
    start: (Instant, u64),
    active: bool,
    /// A register access was not answered: the card is gone.
    dead: bool,
}

impl std::fmt::Debug for SimCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimCard at clock {}", self.shim.clock())
    }
}

impl SimCard {
    /// Builds (or finds) the simulator and starts a card with empty tables. `outputs`: where the frames of each
    /// port go; the missing ones are thrown away. `clock_ns`: what a clock takes, where the time is not the host's.
    ///
    /// # Errors
    /// The simulator cannot be built or loaded.
    pub fn start(
        geometry: &'static Geometry,
        outputs: Vec<Output>,
        clock: Clock,
        clock_ns: u32,
        wave: Option<&Path>,
        progress: &mut dyn FnMut(&str),
    ) -> Result<SimCard, DeviceError> {
        let module = card::build(geometry).map_err(|e| RtlError::Generate {
            geometry: geometry.name,
            what: e.to_string(),
        })?;
        let streams = port_names(geometry);
        let top = Top {
            geometry,
            module: &module,
            shim: SHIM,
            class: "Vseqnic_card",
            streams: &streams,
            text: Text::Simulator,
        };
        let kind = wave.map_or(Ok(Wave::None), Wave::of)?;
        let library = build_top(&top, kind, progress)?;
        let shim = Shim::start(&library, wave, &source_sha())?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or(Duration::ZERO).as_nanos() as u64;
        Ok(SimCard {
            shim,
            outputs,
            clock,
            clock_ns,
            start: (Instant::now(), since),
            active: true,
            dead: false,
        })
    }

    /// Queues a frame at a port. It must have at least one byte.
    pub fn push(&mut self, port: u32, frame: &[u8]) {
        self.shim.push(port, frame);
        self.active = true;
    }

    /// Which ports have a link from now on, a bit a port. None has at the start.
    pub fn link(&mut self, up: u32) {
        self.shim.link(up);
        self.active = true;
    }

    /// Frames at the ports that the card has not taken yet.
    pub fn waiting(&self) -> u64 {
        self.shim.waiting()
    }

    /// Clocks since the start.
    pub fn clocks(&self) -> u64 {
        self.shim.clock()
    }

    /// Clocks in the model, at their time.
    fn clocked<T>(&mut self, what: impl FnOnce(&mut Shim) -> T) -> T {
        let now = match &self.clock {
            Clock::Real => self.start.1 + self.start.0.elapsed().as_nanos() as u64,
            Clock::Clocks => 0,
            Clock::Shared(time) => time.stand().as_nanos() as u64,
        };
        self.shim.time(now, self.clock_ns);
        let before = self.shim.clock();
        let result = what(&mut self.shim);
        if let Clock::Shared(time) = &self.clock {
            let clocks = self.shim.clock() - before;
            time.go_on(Duration::from_nanos(clocks * u64::from(self.clock_ns)));
        }
        result
    }

    /// Sends what has come out: interrupts, frames.
    fn deliver(&mut self, host: &mut Host) {
        while let Some(vector) = self.shim.vector() {
            host.interrupt(vector);
        }
        let outputs = &mut self.outputs;
        while self.shim.pop(|port, frame| {
            if let Some(output) = outputs.get_mut(port as usize) {
                output.send(frame);
            }
        }) {}
    }
}

impl Card for SimCard {
    fn read32(&mut self, offset: u32, host: &mut Host) -> u32 {
        let value = match self.dead {
            true => None,
            false => self.clocked(|shim| shim.read(host, offset)),
        };
        // As a root complex answers for a card that does not.
        self.dead |= value.is_none();
        self.active = true;
        self.deliver(host);
        value.unwrap_or(u32::MAX)
    }

    fn write32(&mut self, offset: u32, value: u32, host: &mut Host) {
        if self.dead {
            return;
        }
        self.clocked(|shim| shim.write(host, offset, value));
        self.active = true;
        self.deliver(host);
    }

    fn reset(&mut self, host: &mut Host) {
        self.clocked(|shim| {
            shim.reset(host);
            // When this returns the memory is the host's alone.
            let state = seqnic_spec::host::registers::CARD_STATE;
            for _ in 0..LET_GO / PIECE {
                shim.run(host, PIECE);
                let value = shim.read(host, state.offset);
                if value.is_none_or(|v| state.get(v, "resetting") == 0) {
                    break;
                }
            }
        });
        self.active = true;
        self.deliver(host);
    }

    fn work(&mut self, host: &mut Host) -> bool {
        if !self.active {
            return false;
        }
        self.active = self.clocked(|shim| shim.run(host, PIECE));
        self.deliver(host);
        self.active
    }
}

/// The commit this was built from, where the build says it (`SEQNIC_SOURCE_SHA`, 40 hex digits); else zeros.
fn source_sha() -> [u8; 20] {
    let mut sha = [0; 20];
    let text = option_env!("SEQNIC_SOURCE_SHA").unwrap_or_default();
    if text.len() == 40 && text.is_ascii() {
        for (i, byte) in sha.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap_or(0);
        }
    }
    sha
}
