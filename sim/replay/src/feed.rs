//! Packets to an engine, batch by batch.
//!
//! An engine may hold packets back and the number of copies of a packet is its secret, so the only
//! time at which all of a packet has surely come out is after a drain. A batch is what goes in
//! between two drains: its packets are all that is ever remembered.

use crate::error::{CaptureError, ReplayError};
use crate::merge::{Merge, Packet};
use seqnic_engine::{CounterKey, Counters, Engine, FrameIn, Output};
use seqnic_image::names::InterfaceName;
use seqnic_spec::reason::Reason;
use std::collections::HashMap;

/// Packets between two drains of the engine.
const BATCH_PACKETS: usize = 4096;
/// Bytes after which a batch of long packets ends.
const BATCH_BYTES: usize = 4 << 20;

/// Consecutive packets of the merged stream.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    packets: Vec<Packet>,
}

impl Batch {
    /// A batch of `packets`, whose ids must rise by one.
    pub fn new(packets: Vec<Packet>) -> Batch {
        debug_assert!(packets.windows(2).all(|w| w[0].id + 1 == w[1].id));
        Batch { packets }
    }

    /// The next batch of `merge`, empty at its end.
    ///
    /// # Errors
    /// Those of [`Merge::next_packet`].
    pub fn next(merge: &mut Merge) -> Result<Batch, CaptureError> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.packets.len() < BATCH_PACKETS && bytes < BATCH_BYTES {
            let Some(packet) = merge.next_packet()? else {
                break;
            };
            bytes += packet.frame.len();
            batch.packets.push(packet);
        }
        Ok(batch)
    }

    pub fn packets(&self) -> &[Packet] {
        &self.packets
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Place of packet `id`.
    fn place(&self, id: u64) -> Option<usize> {
        let first = self.packets.first()?.id;
        let place = usize::try_from(id.checked_sub(first)?).ok()?;
        (place < self.packets.len()).then_some(place)
    }

    /// Packet `id`.
    pub fn packet(&self, id: u64) -> Option<&Packet> {
        self.place(id).map(|i| &self.packets[i])
    }
}

/// An engine that is fed and watched.
pub struct Feed<'a> {
    engine: &'a mut dyn Engine,
    interfaces: &'a [InterfaceName],
    /// Port of each input.
    ports: Vec<u8>,
    /// Time of the last packet, ns.
    last: Option<u64>,
    /// Packets nothing came out for.
    silent: u64,
}

impl<'a> Feed<'a> {
    /// `ports` has the port of each input, see [`ports`].
    pub fn new(
        engine: &'a mut dyn Engine,
        interfaces: &'a [InterfaceName],
        ports: Vec<u8>,
    ) -> Feed<'a> {
        Feed {
            engine,
            interfaces,
            ports,
            last: None,
            silent: 0,
        }
    }

    /// Name of the engine.
    pub fn name(&self) -> &'static str {
        self.engine.name()
    }

    /// Hands a batch over and waits for all that becomes of it: by packet; the copies of one packet
    /// by interface, then by their bytes.
    ///
    /// # Errors
    /// The engine fails, invents packets or changes the order of packets that have the same way.
    pub fn feed(&mut self, batch: &Batch) -> Result<Vec<Output>, ReplayError> {
        let mut out = Vec::new();
        let mut last = 0;
        for packet in batch.packets() {
            if packet.undelivered().is_some() {
                continue;
            }
            last = packet.id;
            // Captures may have several packets in one ns; engines are given one.
            let captured = packet.time.total_nanoseconds();
            let time = self.last.map_or(captured, |last| captured.max(last + 1));
            self.last = Some(time);
            let frame = FrameIn {
                id: packet.id,
                time,
                port: self.ports[packet.input],
                frame: &packet.frame,
            };
            self.engine
                .push(frame, &mut out)
                .map_err(|error| ReplayError::Engine { id: last, error })?;
        }
        self.engine
            .drain(&mut out)
            .map_err(|error| ReplayError::Engine { id: last, error })?;
        self.watch(batch, &out)?;
        out.sort_by(|a, b| a.id().cmp(&b.id()).then_with(|| a.cmp(b)));
        Ok(out)
    }

    /// Checks what sorting would hide: order, strangers, packets without a trace.
    fn watch(&mut self, batch: &Batch, out: &[Output]) -> Result<(), ReplayError> {
        let engine = self.engine.name();
        let mut traced = vec![false; batch.packets().len()];
        // Outputs have queues by priority, and keep the order in each.
        let mut last: HashMap<(u8, Option<u32>, u8), u64> = HashMap::new();
        for output in out {
            let id = output.id();
            let place = batch
                .place(id)
                .filter(|i| batch.packets()[*i].undelivered().is_none())
                .ok_or(ReplayError::Stray { engine, id })?;
            traced[place] = true;
            let port = self.ports[batch.packets()[place].input];
            let (interface, priority) = match output {
                Output::Sent(s) => (Some(s.interface), s.priority),
                Output::Host(h) => {
                    if let Some(interface) = h.interface {
                        self.interface(interface, id)?;
                    }
                    (None, h.priority)
                }
            };
            let to = match interface {
                Some(interface) => self.interface(interface, id)?,
                None => "host",
            };
            let before = last.insert((port, interface, priority), id).unwrap_or(0);
            if before > id {
                return Err(ReplayError::Reordered {
                    engine,
                    port,
                    to: to.to_string(),
                    earlier: id,
                    later: before,
                });
            }
        }
        let delivered = batch.packets().iter().map(|p| p.undelivered().is_none());
        self.silent += delivered
            .zip(traced)
            .filter(|(delivered, traced)| *delivered && !traced)
            .count() as u64;
        Ok(())
    }

    fn interface(&self, number: u32, id: u64) -> Result<&str, ReplayError> {
        match self.interfaces.get(number as usize) {
            Some(interface) => Ok(&interface.name),
            None => Err(ReplayError::NoSuchInterface {
                engine: self.engine.name(),
                id,
                interface: number,
                interfaces: self.interfaces.len(),
            }),
        }
    }

    /// The counters, once everything has been fed.
    ///
    /// # Errors
    /// The engine fails, or packets left no trace that it did not count as dropped at an output or by a limit.
    pub fn finish(self) -> Result<Counters, ReplayError> {
        let counters = self
            .engine
            .counters()
            .map_err(|error| ReplayError::Counters { error })?;
        let of = |reason| {
            let count = counters.0.get(&CounterKey::Reason(reason));
            count.map_or(0, |c| c.packets)
        };
        let dropped = of(Reason::OutputFull) + of(Reason::HostLimited);
        if self.silent > dropped {
            return Err(ReplayError::Vanished {
                engine: self.engine.name(),
                silent: self.silent,
                dropped,
            });
        }
        Ok(counters)
    }
}

/// Port of each input, by the name of its interface.
///
/// # Errors
/// There is no interface of that name.
pub fn ports<'a>(
    interfaces: &[InterfaceName],
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<u8>, ReplayError> {
    names
        .into_iter()
        .map(|name| {
            let found = interfaces.iter().find(|i| i.name == name);
            found
                .map(|i| i.port)
                .ok_or_else(|| ReplayError::UnknownInterface {
                    name: name.to_string(),
                    known: known(interfaces),
                })
        })
        .collect()
}

fn known(interfaces: &[InterfaceName]) -> String {
    if interfaces.is_empty() {
        return "none".to_string();
    }
    let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
    names.join(", ")
}
