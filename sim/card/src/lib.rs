//! The card in memory: registers and rings as `docs/registers.md` says, in software, around the image engine.
//!
//! It is the other side of the driver in tests, and a card for hosts without one. It is written from the
//! contract alone and shares no logic with the RTL: where the two differ one of them is wrong.
//!
//! * [`card`]: registers, what a driver sees of them;
//! * [`ring`]: one ring, its indexes, its memory, when its vector fires;
//! * [`rings`]: what the rings are for: packets, answers, transmit, commands;
//! * [`datapath`]: table memories, counters, ports.

pub mod card;
pub mod datapath;
pub mod ring;
pub mod rings;

pub use card::SoftCard;
pub use datapath::{Datapath, OutOfPort};
