//! A card of this host, through the Linux kernel's VFIO.
//!
//! The function must be bound to `vfio-pci` and its IOMMU group to nothing else (Linux
//! `Documentation/driver-api/vfio.rst`). When the transport is dropped the kernel resets the card and ends its
//! mappings before the memory is given back, also if the process is killed.

use crate::Transport;
use crate::address::Function;
use crate::error::{Error, Result};
use crate::memory::Memory;
use pci_driver::backends::vfio::VfioPciDevice;
use pci_driver::device::PciDevice;
use pci_driver::regions::{MappedOwningPciRegion, OwningPciRegion, PciRegion, Permissions};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const WAY_OUT: &str = "Is the function bound to vfio-pci (driver_override, drivers_probe), with everything else in its \
    IOMMU group, is the IOMMU on, and may this user open /dev/vfio/*?";

/// BARs a function can have.
const BARS: usize = 6;

/// A card behind `/dev/vfio`.
pub struct Kernel {
    name: String,
    device: VfioPciDevice,
    bars: Vec<Option<Bar>>,
    mapped: Mutex<BTreeMap<u64, Arc<Memory>>>,
}

struct Bar {
    region: OwningPciRegion,
    map: Option<MappedOwningPciRegion>,
}

impl Kernel {
    /// # Errors
    /// There is no such function, or it cannot be opened.
    pub fn open(function: &Function) -> Result<Kernel> {
        let name = function.to_string();
        let path = PathBuf::from("/sys/bus/pci/devices").join(&name);
        let device = VfioPciDevice::open(&path).map_err(|reason| Error::Open {
            card: name.clone(),
            reason,
            way_out: WAY_OUT,
        })?;
        let bars = (0..BARS)
            .map(|i| {
                let region = device.bar(i)?;
                let whole = || region.map(.., Permissions::ReadWrite).ok();
                let map = region.is_mappable().then(whole).flatten();
                Some(Bar { region, map })
            })
            .collect();
        Ok(Kernel {
            name,
            device,
            bars,
            mapped: Mutex::default(),
        })
    }

