//! What can go wrong with a card that was reached.

use seqnic_spec::host::rings::{Ring, RingError};
use seqnic_spec::tables::Table;
use std::time::Duration;

pub type Result<T> = std::result::Result<T, Error>;

/// Why the driver cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Transport(#[from] seqnic_transport::Error),

    /// It is no card of this project, or one this driver was not built for.
    #[error(
        "{card}: this is no card for this driver: {what} is {found}, expected {expected}{way_out}"
    )]
    Foreign {
        card: String,
        what: &'static str,
        found: String,
        expected: String,
        way_out: &'static str,
    },

    /// An image or a delta for another geometry.
    #[error("the card has geometry `{card}`, the tables are for `{tables}`: compile for `{card}`")]
    Geometry {
        card: &'static str,
        tables: &'static str,
    },

    /// What the card wrote to memory cannot be.
    #[error("{card}: the card is broken: ring `{}`: {what}", ring.name())]
    Lied {
        card: String,
        ring: Ring,
        what: String,
    },

    /// The card stopped a ring.
    #[error("{card}: the card stopped ring `{}`: {error:?}", ring.name())]
    Stopped {
        card: String,
        ring: Ring,
        error: RingError,
    },

    /// The card does nothing any more.
    #[error("{card}: the card hangs: {what} for {} ms, and its clock {}", after.as_millis(), if *clock { "runs" } else { "stands still" })]
    Hung {
        card: String,
        what: &'static str,
        after: Duration,
        /// Whether `heartbeat` goes on.
        clock: bool,
    },

    /// An earlier call failed in a way after which the card cannot be used.
    #[error("{card}: an earlier error ended the use of the card, open it anew: {what}")]
    Ended { card: String, what: String },

    #[error("table `{}` has {rows} rows, row {row} was asked for", table.name())]
    NoRow { table: Table, row: u32, rows: u32 },

    #[error("a row that was written reads back as another: table `{}`, row {row}: wrote {wrote:x?}, read {read:x?}", table.name())]
    Verify {
        table: Table,
        row: u32,
        wrote: Vec<u64>,
        read: Vec<u64>,
    },

    /// A delta was cut off.
    #[error("the change was cut off behind word {done} of {words}: {cause}")]
    CutOff {
        done: usize,
        words: usize,
        #[source]
        cause: Box<Error>,
    },

    /// The rows of the card belong to no place in a delta.
    #[error(
        "the tables of the card are those of no place in the change: read them back and make it anew"
    )]
    NoPlace,

    #[error("the card has no port {port}: it has {ports}, from 0")]
    NoPort { port: u8, ports: u32 },

    #[error("a frame of {bytes} bytes cannot be sent: 14 to 9216 can, without FCS")]
    FrameLength { bytes: usize },

    #[error("packets of the old epoch are still inside after {} ms", after.as_millis())]
    Drain { after: Duration },

    #[error("{times} snapshots of the counters were torn: the card is too busy to hand one over")]
    Torn { times: u32 },

    #[error("waiting for interrupts: {0}")]
    Wait(#[from] std::io::Error),
}

impl Error {
    /// Whether the card must be opened anew.
    pub fn lost(&self) -> bool {
        match self {
            Error::Transport(e) => e.lost(),
            Error::Lied { .. }
            | Error::Stopped { .. }
            | Error::Hung { .. }
            | Error::Ended { .. } => true,
            Error::CutOff { cause, .. } => cause.lost(),
            _ => false,
        }
    }
}
