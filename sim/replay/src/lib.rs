//! Captures through an engine.
//!
//! [`capture`] reads pcap and pcapng and writes pcap; [`merge`] joins the captures of several
//! interfaces by time; [`feed`] hands the packets to an engine batch by batch; [`run`] puts what
//! comes out into a folder ([`result`]). Nothing holds more than one batch of packets, so inputs
//! may be of any size.

pub mod capture;
pub mod counters;
pub mod error;
pub mod feed;
pub mod merge;
pub mod result;
pub mod run;
pub mod time;

pub use error::ReplayError;
pub use merge::{Input, Merge, Packet, Undelivered};
pub use run::{Options, Progress, Summary, check, run};
pub use time::Time;
