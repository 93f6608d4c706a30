//! From frame to copy nothing allocates: the datapath of a host without the card counts on it.

#[path = "suite/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "suite/images.rs"]
#[allow(dead_code)]
mod images;

use frames::{Packet, TCP, tcp};
use seqnic_model::Tables;
use seqnic_model::edit::plans;
use seqnic_model::parse::parse;
use seqnic_model::verdict::decide;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

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

#[test]
fn parse_decide_and_write_do_not_allocate() {
    assert!(allocations(|| drop(vec![0u8; 9])) > 0, "the counter counts");
    let tables = Tables::load(&images::sample()).unwrap();
    let packets = [
        (images::SERVICE, "198.51.100.11"),
        (images::SERVICE6, "2001:db8::11"),
    ];
    for (dst, src) in packets {
        let frame = Packet::new(src, dst, TCP, tcp(1, 80, &[]))
            .summed()
            .frame(&[]);
        let mut out = [0u8; 256];
        let mut sent = 0;
        let count = allocations(|| {
            let h = parse(&frame);
            let verdict = decide(&tables, 0, &h, &mut ());
            for plan in plans(&tables, &h, &verdict) {
                sent += plan.write(&h, &frame, &mut out).unwrap();
            }
        });
        assert_eq!(count, 0);
        assert_eq!(sent, 2 * frame.len() + 4 + 8, "both copies were written");
    }
}
