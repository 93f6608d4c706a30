//! A simulated card as a PCI function.
//!
//! A [`Card`] is what is behind BAR 0: registers, and DMA through the [`Host`] it is handed. [`Function`] puts
//! a PCI function around it (configuration space, MSI-X, function level reset, mapped memory). A driver reaches
//! it in two ways:
//!
//! * in the same process: [`Direct`] is a [`seqnic_transport::Transport`];
//! * from another process or a virtual machine: [`server`] speaks vfio-user, to the driver's own client or to
//!   QEMU's `vfio-user-pci`.

pub mod config;
pub mod direct;
pub mod function;
pub mod host;
pub mod server;

pub use direct::Direct;
pub use function::Function;
pub use host::{Fault, Host};

/// What is behind BAR 0. Offsets are inside of it, multiples of 4.
pub trait Card: Send {
    fn read32(&mut self, offset: u32, host: &mut Host) -> u32;

    fn write32(&mut self, offset: u32, value: u32, host: &mut Host);

    /// Function level reset: afterwards no DMA until the driver starts something anew.
    fn reset(&mut self, host: &mut Host);

    /// Does a bounded piece of what there is to do: DMA, interrupts, some clocks. Whether there is more to do at
    /// once; if not it is asked again after the next access, and from time to time.
    fn work(&mut self, host: &mut Host) -> bool;
}
