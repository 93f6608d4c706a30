//! The driver's work with rings: what a packet costs the processor between card and program.
//!
//! The card is in memory and works outside of what is measured; doorbells go nowhere meanwhile, as posted writes
//! cost the driver next to nothing. The program on the other side reads one byte of each frame.

use crate::{BenchError, Times, cpu_ns};
use seqnic_device::{Device, Options, Way};
use seqnic_faults::{Fault, Faulty};
use seqnic_image::Image;
use seqnic_pci::Direct;
use seqnic_softcard::SoftCard;
use seqnic_spec::geometry::EDGE;
use seqnic_spec::host::rings::{LINE_BYTES, Ring};
use serde::Serialize;
use std::sync::Arc;

/// ns a packet that are wanted: what DPDK takes for one from its pcap driver to its null driver.
pub const WANTED: f64 = 32.0;

/// One length of frames.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Bytes of a frame without FCS.
    pub bytes: usize,
    /// Packets a measurement.
    pub receive_packets: usize,
    pub receive: Times,
    pub send_packets: usize,
    pub send: Times,
    /// The same bytes copied to memory of the ring's size by the system's memcpy and nothing else: what sending
    /// cannot be below, as frames stand in the ring.
    pub copy: Times,
}

impl Row {
    /// Whether both ways are within what is wanted, besides the copy.
    pub fn met(&self) -> bool {
        self.receive.best <= WANTED && self.send.best - self.copy.best <= WANTED
    }
}

const LINE: usize = LINE_BYTES as usize;

fn failed(what: impl std::fmt::Display) -> BenchError {
    BenchError::Driver {
        what: what.to_string(),
    }
}

/// Measures frames of `bytes`, `rounds` times each way.
///
/// # Errors
/// The driver fails.
pub fn run(bytes: usize, rounds: u32) -> Result<Row, BenchError> {
    let card = Arc::new(Direct::new("memory", SoftCard::new(&EDGE)));
    let faulty = Arc::new(Faulty::new(card.clone()));
    let device = Device::open(faulty.clone(), Options::default()).map_err(failed)?;
    device.load(&Image::empty(&EDGE)).map_err(failed)?;
    // An ARP packet on a port without an interface is as much an exception as any.
    let mut frame = vec![0x5a; bytes];
    frame[12..14].copy_from_slice(&[8, 6]);
    let (mut receive, mut send, mut copied) = (Vec::new(), Vec::new(), Vec::new());
    let mut ring = vec![0u8; LINE << Options::default().ring_log2[Ring::Transmit as usize]];
    let (mut receive_packets, mut send_packets) = (0, 0);
    for _ in 0..rounds {
        // As many as the ring takes; what does not fit is dropped by the card.
        {
            let mut function = card.lock();
            for _ in 0..4096 {
                function.card.arrive(0, &frame);
            }
            while function.work() {}
        }
        faulty.set(Fault::Deaf);
        let mut touched = 0usize;
        let from = cpu_ns();
        let mut count = 0;
        loop {
            let some = device.receive(64, |p| touched += usize::from(p.frame[p.frame.len() - 1]));
            match some.map_err(failed)? {
                0 => break,
                some => count += some,
            }
        }
        let took = cpu_ns() - from;
        std::hint::black_box(touched);
        faulty.set(Fault::None);
        device.wait(std::time::Duration::ZERO).map_err(failed)?;
        if count == 0 {
            return Err(failed("the card gave no packets"));
        }
        receive_packets = count;
        receive.push(took as f64 / count as f64);

        faulty.set(Fault::Deaf);
        let most = device.identity().geometry.ports as usize * 1000;
        let from = cpu_ns();
        let count =
            (device.send(std::iter::repeat_n((Way::Out, 0, &frame[..]), most))).map_err(failed)?;
        let took = cpu_ns() - from;
        faulty.set(Fault::None);
        device.nudge().map_err(failed)?;
        device.flush().map_err(failed)?;
        card.lock().card.sent();
        send_packets = count;
        send.push(took as f64 / count as f64);

        let from = cpu_ns();
        copy(&frame, &mut ring, count);
        copied.push((cpu_ns() - from) as f64 / count as f64);
    }
    Ok(Row {
        bytes,
        receive_packets,
        receive: Times::of(receive),
        send_packets,
        send: Times::of(send),
        copy: Times::of(copied),
    })
}

/// Copies `frame` `count` times, each to the start of a line, as it stands in a ring.
fn copy(frame: &[u8], ring: &mut [u8], count: usize) {
    let step = frame.len().next_multiple_of(LINE) + LINE;
    let mut at = LINE;
    for _ in 0..count {
        if at + frame.len() > ring.len() {
            at = LINE;
        }
        ring[at..at + frame.len()].copy_from_slice(std::hint::black_box(frame));
        at += step;
    }
    std::hint::black_box(ring);
}
