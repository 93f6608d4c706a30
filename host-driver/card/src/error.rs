//! What can go wrong with a card.

use seqnic_model::LoadError;
use seqnic_spec::tables::Table;

/// Why a card did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    #[error(
        "the card has geometry `{card}`, this is for `{asked}`; write `geometry: {card}` in the definition"
    )]
    Geometry {
        card: &'static str,
        asked: &'static str,
    },

    #[error("the tables were refused: {0}")]
    Tables(#[from] LoadError),

    #[error(
        "table `{}` has {rows} rows, row {row} was asked for; the request was made for another card",
        table.name()
    )]
    NoRow { table: Table, row: u32, rows: u32 },

    #[error("the card has no port {port}: it has {ports}, from 0")]
    NoPort { port: u8, ports: u32 },

    #[error("a frame of {bytes} bytes cannot be sent: 14 to 9216 can, without FCS")]
    FrameLength { bytes: usize },

    #[error(
        "no packet of the old epoch should be inside any more, but after {ms} ms there is; the card hangs, reset it"
    )]
    Drain { ms: u128 },

    #[error("port {port}, `{name}`: cannot {doing}: {source}{help}")]
    Port {
        port: u8,
        name: String,
        doing: &'static str,
        source: std::io::Error,
        help: &'static str,
    },

    #[error("the card is away: {why}; it is opened again as soon as it is there")]
    Away { why: String },

    /// The card is gone or broken: what failed, and what it said.
    #[error("{0}")]
    Failed(String),
}
