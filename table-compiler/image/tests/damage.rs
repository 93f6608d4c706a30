//! Random damage: the reader neither panics nor allocates by a length it has not checked. A binary of
//! its own, because it watches every allocation of the process.

mod common;

use common::{Parts, Random, open, sample, seal};
use seqnic_image::{read, write};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Largest single allocation since it was set to 0.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Watching;

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// More than any table of geometry `edge` or any list serde takes on trust (1 MiB) needs.
const ENOUGH: usize = 2 << 20;

/// Damage behind right digests reaches every check of the reader.
#[test]
fn random_damage_never_panics_and_never_allocates_much() {
    let good = write(&sample());
    let parts = Parts::of(&sample());
    let mut random = Random(1);
    let mut taken = 0;
    for round in 0..20_000 {
        let bytes = match round % 3 {
            // In the bytes, all digests wrong.
            0 => {
                let mut bytes = good.clone();
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    bytes[at] = random.below(256) as u8;
                }
                bytes.truncate(random.below(bytes.len() * 2));
                bytes
            }
            // In the bytes, the digest of the file right.
            1 => {
                let mut bytes = open(&good);
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
                seal(bytes)
            }
            // In a section, all digests right.
            _ => {
                let mut parts = Parts::of(&sample());
                let section = random.below(parts.sections.len());
                let section = &mut parts.sections[section];
                match random.below(8) {
                    0 => section.rows = random.below(5000) as u32,
                    1 => section.body.truncate(random.below(section.body.len() + 1)),
                    2 => section.body.push(random.below(256) as u8),
                    _ if section.body.is_empty() => {}
                    _ => {
                        let at = random.below(section.body.len());
                        section.body[at] =
                            [0, 1, 0x7f, 0x80, 0xff, random.below(256) as u8][random.below(6)];
                    }
                }
                parts.sealed()
            }
        };
        LARGEST.store(bytes.len(), Ordering::Relaxed);
        let image = read(&bytes);
        let largest = LARGEST.load(Ordering::Relaxed);
        assert!(largest <= ENOUGH, "{largest} bytes at once");
        if let Ok(image) = image {
            taken += 1;
            assert_eq!(write(&image), bytes, "an image has one file");
        }
    }
    assert!(
        taken > 1000,
        "most damage of rows gives other rows: {taken}"
    );
    assert_eq!(parts.sealed(), good, "the parts are put together right");
}