    fn failed(&self, what: String, reason: io::Error) -> Error {
        let card = self.name.clone();
        match reason.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NODEV | Errno::NXIO) => Error::Gone { card, what },
            _ => Error::Refused { card, what, reason },
        }
    }

    fn invalid(&self, what: String) -> Error {
        Error::Invalid {
            card: self.name.clone(),
            what,
        }
    }

    fn mapped(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Memory>>> {
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bar(&self, bar: u32, offset: u64) -> Result<&Bar> {
        let found = self.bars.get(bar as usize).and_then(Option::as_ref);
        match found {
            Some(b) if offset.is_multiple_of(4) && offset + 4 <= b.region.len() => Ok(b),
            _ => Err(self.invalid(format!("no 32-bit word at {offset:#x} of BAR {bar}"))),
        }
    }
}

impl Transport for Kernel {
    fn address(&self) -> String {
        self.name.clone()
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        let config = self.device.config();
        (config.read_bytes(offset, data))
            .map_err(|e| self.failed(format!("reading configuration space at {offset:#x}"), e))
    }

    fn config_write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let config = self.device.config();
        let done = match *data {
            [a] => config.write_u8(offset, a),
            [a, b] => config.write_le_u16(offset, u16::from_le_bytes([a, b])),
            [a, b, c, d] => config.write_le_u32(offset, u32::from_le_bytes([a, b, c, d])),
            _ => {
                let n = data.len();
                return Err(self.invalid(format!("configuration space takes no {n} bytes at once")));
            }
        };
        done.map_err(|e| self.failed(format!("writing configuration space at {offset:#x}"), e))
    }

    fn bar_length(&self, bar: u32) -> u64 {
        let bar = self.bars.get(bar as usize).and_then(Option::as_ref);
        bar.map_or(0, |b| b.region.len())
    }

    fn read32(&self, bar: u32, offset: u64) -> Result<u32> {
        let b = self.bar(bar, offset)?;
        let read = match &b.map {
            Some(map) => map.read_le_u32(offset),
            None => b.region.read_le_u32(offset),
        };
        read.map_err(|e| self.failed(format!("reading BAR {bar} at {offset:#x}"), e))
    }

    fn write32(&self, bar: u32, offset: u64, value: u32) -> Result<()> {
        let b = self.bar(bar, offset)?;
        // What is in memory for the card must be there before a doorbell is: stores to the mapping are not
        // reordered by the processor, and must not be by the compiler.
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let written = match &b.map {
            Some(map) => map.write_le_u32(offset, value),
            None => b.region.write_le_u32(offset, value),
        };
        written.map_err(|e| self.failed(format!("writing BAR {bar} at {offset:#x}"), e))
    }

    fn bar_pointer(&self, bar: u32) -> Option<NonNull<u8>> {
        let bar = self.bars.get(bar as usize)?.as_ref()?;
        NonNull::new(bar.map.as_ref()?.as_mut_ptr())
    }

    fn dma_map(&self, iova: u64, memory: &Arc<Memory>) -> Result<()> {
        let length = memory.length();
        let end = iova.saturating_add(length as u64);
        let iommu = self.device.iommu();
        let inside = |r: &std::ops::Range<u64>| r.start <= iova && end - 1 <= r.end;
        if !iommu.valid_iova_ranges().iter().any(inside) {
            let ranges = iommu.valid_iova_ranges();
            return Err(self.invalid(format!(
                "the IOMMU has no bus addresses {iova:#x} to {end:#x}, only {ranges:x?}"
            )));
        }
        let page = iommu.alignment();
        if !iova.is_multiple_of(page as u64) || !length.is_multiple_of(page) {
            return Err(self.invalid(format!(
                "the IOMMU's pages are {page} bytes: it cannot map {length} bytes at {iova:#x}"
            )));
        }
        let mut mapped = self.mapped();
        // SAFETY: the memory is kept until the mapping is ended, below or when the container is closed.
        unsafe { iommu.map(iova, length, memory.pointer(), Permissions::ReadWrite) }
            .map_err(|e| self.failed(format!("mapping {length} bytes at {iova:#x}"), e))?;
        mapped.insert(iova, memory.clone());
        Ok(())
    }

    fn dma_unmap(&self, iova: u64) -> Result<()> {
        let mut mapped = self.mapped();
        let Some(memory) = mapped.get(&iova) else {
            return Err(self.invalid(format!("nothing is mapped at {iova:#x}")));
        };
        (self.device.iommu().unmap(iova, memory.length()))
            .map_err(|e| self.failed(format!("ending the mapping at {iova:#x}"), e))?;
        mapped.remove(&iova);
        Ok(())
    }

    fn vectors(&self) -> u32 {
        self.device.interrupts().msi_x().max() as u32
    }

    fn enable_vectors(&self, events: &[BorrowedFd<'_>]) -> Result<()> {
        let (have, want) = (self.vectors(), events.len());
        if want > have as usize {
            return Err(self.invalid(format!("{want} MSI-X vectors wanted, the card has {have}")));
        }
        let fds: Vec<_> = events.iter().map(AsRawFd::as_raw_fd).collect();
        (self.device.interrupts().msi_x().enable(&fds))
            .map_err(|e| self.failed(format!("enabling {want} MSI-X vectors"), e))
    }

    fn disable_vectors(&self) -> Result<()> {
        (self.device.interrupts().msi_x().disable())
            .map_err(|e| self.failed("disabling MSI-X".to_string(), e))
    }

    fn reset(&self) -> Result<()> {
        (self.device.reset()).map_err(|e| self.failed("a function level reset".to_string(), e))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // Quiet first. If it fails, the kernel tries harder when the file is closed, and closing also ends the
        // mappings; pages stay pinned until then, so memory given back here is not the card's.
        let _ = self.device.reset();
        let mapped = std::mem::take(&mut *self.mapped());
        for (iova, memory) in mapped {
            if self.device.iommu().unmap(iova, memory.length()).is_err() {
                std::mem::forget(memory);
            }
        }
    }
}
