//! What a daemon needs of a card.
//!
//! [`Card`] is the only way the daemon has to a card, so it cannot tell the real one behind VFIO, the
//! simulated one and the software engine ([`software`]) apart. All methods take `&self` and may be
//! called from several threads: one thread takes exceptions while another writes tables. An
//! implementation keeps packets and commands apart, so that neither waits for the other.
//!
//! A card starts with the tables it has: a real one keeps them when a daemon ends, and goes on with
//! its packets. [`Card::read_back`] tells which those are.

pub mod error;
pub mod packet;
pub mod snapshot;
pub mod software;

pub use error::CardError;
pub use packet::{FromHost, ToHost, Way};
pub use snapshot::Snapshot;

use seqnic_compiler::delta::{Delta, Order, Word};
use seqnic_image::{Image, TableRows};
use seqnic_spec::geometry::Geometry;
use seqnic_spec::tables::Table;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Which card this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For people: `software engine`, `0000:03:00.0`.
    pub name: String,
    pub geometry: &'static Geometry,
    /// Version of the layouts.
    pub spec_version: u32,
    /// Commit the card was built from, in hexadecimal; empty where it is not said.
    pub source: String,
}

/// A row that was not what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    pub table: Table,
    pub row: u32,
    /// Lowest word first.
    pub found: Vec<u64>,
    pub wanted: Vec<u64>,
}

/// State of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Up,
    Down,
    /// Nothing is connected to it: what is sent there is lost.
    None,
}

/// What happened to the card by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Link {
        port: u8,
        link: Link,
    },
    /// The card was reset and its tables are not to be trusted: read them back, load what differs.
    Reset,
    /// The card answers no more.
    Gone {
        why: String,
    },
    /// A card that was gone is there again: read its tables back, load what differs.
    Back,
}

/// Whether a card can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    Here,
    /// It cannot; it is opened anew, again and again.
    Away(Away),
}

/// A card that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    pub why: String,
    pub since: Instant,
    /// How often it was tried to open it since then.
    pub tries: u32,
    /// When that is tried next.
    pub next: Instant,
    /// Whether it was reached since the daemon started: what [`Card::identity`] says is true then.
    pub met: bool,
}

/// How long a drain may take at most before the card counts as hanging. The longest by its sizes is
/// under a millisecond; a software engine on a busy machine takes longer.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A card with its ports.
pub trait Card: Send + Sync {
    fn identity(&self) -> Identity;

    /// Loads every table. Packets meet the new tables at once or one after the other: a change under
    /// traffic is [`Card::apply`].
    ///
    /// # Errors
    /// The image is for another geometry, contradicts itself, or the card fails.
    fn load(&self, image: &Image) -> Result<(), CardError>;

    /// Writes rows, in this order, each in one step. What `was` says is not checked.
    ///
    /// # Errors
    /// A row there is not, or the card fails: some of the words may be written.
    fn write(&self, words: &[Word]) -> Result<(), CardError>;

    /// Waits until no packet of the epoch that does not hold is inside.
    ///
    /// # Errors
    /// `timeout` has passed, or the card fails.
    fn drain(&self, timeout: Duration) -> Result<(), CardError>;

    /// Writes a delta: all its words in order, with the drains between them.
    ///
    /// # Errors
    /// As [`Card::write`] and [`Card::drain`]. Where it stopped the tables mean the old definition
    /// or the new one (`docs/live-change.md`); [`seqnic_compiler::delta::settle`] ends it.
    fn apply(&self, delta: &Delta) -> Result<(), CardError> {
        let geometry = self.identity().geometry;
        if geometry != delta.geometry {
            return Err(CardError::Geometry {
                card: geometry.name,
                asked: delta.geometry.name,
            });
        }
        let mut words = Vec::new();
        for order in delta.orders() {
            match order {
                Order::Write(word) => words.push(word.clone()),
                Order::Drain => {
                    self.write(&words)?;
                    words.clear();
                    self.drain(DRAIN_TIMEOUT)?;
                }
            }
        }
        self.write(&words)
    }

    /// Rows of a table as they are now, `row_bits` rounded up to 64-bit words each, lowest first.
    ///
    /// # Errors
    /// Rows there are not, or the card fails.
    fn read(&self, table: Table, rows: Range<u32>) -> Result<Vec<u64>, CardError>;

    /// Every table as it is now, without names.
    ///
    /// # Errors
    /// The card fails.
    fn read_back(&self) -> Result<Image, CardError> {
        let geometry = self.identity().geometry;
        let mut image = Image::empty(geometry);
        for table in Table::ALL {
            let words = self.read(table, 0..geometry.rows(table))?;
            let rows: &mut TableRows = image.table_mut(table);
            rows.words = words;
            trim(rows);
        }
        Ok(image)
    }

    /// All counters at one moment, traffic going on.
    ///
    /// # Errors
    /// The card fails.
    fn counters(&self) -> Result<Snapshot, CardError>;

    /// Takes packets that went to the host, in order of arrival, at least one unless `wait` passes
    /// without.
    ///
    /// # Errors
    /// The card fails.
    fn receive(&self, out: &mut Vec<ToHost>, wait: Duration) -> Result<(), CardError>;

    /// Sends frames, in order. Returns how many were taken: the first ones; there was no room for the
    /// others.
    ///
    /// # Errors
    /// A frame that cannot be sent (its length, its port), or the card fails.
    fn send(&self, frames: &[FromHost]) -> Result<usize, CardError>;

    fn link(&self, port: u8) -> Link;

    /// Looks at the next `rows` rows of the tables, round and round, and mends those that are not what was written to
    /// them, packets going on. A card whose memory is the host's has nothing to mend.
    ///
    /// # Errors
    /// A row cannot be mended, or the card fails.
    fn scrub(&self, rows: u32) -> Result<Vec<Repair>, CardError> {
        let _none = rows;
        Ok(Vec::new())
    }

    /// The next thing that happened, or nothing within `wait`. To be asked again and again by one thread: a card
    /// that is away is opened anew in here.
    fn event(&self, wait: Duration) -> Option<Event>;

    /// Whether the card can be used. One that cannot come back is always here.
    fn presence(&self) -> Presence {
        Presence::Here
    }

    /// The card is there and of no use as it is (another card at the same address): close it, and try again
    /// later. `why` is shown meanwhile.
    fn give_up(&self, why: &str) {
        let _it_stays = why;
    }
}

/// Takes off the zero rows at the end, which an image does not store.
pub fn trim(rows: &mut TableRows) {
    let n = rows.words_per_row();
    let used = rows
        .words
        .iter()
        .rposition(|w| *w != 0)
        .map_or(0, |at| at / n + 1);
    rows.words.truncate(used * n);
}
