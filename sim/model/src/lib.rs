//! The image engine: software that runs a table image packet by packet, as
//! `docs/semantics.md` sections 1 to 5 say. It shares the layouts of `hdl/spec` with the RTL and
//! none of its logic.
//!
//! It is also the software datapath for hosts without the card ([`batch`]): tables are decoded and
//! checked once, and nothing from [`parse::parse`] over [`verdict::decide`] to
//! [`edit::Plan::write`] allocates.
//!
//! In packet order:
//! * [`parse`]: frame -> headers (section 1), [`decap`]: tag headers and tunnels in front of them;
//! * [`keys`], [`lookup`], [`index`]: packed keys, hash tables;
//! * [`tables`]: an image decoded (`decode`) into native arrays; [`check`] and [`error`] refuse bad
//!   ones;
//! * [`verdict`]: questions and reasons (sections 2 and 3);
//! * [`acl`]: rules (section 7);
//! * [`edit`]: copies and checksums (section 4), [`encap`]: tags and tunnels they leave with;
//! * [`rate`]: meters and limits to the host (section 8);
//! * [`counters`]: counter arrays (section 5);
//! * [`batch`]: the same functions for many packets at a time, for hosts without the card; `fast`: a
//!   shorter way for the most common of them;
//! * [`engine`]: the [`seqnic_engine::Engine`];
//! * [`explain`]: what was asked and answered for one packet, in words.

pub mod acl;
pub mod batch;
mod bytes;
pub mod check;
pub mod checksum;
pub mod counters;
pub mod decap;
mod decode;
pub mod edit;
pub mod encap;
pub mod engine;
pub mod error;
pub mod explain;
mod fast;
pub mod index;
pub mod keys;
pub mod lookup;
mod memory;
pub mod parse;
pub mod rate;
pub mod tables;
pub mod verdict;

pub use engine::{BatchEngine, ImageEngine};
pub use error::LoadError;
pub use explain::explain;
pub use tables::Tables;
