//! Configuration space: a type 0 header, PCI Express and MSI-X capabilities (PCI 3.0 chapter 6, PCI Express
//! base specification section 7.5).

use seqnic_spec::host::{pci, rings};

/// Bytes, the extended part included, which is empty.
pub const BYTES: usize = 4096;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BAR0: usize = 0x10;
const CAPABILITIES: usize = 0x34;
const EXPRESS: usize = 0x40;
const DEVICE_CAPABILITIES: usize = EXPRESS + 4;
const DEVICE_CONTROL: usize = EXPRESS + 8;
const MSIX: usize = 0x80;

/// Bit of the command register: the function may do DMA.
const BUS_MASTER: u16 = 1 << 2;
/// Bit of device control: function level reset.
const INITIATE_RESET: u16 = 1 << 15;

/// Configuration space and which bits of it the driver may write.
#[derive(Debug)]
pub struct Config {
    bytes: Vec<u8>,
    writable: Vec<u8>,
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}

impl Config {
    pub fn new() -> Config {
        let mut config = Config {
            bytes: vec![0; BYTES],
            writable: vec![0; BYTES],
        };
        config.header();
        config.capabilities();
        config
    }

    fn header(&mut self) {
        self.put16(0x00, pci::VENDOR_ID);
        self.put16(0x02, pci::DEVICE_ID);
        self.put16(STATUS, 1 << 4); // has capabilities
        self.bytes[0x08] = pci::REVISION;
        let class = pci::CLASS.to_le_bytes();
        self.bytes[0x09..0x0c].copy_from_slice(&class[..3]);
        self.put16(0x2c, pci::SUBSYSTEM_VENDOR_ID);
        self.put16(0x2e, pci::SUBSYSTEM_ID);
        self.bytes[CAPABILITIES] = EXPRESS as u8;
        self.writable16(COMMAND, 1 << 1 | BUS_MASTER | 1 << 10); // memory, DMA, no INTx
        self.bar(pci::BAR_REGISTERS, pci::BAR_REGISTERS_BYTES);
        self.bar(pci::BAR_MSIX, pci::BAR_MSIX_BYTES);
        self.writable[0x3c] = 0xff; // interrupt line: the host's notes
    }

    /// A 32-bit memory BAR, not prefetchable: the bits below its size cannot be written, which tells its size.
    fn bar(&mut self, number: u32, bytes: u32) {
        let at = BAR0 + 4 * number as usize;
        self.writable[at..at + 4].copy_from_slice(&(!(bytes - 1)).to_le_bytes());
    }

    fn capabilities(&mut self) {
        // An endpoint, capability version 2.
        self.put16(EXPRESS, 0x10 | (MSIX as u16) << 8);
        self.put16(EXPRESS + 2, 2);
        self.put32(DEVICE_CAPABILITIES, 1 << 28 | 1 << 15); // can be reset; role-based errors
        self.put32(EXPRESS + 0x0c, 0x11); // 2.5 GT/s, one lane: nothing depends on it
        self.put16(EXPRESS + 0x12, 0x11);
        self.writable16(DEVICE_CONTROL, 0x7fff);
        self.put16(MSIX, 0x11);
        self.put16(MSIX + 2, rings::VECTORS as u16 - 1);
        self.put32(MSIX + 4, pci::BAR_MSIX);
        self.put32(MSIX + 8, pci::MSIX_PBA | pci::BAR_MSIX);
        self.writable16(MSIX + 2, 0xc000); // enable, mask all
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn writable16(&mut self, at: usize, bits: u16) {
        self.writable[at..at + 2].copy_from_slice(&bits.to_le_bytes());
    }

    /// Reads; zeroes behind the end.
    pub fn read(&self, offset: u64, to: &mut [u8]) {
        for (n, byte) in to.iter_mut().enumerate() {
            let at = usize::try_from(offset).ok().and_then(|o| o.checked_add(n));
            *byte = at.and_then(|at| self.bytes.get(at)).copied().unwrap_or(0);
        }
    }

    /// Writes what may be written; whether a function level reset was asked for.
    #[must_use]
    pub fn write(&mut self, offset: u64, from: &[u8]) -> bool {
        let mut reset = false;
        for (n, byte) in from.iter().enumerate() {
            let at = usize::try_from(offset).ok().and_then(|o| o.checked_add(n));
            let Some(at) = at.filter(|at| *at < BYTES) else {
                break;
            };
            let mask = self.writable[at];
            self.bytes[at] = self.bytes[at] & !mask | byte & mask;
            let high = INITIATE_RESET.to_le_bytes()[1];
            reset |= at == DEVICE_CONTROL + 1 && byte & high != 0;
        }
        reset
    }

    /// What a function level reset leaves: everything the driver wrote is gone.
    pub fn reset(&mut self) {
        *self = Config::new();
    }

    /// Whether DMA is allowed.
    pub fn bus_master(&self) -> bool {
        u16::from_le_bytes([self.bytes[COMMAND], self.bytes[COMMAND + 1]]) & BUS_MASTER != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(config: &Config, at: u64) -> u32 {
        let mut bytes = [0; 4];
        config.read(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn a_bar_tells_its_size() {
        let mut config = Config::new();
        for (bar, bytes) in [(0, 0x4000), (1, 0), (2, 0x1000)] {
            let at = 0x10 + 4 * bar;
            assert!(!config.write(at, &[0xff; 4]));
            let size = !(word(&config, at) & !0xf);
            assert_eq!(size.wrapping_add(1), bytes, "BAR {bar}");
        }
    }

    #[test]
    fn capabilities_are_found_and_a_reset_is_seen() {
        let mut config = Config::new();
        let mut at = word(&config, 0x34) & 0xff;
        let mut ids = Vec::new();
        while at != 0 {
            let head = word(&config, at.into());
            ids.push(head & 0xff);
            at = head >> 8 & 0xff;
        }
        assert_eq!(ids, [0x10, 0x11]);
        assert!(!config.bus_master());
        assert!(!config.write(4, &[6, 0]));
        assert!(config.bus_master());
        assert!(!config.write(0, &[0; 4]), "identity is no reset");
        assert_eq!(word(&config, 0), 0x5e9c_10ee);
        assert!(config.write(0x48, &0x8000u16.to_le_bytes()));
        config.reset();
        assert!(!config.bus_master());
        assert!(!config.write(u64::MAX, &[1; 8]));
    }
}
