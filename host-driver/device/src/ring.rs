//! A ring as the driver has it. Every index and every header the card writes is checked before it is used;
//! what cannot be is a lie, and ends the use of the card.

use crate::error::{Error, Result};
use crate::registers::Registers;
use seqnic_spec::host::registers as reg;
use seqnic_spec::host::rings::{INDEX_BITS, LINE_BYTES, Ring, RingError, ahead, lines};
use seqnic_spec::wire::MAX_FRAME_BYTES;
use seqnic_transport::Memory;
use std::sync::Arc;

/// Bytes of a line.
pub const LINE: usize = LINE_BYTES as usize;
/// A line.
pub type Line = [u8; LINE];

const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Places in a status line (`seqnic_spec::host::rings::STATUS`; a test holds them to it).
const STATUS_INDEX: usize = 0;
const STATUS_ERROR: usize = 12;
/// Bytes of payload that are taken at most.
const MOST: usize = MAX_FRAME_BYTES as usize + LINE;

/// A ring's memory and number.
#[derive(Clone)]
pub struct Place {
    pub ring: Ring,
    pub memory: Arc<Memory>,
    /// Where the lines start in the memory.
    pub at: usize,
    pub lines: u32,
    /// Where the status line is.
    pub status: usize,
    pub registers: Registers,
}

impl Place {
    fn byte(&self, index: u32) -> usize {
        self.at + (index & (self.lines - 1)) as usize * LINE
    }

    fn lied(&self, what: String) -> Error {
        Error::Lied {
            card: self.registers.card(),
            ring: self.ring,
            what,
        }
    }

    /// The card's index, if it did not stop the ring.
    fn index(&self) -> Result<u32> {
        let index = self.memory.word(self.status + STATUS_INDEX);
        let error = self.memory.word(self.status + STATUS_ERROR);
        if error != 0 {
            return Err(match RingError::from_code(error) {
                Some(error) => Error::Stopped {
                    card: self.registers.card(),
                    ring: self.ring,
                    error,
                },
                None => self.lied(format!("an error there is not: {error}")),
            });
        }
        if index > INDEX_MASK {
            return Err(self.lied(format!("index {index:#x} has more than {INDEX_BITS} bits")));
        }
        Ok(index)
    }

    fn doorbell(&self, index: u32, arm: bool) -> Result<()> {
        let value = index | u32::from(arm) << 31;
        self.registers
            .write(&reg::DOORBELL, self.ring as u32, value)
    }
}

/// A record that was published.
pub struct Record<'a> {
    pub header: &'a Line,
    /// As long as the header says.
    pub payload: &'a [u8],
}

impl Record<'_> {
    pub fn kind(&self) -> u8 {
        self.header[0]
    }
}

/// A ring the card produces in.
pub struct Consumer {
    pub place: Place,
    consumed: u32,
    seen: u32,
    sequence: u32,
    /// Records the card dropped, by the gaps in their numbers.
    pub lost: u64,
    /// For a payload that goes round the end of the ring.
    round: Vec<u8>,
}

impl Consumer {
    pub fn new(place: Place) -> Consumer {
        Consumer {
            place,
            consumed: 0,
            seen: 0,
            sequence: 0,
            lost: 0,
            round: vec![0; MOST],
        }
    }

    /// Hands `take` the records that are there, `most` at most, and gives their lines back to the card. How many
    /// it were.
    pub fn poll(
        &mut self,
        most: usize,
        mut take: impl FnMut(Record) -> Result<()>,
    ) -> Result<usize> {
        let index = self.place.index()?;
        let new = ahead(self.consumed, index);
        if new > self.place.lines || new < ahead(self.consumed, self.seen) {
            return Err(self.place.lied(format!(
                "index {index} in the status line, when {} was consumed of {} seen, in {} lines",
                self.consumed, self.seen, self.place.lines
            )));
        }
        self.seen = index;
        if new == 0 {
            return Ok(0);
        }
        let mut count = 0;
        let mut done = Ok(());
        while self.consumed != index && count < most {
            match self.one(index, &mut take) {
                Ok(()) => count += 1,
                Err(e) => {
                    done = Err(e);
                    break;
                }
            }
        }
        if count > 0 {
            self.place.doorbell(self.consumed, false)?;
        }
        done.map(|()| count)
    }

