//! The driver of the card.
//!
//! It knows registers and rings (`docs/registers.md`) and no services. [`Device::open`] refuses what is not this
//! card, resets the host's side of it, lends it memory and starts the rings; the card's tables, counters and
//! traffic between ports are not touched by that. Then, each from any thread:
//!
//! * packets from and to the card ([`Device::receive`], [`Device::send`]): nothing is allocated for one;
//! * tables ([`Device::load`], [`Device::apply`], [`Device::scrub`]): rows are written by the command ring in
//!   order and verified by reading them back;
//! * counters ([`Device::snapshot`]);
//! * whether it is well ([`Device::check`]).
//!
//! What the card says is checked before it is used. A card that hangs, is reset, disappears or lies
//! in a record ends in an [`Error`], after which the device is of no more use: drop it and open another, or have
//! [`Kept`] do that. Its
//! memory stays mapped until the card is known to be quiet.

pub mod card;
pub mod command;
pub mod counters;
pub mod error;
pub mod identity;
pub mod kept;
pub mod packet;
pub mod registers;
pub mod ring;
pub mod table;

mod device;

pub use command::Snapshot;
pub use device::{Device, Options};
pub use error::{Error, Result};
pub use identity::Identity;
pub use kept::Kept;
pub use packet::{Packet, Way};
pub use seqnic_card::Repair;
