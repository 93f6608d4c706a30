//! The verilated card in a host that is not there: [`SimCard`] is a [`seqnic_pci::Card`], its ports are [`port`]s.
//!
//! `seqnic-card` serves it over vfio-user until it is stopped; a driver in the same process takes a
//! [`seqnic_pci::Direct`]. Whatever the driver does, ports go on.

mod card;
mod error;
pub mod port;
mod shim;
mod time;

pub use card::{Clock, SimCard};
pub use error::DeviceError;
pub use time::CardTime;