    #[inline]
    fn one(&mut self, index: u32, take: &mut impl FnMut(Record) -> Result<()>) -> Result<()> {
        let at = self.place.byte(self.consumed);
        let mut header = [0; LINE];
        // A copy: what was checked is what is used, whatever the card writes meanwhile.
        self.place.memory.read(at, &mut header);
        let payload_lines = u32::from(header[1]);
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let sequence = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let here = ahead(self.consumed, index);
        // A row's payload is one line even where it has no bits.
        let fits = payload_lines < here
            && length <= payload_lines as usize * LINE
            && lines(length as u32) + 1 >= payload_lines
            && length <= MOST;
        let gap = sequence.wrapping_sub(self.sequence);
        if !fits || gap > i32::MAX as u32 {
            return Err(self.place.lied(format!(
                "a record of {length} bytes in {payload_lines} lines with number {sequence}, when number {} and at most {} lines were due",
                self.sequence, here - 1
            )));
        }
        let first = self.place.byte((self.consumed + 1) & INDEX_MASK);
        let end = self.place.at + self.place.lines as usize * LINE;
        let payload = if first + length <= end {
            // SAFETY: the card has published these lines and does not write to them before the doorbell below
            // gives them back; if it breaks that, the frame's bytes are wrong, no more.
            unsafe { self.place.memory.slice(first, length) }
        } else {
            let (head, tail) = self.round[..length].split_at_mut(end - first);
            self.place.memory.read(first, head);
            self.place.memory.read(self.place.at, tail);
            &self.round[..length]
        };
        self.consumed = (self.consumed + 1 + payload_lines) & INDEX_MASK;
        self.sequence = sequence.wrapping_add(1);
        self.lost += u64::from(gap);
        take(Record {
            header: &header,
            payload,
        })
    }

    /// Asks for one interrupt as soon as something is there.
    pub fn arm(&self) -> Result<()> {
        self.place.doorbell(self.consumed, true)
    }
}

/// A ring the driver produces in.
pub struct Producer {
    pub place: Place,
    produced: u32,
    consumed: u32,
    /// What the doorbell does not say yet.
    unsaid: bool,
}

impl Producer {
    pub fn new(place: Place) -> Producer {
        Producer {
            place,
            produced: 0,
            consumed: 0,
            unsaid: false,
        }
    }

    /// Looks how far the card is; whether it has moved.
    pub fn look(&mut self) -> Result<bool> {
        let index = self.place.index()?;
        if ahead(self.consumed, index) > ahead(self.consumed, self.produced) {
            return Err(self.place.lied(format!(
                "it has consumed up to {index} of {} produced, after {}",
                self.produced, self.consumed
            )));
        }
        let moved = index != self.consumed;
        self.consumed = index;
        Ok(moved)
    }

    /// Whether the card has done with everything.
    pub fn done(&self) -> bool {
        self.consumed == self.produced
    }

    pub fn room(&self) -> u32 {
        self.place.lines - ahead(self.consumed, self.produced)
    }

    /// Puts a record; whether there was room. [`Producer::ring`] tells the card.
    pub fn put(&mut self, header: &Line, payload: &[u8]) -> bool {
        let count = 1 + lines(payload.len() as u32);
        if self.room() < count {
            return false;
        }
        let place = &self.place;
        place.memory.write(place.byte(self.produced), header);
        let first = place.byte((self.produced + 1) & INDEX_MASK);
        let end = place.at + place.lines as usize * LINE;
        let (head, tail) = payload.split_at(payload.len().min(end - first));
        place.memory.write(first, head);
        place.memory.write(place.at, tail);
        self.produced = (self.produced + count) & INDEX_MASK;
        self.unsaid = true;
        true
    }

    /// Tells the card what is there.
    pub fn ring(&mut self) -> Result<()> {
        if self.unsaid {
            self.again()?;
        }
        Ok(())
    }

    /// Tells it whether or not it was told.
    pub fn again(&mut self) -> Result<()> {
        self.place.doorbell(self.produced, false)?;
        self.unsaid = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqnic_spec::host::rings::{META_AT, STATUS, TO_HOST};

    #[test]
    fn places_are_those_of_the_spec() {
        assert_eq!(STATUS.at("index"), (8 * STATUS_INDEX as u32, 32));
        assert_eq!(STATUS.at("error"), (8 * STATUS_ERROR as u32, 32));
        let starts = ["kind", "lines", "length", "sequence"].map(|f| TO_HOST.at(f));
        assert_eq!(starts, [(0, 8), (8, 8), (16, 16), (32, 32)]);
        assert_eq!(META_AT, 64);
        assert_eq!(reg::DOORBELL.field("index"), (0, INDEX_BITS));
        assert_eq!(reg::DOORBELL.field("arm"), (31, 1));
    }
}
