//! How a driver reaches a card: one trait, [`Transport`], chosen at run time by an [`Address`].
//!
//! * [`kernel`]: the Linux kernel's VFIO, a card in this host or in a guest's;
//! * [`user`]: the vfio-user protocol, a process that is the card, over a Unix socket.
//!
//! Others implement the trait too: a card in memory and one that injects faults (`sim/`).
//! Nothing here knows which card it is.

pub mod address;
pub mod error;
pub mod interrupt;
pub mod kernel;
pub mod memory;
pub mod user;

pub use address::Address;
pub use error::{Error, Result};
pub use interrupt::Interrupt;
pub use memory::{Memory, Pages};

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// Time-out of everything that waits for the other side, where nothing else is said.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A PCI function, from the driver's side. Calls may come from several threads at a time.
///
/// None of them waits longer than the time-out the transport was opened with. After [`Error::Gone`],
/// [`Error::Hung`] or [`Error::Protocol`] the transport is of no more use: open another one.
pub trait Transport: Send + Sync {
    /// Where the card is, for messages.
    fn address(&self) -> String;

    /// Reads configuration space.
    fn config_read(&self, offset: u64, data: &mut [u8]) -> Result<()>;

    /// Writes configuration space.
    fn config_write(&self, offset: u64, data: &[u8]) -> Result<()>;

    /// Bytes of a BAR; 0: there is none.
    fn bar_length(&self, bar: u32) -> u64;

    /// Reads 32 bits at `offset`, a multiple of 4. A card that has gone off the bus reads as all ones.
    fn read32(&self, bar: u32, offset: u64) -> Result<u32>;

    /// Writes 32 bits at `offset`, a multiple of 4. The write is posted: it is on its way, in order with
    /// others, and a later read pushes it ahead of itself; that it was refused may be said by a later call.
    fn write32(&self, bar: u32, offset: u64, value: u32) -> Result<()>;

    /// The BAR as memory, [`Transport::bar_length`] bytes, valid as long as the transport; `None`: each access
    /// is a message.
    fn bar_pointer(&self, bar: u32) -> Option<NonNull<u8>>;

    /// Lets the card read and write `memory` under the bus addresses from `iova` on. The transport keeps the
    /// memory until it is unmapped.
    fn dma_map(&self, iova: u64, memory: &Arc<Memory>) -> Result<()>;

    /// Ends a mapping made by [`Transport::dma_map`]. The card must be known to be quiet.
    fn dma_unmap(&self, iova: u64) -> Result<()>;

    /// MSI-X vectors the function has.
    fn vectors(&self) -> u32;

    /// Lets vector n signal event file descriptor n, from 0 on.
    fn enable_vectors(&self, events: &[BorrowedFd<'_>]) -> Result<()>;

    /// Ends all signalling.
    fn disable_vectors(&self) -> Result<()>;

    /// Function level reset. When it returns the function does no more DMA until it is told to anew.
    fn reset(&self) -> Result<()>;
}

/// Opens a card with time-out [`TIMEOUT`].
///
/// # Errors
/// There is no such card, or it is not to be had; the message says what to do.
pub fn open(address: &Address) -> Result<Arc<dyn Transport>> {
    open_with(address, TIMEOUT)
}

/// Opens a card with a time-out of one's own.
///
/// # Errors
/// As [`open`].
pub fn open_with(address: &Address, timeout: Duration) -> Result<Arc<dyn Transport>> {
    Ok(match address {
        Address::Pci(function) => Arc::new(kernel::Kernel::open(function)?),
        Address::Unix(path) => Arc::new(user::User::connect(path, timeout)?),
    })
}
