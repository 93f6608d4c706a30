//! A PCI function around a card.

use crate::Card;
use crate::config::Config;
use crate::host::Host;
use seqnic_spec::host::pci;

/// Bytes of the BARs by number.
pub const fn bar_bytes(bar: u32) -> u64 {
    match bar {
        pci::BAR_REGISTERS => pci::BAR_REGISTERS_BYTES as u64,
        pci::BAR_MSIX => pci::BAR_MSIX_BYTES as u64,
        _ => 0,
    }
}

/// A card with configuration space, MSI-X table and the host it works for.
#[derive(Debug)]
pub struct Function<C> {
    pub card: C,
    pub host: Host,
    pub config: Config,
    /// The MSI-X table. Who emulates the bus (a virtual machine's monitor) routes by a table of its own; this
    /// one only keeps what is written.
    msix: Vec<u8>,
}

impl<C: Card> Function<C> {
    pub fn new(card: C) -> Function<C> {
        Function {
            card,
            host: Host::default(),
            config: Config::new(),
            msix: vec![0; pci::BAR_MSIX_BYTES as usize],
        }
    }

    pub fn config_write(&mut self, offset: u64, from: &[u8]) {
        if self.config.write(offset, from) {
            self.reset();
        }
    }

    /// Reads a BAR: whole words of the registers, any bytes of the MSI-X table. What is not there reads 0.
    pub fn bar_read(&mut self, bar: u32, offset: u64, to: &mut [u8]) {
        to.fill(0);
        match bar {
            pci::BAR_REGISTERS => {
                let words = to.chunks_exact_mut(4);
                for (at, word) in (offset..).step_by(4).zip(words) {
                    if at % 4 == 0 && at < bar_bytes(bar) {
                        let value = self.card.read32(at as u32, &mut self.host);
                        word.copy_from_slice(&value.to_le_bytes());
                    }
                }
            }
            pci::BAR_MSIX => {
                for (at, byte) in (offset..).zip(to) {
                    *byte = self.msix.get(at as usize).copied().unwrap_or(0);
                }
            }
            _ => {}
        }
    }

    /// Writes a BAR. What is not there, or is no whole word of the registers, is dropped.
    pub fn bar_write(&mut self, bar: u32, offset: u64, from: &[u8]) {
        match bar {
            pci::BAR_REGISTERS => {
                for (at, word) in (offset..).step_by(4).zip(from.chunks_exact(4)) {
                    if at % 4 == 0 && at < bar_bytes(bar) {
                        let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                        self.card.write32(at as u32, value, &mut self.host);
                    }
                }
            }
            pci::BAR_MSIX => {
                for (at, byte) in (offset..).zip(from) {
                    if let Some(to) = self.msix.get_mut(at as usize) {
                        *to = *byte;
                    }
                }
            }
            _ => {}
        }
    }

    /// Function level reset.
    pub fn reset(&mut self) {
        self.config.reset();
        self.msix.fill(0);
        self.card.reset(&mut self.host);
    }

    /// The driver is gone: the card is quiet before its memory is.
    pub fn release(&mut self) {
        self.reset();
        self.host.disconnect();
        self.host.unmap_all();
    }

    /// Does a piece of the card's work; whether there is more.
    pub fn work(&mut self) -> bool {
        self.card.work(&mut self.host)
    }
}
