//! The device as what a daemon needs of a card.

use crate::device::Device;
use crate::error::Error;
use crate::packet::Way;
use seqnic_card::{Card, CardError, Event, FromHost, Identity, Link, Repair, Snapshot, ToHost};
use seqnic_compiler::delta::{Delta, Word};
use seqnic_image::Image;
use seqnic_spec::tables::Table;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Packets taken of a ring at a time: then the next ring has its turn.
const TURN: usize = 64;
/// How often the card is asked whether it is well while somebody waits for an event.
const LOOK: Duration = Duration::from_millis(50);

impl From<Error> for CardError {
    fn from(error: Error) -> CardError {
        match error {
            Error::Geometry { card, tables } => CardError::Geometry {
                card,
                asked: tables,
            },
            Error::NoRow { table, row, rows } => CardError::NoRow { table, row, rows },
            Error::NoPort { port, ports } => CardError::NoPort { port, ports },
            Error::FrameLength { bytes } => CardError::FrameLength { bytes },
            Error::Drain { after } => CardError::Drain {
                ms: after.as_millis(),
            },
            other => CardError::Failed(other.to_string()),
        }
    }
}

/// A link of the card as the daemon sees it. The card cannot tell a port that is not connected from one whose other end is
/// off.
pub(crate) fn link(up: bool) -> Link {
    match up {
        true => Link::Up,
        false => Link::Down,
    }
}

impl Card for Device {
    fn identity(&self) -> Identity {
        let identity = self.identity();
        let hex = |sha: [u8; 20]| sha.iter().map(|b| format!("{b:02x}")).collect();
        Identity {
            name: identity.card.clone(),
            geometry: identity.geometry,
            spec_version: identity.spec_version,
            source: identity.source.map_or(String::new(), hex),
        }
    }

    fn load(&self, image: &Image) -> Result<(), CardError> {
        Device::load(self, image)?;
        Ok(())
    }

    fn write(&self, words: &[Word]) -> Result<(), CardError> {
        Ok(Device::write(self, words)?)
    }

    fn drain(&self, timeout: Duration) -> Result<(), CardError> {
        Ok(Device::drain(self, timeout)?)
    }

    fn apply(&self, delta: &Delta) -> Result<(), CardError> {
        Ok(Device::apply(self, delta)?)
    }

    fn read(&self, table: Table, rows: Range<u32>) -> Result<Vec<u64>, CardError> {
        Ok(Device::read(self, table, rows)?)
    }

    fn read_back(&self) -> Result<Image, CardError> {
        Ok(self.adopt()?)
    }

    fn counters(&self) -> Result<Snapshot, CardError> {
        let taken = self.snapshot()?;
        let rows = taken.rows.into_iter();
        let snapshot = Snapshot {
            time: taken.time,
            rows: rows.map(|(set, row, count)| ((set, row), count)).collect(),
        };
        Ok(snapshot)
    }

    fn receive(&self, out: &mut Vec<ToHost>, wait: Duration) -> Result<(), CardError> {
        let until = Instant::now() + wait;
        loop {
            let count = Device::receive(self, TURN, |p| {
                out.push(ToHost {
                    reason: p.reason,
                    time: p.time,
                    port: p.port,
                    interface: p.interface,
                    sender: p.sender,
                    class: p.class,
                    frame: p.frame.to_vec(),
                });
            })?;
            let left = until.saturating_duration_since(Instant::now());
            if count > 0 || left.is_zero() {
                return Ok(());
            }
            self.wait(left)?;
        }
    }

    fn send(&self, frames: &[FromHost]) -> Result<usize, CardError> {
        let frames = frames.iter().map(|f| {
            let way = match f.way {
                seqnic_card::Way::Out => Way::Out,
                seqnic_card::Way::In => Way::In,
            };
            (way, f.port, &f.frame[..])
        });
        Ok(Device::send(self, frames)?)
    }

    fn link(&self, port: u8) -> Link {
        match u32::from(port) < self.identity().geometry.ports {
            true => link(Device::link(self, port)),
            false => Link::None,
        }
    }

    fn scrub(&self, rows: u32) -> Result<Vec<Repair>, CardError> {
        Ok(Device::scrub(self, rows)?)
    }

    /// What is wrong with the card, once; then nothing any more, it has to be opened anew.
    fn event(&self, wait: Duration) -> Option<Event> {
        let until = Instant::now() + wait;
        loop {
            if let Some((port, up)) = self.link_change() {
                let link = link(up);
                return Some(Event::Link { port, link });
            }
            match self.check() {
                Ok(()) => {}
                Err(Error::Transport(seqnic_transport::Error::Reset { .. })) => {
                    return Some(Event::Reset);
                }
                Err(Error::Ended { what, .. }) if self.tell_once() => {
                    return Some(Event::Gone { why: what });
                }
                Err(Error::Ended { .. }) => {}
                Err(e) => {
                    self.tell_once();
                    return Some(Event::Gone { why: e.to_string() });
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}
