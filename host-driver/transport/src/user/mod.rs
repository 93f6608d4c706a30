//! A process that is the card, over the vfio-user protocol (QEMU `docs/interop/vfio-user.rst`).
//!
//! The client is strict and has a time-out on everything; register writes are posted. The client
//! of the `vfio_user` crate takes an error reply to a mapping for success and hangs on one to a read.

mod link;
mod wire;

use crate::Transport;
use crate::error::{Error, Result};
use crate::memory::Memory;
use link::{Link, MOST_FDS, starts};
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_DMA_MAP_FLAG_READ,
    VFIO_DMA_MAP_FLAG_WRITE, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
};
use wire::{Command, Payload, access, u16_at, u32_at, u64_at};

/// Version of the protocol: 0.1.
const MAJOR: u16 = 0;
const MINOR: u16 = 1;
/// Regions that are asked for: six BARs, ROM, configuration space.
const REGIONS: u32 = VFIO_PCI_CONFIG_REGION_INDEX + 1;
/// Bytes of a `vfio_region_info`.
const REGION_INFO: u32 = 32;

/// A card behind a Unix socket.
#[derive(Debug)]
pub struct User {
    card: String,
    link: Mutex<Link>,
    /// Bytes of each region.
    regions: Vec<u64>,
    vectors: u32,
    /// File descriptors the other side takes in one message.
    fds: usize,
    mapped: Mutex<BTreeMap<u64, Arc<Memory>>>,
}

