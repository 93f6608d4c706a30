//! Simulated cards whose ports are in this process.

use seqnic_pci::{Card, Host};
use seqnic_sim_device::port::Output;
use seqnic_sim_device::{Clock, DeviceError, SimCard};
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::Geometry;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A card with its ports.
pub trait Ports: Card {
    /// A frame arrives at a port; it is taken with the card's next work.
    fn arrive(&mut self, port: u8, frame: &[u8]);

    /// Frames that left the ports since this was last asked.
    fn sent(&mut self) -> Vec<(u8, Vec<u8>)>;

    /// The power fails and comes back: tables are empty, counters 0.
    ///
    /// # Errors
    /// It does not come back.
    fn restart(&mut self) -> Result<(), DeviceError>;
}

/// Somebody at a port with frames of their own.
pub trait Beside: Send {
    /// What they send by now.
    fn due(&mut self, now: Duration) -> Vec<Vec<u8>>;

    /// A frame that left the card; what they answer.
    fn got(&mut self, frame: &[u8]) -> Vec<Vec<u8>>;
}

impl Ports for SoftCard {
    fn arrive(&mut self, port: u8, frame: &[u8]) {
        SoftCard::arrive(self, port, frame);
    }

    fn sent(&mut self) -> Vec<(u8, Vec<u8>)> {
        let sent = SoftCard::sent(self).into_iter();
        sent.map(|out| (out.port, out.frame)).collect()
    }

    fn restart(&mut self) -> Result<(), DeviceError> {
        *self = SoftCard::new(self.datapath.geometry());
        Ok(())
    }
}

/// The verilated card.
#[derive(Debug)]
pub struct Verilated {
    pub card: SimCard,
    made_of: (&'static Geometry, Clock, u32),
    ports: Vec<Receiver<Vec<u8>>>,
}

impl Verilated {
    /// A card with empty tables whose ports have links. `clock_ns`: what a clock takes.
    ///
    /// # Errors
    /// The simulator cannot be built or loaded.
    pub fn start(
        geometry: &'static Geometry,
        clock: Clock,
        clock_ns: u32,
    ) -> Result<Verilated, DeviceError> {
        let (outputs, ports) = (0..geometry.ports)
            .map(|_| {
                let (to, from) = channel();
                (Output::Memory(to), from)
            })
            .unzip();
        let say = &mut |line: &str| eprintln!("{line}");
        let mut card = SimCard::start(geometry, outputs, clock.clone(), clock_ns, None, say)?;
        card.link((1 << geometry.ports) - 1);
        Ok(Verilated {
            card,
            made_of: (geometry, clock, clock_ns),
            ports,
        })
    }
}

impl Card for Verilated {
    fn read32(&mut self, offset: u32, host: &mut Host) -> u32 {
        self.card.read32(offset, host)
    }

    fn write32(&mut self, offset: u32, value: u32, host: &mut Host) {
        self.card.write32(offset, value, host);
    }

    fn reset(&mut self, host: &mut Host) {
        self.card.reset(host);
    }

    fn work(&mut self, host: &mut Host) -> bool {
        self.card.work(host)
    }
}

impl Ports for Verilated {
    fn arrive(&mut self, port: u8, frame: &[u8]) {
        self.card.push(port.into(), frame);
    }

    fn sent(&mut self) -> Vec<(u8, Vec<u8>)> {
        let ports = (0..).zip(&self.ports);
        ports
            .flat_map(|(port, from)| from.try_iter().map(move |frame| (port, frame)))
            .collect()
    }

    fn restart(&mut self) -> Result<(), DeviceError> {
        let (geometry, clock, clock_ns) = self.made_of.clone();
        *self = Verilated::start(geometry, clock, clock_ns)?;
        Ok(())
    }
}
