//! What can go wrong between driver and card.

use std::io;
use std::time::Duration;

pub type Result<T> = std::result::Result<T, Error>;

/// Why a card could not be reached, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has been there and is no more: pulled out, or its process has ended.
    #[error("{card}: the card is gone ({what})")]
    Gone { card: String, what: String },
    /// It does not answer.
    #[error("{card}: no answer to {what} within {} ms: the card hangs", after.as_millis())]
    Hung {
        card: String,
        what: &'static str,
        after: Duration,
    },
    /// It was reset by someone else; what was set up is lost.
    #[error("{card}: the card was reset")]
    Reset { card: String },
    /// It, or the kernel, said no.
    #[error("{card}: {what} was refused: {reason}")]
    Refused {
        card: String,
        what: String,
        reason: io::Error,
    },
    /// The other side broke the rules of the protocol.
    #[error("{card}: the other side breaks the vfio-user protocol: {what}")]
    Protocol { card: String, what: String },
    /// It cannot be opened.
    #[error("{card}: cannot be opened: {reason}. {way_out}")]
    Open {
        card: String,
        reason: io::Error,
        way_out: &'static str,
    },
    /// The caller asked for what there is not.
    #[error("{card}: {what}")]
    Invalid { card: String, what: String },
    /// Memory for the card is not to be had.
    #[error("no memory for the card: {bytes} bytes{}: {reason}", if *huge { " in huge pages" } else { "" })]
    Memory {
        bytes: usize,
        huge: bool,
        reason: io::Error,
    },
}

impl Error {
    /// Whether opening the card anew may help.
    pub fn lost(&self) -> bool {
        matches!(
            self,
            Error::Gone { .. } | Error::Hung { .. } | Error::Reset { .. } | Error::Protocol { .. }
        )
    }
}
