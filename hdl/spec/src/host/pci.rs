//! The card as a PCI function.

/// The vendor whose endpoint the boards have (AMD): these two are for development. A board that is sold needs
/// numbers of its own.
pub const VENDOR_ID: u16 = 0x10ee;
pub const DEVICE_ID: u16 = 0x5e9c;
pub const SUBSYSTEM_VENDOR_ID: u16 = 0x10ee;
pub const SUBSYSTEM_ID: u16 = 0x0001;
/// Class code: network controller, other.
pub const CLASS: u32 = 0x02_80_00;
pub const REVISION: u8 = 1;

/// BAR of the registers: 32-bit accesses only.
pub const BAR_REGISTERS: u32 = 0;
/// Its size in bytes.
pub const BAR_REGISTERS_BYTES: u32 = 0x4000;
/// BAR of the MSI-X table and its pending bits, which the bridge keeps; find it by the capability.
pub const BAR_MSIX: u32 = 2;
pub const BAR_MSIX_BYTES: u32 = 0x1000;
/// Where the pending bits are in it.
pub const MSIX_PBA: u32 = 0x800;
