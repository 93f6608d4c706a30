//! A packet from the card or to it costs the driver no allocation, however many there are.

mod common;

use common::{Rig, arp, image};
use seqnic_device::{Device, Options, Way};
use seqnic_pci::Direct;
use seqnic_softcard::SoftCard;
use seqnic_transport::{Memory, Result, Transport};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.with(|n| n.set(n.get() + 1));
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    work();
    ALLOCATED.get() - before
}

/// The card, which works inside of a register write: while it is held, writes are posted and not on their way yet.
struct Held {
    card: Arc<Direct<SoftCard>>,
    held: AtomicBool,
}

impl Transport for Held {
    fn address(&self) -> String {
        self.card.address()
    }
    fn config_read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        self.card.config_read(offset, data)
    }
    fn config_write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.card.config_write(offset, data)
    }
    fn bar_length(&self, bar: u32) -> u64 {
        self.card.bar_length(bar)
    }
    fn read32(&self, bar: u32, offset: u64) -> Result<u32> {
        self.card.read32(bar, offset)
    }
    fn write32(&self, bar: u32, offset: u64, value: u32) -> Result<()> {
        match self.held.load(Ordering::SeqCst) {
            true => Ok(()),
            false => self.card.write32(bar, offset, value),
        }
    }
    fn bar_pointer(&self, _: u32) -> Option<NonNull<u8>> {
        None
    }
    fn dma_map(&self, iova: u64, memory: &Arc<Memory>) -> Result<()> {
        self.card.dma_map(iova, memory)
    }
    fn dma_unmap(&self, iova: u64) -> Result<()> {
        self.card.dma_unmap(iova)
    }
    fn vectors(&self) -> u32 {
        self.card.vectors()
    }
    fn enable_vectors(&self, events: &[BorrowedFd<'_>]) -> Result<()> {
        self.card.enable_vectors(events)
    }
    fn disable_vectors(&self) -> Result<()> {
        self.card.disable_vectors()
    }
    fn reset(&self) -> Result<()> {
        self.card.reset()
    }
}

#[test]
fn packets_cost_no_allocation() {
    assert!(allocations(|| drop(vec![0u8; 9])) > 0, "the counter counts");
    let rig = Rig::new();
    let held = Arc::new(Held {
        card: rig.card.clone(),
        held: AtomicBool::new(false),
    });
    let device = Device::open(held.clone(), Options::default()).unwrap();
    device.load(&image(&common::definition())).unwrap();
    // Lengths that end inside of a line, at its end, and go round the end of the ring.
    for round in 0..6 {
        let frames: Vec<Vec<u8>> = (0..200).map(|n| arp(n, 42 + 7 * n as usize)).collect();
        rig.arrive(frames.iter().take(150).map(|f| (0, &f[..])));
        held.held.store(true, Ordering::SeqCst);
        let (mut packets, mut bytes) = (0, 0);
        let received = allocations(|| {
            while device
                .receive(64, |p| {
                    packets += 1;
                    bytes += p.frame.len();
                })
                .unwrap()
                > 0
            {}
        });
        assert!(packets > 50 && bytes > 64 * packets, "{packets}, {bytes}");
        assert_eq!(received, 0, "{packets} packets in round {round}");
        let mut taken = 0;
        let sent = allocations(|| {
            let frames = frames.iter().map(|f| (Way::Out, 1, &f[..]));
            taken = device.send(frames).unwrap();
        });
        assert!(taken > 50, "{taken}");
        assert_eq!(sent, 0, "{taken} frames in round {round}");
        held.held.store(false, Ordering::SeqCst);
        device.wait(std::time::Duration::ZERO).unwrap();
        device.nudge().unwrap();
        device.flush().unwrap();
        rig.sent();
    }
}
