//! Cases that every engine runs.
//!
//! A case is a folder under `tests/cases`: `definition.yaml`, what arrives in `in/<interface>.pcap`,
//! and everything that must become of it: `out/<interface>.pcap`, `out/host.pcap`,
//! `exceptions.jsonl` and `counters.json` as `seqnic replay` writes them. [`Case::check`] runs an
//! engine on it. [`legs`] makes the captures of the figures from their flow tables, which may also say
//! priorities, reasons and rules.

pub mod case;
mod frame;
pub mod legs;
mod said;
pub mod wrap;

pub use case::{Case, CaseError};
