//! From frame to copy nothing allocates: the datapath of a host without the card counts on it.

#[path = "suite/frames.rs"]
#[allow(dead_code)]
mod frames;
#[path = "suite/images.rs"]
#[allow(dead_code)]
mod images;

use frames::{Packet, TCP, tcp};
use seqnic_model::Tables;
use seqnic_model::batch::{Arrival, BATCH, Exit, Outputs, Stages};
use seqnic_model::counters::CounterArrays;
use seqnic_model::edit::plans;
use seqnic_model::parse::parse;
use seqnic_model::rate::Rates;
use seqnic_model::verdict::{Verdict, decide};
use seqnic_spec::counters::CounterSet;
use seqnic_spec::reason::Reason;
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
            let h = parse(&frame, tables.decap(0));
            let verdict = decide(&tables, 0, &h, &mut ());
            for plan in plans(&tables, &h, &verdict) {
                sent += plan.write(&h, &frame, &mut out).unwrap();
            }
        });
        assert_eq!(count, 0);
        assert_eq!(sent, 2 * frame.len() + 4 + 8, "both copies were written");
    }
}

/// Slots for copies, used over and over.
struct Ring([[u8; 256]; 4], usize);

impl Outputs for Ring {
    fn room(&mut self, _: usize, _: Exit, bytes: usize) -> Option<&mut [u8]> {
        self.1 += 1;
        self.0[self.1 % 4].get_mut(..bytes)
    }

    fn host(&mut self, _: usize, _: &Verdict) {}
}

#[test]
fn batches_do_not_allocate() {
    let tables = Tables::load(&images::sample()).unwrap();
    let frame = Packet::new("198.51.100.11", images::SERVICE, TCP, tcp(1, 80, &[]))
        .summed()
        .frame(&[]);
    let lost = [0; 20];
    let arrivals: Vec<Arrival> = (0..3 * BATCH)
        .map(|n| Arrival {
            port: 0,
            time: n as u64,
            frame: if n % 5 == 0 { &lost } else { &frame },
        })
        .collect();
    let (mut counters, mut rates) = (
        CounterArrays::new(tables.geometry),
        Rates::new(tables.geometry),
    );
    let (mut stages, mut ring) = (Stages::default(), Ring([[0; 256]; 4], 0));
    let count =
        allocations(|| stages.run(&tables, &mut counters, &mut rates, &arrivals, &mut ring));
    assert_eq!(count, 0);
    assert!(stages.shortened() > 0, "both ways are gone");
    let packets = arrivals.iter().filter(|a| a.frame.len() > 20).count();
    assert_eq!(ring.1, 2 * packets, "two copies of each");
}

#[test]
fn a_copy_without_room_is_counted_and_nothing_else() {
    struct Full;
    impl Outputs for Full {
        fn room(&mut self, _: usize, _: Exit, _: usize) -> Option<&mut [u8]> {
            None
        }
        fn host(&mut self, _: usize, _: &Verdict) {}
    }
    let tables = Tables::load(&images::sample()).unwrap();
    let frame = Packet::new("198.51.100.11", images::SERVICE, TCP, tcp(1, 80, &[]))
        .summed()
        .frame(&[]);
    let (mut counters, mut rates) = (
        CounterArrays::new(tables.geometry),
        Rates::new(tables.geometry),
    );
    let arrivals = [Arrival {
        port: 0,
        time: 0,
        frame: &frame,
    }];
    Stages::default().run(&tables, &mut counters, &mut rates, &arrivals, &mut Full);
    let count = |set, row| counters.get(set, row).packets;
    assert_eq!(count(CounterSet::Reason, Reason::Directed as u32), 1);
    assert_eq!(count(CounterSet::Reason, Reason::OutputFull as u32), 2);
    let sent = (0..tables.geometry.action_rows).map(|row| count(CounterSet::Action, row));
    assert_eq!(sent.sum::<u64>(), 0);
}