impl User {
    /// Connects, agrees on a version and asks what there is.
    ///
    /// # Errors
    /// Nobody is there, or who is there is no PCI device of this protocol.
    pub fn connect(path: &Path, timeout: Duration) -> Result<User> {
        let mut link = Link::connect(path, timeout)?;
        let fds = version(&mut link)?;
        let payload = Payload::default().u32(16).u32(0).u32(0).u32(0).0;
        let info = link.call(Command::DeviceGetInfo, &payload, &[])?;
        let flags = u32_at(&info, 4).unwrap_or(0);
        let (Some(regions), Some(irqs)) = (u32_at(&info, 8), u32_at(&info, 12)) else {
            return Err(link.protocol("DEVICE_GET_INFO is answered too short"));
        };
        let need = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
        if flags & need != need || regions < REGIONS || irqs <= VFIO_PCI_MSIX_IRQ_INDEX {
            return Err(link.protocol(format!(
                "no PCI device that can be reset: flags {flags:#x}, {regions} regions, {irqs} interrupts"
            )));
        }
        let regions = (0..REGIONS)
            .map(|n| region(&mut link, n))
            .collect::<Result<_>>()?;
        let vectors = vectors(&mut link)?;
        Ok(User {
            card: link.card.clone(),
            link: Mutex::new(link),
            regions,
            vectors,
            fds,
            mapped: Mutex::default(),
        })
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mapped(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Memory>>> {
        self.mapped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invalid(&self, what: String) -> Error {
        Error::Invalid {
            card: self.card.clone(),
            what,
        }
    }

    fn inside(&self, region: u32, offset: u64, bytes: usize) -> Result<()> {
        let length = self.regions.get(region as usize).copied().unwrap_or(0);
        let end = offset.checked_add(bytes as u64);
        match end.is_some_and(|end| end <= length) {
            true => Ok(()),
            false => Err(self.invalid(format!(
                "{bytes} bytes at {offset:#x} of region {region}, which has {length}"
            ))),
        }
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<()> {
        self.inside(region, offset, data.len())?;
        let head = access(region, offset, data.len() as u32);
        let mut link = self.link();
        let payload = link.call(Command::RegionRead, &head.0, &[])?;
        if payload.len() != head.0.len() + data.len() || !starts(head.clone(), &payload) {
            return Err(link.protocol("REGION_READ is answered with other bytes than asked for"));
        }
        data.copy_from_slice(&payload[head.0.len()..]);
        Ok(())
    }

    fn bar(bar: u32) -> u32 {
        bar.min(REGIONS) // BARs are the first regions; what is behind is refused as of no length
    }

    fn set_irqs(&self, action: u32, start: u32, count: u32, fds: &[BorrowedFd]) -> Result<()> {
        let payload = Payload::default()
            .u32(20)
            .u32(action | VFIO_IRQ_SET_ACTION_TRIGGER)
            .u32(VFIO_PCI_MSIX_IRQ_INDEX)
            .u32(start)
            .u32(count);
        self.link().call(Command::SetIrqs, &payload.0, fds)?;
        Ok(())
    }
}

fn version(link: &mut Link) -> Result<usize> {
    let ours = serde_json::json!({"capabilities": {"max_msg_fds": MOST_FDS, "max_data_xfer_size": 1 << 20}});
    let payload = Payload::default()
        .u16(MAJOR)
        .u16(MINOR)
        .bytes(ours.to_string().as_bytes())
        .bytes(&[0]);
    let reply = link.call(Command::Version, &payload.0, &[])?;
    let (Some(major), Some(minor)) = (u16_at(&reply, 0), u16_at(&reply, 2)) else {
        return Err(link.protocol("VERSION is answered too short"));
    };
    if major != MAJOR || minor > MINOR {
        return Err(link.protocol(format!(
            "its version is {major}.{minor}, this driver's {MAJOR}.{MINOR}"
        )));
    }
    let text = reply.get(4..).unwrap_or(&[]);
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    if text.is_empty() {
        return Ok(1);
    }
    let Ok(theirs) = serde_json::from_slice::<serde_json::Value>(text) else {
        return Err(link.protocol("the capabilities it sends are no JSON"));
    };
    // One descriptor where nothing is said.
    let most = &theirs["capabilities"]["max_msg_fds"];
    Ok(most.as_u64().unwrap_or(1).clamp(1, MOST_FDS as u64) as usize)
}

fn region(link: &mut Link, number: u32) -> Result<u64> {
    let payload = Payload::default()
        .u32(REGION_INFO)
        .u32(0)
        .u32(number)
        .u32(0)
        .u64(0)
        .u64(0);
    let reply = link.call(Command::RegionInfo, &payload.0, &[])?;
    match (u32_at(&reply, 8), u64_at(&reply, 16)) {
        (Some(index), Some(size)) if index == number => Ok(size),
        _ => Err(link.protocol(format!(
            "region {number} was asked for, the answer is for another"
        ))),
    }
}

fn vectors(link: &mut Link) -> Result<u32> {
    let index = VFIO_PCI_MSIX_IRQ_INDEX;
    let payload = Payload::default().u32(16).u32(0).u32(index).u32(0);
    let reply = link.call(Command::IrqInfo, &payload.0, &[])?;
    match (u32_at(&reply, 8), u32_at(&reply, 12)) {
        // MSI-X has at most 2048 vectors (PCI 3.0 section 6.8.2).
        (Some(i), Some(count)) if i == index && count <= 2048 => Ok(count),
        _ => Err(link.protocol("DEVICE_GET_IRQ_INFO is answered with what cannot be")),
    }
}

impl Transport for User {
    fn address(&self) -> String {
        self.card.clone()
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        self.read(VFIO_PCI_CONFIG_REGION_INDEX, offset, data)
    }

    fn config_write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let region = VFIO_PCI_CONFIG_REGION_INDEX;
        self.inside(region, offset, data.len())?;
        let head = access(region, offset, data.len() as u32);
        let mut link = self.link();
        let payload = link.call(Command::RegionWrite, &head.clone().bytes(data).0, &[])?;
        match payload == head.0 {
            true => Ok(()),
            false => Err(link.protocol("REGION_WRITE is answered for another place")),
        }
    }

    fn bar_length(&self, bar: u32) -> u64 {
        let bars = &self.regions[..6];
        bars.get(bar as usize).copied().unwrap_or(0)
    }

    fn read32(&self, bar: u32, offset: u64) -> Result<u32> {
        let mut word = [0; 4];
        self.read(User::bar(bar), offset, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn write32(&self, bar: u32, offset: u64, value: u32) -> Result<()> {
        let bar = User::bar(bar);
        self.inside(bar, offset, 4)?;
        let payload = access(bar, offset, 4).bytes(&value.to_le_bytes());
        self.link().post(Command::RegionWrite, &payload.0)
    }

    fn bar_pointer(&self, _: u32) -> Option<NonNull<u8>> {
        None
    }

    fn dma_map(&self, iova: u64, memory: &Arc<Memory>) -> Result<()> {
        let length = memory.length() as u64;
        let payload = Payload::default()
            .u32(32)
            .u32(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
            .u64(0)
            .u64(iova)
            .u64(length);
        let mut mapped = self.mapped();
        self.link()
            .call(Command::DmaMap, &payload.0, &[memory.file()])?;
        mapped.insert(iova, memory.clone());
        Ok(())
    }

    fn dma_unmap(&self, iova: u64) -> Result<()> {
        let mut mapped = self.mapped();
        let Some(memory) = mapped.get(&iova) else {
            return Err(self.invalid(format!("nothing is mapped at {iova:#x}")));
        };
        let payload = Payload::default()
            .u32(24)
            .u32(0)
            .u64(iova)
            .u64(memory.length() as u64);
        self.link().call(Command::DmaUnmap, &payload.0, &[])?;
        mapped.remove(&iova);
        Ok(())
    }

    fn vectors(&self) -> u32 {
        self.vectors
    }

    fn enable_vectors(&self, events: &[BorrowedFd<'_>]) -> Result<()> {
        let (have, want) = (self.vectors, events.len());
        if want > have as usize {
            return Err(self.invalid(format!("{want} MSI-X vectors wanted, the card has {have}")));
        }
        let mut start = 0;
        for part in events.chunks(self.fds) {
            let count = part.len() as u32;
            self.set_irqs(VFIO_IRQ_SET_DATA_EVENTFD, start, count, part)?;
            start += count;
        }
        Ok(())
    }

    fn disable_vectors(&self) -> Result<()> {
        self.set_irqs(VFIO_IRQ_SET_DATA_NONE, 0, 0, &[])
    }

    fn reset(&self) -> Result<()> {
        self.link().call(Command::DeviceReset, &[], &[])?;
        Ok(())
    }
}
