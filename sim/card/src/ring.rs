//! One ring: base, size, indexes, and when its vector fires.

use seqnic_pci::{Fault, Host};
use seqnic_spec::host::registers as reg;
use seqnic_spec::host::rings::{
    BASE_ALIGN, INDEX_BITS, LINE_BYTES, LONGEST_RECORD, RingError, SIZE_LOG2, STATUS, ahead, write,
};
use std::collections::VecDeque;

const LINE: u64 = LINE_BYTES as u64;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

/// A ring's registers and state.
#[derive(Debug, Default)]
pub struct Ring {
    pub to_host: bool,
    pub base: u64,
    pub status: u64,
    pub size: u32,
    pub moderation: u32,
    /// Started; what follows was taken then.
    pub enabled: bool,
    pub error: Option<RingError>,
    base_taken: u64,
    status_taken: u64,
    lines: u32,
    /// The card's index: produced (card's rings) or consumed (driver's).
    pub card: u32,
    /// The index of the driver's last doorbell.
    pub driver: u32,
    pub armed: bool,
    /// Records published or consumed since the start.
    records: u32,
    /// Number of the next record, those dropped counted too.
    pub sequence: u32,
    pub dropped: u32,
    /// What the status line does not say yet.
    unsaid: bool,
    /// Records that were published and not consumed: where they end, when they were published.
    waiting: VecDeque<(u32, u64)>,
}

impl Ring {
    pub fn new(to_host: bool) -> Ring {
        Ring {
            to_host,
            ..Ring::default()
        }
    }

    pub fn running(&self) -> bool {
        self.enabled && self.error.is_none()
    }

    /// A write to the control register; whether the ring was stopped with an error.
    pub fn control(&mut self, enable: bool) -> bool {
        if !enable {
            self.enabled = false;
            self.armed = false;
            return false;
        }
        if self.enabled {
            return false;
        }
        *self = Ring {
            to_host: self.to_host,
            base: self.base,
            status: self.status,
            size: self.size,
            moderation: self.moderation,
            enabled: true,
            base_taken: self.base,
            status_taken: self.status,
            ..Ring::default()
        };
        let good = SIZE_LOG2.contains(&self.size)
            && self.base.is_multiple_of(BASE_ALIGN)
            && self.status.is_multiple_of(LINE);
        if good {
            self.lines = 1 << self.size;
        } else {
            self.error = Some(RingError::Config);
        }
        !good
    }

    /// The reset of the host's side.
    pub fn reset(&mut self) {
        *self = Ring::new(self.to_host);
    }

    /// The driver's doorbell; an error stops the ring.
    pub fn doorbell(&mut self, value: u32) -> Result<(), RingError> {
        if !self.running() {
            return Ok(());
        }
        let index = reg::DOORBELL.get(value, "index");
        let good = match self.to_host {
            // Between what was consumed before and what is there.
            true => ahead(self.driver, index) <= ahead(self.driver, self.card),
            // Not behind what was said before, nor more than the ring ahead of what is consumed.
            false => {
                let produced = ahead(self.card, index);
                produced <= self.lines && produced >= ahead(self.card, self.driver)
            }
        };
        if !good {
            return Err(RingError::Index);
        }
        let done = ahead(self.driver, index);
        while let Some((end, _)) = self.waiting.front()
            && self.to_host
            && ahead(self.driver, *end) <= done
        {
            self.waiting.pop_front();
        }
        self.driver = index;
        self.armed = reg::DOORBELL.get(value, "arm") == 1;
        Ok(())
    }

    /// Lines the driver has produced and the card has not consumed (driver's rings).
    pub fn available(&self) -> u32 {
        ahead(self.card, self.driver)
    }

    /// Whether the longest record fits (card's rings).
    pub fn has_room(&self) -> bool {
        self.lines - ahead(self.driver, self.card).min(self.lines) >= LONGEST_RECORD
    }

    fn place(&self, index: u32) -> u64 {
        self.base_taken + u64::from(index % self.lines.max(1)) * LINE
    }

    /// Reads lines from `index` on.
    pub fn read(&self, host: &Host, index: u32, to: &mut [u8]) -> Result<(), Fault> {
        for (n, line) in to.chunks_mut(LINE as usize).enumerate() {
            host.read(self.place(index.wrapping_add(n as u32) & INDEX_MASK), line)?;
        }
        Ok(())
    }

    /// Writes a record at the card's index: its header, its payload; published by [`Ring::say`].
    pub fn produce(
        &mut self,
        host: &Host,
        header: &[u8; LINE as usize],
        payload: &[u8],
        now: u64,
    ) -> Result<(), Fault> {
        let mut at = self.card;
        for line in std::iter::once(&header[..]).chain(payload.chunks(LINE as usize)) {
            let mut whole = [0; LINE as usize];
            whole[..line.len()].copy_from_slice(line);
            host.write(self.place(at), &whole)?;
            at = at.wrapping_add(1) & INDEX_MASK;
        }
        self.card = at;
        self.records = self.records.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(1);
        self.waiting.push_back((at, now));
        self.unsaid = true;
        Ok(())
    }

    /// A packet there was no room for.
    pub fn drop_one(&mut self) {
        self.dropped = self.dropped.wrapping_add(1);
        if self.running() {
            self.sequence = self.sequence.wrapping_add(1);
            self.unsaid = true;
        }
    }

    /// A record of the driver is done with.
    pub fn consume(&mut self, lines: u32) {
        self.card = self.card.wrapping_add(lines) & INDEX_MASK;
        self.records = self.records.wrapping_add(1);
        self.unsaid = true;
    }

    /// Writes the status line if it has something new to say.
    pub fn say(&mut self, host: &Host) -> Result<(), Fault> {
        if !self.unsaid {
            return Ok(());
        }
        self.unsaid = false;
        let mut line = [0; LINE as usize];
        let error = self.error.map_or(0, |e| e as u64);
        for (field, value) in [
            ("index", self.card.into()),
            ("records", self.records.into()),
            ("dropped", self.dropped.into()),
            ("error", error),
        ] {
            write(&mut line, &STATUS, 0, field, value);
        }
        host.publish(self.status_taken, &line)
    }

    /// Stops with an error, and says so where the bus lets it.
    pub fn stop(&mut self, host: &Host, error: RingError) {
        self.error = Some(error);
        self.armed = false;
        if error != RingError::Config {
            self.unsaid = true;
            let _ = self.say(host);
        }
    }

    /// Whether something is pending for the vector.
    pub fn pending(&self) -> bool {
        self.running()
            && match self.to_host {
                true => self.card != self.driver,
                false => self.card == self.driver,
            }
    }

    /// Whether the vector is to fire now: armed, pending, and not held back.
    pub fn due(&self, now: u64) -> bool {
        if !self.armed || !self.pending() {
            return false;
        }
        let Some((_, oldest)) = self.waiting.front().filter(|_| self.to_host) else {
            return true;
        };
        let time = reg::RING_MODERATION.get(self.moderation, "time");
        let count = reg::RING_MODERATION.get(self.moderation, "count");
        now - oldest >= time.into() || count > 0 && self.waiting.len() >= count as usize
    }

    /// The state register.
    pub fn state(&self) -> u32 {
        let error = self.error.map_or(0, |e| e as u32);
        reg::RING_STATE.with(0, "running", self.running().into())
            | reg::RING_STATE.with(0, "error", error)
    }
}
